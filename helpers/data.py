"""The two data sets of the course: find, fetch, verify, read.

Each is looked for in the folder that `RNN_COURSE_DATA` names, in `data/`, and on the network; where
all of that fails, the sample in `data/sample/` takes its place and one printed line says so.
`python -m helpers.data` fetches and checks both. See `data/README.md`.
"""

import functools
import gzip
import hashlib
import os
import re
import shutil
import sys
import tarfile
from contextlib import contextmanager, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pooch
from torch.utils.data import Dataset

from helpers.progress import hold

DATA = Path(__file__).resolve().parents[1] / "data"
SOURCES = {  # the file as published, its SHA-256, and where to get it, in this order
    "imdb": (
        "aclImdb_v1.tar.gz",
        "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
        "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        "https://bj.bcebos.com/dataset/imdb%2FaclImdb_v1.tar.gz",
    ),
    "island": (
        "1268-0.txt",
        "355bfdc3f9b5e384b1918e817dd086ce0df97f4d294c69f032fb70b95c1e737c",
        "https://raw.githubusercontent.com/rasbt/machine-learning-book/"
        "35ab3774e8e249c43a98209d8efd94c060102003/ch15/1268-0.txt",
    ),
}
FORMS = {"imdb": ("aclImdb_v1.tar.gz", "aclImdb_v1.tar", "aclImdb"), "island": ("1268-0.txt",)}
SIGN = {"imdb": "(?i)imdb", "island": "(?i)1268|island"}  # in names of what is there instead
CONTENT = {  # the SHA-256 of each split's reviews, however they are packed (`data/README.md`)
    "train": "fd2f9aacf1a39c0652536e6d8c0a7f53c444a847715fa9701ad5786ba59ba885",
    "test": "88d6ef40ef24605ebb8a664f7ab519512200876945f501586e7bd1879b3eea4c",
}
REVIEW = re.compile(r"aclImdb/(?:train|test)/(?:neg|pos)/[0-9]+_[0-9]+\.txt")
PATIENCE = 4.5  # seconds for a mirror's first chunk: three silent ones are given up within 15
STALL, CHUNK_BYTES = 10, 1 << 14  # seconds for each chunk after that, so 1.6 kB/s are the least
MAX_BYTES = 100_000_000  # of a file in an archive, whatever its header claims
FAILURES = {  # what an error's name or words have in them -> what it means
    "ProxyError|407 [A-Z]": "the proxy refuses (HTTPS_PROXY=http://name:password@host:port)",
    "SSLError|CA cert": "the certificate of {0} is not trusted: REQUESTS_CA_BUNDLE can name others",
    "HTTPError": "{0} answered {1.response.status_code}",
    "^ValueError": "{0} sent something else",  # pooch's word for a wrong checksum
    "": "the connection to {0} failed",
}
_say_once = functools.cache(print)


class DataError(RuntimeError):
    """A data file or setting is unusable; the message says what, where, and what to do."""


class IMDB(Dataset):
    """The movie reviews of Maas et al. (ACL 2011), one split, as pairs `(label, text)`.

    Label 1 is positive, 0 negative. Sorted by path whatever the order in the archive: a seeded
    `random_split` gives everybody the same subsets. `is_sample` tells whether the sample stands in.

    Parameters
    ----------
    split : {"train", "test"}
        Which 25,000 reviews; half of either are positive.

    Raises
    ------
    ValueError
        If there is no such split.
    DataError
        If the archive is not the published one, or `RNN_COURSE_DATA` no folder.
    """

    def __init__(self, split: str = "train"):
        if split not in CONTENT:
            raise ValueError(f"there is no split {split!r}: choose from {', '.join(CONTENT)}")
        archive = _find("imdb")
        self.is_sample = archive is None
        if self.is_sample:
            # Not `splitlines`, which also breaks at characters that may stand within a text.
            lines = (DATA / "sample" / "reviews.tsv").read_text("utf8").split("\n")
            rows = [line.split("\t")[1:] for line in lines if line.startswith(split)]
            self._reviews = sorted(((int(y), text) for y, text in rows), key=lambda pair: pair[0])
        else:
            self._reviews = _reviews(archive, split)

    def __len__(self) -> int:
        return len(self._reviews)

    def __getitem__(self, index: int) -> tuple[int, str]:
        return self._reviews[index]


def mysterious_island() -> str:
    """Return the text of *The Mysterious Island* by Jules Verne (Project Gutenberg no. 1268).

    Returns
    -------
    str
        The whole file, lines ended by `\\n`. From `THE MYSTERIOUS ISLAND` up to `End of the Project
        Gutenberg`, which the sample has too, it has 1,112,350 characters, 80 of them distinct.

    Raises
    ------
    DataError
        If the file is another edition, or `RNN_COURSE_DATA` is no folder.
    """
    path = _find("island")
    if path is None:
        story = (DATA / "sample" / "story.txt").read_text("utf8")
        return f"THE MYSTERIOUS ISLAND (SAMPLE)\n\n{story}\nEnd of the Project Gutenberg sample\n"
    with _explain(path):
        if pooch.file_hash(path) != SOURCES["island"][1]:
            raise ValueError("it is not the edition that the course uses (its SHA-256 differs)")
        return path.read_text("utf8")


def is_sample(name: str) -> bool:
    """Tell whether the sample stands in for "imdb" or "island", after trying to download it."""
    return _find(name) is None


def _find(name: str) -> Path | None:
    """Return where a data set is, or None for the sample, saying so once per process."""
    file, folders = SOURCES[name][0], [DATA]
    if setting := os.environ.get("RNN_COURSE_DATA"):
        # A notebook runs in its own folder, so a relative path may be meant from the repository.
        places = [p.resolve() for p in (Path(setting).expanduser(), DATA.parent / setting)]
        folders = [p.parent if p.name == "aclImdb" else p for p in places if p.is_dir()] + folders
        if folders == [DATA]:
            raise DataError(
                f"RNN_COURSE_DATA is set to {setting!r}, which is not an existing folder. Set it"
                " to the one that holds the data files, or unset it, and start again."
            )
    found = (p for f in folders for n in FORMS[name] for p in (f / n, *sorted(f.glob(f"*/{n}"))))
    if folders[0] == DATA / "sample":
        why = "RNN_COURSE_DATA asks for it (unset it first)"
    elif path := next(filter(os.path.lexists, found), None):
        return path  # maybe a dangling link: a mistake to report, not to pass over
    else:
        for folder in folders:
            there = [path.name for path in folder.glob("[!.]*") if re.search(SIGN[name], path.name)]
            if there or folder != DATA:
                _say_once(f"Not in {folder}: {file}. Found: {', '.join(there) or 'nothing alike'}.")
        why = _download(name)
    if why:
        _say_once(
            f"Using the small sample in place of {file}, because {why}. For the real data, put"
            f" {file} into data/ or get a network connection, and restart (see data/README.md)."
        )
    return None if why else DATA / file


@functools.cache  # tried once per process
def _download(name: str) -> str:
    """Fetch a data set into `data/` from the first mirror that has it; else say why not."""
    file, sha256, *urls = SOURCES[name]
    folder, reasons = DATA / f".{name}.part", []
    try:
        with hold(DATA / f".{name}.lock"):
            if (DATA / file).exists():  # another process was first
                return ""
            for url in urls:
                try:
                    fetched = _fetch(url, sha256, file, folder)
                    fetched.chmod(0o644)  # pooch's temporary files are the owner's alone
                    fetched.replace(DATA / file)
                    return ""
                except (OSError, ValueError) as error:
                    if getattr(error, "errno", None):  # of the disk, not of the network
                        raise
                    words = f"{type(error).__name__} {error}"
                    says = next(FAILURES[sign] for sign in FAILURES if re.search(sign, words))
                    reasons.append(says.format(url.split("/")[2], error))
                    with suppress(AttributeError):
                        error.response.close()
                finally:  # also of what a killed process has left
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:  # read-only, full
        reasons.append(f"nothing can be stored in {DATA} ({error})" if error.errno else str(error))
    return f"the download failed: {', '.join(reasons)}"


def _fetch(url: str, sha256: str, file: str, folder: Path) -> Path:
    """Return the verified file of a mirror; raise TimeoutError when nothing more comes."""
    # In a thread: a request's time-outs leave out the name server, and start anew at each address.
    pooch.get_logger().setLevel("WARNING")
    http = pooch.HTTPDownloader(True, CHUNK_BYTES, headers={"Accept-Encoding": "identity"})
    mirror = pooch.create(folder, "", registry={file: sha256}, urls={file: url}, retry_if_failed=1)
    with ThreadPool(1) as pool:
        answer, size = pool.apply_async(mirror.fetch, (file, None, http)), 0
        while True:
            answer.wait(STALL if size else PATIENCE)
            if answer.ready():
                return Path(answer.get())
            before, size = size, sum(part.stat().st_size for part in folder.glob("*"))
            if size == before:
                raise TimeoutError


@contextmanager
def _explain(path: Path):
    """Turn whatever goes wrong with a data file into a `DataError`."""
    try:
        yield
    except Exception as error:  # a hostile header can make tarfile raise nearly anything
        raise DataError(
            f"{path} cannot be used: {error!s:.200}. Delete this file, or replace it by the"
            " published one (data/README.md says where to get it), and start again."
        ) from error


def _reviews(archive: Path, split: str) -> list[tuple[int, str]]:
    """Return the pairs `(label, text)` of a split, from the cache unless the archive is newer."""
    cache, contents = DATA / "cache" / "imdb", None
    with suppress(OSError, ValueError):  # no cache, or a damaged one
        if cache.stat().st_mtime_ns > archive.stat().st_mtime_ns:
            contents = _verify(cache.read_bytes())
    if contents is None:
        with _explain(archive):
            contents = _verify(whole := _parse(archive))
        with suppress(OSError):  # read-only, or full: go without
            cache.parent.mkdir(exist_ok=True)
            cache.with_suffix(".part").write_bytes(whole)
            cache.with_suffix(".part").replace(cache)
    fields = contents[split].decode("utf8").split("\0")  # path, text, path, text, ..., ""
    return [(int("/pos/" in p), text) for p, text in zip(fields[:-1:2], fields[1::2], strict=True)]


def _parse(source: Path) -> bytes:
    """Return path, NUL, text, NUL of every review, sorted by path; nothing is extracted to disk."""
    if source.name == "aclImdb":
        files = source.glob("*/???/*.txt")  # neg and pos
        texts = {f.relative_to(source.parent).as_posix(): f.read_bytes() for f in files}
    else:
        unpack = gzip.open if source.suffix == ".gz" else open
        with unpack(source, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
            texts = {}
            for member in tar:
                if member.size > MAX_BYTES:
                    raise ValueError(f"{member.name} in it claims to have {member.size:,} bytes")
                if member.isreg() and not member.issparse():
                    texts[member.name.removeprefix("./")] = tar.extractfile(member).read()
    paths = sorted(filter(REVIEW.fullmatch, texts))
    return b"".join(b"%s\0%s\0" % (path.encode(), texts[path]) for path in paths)


def _verify(content: bytes) -> dict[str, bytes]:
    """Return split -> its part of what `_parse` returns; raise ValueError unless it is right."""
    middle = content.find(b"aclImdb/train/")
    parts = {"test": content[:middle], "train": content[middle:]}
    for split, part in parts.items():
        if hashlib.sha256(part).hexdigest() != CONTENT[split]:
            raise ValueError(f"its reviews in {split} are not those that were published")
    return parts


def _main(full: bool) -> int | str:
    """Fetch, check and cache both data sets; return the exit status, or what is wrong."""
    try:
        IMDB()  # one split, and both are checked
        mysterious_island()
    except DataError as error:
        return str(error)
    for path in filter(None, paths := [_find(name) for name in SOURCES]):
        print(f"{path}: real and checked")
    return int(full and None in paths)


if __name__ == "__main__":
    sys.exit(_main("--full" in sys.argv))
