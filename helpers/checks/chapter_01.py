"""Checks of chapter 1: windows, splits, axes, padding, pairs of words, shapes, a forecast."""

import time
from collections import Counter
from itertools import pairwise

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from helpers.checks.answers import Hint, call, kind, numbers, tell
from helpers.checks.exercise import Exercise, each, normal, scrambled
from helpers.language import say


# 1.1: inputs of `width` values, and the label `ahead` days after the last one
def _windows(series, width, ahead, label=-1, keep=slice(None)):
    """Cut rows of width + ahead days; `label` says where the label stands, `keep` which stay."""
    rows = sliding_window_view(series, width + ahead)[keep]
    return rows[:, :width], rows[:, label]


def _series(n, width, ahead, decimals=9):
    # Rounded to hundreds, some windows are equal.
    return (normal(n) * 200).round(decimals=decimals).numpy(), width, ahead


windows_ahead = Exercise(
    right=_windows,
    says="Every window has its label the right number of days later, and none is lost.",
    cases=each(_series, (8, 4, 1), (9, 2, 2), (5, 1, 3), (16, 2, 7), (300, 14, 2), (31, 2, 1, -2)),
    parts=("inputs", "labels"),
    mistakes=(
        ({"keep": slice(-1)}, "The newest window that has its label is missing."),
        (lambda s, w, a: [p[::w] for p in _windows(s, w, a)], "Most windows lost: overlap them."),
        (lambda s, w, a: _windows(s, w, a + 1), "The labels come one day too late."),
        (lambda s, w, a: _windows(s, w, 1), "`ahead` is never used: that is the next day."),
        ({"label": -2}, "One day early: with ahead=1 the label is an input, it leaks."),
        (lambda s, w, a: _windows(s, w, a, label=a), "You count `ahead` from the first input."),
    ),
)


# 1.2: windows for training and for testing that share no label
def _split(n_days, width, horizon, test_days, late=0, early=0, alone=0, beyond=0):
    """Return sets that straddle the cut, test inputs alone, labels beyond the end, if asked to."""
    cut, last = n_days - test_days - width, n_days - width - horizon
    train = np.arange(cut - horizon + 1 + late * (horizon - 1))
    first = cut - early * (horizon - 1) + alone * width
    return train, np.arange(first, last + 1 + beyond * horizon)


def _in_order(result, n_days, width, horizon, test_days):
    """Return both sets in order (the text asks for none), and one word for all that mix them."""
    try:
        train, test = (np.sort(numbers(list(days)), axis=None) for days in result)
        mixed = min(train[-1] - test[0], test[-1] - train[0]) >= horizon
    except (TypeError, ValueError, IndexError):
        return result  # is no pair of sets: to be shown as it is
    return "training windows between test windows" if mixed else (train, test)


split_in_time = Exercise(
    right=_split,
    says="No label day is in both sets, the test lies after the training, no window is wasted.",
    cases=each(lambda more, width, ahead: (99 + width, width, ahead, 3 * ahead + more)),
    compared=_in_order,
    parts=("training windows", "test windows"),
    mistakes=(
        (
            lambda n, w, h, test: (np.arange(0, n - w - h, 2), np.arange(1, n - w - h, 2)),
            "Training windows lie between test windows: a random split leaks the future.",
        ),
        ({"late": 1, "early": 1}, "Training ends too late, the test begins too early."),
        ({"late": 1}, "Training ends too late: the last labels are test days."),
        ({"early": 1}, "The test begins too early: the first labels are not test days."),
        ({"alone": 1}, "Test windows are missing: inputs may reach back, nothing leaks."),
        ({"beyond": 1}, "The last test windows have labels beyond the last day."),
    ),
)

# 1.3: from (time, batch, features) to (batch, time, features)
time_to_batch = Exercise(
    right=lambda x: x.transpose(0, 1),
    says="Each row is one whole sequence, in order: swapping axes is not reshaping.",
    cases=each(lambda *shape: (normal(*shape),)),
    mistakes=(
        (lambda x: x, "The tensor comes back as it was: its first axis is still time."),
        (scrambled, "Scrambled: reshape keeps the order of memory, a row now mixes sequences."),
        (lambda x: x.transpose(0, 1).flip(1), "Each sequence now runs backwards in time."),
        (lambda x: x.permute(2, 1, 0), "You exchanged time and features: features stay last."),
    ),
)


# 1.4: the output at the last step that is not padding
last_real_output = Exercise(
    right=lambda outputs, lengths: outputs[torch.arange(len(lengths)), lengths - 1],
    says="One row for each sequence, read at its own last step.",
    cases=each(lambda b, t, n: (normal(b, t, n), torch.randint(1, t + 1, (b,)))),
    mistakes=(
        (lambda o, n: o[:, n - 1], "Every step for every sequence: the batch needs an index, too."),
        (lambda o, n: o[:, -1], "That is the last step of the padded batch; many ended before."),
        (lambda o, n: o[torch.arange(len(n)), n], "One step too late: two steps are at 0 and 1."),
        (lambda o, n: o[:, n.max() - 1], "One step for all: that is where the longest ends."),
        (lambda o, n: o[:, 0], "That is the first step of each sequence."),
        (lambda o, n: o.mean(1), "That is a mean over time; a single step is asked for."),
    ),
)


# 1.5: two sentences with the same words and the same pairs of neighbours
def _judge_twins(*sentences):
    # Right pairs are without number: what counts is what the two share.
    for it in sentences:
        words = it if isinstance(it, list | tuple | np.ndarray) else [0]
        if not all(isinstance(word, str) and len(word.split()) == 1 for word in words):
            text = 'Give each sentence as a list of words, as "a b".split() makes it, not as {it}.'
            raise Hint(text, it=tell(it))
    first, second = ([word.casefold() for word in sentence] for sentence in sentences)
    if first == second:
        raise Hint("The two are one and the same sentence.")
    for text, here, there in (
        ("Not even the bags agree: look at the word {it}.", first, second),
        ("The bags agree, the pairs do not: look at {it}.", pairwise(first), pairwise(second)),
    ):
        here, there = Counter(here), Counter(there)
        for it in sorted((here - there) + (there - here)):
            raise Hint(text, it=tell(it))


bigram_twins = Exercise(
    right=(["a", "b", "a", "c", "a"], ["a", "c", "a", "b", "a"]),
    says="Two sentences, one bag of words, one bag of pairs: a longer n-gram only moves the limit.",
    takes=2,
    judge=_judge_twins,
    mistakes=(
        (("dog bites man", "man bites dog"), "split() makes it, not as 'dog bites man'."),
        ((["dog", "bites"], ["Dog", "bites"]), "The two are one and the same sentence."),
        ((["a", "b", "a"], ["b", "a", "b"]), "Not even the bags agree: look at the word 'a'"),
        ((["a", "b", "c"], ["c", "b", "a"]), "agree, the pairs do not: look at ('a', 'b')"),
    ),
)

# 1.6: which category is it?
_TASKS = {
    "heartbeat": ("many-to-one", "Heartbeat: how many answers are wanted for one recording?"),
    "melody": ("one-to-many", "Melody: is there an input at every note, or only at the start?"),
    "gesture": ("synchronised", "Gesture: is a frame's label asked for at once, or at the end?"),
    "translation": ("delayed", "Translation: equal lengths are chance; must the first word wait?"),
    "next character": ("synchronised", "Next character: a forecast at each step, or at the end?"),
    "spoken question": ("delayed", "Spoken question: can a reply begin before it has been heard?"),
}
_SHAPES = {task: shape for task, (shape, _) in _TASKS.items()}


def _judge_tasks(shape_of):
    # Each task has a question of its own, whatever was said of the others.
    if not isinstance(shape_of, dict):
        raise Hint("Give a dictionary, task: category; this is {kind}.", kind=kind(shape_of))
    for task, (shape, question) in _TASKS.items():
        said = str(shape_of.get(task)).strip().lower()
        if said not in _SHAPES.values():
            text = "Say many-to-one, one-to-many, synchronised or delayed of {task}, not {said}."
            raise Hint(text, task=task, said=tell(shape_of.get(task)))
        if said != shape:
            raise Hint(question)


task_shapes = Exercise(
    right=_SHAPES,
    says="Six tasks, four categories: what counts is when an output may be read.",
    judge=_judge_tasks,
    mistakes=(
        *((_SHAPES | {k: "delayed"}, v[1]) for k, v in _TASKS.items() if v[0] != "delayed"),
        *((_SHAPES | {k: "synchronised"}, v[1]) for k, v in _TASKS.items() if v[0] == "delayed"),
        (_SHAPES | {"melody": "many-to-many"}, "of melody, not 'many-to-many'."),
    ),
)


# 1.7: the next three days of a series, better than the chapter's linear model
def _museum():
    """Make another museum: the rules of the chapter's series, other numbers."""
    rng, days = np.random.default_rng(20), np.arange(900)
    weather = rng.normal(0, 15, 900)
    for day in days[1:]:
        weather[day] += 0.8 * weather[day - 1]
    return 500 - 0.04 * days + np.array([35, -50, -30, 10, -15, 60, -10])[days % 7] + weather


def _line(history, width=14):
    """Forecast with the chapter's linear model of the last days."""
    rows = sliding_window_view(history, width + 3)
    inputs = np.column_stack([rows[:, :width], np.ones(len(rows))])
    weights = np.linalg.lstsq(inputs, rows[:, width:], rcond=None)[0]
    return np.append(history[-width:], 1) @ weights


def _weekday(history, keep=0.0):
    """Forecast weekday and slow trend, and what is left of today's deviation."""
    days = np.arange(len(history) + 3)
    parts = np.column_stack([days, np.eye(7)[days % 7]])
    usual = parts @ np.linalg.lstsq(parts[:-3], history, rcond=None)[0]
    return usual[-3:] + (history[-1] - usual[-4]) * keep ** np.arange(1, 4)


def _forecasts(predict, days):
    """Return what comes for the three days after each of these, `(days, 3)`."""
    found = []
    for day in days:
        it = numbers(call(predict, _museum()[:day]))
        if not (isinstance(it, np.ndarray) and it.size == 3 and np.isfinite(it).all()):
            raise Hint("Return three numbers. This came: {it}.", it=tell(it))
        found.append(it.ravel())
    return np.stack(found)


def _judge_forecast(predict):
    # There is no one right forecast: what counts is how far it is off.
    began = time.monotonic()
    _forecasts(predict, [500])
    slow = time.monotonic() - began > 0.1  # what trains a net takes long
    days = range(508, 890, 32) if slow else range(500, 890, 8)
    truth = np.stack([_museum()[day : day + 3] for day in days])
    mine = _forecasts(predict, days)
    known = [(_forecasts(other, days), hint) for other, hint in forecast.mistakes]
    score, *scores = (abs(it - truth).mean() for it in (mine, *(other for other, _ in known)))
    for (other, hint), off in zip(known, scores, strict=True):
        if abs(mine - other).mean() < 0.03 * off:
            raise Hint(hint)
    if score > 0.93 * scores[1]:
        text = "{score:.1f} off, {goal:.1f} wanted: does it use weekday, trend, today's deviation?"
        raise Hint(text, score=score, goal=0.93 * scores[1])
    text = "{score:.1f} visitors off, the linear model {goal:.1f}: you know your series."
    return say(text, score=score, goal=scores[1])


forecast = Exercise(
    right=lambda history: _weekday(history, 0.8),
    judge=_judge_forecast,
    mistakes=(
        (lambda h: h[-7:-4], "That is the week before: is nothing to be learned from today?"),
        (_line, "That is the chapter's model. It sees each weekday twice: show it more of them."),
        (lambda h: [h[-1]] * 3, "That is roughly today's number each day: where is the weekday?"),
        (lambda h: [h.mean()] * 3, "That is one number for all days, and what a bag knows."),
        (_weekday, "That was known weeks ago: what does today's deviation say about tomorrow?"),
    ),
)
