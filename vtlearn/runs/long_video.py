"""Long videos: clips averaged, a window slid over the whole, or VTN on all of it, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.data.decode import VideoReader, open_video
from vtlearn.data.sampling import multi_view_indices, segment_indices, strided_indices, uniform_indices
from vtlearn.data.transforms import CentreCrop, short_side_size, three_crops
from vtlearn.errors import ArgumentError, DataError, require, require_one_of, require_positive
from vtlearn.files import write_json, written_aside
from vtlearn.models.vtn import VTN, FittedPositions, FrameIndexPositions, load_features
from vtlearn.runs.heads import model_inside
from vtlearn.runs.trained import Trained
from vtlearn.runtime import autocast
from vtlearn.train.loop import explain_memory
from vtlearn.train.views import average_views

AT_MOST = 250
"""Frames of a whole video that VTN is shown unless told otherwise (its published number)."""

PATIENCE = 24 * 3600.0
"""Seconds after which reading a long video is given up."""

MODES = ("end_to_end", "chunked", "features")
"""VTN's three ways over a whole video; all give the same logits."""

POSITIONS = ("published", "interpolate", "absent", "reuse")
"""What a frame index beyond VTN's trained positions means, see :func:`positions_rule`."""


def long_indices(num_frames_in_video: int, at_most: int | None = AT_MOST) -> list[int]:
    """The frames of a whole video that are looked at: all where they are few enough, else evenly spread.

    No frame comes twice.

    Args:
        num_frames_in_video: frames there are.
        at_most: the most to take; None takes all.

    >>> long_indices(5), long_indices(100, at_most=4)
    ([0, 1, 2, 3, 4], [12, 37, 62, 87])
    """
    if at_most is None or num_frames_in_video <= at_most:
        return list(range(num_frames_in_video))
    return uniform_indices(num_frames_in_video, at_most)


def sliding_starts(num_frames_in_video: int, num_frames: int, frame_stride: int, hop: int) -> list[int]:
    """First frames of strided clips, ``hop`` frames apart, that together reach the video's last frame.

    >>> sliding_starts(20, num_frames=4, frame_stride=2, hop=7)
    [0, 7, 13]
    """
    require_positive(num_frames=num_frames, frame_stride=frame_stride, hop=hop)
    last = max(0, num_frames_in_video - 1 - (num_frames - 1) * frame_stride)
    starts = list(range(0, last + 1, hop))
    return starts if starts[-1] == last else [*starts, last]


def view_indices(num_frames_in_video: int, num_frames: int, frame_stride: int, clips: int) -> list[list[int]]:
    """The frames of every clip of a video: strided and spread evenly, or for stride 0 one of each equal part.

    >>> view_indices(12, 3, 0, clips=2)
    [[1, 5, 9], [3, 7, 11]]
    """
    require_positive(clips=clips)
    if frame_stride > 0:
        return multi_view_indices(num_frames_in_video, num_frames, frame_stride, clips)
    if clips == 1:
        return [uniform_indices(num_frames_in_video, num_frames)]
    part = num_frames_in_video / num_frames
    offsets = [int((view + 0.5) * part / clips) for view in range(clips)]
    return [segment_indices(num_frames_in_video, num_frames, [offset] * num_frames) for offset in offsets]


@dataclass(frozen=True)
class LongAnswer:
    """What a model says of a whole video, and how it came to it.

    Attributes:
        logits: ``(classes,)``.
        frames: frames looked at.
        clips: clips, or 1 where the whole video went through at once.
        num_frames_in_video: frames there are.
        notes: what was done about positions and the like, in words.
    """

    logits: Float[Tensor, "classes"]
    frames: int
    clips: int
    num_frames_in_video: int
    notes: tuple[str, ...] = ()


def show(
    reader: VideoReader, indices: Sequence[int], trained: Trained, crops: int = 1
) -> Float[Tensor, "crops T C H W"]:
    """Frames of a video as a model takes them: resized, cropped and normalised."""
    require_one_of("crops", crops, (1, 3))
    size = short_side_size(*reader.size, trained.short_side)
    frames = reader.frames(indices, None if size == reader.size else size).permute(0, 3, 1, 2)[None]
    if crops == 1:
        return trained.normalise(CentreCrop(trained.crop)(frames))
    return trained.normalise(three_crops_of(frames, trained.crop).flatten(0, 1))


def three_crops_of(clips: Tensor, size: int) -> Tensor:
    """Three squares along the longer side, centred over the shorter, where it is longer than the square.

    >>> three_crops_of(torch.zeros(1, 2, 3, 9, 14), 8).shape
    torch.Size([3, 1, 2, 3, 8, 8])
    """
    height, width = clips.shape[-2:]
    top, left = ((height - size) // 2, 0) if height <= width else (0, (width - size) // 2)
    if height <= width:
        return three_crops(clips[..., top : top + size, :], size)
    return three_crops(clips[..., left : left + size], size)


def stream_clips(
    reader: VideoReader, plan: Sequence[Sequence[int]], trained: Trained, crops: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clip after clip with its frame indices; only one is held."""
    for indices in plan:
        pixels = show(reader, indices, trained, crops)
        yield pixels, torch.tensor(list(indices)).expand(len(pixels), -1)


def over_clips(
    trained: Trained,
    reader: VideoReader,
    plan: Sequence[Sequence[int]],
    *,
    crops: int = 1,
    at_once: int = 8,
    average: str | None = None,
    device: torch.device | None = None,
    precision: str = "float32",
) -> LongAnswer:
    """Every clip of a plan through the model, ``at_once`` views at a time, averaged as its authors do.

    What is held is ``at_once`` clips and a row of logits for each view, however long the video is.
    """
    require_positive(at_once=at_once)
    place = torch.device("cpu") if device is None else device
    answers: list[Tensor] = []
    views = (
        (pixels[None, crop], index[None, crop])
        for pixels, index in stream_clips(reader, plan, trained, crops)
        for crop in range(len(pixels))
    )
    while part := list(islice(views, at_once)):
        clips = torch.cat([pixels for pixels, _ in part]).to(place)
        index = torch.cat([each for _, each in part]).to(place)
        with torch.inference_mode(), explain_memory(clips, place), autocast(place, precision):
            answers.append(trained.model(clips, index).float().cpu())
    logits = average_views(torch.cat(answers)[None], average or trained.average)[0]
    return LongAnswer(logits, sum(map(len, plan)), len(plan), reader.num_frames)


def clip_average(trained: Trained, path: str | Path, *, clips: int = 10, **how: Any) -> LongAnswer:
    """Clips spread evenly over the video, answers averaged; ``how`` goes to :func:`over_clips`."""
    with open_video(path, time_limit=PATIENCE) as reader:
        plan = view_indices(reader.num_frames, trained.num_frames, trained.frame_stride, clips)
        return over_clips(trained, reader, plan, **how)


def sliding(
    trained: Trained, path: str | Path, *, hop: int | None = None, stride: int | None = None, **how: Any
) -> LongAnswer:
    """Clips one behind the other over the whole video, answers averaged: TimeSformer and ViViT.

    Args:
        trained: the model.
        path: the video.
        hop: frames from one clip to the next; None lets each begin where the last one ended.
        stride: frames from one frame of a clip to the next; None takes the model's own (1 for a model that
            spreads its frames).
        how: goes to :func:`over_clips`.
    """
    step = stride or trained.frame_stride or 1
    with open_video(path, time_limit=PATIENCE) as reader:
        starts = sliding_starts(reader.num_frames, trained.num_frames, step, hop or trained.num_frames * step)
        plan = [strided_indices(reader.num_frames, trained.num_frames, step, start) for start in starts]
        return over_clips(trained, reader, plan, **how)


# ------------------------------------------------------------------------------------------ VTN, whole video


@contextmanager
def positions_rule(
    model: VTN, rule: str, last_index: int, trained_positions: int | None = None
) -> Iterator[tuple[str, ...]]:
    """What frame indices that training never reached mean inside the block; yields what was done, in words.

    "interpolate" scales a video's indices so that its last frame stands where the last trained one stood, and
    mixes neighbouring rows (:class:`vtlearn.models.vtn.FittedPositions`); where nobody knows what was
    trained, they are scaled to fit the whole table. "published" keeps the model's own rule, but refuses where
    that would silently use positions a second time (the released model takes the index modulo its table).
    "absent" leaves positions out; "reuse" does what the released model does, and says so.

    Args:
        model: a VTN; as before after the block.
        rule: one of :data:`POSITIONS`.
        last_index: the video's last frame index.
        trained_positions: frame indices ``0 … trained_positions − 1`` occurred in training; None where that
            is not known. Rows of the table beyond them mean nothing: they are as they were at the start.

    Raises:
        ArgumentError: the model's own rule would reuse positions, or refuses the index; or fewer than two
            trained positions, into which no video fits.

    >>> from vtlearn.models import VTNConfig
    >>> model = VTN(VTNConfig.samples())
    >>> with positions_rule(model, "interpolate", 95, trained_positions=24) as notes:
    ...     notes
    ('frame indices up to 95 interpolated in the 24 positions that were trained',)
    """
    require_one_of("positions", rule, POSITIONS)
    table = model.positions
    if table is None:
        yield ("the model has no positions",)
        return
    require(isinstance(table, FrameIndexPositions), "model", "fitted already", "one with its own positions")
    assert isinstance(table, FrameIndexPositions)
    if trained_positions is not None:
        require_positive(trained_positions=trained_positions)
    trained = min(trained_positions or table.num_positions, table.num_positions)
    beyond = last_index >= table.num_positions
    if rule == "published" and beyond and table.past_table != "squeeze":
        reused = "uses positions again" if table.past_table == "modulo" else "has none"
        raise ArgumentError(
            "positions",
            rule,
            f"'interpolate', 'absent' or 'reuse', since for frame {last_index} the model's table of "
            f"{table.num_positions} {reused}",
        )
    before = table.past_table
    try:
        if rule == "absent":
            model.positions = None
            yield ("positions left out",)
        elif rule == "interpolate" and last_index >= trained:
            model.positions = FittedPositions(table, trained, last_index)
            where = f"the {trained} positions that were trained"
            if trained_positions is None:
                where = f"a table of {trained} (how much of it was trained is not recorded)"
            yield (f"frame indices up to {last_index} interpolated in {where}",)
        elif rule == "reuse" and beyond:
            table.past_table = "modulo"
            yield (f"positions used again from frame {table.num_positions} on, as released",)
        elif last_index >= trained and trained_positions is not None:
            yield (f"frames from {trained} on stand at positions that were not trained",)
        else:
            yield ()
    finally:
        model.positions = table
        table.past_table = before


def features_size(frames: int, width: int) -> str:
    """How much room frame features take as float32, in words.

    >>> features_size(250, 768)
    '250 frames × 768 numbers × 4 bytes = 0.77 MB (3.1 KB a frame)'
    """
    size = frames * width * 4
    told = f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"
    return f"{frames} frames × {width} numbers × 4 bytes = {told} ({4 * width / 1000:.1f} KB a frame)"


def weights_digest(model: nn.Module) -> str:
    """What identifies a model's weights."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def frame_parts(
    trained: Trained, reader: VideoReader, indices: Sequence[int], chunk: int
) -> Iterator[Float[Tensor, "T C H W"]]:
    """The wanted frames, ``chunk`` at a time, as the backbone takes them."""
    for first in range(0, len(indices), chunk):
        yield show(reader, indices[first : first + chunk], trained)[0]


def keep_features(
    trained: Trained,
    reader: VideoReader,
    indices: Sequence[int],
    path: Path,
    *,
    chunk: int = 16,
    device: torch.device | None = None,
    precision: str = "float32",
    say: Callable[[str], None] = lambda line: None,
) -> Float[Tensor, "T D"]:
    """Features of the wanted frames in a memory-mapped file: found there, or computed a chunk at a time.

    A file made of other frames, another video or another backbone is not used; it is made anew.

    Args:
        trained: a VTN.
        reader: the open video.
        indices: the wanted frames.
        path: the ``.npy`` file; beside it lies a ``.json`` that says what it is of.
        chunk: frames in the backbone at a time.
        device: where the backbone is.
        precision: of the backbone.
        say: told the size before anything is computed.

    Raises:
        DataError: the disk has no room for them.
    """
    model, place = _vtn(trained), torch.device("cpu") if device is None else device
    width = model.config.embed_dim
    facts = {
        "video": os.path.basename(reader.path),
        "bytes": os.stat(reader.path).st_size,
        "indices": hashlib.sha256(np.asarray(indices, np.int64).tobytes()).hexdigest(),
        "frames": len(indices),
        "backbone": weights_digest(model.backbone),
        "pixels": [trained.short_side, trained.crop, *trained.normalise.mean, *trained.normalise.std],
        "precision": precision,
    }
    about = path.with_suffix(".json")
    try:
        if path.is_file() and json.loads(about.read_text(encoding="utf-8")) == facts:
            say(f"features found in {path}")
            return load_features(path)
    except (OSError, ValueError):
        pass
    say(f"features: {features_size(len(indices), width)}, in {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    room, needed = shutil.disk_usage(path.parent).free, len(indices) * width * 4
    if needed > room:
        raise DataError(f"{path}: features need {needed / 1e9:.2f} GB, and {room / 1e9:.2f} GB are free")
    about.unlink(missing_ok=True)
    with written_aside(path) as aside:
        kept = np.lib.format.open_memmap(aside, "w+", np.float32, (len(indices), width))
        done = 0
        for frames in frame_parts(trained, reader, indices, chunk):
            features = _through_backbone(model, frames, place, precision)
            kept[done : done + len(features)] = features.numpy()
            done += len(features)
        kept.flush()
        del kept
    write_json(about, facts)
    return load_features(path)


def _through_backbone(model: VTN, frames: Tensor, device: torch.device, precision: str) -> Tensor:
    with torch.inference_mode(), explain_memory(frames[None], device), autocast(device, precision):
        return model.backbone(frames.to(device)).float().cpu()


def _vtn(trained: Trained) -> VTN:
    model = model_inside(trained.model)
    if not isinstance(model, VTN):
        raise ArgumentError("model", trained.name, "a VTN, for the whole video at once (others slide)")
    return model


def whole_video(
    trained: Trained,
    path: str | Path,
    *,
    mode: str = "chunked",
    at_most: int | None = AT_MOST,
    positions: str = "interpolate",
    trained_positions: int | None = None,
    chunk: int = 16,
    features: Path | None = None,
    device: torch.device | None = None,
    precision: str = "float32",
    say: Callable[[str], None] = lambda line: None,
) -> LongAnswer:
    """VTN's answer to a whole video, by one of its three ways; all give the same logits.

    "end_to_end" sends all frames through the backbone together; "chunked" ``chunk`` at a time, so that the
    backbone's memory does not grow with the video; "features" keeps the frames' vectors on disk and reads
    them from there the next time.

    Args:
        trained: a VTN.
        path: the video.
        mode: one of :data:`MODES`.
        at_most: frames looked at; None takes all.
        positions: see :func:`positions_rule`.
        trained_positions: frame indices ``0 … trained_positions − 1`` occurred in training; None takes what
            the checkpoint recorded (``trained.trained_positions``), if it did.
        chunk: frames in the backbone at a time.
        features: the file for "features"; None puts it beside the working directory, named after the video.
        device: where the model is.
        precision: of the computation.
        say: told the size of the features before they are computed.

    Raises:
        ArgumentError: not a VTN, or positions that would be used twice.
        DataError: the video cannot be read.
        OutOfMemory: the frames do not fit together.
    """
    require_one_of("mode", mode, MODES)
    require_positive(chunk=chunk)
    require(at_most is None or at_most >= 1, "at_most", at_most, "None or at least 1")
    model, place = _vtn(trained), torch.device("cpu") if device is None else device
    with open_video(path, time_limit=PATIENCE) as reader:
        indices = long_indices(reader.num_frames, at_most)
        known = trained.trained_positions if trained_positions is None else trained_positions
        with positions_rule(model, positions, indices[-1], known) as notes:
            if mode == "features":
                file = features or Path(f"{Path(path).stem}.features.npy")
                found = keep_features(
                    trained, reader, indices, file, chunk=chunk, device=place, precision=precision, say=say
                )
            else:
                together = len(indices) if mode == "end_to_end" else chunk
                say(f"features: {features_size(len(indices), model.config.embed_dim)}, in memory")
                found = torch.cat(
                    [
                        _through_backbone(model, frames, place, precision)
                        for frames in frame_parts(trained, reader, indices, together)
                    ]
                )
            index = torch.tensor(indices, device=place)[None]
            with torch.inference_mode(), autocast(place, precision):
                logits = model.classify_features(found[None].to(place), index)[0].float().cpu()
        return LongAnswer(logits, len(indices), 1, reader.num_frames, notes)
