"""Chapter 4, Figure 9: the LSTM cell; and the blocks of rows in its parameters."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .sketch import Sketch, symbol
from .style import INK, INPUT, MONOSPACED, MUTED, RECURRENT, tint

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
