"""Baselines that a video transformer must beat: the mean of frame features, and a recurrent network over
them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.errors import require_positive
from vtlearn.layers.embed import check_clips
from vtlearn.layers.head import check_num_classes, linear_head
from vtlearn.models.classifier import VideoClassifier
from vtlearn.models.vit import ViT, ViTConfig


@dataclass(frozen=True, kw_only=True)
class FrameAverageConfig:
    """A ViT for the frames, and the classes."""

    backbone: ViTConfig | dict[str, Any] = dataclasses.field(default_factory=ViTConfig.base)
    num_frames: int = 8
    num_classes: int = 400

    def __post_init__(self) -> None:
        _settle_backbone(self)

    @classmethod
    def samples(cls) -> FrameAverageConfig:
        """Small enough to train on the bundled clips on a CPU."""
        return cls(backbone=ViTConfig.samples(), num_classes=8)


@dataclass(frozen=True, kw_only=True)
class FrameGRUConfig:
    """A ViT for the frames, the width and depth of the recurrent network, and the classes."""

    backbone: ViTConfig | dict[str, Any] = dataclasses.field(default_factory=ViTConfig.base)
    num_frames: int = 8
    hidden_dim: int = 768
    depth: int = 1
    num_classes: int = 400

    def __post_init__(self) -> None:
        _settle_backbone(self)
        require_positive(hidden_dim=self.hidden_dim, depth=self.depth)

    @classmethod
    def samples(cls) -> FrameGRUConfig:
        """Small enough to train on the bundled clips on a CPU."""
        return cls(backbone=ViTConfig.samples(), hidden_dim=64, num_classes=8)


def _settle_backbone(config: FrameAverageConfig | FrameGRUConfig) -> None:
    backbone = ViTConfig(**config.backbone) if isinstance(config.backbone, dict) else config.backbone
    object.__setattr__(config, "backbone", dataclasses.replace(backbone, num_classes=0))
    require_positive(num_frames=config.num_frames)
    check_num_classes(config.num_classes)


class _Framewise(VideoClassifier):
    """A ViT on every frame by itself."""

    def __init__(self, backbone: ViTConfig) -> None:
        super().__init__()
        self.backbone = ViT(backbone)

    def frame_features(self, clips: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T D"]:
        """Every frame's vector."""
        check_clips(clips, self.backbone.config.in_channels)
        return self.backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])

    def make_head(self, num_classes: int) -> nn.Module:
        return linear_head(self.num_features, num_classes)


class FrameAverage(_Framewise):
    """A ViT on every frame, the mean of their vectors, a linear head: it cannot tell a clip from its
    reversal.

    Args:
        config: the sizes.

    >>> model = FrameAverage(FrameAverageConfig.samples()).eval()
    >>> import torch
    >>> clips = torch.randn(1, 3, 3, 32, 32)
    >>> torch.allclose(model(clips), model(clips.flip(1)), atol=1e-6)
    True
    """

    config: FrameAverageConfig

    def __init__(self, config: FrameAverageConfig) -> None:
        assert isinstance(config.backbone, ViTConfig)
        super().__init__(config.backbone)
        self.config = config
        self.num_features = self.backbone.config.embed_dim
        self.head = self.make_head(config.num_classes)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B D"]:
        """The mean of the frames' vectors."""
        return self.frame_features(clips).mean(dim=1)


class FrameGRU(_Framewise):
    """A ViT on every frame and a gated recurrent network over their vectors: the older way to hear the order.

    Cho et al., arXiv 1406.1078, for the recurrent unit. The last hidden state is the clip's vector.

    Args:
        config: the sizes.

    >>> import torch
    >>> FrameGRU(FrameGRUConfig.samples())(torch.zeros(2, 3, 3, 32, 32)).shape
    torch.Size([2, 8])
    """

    config: FrameGRUConfig

    def __init__(self, config: FrameGRUConfig) -> None:
        assert isinstance(config.backbone, ViTConfig)
        super().__init__(config.backbone)
        self.config = config
        self.num_features = config.hidden_dim
        self.gru = nn.GRU(
            self.backbone.config.embed_dim, config.hidden_dim, num_layers=config.depth, batch_first=True
        )
        self.head = self.make_head(config.num_classes)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B D"]:
        """The recurrent network's state after the last frame."""
        states, _ = self.gru(self.frame_features(clips))
        return states[:, -1]
