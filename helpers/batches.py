"""Integers to batches.

`LengthBatches` pads reviews of similar length together, for a model that reads many words and
gives one answer. `StreamBatches` cuts one long text into windows that follow one another, for a
model that predicts the next character. Both may be iterated as often as you like.
"""

from collections.abc import Iterator, Sequence
from operator import index

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

POOL = 100  # batches in a pool: small beside an epoch, so that batches differ from epoch to epoch


class LengthBatches:
    """Batches of `(tokens, lengths, labels)`, made of sequences of similar length.

    - `tokens`: int64 `(batch, time)`, padded at the end with `pad` to the longest of the batch
    - `lengths`: int64 `(batch,)`, how many of each row's tokens are real
    - `labels`: float32 `(batch,)`

    Every sequence stands in one batch an epoch; the last batch may be smaller. With `shuffle`,
    the sequences are shuffled, sorted by length inside pools of 100 batches, cut into batches, and
    the batches are shuffled; the order follows from `seed` and the epoch alone, so a run that is
    resumed sees the batches that it would have seen. The epoch is 1 until `set_epoch` says
    otherwise (`fit` does). Without `shuffle` the order is that of the lengths, the same in every
    epoch. In both cases `order` tells which sequence went where.

    `sequences` are 1-D sequences of integers; `max_length` keeps the first so many of each.
    Raises ValueError for an empty sequence, or if `labels` are not as many as `sequences`.
    """

    def __init__(
        self,
        sequences: Sequence,
        labels: Sequence[float],
        batch_size: int,
        *,
        max_length: int | None = None,
        shuffle: bool = True,
        seed: int = 1,
        pad: int = 0,
    ):
        """Copy the sequences into one tensor, and remember where each begins."""
        self.batch_size = _positive("batch_size", batch_size)
        if max_length is not None:
            _positive("max_length", max_length)
        self.shuffle, self.seed, self.pad, self.epoch = shuffle, seed, pad, 1

        arrays = [_ids(s, f"sequence {i}")[:max_length] for i, s in enumerate(sequences)]
        self.labels = torch.tensor(np.asarray(labels), dtype=torch.float32)
        if self.labels.shape != (len(arrays),):
            raise ValueError(
                f"{len(arrays)} sequences have labels of shape {tuple(self.labels.shape)}: "
                "give one label a sequence"
            )
        if not arrays:
            raise ValueError("there are no sequences to make batches of")
        self.lengths = torch.tensor([len(array) for array in arrays])
        if not self.lengths.all():
            i = int(self.lengths.argmin())
            raise ValueError(f"sequence {i} is empty: leave it out, or make it one <unk>")
        flat = torch.from_numpy(np.concatenate(arrays).astype(np.int64))
        self.sequences = flat.split(self.lengths.tolist())

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.sequences) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration; the first epoch is 1."""
        self.epoch = index(epoch)

    @property
    def order(self) -> np.ndarray:
        """The index of every sequence in the order of this epoch's batches, int64 `(n,)`.

        `outputs[batches.order] = np.concatenate(outputs_by_batch)` puts results back in place.
        """
        return np.concatenate(self._cut())

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield the batches of this epoch."""
        for rows in self._cut():
            tokens = pad_sequence(
                [self.sequences[i] for i in rows], batch_first=True, padding_value=self.pad
            )
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

    Both are int64 `(batch, time)`, time at most `window`; the targets are the inputs one step
    ahead. Row b of every batch belongs to stream b, a contiguous part of the text, and continues
    row b of the batch before: carry the hidden state along, detached, and the windows are those of
    truncated back-propagation through time. Each iteration starts at the beginning of the streams.

    Every element of `ids` but the first is a target exactly once, `n_targets` in all. Where the
    text does not divide evenly, some streams are one step shorter: the target there is -100, which
    `cross_entropy` leaves out (`ignore_index`). Raises ValueError if the text is too short.

    For a text larger than the memory, `ids` is a `np.memmap`, read window by window (all else is
    copied). `rows`, a slice, picks streams: several processes share a batch. `parts` cuts the text
    into equal parts, one an epoch (`set_epoch`), and leaves less than `parts` characters out.
    """

    def __init__(
        self,
        ids: Sequence[int] | torch.Tensor,
        batch_size: int,
        window: int,
        rows: slice = slice(None),
        parts: int = 1,
    ):
        """Cut `ids`, integers from 0 up, shape `(n,)`, into `batch_size` streams."""
        _positive("batch_size", batch_size)
        self.window, self.parts = _positive("window", window), _positive("parts", parts)
        self.ids = _ids(ids, "the text")
        if not isinstance(ids, np.memmap):
            self.ids = self.ids.copy()
        self.n_targets = (len(self.ids) - 1) // parts
        if self.n_targets < batch_size:
            raise ValueError(
                f"a text of {len(self.ids)} is too short for {batch_size} streams, which need "
                f"{batch_size * parts + 1} or more: give a longer text or a smaller batch_size"
            )
        if self.ids.dtype.kind == "i" and self.ids.min() < 0:
            raise ValueError(f"{self.ids.min()} among the ids of the text: they count from 0 up")
        short, longer = divmod(self.n_targets, batch_size)  # the first `longer` have one step more
        stream = np.arange(batch_size)[rows, None]
        self.starts = stream * short + np.minimum(stream, longer)  # (rows, 1), inside a part
        self.lengths = short + (stream < longer)
        self.steps = short + (longer > 0)
        self.set_epoch(1)

    def set_epoch(self, epoch: int) -> None:
        """Choose the part of the next iteration; the first epoch is 1."""
        self.start = (index(epoch) - 1) % self.parts * self.n_targets

    def __len__(self) -> int:
        """Return the number of windows in an epoch."""
        return -(-self.steps // self.window)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield window after window; the last one may be shorter."""
        part = self.ids[self.start : self.start + self.n_targets + 1]
        for start in range(0, self.steps, self.window):
            time = np.arange(start, min(start + self.window, self.steps))
            positions = self.starts + time  # (rows, time)
            inputs = part[positions].astype(np.int64)
            targets = part[np.minimum(positions + 1, self.n_targets)].astype(np.int64)
            targets[time >= self.lengths] = -100
            yield torch.from_numpy(inputs), torch.from_numpy(targets)


def _positive(name: str, value: int) -> int:
    """Return `value` as an int of at least 1."""
    if index(value) < 1:
        raise ValueError(f"{name} is {value}: it must be at least 1")
    return index(value)


def _ids(ids: Sequence[int] | np.ndarray | torch.Tensor, what: str) -> np.ndarray:
    """Return `ids` as an array, which must be one row of integers."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise TypeError(
            f"{what} is an array of {ids.dtype} of shape {ids.shape}, not one row of integers: "
            "encode it first"
        )
    return ids
