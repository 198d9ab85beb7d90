"""What a learner hands in: calling it safely, reading it as numbers, telling it in few words."""

import ast
import ctypes
import inspect
import linecache
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from numbers import Number
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch

from helpers.language import say

TOLERANCE = 1e-5  # how far numbers may differ, relative and absolute
LIMIT = 15.0  # seconds that the learner's code may take in one check, all calls together
OURS = (str(Path(__file__).parents[1]), sys.prefix, sys.base_prefix)  # where no learner writes
_end = float("inf")  # when the check that is under way has to be over


class Hint(Exception):
    """What is wrong with an answer; `values` fill the braces of the text."""

    def __init__(self, text: str, /, **values: Any):
        super().__init__(say(text, **values))


class Waiting(Exception):
    """The answer is still the stub."""


class _Stop(BaseException):
    """Thrown into a function that does not end."""


class Thing(str):
    """The kind of a thing that is equal to itself only: a generator, a module, an optimizer."""

    __repr__ = str.__str__


def start_clock() -> None:
    """Begin a check: from now on all calls together have `LIMIT` seconds."""
    global _end
    _end = time.monotonic() + LIMIT


def call(function: Callable, *arguments: Any) -> Any:
    """Call a learner's function and return what it returns, or raise what it raises.

    Raises
    ------
    Hint
        If it cannot be called, exits, or has not finished when the time of this check is over.
    Waiting
        If it returns `...`.
    """
    if not callable(function):
        raise Hint("A function is expected here, this is {kind}.", kind=kind(function))
    box: dict[str, Any] = {}

    def run():
        try:
            box["result"] = function(*arguments)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.0, _end - time.monotonic()))
    if thread.is_alive():
        # The only portable way to end Python code that loops: an exception from outside.
        stop = ctypes.c_ulong(thread.ident), ctypes.py_object(_Stop)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(*stop)
        text = "Your function had not finished after {n:g} seconds: an endless loop, or too slow."
        raise Hint(text, n=LIMIT)
    error = box.get("error")
    if isinstance(error, Exception):
        raise error
    if error is not None:
        raise Hint("Your function ended the program ({kind}).", kind=type(error).__name__)
    if box["result"] is ...:
        raise Waiting
    return box["result"]


def is_stub(answer: Any) -> bool:
    """Tell whether an answer is missing, or a function whose body is nothing but dots."""
    if answer is None or answer is ...:
        return True
    if not inspect.isfunction(answer):
        return False
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(answer))).body[0].body
    except (OSError, SyntaxError, AttributeError):  # a lambda, or code without a file
        return False
    return all(isinstance(getattr(node, "value", None), ast.Constant) for node in body) and any(
        node.value.value is ... for node in body
    )


def numbers(value: Any) -> Any:
    """Return an answer in one form: float64 arrays, rows of equal length stacked to one array.

    Tensors, arrays, numbers of any kind and lists or tuples of them become arrays (rows of unequal
    length a tuple of arrays), the values of a dictionary and the parameters of a module too;
    anything else stays what it is.
    """
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to_dense().resolve_conj()
        value = (value if value.is_complex() else value.double()).numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biufO":
        return value
    if isinstance(value, Number | np.generic | np.ndarray):
        try:
            return np.asarray(value, dtype=float)
        except (TypeError, ValueError, OverflowError):
            return value
    if isinstance(value, Mapping):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        items = tuple(map(numbers, value))
        arrays = all(isinstance(item, np.ndarray) and item.dtype == float for item in items)
        same = arrays and len({item.shape for item in items}) <= 1
        return np.array(items, dtype=float) if same else items
    own = type(value).__eq__ is object.__eq__ and value is not None
    return Thing(kind(value)) if own and not isinstance(value, type | FunctionType) else value


def agree(one: Any, other: Any, tolerance: float = TOLERANCE) -> bool:
    """Tell whether two things that went through `numbers` are the same, numbers to `tolerance`."""
    array = np.ndarray | np.generic  # a row of an array of numbers is no array
    if isinstance(one, array) and isinstance(other, array):
        if one.size == other.size == 1 and 0 in (one.ndim, other.ndim):
            one, other = one.reshape(()), other.reshape(())  # one number, in a box or not
        return one.shape == other.shape and bool(
            np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[k], other[k], tolerance) for k in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(lambda a, b: agree(a, b, tolerance), one, other))
    return type(one) is type(other) and not isinstance(one, array) and bool(one == other)


def tell(value: Any) -> str:
    """Return an argument or a result in few words: small ones whole, large ones by their shape."""
    if isinstance(value, torch.nn.Module):
        return kind(value)
    value = dict(value) if isinstance(value, dict) else numbers(value)
    if isinstance(value, np.ndarray):
        if value.size <= 8:
            form = {"float_kind": "{:.5g}".format}
            return short(np.array2string(value, separator=", ", formatter=form), 100)
        return say("numbers of shape {shape}", shape=value.shape)
    return short(repr(value), 100)


def difference(wanted: Any, came: Any) -> str:
    """Say where two things that went through `numbers` differ first."""
    if isinstance(wanted, np.ndarray) and isinstance(came, np.ndarray):
        if wanted.shape != came.shape:
            return say("shape {a} is wanted, {b} came", a=wanted.shape, b=came.shape)
        if wanted.size > 8:
            apart = ~np.isclose(wanted, came, TOLERANCE, TOLERANCE, equal_nan=True)
            at = tuple(int(i[0]) for i in apart.nonzero())
            text = "at {at} {a:.7g} is wanted, {b:.7g} came"
            return say(text, at=list(at), a=wanted[at], b=came[at])
    if isinstance(wanted, tuple) and isinstance(came, tuple):
        if len(wanted) != len(came):
            return say("{a} things are wanted, {b} came", a=len(wanted), b=len(came))
        k = next(k for k, w in enumerate(wanted) if not agree(w, came[k]))
        return say("in [{k}] {what}", k=k, what=difference(wanted[k], came[k]))
    return say("{a} is wanted, {b} came", a=tell(wanted), b=tell(came))


def short(value: Any, most: int = 200) -> str:
    """Return what somebody else wrote on one line of at most `most` characters."""
    text = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else str(value)
    return textwrap.shorten(text, most, placeholder=" …") or text[:most]


def kind(value: Any) -> str:
    """Name what a thing is, with its shape where it has one."""
    name, shape = type(value).__name__, getattr(value, "shape", None)
    what = say("an {name}" if name[0] in "aeiouAEIOU" else "a {name}", name=name)
    sized = isinstance(shape, tuple)
    return say("{what} of shape {shape}", what=what, shape=tuple(shape)) if sized else what


def place(error: BaseException) -> str:
    """Say what an error is, and the last line of the learner's own code that it came through."""
    line = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(OURS) and not frame.filename.startswith("<frozen"):
            line = frame.line or linecache.getline(frame.filename, frame.lineno)
            break
    text = " in `{line}`: {error}" if line else ": {error}"
    return say(text, line=short(line, 100), error=short(error))
