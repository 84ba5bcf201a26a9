"""Uniform attention: one weight for every allowed key, the ablation that asks whether attention matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vtlearn.attention.full import FullAttention
from vtlearn.attention.kernel import AttentionKernel, GlobalProjections, WrappedKernel
from vtlearn.shapes import HeadTokens


@dataclass(frozen=True)
class UniformAttention(WrappedKernel):
    """Every query takes the plain mean of the values that ``over`` lets it attend to; q and k are not heard.

    VTN's ablation compares learned attention with such a hard-coded one. Queries of zero make all scores
    equal, also those of global tokens, so ``over`` itself does the work; q and k get no gradient.

    >>> q = k = torch.randn(1, 1, 2, 1)
    >>> UniformAttention()(q, k, torch.tensor([[[[1.0], [4.0]]]])).flatten()
    tensor([2.5000, 2.5000])
    """

    over: AttentionKernel = field(default_factory=FullAttention)

    def __call__(self, q: HeadTokens, k: HeadTokens, v: HeadTokens, **masks: Any) -> HeadTokens:
        zeros = torch.zeros_like(q)
        return self.over(zeros, zeros, v, **_unheard(zeros, masks))

    def weights(self, q: HeadTokens, k: HeadTokens, **masks: Any) -> Float[Tensor, "B heads N N"]:
        zeros = torch.zeros_like(q)
        return self.over.weights(zeros, zeros, **_unheard(zeros, masks))

    def beside_global_rows(self, project: Callable[[], GlobalProjections]) -> AttentionKernel | None:
        return None  # global tokens take the plain mean too


def _unheard(zeros: Tensor, masks: dict[str, Any]) -> dict[str, Any]:
    """The masks, with queries and keys of zero also where global tokens have projections of their own."""
    own = masks.get("global_projections")
    return masks if own is None else masks | {"global_projections": (zeros, zeros, own[2])}
