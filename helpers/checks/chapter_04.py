"""Checks of chapter 4: states, parameters, the order of blocks, open gates, a latch, peepholes."""

import math
from itertools import product

import numpy as np
import torch
from torch import nn

from helpers.checks.answers import Hint, numbers, short, tell
from helpers.checks.exercise import Exercise, each, normal


# 4.1: the hidden state of the top layer after the last step; lstm(x) is out, (h_n, c_n)
def _lstm(batch, steps, n_in):
    x, layers = normal(batch, steps, n_in), 1 + steps % 4
    return nn.LSTM(n_in, 2 + batch % 3, layers, batch_first=True, dtype=x.dtype), x


last_layer_state = Exercise(
    right=lambda lstm, x: lstm(x)[1][0][-1],
    cases=each(_lstm),
    says="One state per sequence, (batch, hidden): the top layer's h after the last step.",
    mistakes=(
        (lambda lstm, x: lstm(x)[1][1][-1], "This is C of the top layer. What a cell shows is h."),
        (lambda lstm, x: lstm(x)[1][0][0], "This is the layer at the bottom; h_n begins with it."),
        (lambda lstm, x: lstm(x)[1][0], "This is h_n with all its layers. Only one is asked for."),
        (lambda lstm, x: lstm(x)[1], "This is the pair h_n, c_n. Take the top layer of h_n."),
        (lambda lstm, x: lstm(x)[1][0][:, -1], "This is one sequence: h_n begins with layers."),
        (lambda lstm, x: lstm(x)[0], "This is h after every step. Only the last is asked for."),
        (lambda lstm, x: lstm(x)[0][-1], "This is the last sequence: batch comes first here."),
        (lambda lstm, x: lstm(x[:, -1:])[1][0][-1], "The last step was read without the others."),
    ),
)


# 4.2: the number of weights and biases of a layer
def _count(kind, d, H, gru=3, lstm=4, square=lambda d, H: H * H, biases=2):
    return {"RNN": 1, "GRU": gru, "LSTM": lstm}[kind] * (H * d + square(d, H) + biases * H)


parameter_count = Exercise(
    right=_count,
    cases=lambda: product(("RNN", "GRU", "LSTM"), (3, 1, 20, 7, 300), (5, 1, 7, 64, 650)),
    says="1 : 3 : 4. An LSTM(20, 64) has 22,016 numbers to learn, a GRU 16,512, an RNN 5,504.",
    mistakes=(
        ({"gru": 1, "lstm": 1}, "The same for every kind of cell. How many blocks has each?"),
        ({"gru": 2, "lstm": 3}, "The gates are counted, the candidate is not: it has weights too."),
        ({"gru": 4}, "The GRU has as many here as the LSTM. It makes do with one gate fewer."),
        ({"biases": 1}, "PyTorch keeps two vectors of biases per block."),
        ({"biases": 0}, "The biases are missing."),
        ({"square": lambda d, H: 0}, "The edge from h to h is missing: a square matrix."),
        ({"square": lambda d, H: d * d}, "From h to h the matrix is H x H, not d x d."),
        (lambda kind, d, H: _count(kind, H, d), "d and H are exchanged."),
    ),
)


# 4.3: rows stacked as i, o, f, g into PyTorch's order i, f, g, o
def _stack(W, order="ifgo"):
    blocks = dict(zip("iofg", W.chunk(4), strict=True))
    return torch.cat([blocks[name] for name in order])


from_iofg = Exercise(
    right=_stack,
    cases=each(lambda H, n, _: (normal(4 * H, n),)),
    says="The same rows, gate by gate in PyTorch's order: i, f, g, o.",
    mistakes=(
        ({"order": "iofg"}, "The rows came back in the order in which they went in."),
        ({"order": "igof"}, "Each block moved the wrong way: which given block is f?"),
        ({"order": "ifog"}, "i and f are in place. PyTorch puts o last."),
        (lambda W: _stack(W).T, "The blocks are right, but rows became columns."),
        (
            lambda W: W.reshape(-1, 4, W.shape[1]).transpose(0, 1).reshape(W.shape),
            "The blocks are torn apart: each gate owns as many rows in a row as there are units.",
        ),
    ),
)


# 4.4: an nn.LSTM whose forget gates start with the net bias b in every layer
def _open(input_size, hidden_size, num_layers, b, block=1, shares=(1.0, 0.0), layers=None):
    """Set one block of the biases of the first layers to these shares of b."""
    lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
    for _, _, *biases in lstm.all_weights[:layers]:
        for bias, share in zip(biases, shares, strict=False):
            bias.detach().view(4, -1)[block] = share * b
    return lstm


def _biases(lstm, input_size, hidden_size, num_layers, b):
    """Return the net bias of the forget gates, and whether all else is as PyTorch starts it."""
    if not isinstance(lstm, nn.LSTM) or not lstm.bias:
        raise Hint("An nn.LSTM with biases is expected, not {this}.", this=short(lstm, 60))
    sizes = lstm.input_size, lstm.hidden_size, lstm.num_layers
    if sizes != (input_size, hidden_size, num_layers):
        raise Hint("These sizes of the layer were not asked for: {sizes}.", sizes=sizes)
    forget, rest = [], []
    for *weights, b_ih, b_hh in lstm.all_weights[:num_layers]:
        both = torch.stack([b_ih, b_hh]).detach().view(2, 4, -1)
        forget.append(both.sum(0)[1])
        rest += [*weights, *both[:, [0, 2, 3]].flatten(0, 1)]
    return forget, all(p.std() > 0 and p.abs().max() <= hidden_size**-0.5 + 1e-6 for p in rest)


open_forget_gates = Exercise(
    right=_open,
    cases=each(lambda n, hidden, layers: (n, hidden + 1, layers, hidden - 3.3)),
    compared=_biases,
    parts=("net bias of the forget gates", "rest (1: as PyTorch starts it)"),
    says="sigmoid(1) = 0.73 and sigmoid(5) = 0.99: the gates open as far as you say.",
    mistakes=(
        ({"shares": (1, 1)}, "The net bias is twice what was asked for: PyTorch adds two biases."),
        ({"shares": [1]}, "One of the two biases still holds its random start. PyTorch adds both."),
        ({"layers": 1}, "The layers above the first still start at random."),
        ({"block": 0}, "These rows are not the forget gate's. In which order are they stacked?"),
        ({"layers": 0}, "The forget gates of all layers still start at random."),
        ({"block": slice(None)}, "Other rows than those of the forget gate were set as well."),
    ),
)


# 4.5: four numbers for a latch. Many are right, so what they do is computed.
def _judge_latch(answer):
    z = numbers(answer)
    if not (isinstance(z, np.ndarray) and z.size == 4 and np.isfinite(z).all()):
        raise Hint("Four finite numbers are expected, b_f, w_f, b_i, w_i, not {z}.", z=tell(answer))
    b_f, w_f, b_i, w_i = z.ravel()
    f, f_flag, i, i_flag = 1 / (1 + np.exp(-np.clip([b_f, b_f + w_f, b_i, b_i + w_i], -99, 99)))
    for wrong, hint in (
        (f**1000 < 0.99, "Without the flag f is {f:.5f}: after 1,000 steps {left:.2g} is left."),
        (1000 * i > 0.01, "Without the flag i is {i:.2g}: in 1,000 steps other values spoil it."),
        (i_flag < 0.99, "With the flag i is only {i_flag:.2g}: the value hardly enters."),
        (f_flag > 0.01, "With the flag f is {f_flag:.2g}: so much of the old value stays."),
    ):
        if wrong:
            raise Hint(hint, f=f, left=f**1000, i=i, i_flag=i_flag, f_flag=f_flag)


latch = Exercise(
    right=(15.0, -30.0, -15.0, 30.0),
    says="Written once, kept for 1,000 noisy steps, replaced by the next value: a latch.",
    judge=_judge_latch,
    mistakes=(
        ((5.0, -10.0, -15.0, 30.0), "Without the flag f is 0.99331"),
        ((15.0, -30.0, 0.0, 30.0), "Without the flag i is 0.5"),
        ((15.0, -30.0, -15.0, 10.0), "With the flag i is only 0.0067"),
        ((15.0, 0.0, -15.0, 30.0), "With the flag f is 1:"),
        ((math.inf, 0.0, -15.0, 30.0), "Four finite numbers are expected"),
    ),
)


# 4.6: one step of an LSTM whose gates look at the cell state
def _peep(x, h, C, W_ih, W_hh, b, p, inner=1, old=0, new=1):
    """Make the step; `inner`, `old` and `new` say who looks (1) and who does not (0)."""
    i, f, g, o = (x @ W_ih.T + h @ W_hh.T + b).chunk(4, dim=1)
    p_i, p_f, p_o = p
    i, f = torch.sigmoid(i + inner * p_i * C), torch.sigmoid(f + inner * p_f * C)
    o = o + old * p_o * C
    C = f * C + i * torch.tanh(g)
    return torch.sigmoid(o + new * p_o * C) * torch.tanh(C), C


def _inputs(batch, H, n_in):
    shapes = (batch, n_in), (batch, H), (batch, H), (4 * H, n_in), (4 * H, H), (4 * H,), (3, H)
    return [torch.randn(shape, dtype=normal(batch).dtype) for shape in shapes]


peephole_step = Exercise(
    right=_peep,
    cases=each(_inputs),
    parts=("h", "C"),
    says="The gates look: i and f at the old cell state, o at the new one.",
    mistakes=(
        ({"inner": 0, "new": 0}, "This is the step without peepholes: p has no effect."),
        ({"old": 1, "new": 0}, "The output gate acts last: it can look at the new C."),
        ({"new": 0}, "The output gate looks, too: at the new cell state."),
        ({"inner": 0}, "The input and the forget gate look, too: at the old C."),
        (lambda *given: _peep(*given)[::-1], "h and C came back in the other order."),
    ),
)
