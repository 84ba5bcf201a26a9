"""Strips of classes: a cell a frame, a letter never colour alone, and words read back from what was drawn."""

import pytest

from vtlearn.errors import ArgumentError
from vtlearn.viz.digest import to_png
from vtlearn.viz.palette import colour_of
from vtlearn.viz.timeline import class_strips, words_of_class_strips

CLASSES, LETTERS = ["nothing", "hop", "swell", "sway"], ".HSW"
TRUE = [0, 1, 1, 1, 0, 2, 2]


def drawn(**said):
    return class_strips({"a clip": {"true": TRUE, **said}}, CLASSES, LETTERS)


def test_every_frame_is_a_cell_of_its_colour_with_its_letter():
    (axes,) = drawn(said=[3, 0, 1, 0, 0, 0, 0]).axes
    assert len(axes.patches) == 14
    letters = [(text.get_position()[0], text.get_text()) for text in axes.texts]
    assert letters == [(1, "H"), (2, "H"), (3, "H"), (5, "S"), (6, "S"), (0, "W"), (2, "H")]
    faces = {
        axes.patches[5].get_facecolor(),
        axes.patches[1].get_facecolor(),
        axes.patches[7].get_facecolor(),
    }
    assert len(faces) == 3, "three events in three colours"
    assert colour_of(0) != colour_of(1)
    assert len(to_png(axes.figure)) > 1000


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (TRUE, "at least nine frames in ten"),
        ([0, 1, 1, 1, 0, 2, 0], "at least three frames in four"),
        ([0, 1, 1, 1, 0, 0, 0], "at least half of the frames"),
        ([0, 0, 0, 0, 0, 0, 0], "fewer than half of the frames"),
    ],
)
def test_words_say_events_and_agreement(said, words):
    assert words_of_class_strips(drawn(said=said)).splitlines() == [
        "a clip, true: hop in frames 1 to 3, swell in frames 5 to 6.",
        f"a clip, said: as the first strip in {words}.",
    ]


def test_two_clips_and_a_clip_of_nothing():
    figure = class_strips({"one": {"true": [0, 0]}, "two": {"true": [3, 3]}}, CLASSES, LETTERS)
    assert words_of_class_strips(figure) == (
        "one, true: nothing in any frame.\ntwo, true: sway in frames 0 to 1."
    )
    assert "H = hop" in figure.axes[-1].get_xlabel()


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({}, "groups must be at least one strip"),
        ({"a": {"x": [0, 1], "y": [0]}}, r"groups\['a'\]\['y'\] must be 2 frames"),
        ({"a": {"x": [0, 4]}}, "must be classes 0 to 3, got 4"),
        ({"a": {"x": [-1]}}, "got -1"),
    ],
)
def test_bad_strips_are_named(groups, says):
    with pytest.raises(ArgumentError, match=says):
        class_strips(groups, CLASSES, LETTERS)


@pytest.mark.parametrize("letters", ["", ".HS", ".HSS"])
def test_every_class_needs_a_letter_of_its_own(letters):
    with pytest.raises(ArgumentError, match="letters must be 4 letters, different ones"):
        class_strips({"a": {"x": [0, 1]}}, CLASSES, letters)
