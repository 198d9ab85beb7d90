"""Figures 11 to 14: a language model that reads and writes one character at a time."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patches
from matplotlib.figure import Figure

from helpers.figures.colored_text import MONOSPACED, visible
from helpers.figures.sketch import COLORS, Kind, Sketch, tint


def character_model(text: str = "island", classes: int = 80) -> Figure:
    """Draw Figure 11: characters go in at the bottom, the next ones are the targets on top.

    Args:
        text: input is all but its last character, target all but its first; 4 to 8 characters.
        classes: how many different characters there are.
    """
    steps = len(text) - 1
    if not 3 <= steps <= 7:
        raise ValueError("the figure has room for 4 to 8 characters")
    sketch = Sketch(
        7.5,
        3.65,
        f"The input characters {_spelled(text[:-1])} enter from below, one at each time step; the "
        "hidden state is carried from each step to the next; each step gives one number for every "
        f"possible character. The targets on top are the next characters: {_spelled(text[1:])}.",
    )
    rows = {"target": 3.3, "output": 2.35, "hidden": 1.35, "input": 0.4}
    labels = {
        "target": "target $y^{(t)}$\nthe next character",
        "output": f"output $o^{{(t)}}$\n{classes} logits",
        "hidden": "hidden state $h^{(t)}$",
        "input": "input $x^{(t)}$\none character",
    }
    for role, y in rows.items():
        sketch.text(0.1, y, labels[role], size=11.5, ha="left", linespacing=1.4)
    pitch = min(1.05, 4.5 / (steps - 1))
    left = 7.12 - pitch * (steps - 1)
    sketch.text(0.1, 2.85, "cross-entropy", size=11.5, ha="left", kind="muted")
    sketch.text(left - 0.87, rows["hidden"], "$h^{(0)}$", size=13)
    before = (left - 0.66, rows["hidden"])
    for k in range(steps):
        x, t = left + k * pitch, k + 1
        bottom = _key(sketch, x, rows["input"], text[k], "input")
        state = sketch.circle(x, rows["hidden"], f"$h^{{({t})}}$")
        logits = sketch.circle(x, rows["output"], f"$o^{{({t})}}$", "output")
        top = _key(sketch, x, rows["target"], text[k + 1], "output", target=True)
        sketch.arrow(bottom, state, "input")
        sketch.arrow(state, logits, "output")
        sketch.arrow(logits, top, "muted", dashed=True).set_arrowstyle("-")
        sketch.arrow(before, state, "recurrent")
        before = state
    return sketch.figure


def character_mapping(
    text: str, char2int: Mapping[str, int], highlight: int | None = None
) -> Figure:
    """Draw Figure 12: a dictionary from characters to integers, and an array back.

    Args:
        text: up to 18 characters, all of them in the dictionary.
        char2int: the integer of every character, from 0 on without a gap.
        highlight: the position in the text that is followed all the way; the middle if None.
    """
    if not 1 <= len(text) <= 18:
        raise ValueError("the figure has room for 1 to 18 characters")
    int2char = [str(c) for c in sorted(char2int, key=char2int.get)]
    at = len(text) // 2 if highlight is None else highlight % len(text)
    codes = [char2int[c] for c in text]
    char, code = text[at], codes[at]
    sketch = Sketch(
        7.5,
        4.1,
        f"The characters {_spelled(text)} become the integers {' '.join(map(str, codes))} by a "
        f"dictionary of {len(int2char)} characters, and the integers become characters again by "
        f"an array: the dictionary turns {_spelled(char)} into {code}, and at index {code} of the "
        f"array stands {_spelled(char)}.",
    )
    rows = {"text": 3.75, "dict": 2.9, "codes": 2.1, "array": 1.1, "back": 0.35}
    notes = (
        "characters",
        "char2int\na dictionary",
        "integers",
        "char_array\nan array",
        "characters",
    )
    for y, note in zip(rows.values(), notes, strict=True):
        sketch.text(0.1, y, note, size=10.5, ha="left", linespacing=1.5)
    middle, pitch = 4.5, min(0.4, 5.8 / len(text))
    way = []  # the boxes of the highlighted character, from top to bottom

    def row(name: str, labels: Sequence, kind: Kind):
        for k, label in enumerate(labels):
            x = middle + (k - (len(text) - 1) / 2) * pitch
            box = _key(sketch, x, rows[name], label, kind, width=0.9 * pitch, faint=k != at)
            if k == at:
                way.append(box)

    row("text", text, "input")
    for x, i in _excerpt(code, 1, len(int2char), 0.72, way[0].center[0]):
        entry = f"{int2char[i]!r}: {i}" if i is not None else "…"
        box = _key(sketch, x, rows["dict"], entry, "plain", 0.69, faint=i != code, bare=i is None)
        if i == code:
            way.append(box)
    row("codes", codes, "plain")
    for x, i in _excerpt(code, 3, len(int2char), 0.39, way[0].center[0]):
        entry = int2char[i] if i is not None else "…"
        box = _key(sketch, x, rows["array"], entry, "plain", 0.36, faint=i != code, bare=i is None)
        if i is not None:
            index = sketch.text(x, rows["array"] + 0.31, f"{i}", size=9.5, family=MONOSPACED)
            index.set(color=COLORS["plain" if i == code else "muted"])
        if i == code:
            way.append(box)
    row("back", text, "output")
    for k, kind in enumerate(("input", "plain", "plain", "output")):
        sketch.arrow(
            way[k], (way[3].center[0], rows["array"] + 0.4) if k == 2 else way[k + 1], kind
        )
    return sketch.figure


def next_character(
    chunk: str, characters: Sequence[str], probabilities: Sequence[float], top: int = 6
) -> Figure:
    """Draw Figure 13: input and target are one chunk, shifted by one; then a classification.

    Args:
        chunk: the characters of a window and one more, 41 of them in the course.
        characters: every possible character, in the order of their integers.
        probabilities: of each of them after the input, from the model.
        top: how many bars are drawn, the most probable ones and the right one.
    """
    chunk, characters = "".join(chunk), list(characters)
    probabilities = np.asarray(probabilities, dtype=float)
    window, right = len(chunk) - 1, characters.index(chunk[-1])
    if window < 16 or probabilities.shape != (len(characters),):
        raise ValueError("a chunk of 17 or more characters, and one probability for each class")
    sketch = Sketch(
        7.5,
        4.45,
        f"A chunk of {window + 1} characters; its first {window} are the input, its last {window} "
        "the target, so that below each input character stands the one that follows it in the "
        f"text. Below, bars: after the last input the model gives one probability to each of "
        f"{len(characters)} characters, of which {_spelled(chunk[-1])} is the right one.",
    )
    first, last = 9, 5  # how many are drawn at the two ends of the chunk
    pitch, left = 0.385, 1.72
    xs = {t: left + t * pitch for t in range(first)}
    xs |= {window - k: left + (first + last - k) * pitch for k in range(last)}
    rows = (
        ("chunk", f"{window + 1} characters", "plain", 3.9, range(window + 1)),
        ("input", "chunk[:-1]", "input", 3.1, range(window)),
        ("target", "chunk[1:]", "output", 2.3, range(1, window + 1)),
    )
    boxes = {}
    for name, note, kind, y, inside in rows:
        sketch.text(0.1, y, f"{name}\n{note}", size=10.5, ha="left", linespacing=1.5)
        sketch.text(left + first * pitch, y, "…", size=13)
        for t in inside:
            if t in xs:
                is_target = name == "target"
                box = _key(sketch, xs[t], y, chunk[t], kind, width=0.34, target=is_target)
                boxes[name, t] = box
                if is_target and t - 1 in xs:
                    sketch.arrow(boxes["input", t - 1], box, "output")
    for t in (0, 1, 2, window - 1, window):
        sketch.text(xs[t], 4.23, f"{t}", size=9.5, kind="muted", family=MONOSPACED)
    sketch.frame(0.08, 0.08, 7.34, 1.72)
    sketch.arrow(boxes["target", window], (xs[window], 1.82), "output")
    chance = max(probabilities[right], 1e-12)
    note = (
        f"After the last input the model\ngives {len(characters)} probabilities.\n"
        f"The target says which one counts:\nloss $= -\\ln\\,{chance:.2g} = {-np.log(chance):.2f}$"
    )
    sketch.text(0.25, 0.94, note, size=11, ha="left", linespacing=1.6)
    order = list(np.argsort(-probabilities, kind="stable"))
    shown = order[:top] if right in order[:top] else [*order[: top - 1], right]
    others = max(0.0, 1 - probabilities[shown].sum())
    base, tall, step = 0.48, 0.95, 0.56
    spots = xs[window] - step * np.arange(top, -1, -1) - 0.1
    tallest = max(probabilities[shown].max(), others)
    heights = [*probabilities[shown], others]
    for k, (x, height) in enumerate(zip(spots, heights, strict=True)):
        is_right = k < top and shown[k] == right
        color = COLORS["output"] if is_right else tint(COLORS["output"], 0.35)
        bar = patches.Rectangle((x - 0.17, base), 0.34, tall * height / tallest, color=color)
        sketch.ax.add_patch(bar)
        sketch.text(x, base + tall * height / tallest + 0.11, f"{height:.2f}", size=9.5)
        name = visible(characters[shown[k]]) if k < top else f"{len(characters) - top} more"
        font = {"family": MONOSPACED, "size": 13} if k < top else {"size": 9.5}
        sketch.text(x, base - 0.18, name, parse_math=False, **font)
    return sketch.figure


def generation_steps(
    prompt: str,
    sampled: str,
    characters: Sequence[str],
    probabilities: np.ndarray,
    top: int = 4,
) -> Figure:
    """Draw Figure 14: the prompt is read, then each sampled character is the next input.

    Args:
        prompt: at least one character.
        sampled: the 2 to 5 characters that followed.
        characters: every possible character, in the order of their integers.
        probabilities: those from which each character was sampled, (sampled, characters).
        top: how many bars are drawn at each step, up to 4, the sampled character among them.
    """
    characters, probabilities = list(characters), np.asarray(probabilities, dtype=float)
    steps = len(sampled)
    if (
        not prompt
        or not 2 <= steps <= 5
        or not 1 <= top <= 4
        or probabilities.shape != (steps, len(characters))
    ):
        raise ValueError(
            "a prompt, 2 to 5 sampled characters, the probabilities of each, top 1 to 4"
        )
    sketch = Sketch(
        7.5,
        4.25,
        "The prompt enters from below, one character at each time step, and leaves its trace in "
        "the hidden state. From its last character on, bars show the probabilities of the next "
        "character; one is sampled, and a dashed edge leads it back to be the next input.",
    )
    pitch, narrow = 1.12, 0.6
    left = 7.5 - pitch * steps + 0.6  # of the column in which the prompt ends
    room = int((left - 0.25) / narrow)  # columns for what comes before
    early = prompt[:-1] if len(prompt) - 1 <= room else "…" + prompt[-room:-1]
    xs = left + np.array([-narrow * k for k in range(len(early), 0, -1)] + [0.0] * steps)
    xs[len(early) :] += pitch * np.arange(steps)
    inputs, hidden, top_row = 0.72, 1.5, 3.8
    before = None
    for k, (x, char) in enumerate(zip(xs, early + prompt[-1] + sampled[:-1], strict=True)):
        if k == 0 and early != prompt[:-1]:
            sketch.text(x, inputs, char, size=13)
            before = sketch.text(x, hidden, char, size=13).get_position()
            continue
        box = _key(sketch, x, inputs, char, "input", width=0.38)
        state = sketch.circle(x, hidden, "$h$", radius=0.2, size=12)
        sketch.arrow(box, state, "input")
        if before:
            start = before if isinstance(before, patches.Patch) else (before[0] + 0.15, hidden)
            sketch.arrow(start, state, "recurrent")
        before = state
        step = k - len(early)
        if step > 0:
            _feed_back(sketch, (xs[k - 1] + 0.21, top_row), (x - 0.2, inputs), x - 0.5 * pitch)
        if step >= 0:
            sketch.arrow(state, (x, 2.02), "output")
            chosen = characters.index(sampled[step])
            edge = _bars(sketch, x, 2.22, characters, probabilities[step], chosen, top)
            drawn = _key(sketch, x, top_row, sampled[step], "output")
            sketch.arrow((x, edge), drawn, "output")
    for note, y in (("sampled", top_row), ("probabilities of the\nnext character", 2.62)):
        sketch.text(0.1, y, note, size=10.5, ha="left", linespacing=1.4)
    for note, start, end in (
        ("prompt", xs[0], left),
        ("fed back", xs[-steps + 1], xs[-1]),
    ):
        sketch.ax.plot([start - 0.19, end + 0.19], [0.4, 0.4], color=COLORS["input"], lw=1.2)
        sketch.text((start + end) / 2, 0.22, note, size=10.5)
    return sketch.figure


def _bars(sketch, x, bottom, characters, probabilities, chosen: int, top: int) -> float:
    """Draw the most probable characters as bars above ``bottom``; return their upper edge."""
    order = list(np.argsort(-probabilities, kind="stable"))
    shown = order[:top] if chosen in order[:top] else [*order[: top - 1], chosen]
    for k, i in enumerate(shown):
        y, wide = bottom + 0.25 * (len(shown) - 1 - k), 0.4 * probabilities[i] / probabilities.max()
        color = COLORS["output"] if i == chosen else tint(COLORS["output"], 0.35)
        sketch.ax.add_patch(patches.Rectangle((x - 0.3, y - 0.07), wide, 0.14, color=color))
        name = {
            "family": MONOSPACED,
            "parse_math": False,
            "weight": "bold" if i == chosen else None,
        }
        sketch.text(x - 0.4, y, visible(characters[i]), size=10.5, **name)
        sketch.text(
            x - 0.26 + wide, y, f"{probabilities[i]:.2f}".removeprefix("0"), size=9, ha="left"
        )
    return bottom + 0.25 * len(shown) - 0.06


def _feed_back(sketch: Sketch, start, end, turn: float) -> None:
    """Draw the dashed edge from a sampled character down to the next input."""
    (x0, y0), (x1, y1), r = start, end, 0.12
    points = [(x0, y0), (turn - r, y0), (turn, y0), (turn, y0 - r)]
    points += [(turn, y1 + r), (turn, y1), (turn + r, y1), (x1, y1)]
    M, L, C = patches.Path.MOVETO, patches.Path.LINETO, patches.Path.CURVE3
    path = patches.Path(points, [M, L, C, C, L, C, C, L])
    style = {"arrowstyle": "-", "linewidth": 1.5, "linestyle": (0, (4, 2.5)), "zorder": 2}
    edge = patches.FancyArrowPatch(path=path, color=COLORS["recurrent"], **style)
    sketch.ax.add_patch(edge)
    sketch.arrow((x1 - 0.02, y1), (x1 + 0.01, y1), "recurrent")


def _key(
    sketch: Sketch,
    x: float,
    y: float,
    label,
    kind: Kind,
    width: float = 0.42,
    *,
    target: bool = False,
    faint: bool = False,
    bare: bool = False,
):
    """Draw a character or a number like a key of a keyboard; dashed if it is a target."""
    box = sketch.box(x, y, "", kind, width=width, height=0.38)
    if faint:
        box.set(edgecolor=tint(COLORS[kind], 0.4), facecolor="white", linewidth=1)
    if target:
        box.set(linestyle=(0, (3, 1.5)), facecolor="white")
    box.set_visible(not bare)
    is_character = isinstance(label, str) and len(label) == 1
    label = visible(label) if is_character else visible(str(label), space=" ")
    color = COLORS["muted"] if faint and kind == "plain" else COLORS["plain"]
    more = {"family": MONOSPACED, "parse_math": False, "color": color}
    sketch.text(x, y, label, size=13 if is_character else 9.5, **more)
    return box


def _excerpt(code: int, around: int, count: int, width: float, wish: float):
    """Yield (x, i) for the first, the last and the integers around ``code``; None is a gap.

    ``code`` itself stands at x = ``wish`` if there is room on both sides.
    """
    near = range(code - around, code + around + 1)
    chosen = sorted({0, 1, *near, count - 2, count - 1} & set(range(count)))
    spots = [chosen[0]]
    for i in chosen[1:]:
        spots += [i] if i == spots[-1] + 1 else [None, i]
    widths = [0.25 if i is None else width for i in spots]
    x = wish - sum(widths[: spots.index(code)]) - width / 2
    x = min(max(x, 1.55), 7.42 - sum(widths))
    for i, wide in zip(spots, widths, strict=True):
        yield x + wide / 2, i
        x += wide


def _spelled(text: str) -> str:
    """Return characters as words for a text alternative."""
    names = {" ": "space", "\n": "line break"}
    return " ".join(names.get(c, c) for c in text)
