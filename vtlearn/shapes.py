"""Axis names, shape annotations and the (t, h, w) token grid."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vtlearn.errors import require_positive

Clips = Float[Tensor, "B T C H W"]
Frames = UInt8[Tensor, "T H W C"]
FrameIndex = Int[Tensor, "B T"]
Images = Float[Tensor, "B C H W"]
Logits = Float[Tensor, "B num_classes"]
Tokens = Float[Tensor, "B N D"]
HeadTokens = Float[Tensor, "B heads N d"]
Mask = Bool[Tensor, "N N"]


@dataclass(frozen=True)
class TokenGrid:
    """The grid of tokens of one clip, in the order ``(t h w)`` with time slowest.

    >>> grid = TokenGrid(t=2, h=3, w=5)
    >>> grid.num_tokens
    30
    >>> import torch
    >>> grid.coordinates(torch.tensor(16))
    (tensor(1), tensor(0), tensor(1))
    """

    t: int
    h: int
    w: int

    def __post_init__(self) -> None:
        require_positive(t=self.t, h=self.h, w=self.w)

    @property
    def num_tokens(self) -> int:
        """Tokens of the clip, the class token not counted."""
        return self.t * self.h * self.w

    @property
    def tokens_per_frame(self) -> int:
        """Tokens that share one temporal index."""
        return self.h * self.w

    def coordinates(self, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token position (integers) → its (t, h, w) coordinates."""
        return (
            position // self.tokens_per_frame,
            position // self.w % self.h,
            position % self.w,
        )
