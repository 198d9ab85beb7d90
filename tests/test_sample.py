"""The small sample data: sizes, formats, and that it can teach what the chapters need."""

import importlib.util
import re
from collections import Counter
from itertools import pairwise
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
def raw():
    return (SAMPLE / "reviews.tsv").read_bytes()


@pytest.fixture(scope="module")
def rows(raw):
    return [tuple(line.split("\t")) for line in raw.decode("utf-8").split("\n")[:-1]]


@pytest.fixture(scope="module")
def story():
    return (SAMPLE / "story.txt").read_bytes().decode("utf-8")


def words(text):
    return WORD.findall(text.lower())


def part(rows, split):
    return [(text, int(label)) for which, label, text in rows if which == split]


def test_folder_is_small():
    files = [path for path in SAMPLE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    assert (SAMPLE / "reviews.tsv").stat().st_size < 700_000


def test_generator_reproduces_the_file(raw):
    assert load_generator().make().encode("utf-8") == raw


def test_another_seed_writes_other_reviews(raw):
    assert load_generator().make(seed=2).encode("utf-8") != raw


def test_format(raw):
    assert raw.endswith(b"\n")
    assert b"\r" not in raw
    for line in raw.decode("utf-8").split("\n")[:-1]:
        assert re.fullmatch(r"(train|test)\t[01]\t\S[^\t]*\S", line), line


def test_no_mark_of_the_grammar_is_left(rows):
    for _, _, text in rows:
        assert not re.search(r"[=+_]|(?<!\S)-\w| / ", text), text


def test_counts_and_balance(rows):
    counts = Counter((split, label) for split, label, _ in rows)
    assert counts == {("train", "0"): 800, ("train", "1"): 800} | {
        ("test", "0"): 200,
        ("test", "1"): 200,
    }


def test_texts_are_distinct(rows):
    assert len({" ".join(words(text)) for _, _, text in rows}) == len(rows)


def test_rows_are_mixed(rows):
    """Neither the labels nor the parts come in long runs."""
    for column in (0, 1):
        runs = sum(a[column] != b[column] for a, b in pairwise(rows))
        assert runs > 500


def test_lengths_vary(rows):
    lengths = [len(text.split()) for _, _, text in rows]
    assert 8 <= min(lengths) < 12
    assert 120 < max(lengths) <= 150
    assert 40 < sum(lengths) / len(lengths) < 60


def test_looks_like_the_web(rows):
    texts = " ".join(text for _, _, text in rows)
    for sign in ("<br /><br />", ":)", ":-(", ";)", "!!!", "NOT", "10/10"):
        assert texts.count(sign) >= 5, sign


def test_vocabulary(rows):
    known = {word for text, _ in part(rows, "train") for word in words(text)}
    seen = [word for text, _ in part(rows, "test") for word in words(text)]
    assert 550 <= len(known) <= 1200
    assert sum(word not in known for word in seen) / len(seen) < 0.02


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
    votes = [(counted_vote(text, value), label) for text, label in part(rows, "test")]
    right = sum(0.5 if vote == 0 else (vote > 0) == label for vote, label in votes) / len(votes)
    assert 0.6 < right < 0.87


def test_no_word_is_nearly_a_label(rows):
    """Frequent words of praise and blame occur on both sides."""
    on_side = Counter()
    for text, label in part(rows, "train"):
        on_side.update((word, label) for word in set(words(text)))
    adjectives = [word for side in load_generator().POLAR["adj"] for word in side]
    for word in adjectives:
        both = on_side[word, 0], on_side[word, 1]
        assert min(both) >= 0.1 * sum(both) > 0, word


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


def test_story_size_and_lines(story):
    assert 70_000 < len(story.encode("utf-8")) < 90_000
    assert "\r" not in story
    assert "\t" not in story
    assert story.endswith("\n")
    assert not story.endswith("\n\n")
    assert max(map(len, story.split("\n"))) <= 72
    assert not re.search(r" \n|\n\n\n|  ", story)


def test_story_chapters_in_order(story):
    numbers = re.findall(r"^Chapter (\d+)$", story, flags=re.M)
    assert numbers == [str(n + 1) for n in range(len(numbers))]
    assert 12 <= len(numbers) <= 14


def test_story_alphabet(story):
    assert 60 <= len(set(story)) <= 80
    assert not {'"', "'"} & set(story)


def test_story_quotes_are_paired_in_each_paragraph(story):
    paragraphs = story.split("\n\n")
    for paragraph in paragraphs:
        quotes = re.sub("[^“”]", "", paragraph)
        assert quotes == "“”" * (len(quotes) // 2), paragraph
    assert sum("“" in paragraph for paragraph in paragraphs) > 200


def test_story_starts_sentences_with_the_island(story):
    assert len(re.findall(r"(?:[.!?]”?\s|\n\n|“)The island\b", story)) >= 5
