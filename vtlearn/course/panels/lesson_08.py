"""The panel of lesson 08: an optimiser going down a ravine, its rate above and its loss below, "
"step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer, steps, switch
from vtlearn.train.optim import warmup_cosine
from vtlearn.viz.training import describe_rate_and_loss, draw_rate_and_loss

TOTAL = 60
STEEPNESS = np.array([1.0, 12.0])
"""Second derivatives of the loss: one gentle direction, one steep one."""
NOISE = 0.6
OPTIMISERS = ("SGD", "SGD with momentum", "AdamW")
SCHEDULES = ("cosine", "constant")
LIMIT = 1.0


def descend(state: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """The rate and the loss of each step, on ½ (x² + 12 y²) from (4, 3) with noise in every gradient."""
    chance = np.random.default_rng(8)
    place, speed, squares = np.array([4.0, 3.0]), np.zeros(2), np.zeros(2)
    rates, losses = [], []
    for step in range(TOTAL):
        losses.append(float(0.5 * (STEEPNESS * place**2).sum()))
        factor = 1.0
        if step < state["warmup"] or state["schedule"] == "cosine":
            factor = warmup_cosine(step, total_steps=TOTAL, warmup_steps=state["warmup"])
        rate = state["rate"] * factor
        rates.append(rate)
        gradient = STEEPNESS * place + NOISE * chance.standard_normal(2)
        length = float(np.linalg.norm(gradient))
        if state["clip"] and length > LIMIT:
            gradient = gradient * LIMIT / length
        if state["optimiser"] == "AdamW":
            speed = 0.9 * speed + 0.1 * gradient
            squares = 0.99 * squares + 0.01 * gradient**2
            means = speed / (1 - 0.9 ** (step + 1)), squares / (1 - 0.99 ** (step + 1))
            move = means[0] / (np.sqrt(means[1]) + 1e-8)
        else:
            speed = gradient + (0.9 * speed if state["optimiser"] == "SGD with momentum" else 0.0)
            move = speed
        place = np.clip(place - rate * move, -1e6, 1e6)
    return rates, losses


class RateExplorer(Panel):
    """Base rate, schedule, warm-up, clipping and optimiser against the loss of a small ravine."""

    title = "Loss and rate explorer"
    first_move = Move("warmup", "ArrowRight", {"warmup": 6})

    def controls(self) -> dict[str, widgets.Widget]:
        """Optimiser, base rate, schedule, warm-up, clipping."""
        return {
            "optimiser": choice("optimiser", list(OPTIMISERS), "SGD"),
            "rate": steps("base rate", (0.01, 0.03, 0.1, 0.15, 0.2, 0.5, 1.0), 0.1),
            "schedule": choice("schedule", list(SCHEDULES)),
            "warmup": integer("steps of warm-up", 5, 0, 20),
            "clip": switch("clip gradients to length 1"),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Above the rate of each step, below the loss, on a logarithmic axis."""
        rates, losses = descend(state)
        figure = draw_rate_and_loss(rates, losses)
        return Drawing(figure, caption=_what_to_notice(state, losses), text=describe_rate_and_loss(figure))


def _what_to_notice(state: Mapping[str, Any], losses: list[float]) -> str:
    last = float(np.mean(losses[-5:]))
    if not math.isfinite(last) or last > 2 * losses[0]:
        return (
            "The loss grows: along the steep wall each step jumps further up the other side. "
            "Plain SGD does so "
            "as soon as rate × steepness is above 2, here above 0.17. Lower the rate, clip, or "
            "let AdamW size "
            "the steps."
        )
    if max(losses) > 2 * losses[0]:
        return (
            "It climbed far above its start before it came down: while rate × steepness is above "
            "2, each step "
            "jumps further up the steep wall, and only the falling rate ends that. A real network "
            "would not come "
            "back. Lower the rate, warm up longer, or clip."
        )
    if last > 2.0:
        return (
            "It goes down, but slowly: the steps are too short for the gentle direction. Raise "
            "the rate until "
            "the steep direction complains. Clipping shortens long steps as well, and costs time here."
        )
    if state["schedule"] == "constant" and last > 0.02:
        return (
            "It came down and now trembles: at a constant rate the noise of the batches keeps it moving. A "
            "cosine makes the steps short at the end, and the loss sinks further."
        )
    return (
        "It comes down and settles. The warm-up keeps the first steps short, while the gradient is long; the "
        "falling rate lets it settle in spite of the noise. Try the same rate with another optimiser."
    )


PANELS = [RateExplorer]
