"""Exercises as they stand in the notebooks: the stub waits, the folded solution is right.

An exercise is a code cell tagged `exercise`, whose last line calls its check, and behind it a
markdown cell with the folded solution. It needs nothing but the set-up cell of its chapter.
"""

import ast
import contextlib
import io
import re
from pathlib import Path

import nbformat
import pytest

from helpers import checks

CHAPTERS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
FOLDED = re.compile(
    r"<details>\s*<summary>Solution.*?</summary>\n\n```python\n(.*?)```.*</details>", re.DOTALL
)


def _exercises():
    """Yield the sources of the set-up cell, the stub and the cell behind it, for each exercise."""
    for path in CHAPTERS:
        cells = nbformat.read(path, as_version=4).cells
        setup = next(cell.source for cell in cells if cell.cell_type == "code")
        for cell, behind in zip(cells, [*cells[1:], None], strict=True):
            if "exercise" in cell.metadata.get("tags", []):
                yield pytest.param(setup, cell.source, behind.source, id=cell.id)


EXERCISES = list(_exercises())


def run(setup, source, call):
    """Run the set-up cell and `source`, and return what the check says."""
    namespace = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(setup, namespace)
        exec(source, namespace)
    return eval(call, namespace)


def split_off_call(stub):
    """Split a stub into its body and the call of the check in its last line."""
    last = ast.parse(stub).body[-1]
    assert isinstance(last, ast.Expr), "the last line of a stub calls its check"
    assert isinstance(last.value, ast.Call), "the last line of a stub calls its check"
    call = ast.unparse(last)
    assert call.startswith("checks.")
    return "\n".join(stub.splitlines()[: last.lineno - 1]), call


@pytest.mark.parametrize(("setup", "stub", "behind"), EXERCISES)
def test_stub_waits(setup, stub, behind):
    body, call = split_off_call(stub)
    assert run(setup, body, call).state == "waiting"


@pytest.mark.parametrize(("setup", "stub", "behind"), EXERCISES)
def test_solution_is_right(setup, stub, behind):
    body, call = split_off_call(stub)
    folded = FOLDED.search(behind)
    assert folded, "behind an exercise stands its solution, folded"
    # The stub first: it may define what the solution, like the learner's answer, builds on.
    verdict = run(setup, body + "\n" + folded[1], call)
    assert verdict.state == "right", verdict


def test_every_check_belongs_to_an_exercise():
    called = {
        ast.parse(split_off_call(exercise.values[1])[1]).body[0].value.func.attr
        for exercise in EXERCISES
    }
    assert called == set(checks.__all__)
