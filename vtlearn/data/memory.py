"""Small sets whole in memory: every clip decoded once, kept as bytes in one file, and batches drawn from
it by step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from vtlearn.data.decode import FASTEST, open_video
from vtlearn.data.kinetics import ClipRecord, LeftOut
from vtlearn.data.sampling import segment_bounds, uniform_indices
from vtlearn.data.transforms import CentreCrop, Normalise, RandomShift, short_side_size
from vtlearn.errors import DataError, require, require_positive
from vtlearn.files import written_aside

PIXELS = Normalise.named("timesformer")
"""How pixels are scaled unless told otherwise."""


@dataclass(frozen=True)
class ClipMemory:
    """The clips of one split, decoded.

    Attributes:
        frames: ``(clips, F, H, W, C)`` uint8, F frames spread evenly over each clip.
        frame_index: ``(clips, F)``, where each of them stands in its video.
        labels: labelling → class of each clip.
        class_names: labelling → names in class order.
        paths: the files.
        left_out: clips that could not be read, with reasons.
    """

    frames: UInt8[Tensor, "n F H W C"]
    frame_index: Int[Tensor, "n F"]
    labels: Mapping[str, Int[Tensor, "n"]]
    class_names: Mapping[str, Sequence[str]]
    paths: Sequence[str]
    left_out: Sequence[LeftOut] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def save(self, path: str | Path) -> Path:
        """Write the clips to one safetensors file, aside first and then renamed."""
        path = Path(path)
        tensors = {"frames": self.frames, "frame_index": self.frame_index}
        tensors |= {f"labels.{name}": labels for name, labels in self.labels.items()}
        facts = {
            "class_names": {name: list(names) for name, names in self.class_names.items()},
            "paths": list(self.paths),
            "left_out": [[each.name, each.reason] for each in self.left_out],
        }
        with written_aside(path) as aside:
            save_file(tensors, aside, {"facts": json.dumps(facts)})
        return path

    @classmethod
    def load(cls, path: str | Path) -> ClipMemory:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: not such a file, or damaged.
        """
        try:
            with safe_open(os.fspath(path), framework="pt") as file:
                facts = json.loads((file.metadata() or {})["facts"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise DataError(f"{path}: no decoded clips there ({error})") from None
        return cls(
            frames=tensors["frames"],
            frame_index=tensors["frame_index"],
            labels={key[7:]: value for key, value in tensors.items() if key.startswith("labels.")},
            class_names=facts["class_names"],
            paths=facts["paths"],
            left_out=tuple(LeftOut(*each) for each in facts["left_out"]),
        )


def decode_clips(
    records: Sequence[ClipRecord],
    class_names: Mapping[str, Sequence[str]],
    *,
    num_frames: int,
    image_size: int,
    progress: str | None = None,
) -> ClipMemory:
    """Decode ``num_frames`` frames of every clip: short side to ``image_size``, centre cropped to a square.

    A clip that cannot be read is left out, with its path and the reason.

    Args:
        records: the clips; each needs a label for every labelling.
        class_names: labelling → names in class order.
        num_frames: frames to keep of each clip, spread evenly.
        image_size: rows and columns of what is kept.
        progress: title of the progress bar; None shows none.

    Raises:
        DataError: there are no clips, or none of them could be read.
    """
    require_positive(num_frames=num_frames, image_size=image_size)
    if not records:
        raise DataError("there are no clips to decode")
    frames, index, kept, left_out = [], [], [], []
    for record in tqdm(records, desc=progress, unit="clip", disable=progress is None):
        try:
            with open_video(record.path, FASTEST) as video:
                chosen = uniform_indices(video.num_frames, num_frames)
                size = short_side_size(*video.size, image_size)
                whole = video.frames(chosen, None if size == video.size else size)
                frames.append(
                    CentreCrop(image_size)(whole.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
                )
        except DataError as error:
            left_out.append(LeftOut(str(record.path), str(error).removeprefix(f"{record.path}: ")))
            continue
        index.append(chosen)
        kept.append(record)
    if not kept:
        raise DataError(f"none of {len(records)} clips could be read; the first: {left_out[0]}")
    return ClipMemory(
        frames=torch.stack(frames),
        frame_index=torch.tensor(index),
        labels={name: torch.tensor([record.labels[name] for record in kept]) for name in class_names},
        class_names=class_names,
        paths=[str(record.path) for record in kept],
        left_out=tuple(left_out),
    )


@dataclass(frozen=True)
class TrainingBatches:
    """Augmented batches of a memory of clips; batch k depends on the seed and k alone, so any run can go
    on anywhere.

    Frames are drawn one from each of ``num_frames`` equal parts, and each clip is moved by up to ``shift``
    pixels, the
    same for all its frames; its edge pixels fill the gap. Clips come in a fresh order each epoch.

    Args:
        clips: the clips.
        batch_size: clips in each batch.
        num_frames: frames shown of each clip.
        shift: pixels by which a clip is moved at most, in each direction.
        seed: of the order and the augmentation.
        pixels: how bytes become the floats that models take.
    """

    clips: ClipMemory
    batch_size: int
    num_frames: int
    shift: int = 0
    seed: int = 0
    pixels: Normalise = PIXELS

    def __post_init__(self) -> None:
        require_positive(batch_size=self.batch_size, num_frames=self.num_frames)
        require(self.shift >= 0, "shift", self.shift, "0 or more")
        stored = self.clips.frames.shape[1]
        require(self.num_frames <= stored, "num_frames", self.num_frames, f"at most the {stored} frames kept")

    def batch(self, step: int) -> dict[str, Any]:
        """Batch ``step``, counted from 0: ``clip (B, T, C, H, W)``, ``frame_index``, ``labels`` and
        ``path``."""
        chosen = self._order(step)
        rng = torch.Generator().manual_seed(_mix(self.seed, 2, step))
        bounds = torch.tensor(segment_bounds(self.clips.frames.shape[1], self.num_frames))
        width = bounds[:, 1] - bounds[:, 0] + 1
        drawn = torch.rand(len(chosen), self.num_frames, generator=rng)
        frame = bounds[:, 0] + (drawn * width).long().clamp(max=width - 1)
        frames = self.clips.frames[chosen[:, None], frame].permute(0, 1, 4, 2, 3)
        return {
            "clip": self.pixels(RandomShift(self.shift)(frames, rng)),
            "frame_index": self.clips.frame_index[chosen[:, None], frame],
            "labels": {name: labels[chosen] for name, labels in self.clips.labels.items()},
            "path": [self.clips.paths[i] for i in chosen.tolist()],
        }

    def _order(self, step: int) -> Int[Tensor, "B"]:
        """Clips of batch ``step``: the running list of shuffled epochs, cut into batches."""
        total = len(self.clips)
        chosen: list[Tensor] = []
        for position in range(step * self.batch_size, (step + 1) * self.batch_size):
            epoch, place = divmod(position, total)
            if place == 0 or not chosen:
                order = torch.randperm(
                    total, generator=torch.Generator().manual_seed(_mix(self.seed, 1, epoch))
                )
            chosen.append(order[place])
        return torch.stack(chosen)

    def __call__(self, start: int, steps: int) -> Any:
        """Batches ``start`` to ``steps − 1``."""
        return (self.batch(step) for step in range(start, steps))


def evaluation_batches(
    clips: ClipMemory, *, batch_size: int, num_frames: int, pixels: Normalise = PIXELS
) -> Any:
    """Every clip once, in order, with ``num_frames`` frames spread evenly; nothing is drawn.

    Args:
        clips: the clips.
        batch_size: clips in each batch; the last may hold fewer.
        num_frames: frames shown of each clip.
        pixels: how bytes become the floats that models take.
    """
    chosen = uniform_indices(clips.frames.shape[1], num_frames)
    for first in range(0, len(clips), batch_size):
        part = slice(first, first + batch_size)
        yield {
            "clip": pixels(clips.frames[part][:, chosen].permute(0, 1, 4, 2, 3)),
            "frame_index": clips.frame_index[part][:, chosen],
            "labels": {name: labels[part] for name, labels in clips.labels.items()},
            "path": list(clips.paths[part]),
        }


def _mix(*numbers: int) -> int:
    """One seed from several numbers, far apart for neighbours."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number * 1442695040888963407 + 1013904223) % 2**63
    return mixed
