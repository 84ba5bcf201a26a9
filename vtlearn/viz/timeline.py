"""Which class each frame has, in strips: what is true and what heads say; and the same in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vtlearn.errors import require
from vtlearn.viz.palette import colour_of

_NOTHING = "#E6E6E6"
_LEVELS = ((0.9, "nine frames in ten"), (0.75, "three frames in four"), (0.5, "half of the frames"))
_ROW, _GAP, _LEFT = 0.3, 0.34, 1.4  # inches


def class_strips(
    groups: Mapping[str, Mapping[str, Sequence[int]]], classes: Sequence[str], letters: str = ""
) -> Figure:
    """Strips of coloured cells, a cell a frame, each with its class's letter; a group of strips a clip.

    Args:
        groups: name of a clip → name of a strip → class of each frame. The words compare the other strips of
            a group with its first.
        classes: names; class 0 means nothing, drawn grey and without a letter.
        letters: one for each class; none takes their first letters.

    Raises:
        ArgumentError: nothing to draw, strips of different length, a class that has no name, or two classes
            with one letter.

    >>> figure = class_strips({"one": {"true": [0, 1, 1], "said": [0, 1, 0]}}, ["nothing", "hop"])
    >>> print(words_of_class_strips(figure))
    one, true: hop in frames 1 to 2.
    one, said: as the first strip in at least half of the frames.
    """
    strips = [
        (f"groups[{group!r}][{name!r}]", strip) for group, of in groups.items() for name, strip in of.items()
    ]
    require(len(strips) > 0, "groups", dict(groups), "at least one strip")
    length = len(strips[0][1])
    for where, strip in strips:
        require(len(strip) == length > 0, where, len(strip), f"{length} frames, as in the first strip")
        for number in strip:
            require(0 <= number < len(classes), where, number, f"classes 0 to {len(classes) - 1}")
    letters = letters or "".join(name[:1].upper() for name in classes)
    require(
        len(set(letters[1:])) == len(letters) - 1 == len(classes) - 1,
        "letters",
        letters,
        f"{len(classes)} letters, different ones",
    )
    width = _LEFT + 0.1 + 0.27 * length
    height = _ROW * len(strips) + _GAP * len(groups) + 0.5
    figure = Figure(figsize=(width, height))
    top = height
    for group, of in groups.items():
        high = _ROW * len(of)
        top -= _GAP + high
        place = (_LEFT / width, top / height, 1 - (_LEFT + 0.1) / width, high / height)
        axes = figure.add_axes(place)
        axes.set_title(group, loc="left", fontsize=9, pad=3)
        _draw_group(axes, of, classes, letters)
    axes.tick_params(axis="x", labelbottom=True, labelsize=8)
    named = ",  ".join(f"{letters[k]} = {classes[k]}" for k in range(1, len(classes)))
    axes.set_xlabel(f"frame      ({named})", fontsize=9)
    return figure


def _draw_group(
    axes: Axes, strips: Mapping[str, Sequence[int]], classes: Sequence[str], letters: str
) -> None:
    length = len(next(iter(strips.values())))
    for row, strip in enumerate(strips.values()):
        for frame, number in enumerate(strip):
            colour = colour_of(number - 1) if number else _NOTHING
            cell = Rectangle((frame - 0.5, row), 1, 0.9, facecolor=colour, edgecolor="white", linewidth=0.6)
            cell.set_gid(str(number))
            axes.add_patch(cell)
            if number:
                axes.text(
                    frame, row + 0.47, letters[number], ha="center", va="center", fontsize=8,
                    color="white", fontweight="bold",
                )  # fmt: skip
    axes.set_xlim(-0.5, length - 0.5)
    axes.set_ylim(len(strips), 0)
    axes.set_yticks([row + 0.45 for row in range(len(strips))], list(strips), fontsize=9)
    axes.set_xticks(range(0, length, 3))
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_label(",".join(classes))


def words_of_class_strips(figure: Figure) -> str:
    """Each strip in words, read from the cells that were drawn.

    The first of a group is told event by event, the others by how far they agree with it: in steps, so that a
    frame more or less does not change the words.
    """
    lines = []
    for axes in figure.axes:
        classes = str(axes.get_label()).split(",")
        names = [label.get_text() for label in axes.get_yticklabels()]
        cells = [int(patch.get_gid() or 0) for patch in axes.patches]
        length = len(cells) // len(names)
        rows = [cells[row * length : (row + 1) * length] for row in range(len(names))]
        for name, row in zip(names, rows, strict=True):
            told = _events(row, classes) if row is rows[0] else _agreement(row, rows[0])
            lines.append(f"{axes.get_title(loc='left')}, {name}: {told}.")
    return "\n".join(lines)


def _events(strip: Sequence[int], classes: Sequence[str]) -> str:
    told, frame = [], 0
    for number, run in groupby(strip):
        last = frame + len(list(run)) - 1
        if number:
            told.append(f"{classes[number]} in frames {frame} to {last}")
        frame = last + 1
    return ", ".join(told) or "nothing in any frame"


def _agreement(strip: Sequence[int], first: Sequence[int]) -> str:
    share = sum(a == b for a, b in zip(strip, first, strict=True)) / len(first)
    level = next(
        (f"at least {words}" for bar, words in _LEVELS if share >= bar), "fewer than half of the frames"
    )
    return f"as the first strip in {level}"
