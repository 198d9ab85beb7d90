"""What is done is remembered: `checks.progress()`, in this kernel, after it, beside another one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from helpers import checks
from helpers.checks import done

ROOT = Path(__file__).parents[1]
TOTAL = len(checks.EXERCISES)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A kernel that has just started, beside a notebook where nothing is done yet."""
    monkeypatch.setattr(done, "FILE", tmp_path / "progress.txt")
    monkeypatch.setattr(done, "right_here", set())
    return tmp_path / "progress.txt"


def answer(name, right=True):
    record = checks.EXERCISES[name]
    return record(*record.right) if record.takes > 1 else record(record.right if right else 0)


def lines(capsys):
    checks.progress()
    return capsys.readouterr().out.splitlines()


def test_what_is_right_is_done_and_known_to_the_next_kernel(file, capsys, monkeypatch):
    assert lines(capsys)[-1] == f"done 0 of {TOTAL}:"
    answer("rnn_parameters", right=False)
    assert not file.exists()
    for name in ("rnn_parameters", "bigram_twins", "rnn_parameters"):
        answer(name)
    assert file.read_text("utf8").split() == ["rnn_parameters", "bigram_twins"]
    monkeypatch.setattr(done, "right_here", set())  # the next kernel
    table = lines(capsys)
    assert table[-1] == f"done 2 of {TOTAL}: 1.5 2.1"
    assert " ".join(table[1].split()) == ("chapter 2 ✓ 2.1 · 2.2 · 2.3 · 2.4 · 2.5 · 2.6 · 2.7")
    file.unlink()
    assert lines(capsys)[-1] == f"done 0 of {TOTAL}:"


def test_a_file_of_which_a_part_is_lost_loses_no_more(file, capsys):
    file.write_bytes(b"bigram_twins\n\xff\x00no_such_exercise\nrnn_par")  # and then the power went
    answer("carry_state")
    assert lines(capsys)[-1] == f"done 2 of {TOTAL}: 1.5 3.5"


@pytest.mark.parametrize("obstacle", ["a folder of that name", "no folder to write to"])
def test_where_nothing_can_be_written_the_check_judges_and_the_kernel_remembers(
    file, capsys, monkeypatch, obstacle
):
    if obstacle == "a folder of that name":
        file.mkdir()
    else:
        monkeypatch.setattr(done, "FILE", file.parent / "gone" / "progress.txt")
    assert answer("rnn_parameters").state == "right"
    *_, line, warning = lines(capsys)
    assert line == f"done 1 of {TOTAL}: 2.1"
    assert "save this line" in warning


def test_two_notebooks_at_once_write_into_one_file(tmp_path):
    names = list(checks.EXERCISES)
    code = (
        "import sys; from helpers import checks; from helpers.checks import done\n"
        "for name in sys.argv[1:]: done.note(checks.EXERCISES[name])"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    kernels = [
        subprocess.Popen([sys.executable, "-c", code, *names[k::2]], cwd=tmp_path, env=env)
        for k in range(2)
    ]
    assert [kernel.wait() for kernel in kernels] == [0, 0]
    assert sorted((tmp_path / "progress.txt").read_text("utf8").split()) == sorted(names)


def test_numbers_are_those_of_the_chapters(file, capsys):
    for name in checks.EXERCISES:
        done.note(checks.EXERCISES[name])
    told = re.findall(r"✓ (\d+\.\d+)", "\n".join(lines(capsys)))
    stands, called = [], []
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            stands += re.findall(r"^### Exercise (\d+\.\d+)", cell.source, re.MULTILINE)
            if "exercise" in cell.metadata.get("tags", []):
                called += re.findall(r"^checks\.(\w+)\(", cell.source, re.MULTILINE)
    assert stands == told
    assert called == list(checks.EXERCISES)  # in this order they are numbered
