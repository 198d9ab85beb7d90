"""What goes wrong between a published file and a trained model, and the next start after it.

Every fault ends in the right data, in the sample with a line that says why, or in an error of one
paragraph that says what is wrong and what to do; and the next start needs no cleaning by hand.
"""

import ast
import contextlib
import ctypes
import gzip
import io
import os
import pickle
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tarfile
import time
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from small_course import (
    ARCHIVE,
    BOOK,
    FILES,
    FIRST,
    REVIEWS,
    TRAIN,
    Child,
    apply,
    caches,
    duration,
    flipped,
    kill_at,
    left_in,
    long_course,
    member,
    pack,
    pairs,
    rows,
    run,
    settings,
)

from helpers import data

pytestmark = pytest.mark.usefixtures("one_thread")

READ = {"imdb": pairs, "island": data.mysterious_island}
RIGHT = {"imdb": TRAIN, "island": BOOK.decode().replace("\r\n", "\n")}
TWENTY = range(20)


def randomly(what, seed):
    """Return a random number from 0 up to 1 that belongs to this case and to no other."""
    return random.Random(f"{what} {seed}").random()


def one_paragraph(message):
    """A learner reads it in a notebook: no line breaks, no dump of what was found."""
    assert "\n" not in message
    assert message.isprintable()
    assert 40 < len(message) < 600
    return message


def error_of(read):
    """Return the message of the DataError that `read` raises."""
    with pytest.raises(data.DataError) as caught:
        read()
    return one_paragraph(str(caught.value))


# --- the network -----------------------------------------------------------------------------

FAILURES = {  # what a mirror does -> what the line before the sample says of it
    "refuse": "the connection to 127.0.0.1:9 failed",
    403: "HOST answered 403",
    404: "HOST answered 404",
    429: "HOST answered 429",
    500: "HOST answered 500",
    503: "HOST answered 503",
    "hang": "HOST did not answer",
    "headers": "HOST did not answer",
    "stall": "the connection to HOST failed",
    "hang up": "the connection to HOST failed",
    "nothing": "the connection to HOST failed",
    "half": "the connection to HOST failed",
    "reset": "the connection to HOST failed",
    "garbage": "the connection to HOST failed",
    "bad chunk": "the connection to HOST failed",
    "false encoding": "the connection to HOST failed",
    "many headers": "the connection to HOST failed",
    "endless header": "the connection to HOST failed",
    "loop": "the connection to HOST failed",
    "to nowhere": "the connection to HOST failed",
    "to a file": "the connection to HOST failed",
    "to nonsense": "HOST sent something else",
    "bad length": "HOST sent something else",
    "empty": "HOST sent something else",
    "cut": "HOST sent something else",
    "longer": "HOST sent something else",
    "unsized half": "HOST sent something else",
    "wrong": "HOST sent something else",
    "other": "HOST sent something else",
    "page": "HOST sent something else",
    "bad encoding": "HOST sent something else",
    "endless": "HOST sent something else",
    "drip": "HOST is too slow",
}
ODD_BUT_RIGHT = ["late", "slow", "unsized", "chunked", "encoded", "redirect", "redirects"]


@pytest.fixture
def impatient(monkeypatch):
    """Who waits for a server that says nothing need not wait for long."""
    monkeypatch.setattr(data, "PATIENCE", 2)
    monkeypatch.setattr(data, "STALL", 2)
    monkeypatch.setattr(data, "SLOW", 3)
    monkeypatch.setattr(data, "MAX_DOWNLOAD_BYTES", 1_000_000)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("answer", FAILURES)
def test_bad_mirror_leads_to_the_sample_until_it_is_well(
    answer, name, folder, mirror, impatient, monkeypatch, capfd
):
    mirror.use(monkeypatch, folder, [answer])
    before = time.monotonic()
    assert data.is_sample(name)
    sample = READ[name]()
    assert time.monotonic() - before < 8  # what hangs, hangs for 60 seconds
    assert sample != RIGHT[name]
    (line,) = capfd.readouterr().out.splitlines()
    assert f"the download failed: {FAILURES[answer]}. For the real data, ".replace(
        "HOST", mirror.host
    ) in one_paragraph(line)
    assert f"put {FILES[name]} into data/ or get a network connection, and restart" in line
    assert left_in(folder) == ["sample"]
    mirror.answers = ["good"]
    mirror.use(monkeypatch, folder, ["good"])
    data._failed.clear()  # a new start
    assert READ[name]() == RIGHT[name]
    assert {FILES[name], "sample"} <= set(left_in(folder)) <= {FILES[name], "sample", "cache"}


@pytest.mark.parametrize("answer", FAILURES)
def test_second_mirror_stands_in_for_the_first(
    answer, folder, mirror, impatient, monkeypatch, capfd
):
    mirror.use(monkeypatch, folder, [answer, "good"])
    assert pairs() == TRAIN
    assert mirror.asked[-1] == "/1/imdb"
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("answer", ODD_BUT_RIGHT)
def test_odd_mirror_that_sends_the_right_file_will_do(
    answer, name, folder, mirror, monkeypatch, capfd
):
    mirror.use(monkeypatch, folder, [answer, 404])
    assert READ[name]() == RIGHT[name]
    assert not any(path.startswith("/1/") for path in mirror.asked)
    assert (folder / FILES[name]).read_bytes() == mirror.contents[name]
    assert capfd.readouterr().out == ""


def large(folder, mirror):
    """Return a course with an archive of several chunks, which the mirrors have as well."""
    reviews, archive = long_course()
    mirror.contents["imdb"] = archive
    return settings(folder, mirror.urls, reviews, archive), rows(reviews, "train"), archive


def test_mirror_that_slows_down_is_given_up(folder, mirror, monkeypatch):
    monkeypatch.setattr(data, "SLOW", 1)
    mirror.use(monkeypatch, folder, ["slows down", "good"])
    before = time.monotonic()
    assert pairs() == TRAIN
    assert time.monotonic() - before < 8  # it sends for 12 seconds
    assert mirror.asked[-1] == "/1/imdb"


def test_slow_network_of_a_learner_will_do(folder, mirror, monkeypatch):
    assert data.LEAST / data.SLOW < 5_000  # 20 kB/s is enough, with breaks too
    course, train_rows, _ = large(folder, mirror)
    apply(course, monkeypatch.setattr)
    monkeypatch.setattr(data, "SLOW", 2)
    monkeypatch.setattr(data, "LEAST", 60_000)
    mirror.answers, mirror.pause = ["slow", 404], 0.3  # 400,000 bytes in 3.6 seconds
    assert pairs() == train_rows
    assert "/1/imdb" not in mirror.asked


# --- the archive and the book ----------------------------------------------------------------

TAR = gzip.decompress(ARCHIVE)
HEADER = TAR.index(FIRST.encode())  # where the header of FIRST begins
WITHOUT = {path: text for path, text in REVIEWS.items() if path != FIRST}
LONG = "x" * 1_500_000


def zeros(size):
    """Return a .gz of zeros: many small ones in a row, which takes no time."""
    return gzip.compress(bytes(10_000_000)) * (size // 10_000_000)


def instead(kind, target=""):
    return pack(WITHOUT, [member(FIRST, type=kind, linkname=target)])


def forged(field, name=FIRST, behind=b""):
    """Return an archive in which a header claims this size, with a valid header checksum."""
    header = bytearray(tarfile.TarInfo(name).tobuf())
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(TAR[:HEADER] + header) + behind + gzip.compress(TAR[HEADER + 512 :])


def nested_names(depth):
    """Return an archive that begins with the header of a long name for a long name, and so on."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    return gzip.compress((header.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * depth)


def changed(path, text):
    return pack({**REVIEWS, path: text})


def beside(name, content=b"x", **header):
    return pack(more=[member(name, content, **header)])


BAD_ARCHIVES = {  # how it is made -> what the error says of it
    "empty file": (lambda: b"", "damaged"),
    "web page": (lambda: b"<!doctype html>" * 100, "damaged"),
    "not compressed": (lambda: TAR, "damaged"),
    "not a tar": (lambda: gzip.compress(b"words " * 1000), "damaged"),
    "clean end too early": (lambda: gzip.compress(TAR[:HEADER]), "not 3 reviews in each"),
    "cut within a member": (lambda: gzip.compress(TAR[: HEADER + 530]), ""),
    "flipped in a header": (lambda: gzip.compress(flipped(TAR, HEADER + 5)), ""),
    "negative size": (lambda: forged(b"\xff" * 11 + b"\xf0"), ""),
    "loop": (lambda: forged(b"\xff" * 10 + b"\xfe\x00", "aclImdb/README"), ""),
    "endless size": (lambda: forged(b"\x80" + b"\x7f" * 11), "a review of"),
    "endless size beside": (lambda: forged(b"\x80" + b"\x7f" * 11, "README"), "a member at byte"),
    "10 GB review": (lambda: forged(b"112402762000", behind=zeros(10**10)), "10,000,000,000 bytes"),
    "10 GB beside": (
        lambda: forged(b"112402762000", "README", zeros(10**10)),
        "a member at byte 10,000,",
    ),
    "missing": (lambda: pack(WITHOUT), "2 in train/neg and 3 in train/pos, not 3 reviews in each"),
    "extra": (lambda: changed("aclImdb/test/pos/99_9.txt", b""), "3 in test/neg and 4 in test/pos"),
    "changed": (lambda: changed(FIRST, b"x"), "reviews in train that differ"),
    "changed in test": (
        lambda: changed(FIRST.replace("train", "test"), b"x"),
        "reviews in test that differ",
    ),
    "renamed": (lambda: pack(WITHOUT | {FIRST.replace("_9", "_8"): REVIEWS[FIRST]}), "differ"),
    "one class only": (
        lambda: pack({path: text for path, text in REVIEWS.items() if "/neg/" in path}),
        "0 in train/pos",
    ),
    "no review": (lambda: pack({}), "0 in train/neg and 0 in train/pos"),
    "twice": (lambda: beside(FIRST, REVIEWS[FIRST]), f"twice, '{FIRST}'"),
    "twice, dotted": (lambda: beside(f"./{FIRST}", b"x"), f"twice, './{FIRST}'"),
    "not utf-8": (lambda: changed(FIRST, b"\xff\xfe"), "differ"),
    "a NUL in a text": (lambda: changed(FIRST, b"a\0b"), "differ"),
    "name that is not utf-8": (lambda: beside("aclImdb/test/pos/\udcff.txt"), "no review"),
    "parent": (lambda: beside("aclImdb/train/neg/../../../../evil"), "evil"),
    "parent within": (lambda: beside("aclImdb/x/../train/neg/7_1.txt"), "outside"),
    "absolute": (lambda: beside("/etc/evil_1.txt"), "'/etc/evil_1.txt'"),
    "absolute review": (lambda: pack(prefix="/"), "outside"),
    "long way up": (lambda: beside("../" * 99_999 + "evil"), "outside"),
    "backslashes": (lambda: beside("aclImdb/test/pos/x\\..\\..\\evil"), "no review"),
    "control characters": (lambda: beside("aclImdb/test/pos/\x1b[2J\r\n"), "no review"),
    "symlink": (lambda: instead(tarfile.SYMTYPE, "/etc/passwd"), FIRST),
    "hard link": (lambda: instead(tarfile.LNKTYPE, "aclImdb/train/neg/2_3.txt"), FIRST),
    "character device": (lambda: instead(tarfile.CHRTYPE), FIRST),
    "block device": (lambda: instead(tarfile.BLKTYPE), FIRST),
    "fifo": (lambda: instead(tarfile.FIFOTYPE), FIRST),
    "folder": (lambda: instead(tarfile.DIRTYPE), FIRST),
    "unknown kind": (lambda: instead(b"Z"), ""),
    "sparse": (lambda: instead(tarfile.GNUTYPE_SPARSE), FIRST),
    "stray file": (lambda: beside("aclImdb/test/pos/notes.txt"), "notes.txt"),
    "stray newline": (lambda: beside("aclImdb/test/pos/1_1.txt\n"), "no review"),
    "large review": (lambda: changed(FIRST, bytes(1_000_001)), "1,000,001 bytes"),
    "long name": (
        lambda: pack(more=[member(LONG)], format=tarfile.GNU_FORMAT),
        "a header of",
    ),
    "long comment": (lambda: beside("x", pax_headers={"comment": LONG}), "a header of 1,5"),
    "nested names": (lambda: nested_names(5_000), "damaged"),
    "other file": (lambda: BOOK, "damaged"),
}


def make_bad(case):
    return BAD_ARCHIVES[case][0]()


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archive_is_an_error_until_it_is_replaced(case, put, folder, tmp_path, capfd):
    archive, words = make_bad(case), BAD_ARCHIVES[case][1]
    path = put(archive)
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for split in data.CONTENT:  # an error in either split is an error for both
        message = error_of(lambda split=split: data.IMDB(split))
    assert time.process_time() - before < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # KiB
    assert message.startswith(f"{path} ")
    assert "Delete this file, or replace it" in message
    assert words in message
    assert path.read_bytes() == archive  # the file is the learner's: left as it is
    assert left_in(folder) == [FILES["imdb"], "sample"]  # nothing extracted, nothing cached
    assert left_in(tmp_path) == ["repository"]
    assert capfd.readouterr() == ("", "")
    put()
    assert pairs() == TRAIN


def right_or_an_error(path):
    """A damaged bit may lie in padding, say; but no other reviews than the published ones."""
    try:
        found, message = pairs(), None
    except data.DataError as error:
        found, message = TRAIN, one_paragraph(str(error))
    assert found == TRAIN
    assert message is None or message.startswith(f"{path} ")


@pytest.mark.parametrize("seed", TWENTY)
@pytest.mark.parametrize("what", ["cut", "cut inside", "flipped", "flipped inside", "scrambled"])
def test_no_damage_to_the_archive_yields_other_reviews(what, seed, put):
    whole = TAR if "inside" in what else ARCHIVE
    at = int(randomly(what, seed) * len(whole))
    if what == "scrambled":
        damaged = whole[:at] + random.Random(seed).randbytes(64) + whole[at + 64 :]
    else:
        damaged = whole[:at] if "cut" in what else flipped(whole, at, 1 << seed % 8)
    path = put(gzip.compress(damaged) if "inside" in what else damaged)
    if "cut" in what and at < len(whole) / 2:
        error_of(data.IMDB)
    else:
        right_or_an_error(path)
    put()
    assert pairs() == TRAIN


def test_most_damage_is_noticed(put):
    put(flipped(ARCHIVE, len(ARCHIVE) // 2))
    error_of(data.IMDB)
    put(gzip.compress(flipped(TAR, HEADER + 520)))
    assert "differ" in error_of(data.IMDB)


@pytest.mark.parametrize("limit", ["MAX_ARCHIVE_BYTES", "MAX_MEMBERS"])
def test_bounds_hold_for_the_whole_archive(limit, put, monkeypatch):
    put(pack(more=[member("aclImdb/imdb.vocab", bytes(900_000)), member("aclImdb/README")]))
    with monkeypatch.context() as patch:
        value, words = {
            "MAX_ARCHIVE_BYTES": (500_000, "a member at byte"),
            "MAX_MEMBERS": (12, "more than 12 members"),
        }[limit]
        patch.setattr(data, limit, value)
        assert words in error_of(data.IMDB)
    assert pairs() == TRAIN


def test_whatever_tarfile_raises_becomes_a_data_error(put, monkeypatch):
    put()
    monkeypatch.setattr(tarfile.TarInfo, "frombuf", lambda *_: {}["forged"])
    with pytest.raises(data.DataError) as caught:
        data.IMDB()
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda book: b"",
        lambda book: book[:-1],
        lambda book: book + b"\n",
        lambda book: book.replace(b"\r", b""),
        lambda book: book.decode().encode("utf-16"),
        lambda book: ARCHIVE,
        *(lambda book, n=n: flipped(book, int(randomly("book", n) * len(book))) for n in range(5)),
        *(lambda book, n=n: book[: int(randomly("end", n) * len(book))] for n in range(5)),
    ],
    ids=["empty", "cut", "longer", "newlines", "utf-16", "archive"]
    + [f"{what}{n}" for what in ("flipped", "cut") for n in range(5)],
)
def test_bad_book_is_an_error_until_it_is_replaced(spoil, folder):
    path = folder / FILES["island"]
    path.write_bytes(spoil(BOOK))
    message = error_of(data.mysterious_island)
    assert re.search(r"1268-0.txt is not the edition.*replace it", message)
    assert path.read_bytes() == spoil(BOOK)
    path.write_bytes(BOOK)
    assert data.mysterious_island() == RIGHT["island"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", ["folder", "dangling link", "link to itself"])
def test_unreadable_file_is_an_error_until_it_is_gone(name, what, folder, mirror, monkeypatch):
    path = folder / FILES[name]
    if what == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if what == "link to itself" else folder / "gone")
    assert re.search(rf"{FILES[name]} cannot be read \(.*Delete this file", error_of(READ[name]))
    path.rmdir() if what == "folder" else path.unlink()
    mirror.use(monkeypatch, folder, ["good"])
    assert READ[name]() == RIGHT[name]


def watched(hostile):
    """Read these archives; return what was unpickled, started, linked or written elsewhere."""
    seen = []

    def hook(event, args):
        if event in ("pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.fork",
                     "os.symlink", "os.link", "os.mkfifo", "os.mknod", "shutil.unpack_archive",
                     "exec"):  # fmt: skip
            seen.append((event, str(args)[:200]))
        if event in ("open", "os.mkdir", "os.rename", "os.chmod"):
            writes = event != "open" or args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and not str(args[0]).startswith(str(data.DATA)):
                seen.append((event, str(args)[:200]))

    path = data.DATA / FILES["imdb"]
    path.write_bytes(ARCHIVE)
    pairs()  # loads what it needs
    sys.addaudithook(hook)
    for archive in [*hostile, ARCHIVE]:
        path.write_bytes(archive)
        try:
            list(data.IMDB())
        except data.DataError:
            continue
    names = [str(p.relative_to(data.DATA)) for p in data.DATA.rglob("*")]
    return seen, sorted(names)


def test_nothing_is_unpickled_started_or_extracted(folder):
    seen, names = run(settings(folder), watched, [make_bad(case) for case in BAD_ARCHIVES])
    assert seen == []
    assert [name for name in names if "cache/" not in name] == sorted(
        [FILES["imdb"], ".imdb.lock", "cache", "sample", "sample/reviews.tsv", "sample/story.txt"]
    )
    assert len(names) == 8


# --- the cache -------------------------------------------------------------------------------


def forbid_parsing(monkeypatch):
    monkeypatch.setattr(data, "_members", lambda *_: pytest.fail("the archive was parsed again"))


class Evil:
    """What runs when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


CACHE_DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "labels": lambda path: path.write_bytes(path.read_bytes().replace(b"/neg/", b"/pos/")),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "older": lambda path: path.rename(path.with_name(path.name.replace("-v1-", "-v0-"))),
    "other split": lambda path: shutil.copy(
        path.with_name(path.name[: path.name.rindex("-")] + "-test"), path
    ),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Evil(path.parents[1] / "evil"))),
    "dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "half of the next": lambda path: path.rename(path.with_name(f"{path.name}.part")),
} | {
    f"{what} at {seed}": lambda path, what=what, seed=seed: path.write_bytes(
        path.read_bytes()[: int(randomly(what, seed) * path.stat().st_size)]
        if what == "cut"
        else flipped(path.read_bytes(), int(randomly(what, seed) * path.stat().st_size))
    )
    for what in ("cut", "flipped")
    for seed in TWENTY
}


@pytest.mark.parametrize("damage", CACHE_DAMAGE)
def test_cache_is_rebuilt_unless_it_is_what_was_published(damage, put, folder, monkeypatch, capfd):
    put()
    pairs()
    good = {path: path.read_bytes() for path in caches(folder)}
    CACHE_DAMAGE[damage](next(path for path in good if path.name.endswith("train")))
    assert pairs() == TRAIN
    assert {path: path.read_bytes() for path in caches(folder)} == good
    forbid_parsing(monkeypatch)
    assert pairs() == TRAIN
    assert capfd.readouterr() == ("", "")
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


# --- killed processes ------------------------------------------------------------------------


def moment(what, seed):
    """Return a random moment in this twentieth of the time that something takes."""
    return (seed + randomly(what, seed)) / len(TWENTY)


def empty(folder):
    for path in folder.iterdir():
        if path.is_dir() and path.name != "sample":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


@pytest.fixture(scope="module")
def seconds():
    """Return a function that tells how many seconds a body takes; it is timed once."""
    known = {}

    def seconds(course, body, *args):
        if body not in known:
            known[body] = duration(course, body, *args)
        return known[body]

    return seconds


def until(call, number, body, *args):
    """Run this, and die when `call` is called for this time; "half" cuts what has been written."""
    name = call.removeprefix("half ")
    owner = {"write": data._Capped}.get(name, os)
    real, calls = getattr(owner, name), []

    def die(*args):
        calls.append(1)
        if len(calls) < number:
            return real(*args)
        if call != name:
            os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
        return os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)
    body(*args)


@pytest.mark.parametrize("seed", TWENTY)
def test_killed_download_is_made_anew(seed, folder, mirror, seconds, monkeypatch, capfd):
    course, train_rows, content = large(folder, mirror)
    mirror.answers, mirror.pause = ["slow"], 0.02
    fetch = course, data.is_sample, "imdb"
    kill_at(moment("download", seed), seconds(*fetch), lambda: empty(folder), *fetch)
    archive = folder / FILES["imdb"]
    assert not archive.exists() or archive.read_bytes() == content
    mirror.answers = ["good"]
    apply(course, monkeypatch.setattr)
    assert pairs() == train_rows
    assert archive.read_bytes() == content
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("call", ["write", "replace"])
def test_killed_in_the_midst_of_a_download(call, folder, mirror, monkeypatch):
    course, train_rows, content = large(folder, mirror)
    number, size = {"write": (3, 2 << 16), "replace": (1, len(content))}[call]
    child = Child(course, until, call, number, data.is_sample, "imdb").go()
    assert child.end() == -signal.SIGKILL
    (partial,) = folder.glob(".imdb-*/*")
    assert partial.stat().st_size == size
    assert left_in(folder) == [partial.parent.name, "sample"]
    apply(course, monkeypatch.setattr)
    assert pairs() == train_rows
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("call", ["half fsync", "fsync", "replace"])
def test_killed_in_the_midst_of_writing_the_cache(call, number, put, folder, monkeypatch):
    put()
    child = Child(settings(folder), until, call, number, pairs).go()
    assert child.end() == -signal.SIGKILL
    left = [path.name.rpartition("-")[2] for path in caches(folder)]
    assert left == (["train.part"] if number == 1 else ["test.part", "train"])
    assert pairs("test") == rows(REVIEWS, "test")
    assert len(caches(folder)) == 2
    forbid_parsing(monkeypatch)
    assert pairs() == TRAIN


@pytest.mark.parametrize("seed", TWENTY)
def test_killed_parsing_is_done_anew(seed, folder, seconds, monkeypatch, capfd):
    reviews, archive = long_course()
    course = settings(folder, reviews=reviews, archive=archive)

    def prepare():
        empty(folder)
        (folder / FILES["imdb"]).write_bytes(archive)

    prepare()
    kill_at(moment("parse", seed), seconds(course, pairs), prepare, course, pairs)
    apply(course, monkeypatch.setattr)
    for split in data.CONTENT:
        assert pairs(split) == rows(reviews, split)
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]
    assert len(caches(folder)) == 2
    forbid_parsing(monkeypatch)
    assert pairs() == rows(reviews, "train")
    assert capfd.readouterr() == ("", "")


def test_who_waits_for_a_process_that_is_killed_takes_its_place(folder, mirror):
    mirror.answers = ["stall"]
    course = settings(folder, mirror.urls)
    first, second = Child(course, pairs).go(), Child(course, pairs)
    started = time.monotonic()
    while not list(folder.glob(".imdb-*/*")):  # it holds the lock, and half a file
        assert time.monotonic() - started < 20
        time.sleep(0.01)
    mirror.answers = ["good"]
    second.go()
    assert first.kill() < 0
    assert second.result() == TRAIN
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


# --- several processes at once ---------------------------------------------------------------


def counted_pairs():
    """Return the reviews, and how often this process parsed the archive."""
    parsed, parse = [], data._parse
    data._parse = lambda *args: parsed.append(1) or parse(*args)
    return pairs(), len(parsed)


def at_once(processes, course, body):
    children = [Child(course, body) for _ in range(processes)]
    for child in children:
        child.go()
    return [child.result() for child in children]


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_at_once_parse_once(processes, folder):
    reviews, archive = long_course()
    (folder / FILES["imdb"]).write_bytes(archive)
    course = settings(folder, reviews=reviews, archive=archive)
    found, parsed = zip(*at_once(processes, course, counted_pairs), strict=True)
    assert list(found) == [rows(reviews, "train")] * processes
    assert sum(parsed) == 1
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]
    assert len(caches(folder)) == 2


@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("name", FILES)
def test_processes_at_once_download_once(processes, name, folder, mirror):
    mirror.answers = ["slow"]
    course = settings(folder, mirror.urls)
    found = at_once(processes, course, READ[name])
    assert found == [RIGHT[name]] * processes
    assert mirror.asked == [f"/0/{name}"] * 2  # one knocks, and then fetches
    assert {FILES[name], "sample"} <= set(left_in(folder)) <= {FILES[name], "sample", "cache"}


# --- no room, no permission ------------------------------------------------------------------


def heard(body, *args):
    """Return what `body` returns, or the message of its error, and what it prints."""
    out = io.StringIO()
    # The bar goes elsewhere: pytest's files would be full as well.
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            result = body(*args)
        except (data.DataError, OSError) as error:
            result = one_paragraph(str(error))
    return result, out.getvalue()


def in_little_room(size, body, *args):
    """Let no file grow beyond `size`: the error is that of a full disk, but for its number."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return heard(body, *args)


ROOM = [0, 1, 0.5, 0.9]  # of the file that is to be written: bytes, or a part


def room(part, size):
    return part if part in (0, 1) else int(part * size)


@pytest.mark.parametrize("part", ROOM)
@pytest.mark.parametrize("name", FILES)
def test_download_finds_no_room(part, name, folder, mirror, monkeypatch):
    mirror.answers = ["good"]
    course, size = settings(folder, mirror.urls), len(mirror.contents[name])
    sample, said = run(course, in_little_room, room(part, size), READ[name])
    assert sample != RIGHT[name]
    assert f"the download failed: nothing can be stored in {folder} ([Errno" in said
    assert "get a network connection, and restart" in one_paragraph(said.strip("\n"))
    assert left_in(folder) == ["sample"]
    mirror.use(monkeypatch, folder, ["good"])
    assert READ[name]() == RIGHT[name]


@pytest.mark.parametrize("part", ROOM)
def test_cache_finds_no_room(part, put, folder):
    put()
    size = sum(len(path) + len(text) + 2 for path, text in REVIEWS.items()) // 2
    assert run(settings(folder), in_little_room, room(part, size), pairs) == (TRAIN, "")
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]
    assert caches(folder) == []
    assert pairs() == TRAIN
    assert len(caches(folder)) == 2


def obedient(body, *args):
    """Let permissions bind root too: as no one may write, this process may not."""
    if os.geteuid() == 0:
        header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
        assert ctypes.CDLL(None).capset(header, none) == 0
    return heard(body, *args)


@contextlib.contextmanager
def modes(wanted):
    """Give these files and folders other permissions for a while."""
    before = {path: path.stat().st_mode for path in wanted}
    try:
        for path, mode in wanted.items():
            path.chmod(mode)
        yield
    finally:
        for path, mode in before.items():
            path.chmod(mode)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("where", ["data", "cache"])
def test_reviews_come_where_nothing_may_be_written(where, cached, put, folder):
    put()
    if cached:
        pairs()
    (folder / "cache").mkdir(exist_ok=True)
    before = left_in(folder), caches(folder)
    with modes({folder / "cache": 0o555, folder: 0o555 if where == "data" else 0o755}):
        assert run(settings(folder), obedient, pairs) == (TRAIN, "")
        assert (left_in(folder), caches(folder)) == before
    assert pairs() == TRAIN
    assert len(caches(folder)) == 2


def test_download_may_not_be_written(folder, mirror, monkeypatch):
    mirror.answers = ["good"]
    with modes({folder: 0o555}):
        sample, said = run(settings(folder, mirror.urls), obedient, pairs)
    assert sample != TRAIN
    assert f"nothing can be stored in {folder} ([Errno 13] Permission denied" in said
    assert left_in(folder) == ["sample"]
    mirror.use(monkeypatch, folder, ["good"])
    assert pairs() == TRAIN


@pytest.mark.parametrize("name", FILES)
def test_file_may_not_be_read(name, folder):
    path = folder / FILES[name]
    path.write_bytes({"imdb": ARCHIVE, "island": BOOK}[name])
    with modes({path: 0}):
        message, said = run(settings(folder), obedient, READ[name])
    assert message.startswith(f"{path} cannot be read (Permission denied).")
    assert said == ""
    assert READ[name]() == RIGHT[name]


# --- what comes from outside -----------------------------------------------------------------

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    *(f"{module}.{name}" for module in ("pickle", "_pickle", "dill", "cloudpickle", "marshal")
      for name in ("load", "loads", "Unpickler")),
    "shelve.open", "pandas.read_pickle", "joblib.load", "shutil.unpack_archive",
    "torch.jit.load", "torch.hub.load", "np.fromfile",
}  # fmt: skip


def distrusted(source):
    """Return the calls in this source that would let a file run code, or say where it is put."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "torch.serialization"):
            found.append(f"from {node.module}")
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        constants = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if (
            name in FORBIDDEN
            or (name.endswith("torch.load") and constants.get("weights_only") is not True)
            or name.rpartition(".")[2] in ("extract", "extractall")
            or (name.endswith(".load") and constants.get("allow_pickle", False) is not False)
        ):
            found.append(ast.unparse(node))
    return found


def code():
    """Yield the place and the source of all that the course would run."""
    for path in sorted(ROOT.rglob("*.py")):
        if not any(part.startswith((".", "_site")) for part in path.relative_to(ROOT).parts):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                source = TransformerManager().transform_cell(cell.source)
                yield f"{path.name}, {cell.id}", source


def test_no_code_trusts_a_file():
    places = dict(code())
    assert {"helpers/training.py", "helpers/data.py", "docs/colab.py"} <= set(places)
    assert sum(".ipynb" in place for place in places) > 100
    assert {place: found for place, source in places.items() if (found := distrusted(source))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trusted)",
        "pickle.load(file)",
        "pickle.loads(file.read())",
        "from pickle import loads",
        "tar.extractall()",
        "with tarfile.open(path) as tar:\n    tar.extract(tar.next())",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_code_that_trusts_a_file_is_found(source):
    assert len(distrusted(source)) == 1
    assert distrusted("torch.load(path, weights_only=True)\nnp.load(path)") == []
