"""Text in which every word or every character stands on the colour of a number."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle

from helpers.figures.sketch import Sketch
from helpers.figures.style import INCH, MUTED, SHARPNESS

# Red, white, blue: none of the four colours with a meaning, apart for every kind of colour
# vision, and light enough for black text on any of them (tests/test_figures.py measures both).
SCALE = LinearSegmentedColormap.from_list("red-white-blue", ["#E8836B", "#FFFFFF", "#6BAED6"])
MONOSPACED, PROPORTIONAL = "DejaVu Sans Mono", "DejaVu Sans"
MARGIN = 0.08  # inches around the text
LONGEST = 50  # so many characters fit on a line however wide they are; longer words are cut

Cell = tuple[int, str, int, float, float]  # piece, its text, line, left edge, width


def visible(text: str, family: str = MONOSPACED, space: str = "␣") -> str:
    """Return what to draw for ``text``: signs for white space, □ for what the font lacks."""
    known = get_font(findfont(FontProperties(family=family))).get_charmap()
    marks = {" ": space, "\n": "↵", "\t": "⇥"}
    shown = (marks.get(c, c if c.isprintable() and ord(c) in known else "□") for c in text)
    return "".join(shown)


def colored_text(
    pieces: str | Sequence[str],
    values: Sequence[float],
    *,
    label_low: str,
    label_high: str,
    limits: tuple[float, float] = (-1, 1),
    size: float = 10,
    width: float = 7.5,
) -> Figure:
    """Draw words or characters as a paragraph, each on a colour from red over white to blue.

    Args:
        pieces: a string is drawn character by character, monospaced, with its own line breaks;
            a sequence of words is drawn word by word.
        values: one number for each piece; beyond the limits the colour stays that of the limit.
        label_low: what the lower limit, red, means (for the legend).
        label_high: what the upper limit, blue, means.
        limits: the values at the two ends of the scale; white is halfway.
        size: of the letters, in points.
        width: of the figure, in inches.

    Raises:
        ValueError: if there is not one finite number for each piece.
    """
    values = np.asarray(values, dtype=float)
    if len(pieces) == 0 or values.shape != (len(pieces),) or not np.isfinite(values).all():
        raise ValueError(f"{len(pieces)} pieces need a finite value each; got {values.shape}")
    is_string = isinstance(pieces, str)
    style = {"family": MONOSPACED if is_string else PROPORTIONAL, "size": size}
    measure = _ruler(FontProperties(**style))
    place = _characters if is_string else _words
    cells = list(place(pieces, width - 2 * MARGIN, measure))

    pitch = 1.65 * size / 72  # from line to line
    height = (cells[-1][2] + 1) * pitch + 0.45
    sketch = Sketch(
        width,
        height,
        f"A text of {len(pieces)} {'characters' if is_string else 'words'}, each on the colour of "
        f"its value: red for {label_low}, white halfway, blue for {label_high}.",
    )
    boxes = []
    for _, text, line, left, wide in cells:
        y = height - MARGIN - (line + 1) * pitch
        boxes.append(Rectangle((MARGIN + left, y), wide, 0.88 * pitch))
        if text:
            x, baseline = MARGIN + left + wide / 2, y + 0.26 * pitch
            sketch.text(x, baseline, text, va="baseline", parse_math=False, **style)
    shades = SCALE((values - limits[0]) / (limits[1] - limits[0]))[[cell[0] for cell in cells]]
    boxes = PatchCollection(boxes, facecolors=shades, linewidths=0, antialiased=False)
    sketch.ax.add_collection(boxes)
    _legend(sketch, label_low, label_high, limits)
    return sketch.figure


def _characters(text: str, room: float, measure: Callable[[str], float]) -> Iterator[Cell]:
    """Give each character its cell; lines end after line breaks and else between words."""
    wide = measure("M")
    columns = int(room / wide) - 2  # two cells are left over for line breaks
    line = column = i = 0
    for word in re.findall(rf"\n{{1,2}}|[^\s]{{1,{columns}}}|[^\S\n]", text):
        if column + len(word) > columns and word[0] != "\n":
            line, column = line + 1, 0
        for character in word:
            yield i, visible(character, space=""), line, column * wide, wide
            i, column = i + 1, column + 1
        if word[0] == "\n":
            line, column = line + 1, 0


def _words(words: Sequence[str], room: float, measure: Callable[[str], float]) -> Iterator[Cell]:
    """Give each word its cell, half a space wider on both sides."""
    space = measure("n n") - measure("nn")
    line, left = 0, 0.0
    for i, word in enumerate(words):
        shown = visible(word, PROPORTIONAL)
        for start in range(0, max(len(word), 1), LONGEST):
            part = shown[start : start + LONGEST]
            wide = measure(part) + space
            if left + wide > room:
                line, left = line + 1, 0.0
            yield i, part, line, left, wide
            left += wide


def _legend(sketch: Sketch, low: str, high: str, limits: tuple[float, float]) -> None:
    """Draw the colour scale below the text, with its two ends named."""
    signed = "+g" if limits[0] < 0 else "g"
    ends = [f"{v:{signed}}".replace("-", "−") for v in limits]
    style = {"size": 9.5, "ha": "left", "parse_math": False}
    left, y, wide = MARGIN + 0.02, 0.17, 1.5
    start = left + _ruler(FontProperties(size=style["size"]))(f"{low}  {ends[0]}") + 0.1
    sketch.text(left, y, f"{low}  {ends[0]}", **style)
    sketch.text(start + wide + 0.1, y, f"{ends[1]}  {high}", **style)
    area = (start, start + wide, y - 0.07, y + 0.07)
    sketch.ax.imshow(np.linspace(0, 1, 256)[None], cmap=SCALE, extent=area, aspect="equal")
    border = {"fill": False, "linewidth": 0.6, "edgecolor": MUTED}
    sketch.ax.add_patch(Rectangle((start, y - 0.07), wide, 0.14, **border))


def _ruler(font: FontProperties) -> Callable[[str], float]:
    """Return a function that measures the width of a text in inches, as ``show`` draws it."""
    renderer = RendererAgg(1, 1, INCH * SHARPNESS)

    def measure(text: str) -> float:
        return renderer.get_text_width_height_descent(text, font, ismath=False)[0] / renderer.dpi

    return measure
