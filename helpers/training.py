"""The training loop: `fit` with its history and checkpoints, and `evaluate`.

What teaches, the model and the step from a batch to its loss, is written in the notebook:

    def step(model, batch, state):
        tokens, lengths, labels = batch
        logits = model(tokens, lengths)  # (batch,)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        return Step(loss, len(labels), correct=((logits > 0) == (labels > 0.5)).sum())
"""

import io
import math
import os
import textwrap
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from filelock import FileLock
from torch import nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .progress import Progress

CHECK_EVERY = 50  # steps between two looks at the losses on a GPU: each look waits for the GPU


class Step(NamedTuple):
    """What a step function makes of one batch."""

    loss: torch.Tensor  # 0-dim, the mean over `count` items
    count: int | torch.Tensor  # reviews, or characters with a target
    state: Any = None  # goes to the step of the next batch: tensors, detached
    correct: int | torch.Tensor | None = None  # how many of the `count` answers are right


StepFunction = Callable[[nn.Module, Any, Any], Step]


def device() -> torch.device:
    """Return the GPU where there is one (CUDA), else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def evaluate(model: nn.Module, step: StepFunction, batches: Iterable) -> dict[str, float]:
    """Measure `model` on `batches`, without dropout and without gradients.

    Returns `loss` and, where the steps count right answers, `accuracy`: means over all items, so
    that a smaller last batch weighs less. `step(model, batch, state)` gets None as its first state
    and then the state that it returned last. The model goes back to the mode (training or not) it
    was in. Raises ValueError if there are no batches.
    """
    mode, where, state, sums = model.training, _device_of(model), None, _Sums()
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                result = _checked(step(model, _to(batch, where), state))
                state = result.state
                sums.add(result)
    finally:
        model.train(mode)
    return sums.means()


def fit(
    model: nn.Module,
    step: StepFunction,
    batches: Iterable,
    *,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    clip_norm: float | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    checkpoint: str | os.PathLike | None = None,
    keep_best: str | None = None,
    label: str = "training",
    average: float | None = None,
    about: Mapping[str, Any] | None = None,
) -> list[dict]:
    """Train `model` and return the history, one dictionary an epoch.

    A row holds `epoch` (from 1), `loss` and, where steps count right answers, `accuracy`, both
    means over the epoch's items, measured while the model learns; then whatever `validate(model)`
    returned. Its `loss` and `accuracy` become `valid_loss` and `valid_accuracy`, so
    `validate=lambda model: evaluate(model, step, valid_batches)` will do. A notebook shows the
    history as a table when training is over. The model is left in eval mode.

    - `step(model, batch, state)` returns a `Step`; tensors of the batch are on the model's device,
      `state` is None at the start of an epoch and then what the step before returned, detached.
    - `batches` are iterated once an epoch, after `batches.set_epoch(epoch)` if they have it.
    - `scheduler` steps after every batch, not every epoch.
    - `clip_norm` bounds the norm of the whole gradient (Pascanu et al., 2013).
    - `average`, a decay such as 0.999, keeps an exponential moving average of the weights after
      every step. `validate` sees the averaged weights, and they stay in the model at the end.
    - `keep_best` names a column of the history; the model ends with the weights of its best epoch,
      the lowest value if the name ends in `loss`, else the highest.
    - `checkpoint` names a file, rewritten after every epoch. If it exists, training goes on after
      its last epoch as if never interrupted, to the same weights; if all epochs are done, they
      come back at once. Make model, optimizer and scheduler anew before; the file restores them.
      Of several processes (`torch.distributed`) only the first reads and writes it, and shows the
      progress; the others get its content.
    - `about` says what else must be the same for the checkpoint to be continued, and what `fit`
      cannot see: which text this is, say. It maps names to short values, compared as strings.

    Raises FloatingPointError when the loss or the gradient is no longer finite, and ValueError
    when an argument is wrong or the checkpoint is damaged or belongs to another training, and
    OSError when it cannot be read or written.
    """
    averaged = None
    if index(epochs) < 1:
        raise ValueError(f"epochs is {epochs}: train for at least 1")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm is {clip_norm}: it must be above 0, or None")
    if average is not None:
        if not 0 < average < 1:
            raise ValueError(f"average is {average}: a decay lies between 0 and 1, say 0.999")
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(average))
    size = len(batches) if hasattr(batches, "__len__") else None

    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "average": averaged}
    parts = {name: part for name, part in parts.items() if part is not None}
    plan = _plan(parts, size, clip_norm, average, keep_best, about or {})
    history, best = [], None
    first = not _distributed() or dist.get_rank() == 0
    if checkpoint is not None:
        checkpoint = Path(checkpoint)
        with _explained(checkpoint, "written"):
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with _explained(checkpoint, "read"):
            content = checkpoint.read_bytes() if first and checkpoint.exists() else None
        content = _from_first(content)
        if content is not None:
            history, best = _load(checkpoint, content, parts, plan, epochs)

    done = len(history)
    total = getattr(scheduler, "total_steps", None)
    if total is not None and size is not None:
        left, needed = total - scheduler.last_epoch, (epochs - done) * size
        if left < needed:
            raise ValueError(
                f"the {type(scheduler).__name__} has {left} steps left, training takes {needed}: "
                "make optimizer and scheduler anew, with total_steps=epochs * len(batches)"
            )

    steps = None if size is None else size * epochs
    quiet = {} if first else {"disable": True}  # not given, TQDM_DISABLE may ask for it
    with Progress(total=steps, initial=done * (size or 0), unit="step", **quiet) as progress:
        for epoch in range(done + 1, epochs + 1):
            progress.set_description(f"{label}, epoch {epoch}/{epochs}", refresh=False)
            row = {"epoch": epoch} | _train_epoch(
                model, step, batches, epoch, optimizer, scheduler, clip_norm, averaged, progress
            )
            with _averaged_weights(model, averaged):
                if validate is not None:
                    row |= _validated(validate(model))
                if keep_best is not None and _better(row, best, keep_best):
                    best = {"row": row, "weights": deepcopy(model.state_dict())}
            history.append(row)
            if checkpoint is not None and first:
                _save(checkpoint, parts, plan, history, best)
        if best is not None:
            model.load_state_dict(best["weights"])
        elif averaged is not None:
            model.load_state_dict(averaged.module.state_dict())
        model.eval()
        progress.final = table(history)
        if best is not None:
            progress.final += f"\nkept: epoch {best['row']['epoch']} (best {keep_best})"
    return history


def table(history: list[dict]) -> str:
    """Return the history as text, a row an epoch, numbers with 4 digits after the point."""
    names = list(dict.fromkeys(name for row in history for name in row))
    cells = [names] + [
        [f"{v:.4f}" if isinstance(v := row.get(name, ""), float) else str(v) for name in names]
        for row in history
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )


class _Sums:
    """Running sums over steps; on a GPU they stay there until somebody asks."""

    def __init__(self):
        self.loss, self.count, self.correct = 0.0, 0, None

    def add(self, step: Step) -> None:
        self.loss = self.loss + step.loss.detach().double() * step.count
        self.count = self.count + step.count
        if step.correct is not None:
            self.correct = step.correct if self.correct is None else self.correct + step.correct

    def means(self) -> dict[str, float]:
        count = int(self.count)
        if not count:
            raise ValueError(
                "there are no batches (or they count no items): give some, and no generator, "
                "which is empty after one pass"
            )
        means = {"loss": float(self.loss) / count}
        if self.correct is not None:
            means["accuracy"] = float(self.correct) / count
        return means


def _train_epoch(
    model, step, batches, epoch, optimizer, scheduler, clip_norm, averaged, progress
) -> dict[str, float]:
    """Train for one epoch; return the means of its steps."""
    if hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)
    model.train()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    where, state, sums, n, recent, last = _device_of(model), None, _Sums(), 0, [], None
    for n, batch in enumerate(batches, start=1):
        optimizer.zero_grad(set_to_none=True)
        result = _checked(step(model, _to(batch, where), state))
        state = result.state
        if _requires_grad(state):
            raise ValueError(
                "the state that the step returned still hangs on the graph of its batch: detach "
                "it, Step(loss, count, state=tuple(s.detach() for s in state))"
            )
        result.loss.backward()
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        recent.append(torch.stack([result.loss.detach().double(), norm.double()]))
        if where.type == "cpu" or len(recent) == CHECK_EVERY:  # on a CPU before any harm is done
            last = _check_finite(recent, last, epoch, n)
        if clip_norm is not None:
            clip_grads_with_norm_(parameters, clip_norm, norm)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if averaged is not None:
            averaged.update_parameters(model)
        sums.add(result)
        if progress.update():  # drawn just now: this is the loss that it shows next time
            progress.set_postfix_str(f"loss {sums.means()['loss']:.4f}", refresh=False)
    if recent:
        _check_finite(recent, last, epoch, n)
    return sums.means()


def _check_finite(recent: list[torch.Tensor], last: float | None, epoch: int, step: int) -> float:
    """Look at the (loss, gradient norm) of the steps up to `step`; return the last loss."""
    for n, (loss, norm) in enumerate(torch.stack(recent).tolist(), start=step - len(recent) + 1):
        if not math.isfinite(loss + norm):
            what = f"gradient's norm is {norm}" if math.isfinite(loss) else f"loss is {loss}"
            raise FloatingPointError(
                f"the {what} at step {n} of epoch {epoch}; last finite loss of the epoch: "
                f"{'none' if last is None else format(last, '.4g')}. Lower the learning rate, clip "
                "the gradient (clip_norm=1.0), and look for log(0), a division by 0 or an overflow "
                "in the model and its loss. Then make the model anew: its weights may be ruined"
            )
        last = loss
    recent.clear()
    return last


@contextmanager
def _averaged_weights(model: nn.Module, averaged: AveragedModel | None):
    """Put the averaged weights into `model` for a while: `validate` may know it by another name."""
    if averaged is None:
        yield
        return
    own = deepcopy(model.state_dict())
    model.load_state_dict(averaged.module.state_dict())
    try:
        yield
    finally:
        model.load_state_dict(own)


def _validated(result: Mapping[str, float]) -> dict[str, float]:
    """Return the columns that `validate` adds to the history."""
    if not isinstance(result, Mapping):
        raise TypeError(
            f"validate returned {type(result).__name__}: return a dictionary of numbers"
        )
    taken = ("epoch", "loss", "accuracy")
    return {(f"valid_{k}" if k in taken else k): float(v) for k, v in result.items()}


def _better(row: dict, best: dict | None, name: str) -> bool:
    """Tell whether `row` beats the best so far; of equals the first stays."""
    if name not in row:
        raise ValueError(f"keep_best is {name!r}, but the history has only {', '.join(row)}")
    if math.isnan(row[name]):
        raise FloatingPointError(f"{name} is nan after epoch {row['epoch']}: no epoch can be best")
    if best is None:
        return True
    return row[name] < best["row"][name] if name.endswith("loss") else row[name] > best["row"][name]


def _plan(parts, size, clip_norm, average, keep_best, about) -> dict[str, Any]:
    """Return what must be the same for a checkpoint to be continued."""
    groups, scheduler = parts["optimizer"].param_groups, parts.get("scheduler")
    return {
        "model": repr(parts["model"]),  # layers, sizes, dropout
        "optimizer": type(parts["optimizer"]).__name__,
        "learning rate": [float(g.get("initial_lr", g["lr"])) for g in groups],
        "weight decay": [float(g.get("weight_decay", 0)) for g in groups],
        "scheduler": type(scheduler).__name__,
        "total_steps": getattr(scheduler, "total_steps", None),
        "batches an epoch": size,
        "clip_norm": clip_norm,
        "average": average,
        "keep_best": keep_best,
        **{str(name): str(value) for name, value in about.items()},
    }


def save(content: Any, path: str | os.PathLike) -> None:
    """Write what `torch.save` takes into a file, whole or not at all: a crash leaves the old one.

    Of several processes that write it at once each waits for its turn; what the last wrote stays.
    Raises OSError, which says what to do, if it cannot be written.
    """
    path, packed = Path(path), io.BytesIO()
    torch.save(content, packed)  # into memory: on a full disk its own writer hides the reason
    temporary = path.with_name(path.name + ".tmp")
    with _explained(path, "written"), ExitStack() as stack:
        with suppress(OSError, NotImplementedError):  # some network disks have no locks
            stack.enter_context(FileLock(path.with_name(f".{path.name}.lock")))
        try:
            with temporary.open("wb") as file:
                file.write(packed.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:  # unless it has its final name by now
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def _explained(path: Path, what: str):
    """Say what to do when `path` cannot be read or written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path} cannot be {what} ({error.strerror or error}). What was saved before is "
            "unharmed: free some space or mend the permissions there, or choose another place, "
            "and start again"
        ) from error


def _save(path: Path, parts, plan, history, best) -> None:
    """Write the checkpoint."""
    content = {name: part.state_dict() for name, part in parts.items()}
    content |= {"plan": plan, "history": history, "best": best, "rng": torch.get_rng_state()}
    content["cuda_rng"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    save(content, path)


def _distributed() -> bool:
    """Tell whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized()


def _from_first(content: bytes | None) -> bytes | None:
    """Return the `content` of the first process; disks may differ, or lag behind, the rest not."""
    held = [content]
    if _distributed():
        dist.broadcast_object_list(held)
    return held[0]


def _load(path: Path, data: bytes, parts, plan, epochs) -> tuple[list[dict], dict | None]:
    """Restore `parts` and the random state from `data`; return the history and the best epoch."""
    way_out = "Nothing was changed. Delete the file to train afresh, or pass another checkpoint="
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.testzip() is not None:  # compares the checksums, which torch.load does not
                raise ValueError("wrong checksum")
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        there, history, best = content["plan"], content["history"], content["best"]
        differing = [
            name if name == "model" else f"{name} ({there.get(name)} there, {plan.get(name)} here)"
            for name in plan | there
            if there.get(name) != plan.get(name)
        ]
        if [row["epoch"] for row in history] != list(range(1, len(history) + 1)):
            raise ValueError("wrong history")
        if best is not None and best["row"] not in history:
            raise ValueError("wrong best epoch")
    except Exception as error:
        raise ValueError(
            f"the checkpoint {path} cannot be read ({type(error).__name__}): it is damaged, or was "
            f"not written by fit. {way_out}"
        ) from error
    if len(history) > epochs:
        differing.append(f"epochs ({len(history)} done there, {epochs} here)")
    if differing:
        raise ValueError(
            f"the checkpoint {path} belongs to another training, which differs in "
            f"{_short(', '.join(differing))}. {way_out}"
        )
    before = {name: deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        if best is not None:
            parts["model"].load_state_dict(best["weights"])  # only to see that they fit
        for name, part in parts.items():
            if content[name].keys() != before[name].keys():  # a scheduler would swallow anything
                raise ValueError(f"another kind of {name}")
            part.load_state_dict(content[name])
        torch.set_rng_state(content["rng"])
        if len(content["cuda_rng"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(content["cuda_rng"])
    except Exception as error:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise ValueError(
            f"the checkpoint {path} does not fit this training ({_short(str(error))}). {way_out}"
        ) from error
    return history, best


def _short(text: str) -> str:
    """Return `text` as a message may show it, whoever wrote it: on one line, and not for long."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.shorten(printable, 300, placeholder=" …")


def _checked(result: Step) -> Step:
    """Return what the step function returned, if it is a Step with one number as loss."""
    if not isinstance(result, Step):
        raise TypeError(
            f"the step function returned {type(result).__name__}: return Step(loss, count, …)"
        )
    if not isinstance(result.loss, torch.Tensor) or result.loss.ndim:
        raise TypeError(
            "the loss of a step must be a tensor with one number, the mean of the batch"
        )
    return result


def _device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's first parameter."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _to(batch: Any, where: torch.device) -> Any:
    """Move the tensors of a batch, which may lie in tuples and lists."""
    if isinstance(batch, torch.Tensor):
        return batch.to(where, non_blocking=True)
    return tuple(_to(b, where) for b in batch) if isinstance(batch, (tuple, list)) else batch


def _requires_grad(state: Any) -> bool:
    """Tell whether a tensor of the state still hangs on a graph."""
    if isinstance(state, (tuple, list)):
        return any(map(_requires_grad, state))
    return isinstance(state, torch.Tensor) and state.requires_grad
