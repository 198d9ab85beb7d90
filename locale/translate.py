"""The Korean edition: English is the only source, `locale/ko` says how each piece reads in Korean.

    python locale/translate.py           make notebooks/ko (the site's pages too) and README.ko.md
    python locale/translate.py update    take new and changed English text into the .po files

A message is a Markdown cell of a notebook (its context: the cell's id) or a section of a page (its
context: the page and its place). Where the English has changed, `update` marks the old translation
as fuzzy; it is used again when somebody has mended it and taken the mark away.
"""

import ast
import csv
import re
import sys
from pathlib import Path

import nbformat
import polib

from helpers import checks

ROOT = Path(__file__).parents[1]
KOREAN = ROOT / "locale/ko"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SENTENCE = re.compile(r"[^a-z\s].* .*[.?}]|.* (?:is|are) wanted, .*|.+\{\w+\}")
SECTION = re.compile(r"^(?=#{1,3} )", re.MULTILINE)


def sections(page: Path) -> dict[str, str]:
    """Return the pieces of a page, each under its context: they add up to the page."""
    pieces = [piece for piece in SECTION.split(page.read_text(encoding="utf8")) if piece]
    return {f"{page.name} {number}": piece for number, piece in enumerate(pieces, start=1)}


def english() -> dict[str, dict[str, str]]:
    """Return what is to be translated: for each .po file the messages, each under its context."""
    found = {}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        found[path.stem] = {c.id: c.source for c in cells if c.cell_type == "markdown"}
    found["checks"] = {text: text for text in said_by_checks()}
    found["pages"] = {key: text for page in PAGES for key, text in sections(page).items()}
    return found


def said_by_checks() -> list[str]:
    """Return what the checks say: the texts of the records, and all that looks like a sentence."""
    found = []
    for record in checks.EXERCISES.values():
        hints = [hint for _, hint in record.mistakes]
        judged = record.judge.__module__ if hasattr(record.judge, "__module__") else ""
        if judged.startswith("helpers.checks.chapter"):  # there some hints are parts of messages
            hints = [hint for hint in hints if SENTENCE.fullmatch(hint)]
        found += [record.says, *hints, *record.parts]
    for path in sorted((ROOT / "helpers/checks").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = isinstance(node, ast.Constant) and str(node.value)
            if text and id(node) not in docstrings and SENTENCE.fullmatch(text):
                found.append(text)
    return list(dict.fromkeys(filter(None, found)))


def korean(name: str) -> dict[str, polib.POEntry]:
    """Return the messages of a .po file, each under its context."""
    path = KOREAN / f"{name}.po"
    entries = polib.pofile(path) if path.exists() else ()
    return {entry.msgctxt or entry.msgid: entry for entry in entries}


def glossary() -> list[dict[str, str]]:
    """Return the terms: English, Korean, English forms that count as the same, other renderings."""
    with (KOREAN / "glossary.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


def forms(term: dict[str, str]) -> re.Pattern:
    """Return a pattern that finds a term of the glossary in an English text, in all its forms."""
    words = [term["english"], *filter(None, term["also"].split(";"))]
    words = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in words)
    return re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)


def glossary_page() -> str:
    """Return the glossary as a page: each term with the chapter that uses it first."""
    chapters = {  # titles of papers are no use of a term
        name: "\n".join(cells.values()).split("## Further reading")[0]
        for name, cells in english().items()
        if name[:2].isdigit()
    }
    lines = [
        "# Glossary · 용어집\n",
        "| English | 한국어 | chapter | other renderings |",
        "|---|---|---|---|",
    ]
    for term in glossary():
        first = next((int(n[:2]) for n, text in chapters.items() if forms(term).search(text)), "")
        lines.append(f"| {term['english']} | {term['korean']} | {first} | {term['other']} |")
    return "\n".join(lines) + "\n"


def update() -> None:
    """Write the English text as it stands into the .po files, and keep what is translated."""
    for name, messages in english().items():
        known = korean(name)
        file = polib.POFile(wrapwidth=0)
        file.metadata = {"Language": "ko", "Content-Type": "text/plain; charset=utf-8"}
        for context, text in messages.items():
            alone = context == text  # a message of the checks is its own context
            entry = known.get(context, polib.POEntry(msgctxt=None if alone else context))
            if entry.msgid != text and entry.msgstr:
                entry.flags = ["fuzzy"]
                entry.previous_msgid = entry.previous_msgid or entry.msgid
            entry.msgid = text
            file.append(entry)
        file.save(KOREAN / f"{name}.po")


def make(target: Path = ROOT) -> None:
    """Write the Korean notebooks and pages: code, outputs and ids are the English ones."""
    folder = target / "notebooks/ko"
    folder.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS:
        said = korean(path.stem)
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = said[cell.id].msgstr
        nbformat.write(notebook, folder / path.name)
    (folder / "glossary.md").write_text(glossary_page(), encoding="utf8")
    said = korean("pages")
    for page in PAGES:
        made = target / "README.ko.md" if page.name == "README.md" else folder / page.name
        made.write_text("".join(said[key].msgstr for key in sections(page)), encoding="utf8")


if __name__ == "__main__":
    update() if sys.argv[1:] == ["update"] else make()
