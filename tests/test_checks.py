"""Every check, whatever it is given: right answers are right, each mistake has its own hint, and
nothing makes a check raise, hang or change what it was given.
"""

import inspect
import itertools
import random
import types
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from answers import HINTS, RIGHT, WRONG
from torch import nn

from helpers import checks
from helpers.checks import core

NAMES = sorted(checks.__all__)


def ask(name, answer):
    """Give an answer to the check of this name: a tuple, where it takes several."""
    check = getattr(checks, name)
    several = len(inspect.signature(check).parameters) > 1
    return check(*answer) if several else check(answer)


def parts(name):
    return len(inspect.signature(getattr(checks, name)).parameters)


FUNCTIONS = [name for name in NAMES if isinstance(RIGHT[name][0], types.FunctionType | type)]


def cases(answers):
    """Name the answers after their exercise and a running number."""
    return [
        pytest.param(name, answer, id=f"{name}-{k}")
        for name in sorted(answers)
        for k, answer in enumerate(answers[name])
    ]


@pytest.fixture(autouse=True)
def _every_warning():
    """Let torch warn every time: else only the first test to see a warning would fail."""
    was = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(was)


# --- The answers of the chapters -----------------------------------------------------------------


def test_each_exercise_has_right_answers_and_mistakes():
    assert set(NAMES) == set(RIGHT) == set(WRONG)


@pytest.mark.parametrize(("name", "answer"), cases(RIGHT))
def test_right_answer(name, answer):
    verdict = ask(name, answer)
    assert verdict.state == "right", verdict


@pytest.mark.parametrize(("name", "answer"), cases(WRONG))
def test_wrong_answer_gets_a_hint(name, answer):
    verdict = ask(name, answer)
    assert verdict.state == "hint", verdict
    assert "could not be checked" not in verdict.message


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_has_its_own_hint(name):
    hints = [ask(name, answer).message for answer in WRONG[name]]
    assert len(set(hints)) == len(hints) >= 5, hints


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [pytest.param(*case, id=f"{case[0]}-{case[2]}") for case in HINTS],
)
def test_a_hint_names_the_mistake(name, answer, words):
    verdict = ask(name, answer)
    assert verdict.state == "hint"
    assert words in verdict.message


# --- Anything else -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_waits(name):
    for nothing in (None, ...):
        assert ask(name, [nothing] * parts(name) if parts(name) > 1 else nothing).state == "waiting"
        if name in FUNCTIONS:
            assert ask(name, lambda *_, nothing=nothing: nothing).state == "waiting"


class Spiteful:
    """An object that objects to everything that one may ask of it."""

    def _no(self, *_):
        raise RuntimeError("no")

    __eq__ = __ne__ = __bool__ = __len__ = __iter__ = __getitem__ = __hash__ = __float__ = _no
    __repr__ = __str__ = __array__ = __call__ = __lt__ = __deepcopy__ = _no
    shape = dtype = property(_no)


class Endless(nn.Module):
    """A model that does not come to an end."""

    def forward(self, *_):
        while True:
            pass


def in_itself():
    """Return a list that holds itself."""
    items = [1.0]
    items.append(items)
    return items


GARBAGE = {
    "word": lambda: "four",
    "empty word": lambda: "",
    "number": lambda: 3,
    "negative": lambda: -3.0,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "complex": lambda: 1j,
    "huge": lambda: 10**400,
    "true": lambda: True,
    "empty list": list,
    "empty dict": dict,
    "numbers": lambda: (1, 2, 3),
    "words": lambda: ("a", "b"),
    "mixed": lambda: [1, "a", None, 2],
    "ragged": lambda: [[1, 2], [3]],
    "list in itself": in_itself,
    "pairs": lambda: [("a", "b", "c")] * 3,
    "batches": lambda: [(torch.zeros(3, 4), torch.zeros(3), torch.zeros(3))] * 3,
    "dict": lambda: {"h": 1},
    "array": lambda: np.zeros((2, 3, 4)),
    "indices": lambda: (np.array([-1]), np.array([9999])),
    "array of words": lambda: np.array(["one", "two"]),
    "array of objects": lambda: np.array([object(), None]),
    "no numbers": lambda: torch.zeros(0),
    "matrix": lambda: torch.zeros(3, 3),
    "four axes": lambda: torch.zeros(1, 1, 1, 1),
    "two of them": lambda: (torch.zeros(0), torch.zeros(2, 5)),
    "tensor and word": lambda: (torch.zeros(2, 5), "C"),
    "matrix of nan": lambda: torch.full((2, 2), torch.nan),
    "matrix of inf": lambda: torch.full((2, 3), torch.inf),
    "bool": lambda: torch.ones(7, 5, dtype=torch.bool),
    "complex tensor": lambda: torch.ones(2, 3, dtype=torch.complex64),
    "meta": lambda: torch.zeros(2, 2, device="meta"),
    "sparse": lambda: torch.eye(2).to_sparse(),
    "with gradient": lambda: torch.ones(2, 2, requires_grad=True),
    "layer": lambda: nn.Linear(2, 2),
    "identity": nn.Identity,
    "endless model": Endless,
    "class": lambda: int,
    "count": itertools.count,
    "generator": lambda: (1 / 0 for _ in range(3)),
    "object": object,
    "spite": Spiteful,
    "mock": MagicMock,
}


def throws(*_):
    raise ZeroDivisionError("on purpose")


def exits(*_):
    raise SystemExit


@pytest.fixture
def soon(monkeypatch):
    """Do not wait ten seconds for what never ends."""
    monkeypatch.setattr(core, "TIME_LIMIT", 0.3)


@pytest.mark.usefixtures("soon")
@pytest.mark.filterwarnings("ignore")  # of what is no number
@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("name", NAMES)
def test_garbage_gets_a_hint(name, kind):
    thing = GARBAGE[kind]()
    assert ask(name, [thing] * parts(name) if parts(name) > 1 else thing).state == "hint"
    if name in FUNCTIONS:
        assert ask(name, lambda *_: GARBAGE[kind]()).state == "hint"


@pytest.mark.parametrize("function", [throws, exits, lambda: 1], ids=["throws", "exits", "arity"])
@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_fails_gets_a_hint(name, function):
    assert ask(name, [function] * parts(name) if parts(name) > 1 else function).state == "hint"


@pytest.mark.parametrize("name", NAMES)
def test_answers_too_many_or_too_few_are_counted(name):
    for number in {0, 1, 9} - {parts(name)}:
        verdict = getattr(checks, name)(*range(number))
        assert verdict.state == "hint"
        assert verdict.message.endswith(f"takes {parts(name)} answer(s), it got {number}.")


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_never_ends_gets_a_hint(name):
    def endless(*_):
        while True:
            pass

    verdict = ask(name, endless)
    assert verdict.state == "hint"
    assert "had not finished" in verdict.message


def spoil(thing):
    """Change a value in place, if it can be changed; tell whether it was."""
    if isinstance(thing, tuple):
        return any(map(spoil, thing))
    if isinstance(thing, nn.Module):
        thing = next(thing.parameters()).data
    if isinstance(thing, torch.Tensor | np.ndarray):
        thing += 1
        return True
    if hasattr(thing, "clear"):
        thing.clear()
        return True
    return False


# These have nothing that could be changed (numbers, words), or are there to change it.
UNTOUCHED = {
    "clipped_step",
    "open_forget_gates",
    "parameter_count",
    "sound_reader",
    "split_in_time",
    "steps_until_vanished",
    "three_readings",
}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - UNTOUCHED))
def test_a_right_answer_that_changes_its_input_gets_a_hint(name):
    def greedy(*args):
        answer = RIGHT[name][0](*args)
        assert sum(map(spoil, args))
        return answer

    verdict = ask(name, greedy)
    assert verdict.state == "hint"
    assert "changes the input" in verdict.message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_answer_may_print(name, capsys):
    def talks(*args):
        print("here")
        return RIGHT[name][0](*args)

    assert ask(name, talks).state == "right"
    assert "here" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_a_check_leaves_the_random_numbers_alone(name):
    torch.manual_seed(0)
    random.seed(0)
    expected = torch.rand(1), random.random()
    torch.manual_seed(0)
    random.seed(0)
    ask(name, WRONG[name][0])
    ask(name, RIGHT[name][0])
    assert (torch.rand(1), random.random()) == expected


def test_an_array_of_words_is_not_read_as_numbers():
    with pytest.raises(core.Hint, match="should be numbers"):
        core.tensor(np.array(["one", "two"]))
