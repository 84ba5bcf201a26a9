"""Sliding-window attention: the door, and a CPU computation that stores n·w numbers instead of n²."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vtlearn.attention.kernel import AttentionKernel, require_attention_inputs
from vtlearn.attention.patterns import Causal, Dilated, Pattern, normalise_dilation
from vtlearn.attention.reference import reference_weights
from vtlearn.errors import require, require_odd, require_probability
from vtlearn.shapes import HeadTokens

GlobalProjections = tuple[Tensor, Tensor, Tensor]


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
    steps = _dilation_per_head(dilation, q.shape[1])
    if global_projections is not None:
        for name, tensor in zip(("global_q", "global_k", "global_v"), global_projections, strict=True):
            require(tensor.shape == q.shape, name, tuple(tensor.shape), f"of q's shape {tuple(q.shape)}")
    return _chunked(
        q, k, v, window_size // 2, steps, global_mask, valid_mask, causal, dropout_p, global_projections
    )


def _dilation_per_head(dilation: int | Sequence[int], heads: int) -> tuple[int, ...]:
    steps = normalise_dilation(dilation)
    given = len(dilation) if not isinstance(dilation, int) else heads
    require(given == heads, "dilation", dilation, f"one number, or one for each of the {heads} heads")
    return (steps,) * heads if isinstance(steps, int) else steps


def _chunked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    reach: int,
    steps: tuple[int, ...],
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    causal: bool,
    dropout_p: float,
    global_projections: GlobalProjections | None,
) -> Tensor:
    """Chunk by chunk: [global keys | the chunk with the window's halo], product, softmax, product."""
    batch, _, num_tokens, head_dim = q.shape
    valid = (
        torch.ones(batch, num_tokens, dtype=torch.bool, device=q.device) if valid_mask is None else valid_mask
    )
    is_global = torch.zeros_like(valid) if global_mask is None else global_mask & valid
    local_key = valid & ~is_global
    count = int(is_global.sum(-1).max())
    positions = is_global.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :count]
    used = is_global.gather(1, positions)
    scale = 1.0 / math.sqrt(head_dim)

    out = torch.zeros_like(q)
    for step in sorted(set(steps)):
        heads = [number for number, own in enumerate(steps) if own == step]
        for first in range(min(step, num_tokens)):
            own = torch.arange(first, num_tokens, step, device=q.device)
            index = torch.arange(len(own), device=q.device)
            for start in range(0, len(own), max(reach, 32)):
                rows = slice(start, min(start + max(reach, 32), len(own)))
                keys = slice(max(0, rows.start - reach), min(len(own), rows.stop + (0 if causal else reach)))
                qc = q[:, heads][:, :, own[rows]]
                kc = torch.cat([_take(k[:, heads], positions), k[:, heads][:, :, own[keys]]], 2)
                vc = torch.cat([_take(v[:, heads], positions), v[:, heads][:, :, own[keys]]], 2)
                offset = index[rows][:, None] - index[keys][None, :]
                band = (offset <= reach) & (offset >= (0 if causal else -reach))
                allowed = torch.cat(
                    [
                        used[:, None, :].expand(-1, len(index[rows]), -1),
                        band & local_key[:, own[keys]][:, None, :],
                    ],
                    -1,
                )
                allowed = allowed | ~valid[:, own[rows]][:, :, None]
                scores = (
                    (qc @ kc.transpose(-2, -1)).float() if q.dtype.itemsize < 4 else qc @ kc.transpose(-2, -1)
                )
                scores = (scores * scale).masked_fill(~allowed[:, None], -math.inf)
                weights = F.dropout(torch.softmax(scores, -1), dropout_p).to(v.dtype)
                out[:, torch.tensor(heads)[:, None], own[rows][None, :]] = weights @ vc
    if count:
        gq, gk, gv = (q, k, v) if global_projections is None else global_projections
        rows_out = F.scaled_dot_product_attention(
            _take(gq, positions),
            gk,
            gv,
            attn_mask=valid[:, None, None, :] | ~used[:, None, :, None],
            dropout_p=dropout_p,
        )
        here = positions[:, None, :, None].expand(-1, q.shape[1], -1, head_dim)
        rows_out = torch.where(used[:, None, :, None], rows_out, out.gather(2, here))
        out = out.scatter(2, here, rows_out)
    return out.masked_fill(~valid[:, None, :, None], 0.0)


def _take(tensor: Tensor, positions: Tensor) -> Tensor:
    """Rows of (B, heads, N, d) at positions (B, G) → (B, heads, G, d)."""
    index = positions[:, None, :, None].expand(-1, tensor.shape[1], -1, tensor.shape[3])
    return tensor.gather(2, index)


@dataclass(frozen=True)
class SlidingWindowAttention(AttentionKernel):
    """:func:`sliding_window_attention` as a kernel object.

    >>> SlidingWindowAttention(window_size=3).pattern(4).allowed_per_query(4)
    tensor([2, 3, 3, 2])
    """

    window_size: int
    dilation: int | tuple[int, ...] = 1
    causal: bool = False

    takes_global_mask: ClassVar[bool] = True

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
        window: Pattern = Dilated(self.window_size, self.dilation)
        return window & Causal() if self.causal else window

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
