"""Uniform attention: one weight for every allowed key, the ablation that asks whether attention matters."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vtlearn.attention.full import FullAttention
from vtlearn.attention.kernel import AttentionKernel
from vtlearn.attention.patterns import Pattern
from vtlearn.shapes import HeadTokens


@dataclass(frozen=True)
class UniformAttention(AttentionKernel):
    """Every query takes the plain mean of the values that ``over`` lets it attend to; q and k are not heard.

    VTN's ablation compares learned attention with such a hard-coded one. Queries of zero make all scores
    equal, so ``over`` itself does the work; q and k get no gradient.

    >>> q = k = torch.randn(1, 1, 2, 1)
    >>> UniformAttention()(q, k, torch.tensor([[[[1.0], [4.0]]]])).flatten()
    tensor([2.5000, 2.5000])
    """

    over: AttentionKernel = field(default_factory=FullAttention)

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
        zeros = torch.zeros_like(q)
        return self.over(zeros, zeros, v, valid_mask=valid_mask, global_mask=global_mask, dropout_p=dropout_p)

    def pattern(self, num_tokens: int) -> Pattern:
        return self.over.pattern(num_tokens)

    def weights(
        self,
        q: HeadTokens,
        k: HeadTokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B heads N N"]:
        zeros = torch.zeros_like(q)
        return self.over.weights(zeros, zeros, valid_mask=valid_mask, global_mask=global_mask)
