"""Chapter 1: a series along its time axis, the four shapes of sequence tasks, two plots."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from helpers.figures.sketch import Sketch, tint
from helpers.figures.style import INK, INPUT, MUTED, OUTPUT


def time_series(values: np.ndarray, width: int = 7, horizon: int = 3) -> Figure:
    """Figure 1: a series, its inputs and labels along the time axis, and the sliding window.

    Args:
        values: one value for each day; three days more than ``width + horizon`` look best.
        width: how many values go in.
        horizon: how many values are to be forecast.
    """
    values = np.asarray(values, float)
    days = np.arange(1, len(values) + 1)
    windows = 3
    first = len(values) - width - horizon - windows + 1  # where the uppermost window starts
    ins, outs = np.arange(first, first + width), np.arange(first + width, first + width + horizon)

    fig = plt.figure(figsize=(7.5, 4.0), layout="none")
    top = fig.add_axes((0.095, 0.42, 0.895, 0.56))
    low = fig.add_axes((0.095, 0.145, 0.895, 0.255), sharex=top)
    span = np.ptp(values)
    top.plot(days, values, color="#BBBBBB", linewidth=1.6, zorder=1)
    top.plot(days, values, "o", color="white", mec=MUTED, mew=1.4, markersize=6.5, zorder=2)
    for which, color, name in ((ins, INPUT, "x"), (outs, OUTPUT, "y")):
        top.plot(days[which], values[which], "o", color=color, markersize=9, zorder=3)
        for step, i in enumerate(which, start=1):
            label = rf"${name}^{{({step})}}$"
            # Beside the curve: above a peak, below a valley, to the right of a slope.
            left, right = values[max(i - 1, 0)], values[min(i + 1, len(values) - 1)]
            falls, rises = left > values[i] > right, left < values[i] < right
            above = falls or not (rises or values[i] < (left + right) / 2)
            top.annotate(
                label,
                (days[i], values[i]),
                xytext=(11, 1) if falls else (1, 9 if above else -9),
                textcoords="offset points",
                ha="left" if falls else "center",
                va="bottom" if above else "top",
                size=13,
                color=color,
            )
    now = days[ins[-1]] + 0.5
    top.axvline(now, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
    top.text(now - 0.15, values.max() + 0.33 * span, "known", ha="right", va="top")
    top.text(now + 0.15, values.max() + 0.33 * span, "to be forecast", ha="left", va="top")
    top.set(ylabel="visitors", ylim=(values.min() - 0.27 * span, values.max() + 0.36 * span))
    top.tick_params(labelbottom=False, bottom=False)
    top.grid(axis="x", visible=False)

    for row in range(windows):
        y = windows - 1 - row
        for start, size, color, word in (
            (first + row, width, INPUT, f"{width} inputs"),
            (first + row + width, horizon, OUTPUT, f"{horizon} labels"),
        ):
            low.barh(
                y, size - 0.12, left=days[start] - 0.44, height=0.72,
                color=tint(color), edgecolor=color, linewidth=1.4,
            )  # fmt: skip
            low.text(days[start] + (size - 1) / 2, y, word, ha="center", va="center", size=10)
        low.text(days[first + row] - 0.7, y, f"window {row + 1}", ha="right", va="center", size=10)
    low.set(ylim=(-0.6, windows - 0.4), yticks=[], xlim=(0.3, len(values) + 0.7))
    low.set_xlabel("day (time)")
    low.set_xticks(days)
    low.grid(visible=False)
    low.spines["left"].set_visible(False)
    fig.alt = (
        f"A line of daily values. The {width} days before a dashed line, now, are inputs, the "
        f"{horizon} days after it are labels. Below, three windows of {width} inputs and "
        f"{horizon} labels, each one day further right than the one above."
    )
    return fig


def task_shapes() -> Figure:
    """Figure 2: many-to-one, one-to-many, many-to-many synchronised and delayed."""
    board = Sketch(
        7.5,
        6.1,
        "Four diagrams of a chain of hidden states. Many-to-one: an input at every step, one "
        "output at the end. One-to-many: one input at the first step, an output at every step. "
        "Synchronised many-to-many: an input and an output at every step. Delayed many-to-many: "
        "three inputs, then two outputs. Outputs feed the next step where there is no input.",
    )
    wide, high, gap = 3.62, 2.92, 0.1
    left, right = 0.08, 0.08 + wide + gap
    low, up = 0.08, 0.08 + high + gap
    _panel(board, left, up, "many-to-one", "review in, its mood out", 4, {1, 2, 3, 4}, {4})
    _panel(board, right, up, "one-to-many", "picture in, its caption out", 4, {1}, {1, 2, 3, 4})
    both = {1, 2, 3, 4}
    _panel(
        board, left, low, "many-to-many, synchronised", "frames in, a label each out", 4, both, both
    )
    reads, writes = {1, 2, 3}, {4, 5}
    _panel(
        board, right, low, "many-to-many, delayed", "sentence in, translation out", 5, reads, writes
    )
    return board.figure


def _panel(board: Sketch, x, y, title, task, steps, ins, outs, wide=3.62, high=2.92):
    """Draw one category in the frame whose lower left corner is (x, y)."""
    board.frame(x, y, wide, high)
    board.text(x + wide / 2, y + high - 0.23, title, size=12, weight="bold")
    board.text(x + wide / 2, y + high - 0.49, task, size=10.5, kind="muted")
    pitch, radius = (0.86, 0.25) if steps == 4 else (0.7, 0.235)
    rows = y + 0.36, y + 1.2, y + 2.04  # inputs, hidden states, outputs
    at = [x + wide / 2 + (t - (steps + 1) / 2) * pitch for t in range(1, steps + 1)]
    hidden = [
        board.circle(at[t - 1], rows[1], rf"$h^{{({t})}}$", "hidden", radius, 12)
        for t in range(1, steps + 1)
    ]
    for before, after in pairwise(hidden):
        board.arrow(before, after, "recurrent")
    for t in sorted(ins):
        label = "$x$" if len(ins) == 1 else rf"$x^{{({t})}}$"
        node = board.circle(at[t - 1], rows[0], label, "input", radius, 12)
        board.arrow(node, hidden[t - 1], "input")
    for step, t in enumerate(sorted(outs), start=1):
        label = "$o$" if len(outs) == 1 else rf"$o^{{({step})}}$"
        node = board.circle(at[t - 1], rows[2], label, "output", radius, 12)
        board.arrow(hidden[t - 1], node, "output")
        if t < steps and t + 1 not in ins:  # what it said last takes the place of an input
            board.arrow(node, hidden[t], "recurrent", dashed=True)


def forecasts_and_errors(
    inputs: np.ndarray,
    truth: np.ndarray,
    forecasts: dict[str, np.ndarray],
    errors: dict[str, np.ndarray],
) -> Figure:
    """Figure 1.1: what two models say on one starting day, and how far off each forecast is.

    Args:
        inputs: the values up to now, oldest first.
        truth: what came on the next days.
        forecasts: for each name, one value for each of these days; drawn on the left.
        errors: for each name, the mean error for each of these days; drawn on the right.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.2), width_ratios=[1, 1.05])
    ahead = np.arange(1, len(truth) + 1)
    left.plot(np.arange(1 - len(inputs), 1), inputs, "o-", color=INPUT, markersize=4)
    left.plot(ahead, truth, "o", mfc="white", mew=1.6, color=INK, label="what came", zorder=4)
    looks = dict(zip(errors, ("D-", "s--", "^-.", "v-.", "x:"), strict=True))
    colors = {name: OUTPUT if k == 0 else MUTED for k, name in enumerate(errors)}
    for name, values in forecasts.items():
        left.plot(ahead, values, looks[name], color=colors[name], label=name, markersize=5)
    left.axvline(0.5, color=INK, linewidth=1, linestyle=":")
    low, high = min(inputs.min(), truth.min()), max(inputs.max(), truth.max())
    left.set(xlabel="days from now", ylabel="visitors", xticks=np.arange(-14, 1, 7))
    left.set(ylim=(low - 0.1 * (high - low), high + 0.3 * (high - low)))
    left.legend(loc="upper left", borderaxespad=0.1)

    at, room = {}, 4.6  # labels keep this distance, in units of the error axis
    for name in sorted(errors, key=lambda n: errors[n][-1]):
        at[name] = max([errors[name][-1], *(y + room for y in at.values())])
        at[name] -= 0.4 * room if name == next(iter(at)) else 0
    for name, error in errors.items():
        right.plot(ahead, error, looks[name], color=colors[name], markersize=5)
        right.text(ahead[-1] + 0.2, at[name], name, color=colors[name], size=10, va="center")
    right.set(xlabel="days ahead", ylabel="mean error", xticks=ahead)
    right.set(xlim=(0.8, ahead[-1] + 2.1), ylim=(0, None))
    right.grid(visible=False)
    fig.alt = (
        "Left: values up to now, what came after, and two forecasts; the first model follows what "
        "came, the second is nearly flat. Right: the mean error of five forecasts on each day "
        "ahead; the first model has the smallest."
    )
    return fig


def influence_patterns(patterns: dict[str, np.ndarray]) -> Figure:
    """Figure 1.3: which inputs (columns) each output (rows) depends on, one grid a net.

    Args:
        patterns: for each title, booleans of shape (outputs, inputs).
    """
    patterns = {name: np.asarray(pattern, bool) for name, pattern in patterns.items()}
    most = max(len(pattern) for pattern in patterns.values())
    widths = [pattern.shape[1] + 2 for pattern in patterns.values()]
    fig, axes = plt.subplots(1, len(patterns), figsize=(7.5, 2.5), width_ratios=widths)
    for ax, (name, pattern) in zip(axes, patterns.items(), strict=True):
        for (out, step), moves in np.ndenumerate(pattern):
            face, edge = (OUTPUT, OUTPUT) if moves else ("white", "#BBBBBB")
            ax.plot(step + 1, out + 1, "s", markersize=11, mfc=face, mec=edge)
        rows, columns = pattern.shape
        ax.set(xlim=(0.3, columns + 0.7), ylim=(most + 0.7, 0.3), aspect="equal", title=name)
        ax.set(xticks=range(1, columns + 1), yticks=range(1, rows + 1), xlabel="input")
        ax.grid(visible=False)
    axes[0].set_ylabel("output")
    fig.alt = (
        "Four grids, a row for each output, a column for each input, filled where the output "
        "depends on the input. "
        + ", ".join(
            f"{name}: {pattern.sum()} of {pattern.size} filled"
            for name, pattern in patterns.items()
        )
        + "."
    )
    return fig
