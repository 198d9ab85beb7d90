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

    torch.manual_seed(1)
    if chapter == "03":
        names = definitions(chapter)
        model = names["Reader"](nn.RNN, n_in=8, n_out=4)
        task, loss = names["recall"], nn.functional.cross_entropy
        return seconds(lambda: names["train"](model, task, 40, loss, steps=100, lr=0.003), 3)
    if chapter == "05":
        lengths = torch.randn(60 * 32).mul(0.6).add(5.3).exp().int().clamp(10, 1000)
        reviews = [torch.randint(2, 20_000, (n,)).numpy() for n in lengths]  # like those of IMDb
        batches = LengthBatches(reviews, [0.0] * len(reviews), 32, seed=1)
        names = definitions(chapter, n_tokens=20_000)
        model = names["SentimentRNN"](20_000)
    else:
        batches = StreamBatches(
            torch.randint(80, (50 * BATCH * WINDOW + 1,)).numpy(), BATCH, WINDOW
        )
        names = definitions(chapter)
        model = names["CharacterRNN"](80)
    return seconds(epoch(model, names, batches, clip_norm=1.0), 3)


def main():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"\n| beside {cores} processes that keep {cores} cores busy | quiet | busy | times | mark |"
    )
    print("|---|---|---|---|---|")
    for chapter, (what, mark) in PIECES.items():
        command = [sys.executable, __file__, chapter]
        quiet = float(subprocess.check_output(command))
        others = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)
        ]
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
