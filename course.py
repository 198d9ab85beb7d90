#!/usr/bin/env python3
"""Set the course up and start it, on Linux, macOS and Windows; any Python from 3.8 up runs this.

    python3 course.py lab      JupyterLab on the first chapter; in Korean: lab ko
    python3 course.py test     unit tests, and every cell of every chapter compared
    python3 course.py check    lint, unit tests, all chapters on the sample
    python3 course.py ready    only make the environment, .venv

What follows the command goes to JupyterLab or pytest. Two environment variables decide what is
otherwise found out: PYTHON names the interpreter, TORCH the kind of PyTorch (`cpu`, `cu130` or
another folder of download.pytorch.org/whl; `pypi` for the package of the package index).
"""

import contextlib
import hashlib
import http.client
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
OWN = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "ready"  # written last: an installation that was interrupted starts over
PYTHONS = ("3.11", "3.13", "3.12", "3.14")  # in this order: the stored outputs are from 3.11
WHEELS = "https://download.pytorch.org/whl/"
DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
# Of an interpreter: its version, what it is built for, whether it can make environments, its file.
FACTS = """
import importlib.util, platform, sys
print("%d.%d" % sys.version_info[:2], "64" if sys.maxsize > 2**32 else "32",
      bool(importlib.util.find_spec("ensurepip")), getattr(sys, "_base_executable", sys.executable),
      sep="\\t", end="")
"""
INSTALLED = """
import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, ("torch", "jupyterlab", "pytest", "helpers"))))
"""
NEEDED = "Python 3.11, 3.12 or 3.13, built for 64 bits"
HOW = """Get one of them in one of these ways, open a new terminal, and start again:
  uv python install 3.13               uv is at https://docs.astral.sh/uv
  conda create --name py313 python=3.13, then conda activate py313
  sudo apt install python3 python3-venv (Debian, Ubuntu) or sudo dnf install python3.13 (Fedora)
  brew install python@3.13 (macOS) or winget install Python.Python.3.13 (Windows)
A Python with another name or in another place: PYTHON=/the/path/to/python3.13"""
NO_MAC = """PyTorch is no longer built for Intel processors of Macs: 2.2 was the last version. Run
the course in Colab or Codespaces instead (the README has the links). If this Mac has a processor of
Apple's, its Python is one for Intel: take one that is built for arm64."""


def facts(command):
    """Return version, bits, whether it has ensurepip, and the file of an interpreter, or None."""
    try:
        run = subprocess.run([*command, "-c", FACTS], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.split("\t") if run.returncode == 0 else None


def choose():
    """Return version and file of the interpreter to use, or end with what to do."""
    asked = os.environ.get("PYTHON")
    names = [["python" + version] for version in PYTHONS]
    if os.name == "nt":
        names += [["py", "-" + version] for version in PYTHONS]
    names = [[asked]] if asked else [*names, [sys.executable], ["python3"], ["python"]]
    there = list(filter(None, map(facts, names)))
    good = [known for known in there if known[0] in PYTHONS and known[1] == "64"]
    whole = [known for known in good if known[2] == "True"]
    if not good:
        found = ", ".join(f"Python {known[0]} ({known[1]} bits)" for known in there)
        raise SystemExit(f"The course needs {NEEDED}, and finds {found or asked or 'none'}.\n{HOW}")
    if not whole:
        raise SystemExit(
            f"Python {good[0][0]} is here, but not what makes environments. On Debian or Ubuntu:\n"
            f"  sudo apt install python{good[0][0]}-venv"
        )
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise SystemExit(NO_MAC)
    return min(whole, key=lambda known: PYTHONS.index(known[0]))


def reachable(url):
    """Tell whether an address answers within three seconds, whatever it is that hangs."""
    answers = []

    def ask():
        head = urllib.request.Request(url, method="HEAD")
        with contextlib.suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(head, timeout=3).close()
            answers.append(url)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(3)
    return bool(answers)


def torch_index():
    """Return the folder of PyTorch's own wheels to install from, or None for the package index."""
    wanted = os.environ.get("TORCH")
    if wanted:
        return None if wanted == "pypi" else WHEELS + wanted
    if not sys.platform.startswith("linux") or any(map(os.path.exists, DRIVERS)):
        return None
    if reachable(WHEELS + "cpu/torch/"):
        print("There is no NVIDIA driver here: PyTorch comes without CUDA (TORCH=pypi brings it).")
        return WHEELS + "cpu"
    print("PyTorch's wheels without CUDA are out of reach: the package index has to do.")
    return None


def pip(*arguments):
    """Install; tell whether it went well. What pip prints says how far it is."""
    options = ["--disable-pip-version-check", "--constraint", "constraints.txt"]
    return subprocess.call([str(OWN), "-m", "pip", "install", *options, *arguments]) == 0


def why_anew():
    """Return why the environment has to be made: "" if it is whole, and what is asked for."""
    if not VENV.exists():
        return "a first start"
    if not STAMP.is_file():
        return "what is in .venv is not whole"
    folder, _, rest = STAMP.read_text(encoding="utf8").partition("\n")
    versions, _, kind = rest.partition("\n")
    if folder != str(ROOT):
        return "it belongs to another folder"
    if versions != digest():
        return "pyproject.toml or constraints.txt has changed"
    known, asked = facts([str(OWN)]), os.environ.get("PYTHON")
    if known is None or subprocess.call([str(OWN), "-c", INSTALLED]):
        return "what is in .venv does not run"
    if asked and known[0] != (facts([asked]) or known)[0]:
        return "it was made with Python " + known[0]
    if os.environ.get("TORCH", kind) != kind:
        return "another PyTorch is asked for"
    return ""


def digest():
    """Return what changes with the packages and versions that the course asks for."""
    files = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"".join(files)).hexdigest()


def ready():
    """Make the environment, unless it is there and right."""
    reason = why_anew()
    if not reason:
        return
    version, _, _, python = choose()
    index = torch_index()
    large = index is None and sys.platform.startswith("linux")
    needed, free = 8 if large else 2.5, shutil.disk_usage(str(ROOT)).free / 1e9
    if free < needed:
        raise SystemExit(
            f"The environment needs {needed} GB of disk while it is made, and {free:.1f} are free"
            " where the course lies: make room, or put the course on another disk."
        )
    print(f"1 of 3 ({reason}): an environment in .venv, with Python {version}", flush=True)
    if subprocess.call([python, "-m", "venv", "--clear", str(VENV)]):
        raise SystemExit("This Python cannot make environments. Another one?\n" + HOW)
    print(f"2 of 3: PyTorch, {'up to 1.4 GB' if large else 'about 200 MB'} to download", flush=True)
    source = ["--no-deps", "--index-url", index] if index else []
    if not pip(*source, "torch") and (not index or os.environ.get("TORCH") or not pip("torch")):
        raise SystemExit("PyTorch could not be installed: what pip said last tells why.")
    print("3 of 3: JupyterLab and the other packages, about 130 MB to download", flush=True)
    if not pip("--editable", ".[test]"):
        raise SystemExit("The packages could not be installed: what pip said last tells why.")
    kind = os.environ.get("TORCH", "")
    STAMP.write_text("\n".join([str(ROOT), digest(), kind]), encoding="utf8")
    print("Ready. The next start takes seconds.", flush=True)


def start(*arguments):
    """Become a program of the environment; never come back."""
    command = [str(OWN), "-m", *arguments]
    if os.name == "posix":  # so that it gets Ctrl-C, and nothing else does
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(subprocess.call(command))


def main(command="", *arguments):
    """Run the command line."""
    if command not in ("lab", "test", "check", "ready"):
        raise SystemExit(__doc__)
    os.chdir(str(ROOT))
    ready()
    if command == "ready":
        return
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # why: see the Makefile
    if command == "lab":
        root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        if arguments[-1:] == ("ko",):
            arguments = (*arguments[:-1], "notebooks/ko/01_sequential_data.ipynb")
            if Path("locale/translate.py").exists():  # students have only what it made
                subprocess.check_call([str(OWN), "locale/translate.py"])
        named = any(name.endswith(".ipynb") for name in arguments)
        first = [] if named else ["notebooks/01_sequential_data.ipynb"]
        start("jupyterlab", *root, *arguments, *first)
    if command == "check":
        for lint in (["check"], ["format", "--check"]):
            if subprocess.call([str(OWN), "-m", "ruff", *lint]):
                raise SystemExit(1)
        os.environ["RNN_COURSE_DATA"] = "data/sample"
    # Each file as a whole by one of several processes, which have one thread each: no core waits.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start("pytest", "-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
