"""Figures of training: what is drawn is what was given, and the words say what is drawn."""

import math

import numpy as np
import pytest

from vtlearn.errors import ArgumentError
from vtlearn.viz.training import (
    HIGHEST_LOSS,
    LOWEST_LOSS,
    describe_gap,
    describe_rate_and_loss,
    draw_gap,
    draw_rate_and_loss,
)


def test_rate_and_loss_are_drawn_step_by_step():
    above, below = draw_rate_and_loss([0.1, 0.3, 0.2], [5.0, 2.0, 3.0]).axes
    assert list(above.lines[0].get_xdata()) == [1, 2, 3]
    assert list(above.lines[0].get_ydata()) == [0.1, 0.3, 0.2]
    assert list(below.lines[0].get_ydata()) == [5.0, 2.0, 3.0]


def test_a_loss_beyond_the_axis_is_drawn_at_its_edge():
    _, below = draw_rate_and_loss([0.1] * 4, [1.0, math.nan, math.inf, 0.0]).axes
    assert list(below.lines[0].get_ydata()) == [1.0, HIGHEST_LOSS, HIGHEST_LOSS, LOWEST_LOSS]


def test_words_follow_the_lines():
    assert "highest 0.3 in step 2" in describe_rate_and_loss(draw_rate_and_loss([0.1, 0.3], [5.0, 2.0]))
    assert "rising in 1 of 1" in describe_rate_and_loss(draw_rate_and_loss([0.1, 0.3], [5.0, 7.0]))


def test_lists_of_different_length_are_refused():
    with pytest.raises(ArgumentError, match="losses"):
        draw_rate_and_loss([0.1, 0.2], [1.0])
    with pytest.raises(ArgumentError, match="rates"):
        draw_rate_and_loss([], [])


def test_gap_is_the_line_between_both_points():
    figure = draw_gap({"one": (1.0, 0.4), "two": (0.7, 0.75)}, chance=0.25)
    lines, training, validation = figure.axes[0].collections
    assert [segment[:, 0].tolist() for segment in lines.get_segments()] == [[0.4, 1.0], [0.75, 0.7]]
    assert np.asarray(training.get_offsets())[:, 0].tolist() == [1.0, 0.7]
    assert np.asarray(validation.get_offsets())[:, 0].tolist() == [0.4, 0.75]
    assert describe_gap(figure) == (
        "one: training high, validation low or middling, gap wide; "
        "two: training low or middling, validation low or middling, gap small"
    )


def test_what_is_no_accuracy_is_refused():
    with pytest.raises(ArgumentError, match="accuracies"):
        draw_gap({"one": (99.0, 40.0)})
    with pytest.raises(ArgumentError, match="accuracies"):
        draw_gap({})
