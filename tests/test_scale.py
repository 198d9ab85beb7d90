"""More text and more machines: several processes do what one does, and a killed one costs nothing.

The processes are real ones. What starts torchrun, or takes a text of 1 GB, is marked slow; each
promise has a quick test too.
"""

import ast
import os
import re
import signal
import subprocess
import sys
import threading
import tracemalloc
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers import scale
from helpers.batches import StreamBatches
from helpers.text import build_characters, decode_characters, encode_characters
from helpers.training import Step, fit

ROOT = Path(__file__).parents[1]
CHAPTER = ROOT / "notebooks" / "06_mysterious_island_lm.ipynb"
# One character takes one byte, another four; quotes and accents lie in between.
STORY = "The ïsland rose — “grey”, they said, “grey” ☃ and 😀 — out of the sea.\r\nThe sea rose.\n"

# 6 streams of 60 or 61 steps: in the last window of a pass two rows have a target, both of them
# rows of the first of two processes, and the second process has none.
UNEVEN = ["--batch-size=6", "--window=20", "--held-out=0.0925", "--passes=13", "--dropout=0"]
SMALL = ["--embedding=16", "--hidden=32", "--rate=0.01", "--cpu"]
IN_PARTS = [*UNEVEN, *SMALL, "--dropout=0.3", "--save-every=2"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    words = np.random.default_rng(0).choice(STORY.split(), 400)
    path.write_text(" ".join(words)[:400], encoding="utf8")
    return path


# helpers.scale, with a note of the losses of the steps that it took, or a sudden end.
WORKER = """
import os, signal
from pathlib import Path
from helpers import scale

losses, make_step = [], scale.make_step

def noting(*args):
    step = make_step(*args)

    def noted(model, batch, state):
        result = step(model, batch, state)
        if model.training:
            losses.append(result.loss.item())
            if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":  # not when restarted
                if os.environ.get("DIES") == f"{scale.RANK} {len(losses)}":
                    os.kill(os.getpid(), signal.SIGKILL)
        return result

    return noted

scale.make_step = noting
scale.main()
if __name__ == "__main__":
    Path(f"losses{scale.RANK}").write_text(repr(losses))
"""


def run_here(monkeypatch, *arguments):
    """Run helpers.scale in this process; return the losses."""
    names = {"__name__": "here"}
    with monkeypatch.context() as patch:
        patch.setattr(scale, "make_step", scale.make_step)  # so that it comes back
        patch.setattr(sys, "argv", ["scale", *map(str, arguments)])
        exec(WORKER, names)
    return names["losses"]


def run_in(folder, *arguments, processes=1, dies="never"):
    """Run helpers.scale in other processes, "rank step" of which dies in that step."""
    folder.mkdir(exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--max-restarts=1"]
    torchrun += ["--local-addr=127.0.0.1", f"--nproc-per-node={processes}"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *torchrun * (processes > 1), "worker.py", *arguments, "--out=."],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "DIES": dies},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def losses_of(folder, rank=0):
    return ast.literal_eval((folder / f"losses{rank}").read_text())


def made(folder, name="model.pt"):
    return torch.load(folder / name, weights_only=True)


def equal(one, two):
    return all(torch.equal(weights, two["weights"][k]) for k, weights in one["weights"].items())


# --- the same as in chapter 6 ----------------------------------------------------------------


def from_the_chapter(*cells):
    """Return the classes and functions that these cells of chapter 6 define."""
    names = {"nn": nn, "F": F, "Step": Step, "torch": torch}
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.id in cells:
            body = ast.parse(cell.source).body
            body = [n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
            exec(compile(ast.Module(body, []), cell.id, "exec"), names)
    return names


def test_it_learns_as_chapter_6_does(story, tmp_path, monkeypatch):
    learned = run_here(monkeypatch, story, *UNEVEN, *SMALL, "--dropout=0.3", "--out", tmp_path)
    chapter, taught = from_the_chapter("ch06-model-class", "ch06-step"), []

    def step(model, batch, state):
        if state is None:
            torch.manual_seed(len(taught))  # what dropout hides
        result = chapter["step"](model, batch, state)
        taught.append(result.loss.item())
        return result

    text = story.read_text(encoding="utf8")
    char2int, _ = build_characters(text)
    batches = StreamBatches(encode_characters(text, char2int)[:363], 6, 20)
    torch.manual_seed(1)
    model = chapter["CharacterRNN"](len(char2int), 16, 32, 0.3)
    adam = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 0.01, total_steps=52, pct_start=0.1)
    fit(model, step, batches, epochs=13, optimizer=adam, scheduler=cycle, clip_norm=1.0)
    assert len(taught) == 52
    assert taught[-1] < taught[0] - 1  # something was learned
    assert np.abs(np.subtract(learned, taught)).max() < 1e-5


def test_what_is_held_out_is_the_end_and_the_file_tells_how_to_read_it(
    tmp_path, monkeypatch, capsys
):
    words = np.random.default_rng(0).choice(STORY.split(), 1000)
    story = " ".join(words)[:4000]
    (tmp_path / "story.txt").write_text(story, encoding="utf8")
    options = ["--out", tmp_path, "--held-out=0.2", "--batch-size=1", "--passes=2"]
    run_here(monkeypatch, tmp_path / "story.txt", *options, *SMALL, "--save-every=40")
    found = made(tmp_path)
    assert found["characters"] == sorted(set(story))

    ids = torch.tensor([[found["characters"].index(character) for character in story[-800:]]])
    model = from_the_chapter("ch06-model-class")["CharacterRNN"](len(set(story)), 16, 32).eval()
    model.load_state_dict(found["weights"])
    with torch.no_grad():  # in one go, without streams and windows
        loss = F.cross_entropy(model(ids)[0][0, :-1], ids[0, 1:]).item()
    history = made(tmp_path, "checkpoint.pt")["history"]
    assert len(history) == 4
    assert min(row["valid_loss"] for row in history) == pytest.approx(loss, abs=1e-5)
    assert loss < np.log(len(set(story))) - 0.5  # it has learned what makes this text
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("3,200 characters, 2 x 32 steps a pass; saving to")
    assert last == f"held out: {loss:.3f} nats a character"


def test_the_parts_are_learned_in_turn_and_the_best_weights_kept(tmp_path, monkeypatch):
    text = "".join(map(chr, range(0x100, 0x100 + 231)))  # each character once: its place
    (tmp_path / "story.txt").write_text(text, encoding="utf8")
    met, weights, real = [], [], scale.train_epoch

    def noting(model, step, batches, *rest):
        batches = list(batches)
        targets = torch.cat([targets.flatten() for _, targets in batches])
        met.append(targets[targets >= 0].sort().values.tolist())
        return real(model, step, batches, *rest)

    def measure(model, *_):
        weights.append(deepcopy(model.state_dict()))
        return {"loss": [3.0, 1.0, 1.0, 2.0][len(weights) - 1]}

    monkeypatch.setattr(scale, "train_epoch", noting)
    monkeypatch.setattr(scale, "evaluate", measure)
    options = ["--batch-size=2", "--window=10", "--save-every=6", "--held-out=0.1", "--passes=2"]
    run_here(monkeypatch, tmp_path / "story.txt", *options, *SMALL, "--out", tmp_path)
    assert met == [list(range(1, 104)), list(range(104, 207))] * 2  # of 208; the last is left out
    assert equal(made(tmp_path), {"weights": weights[1]})


# --- several processes -----------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(story, tmp_path, monkeypatch):
    two, options = tmp_path / "two", [story, *UNEVEN, *SMALL]
    run = run_in(two, *options, processes=2)
    assert run.returncode == 0, run.stderr[-3000:]
    one = run_here(monkeypatch, *options, "--out", tmp_path)
    assert len(one) == 52
    assert losses_of(two, 0) == losses_of(two, 1)  # each knows the mean over all rows
    assert np.abs(np.subtract(losses_of(two), one)).max() < 1e-5
    histories = [made(folder, "checkpoint.pt")["history"] for folder in (two, tmp_path)]
    for a, b in zip(*histories, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    weights = made(tmp_path)["weights"]
    for name, found in made(two)["weights"].items():
        torch.testing.assert_close(found, weights[name], rtol=0, atol=1e-4)


def test_the_gradients_of_two_processes_average_to_those_of_one(monkeypatch):
    """Quick, without processes: what each would do, one after the other."""
    torch.manual_seed(0)
    whole = next(iter(StreamBatches(np.arange(12) % 5, 6, 9)))  # some rows have a target less
    model, schedule = scale.CharacterRNN(5, 3, 4, 0.0), SimpleNamespace(last_epoch=0)
    totals, gradients, losses = [], [], []
    for world, rank in ((2, 0), (2, 1), (2, 0), (2, 1), (1, 0)):  # first to know the sums
        monkeypatch.setattr(scale, "WORLD", world)
        monkeypatch.setattr(scale, "RANK", rank)

        def add_up(total):
            totals.append(total.clone())
            total.copy_(totals[0] + totals[1] if len(totals) > 2 else total)

        monkeypatch.setattr(scale.dist, "all_reduce", add_up)
        (batch,) = scale.share([whole])
        assert len(batch[0]) == 6 // world
        model.zero_grad()
        loss = scale.make_step(model, schedule)(None, batch, None).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append([weights.grad.clone() for weights in model.parameters()])
    assert losses[2] == pytest.approx(losses[4], rel=1e-6)
    assert losses[3] == pytest.approx(losses[4], rel=1e-6)
    for first, second, one in zip(*gradients[2:], strict=True):
        torch.testing.assert_close((first + second) / 2, one)


def test_each_process_hides_units_of_its_own_and_the_same_when_resumed(monkeypatch):
    def network(inputs, state):
        drawn.append(torch.rand(1).item())
        return torch.zeros(1, 2, 3), ()

    monkeypatch.setattr(scale, "WORLD", 2)
    monkeypatch.setattr(scale.dist, "all_reduce", lambda total: None)
    batch, drawn = torch.zeros(2, 1, 2, dtype=torch.int64), []
    for rank, done in [(rank, done) for rank in (0, 1) for done in range(5)] * 2:
        monkeypatch.setattr(scale, "RANK", rank)
        step = scale.make_step(network, SimpleNamespace(last_epoch=done))
        step(None, batch, None)
        step(None, batch, ())  # a part goes on
    assert len(set(drawn)) == len(drawn) / 2
    assert drawn[:20] == drawn[20:]


def test_processes_with_different_texts_are_refused(story, tmp_path, monkeypatch):
    def broadcast(held):
        held[0] = {"text": "another"}

    monkeypatch.setattr(scale, "WORLD", 2)
    monkeypatch.setattr(scale, "connect", lambda gpu: None)
    monkeypatch.setattr(scale.dist, "broadcast_object_list", broadcast)
    with pytest.raises(SystemExit, match="the text or an option here is another one than"):
        run_here(monkeypatch, story, *UNEVEN, *SMALL, "--out", tmp_path)


# --- what is killed, and goes on -------------------------------------------------------------


def test_a_training_that_was_killed_ends_with_the_same_weights(story, tmp_path, monkeypatch):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    options = [story, *IN_PARTS]
    losses = run_here(monkeypatch, *options, "--out", undisturbed)
    dead = run_in(killed, *options, dies=f"0 {len(losses) // 2 + 1}")
    assert dead.returncode == -signal.SIGKILL, dead.stderr[-3000:]
    rest = run_here(monkeypatch, *options, "--out", killed)
    assert len(losses) // 4 < len(rest) < len(losses)  # it did not begin afresh
    assert rest == losses[-len(rest) :]
    assert equal(made(killed), made(undisturbed))
    assert run_here(monkeypatch, *options, "--out", killed) == []  # all is done
    assert equal(made(killed), made(undisturbed))


@pytest.mark.slow
def test_a_killed_process_of_two_changes_nothing(story, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    quiet = run_in(undisturbed, story, *IN_PARTS, processes=2)
    losses = losses_of(undisturbed)
    again = run_in(killed, story, *IN_PARTS, processes=2, dies=f"1 {len(losses) // 2 + 1}")
    assert "going on from" not in quiet.stdout
    assert again.stdout.count("going on from") == 1
    rest = losses_of(killed)
    assert len(losses) // 4 < len(rest) < len(losses)
    assert rest == losses[-len(rest) :]
    assert equal(made(killed), made(undisturbed))
    assert quiet.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]


def test_another_training_is_not_continued(tmp_path, monkeypatch, capsys):
    path, text = tmp_path / "story.txt", "abc abc abc. " * 100
    options = [path, *SMALL, "--out", tmp_path, "--passes=1", "--batch-size=2"]
    path.write_text(text, encoding="utf8")
    run_here(monkeypatch, *options)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    for other, more, words in (
        ("xbc" + text[3:], [], r"text \([0-9a-f]{16} there, [0-9a-f]{16} here\):"),
        ("cba" + text[3:], [], "text"),  # as long, and of the same characters
        (text, ["--window=49", "--dropout=0.1"], r"window \(50 there, 49 here\), dropout \(0.15 "),
    ):
        path.write_text(other, encoding="utf8")
        with pytest.raises(SystemExit, match=f"another training, which differs in {words}"):
            run_here(monkeypatch, *options, *more)
        assert (tmp_path / "checkpoint.pt").read_bytes() == before
    run_here(monkeypatch, *options)
    assert "going on from" in capsys.readouterr().out


class Evil:
    """Leaves a trace if it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trace",)


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", {"history": []}, {"plan": Evil()}])
def test_what_is_no_checkpoint_is_left_alone(content, story, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    before = path.read_bytes()
    with pytest.raises(SystemExit, match=r"checkpoint.pt cannot be read: delete it, or choose"):
        run_here(monkeypatch, story, *UNEVEN, *SMALL, "--out=.")
    assert path.read_bytes() == before
    assert not Path("trace").exists()


# --- files, whole or not at all --------------------------------------------------------------


def test_who_writes_at_the_same_time_waits(story, tmp_path, monkeypatch):
    calls, fsync = [], os.fsync
    others = [
        threading.Thread(target=scale.save, args=("second", tmp_path / "file")),
        threading.Thread(target=scale.encode_file, args=(story, tmp_path / "encoded.bin")),
    ]

    def meanwhile(number):
        calls.append(number)
        if len(calls) == 1:
            for other in others:
                other.start()
                other.join(0.3)
                assert other.is_alive()
        fsync(number)

    monkeypatch.setattr(os, "fsync", meanwhile)
    scale.encode_file(story, tmp_path / "encoded.bin")
    for other in others:
        other.join(20)
    assert made(tmp_path, "file") == "second"
    assert len(calls) == 2  # the text was encoded once
    assert not list(tmp_path.glob("*.tmp"))


# --- encoding --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 16])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_file_is_encoded_as_the_string_wherever_blocks_end(block, mark, tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "BLOCK", block)
    path, target = tmp_path / "story.txt", tmp_path / "encoded.bin"
    path.write_bytes(mark + STORY.encode() * 2)
    ids, characters, fingerprint = scale.encode_file(path, target)
    story = path.read_text(encoding="utf-8-sig")
    char2int, char_array = build_characters(story)
    assert isinstance(ids, np.memmap)
    assert ids.dtype == np.uint8
    assert list(characters) == char_array.tolist()
    assert np.array_equal(ids, encode_characters(story, char2int))
    monkeypatch.delattr(scale, "_encode")  # it is there
    again, *known = scale.encode_file(path, target)
    assert known == [characters, fingerprint]
    assert np.array_equal(again, ids)


@pytest.mark.parametrize(("n", "dtype"), [(256, np.uint8), (257, np.uint16), (70_000, np.uint32)])
def test_the_type_is_as_large_as_the_characters_need(n, dtype, tmp_path):
    text = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x20000)][:n]))
    (tmp_path / "all.txt").write_text(text, encoding="utf8")
    ids, characters, _ = scale.encode_file(tmp_path / "all.txt", tmp_path / "encoded.bin")
    assert ids.dtype == dtype
    assert characters == text
    assert decode_characters(ids, np.array(list(characters))) == text


def test_another_text_is_encoded_anew(tmp_path):
    path, target, before = tmp_path / "story.txt", tmp_path / "encoded.bin", set()
    for text in ("one two", "two one", "one two"):
        path.write_text(text, encoding="utf8")
        os.utime(path, ns=(0, 0))  # as old and as long as before
        ids, characters, fingerprint = scale.encode_file(path, target)
        assert decode_characters(ids, np.array(list(characters))) == text
        before.add(fingerprint)
    assert len(before) == 2


def test_a_text_that_changes_meanwhile_is_refused(story, tmp_path, monkeypatch):
    encode = scale._encode

    def meddle(*args):
        encode(*args)
        story.write_text("more", encoding="utf8")

    monkeypatch.setattr(scale, "_encode", meddle)
    with pytest.raises(ValueError, match="changed while"):
        scale.encode_file(story, tmp_path / "encoded.bin")
    assert not list(tmp_path.glob("encoded*"))


def test_a_text_is_encoded_in_a_small_part_of_its_size(tmp_path):
    (tmp_path / "large.txt").write_bytes(b"The sea rose. " * 10**6)  # 14 MB
    tracemalloc.start()
    scale.encode_file(tmp_path / "large.txt", tmp_path / "encoded.bin")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")
def test_a_text_of_1_gb_needs_little_memory(tmp_path):
    block = np.random.default_rng(0).choice(list(STORY), 1_000_003)
    block = "".join(block).replace("\r", "\n")
    path, target, size = tmp_path / "large.txt", tmp_path / "encoded.bin", len(block.encode())
    times = 10**9 // size + 1
    try:
        with path.open("wb") as file:
            for _ in range(times):
                file.write(block.encode())
        code = (
            "from pathlib import Path; from helpers.scale import encode_file;"
            f"encode_file(Path({str(path)!r}), Path({str(target)!r}));"
            "print(Path('/proc/self/status').read_text())"
        )
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", run.stdout)  # ru_maxrss begins with pytest's own
        assert int(peak) * 1024 < 500e6
        ids = scale.encode_file(path, target)[0].reshape(times, len(block))
        expected = encode_characters(block, build_characters(block)[0])
        assert all(np.array_equal(row, expected) for row in ids)
    finally:
        path.unlink()
        target.unlink(missing_ok=True)


# --- wrong input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, [], "gone: No such file or directory. Mend this and start again"),
        (b"", [], "is empty"),
        ("Ça va".encode("latin-1") * 99, [], "is not UTF-8 .* at byte 0"),
        (b"\xef\xbb\xbf" + b"a" * 999_996 + b"\xe2\x80", [], "is not UTF-8 .* at byte 999,999"),
        (
            b"a story" * 20,
            [],
            "133 characters to learn from, 7 --held-out: too few for a --batch-size",
        ),
        (b"a story" * 200, ["--passes=0"], "passes is 0: it must be above 0$"),
        (b"a story" * 200, ["--rate=nan"], "learning rate"),
        (b"a story" * 200, ["--held-out=nan"], "held_out is nan: it must be above 0$"),
        (b"a story" * 200, ["--held-out=1"], r"held_out is 1\.0: .*above 0 and below 1$"),
        (b"a story" * 200, ["--out=file"], "file: File exists. Mend this"),
    ],
)
def test_wrong_input_is_named_in_one_paragraph(content, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("story.txt").write_bytes(content or b"")
    text = "gone" if content is None else "story.txt"
    with pytest.raises(SystemExit, match=words) as error:
        run_here(monkeypatch, text, *SMALL, *options)
    assert error.value.code.startswith("helpers.scale: ")
    assert "\n" not in error.value.code
    assert {path.name for path in tmp_path.glob("run/*")} <= {".lock", "encoded.bin"}


def test_a_full_disk_is_named_and_costs_nothing(story, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource", reason="no limits on files here")
    options = [story, *IN_PARTS, "--out", tmp_path / "run"]
    losses = run_here(monkeypatch, *options[:-1], tmp_path / "undisturbed")
    limits, saved, save = resource.getrlimit(resource.RLIMIT_FSIZE), [], scale.save

    def fill_up(*args):
        saved.append(1)
        if len(saved) == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
        save(*args)

    with monkeypatch.context() as patch:
        patch.setattr(scale, "save", fill_up)
        try:
            with pytest.raises(SystemExit, match=r"run: File too large. Mend this.*is unharmed"):
                run_here(monkeypatch, *options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(made(tmp_path / "run", "checkpoint.pt")["history"]) == 2
    assert not list(tmp_path.glob("run/*.tmp"))
    rest = run_here(monkeypatch, *options)
    assert rest == losses[-len(rest) :]
    assert equal(made(tmp_path / "run"), made(tmp_path / "undisturbed"))


def test_one_process_a_machine_says_what_is_wrong(tmp_path, monkeypatch):
    arguments = [tmp_path / "gone", "--out", tmp_path]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for world, here, local, words in (
        (3, 3, 0, "16 rows cannot be shared evenly by 3 processes"),
        (4, 3, 0, "has no GPU: start fewer, or give --cpu"),
        (4, 3, 1, "^1$"),
        (4, 2, 0, "No such file"),  # the next thing that is wrong
    ):
        monkeypatch.setattr(scale, "WORLD", world)
        monkeypatch.setattr(scale, "LOCAL_RANK", local)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
        with pytest.raises(SystemExit, match=words):
            run_here(monkeypatch, *arguments)
