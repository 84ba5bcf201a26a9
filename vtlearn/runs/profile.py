"""Where a training step's time and memory go: data, transfer, forward, backward, optimiser."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vtlearn.errors import DataError, require_positive
from vtlearn.runtime import Stopwatch, autocast, peak_memory_bytes
from vtlearn.train.loop import LossFunction, clip_count, gradient_scaler, inputs_and_labels, to_device
from vtlearn.train.losses import multi_head_loss

PHASES = ("data", "transfer", "forward", "backward", "optimiser")


@dataclass(frozen=True)
class Profile:
    """What :func:`profile_steps` measured.

    Attributes:
        seconds: phase → median wall seconds of a step.
        peak_memory: phase → most bytes held by the end of that phase in any step (CUDA's own count; on a CPU
            the
            process's resident set, which never shrinks).
        clips: clips a step.
        steps: steps measured, warm-up not counted.
    """

    seconds: dict[str, float]
    peak_memory: dict[str, int]
    clips: float
    steps: int

    @property
    def clips_per_second(self) -> float:
        """Clips trained per second."""
        return self.clips / sum(self.seconds.values())

    def table(self) -> str:
        """One line per phase: milliseconds, share, memory.

        >>> profile = Profile(dict.fromkeys(PHASES, 0.01), dict.fromkeys(PHASES, 2**20), clips=4.0, steps=3)
        >>> print(profile.table().splitlines()[1])
        data           10.0 ms   20.0 %          1 MiB
        """
        total = sum(self.seconds.values())
        lines = [f"{'phase':<12}{'time':>10}{'share':>11}{'peak memory':>15}"]
        for phase, seconds in self.seconds.items():
            share, memory = 100 * seconds / total, self.peak_memory[phase] / 2**20
            lines.append(f"{phase:<12}{1000 * seconds:>7.1f} ms{share:>7.1f} %{memory:>11.0f} MiB")
        lines.append(f"{'a step':<12}{1000 * total:>7.1f} ms, {self.clips_per_second:.1f} clips per second")
        return "\n".join(lines)


def profile_steps(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction = multi_head_loss,
    device: torch.device | None = None,
    precision: str = "float32",
    prepare: Callable[[Any], Any] | None = None,
    steps: int = 10,
    warmup: int = 2,
    trace: str | Path | None = None,
) -> Profile:
    """Train ``warmup + steps`` steps with a watch at each phase; the phases add up because each waits for the
    device.

    That waiting makes the sum a little longer than a step of :func:`vtlearn.train.loop.train_steps`, which
    lets the device run ahead. The model is trained by it: profile a copy.

    Args:
        model: in training mode, on ``device``.
        batches: as for training, at least ``warmup + steps`` of them.
        optimizer: over the model's parameters.
        loss_fn: as for training.
        device: None takes the model's.
        precision: "float32", "bfloat16" or "float16".
        prepare: as for training; its time is counted as transfer.
        steps: measured ones.
        warmup: first ones, not counted.
        trace: a file for torch's own profiler (Chrome's trace format), or None.

    Raises:
        DataError: the batches ran out before ``warmup + 1`` steps.
    """
    require_positive(steps=steps)
    if device is None:
        device = next(model.parameters()).device
    scaler = gradient_scaler(device, precision)
    seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
    memory = dict.fromkeys(PHASES, 0)
    clips: list[int] = []

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        watch = Stopwatch(device)
        yield
        seconds[phase].append(watch.seconds())
        memory[phase] = max(memory[phase], peak_memory_bytes(device))

    recorder: AbstractContextManager[Any] = torch.profiler.profile() if trace is not None else nullcontext()
    with recorder as recorded:
        source = iter(batches)
        for _ in range(warmup + steps):
            with timed("data"):
                group = list(itertools.islice(source, 1))
            if not group:
                break
            clips.append(clip_count(group[0]))
            with timed("transfer"):
                batch = to_device(group[0], device)
                inputs, labels = inputs_and_labels(batch if prepare is None else prepare(batch))
            with timed("forward"):
                with autocast(device, precision):
                    outputs = model(*inputs)
                losses = loss_fn(outputs, labels)
                loss = losses if isinstance(losses, Tensor) else torch.stack(list(losses.values())).sum()
            with timed("backward"):
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
            with timed("optimiser"):
                scaler.step(optimizer)
                scaler.update()
    done = len(clips) - warmup
    if done < 1:
        raise DataError(f"{len(clips)} batches are too few to profile: {warmup} of them only warm up")
    if trace is not None:
        recorded.export_chrome_trace(str(trace))
    return Profile(
        seconds={
            phase: statistics.median(values[warmup : warmup + done]) for phase, values in seconds.items()
        },
        peak_memory=memory,
        clips=statistics.fmean(clips[warmup:]),
        steps=done,
    )
