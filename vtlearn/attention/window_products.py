"""The sliding window on a CPU: small dense products over tiles of queries and their halo of keys.

Nothing of size N² is ever made, and nothing is gathered. Queries are cut into blocks; a block and the keys
its windows reach form a dense product with a band of real pairs in it. Tiles of at most :data:`TILE_BYTES`
are computed one after the other, so
that scores live and die in the cache: fresh memory is an order of magnitude slower than memory just used. The
backward pass computes the weights of a tile again instead of keeping them, so that training stores q, k, v
and the output alone. All tiles of a call write into the same few buffers (:class:`_Desk`).

A tile is one of two kinds. Far from both ends all blocks look alike, and neighbouring blocks of one head
become the batch of one product; their keys overlap, which strided views express without a copy. Near the
ends, and where the sequence is short, the heads become the batch instead. A dilated window is the plain
window on every ``dilation``-th token.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vtlearn.attention.full import multiplies_bfloat16

TILE_BYTES = 1 << 20
"""Float32 scores of one tile in bytes: they should stay in a core's second-level cache while they are used.

Measured at 4096 tokens in 12 heads of 64 (one thread, CPU time, interleaved rounds): half of it costs a tenth
more at reach 256, twice of it gains nothing at reach 16 and 64. ``python -m benchmarks.attention`` shows what
the buffers add to the output in memory.
"""

ALL = slice(None)


@dataclass(frozen=True)
class Window:
    """The rule of the window, in whole numbers: reach on each side in steps, dilation of each head."""

    reach: int
    dilations: tuple[int, ...]
    causal: bool


@dataclass(frozen=True)
class _Strip:
    """A plain window on (Z, n, d) views: heads of one dilation, every ``step``-th token from ``first``."""

    clips: slice
    heads: slice
    first: int
    step: int
    left: int
    right: int
    length: int

    def view(self, x: Tensor) -> Tensor:
        """(B, heads, N, d) → this strip's (Z, n, d), without a copy."""
        part = x[self.clips, self.heads]
        part = part[0] if part.shape[0] == 1 else part.flatten(0, 1)
        return part[:, self.first :: self.step]

    def along(self, mask: Tensor | None) -> Tensor | None:
        """(B, N) → (n,): the strip's clips agree on it."""
        return None if mask is None else mask[self.clips.start, self.first :: self.step]


@dataclass(frozen=True)
class _Tile:
    """A batch of equally large blocks of queries and the keys they reach.

    Blocks of one head where ``count`` is positive, one block of several heads where it is 0.
    """

    zs: slice
    rows: slice
    keys: slice
    size: int = 0
    width: int = 0
    count: int = 0

    def of_rows(self, x: Tensor) -> Tensor:
        """(Z, n, any) → (batch, rows, any)."""
        if self.count == 0:
            return x[self.zs, self.rows]
        head = x[self.zs.start]
        row, last = head.stride()
        return head.as_strided(
            (self.count, self.size, x.shape[-1]),
            (self.size * row, row, last),
            head.storage_offset() + self.rows.start * row,
        )

    def shaped(self, mask: Tensor) -> Tensor:
        """(n,) → what broadcasts over (batch, rows, any)."""
        part = mask[self.rows]
        return part.view(self.count, self.size, 1) if self.count else part[None, :, None]

    def of_keys(self, x: Tensor, blocks: slice = ALL, keys: slice = ALL) -> Tensor:
        """(Z, n, any) → (batch, keys, any); of some blocks, and of some of a block's keys, alone."""
        if self.count == 0:
            return x[self.zs, self.keys]
        head = x[self.zs.start]
        row, last = head.stride()
        chosen, columns = range(self.count)[blocks], range(self.width)[keys]
        return head.as_strided(
            (len(chosen), len(columns), x.shape[-1]),
            (chosen.step * self.size * row, row, last),
            head.storage_offset() + (self.keys.start + chosen.start * self.size + columns.start) * row,
        )


class _Desk:
    """The buffers in which tiles are computed one after the other, each as large as its largest tile."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The buffer of that name in that shape, contents undefined; what it held is lost."""
        size = math.prod(shape)
        held = self.buffers.get((name, dtype))
        if held is None or held.numel() < size:
            held = self.buffers[name, dtype] = torch.empty(size, dtype=dtype, device=self.device)
        return held[:size].view(shape)


def block_size(reach: int, length: int) -> int:
    """Queries in a block, measured: small blocks waste few pairs, large products run faster."""
    if length <= 2 * reach:  # no band left to exploit
        return min(length, 256)
    if length <= 512:  # fewer tiles: here their number costs more than their pairs
        return 64
    return 16 if reach <= 24 else 32 if reach <= 96 else 64


def _tiles(strip: _Strip, heads: int, num_global: int) -> Iterator[_Tile]:
    size = block_size(max(strip.left, strip.right), strip.length)
    width = size + strip.left + strip.right
    blocks = -(-strip.length // size)
    low = -(-strip.left // size)
    high = max(low, (strip.length - strip.right) // size)
    per_tile = max(1, TILE_BYTES // (4 * size * width))
    heads_per_tile = max(1, TILE_BYTES // (4 * size * (width + num_global)))
    calls_by_head = heads * -(-(high - low) // per_tile)
    calls_by_block = (high - low) * -(-heads // heads_per_tile)
    if calls_by_head > 2 * calls_by_block or num_global > size // 2:
        low = high = 0
    for block in [*range(low), *range(high, blocks)]:
        start, stop = block * size, min(strip.length, (block + 1) * size)
        keys = slice(max(0, start - strip.left), min(strip.length, stop + strip.right))
        for first in range(0, heads, heads_per_tile):
            yield _Tile(slice(first, min(heads, first + heads_per_tile)), slice(start, stop), keys)
    for head in range(heads) if high > low else ():
        for first in range(low, high, per_tile):
            count = min(per_tile, high - first)
            start, stop = first * size, (first + count) * size
            keys = slice(start - strip.left, stop + strip.right)
            yield _Tile(slice(head, head + 1), slice(start, stop), keys, size, width, count)


def score_dtype(dtype: torch.dtype) -> torch.dtype:
    """Scores, softmax and sums of gradients: float32 at least."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def product_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the factors of products are kept in: bfloat16 where the processor multiplies it, else no half.

    A processor without instructions for a half precision emulates it, slower than float32 by far.
    """
    return dtype if dtype == torch.bfloat16 and multiplies_bfloat16() else score_dtype(dtype)


class _StripScores:
    """The weights of a strip's tiles: the part both passes share.

    Where the factors are half precision, so are the products as they come; they are widened before anything
    is added up or put through softmax, and the weights are narrowed again for the next product.
    """

    def __init__(
        self,
        strip: _Strip,
        q: Tensor,
        k: Tensor,
        k_global: Tensor | None,
        key_ok: Tensor | None,
        row_ok: Tensor | None,
        generator: torch.Generator | None,
        dropout_p: float,
        desk: _Desk,
    ) -> None:
        self.strip, self.q, self.k, self.k_global = strip, q, k, k_global
        self.row_ok = row_ok
        self.desk = desk
        self.dtype = score_dtype(q.dtype)
        self.narrow = q.dtype != self.dtype
        self.k_across = self.across(k)
        self.scale = 1.0 / math.sqrt(q.shape[-1])
        self.num_global = 0 if k_global is None else k_global.shape[1]
        self.generator, self.dropout_p = generator, dropout_p
        self.key_bias = None
        self.bad_keys: list[int] = []
        if key_ok is not None:
            zeros = torch.zeros(strip.length, 1, dtype=self.dtype, device=q.device)
            self.key_bias = zeros.masked_fill_(~key_ok[:, None], -math.inf)[None]
            self.bad_keys = (~key_ok).nonzero().flatten().tolist()
        self.bad_rows: list[int] = [] if row_ok is None else (~row_ok).nonzero().flatten().tolist()
        self.band_cache: dict[tuple[int, int, int], Tensor] = {}

    def tiles(self) -> Iterator[_Tile]:
        return _tiles(self.strip, self.q.shape[0], self.num_global)

    def across(self, x: Tensor) -> Tensor:
        """(Z, n, d) → (Z, d, n): half-precision products are fast only where the long axis lies together."""
        return x.mT.contiguous() if self.narrow else x.mT

    def on_keys(self, tile: _Tile, rows: Tensor, across: Tensor, start: Tensor, start_times: float) -> Tensor:
        """rows · keysᵀ, scaled for scores, plus ``start_times`` · ``start``; in the desk's wide buffer.

        ``start`` broadcasts over (batch, rows, keys).
        """
        columns = tile.of_keys(across.mT).mT
        shape = (rows.shape[0], rows.shape[1], columns.shape[-1])
        out = self.desk.take("scores" if start_times > 0 else "change", shape, self.dtype)
        alpha = self.scale if start_times > 0 else 1.0
        if not self.narrow:
            return torch.baddbmm(start.expand(shape), rows, columns, beta=start_times, alpha=alpha, out=out)
        product = torch.bmm(rows, columns, out=self.desk.take("narrow", shape, rows.dtype))
        if start_times > 0:
            return torch.add(start, product, alpha=alpha, out=out)
        return torch.sub(product, start, out=out)

    def factor(self, weights: Tensor) -> Tensor:
        """The weights as a factor of the next product."""
        if not self.narrow:
            return weights
        return self.desk.take("narrow", weights.shape, self.q.dtype).copy_(weights)

    def _band(self, rows: int, width: int, offset: int) -> Tensor:
        """0 where row may see column, −∞ elsewhere; column c is key ``c − offset`` from the block's start."""
        key = (rows, width, offset)
        if key not in self.band_cache:
            distance = torch.arange(width, device=self.q.device) - offset
            distance = distance[None, :] - torch.arange(rows, device=self.q.device)[:, None]
            hidden = (distance < -self.strip.left) | (distance > self.strip.right)
            bias = torch.zeros(rows, width, dtype=self.dtype, device=self.q.device)
            self.band_cache[key] = bias.masked_fill_(hidden, -math.inf)
        return self.band_cache[key]

    @staticmethod
    def any_in(positions: list[int], part: slice) -> bool:
        """Whether one of the sorted positions lies in the part."""
        return bisect_left(positions, part.start) < bisect_left(positions, part.stop)

    def weights(self, tile: _Tile) -> tuple[Tensor, Tensor | None]:
        """Softmax over [global keys | band] of every row of the tile, as (band part, global part)."""
        queries = tile.of_rows(self.q)
        rows, width = queries.shape[1], tile.width or tile.keys.stop - tile.keys.start
        band = self._band(rows, width, self.strip.left if tile.count else tile.rows.start - tile.keys.start)
        scores = self.on_keys(tile, queries, self.k_across, band, 1.0)
        if self.any_in(self.bad_keys, tile.keys):
            assert self.key_bias is not None
            scores += replace(tile, zs=slice(0, 1)).of_keys(self.key_bias).mT
        global_scores = None
        if self.k_global is not None:
            global_scores = _shared_product(tile, queries, self.k_global[tile.zs].mT).to(self.dtype)
            global_scores.mul_(self.scale)
        padded = self._padded_rows(tile)
        if padded is not None:  # their weights are never used; they only must not be NaN
            scores.masked_fill_(padded, 0.0)
        if global_scores is None:
            return torch.softmax(scores, -1, out=scores), None
        count = self.num_global
        if tile.count == 0:
            joint = self.desk.take("joint", (*scores.shape[:2], count + width), self.dtype)
            torch.cat([global_scores, scores], -1, out=joint)
            torch.softmax(joint, -1, out=joint)
            return joint[..., count:], joint[..., :count]
        # Every row of a full block has hidden columns to spare: at its left, the first rows at their right.
        scores[:, count:, :count] = global_scores[:, count:]
        scores[:, :count, width - count :] = global_scores[:, :count]
        torch.softmax(scores, -1, out=scores)
        global_weights = torch.cat([scores[:, :count, width - count :], scores[:, count:, :count]], 1)
        scores[:, count:, :count] = 0.0
        scores[:, :count, width - count :] = 0.0
        return scores, global_weights

    def _padded_rows(self, tile: _Tile) -> Tensor | None:
        if not self.any_in(self.bad_rows, tile.rows):
            return None
        assert self.row_ok is not None
        return tile.shaped(~self.row_ok)

    def keep(self, weights: Tensor | None) -> Tensor | None:
        """Dropout's factors, 0 or 1 / (1 − p), the same in both passes; None without dropout."""
        if weights is None or self.generator is None:
            return None
        kept = torch.empty(weights.shape, dtype=self.dtype, device=self.q.device)
        return kept.bernoulli_(1.0 - self.dropout_p, generator=self.generator).div_(1.0 - self.dropout_p)


def _times(x: Tensor, factor: Tensor | None) -> Tensor:
    return x if factor is None else x * factor


def _forward_strip(scores: _StripScores, v: Tensor, v_global: Tensor | None, out: Tensor) -> None:
    for tile in scores.tiles():
        band, on_global = scores.weights(tile)
        band = scores.factor(_times(band, scores.keep(band)))
        target = tile.of_rows(out)
        direct = target.is_contiguous() and target.dtype == v.dtype
        result = target if direct else scores.desk.take("rows", target.shape, v.dtype)
        torch.bmm(band, tile.of_keys(v), out=result)
        if on_global is not None:
            assert v_global is not None
            on_global = _times(on_global, scores.keep(on_global))
            _add_shared_product(result, tile, on_global.to(v.dtype), v_global[tile.zs])
        if result is not target:
            target.copy_(result)


def _backward_strip(
    scores: _StripScores,
    v: Tensor,
    v_global: Tensor | None,
    out: Tensor,
    grad_out: Tensor,
    special: Tensor | None,
    grads: tuple[Tensor, Tensor, Tensor],
    grads_global: tuple[Tensor, Tensor] | None,
) -> None:
    """Adds to grads of k and v, writes that of q; ``special`` rows, (n,), were not written by the windows."""
    grad_q, grad_k, grad_v = grads
    desk = scores.desk
    special_rows = [] if special is None else special.nonzero().flatten().tolist()
    v_across = scores.across(v)
    for tile in scores.tiles():
        band, on_global = scores.weights(tile)
        kept = scores.keep(band)
        queries, upstream = tile.of_rows(scores.q), tile.of_rows(grad_out)
        if special is not None and scores.any_in(special_rows, tile.rows):
            upstream = upstream.masked_fill(tile.shaped(special), 0.0)
        # Σ_j weight · (gradient of weight) of a row, which softmax's derivative subtracts, is out · grad_out
        products = desk.take("rows", upstream.shape, scores.dtype).copy_(upstream).mul_(tile.of_rows(out))
        dots = products.sum(-1, keepdim=True)
        _add_to_keys(grad_v, tile, scores.factor(_times(band, kept)), upstream, desk)
        if kept is None:
            change = scores.on_keys(tile, upstream, v_across, dots, -1.0).mul_(band)
        else:
            nothing = torch.zeros_like(dots)
            change = scores.on_keys(tile, upstream, v_across, nothing, -1.0).mul_(kept).sub_(dots).mul_(band)
        change = scores.factor(change)
        _add_to_keys(grad_k, tile, change, queries, desk, scores.scale)
        to_queries = torch.bmm(change, tile.of_keys(scores.k), out=desk.take("rows", queries.shape, v.dtype))
        if on_global is not None:
            assert v_global is not None
            assert scores.k_global is not None
            assert grads_global is not None
            kept = scores.keep(on_global)
            own_k, own_v = scores.k_global[tile.zs], v_global[tile.zs]
            _add_to_global(grads_global[1], tile, _times(on_global, kept).to(v.dtype), upstream)
            change = _times(_shared_product(tile, upstream, own_v.mT).to(scores.dtype), kept)
            change = change.sub_(dots).mul_(on_global).to(v.dtype)
            _add_to_global(grads_global[0], tile, change, queries, scores.scale)
            _add_shared_product(to_queries, tile, change, own_k)
        torch.mul(to_queries, scores.scale, out=tile.of_rows(grad_q))


def _shared_product(tile: _Tile, rows: Tensor, shared: Tensor) -> Tensor:
    """(batch, rows, any) · the matrix a head shares: one large product where its blocks are the batch."""
    if tile.count == 0:
        return torch.bmm(rows, shared)
    return torch.mm(rows.flatten(0, 1), shared[0]).unflatten(0, rows.shape[:2])


def _add_shared_product(total: Tensor, tile: _Tile, rows: Tensor, shared: Tensor) -> None:
    """total += :func:`_shared_product`, in place; total is contiguous where blocks are the batch."""
    if tile.count == 0:
        total.baddbmm_(rows, shared)
    else:
        total.view(-1, total.shape[-1]).addmm_(rows.flatten(0, 1), shared[0])


def _add_to_keys(
    total: Tensor, tile: _Tile, weights: Tensor, rows: Tensor, desk: _Desk, scale: float = 1.0
) -> None:
    """total[keys of the tile] += weightsᵀ · rows, never two blocks at once whose keys overlap."""
    width = weights.shape[-1]
    if weights.dtype == total.dtype:
        every = -(-width // tile.size) if tile.count else 1
        for start in range(min(every, max(1, tile.count))):
            blocks = slice(start, None, every)
            tile.of_keys(total, blocks).baddbmm_(weights[blocks].mT, rows[blocks], alpha=scale)
        return
    # A narrow product is made aside and added a block's length of keys at a time.
    product = desk.take("keys", (weights.shape[0], width, rows.shape[-1]), rows.dtype)
    torch.bmm(weights.mT, rows, out=product)
    wide = desk.take("keys", product.shape, total.dtype).copy_(product)
    step = tile.size if tile.count else width
    for start in range(0, width, step):
        keys = slice(start, start + step)
        tile.of_keys(total, keys=keys).add_(wide[:, keys], alpha=scale)


def _add_to_global(total: Tensor, tile: _Tile, weights: Tensor, rows: Tensor, scale: float = 1.0) -> None:
    if tile.count == 0:
        total[tile.zs].add_(torch.bmm(weights.mT, rows), alpha=scale)
    else:
        product = torch.mm(weights.flatten(0, 1).T, rows.flatten(0, 1))
        total[tile.zs.start].add_(product, alpha=scale)


@dataclass(frozen=True)
class _Layout:
    """What the masks mean, clip by clip: which keys and rows are ordinary, where the global tokens are."""

    key_ok: Tensor | None
    row_ok: Tensor | None
    valid: Tensor | None
    positions: tuple[Tensor, ...]
    alike: bool


def _read_masks(batch: int, global_mask: Tensor | None, valid_mask: Tensor | None) -> _Layout:
    if valid_mask is not None and bool(valid_mask.all()):
        valid_mask = None
    if global_mask is not None:
        global_mask = global_mask if valid_mask is None else global_mask & valid_mask
        if not bool(global_mask.any()):
            global_mask = None
    key_ok = valid_mask
    positions: tuple[Tensor, ...] = ()
    if global_mask is not None:
        key_ok = ~global_mask if valid_mask is None else valid_mask & ~global_mask
        positions = tuple(row.nonzero().flatten() for row in global_mask)
    alike = all(mask is None or bool((mask == mask[:1]).all()) for mask in (global_mask, valid_mask))
    return _Layout(key_ok, valid_mask, valid_mask, positions, alike)


def _head_runs(dilations: tuple[int, ...]) -> Iterator[tuple[slice, int]]:
    """Evenly spaced runs of heads that share a dilation."""
    for dilation in sorted(set(dilations)):
        heads = [number for number, own in enumerate(dilations) if own == dilation]
        while heads:
            step = heads[1] - heads[0] if len(heads) > 1 else 1
            size = 1
            while size < len(heads) and heads[size] - heads[size - 1] == step:
                size += 1
            yield slice(heads[0], heads[size - 1] + 1, step), dilation
            heads = heads[size:]


def _strips(window: Window, layout: _Layout, tensors: tuple[Tensor, ...]) -> Iterator[_Strip]:
    batch, heads, num_tokens, _ = tensors[0].shape
    one_dilation = len(set(window.dilations)) == 1
    mergeable = all(x.stride(0) == heads * x.stride(1) for x in tensors) or batch == 1
    together = layout.alike and one_dilation and mergeable
    for clips in [slice(0, batch)] if together else [slice(clip, clip + 1) for clip in range(batch)]:
        for run, dilation in _head_runs(window.dilations):
            # keys farther than the sequence is long do not exist
            reach, step = (0, 1) if dilation >= num_tokens else (window.reach, dilation)
            for first in range(step):
                length = len(range(first, num_tokens, step))
                left = min(reach, length - 1)
                yield _Strip(clips, run, first, step, left, 0 if window.causal else left, length)


def _generators(
    dropout_p: float, seed: int, device: torch.device
) -> tuple[torch.Generator | None, torch.Generator | None]:
    """One stream of random numbers for the windows and one for the rows of global tokens."""
    if dropout_p == 0.0:
        return None, None
    return torch.Generator(device).manual_seed(seed), torch.Generator(device).manual_seed(seed + 1)


def _global_rows(
    clip: int, layout: _Layout, q: Tensor, k: Tensor, generator: torch.Generator | None, dropout_p: float
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor, Tensor | None]]:
    """Weights of a clip's global tokens over all real tokens: heads, positions, queries, weights, kept."""
    dtype = score_dtype(q.dtype)
    positions = layout.positions[clip]
    if len(positions) == 0:
        return
    _, heads, num_tokens, head_dim = q.shape
    rows_per_tile = max(1, TILE_BYTES // (4 * num_tokens))
    heads_per_tile = max(1, rows_per_tile // len(positions))
    for first in range(0, heads, heads_per_tile):
        some = slice(first, min(heads, first + heads_per_tile))
        for rows in positions.split(rows_per_tile):
            queries = q[clip, some][:, rows]
            scores = (queries @ k[clip, some].mT).to(dtype).mul_(1.0 / math.sqrt(head_dim))
            if layout.valid is not None:
                scores.masked_fill_(~layout.valid[clip], -math.inf)
            weights = torch.softmax(scores, -1)
            kept = None
            if generator is not None:
                kept = torch.empty_like(weights).bernoulli_(1.0 - dropout_p, generator=generator)
                kept.div_(1.0 - dropout_p)
            yield some, rows, queries, weights, kept


def window_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    window: Window,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    dropout_p: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """The output of windowed attention with global tokens, (B, heads, N, d); arguments as at the door."""
    layout = _read_masks(q.shape[0], global_mask, valid_mask)
    out = torch.empty_like(_unit_stride(q))
    q, k, v = (_as_factor(x) for x in (q, k, v))
    desk = _Desk(q.device)
    in_windows, in_rows = _generators(dropout_p, seed, q.device)
    for strip in _strips(window, layout, (q, k, v, out)):
        k_global, v_global = _take_global(strip, layout, k), _take_global(strip, layout, v)
        scores = _StripScores(
            strip,
            strip.view(q),
            strip.view(k),
            k_global,
            strip.along(layout.key_ok),
            strip.along(layout.row_ok),
            in_windows,
            dropout_p,
            desk,
        )
        _forward_strip(scores, strip.view(v), v_global, strip.view(out))
    if layout.positions:
        own = (q, k, v) if projections is None else tuple(_as_factor(x) for x in projections)
        global_q, global_k, global_v = own
        for clip in range(q.shape[0]):
            for heads, rows, _, weights, kept in _global_rows(
                clip, layout, global_q, global_k, in_rows, dropout_p
            ):
                result = _times(weights, kept).to(global_v.dtype) @ global_v[clip, heads]
                out[clip, heads, rows] = result.to(out.dtype)
    if layout.valid is not None:
        out.masked_fill_(~layout.valid[:, None, :, None], 0.0)
    return out


def window_backward(
    grad_out: Tensor,
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    window: Window,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    dropout_p: float = 0.0,
    seed: int = 0,
) -> tuple[Tensor, ...]:
    """Gradients of q, k, v, and of the three projections of global tokens where there are any."""
    layout = _read_masks(q.shape[0], global_mask, valid_mask)
    given, dtype = q.dtype, score_dtype(q.dtype)
    q, k, v, grad_out = (_as_factor(x) for x in (q, k, v, grad_out))
    desk = _Desk(q.device)
    special = _special_rows(layout, q.shape[2])  # rows that the windows did not write: padding, global tokens
    grads = (
        torch.empty_like(q, dtype=dtype),
        torch.zeros_like(k, dtype=dtype),
        torch.zeros_like(v, dtype=dtype),
    )
    in_windows, in_rows = _generators(dropout_p, seed, q.device)
    for strip in _strips(window, layout, (q, k, v, out, grad_out, *grads)):
        k_global, v_global = _take_global(strip, layout, k), _take_global(strip, layout, v)
        scores = _StripScores(
            strip,
            strip.view(q),
            strip.view(k),
            k_global,
            strip.along(layout.key_ok),
            strip.along(layout.row_ok),
            in_windows,
            dropout_p,
            desk,
        )
        to_global = None
        if k_global is not None and v_global is not None:
            to_global = torch.zeros_like(k_global, dtype=dtype), torch.zeros_like(v_global, dtype=dtype)
        views = strip.view(grads[0]), strip.view(grads[1]), strip.view(grads[2])
        _backward_strip(
            scores,
            strip.view(v),
            v_global,
            strip.view(out),
            strip.view(grad_out),
            strip.along(special),
            views,
            to_global,
        )
        if to_global is not None:
            positions = layout.positions[strip.clips.start]
            for total, part in zip(grads[1:], to_global, strict=True):
                whole = total[strip.clips, strip.heads]
                whole[:, :, positions] += part.unflatten(0, whole.shape[:2])
    own = grads
    if projections is not None:
        own = tuple(torch.zeros_like(x, dtype=dtype) for x in projections)  # type: ignore[assignment]
    if layout.positions:
        sources = (q, k, v) if projections is None else tuple(_as_factor(x) for x in projections)
        global_q, global_k, global_v = sources
        for clip in range(q.shape[0]):
            for heads, rows, queries, weights, kept in _global_rows(
                clip, layout, global_q, global_k, in_rows, dropout_p
            ):
                upstream = grad_out[clip, heads][:, rows]
                dots = (upstream.to(dtype) * out[clip, heads][:, rows]).sum(-1, keepdim=True)
                used = _times(weights, kept).to(upstream.dtype)
                _add_product(own[2][clip, heads], used.mT, upstream)
                change = _times((upstream @ global_v[clip, heads].mT).to(dtype), kept)
                change = change.sub_(dots).mul_(weights).mul_(1.0 / math.sqrt(q.shape[-1])).to(queries.dtype)
                _add_product(own[1][clip, heads], change.mT, queries)
                own[0][clip, heads, rows] += change @ global_k[clip, heads]
    result = grads if projections is None else (*grads, *own)
    return tuple(x.to(given) for x in result)


def _special_rows(layout: _Layout, num_tokens: int) -> Tensor | None:
    if layout.positions:
        special = torch.zeros(
            len(layout.positions), num_tokens, dtype=torch.bool, device=layout.positions[0].device
        )
        for clip, positions in enumerate(layout.positions):
            special[clip, positions] = True
        return special if layout.valid is None else special | ~layout.valid
    return None if layout.valid is None else ~layout.valid


def _take_global(strip: _Strip, layout: _Layout, x: Tensor) -> Tensor | None:
    """Rows of the global tokens of the strip's clips, (Z, G, d); None where there are none."""
    if not layout.positions or len(layout.positions[strip.clips.start]) == 0:
        return None
    return x[strip.clips, strip.heads][:, :, layout.positions[strip.clips.start]].flatten(0, 1)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a · b, (Z, any, any); factors may be narrower than the total."""
    if total.dtype == a.dtype:
        total.baddbmm_(a, b)
    else:
        total += a @ b


def _as_factor(x: Tensor) -> Tensor:
    """As the products take it: see :func:`product_dtype`."""
    return _unit_stride(x).to(product_dtype(x.dtype))


def _unit_stride(x: Tensor) -> Tensor:
    """A matrix product wants the numbers of a token beside each other."""
    return x if x.stride(-1) == 1 else x.contiguous()
