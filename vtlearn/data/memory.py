"""Small sets whole in memory: every clip decoded once, kept as bytes in one file, batches drawn from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from vtlearn.data.batches import Part, listed_batches, mixed_seed
from vtlearn.data.decode import FASTEST, open_video
from vtlearn.data.kinetics import ClipRecord, LeftOut
from vtlearn.data.sampling import segment_bounds, uniform_indices
from vtlearn.data.transforms import CentreCrop, Compose, Normalise, Transform, short_side_size
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
class MemoryClips:
    """A memory of clips as the batcher asks for it; a step is drawn at once, from seed and step alone.

    At random, frames are drawn one from each of ``num_frames`` equal parts; else they are spread evenly and
    nothing is drawn.

    Args:
        clips: the clips.
        num_frames: frames shown of each.
        transform: what follows, given ``(B, T, C, H, W)`` bytes.
        random: whether to draw.
        seed: of the draws.
    """

    clips: ClipMemory
    num_frames: int
    transform: Transform = Compose(())  # noqa: RUF009 - frozen
    random: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(num_frames=self.num_frames)
        stored = self.clips.frames.shape[1]
        require(self.num_frames <= stored, "num_frames", self.num_frames, f"at most the {stored} frames kept")

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, part: Part) -> dict[str, Any]:
        """The part's clips: ``clip (B, T, C, H, W)``, ``frame_index``, ``labels`` and ``path``."""
        chosen = torch.tensor([key.clip for key in part.whole])
        stored = self.clips.frames.shape[1]
        rng = None
        if self.random:
            rng = torch.Generator().manual_seed(mixed_seed(self.seed, 2, part.step))
            bounds = torch.tensor(segment_bounds(stored, self.num_frames))
            width = bounds[:, 1] - bounds[:, 0] + 1
            drawn = torch.rand(len(chosen), self.num_frames, generator=rng)
            frame = bounds[:, 0] + (drawn * width).long().clamp(max=width - 1)
        else:
            frame = torch.tensor(uniform_indices(stored, self.num_frames)).expand(len(chosen), -1)
        clips = self.transform(self.clips.frames[chosen[:, None], frame].permute(0, 1, 4, 2, 3), rng)
        mine = slice(part.first, part.first + len(part.keys))
        chosen, frame = chosen[mine], frame[mine]
        return {
            "clip": clips[mine],
            "frame_index": self.clips.frame_index[chosen[:, None], frame],
            "labels": {name: labels[chosen] for name, labels in self.clips.labels.items()},
            "path": [self.clips.paths[i] for i in chosen.tolist()],
        }


def evaluation_batches(
    clips: ClipMemory, *, batch_size: int, num_frames: int, pixels: Normalise = PIXELS
) -> Iterator[dict[str, Any]]:
    """Every clip once, in order, with ``num_frames`` frames spread evenly; nothing is drawn.

    Args:
        clips: the clips.
        batch_size: clips in each batch; the last may hold fewer.
        num_frames: frames shown of each clip.
        pixels: how bytes become the floats that models take.
    """
    source = MemoryClips(clips, num_frames, Compose((pixels,)), random=False)
    return listed_batches(source, batch_size=batch_size)
