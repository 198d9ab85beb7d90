"""How the chapters are re-executed: cells go by their ids, and pictures are compared roughly.

What the cells print this time is kept in `_executed/`, as a notebook that can be opened.
"""

import base64
import io
import re

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile
from PIL import Image

from helpers import data

mpl.use("agg")  # the tests' own figures; the notebooks' kernels choose for themselves

# A chapter; an Untitled.ipynb or 05_imdb_sentiment-Copy1.ipynb is the learner's own.
CHAPTER = "[0-9][0-9]_*[a-z].ipynb"
DATA_OF = {"05_imdb_sentiment": "imdb", "06_mysterious_island_lm": "island"}
PNG = re.compile('src="data:image/png;base64,([A-Za-z0-9+/]+=*)"')  # as figures.show writes it
# Measured in chapters 1 to 4: other processors and numbers of threads move 0 to 4 % of a picture's
# ink, another seed 6 to 47 % in most plots of a training; two plots that look alike are 59 % apart.
MOVED = 0.2


class Chapter(IPyNbFile):
    """A notebook that is re-executed, with the cells in the order in which they stand."""

    def collect(self):
        """Return the code cells, under their ids."""
        self.sanitize_patterns[PNG] = 'src="a picture"'
        self.cells = [
            Cell.from_parent(
                self, name=c.cell.id, cell_num=c.cell_num, cell=c.cell, options=c.options
            )
            for c in super().collect()
        ]
        return self.cells

    def setup(self):
        """Start the kernel, and find out whether the stored outputs are those of the data here."""
        super().setup()
        try:
            self.on_sample = self.path.stem in DATA_OF and data.is_sample(DATA_OF[self.path.stem])
        except data.DataError:
            self.on_sample = False  # the cell that loads the data will fail, and say why
        for cell in self.cells:
            if self.on_sample and "full-data" in cell.cell.metadata.get("tags", []):
                cell.options["check"] = False

    def teardown(self):
        """Stop the kernel, and keep what the cells printed."""
        super().teardown()
        for cell in self.cells:
            cell.cell.outputs = cell.test_outputs or []
        nbformat.write(self.nb, self.kept(self.path.name))

    def kept(self, name):
        """Return the path of a file in the folder of what a run leaves behind."""
        folder = self.config.rootpath / "_executed"
        folder.mkdir(exist_ok=True)
        return folder / name


class Cell(IPyNbCell):
    """A code cell: it fails on an error, on other words or numbers, and on another picture."""

    def compare_outputs(self, test, ref, skip_compare=None):
        """Tell whether the new outputs are those stored; `comparison_traceback` says what not."""
        if not super().compare_outputs(test, ref, skip_compare):
            return False
        pairs = [] if self.parent.on_sample else zip(pictures(test), pictures(ref), strict=True)
        for number, (new, stored) in enumerate(pairs, start=1):
            if (moved := moved_ink(new, stored)) > MOVED:
                name = f"{self.name}-{number}"
                self.parent.kept(f"{name}-new.png").write_bytes(new)
                self.parent.kept(f"{name}-stored.png").write_bytes(stored)
                self.comparison_traceback.append(
                    f"picture {number}: {moved:.0%} of its ink has moved, at most {MOVED:.0%} may. "
                    f"Look at {name}-new.png and {name}-stored.png in _executed/; `make outputs` "
                    "stores the new one, if that is meant."
                )
        return not self.comparison_traceback

    def repr_failure(self, excinfo):
        """Return what failed, with the cell's id where nbval counts."""
        return super().repr_failure(excinfo).replace(f"Cell {self.cell_num}:", f"{self.name}:", 1)

    def reportinfo(self):
        """Return the headline of a failure."""
        return self.path, 0, self.nodeid


def pictures(outputs):
    """Return the pictures in a cell's outputs, as PNGs."""
    html = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    return [base64.b64decode(png) for png in PNG.findall(html)]


def moved_ink(one, two):
    """Return how far two PNGs are apart, each 64 pixels wide: 0 if equal, 1 if nothing meets."""
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in (one, two)]
    size = 64, max(1, round(64 * images[0].height / images[0].width))
    ink = [1 - np.asarray(image.resize(size, Image.Resampling.BOX)) / 255 for image in images]
    return np.abs(ink[0] - ink[1]).sum() / max(np.sum(ink), 1)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Put a Chapter where nbval has found one, and leave other notebooks alone."""
    found = yield
    if file_path.match(CHAPTER):
        return [
            Chapter.from_parent(parent, path=file_path) if isinstance(node, IPyNbFile) else node
            for node in found
        ]
    return [node for node in found if not isinstance(node, IPyNbFile)]
