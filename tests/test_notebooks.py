"""What a stored notebook must look like, whatever it teaches.

Each rule yields the offences of a notebook, as pairs of a cell's id and what is wrong. The chapters
must have none, and each rule must find the offence in a notebook that was broken on purpose.
"""

import ast
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))
MAX_LINES = 25
TAGS = {"nbval-ignore-output", "full-data", "exercise", "solution"}
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PLACES = [str(ROOT), str(Path.home()), tempfile.gettempdir()]  # of the machine that runs this
MACHINE = re.compile(
    "|".join(re.escape(place) + r"[/\\]\w" for place in PLACES)
    + r"|/(home|root|Users|tmp|opt|mnt|var|srv|work|workspace|content|builds)/\w"
    + r"|[A-Z]:\\+Users|site-packages|\.venv"
)


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def outputs(nb):
    """Yield (cell, output, all that the output says in text, pictures aside)."""
    for cell in code_cells(nb):
        for output in cell.outputs:
            data = output.get("data", {})
            parts = [output.get("text", ""), *output.get("traceback", [])]
            parts += [str(v) for k, v in data.items() if not k.startswith("image/")]
            yield cell, output, re.sub("data:image/[^\"']*", "", "\n".join(parts))


def not_one_run(nb):
    for n, cell in enumerate(code_cells(nb), start=1):
        if cell.execution_count != n:
            yield cell.id, f"execution count {cell.execution_count}, not {n}"


def errors_and_stderr(nb):
    for cell, output, text in outputs(nb):
        if output.output_type == "error" or output.get("name") == "stderr":
            yield cell.id, f"stored {output.get('name', 'error')}: {text[:80]!r}"


def machine_paths(nb):
    texts = [(cell.id, cell.source) for cell in nb.cells]
    for id, text in texts + [(cell.id, text) for cell, _, text in outputs(nb)]:
        if found := MACHINE.search(text):
            yield id, found[0]


def ignored_without_assertion(nb):
    cells = code_cells(nb)
    ignored = ["nbval-ignore-output" in cell.metadata.get("tags", []) for cell in cells]
    for n, cell in enumerate(cells):
        if ignored[n]:
            nodes = ast.walk(ast.parse(cells[n + 1].source)) if n + 1 < len(cells) else []
            if not any(isinstance(node, ast.Assert) for node in nodes) or ignored[n + 1]:
                yield cell.id, "its output is ignored, and no compared cell with assertions follows"


def pictures_without_alternative(nb):
    found, parser = [], HTMLParser()

    def start(tag, attrs):
        if tag in ("img", "svg", "canvas") and len(dict(attrs).get("alt") or "") < 20:
            found.append((id, f"a picture ({tag}) that says too little to who does not see it"))

    parser.handle_starttag = start
    for cell, output, _ in outputs(nb):
        id, data = cell.id, output.get("data", {})
        found += [(id, f"{k} not from figures.show") for k in data if k.startswith("image/")]
        parser.feed(data.get("text/html", ""))
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            id = cell.id
            parser.feed(cell.source)
            found += [(id, "a picture without words") for _ in re.findall(r"!\[\s*\]", cell.source)]
    return found


def solutions_that_are_not_taken_out(nb):
    """Yield what `make student` would get wrong: it takes the cells tagged `solution` out."""
    before = None
    for cell in nb.cells:
        is_one = cell.cell_type == "markdown" and "<summary>Solution" in cell.source
        of_an_exercise = before is not None and "exercise" in before.metadata.get("tags", [])
        if len({is_one, of_an_exercise, "solution" in cell.metadata.get("tags", [])}) > 1:
            yield cell.id, "a solution stands behind its exercise and is tagged, nothing else is"
        before = cell


def long_cells(nb):
    for cell in code_cells(nb):
        if (lines := cell.source.count("\n") + 1) > MAX_LINES:
            yield cell.id, f"{lines} lines, at most {MAX_LINES}"


def markers_of_nbval(nb):
    for cell in code_cells(nb):
        if found := re.search("# *(NBVAL|PYTEST)_", cell.source):
            yield cell.id, f"{found[0]}... is not allowed: a tag says it"


def ids(nb):
    found = [cell.get("id") for cell in nb.cells]
    for id in found:
        # A tool that makes up ids, makes up random ones: eight hexadecimal digits
        if not id or found.count(id) > 1 or re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f-]+)?", id):
            yield id, "not an id that a person chose for one cell"


def untidy_metadata(nb):
    if nb.metadata != METADATA:
        yield "notebook", dict(nb.metadata)
    for cell in nb.cells:
        if set(cell.metadata) - {"tags"} or set(cell.metadata.get("tags", [])) - TAGS:
            yield cell.id, dict(cell.metadata)


RULES = [
    not_one_run,
    errors_and_stderr,
    machine_paths,
    ignored_without_assertion,
    pictures_without_alternative,
    solutions_that_are_not_taken_out,
    long_cells,
    markers_of_nbval,
    ids,
    untidy_metadata,
]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_keeps_the_rules(path):
    nb = nbformat.reader.reads(path.read_text(encoding="utf8"))  # as stored: mends nothing
    assert [offence for rule in RULES for offence in rule(nb)] == []


def sound_notebook():
    """Return a small notebook without offence, to be broken."""
    img = '<img alt="A line that rises from left to right." width="720" src="data:image/png;base64,'
    img += '/tmp/x==">'  # noqa: S108  # pixels that look like a path
    picture = new_output("display_data", {"text/html": img, "text/plain": "A line."})
    printed = new_output("stream", name="stdout", text="0.81")
    nb = new_notebook(
        metadata=METADATA,
        cells=[
            new_markdown_cell("# A title", id="title"),
            new_code_cell("train()", id="train", execution_count=1, outputs=[printed]),
            new_code_cell("assert accuracy > 0.8", id="train-check", execution_count=2),
            new_code_cell("draw()", id="draw", execution_count=3, outputs=[picture]),
            new_code_cell("x = ...", id="task", execution_count=4),
            new_markdown_cell("<summary>Solution</summary>", id="solution"),
        ],
    )
    for number, tag in ((1, "nbval-ignore-output"), (4, "exercise"), (5, "solution")):
        nb.cells[number].metadata["tags"] = [tag]
    return nb


def test_sound_notebook_has_no_offence():
    assert [offence for rule in RULES for offence in rule(sound_notebook())] == []


def html(text):
    return {"outputs": [new_output("display_data", {"text/html": text})]}


IGNORED = {"metadata": {"tags": ["nbval-ignore-output"]}}
ERROR = new_output("error", ename="ValueError", evalue="", traceback=[])
STDERR = new_output("stream", name="stderr", text="a warning")
IN_A_HOME = new_output("stream", name="stdout", text="saved in /home/ada/notes.txt")
PNG = new_output("display_data", {"image/png": "iVBO"})


@pytest.mark.parametrize(
    ("rule", "cell", "change"),
    [
        (not_one_run, 2, {"execution_count": 7}),
        (not_one_run, 2, {"execution_count": None}),
        (errors_and_stderr, 1, {"outputs": [ERROR]}),
        (errors_and_stderr, 1, {"outputs": [STDERR]}),
        (machine_paths, 1, {"outputs": [IN_A_HOME]}),
        (machine_paths, 2, {"source": "open('/tmp/x')"}),
        (machine_paths, 2, {"source": "open('/srv/course/x')"}),
        (machine_paths, 0, {"source": r"see C:\Users\ada"}),
        (ignored_without_assertion, 2, {"source": "print(accuracy)"}),
        (ignored_without_assertion, 2, {"source": "# assert accuracy > 0.8"}),
        (ignored_without_assertion, 2, IGNORED),
        (ignored_without_assertion, 3, IGNORED),
        (pictures_without_alternative, 3, {"outputs": [PNG]}),
        (pictures_without_alternative, 3, html('<p>see</p><img src="data:image/png;base64,iV">')),
        (
            pictures_without_alternative,
            3,
            html('<img alt="a plot" src="data:image/png;base64,iV">'),
        ),
        (pictures_without_alternative, 3, html("<svg><path/></svg>")),
        (pictures_without_alternative, 0, {"source": "![](plot.png)"}),
        (pictures_without_alternative, 0, {"source": '<img src="plot.png">'}),
        (solutions_that_are_not_taken_out, 4, {"metadata": {}}),
        (solutions_that_are_not_taken_out, 5, {"metadata": {}}),
        (solutions_that_are_not_taken_out, 5, {"source": "Now you."}),
        (solutions_that_are_not_taken_out, 0, {"source": "<summary>Solution</summary>"}),
        (solutions_that_are_not_taken_out, 3, {"metadata": {"tags": ["solution"]}}),
        (long_cells, 2, {"source": "x = 1\n" * 26}),
        (markers_of_nbval, 2, {"source": "# NBVAL_SKIP\nassert accuracy > 0.8"}),
        (ids, 2, {"id": "0a1b2c3d"}),
        (ids, 2, {"id": None}),
        (ids, 2, {"id": "train"}),
        (untidy_metadata, 2, {"metadata": {"execution": {}}}),
        (untidy_metadata, 2, {"metadata": {"tags": ["nbval-skip"]}}),
    ],
)
def test_rule_finds_the_offence(rule, cell, change):
    nb = sound_notebook()
    nb.cells[cell].update(nbformat.from_dict(change))
    assert list(rule(nb)) != []


def test_widgets_left_in_the_metadata_are_an_offence():
    nb = sound_notebook()
    nb.metadata["widgets"] = {}
    assert list(untidy_metadata(nb)) != []
