"""Full attention: everyone attends to everyone, in one fused call, or in two products where these win."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from vtlearn.attention.kernel import AttentionKernel, refuse_global, require_attention_inputs
from vtlearn.attention.patterns import Causal, Full, Pattern
from vtlearn.errors import require_probability
from vtlearn.shapes import HeadTokens

TRAINED_IN_PRODUCTS = range(8, 25)
"""Lengths at which float32 trains faster on a CPU by two products and a softmax than by the fused call.

Measured on an AVX-512 CPU (Zen 4, one thread, CPU time, median of 7 interleaved rounds, heads of 24 and of
64 channels), time of forward and backward by that of the fused call: n 4 1.0, n 8 0.73 and 0.89, n 17 0.65
and 0.98, n 32 0.92 and 1.05, n 64 1.1 and 1.25. Forward alone the fused call is rarely behind.
"""

BFLOAT16_IN_PRODUCTS = 256
"""Up to this length bfloat16 is faster in products too, where the processor multiplies it.

Measured likewise, n 4 to 197: forward 0.47 to 1.0 of the fused call, forward and backward 0.12 to 0.44.
Beyond it the table of pairs, which training keeps, would weigh more than the time it saves.
"""


def full_attention(
    q: HeadTokens,
    k: HeadTokens,
    v: HeadTokens,
    *,
    valid_mask: Bool[Tensor, "B N"] | None = None,
    causal: bool = False,
    dropout_p: float = 0.0,
) -> HeadTokens:
    """Every query attends to every real key (every earlier one where ``causal``).

    Source: 1706.03762, section 3.2.1. Costs 2·N²·d multiply-adds a head; the fused kernels keep memory linear
        in N.

    Args:
        q, k, v: (B, heads, N, d).
        valid_mask: (B, N), True = real. Padding is no key and its own row comes out as zeros.
        causal: no key after the query.
        dropout_p: share of the weights set to zero, the rest scaled up; pass 0 outside training.

    Raises:
        ArgumentError: shapes or dtypes that do not fit.

    >>> q = k = torch.zeros(1, 1, 2, 1)
    >>> full_attention(q, k, torch.tensor([[[[1.0], [3.0]]]])).flatten()
    tensor([2., 2.])
    """
    require_attention_inputs(q, k, v, valid_mask=valid_mask)
    require_probability(dropout_p=dropout_p)
    if valid_mask is None:
        if not causal and dropout_p == 0.0 and _faster_in_products(q, k, v):
            return two_products(q, k, v)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, is_causal=causal)
    # A clip without one real token would leave softmax an empty row; its rows are zeroed below, so it may
    # look anywhere.
    keys = (valid_mask | ~valid_mask.any(-1, keepdim=True))[:, None, None, :]
    if causal:
        past = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()
        keys = keys & past | ~valid_mask[:, None, :, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout_p)
    return out.masked_fill(~valid_mask[:, None, :, None], 0.0)


def two_products(q: HeadTokens, k: HeadTokens, v: HeadTokens) -> HeadTokens:
    """Full attention as the formula reads: scores, softmax, mean. N² numbers a head are kept for training.

    >>> q = k = torch.zeros(1, 1, 2, 1)
    >>> two_products(q, k, torch.tensor([[[[1.0], [3.0]]]])).flatten()
    tensor([2., 2.])
    """
    scores = (q * (1.0 / math.sqrt(q.shape[-1]))) @ k.mT
    return torch.softmax(scores, dim=-1) @ v  # softmax adds up in float32 whatever it is given


def _faster_in_products(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether two products beat the fused call, by the measurements above."""
    if q.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if q.dtype == torch.bfloat16:
        return q.shape[2] <= BFLOAT16_IN_PRODUCTS and multiplies_bfloat16()
    if q.dtype == torch.float16 or q.shape[2] not in TRAINED_IN_PRODUCTS:
        return False
    return torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)


def forward_in_products(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether a forward pass alone, which may use one table twice, is faster in products."""
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
        return False
    return q.dtype == torch.bfloat16 and _faster_in_products(q, k, v)


@lru_cache(maxsize=1)
def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions that multiply bfloat16; emulated, it is slower than float32."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in names)


@dataclass(frozen=True)
class FullAttention(AttentionKernel):
    """:func:`full_attention` as a kernel object; a global mask changes nothing, since everything is global.

    >>> FullAttention().pattern(3).density(3)
    1.0
    """

    causal: bool = False

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
        if self.causal:
            refuse_global(global_mask, self)
        return full_attention(q, k, v, valid_mask=valid_mask, causal=self.causal, dropout_p=dropout_p)

    def pattern(self, num_tokens: int) -> Pattern:
        return Causal() if self.causal else Full()
