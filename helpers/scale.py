"""Train the language model of chapter 6 on a text of any size, with as many processes as you have.

    python -m helpers.scale TEXT
    torchrun --standalone --nproc-per-node 4 --max-restarts 3 -m helpers.scale TEXT

When a process dies, torchrun starts all again, from the last checkpoint; so does your next call.
"""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn, optim

from .batches import StreamBatches
from .text import encode_file, fingerprint
from .training import Step, evaluate, fit, save, table

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))  # by torchrun
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", 0))  # among the processes of this machine
OPTIONS = (
    ("out", Path("run"), "folder of checkpoint.pt and model.pt, best one that all machines see"),
    ("encoded", Path("ids.npy"), "the encoded text, seen from OUT; made if missing or out of date"),
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
        """Map ids `(batch, time)` to logits `(batch, time, characters)` and the last state."""
        h, state = self.lstm(self.embedding(ids), state)
        return self.dense(self.dropout(h.transpose(1, 2)).transpose(1, 2)), state


def make_step(network, schedule):
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


def connect(gpu, text):
    """Join the other processes; raise ValueError if they do not all have the same text."""
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
    dist.broadcast_object_list(first := [text])
    if first[0] != text:
        raise ValueError("the text here is another one than that of the first process")


def train(options):
    """Train as the options say. Every process calls this; the first one prints and writes."""
    size, rate, out = options.batch_size, options.rate, options.out
    gpu = torch.cuda.is_available() and not options.cpu
    if size % WORLD:
        raise ValueError(f"--batch-size {size} cannot be split evenly among {WORLD} processes")
    if gpu and torch.cuda.device_count() < int(os.environ.get("LOCAL_WORLD_SIZE", 1)):
        raise ValueError("a process here has no GPU: start fewer, or give --cpu")
    for name, value in vars(options).items():
        if (type(value) is int and value < 1) or (name == "held_out" and not 0 < value < 1):
            raise ValueError(f"{name} is {value}: it must be above 0{' and below 1' * (value > 0)}")
    ids, characters = encode_file(options.text, out / options.encoded)
    n = len(ids) - min(int(len(ids) * options.held_out), 10**6)
    rows = slice(RANK * size // WORLD, (RANK + 1) * size // WORLD)
    unseen = StreamBatches(ids[n:], size, 500, rows)
    parts = len(StreamBatches(ids[:n], size, options.window)) // options.save_every + 1
    batches = StreamBatches(ids[:n], size, options.window, rows, parts)
    about = {"text": fingerprint(ids, characters), "learned": n, "window": options.window}
    if WORLD > 1:
        connect(gpu, about["text"])
    torch.manual_seed(1)
    model = CharacterRNN(len(characters), options.embedding, options.hidden, options.dropout)
    model, epochs = model.to("cuda" if gpu else "cpu"), options.passes * parts
    network = nn.parallel.DistributedDataParallel(model) if WORLD > 1 else model
    optimizer = optim.AdamW(model.parameters(), rate, (0.9, 0.99), weight_decay=0.1, fused=True)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * len(batches), pct_start=0.1)
    step, checkpoint = make_step(network, schedule), out / "checkpoint.pt"
    how = {"epochs": epochs, "optimizer": optimizer, "scheduler": schedule, "clip_norm": 1.0}
    how |= {"checkpoint": checkpoint, "keep_best": "valid_loss", "label": "part", "about": about}
    if RANK == 0:
        print(f"{n:,} characters to learn from, {parts} x {len(batches):,} steps a pass;", end=" ")
        print("going on from" if checkpoint.exists() else "saving to", checkpoint, flush=True)
    history = fit(model, step, batches, validate=lambda model: evaluate(model, step, unseen), **how)
    if RANK == 0:
        save({"characters": characters.tolist(), "weights": model.state_dict()}, out / "model.pt")
        best = min(row["valid_loss"] for row in history)
        print(f"{table(history)}\nheld out: {best:.3f} nats a character")


def main():
    """Run the command line; what is wrong with it is said in one paragraph."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("helpers.scale", description=__doc__, formatter_class=form)
    parser.add_argument("text", type=Path, help="a text file, UTF-8")
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone")
    for name, value, what in OPTIONS:
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{what} ({value})")
    try:
        train(parser.parse_args())
    except (OSError, ValueError, FloatingPointError) as error:
        raise SystemExit(f"helpers.scale: {error}" if LOCAL_RANK == 0 else 1) from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
