"""Controls for a trained video model: the same clips with their order destroyed, or with one frame only.

A model that keeps its accuracy on shuffled frames does not use their order; one that keeps it on a single
frame does not use time at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch

from vtlearn.errors import require

Batches = Iterable[dict[str, Any]]


def shuffled(batches: Batches, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """The same batches, each clip's frames in an order of its own drawn from the seed; where they stand in
    the video is told as before.

    >>> batch = {"clip": torch.arange(5.0).reshape(1, 5, 1, 1, 1), "path": ["a.mp4"]}
    >>> (found,) = shuffled([batch])
    >>> sorted(found["clip"].flatten().tolist()), found["path"]
    ([0.0, 1.0, 2.0, 3.0, 4.0], ['a.mp4'])
    """
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        clip = batch["clip"]
        require(clip.dim() == 5, "batch['clip']", tuple(clip.shape), "(B, T, C, H, W)")
        order = torch.rand(clip.shape[:2], generator=generator).argsort(dim=1)
        yield batch | {"clip": clip[torch.arange(len(clip))[:, None], order]}


def single_frame(batches: Batches) -> Iterator[dict[str, Any]]:
    """The same batches, each clip's middle frame in the place of all its frames.

    >>> batch = {"clip": torch.arange(5.0).reshape(1, 5, 1, 1, 1)}
    >>> (found,) = single_frame([batch])
    >>> found["clip"].flatten().tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    for batch in batches:
        clip = batch["clip"]
        require(clip.dim() == 5, "batch['clip']", tuple(clip.shape), "(B, T, C, H, W)")
        middle = clip.shape[1] // 2
        yield batch | {"clip": clip[:, middle : middle + 1].expand_as(clip)}


CONTROLS: dict[str, Callable[[Batches], Iterator[dict[str, Any]]]] = {
    "shuffled": partial(shuffled, seed=0),
    "single_frame": single_frame,
}
"""The controls by name."""
