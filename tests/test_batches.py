"""Integers to batches; what holds for all lengths and sizes is in test_properties.py."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers.batches import LengthBatches, StreamBatches


def reviews(n=500, seed=0):
    """Sequences of 1 to 59 words; the label of number i is i."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 99, k) for k in rng.integers(1, 60, n)], np.arange(n, dtype=float)


def same(one, two):
    return len(one) == len(two) and all(
        torch.equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True)
    )


def test_batches_as_chapter_5_shows_them():
    batches = LengthBatches([[1, 2, 3], [4], [5, 6]], [0, 1, 0], 2, shuffle=False)
    (tokens, lengths, labels), (rest, *_) = batches
    assert tokens.tolist() == [[4, 0], [5, 6]]
    assert rest.tolist() == [[1, 2, 3]]
    assert lengths.tolist() == [1, 2]
    assert labels.tolist() == [1, 0]
    assert (tokens.dtype, lengths.dtype, labels.dtype) == (torch.int64, torch.int64, torch.float32)


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
    first = list(one)
    assert same(first, list(one))
    one.set_epoch(2)
    second = list(one)
    assert not same(first, second)
    torch.manual_seed(5)
    assert same(first, list(two))  # the first epoch is the default
    two.set_epoch(2)
    assert same(second, list(two))
    two.set_epoch(1)
    assert same(first, list(two))
    assert not same(first, list(LengthBatches(*data, 16, seed=2)))


def test_in_another_epoch_reviews_have_other_partners():
    sequences = [[1] * n for n in range(1, 401)]  # one length each: sorted, they would never part
    batches = LengthBatches(sequences, np.arange(400), 2)
    pairs = []
    for epoch in (1, 2):
        batches.set_epoch(epoch)
        pairs.append({frozenset(labels.tolist()) for _, _, labels in batches})
    assert len(pairs[0] & pairs[1]) < 150  # of 200; with pools of 100 batches about half


def test_without_shuffling_the_order_is_that_of_the_lengths_on_every_processor():
    lengths = np.random.default_rng(1).integers(1, 4, 3000)
    batches = LengthBatches([[1] * n for n in lengths], np.zeros(3000), 16, shuffle=False)
    assert batches.order.tolist() == sorted(range(3000), key=lambda i: lengths[i])


def test_length_batches_refuse_what_they_cannot_use():
    with pytest.raises(ValueError, match=r"2 sequences have 3 labels"):
        LengthBatches([[1], [2, 3]], [0, 1, 0], 2)
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        LengthBatches([[1], []], [0, 1], 2)


def test_streams_start_over_and_cross_entropy_leaves_the_gap_out():
    batches = StreamBatches(np.arange(6, dtype=np.uint8), 2, 9)
    assert [targets.tolist() for _, targets in batches] == [[[1, 2, 3], [4, 5, -100]]]
    assert same(list(batches), list(batches))
    ((inputs, targets),) = batches
    assert inputs.dtype == targets.dtype == torch.int64
    logits = torch.randn(*inputs.shape, 6)
    mean = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    total = F.cross_entropy(logits.flatten(0, 1)[:5], targets.flatten()[:5], reduction="sum")
    assert torch.isclose(mean, total / batches.n_targets)


def test_a_text_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match=r"a text of 4 is too short .* 5 or more"):
        StreamBatches(np.arange(4), 4, 2)
    assert len(list(StreamBatches(np.arange(5), 4, 2))) == 1


def test_a_text_on_the_disk_is_not_copied(tmp_path):
    np.save(tmp_path / "ids.npy", np.zeros(100, dtype=np.uint8))
    ids = np.load(tmp_path / "ids.npy", mmap_mode="r+")
    batches = StreamBatches(ids, 2, 9)
    ids[:] = 7
    assert next(iter(batches))[0].unique().tolist() == [7]
