"""Words and characters to integers and back; what holds for every text is in test_properties.py."""

import subprocess
import sys
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
        ("  \n\t ", []),
        ("Not BAD, not good!", ["not", "bad", "not", "good"]),
        ("isn't over_done 10/10", ["isn", "t", "over_done", "10", "10"]),
        ("one<br /><br />two <a href='x'>three</a>", ["one", "two", "three"]),
        ("I <3 it", ["i", "3", "it"]),  # no tag: nothing closes it
        ("good :) bad ;-( so", ["good", "bad", "so", ":)", ";("]),
        ("good:)bad", ["good", "bad", ":)"]),  # an emoticon separates words
        ("yes :D :-P =D ;P", ["yes", ":D", ":P", "=D", ";P"]),  # upper case, no stray d or p
        ("Director:David :dp :-", ["director", "david", "dp"]),
        ("<b:)>fun", ["fun"]),  # inside a tag there is no emoticon
        ("Ça ÉTÉ – naïve… 東京", ["ça", "été", "naïve", "東京"]),
    ],
)
def test_tokenize(text, tokens):
    assert T.tokenize(text) == tokens


def test_vocabulary_order():
    vocab = T.build_vocab(Counter(b=2, a=2, z=5, c=1))
    assert vocab.itos == ["<pad>", "<unk>", "z", "a", "b", "c"]
    assert (vocab.stoi["<pad>"], vocab.stoi["<unk>"]) == (0, T.UNK) == (0, 1)


def test_words_there_and_back_without_growing_the_vocabulary():
    vocab = T.build_vocab(Counter("aab"))
    ids = T.encode(["b", "never", "a", "seen"], vocab)
    assert ids.dtype == np.int64
    assert ids.tolist() == [3, 1, 2, 1]
    assert len(vocab.stoi) == len(vocab.itos) == 4
    for form in (ids, ids.tolist(), torch.from_numpy(ids)):
        assert T.decode(form, vocab) == ["b", "<unk>", "a", "<unk>"]
    assert T.encode([], vocab).dtype == np.int64
    with pytest.raises(TypeError, match="tokenize"):
        T.encode("a string", vocab)
    for wrong in (4, -1):
        with pytest.raises(IndexError, match=r"in a vocabulary of 0 to 3: .*another"):
            T.decode([0, wrong], vocab)


def test_characters_by_code_point():
    char2int, char_array = T.build_characters("beta Ba\n\ta")
    assert list(char2int) == char_array.tolist() == ["\t", "\n", " ", "B", "a", "b", "e", "t"]
    assert char_array.dtype == np.dtype("<U1")
    assert [char2int[c] for c in char_array.tolist()] == list(range(8))


def test_characters_there_and_back():
    text = "été “quoted” 😀\r\n"
    char2int, char_array = T.build_characters(text)
    ids = T.encode_characters(text, char2int)
    assert ids.dtype == np.int64
    assert ids.tolist() == [char2int[c] for c in text]
    for form in (ids, ids.tolist(), torch.from_numpy(ids)):
        assert T.decode_characters(form, char_array) == text
    assert T.decode_characters([], char_array) == T.decode_characters(ids[:0], char_array) == ""
    assert T.encode_characters("abca", {"c": 7, "a": 5, "b": 0}).tolist() == [5, 0, 7, 5]
    with pytest.raises(IndexError, match="from -1 to 1 in a vocabulary of 0 to 12"):
        T.decode_characters([0, 1, -1], char_array)


@pytest.mark.parametrize("stranger", ["!", "A", "b", "z", "é", "😀"])  # below, between, above
def test_an_unknown_character_is_named(stranger):
    char2int, _ = T.build_characters("ac a")
    with pytest.raises(ValueError, match="position 2 is not one of the 3") as error:
        T.encode_characters("ac" + stranger + "a" + stranger, char2int)
    assert f"{stranger!r} (U+{ord(stranger):04X})" in str(error.value)


def test_no_other_character_is_taken_for_a_known_one():
    char2int, _ = T.build_characters("ac ")
    for code in set(range(0x400)) - set(map(ord, char2int)):
        with pytest.raises(ValueError, match="position 0"):
            T.encode_characters(chr(code), char2int)


def test_the_import_warns_of_nothing():
    run = [sys.executable, "-W", "error", "-c", "import helpers.text"]
    result = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
