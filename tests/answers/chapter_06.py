"""Right and wrong answers to the exercises of chapter 6, for test_checks.py."""

import math

import torch
import torch.nn.functional as F

BITS = 1 / math.log(2)  # in a nat


def readings(bits=BITS, one=math.exp, word=None, words=lambda text: len(text.split())):
    """Make an answer from a factor, a function of the nats, and one of (nats, text, words)."""
    word = word or (lambda nats, text, n: math.exp(nats * len(text) / n))
    return lambda nats, text: (nats * bits, one(nats), word(nats, text, words(text)))


def windows(cut):
    """Cut off what fills no window, and hand the rest to `cut`, with its sizes."""

    def function(ids, batch, window):
        count = len(ids) // (batch * window)
        return cut(ids[: count * batch * window], count, batch, window)

    return function


def with_gap(ids, batch, window):  # windows of window + 1, of which the last character is dropped
    steps = len(ids) // batch
    rows = ids[: batch * steps].reshape(batch, steps)
    count = steps // window
    starts = (torch.arange(count) * (window - 1))[:, None] + torch.arange(window)
    return rows[:, starts].transpose(0, 1)


def losses(carry=True, per="target", train=False, unit=1.0, count=None):
    def function(model, batches):
        model.train(train)
        state, total, n, means = None, 0.0, 0, []
        for inputs, targets in batches:
            with torch.no_grad():
                logits, new = model(inputs, state)
            state = new if carry else None
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
            here = targets.numel() if count == "all" else (targets >= 0).sum()
            total, n = total + loss, n + here
            means.append(loss / here)
        result = {"target": total / n, "window": sum(means) / len(means), "sum": total}[per]
        return unit(result) if callable(unit) else result * unit

    return function


def remembers():
    """Make a function that goes on with the state of its last call."""
    kept = {"state": None}

    def function(model, batches):
        model.eval()
        state, total, n = kept["state"], 0.0, 0
        with torch.no_grad():
            for inputs, targets in batches:
                logits, state = model(inputs, state)
                loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
                total, n = total + loss, n + (targets >= 0).sum()
        kept["state"] = state
        return total / n

    return function


def top_p(more=0, back=True, normal=True, descending=True):
    def function(logits, share):
        p, order = torch.softmax(logits, 0).sort(descending=descending)
        kept = p * (torch.arange(len(p)) < (p.cumsum(0) < share - 1e-9).sum() + 1 + more)
        kept = kept / kept.sum() if normal else kept
        return torch.zeros_like(p).scatter(0, order, kept) if back else kept

    return function


def softmax(z, dim=-1):
    return torch.softmax(z, dim)


def rest_at_the_end_of_each(ids, batch, window):
    steps = len(ids) // batch
    rows = ids[: batch * steps].reshape(batch, steps)[:, : steps // window * window]
    return rows.reshape(batch, -1, window).transpose(0, 1)


RIGHT = {
    "inputs_and_targets": [lambda chunk: (chunk[:-1], chunk[1:])],
    "three_readings": [readings()],
    "windows_in_order": [
        windows(lambda ids, n, b, w: ids.reshape(b, n, w).transpose(0, 1)),
        rest_at_the_end_of_each,
    ],
    "nats_per_character": [losses()],
    "next_probabilities": [lambda z, T: softmax(z / T)],
    "nucleus": [top_p()],
}

WRONG = {
    "inputs_and_targets": [
        lambda chunk: (chunk[1:], chunk[:-1]),  # backwards
        lambda chunk: (chunk[:-1], chunk[:-1]),  # copies
        lambda chunk: (chunk, chunk.roll(-1)),  # in a circle
        lambda chunk: (chunk, chunk[1:]),
        lambda chunk: (chunk[:-1], chunk),
        lambda chunk: (chunk[:-2], chunk[2:]),  # two ahead
        lambda chunk: (chunk[:-1], chunk[-1:]),  # many-to-one
        lambda chunk: chunk[:-1],
        lambda chunk: (chunk[:-1], chunk[1:].flip(0)),
    ],
    "three_readings": [
        readings(bits=math.log(2)),  # the wrong way
        readings(bits=1),
        readings(bits=1 / math.log(10)),
        readings(one=lambda nats: 2**nats),
        readings(one=lambda nats: math.exp(nats / math.log(2))),
        readings(one=lambda nats: nats),
        readings(one=lambda nats: math.exp(-nats)),
        readings(word=lambda nats, text, n: math.exp(nats)),
        readings(word=lambda nats, text, n: math.exp(nats) * len(text) / n),  # multiplied
        readings(word=lambda nats, text, n: math.exp(nats * sum(map(len, text.split())) / n)),
        readings(words=lambda text: len(text.split(" "))),
        readings(words=lambda text: text.count(" ")),
        readings(word=lambda nats, text, n: math.exp(nats * n / len(text))),
        readings(word=lambda nats, text, n: nats * len(text) / n),
        lambda nats, text: nats / math.log(2),
        readings(bits=3),
    ],
    "windows_in_order": [
        windows(lambda ids, n, b, w: ids.reshape(n, b, w)),  # neighbours in one batch
        windows(lambda ids, n, b, w: ids.reshape(n, w, b).transpose(1, 2)),  # batch is time
        windows(lambda ids, n, b, w: ids.reshape(b, n, w)),  # the first two axes
        windows(lambda ids, n, b, w: ids.reshape(b, n, w).permute(1, 2, 0)),  # the last two
        windows(lambda ids, n, b, w: ids[: n * w].reshape(n, 1, w).expand(n, b, w).clone()),
        with_gap,  # reads some characters twice
        lambda ids, b, w: ids[: len(ids) // b * b].reshape(b, -1),  # streams, not cut
        windows(lambda ids, n, b, w: ids.reshape(b, n, w).transpose(0, 1).flip(2)),
        windows(lambda ids, n, b, w: ids.reshape(b, n, w).transpose(0, 1)[:-1]),
        windows(lambda ids, n, b, w: "windows"),
    ],
    "nats_per_character": [
        losses(carry=False),
        losses(per="window"),
        losses(carry=False, per="window"),
        losses(count="all"),
        losses(per="sum"),
        losses(unit=BITS),
        losses(unit=torch.exp),
        losses(train=True),  # dropout
        remembers(),
        lambda model, batches: 1.0,
        lambda model, batches: torch.ones(4),
    ],
    "next_probabilities": [
        lambda z, T: softmax(z * T),  # upside down
        lambda z, T: softmax(z) / T / (softmax(z) / T).sum(1, keepdim=True),  # no effect
        lambda z, T: softmax(z) / T,
        lambda z, T: softmax(softmax(z) / T),  # twice
        lambda z, T: softmax(z / T, 0),
        lambda z, T: torch.log_softmax(z / T, 1),
        lambda z, T: z / T,
        lambda z, T: softmax(z) ** (1 / T),
        lambda z, T: F.one_hot(z.argmax(1), 3),
        lambda z, T: z * 0 + 0.2,
        lambda z, T: z * 0 + 1 / 3,
    ],
    "nucleus": [
        top_p(normal=False),
        top_p(back=False),  # sorted
        top_p(more=-1),  # one too few
        top_p(more=1),  # one too many
        top_p(descending=False),  # the least probable
        lambda z, share: softmax(z),  # everything
        lambda z, share: softmax(z) * (softmax(z) >= share),  # each for itself
        lambda z, share: softmax(softmax(z) * (top_p()(z, share) > 0)),  # 0 is not -inf
        lambda z, share: z * float("nan"),
        lambda z, share: softmax(z * 0),
    ],
}

HINTS = []
