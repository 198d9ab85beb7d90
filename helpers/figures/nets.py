"""Chapters 2 to 4 and 7, Figures 3 to 9 and 15 to 17: what flows through recurrent nets."""

from functools import partial
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .sketch import LAYERS, Sketch, symbol
from .style import HIDDEN, INK, INPUT, MONOSPACED, MUTED, OUTPUT, RECURRENT, tint

NAMES = {"x": "input", "h": "hidden", "o": "output"}
GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}


def feedforward_and_recurrent() -> Figure:
    """Draw Figure 3: the data flow of a feed-forward net beside that of a recurrent net."""
    board = Sketch(
        3.6,
        "Two nets side by side, each with an input layer, a hidden layer and an output layer. In "
        "the feed-forward net arrows lead from input to hidden to output and nowhere else. In the "
        "recurrent net a loop leads from the hidden layer back to the hidden layer.",
    )
    rows = {"x": 1.02, "h": 1.87, "o": 2.72}
    for layer, y in rows.items():
        board.text(0.35, y, f"{NAMES[layer]} layer", 11, LAYERS[layer], ha="left")
    boxes = dict.fromkeys(rows, partial(board.box, width=1.3, height=0.46, size=14))
    for x, title, back, formula in (
        (2.7, "Feed-forward net", [], r"$h^{(t)} = f\,(x^{(t)})$"),
        (5.5, "Recurrent net", [("h", "h")], r"$h^{(t)} = f\,(x^{(t)},\ h^{(t-1)})$"),
    ):
        board.net({"t": x}, rows, back=back, draw=boxes)
        board.text(x, 3.33, title, 12, weight="bold")
        board.text(x, 0.36, formula, 13)
    board.text(6.82, rows["h"], "one step\nlater", 10, RECURRENT, ha="left")
    return board.figure


def folded_and_unfolded() -> Figure:
    """Draw Figure 4: nets with one and with two hidden layers, folded and unfolded over time."""
    board = Sketch(
        6.6,
        "Above, a recurrent net with one hidden layer: on the left folded, with a loop at the "
        "hidden layer; on the right unfolded, one copy for each of the time steps t-1, t and t+1, "
        "and an arrow from each hidden state to the next. Below, the same for two hidden layers: "
        "the first passes its state up to the second, each has its own arrows from step to step.",
    )
    board.text(1.1, 6.35, "Folded", 12, weight="bold")
    board.text(5.0, 6.35, "Unfolded", 12, weight="bold")
    for name, rows in (
        ("one hidden layer", {"x": 3.98, "h": 4.88, "o": 5.78}),
        ("two hidden layers", {"x": 0.42, "h_1": 1.32, "h_2": 2.22, "o": 3.12}),
    ):
        board.net({"t": 1.1}, rows)
        board.net({"…before": 3.0, "t-1": 3.95, "t": 5.0, "t+1": 6.05, "…after": 7.0}, rows)
        middle = (rows["x"] + rows["o"]) / 2
        board.arrow((2.06, middle), (2.62, middle), color=MUTED)
        board.text(2.34, middle + 0.17, "unfold", 10, MUTED)
        board.text(0.28, middle, name, 10.5, MUTED, rotation=90)
    board.line([(0.3, 3.55), (7.2, 3.55)], MUTED, width=0.6)
    return board.figure


def weight_matrices(features: int, hidden: int, outputs: int) -> Figure:
    """Draw Figure 5: which weight sits on which edge, and the two formulas with their shapes.

    Parameters
    ----------
    features, hidden, outputs : int
        The sizes of the three layers; 5, 2 and 1 in the chapter.
    """
    board = Sketch(
        5.55,
        "A single-layer recurrent net, folded and unfolded over three time steps. W_xh stands on "
        "every arrow from input to hidden, W_hh on every arrow from hidden state to next hidden "
        "state, W_ho on every arrow from hidden to output: the same at every step. Below, the two "
        f"formulas as grids of cells: W_xh is {hidden} by {features}, W_hh {hidden} by {hidden}, "
        f"W_ho {outputs} by {hidden}.",
    )
    rows = {"x": 2.98, "h": 3.98, "o": 4.98}
    edges = {"xh": INPUT, "hh": RECURRENT, "ho": OUTPUT}
    weights = {edge: f"$W_{{{edge}}}$" for edge in edges}
    board.net({"t": 1.05}, rows, weights=weights)
    columns = {"…before": 2.7, "t-1": 3.75, "t": 4.85, "t+1": 5.95, "…after": 7.0}
    board.net(columns, rows, weights=weights)
    # Colour, rows and columns of each matrix and vector
    size = {"x": features, "h": hidden, "o": outputs}
    matrices = {f"W_{{{a}{b}}}": (color, size[b], size[a]) for (a, b), color in edges.items()}
    matrices |= {f"b_{{{into}}}": (INK, size[into[-1]], 1) for into in ("xh", "hh", "o")}
    matrices |= {f"{a}^{{({t})}}": (LAYERS[a], n, 1) for a, n in size.items() for t in ("t-1", "t")}
    for y, formula in (
        (1.56, r"h^{(t)} = \phi_h( W_{xh} x^{(t)} + b_{xh} + W_{hh} h^{(t-1)} + b_{hh} )"),
        (0.4, r"o^{(t)} = \phi_o( W_{ho} h^{(t)} + b_{o} )"),
    ):
        x = 0.95
        for term in formula.split():
            if term in matrices:
                color, height, width = matrices[term]
                board.grid(x, y, np.full((height, width), 0.16), color)
                board.text(x + 0.12 * width, y + 0.12 * height + 0.17, f"${term}$", 12, color)
                x += 0.24 * width + 0.12
            else:
                board.text(x + 0.12, y, f"${term}$", 14)
                x += 0.36
    return board.figure


def activations(x, from_x, from_h, h, o) -> Figure:
    """Draw Figure 6: the activations of three time steps, with the numbers that were computed.

    Parameters
    ----------
    x : array, (3, features)
        The input at each step.
    from_x, from_h, h : array, (3, 2)
        W_xh x + b_xh, W_hh h + b_hh with h of the step before, and the hidden state.
    o : array, (3, 1)
        The output.
    """
    told = [
        f"Step {t + 1}: from the input ({_numbers(from_x[t], ', ')}), from the state before "
        f"({_numbers(from_h[t], ', ')}), hidden state ({_numbers(h[t], ', ')}), "
        f"output {_numbers(o[t])}."
        for t in range(3)
    ]
    alt = "The net unfolded over three time steps, with all its numbers. " + " ".join(told)
    board = Sketch(5.0, alt)
    columns = {0: 0.75, 1: 2.3, 2: 4.5, 3: 6.7}
    rows = {"x": 0.4, "x+b": 1.24, "+": 2.12, "h": 3.12, "o": 4.0}
    labels = {
        "x": lambda t: "$(" + r"\;\;".join(f"{v:g}" for v in x[t - 1]) + ")$",
        "x+b": lambda t: _numbers(from_x[t - 1]),
        "+": lambda t: "$+$",
        "h": lambda t: _numbers(h[t - 1] if t else [0, 0]),
        "o": lambda t: _numbers(o[t - 1]),
    }
    only = dict.fromkeys(("x", "x+b", "+", "o"), (1, 2, 3))
    box = partial(board.box, width=0.86, height=0.56, size=10.5)
    draw = {"x": partial(board.box, width=1.4), "x+b": box, "o": box}
    draw |= {"+": partial(board.circle, radius=0.17), "h": partial(box, width=1.36)}
    weights = {"+h": r"$\phi_h$"}
    nodes = board.net(columns, rows, only=only, labels=labels, back=(), weights=weights, draw=draw)
    for t, column in columns.items():
        board.text(column - 0.48, rows["h"], symbol("h", t), 12)
        if t:
            node = box(column - 1.16, rows["+"], _numbers(from_h[t - 1]), RECURRENT, step=t)
            board.arrow(nodes["h", t - 1], node)
            board.arrow(node, nodes["+", t])
    board.text(0.12, rows["x"], "input  $x^{(t)}$", 11, INPUT, ha="left")
    board.text(0.12, rows["x+b"], r"$W_{xh}\,x^{(t)} + b_{xh}$", 11.5, INPUT, ha="left")
    board.text(1.05, 1.68, r"$W_{hh}\,h^{(t-1)} + b_{hh}$", 11.5, RECURRENT)
    board.text(0.12, rows["o"], "output  $o^{(t)}$", 11, OUTPUT, ha="left")
    hidden = r"h^{(t)} = \phi_h\,(W_{xh}\,x^{(t)} + b_{xh} + W_{hh}\,h^{(t-1)} + b_{hh})"
    board.text(0.12, 4.7, f"${hidden}$", 13, ha="left")
    board.text(4.75, 4.7, r"$o^{(t)} = \phi_o\,(W_{ho}\,h^{(t)} + b_o)$", 13, ha="left")
    return board.figure


def _numbers(values, between: str = "\n") -> str:
    """Return numbers as text, with the sign that mathematics has for minus."""
    return between.join(f"{v:.3f}" for v in values).replace("-", "−")


def three_recurrences() -> Figure:
    """Draw Figure 7: hidden-to-hidden, output-to-hidden and output-to-output recurrence."""
    board = Sketch(
        3.95,
        "Three unfolded nets that differ in one arrow only. Hidden-to-hidden: W_hh leads from the "
        "hidden state at t-1 to that at t. Output-to-hidden: W_oh leads from the output at t-1 to "
        "the hidden state at t. Output-to-output: W_oo leads from the output at t-1 to that at t.",
    )
    rows = {"x": 1.28, "h": 2.16, "o": 3.04}
    for x, edge in ((1.25, "hh"), (3.75, "oh"), (6.25, "oo")):
        name = "-to-".join(NAMES[layer] for layer in edge).capitalize()
        board.text(x, 3.72, name, 11.5, weight="bold")
        weight = f"W_{{{edge}}}"
        board.net({"t-1": x - 0.6, "t": x + 0.6}, rows, back=[edge], weights={edge: f"${weight}$"})
        past = {edge[1]: rf" + {weight}\,{edge[0]}^{{(t-1)}}"}  # stands in one of the formulas
        h = rf"h^{{(t)}} = \phi_h(W_{{xh}}\,x^{{(t)}}{past.get('h', '')})"
        o = rf"o^{{(t)}} = \phi_o(W_{{ho}}\,h^{{(t)}}{past.get('o', '')})"
        board.text(x, 0.67, f"${h}$", 10.5)
        board.text(x, 0.32, f"${o}$", 10.5)
    for x in (2.5, 5.0):
        board.line([(x, 0.25), (x, 3.8)], MUTED, width=0.6)
    return board.figure


def chain_of_factors() -> Figure:
    """Draw Figure 8: the gradient's way back through an unfolded net, and what is left of it."""
    board = Sketch(
        5.1,
        "A hidden unit unfolded in time, from step k to step t, where it meets the loss L. The "
        "gradient goes back from L to step t and on to step k; each of the t minus k steps "
        "multiplies it by the same weight w, so that w to the power of t minus k arrives. Three "
        f"bar plots of what is left: for w = 0.8 it shrinks to {0.8**20:.2g} over 20 steps, for "
        f"w = 1 it stays 1, for w = 1.2 it grows to {1.2**20:.0f}.",
    )
    y, x_loss = 4.01, 7.0
    columns = {"k": 0.5, "k+1": 1.65, "k+2": 2.8, "…": 3.8, "t-1": 4.8, "t": 5.95}
    nodes = board.net(columns, {"x": y - 0.9, "h": y}, weights={"hh": "$w$"})
    board.arrow(nodes["h", "t"], board.circle(x_loss, y, "$L$", OUTPUT, step="t"))
    for x, later in pairwise([*columns.values(), x_loss]):
        a, b, low, high = later - 0.1, x + 0.1, y + 0.42, y + 0.65
        board.curve([(a, low), (a - 0.25, high), (b + 0.25, high), (b, low)])
        factor = r"$\times\,w$" if later < x_loss else r"$\partial L/\partial h^{(t)}$"
        board.text((x + later) / 2, y + 0.82, factor, 13)
    formula = (
        r"$\dfrac{\partial h^{(t)}}{\partial h^{(k)}}\;=\;"
        r"\underset{t-k\;\mathrm{factors}}{w\cdot w\;\cdots\;w}\;=\;w^{\,t-k}$"
    )
    board.text(3.75, y - 1.6, formula, 14)
    place = {"left": 0.065, "right": 0.99, "bottom": 0.075, "top": 0.34, "wspace": 0.2}
    axes, what = board.figure.subplots(1, 3, gridspec_kw=place), ("vanishes", "is kept", "explodes")
    for ax, w, sign, word in zip(axes, (0.8, 1.0, 1.2), "<=>", what, strict=True):
        left = w ** np.arange(20, -1, -1)
        ax.bar(np.arange(-20, 1), left, 0.78, color=tint(RECURRENT, 0.55), edgecolor=RECURRENT)
        ax.text(-20.4, left[0], f"{left[0]:.2g}", size=9.5, va="bottom")
        ax.set_title(rf"$|w|\,{sign}\,1$, here {w:g}: {word}", size=11)
        ax.set_xticks([-20, -10, 0], ["$k=t-20$", "$t-10$", "$t$"])
        ax.set(ylim=(0, 1.15 * left.max()), yticks=[0, 20, 40] if w > 1 else [0, 0.5, 1])
        ax.grid(visible=False)
    return board.figure


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


def lstm_blocks(lstm) -> Figure:
    """Draw Figure 4.2: how PyTorch stacks four blocks of rows in the parameters of an LSTM.

    Parameters
    ----------
    lstm : nn.LSTM
        With one layer; 5 inputs and 3 hidden units in the chapter.
    """
    inputs, hidden, rows = lstm.input_size, lstm.hidden_size, 4 * lstm.hidden_size
    board = Sketch(
        3.1,
        f"The parameters of an LSTM with {inputs} inputs and {hidden} hidden units as grids of "
        f"{rows} rows. From top to bottom four blocks of {hidden} rows: input gate, forget "
        "gate, candidate, output gate.",
    )
    side, middle, left = 2.3 / rows, 1.27, 2.15
    shades = np.repeat([0.32, 0.12, 0.32, 0.12], hidden)[:, None]
    colors = (INPUT, RECURRENT, INK, INK)
    for (name, parameter), color in zip(lstm.named_parameters(), colors, strict=True):
        columns = parameter[0].numel()
        width = columns * side
        board.grid(left, middle, shades.repeat(columns, axis=1), color, cell=(side, side))
        board.text(left + width / 2, 2.88, name, 10, color, family=MONOSPACED)
        board.text(left + width / 2, 2.62, f"{tuple(parameter.shape)}", 9.5, MUTED)
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
    board = Sketch(
        3.95,
        "Two nets that read three inputs and then write two outputs. Left: what the outputs know "
        "of the inputs came through one arrow, from the third state to the fourth. Right: for the "
        "first output the fourth state asks the three states before; their sum with the weights "
        f"{', '.join(f'{w:.2f}' for w in weights)} goes into the output, too.",
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
    board.grid(0.25, 1.6, 0.16 * np.tri(4), HIDDEN, cell=(0.5, 0.42), entries=scores, form=".1f")
    board.text(1.25, 0.45, r"$QK^\top$, masked", 12)
    for x, label, color in ((2.6, "$V$", INPUT), (3.45, "$O$", OUTPUT)):
        board.grid(x, 1.6, np.full((4, 1), 0.16), color, cell=(0.5, 0.42))
        board.text(x + 0.25, 0.45, label, 12)
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
