"""The diagram of chapter 3: the way of a gradient back in time, and what arrives."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from helpers.figures.sketch import Sketch, tint
from helpers.figures.style import RECURRENT


def chain_of_factors(weights: Sequence[float] = (0.8, 1.0, 1.2), steps: int = 20) -> Figure:
    """Figure 8: the gradient's way back through an unfolded net, and what becomes of it.

    Args:
        weights: three recurrent weights of a linear unit: below, at and above 1.
        steps: how many steps back the three plots reach.
    """
    low, one, high = (f"{w:g}" for w in weights)
    alt = (
        "A hidden unit unfolded in time, from step k to step t, where it meets the loss L. The "
        "gradient goes back from L to step t and on to step k; each of the t minus k steps "
        "multiplies it by the same weight w, so that w to the power of t minus k arrives. Three "
        f"bar plots of what is left, step by step: for w = {low} it shrinks to "
        f"{weights[0] ** steps:.2g} over {steps} steps, for w = {one} it stays 1, for w = {high} "
        f"it grows to {weights[2] ** steps:.0f}."
    )
    board = Sketch(7.5, 4.8, alt)
    _chain(board, y=3.71)
    titles = [
        rf"$|w|\,<\,1$, here {low}: vanishes",
        rf"$|w|\,=\,1$, here {one}: is kept",
        rf"$|w|\,>\,1$, here {high}: explodes",
    ]
    for column, (w, title) in enumerate(zip(weights, titles, strict=True)):
        _bars(board, 0.5 + 2.42 * column, w, steps, title)
    board.figure.set_layout_engine("none")  # the axes stand where they were put
    return board.figure


def _chain(board: Sketch, y: float) -> None:
    """Draw the unfolded unit with its forward edges and, above, the gradient's way back."""
    xs = [0.6, 1.72, 2.84, 3.78, 4.72, 5.84, 6.96]
    names = ["k", "k+1", "k+2", None, "t-1", "t", None]
    nodes = []
    for x, name in zip(xs, names, strict=True):
        if name is None:
            nodes.append((x, y))
            continue
        nodes.append(board.circle(x, y, f"$h^{{({name})}}$", radius=0.33, size=12))
        board.text(x, y - 0.86, f"$x^{{({name})}}$", kind="input", size=12)
        board.arrow((x, y - 0.7), nodes[-1], kind="input")
    nodes[-1] = board.circle(xs[-1], y, "$L$", kind="output", radius=0.28, size=14)
    board.text(xs[3], y, r"$\cdots$", size=17)
    for i, (left, right) in enumerate(pairwise(xs)):
        start = (left + 0.2, y) if i == 3 else nodes[i]
        end = (right - 0.2, y) if i == 2 else nodes[i + 1]
        last = i == len(xs) - 2
        board.arrow(start, end, kind="output" if last else "recurrent")
        middle = (left + right) / 2
        if not last:
            board.text(middle, y - 0.17, "$w$", kind="recurrent", size=12)
        back = right - (0.2 if i == 2 else 0.1), left + (0.2 if i == 3 else 0.1)
        board.arrow((back[0], y + 0.42), (back[1], y + 0.42), bend=0.32)
        label = r"$\partial L/\partial h^{(t)}$" if last else r"$\times\,w$"
        board.text(middle, y + 0.8, label, size=13)
    formula = (
        r"$\dfrac{\partial h^{(t)}}{\partial h^{(k)}}\;=\;"
        r"\underset{t-k\;\mathrm{factors}}{w\cdot w\;\cdots\;w}\;=\;w^{\,t-k}$"
    )
    board.text(xs[3], y - 1.33, formula, size=14)


def _bars(board: Sketch, left: float, w: float, steps: int, title: str) -> None:
    """Plot what is left of a gradient of 1 at step t on its way back to step k."""
    width, height = board.figure.get_size_inches()
    ax = board.figure.add_axes((left / width, 0.37 / height, 2.05 / width, 1.35 / height))
    ax.bar(
        np.arange(-steps, 1),
        float(w) ** np.arange(steps, -1, -1),
        width=0.78,
        color=tint(RECURRENT, 0.55),
        edgecolor=RECURRENT,
        linewidth=0.8,
    )
    top = max(1.0, float(w) ** steps)
    ax.set(xlim=(-steps - 0.8, 0.8), ylim=(0, 1.12 * top), xticks=[-steps, -steps // 2, 0])
    ax.set_xticklabels([f"$k=t-{steps}$", f"$t-{steps // 2}$", "$t$"])
    ax.set_yticks([0, 0.5, 1] if top == 1 else [0, round(top / 2, -1), round(top, -1)])
    ax.grid(visible=False)
    ax.tick_params(labelsize=9.5, length=3)
    ax.set_title(title, fontsize=11)
    end = float(w) ** steps
    ax.annotate(
        f"{end:.2g}" if end < 10 else f"{end:.0f}",
        (-steps - 0.4, end),
        xytext=(5, 3),
        textcoords="offset points",
        ha="left",
        fontsize=9.5,
    )
