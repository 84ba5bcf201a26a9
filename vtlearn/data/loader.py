"""From clips on disk to batches: a map-style data set, the orders it is read in, and a loader that resumes.

Every draw of chance depends on the seed, the epoch and the clip alone, so batches are the same for any number
of workers, and a run can be taken up in the middle of an epoch. A clip that cannot be read is skipped,
counted and named; nothing else happens to its batch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vtlearn.data.cache import FeatureCache, FrameCache
from vtlearn.data.decode import TIME_LIMIT, open_video, require_decoder
from vtlearn.data.kinetics import ClipRecord, LeftOut
from vtlearn.data.sampling import FrameSampler
from vtlearn.data.transforms import Transform, short_side_size
from vtlearn.errors import ArgumentError, DataError, require, require_positive


class ClipKey(NamedTuple):
    """Which clip, in which epoch: all that its random draws depend on, besides the seed."""

    epoch: int
    clip: int


class ClipDataset(Dataset[Mapping[str, Any]]):
    """Clips of a list of records, read when they are asked for, in the process that asks.

    An item is ``{"clip": (T, C, H, W), "frame_index": (T,), "labels": {labelling: class}, "path": str}``; for
    a clip that cannot be read it is ``{"skipped": LeftOut}``. It is asked for by number, or by `ClipKey`.

    Args:
        records: the clips.
        sampler: chooses the frames.
        short_side: pixels to which the shorter side is resized while reading; None keeps the size.
        transform: what follows, given one clip as ``(1, T, C, H, W)`` bytes.
        random: draw frames and transforms at random; otherwise both take their fixed, central choice.
        seed: of the draws.
        decoder: as for `open_video`.
        time_limit: seconds for one clip.
        cache: keeps decoded videos at ``short_side``; None decodes each time.
    """

    def __init__(
        self,
        records: Sequence[ClipRecord],
        sampler: FrameSampler,
        *,
        short_side: int | None = None,
        transform: Transform | None = None,
        random: bool = False,
        seed: int = 0,
        decoder: str | None = None,
        time_limit: float = TIME_LIMIT,
        cache: FrameCache | None = None,
    ) -> None:
        if short_side is not None:
            require_positive(short_side=short_side)
        require_decoder(decoder)
        self.records = tuple(records)
        self.sampler = sampler
        self.short_side = short_side
        self.transform = transform
        self.random = random
        self.seed = seed
        self.decoder = decoder
        self.time_limit = time_limit
        self.cache = cache

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | ClipKey) -> Mapping[str, Any]:
        epoch, index = key if isinstance(key, ClipKey) else ClipKey(0, key)
        record = self.records[index]
        generator = clip_generator(self.seed, epoch, index) if self.random else None
        try:
            frames, chosen = self.read(record, generator)
        except DataError as error:
            return {"skipped": LeftOut(str(record.path), str(error).removeprefix(f"{record.path}: "))}
        return {
            "clip": self.finish(frames, generator),
            "frame_index": torch.tensor(chosen),
            "labels": dict(record.labels),
            "path": str(record.path),
        }

    def read(
        self, record: ClipRecord, generator: torch.Generator | None = None
    ) -> tuple[UInt8[Tensor, "T H W C"], list[int]]:
        """A clip's frames as they come from the decoder or the cache, and their numbers.

        Raises:
            DataError: the clip cannot be read.
        """
        kept: dict[str, Any] = {"decoder": self.decoder, "time_limit": self.time_limit}
        if self.cache is not None:
            with self.cache.open(record.path, short_side=self.short_side, **kept) as video:
                chosen = self.sampler(video.num_frames, generator)
                return video.frames(chosen), chosen
        with open_video(record.path, **kept) as video:
            chosen = self.sampler(video.num_frames, generator)
            size = None if self.short_side is None else short_side_size(*video.size, self.short_side)
            return video.frames(chosen, None if size == video.size else size), chosen

    def finish(
        self, frames: UInt8[Tensor, "T H W C"], generator: torch.Generator | None = None
    ) -> Shaped[Tensor, "T C h w"]:
        """Frames as they were read → the clip of an item."""
        clip = frames.permute(0, 3, 1, 2)[None]
        if self.transform is not None:
            clip = self.transform(clip, generator)
        return clip[0].contiguous()


class FeatureDataset(Dataset[Mapping[str, Any]]):
    """Features that a frozen backbone made earlier, in the place of clips: ``"clip"`` is ``(T, D)``.

    ``"frame_index"`` holds the frames that the features stand for, as VTN is told them. A video without
    features is skipped and named.

    Args:
        records: the clips.
        cache: their features.
        sampler: chooses among each video's features as if they were frames.
        random: draw at random.
        seed: of the draws.
    """

    def __init__(
        self,
        records: Sequence[ClipRecord],
        cache: FeatureCache,
        sampler: FrameSampler,
        *,
        random: bool = False,
        seed: int = 0,
    ) -> None:
        self.records = tuple(records)
        self.cache = cache
        self.sampler = sampler
        self.random = random
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | ClipKey) -> Mapping[str, Any]:
        epoch, index = key if isinstance(key, ClipKey) else ClipKey(0, key)
        record = self.records[index]
        generator = clip_generator(self.seed, epoch, index) if self.random else None
        try:
            chosen = self.sampler(len(self.cache.frame_index(record.path)), generator)
            features, frames = self.cache.load(record.path, chosen)
        except DataError as error:
            return {"skipped": LeftOut(str(record.path), str(error).removeprefix(f"{record.path}: "))}
        labels = dict(record.labels)
        return {"clip": features, "frame_index": frames, "labels": labels, "path": str(record.path)}


def clip_generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """A generator for one clip of one epoch, independent of every other.

    >>> draws = [int(torch.randint(10**9, (), generator=clip_generator(0, 0, i))) for i in range(100)]
    >>> len(set(draws))
    100
    """
    mixed = np.random.SeedSequence((seed % 2**63, epoch, index)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))


def collate_clips(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Items of a `ClipDataset` as one batch; clips that were skipped stand in ``"skipped"``, apart from it.

    Returns:
        ``{"clip": (B, T, C, H, W), "frame_index": (B, T), "labels": {labelling: (B,)}, "path": [B],
        "skipped": [LeftOut]}``; without the first four keys where every clip was skipped.

    Raises:
        DataError: clips of different size or length.
    """
    read = [item for item in items if "skipped" not in item]
    batch: dict[str, Any] = {"skipped": [item["skipped"] for item in items if "skipped" in item]}
    if read:
        for item in read[1:]:
            if item["clip"].shape != read[0]["clip"].shape:
                raise DataError(
                    f"{item['path']}: a clip of shape {tuple(item['clip'].shape)} in a batch of "
                    f"{tuple(read[0]['clip'].shape)}; crop or resize them alike, or take batches of one"
                )
        batch["clip"] = torch.stack([item["clip"] for item in read])
        batch["frame_index"] = torch.stack([item["frame_index"] for item in read])
        labellings = set(read[0]["labels"]).intersection(*(item["labels"] for item in read))
        batch["labels"] = {
            name: torch.tensor([item["labels"][name] for item in read]) for name in sorted(labellings)
        }
        batch["path"] = [item["path"] for item in read]
    return batch


# Orders


@runtime_checkable
class Order(Protocol):
    """Clip numbers in the order of an epoch; the same epoch always gives the same order."""

    def __call__(self, epoch: int) -> list[int]:
        """The clips of this epoch."""
        ...


@dataclass(frozen=True)
class InTurn:
    """Every clip once, in turn.

    >>> InTurn(3)(epoch=5)
    [0, 1, 2]
    """

    num_clips: int

    def __call__(self, epoch: int) -> list[int]:
        return list(range(self.num_clips))


@dataclass(frozen=True)
class Shuffled:
    """Every clip once, in an order that the seed and the epoch decide.

    >>> sorted(Shuffled(4)(epoch=1))
    [0, 1, 2, 3]
    """

    num_clips: int
    seed: int = 0

    def __call__(self, epoch: int) -> list[int]:
        return _permutation(self.num_clips, self.seed, epoch, 0)


@dataclass(frozen=True)
class Balanced:
    """Every class equally often: as many clips of each as the largest has, the smaller repeated in turn.

    Args:
        classes: class of each clip.
        seed: of the order.
        per_class: clips of each class in an epoch; the size of the largest class if not given.

    >>> classes = (0, 0, 0, 1)
    >>> sorted(classes[i] for i in Balanced(classes)(epoch=0))
    [0, 0, 0, 1, 1, 1]
    """

    classes: Sequence[int]
    seed: int = 0
    per_class: int | None = None

    def __call__(self, epoch: int) -> list[int]:
        members: dict[int, list[int]] = {}
        for clip, number in enumerate(self.classes):
            members.setdefault(number, []).append(clip)
        wanted = self.per_class or max(map(len, members.values()), default=0)
        chosen = []
        for number, clips in sorted(members.items()):
            # The endless list of a class's shuffled rounds, cut into epochs: all clips come equally often.
            for place in range(epoch * wanted, (epoch + 1) * wanted):
                turn, position = divmod(place, len(clips))
                if position == 0 or place == epoch * wanted:
                    shuffled = _permutation(len(clips), self.seed, turn, 1 + number)
                chosen.append(clips[shuffled[position]])
        return [chosen[i] for i in _permutation(len(chosen), self.seed, epoch, 0)]


@dataclass(frozen=True)
class Shared:
    """One process's part of an order: every ``world_size``-th clip from the ``rank``-th on.

    All parts are equally long: the order is filled up from its own start, as training in step needs. To
    evaluate every clip once, give each process its own slice of the records instead.

    >>> Shared(InTurn(5), rank=1, world_size=2)(epoch=0)
    [1, 3, 0]
    """

    order: Order
    rank: int
    world_size: int

    def __post_init__(self) -> None:
        require_positive(world_size=self.world_size)
        require(0 <= self.rank < self.world_size, "rank", self.rank, f"from 0 to {self.world_size - 1}")

    def __call__(self, epoch: int) -> list[int]:
        whole = self.order(epoch)
        missing = -len(whole) % self.world_size
        whole += [whole[i % len(whole)] for i in range(missing)] if whole else []
        return whole[self.rank :: self.world_size]


def _permutation(count: int, *seeds: int) -> list[int]:
    seed = [number % 2**63 for number in seeds]
    order: list[int] = np.random.default_rng(seed).permutation(count).tolist()
    return order


# The loader


class ClipLoader:
    """Batches of a data set, epoch after epoch, from wherever it was told to go on.

    Each iteration gives what is left of the current epoch. Where training is to go on later, keep
    `state_dict`: it counts the batches that were handed out, not those that workers prepared ahead.

    Args:
        dataset: items by `ClipKey`.
        order: the clips of each epoch.
        batch_size: clips in a batch; fewer where clips had to be skipped, and in the last batch of an epoch.
        drop_last: leave out an incomplete last batch.
        num_workers: processes that read ahead; 0 reads in this one.
        pin_memory: put batches where a GPU can fetch them without waiting.
        start_method: how workers are started: ``"fork"``, ``"spawn"`` or ``"forkserver"``; None takes the
            system's own.

    Attributes:
        num_read: clips handed out so far.
    """

    def __init__(
        self,
        dataset: Dataset[Mapping[str, Any]],
        order: Order,
        *,
        batch_size: int,
        drop_last: bool = False,
        num_workers: int = 0,
        pin_memory: bool = False,
        start_method: str | None = None,
    ) -> None:
        require_positive(batch_size=batch_size)
        require(num_workers >= 0, "num_workers", num_workers, "0 or more")
        self._place = _Place(order, batch_size, drop_last)  # apart, so that workers end with the loader
        self.num_read = 0
        self._skipped: dict[str, LeftOut] = {}
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self._place,
            num_workers=num_workers,
            collate_fn=collate_clips,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            worker_init_fn=seed_worker if num_workers > 0 else None,
            multiprocessing_context=start_method if num_workers > 0 else None,
        )

    @property
    def skipped(self) -> list[LeftOut]:
        """Clips that could not be read so far, with their reasons; each once, in the order they were met."""
        return list(self._skipped.values())

    @property
    def epoch(self) -> int:
        """The epoch that is being handed out."""
        return self._place.epoch

    @property
    def batch(self) -> int:
        """Batches of it that were handed out."""
        return self._place.batch

    def __len__(self) -> int:
        """Batches in a whole epoch, those whose clips must all be skipped included."""
        return len(self._place.batches())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._loader:
            self._place.batch += 1
            for entry in batch.pop("skipped"):
                self._skipped.setdefault(entry.name, entry)
            if "clip" in batch:
                self.num_read += len(batch["clip"])
                yield batch
        self._place.epoch, self._place.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands, in numbers that JSON holds."""
        size = self._place.batch_size
        return {"epoch": self.epoch, "batch": self.batch, "batch_size": size, "batches": len(self)}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another loader of the same clips stood.

        Raises:
            ArgumentError: the state is of a loader with another batch size or number of clips.
        """
        for name, own in (("batch_size", self._place.batch_size), ("batches", len(self))):
            if state[name] != own:
                raise ArgumentError(f"state[{name!r}]", state[name], f"{own}, as in this loader")
        self._place.epoch, self._place.batch = int(state["epoch"]), int(state["batch"])


class _Place:
    """Where a loader stands; as a batch sampler it gives the keys of what is left of the epoch."""

    def __init__(self, order: Order, batch_size: int, drop_last: bool) -> None:
        self.order = order
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.epoch = 0
        self.batch = 0

    def batches(self) -> list[list[ClipKey]]:
        """All batches of the epoch."""
        keys = [ClipKey(self.epoch, clip) for clip in self.order(self.epoch)]
        batches = [keys[i : i + self.batch_size] for i in range(0, len(keys), self.batch_size)]
        if self.drop_last and batches and len(batches[-1]) < self.batch_size:
            batches.pop()
        return batches

    def __iter__(self) -> Iterator[list[ClipKey]]:
        return iter(self.batches()[self.batch :])

    def __len__(self) -> int:
        return len(self.batches())


def seed_worker(worker: int) -> None:
    """Give a loader's worker one thread and its own global state of chance."""
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - code that reads the global state is meant
    torch.set_num_threads(1)


def report_skipped(skipped: Sequence[LeftOut], total: int) -> str:
    """What was skipped, as lines of text: how many, then each path with its reason.

    >>> print(report_skipped([LeftOut("a.mp4", "empty file")], total=3))
    1 of 3 clips could not be read:
      a.mp4: empty file
    """
    if not skipped:
        return f"all {total} clips could be read"
    lines = [f"{len(skipped)} of {total} clips could not be read:"]
    return "\n".join(lines + [f"  {entry}" for entry in skipped])
