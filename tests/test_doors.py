"""The doors to the course: the README's picture and results, and the cell for Colab."""

import base64
import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))


def test_pictures_of_the_readme_have_words_and_are_light():
    text = (ROOT / "README.md").read_text(encoding="utf8")
    found = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", text)
    assert found
    for words, picture in found:
        assert len(words) > 20
        assert (ROOT / picture).stat().st_size < 60_000


def test_readme_has_the_results_of_the_stored_run():
    stored = []
    for path, id, number in (
        (CHAPTERS[4], "ch05-test-eval", r"(?m)^[a-z ]+ (0\.\d{4})"),
        (CHAPTERS[5], "ch06-test-cell", r"^(\S+) nats"),
    ):
        (cell,) = [cell for cell in nbformat.read(path, as_version=4).cells if cell.id == id]
        stored += [f"{float(n):.3f}" for n in re.findall(number, cell.outputs[0].text)]
    results = (ROOT / "README.md").read_text(encoding="utf8").partition("## Results")[2]
    table = results.partition("`make bench`")[0]
    assert re.findall(r"^\| [^|]+ \| (?:accuracy )?([\d.]+)", table, re.MULTILINE) == stored


def test_picture_of_the_readme_is_figure_3_as_stored():
    cells = nbformat.read(CHAPTERS[1], as_version=4).cells
    (html,) = [c.outputs[0].data["text/html"] for c in cells if c.id == "ch02-figure-3"]
    png = base64.b64encode((ROOT / "docs/_static/course.png").read_bytes()).decode()
    assert f'src="data:image/png;base64,{png}"' in html


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_cell_for_colab_comes_first_and_changes_nothing_else(path, monkeypatch):
    spec = importlib.util.spec_from_file_location("colab", ROOT / "docs/colab.py")
    colab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(colab)
    stored = nbformat.read(path, as_version=4)
    notebook = colab.with_colab_cell(stored, "https://example.org/course")
    notebook = nbformat.from_dict(notebook)
    nbformat.validate(notebook)
    first, *rest = notebook.cells
    assert rest == stored.cells
    source = "".join(first.source)
    assert "git clone --quiet --depth 1 https://example.org/course /content/rnn-course\n" in source
    code = compile(TransformerManager().transform_cell(source), "first cell", "exec")
    exec(code, {})  # nothing happens elsewhere: there is no get_ipython here
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    with pytest.raises(NameError, match="get_ipython"):
        exec(code, {})
