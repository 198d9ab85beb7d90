"""Measure pieces of the chapters' trainings while other processes keep all cores busy.

    make bench          after the processor's table; needs no data

Each piece runs in a process of its own, which begins with its chapter's set-up cell: what that
says about threads counts.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PIECES = {
    "03": ("chapter 3, 100 steps of the recall task at lag 40", 2.5),
    "05": ("chapter 5, 60 batches of 32 reviews", 3),
    "06": ("chapter 6, 50 windows of the book", 3),
}


def measure(chapter: str) -> float:
    """Return the median seconds of a piece, in a process that has not loaded torch yet."""
    notebook = nbformat.read(next(NOTEBOOKS.glob(f"{chapter}_*.ipynb")), as_version=4)
    exec(next(cell.source for cell in notebook.cells if cell.cell_type == "code"), {})

    import torch
    from bench import BATCH, WINDOW, definitions, epoch, seconds
    from torch import nn

    from helpers.batches import LengthBatches, StreamBatches

    names = definitions(chapter, n_tokens=20_000)
    torch.manual_seed(1)
    if chapter == "03":
        model, loss = names["Reader"](nn.RNN, n_in=8, n_out=4), nn.functional.cross_entropy
        return seconds(lambda: names["train"](model, names["recall"], 40, loss, 100, 0.003), 3)
    if chapter == "05":
        lengths = torch.randn(60 * 32).mul(0.6).add(5.3).exp().int().clamp(10, 1000)  # as IMDb's
        reviews = [torch.randint(2, 20_000, (n,)).numpy() for n in lengths]
        batches = LengthBatches(reviews, [0.0] * len(reviews), 32, seed=1)
        model = names["SentimentRNN"](20_000)
    else:
        ids = torch.randint(80, (50 * BATCH * WINDOW + 1,)).numpy()
        batches, model = StreamBatches(ids, BATCH, WINDOW), names["CharacterRNN"](80)
    return seconds(epoch(model, names["step"], batches), 3)


def main():
    cores = os.cpu_count()
    print(f"\n| beside {cores} processes that never rest | quiet | busy | times | mark |")
    print("|---|---|---|---|---|")
    for chapter, (what, mark) in PIECES.items():
        command = [sys.executable, __file__, chapter]
        quiet = float(subprocess.check_output(command))
        endless = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(endless) for _ in range(cores)]
        try:
            time.sleep(1)
            busy = float(subprocess.check_output(command))
        finally:
            for process in others:
                process.kill()
                process.wait()
        told = f"{quiet:.2f} s | {busy:.2f} s | {busy / quiet:.1f} | at most {mark} |"
        print(f"| {what} | {told}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(measure(sys.argv[1]))
    else:
        main()
