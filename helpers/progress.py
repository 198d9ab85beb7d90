"""What a person sees who waits: a line that moves, and leaves nothing behind when all is done.

In a terminal `tqdm` draws it as always, on stderr. In a notebook its carriage returns would be
stored with the outputs, so there the line lives in one display slot, which is overwritten.
"""

import io
from contextlib import suppress

from filelock import FileLock, Timeout
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


def hold(path, seconds=600):
    """Return a lock file for `with`; who waits is told for what, and gets a TimeoutError."""
    lock, why = FileLock(path), f"another process holds {path}. Is there none? Delete it."
    for patience in (5, seconds):
        with suppress(Timeout):
            return lock.acquire(patience)
        print(f"Waited {patience} s: {why}", flush=True)
    raise TimeoutError(why)
