"""Every record is its own test: the right answer is right, each mistake gets its own hint.

The folded solution of the notebook is an answer too, and the stub above it waits. The engine is
tried on one exercise with answers of every kind.
"""

import ast
import contextlib
import io
import linecache
import random
import re
from fractions import Fraction
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from helpers import checks
from helpers.checks import answers, engine
from helpers.checks.exercise import Exercise

EXERCISES = checks.EXERCISES
MISTAKES = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name, record in EXERCISES.items()
    for number in range(len(record.mistakes))
]
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))
FOLDED = re.compile(
    r"<details>\s*<summary>Solution.*?</summary>\n\n```python\n(.*?)```.*</details>", re.DOTALL
)


def ask(name, answer):
    """Give an answer to the check of this name: a tuple, where it takes several."""
    record = EXERCISES[name]
    return record(*answer) if record.takes > 1 else record(answer)


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answer(name):
    verdict = ask(name, EXERCISES[name].right)
    assert verdict.state == "right", verdict


@pytest.mark.parametrize(("name", "number"), MISTAKES)
def test_mistake_gets_its_own_hint(name, number):
    mistake, hint = EXERCISES[name].mistakes[number]
    verdict = ask(name, mistake)
    assert verdict.state == "hint"
    assert hint in verdict.message


@pytest.mark.parametrize("name", EXERCISES)
def test_hints_differ(name):
    hints = [hint for _, hint in EXERCISES[name].mistakes]
    assert len(set(hints)) == len(hints) >= 3


@pytest.mark.parametrize("name", [name for name, record in EXERCISES.items() if record.cases])
def test_cases_tell_mistakes_from_the_right_answer(name):
    record = EXERCISES[name]
    answers.start_clock()
    right = engine.outcomes(record, record.right)
    assert len(right) >= 6
    assert not any(outcome.error for outcome in right)
    for mistake, hint in record.mistakes:
        answers.start_clock()
        theirs = engine.outcomes(record, mistake)
        telling = [not t.agrees(r) for t, r in zip(theirs, right, strict=True)]
        assert sum(telling) >= 2, hint


# --- The notebooks -------------------------------------------------------------------------------


def exercises_in(path):
    """Yield set-up and functions so far, stub, and folded solution of each exercise."""
    cells = nbformat.read(path, as_version=4).cells
    before = [next(cell.source for cell in cells if cell.cell_type == "code")]
    for cell, behind in zip(cells, [*cells[1:], None], strict=True):
        if "exercise" in cell.metadata.get("tags", []):
            yield pytest.param("\n".join(before), cell.source, behind.source, id=cell.id)
        elif cell.cell_type == "code":
            known = (ast.FunctionDef, ast.ClassDef)
            tree = ast.parse(cell.source).body
            before += [ast.unparse(node) for node in tree if isinstance(node, known)]


IN_NOTEBOOKS = [exercise for path in NOTEBOOKS for exercise in exercises_in(path)]


def run(before, *sources):
    """Run sources one after the other; return what the last line of the last one says."""
    namespace = {}
    for number, source in enumerate((before, *sources)):
        file = f"<cell {number}>"  # as in a notebook, where the source of a function is known
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        *body, last = ast.parse(source).body
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(ast.Module(body, []), file, "exec"), namespace)
            if number == len(sources):
                return eval(compile(ast.Expression(last.value), file, "eval"), namespace)
            exec(compile(ast.Module([last], []), file, "exec"), namespace)
    raise AssertionError


@pytest.mark.parametrize(("before", "stub", "behind"), IN_NOTEBOOKS)
def test_stub_waits(before, stub, behind):
    assert run(before, stub).state == "waiting"


@pytest.mark.parametrize(("before", "stub", "behind"), IN_NOTEBOOKS)
def test_folded_solution_is_right(before, stub, behind):
    # The stub first: it may define what the solution, like the learner's answer, builds on.
    body, call = stub.rstrip().rsplit("\n", 1)
    verdict = run(before, body, FOLDED.search(behind)[1] + "\n" + call)
    assert verdict.state == "right", verdict


def test_every_record_belongs_to_a_notebook():
    called = [param.values[1].rstrip().rsplit("\n", 1)[1] for param in IN_NOTEBOOKS]
    assert sorted(re.match(r"checks\.(\w+)\(", line)[1] for line in called) == checks.__all__


# --- The engine ----------------------------------------------------------------------------------


def halves(x, n):
    return x[:n], x[n:]


def _cases():
    return [(torch.randn(size), n) for size, n in ((5, 2), (1, 1), (4, 0), (9, 3), (2, 1), (6, 4))]


SPLIT = Exercise(
    right=halves,
    says="Two halves.",
    cases=_cases,
    parts=("head", "tail"),
    mistakes=(
        (lambda x, n: (x[n:], x[:n]), "exchanged"),
        (lambda x, n: (x[: n - 1], x[n:]), "The head is one short."),
    ),
)


def prints(x, n):
    print(x[:n], x[n:])


def grows(x, n, kept=[]):  # noqa: B006  # what people do
    kept.append(n)
    return x[:n], x[n:] * len(kept)


def changes(x, n):
    answer = x[:n].clone(), x[n:].clone()
    x += 1
    return answer


def exits(x, n):
    raise SystemExit


def word(x, n):
    return "word"


def fails(x, n):
    return np.stack([x[:n], x[n:]])


RIGHT = {
    "lists": lambda x, n: [x[:n].tolist(), x[n:].tolist()],
    "arrays": lambda x, n: np.split(x.numpy(), [n]),
    "of a view": lambda x, n: torch.stack([x, x], 1)[:, 0].split([n, len(x) - n]),
    "with gradient": lambda x, n: [h.requires_grad_() for h in (x[:n] * 1, x[n:] * 1)],
    "fractions": lambda x, n: [[Fraction(v) for v in h] for h in (x[:n].tolist(), x[n:].tolist())],
}
WRONG = {
    "exchanged": (lambda x, n: (x[n:], x[:n]), "exchanged"),
    "one part": (lambda x, n: (x[: n - 1], x[n:] * 2), "The head is one short."),
    "another": (lambda x, n: (x[:n], x[n:] + 1), "With x = "),
    "named part": (lambda x, n: (x[:n], x[n:-1]), "for the tail shape (3,) is wanted, (2,) came"),
    "three": (lambda x, n: (x, x, x), "is wanted"),
    "one too many": (lambda x, n: (x[:n], x[n:], x), "2 things are wanted, 3 came"),
    "prints": (prints, "returns nothing"),
    "keeps": (grows, "keeps something from call to call"),
    "changes": (changes, "the input was changed"),
    "exits": (exits, "ended the program (SystemExit)"),
    "its own line": (fails, "in `return np.stack([x[:n], x[n:]])`: ValueError"),
    "arity": (lambda x: x, "TypeError"),
    "no function": (torch.zeros(3), "a Tensor of shape (3,)"),
    "long": (lambda x, n: exec("raise ValueError('a' * 9999)"), "ValueError"),
    "word": (word, "'word' came"),
    "a sum": (lambda x, n: (x[:n].sum(), x[n:]), "for the head shape (2,) is wanted"),
    "ragged": (lambda x, n: [[1, 2], [3]], "came"),
    "not a number": (lambda x, n: (x[:n], x[n:] * torch.nan), "nan] came"),
    "huge": (lambda x, n: 10**400, "came"),
    "a class": (dict, "TypeError"),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_any_container_of_the_right_numbers_is_right(kind):
    assert SPLIT(RIGHT[kind]).state == "right", SPLIT(RIGHT[kind])


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named(kind):
    answer, words = WRONG[kind]
    verdict = SPLIT(answer)
    assert verdict.state == "hint"
    assert words in verdict.message
    assert len(verdict.message) < 500


def test_a_function_that_never_ends_is_told_so(monkeypatch):
    monkeypatch.setattr(answers, "LIMIT", 0.3)

    def endless(x, n):
        while True:
            pass

    assert "not finished after 0.3 seconds" in SPLIT(endless).message


@pytest.mark.parametrize("answer", [None, ...])
def test_what_is_missing_waits(answer):
    assert all(record(*[answer] * record.takes).state == "waiting" for record in EXERCISES.values())
    assert SPLIT(lambda x, n: answer).state == ("waiting" if answer is ... else "hint")


@pytest.mark.parametrize("name", ["repaired_listing", "nucleus"])
def test_a_changed_layer_or_tensor_is_noticed(name):
    def spoils(given, other):
        answer = EXERCISES[name].right(given, other)
        changed = given if isinstance(given, torch.Tensor) else given.bias_ih_l0
        changed.detach().add_(1)
        return answer

    assert "the input was changed" in ask(name, spoils).message


def test_numbers_among_several_are_compared_with_tolerance():
    def single(nats, text):
        bits, one, word = EXERCISES["three_readings"].right(nats, text)
        return bits, np.float32(one), word + 1

    assert "for the perplexity a word " in ask("three_readings", single).message


def test_a_mistake_is_named_by_the_cases_in_which_it_shows():
    whole = Exercise(
        right=lambda x: x,
        cases=lambda: [(1,), (2,), (3,)],
        mistakes=[(lambda x: x if x < 2 else -x, "Negative.")],
    )
    assert whole(lambda x: -x).message == "Negative."
    assert "1 is wanted, 0 came" in whole(lambda x: 0).message


def test_what_an_answer_prints_is_seen_once(capsys):
    SPLIT(lambda x, n: (print("seen"), halves(x, n))[1])
    assert capsys.readouterr().out.count("seen") == len(_cases())


def test_answers_are_counted_and_a_judge_has_its_say():
    assert SPLIT(halves, halves).message == "This check takes 1 answer(s), it got 2."
    assert "visitors off" in ask("forecast", EXERCISES["forecast"].right).message


@pytest.mark.parametrize("thing", ["a word", 3.5, {}, [], object(), torch.zeros(2, 2), len, int])
def test_a_check_never_raises(thing):
    for name, record in EXERCISES.items():
        verdict = ask(name, (thing,) * record.takes if record.takes > 1 else thing)
        assert verdict.state == "hint", (name, verdict)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_check_leaves_the_random_numbers_alone(name):
    states = []
    for answer in (0, EXERCISES[name].right):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        if answer:
            ask(name, answer)
            SPLIT(lambda x, n: (random.random(), np.random.rand()))  # noqa: NPY002
        states.append((torch.rand(1).item(), random.random(), np.random.rand()))  # noqa: NPY002
    assert states[0] == states[1]
