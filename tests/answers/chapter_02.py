"""Right and wrong answers to the exercises of chapter 2, for test_checks.py."""

import torch

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
    "rnn_parameters": [3760],
    "repaired_listing": [activations],
    "state_after_last_day": [lambda rnn, x: rnn(x.transpose(0, 1))[1][0]],
    "in_windows": [windows, windows_of_each_sequence],
    "both_readings": [lambda out: torch.cat([out[:, -1, :3], out[:, 0, 3:]], dim=1)],
    "through_time": [gradients],
    "any_rnn": [by_hand],
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

# Hints that name the mistake where an older check said only that the answer is not right.
HINTS = [
    ("repaired_listing", lambda rnn, x: activations(rnn, x)[::-1], "net inputs first"),
    ("in_windows", WINDOWS_WRONG[0], "You cut the batch"),
    ("in_windows", lambda rnn, x, window: windows(rnn, x, window, dim=0), "You cut the batch"),
    ("in_windows", WINDOWS_WRONG[1], "pieces of 3, 3, 3, 1 step"),
    ("in_windows", WINDOWS_WRONG[2], "pieces of 1, 1, 1, 1, 1 step"),
    ("in_windows", WINDOWS_WRONG[3], "pieces of 10 step"),
    ("through_time", TIME_WRONG[2], "already the tanh"),
    ("through_time", TIME_WRONG[3], "The slope belongs to"),
]
