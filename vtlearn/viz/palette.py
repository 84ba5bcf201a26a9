"""The figures' colours, markers and frame: safe for colour-blind readers, never colour alone, no global
state.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from vtlearn.errors import require_positive

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that stay apart under the common colour blindnesses (Okabe and Ito, 2008); its yellow is too pale
here.
"""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
"""Shapes that go with the colours; 7 colours and 11 shapes repeat together only after 77 members."""

SEQUENTIAL = "cividis"
"""The colour map for amounts."""

MUTED = "#595959"
"""Grey for what is secondary, dark enough to read on white (7 : 1)."""


def colour_of(index: int) -> str:
    """The colour of the ``index``-th member of a figure.

    >>> colour_of(0) == colour_of(len(OKABE_ITO))
    True
    """
    return OKABE_ITO[index % len(OKABE_ITO)]


def marker_of(index: int) -> str:
    """The marker of the ``index``-th member of a figure.

    >>> marker_of(1)
    's'
    """
    return MARKERS[index % len(MARKERS)]


def new_figure(width: float, height: float, *, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure made without pyplot (nothing global is touched), and its axes row by row.

    Args:
        width: in inches.
        height: in inches.
        rows: rows of axes.
        columns: columns of axes.

    >>> figure, axes = new_figure(4.0, 3.0, columns=2)
    >>> len(axes)
    2
    """
    require_positive(rows=rows, columns=columns)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [cell for row in grid for cell in row]
    for cell in axes:
        cell.spines[["top", "right"]].set_visible(False)
    return figure, axes


def ink_of(colour: str) -> str:
    """``colour`` darkened until words in it can be read on white (at least 4.5 : 1 for all of ours).

    >>> ink_of("#E69F00")
    '#966700'
    """
    return to_hex([0.65 * channel for channel in to_rgb(colour)]).upper()


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in [0, 1], rising like ``wanted``, at least ``gap`` apart and each as near to its wish as that
    allows.

    Neighbours that come too close are pooled and set evenly around the mean of their wishes.

    Args:
        wanted: rising places.
        gap: least distance; shrunk where all together would not fit.

    >>> [round(place, 2) for place in spread([0.1, 0.5, 0.52, 0.9], gap=0.1)]
    [0.1, 0.46, 0.56, 0.9]
    """
    gap = min(gap, 1.0 / max(1, len(wanted) - 1))
    pools: list[tuple[float, int]] = []  # (middle, members)

    def inside(middle: float, members: int) -> float:
        half = gap * (members - 1) / 2
        return min(max(middle, half), 1.0 - half)

    for place in wanted:
        pools.append((inside(place, 1), 1))
        while len(pools) > 1:
            (lower, below), (upper, above) = pools[-2:]
            if upper - lower >= gap * (below + above) / 2 - 1e-12:
                break
            middle = (lower * below + upper * above) / (below + above)
            pools[-2:] = [(inside(middle, below + above), below + above)]
    return [
        middle + gap * (member - (members - 1) / 2) for middle, members in pools for member in range(members)
    ]


def label_line_ends(axes: Axes, ends: Sequence[tuple[str, float, float, str]]) -> None:
    """Write each line's name beside its last point, joined to it and clear of the other names.

    Args:
        axes: where; its limits must be final.
        ends: (name, x, y, colour) of each line's last point.
    """
    low, high = axes.get_ylim()
    order = sorted(ends, key=lambda end: end[2])
    heights = spread([min(max((end[2] - low) / (high - low), 0.0), 1.0) for end in order], gap=0.06)
    for (name, x, y, colour), height in zip(order, heights, strict=True):
        axes.annotate(
            name,
            xy=(x, y),
            xytext=(1.06, height),
            textcoords="axes fraction",
            color=ink_of(colour),
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.9,
                "shrinkB": 3,
                "relpos": (0.0, 0.5),
            },
        )
