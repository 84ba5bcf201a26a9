"""Attention as the formula reads: dense, plain, slow, and what every kernel is held against."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vtlearn.attention.patterns import Pattern
from vtlearn.errors import ArgumentError, require
from vtlearn.shapes import HeadTokens


def reference_attention(
    q: HeadTokens,
    k: HeadTokens,
    v: HeadTokens,
    mask: Pattern | Bool[Tensor, "*shape"],
    *,
    valid_mask: Bool[Tensor, "B N"] | None = None,
) -> HeadTokens:
    """Every query takes the mean of the values it may attend to, weighted by softmax(q·k / √d).

    Source: scaled dot-product attention, 1706.03762, section 3.2.1. Costs 2·N²·d multiply-adds and N² numbers
        a head.

    Args:
        q, k, v: (B, heads, N, d).
        mask: a :class:`Pattern`, or a Bool tensor that broadcasts to (B, heads, N, N); True = may attend.
        valid_mask: (B, N), True = real token. Padding is no key, and its own row comes out as zeros.

    Raises:
        ArgumentError: shapes that do not fit, or a real query that may attend to no real key.

    >>> from vtlearn.attention.patterns import Causal
    >>> q = k = torch.zeros(1, 1, 3, 2)
    >>> v = torch.tensor([[[[0.0, 3.0], [2.0, 3.0], [4.0, 3.0]]]])
    >>> reference_attention(q, k, v, Causal())
    tensor([[[[0., 3.],
              [1., 3.],
              [2., 3.]]]])
    """
    weights = reference_weights(q, k, mask, valid_mask=valid_mask)
    return (weights @ v.to(weights.dtype)).to(v.dtype)


def reference_weights(
    q: HeadTokens,
    k: HeadTokens,
    mask: Pattern | Bool[Tensor, "*shape"],
    *,
    valid_mask: Bool[Tensor, "B N"] | None = None,
) -> Float[Tensor, "B heads N N"]:
    """The attention weights themselves: every row of a real query sums to one, every row of padding is zero.

    Half precision is computed, and returned, in float32.

    >>> from vtlearn.attention.patterns import SlidingWindow
    >>> q = torch.zeros(1, 1, 3, 2)
    >>> reference_weights(q, q, SlidingWindow(3))[0, 0, 0]
    tensor([0.5000, 0.5000, 0.0000])
    """
    batch, heads, num_tokens, head_dim = q.shape
    require(k.shape == q.shape, "k", tuple(k.shape), f"of q's shape {tuple(q.shape)}")
    allowed = mask.mask(num_tokens, device=q.device) if isinstance(mask, Pattern) else mask
    require(allowed.dtype == torch.bool, "mask", allowed.dtype, "of dtype torch.bool")
    try:
        allowed = allowed.broadcast_to(batch, heads, num_tokens, num_tokens)
    except RuntimeError:
        full = (batch, heads, num_tokens, num_tokens)
        raise ArgumentError(
            "mask", tuple(allowed.shape), f"broadcastable to (B, heads, N, N) = {full}"
        ) from None
    real_query = torch.ones(batch, num_tokens, dtype=torch.bool, device=q.device)
    if valid_mask is not None:
        require(valid_mask.dtype == torch.bool, "valid_mask", valid_mask.dtype, "of dtype torch.bool")
        given = tuple(valid_mask.shape)
        require(given == (batch, num_tokens), "valid_mask", given, f"of shape (B, N) = {(batch, num_tokens)}")
        allowed = allowed & valid_mask[:, None, None, :]
        real_query = valid_mask
    empty = real_query[:, None, :] & ~allowed.any(-1)
    if empty.any():
        clip, head, row = (int(number) for number in empty.nonzero()[0])
        rule = "True for at least one real key in the row of every real query"
        raise ArgumentError("mask", f"nothing in row {row} (clip {clip}, head {head})", rule)

    if q.dtype in (torch.float16, torch.bfloat16):
        q, k = q.float(), k.float()
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    row_is_real = real_query[:, None, :, None]
    scores = scores.masked_fill(~(allowed | ~row_is_real), -math.inf)
    return torch.softmax(scores, dim=-1) * row_is_real
