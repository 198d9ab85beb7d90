"""How a chapter's pictures are compared when it is re-executed: all but their pixels."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
SHOW = """\
from IPython.display import display
display({{"text/html": '{}', "text/plain": "A line."}}, raw=True)"""
IMG = '<img alt="A line" width="720" src="data:image/png;base64,{}">'


def test_pictures_are_compared_but_for_their_pixels(tmp_path):
    stored = {
        "same": IMG.format("iVBORw0K"),
        "other-pixels": IMG.format("iVBORw0KGgo="),
        "other-words": IMG.format("iVBORw0K").replace("A line", "Two lines"),
        "other-width": IMG.format("iVBORw0K").replace("720", "480"),
        "no-pixels": IMG.format(""),
    }
    nb = new_notebook()
    for name, html in stored.items():
        output = new_output("display_data", {"text/html": html, "text/plain": "A line."})
        source = SHOW.format(IMG.format("iVBORw0K"))
        nb.cells.append(new_code_cell(source, id=name, execution_count=1, outputs=[output]))
    nbformat.write(nb, tmp_path / "pictures.ipynb")
    for file in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "pictures.ipynb"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    said = [line.split()[0] for line in done.stdout.splitlines() if "::Cell" in line]
    said = [word for word in said if word in ("PASSED", "FAILED")]
    assert sorted(said) == ["FAILED"] * 3 + ["PASSED"] * 2, done.stdout
    for number, name in enumerate(stored):
        word = "PASSED" if name in ("same", "other-pixels") else "FAILED"
        assert f"{word} pictures.ipynb::Cell {number}" in done.stdout, name
