"""Attention maps under each other: what is drawn, and that the words follow what was drawn."""

import pytest
import torch
from matplotlib.patches import Rectangle

from vtlearn.errors import ArgumentError
from vtlearn.viz.digest import to_png
from vtlearn.viz.maps import describe_maps, draw_maps


def heat_at(frame, row, column, size=(3, 2, 5)):
    heat = torch.zeros(size)
    heat[frame, row, column] = 1.0
    return heat


def test_words_follow_the_drawn_heat():
    figure = draw_maps(torch.rand(3, 3, 7, 11), {"a": heat_at(1, 0, 4), "b": torch.ones(3, 2, 5)})
    assert describe_maps(figure).splitlines() == [
        "3 frames of 7 × 11",
        "a: most at frame 2, row 1, column 5",
        "b: the same everywhere",
    ]
    coloured = figure.axes[1].images[1]
    drawn = coloured.get_array().copy()
    drawn[1, 2 * drawn.shape[1] // 3 + drawn.shape[1] // 10 :] = 5.0
    coloured.set_data(drawn)
    assert "a: most at frame 3, row 2" in describe_maps(figure)


def test_marks_are_the_highest_places():
    heat = torch.arange(30.0).view(3, 2, 5).flip(0)
    figure = draw_maps(torch.rand(3, 1, 8, 10), {"a": heat}, marked=12, titles=["x", "y", "z"])
    assert "marked in each frame: 10 2 0" in describe_maps(figure)
    boxes = [patch for patch in figure.axes[1].patches if isinstance(patch, Rectangle)]
    assert len(boxes) == 12
    boxes[0].remove()
    assert "marked in each frame: 9 2 0" in describe_maps(figure)
    assert to_png(figure)[:4] == b"\x89PNG"


def test_rows_of_other_frames_tell_how_much_differs():
    frames = torch.full((3, 3, 8, 10), 0.5)
    changed = frames.clone()
    changed[1, :, :4] = 0.0
    figure = draw_maps(frames, {"a": torch.ones(3, 2, 5)}, more={"with\na hole": changed, "same": frames})
    assert "with a hole: 17% of the pixels differ" in describe_maps(figure)
    assert "same: 0% of the pixels differ" in describe_maps(figure)


@pytest.mark.parametrize(
    ("run", "argument"),
    [
        (lambda frames: draw_maps(frames, {}), "maps"),
        (lambda frames: draw_maps(frames, {"a": torch.zeros(2, 2, 5)}), "maps"),
        (lambda frames: draw_maps(frames, {"a": torch.zeros(3, 2, 5)}, marked=31), "marked"),
        (lambda frames: draw_maps(frames, {"a": torch.zeros(3, 2, 5)}, titles=["one"]), "titles"),
        (lambda frames: draw_maps(frames, {"a": torch.zeros(3, 2, 5)}, more={"b": frames[:2]}), "more"),
    ],
)
def test_bad_input_is_named(run, argument):
    with pytest.raises(ArgumentError, match=argument):
        run(torch.zeros(3, 3, 8, 10))
