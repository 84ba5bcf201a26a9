"""The training loop as a generator of steps: the caller plots, prints, saves or stops by iterating."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vtlearn.errors import (
    ArgumentError,
    DataError,
    VtlearnError,
    require,
    require_one_of,
    require_positive,
)
from vtlearn.runtime import PRECISIONS, autocast, seed_everything
from vtlearn.train.distributed import rank, sum_over_processes, world_size
from vtlearn.train.losses import multi_head_loss
from vtlearn.train.optim import Schedule, constant, set_learning_rate

LossFunction = Callable[[Any, Any], Tensor | Mapping[str, Tensor]]
"""(what the model returned, the labels) → a mean over the clips, or several by name to be summed."""


@dataclass(frozen=True)
class Step:
    """What one optimiser step did.

    Attributes:
        step: steps done, this one included (the first is 1).
        loss: mean over the step's clips, before the weights moved; not a number where it was skipped for
            that.
        losses: its summands by name (one per labelling).
        lr: learning rate of the first group.
        grad_norm: length of the gradient before clipping.
        clips: clips that went in, over all micro-batches and processes.
        seconds: wall time of the step, its batches included, the caller's own time not.
        data_seconds: of these, waiting for batches.
        skipped: True when the weights were left as they were (a loss or gradient that is not finite).
        nonfinite: steps so far whose loss, or gradient outside float16, was not finite.
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    clips: int
    seconds: float
    data_seconds: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    skipped: bool = False
    nonfinite: int = 0


class OutOfMemory(VtlearnError):
    """The device's memory does not hold a step; the message names the batch and what to lower."""


class NonFiniteLoss(DataError):
    """Too many steps in a row without a finite loss and gradient; the message names the clips of the last."""


def gradient_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """The loss scaler that float16 needs on ``device``; for other precisions one that does nothing.

    >>> gradient_scaler(torch.device("cpu"), "bfloat16").is_enabled()
    False
    """
    require_one_of("precision", precision, PRECISIONS)
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def inputs_and_labels(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """What the model is called with, and what the loss compares against.

    A dict gives ``clip`` and, where it has one, ``frame_index``, against ``labels``; a tuple gives all but
    its last member against the last.

    >>> inputs, labels = inputs_and_labels({"clip": "C", "frame_index": "F", "labels": "L"})
    >>> inputs, labels
    (('C', 'F'), 'L')
    """
    if isinstance(batch, Mapping):
        for key in ("clip", "labels"):
            require(key in batch, "batch", sorted(batch), f"a dict with the key {key!r}")
        inputs = (batch["clip"],)
        return (inputs if batch.get("frame_index") is None else (*inputs, batch["frame_index"])), batch[
            "labels"
        ]
    if not isinstance(batch, Sequence) or len(batch) < 2:
        raise ArgumentError("batch", type(batch).__name__, "a dict, or a tuple (clips, …, labels)")
    return tuple(batch[:-1]), batch[-1]


def clip_count(batch: Any) -> int:
    """Clips that count in a batch: its first axis, or 0 where the batch says ``filler``."""
    if isinstance(batch, Mapping) and batch.get("filler"):
        return 0
    return len(inputs_and_labels(batch)[0][0])


def clip_names(batch: Any) -> list[str]:
    """The batch's clips by name where it carries them (``path``), else by number."""
    if isinstance(batch, Mapping) and batch.get("path") is not None:
        return [str(path) for path in batch["path"]]
    return [f"clip {index} of an unnamed batch" for index in range(clip_count(batch))]


def to_device(batch: Any, device: torch.device) -> Any:
    """Every tensor of a nested batch on ``device``; anything else as it is."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)) and any(isinstance(item, (Tensor, Mapping)) for item in batch):
        return type(batch)(to_device(item, device) for item in batch)
    return batch


def train_steps(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction = multi_head_loss,
    schedule: Schedule = constant,
    steps: int | None = None,
    start: int = 0,
    device: torch.device | None = None,
    precision: str = "float32",
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    prepare: Callable[[Any], Any] | None = None,
    seed: int | None = None,
    max_nonfinite: int = 5,
) -> Iterator[Step]:
    """Train ``model`` on ``batches``, one :class:`Step` a time; nothing happens between two ``next`` calls.

    One step takes ``accumulate`` batches, adds up their gradients weighted by their clips (so that uneven
    ones equal one large batch), clips, and lets the optimiser move once. Step k always takes the k-th group
    of batches: a step whose loss or gradient is not finite leaves the weights alone but counts, so a run's
    length, its schedule and its place in the data stay known.

    Args:
        model: called as ``model(clips)`` or ``model(clips, frame_index)``; in training mode and on
            ``device``.
        batches: dicts (``clip``, ``labels`` and, if there, ``frame_index`` and ``path``) or tuples ``(clips,
            labels)``.
        optimizer: built by the caller, e.g. :func:`vtlearn.train.optim.adamw`.
        loss_fn: (model output, labels) → scalar mean over the clips, or a dict of them to be summed.
        schedule: step (from 0) → factor on the base learning rate.
        steps: stop when this many steps are done in all (earlier ones included); None runs until the batches
            end.
        start: steps done before, when resuming; ``batches`` must begin after theirs.
        device: where the batches go; None takes the model's.
        precision: "float32", "bfloat16" or "float16" (autocast; weights stay as they are).
        scaler: from :func:`gradient_scaler`; needed for float16, kept by the caller so that it can be saved.
        clip_norm: longest gradient allowed, or None.
        accumulate: batches a step.
        prepare: batch → batch on the device, after the move (normalising, augmenting, mixing).
        seed: when given, the random numbers of each step's forward pass depend on it and the step alone, so
            that a resumed run draws what an unbroken one would, however the loader used the global
            generators.
        max_nonfinite: steps in a row that may be skipped for a loss or gradient that is not finite.

    Yields:
        one :class:`Step` per optimiser step.

    Raises:
        ArgumentError: settings that cannot be.
        OutOfMemory: a batch does not fit the device.
        NonFiniteLoss: more than ``max_nonfinite`` skipped steps in a row; names the clips of the last.

    >>> model, data = nn.Linear(3, 2), [(torch.ones(4, 3), torch.tensor([0, 1, 0, 0]))] * 20
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> losses = [step.loss for step in train_steps(model, data, optimizer=optimizer, steps=10)]
    >>> len(losses), losses[-1] < losses[0]
    (10, True)
    """
    require_positive(accumulate=accumulate)
    require_one_of("precision", precision, PRECISIONS)
    require(start >= 0, "start", start, "at least 0")
    require(steps is None or steps >= start, "steps", steps, f"None or at least start = {start}")
    require(clip_norm is None or clip_norm > 0, "clip_norm", clip_norm, "None or above 0")
    require(max_nonfinite >= 0, "max_nonfinite", max_nonfinite, "at least 0")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    device = parameters[0].device if device is None else device
    require(
        device.type == parameters[0].device.type,
        "device",
        str(device),
        f"the model's: {parameters[0].device}",
    )
    if scaler is None:
        require(precision != "float16", "scaler", None, "gradient_scaler(device, precision) with float16")
        scaler = gradient_scaler(device, precision)

    source = iter(batches)
    nonfinite = in_a_row = 0
    for step in itertools.count(start) if steps is None else range(start, steps):
        started = time.perf_counter()
        group = list(itertools.islice(source, accumulate))
        if not group:
            return
        data_seconds = time.perf_counter() - started
        require(model.training, "model", "evaluation mode", "in training mode (call model.train())")
        if seed is not None:
            seed_everything(step_seed(seed, step))

        lr = set_learning_rate(optimizer, schedule(step))
        optimizer.zero_grad(set_to_none=True)
        counts = [clip_count(batch) for batch in group]
        clips = _over_processes(sum(counts), device)
        sums: dict[str, Tensor] = {}
        for index, (batch, count) in enumerate(zip(group, counts, strict=True)):
            batch = to_device(batch, device)
            inputs, labels = inputs_and_labels(batch if prepare is None else prepare(batch))
            with _exchange_gradients(model, now=index == len(group) - 1), explain_memory(inputs[0], device):
                with autocast(device, precision):
                    outputs = model(*inputs)
                losses = _named(loss_fn(outputs, labels))
                share = count / clips  # an uneven batch weighs by its clips, as in one large batch
                total = share * torch.stack(list(losses.values())).sum()
                scaler.scale(
                    total * world_size()
                ).backward()  # DDP takes the mean over processes; this undoes it
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + share * loss.detach()

        scaler.unscale_(optimizer)  # before clipping: the threshold is in the gradient's own units
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
        summed = sum_over_processes(torch.stack(list(sums.values())))
        *means, grad_norm = torch.cat([summed, norm.float().reshape(1)]).tolist()  # the only wait for a GPU
        overflow = scaler.is_enabled() and all(map(math.isfinite, means)) and not math.isfinite(grad_norm)
        bad = not overflow and not all(map(math.isfinite, [*means, grad_norm]))
        if not bad:
            scaler.step(optimizer)  # after a float16 overflow it leaves the weights alone by itself
        scaler.update()
        nonfinite, in_a_row = nonfinite + bad, in_a_row + 1 if bad else 0
        yield Step(
            step=step + 1,
            loss=math.fsum(means) if all(map(math.isfinite, means)) else math.nan,
            lr=lr,
            grad_norm=grad_norm,
            clips=clips,
            seconds=time.perf_counter() - started,
            data_seconds=data_seconds,
            losses=dict(zip(sums, means, strict=True)),
            skipped=bad or overflow,
            nonfinite=nonfinite,
        )
        if in_a_row > max_nonfinite:
            names = ", ".join(name for batch in group for name in clip_names(batch))
            raise NonFiniteLoss(
                f"loss or gradient not finite in {in_a_row} steps in a row, to step {step + 1} with {names}"
            )


def step_seed(seed: int, step: int) -> int:
    """The seed of one step's random numbers: depends on ``seed``, the step and the process, on nothing else.

    >>> step_seed(0, 1) == step_seed(0, 1), step_seed(0, 1) == step_seed(0, 2)
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}/{step}/{rank()}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _named(losses: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A loss function's answer as name → float32 scalar."""
    named = dict(losses) if isinstance(losses, Mapping) else {"loss": losses}
    return {name: loss if loss.dtype == torch.float64 else loss.float() for name, loss in named.items()}


@contextlib.contextmanager
def explain_memory(clips: Any, device: torch.device) -> Iterator[None]:
    """Turn torch's report of full memory into one line that says what was tried and what to lower."""
    try:
        yield
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
        if not full:
            raise
        shape = tuple(clips.shape) if isinstance(clips, Tensor) else ()
        frames = f" of {shape[-4]} frames at {shape[-1]} × {shape[-2]}" if len(shape) >= 5 else ""
        views = f" with {shape[1]} views" if len(shape) == 6 else ""
        raise OutOfMemory(
            f"{device} ran out of memory on a batch of {len(clips)} clips{frames}{views}: lower the batch "
            "size (when training, raise accumulate by as much), num_frames or the image size, or recompute "
            "activations"
        ) from error


def _over_processes(clips: int, device: torch.device) -> int:
    """Clips of one step over all processes (at least 1, since it divides)."""
    if world_size() > 1:
        clips = int(sum_over_processes(torch.tensor(clips, device=device)))
    return max(clips, 1)


def _exchange_gradients(model: nn.Module, now: bool) -> contextlib.AbstractContextManager[Any]:
    """Let processes exchange gradients in the last micro-batch only (a DDP model has ``no_sync``)."""
    if now or not hasattr(model, "no_sync"):
        return contextlib.nullcontext()
    return model.no_sync()  # type: ignore[operator]
