"""Chapter 5, Figure 10: an embedding, as a product with one-hot rows and as a look-up."""

import numpy as np
from matplotlib.figure import Figure

from .colored_text import visible
from .sketch import Sketch
from .style import INPUT, MONOSPACED, MUTED, OUTPUT

ROW = 0.215  # inches, the height of a row of numbers


def embedding_lookup(words, ids, weight) -> Figure:
    """Draw Figure 10: one-hot rows times the weight matrix, beside picking its rows.

    Parameters
    ----------
    words, ids : sequence of str, sequence of int
        The tokens of a sentence and their integers; 0 is padding, 1 an unknown token.
    weight : array, (rows, 3)
        The matrix of the embedding, with at most 10 rows; row 0 should be zeros.
    """
    rows, dim = weight.shape
    tall, one_hot = rows * ROW, np.eye(rows, dtype=int)[ids]
    above, below = 1.5 * tall + 0.92, 0.5 * tall + 0.28
    board = Sketch(
        2 * tall + 1.3,
        f"Above: {len(ids)} tokens become integers, each integer a row of {rows} numbers, one of "
        f"them 1 and the others 0; times the weight matrix of {rows} rows and {dim} columns that "
        f"gives {len(ids)} rows of {dim} numbers. Below: each integer picks its row of the same "
        "matrix, and the result is the same. The row of padding is all zeros.",
    )
    zeros = f"{one_hot.size} numbers, {(one_hot == 0).sum()} of them zeros"
    for middle, x, title in (
        (above, 4.5, f"One-hot: {zeros}, times the weights"),
        (below, 3.05, f"Embedding: {len(ids)} integers, each picks its row of the weights"),
    ):
        board.text(0.1, middle + tall / 2 + 0.19, title, ha="left", weight="bold")
        for word, i, y in zip(words, ids, _heights(len(ids), middle), strict=True):
            word = visible(word if len(word) <= 11 else word[:10] + "…")
            board.text(0.98, y, word, 10, INPUT, ha="right", parse_math=False)
            board.text(1.2, y, f"{i}", 10, family=MONOSPACED)
        for i, y in enumerate(_heights(rows, middle)):
            name = ("<pad> 0", "<unk> 1")[i] if i < 2 else f"{i}"
            board.text(x - 0.07, y, name, 9, MUTED, ha="right", family=MONOSPACED)
        _matrix(board, x, middle, weight, INPUT, marked=one_hot.any(axis=0)[:, None])
        _matrix(board, 6.11, middle, weight[ids], OUTPUT, marked=np.ones((len(ids), 1)))
    _matrix(board, 1.52, above, one_hot, INPUT, marked=one_hot, wide=0.2)
    board.text(3.7, above, "×", 14)
    board.text(5.95, above, "=", 14)

    x, y, apart = 6.75, (above + below) / 2, (above - below - len(ids) * ROW) / 2
    board.text(x, y - 0.05, "the same")
    board.arrow((x, y + 0.07), (x, y + apart - 0.27), color=MUTED)
    board.arrow((x, y - 0.17), (x, y - apart + 0.05), color=MUTED)
    for i, token in zip(ids, _heights(len(ids), below), strict=True):
        row, left = _heights(rows, below)[i], 2.83 if i > 1 else 2.45
        into = [(1.36, token), (2.0, token), (left - 0.64, row), (left, row)]
        out = [(4.37, row), (5.1, row), (5.35, token), (6.08, token)]
        board.curve(into, INPUT).set(linewidth=1.2, mutation_scale=9)
        board.curve(out, OUTPUT).set(linewidth=1.2, mutation_scale=9)
    return board.figure


def _heights(rows: int, middle: float) -> np.ndarray:
    """Return the middles of rows below each other."""
    return middle + (rows / 2 - 0.5 - np.arange(rows)) * ROW


def _matrix(board: Sketch, x, middle, values, color, *, marked, wide=0.43) -> None:
    """Draw numbers in cells, the marked ones on a tint, and below them their count."""
    rows, columns = values.shape
    form = "d" if values.dtype == int else "z.2f"
    entries = [[f"{v:{form}}".replace("-", "−") for v in row] for row in values]
    shades = np.broadcast_to(0.22 * marked, values.shape)
    board.grid(x, middle, shades, color, cell=(wide, ROW), entries=entries)
    below = middle - rows * ROW / 2 - 0.13
    board.text(x + columns * wide / 2, below, f"{rows} × {columns}", 9.5, MUTED)
