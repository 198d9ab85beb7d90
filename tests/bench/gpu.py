"""Measure the training of chapters 5 and 6 on a GPU, and what part of the card it uses.

    make bench          after the processor's table, where there is a GPU

The models and the steps are those of the notebooks, which use a GPU unchanged.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import torch
from bench import BATCH, WINDOW, definitions, prepared, seconds
from torch import nn
from torch.profiler import ProfilerActivity, profile

from helpers.batches import LengthBatches, StreamBatches
from helpers.training import fit


def product_rate(tf32: bool, size: int = 8192) -> float:
    """Return the FLOP/s of a large float32 matrix product: what the card can do."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    a, b = torch.randn(2, size, size, device="cuda")

    def products():
        for _ in range(10):
            a @ b
        torch.cuda.synchronize()

    products()
    rate = 10 * 2 * size**3 / seconds(products, 3)
    torch.backends.cuda.matmul.allow_tf32 = False
    return rate


def row(name: str, network: nn.Module, step: Callable, batches: Iterable, items: int) -> None:
    """Print a line of the table, for one epoch over `batches` with so many words or characters."""
    network = network.to("cuda")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def epoch(of):
        fit(network, step, of, epochs=1, optimizer=optimizer, clip_norm=1.0)
        torch.cuda.synchronize()

    first = list(islice(batches, 60))
    epoch(first)
    took = seconds(lambda: epoch(batches))
    lstms = [part for part in network.modules() if isinstance(part, nn.LSTM)]
    steps = len(lstms) * sum(batch[0].shape[1] for batch in batches)  # one after the other
    cells = sum(4 * lstm.hidden_size * (lstm.hidden_size + lstm.input_size) for lstm in lstms)
    work = 3 * 2 * cells * items / took  # the way back costs twice the way there
    kinds = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with profile(activities=kinds, acc_events=True) as record:
        epoch(first)
    busy = sum(event.self_device_time_total for event in record.key_averages()) / 1e6
    share = busy / seconds(lambda: epoch(first))
    print(
        f"| {name} | {took:.1f} s | {items / took:,.0f} | {1e6 * took / steps:.1f} µs "
        f"| {share:.0%} | {work / 1e12:.2f} | {work / product_rate(True):.2%} |",
        flush=True,
    )


def main():
    data = prepared()
    vocab, (ids, labels) = data["vocab"], data["train"]
    words = sum(map(len, ids))
    print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}; a float32 product runs at")
    print(f"{product_rate(False) / 1e12:.0f} TFLOP/s, in TF32, as cuDNN's LSTM may, at "
          f"{product_rate(True) / 1e12:.0f}\n")  # fmt: skip
    print("| training | an epoch | items/s | a time step | GPU busy | TFLOP/s | of TF32 |")
    print("|---|---|---|---|---|---|---|")
    chapter = definitions("05", n_tokens=len(vocab.itos))
    for name, kind, size in (
        ("sentiment, one direction", "SentimentRNN", 32),
        ("sentiment, both directions", "BidirectionalRNN", 64),
    ):
        network = chapter[kind](len(vocab.itos))
        row(name, network, chapter["step"], LengthBatches(ids, labels, size, seed=1), words)
    chapter = definitions("06")
    book = StreamBatches(data["ids"], BATCH, WINDOW)
    network = chapter["CharacterRNN"](len(data["char_array"]))
    row("language model", network, chapter["step"], book, book.n_targets)


if __name__ == "__main__":
    if torch.cuda.is_available():
        main()
    else:
        print("\nno GPU here: nothing more to measure")
