"""The clips of a run, wherever they lie: what is drawn of them in training, what is shown in evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from vtlearn.data.augment import RandAugment
from vtlearn.data.batches import ClipSource, Endless, Epochs
from vtlearn.data.kinetics import ClipRecord, ClipSet, LeftOut
from vtlearn.data.loader import ClipDataset
from vtlearn.data.memory import ClipMemory, MemoryClips
from vtlearn.data.sampling import FrameSampler, SegmentSampler, StridedSampler, UniformSampler
from vtlearn.data.transforms import (
    CentreCrop,
    Compose,
    Normalise,
    RandomFlip,
    RandomShift,
    ResizeShortSide,
    ShortSideJitter,
    Transform,
)
from vtlearn.errors import DataError
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


def augmentation(recipe: Recipe, class_names: Mapping[str, Sequence[str]]) -> list[Transform]:
    """What a recipe does to a training clip of the right size: shift, mirror, RandAugment."""
    steps: list[Transform] = [RandomShift(recipe.shift)] if recipe.shift else []
    if recipe.flip:
        steps.append(RandomFlip(class_names))
    if recipe.randaugment is not None:
        operations, strength = recipe.randaugment
        steps.append(RandAugment(operations, float(min(strength, MOST_RANDAUGMENT))))
    return steps


def jitter(recipe: Recipe) -> ShortSideJitter:
    """The random size and crop of a recipe."""
    low, high = recipe.short_side
    return ShortSideJitter(max(low, recipe.crop), max(high, recipe.crop), recipe.crop, recipe.scale_jitter)


@dataclass(frozen=True)
class FileClips:
    """Clips that are read from their files whenever they are shown.

    Attributes:
        clips: with their splits, labels and the one labelling that is learnt.
        recipe: how they are sampled, cut and augmented.
        seed: of order and augmentation.
    """

    clips: ClipSet
    recipe: Recipe
    seed: int

    @property
    def class_names(self) -> Mapping[str, Sequence[str]]:
        """Labelling → names in class order."""
        return self.clips.class_names

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Clips that are not used, with reasons."""
        return self.clips.left_out

    def count(self, split: str) -> int:
        """Clips of a split."""
        return len(self.clips.split(split))

    def check(self) -> None:
        """See that clips can be read at all, before anything is begun.

        Raises:
            DataError: no training clip, or a split of which none can be read.
        """
        for split, what in (("train", "training"), ("val", "validation")):
            if split == "train" or self.count(split):
                first_readable(self.clips.split(split), self._sampler(random=False), what)

    def deciding(self) -> dict[str, Any]:
        """What must agree when a run goes on."""
        ((labelling, names),) = self.class_names.items()
        digest = clips_digest(self.clips.split("train"))
        return {"clips_sha256": digest, "labelling": labelling, "class_names": list(names)}

    def order(self) -> Epochs:
        """The training clips of each step."""
        return Epochs(self.count("train"), self.recipe.batch_size, self.seed)

    def shown(self, split: str, *, random: bool) -> ClipSource:
        """A split as the batcher asks for it: augmented at random, or fixed and central."""
        steps: list[Transform] = [ResizeShortSide(jitter(self.recipe).smallest), CentreCrop(self.recipe.crop)]
        if random:
            steps = [jitter(self.recipe), *augmentation(self.recipe, self.class_names)]
        sampler = self._sampler(random=random)
        return ClipDataset(
            self.clips.split(split), sampler, transform=Compose(steps), random=random, seed=self.seed
        )

    def ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What else becomes of a batch once it is normalised: nothing."""
        return batch

    def _sampler(self, *, random: bool) -> FrameSampler:
        return frame_sampler(self.recipe.num_frames, self.recipe.frame_stride, random=random)


@dataclass(frozen=True)
class StoredClips:
    """Clips that were decoded beforehand, split by split into a file; all labellings are learnt at once.

    Attributes:
        files: split → file of a :class:`~vtlearn.data.memory.ClipMemory`.
        digest: what identifies their pixels.
        recipe: how they are augmented.
        seed: of order and augmentation.
    """

    files: Mapping[str, str]
    digest: str
    recipe: Recipe
    seed: int
    left_out: Sequence[LeftOut] = ()

    @property
    def class_names(self) -> Mapping[str, Sequence[str]]:
        """Labelling → names in class order."""
        return self.memory("train").class_names

    def memory(self, split: str) -> ClipMemory:
        """The decoded clips of a split."""
        return _loaded(self.files[split])

    def count(self, split: str) -> int:
        """Clips of a split."""
        return len(self.memory(split)) if split in self.files else 0

    def check(self) -> None:
        """They were all read when they were decoded."""

    def deciding(self) -> dict[str, Any]:
        """What must agree when a run goes on."""
        names = {labelling: list(each) for labelling, each in self.class_names.items()}
        return {"clips_sha256": self.digest, "class_names": names}

    def order(self) -> Endless:
        """The training clips of each step."""
        return Endless(self.count("train"), self.recipe.batch_size, self.seed)

    def shown(self, split: str, *, random: bool) -> ClipSource:
        """A split as the batcher asks for it: augmented at random, or as it is stored."""
        recipe, steps = self.recipe, []
        if random:
            resized = recipe.short_side != (recipe.crop, recipe.crop) or recipe.scale_jitter != (1.0, 1.0)
            steps = [*([jitter(recipe)] if resized else []), *augmentation(recipe, self.class_names)]
        return MemoryClips(self.memory(split), recipe.num_frames, Compose(steps), random, self.seed)

    def ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What else becomes of a batch once it is normalised: nothing."""
        return batch


@dataclass(frozen=True)
class StoredFrames(StoredClips):
    """Single frames of stored clips, under their first labelling: what an image model learns from."""

    def memory(self, split: str) -> ClipMemory:
        """The decoded clips of a split, with one labelling."""
        clips = super().memory(split)
        first = next(iter(clips.class_names))
        names, labels = {first: clips.class_names[first]}, {first: clips.labels[first]}
        return replace(clips, class_names=names, labels=labels)

    def ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Clips of one frame become pictures ``(B, C, H, W)``, which have no place in time."""
        return {**batch, "clip": batch["clip"][:, 0], "frame_index": None}


@lru_cache(maxsize=3)
def _loaded(path: str) -> ClipMemory:
    return ClipMemory.load(path)


RunClips = FileClips | StoredClips
"""Where a run's clips lie."""
