"""The panel of lesson 02: turn and stretch one query, and follow it from scores to weights to its output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import torch

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer, steps
from vtlearn.viz.weights import describe_lookup, draw_lookup

NAMES = ("A", "B", "C", "D", "E")
KEYS = torch.tensor([[1.0, 0.1], [0.5, 1.5], [-0.8, 0.7], [-0.6, -0.9], [0.7, -0.8]])
VALUES = torch.tensor([[0.1, 1.5], [-1.4, 0.5], [1.3, 0.7], [0.9, -1.2], [-1.0, -1.1]])
DIVISORS = {"√d": math.sqrt(2), "nothing": 1.0, "d": 2.0}


class QueryExplorer(Panel):
    """One query against five keys in the plane: its scores, its weights, and the mean of the values."""

    title = "Q/K/V explorer"
    first_move = Move("angle", "ArrowRight", {"angle": 40})

    def controls(self) -> dict[str, widgets.Widget]:
        """Direction and length of the query, the divisor of the scores, a key that is masked."""
        return {
            "angle": integer("query angle", 30, 0, 350, 10),
            "length": steps("query length", (0, 1, 2, 4, 8, 16), 2),
            "divisor": choice("scores divided by", list(DIVISORS), "√d"),
            "masked": choice("masked key", ["none", *NAMES]),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Left keys and query, in the middle scores and weights, right the values and the output."""
        angle = math.radians(state["angle"])
        query = state["length"] * torch.tensor([math.cos(angle), math.sin(angle)])
        mask = torch.tensor([name != state["masked"] for name in NAMES])
        divisor = DIVISORS[state["divisor"]]
        figure = draw_lookup(query, KEYS, VALUES, names=NAMES, divisor=divisor, mask=mask)
        scores = (KEYS @ query / divisor).masked_fill(~mask, -math.inf)
        return Drawing(
            figure, caption=_what_to_notice(state, scores.softmax(dim=0)), text=describe_lookup(figure)
        )


def _what_to_notice(state: Mapping[str, Any], weights: torch.Tensor) -> str:
    best = int(weights.argmax())
    if state["length"] == 0:
        return (
            "A query of length 0 scores every key alike: the weights are equal, and the output is the plain "
            "mean. Make it longer."
        )
    if state["masked"] != "none":
        return (
            f"Key {state['masked']} is masked: its score becomes −∞ and its weight 0. The others share what "
            f"it had, and keep their ratios. Now {NAMES[best]} has most."
        )
    if float(weights[best]) > 0.95:
        return (
            f"The softmax is all but a choice: {NAMES[best]} takes {float(weights[best]):.0%}".replace(
                "%", " %"
            )
            + ", and the output sits on its value. A small turn changes almost nothing, so there is almost "
            "no gradient to learn from. Divide the scores, or shorten the query."
        )
    return (
        f"{NAMES[best]} fits the query best and has most weight. The output is a mean: it never leaves the "
        "area between the values. Turn the query, then stretch it: longer means more decided."
    )


PANELS = [QueryExplorer]
