"""The course as a web site: the stored notebooks as they are, nothing is executed (`make site`)."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from sphinx.search import SearchLanguage
from sphinxcontrib.katex import KATEX_DEFAULT_OPTIONS, KaTeXServer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import address  # noqa: E402  # beside this file

CHAPTERS = sorted(path.stem for path in HERE.glob("[0-9][0-9]_*[a-z].ipynb"))
REPOSITORY = address.repository()
LANGUAGE = os.environ.get("SITE_LANGUAGE", "en")  # "ko": `make site` builds both
NODE = Path(os.environ["NODE_MODULES"])  # where `make site` has put KaTeX

project = {"en": "Recurrent networks in PyTorch", "ko": "파이토치로 배우는 순환 신경망"}[LANGUAGE]
author = "The authors of the course"
copyright = "the authors of the course. Text and figures CC BY 4.0, code BSD-3-Clause"
language = LANGUAGE

extensions = ["myst_nb", "sphinx_copybutton", "sphinxcontrib.katex"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = ["_static", "README.md"]

# Formulas are typeset here, not in the reader's browser: nothing to download, nothing that jumps,
# and MathML for screen readers. A formula that KaTeX does not know fails the build.
katex_prerender = True
katex_js_path = str(NODE / "katex/dist/katex.min.js")
katex_css_path = "katex.min.css"
html_math_renderer = "katex"
KATEX_DEFAULT_OPTIONS["throwOnError"] = True


def start_katex(rundir, timeout):
    """Start KaTeX and wait until it listens: the package's own knocks once, which may be early.

    Through a port instead of a file, each formula would wait 40 ms for TCP to acknowledge.
    """
    path, end = rundir / "katex.sock", time.monotonic() + timeout
    command = KaTeXServer.build_command(socket=path)
    process = subprocess.Popen(command, cwd=rundir)  # noqa: S603  # Node.js, with what is built here
    while True:
        try:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(path))
            return process, sock
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


KaTeXServer.start_server_process = start_katex

html_theme = "furo"
templates_path = ["_templates"]
html_title = project
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00507d", "color-brand-content": "#00507d"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
    "top_of_page_buttons": [],
}
if REPOSITORY:
    html_baseurl = address.site(REPOSITORY)
    html_theme_options["source_repository"] = f"https://github.com/{REPOSITORY}"

copybutton_selector = ".cell_input div.highlight pre, details div.highlight pre"


class SearchKorean(SearchLanguage):
    """Words are found with whatever particle hangs on them: 학습 finds 학습을."""

    lang, language_name, stopwords = "ko", "Korean", frozenset()

    def split(self, text):
        """Return the words of a text, and what Korean ones begin with."""
        found = []
        for word in super().split(text):
            hangul = re.match("[가-힣]*", word)[0]
            found += [word, *(hangul[:n] for n in range(2, len(hangul) + 1))]
        return found


def links_of_the_site(app, docname, source):
    """Put the README's table of chapters where it is asked for; notebooks lie beside the pages."""
    readme = (HERE / "README.md").read_text(encoding="utf8")
    table = re.search(r"^\| \| [^|\s]+ \|.*?\n\n", readme, re.MULTILINE | re.DOTALL)[0]
    page = re.sub(r"<!-- .* table of chapters -->\n", lambda _: table, source[0])
    source[0] = re.sub(r"\]\((\.\./)?notebooks/", "](", page)


def finished_page(app, page, template, context, doctree):
    """Tell a screen reader which words are Korean; give the template the links above each page."""
    if page in ("notation", "glossary") and LANGUAGE == "en":
        korean = r"[가-힣]+(?: [가-힣]+)*"
        context["body"] = re.sub(korean, r'<span lang="ko">\g<0></span>', context["body"])
    notebook = page if page in CHAPTERS else CHAPTERS[0]
    context["opens"] = "This chapter" if page in CHAPTERS else "The course"
    context["doors"] = REPOSITORY and address.doors(REPOSITORY, page, notebook, LANGUAGE)
    english, korean = ("../" if LANGUAGE == "ko" else ""), ("" if LANGUAGE == "ko" else "ko/")
    context["languages"] = {"en": f"{english}{page}.html", "ko": f"{korean}{page}.html"}


def setup(app):
    """Tell Sphinx when to call these two, and how Korean is searched."""
    app.add_search_language(SearchKorean)
    app.connect("source-read", links_of_the_site)
    app.connect("html-page-context", finished_page)
