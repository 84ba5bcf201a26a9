"""The section of a lesson on a real video: published weights where they lie on this machine, its likeliest
classes, and where it looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vtlearn.course.lesson import show
from vtlearn.data.decode import open_video
from vtlearn.data.transforms import CentreCrop, short_side_size
from vtlearn.errors import CheckpointError
from vtlearn.models.cost import model_cost
from vtlearn.runs.long_video import view_indices
from vtlearn.runs.prediction import frame_attention, predict
from vtlearn.runs.trained import Trained, load_trained
from vtlearn.viz.overlay import overlay_frames, words_of_overlay
from vtlearn.viz.video import frame_rows

_HOW = """\
{name} is not on this machine, so there is nothing to see here yet. To get it (about {megabytes} MB, once):
  1. pip install "vtlearn[pretrained]"
  2. from vtlearn.models import load_published; load_published("{name}")
  3. run this cell again; it reads the copy that was kept, without a network."""


def published_model(where: str | Path, *, megabytes: int) -> Trained | None:
    """A published model from the hub's cache or from a folder in the hub's layout; None, and how to get it,
    where it is not here.

    Nothing is downloaded.

    Args:
        where: the hub's name, or a folder.
        megabytes: size of the download, for the sentence.

    Raises:
        CheckpointError: there is a folder, but no usable model in it.
    """
    try:
        return load_trained(where, offline=True)
    except CheckpointError:
        if Path(where).exists():
            raise
    print(_HOW.format(name=where, megabytes=megabytes))
    return None


def look_at(trained: Trained, video: str | Path, *, top: int = 5) -> None:
    """Print what the model says of a video, and show where the attention of its last block lies.

    Args:
        trained: a model over patches.
        video: the file.
        top: classes told.

    Raises:
        DataError: the video cannot be read.
    """
    said = predict(trained, video, top=top)
    width = max(len(name) for name, _ in said.top)
    for name, share in said.top:
        print(f"{name:<{width}}  {100 * share:3.0f} %")
    square, heat = _seen_and_looked_at(trained, video)
    bright = overlay_frames(square.permute(0, 2, 3, 1).contiguous(), heat)
    chosen = _three_of(heat)
    rows = {"seen": square[chosen] / 255, "looked at": bright[chosen].permute(0, 3, 1, 2) / 255}
    figure = frame_rows(rows, [f"frame {place}" for place in chosen])
    show(figure, words_of_overlay(heat))


def look_together(models: Mapping[str, Trained], video: str | Path, *, top: int = 5) -> None:
    """Print what several models say of one video, each with the views of its authors and what these cost, and
    show where each looked in the first, the middle and the last of its own frames.

    Args:
        models: what to call it → a model over patches.
        video: the file.
        top: classes told of each.

    Raises:
        DataError: the video cannot be read.
    """
    named, rows, words = [], {}, []
    for name, trained in models.items():
        said = predict(trained, video, top=top)
        views = trained.views[0] * trained.views[1]
        cost = views * model_cost(trained.model.config, trained.num_frames).multiply_adds
        print(
            f"{name}: {_count(views, 'view')} of {trained.num_frames} frames, {_rounded(cost)} multiply-adds"
        )
        for label, share in said.top:
            print(f"  {100 * share:3.0f} %  {label}")
        square, heat = _seen_and_looked_at(trained, video)
        named.append({label for label, _ in said.top})
        bright = overlay_frames(square.permute(0, 2, 3, 1).contiguous(), heat)
        rows[name] = bright[_three_of(heat)].permute(0, 3, 1, 2) / 255
        words.append(f"{name}: " + "; ".join(words_of_overlay(heat).splitlines()))
    shared = sorted(set.intersection(*named)) if named else []
    print(f"in every list: {', '.join(shared) or 'no class'}")
    show(frame_rows(rows, ["first frame", "middle", "last"]), "\n".join(words))


def _seen_and_looked_at(trained: Trained, video: str | Path) -> tuple[Tensor, Tensor]:
    """The middle clip as bytes ``(T, C, H, W)``, and the attention of the last block over it."""
    with open_video(video) as reader:
        (indices,) = view_indices(reader.num_frames, trained.num_frames, trained.frame_stride, 1)
        size = short_side_size(*reader.size, trained.short_side)
        pixels = reader.frames(indices, None if size == reader.size else size).permute(0, 3, 1, 2)[None]
    square = CentreCrop(trained.crop)(pixels)
    heat = frame_attention(trained.model, trained.normalise(square), torch.tensor([indices]))
    return square[0], heat


def _three_of(heat: Tensor) -> list[int]:
    return sorted({0, len(heat) // 2, len(heat) - 1})


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _rounded(cost: int) -> str:
    """Three digits of a count, with M, G or T.

    >>> _rounded(31_100_000), _rounded(5_418_000_000_000)
    ('31.1 M', '5.42 T')
    """
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if cost >= unit:
            return f"{cost / unit:.3g} {letter}"
    return f"{cost:,}"
