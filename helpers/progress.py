"""One line that moves while something runs and leaves nothing behind when it is done.

In a terminal `tqdm` draws it as always, on stderr. In a notebook its carriage returns would be
stored with the outputs, so there the line lives in one display slot, which is overwritten.
"""

import io

from IPython import get_ipython
from IPython.display import display
from tqdm import tqdm


class Progress(tqdm):
    """A `tqdm` bar for notebooks and terminals; every argument of `tqdm` works.

    Attributes
    ----------
    final : str
        What replaces the bar in a notebook once it is closed, a history table, say. Empty at
        first, and so after an error. A terminal shows nothing then.
    """

    monitor_interval = 0  # no second thread: from there the line could land under another cell

    def __init__(self, *args, **kwargs):
        self.final, self._slot = "", None
        self._notebook = getattr(get_ipython(), "kernel", None) is not None  # no terminal has one
        kwargs = {"mininterval": 0.2, "miniters": 1, "leave": False} | kwargs
        if self._notebook:
            kwargs = {"ncols": 80} | kwargs | {"file": io.StringIO()}  # nothing goes to stderr
        super().__init__(*args, **kwargs)

    def display(self, msg=None, pos=None):
        """Draw the line: `msg`, or the state of the bar. Empty is what `close` leaves behind."""
        if not self._notebook:
            return super().display(msg, pos)
        text = str(self) if msg is None else msg or self.final
        if self._slot is None:
            self._slot = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._slot.update({"text/plain": text}, raw=True)
        return True
