"""The training loop, and the progress line."""

import copy
import math
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from torch import nn

from helpers import training
from helpers.progress import Progress
from helpers.training import Step, evaluate, fit, table

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("one_thread")


class Scale(nn.Module):
    """y = w x, so small that its training can be followed with a pencil."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))


def square(model, batch, state):
    """Loss w² · mean(batch): its gradient is 2 w · mean(batch)."""
    (x,) = batch
    return Step(model.w**2 * x.mean(), len(x))


PAIR = [(torch.tensor([1.0, 1.0, 1.0]),), (torch.tensor([3.0]),)]


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr)


# ---- one step after another ------------------------------------------------------------------


def test_fit_follows_the_pencil():
    model = Scale()
    history = fit(model, square, PAIR, epochs=1, optimizer=sgd(model))
    # w: 1 -> 1 - 0.1 * 2 = 0.8 -> 0.8 - 0.1 * 2 * 0.8 * 3 = 0.32; losses 1 (3 items), 1.92 (1 item)
    assert model.w.item() == pytest.approx(0.32)
    assert history == [{"epoch": 1, "loss": pytest.approx((3 * 1 + 1.92) / 4)}]
    assert not model.training


def test_gradients_do_not_add_up_and_are_clipped_before_the_step():
    model = Scale()
    fit(model, square, PAIR, epochs=1, optimizer=sgd(model), clip_norm=0.5)
    assert model.w.item() == pytest.approx(1 - 0.1 * 0.5 - 0.1 * 0.5)
    model = Scale()
    fit(model, square, PAIR, epochs=1, optimizer=sgd(model), clip_norm=100.0)
    assert model.w.item() == pytest.approx(0.32)


def test_the_norm_is_that_of_all_weights_together():
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(3.0), model.bias.fill_(4.0)

    def step(model, batch, state):
        return Step((model.weight**2 + model.bias**2).sum() / 2, 1)  # gradient (3, 4), norm 5

    fit(model, step, [()], epochs=1, optimizer=sgd(model, 1.0), clip_norm=1.0)
    assert model.weight.item() == pytest.approx(3 - 3 / 5)
    assert model.bias.item() == pytest.approx(4 - 4 / 5)


def test_the_scheduler_steps_after_every_batch():
    model, rates = Scale(), []
    optimizer = sgd(model, 0.08)

    def step(model, batch, state):
        rates.append(optimizer.param_groups[0]["lr"])
        return square(model, batch, state)

    halve = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    fit(model, step, PAIR, epochs=2, optimizer=optimizer, scheduler=halve)
    assert rates == pytest.approx([0.08, 0.04, 0.02, 0.01])


def test_accuracy_counts_items_not_batches():
    def step(model, batch, state):
        return Step(model.w**2, len(batch[0]), correct=(batch[0] == 1).sum())

    model = Scale()
    assert evaluate(model, step, PAIR) == {"loss": 1.0, "accuracy": 0.75}
    (row,) = fit(model, step, PAIR, epochs=1, optimizer=sgd(model))
    assert row["accuracy"] == 0.75


def test_the_state_goes_from_batch_to_batch_and_starts_anew_each_epoch():
    seen = []

    def step(model, batch, state):
        seen.append(state)
        return Step(model.w**2, 1, state=(torch.tensor(len(seen)), model.w.detach()))

    model = Scale()
    fit(model, step, PAIR, epochs=2, optimizer=sgd(model))
    assert [s and s[0].item() for s in seen] == [None, 1, None, 3]
    seen.clear()
    evaluate(model, step, PAIR)
    assert [s and s[0].item() for s in seen] == [None, 1]


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: (w, w.detach()), lambda w: [(w,)]])
def test_an_attached_state_is_refused(wrap):
    model = Scale()

    def step(model, batch, state):
        return Step(model.w**2, 1, wrap(model.w * 2))

    with pytest.raises(ValueError, match="detach"):
        fit(model, step, PAIR, epochs=1, optimizer=sgd(model))


def test_evaluate_measures_without_dropout_and_leaves_the_mode_alone():
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))

    def step(model, batch, state):
        assert not torch.is_grad_enabled()
        return Step(model(batch[0]).square().mean(), 4)

    for mode in (True, False):
        net.train(mode)
        before = copy.deepcopy(net.state_dict())
        one, two = (evaluate(net, step, [(torch.ones(4, 3),)]) for _ in range(2))
        assert one == two  # dropout would make them differ
        assert net.training is mode
        assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    net.train()
    with pytest.raises(IndexError):
        evaluate(net, step, [()])
    assert net.training


def test_fit_trains_in_training_mode_even_after_validation():
    model, modes = Scale().eval(), []

    def step(model, batch, state):
        modes.append(model.training)
        return square(model, batch, state)

    def validate(model):
        return {"mode": model.eval().training}

    fit(model, step, PAIR, epochs=2, optimizer=sgd(model), validate=validate)
    assert modes == [True] * 4


def test_batches_hear_of_the_epoch_before_they_start():
    class Batches(list):
        def set_epoch(self, epoch):
            heard.append(epoch)

        def __iter__(self):
            heard.append("iter")
            return super().__iter__()

    heard, model = [], Scale()
    fit(model, square, Batches(PAIR), epochs=2, optimizer=sgd(model))
    assert heard == [1, "iter", 2, "iter"]


def test_batches_go_to_the_device_of_the_model():
    moved = list(training._shared(PAIR, nn.Linear(1, 1, device="meta")))
    assert [tensor.device.type for batch in moved for tensor in batch] == ["meta"] * 2
    assert training.device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(("cores", "fewer"), [(3.6, 4), (2.5, 4), (2.3, 2), (0.4, 1)])
def test_who_must_share_the_cores_goes_on_with_fewer_threads(cores, fewer, monkeypatch):
    clock, threads, met, model = [0.0], [4], [], Scale()
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(training.time, "process_time", lambda: used(clock[0]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)

    def used(time):  # all four cores for 1.2 seconds, then `cores` of them
        return 4 * min(time, 1.2) + cores * max(time - 1.2, 0)

    def step(model, batch, state):
        met.append(threads[-1])
        clock[0] += 0.6  # seconds
        if len(met) == 13:
            raise KeyboardInterrupt
        return square(model, batch, state)

    evaluate(model, step, PAIR * 3)
    assert [*met, threads[-1]] == [4, 4, 4, 4, fewer, fewer, 4]
    with pytest.raises(KeyboardInterrupt):
        fit(model, step, PAIR * 2, epochs=2, optimizer=sgd(model))
    assert [*met[6:12], threads[-1]] == [4, 4, fewer, fewer, 4, 4, 4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_also_on_a_gpu():
    model = Scale().cuda()
    history = fit(model, square, PAIR, epochs=1, optimizer=sgd(model))
    assert model.w.item() == pytest.approx(0.32)
    assert history[0]["loss"] == pytest.approx(4.92 / 4)


# ---- history, validation, the best epoch -----------------------------------------------------


def test_validation_joins_the_history():
    model = Scale()
    others = [(torch.tensor([2.0]),)]

    def validate(model):
        return evaluate(model, square, others)

    history = fit(model, square, PAIR, epochs=2, optimizer=sgd(model), validate=validate)
    assert [list(row) for row in history] == [["epoch", "loss", "valid_loss"]] * 2
    assert history[0]["valid_loss"] == pytest.approx(0.32**2 * 2)


@pytest.mark.parametrize(
    ("name", "values", "epoch"),
    [
        ("valid_loss", [3.0, 1.0, 1.0, 2.0], 2),  # of equals the first
        ("valid_accuracy", [0.1, 0.2, 0.9, 0.5], 3),
        ("valid_accuracy", [0.9, 0.2, 0.9, 0.5], 1),
        ("loss", [0.0] * 4, 4),
    ],
)
def test_the_best_epoch_is_kept(name, values, epoch):
    model, weights = Scale(), []

    def validate(model):
        weights.append(model.w.item())
        return {name.removeprefix("valid_"): values[len(weights) - 1]}

    fit(model, square, PAIR, epochs=4, optimizer=sgd(model), validate=validate, keep_best=name)
    assert len(set(weights)) == 4
    assert model.w.item() == weights[epoch - 1]


def test_the_table():
    history = [
        {"epoch": 9, "loss": 0.5, "valid_loss": 12.34567},
        {"epoch": 10, "loss": 0.25, "valid_loss": 1.0},
    ]
    assert table(history).splitlines() == [
        "epoch    loss  valid_loss",
        "    9  0.5000     12.3457",
        "   10  0.2500      1.0000",
    ]


# ---- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 50])  # on a CPU, and as on a GPU, which is asked late
def test_a_loss_that_is_not_finite_stops_the_training(every, monkeypatch):
    monkeypatch.setitem(training.CHECK_EVERY, "cpu", every)
    model, losses, weights = Scale(), iter([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, math.inf, math.nan]), []

    def step(model, batch, state):
        weights.append(model.w.item())
        return Step(model.w * next(losses), 1)

    with pytest.raises(FloatingPointError, match="loss is inf at step 3 of epoch 2;") as error:
        fit(model, step, PAIR * 2, epochs=3, optimizer=sgd(model, 0.01), clip_norm=1.0)
    assert f"last finite loss of the epoch: {4 * weights[5]:.4g}." in str(error.value)
    assert "clip_norm=1.0" in str(error.value)
    assert len(weights) == (7 if every == 1 else 8)
    assert (model.w.item() == weights[6]) == (every == 1)  # before the weights are touched


@pytest.mark.parametrize("clip_norm", [math.inf, 1.0])
def test_a_gradient_that_is_not_finite_stops_too(clip_norm):
    model = Scale()

    def step(model, batch, state):
        return Step((model.w - 1).abs().sqrt(), 1)  # 0, with a slope without bound

    with pytest.raises(FloatingPointError, match=r"gradient's norm is (nan|inf) at step 1"):
        fit(model, step, PAIR, epochs=1, optimizer=sgd(model), clip_norm=clip_norm)
    assert model.w.item() == 1


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"batches": []}, ValueError, "no batches"),
        ({"batches": (b for b in PAIR), "epochs": 2}, ValueError, "generator"),
        ({"keep_best": "valid_loss"}, ValueError, "has only epoch, loss"),
        ({"step": lambda m, b, s: m.w**2}, TypeError, "returned Tensor: return Step"),
    ],
)
def test_what_fit_cannot_use(changes, kind, words):
    model = Scale()
    options = {"step": square, "batches": PAIR, "epochs": 1, "optimizer": sgd(model)} | changes
    with pytest.raises(kind, match=words):
        fit(model, **options)


def test_a_schedule_that_is_too_short_is_found_at_once():
    model = Scale()
    optimizer = sgd(model)
    short = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4)
    with pytest.raises(ValueError, match="4 steps left, training takes 6"):
        fit(model, square, PAIR, epochs=3, optimizer=optimizer, scheduler=short)
    assert model.w.item() == 1
    fit(model, square, PAIR, epochs=2, optimizer=optimizer, scheduler=short)
    with pytest.raises(ValueError, match="0 steps left, training takes 4"):
        fit(model, square, PAIR, epochs=2, optimizer=optimizer, scheduler=short)


# ---- the progress line -----------------------------------------------------------------------

NOTEBOOK = """
import time, torch
from torch import nn
from helpers.training import Step, fit, table

def step(model, batch, state):
    time.sleep(0.02)
    return Step(model(batch[0]).square().mean(), len(batch[0]))

torch.manual_seed(1)
model = nn.Linear(2, 1)
print("before")
history = fit(model, step, [(torch.ones(3, 2),)] * 30, epochs=2,
              optimizer=torch.optim.SGD(model.parameters(), 0.01), keep_best="loss")
print("after")
"""

INTERRUPTED = """
from helpers.progress import Progress
for i in Progress(range(9), desc="count"):
    assert i < 5
"""

TWICE = """
with Progress(total=3) as progress:
    progress.final = "done"
progress.close()
"""


def test_a_notebook_stores_the_table_and_no_debris():
    cells = [NOTEBOOK, "print(table(history))", INTERRUPTED, TWICE]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    sent = []

    class Client(NotebookClient):
        def process_message(self, message, cell, cell_index):
            sent.append(message)
            return super().process_message(message, cell, cell_index)

    client = Client(notebook, resources={"metadata": {"path": str(ROOT)}}, allow_errors=True)
    client.execute()

    before, shown, after = notebook.cells[0].outputs
    assert (before.text, after.text) == ("before\n", "after\n")
    assert shown.output_type == "display_data"
    (printed,) = notebook.cells[1].outputs
    expected = printed.text.rstrip("\n") + "\nkept: epoch 2 (best loss)"
    assert shown.data == {"text/plain": expected}
    assert "epoch    loss\n    1  " in expected

    empty, error = notebook.cells[2].outputs
    assert empty.data == {"text/plain": ""}
    assert error.ename == "AssertionError"
    (done,) = notebook.cells[3].outputs
    assert done.data == {"text/plain": "done"}
    everything = str([cell.outputs for cell in notebook.cells])
    assert "\\r" not in everything
    assert "stderr" not in everything

    lines = [m for m in sent if "display" in m["msg_type"]]
    texts = [m["content"]["data"]["text/plain"] for m in lines]
    assert any("epoch 2/2" in text and "loss 0" in text and "/60" in text for text in texts)
    first = lines[: texts.index(expected) + 1]
    seconds = (first[-1]["header"]["date"] - first[0]["header"]["date"]).total_seconds()
    assert 4 < len(first) < 5 * seconds + 4  # at most five a second; there were 60 steps


def test_a_terminal_gets_a_bar_that_vanishes(capfd, monkeypatch):
    # IPython in a terminal has a shell too, but no kernel
    monkeypatch.setattr("helpers.progress.get_ipython", object)
    with Progress(total=3, desc="count", position=0) as progress:
        progress.update()
        progress.refresh()
        progress.final = "a table"
    out, err = capfd.readouterr()
    assert out == ""
    assert "count:  33%" in err
    assert err.rsplit("\r", 2)[1].strip() == ""
