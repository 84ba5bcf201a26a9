"""The panel of lesson 07: ViViT's four models with their parameters and multiply-adds, as sizes change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from vtlearn.course.panels.base import Drawing, Move, Panel, steps
from vtlearn.shapes import TokenGrid
from vtlearn.viz.model_costs import describe_costs, draw_costs

NAMES = {
    1: "1 joint",
    2: "2 encoder",
    3: "3 self-attention",
    4: "4 dot product",
}
FRAMES = (8, 16, 32, 64, 128)
SIDES = (112, 224, 320, 448)
TUBELETS = (1, 2, 4, 8)
PATCH, WIDTH, HIDDEN, DEPTH, CLASSES = 16, 768, 3072, 12, 400  # ViViT-B on Kinetics-400


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-adds of one clip: of linear layers, and of the products of attention.

    The parameters of blocks, and what they are beside; all whole numbers.
    """

    blocks: int
    other: int
    linear: int
    attention: int


class FourModels(Panel):
    """Frames, pixels, tubelets and depth over time: which of the four models pays for what."""

    title = "Four models"
    first_move = Move("model", "ArrowRight", {"model": 2})

    def controls(self) -> dict[str, widgets.Widget]:
        """The model to look at, then the clip, then the tubelets and the depth of model 2's second part."""
        return {
            "model": steps("model", tuple(NAMES), 1),
            "frames": steps("frames", FRAMES, 32),
            "side": steps("image side", SIDES, 224),
            "tubelet": steps("frames a tubelet", TUBELETS, 2),
            "over_time": steps("blocks over time (model 2)", (1, 2, 4, 8, 12), 4),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Left millions of parameters, right billions of multiply-adds, the chosen model set off."""
        costs = {name: cost_of(model, state) for model, name in NAMES.items()}
        figure = draw_costs(
            {
                "parameters, millions": {
                    name: {"blocks": cost.blocks / 1e6, "all else": cost.other / 1e6}
                    for name, cost in costs.items()
                },
                "multiply-adds of one clip, billions": {
                    name: {"linear layers": cost.linear / 1e9, "products of attention": cost.attention / 1e9}
                    for name, cost in costs.items()
                },
            },
            chosen=NAMES[state["model"]],
        )
        grid = grid_of(state)
        return Drawing(
            figure,
            caption=_what_to_notice(state, grid),
            text=f"{grid.t} × {grid.h} × {grid.w} tokens. {describe_costs(figure)}.",
        )


def grid_of(state: Mapping[str, Any]) -> TokenGrid:
    """The token grid of a state; all sizes on offer divide."""
    side = state["side"] // PATCH
    return TokenGrid(state["frames"] // state["tubelet"], side, side)


def pairs_of(model: int, grid: TokenGrid) -> int:
    """Pairs of query and key in one block, class tokens left out; of model 2 in one block of each part.

    Half of model 4's heads weigh each kind of pair, so they count by half.
    """
    t, s = grid.t, grid.tokens_per_frame
    divided = t * s * s + s * t * t
    return {1: (t * s) ** 2, 2: t * s * s + t * t, 3: divided, 4: divided // 2}[model]


def cost_of(model: int, state: Mapping[str, Any]) -> Cost:
    """What ViViT-B costs as this model, by formula; equal to counting a built one."""
    grid = grid_of(state)
    t, s, count = grid.t, grid.tokens_per_frame, grid.num_tokens
    over_time = state["over_time"]
    norm, attention = 2 * WIDTH, 4 * (WIDTH * WIDTH + WIDTH)
    block = 2 * norm + attention + 2 * WIDTH * HIDDEN + HIDDEN + WIDTH
    inputs = 3 * state["tubelet"] * PATCH * PATCH
    rows = {1: 2 + count, 2: 2 + s + 2 + t}.get(model, count)  # positions and class tokens
    other = WIDTH * (inputs + 1) + rows * WIDTH + norm + CLASSES * (WIDTH + 1)
    a_token = 4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN  # linear layers of a plain block
    start = WIDTH * (count * inputs + CLASSES)
    if model == 1:
        seen = 1 + count
        return Cost(DEPTH * block, other, start + DEPTH * seen * a_token, 2 * DEPTH * seen * seen * WIDTH)
    if model == 2:
        in_space, in_time = DEPTH * t * (1 + s), over_time * (1 + t)
        products = 2 * WIDTH * (in_space * (1 + s) + in_time * (1 + t))
        linear = start + (in_space + in_time) * a_token
        return Cost((DEPTH + over_time) * block, other + norm, linear, products)
    if model == 3:
        linear = start + DEPTH * count * (a_token + 4 * WIDTH * WIDTH)
        return Cost(DEPTH * (block + norm + attention), other, linear, 2 * DEPTH * count * (t + s) * WIDTH)
    return Cost(DEPTH * block, other, start + DEPTH * count * a_token, DEPTH * count * (t + s) * WIDTH)


def _what_to_notice(state: Mapping[str, Any], grid: TokenGrid) -> str:
    model, t, s = state["model"], grid.t, grid.tokens_per_frame
    pairs = f"{pairs_of(model, grid):,}"
    if model == 1:
        cost = cost_of(1, state)
        share = 100 * cost.attention / (cost.attention + cost.linear)
        return (
            f"Model 1 weighs (t·h·w)² = {pairs} pairs in a block; products of attention are {share:.0f} % of "
            "its operations. Double the frames: its products grow fourfold, its linear layers twofold, its "
            "parameters only by rows of the position table."
        )
    if model == 2:
        return (
            f"Model 2 weighs t·(h·w)² = {t * s * s:,} pairs in a spatial block and t² = {t * t:,} in a "
            "temporal one. Add blocks over time: parameters grow, operations hardly move, for they see "
            f"{t} vectors and not {grid.num_tokens:,} tokens."
        )
    if model == 3:
        return (
            f"Model 3 weighs t·(h·w)² + h·w·t² = {pairs} pairs in a block. Its second attention has weights "
            f"of its own. These four linear layers, run on all {grid.num_tokens:,} tokens, cost more than "
            "both attentions' products."
        )
    return (
        f"Model 4 weighs half of model 3's pairs, {pairs} if each head counts by its share, with the very "
        "weights of model 1. What is left is nearly all linear layers."
    )


PANELS = [FourModels]
