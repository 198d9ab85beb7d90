"""Chapter 1, Figures 1 and 2: a series along its time axis, the shapes of tasks; two plots."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .sketch import Sketch, symbol
from .style import INK, INPUT, MUTED, OUTPUT, tint


def time_series(values) -> Figure:
    """Draw Figure 1: a series, its inputs and labels along the time axis, the sliding window.

    Parameters
    ----------
    values : array, (days,)
        One value for each day, at least 12: the three windows at its end have 7 inputs and 3
        labels.
    """
    values, days = np.asarray(values), np.arange(1, len(values) + 1)
    first = len(values) - 11  # the day on which the first window starts
    fig, (top, low) = plt.subplots(2, figsize=(7.5, 4.2), sharex=True, height_ratios=(2, 1))
    top.plot(days, values, "o-", color="#BBBBBB", mfc="white", mec=MUTED, markersize=6.5)
    below = {"transform": top.get_xaxis_transform(), "va": "top"}
    for letter, name, color, start, size in (
        ("x", "inputs", INPUT, first, 7),
        ("y", "labels", OUTPUT, first + 7, 3),
    ):
        these = np.arange(start, start + size)
        top.plot(these, values[these - 1], "o", color=color, markersize=9)
        for step, day in enumerate(these, start=1):
            top.text(day, -0.04, symbol(letter, step), size=13, color=color, ha="center", **below)
        look = {"color": tint(color), "edgecolor": color, "linewidth": 1.4, "height": 0.72}
        bars = low.barh([2, 1, 0], size - 0.12, left=start - 0.44 + np.arange(3), **look)
        low.bar_label(bars, [f"{size} {name}"] * 3, label_type="center", size=10)
    top.axvline(first + 6.5, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
    top.text(first + 6.4, 1.0, "known", ha="right", **below)
    top.text(first + 6.6, 1.0, "to be forecast", **below)
    top.tick_params(labelbottom=False, bottom=False)
    top.grid(axis="x", visible=False)
    top.set(ylabel="visitors", ylim=(None, values.max() + 0.3 * np.ptp(values)))
    low.set_yticks([2, 1, 0], ["window 1", "window 2", "window 3"])
    low.set(xlabel="day (time)", xticks=days)
    low.grid(visible=False)
    fig.alt = (
        "A line of daily values. The 7 days before a dashed line, now, are inputs, the 3 after it "
        "labels. Below, three windows of 7 inputs and 3 labels, each a day further right."
    )
    return fig


def task_shapes() -> Figure:
    """Draw Figure 2: many-to-one, one-to-many, many-to-many synchronised and delayed."""
    board = Sketch(
        6.1,
        "Four diagrams of a chain of hidden states. Many-to-one: an input at every step, one "
        "output at the end. One-to-many: one input at the first step, an output at every step. "
        "Synchronised many-to-many: an input and an output at every step. Delayed many-to-many: "
        "three inputs, then two outputs. Outputs feed the next step where there is no input.",
    )
    every = range(1, 5)
    small = dict.fromkeys("xho", partial(board.circle, radius=0.235))
    for x, y, title, task, reads, writes in (
        (0.08, 3.1, "many-to-one", "review in, its mood out", every, [4]),
        (3.8, 3.1, "one-to-many", "picture in, its caption out", [1], every),
        (0.08, 0.08, "many-to-many, synchronised", "frames in, a label each out", every, every),
        (3.8, 0.08, "many-to-many, delayed", "sentence in, translation out", range(1, 4), [4, 5]),
    ):
        board.frame(x, y, 3.62, 2.92)
        board.text(x + 1.81, y + 2.69, title, 12, weight="bold")
        board.text(x + 1.81, y + 2.43, task, 10.5, MUTED)
        steps = range(1, max(*reads, *writes) + 1)
        columns = {t: x + 1.81 + (t - (len(steps) + 1) / 2) * 3.5 / len(steps) for t in steps}
        rows, only = {"x": y + 0.36, "h": y + 1.2, "o": y + 2.04}, {"x": reads, "o": writes}
        labels = {}
        for layer, some in only.items():
            signs = [symbol(layer, n + 1) for n in range(len(some))]
            labels[layer] = dict(zip(some, signs if some[1:] else [f"${layer}$"], strict=True)).get
        nodes = board.net(columns, rows, only=only, labels=labels, draw=small)
        for t in steps[1:]:
            if ("x", t) not in nodes and ("o", t - 1) in nodes:
                board.arrow(nodes["o", t - 1], nodes["h", t], dashed=True)
    return board.figure


def forecasts_and_errors(inputs, truth, forecasts, errors) -> Figure:
    """Draw Figure 1.1: what two models say on one starting day, and how far off all are.

    Parameters
    ----------
    inputs, truth : array, (days,)
        The values up to now, oldest first, and what came on the next days.
    forecasts, errors : dict of str to array, (days,)
        What two models said of the next days, and the mean errors of five on these days; first
        the one to look at.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.2), width_ratios=[1, 1.05])
    ahead, height = np.arange(1, len(truth) + 1), -np.inf
    left.plot(np.arange(1 - len(inputs), 1), inputs, "o-", color=INPUT, markersize=4)
    left.plot(ahead, truth, "o", mfc="white", mew=1.6, color=INK, label="what came", zorder=4)
    looks = dict(zip(errors, ("D-", "s--", "^-.", "v-.", "x:"), strict=True))
    for name, error in sorted(errors.items(), key=lambda item: item[1][-1]):
        color = OUTPUT if looks[name] == "D-" else MUTED
        if name in forecasts:
            left.plot(ahead, forecasts[name], looks[name], color=color, label=name, markersize=5)
        right.plot(ahead, error, looks[name], color=color, markersize=5)
        height = max(error[-1], height + 4.6)  # names keep a distance from each other
        right.text(ahead[-1] + 0.2, height, name, color=color, size=10, va="center")
    left.axvline(0.5, color=INK, linewidth=1, linestyle=":")
    left.set(xlabel="days from now", ylabel="visitors", xticks=np.arange(-14, 1, 7))
    left.set(ylim=(None, inputs.max() + 0.4 * np.ptp(inputs)))  # room for the legend
    left.legend(loc="upper left", borderaxespad=0.1)
    right.set(xlabel="days ahead", ylabel="mean error", xticks=ahead)
    right.set(xlim=(0.8, ahead[-1] + 2.1), ylim=(0, None))
    right.grid(visible=False)
    fig.alt = (
        "Left: values up to now, what came after, and two forecasts; the first model follows what "
        "came, the second is nearly flat. Right: the mean error of five forecasts on each day "
        "ahead; the first model has the smallest."
    )
    return fig


def influence_patterns(patterns) -> Figure:
    """Draw Figure 1.3: which inputs each output of a net depends on.

    Parameters
    ----------
    patterns : dict of str to array of bool, (outputs, inputs)
        Four grids by their titles.
    """
    patterns = {name: np.asarray(pattern) for name, pattern in patterns.items()}
    widths = [pattern.shape[1] + 2 for pattern in patterns.values()]
    fig, axes = plt.subplots(1, len(patterns), figsize=(7.5, 2.5), width_ratios=widths)
    most = max(len(pattern) for pattern in patterns.values())
    for ax, (name, pattern) in zip(axes, patterns.items(), strict=True):
        for (output, step), moves in np.ndenumerate(pattern):
            face, edge = (OUTPUT, OUTPUT) if moves else ("white", "#BBBBBB")
            ax.plot(step + 1, output + 1, "s", markersize=11, mfc=face, mec=edge)
        rows, columns = (range(1, size + 1) for size in pattern.shape)
        ax.set(title=name, xlabel="input", xticks=columns, yticks=rows, aspect="equal")
        ax.set(xlim=(0.3, len(columns) + 0.7), ylim=(most + 0.7, 0.3))
        ax.grid(visible=False)
    axes[0].set_ylabel("output")
    told = [f"{name}: {p.sum():g} of {p.size} filled" for name, p in patterns.items()]
    fig.alt = (
        "Four grids, a row for each output, a column for each input, filled where the output "
        f"depends on the input. {', '.join(told)}."
    )
    return fig
