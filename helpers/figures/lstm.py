"""Figure 9, the LSTM cell, and the four blocks of rows in its weights."""

from matplotlib.figure import Figure

from helpers.figures.sketch import COLORS, Kind, Sketch, tint


def _wire(board: Sketch, *points, kind: Kind = "plain", width=1.8):
    """Draw a line through the points, with square corners and no arrowhead."""
    x, y = zip(*points, strict=True)
    board.ax.plot(
        x, y, color=COLORS[kind], linewidth=width, zorder=2, snap=False,
        solid_joinstyle="miter", solid_capstyle="projecting",
    )  # fmt: skip


def _operation(board: Sketch, x, y, sign: str):
    """Draw the node of an element-wise operation: ``*`` or ``+`` in a small circle."""
    node = board.circle(x, y, kind="plain", radius=0.17)
    node.set(facecolor="white")
    if sign == "+":
        for dx, dy in ((0.085, 0), (0, 0.085)):
            board.ax.plot(
                (x - dx, x + dx), (y - dy, y + dy), color=COLORS["plain"], linewidth=1.8, zorder=5
            )
    else:
        board.ax.plot(x, y, "o", color=COLORS["plain"], markersize=5, zorder=5)
    return node


def _legend(board: Sketch, x, y):
    """Say, in one line that begins at (x, y), what the nodes of the cell mean."""
    _operation(board, x, y, "*")
    _operation(board, x + 0.45, y, "+")
    board.text(x + 0.7, y, "product and sum, unit by unit", 10, ha="left")
    board.box(x + 3.3, y, "", "plain", 0.34, 0.26).set(facecolor=tint(COLORS["muted"], 0.3))
    board.text(x + 3.55, y, "layer with weights", 10, ha="left")


def lstm_cell() -> Figure:
    """Figure 9: one step of an LSTM."""
    board = Sketch(
        7.5,
        4.5,
        "One step of an LSTM cell. Along the top the cell state runs from C(t-1) to C(t), an edge "
        "with weight 1: it is multiplied by the forget gate f and the product of input gate i and "
        "candidate g is added to it. Below, four boxes, three with sigma and one with tanh, each "
        "get x(t) and h(t-1). The hidden state h(t) is the output gate o times tanh of C(t).",
    )
    top, rail, gates, middle = 4.0, 1.1, 1.77, 3.0
    x_in, x_f, x_i, x_g, x_o, x_h = 1.22, 1.8, 2.8, 3.8, 4.8, 5.9
    board.frame(1.0, 0.77, 5.5, 3.6).set(facecolor=tint(COLORS["muted"], 0.04))

    cell_in = board.circle(0.45, top, r"$C^{(t-1)}$", radius=0.36, size=12)
    cell_out = board.circle(7.05, top, r"$C^{(t)}$", radius=0.36)
    board.circle(0.45, rail, r"$h^{(t-1)}$", radius=0.36, size=12)
    hidden_out = board.circle(7.05, rail, r"$h^{(t)}$", radius=0.36)
    board.circle(x_in, 0.37, r"$x^{(t)}$", "input", radius=0.31)

    forget, add = _operation(board, x_f, top, "*"), _operation(board, x_g, top, "+")
    write, read = _operation(board, x_g, middle, "*"), _operation(board, x_h, middle - 0.2, "*")
    for start, end in ((cell_in, forget), (forget, add), (add, cell_out)):
        board.arrow(start, end, "recurrent").set(linewidth=3.2, mutation_scale=17)
    board.text(4.9, top + 0.19, "the edge with weight 1", 10, "recurrent")

    _wire(board, (0.83, rail), (x_in, rail), kind="recurrent")
    _wire(board, (x_in, rail), (x_o, rail))
    _wire(board, (x_in, rail), (x_in, 0.68), kind="input")
    board.ax.plot(x_in, rail, "o", color=COLORS["plain"], markersize=5, zorder=4)
    for x, sign, size, name in (
        (x_f, r"$\sigma$", 16, "forget gate"),
        (x_i, r"$\sigma$", 16, "input gate"),
        (x_g, "tanh", 12, "candidate"),
        (x_o, r"$\sigma$", 16, "output gate"),
    ):
        box = board.box(x, gates, sign, "plain", width=0.62, height=0.42, size=size)
        box.set(facecolor=tint(COLORS["muted"], 0.3))
        board.arrow((x, rail), box)
        board.text(x, rail - 0.17, name, 9.5, "muted")
    for x in (x_f, x_i, x_g):
        board.ax.plot(x, rail, "o", color=COLORS["plain"], markersize=4, zorder=4)

    board.arrow((x_f, gates + 0.21), forget)
    _wire(board, (x_i, gates + 0.21), (x_i, middle), (x_i + 0.2, middle))
    board.arrow((x_i + 0.15, middle), write)
    board.arrow((x_g, gates + 0.21), write)
    board.arrow(write, add)
    _wire(board, (x_o, gates + 0.21), (x_o, middle - 0.2), (x_o + 0.2, middle - 0.2))
    board.arrow((x_o + 0.15, middle - 0.2), read)
    for x, label in ((x_f, "f"), (x_i, "i"), (x_g, "g"), (x_o, "o")):
        board.text(x + 0.08, gates + 0.44, f"${label}^{{(t)}}$", 13, ha="left")

    squash = board.box(x_h, 3.45, "tanh", "plain", width=0.62, height=0.36, size=12)
    squash.set(facecolor="white")
    board.ax.plot(x_h, top, "o", color=COLORS["recurrent"], markersize=6, zorder=4)
    board.arrow((x_h, top), squash)
    board.arrow(squash, read)
    _wire(board, (x_h, middle - 0.37), (x_h, rail), (x_h + 0.2, rail))
    board.arrow((x_h + 0.15, rail), hidden_out)

    _legend(board, 2.05, 0.37)
    return board.figure


def lstm_blocks(inputs: int = 5, hidden: int = 3) -> Figure:
    """Show how PyTorch stacks the four blocks of rows in the parameters of an LSTM."""
    board = Sketch(
        7.5,
        3.1,
        f"The parameters of an LSTM with {inputs} inputs and {hidden} hidden units as grids of "
        f"{4 * hidden} rows. From top to bottom four blocks of {hidden} rows: input gate, forget "
        "gate, candidate, output gate.",
    )
    side = 2.3 / (4 * hidden)
    bottom = 0.12
    blocks = (("i", "input gate"), ("f", "forget gate"), ("g", "candidate"), ("o", "output gate"))
    left = 2.15
    for name, kind, columns in (
        ("weight_ih_l0", "input", inputs),
        ("weight_hh_l0", "recurrent", hidden),
        ("bias_ih_l0", "plain", 1),
        ("bias_hh_l0", "plain", 1),
    ):
        width = columns * side
        for block in range(4):
            for row in range(hidden):
                y = bottom + ((3 - block) * hidden + hidden - 1 - row) * side
                for column in range(columns):
                    cell = board.box(
                        left + (column + 0.5) * side, y + side / 2, "", kind, side, side
                    )
                    cell.set(
                        boxstyle="Square,pad=0",
                        linewidth=0.7,
                        facecolor=tint(COLORS[kind], 0.12 if block % 2 else 0.32),
                    )
        shape = f"({4 * hidden}, {columns})" if columns > 1 else f"({4 * hidden},)"
        board.text(left + width / 2, 2.88, name, 10, kind, family="monospace")
        board.text(left + width / 2, 2.62, shape, 9.5, "muted")
        left += width + (0.85 if columns > 1 else 1.05)
    for block, (letter, name) in enumerate(blocks):
        y = bottom + (3.5 - block) * hidden * side
        board.text(0.1, y, f"${letter}$", 15, ha="left")
        board.text(0.42, y, name, 11, ha="left")
        board.text(2.02, y, f"{hidden} rows", 9.5, "muted", ha="right")
    return board.figure
