"""Several attention maps of one clip under each other, frame by frame, with the places each ranks highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.errors import require
from vtlearn.viz.overlay import scaled_heat
from vtlearn.viz.palette import OKABE_ITO, SEQUENTIAL

_GAP = 0.06  # of a frame's width, between frames
_STEPS = 96  # a frame's width in columns of the drawn picture, about
_MARK = OKABE_ITO[1]


def draw_maps(
    frames: Float[Tensor, "T C H W"],
    maps: Mapping[str, Tensor],
    *,
    marked: int = 0,
    titles: Sequence[str] = (),
    more: Mapping[str, Tensor] | None = None,
) -> Figure:
    """The frames in the first row; under them one row a map, grey frames below its colours.

    Each map has its own scale, from its least to its most over the whole clip, so that rows differ in where
    they are bright and not in how bright.

    Args:
        frames: 0 to 1 (the rest is cut off).
        maps: name → heat (T, h, w) on the token grid; one at least.
        marked: so many of a map's highest places get a frame.
        titles: one above each frame; none at all for no titles.
        more: name → frames shaped like the first ones, in rows of their own below the maps.

    Raises:
        ArgumentError: no map, or one of another number of frames; more marks than places.

    >>> import torch
    >>> figure = draw_maps(torch.zeros(2, 3, 4, 4), {"even": torch.ones(2, 1, 2)}, marked=1)
    >>> [axes.get_label() for axes in figure.axes]
    ['frames', 'even']
    """
    require(len(maps) > 0, "maps", dict(maps), "at least one map")
    require(len(titles) in (0, len(frames)), "titles", list(titles), f"{len(frames)} titles, or none")
    for name, heat in maps.items():
        fits = heat.ndim == 3 and len(heat) == len(frames)
        require(fits, f"maps[{name!r}]", tuple(heat.shape), f"of shape ({len(frames)}, h, w)")
        require(0 <= marked <= heat.numel(), "marked", marked, f"0 to {heat.numel()}")
    below = {} if more is None else more
    for name, others in below.items():
        expected = f"of the frames' shape {tuple(frames.shape)}"
        require(others.shape == frames.shape, f"more[{name!r}]", tuple(others.shape), expected)
    rows, count = 1 + len(maps) + len(below), len(frames)
    width, side = 1.35 + 0.98 * count, 0.98
    height = side * rows * (1 + _GAP) + (0.24 if titles else 0.06)
    figure = Figure(figsize=(width, height))  # fixed margins: much faster than a fitted layout
    pictures = _pictures(frames)
    grey = np.repeat((pictures @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=-1)
    top = 1 - (0.24 if titles else 0.03) / height
    each = (top - 0.03 / height) / rows
    for row, name in enumerate(["frames", *maps, *below]):
        axes = figure.add_axes((1.3 / width, top - (row + 1) * each, 1 - 1.35 / width, each * (1 - _GAP)))
        _row(axes, grey if name in maps else _pictures(below[name]) if name in below else pictures)
        axes.set_label(name)
        axes.text(-0.03, 0.5, name, ha="right", va="center", fontsize=9)
        if name in maps:
            _heat(axes, maps[name], marked)
        elif row == 0:
            for place, title in enumerate(titles):
                axes.text(place + 0.5, -0.03, title, ha="center", va="bottom", fontsize=8)
    return figure


def describe_maps(figure: Figure) -> str:
    """What a figure of `draw_maps` shows, read from its pictures: each row's highest place and its marks.

    >>> import torch
    >>> heat = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, 0.0]]])
    >>> print(describe_maps(draw_maps(torch.zeros(2, 3, 4, 4), {"a map": heat}, marked=2)))
    2 frames of 4 × 4
    a map: most at frame 2, row 2, column 1; marked in each frame: 1 1
    """
    first, *rows = figure.axes
    pictures = _apart(first.images[0])
    lines = [f"{len(pictures)} frames of {pictures.shape[1]} × {pictures.shape[2]}"]
    for axes in rows:
        name = str(axes.get_label()).replace("\n", " ")
        if len(axes.images) == 1:
            share = float((_apart(axes.images[0]) != pictures).any(axis=-1).mean())
            lines.append(f"{name}: {share:.0%} of the pixels differ from the frames")
            continue
        shades = _apart(axes.images[1])
        frame, line, column = np.unravel_index(int(shades.argmax()), shades.shape)
        told = f"{name}: most at frame {frame + 1}, row {line + 1}, column {column + 1}"
        if not shades.any():
            told = f"{name}: the same everywhere"
        boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        if boxes:
            held = [0] * len(shades)
            for box in boxes:
                held[int(box.get_x() + box.get_width() / 2)] += 1
            told += f"; marked in each frame: {' '.join(str(number) for number in held)}"
        lines.append(told)
    return "\n".join(lines)


def _pictures(frames: Tensor) -> np.ndarray:
    """(T, C, H, W) as (T, H, W, 3), 0 to 1."""
    pictures = frames.detach().clamp(0, 1).movedim(1, -1).float().cpu().numpy()
    return np.broadcast_to(pictures, (*pictures.shape[:3], 3))


def _row(axes: Axes, pictures: np.ndarray) -> None:
    """Frames side by side in one picture (much faster than one each); frame n lies within n … n + 1."""
    _beside(axes, pictures, columns=pictures.shape[2])
    axes.set_xlim(0, len(pictures))
    axes.set_ylim(1, 0)
    axes.set_axis_off()


def _heat(axes: Axes, heat: Tensor, marked: int) -> None:
    """Colours over the frames, and a frame around each of the highest places."""
    shades = scaled_heat(heat.detach().float().cpu()).numpy()
    count, rows, columns = shades.shape
    _beside(axes, shades, columns=columns, cmap=SEQUENTIAL, vmin=0, vmax=1, alpha=0.6)
    wide = (1 - _GAP) / columns
    for place in np.argsort(-shades.ravel(), kind="stable")[:marked]:
        frame, line, column = np.unravel_index(int(place), shades.shape)
        left, top = frame + _GAP / 2 + (column + 0.06) * wide, (line + 0.06) / rows
        axes.add_patch(
            Rectangle((left, top), 0.88 * wide, 0.88 / rows, fill=False, edgecolor=_MARK, linewidth=1.6)
        )
    axes.set_xlim(0, count)
    axes.set_ylim(1, 0)


def _beside(axes: Axes, pictures: np.ndarray, *, columns: int, **style: Any) -> None:
    """Pictures (T, h, w, …) in one image; each column becomes so many that the gap is a whole number."""
    times = round(_STEPS / columns) or 1
    gap = round(times * columns * _GAP / (1 - _GAP) / 2)
    wide = np.repeat(pictures.astype(float), times, axis=2)
    padding = [(0, 0), (0, 0), (gap, gap)] + [(0, 0)] * (pictures.ndim - 3)
    padded = np.pad(wide, padding, constant_values=1.0 if pictures.ndim == 4 else np.nan)
    image = axes.imshow(
        np.concatenate(list(padded), axis=1), extent=(0.0, float(len(pictures)), 1.0, 0.0), aspect="auto",
        interpolation="nearest", **style,
    )  # fmt: skip
    image.set_gid(f"{len(pictures)} {gap} {times}")


def _apart(image: AxesImage) -> np.ndarray:
    """The pictures of such an image, as they are drawn in it."""
    count, gap, times = (int(number) for number in str(image.get_gid()).split())
    pictures = np.stack(np.split(np.asarray(image.get_array()), count, axis=1))
    return pictures[:, :, gap : pictures.shape[2] - gap : times]
