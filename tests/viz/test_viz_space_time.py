"""Whom a patch attends to, drawn: every mark is a key, and the words count the marks."""

import pytest
import torch

from vtlearn.attention import Axial
from vtlearn.errors import ArgumentError
from vtlearn.shapes import TokenGrid
from vtlearn.viz.space_time import SCHEMES, describe_keys, draw_keys, keys_of, scheme_steps

GRID = TokenGrid(3, 5, 7)


def rows(query):
    return {
        scheme: {name: keys_of(step, GRID, query) for name, step in scheme_steps(scheme, GRID).items()}
        for scheme in SCHEMES
    }


def test_words_count_what_the_schemes_allow():
    words = describe_keys(draw_keys(rows((1, 2, 3)), (1, 2, 3))).splitlines()
    assert words == [
        "space, query in frame 1, row 2, column 3: within the frame 35; 35 of 105 patches in all.",
        "joint, query in frame 1, row 2, column 3: everywhere 105; 105 of 105 patches in all.",
        "divided, query in frame 1, row 2, column 3: over time 3, within the frame 35; "
        "37 of 105 patches in all.",
        "sparse, query in frame 1, row 2, column 3: near, in all frames 36, every second 9; "
        "43 of 105 patches in all.",
        "axial, query in frame 1, row 2, column 3: over time 3, along the row 7, along the column 5; "
        "13 of 105 patches in all.",
    ]


def test_marks_stand_on_their_patches():
    query = (2, 4, 6)
    figure = draw_keys({"axial": {"along the row": keys_of(Axial(GRID, "w"), GRID, query)}}, query)
    (axes,) = figure.axes
    marks = next(one for one in axes.collections if "along the row" in str(one.get_label()))
    assert marks.get_offsets().tolist() == [[2 * 8 + column, 4] for column in range(7)]


def test_a_lost_mark_is_lost_in_the_words():
    query = (0, 0, 0)
    figure = draw_keys({"joint": rows(query)["joint"]}, query)
    marks = next(one for one in figure.axes[0].collections if "everywhere" in str(one.get_label()))
    marks.set_offsets(marks.get_offsets()[:-2])
    assert "everywhere 103; 103 of 105" in describe_keys(figure)


def test_frames_lie_beneath_without_changing_the_words():
    query = (1, 0, 2)
    keys = {"divided": rows(query)["divided"]}
    bare, dressed = draw_keys(keys, query), draw_keys(keys, query, frames=torch.rand(3, 3, 10, 14))
    assert describe_keys(bare) == describe_keys(dressed)
    assert len(dressed.axes[0].images) == 3
    assert dressed.axes[0].images[0].get_array().shape == (10, 14, 3)


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match=r"scheme must be one of .*, got 'all'"):
        scheme_steps("all", GRID)
    with pytest.raises(ArgumentError, match="query"):
        draw_keys({"joint": rows((0, 0, 0))["joint"]}, (3, 0, 0))
    with pytest.raises(ArgumentError, match="rows"):
        draw_keys({}, (0, 0, 0))
    with pytest.raises(ArgumentError, match="rows\\['b'\\]"):
        draw_keys({"a": {"x": torch.ones(1, 2, 3)}, "b": {"x": torch.ones(1, 2, 2)}}, (0, 0, 0))
