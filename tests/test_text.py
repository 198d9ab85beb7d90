"""Words and characters to integers and back."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import text as T

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("  \n\t ", []),
        ("Not BAD, not good!", ["not", "bad", "not", "good"]),
        ("isn't over_done 10/10", ["isn", "t", "over_done", "10", "10"]),
        ("one<br /><br />two <a href='x'>three</a>", ["one", "two", "three"]),
        ("I <3 it", ["i", "3", "it"]),  # no tag: nothing closes it
        ("x < y and y > z", ["x", "z"]),  # a tag by the rule: anything between < and >
        ("good :) bad ;-( so", ["good", "bad", "so", ":)", ";("]),
        ("yes :D :-P =D ;P", ["yes", ":D", ":P", "=D", ";P"]),  # upper case, no stray d or p
        ("end:)", ["end", ":)"]),  # not glued to the word before
        ("Director:David :dp :-", ["director", "david", "dp"]),
        ("<b:)>fun", ["fun"]),  # inside a tag there is no emoticon
        ("Ça ÉTÉ – naïve… 東京", ["ça", "été", "naïve", "東京"]),
        ("a\u00a0b\u2028c\x00d", ["a", "b", "c", "d"]),
    ],
)
def test_tokenize(text, tokens):
    assert T.tokenize(text) == tokens


def test_tokenize_survives_any_string():
    every = "".join(map(chr, range(0x30000)))  # surrogates included
    tokens = T.tokenize(every)
    assert tokens
    assert not any(token.isspace() or token == "" for token in tokens)


def test_tokenize_stays_linear():
    start = time.process_time()
    assert T.tokenize("<" * 100_000) == []
    assert T.tokenize("word " * 200_000) == ["word"] * 200_000
    assert time.process_time() - start < 2


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
def test_characters_are_encoded_the_same_wherever_blocks_end(block, monkeypatch):
    text = "The ïsland 😀 rose"
    char2int, _ = T.build_characters(text)
    monkeypatch.setattr(T, "BLOCK", block)
    ids = T.encode_characters(text, char2int)
    assert ids.tolist() == [char2int[character] for character in text]
    with pytest.raises(ValueError, match=r"'☃'.* at position 18"):
        T.encode_characters(text + " ☃", char2int)


def test_vocabulary_order():
    vocab = T.build_vocab(Counter(b=2, a=2, z=5, c=1))
    assert vocab.itos == ["<pad>", "<unk>", "z", "a", "b", "c"]
    assert (T.PAD, T.UNK) == (vocab.stoi["<pad>"], vocab.stoi["<unk>"]) == (0, 1)
    assert len(vocab) == 4 + 2
    assert T.build_vocab(Counter(b=2, a=2, z=5, c=1), max_tokens=2).itos[2:] == ["z", "a"]
    assert T.build_vocab({"a": 1}).itos[2:] == ["a"]
    for wrong in (["a", "b"], "ab"):
        with pytest.raises(TypeError, match="Counter"):
            T.build_vocab(wrong)
    with pytest.raises(ValueError, match="max_tokens is 0"):
        T.build_vocab(Counter("ab"), max_tokens=0)


def test_words_there_and_back_without_growing_the_vocabulary():
    vocab = T.build_vocab(Counter("aab"))
    ids = T.encode(["b", "never", "a", "seen"], vocab)
    assert ids.dtype == np.int64
    assert ids.tolist() == [3, 1, 2, 1]
    assert len(vocab.stoi) == len(vocab.itos) == 4
    assert "never" not in vocab.stoi
    for form in (ids, ids.tolist(), torch.from_numpy(ids), ids.astype(np.int32)):
        assert T.decode(form, vocab) == ["b", "<unk>", "a", "<unk>"]
    empty = T.encode([], vocab)
    assert empty.dtype == np.int64
    assert empty.shape == (0,)
    assert T.decode([], vocab) == []
    with pytest.raises(TypeError, match="tokenize"):
        T.encode("a string", vocab)
    for wrong in (4, -1):
        with pytest.raises(IndexError, match=f"{wrong} at position 1 .* 4 entries"):
            T.decode([0, wrong], vocab)


def test_characters_by_code_point():
    char2int, char_array = T.build_characters("beta Ba\n\ta")
    assert list(char2int) == char_array.tolist() == ["\t", "\n", " ", "B", "a", "b", "e", "t"]
    assert char_array.dtype == np.dtype("<U1")
    assert [char2int[c] for c in char_array.tolist()] == list(range(8))
    with pytest.raises(ValueError, match="empty"):
        T.build_characters("")


@pytest.mark.parametrize("text", ["ISLAND", "été “quoted” 😀\r\n", "\x00a\x00", "\ud800 \ufeff"])
def test_characters_there_and_back(text):
    char2int, char_array = T.build_characters(text)
    ids = T.encode_characters(text, char2int)
    assert ids.dtype == np.int64
    assert ids.tolist() == [char2int[c] for c in text]
    for form in (ids, ids.tolist(), torch.from_numpy(ids)):
        assert T.decode_characters(form, char_array) == text
    assert T.decode_characters(ids[0], char_array) == text[0]
    assert T.decode_characters([], char_array) == ""
    assert T.encode_characters("", char2int).shape == (0,)


def test_characters_follow_the_dictionary_given():
    assert T.encode_characters("abca", {"c": 7, "a": 5, "b": 0}).tolist() == [5, 0, 7, 5]
    assert T.decode_characters([1, 0], np.array(["x", "y"])) == "yx"


@pytest.mark.parametrize("stranger", ["!", "A", "b", "z", "é", "😀"])  # below, between, above
def test_an_unknown_character_is_named(stranger):
    char2int, _ = T.build_characters("ac a")
    with pytest.raises(ValueError, match="position 2 is not one of the 3") as error:
        T.encode_characters("ac" + stranger + "a" + stranger, char2int)
    assert f"{stranger!r} (U+{ord(stranger):04X})" in str(error.value)
    with pytest.raises(ValueError, match="position 0"):
        T.encode_characters("a", {})


def test_integers_out_of_range_are_refused():
    _, char_array = T.build_characters("abc")
    for wrong in (-1, 3, 2**40):
        with pytest.raises(IndexError, match=f"{wrong} at position 2 .*0 to 2"):
            T.decode_characters([0, 1, wrong], char_array)
    with pytest.raises(TypeError, match="float64"):
        T.decode_characters([0.0], char_array)
    with pytest.raises(TypeError, match=r"\(1, 2\)"):
        T.decode_characters([[0, 1]], char_array)


def test_a_million_characters_are_quick():
    text = "The island, “of course” \n" * 50_000
    char2int, char_array = T.build_characters(text)
    start = time.process_time()
    assert T.decode_characters(T.encode_characters(text, char2int), char_array) == text
    assert time.process_time() - start < 0.3  # a loop over the characters takes longer


def test_the_import_warns_of_nothing():
    run = [sys.executable, "-W", "error", "-c", "import helpers.text"]
    result = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
