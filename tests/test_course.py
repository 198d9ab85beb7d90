"""`course.py`, which sets the course up: what it finds, what it says, what it installs.

Nothing is installed here: interpreters, pip and the index of wheels are stood in for.
"""

import ast
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """`course.py` in a repository of its own."""
    for name in ("course.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    spec = importlib.util.spec_from_file_location("course", tmp_path / "course.py")
    course = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(course)
    for name in ("PYTHON", "TORCH"):
        monkeypatch.delenv(name, raising=False)
    return course


def interpreters(course, monkeypatch, **found):
    """Let these be found: python3_9="3.9 64 True", say, for a whole Python 3.9."""
    known = {name.replace("_", "."): facts.split() for name, facts in found.items()}
    lookup = lambda command: [*known[command[0]], command[0]] if command[0] in known else None  # noqa: E731
    monkeypatch.setattr(course, "facts", lookup)


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ({"python3_11": "3.11 64 True", "python3_13": "3.13 64 True"}, "3.11"),
        ({"python3_12": "3.12 64 True", "python3_13": "3.13 64 True"}, "3.13"),
        ({"python3": "3.12 64 True"}, "3.12"),
        ({"python3_11": "3.11 64 False", "python3_12": "3.12 64 True"}, "3.12"),  # no python3-venv
        (
            {"python3": "3.9 64 True", "python3_13": "3.13 32 True", "python3_14": "3.14 64 True"},
            "3.14",
        ),
    ],
)
def test_the_right_python_is_found(found, chosen, course, monkeypatch):
    interpreters(course, monkeypatch, **found)
    assert course.choose()[0] == chosen


@pytest.mark.parametrize(
    ("found", "asked", "words"),
    [
        ({}, "", "finds none.*uv python install 3.13.*conda create.*apt install.*brew install"),
        ({"python3": "3.10 64 True"}, "", r"3.11, 3.12 or 3.13.*finds Python 3.10 \(64 bits\)"),
        ({"python3": "3.13 32 True"}, "", r"built for 64 bits.*finds Python 3.13 \(32 bits\)"),
        ({"python3": "3.12 64 False"}, "", "sudo apt install python3.12-venv$"),
        ({"python3": "3.12 64 True"}, "python3.9", "finds python3.9"),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(found, asked, words, course, monkeypatch):
    interpreters(course, monkeypatch, **found)
    monkeypatch.setenv("PYTHON", asked)
    with pytest.raises(SystemExit, match=f"(?s){words}"):
        course.choose()


def test_macs_with_intel_processors_get_a_way_out(course, monkeypatch):
    interpreters(course, monkeypatch, python3="3.13 64 True")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert course.choose()[0] == "3.13"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(SystemExit, match=r"(?s)Intel.*Colab or Codespaces"):
        course.choose()


def test_facts_are_those_of_a_real_interpreter(course, tmp_path):
    version, bits, whole, path = course.facts([sys.executable])
    assert (version, bits, whole) == ("{}.{}".format(*sys.version_info), "64", "True")
    assert Path(path).samefile(sys.executable)
    assert course.facts([str(tmp_path / "gone")]) is None
    assert course.facts(["false"]) is None


@pytest.fixture
def index(course, monkeypatch):
    """An index of wheels on this machine; `answers` seconds after it is asked."""
    asked = []

    class Index(http.server.BaseHTTPRequestHandler):
        answers = 0

        def do_HEAD(self):
            asked.append(self.path)
            time.sleep(self.answers)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Stay silent."""

    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        Index.asked = asked
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(course, "WHEELS", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(course, "DRIVERS", ["/nowhere"])
        monkeypatch.setattr(sys, "platform", "linux")
        yield Index
        server.shutdown()
        thread.join()


def test_without_a_gpu_linux_takes_wheels_without_cuda(
    course, index, tmp_path, monkeypatch, capsys
):
    assert course.torch_index() == course.WHEELS + "cpu"
    assert index.asked == ["/cpu/torch/"]  # once
    assert "no NVIDIA driver" in capsys.readouterr().out
    monkeypatch.setattr(course, "DRIVERS", [str(tmp_path)])
    assert course.torch_index() is None
    monkeypatch.setenv("TORCH", "cpu")
    assert course.torch_index() == course.WHEELS + "cpu"
    monkeypatch.setenv("TORCH", "pypi")
    assert course.torch_index() is None
    monkeypatch.delenv("TORCH")
    monkeypatch.setattr(course, "DRIVERS", ["/nowhere"])
    monkeypatch.setattr(sys, "platform", "darwin")
    assert course.torch_index() is None
    assert len(index.asked) == 1


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9/"])
def test_an_index_out_of_reach_costs_three_seconds(address, course, index, monkeypatch, capsys):
    index.answers = 8
    monkeypatch.setattr(course, "WHEELS", address or course.WHEELS)
    before = time.monotonic()
    assert course.torch_index() is None
    assert time.monotonic() - before < 5
    assert "out of reach" in capsys.readouterr().out


def installed(course, monkeypatch, **environment):
    """Make the environment, without pip; return what pip would have been given."""
    given = []

    def pip(*arguments):
        given.append(arguments)
        return not any("wheels" in argument for argument in arguments)

    monkeypatch.setattr(course, "facts", lambda command: ["3.13", "64", "True", *command[:1]])
    monkeypatch.setattr(course, "pip", pip)
    monkeypatch.setattr(course.subprocess, "call", lambda command: course.VENV.mkdir(exist_ok=True))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    course.ready()
    return given


def test_the_environment_is_made_once_and_anew_when_it_has_to_be(course, monkeypatch, capsys):
    monkeypatch.setattr(course, "torch_index", lambda: None)
    assert installed(course, monkeypatch) == [("torch",), ("--editable", ".[test]")]
    told = capsys.readouterr().out
    for step in ("1 of 3 (a first start)", "2 of 3: PyTorch", "3 of 3: JupyterLab", "Ready"):
        assert step in told
    assert installed(course, monkeypatch) == []
    for change, why in (
        (lambda: course.STAMP.unlink(), "not whole"),
        (lambda: monkeypatch.setattr(course, "digest", lambda: "other"), "has changed"),
        (lambda: monkeypatch.setenv("TORCH", "cu130"), "another PyTorch"),
        (
            lambda: monkeypatch.setattr(course, "ROOT", course.ROOT / ".." / course.ROOT.name),
            "another folder",
        ),
    ):
        change()
        assert why in course.why_anew()
        assert len(installed(course, monkeypatch)) == 2
        assert installed(course, monkeypatch) == []


def test_an_index_that_has_no_wheel_is_no_obstacle(course, monkeypatch):
    monkeypatch.setattr(course, "torch_index", lambda: "wheels")
    assert [given[-1] for given in installed(course, monkeypatch)] == ["torch", "torch", ".[test]"]
    course.STAMP.unlink()
    with pytest.raises(SystemExit, match="PyTorch could not be installed"):
        installed(course, monkeypatch, TORCH="wheels")  # which was asked for


def test_a_small_disk_is_named_before_anything_is_made(course, monkeypatch):
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: type("", (), {"free": 1.2e9}))
    with pytest.raises(SystemExit, match=r"needs 8 GB of disk .*, and 1\.2 are free"):
        installed(course, monkeypatch, TORCH="pypi")
    assert not course.VENV.exists()


def test_any_python_from_3_8_up_can_run_it():
    ast.parse((ROOT / "course.py").read_text(encoding="utf8"), feature_version=(3, 8))


def test_all_doors_promise_the_same_pythons(course):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    versions = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert project["requires-python"] == f">={versions[0]}"
    assert set(versions) <= set(course.PYTHONS)
    ci = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf8")
    for version in versions:
        assert version in course.NEEDED
        assert version in (ROOT / "README.md").read_text(encoding="utf8")
        assert f'"{version}"' in ci


def test_codespaces_set_up_what_make_sets_up():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf8"))
    tool, target = container["updateContentCommand"].split()
    assert tool == "make"
    assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf8")
    assert container["hostRequirements"] == {"cpus": 2, "memory": "8gb"}


@pytest.mark.skipif(not shutil.which("make"), reason="make is not here")
def test_make_says_what_to_do_where_there_is_no_python(tmp_path):
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    run = subprocess.run(
        [shutil.which("make"), "--file", ROOT / "Makefile", "lab", f"SHELL={tmp_path}/sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode
    assert "No Python is found here. The course needs Python 3.11, 3.12 or 3.13" in run.stderr


@pytest.mark.parametrize("command", ["ready", "lab", "lab ko", "test", "check"])
def test_each_command_starts_what_it_says(command, course, monkeypatch):
    def start(program, *arguments):
        raise SystemExit(program + arguments[-1][:12])  # it never comes back

    monkeypatch.setattr(course, "ready", lambda: None)
    monkeypatch.setattr(course, "start", start)
    monkeypatch.setattr(course.subprocess, "call", lambda command: 0)
    monkeypatch.setattr(course.os, "environ", {})
    monkeypatch.chdir(course.ROOT)
    try:
        started = course.main(*command.split())
    except SystemExit as end:
        started = end.code
    labs = {"lab": "jupyterlabnotebooks/01", "lab ko": "jupyterlabnotebooks/ko"}
    assert started == ({"ready": None} | labs).get(command, "pytestloadfile")
