"""The look of the course: colours that stay apart, figures that nobody has to squint at."""

import base64
import html
import inspect
import io
import itertools
import re
import string
from types import SimpleNamespace

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ipywidgets import FloatSlider, IntSlider
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Patch
from matplotlib.text import Text
from PIL import Image
from torch import nn

from helpers import figures
from helpers.figures import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT, style
from helpers.figures.colored_text import SCALE
from helpers.figures.sketch import Sketch

# What dichromats see, as matrices on linear sRGB: Machado, Oliveira and Fernandes (2009), A
# physiologically-based model for simulation of color vision deficiency, IEEE TVCG 15(6).
VISION = {
    "normal": "1 0 0; 0 1 0; 0 0 1",
    "protanopia": ".152286 1.052583 -.204868; .114503 .786281 .099216; -.003882 -.048116 1.051998",
    "deuteranopia": ".367322 .860646 -.227968; .280085 .672501 .047413; -.01182 .04294 .968881",
    "tritanopia": "1.255528 -.076749 -.178779; -.078411 .930809 .147602; .004733 .691367 .3039",
}
XYZ = ".4124564 .3575761 .180437; .2126729 .7151522 .072175; .0193339 .119192 .9503041"
# A just noticeable difference in CIELAB is about 2.3 (Mahy, Van Eycken and Oosterlinck, 1994),
# for two large fields side by side. Lines and circles lie apart and are small: five of them.
APART = 5 * 2.3
ROLES = (INPUT, HIDDEN, OUTPUT, RECURRENT)


def linear(color) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color, vision="normal") -> np.ndarray:
    seen, to_xyz = (
        np.array([row.split() for row in m.split(";")], float) for m in (VISION[vision], XYZ)
    )
    xyz = to_xyz @ np.clip(seen @ linear(color), 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one, other, vision) -> float:
    return np.linalg.norm(lab(one, vision) - lab(other, vision))


def contrast(one, other) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    light = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] + 0.05 for c in (one, other))
    return light[1] / light[0]


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_and_text_is_readable(vision):
    np.testing.assert_allclose(lab("white", vision), [100, 0, 0], atol=0.02)
    assert difference("#C44E52", "#7A7A35", "deuteranopia") < APART  # red and olive
    for one, other in itertools.combinations(ROLES, 2):
        assert difference(one, other, vision) >= APART, (one, other)
    low, middle, high = (color[:3] for color in SCALE([0.0, 0.5, 1.0]))
    assert difference(middle, "white", vision) < 1
    for one, other in itertools.combinations((low, middle, high), 2):
        assert difference(one, other, vision) > 3 * APART
    assert contrast(INK, "white") >= 7
    assert contrast(MUTED, "white") >= 4.5
    assert min(contrast(INK, c[:3]) for c in SCALE(np.linspace(0, 1, 101))) >= 4.5


@pytest.fixture(autouse=True)
def page(monkeypatch):
    """Everything that ``show`` puts on the page."""
    shown = []
    monkeypatch.setattr(style, "display", lambda data, raw: shown.append(data))
    yield shown
    plt.close("all")


def picture(data) -> tuple[str, str, Image.Image]:
    """Return the words, the width and the pixels of what was put on the page."""
    assert set(data) == {"text/html", "text/plain"}  # an image/png has no words in JupyterLab
    form = '<img alt="([^"]*)" width="([0-9]+)" src="data:image/png;base64,([^"]*)">'
    alt, width, pixels = re.fullmatch(form, data["text/html"]).groups()
    assert html.unescape(alt) == data["text/plain"]
    return data["text/plain"], width, Image.open(io.BytesIO(base64.b64decode(pixels)))


def test_show_brings_words_and_colours_and_closes(page):
    fig, axes = plt.subplots(1, 5, figsize=(5, 2))
    for ax, color in zip(axes[1:], ROLES, strict=True):
        ax.set_facecolor(color)
    axes[0].imshow(np.linspace(0, 1, 2000).reshape(40, 50), cmap="viridis")
    drawn = io.BytesIO()
    fig.savefig(drawn, dpi=2 * 96)
    with pytest.raises(ValueError, match="alt="):
        figures.show(fig)
    figures.show(fig, alt='a "curve" that falls & rises,\n1 < 2')
    words, width, image = picture(page[0])
    assert (words, width) == ('a "curve" that falls & rises,\n1 < 2', "480")
    assert (image.size, image.mode) == ((960, 384), "P")
    assert not plt.fignum_exists(fig.number)
    true, shown = (np.asarray(i.convert("RGB"), int) for i in (Image.open(drawn), image))
    assert abs(shown - true).max() <= 255 / 15
    for color in ("white", *ROLES):
        here = (true == np.rint(np.array(to_rgb(color)) * 255)).all(axis=2)
        assert here.sum() > 1000
        assert (shown == true)[here].all()


def test_show_takes_the_words_of_a_diagram_and_draws_the_same_twice(page):
    for alt in (None, None, "other words"):
        figures.show(Sketch(1, "two boxes").figure, alt)
    assert [picture(data)[0] for data in page] == ["two boxes", "two boxes", "other words"]
    assert page[0] == page[1]


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

    monkeypatch.setattr(style, "display", display)
    ranges = {"slope": (0.0, 1.0, 0.05, 0.5), "steps": (2, 9, 1, 3)}
    figures.slider(line, **ranges)
    assert len(desk) == 1  # nobody is there who could move a slider: the picture alone
    desk.clear()
    monkeypatch.setattr(style, "somebody_is_there", lambda: True)
    figures.slider(line, size=(5, 2), **ranges)
    before, (slope, steps) = picture(desk[0]), desk[1].children
    assert (type(slope), slope.value, slope.description) == (FloatSlider, 0.5, "slope")
    assert (type(steps), steps.value, steps.description) == (IntSlider, 3, "steps")
    steps.value = 8
    slope.value = 1.0
    assert places[-1] == places[-2]
    after = picture(desk[0])
    assert before[:2] == ("A line of 3 steps, slope 0.5.", "480")
    assert after[:2] == ("A line of 8 steps, slope 1.0.", "480")
    assert before[2].size == after[2].size == (960, 384)
    assert not plt.get_fignums()


CHARACTERS = ["\n", " ", *"!$&'()*,-.:;?", *string.digits, *string.ascii_letters, "“", "”"]
CHAR2INT = {c: i for i, c in enumerate(CHARACTERS)}
DAYS = np.array([240, 272, 295, 292, 328, 383, 332, 251, 274, 296, 313, 339, 374, 331, 234, 264])
ERRORS = dict(zip("abcde", np.outer([20, 43, 60, 24, 44], [0.9, 1, 1.1]), strict=True))
P = 0.5 ** np.arange(1, len(CHARACTERS) + 1)  # probabilities, the first characters first
WEIGHT = np.random.default_rng(1).normal(size=(10, 3)) * (np.arange(10) > 0)[:, None]
ODD = ["\x96", "日本", "", r"$\cost$", "x" * 130, "W" * 80, "end"]
PAGE = "“Come,” he said.\n\nA long-winded $word$ \t日" + "x" * 100 + " end\n"
CALLS = [
    ("time_series", DAYS),
    ("task_shapes",),
    ("forecasts_and_errors", DAYS, DAYS[:3], {"a": DAYS[1:4]}, ERRORS),
    ("influence_patterns", {"a": np.ones((1, 6)), "b": np.ones((5, 1)), "c": np.tri(6)}),
    ("feedforward_and_recurrent",),
    ("folded_and_unfolded",),
    ("weight_matrices", 5, 2, 1),
    ("activations", np.ones((3, 5)), *WEIGHT[1:, :2].reshape(3, 3, 2), WEIGHT[:3, :1]),
    ("three_recurrences",),
    ("chain_of_factors",),
    ("lstm_cell",),
    ("lstm_blocks", nn.LSTM(5, 3)),
    ("embedding_lookup", ["the", "unforgettable", r"$\x$", "<pad>"], [4, 7, 1, 0], WEIGHT),
    ("character_model", "go on $$", 65),
    ("character_mapping", "THE MYSTERIOUS ", CHAR2INT),
    ("character_mapping", "“$\n", CHAR2INT),
    ("next_character", "There was no sound of the island", CHARACTERS, P),
    ("generation_steps", "The island", " was ", CHARACTERS, np.array([P] * 5)),
    ("generation_steps", "G", "ad", CHARACTERS, np.array([np.roll(P, CHAR2INT[c]) for c in "bd"])),
    ("bottleneck_and_attention", [0.0, 0.12, 0.88]),
    ("two_ways", np.array([[0.3, -1.3, 2, 9.9]] * 4)),
    ("what_the_gate_sees",),
    *(("colored_text", pieces, np.linspace(-2, 1, len(pieces))) for pieces in (ODD, PAGE)),
]


def draw(name: str, *arguments) -> Figure:
    ends = {"label_low": r"$\low$", "label_high": "high"} if name == "colored_text" else {}
    return getattr(figures, name)(*arguments, **ends)


def drawn(fig: Figure, monkeypatch) -> list[tuple[Text, mpl.transforms.Bbox]]:
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
    """The colour of an arrow between two nodes, as the chapters explain it."""
    later = start.step != end.step and None not in (start.step, end.step)
    if later or start.color == RECURRENT:
        return RECURRENT
    return OUTPUT if end.color == OUTPUT else INPUT if start.color == INPUT else INK


def complaints(fig: Figure, monkeypatch) -> list[str]:
    """Name everything that is wrong with a figure."""
    texts, page = drawn(fig, monkeypatch), fig.bbox.padded(0.5 * style.SHARPNESS)
    arrows = fig.findobj(FancyArrowPatch)
    wrong = [] if fig.alt.strip() and fig.get_figwidth() <= 7.5 else ["no alt, or too wide"]
    wrong += [f"too small: {text.get_text()}" for text, _ in texts if text.get_size() < 9]
    for box in [box for _, box in texts] + [arrow.get_window_extent() for arrow in arrows]:
        if not (page.contains(*box.min) and page.contains(*box.max)):
            wrong.append(f"outside: {box}")
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        common = np.minimum(a.max, b.max) - np.maximum(a.min, b.min)
        if min(common) > 1.5 * style.SHARPNESS:  # boxes include the side bearing of the letters
            wrong.append(f"overlap: {one.get_text()} and {other.get_text()}")
    nodes = [n for n in fig.findobj(Patch) if hasattr(n, "step") and n.get_zorder() > 1]
    for arrow in arrows:
        start, end, path = arrow.patchA, arrow.patchB, arrow.get_path()
        points = path.vertices[path.codes != path.CLOSEPOLY]
        if any(depth(node, points) > 0.04 for node in nodes if node.get_visible()):
            wrong.append("an arrow inside a node")
        if end and depth(end, points) < -0.09:
            wrong.append("an arrow that does not reach its node")
        color = to_hex(arrow.get_edgecolor()).upper()
        if start and end and color not in (MUTED, rule(start, end)):
            wrong.append(f"colour: {color}")
    return wrong


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_diagram(call, monkeypatch):
    # The edge with weight 1 is one edge, though two operations stand on it.
    excused = 3 * [f"colour: {RECURRENT}"] if call[0] == "lstm_cell" else []
    assert complaints(draw(*call), monkeypatch) == excused


def test_every_diagram_is_looked_at():
    functions = inspect.getmembers(figures, inspect.isfunction)
    diagrams = {name for name, f in functions if f.__annotations__.get("return") is Figure}
    assert diagrams == {call[0] for call in CALLS}


def test_what_diagrams_say(monkeypatch):
    row = {f"{v:.2f}".replace("-", "−"): 4 for v in WEIGHT[4]}  # twice in the weights, twice picked
    for name, counts in (
        ("embedding_lookup", row | {"the": 2, "unforgetta…": 2}),
        ("character_model", {"o": 4, "g": 1, "n": 2}),  # all but the ends are input and target
        ("character_mapping", {"'$': 3": 1, "3": 2, "$": 3}),
        ("next_character", {"d": 3, "0.00": 1, "'": 0}),  # right, though not probable
        ("generation_steps", {"a": 3, "b": 1, "d": 3, "G": 1}),  # a bar, sampled, fed back
    ):
        call = [call for call in CALLS if call[0] == name][-1]
        texts = [text for text, _ in drawn(draw(*call), monkeypatch)]
        shown = [text.get_text() for text in texts if text.get_color() != MUTED]
        assert {word: shown.count(word) for word in counts} == counts


def test_colored_text_has_one_colour_for_each_piece_and_loses_none(monkeypatch):
    for pieces in (PAGE, PAGE.split()):
        values = np.linspace(-2, 1, len(pieces))
        fig = draw("colored_text", pieces, values)
        shown = [text.get_text() for text, _ in drawn(fig, monkeypatch)][:-2]
        assert "".join(shown) == "".join(figures.visible(p[:84], space="") for p in pieces)
        colors = [bar.get_facecolor() for bar in fig.axes[0].containers[0]]
        np.testing.assert_allclose(colors, SCALE((values + 1) / 2), atol=1e-12)
    for pieces, values in (("abc", [0, 1]), ([], []), ("ab", [0, np.nan]), (["a"], [[0.5]])):
        with pytest.raises(ValueError, match="value"):
            draw("colored_text", pieces, values)
