"""Attention over time, over space, or over both in different heads, by folding the axes of the token grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vtlearn.attention.full import full_attention
from vtlearn.attention.kernel import AttentionKernel, refuse_global, require_attention_inputs
from vtlearn.attention.patterns import Pattern, PerHead, SameFrame, SamePlace
from vtlearn.errors import require, require_divisible, require_positive
from vtlearn.shapes import HeadTokens, TokenGrid

GridTokens = Float[Tensor, "B heads t s d"]


def _require_grid(q: Tensor, k: Tensor, v: Tensor) -> None:
    require(q.ndim == 5, "q", tuple(q.shape), "of shape (B, heads, t, s, d)")
    for name, tensor in (("k", k), ("v", v)):
        require(tensor.shape == q.shape, name, tuple(tensor.shape), f"of q's shape {tuple(q.shape)}")


def time_attention(
    q: GridTokens,
    k: GridTokens,
    v: GridTokens,
    *,
    valid_mask: Bool[Tensor, "B t s"] | None = None,
    dropout_p: float = 0.0,
) -> GridTokens:
    """Every token attends to the tokens at its own place in all frames: the places become part of the batch.

    Source: the temporal step of divided attention, 2102.05095, section 3; of ViViT's models 3 and 4,
    2103.15691, section 3.3. Costs 2·t²·s·d multiply-adds a head. With one frame it returns v.

    Args:
        q, k, v: (B, heads, t, s, d), s tokens a frame.
        valid_mask: (B, t, s), True = real.
        dropout_p: share of the weights set to zero, the rest scaled up; pass 0 outside training.

    >>> v = torch.arange(4.0).reshape(1, 1, 2, 2, 1)
    >>> time_attention(torch.zeros_like(v), torch.zeros_like(v), v).flatten()
    tensor([1., 2., 1., 2.])
    """
    _require_grid(q, k, v)
    places = [tensor.permute(0, 3, 1, 2, 4).flatten(0, 1) for tensor in (q, k, v)]
    valid = None if valid_mask is None else valid_mask.transpose(1, 2).flatten(0, 1)
    out = full_attention(*places, valid_mask=valid, dropout_p=dropout_p)
    return out.unflatten(0, (q.shape[0], q.shape[3])).permute(0, 2, 3, 1, 4)


def space_attention(
    q: GridTokens,
    k: GridTokens,
    v: GridTokens,
    *,
    valid_mask: Bool[Tensor, "B t s"] | None = None,
    dropout_p: float = 0.0,
) -> GridTokens:
    """Every token attends to the tokens of its own frame: the frames become part of the batch.

    Source: 2102.05095, section 3; 2103.15691, section 3.3. Costs 2·t·s²·d multiply-adds a head.

    Args:
        q, k, v: (B, heads, t, s, d), s tokens a frame.
        valid_mask: (B, t, s), True = real.
        dropout_p: share of the weights set to zero, the rest scaled up; pass 0 outside training.

    >>> v = torch.arange(4.0).reshape(1, 1, 2, 2, 1)
    >>> space_attention(torch.zeros_like(v), torch.zeros_like(v), v).flatten()
    tensor([0.5000, 0.5000, 2.5000, 2.5000])
    """
    _require_grid(q, k, v)
    frames = [tensor.transpose(1, 2).flatten(0, 1) for tensor in (q, k, v)]
    valid = None if valid_mask is None else valid_mask.flatten(0, 1)
    out = full_attention(*frames, valid_mask=valid, dropout_p=dropout_p)
    return out.unflatten(0, (q.shape[0], q.shape[2])).transpose(1, 2)


def split_heads_attention(
    q: GridTokens,
    k: GridTokens,
    v: GridTokens,
    *,
    valid_mask: Bool[Tensor, "B t s"] | None = None,
    dropout_p: float = 0.0,
) -> GridTokens:
    """The first half of the heads attends over time, the second half over space.

    Source: ViViT's factorised dot-product attention (model 4), 2103.15691, section 3.3; the order of the
    halves is that of the released code. It halves the products of one full set over each axis and adds no
    parameter.

    Raises:
        ArgumentError: an odd number of heads.

    >>> v = torch.arange(4.0).reshape(1, 1, 2, 2, 1).repeat(1, 2, 1, 1, 1)
    >>> split_heads_attention(torch.zeros_like(v), torch.zeros_like(v), v)[0, :, 0, 0, 0]
    tensor([1.0000, 0.5000])
    """
    _require_grid(q, k, v)
    heads = q.shape[1]
    require(heads % 2 == 0, "num_heads", heads, "even: half the heads for time, half for space")
    (q_time, q_space), (k_time, k_space), (v_time, v_space) = (x.split(heads // 2, dim=1) for x in (q, k, v))
    over_time = time_attention(q_time, k_time, v_time, valid_mask=valid_mask, dropout_p=dropout_p)
    over_space = space_attention(q_space, k_space, v_space, valid_mask=valid_mask, dropout_p=dropout_p)
    return torch.cat([over_time, over_space], dim=1)


@dataclass(frozen=True)
class _GridKernel(AttentionKernel):
    tokens_per_frame: int

    def __post_init__(self) -> None:
        require_positive(tokens_per_frame=self.tokens_per_frame)

    def grid(self, num_tokens: int) -> TokenGrid:
        """The grid of ``num_tokens`` tokens; how a frame is laid out inside does not matter here."""
        require_divisible("num_tokens", num_tokens, "tokens_per_frame", self.tokens_per_frame)
        return TokenGrid(num_tokens // self.tokens_per_frame, self.tokens_per_frame, 1)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid_mask: Tensor | None, dropout_p: float) -> Tensor:
        raise NotImplementedError

    def __call__(
        self,
        q: HeadTokens,
        k: HeadTokens,
        v: HeadTokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
        dropout_p: float = 0.0,
    ) -> HeadTokens:
        refuse_global(global_mask, self)
        require_attention_inputs(q, k, v, valid_mask=valid_mask)
        require_divisible("num_tokens", q.shape[2], "tokens_per_frame", self.tokens_per_frame)
        size = (q.shape[2] // self.tokens_per_frame, self.tokens_per_frame)
        on_grid = [tensor.unflatten(2, size) for tensor in (q, k, v)]
        valid = None if valid_mask is None else valid_mask.unflatten(1, size)
        return self._attend(on_grid[0], on_grid[1], on_grid[2], valid, dropout_p).flatten(2, 3)


@dataclass(frozen=True)
class TimeAttention(_GridKernel):
    """:func:`time_attention` as a kernel object, on tokens in the order (t s).

    >>> TimeAttention(tokens_per_frame=2).pattern(6).allowed_per_query(6)
    tensor([3, 3, 3, 3, 3, 3])
    """

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid_mask: Tensor | None, dropout_p: float) -> Tensor:
        return time_attention(q, k, v, valid_mask=valid_mask, dropout_p=dropout_p)

    def pattern(self, num_tokens: int) -> Pattern:
        return SamePlace(self.grid(num_tokens))


@dataclass(frozen=True)
class SpaceAttention(_GridKernel):
    """:func:`space_attention` as a kernel object, on tokens in the order (t s).

    >>> SpaceAttention(tokens_per_frame=2).pattern(6).allowed_per_query(6)
    tensor([2, 2, 2, 2, 2, 2])
    """

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid_mask: Tensor | None, dropout_p: float) -> Tensor:
        return space_attention(q, k, v, valid_mask=valid_mask, dropout_p=dropout_p)

    def pattern(self, num_tokens: int) -> Pattern:
        return SameFrame(self.grid(num_tokens))


@dataclass(frozen=True)
class SplitHeadsAttention(_GridKernel):
    """:func:`split_heads_attention` as a kernel object, on tokens in the order (t s).

    Args:
        tokens_per_frame: s.
        num_heads: even; the pattern needs it to name the rule of each head.

    >>> SplitHeadsAttention(tokens_per_frame=2, num_heads=2).pattern(6).allowed_per_query(6)[:, 0]
    tensor([3, 2])
    """

    num_heads: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(num_heads=self.num_heads)
        require_divisible("num_heads", self.num_heads, "the two axes", 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid_mask: Tensor | None, dropout_p: float) -> Tensor:
        require(q.shape[1] == self.num_heads, "num_heads", q.shape[1], f"the kernel's {self.num_heads}")
        return split_heads_attention(q, k, v, valid_mask=valid_mask, dropout_p=dropout_p)

    def pattern(self, num_tokens: int) -> Pattern:
        grid, half = self.grid(num_tokens), self.num_heads // 2
        return PerHead((SamePlace(grid),) * half + (SameFrame(grid),) * half)
