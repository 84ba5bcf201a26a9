"""The panel of lesson 04: a token counter, from the sizes of a clip and a tubelet to tokens and pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from vtlearn.course.panels.base import Drawing, Move, Panel, steps
from vtlearn.shapes import TokenGrid
from vtlearn.viz.tokens import amount_bars, describe_amounts, describe_boxes, token_boxes

FRAMES = (8, 16, 32, 64, 96)
SIDES = (64, 96, 224, 448)
PATCHES = (8, 16, 32)
TUBELETS = (1, 2, 4, 8)


class TokenCounter(Panel):
    """Frames, pixels, patch and tubelet: the grid of tokens, and what attention over it has to compute."""

    title = "Token counter"
    first_move = Move("frames", "ArrowRight", {"frames": 16})

    def controls(self) -> dict[str, widgets.Widget]:
        """Size of the clip, then size of what one token covers."""
        return {
            "frames": steps("frames", FRAMES, 8),
            "side": steps("image side", SIDES, 224),
            "patch": steps("patch side", PATCHES, 16),
            "tubelet": steps("frames a token", TUBELETS, 1),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Left the grid of tokens, right tokens and pairs: of one image, of the clip, joint and divided."""
        grid = grid_of(state)
        figure = Figure(figsize=(9.2, 3.5))
        left = figure.add_axes((0.01, 0.01, 0.43, 0.89))
        above = figure.add_axes((0.63, 0.56, 0.36, 0.34))
        below = figure.add_axes((0.63, 0.05, 0.36, 0.36))
        token_boxes(left, (grid.t, grid.h, grid.w), state["tubelet"])
        frame = grid.tokens_per_frame
        amount_bars(above, {"one image": frame, "the clip": grid.num_tokens}, "tokens")
        amount_bars(below, pairs_of(grid), "pairs that one layer of attention weighs")
        covered = f"one token covers {numbers_in(state):,} numbers of the clip"
        return Drawing(
            figure,
            caption=_what_to_notice(state, grid),
            text=f"{left.get_title(loc='left')}; {describe_boxes(left)}; {covered}. "
            f"{describe_amounts(above)}. {describe_amounts(below)}.",
        )


def grid_of(state: Mapping[str, Any]) -> TokenGrid:
    """The token grid of a state; all sizes on offer divide."""
    side = state["side"] // state["patch"]
    return TokenGrid(state["frames"] // state["tubelet"], side, side)


def pairs_of(grid: TokenGrid) -> dict[str, int]:
    """Pairs of query and key without class token: an image, a whole clip, time and space in turn."""
    frame = grid.tokens_per_frame
    return {
        "one image": frame**2,
        "all with all": grid.num_tokens**2,
        "time, then space": grid.num_tokens * (grid.t + frame),
    }


def numbers_in(state: Mapping[str, Any]) -> int:
    """Pixel values, three a pixel, that go into one token."""
    return 3 * state["tubelet"] * state["patch"] ** 2


def _what_to_notice(state: Mapping[str, Any], grid: TokenGrid) -> str:
    law = f"{grid.t} · {grid.h} · {grid.w} = {grid.num_tokens:,} tokens"
    if state["tubelet"] == 1:
        start = f"Each frame is cut by itself: {law}. "
        move = "Let a token cover two frames: half the tokens, a quarter of the pairs of all with all."
        if state["patch"] == PATCHES[0]:
            start = f"Small patches: {law}. "
            move = "Doubling the patch side leaves a quarter of the tokens and a sixteenth of those pairs."
        return start + move
    if state["tubelet"] == state["patch"]:
        return (
            f"A cube of {state['patch']} on every side: {law}. Halve all three sides and there are 8 times "
            "the tokens and 64 times the pairs; halving a patch of an image gives 4 and 16."
        )
    return (
        f"Tubelets of {state['tubelet']} frames: {law}, as many as uniform sampling of "
        f"{grid.t} {'frame' if grid.t == 1 else 'frames'} would give, but no frame is left out. Motion "
        "inside a tubelet is now the kernel's business."
    )


PANELS = [TokenCounter]
