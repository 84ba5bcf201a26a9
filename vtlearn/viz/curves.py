"""Learning curves: loss, accuracy or learning rate over the steps of one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from vtlearn.errors import ArgumentError, require, require_positive, require_probability
from vtlearn.viz.palette import MUTED, colour_of, label_line_ends, marker_of, new_figure

Curve = Sequence[Sequence[float | int]]
"""(step, value) pairs by rising step; a value that is not finite leaves a gap."""


def smooth(values: Sequence[float | int], momentum: float) -> list[float]:
    """Running mean that forgets by ``momentum`` a point and starts unbiased; gaps stay gaps.

    Args:
        values: as measured.
        momentum: 0 changes nothing; 0.9 averages over about ten points.

    >>> [round(value, 3) for value in smooth([1.0, 0.0, 0.0], 0.5)]
    [1.0, 0.333, 0.143]
    """
    require_probability(momentum=momentum)
    mean, weight, out = 0.0, 0.0, []
    for value in values:
        if not np.isfinite(value):
            out.append(float("nan"))
            continue
        mean = momentum * mean + (1 - momentum) * value
        weight = momentum * weight + (1 - momentum)
        out.append(mean / weight)
    return out


def learning_curves(
    curves: Mapping[str, Curve],
    *,
    title: str = "",
    value_name: str = "training loss",
    step_name: str = "step",
    momentum: float = 0.0,
    chance: float | int | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One line per run, its name at its end, its own marker; where smoothed, the raw points stay visible
    behind it.

    Args:
        curves: name → (step, value) pairs.
        title: above the figure.
        value_name: on the y axis, with its unit.
        step_name: on the x axis.
        momentum: smoothing (:func:`smooth`).
        chance: level that guessing reaches, drawn as a dashed line.
        limits: of the y axis; None fits the data.

    Raises:
        ArgumentError: no curve, a curve without points, or steps that do not rise.

    >>> figure = learning_curves({"vtn": [(0, 2.0), (1, 1.5)], "vivit": [(0, 2.0), (1, 1.0)]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['vtn', 'vivit']
    """
    require(len(curves) > 0, "curves", dict(curves), "at least one curve")
    figure, (axes,) = new_figure(7.0, 4.0)
    ends = []
    for index, (name, curve) in enumerate(curves.items()):
        steps, values = _columns(name, curve)
        colour, line = colour_of(index), smooth(values, momentum)
        if momentum > 0:
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8, label=f"{name} as measured")
        axes.plot(
            steps,
            line,
            color=colour,
            marker=marker_of(index),
            markevery=max(1, len(steps) // 8),
            markersize=5,
            linewidth=1.6,
            label=name,
        )
        finite = [(step, value) for step, value in zip(steps, line, strict=True) if np.isfinite(value)]
        if finite:
            ends.append((name, *finite[-1], colour))
    if limits is not None:
        axes.set_ylim(*limits)
    if chance is not None:
        axes.axhline(chance, color=MUTED, linestyle="--", linewidth=1, label="chance")
        axes.annotate(
            "chance", xy=(0.99, chance), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", color=MUTED, fontsize=9, ha="right",
        )  # fmt: skip
    axes.set_xlabel(step_name)
    axes.set_ylabel(value_name)
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    label_line_ends(axes, ends)
    return figure


def small_multiples(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    title: str = "",
    value_name: str = "training loss",
    step_name: str = "step",
    momentum: float = 0.0,
    columns: int = 3,
) -> Figure:
    """One panel per group of curves, all on the same axes, so that panels can be compared by eye.

    Args:
        panels: panel name → curve name → (step, value) pairs; a curve name has the same look in every panel.
        title: above the figure.
        value_name: on the y axes.
        step_name: on the x axes.
        momentum: smoothing (:func:`smooth`).
        columns: panels in a row.

    >>> curve = {"motion": [(0, 2.0), (1, 1.5)]}
    >>> figure = small_multiples({"vtn": curve, "vivit": curve})
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['vtn', 'vivit']
    """
    require(len(panels) > 0, "panels", dict(panels), "at least one panel")
    require_positive(columns=columns)
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, cells = new_figure(3.2 * columns, 2.6 * rows + 0.5, rows=rows, columns=columns)
    names = list(dict.fromkeys(name for group in panels.values() for name in group))
    for cell, (panel, group) in zip(cells, panels.items(), strict=False):
        for name, curve in group.items():
            steps, values = _columns(f"{panel}/{name}", curve)
            index = names.index(name)
            cell.plot(
                steps, smooth(values, momentum), color=colour_of(index), marker=marker_of(index),
                markevery=max(1, len(steps) // 6), markersize=4, linewidth=1.4, label=name,
            )  # fmt: skip
        cell.set_title(panel, loc="left", fontsize=10)
        cell.grid(alpha=0.3)
    used = cells[: len(panels)]
    for empty in cells[len(panels) :]:
        empty.remove()
    low = min(cell.get_ylim()[0] for cell in used)
    high = max(cell.get_ylim()[1] for cell in used)
    left = min(cell.get_xlim()[0] for cell in used)
    right = max(cell.get_xlim()[1] for cell in used)
    for index, cell in enumerate(used):
        cell.set_ylim(low, high)
        cell.set_xlim(left, right)
        if index % columns == 0:
            cell.set_ylabel(value_name)
        if index + columns >= len(used):
            cell.set_xlabel(step_name)
    handles = {str(line.get_label()): line for cell in used for line in cell.lines}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False
    )
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def _columns(name: str, curve: Curve) -> tuple[list[float], list[float]]:
    """Steps and values apart, checked."""
    require(len(curve) > 0, f"curves[{name!r}]", list(curve), "at least one (step, value)")
    steps = [float(step) for step, _ in curve]
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ArgumentError(f"curves[{name!r}]", steps[:8], "rising steps")
    return steps, [float(value) for _, value in curve]
