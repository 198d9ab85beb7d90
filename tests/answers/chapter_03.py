"""Right and wrong answers to the exercises of chapter 3, for test_checks.py."""

import math

import torch
from torch import nn

mse = nn.functional.mse_loss


# Exercise 3.1
def steps_linear(w, threshold):
    return math.ceil((1 - threshold) / (1 - abs(w)))


def steps_not_whole(w, threshold):
    return math.log(threshold) / math.log(abs(w))


def steps_rounded_down(w, threshold):
    return math.floor(math.log(threshold) / math.log(abs(w)))


def steps_one_too_many(w, threshold):
    return steps_right(w, threshold) + 1


def steps_wrong_sign(w, threshold):
    return math.ceil(math.log(threshold) * -math.log(abs(w)))


def steps_at_most(w, threshold):
    n = 0
    while abs(w) ** n > threshold:
        n += 1
    return n


def steps_right(w, threshold):
    return math.floor(math.log(threshold) / math.log(abs(w)) + 1e-9) + 1


# Exercise 3.3
def total_norm(gradients):
    return torch.sqrt(sum((g**2).sum() for g in gradients))


def clip_each(gradients, max_norm):
    return [g * (max_norm / g.norm()).clamp(max=1) for g in gradients]


def clip_and_stretch(gradients, max_norm):
    return [g * max_norm / total_norm(gradients) for g in gradients]


def clip_by_value(gradients, max_norm):
    return [g.clamp(-max_norm, max_norm) for g in gradients]


def clip_sum_of_norms(gradients, max_norm):
    return [g * min(1, max_norm / sum(p.norm() for p in gradients)) for g in gradients]


def clip_to_one(gradients, max_norm):
    return [g / total_norm(gradients) for g in gradients]


def clip_without_root(gradients, max_norm):
    return [g * min(1, max_norm / total_norm(gradients) ** 2) for g in gradients]


def clip_not(gradients, max_norm):
    return list(gradients)


def clip_flat(gradients, max_norm):
    return torch.cat([g.flatten() for g in gradients])


def clip_zero_by_zero(gradients, max_norm):
    return [g * (max_norm / total_norm(gradients)).clip(max=1) + 0 / g.norm() for g in gradients]


def clip_without_guard(gradients, max_norm):
    total = total_norm(gradients).item()
    return [g * min(1, max_norm / total) for g in gradients]


def clip_in_place(gradients, max_norm):
    for g in gradients:
        g *= min(1, max_norm / 5)
    return gradients


# Exercise 3.4
def step_then_clip(model, optimizer, x, y, max_norm):
    optimizer.zero_grad()
    loss = mse(model(x), y)
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return loss.item()


def step_as_found(model, optimizer, x, y, max_norm):
    loss = mse(model(x), y)
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return loss.item()


def step_without_zero(model, optimizer, x, y, max_norm):
    loss = mse(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


def step_zero_too_late(model, optimizer, x, y, max_norm):
    loss = mse(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


def step_before_backward(model, optimizer, x, y, max_norm):
    loss = mse(model(x), y)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


def step_by_value(model, optimizer, x, y, max_norm):
    optimizer.zero_grad()
    loss = mse(model(x), y)
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


def step_silent(model, optimizer, x, y, max_norm):
    step_right(model, optimizer, x, y, max_norm)


def step_wrong_loss(model, optimizer, x, y, max_norm):
    step_right(model, optimizer, x, y, max_norm)
    return -1.0


def step_zero_last(model, optimizer, x, y, max_norm):
    loss = mse(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def step_tensor(model, optimizer, x, y, max_norm):
    return torch.tensor(step_right(model, optimizer, x, y, max_norm))


def step_twice(model, optimizer, x, y, max_norm):
    step_right(model, optimizer, x, y, max_norm)
    return step_right(model, optimizer, x, y, max_norm)


def step_right(model, optimizer, x, y, max_norm):
    optimizer.zero_grad()
    loss = mse(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


# Exercise 3.5
def state_as_it_is(state):
    return state


def state_cloned(state):
    return state.clone() if isinstance(state, torch.Tensor) else tuple(s.clone() for s in state)


def state_zeros(state):
    if isinstance(state, torch.Tensor):
        return torch.zeros_like(state)
    return tuple(torch.zeros_like(s) for s in state)


def state_tensor_only(state):
    return state.detach()


def state_h_only(state):
    return state.detach() if isinstance(state, torch.Tensor) else (state[0].detach(), state[1])


def state_drops_c(state):
    return state.detach() if isinstance(state, torch.Tensor) else state[0].detach()


def state_list(state):
    return state.detach() if isinstance(state, torch.Tensor) else [s.detach() for s in state]


def state_reset_if_pair(state):
    return state.detach() if isinstance(state, torch.Tensor) else state_zeros(state)


def state_leaf(state):
    if isinstance(state, torch.Tensor):
        return state.detach().requires_grad_()
    return tuple(s.detach().requires_grad_() for s in state)


# Exercise 3.6
class Net(nn.Module):
    """A net that holds a layer and answers with a formula."""

    def __init__(self, formula, layer=nn.RNN):
        super().__init__()
        self.rnn, self.formula = layer(2, 2), formula

    def forward(self, x):
        return self.formula(x)


def dead(x):
    return torch.full((len(x), 1), 7.0)


def always_one(x):
    return torch.ones(len(x), 1)


def second_only(x):
    return 0.5 + (x[:, 25:, 0] * x[:, 25:, 1]).sum(1, keepdim=True)


def first_only(x):
    return 0.5 + (x[:, :25, 0] * x[:, :25, 1]).sum(1, keepdim=True)


def ignores_marks(x):
    return x[..., 0].sum(1, keepdim=True)


def off_by_a_half(x):
    return 0.5 + adding_right(x)


def every_step(x):
    return x


def exploded(x):
    return torch.full((len(x), 1), float("nan"))


def adding_right(x):
    return (x[..., 0] * x[..., 1]).sum(1, keepdim=True)


def clip_right(gradients, max_norm):
    total = torch.cat([g.flatten() for g in gradients]).norm()
    return [g * (max_norm / total) if total > max_norm else g for g in gradients]


RIGHT = {
    "steps_until_vanished": [steps_right],
    "first_up_then_down": [torch.tensor([[0.9, 20.0], [0.0, 0.9]])],
    "clip_by_norm": [clip_right],
    "clipped_step": [step_right],
    "carry_state": [state_leaf],
    "adding_solved": [Net(adding_right), Net(adding_right, nn.RNNCell)],
}

WRONG = {
    "steps_until_vanished": [
        steps_linear,
        steps_not_whole,
        steps_rounded_down,
        steps_one_too_many,
        steps_wrong_sign,
        steps_at_most,
    ],
    "first_up_then_down": [
        torch.tensor([[0.9, 0.0], [0.0, 0.9]]),
        torch.tensor([[1.1, 30.0], [0.0, 0.5]]),
        torch.tensor([[0.5, 30.0], [0.0, 0.5]]),
        torch.tensor([[0.9, 1.0], [0.0, 0.9]]),
        torch.tensor([0.9, 20.0, 0.0, 0.9]),
        torch.tensor([[0.9, math.inf], [0.0, 0.9]]),
    ],
    "clip_by_norm": [
        clip_each,
        clip_and_stretch,
        clip_by_value,
        clip_sum_of_norms,
        clip_to_one,
        clip_without_root,
        clip_not,
        clip_flat,
        clip_zero_by_zero,
        clip_without_guard,
        clip_in_place,
    ],
    "clipped_step": [
        step_then_clip,
        step_as_found,
        step_without_zero,
        step_zero_too_late,
        step_before_backward,
        step_by_value,
        step_silent,
        step_wrong_loss,
        step_tensor,
        step_twice,
    ],
    "carry_state": [
        state_as_it_is,
        state_cloned,
        state_zeros,
        state_tensor_only,
        state_h_only,
        state_drops_c,
        state_list,
        state_reset_if_pair,
    ],
    "adding_solved": [
        *map(Net, (always_one, second_only, first_only, ignores_marks, off_by_a_half)),
        *map(Net, (every_step, exploded, dead)),
        adding_right,  # a formula
        Net(adding_right, nn.LSTM),
        Net(adding_right, nn.Linear),
    ],
}

HINTS = [
    ("first_up_then_down", torch.tensor([[0.9, 1.0], [0.0, 0.1]]), "1 step;"),
    ("clipped_step", step_without_zero, "before the call"),
    ("clipped_step", step_zero_last, "before the call"),
    ("adding_solved", Net(dead), "Clip"),
    ("adding_solved", Net(always_one), "plateau"),
    *(
        ("adding_solved", Net(adding_right, layer), "LSTM or a GRU")
        for layer in (nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell)
    ),
]
