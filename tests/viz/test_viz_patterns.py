"""Pictures of patterns: their words are read from what was drawn, and change with it."""

import numpy as np
import pytest
import torch

from vtlearn.attention import GlobalTokens, SlidingWindow
from vtlearn.errors import ArgumentError
from vtlearn.viz.digest import to_png
from vtlearn.viz.patterns import (
    LEVELS,
    describe_band_layout,
    describe_masks,
    describe_reach,
    draw_band_layout,
    draw_masks,
    draw_reach,
)


def test_masks_are_told_by_size_pairs_and_keys():
    figure = draw_masks({"band": SlidingWindow(3).mask(7), "all": torch.ones(7, 7)})
    assert describe_masks(figure) == (
        "band: 7 × 7, 19 of 49 pairs allowed (39 %), 2 to 3 keys a query. "
        "all: 7 × 7, 49 of 49 pairs allowed (100 %), 7 keys a query."
    )


def test_pairs_through_a_global_token_are_told_apart():
    window = SlidingWindow(3)
    joined = (window | GlobalTokens(0)).mask(7)
    figure = draw_masks({"joined": joined.int() + (joined & ~window.mask(7)).int()})
    assert "29 of 49 pairs allowed (59 %), 10 of them through a global token" in describe_masks(figure)


def test_words_follow_the_drawn_pixels_and_not_the_data():
    figure = draw_masks({"band": SlidingWindow(3).mask(7)})
    before = describe_masks(figure)
    pixels = np.asarray(figure.axes[0].images[0].get_array()).copy()
    pixels[0, 6] = 1
    figure.axes[0].images[0].set_data(pixels)
    assert describe_masks(figure) != before


def test_reach_is_told_row_by_row():
    row = torch.zeros(13, dtype=torch.bool)
    row[4:9] = True
    figure = draw_reach({"one": row, "nothing": ~(row | ~row)}, query=6, title="reach")
    assert describe_reach(figure) == "one: 5 of 13 positions, from 4 to 8. nothing: 0 of 13 positions."
    assert figure.axes[0].get_title(loc="left") == "reach"


def test_the_band_holds_the_keys_of_the_table():
    words = describe_band_layout(draw_band_layout(7, 5))
    assert words == (
        "the table: 7 × 7 cells, 29 in use. "
        "the band: 7 × 5 cells, 29 in use, 6 off the ends; row 0 reads × × 0 1 2."
    )


def test_equal_figures_give_equal_bytes():
    drawn = [to_png(draw_masks({"band": SlidingWindow(3).mask(7)})) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_levels_differ_in_lightness_too():
    def lightness(colour):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light = [lightness(colour) for colour in LEVELS]
    assert light[0] - light[1] > 40
    assert light[1] - light[2] > 40


@pytest.mark.parametrize(
    ("draw", "argument"),
    [
        (lambda: draw_masks({}), "masks"),
        (lambda: draw_masks({"three axes": torch.ones(2, 3, 3)}), "mask"),
        (lambda: draw_reach({}, query=0), "rows"),
        (lambda: draw_band_layout(7, 4), "window_size"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw, argument):
    with pytest.raises(ArgumentError, match=argument):
        draw()
