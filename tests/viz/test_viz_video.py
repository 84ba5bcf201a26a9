"""Rows of frames and time lines: what is drawn is what the words say, and bad input is named."""

from __future__ import annotations

import pytest
import torch

from vtlearn.errors import ArgumentError
from vtlearn.viz.video import frame_choices, frame_rows, words_of_frame_choices, words_of_frame_rows


def light_moving_right():
    clip = torch.zeros(3, 3, 7, 11)
    for t, column in enumerate((1, 5, 9)):
        clip[t, :, 3, column] = 1.0
    return clip


def test_rows_show_the_frames_in_order():
    clip = light_moving_right()
    figure = frame_rows({"there": clip, "and back": clip.flip(0)}, ["a", "b", "c"])
    there, back = words_of_frame_rows(figure).splitlines()
    assert there.startswith("there: 3 pictures of 7 × 11 (a, b, c)")
    assert "middle of the light at 14 50 86 %" in there
    assert back.startswith("and back: 3 pictures of 7 × 11, mean")
    assert "middle of the light at 86 50 14 %" in back


def test_rows_words_follow_the_picture_not_the_input():
    figure = frame_rows({"clip": light_moving_right()})
    before = words_of_frame_rows(figure)
    figure.axes[1].images[0].set_data(torch.ones(7, 11, 3).numpy())
    assert words_of_frame_rows(figure) != before


def test_rows_tell_red_from_blue():
    clip = torch.zeros(2, 3, 5, 7)
    clip[:, 0] = 1.0
    assert "mean colour 1.00 0.00 0.00" in words_of_frame_rows(frame_rows({"RGB": clip}))
    assert "mean colour 0.00 0.00 1.00" in words_of_frame_rows(frame_rows({"BGR": clip.flip(1)}))


def test_rows_cut_off_what_lies_outside():
    assert "mean colour 1.00 1.00 1.00" in words_of_frame_rows(
        frame_rows({"x": torch.full((1, 1, 5, 7), 9.0)})
    )


def test_choices_link_each_place_to_its_frame():
    figure = frame_choices({"two": [1, 4], "held": [3, 5, 5]}, 6, fps=3.0, borders={"two": [0, 3, 6]})
    two, held = words_of_frame_choices(figure).splitlines()
    assert two == ("two: a video of 6 frames, 2.0 s; the 2 places of the clip show frames 1, 4; 3 borders")
    assert held.endswith("the 3 places of the clip show frames 3, 5, 5; shown more than once: 5")


def test_choices_shade_the_stretch_that_is_asked_for():
    figure = frame_choices({"two": [1, 3]}, 6, fps=3, spans={"two": (1, 4)})
    assert words_of_frame_choices(figure).endswith("; shaded from 0.33 to 1.67 s")


def test_choices_words_follow_the_lines():
    figure = frame_choices({"two": [1, 4]}, 6, fps=3.0)
    figure.axes[0].lines[1].set_xdata([4.5, 2.5])
    assert "show frames 1, 2" in words_of_frame_choices(figure)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, 6, 3.0), "choices must be at least one"),
        (({"x": [6]}, 6, 3.0), r"choices\['x'\] must be from 0 to 5, got 6"),
        (({"x": [-1]}, 6, 3.0), "from 0 to 5, got -1"),
        (({"x": []}, 6, 3.0), "at least one frame"),
        (({"x": [0]}, 6, 0.0), "fps must be above 0"),
        (({"x": [0]}, 0, 3.0), "num_frames_in_video must be a positive integer"),
    ],
)
def test_bad_choices_are_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        frame_choices(*arguments)


@pytest.mark.parametrize(
    ("rows", "titles", "message"),
    [
        ({}, (), "at least one row"),
        ({"a": torch.zeros(2, 3, 5, 7), "b": torch.zeros(3, 3, 5, 7)}, (), "2 frames, as in the first row"),
        ({"a": torch.zeros(2, 5, 7, 3)}, (), r"of shape \(T, 3, H, W\)"),
        ({"a": torch.zeros(2, 3, 5, 7)}, ("x",), "2 titles, or none"),
    ],
)
def test_bad_rows_are_named(rows, titles, message):
    with pytest.raises(ArgumentError, match=message):
        frame_rows(rows, titles)
