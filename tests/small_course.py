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
import signal
import socket
import struct
import tarfile
import threading
import time
from pathlib import Path

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


def content(reviews):
    """Return what stands in for `data.CONTENT`."""
    found = {}
    for split in ("train", "test"):
        paths = sorted(path for path in reviews if f"/{split}/" in path)
        parts = b"".join(path.encode() + b"\0" + reviews[path] + b"\0" for path in paths)
        found[split] = (len(paths) // 2, hashlib.sha256(parts).hexdigest())
    return found


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


@functools.cache
def long_course():
    """Return 1,200 reviews and their archive: enough for a moment to lie within the parsing."""
    random.seed(5)
    reviews = {
        f"aclImdb/{split}/{label}/{i}_5.txt": random.randbytes(300).hex().encode()
        for split in ("test", "train")
        for label in ("neg", "pos")
        for i in range(300)
    }
    return reviews, pack(reviews)


def settings(folder, urls=NOWHERE, reviews=REVIEWS, archive=ARCHIVE):
    """Return what stands in for the module's constants."""
    files = {"imdb": archive, "island": BOOK}
    return {
        "DATA": Path(folder),
        "CONTENT": content(reviews),
        "SOURCES": {
            name: data.Source(
                name.upper(),
                FILES[name],
                hashlib.sha256(files[name]).hexdigest(),
                tuple(f"{url}/{name}" for url in urls),
            )
            for name in FILES
        },
    }


def apply(course, patch=setattr):
    for name, value in course.items():
        patch(data, name, value)


def pairs(split="train"):
    return list(data.IMDB(split))


def caches(folder):
    return sorted((folder / "cache").iterdir())


def left_in(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


# --- mirrors ---------------------------------------------------------------------------------


class Mirrors(http.server.BaseHTTPRequestHandler):
    """Mirror number `n` answers `/n/name` the way `server.answers[n]` says."""

    def do_GET(self):
        self.server.asked.append(self.path)
        _, number, name = self.path.split("/")
        if number.startswith("redirected"):
            left = int(number.removeprefix("redirected"))
            return self.redirect(f"/redirected{left - 1}/{name}") if left else self.send("good")
        return self.send(self.server.answers[int(number)])

    def send(self, answer):
        name = self.path.rpartition("/")[2]
        content = self.server.contents[name]
        other = self.server.contents["island" if name == "imdb" else "imdb"]
        wait = self.server.closing.wait
        match answer:
            case int():
                self.send_error(answer)
            case "good":
                self.start(content, content)
            case "late":
                wait(1)
                self.start(content, content)
            case "slow":
                self.start(content, b"")
                for i in range(12):
                    at, end = (len(content) * n // 12 for n in (i, i + 1))
                    self.wfile.write(content[at:end])
                    wait(self.server.pause)
            case "unsized":
                self.start(None, content)
            case "chunked":
                self.start(None, b"", "Transfer-Encoding: chunked")
                for part in (content[:50], content[50:], b""):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            case "encoded":
                packed = gzip.compress(content)
                self.start(packed, packed, "Content-Encoding: gzip")
            case "redirect":
                self.redirect(f"/redirected0/{name}")
            case "redirects":
                self.redirect(f"/redirected4/{name}")
            case "hang":
                wait(60)
            case "hang up":
                pass
            case "headers":
                self.start(content, b"")
                wait(60)
            case "stall":
                self.start(content, content[:40])
                wait(60)
            case "nothing":
                self.start(content, b"")
            case "half":
                self.start(content, content[: len(content) // 2])
            case "reset":
                self.start(content, content[:40])
                linger = struct.pack("ii", 1, 0)  # closing sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            case "empty":
                self.start(b"", b"")
            case "cut":
                self.start(content[:-1], content[:-1])
            case "longer":
                self.start(content + b"x", content + b"x")
            case "unsized half":
                self.start(None, content[: len(content) // 2])
            case "wrong":
                self.start(content, bytes(len(content)))
            case "other":
                self.start(other, other)
            case "page":
                page = b"<!doctype html><title>Sign in to the network</title>"
                self.start(page, page, "Content-Type: text/html")
            case "garbage":
                self.wfile.write(b"\x16\x03\x01\x00\xff not HTTP at all\r\n\r\n")
            case "bad length":
                self.start(None, content, "Content-Length: many")
            case "bad chunk":
                self.start(None, b"zz\r\n" + content, "Transfer-Encoding: chunked")
            case "bad encoding":
                self.start(content, content[:-9] + b"not gzip.", "Content-Encoding: br")
            case "false encoding":
                self.start(content, b"x" * len(content), "Content-Encoding: gzip")
            case "many headers":
                self.start(content, content, *(f"X-{i}: x" for i in range(200)))
            case "endless header":
                self.start(content, content, "X: " + "x" * 100_000)
            case "endless":  # more than is taken, but no disk is full if no bound holds
                self.start(None, bytes(4_000_000))
                wait(60)
            case "drip" | "slows down":
                self.start(None, bytes(300_000) if answer == "slows down" else b"")
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    wait(12 / len(content))
            case "loop":
                self.redirect(self.path)
            case "to nowhere":
                self.redirect(NOWHERE[0])
            case "to a file":
                self.redirect("file:///etc/passwd")
            case "to nonsense":
                self.redirect("http://[/")
            case _:
                raise ValueError(answer)
        return

    def start(self, sized, content, *headers):
        """Send the headers, as if `sized` were to follow, and then `content`."""
        lines = ["HTTP/1.1 200 OK", "Connection: close", *headers]
        if sized is not None:
            lines.append(f"Content-Length: {len(sized)}")
        self.wfile.write("\r\n".join([*lines, "\r\n"]).encode() + content)
        self.wfile.flush()

    def redirect(self, where):
        self.wfile.write(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\n\r\n".encode())

    def log_message(self, *_):
        """Stay silent: the tests look at stderr."""


class Server(http.server.ThreadingHTTPServer):
    """Two mirrors on this machine; `asked` lists the paths of all requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Mirrors)
        self.asked, self.answers, self.closing = [], ["good"], threading.Event()
        self.contents, self.pause = {"imdb": ARCHIVE, "island": BOOK}, 0.1
        self.host = f"127.0.0.1:{self.server_port}"
        self.urls = [f"http://{self.host}/{n}" for n in range(2)]

    def handle_error(self, *_):
        """Stay silent: a client that hangs up is part of the tests."""

    def use(self, monkeypatch, folder, answers):
        """Let the course in this process look for its files here."""
        self.answers = answers
        urls = [NOWHERE[0] if a == "refuse" else url for a, url in zip(answers, self.urls)]  # noqa: B905
        apply(settings(folder, urls), monkeypatch.setattr)


# --- processes -------------------------------------------------------------------------------

# A fork of a process that has loaded everything and runs nothing else: there in 50 ms, and none
# of the locks that pytest's own threads may hold.
FORKS = multiprocessing.get_context("forkserver")
LOADED = ["filelock", "helpers.data", "helpers.training", "nbformat", "pooch", "pytest"]
LOADED += ["requests.adapters", "torch._dynamo"]  # by a download, and by an optimizer
FORKS.set_forkserver_preload(LOADED)


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
        self.pipe, far = FORKS.Pipe()
        self.process = FORKS.Process(target=_run, args=(far, course, body, args))
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


def duration(course, body, *args):
    """Return how many seconds `body` takes."""
    child = Child(course, body, *args)
    start = time.perf_counter()
    child.go().result()
    return time.perf_counter() - start


def kill_at(part, seconds, prepare, course, body, *args):
    """Kill `body` after this part of the time that it takes; `prepare` empties the stage.

    A process that was quicker than the one whose time was taken is killed earlier, in a new try.
    """
    delay = part * seconds
    for _ in range(20):
        prepare()
        child = Child(course, body, *args).go()
        time.sleep(delay)
        if child.kill() == -signal.SIGKILL:
            return
        delay *= 0.8
    raise AssertionError("the process is always quicker than its murderer")
