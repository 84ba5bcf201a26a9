"""Attention on the token grid: one multi-head attention along an axis."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vtlearn.attention import MultiHeadAttention
from vtlearn.errors import require_one_of


def attend_along(
    axis: str, attention: MultiHeadAttention, x: Float[Tensor, "B t s D"]
) -> Float[Tensor, "B t s D"]:
    """Attention over time at each place (axis "t"), or over the places of each frame (axis "s").

    Within a frame nothing moves: the frames are the batch. Over time the places become the batch.

    >>> import torch
    >>> attend_along("t", MultiHeadAttention(6, 2), torch.zeros(2, 3, 5, 6)).shape
    torch.Size([2, 3, 5, 6])
    """
    require_one_of("axis", axis, ("t", "s"))
    if axis == "s":
        return attention(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    places = x.transpose(1, 2)
    return attention(places.flatten(0, 1)).unflatten(0, places.shape[:2]).transpose(1, 2)
