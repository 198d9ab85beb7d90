"""Figure 10: an embedding, as a product with one-hot rows and as a look-up."""

from collections.abc import Sequence

import numpy as np
from matplotlib import patches
from matplotlib.figure import Figure

from helpers.figures.colored_text import MONOSPACED, PROPORTIONAL, visible
from helpers.figures.sketch import COLORS, Kind, Sketch, tint

ROW = 0.215  # inches, the height of a row of numbers
WIDE = 1.29  # of the weight matrix and of the result
SPECIALS = ("<pad>", "<unk>")


def embedding_lookup(words: Sequence[str], ids: Sequence[int], weight: np.ndarray) -> Figure:
    """Draw Figure 10: one-hot rows times the weight matrix, beside picking its rows.

    Args:
        words: the tokens of a sentence, as they stand there.
        ids: the integer of each token; 0 is padding, 1 an unknown token.
        weight: the matrix of the embedding, one row for each integer; row 0 should be zeros.

    Raises:
        ValueError: if the figure has no room for them.
    """
    weight, ids = np.asarray(weight, dtype=float), [int(i) for i in ids]
    rows, dim = weight.shape
    if len(words) != len(ids) or len(ids) > rows or not (2 <= rows <= 12 and 1 <= dim <= 3):
        raise ValueError("room is for at most 12 rows of 3 numbers, and one id for each word")
    tall = rows * ROW
    sketch = Sketch(
        7.5,
        2 * tall + 1.3,
        f"Above: {len(ids)} tokens become integers, each integer a row of {rows} numbers, one of "
        f"them 1 and the others 0; times the weight matrix of {rows} rows and {dim} columns that "
        f"gives {len(ids)} rows of {dim} numbers. Below: each integer picks its row of the same "
        "matrix, and the result is the same. The row of padding is all zeros.",
    )
    above, below = 1.5 * tall + 0.92, 0.5 * tall + 0.28
    zeros = len(ids) * (rows - 1)
    for middle, title in (
        (above, f"One-hot: {len(ids)} × {rows} numbers, {zeros} of them zeros, times the weights"),
        (below, f"Embedding: {len(ids)} integers, each picks its row of the weights"),
    ):
        sketch.text(0.1, middle + tall / 2 + 0.19, title, ha="left", weight="bold")
        _tokens(sketch, middle, words, ids)
        _matrix(sketch, 6.11, middle, weight[ids], WIDE, "output", np.full((len(ids), dim), True))
    x, half, apart = 6.11 + WIDE / 2, (above + below) / 2, (above - below - len(ids) * ROW) / 2
    sketch.text(x, half - 0.05, "the same")
    sketch.arrow((x, half + 0.07), (x, half + apart - 0.27), "muted")
    sketch.arrow((x, half - 0.17), (x, half - apart + 0.05), "muted")

    one_hot = np.eye(rows, dtype=int)[ids]
    wide = min(0.2 * rows, 2.05)
    _matrix(sketch, 1.52, above, one_hot, wide, "input", one_hot == 1, "{}")
    sketch.text((1.52 + wide + 3.86) / 2, above, "×", size=14)
    _weights(sketch, 4.5, above, weight, ids)
    sketch.text(5.95, above, "=", size=14)

    _weights(sketch, 3.05, below, weight, ids)
    for k, i in enumerate(ids):
        token, row = (below + (n / 2 - j - 0.5) * ROW for n, j in ((len(ids), k), (rows, i)))
        _link(sketch, (1.36, token), (2.9 - 0.076 * len(_label(i)), row), "input")
        _link(sketch, (3.05 + WIDE + 0.03, row), (6.08, token), "output")
    return sketch.figure


def _tokens(sketch: Sketch, middle: float, words: Sequence[str], ids: Sequence[int]) -> None:
    """Write the words at the left, each with its integer beside it."""
    for k, (word, i) in enumerate(zip(words, ids, strict=True)):
        y = middle + (len(ids) / 2 - k - 0.5) * ROW
        word = visible(word if len(word) <= 11 else word[:10] + "…", PROPORTIONAL)
        sketch.text(0.98, y, word, size=10, ha="right", kind="input", parse_math=False)
        sketch.text(1.2, y, f"{i}", size=10, family=MONOSPACED)


def _weights(sketch: Sketch, x: float, middle: float, weight: np.ndarray, ids) -> None:
    """Draw the weight matrix with its rows numbered and the picked ones highlighted."""
    rows, dim = weight.shape
    picked = np.isin(np.arange(rows), ids)[:, None].repeat(dim, axis=1)
    _matrix(sketch, x, middle, weight, WIDE, "input", picked)
    for i in range(rows):
        y = middle + (rows / 2 - i - 0.5) * ROW
        sketch.text(x - 0.07, y, _label(i), size=9, ha="right", family=MONOSPACED, kind="muted")


def _label(i: int) -> str:
    return f"{SPECIALS[i]} {i}" if i < len(SPECIALS) else f"{i}"


def _matrix(sketch, x, middle, values, width, kind: Kind, marked, form="{:.2f}") -> None:
    """Draw numbers in cells, the marked ones on a tint; (x, middle) is the left edge's middle."""
    rows, columns = values.shape
    cell, top = width / columns, middle + rows * ROW / 2
    for (i, j), value in np.ndenumerate(values):
        corner = (x + j * cell, top - (i + 1) * ROW)
        color = COLORS[kind] if marked[i, j] else COLORS["muted"]
        face = tint(color, 0.22) if marked[i, j] else "white"
        style = {"facecolor": face, "edgecolor": tint(color, 0.55), "linewidth": 0.8}
        sketch.ax.add_patch(patches.Rectangle(corner, cell, ROW, zorder=3, **style))
        text = form.format(value).replace("-0.00", "0.00").replace("-", "−")
        strong = {"kind": "plain" if marked[i, j] else "muted", "family": MONOSPACED}
        sketch.text(corner[0] + cell / 2, corner[1] + ROW / 2, text, size=9, **strong)
    shape = f"{rows} × {columns}"
    sketch.text(x + width / 2, middle - rows * ROW / 2 - 0.13, shape, size=9.5, kind="muted")


def _link(sketch: Sketch, start, end, kind: Kind) -> None:
    """Draw a thin arrow that leaves and arrives horizontally."""
    (x0, y0), (x1, y1) = start, end
    bend = 0.45 * (x1 - x0)
    path = patches.Path(
        [(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)],
        [patches.Path.MOVETO] + [patches.Path.CURVE4] * 3,
    )
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 1.2, "zorder": 2}
    sketch.ax.add_patch(patches.FancyArrowPatch(path=path, color=COLORS[kind], **style))
