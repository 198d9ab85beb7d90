"""Words and characters to integers, and back.

Words: `tokenize`, `build_vocab`, `encode`, `decode`. Characters: `build_characters`,
`encode_characters`, `decode_characters`, and `encode_file` for a text larger than the memory.
Sequences of integers are NumPy arrays of int64, shape `(time,)` (smaller types from `encode_file`);
the functions that read integers also take lists and tensors.
"""

import codecs
import io
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import index
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torchtext.vocab import Vocab  # the only import of torchtext in the course

PAD, UNK = 0, 1  # the rows of the embedding for padding and for every unknown word

_TAG = re.compile(r"<[^>]*>")
_EMOTICON = re.compile(r"[:;=]-?(?:[)(]|[DP](?!\w))")  # not the ":D" of "Director:David"
_GAP = re.compile(r"\W+")


def tokenize(text: str) -> list[str]:
    """Split a review into lower-case words, followed by its emoticons.

    Markup such as `<br />` counts as a space. `:)`, `;(`, `=D`, `:-P` and their like are kept,
    without noses and before lower-casing, which would lose `:D` and `:P`; every other character
    that is not part of a word separates words. The method is that of Raschka, Liu and Mirjalili
    (2022), chapter 15.

        >>> tokenize("Good<br />FUN, isn't it? :-)")
        ['good', 'fun', 'isn', 't', 'it', ':)']
    """
    end = text.rfind(">") + 1  # no tag ends after it: a text full of "<" stays quick to read
    text = _TAG.sub(" ", text[:end]) + text[end:]
    emoticons = _EMOTICON.findall(text)
    if emoticons:
        text = _EMOTICON.sub(" ", text)  # or the D of ":D" would be a word as well
    words = filter(None, _GAP.split(text.lower()))  # without the empty ends: half findall's time
    return [*words, *(emoticon.replace("-", "") for emoticon in emoticons)]


def build_vocab(counter: Mapping[str, int], max_tokens: int | None = None) -> Vocab:
    """Number the counted tokens: `<pad>` 0, `<unk>` 1, then by falling frequency.

    Tokens that are equally frequent come in alphabetical order. `max_tokens` keeps that many of
    the most frequent ones; None keeps all n, which makes n + 2 entries. `vocab.stoi` maps token
    to integer, `vocab.itos` integer to token. Raises TypeError if `counter` holds no counts and
    ValueError if `max_tokens` is below 1.
    """
    if not isinstance(counter, Mapping):
        raise TypeError(
            f"build_vocab needs the count of every token, not a {type(counter).__name__}: "
            "count them with collections.Counter first"
        )
    if max_tokens is not None and index(max_tokens) < 1:
        raise ValueError(f"max_tokens is {max_tokens}: keep at least 1 token, or None for all")
    return Vocab(Counter(counter), max_size=max_tokens, specials=["<pad>", "<unk>"])


def encode(tokens: Iterable[str], vocab: Vocab) -> np.ndarray:
    """Map tokens to integers, int64 `(time,)`; tokens that `vocab` lacks become 1 (`<unk>`).

    Raises TypeError for a plain string, of which every letter would count as a token.
    """
    if isinstance(tokens, str):
        raise TypeError(
            "encode needs a list of tokens, not a string: use encode(tokenize(text), …)"
        )
    lookup = vocab.stoi.get  # stoi[token] would insert an unknown token: stoi is a defaultdict
    return np.array([lookup(token, UNK) for token in tokens], dtype=np.int64)


def decode(ids: Sequence[int] | np.ndarray | torch.Tensor, vocab: Vocab) -> list[str]:
    """Map integers `(time,)` back to tokens.

    Raises IndexError for an integer that is no index of `vocab`, TypeError for anything else.
    """
    return [vocab.itos[i] for i in _as_ids(ids, len(vocab.itos))]


def build_characters(text: str) -> tuple[dict[str, int], np.ndarray]:
    """Number the distinct characters of `text` by code point.

    Returns the dictionary from character to integer and the array of the characters, dtype
    `<U1`, shape `(n,)`, which maps the other way. Raises ValueError if `text` is empty.
    """
    if not text:
        raise ValueError("the text is empty: there are no characters to number")
    characters = sorted(set(text))
    return {character: i for i, character in enumerate(characters)}, np.array(characters)


def encode_characters(text: str, char2int: Mapping[str, int]) -> np.ndarray:
    """Map every character of `text` to its integer, int64 `(time,)`, a million in milliseconds.

    Raises ValueError for a character that `char2int` lacks, with its position.
    """
    known = _code_points("".join(char2int))
    table = np.full(known.max(initial=0) + 2, -1, dtype=np.int64)  # code point -> integer
    table[known] = list(char2int.values())
    ids = np.empty(len(text), dtype=np.int64)
    for start in range(0, len(text), BLOCK):
        codes = _code_points(text[start : start + BLOCK])
        # "clip": beyond the table its last entry, -1, and straight into ids, without a buffer
        part = np.take(table, codes, out=ids[start : start + BLOCK], mode="clip")
        if part.min() < 0:
            position = start + int(np.argmax(part < 0))
            raise ValueError(
                f"character {text[position]!r} (U+{ord(text[position]):04X}) at position "
                f"{position} is not one of the {len(char2int)} of the vocabulary: replace it or "
                "leave it out, or build the vocabulary from a text that has it"
            )
    return ids


def decode_characters(
    ids: Sequence[int] | np.ndarray | torch.Tensor, char_array: np.ndarray
) -> str:
    """Map integers `(time,)` back to text.

    Raises IndexError for an integer that is no index of `char_array`, TypeError for what is not
    an integer.
    """
    codes = np.ascontiguousarray(char_array, dtype="<U1").view(
        "<u4"
    )  # keeps "\0", as join does not
    ids = _as_ids(ids, len(codes))
    return codes[ids].tobytes().decode("utf-32-le", "surrogatepass")


def encode_file(path: str | os.PathLike, target: str | os.PathLike) -> tuple[np.memmap, np.ndarray]:
    """Encode a UTF-8 file of any size into `target`, and return `(ids, char_array)`.

    Both are as from `build_characters` and `encode_characters`, but `ids` is the file `target`
    (`.npy`) mapped into memory, of the smallest unsigned type: uint8 for up to 256 different
    characters. The text is read twice, block by block, so a few megabytes of memory will do. Line
    ends are read as Python reads them from a text file; a byte order mark is dropped.

    `target` is reused as long as the text has the same size and time of change, as `make` would
    do, and a checksum tells that the encoding is whole; what is damaged is made anew. Nothing is
    written then, so it may lie where nothing can be. Several processes may call this at once; one
    encodes, the others wait. A crash leaves no half-written `target`. Raises OSError for what
    cannot be read or written, ValueError for an empty text, one that is not UTF-8, one that
    changes meanwhile, or one that would itself be written over.
    """
    path, target = Path(path), Path(target)
    about, temporary, lock = (target.with_name(target.name + e) for e in (".json", ".tmp", ".lock"))
    try:
        with path.open("rb"):  # a folder has a size as well
            is_now = _signature(path)
    except OSError as error:
        raise OSError(
            f"{path} cannot be read ({error.strerror or error}): give the path of a text file, and "
            "mend its permissions if need be"
        ) from error
    try:
        if path.resolve() in [file.resolve() for file in (target, about, temporary, lock)]:
            raise ValueError(
                f"the encoding would be written over the text {path}: choose another place for it"
            )
        if (found := _encoding(target, about, is_now)) is not None:
            return found
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if (found := _encoding(target, about, is_now)) is not None:
                return found  # another process was first
            try:
                return _encode(path, target, about, temporary, is_now)
            finally:  # no half-written file takes room on a disk that is full
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f"{target} cannot be made of {path} ({error.strerror or error}): free some space, or "
            "choose another place, and start again"
        ) from error


def _encode(path, target, about, temporary, is_now) -> tuple[np.memmap, np.ndarray]:
    """Encode `path` into `target`, and write `about`: which text this is, and its characters."""
    seen, n = np.zeros(0x110000, dtype=bool), 0
    for codes in _blocks(path):
        seen[codes] = True
        n += len(codes)
    if not n:
        raise ValueError(f"{path} is empty: there are no characters to encode")
    characters = np.flatnonzero(seen)
    table = np.zeros(len(seen), dtype=np.min_scalar_type(len(characters) - 1))
    table[characters] = np.arange(len(characters))
    with temporary.open("wb") as file:
        header = {"descr": table.dtype.str, "fortran_order": False, "shape": (n,)}
        np.lib.format.write_array_header_1_0(file, header)
        for codes in _blocks(path):
            file.write(table[codes].tobytes())
        file.flush()
        os.fsync(file.fileno())
    if _signature(path) != is_now:
        raise ValueError(f"{path} changed while it was encoded: start again when it is done")
    known = {"text": is_now, "characters": "".join(map(chr, characters))}
    known["checksum"] = _checksum(temporary, known["characters"])
    temporary.replace(target)
    with temporary.open("w", encoding="utf8") as file:
        json.dump(known, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(about)
    return np.load(target, mmap_mode="r"), np.array(list(known["characters"]))


def _encoding(target: Path, about: Path, is_now: list) -> tuple[np.memmap, np.ndarray] | None:
    """Return what `encode_file` does if it is there, whole, and of the text as it is now."""
    try:
        known = json.loads(about.read_text("utf8"))
        if known["text"] == is_now:
            ids = np.load(target, mmap_mode="r")  # before the checksum: it may be replaced any time
            if known["checksum"] == _checksum(target, known["characters"]):
                return ids, np.array(list(known["characters"]))
    except Exception:  # whatever a damaged or a foreign file leads to
        return None
    return None


def _checksum(path: Path, characters: str) -> int:
    """Return a checksum of a file, a GB a second, and of the characters it is to be read with."""
    checksum = zlib.crc32(characters.encode())
    with path.open("rb") as file:  # mapped, all of it would count as memory of this process
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def fingerprint(ids: np.ndarray, char_array: np.ndarray) -> str:
    """Say which text this is, in a few words: its length, its characters, its last million.

    A change further in front, of the same length, is not seen: reading all would take too long.
    """
    checksum = zlib.crc32(np.ascontiguousarray(ids[-(10**6) :]), zlib.crc32(char_array))
    return f"{len(ids):,} characters, {len(char_array)} different, checksum {checksum:08x}"


BLOCK = 1 << 16  # bytes or characters: what is made of a block stays in the processor's cache


def _blocks(path: Path) -> Iterator[np.ndarray]:
    """Yield the code points of a UTF-8 file, block by block, all line ends made alike."""
    utf8 = codecs.getincrementaldecoder("utf-8-sig")()  # keeps what a border cuts in two
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)  # the same for "\r\n"
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK):
                yield _code_points(decoder.decode(block))
            yield _code_points(decoder.decode(b"", final=True))
        except UnicodeDecodeError as error:
            position = file.tell() - len(error.object) + error.start
            raise ValueError(
                f"{path} is not UTF-8 ({error.reason} at byte {position:,}): convert it first, "
                "for instance with iconv"
            ) from error


def _signature(path: Path) -> list[int]:
    """Return what changes when a file does: its size and the time of its last change."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _code_points(text: str) -> np.ndarray:
    """Return the Unicode code points of `text`, `(time,)`."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _as_ids(ids, size: int) -> np.ndarray:
    """Return `ids` as int64 `(time,)`, checked to lie in 0 … size - 1."""
    ids = ids.cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)
    if ids.ndim > 1:
        raise TypeError(f"one sequence at a time, not an array of shape {ids.shape}: pass a row")
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"integers are needed, not {ids.dtype}: convert them first")
    ids = np.atleast_1d(ids).astype(np.int64)
    wrong = (ids < 0) | (ids >= size)
    if wrong.any():
        position = int(np.argmax(wrong))
        raise IndexError(
            f"{ids[position]} at position {position} is no index of a vocabulary of {size} entries "
            f"(0 to {size - 1}): was it encoded with another vocabulary?"
        )
    return ids
