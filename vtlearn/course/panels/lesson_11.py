"""The panel of lesson 11: a clip with an attention map over it, and what the model says without its top."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor

from vtlearn.attention import attention_rollout, divided_tables, record_attention
from vtlearn.course.exercise import exercise
from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer
from vtlearn.data.decode import open_video
from vtlearn.data.memory import PIXELS
from vtlearn.data.sampling import uniform_indices
from vtlearn.data.synthetic import LABELLINGS, SampleSet, bundled_samples
from vtlearn.study.shipped import load_shipped
from vtlearn.viz.maps import describe_maps, draw_maps

NUM_FRAMES, SIDE = 8, 4
PLACES = NUM_FRAMES * SIDE * SIDE
MOTIONS = LABELLINGS["motion"]
PERFORMERS = 6
ROLLOUT, NO_RESIDUAL, LAST = "rollout", "rollout, no residual", "last block, all heads"
HEADS = tuple(f"last block, head {number}" for number in range(1, 5))
SHUFFLED, CONTRAST, LOT = "rollout, random weights", "contrast, no model", "by lot"
MAPS = (ROLLOUT, NO_RESIDUAL, LAST, *HEADS, SHUFFLED, CONTRAST, LOT)


class Shown(NamedTuple):
    """One test clip: to look at, and as the model takes it."""

    frames: Tensor  # (T, 3, H, W), 0 to 1
    clip: Tensor  # (1, T, 3, 32, 32)


class AttentionOverlay(Panel):
    """A clip, a map over it, and the model's answer once the map's highest places are removed."""

    title = "Where it looked, and whether it matters"
    first_move = Move("removed", "ArrowRight", {"removed": 20})

    def controls(self) -> dict[str, widgets.Widget]:
        """How much is removed, by which map, of which clip."""
        return {
            "removed": integer("patches removed", 16, 0, 64, 4),
            "map": choice("map", list(MAPS), ROLLOUT),
            "motion": choice("motion", list(MOTIONS), "hop then swell"),
            "performer": integer("performer", 2, 1, PERFORMERS),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Frames, map, frames without the map's highest places; the answer before and after."""
        shown = look(state["motion"], state["performer"])
        heat = heat_of(state["map"], state["motion"], state["performer"])
        number = state["removed"]
        without = exercise("11.5").compile()
        before = _answer(shown.clip)
        after = _answer(without(shown.clip, heat[None], number) if number else shown.clip)
        figure = draw_maps(
            shown.frames,
            {state["map"].replace(", ", ",\n"): heat},
            marked=number,
            more={"without\nthe marked": without(shown.frames[None], heat[None], number)[0]},
        )
        said = f"says “{before}” of the clip, and “{after}” without {number} of {PLACES} patches"
        text = f"{state['motion']}, performer {state['performer']}. {_on_one_line(describe_maps(figure))}. "
        return Drawing(
            figure, caption=_what_to_notice(state["map"], before == after), text=f"{text}The model {said}."
        )


def _on_one_line(words: str) -> str:
    return ". ".join(words.splitlines())


def _what_to_notice(name: str, stays: bool) -> str:
    answer = "The answer stays." if stays else "The answer changes."
    about = {
        ROLLOUT: "Rollout joins all blocks. Is what it marks what you would look at?",
        NO_RESIDUAL: "Without the residual the map is nearly the same here; deep models go flat.",
        LAST: "One block's map: what was read there had been mixed by the blocks below.",
        SHUFFLED: "The weights are shuffled, nothing of the training is left, and still it finds the shape.",
        CONTRAST: "No model has been asked: these places differ most from their frame's mean colour.",
        LOT: "Places by lot: what any hole costs. Every other map has to beat this one.",
    }.get(name, "One head of the last block. Compare the four: they do not look at the same places.")
    return f"{answer} {about} Bright is much, the orange frames are removed below."


def _answer(clip: Tensor) -> str:
    with torch.no_grad():
        return MOTIONS[int(_model()(clip)["motion"].argmax())]


@functools.lru_cache(maxsize=1)
def _model() -> Any:
    return load_shipped("timesformer")


@functools.lru_cache(maxsize=1)
def _shuffled() -> Any:
    return exercise("11.4").compile()(_model(), 1)


@functools.lru_cache(maxsize=1)
def _rows() -> list[dict[str, Any]]:
    return SampleSet.load(bundled_samples()).split("test")


@functools.lru_cache(maxsize=64)
def look(motion: str, performer: int) -> Shown:
    """One test clip, eight frames of it."""
    samples = bundled_samples()
    rows = [row for row in _rows() if row["motion"] == motion]
    row = rows[(performer - 1) * len(rows) // PERFORMERS]
    with open_video(samples / str(row["path"]), "pyav") as video:
        index = uniform_indices(video.num_frames, NUM_FRAMES)
        whole, small = video.frames(index), video.frames(index, (32, 32))
    return Shown(whole.movedim(-1, 1).float() / 255, PIXELS(small[None].movedim(-1, 2)))


@functools.lru_cache(maxsize=256)
def heat_of(name: str, motion: str, performer: int) -> Tensor:
    """A map of one clip, (T, 4, 4)."""
    clip = look(motion, performer).clip
    if name == CONTRAST:
        far = (clip - clip.mean((3, 4), keepdim=True)).abs().mean(2)
        return F.avg_pool2d(far, clip.shape[-1] // SIDE)[0]
    if name == LOT:
        return torch.rand(NUM_FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(performer))
    with torch.no_grad(), record_attention(_shuffled() if name == SHUFFLED else _model()) as record:
        (_shuffled() if name == SHUFFLED else _model())(clip)
    time = [weights for key, weights in record.items() if "temporal" in key]
    space = [weights for key, weights in record.items() if "temporal" not in key]
    if name == LAST or name in HEADS:
        last = space[-1].mean(1) if name == LAST else space[-1][:, HEADS.index(name)]
        return last[:, 0, 1:].reshape(NUM_FRAMES, SIDE, SIDE)
    tables = [table for pair in zip(time, space, strict=True) for table in divided_tables(*pair, NUM_FRAMES)]
    joined = attention_rollout(tables, residual=0.0 if name == NO_RESIDUAL else 0.5)
    return joined[0, 0, 1:].reshape(NUM_FRAMES, SIDE, SIDE)


PANELS = [AttentionOverlay]
