"""Text in which every word or every character stands on the colour of a number."""

import re
from collections.abc import Iterator

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from .sketch import Sketch
from .style import MONOSPACED

# Red, white, blue: none of the four colours with a meaning, apart for every kind of colour
# vision, and light enough for black text on any of them (tests/test_figures.py measures both).
SCALE = LinearSegmentedColormap.from_list("red-white-blue", ["#E8836B", "#FFFFFF", "#6BAED6"])
SIZE, WIDE, HIGH = 10, 0.0836, 0.23  # points; inches, a character of this size and a line
COLUMNS = 85  # characters on a line; two more have room, for line breaks


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
