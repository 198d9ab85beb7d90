"""Put a cell in front of each chapter that gets the course into Colab.

Colab opens notebooks from GitHub, but brings neither `helpers` nor the vocabulary. A learner with
JupyterLab should not have to read past that, so the cell is added to a branch of its own, when the
site is published: `python docs/colab.py https://github.com/somebody/a-copy [NOTEBOOK ...]`.
"""

import json
import sys
from pathlib import Path

CELL = """\
# Colab brings PyTorch; this gets the course and the little that it needs besides
import os
import sys

if "google.colab" in sys.modules:
    !git clone --quiet --depth 1 {address} /content/rnn-course
    %pip install --quiet torchtext==0.6.0 pooch filelock polib
    %cd -q /content/rnn-course/notebooks
    sys.path.insert(0, "/content/rnn-course")
    os.environ["PYTHONPATH"] = "/content/rnn-course"  # for processes that a cell starts
    os.environ["RNN_COURSE_LANGUAGE"] = "{language}"  # of what the checks say"""


def with_colab_cell(notebook: dict, address: str, language: str = "en") -> dict:
    """Return a stored notebook with the cell for Colab in front of it."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "colab",
        "metadata": {},
        "outputs": [],
        "source": CELL.format(address=address, language=language).splitlines(keepends=True),
    }
    return notebook | {"cells": [cell, *notebook["cells"]]}


if __name__ == "__main__":
    address, *names = sys.argv[1:]
    root = Path(__file__).parents[1] / "notebooks"
    for path in map(Path, names) if names else root.glob("[0-9][0-9]_*[a-z].ipynb"):
        stored = json.loads(path.read_text(encoding="utf8"))
        language = "ko" if path.parent.name == "ko" else "en"
        notebook = with_colab_cell(stored, address, language)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf8")
