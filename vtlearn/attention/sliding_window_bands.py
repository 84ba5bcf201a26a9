"""The sliding window in bands: a few runs of queries, each in one fused call with the keys that it reaches.

For sequences of a few hundred tokens, where the machinery of tiles costs more than the pairs it saves.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vtlearn.attention.full import BFLOAT16_IN_PRODUCTS

ROWS = 64
"""Queries in a band."""

LONGEST_FORWARD, LONGEST_TRAINED = 1024, 400
"""Tokens up to which bands win, and the share of the tokens that a band's keys may be."""

WIDEST_FORWARD, WIDEST_TRAINED = 0.8, 0.5

MOST_GLOBAL = 16
"""Global tokens up to which their copies into each band's keys weigh little.

All measured with 12 heads of 64, one global token, float32 (one thread, CPU time, median of 7 to 15
interleaved rounds), as the time of the next best way, a dense mask or tiles, by that of bands:

    n, reach    forward   training        n, reach     forward   training
    128, 16     1.10      0.91            512, 64      1.30      0.99
    192, 16     1.30      1.03            512, 128     1.26      1.01
    256, 16     1.84      1.27            768, 128     1.21
    256, 64     1.17      0.99            1024, 16     1.04      0.45
    320, 16     1.49 (training)           1024, 64     1.10      0.59
    384, 64     1.46      1.25            1536, 64     0.94
    448, 64               0.95            2048, 16     0.84

In bfloat16 forward 0.7 to 0.9 at 256, 1.41 at 512 and 1.05 at 1024 tokens; training 0.7 to 0.8.
"""


def bands_win(q: Tensor, k: Tensor, v: Tensor, left: int, right: int) -> bool:
    """Whether a CPU is fastest in bands, by the measurements above."""
    num_tokens, keys = q.shape[2], ROWS + left + right
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
        narrow = keys <= WIDEST_TRAINED * num_tokens
        return q.dtype == torch.float32 and num_tokens <= LONGEST_TRAINED and narrow
    narrow = keys <= WIDEST_FORWARD * num_tokens
    long = q.dtype == torch.float32 or (q.dtype == torch.bfloat16 and num_tokens > BFLOAT16_IN_PRODUCTS)
    return long and num_tokens <= LONGEST_FORWARD and narrow


def shared_globals(global_mask: Tensor | None) -> tuple[int, ...] | None:
    """The positions of the global tokens, where all clips have the same and not too many; else None."""
    if global_mask is None:
        return ()
    first = global_mask[0]
    if len(global_mask) > 1 and not bool((global_mask == first).all()):
        return None
    positions = tuple(first.nonzero().flatten().tolist())
    return positions if len(positions) <= MOST_GLOBAL else None


def band_window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    left: int,
    right: int,
    global_tokens: tuple[int, ...],
    rows: int = ROWS,
) -> Tensor:
    """Every query attends to ``left`` keys before it, itself, ``right`` after it, and the global tokens.

    Args:
        q, k, v: (B, heads, N, d), as checked at the door.
        projections: with which global tokens read, by default q, k and v.
        left, right: reach on each side.
        global_tokens: their positions, ascending; the same in all clips.
        rows: queries in a band.
    """
    num_tokens = q.shape[2]
    at = torch.tensor(global_tokens, dtype=torch.int64, device=q.device)
    global_keys, global_values = (x.index_select(2, at) for x in (k, v)) if global_tokens else (k, v)
    parts = []
    for first in range(0, num_tokens, rows):
        last = min(num_tokens, first + rows)
        start, stop = max(0, first - left), min(num_tokens, last + right)
        inside = tuple(place - start for place in global_tokens if start <= place < stop)
        outside = [i for i, place in enumerate(global_tokens) if not start <= place < stop]
        keys, values = k[:, :, start:stop], v[:, :, start:stop]
        if outside:
            some = slice(None) if not inside else outside
            keys = torch.cat([keys, global_keys[:, :, some]], 2)
            values = torch.cat([values, global_values[:, :, some]], 2)
        shape = (last - first, stop - start, first - start, len(outside))
        bias = _band_bias(*shape, left, right, inside, q.dtype)
        parts.append(F.scaled_dot_product_attention(q[:, :, first:last], keys, values, attn_mask=bias))
    out = torch.cat(parts, 2)
    if global_tokens:
        readers = (q, k, v) if projections is None else projections
        own = F.scaled_dot_product_attention(readers[0].index_select(2, at), readers[1], readers[2])
        out.index_copy_(2, at, own)
    return out


@lru_cache(maxsize=32)
def _band_bias(
    rows: int,
    columns: int,
    ahead: int,
    extra: int,
    left: int,
    right: int,
    inside: tuple[int, ...],
    dtype: torch.dtype,
) -> Tensor:
    """0 where a row may see a column, −∞ elsewhere. It is added to the scores: a mask of truth values would
    be made into this in every call.

    Args:
        ahead: row r stands at column r + ahead.
        extra: global columns behind the others.
        inside: columns that are global.
    """
    with torch.inference_mode(False):  # what is kept from there could never be trained with
        seen = torch.ones(rows, columns, dtype=torch.bool, device="cpu")
        seen.triu_(ahead - left).tril_(ahead + right)
        seen[:, list(inside)] = True
        bias = torch.zeros(rows, columns + extra, dtype=dtype, device="cpu")
        bias[:, :columns].masked_fill_(~seen, -math.inf)
    return bias
