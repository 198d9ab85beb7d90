"""Checks of chapter 3: vanishing, a matrix, clipping, the training step, a state, adding."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from helpers.checks.core import Hint, call, close, exercise, tensor


def _run(function: Callable, *args: Any) -> Any:
    """Call with the arguments themselves, not copies: for functions that are to change them."""
    if not callable(function):
        raise Hint(f"A function is expected here, this is of type {type(function).__name__}.")

    def run():
        return (function(*args),)  # a tuple, so that None is an answer like any other

    run.__name__ = getattr(function, "__name__", "your function")
    return call(run)[0]


@exercise
def steps_until_vanished(steps_until) -> str:
    """Exercise 3.1: the smallest n for which |w|**n is below a threshold."""
    for w, threshold in ((0.9, 1e-3), (0.5, 1e-3), (0.99, 0.01), (0.5, 0.25), (-0.9, 0.1)):
        n = tensor(call(steps_until, w, threshold), what="The number of steps")
        if n.numel() != 1:
            raise Hint(f"One number is expected, this has the shape {tuple(n.shape)}.")
        n = n.item()
        wanted = 0
        while abs(w) ** wanted >= threshold:
            wanted += 1
        case = f"For w = {w} and the threshold {threshold:g}"
        if abs(n - (1 - threshold) / (1 - abs(w))) < 1.01 and abs(n - wanted) > 1:
            raise Hint(
                f"{case} you say {n:g}, as if each step took away the same amount. Each step "
                "takes a share of what is left."
            )
        if n != n or n < 0:
            raise Hint(f"{case} you say {n:g}: below zero steps? Look at the signs of the logs.")
        if n != int(n):
            raise Hint(f"{case} you say {n:.3f}. Steps come whole; which of its neighbours is it?")
        if n == wanted - 1 and abs(w) ** n == threshold:
            raise Hint(f"{case} you say {n:g}: there it is exactly the threshold, not below it.")
        if n == wanted - 1:
            raise Hint(f"{case} you stop one step early: {abs(w):g}^{n:g} is not below it yet.")
        if n == wanted + 1:
            raise Hint(f"{case} you go one step too far: {n - 1:g} steps are enough.")
        if n != wanted:
            raise Hint(f"{case} you say {n:g}, and |w|^n is then {abs(w) ** min(n, 1e4):.2g}.")
    return "66 steps for 0.9 and a thousandth: a tenth of what is left goes at each step."


@exercise
def first_up_then_down(W) -> str:
    """Exercise 3.2: a matrix whose powers grow before they vanish."""
    W = tensor(W, (2, 2), what="W")
    if not torch.isfinite(W).all():
        raise Hint("W has an entry that is not a finite number.")
    radius = torch.linalg.eigvals(W).abs().max().item()
    sigma = torch.linalg.matrix_norm(W, 2).item()
    if radius >= 1:
        raise Hint(
            f"The spectral radius of W is {radius:.3f}: its powers do not vanish in the end."
        )
    if abs(radius - 0.9) > 1e-3:
        raise Hint(f"The spectral radius of W is {radius:.3f}, it should be 0.9.")
    if close(W @ W.T, W.T @ W, tol=1e-6):
        raise Hint(
            f"The largest singular value of W equals its spectral radius ({sigma:.2f}), so the "
            "norm falls from the first step on. This is so whenever the eigenvectors are "
            "orthogonal: leave that family."
        )
    norms = [
        torch.linalg.matrix_norm(torch.linalg.matrix_power(W, n), 2).item() for n in range(200)
    ]
    top = max(norms)
    if top <= 10:
        raise Hint(
            f"Right idea: it can grow. But the largest norm is {top:.2f}, after "
            f"{_steps(norms.index(top))}; 10 is the aim."
        )
    return (
        f"Spectral radius {radius:.2f}, and still the norm climbs to {top:.1f} "
        f"(after {_steps(norms.index(top))}) before it vanishes."
    )


def _steps(n: int) -> str:
    return "1 step" if n == 1 else f"{n} steps"


@exercise
def clip_by_norm(function) -> str:
    """Exercise 3.3: clip a list of gradients by their common norm."""
    long = [torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, -4.0, 0.5])]
    for gradients, limit in ((long, 1.0), (long, 2.5)):
        total = torch.cat([g.flatten() for g in gradients]).norm()
        out = _gradients(call(function, gradients, limit), gradients)
        if _all_close(out, [g * limit / total for g in gradients]):
            continue
        if _all_close(out, gradients):
            raise Hint(
                f"With max_norm {limit} a gradient of norm {total:.2f} comes back unchanged."
            )
        each = [g * (limit / g.norm()).clamp(max=1.0) for g in gradients]
        stretched = [g * limit / g.norm() for g in gradients]
        if _all_close(out, each) or _all_close(out, stretched):
            raise Hint(
                "You clip each tensor by its own norm. Then their proportions change, and with "
                "them the direction of the step."
            )
        if _all_close(out, [g.clamp(-limit, limit) for g in gradients]):
            raise Hint("This is clipping by value: each entry for itself. The direction turns.")
        if _all_close(out, [g / total for g in gradients]):
            raise Hint("Your gradient has the norm 1 whatever max_norm is.")
        if _all_close(out, [g * limit / sum(p.norm() for p in gradients) for g in gradients]):
            raise Hint(
                "You add the norms of the tensors. The norm of all entries together is the root "
                "of the sum of their squares."
            )
        if _all_close(out, [g * limit / total**2 for g in gradients]):
            raise Hint("You divide by the squared norm: a root is missing.")
        norm = torch.cat([g.flatten() for g in out]).norm()
        raise Hint(f"With max_norm {limit} the clipped gradients have the norm {norm:.3f}.")
    short = [g / 100 for g in long]
    if not _all_close(_gradients(call(function, short, 1.0), short), short):
        raise Hint(
            "A gradient that is shorter than max_norm comes back changed. Clipping only shortens."
        )
    zero = [torch.zeros(2), torch.zeros(2, 2)]
    try:
        out = call(function, zero, 1.0)
    except Hint as hint:
        raise Hint(f"With a gradient that is zero everywhere, {hint}") from None
    if not _all_close(_gradients(out, zero), zero):
        raise Hint("A gradient that is zero everywhere comes back as something else (0 / 0?).")
    return "One norm for all, one factor for all, and never longer: the direction is kept."


def _gradients(out: Any, like: list[torch.Tensor]) -> list[torch.Tensor]:
    if isinstance(out, torch.Tensor | str) or not isinstance(out, list | tuple):
        raise Hint(f"Return a list, one gradient for each parameter, not a {type(out).__name__}.")
    if len(out) != len(like):
        raise Hint(f"{len(like)} gradients go in, {len(out)} come out.")
    return [
        tensor(g, tuple(w.shape), what="A clipped gradient") for g, w in zip(out, like, strict=True)
    ]


def _all_close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(close(x, y, tol=1e-4) for x, y in zip(a, b, strict=True))


@exercise
def clipped_step(train_step) -> str:
    """Exercise 3.4: zero_grad, backward, clip, step."""
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    for y, limit in ((torch.tensor([[40.0], [-30.0], [20.0]]), 1.5), (torch.ones(3, 1), 50.0)):
        model = nn.Linear(2, 1)
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[0.3, -0.2]]))
            model.bias.fill_(0.1)
        p = list(model.parameters())
        loss = nn.functional.mse_loss(model(x), y)
        g = torch.cat([v.flatten() for v in torch.autograd.grad(loss, p)])
        for v, old in zip(p, (torch.tensor([[0.9, -2.0]]), torch.tensor([3.0])), strict=True):
            v.grad = old.clone()  # left over from the batch before
        stale = torch.cat([v.grad.flatten() for v in p])
        before = torch.cat([v.detach().flatten() for v in p])
        result = _run(train_step, model, torch.optim.SGD(p, lr=0.1), x, y, limit)
        step = (before - torch.cat([v.detach().flatten() for v in p])) / 0.1
        untouched = all(v.grad is not None for v in p) and close(
            torch.cat([v.grad.flatten() for v in p]), stale
        )
        if result is None or result is ...:
            if untouched and close(step, torch.zeros(3)):
                raise _stub()
            raise Hint("The step is made, but the function does not return the loss.")
        _judge_step(step, g, stale, limit)
        if isinstance(result, torch.Tensor):
            raise Hint(
                "The step is right, but the loss comes back as a tensor. A float is asked for: "
                "loss.item() gives it."
            )
        if not close(tensor(result, what="The loss").squeeze(), loss.item(), tol=1e-3):
            raise Hint("The step is right, but what is returned is not the loss of this batch.")
    return "Each call makes one step, of at most max_norm times the learning rate."


def _stub() -> Exception:
    """Return what ``call`` raises for a function that returns nothing."""
    try:
        call(lambda: None)
    except Exception as waiting:
        return waiting
    return Hint("Nothing is returned.")


STALE = (
    "But a gradient that was there before the call is still in it: empty it before backward, not "
    "after step."
)


def _judge_step(step: torch.Tensor, g: torch.Tensor, stale: torch.Tensor, limit: float) -> None:
    def clip(v):
        return v * min(1.0, limit / v.norm().item())

    if close(step, clip(g), tol=1e-3):
        return
    if close(step, torch.zeros(3)):
        raise Hint(
            "The model has not moved. Is there a step, and is the gradient still there when the "
            "optimizer steps?"
        )
    if close(step, g, tol=1e-3):
        raise Hint(
            f"The step has the full length of the gradient ({g.norm():.0f}), although max_norm is "
            f"{limit}. Was the gradient already there when it was clipped, and not yet used?"
        )
    if close(step, g + stale, tol=1e-3):
        raise Hint(f"The step is not clipped. {STALE}")
    if close(step, clip(g + stale), tol=1e-3):
        raise Hint(f"The step is clipped. {STALE}")
    if close(step, stale, tol=1e-3) or close(step, clip(stale), tol=1e-3):
        raise Hint("The step uses only the gradient of the batch before: step comes too early.")
    if close(step, g.clamp(-limit, limit), tol=1e-3):
        raise Hint("The step is clipped by value, entry by entry, and its direction has turned.")
    raise Hint(
        f"The step should be {limit} long at most and point against the gradient; yours has the "
        f"length {step.norm():.2f} (divided by the learning rate). Does the optimizer step once?"
    )


@exercise
def carry_state(carry_on) -> str:
    """Exercise 3.5: the values of a state without its history, for RNN and LSTM."""
    x = torch.linspace(-1, 1, 12).reshape(2, 3, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        rnn, lstm = nn.RNN(2, 4, batch_first=True), nn.LSTM(2, 4, batch_first=True)
    state = rnn(x)[1]
    was = state.detach().clone()
    out = _run(carry_on, state)
    if not close(state.detach(), was):
        raise Hint("Your function changes the input that it was given; work on a copy.")
    if out is None or out is ...:
        raise _stub()
    _judge_state(out, state, "nn.RNN", "the state")
    pair = lstm(x)[1]
    out = _run(carry_on, pair)
    if out is None:
        raise Hint("For an LSTM the function returns nothing.")
    if isinstance(out, torch.Tensor):
        raise Hint("For an LSTM one tensor comes back; it needs a tuple of two.")
    if not isinstance(out, tuple) or len(out) != 2:
        raise Hint(
            "nn.LSTM takes a tuple of two tensors as its state, this is of type "
            f"{type(out).__name__}."
        )
    for part, was, name in zip(out, pair, ("the first tensor", "the second tensor"), strict=True):
        _judge_state(part, was, "nn.LSTM", name)
    return "The values go on, their history stays behind, for one tensor and for two."


def _judge_state(out: Any, state: torch.Tensor, layer: str, name: str) -> None:
    if not isinstance(out, torch.Tensor):
        raise Hint(f"For {layer}, {name} should be a tensor; it is of type {type(out).__name__}.")
    if out.shape != state.shape:
        raise Hint(f"For {layer}, {name} changes its shape to {tuple(out.shape)}.")
    if not close(out.detach(), state.detach()):
        what = "is all zeros" if not out.any() else "has other values"
        raise Hint(f"For {layer}, {name} {what}: what the net remembered is lost.")
    if out.grad_fn is not None:  # a leaf that wants a gradient has no history either
        how = "comes back as it was" if out is state else "is a copy"
        raise Hint(
            f"For {layer}, {name} {how}, with its history: backward would still walk into the "
            "window before."
        )


@exercise
def adding_solved(model) -> str:
    """Exercise 3.6: a trained model solves the adding problem with 50 steps."""
    generator = torch.Generator().manual_seed(3)
    numbers, marks = torch.rand(500, 50, generator=generator), torch.zeros(500, 50)
    rows = torch.arange(500)
    marks[rows, torch.randint(0, 25, (500,), generator=generator)] = 1
    marks[rows, torch.randint(25, 50, (500,), generator=generator)] = 1
    x, y = torch.stack([numbers, marks], dim=2), (numbers * marks).sum(1, keepdim=True)

    def predict(x):
        with torch.no_grad():
            return model(x)

    if not callable(model):
        raise Hint(f"The trained model is expected here, this is of type {type(model).__name__}.")
    out = tensor(call(predict, x), (500, 1), what="What the model gives for 500 sequences")
    _plain_net(model)
    y = y.double()
    if not torch.isfinite(out).all():
        raise Hint("The model answers with nan or inf: its training has blown up.")
    error = ((out - y) ** 2).mean().item()
    if error < 0.05:
        return f"Mean squared error {error:.4f} over 50 steps, with a constant answer at 0.167."
    if out.std() < 0.05 and error > 0.2:
        raise Hint(
            f"The model gives about the same answer for every sequence ({out.mean():.2f}), far "
            f"worse than a constant 1: the error is {error:.3g}. Did a step blow it up? Clip."
        )
    if out.std() < 0.05:
        raise Hint(
            f"The model gives about the same answer for every sequence ({out.mean():.2f}); mean "
            f"squared error {error:.3f}. It has not left the plateau yet: more steps, another "
            "learning rate, or another start of W_hh."
        )

    def fits(guess):
        return torch.corrcoef(torch.stack([out.flatten(), guess.double().flatten()]))[0, 1] > 0.9

    late = (numbers * marks)[:, 25:].sum(1)
    early = (numbers * marks)[:, :25].sum(1)
    if fits(y):
        raise Hint(f"The answers rise with the right sum, but the error is {error:.3f}: fine-tune.")
    if fits(late):
        raise Hint(f"Only the second marked number counts (error {error:.3f}): the first is lost.")
    if fits(early):
        raise Hint(f"Only the first marked number counts (error {error:.3f}).")
    if fits(numbers.sum(1)):
        raise Hint(f"The model adds up all numbers and ignores the marks (error {error:.3g}).")
    raise Hint(f"The mean squared error is {error:.3g}; below 0.05 is the aim.")


def _plain_net(model: Any) -> None:
    """Raise a hint if this is no module with a plain recurrent layer."""
    if not isinstance(model, nn.Module):
        raise Hint(
            f"A trained net is asked for, an nn.Module; this is of type {type(model).__name__}."
        )
    layers = list(model.modules())
    if any(isinstance(layer, nn.LSTM | nn.GRU | nn.LSTMCell | nn.GRUCell) for layer in layers):
        raise Hint("There is an LSTM or a GRU in this model; the plain nn.RNN can do it.")
    if not any(isinstance(layer, nn.RNN | nn.RNNCell) for layer in layers):
        raise Hint("There is no nn.RNN in this model: what adds up the numbers?")
