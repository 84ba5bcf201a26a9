"""Heat over frames: where a model looked, laid over what it saw, as frames of a video."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from torch import Tensor

from vtlearn.errors import require
from vtlearn.viz.palette import SEQUENTIAL


def scaled_heat(heat: Float[Tensor, "T h w"]) -> Float[Tensor, "T h w"]:
    """Heat from 0 (the least of the clip) to 1 (the most of the clip); an even one is 0 throughout.

    One scale for the whole clip, so that frames can be compared.

    >>> scaled_heat(torch.tensor([[[1.0, 2.0]], [[3.0, 5.0]]])).flatten().tolist()
    [0.0, 0.25, 0.5, 1.0]
    """
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else torch.zeros_like(heat)


def overlay_frames(
    frames: UInt8[Tensor, "T H W C"], heat: Float[Tensor, "n h w"], *, strength: float = 0.6
) -> UInt8[Tensor, "T H W C"]:
    """Frames under a colour map of heat, darkened where there is little: bright places are looked at most.

    The frames go grey beneath, so that every colour is heat's; the map is safe for colour-blind readers and
    its brightness rises evenly.

    Args:
        frames: bytes, RGB.
        heat: one map a frame, on any grid; enlarged smoothly.
        strength: share of the colour at the hottest place, in [0, 1].

    Raises:
        ArgumentError: maps of another number than frames, or a strength outside [0, 1].

    >>> frames = torch.full((2, 4, 6, 3), 100, dtype=torch.uint8)
    >>> overlay_frames(frames, torch.rand(2, 2, 3)).shape
    torch.Size([2, 4, 6, 3])
    """
    require(len(heat) == len(frames), "heat", tuple(heat.shape), f"one map for each of {len(frames)} frames")
    require(0 <= strength <= 1, "strength", strength, "in [0, 1]")
    size = tuple(frames.shape[1:3])
    large = F.interpolate(scaled_heat(heat)[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    colours = torch.from_numpy(colormaps[SEQUENTIAL](large.numpy())[..., :3].astype(np.float32)) * 255
    luma = (frames.float() * torch.tensor([0.299, 0.587, 0.114])).sum(-1, keepdim=True)
    share = strength * (0.35 + 0.65 * large[..., None])
    return ((1 - share) * luma + share * colours).round().clamp(0, 255).to(torch.uint8)


def words_of_overlay(heat: Float[Tensor, "T h w"]) -> str:
    """Where the heat lies, in words: the hottest place of the first, the middle and the last frame.

    >>> words_of_overlay(torch.tensor([[[0.0, 0.0], [0.0, 3.0]]]))
    'frame 0: most at row 2 of 2, column 2 of 2 (100 % of the frame)'
    """
    lines = []
    for number in sorted({0, len(heat) // 2, len(heat) - 1}):
        frame = heat[number]
        row, column = divmod(int(frame.argmax()), frame.shape[1])
        share = float(frame.max() / frame.sum()) if float(frame.sum()) > 0 else 0.0
        lines.append(
            f"frame {number}: most at row {row + 1} of {frame.shape[0]}, column {column + 1} of "
            f"{frame.shape[1]} ({100 * share:.0f} % of the frame)"
        )
    return "\n".join(lines)
