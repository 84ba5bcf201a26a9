"""Figures of training and comparison: drawn is what was given, and the digest reads the drawing."""

import itertools
import math
import subprocess
import sys

import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vtlearn.errors import ArgumentError
from vtlearn.viz.curves import learning_curves, small_multiples, smooth
from vtlearn.viz.digest import describe, to_png
from vtlearn.viz.palette import MARKERS, MUTED, OKABE_ITO, colour_of, ink_of, marker_of, spread
from vtlearn.viz.report_figures import accuracy_figure, confusion_figure, cost_figure, pareto_front

CURVES = {"vtn": [(1, 2.0), (2, 1.0), (3, 0.5)], "vivit": [(1, 2.1), (2, 0.7)]}


def contrast(one, two):
    """WCAG's contrast ratio of two colours."""

    def light(colour):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    bright, dark = sorted([light(one), light(two)], reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_words_are_dark_enough_to_read():
    assert all(contrast(ink_of(colour), "white") >= 4.5 for colour in OKABE_ITO)
    assert contrast(MUTED, "white") >= 7.0 - 0.01


def test_members_differ_in_more_than_colour():
    looks = [(colour_of(index), marker_of(index)) for index in range(len(OKABE_ITO) * len(MARKERS))]
    assert len(set(looks)) == len(looks)
    neighbours = looks[: len(MARKERS)]
    assert len({marker for _, marker in neighbours}) == len(neighbours)


def test_names_are_spread_without_overlap_and_inside():
    for wanted in ([0.5] * 4, [0.0, 0.0, 1.0, 1.0], [0.1, 0.5, 0.52, 0.9], [0.97, 0.98, 0.99], [0.2], []):
        placed = spread(wanted, 0.06)
        assert len(placed) == len(wanted)
        assert all(b - a >= 0.06 - 1e-9 for a, b in itertools.pairwise(placed))
        assert all(-1e-9 <= place <= 1 + 1e-9 for place in placed)
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread([0.1, 0.9], 0.1) == pytest.approx([0.1, 0.9])
    assert len(spread([0.5] * 40, 0.06)) == 40


def test_curves_are_drawn_as_given_and_named_at_their_ends():
    figure = learning_curves(CURVES, title="motion", chance=math.log(8))
    (axes,) = figure.axes
    drawn = {line.get_label(): line for line in axes.lines}
    for name, curve in CURVES.items():
        assert list(zip(drawn[name].get_xdata(), drawn[name].get_ydata(), strict=True)) == curve
    assert {text.get_text() for text in axes.texts} == {"vtn", "vivit", "chance"}
    assert len({drawn[name].get_marker() for name in CURVES}) == 2
    told = describe(figure)
    assert 'panel "motion"' in told
    assert 'line "vtn": 3 points, x from 1 to 3, y starts at 2, ends at 0.5' in told
    assert 'level line "chance" at y = 2.08' in told


def test_smoothing_keeps_the_measured_points_and_starts_unbiased():
    assert smooth([3.0, 3.0, 3.0], 0.9) == pytest.approx([3.0, 3.0, 3.0])
    assert smooth([1.0, 5.0], 0.0) == [1.0, 5.0]
    gap = smooth([1.0, math.nan, 3.0], 0.5)
    assert math.isnan(gap[1])
    assert gap[2] == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
    told = describe(learning_curves(CURVES, momentum=0.5))
    assert '"vtn as measured": 3 points' in told
    with pytest.raises(ArgumentError, match="momentum"):
        smooth([1.0], 1.0)


def test_a_gap_is_left_open_and_told():
    told = describe(learning_curves({"run": [(1, 2.0), (2, math.nan), (3, 1.0)]}))
    assert "2 points (1 missing)" in told


def test_small_multiples_share_their_axes_and_looks():
    panels = {"vtn": CURVES, "vivit": {"vivit": [(1, 9.0), (7, 1.0)]}, "gru": CURVES, "mean": CURVES}
    figure = small_multiples(panels, columns=3, title="all")
    assert len(figure.axes) == 4  # the two empty places are gone
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    looks = {line.get_color() for axes in figure.axes for line in axes.lines if line.get_label() == "vivit"}
    assert len(looks) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["vtn", "vivit"]
    assert describe(figure).startswith('figure "all"')


@pytest.mark.parametrize(
    ("curves", "named"),
    [({}, "curves"), ({"a": []}, r"curves\['a'\]"), ({"a": [(2, 1.0), (1, 1.0)]}, "rising steps")],
)
def test_curves_that_cannot_be_are_named(curves, named):
    with pytest.raises(ArgumentError, match=named):
        learning_curves(curves)


def test_confusion_colours_by_row_and_counts_in_cells():
    counts = torch.tensor([[3, 1, 0], [0, 20, 0], [0, 0, 0]])
    figure = confusion_figure(counts, ["left", "right", "unseen"], title="motion")
    axes = figure.axes[0]
    shares = axes.images[0].get_array()
    assert shares.tolist() == [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert axes.images[0].get_cmap().name == "cividis"
    assert [text.get_text() for text in axes.texts] == [str(n) for n in counts.flatten().tolist()]
    told = describe(figure)
    assert "0.75 0.25 0.00" in told
    assert "x ticks: left, right, unseen" in told
    assert "colour bar" in told
    with pytest.raises(ArgumentError, match="class_names"):
        confusion_figure(counts, ["left", "right"])


def test_counts_can_be_read_on_their_cells():
    for share in range(0, 101, 5):
        figure = confusion_figure(torch.tensor([[share, 100 - share], [0, 1]]), ["a", "b"])
        axes = figure.axes[0]
        image, text = axes.images[0], axes.texts[0]
        cell = image.get_cmap()(image.norm(share / 100))
        assert contrast(text.get_color(), cell) >= 4.0, share


def test_many_classes_drop_the_numbers_not_the_picture():
    figure = confusion_figure(torch.eye(29, dtype=torch.int64), [f"c{n}" for n in range(29)])
    assert list(figure.axes[0].texts) == []
    assert figure.axes[0].images[0].get_array().shape == (29, 29)


def test_accuracies_show_value_interval_and_chance():
    values = {"motion": {"vtn": (0.97, 0.9, 0.99), "mean": (0.48, 0.4, 0.55)}}
    told = describe(accuracy_figure(values, chance={"motion": 0.125}))
    assert 'values with intervals "vtn": 0.97 [0.9, 0.99]' in told
    assert 'values with intervals "mean": 0.48 [0.4, 0.55]' in told
    assert 'upright line "chance" at x = 0.125' in told
    assert '"97.0 %", "48.0 %"' in told
    assert "y ticks: vtn, mean" in told


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "accuracies"),
        ({"a": {"vtn": (0.5, 0.6, 0.7)}}, "low ≤ value ≤ high"),
        ({"a": {"vtn": (0.5, 0.4, 0.7)}, "b": {"gru": (0.5, 0.4, 0.7)}}, r"accuracies\['b'\]"),
    ],
)
def test_accuracies_that_cannot_be_are_named(values, named):
    with pytest.raises(ArgumentError, match=named):
        accuracy_figure(values)


def test_the_front_holds_what_nothing_beats():
    points = {"a": (1.0, 0.5), "b": (2.0, 0.5), "c": (2.0, 0.8), "d": (3.0, 0.7), "e": (4.0, 0.9)}
    assert pareto_front(points) == ["a", "c", "e"]
    figure = cost_figure({name: (cost * 1e8, (v, v - 0.1, v + 0.05)) for name, (cost, v) in points.items()})
    ring = next(line for line in figure.axes[0].lines if line.get_label() == "best at their cost")
    assert ring.get_xdata().tolist() == [1e8, 2e8, 4e8]
    assert "(logarithmic)" in describe(figure)
    with pytest.raises(ArgumentError, match="a cost above 0"):
        cost_figure({"a": (0.0, (0.5, 0.4, 0.6))})


def test_the_digest_reads_the_drawing_and_not_the_data():
    figure = learning_curves(CURVES)
    before = describe(figure)
    line = next(line for line in figure.axes[0].lines if line.get_label() == "vivit")
    line.set_ydata([9.0, 8.0])
    assert describe(figure) != before
    line.remove()
    assert '"vivit": ' not in describe(figure)


def test_the_digest_knows_bars_and_points():
    figure = Figure()
    axes = figure.subplots()
    axes.bar(["a", "b"], [3.0, 4.5], label="clips")
    axes.scatter([1.0], [2.0], label="mark")
    told = describe(figure)
    assert 'bars "clips": 3, 4.5' in told
    assert 'points "mark": (1, 2)' in told
    assert "x ticks: a, b" in told


def test_pictures_are_the_same_bytes_twice():
    first, second = (to_png(learning_curves(CURVES, chance=1.0)) for _ in range(2))
    assert first == second
    assert first[:8] == b"\x89PNG\r\n\x1a\n"


def test_figures_leave_pyplot_alone():
    program = (
        "import sys, torch\n"
        "from vtlearn.viz.curves import learning_curves\n"
        "from vtlearn.viz.report_figures import confusion_figure\n"
        "from vtlearn.viz.digest import to_png\n"
        "to_png(learning_curves({'a': [(0, 1.0), (1, 2.0)]}))\n"
        "to_png(confusion_figure(torch.tensor([[1]]), ['a']))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
