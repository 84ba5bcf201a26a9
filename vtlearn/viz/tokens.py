"""From pixels to tokens, drawn: a cut frame, numbers on a grid, a clip as slabs of tokens, amounts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.errors import require, require_positive
from vtlearn.viz.palette import MUTED, OKABE_ITO, SEQUENTIAL

MOST_SLABS = 8
_CLIP = OKABE_ITO[0]


def draw_patches(image: Tensor, patch_size: int) -> Figure:
    """A frame with the grid of its patches, and the patches beside it in the order of their tokens.

    Args:
        image: ``(C, H, W)``, floats from 0 to 1 (the rest is cut off).
        patch_size: side of a patch in pixels; divides H and W.

    >>> import torch
    >>> describe_patches(draw_patches(torch.rand(3, 4, 6), 2)).split(". ")[0]
    'a frame of 4 × 6 pixels with 6 numbered patches: 0 1 2 / 3 4 5'
    """
    require(image.ndim == 3 and image.shape[0] in (1, 3), "image", tuple(image.shape), "of shape (3, H, W)")
    require_positive(patch_size=patch_size)
    height, width = image.shape[1:]
    fits = height % patch_size == 0 and width % patch_size == 0
    require(fits, "patch_size", patch_size, f"a divisor of {height} and {width}")
    picture = image.detach().clamp(0, 1).movedim(0, -1).float().cpu().numpy()
    picture = np.broadcast_to(picture, (height, width, 3))
    rows, columns = height // patch_size, width // patch_size
    across = min(8, rows * columns)
    down = -(-rows * columns // across)
    figure = Figure(figsize=(8.6, 2.9))
    frame = figure.add_axes((0.02, 0.03, 0.31, 0.85))
    frame.imshow(picture, gid="frame")
    frame.set_title(f"a frame: {rows} × {columns} patches", fontsize=9)
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        corner = (column * patch_size - 0.5, row * patch_size - 0.5)
        frame.add_patch(Rectangle(corner, patch_size, patch_size, fill=False, edgecolor="white", linewidth=1))
        _number_on(frame, corner[0] + 0.16 * patch_size, corner[1] + 0.18 * patch_size, number)
    _bare(frame)
    for number in range(rows * columns):
        place, (row, column) = divmod(number, across), divmod(number, columns)
        step = 0.62 / across
        height_of_row = min(0.85 / down, step * 8.6 / 2.9 + 0.09)
        axes = figure.add_axes(
            (0.37 + place[1] * step, 0.88 - (place[0] + 1) * height_of_row, 0.88 * step, 0.8 * height_of_row)
        )
        top, left = row * patch_size, column * patch_size
        axes.imshow(picture[top : top + patch_size, left : left + patch_size], gid="token")
        axes.set_title(str(number), fontsize=8, pad=2)
        _bare(axes)
    return figure


def describe_patches(figure: Figure) -> str:
    """What a figure of `draw_patches` shows, read from its pictures and numbers."""
    frame, *tokens = figure.axes
    height, width = np.asarray(frame.images[0].get_array()).shape[:2]
    lines: dict[float, list[str]] = {}
    for text in frame.texts:
        lines.setdefault(text.get_position()[1], []).append(text.get_text())
    sizes = {np.asarray(axes.images[0].get_array()).shape[:2] for axes in tokens}
    told = " and ".join(f"{size[0]} × {size[1]}" for size in sorted(sizes))
    return (
        f"a frame of {height} × {width} pixels with {len(frame.texts)} numbered patches: "
        f"{' / '.join(' '.join(line) for line in lines.values())}. Beside it {len(tokens)} tokens, "
        f"{tokens[0].get_title()} to {tokens[-1].get_title()}, of {told} pixels each."
    )


def draw_grids(
    grids: Mapping[str, Tensor], *, rows: str = "", columns: str = "", decimals: int = 0, cell: float = 0.36
) -> Figure:
    """Tables of numbers side by side, each number in its cell, lighter where it is larger.

    Args:
        grids: title → (rows, columns).
        rows: what the rows stand for, written once at the left.
        columns: what the columns stand for, written below each table.
        decimals: digits after the point.
        cell: side of a cell in inches.

    >>> import torch
    >>> print(describe_grids(draw_grids({"places": torch.arange(6).reshape(2, 3)})))
    places, 2 × 3: 0 1 2 / 3 4 5.
    """
    require(len(grids) > 0, "grids", dict(grids), "at least one table")
    for title, table in grids.items():
        require(table.ndim == 2, f"grids[{title!r}]", tuple(table.shape), "of shape (rows, columns)")
    low = min(float(table.min()) for table in grids.values())
    high = max(float(table.max()) for table in grids.values())
    wide = [max(table.shape[1] * cell, 1.3) for table in grids.values()]
    tall = max(table.shape[0] for table in grids.values()) * cell
    width, height = sum(wide) + 0.35 * len(grids) + 0.4, tall + 0.75
    figure = Figure(figsize=(width, height))
    left = 0.5
    for index, (title, table) in enumerate(grids.items()):
        own_width, own_height = table.shape[1] * cell, table.shape[0] * cell
        axes = figure.add_axes(
            (
                (left + (wide[index] - own_width) / 2) / width,
                (height - 0.32 - own_height) / height,
                own_width / width,
                own_height / height,
            )
        )
        left += wide[index] + 0.35
        _numbers(axes, table.detach().double().numpy(), low, max(high, low + 1e-9), decimals)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(columns, fontsize=8)
        if index == 0:
            axes.set_ylabel(rows, fontsize=8)
    return figure


def describe_grids(figure: Figure) -> str:
    """Each table in words, read from the numbers written in its cells."""
    told = []
    for axes in figure.axes:
        height, width = np.asarray(axes.images[0].get_array()).shape
        words = [text.get_text() for text in axes.texts]
        lines = [" ".join(words[row * width : (row + 1) * width]) for row in range(height)]
        title = axes.get_title().replace("\n", " ")
        told.append(f"{title}, {height} × {width}: {' / '.join(lines)}.")
    return " ".join(told)


def token_boxes(axes: Axes, grid: tuple[int, int, int], frames_a_token: int) -> None:
    """A clip as slabs behind each other, one for each temporal index, each with its grid of tokens.

    A slab is as thick as a token has frames. Long clips show their first slabs only, and say so.

    Args:
        axes: where; its axis lines are taken away.
        grid: tokens along (t, h, w).
        frames_a_token: frames that one token covers.

    >>> figure = Figure()
    >>> token_boxes(figure.subplots(), (2, 3, 5), frames_a_token=1)
    >>> describe_boxes(figure.axes[0])
    'drawn: 2 of 2 slabs of 15 tokens each'
    """
    slabs, h, w = min(grid[0], MOST_SLABS), grid[1], grid[2]
    step = 0.95 / max(slabs, 5)
    thick = (0.14 + 0.2 * np.log2(frames_a_token)) * step
    colours = colormaps[SEQUENTIAL](np.linspace(0.25, 0.95, slabs))
    for slab in reversed(range(slabs)):
        x, y = slab * step, 0.62 * slab * step
        depth = slabs - slab  # the nearest is drawn last
        side = np.array([[x + 1, y], [x + 1 + thick, y + 0.62 * thick]])
        back = [x + thick, y + 0.62 * thick]
        faces = [
            [side[0], side[1], side[1] + [0, 1], side[0] + [0, 1]],
            [[x, y + 1], [x + 1, y + 1], [back[0] + 1, back[1] + 1], [back[0], back[1] + 1]],
        ]
        dark = tuple(0.6 * channel for channel in to_rgb(colours[slab]))
        axes.add_collection(
            PolyCollection(faces, facecolors=dark, edgecolors="black", linewidths=0.4, zorder=depth)
        )
        front = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]]
        axes.add_collection(
            PolyCollection([front], facecolors=[colours[slab]], edgecolors="black", zorder=depth)
        )
        lines = [[(x + j / w, y), (x + j / w, y + 1)] for j in range(w + 1)]
        lines += [[(x, y + i / h), (x + 1, y + i / h)] for i in range(h + 1)]
        width = 0.5 if h <= 14 else 0.2
        axes.add_collection(LineCollection(lines, colors="black", linewidths=width, gid="slab", zorder=depth))
    more = f", the first {slabs} drawn" if slabs < grid[0] else ""
    axes.set_title(f"{grid[0]} × {grid[1]} × {grid[2]} tokens (t × h × w){more}", fontsize=9, loc="left")
    axes.set_label(f"{slabs} of {grid[0]}")
    axes.set_xlim(-0.03, 2.1)
    axes.set_ylim(-0.03, 1.68)
    axes.set_aspect("equal")
    axes.set_axis_off()


def describe_boxes(axes: Axes) -> str:
    """The slabs in words, counted in what was drawn."""
    tokens = []
    for one in axes.collections:
        if isinstance(one, LineCollection) and one.get_gid() == "slab":
            upright = sum(bool(line[0][0] == line[1][0]) for line in map(np.asarray, one.get_segments()))
            tokens.append((upright - 1) * (len(one.get_segments()) - upright - 1))
    told = " or ".join(f"{count:,}" for count in sorted(set(tokens)))
    return f"drawn: {len(tokens)} of {str(axes.get_label()).split()[-1]} slabs of {told} tokens each"


def amount_bars(axes: Axes, amounts: Mapping[str, int], title: str) -> None:
    """Bars from zero, each with its number at its end; the first, in grey, is there to compare with.

    >>> figure = Figure()
    >>> amount_bars(figure.subplots(), {"one image": 196, "the clip": 1568}, "tokens")
    >>> describe_amounts(figure.axes[0])
    'tokens: one image 196, the clip 1,568'
    """
    names = list(amounts)
    colours = ["#BBBBBB", *([_CLIP] * (len(names) - 1))]
    axes.barh(names, list(amounts.values()), color=colours, height=0.66)
    axes.set_xlim(0, 1.45 * max(amounts.values()))
    for row, number in enumerate(amounts.values()):
        axes.annotate(
            f"{number:,}",
            xy=(number, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(title, fontsize=9, loc="left")


def describe_amounts(axes: Axes) -> str:
    """The bars in words, read from what was drawn."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    widths = [round(patch.get_width()) for patch in axes.patches if isinstance(patch, Rectangle)]
    told = ", ".join(f"{name} {width:,}" for name, width in zip(names, widths, strict=True))
    return f"{axes.get_title(loc='left')}: {told}"


def _numbers(axes: Axes, table: np.ndarray, low: float, high: float, decimals: int) -> None:
    axes.imshow(table, cmap=SEQUENTIAL, vmin=low, vmax=high, interpolation="nearest", aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        bright = (value - low) / (high - low) > 0.5
        axes.text(
            column, row, f"{value + 0.0:.{decimals}f}", ha="center", va="center", fontsize=7.5,
            color="black" if bright else "white",
        )  # fmt: skip
    _bare(axes)


def _number_on(axes: Axes, x: float, y: float, number: int) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    axes.text(x, y, str(number), ha="center", va="center", fontsize=7, color="black", bbox=box)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_edgecolor(MUTED)
