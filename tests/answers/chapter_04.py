"""Right and wrong answers to the exercises of chapter 4, for test_checks.py."""

import torch
from torch import nn


def state_wrong(pick):
    return lambda lstm, x: pick(*lstm(x))


def count_wrong(formula):
    return lambda kind, d, h: formula({"RNN": 1, "GRU": 3, "LSTM": 4}[kind], d, h)


def reorder(order):
    def function(W):
        blocks = dict(zip("iofg", W.chunk(4), strict=True))
        return torch.cat([blocks[name] for name in order])

    return function


def opened(hh=0.0, block=1, layers=None):
    """Make a function that opens the forget gates in some wrong way."""

    def function(input_size, hidden_size, num_layers, b):
        lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        rows = slice(block * hidden_size, (block + 1) * hidden_size)
        with torch.no_grad():
            for layer in range(num_layers if layers is None else layers):
                one = getattr(lstm, f"bias_ih_l{layer}")
                two = getattr(lstm, f"bias_hh_l{layer}")
                one[rows] = b
                if hh is not None:
                    two[rows] = b if hh == "b" else hh
        return lstm

    return function


def zeroed(names):
    """Make a function that opens the forget gates and zeroes whole biases on the way."""

    def function(input_size, hidden_size, num_layers, b):
        lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        rows = slice(hidden_size, 2 * hidden_size)
        with torch.no_grad():
            for layer in range(num_layers):
                for name in ("ih", "hh"):
                    bias = getattr(lstm, f"bias_{name}_l{layer}")
                    bias[rows] = b if name == "ih" else 0.0
                    if name in names:
                        kept = bias[rows].clone()
                        bias.zero_()
                        bias[rows] = kept
        return lstm

    return function


def everything(input_size, hidden_size, num_layers, b):
    lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
    with torch.no_grad():
        for layer in range(num_layers):
            getattr(lstm, f"bias_ih_l{layer}").fill_(b)
            getattr(lstm, f"bias_hh_l{layer}").zero_()
    return lstm


def peephole(look_if=True, look_o="new", order=(0, 1, 2), candidate=False, swapped=False):
    def function(x, h, C, W_ih, W_hh, b, p):
        i, f, g, o = (x @ W_ih.T + h @ W_hh.T + b).chunk(4, dim=1)
        p_i, p_f, p_o = p[list(order)]
        if look_if:
            i, f = i + p_i * C, f + p_f * C
        if candidate:
            g = g + p_i * C
        new = torch.sigmoid(f) * C + torch.sigmoid(i) * torch.tanh(g)
        o = o + p_o * {"new": new, "old": C, "none": 0 * C}[look_o]
        h = torch.sigmoid(o) * torch.tanh(new)
        return (new, h) if swapped else (h, new)

    return function


RIGHT = {
    "last_layer_state": [state_wrong(lambda out, states: states[0][-1])],
    "parameter_count": [count_wrong(lambda n, d, h: n * (h * d + h * h + 2 * h))],
    "from_iofg": [reorder("ifgo")],
    "open_forget_gates": [opened()],
    "latch": [(15.0, -30.0, -15.0, 30.0)],
    "peephole_step": [peephole()],
}

WRONG = {
    "last_layer_state": [
        state_wrong(lambda out, states: states[1][-1]),  # the cell state
        state_wrong(lambda out, states: states[0][0]),  # the layer at the bottom
        state_wrong(lambda out, states: states[0]),  # all layers
        state_wrong(lambda out, states: states[1]),  # all layers, cell states
        state_wrong(lambda out, states: states),  # the tuple
        state_wrong(lambda out, states: out),  # all steps
        state_wrong(lambda out, states: out[-1]),  # the last sequence
        state_wrong(lambda out, states: out[:, 0]),  # the first step
        state_wrong(lambda out, states: out.mean(1)),
        state_wrong(lambda out, states: 0 * out[:, 0]),
    ],
    "parameter_count": [
        count_wrong(lambda n, d, h: h * d + h * h + 2 * h),  # no gates
        count_wrong(lambda n, d, h: n * (h * d + h * h + h)),  # one bias
        count_wrong(lambda n, d, h: n * (h * d + h * h)),  # no bias
        count_wrong(lambda n, d, h: n * (h * d + 2 * h)),  # no recurrence
        count_wrong(lambda n, d, h: n * (h * d + h)),
        count_wrong(lambda n, d, h: n * (h * d + d * d + 2 * h)),
        count_wrong(lambda n, d, h: {1: 1, 3: 2, 4: 3}[n] * (h * d + h * h + 2 * h)),
        count_wrong(lambda n, d, h: {1: 1, 3: 4, 4: 4}[n] * (h * d + h * h + 2 * h)),
        count_wrong(lambda n, d, h: 7),
    ],
    "from_iofg": [
        lambda W: W,  # untouched
        reorder("igof"),  # the permutation backwards
        reorder("ifog"),
        reorder("figo"),
        reorder("goif"),
        lambda W: reorder("ifgo")(W).T,  # rows became columns
        lambda W: W.reshape(-1, 4, W.shape[1]).transpose(0, 1).reshape(W.shape),  # torn apart
        lambda W: reorder("ifgo")(W.T).T,  # the columns moved
        lambda W: W.chunk(4)[0],
    ],
    "open_forget_gates": [
        opened(hh="b"),  # twice
        opened(hh=None),  # the other bias is left at random
        opened(block=0),  # input gate
        opened(block=2),  # candidate
        opened(block=3),  # output gate
        opened(layers=1),  # the first layer only
        everything,
        zeroed(["ih", "hh"]),
        lambda i, h, n, b: nn.LSTM(i, h, n),  # untouched
        lambda i, h, n, b: nn.LSTM(i, h, n, bias=False),
        lambda i, h, n, b: nn.LSTM(i, h, 1),
        lambda i, h, n, b: nn.GRU(i, h, n),
    ],
    "latch": [
        (5.0, -10.0, -15.0, 30.0),  # forgets
        (15.0, -30.0, 0.0, 30.0),  # lets the rest in
        (15.0, -30.0, -15.0, 10.0),  # never writes
        (15.0, 0.0, -15.0, 30.0),  # adds instead of replacing
        (float("inf"), 0.0, -15.0, 30.0),
    ],
    "peephole_step": [
        peephole(look_if=False, look_o="none"),  # no peepholes
        peephole(look_o="old"),
        peephole(look_o="none"),
        peephole(look_if=False),
        peephole(order=(1, 0, 2)),
        peephole(candidate=True),
        peephole(swapped=True),
        lambda x, h, C, *rest: (h, C),
        lambda x, h, C, *rest: h,
    ],
}

HINTS = [
    *(
        ("open_forget_gates", zeroed(names), "have been set as well")
        for names in (["ih", "hh"], ["ih"], ["hh"])
    ),
    ("from_iofg", lambda W: W.reshape(4, -1, W.shape[1]), "came back with the shape"),
    ("last_layer_state", 3, "this is of type int"),
]
