"""The batches of a training run by step and process: no clip repeated or dropped, the same for any number of
workers."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from vtlearn.data.augment import RandAugment
from vtlearn.data.kinetics import ClipRecord, LeftOut
from vtlearn.data.loader import ClipDataset, ClipKey, Shuffled, collate_clips, seed_worker
from vtlearn.data.sampling import FrameSampler, SegmentSampler, StridedSampler, UniformSampler
from vtlearn.data.transforms import (
    CentreCrop,
    Compose,
    Normalise,
    RandomFlip,
    ResizeShortSide,
    ShortSideJitter,
    Transform,
)
from vtlearn.errors import DataError, require, require_positive
from vtlearn.train.distributed import share_of_batch
from vtlearn.train.recipes import Recipe

MOST_RANDAUGMENT = 10  # RandAugment's strongest here


def frame_sampler(num_frames: int, frame_stride: int, *, random: bool) -> FrameSampler:
    """Which frames a recipe takes: every ``frame_stride``-th, or for stride 0 one of each equal part.

    >>> frame_sampler(4, 0, random=False)(24)
    [2, 8, 15, 21]
    """
    if frame_stride == 0:
        return SegmentSampler(num_frames) if random else UniformSampler(num_frames)
    return StridedSampler(num_frames, frame_stride)


def training_transform(recipe: Recipe, class_names: Mapping[str, Sequence[str]]) -> Transform:
    """What a recipe does to a training clip before it is normalised: size, crop, mirror, RandAugment."""
    low, high = recipe.short_side
    steps: list[Transform] = [
        ShortSideJitter(max(low, recipe.crop), max(high, recipe.crop), recipe.crop, recipe.scale_jitter),
    ]
    if recipe.flip:
        steps.append(RandomFlip(class_names))
    if recipe.randaugment is not None:
        operations, strength = recipe.randaugment
        steps.append(RandAugment(operations, min(strength, MOST_RANDAUGMENT)))
    return Compose(steps)


def evaluation_transform(recipe: Recipe) -> Transform:
    """The fixed counterpart: shorter side to the recipe's smallest, central crop."""
    return Compose([ResizeShortSide(max(recipe.short_side[0], recipe.crop)), CentreCrop(recipe.crop)])


def normaliser(mean: float | Sequence[float], std: float | Sequence[float]) -> Normalise:
    """Normalise with one number for all three channels, or one for each."""
    means = (mean,) * 3 if isinstance(mean, (int, float)) else tuple(mean)
    stds = (std,) * 3 if isinstance(std, (int, float)) else tuple(std)
    return Normalise(tuple(map(float, means)), tuple(map(float, stds)))


def clips_digest(records: Sequence[ClipRecord]) -> str:
    """What identifies a list of clips: names, sizes and labels, in order; not the pixels, which would take
    hours to read.
    """
    rows = [
        [record.path.parent.name, record.path.name, record.path.stat().st_size, dict(record.labels)]
        for record in records
        if record.path.exists()
    ]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def first_readable(records: Sequence[ClipRecord], sampler: FrameSampler, what: str) -> LeftOut | None:
    """Make sure that at least one clip of a list can be read, before anything is begun.

    Raises:
        DataError: the list is empty, or none of its clips can be read; with the first one's reason.
    """
    if not records:
        raise DataError(f"there are no {what} clips")
    dataset = ClipDataset(records, sampler)
    first: LeftOut | None = None
    for index in range(len(records)):
        item = dataset[index]
        if "skipped" not in item:
            return first
        first = first or item["skipped"]
    raise DataError(f"none of {len(records)} {what} clips could be read; the first: {first}")


def plan_epoch(
    num_clips: int, epoch: int, *, batch_size: int, accumulate: int, seed: int, rank: int, world_size: int
) -> list[list[tuple[list[ClipKey], bool]]]:
    """The clips of one epoch for one process: per step, ``accumulate`` parts, each with whether it is filler.

    Every process draws the same order from the seed, cuts it into steps, and takes its own share of each
    part. A part that comes away empty holds one clip as filler, which counts as none.

    >>> plan = plan_epoch(5, 0, batch_size=4, accumulate=2, seed=0, rank=0, world_size=1)
    >>> [[(len(keys), filler) for keys, filler in step] for step in plan]
    [[(2, False), (2, False)], [(1, False), (1, True)]]
    """
    order = [ClipKey(epoch, clip) for clip in Shuffled(num_clips, seed)(epoch)]
    steps = []
    for first in range(0, num_clips, batch_size):
        batch = order[first : first + batch_size]
        parts = []
        for index in range(accumulate):
            part, idle = share_of_batch(batch, index, accumulate)
            mine, filler = share_of_batch(part, rank, world_size)
            parts.append((mine, idle or filler))
        steps.append(parts)
    return steps


def steps_per_epoch(num_clips: int, batch_size: int) -> int:
    """Steps of an epoch, its uneven last one included."""
    return -(-num_clips // batch_size)


@dataclass
class StepBatches:
    """Batches for the loop from any step on: step k always takes the same clips, with the same draws.

    Attributes:
        dataset: a ``ClipDataset``; what is drawn for a clip depends on its epoch and number alone.
        batch_size: clips of a step, over all processes and all its parts.
        accumulate: parts of a step.
        seed: of the order.
        num_workers: processes that read ahead.
        rank, world_size: which share to take.
        pin_memory: put batches where a GPU can fetch them without waiting.
        skipped: clips that could not be read so far, by path.
    """

    dataset: Any
    batch_size: int
    accumulate: int = 1
    seed: int = 0
    num_workers: int = 0
    rank: int = 0
    world_size: int = 1
    pin_memory: bool = False
    skipped: dict[str, LeftOut] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_positive(batch_size=self.batch_size, accumulate=self.accumulate)
        require(self.num_workers >= 0, "workers", self.num_workers, "0 or more")

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a whole epoch."""
        return steps_per_epoch(len(self.dataset), self.batch_size)

    def plan(self, start: int, steps: int) -> Iterator[tuple[list[ClipKey], bool]]:
        """The parts of steps ``start`` to ``steps − 1``, in turn."""
        per_epoch = self.steps_per_epoch
        for epoch in range(start // per_epoch, -(-steps // per_epoch)):
            planned = plan_epoch(
                len(self.dataset),
                epoch,
                batch_size=self.batch_size,
                accumulate=self.accumulate,
                seed=self.seed,
                rank=self.rank,
                world_size=self.world_size,
            )
            first = max(start - epoch * per_epoch, 0)
            last = min(steps - epoch * per_epoch, per_epoch)
            for parts in planned[first:last]:
                yield from parts

    def __call__(self, start: int, steps: int) -> Iterator[dict[str, Any]]:
        """``accumulate`` batches for each of the steps ``start`` to ``steps − 1``."""
        loader = read_batches(
            self.dataset, _Keys(self, start, steps), self.num_workers, pin_memory=self.pin_memory
        )
        for (_, filler), batch in zip(self.plan(start, steps), loader, strict=True):
            for left in batch.pop("skipped"):
                if not filler:
                    self.skipped.setdefault(left.name, left)
            if "clip" not in batch:  # all of them unreadable: still one batch, or the steps would shift
                batch |= self._blank()
                filler = True
            if filler:
                batch["filler"] = True
            yield batch

    def _blank(self) -> dict[str, Any]:
        """A black clip in place of those that could not be read; it counts as none."""
        for index in range(len(self.dataset)):
            item = self.dataset[index]
            if "skipped" not in item:
                batch = collate_clips([item])
                del batch["skipped"]
                return batch | {"clip": torch.zeros_like(batch["clip"])}
        raise DataError(f"none of {len(self.dataset)} clips could be read")


@dataclass(frozen=True)
class _Keys:
    """The clips of each batch, an epoch at a time: a plan of all epochs would fill the memory."""

    batches: StepBatches
    start: int
    steps: int

    def __iter__(self) -> Iterator[list[ClipKey]]:
        return (keys for keys, _ in self.batches.plan(self.start, self.steps))


def read_batches(
    dataset: Dataset[Any],
    plan: Any,
    num_workers: int,
    *,
    pin_memory: bool = False,
    collate: Any = collate_clips,
) -> Iterator[Any]:
    """The batches of a plan, in turn, read ahead by workers.

    The base seed of the workers is fixed: left alone, the loader would draw it from the global generator.
    """
    yield from DataLoader(
        dataset,
        batch_sampler=plan,
        num_workers=num_workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker if num_workers else None,
        generator=torch.Generator().manual_seed(0),
    )


def _start_worker(worker: int) -> None:
    """A worker's own chance and one thread; Ctrl-C and requests to stop are for the process that trains."""
    seed_worker(worker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def listed_batches(
    dataset: Dataset[Any],
    num_clips: int,
    *,
    batch_size: int,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    collate: Any = collate_clips,
) -> Iterator[dict[str, Any]]:
    """Every clip once over all processes, in order; what could not be read is in the batch's ``skipped``.

    A process without clips gets filler. A batch all of whose clips were skipped holds nothing else.
    """
    plan = []
    for first in range(0, num_clips, batch_size * world_size):
        numbers = list(range(first, min(first + batch_size * world_size, num_clips)))
        plan.append(share_of_batch(numbers, rank, world_size))
    for (_, filler), batch in zip(
        plan, read_batches(dataset, [keys for keys, _ in plan], num_workers, collate=collate), strict=True
    ):
        if filler:
            batch = {**batch, "filler": True, "skipped": []}
        yield batch


def relative_name(path: Path | str, root: Path | str | None) -> str:
    """A clip's path as it is told: below its folder where it has one."""
    try:
        return str(Path(path).relative_to(Path(root))) if root is not None else str(path)
    except ValueError:
        return str(path)
