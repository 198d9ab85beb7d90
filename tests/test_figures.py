"""The look of the course: colours that stay apart, figures that nobody has to squint at."""

import base64
import inspect
import io
import itertools
import string
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ipywidgets import FloatSlider, IntSlider
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Patch
from matplotlib.text import Text
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from helpers import figures
from helpers.figures import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT, Sketch, sliders, style
from helpers.figures.colored_text import SCALE

# --- Colours -----------------------------------------------------------------------------------

# What dichromats see, as matrices on linear sRGB: Machado, Oliveira and Fernandes (2009), A
# physiologically-based model for simulation of color vision deficiency, IEEE TVCG 15(6).
VISION = {
    "normal": "1 0 0 0 1 0 0 0 1",
    "protanopia": "0.152286 1.052583 -0.204868 0.114503 0.786281 0.099216 "
    "-0.003882 -0.048116 1.051998",
    "deuteranopia": "0.367322 0.860646 -0.227968 0.280085 0.672501 0.047413 "
    "-0.011820 0.042940 0.968881",
    "tritanopia": "1.255528 -0.076749 -0.178779 -0.078411 0.930809 0.147602 "
    "0.004733 0.691367 0.303900",
}
# A just noticeable difference in CIELAB is about 2.3 (Mahy, Van Eycken and Oosterlinck, 1994),
# for two large fields side by side. Lines and circles on white lie apart and are small: five of
# them. The roles also differ in place, shape and label, so colour never carries them alone.
APART = 5 * 2.3
ROLES = (INPUT, HIDDEN, OUTPUT, RECURRENT)


def linear(color) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color, vision="normal") -> np.ndarray:
    seen = np.array(VISION[vision].split(), float).reshape(3, 3)
    rows = (
        "0.4124564 0.3575761 0.1804375 0.2126729 0.7151522 0.0721750 0.0193339 0.1191920 0.9503041"
    )
    to_xyz = np.array(rows.split(), float).reshape(3, 3)
    xyz = to_xyz @ np.clip(seen @ linear(color), 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one, other, vision) -> float:
    return float(np.linalg.norm(lab(one, vision) - lab(other, vision)))


def contrast(one, other) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    light = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] + 0.05 for c in (one, other))
    return light[1] / light[0]


def test_the_ruler_for_colours_is_right():
    np.testing.assert_allclose(lab("#FF0000"), [53.24, 80.09, 67.20], atol=0.02)
    np.testing.assert_allclose(lab("#0000FF"), [32.30, 79.19, -107.86], atol=0.02)
    for vision in VISION:
        np.testing.assert_allclose(lab("#FFFFFF", vision), [100, 0, 0], atol=0.02)
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert difference("#C44E52", "#7A7A35", "deuteranopia") < APART  # red and olive


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart(vision):
    for one, other in itertools.combinations(ROLES, 2):
        assert difference(one, other, vision) >= APART, (one, other)
    low, middle, high = (color[:3] for color in SCALE([0.0, 0.5, 1.0]))
    assert difference(middle, "white", vision) < 1
    for one, other in itertools.combinations((low, middle, high), 2):
        assert difference(one, other, vision) > 3 * APART


def test_text_is_readable_on_white_and_on_the_scale():
    assert contrast(INK, "white") >= 7
    assert contrast(MUTED, "white") >= 4.5
    assert min(contrast(INK, c[:3]) for c in SCALE(np.linspace(0, 1, 101))) >= 4.5


# --- Showing -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def page(monkeypatch):
    """Everything that ``show`` puts on the page."""
    shown = []
    monkeypatch.setattr(style, "display", lambda data, **more: shown.append((data, more)))
    return shown


def picture(data) -> tuple[dict, Image.Image]:
    """Parse what ``show`` put on the page: the attributes of the one <img>, and its pixels."""
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append((tag, dict(attrs)))
    parser.feed(data["text/html"])
    [(tag, attributes)] = tags
    assert tag == "img"
    kind, pixels = attributes.pop("src").split(",")
    assert kind == "data:image/png;base64"
    return attributes, Image.open(io.BytesIO(base64.b64decode(pixels)))


def test_show_brings_words_and_width_and_closes(page):
    fig = plt.figure(figsize=(5, 2))
    with pytest.raises(ValueError, match="alt="):
        figures.show(fig)
    figures.show(fig, alt='a "curve" that falls & rises,\n1 < 2')
    [(data, more)] = page
    assert more == {"raw": True}
    assert set(data) == {"text/html", "text/plain"}  # an image/png has no words in JupyterLab
    assert data["text/plain"] == 'a "curve" that falls & rises,\n1 < 2'
    attributes, image = picture(data)
    assert attributes == {"alt": data["text/plain"], "width": "480"}
    assert image.size == (960, 384)
    assert not plt.fignum_exists(fig.number)


def test_show_keeps_flat_colours_and_nearly_all_others(page):
    fig = plt.figure(figsize=(6, 2))
    axes = fig.subplots(1, 5)
    for ax, color in zip(axes, ROLES, strict=False):
        ax.set_facecolor(color)
    axes[4].imshow(np.linspace(0, 1, 2000).reshape(40, 50), cmap="viridis")
    drawn = io.BytesIO()
    fig.savefig(drawn, dpi=style.INCH * style.SHARPNESS)
    figures.show(fig, alt="four colours and a gradient")
    true = np.asarray(Image.open(drawn).convert("RGB"), dtype=int)
    image = picture(page[0][0])[1]
    shown = np.asarray(image.convert("RGB"), dtype=int)
    assert image.mode == "P"
    assert abs(shown - true).max() <= 255 / 15
    for color in ("#FFFFFF", *ROLES):
        here = (true == np.rint(np.array(to_rgb(color)) * 255)).all(axis=2)
        assert here.sum() > 1000
        assert (shown == true)[here].all()


def test_show_takes_the_words_of_a_diagram_and_draws_the_same_twice(page):
    for alt in (None, None, "other words"):
        figures.show(Sketch(1, "two boxes").figure, alt)
    assert [data["text/plain"] for data, _ in page] == ["two boxes", "two boxes", "other words"]
    assert page[0] == page[1]


# --- Sliders -----------------------------------------------------------------------------------


def test_a_slider_redraws_the_picture_and_its_words(monkeypatch):
    desk, places = [], []  # what is put in front of a person, and where the axes stand

    def display(data, **more):
        desk.append(data)
        return SimpleNamespace(update=lambda data, raw: desk.__setitem__(0, data))

    def line(ax, slope, steps):
        assert isinstance(steps, int)
        ax.plot(slope * 10.0 ** np.arange(steps))  # the larger, the wider are its labels
        ax.figure.canvas.draw()
        places.append(ax.get_position().bounds)
        return f"A line of {steps} steps, slope {slope}."

    monkeypatch.setattr(sliders, "display", display)
    monkeypatch.setattr(sliders, "somebody_is_there", lambda: True)
    figures.slider(line, size=(5, 2), slope=(0.0, 1.0, 0.05, 0.5), steps=(2, 9, 1, 3))
    start, box = desk
    slope, steps = box.children
    assert (type(slope), slope.value, slope.description) == (FloatSlider, 0.5, "slope")
    assert (type(steps), steps.value, steps.description) == (IntSlider, 3, "steps")
    assert start["text/plain"] == "A line of 3 steps, slope 0.5."
    steps.value = 8
    slope.value = 1.0
    assert places[1] == places[2]
    (words, before), (other_words, after) = picture(start), picture(desk[0])
    assert words == {"alt": start["text/plain"], "width": "480"}
    assert other_words == {"alt": "A line of 8 steps, slope 1.0.", "width": "480"}
    assert before.size == after.size == (960, 384)
    slope.value, steps.value = 0.5, 3
    again = np.asarray(picture(desk[0])[1].convert("RGB"), dtype=int)
    assert abs(again - np.asarray(before.convert("RGB"), dtype=int)).max() <= 255 / 15
    assert not plt.get_fignums()


def test_of_a_slider_the_picture_alone_is_stored():
    source = "figures.slider(lambda ax, x: f'x is {x}', x=(0, 9, 1, 4))"
    nb = new_notebook(cells=[new_code_cell(f"from helpers import figures\n{source}")])
    NotebookClient(nb, store_widget_state=False).execute()
    [output] = nb.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert output.data["text/plain"] == "x is 4"
    assert "widgets" not in nb.metadata


# --- Diagrams ----------------------------------------------------------------------------------

CHARACTERS = ["\n", " ", *"!$&'()*,-.:;?", *string.digits, *string.ascii_letters, "“", "”"]
CHAR2INT = {c: i for i, c in enumerate(CHARACTERS)}
CHUNK = "There was no sound but that of the island"
DAYS = np.array([240, 272, 295, 292, 328, 383, 332, 251, 274, 296, 313, 339, 374, 331, 234, 264])
ERRORS = dict(zip("abcde", np.outer([20, 43, 60, 24, 44], [0.9, 1, 1.1]), strict=True))
WEIGHT = np.random.default_rng(1).normal(size=(10, 3)).round(4) * (np.arange(10) > 0)[:, None]
WAVE = np.sin(np.arange(300) / 7)
REVIEW = ("An unforgettable $5 film, never dull, and its ending is worth the wait. " * 16).split()


def chances(*likely: str) -> np.ndarray:
    """A distribution over CHARACTERS in which each of ``likely`` has half of what is left."""
    p = np.full(len(CHARACTERS), 0.5 ** len(likely) / len(CHARACTERS))
    for k, c in enumerate(likely):
        p[CHAR2INT[c]] += 0.5 ** (k + 1)
    return p


CALLS = [
    ("time_series", DAYS),
    ("task_shapes",),
    ("forecasts_and_errors", DAYS, DAYS[:3], {"a": DAYS[1:4]}, ERRORS),
    ("influence_patterns", {name: np.tri(4) > 0 for name in "abcd"}),
    ("feedforward_and_recurrent",),
    ("folded_and_unfolded",),
    ("weight_matrices", 5, 2, 1),
    (
        "activations",
        np.ones((3, 5)),
        -WEIGHT[:3, :2],
        *WEIGHT[1:7, 1:].reshape(2, 3, 2),
        WEIGHT[:3],
    ),
    ("three_recurrences",),
    ("chain_of_factors",),
    ("lstm_cell",),
    ("lstm_blocks", 5, 3),
    ("embedding_lookup", ["the", "unforgettable", r"$\x$", "<pad>"], [4, 7, 1, 0], WEIGHT),
    ("character_model", "go on $$", 65),
    ("character_mapping", "THE MYSTERIOUS ", CHAR2INT),
    ("character_mapping", "“$\n", CHAR2INT),
    ("next_character", CHUNK, CHARACTERS, chances(*"$' \nt”d")),
    ("generation_steps", "The island", " was ", CHARACTERS, np.array([chances(*" ,.$")] * 5)),
    ("generation_steps", "$", "$\n", CHARACTERS, np.eye(len(CHARACTERS))[[3, 3]]),
    ("colored_text", REVIEW, WAVE[: len(REVIEW)]),
    ("colored_text", ["\x96", "日本", "", r"$\cost$", "x" * 130, "W" * 80, "end"], WAVE[:7]),
    ("colored_text", "“Come,” he said,\n\n\n \t日" + "x" * 200, WAVE[:222]),
]


def draw(name: str, *arguments) -> Figure:
    ends = {"label_low": r"$\low$", "label_high": "high"} if name == "colored_text" else {}
    return getattr(figures, name)(*arguments, **ends)


def drawn(fig: Figure, monkeypatch) -> list[tuple[Text, np.ndarray]]:
    """Draw as ``show`` does; return the texts that were really drawn, and their boxes."""
    texts, original = [], Text.draw

    def record(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            texts.append((text, Text.get_window_extent(text, renderer)))
        return original(text, renderer, *args, **kwargs)

    fig.set_dpi(style.INCH * style.SHARPNESS)
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", record)
        fig.canvas.draw()
    return texts


def depth(node: Patch, points: np.ndarray) -> float:
    """How deep the deepest point lies inside a node, in inches; negative outside."""
    across = abs(points - node.center)
    if isinstance(node, Circle):
        return (node.radius - np.hypot(*across.T)).max()
    return ((node.get_width() / 2, node.get_height() / 2) - across).min(axis=1).max()


def rule(start: Patch, end: Patch) -> str:
    """The colour of an arrow, as the chapters explain it."""
    if start.color == RECURRENT or (start.step != end.step and None not in (start.step, end.step)):
        return RECURRENT
    return {OUTPUT: OUTPUT}.get(end.color, {INPUT: INPUT}.get(start.color, INK))


def complaints(make, monkeypatch) -> list[str]:
    """Name everything that is wrong with a figure."""
    arrows, original = [], Sketch.arrow

    def record(board, start, end, *args, **kwargs):
        arrows.append((start, end, original(board, start, end, *args, **kwargs)))
        return arrows[-1][2]

    with monkeypatch.context() as patch:
        patch.setattr(Sketch, "arrow", record)
        fig = make()
    texts = drawn(fig, monkeypatch)
    wrong = [] if fig.alt.strip() else ["no alt"]
    wrong += [] if fig.get_figwidth() <= 7.5 else ["too wide"]
    wrong += [f"too small: {text.get_text()}" for text, _ in texts if text.get_size() < 9]
    every_arrow = fig.findobj(FancyArrowPatch)
    page = fig.bbox.padded(0.5 * style.SHARPNESS)
    for box in [box for _, box in texts] + [arrow.get_window_extent() for arrow in every_arrow]:
        if not (page.contains(*box.min) and page.contains(*box.max)):
            wrong.append(f"outside: {box}")
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        common = np.minimum(a.max, b.max) - np.maximum(a.min, b.min)
        if min(common) > 1.5 * style.SHARPNESS:  # boxes include the side bearing of the letters
            wrong.append(f"overlap: {one.get_text()} and {other.get_text()}")
    nodes = [n for n in fig.findobj(Patch) if hasattr(n, "step") and n.get_zorder() > 1]
    paths = {arrow: arrow.get_path() for arrow in every_arrow}
    points = {arrow: path.vertices[path.codes != path.CLOSEPOLY] for arrow, path in paths.items()}
    for node, arrow in itertools.product(nodes, every_arrow):
        if node.get_visible() and depth(node, points[arrow]) > 0.04:
            wrong.append("an arrow inside a node")
    for start, end, arrow in arrows:
        color = to_hex(arrow.get_edgecolor()).upper()
        if isinstance(end, Patch) and depth(end, points[arrow]) < -0.09:
            wrong.append("an arrow that does not reach its node")
        both = isinstance(start, Patch) and isinstance(end, Patch) and color != MUTED
        if both and color != rule(start, end):
            wrong.append(f"colour: {color}")
    return wrong


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_diagram(call, monkeypatch):
    # The edge with weight 1 is one edge, though two operations stand on it.
    excused = 3 * [f"colour: {RECURRENT}"] if call[0] == "lstm_cell" else []
    assert complaints(lambda: draw(*call), monkeypatch) == excused


def test_every_diagram_is_looked_at():
    functions = inspect.getmembers(figures, inspect.isfunction)
    diagrams = {name for name, f in functions if f.__annotations__.get("return") is Figure}
    assert diagrams == {call[0] for call in CALLS}


SAYS = [
    (("character_model", "stone", 80), {"s": 1, "t": 2, "o": 2, "n": 2, "e": 1}),
    (
        ("character_mapping", "SEA", CHAR2INT),
        {f"'E': {CHAR2INT['E']}": 1, "E": 3, "S": 2, str(CHAR2INT["S"]): 1},
    ),
    (("next_character", CHUNK, CHARACTERS, chances(*"$' \nt”d")), {"d": 3, "0.01": 1, "”": 0}),
    (
        ("generation_steps", "Go", "ad", CHARACTERS, np.array([chances("b", "a"), chances("d")])),
        {"a": 3, "b": 1, "d": 2, "G": 1, "o": 1},
    ),
    (
        ("embedding_lookup", ["sea"], [4], WEIGHT),
        {f"{v:.2f}".replace("-", "−"): 4 for v in WEIGHT[4]},
    ),
]


@pytest.mark.parametrize(("call", "counts"), SAYS, ids=[call[0] for call, _ in SAYS])
def test_what_a_diagram_says(call, counts, monkeypatch):
    shown = [text.get_text() for text, _ in drawn(draw(*call), monkeypatch)]
    assert {word: shown.count(word) for word in counts} == counts


def test_colored_text_has_one_colour_for_each_piece_and_loses_none(monkeypatch):
    text = "“Yes,” he said.\n\nA long-winded $word$ " + "x" * 100 + " end\n"
    for pieces in (text, text.split()):
        values = np.linspace(-2, 1, len(pieces))
        fig = draw("colored_text", pieces, values)
        shown = [text.get_text() for text, _ in drawn(fig, monkeypatch)][:-2]
        assert "".join(shown).replace("↵", "").startswith("“Yes,”hesaid.Along-winded$word$xxx")
        [boxes] = fig.findobj(PatchCollection)
        np.testing.assert_allclose(boxes.get_facecolor(), SCALE((values + 1) / 2), atol=1e-12)
    for pieces, values in (("abc", [0, 1]), ([], []), ("ab", [0, np.nan]), (["a"], [[0.5]])):
        with pytest.raises(ValueError, match="value"):
            draw("colored_text", pieces, values)
