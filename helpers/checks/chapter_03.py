"""Checks of chapter 3: vanishing, a matrix, clipping, the training step, a state, adding."""

import math
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from helpers.checks.answers import Hint, call, kind, numbers, short, tell
from helpers.checks.exercise import Exercise, each, normal
from helpers.language import say


# 3.1: the smallest n for which |w| ** n is below the threshold
def _steps(w, threshold, size=abs):
    n = 0
    while size(w) ** n >= threshold:
        n += 1
    return n


steps_until_vanished = Exercise(
    right=_steps,
    cases=lambda: product((0.9, 0.5, -0.9, -0.25, 0.3, 1 - 2**-10), (1e-3, 0.0625, 1.0, 1e-5)),
    says="66 steps for 0.9 and a thousandth: a tenth of what is left goes at each step.",
    mistakes=(
        (lambda w, t: math.ceil((1 - t) / (1 - abs(w))), "Each step takes a share of the rest."),
        (lambda w, t: _steps(w, t) - 1, "One step too early: it is not below the threshold there."),
        (lambda w, t: _steps(w, t) + 1, "One step too far: the one before is below the threshold."),
        (lambda w, t: math.log(t, abs(w)), "Steps are whole: between two of them, take the next."),
        (lambda w, t: math.ceil(math.log(t, abs(w))), "Equal to the threshold is not below it."),
        ({"size": float}, "With a negative w one step is not enough: |w| counts."),
    ),
)


# 3.2: a matrix whose powers grow before they vanish. Many are right, so it is measured.
def _judge_powers(answer):
    W = numbers(answer)
    if not (isinstance(W, np.ndarray) and W.shape == (2, 2) and np.isfinite(W).all()):
        raise Hint("A 2 x 2 matrix of finite numbers is expected, not {W}.", W=tell(answer))
    radius = abs(np.linalg.eigvals(W)).max()
    if abs(radius - 0.9) > 1e-3 + 1e-9:
        raise Hint("The spectral radius of W is {r:.4g}, it should be 0.9.", r=radius)
    norms = [np.linalg.norm(np.linalg.matrix_power(W, n), 2) for n in range(1, 200)]
    if norms[0] < radius + 1e-6:
        raise Hint("The norm falls from the first step on: the eigenvectors are orthogonal.")
    peak = f"{max(norms):.1f} (W^{1 + int(np.argmax(norms))})"
    if max(norms) <= 10:
        raise Hint("The largest norm among the powers is {peak}; 10 is the aim.", peak=peak)
    text = "Spectral radius {r:.2f}, and still the norm climbs to {peak} before it vanishes."
    return say(text, r=radius, peak=peak)


first_up_then_down = Exercise(
    right=((0.9, 20.0), (0.0, 0.9)),
    judge=_judge_powers,
    mistakes=(
        (((0.9, 0.0), (0.0, -0.9)), "falls from the first step on"),
        (((1.1, 30.0), (0.0, 0.5)), "it should be 0.9"),
        (((0.9, 1.0), (0.0, 0.9)), "10 is the aim"),
        (((0.9, math.inf), (0.0, 0.9)), "of finite numbers is expected"),
    ),
)


# 3.3: clip a list of gradients by their common norm
def _norm(gradients):
    return math.sqrt(sum((g**2).sum().item() for g in gradients))


def _clip(gradients, max_norm, norm=_norm, most=1.0, zero=1.0):
    total = norm(gradients)
    scale = min(max_norm / total, most) if total > 0 else zero
    return [g * scale for g in gradients]


def _gradients(rows, columns, n):
    shapes = (rows, columns), (n,), (), (1, n, rows)
    return [(rows - 1) * torch.randn(shape).to(normal(n)) for shape in shapes], n**2.0


clip_by_norm = Exercise(
    right=_clip,
    cases=each(_gradients),
    says="One norm for all, one factor for all, and never longer: the direction is kept.",
    mistakes=(
        (lambda gs, m: gs, "A gradient that is longer than max_norm comes back unchanged."),
        (lambda gs, m: [_clip([g], m)[0] for g in gs], "Each by its own norm: the step turns."),
        (lambda gs, m: [g.clamp(-m, m) for g in gs], "Clipped by value: the direction turns."),
        ({"most": math.inf}, "What is shorter than max_norm comes back longer."),
        ({"norm": lambda gs: sum(map(torch.norm, gs))}, "Squares add up, norms do not."),
        ({"norm": lambda gs: _norm(gs) ** 2}, "The square root is missing."),
        ({"zero": math.nan}, "Gradients that are zero come back as nan: 0 / 0."),
    ),
)


# 3.4: zero_grad, backward, clip, step
def _train(model, optimizer, x, y, max_norm, order="zero backward clip step"):
    loss = nn.functional.mse_loss(model(x), y)
    actions = {
        "zero": optimizer.zero_grad,
        "backward": loss.backward,
        "clip": lambda: nn.utils.clip_grad_norm_(model.parameters(), max_norm),
        "step": optimizer.step,
    }
    for name in order.split():
        actions[name]()
    return loss.item()


def _batch(batch, n_in, n_hidden):
    """Make a net that holds old gradients, and a batch; only some gradients are to be clipped."""
    x, y = 3 * normal(2, batch, n_in)
    model = nn.Sequential(nn.Linear(n_in, n_hidden), nn.Tanh(), nn.Linear(n_hidden, n_in)).to(x)
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, weight_decay=0.1)
    return model, optimizer, x, y, n_hidden + 1.0


def _loss_and_weights(loss, model, *others):
    if isinstance(loss, torch.Tensor):
        raise Hint("The loss comes back as a tensor. A float is asked for: loss.item() gives it.")
    return loss, nn.utils.parameters_to_vector(model.parameters())


clipped_step = Exercise(
    right=_train,
    cases=each(_batch),
    compared=_loss_and_weights,
    parts=("loss", "weights after the call"),
    says="Each call makes one step, of at most max_norm times the learning rate.",
    mistakes=(
        ({"order": "backward step clip"}, "Not clipped, and a gradient from before is in it."),
        ({"order": "zero backward step clip"}, "Not clipped: clip after backward, before step."),
        ({"order": "backward clip step"}, "Clipped, but with a gradient from before: empty it."),
        ({"order": "zero"}, "The weights have not moved: was there a step, and a gradient then?"),
    ),
)


# 3.5: the values of a state without its history, for RNN and LSTM
def _state(layers, batch, layer):
    x = normal(batch, 3, 2)
    return (layer(2, 1 + batch, layers, batch_first=True, dtype=x.dtype)(x)[1],)


def _next_window(result, state):
    """Let a layer go on; return the values, which of them have a history, the given state."""
    layer, first = (nn.RNN, state) if isinstance(state, torch.Tensor) else (nn.LSTM, state[0])
    layers, batch, hidden = first.shape
    net = layer(2, hidden, layers, batch_first=True, dtype=first.dtype)
    try:
        net(torch.ones(batch, 3, 2, dtype=first.dtype), result)
    except Exception as error:
        text = "nn.{layer} cannot go on with {kind}: {error}"
        raise Hint(text, layer=layer.__name__, kind=kind(result), error=short(error)) from None
    parts = [result] if isinstance(result, torch.Tensor) else result
    return result, [part.grad_fn is not None for part in parts], state


def _carry(state, cut=(torch.detach, torch.detach)):
    one = isinstance(state, torch.Tensor)
    return cut[0](state) if one else (cut[0](state[0]), cut[1](state[1]))


carry_state = Exercise(
    right=_carry,
    cases=each(_state, *product((1, 2, 3), (2, 1, 3), (nn.RNN, nn.LSTM))),
    compared=_next_window,
    parts=("values", "history (1: it has one)", "given state"),
    says="The values go on, their history stays behind, for one tensor and for two.",
    mistakes=(
        ({"cut": (torch.clone, torch.clone)}, "The state keeps its history (a clone does, too)."),
        ({"cut": [torch.zeros_like] * 2}, "All zeros: what the net remembered is lost."),
        ({"cut": (torch.detach, torch.clone)}, "The second tensor of an LSTM keeps its history."),
    ),
)


# 3.6: a trained net that adds two marked numbers of 50. Any net may come, so it is measured.
def _adder(x, scale=1.0, bias=0.0):
    """Run a plain net set by hand: relu(number + mark - 1) is the number if marked, else 0."""
    w = torch.ones(2, 1, requires_grad=True)
    h = torch.zeros(len(x), 1)
    for x_t in x.unbind(1):
        h = torch.relu(h + torch.relu(x_t @ w - 1))
    return scale * h + bias


def _judge_adder(model):
    torch.manual_seed(3)
    values, marks, rows = torch.rand(500, 50), torch.zeros(500, 50), torch.arange(500)
    marks[rows, torch.randint(0, 25, (500,))] = marks[rows, torch.randint(25, 50, (500,))] = 1
    layers = []
    with register_module_forward_hook(lambda layer, *_: layers.append(layer)):
        out = call(model, torch.stack([values, marks], 2))
    found = numbers(out)
    if getattr(found, "shape", None) != (500, 1):
        raise Hint("For 500 sequences the shape (500, 1) is wanted, {kind} came.", kind=kind(out))
    if any(isinstance(layer, nn.LSTM | nn.GRU | nn.LSTMCell | nn.GRUCell) for layer in layers):
        raise Hint("This net has gates. A plain one can do it.")
    if not layers and not getattr(out, "requires_grad", False):
        raise Hint("No layer and no weight that can be trained had a part in the answers.")
    error = np.square(found - (values * marks).sum(1, keepdim=True).numpy()).mean()
    if error < 0.05:
        text = "Mean squared error {error:.4f} over 50 steps, with a constant answer at 0.167."
        return say(text, error=error)
    text = "The mean squared error is {error:.3g}; below 0.05 is the aim."
    if not np.isfinite(error):
        text = "The model answers with nan or inf: its training has blown up."
    elif found.std() < 0.05:
        text = (
            "The mean squared error is {error:.3g}, and all answers are about the same: still on "
            "the plateau, or blown up by a step."
        )
    raise Hint(text, error=error)


adding_solved = Exercise(
    right=_adder,
    judge=_judge_adder,
    mistakes=(
        ({"scale": 0.0, "bias": 1.0}, "all answers are about the same"),
        ({"bias": 0.5}, "below 0.05 is the aim"),
        ({"scale": math.inf}, "nan or inf"),
        (lambda x: nn.LSTM(2, 1, batch_first=True)(x)[0][:, -1], "This net has gates"),
        (lambda x: (x[..., 0] * x[..., 1]).sum(1, keepdim=True), "No layer and no weight"),
    ),
)
