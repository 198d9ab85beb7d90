"""Run the stored chapters as other machines would, or with other seeds where they train.

    run.py                      every setting of MACHINES, one at a time, outputs compared
    run.py --seeds 10           ten other seeds in the training cells; what is asserted must hold

With other seeds the outputs are not compared. The cells that train (tag `nbval-ignore-output`),
the functions that they call and the cells of ALSO get the new seed; the others keep theirs,
because they print and assert the very digits of it.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
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
import hashlib, torch
torch.manual_seed(1)
lstm, x = torch.nn.LSTM(96, 128, batch_first=True), torch.randn(32, 50, 96)
h, _ = lstm(x)
h.square().sum().backward()
parts = [h, lstm.weight_hh_l0.grad, x[0] @ x[1].T, x.sum(), x.exp().sum(1), torch.softmax(x, 2)]
bits = b"".join(part.detach().numpy().tobytes() for part in parts)
print(torch.get_num_threads(), hashlib.sha256(bits).hexdigest())
"""
# Cells that train, or order what is trained on, and print nothing that depends on it.
ALSO = {"ch03-clip-run", "ch05-padding-share", "ch05-both-batches"}
SEED = re.compile(r"\b(manual_seed\(|seed=)1\b")
SEEDS = re.compile(r"\brange\(1, 6\)")  # the five seeds of ch04-forget-run


def run(chapter, environment):
    """Run one notebook; return the reports of its cells."""
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl", encoding="utf8") as report:
        paths = [str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        environment = environment | {
            "CELL_REPORT": report.name,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        options = ["-q", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "cell_report", *options, str(chapter)],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        cells = [json.loads(line) for line in report]
    failed = any(cell["failed"] for cell in cells)
    if not cells or done.returncode != failed:  # 0: all pass, 1: some fail, else something else
        sys.exit(f"{chapter}: pytest ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return cells


def probed(setting=""):
    """Return what PROBE prints under a setting."""
    environment = os.environ | dict([setting.split("=")] if setting else ())
    command = [sys.executable, "-c", PROBE]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


def reseeded(notebook, seed):
    """Return a copy of a notebook (its JSON) in which the training starts from another seed."""
    notebook = json.loads(json.dumps(notebook))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in cells}
    training = {c["id"] for c in cells if "nbval-ignore-output" in c["metadata"].get("tags", [])}
    wanted = {id: {None} for id in training | (ALSO & sources.keys())}  # None: the whole cell
    functions = {
        node.name: (id, node)
        for id, source in sources.items()
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }
    todo = [ast.parse(sources[id]) for id in training]
    while todo:
        for node in ast.walk(todo.pop()):
            if isinstance(node, ast.Name) and node.id in functions:
                id, function = functions.pop(node.id)
                wanted.setdefault(id, set()).add(function)
                todo.append(function)
    count = 0
    for cell in cells:
        lines = sources[cell["id"]].splitlines(keepends=True)
        for part in wanted.get(cell["id"], ()):
            first, last = (0, len(lines)) if part is None else (part.lineno - 1, part.end_lineno)
            for i in range(first, last):
                lines[i], n = SEED.subn(rf"\g<1>{seed}", lines[i])
                lines[i], m = SEEDS.subn(f"range({10 * seed}, {10 * seed + 5})", lines[i])
                count += n + m
        cell["source"] = "".join(lines)
    return notebook, count


def machines(chapters, settings):
    """Yield (setting, chapter, reports)."""
    for setting in settings:
        name, _, value = setting.partition("=")
        for chapter in chapters:
            yield setting, chapter, run(chapter, {name: value})


def other_seeds(chapters, first, count):
    """Yield (seed, chapter, reports)."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            for chapter in chapters:
                notebook = json.loads(chapter.read_text(encoding="utf8"))
                notebook, places = reseeded(notebook, seed)
                if not places:
                    sys.exit(f"{chapter.name}: no training starts from seed 1")
                copy = Path(folder) / chapter.name
                copy.write_text(json.dumps(notebook), encoding="utf8")
                yield f"seed {seed}", chapter, run(copy, {"CELL_SEED": str(seed)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapters", nargs="*", help="numbers, such as 01 02; all if none")
    parser.add_argument("--machines", nargs="*", help="settings, NAME=value; MACHINES if none")
    parser.add_argument("--seeds", type=int, default=0, help="so many other seeds instead")
    parser.add_argument("--first-seed", type=int, default=2)
    options = parser.parse_args()
    chapters = sorted((ROOT / "notebooks").glob("*.ipynb"))
    if options.chapters:
        chapters = [path for path in chapters if path.name[:2] in options.chapters]
    if options.seeds:
        runs = other_seeds(chapters, options.first_seed, options.seeds)
        same = set()
    else:
        settings = options.machines or MACHINES
        runs, here = machines(chapters, settings), probed()
        same = {setting for setting in settings if probed(setting) == here}

    print("cells compared + cells not compared, failures")
    rows, failures = {}, Counter()
    begun = time.monotonic()
    for name, chapter, cells in runs:
        compared, failed = (sum(c[key] for c in cells) for key in ("compared", "failed"))
        rows.setdefault(name, []).append(f"{compared} + {len(cells) - compared}, {failed}")
        seconds, begun = time.monotonic() - begun, time.monotonic()
        print(f"{name}: {chapter.stem}: {rows[name][-1]}  ({seconds:.0f} s)", flush=True)
        for cell in cells:
            if cell["failed"]:
                failures[cell["cell"]] += 1
                print(f"    {cell['cell']}: {cell['why']}", flush=True)

    width = max(map(len, rows))
    print("\n" + " " * width, *(f"{path.name[:2]:>12}" for path in chapters))
    for name, row in rows.items():
        remark = "   changes nothing on this machine" if name in same else ""
        print(f"{name:{width}}", *(f"{entry:>12}" for entry in row), remark)
    for cell, count in failures.most_common():
        print(f"{cell}: failed {count} of {len(rows)} times")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
