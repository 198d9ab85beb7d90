"""Break the course in many small ways, one at a time, and see which tests notice.

A mutant is one exact replacement in one file. It is applied in a scratch copy, never here, and
the tests that should notice are run there up to the first failure. Those tests must pass on the
untouched copy first, or nothing they say would count.

Chapters 5 and 6 run on the sample, without a network. What only the real data can notice is
listed, and run by `--real` alone.
"""

import argparse
import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutants.catalogue import ROOT, mutants

WANTED = 0.95
TIMEOUT = 900  # seconds; what does not end is noticed too, but a busy machine is no proof: twice
LARGEST_FILE = 4 << 20  # kB: a limit that is broken must not fill the disk
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",  # several run at once
    "PYTHONDONTWRITEBYTECODE": "1",  # a cache could hold the mutant before
    "http_proxy": "http://127.0.0.1:9",  # no network
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "127.0.0.1,localhost",
}


def copy_repository(folder):
    """Copy what git knows, or would know, into a new folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.check_output(command, cwd=ROOT, text=True).split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run_tests(folder, tests, timeout):
    """Return pytest's exit status, None after a time-out, and what failed first."""
    options = f"-x -q --tb=no -rfE --color=no -p no:cacheprovider --basetemp={folder}.tmp"
    command = f"ulimit -f {LARGEST_FILE}; exec {sys.executable} -m pytest {options} {tests}"
    with (folder / "pytest.log").open("w+") as log:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=ENVIRONMENT | {"PYTHONPATH": str(folder)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        with contextlib.suppress(ProcessLookupError):  # nobody is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.seek(0)
        first = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", log.read(), re.MULTILINE)
    return status, first[1] if first else "time-out or crash"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="parts of file names or cell ids, all if none")
    parser.add_argument("-n", type=int, default=2, help="how many at once")
    parser.add_argument("--real", action="store_true", help="those that need the real data, alone")
    options = parser.parse_args()
    if not options.real:
        ENVIRONMENT.pop("RNN_COURSE_DATA", None)
    timeout = TIMEOUT * (8 if options.real else 1)
    chosen = [
        m for m in mutants() if not options.only or any(part in m.name for part in options.only)
    ]
    waiting = [m for m in chosen if m.real and not options.real]
    chosen = [m for m in chosen if m.real == options.real]
    start, free = time.monotonic(), queue.SimpleQueue()

    def noticed(tests, mutant=None):
        """Return which of the tests fails first, None if none does, after a mutant or without."""
        copy = free.get()
        if mutant:
            (copy / mutant.file).write_text(mutant.broken(), encoding="utf8")
        status, first = run_tests(copy, tests, timeout)
        if status is None:
            status, first = run_tests(copy, tests, timeout)
        if mutant:
            shutil.copy(ROOT / mutant.file, copy / mutant.file)
        free.put(copy)
        if status in (3, 4, 5):  # 2: the tests could not even be collected
            raise RuntimeError(f"pytest ended with {status} on {tests}, {mutant}")
        return None if status == 0 else first

    def killer(mutant):
        begun, by = time.monotonic(), noticed(mutant.tests, mutant)
        seconds, word = time.monotonic() - begun, "killed" if by else "ALIVE"
        print(f"{word:6} {seconds:4.0f} s  {mutant.name}: {mutant.short}  {by or ''}", flush=True)
        return by

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.n) as pool:
        for number in range(options.n):
            free.put(copy_repository(Path(folder) / str(number)))
        if failing := list(filter(None, pool.map(noticed, {m.tests for m in chosen}))):
            sys.exit("\n".join(["these fail on the untouched course already:", *failing]))
        print(f"untouched: all pass ({time.monotonic() - start:.0f} s)", flush=True)
        killers = dict(zip(chosen, pool.map(killer, chosen), strict=True))

    print()
    for file in dict.fromkeys(m.file for m in chosen):
        mine = [by for m, by in killers.items() if m.file == file]
        tests = Counter(by.split("::")[0] for by in mine if by).most_common()
        told = ", ".join(f"{test} {count}" for test, count in tests)
        print(f"{file}: {len(mine) - mine.count(None)} of {len(mine)} killed: {told}")
    for m, by in killers.items():
        if not by:
            print(f"\nalive: {m.name}\n  {m.old}\n  -> {m.new}\n  why: {m.alive or 'UNKNOWN'}")
        elif m.alive:
            print(f"\nkilled after all, so no longer excused: {m.name}: {m.short}")
    for m in waiting:
        print(f"only with --real: {m.name}: {m.short}")
    dead, minutes = sum(map(bool, killers.values())), (time.monotonic() - start) / 60
    print(f"\n{dead} of {len(killers)} killed in {minutes:.0f} minutes")
    return dead < WANTED * len(killers)


if __name__ == "__main__":
    sys.exit(main())
