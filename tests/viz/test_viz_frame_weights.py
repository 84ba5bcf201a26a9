"""Weights over frames: bars and line are read back as drawn; what does not fit is refused."""

import pytest
import torch

from vtlearn.errors import ArgumentError
from vtlearn.viz.frame_weights import draw_frame_weights, words_of_frame_weights


def test_words_are_read_from_the_bars():
    figure = draw_frame_weights(torch.rand(3, 3, 5, 7), torch.tensor([0.5, 0.25, 0.05]), [1, 4, 9], equal=0.2)
    assert words_of_frame_weights(figure) == (
        "frame 1: 0.50, frame 4: 0.25, frame 9: 0.05; an equal share is 0.20"
    )
    figure.axes[-1].patches[1].set_height(0.75)
    assert "frame 4: 0.75" in words_of_frame_weights(figure)


def test_frames_stand_side_by_side_with_white_between():
    frames = torch.zeros(2, 1, 4, 8)
    frames[1] = 0.5
    picture = draw_frame_weights(frames, torch.ones(2), [0, 1], equal=0.5).axes[0].images[0].get_array()
    assert picture.shape == (4, 2 * (8 + 2), 3)
    assert picture[0, :, 0].tolist() == [1] + [0] * 8 + [1] * 2 + [0.5] * 8 + [1]


def test_as_many_indices_as_frames():
    with pytest.raises(ArgumentError, match="one for each frame and index"):
        draw_frame_weights(torch.zeros(3, 3, 4, 4), torch.zeros(3), [0, 1], equal=0.1)
