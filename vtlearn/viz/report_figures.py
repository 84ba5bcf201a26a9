"""The pictures of a comparison: confusion matrix, accuracies with their intervals, accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter
from torch import Tensor

from vtlearn.errors import require
from vtlearn.viz.palette import MUTED, SEQUENTIAL, colour_of, marker_of, new_figure

Interval = Sequence[float | int]
"""(value, low, high), all in [0, 1]."""

NUMBERED_CLASSES = 24
"""Up to so many classes each cell of a confusion matrix carries its count."""


def confusion_figure(
    confusion: Int[Tensor, "classes classes"], class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """How often each true class (row) was taken for each class (column): colour by share, count in the cell.

    Args:
        confusion: clips by (true, predicted) class.
        class_names: in the order of the class numbers.
        title: above the figure.

    Raises:
        ArgumentError: as many names as classes are needed.

    >>> import torch
    >>> figure = confusion_figure(torch.tensor([[3, 1], [0, 4]]), ["left", "right"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3', '1', '0', '4']
    """
    counts = confusion.cpu().numpy()
    require(len(class_names) == len(counts), "class_names", list(class_names), f"{len(counts)} names")
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    side = min(0.55 * len(counts) + 2.2, 11.0)
    figure, (axes,) = new_figure(side + 0.8, side)
    image = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0.0, vmax=1.0)
    axes.spines[:].set_visible(False)
    places = range(len(counts))
    small = 9 if len(counts) <= NUMBERED_CLASSES else 5
    axes.set_xticks(places, class_names, rotation=45, ha="right", rotation_mode="anchor", fontsize=small)
    axes.set_yticks(places, class_names, fontsize=small)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, loc="left")
    if len(counts) <= NUMBERED_CLASSES:
        for row in places:
            for column in places:
                ink = "black" if shares[row, column] > 0.5 else "white"
                axes.text(
                    column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=9
                )
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class's clips")
    return figure


def accuracy_figure(
    accuracies: Mapping[str, Mapping[str, Interval]],
    *,
    title: str = "",
    chance: Mapping[str, float | int] | None = None,
) -> Figure:
    """One panel per labelling, one row per model: a point with its interval, its number written beside it.

    Args:
        accuracies: labelling → model → (accuracy, low, high), each in [0, 1]; every labelling names the same
            models.
        title: above the figure.
        chance: labelling → what guessing reaches, drawn as a dashed line.

    Raises:
        ArgumentError: nothing to draw, other models in another labelling, or an interval not around its
            value.

    >>> figure = accuracy_figure({"motion": {"vtn": (0.9, 0.85, 0.94)}}, chance={"motion": 0.125})
    >>> figure.axes[0].get_title(loc="left")
    'motion'
    """
    require(len(accuracies) > 0, "accuracies", dict(accuracies), "at least one labelling")
    models = list(next(iter(accuracies.values())))
    figure, cells = new_figure(3.0 + 3.2 * len(accuracies), 0.42 * len(models) + 1.5, columns=len(accuracies))
    for column, (cell, (labelling, values)) in enumerate(zip(cells, accuracies.items(), strict=True)):
        require(list(values) == models, f"accuracies[{labelling!r}]", list(values), f"the models {models}")
        for row, (model, (value, low, high)) in enumerate(values.items()):
            require(
                low <= value <= high,
                f"accuracies[{labelling!r}][{model!r}]",
                (value, low, high),
                "low ≤ value ≤ high",
            )
            cell.errorbar(
                value, row, xerr=[[value - low], [high - value]], color=colour_of(row), marker=marker_of(row),
                markersize=7, capsize=3, linewidth=1.4, label=model,
            )  # fmt: skip
            left = high > 0.85  # no room on the right of the interval: write on its left
            cell.annotate(
                f"{100 * value:.1f} %", xy=(low if left else high, row), xytext=(-6 if left else 6, 0),
                textcoords="offset points", va="center", ha="right" if left else "left", fontsize=9,
            )  # fmt: skip
        if chance is not None and labelling in chance:
            cell.axvline(chance[labelling], color=MUTED, linestyle="--", linewidth=1, label="chance")
            cell.annotate(
                "chance", xy=(chance[labelling], 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                textcoords="offset points", color=MUTED, fontsize=8, va="bottom",
            )  # fmt: skip
        cell.set_xlim(0.0, 1.02)
        cell.set_ylim(len(models) - 0.5, -0.6)
        cell.set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100"])
        cell.set_yticks(range(len(models)), models if column == 0 else [""] * len(models))
        cell.set_xlabel("top-1 accuracy on test, % (95 % interval)")
        cell.set_title(labelling, loc="left", pad=14)
        cell.grid(axis="x", alpha=0.3)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def cost_figure(
    points: Mapping[str, tuple[float | int, Interval]],
    *,
    title: str = "",
    cost_name: str = "multiply-adds per clip",
) -> Figure:
    """Accuracy against cost, a named point per model; those that none beats at their cost are ringed.

    Args:
        points: model → (cost, (accuracy, low, high)); costs above 0, drawn on a logarithmic axis.
        title: above the figure.
        cost_name: on the x axis, with its unit and convention.

    Raises:
        ArgumentError: nothing to draw, or a cost that is not above 0.

    >>> figure = cost_figure({"a": (1e6, (0.5, 0.4, 0.6)), "b": (2e6, (0.4, 0.3, 0.5))})
    >>> figure.axes[0].lines[-1].get_xdata().tolist()  # the ringed ones
    [1000000.0]
    """
    require(len(points) > 0, "points", dict(points), "at least one model")
    figure, (axes,) = new_figure(6.5, 4.2)
    for index, (model, (cost, (value, low, high))) in enumerate(points.items()):
        require(cost > 0 and math.isfinite(cost), f"points[{model!r}]", cost, "a cost above 0")
        axes.errorbar(
            cost, value, yerr=[[value - low], [high - value]], color=colour_of(index),
            marker=marker_of(index), markersize=8, capsize=3, linewidth=1.2, linestyle="none", label=model,
        )  # fmt: skip
    best = pareto_front({model: (cost, value) for model, (cost, (value, _, _)) in points.items()})
    costs, values = [points[model][0] for model in best], [points[model][1][0] for model in best]
    (front,) = axes.plot(
        costs, values, color=MUTED, linestyle=":", marker="o", markersize=14, markerfacecolor="none",
        linewidth=1, label="best at their cost",
    )  # fmt: skip
    axes.set_xscale("log")
    spread = max(cost for cost, _ in points.values()) / min(cost for cost, _ in points.values())
    few = MaxNLocator(4) if spread < 4 else LogLocator(subs=(1.0, 2.0, 5.0))  # labels need room
    axes.xaxis.set_major_locator(few)
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.18)
    axes.set_ylim(0.0, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100"])
    axes.set_xlabel(cost_name)
    axes.set_ylabel("top-1 accuracy on test, % (95 % interval)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    figure.legend(handles=[*axes.containers, front], loc="outside right upper", frameon=False)
    return figure


def pareto_front(points: Mapping[str, tuple[float | int, float | int]]) -> list[str]:
    """The models that no other beats: none is at least as accurate at no more cost; by rising cost.

    >>> pareto_front({"cheap": (1.0, 0.5), "dear": (3.0, 0.9), "silly": (3.5, 0.6)})
    ['cheap', 'dear']
    """
    front: list[str] = []
    best = -math.inf
    for name, (_, value) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1])):
        if value > best:
            front.append(name)
            best = value
    return front
