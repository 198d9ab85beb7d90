"""One line that moves while something runs and leaves nothing behind when it is done.

`tqdm` does the counting, the estimate and the rate limit. In a terminal it draws as always, on
stderr. In a notebook its carriage returns would be stored with the outputs, so there the line
lives in one display slot, which is overwritten in place and, at the end, by the text that is to
stay.
"""

import io

from IPython import get_ipython
from IPython.display import display
from tqdm import tqdm


def in_notebook() -> bool:
    """Tell whether a Jupyter kernel runs this code (a terminal, IPython's too, is none)."""
    return getattr(get_ipython(), "kernel", None) is not None


def _plain(text: str) -> dict[str, str]:
    """Return `text` as raw display data: shown in a fixed-width font, without quotes."""
    return {"text/plain": text}


class Progress(tqdm):
    """A `tqdm` bar for notebooks and terminals; every argument of `tqdm` works.

    Set `final` to the text that replaces the bar in a notebook once it is closed (a history
    table, say). Without it the slot is left empty, also after an error. In a terminal the bar
    vanishes and `final` is not printed.

        with Progress(total=len(batches), desc="training") as progress:
            for batch in batches:
                ...
                progress.update()
            progress.final = "done"
    """

    monitor_interval = 0  # no second thread: from there the line could land under another cell

    def __init__(self, *args, **kwargs):
        """Open the bar and, unless it is disabled, show it."""
        self.final = ""
        self._slot = None
        self._notebook = in_notebook()
        kwargs = {"mininterval": 0.2, "miniters": 1, "leave": False} | kwargs
        if self._notebook:
            kwargs = {"ncols": 80} | kwargs | {"file": io.StringIO()}  # nothing goes to stderr
        super().__init__(*args, **kwargs)

    def display(self, msg=None, pos=None):
        """Draw the line: `msg`, or the state of the bar."""
        if not self._notebook:
            return super().display(msg, pos)
        text = _plain(str(self) if msg is None else msg)
        if self._slot is None:
            self._slot = display(text, raw=True, display_id=True)
        else:
            self._slot.update(text, raw=True)
        return True

    def close(self):
        """Finish: the slot keeps `final`, a terminal nothing. Closing twice is harmless."""
        if not self._notebook:
            super().close()
        elif not getattr(self, "disable", True):
            self.disable = True
            self._decr_instances(self)
            self.display(self.final)
