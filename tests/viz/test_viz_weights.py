"""Pictures of weights: their words are read from what was drawn, and change with it."""

import math

import numpy as np
import pytest
import torch

from vtlearn.errors import ArgumentError
from vtlearn.viz.digest import to_png
from vtlearn.viz.weights import describe_lookup, describe_tables, draw_lookup, draw_tables

KEYS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
VALUES = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, -1.0]])


def lookup(**changes):
    given = {"query": KEYS[0], "keys": KEYS, "values": VALUES, "names": "ABC", "divisor": 1.0} | changes
    return draw_lookup(
        given["query"], given["keys"], given["values"],
        names=given["names"], divisor=given["divisor"], mask=given.get("mask"),
    )  # fmt: skip


def test_tables_are_told_by_size_sums_and_largest():
    table = torch.tensor([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])
    figure = draw_tables({"a": table, "b": table * torch.tensor([[1.0], [0.5]])})
    assert describe_tables(figure) == (
        "a: 2 × 3, each row sums to 1.00, largest in row 0: 0.80 at column 1. "
        "b: 2 × 3, rows sum to 0.50 to 1.00, largest in row 0: 0.80 at column 1."
    )
    assert [text.get_text() for text in figure.axes[0].texts][:3] == ["0.20", "0.80", "0.00"]


def test_rows_of_nan_are_told_and_written():
    table = torch.tensor([[math.nan, math.nan], [0.5, 0.5]])
    figure = draw_tables({"a": table})
    assert describe_tables(figure) == "a: 2 × 2, each row sums to 1.00, rows of nan: 0."
    assert [text.get_text() for text in figure.axes[0].texts] == ["nan", "nan", "0.50", "0.50"]


def test_words_of_a_table_follow_the_drawn_pixels():
    figure = draw_tables({"a": torch.eye(3)})
    before = describe_tables(figure)
    pixels = np.asarray(figure.axes[0].images[0].get_array()).copy()
    pixels[0] = [0.0, 0.0, 0.7]
    figure.axes[0].images[0].set_data(pixels)
    assert describe_tables(figure) != before


def test_large_tables_carry_no_numbers():
    assert not draw_tables({"a": torch.eye(13)}).axes[0].texts


def test_a_lookup_is_softmax_of_products_and_a_mean_of_values():
    weights = torch.tensor([1.0, 0.0, -1.0]).softmax(0)
    output = weights @ VALUES
    words = describe_lookup(lookup())
    assert "Scores: A 1.00, B 0.00, C −1.00." in words
    assert f"Weights: A {weights[0]:.2f}, B {weights[1]:.2f}, C {weights[2]:.2f}." in words
    assert f"({output[0]:.2f}, {output[1]:.2f})" in words
    assert to_png(lookup()) != to_png(lookup(divisor=2.0))


def test_a_masked_key_has_no_weight():
    words = describe_lookup(lookup(mask=torch.tensor([False, True, True])))
    assert "A −∞" in words
    assert "A 0.00" in words


def test_words_of_a_lookup_follow_the_drawn_bars():
    figure = lookup()
    before = describe_lookup(figure)
    figure.axes[1].patches[0].set_width(0.125)
    assert describe_lookup(figure) != before


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"query": torch.zeros(3)}, "query"),
        ({"keys": torch.zeros(2, 2)}, "keys"),
        ({"divisor": 0.0}, "divisor"),
        ({"mask": torch.zeros(3, dtype=torch.bool)}, "mask"),
    ],
)
def test_bad_input_is_named(changes, name):
    with pytest.raises(ArgumentError, match=name):
        lookup(**changes)
    with pytest.raises(ArgumentError, match="tables"):
        draw_tables({})
