"""Right and wrong answers to the exercises of chapter 5, for test_checks.py."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence


def ids_wrong(unknown=1, rare=lambda i, limit: 1, above=lambda i, limit: i >= limit):
    def function(tokens, stoi, limit):
        ids = [stoi.get(token) for token in tokens]
        return [unknown if i is None else rare(i, limit) if above(i, limit) else i for i in ids]

    return function


def inserting(tokens, stoi, limit):
    return [stoi[token] if stoi[token] < limit else 1 for token in tokens]


def numbering(tokens, stoi, limit):
    return [stoi.setdefault(token, len(stoi)) for token in tokens]


def batches(order="length", width="batch", lengths="carried", labels="carried", more=None):
    """Make a function that cuts reviews into batches, in some wrong way."""
    more = more or {}

    def function(reviews, targets, size):
        rows = list(range(len(reviews)))
        keys = {
            "length": lambda i: len(reviews[i]),
            "longest first": lambda i: -len(reviews[i]),
            "words": lambda i: reviews[i],
            "label": lambda i: (targets[i], len(reviews[i])),
            "as they come": lambda i: i,
        }
        rows.sort(key=keys[order])
        if more.get("drop"):
            rows = rows[: len(rows) // size * size]
        out = []
        for k in range(0, len(rows), size):
            some = rows[k : k + size]
            parts = [torch.tensor(reviews[i]) for i in some]
            if width == "all":
                parts.append(torch.zeros(max(map(len, reviews)), dtype=int))
            if width == "shortest":
                parts = [part[: min(map(len, parts))] for part in parts]
            tokens = pad_sequence(
                parts,
                batch_first=True,
                padding_value=more.get("fill", 0),
                padding_side=more.get("side", "right"),
            )[: len(some)]
            came = list(range(k, k + len(some)))
            measured = {
                "carried": [len(reviews[i]) for i in some],
                "left": [len(reviews[i]) for i in came],
                "padded": [tokens.shape[1]] * len(some),
            }
            out.append(
                (
                    tokens,
                    torch.tensor(measured[lengths]),
                    torch.tensor([targets[i] for i in (some if labels == "carried" else came)]),
                )
            )
        return out

    return function


def real(h, lengths):
    return (torch.arange(h.shape[1]) < lengths[:, None])[..., None]


def mean_of(h, lengths):
    return (h * real(h, lengths)).sum(1) / lengths[:, None]


def max_of(h, lengths):
    return h.masked_fill(~real(h, lengths), -1).amax(1)


def pooled(mean=mean_of, maximum=max_of):
    return lambda h, n: torch.cat([mean(h, n), maximum(h, n)], dim=1)


def minus_infinity(h, lengths):
    h = h.masked_fill(~real(h, lengths), -torch.inf)
    return torch.cat([h.mean(1), h.amax(1)], dim=1)


def one_by_one(right):
    """Count right answers over all reviews, judged by `right(logits, labels)`."""

    def function(batches):
        total = sum(right(z, y).double().sum() for z, y in batches)
        return total / sum(len(y) for _, y in batches)

    return function


def is_right(z, y):
    return (z[:, 0] > 0) == (y > 0.5)


def mean_of_means(batches):
    return sum(is_right(z, y).double().mean() for z, y in batches) / len(batches)


class Reader(nn.Module):
    """A sound reader, and with the arguments one that is not."""

    def __init__(self, n_tokens, trap=""):
        super().__init__()
        self.trap = trap
        self.embedding = nn.Embedding(n_tokens, 8, padding_idx=0)
        self.rnn = nn.LSTM(8, 8, batch_first=trap != "time first")
        self.out = nn.Linear(8, 1)
        if trap == "idle":
            self.spare = nn.Linear(8, 8)

    def forward(self, tokens, lengths):
        if self.trap == "in place":
            tokens[tokens < 20] = 1
        x = self.embedding(tokens)
        if self.trap == "dropout":
            x = F.dropout(x, 0.5)
        rows = torch.arange(len(tokens))
        mask = real(x, lengths)
        if self.trap == "bag":
            h = self.rnn((x * mask).sum(1, keepdim=True))[0][:, -1]
        elif self.trap == "last column":
            h = self.rnn(x)[0][:, -1]
        elif self.trap == "last but one":
            h = self.rnn(x)[0][rows, lengths - 2]
        elif self.trap == "skips the first":
            h = self.rnn(x[:, 1:])[0][rows, lengths - 2]
        elif self.trap == "reads both ends":
            h = self.rnn(torch.stack([x[:, 0], x[rows, lengths - 1]], 1))[0][:, -1]
        elif self.trap == "maximum over padding":
            h = self.rnn(x)[0].amax(1)
        else:
            h = self.rnn(x)[0][rows, lengths - 1]
        z = self.out(h)
        if self.trap == "column":
            return z
        z = z.squeeze(-1)
        if self.trap == "sigmoid":
            return torch.sigmoid(z)
        if self.trap == "logarithm":
            return F.logsigmoid(z)
        if self.trap == "tanh":
            return torch.tanh(z)
        if self.trap == "detached":
            return z.detach()
        return z * torch.nan if self.trap == "nan" else z


def reader(trap):
    return lambda n_tokens: Reader(n_tokens, trap)


class Plain(nn.Module):
    def __init__(self, n_tokens):
        super().__init__()
        self.layers = [nn.Embedding(n_tokens, 1)]

    def forward(self, tokens, lengths):
        return self.layers[0](tokens).sum(dim=(1, 2))


def packed(layer):
    """A layer of another kind or size, packed and in both directions, is as good."""

    class Packed(nn.Module):
        def __init__(self, n_tokens):
            super().__init__()
            self.embedding = nn.Embedding(n_tokens, 16)
            self.dropout = nn.Dropout(0.3)
            self.rnn = layer(16, 40, batch_first=True, bidirectional=True)
            self.out = nn.Linear(160, 1)

        def forward(self, tokens, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(
                self.dropout(self.embedding(tokens)), lengths, True, enforce_sorted=False
            )
            h, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
            h = h[:, : lengths.max()]
            return self.out(pooled()(h, lengths)).squeeze(-1)

    return Packed


RIGHT = {
    "to_ids": [ids_wrong()],
    "by_length": [batches()],
    "mean_and_max": [pooled()],
    "accuracy": [one_by_one(is_right)],
    "sound_reader": [
        Reader,
        *(packed(layer) for layer in (nn.RNN, nn.GRU, nn.LSTM) for _ in "abc"),
    ],
}

WRONG = {
    "to_ids": [
        inserting,  # the vocabulary grows
        lambda tokens, stoi, limit: [stoi.get(token) for token in tokens],  # None
        ids_wrong(unknown=0),  # unknown becomes padding
        ids_wrong(unknown=0, rare=lambda i, limit: 0),
        ids_wrong(rare=lambda i, limit: 0),
        ids_wrong(above=lambda i, limit: False),  # no limit
        ids_wrong(above=lambda i, limit: i > limit),  # one too many
        ids_wrong(rare=lambda i, limit: limit - 1),  # clipped
        lambda tokens, stoi, limit: [stoi[t] for t in tokens if t in stoi],  # left out
        numbering,  # a new number for each unknown word
        lambda tokens, stoi, limit: [1 for _ in tokens],
        lambda tokens, stoi, limit: [[stoi.get(token, 1)] for token in tokens],
    ],
    "by_length": [
        batches(labels="left"),  # the labels stay behind
        batches(lengths="left"),
        batches(lengths="padded"),
        batches(order="as they come"),
        batches(order="words"),  # sorted() without a key
        batches(order="label"),
        batches(order="longest first"),
        batches(width="all"),
        batches(width="shortest"),
        batches(more={"drop": True}),
        batches(more={"fill": 1}),
        batches(more={"side": "left"}),
        lambda reviews, labels, size: batches()(reviews, labels, size)[0],
        lambda reviews, labels, size: batches()(reviews, labels, 2),
    ],
    "mean_and_max": [
        pooled(lambda h, n: h.mean(1), lambda h, n: h.amax(1)),  # over the padding, both
        pooled(maximum=lambda h, n: h.amax(1)),
        pooled(maximum=lambda h, n: (h * real(h, n)).amax(1)),  # zeros win
        pooled(mean=lambda h, n: h.mean(1)),
        pooled(mean=lambda h, n: (h * real(h, n)).mean(1)),  # divides by the width
        pooled(mean=lambda h, n: (h * real(h, n)).sum(1)),
        pooled(mean=lambda h, n: h.masked_fill(~real(h, n), -1).mean(1)),
        minus_infinity,
        pooled(max_of, mean_of),  # exchanged
        lambda h, n: pooled()(h, n - 1),
        lambda h, n: pooled()(h, n + 1),
        lambda h, n: max_of(h, n),
        lambda h, n: torch.cat([h.mean(0), h.amax(0)], dim=1),
        lambda h, n: torch.cat([h.mean(2), h.amax(2)], dim=1),
        lambda h, n: torch.cat([h, h], dim=2),
    ],
    "accuracy": [
        mean_of_means,
        one_by_one(lambda z, y: (z[:, 0] > 0.5) == (y > 0.5)),
        one_by_one(lambda z, y: (z > 0) == (y > 0.5)),  # each with each
        one_by_one(lambda z, y: (torch.sigmoid(z[:, 0]) > 0) == (y > 0.5)),  # always positive
        one_by_one(lambda z, y: z.argmax(dim=1) == y),  # always negative
        one_by_one(lambda z, y: z[:, 0].round() == y),
        one_by_one(lambda z, y: ~is_right(z, y)),
        lambda batches: 100 * one_by_one(is_right)(batches),
        lambda batches: sum(is_right(z, y).sum() for z, y in batches),
        lambda batches: is_right(*batches[-1]).double().mean(),
        lambda batches: is_right(*batches[0]).double().mean(),
        lambda batches: torch.cat([is_right(z, y) for z, y in batches]),
        lambda batches: 0.123,
        lambda batches: -3.0,
    ],
    "sound_reader": [
        *map(
            reader,
            [
                "column",
                "last column",
                "last but one",
                "skips the first",
                "time first",
                "bag",
                "dropout",
                "sigmoid",
                "logarithm",
                "tanh",
                "reads both ends",
                "detached",
                "idle",
                "nan",
                "in place",
            ],
        ),
        Plain,
        lambda n_tokens: nn.Embedding(n_tokens, 1).weight,
        lambda n_tokens: Reader(10),  # too few rows
    ],
}

HINTS = [
    ("sound_reader", reader("last column"), "padding"),
    ("sound_reader", reader("maximum over padding"), "padding"),
    ("sound_reader", reader("bag"), "counts words"),
    ("sound_reader", reader("last but one"), "The last word"),
    ("sound_reader", reader("skips the first"), "The first word"),
    ("sound_reader", reader("reads both ends"), "Word 2"),
]
