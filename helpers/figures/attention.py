"""Chapter 7, Figures 15 to 17: attention, attention as a recurrence, and a gate that looks less."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from .sketch import Sketch, symbol
from .style import HIDDEN, INK, INPUT, MUTED, OUTPUT


def bottleneck_and_attention(weights) -> Figure:
    """Draw Figure 15: a decoder that gets the last state, and one that looks at all of them.

    Parameters
    ----------
    weights : array, (3,)
        How much the first output takes of each of three encoder states.
    """
    shares = ", ".join(f"{w:.2f}" for w in weights)
    board = Sketch(
        3.95,
        "Two nets that read three inputs and then write two outputs. Left: what the outputs know "
        "of the inputs came through one arrow, from the third state to the fourth. Right: for the "
        "first output the fourth state asks the three states before; their sum with the weights "
        f"{shares} goes into the output, too.",
    )
    small = dict.fromkeys("xho", partial(board.circle, radius=0.25))
    for x, title in ((0.42, "the bottleneck"), (4.2, "attention")):
        columns = {t: x + 0.72 * (t - 1) for t in range(1, 6)}
        labels = {(layer, t): symbol(layer, t) for layer in "xh" for t in (1, 2, 3)}
        labels |= {("h", t): symbol("h", t) for t in (4, 5)}
        labels |= {("o", t): symbol("o", t - 3) for t in (4, 5)}
        nodes = board.net(columns, {"x": 0.4, "h": 1.25, "o": 3.1}, labels=labels, draw=small)
        board.arrow(nodes["o", 4], nodes["h", 5], dashed=True)
        board.text(x + 1.44, 3.75, title, 12, weight="bold")
        if title == "attention":
            total = board.circle(columns[2], 2.5, r"$\Sigma$", INK, radius=0.22)
            for t, weight in enumerate(weights, start=1):
                board.arrow(nodes["h", t], total).set(linewidth=0.8 + 2.4 * weight)
                board.text(columns[t] + (0.04, 0.21, -0.02)[t - 1], 1.68, f"{weight:.2f}", 9)
            board.arrow(nodes["h", 4], total, color=MUTED, dashed=True)
            board.arrow(total, nodes["o", 4])
    board.line([(3.75, 0.2), (3.75, 3.7)], MUTED, width=0.6)
    return board.figure


def two_ways(scores) -> Figure:
    """Draw Figure 16: linear attention in one matrix product, and as a loop over a state.

    Parameters
    ----------
    scores : array, (4, 4)
        The product of query t (row) and key s (column).
    """
    board = Sketch(
        3.3,
        "Linear attention in two ways. Left: a square of scores, each query with each key, of "
        "which the lower triangle is kept, times the values, gives all outputs at once. Right: a "
        "state S runs from step to step; at each step key times value is added to it and the query "
        "reads it.",
    )
    board.text(1.85, 3.05, "all steps at once", 12, weight="bold")
    kept = np.tril(np.ones((4, 4)))
    entries = [[f"{s:.1f}".replace("-", "−") for s in row] for row in scores]
    shape = {"cell": (0.5, 0.42)}
    board.grid(0.25, 1.6, 0.16 * kept, HIDDEN, entries=entries, **shape)
    board.grid(2.6, 1.6, np.full((4, 1), 0.16), INPUT, **shape)
    board.grid(3.45, 1.6, np.full((4, 1), 0.16), OUTPUT, **shape)
    for x, label in ((1.25, r"$QK^\top$, masked"), (2.85, "$V$"), (3.7, "$O$")):
        board.text(x, 0.45, label, 12)
    board.text(2.42, 1.6, r"$\cdot$", 16)
    board.text(3.28, 1.6, "$=$", 14)
    board.text(5.8, 3.05, "one step after the other", 12, weight="bold")
    columns = {"…before": 4.35, "t-1": 5.05, "t": 6.15, "…after": 7.1}
    labels = {("h", step): "…" if step[0] == "…" else symbol("S", step) for step in columns}
    for step in ("t-1", "t"):
        labels |= {
            ("x", step): rf"$k^{{({step})}}v^{{({step})\top}}$",
            ("o", step): symbol("o", step),
        }
    draw = {"x": partial(board.box, width=1.0, size=10.5)}
    rows = {"x": 0.55, "h": 1.55, "o": 2.5}
    board.net(columns, rows, labels=labels, draw=draw)
    for step in ("t-1", "t"):
        board.text(columns[step] + 0.13, 2.02, symbol("q", step), 11, OUTPUT, ha="left")
    return board.figure


def what_the_gate_sees() -> Figure:
    """Draw Figure 17: the gate of a GRU sees the state before, that of a minGRU does not."""
    board = Sketch(
        3.5,
        "Two unfolded nets. GRU: the state before leads to the gate and to the new state. minGRU: "
        "it leads to the new state only; the gate gets nothing but the input.",
    )
    for x, name, back in (
        (1.9, "GRU", [("h", "hz"), ("h", "h")]),
        (5.6, "minGRU", [("h", "h")]),
    ):
        columns = {"t-1": x - 1.2, "t": x, "t+1": x + 1.2}
        rows = {"x": 0.45, "hz": 1.45, "h": 2.45}
        labels = {(layer, t): symbol(layer[-1], t) for layer in rows for t in columns}
        board.net(columns, rows, labels=labels, back=back)
        board.text(x, 3.2, name, 12, weight="bold")
    board.line([(3.75, 0.2), (3.75, 3.3)], MUTED, width=0.6)
    return board.figure
