"""A drawing board for diagrams: nodes that know their border, and arrows that end on it."""

from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patches
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from helpers.figures.style import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT

COLORS = {
    "input": INPUT,
    "hidden": HIDDEN,
    "output": OUTPUT,
    "recurrent": RECURRENT,
    "plain": INK,
    "muted": MUTED,
}
Kind = Literal["input", "hidden", "output", "recurrent", "plain", "muted"]


def tint(color: str, strength: float = 0.16) -> tuple[float, float, float]:
    """Mix a colour with white; ``strength`` 0 is white, 1 the colour itself."""
    return tuple(1 - strength * (1 - c) for c in to_rgb(color))


class Sketch:
    """A white board, ``width`` x ``height`` inches, with the origin at the lower left.

    All lengths are inches, all text is in points, so that what is legible here is legible on
    the page. ``alt`` is the text alternative that ``figures.show`` takes along.
    """

    def __init__(self, width: float, height: float, alt: str):
        self.figure = plt.figure(figsize=(width, height), layout="none")
        self.figure.alt = alt
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.ax.axis("off")

    def circle(self, x, y, label="", kind: Kind = "hidden", radius=0.28, size=13) -> Patch:
        """Draw a unit or a layer at one time step; returns the node for ``arrow``."""
        patch = patches.Circle((x, y), radius)
        return self._node(patch, x, y, label, kind, size)

    def box(self, x, y, label="", kind: Kind = "hidden", width=0.9, height=0.5, size=13) -> Patch:
        """Draw a rounded box centred on (x, y); returns the node for ``arrow``."""
        style = patches.BoxStyle("Round", pad=0, rounding_size=0.08)
        patch = patches.FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle=style
        )
        return self._node(patch, x, y, label, kind, size)

    def _node(self, patch, x, y, label, kind, size):
        color = COLORS[kind]
        patch.set(facecolor=tint(color), edgecolor=color, linewidth=1.6, zorder=3)
        patch.center = (x, y)
        self.ax.add_patch(patch)
        if label:
            self.text(x, y, label, size=size)
        return patch

    def text(self, x, y, label, size=11, kind: Kind = "plain", ha="center", va="center", **more):
        """Write text or mathematics; the colour is that of ``kind``."""
        more = {"zorder": 5, "color": COLORS[kind]} | more
        return self.ax.text(x, y, label, size=size, ha=ha, va=va, **more)

    def arrow(
        self,
        start: Patch | tuple[float, float],
        end: Patch | tuple[float, float],
        kind: Kind = "plain",
        label: str = "",
        bend: float = 0.0,
        offset: tuple[float, float] = (0.0, 0.0),
        size: float = 12,
        dashed: bool = False,
    ) -> Patch:
        """Draw an arrow from border to border; ``bend`` > 0 curves it to its right.

        ``label`` stands at the middle of the straight line plus ``offset`` (inches).
        """
        points = [np.array(getattr(p, "center", p), float) for p in (start, end)]
        patch = patches.FancyArrowPatch(
            *points,
            patchA=start if isinstance(start, Patch) else None,
            patchB=end if isinstance(end, Patch) else None,
            shrinkA=0,
            shrinkB=1.5,
            arrowstyle="-|>",
            mutation_scale=13,
            connectionstyle=f"arc3,rad={bend}",
            color=COLORS[kind],
            linewidth=1.8,
            linestyle=(0, (4, 2.5)) if dashed else "-",
            zorder=2,
            joinstyle="miter",
            capstyle="butt",
        )
        self.ax.add_patch(patch)
        if label:
            self.text(*(points[0] + points[1]) / 2 + offset, label, size=size, kind=kind)
        return patch

    def loop(self, node: Patch, label="", kind: Kind = "recurrent", reach=0.75, size=12) -> Patch:
        """Draw the edge from a node to itself on its right side: recurrence, folded."""
        x, y = node.center
        is_box = isinstance(node, patches.FancyBboxPatch)
        half = node.get_width() / 2 if is_box else node.radius
        dy = 0.3 * min(node.get_height() if is_box else 2 * node.radius, 0.5)
        inset = half if is_box else 0.94 * half  # a circle's border lies further in off-centre
        out, back = np.array([x + inset, y + dy]), np.array([x + inset, y - dy])
        path = patches.Path(
            [out, (out[0] + reach, y + 3.2 * dy), (back[0] + reach, y - 3.2 * dy), back],
            [patches.Path.MOVETO] + [patches.Path.CURVE4] * 3,
        )
        patch = patches.FancyArrowPatch(
            path=path,
            arrowstyle="-|>",
            mutation_scale=13,
            color=COLORS[kind],
            linewidth=1.8,
            zorder=2,
        )
        self.ax.add_patch(patch)
        if label:
            self.text(x + half + 0.8 * reach + 0.05, y, label, size=size, kind=kind, ha="left")
        return patch

    def frame(self, x, y, width, height, label="", kind: Kind = "muted") -> Patch:
        """Draw a dashed frame with its lower left corner at (x, y) and a title inside its top."""
        patch = patches.FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle=patches.BoxStyle("Round", pad=0, rounding_size=0.12),
            facecolor="none",
            edgecolor=COLORS[kind],
            linestyle=(0, (3, 3)),
            linewidth=1.2,
            zorder=1,
        )
        self.ax.add_patch(patch)
        if label:
            self.text(x + width / 2, y + height - 0.18, label, size=10.5, kind=kind)
        return patch
