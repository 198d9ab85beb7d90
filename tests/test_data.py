"""`helpers.data`: what it reads, where it looks, what it caches, and what it says.

All on small data sets of our own (`small_course.py`). What can go wrong on the way stands in
`test_faults.py`. The last tests read the real data, where they lie on this machine.
"""

import runpy
import shutil
import tarfile
import threading
import time
from pathlib import Path

import pytest
import torch
from small_course import (
    ARCHIVE,
    BOOK,
    FILES,
    TRAIN,
    caches,
    left_in,
    member,
    pack,
    pairs,
)
from torch.utils.data import random_split

from helpers import data

REPOSITORY = Path(__file__).resolve().parents[1]
PATIENCE, STALL = data.PATIENCE, data.STALL  # the real ones: most tests replace them


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


# --- the cache -------------------------------------------------------------------------------


def forbid_parsing(monkeypatch):
    monkeypatch.setattr(data, "_members", lambda *_: pytest.fail("the archive was parsed again"))


def test_archive_is_parsed_once_for_both_splits(put, folder, monkeypatch):
    put()
    assert pairs("test") != TRAIN
    forbid_parsing(monkeypatch)
    assert pairs() == TRAIN
    assert len(caches(folder)) == 2
    assert not any(b"pickle" in path.read_bytes()[:200] for path in caches(folder))


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


# --- the network -----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([404, 503], "HOST answered 404, HOST answered 503"),
        (["wrong", "half"], "HOST sent something else, the connection to HOST failed"),
        (["headers", "stall"], "HOST did not answer, the connection to HOST failed"),
    ],
)
def test_sample_line_tells_why_and_is_printed_once(
    answers, why, folder, mirror, monkeypatch, capfd
):
    monkeypatch.setattr(data, "PATIENCE", 2)
    monkeypatch.setattr(data, "STALL", 4)
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
    assert why.replace("HOST", mirror.host) in out
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
