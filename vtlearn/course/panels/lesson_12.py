"""The panel of lesson 12: which part of a long video the clips cover, and what that costs."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, steps
from vtlearn.course.workspace import REPOSITORY
from vtlearn.viz.palette import MUTED, OKABE_ITO, new_figure

FPS = 30
GIGA_PER_FRAME = 16.85
"""Multiply-adds of one frame in ViT-B/16's linear layers, in 10⁹."""

CLIPS, SPREAD, EVERY = "clips, averaged", "one pass, frames spread", "one pass, every frame"


@functools.cache
def recorded_ablations() -> dict[str, Any]:
    """VTN's temporal part at other depths, frames and footprints, as it stands in ``benchmarks/results``."""
    found: dict[str, Any] = json.loads((REPOSITORY / "benchmarks/results/long_video.json").read_text())
    return found


class CoverageAgainstCost(Panel):
    """A video's length, a way of looking at it, and clips: what is seen, what is missed, what it costs."""

    title = "Coverage against cost"
    first_move = Move("minutes", "ArrowRight", {"minutes": 4})

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
        pieces = pieces_of(state, length)
        gap, apart = longest_gap(pieces, length), frames_apart(state, length)
        computed = frames_computed(state, length)
        told = f"{state['clips']} clips of {state['frames']} frames at stride {state['stride']}"
        how = told if state["way"] == CLIPS else f"{state['way']} (for comparison: {told})"
        text = (
            f"{state['minutes']:g} minutes, {length:,} frames; {how}: {computed:,} frames computed, "
            f"{computed * GIGA_PER_FRAME / 1000:,.1f} T multiply-adds in a ViT-B/16; "
            f"{covered(pieces, length):.0%} of the video covered, "
            f"longest piece in no clip {gap / FPS:.1f} s; "
            f"inside a clip, frames lie {apart / FPS:.2f} s apart."
        )
        caption = _what_to_notice(state["way"], computed, gap / FPS, apart / FPS)
        return Drawing(_timeline(pieces, length, apart, computed), caption=caption, text=text)


def pieces_of(state: Mapping[str, Any], length: int) -> list[tuple[int, int]]:
    """First frame and end of each piece of the video that a clip covers."""
    if state["way"] != CLIPS:
        return [(0, length)]
    span = min(length, state["frames"] * state["stride"])
    last, number = length - span, state["clips"]
    starts = [last // 2] if number == 1 else [round(i * last / (number - 1)) for i in range(number)]
    return [(start, start + span) for start in starts]


def frames_computed(state: Mapping[str, Any], length: int) -> int:
    """Frames that go through the backbone."""
    wanted: int = state["clips"] * state["frames"]
    return {CLIPS: wanted, SPREAD: min(wanted, length), EVERY: length}[state["way"]]


def frames_apart(state: Mapping[str, Any], length: int) -> float:
    """From one frame that is looked at to the next, in frames of the video."""
    if state["way"] == EVERY:
        return 1.0
    if state["way"] == SPREAD:
        return max(1.0, length / (state["clips"] * state["frames"]))
    return float(state["stride"])


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


def _timeline(pieces: list[tuple[int, int]], length: int, apart: float, computed: int) -> Figure:
    figure, (line, bars) = new_figure(8.0, 3.2, rows=2)
    minutes, unit = length / FPS / 60, 1 / FPS / 60
    line.add_patch(Rectangle((0, 0), minutes, 1, facecolor="#EEEEEE", edgecolor=MUTED, linewidth=0.8))
    for first, end in pieces:
        width = max(end - first, length / 2000) * unit
        line.add_patch(Rectangle((first * unit, 0), width, 1, facecolor=OKABE_ITO[0], edgecolor="white"))
        if apart > length / 800:  # closer lines would run into one another
            line.vlines(
                (np.arange(first, end, apart) + apart / 2) * unit, 0.3, 0.7, color="white", linewidth=0.8
            )
    line.set(xlim=(0, minutes), ylim=(-0.1, 1.1), yticks=[], xlabel="minutes of the video")
    line.set_title("dark: in a clip; light: in none; white lines: single frames", loc="left", fontsize=10)
    seen = covered(pieces, length)
    rows = (
        (1, seen, f"{seen:.0%}", OKABE_ITO[0], ""),
        (0, computed / length, f"{computed:,} frames", OKABE_ITO[1], "//"),
    )
    for place, share, words, colour, hatch in rows:
        bars.barh(place, min(share, 1), color=colour, height=0.6, hatch=hatch, edgecolor="white")
        bars.text(min(share, 1) + 0.01, place, words, va="center")
    bars.set(yticks=[1, 0], yticklabels=["video covered", "frames computed"], xlim=(0, 1.3))
    bars.set_xticks([0, 0.5, 1], ["0", "half", "all of the video"])
    return figure


def _what_to_notice(way: str, computed: int, gap: float, apart: float) -> str:
    if way == EVERY:
        return (
            "Nothing is missed, and every frame is paid for. In chunks this fits in memory; it is "
            f"{computed:,} passes through the backbone. Does the task need all of them?"
        )
    if way == SPREAD:
        return (
            f"As many frames as the clips have, {computed:,}, spread over the video and read together. No "
            f"part is left out, but between two frames {apart:.2f} s pass: short events, and how things "
            "move, are lost."
        )
    return (
        f"What lies between the clips is never seen: up to {gap:.1f} s. A larger stride covers more for the "
        "same number of frames. More clips cover more and cost more; and each still answers alone."
    )


PANELS = [CoverageAgainstCost]
