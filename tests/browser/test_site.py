"""The site as `make site` has built it: every page, light and dark, on a desk and on a phone."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_site" / "html"
CHAPTERS = [path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*[a-z].ipynb")]
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

# What a page says about itself, all solutions unfolded.
LOOK = """() => {
  const prose = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, node =>
    node.parentElement.closest('pre, code, script, style, .katex') ? 2 : 1);
  const dollars = [];
  while (prose.nextNode())
    if (prose.currentNode.data.includes('$')) dollars.push(prose.currentNode.data.trim());
  return {
    dollars,
    broken: [...document.images].filter(i => !i.naturalWidth).map(i => i.alt || i.src.slice(0, 80)),
    mute: [...document.images].filter(i => i.alt.length < 20).map(i => i.src.slice(0, 80)),
    links: [...document.links].map(a => a.href),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    formulas: document.querySelectorAll('.katex').length,
  };
}"""


# Thousands of words in colour make axe slow: three of each colour and place are enough. Of a
# formula, a screen reader gets the MathML.
THIN_OUT = """() => {
  const seen = {};
  for (const word of document.querySelectorAll('pre span[class]')) {
    const place = word.closest('div.cell_input, div.cell_output, details')?.className;
    const key = word.className + place;
    if ((seen[key] = (seen[key] ?? 0) + 1) > 3) word.replaceWith(word.textContent);
  }
  document.querySelectorAll('.katex-html').forEach(formula => formula.remove());
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(folder):
    """Serve a folder on a free port; return the server, which the caller shuts down."""
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def address():
    server = serve(SITE)
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@functools.cache
def visit(chromium, url, scheme):
    """Open a page and return what is wrong with it, and what it holds."""
    wrong = []
    context = chromium.new_context(color_scheme=scheme, viewport=DESK)
    page = context.new_page()
    page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    host = urlparse(url).netloc

    def request(request):
        if urlparse(request.url).scheme.startswith("http") and urlparse(request.url).netloc != host:
            wrong.append(f"another host: {request.url}")

    page.on("request", request)
    page.goto(url, wait_until="load")
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    seen = page.evaluate(LOOK)
    wrong += [f"not a formula: {text[:80]}" for text in seen["dollars"]]
    wrong += [f"broken picture: {name}" for name in seen["broken"]]
    wrong += [f"picture without text alternative: {name}" for name in seen["mute"]]
    page.set_viewport_size(PHONE)
    if (wide := page.evaluate("document.scrollingElement.scrollWidth")) > PHONE["width"]:
        wrong.append(f"a phone scrolls sideways: {wide} pixels")
    page.set_viewport_size(DESK)
    page.evaluate(THIN_OUT)
    options = {"resultTypes": ["violations"]}
    if scheme == "dark":  # the same page in other colours
        options["runOnly"] = ["color-contrast"]
    for finding in Axe().run(page, options=options).response["violations"]:
        if finding["impact"] in ("serious", "critical") or finding["id"] == "heading-order":
            nodes = finding["nodes"]
            first = [f"{node['target']} {node['html'][:120]}" for node in nodes[:3]]
            wrong.append(f"axe: {finding['id']}, {len(nodes)} times: {first}")
    context.close()
    return wrong, seen


def test_the_site_is_there():
    assert PAGES, "no site to look at: make site"
    for language in ("", "ko/"):
        assert {f"{language}{name}.html" for name in (*CHAPTERS, "index")} <= set(PAGES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page(chromium, address, name, scheme):
    wrong, seen = visit(chromium, address + name, scheme)
    assert wrong == []
    if Path(name).stem in CHAPTERS:
        assert seen["formulas"] > 0


def test_no_link_is_dead(chromium, address):
    seen = {name: visit(chromium, address + name, "light")[1] for name in PAGES}
    dead = []
    for name, page in seen.items():
        for link in page["links"]:
            if not link.startswith(address):
                continue
            target, anchor = urldefrag(link.removeprefix(address))
            target = target.partition("?")[0] or "index.html"
            if not (SITE / target).is_file():
                dead.append(f"{name}: {target}")
            elif anchor and target in seen and unquote(anchor) not in seen[target]["ids"]:
                dead.append(f"{name}: {target}#{anchor}")
    assert dead == []


def test_search_finds_a_chapter(chromium, address):
    page = chromium.new_page()
    page.goto(address + "search.html?q=forget+gate")
    page.locator("#search-results li a", has_text="The LSTM cell").first.wait_for(timeout=20_000)
    page.close()


@pytest.mark.parametrize("word", ["훈련", "게이트", "그레이디언트"])
def test_korean_search_finds_a_word_with_its_particle(chromium, address, word):
    particle = re.compile(rf"{word}(?:을|를|은|는|이|가|의|에|도)\b")
    chapters = [
        path.stem
        for path in (SITE / "ko").glob("0*.html")
        if particle.search(path.read_text("utf8"))
    ]
    assert chapters
    page = chromium.new_page()
    page.goto(f"{address}ko/search.html?q={word}")
    for name in chapters:
        page.locator(f"#search-results li a[href*='{name}']").first.wait_for(timeout=20_000)
    page.close()


def test_the_switch_leads_to_the_same_chapter_and_back(chromium, address):
    page = chromium.new_page()
    page.goto(address + "04_lstm.html")
    assert page.locator("html").get_attribute("lang") == "en"
    for link, name, language in (
        ("한국어", "ko/04_lstm.html", "ko"),
        ("English", "04_lstm.html", "en"),
    ):
        page.get_by_role("link", name=link, exact=True).click()
        page.wait_for_url(address + name)
        assert page.locator("html").get_attribute("lang") == language
        kept = page.evaluate("getComputedStyle(document.body).wordBreak")
        assert (kept == "keep-all") is (language == "ko")
    page.close()


def test_next_and_previous_walk_through_the_chapters(chromium, address):
    page, order = chromium.new_page(), sorted(CHAPTERS)
    page.goto(address + "index.html")
    for link, names in (("a.next-page", order), ("a.prev-page", order[-2::-1])):
        for name in names:
            page.locator(link).click()
            page.wait_for_url(f"{address}{name}.html")
    page.close()


def test_a_button_copies_the_code_and_nothing_else(chromium, address):
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(address + "05_imdb_sentiment.html")
    cell = page.locator("div.cell_input", has_text="import torch.nn.functional as F").first
    cell.hover()
    cell.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == cell.locator("pre").inner_text().strip()
    assert copied.startswith("import")
    context.close()


def test_a_solution_unfolds_and_its_formula_is_set(chromium, address):
    page = chromium.new_page()
    page.goto(address + "03_vanishing_gradients.html")
    folded = page.locator("details", has=page.locator(".katex")).first
    formula = folded.locator(".katex").first
    assert not formula.is_visible()
    folded.locator("summary").click()
    assert formula.is_visible()
    page.close()


def test_every_fault_is_seen(chromium, tmp_path):
    """A page with one fault of each kind, and the complaint that each must raise."""
    (tmp_path / "faulty.html").write_text(
        """<!doctype html><html lang="en"><title>Faulty</title><main><h1>One</h1><h3>Three</h3>
        <p style="color: #999; background: #fff">Pale words. $x_1$ is no formula.</p>
        <img src="missing.png" alt="A picture that is not there at all">
        <img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" alt="short">
        <div style="width: 500px">wide</div></main>
        <script src="http://elsewhere.invalid/x.js"></script>
        <script>console.error("oops"); throw new Error("thrown")</script>""",
        encoding="utf8",
    )
    server = serve(tmp_path)
    wrong, _ = visit(chromium, f"http://127.0.0.1:{server.server_port}/faulty.html", "light")
    server.shutdown()
    server.server_close()
    for fault in (
        "axe: color-contrast",
        "axe: heading-order",
        "not a formula",
        "broken picture: A picture that is not there",
        "picture without text alternative",
        "a phone scrolls sideways: 5",
        "another host: http://elsewhere.invalid",
        "console: oops",
        "script: thrown",
    ):
        assert any(complaint.startswith(fault) for complaint in wrong), (fault, wrong)


def owners(text):
    """Return which repositories a text names, as "owner/name" or "owner.github.io/name"."""
    place = (
        r"(?:github\.com|google\.com/github|mybinder\.org/v2/gh|codespaces\.new)/([\w.-]+/[\w.-]+)"
    )
    return {*re.findall(place, text), *re.findall(r"//([\w-]+\.github\.io/?[\w.-]*)", text)}


@pytest.mark.parametrize("repository", ["someone/rnn-copy", None])
def test_a_copy_leads_to_itself_and_nowhere_where_it_has_no_address(tmp_path, repository):
    copy = tmp_path / "a copy"  # a blank in a path is common, and make splits at it
    for folder in ("docs", "notebooks", "locale"):
        shutil.copytree(ROOT / folder, copy / folder)
    for file in ("Makefile", "README.md"):
        shutil.copy(ROOT / file, copy)
    make = ["make", "-s", "-o", ".venv/ready", "-o", ".venv/site", "site"]
    env = {name: value for name, value in os.environ.items() if name != "GITHUB_REPOSITORY"}
    env |= {"GITHUB_REPOSITORY": repository} if repository else {}
    subprocess.run([*make, f"BIN={Path(sys.executable).parent}"], cwd=copy, env=env, check=True)
    pages = {path.stem: path.read_text("utf8") for path in (copy / "_site/html").glob("*.html")}
    assert {*CHAPTERS, "index", "plan", "scale", "notation"} <= set(pages)
    chapters = "".join(path.read_text("utf8") for path in copy.glob("notebooks/*.ipynb"))
    named = owners(chapters) | {"pradyunsg/furo"}  # what the chapters cite, and the theme
    found = owners("".join(pages.values())) - named
    doors = re.findall(
        r'<nav class="doors" aria-label="Read.*?</nav>', "".join(pages.values()), re.DOTALL
    )
    if not repository:
        assert (found, doors) == (set(), [])
        return
    assert found == {"someone/rnn-copy", "someone.github.io/rnn-copy"}
    assert len(doors) == len(CHAPTERS) + 5  # index, plan, scale, notation, glossary
    (door,) = re.findall(
        r'<nav class="doors" aria-label="Read.*?</nav>', pages["04_lstm"], re.DOTALL
    )
    colab = "https://colab.research.google.com/github/someone/rnn-copy/blob/colab/"
    assert re.findall('href="(.+?)"', door) == [
        "https://someone.github.io/rnn-copy/04_lstm.html",
        colab + "notebooks/04_lstm.ipynb",
        "https://codespaces.new/someone/rnn-copy",
        "https://mybinder.org/v2/gh/someone/rnn-copy/HEAD?urlpath=lab/tree/notebooks/04_lstm.ipynb",
    ]
