"""A figure in words: a text alternative read back from what was really drawn, for readers, tests and screen
readers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text

MOST_TEXTS = 12
MOST_CELLS = 144


def describe(figure: Figure) -> str:
    """Titles, axes with their limits, lines, points, bars, pictures and written words of ``figure``, as
    drawn.

    Everything is read from the artists, nothing from the data they were made of: a figure that lost a curve
    loses it here too. Numbers are rounded to three digits, so that the text is the same on every machine.

    Args:
        figure: any matplotlib figure.

    Returns:
        one line per artist, each panel's first line naming the panel.

    >>> figure = Figure()
    >>> lines = figure.subplots().plot([0, 1, 2], [4.0, 1.0, 2.5], label="loss")
    >>> print(describe(figure))
    panel, x from -0.1 to 2.1, y from 0.85 to 4.15
      line "loss": 3 points, x from 0 to 2, y starts at 4, ends at 2.5, lowest 1 at x = 1, highest 4 at x = 0
    """
    blocks = []
    title = figure.get_suptitle()
    if title:
        blocks.append(f'figure "{title}"')
    for axes in figure.axes:
        blocks.extend(_describe_axes(axes))
    return "\n".join(blocks)


def _describe_axes(axes: Axes) -> list[str]:
    if axes.get_label() == "<colorbar>":
        low, high = axes.get_ylim()
        name = axes.get_ylabel() or axes.get_xlabel()
        return [f"colour bar{_quoted(name)} from {_number(low)} to {_number(high)}"]
    sides = []
    for letter, label, limits, scale in (
        ("x", axes.get_xlabel(), axes.get_xlim(), axes.get_xscale()),
        ("y", axes.get_ylabel(), axes.get_ylim(), axes.get_yscale()),
    ):
        note = " (logarithmic)" if scale == "log" else ""
        sides.append(f"{letter}{_quoted(label)} from {_number(limits[0])} to {_number(limits[1])}{note}")
    heading = f"panel{_quoted(axes.get_title() or axes.get_title(loc='left'))}, {', '.join(sides)}"
    return [heading, *(f"  {line}" for line in _artists(axes))]


def _artists(axes: Axes) -> Iterable[str]:
    grouped: set[int] = set()
    for container in axes.containers:
        grouped.update(id(child) for child in container.get_children())
        if isinstance(container, ErrorbarContainer):
            yield from _error_bars(container)
        elif isinstance(container, BarContainer):
            heights = [
                _extent(patch.get_height(), patch.get_width(), container) for patch in container.patches
            ]
            yield f"bars{_quoted(_named(container.get_label()))}: {_listed(heights)}"
    for line in axes.lines:
        if id(line) not in grouped:
            yield from _line(line)
    for collection in axes.collections:
        if id(collection) not in grouped and isinstance(collection, PathCollection):
            points = np.asarray(collection.get_offsets())
            places = ", ".join(f"({_number(x)}, {_number(y)})" for x, y in points[:MOST_TEXTS])
            more = f" and {len(points) - MOST_TEXTS} more" if len(points) > MOST_TEXTS else ""
            yield f"points{_quoted(_named(collection.get_label()))}: {places}{more}"
    for image in axes.images:
        yield from _image(image)
    ticks = [
        _ticks(axis_name, axis.get_ticklabels()) for axis_name, axis in (("x", axes.xaxis), ("y", axes.yaxis))
    ]
    yield from filter(None, ticks)
    texts = [
        text.get_text().replace("\n", " ") for text in axes.texts if text.get_visible() and text.get_text()
    ]
    if texts:
        shown = ", ".join(f'"{text}"' for text in texts[:MOST_TEXTS])
        more = f" and {len(texts) - MOST_TEXTS} more" if len(texts) > MOST_TEXTS else ""
        yield f"words: {shown}{more}"


def _line(line: Line2D) -> Iterable[str]:
    x = np.asarray(line.get_xdata(), dtype=float)
    y = np.asarray(line.get_ydata(), dtype=float)
    keep = np.isfinite(x) & np.isfinite(y)
    x, y, lost = x[keep], y[keep], int((~keep).sum())
    name = _quoted(_named(line.get_label()))
    if len(x) == 0:
        yield f"line{name}: no points"
    elif len(x) == 2 and y[0] == y[1]:
        yield f"level line{name} at y = {_number(y[0])}"
    elif len(x) == 2 and x[0] == x[1]:
        yield f"upright line{name} at x = {_number(x[0])}"
    else:
        lowest, highest = int(y.argmin()), int(y.argmax())
        missing = f" ({lost} missing)" if lost else ""
        yield (
            f"line{name}: {len(x)} points{missing}, x from {_number(x.min())} to {_number(x.max())}, "
            f"y starts at {_number(y[0])}, ends at {_number(y[-1])}, "
            f"lowest {_number(y[lowest])} at x = {_number(x[lowest])}, "
            f"highest {_number(y[highest])} at x = {_number(x[highest])}"
        )


def _error_bars(container: ErrorbarContainer) -> Iterable[str]:
    """Points with a bar along x or y each: read from the drawn segments, not from what was asked for."""
    data, _, bars = container.lines
    if data is None:
        return
    along = 0 if container.has_xerr else 1
    points = np.column_stack([np.asarray(data.get_xdata(), float), np.asarray(data.get_ydata(), float)])
    spans = [np.asarray(segment)[:, along] for bar in bars for segment in bar.get_segments()]
    told = [
        f"{_number(point[along])} [{_number(span.min())}, {_number(span.max())}]"
        for point, span in zip(points, spans, strict=False)
    ]
    yield f"values with intervals{_quoted(_named(container.get_label()))}: {', '.join(told)}"


def _image(image: AxesImage) -> Iterable[str]:
    data = np.asarray(image.get_array())
    low, high = float(np.nanmin(data)), float(np.nanmax(data))
    size = " × ".join(str(side) for side in data.shape)
    yield f"picture of {size} (rows first), values from {_number(low)} to {_number(high)}"
    if data.ndim == 2 and data.size <= MOST_CELLS:
        for row in data:
            yield "  " + " ".join(f"{value:.2f}" for value in row)


def _extent(height: float, width: float, container: BarContainer) -> float:
    return width if container.orientation == "horizontal" else height


def _ticks(axis: str, labels: Iterable[Text]) -> str:
    """Tick labels where they are words; numbers follow from the limits."""
    words = [label.get_text() for label in labels if label.get_text()]
    if not words or all(_is_number(word) for word in words):
        return ""
    return f"{axis} ticks: {', '.join(words)}"


def _is_number(word: str) -> bool:
    try:
        float(word.replace("−", "-"))
    except ValueError:
        return word.startswith("$")  # mathtext such as 10^3
    return True


def _named(label: object) -> str:
    """A label that a person gave; matplotlib's own start with an underscore."""
    text = "" if label is None else str(label)
    return "" if text.startswith("_") else text


def _quoted(text: str) -> str:
    return f' "{text}"'.replace("\n", " ") if text else ""


def _listed(values: Iterable[float]) -> str:
    return ", ".join(_number(value) for value in values)


def _number(value: float) -> str:
    """Three digits; whole numbers in full; a zero without a sign.

    >>> _number(1234567.0), _number(0.123456), _number(-0.0), _number(2.0)
    ('1234567', '0.123', '0', '2')
    """
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    text = f"{value:.3g}"
    return str(int(float(text))) if "e+" in text and abs(value) < 1e9 else text


def to_png(figure: Figure, *, dots_per_inch: int = 100) -> bytes:
    """The figure as PNG bytes, without date or version inside, so that equal figures give equal bytes.

    >>> to_png(Figure(figsize=(1, 1)))[:4]
    b'\\x89PNG'
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return buffer.getvalue()
