"""Dense attention under any pattern: the whole table of pairs is computed, the forbidden ones masked out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from vtlearn.attention.kernel import AttentionKernel, open_global, require_attention_inputs
from vtlearn.attention.patterns import Pattern
from vtlearn.errors import ArgumentError, require_probability
from vtlearn.shapes import HeadTokens


def dense_attention(
    q: HeadTokens,
    k: HeadTokens,
    v: HeadTokens,
    pattern: Pattern,
    *,
    valid_mask: Bool[Tensor, "B N"] | None = None,
    global_mask: Bool[Tensor, "B N"] | None = None,
    dropout_p: float = 0.0,
) -> HeadTokens:
    """Attention under ``pattern`` by a dense mask; masking alone saves nothing: it costs full attention.

    For schemes without a kernel of their own, such as TimeSformer's sparse local and global steps
    (2102.05095, section 3). Costs 2·N²·d multiply-adds a head and a table of N² masks.

    Args:
        q, k, v: (B, heads, N, d).
        pattern: the rule.
        valid_mask: (B, N), True = real. Padding is no key and its own row comes out as zeros.
        global_mask: (B, N), True = attends to all and is attended by all.
        dropout_p: share of the weights set to zero, the rest scaled up; pass 0 outside training.

    Raises:
        ArgumentError: shapes or dtypes that do not fit; a query whose row of the pattern is empty.

    >>> import torch
    >>> from vtlearn.attention.patterns import Causal
    >>> q = k = torch.zeros(1, 1, 2, 1)
    >>> dense_attention(q, k, torch.tensor([[[[1.0], [3.0]]]]), Causal()).flatten()
    tensor([1., 2.])
    """
    require_attention_inputs(q, k, v, valid_mask=valid_mask, global_mask=global_mask)
    require_probability(dropout_p=dropout_p)
    allowed = open_global(pattern.mask(q.shape[2], device=q.device), global_mask)
    if valid_mask is not None:
        allowed = allowed & valid_mask[:, None, None, :] | ~valid_mask[:, None, :, None]
    _refuse_empty_rows(pattern, allowed)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=dropout_p)
    return out if valid_mask is None else out.masked_fill(~valid_mask[:, None, :, None], 0.0)


def _refuse_empty_rows(pattern: Pattern, allowed: Tensor) -> None:
    if torch.compiler.is_compiling():  # a compiled graph cannot stop half-way to look at numbers
        return
    empty = ~allowed.any(-1)
    if bool(empty.any()):
        row = int(empty.nonzero()[0, -1])
        raise ArgumentError("pattern", pattern, f"one that leaves query {row} a real key to attend to")


@dataclass(frozen=True)
class DenseAttention(AttentionKernel):
    """:func:`dense_attention` under ``rule`` as a kernel object.

    >>> from vtlearn.attention.patterns import SameFrame
    >>> from vtlearn.shapes import TokenGrid
    >>> DenseAttention(SameFrame(TokenGrid(2, 1, 3))).pattern(6).density(6)
    0.5
    """

    rule: Pattern

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
        return dense_attention(
            q, k, v, self.rule, valid_mask=valid_mask, global_mask=global_mask, dropout_p=dropout_p
        )

    def pattern(self, num_tokens: int) -> Pattern:
        return self.rule
