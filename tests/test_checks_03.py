"""Wrong answers to the exercises of chapter 3: each gets its own hint, nothing ever crashes."""

import math

import pytest
import torch
from torch import nn

from helpers import checks

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


WRONG = {
    checks.steps_until_vanished: [
        steps_linear,
        steps_not_whole,
        steps_rounded_down,
        steps_one_too_many,
        steps_wrong_sign,
        steps_at_most,
    ],
    checks.first_up_then_down: [
        torch.tensor([[0.9, 0.0], [0.0, 0.9]]),
        torch.tensor([[1.1, 30.0], [0.0, 0.5]]),
        torch.tensor([[0.5, 30.0], [0.0, 0.5]]),
        torch.tensor([[0.9, 1.0], [0.0, 0.9]]),
        torch.tensor([0.9, 20.0, 0.0, 0.9]),
        torch.tensor([[0.9, math.inf], [0.0, 0.9]]),
    ],
    checks.clip_by_norm: [
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
    checks.clipped_step: [
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
    checks.carry_state: [
        state_as_it_is,
        state_cloned,
        state_zeros,
        state_tensor_only,
        state_h_only,
        state_drops_c,
        state_list,
        state_reset_if_pair,
    ],
    checks.adding_solved: [
        *map(Net, (always_one, second_only, first_only, ignores_marks, off_by_a_half)),
        *map(Net, (every_step, exploded, dead)),
        adding_right,  # a formula
        Net(adding_right, nn.LSTM),
        Net(adding_right, nn.Linear),
    ],
}
RIGHT = {
    checks.steps_until_vanished: steps_right,
    checks.first_up_then_down: torch.tensor([[0.9, 20.0], [0.0, 0.9]]),
    checks.clipped_step: step_right,
    checks.adding_solved: Net(adding_right),
}
NAMES = [check.__name__ for check in WRONG]


@pytest.mark.parametrize("check", WRONG, ids=NAMES)
def test_each_wrong_answer_has_its_own_hint(check):
    verdicts = [check(answer) for answer in WRONG[check]]
    assert {verdict.state for verdict in verdicts} == {"hint"}
    hints = [verdict.message for verdict in verdicts]
    assert not [hint for hint in hints if "could not be checked" in hint]
    assert len(set(hints)) == len(hints)


@pytest.mark.parametrize("check", RIGHT, ids=[check.__name__ for check in RIGHT])
def test_right_answer(check):
    assert check(RIGHT[check]).state == "right"


def test_a_leaf_has_no_history():
    assert checks.carry_state(state_leaf).state == "right"


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell])
def test_the_evening_is_about_a_plain_net(layer):
    assert "LSTM or a GRU" in checks.adding_solved(Net(adding_right, layer)).message
    assert checks.adding_solved(Net(adding_right, nn.RNNCell)).state == "right"


@pytest.mark.parametrize("step", [step_without_zero, step_zero_last])
def test_an_old_gradient_is_named(step):
    assert "before the call" in checks.clipped_step(step).message


def test_a_dead_net_is_told_to_clip():
    assert "Clip" in checks.adding_solved(Net(dead)).message
    assert "plateau" in checks.adding_solved(Net(always_one)).message


def test_one_step_is_singular():
    verdict = checks.first_up_then_down(torch.tensor([[0.9, 1.0], [0.0, 0.1]]))
    assert "1 step;" in verdict.message


@pytest.mark.parametrize("check", WRONG, ids=NAMES)
def test_stub_waits(check):
    def stub(*args): ...

    assert check(...).state == "waiting"
    assert check(None).state == "waiting"
    if check is not checks.first_up_then_down:
        assert check(stub).state == "waiting"


def throws(*args):
    raise ValueError("no")


def text(*args):
    return "text"


def ragged(*args):
    return [torch.ones(1), "x", None]


def numbers(*args):
    return torch.arange(7)


def nothing_known(*args):
    return float("nan")


@pytest.mark.parametrize("check", WRONG, ids=NAMES)
@pytest.mark.parametrize(
    "answer",
    [throws, text, ragged, numbers, nothing_known, "text", 3, math.nan, [1, "a"], {}, object()],
    ids=str,
)
def test_garbage_gets_a_hint(check, answer):
    assert check(answer).state == "hint"
