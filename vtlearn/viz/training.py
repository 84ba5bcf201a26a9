"""What training does: the rate and the loss of each step, and the gap between training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from vtlearn.errors import ArgumentError, require
from vtlearn.viz.palette import MUTED, colour_of, new_figure

HIGHEST_LOSS, LOWEST_LOSS = 1e6, 1e-4
"""Where the axis of the loss ends; points beyond are drawn at its edge."""


def draw_rate_and_loss(rates: Sequence[float], losses: Sequence[float]) -> Figure:
    """Above the learning rate of each step, below the loss before it, on a logarithmic axis.

    Args:
        rates: one a step.
        losses: one a step; what is not finite, or beyond the axis, is drawn at its edge.

    Raises:
        ArgumentError: no step, or lists of different length.

    >>> [axes.get_ylabel() for axes in draw_rate_and_loss([0.1, 0.05], [2.0, 1.0]).axes]
    ['learning rate', 'loss']
    """
    require(len(rates) > 0, "rates", list(rates), "at least one")
    if len(rates) != len(losses):
        raise ArgumentError("losses", len(losses), f"as many as the rates: {len(rates)}")
    figure, (above, below) = new_figure(7.0, 4.4, rows=2)
    numbers = range(1, len(rates) + 1)
    above.plot(numbers, rates, color=colour_of(0), linewidth=1.8, marker="o", markersize=3, label="rate")
    above.set_ylim(0, 1.1 * max(*rates, 1e-6))
    above.set_ylabel("learning rate")
    shown = np.clip(
        np.nan_to_num(np.asarray(losses, dtype=float), nan=HIGHEST_LOSS), LOWEST_LOSS, HIGHEST_LOSS
    )
    below.plot(numbers, shown, color=colour_of(1), linewidth=1.8, marker="s", markersize=3, label="loss")
    below.axhline(losses[0], color=MUTED, linestyle="--", linewidth=1, label="at the start")
    below.set_yscale("log")
    below.set_ylim(LOWEST_LOSS, HIGHEST_LOSS)
    below.set_ylabel("loss")
    below.set_xlabel("step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.set_xlim(0, len(rates) + 1)
    return figure


def describe_rate_and_loss(figure: Figure) -> str:
    """What a figure of :func:`draw_rate_and_loss` shows, read from its lines.

    >>> describe_rate_and_loss(draw_rate_and_loss([0.1, 0.2, 0.0], [2.0, 3.0, 1.0]))
    '3 steps; rate from 0.1, highest 0.2 in step 2, at the end 0; loss from 2 to 1, rising in 1 of 2 steps'
    """
    rates, losses = (np.asarray(axes.lines[0].get_ydata(), dtype=float) for axes in figure.axes)
    rising = sum(later > earlier for earlier, later in pairwise(losses))
    return (
        f"{len(rates)} steps; rate from {rates[0]:.2g}, highest {rates.max():.2g} in step "
        f"{rates.argmax() + 1}, "
        f"at the end {rates[-1]:.2g}; loss from {losses[0]:.3g} to {losses[-1]:.3g}, "
        f"rising in {rising} of {len(losses) - 1} steps"
    )


def draw_gap(accuracies: Mapping[str, tuple[float, float]], *, chance: float | None = None) -> Figure:
    """For each way of training its accuracy in training and in validation, and the gap between as a line.

    Args:
        accuracies: name → (training, validation), from 0 to 1.
        chance: accuracy of guessing, drawn as a dashed line.

    Raises:
        ArgumentError: nothing to draw, or an accuracy outside [0, 1].

    >>> figure = draw_gap({"plain": (1.0, 0.5), "cropped": (1.0, 0.9)}, chance=0.25)
    >>> figure.axes[0].get_xlabel()
    'accuracy'
    """
    require(len(accuracies) > 0, "accuracies", dict(accuracies), "at least one")
    for name, pair in accuracies.items():
        require(all(0 <= one <= 1 for one in pair), f"accuracies[{name!r}]", pair, "in [0, 1]")
    figure, (axes,) = new_figure(7.0, 0.8 + 0.42 * len(accuracies))
    places = list(range(len(accuracies)))
    training, validation = (np.array([pair[side] for pair in accuracies.values()]) for side in (0, 1))
    axes.hlines(places, validation, training, color=MUTED, linewidth=3, label="the gap", zorder=1)
    axes.scatter(training, places, color=colour_of(0), marker="o", s=55, label="training", zorder=3)
    axes.scatter(validation, places, color=colour_of(1), marker="D", s=45, label="validation", zorder=2)
    if chance is not None:
        axes.axvline(chance, color=MUTED, linestyle="--", linewidth=1, label="guessing")
    axes.set_yticks(places, list(accuracies))
    axes.set_ylim(len(accuracies) - 0.5, -0.5)
    axes.set_xlim(0, 1.05)
    axes.set_xlabel("accuracy")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=9)
    return figure


def describe_gap(figure: Figure) -> str:
    """What a figure of :func:`draw_gap` shows, read from its points, in words that a little noise leaves be.

    >>> describe_gap(draw_gap({"plain": (1.0, 0.52)}))
    'plain: training high, validation low or middling, gap wide'
    """
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    points = {str(one.get_label()): np.asarray(one.get_offsets())[:, 0] for one in axes.collections[1:]}
    lines = []
    for name, train, held_out in zip(names, points["training"], points["validation"], strict=True):
        gap = "wide" if train - held_out > 0.2 else "small"
        lines.append(f"{name}: training {_height(train)}, validation {_height(held_out)}, gap {gap}")
    return "; ".join(lines)


def _height(accuracy: float) -> str:
    return "high" if accuracy > 0.9 else "low or middling"
