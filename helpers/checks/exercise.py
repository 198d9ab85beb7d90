"""The record of an exercise: all that is to be said about it, in one place."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from helpers.checks import answers, done, engine
from helpers.language import say


@dataclass(frozen=True)
class Verdict:
    """What a check found: `state` is "waiting", "hint" or "right"; its `repr` is what is read."""

    state: str
    message: str

    def __repr__(self) -> str:
        return f"{ {'waiting': '…', 'hint': '✗', 'right': '✓'}[self.state] } {self.message}"


SIZES = (  # one of all, one step, time = batch, batch > time, what divides and what does not
    *((2, 3, 2), (1, 1, 1), (4, 4, 2), (5, 3, 6), (1, 7, 3), (7, 1, 4)),
    *((3, 11, 3), (3, 3, 3), (2, 60, 7)),
)


def each(make: Callable, *sizes: tuple) -> Callable[[], list[tuple]]:
    """Return what makes a case of each of these sizes, anew at each call."""
    return lambda: [make(*size) for size in sizes or SIZES]


def normal(*shape: int) -> torch.Tensor:
    """Draw normal numbers: float64 where the sizes add up to an odd number, float32 elsewhere."""
    return torch.randn(shape, dtype=(torch.float32, torch.float64)[sum(shape) % 2])


def scrambled(x: torch.Tensor) -> torch.Tensor:
    """Give a tensor the shape that exchanging its first two axes would give it, by `reshape`."""
    return x.reshape(x.shape[1], x.shape[0], *x.shape[2:])


@dataclass(kw_only=True, eq=False)
class Exercise:
    """An exercise; called with a learner's answer it returns a `Verdict`.

    Parameters
    ----------
    right
        The answer of the folded solution, a function or a value.
    says
        What a right answer showed, if no judge says it.
    cases
        Makes the arguments of each call anew, many sizes; needed unless there is a judge.
    mistakes
        Pairs of a wrong answer and its hint: a function or a value, like `right`, or a dictionary
        of keyword arguments with which `right` goes wrong.
    parts
        Names of the things that the answer returns, where they are several.
    compared
        `compared(result, *arguments)` after the call is what counts instead of the result, for
        functions that change what they are given, or whose result is to be used.
    judge
        Judges what has no cases (a number, a trained net): raises `Hint`, or returns None or what
        is said instead of `says`.
    takes
        How many answers the check takes.
    """

    right: Any
    says: str = ""
    cases: Callable[[], Iterable[tuple]] | None = None
    mistakes: Sequence[tuple[Any, str]] = ()
    parts: Sequence[str] = ()
    compared: Callable | None = None
    judge: Callable[..., str | None] | None = None
    takes: int = 1

    def __post_init__(self):
        """Make functions of mistakes that are arguments, and let the engine judge functions."""
        if callable(self.right):
            self.mistakes = [
                (partial(self.right, **wrong) if isinstance(wrong, dict) else wrong, hint)
                for wrong, hint in self.mistakes
            ]
        self.judge = self.judge or partial(engine.judge_function, self)

    def __call__(self, *given: Any) -> Verdict:
        """Judge an answer. Never raises, and leaves the notebook's random numbers alone."""
        if len(given) != self.takes:
            text = "This check takes {n} answer(s), it got {m}."
            return Verdict("hint", say(text, n=self.takes, m=len(given)))
        answers.start_clock()
        drawn = random.getstate(), np.random.get_state()  # noqa: NPY002
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # for nets this small a second one only waits
        try:
            if any(map(answers.is_stub, given)):
                raise answers.Waiting
            with torch.random.fork_rng(devices=[]):
                said = self.judge(*given)
                done.note(self)
                return Verdict("right", said or say(self.says))
        except answers.Waiting:
            text = "Waiting for your answer: replace the dots and run again."
            return Verdict("waiting", say(text))
        except answers.Hint as hint:
            return Verdict("hint", str(hint))
        except Exception as error:
            text = "Your answer stopped{error}"
            return Verdict("hint", say(text, error=answers.place(error)))
        finally:
            torch.set_num_threads(threads)
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])  # noqa: NPY002
