"""Break the course in many small ways, one at a time, and see which tests notice.

A mutant is one exact replacement in one file. It is applied in a scratch copy, never here, and
the tests that should notice are run there up to the first failure. Those tests must pass on the
untouched copy first, or nothing they say would count.

Chapters 5 and 6 run on the sample, without a network. What only the real data can notice is
listed, and run by `--real` alone.
"""

import argparse
import multiprocessing
import os
import queue
import resource
import shlex
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
LARGEST_FILE = 4 << 30  # bytes: a limit that is broken must not fill the disk
NO_NETWORK = "http://127.0.0.1:9"
LOADED = ["torch.utils.data", "torchtext.vocab", "matplotlib.pyplot", "IPython", "pytest"]
LOADED += ["nbformat", "jupyter_client", "torch._dynamo"]


class FirstFailure:
    """A pytest plugin that remembers what failed first: a test, or the id of a cell."""

    name = None

    def pytest_exception_interact(self, node):
        if self.name is None:
            self.name = node.cell.id if hasattr(node, "cell") else node.name
            self.file = node.nodeid.split("::")[0]


def pytest_in(folder, arguments, environment, answer):
    """Run pytest in a scratch copy; send its exit status and what failed first."""
    import pytest

    os.setsid()
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    sys.dont_write_bytecode = True  # a cache could hold the mutant before
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment, PYTHONPATH=str(folder))
    sys.path.insert(0, str(folder))
    with Path("pytest.log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    first = FirstFailure()
    options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", f"--basetemp={folder}.tmp"]
    status = pytest.main([*options, *arguments], plugins=[first])
    answer.send((int(status), first.name and (Path(first.file).name, first.name)))


class Scratch:
    """Copies of the repository's files to break, and a way to run tests in them."""

    def __init__(self, folder, copies, real):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
        self.free = queue.SimpleQueue()
        for number in range(copies):
            copy = Path(folder) / str(number)
            for name in filter(None, listed.stdout.split("\0")):
                if (ROOT / name).exists():
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, copy / name)
            self.free.put(copy)
        self.environment = os.environ | {
            "PYTHONDONTWRITEBYTECODE": "1",
            "http_proxy": NO_NETWORK,
            "https_proxy": NO_NETWORK,
            "no_proxy": "127.0.0.1,localhost",
        }
        if not real:
            self.environment.pop("RNN_COURSE_DATA", None)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(LOADED)  # once, not for every mutant

    def run(self, tests, timeout, mutant=None):
        """Return (status, what failed first), after `mutant`; status None is a time-out."""
        copy = self.free.get()
        try:
            if mutant:
                (copy / mutant.file).write_text(mutant.broken(), encoding="utf8")
            here, there = self.context.Pipe(duplex=False)
            arguments = (copy, shlex.split(tests), dict(self.environment), there)
            process = self.context.Process(target=pytest_in, args=arguments)
            process.start()
            there.close()
            try:
                return here.recv() if here.poll(timeout) else (None, None)
            except EOFError:  # it died on the way
                return None, None
            finally:
                if process.is_alive():
                    process.join(20)
                if process.is_alive():
                    os.killpg(process.pid, signal.SIGKILL)
                process.join()
        finally:
            if mutant:
                shutil.copy(ROOT / mutant.file, copy / mutant.file)
            self.free.put(copy)


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (str(v).ljust(w) if i in (0, 4) else str(v).rjust(w)
                 for i, (v, w) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="parts of file names or cell ids, all if none")
    parser.add_argument("-n", type=int, default=2, help="how many at once")
    parser.add_argument("--real", action="store_true", help="those that need the real data, alone")
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: several run at once
    chosen = [
        m for m in mutants() if not options.only or any(part in m.name for part in options.only)
    ]
    waiting = [m for m in chosen if m.real and not options.real]
    chosen = [m for m in chosen if m.real == options.real]
    timeout = TIMEOUT * (8 if options.real else 1)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.n) as pool:
        scratch = Scratch(folder, options.n, options.real)
        targets = sorted({m.tests for m in chosen})
        for tests, (status, first) in zip(
            targets, pool.map(lambda t: scratch.run(t, timeout), targets), strict=True
        ):
            if status != 0:
                sys.exit(f"{tests} fails on the untouched course already: {status}, {first}")
        print(f"untouched: all pass ({time.monotonic() - start:.0f} s)", flush=True)

        def judge(m):
            begun = time.monotonic()
            status, first = scratch.run(m.tests, timeout, m)
            if status is None:
                status, first = scratch.run(m.tests, timeout, m)
            if status not in (0, 1, 2, None):  # 2: the tests could not even be collected
                raise RuntimeError(f"pytest ended with {status} on {m}")
            word = "ALIVE" if status == 0 else "killed"
            by = "" if status == 0 else " > ".join(first) if first else "time-out or crash"
            print(
                f"{word:6} {time.monotonic() - begun:4.0f} s  {m.name}: {m.short}  {by}",
                flush=True,
            )
            return status != 0, by

        results = list(zip(chosen, pool.map(judge, chosen), strict=True))

    rows = [("file", "mutants", "killed", "alive", "killed by")]
    for file in dict.fromkeys(m.file for m in chosen):
        mine = [(m, killed, by) for m, (killed, by) in results if m.file == file]
        dead = sum(killed for _, killed, _ in mine)
        by = Counter(by.split(" > ")[0] for _, killed, by in mine if killed)
        killers = ", ".join(f"{name} {count}" for name, count in by.most_common())
        rows.append((Path(file).name, len(mine), dead, len(mine) - dead, killers))
    dead = sum(killed for _, (killed, _) in results)
    rows.append(("all", len(results), dead, len(results) - dead, ""))
    print()
    table(rows)
    for m, (killed, _) in results:
        if not killed:
            print(f"\nalive: {m.name}\n  {m.old}\n  -> {m.new}\n  why: {m.alive or 'UNKNOWN'}")
        elif m.alive:
            print(f"\nkilled after all, so no longer excused: {m.name}: {m.short}")
    for m in waiting:
        print(f"only with --real: {m.name}: {m.short}")
    minutes = (time.monotonic() - start) / 60
    print(f"\n{dead} of {len(results)} killed in {minutes:.0f} minutes")
    return dead < WANTED * len(results)


if __name__ == "__main__":
    sys.exit(main())
