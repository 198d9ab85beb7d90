"""More text and more machines: several processes do what one does, and a killed one costs nothing.

The processes are real ones, started by torchrun. A text of 1 GB is encoded in a small memory.
"""

import ast
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_course import Child, flipped, left_in, settings
from torch import nn

from helpers import scale, text
from helpers.batches import StreamBatches
from helpers.text import build_characters, decode_characters, encode_characters, encode_file
from helpers.training import Step, fit

ROOT = Path(__file__).parents[1]
CHAPTER = ROOT / "notebooks" / "06_mysterious_island_lm.ipynb"
# One character takes one byte, another four; quotes and accents lie in between.
STORY = "The ïsland rose — “grey”, they said, “grey” ☃ and 😀 — out of the sea.\r\nThe sea rose.\n"


pytestmark = pytest.mark.usefixtures("one_thread")


# --- several processes -----------------------------------------------------------------------

# What each process runs: helpers.scale, with a note of every loss, or a sudden end.
WORKER = """
import json, os, signal, sys
from pathlib import Path
from helpers import scale

losses, make_step = [], scale.make_step

def noting(*args):
    step = make_step(*args)

    def noted(model, batch, state):
        result = step(model, batch, state)
        if model.training:
            losses.append(result.loss.item())
            first_try = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
            if first_try and [scale.RANK, len(losses)] == json.loads(os.environ["DIES"]):
                os.kill(os.getpid(), signal.SIGKILL)
        return result

    return noted

scale.make_step = noting
scale.main()
Path(os.environ["LOSSES"] + str(scale.RANK)).write_text(json.dumps(losses))
"""


def two_processes(folder, options, dies=None):
    """Run helpers.scale on two processes; return what it printed, and the losses of each step."""
    (folder / "worker.py").write_text(WORKER)
    own = {"DIES": json.dumps(dies), "LOSSES": str(folder / "losses"), "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=1"]
    torchrun += ["--local-addr=127.0.0.1", "--nproc-per-node=2", folder / "worker.py"]
    run = subprocess.run(
        [*torchrun, *options, "--cpu", "--out", folder],
        env=os.environ | own | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout, [json.loads((folder / f"losses{rank}").read_text()) for rank in range(2)]


def checkpoint(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


# 6 streams of 60 or 61 steps: in the last window of a pass two rows have a target, both of them
# rows of the first process, and the second process has none.
UNEVEN = ["--batch-size=6", "--window=20", "--held-out=0.0925", "--passes=13", "--dropout=0"]
SMALL = ["--embedding=16", "--hidden=32", "--rate=0.01"]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    path = tmp_path_factory.mktemp("uneven") / "story.txt"
    words = np.random.default_rng(0).choice(STORY.split(), 400)
    path.write_text(" ".join(words)[:400], encoding="utf8")
    return path


def from_the_chapter(*cells):
    """Return the classes and functions that these cells of chapter 6 define."""
    names = {"nn": nn, "F": F, "Step": Step, "torch": torch}
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.id in cells:
            body = ast.parse(cell.source).body
            body = [n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
            exec(compile(ast.Module(body, []), cell.id, "exec"), names)
    return names


def test_two_processes_learn_as_one_does_and_as_chapter_6(uneven, tmp_path, monkeypatch):
    _, (first, second) = two_processes(tmp_path, [uneven, *UNEVEN, *SMALL])
    assert len(first) == 52
    assert first == second  # each knows the mean over all rows

    one, make_step = [], scale.make_step

    def noting(*args):
        step = make_step(*args)

        def noted(model, batch, state):
            result = step(model, batch, state)
            if model.training:
                one.append(result.loss.item())
            return result

        return noted

    monkeypatch.setattr(scale, "make_step", noting)
    arguments = [uneven, *UNEVEN, *SMALL, "--cpu", "--out", tmp_path / "one"]
    monkeypatch.setattr(sys, "argv", ["scale", *map(str, arguments)])
    scale.main()

    # The chapter's own model, step and recipe
    chapter, taught = from_the_chapter("ch06-model-class", "ch06-step"), []

    def step(model, batch, state):
        result = chapter["step"](model, batch, state)
        taught.append(result.loss.item())
        return result

    story = uneven.read_text(encoding="utf8")
    char2int, _ = build_characters(story)
    batches = StreamBatches(encode_characters(story, char2int)[:363], 6, 20)
    torch.manual_seed(1)
    model = chapter["CharacterRNN"](len(char2int), 16, 32, 0.0)
    adam = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 0.01, total_steps=52, pct_start=0.1)
    fit(model, step, batches, epochs=13, optimizer=adam, scheduler=cycle, clip_norm=1.0)

    assert taught[-1] < taught[0] - 1  # something was learned
    assert np.abs(np.subtract(one, taught)).max() < 1e-5
    assert np.abs(np.subtract(first, one)).max() < 1e-5
    histories = [checkpoint(folder)["history"] for folder in (tmp_path, tmp_path / "one")]
    for a, b in zip(*histories, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    files = [f / "model.pt" for f in (tmp_path, tmp_path / "one")]
    made = [torch.load(file, weights_only=True)["weights"] for file in files]
    for name, weights in made[0].items():
        torch.testing.assert_close(weights, made[1][name], rtol=0, atol=1e-4)


def run_here(monkeypatch, *arguments):
    """Run helpers.scale in this process, on the CPU, with a small network."""
    arguments = [*map(str, arguments), "--cpu", *SMALL]
    monkeypatch.setattr(sys, "argv", ["scale", *arguments])
    scale.main()


def test_what_is_held_out_is_the_end_and_the_file_tells_how_to_read_it(
    tmp_path, monkeypatch, capsys
):
    words = np.random.default_rng(0).choice(STORY.split(), 1000)
    story = " ".join(words)[:4000]
    (tmp_path / "story.txt").write_text(story, encoding="utf8")
    options = ["--out", tmp_path, "--held-out=0.2", "--batch-size=1", "--passes=2"]
    run_here(monkeypatch, tmp_path / "story.txt", *options, "--save-every=40")
    made = torch.load(tmp_path / "model.pt", weights_only=True)
    assert made["characters"] == sorted(set(story))

    ids = torch.tensor([[made["characters"].index(character) for character in story[-800:]]])
    model = from_the_chapter("ch06-model-class")["CharacterRNN"](len(set(story)), 16, 32).eval()
    model.load_state_dict(made["weights"])
    with torch.no_grad():  # in one go, without streams and windows
        loss = F.cross_entropy(model(ids)[0][0, :-1], ids[0, 1:]).item()
    history = checkpoint(tmp_path)["history"]
    assert len(history) == 4
    assert min(row["valid_loss"] for row in history) == pytest.approx(loss, abs=1e-5)
    assert loss < np.log(len(set(story))) - 0.5  # it has learned what makes this text
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("3,200 characters to learn from, 2 x 32 steps a pass; saving to")
    assert last == f"held out: {loss:.3f} nats a character"


OTHERS = {  # another text, or other options -> what the error names
    "alphabet": ("xyz xyz xyz? ", [], r"text \(1,300 characters, 5 different, checksum"),
    "order": ("cba cba cba. ", [], r"text \(1,300 characters, 5 different, checksum"),
    "window": ("abc abc abc. ", ["--window=49"], r"window \(50 there, 49 here\)"),
    "share": ("abc abc abc. ", ["--held-out=0.1"], r"learned \(1235 there, 1170 here\)"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_training_on_another_text_is_not_continued(case, tmp_path, monkeypatch, capsys):
    path, (other, more, words) = tmp_path / "story.txt", OTHERS[case]
    options = [path, "--out", tmp_path, "--passes=1", "--batch-size=2"]
    path.write_text("abc abc abc. " * 100, encoding="utf8")
    run_here(monkeypatch, *options)
    before = (tmp_path / "model.pt").read_bytes()
    path.write_text(other * 100, encoding="utf8")
    with pytest.raises(SystemExit, match=f"another training, which differs in .*{words}") as error:
        run_here(monkeypatch, *options, *more)
    assert len(error.value.code) < 500
    assert "\n" not in error.value.code
    assert (tmp_path / "model.pt").read_bytes() == before
    path.write_text("abc abc abc. " * 100, encoding="utf8")
    run_here(monkeypatch, *options)
    assert "going on from" in capsys.readouterr().out


def test_processes_with_different_texts_are_refused(monkeypatch):
    fake = SimpleNamespace(PrefixStore=lambda *_: None, rendezvous=lambda _: iter([(None,)]))
    fake.init_process_group = lambda *_, **__: None
    monkeypatch.setattr(scale, "dist", fake)
    monkeypatch.setattr(scale, "WORLD", 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    for first in ("one text", "another"):
        fake.broadcast_object_list = lambda held, first=first: held.__setitem__(0, first)
        if first == "one text":
            scale.connect(gpu=False, text="one text")
        else:
            with pytest.raises(ValueError, match="the text here is another one"):
                scale.connect(gpu=False, text="one text")


def test_each_process_hides_units_of_its_own_and_the_same_when_resumed(monkeypatch):
    def first_number(rank, steps_done):
        monkeypatch.setattr(scale, "RANK", rank)
        drawn = []

        def network(inputs, state):
            drawn.append(torch.rand(1).item())
            return torch.zeros(1, 2, 3), ()

        step = scale.make_step(network, SimpleNamespace(last_epoch=steps_done))
        batch = torch.zeros(1, 2, dtype=torch.int64)
        step(None, (batch, batch), None)
        step(None, (batch, batch), ())  # a part goes on
        assert drawn[0] != drawn[1]
        return drawn[0]

    monkeypatch.setattr(scale, "WORLD", 2)
    monkeypatch.setattr(scale.dist, "all_reduce", lambda total: None)
    cases = [(rank, done) for rank in (0, 1) for done in range(5)]
    assert len({first_number(*case) for case in cases}) == len(cases)
    assert [first_number(*case) for case in cases] == [first_number(*case) for case in cases]


def test_a_killed_process_changes_nothing(uneven, tmp_path):
    options = [uneven, *UNEVEN[:-1], "--dropout=0.3", "--save-every=2", *SMALL]
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    out, (losses, _) = two_processes(tmp_path / "undisturbed", options)
    assert "going on from" not in out
    again, (rest, _) = two_processes(tmp_path / "killed", options, dies=[1, len(losses) // 2 + 1])
    assert again.count("going on from") == 1
    assert len(losses) // 4 < len(rest) < len(losses)  # it did not begin afresh
    assert rest == losses[-len(rest) :]
    undisturbed, killed = checkpoint(tmp_path / "undisturbed"), checkpoint(tmp_path / "killed")
    assert killed["history"] == undisturbed["history"]
    for name, weights in undisturbed["model"].items():
        assert torch.equal(killed["model"][name], weights)
    assert out.splitlines()[-1] == again.splitlines()[-1]
    left_over = {path.name for path in (tmp_path / "killed").iterdir()}
    assert not any(name.endswith(".tmp") for name in left_over)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 4])
def test_processes_share_the_rows_and_parts_the_text(processes, parts, tmp_path):
    np.save(tmp_path / "ids.npy", np.arange(200, dtype=np.uint8))
    ids = np.load(tmp_path / "ids.npy", mmap_mode="r")
    shares = [slice(i * 6 // processes, (i + 1) * 6 // processes) for i in range(processes)]
    split = [StreamBatches(ids, 6, 7, rows, parts) for rows in shares]
    met = []
    for epoch in range(1, parts + 1):
        whole = StreamBatches(
            np.arange(200)[(epoch - 1) * (199 // parts) :][: 199 // parts + 1], 6, 7
        )
        for batches in split:
            batches.set_epoch(epoch)
            assert len(batches) == len(whole)
        for batch, *own in zip(whole, *split, strict=True):
            for side in range(2):
                assert torch.equal(batch[side], torch.cat([rows[side] for rows in own]))
            met += batch[1][batch[1] >= 0].tolist()
    assert sorted(met) == list(range(1, 199 // parts * parts + 1))
    split[0].set_epoch(parts + 1)  # the next pass
    assert next(iter(split[0]))[0][0, 0] == 0


def test_a_text_on_disk_is_not_copied(tmp_path):
    np.save(tmp_path / "ids.npy", np.zeros(100, dtype=np.uint8))
    ids = np.load(tmp_path / "ids.npy", mmap_mode="r+")
    batches = StreamBatches(ids, 2, 9)
    ids[:] = 7
    assert next(iter(batches))[0].unique().tolist() == [7]


# --- encoding --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 1 << 18])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_file_is_encoded_as_the_string_wherever_blocks_end(block, mark, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "BLOCK", block)
    path = tmp_path / "story.txt"
    path.write_bytes(mark + STORY.encode() * 2)
    ids, characters = encode_file(path, tmp_path / "ids.npy")
    story = path.read_text(encoding="utf-8-sig")
    char2int, char_array = build_characters(story)
    assert isinstance(ids, np.memmap)
    assert ids.dtype == np.uint8
    assert np.array_equal(characters, char_array)
    assert np.array_equal(ids, encode_characters(story, char2int))
    assert decode_characters(ids, characters) == (STORY * 2).replace("\r\n", "\n")


@pytest.mark.parametrize(("n", "dtype"), [(256, np.uint8), (257, np.uint16), (70_000, np.uint32)])
def test_the_type_is_as_large_as_the_characters_need(n, dtype, tmp_path):
    characters = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x20000)][:n]))
    characters = characters.replace("\x85", "\x1f")
    (tmp_path / "all.txt").write_text(characters, encoding="utf8")
    ids, char_array = encode_file(tmp_path / "all.txt", tmp_path / "ids.npy")
    assert ids.dtype == dtype
    assert len(char_array) == n
    assert decode_characters(ids, char_array) == characters


def test_an_encoding_is_made_anew_only_for_another_text(tmp_path, monkeypatch):
    path, target = tmp_path / "story.txt", tmp_path / "new folder" / "ids.npy"
    path.write_text("one two", encoding="utf8")
    os.utime(path, ns=(0, 0))
    encode_file(path, target)
    with monkeypatch.context() as patch:
        patch.delattr(text, "_blocks")
        assert decode_characters(*encode_file(path, target)) == "one two"
    path.write_text("two one", encoding="utf8")  # as long as before
    assert decode_characters(*encode_file(path, target)) == "two one"
    target.unlink()
    assert decode_characters(*encode_file(path, target)) == "two one"


DAMAGE = {
    "gone": lambda whole: None,
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "cut": lambda whole: whole[:-1],
    "longer": lambda whole: whole + b"\0",
    "zeros": lambda whole: bytes(len(whole)),
    "web page": lambda whole: b"<!doctype html>" * 9,
    "pickle": lambda whole: pickle.dumps({"text": [1]}),
    "an FF": lambda whole: whole[:-1] + b"\xff",
    "another character": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
} | {
    f"flipped at {part}": lambda whole, part=part: flipped(whole, int(part * len(whole)), 4)
    for part in (0, 0.2, 0.4, 0.6, 0.8)
}  # fmt: skip


def changed(**changes):
    return lambda whole: json.dumps(json.loads(whole) | changes).encode()


DAMAGE_OF_JSON = {
    "null": lambda whole: b"null",
    "list": lambda whole: b"[1, 2]",
    "number": lambda whole: b"1",
    "number of a text": changed(text=1),
    "number of characters": changed(characters=5),
    "list of characters": changed(characters=[*" .abc"]),
    "half a character": changed(characters="\ud800"),
    "other checksum": changed(checksum=1),
    "deep": lambda whole: b"[" * 99_999,
    "other characters": lambda whole: whole.replace(b"abc", b"abd"),
    "older, without checksum": lambda whole: whole.replace(b"checksum", b"sum"),
}


@pytest.mark.parametrize(
    ("name", "case"),
    [*itertools.product(["ids.npy", "ids.npy.json"], DAMAGE)]
    + [("ids.npy.json", case) for case in DAMAGE_OF_JSON],
)
def test_a_damaged_encoding_is_made_anew(case, name, tmp_path, monkeypatch):
    path, target, story = tmp_path / "story.txt", tmp_path / "ids.npy", "abc cab. " * 20
    path.write_text(story, encoding="utf8")
    encode_file(path, target)
    whole = (tmp_path / name).read_bytes()
    damaged = (DAMAGE | DAMAGE_OF_JSON)[case](whole)
    assert damaged != whole
    (tmp_path / name).unlink() if damaged is None else (tmp_path / name).write_bytes(damaged)
    assert decode_characters(*encode_file(path, target)) == story
    assert (tmp_path / name).read_bytes() == whole
    assert left_in(tmp_path) == ["ids.npy", "ids.npy.json", "story.txt"]
    monkeypatch.delattr(text, "_blocks")
    assert decode_characters(*encode_file(path, target)) == story


def test_a_whole_encoding_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    path, target = tmp_path / "story.txt", tmp_path / "run" / "ids.npy"
    path.write_text(STORY, encoding="utf8")
    expected = decode_characters(*encode_file(path, target))
    target.with_name("ids.npy.lock").unlink(missing_ok=True)
    before = sorted(target.parent.iterdir())
    monkeypatch.delattr(text, "FileLock")
    monkeypatch.delattr(Path, "mkdir")
    assert decode_characters(*encode_file(path, target)) == expected
    assert sorted(target.parent.iterdir()) == before


def counted(path, target):
    """Encode; return the text, and how often this process read it."""
    read, blocks = [], text._blocks
    text._blocks = lambda path: read.append(1) or blocks(path)
    return decode_characters(*encode_file(path, target)), len(read)


def test_processes_at_once_encode_once(tmp_path):
    path, story = tmp_path / "story.txt", STORY.replace("\r", "") * 20_000
    path.write_text(story, encoding="utf8")
    arguments = settings(tmp_path), counted, path, tmp_path / "run" / "ids.npy"
    children = [Child(*arguments) for _ in range(4)]
    for child in children:
        child.go()
    found, read = zip(*(child.result() for child in children), strict=True)
    assert all(one == story for one in found)
    assert sorted(read) == [0, 0, 0, 2]
    assert left_in(tmp_path / "run") == ["ids.npy", "ids.npy.json"]


@pytest.mark.parametrize("how", ["itself", "link", "link there", "new folder"])
@pytest.mark.parametrize("end", ["", ".json", ".tmp", ".lock"])
def test_the_text_is_not_written_over(end, how, tmp_path):
    target, path = tmp_path / "ids.npy", tmp_path / f"ids.npy{end}"
    if how == "link":
        path.symlink_to(tmp_path / "story.txt")
        path = tmp_path / "story.txt"
    elif how == "new folder":
        target = tmp_path / "new" / ".." / "ids.npy"
    path.write_text(STORY, encoding="utf8")
    if how == "link there":
        path = tmp_path / "story.txt"
        path.symlink_to(tmp_path / f"ids.npy{end}")
    before = path.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"written over the text .*choose another place"):
        encode_file(path, target)
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == before


def test_what_is_renamed_has_reached_the_disk(tmp_path, monkeypatch):
    """The encoding, then what tells of it: each is whole when it gets its name."""
    path, target, synced, moved = tmp_path / "story.txt", tmp_path / "ids.npy", [], []
    path.write_text(STORY, encoding="utf8")
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda n: synced.append(os.fstat(n).st_ino) or fsync(n))
    monkeypatch.setattr(Path, "replace", lambda a, b: moved.append((a.stat(), b)) or replace(a, b))
    encode_file(path, target)
    assert [name for _, name in moved] == [target, target.with_name("ids.npy.json")]
    assert [stat.st_ino for stat, _ in moved] == synced


def test_a_crash_leaves_the_encoding_before_or_none(tmp_path, monkeypatch):
    path, target = tmp_path / "story.txt", tmp_path / "ids.npy"

    def full(*_):
        raise OSError("disk full")

    for before in ("", "one two"):
        if before:
            path.write_text(before, encoding="utf8")
            encode_file(path, target)
            kept = target.read_bytes()
        path.write_text("another text", encoding="utf8")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="disk full"):
                encode_file(path, target)
        assert target.read_bytes() == kept if before else not target.exists()
        assert "ids.npy.tmp" not in left_in(tmp_path)
        assert decode_characters(*encode_file(path, target)) == "another text"


def test_a_text_that_changes_meanwhile_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "story.txt"
    path.write_text("one two", encoding="utf8")
    fsync = os.fsync

    def meddle(number):
        path.write_text("one two three", encoding="utf8")
        fsync(number)

    monkeypatch.setattr(os, "fsync", meddle)
    with pytest.raises(ValueError, match="changed while"):
        encode_file(path, tmp_path / "ids.npy")
    assert not (tmp_path / "ids.npy").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")
def test_a_text_of_1_gb_needs_little_memory(tmp_path):
    block = np.random.default_rng(0).choice(list(STORY), 1_000_003)
    block = "".join(block).replace("\r", "\n")
    path, size = tmp_path / "large.txt", len(block.encode())
    times = 10**9 // size + 1
    try:
        with path.open("wb") as file:
            for _ in range(times):
                file.write(block.encode())
        code = (
            "import sys; from pathlib import Path; from helpers.text import encode_file;"
            "encode_file(*sys.argv[1:]); print(Path('/proc/self/status').read_text())"
        )
        command = [sys.executable, "-c", code, path, tmp_path / "ids.npy"]
        run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", run.stdout)  # ru_maxrss begins with pytest's own
        assert int(peak) * 1024 < 500e6
        ids = np.load(tmp_path / "ids.npy", mmap_mode="r").reshape(times, len(block))
        expected = encode_characters(block, build_characters(block)[0])
        assert all(np.array_equal(row, expected) for row in ids)
    finally:
        path.unlink()
        (tmp_path / "ids.npy").unlink(missing_ok=True)


# --- wrong input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, [], "No such file"),
        (b"", [], "is empty"),
        ("Ça va".encode("latin-1") * 99, [], "is not UTF-8 .* at byte 0"),
        (b"a" * 999_999 + b"\xe2\x80", [], "is not UTF-8 .* at byte 999,999"),
        (b"a story" * 20, [], "a text of 7 is too short for 16 streams"),
        (b"a story" * 99, ["--held-out=0.99"], "a text of 7 is too short for 16 streams"),
        (b"a story" * 200, ["--window=0"], "window is 0"),
        (b"a story" * 200, ["--batch-size=0"], "batch_size is 0"),
        (b"a story" * 200, ["--rate=-1"], "learning rate"),
        (b"a story" * 200, ["--rate=nan"], "learning rate"),
        (b"a story" * 200, ["--passes=0"], "passes is 0: it must be above 0$"),
        (b"a story" * 200, ["--save-every=0"], "save_every is 0: it must be above 0$"),
        (b"a story" * 200, ["--embedding=-1"], "embedding is -1: it must be above 0$"),
        (b"a story" * 200, ["--hidden=0"], "hidden is 0: it must be above 0$"),
        (b"a story" * 200, ["--held-out=0"], r"held_out is 0\.0: it must be above 0$"),
        (b"a story" * 200, ["--held-out=-1"], r"held_out is -1\.0: it must be above 0$"),
        (b"a story" * 200, ["--held-out=nan"], "held_out is nan: it must be above 0$"),
        (b"a story" * 200, ["--held-out=1"], r"held_out is 1\.0: .*above 0 and below 1$"),
        (b"a story" * 200, ["--held-out=1.5"], r"held_out is 1\.5: .*above 0 and below 1$"),
        (b"a story" * 200, ["--encoded=../story.txt"], "be written over the text .*another place"),
    ],
)
def test_wrong_input_is_named_in_one_paragraph(content, options, words, tmp_path, monkeypatch):
    if content is not None:
        (tmp_path / "story.txt").write_bytes(content)
    arguments = [tmp_path / "story.txt", "--out", tmp_path / "run", *options]
    monkeypatch.setattr(sys, "argv", ["scale", *map(str, arguments)])
    with pytest.raises(SystemExit, match=words) as error:
        scale.main()
    assert error.value.code.startswith("helpers.scale: ")
    assert "\n" not in error.value.code
    assert not (tmp_path / "run" / "ids.npy.tmp").exists()


@pytest.mark.parametrize(
    ("text", "out", "words"),
    [
        ("folder", "run", "folder cannot be read (Is a directory): give the path of a text file"),
        ("gone", "run", "gone cannot be read (No such file or directory): give the path of a"),
        ("story.txt", "file", "(File exists): free some space, or choose another place, and"),
        ("story.txt", "file/run", "(Not a directory): free some space, or choose another place"),
    ],
)
def test_paths_that_will_not_do_are_explained(text, out, words, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "story.txt").write_text(STORY * 20, encoding="utf8")
    with pytest.raises(SystemExit, match=re.escape(words)) as error:
        run_here(monkeypatch, tmp_path / text, "--out", tmp_path / out)
    assert "\n" not in error.value.code


def test_the_process_that_speaks_says_that_another_has_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scale", str(tmp_path / "gone"), "--out", str(tmp_path)])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    for local, words in enumerate(["has no GPU: start fewer, or give --cpu", "^1$", "^1$"]):
        monkeypatch.setattr(scale, "LOCAL_RANK", local)
        with pytest.raises(SystemExit, match=words):
            scale.main()
    monkeypatch.setattr(scale, "LOCAL_RANK", 0)
    for enough in ("2", None):
        if enough:
            monkeypatch.setenv("LOCAL_WORLD_SIZE", enough)
        else:
            monkeypatch.delenv("LOCAL_WORLD_SIZE")
        with pytest.raises(SystemExit, match="No such file"):  # the next thing that is wrong
            scale.main()


def test_a_batch_that_cannot_be_split_is_refused_once_a_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scale", str(tmp_path / "story.txt")])
    monkeypatch.setattr(scale, "WORLD", 3)
    for local, code in ((0, "--batch-size 16 cannot be split evenly among 3"), (1, "^1$")):
        monkeypatch.setattr(scale, "LOCAL_RANK", local)
        with pytest.raises(SystemExit, match=code):
            scale.main()


def test_several_machines_need_a_fresh_store(tmp_path, monkeypatch):
    asked = {"LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(scale, "WORLD", 2)
    monkeypatch.setattr(scale.dist, "rendezvous", lambda _: iter([("a store", 0, 2)]))
    with pytest.raises(ValueError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        scale.connect(gpu=False, text=[])


def test_a_restart_meets_no_address_of_the_dead(monkeypatch):
    kept, stores = scale.dist.HashStore(), []  # torchrun's, the same at every start
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # which `connect` would leave behind
    monkeypatch.setattr(scale, "WORLD", 2)
    monkeypatch.setattr(scale.dist, "rendezvous", lambda _: iter([(kept, 0, 2)]))
    monkeypatch.setattr(scale.dist, "broadcast_object_list", lambda _: None)
    monkeypatch.setattr(
        scale.dist, "init_process_group", lambda *_, store, **__: stores.append(store)
    )
    for attempt in range(2):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(attempt))
        scale.connect(gpu=False, text=[])
    stores[0].set("address of 0", "a dead process")
    assert stores[0].check(["address of 0"])
    assert not stores[1].check(["address of 0"])


def test_both_models_hide_a_unit_for_a_whole_window():
    ids, hidden = torch.randint(9, (4, 7)), []
    for make in (from_the_chapter("ch06-model-class")["CharacterRNN"], scale.CharacterRNN):
        torch.manual_seed(1)
        model = make(9, 5, 40, 0.5)
        model.dense = nn.Identity()
        hidden.append(model(ids)[0])  # (batch, time, hidden)
        kept = hidden[-1] != 0
        assert 0.3 < kept.double().mean() < 0.7
        assert torch.equal(kept, kept[:, :1].expand_as(kept))
        assert not torch.equal(kept, kept[:1].expand_as(kept))  # each row has its own
    assert torch.equal(*hidden)


def test_help_names_every_option(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scale", "--help"])
    with pytest.raises(SystemExit) as error:
        scale.main()
    assert error.value.code == 0
    out = capsys.readouterr().out
    assert "torchrun --standalone" in out
    assert all(f"--{name} " in out and str(default) in out for name, default, _ in scale.OPTIONS)
