"""A figure that answers to sliders, and stays a figure where nobody can move them."""

import io
from collections.abc import Callable

import matplotlib.pyplot as plt
from IPython import get_ipython
from IPython.display import display
from ipywidgets import FloatSlider, IntSlider, VBox
from matplotlib.backends.backend_agg import FigureCanvasAgg

from .style import INCH, SHARPNESS, drawn, on_the_page


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
    sliders = {}
    for name, (low, high, step, start) in ranges.items():
        look = {"description": name, "layout": {"width": "30em"}}
        kind, form = (IntSlider, "d") if isinstance(step, int) else (FloatSlider, ".3f")
        sliders[name] = kind(start, min=low, max=high, step=step, readout_format=form, **look)
    fig.set_layout_engine("none")  # it takes half of the time, and nothing shall jump
    fig.set_dpi(INCH * SHARPNESS)
    canvas = FigureCanvasAgg(fig)

    def redraw(change):
        ax.clear()
        png = io.BytesIO()
        alt = draw(ax, **{name: control.value for name, control in sliders.items()})
        canvas.print_png(png, pil_kwargs={"compress_level": 1})
        slot.update(on_the_page(png.getvalue(), alt, fig), raw=True)

    for control in sliders.values():
        control.observe(redraw, "value")
    display(VBox(list(sliders.values())))


def somebody_is_there() -> bool:
    """Tell whether whoever runs the cell can answer a question; a test run cannot."""
    request = getattr(get_ipython(), "parent_header", {})
    return bool(request.get("content", {}).get("allow_stdin"))
