"""Integers to batches."""

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers.batches import LengthBatches, StreamBatches


def reviews(n=500, seed=0):
    """Sequences that name themselves: the first token of number i is i + 1, its label i."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, n)
    sequences = [np.r_[i + 1, rng.integers(1, 99, k - 1)] for i, k in enumerate(lengths)]
    return sequences, np.arange(n, dtype=float)


def same(one, two):
    return len(one) == len(two) and all(
        torch.equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("n", "size"), [(500, 16), (500, 20), (3, 16), (1, 1), (450, 4)])
def test_every_review_once_with_its_own_words_length_and_label(n, size, shuffle):
    sequences, labels = reviews(n)
    batches = LengthBatches(sequences, labels, size, shuffle=shuffle)
    order = batches.order
    met = []
    for tokens, lengths, own in batches:
        assert (tokens.dtype, lengths.dtype, own.dtype) == (torch.int64, torch.int64, torch.float32)
        assert tokens.shape == (len(own), lengths.max())
        for row, length, label in zip(tokens.tolist(), lengths.tolist(), own.tolist(), strict=True):
            assert row[:length] == sequences[int(label)].tolist()
            assert row[length:] == [0] * (len(row) - length)
            met.append(int(label))
    assert sorted(met) == list(range(n))
    assert order.tolist() == met
    sizes = [len(own) for _, _, own in batches]
    assert len(batches) == len(sizes) == -(-n // size)
    assert sorted(sizes)[1:] == [size] * (len(sizes) - 1)


def test_batches_hold_reviews_of_similar_length():
    batches = LengthBatches(*reviews(2000), 16)
    padded = sum(tokens.numel() for tokens, _, _ in batches)
    assert padded < 1.1 * batches.lengths.sum()  # in random order it is nearly twice
    one_pool = LengthBatches(*reviews(800), 16)
    longest = [int(lengths.max()) for _, lengths, _ in one_pool]
    assert longest != sorted(longest)  # but the batches do not come by length


def test_the_order_follows_from_seed_and_epoch_alone():
    data = reviews()
    one, two = LengthBatches(*data, 16), LengthBatches(*data, 16)
    one.set_epoch(1)
    first = list(one)
    assert same(first, list(one))
    assert same(first, list(two))  # the first epoch is the default
    one.set_epoch(2)
    second = list(one)
    assert not same(first, second)
    partners = {frozenset(labels.tolist()) for _, _, labels in first}
    assert sum(frozenset(labels.tolist()) in partners for _, _, labels in second) < 5
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    two.set_epoch(2)
    assert same(second, list(two))
    assert not same(first, list(LengthBatches(*data, 16, seed=2)))
    three = LengthBatches(*data, 16, shuffle=False)
    lengths = torch.cat([lengths for _, lengths, _ in three])
    assert torch.equal(lengths, lengths.sort().values)
    before = list(three)
    three.set_epoch(7)
    assert same(before, list(three))


def test_results_go_back_in_place():
    sequences, labels = reviews()
    batches = LengthBatches(sequences, labels, 16, shuffle=False)
    back = np.empty(len(labels))
    back[batches.order] = np.concatenate([own.numpy() for _, _, own in batches])
    assert back.tolist() == labels.tolist()


def test_max_length_keeps_the_first_words():
    batches = LengthBatches([[1, 2, 3, 4], [5, 6]], [0, 1], 2, max_length=3, shuffle=False, pad=9)
    ((tokens, lengths, labels),) = batches
    assert tokens.tolist() == [[5, 6, 9], [1, 2, 3]]
    assert lengths.tolist() == [2, 3]
    assert labels.tolist() == [1, 0]


@pytest.mark.parametrize("kind", [np.uint8, np.int32, torch.int32])
def test_small_integers_become_int64(kind):
    ids = torch.ones(4, dtype=kind) if isinstance(kind, torch.dtype) else np.ones(4, kind)
    (reviews,), (windows,) = LengthBatches([ids], [1], 1), StreamBatches(ids, 2, 9)
    assert {side.dtype for side in (*reviews[:2], *windows)} == {torch.int64}
    assert windows[1].tolist() == [[1, 1], [1, -100]]


def test_batches_do_not_touch_the_data():
    given = np.array([3, 4])
    batches = LengthBatches([given], [1], 1)
    next(iter(batches))[0].zero_()
    next(iter(batches))[2].zero_()
    given[:] = 7
    ((tokens, _, labels),) = batches
    assert tokens.tolist() == [[3, 4]]
    assert labels.tolist() == [1]
    ids = np.arange(9)
    streams = StreamBatches(ids, 2, 10)
    next(iter(streams))[0].zero_()
    ids[:] = 0
    assert next(iter(streams))[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_length_batches_refuse_what_they_cannot_use():
    good = [[1], [2, 3]]
    with pytest.raises(ValueError, match=r"2 sequences .* \(3,\)"):
        LengthBatches(good, [0, 1, 0], 2)
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        LengthBatches([[1], []], [0, 1], 2)
    with pytest.raises(ValueError, match="no sequences"):
        LengthBatches([], [], 2)
    for name in ("batch_size", "max_length"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            LengthBatches(good, [0, 1], **({"batch_size": 2} | {name: 0}))
    for wrong in ([0.5], "text", [[1]], ["a"]):
        with pytest.raises(TypeError, match="sequence 1 "):
            LengthBatches([[1], wrong], [0, 1], 2)
    with pytest.raises(TypeError):
        LengthBatches(good, [0, 1], 2.5)


def test_an_epoch_of_20000_reviews_is_quick():
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 9, k) for k in rng.integers(20, 460, 20_000)]
    batches = LengthBatches(sequences, np.zeros(20_000), 32)
    start = time.process_time()
    assert sum(len(labels) for _, _, labels in batches) == 20_000
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("window", [1, 3, 4, 50])
def test_every_character_is_a_target_once_after_the_one_before_it(batch_size, window):
    for n in range(batch_size + 1, 40):
        batches = StreamBatches(torch.arange(n), batch_size, window)
        parts = list(batches)
        assert len(parts) == len(batches)
        for inputs, targets in parts:
            assert inputs.dtype == targets.dtype == torch.int64
            assert inputs.shape == targets.shape
            assert inputs.shape[0] == batch_size
            assert inputs.is_contiguous()
            assert targets.is_contiguous()
        assert all(inputs.shape[1] == window for inputs, _ in parts[:-1])
        assert 1 <= parts[-1][0].shape[1] <= window
        inputs, targets = (torch.cat(side, dim=1) for side in zip(*parts, strict=True))
        there = targets != -100
        assert torch.equal(targets[there], inputs[there] + 1)  # one step ahead
        assert targets[there].tolist() == list(range(1, n))  # all, once, streams in order
        assert there.sum() == batches.n_targets == n - 1
        assert (inputs[:, 1:] == inputs[:, :-1] + 1).all()  # no seam between windows
        assert there[:, :-1].all()  # at most the last step is missing
        assert there.any(dim=0).all()  # no step without a target


def test_streams_start_over_and_cross_entropy_leaves_the_gap_out():
    batches = StreamBatches([0, 1, 2, 3, 4, 5], 2, 9)
    assert [targets.tolist() for _, targets in batches] == [[[1, 2, 3], [4, 5, -100]]]
    assert same(list(batches), list(batches))
    ((inputs, targets),) = batches
    logits = torch.randn(*inputs.shape, 6)
    mean = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    total = F.cross_entropy(logits.flatten(0, 1)[:5], targets.flatten()[:5], reduction="sum")
    assert torch.isclose(mean, total / batches.n_targets)


def test_stream_batches_refuse_what_they_cannot_use():
    with pytest.raises(ValueError, match="a text of 4 is too short for 4 streams"):
        StreamBatches([1, 2, 3, 4], 4, 2)
    for wrong in ([], [3]):
        with pytest.raises(ValueError, match="too short"):
            StreamBatches(wrong, 1, 2)
    for size, window, name in ((0, 2, "batch_size"), (2, 0, "window")):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            StreamBatches([1, 2, 3, 4], size, window)
    with pytest.raises(ValueError, match="-1 among the ids"):
        StreamBatches([1, -1, 2], 1, 2)
    for wrong in ([0.5, 1.0], "text", [[1, 2]]):
        with pytest.raises(TypeError, match="the text"):
            StreamBatches(wrong, 1, 2)


def test_rows_are_those_of_the_whole_batch():
    whole = StreamBatches(np.arange(23), batch_size=4, window=3)
    halves = [StreamBatches(np.arange(23), 4, 3, rows) for rows in (slice(0, 2), slice(2, 4))]
    for batch, *shares in zip(whole, *halves, strict=True):
        for part, upper, lower in zip(batch, *shares, strict=True):
            assert torch.equal(part, torch.cat([upper, lower]))


def test_parts_follow_one_another_and_start_over():
    batches = StreamBatches(np.arange(24), batch_size=2, window=4, parts=3)
    targets = []
    for epoch in (1, 2, 3, 4):
        batches.set_epoch(epoch)
        found = torch.cat([targets.flatten() for _, targets in batches])
        targets.append(sorted(found[found >= 0].tolist()))
    assert targets[:3] == [list(range(1, 8)), list(range(8, 15)), list(range(15, 22))]
    assert targets[3] == targets[0]
