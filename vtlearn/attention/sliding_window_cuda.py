"""The sliding window on a GPU: flex attention over a block mask written down directly, globals merged.

``create_block_mask`` evaluates the rule on all N² pairs; the blocks a window touches are known in advance, so
the mask is built here in N / 128 steps and kept. The global tokens of a clip differ from clip to clip and
would spoil such a mask; they are left out of it, attended to in a second small product, and the two results
are joined by their log-sum-exp, which is exact.

Dilation needs no kernel: every ``dilation``-th token is a sequence of its own under the plain window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from vtlearn.attention.patterns import CausalWindow, Pattern, SlidingWindow

BLOCK = 128
"""Queries and keys of a block of the mask: flex attention's own."""

SHORTEST = 512
"""Below this many tokens one fused call with a dense mask serves; flex is not trusted with very few."""


def window_block_indices(
    num_tokens: int, reach: int, *, causal: bool = False, block: int = BLOCK
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which blocks of keys every block of queries touches, without looking at a single pair.

    Returns:
        How many blocks are partly allowed and which, (rows,) and (rows, columns) with the touched ones first;
        the same for blocks allowed in full, where no rule need be evaluated.

    >>> counts, indices, full_counts, _ = window_block_indices(512, reach=128)
    >>> counts.tolist(), full_counts.tolist()
    ([1, 2, 2, 1], [1, 1, 1, 1])
    >>> indices[1, :2].tolist()
    [0, 2]
    """
    rows = -(-num_tokens // block)
    start = torch.arange(rows) * block
    stop = torch.minimum(start + block, torch.tensor(num_tokens)) - 1  # the last query of the block
    ahead = 0 if causal else reach
    first = (start - reach).clamp(min=0) // block
    last = torch.minimum(stop + ahead, torch.tensor(num_tokens - 1)) // block
    # A block of keys is allowed in full where its every key is seen by the block's first and by its last
    # query.
    key_start = torch.arange(rows) * block
    key_stop = key_start + block - 1
    inside = (key_stop[None, :] <= start[:, None] + ahead) & (key_start[None, :] >= stop[:, None] - reach)
    inside &= (key_stop[None, :] < num_tokens) & (stop[:, None] - start[:, None] == block - 1)
    touched = (torch.arange(rows)[None, :] >= first[:, None]) & (torch.arange(rows)[None, :] <= last[:, None])

    def packed(chosen: Tensor) -> tuple[Tensor, Tensor]:
        order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        return chosen.sum(1, dtype=torch.int32), order.to(torch.int32)

    return (*packed(touched & ~inside), *packed(touched & inside))


@lru_cache(maxsize=64)
def window_block_mask(num_tokens: int, reach: int, causal: bool, device: str) -> BlockMask:
    """The block mask of a plain window, kept for the next call of the same size.

    >>> mask = window_block_mask(512, 100, False, "cpu")
    >>> mask.shape
    (1, 1, 512, 512)
    """
    parts = window_block_indices(num_tokens, reach, causal=causal)
    counts, indices, full_counts, full_indices = (part.to(device)[None, None] for part in parts)
    window: Pattern = CausalWindow(2 * reach + 1) if causal else SlidingWindow(2 * reach + 1)
    return BlockMask.from_kv_blocks(
        counts,
        indices,
        full_counts,
        full_indices,
        BLOCK_SIZE=BLOCK,
        mask_mod=window.mask_mod(),
        seq_lengths=(num_tokens, num_tokens),
    )


@lru_cache(maxsize=1)
def _compiled_flex() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=False)


def _key_bias(key_ok: Tensor | None) -> Callable[..., Tensor] | None:
    """A score modification that hides keys: (B, N), True = may be attended to."""
    if key_ok is None:
        return None

    def hide(score: Tensor, clip: Tensor, head: Tensor, q_index: Tensor, k_index: Tensor) -> Tensor:
        return torch.where(key_ok[clip, k_index], score, -math.inf)

    return hide


def _band(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    key_ok: Tensor | None,
    reach: int,
    causal: bool,
    flex: Callable[..., Any],
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp of the plain window alone, keys of ``key_ok`` only."""
    mask = window_block_mask(q.shape[2], min(reach, q.shape[2] - 1), causal, str(q.device))
    out, log_sum = flex(q, k, v, score_mod=_key_bias(key_ok), block_mask=mask, return_lse=True)
    return out, log_sum


def _dilated_band(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    key_ok: Tensor | None,
    reach: int,
    step: int,
    causal: bool,
    flex: Callable[..., Any],
) -> tuple[Tensor, Tensor]:
    """The same with gaps: the ``step`` interleaved sequences join the batch, padded to one length.

    That is a block at least: with few tokens flex gives gradients that are not numbers (32 in bfloat16).
    """
    if step == 1:
        return _band(q, k, v, key_ok, reach, causal, flex)
    batch, _, num_tokens, _ = q.shape
    length = max(-(-num_tokens // step), BLOCK)
    extra = length * step - num_tokens

    def fold(x: Tensor) -> Tensor:  # (B, heads, N, d) → (B · step, heads, length, d)
        return F.pad(x, (0, 0, 0, extra)).unflatten(2, (length, step)).permute(0, 3, 1, 2, 4).flatten(0, 1)

    if key_ok is None:
        key_ok = torch.ones(batch, num_tokens, dtype=torch.bool, device=q.device)
    keys = F.pad(key_ok, (0, extra)).unflatten(1, (length, step)).transpose(1, 2).flatten(0, 1)
    out, log_sum = _band(fold(q), fold(k), fold(v), keys.contiguous(), reach, causal, flex)
    out = out.unflatten(0, (batch, step)).permute(0, 2, 3, 1, 4).flatten(2, 3)[:, :, :num_tokens]
    log_sum = log_sum.unflatten(0, (batch, step)).permute(0, 2, 3, 1).flatten(2, 3)[:, :, :num_tokens]
    return out, log_sum


def join_by_log_sum(out: Tensor, log_sum: Tensor, other: Tensor, other_log_sum: Tensor) -> Tensor:
    """Attention over the union of two disjoint sets of keys, from the results over each.

    Every result is a mean weighted by exp(score) / exp(log_sum); the union's is their mean weighted by
    exp(log_sum). A set without keys has log-sum-exp −∞ and weight zero; where both are empty the result is
    zero.

    >>> out, other = torch.tensor([[1.0]]), torch.tensor([[4.0]])
    >>> join_by_log_sum(out, torch.log(torch.tensor([2.0])), other, torch.log(torch.tensor([1.0])))
    tensor([[2.]])
    """
    highest = torch.maximum(log_sum, other_log_sum).clamp(min=torch.finfo(log_sum.dtype).min)
    weight, other_weight = torch.exp(log_sum - highest), torch.exp(other_log_sum - highest)
    total = (weight + other_weight).clamp(min=torch.finfo(weight.dtype).tiny)
    share, other_share = (weight / total)[..., None], (other_weight / total)[..., None]
    joined = torch.where(share > 0, out * share, 0.0) + torch.where(other_share > 0, other * other_share, 0.0)
    return joined.to(out.dtype)


def flex_window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    reach: int,
    steps: tuple[int, ...],
    causal: bool,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    *,
    flex: Callable[..., Any] | None = None,
) -> Tensor:
    """Windowed attention by flex attention, without dropout; arguments as checked at the door.

    ``flex`` is the attention to call, compiled by default; the plain function serves where nothing can be
    compiled.
    """
    flex = _compiled_flex() if flex is None else flex
    num_tokens = q.shape[2]
    is_global = None
    if global_mask is not None:
        is_global = global_mask if valid_mask is None else global_mask & valid_mask
    key_ok = valid_mask
    if is_global is not None:
        key_ok = ~is_global if key_ok is None else key_ok & ~is_global

    outs: list[Tensor] = [q] * len(steps)
    sums: list[Tensor] = [q] * len(steps)
    for step in sorted(set(steps)):
        heads = [number for number, own in enumerate(steps) if own == step]
        near, gap = (0, 1) if step >= num_tokens else (reach, step)
        out, log_sum = _dilated_band(q[:, heads], k[:, heads], v[:, heads], key_ok, near, gap, causal, flex)
        for place, head in enumerate(heads):
            outs[head], sums[head] = out[:, place], log_sum[:, place]
    out, log_sum = torch.stack(outs, 1), torch.stack(sums, 1)

    if is_global is not None:
        count = max(1, int(is_global.sum(1).max()))
        positions = is_global.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
        used = is_global.gather(1, positions)
        scores = (q @ _rows(k, positions).mT).float() / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~used[:, None, None, :], -math.inf)
        highest = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        weights = torch.exp(scores - highest)
        total = weights.sum(-1)
        on_global = (weights / total.clamp(min=torch.finfo(total.dtype).tiny)[..., None]).to(v.dtype)
        # log of zero is −∞, which is right; its gradient would be NaN, hence the detour
        global_sum = torch.where(total > 0, torch.log(torch.where(total > 0, total, 1.0)), -math.inf)
        out = join_by_log_sum(out, log_sum, on_global @ _rows(v, positions), global_sum + highest[..., 0])

        global_q, global_k, global_v = (q, k, v) if projections is None else projections
        allowed = used[:, None, :, None].logical_not()
        allowed = (
            allowed | (torch.ones_like(is_global) if valid_mask is None else valid_mask)[:, None, None, :]
        )
        rows = F.scaled_dot_product_attention(
            _rows(global_q, positions), global_k, global_v, attn_mask=allowed
        )
        target = positions[:, None, :, None].expand_as(rows)
        out = out.scatter(2, target, torch.where(used[:, None, :, None], rows, out.gather(2, target)))
    if valid_mask is not None:
        out = out.masked_fill(~valid_mask[:, None, :, None], 0.0)
    return out


def _rows(x: Tensor, positions: Tensor) -> Tensor:
    """(B, heads, N, d) at positions (B, G) → (B, heads, G, d)."""
    return x.gather(2, positions[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
