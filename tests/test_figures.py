"""The look of the course: colours that stay apart, figures that nobody has to squint at."""

import base64
import inspect
import io
import itertools
import string
from html.parser import HTMLParser

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ipywidgets import FloatSlider, IntSlider
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from helpers import figures
from helpers.figures import sliders, style
from helpers.figures.colored_text import SCALE

# --- Colours -----------------------------------------------------------------------------------

# What dichromats see, as matrices on linear sRGB.
# Machado, Oliveira and Fernandes (2009), A physiologically-based model for simulation of color
# vision deficiency, IEEE TVCG 15(6), severity 1.0; Viénot, Brettel and Mollon (1999), Digital
# video colourmaps for checking the legibility of displays by dichromats, Color Res. Appl. 24(4),
# with the sRGB primaries.
VISION = {
    "normal": np.eye(3),
    "protanopia (Machado)": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia (Machado)": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia (Machado)": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "protanopia (Viénot)": [
        [0.11238, 0.88762, 0.0],
        [0.11238, 0.88762, 0.0],
        [0.00401, -0.00401, 1.0],
    ],
    "deuteranopia (Viénot)": [
        [0.29275, 0.70725, 0.0],
        [0.29275, 0.70725, 0.0],
        [-0.02234, 0.02234, 1.0],
    ],
}
# A just noticeable difference in CIELAB is about 2.3 (Mahy, Van Eycken and Oosterlinck, 1994),
# for two large fields side by side. Lines and circles on white lie apart and are small: five of
# them. The roles also differ in place, shape and label, so colour never carries them alone.
APART = 5 * 2.3
ROLES = {
    "INPUT": style.INPUT,
    "HIDDEN": style.HIDDEN,
    "OUTPUT": style.OUTPUT,
    "RECURRENT": style.RECURRENT,
}


def linear(color) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color, vision="normal") -> np.ndarray:
    rgb = np.clip(np.array(VISION[vision]) @ linear(color), 0, 1)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = np.array(to_xyz) @ rgb / [0.95047, 1.0, 1.08883]
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
    np.testing.assert_allclose(lab("#FFFFFF"), [100, 0, 0], atol=0.02)
    np.testing.assert_allclose(lab("#0000FF"), [32.30, 79.19, -107.86], atol=0.02)
    for vision, matrix in VISION.items():
        np.testing.assert_allclose(np.sum(matrix, axis=1), 1, atol=2e-5, err_msg=vision)  # grey
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert difference("#C44E52", "#7A7A35", "deuteranopia (Viénot)") < APART  # red and olive


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("pair", list(itertools.combinations(ROLES, 2)), ids="-".join)
def test_roles_stay_apart(pair, vision):
    assert difference(*(ROLES[role] for role in pair), vision) >= APART


def test_ink_and_muted_are_readable_on_white():
    assert contrast(style.INK, "white") >= 7
    assert contrast(style.MUTED, "white") >= 4.5


@pytest.mark.parametrize("vision", VISION)
def test_the_scale_has_a_white_middle_and_two_ends_that_differ(vision):
    low, middle, high = SCALE([0.0, 0.5, 1.0])
    assert difference(middle[:3], "white", vision) < 1
    for one, other in itertools.combinations((low, middle, high), 2):
        assert difference(one[:3], other[:3], vision) > 3 * APART


def test_text_is_readable_on_every_colour_of_the_scale():
    assert min(contrast(style.INK, c[:3]) for c in SCALE(np.linspace(0, 1, 101))) >= 4.5


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


def test_show_wants_words(page):
    fig = plt.figure()
    with pytest.raises(ValueError, match="alt="):
        figures.show(fig)
    assert not page


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
    fig.text(0.02, 0.02, "words", color=style.INK, size=40)
    axes = fig.subplots(1, 5)
    for ax, color in zip(axes, ROLES.values(), strict=False):
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
    for color in ("#FFFFFF", *ROLES.values()):
        here = (true == np.rint(np.array(to_rgb(color)) * 255)).all(axis=2)
        assert here.sum() > 1000
        assert (shown == true)[here].all()


def test_show_takes_the_words_of_a_diagram(page):
    figures.show(figures.Sketch(2, 1, "two boxes").figure)
    figures.show(figures.Sketch(2, 1, "two boxes").figure, alt="other words")
    assert [data["text/plain"] for data, _ in page] == ["two boxes", "other words"]
    assert [picture(data)[0]["alt"] for data, _ in page] == ["two boxes", "other words"]


def test_one_figure_gives_the_same_image_twice(page):
    for _ in range(2):
        figures.show(figures.character_model())
    assert page[0] == page[1]


# --- Sliders -----------------------------------------------------------------------------------


def line(ax, slope, steps):
    """Draw a line whose labels get wider with its values, and say what it is."""
    assert isinstance(steps, int)
    ax.plot(slope * 10.0 ** np.arange(steps))
    return f"A line of {steps} steps, slope {slope}."


RANGES = {"slope": (0.0, 1.0, 0.05, 0.5), "steps": (2, 9, 1, 3)}


@pytest.fixture
def desk(monkeypatch):
    """Everything that ``slider`` puts in front of a person: the picture and what follows it."""
    shown = []

    class Slot:
        def update(self, data, raw):
            shown[0] = data

    def display(data, raw=False, display_id=False):
        shown.append(data)
        return Slot() if display_id else None

    monkeypatch.setattr(sliders, "display", display)
    monkeypatch.setattr(sliders, "somebody_is_there", lambda: True)
    return shown


def test_a_slider_redraws_the_picture_and_its_words(desk):
    figures.slider(line, size=(5, 2), **RANGES)
    start, box = desk
    slope, steps = box.children
    assert (type(slope), slope.value, slope.readout_format) == (FloatSlider, 0.5, ".2f")
    assert (type(steps), steps.value, steps.readout_format) == (IntSlider, 3, "d")
    assert [control.description for control in box.children] == list(RANGES)
    assert start["text/plain"] == "A line of 3 steps, slope 0.5."
    steps.value = 8
    slope.value = 1.0
    moved = desk[0]
    assert moved["text/plain"] == "A line of 8 steps, slope 1.0."
    (words, before), (other_words, after) = picture(start), picture(moved)
    assert words == {"alt": start["text/plain"], "width": "480"}
    assert other_words == {"alt": moved["text/plain"], "width": "480"}
    assert before.size == after.size == (960, 384)
    slope.value, steps.value = 0.5, 3
    again = np.asarray(picture(desk[0])[1].convert("RGB"), dtype=int)
    assert abs(again - np.asarray(before.convert("RGB"), dtype=int)).max() <= 255 / 15
    assert not plt.get_fignums()


def test_the_axes_stay_where_they_are(desk):
    places = []

    def note(ax, steps):
        words = line(ax, 1.0, steps)
        ax.figure.canvas.draw()
        places.append(ax.get_position().bounds)
        return words

    figures.slider(note, steps=RANGES["steps"])
    desk[1].children[0].value = 4
    desk[1].children[0].value = 9  # wider labels on the vertical axis
    assert places[1] == places[2]


def test_of_a_slider_the_picture_alone_is_stored():
    source = (
        "from helpers import figures\nfigures.slider(lambda ax, x: f'x is {x}', x=(0, 9, 1, 4))"
    )
    nb = new_notebook(cells=[new_code_cell(source)])
    NotebookClient(nb, store_widget_state=False).execute()
    [output] = nb.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert output.data["text/plain"] == "x is 4"
    assert "widgets" not in nb.metadata


# --- Diagrams ----------------------------------------------------------------------------------

CHARACTERS = ["\n", " ", *"!$&'()*,-.:;?", *string.digits, *string.ascii_letters, "“", "”"]
CHAR2INT = {c: i for i, c in enumerate(CHARACTERS)}
CHUNK = "There was no sound but that of the island"


def chances(*likely: str) -> np.ndarray:
    """A distribution over CHARACTERS in which each of ``likely`` has half of what is left."""
    p = np.full(len(CHARACTERS), 0.5 ** len(likely) / len(CHARACTERS))
    for k, c in enumerate(likely):
        p[CHAR2INT[c]] += 0.5 ** (k + 1)
    return p


def embedding_weight(rows=10, dim=3) -> np.ndarray:
    weight = np.random.default_rng(1).normal(size=(rows, dim)).round(4)
    weight[0] = 0
    return weight


SENTENCE = (["the", "film", "was", "unforgettable", "fun", "<pad>"], [4, 2, 7, 1, 5, 0])
WAVE = np.sin(np.arange(600) / 7)
REVIEW = ("An unforgettable $5 film, never dull, and its ending is worth the wait. " * 16).split()

VISITORS = [240, 272, 295, 292, 328, 383, 332, 251, 274, 296, 313, 339, 374, 331, 234, 264]
FORECASTS = {"first": np.array([290, 335, 370]), "second": np.array([300, 301, 299])}
ERRORS = {
    "first": np.array([15, 20, 21]),
    "second": np.array([43, 44, 43]),
    "same as today": np.array([39, 59, 70]),
    "same as last week": np.array([24, 24, 24]),
    "mean": np.array([44, 45, 44]),
}
NUMBERS = np.array(
    [
        [[-0.4702, 0.5864], [-0.8888, 1.2364], [-1.3075, 1.8865]],
        [[0.1026, -0.0027], [0.0518, -0.2384], [0.0150, -0.3911]],
        [[-0.3520, 0.5253], [-0.6842, 0.7607], [-0.8649, 0.9047]],
    ]
)

# Arguments for the functions that need some; several calls for one function are welcome.
EXAMPLES = {
    "activations": [((np.arange(1, 4)[:, None] * np.ones(5), *NUMBERS, -NUMBERS[2][:, 1:]), {})],
    "time_series": [((VISITORS,), {})],
    "forecasts_and_errors": [((np.array(VISITORS), FORECASTS["first"] + 9, FORECASTS, ERRORS), {})],
    "influence_patterns": [((dict.fromkeys(("one", "two", "many"), np.tri(4, 6)),), {})],
    "embedding_lookup": [
        ((*SENTENCE, embedding_weight()), {}),
        ((["good", "<pad>"], [2, 0], embedding_weight(4, 1)), {}),
        (([r"$\x$"] * 12, list(range(12)), embedding_weight(12)), {}),
    ],
    "character_model": [((), {}), (("to be",), {}), (("go on $$",), {"classes": 65})],
    "character_mapping": [
        (("THE MYSTERIOUS ", CHAR2INT), {}),
        (("ISLAND", CHAR2INT), {"highlight": 0}),
        (("“$\n", CHAR2INT), {"highlight": 2}),
        (("“Zz”", CHAR2INT), {"highlight": 3}),
        (("ab" * 9, {"a": 0, "b": 1}), {}),
    ],
    "next_character": [
        ((CHUNK, CHARACTERS, chances(*"d$' \nt”")), {}),
        ((CHUNK, CHARACTERS, chances(*"tnsre,")), {}),
        (("$" * 17, CHARACTERS, chances("$")), {"top": 3}),
    ],
    "generation_steps": [
        (("The island", " was ", CHARACTERS, np.array([chances(*" ,.$")] * 5)), {}),
        (("T", "he", CHARACTERS, np.array([chances(*"hewa", *"hewa" * 20)] * 2)), {"top": 3}),
        (("$\n$", "$$\n", CHARACTERS, np.eye(len(CHARACTERS))[[3, 3, 0]]), {}),
    ],
    "colored_text": [
        ((REVIEW, WAVE[: len(REVIEW)]), {"label_low": "negative", "label_high": "positive"}),
        (
            (("“Come,” he said,\nand cost $5.\n\n" * 20)[:600], WAVE),
            {"label_low": "outside", "label_high": "inside", "limits": (0, 1)},
        ),
        (
            (["\x96", "日本", "", r"$\cost$", "x" * 130, "W" * 50, "end"], WAVE[:7]),
            {"label_low": r"$\low$", "label_high": "high", "size": 9},
        ),
        (("x" * 200 + "\n\n\n \t日", WAVE[:206]), {"label_low": "low", "label_high": "high"}),
    ],
}
NOT_DIAGRAMS = {"show", "slider", "tint", "visible"}
DIAGRAMS = [
    name
    for name in figures.__all__
    if inspect.isfunction(getattr(figures, name)) and name not in NOT_DIAGRAMS
]
CALLS = [(name, k) for name in DIAGRAMS for k in range(len(EXAMPLES.get(name, [None])))]


def draw(name: str, k: int = 0):
    args, kwargs = EXAMPLES.get(name, [((), {})])[k]
    return getattr(figures, name)(*args, **kwargs)


def drawn(fig, monkeypatch) -> list[tuple[Text, mpl.transforms.Bbox]]:
    """Draw as ``show`` does; return the texts that were really drawn, and where, in pixels."""
    texts, original = [], Text.draw

    def record(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            box = Text.get_window_extent(text, renderer)  # the text of an annotation, no arrow
            texts.append((text, box))
        return original(text, renderer, *args, **kwargs)

    fig.set_dpi(style.INCH * style.SHARPNESS)
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", record)
        fig.canvas.draw()
    return texts


def complaints(fig, monkeypatch) -> list[str]:
    """Name everything that is wrong with the layout of a figure."""
    wrong, pixel = [], style.SHARPNESS
    if not str(getattr(fig, "alt", "")).strip():
        wrong.append("no alt")
    if fig.get_figwidth() > 7.5:
        wrong.append(f"too wide: {fig.get_figwidth()} inches")
    texts = drawn(fig, monkeypatch)

    def outside(box) -> bool:
        page = fig.bbox.padded(0.5 * pixel)
        return box.x0 < page.x0 or box.y0 < page.y0 or box.x1 > page.x1 or box.y1 > page.y1

    for text, box in texts:
        if text.get_size() < 9:
            wrong.append(f"too small: {text.get_text()!r} {text.get_size()} points")
        if outside(box):
            wrong.append(f"outside: {text.get_text()!r}")
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if min(width, height) > 1.5 * pixel:  # boxes include the side bearing of the letters
            wrong.append(f"overlap: {one.get_text()!r} and {other.get_text()!r}")
    for arrow in fig.findobj(FancyArrowPatch):
        if arrow.get_visible() and outside(arrow.get_window_extent()):
            wrong.append(f"outside: arrow at {arrow.get_window_extent().bounds}")
    return wrong


@pytest.mark.parametrize(("name", "k"), CALLS)
def test_diagram(name, k, monkeypatch):
    assert complaints(draw(name, k), monkeypatch) == []


def test_examples_belong_to_diagrams():
    assert set(EXAMPLES) <= set(DIAGRAMS)


@pytest.mark.parametrize(
    ("word", "spoil"),
    [
        ("no alt", lambda s: setattr(s.figure, "alt", " ")),
        ("too wide", lambda s: s.figure.set_figwidth(7.6)),
        ("too small", lambda s: s.text(1, 1.5, "small", size=8.5)),
        ("outside: 'far", lambda s: s.text(3.9, 1.5, "far right")),
        ("outside: 'low", lambda s: s.text(2, 0.02, "low")),
        ("overlap", lambda s: s.text(1.1, 1.05, "word")),
        ("overlap", lambda s: s.text(1, 1, "$h^{(t)}$")),
        ("outside: arrow", lambda s: s.arrow((1, 0.5), (4.1, 0.5))),
        ("outside: arrow", lambda s: s.arrow((1, 1.9), (3, 1.9), bend=-0.4)),
    ],
)
def test_a_bad_layout_is_noticed(word, spoil, monkeypatch):
    sketch = figures.Sketch(4, 2, "an example")
    sketch.text(1, 1, "a word")
    sketch.arrow((1, 0.5), (3, 0.5))
    spoil(sketch)
    found = complaints(sketch.figure, monkeypatch)
    assert len(found) == 1, found
    assert found[0].startswith(word)


# --- What the figures of chapters 5 and 6 say -----------------------------------------------------


def words_of(fig, monkeypatch) -> list[str]:
    return [text.get_text() for text, _ in drawn(fig, monkeypatch)]


def test_embedding_shows_the_numbers_of_the_weights(monkeypatch):
    weight = embedding_weight()
    ids = SENTENCE[1]
    shown = words_of(draw("embedding_lookup"), monkeypatch)
    want = [*weight.ravel(), *weight[ids].ravel()]
    want = [f"{v:.2f}".replace("-", "−") for v in want]
    assert all(shown.count(number) == 2 * want.count(number) for number in want)
    assert shown.count("unforgetta…") == shown.count("the") == 2


@pytest.mark.parametrize(
    ("words", "ids", "weight"),
    [
        (["a", "b"], [2], embedding_weight()),
        (["a"], [2], embedding_weight(13)),
        (["a"], [2], embedding_weight(10, 4)),
        (["a"] * 6, [2] * 6, embedding_weight(5)),
    ],
)
def test_embedding_refuses_what_has_no_room(words, ids, weight):
    with pytest.raises(ValueError, match="room"):
        figures.embedding_lookup(words, ids, weight)


def test_model_shows_input_and_target_one_apart(monkeypatch):
    shown = words_of(figures.character_model("stone"), monkeypatch)
    pairs = zip("ston", "tone", strict=True)  # each input with its target
    assert [t for t in shown if len(t) == 1] == [c for pair in pairs for c in pair]


def test_mapping_shows_the_dictionary_and_the_array(monkeypatch):
    shown = words_of(figures.character_mapping("SEA", CHAR2INT, highlight=1), monkeypatch)
    for c in "SEA":
        assert shown.count(c) >= 2
        assert str(CHAR2INT[c]) in shown
    assert f"'E': {CHAR2INT['E']}" in shown
    with pytest.raises(KeyError):
        figures.character_mapping("é", CHAR2INT)


def test_next_character_shows_the_right_one_and_its_loss(monkeypatch):
    p = chances(*"tnsre,")  # "d" is right and not among the six most probable
    shown = words_of(figures.next_character(CHUNK, CHARACTERS, p), monkeypatch)
    assert shown.count("d") >= 3  # twice in the rows, once below its bar
    assert "," not in shown  # its place is taken
    assert any(f"{-np.log(p[CHAR2INT['d']]):.2f}" in t for t in shown)
    assert f"{len(CHARACTERS) - 6} more" in shown


def test_generation_feeds_back_what_was_sampled(monkeypatch):
    p = np.array([chances("a", "b"), chances("c", "d"), np.eye(len(CHARACTERS))[CHAR2INT["e"]]])
    shown = words_of(figures.generation_steps("Go", "ade", CHARACTERS, p), monkeypatch)
    assert shown.count("a") == 3  # a bar, sampled, fed back
    assert shown.count("d") == 3
    assert shown.count("e") == 2  # the last one is not fed back
    assert "1.00" in shown
    assert ".50" in shown
    with pytest.raises(ValueError, match="probabilities"):
        figures.generation_steps("Go", "ad", CHARACTERS, p)


def test_colored_text_has_one_colour_for_each_piece():
    kwargs = {"label_low": "low", "label_high": "high"}
    fig = figures.colored_text(["a", "b", "c", "d", "e"], [-1, 0, 1, 7, -0.5], **kwargs)
    (boxes,) = fig.findobj(PatchCollection)
    np.testing.assert_allclose(boxes.get_facecolor(), SCALE([0.0, 0.5, 1.0, 1.0, 0.25]), atol=1e-12)
    fig = figures.colored_text("a b", [0, 0.5, 1], limits=(0, 1), **kwargs)
    (boxes,) = fig.findobj(PatchCollection)
    np.testing.assert_allclose(boxes.get_facecolor(), SCALE([0.0, 0.5, 1.0]), atol=1e-12)
    assert "3 characters" in fig.alt
    assert "low" in fig.alt


@pytest.mark.parametrize(
    ("pieces", "values"),
    [("abc", [0, 1]), ([], []), ("ab", [0, np.nan]), (["a"], [[0.5]])],
)
def test_colored_text_refuses_what_does_not_match(pieces, values):
    with pytest.raises(ValueError, match="value"):
        figures.colored_text(pieces, values, label_low="low", label_high="high")


def test_colored_text_loses_no_character(monkeypatch):
    text = "“Yes,” he said.\n\nA long-winded $word$ " + "x" * 100 + " end\n"
    fig = figures.colored_text(text, np.zeros(len(text)), label_low="low", label_high="high")
    shown = words_of(fig, monkeypatch)[:-2]
    assert "".join(shown).replace("↵", "") == "".join(text.split())
    (boxes,) = fig.findobj(PatchCollection)
    assert len(boxes.get_paths()) == len(text)  # spaces have their colour, too
    for path in boxes.get_paths():
        x0, y0, x1, y1 = path.get_extents().extents
        assert x0 >= 0
        assert x1 <= fig.get_figwidth()
        assert y0 > 0.3  # above the legend
        assert y1 <= fig.get_figheight()
