"""The sliding window by one fused call under a dense mask: what short sequences are fastest with."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vtlearn.attention.full import forward_in_products

SHORTEST_IN_PRODUCTS = 64
"""From this many tokens on a bfloat16 forward pass is faster by products in one table.

Time of the fused call under the mask by theirs (12 heads of 64, one global token, one thread, CPU time,
median of 15 interleaved rounds): n 32 0.70, n 64 1.14, n 128 1.62; 8 clips of n 128 1.84, of n 256 1.50.
"""


LONGEST_KEPT = 512
"""Tokens up to which the bias of a window is kept from call to call, a megabyte each.

Building mask and bias anew costs a tenth of a call at 128 and at 256 tokens.
"""


def bias_is_kept(q: Tensor, k: Tensor, v: Tensor, steps: tuple[int, ...]) -> bool:
    """Whether one fused call under a kept bias serves: short, one dilation, no products in its place."""
    return q.shape[2] <= LONGEST_KEPT and len(set(steps)) == 1 and not forward_in_products(q, k, v)


def kept_bias_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    reach: int,
    step: int,
    causal: bool,
    global_tokens: tuple[int, ...],
) -> Tensor:
    """:func:`dense_window_attention` without padding, for clips with the same global tokens."""
    bias = _window_bias(q.shape[2], reach, step, causal, global_tokens, q.dtype)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    if projections is None or not global_tokens:
        return out
    at = torch.tensor(global_tokens, dtype=torch.int64, device=q.device)
    own = F.scaled_dot_product_attention(projections[0].index_select(2, at), *projections[1:])
    return out.index_copy(2, at, own)


@lru_cache(maxsize=16)
def _window_bias(
    num_tokens: int,
    reach: int,
    step: int,
    causal: bool,
    global_tokens: tuple[int, ...],
    dtype: torch.dtype,
) -> Tensor:
    """0 where a row may see a column, −∞ elsewhere, (N, N). It is added to the scores: a mask of truth values
    would be made into this in every call.
    """
    with torch.inference_mode(False):  # what is kept from there could never be trained with
        seen = _window_mask(num_tokens, reach, (step,), causal, torch.device("cpu"))[0, 0]
        seen[:, list(global_tokens)] = True
        seen[list(global_tokens)] = True
        return torch.zeros(seen.shape, dtype=dtype, device="cpu").masked_fill_(~seen, -math.inf)


def dense_window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    reach: int,
    steps: tuple[int, ...],
    causal: bool,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    dropout_p: float = 0.0,
) -> Tensor:
    """Windowed attention over all pairs under a dense mask; arguments as checked at the door.

    It looks at no mask's contents, so a compiled graph runs through it.
    """
    allowed = _window_mask(q.shape[2], reach, steps, causal, q.device)
    everyone = None
    is_global = global_mask
    if valid_mask is not None:
        is_global = None if global_mask is None else global_mask & valid_mask
        everyone = valid_mask[:, None, None, :] | ~valid_mask[:, None, :, None]
    if is_global is not None:
        allowed = allowed | is_global[:, None, :, None] | is_global[:, None, None, :]
    if valid_mask is not None:
        allowed = allowed & valid_mask[:, None, None, :] | ~valid_mask[:, None, :, None]
    if dropout_p == 0.0 and q.shape[2] >= SHORTEST_IN_PRODUCTS and forward_in_products(q, k, v):
        out = products_in_place(q, k, v, allowed)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=dropout_p)
    if is_global is not None and projections is not None:
        rows = F.scaled_dot_product_attention(*projections, attn_mask=everyone, dropout_p=dropout_p)
        out = torch.where(is_global[:, None, :, None], rows, out)
    return out if valid_mask is None else out.masked_fill(~valid_mask[:, None, :, None], 0.0)


def products_in_place(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Scores, softmax and mean over all pairs, the scores and weights in one table; forward only."""
    scores = (q * (1.0 / math.sqrt(q.shape[-1]))) @ k.mT
    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill_(~allowed, -math.inf)
    scores += bias
    return torch.softmax(scores, -1, out=scores) @ v


def _window_mask(
    num_tokens: int, reach: int, steps: tuple[int, ...], causal: bool, device: torch.device
) -> Tensor:
    """The mask of the window, (1, 1 or heads, N, N); a plain one costs two passes over N² bytes."""
    if set(steps) == {1}:
        everything = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device)
        return everything.triu_(-reach).tril_(0 if causal else reach)[None, None]
    index = torch.arange(num_tokens, device=device)
    offset = index[None, :] - index[:, None]
    step = torch.tensor(steps[:1] if len(set(steps)) == 1 else steps, device=device)[:, None, None]
    seen = (offset % step == 0) & (offset >= -reach * step) & (offset <= (0 if causal else reach) * step)
    return seen[None]
