"""The small course of `small_course.py` as fixtures."""

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_course import ARCHIVE, FILES, Server, apply, restart, settings

from helpers import data
from helpers.checks import done

done.FILE = Path(os.devnull)  # what a test judges right is nobody's progress


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The `data/` of an empty repository without a network, with a sample; nothing is found yet."""
    folder = tmp_path / "repository" / "data"
    (folder / "sample").mkdir(parents=True)
    rows = ["train\t1\tgood\x85", "test\t0\tdull", "train\t0\tbad", "train\t1\tfine", "test\t1\tok"]
    (folder / "sample" / "reviews.tsv").write_text("\n".join(rows) + "\n", "utf8")
    (folder / "sample" / "story.txt").write_text("“Ahoy!”\n", "utf8")
    apply(settings(folder), monkeypatch.setattr)
    restart()
    monkeypatch.delenv("RNN_COURSE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(data, "PATIENCE", 20)  # a busy machine is not a broken network
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _: None))  # no pauses
    return folder


@pytest.fixture
def put(folder):
    """Put an archive into `data/`, the good one unless told otherwise; return its path."""

    def put(archive=ARCHIVE):
        path = folder / FILES["imdb"]
        age = 0 if path.exists() else 60  # what replaces another is newer than the cache of that
        path.write_bytes(archive)
        os.utime(path, (time.time() - age,) * 2)
        return path

    return put


@pytest.fixture
def mirror():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def one_thread():
    """Tiny tensors gain nothing from several threads, and a busy machine loses a lot."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
