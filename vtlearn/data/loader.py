"""Clips on disk, read when they are asked for: a map-style data set, and how its items become a batch.

Every draw of chance depends on the seed, the epoch and the clip alone, so batches are the same for any number
of workers, and a run can be taken up in the middle of an epoch. A clip that cannot be read is skipped,
counted and named; nothing else happens to its batch.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from vtlearn.data.cache import FrameCache
from vtlearn.data.decode import TIME_LIMIT, open_video, require_decoder
from vtlearn.data.kinetics import ClipRecord, LeftOut
from vtlearn.data.sampling import FrameSampler
from vtlearn.data.transforms import Transform, short_side_size
from vtlearn.errors import DataError, require_positive


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

    def batch(self, part: Any) -> dict[str, Any]:
        """The clips of a part as one batch, see :class:`vtlearn.data.batches.ClipSource`."""
        return collate_clips([self[key] for key in part.keys])

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


def seed_worker(worker: int) -> None:
    """Give a loader's worker one thread and its own global state of chance."""
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - code that reads the global state is meant
    torch.set_num_threads(1)
