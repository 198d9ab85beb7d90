"""Chapters 2 and 3, Figures 3 to 8: how data and gradients flow through a recurrent net."""

from functools import partial
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from .sketch import Sketch, symbol
from .style import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT, tint


def feedforward_and_recurrent() -> Figure:
    """Draw Figure 3: the data flow of a feed-forward net beside that of a recurrent net."""
    board = Sketch(
        3.6,
        "Two nets side by side, each with an input layer, a hidden layer and an output layer. In "
        "the feed-forward net arrows lead from input to hidden to output and nowhere else. In the "
        "recurrent net a loop leads from the hidden layer back to the hidden layer.",
    )
    rows = {"x": 1.02, "h": 1.87, "o": 2.72}
    board.text(0.35, rows["x"], "input layer", 11, INPUT, ha="left")
    board.text(0.35, rows["h"], "hidden layer", 11, HIDDEN, ha="left")
    board.text(0.35, rows["o"], "output layer", 11, OUTPUT, ha="left")
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
    weights = {edge: f"$W_{{{edge}}}$" for edge in ("xh", "hh", "ho")}
    board.net({"t": 1.05}, rows, weights=weights)
    columns = {"…before": 2.7, "t-1": 3.75, "t": 4.85, "t+1": 5.95, "…after": 7.0}
    board.net(columns, rows, weights=weights)
    matrices = {  # colour, rows, columns
        "h^{(t)}": (HIDDEN, hidden, 1),
        "h^{(t-1)}": (HIDDEN, hidden, 1),
        "x^{(t)}": (INPUT, features, 1),
        "o^{(t)}": (OUTPUT, outputs, 1),
        "W_{xh}": (INPUT, hidden, features),
        "W_{hh}": (RECURRENT, hidden, hidden),
        "W_{ho}": (OUTPUT, outputs, hidden),
        "b_{xh}": (INK, hidden, 1),
        "b_{hh}": (INK, hidden, 1),
        "b_{o}": (INK, outputs, 1),
    }
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
            share = _numbers(from_h[t - 1])
            node = box(column - 1.16, rows["+"], share, RECURRENT, step=t)
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
    for x, name, edge in (
        (1.25, "Hidden-to-hidden", "hh"),
        (3.75, "Output-to-hidden", "oh"),
        (6.25, "Output-to-output", "oo"),
    ):
        board.text(x, 3.72, name, 11.5, weight="bold")
        weight = f"W_{{{edge}}}"
        columns = {"t-1": x - 0.6, "t": x + 0.6}
        board.net(columns, rows, back=[tuple(edge)], weights={edge: f"${weight}$"})
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
