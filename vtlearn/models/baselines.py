"""Baselines that a video transformer must beat: the mean of frame features, and a recurrent network over
them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
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


class GRU(nn.Module):
    """Gated recurrent units in layers (Cho et al., arXiv 1406.1078), with ``nn.GRU``'s weights and names.

    ``torch.compile`` does not take ``nn.GRU`` into a graph; here the loop over time is unrolled while
    compiling.

    >>> states = GRU(3, 5, num_layers=2)(torch.zeros(2, 7, 3))
    >>> states.shape
    torch.Size([2, 7, 5])
    """

    def __init__(self, input_dim: int, hidden_dim: int, num_layers: int = 1) -> None:
        super().__init__()
        self.hidden_dim, self.num_layers = hidden_dim, num_layers
        for layer in range(num_layers):
            width = input_dim if layer == 0 else hidden_dim
            shapes: dict[str, tuple[int, ...]]
            shapes = {"weight_ih": (3 * hidden_dim, width), "weight_hh": (3 * hidden_dim, hidden_dim)}
            shapes |= {"bias_ih": (3 * hidden_dim,), "bias_hh": (3 * hidden_dim,)}
            for name, shape in shapes.items():
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(torch.empty(shape)))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_dim**-0.5), hidden_dim**-0.5)

    def _layer(self, layer: int) -> list[Tensor]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}_l{layer}") for name in names]

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T F"]:
        """The last layer's state after every step; all states start at zero."""
        if not torch.compiler.is_compiling():
            weights = [weight for layer in range(self.num_layers) for weight in self._layer(layer)]
            start = x.new_zeros(self.num_layers, x.shape[0], self.hidden_dim)
            states, _ = torch.gru(x, start, weights, True, self.num_layers, 0.0, self.training, False, True)
            return states
        for layer in range(self.num_layers):
            state, states_of_layer = x.new_zeros(x.shape[0], self.hidden_dim), []
            for step in x.unbind(1):
                state = torch.gru_cell(step, state, *self._layer(layer))
                states_of_layer.append(state)
            x = torch.stack(states_of_layer, dim=1)
        return x


class FrameGRU(_Framewise):
    """A ViT on every frame and a gated recurrent network over their vectors: the older way to hear the order.

    The last hidden state of a :class:`GRU` is the clip's vector.

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
        self.gru = GRU(self.backbone.config.embed_dim, config.hidden_dim, config.depth)
        self.head = self.make_head(config.num_classes)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B D"]:
        """The recurrent network's state after the last frame."""
        return self.gru(self.frame_features(clips))[:, -1]
