"""What holds for every text, every set of reviews and every way to cut them into batches.

`hypothesis` looks for the text that nobody would have thought of. The examples follow from the
tests alone (`derandomize`): what fails here fails everywhere. Known cases stand in `test_text.py`
and `test_batches.py`.
"""

import ast
import itertools
import re
import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers import batches, text
from helpers.batches import LengthBatches, StreamBatches

# The first example of a test may load half of torch, on a busy machine: no verdict on slowness.
always = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
few = settings(always, max_examples=30)  # where each takes a while

SURROGATES = st.characters(categories=["Cs"])
ANY_CHARACTER = st.one_of(st.characters(), SURROGATES)
MARKUP = st.sampled_from(
    ["<br />", "<", ">", ":", ";", "=", "-", ")", "(", "D", "P", " ", "İ", "Σ"]
)
ANY_TEXT = st.one_of(st.text(ANY_CHARACTER), st.lists(MARKUP | ANY_CHARACTER).map("".join))


# --- words -----------------------------------------------------------------------------------


@always
@given(ANY_TEXT)
@example("<" * 50 + "b" + ">" * 50)
@example("İSTANBUL ΣΑΣ")
@example("\ud800:D\udfff")
def test_tokens_are_lower_case_words_and_then_emoticons(review):
    tokens = text.tokenize(review)
    kinds = ["emoticon" if re.fullmatch("[:;=][)(DP]", token) else "word" for token in tokens]
    assert kinds == sorted(kinds, reverse=True)
    for token, kind in zip(tokens, kinds, strict=True):
        if kind == "word":
            assert re.fullmatch(r"\w+", token)  # no space, no tag, no quote
            assert token == token.lower()


@always
@given(ANY_TEXT.filter(lambda part: "<" not in part), ANY_TEXT, st.text("/br a=3'\n", max_size=9))
def test_a_tag_is_a_space(before, after, inside):
    assert text.tokenize(f"{before}<{inside}>{after}") == text.tokenize(f"{before} {after}")


EMOTICONS = st.tuples(st.sampled_from(":;="), st.sampled_from(["", "-"]), st.sampled_from(")(DP"))
PIECES = st.lists(
    st.tuples(st.just("word"), st.text("abzDPÉß1_", min_size=1))
    | st.tuples(st.just("emoticon"), EMOTICONS)
    | st.tuples(st.just("nothing"), st.sampled_from(["<br />", "<a b='c'>", "...", "–", "!"]))
)


@always
@given(PIECES)
def test_no_word_and_no_emoticon_is_lost(pieces):
    review = " ".join("".join(piece) for _, piece in pieces)
    words = [piece.lower() for kind, piece in pieces if kind == "word"]
    emoticons = [piece[0] + piece[2] for kind, piece in pieces if kind == "emoticon"]
    assert text.tokenize(review) == words + emoticons


WORDS = st.dictionaries(st.text("abcé1", min_size=1, max_size=3), st.integers(1, 9))


@always
@given(WORDS, st.lists(st.text("abcé1", max_size=4) | ANY_TEXT), st.none() | st.integers(1, 20))
def test_unknown_words_become_one_integer_and_the_vocabulary_does_not_grow(counts, words, most):
    vocab = text.build_vocab(Counter(counts), max_tokens=most)
    before = list(vocab.itos), dict(vocab.stoi)
    ids = text.encode(words, vocab)
    assert (vocab.itos, dict(vocab.stoi)) == before
    known = set(vocab.itos)
    assert text.decode(ids, vocab) == [word if word in known else "<unk>" for word in words]
    assert [i == text.UNK for i in ids] == [word not in known for word in words]
    assert known <= set(counts) | {"<pad>", "<unk>"}


# --- characters ------------------------------------------------------------------------------


@st.composite
def texts_of_known_characters(draw):
    corpus = draw(st.text(ANY_CHARACTER, min_size=1))
    return corpus, draw(st.text(st.sampled_from(sorted(set(corpus)))))


@always
@given(texts_of_known_characters())
@example(("\0", "\0\0"))
@example(("\ud800\U0010ffff", "\U0010ffff\ud800"))
def test_characters_come_back(texts):
    corpus, other = texts
    char2int, char_array = text.build_characters(corpus)
    for string in (corpus, other):
        ids = text.encode_characters(string, char2int)
        assert ids.tolist() == [char2int[character] for character in string]
        assert text.decode_characters(ids, char_array) == string


@always
@given(st.text(ANY_CHARACTER, min_size=1), ANY_CHARACTER)
def test_no_character_is_taken_for_another(corpus, stranger):
    char2int, _ = text.build_characters(corpus)
    if stranger in char2int:
        assert text.encode_characters(stranger, char2int).tolist() == [char2int[stranger]]
    else:
        with pytest.raises(ValueError, match="at position 0 is not one of"):
            text.encode_characters(stranger, char2int)


LINES = st.lists(st.sampled_from(["\r", "\n", "\r\n", "\ufeff", "é", "😀"]) | st.characters())


@few
@given(LINES.map("".join), st.integers(1, 9))
@example("\ufeffa\r\n", 3)
def test_a_file_is_encoded_as_the_string_that_python_reads(string, block):
    with tempfile.TemporaryDirectory() as folder, patch.object(text, "BLOCK", block):
        path = Path(folder) / "story.txt"
        path.write_bytes(string.encode())
        read = path.read_text("utf-8-sig")
        if not read:  # nothing, or a byte order mark alone
            with pytest.raises(ValueError, match="is empty"):
                text.encode_file(path, path.with_name("ids.npy"))
            return
        ids, char_array = text.encode_file(path, path.with_name("ids.npy"))
        assert char_array.tolist() == sorted(set(read))
        assert text.decode_characters(ids, char_array) == read


# --- batches ---------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=80)


@always
@given(
    LENGTHS,
    st.integers(1, 20),
    st.booleans(),
    st.none() | st.integers(1, 12),
    st.integers(0, 9),
    st.integers(1, 4),
    st.sampled_from([1, 2, 100]),
)
def test_every_review_stands_in_one_batch_with_its_own_label_and_length(
    lengths, size, shuffle, most, seed, epoch, pool
):
    sequences = [np.arange(n) * 100 + i + 1 for i, n in enumerate(lengths)]
    options = {"shuffle": shuffle, "max_length": most, "seed": seed, "pad": 5}
    with patch.object(batches, "POOL", pool):
        made = LengthBatches(sequences, range(len(lengths)), size, **options)
        made.set_epoch(epoch)
        met, order = list(made), made.order.tolist()
    assert len(made) == len(met) == -(-len(lengths) // size)
    assert sum(len(labels) == size for _, _, labels in met) >= len(met) - 1
    assert sorted(order) == list(range(len(lengths)))
    assert [int(label) for _, _, labels in met for label in labels] == order
    for tokens, own, labels in met:
        assert tokens.shape == (len(labels), own.max())
        for row, length, label in zip(tokens.tolist(), own.tolist(), labels.tolist(), strict=True):
            words = sequences[int(label)][:most].tolist()
            assert row == words + [5] * (len(row) - len(words))
            assert length == len(words)


@st.composite
def streams(draw):
    """Draw a text's length, the batch size, the window, the parts, and where the rows are cut."""
    size, parts = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    n = draw(st.integers(size * parts + 1, size * parts + 90))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, size - 1)), max_size=3))) if size > 1 else []
    return n, size, draw(st.integers(1, 30)), parts, [0, *cuts, size]


@always
@given(streams(), st.integers(1, 9))
def test_every_character_is_a_target_once_and_its_stream_goes_on(drawn, first):
    n, size, window, parts, cuts = drawn
    shares = [
        StreamBatches(np.arange(n), size, window, slice(*rows), parts)
        for rows in itertools.pairwise(cuts)
    ]
    targets_met = []
    for epoch in range(first, first + parts):  # any one pass
        windows = []
        for share in shares:
            share.set_epoch(epoch)
            windows.append(list(share))
            assert len(share) == len(windows[-1])
        whole = [
            [torch.cat(side) for side in zip(*batch, strict=True)]
            for batch in zip(*windows, strict=True)
        ]
        assert all(inputs.shape == (size, window) for inputs, _ in whole[:-1])
        inputs, targets = (torch.cat(side, dim=1) for side in zip(*whole, strict=True))
        assert torch.equal(inputs[:, 1:], inputs[:, :-1] + 1)  # the state that is carried fits
        there = targets != -100
        assert torch.equal(targets[there], inputs[there] + 1)
        assert there[:, :-1].all()
        assert (targets[1:, 0] == targets[:-1].amax(dim=1) + 1).all()  # the next stream
        targets_met += targets[there].tolist()
        assert there.sum() == shares[0].n_targets
    left_out = (n - 1) % parts
    assert sorted(targets_met) == list(range(1, n - left_out))


# --- padding ---------------------------------------------------------------------------------

CHAPTER = Path(__file__).parents[1] / "notebooks" / "05_imdb_sentiment.ipynb"
MODELS = ["SentimentRNN", "BidirectionalRNN", "BagOfWords", "BagOfPairs"]
N_TOKENS = 40
KNOWN = [a * N_TOKENS + b for a in range(1, N_TOKENS) for b in range(1, N_TOKENS) if (a + b) % 3]


def chapter_5():
    """Return the classes and functions that chapter 5 defines."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    found = [
        node
        for cell in cells
        if cell.cell_type == "code" and not cell.source.startswith("%")
        for node in ast.parse(cell.source).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.ImportFrom, ast.Import))
    ]
    names = {"torch": torch, "nn": torch.nn, "n_tokens": N_TOKENS}
    exec(compile(ast.Module(found, []), CHAPTER.name, "exec"), names)
    return names


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    torch.manual_seed(2)
    known = [torch.tensor(KNOWN)] if request.param == "BagOfPairs" else []
    model = chapter_5()[request.param](N_TOKENS, *known).eval()
    with torch.no_grad():  # as if it had learned: words start close to zero, or at it
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight[1:].normal_()
    return model


REVIEWS = st.lists(st.lists(st.integers(1, 39), min_size=1, max_size=25), min_size=1, max_size=12)


@few
@given(REVIEWS, st.integers(1, 12), st.integers(1, 39))
def test_padding_never_reaches_the_answer(model, reviews, size, word):
    # What is added up must be zero there; where a length says what to read, it may be any word.
    pad = 0 if type(model).__name__.startswith("BagOf") else word
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([r]), torch.tensor([len(r)])) for r in reviews])
        for shuffle in (False, True):
            made = LengthBatches(reviews, range(len(reviews)), size, shuffle=shuffle, pad=pad)
            for tokens, lengths, labels in made:
                there = alone[labels.long()]
                assert torch.allclose(model(tokens, lengths), there, rtol=0, atol=1e-6)
