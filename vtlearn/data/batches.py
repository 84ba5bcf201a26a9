"""One batcher over clips wherever they lie: step k always takes the same clips, with the same draws."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vtlearn.data.kinetics import LeftOut
from vtlearn.data.loader import ClipKey, seed_worker
from vtlearn.errors import DataError, require, require_positive


class Part(NamedTuple):
    """The clips that one process takes of one part of a step.

    Attributes:
        step: counted from 0.
        whole: the step's clips, over all its parts and processes.
        first: where this process's begin among them.
        keys: this process's.
        filler: whether they only stand in for none, and count as none.
    """

    step: int
    whole: list[ClipKey]
    first: int
    keys: list[ClipKey]
    filler: bool


@runtime_checkable
class ClipSource(Protocol):
    """Clips that can be asked for batch by batch: in memory, in a file, or on disk."""

    def __len__(self) -> int: ...

    def batch(self, part: Part) -> dict[str, Any]:
        """The part's ``clip``, ``frame_index``, ``labels``, ``path``; ``skipped`` has the unreadable."""
        ...


# Orders: step → its clips


@dataclass(frozen=True)
class Order:
    """Which clips each step takes; the same step always gives the same ones.

    Args:
        num_clips: clips there are.
        batch_size: clips of a step, over all its parts and processes.
        seed: of the order.
    """

    num_clips: int
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(batch_size=self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every clip has come once."""
        return -(-self.num_clips // self.batch_size)

    def __call__(self, step: int) -> list[ClipKey]:
        """The clips of a step, counted from 0."""
        raise NotImplementedError


class Epochs(Order):
    """Every clip once an epoch, in an order of its own; an epoch's last step has what is left.

    >>> order = Epochs(5, batch_size=2)
    >>> [len(order(step)) for step in range(4)], sorted(key.clip for step in range(3) for key in order(step))
    ([2, 2, 1, 2], [0, 1, 2, 3, 4])
    """

    def __call__(self, step: int) -> list[ClipKey]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = _shuffled(self.num_clips, self.seed, epoch)
        first = place * self.batch_size
        return [ClipKey(epoch, clip) for clip in order[first : first + self.batch_size]]


class Endless(Order):
    """The running list of shuffled epochs, cut into steps of one size: a step may reach into the next epoch.

    >>> order = Endless(5, batch_size=2)
    >>> [[key.epoch for key in order(step)] for step in range(4)]
    [[0, 0], [0, 0], [0, 1], [1, 1]]
    """

    def __call__(self, step: int) -> list[ClipKey]:
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        turns = [divmod(place, self.num_clips) for place in places]
        return [ClipKey(epoch, _running(self.num_clips, self.seed, epoch)[place]) for epoch, place in turns]


@lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    order: list[int] = np.random.default_rng([seed % 2**63, epoch, 0]).permutation(count).tolist()
    return order


@lru_cache(maxsize=4)
def _running(count: int, seed: int, epoch: int) -> list[int]:
    order: list[int] = torch.randperm(
        count, generator=torch.Generator().manual_seed(mixed_seed(seed, 1, epoch))
    ).tolist()
    return order


def mixed_seed(*numbers: int) -> int:
    """One seed from several numbers, far apart for neighbours.

    >>> mixed_seed(0, 1) != mixed_seed(1, 0)
    True
    """
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number * 1442695040888963407 + 1013904223) % 2**63
    return mixed


# Steps cut into parts


def share_of_batch(clips: Sequence[Any], process: int, processes: int) -> tuple[list[Any], bool]:
    """One process's part of a batch that all know: no clip repeated or dropped, sizes one apart at most.

    A process that comes away empty (a last batch with fewer clips than processes) gets one clip as filler,
    because every process must take part in the exchange of gradients; mark its batch with ``filler: True``,
    and the loop counts it as no clip at all.

    Args:
        clips: the batch's clips or their numbers, the same in every process.
        process: which one.
        processes: how many.

    Returns:
        the part, and whether it is filler.

    >>> [share_of_batch([10, 11, 12, 13, 14], process, 2) for process in (0, 1)]
    [([10, 11, 12], False), ([13, 14], False)]
    >>> share_of_batch([10], 1, 2)
    ([10], True)
    """
    require_positive(processes=processes)
    require(0 <= process < processes, "process", process, f"from 0 to {processes - 1}")
    require(len(clips) > 0, "clips", list(clips), "at least one")
    each, over = divmod(len(clips), processes)
    first = process * each + min(process, over)
    part = list(clips[first : first + each + (process < over)])
    return (part, False) if part else ([clips[0]], True)


def parts_of(step: int, whole: list[ClipKey], accumulate: int, rank: int, world_size: int) -> list[Part]:
    """A step's clips for one process: ``accumulate`` parts; an empty one holds a clip as filler.

    >>> whole = [ClipKey(0, clip) for clip in (7, 3, 9)]
    >>> parts = parts_of(0, whole, 2, rank=1, world_size=2)
    >>> [([key.clip for key in part.keys], part.filler) for part in parts]
    [([3], False), ([9], True)]
    """
    parts = []
    for index in range(accumulate):
        places, idle = share_of_batch(range(len(whole)), index, accumulate)
        mine, filler = share_of_batch(places, rank, world_size)
        parts.append(Part(step, whole, mine[0], [whole[place] for place in mine], idle or filler))
    return parts


# Batches


@dataclass
class Batches:
    """Batches for the loop from any step on: the same for any number of workers, and for a run that goes on.

    Attributes:
        clips: where the clips come from; what is drawn for a clip depends on the step or its epoch alone.
        order: step → its clips over all processes.
        accumulate: parts of a step, a batch each.
        num_workers: processes that read ahead; 0 reads in this one.
        rank, world_size: which share to take.
        pin_memory: put batches where a GPU can fetch them without waiting.
        skipped: clips that could not be read so far, by path.

    Raises:
        DataError: from the iteration, where no clip at all can be read.
    """

    clips: ClipSource
    order: Order
    accumulate: int = 1
    num_workers: int = 0
    rank: int = 0
    world_size: int = 1
    pin_memory: bool = False
    skipped: dict[str, LeftOut] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_positive(accumulate=self.accumulate)
        require(self.num_workers >= 0, "workers", self.num_workers, "0 or more")

    def parts(self, start: int, steps: int) -> Iterator[Part]:
        """The parts of steps ``start`` to ``steps − 1``, in turn."""
        for step in range(start, steps):
            yield from parts_of(step, self.order(step), self.accumulate, self.rank, self.world_size)

    def __call__(self, start: int, steps: int) -> Iterator[dict[str, Any]]:
        """``accumulate`` batches for each of the steps ``start`` to ``steps − 1``."""
        read = read_ahead(self.clips, self.parts(start, steps), self.num_workers, pin_memory=self.pin_memory)
        for part, batch in zip(self.parts(start, steps), read, strict=True):
            filler = part.filler
            for left in batch.pop("skipped", ()):
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
        for clip in range(len(self.clips)):
            key = ClipKey(0, clip)
            batch = self.clips.batch(Part(0, [key], 0, [key], True))
            if "clip" in batch:
                del batch["skipped"]
                return batch | {"clip": torch.zeros_like(batch["clip"])}
        raise DataError(f"none of {len(self.clips)} clips could be read")


def listed_batches(
    clips: ClipSource, *, batch_size: int, num_workers: int = 0, rank: int = 0, world_size: int = 1
) -> Iterator[dict[str, Any]]:
    """Every clip once over all processes, in order; what could not be read is in the batch's ``skipped``.

    A process without clips gets filler. A batch all of whose clips were skipped holds nothing else.
    """
    require_positive(batch_size=batch_size)
    parts, together = [], batch_size * world_size
    for step, first in enumerate(range(0, len(clips), together)):
        whole = [ClipKey(0, clip) for clip in range(first, min(first + together, len(clips)))]
        parts += parts_of(step, whole, 1, rank, world_size)
    for part, batch in zip(parts, read_ahead(clips, parts, num_workers), strict=True):
        yield {**batch, "filler": True, "skipped": []} if part.filler else batch


def read_ahead(
    clips: ClipSource, parts: Iterable[Part], num_workers: int, *, pin_memory: bool = False
) -> Iterator[dict[str, Any]]:
    """The batches of the parts, in turn, read ahead by workers, or here where there are none.

    The base seed of the workers is fixed: left alone, the loader would draw it from the global generator.
    """
    if num_workers == 0:
        for part in parts:
            batch = clips.batch(part)
            yield moved(batch, Tensor.pin_memory) if pin_memory else batch
        return
    yield from DataLoader(
        _ByPart(clips),
        sampler=parts,
        batch_size=None,
        num_workers=num_workers,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(0),
    )


class _ByPart(Dataset[dict[str, Any]]):
    """A source as torch's loader asks for it: one item is one batch."""

    def __init__(self, clips: ClipSource) -> None:
        self.clips = clips

    def __getitem__(self, part: Part) -> dict[str, Any]:
        return self.clips.batch(part)


def _as_it_is(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


def _start_worker(worker: int) -> None:
    """A worker's own chance and one thread; Ctrl-C and requests to stop are for the process that trains."""
    seed_worker(worker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def moved(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """Every tensor in a batch through ``move``, everything else as it is.

    >>> moved({"clip": torch.zeros(2), "path": ["a.mp4"]}, lambda tensor: tensor + 1)
    {'clip': tensor([1., 1.]), 'path': ['a.mp4']}
    """
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, dict):
        return {key: moved(each, move) for key, each in value.items()}
    return value
