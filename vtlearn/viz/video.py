"""Frames in rows, and which frames of a video a clip shows; each with words read back from its artists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vtlearn.errors import ArgumentError, require, require_positive
from vtlearn.viz.palette import MUTED, OKABE_ITO, SEQUENTIAL

MOST_NUMBERED = 16
_ONCE, _AGAIN, _PLACES = "shown once", "shown more than once", "places in the clip"
_BORDER, _LINK, _SPAN = "border", "link", "span"
_VIDEO_AT, _CLIP_AT = 1.0, 0.0


def frame_rows(rows: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Rows of frames under each other, each row with its name on the left.

    Args:
        rows: name → frames ``(T, C, H, W)``, floats from 0 to 1 (the rest is cut off); as many in each row.
        titles: one line above each frame of the first row; none at all for no titles.

    Raises:
        ArgumentError: no row, rows of different length, or titles of another number.

    >>> import torch
    >>> figure = frame_rows({"a still clip": torch.zeros(3, 3, 8, 8)}, ["0", "1", "2"])
    >>> [axes.get_title() for axes in figure.axes]
    ['0', '1', '2']
    """
    require(len(rows) > 0, "rows", dict(rows), "at least one row of frames")
    columns = len(next(iter(rows.values())))
    for name, frames in rows.items():
        require(
            len(frames) == columns, f"rows[{name!r}]", len(frames), f"{columns} frames, as in the first row"
        )
        if frames.ndim != 4 or frames.shape[1] not in (1, 3):
            raise ArgumentError(
                f"rows[{name!r}]", tuple(frames.shape), "of shape (T, 3, H, W) or (T, 1, H, W)"
            )
    require(len(titles) in (0, columns), "titles", list(titles), f"{columns} titles, or none")
    width, height = 1.15 + 1.05 * columns, 1.05 * len(rows) + (0.3 if titles else 0.08)
    figure = Figure(figsize=(width, height))  # fixed margins: much faster than a fitted layout
    margins = {"left": 1.1 / width, "right": 1 - 0.05 / width, "bottom": 0.04 / height}
    margins["top"] = 1 - (0.26 if titles else 0.04) / height
    grid = figure.subplots(
        len(rows), columns, squeeze=False, gridspec_kw=margins | {"wspace": 0.06, "hspace": 0.06}
    )
    for row, (cells, (name, frames)) in enumerate(zip(grid, rows.items(), strict=True)):
        for place, (axes, frame) in enumerate(zip(cells, frames, strict=True)):
            picture = frame.detach().clamp(0, 1).movedim(0, -1).float().cpu().numpy()
            axes.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)))
            axes.set_xticks([])
            axes.set_yticks([])
            if titles and row == 0:
                axes.set_title(titles[place], fontsize=8)
        cells[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def words_of_frame_rows(figure: Figure) -> str:
    """What a figure of `frame_rows` shows, read from its pictures: names, sizes, colours, light.

    >>> import torch
    >>> words = words_of_frame_rows(frame_rows({"white": torch.ones(2, 3, 5, 7)}))
    >>> words.split(", middle")[0]
    'white: 2 pictures of 5 × 7, mean colour 1.00 1.00 1.00 (red green blue)'
    """
    lines: list[str] = []
    row: list[Axes] = []
    for axes in [*figure.axes, None]:
        if row and (axes is None or axes.get_ylabel()):
            pictures = [np.asarray(one.images[0].get_array()) for one in row]
            titles = [one.get_title() for one in row if one.get_title()]
            height, width = pictures[0].shape[:2]
            shown = f" ({', '.join(titles)})" if titles else ""
            colour = np.mean([picture.mean(axis=(0, 1)) for picture in pictures], axis=0)
            places = " ".join(f"{_light_from_left(picture):.0f}" for picture in pictures)
            lines.append(
                f"{row[0].get_ylabel()}: {len(row)} pictures of {height} × {width}{shown}, "
                f"mean colour {' '.join(f'{part:.2f}' for part in colour)} (red green blue), "
                f"middle of the light at {places} % of the width"
            )
            row = []
        if axes is not None:
            row.append(axes)
    return "\n".join(lines)


def frame_choices(
    choices: Mapping[str, Sequence[int]],
    num_frames_in_video: int,
    fps: float | int,
    *,
    borders: Mapping[str, Sequence[float | int]] | None = None,
    spans: Mapping[str, tuple[int, int]] | None = None,
) -> Figure:
    """For each choice the video's time line above, the clip's places below, and a line from each place to its
    frame.

    Frame ``j`` is on show from ``j`` to ``j + 1`` on the time line. A frame that a clip shows more than once
    has as many lines and an orange square.

    Args:
        choices: name → frame numbers in clip order.
        num_frames_in_video: length of the time line.
        fps: frames per second, for the axis in seconds.
        borders: name → places on the time line (in frames) where a dashed border stands.
        spans: name → first and last frame of a stretch to shade: what the clip stands for.

    Raises:
        ArgumentError: no choice, a frame outside the video, or a rate that is not above 0.

    >>> words_of_frame_choices(frame_choices({"all": [0, 1, 1]}, 2, fps=2.0))
    'all: a video of 2 frames, 1.0 s; the 3 places of the clip show frames 0, 1, 1; shown more than once: 1'
    """
    require(len(choices) > 0, "choices", dict(choices), "at least one")
    require_positive(num_frames_in_video=num_frames_in_video)
    require(fps > 0, "fps", fps, "above 0")
    for name, frames in choices.items():
        require(len(frames) > 0, f"choices[{name!r}]", list(frames), "at least one frame")
        for frame in frames:
            expected = f"from 0 to {num_frames_in_video - 1}"
            require(0 <= frame < num_frames_in_video, f"choices[{name!r}]", frame, expected)
    height = 1.3 + 1.1 * len(choices) + 0.3 * (len(choices) - 1)
    figure = Figure(figsize=(8.4, height))  # fixed margins: four times as fast as a fitted layout
    margins = {"left": 0.065, "right": 0.975, "bottom": 0.5 / height, "top": 1 - 0.8 / height}
    cells = figure.subplots(
        len(choices), 1, squeeze=False, sharex=True, gridspec_kw=margins | {"hspace": 0.3 / 1.1}
    )[:, 0]
    for axes, (name, frames) in zip(cells, choices.items(), strict=True):
        axes.set_xlim(0, num_frames_in_video)
        axes.add_patch(_bar(0, num_frames_in_video, "#E4E4E4"))
        if spans and name in spans:
            first, last = spans[name]
            axes.add_patch(_bar(first, last + 1 - first, OKABE_ITO[5], gid=_SPAN))
        for border in (borders or {}).get(name, ()):
            axes.plot([border, border], [0.62, 1.38], color=MUTED, linestyle="--", linewidth=1, gid=_BORDER)
        _one_choice(axes, name, frames, num_frames_in_video)
    cells[-1].set_xlabel("frame of the video")
    seconds = cells[0].secondary_xaxis("top", functions=(lambda x: x / fps, lambda s: s * fps))
    seconds.set_xlim(0, num_frames_in_video / fps)  # drawing sets it again, from the functions
    seconds.set_xlabel("seconds")
    return figure


def words_of_frame_choices(figure: Figure) -> str:
    """What a figure of `frame_choices` shows, read from its lines and points.

    >>> words_of_frame_choices(frame_choices({"two": [1, 4]}, 6, fps=3.0, borders={"two": [0, 3, 6]}))
    'two: a video of 6 frames, 2.0 s; the 2 places of the clip show frames 1, 4; 3 borders'
    """
    lines = []
    top = figure.axes[0]
    seconds = top.child_axes[0].get_xlim()[1]
    for axes in figure.axes:
        links = [line for line in axes.lines if line.get_gid() == _LINK]
        frames = [int(np.asarray(line.get_xdata())[1]) for line in links]
        borders = sum(line.get_gid() == _BORDER for line in axes.lines)
        repeated = _points(axes, _AGAIN)
        text = (
            f"{axes.get_title(loc='left')}: a video of {axes.get_xlim()[1]:.0f} frames, {seconds:.1f} s; "
            f"the {len(frames)} places of the clip show frames {_listed(frames)}"
        )
        text += f"; shown more than once: {_listed(repeated)}" if repeated else ""
        text += f"; {borders} borders" if borders else ""
        for span in [patch for patch in axes.patches if patch.get_gid() == _SPAN]:
            assert isinstance(span, Rectangle)
            first, last = span.get_x(), span.get_x() + span.get_width()
            rate = axes.get_xlim()[1] / seconds
            text += f"; shaded from {first / rate:.2f} to {last / rate:.2f} s"
        lines.append(text)
    return "\n".join(lines)


def _one_choice(axes: Axes, name: str, frames: Sequence[int], num_frames_in_video: int) -> None:
    axes.set_ylim(-0.6, 1.45)
    axes.set_yticks([_CLIP_AT, _VIDEO_AT], ["clip", "video"])
    axes.set_title(name, loc="left", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    colours = colormaps[SEQUENTIAL](np.asarray([frame / num_frames_in_video for frame in frames]))
    places = [(i + 0.5) * num_frames_in_video / len(frames) for i in range(len(frames))]
    for place, frame, colour in zip(places, frames, colours, strict=True):
        ends = ([place, frame + 0.5], [_CLIP_AT + 0.12, _VIDEO_AT - 0.1])
        axes.plot(*ends, color=colour, linewidth=1.2, gid=_LINK)
    axes.scatter(
        places, [_CLIP_AT] * len(places), s=_side(len(places)), c=colours, marker="s", label=_PLACES, zorder=3
    )
    once = [frame for frame in sorted(set(frames)) if frames.count(frame) == 1]
    again = [frame for frame in sorted(set(frames)) if frames.count(frame) > 1]
    for shown, label, marker, size, colour in (
        (once, _ONCE, "o", 34, "black"),
        (again, _AGAIN, "s", 80, OKABE_ITO[4]),
    ):
        middles = [frame + 0.5 for frame in shown]
        axes.scatter(
            middles,
            [_VIDEO_AT] * len(shown),
            s=size,
            c=colour,
            marker=marker,
            edgecolors="black",
            label=label,
            zorder=3,
            clip_on=False,
        )
    if len(frames) <= MOST_NUMBERED:
        for place, frame in zip(places, frames, strict=True):
            axes.text(place, _CLIP_AT - 0.24, str(frame), ha="center", va="top", fontsize=8)


def _light_from_left(picture: np.ndarray) -> float:
    """Where the middle of what is brighter than the picture's mean lies, in percent from the left edge."""
    columns = np.clip(picture.mean(axis=-1) - picture.mean(), 0, None).sum(axis=0)
    middles = (np.arange(len(columns)) + 0.5) / len(columns)
    return 100 * float((columns * middles).sum() / columns.sum()) if columns.sum() > 1e-6 else 50.0


def _bar(start: int, length: int, colour: str, gid: str = "") -> Rectangle:
    corner = (start, _VIDEO_AT - 0.12)
    return Rectangle(corner, length, 0.24, facecolor=colour, edgecolor=MUTED, linewidth=0.8, gid=gid)


def _side(count: int) -> float:
    return float(np.clip(2200 / count, 30, 150))


def _points(axes: Axes, label: str) -> list[int]:
    """The frames at which the points of this label stand."""
    found = [one for one in axes.collections if isinstance(one, PathCollection) and one.get_label() == label]
    return [int(x) for one in found for x, _ in np.asarray(one.get_offsets())]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
