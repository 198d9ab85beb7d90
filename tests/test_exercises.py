"""Exercises as they stand in the notebooks: the stub waits, the folded solution is right.

An exercise is a code cell tagged `exercise`, whose last line calls its check, and behind it a
markdown cell with the folded solution. It needs nothing but the set-up cell of its chapter, and
functions that the chapter has defined before: those that its solution calls.
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
        known = {}  # the chapter's functions so far
        for cell, behind in zip(cells, [*cells[1:], None], strict=True):
            if "exercise" in cell.metadata.get("tags", []):
                solution = FOLDED.search(behind.source)
                called = functions_called(solution[1] if solution else "", known)
                source = "\n".join([setup, *called])
                yield pytest.param(source, cell.source, behind.source, id=cell.id)
            elif cell.cell_type == "code":
                known |= functions_of(cell.source)


def functions_of(source):
    """Return the source of each function that a cell defines, by name."""
    tree = ast.parse(source).body
    return {node.name: ast.unparse(node) for node in tree if isinstance(node, ast.FunctionDef)}


def functions_called(source, known):
    """Return the sources of the known functions that `source` names, itself or through them."""
    own = functions_of(source)
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    called = {known[name]: None for name in sorted(names & known.keys() - own.keys())}
    rest = {name: text for name, text in known.items() if text not in called}
    for text in list(called):
        called |= dict.fromkeys(functions_called(text, rest))
    return list(called)


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
