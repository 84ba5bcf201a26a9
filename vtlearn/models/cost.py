"""What a model costs: its parameters and multiply-adds a clip, counted without any numbers on the meta
device.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vtlearn.attention.kernel import WrappedKernel, exchanged_kernels
from vtlearn.errors import require_positive
from vtlearn.layers.embed import as_pair
from vtlearn.layers.longformer_causal import RecentAttention
from vtlearn.models.catalogue import build_model
from vtlearn.models.classifier import count_parameters
from vtlearn.models.resnet import ResNetConfig
from vtlearn.models.vit import ViTConfig

CONVENTION = (
    "one multiply-add is one operation; linear layers, convolutions and the two products of attention (over "
    "the pairs that the pattern allows) are counted; softmax, norms, biases and activations are not"
)
"""What :func:`model_cost` counts: the convention of the TimeSformer and ViViT tables, where "FLOPs" are
multiply-adds.
"""


@dataclass(frozen=True)
class ModelCost:
    """Parameters, and multiply-adds for one clip: of linear layers and convolutions, and of the attention
    products.
    """

    parameters: int
    linear: int
    attention: int

    @property
    def multiply_adds(self) -> int:
        """All multiply-adds, attention products included (TimeSformer's and ViViT's convention)."""
        return self.linear + self.attention


@dataclass(frozen=True)
class _Counted(WrappedKernel):
    """A kernel that computes nothing and writes down what ``over`` would cost."""

    calls: list[int] = field(compare=False)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **masks: Any) -> Tensor:
        batch, heads, tokens, head_dim = q.shape
        global_tokens = int(masks.get("global_mask") is not None)
        pairs = self.over.allowed_pairs(tokens, num_heads=heads, global_tokens=global_tokens)
        self.calls.append(2 * batch * pairs * head_dim)
        return torch.empty_like(q)


@dataclass(frozen=True)
class _CountedRecent(RecentAttention):
    """The causal windows of a running model, counted likewise: a window's past half, and the partner."""

    calls: list[int] = field(default_factory=list, compare=False)

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        partner_k: Tensor,
        partner_v: Tensor,
        dropout_p: float = 0.0,
    ) -> Tensor:
        batch, heads, new, head_dim = q.shape
        first = k.shape[2] - new
        pairs = sum(min(position, self.reach) + 2 for position in range(first, first + new))
        self.calls.append(2 * batch * heads * pairs * head_dim)
        return torch.empty_like(q)


def input_shape(config: Any, num_frames: int | None = None) -> tuple[int, ...]:
    """The shape of one input of a model of this configuration, with a batch axis of 1.

    >>> input_shape(ViTConfig.base())
    (1, 3, 224, 224)
    """
    image = isinstance(config, (ViTConfig, ResNetConfig))
    inner = config if hasattr(config, "image_size") else getattr(config, "backbone", None)
    height, width = as_pair("image_size", getattr(inner, "image_size", 224))
    channels = getattr(inner, "in_channels", 3)
    if image:
        return (1, channels, height, width)
    frames = config.num_frames if num_frames is None else num_frames
    require_positive(num_frames=frames)
    return (1, frames, channels, height, width)


def model_cost(config: Any, num_frames: int | None = None) -> ModelCost:
    """Parameters and multiply-adds of one clip (one view) for a model of this configuration; see
    :data:`CONVENTION`.

    The model is built on the meta device, so even the largest takes a second and no memory.

    Args:
        config: a configuration of :mod:`vtlearn.models`.
        num_frames: frames of the clip, where not the configured number (VTN takes any).

    >>> cost = model_cost(ViTConfig.base())
    >>> cost.parameters, round(cost.multiply_adds / 1e9, 2)
    (86567656, 17.56)
    """
    with torch.device("meta"):
        model = build_model(config).eval()
        clip = torch.empty(input_shape(config, num_frames))
    calls: list[int] = []
    with (
        exchanged_kernels(model, lambda _, kernel: _Counted(kernel, calls)),
        exchanged_kernels(model, lambda _, recent: _CountedRecent(recent.reach, calls), RecentAttention),
        torch.no_grad(),
        FlopCounterMode(display=False) as counter,
    ):
        model(clip)
    return ModelCost(count_parameters(model), counter.get_total_flops() // 2, sum(calls))
