"""Chapters 4 and 7, Figures 9 and 15 to 17: the LSTM cell, and what came after it."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .sketch import Sketch, symbol
from .style import HIDDEN, INK, INPUT, MONOSPACED, MUTED, OUTPUT, RECURRENT, tint

GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}


def lstm_cell() -> Figure:
    """Draw Figure 9: one step of an LSTM."""
    board = Sketch(
        4.5,
        "One step of an LSTM cell. Along the top the cell state runs from C(t-1) to C(t), an edge "
        "with weight 1: it is multiplied by the forget gate f and the product of input gate i and "
        "candidate g is added to it. Below, four boxes, three with sigma and one with tanh, each "
        "get x(t) and h(t-1). The hidden state h(t) is the output gate o times tanh of C(t).",
    )
    top, rail, gates, middle = 4.0, 1.1, 1.77, 3.0
    x_in, x_f, x_i, x_g, x_o, x_h = 1.22, 1.8, 2.8, 3.8, 4.8, 5.9
    board.frame(1.0, 0.77, 5.5, 3.6).set(facecolor=tint(MUTED, 0.04))
    cell_in = board.circle(0.45, top, symbol("C", "t-1"), radius=0.36)
    cell_out = board.circle(7.05, top, symbol("C", "t"), radius=0.36)
    hidden_in = board.circle(0.45, rail, symbol("h", "t-1"), radius=0.36)
    hidden_out = board.circle(7.05, rail, symbol("h", "t"), radius=0.36)
    source = board.circle(x_in, 0.37, symbol("x", "t"), INPUT)

    # The edge with weight 1 is one edge, though two operations stand on it.
    forget, add = _operation(board, x_f, top, "*"), _operation(board, x_g, top, "+")
    for start, end in ((cell_in, forget), (forget, add), (add, cell_out)):
        board.arrow(start, end, color=RECURRENT).set(linewidth=3.2, mutation_scale=17)
    board.text(4.9, top + 0.19, "the edge with weight 1", 10, RECURRENT)

    board.line([hidden_in.center, (x_in, rail)], RECURRENT)
    board.line([source.center, (x_in, rail)], INPUT)
    boxes = {}
    for letter, x in zip("figo", (x_f, x_i, x_g, x_o), strict=True):
        function, size = ("tanh", 12) if letter == "g" else (r"$\sigma$", 16)
        boxes[letter] = board.box(x, gates, function, INK, width=0.62, height=0.42, size=size)
        board.arrow((x_in, rail), boxes[letter], via=[(x, rail)])
        board.text(x, rail - 0.17, GATES[letter], 9.5, MUTED)
        board.text(x + 0.08, gates + 0.44, symbol(letter, "t"), 13, ha="left")
    board.ax.plot([x_in, x_f, x_i, x_g], [rail] * 4, "o", color=INK, markersize=5, zorder=4)
    board.ax.plot(x_h, top, "o", color=RECURRENT, markersize=6, zorder=4)

    write, read = _operation(board, x_g, middle, "*"), _operation(board, x_h, middle - 0.2, "*")
    board.arrow(boxes["f"], forget)
    board.arrow(boxes["i"], write, via=[(x_i, middle)])
    board.arrow(boxes["g"], write)
    board.arrow(boxes["o"], read, via=[(x_o, middle - 0.2)])
    board.arrow(write, add)
    squash = board.box(x_h, 3.45, "tanh", INK, width=0.62, height=0.36)
    squash.set(facecolor="white")  # without weights
    board.arrow((x_h, top), squash)
    board.arrow(squash, read)
    board.arrow(read, hidden_out, via=[(x_h, rail)])

    _operation(board, 2.05, 0.37, "*")
    _operation(board, 2.5, 0.37, "+")
    board.text(2.75, 0.37, "product and sum, unit by unit", 10, ha="left")
    board.box(5.4, 0.37, "", INK, width=0.34, height=0.26)
    board.text(5.65, 0.37, "layer with weights", 10, ha="left")
    return board.figure


def _operation(board: Sketch, x, y, sign: str) -> Patch:
    """Draw the node of an operation unit by unit, ``*`` or ``+``: a sign in a small circle."""
    node = board.circle(x, y, color=INK, radius=0.17)
    node.set(facecolor="white")
    marker, size, edge = ("o", 5, 0) if sign == "*" else ("+", 12, 1.8)
    board.ax.plot(x, y, marker, color=node.get_edgecolor(), markersize=size, mew=edge, zorder=5)
    return node


def lstm_blocks(inputs: int, hidden: int) -> Figure:
    """Draw Figure 4.2: how PyTorch stacks four blocks of rows in the parameters of an LSTM.

    Parameters
    ----------
    inputs, hidden : int
        The sizes of its layers; 5 and 3 in the chapter.
    """
    rows = 4 * hidden
    board = Sketch(
        3.1,
        f"The parameters of an LSTM with {inputs} inputs and {hidden} hidden units as grids of "
        f"{rows} rows. From top to bottom four blocks of {hidden} rows: input gate, forget "
        "gate, candidate, output gate.",
    )
    side, middle, left = 2.3 / rows, 1.27, 2.15
    shades = np.repeat([0.32, 0.12, 0.32, 0.12], hidden)[:, None]
    for name, color, columns in (
        ("weight_ih_l0", INPUT, inputs),
        ("weight_hh_l0", RECURRENT, hidden),
        ("bias_ih_l0", INK, 1),
        ("bias_hh_l0", INK, 1),
    ):
        width = columns * side
        board.grid(left, middle, shades.repeat(columns, axis=1), color, cell=(side, side))
        shape = f"({rows}, {columns})" if columns > 1 else f"({rows},)"
        board.text(left + width / 2, 2.88, name, 10, color, family=MONOSPACED)
        board.text(left + width / 2, 2.62, shape, 9.5, MUTED)
        left += width + 0.95
    for block, (letter, name) in enumerate(GATES.items()):
        y = middle + (1.5 - block) * hidden * side
        board.text(0.1, y, f"${letter}$", 15, ha="left")
        board.text(0.42, y, name, ha="left")
        board.text(2.02, y, f"{hidden} rows", 9.5, MUTED, ha="right")
    return board.figure


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
        rows, only = {"x": 0.4, "h": 1.25, "o": 3.1}, {"x": (1, 2, 3), "o": (4, 5)}
        labels = {"o": lambda t: symbol("o", t - 3)}
        nodes = board.net(columns, rows, only=only, labels=labels, draw=small)
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
    labels = {"x": r"$k^{{({0})}}v^{{({0})\top}}$".format, "h": partial(symbol, "S")}
    draw = {"x": partial(board.box, width=1.0, size=10.5)}
    board.net(columns, {"x": 0.55, "h": 1.55, "o": 2.5}, labels=labels, draw=draw)
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
    rows, labels = {"x": 0.45, "hz": 1.45, "h": 2.45}, {"hz": partial(symbol, "z")}
    for x, name, back in ((1.9, "GRU", [("h", "hz"), ("h", "h")]), (5.6, "minGRU", [("h", "h")])):
        board.net({"t-1": x - 1.2, "t": x, "t+1": x + 1.2}, rows, labels=labels, back=back)
        board.text(x, 3.2, name, 12, weight="bold")
    board.line([(3.75, 0.2), (3.75, 3.3)], MUTED, width=0.6)
    return board.figure
