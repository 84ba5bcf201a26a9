"""The peers of windowed attention, each as its package ships it, and the proof that all compute the same.

What is compared is attention itself: queries, keys and values come projected, in the layout that an
implementation takes by nature, so that none pays for another's. One token is global, except where a peer
knows no such thing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from benchmarks.targets import FLEX, FULL, LOCAL, LONGFORMER, MASKED
from benchmarks.timing import Call, peak_growth
from vtlearn.attention import (
    Full,
    GlobalTokens,
    Pattern,
    SlidingWindow,
    reference_attention,
    sliding_window_attention,
)

OURS = "vtlearn"
DILATION = 4
DILATED = f"vtlearn, dilation {DILATION}"
MOST_MASK_BYTES = 256e6
"""A dense mask larger than this is not made."""


class LeftOut(Exception):
    """A peer that is not measured here; the message says why."""


@dataclass(frozen=True)
class Problem:
    """Sizes, dtype and device of one cell."""

    n: int
    reach: int
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    batch: int = 1
    heads: int = 12
    head_dim: int = 64

    @property
    def window_size(self) -> int:
        return 2 * self.reach + 1

    def pattern(self) -> Pattern:
        """The window and one global token."""
        return SlidingWindow(self.window_size) | GlobalTokens(0)

    def global_mask(self) -> Tensor:
        mask = torch.zeros(self.batch, self.n, dtype=torch.bool, device=self.device)
        mask[:, 0] = True
        return mask

    def draw(self, seed: int) -> Tensor:
        """Random numbers as (B, heads, n, d), the same on every device."""
        shape = (self.batch, self.heads, self.n, self.head_dim)
        drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        return drawn.to(self.device, self.dtype)


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Built:
    """An implementation ready to be called, and the bytes it holds besides its inputs (a mask)."""

    attend: Attend
    held_bytes: int = 0


@dataclass(frozen=True)
class Implementation:
    """One way to compute it.

    ``build`` makes it for a problem, outside the measured time. ``pattern`` is who attends to whom in it.
    ``tokens_first``: it takes (B, n, heads · d) and not (B, heads, n, d). ``any_reach``: its time knows no
    reach. ``order``: its time grows with n to this power.
    """

    build: Callable[[Problem], Built]
    pattern: Callable[[Problem], Pattern] = field(default=Problem.pattern)
    tokens_first: bool = False
    any_reach: bool = False
    order: int = 1
    trains_on_cpu: bool = True

    def layout(self, x: Tensor) -> Tensor:
        """(B, heads, n, d) in the layout it takes."""
        return x.transpose(1, 2).flatten(2).contiguous() if self.tokens_first else x.contiguous()

    def by_heads(self, x: Tensor, heads: int) -> Tensor:
        """Its layout as (B, heads, n, d) again."""
        return x.unflatten(2, (heads, -1)).transpose(1, 2) if self.tokens_first else x


def ours(problem: Problem) -> Built:
    """This library's door."""
    is_global, window = problem.global_mask(), problem.window_size
    return Built(lambda q, k, v: sliding_window_attention(q, k, v, window_size=window, global_mask=is_global))


def ours_dilated(problem: Problem) -> Built:
    """The same window over every few tokens."""
    is_global, window = problem.global_mask(), problem.window_size
    return Built(
        lambda q, k, v: sliding_window_attention(
            q, k, v, window_size=window, dilation=DILATION, global_mask=is_global
        )
    )


def longformer(problem: Problem) -> Built:
    """The attention of transformers' LongformerSelfAttention, its six projections replaced by nothing."""
    try:
        from transformers import LongformerConfig
        from transformers.models.longformer.modeling_longformer import LongformerSelfAttention
    except ImportError:
        raise LeftOut("not installed") from None
    if problem.n % (2 * problem.reach):
        raise LeftOut("takes multiples of its window only")
    config = LongformerConfig(
        hidden_size=problem.heads * problem.head_dim,
        num_attention_heads=problem.heads,
        attention_window=[2 * problem.reach],
        attention_probs_dropout_prob=0.0,
    )
    module = LongformerSelfAttention(config, layer_id=0).eval().to(problem.device, problem.dtype)
    handed = _Handed()
    for name in ("query", "key", "value", "query_global", "key_global", "value_global"):
        setattr(module, name, _InPlaceOfProjection(handed, name))
    codes = torch.zeros(problem.batch, problem.n, device=problem.device)
    codes[:, 0] = 10000.0
    is_global, is_masked = codes > 0, codes < 0

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        handed.q, handed.k, handed.v = q, k, v
        return module(
            q,
            attention_mask=codes,
            is_index_masked=is_masked,
            is_index_global_attn=is_global,
            is_global_attn=True,
        )[0]

    return Built(attend)


class _Handed:
    """The queries, keys and values of the current call, (B, n, heads · d)."""

    q: Tensor
    k: Tensor
    v: Tensor


class _InPlaceOfProjection(torch.nn.Module):
    """Hands out what is projected already, tokens first as the module has it.

    The module divides the queries in place, so they are handed out as a copy: the one cost that is not its
    own, about a hundredth of its time.
    """

    def __init__(self, handed: _Handed, name: str) -> None:
        super().__init__()
        self.handed, self.name = handed, name

    def forward(self, x: Tensor) -> Tensor:
        chosen = {"q": self.handed.q, "k": self.handed.k, "v": self.handed.v}[self.name[0]].transpose(0, 1)
        if self.name == "query_global":
            return chosen[:1].clone()
        return chosen.clone() if self.name == "query" else chosen


def local_attention(problem: Problem) -> Built:
    """lucidrains' local-attention: blocks that look one block to each side, cut to the exact window."""
    try:
        from local_attention import LocalAttention  # type: ignore[import-not-found]
    except ImportError:
        raise LeftOut("not installed") from None
    module = LocalAttention(
        window_size=problem.reach,
        causal=False,
        look_backward=1,
        look_forward=1,
        exact_windowsize=True,
        use_rotary_pos_emb=False,
        autopad=True,
    ).to(problem.device)
    return Built(lambda q, k, v: module(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)).view_as(q))


def flex(problem: Problem) -> Built:
    """torch's flex attention, compiled, with a block mask made once."""
    if problem.device == "cpu" and shutil.which("g++") is None and shutil.which("clang++") is None:
        raise LeftOut("no C++ compiler")
    torch._dynamo.config.recompile_limit = 64  # it would fall back to dense products after eight sizes
    block_mask = _flex_block_mask(problem)
    compiled = torch.compile(flex_attention, dynamic=False)
    return Built(lambda q, k, v: compiled(q, k, v, block_mask=block_mask))


def _flex_block_mask(problem: Problem, block: int = 128) -> BlockMask:
    """``create_block_mask`` row by row: it would need several numbers for each of n² pairs."""
    pattern, n = problem.pattern(), problem.n
    if n % block:
        raise LeftOut(f"measured at multiples of {block} tokens")
    some, every = [], []
    keys = torch.arange(n)
    for start in range(0, n, block):
        allowed = pattern.allows(torch.arange(start, start + block)[:, None], keys[None, :])
        counts = allowed.unflatten(1, (-1, block)).sum((0, 2))
        some.append((counts > 0) & (counts < block * block))
        every.append(counts == block * block)

    def packed(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
        chosen = torch.stack(rows).to(problem.device)
        order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        return chosen.sum(1, dtype=torch.int32)[None, None], order.to(torch.int32)[None, None]

    return BlockMask.from_kv_blocks(
        *packed(some),
        *packed(every),
        BLOCK_SIZE=block,
        mask_mod=pattern.mask_mod(),
        seq_lengths=(n, n),
    )


def fused_full(problem: Problem) -> Built:
    """torch's fused attention, everyone to everyone."""
    return Built(lambda q, k, v: F.scaled_dot_product_attention(q, k, v))


def fused_masked(problem: Problem) -> Built:
    """torch's fused attention under the window's dense mask, made once in the form it adds to the scores."""
    held = problem.n**2 * problem.dtype.itemsize
    if held > MOST_MASK_BYTES:
        raise LeftOut(f"its mask of n² numbers takes {held / 1e6:.0f} MB")
    allowed = problem.pattern().mask(problem.n).to(problem.device)
    bias = torch.zeros(problem.n, problem.n, dtype=problem.dtype, device=problem.device)
    bias.masked_fill_(~allowed, float("-inf"))
    return Built(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=bias), held)


IMPLEMENTATIONS: dict[str, Implementation] = {
    OURS: Implementation(ours),
    DILATED: Implementation(ours_dilated, lambda p: _dilated_pattern(p)),
    LONGFORMER: Implementation(longformer, tokens_first=True),
    LOCAL: Implementation(local_attention, lambda p: SlidingWindow(p.window_size)),
    FLEX: Implementation(flex, trains_on_cpu=False),
    FULL: Implementation(fused_full, lambda p: Full(), any_reach=True, order=2),
    MASKED: Implementation(fused_masked, any_reach=True, order=2),
}
"""Ours, and every peer that installs from the package index."""

PEERS = tuple(name for name in IMPLEMENTATIONS if name not in (OURS, DILATED))


def _dilated_pattern(problem: Problem) -> Pattern:
    from vtlearn.attention import Dilated

    return Dilated(problem.window_size, DILATION) | GlobalTokens(0)


class Inputs:
    """Queries, keys, values and the gradient of the output, drawn once for each layout and dtype."""

    def __init__(self) -> None:
        self.drawn: dict[tuple[bool, Problem], tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    def of(self, implementation: Implementation, problem: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        key = implementation.tokens_first, replace(problem, reach=0)
        if key not in self.drawn:
            q, k, v, upstream = (implementation.layout(problem.draw(seed)) for seed in range(4))
            self.drawn[key] = q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), upstream
        return self.drawn[key]


def build(name: str, problem: Problem, training: bool) -> Built:
    """The implementation for this problem.

    Raises:
        LeftOut: it is not there, or has no such mode.
    """
    implementation = IMPLEMENTATIONS[name]
    if training and problem.device == "cpu" and not implementation.trains_on_cpu:
        raise LeftOut("has no backward on a CPU")
    return implementation.build(problem)


def call_of(attend: Attend, tensors: tuple[Tensor, Tensor, Tensor, Tensor], training: bool) -> Call:
    """One call to measure: forward without gradients, or forward and backward."""
    q, k, v, upstream = tensors
    plain = q.detach(), k.detach(), v.detach()

    def forward() -> None:
        with torch.no_grad():
            attend(*plain)

    def train() -> None:
        attend(q, k, v).backward(upstream)
        q.grad = k.grad = v.grad = None

    return train if training else forward


def memory_of(name: str, problem: Problem, training: bool) -> int:
    """Bytes that one call needs above its inputs, for a fresh process; a mask held for it is counted.

    The call runs once before, so that code is loaded and compiled; what it left behind is given back.
    """
    built = build(name, problem, training)
    call = call_of(built.attend, Inputs().of(IMPLEMENTATIONS[name], problem), training)
    call()
    return peak_growth(call, problem.device) + built.held_bytes


TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 4e-2, torch.float16: 1e-2}


def difference(name: str, problem: Problem) -> float:
    """The largest difference between an implementation and the dense reference under its pattern, by the
    largest number in the reference's output or gradients; gradients where it has any.

    Raises:
        LeftOut: it is not there.
    """
    implementation = IMPLEMENTATIONS[name]
    q, k, v, upstream = Inputs().of(implementation, problem)
    exact = [implementation.by_heads(x.detach(), problem.heads).double().requires_grad_() for x in (q, k, v)]
    wanted = reference_attention(exact[0], exact[1], exact[2], implementation.pattern(problem))
    wanted.backward(implementation.by_heads(upstream, problem.heads).double())
    trains = implementation.trains_on_cpu or problem.device != "cpu"
    attend = build(name, problem, trains).attend
    if trains:
        out = attend(q, k, v)
        out.backward(upstream)
        pairs = [(out, wanted), *((x.grad, y.grad) for x, y in zip((q, k, v), exact, strict=True))]
    else:
        with torch.no_grad():
            pairs = [(attend(q.detach(), k.detach(), v.detach()), wanted)]
    worst = 0.0
    for got, right in pairs:
        assert got is not None
        assert right is not None
        got, right = implementation.by_heads(got.detach(), problem.heads).double(), right.detach()
        worst = max(worst, float((got - right).abs().max() / right.abs().max()))
    return worst


def check_equal(names: tuple[str, ...], problem: Problem) -> dict[str, float | str]:
    """Each implementation's :func:`difference` at a small size, or why it is left out.

    Raises:
        AssertionError: one computes something else, so comparing times would mean nothing.
    """
    found: dict[str, float | str] = {}
    for name in names:
        try:
            apart = difference(name, problem)
        except LeftOut as reason:
            found[name] = str(reason)
            continue
        assert apart <= TOLERANCE[problem.dtype], f"{name} differs by {apart:.2g}: {problem}"
        found[name] = apart
    return found
