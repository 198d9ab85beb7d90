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
from collections.abc import Callable, Iterable
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
from torch.utils.data import DataLoader, random_split

from helpers import text as helpers_text
from helpers.batches import LengthBatches, StreamBatches
from helpers.data import IMDB, is_sample, mysterious_island
from helpers.training import Step, evaluate, fit

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BATCH, WINDOW = 8, 50  # rows and characters, those of chapter 6


def code_cells(chapter: str) -> list:
    """Return the code cells of a notebook."""
    notebook = nbformat.read(next(NOTEBOOKS.glob(f"{chapter}_*.ipynb")), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def definitions(chapter: str, **names) -> dict:
    """Return the imports, functions and classes that a notebook defines, among `names`."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for cell in code_cells(chapter):
        if "exercise" not in cell.metadata.get("tags", []):
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


def epoch(model: nn.Module, step: Callable, batches: Iterable) -> Callable:
    """Return a function that trains a model for one epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    return lambda: fit(model, step, batches, epochs=1, optimizer=optimizer, clip_norm=1.0)


def row(what: str, theirs: float, ours: float, unit: str, mark: str) -> None:
    """Print a line of the table; `theirs` and `ours` are times, or rates if the unit has a /."""
    ratio = ours / theirs if "/" in unit else theirs / ours
    told = f"{theirs:,.4g} {unit} | {ours:,.4g} {unit} | {ratio:.3g}"
    print(f"| {what} | {told} | {mark} |", flush=True)


def row_of_kernel(work: Callable) -> None:
    """Print what part of training is spent inside oneDNN's LSTM, which no Python can hurry."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        work()
    times = {event.key: event.self_cpu_time_total for event in record.key_averages()}
    inside = sum(time for key, time in times.items() if "mkldnn_rnn_layer" in key)
    print(f"| … inside the LSTM's kernel | | {inside / sum(times.values()):.0%} | | |", flush=True)


# --- what the literature does ----------------------------------------------------------------


def reading_packed(kind: type) -> type:
    """Return the model of chapter 5 fed with packed sequences."""

    class Packed(kind):
        def forward(self, tokens, lengths):
            packed = pack_padded_sequence(
                self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
            )
            _, (h, _) = self.lstm(packed)
            return self.classify(h[-1])

    return Packed


def collate(items: list) -> tuple:
    """Pad reviews as they come, of any lengths."""
    sequences, labels = zip(*items, strict=True)
    lengths = torch.tensor([len(s) for s in sequences])
    padded = pad_sequence([torch.as_tensor(s) for s in sequences], batch_first=True)
    return padded, lengths, torch.tensor(labels).float()


def one_at_a_time(model: nn.Module, batch: list, state: None) -> Step:
    """A step on windows of characters that calls the model for every character."""
    (windows,), losses = batch, []
    for t in range(windows.shape[1] - 1):
        logits, state = model(windows[:, t : t + 1], state)
        losses.append(F.cross_entropy(logits[:, 0], windows[:, t + 1]))
    return Step(torch.stack(losses).mean(), windows.shape[0] * len(losses))


def sample_plainly(model: nn.Module, char2int: dict, char_array: np.ndarray, length: int) -> str:
    """Sample as one writes it down first: a character in, a character out."""
    page, state = "The island", None
    for character in page:
        logits, state = model(torch.tensor([[char2int[character]]]), state)
    for _ in range(length):
        drawn = Categorical(logits=logits[0]).sample().view(1, 1)
        page += str(char_array[drawn.item()])
        logits, state = model(drawn, state)
    return page


# --- the rows of the table -------------------------------------------------------------------


def sentiment(data: dict) -> None:
    """An epoch of chapter 5, and the way to 0.86 on the test reviews."""
    ids, labels = data["train"]
    n_tokens = len(data["vocab"].itos)
    chapter = definitions("05", n_tokens=n_tokens)
    loader = DataLoader(list(zip(ids, labels, strict=True)), 32, shuffle=True, collate_fn=collate)
    some, model = list(islice(loader, 40)), reading_packed(chapter["SentimentRNN"])(n_tokens)
    theirs = seconds(epoch(model, chapter["step"], some)) / len(some) * len(ids) / 32
    batches = LengthBatches(ids, labels, batch_size=32, seed=1)
    model = chapter["SentimentRNN"](n_tokens)
    ours = seconds(epoch(model, chapter["step"], batches))
    row("sentiment: an epoch of the chapter's model, batch 32", theirs, ours, "s", "20")
    row_of_kernel(epoch(model, chapter["step"], list(islice(batches, 100))))
    valid, test = (LengthBatches(*data[part], 256, shuffle=False) for part in ("valid", "test"))
    (training,) = [cell.source for cell in code_cells("05") if cell.id == "ch05-train"]
    chapter |= {"train_batches": batches, "valid_batches": valid, "real": True}
    ours = seconds(lambda: exec(training, chapter))
    accuracy = evaluate(chapter["model"], chapter["step"], test)["accuracy"]
    row(f"sentiment: {accuracy:.4f} on the test set (0.86)", 10 * theirs, ours, "s", "40")


def language_model(data: dict) -> None:
    """Training, arithmetic and sampling of chapter 6."""
    char2int, char_array = data["char2int"], data["char_array"]
    chapter = definitions("06", char2int=char2int, char_array=char_array)
    model = chapter["CharacterRNN"](len(char_array))
    windows = torch.as_tensor(data["ids"]).unfold(0, 41, 1)  # every window of 40, and one more
    some = [(rows,) for rows in islice(DataLoader(windows, 64, shuffle=True), 12)]
    theirs = len(some) * 64 * 40 / seconds(epoch(model, one_at_a_time, some))
    batches = StreamBatches(data["ids"][: 40 * BATCH * WINDOW], BATCH, WINDOW)
    train = epoch(model, chapter["step"], batches)
    train()
    rate = batches.n_targets / seconds(train, 3)
    row("training", theirs, rate, "char/s", "2")
    row_of_kernel(train)
    hidden, embedded = model.lstm.hidden_size, model.lstm.input_size
    work = 3 * 2 * (4 * hidden * (hidden + embedded) + hidden * len(char_array))  # a character
    a = torch.randn(BATCH * WINDOW, hidden + embedded)
    b = torch.randn(hidden + embedded, 4 * hidden)
    peak = 10 * 2 * len(a) * b.numel() / seconds(lambda: [a @ b for _ in range(10)], 5)
    row("its arithmetic, beside a matrix product", peak, work * rate, "flop/s", "1")
    with torch.no_grad():
        plain = 300 / seconds(lambda: sample_plainly(model, char2int, char_array, 300), 3)
    for pages, mark in ((1, "2"), (64, "20")):
        took = seconds(lambda n=pages: chapter["generate"](model, ["The island"] * n, 300), 3)
        row(f"sampling, {pages} at once", plain, pages * 300 / took, "char/s", mark)


def text(data: dict) -> None:
    """Text to integers."""
    book, char2int, vocab = data["book"], data["char2int"], data["vocab"]
    plain = seconds(lambda: np.array([char2int[c] for c in book]), 3)
    ours = seconds(lambda: helpers_text.encode_characters(book, char2int), 3)
    row("characters of the book to integers", plain, ours, "s", "10")

    def one_by_one():
        for review in data["tokens"]:
            ids = []
            for token in review:
                ids.append(vocab.stoi.get(token, 1))
            torch.tensor(ids)

    plain = seconds(one_by_one)
    ours = seconds(lambda: [helpers_text.encode(review, vocab) for review in data["tokens"]])
    row("words of 20,000 reviews to integers", plain, ours, "s", "-")


def second_start(_: dict) -> None:
    """Parse the archive, then read the cache, each in a fresh process that has loaded torch."""
    with tempfile.TemporaryDirectory() as cache:
        code = f"""import time
from pathlib import Path
from helpers import data
data.DATA, start = Path({cache!r}), time.perf_counter()
data.IMDB(split="train"), data.IMDB(split="test")
print(time.perf_counter() - start)"""
        first, second = (float(subprocess.check_output([sys.executable, "-c", code])) for _ in "12")
    row("data ready, second start against the first", first, second, "s", "at most 2 s")


def growth(data: dict) -> None:
    """Print the cost per item as the work grows, with the number of cores, and the memory."""
    (ids, labels), book, char2int = data["train"], data["book"], data["char2int"]
    chapter = definitions("05", n_tokens=len(data["vocab"].itos))
    model, costs = chapter["SentimentRNN"](len(data["vocab"].itos)), {}
    for part in (4, 4, 2, 1):  # the first once more: it warms up
        n = len(ids) // part
        train = epoch(model, chapter["step"], LengthBatches(ids[:n], labels[:n], 32, seed=1))
        costs[n] = 1e6 * seconds(train) / sum(map(len, ids[:n]))
    print_costs("\nmicroseconds a word, training on", costs, "reviews")
    costs = {}
    for times in (1, 2, 4):
        longer = book * times
        encode = seconds(lambda t=longer: helpers_text.encode_characters(t, char2int), 5)
        costs[len(longer)] = 1e9 * encode / len(longer)
    print_costs("nanoseconds a character, encoding", costs, "characters")
    chapter, costs = definitions("06"), {}
    model = chapter["CharacterRNN"](len(char2int))
    for size in (30_000, 60_000, 120_000):
        train = epoch(model, chapter["step"], StreamBatches(data["ids"][:size], BATCH, WINDOW))
        costs[size] = 1e6 * seconds(train) / size
    print_costs("microseconds a character, training on", costs, "characters")
    for n in range(1, torch.get_num_threads() + 1):
        torch.set_num_threads(n)
        print(f"characters a second on {n} core(s): {size / seconds(train):,.0f}")
    gibibyte = 2**30 if sys.platform == "darwin" else 2**20  # in bytes there, in kB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / gibibyte
    print(f"peak memory {peak:.2f} GiB (mark: below 2)")


def print_costs(what: str, costs: dict, unit: str) -> None:
    """Print costs by size, with the largest deviation from the first."""
    first = next(iter(costs.values()))
    worst = max(abs(cost / first - 1) for cost in costs.values())
    listed = ", ".join(f"{n:,} {unit}: {cost:.3g}" for n, cost in costs.items())
    print(f"{what} {listed}; linear within {worst:.0%} (mark: 15 %)", flush=True)


def prepared() -> dict:
    """Return what the rows work on: the reviews and the book, as integers."""
    train, test = IMDB(split="train"), IMDB(split="test")
    book = mysterious_island()
    if train.is_sample or is_sample("island"):
        sys.exit("make bench needs the real data: see data/README.md")
    book = book[book.index("THE MYSTERIOUS") : book.index("End of the Project Gutenberg")]
    char2int, char_array = helpers_text.build_characters(book)
    ids = helpers_text.encode_characters(book, char2int)
    torch.manual_seed(1)
    train_part, valid_part = random_split(train, [20_000, 5_000])
    tokens = [helpers_text.tokenize(review) for _, review in train_part]
    vocab = helpers_text.build_vocab(Counter(token for review in tokens for token in review))
    data = {"vocab": vocab, "tokens": tokens, "book": book, "ids": ids}
    for name, part in (("train", train_part), ("valid", valid_part), ("test", test)):
        words = (helpers_text.tokenize(review) for _, review in part)
        data[name] = [helpers_text.encode(w, vocab) for w in words], [label for label, _ in part]
    return data | {"char2int": char2int, "char_array": char_array}


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, ")
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}\n")
    print("| what | straightforward | this course | ratio | mark |\n|---|---|---|---|---|")
    data = prepared()
    for part in (sentiment, language_model, text, second_start, growth):
        part(data)
