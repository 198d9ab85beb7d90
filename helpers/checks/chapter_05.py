"""The exercises of chapter 5, *Sentiment of film reviews*."""

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import nn

from helpers.checks.core import Hint, call, close, exercise, tensor


class _Watched(defaultdict):
    """A ``stoi`` that stays itself when it is copied, so that what was added to it can be seen."""

    def __deepcopy__(self, memo):
        return self


@exercise
def to_ids(function: Callable) -> str:
    """5.1: tokens to integers below ``limit``; unknown and rare ones become 1."""
    words = ["<pad>", "<unk>", "the", "a", "film", "good", "qualm"]
    stoi = _Watched(lambda: 1, {word: i for i, word in enumerate(words)})
    tokens = ["a", "zzyzx", "good", "qualm", "film", "frobnitz", "the"]
    for limit in (5, 6):
        known = [stoi.get(token) for token in tokens]
        right = [1 if i is None or i >= limit else i for i in known]
        answer = call(function, list(tokens), stoi, limit)
        grown = len(stoi) - len(words)
        for word in list(stoi)[len(words) :]:
            del stoi[word]
        if isinstance(answer, list | tuple) and None in answer:
            raise Hint(
                "Some of the numbers are None: .get() returns that for a word that is missing, "
                "unless you tell it what to return instead."
            )
        answer = tensor(answer)
        if answer.ndim != 1:
            raise Hint(f"The answer has the shape {tuple(answer.shape)}: one number a token.")
        answer = [int(i) for i in answer.tolist()]
        if answer == right and grown:
            raise Hint(
                f"The numbers are right, but stoi has grown by {grown}: it is a defaultdict, and "
                "square brackets insert what they do not find."
            )
        if len(answer) < len(tokens):
            raise Hint(
                f"{len(tokens)} tokens went in, {len(answer)} numbers came out. A word that is "
                "left out is no longer there to be read, not even as <unk>."
            )
        for wrong, hint in (
            ([1 if i is None else i for i in known],
             f"Unknown words are right, but the limit has no effect: with limit={limit} there are "
             f"numbers up to {max(answer)}."),
            ([1 if i is None or i > limit else i for i in known],
             f"With limit={limit} the number {limit} gets through. An embedding with {limit} rows "
             "counts them from 0."),
            ([1 if i is None else min(i, limit - 1) for i in known],
             "Rare words are pushed down to the largest number allowed: they all become one "
             "frequent word that they are not."),
            ([0 if i is None else 1 if i >= limit else i for i in known],
             "Unknown words became 0. That is padding, which the model takes for the end."),
            ([0 if i is None or i >= limit else i for i in known],
             "Unknown and rare words became 0. That is padding; <unk> has a number of its own."),
            ([1 if i is None else 0 if i >= limit else i for i in known],
             "Rare words became 0, which is padding. They should look like unknown words."),
        ):  # fmt: skip
            if answer == wrong:
                raise Hint(hint)
        if answer == right:
            continue
        if max(answer) >= limit:
            raise Hint(
                f"With limit={limit} the number {max(answer)} came out: an embedding with {limit} "
                "rows would raise an IndexError."
            )
        at = next(k for k in range(len(tokens)) if answer[k : k + 1] != right[k : k + 1])
        raise Hint(f"{tokens[at]!r} became {answer[at]}; with limit={limit} it should be another.")
    return "Unknown and rare words share the number 1, and the vocabulary is as long as before."


_REVIEWS = [
    [9, 8, 7, 6, 5],
    [2, 3],
    [7, 2, 9, 3, 4, 5, 6, 8],
    [5, 6, 4],
    [8, 3, 3, 9, 2, 7, 6],
    [3, 9, 4, 4],
    [4, 7, 8, 9, 2, 3],
]  # all lengths differ
_LABELS = [0, 1, 1, 0, 0, 1, 0]


@exercise
def by_length(function: Callable) -> str:
    """5.2: batches of (tokens, lengths, labels), short reviews first, each with its own label."""
    batches = call(function, [list(review) for review in _REVIEWS], list(_LABELS), 3)
    if not isinstance(batches, list | tuple) or not all(
        isinstance(batch, list | tuple) and len(batch) == 3 for batch in batches
    ):
        raise Hint("A list is expected here, of one triple (tokens, lengths, labels) a batch.")
    count = sum(len(labels) for _, _, labels in batches)
    if count < len(_REVIEWS):
        raise Hint(
            f"{len(_REVIEWS)} reviews went in, {count} came out: the last batch may be smaller "
            "than the others, it must not be lost."
        )
    if [len(labels) for _, _, labels in batches] != [3, 3, 1]:
        raise Hint(
            f"7 reviews in batches of 3 make 3, 3 and 1; yours have "
            f"{[len(labels) for _, _, labels in batches]}."
        )
    order = sorted(range(len(_REVIEWS)), key=lambda i: len(_REVIEWS[i]))
    if _in_order([*order[::-1]], batches):
        raise Hint("All is in place, but the longest stand first. The short ones should.")
    for wrong, hint in (
        (range(len(_REVIEWS)),
         "The reviews stand in the batches as they came: short ones beside long ones."),
        (sorted(range(len(_REVIEWS)), key=lambda i: _REVIEWS[i]),
         "This is the order of the first words: sorted() compares lists element by element. It "
         "takes a key."),
        (sorted(range(len(_REVIEWS)), key=lambda i: (_LABELS[i], len(_REVIEWS[i]))),
         "The reviews are sorted by label first: every batch would hold one class."),
    ):  # fmt: skip
        if _in_order(wrong, batches):
            raise Hint(hint)
    for k, (tokens, lengths, labels) in enumerate(batches):
        rows = order[3 * k : 3 * k + 3]
        _check_batch(f"batch {k + 1}", rows, tokens, lengths, labels)
    return "Similar lengths share a batch, and every review kept its own length and its own label."


def _in_order(order, batches) -> bool:
    """Tell whether the rows, padding aside, are the reviews in this order, labels and all."""
    order = list(order)
    for k, (tokens, _, labels) in enumerate(batches):
        rows = order[3 * k : 3 * k + 3]
        tokens = tensor(tokens, what="tokens")
        if tokens.ndim != 2 or [_real(row) for row in tokens] != [_REVIEWS[i] for i in rows]:
            return False
        if tensor(labels, what="labels").flatten().tolist() != [_LABELS[i] for i in rows]:
            return False
    return True


def _real(row) -> list[int]:
    return [int(i) for i in row.tolist() if i != 0]


def _check_batch(name, rows, tokens, lengths, labels) -> None:
    wanted = [_REVIEWS[i] for i in rows]
    width = max(map(len, wanted))
    tokens = tensor(tokens, what=f"tokens of {name}")
    lengths = tensor(lengths, (len(rows),), f"lengths of {name}").tolist()
    labels = tensor(labels, (len(rows),), f"labels of {name}").tolist()
    if tokens.ndim != 2 or len(tokens) != len(rows):
        raise Hint(f"tokens of {name} has shape {tuple(tokens.shape)}; it should be (batch, time).")
    real = [_real(row) for row in tokens]
    if tokens.shape[1] < width:
        raise Hint(f"The longest of {name} has {width} words, the rectangle is narrower: cut off.")
    if [row[: len(w)] for row, w in zip(real, wanted, strict=True)] == wanted and real != wanted:
        raise Hint(f"In {name} something other than 0 fills the rest of the row.")
    if sorted(real) == sorted(wanted) and real != wanted:
        raise Hint(f"{name} has the right reviews, its rows are not sorted by length.")
    if real != wanted:
        raise Hint(f"{name} holds {real}; expected are {wanted}.")
    if tokens.shape[1] > width:
        raise Hint(
            f"{name} is {tokens.shape[1]} wide, its longest review has {width} words: pad to the "
            "longest of the batch, not of all."
        )
    if any(row[0] == 0 for row in tokens.tolist()):
        raise Hint(f"In {name} the zeros stand in front; padding goes to the end.")
    if lengths == [width] * len(rows) and len(rows) > 1:
        raise Hint("The lengths are those after padding, all the same. Measure before you pad.")
    if lengths != [len(w) for w in wanted]:
        raise Hint(
            f"The lengths of {name} belong to other reviews: they stayed in the order of before."
        )
    if labels != [_LABELS[i] for i in rows]:
        raise Hint(
            f"The reviews of {name} moved, their labels did not move with them. A model trained on "
            "this learns nothing, and nothing crashes."
        )


@exercise
def mean_and_max(function: Callable) -> str:
    """5.4: mean and maximum over the real steps, side by side, ``(batch, 2 * hidden)``."""
    torch.manual_seed(5)
    size, lengths = 4, torch.tensor([3, 6, 5])
    h = torch.rand(3, 6, size) * 1.8 - 0.9  # (batch, time, hidden)
    h[2, :, 0] = -h[2, :, 0].abs()  # a unit that is always negative
    steps = torch.arange(6)
    real = (steps < lengths[:, None])[..., None]  # (batch, time, 1)
    h[0, 2:5] = torch.tensor([0.92, 0.94, 0.96])[:, None]  # the last real step, and what follows
    zeroed = h * real
    answer = tensor(call(function, h, lengths))
    mean = zeroed.sum(1) / lengths[:, None]
    maximum = h.masked_fill(~real, -torch.inf).amax(1)
    if answer.shape == (3, size):
        raise Hint("This is one half: the mean and the maximum stand side by side, 8 numbers.")
    if answer.shape == (6, 2 * size):
        raise Hint("The shape is (6, 8): this went over the reviews, not over the time steps.")
    if answer.shape == (3, 12):
        raise Hint("The shape is (3, 12): this went over the hidden units, not over the time.")
    if answer.shape != (3, 2 * size):
        raise Hint(
            f"For 3 reviews and {size} hidden units the shape is {tuple(answer.shape)}; expected "
            f"is {(3, 2 * size)}."
        )
    left, right = answer[:, :size], answer[:, size:]
    if close(left, maximum) and close(right, mean):
        raise Hint("The numbers are right, the halves are exchanged: the mean comes first.")
    if close(left, h.mean(1)) and close(right, h.amax(1)):
        raise Hint(
            "Mean and maximum run over the padding too. Both answers change with the width of the "
            "batch."
        )
    for shift in (-1, 1):
        off = (steps < lengths[:, None] + shift)[..., None]
        shifted = h.masked_fill(~off, -torch.inf).amax(1)
        if close(right, shifted) and not close(right, maximum):
            raise Hint(
                f"One step too {'few' if shift < 0 else 'many'}: a review of 3 words has the real "
                "steps 0, 1 and 2."
            )
    if not bool(answer.isfinite().all()):
        raise Hint(
            "There are infinite numbers in it. What leaves a maximum alone does not leave a sum "
            "alone."
        )
    for value, hint in (
        (h.mean(1), "The mean runs over the padding as well."),
        (zeroed.mean(1), "Padding adds nothing to the sum, but it still counts in the number that "
                         "you divide by."),
        (zeroed.sum(1), "The first half is the sum; divide it by the number of real steps."),
        (h.masked_fill(~real, -1).mean(1), "The mean has the filling of the maximum in it: -1 "
                                           "leaves a maximum alone, and pulls a mean down."),
    ):  # fmt: skip
        if close(left, value) and not close(left, mean):
            raise Hint(hint)
    if close(left, mean):
        for value, hint in (
            (h.amax(1), "The mean is right. The maximum looks at the padding as well."),
            (zeroed.amax(1), "The mean is right. In the maximum the zeros of the padding win over "
                             "units whose states are all negative."),
            (h.masked_fill(~real, -torch.inf).amin(1), "The second half holds -inf: a minimum?"),
            (zeroed.abs().amax(1), "The second half is the largest magnitude; the sign counts."),
        ):  # fmt: skip
            if close(right, value) and not close(right, maximum):
                raise Hint(hint)
        if not close(right, maximum):
            raise Hint("The mean is right, the maximum is not yet.")
        return (
            "Each with its own neutral element: 0 leaves a sum alone, anything up to -1 leaves the "
            "maximum of LSTM states alone."
        )
    if close(right, maximum):
        raise Hint("The maximum is right, the mean is not yet.")
    raise Hint("Neither half is right yet. Begin with a mask: which steps are real?")


@exercise
def accuracy(function: Callable) -> str:
    """5.3: the share of right answers, from batches of logits ``(batch, 1)`` and labels."""
    torch.manual_seed(5)
    batches = []
    for count, share in ((8, 0.75), (8, 0.5), (3, 1 / 3)):
        labels = (torch.arange(count) % 3 > 0).float()
        right = torch.arange(count) < round(share * count)
        size = torch.tensor([0.2, 1.5, 3.0, 0.4, 2.0, 0.3, 0.9, 4.0])[:count]
        logits = torch.where(right == labels.bool(), size, -size)
        batches.append((logits[:, None], labels))
    value = tensor(call(function, batches))
    if value.numel() != 1:
        raise Hint(f"One number is expected, this has the shape {tuple(value.shape)}.")
    value = float(value)
    flat = [(logits[:, 0], labels) for logits, labels in batches]
    logits, labels = (torch.cat(parts) for parts in zip(*flat, strict=True))

    def share(z, y):
        return float(((z > 0) == (y > 0.5)).double().mean())

    def same(other):
        return abs(value - float(other)) < 1e-6

    right = share(logits, labels)
    means = [share(z, y) for z, y in flat]
    table = [(z > 0) == (y > 0.5) for z, y in batches]  # (batch, batch): the trap
    n = len(labels)
    if same(right):
        return "11 of 19: every review counts once, and the border between the classes is logit 0."
    for wrong, hint in (
        (sum(means) / 3, "This is the mean of the batches' accuracies. The last batch has 3 "
                         "reviews, and here they weigh as much as 8."),
        (share(logits - 0.5, labels), "The border is drawn at 0.5. That is right for "
                                      "probabilities; these are logits."),
        (1 - right, "This is the share of wrong answers."),
        (100 * right, "This is in percent; a share lies between 0 and 1."),
        (right * n, "This is the number of right answers. Divide it by the number of reviews."),
        (labels.mean(), "For you every answer is positive. A sigmoid is always above 0, and a "
                        "second sigmoid always at or above 0.5."),
        (1 - labels.double().mean(), "For you every answer is negative. With one column, "
                                     "argmax(dim=1) has nothing to choose from."),
        ((logits.round() == labels).double().mean(), "The logits are rounded and compared with 0 "
                                                     "and 1; but 3.0 is a positive answer too."),
        (means[-1], "This is the accuracy of the last batch alone."),
        (means[0], "This is the accuracy of the first batch alone: a return inside the loop?"),
    ):  # fmt: skip
        if same(wrong):
            raise Hint(hint)
    together = sum(t.double().sum() for t in table)
    for wrong in (
        together / n,
        together / sum(t.numel() for t in table),
        sum(t.double().mean() for t in table) / 3,
        (logits[:, None] > 0).eq(labels > 0.5).double().mean(),
    ):
        if same(wrong):
            raise Hint(
                "Logits of shape (batch, 1) and labels of shape (batch,) are compared each with "
                "each: a square of answers, without an error. Look at the shape of the comparison."
            )
    if not 0 <= value <= 1:
        raise Hint(f"A share lies between 0 and 1, this is {value:g}.")
    raise Hint(f"{value:.4f} of 19 reviews would be {value * n:.2f} right answers. Count them.")


_LENGTHS = torch.tensor([9, 5, 7, 6, 9, 4, 8, 3])


def _reviews(seed: int, n_tokens: int) -> torch.Tensor:
    """Return eight reviews of the lengths above, int64 ``(8, 9)``, padded with 0."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, n_tokens, (8, 9), generator=generator)
    return tokens.masked_fill(torch.arange(9) >= _LENGTHS[:, None], 0)


@exercise
def sound_reader(build: Callable) -> str:
    """5.5: a model of one's own, ``build(n_tokens)``, that reads padded batches of reviews."""
    torch.manual_seed(5)
    call(build, 20)
    n_tokens = 60
    model = call(build, n_tokens)
    if not isinstance(model, nn.Module):
        raise Hint(f"build should return an nn.Module, this is of type {type(model).__name__}.")
    if not any(p.requires_grad for p in model.parameters()):
        raise Hint("The model has nothing to learn: no parameter. Are its layers in a plain list?")
    model.eval()
    tokens = _reviews(1, n_tokens)

    def ask(tokens, lengths=_LENGTHS):
        return tensor(call(model, tokens, lengths))

    answer = ask(tokens)
    if answer.shape != (8,):
        raise Hint(
            f"For 8 reviews the answer has the shape {tuple(answer.shape)}; expected is one logit "
            "a review, (8,)."
        )
    if not bool(answer.isfinite().all()):
        raise Hint("There are infinite numbers or NaN among the answers.")
    if not close(ask(tokens), answer, 1e-6):
        raise Hint(
            "In eval mode the same reviews get another answer the second time. F.dropout needs "
            "training=self.training."
        )
    others = _reviews(2, n_tokens)
    others[[0, -1]] = tokens[[0, -1]]
    if not close(ask(others)[[0, -1]], answer[[0, -1]]):
        raise Hint(
            "A review gets another answer when the reviews beside it change. Does a layer take the "
            "batch for the time?"
        )
    wide = nn.functional.pad(tokens, (0, 6))
    if not close(ask(wide), answer):
        raise Hint(
            "Six more columns of padding change the answers. What reads the zeros: a state, a "
            "mean, a maximum, a backward direction that begins there?"
        )
    turned = tokens.gather(1, _turn_inside())
    if close(ask(turned), answer, 1e-6):
        raise Hint(
            "Turn the words of each review around, and no answer changes: this model counts words, "
            "it does not read."
        )
    other = torch.where(tokens > 0, (tokens - 1) % (n_tokens - 2) + 2, 0)  # no word stays
    places = {"The last word": _LENGTHS[:, None] - 1, "The first word": 0}
    places |= {f"Word {at + 1}": at for at in range(1, 9)}
    for name, at in places.items():
        changed = torch.where(torch.arange(9) == at, other, tokens)
        if close(ask(changed), answer, 1e-7):
            raise Hint(f"{name} of a review has no effect on its answer.")
    return _learns(model, tokens)


def _turn_inside() -> torch.Tensor:
    """Return the indices that turn each review around within its own length."""
    steps = torch.arange(9)
    mirrored = _LENGTHS[:, None] - 1 - steps
    return torch.where(mirrored >= 0, mirrored, steps)


def _learns(model: nn.Module, tokens: torch.Tensor) -> str:
    """Train for a moment towards negative answers, then positive ones; look at what moves."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for label, name in ((0.0, "negative"), (1.0, "positive")):
        model.train()
        for _ in range(40):
            logits = call(model, tokens, _LENGTHS)
            if not logits.requires_grad:
                raise Hint(
                    "No gradient flows back from the answer. Is there a detach() or no_grad?"
                )
            loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.full((8,), label))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        idle = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
        if idle:
            raise Hint(f"The loss never reaches {idle[0]!r}: a layer that forward does not use?")
        model.eval()
        logits = tensor(call(model, tokens, _LENGTHS))
        furthest = float(((2 * label - 1) * logits).max())
        if furthest <= 0:
            side, end = ("above", "logarithm") if label else ("below", "sigmoid, a ReLU")
            raise Hint(
                f"After 40 steps towards {name!r} no answer is {side} 0. Is there a {end} at the "
                "end? The loss expects logits."
            )
        if furthest <= 1:
            raise Hint(
                f"After 40 steps towards {name!r} every answer stays between -1 and 1. Is there a "
                "tanh at the end? The loss expects logits."
            )
    return (
        "A sound reader: one logit a review, untouched by padding and by company, and the order "
        "counts. How good it is, the validation part will tell."
    )
