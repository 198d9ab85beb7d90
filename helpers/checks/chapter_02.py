"""Checks of chapter 2: how data flows through a recurrent net."""

import copy
import itertools

import torch
from torch import nn

from helpers.checks.core import Hint, call, close, exercise, tensor

# Wrong turns in a gradient:
TWISTS = ("later steps", "slope", "tanh twice", "slope early", "offset", "flipped", "every step")


@exercise
def rnn_parameters(answer) -> str:
    """Check the number of parameters of nn.RNN(10, 20, num_layers=2, bidirectional=True)."""
    number = tensor(answer, (), "The number of parameters").item()
    mistakes = {
        3680: "That counts one bias in each direction of each layer. Print the names in a small "
        "nn.RNN: how many biases are there?",
        2960: "That is the number if the second layer read one direction of the first only. How "
        "long is the vector that it really gets at each time step?",
        1480: "That counts two layers of one direction. What does bidirectional=True add?",
        2560: "That takes both layers for equal. The first reads 10 features; and the second?",
        1280: "That is one layer, both directions. There are two layers.",
        3600: "The matrices are all there. Is anything added to their products?",
    }
    if number in mistakes:
        raise Hint(mistakes[number])
    if number != 3760:
        raise Hint(
            f"{number:g} is not it. Go layer by layer and direction by direction: a matrix for "
            "what comes from below, a square one for the state, two biases."
        )
    return "3,760: 640 for each direction of layer 0, and 1,240 for each direction of layer 1."


@exercise
def repaired_listing(activations) -> str:
    """Check a repaired listing: activations(rnn, x) -> (net inputs from x, hidden states)."""
    rnn, x = _random_rnn(4, 3), _random(5, 4)
    w_xh, w_hh, b_xh, b_hh = (p.detach() for p in rnn.parameters())
    from_x, states = _two(call(activations, rnn, x), "(net inputs from x, hidden states)")
    from_x = tensor(from_x, (5, 3), "The net input from x")
    states = tensor(states, (5, 3), "The hidden states")
    right = _states(x, w_xh, w_hh, b_xh + b_hh)
    if close(from_x, right):
        raise Hint("You return the hidden states first; the net inputs first, please.")
    if close(from_x, x @ w_xh.T + b_hh):
        if close(states, right):
            raise Hint(
                "Your hidden states are right, for only the sum of the two biases counts there. "
                "Your net input from x still carries the bias of the other edge."
            )
        raise Hint(
            "Those are the numbers of the faulty listing: the net input from x is off by the same "
            "amount at every step, the difference of the two biases."
        )
    if close(from_x, x @ w_xh.T):
        raise Hint("Your net input from x is W_xh x alone: no bias has been added to it.")
    if not close(from_x, x @ w_xh.T + b_xh):
        raise Hint("Your net input from x is neither W_xh x + b_xh nor what the listing gave.")
    mistakes = {
        "Your net input from x is right. In the hidden states one bias now stands twice, and "
        "the other not at all.": _states(x, w_xh, w_hh, 2 * b_xh),
        "Your net input from x is right. The hidden states lack the bias that belongs to the "
        "recurrent edge.": _states(x, w_xh, w_hh, b_xh),
        "Your net input from x is right, but each hidden state depends on its own step alone: "
        "where is the state of the step before?": _states(x, w_xh, 0 * w_hh, b_xh + b_hh),
        "Your net input from x is right, but W_hh is applied transposed.": _states(
            x, w_xh, w_hh.T, b_xh + b_hh
        ),
        "Your net input from x is right, but the list of states begins with the state before "
        "the first step.": torch.cat([torch.zeros(1, 3), right[:-1]]),
    }
    _name_mistake(states, mistakes)
    if not close(states, right):
        raise Hint("Your net input from x is right, the hidden states are not yet the layer's.")
    return "Both agree with the layer: one bias belongs to the input edge, one to the recurrent."


@exercise
def state_after_last_day(last_states) -> str:
    """Check last_states(rnn, x) for a net without batch_first and x of (batch, time, features)."""
    rnn, x = _random_rnn(3, 5, batch_first=False), _random(7, 4, 3)
    answer = tensor(call(last_states, rnn, x))
    with torch.no_grad():
        days = rnn(x.transpose(0, 1))[0]  # (time, batch, hidden)
        confused, h_n = rnn(x)
        scrambled = rnn(x.reshape(4, 7, 3))[0][-1]
    if close(answer, days[-1:]):
        raise Hint(
            "The numbers are right, with one axis too many: h_n has an axis for layers and "
            "directions in front, even where there is one of each."
        )
    mistakes = {
        "Change one series, and other rows of your answer move: the net took the batch axis for "
        "time, and it ran from one series to the next.": confused[:, -1],
        "You have 4 rows for 7 series. The net took the 7 series for 7 time steps: (batch, time, "
        "features) is not what this net reads.": confused[-1],
        "Your answer has the shape (1, 4, 5): it is h_n of a net that took the 7 series for time "
        "steps.": h_n,
        "The shape fits, and the values are shuffled: reshape cuts the row of numbers anew, it "
        "does not exchange two axes.": scrambled,
        "That is the state after the first day.": days[0],
        "That is every day of the last series. Which axis of out is the time now?": days[:, -1],
    }
    _name_mistake(answer, mistakes)
    answer = tensor(answer, (7, 5), "Your answer")
    if not close(answer, days[-1]):
        raise Hint("The shape is right, the values are not the states after the last day.")
    return "Seven series, seven last states, and none of them depends on another series."


@exercise
def in_windows(read) -> str:
    """Check read(rnn, x, window): a long sequence in pieces, as if it had been read at once."""
    for steps, window in ((10, 4), (11, 3)):
        rnn, x = _random_rnn(3, 4), _random(5, steps, 3)
        pieces = x.split(window, dim=1)
        with torch.no_grad():
            whole, _ = rnn(x)
            fresh = torch.cat([rnn(part)[0] for part in pieces], dim=1)
            state = rnn(pieces[0])[1]
            stale = [whole[:, :window], *(rnn(part, state)[0] for part in pieces[1:])]
        noted, shapes = _noting(rnn)
        try:
            answer = tensor(call(read, noted, x, window))
        finally:  # a batch cut in pieces may also have stopped with an error of its own
            if any(len(s) == 3 and s[0] < len(x) and s[1] > window for s in shapes):
                raise Hint(
                    f"You cut the batch: the net got x with the shape {shapes[0]}. Time is axis 1."
                )
        lengths = [shape[-2] for shape in shapes]
        if close(answer, whole[:, : steps // window * window]):
            raise Hint(
                f"{steps} steps in windows of {window}: two steps are left over at the end, and "
                "yours are lost."
            )
        if answer.shape == whole.shape and close(answer[:, :window], whole[:, :window]):
            if close(answer, fresh):
                raise Hint(
                    f"Your first window is right; from step {window + 1} on you get what a net "
                    "would say that has just begun to read."
                )
            if close(answer, torch.cat(stale, dim=1)):
                raise Hint(
                    "Two windows are right. The third begins with the state after the first "
                    "window, not with that after the second."
                )
        if close(answer, whole[:, -len(pieces[-1][0]) :]):
            raise Hint("Only the last window came back. All outputs are asked for, side by side.")
        answer = tensor(answer, (5, steps, 4), "Your answer")
        if not close(answer, whole):
            raise Hint("The shape is right; the values differ from those of one call on all of x.")
        wanted = [part.shape[1] for part in pieces]
        if sorted(lengths) != sorted(wanted * max(1, len(lengths) // len(wanted))):
            read_steps = ", ".join(map(str, lengths[:5])) or "0"
            raise Hint(
                f"The values are right. But you read pieces of {read_steps} step(s); windows of "
                f"{window} were asked for."
            )
        if not close(tensor(call(read, rnn, -x, window)), rnn(-x)[0].detach()):
            raise Hint(
                "The first text is read correctly, a second one is not: it starts with a state "
                "that the first has left behind."
            )
    return "The same as in one call, for windows of any length, and a new text starts afresh."


@exercise
def both_readings(summary) -> str:
    """Check summary(out): for each sequence, the two states that have read all of it."""
    hidden = 3
    rnn, x = _random_rnn(2, hidden, bidirectional=True), _random(4, 6, 2)
    with torch.no_grad():
        out, h_n = rnn(x)
    ahead, back = out[..., :hidden], out[..., hidden:]
    answer = tensor(call(summary, out))
    mistakes = {
        "The first half is right. The second half has read one time step only: at which end of "
        "the sequence does the backward direction finish?": out[:, -1],
        "The second half is right. The first half has read one time step only.": out[:, 0],
        "Right states, wrong order: the forward direction comes first.": torch.cat(
            [back[:, 0], ahead[:, -1]], dim=1
        ),
        "These are the two states that have read the least: the ends are exchanged.": torch.cat(
            [ahead[:, 0], back[:, -1]], dim=1
        ),
        "That is the mean over time, not the state at an end.": out.mean(dim=1),
        "That is the sum of the two directions; they are to stand side by side.": ahead[:, -1]
        + back[:, 0],
        "You took the last sequence of the batch, not the last time step.": out[-1],
    }
    _name_mistake(answer, mistakes)
    answer = tensor(answer, (4, 2 * hidden), "Your answer")
    if not close(answer, torch.cat([h_n[0], h_n[1]], dim=1)):
        raise Hint("The shape is right; the two halves are not the states in h_n.")
    return "Both halves have read all six steps; they are h_n[-2] and h_n[-1], side by side."


@exercise
def through_time(gradients) -> str:
    """Check gradients(x, h, W_hh, d_h_last) -> (gradient of W_xh, gradient of W_hh)."""
    x, w_xh, w_hh, g = _random(5, 2), _random(3, 2), 0.6 * _random(3, 3), _random(3)
    h = torch.cat([torch.zeros(1, 3), _states(x, w_xh, w_hh, torch.zeros(3))])
    grad_x, grad_h = _two(call(gradients, x, h, w_hh, g), "(gradient of W_xh, gradient of W_hh)")
    grad_x, grad_h = tensor(grad_x), tensor(grad_h)
    if tuple(grad_x.shape) == (2, 3):
        raise Hint(
            "The gradient of W_xh has shape (2, 3), W_xh has shape (3, 2): the outer product "
            "stands the wrong way round."
        )
    grad_x = tensor(grad_x, (3, 2), "The gradient of W_xh")
    grad_h = tensor(grad_h, (3, 3), "The gradient of W_hh")
    wrong = {twist: _backward(x, h, w_hh, g, twist) for twist in TWISTS}
    right_x, right_h = _backward(x, h, w_hh, g)
    if close(grad_x, right_x):
        if close(grad_h, right_h.T):
            raise Hint("W_xh is right. The gradient of W_hh is transposed.")
        if close(grad_h, wrong["offset"][1]):
            raise Hint("W_xh is right. In W_hh the time index is off by one: what did it multiply?")
        if not close(grad_h, right_h):
            raise Hint("W_xh is right, W_hh is not: which state does W_hh multiply in step t?")
        return "Both gradients agree with autograd, over all five steps."
    mistakes = {
        "That is the share of the last step alone. The earlier steps also moved h(T), through "
        "all the states between.": wrong["later steps"][0],
        "The slope of tanh is missing: 1 - h² stands between the state and its net input.": wrong[
            "slope"
        ][0],
        "h is already the tanh of the net input, so the slope is 1 - h²: you took the tanh once "
        "more.": wrong["tanh twice"][0],
        "The slope belongs to the state of the same step: in step t that is h(t), which is "
        "h[t].": wrong["slope early"][0],
        "On the way from h(t) to h(t-1), W_hh goes the wrong way round: backward it is "
        "transposed.": wrong["flipped"][0],
        "You let the loss enter at every step; here it depends on the last state alone.": wrong[
            "every step"
        ][0],
    }
    _name_mistake(grad_x, mistakes)
    raise Hint("The shapes are right; the gradient of W_xh is not yet that of autograd.")


@exercise
def any_rnn(by_hand) -> str:
    """Check by_hand(rnn, x) -> (out, h_n) for any number of layers, directions, both phi_h."""
    cases = itertools.product((1, 2, 3), (False, True), ("tanh", "relu"))
    for seed, (layers, both, phi) in enumerate(cases):
        net = f"{layers} layer(s), {'both directions' if both else 'one direction'}, {phi}"
        options = {"num_layers": layers, "bidirectional": both, "nonlinearity": phi}
        rnn, x = _random_rnn(3, 4, seed=seed, **options), _random(2, 5, 3)
        with torch.no_grad():
            out, h_n = rnn(x)
        rnn.forward = _refuse
        my_out, my_h_n = _two(call(by_hand, rnn, x), "(out, h_n)")
        my_out = tensor(my_out, tuple(out.shape), f"{net}: out")
        if not close(my_out, out):
            raise Hint(f"{net}: {_what_differs(my_out, out, layers, both, phi)}")
        my_h_n = tensor(my_h_n)
        if (
            both
            and layers > 1
            and close(my_h_n, h_n.view(layers, 2, 2, 4).transpose(0, 1).reshape_as(h_n))
        ):
            raise Hint(f"{net}: in h_n the directions of one layer stand next to each other.")
        if both and close(my_h_n[-1:], out[None, :, -1, 4:]):
            raise Hint(f"{net}: out is right. In h_n the backward state is the one at time step T.")
        my_h_n = tensor(my_h_n, tuple(h_n.shape), f"{net}: h_n")
        if not close(my_h_n, h_n):
            raise Hint(f"{net}: out is right, h_n is not yet the state after the last step read.")
    return "Twelve nets, from one layer to three in both directions, equal nn.RNN."


def _what_differs(mine, out, layers, both, phi) -> str:
    if both and close(mine[..., :4], out[..., :4]):
        if close(mine[..., 4:].flip(1), out[..., 4:]):
            return (
                "the backward half of out is right but runs backward; out is in the order of time."
            )
        return "the forward half of out is right, the backward half is not."
    if phi == "relu" and bool((mine < 0).any()):
        return "out has negative numbers, which this net's phi_h never gives."
    if layers > 1:
        return (
            "out is wrong from the second layer on: which weights does it use, what does it read?"
        )
    return "out is not that of the layer."


def _refuse(*_, **__):
    raise RuntimeError("here the layer itself is out of order, only its weights can be read")


def _noting(rnn: nn.RNN) -> tuple[nn.RNN, list[tuple[int, ...]]]:
    """Return a copy of ``rnn`` and a list that receives the shape of the input of each call."""
    noted, shapes = copy.deepcopy(rnn), []

    def forward(input, hx=None):
        shapes.append(tuple(input.shape))
        return rnn(input, hx)

    noted.forward = forward
    return noted, shapes


def _random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator)


def _random_rnn(features: int, hidden: int, *, seed=0, batch_first=True, **options) -> nn.RNN:
    with torch.random.fork_rng(devices=[]):  # leave the learner's random numbers alone
        rnn = nn.RNN(features, hidden, batch_first=batch_first, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in rnn.parameters():
            weight.copy_(0.6 * torch.randn(weight.shape, generator=generator))
    return rnn


def _states(x, w_xh, w_hh, bias) -> torch.Tensor:
    h, states = torch.zeros(len(w_hh)), []
    for x_t in x:
        h = torch.tanh(w_xh @ x_t + w_hh @ h + bias)
        states.append(h)
    return torch.stack(states)


def _backward(x, h, w_hh, d_h, twist: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    """Back-propagate from h(T), rightly or with one of the usual mistakes."""
    grad_x, grad_h = torch.zeros(len(w_hh), x.shape[1]), torch.zeros_like(w_hh)
    d_last = d_h
    for t in range(len(x), 0, -1):
        state = h[t - 1] if twist == "slope early" else h[t]
        state = torch.tanh(state) if twist == "tanh twice" else state
        d_z = d_h if twist == "slope" else d_h * (1 - state**2)
        grad_x += torch.outer(d_z, x[t - 1])
        grad_h += torch.outer(d_z, h[t] if twist == "offset" else h[t - 1])
        if twist == "later steps":
            break
        d_h = w_hh @ d_z if twist == "flipped" else w_hh.T @ d_z
        if twist == "every step":
            d_h = d_h + d_last
    return grad_x, grad_h


def _two(result, what: str):
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Hint(f"Two things are to be returned, {what}; this is a {type(result).__name__}.")
    return result


def _name_mistake(answer: torch.Tensor, mistakes: dict[str, torch.Tensor]) -> None:
    for message, wrong in mistakes.items():
        if close(answer, wrong.double()):
            raise Hint(message)
