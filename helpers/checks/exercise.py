"""The record of an exercise: all that is to be said about it, in one place."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from helpers.checks import answers, done, engine


@dataclass(frozen=True)
class Verdict:
    """What a check found: `state` is "waiting", "hint" or "right"; its `repr` is what is read."""

    state: str
    message: str

    def __repr__(self) -> str:
        return f"{ {'waiting': '…', 'hint': '✗', 'right': '✓'}[self.state] } {self.message}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """An exercise; called with a learner's answer it returns a `Verdict`.

    Parameters
    ----------
    right
        The answer of the folded solution, a function or a value.
    says
        What a right answer showed.
    cases
        Makes the arguments of each call anew, many sizes; None where the answer is a value.
    mistakes
        Pairs of a wrong answer (a function or a value, like `right`) and its hint.
    parts
        Names of the things that the answer returns, where they are several.
    compared
        `compared(result, *arguments)` after the call is what counts instead of the result, for
        functions that change what they are given, or whose result is to be used.
    tolerance
        How far numbers may differ, relative and absolute.
    otherwise
        The hint for a wrong value that is none of the mistakes.
    judge
        Judges what has no cases (a trained net, a pair of sentences): raises `Hint`, or returns
        None or what is said instead of `says`.
    takes
        How many answers the check takes.
    """

    right: Any
    says: str
    cases: Callable[[], Iterable[tuple]] | None = None
    mistakes: Sequence[tuple[Any, str]] = ()
    parts: Sequence[str] = ()
    compared: Callable | None = None
    tolerance: float = 1e-5
    otherwise: str = "This is not it yet."
    judge: Callable[..., str | None] | None = None
    takes: int = 1

    def __call__(self, *given: Any) -> Verdict:
        """Judge an answer. Never raises, and leaves the notebook's random numbers alone."""
        if len(given) != self.takes:
            text = f"This check takes {self.takes} answer(s), it got {len(given)}."
            return Verdict("hint", text)
        answers.start_clock()
        drawn = random.getstate(), np.random.get_state()  # noqa: NPY002
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # for nets this small a second one only waits
        try:
            if any(map(answers.is_stub, given)):
                raise answers.Waiting
            with torch.random.fork_rng(devices=[]):
                if self.judge:
                    said = self.judge(*given)
                else:
                    said = (engine.judge_function if self.cases else engine.judge_value)(
                        self, *given
                    )
                done.note(self)
                return Verdict("right", said or self.says)
        except answers.Waiting:
            return Verdict("waiting", "Waiting for your answer: replace the dots and run again.")
        except answers.Hint as hint:
            return Verdict("hint", str(hint))
        except Exception as error:
            where = answers.place(error)
            return Verdict("hint", f"Your answer stopped{where}: {answers.short(error)}")
        finally:
            torch.set_num_threads(threads)
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])  # noqa: NPY002
