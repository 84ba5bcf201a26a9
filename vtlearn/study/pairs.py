"""Accuracy over pairs of classes that are each other's time reversal: was the pair right, and the side of
it."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int
from torch import Tensor

from vtlearn.data.synthetic import MOTION_PAIRS, MOTIONS


def pair_accuracy(confusion: Int[Tensor, "classes classes"], class_names: Sequence[str]) -> dict[str, float]:
    """Share of clips put into the right pair, and among those the share put on the right side of it.

    Args:
        confusion: clips by (true, predicted) class.
        class_names: in class order; anything but the motions of the samples gives an empty answer.

    >>> import torch
    >>> answer = pair_accuracy(torch.ones(8, 8, dtype=torch.int64), MOTIONS)
    >>> answer["pair_top1"], answer["within_pair"]
    (0.25, 0.5)
    """
    if tuple(class_names) != MOTIONS:
        return {}
    total, in_pair, right = int(confusion.sum()), 0, int(confusion.trace())
    for first in range(0, 2 * len(MOTION_PAIRS), 2):
        in_pair += int(confusion[first : first + 2, first : first + 2].sum())
    return {"pair_top1": in_pair / total, "within_pair": right / in_pair if in_pair else 0.0}
