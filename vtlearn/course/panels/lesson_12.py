"""The panel of lesson 12: which part of a long video the clips cover, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, steps
from vtlearn.viz.palette import MUTED, OKABE_ITO, new_figure

FPS = 30
GIGA_PER_FRAME = 16.85
"""Multiply-adds of one frame in ViT-B/16's linear layers, in 10⁹."""

CLIPS, SPREAD, EVERY = "clips, averaged", "one pass, frames spread", "one pass, every frame"


class CoverageAgainstCost(Panel):
    """A video's length, a way of looking at it, and clips: what is seen, what is missed, what it costs."""

    title = "Coverage against cost"
    first_move = Move("clips", "ArrowRight", {"clips": 12})

    def controls(self) -> dict[str, widgets.Widget]:
        """The video's minutes, the way, and three numbers of the clips."""
        return {
            "minutes": steps("minutes of video", [0.5, 1, 2, 4, 7, 15, 60], 2),
            "way": choice("way", [CLIPS, SPREAD, EVERY]),
            "clips": steps("clips", [1, 2, 3, 4, 6, 10, 12, 24, 48, 100], 10),
            "frames": steps("frames a clip", [8, 16, 32, 64, 96], 8),
            "stride": steps("stride", [1, 2, 4, 8, 16, 32], 8),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """The video as a line, the clips on it, and three bars."""
        length = round(state["minutes"] * 60 * FPS)
        frames = state["clips"] * state["frames"]
        pieces = pieces_of(state, length)
        seen = covered(pieces, length)
        gap = longest_gap(pieces, length)
        computed = frames if state["way"] != EVERY else length
        figure = _timeline(pieces, length, seen, computed)
        told = f"{state['clips']} clips of {state['frames']} frames at stride {state['stride']}"
        how = told if state["way"] == CLIPS else f"{state['way']} (the clips would be {told})"
        text = (
            f"{state['minutes']:g} minutes, {length:,} frames; {how}: {computed:,} frames "
            f"computed, {computed * GIGA_PER_FRAME / 1000:,.1f} T multiply-adds in a ViT-B/16; {seen:.0%} of the "
            f"video lies in a clip or is a frame that was taken; longest piece unseen {gap / FPS:.1f} s."
        )
        return Drawing(figure, caption=_what_to_notice(state, computed, gap), text=text)


def pieces_of(state: Mapping[str, Any], length: int) -> list[tuple[int, int]]:
    """First frame and end of each piece of the video that is looked at."""
    if state["way"] == EVERY:
        return [(0, length)]
    if state["way"] == SPREAD:
        number = min(length, state["clips"] * state["frames"])
        return [
            (int((i + 0.5) * length / number), int((i + 0.5) * length / number) + 1) for i in range(number)
        ]
    span = min(length, state["frames"] * state["stride"])
    last = length - span
    number = state["clips"]
    starts = [last // 2] if number == 1 else [round(i * last / (number - 1)) for i in range(number)]
    return [(start, start + span) for start in starts]


def covered(pieces: list[tuple[int, int]], length: int) -> float:
    """Share of the video inside a piece."""
    seen = np.zeros(length, dtype=bool)
    for first, end in pieces:
        seen[first:end] = True
    return float(seen.mean())


def longest_gap(pieces: list[tuple[int, int]], length: int) -> int:
    """The longest stretch of frames in no piece."""
    ends = [0, *(end for _, end in pieces)]
    firsts = [*(first for first, _ in pieces), length]
    return max(0, *(first - end for first, end in zip(firsts, ends, strict=True)))


def _timeline(pieces: list[tuple[int, int]], length: int, seen: float, computed: int) -> Figure:
    figure, (line, bars) = new_figure(8.0, 3.2, rows=2)
    minutes = length / FPS / 60
    line.add_patch(Rectangle((0, 0), minutes, 1, facecolor="#EEEEEE", edgecolor=MUTED, linewidth=0.8))
    for first, end in pieces:
        width = max(end - first, length / 2000) / FPS / 60
        line.add_patch(Rectangle((first / FPS / 60, 0), width, 1, facecolor=OKABE_ITO[0], edgecolor="none"))
    line.set(xlim=(0, minutes), ylim=(-0.1, 1.1), yticks=[], xlabel="minutes of the video")
    line.set_title("seen (dark) and not seen (light)", loc="left", fontsize=10)
    shares = [seen, computed / length]
    bars.barh(
        [1, 0], shares, color=[OKABE_ITO[0], OKABE_ITO[1]], height=0.6, hatch=["", "//"], edgecolor="white"
    )
    for place, share, words in zip([1, 0], shares, [f"{seen:.0%}", f"{computed:,} frames"], strict=True):
        bars.text(min(share, 1) + 0.01, place, words, va="center", fontsize=9)
    bars.set(
        yticks=[1, 0], yticklabels=["video covered", "frames computed"], xlim=(0, 1.3), xticks=[0, 0.5, 1]
    )
    bars.set_xticklabels(["0", "half", "all"])
    return figure


def _what_to_notice(state: Mapping[str, Any], computed: int, gap: int) -> str:
    if state["way"] == EVERY:
        return (
            "Nothing is missed, and every frame is paid for. In chunks this fits in memory; at 60 minutes it is "
            f"{computed:,} passes through the backbone. Does the task need all of them?"
        )
    if state["way"] == SPREAD:
        return (
            f"The same number of frames as the clips, {computed:,}, spread over the video and read together. "
            f"Nothing longer than {gap / FPS:.1f} s is missed, but how things move from one frame to the next is."
        )
    return (
        f"What lies between the clips is never seen: up to {gap / FPS:.1f} s. A larger stride covers more for the "
        "same number of frames. More clips cover more and cost more; and each clip still answers alone."
    )


PANELS = [CoverageAgainstCost]
