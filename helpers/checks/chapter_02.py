"""Checks of chapter 2: how data flows through a recurrent net."""

from itertools import product

import torch
from torch import nn

from helpers.checks.answers import Hint, agree, numbers
from helpers.checks.exercise import Exercise, each, normal, scrambled


# 2.1: the number of parameters of nn.RNN(10, 20, num_layers=2, bidirectional=True)
def _judge_count(answer):
    for wrong, hint in rnn_parameters.mistakes:
        if agree(numbers(answer), numbers(wrong)):
            raise Hint(hint)
    if not agree(numbers(answer), numbers(rnn_parameters.right)):
        raise Hint(
            "That is not it. Go layer by layer and direction by direction: a matrix for what "
            "comes from below, a square one for the state, two biases."
        )


rnn_parameters = Exercise(
    right=3760,
    says="3,760: 640 for each direction of layer 0, and 1,240 for each direction of layer 1.",
    judge=_judge_count,
    mistakes=(
        (3680, "That counts one bias per direction and layer. Print the names in a small nn.RNN."),
        (2960, "That lets layer 1 read one direction of layer 0 alone: how long is its input?"),
        (1480, "That counts two layers of one direction. What does bidirectional=True add?"),
        (1880, "That counts one direction of each layer; there are two."),
        (3600, "The matrices are all there. Is anything added to their products?"),
    ),
)


# 2.2: the listing, repaired; b is the bias of the input edge, c that of the recurrent edge
def _activations(rnn, x, net=lambda b, c: b, both=lambda b, c: b + c, turn=lambda W: W):
    W_xh, W_hh, b, c = (weight.detach() for weight in rnn.parameters())
    h, states, from_x = torch.zeros(len(c)), [], x @ W_xh.T
    for x_t in from_x:
        h = torch.tanh(x_t + turn(W_hh) @ h + both(b, c))
        states.append(h)
    return from_x + net(b, c), torch.stack(states)


repaired_listing = Exercise(
    right=_activations,
    says="Both agree with the layer: one bias belongs to the input edge, one to the recurrent.",
    cases=each(lambda n, steps, H: (nn.RNN(n, H, batch_first=True), torch.randn(steps, n))),
    parts=("net inputs from x", "hidden states"),
    mistakes=(
        (lambda rnn, x: _activations(rnn, x)[::-1], "Return the net inputs first."),
        ({"net": lambda b, c: c, "both": lambda b, c: c + c}, "That is still the listing."),
        ({"net": lambda b, c: c}, "The net input from x has the other edge's bias."),
        ({"net": lambda b, c: 0}, "No bias is added to the net input from x."),
        ({"both": lambda b, c: b + b}, "b_xh stands twice in the hidden states."),
        ({"both": lambda b, c: b}, "The hidden states lack the recurrent edge's bias."),
        ({"turn": lambda W: W.T}, "W_hh is applied transposed."),
    ),
)

# 2.3: which axis is time?
state_after_last_day = Exercise(
    right=lambda rnn, x: rnn(x.transpose(0, 1))[0][-1],
    says="As many last states as series, and none of them depends on another series.",
    cases=each(lambda batch, days, _: (nn.RNN(3, 5), torch.randn(batch, days, 3))),
    mistakes=(
        (lambda rnn, x: rnn(x)[0][:, -1], "The net ran from series to series, not through time."),
        (lambda rnn, x: rnn(x)[0][-1], "A row for each day: the net took the series for steps."),
        (lambda rnn, x: rnn(scrambled(x))[0][-1], "Shuffled: reshape does not exchange axes."),
        (lambda rnn, x: rnn(x.transpose(0, 1))[1], "One axis too many: h_n has one for layers."),
        (lambda rnn, x: rnn(x.transpose(0, 1))[0][:, -1], "That is each day of the last series."),
    ),
)


# 2.4: a long sequence in windows, as if it had been read at once
def _read(rnn, x, window, cut=torch.split, begin=lambda h: h[-1], join=torch.cat):
    outputs, states = [], [None]
    for part in cut(x, window, 1):
        out, h = rnn(part, begin(states))
        outputs.append(out)
        states.append(h)
    return join(outputs, 1)


def _text(batch, steps, window):
    rnn = nn.RNN(3, 4, batch_first=True)
    rnn.steps = [1]  # of each call
    rnn.register_forward_hook(lambda rnn, _, result: rnn.steps.append(result[0].shape[-2]))
    return rnn, torch.randn(batch, steps, 3), window


in_windows = Exercise(
    right=_read,
    says="The same as in one call, for windows of any length, and a new text starts afresh.",
    cases=each(_text),
    compared=lambda out, rnn, x, window: (out, min(max(rnn.steps), x.shape[1])),
    parts=("outputs", "longest piece that the net got"),
    mistakes=(
        ({"begin": lambda h: None}, "Each window begins as if nothing had been read before it."),
        ({"begin": lambda h: h[:2][-1]}, "The third window has the state after the first one."),
        (
            {"cut": lambda x, w, _: [part for part in x.split(w, 1) if part.shape[1] == w]},
            "The steps that are left over at the end are lost: the last window may be shorter.",
        ),
        ({"join": lambda outputs, _: outputs[-1]}, "Only the last window came back, not all."),
        ({"join": lambda o, _: torch.cat(o)}, "You joined along the batch: time is axis 1."),
        ({"cut": torch.chunk}, "`window` is a length, not how many there are."),
        (lambda rnn, x, w: _read(rnn, x, 1), "You read step by step, not in windows."),
        (lambda rnn, x, w: rnn(x)[0], "The net got all steps at once: cut axis 1 into windows."),
    ),
)


# 2.5: for each sequence, the two states that have read all of it
def _ends(out, ahead=-1, back=0, join=torch.hstack):
    forward, backward = out.chunk(2, dim=-1)
    return join([forward[:, ahead], backward[:, back]])


both_readings = Exercise(
    right=_ends,
    says="Both halves have read every time step; they are h_n[-2] and h_n[-1], side by side.",
    cases=each(lambda batch, steps, hidden: (normal(batch, steps, 2 * hidden),)),
    mistakes=(
        ({"back": -1}, "The second half has read one step: where does that direction finish?"),
        ({"ahead": 0}, "The first half has read one step only."),
        ({"join": lambda h: torch.hstack(h[::-1])}, "The forward direction comes first."),
        ({"join": sum}, "The two directions are added; they are to stand side by side."),
    ),
)


# 2.6: the gradients of a loss that depends on the last state alone
def _gradients(
    x, h, W_hh, d_h_last, slope=lambda h: 1 - h**2, turn=torch.t, before=1, again=0, last=None
):
    d_h, grad_xh, grad_hh = d_h_last, 0, 0
    for t in range(len(x), 0, -1)[:last]:
        d_z = d_h * slope(h[t])
        grad_xh = grad_xh + torch.outer(d_z, x[t - 1])
        grad_hh = grad_hh + torch.outer(d_z, h[t - before])
        d_h = turn(W_hh) @ d_z + again * d_h_last
    return grad_xh, grad_hh


def _unfolded(steps, features, hidden):
    x, W_hh = torch.randn(steps, features), torch.randn(hidden, hidden) / hidden**0.5
    W_xh, h = torch.randn(hidden, features) / 2, [torch.rand(hidden)]
    for x_t in x:
        h.append(torch.tanh(W_xh @ x_t + W_hh @ h[-1]))
    return x, torch.stack(h), W_hh, torch.randn(hidden)


through_time = Exercise(
    right=_gradients,
    says="Both gradients agree with autograd, over all steps.",
    cases=each(_unfolded, (2, 1, 2), (5, 2, 3), (3, 3, 3), (1, 4, 2), (4, 5, 1), (30, 2, 4)),
    parts=("gradient of W_xh", "gradient of W_hh"),
    mistakes=(
        (lambda *given: _gradients(*given)[::-1], "The gradient of W_xh comes first."),
        ({"last": 1}, "That is the last step's share: the earlier ones moved h(T), too."),
        ({"slope": lambda h: 1}, "The slope of tanh is missing: that is 1 - h², at each step."),
        ({"slope": lambda h: 1 - h.tanh() ** 2}, "h is a tanh already: its slope is 1 - h²."),
        ({"turn": lambda W: W}, "From h(t) back to h(t-1), W_hh has to be transposed."),
        ({"again": 1}, "You let the loss in at each step; it depends on the last state alone."),
        ({"before": 0}, "In W_hh the time is off by one: which state did it multiply?"),
    ),
)


# 2.7: any number of layers, directions, both phi_h
def _by_hand(rnn, x, phi=None, own=1, flip=1, turn=1, late=0, sort=0):
    """Run the weights layer by layer and direction by direction, without the layer."""
    run, last = getattr(torch, f"rnn_{phi or rnn.nonlinearity}"), []
    h_0, n = torch.zeros(1, len(x), rnn.hidden_size), 1 + rnn.bidirectional
    for layer in range(rnn.num_layers):
        halves = []
        for back in range(n):
            weights = rnn.all_weights[layer * n * own + back]
            inputs = x.flip(1) if back and flip else x
            states, h = run(inputs, h_0, weights, True, 1, 0.0, False, False, True)
            halves.append(states.flip(1) if back and flip and turn else states)
            last.append(halves[-1][None, :, -1] if late else h)
        x = torch.cat(halves, dim=-1)
    return x, torch.cat(last[::n] + last[1::n] if sort and n == 2 else last)


def _net(layers, both, phi):
    batch, hidden = 1 + (layers + 2 * both) % 5, 1 + layers
    features = hidden * (1 + both) if phi == "tanh" else 2
    rnn = nn.RNN(features, hidden, layers, phi, batch_first=True, bidirectional=both)
    rnn.forward = _refuse
    return rnn, torch.randn(batch, 1 + 2 * batch % 5, features)


def _refuse(*given, **named):
    raise RuntimeError("calling the layer is switched off here, only its weights can be read")


any_rnn = Exercise(
    right=_by_hand,
    says="Twelve nets, of one layer to five, in one direction and in both, equal nn.RNN.",
    cases=each(_net, *product((1, 2, 5), (False, True), ("tanh", "relu"))),
    parts=("out", "h_n"),
    mistakes=(
        (lambda *given: _by_hand(*given)[::-1], "Return out first, then h_n."),
        ({"phi": "tanh"}, "Half of the nets have ReLU for phi_h: nonlinearity tells."),
        ({"own": 0}, "The upper layers have weights of their own, not those of layer 0."),
        ({"flip": 0}, "The backward direction reads forward: turn its inputs round."),
        ({"turn": 0}, "The backward half of out runs backward; out is in the order of time."),
        ({"late": 1}, "Your h_n has the backward state of time step T, the one read first."),
        ({"sort": 1}, "In h_n the two directions of a layer stand next to each other."),
    ),
)
