"""Pictures of patches, grids and token boxes: their words are read from what was drawn."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from vtlearn.errors import ArgumentError
from vtlearn.viz.tokens import (
    MOST_SLABS,
    amount_bars,
    describe_amounts,
    describe_boxes,
    describe_grids,
    describe_patches,
    draw_grids,
    draw_patches,
    token_boxes,
)


def test_patches_are_numbered_row_by_row_and_shown_in_that_order():
    image = torch.rand(3, 6, 10)
    figure = draw_patches(image, 2)
    assert describe_patches(figure) == (
        "a frame of 6 × 10 pixels with 15 numbered patches: 0 1 2 3 4 / 5 6 7 8 9 / 10 11 12 13 14. "
        "Beside it 15 tokens, 0 to 14, of 2 × 2 pixels each."
    )
    shown = torch.tensor(np.asarray(figure.axes[1 + 7].images[0].get_array()))
    torch.testing.assert_close(shown, image[:, 2:4, 4:6].movedim(0, -1))


def test_a_patch_taken_away_is_missing_in_the_words():
    figure = draw_patches(torch.rand(3, 6, 10), 2)
    figure.axes[-1].remove()
    assert "14 tokens, 0 to 13" in describe_patches(figure)


@pytest.mark.parametrize(
    ("image", "patch_size", "name"),
    [
        (torch.zeros(6, 10), 2, "image"),
        (torch.zeros(2, 6, 10), 2, "image"),
        (torch.zeros(3, 6, 10), 4, "patch_size"),
        (torch.zeros(3, 6, 10), 0, "patch_size"),
    ],
)
def test_bad_patches_are_refused_by_name(image, patch_size, name):
    with pytest.raises(ArgumentError, match=name):
        draw_patches(image, patch_size)


def test_grids_are_told_number_by_number():
    table = torch.tensor([[0.0, 0.25, 1.0], [-0.0, 2.0, 0.5]])
    figure = draw_grids({"left": table, "right": table.T}, rows="row", columns="column", decimals=2)
    assert describe_grids(figure) == (
        "left, 2 × 3: 0.00 0.25 1.00 / 0.00 2.00 0.50. right, 3 × 2: 0.00 0.00 / 0.25 2.00 / 1.00 0.50."
    )
    figure.axes[0].texts[1].set_text("9.99")
    assert "0.00 9.99 1.00" in describe_grids(figure)


def test_grids_refuse_nothing_and_other_shapes():
    with pytest.raises(ArgumentError, match="grids"):
        draw_grids({})
    with pytest.raises(ArgumentError, match="grids"):
        draw_grids({"cube": torch.zeros(2, 3, 5)})


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ((2, 3, 5), "drawn: 2 of 2 slabs of 15 tokens each"),
        ((1, 1, 1), "drawn: 1 of 1 slabs of 1 tokens each"),
        ((96, 5, 7), f"drawn: {MOST_SLABS} of 96 slabs of 35 tokens each"),
    ],
)
def test_boxes_are_counted_in_what_was_drawn(grid, told):
    axes = Figure().subplots()
    token_boxes(axes, grid, frames_a_token=2)
    assert describe_boxes(axes) == told
    if grid[0] > 1:
        next(one for one in axes.collections if one.get_gid() == "slab").remove()
        assert describe_boxes(axes) != told


def test_amounts_are_read_from_the_bars():
    axes = Figure().subplots()
    amount_bars(axes, {"one": 7, "many": 11_000}, "things")
    assert describe_amounts(axes) == "things: one 7, many 11,000"
    axes.patches[1].set_width(13)
    assert describe_amounts(axes) == "things: one 7, many 13"
