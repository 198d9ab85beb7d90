"""The small sample data: sizes, formats, and that it can teach what the chapters need."""

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
WORD = re.compile(r"[a-z]+")
NEGATION = re.compile(r"\b(not|never|nothing|nobody|anything|far|hardly|by no means)\b", re.I)


def load_generator():
    spec = importlib.util.spec_from_file_location("make_reviews", SAMPLE / "make_reviews.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows():
    text = (SAMPLE / "reviews.tsv").read_bytes().decode("utf8")
    return [tuple(line.split("\t")) for line in text.split("\n")[:-1]]


@pytest.fixture(scope="module")
def story():
    return (SAMPLE / "story.txt").read_bytes().decode("utf8")


def words(text):
    return WORD.findall(text.lower())


def test_generator_reproduces_the_file():
    assert load_generator().make().encode("utf8") == (SAMPLE / "reviews.tsv").read_bytes()


def test_folder_is_small():
    files = [path for path in SAMPLE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_format_and_counts(rows):
    for split, label, text in rows:
        assert re.fullmatch(r"train|test", split)
        assert re.fullmatch(r"[01]", label)
        assert text == text.strip() != ""
        assert not re.search(r"[\r=+_]|(?<!\S)-\w| / ", text), (
            text
        )  # no mark of the grammar is left
    assert Counter((split, label) for split, label, _ in rows) == {
        ("train", "0"): 800, ("train", "1"): 800, ("test", "0"): 200, ("test", "1"): 200
    }  # fmt: skip
    assert len({" ".join(words(text)) for _, _, text in rows}) == len(rows)


def test_looks_like_the_web(rows):
    texts = " ".join(text for _, _, text in rows)
    for sign in ("<br /><br />", ":)", ":-(", ";)", "!!!", "NOT", "10/10"):
        assert texts.count(sign) >= 5, sign


def polar_words():
    """Every single word of the grammar that praises (+1) or blames (-1)."""
    polar = load_generator().POLAR
    against, praise = ({w for name in polar for w in polar[name][like]} for like in (0, 1))
    return dict.fromkeys(praise - against, 1) | dict.fromkeys(against - praise, -1)


def counted_vote(text, value):
    return sum(value.get(word, 0) for word in words(text))


def test_counting_words_helps_but_does_not_suffice(rows):
    """A ballot of praise and blame, deaf to order: better than chance, far from perfect."""
    value = polar_words()
    votes = [(counted_vote(t, value), label == "1") for split, label, t in rows if split == "test"]
    right = sum(0.5 if vote == 0 else (vote > 0) == label for vote, label in votes) / len(votes)
    assert 0.6 < right < 0.87


def test_the_part_after_but_decides(rows):
    """Where a sentence turns with ", but", the last part votes right and the first part wrong."""
    value, before, after = polar_words(), [], []
    for _, label, text in rows:
        for sentence in re.findall(r"[^.!]+", text):
            first, but, last = sentence.partition(", but ")
            if not but or last.startswith("he is") or NEGATION.search(sentence):
                continue  # without negations the vote of the words is the opinion
            sign = 1 if label == "1" else -1
            before.append(counted_vote(first, value) * sign > 0)
            after.append(counted_vote(last, value) * sign > 0)
    assert len(after) > 50
    assert sum(after) / len(after) > 0.97
    assert sum(before) / len(before) < 0.03


def test_not_and_never_have_no_side(rows):
    """Negation occurs on both sides about equally, so the word alone says nothing."""
    for word in ("not", "never"):
        sides = Counter(label for _, label, text in rows if word in words(text))
        assert min(sides["0"], sides["1"]) > 60
        assert 0.7 < sides["0"] / sides["1"] < 1.4


def test_story_has_what_chapter_6_looks_for(story):
    assert 70_000 < len(story.encode("utf8")) < 90_000
    assert not set(story) & set("\r\t\"'")
    assert 60 <= len(set(story)) <= 80
    assert max(map(len, story.split("\n"))) <= 72
    assert len(re.findall(r"(?:[.!?]”?\s|\n\n|“)The island\b", story)) >= 5
    paragraphs = story.split("\n\n")
    for paragraph in paragraphs:
        quotes = re.sub("[^“”]", "", paragraph)
        assert quotes == "“”" * (len(quotes) // 2), paragraph
    assert sum("“" in paragraph for paragraph in paragraphs) > 200
