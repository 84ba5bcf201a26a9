"""The panel of lesson 01: which frames of a video a sampler chooses, on the video's time line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import torch

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer
from vtlearn.data.sampling import (
    last_start,
    seconds_covered,
    segment_bounds,
    segment_indices,
    strided_indices,
    uniform_indices,
)
from vtlearn.viz.video import frame_choices, words_of_frame_choices

VIDEOS = {
    "10 s at 30 fps": (300, 30),
    "10 s at 25 fps": (250, 25),
    "3 s at 30 fps": (90, 30),
    "a bundled clip: 2 s at 12 fps": (24, 12),
}
UNIFORM, STRIDED, SEGMENT = "uniform", "strided", "segment"


class FrameSampler(Panel):
    """Uniform, strided and segment sampling of a video, one number at a time."""

    title = "Frame sampler"
    first_move = Move("num_frames", "ArrowRight", {"num_frames": 9})

    def controls(self) -> dict[str, widgets.Widget]:
        """The sampler, the video, and the numbers that a paper would state."""
        return {
            "sampler": choice("sampler", [STRIDED, UNIFORM, SEGMENT]),
            "video": choice("video", list(VIDEOS)),
            "num_frames": integer("frames in the clip", 8, 1, 32),
            "frame_stride": integer("stride", 32, 1, 64),
            "position": integer("clip position in % (strided), draw (segment)", 0, 0, 100),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """The time line with the chosen frames, and what the choice sees and misses."""
        length, fps = VIDEOS[state["video"]]
        wanted, stride, position = state["num_frames"], state["frame_stride"], state["position"]
        borders: list[float | int] = []
        first, last = 0, length - 1
        if state["sampler"] == STRIDED:
            latest = last_start(length, wanted, stride)
            start = round(position / 100 * latest)
            frames = strided_indices(length, wanted, stride, start)
            first, last = start, min(start + wanted * stride, length) - 1
            name = f"strided: {wanted} × {stride} from frame {start}"
            caption = _about_strided(wanted, stride, start, length, fps, room=latest)
        elif state["sampler"] == UNIFORM:
            frames = uniform_indices(length, wanted)
            borders = [i * length / wanted for i in range(wanted + 1)]
            name = f"uniform: the middles of {wanted} equal parts"
            caption = (
                f"The clip sees the whole video, {length / fps:.1f} s, one frame every "
                f"{length / fps / wanted:.2f} s; stride and position change nothing. A longer video gets "
                "wider parts: the same action looks faster."
            )
        else:
            chance = torch.Generator().manual_seed(position)
            offsets = torch.randint(2**30, (wanted,), generator=chance).tolist()
            frames = segment_indices(length, wanted, offsets)
            borders = [*(first for first, _ in segment_bounds(length, wanted)), length]
            name = f"segment: one frame of each of {wanted} parts, draw {position}"
            caption = (
                f"One frame of each part, drawn anew for each epoch: the clip sees all {length / fps:.1f} s, "
                "and over many epochs every frame. Steps between frames differ, so speed is blurred."
            )
        figure = frame_choices(
            {name: frames}, length, fps, borders={name: borders}, spans={name: (first, last)}
        )
        held = wanted - len(set(frames))
        words = words_of_frame_choices(figure)
        return Drawing(figure, caption, words + (f"; {held} places show a frame again." if held else "."))


def _about_strided(wanted: int, stride: int, start: int, length: int, fps: int, *, room: int) -> str:
    stands_for = seconds_covered(wanted, stride, float(fps))
    seen = min(length, start + wanted * stride) - start
    caption = (
        f"{wanted} × {stride} at {fps} frames per second stands for {stands_for:.2f} s (blue); "
        f"from frame {start} ({start / fps:.2f} s) on it covers {100 * seen / length:.0f} % of the video."
    )
    if start + (wanted - 1) * stride >= length:
        return caption + " It reaches past the end: the last frame is held, and the clip seems to freeze."
    if room == 0:
        return caption + " There is just one place where it fits."
    return caption + " The rest is never seen in this view: move the clip, or average several views."


PANELS = [FrameSampler]
