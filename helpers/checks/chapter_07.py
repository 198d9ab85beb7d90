"""Checks of chapter 7: the causal mask, a fading state, the delta rule, a scan with a start."""

import math
from functools import partial

import torch

from helpers.checks.exercise import Exercise


# 7.1: attention in which step t looks at the steps s <= t
def _causal(q, k, v, ahead=1, over=-1, scaled=True, late=False, hidden=-math.inf):
    """Look back; `ahead`: the diagonal from which the mask begins, `late`: after the softmax."""
    scores = q @ k.transpose(1, 2) / (math.sqrt(q.shape[-1]) if scaled else 1)
    masked = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).triu(ahead)
    if late:
        return torch.softmax(scores, over).masked_fill(masked, 0.0) @ v
    return torch.softmax(scores.masked_fill(masked, hidden), over) @ v


def _qkv(batch, steps, d, e=None, dtype=torch.float32):
    sizes = (batch, steps, d), (batch, steps, d), (batch, steps, e or d)
    return tuple(torch.randn(size, dtype=dtype) for size in sizes)


causal_attention = Exercise(
    right=_causal,
    cases=lambda: [
        *[_qkv(1, 3, 2), _qkv(1, 1, 4), _qkv(2, 5, 3), _qkv(4, 4, 4), _qkv(3, 2, 9)],
        *[_qkv(7, 6, 1), _qkv(2, 30, 8), _qkv(3, 7, 5, dtype=torch.float64)],
    ],
    says="Each step looks at itself and back, with weights that sum up to 1: a triangle.",
    mistakes=(
        (partial(_causal, ahead=2), "The mask is shifted by one: each step sees the next one."),
        (partial(_causal, ahead=0), "The mask is shifted by one: a step does not see itself."),
        (partial(_causal, ahead=99), "Nothing is masked: each step sees all that is to come."),
        (partial(_causal, late=True), "Masked after the softmax, the weights do not sum up to 1."),
        (partial(_causal, over=1), "The softmax runs over the queries: it belongs over the keys."),
        (partial(_causal, scaled=False), "The scores were not divided by the root of d."),
        (partial(_causal, hidden=0.0), "A score of 0 is no mask: e to the power of 0 is 1."),
        (lambda q, k, v: _causal(k, q, v), "Queries and keys are exchanged: who asks whom?"),
    ),
)


# 7.2: linear attention whose state is multiplied by a at each step
def _fading(q, k, v, a, late=0, mask=torch.tril):
    """Compute all outputs; `late` is added to each age, `mask` says who is looked at."""
    t = torch.arange(q.shape[1])
    fade = mask(a ** ((t[:, None] - t).abs() + late).double())
    return q @ k.transpose(1, 2) * fade.to(q) @ v


def _fade_cases():
    sizes = (1, 3, 2), (1, 1, 3), (2, 5, 3, 1), (4, 4, 4), (3, 9, 2, 5), (2, 40, 3, 4), (1, 600, 2)
    factors = 0.5, 0.3, 0.9, 0.7, 1.0, 0.8, 0.4
    cases = [(*_qkv(*size), a) for size, a in zip(sizes, factors, strict=True)]
    return [*cases, (*_qkv(2, 6, 3, dtype=torch.float64), 0.6)]


fading_attention = Exercise(
    right=_fading,
    cases=_fade_cases,
    says="What is t - s steps old has been multiplied by a so many times, what is new not at all.",
    mistakes=(
        (partial(_fading, late=1), "What has just come in has faded already: a step too much."),
        (lambda q, k, v, a: _fading(q, k, v, 1.0), "Nothing fades: what did a do?"),
        (lambda q, k, v, a: a * _fading(q, k, v, 1.0), "The output was multiplied, not the state."),
        (partial(_fading, mask=lambda fade: fade), "Each step sees what is to come as well."),
        (partial(_fading, mask=lambda fade: fade.tril(-1)), "A step does not see itself."),
        (
            partial(_fading, late=-1, mask=lambda fade: fade.tril(-1)),
            "The state was read before the step was added to it: a step sees itself.",
        ),
    ),
)


# 7.3: one step of the delta rule
def _delta(S, k, v, beta, old=1.0, new=1.0):
    return S + torch.outer(k, new * beta * v - old * beta * (S.T @ k))


def _memory(d, e, beta, length=1.0, dtype=torch.float32):
    k = torch.nn.functional.normalize(torch.randn(d, dtype=dtype), dim=0)
    return torch.randn(d, e, dtype=dtype), length * k, torch.randn(e, dtype=dtype), beta


delta_step = Exercise(
    right=_delta,
    cases=lambda: [
        *[_memory(2, 3, 1.0), _memory(4, 2, 0.5), _memory(3, 3, 1.0), _memory(1, 4, 0.3)],
        *[_memory(5, 1, 0.9), _memory(8, 6, 0.2), _memory(3, 2, 0.7, dtype=torch.float64)],
    ],
    says="Read first, write the difference: at beta 1 the new value stands in its place.",
    mistakes=(
        (partial(_delta, old=0.0), "The old value is still there: this adds, it does not replace."),
        (
            lambda S, k, v, beta: S + torch.outer(k, beta * v - S.T @ k),
            "beta scales the new value only: so much goes, so much comes.",
        ),
        (
            lambda S, k, v, beta: (1 - beta) * S + beta * torch.outer(k, v),
            "All that S holds fades here. Only what stands under this key should go.",
        ),
        (lambda S, k, v, beta: _delta(S, k, v, 1.0), "beta has no effect: it says how much of it."),
        (lambda S, k, v, beta: S + torch.outer(k, v), "The old stays, and beta has no effect."),
        (partial(_delta, new=0.0), "The old value goes and the new one does not come."),
        (partial(_delta, old=-1.0), "What is read is added: it is to be taken away."),
        (partial(_delta, old=-1.0, new=-1.0), "The difference has the wrong sign: new minus old."),
        (lambda S, k, v, beta: _delta(S, k, v, beta).T, "Rows and columns are exchanged."),
    ),
)


# 7.4: all states of h(t) = a(t) h(t-1) + b(t) from a start
def _states(a, b, h_0, first=0, start=1.0):
    """Compute them; `first`: the step at which the factors begin, `start`: the share of h_0."""
    h, out = start * h_0, []
    for t in range(a.shape[1]):
        h = (a[:, t] if t >= first else 1) * h + b[:, t]
        out.append(h)
    return torch.stack(out, dim=1)


def _steps(batch, steps, hidden, dtype=torch.float32):
    sizes = (batch, steps, hidden), (batch, steps, hidden), (batch, hidden)
    a, b, h_0 = (torch.randn(size, dtype=dtype) for size in sizes)
    return 0.3 + 0.6 * torch.tanh(a), b, h_0


states = Exercise(
    right=_states,
    cases=lambda: [
        *[_steps(1, 3, 2), _steps(2, 1, 3), _steps(4, 4, 4), _steps(1, 7, 1), _steps(6, 2, 5)],
        *[_steps(3, 40, 2), _steps(2, 5, 3, torch.float64)],
    ],
    says="The start fades like everything else, from the first factor on.",
    mistakes=(
        (partial(_states, start=0.0), "The start is missing: these are the states from zero."),
        (partial(_states, first=1), "The first factor is missing on the start: h(1) has a(1)."),
        (
            lambda a, b, h_0: _states(a, b, 0 * h_0) + h_0[:, None],
            "The start is added to each state as it was: it has to fade with the factors.",
        ),
        (
            lambda a, b, h_0: torch.cat([h_0[:, None], _states(a, b, h_0)[:, :-1]], 1),
            "The states begin with the start itself: the first is h(1), the last h(T).",
        ),
        (
            lambda a, b, h_0: torch.cat([h_0[:, None], _states(a, b, h_0)], 1),
            "There is one state too many: the start is not asked for.",
        ),
        (lambda a, b, h_0: _states(a, b, h_0)[:, -1], "This is the last state alone."),
        (lambda a, b, h_0: _states(a, a * b, h_0), "b was multiplied, too: first a, then plus b."),
        (lambda a, b, h_0: _states(a, b, h_0).transpose(0, 1), "Time stands first: batch first."),
    ),
)
