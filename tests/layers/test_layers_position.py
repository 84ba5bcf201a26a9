"""Position tables: resized along the right axes, and fixed tables that tell places apart."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vtlearn.errors import ArgumentError
from vtlearn.layers.position import (
    look_up_between,
    resize_box_table,
    resize_grid_table,
    resize_line_table,
    sincos_grid,
    sincos_line,
    square_grid,
)
from vtlearn.shapes import TokenGrid


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_rows_and_columns_are_resized_apart(mode):
    """A table that knows only its row still knows only its row afterwards."""
    rows = torch.arange(3.0)[:, None].expand(3, 5).reshape(1, 15, 1)
    resized = resize_grid_table(rows, (3, 5), (6, 7), mode=mode).view(6, 7)
    torch.testing.assert_close(resized, resized[:, :1].expand(6, 7))
    assert resized[0, 0] < resized[-1, 0]


def test_the_class_tokens_row_is_kept():
    table = torch.randn(1, 1 + 15, 2)
    resized = resize_grid_table(table, (3, 5), (2, 3), num_extra=1)
    assert torch.equal(resized[:, :1], table[:, :1])
    assert torch.equal(resize_grid_table(table, (3, 5), (3, 5), num_extra=1), table)
    line = resize_line_table(table, 7, num_extra=1, mode="linear")
    assert line.shape == (1, 8, 2)
    assert torch.equal(line[:, :1], table[:, :1])


def test_box_tables_are_resized_along_each_axis():
    torch.manual_seed(0)
    old, new = TokenGrid(2, 3, 5), TokenGrid(4, 6, 7)
    table = torch.randn(1, 1 + old.num_tokens, 3)
    resized = resize_box_table(table, old, new, mode="bilinear", num_extra=1)
    volume = table[:, 1:].unflatten(1, (2, 3, 5)).permute(0, 4, 1, 2, 3)
    expected = F.interpolate(volume, size=(4, 6, 7), mode="trilinear", align_corners=False)
    torch.testing.assert_close(resized[:, 1:], expected.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)
    assert torch.equal(resize_box_table(table, old, old, num_extra=1), table)


def test_rows_between_rows():
    table = torch.tensor([[0.0, 1.0], [2.0, 3.0], [6.0, 7.0]])
    found = look_up_between(table, torch.tensor([[0.0, 0.5, 1.25, 2.0]]))
    torch.testing.assert_close(found[0], torch.tensor([[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [6.0, 7.0]]))


def test_fixed_tables_tell_all_places_apart_and_depend_on_distance_only():
    line = sincos_line(11, 6)
    products = line @ line.T
    torch.testing.assert_close(products.diagonal(2), products.diagonal(2)[:1].expand(9))
    assert torch.cdist(line, line).fill_diagonal_(9).min() > 0.1
    grid = sincos_grid(3, 5, 8).unflatten(0, (3, 5))
    assert torch.equal(grid[0, 2, :4], grid[0, 4, :4])
    assert torch.equal(grid[0, 2, 4:], grid[2, 2, 4:])
    assert torch.cdist(grid.flatten(0, 1), grid.flatten(0, 1)).fill_diagonal_(9).min() > 0.01


def test_tables_that_do_not_fit():
    with pytest.raises(ArgumentError, match=r"table must be 1 \+ 3 × 5 positions long, got \(1, 15, 2\)"):
        resize_grid_table(torch.zeros(1, 15, 2), (3, 5), (2, 2), num_extra=1)
    with pytest.raises(ArgumentError, match=r"a square number of positions"):
        square_grid(15)
    with pytest.raises(ArgumentError, match=r"mode must be one of"):
        resize_grid_table(torch.zeros(1, 15, 2), (3, 5), (2, 2), mode="area")
    with pytest.raises(ArgumentError, match=r"dim must be even"):
        sincos_line(3, 5)
