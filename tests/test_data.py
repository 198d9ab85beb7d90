"""`helpers.data` against damaged files, hostile archives, broken networks and full disks.

All on small data sets of our own: `CONTENT` and `SOURCES` are replaced, the code is the real one.
The last tests read the real data, where they lie on this machine.
"""

import errno
import gzip
import hashlib
import http.server
import io
import json
import random
import runpy
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import random_split

from helpers import data

REPOSITORY = Path(__file__).resolve().parents[1]
NAMES = ("10_1.txt", "1_9.txt", "2_3.txt")  # in the order of strings, which is not that of numbers
REVIEWS = {
    f"aclImdb/{split}/{label}/{name}": f"Café №{name}: “{split}”, {label}.\x85<br />\r\n".encode()
    for split in ("test", "train")
    for label in ("neg", "pos")
    for name in NAMES
}
TRAIN = [
    (label, f"Café №{name}: “train”, {folder}.\x85<br />\r\n")
    for label, folder in enumerate(("neg", "pos"))
    for name in NAMES
]
BOOK = (
    "\ufeffLicence\r\n\r\nTHE MYSTERIOUS ISLAND\r\n…\r\nEnd of the Project Gutenberg\r\n".encode()
)
FIRST = "aclImdb/train/neg/1_9.txt"


def content_hash(reviews, split):
    parts = [p.encode() + b"\0" + reviews[p] + b"\0" for p in sorted(reviews) if f"/{split}/" in p]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def member(name, content=b"", **header):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in header.items():
        setattr(info, field, value)
    return info, content


def pack(reviews=REVIEWS, more=(), seed=0, prefix="", **options):
    """Return a .tar.gz of these reviews, in an order of its own, and of the members in `more`."""
    members = [member(prefix + path, text) for path, text in reviews.items()]
    random.Random(seed).shuffle(members)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for info, content in [*members, *more]:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


ARCHIVE = pack()
CONTENT = {split: (3, content_hash(REVIEWS, split)) for split in ("train", "test")}
SHA256 = {
    "imdb": hashlib.sha256(ARCHIVE).hexdigest(),
    "island": hashlib.sha256(BOOK).hexdigest(),
}
PATIENCE, STALL = data.PATIENCE, data.STALL  # the real ones: most tests replace them
FILES = {"imdb": "aclImdb_v1.tar.gz", "island": "1268-0.txt"}
# Nobody listens on port 9 of this machine: a connection is refused at once.
NOWHERE = ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b")


def settings(folder, urls=NOWHERE):
    """Return what stands in for the module's constants, as JSON can carry it to a process."""
    return {
        "data": str(folder),
        "content": CONTENT,
        "sources": {
            name: (name.upper(), FILES[name], SHA256[name], [f"{url}/{name}" for url in urls])
            for name in FILES
        },
    }


def apply(course, module, patch=setattr):
    patch(module, "DATA", Path(course["data"]))
    patch(module, "CONTENT", course["content"])
    patch(module, "SOURCES", {k: module.Source(*v) for k, v in course["sources"].items()})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The `data/` of an empty repository without a network, with a sample; nothing is found yet."""
    folder = tmp_path / "repository" / "data"
    (folder / "sample").mkdir(parents=True)
    rows = ["train\t1\tgood\x85", "test\t0\tdull", "train\t0\tbad", "train\t1\tfine", "test\t1\tok"]
    (folder / "sample" / "reviews.tsv").write_text("\n".join(rows) + "\n", "utf8")
    (folder / "sample" / "story.txt").write_text("“Ahoy!”\n", "utf8")
    apply(settings(folder), data, monkeypatch.setattr)
    monkeypatch.setattr(data, "_failed", {})
    monkeypatch.setattr(data, "_announced", set())
    monkeypatch.delenv("RNN_COURSE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(data, "PATIENCE", 20)  # a busy machine is not a broken network
    return folder


@pytest.fixture
def put(folder):
    """Put an archive into `data/`, the good one unless told otherwise; return its path."""

    def put(archive=ARCHIVE):
        path = folder / FILES["imdb"]
        path.write_bytes(archive)
        return path

    return put


def pairs(split="train"):
    return list(data.IMDB(split))


def left_in(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


# --- the reviews and the book, as a chapter sees them ----------------------------------------


def test_reviews_come_sorted_by_path(put, capfd):
    put(pack(seed=1, more=[member("aclImdb/README", b"x"), member("aclImdb/train/unsup/1_0.txt")]))
    reviews = data.IMDB(split="train")
    assert list(reviews) == TRAIN  # `list` also needs the IndexError past the end
    assert (len(reviews), reviews[-1], reviews.split, reviews.is_sample) == (
        6, TRAIN[-1], "train", False
    )  # fmt: skip
    assert data.IMDB()[0] == TRAIN[0]
    with pytest.raises(IndexError):
        reviews[6]
    assert data.IMDB("test")[0][1].startswith("Café №10_1.txt: “test”, neg")
    assert capfd.readouterr() == ("", "")


def test_unknown_names_are_value_errors_that_name_the_known():
    with pytest.raises(ValueError, match=r"'dev'.*train, test"):
        data.IMDB(split="dev")
    with pytest.raises(ValueError, match=r"'IMDB'.*imdb, island"):
        data.is_sample("IMDB")


def test_seeded_split_is_the_same_for_two_packings(put):
    subsets = []
    for seed in (1, 2):
        put(pack(seed=seed))
        torch.manual_seed(1)
        subsets.append([list(part) for part in random_split(data.IMDB("train"), [4, 2])])
    assert subsets[0] == subsets[1]


@pytest.mark.parametrize(
    "archive",
    [
        pack(prefix="./"),
        pack(format=tarfile.PAX_FORMAT, pax_headers={"comment": "repacked"}),
        pack(more=[member("aclImdb/train/neg/._1_9.txt", b"\x00\x05")]),
        pack(more=[member("aclImdb/train/neg/", type=tarfile.DIRTYPE)]),
        pack(more=[member("aclImdb/train/unsup/big.txt", bytes(2_000_000))]),
    ],
    ids=["dot-slash", "pax", "hidden file", "folder", "large unlabelled file"],
)
def test_honest_repacks_are_accepted(put, archive):
    put(archive)
    assert pairs() == TRAIN


def test_book_is_read_with_plain_newlines(folder):
    (folder / FILES["island"]).write_bytes(BOOK)
    assert data.mysterious_island() == BOOK.decode("utf8").replace("\r\n", "\n")
    assert not data.is_sample("island")


# --- files that are there but bad ------------------------------------------------------------

without = {path: text for path, text in REVIEWS.items() if path != FIRST}
changed = {**REVIEWS, FIRST: REVIEWS[FIRST].replace(b"neg", b"pos")}
tar_bytes = gzip.decompress(ARCHIVE)
LONG = "x" * 1_500_000
header_of_first = tar_bytes.index(FIRST.encode())


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def link(kind, target):
    return member(FIRST, type=kind, linkname=target)


def forged_size(field, name=FIRST):
    """Return an archive in which a header claims this size, with a valid header checksum."""
    header = bytearray(tarfile.TarInfo(name).tobuf())
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(tar_bytes[:header_of_first] + header + tar_bytes[header_of_first + 512 :])


BAD = {
    "empty file": (b"", "damaged"),
    "web page": (b"<!doctype html>" * 100, "damaged"),
    "truncated": (ARCHIVE[: len(ARCHIVE) // 2], "damaged"),
    "not compressed": (tar_bytes, "damaged"),
    "not a tar": (gzip.compress(b"words " * 1000), "damaged"),
    "clean end too early": (gzip.compress(tar_bytes[:header_of_first]), "not 3 reviews in each"),
    "cut within a member": (gzip.compress(tar_bytes[: header_of_first + 530]), None),
    "flipped in a header": (gzip.compress(flipped(tar_bytes, header_of_first + 5)), None),
    "negative size": (forged_size(b"\xff" * 11 + b"\xf0"), None),
    "loop": (forged_size(b"\xff" * 10 + b"\xfe\x00", "aclImdb/README"), None),
    "endless size": (forged_size(b"\x80" + b"\x7f" * 11), "a review of"),
    "missing": (pack(without), "2 in train/neg and 3 in train/pos, not 3 reviews in each"),
    "extra": (pack({**REVIEWS, "aclImdb/test/pos/99_9.txt": b""}), "3 in test/neg and 4 in test"),
    "changed": (pack(changed), "reviews in train that differ"),
    "one class only": (pack({p: t for p, t in REVIEWS.items() if "/neg/" in p}), "0 in train/pos"),
    "twice": (pack(more=[member(FIRST, REVIEWS[FIRST])]), f"twice, '{FIRST}'"),
    "not utf-8": (pack({**REVIEWS, FIRST: b"\xff\xfe"}), "differ"),
    "parent": (pack(more=[member("aclImdb/train/neg/../../../../evil", b"x")]), "evil"),
    "parent within": (pack(more=[member("aclImdb/x/../train/neg/7_1.txt", b"x")]), "outside"),
    "absolute": (pack(more=[member("/tmp/evil_1.txt", b"x")]), "'/tmp/evil_1.txt'"),
    "absolute review": (pack(prefix="/"), "outside"),
    "symlink": (pack(without, [link(tarfile.SYMTYPE, "/etc/passwd")]), FIRST),
    "hard link": (pack(without, [link(tarfile.LNKTYPE, "aclImdb/train/neg/2_3.txt")]), FIRST),
    "device": (pack(without, [member(FIRST, type=tarfile.CHRTYPE)]), FIRST),
    "fifo": (pack(without, [member(FIRST, type=tarfile.FIFOTYPE)]), FIRST),
    "folder": (pack(without, [member(FIRST, type=tarfile.DIRTYPE)]), FIRST),
    "stray file": (pack(more=[member("aclImdb/test/pos/notes.txt", b"x")]), "notes.txt"),
    "stray newline": (pack(more=[member("aclImdb/test/pos/1_1.txt\n", b"x")]), "no review"),
    "bomb": (pack({**REVIEWS, FIRST: bytes(1_000_001)}), "1,000,001 bytes"),
    "long name": (pack(more=[member("x" * 1_500_000)], format=tarfile.GNU_FORMAT), "a header of"),
    "long comment": (pack(more=[member("x", pax_headers={"comment": LONG})]), "a header of 1,5"),
}


@pytest.mark.parametrize(("archive", "words"), BAD.values(), ids=BAD)
def test_bad_archive_is_an_error_until_it_is_replaced(put, folder, tmp_path, archive, words, capfd):
    path = put(archive)
    before = time.process_time()
    for split in data.CONTENT:  # an error in either split is an error for both
        with pytest.raises(data.DataError) as caught:
            data.IMDB(split)
    assert time.process_time() - before < 5
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "Delete this file, or replace it" in message
    assert "\n" not in message
    assert words is None or words in message
    assert path.read_bytes() == archive  # the file is the learner's: left as it is
    assert left_in(folder) == [FILES["imdb"], "sample"]  # nothing extracted, nothing cached
    assert left_in(tmp_path) == ["repository"]
    assert capfd.readouterr() == ("", "")
    put()
    assert pairs() == TRAIN


def test_no_cut_and_no_flipped_bit_yields_wrong_reviews(put):
    random.seed(1)
    cuts = [ARCHIVE[:n] for n in range(0, len(ARCHIVE), 16)]
    cuts += [gzip.compress(tar_bytes[:n]) for n in range(0, len(tar_bytes), 512)]
    flips = [flipped(ARCHIVE, random.randrange(len(ARCHIVE))) for _ in range(50)]
    flips += [gzip.compress(flipped(tar_bytes, random.randrange(9_000))) for _ in range(50)]
    errors = 0
    for archive in cuts + flips:
        put(archive)
        try:  # what is damaged may be padding, say
            assert pairs() == TRAIN
        except data.DataError:
            errors += 1
    assert errors > len(cuts + flips) / 2


def test_bounds_hold_for_the_whole_archive(put, monkeypatch):
    put(pack(more=[member("aclImdb/imdb.vocab", bytes(900_000)), member("aclImdb/README")]))
    with monkeypatch.context() as patch:
        patch.setattr(data, "MAX_ARCHIVE_BYTES", 500_000)
        with pytest.raises(data.DataError, match="a member at byte"):
            data.IMDB()
    with monkeypatch.context() as patch:
        patch.setattr(data, "MAX_MEMBERS", 12)
        with pytest.raises(data.DataError, match="more than 12 members"):
            data.IMDB()
    assert pairs() == TRAIN


def test_whatever_tarfile_raises_becomes_a_data_error(put, monkeypatch):
    put()
    monkeypatch.setattr(tarfile.TarInfo, "frombuf", lambda *_: {}["forged"])
    with pytest.raises(data.DataError) as caught:
        data.IMDB()
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("content", [b"", BOOK[:-1], flipped(BOOK, 9), BOOK.replace(b"\r", b"")])
def test_bad_book_is_an_error_until_it_is_replaced(folder, content):
    path = folder / FILES["island"]
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"1268-0.txt is not the edition.*replace it"):
        data.mysterious_island()
    assert path.read_bytes() == content
    path.write_bytes(BOOK)
    assert "MYSTERIOUS" in data.mysterious_island()


@pytest.mark.parametrize(
    ("name", "read"), [("imdb", data.IMDB), ("island", data.mysterious_island)]
)
def test_unreadable_file_is_an_error(folder, name, read):
    path = folder / FILES[name]
    path.mkdir()
    with pytest.raises(data.DataError, match=rf"{FILES[name]} cannot be read \(Is a directory\)"):
        read()
    path.rmdir()
    path.symlink_to(folder / "gone")
    with pytest.raises(data.DataError, match=rf"{FILES[name]} cannot be read \(No such file"):
        read()


# --- the cache -------------------------------------------------------------------------------


def caches(folder):
    return sorted((folder / "cache").iterdir())


def forbid_parsing(monkeypatch):
    monkeypatch.setattr(data, "_members", lambda *_: pytest.fail("the archive was parsed again"))


def test_archive_is_parsed_once_for_both_splits(put, folder, monkeypatch):
    put()
    assert pairs("test") != TRAIN
    forbid_parsing(monkeypatch)
    assert pairs() == TRAIN
    assert len(caches(folder)) == 2
    assert not any(b"pickle" in path.read_bytes()[:200] for path in caches(folder))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(flipped(path.read_bytes(), 60)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"/neg/", b"/pos/")),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name(path.name.replace("-v1-", "-v0-"))),
        lambda path: shutil.copy(str(path).replace("train", "test"), path),
    ],
    ids=["truncated", "empty", "flipped", "labels", "gone", "older", "other split"],
)
def test_cache_is_rebuilt_unless_it_is_what_was_published(put, folder, damage, monkeypatch, capfd):
    put()
    pairs()
    good = {path: path.read_bytes() for path in caches(folder)}
    damage(next(path for path in good if path.name.endswith("train")))
    assert pairs() == TRAIN
    assert {path: path.read_bytes() for path in caches(folder)} == good
    forbid_parsing(monkeypatch)
    assert pairs() == TRAIN
    assert capfd.readouterr() == ("", "")


def test_bad_archive_is_not_hidden_by_the_cache_of_a_good_one(put):
    put()
    pairs()
    put(ARCHIVE[:-200])
    with pytest.raises(data.DataError):
        data.IMDB()


def test_cache_does_not_grow(put, folder):
    put()
    pairs()
    first = caches(folder)
    (folder / "cache" / f"{first[0].name}.part").write_bytes(b"left by a killed process")
    (folder / "cache" / "notes.txt").write_bytes(b"not ours")
    put(pack(seed=3))
    pairs()
    assert len(caches(folder)) == 3
    assert not set(first) & set(caches(folder))


@pytest.mark.parametrize("place", ["cache", "data"])
def test_reviews_come_without_a_cache_where_none_can_be_written(
    place, put, folder, tmp_path, monkeypatch
):
    if place == "cache":
        put()
        (folder / "cache").write_bytes(b"a file where the folder should be")
    else:
        monkeypatch.setenv("RNN_COURSE_DATA", str(tmp_path))
        shutil.move(put(), tmp_path)
        shutil.rmtree(folder)
        folder.write_bytes(b"a file where the folder should be")
    assert pairs() == TRAIN
    assert not folder.is_dir() or left_in(folder) == [FILES["imdb"], "cache", "sample"]


def test_folder_without_locks_gets_no_cache(put, folder, monkeypatch):
    def no_locks(_):
        raise NotImplementedError("this file system has no locks")

    put()
    monkeypatch.setattr(data, "_lock", no_locks)
    assert pairs() == TRAIN
    assert left_in(folder) == [FILES["imdb"], "sample"]


# --- several processes, killed processes, full disks -----------------------------------------


def start(folder, body, urls=NOWHERE):
    """Start a process that sets up the same small course, then runs `body`.

    Loading torch would take most of its time, and `data` needs nothing of it but one base class.
    """
    code = (
        "import json, os, pathlib, sys, time, types\n"
        "utils = types.ModuleType('torch.utils.data')\n"
        "utils.Dataset = object\n"
        "sys.modules |= dict.fromkeys(('torch', 'torch.utils', 'torch.utils.data'), utils)\n"
        "from helpers import data\n"
        "course = json.loads(sys.argv[1])\n"
        "data.DATA, data.CONTENT = pathlib.Path(course['data']), course['content']\n"
        "data.SOURCES = {k: data.Source(*v) for k, v in course['sources'].items()}\n" + body
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(settings(folder, urls))],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert all("B/s" in line for line in err.replace("\r", "\n").split("\n") if line.strip()), err
    return out


def kill_when(process, condition):
    """Kill a process in the middle of what it does: once the condition holds."""
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()


def test_processes_at_once_share_a_download_and_a_parse(folder, mirror):
    body = (
        "pathlib.Path(data.DATA.parent, str(os.getpid())).touch()\n"
        "while len(list(data.DATA.parent.iterdir())) < 4:  # all three, and data/\n"
        "    time.sleep(0.01)\n"
        "members = data._members\n"
        "def parse(*args):\n"
        "    print('parsed')\n"
        "    time.sleep(1)\n"
        "    return members(*args)\n"
        "data._members = parse\n"
        "print(data.IMDB('train')[0], data.is_sample('imdb'))"
    )
    processes = [start(folder, body, mirror.urls) for _ in range(3)]
    outputs = [finish(process) for process in processes]
    assert "".join(outputs).count("parsed") == 1
    assert all(output.endswith(f"{TRAIN[0]} False\n") for output in outputs)
    assert mirror.asked == ["/0/imdb"] * 2  # one knock, one download
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


def test_who_waited_for_the_lock_takes_the_cache(put, folder, monkeypatch):
    lock = data._lock

    def wait_for_another_process(name):
        (folder / "away").rename(folder / "cache")
        return lock(name)

    put()
    pairs()
    (folder / "cache").rename(folder / "away")
    monkeypatch.setattr(data, "_lock", wait_for_another_process)
    forbid_parsing(monkeypatch)
    assert pairs() == TRAIN


def test_start_after_a_kill_in_the_middle_of_writing_the_cache(put, folder):
    put()
    process = start(folder, "os.fsync = lambda _: time.sleep(60)\ndata.IMDB()")
    kill_when(process, lambda: list(folder.glob("cache/*.part")))
    assert pairs() == TRAIN  # and does not wait for a lock
    assert len(caches(folder)) == 2


def test_start_after_a_kill_in_the_middle_of_a_download(folder, mirror, monkeypatch):
    mirror.answers = ["stall"]
    process = start(folder, "data.STALL = 60\ndata.IMDB()", mirror.urls)
    kill_when(process, lambda: list(folder.glob(".imdb-*/*")))
    assert list(folder.glob(".imdb-*"))
    mirror.use(monkeypatch, folder, ["good"])
    assert pairs() == TRAIN
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


def test_full_disk_costs_the_cache_alone(put, folder):
    put()
    body = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "print(len(data.IMDB()))"
    )
    assert finish(start(folder, body)) == "6\n"
    assert caches(folder) == []


def test_full_disk_during_a_download_leads_to_the_sample(folder, mirror, monkeypatch, capfd):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    mirror.use(monkeypatch, folder, ["good"])
    monkeypatch.setattr("pooch.retrieve", full)
    assert data.IMDB().is_sample
    assert "No space left on device" in capfd.readouterr().out
    assert left_in(folder) == ["sample"]


# --- the network -----------------------------------------------------------------------------


class Mirrors(http.server.BaseHTTPRequestHandler):
    """Mirror number `n` answers `/n/name` the way `server.answers[n]` says."""

    def do_GET(self):
        self.server.asked.append(self.path)
        _, number, name = self.path.split("/")
        answer = "good" if number == "redirected" else self.server.answers[int(number)]
        content = {"imdb": ARCHIVE, "island": BOOK}[name]
        if answer == "hang":
            self.server.closing.wait(60)
        elif isinstance(answer, int):
            self.send_error(answer)
        elif answer == "redirect":
            self.send_response(302)
            self.send_header("Location", f"/redirected/{name}")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if answer == "headers":
                self.wfile.flush()
                self.server.closing.wait(60)
            sent = {"good": content, "wrong": bytes(len(content))}.get(answer, content[:99])
            self.wfile.write(sent)
            if answer == "stall":
                self.wfile.flush()
                self.server.closing.wait(60)

    def log_message(self, *_):
        """Stay silent: the tests look at stderr."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        """Stay silent: a client that hangs up is part of the tests."""

    def use(self, monkeypatch, folder, answers):
        self.answers = answers
        urls = self.urls[: len(answers)]
        apply(settings(folder, urls), data, monkeypatch.setattr)
        if {"hang", "headers", "stall"} & set(answers):
            monkeypatch.setattr(data, "PATIENCE", 2)
            monkeypatch.setattr(data, "STALL", 4)


@pytest.fixture
def mirror():
    with Server(("127.0.0.1", 0), Mirrors) as server:
        server.asked, server.answers, server.closing = [], ["good"], threading.Event()
        server.urls = [f"http://127.0.0.1:{server.server_port}/{n}" for n in range(2)]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def test_download_is_verified_stored_and_found_again(folder, mirror, monkeypatch, capfd):
    mirror.use(monkeypatch, folder, ["good", "good"])
    assert pairs() == TRAIN
    assert data.mysterious_island()
    assert {path.split("/")[1] for path in mirror.asked} == {"0"}  # the second is a reserve
    assert left_in(folder) == [FILES["island"], FILES["imdb"], "cache", "sample"]
    assert (folder / FILES["imdb"]).read_bytes() == ARCHIVE
    assert (folder / FILES["imdb"]).stat().st_mode & 0o777 == 0o644
    out, err = capfd.readouterr()
    assert out == ""
    assert all("B/s" in line for line in err.replace("\r", "\n").split("\n") if line.strip())
    assert "100%" in err
    asked = len(mirror.asked)
    assert pairs() == TRAIN
    assert len(mirror.asked) == asked


@pytest.mark.parametrize("answer", [404, 503, "half", "wrong", "hang", "stall", "redirect"])
def test_second_mirror_stands_in_for_the_first(answer, folder, mirror, monkeypatch):
    mirror.use(monkeypatch, folder, [answer, "good"])
    before = time.monotonic()
    assert pairs() == TRAIN
    assert time.monotonic() - before < 30  # the server waits for 60 seconds
    assert (mirror.asked[-1] == "/redirected/imdb") == (answer == "redirect")
    assert ("/1/imdb" in mirror.asked) == (answer != "redirect")
    assert left_in(folder) == [FILES["imdb"], "cache", "sample"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([404, 503], "HOST answered 404, HOST answered 503"),
        (["wrong", "half"], "HOST sent another file (its checksum is wrong), the connection to"),
        (["headers", "stall"], "HOST did not answer, the connection to HOST failed"),
    ],
)
def test_sample_line_tells_why_and_is_printed_once(
    answers, why, folder, mirror, monkeypatch, capfd
):
    mirror.use(monkeypatch, folder, answers)
    assert data.is_sample("imdb")
    assert capfd.readouterr().out == ""
    train, test = data.IMDB("train"), data.IMDB("test")
    assert list(train) == [(0, "bad"), (1, "good\x85"), (1, "fine")]
    assert list(test) == [(0, "dull"), (1, "ok")]
    assert train.is_sample
    assert test.is_sample
    out, _ = capfd.readouterr()
    assert out.count("\n") == 1
    assert out.startswith("Using the small sample in place of IMDB, because the download failed: ")
    assert why.replace("HOST", f"127.0.0.1:{mirror.server_port}") in out
    assert "put aclImdb_v1.tar.gz into data/" in out
    assert len(mirror.asked) <= 4  # not tried again in this process
    assert left_in(folder) == ["sample"]


def test_each_data_set_has_its_own_sample_line(folder, capfd):
    story = data.mysterious_island()
    assert data.mysterious_island() == story
    start, end = story.find("THE MYSTERIOUS ISLAND"), story.find("End of the Project Gutenberg")
    assert 0 < start < end
    assert story[start:end] == "THE MYSTERIOUS ISLAND (SAMPLE)\n\n“Ahoy!”\n\n"
    data.IMDB()
    out, err = capfd.readouterr()
    assert [line.split(", because")[0][-6:] for line in out.splitlines()] == ["ISLAND", "f IMDB"]
    assert err == ""


def test_replaced_file_ends_the_sample_in_the_same_process(put):
    assert data.is_sample("imdb")
    put()
    assert pairs() == TRAIN


def test_interrupted_download_leaves_nothing_and_is_tried_again(folder, mirror, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    mirror.use(monkeypatch, folder, ["good"])
    with monkeypatch.context() as patch:
        patch.setattr("pooch.retrieve", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.IMDB()
    assert left_in(folder) == ["sample"]
    assert pairs() == TRAIN


def test_read_only_repository_leads_to_the_sample(folder, tmp_path, capfd, monkeypatch):
    def read_only(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("filelock.FileLock.acquire", read_only)
    assert data.IMDB().is_sample
    out, err = capfd.readouterr()
    assert "nothing can be stored in" in out
    assert "Permission denied" in out
    assert (out.count("\n"), err) == (1, "")


def test_damaged_or_missing_sample_is_an_error(folder):
    (folder / "sample" / "reviews.tsv").unlink()
    (folder / "sample" / "story.txt").write_bytes(b"\xff")
    for read in (data.IMDB, data.mysterious_island):
        with pytest.raises(data.DataError, match=r"sample/.* cannot be read"):
            read()


def test_silent_network_is_given_up_within_15_seconds(folder, mirror, monkeypatch):
    assert 3 * PATIENCE < 14
    assert 2 * STALL <= 14
    mirror.use(monkeypatch, folder, ["hang", "hang"])
    monkeypatch.setattr(data, "PATIENCE", PATIENCE)
    before = time.monotonic()
    assert data.is_sample("imdb")
    assert time.monotonic() - before < 14


def test_name_server_that_never_answers_is_given_up(folder, monkeypatch, capfd):
    gone = threading.Event()
    monkeypatch.setattr(data, "PATIENCE", 1)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: gone.wait(30) and [])
    before = time.monotonic()
    assert data.IMDB().is_sample
    assert time.monotonic() - before < 10
    gone.set()
    assert "127.0.0.1:9 did not answer" in capfd.readouterr().out


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
    (shared / FILES["imdb"]).write_bytes(b"broken")
    with pytest.raises(data.DataError, match="shared"):
        data.IMDB()


@pytest.mark.parametrize("setting", ["~/shared", "../shared", "", "ABSOLUTE"])
def test_shared_folder_can_be_named_in_several_ways(put, folder, tmp_path, monkeypatch, setting):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")  # a relative path counts from the repository as well
    (tmp_path / "shared").mkdir()
    path = put()
    if setting:
        path.rename(tmp_path / "shared" / path.name)
    monkeypatch.setenv("RNN_COURSE_DATA", setting.replace("ABSOLUTE", f"{tmp_path}/shared"))
    assert pairs() == TRAIN


@pytest.mark.parametrize("setting", ["nowhere", "/dev/null", "~nobody-of-that-name/data"])
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
    assert "because RNN_COURSE_DATA asks for it" in capfd.readouterr().out


# --- the command line ------------------------------------------------------------------------


def test_command_prints_a_line_each_and_fails_on_an_error(put, folder, capfd):
    archive, book = put(), folder / FILES["island"]
    book.write_bytes(BOOK)
    assert data.main(full=True) == 0
    assert capfd.readouterr() == (
        f"IMDB: real, 12 reviews, from {archive}\n"
        f"ISLAND: real, {len(BOOK.decode()) - 5} characters, from {book}\n",
        "",
    )
    book.unlink()
    assert (data.main(), data.main(full=True)) == (0, 1)  # the sample will do, or not
    assert capfd.readouterr().out.startswith("IMDB: real")
    data._announced.clear()
    put(b"broken")
    assert data.main() == 1
    out, err = capfd.readouterr()
    assert out.startswith("Using the small sample in place of ISLAND")
    assert (out.count("\n"), err.count("\n")) == (1, 1)
    assert str(archive) in err


def test_command_finds_the_repository_that_it_lies_in(folder, monkeypatch, capfd):
    copy = folder.parent / "helpers" / "data.py"
    copy.parent.mkdir()
    shutil.copy(REPOSITORY / "helpers" / "data.py", copy)
    monkeypatch.setenv("RNN_COURSE_DATA", str(folder / "sample"))
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(copy), run_name="__main__")
    assert caught.value.code == 0
    out, err = capfd.readouterr()
    assert out.count("Using the small sample in place of") == 2
    assert err == ""


# --- the data of the course ------------------------------------------------------------------


@pytest.fixture
def real(tmp_path, monkeypatch):
    """Return a function that finds a real file without a download, or else skips the test."""
    monkeypatch.setattr(data, "_failed", dict.fromkeys(data.SOURCES, "tests do not download"))

    def find(name):
        path, why = data._locate(name)
        if path is None:
            pytest.skip(f"the real {data.SOURCES[name].file} is not on this machine: {why}")
        monkeypatch.setenv("RNN_COURSE_DATA", str(path.parent.resolve()))
        monkeypatch.setattr(data, "DATA", tmp_path)  # a cache of its own
        return path

    return find


def test_real_reviews(real, monkeypatch):
    real("imdb")
    train, test = data.IMDB("train"), data.IMDB("test")
    forbid_parsing(monkeypatch)
    before = time.process_time()
    data.IMDB("train")
    assert time.process_time() - before < 2  # about 0.4 on two cores
    for reviews in (train, test):
        assert [label for label, _ in reviews] == [0] * 12_500 + [1] * 12_500
        assert not reviews.is_sample
    assert train[0][1].startswith("Story of a man who has unnatural feelings for a pig.")
    assert test[0][1].startswith("Once again Mr. Costner has dragged out a movie for far longer")
    assert len({text for _, text in train}) == 24_904
    assert len({text for _, text in test}) == 24_801
    torch.manual_seed(1)
    twenty_thousand, five_thousand = random_split(train, [20_000, 5_000])
    assert twenty_thousand.indices[:4] == [20845, 22461, 17646, 9064]
    assert (len(twenty_thousand), len(five_thousand)) == (20_000, 5_000)


def test_real_book(real):
    real("island")
    book = data.mysterious_island()
    start, end = book.find("THE MYSTERIOUS ISLAND"), book.find("End of the Project Gutenberg")
    assert end - start == 1_112_350
    assert len(set(book[start:end])) == 80


def test_sample_of_the_course(monkeypatch):
    monkeypatch.setenv("RNN_COURSE_DATA", str(data.DATA / "sample"))
    for split in data.CONTENT:
        reviews = data.IMDB(split)
        labels = [label for label, _ in reviews]
        assert reviews.is_sample
        assert labels == sorted(labels)
        assert 0.4 < sum(labels) / len(labels) < 0.6
        assert all(text.strip() and "\t" not in text for _, text in reviews)
    book = data.mysterious_island()
    start, end = book.find("THE MYSTERIOUS ISLAND"), book.find("End of the Project Gutenberg")
    assert end - start > 20_000
    assert "“" in book
