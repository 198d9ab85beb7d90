"""Run the stored chapters as other machines would, or with other seeds where they train.

    run.py                      every setting of MACHINES, one at a time, outputs compared
    run.py --seeds 10           ten other seeds in the training cells; what is asserted must hold

With other seeds the outputs are not compared. The cells that train (tag `nbval-ignore-output`) and
those of ALSO get the new seed; the others keep theirs, because they print and assert the very
digits of it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MACHINES = [
    "OMP_NUM_THREADS=1",
    "OMP_NUM_THREADS=2",
    "ATEN_CPU_CAPABILITY=default",
    "ATEN_CPU_CAPABILITY=avx2",
    "DNNL_MAX_CPU_ISA=SSE41",
    "DNNL_MAX_CPU_ISA=AVX2",
    "MKL_ENABLE_INSTRUCTIONS=SSE4_2",
    "MKL_ENABLE_INSTRUCTIONS=AVX2",
    "MKL_CBWR=COMPATIBLE",  # obeyed by processors of other makers too
]
# Training, matrix products, sums and exponentials to the last bit: does a setting change any?
PROBE = """
import torch
torch.manual_seed(1)
lstm, x = torch.nn.LSTM(96, 128, batch_first=True), torch.randn(32, 50, 96)
h, _ = lstm(x)
h.square().sum().backward()
parts = [h, lstm.weight_hh_l0.grad, x[0] @ x[1].T, x.sum(), x.exp().sum(1), torch.softmax(x, 2)]
print(torch.get_num_threads(), hash(b"".join(part.detach().numpy().tobytes() for part in parts)))
"""
# Cells that train, order what is trained on, or define what does, and print nothing of it.
ALSO = {"ch03-clip-run", "ch05-padding-share", "ch06-small-run"}
SEED = re.compile(r"\b(manual_seed\(|seed=)1\b")
SEEDS = re.compile(r"\brange\(1, (\d)\)|(?<=in )\(1, 2, 3\)")  # where a cell trains from several


def run(chapter, *options, **environment):
    """Run a notebook; return the ids of the cells that failed, and how many cells there are."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "--color=no"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, str(chapter)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^FAILED \S+::(\S+)", done.stdout, re.MULTILINE)
    cells = sum(map(int, re.findall(r"(\d+) (?:passed|failed)", done.stdout)))
    if done.returncode:
        print(done.stdout, done.stderr)
    if done.returncode != bool(failed):  # 0: all pass, 1: some fail, else something else
        sys.exit(f"{chapter}: pytest ended with {done.returncode}")
    return failed, cells


def probe(**environment):
    """Return what PROBE prints under a setting."""
    environment = os.environ | {"PYTHONHASHSEED": "0"} | environment
    return subprocess.check_output([sys.executable, "-c", PROBE], env=environment)


def reseed(chapter, seed):
    """Write a copy of a notebook whose training starts from another seed; return its path."""
    notebook, places = json.loads(chapter.read_text(encoding="utf8")), 0
    for cell in notebook["cells"]:
        if "nbval-ignore-output" in cell["metadata"].get("tags", []) or cell["id"] in ALSO:
            source, one = SEED.subn(rf"\g<1>{seed}", "".join(cell["source"]))
            cell["source"], several = SEEDS.subn(
                lambda found: f"range({10 * seed}, {10 * seed + int(found[1] or 4) - 1})", source
            )
            places += one + several
    if not places:
        sys.exit(f"{chapter.name}: no training starts from seed 1")
    copy = ROOT / f"_executed/seed-{seed}" / chapter.name  # below conftest.py, and not in git
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(notebook), encoding="utf8")
    return copy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapters", nargs="*", help="numbers, such as 01 02; all if none")
    parser.add_argument("--machines", nargs="*", help="settings, NAME=value; MACHINES if none")
    parser.add_argument("--seeds", type=int, default=0, help="so many other seeds instead")
    parser.add_argument("--first-seed", type=int, default=2)
    options = parser.parse_args()
    chapters = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))
    if options.chapters:
        chapters = [path for path in chapters if path.name[:2] in options.chapters]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    machines = [] if seeds else options.machines or MACHINES

    failures, here = Counter(), probe() if machines else None
    for name in [*machines, *seeds]:
        for chapter in chapters:
            if name in seeds:
                failed, cells = run(reseed(chapter, name), "--nbval-lax")
            else:
                failed, cells = run(chapter, **dict([name.split("=")]))
            failures.update(failed)
            print(f"{name}: {chapter.stem}: {len(failed)} of {cells} cells failed", flush=True)
        if name in machines and probe(**dict([name.split("=")])) == here:
            print(f"{name}: changes nothing on this machine", flush=True)
    for cell, count in failures.most_common():
        print(f"{cell}: failed {count} of {len(machines) + len(seeds)} times")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
