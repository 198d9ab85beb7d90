"""Chapter 6, Figures 11 to 14: a language model that reads and writes characters."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from .colored_text import visible
from .sketch import Sketch
from .style import INK, INPUT, MONOSPACED, MUTED, OUTPUT, tint

TYPED = {"family": MONOSPACED, "parse_math": False}
TARGET = {"linestyle": (0, (3, 1.5)), "facecolor": "white"}  # how a key looks that is a target


def character_model(text, classes) -> Figure:
    """Draw Figure 11: characters go in at the bottom, the next ones are the targets on top.

    Parameters
    ----------
    text : str
        4 to 8 characters: input is all but the last, target all but the first.
    classes : int
        How many different characters there are.
    """
    board = Sketch(
        3.65,
        f"The input characters {_spelled(text[:-1])} enter from below, one at each time step; the "
        "hidden state is carried from each step to the next; each step gives one number for every "
        f"possible character. The targets on top are the next characters: {_spelled(text[1:])}.",
    )
    rows, top = {"x": 0.4, "h": 1.35, "o": 2.35}, 3.3
    board.text(0.1, top, "target $y^{(t)}$\nthe next character", 11.5, ha="left")
    board.text(0.1, 2.85, "cross-entropy", 11.5, MUTED, ha="left")
    board.text(0.1, rows["o"], f"output $o^{{(t)}}$\n{classes} logits", 11.5, ha="left")
    board.text(0.1, rows["h"], "hidden\nstate $h^{(t)}$", 11.5, ha="left")
    board.text(0.1, rows["x"], "input $x^{(t)}$\none character", 11.5, ha="left")
    steps, pitch = range(1, len(text)), min(1.05, 5.3 / (len(text) - 1))
    columns = {t: 7.12 - pitch * (steps[-1] - t) for t in range(len(text))}
    only, labels = {"x": steps, "o": steps}, {"x": lambda t: text[t - 1]}
    nodes = board.net(columns, rows, only=only, labels=labels, draw={"x": partial(_key, board)})
    for t in steps:
        target = _key(board, columns[t], top, text[t], OUTPUT)
        target.set(**TARGET)
        board.arrow(nodes["o", t], target, color=MUTED, dashed=True).set_arrowstyle("-")
    return board.figure


def character_mapping(text, char2int) -> Figure:
    """Draw Figure 12: a dictionary from characters to integers, and an array back.

    Parameters
    ----------
    text : str
        Up to 18 characters, all of them in the dictionary; the middle one is followed.
    char2int : mapping of str to int
        The integer of every character, from 0 on without a gap.
    """
    at, codes = len(text) // 2, [char2int[c] for c in text]
    char, code, array = text[at], codes[at], sorted(char2int, key=char2int.get)
    board = Sketch(
        4.1,
        f"The characters {_spelled(text)} become the integers {' '.join(map(str, codes))} by a "
        f"dictionary of {len(array)} characters, and characters again by an array: the dictionary "
        f"turns {_spelled(char)} into {code}, and at index {code} of the array it stands.",
    )
    pitch = min(0.4, 5.8 / len(text))
    middle = 4.5 + (at - (len(text) - 1) / 2) * pitch
    near = {i: array[i] for i in range(code - 2, code + 3) if 0 <= i < len(array)}
    entries = {i: f"{c!r}: {i}" for i, c in near.items()}
    gaps = {i: "…" for i in (code - 3, code + 3) if 0 <= i < len(array)}
    way = []  # of the middle character, from top to bottom
    for y, note, color, cells, chosen, wide in (
        (3.75, "characters", INPUT, dict(enumerate(text)), at, pitch),
        (2.9, "char2int\na dictionary", INK, entries | gaps, code, 0.72),
        (2.1, "integers", INK, dict(enumerate(codes)), at, pitch),
        (1.1, "char_array\nan array", INK, near | gaps, code, 0.4),
        (0.35, "characters", OUTPUT, dict(enumerate(text)), at, pitch),
    ):
        board.text(0.1, y, note, 10.5, ha="left")
        for i, label in cells.items():
            x, ink = middle + (i - chosen) * wide, INK if i == chosen else MUTED
            key = _key(board, x, y, label, color, width=0.9 * wide, ink=ink)
            if i == chosen:
                way.append(key)
            else:
                key.set(edgecolor=tint(color, 0.4), facecolor="white", linewidth=1)
    for i in near:
        ink = INK if i == code else MUTED
        board.text(middle + (i - code) * 0.4, 1.41, f"{i}", 9.5, ink, family=MONOSPACED)
    way.insert(3, (middle, 1.5))  # above the index
    for start, end in ((0, 1), (1, 2), (2, 3), (4, 5)):
        board.arrow(way[start], way[end])
    return board.figure


def next_character(chunk, characters, probabilities) -> Figure:
    """Draw Figure 13: input and target are one chunk, shifted by one; then a classification.

    Parameters
    ----------
    chunk : str
        The characters of a window and one more, at least 15.
    characters, probabilities : array, (characters,)
        Every possible character in the order of their integers, and how probable each is after
        the last input.
    """
    characters, probabilities = list(characters), np.asarray(probabilities)
    window = len(chunk) - 1
    board = Sketch(
        4.45,
        f"A chunk of {window + 1} characters; its first {window} are the input, its last {window} "
        "the target: an arrow leads from each input character to the one that follows it in the "
        f"text. Below, bars: after the last input the model gives one probability to each of "
        f"{len(characters)} characters, of which {_spelled(chunk[-1])} is the right one.",
    )
    shown = chunk[:9] + "…" + chunk[-5:]
    xs, keys = 1.72 + 0.385 * np.arange(len(shown)), {}
    for row, note, color, y, part in (
        ("chunk", f"{window + 1} characters", INK, 3.9, slice(None)),
        ("input", "chunk[:-1]", INPUT, 3.1, slice(-1)),
        ("target", "chunk[1:]", OUTPUT, 2.3, slice(1, None)),
    ):
        board.text(0.1, y, f"{row}\n{note}", 10.5, ha="left")
        cells = zip(xs[part], shown[part], strict=True)
        keys[row] = [_key(board, x, y, c, color, width=0.34) for x, c in cells]
    for start, end in zip(keys["input"], keys["target"], strict=True):
        end.set(**TARGET)
        if start.get_visible() and end.get_visible():
            board.arrow(start, end)
    for x, t in zip(xs[[0, 1, 2, -2, -1]], (0, 1, 2, window - 1, window), strict=True):
        board.text(x, 4.23, f"{t}", 9.5, MUTED, family=MONOSPACED)
    board.frame(0.08, 0.08, 7.34, 1.72)
    board.arrow(keys["target"][-1], (xs[-1], 1.82), color=OUTPUT)
    held = _bars(board, 4.9, 1.55, characters, probabilities, top=6, chosen=chunk[-1], longest=1.9)
    chance = max(probabilities[characters.index(chunk[-1])], 1e-12)
    note = (
        f"After the last input the model gives\n{len(characters)} probabilities; those shown "
        f"hold {held:.2f}.\nThe target says which one counts:\n"
        f"loss $= -\\ln\\,{chance:.2g} = {-np.log(chance):.2f}$"
    )
    board.text(0.25, 0.94, note, ha="left", linespacing=1.6)
    return board.figure


def generation_steps(prompt, sampled, characters, probabilities) -> Figure:
    """Draw Figure 14: the prompt is read, then each sampled character is the next input.

    Parameters
    ----------
    prompt, sampled : str
        At least one character, and the 2 to 5 that followed.
    characters : sequence of str
        Every possible character, in the order of their integers.
    probabilities : array, (sampled, characters)
        Those from which each character was sampled.
    """
    board = Sketch(
        4.25,
        f"The prompt is read; at each of {len(sampled)} steps a character is drawn by the "
        "probabilities shown, and becomes the next input.",
    )
    rows, top, pitch, narrow = {"x": 0.72, "h": 1.5}, 3.8, 1.12, 0.6
    end = 7.5 - pitch * len(sampled) + 0.6  # of the prompt
    seen = prompt[-int((end - 0.25) / narrow) :]
    last, text = len(seen) - 1, seen + sampled[:-1]
    columns = {"…": end - (last + 1) * narrow} if seen != prompt else {}
    columns |= {t: end + (t - last) * (narrow if t < last else pitch) for t in range(len(text))}
    labels = {"x": text.__getitem__, "h": lambda t: "$h$"}
    draw = {"x": partial(_key, board), "h": partial(board.circle, radius=0.2)}
    nodes = board.net(columns, rows, labels=labels, draw=draw)
    keys = []
    for t, (char, p) in enumerate(zip(sampled, probabilities, strict=True), start=last):
        x = columns[t]
        area = board.box(x, 2.6, color=OUTPUT, width=0.8, height=1.1)
        area.set_visible(False)  # so that arrows end at the bars
        _bars(board, x - 0.3, 2.97, characters, p, top=4, chosen=char, longest=0.4)
        keys.append(_key(board, x, top, char, OUTPUT, step=t))
        board.arrow(nodes["h", t], area)
        board.arrow(area, keys[-1])
        if t > last:
            corners = [(x - pitch / 2, top), (x - pitch / 2, rows["x"])]
            board.arrow(keys[-2], nodes["x", t], via=corners, dashed=True)
    board.text(0.1, top, "sampled", 10.5, ha="left")
    board.text(0.1, 2.6, "probabilities of the\nnext character", 10.5, ha="left")
    for note, a, b in (("prompt", 0, last), ("fed back", last + 1, len(text) - 1)):
        left, right = columns[a] - 0.19, columns[b] + 0.19
        board.line([(left, 0.4), (right, 0.4)], INPUT, width=1.2)
        board.text((left + right) / 2, 0.22, note, 10.5)
    return board.figure


def _bars(board, x, y, characters, p, *, top, chosen, longest) -> float:
    """Draw the largest probabilities and that of the chosen character; return their sum."""
    characters, order = list(characters), np.argsort(-p, kind="stable")[:top].tolist()
    if characters.index(chosen) not in order:
        order[-1] = characters.index(chosen)
    for k, i in enumerate(order):
        length, row, is_chosen = longest * p[i] / p.max(), y - 0.25 * k, characters[i] == chosen
        color = tint(OUTPUT, 1.0 if is_chosen else 0.35)
        board.ax.add_patch(Rectangle((x, row - 0.07), length, 0.14, color=color))
        font = TYPED | {"weight": "bold" if is_chosen else None}
        board.text(x - 0.1, row, visible(characters[i]), 10.5, **font)
        board.text(x + length + 0.04, row, f"{p[i]:.2f}", 9, ha="left")
    return p[order].sum()


def _key(board, x, y, label, color, *, width=0.4, step=None, ink=INK) -> Patch:
    """Draw a character or a number like a key of a keyboard."""
    is_character = isinstance(label, str) and len(label) == 1
    label, size = (visible(label), 13) if is_character else (visible(f"{label}", space=" "), 9.5)
    look = TYPED | {"width": width, "height": 0.38, "size": size, "step": step, "ink": ink}
    return board.box(x, y, label, color, **look)


def _spelled(text: str) -> str:
    """Return characters as words for a text alternative."""
    return " ".join({" ": "space", "\n": "line break"}.get(c, c) for c in text)
