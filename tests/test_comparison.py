"""How a re-executed chapter is compared: words to the letter, pictures roughly."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]


def img(line=((20, 20), (700, 280)), size=(720, 300), color="#0072B2", alt="A line", width=720):
    """Return a picture of a line as figures.show puts it on the page."""
    image, png = Image.new("RGB", size, "white"), io.BytesIO()
    ImageDraw.Draw(image).line(line, color, 6)
    image.save(png, "png")
    pixels = base64.b64encode(png.getvalue()).decode()
    return f'<img alt="{alt}" width="{width}" src="data:image/png;base64,{pixels}">'


OTHER = img(((20, 280), (700, 20)))
# id: what is stored, while what is shown now is always the same
STORED = {
    "same": img(),
    "nudged": img(((20, 21), (700, 281))),
    "full-data": img(alt="Two lines"),
    "other-line": OTHER,
    "no-line": img(line=()),
    "other-color": img(color="#E08214"),
    "other-height": img(size=(720, 330)),
    "other-words": img(alt="Two lines"),
    "other-width": img(width=480),
    "no-pixels": '<img alt="A line" width="720" src="data:image/png;base64,">',
}
PICTURES = {"other-line", "no-line", "other-color", "other-height"}


def test_cells_are_named_and_pictures_compared(tmp_path):
    nb = new_notebook()
    show = f"display({{'text/html': '{img()}'}}, raw=True)"
    for name, html in STORED.items():
        output = new_output("display_data", {"text/html": html})
        nb.cells.append(new_code_cell(show, id=name, execution_count=1, outputs=[output]))
    nb.cells[2].metadata["tags"] = ["full-data"]
    nb.cells.append(new_code_cell("1 / 0", id="error", execution_count=1))
    for chapter in ("01_pictures.ipynb", "05_imdb_sentiment.ipynb"):  # the other is on the sample
        nbformat.write(nb, tmp_path / chapter)
    for own in ("Untitled.ipynb", "05_imdb_sentiment-Copy1.ipynb"):  # the learner's own
        old = {"cell_type": "code", "source": "1 / 0", "metadata": {}, "outputs": []}
        old = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [old]}
        (tmp_path / own).write_text(json.dumps(old))
    for file in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--color=no"]
    done = subprocess.run(
        [*command, "."],
        cwd=tmp_path,
        env=os.environ | {"RNN_COURSE_DATA": str(ROOT / "data/sample")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    passed = {line[1] for line in lines if line[:1] == ["PASSED"]}
    assert passed == {"01_pictures.ipynb::same", "01_pictures.ipynb::nudged"} | {
        f"05_imdb_sentiment.ipynb::{name}" for name in {"same", "nudged", "full-data"} | PICTURES
    }, done.stdout
    failed = {line[1] for line in lines if line[:1] == ["FAILED"]}
    assert len(passed | failed) == 2 * len(nb.cells)
    assert "picture 1: 100% of its ink has moved" in done.stdout
    assert "\nother-line: Cell outputs differ" in done.stdout
    assert "\nerror: Cell execution caused an exception" in done.stdout

    kept = tmp_path / "_executed"
    now = nbformat.read(kept / "01_pictures.ipynb", as_version=4).cells
    assert now[3].outputs[0].data["text/html"] == img()
    assert now[-1].outputs[0].ename == "ZeroDivisionError"
    assert {path.name for path in kept.glob("*.png")} == {
        f"{name}-1-{which}.png" for name in PICTURES for which in ("new", "stored")
    }
    pixels = base64.b64encode((kept / "other-line-1-stored.png").read_bytes()).decode()
    assert pixels in OTHER
