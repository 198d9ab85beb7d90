"""Instant feedback on exercises: waiting, a hint, or right. A check never raises.

A check is a function that looks at an answer and returns a ``str`` (what a right answer showed)
or raises ``Hint`` (what the answer did, and so what its likely mistake is). The decorator
``exercise`` turns it into something a learner can call with anything at all.
"""

import copy
import ctypes
import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

TIME_LIMIT = 10.0  # seconds for one call of a learner's function


class Hint(Exception):
    """Raised by a check on a wrong answer; the message names the likely mistake."""


class _Waiting(Exception):
    """Raised when the answer is still the stub."""


class _Stop(BaseException):
    """Thrown into a learner's function that does not end."""


@dataclass(frozen=True)
class Verdict:
    """What a check found; its ``repr`` is what the learner reads below the cell."""

    state: Literal["waiting", "hint", "right"]
    message: str

    def __repr__(self) -> str:
        mark = {"waiting": "…", "hint": "✗", "right": "✓"}[self.state]
        return f"{mark} {self.message}"


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Make a check calm: it answers with a ``Verdict`` whatever it is given.

    An answer that is missing, ``None`` or ``...`` (or a function that returns these) is a stub
    that waits. An exception in the learner's code becomes a hint that names it.
    """

    @functools.wraps(check)
    def calm(*answers: Any) -> Verdict:
        wanted = len(inspect.signature(check).parameters)
        if len(answers) != wanted:
            return Verdict("hint", f"This check takes {wanted} answer(s), it got {len(answers)}.")
        try:
            if any(a is None or a is ... for a in answers):
                raise _Waiting
            with torch.random.fork_rng(devices=[]):  # what comes after the check stays the same
                return Verdict("right", check(*answers))
        except _Waiting:
            return Verdict("waiting", "Waiting for your answer: replace the dots and run again.")
        except Hint as hint:
            return Verdict("hint", str(hint))
        except Exception as error:
            kind = type(error).__name__
            return Verdict("hint", f"Your answer could not be checked: {kind}: {error}")

    return calm


def call(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a learner's function on copies of the arguments, within ``TIME_LIMIT`` seconds.

    Raises:
        Hint: if it is not a function, raises, does not end, or changes its input.
    """
    if not callable(function):
        raise Hint(f"A function is expected here, this is of type {type(function).__name__}.")
    name = getattr(function, "__name__", "your function")
    mine, kw = copy.deepcopy((args, kwargs))
    box: dict[str, Any] = {}

    def run():
        try:
            box["result"] = function(*mine, **kw)
        except _Stop:
            box["stopped"] = True
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIME_LIMIT)
    if thread.is_alive():
        # The only portable way to end Python code that loops: an exception from outside.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(_Stop)
        )
        raise Hint(f"{name} had not finished after {TIME_LIMIT:g} seconds; does a loop never end?")
    if "error" in box:
        error = box["error"]
        raise Hint(f"{name} stopped with {type(error).__name__}: {error}")
    if not _same((mine, kw), (args, kwargs)):
        raise Hint(f"{name} changes the input that it was given; work on a copy.")
    result = box.get("result")
    if result is None or result is ...:
        raise _Waiting
    return result


def tensor(value: Any, shape: tuple[int, ...] | None = None, what: str = "The answer"):
    """Return ``value`` as a float64 tensor on the CPU, of the given shape.

    Raises:
        Hint: if it is not numeric or has another shape.
    """
    rows = value if isinstance(value, list | tuple) else [value]
    try:
        if any(isinstance(row, np.ndarray) for row in rows):
            # A copy: torch refuses a reversed view, and warns of a read-only one.
            value = np.array(value, order="C")
        out = torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise Hint(f"{what} should be numbers, this is a {type(value).__name__}.") from None
    if shape is not None and tuple(out.shape) != tuple(shape):
        raise Hint(f"{what} has shape {tuple(out.shape)}; expected is {tuple(shape)}.")
    return out


def close(a: Any, b: Any, tol: float = 1e-5) -> bool:
    """Tell whether two arrays have one shape and agree to ``tol`` (relative and absolute)."""
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    return a.shape == b.shape and torch.allclose(a, b, rtol=tol, atol=tol)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, torch.nn.Module):
        return _same(dict(a.state_dict()), dict(b.state_dict()))
    return not isinstance(a, int | float | str) or a == b
