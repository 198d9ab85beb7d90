"""The look of the course: four colours with fixed meanings, one type size, and ``show``."""

import base64
import html
import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

# One colour for one meaning in all chapters. Chosen so that each pair stays apart for readers
# who do not see red or green (tests/test_figures.py simulates it).
INPUT = "#0072B2"  # blue: the sequence that goes in, x
HIDDEN = "#E08214"  # orange: the state that the net keeps, h and C
OUTPUT = "#009E73"  # green: what comes out, o, and the targets y
RECURRENT = "#8A1C7C"  # purple: the edge from one time step to the next
INK = "#222222"  # text, axes, everything without a role
MUTED = "#767676"  # what stands in the background, still legible on white

INCH = 96  # CSS pixels; a figure 7.5 inches wide is 720 pixels wide on the page
SHARPNESS = 2  # image pixels per CSS pixel, for high-resolution screens and print

mpl.rcParams.update(
    {
        "figure.figsize": (7.5, 3.2),
        "figure.dpi": INCH,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "white",
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "mathtext.fontset": "cm",  # the letters of the formulas in the prose
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": mpl.cycler(color=[INPUT, HIDDEN, OUTPUT, RECURRENT, INK]),
        "lines.linewidth": 2,
        "axes.grid": True,
        "grid.color": "#E6E6E6",
        "axes.axisbelow": True,
    }
)


def show(fig: Figure, alt: str | None = None) -> None:
    """Put a figure on the page together with its text alternative, and close it.

    The figure becomes an ``<img>`` in HTML: JupyterLab drops the ``alt`` of an ``image/png``.

    Args:
        fig: the figure; its size in inches times 96 is its width on the page in pixels.
        alt: what the figure says to somebody who does not see it, in one to three sentences.
            Diagrams of this package bring their own as ``fig.alt``.

    Raises:
        ValueError: if there is neither ``alt`` nor ``fig.alt``.
    """
    alt = alt or getattr(fig, "alt", None)
    if not alt:
        raise ValueError("figures.show needs alt=...: what does the figure say, in words?")
    display(on_the_page(drawn(fig), alt, fig), raw=True)
    plt.close(fig)


def drawn(fig: Figure) -> bytes:
    """Return a figure as a PNG that is small enough to be stored in a notebook."""
    pixels, png = io.BytesIO(), io.BytesIO()
    fig.savefig(pixels, format="png", dpi=INCH * SHARPNESS)
    _with_palette(Image.open(pixels).convert("RGB")).save(png, format="png", optimize=True)
    return png.getvalue()


def on_the_page(png: bytes, alt: str, fig: Figure) -> dict[str, str]:
    """Return a picture of a figure and its text alternative, as raw display data."""
    pixels = base64.b64encode(png).decode()
    width = round(fig.get_figwidth() * INCH)
    img = f'<img alt="{html.escape(alt)}" width="{width}" src="data:image/png;base64,{pixels}">'
    return {"text/html": img, "text/plain": alt}


def _with_palette(image: Image.Image) -> Image.Image:
    """Reduce an RGB image to 256 colours, a third of the size in a notebook.

    Areas of one colour keep it to the bit; what softens the edges is off by at most 1/15 of the
    scale. Pillow alone would turn white to a pale grey, because it takes means of similar colours.
    """
    rgb = np.asarray(image, dtype=int)  # (height, width, 3)
    codes, where, counts = np.unique(
        rgb @ [1 << 16, 1 << 8, 1], return_inverse=True, return_counts=True
    )
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)  # (colours, 3)
    frequent = colors[np.argsort(-counts, kind="stable")[:32]]
    octree = image.quantize(224, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = np.concatenate([frequent, np.reshape(octree.getpalette(), (-1, 3))])
    nearest = ((colors[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1)
    reduced = Image.fromarray(nearest[where].astype(np.uint8).reshape(rgb.shape[:2]))
    reduced.putpalette(palette.astype(np.uint8).tobytes())
    return reduced
