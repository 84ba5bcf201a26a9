"""The panel of lesson 09: browse the bundled clips by list and class, and play one in another order."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import torch
from torch import Tensor

from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer
from vtlearn.data.decode import open_video
from vtlearn.data.kinetics import Annotation, find_clips, read_annotations
from vtlearn.data.sampling import uniform_indices
from vtlearn.data.synthetic import LABELLINGS, bundled_samples
from vtlearn.viz.video import frame_rows, words_of_frame_rows

SPLITS = ("train", "val", "test")
SHOWN = 8
BACKWARDS, SHUFFLED, ONE = "backwards", "shuffled", "one frame"
ORDERS = (BACKWARDS, SHUFFLED, ONE)


class DatasetBrowser(Panel):
    """One clip of a list: its row, both of its labels, its frames in order and otherwise."""

    title = "Dataset browser"
    first_move = Move("number", "ArrowRight", {"number": 1})

    def controls(self) -> dict[str, widgets.Widget]:
        """The list, the class, the clip's place in it, and what the second row shows."""
        return {
            "split": choice("list", SPLITS, "val"),
            "motion": choice("class", LABELLINGS["motion"]),
            "number": integer("clip", 0, 0, 23),
            "order": choice("second row", ORDERS),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """The clip's frames, and the same frames out of order."""
        own = rows_of(state["split"], state["motion"])
        row = own[state["number"]]
        frames = frames_of(row.clip_name)
        order = order_of(state["order"])
        figure = frame_rows(
            {"in order": frames, state["order"]: frames[order]}, [str(place) for place in range(1, SHOWN + 1)]
        )
        listed = read_list(state["split"], "motion")
        label = next(
            other.label
            for other in read_list(state["split"], "appearance")
            if other.clip_name == row.clip_name
        )
        words = words_of_frame_rows(figure).replace("\n", "; ")
        return Drawing(
            figure,
            caption=_what_to_notice(state["order"]),
            text=f"Line {row.row} of motion_{state['split']}.csv: {row.label}, {row.youtube_id}, "
            f"{row.time_start} to {row.time_end} s; its appearance is {label}. The list has {len(listed):,} "
            f"clips, {len(own)} of this class. The second row shows frames "
            f"{', '.join(str(place + 1) for place in order.tolist())}. {words}",
        )


@functools.cache
def read_list(split: str, labelling: str) -> tuple[Annotation, ...]:
    """The rows of a bundled list."""
    return tuple(read_annotations(bundled_samples() / "annotations" / f"{labelling}_{split}.csv"))


@functools.cache
def rows_of(split: str, motion: str) -> tuple[Annotation, ...]:
    """The rows of one class."""
    return tuple(row for row in read_list(split, "motion") if row.label == motion)


def order_of(name: str) -> Tensor:
    """Which of the eight frames the second row shows."""
    if name == BACKWARDS:
        return torch.arange(SHOWN - 1, -1, -1)
    if name == ONE:
        return torch.full((SHOWN,), SHOWN // 2)
    return torch.randperm(SHOWN, generator=torch.Generator().manual_seed(9))


@functools.lru_cache(maxsize=64)
def frames_of(clip_name: str) -> Tensor:
    """Eight frames of a bundled clip, spread evenly, ``(8, 3, H, W)`` from 0 to 1."""
    with open_video(_files()[clip_name]) as video:
        frames = video.frames(uniform_indices(video.num_frames, SHOWN))
    return frames.permute(0, 3, 1, 2).float() / 255


@functools.cache
def _files() -> dict[str, Any]:
    return dict(find_clips(bundled_samples()))


def _what_to_notice(order: str) -> str:
    if order == BACKWARDS:
        return (
            "Cover the first row and name the class from the second. Backwards every class of motion becomes "
            "another one, and shape and colour stay: such a flip changes the label."
        )
    if order == SHUFFLED:
        return (
            "Shuffled, the frames still show what is there and which places it visits. What is gone is which "
            "came first: of the eight classes you can at best tell the pair."
        )
    return (
        "One frame tells the shape. It tells nothing of the motion: a list on which one frame is enough "
        "measures no understanding of time."
    )


PANELS = [DatasetBrowser]
