"""What holds for every text, every set of reviews and every way to cut them into batches.

`hypothesis` looks for the text that nobody would have thought of. The examples follow from the
tests alone (`derandomize`): what fails here fails everywhere. Known cases stand in `test_text.py`
and `test_batches.py`.
"""

import ast
from pathlib import Path
from unittest.mock import patch

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import batches, text
from helpers.batches import LengthBatches, StreamBatches

# The first example of a test may load half of torch, on a busy machine: no verdict on slowness.
always = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
few = settings(always, max_examples=10)  # where each takes a while


# --- text ------------------------------------------------------------------------------------


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


@always
@given(st.text(min_size=1), st.text(min_size=1))
def test_characters_come_back_and_none_is_taken_for_another(corpus, other):
    char2int, char_array = text.build_characters(corpus)
    ids = text.encode_characters(corpus, char2int)
    assert ids.tolist() == [char2int[character] for character in corpus]
    assert text.decode_characters(ids, char_array) == corpus
    strange = [position for position, c in enumerate(other) if c not in char2int]
    if strange:
        with pytest.raises(ValueError, match=f"at position {strange[0]} is not one of"):
            text.encode_characters(other, char2int)
    else:
        assert text.decode_characters(text.encode_characters(other, char2int), char_array) == other


# --- batches ---------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=80)


@always
@given(
    LENGTHS,
    st.integers(1, 20),
    st.booleans(),
    st.integers(0, 9),
    st.integers(1, 4),
    st.sampled_from([1, 2, 100]),
)
def test_every_review_stands_in_one_batch_with_its_own_label_and_length(
    lengths, size, shuffle, seed, epoch, pool
):
    sequences = [np.arange(n) * 100 + i + 1 for i, n in enumerate(lengths)]
    with patch.object(batches, "POOL", pool):
        made = LengthBatches(sequences, range(len(lengths)), size, shuffle=shuffle, seed=seed)
        made.set_epoch(epoch)
        met, order = list(made), made.order.tolist()
    assert len(made) == len(met) == -(-len(lengths) // size)
    assert sum(len(labels) == size for _, _, labels in met) >= len(met) - 1
    assert sorted(order) == list(range(len(lengths)))
    assert [int(label) for _, _, labels in met for label in labels] == order
    for tokens, own, labels in met:
        assert tokens.shape == (len(labels), own.max())
        for row, length, label in zip(tokens.tolist(), own.tolist(), labels.tolist(), strict=True):
            words = sequences[int(label)].tolist()
            assert row == words + [0] * (len(row) - len(words))
            assert length == len(words)


@always
@given(st.integers(1, 9), st.integers(1, 90), st.integers(1, 30))
def test_every_character_is_a_target_once_and_its_stream_goes_on(size, more, window):
    n = size + more
    made = StreamBatches(np.arange(n), size, window)
    windows = list(made)
    assert len(made) == len(windows)
    assert all(inputs.shape == (size, window) for inputs, _ in windows[:-1])
    assert all(inputs.shape == targets.shape for inputs, targets in windows)
    inputs, targets = (torch.cat(side, dim=1) for side in zip(*windows, strict=True))
    assert torch.equal(inputs[:, 1:], inputs[:, :-1] + 1)  # the state that is carried fits
    there = targets != -100
    assert torch.equal(targets[there], inputs[there] + 1)  # one step ahead
    assert targets[there].tolist() == list(range(1, n))  # all, once, streams in order
    assert made.n_targets == n - 1
    assert there[:, :-1].all()  # at most the last step is missing
    assert there.any(dim=0).all()  # no step without a target


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
        for tokens, lengths, labels in LengthBatches(reviews, range(len(reviews)), size):
            tokens[torch.arange(tokens.shape[1]) >= lengths[:, None]] = pad
            there = alone[labels.long()]
            assert torch.allclose(model(tokens, lengths), there, rtol=0, atol=1e-6)
