"""Checks of chapter 7: the causal mask, a fading state, the delta rule, a scan with a start."""

from math import inf

import torch
from torch.nn.functional import normalize

from helpers.checks.exercise import Exercise, each, normal


# 7.1: attention in which step t looks at the steps s <= t
def _causal(q, k, v, ahead=1, late=0, over=-1, root=0.5, hidden=-inf):
    masked = torch.ones(q.shape[1], q.shape[1]).triu(ahead)
    scores = (q @ k.mT / q.shape[2] ** root).masked_fill(masked > late, hidden)
    return (torch.softmax(scores, over) * (1 - late * masked)) @ v


causal_attention = Exercise(
    right=_causal,
    cases=each(lambda *size: tuple(normal(3, *size))),
    says="Each step looks at itself and back, with weights that sum up to 1: a triangle.",
    mistakes=(
        ({"ahead": 2}, "The mask is shifted by one: each step sees the next one."),
        ({"ahead": 0}, "The mask is shifted by one: a step does not see itself."),
        ({"ahead": 99}, "Nothing is masked: each step sees all that is to come."),
        ({"late": 1}, "Masked after the softmax, the weights do not sum up to 1."),
        ({"over": 1}, "The softmax runs over the queries: it belongs over the keys."),
        ({"root": 0}, "The scores were not divided by the root of d."),
        ({"hidden": 0.0}, "A score of 0 is no mask: e to the power of 0 is 1."),
        (lambda q, k, v: _causal(k, q, v), "Queries and keys are exchanged: who asks whom?"),
    ),
)


# 7.2: linear attention whose state is multiplied by a at each step
def _fading(q, k, v, a, late=0, youngest=0):
    t = torch.arange(q.shape[1])
    age = t[:, None] - t
    fade = (age >= youngest) * a ** (age.abs() + late).double()
    return q @ k.mT * fade.to(q) @ v


fading_attention = Exercise(
    right=_fading,
    cases=each(
        *(lambda b, t, d, e, a: (normal(b, t, d), normal(b, t, d), normal(b, t, e), a),),
        *((1, 3, 2, 2, 0.5), (1, 1, 3, 3, 0.3), (2, 5, 3, 1, 0.9), (4, 4, 4, 4, 0.7)),
        *((3, 9, 2, 4, 1.0), (2, 40, 3, 5, 0.8), (2, 600, 2, 2, 0.4), (1, 6, 2, 2, 0.6)),
    ),
    says="What is t - s steps old has been multiplied by `a` that many times, the new not at all.",
    mistakes=(
        ({"late": 1}, "What has just come in has faded already: a step too much."),
        (lambda q, k, v, a: _fading(q, k, v, 1.0), "Nothing fades: what did a do?"),
        (lambda q, k, v, a: a * _fading(q, k, v, 1.0), "The output was multiplied, not the state."),
        ({"youngest": -inf}, "Each step sees what is to come as well."),
        ({"youngest": 1}, "A step does not see itself."),
        (
            {"youngest": 1, "late": -1},
            "The state was read before the step was added to it: a step sees itself.",
        ),
    ),
)


# 7.3: one step of the delta rule
def _delta(S, k, v, beta, old=lambda beta: beta, new=lambda beta: beta, sign=1):
    """Make the step; `old` and `new` say how much of what is read goes, and of v comes."""
    return S + sign * torch.outer(k, new(beta) * v - old(beta) * (S.T @ k))


def _memory(d, e, parts):
    S = normal(d, e)
    return S, normalize(torch.randn(d), dim=0).to(S), torch.randn(e).to(S), 1 / parts


delta_step = Exercise(
    right=_delta,
    cases=each(_memory),
    says="Read first, write the difference: at beta 1 the new value stands in its place.",
    mistakes=(
        ({"old": lambda b: 0}, "The old value is still there: this adds, it does not replace."),
        ({"old": lambda b: 1}, "beta scales the new value only: as much of the old must go."),
        (
            lambda S, k, v, beta: (1 - beta) * S + beta * torch.outer(k, v),
            "All that S holds fades here. Only what stands under this key should go.",
        ),
        (lambda S, k, v, beta: _delta(S, k, v, 1), "beta is unused: it says how much to write."),
        (lambda S, k, v, beta: S + torch.outer(k, v), "The old stays, and beta has no effect."),
        ({"new": lambda b: 0}, "The old value goes and the new one does not come."),
        ({"old": lambda b: -b}, "What is read is added: it is to be taken away."),
        ({"sign": -1}, "The difference has the wrong sign: new minus old."),
        (lambda *given: _delta(*given).T, "Rows and columns are exchanged."),
    ),
)


# 7.4: all states of h(t) = a(t) h(t-1) + b(t) from a start
def _states(a, b, h_0, start=1, first=0, stay=slice(1, None)):
    """Compute them from a share of the start; the factors begin at step `first`."""
    states = [start * h_0]
    for t in range(a.shape[1]):
        states.append((a[:, t] if t >= first else 1) * states[-1] + b[:, t])
    return torch.stack(states, dim=1)[:, stay]


def _steps(*size):
    a, b, h = normal(3, *size)
    return 0.3 + 0.6 * a.tanh(), b, h[:, 0].clone()


states = Exercise(
    right=_states,
    cases=each(_steps),
    says="The start fades like everything else, from the first factor on.",
    mistakes=(
        ({"start": 0}, "The start is missing: these are the states from zero."),
        ({"first": 1}, "The first factor is missing on the start: h(1) has a(1)."),
        (
            lambda a, b, h: _states(a, b, 0 * h) + h[:, None],
            "The start is added to each state as it was: it has to fade with the factors.",
        ),
        (
            {"stay": slice(-1)},
            "The states begin with the start itself: the first is h(1), the last h(T).",
        ),
        ({"stay": slice(None)}, "There is one state too many: the start is not asked for."),
        ({"stay": -1}, "This is the last state alone."),
        (lambda a, b, h: _states(a, a * b, h), "b was multiplied, too: first a, then plus b."),
        (lambda *given: _states(*given).transpose(0, 1), "Time stands first: batch first."),
    ),
)
