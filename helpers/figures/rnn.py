"""Figures 3 to 7: how data flows through a recurrent net."""

import itertools
from collections.abc import Sequence

from matplotlib import patches
from matplotlib.figure import Figure

from helpers.figures.sketch import COLORS, Kind, Sketch, tint

STEPS = ("t-1", "t", "t+1")  # the time steps that the unfolded nets show
_LAYERS: tuple[Kind, Kind, Kind] = ("input", "hidden", "output")


def feedforward_and_recurrent() -> Figure:
    """Figure 3: the data flow of a feed-forward net beside that of a recurrent net."""
    s = Sketch(
        7.5,
        3.6,
        "Two nets side by side, each with an input layer, a hidden layer and an output layer. "
        "In the feed-forward net arrows lead from input to hidden to output and nowhere else. "
        "In the recurrent net a loop leads from the hidden layer back to the hidden layer.",
    )
    rows = (1.02, 1.87, 2.72)
    for y, label, kind in zip(rows, ("input", "hidden", "output"), _LAYERS, strict=True):
        s.text(0.35, y, f"{label} layer", size=11, kind=kind, ha="left")
    for x, title, formula in (
        (2.7, "Feed-forward net", r"$h^{(t)} = f\,(x^{(t)})$"),
        (5.5, "Recurrent net", r"$h^{(t)} = f\,(x^{(t)},\ h^{(t-1)})$"),
    ):
        s.text(x, 3.33, title, size=12, weight="bold")
        nodes = [
            s.box(x, y, f"${letter}^{{(t)}}$", kind, width=1.3, height=0.46, size=14)
            for y, letter, kind in zip(rows, "xho", _LAYERS, strict=True)
        ]
        s.arrow(nodes[0], nodes[1])
        s.arrow(nodes[1], nodes[2])
        s.text(x, 0.36, formula, size=13)
    s.loop(nodes[1], reach=0.7)
    s.text(6.82, rows[1], "one step\nlater", size=10, kind="recurrent", ha="left")
    return s.figure


def folded_and_unfolded() -> Figure:
    """Figure 4: nets with one and with two hidden layers, folded and unfolded over time."""
    s = Sketch(
        7.5,
        6.6,
        "Above, a recurrent net with one hidden layer: on the left folded, with a loop at the "
        "hidden layer; on the right unfolded, one copy for each of the time steps t-1, t and "
        "t+1, and an arrow from each hidden state to the next. Below, the same for two hidden "
        "layers: the first passes its state up to the second, and each has its own arrows from "
        "time step to time step.",
    )
    s.text(1.1, 6.35, "Folded", size=12, weight="bold")
    s.text(4.95, 6.35, "Unfolded", size=12, weight="bold")
    _fold_and_unfold(s, (3.98, 4.88, 5.78), ("x", "h", "o"))
    _fold_and_unfold(s, (0.42, 1.32, 2.22, 3.12), ("x", "h_1", "h_2", "o"))
    s.ax.plot([0.3, 7.2], [3.55, 3.55], color=tint(COLORS["muted"], 0.5), linewidth=1)
    return s.figure


def _fold_and_unfold(s: Sketch, rows: Sequence[float], letters: Sequence[str]) -> None:
    kinds = ["input", *["hidden"] * (len(rows) - 2), "output"]
    columns = (3.75, 4.95, 6.15)
    previous = None
    for x, step in zip((1.1, *columns), ("t", *STEPS), strict=True):
        nodes = [
            s.circle(x, y, f"${name}^{{({step})}}$", kind, radius=0.31, size=12)
            for y, name, kind in zip(rows, letters, kinds, strict=True)
        ]
        for below, above in itertools.pairwise(nodes):
            s.arrow(below, above)
        for row, node in enumerate(nodes[1:-1], start=1):
            if x == 1.1:
                s.loop(node, reach=0.6)
            elif previous is None:
                s.arrow((x - 0.95, rows[row]), node, "recurrent")
            else:
                s.arrow(previous[row], node, "recurrent")
            if x == columns[-1]:
                s.arrow(node, (x + 0.95, rows[row]), "recurrent")
        previous = nodes if x != 1.1 else None
    middle = (rows[0] + rows[-1]) / 2
    s.arrow((2.06, middle), (2.62, middle), "muted")
    s.text(2.34, middle + 0.17, "unfold", size=10, kind="muted")
    count = "one hidden layer" if len(rows) == 3 else "two hidden layers"
    s.text(0.28, middle, count, size=10.5, kind="muted", rotation=90)


def weight_matrices(features: int = 5, hidden: int = 2, outputs: int = 1) -> Figure:
    """Figure 5: which weight sits on which edge, and the two formulas with their shapes."""
    s = Sketch(
        7.5,
        5.55,
        "Above, a single-layer recurrent net, folded and unfolded over three time steps. W_xh "
        "stands on every arrow from input to hidden, W_hh on every arrow from hidden state to "
        "next hidden state, W_ho on every arrow from hidden to output: the same three matrices "
        "at every step. Below, the two formulas as grids of cells: W_xh is "
        f"{hidden} by {features}, W_hh {hidden} by {hidden}, W_ho {outputs} by {hidden}.",
    )
    rows = (2.98, 3.98, 4.98)
    previous = None
    for x, step in zip((1.05, 3.7, 5.05, 6.4), ("t", *STEPS), strict=True):
        low, mid, top = (
            s.circle(x, y, f"${letter}^{{({step})}}$", kind, radius=0.33, size=12.5)
            for y, letter, kind in zip(rows, "xho", _LAYERS, strict=True)
        )
        s.arrow(low, mid, "input", "$W_{xh}$", offset=(-0.32, -0.02))
        s.arrow(mid, top, "output", "$W_{ho}$", offset=(-0.32, 0.0))
        if x == 1.05:
            s.loop(mid, "$W_{hh}$", reach=0.6)
            continue
        s.arrow(previous or (x - 0.95, rows[1]), mid, "recurrent")
        s.text(x - 0.66, rows[1] + 0.19, "$W_{hh}$", size=12, kind="recurrent")
        previous = mid
    s.arrow(mid, (7.3, rows[1]), "recurrent")
    _formula_of_hidden(s, 1.56, features, hidden)
    _formula_of_output(s, 0.4, hidden, outputs)
    return s.figure


def _formula_of_hidden(s: Sketch, y: float, features: int, hidden: int) -> None:
    x = _grid(s, 0.95, y, hidden, 1, "hidden", "$h^{(t)}$")
    x = _sign(s, x, y, r"$=\ \phi_h\,($", 0.85)
    x = _grid(s, x, y, hidden, features, "input", "$W_{xh}$")
    x = _grid(s, x + 0.12, y, features, 1, "input", "$x^{(t)}$")
    x = _sign(s, x, y, "$+$")
    x = _grid(s, x, y, hidden, 1, "plain", "$b_{xh}$")
    x = _sign(s, x, y, "$+$")
    x = _grid(s, x, y, hidden, hidden, "recurrent", "$W_{hh}$")
    x = _grid(s, x + 0.16, y, hidden, 1, "hidden", "$h^{(t-1)}$")
    x = _sign(s, x, y, "$+$")
    x = _grid(s, x, y, hidden, 1, "plain", "$b_{hh}$")
    _sign(s, x, y, "$)$", 0.3)


def _formula_of_output(s: Sketch, y: float, hidden: int, outputs: int) -> None:
    x = _grid(s, 0.95, y, outputs, 1, "output", "$o^{(t)}$")
    x = _sign(s, x, y, r"$=\ \phi_o\,($", 0.85)
    x = _grid(s, x, y, outputs, hidden, "output", "$W_{ho}$")
    x = _grid(s, x + 0.16, y, hidden, 1, "hidden", "$h^{(t)}$")
    x = _sign(s, x, y, "$+$")
    x = _grid(s, x, y, outputs, 1, "plain", "$b_o$")
    _sign(s, x, y, "$)$", 0.3)


def _grid(s: Sketch, x, y, rows: int, columns: int, kind: Kind, label: str) -> float:
    """Draw a matrix of empty cells, its left border at ``x``; returns its right border."""
    cell = 0.24
    for i in range(rows):
        for j in range(columns):
            corner = (x + j * cell, y + (rows / 2 - 1 - i) * cell)
            s.ax.add_patch(
                patches.Rectangle(
                    corner,
                    cell,
                    cell,
                    facecolor=tint(COLORS[kind]),
                    edgecolor=COLORS[kind],
                    linewidth=1.1,
                )
            )
    s.text(x + columns * cell / 2, y + rows * cell / 2 + 0.17, label, size=12, kind=kind)
    return x + columns * cell


def _sign(s: Sketch, x, y, sign: str, room: float = 0.42) -> float:
    s.text(x + room / 2, y, sign, size=14)
    return x + room


def activations(x, from_x, from_h, h, o) -> Figure:
    """Figure 6: the activations of three time steps, with the numbers that were computed.

    Args:
        x: the inputs, three rows.
        from_x: W_xh x + b_xh for each step, shape (3, 2).
        from_h: W_hh h + b_hh with h of the step before, shape (3, 2).
        h: the hidden states, shape (3, 2).
        o: the outputs, shape (3, 1).
    """
    s = Sketch(
        7.5,
        5.0,
        "The net unfolded over three time steps, with all its numbers. "
        + " ".join(
            f"Step {t + 1}: from the input {_pair(from_x[t])}, from the state before "
            f"{_pair(from_h[t])}, hidden state {_pair(h[t])}, output {o[t][0]:.3f}."
            for t in range(3)
        ),
    )
    x_row, from_x_row, sum_row, h_row, o_row = 0.4, 1.24, 2.12, 3.12, 4.0
    s.text(0.12, x_row, "input  $x^{(t)}$", size=11, kind="input", ha="left")
    s.text(0.12, from_x_row, r"$W_{xh}\,x^{(t)} + b_{xh}$", size=11.5, kind="input", ha="left")
    s.text(1.05, 1.68, r"$W_{hh}\,h^{(t-1)} + b_{hh}$", size=11.5, kind="recurrent")
    s.text(0.12, o_row, "output  $o^{(t)}$", size=11, kind="output", ha="left")
    before = s.box(0.66, h_row, "", "hidden", width=1.06, height=0.56)
    _named_pair(s, 0.66, h_row, "$h^{(0)}$", ("0", "0"))
    for t, c in enumerate((2.3, 4.5, 6.7)):
        entries = r"\;\;".join(f"{v:g}" for v in x[t])
        source = s.box(c, x_row, f"$({entries})$", "input", width=1.4, height=0.44, size=11.5)
        net_x = _pair_box(s, c, from_x_row, "input", from_x[t])
        net_h = _pair_box(s, c - 1.16, sum_row, "recurrent", from_h[t])
        total = s.circle(c, sum_row, "$+$", "plain", radius=0.17, size=13)
        state = s.box(c, h_row, "", "hidden", width=1.34, height=0.56)
        _named_pair(s, c, h_row, f"$h^{{({t + 1})}}$", [f"{v:.3f}" for v in h[t]])
        out = s.box(c, o_row, f"{o[t][0]:.3f}".replace("-", "−"), "output", 0.86, 0.44, size=10.5)
        s.arrow(source, net_x, "input")
        s.arrow(net_x, total, "input")
        s.arrow(before, net_h, "recurrent")
        s.arrow(net_h, total, "recurrent")
        s.arrow(total, state, label=r"$\phi_h$", offset=(0.22, 0.0))
        s.arrow(state, out, "output")
        before = state
    s.text(
        0.12,
        4.7,
        r"$h^{(t)} = \phi_h\,(W_{xh}\,x^{(t)} + b_{xh}"
        r" + W_{hh}\,h^{(t-1)} + b_{hh})$",
        size=13,
        ha="left",
    )
    s.text(4.75, 4.7, r"$o^{(t)} = \phi_o\,(W_{ho}\,h^{(t)} + b_o)$", size=13, ha="left")
    return s.figure


def _pair(values) -> str:
    return f"({values[0]:.3f}, {values[1]:.3f})"


def _pair_box(s: Sketch, x: float, y: float, kind: Kind, values) -> patches.Patch:
    node = s.box(x, y, "", kind, width=0.86, height=0.56)
    _numbers(s, x + 0.3, y, [f"{v:.3f}" for v in values])
    return node


def _named_pair(s: Sketch, x: float, y: float, name: str, values: Sequence[str]) -> None:
    short = len(values[0]) == 1
    s.text(x - (0.2 if short else 0.36), y, name, size=12)
    _numbers(s, x + (0.33 if short else 0.56), y, values)


def _numbers(s: Sketch, right: float, y: float, values: Sequence[str]) -> None:
    text = "\n".join(values).replace("-", "−")
    s.text(right, y, text, size=10.5, ha="right", multialignment="right")


def three_recurrences() -> Figure:
    """Figure 7: hidden-to-hidden, output-to-hidden and output-to-output recurrence."""
    s = Sketch(
        7.5,
        3.95,
        "Three unfolded nets that differ in one arrow only. Hidden-to-hidden: W_hh leads from "
        "the hidden state at t-1 to the hidden state at t. Output-to-hidden: W_oh leads from "
        "the output at t-1 to the hidden state at t. Output-to-output: W_oo leads from the "
        "output at t-1 to the output at t.",
    )
    s.text(1.25, 3.72, "Hidden-to-hidden", size=11.5, weight="bold")
    s.text(3.75, 3.72, "Output-to-hidden", size=11.5, weight="bold")
    s.text(6.25, 3.72, "Output-to-output", size=11.5, weight="bold")
    for center, kind in ((1.25, "hh"), (3.75, "oh"), (6.25, "oo")):
        _recurrence(s, center, kind)
    for x in (2.5, 5.0):
        s.ax.plot([x, x], [0.25, 3.8], color=tint(COLORS["muted"], 0.5), linewidth=1)
    return s.figure


def _recurrence(s: Sketch, center: float, kind: str) -> None:
    rows = {"x": 1.28, "h": 2.16, "o": 3.04}
    first, second = (
        {
            letter: s.circle(x, y, f"${letter}^{{({step})}}$", layer, radius=0.31, size=12)
            for (letter, y), layer in zip(rows.items(), _LAYERS, strict=True)
        }
        for x, step in ((center - 0.6, "t-1"), (center + 0.6, "t"))
    )
    for net in (first, second):
        s.arrow(net["x"], net["h"])
        s.arrow(net["h"], net["o"])
    source, target = kind
    label = f"$W_{{{kind}}}$"
    offset = (0.16, 0.14) if kind == "oh" else (0.0, 0.18)
    s.arrow(first[source], second[target], "recurrent", label, offset=offset)
    h_old = r" + W_{hh}\,h^{(t-1)}" if kind == "hh" else r" + W_{oh}\,o^{(t-1)}"
    o_old = r" + W_{oo}\,o^{(t-1)}" if kind == "oo" else ""
    h_old = "" if kind == "oo" else h_old
    s.text(center, 0.67, rf"$h^{{(t)}} = \phi_h(W_{{xh}}\,x^{{(t)}}{h_old})$", size=10.5)
    s.text(center, 0.32, rf"$o^{{(t)}} = \phi_o(W_{{ho}}\,h^{{(t)}}{o_old})$", size=10.5)
