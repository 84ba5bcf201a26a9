"""The panel of lesson 13: an experiment board, where made-up experiments are repeated and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer, steps
from vtlearn.viz.palette import MUTED, colour_of, marker_of, new_figure

LEAST_GAIN = 5
"""Points that the board's card asks for, in every seed."""

BESIDE = 9
"""Points that the second change brings where two are made."""

REPEATED = 1000
ONE, TWO = "one thing", "two things"


class ExperimentBoard(Panel):
    """Made-up experiments: what the rule says of one, and how often it says so when they are repeated."""

    title = "Experiment board"
    first_move = Move("effect", "ArrowRight", {"effect": 9})

    def controls(self) -> dict[str, widgets.Widget]:
        """What is true, what is changed, how far seeds lie apart, and how many are run."""
        return {
            "changed": choice("changed", (ONE, TWO)),
            "effect": integer("true gain of the neighbours (points)", 8, 0, 15),
            "spread": integer("spread of the seeds (points)", 1, 0, 8),
            "seeds": steps("seeds", (1, 2, 3, 5, 8), 3),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """The scores of one experiment, and the gains of a thousand."""
        baseline, test = scores_of(state)
        gains = test - baseline
        supported = (gains >= LEAST_GAIN).all(axis=1)
        figure, (left, right) = new_figure(8.4, 3.4, columns=2)
        _one_experiment(left, baseline[0], test[0])
        _all_experiments(right, gains, supported)
        verdict = "supported" if supported[0] else "not supported"
        shown = ", ".join(f"{gain:.1f}" for gain in gains[0])
        share = supported.mean()
        return Drawing(
            figure,
            caption=_what_to_notice(state, share),
            text=f"One experiment: gains of {shown} points; the card asks for {LEAST_GAIN} in every seed: "
            f"{verdict}. Repeated {REPEATED:,} times with other seeds: supported in "
            f"{share:.0%}, the mean gain "
            f"is {gains.mean():.1f} points. The neighbours alone gain {state['effect']} "
            "points. The scores are "
            "made up.",
        )


def scores_of(state: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scores in percent of baseline and test, ``(experiments, seeds)`` each."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(2, REPEATED, 8))[:, :, : state["seeds"]] * state["spread"]
    gain = state["effect"] + (BESIDE if state["changed"] == TWO else 0)
    return 35 + noise[0], 35 + gain + noise[1]


def _one_experiment(axes: Axes, baseline: np.ndarray, test: np.ndarray) -> None:
    for before, after in zip(baseline, test, strict=True):
        axes.plot([0, 1], [before, after], color=MUTED, linewidth=1)
    for place, values in enumerate((baseline, test)):
        axes.plot(
            [place] * len(values), values, linestyle="none", marker=marker_of(place), color=colour_of(place)
        )
    axes.set_xlim(-0.4, 1.4)
    axes.set_ylim(0, 80)
    axes.set_xticks([0, 1], ["baseline", "test"])
    axes.set_ylabel("score (%)")
    axes.set_title("one experiment, a line a seed", loc="left", fontsize=10)


def _all_experiments(axes: Axes, gains: np.ndarray, supported: np.ndarray) -> None:
    means, bins = gains.mean(axis=1), np.arange(-20, 46, 1.0)
    passed, everyone = np.histogram(means[supported], bins)[0], np.histogram(means, bins)[0]
    axes.stairs(everyone, bins, baseline=passed, fill=True, color=colour_of(0), label="not supported")
    axes.stairs(
        passed, bins, fill=True, facecolor=colour_of(1), hatch="///", edgecolor="white", label="supported"
    )
    axes.axvline(LEAST_GAIN, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(-20, 45)
    axes.set_xlabel("mean gain (points); dashed: asked for")
    axes.set_ylabel("experiments")
    axes.set_title(f"the same, {REPEATED:,} times", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _what_to_notice(state: Mapping[str, Any], share: float) -> str:
    if state["changed"] == TWO:
        return (
            f"Two things were changed, and the second brings {BESIDE} points of its own. The lines look just "
            "as a true gain would. Set the neighbours' gain to 0, with a spread of 1: no "
            "number of seeds shows "
            "the mistake."
        )
    if state["effect"] < LEAST_GAIN:
        return (
            f"The neighbours do not gain what the card asks for, and yet {share:.0%} of the "
            "experiments support "
            "it. Fewer seeds, or a wider spread, and luck decides more often."
        )
    return (
        f"The gain is real, and {share:.0%} of the experiments support it. Widen the spread: a real gain is "
        "missed. Asking every seed for it makes the rule strict, and stricter with more seeds."
    )


PANELS = [ExperimentBoard]
