"""What every model shares: features, then a head that can be exchanged; configurations that survive JSON, and
what every stack of blocks is told.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.attention import MultiHeadAttention
from vtlearn.errors import ArgumentError, require, require_one_of, require_probability
from vtlearn.layers.block import ACTIVATIONS, check_width
from vtlearn.layers.embed import check_clips


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What every stack of pre-norm blocks is told; the image and video transformers add their own fields.

    With ``checkpointing`` each block keeps only its input and computes the rest again going backwards: the
    same numbers, less memory.

    >>> EncoderConfig(embed_dim=96, mlp_ratio=2.5).mlp_dim
    240
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    activation: str = "gelu"
    norm_eps: float = 1e-6
    dropout: float = 0.0
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    checkpointing: bool = False

    def check_encoder(self) -> None:
        """Refuse sizes and rates that cannot be."""
        check_width(self.embed_dim, self.num_heads, self.depth, self.mlp_ratio)
        require_one_of("activation", self.activation, ACTIVATIONS)
        require(self.norm_eps > 0, "norm_eps", self.norm_eps, "positive")
        require_probability(
            dropout=self.dropout, attention_dropout=self.attention_dropout, drop_path=self.drop_path
        )

    @property
    def mlp_dim(self) -> int:
        """Hidden width of the MLP."""
        return round(self.embed_dim * self.mlp_ratio)

    def block_options(self) -> dict[str, Any]:
        """What an :class:`~vtlearn.layers.block.EncoderBlock` is told beside its sizes and its drop path."""
        names = ("qkv_bias", "activation", "norm_eps", "dropout", "attention_dropout")
        return {name: getattr(self, name) for name in names}

    def new_attention(self) -> MultiHeadAttention:
        """A fresh multi-head attention of these sizes, with its own projections."""
        return MultiHeadAttention(
            self.embed_dim,
            self.num_heads,
            qkv_bias=self.qkv_bias,
            attention_dropout=self.attention_dropout,
            projection_dropout=self.dropout,
        )


class Classifier(nn.Module):
    """Base of all models: ``forward`` is ``forward_head`` of ``forward_features``.

    A subclass sets ``config``, ``num_features`` and ``head``, and writes ``forward_features`` and
    ``make_head``.
    """

    config: Any
    num_features: int
    head: nn.Module

    @property
    def num_classes(self) -> int:
        """Number of logits; 0 where the head is left out."""
        return int(self.config.num_classes)

    def make_head(self, num_classes: int) -> nn.Module:
        """A fresh head of this model's kind."""
        raise NotImplementedError

    def reset_classifier(self, num_classes: int) -> None:
        """Exchange the head for a fresh one of ``num_classes`` logits (0: none), on the device and dtype of
        the model.
        """
        like = next(self.parameters())
        self.head = self.make_head(num_classes).to(device=like.device, dtype=like.dtype)
        self.config = dataclasses.replace(self.config, num_classes=num_classes)

    def forward_head(self, features: Tensor) -> Tensor:
        """Features ``(B, num_features)`` to logits ``(B, num_classes)``."""
        return self.head(features)


class VideoClassifier(Classifier):
    """A model of clips ``(B, T, C, H, W)``; ``frame_index`` is accepted by all and read by VTN only."""

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B F"]:
        """Clips to one vector a clip."""
        raise NotImplementedError

    def forward(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B K"]:
        return self.forward_head(self.forward_features(clips, frame_index))


def check_clip_size(
    clips: Tensor, in_channels: int, num_frames: int | None, image_size: tuple[int, int] | None, why: str
) -> None:
    """Refuse clips of another layout, or of another length or size than a model with fixed positions was made
    for.
    """
    check_clips(clips, in_channels)
    if num_frames is not None and clips.shape[1] != num_frames:
        raise ArgumentError("number of frames T", clips.shape[1], f"{num_frames}, {why}")
    if image_size is not None and tuple(clips.shape[3:]) != image_size:
        raise ArgumentError("frame size (H, W)", tuple(clips.shape[3:]), f"{image_size}, {why}")


def freeze_tuples(config: object, *names: str) -> None:
    """Turn lists that came from JSON into tuples, inside a frozen dataclass's ``__post_init__``."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, list):
            object.__setattr__(config, name, tuple(value))


def count_parameters(model: nn.Module) -> int:
    """Numbers a model learns (buffers not counted).

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters())


def learned_table(*shape: int, std: float = 0.02) -> nn.Parameter:
    """A learned table, started as a truncated normal of deviation ``std`` (zeros for ``std=0``)."""
    table = torch.zeros(shape)
    if std > 0:
        nn.init.trunc_normal_(table, std=std)
    return nn.Parameter(table)
