"""Right and wrong answers to the exercises of chapter 1, for test_checks.py."""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from helpers.checks import chapter_01


def windows(width_shift=0, label_shift=0, drop=0, step=1, backwards=False, ahead_fixed=None):
    def make(series, width, ahead):
        ahead = ahead_fixed or ahead
        width += width_shift
        label = width - 1 + ahead + label_shift
        starts = range(0, min(len(series) - label, len(series) - width + 1) - drop, step)
        inputs = np.stack([series[i : i + width] for i in starts])
        return inputs[:, :: -1 if backwards else 1].copy(), np.array(
            [series[i + label] for i in starts]
        )

    return make


def splits(kind="right"):
    def split(n_days, width, horizon, test_days):
        cut, last = n_days - test_days, n_days - width - horizon
        train, test = np.arange(cut - width - horizon + 1), np.arange(cut - width, last + 1)
        if kind == "random":
            order = np.random.default_rng(0).permutation(last + 1)
            return order[test_days:], order[:test_days]
        if kind == "straddles":
            return np.arange(cut - width), test
        if kind == "both straddle":
            return np.arange(cut - width), np.arange(cut - width - horizon + 1, last + 1)
        if kind == "test begins early":
            return train[:-horizon], np.arange(cut - width - 1, last + 1)
        if kind == "past":
            return np.arange(test_days, last + 1), np.arange(test_days - width)
        if kind == "wasteful":
            return train, np.arange(cut, last + 1)
        if kind == "too far":
            return train, np.arange(cut - width, n_days - width + 1)
        if kind == "windows missing":
            return train[1:], test
        if kind == "overlap":
            return train, np.arange(cut - width - horizon + 1, last + 1)
        return train, test

    return split


def seasonal(history):
    return history[-7:-4]


def weekday_mean(history):
    return [history[(len(history) + k) % 7 :: 7].mean() for k in range(3)]


def no_weather(history):
    days = np.arange(len(history) + 3)
    # Another way to the same: a sine of the week, its overtones, and the trend.
    angles = 2 * np.pi * np.outer(days, [1, 2, 3]) / 7
    parts = np.column_stack([np.ones(len(days)), days, np.sin(angles), np.cos(angles)])
    return parts[-3:] @ np.linalg.lstsq(parts[:-3], history, rcond=None)[0]


def linear(width):
    def predict(history):
        rows = sliding_window_view(history, width + 3)
        inputs = np.column_stack([rows[:, :width], np.ones(len(rows))])
        weights = np.linalg.lstsq(inputs, rows[:, width:], rcond=None)[0]
        return np.append(history[-width:], 1) @ weights

    return predict


def shifted(history):
    days = np.arange(len(history) + 3)
    parts = np.column_stack([days, np.eye(7)[days % 7]])
    weights = np.linalg.lstsq(parts[:-3], history, rcond=None)[0]
    usual = parts @ weights
    rest = history - usual[:-3]
    days = days[-3:] + 1
    parts = np.column_stack([days, np.eye(7)[days % 7]])
    return parts @ weights + rest[-1] * 0.8 ** np.array([1, 2, 3])


right_shapes = dict(chapter_01._SHAPES)


def views(series, width, ahead):
    rows = sliding_window_view(series, width + ahead)  # read-only
    return rows[:, :width], rows[:, -1]


def reversed_views(series, width, ahead):
    inputs, labels = views(series, width, ahead)
    return np.array(inputs[::-1])[::-1], labels[::-1].copy()[::-1]


def lists_of_arrays(series, width, ahead):
    inputs, labels = views(series, width, ahead)
    return list(inputs.copy()), labels.copy()


RIGHT = {
    "windows_ahead": [windows(), views, reversed_views, lists_of_arrays],
    "split_in_time": [splits()],
    "time_to_batch": [lambda x: x.permute(1, 0, 2)],
    "last_real_output": [lambda o, n: torch.stack([s[k - 1] for s, k in zip(o, n, strict=True)])],
    "bigram_twins": [(["a", "b", "x", "a", "c", "x"], ["a", "c", "x", "a", "b", "x"])],
    "task_shapes": [right_shapes],
    "forecast": [linear(28)],
}

WRONG = {
    "windows_ahead": [
        windows(label_shift=-1),  # the label is the last input, or one day early
        windows(label_shift=1),  # one day late
        windows(drop=1),  # the newest window is lost
        windows(ahead_fixed=1),  # ahead is ignored
        windows(step=3),  # windows that do not overlap
        windows(backwards=True),
        windows(width_shift=1),
    ],
    "split_in_time": [
        splits(kind)
        for kind in (
            "random",
            "straddles",
            "overlap",
            "both straddle",
            "test begins early",
            "past",
            "wasteful",
            "too far",
            "windows missing",
        )
    ],
    "time_to_batch": [
        lambda x: x.reshape(x.shape[1], x.shape[0], -1),
        lambda x: x,
        lambda x: x.permute(2, 1, 0),
        lambda x: x.transpose(0, 1).flip(1),
        lambda x: x.transpose(0, 1).flip(0),
    ],
    "last_real_output": [
        lambda o, n: o[:, -1],
        lambda o, n: o[:, n - 1],
        lambda o, n: o[:, int(n.max()) - 1],
        lambda o, n: o[:, 0],
        lambda o, n: o.mean(1),
        lambda o, n: (o * (torch.arange(o.shape[1]) < n[:, None])[..., None])[:, -1],
        lambda o, n: o[torch.arange(len(n)), n],  # one too late
    ],
    "bigram_twins": [
        (["dog", "bites", "man"], ["man", "bites", "dog"]),
        (["dog", "bites", "man"], ["dog", "bites", "man"]),
        (["a", "b", "a"], ["b", "a", "b"]),
        (["dog", "bites", "man"], ["dog", "bites", "cat"]),
        ("dog bites man", "man bites dog"),
    ],
    "task_shapes": [
        right_shapes | {"translation": "synchronised"},
        right_shapes | {"next character": "delayed"},
        right_shapes | {"next character": "one-to-many"},
        right_shapes | {"melody": "synchronised"},
        right_shapes | {"heartbeat": "synchronised"},
        right_shapes | {"gesture": "delayed"},
        right_shapes | {"spoken question": "synchronised"},
        right_shapes | {"melody": "many-to-many"},
        {"melody": "one-to-many"},
    ],
    "forecast": [
        lambda h: np.repeat(h[-1], 3),
        seasonal,
        lambda h: np.repeat(h.mean(), 3),
        chapter_01._line,
        weekday_mean,
        no_weather,
        linear(21),
        shifted,
        lambda h: h[-3:],
        lambda h: h[-1],
        lambda h: h[-3:] * np.nan,
    ],
}

HINTS = [
    ("split_in_time", splits("straddles"), "your training windows end too late."),
    ("split_in_time", splits("overlap"), "your test windows begin too early."),
    ("split_in_time", splits("both straddle"), "too late, your test windows begin too early."),
    ("forecast", no_weather, "what does that say about tomorrow"),
    ("forecast", linear(21), "wanted is 0.93 of that"),
]
