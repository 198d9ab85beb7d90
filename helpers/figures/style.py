"""The look of the course: four colours with fixed meanings, one type size; ``show``, ``slider``."""

import base64
import html
import io
from collections.abc import Callable

import matplotlib as mpl
import matplotlib.pyplot as plt
from IPython import get_ipython
from IPython.display import display
from ipywidgets import FloatSlider, IntSlider, VBox
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
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
MONOSPACED = "DejaVu Sans Mono"

mpl.rc("figure", figsize=(7.5, 3.2), dpi=INCH)
mpl.rc("figure.constrained_layout", use=True)
mpl.rc("font", family="DejaVu Sans", size=11)
mpl.rc("mathtext", fontset="cm")  # the letters of the formulas in the prose
mpl.rc("text", color=INK)
mpl.rc("axes", titlesize=12, grid=True, axisbelow=True, edgecolor=INK, labelcolor=INK)
mpl.rc("axes", prop_cycle=mpl.cycler(color=[INPUT, HIDDEN, OUTPUT, RECURRENT, INK]))
mpl.rc("axes.spines", top=False, right=False)
mpl.rc(("xtick", "ytick"), labelsize=10, color=INK)
mpl.rc("grid", color="#E6E6E6")
mpl.rc("lines", linewidth=2)
mpl.rc("legend", fontsize=10, frameon=False)


def tint(color: str, strength: float = 0.16) -> tuple[float, float, float]:
    """Mix a colour with white; ``strength`` 0 is white, 1 the colour itself."""
    return tuple(1 - strength * (1 - c) for c in to_rgb(color))


def show(fig: Figure, alt: str | None = None) -> None:
    """Put a figure on the page together with its text alternative, and close it.

    The figure becomes an ``<img>`` in HTML: JupyterLab drops the ``alt`` of an ``image/png``.

    Parameters
    ----------
    fig : Figure
        Its size in inches times 96 is its size on the page in pixels.
    alt : str, optional
        What the figure says to somebody who does not see it, in one to three sentences. The
        diagrams of this package bring their own as ``fig.alt``.

    Raises
    ------
    ValueError
        If there is neither ``alt`` nor ``fig.alt``.
    """
    alt = alt or getattr(fig, "alt", None)
    if not alt:
        raise ValueError("figures.show needs alt=...: what does the figure say, in words?")
    display(on_the_page(drawn(fig), alt, fig), raw=True)
    plt.close(fig)


def drawn(fig: Figure) -> bytes:
    """Return a figure as a PNG of 256 colours, a third of the size in a notebook."""
    pixels, png = io.BytesIO(), io.BytesIO()
    fig.savefig(pixels, format="png", dpi=INCH * SHARPNESS)
    # The other methods of Pillow take means of like colours: white turns grey, or edges coarse.
    reduced = Image.open(pixels).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    reduced.save(png, format="png", optimize=True)
    return png.getvalue()


def on_the_page(png: bytes, alt: str, fig: Figure) -> dict[str, str]:
    """Return a picture of a figure and its text alternative, as raw display data."""
    pixels = base64.b64encode(png).decode()
    width = round(fig.get_figwidth() * INCH)
    img = f'<img alt="{html.escape(alt)}" width="{width}" src="data:image/png;base64,{pixels}">'
    return {"text/html": img, "text/plain": alt}


def slider(draw: Callable[..., str], size: tuple[float, float] = (7.5, 3.2), **ranges) -> None:
    """Show what ``draw(ax, name=start, ...)`` draws and, to a person, a slider for each name.

    The figure alone is what is stored, printed and read aloud. Moving a slider draws it anew.

    Parameters
    ----------
    draw : function
        Draws on the axes that it is given, and returns the text alternative.
    size : (float, float)
        Width and height of the figure in inches.
    **ranges : (float, float, float, float)
        For each argument of ``draw`` the lowest value, the highest, the step and the start; a
        step of type ``int`` makes it a whole number.
    """
    fig, ax = plt.subplots(figsize=size)
    alt = draw(ax, **{name: start for name, (*_, start) in ranges.items()})
    slot = display(on_the_page(drawn(fig), alt, fig), raw=True, display_id=True)
    plt.close(fig)
    if not somebody_is_there():
        return
    fig.set_layout_engine("none")  # it takes half of the time, and nothing shall jump
    fig.set_dpi(INCH * SHARPNESS)
    canvas, sliders = FigureCanvasAgg(fig), {}

    def redraw(change):
        ax.clear()
        png = io.BytesIO()
        alt = draw(ax, **{name: control.value for name, control in sliders.items()})
        canvas.print_png(png, pil_kwargs={"compress_level": 1})
        slot.update(on_the_page(png.getvalue(), alt, fig), raw=True)

    for name, (low, high, step, start) in ranges.items():
        look = {"description": name, "layout": {"width": "30em"}}
        kind, form = (IntSlider, "d") if isinstance(step, int) else (FloatSlider, ".3f")
        sliders[name] = kind(start, min=low, max=high, step=step, readout_format=form, **look)
        sliders[name].observe(redraw, "value")
    display(VBox(list(sliders.values())))


def somebody_is_there() -> bool:
    """Tell whether whoever runs the cell can answer a question; a test run cannot."""
    request = getattr(get_ipython(), "parent_header", {})
    return bool(request.get("content", {}).get("allow_stdin"))
