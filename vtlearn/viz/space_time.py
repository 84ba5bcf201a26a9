"""Which patches of a clip one patch attends to, scheme by scheme, frame by frame, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from torch import Tensor

from vtlearn.attention import Axial, Full, LocalNeighbourhood, Pattern, SameFrame, SamePlace, StridedGlobal
from vtlearn.errors import require, require_one_of
from vtlearn.shapes import TokenGrid
from vtlearn.viz.palette import MUTED, colour_of, marker_of

SCHEMES = ("space", "joint", "divided", "sparse", "axial")
"""TimeSformer's five schemes (arXiv 2102.05095, figure 1)."""

_QUERY = "the query"
_CELL = 0.27  # inches


def scheme_steps(scheme: str, grid: TokenGrid) -> dict[str, Pattern]:
    """The steps of one block of a scheme in their order: name → who may attend to whom, class token left out.

    Source: TimeSformer, arXiv 2102.05095, section 3.

    Raises:
        ArgumentError: no scheme of that name.

    >>> list(scheme_steps("divided", TokenGrid(2, 3, 5)))
    ['over time', 'within the frame']
    """
    require_one_of("scheme", scheme, SCHEMES)
    steps: dict[str, dict[str, Pattern]] = {
        "space": {"within the frame": SameFrame(grid)},
        "joint": {"everywhere": Full()},
        "divided": {"over time": SamePlace(grid), "within the frame": SameFrame(grid)},
        "sparse": {"near, in all frames": LocalNeighbourhood(grid), "every second": StridedGlobal(grid)},
        "axial": {
            "over time": Axial(grid, "t"),
            "along the row": Axial(grid, "w"),
            "along the column": Axial(grid, "h"),
        },
    }
    return steps[scheme]


def keys_of(pattern: Pattern, grid: TokenGrid, query: tuple[int, int, int]) -> Tensor:
    """The keys of one query on the grid: Bool ``(t, h, w)``.

    >>> keys_of(SameFrame(TokenGrid(2, 1, 2)), TokenGrid(2, 1, 2), (1, 0, 0)).int().flatten().tolist()
    [0, 0, 1, 1]
    """
    frame, row, column = query
    token = (frame * grid.h + row) * grid.w + column
    return pattern.mask(grid.num_tokens)[token].reshape(grid.t, grid.h, grid.w)


def draw_keys(
    rows: Mapping[str, Mapping[str, Tensor]],
    query: tuple[int, int, int],
    *,
    frames: Tensor | None = None,
) -> Figure:
    """One line of frames for each scheme: a mark on every patch that the query attends to, a shape for each
    step.

    Args:
        rows: scheme → step → Bool ``(t, h, w)``, True where the query attends.
        query: its frame, row and column.
        frames: pictures ``(t, C, H, W)`` from 0 to 1 to draw palely beneath; grey cells where there are none.

    Raises:
        ArgumentError: nothing to draw, masks of different grids, a query outside of them.

    >>> import torch
    >>> everything = torch.ones(2, 3, 3, dtype=torch.bool)
    >>> print(describe_keys(draw_keys({"joint": {"everywhere": everything}}, (0, 1, 2))))
    joint, query in frame 0, row 1, column 2: everywhere 18; 18 of 18 patches in all.
    """
    require(len(rows) > 0, "rows", dict(rows), "at least one scheme")
    size = next(iter(next(iter(rows.values())).values())).shape
    for scheme, steps in rows.items():
        for step, mask in steps.items():
            require(mask.shape == size, f"rows[{scheme!r}][{step!r}]", tuple(mask.shape), f"{tuple(size)}")
    t, h, w = size
    inside = all(0 <= place < side for place, side in zip(query, size, strict=True))
    require(len(size) == 3 and inside, "query", query, f"inside the grid {tuple(size)}")
    width, height = _CELL * (t * (w + 1)) + 0.2, _CELL * h + 0.38
    figure = Figure(figsize=(width, height * len(rows)))
    for place, (scheme, steps) in enumerate(rows.items()):
        low = 1 - (place + 1) / len(rows)
        axes = figure.add_axes(
            (0.1 / width, low + 0.02 / len(rows), 1 - 0.2 / width, _CELL * h / height / len(rows))
        )
        _one_scheme(axes, scheme, steps, query, frames)
    return figure


def _one_scheme(
    axes: Axes,
    scheme: str,
    steps: Mapping[str, Tensor],
    query: tuple[int, int, int],
    frames: Tensor | None,
) -> None:
    t, h, w = next(iter(steps.values())).shape
    for frame in range(t):
        left = frame * (w + 1)
        extent = (left - 0.5, left + w - 0.5, h - 0.5, -0.5)
        if frames is None:
            axes.imshow(np.full((h, w, 3), 0.91), extent=extent)
        else:
            picture = frames[frame].clamp(0, 1).movedim(0, -1).float().numpy()
            axes.imshow(1 - 0.5 * (1 - picture), extent=extent)
        for line in range(1, h):
            axes.plot([extent[0], extent[1]], [line - 0.5] * 2, color="white", linewidth=0.7)
        axes.vlines([left + line - 0.5 for line in range(1, w)], -0.5, h - 0.5, color="white", linewidth=0.7)
    shifts = np.linspace(-0.24, 0.24, len(steps)) if len(steps) > 1 else [0.0]
    for number, (step, mask) in enumerate(steps.items()):
        at_frame, row, column = (place.numpy() for place in mask.nonzero(as_tuple=True))
        axes.scatter(
            at_frame * (w + 1) + column + shifts[number], row, s=30, marker=marker_of(number),
            color=colour_of(number), label=f"{step}, {len(row)}", linewidths=0, zorder=3,
        )  # fmt: skip
    at = query[0] * (w + 1) + query[2]
    axes.scatter([at], [query[1]], s=190, marker="s", facecolors="none", edgecolors="black", linewidths=2.2,
                 label=_QUERY, zorder=4)  # fmt: skip
    axes.set_xlim(-0.7, t * (w + 1) - 1.3)
    axes.set_ylim(h - 0.4, -0.6)
    axes.set_aspect("auto")
    axes.set_axis_off()
    axes.set_title(scheme, loc="left", fontsize=10, pad=4)
    legend = axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(steps) + 1, fontsize=8, frameon=False,
        handletextpad=0.2, columnspacing=1.2, borderpad=0.1, labelcolor=MUTED, markerscale=0.9,
    )  # fmt: skip
    query_sign = legend.legend_handles[-1]  # smaller than on the grid, or it touches what stands around it
    assert isinstance(query_sign, PathCollection)
    query_sign.set_sizes([60.0])


def describe_keys(figure: Figure) -> str:
    """Each scheme in words, counted from the marks that were drawn."""
    return "\n".join(_describe_scheme(axes) for axes in figure.axes)


def _describe_scheme(axes: Axes) -> str:
    w = round(axes.images[0].get_extent()[1] + 0.5)
    h, frames = round(axes.images[0].get_extent()[2] + 0.5), len(axes.images)
    told, met, where = [], set(), ""
    for marks in axes.collections:
        if not isinstance(marks, PathCollection):
            continue
        points = np.asarray(marks.get_offsets()).round().astype(int)
        name = str(marks.get_label()).rsplit(", ", 1)[0]
        if name == _QUERY:
            ((x, row),) = points
            where = f"query in frame {x // (w + 1)}, row {row}, column {x % (w + 1)}"
            continue
        told.append(f"{name} {len(points)}")
        met |= {(x, row) for x, row in points.tolist()}
    return (
        f"{axes.get_title(loc='left')}, {where}: {', '.join(told)}; {len(met)} of {frames * h * w} patches "
        "in all."
    )
