"""The band layout: scores of a sliding window as N rows of window_size columns, nothing else stored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vtlearn.attention.kernel import require_attention_inputs
from vtlearn.attention.patterns import dilation_per_head
from vtlearn.errors import require_odd
from vtlearn.shapes import HeadTokens


def band_scores(
    q: HeadTokens,
    k: HeadTokens,
    *,
    window_size: int,
    dilation: int | Sequence[int] = 1,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B heads N columns"]:
    """Scores of every query with the keys of its window; column c of row i is key i + dilation · (c − reach).

    Source: the layout of Longformer's published code, where the query itself stands in column reach =
    (window_size − 1) / 2, keys beyond either end score −∞, and a causal band keeps the columns 0 … reach.
    Costs N·w·d multiply-adds and stores N·w numbers a head; one pass a column keeps it short rather than
    fast.

    Args:
        q, k: (B, heads, N, d).
        window_size: two-sided and odd.
        dilation: one number, or one a head.
        causal: drop the columns after the query.
        scale: of the products; 1/√d by default.

    >>> q = k = torch.ones(1, 1, 3, 1)
    >>> band_scores(q, k, window_size=3)[0, 0]
    tensor([[-inf, 1., 1.],
            [1., 1., 1.],
            [1., 1., -inf]])
    """
    require_attention_inputs(q, k, k)
    require_odd(window_size=window_size)
    heads, num_tokens, head_dim = q.shape[1:]
    reach = window_size // 2
    columns = reach + 1 if causal else window_size
    scores = q.new_full((*q.shape[:3], columns), -math.inf)
    for head, step in enumerate(dilation_per_head(dilation, heads)):
        for column in range(columns):
            shift = step * (column - reach)
            first, last = max(0, -shift), min(num_tokens, num_tokens - shift)
            if first < last:
                queries, keys = q[:, head, first:last], k[:, head, first + shift : last + shift]
                scores[:, head, first:last, column] = (queries * keys).sum(-1)
    return scores * (1.0 / math.sqrt(head_dim) if scale is None else scale)


def band_attention(
    scores: Float[Tensor, "B heads N columns"],
    v: HeadTokens,
    *,
    dilation: int | Sequence[int] = 1,
) -> HeadTokens:
    """Softmax over the columns of ``band_scores``, then the weighted mean of the values they stand for.

    A causal band is told from a two-sided one by nothing but its columns, so only two-sided bands are taken
    here.

    >>> v = torch.tensor([[[[0.0], [2.0], [4.0]]]])
    >>> band_attention(band_scores(torch.zeros_like(v), torch.zeros_like(v), window_size=3), v).flatten()
    tensor([1., 2., 3.])
    """
    heads, num_tokens, columns = scores.shape[1:]
    require_odd(columns=columns)
    reach = columns // 2
    weights = torch.softmax(scores, dim=-1)
    out = torch.zeros_like(v)
    for head, step in enumerate(dilation_per_head(dilation, heads)):
        for column in range(columns):
            shift = step * (column - reach)
            first, last = max(0, -shift), min(num_tokens, num_tokens - shift)
            if first < last:
                values = v[:, head, first + shift : last + shift]
                out[:, head, first:last] += weights[:, head, first:last, column, None] * values
    return out
