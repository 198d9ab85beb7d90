"""What goes wrong while a model is trained or a text encoded, and the next start after it.

Every fault ends in the right weights, or in an error of one paragraph that says what is wrong and
what to do; and the next start needs no cleaning by hand. (Faults of the data: `test_data.py`.)
"""

import ast
import contextlib
import copy
import ctypes
import functools
import io
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import tempfile
from pathlib import Path

import nbformat
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager
from small_course import (
    ARCHIVE,
    Child,
    duration,
    flipped,
    kill_at,
    left_in,
    run,
    settings,
)
from small_training import Net, equal, train
from torch import nn

from helpers import data, training
from helpers.text import decode_characters, encode_file
from helpers.training import Step, fit

pytestmark = pytest.mark.usefixtures("one_thread")

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


class Evil:
    """What runs when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


# --- killed processes ------------------------------------------------------------------------


def moment(what, seed):
    """Return a random moment in this twentieth of the time that something takes."""
    return (seed + randomly(what, seed)) / len(TWENTY)


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
    owner = {"save": torch}.get(name, os)
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


def trained(path):
    train(path)


def trained_with_much_to_write(path):
    """Train for an instant between checkpoints of 6 MB."""
    torch.manual_seed(1)
    model = nn.Embedding(100_000, 16)
    sgd = torch.optim.SGD(model.parameters(), 0.1)

    def step(model, batch, state):
        return Step(model(batch).square().sum(), 1)

    batches = [torch.tensor([1, 2])]
    history = fit(model, step, batches, epochs=5, optimizer=sgd, checkpoint=path)
    return history, model.weight[:3].tolist()


@pytest.mark.parametrize("seed", TWENTY)
def test_killed_training_goes_on_to_the_same_weights(seed, tmp_path, seconds, undisturbed):
    path, course = tmp_path / "run" / "net.pt", settings(tmp_path)
    takes = seconds(course, trained, path)
    kill_at(
        moment("train", seed),
        takes,
        lambda: shutil.rmtree(path.parent, ignore_errors=True),
        course,
        trained,
        path,
    )
    assert equal(train(path), undisturbed)
    assert left_in(path.parent) == ["net.pt"]


def trained_for(steps, path):
    """Train, and die at this step if it comes to that."""
    calls, clip = [], training.clip_grads_with_norm_

    def die(*args):
        calls.append(1)
        if len(calls) == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        clip(*args)

    training.clip_grads_with_norm_ = die
    train(path)


def test_training_killed_again_and_again_ends_with_the_same_weights(tmp_path, undisturbed):
    path, ends = tmp_path / "net.pt", []
    while not ends or ends[-1] != 0:
        steps = 1 + int(randomly("again and again", len(ends)) * 20)  # 8 in an epoch, 4 epochs
        ends.append(Child(settings(tmp_path), trained_for, steps, path).go().end())
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert len(ends) > 4
    assert equal(train(path), undisturbed)
    assert left_in(tmp_path) == ["net.pt"]


@pytest.fixture(scope="module")
def much_written(one_thread, tmp_path_factory):
    return trained_with_much_to_write(tmp_path_factory.mktemp("run") / "net.pt")


@pytest.mark.parametrize("seed", TWENTY)
def test_killed_writing_leaves_the_checkpoint_before(seed, tmp_path, seconds, much_written):
    path, course = tmp_path / "run" / "net.pt", settings(tmp_path)
    write = course, trained_with_much_to_write, path
    kill_at(
        moment("write", seed),
        seconds(*write),
        lambda: shutil.rmtree(path.parent, ignore_errors=True),
        *write,
    )
    assert trained_with_much_to_write(path) == much_written
    assert left_in(path.parent) == ["net.pt"]


@pytest.mark.parametrize("call", ["save", "half fsync", "fsync", "replace"])
def test_killed_in_the_midst_of_writing_a_checkpoint(call, tmp_path, undisturbed):
    path = tmp_path / "net.pt"
    assert Child(settings(tmp_path), until, call, 3, train, path).go().end() == -signal.SIGKILL
    assert left_in(tmp_path) == ["net.pt"] + ["net.pt.tmp"] * (call != "save")
    assert len(torch.load(path, weights_only=True)["history"]) == 2
    assert equal(train(path), undisturbed)
    assert left_in(tmp_path) == ["net.pt"]


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
def test_checkpoint_finds_no_room(part, tmp_path, undisturbed):
    train(tmp_path / "other.pt")
    size = (tmp_path / "other.pt").stat().st_size
    path = tmp_path / "run" / "net.pt"
    message, _ = run(settings(tmp_path), in_little_room, room(part, size), trained, path)
    assert message.startswith(f"{path} cannot be written (File too large).")
    assert "free some space" in message
    assert left_in(path.parent) == []
    assert equal(train(path), undisturbed)


def trained_until_the_disk_is_full(path):
    def fill(done):
        if done == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    return heard(train, path, 4, fill)


def test_checkpoint_survives_a_disk_that_fills_up(tmp_path, undisturbed):
    path = tmp_path / "net.pt"
    message, _ = run(settings(tmp_path), trained_until_the_disk_is_full, path)
    assert message.startswith(f"{path} cannot be written (File too large).")
    assert left_in(tmp_path) == ["net.pt"]
    assert len(torch.load(path, weights_only=True)["history"]) == 2
    assert equal(train(path), undisturbed)


def encoded(path, target):
    ids, characters = encode_file(path, target)
    return decode_characters(ids, characters)


def test_encoding_finds_no_room(tmp_path):
    (tmp_path / "story.txt").write_text("An island. " * 99, "utf8")
    paths = tmp_path / "story.txt", tmp_path / "run" / "ids.npy"
    for size in (0, 200, 1_000):
        message, _ = run(settings(tmp_path), in_little_room, size, encoded, *paths)
        assert message.startswith(f"{paths[1]} cannot be made of {paths[0]} (File too large): ")
        assert left_in(tmp_path / "run") == []
    assert encoded(*paths) == "An island. " * 99


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


@pytest.mark.parametrize("what", ["written", "made", "read"])
def test_checkpoint_without_permission(what, tmp_path, undisturbed):
    path = tmp_path / "run" / "net.pt"
    if what != "made":
        train(path, epochs=2)
    mode = {"written": {path.parent: 0o555}, "made": {tmp_path: 0o555}, "read": {path: 0}}[what]
    with modes(mode):
        message, _ = run(settings(tmp_path), obedient, trained, path)
    how = "read" if what == "read" else "written"
    assert message.startswith(f"{path} cannot be {how} (Permission denied).")
    assert "mend the permissions" in message
    assert equal(train(path), undisturbed)


# --- checkpoints that somebody has been at ---------------------------------------------------


@pytest.mark.parametrize("where", ["save", "fsync", "replace"])
def test_an_error_while_writing_leaves_the_checkpoint_before(
    where, tmp_path, undisturbed, monkeypatch
):
    path, calls = tmp_path / "net.pt", []
    module = torch if where == "save" else os
    real = getattr(module, where)

    def fail(*args):
        calls.append(1)
        if len(calls) == 3:
            if where == "save":
                args[1].write(b"half a file")
            raise OSError("disk full")
        return real(*args)

    monkeypatch.setattr(module, where, fail)
    with pytest.raises(OSError, match="disk full"):
        train(path)
    monkeypatch.undo()
    assert len(torch.load(path, weights_only=True)["history"]) == 2
    assert left_in(tmp_path) == ["net.pt"]
    assert equal(train(path), undisturbed)


@functools.cache
def written(of="Net"):
    """Return a checkpoint of two epochs, of the small training or of one with another model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt"
        train(path, epochs=2, net=Other() if of == "Other" else None)
        return path.read_bytes()


class Other(Net):
    """A model that says it is the same, with weights of another shape."""

    def __init__(self):
        super().__init__()
        self.out = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 1))

    def __repr__(self):
        return repr(Net())


def with_changes(**changes):
    """Return the checkpoint with other parts, as sound a file as the one before."""
    content = torch.load(io.BytesIO(written()), weights_only=True) | changes
    torch.save(content, packed := io.BytesIO())
    return packed.getvalue()


def without(part, key=None):
    content = torch.load(io.BytesIO(written()), weights_only=True)
    (content[part] if key else content).pop(key or part)
    torch.save(content, packed := io.BytesIO())
    return packed.getvalue()


def other(part):
    return torch.load(io.BytesIO(written("Other")), weights_only=True)[part]


def own(part, **changes):
    return torch.load(io.BytesIO(written()), weights_only=True)[part] | changes


def spoil_middle(content):
    middle = content.index(b"data/") + len(content) // 2  # somewhere among the weights
    return flipped(content, middle, 1)


def legacy(content):
    torch.save(content, packed := io.BytesIO(), _use_new_zipfile_serialization=False)
    return packed.getvalue()


TAMPERED = {  # how it is made; `evil` leaves a trace if it is unpickled
    "empty": lambda evil: b"",
    "web page": lambda evil: b"<!doctype html>" * 100,
    "archive": lambda evil: ARCHIVE,
    "half": lambda evil: written()[: len(written()) // 2],
    "without its end": lambda evil: written()[:-1],
    "longer": lambda evil: written() + bytes(100_000),
    "one bit": lambda evil: spoil_middle(written()),
    "zeros": lambda evil: bytes(len(written())),
    "plain pickle": pickle.dumps,
    "pickle before it": lambda evil: pickle.dumps(evil) + written(),
    "code": lambda evil: with_changes(evil=evil),
    "code for a plan": lambda evil: with_changes(plan=evil),
    "code for a model": lambda evil: with_changes(model=evil),
    "code, old format": legacy,
    "code instead": lambda evil: with_changes(**dict.fromkeys(("plan", "model", "rng"), evil)),
    "model of another": lambda evil: written("Other"),
    "weights of another": lambda evil: with_changes(model=other("model")),
    "average of another": lambda evil: with_changes(average=other("average")),
    "best of another": lambda evil: with_changes(best=other("best")),
    "optimizer of another": lambda evil: with_changes(optimizer=other("optimizer")),
    "plan of another": lambda evil: with_changes(plan=own("plan", model="Net(\x1b[2J\n" * 999)),
    "long plan": lambda evil: with_changes(plan=own("plan", scheduler="x\r\n\x1b[2J" * 9_999)),
    "long name": lambda evil: with_changes(model={"x\r\n\x1b[2J" * 9_999: torch.zeros(1)}),
    "no epochs": lambda evil: with_changes(history=[{}]),
    "epochs twice": lambda evil: with_changes(history=[{"epoch": 1}, {"epoch": 1}]),
    "too many epochs": lambda evil: with_changes(history=[{"epoch": i} for i in range(1, 9)]),
    "best of no epoch": lambda evil: with_changes(best={"weights": own("model")}),
    "best made up": lambda evil: with_changes(best=own("best", row={"epoch": 1})),
    "short rng": lambda evil: with_changes(rng=torch.zeros(3, dtype=torch.uint8)),
} | {
    f"wrong {part}": lambda evil, part=part: with_changes(**{part: {"x": [1]}})
    for part in ("plan", "history", "best", "rng", "model", "optimizer", "scheduler", "average")
} | {
    f"older, without {what}": lambda evil, what=what: without(*what.split("'s "))
    for what in ("plan's average", "plan", "rng", "cuda_rng", "best", "scheduler", "average")
}  # fmt: skip


def refused(path):
    """Train in vain, with one paragraph that tells why, and nothing touched."""
    net, content = Net(), path.read_bytes()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(
        ValueError, match=r"net\.pt .*Nothing was changed.*Delete the file"
    ) as caught:
        train(path, net=net)
    assert path.read_bytes() == content
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    one_paragraph(str(caught.value))


@pytest.mark.parametrize("case", TAMPERED)
def test_tampered_checkpoint_is_refused_whole(case, tmp_path):
    path, trace = tmp_path / "net.pt", tmp_path / "trace"
    path.write_bytes(TAMPERED[case](Evil(trace)))
    refused(path)
    assert left_in(tmp_path) == ["net.pt"]  # and no trace


@pytest.mark.parametrize("seed", TWENTY)
@pytest.mark.parametrize("what", ["cut", "flipped"])
def test_no_damage_to_a_checkpoint_yields_other_weights(what, seed, tmp_path, undisturbed):
    """A damaged bit may lie in a date, say; but what is believed is what was written."""
    path, at = tmp_path / "net.pt", int(randomly(f"checkpoint {what}", seed) * len(written()))
    path.write_bytes(written()[:at] if what == "cut" else flipped(written(), at, 1 << seed % 8))
    try:
        result = train(path)
    except ValueError:
        refused(path)
    else:
        assert what != "cut"
        assert equal(result, undisturbed)


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
