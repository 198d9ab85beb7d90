"""A drawing board for diagrams: nodes, arrows coloured by one rule, unfolded nets, grids."""

from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path

from .style import HIDDEN, INK, INPUT, MONOSPACED, MUTED, OUTPUT, RECURRENT, tint

LAYERS = {"x": INPUT, "h": HIDDEN, "o": OUTPUT}
DASHES = (0, (4, 2.5))
ARROW = {"arrowstyle": "-|>", "mutation_scale": 13, "lw": 1.8, "zorder": 2, "capstyle": "butt"}


def symbol(layer: str, step: object) -> str:
    """Return the mathematics for a layer at a time step, as in ``$h^{(t)}$``."""
    return f"${layer}^{{({step})}}$"


def flow(start, end) -> str:
    """Return the colour of an arrow, in all diagrams: it says what flows along it.

    Purple leads from one time step to another, or on from what came from there. Green leads
    into an output, blue out of an input. Everything else is ink. Points have no colour.
    """
    out_of, into = (getattr(node, "color", None) for node in (start, end))
    steps = {getattr(node, "step", None) for node in (start, end)} - {None}
    if out_of == RECURRENT or len(steps) == 2:
        return RECURRENT
    if into == OUTPUT:
        return OUTPUT
    return INPUT if out_of == INPUT else INK


class Sketch:
    """A white board, 7.5 inches wide, with the origin at the lower left.

    All lengths are inches, all text is in points, so that what is legible here is legible on
    the page. ``alt`` is the text alternative, which ``figures.show`` takes along. The methods that
    draw a node return it, for ``arrow``; its colour says what it is, and it can belong to a time
    step.
    """

    def __init__(self, height: float, alt: str):
        self.figure = plt.figure(figsize=(7.5, height), layout="none")
        self.figure.alt = alt
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, 7.5), ylim=(0, height), aspect="equal")
        self.ax.axis("off")

    def text(self, x, y, label, size=11, color=INK, **more) -> None:
        """Write text or mathematics; (x, y) is its middle."""
        look = {"ha": "center", "va": "center", "zorder": 5, "linespacing": 1.4}
        self.ax.text(x, y, label, size=size, color=color, **look | more)

    def circle(self, x, y, label="", color=HIDDEN, *, radius=0.31, step=None, **font) -> Patch:
        """Draw a unit or a layer."""
        return self._node(Circle((x, y), radius), x, y, label, color, step, **font)

    def box(self, x, y, label="", color=HIDDEN, *, width=0.9, height=0.5, step=None, **font):
        """Draw a rounded box centred on (x, y)."""
        corner, style = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.08"
        patch = FancyBboxPatch(corner, width, height, boxstyle=style)
        return self._node(patch, x, y, label, color, step, **font)

    def _node(self, patch, x, y, label, color, step, size=12, ink=INK, **font) -> Patch:
        """Put a node on the board, with what ``arrow`` and ``flow`` ask for."""
        patch.set(facecolor=tint(color), edgecolor=color, linewidth=1.6, zorder=3)
        patch.set_visible(label != "…")  # a gap
        patch.center, patch.color, patch.step = (x, y), color, step
        self.text(x, y, label, size, ink, multialignment="right", **font)
        return self.ax.add_patch(patch)

    def frame(self, x, y, width, height) -> Patch:
        """Draw a dashed frame with its lower left corner at (x, y)."""
        frame = self.box(x + width / 2, y + height / 2, color=MUTED, width=width, height=height)
        frame.set(facecolor="none", linestyle=(0, (3, 3)), linewidth=1.2, zorder=1)
        return frame

    def line(self, points, color=INK, *, width=1.8, dashed=False) -> None:
        """Draw a line through points, with square corners, behind the nodes."""
        look = {"solid_joinstyle": "miter", "solid_capstyle": "projecting", "zorder": 2}
        dashes = DASHES if dashed else "-"
        self.ax.plot(*zip(*points, strict=True), color=color, lw=width, ls=dashes, **look)

    def arrow(self, start, end, label="", *, via=(), color=None, dashed=False) -> Patch:
        """Draw an arrow between the borders of two nodes, or between points, coloured by ``flow``.

        ``label`` stands on the left of its way, at the middle; ``via`` are the points at which it
        turns; ``color`` is only for what ``flow`` cannot know.
        """
        color = color or flow(start, end)
        *corners, a, b = [getattr(start, "center", start), *via, getattr(end, "center", end)]
        if corners:
            self.line([*corners, a], color, dashed=dashed)
        ends = {"patchA": start if a == getattr(start, "center", None) else None}
        ends["patchB"] = end if isinstance(end, Patch) else None
        look = ARROW | {"color": color, "linestyle": DASHES if dashed else "-"}
        patch = FancyArrowPatch(a, b, shrinkA=0, shrinkB=1.5, **ends, **look)
        if label:
            way = np.subtract(b, a) / np.hypot(*np.subtract(b, a))
            x, y = np.add(a, b) / 2 + way[::-1] * (-0.3, 0.18)
            self.text(x, y, label, 12, color)
        return self.ax.add_patch(patch)

    def curve(self, points, color=INK) -> Patch:
        """Draw an arrow along a Bézier curve: its start, two control points, its end."""
        path = Path(list(points), [Path.MOVETO] + [Path.CURVE4] * 3)
        return self.ax.add_patch(FancyArrowPatch(path=path, color=color, **ARROW))

    def loop(self, node, label="") -> None:
        """Draw the edge from a node to itself on its right side: recurrence, folded."""
        x, y = node.center
        x += 0.89 * node.radius if isinstance(node, Circle) else node.get_width() / 2
        bow = ((0, 0.14), (0.65, 0.45), (0.65, -0.45), (0, -0.14))
        self.curve([(x + right, y + up) for right, up in bow], RECURRENT)
        self.text(x + 0.6, y, label, 12, RECURRENT, ha="left")

    def net(self, columns, rows, *, only=(), labels=(), back=None, weights=(), draw=()) -> dict:
        """Draw a net unfolded over its time steps, or folded where there is only one.

        An arrow leads from each layer up to the next one, and from each hidden layer to itself
        at the next step (folded: a loop). The nodes come back by (layer, step).

        columns : the x of each time step, from left to right. A step whose name begins with …
            stands for those that are not drawn.
        rows : the y of each layer, from the bottom up. The first letter of a layer says what it
            is: x an input, h hidden, o an output.
        only : the steps at which a layer has a node, if it has not one at every step.
        labels : functions of the step, what to write in the nodes of a layer if not the symbol.
        back : pairs of layers, the edges to the next step, if not from each hidden one to itself.
        weights : what stands on an edge, named by its two layers as in ``"xh"``.
        draw : what draws the nodes of a layer, if it is not ``circle``.
        """
        only, labels, weights, draw = map(dict, (only, labels, weights, draw))
        nodes, steps = {}, list(columns)
        hidden = [layer for layer in rows if layer[0] == "h"]
        full = [step for step in steps if str(step)[0] != "…"]
        for layer, y in rows.items():
            for step in only.get(layer, steps if layer in hidden else full):
                write = labels.get(layer, partial(symbol, layer))
                place = (columns[step], y, write(step) if step in full else "…")
                look = {"color": LAYERS.get(layer[0], INK), "step": step}
                nodes[layer, step] = draw.get(layer, self.circle)(*place, **look)
        back = [(layer, layer) for layer in hidden] if back is None else back
        edges = [((a, step), (b, step)) for step in full for a, b in pairwise(rows)]
        edges += [((a, step), (b, later)) for step, later in pairwise(steps) for a, b in back]
        for start, end in edges:
            if start in nodes and end in nodes:
                self.arrow(nodes[start], nodes[end], weights.get(start[0] + end[0], ""))
        if len(steps) == 1:
            for layer, _ in back:
                self.loop(nodes[layer, steps[0]], weights.get(2 * layer, ""))
        return nodes

    def grid(self, x, y, shades, color, *, cell=(0.24, 0.24), entries=None, form="") -> None:
        """Draw a matrix, the middle of its left border at (x, y).

        ``shades`` of shape (rows, columns) says how strong the tint of each cell is, 0 is white;
        ``entries`` are written in the cells in a format, muted in the white ones.
        """
        wide, high = cell
        for (i, j), shade in np.ndenumerate(shades):
            left, low = x + j * wide, y + (len(shades) / 2 - 1 - i) * high
            look = {"fc": tint(color, shade), "ec": tint(color, 0.7), "lw": 0.8, "zorder": 3}
            self.ax.add_patch(Rectangle((left, low), wide, high, **look))
            if entries is not None:
                ink, middle = INK if shade else MUTED, (left + wide / 2, low + high / 2)
                entry = f"{entries[i][j]:{form}}".replace("-", "−")
                self.text(*middle, entry, 9, ink, family=MONOSPACED)
