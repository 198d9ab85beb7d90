"""What leads to the chapters: the README's table, links, the addresses of a copy, the handout."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data/README.md"]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


address = load("address")


@pytest.mark.parametrize("page", ["README.md", "docs/plan.md"])
def test_every_chapter_has_its_row(page):
    rows = re.findall(
        r"^\| (\d) \| \[.+?\]\((?:\.\./)?notebooks/(.+?)\) \|",
        (ROOT / page).read_text("utf8"),
        re.MULTILINE,
    )
    assert rows == [(str(n), path.name) for n, path in enumerate(CHAPTERS, start=1)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_dead(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf8"), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert "OWNER" not in text


def git(folder, *command):
    subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("remote", "found"),
    [
        ("https://github.com/someone/rnn-copy", "someone/rnn-copy"),
        ("https://github.com/someone/rnn.copy.git", "someone/rnn.copy"),
        ("https://ada:secret@github.com/someone/rnn-copy/", "someone/rnn-copy"),
        ("git@github.com:someone/rnn-copy.git", "someone/rnn-copy"),
        ("https://example.org/someone/rnn-copy", None),
        ("../rnn-copy", None),
        (None, None),
    ],
)
def test_repository_is_that_of_the_remote(tmp_path, monkeypatch, remote, found):
    git(tmp_path, "init", "--quiet")
    if remote:
        git(tmp_path, "remote", "add", "origin", remote)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert address.repository() == found
    monkeypatch.setenv("GITHUB_REPOSITORY", "a-fork/of-it")  # a workflow knows best
    assert address.repository() == "a-fork/of-it"


def test_pages_of_a_user_stand_at_the_root():
    assert address.site("Someone/rnn-copy") == "https://someone.github.io/rnn-copy/"
    assert address.site("Someone/Someone.github.io") == "https://someone.github.io/"


@pytest.mark.skipif(shutil.which("make") is None, reason="the handout is made by make")
def test_handout_has_all_but_the_solutions(tmp_path):
    chapter = CHAPTERS[2]
    (tmp_path / "notebooks/ko").mkdir(parents=True)
    for file in ("helpers/text.py", "tests/secret.py", "locale/ko/01.po"):
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).write_text("a solution", "utf8")
    for file in ("Makefile", ".gitignore"):
        shutil.copy(ROOT / file, tmp_path)
    shutil.copy(chapter, tmp_path / "notebooks")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    shutil.copy(chapter, tmp_path / "notebooks/my-notes.ipynb")  # git does not know it
    shutil.copy(chapter, tmp_path / "notebooks/ko")
    make = ["make", "-o", ".venv/ready", f"BIN={Path(sys.executable).parent}", "student"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    handout = tmp_path / "_student"
    files = sorted(f.relative_to(handout).as_posix() for f in handout.rglob("*") if f.is_file())
    both = [f"notebooks/{chapter.name}", f"notebooks/ko/{chapter.name}"]
    assert files == [".gitignore", "Makefile", "helpers/text.py", *both]
    assert "notebooks/ko" not in (handout / ".gitignore").read_text("utf8")
    stored = nbformat.read(chapter, as_version=4)
    stored.cells = [c for c in stored.cells if "solution" not in c.metadata.get("tags", [])]
    for name in both:
        assert nbformat.read(handout / name, as_version=4) == stored
        assert "<summary>Solution" not in (handout / name).read_text("utf8")


def letters(text):
    """Return the letters of all formulas, Greek ones by their names, without words and indices."""
    formulas = " ".join(map("".join, re.findall(r"\$\$(.+?)\$\$|\$([^$]+?)\$", text, re.DOTALL)))
    formulas = re.sub(r"\\(text|operatorname|begin|end)\{[^}]*\}|_\{?\w+", "", formulas)
    greek = re.findall(r"\\(alpha|beta|eta|theta|lambda|rho|sigma|tau|phi|Delta|ell)\b", formulas)
    return {*greek, *re.findall(r"(?<![\w\\])[A-Za-z](?!\w)", formulas)}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_notation_says_what_each_letter_means(path):
    cells = nbformat.read(path, as_version=4).cells
    used = letters("\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))
    told = letters((ROOT / "docs/notation.md").read_text("utf8"))
    assert used - told - {"a", "j"} == set()  # entries of a matrix, a row or a class
