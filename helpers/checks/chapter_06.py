"""The exercises of chapter 6, *A language model*."""

from math import e, exp, log

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.answers import numbers
from helpers.checks.exercise import Exercise, each, normal, scrambled

# 6.1: inputs and targets, one apart, from a chunk of a text
inputs_and_targets = Exercise(
    right=lambda chunk: (chunk[:-1], chunk[1:]),
    says="Every character but the first is a target, every one but the last an input.",
    cases=lambda: [(torch.randint(80, (n,)),) for n in (4, 2, 3, 7, 12, 41, 60, 1500)],
    parts=("inputs", "targets"),
    mistakes=(
        (lambda c: (c[1:], c[:-1]), "Exchanged: this network learns to write backwards."),
        (lambda c: (c, c.roll(-1)), "Rolled in a circle, the last character precedes the first."),
        (lambda c: (c[:-1], c[:-1]), "The targets are the inputs: a network copies what it reads."),
        (lambda c: (c[:-2], c[2:]), "The targets are two steps ahead of the inputs."),
        (lambda c: (c[:-1], c[-1:]), "One target, many-to-one: here every step has a target."),
        (
            lambda c: (c, c[1:]),
            "The whole chunk goes in, and what follows its last character is unknown.",
        ),
    ),
)


# 6.2: bits a character, perplexity a character and perplexity a word, from nats
def _read(nats, text, bit=log, base=e, word=None, letters=len, words=str.split):
    of_word = word or (lambda n, c, w: exp(n * c / w))
    return nats / bit(2), base**nats, of_word(nats, letters(text), len(words(text)))


three_readings = Exercise(
    right=_read,
    says="Few for a character, many for a word: the same model. Always name the unit.",
    cases=lambda: [
        (0.9, "Top barked; "),
        (1.2, "“Where’s\tthe engineer?”\n\n    he asked,\nlooking round.  "),
        (1.7, "Ayrton"),
        (2.3, "a b c d  e"),
        (0.35, "\nÎle mystérieuse :\nfumée là-bas "),
        (1.05, "the colonists of Lincoln Island " * 400),
    ],
    parts=("bits a character", "perplexity a character", "perplexity a word"),
    mistakes=(
        ({"bit": lambda n: 1 / log(n)}, "A bit is less than a nat: it takes more of them."),
        ({"base": 2}, "2 to the power of nats: the base of nats is e, of bits 2."),
        ({"base": 1 / e}, "A perplexity below 1: you left the minus of -ln p in it."),
        ({"word": lambda n, c, w: exp(n)}, "This makes a word as uncertain as one character."),
        ({"word": lambda n, c, w: exp(n) * c / w}, "Nats add up, so perplexities multiply."),
        ({"word": lambda n, c, w: exp(n * w / c)}, "Upside down: a word has many characters."),
        ({"letters": lambda t: len("".join(t.split()))}, "The model pays for spaces, too."),
        ({"words": lambda t: t.split(" ")}, "Words are parted by more than the single space."),
    ),
)


# 6.3: a text as windows; row b of each batch continues row b of the one before
def _windows(ids, batch_size, window, arrange=lambda streams: streams.transpose(0, 1)):
    count = len(ids) // (batch_size * window)
    return arrange(ids[: batch_size * count * window].reshape(batch_size, count, window))


def _any_streams(result, ids, batch_size, window):
    """Return the right windows for others that are as good: of streams cut elsewhere."""
    value, right = numbers(result), numbers(_windows(ids, batch_size, window))
    if getattr(value, "shape", ()) != right.shape:
        return value
    place = {number: k for k, number in enumerate(ids.tolist())}  # no number comes twice
    places = np.vectorize(lambda number: place.get(number, -1))(value)
    streams = places.swapaxes(0, 1).reshape(batch_size, -1)
    in_order = (np.diff(streams) == 1).all() and len(np.unique(streams)) == streams.size
    return right if in_order else value


windows_in_order = Exercise(
    right=_windows,
    says="Row b of each batch goes on where row b of the batch before stopped.",
    cases=each(lambda b, n, w: (torch.randperm(b * (n + 1) * w - 1) + 7, b, w)),
    compared=_any_streams,
    mistakes=(
        ({"arrange": scrambled}, "Successive windows share a batch, as in a DataLoader."),
        (
            {"arrange": lambda x: x.reshape(x.shape[1], x.shape[2], -1).mT},
            "A row takes one character in so many, as if batch and time were exchanged.",
        ),
        ({"arrange": lambda x: x}, "The first two axes are exchanged: (batch, batches, window)."),
        ({"arrange": lambda x: x.flatten(1)}, "These are the streams, one a row. Now cut them."),
        (lambda *given: _windows(*given)[:-1], "The last batch of windows is missing."),
    ),
)


# 6.4: the mean loss of a model over the windows of a text, its state carried
class _Reader(nn.LSTM):
    def forward(self, ids, state=None):
        h, state = super().forward(F.one_hot(ids, 5).to(self.weight_hh_l0.dtype), state)
        return F.dropout(4 * h.contiguous(), 0.5, self.training), state


@torch.no_grad()
def _measure(model, batches, mean=lambda sums, n, all_n: sum(sums) / sum(n), carry=1, train=False):
    model.train(train)
    state, windows = None, []
    for inputs, targets in batches:
        logits, state = model(inputs, state if carry else None)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        windows.append((loss.item(), (targets >= 0).sum().item(), targets.numel()))
    return mean(*np.transpose(windows))


def _reading(batch, *steps):
    model = _Reader(5, 5, batch_first=True, dtype=(torch.float32, torch.float64)[batch % 2])
    for p in model.parameters():
        nn.init.normal_(p, std=2)  # remembers long
    ids = torch.randint(5, (batch, sum(steps) + 1))
    targets = ids[:, 1:].clone()
    targets[1:, -1:] = -100  # all streams but the first end earlier
    return model, list(zip(ids[:, :-1].split(steps, 1), targets.split(steps, 1), strict=True))


nats_per_character = Exercise(
    right=_measure,
    says="Each character counts once, with all that was read before it, and with no dropout.",
    cases=each(_reading, (2, 8, 8, 3), (1, 5), (2, 6, 2), (3, 3, 3, 1), (4, 2, 2), (3, 1, 1, 1)),
    mistakes=(
        (
            {"mean": lambda s, n, c: np.mean(s / n), "carry": 0},
            "Two things: the state is not carried, and each window weighs the same.",
        ),
        ({"carry": 0}, "Every window starts with an empty memory: hand the state on."),
        ({"mean": lambda s, n, c: np.mean(s / n)}, "In a short window a character weighs more."),
        ({"mean": lambda s, n, c: sum(s) / sum(c)}, "Targets of -100 count in what you divide by."),
        ({"mean": lambda s, n, c: sum(s)}, "The sum over all characters, not their mean."),
        ({"train": True}, "Dropout is at work: measure in eval mode."),
    ),
)


# 6.5: probabilities from logits at a temperature
def _soften(logits, T):
    return torch.softmax(logits / T, dim=1)


next_probabilities = Exercise(
    right=_soften,
    says="Above 1 the field is levelled, below 1 the favourite wins more often.",
    cases=each(lambda n, k, T: (2 * normal(n, k) - 1, T / 4)),
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
def _nucleus(logits, share, keep=lambda before, p, share: before < share, order=None, back=True):
    p = torch.softmax(logits, dim=0)
    places = p.argsort(descending=True) if order is None else order(p)
    p = p[places]
    kept = torch.where(keep(p.cumsum(0) - p, p, share), p, 0.0)
    kept = kept / kept.sum()
    return torch.zeros_like(p).scatter(0, places, kept) if back else kept


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
    right=_nucleus,
    says="Few where the network is sure, many where it is not: the nucleus adapts, k does not.",
    cases=_rows,
    compared=_order_ties,
    mistakes=(
        ({"keep": lambda b, p, s: b + p < s}, "The one that reaches the share belongs in."),
        ({"keep": lambda b, p, s: b + p <= s}, "The one that crosses the border belongs in."),
        ({"keep": lambda b, p, s: b <= s}, "Where the share is met exactly, no more is needed."),
        ({"keep": lambda b, p, s: p >= s}, "The share is a limit for the sum, not for each one."),
        ({"order": torch.argsort}, "The least probable ones are kept: upside down."),
        ({"order": lambda p: torch.arange(len(p))}, "They are not sorted before the sum."),
        ({"back": False}, "In falling order: put each back to its place."),
    ),
)
