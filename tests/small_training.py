"""A training with everything that must survive an interruption, of a fraction of a second."""

import torch
import torch.nn.functional as F
from torch import nn

from helpers.batches import LengthBatches
from helpers.training import Step, evaluate, fit


class Net(nn.Module):
    """A model with everything that must survive an interruption: dropout and buffers too."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 6)
        self.norm = nn.BatchNorm1d(6)
        self.dropout = nn.Dropout(0.4)
        self.out = nn.Linear(6, 1)

    def forward(self, tokens, lengths):
        x = self.embedding(tokens).sum(1) / lengths[:, None]  # (batch, 6)
        return self.out(self.dropout(self.norm(x)))[:, 0]


def classify(model, batch, state):
    tokens, lengths, labels = batch
    logits = model(tokens, lengths)
    loss = F.binary_cross_entropy_with_logits(logits, labels)
    return Step(loss, len(labels), correct=((logits > 0) == (labels > 0.5)).sum())


def reviews():
    words = torch.randint(1, 12, (60, 9), generator=torch.Generator().manual_seed(0))
    sequences = [row[: 3 + i % 7] for i, row in enumerate(words)]
    return LengthBatches(sequences, [float(row[0] > 6) for row in words], 8)


def train(path=None, epochs=4, stop=None, net=None, **changes):
    """Train a Net from one seed, with everything on; `stop` is called after each epoch."""
    torch.manual_seed(1)
    net, batches = net or Net(), reviews()
    optimizer = torch.optim.AdamW(net.parameters(), lr=changes.pop("lr", 0.02))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.05, total_steps=4 * len(batches)
    )

    def validate(model):
        if stop is not None:
            stop(len(seen))
        seen.append(evaluate(model, classify, batches))
        return seen[-1]

    seen = []
    options = {"clip_norm": 1.0, "average": 0.8, "keep_best": "valid_accuracy"} | changes
    history = fit(
        net,
        classify,
        batches,
        epochs=epochs,
        optimizer=optimizer,
        scheduler=scheduler,
        validate=validate,
        checkpoint=path,
        **options,
    )
    return net, history, torch.rand(3)


def equal(one, two):
    """Same weights, history and random numbers afterwards, to the bit."""
    a, b = one[0].state_dict(), two[0].state_dict()
    return all(torch.equal(a[k], b[k]) for k in a) and one[1] == two[1] and one[2].equal(two[2])
