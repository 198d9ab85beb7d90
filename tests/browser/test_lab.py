"""The chapters as a learner meets them: `make lab`, a browser, Run All Cells, and what it shows.

They run in a copy of the repository, with neither the data nor a network.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb"))
TOKEN = "learner"  # noqa: S105  # of a server that nobody else can reach, for a minute
PATIENCE = 1200  # seconds for all cells of a chapter
NOWHERE = "http://127.0.0.1:9"
SETTINGS = {  # all cells stand in the page, and no question about news lies over it
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}

# What is wrong with a notebook that JupyterLab shows. In the text of a rendered cell, a dollar is
# a formula that was not set; MathJax shows a command that it does not know in red.
LOOK = """() => {
  const wrong = [], all = selector => document.querySelectorAll('.jp-Notebook ' + selector);
  for (const e of all('[data-mime-type="application/vnd.jupyter.stderr"]'))  // errors, too
    wrong.push('error: ' + e.innerText.trim().split('\\n').filter(
      (line, k, lines) => line.startsWith('---->') || k == lines.length - 1).join(' '));
  for (const i of all('img')) {
    if (!i.naturalWidth) wrong.push('broken picture: ' + i.alt);
    if (i.alt.length < 20) wrong.push('picture without text alternative: ' + i.src.slice(0, 60));
  }
  for (const e of all('mjx-merror, [data-mml-node="merror"], [data-mjx-error], ' +
                      'mjx-container [style*="color: red"], mjx-container [mathcolor="red"]'))
    wrong.push('formula: ' + e.outerHTML.slice(0, 200));
  for (const cell of all('.jp-RenderedMarkdown')) {
    const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT, node =>
      node.parentElement.closest('pre, code, mjx-container') ? 2 : 1);
    while (text.nextNode())
      if (text.currentNode.data.includes('$'))
        wrong.push('not a formula: ' + text.currentNode.data.trim().slice(0, 80));
  }
  return wrong;
}"""
STUCK = "figures.slider(lambda ax, x: 'A picture that never changes.', x=(0, 9, 1, 4))"
COUNTS = """() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')]
  .map(e => e.innerText.trim())"""


def faulty_notebook():
    """Return a notebook with one fault of each kind."""
    show = "from IPython.display import HTML, display\n"
    dot = "R0lGODlhAQABAAAAACwAAAAAAQABAAA="
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return new_notebook(
        metadata={"kernelspec": kernel},
        cells=[
            new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
            new_code_cell(show + "HTML('<img alt=\"A picture that is not there\" src=x.png>')"),
            new_code_cell(show + f"HTML('<img src=\"data:image/gif;base64,{dot}\">')"),
            new_code_cell(show + f"display({{'image/gif': '{dot}'}}, raw=True)"),
            new_code_cell("from helpers import figures\n" + STUCK),
            new_markdown_cell(r"A formula that breaks off: $\frac{1}{$ and"),
            new_markdown_cell(r"A command that nobody knows: $\nosuchcommand x$."),
            new_markdown_cell("A formula that nobody closed: $x^{(t)} and more."),
        ],
    )


def give_environment(copy):
    """Let a copy of the repository have the environment that these tests run in as its own."""
    (copy / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != "ready":
            (copy / ".venv" / part.name).symlink_to(part)
    spec = importlib.util.spec_from_file_location("course", copy / "course.py")
    course = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(course)
    course.STAMP.write_text(f"{course.ROOT}\n{course.digest()}\n", encoding="utf8")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start `make lab` in a copy of the repository; yield its address and the copy."""
    home = tmp_path_factory.mktemp("lab")
    copy, settings = home / "course", home / "settings" / "@jupyterlab"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    give_environment(copy)
    for name in CHAPTERS:  # what is seen must come from this run
        nb = nbformat.read(copy / "notebooks" / name, as_version=4)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(nb, copy / "notebooks" / name)
    nbformat.write(faulty_notebook(), copy / "notebooks" / "faulty.ipynb")
    for name, text in SETTINGS.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf8")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = f"--no-browser --ServerApp.port={port} --IdentityProvider.token={TOKEN}"
    if os.geteuid() == 0:
        arguments += " --allow-root"
    environment = {key: value for key, value in os.environ.items() if key != "RNN_COURSE_DATA"}
    environment |= {
        "PYTHONPATH": str(copy),  # its helpers, not those that the environment has installed
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "http_proxy": NOWHERE,
        "https_proxy": NOWHERE,
        "no_proxy": "127.0.0.1,localhost",
    }
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            ["make", "lab", f"LAB_ARGS={arguments}"],
            cwd=copy,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, (home / "log").read_text()
            try:
                # The server started above: no other scheme or place can be meant.
                urllib.request.urlopen(f"{address}/api", timeout=5).close()  # noqa: S310
                break
            except (URLError, ConnectionError):
                time.sleep(0.5)
        else:
            pytest.fail("JupyterLab does not answer:\n" + (home / "log").read_text())
        yield address, copy
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # how a server ends is not what is tested here
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def connected(page, address, name):
    """Wait until the kernel of a notebook is idle and JupyterLab listens to it; return its session.

    The indicator in the page says idle before there is a kernel.
    """
    for _ in range(240):
        for session in page.request.get(f"{address}/api/sessions?token={TOKEN}").json():
            kernel, mine = session["kernel"], session["path"].endswith(name)
            if mine and kernel["connections"] and kernel["execution_state"] == "idle":
                return session
        time.sleep(0.5)
    raise AssertionError(f"no kernel for {name}")


def stuck_sliders(page):
    """Move each slider by two steps; name those after whose last step the picture is the same.

    The first step does not count: it may change how the picture is stored, and nothing in it.
    """
    stuck = []
    for handle in page.locator(".jp-Notebook .noUi-handle").all():
        picture = handle.locator("xpath=ancestor::div[contains(@class, 'jp-CodeCell')]//img")
        for _ in range(2):
            before, tries = picture.get_attribute("src"), 20
            handle.press("ArrowRight")
            while picture.get_attribute("src") == before and tries:
                time.sleep(0.25)
                tries -= 1
        if not tries:
            stuck.append(f"slider without effect, at {handle.get_attribute('aria-valuetext')}")
    return stuck


def run_all(chromium, lab, name):
    """Open a notebook, run all its cells, and return what is wrong with what it then shows."""
    address, copy = lab
    cells = nbformat.read(copy / "notebooks" / name, as_version=4).cells
    codes = sum(cell.cell_type == "code" for cell in cells)
    with_sliders = sum("figures.slider(" in c.source for c in cells if c.cell_type == "code")
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    # In a workspace of its own, or JupyterLab opens the last test's notebook beside it
    page.goto(f"{address}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=120_000)
    session = connected(page, address, name)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wanted = [f"[{number + 1}]:" for number in range(codes)]
    counts, end = [], time.monotonic() + PATIENCE
    # Until nothing waits any more: an error, too, empties the queue
    while ({*counts} <= {"[ ]:"} or "[*]:" in counts) and time.monotonic() < end:
        time.sleep(1)
        counts = page.evaluate(COUNTS)
    page.locator("mjx-container").first.wait_for(state="attached", timeout=60_000)
    time.sleep(2)  # the last formulas and pictures
    wrong = page.evaluate(LOOK)
    wrong += stuck_sliders(page)
    moving = page.locator(".jp-Notebook .jp-OutputArea:has(.noUi-handle)").count()
    if moving != with_sliders:
        wrong.append(f"{moving} of {with_sliders} cells show their sliders")
    pairs = zip(counts, wanted, strict=True)
    odd = [f"{count} for {want}" for count, want in pairs if count != want]
    if odd:
        wrong.append(f"{len(odd)} cells did not run: {', '.join(odd)}")
    page.request.delete(f"{address}/api/sessions/{session['id']}?token={TOKEN}")
    context.close()
    return wrong


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_runs_and_shows_everything(chromium, lab, name):
    assert run_all(chromium, lab, name) == []


def test_every_fault_is_seen(chromium, lab):
    wrong = run_all(chromium, lab, "faulty.ipynb")
    for fault in (
        "error: ----> 1 1 / 0 ZeroDivisionError",
        "broken picture: A picture that is not there",
        "picture without text alternative",
        "formula: ",
        "not a formula: A formula that nobody closed",
        "slider without effect",
    ):
        assert any(complaint.startswith(fault) for complaint in wrong), (fault, wrong)
    assert sum(complaint.startswith("picture without") for complaint in wrong) == 2, wrong
    assert sum(complaint.startswith("formula: ") for complaint in wrong) >= 2, wrong
