"""The panel of lesson 05: how much the class token takes from each frame, learned against uniform."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import ipywidgets as widgets
import torch
from torch import Tensor

from vtlearn.attention import record_attention
from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer
from vtlearn.data.decode import open_video
from vtlearn.data.memory import PIXELS
from vtlearn.data.sampling import uniform_indices
from vtlearn.data.synthetic import LABELLINGS, SampleSet, bundled_samples
from vtlearn.study.shipped import load_shipped
from vtlearn.viz.frame_weights import draw_frame_weights, words_of_frame_weights

NUM_FRAMES = 8
MOTIONS = LABELLINGS["motion"]
PERFORMERS = 6


class Looked(NamedTuple):
    """One test clip as the shipped VTN sees it."""

    frames: Tensor  # (T, 3, H, W), 0 to 1
    frame_index: list[int]
    weights: Tensor  # (layers, heads, T): the class token's row, itself left out
    answer: str


class ClassTokenWeights(Panel):
    """A clip, a layer and a head: the class token's weight on every frame."""

    title = "What the class token takes from each frame"
    first_move = Move("layer", "ArrowRight", {"layer": 2})

    def controls(self) -> dict[str, widgets.Widget]:
        """Motion, performer, attention, layer, head."""
        return {
            "motion": choice("motion", list(MOTIONS), "hop then swell"),
            "performer": integer("performer", 1, 1, PERFORMERS),
            "attention": choice("attention", ["learned", "uniform"]),
            "layer": integer("layer", 1, 1, 2),
            "head": choice("head", ["mean of all", "1", "2", "3", "4"]),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """The clip's frames, and under each what the class token takes from it."""
        seen = look(state["motion"], state["performer"])
        equal = 1 / (NUM_FRAMES + 1)
        layer = seen.weights[state["layer"] - 1]
        learned = layer.mean(0) if state["head"] == "mean of all" else layer[int(state["head"]) - 1]
        is_learned = state["attention"] == "learned"
        weights = learned if is_learned else torch.full_like(learned, equal)
        head = "mean of four heads" if state["head"] == "mean of all" else f"head {state['head']}"
        title = f"{state['motion']}, performer {state['performer']}: layer {state['layer']}, {head}"
        figure = draw_frame_weights(
            seen.frames,
            weights,
            seen.frame_index,
            equal=equal,
            title=f"{title}, {state['attention']} attention",
            top=max(equal, float(learned.max())),
        )
        text = f"{title}, {state['attention']} attention. {words_of_frame_weights(figure)}."
        return Drawing(figure, caption=_what_to_notice(is_learned, learned, seen, equal), text=text)


def _what_to_notice(is_learned: bool, learned: Tensor, seen: Looked, equal: float) -> str:
    if not is_learned:
        return (
            f"Uniform attention gives each of the {NUM_FRAMES + 1} tokens the same {equal:.2f}, the class "
            "token itself included, whatever the clip shows. Layer, head and clip make no difference."
        )
    best = int(learned.argmax())
    return (
        f"Frame {seen.frame_index[best]} counts most: {float(learned[best]) / equal:.1f} times an equal "
        f"share. The trained VTN answers “{seen.answer}”. Which frames would you look at to tell? Weights "
        "say where was read, not why (lesson 11)."
    )


@functools.lru_cache(maxsize=1)
def _model() -> Any:
    return load_shipped("vtn")


@functools.lru_cache(maxsize=1)
def _rows() -> list[dict[str, Any]]:
    return SampleSet.load(bundled_samples()).split("test")


@functools.lru_cache(maxsize=64)
def look(motion: str, performer: int) -> Looked:
    """Run the shipped VTN on one test clip and keep what its class token reads."""
    samples = bundled_samples()
    rows = [row for row in _rows() if row["motion"] == motion]
    row = rows[(performer - 1) * len(rows) // PERFORMERS]
    with open_video(samples / str(row["path"]), "pyav") as video:
        index = uniform_indices(video.num_frames, NUM_FRAMES)
        whole, small = video.frames(index), video.frames(index, (32, 32))
    model = _model()
    with torch.no_grad(), record_attention(model) as record:
        logits = model(PIXELS(small[None].movedim(-1, 2)), torch.tensor([index]))["motion"]
    tables = torch.stack([record[name][0] for name in record if "temporal_encoder" in name])
    frames = whole.movedim(-1, 1).float() / 255
    return Looked(frames, list(index), tables[:, :, 0, 1:], MOTIONS[int(logits.argmax())])


PANELS = [ClassTokenWeights]
