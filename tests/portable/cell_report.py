"""A pytest plugin: write one JSON line for each cell that ran, to the file CELL_REPORT names."""

import json
import os
import re
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """With other seeds outputs are other outputs: then only errors and assertions count."""
    if "CELL_SEED" in os.environ:
        for item in items:
            item.options["check"] = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" or report.failed:
        line = {
            "cell": item.cell.id,
            "compared": bool(item.options["check"]),
            "failed": report.failed,
            "why": why(call.excinfo.value) if report.failed else "",
        }
        with Path(os.environ["CELL_REPORT"]).open("a", encoding="utf8") as file:
            file.write(json.dumps(line) + "\n")
    return report


def why(error):
    """Return the line of the cell that failed and what it said, or what differs."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", getattr(error, "inner_traceback", None) or str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    arrows = [line for line in lines if line.startswith(("-->", "---", ">")) and "--> " in line]
    return " | ".join([*arrows[:1], *lines[-1:]]) if arrows else " | ".join(lines[:6])
