"""The panel of lesson 03: a pattern painter that shows a mask, what a stack of it sees, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.attention import Dilated, Full, GlobalTokens, Pattern, reachable
from vtlearn.course.panels.base import Drawing, Move, Panel, integer, steps
from vtlearn.viz.patterns import (
    LEVELS,
    describe_mask,
    describe_reach_rows,
    draw_mask,
    legend_of_levels,
    reach_rows,
)

NUM_TOKENS = 60
QUERY = 30
WINDOWS = (1, 3, 5, 7, 9, 11, 15, 21, 31)


class PatternPainter(Panel):
    """A window, its gaps, global tokens and a depth: the mask, the receptive field, the cost."""

    title = "Pattern painter"
    first_move = Move("dilation", "ArrowRight", {"dilation": 2})

    def controls(self) -> dict[str, widgets.Widget]:
        """Window, dilation, global tokens, depth."""
        return {
            "window_size": steps("window", WINDOWS, 7),
            "dilation": integer("dilation", 1, 1, 6),
            "global_tokens": integer("global tokens", 0, 0, 3),
            "depth": integer("layers", 3, 1, 6),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Left the mask of one layer, right what query 30 sees after each layer, below the pairs computed."""
        window = Dilated(state["window_size"], state["dilation"])
        everyone = tuple(range(state["global_tokens"]))
        pattern: Pattern = window | GlobalTokens(everyone) if everyone else window
        figure = Figure(figsize=(9.2, 4.1))
        left, right, below = _frames(figure)

        mask = pattern.mask(NUM_TOKENS)
        draw_mask(left, mask.int() + (mask & ~window.mask(NUM_TOKENS)).int())
        left.set_title("who may attend to whom, one layer", fontsize=9)
        left.set_ylabel("query", fontsize=8)
        left.set_xlabel("key", fontsize=8)
        legend_of_levels(left)

        rows = seen_by_layer(pattern, state["depth"])
        reach_rows(right, rows, QUERY)
        right.set_title(f"what the output at {QUERY} depends on", fontsize=9, loc="left")
        pairs = pattern.allowed_pairs(NUM_TOKENS) * state["depth"]
        full = Full().allowed_pairs(NUM_TOKENS) * state["depth"]
        cost_bars(below, {"this pattern": pairs, "full attention": full})

        seen = list(rows.values())[-1]
        return Drawing(
            figure,
            caption=_what_to_notice(state, seen),
            text=f"{describe_mask(left)} {right.get_title(loc='left')}: {describe_reach_rows(right)} "
            f"{describe_bars(below)}",
        )


def seen_by_layer(pattern: Pattern, depth: int) -> dict[str, Tensor]:
    """Which inputs the output at the query depends on, after one layer, two, … up to ``depth``."""
    return {
        f"{layers} layer{'s' if layers > 1 else ''}": reachable([pattern] * layers, NUM_TOKENS)[QUERY]
        for layers in range(1, depth + 1)
    }


def cost_bars(axes: Axes, pairs: Mapping[str, int]) -> None:
    """How many pairs each computes, in all layers, with the number at the end of its bar."""
    names = list(pairs)
    axes.barh(names, list(pairs.values()), color=[LEVELS[1], "#BBBBBB"], height=0.7)
    for row, number in enumerate(pairs.values()):
        axes.annotate(
            f"{number:,}",
            xy=(number, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * max(pairs.values()))
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("pairs computed in all layers, one head", fontsize=9, loc="left")


def describe_bars(axes: Axes) -> str:
    """The bars in words, read from what was drawn."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    widths = [round(patch.get_width()) for patch in axes.patches if isinstance(patch, Rectangle)]
    told = ", ".join(f"{name} {width:,}" for name, width in zip(names, widths, strict=True))
    return f"{axes.get_title(loc='left')}: {told}."


def _frames(figure: Figure) -> tuple[Axes, Axes, Axes]:
    """Room for the mask on the left, and on the right for the reach above the cost."""
    left = figure.add_axes((0.03, 0.11, 0.365, 0.82))
    right = figure.add_axes((0.49, 0.45, 0.495, 0.48))
    below = figure.add_axes((0.54, 0.06, 0.445, 0.2))
    return left, right, below


def _what_to_notice(state: Mapping[str, Any], seen: Tensor) -> str:
    count, depth = int(seen.sum()), state["depth"]
    layers = f"{depth} layers" if depth > 1 else "one layer"
    widest = 1 + depth * (state["window_size"] - 1) * state["dilation"]
    if state["global_tokens"] and depth > 1:
        return (
            f"After {layers} the output depends on all {NUM_TOKENS} inputs, whatever the window: the global "
            "token read them in the first layer, and everyone reads it in the second. Take the token away."
        )
    if state["global_tokens"]:
        return (
            "In one layer the query reads its window and the global tokens, which have read nothing yet. "
            "Add a second layer."
        )
    law = f"1 + {depth} · {state['window_size'] - 1} · {state['dilation']} = {widest}"
    if widest == 1:
        return "A window of 1 sees itself alone, however many layers are stacked. Widen it."
    if count == NUM_TOKENS:
        return (
            f"After {layers} the field is {law}, more than there is: all {NUM_TOKENS} inputs count. "
            "How few pairs could do the same? Try a small window and one global token."
        )
    if count < widest:
        why = "an end cuts it off" if state["dilation"] == 1 else "others lie in gaps or beyond an end"
        return (
            f"After {layers} the field spans {law} positions, and {count} of them count: {why}. "
            "Dilation reaches further for the same number of keys a query."
        )
    return (
        f"After {layers} the output depends on {law} of {NUM_TOKENS} positions: depth helps, slowly. "
        "Add one global token."
    )


PANELS = [PatternPainter]
