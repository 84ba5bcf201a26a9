"""The panel of lesson 06: choose a patch and a scheme, and see whom it meets and what reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets

from vtlearn.attention import reachable
from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer
from vtlearn.shapes import TokenGrid
from vtlearn.viz.space_time import SCHEMES, describe_keys, draw_keys, keys_of, scheme_steps

GRID = TokenGrid(4, 6, 6)
MEETS, REACHES = "the patches it attends to", "the patches that reach it in one block"


class QueryPatchExplorer(Panel):
    """One patch of a clip of four frames: whom it attends to in each step, or what reaches it."""

    title = "Query-patch explorer"
    first_move = Move("row", "ArrowRight", {"row": 3})

    def controls(self) -> dict[str, widgets.Widget]:
        """The scheme, what to show, and where the query stands."""
        return {
            "scheme": choice("scheme", list(SCHEMES), "divided"),
            "show": choice("show", [MEETS, REACHES], MEETS),
            "frame": integer("frame", 1, 0, GRID.t - 1),
            "row": integer("row", 2, 0, GRID.h - 1),
            "column": integer("column", 3, 0, GRID.w - 1),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Four frames in a row, a mark on each patch that the query meets, a shape for each step."""
        query = (state["frame"], state["row"], state["column"])
        steps = scheme_steps(state["scheme"], GRID)
        keys = {name: keys_of(pattern, GRID, query) for name, pattern in steps.items()}
        met = sum(int(mask.sum()) for mask in keys.values())
        if state["show"] == REACHES:
            token = (query[0] * GRID.h + query[1]) * GRID.w + query[2]
            reached = reachable(list(steps.values()), GRID.num_tokens)[token]
            keys = {"reaches the query": reached.reshape(GRID.t, GRID.h, GRID.w)}
        figure = draw_keys({state["scheme"]: keys}, query)
        return Drawing(figure, caption=_what_to_notice(state, keys, met), text=describe_keys(figure))


def _what_to_notice(state: Mapping[str, Any], keys: Mapping[str, Any], met: int) -> str:
    scheme, count = state["scheme"], GRID.num_tokens
    if state["show"] == REACHES:
        reached = int(next(iter(keys.values())).sum())
        if reached == count:
            return (
                f"{scheme}: all {count} patches have reached the query after one block, although it attends "
                f"to {met} only: the keys of the last step bring along what they learned in the step before."
            )
        return (
            f"{scheme}: {reached} of {count} patches reach the query in one block. What other frames show "
            "never arrives, however many blocks follow."
        )
    return {
        "space": "Space only: the frame is all there is. Nothing here can compare two frames.",
        "joint": f"Joint: all {count} patches. Twice the frames, twice the keys of every query.",
        "divided": (
            f"Divided: {met} keys, the query itself met in both steps. No step sees another place of "
            "another frame. Now show what reaches it."
        ),
        "sparse": (
            f"Local and global: {met} keys. Near the border the neighbourhood is cut off: move the query to "
            "a corner and count."
        ),
        "axial": f"Axial: {met} keys on three lines, the fewest of all that see other frames.",
    }[scheme]


PANELS = [QueryPatchExplorer]
