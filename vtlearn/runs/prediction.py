"""What a trained model says of one video, and where in it the model looked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.attention import record_attention
from vtlearn.data.decode import open_video
from vtlearn.data.synthetic import encode_video
from vtlearn.data.transforms import CentreCrop, short_side_size
from vtlearn.errors import ArgumentError, require_one_of, require_positive
from vtlearn.models import FrameAverage, FrameGRU, TimeSformer, ViViT
from vtlearn.models.vtn import VTN
from vtlearn.runs.heads import model_inside
from vtlearn.runs.long_video import PATIENCE, LongAnswer, clip_average, sliding, view_indices, whole_video
from vtlearn.runs.trained import Trained
from vtlearn.viz.overlay import overlay_frames

WAYS = ("clips", "sliding", "whole")
"""How a video is looked at: a few clips, clips one behind the other, or (VTN) all of it at once."""

_BAR = 30
_PLAYED = 4  # frames a second of an overlay: slow enough to look at
_SHOWN = 256  # pixels a side up to which an overlay's frames are enlarged: large enough to look at


@dataclass(frozen=True)
class Prediction:
    """The classes that a model finds likeliest in a video.

    Attributes:
        video: the file.
        model: its name.
        top: (class, probability), the likeliest first.
        answer: how it came about.
    """

    video: str
    model: str
    top: tuple[tuple[str, float], ...]
    answer: LongAnswer

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return {
            "video": self.video,
            "model": self.model,
            "top": [{"class": name, "probability": share} for name, share in self.top],
            "frames": self.answer.frames,
            "clips": self.answer.clips,
            "num_frames_in_video": self.answer.num_frames_in_video,
            "notes": list(self.answer.notes),
        }

    def told(self) -> str:
        """One line a class, with a bar.

        >>> answer = LongAnswer(torch.zeros(2), 8, 1, 24)
        >>> print(Prediction("a.mp4", "vtn", (("left", 0.75), ("right", 0.25)), answer).told())
        left    75.0 %  ██████████████████████▌
        right   25.0 %  ███████▌
        8 of 24 frames, 1 clip
        """
        width = max(len(name) for name, _ in self.top)
        lines = [f"{name:<{width}}  {100 * share:5.1f} %  {bar(share)}".rstrip() for name, share in self.top]
        clips = f"{self.answer.clips} clip{'' if self.answer.clips == 1 else 's'}"
        told = f"{self.answer.frames} of {self.answer.num_frames_in_video} frames, {clips}"
        return "\n".join([*lines, told, *self.answer.notes])


def bar(share: float, width: int = _BAR) -> str:
    """A bar of a share's length, to an eighth of a letter.

    >>> bar(0.5, width=4), bar(0.03125, width=4)
    ('██', '▏')
    """
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def predict(
    trained: Trained,
    path: str | Path,
    *,
    way: str = "clips",
    clips: int | None = None,
    crops: int | None = None,
    top: int = 5,
    device: torch.device | None = None,
    precision: str = "float32",
    at_once: int = 8,
    hop: int | None = None,
    stride: int | None = None,
    average: str | None = None,
    **whole: Any,
) -> Prediction:
    """The likeliest classes of a video.

    Args:
        trained: the model.
        path: the video.
        way: one of :data:`WAYS`.
        clips, crops: views; None takes the authors' own.
        top: classes told.
        device: where; None is the CPU.
        precision: of the computation.
        at_once: views in the model at a time.
        hop, stride: of sliding clips, see :func:`vtlearn.runs.long_video.sliding`.
        average: "logits" or "softmax"; None takes the authors' own.
        whole: goes to :func:`vtlearn.runs.long_video.whole_video`.

    Raises:
        DataError: the video cannot be read.
    """
    require_one_of("way", way, WAYS)
    require_positive(top=top)
    place = torch.device("cpu") if device is None else device
    trained.model.to(place)
    how: dict[str, Any] = {"crops": crops or trained.views[1], "at_once": at_once, "average": average}
    how |= {"device": place, "precision": precision}
    if way == "clips":
        answer = clip_average(trained, path, clips=clips or trained.views[0], **how)
    elif way == "sliding":
        answer = sliding(trained, path, hop=hop, stride=stride, **how)
    else:
        answer = whole_video(trained, path, device=place, precision=precision, **whole)
    shares, order = answer.logits.softmax(0).topk(min(top, len(answer.logits)))
    named = [
        (trained.class_name(int(number)), float(share)) for share, number in zip(shares, order, strict=True)
    ]
    return Prediction(str(path), trained.name, tuple(named), answer)


# ------------------------------------------------------------------------------------------ where it looked


def frame_attention(
    model: nn.Module, clips: Float[Tensor, "1 T C H W"], frame_index: Tensor | None = None
) -> Float[Tensor, "T h w"]:
    """How much the last layers' attention gives to each patch of each frame, averaged over heads.

    What the class token attends to; where there is none, what all tokens attend to on average. In models
    that look over frames in a second transformer (VTN, ViViT's factorised encoder), a patch's weight in its
    frame times the frame's weight among frames. This shows where the last layers look; it explains no
    decision.

    Args:
        model: a VTN, TimeSformer, ViViT or one of the baselines.
        clips: one clip, as the model takes it.
        frame_index: its frames' numbers.

    Raises:
        ArgumentError: a model without attention over patches.
    """
    inner = model_inside(model)
    with torch.inference_mode(), record_attention(inner) as record:
        model(clips, *(() if frame_index is None else (frame_index,)))
    frames = clips.shape[1]
    if isinstance(inner, TimeSformer):
        side = inner.config.patch_size
        grid = (frames, clips.shape[3] // side, clips.shape[4] // side)
        weights = record[f"blocks.{inner.config.depth - 1}.attn"]
        if inner.config.attention == "axial":  # rows are (frame, column), keys the rows of that column
            columns = weights.mean(dim=1)[:, 0, 1:].unflatten(0, (grid[0], grid[2]))
            return columns.transpose(1, 2).float().cpu()
        return _looked_at(weights, grid)
    if isinstance(inner, ViViT):
        t, h, w = inner.config.tubelet_size
        grid = (frames // t, clips.shape[3] // h, clips.shape[4] // w)
        return _vivit(inner, record, grid).repeat_interleave(t, dim=0)
    backbone = getattr(inner, "backbone", None)
    patch = getattr(getattr(backbone, "config", None), "patch_size", None)
    if isinstance(inner, (VTN, FrameAverage, FrameGRU)) and backbone is not None and patch is not None:
        grid = (frames, clips.shape[3] // patch, clips.shape[4] // patch)
        places = _looked_at(record[f"backbone.blocks.{backbone.config.depth - 1}.attn"], grid)
        if not isinstance(inner, VTN):
            return places
        last = [name for name in record if name.startswith("temporal_encoder")][-1]
        return places * _of_class_token(record[last], frames)[:, None, None]
    raise ArgumentError("overlay", type(inner).__name__, "of a model that attends to patches")


def _vivit(model: ViViT, record: Any, grid: tuple[int, int, int]) -> Tensor:
    depth, kind = model.config.depth - 1, model.config.encoder
    if kind in ("factorised_encoder", "average_pool"):
        places = _looked_at(record[f"encoder.spatial.blocks.{depth}.attn"], grid)
        if kind == "average_pool":
            return places
        last = record[f"encoder.temporal.blocks.{model.config.temporal_depth - 1}.attn"]
        return places * _of_class_token(last, grid[0])[:, None, None]
    name = "attn_space" if kind == "factorised_self_attention" else "attn"
    return _looked_at(record[f"encoder.blocks.{depth}.{name}"], grid)


def _looked_at(weights: Tensor, grid: tuple[int, int, int]) -> Float[Tensor, "T h w"]:
    """Recorded weights ``(rows, heads, n, n)`` to a map over the grid, whatever was folded into the rows."""
    t, h, w = grid
    rows, _, _, keys = weights.shape
    mean = weights.float().mean(dim=1).cpu()
    of = t * h * w if rows == 1 else h * w
    extra = keys - of
    if extra < 0 or rows * of != t * h * w:
        raise ArgumentError("overlay", tuple(weights.shape), f"attention over a grid of {grid}")
    looked = mean[:, 0, extra:] if extra else mean.mean(dim=1)
    return looked.reshape(t, h, w)


def _of_class_token(weights: Tensor, frames: int) -> Float[Tensor, "T"]:
    """How a class token shares its attention out among the frames behind it; the mean where there is none."""
    mean = weights[0].float().mean(dim=0).cpu()
    extra = mean.shape[-1] - frames
    return mean[0, extra:] if extra else mean.mean(dim=0)


def write_overlay(
    trained: Trained,
    path: str | Path,
    out: Path,
    *,
    num_frames: int | None = None,
    device: torch.device | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Float[Tensor, "T h w"]:
    """Write a clip, the frames that the model is shown, with its attention over them; returns the heat.

    Raises:
        ArgumentError: a model without attention over patches.
        DataError: the video cannot be read.
    """
    place = torch.device("cpu") if device is None else device
    with open_video(path, time_limit=PATIENCE) as reader:
        frames = num_frames or trained.num_frames
        (indices,) = view_indices(reader.num_frames, frames, trained.frame_stride, 1)
        size = short_side_size(*reader.size, trained.short_side)
        pixels = reader.frames(indices, None if size == reader.size else size).permute(0, 3, 1, 2)[None]
    square = CentreCrop(trained.crop)(pixels)
    trained.model.to(place)
    clip = trained.normalise(square).to(place)
    heat = frame_attention(trained.model, clip, torch.tensor([indices], device=place))
    seen = square[0].permute(0, 2, 3, 1)
    times = max(1, _SHOWN // trained.crop)  # whole times, so that the pixels stay those that the model saw
    shown = overlay_frames(seen.repeat_interleave(times, 1).repeat_interleave(times, 2), heat)
    height, width = (max(2, side - side % 2) for side in shown.shape[1:3])  # the encoder wants even sides
    encode_video(out, shown[:, :height, :width].numpy(), _PLAYED)
    say(f"attention over frames {indices[0]} to {indices[-1]}: {out}")
    return heat
