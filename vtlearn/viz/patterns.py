"""Who may attend to whom, drawn: masks, how far a stack of layers sees, the band as it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from vtlearn.errors import require
from vtlearn.viz.palette import MUTED

LEVELS = ("#E9E9E9", "#E69F00", "#0072B2")
"""Forbidden, allowed, allowed through a global token: three lightnesses, so that grey print tells too."""

_COLOURS = ListedColormap(LEVELS)


def draw_masks(masks: Mapping[str, Tensor], *, size: float = 1.75) -> Figure:
    """Masks side by side, rows queries, columns keys; dark where the query may attend to the key.

    Args:
        masks: title → (N, N), True = may attend; or numbers 0 forbidden, 1 allowed, 2 through a global token.
        size: width of one mask in inches.

    >>> import torch
    >>> print(describe_masks(draw_masks({"two see themselves": torch.eye(2)})))
    two see themselves: 2 × 2, 2 of 4 pairs allowed (50 %), 1 key a query.
    """
    require(len(masks) > 0, "masks", dict(masks), "at least one mask")
    figure = Figure(figsize=(size * len(masks) + 0.45, size + 0.45))
    margins = {
        "left": 0.42 / figure.get_figwidth(),
        "right": 0.995,
        "bottom": 0.16,
        "top": 0.86,
        "wspace": 0.1,
    }
    cells = figure.subplots(1, len(masks), squeeze=False, gridspec_kw=margins)[0]
    for axes, (title, mask) in zip(cells, masks.items(), strict=True):
        draw_mask(axes, mask)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("key", fontsize=8)
    cells[0].set_ylabel("query", fontsize=8)
    return figure


def draw_mask(axes: Axes, mask: Tensor) -> None:
    """One mask into these axes, query 0 at the top, key 0 at the left."""
    require(mask.ndim == 2, "mask", tuple(mask.shape), "of shape (queries, keys)")
    axes.imshow(mask.int().numpy(), cmap=_COLOURS, vmin=0, vmax=2, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def describe_masks(figure: Figure) -> str:
    """Each mask of the figure in words: size, pairs allowed, keys a query; read from the drawn pixels."""
    return " ".join(describe_mask(axes) for axes in figure.axes if axes.images)


def describe_mask(axes: Axes) -> str:
    """One drawn mask in words."""
    pixels = np.asarray(axes.images[0].get_array())
    per_query = (pixels > 0).sum(axis=1)
    fewest, most = int(per_query.min()), int(per_query.max())
    keys = f"{fewest} to {most} keys" if fewest < most else f"{fewest} key{'s' if fewest != 1 else ''}"
    share = (pixels > 0).mean()
    through = int((pixels == 2).sum())
    return (
        f"{axes.get_title()}: {pixels.shape[0]} × {pixels.shape[1]}, "
        f"{int((pixels > 0).sum()):,} of {pixels.size:,} pairs allowed ({share:.0%}".replace("%", " %")
        + ")"
        + (f", {through:,} of them through a global token" if through else "")
        + f", {keys} a query."
    )


def draw_reach(rows: Mapping[str, Tensor], *, query: int, title: str = "") -> Figure:
    """One line of positions a row, dark where the input can influence the output at ``query``.

    Args:
        rows: name → Bool (N,), drawn from top to bottom.
        query: the position whose output is asked about; an upright line marks it.
        title: above.

    >>> import torch
    >>> print(describe_reach(draw_reach({"one layer": torch.tensor([False, True, True])}, query=2)))
    one layer: 2 of 3 positions, from 1 to 2.
    """
    require(len(rows) > 0, "rows", dict(rows), "at least one row")
    figure = Figure(figsize=(8.0, 0.36 * len(rows) + 0.95))
    height = figure.get_figheight()
    axes = figure.subplots(
        gridspec_kw={"left": 0.235, "right": 0.985, "bottom": 0.47 / height, "top": 1 - 0.36 / height}
    )
    reach_rows(axes, rows, query)
    axes.set_title(title, fontsize=10, loc="left")
    return figure


def reach_rows(axes: Axes, rows: Mapping[str, Tensor], query: int) -> None:
    """The rows of :func:`draw_reach` into these axes."""
    pixels = np.stack([row.int().numpy() for row in rows.values()])
    axes.imshow(
        2 * pixels, cmap=_COLOURS, vmin=0, vmax=2, aspect="auto", interpolation="nearest", label="reach"
    )
    for border in range(1, len(rows)):
        axes.axhline(border - 0.5, color="white", linewidth=2.5)
    axes.axvline(query, color="black", linewidth=1.0, linestyle=":")
    axes.set_yticks(range(len(rows)), list(rows), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("input position", fontsize=8)
    axes.spines[:].set_visible(False)


def describe_reach(figure: Figure) -> str:
    """Each row in words: how many positions, from which to which; read from the drawn pixels."""
    return " ".join(describe_reach_rows(axes) for axes in figure.axes if axes.images)


def describe_reach_rows(axes: Axes) -> str:
    """The rows of one drawing in words."""
    pixels = np.asarray(axes.images[0].get_array())
    told = []
    for label, row in zip(axes.get_yticklabels(), pixels, strict=True):
        seen = np.flatnonzero(row)
        where = f", from {seen[0]} to {seen[-1]}" if len(seen) else ""
        told.append(f"{label.get_text()}: {len(seen)} of {len(row)} positions{where}.")
    return " ".join(told)


def draw_band_layout(num_tokens: int, window_size: int) -> Figure:
    """The same band twice: as a table of N × N pairs, and as it is stored, N rows of ``window_size`` columns.

    Each allowed pair shows the number of its key; crosses mark columns that fall off an end.

    >>> print(describe_band_layout(draw_band_layout(3, 3)))
    the table: 3 × 3 cells, 7 in use. the band: 3 × 3 cells, 7 in use, 2 off the ends; row 0 reads × 0 1.
    """
    require(window_size % 2 == 1, "window_size", window_size, "odd")
    width = 0.27 * (num_tokens + window_size) + 1.5
    figure = Figure(figsize=(width, 0.27 * num_tokens + 0.75))
    table, band = figure.subplots(
        1,
        2,
        gridspec_kw={
            "width_ratios": [num_tokens, window_size],
            "left": 0.4 / width, "right": 0.99, "bottom": 0.07, "top": 0.86, "wspace": 0.2,
        },
    )  # fmt: skip
    reach = window_size // 2
    offset = np.arange(num_tokens)[None, :] - np.arange(num_tokens)[:, None]
    _numbered(table, np.where(np.abs(offset) <= reach, np.arange(num_tokens)[None, :], -1), "")
    keys = np.arange(num_tokens)[:, None] + np.arange(window_size)[None, :] - reach
    _numbered(band, np.where((keys >= 0) & (keys < num_tokens), keys, -1), "×")
    table.set_title(f"the table: {num_tokens} × {num_tokens}", fontsize=9)
    band.set_title(f"the band: {num_tokens} × {window_size}", fontsize=9)
    table.set_ylabel("query", fontsize=8)
    return figure


def _numbered(axes: Axes, keys: np.ndarray, empty: str) -> None:
    axes.imshow((keys >= 0).astype(int), cmap=_COLOURS, vmin=0, vmax=2, interpolation="nearest")
    for row, column in np.ndindex(*keys.shape):
        key = keys[row, column]
        axes.text(
            column, row, str(key) if key >= 0 else empty, ha="center", va="center", fontsize=7,
            color="black" if key >= 0 else MUTED,
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks(range(len(keys)), [str(row) for row in range(len(keys))], fontsize=7)
    axes.tick_params(length=0)


def describe_band_layout(figure: Figure) -> str:
    """Both tables in words, read from the pixels and numbers drawn."""
    told = []
    for axes in figure.axes:
        pixels = np.asarray(axes.images[0].get_array())
        words = [text.get_text() for text in axes.texts]
        sentence = (
            f"{axes.get_title().split(':')[0]}: {pixels.shape[0]} × {pixels.shape[1]} cells, "
            f"{int((pixels > 0).sum())} in use"
        )
        if "×" in words:
            sentence += f", {words.count('×')} off the ends; row 0 reads {' '.join(words[: pixels.shape[1]])}"
        told.append(sentence + ".")
    return " ".join(told)


def legend_of_levels(axes: Axes, names: Sequence[str] = ("window", "through a global token")) -> None:
    """Name the two colours of allowed pairs, below these axes."""
    handles = [Patch(facecolor=colour, label=name) for colour, name in zip(LEVELS[1:], names, strict=False)]
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.05),
        ncols=len(names),
        fontsize=8,
        frameon=False,
    )
