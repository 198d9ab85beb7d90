"""One engine for all exercises: an answer is judged by the record of its exercise.

The answer, the right answer and each mistake are run on the same cases. What agrees with the right
answer everywhere is right; otherwise the mistake is named that the answer agrees with wherever that
mistake shows; where there is none, the first case that differs is shown.
"""

import contextlib
import functools
import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from helpers.checks.answers import Hint, Waiting, agree, call, difference, numbers, place, tell
from helpers.language import say


@dataclass(frozen=True)
class Outcome:
    """What one call came to: a value or an error, and whether the arguments were changed."""

    value: Any = None
    error: Exception | None = None
    changed: bool = False

    def agrees(self, other: "Outcome") -> bool:
        """Tell whether two outcomes are the same, errors by their type."""
        if self.error or other.error:
            return type(self.error) is type(other.error)
        return self.changed == other.changed and agree(self.value, other.value)

    def parts(self, n: int) -> list | None:
        """Return the `n` things that came back, or None if they are not `n`."""
        whole = isinstance(self.value, tuple) or np.ndim(self.value) > 0
        return list(self.value) if whole and len(self.value) == n else None


def judge_function(exercise, function: Callable) -> None:
    """Raise the hint of a wrong function."""
    mine = outcomes(exercise, function)
    with contextlib.redirect_stdout(io.StringIO()):  # what it prints has been seen
        again = outcomes(exercise, function, backwards=True)
    right = known_outcomes(exercise, exercise.right)
    if not all(m.agrees(a) for m, a in zip(mine, again, strict=True)):
        raise Hint(
            "Asked twice with the same input, your function gave two answers: it keeps something "
            "from call to call (a default argument, a global, a cache?)."
        )
    wrong = [k for k, (m, r) in enumerate(zip(mine, right, strict=True)) if not m.agrees(r)]
    if not wrong:
        return
    for mistake, hint in exercise.mistakes:
        if is_mistake(exercise, mine, known_outcomes(exercise, mistake), right):
            raise Hint(hint)
    k = wrong[0]
    raise Hint("{text}", text=shown(exercise, new_cases(exercise)[k], mine[k], right[k]))


def new_cases(exercise) -> list[tuple]:
    """Return the arguments of all calls, made anew, always the same."""
    torch.manual_seed(0)
    return list(exercise.cases())


def outcomes(exercise, function: Callable, backwards: bool = False) -> list[Outcome]:
    """Call a function on every case, from the last to the first if `backwards`."""
    cases, untouched = new_cases(exercise), new_cases(exercise)
    found = [Outcome()] * len(cases)
    for k in range(len(cases))[:: -1 if backwards else 1]:
        torch.manual_seed(k)
        try:
            result = call(function, *cases[k])
        except (Hint, Waiting):
            raise
        except Exception as error:
            found[k] = Outcome(error=error)
            continue
        if exercise.compared and not (result is None and exercise.parts):
            result = exercise.compared(result, *cases[k])
        if result is None:
            raise Hint("Your function returns nothing (None): end it with `return`.")
        changed = not agree(numbers(cases[k]), numbers(untouched[k]), 0)
        found[k] = Outcome(numbers(result), changed=changed)
    return found


known_outcomes = functools.cache(outcomes)  # of the right answer and of the mistakes


def is_mistake(exercise, mine: list[Outcome], theirs: list[Outcome], right: list[Outcome]) -> bool:
    """Tell whether an answer, or some of its parts, is a mistake in all cases that can tell."""
    cases = list(zip(mine, theirs, right, strict=True))
    told = [m.agrees(t) for m, t, r in cases if not t.agrees(r)]
    if all(told):
        return True
    n = len(exercise.parts)
    split = [[outcome.parts(n) for outcome in case] for case in cases]
    if any(parts is None for case in split for parts in case):
        return False
    told = [agree(m[p], t[p]) for m, t, r in split for p in range(n) if not agree(t[p], r[p])]
    return bool(told) and all(told)


def shown(exercise, case: tuple, mine: Outcome, right: Outcome) -> str:
    """Say what went into the first case that differs, what was wanted, what came."""
    names = inspect.signature(exercise.right).parameters
    given = ", ".join(f"{n} = {tell(v)}" for n, v in zip(names, case, strict=False))
    if mine.error:
        text = "With {given} your function stopped{error}"
        return say(text, given=given, error=place(mine.error))
    wanted, came = right.value, mine.value
    if agree(wanted, came):
        return say("The values are right, but the input was changed: work on a copy.")
    if mine.parts(len(exercise.parts)):
        pairs = zip(exercise.parts, wanted, came, strict=True)
        name, wanted, came = next(p for p in pairs if not agree(p[1], p[2]))
        text = "With {given}: for the {name} {what}."
        return say(text, given=given, name=say(name), what=difference(wanted, came))
    return say("With {given}: {what}.", given=given, what=difference(wanted, came))
