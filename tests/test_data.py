"""`helpers.data`: what it reads, where it looks, what it says, and what goes wrong on the way.

All on small data sets of our own (`small_course.py`). Every fault ends in the right data, in the
sample with a line that says why, or in an error that says what is wrong and what to do; and the
next start needs no cleaning by hand. The last tests read the real data, where they are.
"""

import contextlib
import gzip
import http.server
import os
import random
import runpy
import shutil
import signal
import tarfile
import threading
import time
import tracemalloc

import pytest
import requests
import torch
from filelock import FileLock
from small_course import (
    ARCHIVE,
    BOOK,
    FILES,
    FIRST,
    REVIEWS,
    TRAIN,
    Child,
    apply,
    flipped,
    left_in,
    member,
    pack,
    pairs,
    restart,
    rows,
    run,
    settings,
)
from torch.utils.data import random_split

from helpers import data, progress

TAR = gzip.decompress(ARCHIVE)
PATIENCE = data.PATIENCE  # the real one: the tests wait longer, or shorter


def error_of(read):
    """Return the message of the DataError that `read` raises: what a learner reads."""
    with pytest.raises(data.DataError) as caught:
        read()
    message = str(caught.value)
    assert message.isprintable()
    assert 40 < len(message) < 600
    assert "Delete this file, or replace it by the published one" in message
    return message


def test_reviews_come_sorted_by_path(put, capfd):
    for seed in (1, 2):  # a seeded random_split gives everybody the same reviews
        put(pack(seed=seed))
        reviews = data.IMDB()
        assert list(reviews) == TRAIN  # `list` also needs the IndexError past the end
    assert (len(reviews), reviews[-1], reviews.is_sample) == (6, TRAIN[-1], False)
    assert pairs("test") == rows(REVIEWS, "test") != TRAIN
    assert not data.is_sample("imdb")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "archive",
    [
        pack(prefix="./"),
        pack(format=tarfile.PAX_FORMAT, pax_headers={"comment": "repacked"}),
        pack(more=[member("aclImdb/train/neg/._1_9.txt"), member("aclImdb/train/neg/notes.txt")]),
        pack(more=[member("aclImdb/train/neg/", type=tarfile.DIRTYPE)]),
        pack(more=[member("aclImdb/train/unsup/1_0.txt", bytes(2_000_000))]),
    ],
    ids=["dot-slash", "pax", "stray files", "folder", "large unlabelled file"],
)
def test_honest_repacks_are_accepted(put, archive):
    put(archive)
    assert pairs() == TRAIN


def test_unknown_split_is_a_value_error(folder):
    with pytest.raises(ValueError, match=r"'dev'.*train, test"):
        data.IMDB(split="dev")


# --- the cache -------------------------------------------------------------------------------


def forbid_parsing(monkeypatch):
    monkeypatch.setattr(data, "_parse", lambda _: pytest.fail("the archive was parsed again"))


def test_bad_archive_is_not_hidden_by_the_cache_of_a_good_one(put):
    put()
    pairs()
    put(ARCHIVE[:-200])
    with pytest.raises(data.DataError):
        data.IMDB()


@pytest.mark.parametrize(
    "damage",
    [
        lambda cache: cache.write_bytes(cache.read_bytes()[:-9]),
        lambda cache: cache.write_bytes(cache.read_bytes().replace(b"/neg/", b"/pos/")),
        lambda cache: (cache.unlink(), cache.symlink_to("nowhere")),
    ],
    ids=["cut", "other labels", "dangling link"],
)
def test_cache_is_made_once_and_anew_if_it_is_damaged(damage, put, folder, monkeypatch):
    put()
    pairs()
    damage(folder / "cache" / "imdb")
    assert pairs() == TRAIN
    forbid_parsing(monkeypatch)
    assert pairs("test") == rows(REVIEWS, "test")  # once for both splits
    assert left_in(folder / "cache") == ["imdb"]


@pytest.mark.parametrize("place", ["cache", "data"])
def test_reviews_come_where_nothing_can_be_written(place, put, folder, tmp_path, monkeypatch):
    path = put()
    if place == "cache":
        (folder / "cache").write_bytes(b"a file where the folder should be")
    else:
        monkeypatch.setenv("RNN_COURSE_DATA", str(tmp_path))
        shutil.move(path, tmp_path)
        shutil.rmtree(folder)
        folder.write_bytes(b"a file where the folder should be")
    assert pairs() == TRAIN


# --- the network -----------------------------------------------------------------------------


def test_download_is_verified_stored_and_found_again(folder, mirror, monkeypatch, capfd):
    mirror.use(monkeypatch, folder, ["good", "good"])
    assert not data.is_sample("imdb")
    assert pairs() == TRAIN
    assert data.mysterious_island()
    assert mirror.asked == ["/0/imdb", "/0/island"]  # the second mirror is a reserve
    assert left_in(folder) == [FILES["island"], FILES["imdb"], "cache", "sample"]
    assert (folder / FILES["imdb"]).read_bytes() == ARCHIVE
    assert (folder / FILES["imdb"]).stat().st_mode & 0o777 == 0o644
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert all("B/s" in line for line in err.replace("\r", "\n").split("\n") if line.strip())


def test_sample_line_tells_why_and_is_printed_once(folder, mirror, monkeypatch, capfd):
    mirror.use(monkeypatch, folder, ["half", 404])
    assert data.is_sample("imdb")
    train, test = data.IMDB("train"), data.IMDB("test")
    assert list(train) == [(0, "bad"), (1, "good\x85"), (1, "fine")]
    assert list(test) == [(0, "dull"), (1, "ok")]
    assert train.is_sample
    assert mirror.asked == ["/0/imdb"] * 2 + ["/1/imdb"] * 2  # and no more in this process
    assert capfd.readouterr().out == (
        "Using the small sample in place of aclImdb_v1.tar.gz, because the download failed: the"
        f" connection to {mirror.host} failed, {mirror.host} answered 404. For the real data, put"
        " aclImdb_v1.tar.gz into data/ or get a network connection, and restart (see"
        " data/README.md).\n"
    )
    story = data.mysterious_island()
    start, end = story.find("THE MYSTERIOUS ISLAND"), story.find("End of the Project Gutenberg")
    assert "“Ahoy!”" in story[start:end]
    assert "in place of 1268-0.txt" in capfd.readouterr().out
    assert left_in(folder) == ["sample"]
    (folder / FILES["imdb"]).write_bytes(ARCHIVE)  # which ends the sample
    assert pairs() == TRAIN


def test_interrupted_download_leaves_nothing_and_is_tried_again(folder, mirror, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    mirror.use(monkeypatch, folder, ["stall"])
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.pool.AsyncResult.wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.IMDB()
    assert left_in(folder) == ["sample"]
    mirror.answers = ["good"]
    assert pairs() == TRAIN


def test_silent_network_is_given_up_within_15_seconds(folder, mirror, monkeypatch):
    assert 3 * PATIENCE < 15  # all mirrors of both data sets
    monkeypatch.setattr(data, "PATIENCE", 0.5)
    mirror.use(monkeypatch, folder, ["hang", "headers"])
    before = time.monotonic()
    assert data.is_sample("imdb")
    assert time.monotonic() - before < 5


def test_name_server_that_never_answers_is_given_up(folder, monkeypatch):
    gone = threading.Event()
    monkeypatch.setattr(data, "PATIENCE", 0.5)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: gone.wait(30) and [])
    before = time.monotonic()
    assert data.IMDB().is_sample
    assert time.monotonic() - before < 5
    gone.set()


# --- where the files are looked for ----------------------------------------------------------


def test_shared_folder_may_hold_one_file_and_comes_first(put, folder, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    put()
    (folder / FILES["island"]).write_bytes(b"not the book")
    (shared / FILES["island"]).write_bytes(BOOK)
    monkeypatch.setenv("RNN_COURSE_DATA", str(shared))
    assert "MYSTERIOUS" in data.mysterious_island()
    assert pairs() == TRAIN
    assert left_in(shared) == [FILES["island"]]  # nothing is written there


@pytest.mark.parametrize("setting", ["~/shared", "../shared", "", "ABSOLUTE"])
def test_shared_folder_can_be_named_in_several_ways(put, tmp_path, monkeypatch, setting):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")  # a relative path counts from the repository as well
    (tmp_path / "shared").mkdir()
    path = put()
    if setting:
        path.rename(tmp_path / "shared" / path.name)
    monkeypatch.setenv("RNN_COURSE_DATA", setting.replace("ABSOLUTE", f"{tmp_path}/shared"))
    assert pairs() == TRAIN


@pytest.mark.parametrize("setting", ["nowhere", "/dev/null"])
def test_shared_folder_that_is_none_is_an_error(put, setting, monkeypatch):
    put()
    monkeypatch.setenv("RNN_COURSE_DATA", setting)
    for read in (data.IMDB, data.mysterious_island, lambda: data.is_sample("imdb")):
        with pytest.raises(data.DataError, match=rf"RNN_COURSE_DATA.*{setting}.*not an existing"):
            read()


def test_sample_can_be_asked_for(put, folder, monkeypatch, capfd):
    put()
    monkeypatch.setenv("RNN_COURSE_DATA", f"{folder}/../data/sample/")
    assert data.IMDB().is_sample
    assert data.is_sample("island")
    assert capfd.readouterr().out.count("because RNN_COURSE_DATA asks for it") == 2


def test_command_prints_a_line_each_and_fails_on_an_error(put, folder, capfd):
    archive, book = put(), folder / FILES["island"]
    book.write_bytes(BOOK)
    assert data._main(full=True) == 0
    assert capfd.readouterr().out == f"{archive}: real and checked\n{book}: real and checked\n"
    book.unlink()
    assert (data._main(full=False), data._main(full=True)) == (0, 1)  # the sample will do, or not
    put(b"broken")
    assert str(archive) in data._main(full=False)  # which sys.exit prints, with status 1


def test_command_finds_the_repository_that_it_lies_in(folder, monkeypatch, capfd):
    copy = folder.parent / "helpers" / "data.py"
    copy.parent.mkdir()
    shutil.copy(data.__file__, copy)
    monkeypatch.setenv("RNN_COURSE_DATA", str(folder / "sample"))
    monkeypatch.setattr("sys.argv", [str(copy), "--full"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(copy), run_name="__main__")
    assert caught.value.code == 1
    assert capfd.readouterr().out.count("Using the small sample in place of") == 2


def unpack(folder, reviews=REVIEWS):
    for path, text in reviews.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)


@pytest.mark.parametrize("setting", ["", "shared", "shared/aclImdb"])
@pytest.mark.parametrize("deeper", ["", "aclImdb_v1"])
def test_what_was_unpacked_by_hand_is_read(setting, deeper, folder, tmp_path, monkeypatch):
    if setting:
        monkeypatch.setenv("RNN_COURSE_DATA", str(tmp_path / setting))
    root = (tmp_path / "shared" if setting else folder) / ("" if "/" in setting else deeper)
    unpack(root)
    (root / "aclImdb/train/neg/._1_9.txt").touch()  # what a file manager leaves
    (root / "aclImdb/train/unsup").mkdir()
    (root / "aclImdb/train/unsup/1_0.txt").touch()
    assert pairs() == TRAIN
    assert pairs("test") == rows(REVIEWS, "test")
    (root / FIRST).unlink()
    os.utime(root / "aclImdb")
    assert "its reviews in train are not" in error_of(data.IMDB)


@pytest.mark.parametrize("name", ["aclImdb_v1.tar", "unpacked/aclImdb_v1.tar.gz"])
def test_archive_may_be_unpacked_halfway_or_lie_one_folder_deeper(name, folder):
    (folder / "unpacked").mkdir()
    (folder / name).write_bytes(ARCHIVE if name.endswith(".gz") else TAR)
    assert pairs() == TRAIN


def test_what_lies_there_instead_is_named(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("RNN_COURSE_DATA", str(tmp_path))
    for name in ("IMDB Dataset.csv", "aclImdb_v1.tar (1).gz", "aclImdb_v1.zip", "pg1268.txt", "x"):
        (tmp_path / name).touch()
    assert data.is_sample("imdb")
    assert data.is_sample("island")
    out = capfd.readouterr().out
    assert f"Not in {tmp_path}: aclImdb_v1.tar.gz. Found: " in out
    assert {"IMDB Dataset.csv", "aclImdb_v1.tar (1).gz", "aclImdb_v1.zip"} == set(
        out.partition("Found: ")[2].partition(".\n")[0].split(", ")
    )
    assert f"Not in {tmp_path}: 1268-0.txt. Found: pg1268.txt.\n" in out
    assert out.count("Using the small sample") == 2
    assert f"Not in {folder}" not in out  # nothing of this kind is there


# --- bad mirrors, bad files -------------------------------------------------------------------

FAILURES = {  # what a mirror does -> what the line before the sample says of it
    "refuse": "the connection to 127.0.0.1:9 failed",
    "headers": "the connection to HOST failed",
    "stall": "the connection to HOST failed",
    "half": "the connection to HOST failed",
    "unsized half": "HOST sent something else",
    "page": "HOST sent something else",
}


@pytest.fixture
def impatient(monkeypatch):
    """Who waits for a server that says nothing need not wait for long."""
    monkeypatch.setattr(data, "PATIENCE", 1)
    monkeypatch.setattr(data, "STALL", 1)
    monkeypatch.setattr(data, "CHUNK_BYTES", 64)


@pytest.mark.parametrize("answer", FAILURES)
def test_bad_mirror_leads_to_the_next_or_to_the_sample(
    answer, folder, mirror, impatient, monkeypatch, capfd
):
    mirror.use(monkeypatch, folder, [answer])
    assert pairs() != TRAIN
    assert f"failed: {FAILURES[answer]}. For".replace("HOST", mirror.host) in capfd.readouterr().out
    assert left_in(folder) == ["sample"]
    mirror.use(monkeypatch, folder, [answer, "good"])  # a new start
    assert pairs() == TRAIN
    assert mirror.asked[-1] == "/1/imdb"
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


class Proxy(http.server.BaseHTTPRequestHandler):
    """Wants a password, or answers in the name of every host, as an inspecting proxy does."""

    def do_CONNECT(self):
        self.send_error(407)

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture
def through_a_proxy(folder, monkeypatch):
    """Ask for the files as the course does: over https, through a proxy on this machine."""
    monkeypatch.delenv("no_proxy")
    apply(
        settings(folder, ["https://reviews.example", "https://mirror.example"]), monkeypatch.setattr
    )
    restart()
    with http.server.HTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def test_proxy_that_wants_a_password_is_named(through_a_proxy, capfd):
    assert data.is_sample("imdb")
    assert "because the download failed: the proxy refuses (HTTPS_PROXY=" in capfd.readouterr().out


def test_missing_file_of_certificates_is_named(through_a_proxy, monkeypatch, capfd):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/gone/company.pem")
    assert data.is_sample("imdb")
    assert "reviews.example is not trusted: REQUESTS_CA_BUNDLE can" in capfd.readouterr().out


def test_certificate_that_nobody_knows_is_named(folder, monkeypatch, capfd):
    def present(self, *_, **__):
        raise requests.exceptions.SSLError("self-signed certificate in certificate chain")

    monkeypatch.setattr("requests.Session.send", present)
    assert data.is_sample("imdb")
    assert "the certificate of 127.0.0.1:9 is not trusted: REQUESTS_CA" in capfd.readouterr().out


@pytest.mark.parametrize("answer", ["unsized", ["half", "good"]])
def test_odd_mirror_that_sends_the_right_file_will_do(answer, folder, mirror, monkeypatch):
    mirror.use(monkeypatch, folder, [answer, 404])
    assert pairs() == TRAIN
    assert not any(path.startswith("/1/") for path in mirror.asked)


def test_slow_network_of_a_learner_will_do(folder, mirror, impatient, monkeypatch):
    mirror.seconds = 2.5  # longer than the patience, with breaks that are shorter
    mirror.use(monkeypatch, folder, ["slow", 404])
    assert pairs() == TRAIN


@pytest.mark.slow
def test_mirror_that_drips_is_given_up(folder, mirror, monkeypatch):
    monkeypatch.setattr(data, "PATIENCE", 3)
    mirror.seconds = 12
    mirror.use(monkeypatch, folder, ["drip", "good"])
    assert pairs() == TRAIN
    assert mirror.asked == ["/0/imdb", "/1/imdb"]


HEADER = TAR.index(FIRST.encode())  # where the header of FIRST begins
LAST = "aclImdb/test/pos/2_3.txt"
WITHOUT = {path: text for path, text in REVIEWS.items() if path != FIRST}


def claiming(size, name, kind=tarfile.REGTYPE):
    """Return an archive with a header that claims this size, and 99 MB of zeros behind it."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    at = 483 if kind == tarfile.GNUTYPE_SPARSE else 124
    header[at : at + 12], header[156:157] = size, kind
    header[148:156] = b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:])
    return gzip.compress(TAR[:HEADER] + header) + gzip.compress(bytes(10**6)) * 99


def instead(kind, target=""):
    return pack(WITHOUT, [member(FIRST, type=kind, linkname=target)])


BAD_ARCHIVES = {  # how it is made -> what the error says of it
    "empty file": (b"", "cannot be used"),
    "web page": (b"<!doctype html>" * 100, "Not a gzipped file"),
    "not a tar": (gzip.compress(b"words " * 1000), "invalid header"),
    "cut": (ARCHIVE[: len(ARCHIVE) // 2], "ended before"),
    "clean end too early": (gzip.compress(TAR[:HEADER]), "its reviews in"),
    "one class only": (pack({p: REVIEWS[p] for p in REVIEWS if "/neg/" in p}), "its reviews in"),
    "changed": (pack(REVIEWS | {FIRST: b"x"}), "in train are not"),
    "changed in test": (pack(REVIEWS | {LAST: b"x"}), "in test are not"),
    "extra": (pack(REVIEWS | {LAST.replace("2_", "99_"): b""}), "in test are not"),
    "renamed": (pack(WITHOUT | {FIRST.replace("_9", "_8"): REVIEWS[FIRST]}), "in train are not"),
    "replaced": (pack(more=[member(FIRST, b"x")]), "in train are not"),
    "outside": (pack(WITHOUT, [member(f"../../{FIRST}", REVIEWS[FIRST])]), "in train are not"),
    "link": (instead(tarfile.SYMTYPE, LAST), "in train are not"),
    "device": (instead(tarfile.CHRTYPE), "in train are not"),
    "negative size": (claiming(b"\xff" * 10 + b"\xfe\x00", "README"), "backwards"),
    "endless review": (claiming(b"77777777777\0", FIRST), "claims to have 8,589,934,591 b"),
    "large hole": (claiming(b"02200000000\0", FIRST, tarfile.GNUTYPE_SPARSE), "claims to have"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archive_is_an_error_until_it_is_replaced(case, put, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MAX_BYTES", 9_000_000)
    archive, words = BAD_ARCHIVES[case]
    path = put(archive)
    tracemalloc.start()
    for split in data.CONTENT:  # an error in either split is an error for both
        message = error_of(lambda split=split: data.IMDB(split))
    assert tracemalloc.get_traced_memory()[1] < 40_000_000  # at its peak
    tracemalloc.stop()
    assert message.startswith(f"{path} ")
    assert words in message
    assert path.read_bytes() == archive  # the file is the learner's: left as it is
    assert left_in(folder) == [FILES["imdb"], "sample"]  # nothing extracted, nothing cached
    assert left_in(tmp_path) == ["repository"]
    put()
    assert pairs() == TRAIN


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_to_the_archive_yields_other_reviews(seed, put):
    rng = random.Random(seed)
    inside = flipped(TAR, rng.randrange(len(TAR)), 1 << rng.randrange(8))
    outside = flipped(ARCHIVE, rng.randrange(len(ARCHIVE)), 1 << rng.randrange(8))
    for damaged in (gzip.compress(inside), outside):
        put(damaged)
        with contextlib.suppress(data.DataError):  # a damaged bit may lie in padding, say
            assert pairs() == TRAIN


@pytest.mark.parametrize(
    "book", [b"", BOOK[:-1], BOOK.replace(b"\r", b""), ARCHIVE], ids=["empty", "cut", "lf", "other"]
)
def test_bad_book_is_an_error_until_it_is_replaced(book, folder):
    path = folder / FILES["island"]
    path.write_bytes(book)
    assert "1268-0.txt cannot be used: it is not the edition" in error_of(data.mysterious_island)
    path.write_bytes(BOOK)
    assert data.mysterious_island() == BOOK.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("name", "read"), [("imdb", pairs), ("island", data.mysterious_island)])
def test_unreadable_file_is_an_error(name, read, folder):
    (folder / FILES[name]).mkdir()
    assert "Is a directory" in error_of(read)
    (folder / FILES[name]).rmdir()
    (folder / FILES[name]).symlink_to("nowhere")
    assert "No such file" in error_of(read)


# --- killed processes, several at once, no room ----------------------------------------------


def until_moved(body, *args):
    """Run this, and die when the first finished file is to be put in its place."""
    os.rename = os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    body(*args)


@pytest.mark.parametrize("there", [[], [FILES["imdb"], "cache"]], ids=["download", "cache"])
def test_killed_process_leaves_nothing_in_the_way(there, folder, mirror, monkeypatch):
    if there:
        (folder / FILES["imdb"]).write_bytes(ARCHIVE)
    child = Child(settings(folder, mirror.urls), until_moved, pairs).go()
    assert child.end() == -signal.SIGKILL
    assert left_in(folder) == [*(there or [".imdb.part"]), "sample"]
    mirror.use(monkeypatch, folder, ["good"])
    assert pairs() == TRAIN
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]
    assert left_in(folder / "cache") == ["imdb"]


def test_who_waits_for_a_process_that_is_killed_takes_its_place(folder, mirror):
    mirror.answers = ["stall"]
    course = settings(folder, mirror.urls)
    first, second = Child(course, pairs).go(), Child(course, pairs)
    while not list(folder.glob(".imdb.part/*")):  # it holds the lock, and half a file
        time.sleep(0.01)
    mirror.answers = ["good"]
    second.go()
    assert first.kill() < 0
    assert second.result() == TRAIN
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_at_once_download_once(processes, folder, mirror):
    mirror.answers = ["slow"]
    children = [Child(settings(folder, mirror.urls), pairs) for _ in range(processes)]
    for child in children:
        child.go()
    assert [child.result() for child in children] == [TRAIN] * processes
    assert mirror.asked == ["/0/imdb"]
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


def test_lock_that_is_never_given_back_is_named_and_left(folder, monkeypatch, capfd):
    monkeypatch.setattr(data, "hold", lambda path: progress.hold(path, 0.2))
    with FileLock(folder / ".imdb.lock"):
        assert data.is_sample("imdb")
    told, again, sample = capfd.readouterr().out.splitlines()
    assert (
        told == f"Waited 5 s: another process holds {folder}/.imdb.lock. Is there none? Delete it."
    )
    assert "0.2 s" in again
    assert f"because the download failed: another process holds {folder}/.imdb.lock." in sample


def in_little_room(size, body, *args):
    """Let no file grow beyond `size`: the error is that of a full disk, but for its number."""
    import resource  # not on Windows, where no process of this kind starts

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return body(*args)


def test_disk_is_full(folder, mirror, monkeypatch):
    course = settings(folder, mirror.urls)
    why = run(course, in_little_room, 200, data._download, "imdb")
    assert why.startswith(f"the download failed: nothing can be stored in {folder} ([Errno")
    assert left_in(folder) == ["sample"]
    (folder / FILES["imdb"]).write_bytes(ARCHIVE)
    assert run(course, in_little_room, 200, pairs) == TRAIN  # without a cache
    assert left_in(folder / "cache") != ["imdb"]
    mirror.use(monkeypatch, folder, [404])
    assert pairs() == TRAIN
    assert left_in(folder / "cache") == ["imdb"]


# --- the data of the course ------------------------------------------------------------------


@pytest.fixture
def real(tmp_path, monkeypatch, request):
    """Let a real file be found, with a cache of its own, or else skip the test."""
    monkeypatch.setattr(data, "_download", lambda name: "tests do not download")
    path = data._find(request.param)
    if path is None:
        pytest.skip("the real file is not on this machine")
    monkeypatch.setenv("RNN_COURSE_DATA", str(path.parent.resolve()))
    monkeypatch.setattr(data, "DATA", tmp_path)


@pytest.mark.parametrize("real", ["imdb"], indirect=True)
def test_real_reviews(real, monkeypatch):
    train, test = data.IMDB("train"), data.IMDB("test")
    forbid_parsing(monkeypatch)
    before = time.process_time()
    data.IMDB("train")
    assert time.process_time() - before < 2  # about 0.3
    for reviews in (train, test):
        assert [label for label, _ in reviews] == [0] * 12_500 + [1] * 12_500
    assert train[0][1].startswith("Story of a man who has unnatural feelings for a pig.")
    assert test[0][1].startswith("Once again Mr. Costner has dragged out a movie for far longer")
    assert len({text for _, text in train}) == 24_904
    torch.manual_seed(1)
    twenty_thousand, _ = random_split(train, [20_000, 5_000])
    assert twenty_thousand.indices[:4] == [20845, 22461, 17646, 9064]


@pytest.mark.parametrize("real", ["island"], indirect=True)
def test_real_book(real):
    book = data.mysterious_island()
    start, end = book.find("THE MYSTERIOUS ISLAND"), book.find("End of the Project Gutenberg")
    assert end - start == 1_112_350
    assert len(set(book[start:end])) == 80
