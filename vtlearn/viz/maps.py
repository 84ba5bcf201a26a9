"""Several attention maps of one clip under each other, frame by frame, with the places each ranks highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.errors import require
from vtlearn.viz.overlay import scaled_heat
from vtlearn.viz.palette import OKABE_ITO, SEQUENTIAL

_GAP = 0.06  # of a frame's width, between frames
_MARK = OKABE_ITO[1]


def draw_maps(
    frames: Float[Tensor, "T C H W"],
    maps: Mapping[str, Tensor],
    *,
    marked: int = 0,
    titles: Sequence[str] = (),
) -> Figure:
    """The frames in the first row; under them one row a map, grey frames below its colours.

    Each map has its own scale, from its least to its most over the whole clip, so that rows differ in where
    they are bright and not in how bright.

    Args:
        frames: 0 to 1 (the rest is cut off).
        maps: name → heat (T, h, w) on the token grid; one at least.
        marked: so many of a map's highest places get a frame.
        titles: one above each frame; none at all for no titles.

    Raises:
        ArgumentError: no map, or one of another number of frames; more marks than places.

    >>> import torch
    >>> figure = draw_maps(torch.zeros(2, 3, 4, 4), {"even": torch.ones(2, 1, 2)}, marked=1)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['frames', 'even']
    """
    require(len(maps) > 0, "maps", dict(maps), "at least one map")
    require(len(titles) in (0, len(frames)), "titles", list(titles), f"{len(frames)} titles, or none")
    for name, heat in maps.items():
        fits = heat.ndim == 3 and len(heat) == len(frames)
        require(fits, f"maps[{name!r}]", tuple(heat.shape), f"of shape ({len(frames)}, h, w)")
        require(0 <= marked <= heat.numel(), "marked", marked, f"0 to {heat.numel()}")
    rows, count = 1 + len(maps), len(frames)
    width, side = 1.35 + 0.98 * count, 0.98
    height = side * rows * (1 + _GAP) + (0.24 if titles else 0.06)
    figure = Figure(figsize=(width, height))  # fixed margins: much faster than a fitted layout
    pictures = np.broadcast_to(
        frames.detach().clamp(0, 1).movedim(1, -1).float().cpu().numpy(), (count, *frames.shape[2:], 3)
    )
    grey = np.repeat((pictures @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=-1)
    top = 1 - (0.24 if titles else 0.03) / height
    each = (top - 0.03 / height) / rows
    for row, name in enumerate(["frames", *maps]):
        axes = figure.add_axes((1.3 / width, top - (row + 1) * each, 1 - 1.35 / width, each * (1 - _GAP)))
        _row(axes, grey if row else pictures)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, labelpad=4)
        if row:
            _heat(axes, maps[name], marked)
        elif titles:
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
    pictures = [np.asarray(image.get_array()) for image in first.images]
    lines = [f"{len(pictures)} frames of {pictures[0].shape[0]} × {pictures[0].shape[1]}"]
    for axes in rows:
        heats = np.stack([np.asarray(image.get_array()) for image in axes.images if image.get_alpha()])
        boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        frame, line, column = np.unravel_index(int(heats.argmax()), heats.shape)
        told = f"{axes.get_ylabel()}: most at frame {frame + 1}, row {line + 1}, column {column + 1}"
        if not heats.any():
            told = f"{axes.get_ylabel()}: the same everywhere"
        if boxes:
            held = [0] * len(heats)
            for box in boxes:
                held[int(box.get_x() + box.get_width() / 2)] += 1
            told += f"; marked in each frame: {' '.join(str(number) for number in held)}"
        lines.append(told.replace("\n", " "))
    return "\n".join(lines)


def _row(axes: Axes, pictures: np.ndarray) -> None:
    """Frames side by side, frame n from n to n + 1 less a gap."""
    for place, picture in enumerate(pictures):
        axes.imshow(picture, extent=_extent(place), aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    axes.set_xlim(0, len(pictures))
    axes.set_ylim(1, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _heat(axes: Axes, heat: Tensor, marked: int) -> None:
    """Colours over the frames, and a frame around each of the highest places."""
    shades = scaled_heat(heat.detach().float().cpu()).numpy()
    for place, shade in enumerate(shades):
        axes.imshow(
            shade, extent=_extent(place), aspect="auto", interpolation="nearest", cmap=SEQUENTIAL,
            vmin=0, vmax=1, alpha=0.6,
        )  # fmt: skip
    if marked:
        _, rows, columns = shades.shape
        for place in np.argsort(-shades.ravel(), kind="stable")[:marked]:
            frame, line, column = np.unravel_index(int(place), shades.shape)
            left, wide = frame + _GAP / 2, (1 - _GAP) / columns
            axes.add_patch(
                Rectangle(
                    (left + (column + 0.06) * wide, (line + 0.06) / rows), 0.88 * wide, 0.88 / rows,
                    fill=False, edgecolor=_MARK, linewidth=1.6,
                )
            )  # fmt: skip
    axes.set_xlim(0, len(shades))
    axes.set_ylim(1, 0)


def _extent(place: int) -> tuple[float, float, float, float]:
    return (place + _GAP / 2, place + 1 - _GAP / 2, 1.0, 0.0)
