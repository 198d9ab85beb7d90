"""A course with small data sets of its own, the mirrors that serve them, and processes to harm.

`helpers.data` is the real one: only `DATA`, `CONTENT` and `SOURCES` are replaced.
"""

import functools
import gzip
import hashlib
import http.server
import io
import multiprocessing
import os
import random
import tarfile
import threading
from pathlib import Path

import pytest
import torch

from helpers import data

FILES = {"imdb": "aclImdb_v1.tar.gz", "island": "1268-0.txt"}
NAMES = ("10_1.txt", "1_9.txt", "2_3.txt")  # in the order of strings, which is not that of numbers
FIRST = "aclImdb/train/neg/1_9.txt"
REVIEWS = {
    f"aclImdb/{split}/{label}/{name}": f"Café №{name}: “{split}”, {label}.\x85<br />\r\n".encode()
    for split in ("test", "train")
    for label in ("neg", "pos")
    for name in NAMES
}
BOOK = (
    "\ufeffLicence\r\n\r\nTHE MYSTERIOUS ISLAND\r\n…\r\nEnd of the Project Gutenberg\r\n".encode()
)
# Nobody listens on port 9 of this machine: a connection is refused at once.
NOWHERE = ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b")


def rows(reviews, split):
    """Return the pairs that a split of these reviews has to give."""
    paths = sorted(path for path in reviews if f"/{split}/" in path)
    return [(int("/pos/" in path), reviews[path].decode()) for path in paths]


def content(reviews, split):
    """Return the bytes whose SHA-256 `data.CONTENT` has."""
    paths = sorted(path for path in reviews if f"/{split}/" in path)
    return b"".join(path.encode() + b"\0" + reviews[path] + b"\0" for path in paths)


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
        for info, text in [*members, *more]:
            tar.addfile(info, io.BytesIO(text))
    return gzip.compress(buffer.getvalue(), mtime=0)


def flipped(content, at, mask=0x10):
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


ARCHIVE = pack()
TRAIN = rows(REVIEWS, "train")


def settings(folder, urls=NOWHERE, reviews=REVIEWS, archive=ARCHIVE):
    """Return what stands in for the module's constants."""
    files = {"imdb": archive, "island": BOOK}
    return {
        "DATA": Path(folder),
        "CONTENT": {
            split: hashlib.sha256(content(reviews, split)).hexdigest()
            for split in ("train", "test")
        },
        "SOURCES": {
            name: (file, hashlib.sha256(files[name]).hexdigest(), *(f"{u}/{name}" for u in urls))
            for name, file in FILES.items()
        },
    }


def apply(course, patch=setattr):
    for name, value in course.items():
        patch(data, name, value)


def restart():
    """Forget what a process remembers: that a download failed, and that it said so."""
    data._download.cache_clear()
    data._say_once.cache_clear()


def pairs(split="train"):
    return list(data.IMDB(split))


def left_in(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


# --- mirrors ---------------------------------------------------------------------------------


class Mirrors(http.server.BaseHTTPRequestHandler):
    """Mirror number `n` answers `/n/name` the way `server.answers[n]` says."""

    def do_GET(self):
        self.server.asked.append(self.path)
        _, number, name = self.path.split("/")
        answer, whole = self.server.answers[int(number)], self.server.contents[name]
        if isinstance(answer, list):  # one after the other
            answer = answer.pop(0)
        if isinstance(answer, int):
            return self.send_error(answer)
        half, page, wait = whole[: len(whole) // 2], b"<h1>Sign in</h1>", self.server.closing.wait
        announced, sent, pieces, hangs_for = {  # seconds
            "good": (whole, whole, 1, 0),
            "unsized": (None, whole, 1, 0),
            "slow": (whole, whole, 12, 0),
            "drip": (whole, whole, len(whole), 0),
            "half": (whole, half, 1, 0),
            "unsized half": (None, half, 1, 0),
            "page": (page, page, 1, 0),
            "stall": (whole, half, 1, 60),
            "headers": (whole, b"", 1, 60),
            "hang": (None, None, 0, 60),
        }[answer]
        if sent is not None:
            size = "" if announced is None else f"Content-Length: {len(announced)}\r\n"
            self.wfile.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{size}\r\n".encode())
        for i in range(pieces):
            self.wfile.write(sent[len(sent) * i // pieces : len(sent) * (i + 1) // pieces])
            wait(self.server.seconds / pieces if pieces > 1 else 0)
        return wait(hangs_for)

    def log_message(self, *_):
        """Stay silent: the tests look at stderr."""


class Server(http.server.ThreadingHTTPServer):
    """Two mirrors on this machine; `asked` lists the paths of all requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Mirrors)
        self.asked, self.answers, self.closing = [], ["good"], threading.Event()
        self.contents, self.seconds = {"imdb": ARCHIVE, "island": BOOK}, 1
        self.host = f"127.0.0.1:{self.server_port}"
        self.urls = [f"http://{self.host}/{n}" for n in range(2)]

    def handle_error(self, *_):
        """Stay silent: a client that hangs up is part of the tests."""

    def use(self, monkeypatch, folder, answers):
        """Let the course in this process look for its files here, in a new start."""
        self.answers = answers
        urls = [NOWHERE[0] if a == "refuse" else url for a, url in zip(answers, self.urls)]  # noqa: B905
        apply(settings(folder, urls), monkeypatch.setattr)
        restart()


# --- processes -------------------------------------------------------------------------------


# A fork of a process that has loaded everything and runs nothing else: there in 50 ms, and none
# of the locks that pytest's own threads may hold.
@functools.cache
def forks():
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("processes cannot be forked here")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.data", "pytest"])
    return context


def _run(pipe, course, body, args):
    os.environ.pop("RNN_COURSE_DATA", None)
    os.environ["no_proxy"] = "*"
    torch.set_num_threads(1)
    apply(course)
    data.PATIENCE = 20  # a busy machine is not a broken network
    pipe.send("ready")
    pipe.recv()
    pipe.send(body(*args))


class Child:
    """A process that waits for `go`, then runs `body(*args)` in a course of these settings."""

    def __init__(self, course, body, *args):
        self.pipe, far = forks().Pipe()
        self.process = forks().Process(target=_run, args=(far, course, body, args))
        self.process.start()
        far.close()
        assert self.pipe.recv() == "ready"

    def go(self):
        self.pipe.send("go")
        return self

    def end(self):
        """Wait for its end; return its exit status, negative if a signal was the cause."""
        self.process.join(50)
        assert self.process.exitcode is not None
        self.pipe.close()
        return self.process.exitcode

    def result(self):
        """Return what the body returned."""
        assert self.pipe.poll(50), "the process does nothing"
        result = self.pipe.recv()  # EOFError if it failed: what it wrote to stderr tells why
        assert self.end() == 0
        return result

    def kill(self):
        self.process.kill()
        return self.end()


def run(course, body, *args):
    """Run `body(*args)` in a process of its own and return what it returned."""
    return Child(course, body, *args).go().result()
