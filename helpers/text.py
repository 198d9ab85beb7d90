"""Words and characters to integers, and back.

Words: `tokenize`, `build_vocab`, `encode`, `decode`. Characters: `build_characters`,
`encode_characters`, `decode_characters`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torchtext.vocab import Vocab  # the only import of torchtext in the course

UNK = 1  # the row of the embedding for every unknown word; 0 is for padding

_TAG = re.compile(r"<[^>]*>")
_EMOTICON = re.compile(r"[:;=]-?(?:[)(]|[DP](?!\w))")  # not the ":D" of "Director:David"
_GAP = re.compile(r"\W+")


def tokenize(text: str) -> list[str]:
    """Split a review into lower-case words, followed by its emoticons.

    Markup such as `<br />` counts as a space. `:)`, `;(`, `=D`, `:-P` and their like are kept,
    without noses and before lower-casing, which would lose `:D`; every other character that is
    not part of a word separates words. The method is that of Raschka, Liu and Mirjalili (2022),
    chapter 15.

    Examples
    --------
    >>> tokenize("Good<br />FUN, isn't it? :-)")
    ['good', 'fun', 'isn', 't', 'it', ':)']
    """
    text = _TAG.sub(" ", text)
    emoticons = _EMOTICON.findall(text)
    text = _EMOTICON.sub(" ", text)  # or the D of ":D" would be a word as well
    words = filter(None, _GAP.split(text.lower()))  # without the empty ends: half findall's time
    return [*words, *(emoticon.replace("-", "") for emoticon in emoticons)]


def build_vocab(counter: Mapping[str, int]) -> Vocab:
    """Number the counted tokens: `<pad>` 0, `<unk>` 1, then by falling frequency.

    Returns
    -------
    Vocab
        `vocab.stoi` maps token to integer, `vocab.itos` integer to token. Tokens that are equally
        frequent come in alphabetical order.
    """
    return Vocab(counter, specials=["<pad>", "<unk>"])


def encode(tokens: Iterable[str], vocab: Vocab) -> np.ndarray:
    """Map tokens to integers; tokens that `vocab` lacks become 1 (`<unk>`).

    Returns
    -------
    ndarray of int64, shape (time,)

    Raises
    ------
    TypeError
        If `tokens` is a string, of which every letter would count as a token.
    """
    if isinstance(tokens, str):
        raise TypeError(
            "encode needs a list of tokens, not a string: use encode(tokenize(text), …)"
        )
    lookup = vocab.stoi.get  # stoi[token] would insert an unknown token: stoi is a defaultdict
    return np.array([lookup(token, UNK) for token in tokens], dtype=np.int64)


def decode(ids: Sequence[int] | np.ndarray | torch.Tensor, vocab: Vocab) -> list[str]:
    """Map integers, shape (time,), back to tokens.

    Raises
    ------
    IndexError
        If one of them is no index of `vocab`.
    """
    return [vocab.itos[i] for i in _checked(ids, len(vocab.itos))]


def build_characters(text: str) -> tuple[dict[str, int], np.ndarray]:
    """Number the distinct characters of `text` by code point.

    Returns
    -------
    char2int : dict
        From character to integer.
    char_array : ndarray of <U1, shape (n,)
        From integer to character.
    """
    characters = sorted(set(text))
    return {character: i for i, character in enumerate(characters)}, np.array(characters)


def encode_characters(text: str, char2int: Mapping[str, int]) -> np.ndarray:
    """Map every character of `text` to its integer, a million in milliseconds.

    Returns
    -------
    ndarray of int64, shape (time,)

    Raises
    ------
    ValueError
        If `char2int` lacks a character; it is named, with its position.
    """
    known = _code_points("".join(char2int))
    table = np.full(known.max() + 2, -1)  # code point -> integer
    table[known] = list(char2int.values())
    ids = table.take(_code_points(text), mode="clip")  # beyond the table its last entry, -1
    if (ids < 0).any():
        position = int(np.argmax(ids < 0))
        raise ValueError(
            f"character {text[position]!r} (U+{ord(text[position]):04X}) at position "
            f"{position} is not one of the {len(char2int)} of the vocabulary: replace it or "
            "leave it out, or build the vocabulary from a text that has it"
        )
    return ids


def decode_characters(
    ids: Sequence[int] | np.ndarray | torch.Tensor, char_array: np.ndarray
) -> str:
    """Map integers, shape (time,), back to text.

    Raises
    ------
    IndexError
        If one of them is no index of `char_array`.
    """
    return char_array[_checked(ids, len(char_array))].tobytes().decode("utf-32-le")


def _code_points(text: str) -> np.ndarray:
    """Return the Unicode code points of `text`, (time,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _checked(ids, size: int) -> np.ndarray:
    """Return `ids` as an array of 0 to size - 1: below 0, NumPy would count from the end."""
    ids = ids.cpu().numpy() if isinstance(ids, torch.Tensor) else np.array(ids)
    if ids.size and not 0 <= ids.min() <= ids.max() < size:
        raise IndexError(
            f"integers from {ids.min()} to {ids.max()} in a vocabulary of 0 to {size - 1}: were "
            "they encoded with another one?"
        )
    return ids if ids.size else ids.astype(np.int64)
