"""Longformer as Hugging Face publishes it: embeddings of tokens, positions and types under the windowed
encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, require, require_odd, require_positive, require_probability
from vtlearn.layers.longformer import LongformerEncoder
from vtlearn.models.classifier import freeze_tuples


@dataclass(frozen=True, kw_only=True)
class LongformerConfig:
    """Sizes of a published Longformer; ``window_size`` is two-sided and odd (the published even number plus
    one).
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_dim: int = 3072
    window_size: int | Sequence[int] = 513
    vocabulary: int = 50265
    num_positions: int = 4098
    num_types: int = 1
    padding_id: int = 1
    norm_eps: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        freeze_tuples(self, "window_size")
        require_positive(
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            mlp_dim=self.mlp_dim,
            vocabulary=self.vocabulary,
            num_positions=self.num_positions,
            num_types=self.num_types,
        )
        windows = (self.window_size,) if isinstance(self.window_size, int) else self.window_size
        for window in windows:
            require_odd(window_size=window)
        require_probability(dropout=self.dropout, attention_dropout=self.attention_dropout)


class Longformer(nn.Module):
    """Token, position and type embeddings, a norm, and the windowed encoder: ids or vectors in, hidden states
    out.

    Beltagy, Peters, Cohan, arXiv 2004.05150; the inputs carry the published names (``LongformerModel`` of
    transformers), so that its examples run unchanged. The pooler is left out.

    Args:
        config: the sizes.

    >>> model = Longformer(LongformerConfig(embed_dim=6, depth=1, num_heads=2, mlp_dim=12, window_size=3,
    ...     vocabulary=11, num_positions=20)).eval()
    >>> model(torch.tensor([[0, 5, 7, 2]])).shape
    torch.Size([1, 4, 6])
    """

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.embed_dim, padding_idx=config.padding_id)
        self.positions = nn.Embedding(config.num_positions, config.embed_dim, padding_idx=config.padding_id)
        self.types = nn.Embedding(config.num_types, config.embed_dim)
        for table in (self.words, self.positions, self.types):
            nn.init.normal_(table.weight, std=0.02)
        self.embed_norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.embed_dropout = nn.Dropout(config.dropout)
        self.encoder = LongformerEncoder(
            config.embed_dim,
            config.num_heads,
            config.depth,
            config.window_size,
            config.mlp_dim,
            config.dropout,
            attention_dropout=config.attention_dropout,
            eps=config.norm_eps,
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Hidden states ``(B, N, D)`` of the last layer; masks are 1 for real and for global, as published.

        Raises:
            ArgumentError: neither ids nor vectors, or both; a position past the table.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ArgumentError("input_ids", input_ids, "given, or inputs_embeds instead (exactly one)")
        if inputs_embeds is None:
            inputs_embeds = self.words(input_ids)
        batch, length, _ = inputs_embeds.shape
        device = inputs_embeds.device
        if position_ids is None:
            position_ids = self._positions_of(input_ids, batch, length, device)
        if not torch.compiler.is_compiling():
            last = int(position_ids.max())
            require(
                last < self.config.num_positions, "position_ids", last, f"below {self.config.num_positions}"
            )
        if token_type_ids is None:
            token_type_ids = torch.zeros(batch, length, dtype=torch.long, device=device)
        x = inputs_embeds + self.positions(position_ids) + self.types(token_type_ids)
        x = self.embed_dropout(self.embed_norm(x))
        valid = None if attention_mask is None or bool((attention_mask != 0).all()) else attention_mask != 0
        is_global = None if global_attention_mask is None else global_attention_mask != 0
        return self.encoder(x, valid_mask=valid, global_mask=is_global)

    def _positions_of(
        self, input_ids: Tensor | None, batch: int, length: int, device: torch.device
    ) -> Tensor:
        """Published rule: count from ``padding_id + 1``; padding tokens stay at ``padding_id``."""
        first = self.config.padding_id + 1
        if input_ids is None:
            return torch.arange(first, first + length, device=device).expand(batch, -1)
        real = (input_ids != self.config.padding_id).long()
        return real.cumsum(dim=1) * real + self.config.padding_id
