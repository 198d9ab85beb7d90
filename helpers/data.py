"""The two data sets of the course: find, fetch, verify, read.

Chapter 5 reads the Large Movie Review Dataset (`IMDB`), chapter 6 *The Mysterious Island*
(`mysterious_island`). Each is looked for in the folder that the environment variable
`RNN_COURSE_DATA` names, then in `data/`, then on the network; where all of that fails, the small
sample in `data/sample/` takes its place and one printed line says so. `data/README.md` tells where
the data come from. `python -m helpers.data` fetches and checks both.
"""

import contextlib
import gzip
import hashlib
import os
import posixpath
import re
import shutil
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from torch.utils.data import Dataset

DATA = Path(__file__).resolve().parents[1] / "data"


class Source(NamedTuple):
    """A published file: what it is, its name and SHA-256, and the mirrors in their order."""

    title: str
    file: str
    sha256: str
    urls: tuple[str, ...]


SOURCES = {
    "imdb": Source(
        "the Large Movie Review Dataset",
        "aclImdb_v1.tar.gz",
        "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
        (
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "https://bj.bcebos.com/dataset/imdb%2FaclImdb_v1.tar.gz",
        ),
    ),
    "island": Source(
        "The Mysterious Island",
        "1268-0.txt",
        "355bfdc3f9b5e384b1918e817dd086ce0df97f4d294c69f032fb70b95c1e737c",
        (
            "https://raw.githubusercontent.com/rasbt/machine-learning-book/"
            "35ab3774e8e249c43a98209d8efd94c060102003/ch15/1268-0.txt",
        ),
    ),
}
# Reviews of each label in a split, and the SHA-256 of the split's content (`data/README.md`).
CONTENT = {
    "train": (12_500, "fd2f9aacf1a39c0652536e6d8c0a7f53c444a847715fa9701ad5786ba59ba885"),
    "test": (12_500, "88d6ef40ef24605ebb8a664f7ab519512200876945f501586e7bd1879b3eea4c"),
}
LABELS = ("neg", "pos")  # the archive's folders; their positions are the labels

PATIENCE = 4.5  # seconds for a mirror's first byte: three silent ones are given up within 15
STALL = 7  # seconds without a byte that end a transfer: two stalled mirrors, within 15 too
SLOW, LEAST = 30, 120_000  # seconds, and the bytes in them: below 4 kB/s a transfer is given up
IDENTITY = {"Accept-Encoding": "identity"}  # the file as it is, for the checksum's sake
MAX_DOWNLOAD_BYTES = 200_000_000  # the larger file has 84 million: no mirror fills the disk
# What is found may be anyone's archive; the published one has 100,000 members, 0.3 GB unpacked.
MAX_MEMBERS, MAX_REVIEW_BYTES, MAX_ARCHIVE_BYTES = 200_000, 1_000_000, 2_000_000_000

_failed: dict[str, str] = {}  # data set -> why its download failed: tried once per process
_announced: set[str] = set()  # data sets whose sample line has been printed


class DataError(RuntimeError):
    """A data file or setting is unusable; the message says what, where, and what to do."""


class IMDB(Dataset):
    """The movie reviews of one split as pairs `(label, text)`, label 1 positive, 0 negative.

    `split` is `"train"` or `"test"`; each has 25,000 reviews, sorted by path (so all negative ones
    come first) whatever the order in the archive: a seeded `random_split` gives everybody the same
    subsets. The attribute `is_sample` tells whether the small sample stands in for the real ones.

    Raises `ValueError` on any other split and `DataError` on data that cannot be trusted.
    Source: Maas et al., *Learning Word Vectors for Sentiment Analysis*, ACL 2011 (P11-1015).
    """

    def __init__(self, split: str = "train"):
        """Read the split: in seconds the first time, from the cache in `data/cache/` after that."""
        if split not in CONTENT:
            raise ValueError(f"there is no split {split!r}: choose from {', '.join(CONTENT)}")
        archive = _find("imdb")
        self.split = split
        self.is_sample = archive is None
        self._reviews = _sample_reviews(split) if self.is_sample else _reviews(archive, split)

    def __len__(self) -> int:
        """Return the number of reviews."""
        return len(self._reviews)

    def __getitem__(self, index: int) -> tuple[int, str]:
        """Return the pair `(label, text)` at `index`, counted from the end if negative."""
        return self._reviews[index]


def mysterious_island() -> str:
    """Return Jules Verne's *The Mysterious Island* as one string, lines ended by `\\n`.

    It is the whole file of Project Gutenberg's no. 1268, licence and all: the story stands from
    `THE MYSTERIOUS ISLAND` up to `End of the Project Gutenberg` (1,112,350 characters, 80
    distinct). The sample has both markers too. Raises `DataError` on any other edition.
    """
    path = _find("island")
    if path is None:
        return (
            "A sample story for the course, in place of the book.\n\n"
            f"THE MYSTERIOUS ISLAND (SAMPLE)\n\n{_sample('story.txt').strip()}\n\n"
            "End of the Project Gutenberg text would stand here\n"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != SOURCES["island"].sha256:
        raise _bad(path, "is not the edition that the course uses (its SHA-256 differs)")
    return content.decode("utf8").replace("\r\n", "\n")


def is_sample(name: str) -> bool:
    """Tell whether this machine has to use the sample for the data set `"imdb"` or `"island"`.

    The answer takes a download if the file is neither in `RNN_COURSE_DATA` nor in `data/`. Raises
    `ValueError` on any other name and `DataError` if `RNN_COURSE_DATA` is not a folder.
    """
    if name not in SOURCES:
        raise ValueError(f"there is no data set {name!r}: choose from {', '.join(SOURCES)}")
    return _locate(name)[0] is None


def _bad(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} {what}. Delete this file, or replace it by the published one (data/README.md says"
        " where to get it), and start again."
    )


# --- finding the files -----------------------------------------------------------------------


def _find(name: str) -> Path | None:
    """Return the file of a data set, or None for the sample, saying so once per process."""
    path, why = _locate(name)
    if path is None and name not in _announced:
        _announced.add(name)
        print(
            f"Using the small sample in place of {SOURCES[name].title}, because {why}. For the real"
            f" data, put {SOURCES[name].file} into data/ or get a network connection, and"
            " restart (see data/README.md)."
        )
    return path


def _locate(name: str) -> tuple[Path | None, str]:
    """Return the file of a data set, or None and the reason why only the sample is left."""
    folders = [DATA]
    if setting := os.environ.get("RNN_COURSE_DATA"):
        # A notebook runs in its own folder, so a relative path may be meant from the repository.
        # `os.path`, because where it says no (an unknown `~user`, no permission) pathlib raises.
        places = (Path(os.path.expanduser(setting)), DATA.parent / setting)  # noqa: PTH111
        shared = next((place for place in places if os.path.isdir(place)), None)  # noqa: PTH112
        if shared is None:
            raise DataError(
                f"RNN_COURSE_DATA is set to {setting!r}, which is not an existing folder. Set it to"
                " the folder that holds the data files, or unset it, and start again."
            )
        if shared.resolve() == (DATA / "sample").resolve():
            return None, "RNN_COURSE_DATA asks for it (unset it first)"
        folders.insert(0, shared)
    for folder in folders:
        path = folder / SOURCES[name].file
        if os.path.lexists(path):  # a dangling link is a mistake to report, not to pass over
            return path, ""
    if name not in _failed:
        path, why = _download(name)
        if path is not None:
            return path, ""
        _failed[name] = why
    return None, _failed[name]


def _lock(name: str):
    """Lock a data set against other processes; the system frees it if this one is killed."""
    from filelock import FileLock  # here, like pooch below: importing this module stays quick

    DATA.mkdir(parents=True, exist_ok=True)
    return FileLock(DATA / f".{name}.lock").acquire()


def _download(name: str) -> tuple[Path | None, str]:
    """Fetch a data set into `data/` from the first mirror that has it; else say why not."""
    import pooch
    import requests

    _, _, sha256, urls = SOURCES[name]
    target = DATA / SOURCES[name].file
    pooch.get_logger().setLevel("WARNING")
    http = pooch.HTTPDownloader(
        progressbar=True, chunk_size=1 << 16, timeout=(PATIENCE, STALL), headers=IDENTITY
    )

    def downloader(url, path, pooch):
        with open(path, "wb") as file:  # noqa: PTH123  # a path as a string
            _in_time(SLOW, file.tell, http, url, _Capped(file), pooch)

    reasons = []
    try:
        with _lock(name):
            if target.exists():  # another process was first
                return target, ""
            for left_over in DATA.glob(f".{name}-*"):  # by a process that was killed
                shutil.rmtree(left_over)
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=DATA) as folder:
                for url in urls:
                    host = urlsplit(url).netloc
                    try:
                        _in_time(PATIENCE, None, _knock, url)
                        file = pooch.retrieve(
                            url, sha256, target.name, folder, downloader=downloader
                        )
                    except requests.HTTPError as error:
                        reasons.append(f"{host} answered {error.response.status_code}")
                    except requests.Timeout:
                        reasons.append(f"{host} did not answer")
                    except TimeoutError as error:
                        reasons.append(f"{host} {error}")
                    except requests.RequestException:
                        reasons.append(f"the connection to {host} failed")
                    except ValueError:  # pooch's word for a wrong checksum, and others' for worse
                        reasons.append(f"{host} sent something else")
                    else:
                        Path(file).chmod(0o644)  # pooch's temporary files are the owner's alone
                        Path(file).replace(target)
                        return target, ""
    except (OSError, NotImplementedError) as error:  # read-only, full, or without locks
        reasons.append(f"nothing can be stored in {DATA} ({error})")
    return None, f"the download failed: {', '.join(reasons)}"


class _Capped:
    """A file that takes no more bytes than a published one can have."""

    def __init__(self, file):
        self.file, self.flush = file, file.flush

    def write(self, chunk):
        if self.file.tell() + len(chunk) > MAX_DOWNLOAD_BYTES:
            raise ValueError("too long: it cannot be the published file")
        self.file.write(chunk)


def _knock(url: str) -> None:
    """Wait for a mirror's first byte."""
    import requests

    with requests.get(url, stream=True, timeout=PATIENCE, headers=IDENTITY) as response:
        next(response.iter_content(1), None)


def _in_time(seconds: float, arrived: Callable[[], int] | None, work: Callable, *args) -> None:
    """Do this work; raise what it raises, or `TimeoutError` if too little `arrived` in `seconds`.

    In a thread, because the time-outs of a request leave out looking up the host's name, hold for
    each of its addresses and each redirect anew, and are content with a byte every now and then.
    """
    errors = []

    def do():
        try:
            work(*args)
        except Exception as error:  # whatever it is, it belongs to the caller
            errors.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    before = 0
    while thread.is_alive():
        if arrived is None:
            raise TimeoutError("did not answer")
        if (now := arrived()) - before < LEAST:
            raise TimeoutError("is too slow")
        before = now
        thread.join(seconds)
    if errors:
        raise errors.pop()  # kept here, it would keep its connection open


# --- reading the reviews ---------------------------------------------------------------------


def _reviews(archive: Path, split: str) -> list[tuple[int, str]]:
    """Return the pairs `(label, text)` of a split, from the cache or else from the archive."""
    try:
        with archive.open("rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest()
            # A cache is the very sequence of bytes on which the content check is defined: path,
            # NUL, text, NUL, review after review. So one SHA-256 tells whether to believe it.
            caches = {split: DATA / "cache" / f"imdb-v1-{key[:16]}-{split}" for split in CONTENT}
            content = _cached(caches, split) or _parse_once(archive, file, caches)[split]
    except OSError as error:
        raise _bad(archive, f"cannot be read ({error.strerror})") from error
    fields = content.decode("utf8").split("\0")  # path, text, path, text, ..., ""
    labels = (LABELS.index(path.split("/")[2]) for path in fields[:-1:2])
    return list(zip(labels, fields[1::2], strict=True))


def _cached(caches: dict[str, Path], split: str) -> bytes | None:
    """Return the cached content of a split, or None if there is none that can be believed."""
    try:
        content = caches[split].read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == CONTENT[split][1] else None


def _parse_once(archive: Path, file, caches: dict[str, Path]) -> dict[str, bytes]:
    """Return both splits, parsed into the cache unless another process has just done that."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock("imdb"))
        except (OSError, NotImplementedError):  # read-only, or without locks: then no cache
            return _parse(archive, file)
        contents = {split: _cached(caches, split) for split in CONTENT}
        if None in contents.values():
            contents = _parse(archive, file)
            _write_cache({caches[split]: content for split, content in contents.items()})
        return contents


def _write_cache(contents: dict[Path, bytes]) -> None:
    """Make these files the only ones in the cache; where they find no room, go without."""
    folder = next(iter(contents)).parent
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        for old in set(folder.glob("imdb-*")) - set(contents):  # other archives, killed processes
            old.unlink()
    for path, content in contents.items():
        partial = path.with_name(f"{path.name}.part")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()


def _parse(archive: Path, file) -> dict[str, bytes]:
    """Return the checked content of both splits from an open archive."""
    file.seek(0)
    try:
        texts = _members(archive, file)
    except DataError:
        raise
    except Exception as error:  # a damaged or hostile header can make tarfile raise nearly anything
        raise _bad(archive, f"is damaged, or not a .tar.gz archive ({error})") from error
    contents = {}
    for split, (count, sha256) in CONTENT.items():
        paths = sorted(path for path in texts if path.startswith(f"aclImdb/{split}/"))
        found = Counter(path.split("/")[2] for path in paths)
        if any(found[label] != count for label in LABELS):
            counts = " and ".join(f"{found[label]:,} in {split}/{label}" for label in LABELS)
            raise _bad(archive, f"has {counts}, not {count:,} reviews in each")
        contents[split] = b"".join(b"%s\0%s\0" % (path.encode(), texts[path]) for path in paths)
        if hashlib.sha256(contents[split]).hexdigest() != sha256:
            raise _bad(archive, f"has reviews in {split} that differ from the published ones")
    return contents


def _members(archive: Path, file) -> dict[str, bytes]:
    """Return path -> bytes of every labelled review; nothing is extracted to disk."""
    texts = {}
    stream = _Bounded(gzip.GzipFile(fileobj=file))
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for number, member in enumerate(tar, 1):
            path = posixpath.normpath(member.name)
            shown = repr(member.name[:100])
            labelled = re.match("aclImdb/(train|test)/(neg|pos)/(.*)", path, re.DOTALL)
            if number > MAX_MEMBERS:
                raise _bad(archive, f"has more than {MAX_MEMBERS:,} members")
            if path.startswith("/") or ".." in member.name.split("/"):
                raise _bad(archive, f"has a member outside its folder, {shown}")
            if not labelled or labelled[3].startswith("."):  # some systems pack hidden files along
                continue
            if not re.fullmatch(r"[0-9]+_[0-9]+\.txt", labelled[3]):
                raise _bad(archive, f"has a member that is no review, {shown}")
            if not member.isfile() or member.issparse():
                raise _bad(archive, f"has a link or device for a review, {shown}")
            if member.size > MAX_REVIEW_BYTES:
                raise _bad(archive, f"has a review of {member.size:,} bytes, {shown}")
            if path in texts:
                raise _bad(archive, f"has a review twice, {shown}")
            stream.seek(member.offset_data)
            texts[path] = stream.read(member.size)
    return texts


class _Bounded:
    """A stream that only goes forward, up to a limit, whatever forged headers make tarfile ask."""

    def __init__(self, stream):
        self.stream, self.tell = stream, stream.tell

    def read(self, size):
        if not 0 <= size <= MAX_REVIEW_BYTES:
            raise ValueError(f"a header of {size:,} bytes")
        return self.stream.read(size)

    def seek(self, offset):
        if not self.tell() <= offset <= MAX_ARCHIVE_BYTES:
            raise ValueError(f"a member at byte {offset:,}")
        self.stream.seek(offset)


# --- the sample, and the command line --------------------------------------------------------


def _sample(file: str) -> str:
    path = DATA / "sample" / file
    try:
        return path.read_bytes().decode("utf8").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Restore it from git.") from error


def _sample_reviews(split: str) -> list[tuple[int, str]]:
    # Not `splitlines`, which also breaks at characters that may stand within a text.
    rows = [row.split("\t") for row in _sample("reviews.tsv").split("\n") if row]
    reviews = [(int(label), text) for of, label, text in rows if of == split]
    return sorted(reviews, key=lambda review: review[0])


def main(full: bool = False) -> int:
    """Fetch, check and cache both data sets, one line each; return the exit status.

    With `full` (`python -m helpers.data --full`) the sample in place of a data set is an error.
    """
    status = 0
    for name, read, unit in (
        ("imdb", lambda: IMDB("train") + IMDB("test"), "reviews"),
        ("island", mysterious_island, "characters"),
    ):
        try:
            size = len(read())
            if path := _find(name):  # the sample has announced itself
                print(f"{SOURCES[name].title}: real, {size:,} {unit}, from {path}")
            elif full:
                status = 1
        except DataError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(full="--full" in sys.argv[1:]))
