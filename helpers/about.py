"""What a report needs to know of a machine: `python -m helpers.about` prints some lines to copy.

Versions, processor, threads, and which data is there: no name of a person, machine or folder.
"""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("rnn-course", "torch", "torchtext", "numpy", "matplotlib", "jupyterlab", "ipykernel")
VARIABLES = ("OMP_NUM_THREADS", "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "CUDA_VISIBLE_DEVICES")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    with suppress(OSError, StopIteration):  # Linux, but not on every processor
        lines = Path("/proc/cpuinfo").read_text("utf8").splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    return platform.processor() or platform.machine()


def _torch() -> str:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    build = f"{torch.__version__}, {torch.get_num_threads()} threads"  # +cu130, say
    return f"{build}, {torch.backends.cpu.get_cpu_capability()}, {gpu}"


def _data() -> str:
    from helpers import data

    setting, places = os.environ.get("RNN_COURSE_DATA"), {"data/": [data.DATA]}
    if setting:
        folders = [Path(setting).expanduser(), data.DATA.parent / setting]
        places = {"RNN_COURSE_DATA": [f for f in folders if f.is_dir()]} | places
    found = [] if not setting or places["RNN_COURSE_DATA"] else ["RNN_COURSE_DATA is no folder"]
    for file, *_ in data.SOURCES.values():
        there = [
            f"{(folder / file).stat().st_size:,} bytes in {place}"
            for place, folders in places.items()
            for folder in folders
            if (folder / file).is_file()
        ]
        found.append(f"{file}: {there[0] if there else 'not here'}")
    return "; ".join(found)


def about() -> dict[str, str]:
    """Return what is asked for when something does not work, each under its name.

    Returns
    -------
    dict of str
        In the order in which it is printed. Of what cannot be found out, why not.
    """
    found = {
        "Python": f"{platform.python_version()}, {platform.platform()}",
        "packages": ", ".join(f"{package} {_version(package)}" for package in PACKAGES),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "variables": ", ".join(f"{v}={os.environ[v]}" for v in VARIABLES if v in os.environ),
    }
    for name, ask in (("torch", _torch), ("data", _data)):
        try:
            found[name] = ask()
        except Exception as error:  # what is broken is what the report is about
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
            found[name] = why.replace(str(Path.home()), "~")
    return found


if __name__ == "__main__":
    for name, text in about().items():
        print(f"{name:10} {text or 'none set'}")
