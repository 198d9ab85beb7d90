"""`python -m helpers.about`: what a report needs, on a broken installation too, and no more."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

import helpers.about

ROOT = Path(__file__).parents[1]


def about(home, path=(), **env):
    path = os.pathsep.join(map(str, [*path, ROOT]))
    env = os.environ | {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": path} | env
    run = subprocess.run(
        [sys.executable, "-m", "helpers.about"], cwd=home, env=env, text=True, capture_output=True
    )
    assert run.returncode == 0, run.stderr
    assert str(home) not in run.stdout
    assert socket.gethostname() not in run.stdout
    return dict(line.split(maxsplit=1) for line in run.stdout.splitlines())


def test_versions_threads_and_data_are_told_and_no_folder(tmp_path, monkeypatch):
    (tmp_path / "1268-0.txt").write_bytes(b"Ahoy!")
    found = about(tmp_path, RNN_COURSE_DATA=str(tmp_path), OMP_NUM_THREADS="1")
    assert found["Python"].startswith(sys.version.split()[0])
    assert f"torch {torch.__version__.split('+')[0]}" in found["packages"]
    assert found["torch"].startswith(f"{torch.__version__}, 1 threads")
    assert found["variables"].startswith("OMP_NUM_THREADS=1")
    assert found["data"].endswith("1268-0.txt: 5 bytes in RNN_COURSE_DATA")
    monkeypatch.setenv("RNN_COURSE_DATA", str(tmp_path / "gone"))
    assert helpers.about.about()["data"].startswith("RNN_COURSE_DATA is no folder; ")


def test_a_broken_torch_is_reported(tmp_path):
    broken = f"raise ImportError('no {(tmp_path / 'libtorch.so').as_posix()}\\nwhere it should be')"
    (tmp_path / "torch.py").write_text(broken, "utf8")
    found = about(tmp_path, path=[tmp_path])
    assert found["torch"] == "ImportError: no ~/libtorch.so"
    assert found["data"] == found["torch"]
