"""What the docstrings of the helpers say in passing; each test has let no mutant live."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from helpers import checks, progress, text, training
from helpers.batches import LengthBatches, StreamBatches


def test_an_emoticon_separates_words_like_a_space():
    assert text.tokenize("good:)bad") == ["good", "bad", ":)"]


def test_no_other_character_is_taken_for_a_known_one():
    char2int, _ = text.build_characters("ac ")
    for code in set(range(0x400)) - {ord(c) for c in char2int}:
        with pytest.raises(ValueError, match="position 0"):
            text.encode_characters(chr(code), char2int)


def test_in_another_epoch_reviews_have_other_partners():
    sequences = [[1] * n for n in range(1, 401)]  # one length each: sorted, they would never part
    batches = LengthBatches(sequences, np.arange(400), 2)
    pairs = []
    for epoch in (1, 2):
        batches.set_epoch(epoch)
        pairs.append({frozenset(labels.tolist()) for _, _, labels in batches})
    assert len(pairs[0] & pairs[1]) < 150  # of 200; with pools of 100 batches about half


def test_reviews_of_one_length_keep_their_order_on_every_processor():
    lengths = np.random.default_rng(1).integers(1, 4, 3000)
    batches = LengthBatches([[1] * n for n in lengths], np.zeros(3000), 16, shuffle=False)
    assert batches.order.tolist() == sorted(range(3000), key=lambda i: lengths[i])


def test_targets_are_copies_too():
    streams = StreamBatches(np.arange(9), 1, 10)
    next(iter(streams))[1].zero_()
    assert next(iter(streams))[1].tolist() == [list(range(1, 9))]


def test_a_loss_gone_wrong_since_the_last_look_stops_the_epoch(monkeypatch):
    """As on a GPU, which is asked only every so many steps."""
    model, losses = nn.Linear(1, 1), iter([1.0, 2.0, math.nan])
    monkeypatch.setattr(training, "_device_of", lambda model: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(training, "_to", lambda batch, where: batch)

    def step(model, batch, state):
        return training.Step(model.weight.sum() * 0 + next(losses), 1)

    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 3 of epoch 1; .*: 2\."):
        training.fit(model, step, [0, 0, 0], epochs=1, optimizer=sgd)


def test_no_step_is_looked_at_twice():
    recent = [torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0])]
    assert training._check_finite(recent, None, epoch=1, step=2) == 2.0
    assert recent == []


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch):
    monkeypatch.setattr(progress, "get_ipython", lambda: SimpleNamespace())
    assert not progress.in_notebook()
    monkeypatch.setattr(progress, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert progress.in_notebook()


def test_closing_a_bar_twice_shows_its_final_text_once(monkeypatch):
    shown = []
    slot = SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "display", lambda data, raw, display_id: slot)
    bar = progress.Progress(total=3)
    bar.final = "done"
    bar.close()
    bar.close()
    assert shown == ["done"]


def test_a_right_out_does_not_excuse_a_wrong_h_n():
    def by_hand(rnn, x):
        options = {"bidirectional": rnn.bidirectional, "nonlinearity": rnn.nonlinearity}
        twin = nn.RNN(3, 4, rnn.num_layers, batch_first=True, **options)
        twin.load_state_dict(rnn.state_dict())
        out, h_n = twin(x)
        return out, torch.zeros_like(h_n) if rnn.num_layers == 3 else h_n

    verdict = checks.any_rnn(by_hand)
    assert verdict.state == "hint"
    assert "h_n is not yet" in verdict.message


def test_a_latch_must_let_go():
    verdict = checks.latch((15.0, -15.0, -15.0, 30.0))  # half of the old value stays
    assert verdict.state == "hint"
    assert "forget gate is 0.5" in verdict.message
