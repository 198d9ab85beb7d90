"""The exercises of chapter 5, *Sentiment of film reviews*."""

from collections import defaultdict
from itertools import chain, groupby
from math import inf
from operator import getitem

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from helpers.checks.answers import Hint, call, kind, numbers
from helpers.checks.exercise import Exercise

TYPES = torch.float32, torch.float64


# 5.1: tokens to integers below `limit`; unknown and rare ones become 1
def _look_up(unknown=1, rare=1, shift=0, get=lambda stoi, token: stoi.get(token, -1)):
    def to_ids(tokens, stoi, limit):
        ids, other = [get(stoi, t) for t in tokens], limit - 1 if rare is None else rare
        return [unknown if i < 0 else i if i < limit + shift else other for i in ids]

    return to_ids


def _tokens():
    stoi = {"<pad>": 0, "naïve": 5, "good": 4, "the": 2, "<unk>": 1, "10": 6, "film": 3}
    words, rng = [*stoi, "zzyzx", "Good"][1:], np.random.default_rng(0)
    for n, limit in ((3, 4), (1, 3), (2, 7), (7, 6), (8, 5), (4, 99), (6, 2), (2000, 4)):
        yield rng.choice(words, n).tolist(), defaultdict(lambda: 1, stoi), limit


to_ids = Exercise(
    right=_look_up(),
    says="Unknown and rare words share the number 1, and the vocabulary is as long as before.",
    cases=_tokens,
    mistakes=(
        (_look_up(get=getitem), "The numbers are right, the input changed: stoi[word] inserts."),
        (
            lambda tokens, stoi, limit: _look_up()([t for t in tokens if t in stoi], stoi, limit),
            "Unknown words are left out: nobody will read them, not even as <unk>.",
        ),
        (_look_up(None), "Missing words are None: tell .get() what to return instead."),
        (_look_up(0, 0), "Unknown and rare words became 0: that is padding, <unk> is 1."),
        (_look_up(0), "Unknown words became 0: that is padding, the model takes it for the end."),
        (_look_up(shift=inf), "The limit has no effect: numbers above it get through."),
        (_look_up(shift=1), "The limit itself gets through; the last row is limit - 1."),
        (_look_up(rare=None), "Rare words became limit - 1: one frequent word that they are not."),
    ),
)


# 5.2: batches of (tokens, lengths, labels), short reviews first, each with its own label
def _cut(key=len, stay="", full=False, **padding):
    def by_length(reviews, labels, batch_size):
        order = sorted(range(len(reviews)), key=lambda i: key(reviews[i]))
        batches = []
        for start in range(0, len(order) - full * (batch_size - 1), batch_size):
            rows = order[start : start + batch_size]
            texts = [torch.tensor(reviews[i]) for i in rows]
            tokens = pad_sequence(texts, **{"batch_first": True} | padding)
            came = range(start, start + len(rows))
            lengths = [len(reviews[i]) for i in (came if stay == "lengths" else rows)]
            own = [labels[i] for i in (came if stay == "labels" else rows)]
            batches.append((tokens, torch.tensor(lengths), torch.tensor(own)))
        return batches

    return by_length


def _reviews():
    rng = np.random.default_rng(5)
    sizes = (3, 4, 3), (1, 3, 2), (5, 5, 3), (7, 9, 2), (4, 4, 1), (9, 6, 20), (50, 30, 8)
    for n, longest, batch_size in (*sizes, (1100, 4, 64)):
        reviews = [rng.integers(1, 99, rng.integers(1, longest + 1)).tolist() for _ in range(n)]
        labels = rng.integers(0, 2, n).tolist()
        # The last text once more, with the other label.
        yield [*reviews, reviews[-1]], [*labels, 1 - labels[-1]], batch_size


def _in_one(batches, *given):
    """Return the shapes of all batches, then their rows, equally long ones in a fixed order."""
    if batches is None:
        return None
    batches = [[numbers(part) for part in batch] for batch in batches]
    if any([getattr(part, "ndim", 0) for part in batch] != [2, 1, 1] for batch in batches):
        raise Hint("A list of triples is expected: (batch, time), (batch,), (batch,) each.")
    rows = chain.from_iterable(zip(*batch, strict=False) for batch in batches)
    rows = [(list(np.trim_zeros(words, "b")), *others) for words, *others in rows]
    ties = [sorted(group) for _, group in groupby(rows, key=lambda row: len(row[0]))]
    shapes = [[part.shape for part in batch] for batch in batches]
    return shapes, *zip(*chain.from_iterable(ties), strict=True)


by_length = Exercise(
    right=_cut(),
    says="Similar lengths share a batch, and every review kept its own length and its own label.",
    cases=_reviews,
    parts=("shapes", "tokens", "lengths", "labels"),
    compared=_in_one,
    mistakes=(
        (_cut(lambda review: 0), "The reviews stand in the batches as they came."),
        (_cut(lambda review: -len(review)), "The longest stand first. The short ones should."),
        (_cut(lambda review: review), "They are sorted by their words: sorted() takes a key."),
        (_cut(full=True), "The last batch may be smaller than the others, it must not be lost."),
        (_cut(batch_first=False), "The tokens are (time, batch): set batch_first=True."),
        (_cut(padding_side="left"), "The zeros stand in front; padding goes to the end."),
        (
            lambda *given: [(t, n * 0 + t.shape[1], y) for t, n, y in _cut()(*given)],
            "The lengths are those after padding. Measure before you pad.",
        ),
        (_cut(stay="lengths"), "The lengths did not move along: they belong to other reviews."),
        (_cut(stay="labels"), "The labels did not move along: no error, and nothing is learned."),
    ),
)


# 5.3: the share of right answers, from batches of logits (batch, 1) and labels (batch,)
def _count(decide=lambda z: z[:, 0] > 0):
    def accuracy(batches):
        right = sum((decide(z) == y).sum().item() for z, y in batches)
        return right / sum(len(y) for _, y in batches)

    return accuracy


def _graded():
    for k, sizes in enumerate(([3, 2], [1], [5], [8, 8, 3], [6, 6, 1], [4, 4], [1] * 200)):
        batches = [(torch.randn(n, 1, dtype=TYPES[k % 2]), torch.rand(n) < 0.6) for n in sizes]
        dtype = (torch.float32, torch.int64)[k // 2 % 2]
        yield ([(z + y[:, None] - 0.3, y.to(dtype)) for z, y in batches],)


accuracy = Exercise(
    right=_count(),
    says="Every review counts once, and the border between the classes is logit 0.",
    cases=_graded,
    mistakes=(
        (
            lambda batches: np.mean([_count()([batch]) for batch in batches]),
            "The mean of the batches' accuracies: in a small batch a review weighs more.",
        ),
        (
            _count(lambda z: z > 0),
            "(batch, 1) is compared with (batch,), each with each: a square, without an error.",
        ),
        (_count(lambda z: z[:, 0] > 0.5), "The border is at 0.5: right for probabilities."),
        (_count(lambda z: z[:, 0] <= 0), "This is the share of wrong answers."),
        (lambda batches: 100 * _count()(batches), "In percent; a share lies between 0 and 1."),
        (_count(lambda z: z.sigmoid()[:, 0] > 0), "All count as positive: sigmoids are above 0."),
        (_count(lambda z: z.argmax(1)), "All count as negative: argmax of one column is 0."),
    ),
)


# 5.4: mean and maximum over the real steps, side by side
def _pool(fill=0.0, low=-1.0, shift=0, divide=lambda h, n: n):
    def mean_and_max(h, lengths):
        steps, n = torch.arange(h.shape[1]), lengths[:, None]
        mean = torch.where((steps < n)[..., None], h, h if fill is None else fill).sum(1)
        top = torch.where((steps < n + shift)[..., None], h, h if low is None else low).amax(1)
        return torch.cat([mean / divide(h, n), top], dim=1)

    return mean_and_max


def _states():
    sizes = (2, [2, 3]), (1, [1]), (3, [3, 1, 2, 4]), (4, [4, 2, 4]), (5, [6]), (2, [1] * 3)
    for size, lengths in (*sizes, (8, [5, 30, 17, 9, 30])):
        h = torch.rand(len(lengths), max(lengths), size, dtype=TYPES[size % 2]) * 1.9 - 0.95
        h[..., 0] = -h[..., 0].abs()  # a unit that is always negative
        yield h, torch.tensor(lengths)


mean_and_max = Exercise(
    right=_pool(),
    says="Each with its own neutral element: 0 leaves a sum alone, -1 the maximum of LSTM states.",
    cases=_states,
    mistakes=(
        (lambda h, n: _pool()(h, n).roll(h.shape[2], 1), "Exchanged: the mean comes first."),
        (lambda h, n: torch.cat([h.mean(0), h.amax(0)], 1), "This went over the reviews."),
        (lambda h, n: torch.cat([h.mean(2), h.amax(2)], 1), "This went over the hidden units."),
        (_pool(None, None, 0, lambda h, n: h.shape[1]), "Both halves run over the padding too."),
        (_pool(None, divide=lambda h, n: h.shape[1]), "The mean runs over the padding as well."),
        (_pool(divide=lambda h, n: h.shape[1]), "Padding counts in the number you divide by."),
        (_pool(-1.0), "The filling of the maximum, -1, is in the mean too, and pulls it down."),
        (_pool(low=None), "The mean is right. The maximum looks at the padding as well."),
        (_pool(low=0.0), "In the maximum the zeros of the padding win over negative states."),
        (_pool(shift=1), "The maximum looks one step too far: 3 words have the steps 0, 1 and 2."),
    ),
)


# 5.5: a model of one's own, judged: no answer is the right one, it has to be sound
def _last(lstm, x, lengths):
    return lstm(x)[0][torch.arange(len(x)), lengths - 1]


class _Reader(nn.Module):
    def __init__(self, n_tokens, read, end):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(n_tokens, 8, 0), nn.LSTM(8, 8, batch_first=True)
        self.dense, self.read, self.end = nn.Linear(8, 1), read, end

    def forward(self, tokens, lengths):
        return self.end(self.dense(self.read(self.lstm, self.embedding(tokens), lengths))[:, 0])


def _build(read=_last, end=lambda z: z):
    return lambda n_tokens: _Reader(n_tokens, read, end)


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
            text = "After 200 steps of training no answer lies beyond {aim}: is there a sigmoid, a "
            raise Hint(text + "tanh, a ReLU or a logarithm at the end? Logits have none.", aim=aim)
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

    def same(answer):
        return torch.allclose(answer, logits, rtol=1e-5, atol=1e-5)

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
    right=_build(),
    says="A sound reader: one logit a review, untouched by padding and by company, and the order "
    "counts. How good it is, the validation part will tell.",
    judge=_is_sound,
    mistakes=(
        (_build(lambda lstm, x, n: lstm(x)[0][:, -1]), "columns of padding change"),
        (_build(lambda lstm, x, n: _last(lstm, F.dropout(x), n)), "dropout without training=?"),
        (_build(lambda lstm, x, n: _last(lstm, x, n - 1)), "Word 22 of 22 has no effect"),
        (_build(lambda lstm, x, n: _last(lstm, x.flip(0), n)), "another answer alone"),
        (_build(lambda lstm, x, n: lstm(x.sum(1)[:, None])[0][:, 0]), "order has no effect"),
        (_build(end=torch.sigmoid), "no answer lies beyond -1"),
        (_build(end=torch.detach), "No gradient flows back"),
    ),
)
