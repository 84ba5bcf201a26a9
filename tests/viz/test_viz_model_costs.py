"""Bars made of parts: widths, sums and words are those of the numbers given."""

import pytest
from matplotlib.patches import Rectangle

from vtlearn.errors import ArgumentError
from vtlearn.viz.digest import to_png
from vtlearn.viz.model_costs import describe_costs, draw_costs

TABLE = {
    "parameters, millions": {"one": {"rest": 2.0, "blocks": 5.0}, "two": {"rest": 2.0, "over time": 11.0}},
    "multiply-adds": {"one": {"linear": 7.0}, "two": {"linear": 0.0}},
}


def test_bars_lie_end_to_end():
    axes = draw_costs(TABLE).axes[0]
    bars = {bar.get_gid(): bar for bar in axes.patches if isinstance(bar, Rectangle)}
    assert bars["one|blocks"].get_x() == bars["one|rest"].get_width() == 2.0
    assert bars["two|over time"].get_width() == 11.0
    assert bars["one|blocks"].get_facecolor() != bars["two|over time"].get_facecolor()
    assert bars["one|blocks"].get_hatch() != bars["two|over time"].get_hatch()


def test_words_are_read_from_the_bars():
    figure = draw_costs(TABLE, chosen="two")
    words = describe_costs(figure)
    assert "one 7.0 (rest 2.0, blocks 5.0); two 13.0 (rest 2.0, over time 11.0); set off: two" in words
    bar = next(bar for bar in figure.axes[0].patches if bar.get_gid() == "one|rest")
    bar.set_width(3.0)
    assert "one 8.0 (rest 3.0" in describe_costs(figure)


def test_nothing_chosen_sets_nothing_off():
    assert "set off" not in describe_costs(draw_costs(TABLE))
    assert to_png(draw_costs(TABLE)) != to_png(draw_costs(TABLE, chosen="one"))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ArgumentError, match="costs"):
        draw_costs({})
