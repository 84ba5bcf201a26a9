"""Full attention: everyone attends to everyone, in one fused call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from vtlearn.attention.kernel import AttentionKernel, refuse_global, require_attention_inputs
from vtlearn.attention.patterns import Causal, Full, Pattern
from vtlearn.errors import require_probability
from vtlearn.shapes import HeadTokens


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
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, is_causal=causal)
    # A clip without one real token would leave softmax an empty row; its rows are zeroed below, so it may
    # look anywhere.
    keys = (valid_mask | ~valid_mask.any(-1, keepdim=True))[:, None, None, :]
    if causal:
        past = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()
        keys = keys & past | ~valid_mask[:, None, :, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout_p)
    return out.masked_fill(~valid_mask[:, None, :, None], 0.0)


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
