"""Weights over the frames of a clip: the frames above, one bar a frame below, equal shares as a line."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.errors import ArgumentError, require
from vtlearn.viz.palette import MUTED, OKABE_ITO

_LEFT, _RIGHT = 0.085, 0.985
_LABEL = 0.14  # height of a bar's number and its distance, as a share of the axes


def draw_frame_weights(
    frames: Float[Tensor, "T C H W"],
    weights: Float[Tensor, "T"],
    frame_index: list[int],
    *,
    equal: float,
    title: str = "",
    top: float | None = None,
) -> Figure:
    """What one token takes from each frame: a bar under each frame, and a dashed line at an equal share.

    Args:
        frames: 0 to 1 (the rest is cut off).
        weights: of each frame, 0 to 1; they need not sum to 1 (the token may also look at itself).
        frame_index: where each frame stands in its video.
        equal: the share that uniform attention would give each.
        title: above the frames.
        top: of the axis of weights; None fits the weights.

    Raises:
        ArgumentError: frames, weights and indices of different number.

    >>> import torch
    >>> figure = draw_frame_weights(torch.zeros(2, 3, 4, 4), torch.tensor([0.7, 0.2]), [0, 6], equal=1 / 3)
    >>> print(words_of_frame_weights(figure))
    frame 0: 0.70, frame 6: 0.20; an equal share is 0.33
    """
    count = len(frames)
    require(count > 0, "frames", count, "at least one frame")
    if not count == len(weights) == len(frame_index):
        raise ArgumentError("weights", len(weights), f"{count}, one for each frame and index")
    figure = Figure(figsize=(9.2, 3.3))
    strip = figure.add_axes(
        (_LEFT, 0.60, _RIGHT - _LEFT, 0.31)
    )  # one picture: much faster than one axes a frame
    strip.imshow(
        _side_by_side(frames), extent=(-0.5, count - 0.5, 0, 1), aspect="auto", interpolation="nearest"
    )
    strip.set_axis_off()
    bars = figure.add_axes((_LEFT, 0.155, _RIGHT - _LEFT, 0.42))
    bars.bar(range(count), weights.detach().cpu().tolist(), width=0.62, color=OKABE_ITO[0], label="weight")
    bars.axhline(equal, color=OKABE_ITO[1], linestyle="--", linewidth=1.6, label="equal share")
    bars.set_xlim(-0.5, count - 0.5)
    highest = max(equal, float(weights.max())) if top is None else top
    bars.set_ylim(0, 1.22 * highest)
    bars.set_xticks(range(count), [str(index) for index in frame_index], fontsize=8)
    bars.tick_params(axis="y", labelsize=8)
    bars.tick_params(axis="x", length=0)
    bars.set_xlabel("frame of the video", fontsize=8)
    bars.set_ylabel("weight", fontsize=8)
    bars.spines[["top", "right"]].set_visible(False)
    for place, weight in enumerate(weights.tolist()):
        struck = weight < equal < weight + _LABEL * 1.22 * highest  # by the line: then it stands above it
        bars.annotate(
            f"{weight:.2f}", xy=(place, equal if struck else weight), xytext=(0, 2), ha="center", va="bottom",
            textcoords="offset points", fontsize=8, color=MUTED if weight < equal else "black",
        )  # fmt: skip
    bars.legend(loc="upper right", fontsize=8, frameon=False, ncols=2, bbox_to_anchor=(1.01, -0.13))
    figure.suptitle(title, x=_LEFT, y=0.985, ha="left", fontsize=10)
    return figure


def _side_by_side(frames: Tensor) -> np.ndarray:
    """The frames in one picture, with white between them: (H, T · W', 3)."""
    pictures = frames.detach().clamp(0, 1).movedim(1, -1).float().cpu().numpy()
    pictures = np.broadcast_to(pictures, (*pictures.shape[:3], 3))
    gap = max(1, pictures.shape[2] // 16)
    padded = np.pad(pictures, ((0, 0), (0, 0), (gap, gap), (0, 0)), constant_values=1.0)
    return np.concatenate(list(padded), axis=1)


def words_of_frame_weights(figure: Figure) -> str:
    """The bars and the line in words, read from what was drawn."""
    bars = figure.axes[-1]
    heights = [patch.get_height() for patch in bars.patches if isinstance(patch, Rectangle)]
    names = [label.get_text() for label in bars.get_xticklabels()]
    told = ", ".join(f"frame {name}: {height:.2f}" for name, height in zip(names, heights, strict=True))
    line = float(np.asarray(bars.lines[0].get_ydata())[0])
    return f"{told}; an equal share is {line:.2f}"
