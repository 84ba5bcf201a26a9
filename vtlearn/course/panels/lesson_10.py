"""The panel of lesson 10: accuracy against cost in the recorded comparison, with views that are paid for."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer
from vtlearn.course.workspace import REPOSITORY
from vtlearn.data.synthetic import LABELLINGS
from vtlearn.viz.digest import describe
from vtlearn.viz.report_figures import cost_figure, pareto_front

COSTS = {
    "multiply-adds of a video": "multiply_adds",
    "parameters": "parameters",
    "peak memory in training, bytes": "peak_memory_bytes",
    "training, seconds": "train_seconds",
}
SPREAD = "test accuracy, % (worst to best of three seeds)"
MOST_VIEWS = 30


@functools.cache
def recorded() -> dict[str, Any]:
    """The recorded comparison, as it stands in ``benchmarks/results``."""
    found: dict[str, Any] = json.loads((REPOSITORY / "benchmarks/results/comparison.json").read_text())
    return found


class ParetoExplorer(Panel):
    """Which models no other beats at their cost, for either labelling and four kinds of cost."""

    title = "Pareto explorer"
    first_move = Move("views", "ArrowRight", {"views": 4})

    def controls(self) -> dict[str, widgets.Widget]:
        """What is asked, what it costs, and how many views one of the models is given."""
        return {
            "labelling": choice("labelling", list(LABELLINGS), "motion"),
            "cost": choice("cost", list(COSTS)),
            "model": choice("views are of", [row["model"] for row in recorded()["summary"]], "timesformer"),
            "views": integer("its views", 3, 1, MOST_VIEWS),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """A point a model with its lowest and highest seed; the front ringed."""
        points = points_of(state)
        figure = cost_figure(
            {name: (cost, (mean, low, high)) for name, (cost, mean, low, high) in points.items()},
            title=state["labelling"],
            cost_name=state["cost"],
        )
        figure.axes[0].set_ylabel(SPREAD)
        front = pareto_front({name: (cost, mean) for name, (cost, mean, *_) in points.items()})
        words = " ".join(describe(figure).replace("\n", "; ").split())
        return Drawing(
            figure,
            caption=_what_to_notice(state, front),
            text=f"{state['model']} with {state['views']} views. Not beaten at their cost: "
            f"{', '.join(front)}. {words}",
        )


def points_of(state: Mapping[str, Any]) -> dict[str, tuple[float, float, float, float]]:
    """Model → (cost, mean accuracy, lowest, highest); views multiply operations and nothing else."""
    key = COSTS[state["cost"]]
    points = {}
    for row in recorded()["summary"]:
        paid = state["views"] if row["model"] == state["model"] and key == "multiply_adds" else 1
        points[row["model"]] = (float(paid * row[key]), *row[state["labelling"]])
    return points


def _what_to_notice(state: Mapping[str, Any], front: list[str]) -> str:
    named = ", ".join(front)
    if COSTS[state["cost"]] != "multiply_adds":
        return (
            f"By this cost the ringed ones are {named}. Views do not change it: they are paid for when the "
            "model is used. Is the cheapest by one cost the cheapest by another?"
        )
    return (
        f"Ringed: no other is as accurate for as little ({named}). The points do not rise with the views "
        f"here: what {state['model']} would gain from {state['views']} views was not recorded, only what "
        "they cost. A table that hides the views puts every model at one."
    )


PANELS = [ParetoExplorer]
