"""Several views of one video (clips × crops) averaged into one answer, as the papers evaluate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, require_one_of, require_positive


def average_views(
    logits: Float[Tensor, "B views classes"], average: str = "softmax"
) -> Float[Tensor, "B classes"]:
    """One row of logits per video: the mean of the views' logits, or the logarithm of their mean
    probabilities.

    TimeSformer (arXiv 2102.05095) averages softmax scores over 3 crops; ViViT (2103.15691) averages logits
    over 4 clips × 3 crops. The two can disagree: one very sure view outweighs the others more among logits.

    Args:
        logits: per view.
        average: "logits" or "softmax".

    >>> views = torch.tensor([[[9.0, 0.0], [0.0, 2.0], [0.0, 2.0]]])
    >>> average_views(views, "logits").argmax(1), average_views(views, "softmax").argmax(1)
    (tensor([0]), tensor([1]))
    """
    require_one_of("average", average, ("logits", "softmax"))
    if average == "logits":
        return logits.mean(dim=1)
    return logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(logits.shape[1])


class SeveralViews(nn.Module):
    """A model that answers for a video from its views; evaluated like any other.

    Args:
        model: called with clips ``(B, T, C, H, W)`` and, where given, frame indices ``(B, T)``.
        average: see :func:`average_views`.
        at_once: views that go through the model together; fewer need less memory and give the same answer.

    >>> class Mean(nn.Module):
    ...     def forward(self, clips, frame_index=None):
    ...         return clips.mean(dim=(1, 3, 4))
    >>> SeveralViews(Mean(), "logits")(torch.ones(2, 3, 5, 4, 7, 7)).shape
    torch.Size([2, 4])
    """

    def __init__(self, model: nn.Module, average: str = "softmax", *, at_once: int | None = None) -> None:
        super().__init__()
        require_one_of("average", average, ("logits", "softmax"))
        if at_once is not None:
            require_positive(at_once=at_once)
        self.model = model
        self.average = average
        self.at_once = at_once

    def forward(self, clips: Float[Tensor, "B views T C H W"], frame_index: Tensor | None = None) -> Any:
        """Clips ``(B, views, T, C, H, W)`` and frame indices ``(B, views, T)`` → logits, or labelling →
        logits.

        Raises:
            ArgumentError: frame indices of another number of views.
        """
        videos, views = clips.shape[:2]
        if frame_index is not None and tuple(frame_index.shape[:2]) != (videos, views):
            raise ArgumentError(
                "frame_index", tuple(frame_index.shape), f"({videos}, {views}, T), like the clips"
            )
        parts = [
            self.model(
                clips[:, first : first + step].flatten(0, 1),
                *(() if frame_index is None else (frame_index[:, first : first + step].flatten(0, 1),)),
            )
            for step in [self.at_once or views]
            for first in range(0, views, step)
        ]
        if isinstance(parts[0], Mapping):
            return {name: self._merge([part[name] for part in parts], videos) for name in parts[0]}
        return self._merge(parts, videos)

    def _merge(self, parts: list[Tensor], videos: int) -> Tensor:
        return average_views(
            torch.cat([part.unflatten(0, (videos, -1)) for part in parts], dim=1), self.average
        )
