"""The checks of chapter 2 answer every wrong answer with a hint of its own, and never crash."""

import pytest
import torch
from torch import nn

from helpers import checks

# --- rnn_parameters -----------------------------------------------------------------------------

PARAMETERS_WRONG = [3680, 2960, 1480, 2560, 1280, 3600, 3761]


# --- repaired_listing ---------------------------------------------------------------------------


def activations(rnn, x, first="b_xh", second="b_hh", w=lambda m: m, shifted=False):
    W_xh, W_hh, b_xh, b_hh = (weight.detach() for weight in rnn.parameters())
    bias = {"b_xh": b_xh, "b_hh": b_hh, "none": 0 * b_hh}
    h, net_inputs, states = torch.zeros(len(b_hh)), [], []
    for x_t in x:
        net_x = W_xh @ x_t + bias[first]
        if shifted:
            states.append(h)
        h = torch.tanh(net_x + w(W_hh) @ h + bias[second])
        net_inputs.append(net_x)
        if not shifted:
            states.append(h)
    return torch.stack(net_inputs), torch.stack(states)


LISTING_WRONG = [
    lambda rnn, x: activations(rnn, x, first="b_hh"),  # the listing itself
    lambda rnn, x: activations(rnn, x, first="b_hh", second="b_xh"),  # exchanged
    lambda rnn, x: activations(rnn, x, second="b_xh"),  # the other one twice
    lambda rnn, x: activations(rnn, x, second="none"),  # one bias only
    lambda rnn, x: activations(rnn, x, first="none"),  # the other one only
    lambda rnn, x: activations(rnn, x, w=lambda m: m.T),  # transposed
    lambda rnn, x: activations(rnn, x, w=lambda m: 0 * m),  # no recurrence
    lambda rnn, x: activations(rnn, x, shifted=True),  # off by one
    lambda rnn, x: activations(rnn, x)[::-1],  # the states first
]


# --- state_after_last_day -----------------------------------------------------------------------

LAST_DAY_WRONG = [
    lambda rnn, x: rnn(x)[0][:, -1],  # the batch read as time
    lambda rnn, x: rnn(x)[0][-1],
    lambda rnn, x: rnn(x)[1],
    lambda rnn, x: rnn(x.reshape(4, 7, 3))[0][-1],  # cut anew instead of transposed
    lambda rnn, x: rnn(x.transpose(0, 1))[1],  # one axis too many
    lambda rnn, x: rnn(x.transpose(0, 1))[0][0],  # the first day
    lambda rnn, x: rnn(x.transpose(0, 1))[0][:, -1],  # the last series
]


# --- in_windows ---------------------------------------------------------------------------------

left_behind = {}


def windows_from_zero(rnn, x, window):
    return torch.cat([rnn(part)[0] for part in x.split(window, dim=1)], dim=1)


def windows_without_the_rest(rnn, x, window):
    h, parts = None, []
    for i in range(x.shape[1] // window):
        out, h = rnn(x[:, i * window : (i + 1) * window], h)
        parts.append(out)
    return torch.cat(parts, dim=1)


def windows_last_only(rnn, x, window):
    h = None
    for part in x.split(window, dim=1):
        out, h = rnn(part, h)
    return out


def windows_remembering(rnn, x, window):
    parts = []
    for part in x.split(window, dim=1):
        out, left_behind["h"] = rnn(part, left_behind.get("h"))
        parts.append(out)
    return torch.cat(parts, dim=1)


def windows_with_first_state(rnn, x, window):
    first, *others = x.split(window, dim=1)
    out, h = rnn(first)
    return torch.cat([out, *(rnn(part, h)[0] for part in others)], dim=1)


def windows_with_outputs_as_state(rnn, x, window):
    h, parts = None, []
    for part in x.split(window, dim=1):
        out, _ = rnn(part, h)
        h = out[:, -1]
        parts.append(out)
    return torch.cat(parts, dim=1)


def windows(rnn, x, window, cut=torch.split, dim=1, carry=True):
    h, parts = None, []
    for part in cut(x, window, dim):
        out, h = rnn(part, h if carry else None)
        parts.append(out)
    return torch.cat(parts, dim=dim)


def windows_of_each_sequence(rnn, x, window):
    return torch.stack([windows(rnn, one[None], window)[0] for one in x])


WINDOWS_WRONG = [
    lambda rnn, x, window: windows(rnn, x, window, dim=0, carry=False),  # the batch cut
    lambda rnn, x, window: windows(rnn, x, window, cut=torch.chunk),  # so many pieces, not so long
    lambda rnn, x, window: windows(rnn, x, 1),  # step by step
    lambda rnn, x, window: rnn(x)[0],  # all at once
    windows_from_zero,
    windows_without_the_rest,
    windows_last_only,
    windows_remembering,
    windows_with_first_state,
    windows_with_outputs_as_state,
]


# --- both_readings ------------------------------------------------------------------------------

READINGS_WRONG = [
    lambda out: out[:, -1],
    lambda out: out[:, 0],
    lambda out: torch.cat([out[:, 0, 3:], out[:, -1, :3]], dim=1),
    lambda out: torch.cat([out[:, 0, :3], out[:, -1, 3:]], dim=1),
    lambda out: out.mean(dim=1),
    lambda out: out[:, -1, :3] + out[:, 0, 3:],
    lambda out: out[-1],
]


# --- through_time -------------------------------------------------------------------------------


def slope_of_tanh(h, t):
    return 1 - h[t] ** 2


def gradients(
    x, h, W_hh, d_h, *, steps=None, slope=slope_of_tanh, offset=1, flip=False, again=False
):
    grad_x, grad_h, d_last = torch.zeros(len(W_hh), x.shape[1]), torch.zeros_like(W_hh), d_h
    for t in list(range(len(x), 0, -1))[:steps]:
        d_z = d_h * slope(h, t)
        grad_x += torch.outer(d_z, x[t - 1])
        grad_h += torch.outer(d_z, h[t - offset])
        d_h = (W_hh if flip else W_hh.T) @ d_z + (d_last if again else 0)
    return grad_x, grad_h


def transposed_hh(*args):
    grad_x, grad_h = gradients(*args)
    return grad_x, grad_h.T


def transposed_xh(*args):
    grad_x, grad_h = gradients(*args)
    return grad_x.T, grad_h


TIME_WRONG = [
    lambda *a: gradients(*a, steps=1),  # the term from t + 1 forgotten
    lambda *a: gradients(*a, slope=lambda h, t: 1),
    lambda *a: gradients(*a, slope=lambda h, t: 1 - torch.tanh(h[t]) ** 2),  # tanh twice
    lambda *a: gradients(*a, slope=lambda h, t: 1 - h[t - 1] ** 2),  # that of the step before
    lambda *a: gradients(*a, offset=0),  # h(t) for h(t - 1)
    lambda *a: gradients(*a, flip=True),
    lambda *a: gradients(*a, again=True),  # a loss at every step
    transposed_hh,
    transposed_xh,
]


# --- any_rnn ------------------------------------------------------------------------------------


def by_hand(rnn, x, phi=None, turn=True, order="layer", ends="read", only=None, below="both"):
    phi = phi or {"tanh": torch.tanh, "relu": torch.relu}[rnn.nonlinearity]
    last = []
    for layer in range(rnn.num_layers):
        halves = []
        for ending in ("", "_reverse") if rnn.bidirectional else ("",):
            source = layer if only is None or layer == 0 else only
            W_xh, W_hh, b_xh, b_hh = (
                getattr(rnn, f"{name}_l{source}{ending}").detach()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h, states = torch.zeros(len(x), len(W_hh)), []
            for x_t in (x.flip(dims=[1]) if ending else x).unbind(dim=1):
                h = phi(x_t @ W_xh.T + b_xh + h @ W_hh.T + b_hh)
                states.append(h)
            states = torch.stack(states, dim=1)
            if ending and turn:
                states = states.flip(dims=[1])
            read_last = 0 if ending and turn and ends == "read" else -1
            last.append(states[:, read_last])
            halves.append(states)
        x = halves[0] if below == "forward" else torch.cat(halves, dim=-1)
    if order == "direction" and rnn.bidirectional:
        last = last[::2] + last[1::2]
    return x, torch.stack(last)


ANY_WRONG = [
    lambda rnn, x: rnn(x),  # the layer itself
    lambda rnn, x: by_hand(rnn, x, phi=torch.tanh),  # ReLU ignored
    lambda rnn, x: by_hand(rnn, x, turn=False),  # backward states not turned round
    lambda rnn, x: by_hand(rnn, x, ends="T"),  # backward state taken at step T
    lambda rnn, x: by_hand(rnn, x, order="direction"),  # h_n sorted by direction
    lambda rnn, x: by_hand(rnn, x, only=0),  # layer 0's weights in each layer
    lambda rnn, x: by_hand(rnn, x, below="forward"),  # one half handed up
]

RIGHT = {
    "rnn_parameters": 3760,
    "repaired_listing": activations,
    "state_after_last_day": lambda rnn, x: rnn(x.transpose(0, 1))[1][0],
    "in_windows": windows,
    "both_readings": lambda out: torch.cat([out[:, -1, :3], out[:, 0, 3:]], dim=1),
    "through_time": gradients,
    "any_rnn": by_hand,
}
WRONG = {
    "rnn_parameters": PARAMETERS_WRONG,
    "repaired_listing": LISTING_WRONG,
    "state_after_last_day": LAST_DAY_WRONG,
    "in_windows": WINDOWS_WRONG,
    "both_readings": READINGS_WRONG,
    "through_time": TIME_WRONG,
    "any_rnn": ANY_WRONG,
}


def throws(*_):
    raise ZeroDivisionError("on purpose")


def with_junk(junk):
    return lambda *_: junk


JUNK = [
    "seven",
    torch.zeros(0),
    torch.full((2, 2), float("nan")),
    torch.ones(7, 5, dtype=torch.bool),
    torch.ones(2, 3, dtype=torch.complex64),
    (1, 2, 3),
    ("a", "b"),
    [[1, 2], [3]],
    {},
    nn.Linear(2, 2),
]


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_is_right(name):
    assert getattr(checks, name)(RIGHT[name]).state == "right"


@pytest.mark.parametrize("name", WRONG)
def test_every_wrong_answer_has_a_hint_of_its_own(name):
    verdicts = [getattr(checks, name)(answer) for answer in WRONG[name]]
    assert [v.state for v in verdicts] == ["hint"] * len(verdicts)
    assert len({v.message for v in verdicts}) == len(verdicts)
    assert not any("could not be checked" in v.message for v in verdicts)


# Hints that name the mistake where an older check said only that the answer is not right.
NAMED = [
    ("repaired_listing", lambda rnn, x: activations(rnn, x)[::-1], "net inputs first"),
    ("in_windows", WINDOWS_WRONG[0], "You cut the batch"),
    ("in_windows", lambda rnn, x, window: windows(rnn, x, window, dim=0), "You cut the batch"),
    ("in_windows", WINDOWS_WRONG[1], "pieces of 3, 3, 3, 1 step"),
    ("in_windows", WINDOWS_WRONG[2], "pieces of 1, 1, 1, 1, 1 step"),
    ("in_windows", WINDOWS_WRONG[3], "pieces of 10 step"),
    ("through_time", TIME_WRONG[2], "already the tanh"),
    ("through_time", TIME_WRONG[3], "The slope belongs to"),
]


@pytest.mark.parametrize(("name", "answer", "words"), NAMED)
def test_a_hint_names_the_mistake(name, answer, words):
    verdict = getattr(checks, name)(answer)
    assert verdict.state == "hint"
    assert words in verdict.message


def test_windows_may_be_read_sequence_by_sequence():
    assert checks.in_windows(windows_of_each_sequence).state == "right"


@pytest.mark.parametrize("name", RIGHT)
def test_a_stub_waits(name):
    assert getattr(checks, name)(...).state == "waiting"
    if callable(RIGHT[name]):
        assert getattr(checks, name)(with_junk(None)).state == "waiting"


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_makes_a_check_crash(name):
    check = getattr(checks, name)
    for junk in JUNK:
        assert check(junk).state == "hint"
        if callable(RIGHT[name]):
            assert check(with_junk(junk)).state == "hint"
    assert check(throws).state == "hint"


@pytest.mark.parametrize("name", RIGHT)
def test_a_check_leaves_the_random_numbers_alone(name):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    getattr(checks, name)(RIGHT[name])
    assert torch.equal(torch.rand(3), expected)
