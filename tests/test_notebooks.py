"""What a stored notebook must look like, whatever it teaches.

Each rule is a function from a notebook to the list of its offences. The chapters must have none,
and each rule must find the offence in a notebook that was broken on purpose.
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
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_LINES = 25
PLACES = [str(ROOT), str(Path.home()), tempfile.gettempdir()]  # of the machine that runs this
MACHINE = re.compile(
    "|".join(re.escape(place) + r"[/\\]\w" for place in PLACES)
    + r"|/(home|root|Users|tmp|opt|mnt|var|srv|work|workspace|content|builds)/\w"
    + r"|[A-Z]:\\+Users|site-packages|\.venv"
)


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def printed(output):
    """Return all that an output says in text, pictures aside."""
    parts = [output.get("text", ""), *output.get("traceback", [])]
    parts += [str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/")]
    return re.sub("data:image/[^\"']*", "", "\n".join(parts))


def not_one_run(nb):
    counts = [cell.execution_count for cell in code_cells(nb)]
    wanted = list(range(1, len(counts) + 1))
    return [] if counts == wanted else [f"execution counts are {counts}, not {wanted}"]


def errors_and_stderr(nb):
    return [
        f"{cell.id}: stored {output.get('name', output.output_type)}: {printed(output)[:80]!r}"
        for cell in code_cells(nb)
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def machine_paths(nb):
    texts = [(cell.id, cell.source) for cell in nb.cells]
    texts += [(cell.id, printed(output)) for cell in code_cells(nb) for output in cell.outputs]
    return [f"{i}: {found[0]!r}" for i, text in texts if (found := MACHINE.search(text))]


def ignored_without_assertion(nb):
    cells = code_cells(nb)
    offences = []
    for cell, behind in zip(cells, [*cells[1:], None], strict=True):
        if "nbval-ignore-output" not in tags(cell) and "IGNORE_OUTPUT" not in cell.source:
            continue
        nodes = ast.walk(ast.parse(behind.source)) if behind else []
        if not any(isinstance(node, ast.Assert) for node in nodes):
            offences.append(f"{cell.id}: its output is ignored, and no assertion follows")
        elif "nbval-ignore-output" in tags(behind):
            offences.append(f"{cell.id}: what the asserting cell prints is ignored as well")
    return offences


def without_alternative(text):
    """Return the tags of pictures in HTML that say nothing to somebody who does not see them."""
    found, parser = [], HTMLParser()

    def start(tag, attrs):
        if tag in ("img", "svg", "canvas") and len(dict(attrs).get("alt") or "") < 20:
            found.append(tag)

    parser.handle_starttag = start
    parser.feed(text)
    return found


def pictures_without_alternative(nb):
    offences = []
    for cell in code_cells(nb):
        for output in cell.outputs:
            data = output.get("data", {})
            bare = [kind for kind in data if kind.startswith("image/")]  # JupyterLab drops its alt
            bare += without_alternative(data.get("text/html", ""))
            offences += [f"{cell.id}: a picture ({k}) not from figures.show" for k in bare]
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            bare = re.findall(r"!\[\s*\]", cell.source) + without_alternative(cell.source)
            offences += [f"{cell.id}: {k}, a picture in the text without alternative" for k in bare]
    return offences


def long_cells(nb):
    lines = {cell.id: cell.source.count("\n") + 1 for cell in code_cells(nb)}
    return [f"{i}: {n} lines, at most {MAX_LINES}" for i, n in lines.items() if n > MAX_LINES]


def skipped_cells(nb):
    return [
        f"{cell.id}: skipped by the tests"
        for cell in code_cells(nb)
        if "nbval-skip" in tags(cell) or "NBVAL_SKIP" in cell.source
    ]


def ids(nb):
    found = [cell.get("id") for cell in nb.cells]
    missing = sum(not i for i in found)
    # A tool that makes up ids, makes up random ones: eight hexadecimal digits
    random = [i for i in found if i and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f-]+)?", i)]
    offences = [f"{missing} cells without an id"] if missing else []
    offences += [f"{i}: not an id that a person chose" for i in random]
    return offences + (["an id occurs twice"] if len(set(found)) < len(found) else [])


def untidy_metadata(nb):
    wanted = {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    offences = [] if nb.metadata == wanted else [f"notebook metadata: {dict(nb.metadata)}"]
    known = {"nbval-ignore-output", "full-data", "exercise"}
    for cell in nb.cells:
        if set(cell.metadata) - {"tags"} or set(tags(cell)) - known:
            offences.append(f"{cell.id}: metadata {dict(cell.metadata)}")
    return offences


RULES = [
    not_one_run,
    errors_and_stderr,
    machine_paths,
    ignored_without_assertion,
    pictures_without_alternative,
    long_cells,
    skipped_cells,
    ids,
    untidy_metadata,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_keeps_the_rule(path, rule):
    nb = nbformat.reader.reads(path.read_text(encoding="utf8"))  # as stored: mends nothing
    assert rule(nb) == []


def sound_notebook():
    """Return a small notebook without offence, to be broken."""
    img = '<img alt="A line that rises from left to right." width="720" src="data:image/png;base64,'
    img += '/tmp/x==">'  # noqa: S108  # pixels that look like a path
    picture = new_output("display_data", {"text/html": img, "text/plain": "A line."})
    nb = new_notebook(
        cells=[
            new_markdown_cell("# A title", id="title"),
            new_code_cell("train()", id="train", execution_count=1),
            new_code_cell("assert accuracy > 0.8", id="train-check", execution_count=2),
            new_code_cell("draw()", id="draw", execution_count=3, outputs=[picture]),
        ]
    )
    nb.cells[1].metadata["tags"] = ["nbval-ignore-output"]
    nb.cells[1].outputs = [new_output("stream", name="stdout", text="0.81")]
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    return nb


def test_sound_notebook_has_no_offence():
    assert [offence for rule in RULES for offence in rule(sound_notebook())] == []


def _set(cell, **values):
    def change(nb):
        nb.cells[cell].update(nbformat.from_dict(values))

    return change


def _error(nb):
    nb.cells[1].outputs = [new_output("error", ename="ValueError", evalue="", traceback=[])]


def _stderr(nb):
    nb.cells[1].outputs = [new_output("stream", name="stderr", text="a warning")]


def _output_path(nb):
    nb.cells[1].outputs[0].text = "saved in /home/ada/notes.txt"


def _html(html):
    return _set(3, outputs=[new_output("display_data", {"text/html": html})])


def _png(nb):
    nb.cells[3].outputs = [new_output("display_data", {"image/png": "iVBO"})]
    nb.cells[3].outputs[0].metadata["image/png"] = {"alt": "A line that rises from left to right."}


def _last_cell_ignored(nb):
    nb.cells[3].metadata["tags"] = ["nbval-ignore-output"]


@pytest.mark.parametrize(
    ("rule", "breaks"),
    [
        (not_one_run, _set(2, execution_count=7)),
        (not_one_run, _set(2, execution_count=None)),
        (errors_and_stderr, _error),
        (errors_and_stderr, _stderr),
        (machine_paths, _output_path),
        (machine_paths, _set(2, source="open('/tmp/x')")),
        (machine_paths, _set(2, source="open('/srv/course/x')")),
        (machine_paths, _set(0, source=r"see C:\Users\ada")),
        (ignored_without_assertion, _set(2, source="print(accuracy)")),
        (ignored_without_assertion, _set(2, source="# assert accuracy > 0.8")),
        (ignored_without_assertion, _set(2, metadata={"tags": ["nbval-ignore-output"]})),
        (ignored_without_assertion, _last_cell_ignored),
        (pictures_without_alternative, _png),
        (pictures_without_alternative, _html('<p>see</p><img src="data:image/png;base64,iVBO">')),
        (pictures_without_alternative, _html('<img alt="a plot" src="data:image/png;base64,iV">')),
        (pictures_without_alternative, _html("<svg><path/></svg>")),
        (pictures_without_alternative, _set(0, source="![](plot.png)")),
        (pictures_without_alternative, _set(0, source='<img src="plot.png">')),
        (long_cells, _set(2, source="x = 1\n" * 26)),
        (skipped_cells, _set(2, metadata={"tags": ["nbval-skip"]})),
        (skipped_cells, _set(2, source="# NBVAL_SKIP\nassert accuracy > 0.8")),
        (ids, _set(2, id="0a1b2c3d")),
        (ids, _set(2, id=None)),
        (ids, _set(2, id="train")),
        (untidy_metadata, _set(2, metadata={"execution": {}})),
        (untidy_metadata, _set(2, metadata={"tags": ["raises-exception"]})),
        (untidy_metadata, lambda nb: nb.metadata.update(widgets={})),
    ],
)
def test_rule_finds_the_offence(rule, breaks):
    nb = sound_notebook()
    breaks(nb)
    assert rule(nb) != []
