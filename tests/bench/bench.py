"""Measure the course beside the literature's way of doing the same, and print a table.

    make bench          on the real data, about five minutes on two cores

Both sides of a row run on this machine, one after the other, in this process but for the start.
The models and the steps are those of the notebooks, read from there. Nothing here is a test: a
time depends on what else the machine does, so no run fails for being slow.
"""

import ast
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import nbformat
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions.categorical import Categorical
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset, random_split

from helpers import text as helpers_text
from helpers.batches import LengthBatches, StreamBatches
from helpers.data import IMDB, is_sample, mysterious_island
from helpers.training import evaluate, fit

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BATCH, WINDOW = 16, 50  # rows and characters, those of chapter 6


def definitions(chapter: str, **names) -> dict:
    """Return the imports, functions and classes that a notebook defines, among `names`."""
    notebook = nbformat.read(next(NOTEBOOKS.glob(f"{chapter}_*.ipynb")), as_version=4)
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for cell in notebook.cells:
        if cell.cell_type == "code" and "exercise" not in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            tree.body = [node for node in tree.body if isinstance(node, kinds)]
            exec(compile(tree, cell.id, "exec"), names)
    return names


def seconds(work: Callable, repeat: int = 1) -> float:
    """Return the median time of `work()`."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def row(what: str, theirs: float, ours: float, unit: str, mark: str) -> float:
    """Print a line of the table; `theirs` and `ours` are times, or rates if the unit has a /."""
    ratio = ours / theirs if "/" in unit else theirs / ours
    print(
        f"| {what} | {theirs:,.4g} {unit} | {ours:,.4g} {unit} | {ratio:.3g} | {mark} |", flush=True
    )
    return ratio


def print_share_of_lstm(network: nn.Module, step: Callable, batches: list) -> None:
    """Print what part of training is spent inside oneDNN's LSTM, which no Python can hurry."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        fit(network, step, batches, epochs=1, optimizer=optimizer, clip_norm=1.0)
    times = {event.key: event.self_cpu_time_total for event in record.key_averages()}
    inside = sum(time for key, time in times.items() if "mkldnn_rnn_layer" in key)
    print(f"| … inside the LSTM's kernel | | {inside / sum(times.values()):.0%} | | |", flush=True)


# --- chapter 5: what the literature does -----------------------------------------------------


class PackedRNN(nn.Module):
    """The same layers, fed with packed sequences in batches as they come."""

    def __init__(self, n_tokens: int):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, 20, padding_idx=0)
        self.lstm = nn.LSTM(20, 64, batch_first=True)
        self.dense1, self.dense2 = nn.Linear(64, 64), nn.Linear(64, 1)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        _, (h, _) = self.lstm(packed)
        return torch.sigmoid(self.dense2(torch.relu(self.dense1(h[-1]))))[:, 0]


def packed_batch_time(ids: list, labels: list, n_tokens: int, batches: int = 40) -> float:
    """Return the mean seconds of a training step on packed batches of 32."""

    def collate(items):
        sequences = [torch.as_tensor(s) for s, _ in items]
        lengths = torch.tensor([len(s) for s in sequences])
        return (
            pad_sequence(sequences, batch_first=True),
            lengths,
            torch.tensor([float(label) for _, label in items]),
        )

    torch.manual_seed(1)
    model = PackedRNN(n_tokens)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(list(zip(ids, labels, strict=True)), 32, shuffle=True, collate_fn=collate)
    steps, start = [], time.perf_counter()
    for tokens, lengths, batch_labels in islice(loader, batches):
        optimizer.zero_grad()
        F.binary_cross_entropy(model(tokens, lengths), batch_labels).backward()
        optimizer.step()
        steps.append(time.perf_counter() - start)
        start = time.perf_counter()
    return float(np.mean(steps[2:]))


# --- chapter 6: what the literature does -----------------------------------------------------


class Windows(Dataset):
    """Every window of 40 characters and the one after it, to be drawn at random."""

    def __init__(self, ids: np.ndarray, length: int = 40):
        self.ids, self.length = torch.as_tensor(ids), length

    def __len__(self) -> int:
        return len(self.ids) - self.length

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.ids[i : i + self.length], self.ids[i + 1 : i + self.length + 1]


def one_at_a_time(model: nn.Module, ids: np.ndarray, steps: int = 12) -> float:
    """Return the characters a second of a loop that calls the model for every character."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(Windows(ids), batch_size=64, shuffle=True, drop_last=True)
    times, start = [], time.perf_counter()
    for inputs, targets in islice(loader, steps):
        optimizer.zero_grad()
        state, loss = None, 0.0
        for t in range(inputs.shape[1]):
            logits, state = model(inputs[:, t : t + 1], state)
            loss = loss + F.cross_entropy(logits[:, 0], targets[:, t])
        (loss / inputs.shape[1]).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
    return inputs.numel() / median(times[2:])


def sample_plainly(model: nn.Module, char2int: dict, char_array: np.ndarray, length: int) -> str:
    """Sample as one writes it down first: a character in, a character out."""
    page, state = "The island", None
    ids = torch.tensor([[char2int[c] for c in page]])
    for t in range(ids.shape[1] - 1):
        _, state = model(ids[:, t : t + 1], state)
    last = ids[:, -1:]
    for _ in range(length):
        logits, state = model(last, state)
        last = Categorical(logits=logits[0]).sample().view(1, 1)
        page += str(char_array[last.item()])
    return page


# --- the rows of the table -------------------------------------------------------------------


def sentiment(data: dict) -> None:
    """An epoch of chapter 5, and the way to 0.86 on the test reviews."""
    vocab, (ids, labels) = data["vocab"], data["train"]
    chapter = definitions("05", n_tokens=len(vocab.itos))
    theirs = packed_batch_time(ids, labels, len(vocab.itos)) * len(ids) / 32
    model = chapter["SentimentRNN"](len(vocab.itos))
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    epoch = LengthBatches(ids, labels, batch_size=32, seed=1)
    ours = seconds(lambda: fit(model, chapter["step"], epoch, epochs=1, optimizer=adam))
    row("sentiment: an epoch of the chapter's model, batch 32", theirs, ours, "s", "20")
    print_share_of_lstm(model, chapter["step"], list(islice(epoch, 100)))
    valid = LengthBatches(*data["valid"], 256, shuffle=False)
    on_test = LengthBatches(*data["test"], 256, shuffle=False)
    torch.manual_seed(1)
    model = chapter["SentimentRNN"](len(vocab.itos))
    start = time.perf_counter()
    chapter["train"](model, epoch, valid, epochs=3, max_lr=4e-3)
    ours = time.perf_counter() - start
    accuracy = evaluate(model, chapter["step"], on_test)["accuracy"]
    row(f"sentiment: {accuracy:.4f} on the test set (0.86)", 10 * theirs, ours, "s", "40")


def language_model(data: dict) -> None:
    """Training, arithmetic and sampling of chapter 6."""
    ids, char2int, char_array = data["ids"], data["char2int"], data["char_array"]
    chapter = definitions("06", char2int=char2int, char_array=char_array)
    model = chapter["CharacterRNN"](len(char_array))
    theirs = one_at_a_time(model, ids)
    batches = StreamBatches(ids[: 40 * BATCH * WINDOW], BATCH, WINDOW)
    held_out = StreamBatches(ids[-30_000:], BATCH, 10 * WINDOW)
    speed, losses = {}, []
    for dtype in (torch.bfloat16, torch.float32):
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            print("| (this processor has no bfloat16) | | | | |")
            continue
        torch.manual_seed(1)
        model = chapter["CharacterRNN"](len(char_array))
        optimizer = torch.optim.AdamW(
            model.parameters(), 3e-3, (0.9, 0.99), weight_decay=0.1, fused=True
        )

        def one_pass(model=model, optimizer=optimizer, dtype=dtype):
            with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                fit(model, chapter["step"], batches, epochs=1, optimizer=optimizer, clip_norm=1.0)

        one_pass()
        speed[dtype] = batches.n_targets / seconds(one_pass, 3)
        losses.append(evaluate(model, chapter["step"], held_out)["loss"])
        name = str(dtype).removeprefix("torch.")
        row(f"training, {name}", theirs, speed[dtype], "char/s", "2" if "32" in name else "3")
    print_share_of_lstm(model, chapter["step"], list(batches))
    if len(losses) == 2:
        apart = losses[0] - losses[1]
        print(f"| held-out loss, bfloat16 above float32 | | {apart:+.3f} nats | | within 0.01 |")
    hidden, embedded = model.lstm.hidden_size, model.lstm.input_size
    for dtype, rate in speed.items():
        work = 3 * 2 * (4 * hidden * (hidden + embedded) + hidden * len(char_array))  # a character
        a = torch.randn(BATCH * WINDOW, hidden + embedded).to(dtype)
        b = torch.randn(hidden + embedded, 4 * hidden).to(dtype)
        products = seconds(lambda a=a, b=b: [a @ b for _ in range(10)], 5)
        peak = 10 * 2 * a.shape[0] * b.numel() / products
        name, mark = str(dtype).removeprefix("torch."), "1" if dtype == torch.float32 else "0.5"
        row(f"arithmetic against a matrix product, {name}", peak, work * rate, "flop/s", mark)
    with torch.no_grad():
        plain = 300 / seconds(lambda: sample_plainly(model, char2int, char_array, 300), 3)
    generate = chapter["generate"]
    for streams, mark in ((1, "2"), (64, "20")):
        time_ = seconds(lambda n=streams: generate(model, "The island", 300, streams=n), 3)
        row(f"sampling, {streams} at once", plain, streams * 300 / time_, "char/s", mark)


def text(data: dict) -> None:
    """Text to integers."""
    book, char2int = data["book"], data["char2int"]
    plain = seconds(lambda: np.array([char2int[c] for c in book]), 3)
    ours = seconds(lambda: helpers_text.encode_characters(book, char2int), 3)
    row("characters of the book to integers", plain, ours, "s", "10")
    tokens, vocab = data["tokens"], data["vocab"]

    def one_by_one():
        for review in tokens:
            ids = []
            for token in review:
                ids.append(vocab.stoi.get(token, 1))
            torch.tensor(ids)

    plain = seconds(one_by_one)
    ours = seconds(lambda: [helpers_text.encode(review, vocab) for review in tokens])
    row("words of 20,000 reviews to integers", plain, ours, "s", "-")


def second_start() -> None:
    """Parse the archive, then read the cache, each in a fresh process that has loaded torch."""
    with tempfile.TemporaryDirectory() as cache:
        code = f"""import time
from pathlib import Path
from helpers import data
data.DATA, start = Path({cache!r}), time.perf_counter()
data.IMDB(split="train"), data.IMDB(split="test")
print(time.perf_counter() - start)"""
        run = [sys.executable, "-c", code]
        first, second = (float(subprocess.check_output(run)) for _ in range(2))
    row("data ready, second start against the first", first, second, "s", "at most 2 s")


def growth(data: dict) -> None:
    """Print the cost per item as the work grows, and with the number of cores."""
    ids, labels = data["train"]
    chapter = definitions("05", n_tokens=len(data["vocab"].itos))
    model = chapter["SentimentRNN"](len(data["vocab"].itos))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    costs = {}
    for part in (4, 4, 2, 1):  # the first once more: it warms up
        n = len(ids) // part
        batches = LengthBatches(ids[:n], labels[:n], 32, seed=1)
        words = sum(map(len, ids[:n]))
        costs[n] = (
            1e6
            * seconds(
                lambda b=batches: fit(model, chapter["step"], b, epochs=1, optimizer=optimizer)
            )
            / words
        )
    print("\nmicroseconds a word, training on", report(costs, "reviews"))
    costs = {}
    for times in (1, 2, 4):
        book = data["book"] * times
        costs[len(book)] = (
            1e9
            * seconds(lambda t=book: helpers_text.encode_characters(t, data["char2int"]), 5)
            / len(book)
        )
    print("nanoseconds a character, encoding", report(costs, "characters"))
    chapter, cores = definitions("06"), torch.get_num_threads()
    network = chapter["CharacterRNN"](len(data["char2int"]))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    costs = {}
    for times in (1, 2, 4):
        b = StreamBatches(data["ids"][: times * 30_000], BATCH, WINDOW)
        costs[b.n_targets] = (
            1e6
            * seconds(lambda b=b: fit(network, chapter["step"], b, epochs=1, optimizer=optimizer))
            / b.n_targets
        )
    print("microseconds a character, training on", report(costs, "characters"))
    for n in range(1, cores + 1):
        torch.set_num_threads(n)
        took = seconds(lambda: fit(network, chapter["step"], b, epochs=1, optimizer=optimizer))
        print(f"characters a second on {n} core(s): {b.n_targets / took:,.0f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB (mark: below 2)")


def report(costs: dict, unit: str) -> str:
    """Return the costs as text, with the largest deviation from the first."""
    first = next(iter(costs.values()))
    worst = max(abs(cost / first - 1) for cost in costs.values())
    listed = ", ".join(f"{n:,} {unit}: {cost:.3g}" for n, cost in costs.items())
    return f"{listed}; linear within {worst:.0%} (mark: 15 %)"


def prepared() -> dict:
    """Return what the rows work on: the reviews and the book, as integers."""
    train, test = IMDB(split="train"), IMDB(split="test")
    book = mysterious_island()
    if train.is_sample or is_sample("island"):
        sys.exit("make bench needs the real data: see data/README.md")
    book = book[book.index("THE MYSTERIOUS") : book.index("End of the Project Gutenberg")]
    char2int, char_array = helpers_text.build_characters(book)
    torch.manual_seed(1)
    train_part, valid_part = random_split(train, [20_000, 5_000])
    tokens = [helpers_text.tokenize(review) for _, review in train_part]
    vocab = helpers_text.build_vocab(Counter(token for review in tokens for token in review))

    def encoded(part):
        ids = [helpers_text.encode(helpers_text.tokenize(review), vocab) for _, review in part]
        return ids, [label for label, _ in part]

    parts = {"train": encoded(train_part), "valid": encoded(valid_part), "test": encoded(test)}
    ids = helpers_text.encode_characters(book, char2int)
    return parts | {
        "tokens": tokens,
        "vocab": vocab,
        "book": book,
        "ids": ids,
        "char2int": char2int,
        "char_array": char_array,
    }


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, ")
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}\n")
    print("| what | straightforward | this course | ratio | mark |\n|---|---|---|---|---|")
    data = prepared()
    for part in (sentiment, language_model, text):
        part(data)
    second_start()
    growth(data)
