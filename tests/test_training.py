"""The training loop, its checkpoints (damaged ones in `test_faults.py`), the progress line."""

import copy
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nbclient import NotebookClient
from small_course import left_in
from small_training import Net, classify, equal, reviews, train
from torch import nn

from helpers import training
from helpers.batches import StreamBatches
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
    return Step(model.w**2 * batch.mean(), len(batch))


PAIR = [torch.tensor([1.0, 1.0, 1.0]), torch.tensor([3.0])]


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

    fit(model, step, [0], epochs=1, optimizer=sgd(model, 1.0), clip_norm=1.0)
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
        return Step(model.w**2, len(batch), correct=(batch == 1).sum())

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


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: (w.detach(), w), lambda w: [(w,)]])
def test_an_attached_state_is_refused(wrap):
    model = Scale()
    with pytest.raises(ValueError, match="detach"):
        fit(
            model,
            lambda m, batch, state: Step(m.w**2, 1, wrap(m.w * 2)),
            PAIR,
            epochs=1,
            optimizer=sgd(model),
        )


def test_carried_windows_give_the_loss_of_one_pass_over_the_text():
    torch.manual_seed(0)
    rnn, out = nn.LSTM(5, 7, batch_first=True), nn.Linear(7, 5)
    model, ids = nn.ModuleList([rnn, out]), torch.randint(5, (50,))

    def step(model, batch, state):
        inputs, targets = batch
        h, state = model[0](F.one_hot(inputs, 5).float(), state)
        loss = F.cross_entropy(model[1](h).flatten(0, 1), targets.flatten())
        return Step(loss, (targets != -100).sum(), tuple(s.detach() for s in state))

    whole = evaluate(model, step, StreamBatches(ids, 4, 99))
    parts = evaluate(model, step, StreamBatches(ids, 4, 3))
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_evaluate_measures_without_dropout_and_leaves_the_mode_alone():
    net, batches = Net(), reviews()
    for mode in (True, False):
        net.train(mode)
        before = copy.deepcopy(net.state_dict())
        one, two = (evaluate(net, classify, batches) for _ in range(2))
        assert one == two  # dropout would make them differ
        assert net.training is mode
        assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())

    def fails(model, batch, state):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise KeyError("stop")

    net.train()
    with pytest.raises(KeyError):
        evaluate(net, fails, batches)
    assert net.training
    assert torch.is_grad_enabled()


def test_fit_trains_in_training_mode_even_after_validation():
    model, modes = Scale(), []

    def step(model, batch, state):
        modes.append(model.training)
        return square(model, batch, state)

    fit(
        model.eval(),
        step,
        PAIR,
        epochs=2,
        optimizer=sgd(model),
        validate=lambda m: {"x": int(m.eval().training)},
    )
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
    model = nn.Linear(1, 1, device="meta")
    moved = training._to((PAIR[0], [PAIR[1], "name"], 3), training._device_of(model))
    assert moved[0].device.type == moved[1][0].device.type == "meta"
    assert moved[1][1:] + moved[2:] == ("name", 3)
    assert training.device().type == ("cuda" if torch.cuda.is_available() else "cpu")


# ---- history, validation, averages, the best epoch -------------------------------------------


def test_validation_joins_the_history():
    model = Scale()
    history = fit(
        model,
        square,
        PAIR,
        epochs=2,
        optimizer=sgd(model),
        validate=lambda m: evaluate(m, square, PAIR) | {"bits": torch.tensor(2.0)},
    )
    assert list(history[0]) == ["epoch", "loss", "valid_loss", "bits"]
    assert history[0]["valid_loss"] == pytest.approx(0.32**2 * (3 + 3) / 4)
    assert type(history[0]["bits"]) is float
    with pytest.raises(TypeError, match="validate returned float"):
        fit(model, square, PAIR, epochs=1, optimizer=sgd(model), validate=lambda m: 1.0)


def test_the_average_is_validated_and_stays_in_the_model():
    model, seen = Scale(), []
    fit(
        model,
        square,
        PAIR,
        epochs=2,
        optimizer=sgd(model),
        average=0.75,
        validate=lambda m: seen.append((m is model, m.w.item())) or {},
    )
    # w 0.8, 0.32, 0.256, 0.1024; the average starts as the first and moves a quarter of the way
    first = 0.75 * 0.8 + 0.25 * 0.32
    last = 0.75 * (0.75 * first + 0.25 * 0.256) + 0.25 * 0.1024
    assert seen == [(True, pytest.approx(first)), (True, pytest.approx(last))]
    assert model.w.item() == pytest.approx(last)


@pytest.mark.parametrize(
    ("name", "values", "epoch"),
    [
        ("valid_loss", [3.0, 1.0, 1.0, 2.0], 2),
        ("valid_accuracy", [0.1, 0.2, 0.9, 0.5], 3),
        ("valid_accuracy", [0.9, 0.2, 0.9, 0.5], 1),
        ("loss", None, 4),
    ],
)
@pytest.mark.parametrize("average", [None, 0.5])
def test_the_best_epoch_is_kept(name, values, epoch, average):
    model, weights = Scale(), []

    def validate(m):
        weights.append(m.w.item())
        return {name: values[len(weights) - 1]} if values else {}

    fit(
        model,
        square,
        PAIR,
        epochs=4,
        optimizer=sgd(model),
        validate=validate,
        keep_best=name,
        average=average,
    )
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
    assert table([]) == ""


# ---- what goes wrong -------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    model, steps = Scale(), []

    def step(model, batch, state):
        steps.append(model.w.item())
        return Step(model.w**2 * (math.nan if len(steps) == 4 else 1), 1)

    with pytest.raises(FloatingPointError, match="step 2 of epoch 2") as error:
        fit(model, step, PAIR, epochs=3, optimizer=sgd(model))
    assert "loss is nan" in str(error.value)
    assert "last finite loss of the epoch: 0.4096." in str(error.value)
    assert "clip_norm=1.0" in str(error.value)
    assert len(steps) == 4
    assert model.w.item() == steps[3]


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_that_is_not_finite_stops_too(clip_norm):
    model = Scale()

    def step(model, batch, state):
        return Step((model.w - 1).abs().sqrt(), 1)  # 0, with a slope without bound

    with pytest.raises(FloatingPointError, match=r"gradient's norm is (nan|inf) at step 1"):
        fit(model, step, PAIR, epochs=1, optimizer=sgd(model), clip_norm=clip_norm)
    assert model.w.item() == 1


def test_late_looks_find_the_same_step():  # as on a GPU, which is asked only now and then
    recent = [torch.tensor([x, 1.0]) for x in (3.0, 2.0, math.inf, math.nan)]
    with pytest.raises(FloatingPointError, match=r"loss is inf at step 9 of epoch 5; .*: 2\. "):
        training._check_finite(recent, 7.0, epoch=5, step=10)
    assert training._check_finite(recent[:2], None, epoch=5, step=10) == 2.0


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs is 0"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm is 0"),
        ({"average": 1.0}, ValueError, "average is 1"),
        ({"batches": []}, ValueError, "no batches"),
        ({"keep_best": "valid_loss"}, ValueError, "has only epoch, loss"),
        ({"step": lambda m, b, s: m.w**2}, TypeError, "returned Tensor: return Step"),
        ({"step": lambda m, b, s: Step(m.w * b, 1)}, TypeError, "one number"),
        ({"validate": lambda m: {"x": math.nan}, "keep_best": "x"}, FloatingPointError, "x is nan"),
    ],
)
def test_what_fit_cannot_use(changes, kind, words):
    model = Scale()
    options = {"step": square, "batches": PAIR, "epochs": 1, "optimizer": sgd(model)} | changes
    with pytest.raises(kind, match=words):
        fit(model, **options)


def test_a_generator_is_found_out_in_the_second_epoch():
    model = Scale()
    with pytest.raises(ValueError, match="generator"):
        fit(model, square, (b for b in PAIR), epochs=2, optimizer=sgd(model))
    with pytest.raises(ValueError, match="no batches"):
        evaluate(model, square, [])


def test_a_schedule_that_is_too_short_is_found_at_once():
    model = Scale()
    optimizer = sgd(model)
    short = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    with pytest.raises(ValueError, match="5 steps left, training takes 6"):
        fit(model, square, PAIR, epochs=3, optimizer=optimizer, scheduler=short)
    assert model.w.item() == 1
    fit(model, square, PAIR, epochs=2, optimizer=optimizer, scheduler=short)
    with pytest.raises(ValueError, match="1 steps left, training takes 4"):
        fit(model, square, PAIR, epochs=2, optimizer=optimizer, scheduler=short)


# ---- checkpoints -----------------------------------------------------------------------------


class Stop(Exception):
    pass


def stop_at(epoch):
    def stop(done):
        if done == epoch:
            raise Stop

    return stop


@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_a_training_stopped_in_any_epoch_goes_on_to_the_same_weights(epoch, tmp_path, undisturbed):
    path = tmp_path / "new" / "net.pt"
    with pytest.raises(Stop):
        train(path, stop=stop_at(epoch))
    assert path.exists() == (epoch > 0)
    assert equal(train(path), undisturbed)


@pytest.mark.parametrize("changes", [{"average": None}, {"keep_best": None}])
def test_also_without_average_or_best(changes, tmp_path):
    with pytest.raises(Stop):
        train(tmp_path / "net.pt", stop=stop_at(2), **changes)
    assert equal(train(tmp_path / "net.pt", **changes), train(**changes))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_also_on_a_gpu(tmp_path):
    torch.manual_seed(1)
    one, two, three = (Net().cuda() for _ in range(3))
    two.load_state_dict(one.state_dict())
    three.load_state_dict(one.state_dict())
    with pytest.raises(Stop):
        train(tmp_path / "net.pt", stop=stop_at(2), net=one)
    assert equal(train(tmp_path / "net.pt", net=two), train(net=three))
    assert all(weight.is_cuda for weight in two.parameters())


def test_a_finished_training_comes_back_at_once(tmp_path, undisturbed):
    path = tmp_path / "net.pt"
    assert equal(train(path), undisturbed)
    written = path.read_bytes()
    assert equal(train(path, stop=pytest.fail), undisturbed)
    assert path.read_bytes() == written
    assert left_in(tmp_path) == ["net.pt"]  # no temporary file


def test_more_epochs_continue_where_the_schedule_allows(tmp_path, undisturbed):
    path = tmp_path / "net.pt"
    train(path, epochs=2)
    assert equal(train(path, epochs=4), undisturbed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.03, "epochs": 4}, None),  # OneCycleLR sets the rate, whatever the optimizer says
        ({"clip_norm": 2.0}, r"clip_norm \(1.0 there, 2.0 here\)"),
        ({"average": None}, "average"),
        ({"keep_best": "valid_loss"}, "keep_best"),
        ({"net": nn.Sequential(Net(), nn.Dropout(0.1))}, "model"),
        ({"epochs": 1}, r"epochs \(2 done there, 1 here\)"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(changes, words, tmp_path):
    path = tmp_path / "net.pt"
    train(path, epochs=2)
    if words is None:
        train(path, **changes)
        return
    with pytest.raises(ValueError, match=f"another training, which differs in .*{words}"):
        train(path, **changes)


def test_another_learning_rate_is_another_training(tmp_path):
    for lr, words in ((0.1, None), (0.1, None), (0.2, r"learning rate \(\[0.1\] there, \[0.2\]")):
        model = Scale()
        options = {"epochs": 1, "optimizer": sgd(model, lr), "checkpoint": tmp_path / "scale.pt"}
        if words is None:
            fit(model, square, PAIR, **options)
            assert model.w.item() == pytest.approx(0.32)
        else:
            with pytest.raises(ValueError, match=words):
                fit(model, square, PAIR, **options)


def test_what_a_checkpoint_is_about_must_be_the_same(tmp_path, undisturbed):
    path = tmp_path / "net.pt"
    train(path, epochs=2, about={"text": "abc", "window": np.int64(50)})
    for about, words in (
        ({"text": "xyz", "window": 50}, r"differs in text \(abc there, xyz here\)\."),
        ({"text": "abc", "window": 60}, r"differs in window \(50 there, 60 here\)\."),
        ({"text": "abc"}, r"differs in window \(50 there, None here\)\."),
        (None, r"differs in text \(abc there, None here\), window \(50 there, None here\)\."),
    ):
        with pytest.raises(ValueError, match=words):
            train(path, about=about)
    assert equal(train(path, about={"window": 50, "text": "abc"}), undisturbed)
    train(path.with_name("other.pt"), epochs=2)
    with pytest.raises(ValueError, match=r"differs in text \(None there, abc here\)\."):
        train(path.with_name("other.pt"), about={"text": "abc"})


def test_who_writes_a_checkpoint_at_the_same_time_waits(tmp_path, monkeypatch):
    path, fsync = tmp_path / "net.pt", os.fsync
    other = threading.Thread(target=training.save, args=("second", path))

    def meanwhile(number):
        fsync(number)
        if other.ident is None:
            other.start()
            other.join(0.5)
            assert other.is_alive()  # it waits

    monkeypatch.setattr(os, "fsync", meanwhile)
    training.save("first", path)
    other.join(20)
    assert torch.load(path, weights_only=True) == "second"
    assert left_in(tmp_path) == ["net.pt"]


@pytest.mark.parametrize("error", [OSError("no locks available"), NotImplementedError("flock")])
def test_a_checkpoint_is_written_where_there_are_no_locks(error, tmp_path, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(training, "FileLock", fail)
    training.save("content", tmp_path / "net.pt")
    assert torch.load(tmp_path / "net.pt", weights_only=True) == "content"


# ---- the progress line -----------------------------------------------------------------------

NOTEBOOK = """
import time, torch
from torch import nn
from helpers.training import Step, fit, table

def step(model, batch, state):
    time.sleep(0.02)
    return Step(model(batch).square().mean(), len(batch))

torch.manual_seed(1)
model = nn.Linear(2, 1)
print("before")
history = fit(model, step, [torch.ones(3, 2)] * 30, epochs=2,
              optimizer=torch.optim.SGD(model.parameters(), 0.01), keep_best="loss")
print("after")
"""

INTERRUPTED = """
from helpers.progress import Progress
for i in Progress(range(9), desc="count"):
    assert i < 5
"""


def test_a_notebook_stores_the_table_and_no_debris():
    cells = [NOTEBOOK, "print(table(history))", INTERRUPTED]
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
    everything = str([cell.outputs for cell in notebook.cells])
    assert "\\r" not in everything
    assert "stderr" not in everything

    lines = [m for m in sent if "display" in m["msg_type"]]
    texts = [m["content"]["data"]["text/plain"] for m in lines]
    assert any("epoch 2/2" in text and "loss 0" in text and "/60" in text for text in texts)
    first = lines[: texts.index(expected) + 1]
    seconds = (first[-1]["header"]["date"] - first[0]["header"]["date"]).total_seconds()
    assert 4 < len(first) < 5 * seconds + 4  # at most five a second; there were 60 steps


def test_a_terminal_gets_a_bar_that_vanishes(capfd):
    with Progress(total=3, desc="count") as progress:
        progress.update()
        progress.refresh()
        progress.final = "a table"
    out, err = capfd.readouterr()
    assert out == ""
    assert "count:  33%" in err
    assert err.rsplit("\r", 2)[1].strip() == ""


def test_tqdm_disable_silences_the_bar():
    done = subprocess.run(
        [sys.executable, "-c", "from small_training import train; train(epochs=1)"],
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
