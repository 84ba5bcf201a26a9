"""The Longformer encoder for a sequence that is still arriving: each token sees a window of the past, and a
reader stands beside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vtlearn.attention.sliding_window import SlidingWindowAttention
from vtlearn.errors import require
from vtlearn.layers.longformer import LongformerEncoder, LongformerLayer
from vtlearn.shapes import Tokens

BLOCK = 128
"""Tokens that are computed together: a long sequence costs its length times this, and never its square."""

Heads = Float[Tensor, "B heads n d"]


@dataclass(frozen=True)
class RecentAttention:
    """Attention of each query to the keys of the last ``reach`` tokens, of its own token, and of its partner.

    Keys and values may be more than the queries: the first ones are then those of earlier tokens. The partner
    is one more key that this query alone sees; all share one softmax.

    >>> ones = torch.ones(1, 1, 2, 1)
    >>> past_and_new = torch.tensor([[[[8.0], [2.0], [4.0]]]])
    >>> RecentAttention(reach=1)(0 * ones, 0 * past_and_new, past_and_new, 0 * ones, 2 * ones).flatten()
    tensor([4.0000, 2.6667])
    """

    reach: int

    def __call__(
        self,
        q: Heads,
        k: Float[Tensor, "B heads m d"],
        v: Float[Tensor, "B heads m d"],
        partner_k: Heads,
        partner_v: Heads,
        dropout_p: float = 0.0,
    ) -> Heads:
        scale = q.shape[-1] ** -0.5
        new, held = q.shape[2], k.shape[2]
        queries = torch.arange(held - new, held, device=q.device)[:, None]
        keys = torch.arange(held, device=q.device)[None]
        hidden = (keys > queries) | (keys < queries - self.reach)
        scores = (q @ k.transpose(-1, -2) * scale).masked_fill(hidden, float("-inf"))
        own = (q * partner_k).sum(-1, keepdim=True) * scale
        weights = torch.cat([own, scores], dim=-1).float().softmax(dim=-1).to(q.dtype)
        weights = F.dropout(weights, dropout_p, training=dropout_p > 0.0)
        return weights[..., :1] * partner_v + weights[..., 1:] @ v


class Recent(NamedTuple):
    """What one layer keeps of the past: keys and values of its last ``reach`` tokens, in both projections."""

    k: Float[Tensor, "B heads m d"]
    v: Float[Tensor, "B heads m d"]
    global_k: Float[Tensor, "B heads m d"]
    global_v: Float[Tensor, "B heads m d"]


class CausalLongformerLayer(LongformerLayer):
    """A post-norm Longformer layer, with the same weights, of which every token has a reader of its own.

    A token reads the last ``window_size // 2`` tokens, itself and its reader through ``query, key, value``;
    the reader reads the same tokens and itself through ``query_global, key_global, value_global``, as a
    global token does, but no token that is older or yet to come.
    """

    def __init__(self, *args: Any, kernel: SlidingWindowAttention, **options: Any) -> None:
        super().__init__(*args, kernel=kernel, **options)
        self.recent = RecentAttention(kernel.window_size // 2)

    def advance(self, x: Tokens, readers: Tokens, past: Recent | None) -> tuple[Tokens, Tokens, Recent]:
        """New tokens and their readers through the layer, and what to keep for those that follow."""
        attention, dropout_p = self.attention, self.attention.attention_dropout if self.training else 0.0

        def heads(project: nn.Module, tokens: Tensor) -> Tensor:
            return attention._heads(project(tokens))

        projections = (attention.key, attention.value, attention.key_global, attention.value_global)
        new = [heads(project, x) for project in projections]
        seen = new if past is None else [torch.cat(pair, dim=2) for pair in zip(past, new, strict=True)]
        partners = [heads(project, readers) for project in projections]
        queries = (heads(attention.query, x), heads(attention.query_global, readers))
        read = []
        for number, query in enumerate(queries):
            k, v = seen[2 * number : 2 * number + 2]
            partner_k, partner_v = partners[2 * number : 2 * number + 2]
            out = self.recent(query, k, v, partner_k, partner_v, dropout_p)
            read.append(out.transpose(1, 2).flatten(2))
        update = self.dropout(self.attention_output(torch.cat(read)))
        both = self.attention_norm(torch.cat([x, readers]) + update)
        both = self.output_norm(both + self.transform(both))
        first = max(seen[0].shape[2] - self.recent.reach, 0)
        return both[: len(x)], both[len(x) :], Recent(*(tensor[:, :, first:] for tensor in seen))


class CausalLongformerEncoder(LongformerEncoder):
    """A stack of :class:`CausalLongformerLayer`, run over a whole sequence or over what arrives next.

    A token's reader hears the last ``1 + depth · reach`` tokens. What must be kept of the past does not grow:
    at most ``reach`` keys and values a layer.

    Args: those of :class:`~vtlearn.layers.longformer.LongformerEncoder`, dilation and norms in front aside.

    >>> encoder = CausalLongformerEncoder(12, 3, depth=2, window_sizes=5, intermediate_dim=24).eval()
    >>> x, readers = torch.randn(2, 1, 7, 12)
    >>> whole, _ = encoder.advance(x, readers)
    >>> first, past = encoder.advance(x[:, :4], readers[:, :4])
    >>> rest, past = encoder.advance(x[:, 4:], readers[:, 4:], past)
    >>> torch.allclose(torch.cat([first, rest], dim=1), whole, atol=1e-5)
    True
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        depth: int,
        window_sizes: int | Sequence[int],
        intermediate_dim: int,
        dropout: float = 0.0,
        *,
        attention_dropout: float = 0.0,
        eps: float = 1e-12,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            embed_dim,
            num_heads,
            depth,
            window_sizes,
            intermediate_dim,
            dropout,
            attention_dropout=attention_dropout,
            causal=True,
            eps=eps,
            layer=CausalLongformerLayer,
            checkpointing=checkpointing,
        )

    def advance(
        self, x: Tokens, readers: Tokens, past: Sequence[Recent] | None = None
    ) -> tuple[Tokens, tuple[Recent, ...]]:
        """The readers of the new tokens after the last layer, and what to keep for the tokens that follow."""
        require(x.shape == readers.shape, "readers", tuple(readers.shape), f"of x's shape {tuple(x.shape)}")
        require(x.shape[1] > 0, "x", tuple(x.shape), "of one token or more")
        kept: list[Recent | None] = list(past) if past is not None else [None] * len(self.layers)
        read = []
        for part, reader in zip(x.split(BLOCK, dim=1), readers.split(BLOCK, dim=1), strict=True):
            for number, layer in enumerate(self.layers):
                assert isinstance(layer, CausalLongformerLayer)
                if self.checkpointing and torch.is_grad_enabled():
                    part, reader, kept[number] = checkpoint(
                        layer.advance, part, reader, kept[number], use_reentrant=False
                    )
                else:
                    part, reader, kept[number] = layer.advance(part, reader, kept[number])
            read.append(reader)
        return torch.cat(read, dim=1), tuple(recent for recent in kept if recent is not None)
