"""Checks of chapter 1: windows, splits, axes, padding, pairs of words, shapes, a forecast."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from helpers.checks.core import Hint, call, close, exercise, tensor


def _two(value: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Hint(f"Return two things, {what}; this is a {type(value).__name__}.")
    return value[0], value[1]


@exercise
def windows_ahead(make_windows) -> str:
    """Exercise 1.1: inputs of ``width`` values, the label ``ahead`` steps after the last one."""
    for length, width, ahead in ((12, 4, 1), (20, 5, 3), (9, 2, 2)):
        series = 100.0 + np.arange(length)  # a value tells its own place
        answer = call(make_windows, series, width, ahead)
        inputs, labels = _two(answer, "the inputs and the labels")
        inputs, labels = tensor(inputs, what="inputs"), tensor(labels, what="labels")
        case = f"{length} days, width {width}, ahead {ahead}"
        if inputs.ndim != 2 or inputs.shape[1] != width:
            raise Hint(f"inputs should be (windows, {width}); with {case} it has {inputs.shape}.")
        if labels.shape != inputs.shape[:1]:
            raise Hint(
                f"With {case} there are {len(inputs)} windows, and labels has the shape "
                f"{tuple(labels.shape)}: one label a window, please."
            )
        count = length - width - ahead + 1
        if len(inputs) == 0:
            raise Hint(f"With {case} you found no window at all.")
        place, label = inputs - 100, labels - 100  # back to days
        if close(place[0], torch.arange(width).flip(0)):
            raise Hint("The values of a window run backwards: the oldest should come first.")
        if not close(place[0], torch.arange(width)):
            raise Hint(f"The first window should hold the first {width} days, oldest first.")
        lead = int(label[0] - place[0, -1])  # days from the last input to the label
        if lead <= 0:
            raise Hint(
                "The label of the first window is one of its own inputs: the target leaks, and "
                "any model will look perfect. Count from the last input on."
            )
        if lead == 1 != ahead:
            raise Hint(f"With ahead={ahead} the label is still the very next day.")
        if lead != ahead:
            raise Hint(f"With ahead={ahead} the label lies {lead} days after the last input.")
        if len(inputs) > 1 and int(place[1, 0]) != 1:
            raise Hint(
                f"The second window starts on day {int(place[1, 0]) + 1}: windows may overlap, "
                "and you throw away most of them."
            )
        if len(inputs) != count:
            raise Hint(
                f"With {case} you make {len(inputs)} windows. Try it on paper: which is the last "
                "window that still has its label?"
            )
        days = torch.arange(count)
        if not close(place, days[:, None] + torch.arange(width)) or not close(
            label, days + width - 1 + ahead
        ):
            raise Hint(f"The first window is right, but a later one is not ({case}).")
    return "Every window has its label the right number of days later, and none is lost."


@exercise
def split_in_time(split) -> str:
    """Exercise 1.2: windows for training and for testing that share no label."""
    for n_days, width, horizon, test_days in ((100, 14, 3, 20), (60, 7, 1, 10), (50, 5, 4, 15)):
        sets = _two(call(split, n_days, width, horizon, test_days), "train and test")
        train, test = (
            tensor(s, what=name).flatten().long().tolist()
            for s, name in zip(sets, ("train", "test"), strict=True)
        )
        cut, last = n_days - test_days, n_days - width - horizon
        right_train, right_test = range(cut - width - horizon + 1), range(cut - width, last + 1)
        if not train or not test:
            raise Hint("One of the two sets is empty.")
        if len(train) != len(set(train)) or len(test) != len(set(test)):
            raise Hint("A window stands in one set more than once.")
        if min(train + test) < 0 or max(train + test) > last:
            worst = max(train + test)
            raise Hint(
                f"With {n_days} days the window from day {worst} would need day "
                f"{worst + width + horizon - 1}; days count from 0, the last one is {n_days - 1}."
                if worst > last
                else f"{min(train + test)} is no first day: days count from 0."
            )
        if min(train) > max(test):
            raise Hint("You train on the last days and test on the first: that predicts the past.")
        between = sum(min(test) < i < max(test) for i in train)
        if between >= horizon:  # fewer of them may just straddle the cut
            raise Hint(
                f"{between} training windows lie between test windows. Their days, and so the "
                "answers of the test, are known to the model: a random split leaks the future."
            )
        known = {day for i in train for day in range(i + width, i + width + horizon)}
        asked = {day for i in test for day in range(i + width, i + width + horizon)}
        if known & asked:
            late, early = max(known) >= cut, min(asked) < cut
            whose = "training windows end too late" if late else "test windows begin too early"
            if late and early:
                whose += ", your test windows begin too early"
            raise Hint(
                f"{len(known & asked)} label days stand in both sets: your {whose}. A window has "
                f"{horizon} label days, and the first test day is {cut}."
            )
        if max(known) >= cut:
            raise Hint(f"A training label lies on day {max(known)}, a test day (from {cut} on).")
        if min(asked) < cut:
            raise Hint(f"A test label lies on day {min(asked)}, before the cut at day {cut}.")
        if min(asked) > cut:
            raise Hint(
                f"The first forecast that you test is for day {min(asked)}, and the cut is at "
                f"{cut}. Inputs may reach back: on that day they are known, nothing leaks."
            )
        if sorted(train) != list(right_train) or sorted(test) != list(right_test):
            raise Hint(
                f"Nothing leaks, but windows are missing: {len(train)} + {len(test)} are yours, "
                f"{len(right_train)} + {len(right_test)} are possible."
            )
    return "No label day is in both sets, the test lies after the training, no window is wasted."


@exercise
def time_to_batch(to_batch_first) -> str:
    """Exercise 1.3: from (time, batch, features) to (batch, time, features)."""
    for time, batch, features in ((5, 3, 2), (4, 4, 3)):
        x = torch.zeros(time, batch, features)
        x += 100 * torch.arange(time).view(-1, 1, 1) + 10 * torch.arange(batch).view(1, -1, 1)
        x += torch.arange(features)
        right = x.transpose(0, 1)
        got = tensor(call(to_batch_first, x))
        if close(got, right):
            continue
        if close(got, x):
            raise Hint("The tensor comes back as it was: its first axis is still time.")
        if got.shape == right.shape and close(got, x.reshape(right.shape)):
            raise Hint(
                "The shape is right and the content is scrambled: reshape and view keep the "
                "numbers in the order of memory, so one row now mixes several sequences."
            )
        if got.shape != right.shape:
            raise Hint(
                f"(time, batch, features) = {(time, batch, features)} became {tuple(got.shape)}; "
                f"{tuple(right.shape)} is wanted. Features stay last."
            )
        if close(got, right.flip(1)):
            raise Hint("Each sequence now runs backwards in time.")
        raise Hint("The shape is right, but a sequence does not hold its own values in order.")
    return "Each row is one whole sequence, in order: swapping axes is not reshaping."


@exercise
def last_real_output(last_real) -> str:
    """Exercise 1.4: the output at the last step that is not padding."""
    generator = torch.Generator().manual_seed(4)
    for lengths in (torch.tensor([2, 5, 3]), torch.tensor([6, 1, 4, 4])):
        batch, time, features = len(lengths), 6, 4
        outputs = torch.randn(batch, time, features, generator=generator)
        rows = torch.arange(batch)
        got = tensor(call(last_real, outputs, lengths))
        if tuple(got.shape) == (batch, batch, features):
            raise Hint(
                f"The shape is {tuple(got.shape)}: outputs[:, i] takes every i for every "
                "sequence. Give an index for the batch axis too."
            )
        right = outputs[rows, lengths - 1]
        got = tensor(got, (batch, features))
        if close(got, right):
            continue
        real = (torch.arange(time) < lengths[:, None])[..., None]
        padded = (lengths == time).logical_not()
        if close(got, outputs[:, -1]):
            raise Hint("That is the last step of the padded batch; most sequences ended before.")
        if close(got[padded], outputs[rows, lengths % time][padded]):
            raise Hint("One step too late: a sequence of 2 has its steps at 0 and 1.")
        if close(got, outputs[:, int(lengths.max()) - 1]):
            raise Hint("One step for all: that is where the longest sequence ends.")
        if close(got, outputs[:, 0]):
            raise Hint("That is the first step of each sequence.")
        if close(got, (outputs * real).sum(1) / lengths[:, None]) or close(got, outputs.mean(1)):
            raise Hint("That is a mean over time; a single step is asked for.")
        if close(got, (outputs * real)[:, -1]):
            raise Hint("Masking alone does not find the step: most of your rows are zeros.")
        raise Hint("The shape is right, but not every row is the last real step of its sequence.")
    return "One row for each sequence, read at its own last word."


@exercise
def bigram_twins(first, second) -> str:
    """Exercise 1.5: two sentences with the same words and the same pairs of neighbours."""
    for sentence in (first, second):
        if isinstance(sentence, str):
            raise Hint('Give each sentence as a list of words: "a b".split() makes one.')
        if not isinstance(sentence, list | tuple) or not all(isinstance(w, str) for w in sentence):
            raise Hint(f"A list of words is expected, this is a {type(sentence).__name__}.")
    first, second = list(first), list(second)
    if first == second:
        raise Hint("The two are one and the same sentence.")
    here, there = (Counter(pairwise(s)) for s in (first, second))
    if Counter(first) != Counter(second):
        if here == there and here:
            raise Hint("The pairs agree, but the words do not: count the first and the last word.")
        word = sorted((Counter(first) - Counter(second)) + (Counter(second) - Counter(first)))[0]
        raise Hint(f"Not even the bags agree: look at the word {word!r}.")
    if here != there:
        pair = " ".join(sorted((here - there) + (there - here))[0])
        raise Hint(
            f"The bags of words agree, the pairs do not: {pair!r} is not equally often in both."
        )
    return (
        "Two sentences, one bag of words, one bag of pairs: a longer n-gram only moves the limit."
    )


_SHAPES = {
    "heartbeat": "many-to-one",
    "melody": "one-to-many",
    "gesture": "synchronised",
    "translation": "delayed",
    "next character": "synchronised",
    "spoken question": "delayed",
}


@exercise
def task_shapes(shape_of) -> str:
    """Exercise 1.6: which category is it?"""
    if not isinstance(shape_of, dict):
        raise Hint(f"Give a dictionary, task: category; this is a {type(shape_of).__name__}.")
    given = {k: v.strip().lower() if isinstance(v, str) else v for k, v in shape_of.items()}
    missing = [task for task in _SHAPES if task not in given or given[task] is ...]
    if missing:
        raise Hint(f"Still without a category: {', '.join(missing)}.")
    known = set(_SHAPES.values())
    odd = [task for task in _SHAPES if not isinstance(given[task], str) or given[task] not in known]
    if odd:
        raise Hint(f"{odd[0]}: {given[odd[0]]!r} is none of {', '.join(sorted(known))}.")
    wrong = {task: given[task] for task, right in _SHAPES.items() if given[task] != right}
    if not wrong:
        return "Six tasks, four categories: what counts is when an output may be read."
    more = f" ({len(wrong)} answers are not right yet; this is one.)" if len(wrong) > 1 else ""
    task, said = next(iter(wrong.items()))
    if task == "translation" and said == "synchronised":
        why = "five words in and five out is chance. Must the first French word wait for more?"
    elif task == "next character" and said == "delayed":
        why = "a target that lies one step ahead is not a delay: when is its output read?"
    elif task == "next character":
        why = "while it trains, how many characters go in, and how many are predicted?"
    elif task == "melody":
        why = "is there a new input at every note, or only one at the start?"
    elif task == "heartbeat":
        why = "how many answers does the doctor want for one recording?"
    elif task == "gesture":
        why = "is the label of a frame asked for at that frame, or after the film?"
    elif task == "spoken question" and said == "synchronised":
        why = "can the reply begin before the question has been heard to its end?"
    else:
        why = f"{said} does not fit; count the inputs and the outputs, then ask when each is read."
    raise Hint(f"{task}: {why}{more}")


def _hidden_series() -> np.ndarray:
    """Another museum: the rules of the chapter's series, other numbers."""
    rng = np.random.default_rng(20)
    days = np.arange(900)
    week = np.array([35, -50, -30, 10, -15, 60, -10])
    shocks, weather = rng.normal(0, 15, len(days)), np.zeros(len(days))
    for day in days[1:]:
        weather[day] = 0.8 * weather[day - 1] + shocks[day]
    return 500 - 0.04 * days + week[days % 7] + weather


def _line(history: np.ndarray) -> np.ndarray:
    """Forecast with the chapter's linear model of the last 14 days."""
    w = np.lib.stride_tricks.sliding_window_view(history, 17)
    X = np.column_stack([w[:, :14], np.ones(len(w))])
    return np.append(history[-14:], 1) @ np.linalg.lstsq(X, w[:, 14:], rcond=None)[0]


def _usual(history: np.ndarray) -> np.ndarray:
    """Forecast the level of the weekday plus the slow trend, without the weather."""
    days = np.arange(len(history) + 3)
    parts = np.column_stack([days, np.eye(7)[days % 7]])
    return parts[-3:] @ np.linalg.lstsq(parts[:-3], history, rcond=None)[0]


@exercise
def forecast(predict) -> str:
    """Exercise 1.7: the next three days of a series, better than the chapter's linear model."""
    series = _hidden_series()
    origins = range(500, 890, 8)
    truth = np.stack([series[day : day + 3] for day in origins])
    mine = []
    for day in origins:
        answer = tensor(call(predict, series[:day]), what="The forecast")
        if answer.numel() != 3:
            raise Hint(f"Return three numbers; this has shape {tuple(answer.shape)}.")
        if not torch.isfinite(answer).all():
            raise Hint(f"The forecast for day {day} holds nan or inf.")
        mine.append(answer.flatten().numpy())
    mine = np.stack(mine)
    today = np.stack([np.repeat(series[day - 1], 3) for day in origins])
    last_week = np.stack([series[day - 7 : day - 4] for day in origins])
    mean = np.stack([np.repeat(series[:day].mean(), 3) for day in origins])
    line = np.stack([_line(series[:day]) for day in origins])
    usual = np.stack([_usual(series[:day]) for day in origins])

    def error(guess):
        return float(np.abs(guess - truth).mean())

    score, goal = error(mine), error(line)
    if close(mine, today):
        raise Hint(f"Three times today: {score:.1f} visitors off. The weekday is not used at all.")
    if close(mine, last_week):
        raise Hint(f"The week before: {score:.1f} off. Is nothing to be learned from today?")
    if close(mine, mean):
        raise Hint(f"One number for all days, {score:.1f} off: that is what a bag knows.")
    if close(mine, line, 1e-3):
        raise Hint(
            f"That is the chapter's linear model of the last 14 days, {score:.1f} off. In them it "
            "sees each weekday twice; how often does your history show it?"
        )
    if np.abs(mine - usual).mean() < 0.15 * error(usual):
        raise Hint(
            f"Weekday and slow trend, {score:.1f} off: that could have been said weeks ago. If "
            "today lies far above its usual value, what does that say about tomorrow?"
        )
    late = np.abs(mine[:, :2] - truth[:, 1:]).mean(), np.abs(mine[:, 1:] - truth[:, :2]).mean()
    if min(late) < min(0.8 * score, goal):
        raise Hint(
            f"{score:.1f} off, but your numbers fit the days beside them better: is each "
            "forecast on its own weekday? history[0] is day 0, the first forecast day len(history)."
        )
    if score > error(last_week):
        raise Hint(
            f"{score:.1f} off. The week before, which needs no training, is {error(last_week):.1f} "
            "off: find out what it knows that your forecast does not."
        )
    if score > 0.93 * goal:
        raise Hint(
            f"{score:.1f} off: better than the week before ({error(last_week):.1f}). The linear "
            f"model of 14 days is {goal:.1f} off, wanted is 0.93 of that, {0.93 * goal:.1f}. Take "
            "weekday and slow trend off first, or learn from more days."
        )
    return f"{score:.1f} visitors off; the linear model is {goal:.1f} off. You know your series."
