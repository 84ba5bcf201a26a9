"""Attention weights as tables with their numbers, and one query's way from scores to its output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.errors import require
from vtlearn.viz.palette import MUTED, SEQUENTIAL, colour_of, ink_of, marker_of

MOST_NUMBERED = 12
"""Tables with more rows or columns than this are drawn without numbers."""


def draw_tables(
    tables: Mapping[str, Tensor], *, rows: str = "query", columns: str = "key", cell: float = 0.36
) -> Figure:
    """Tables of weights side by side, all on one scale from 0 to 1; dark is little, pale is much, nan is
    blank.

    Args:
        tables: title → (rows, columns) of numbers between 0 and 1; a small table shows each of them.
        rows, columns: what a row and a column stand for.
        cell: side of a cell in inches.

    >>> import torch
    >>> print(describe_tables(draw_tables({"weights": torch.tensor([[0.25, 0.75], [1.0, 0.0]])})))
    weights: 2 × 2, each row sums to 1.00, largest in row 0: 0.75 at column 1.
    """
    require(len(tables) > 0, "tables", dict(tables), "at least one table")
    for title, table in tables.items():
        require(table.ndim == 2, f"tables[{title!r}]", tuple(table.shape), "of shape (rows, columns)")
    shapes = [tuple(table.shape) for table in tables.values()]
    widths = [max(cell * shape[1], 0.085 * len(title)) for shape, title in zip(shapes, tables, strict=True)]
    tallest = cell * max(shape[0] for shape in shapes)
    figure = Figure(figsize=(sum(widths) + 0.4 * len(widths) + 0.35, tallest + 0.75))
    left, height = 0.45, figure.get_figheight()
    for width, (title, table) in zip(widths, tables.items(), strict=True):
        own = cell * table.shape[0]
        place = (left, height - 0.35 - own, width, own)
        axes = figure.add_axes((
            place[0] / figure.get_figwidth(), place[1] / height,
            place[2] / figure.get_figwidth(), place[3] / height,
        ))  # fmt: skip
        _table(axes, table)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(columns, fontsize=8)
        left += width + 0.4
    figure.axes[0].set_ylabel(rows, fontsize=8)
    return figure


def describe_tables(figure: Figure) -> str:
    """Each table in words: its size, what its rows sum to, the largest number of its first row, any nan; read
    from the drawn pixels.
    """
    return " ".join(_describe_table(axes) for axes in figure.axes if axes.images)


def _table(axes: Axes, table: Tensor) -> None:
    numbers = table.detach().double().numpy()
    axes.imshow(numbers, cmap=SEQUENTIAL, vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    if max(numbers.shape) <= MOST_NUMBERED:
        for row, column in np.ndindex(*numbers.shape):
            number = numbers[row, column]
            axes.text(
                column, row, "nan" if math.isnan(number) else f"{number:.2f}", ha="center", va="center",
                fontsize=7, color="white" if number < 0.55 else "black",
            )  # fmt: skip
            if math.isnan(number):
                axes.texts[-1].set_color("black")
    axes.set_xticks(range(numbers.shape[1]) if max(numbers.shape) <= MOST_NUMBERED else [])
    axes.set_yticks(range(numbers.shape[0]) if max(numbers.shape) <= MOST_NUMBERED else [])
    axes.tick_params(length=0, labelsize=7)


def _describe_table(axes: Axes) -> str:
    pixels: np.ndarray = np.ma.filled(np.ma.asarray(axes.images[0].get_array()), np.nan)
    empty = np.isnan(pixels).any(axis=1)
    sums = pixels[~empty].sum(axis=1)
    told = [f"{axes.get_title()}: {pixels.shape[0]} × {pixels.shape[1]}"]
    if len(sums):
        least, most = (f"{abs(value):.2f}" for value in (sums.min(), sums.max()))
        told.append(f"each row sums to {least}" if least == most else f"rows sum to {least} to {most}")
    if len(sums) and not empty[0]:
        best = int(pixels[0].argmax())
        told.append(f"largest in row 0: {pixels[0, best]:.2f} at column {best}")
    if empty.any():
        told.append(f"rows of nan: {', '.join(str(row) for row in np.flatnonzero(empty))}")
    return ", ".join(told) + "."


def draw_lookup(
    query: Tensor, keys: Tensor, values: Tensor, *, names: Sequence[str], divisor: float,
    mask: Tensor | None = None,
) -> Figure:  # fmt: skip
    """One query in the plane: left its keys, in the middle scores and weights, right the values and their
    mean.

    Args:
        query: (2,).
        keys, values: (M, 2).
        names: one short name a key.
        divisor: what the scores are divided by; the formula says √d.
        mask: Bool (M,), True = may attend; at least one.

    Raises:
        ArgumentError: shapes that do not fit, nothing allowed, a divisor of 0.

    >>> import torch
    >>> same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> spots = torch.tensor([[0.0, 0.0], [2.0, 1.0]])
    >>> print(describe_lookup(draw_lookup(same[0], same, spots, names="AB", divisor=1.0)))
    Scores: A 1.00, B 1.00. Weights: A 0.50, B 0.50. The output lies at (1.00, 0.50).
    """
    count = len(names)
    require(tuple(query.shape) == (2,), "query", tuple(query.shape), "of shape (2,)")
    for name, points in (("keys", keys), ("values", values)):
        require(tuple(points.shape) == (count, 2), name, tuple(points.shape), f"of shape ({count}, 2)")
    require(divisor > 0, "divisor", divisor, "positive")
    allowed = np.ones(count, dtype=bool) if mask is None else mask.numpy()
    require(bool(allowed.any()), "mask", allowed.tolist(), "True for at least one key")
    scores = np.where(allowed, (keys @ query).double().numpy() / divisor, -np.inf)
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    figure = Figure(figsize=(9.2, 3.45))
    left = figure.add_axes((0.015, 0.04, 0.29, 0.85))
    middle = figure.add_axes((0.375, 0.04, 0.28, 0.85))
    right = figure.add_axes((0.7, 0.04, 0.29, 0.85))
    _arrows(left, query.double().numpy(), keys.double().numpy(), names, allowed)
    _bars(middle, scores, weights, names)
    _values(right, values.double().numpy(), weights, names)
    return figure


def describe_lookup(figure: Figure) -> str:
    """Scores, weights and the output in words, read from the bars and points drawn."""
    _, middle, right = figure.axes
    names = [label.get_text() for label in middle.get_yticklabels()]
    widths = [patch.get_width() for patch in middle.patches if isinstance(patch, Rectangle)]
    scores = [text.get_text().split("score ")[1] for text in middle.texts]
    told = ", ".join(f"{name} {score}" for name, score in zip(names, scores, strict=True))
    shares = ", ".join(f"{name} {width:.2f}" for name, width in zip(names, widths, strict=True))
    output = next(line for line in right.lines if line.get_label() == "output")
    x, y = (float(np.asarray(data)[0]) + 0.0 for data in (output.get_xdata(), output.get_ydata()))
    return f"Scores: {told}. Weights: {shares}. The output lies at ({_signed(x)}, {_signed(y)})."


def _arrows(
    axes: Axes, query: np.ndarray, keys: np.ndarray, names: Sequence[str], allowed: np.ndarray
) -> None:
    for index, (name, key) in enumerate(zip(names, keys, strict=True)):
        colour = colour_of(index) if allowed[index] else "#BBBBBB"
        axes.annotate(
            "", xy=tuple(key), xytext=(0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6}
        )
        outward = key * (1 + 0.2 / max(float(np.hypot(*key)), 1e-9))
        axes.text(outward[0], outward[1], name, color=ink_of(colour), ha="center", va="center", fontsize=10)
    shown = query / max(1.0, float(np.hypot(*query)) / 1.75)
    axes.annotate(
        "", xy=tuple(shown), xytext=(0, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 3.0}
    )
    shortened = ", shortened" if float(np.hypot(*query)) > 1.75 else ""
    axes.set_title(f"keys, and the query in black{shortened}", fontsize=9)
    _plane(axes)


def _bars(axes: Axes, scores: np.ndarray, weights: np.ndarray, names: Sequence[str]) -> None:
    axes.barh(range(len(names)), weights, color=[colour_of(i) for i in range(len(names))], height=0.62)
    axes.set_yticks(range(len(names)), list(names), fontsize=10)
    for row, (score, weight) in enumerate(zip(scores, weights, strict=True)):
        told = "−∞" if np.isneginf(score) else _signed(float(score))
        axes.annotate(
            f"{weight:.2f}    score {told}", xy=(weight, row), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlim(0, 1.75)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("weights: softmax of the scores", fontsize=9)


def _values(axes: Axes, values: np.ndarray, weights: np.ndarray, names: Sequence[str]) -> None:
    output, centre = weights @ values, values.mean(axis=0)
    for index, (name, value, weight) in enumerate(zip(names, values, weights, strict=True)):
        axes.plot(*zip(value, output, strict=True), color=MUTED, linewidth=0.3 + 5 * weight, alpha=0.35)
        axes.plot(
            value[:1], value[1:], marker=marker_of(index), color=colour_of(index), markersize=8, label=name
        )
        away = value - centre  # the lines run inwards, so the name stands outside
        away = value + 0.29 * away / max(float(np.hypot(*away)), 1e-9)
        axes.text(
            away[0], away[1], name, color=ink_of(colour_of(index)), ha="center", va="center", fontsize=10
        )
    axes.plot(output[:1], output[1:], marker="X", color="black", markersize=11, label="output")
    axes.set_title("values, and their weighted mean ✖", fontsize=9)
    _plane(axes)


def _plane(axes: Axes) -> None:
    axes.set_xlim(-2.0, 2.0)
    axes.set_ylim(-2.0, 2.0)
    axes.set_aspect("equal", anchor="N")
    axes.axhline(0, color="#DDDDDD", linewidth=0.7, zorder=0)
    axes.axvline(0, color="#DDDDDD", linewidth=0.7, zorder=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _signed(number: float) -> str:
    """Two digits; a real minus sign, and none before zero.

    >>> _signed(-0.001), _signed(-1.5)
    ('0.00', '−1.50')
    """
    text = f"{number:.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")
