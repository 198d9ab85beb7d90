"""The exercises of chapter 5, *Sentiment of film reviews*."""

from collections import defaultdict
from functools import partial
from itertools import chain, groupby
from math import inf
from operator import getitem

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from helpers.checks.answers import Hint, call, kind, numbers
from helpers.checks.exercise import SIZES, Exercise, each, normal


# 5.1: tokens to integers below `limit`; unknown and rare ones become 1
def _look_up(tokens, stoi, limit, unknown=1, rare=1, get=dict.get, more=0):
    ids = [get(stoi, token) for token in tokens]
    rare = limit - 1 if rare is None else rare
    return [unknown if i is None else i if i < limit + more else rare for i in ids]


def _tokens(n, limit):
    stoi = {"<pad>": 0, "naïve": 5, "good": 4, "the": 2, "<unk>": 1, "10": 6, "film": 3}
    words = [*stoi, "zzyzx", "Good"][1:]
    tokens = [words[i] for i in torch.randint(len(words), (n,))]
    return tokens, defaultdict(lambda: 1, stoi), limit


to_ids = Exercise(
    right=_look_up,
    says="Unknown and rare words share the number 1, and the vocabulary is as long as before.",
    cases=each(_tokens, (3, 4), (1, 3), (2, 7), (7, 6), (8, 5), (4, 99), (6, 2), (2000, 4)),
    mistakes=(
        ({"get": getitem}, "The numbers are right, an input changed: does stoi[word] insert?"),
        (lambda t, s, n: _look_up([w for w in t if w in s], s, n), "Unknown words are left out."),
        ({"unknown": None}, "Missing words are None: tell .get() what to return instead."),
        ({"unknown": 0, "rare": 0}, "Unknown and rare words became 0: that is padding, not <unk>."),
        ({"unknown": 0}, "Unknown words became 0: that is padding, a model takes it for the end."),
        ({"more": inf}, "The limit has no effect: numbers above it get through."),
        ({"more": 1}, "The limit itself gets through; the last row is limit - 1."),
        ({"rare": None}, "Rare words became limit - 1: one frequent word that they are not."),
    ),
)


# 5.2: batches of (tokens, lengths, labels), short reviews first, each with its own label
def _cut(reviews, labels, batch_size, key=len, stay="", full=False, **padding):
    came = range(len(reviews))
    order = sorted(came, key=lambda i: key(reviews[i]))
    places = [came if stay == what else order for what in ("lengths", "labels")]
    batches = []
    for start in range(0, len(order) - full * (batch_size - 1), batch_size):
        texts, sizes, own = (it[start : start + batch_size] for it in (order, *places))
        tokens = [torch.tensor(reviews[i]) for i in texts]
        tokens = pad_sequence(tokens, **{"batch_first": True} | padding)
        lengths = torch.tensor([len(reviews[i]) for i in sizes])
        batches.append((tokens, lengths, torch.tensor([labels[i] for i in own])))
    return batches


def _reviews(n, longest, batch_size):
    reviews = [torch.randint(1, 99, (k,)).tolist() for k in torch.randint(1, longest + 1, (n,))]
    labels = torch.randint(2, (n,)).tolist()
    # The last text once more, with the other label.
    return [*reviews, reviews[-1]], [*labels, 1 - labels[-1]], batch_size


def _in_one(batches, *given):
    """Return the shapes of all batches, then their rows, equally long ones in a fixed order."""
    batches = [[numbers(part) for part in batch] for batch in batches]
    if any([getattr(part, "ndim", 0) for part in batch] != [2, 1, 1] for batch in batches):
        raise Hint("A list of triples is expected: (batch, time), (batch,), (batch,) each.")
    rows = chain.from_iterable(zip(*batch, strict=False) for batch in batches)
    rows = [(list(np.trim_zeros(words, "b")), *others) for words, *others in rows]
    ties = [sorted(group) for _, group in groupby(rows, key=lambda row: len(row[0]))]
    shapes = [[part.shape for part in batch] for batch in batches]
    return shapes, *zip(*chain.from_iterable(ties), strict=True)


by_length = Exercise(
    right=_cut,
    says="Similar lengths share a batch, and every review kept its own length and its own label.",
    cases=each(_reviews, *SIZES, (9, 6, 20), (50, 30, 8), (1100, 4, 64)),
    parts=("shapes", "tokens", "lengths", "labels"),
    compared=_in_one,
    mistakes=(
        ({"key": lambda review: 0}, "The reviews stand in the batches as they came."),
        ({"key": lambda review: -len(review)}, "The longest stand first. The short ones should."),
        ({"key": lambda review: review}, "They are sorted by their words: sorted() takes a key."),
        ({"full": True}, "The last batch may be smaller than the others, it must not be lost."),
        ({"batch_first": False}, "The tokens are (time, batch): set batch_first=True."),
        ({"padding_side": "left"}, "The zeros stand in front; padding goes to the end."),
        (
            lambda *given: [(t, n * 0 + t.shape[1], y) for t, n, y in _cut(*given)],
            "The lengths are those after padding. Measure before you pad.",
        ),
        ({"stay": "lengths"}, "The lengths did not move along: they belong to other reviews."),
        ({"stay": "labels"}, "The labels did not move along: no error, and nothing is learned."),
    ),
)


# 5.3: the share of right answers, from batches of logits (batch, 1) and labels (batch,)
def _accuracy(batches, decide=lambda z: z[:, 0] > 0):
    right = sum((decide(z) == y).sum().item() for z, y in batches)
    return right / sum(len(y) for _, y in batches)


def _graded(*sizes):
    z, labels = normal(sum(sizes), 1), torch.rand(sum(sizes)) < 0.6
    z, y = z + labels[:, None] - 0.3, labels.to(torch.int64 if len(sizes) == 1 else z.dtype)
    return (list(zip(z.split(sizes), y.split(sizes), strict=True)),)


accuracy = Exercise(
    right=_accuracy,
    says="Every review counts once, and the border between the classes is logit 0.",
    cases=each(_graded, (3, 2), (1,), (5,), (8, 8, 3), (6, 6, 1), (4, 4), (30,), (1,) * 200),
    mistakes=(
        (lambda b: np.mean([_accuracy([x]) for x in b]), "In a small batch a review weighs more."),
        ({"decide": lambda z: z > 0}, "(batch, 1) against (batch,) is a square: each with each."),
        ({"decide": lambda z: z[:, 0] > 0.5}, "The border is at 0.5: right for probabilities."),
        ({"decide": lambda z: z[:, 0] <= 0}, "This is the share of wrong answers."),
        (lambda batches: 100 * _accuracy(batches), "In percent; a share lies between 0 and 1."),
        ({"decide": lambda z: z[:, 0] > -99}, "All count as positive: sigmoids are above 0."),
        ({"decide": lambda z: z.argmax(1)}, "All count as negative: argmax of one column is 0."),
    ),
)


# 5.4: mean and maximum over the real steps, side by side
def _pool(h, lengths, mean=(0.0, False), low=-1.0, shift=0):
    steps, n, (fill, wide) = torch.arange(h.shape[1]), lengths[:, None], mean
    total = torch.where((steps < n)[..., None], h, h if fill is None else fill).sum(1)
    top = torch.where((steps < n + shift)[..., None], h, h if low is None else low).amax(1)
    return torch.cat([total / (h.shape[1] if wide else n), top], dim=1)


def _states(batch, steps, hidden):
    h = normal(batch, steps, hidden).tanh()
    h[..., 0] = -h[..., 0].abs()  # a unit that is always negative
    return h, torch.randint(1, steps + 1, (batch,))


mean_and_max = Exercise(
    right=_pool,
    says="Each with its own neutral element: 0 leaves a sum alone, -1 the maximum of LSTM states.",
    cases=each(_states),
    mistakes=(
        (lambda h, n: _pool(h, n).roll(h.shape[2], 1), "Exchanged: the mean comes first."),
        (lambda h, n: torch.cat([h.mean(0), h.amax(0)], 1), "This went over the reviews."),
        (lambda h, n: torch.cat([h.mean(2), h.amax(2)], 1), "This went over the hidden units."),
        ({"mean": (None, True), "low": None}, "Both halves go over the padding, too."),
        ({"mean": (None, True)}, "The mean runs over the padding as well."),
        ({"mean": (0.0, True)}, "Padding counts in the number you divide by."),
        ({"mean": (-1.0, False)}, "The filling of the maximum, -1, is in the mean, too."),
        ({"low": None}, "The mean is right. The maximum looks at the padding as well."),
        ({"low": 0.0}, "In the maximum the zeros of the padding win over negative states."),
        ({"shift": 1}, "The maximum looks one step too far: 3 words have the steps 0, 1 and 2."),
    ),
)


# 5.5: a model of one's own, judged: no answer is the right one, it has to be sound
def _last(lstm, x, lengths):
    return lstm(x)[0][torch.arange(len(x)), lengths - 1]


class _Reader(nn.Module):
    def __init__(self, n_tokens, read=_last, end=lambda z: z):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(n_tokens, 8, 0), nn.LSTM(8, 8, batch_first=True)
        self.dense, self.read, self.end = nn.Linear(8, 1), read, end

    def forward(self, tokens, lengths):
        return self.end(self.dense(self.read(self.lstm, self.embedding(tokens), lengths))[:, 0])


def _read(model, tokens, lengths):
    """Return the logits of a model, `(batch,)`; raise the hint of what is none."""
    given = tokens.clone()
    logits = call(model, tokens, lengths)
    if not isinstance(logits, torch.Tensor) or logits.shape != lengths.shape:
        text = "For {n} reviews the answer is {kind}; a tensor of one logit each is expected."
        raise Hint(text, n=len(lengths), kind=kind(logits))
    if not logits.isfinite().all():
        raise Hint("There are infinite numbers or NaN among the answers.")
    if not tokens.equal(given):
        raise Hint("The model changes the tokens that it is given: work on a copy.")
    return logits


def _train(model, tokens, lengths):
    """Train until an answer is below -1, then until one is above 1."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for aim in (-1, 1):
        for step in range(200):
            logits = _read(model.train(), tokens, lengths)
            if step > 9 and (aim * logits > 1).any():
                break
            if not logits.requires_grad:
                raise Hint("No gradient flows back from the answer: a detach() or no_grad?")
            optimizer.zero_grad()
            F.softplus(-aim * logits).mean().backward()
            optimizer.step()
        else:
            text = (
                "After 200 steps of training no answer lies beyond {aim}: is there a sigmoid, a "
                "tanh, a ReLU or a logarithm at the end? Logits have none."
            )
            raise Hint(text, aim=aim)
    for name, p in model.named_parameters():
        if p.requires_grad and p.grad is None:
            raise Hint("The loss never reaches {name}: does forward use it?", name=name)


def _is_sound(build, n_tokens=2000):
    model = call(build, n_tokens)
    if not isinstance(model, nn.Module) or not any(p.requires_grad for p in model.parameters()):
        text = "A module with parameters is expected, this is {kind}. Are its layers in a list?"
        raise Hint(text, kind=kind(model))
    words = n_tokens - 1 - torch.randperm(1914).view(87, 22)  # none of them twice
    lengths, steps = torch.tensor([22, 15, 19, 12, 22, 17, 21, 2] * 2), torch.arange(22)
    tokens = words[:16].masked_fill(steps >= lengths[:, None], 0)
    _train(model, tokens, lengths)
    logits = _read(model.eval(), tokens, lengths)
    alone = [_read(model, t[None, :n], n[None]) for t, n in zip(tokens, lengths, strict=True)]
    back = lengths[:, None] - 1 - steps
    turned = tokens.gather(1, torch.where((steps > 0) & (back > 0), back, steps))
    same = partial(torch.allclose, logits, rtol=1e-5, atol=1e-5)
    if not same(_read(model, tokens, lengths)):
        raise Hint("In eval mode answers change from call to call: dropout without training=?")
    if not same(_read(model, F.pad(tokens, (0, 6)), lengths)):
        raise Hint("Six more columns of padding change the answers: what reads the zeros?")
    if not same(torch.cat(alone)):
        raise Hint("A review gets another answer alone than in company: batch taken for time?")
    if same(_read(model, turned, lengths)):
        raise Hint("With the inner words turned around no answer changes: order has no effect.")
    model.zero_grad()
    _read(model, words, torch.full((87,), 22)).sum().backward()
    grads = [p.grad.to_dense() for p in model.parameters() if p.grad is not None]
    tables = [g[:n_tokens] for g in grads if g.ndim > 1 and 0 <= len(g) - n_tokens <= 2]
    heard = torch.cat(tables, dim=1).any(dim=1)[words].any(dim=0) if tables else steps >= 0
    for place in (~heard).nonzero()[:1]:
        raise Hint("Word {n} of 22 has no effect on any answer.", n=int(place) + 1)


sound_reader = Exercise(
    right=_Reader,
    says="A sound reader: one logit a review, untouched by padding and by company, and the order "
    "counts. How good it is, the validation part will tell.",
    judge=_is_sound,
    mistakes=(
        ({"read": lambda lstm, x, n: lstm(x)[0][:, -1]}, "columns of padding change"),
        ({"read": lambda lstm, x, n: _last(lstm, F.dropout(x), n)}, "dropout without training=?"),
        ({"read": lambda lstm, x, n: _last(lstm, x, n - 1)}, "Word 22 of 22 has no effect"),
        ({"read": lambda lstm, x, n: _last(lstm, x.flip(0), n)}, "another answer alone"),
        ({"read": lambda lstm, x, n: lstm(x.sum(1)[:, None])[0][:, 0]}, "order has no effect"),
        ({"end": torch.sigmoid}, "no answer lies beyond -1"),
        ({"end": torch.detach}, "No gradient flows back"),
    ),
)
