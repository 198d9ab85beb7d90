"""The exercises of chapter 6, *A language model*."""

from math import exp, log

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.answers import numbers
from helpers.checks.exercise import Exercise

TYPES = torch.float32, torch.float64


# 6.1: inputs and targets, one apart, from a chunk of a text
def _split(first=slice(-1), last=slice(1, None)):
    def inputs_and_targets(chunk):
        return chunk[first], chunk[last]

    return inputs_and_targets


inputs_and_targets = Exercise(
    right=_split(),
    says="Every character but the first is a target, every one but the last an input.",
    cases=lambda: [(torch.randint(80, (n,)),) for n in (4, 2, 3, 7, 12, 41, 60, 1500)],
    parts=("inputs", "targets"),
    mistakes=(
        (_split(slice(1, None), slice(-1)), "Exchanged: this network learns to write backwards."),
        (lambda c: (c, c.roll(-1)), "Rolled in a circle, the last character precedes the first."),
        (_split(last=slice(-1)), "The targets are the inputs: a network copies what it reads."),
        (_split(slice(-2), slice(2, None)), "The targets are two steps ahead of the inputs."),
        (_split(last=slice(-1, None)), "One target, many-to-one: here every step has a target."),
        (_split(slice(None)), "The whole chunk goes in, and what follows its last one is unknown."),
    ),
)


# 6.2: bits a character, perplexity a character and perplexity a word, from nats
def _read(bits=lambda n: n / log(2), one=exp, word=None, letters=len, words=str.split):
    def three_readings(nats, text):
        of_word = word or (lambda n, c, w: exp(n * c / w))
        return bits(nats), one(nats), of_word(nats, letters(text), len(words(text)))

    return three_readings


three_readings = Exercise(
    right=_read(),
    says="Few for a character, many for a word: the same model. Always name the unit.",
    cases=lambda: [
        (0.9, "Top barked; "),
        (1.2, "“Where’s\tthe engineer?”\n\n  he asked,\nlooking round. "),
        (1.7, "Ayrton"),
        (2.3, "a b c d  e"),
        (0.35, "\nÎle mystérieuse :\nfumée là-bas "),
        (1.05, "the colonists of Lincoln Island " * 400),
    ],
    parts=("bits a character", "perplexity a character", "perplexity a word"),
    mistakes=(
        (_read(bits=lambda n: n * log(2)), "A bit is less than a nat: it takes more of them."),
        (_read(one=lambda n: 2**n), "2 to the power of nats: the base of nats is e, of bits 2."),
        (_read(one=lambda n: exp(-n)), "A perplexity below 1: you left the minus of -ln p in it."),
        (_read(word=lambda n, c, w: exp(n)), "A word is as uncertain as one of its characters."),
        (_read(word=lambda n, c, w: exp(n) * c / w), "Nats add up, so perplexities multiply."),
        (_read(word=lambda n, c, w: exp(n * w / c)), "Upside down: a word has many characters."),
        (_read(letters=lambda t: len("".join(t.split()))), "The model pays for spaces, too."),
        (_read(words=lambda t: t.split(" ")), "Words are parted by more than the single space."),
    ),
)


# 6.3: a text as windows; row b of each batch continues row b of the one before
def _windows(arrange=lambda streams: streams.transpose(0, 1)):
    def windows_in_order(ids, batch_size, window):
        count = len(ids) // (batch_size * window)
        return arrange(ids[: batch_size * count * window].reshape(batch_size, count, window))

    return windows_in_order


def _any_streams(result, ids, batch_size, window):
    """Return the right windows for others that are as good: of streams cut elsewhere."""
    value, right = numbers(result), numbers(_windows()(ids, batch_size, window))
    if getattr(value, "shape", ()) != right.shape:
        return value
    place = {number: k for k, number in enumerate(ids.tolist())}  # no number comes twice
    places = np.vectorize(lambda number: place.get(number, -1))(value)
    streams = places.swapaxes(0, 1).reshape(batch_size, -1)
    in_order = (np.diff(streams) == 1).all() and len(np.unique(streams)) == streams.size
    return right if in_order else value


def _texts():
    sizes = (7, 1, 3), (13, 2, 3), (24, 3, 2), (31, 3, 5), (50, 4, 4), (11, 5, 1), (40, 6, 2)
    return [(torch.randperm(n) + 7, batch, window) for n, batch, window in (*sizes, (2500, 2, 1))]


windows_in_order = Exercise(
    right=_windows(),
    says="Row b of each batch goes on where row b of the batch before stopped.",
    cases=_texts,
    compared=_any_streams,
    mistakes=(
        (
            _windows(lambda x: x.reshape(x.shape[1], x.shape[0], -1)),
            "Windows that follow one another share a batch: the state meets the wrong text.",
        ),
        (
            _windows(lambda x: x.reshape(x.shape[1], x.shape[2], -1).mT),
            "A row takes one character in so many, as if batch and time were exchanged.",
        ),
        (_windows(lambda x: x), "The first two axes are exchanged: (batch, batches, window)."),
        (_windows(lambda x: x.flatten(1)), "These are the streams, one a row. Now cut them."),
        (_windows(lambda x: x[:, :-1].transpose(0, 1)), "The last batch of windows is missing."),
    ),
)


# 6.4: the mean loss of a model over the windows of a text, its state carried
class _Reader(nn.LSTM):
    def forward(self, ids, state=None):
        h, state = super().forward(F.one_hot(ids, 5).to(self.weight_hh_l0.dtype), state)
        return F.dropout(4 * h.contiguous(), 0.5, self.training), state


def _measure(average=lambda sums, counts, cells: sum(sums) / sum(counts), carry=True, train=False):
    @torch.no_grad()
    def nats_per_character(model, batches):
        model.train(train)
        state, windows = None, []
        for inputs, targets in batches:
            logits, state = model(inputs, state if carry else None)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
            windows.append((loss.item(), (targets >= 0).sum().item(), targets.numel()))
        return average(*np.transpose(windows))

    return nats_per_character


def _readings():
    models = [_Reader(5, 5, batch_first=True, dtype=dtype) for dtype in TYPES]
    for p in (*models[0].parameters(), *models[1].parameters()):
        nn.init.normal_(p, std=2)  # remembers long
    sizes = (2, [8, 8, 3]), (1, [5]), (2, [6, 2]), (3, [3, 3, 1]), (4, [2, 2]), (3, [1, 1, 1])
    for k, (batch, steps) in enumerate(sizes):
        ids = torch.randint(5, (batch, sum(steps) + 1))
        targets = ids[:, 1:].clone()
        targets[1:, -1:] = -100  # all streams but the first end earlier
        windows = zip(ids[:, :-1].split(steps, 1), targets.split(steps, 1), strict=True)
        yield models[k // 3], list(windows)


nats_per_character = Exercise(
    right=_measure(),
    says="Each character counts once, with all that was read before it, and with no dropout.",
    cases=_readings,
    mistakes=(
        (
            _measure(lambda s, n, c: np.mean(s / n), carry=False),
            "Two things: the state is not carried, and each window weighs the same.",
        ),
        (_measure(carry=False), "Every window starts with an empty memory: hand the state on."),
        (_measure(lambda s, n, c: np.mean(s / n)), "In a short window a character weighs more."),
        (_measure(lambda s, n, c: sum(s) / sum(c)), "Targets of -100 count in what you divide by."),
        (_measure(lambda s, n, c: sum(s)), "The sum over all characters, not their mean."),
        (_measure(train=True), "Dropout is at work: measure in eval mode."),
    ),
)


# 6.5: probabilities from logits at a temperature
def _soften(logits, T):
    return torch.softmax(logits / T, dim=1)


def _logits():
    sizes = (2, 3, 2.0), (1, 4, 0.5), (3, 3, 1.0), (4, 2, 3.0), (5, 1, 0.7), (2, 80, 0.2)
    return [(2 * torch.randn(n, k, dtype=TYPES[k % 2]) - 1, T) for n, k, T in sizes]


next_probabilities = Exercise(
    right=_soften,
    says="Above 1 the field is levelled, below 1 the favourite wins more often.",
    cases=_logits,
    mistakes=(
        (lambda z, T: _soften(z, 1 / T), "Upside down: T is the inverse of the scale factor."),
        (lambda z, T: _soften(z, 1), "T has no effect: divide the logits, not the probabilities."),
        (lambda z, T: _soften(_soften(z, 1), T), "The softmax is taken twice."),
        (lambda z, T: _soften(z.T, T).T, "The columns sum up to 1; a row is one stream."),
        (lambda z, T: z / T, "These are the divided logits, not yet probabilities."),
        (lambda z, T: _soften(z, 1e-9), "Always the most probable one: that is temperature 0."),
    ),
)


# 6.6: the smallest set of characters that holds the share, made to sum up to 1
def _nucleus(
    keep=lambda before, p, share: before < share,
    order=lambda p: p.argsort(descending=True),
    back=lambda p, order: torch.zeros_like(p).scatter(0, order, p / p.sum()),
):
    def nucleus(logits, share):
        p = torch.softmax(logits, dim=0)
        places = order(p)
        p = p[places]
        return back(torch.where(keep(p.cumsum(0) - p, p, share), p, 0.0), places)

    return nucleus


def _rows():
    p = torch.tensor([0.08, 0.5, 0.02, 0.25, 0.15]).double()
    tied = torch.tensor([0.175, 0.475, 0.175, 0.175])
    for share in (0.7, 0.8, 0.3, 1.0):
        yield p.log() + 3, share
    for z, share in ((0.0, 0.5), (-1.5, 0.25), (2.0, 0.75)):
        yield torch.full((4,), z), share  # met exactly, by any two of them
        yield tied.log() + z, share + 0.1
    for n, share in ((1, 0.3), (80, 0.9), (300, 0.9)):
        yield torch.randn(n), share


def _order_ties(result, logits, share):
    """Return the probabilities; of characters with equal logits any may be kept."""
    value, z = numbers(result), numbers(logits)
    if getattr(value, "shape", ()) != z.shape:
        return value
    ordered = np.empty_like(value)
    ordered[np.argsort(z, kind="stable")] = value[np.lexsort((-value, z))]
    return ordered


nucleus = Exercise(
    right=_nucleus(),
    says="Few where the network is sure, many where it is not: the nucleus adapts, k does not.",
    cases=_rows,
    compared=_order_ties,
    mistakes=(
        (_nucleus(lambda b, p, s: b + p < s), "The one that reaches the share belongs in."),
        (_nucleus(lambda b, p, s: b + p <= s), "The one that crosses the border belongs in."),
        (_nucleus(lambda b, p, s: b <= s), "Where the share is met exactly, no more is needed."),
        (_nucleus(lambda b, p, s: p >= s), "The share is a limit for the sum, not for each one."),
        (_nucleus(order=torch.argsort), "The least probable ones are kept: upside down."),
        (_nucleus(order=lambda p: torch.arange(len(p))), "They are not sorted before the sum."),
        (_nucleus(back=lambda p, i: p / p.sum()), "In falling order: put each back to its place."),
    ),
)
