"""Integers to batches.

`LengthBatches` pads reviews of similar length together, for a model that reads many words and
gives one answer. `StreamBatches` cuts one long text into windows that follow one another, for a
model that predicts the next character. Both may be iterated as often as you like.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

POOL = 100  # batches in a pool: small beside an epoch, so that batches differ from epoch to epoch


class LengthBatches:
    """Batches of `(tokens, lengths, labels)`, made of sequences of similar length.

    `tokens`, int64 (batch, time), are padded at the end with 0 to the longest of the batch;
    `lengths`, int64 (batch,), tell how many of each row are real; `labels` are float32 (batch,).
    Every sequence stands in one batch an epoch; the last batch may be smaller.

    Parameters
    ----------
    sequences : sequence of arrays of integers, shape (time,) each
    labels : sequence of numbers
        One a sequence.
    batch_size : int
    shuffle : bool
        Shuffle the sequences, sort them by length inside pools of 100 batches, cut them into
        batches, and shuffle the batches. Else: the order of the lengths, the same every epoch.
    seed : int
        What is shuffled follows from it and from the epoch, which is 1 until `set_epoch` says
        otherwise (`fit` does).

    Raises
    ------
    ValueError
        If a sequence is empty, or there is not one label a sequence.
    """

    def __init__(
        self,
        sequences: Sequence,
        labels: Sequence[float],
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 1,
    ):
        self.batch_size, self.shuffle, self.seed, self.epoch = batch_size, shuffle, seed, 1
        self.sequences = [torch.as_tensor(s, dtype=torch.int64) for s in sequences]
        self.labels = torch.as_tensor(labels, dtype=torch.float32)
        self.lengths = torch.tensor([len(s) for s in self.sequences])
        if len(self.labels) != len(self.sequences):
            raise ValueError(
                f"{len(self.sequences)} sequences have {len(self.labels)} labels: give one label "
                "a sequence"
            )
        if not self.lengths.all():
            i = int(self.lengths.argmin())
            raise ValueError(f"sequence {i} is empty: leave it out, or make it one <unk>")

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.sequences) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration; the first epoch is 1."""
        self.epoch = epoch

    @property
    def order(self) -> np.ndarray:
        """The index of every sequence in the order of this epoch's batches, int64 (n,).

        `outputs[batches.order] = np.concatenate(outputs_by_batch)` puts results back in place.
        """
        return np.concatenate(self._cut())

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield the batches of this epoch."""
        for rows in self._cut():
            tokens = pad_sequence([self.sequences[i] for i in rows], batch_first=True)
            yield tokens, self.lengths[rows], self.labels[rows]

    def _cut(self) -> list[np.ndarray]:
        """Return the indices of the sequences, batch by batch."""
        n, lengths = len(self.sequences), self.lengths.numpy()
        cuts = range(self.batch_size, n, self.batch_size)
        if not self.shuffle:
            return np.split(np.argsort(lengths, kind="stable"), cuts)
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(n)
        pool = np.arange(n) // (POOL * self.batch_size)
        batches = np.split(order[np.lexsort((lengths[order], pool))], cuts)  # by pool, then length
        return [batches[i] for i in rng.permutation(len(batches))]


class StreamBatches:
    """Batches of `(inputs, targets)`, windows of one long text in reading order.

    Both are int64 (batch, time), time at most `window`; the targets are the inputs one step ahead.
    Row b of every batch belongs to stream b, a contiguous part of the text, and continues row b of
    the batch before: carry the hidden state along, detached, and the windows are those of
    truncated back-propagation through time. Each iteration starts at the beginning of the streams.

    Every element of the text but the first is a target exactly once, `n_targets` in all. Where the
    text does not divide evenly, some streams are one step shorter: the target there is -100, which
    `cross_entropy` leaves out (`ignore_index`).

    Parameters
    ----------
    ids : array of integers, shape (n,)
        The text. A `np.memmap` stays on the disk and is read window by window.
    batch_size, window : int
        How many streams are read at once, and how many steps of them.

    Raises
    ------
    ValueError
        If the text is too short.
    """

    def __init__(self, ids: np.ndarray, batch_size: int, window: int):
        self.ids, self.window, self.n_targets = np.asarray(ids), window, len(ids) - 1
        if self.n_targets < batch_size:
            raise ValueError(
                f"a text of {len(ids)} is too short for {batch_size} streams, which need "
                f"{batch_size + 1} or more: give a longer text or a smaller batch_size"
            )
        short, longer = divmod(self.n_targets, batch_size)  # the first `longer` have one step more
        stream = np.arange(batch_size)[:, None]
        self.starts = stream * short + np.minimum(stream, longer)  # (batch, 1)
        self.lengths = short + (stream < longer)
        self.steps = short + (longer > 0)

    def __len__(self) -> int:
        """Return the number of windows in an epoch."""
        return -(-self.steps // self.window)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield window after window; the last one may be shorter."""
        for start in range(0, self.steps, self.window):
            time = np.arange(start, min(start + self.window, self.steps))
            positions = self.starts + time  # (batch, time)
            inputs = self.ids[positions].astype(np.int64)
            targets = self.ids[np.minimum(positions + 1, self.n_targets)].astype(np.int64)
            targets[time >= self.lengths] = -100
            yield torch.from_numpy(inputs), torch.from_numpy(targets)
