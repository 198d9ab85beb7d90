"""The exercises of chapter 6, *A language model*."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.core import Hint, call, close, exercise, tensor


def _pair(answer: Any, names: tuple[str, ...]) -> tuple:
    """Return an answer of several parts, or say which parts are expected."""
    if not isinstance(answer, tuple | list) or len(answer) != len(names):
        raise Hint(f"{len(names)} things are expected back: {', '.join(names)}.")
    return tuple(answer)


@exercise
def inputs_and_targets(function: Callable) -> str:
    """6.1: the inputs and the targets, one apart, from a chunk of a text."""
    for chunk in (torch.tensor([4, 8, 15, 16, 23, 42]), torch.tensor([7, 3, 3, 9])):
        x, y = _pair(call(function, chunk), ("inputs", "targets"))
        x, y = tensor(x, what="inputs"), tensor(y, what="targets")
        first, last, n = chunk[:-1], chunk[1:], len(chunk)
        if close(x, first) and close(y, last):
            continue
        if close(x, last) and close(y, first):
            raise Hint(
                f"After reading {x[0]:g} you ask for {y[0]:g}, which came before it: this network "
                "learns to write backwards."
            )
        if x.shape == y.shape and close(x, y):
            raise Hint(
                "Each target is its own input. A network copies what it reads, the loss goes to 0, "
                "and nothing has been predicted."
            )
        if close(x, chunk) and (close(y, chunk.roll(-1)) or close(y, chunk.roll(1))):
            raise Hint(
                "roll turns the chunk in a circle: one character is paired with one from the other "
                "end, which is not beside it in the text."
            )
        if close(x, chunk) and close(y, last):
            raise Hint(
                f"{n} inputs and {n - 1} targets: the last input has no target in the chunk."
            )
        if close(x, first) and close(y, chunk):
            raise Hint(f"{n - 1} inputs and {n} targets: the first character is nobody's target.")
        if close(x, chunk[:-2]) and close(y, chunk[2:]):
            raise Hint("The targets are two steps ahead of the inputs.")
        if close(x, first) and close(y, chunk[-1:]):
            raise Hint("One target for the whole chunk: that is many-to-one. Every step has one.")
        raise Hint(
            f"For {chunk.tolist()} you pair {x.flatten().tolist()} with {y.flatten().tolist()}. "
            "Which character follows each input?"
        )
    return "Every character but the first is a target, every one but the last an input."


@exercise
def three_readings(function: Callable) -> str:
    """6.2: bits a character, perplexity a character and perplexity a word, from nats."""
    names = ("bits a character", "perplexity a character", "perplexity a word")
    for nats, text in (
        (1.2, "The colonists were silent. "),
        (0.9, "Top barked;\nso did the dog of the engineer,\nloudly "),
    ):
        parts = _pair(call(function, nats, text), names)
        bits, one, word = (
            tensor(part, (), f"The {name}").item() for part, name in zip(parts, names, strict=True)
        )
        e, words = math.exp(nats), len(text.split())
        _judge_reading(
            bits, nats / math.log(2), "bits a character", "1 bit is 0.69 nats",
            (nats * math.log(2), "You multiply by ln 2, so there are fewer bits than nats. One bit "
                                 "is the smaller unit: it takes more of them."),
            (nats, "The bits are the nats, unchanged."),
            (math.log2(nats), "This is the logarithm of the loss. The loss is a logarithm already; "
                              "only its base changes."),
            (nats / math.log(10), "You divide by ln 10: these are decimal digits, not bits."),
        )  # fmt: skip
        _judge_reading(
            one, e, "perplexity of a character", "whose logarithm are the nats?",
            (2**nats, "You raise 2 to the power of nats. To nats belongs the base e; to bits, 2."),
            (math.exp(bits), "You raise e to the power of bits. To bits belongs the base 2."),
            (nats, "The perplexity is the loss itself; it should be a number of characters."),
            (math.exp(-nats), "Below 1: you have left the minus of -ln p in the exponent."),
        )  # fmt: skip
        letters = sum(map(len, text.split()))
        _judge_reading(
            word, math.exp(nats * len(text) / words), "perplexity of a word",
            "add up the nats of all characters, share them among the words",
            (e, "A word is no more uncertain than a character. How many characters is a word?"),
            (e * len(text) / words, "You multiply by the length of a word. Nats add up from "
                                    "character to character, so perplexities multiply."),
            (math.exp(nats * letters / words),
             "The letters alone are counted. The model pays for spaces and line breaks, too."),
            (math.exp(nats * len(text) / (text.count(" ") + 1)),
             "Words are parted by more than the space. text.split() knows."),
            (math.exp(nats * len(text) / max(text.count(" "), 1)),
             "You count spaces. Words are parted by line breaks, too: text.split() knows."),
            (math.exp(nats * words / len(text)),
             "Upside down: you share the nats of the words among the characters."),
            (nats * len(text) / words, "These are the nats of a word, not yet its perplexity."),
        )  # fmt: skip
    return "3.3 for a character, hundreds for a word: the same model. Always name the unit."


def _judge_reading(value: float, right: float, name: str, clue: str, *wrong: tuple) -> None:
    if math.isclose(value, right, rel_tol=1e-4):
        return
    for other, hint in wrong:
        if math.isclose(value, other, rel_tol=1e-4):
            raise Hint(f"{name.capitalize()}: {hint}")
    raise Hint(f"{name.capitalize()}: {value:.4g} is not right; {clue}.")


@exercise
def windows_in_order(function: Callable) -> str:
    """6.3: a text as windows in which row b of each batch continues row b of the one before."""
    for n, batch, window in ((31, 3, 5), (48, 4, 3)):
        ids = torch.arange(100, 100 + n)
        answer = tensor(call(function, ids, batch, window), what="The windows")
        count = n // (batch * window)
        case = f"Of a text of {n}, for {batch} streams and windows of {window},"
        # Streams of n // batch steps, or of as many as fill their windows: both are right.
        for steps in (n // batch, count * window):
            rows = ids[: batch * steps].reshape(batch, steps)[:, : count * window]
            right = rows.reshape(batch, count, window).transpose(0, 1)
            if close(answer, right):
                break
            _judge_windows(answer, right, case)
        else:
            in_order = ids[: count * batch * window].reshape(count, batch, window)
            if close(answer, in_order):
                raise Hint(
                    f"Row 0 of the first batch ends with {answer[0, 0, -1]:g}, row 0 of the second "
                    f"begins with {answer[1, 0, 0]:g}. The windows that follow one another stand "
                    "below each other in one batch: the carried state meets the wrong text."
                )
            turned = ids[: count * batch * window].reshape(count, window, batch).transpose(1, 2)
            if close(answer, turned):
                raise Hint(
                    f"Row 0 reads {', '.join(f'{v:g}' for v in answer[0, 0, :3])}: it takes one "
                    f"character in {batch}, as if batch and time were exchanged."
                )
            if answer.shape == right.shape and bool((answer[:, 0] == answer[:, -1]).all()):
                raise Hint("All rows read the same part of the text: they learn the same thing.")
            if answer.shape == right.shape and _contiguous_but_gap(answer):
                raise Hint(
                    f"Row 0 ends with {answer[0, 0, -1]:g} and goes on with {answer[1, 0, 0]:g} in "
                    "the next batch: between two windows characters are left out or read twice."
                )
            if answer.shape != right.shape:
                raise Hint(
                    f"{case} {tuple(right.shape)} is expected: (batches, batch, window). This is "
                    f"{tuple(answer.shape)}."
                )
            raise Hint(
                f"{case} row 0 of the first batch reads {answer[0, 0].tolist()}. Follow row 0 "
                "through all batches: does it read the text in order?"
            )
    return "Row b of each batch goes on where row b of the batch before stopped."


def _judge_windows(answer: torch.Tensor, right: torch.Tensor, case: str) -> None:
    if close(answer, right.transpose(0, 1)):
        raise Hint(
            "The numbers are right, the first two axes are exchanged: (batch, batches, window). A "
            "loop over the answer would give one stream after another."
        )
    if close(answer, right.transpose(1, 2)):
        raise Hint("Each batch is (window, batch): its rows and columns are exchanged.")
    if answer.ndim == 3 and close(answer[: len(right)], right):
        raise Hint(f"{case} there are {len(right)} full windows a stream, not {len(answer)}.")
    if answer.ndim == 2 and answer.numel() >= right.numel() and len(answer) == right.shape[1]:
        raise Hint("These are the streams, one a row. Now cut them into windows.")


def _contiguous_but_gap(answer: torch.Tensor) -> bool:
    """Tell whether each window reads on from left to right, and the next one does not follow."""
    inside = bool((answer.diff(dim=2) == 1).all())
    return inside and len(answer) > 1 and bool((answer[1:, 0, 0] != answer[:-1, 0, -1] + 1).any())


class _Reader(nn.Module):
    """A small model with a long memory and dropout, called like that of the chapter."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(5, 4), nn.LSTM(4, 6, batch_first=True)
        self.dropout, self.dense = nn.Dropout(0.5), nn.Linear(6, 5)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(2.5 * torch.randn(p.shape))

    def forward(self, ids, state=None):
        h, state = self.lstm(self.embedding(ids), state)
        return self.dense(self.dropout(h)), state


def _read(model, batches, carry=True, per="target") -> float:
    """Return the loss, by the right way or one of the wrong ones."""
    model.eval()
    state, sums, means, counts, cells = None, 0.0, [], 0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            logits, state = model(inputs, state if carry else None)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").item()
            n = int((targets >= 0).sum())
            sums, counts, cells = sums + loss, counts + n, cells + targets.numel()
            means.append(loss / n)
    return {
        "target": sums / counts,
        "window": sum(means) / len(means),
        "cell": sums / cells,
        "sum": sums,
        "sum of means": sum(means),
    }[per]


@exercise
def nats_per_character(function: Callable) -> str:
    """6.4: the mean loss of a model over the windows of a text, its state carried."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        model = _Reader()
        texts = [_windows(torch.randint(5, (2, 24))), _windows(torch.randint(5, (2, 24)))]
    for batches in texts:
        model.train()  # as a model is left that has just learned
        answer, again = (
            tensor(call(function, model, batches), (), "The loss").item() for _ in range(2)
        )
        _judge_loss(answer, again, _read(model, batches), model, batches)
    return "Each character counts once, with all that was read before it, and with no dropout."


def _windows(ids: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Cut two streams into windows of 8, 8, 4 and 3 steps; the last target of row 1 is missing."""
    targets = ids[:, 1:].clone()
    targets[1, -3:] = -100
    return list(
        zip(ids[:, :-1].split([8, 8, 4, 3], 1), targets.split([8, 8, 4, 3], 1), strict=True)
    )


def _judge_loss(answer, again, right, model, batches) -> None:
    if math.isclose(answer, right, rel_tol=1e-4):
        if math.isclose(again, right, rel_tol=1e-4):
            return
        raise Hint(
            "The first call is right, a second one on the same text gives another number: the "
            "state of the call before is still there. Each text begins with the state None."
        )
    for kwargs, hint in (
        ({"carry": False}, "Every window starts with an empty memory. The state that comes back "
                           "from one window belongs into the next."),
        ({"per": "window"}, "This is the mean of the windows' means: a character in the short last "
                            "window weighs more than one in the others."),
        ({"carry": False, "per": "window"}, "Two things: the state is not carried, and each window "
                                            "weighs the same, however short it is."),
        ({"per": "cell"}, "The sum is divided by all places, those with the target -100 too, of "
                          "which cross_entropy left out the loss."),
        ({"per": "sum"}, "This is the sum over all characters, not their mean."),
        ({"per": "sum of means"}, "This is the sum of the windows' means."),
    ):  # fmt: skip
        if math.isclose(answer, _read(model, batches, **kwargs), rel_tol=1e-4):
            raise Hint(hint)
    if math.isclose(answer, right / math.log(2), rel_tol=1e-4):
        raise Hint("These are bits; nats are asked for.")
    if math.isclose(answer, math.exp(right), rel_tol=1e-4):
        raise Hint("This is the perplexity; nats are asked for.")
    if not math.isclose(answer, again, rel_tol=1e-6):
        raise Hint(
            f"Called twice on the same text, you get {answer:.3f} and {again:.3f}: dropout is at "
            "work. Measure in eval mode."
        )
    raise Hint(f"The loss is {right:.3f} nats, yours is {answer:.3f}. What does one target weigh?")


@exercise
def next_probabilities(function: Callable) -> str:
    """6.5: probabilities from logits at a temperature."""
    logits = torch.tensor([[1.0, 1.0, 3.0], [2.0, -1.0, 0.5]], dtype=torch.float64)
    for T in (2.0, 0.5, 1.0):
        p = tensor(call(function, logits, T), (2, 3), "The probabilities")
        right = torch.softmax(logits / T, dim=1)
        if close(p, right):
            continue
        plain = torch.softmax(logits, dim=1)
        for wrong, hint in (
            (torch.softmax(logits * T, dim=1),
             f"At temperature {T:g} the most probable character became "
             f"{'more' if T > 1 else 'less'} probable: you use the temperature as the scale "
             "factor. It is its inverse."),
            (plain, f"At temperature {T:g} nothing changes. Dividing probabilities and making "
                    "their sum 1 again takes the division back: where must it stand?"),
            (plain / T, f"These sum up to {1 / T:g}: the temperature divides the probabilities "
                        "instead of the logits."),
            (torch.softmax(plain / T, dim=1), "The softmax is taken twice: of the logits, and once "
                                              "more of the probabilities."),
            (torch.softmax(logits / T, dim=0), "The columns sum up to 1, not the rows: each row is "
                                               "one stream."),
            (torch.log_softmax(logits / T, dim=1), "These are logarithms of probabilities."),
            (logits / T, "These are the divided logits, not yet probabilities."),
            (plain ** (1 / T), "The powers are right, but they no longer sum up to 1."),
            (F.one_hot(logits.argmax(1), 3), "Always the most probable one: that is temperature "
                                             "0, and here it is asked for " + f"{T:g}."),
            (torch.softmax(logits - T, dim=1), "A number taken off all logits changes nothing."),
        ):  # fmt: skip
            if close(p, wrong):
                raise Hint(hint)
        if not close(p.sum(1), torch.ones(2)):
            raise Hint(f"The rows sum up to {p.sum(1).tolist()}, not to 1.")
        raise Hint(f"At temperature {T:g} the logits 1, 1, 3 give {p[0].tolist()}.")
    return "Above 1 the field is levelled, below 1 the favourite wins more often."


@exercise
def nucleus(function: Callable) -> str:
    """6.6: the smallest set of characters that holds the probability p, renormalised."""
    p = torch.tensor([0.08, 0.5, 0.02, 0.25, 0.15], dtype=torch.float64)
    order = p.argsort(descending=True)

    def keep(indices):
        kept = torch.zeros(5, dtype=torch.float64)
        kept[indices] = p[indices]
        return kept / kept.sum()

    for share, size in ((0.7, 2), (0.8, 3), (0.3, 1), (1.0, 5)):
        answer = tensor(call(function, p.log(), share), (5,), "The probabilities")
        right = keep(order[:size])
        if close(answer, right):
            continue
        case = f"Of 0.50, 0.25, 0.15, 0.08, 0.02, and for the share {share:g},"
        kept = torch.zeros(5, dtype=torch.float64)
        kept[order[:size]] = p[order[:size]]
        for wrong, hint in (
            (kept, f"{case} the right characters are kept, but they sum up to {kept.sum():.2f}."),
            (right[order], "The right probabilities, in falling order: they must go back to the "
                           "places of their characters."),
            (torch.where(p < share, 0, p), "The share is taken as a limit for each one. It is "
                                           "one for their sum."),
            (torch.softmax(p / p.sum() * (kept > 0), dim=0),
             "What is shut out still has a probability: a logit of 0 is not a probability of 0."),
        ):  # fmt: skip
            if close(answer, wrong):
                raise Hint(hint)
        rising = [keep(order.flip(0)[:k]) for k in range(1, 5)]
        if close(answer, p):
            answer = tensor(call(function, p.log(), 0.3), (5,), "The probabilities")
            if not any(close(answer, wrong) for wrong in rising):
                raise Hint(f"{case} all characters are kept.")
        if any(close(answer, wrong) for wrong in rising):
            raise Hint("The least probable characters are kept: the order is upside down.")
        if size > 1 and close(answer, keep(order[: size - 1])):
            raise Hint(
                f"{case} you keep {size - 1}, and they hold only "
                f"{p[order[: size - 1]].sum():.2f}: the one that crosses the border belongs in."
            )
        if size < 5 and close(answer, keep(order[: size + 1])):
            raise Hint(f"{case} {size} characters are enough; you keep {size + 1}.")
        if not torch.isfinite(answer).all():
            raise Hint(f"{case} the answer is not finite: nothing was left to choose from?")
        raise Hint(
            f"{case} this gives {[round(v, 3) for v in answer.tolist()]} (the characters come in "
            "another order: 0.08, 0.50, 0.02, 0.25, 0.15)."
        )
    return "Few where the network is sure, many where it is not: the nucleus adapts, k does not."
