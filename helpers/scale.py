"""Train the language model of chapter 6 on a text of any size, with as many processes as you have.

    python -m helpers.scale TEXT
    torchrun --standalone --local-addr localhost --nproc-per-node 4 -m helpers.scale TEXT

With --max-restarts 3 torchrun starts all again when a process dies; so does your next call.
"""

import argparse
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.distributed as dist
from torch import nn, optim

from .batches import StreamBatches
from .progress import Progress, hold
from .training import Step, evaluate, table, train_epoch

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))  # by torchrun
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", 0))  # among the processes of this machine
BLOCK = 1 << 16  # characters: what is made of a block stays in the processor's cache
OPTIONS = (
    ("out", Path("run"), "folder of all that is made, best one that all machines see"),
    ("held-out", 0.05, "share of the text, at its end, to measure: a million characters at most"),
    ("passes", 3, "passes over the text"),
    ("batch-size", 16, "rows of a batch, those of all processes together"),
    ("window", 50, "characters until the gradient is cut"),
    ("save-every", 2000, "steps of a part, about; the state starts from zeros in each part"),
    ("rate", 3e-3, "highest learning rate"),
    ("embedding", 256, "numbers for a character"),
    ("hidden", 512, "units of the LSTM"),
    ("dropout", 0.15, "share of the hidden state that training hides from the last layer"),
)


class CharacterRNN(nn.Module):
    """The model of chapter 6, once more: other processes cannot import it from a notebook."""

    def __init__(self, n_characters, embed_dim=256, hidden_size=512, dropout=0.15):
        super().__init__()
        self.embedding = nn.Embedding(n_characters, embed_dim)
        self.lstm = nn.LSTM(embed_dim, hidden_size, batch_first=True)
        self.dropout = nn.Dropout1d(dropout)  # for (batch, hidden, time)
        self.dense = nn.Linear(hidden_size, n_characters)

    def forward(self, ids, state=None):
        """Map ids (batch, time) to logits (batch, time, characters) and the last state."""
        h, state = self.lstm(self.embedding(ids), state)
        return self.dense(self.dropout(h.transpose(1, 2)).transpose(1, 2)), state


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that becomes `path` once it is whole: a crash leaves the one before, or none."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:  # no half-written file takes room on a disk that is full
        temporary.unlink(missing_ok=True)


def save(content: Any, path: Path) -> None:
    """Write what `torch.save` takes into a file, whole or not at all; one process at a time."""
    torch.save(content, packed := io.BytesIO())  # on a full disk its own writer hides the reason
    with hold(path.with_name(".lock")), write_whole(path) as file:
        file.write(packed.getbuffer())


def restore(path: Path, parts: dict, plan: dict) -> tuple[list[dict], dict | None]:
    """Go on from a checkpoint where there is one; return the history and its best row, or none.

    Parameters
    ----------
    path : Path
        Read by the first process alone: the disks of the others may differ, or lag behind.
    parts : dict
        What has a `load_state_dict`, by name.
    plan : dict of str
        What must be the same as when the checkpoint was saved.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another training, or cannot be read. Nothing is changed then.
    """
    content = from_first(path.read_bytes() if RANK == 0 and path.exists() else None)
    if content is None:
        return [], None
    try:
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        there = saved["plan"]
        differing = [f"{k} ({there[k]} there, {plan[k]} here)" for k in plan if there[k] != plan[k]]
    except Exception as error:
        raise ValueError(f"{path} cannot be read: delete it, or choose another --out") from error
    if differing:
        raise ValueError(
            f"{path} belongs to another training, which differs in {', '.join(differing)}: delete "
            "it to train afresh, or choose another --out"
        )
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return saved["history"], saved["best"]


def encode_file(path: Path, target: Path) -> tuple[np.ndarray, str, str]:
    """Encode a UTF-8 text of any size into a file, unless it is there, made from the same text.

    It is read block by block, so a few megabytes of memory will do. Of several processes that
    call this at once one encodes, the others wait.

    Parameters
    ----------
    path : Path
        The text. Line ends are read as Python reads them; a byte order mark is dropped.
    target : Path
        A line of JSON, and the integers, of the smallest type that will do.

    Returns
    -------
    ids : memmap of unsigned integers, shape (n,)
    characters : str
        All that occur, by code point; `characters[ids[0]]` is the first of the text.
    fingerprint : str
        Tells this text from others: the beginning of the SHA-256 of all its bytes.

    Raises
    ------
    ValueError
        If the text is empty or not UTF-8, or changes meanwhile.
    """
    modified = path.stat().st_mtime_ns
    with path.open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    with hold(target.with_name(".lock"), 86_400):
        if not target.exists() or _open_encoded(target)[0]["text"] != fingerprint:
            with write_whole(target) as file:
                _encode(path, fingerprint, file)
                if path.stat().st_mtime_ns != modified:
                    raise ValueError(f"{path} changed while it was read: start again when it rests")
        known, ids = _open_encoded(target)
    return ids, known["characters"], fingerprint


def _encode(path: Path, fingerprint: str, file: BinaryIO) -> None:
    """Write what the file begins with, and the integers."""
    seen = np.zeros(0x110000, dtype=bool)
    for codes in _blocks(path):
        seen[codes] = True
    known = np.flatnonzero(seen)
    if not len(known):
        raise ValueError(f"{path} is empty: there are no characters to encode")
    table = np.zeros(len(seen), dtype=np.min_scalar_type(len(known) - 1))
    table[known] = np.arange(len(known))
    first = {"text": fingerprint, "type": table.dtype.str, "characters": "".join(map(chr, known))}
    file.write(json.dumps(first).encode() + b"\n")
    for codes in _blocks(path):
        file.write(table[codes].tobytes())


def _open_encoded(target: Path) -> tuple[dict, np.memmap]:
    """Return what the file begins with, and the integers, which stay on the disk."""
    with target.open("rb") as file:
        known = json.loads(file.readline())
        return known, np.memmap(file, known["type"], mode="r", offset=file.tell())


def _blocks(path: Path) -> Iterator[np.ndarray]:
    """Yield the code points of a UTF-8 text, block by block."""
    with path.open(encoding="utf-8-sig") as file:
        try:
            while block := file.read(BLOCK):
                yield np.frombuffer(block.encode("utf-32-le"), dtype="<u4")
        except UnicodeDecodeError as error:
            position = file.buffer.tell() - len(error.object) + error.start
            what = f"{error.reason} at byte {position:,}"
            raise ValueError(f"{path} is not UTF-8 ({what}): convert it first") from error


def connect(gpu: bool) -> None:
    """Join the other processes."""
    alone = int(os.environ["LOCAL_WORLD_SIZE"]) == WORLD  # there is no other machine
    if gpu:
        torch.cuda.set_device(LOCAL_RANK)
    elif alone and Path("/sys/class/net/lo").exists():  # listen to no other machine
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # torchrun may keep its store over a restart, with the addresses of processes that are dead
    store, *_ = next(dist.rendezvous("env://"))
    if alone:
        store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    elif os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "True":
        raise ValueError("set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun on every machine")
    dist.init_process_group("nccl" if gpu else "gloo", store=store, rank=RANK, world_size=WORLD)


def from_first(value: Any) -> Any:
    """Return the value that the first process has."""
    held = [value]
    if WORLD > 1:
        dist.broadcast_object_list(held)
    return held[0]


def share(batches: Iterable) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the rows of this process of each batch of inputs and targets."""
    for batch in batches:
        rows = slice(RANK * len(batch[0]) // WORLD, (RANK + 1) * len(batch[0]) // WORLD)
        yield tuple(side[rows] for side in batch)


def make_step(network: nn.Module, schedule: optim.lr_scheduler.LRScheduler) -> Callable[..., Step]:
    """Return the step of chapter 6 for processes that share a batch by its rows."""

    def step(_, batch, state):
        if state is None:  # a part begins: its dropout must be the same in a run that is resumed
            torch.manual_seed(WORLD * schedule.last_epoch + RANK)
        inputs, targets = batch  # (own rows, time) both
        logits, state = network(inputs, state)
        own = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        total = torch.stack([own.detach().double(), (targets >= 0).sum()])
        if WORLD > 1:
            dist.all_reduce(total)
        # Gradients are averaged over the processes; that of `mean` needs shares of the joint count
        mean, share = total[0] / total[1], own * WORLD / total[1]  # total: over all rows
        return Step(mean + (share - share.detach()), total[1], tuple(s.detach() for s in state))

    return step


def check(options: argparse.Namespace, gpu: bool) -> None:
    """Raise ValueError for what cannot be, before anything is made."""
    for name, value in vars(options).items():
        if (type(value) is int and value < 1) or (name == "held_out" and not 0 < value < 1):
            raise ValueError(f"{name} is {value}: it must be above 0{' and below 1' * (value > 0)}")
    if options.batch_size % WORLD:
        raise ValueError(f"{options.batch_size} rows cannot be shared evenly by {WORLD} processes")
    if gpu and torch.cuda.device_count() < int(os.environ.get("LOCAL_WORLD_SIZE", 1)):
        raise ValueError("a process here has no GPU: start fewer, or give --cpu")


def train(options: argparse.Namespace) -> None:
    """Train as the options say. Every process calls this; the first one prints and writes."""
    size, window, rate, out = options.batch_size, options.window, options.rate, options.out
    gpu = torch.cuda.is_available() and not options.cpu
    check(options, gpu)
    out.mkdir(parents=True, exist_ok=True)
    ids, characters, fingerprint = encode_file(options.text, out / "encoded.bin")
    plan = {name: str(value) for name, value in vars(options).items()} | {"text": fingerprint}
    del plan["out"], plan["cpu"]  # another folder or machine changes nothing
    if WORLD > 1:
        connect(gpu)
    if from_first(plan) != plan:
        raise ValueError("the text or an option here is another one than that of the first process")
    n = len(ids) - min(int(len(ids) * options.held_out), 10**6)
    if min(n, len(ids) - n) <= size:
        parts = f"{n:,} characters to learn from, {len(ids) - n:,} --held-out"
        raise ValueError(f"{options.text}: {parts}: too few for a --batch-size of {size}")
    parts = len(StreamBatches(ids[:n], size, window)) // options.save_every + 1  # one an epoch
    starts = [(n - 1) // parts * i for i in range(parts + 1)]
    learned = [StreamBatches(ids[a : b + 1], size, window) for a, b in pairwise(starts)]
    unseen = StreamBatches(ids[n:], size, 500)
    epochs, steps = options.passes * parts, options.passes * parts * len(learned[0])

    torch.manual_seed(1)
    model = CharacterRNN(len(characters), options.embedding, options.hidden, options.dropout)
    model = model.to("cuda" if gpu else "cpu")
    network = nn.parallel.DistributedDataParallel(model) if WORLD > 1 else model
    optimizer = optim.AdamW(model.parameters(), rate, (0.9, 0.99), weight_decay=0.1, fused=True)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    step, checkpoint = make_step(network, schedule), out / "checkpoint.pt"
    trained = {"model": model, "optimizer": optimizer, "schedule": schedule}
    history, best = restore(checkpoint, trained, plan)
    if RANK == 0:
        print(f"{n:,} characters, {parts} x {steps // epochs:,} steps a pass;", end=" ")
        print("going on from" if history else "saving to", checkpoint, flush=True)

    done, quiet = schedule.last_epoch, RANK > 0 or None  # None: without a terminal
    with Progress(total=steps, initial=done, unit="step", disable=quiet) as progress:
        for epoch in range(len(history) + 1, epochs + 1):
            part = share(learned[(epoch - 1) % parts])
            row = train_epoch(model, step, part, epoch, optimizer, schedule, 1.0, progress)
            row["valid_loss"] = evaluate(model, step, share(unseen))["loss"]
            history.append(row)
            if best is None or row["valid_loss"] < best["valid_loss"]:
                best = row | {"weights": deepcopy(model.state_dict())}
            if RANK == 0:
                content = {name: part.state_dict() for name, part in trained.items()}
                save(content | {"plan": plan, "history": history, "best": best}, checkpoint)
    if RANK == 0:
        save({"characters": list(characters), "weights": best["weights"]}, out / "model.pt")
        print(f"{table(history)}\nheld out: {best['valid_loss']:.3f} nats a character")


def main() -> None:
    """Run the command line; what is wrong with it is said in one paragraph."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("helpers.scale", description=__doc__, formatter_class=form)
    parser.add_argument("text", type=Path, help="a text file, UTF-8")
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone")
    for name, value, what in OPTIONS:
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{what} ({value})")
    options = parser.parse_args()
    try:
        train(options)
    except (OSError, ValueError, FloatingPointError) as error:
        if isinstance(error, OSError):
            where, what = error.filename or options.out, error.strerror or error
            error = f"{where}: {what}. Mend this and start again: what was saved is unharmed"
        raise SystemExit(f"helpers.scale: {error}" if LOCAL_RANK == 0 else 1) from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
