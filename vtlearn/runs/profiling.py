"""Where a training step's time and memory go, for a model, a recipe and clips, measured and predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vtlearn.errors import require_positive
from vtlearn.runs.folder import describe_machine
from vtlearn.runs.memory import TrainingMemory, training_memory
from vtlearn.runs.profile import Profile, profile_steps
from vtlearn.runs.settings import TrainingSettings
from vtlearn.runs.training import Subject, TrainingRun
from vtlearn.runtime import choose_device


@dataclass(frozen=True)
class Profiled:
    """What was measured, and what was predicted.

    Attributes:
        profile: the phases of a step.
        predicted: memory of a step, counted beforehand.
        settings: what was profiled.
        trace: the profiler's file, where one was asked for.
    """

    profile: Profile
    predicted: TrainingMemory
    settings: TrainingSettings
    trace: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return {
            "model": self.settings.model,
            "batch_size": self.settings.settled_recipe.batch_size,
            "clips": self.profile.clips,
            "steps": self.profile.steps,
            "seconds": self.profile.seconds,
            "peak_memory_bytes": self.profile.peak_memory,
            "clips_per_second": self.profile.clips_per_second,
            "predicted_bytes": {
                "weights": self.predicted.weights,
                "gradients": self.predicted.gradients,
                "optimiser": self.predicted.optimiser,
                "activations": self.predicted.activations,
                "peak": self.predicted.peak,
            },
            "trace": str(self.trace) if self.trace else None,
            "machine": describe_machine(),
        }

    def told(self) -> str:
        """The table of phases, and the memory as predicted."""
        lines = [self.profile.table(), "", "memory of a step, counted beforehand:", self.predicted.told()]
        if self.trace:
            lines.append(f"\ntrace (open in chrome://tracing or Perfetto): {self.trace}")
        return "\n".join(lines)


def profile_training(
    settings: TrainingSettings, *, steps: int = 10, warmup: int = 2, trace: Path | None = None
) -> Profiled:
    """Train a few steps with a watch at each phase; nothing is kept of them, and nothing is written.

    Args:
        settings: as for training; ``accumulate`` makes each part a step of its own here.
        steps: measured ones.
        warmup: first ones, not counted.
        trace: a file for torch's own profiler.

    Raises:
        VtlearnError: whatever cannot be, as in training.
    """
    require_positive(steps=steps)
    run = TrainingRun(Subject(settings), choose_device(settings.device))
    predicted = training_memory(
        run.config,
        max(1, settings.settled_recipe.batch_size // settings.accumulate),
        precision=settings.precision,
        optimizer=settings.settled_recipe.optimizer,
        device=run.device.type,
    )
    if trace is not None:
        trace.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    measured = profile_steps(
        run.model,
        run.batches(0, steps + warmup),
        optimizer=run.optimizer,
        loss_fn=settings.settled_recipe.build_loss(),
        device=run.device,
        precision=settings.precision,
        prepare=run.prepare,
        steps=steps,
        warmup=warmup,
        trace=trace,
    )
    return Profiled(measured, predicted, settings, trace)
