"""Evaluation that counts exactly: top-1, top-5, confusion, mean class accuracy, intervals, calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, DataError, require, require_positive
from vtlearn.runtime import autocast
from vtlearn.train.distributed import sum_over_processes, world_size
from vtlearn.train.loop import clip_count, explain_memory, inputs_and_labels, to_device
from vtlearn.train.losses import pair_heads

CALIBRATION_BINS = 15


def wilson_interval(correct: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The interval in which the true accuracy lies, 95 % of the time at the default ``z`` (Wilson, 1927).

    Unlike the usual ± it stays inside [0, 1] and does not shrink to nothing at 0 or all correct.

    Raises:
        ArgumentError: no clips, or more correct ones than clips.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)
    """
    require_positive(total=total)
    require(0 <= correct <= total, "correct", correct, f"from 0 to total = {total}")
    share = correct / total
    centre = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low, high = (centre - reach) / scale, (centre + reach) / scale
    return (0.0 if correct == 0 else low), (
        1.0 if correct == total else high
    )  # rounding aside, as it should be


@dataclass(frozen=True)
class Evaluation:
    """What a model got right on one labelling of a list of clips, as counts; the rates follow from them.

    Attributes:
        confusion: clips by (true class, predicted class), int64.
        top5_correct: clips whose class is among the five highest logits (all classes where there are fewer).
        loss_sum: summed cross-entropy.
        calibration: per confidence bin: clips, correct ones, summed confidence, ``(3, bins)`` float64.
        nonfinite: clips with a logit that is not finite; they are counted as predicted all the same.
    """

    confusion: Int[Tensor, "classes classes"]
    top5_correct: int
    loss_sum: float
    calibration: Float[Tensor, "3 bins"]
    nonfinite: int = 0

    @property
    def clips(self) -> int:
        """Clips counted."""
        return int(self.confusion.sum())

    @property
    def top1_correct(self) -> int:
        """Clips whose class has the highest logit."""
        return int(self.confusion.trace())

    @property
    def top1(self) -> float:
        """Share of clips whose class has the highest logit."""
        return self.top1_correct / self.clips

    @property
    def top5(self) -> float:
        """Share of clips whose class is among the five highest logits."""
        return self.top5_correct / self.clips

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return self.loss_sum / self.clips

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of ``top1`` (:func:`wilson_interval`); too narrow for clips that come in pairs."""
        return wilson_interval(self.top1_correct, self.clips)

    @property
    def class_clips(self) -> list[int]:
        """Clips of each true class."""
        return [int(count) for count in self.confusion.sum(dim=1)]

    @property
    def class_accuracy(self) -> list[float]:
        """Accuracy within each true class; not a number for a class without clips."""
        hits = self.confusion.diagonal().tolist()
        return [hit / of if of else math.nan for hit, of in zip(hits, self.class_clips, strict=True)]

    @property
    def mean_class_accuracy(self) -> float:
        """Mean of the accuracies of the classes that have clips: a common class counts like a rare one."""
        present = [accuracy for accuracy in self.class_accuracy if not math.isnan(accuracy)]
        return math.fsum(present) / len(present)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean gap of confidence and accuracy (Guo et al., arXiv 1706.04599)."""
        _, correct, confidence = self.calibration
        return float((correct - confidence).abs().sum()) / self.clips


class Tally:
    """Counts logits against labels batch by batch; the result does not depend on how the clips were batched.

    >>> tally = Tally(num_classes=3)
    >>> tally.add(torch.eye(3), torch.tensor([0, 1, 1]))
    >>> round(tally.result().top1, 3)
    0.667
    """

    def __init__(self, num_classes: int) -> None:
        require_positive(num_classes=num_classes)
        self.num_classes = num_classes
        self._confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self._calibration = torch.zeros(3, CALIBRATION_BINS, dtype=torch.float64)
        self._sums = torch.zeros(
            3, dtype=torch.float64
        )  # top-5 hits, loss, clips with logits that are not finite

    def add(self, logits: Float[Tensor, "B classes"], labels: Int[Tensor, "B"]) -> None:
        """Count one batch. Equal logits are ranked by class number, so that a tie has one answer everywhere.

        Raises:
            ArgumentError: another number of classes than announced, or a label outside them.
        """
        require(
            logits.shape[1] == self.num_classes, "logits", tuple(logits.shape), f"(B, {self.num_classes})"
        )
        require(len(labels) == len(logits), "labels", len(labels), f"one per row of logits: {len(logits)}")
        if len(labels) == 0:
            return
        logits, labels = logits.detach().double().cpu(), labels.detach().long().cpu()
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.num_classes:
            wrong = low if low < 0 else high
            raise ArgumentError("labels", wrong, f"class numbers from 0 to {self.num_classes - 1}")
        ranked = logits.argsort(dim=1, descending=True, stable=True)
        predicted = ranked[:, 0]
        cells = labels * self.num_classes + predicted
        counts = torch.bincount(cells, minlength=self.num_classes**2)
        self._confusion += counts.reshape(self.num_classes, self.num_classes)

        log_probabilities = logits.log_softmax(dim=1)
        confidence = log_probabilities.gather(1, predicted[:, None])[:, 0].exp().nan_to_num(0.0)
        bins = (confidence * CALIBRATION_BINS).long().clamp(0, CALIBRATION_BINS - 1)
        facts = torch.stack([torch.ones_like(confidence), (predicted == labels).double(), confidence])
        self._calibration.index_add_(1, bins, facts)

        self._sums[0] += (ranked[:, :5] == labels[:, None]).sum()
        self._sums[1] -= log_probabilities.gather(1, labels[:, None]).sum()
        self._sums[2] += (~logits.isfinite().all(dim=1)).sum()

    def result(self, device: torch.device | None = None) -> Evaluation:
        """The counts so far, added up over all processes.

        Args:
            device: where processes exchange the counts (NCCL needs CUDA tensors); None is the CPU.

        Raises:
            DataError: nothing was counted.
        """
        if world_size() > 1:
            place = device or torch.device("cpu")
            self._confusion = sum_over_processes(self._confusion.to(place)).cpu()
            self._calibration = sum_over_processes(self._calibration.to(place)).cpu()
            self._sums = sum_over_processes(self._sums.to(place)).cpu()
        if int(self._confusion.sum()) == 0:
            raise DataError("nothing to evaluate: the batches held no clip")
        hits, loss, nonfinite = self._sums.tolist()
        return Evaluation(
            confusion=self._confusion.clone(),
            top5_correct=int(hits),
            loss_sum=float(loss),
            calibration=self._calibration.clone(),
            nonfinite=int(nonfinite),
        )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside the block; then every submodule is as it was before.

    A frozen backbone that was in evaluation mode stays in it (``model.train()`` would wake its dropout).

    >>> model = nn.Sequential(nn.Dropout(0.5).eval(), nn.Dropout(0.5))
    >>> with evaluation_mode(model):
    ...     pass
    >>> [module.training for module in model]
    [False, True]
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def evaluate(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    device: torch.device | None = None,
    precision: str = "float32",
    prepare: Callable[[Any], Any] | None = None,
) -> dict[str, Evaluation]:
    """Every clip of ``batches`` once, counted exactly, whatever the size of the last batch.

    Args:
        model: called as in :func:`vtlearn.train.loop.train_steps`; its modes are restored afterwards.
        batches: as for training; labels are class numbers.
        device: where the batches go; None takes the model's.
        precision: "float32", "bfloat16" or "float16".
        prepare: batch → batch on the device (normalising).

    Returns:
        labelling → :class:`Evaluation`; one unnamed labelling is called "label".

    Raises:
        DataError: there was no clip.
        OutOfMemory: a batch does not fit the device.

    >>> model = nn.Identity()
    >>> batches = [(torch.eye(3), torch.tensor([0, 1, 2])), (torch.eye(3)[:1], torch.tensor([2]))]
    >>> evaluate(model, batches)["label"].top1
    0.75
    """
    if device is None:
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    tallies: dict[str, Tally] = {}
    with evaluation_mode(model):
        for batch in batches:
            counts = clip_count(batch) > 0  # filler only tells a process without clips what to add up
            if not counts and (world_size() == 1 or tallies):
                continue
            batch = to_device(batch, device)
            inputs, labels = inputs_and_labels(batch if prepare is None else prepare(batch))
            with explain_memory(inputs[0], device), autocast(device, precision):
                outputs = model(*inputs)
            for name, (logits, target) in pair_heads(outputs, labels).items():
                tally = tallies.setdefault(name, Tally(logits.shape[1]))
                if counts:
                    tally.add(logits, target)
    if not tallies:
        raise DataError("nothing to evaluate: the batches held no clip")
    return {name: tally.result(device) for name, tally in tallies.items()}


def evaluation_row(evaluation: Evaluation) -> dict[str, int | float]:
    """The rates as plain numbers, for a table or a JSON line.

    >>> tally = Tally(2)
    >>> tally.add(torch.eye(2), torch.tensor([0, 1]))
    >>> evaluation_row(tally.result())["top1"]
    1.0
    """
    low, high = evaluation.interval
    return {
        "clips": evaluation.clips,
        "top1": evaluation.top1,
        "top1_low": low,
        "top1_high": high,
        "top5": evaluation.top5,
        "mean_class_accuracy": evaluation.mean_class_accuracy,
        "calibration_error": evaluation.calibration_error,
        "loss": evaluation.loss,
        "nonfinite": evaluation.nonfinite,
    }
