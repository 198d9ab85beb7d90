"""The training loop, `fit`, and `evaluate`; the models and their steps are in the notebooks."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import nn

from .progress import Progress

CHECK_EVERY = {"cpu": 1, "cuda": 50}  # steps: each look at what is finite waits for the GPU


class Step(NamedTuple):
    """What a step function makes of one batch."""

    loss: torch.Tensor  # 0-dim, the mean over `count` items
    count: int | torch.Tensor  # reviews, or characters with a target
    state: Any = None  # goes to the step of the next batch: tensors, detached
    correct: int | torch.Tensor | None = None  # how many of the `count` answers are right


def device() -> torch.device:
    """Return the GPU where there is one (CUDA), else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def evaluate(model: nn.Module, step: Callable[..., Step], batches: Iterable) -> dict[str, float]:
    """Measure `model` on `batches`, without dropout and without gradients.

    Parameters
    ----------
    model : Module
        Goes back to the mode (training or not) it was in.
    step : function
        `step(model, batch, state)` returns a `Step`. The tensors of the batch are on the model's
        device; `state` is None at first, and then what the step before returned.
    batches : iterable of tuples of tensors

    Returns
    -------
    dict
        `loss` and, where the steps count right answers, `accuracy`: means over all items, so that
        a smaller last batch weighs less.

    Raises
    ------
    ValueError
        If there are no batches.
    """
    mode, state, sums = model.training, None, _Sums()
    model.eval()
    try:
        with torch.no_grad():
            for batch in _shared(batches, model):
                result = step(model, batch, state)
                sums.add(result)
                state = result.state
    finally:
        model.train(mode)
    return sums.means()


def fit(
    model: nn.Module,
    step: Callable[..., Step],
    batches: Iterable,
    *,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    clip_norm: float = math.inf,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    keep_best: str | None = None,
) -> list[dict]:
    """Train `model`, which is left in eval mode; a notebook shows the history as a table.

    Parameters
    ----------
    model, step, batches
        As for `evaluate`. The batches are iterated once an epoch, after `batches.set_epoch(epoch)`
        if they have it, and each time the state starts from None.
    epochs : int
    optimizer : Optimizer
    scheduler : LRScheduler
        Steps after every batch, not every epoch.
    clip_norm : float
        Bounds the norm of the whole gradient (Pascanu et al., 2013).
    validate : function
        `validate(model)` measures after every epoch: `lambda model: evaluate(model, step, others)`.
    keep_best : str
        A column of the history. The model ends with the weights of its best epoch: the lowest value
        if the name ends in `loss`, else the highest.

    Returns
    -------
    list of dict
        The history, a row an epoch: `epoch` (from 1), `loss` and perhaps `accuracy`, measured
        while the model learns; what `validate` returned, as `valid_loss` and so on.

    Raises
    ------
    FloatingPointError
        If the loss or the gradient is no longer finite.
    ValueError
        If there are no batches, or a state is not detached, or the scheduler has too few steps.
    """
    steps = epochs * len(batches) if hasattr(batches, "__len__") else None
    total = getattr(scheduler, "total_steps", None)
    if None not in (total, steps) and (left := total - scheduler.last_epoch) < steps:
        raise ValueError(
            f"the {type(scheduler).__name__} has {left} steps left, training takes {steps}: make "
            "optimizer and scheduler anew, with total_steps=epochs * len(batches)"
        )
    history = []
    with Progress(total=steps, unit="step") as bar:
        for epoch in range(1, epochs + 1):
            bar.set_description(f"training, epoch {epoch}/{epochs}", refresh=False)
            if hasattr(batches, "set_epoch"):
                batches.set_epoch(epoch)
            row = train_epoch(model, step, batches, epoch, optimizer, scheduler, clip_norm, bar)
            if validate is not None:
                row |= {f"valid_{name}": value for name, value in validate(model).items()}
            history.append(row)
            if keep_best is not None and _best(history, keep_best) is row:
                weights = deepcopy(model.state_dict())
        bar.final = table(history)
        if history and keep_best is not None:
            model.load_state_dict(weights)
            bar.final += f"\nkept: epoch {_best(history, keep_best)['epoch']} (best {keep_best})"
    model.eval()
    return history


def train_epoch(model, step, batches, epoch, optimizer, scheduler, clip_norm, bar) -> dict:
    """Train for one epoch, and return its row of the history; the arguments are those of `fit`."""
    model.train()
    state, sums, recent, last = None, _Sums(), [], "none"
    check_every = CHECK_EVERY[next(model.parameters()).device.type]
    for number, batch in enumerate(_shared(batches, model), start=1):
        optimizer.zero_grad()
        result = step(model, batch, state)
        sums.add(result)
        if _requires_grad(state := result.state):
            raise ValueError(
                "the state that the step returned still hangs on the graph of its batch: detach "
                "it, Step(loss, count, state=tuple(s.detach() for s in state))"
            )
        result.loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        recent.append((number, torch.stack([result.loss.detach(), norm])))
        if len(recent) == check_every:  # on a CPU before the weights are touched
            last, recent = _check_finite(recent, last, epoch), []
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if bar.update():  # drawn just now: this is the loss that it shows next time
            bar.set_postfix_str(f"loss {sums.means()['loss']:.4f}", refresh=False)
    _check_finite(recent, last, epoch)
    return {"epoch": epoch} | sums.means()


def table(history: list[dict]) -> str:
    """Return the history as text, a row an epoch, numbers with 4 digits after the point."""
    names = list(dict.fromkeys(name for row in history for name in row))
    cells = [names] + [
        [f"{v:.4f}" if isinstance(v := row.get(name, ""), float) else str(v) for name in names]
        for row in history
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in cells)


class _Sums:
    """Sums over the items of all steps; on a GPU they stay there until somebody asks."""

    def __init__(self):
        self.count, self.sums = 0, {}

    def add(self, step: Step) -> None:
        if not isinstance(step, Step):
            raise TypeError(
                f"the step function returned {type(step).__name__}: return Step(loss, count, …)"
            )
        self.count = self.count + step.count
        loss = step.loss.detach().double() * step.count
        for name, value in (("loss", loss), ("accuracy", step.correct)):
            if value is not None:
                self.sums[name] = self.sums.get(name, 0) + value

    def means(self) -> dict[str, float]:
        if not self.count:
            raise ValueError(
                "there are no batches (or they count no items): give some, and no generator, "
                "which is empty after one pass"
            )
        return {name: float(value) / int(self.count) for name, value in self.sums.items()}


def _check_finite(recent: list, last: str, epoch: int) -> str:
    """Look at the (step, (loss, norm of the gradient)) of some steps; return the last loss."""
    for number, pair in recent:
        loss, norm = pair.tolist()
        if not math.isfinite(loss + norm):
            what = f"gradient's norm is {norm}" if math.isfinite(loss) else f"loss is {loss}"
            raise FloatingPointError(
                f"the {what} at step {number} of epoch {epoch}; last finite loss of the epoch: "
                f"{last}. Lower the learning rate, clip the gradient (clip_norm=1.0), and look for "
                "log(0), a division by 0 or an overflow in the model and its loss. Then make the "
                "model anew: its weights may be ruined"
            )
        last = f"{loss:.4g}"
    return last


def _best(history: list[dict], name: str) -> dict:
    """Return the row with the lowest loss or the highest other value, of equals the first."""
    if name not in history[0]:
        raise ValueError(f"keep_best is {name!r}, but the history has only {', '.join(history[0])}")
    return (min if name.endswith("loss") else max)(history, key=lambda row: row[name])


def _shared(batches: Iterable, model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield the batches on the model's device, with fewer threads where others want the cores.

    Threads wait for each other many times a step: with a core to share, they do little else.
    """
    where, threads = next(model.parameters()).device, torch.get_num_threads()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        for batch in batches:
            yield [tensor.to(where) for tensor in batch]
            if (passed := time.perf_counter() - wall) > 1:
                cores = (time.process_time() - cpu) / passed
                if cores < 0.6 * torch.get_num_threads():
                    torch.set_num_threads(max(1, int(cores)))
                wall, cpu = time.perf_counter(), time.process_time()
    finally:
        torch.set_num_threads(threads)


def _requires_grad(state: Any) -> bool:
    """Tell whether a tensor of the state, perhaps in tuples or lists, hangs on a graph."""
    if isinstance(state, torch.Tensor):
        return state.requires_grad
    return state is not None and any(map(_requires_grad, state))
