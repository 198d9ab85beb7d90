"""Chapter 5, Figure 10: an embedding; and text on the colours of numbers."""

import re
from collections.abc import Iterator

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from .sketch import Sketch
from .style import INPUT, MONOSPACED, MUTED, OUTPUT

# Red, white, blue: none of the four colours with a meaning, apart for every kind of colour
# vision, and light enough for black text on any of them (tests/test_figures.py measures both).
SCALE = LinearSegmentedColormap.from_list("red-white-blue", ["#E8836B", "#FFFFFF", "#6BAED6"])
SIZE, WIDE, HIGH = 10, 0.0836, 0.23  # points; inches, a character of this size and a line
COLUMNS = 85  # characters on a line; two more have room, for line breaks
ROW = 0.215  # inches, the height of a row of numbers


def visible(text: str, space: str = "␣") -> str:
    """Return what to draw for ``text``: signs for white space, □ for what the font lacks."""
    known = get_font(findfont(MONOSPACED)).get_charmap()
    marks = {" ": space, "\n": "↵", "\t": "⇥"}
    shown = (marks.get(c, c if c.isprintable() and ord(c) in known else "□") for c in text)
    return "".join(shown)


def colored_text(pieces, values, *, label_low, label_high, limits=(-1, 1)) -> Figure:
    """Draw words or characters as a paragraph, each on a colour from red over white to blue.

    Parameters
    ----------
    pieces : str or sequence of str
        A string is drawn character by character, with its own line breaks; a sequence of words
        is drawn word by word, and what is longer than a line is cut.
    values : array, (pieces,)
        One number for each piece; beyond the limits the colour stays that of the limit.
    label_low, label_high : str
        What the lower limit, red, and the upper one, blue, mean.
    limits : (float, float)
        The values at the two ends of the scale; white is halfway.

    Raises
    ------
    ValueError
        If there is not one finite number for each piece.
    """
    values = np.asarray(values, dtype=float)
    if len(pieces) == 0 or values.shape != (len(pieces),) or not np.isfinite(values).all():
        raise ValueError(f"{len(pieces)} pieces need a finite value each; got {values.shape}")
    shades = SCALE((values - limits[0]) / (limits[1] - limits[0]))
    lines, columns, lengths, texts = zip(*_cells(pieces), strict=True)
    height = (lines[-1] + 1) * HIGH + 0.45
    board = Sketch(height, f"A text on colours: red for {label_low}, blue for {label_high}.")
    x, wide = 0.1 + WIDE * np.array(columns), WIDE * np.array(lengths)
    y = height - 0.08 - HIGH * (np.array(lines) + 0.5)
    board.ax.barh(y, wide, 0.88 * HIGH, x, color=shades, antialiased=False)
    for middle, row, text in zip(x + wide / 2, y - 0.045, texts, strict=True):
        board.text(middle, row, text, SIZE, family=MONOSPACED, parse_math=False, va="baseline")
    board.ax.imshow(np.linspace(0, 1, 256)[None], cmap=SCALE, extent=(3.0, 4.5, 0.1, 0.24))
    low, high = (f"({limit:g})".replace("-", "−") for limit in limits)
    board.text(2.9, 0.17, f"{label_low} {low}", 9.5, ha="right", parse_math=False)
    board.text(4.6, 0.17, f"{high} {label_high}", 9.5, ha="left", parse_math=False)
    return board.figure


def _cells(pieces) -> Iterator[tuple[int, int, int, str]]:
    """Yield line, column, length and text of each piece; lines end between words."""
    if isinstance(pieces, str):
        words = re.findall(rf"\n{{1,2}}|\S{{1,{COLUMNS}}}|[^\S\n]", pieces)
        words = [[(1, visible(c, space="")) for c in word] for word in words]
    else:
        words = [[(len(word) + 1, visible(word))] for word in (p[: COLUMNS - 1] for p in pieces)]
    line = column = 0
    for word in words:
        is_break = word[0][1] == "↵"
        if column + sum(length for length, _ in word) > COLUMNS and not is_break:
            line, column = line + 1, 0
        for length, text in word:
            yield line, column, length, text
            column += length
        if is_break:
            line, column = line + 1, 0


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
        names = _matrix(board, x, middle, weight, INPUT, marked=one_hot.any(axis=0)[:, None])
        tokens = _matrix(board, 6.11, middle, weight[ids], OUTPUT, marked=np.ones((len(ids), 1)))
        for word, i, y in zip(words, ids, tokens, strict=True):
            word = visible(word if len(word) <= 11 else word[:10] + "…")
            board.text(0.98, y, word, 10, INPUT, ha="right", parse_math=False)
            board.text(1.2, y, f"{i}", 10, family=MONOSPACED)
        for i, y in enumerate(names):
            name = ("<pad> 0", "<unk> 1")[i] if i < 2 else f"{i}"
            board.text(x - 0.07, y, name, 9, MUTED, ha="right", family=MONOSPACED)
    _matrix(board, 1.52, above, one_hot, INPUT, marked=one_hot, wide=0.2)
    board.text(3.7, above, "×", 14)
    board.text(5.95, above, "=", 14)

    x, y, apart = 6.75, (above + below) / 2, (above - below - len(ids) * ROW) / 2
    board.text(x, y - 0.05, "the same")
    board.arrow((x, y + 0.07), (x, y + apart - 0.27), color=MUTED)
    board.arrow((x, y - 0.17), (x, y - apart + 0.05), color=MUTED)
    for i, token in zip(ids, tokens, strict=True):  # those of the embedding, drawn last
        row, left = names[i], 2.83 if i > 1 else 2.45
        into = [(1.36, token), (2.0, token), (left - 0.64, row), (left, row)]
        out = [(4.37, row), (5.1, row), (5.35, token), (6.08, token)]
        board.curve(into, INPUT).set(linewidth=1.2, mutation_scale=9)
        board.curve(out, OUTPUT).set(linewidth=1.2, mutation_scale=9)
    return board.figure


def _matrix(board: Sketch, x, middle, values, color, *, marked, wide=0.43) -> np.ndarray:
    """Draw numbers in cells, marked ones on a tint, their count below; return the rows' heights."""
    rows, columns = values.shape
    form = "d" if values.dtype == int else "z.2f"
    shades = np.broadcast_to(0.22 * marked, values.shape)
    board.grid(x, middle, shades, color, cell=(wide, ROW), entries=values, form=form)
    below = middle - rows * ROW / 2 - 0.13
    board.text(x + columns * wide / 2, below, f"{rows} × {columns}", 9.5, MUTED)
    return middle + (rows / 2 - 0.5 - np.arange(rows)) * ROW
