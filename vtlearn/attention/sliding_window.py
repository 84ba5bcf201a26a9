"""Sliding-window attention: the one door, what it chooses between, and its kernel object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vtlearn.attention.cost import window_pairs
from vtlearn.attention.full import full_attention
from vtlearn.attention.kernel import AttentionKernel, GlobalProjections, require_attention_inputs
from vtlearn.attention.patterns import Causal, Dilated, Pattern, dilation_per_head, normalise_dilation
from vtlearn.attention.reference import reference_weights
from vtlearn.attention.sliding_window_bands import band_window_attention, bands_win, shared_globals
from vtlearn.attention.sliding_window_cuda import SHORTEST, flex_window_attention
from vtlearn.attention.sliding_window_dense import (
    bias_is_kept,
    dense_window_attention,
    kept_bias_attention,
)
from vtlearn.attention.window_operator import window_by_operator, window_eagerly
from vtlearn.errors import require, require_odd, require_probability
from vtlearn.shapes import HeadTokens

SHORTEST_ON_CPU, LONGER_BY_REACH = 300, 2 / 300
"""Below this many tokens tiles cost more than they save on a CPU: one call under a dense mask serves.

The bound grows by two tokens for each key of the reach. Measured in 12 heads of 64 with one global token (one
thread, CPU time, median of 7 interleaved rounds), time of full fused attention by ours, forward / training:

    n, reach    dense          tiles
    256, 16     0.87 / 0.91    0.85 / 0.95
    384, 16     0.89 / 0.96    1.26 / 1.59
    384, 64     0.89 / 0.95    0.97 / 0.94
    448, 64     0.87 / 0.97    1.16 / 1.14
    512, 128    0.88 / 0.95    0.96 / 1.06
    640, 128    0.86 / 0.88    1.03 / 1.13
"""

WIDE, LONGEST_DENSE = 0.8, 2048
"""A window over this share of the tokens leaves nothing to save; a dense mask is affordable up to here."""


def sliding_window_attention(
    q: HeadTokens,
    k: HeadTokens,
    v: HeadTokens,
    *,
    window_size: int,
    dilation: int | Sequence[int] = 1,
    global_mask: Bool[Tensor, "B N"] | None = None,
    valid_mask: Bool[Tensor, "B N"] | None = None,
    causal: bool = False,
    dropout_p: float = 0.0,
    global_projections: GlobalProjections | None = None,
) -> HeadTokens:
    """Every query attends to the ``window_size`` keys around it and to the global tokens, in one softmax.

    Source: Longformer, 2004.05150, section 3.1. Costs 2·N·w·d multiply-adds a head, and 4·N·d more for each
        global token.

    Args:
        q, k, v: (B, heads, N, d).
        window_size: two-sided and odd: (window_size − 1) / 2 keys on each side and the query itself.
        dilation: positions between neighbouring keys of the window, 1 = none; one number, or one a head.
        global_mask: (B, N), True = attends to all and is attended by all. A global key inside a window counts
            once.
        valid_mask: (B, N), True = real. Padding is no key and its own row comes out as zeros, also where
            marked global.
        causal: the window keeps only its past half (``CausalWindow``). It cuts the window alone: global
            tokens go on seeing all and being seen by all, so a causal stack has none.
        dropout_p: share of the weights set to zero, the rest scaled up; pass 0 outside training.
        global_projections: the queries, keys and values, (B, heads, N, d) each, with which global tokens read
            (Longformer's separate projections); by default q, k and v. Others always read a global token
            through k and v.

    Raises:
        ArgumentError: an even or non-positive window, a dilation below 1, shapes or dtypes that do not fit.

    >>> q = k = torch.zeros(1, 1, 4, 1)
    >>> v = torch.tensor([[[[0.0], [2.0], [4.0], [9.0]]]])
    >>> sliding_window_attention(q, k, v, window_size=3).flatten()
    tensor([1.0000, 2.0000, 5.0000, 6.5000])
    """
    require_attention_inputs(q, k, v, valid_mask=valid_mask, global_mask=global_mask)
    require_odd(window_size=window_size)
    require_probability(dropout_p=dropout_p)
    steps = dilation_per_head(dilation, q.shape[1])
    if global_projections is not None:
        for name, tensor in zip(("global_q", "global_k", "global_v"), global_projections, strict=True):
            require(tensor.shape == q.shape, name, tuple(tensor.shape), f"of q's shape {tuple(q.shape)}")
    num_tokens, reach = q.shape[2], window_size // 2
    nothing_masked = global_projections is None and not causal and max(steps) == 1
    if nothing_masked and reach >= num_tokens - 1:
        return full_attention(q, k, v, valid_mask=valid_mask, dropout_p=dropout_p)
    rule = (q, k, v, global_projections, reach, steps, causal, global_mask, valid_mask)
    keys = reach + 1 if causal else window_size
    wide = keys >= WIDE * num_tokens and num_tokens <= LONGEST_DENSE
    shortest = SHORTEST if q.is_cuda else SHORTEST_ON_CPU * (1 + LONGER_BY_REACH * min(reach, num_tokens))
    dense = num_tokens < shortest or wide
    plain = valid_mask is None and dropout_p == 0.0
    real = type(q) is Tensor and q.device.type == "cpu" and not torch.compiler.is_compiling()
    if plain and real:  # not a graph's stand-in for numbers
        right = 0 if causal else reach
        in_bands = max(steps) == 1 and bands_win(q, k, v, reach, right)
        kept = dense and bias_is_kept(q, k, v, steps)
        global_tokens = shared_globals(global_mask) if in_bands or kept else None
        if global_tokens is not None and in_bands:
            return band_window_attention(q, k, v, global_projections, reach, right, global_tokens)
        if global_tokens is not None:
            own = global_projections
            return kept_bias_attention(q, k, v, own, reach, steps[0], causal, global_tokens)
    if dense:
        return dense_window_attention(*rule, dropout_p)
    flexible = dropout_p == 0.0 and q.dtype != torch.float64 and not torch.compiler.is_compiling()
    if q.is_cuda and flexible:
        return flex_window_attention(*rule)
    arguments = (q, k, v, global_projections, global_mask, valid_mask, reach, steps, causal, dropout_p)
    if torch.compiler.is_compiling():
        return window_by_operator(*arguments)
    return window_eagerly(*arguments)


@dataclass(frozen=True)
class SlidingWindowAttention(AttentionKernel):
    """:func:`sliding_window_attention` as a kernel object.

    >>> SlidingWindowAttention(window_size=3).pattern(4).allowed_per_query(4)
    tensor([2, 3, 3, 2])
    """

    window_size: int
    dilation: int | Sequence[int] = 1
    causal: bool = False

    def __post_init__(self) -> None:
        require_odd(window_size=self.window_size)
        if not isinstance(self.dilation, int):
            object.__setattr__(self, "dilation", tuple(self.dilation))
        normalise_dilation(self.dilation)

    def __call__(
        self,
        q: HeadTokens,
        k: HeadTokens,
        v: HeadTokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
        dropout_p: float = 0.0,
        global_projections: GlobalProjections | None = None,
    ) -> HeadTokens:
        return sliding_window_attention(
            q,
            k,
            v,
            window_size=self.window_size,
            dilation=self.dilation,
            global_mask=global_mask,
            valid_mask=valid_mask,
            causal=self.causal,
            dropout_p=dropout_p,
            global_projections=global_projections,
        )

    def pattern(self, num_tokens: int) -> Pattern:
        window: Pattern = Dilated(self.window_size, normalise_dilation(self.dilation))
        return window & Causal() if self.causal else window

    def allowed_pairs(self, num_tokens: int, *, num_heads: int, global_tokens: int = 0) -> int:
        """In closed form, so at any length; the global tokens are the first ones."""
        rule = partial(window_pairs, num_tokens, self.window_size, causal=self.causal)
        steps = dilation_per_head(self.dilation, num_heads)
        return sum(rule(dilation=step, global_tokens=global_tokens) for step in steps)

    def beside_global_rows(self, project: Callable[[], GlobalProjections]) -> AttentionKernel | None:
        return self

    def weights(
        self,
        q: HeadTokens,
        k: HeadTokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
        global_projections: GlobalProjections | None = None,
    ) -> Float[Tensor, "B heads N N"]:
        """Dense weights; rows of global tokens with projections of their own are computed with those."""
        weights = super().weights(q, k, valid_mask=valid_mask, global_mask=global_mask)
        if global_mask is None or global_projections is None:
            return weights
        everyone = torch.ones(1, 1, dtype=torch.bool, device=q.device)
        own = reference_weights(global_projections[0], global_projections[1], everyone, valid_mask=valid_mask)
        return torch.where(global_mask[:, None, :, None], own, weights)
