"""I3D and SlowFast: the 3-D convolutional networks that the video transformers were measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vtlearn.errors import require, require_divisible, require_positive, require_probability
from vtlearn.layers.embed import check_clips
from vtlearn.layers.head import check_num_classes
from vtlearn.models.classifier import VideoClassifier, freeze_tuples

EXPANSION = 4
"""A bottleneck's output is this many times as wide as its inside."""


@dataclass(frozen=True, kw_only=True)
class I3DConfig:
    """An inflated ResNet-50; the numbers are those of PySlowFast's ``I3D_8x8_R50``."""

    layers: Sequence[int] = (3, 4, 6, 3)
    width: int = 64
    num_frames: int = 8
    image_size: int = 224
    in_channels: int = 3
    dropout: float = 0.5
    num_classes: int = 400

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def resnet50(cls) -> I3DConfig:
        """I3D R50: 28.0 M parameters with 400 classes."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class SlowFastConfig:
    """Two ResNets at two frame rates; the numbers are those of PySlowFast's configurations.

    ``num_frames`` are the fast pathway's; the slow one sees every ``frame_ratio``-th. The fast pathway is
    ``width_ratio`` times narrower. ``time_blocks`` of each stage, at most, have kernels over time.
    """

    layers: Sequence[int] = (3, 4, 6, 3)
    time_blocks: Sequence[int] = (3, 4, 6, 3)
    width: int = 64
    frame_ratio: int = 4
    width_ratio: int = 8
    fusion_ratio: int = 2
    fusion_kernel: int = 7
    num_frames: int = 32
    image_size: int = 256
    in_channels: int = 3
    dropout: float = 0.5
    num_classes: int = 400

    def __post_init__(self) -> None:
        freeze_tuples(self, "time_blocks")
        _check(self)
        require(
            len(self.time_blocks) == 4, "time_blocks", self.time_blocks, "one number for each of four stages"
        )
        require_positive(
            frame_ratio=self.frame_ratio,
            width_ratio=self.width_ratio,
            fusion_ratio=self.fusion_ratio,
            fusion_kernel=self.fusion_kernel,
        )
        require_divisible("num_frames", self.num_frames, "frame_ratio", self.frame_ratio)
        require_divisible("width", self.width, "width_ratio", self.width_ratio)

    @classmethod
    def resnet50_8x8(cls) -> SlowFastConfig:
        """SlowFast R50 8×8: 34.6 M parameters, 65.7 G multiply-adds a view of 32 frames at 256 × 256."""
        return cls()

    @classmethod
    def resnet101_16x8(cls) -> SlowFastConfig:
        """SlowFast R101 16×8 without non-local blocks: 213 G multiply-adds a view of 64 frames at 256 × "
        "256."""
        return cls(layers=(3, 4, 23, 3), num_frames=64, fusion_kernel=5)


def _check(config: I3DConfig | SlowFastConfig) -> None:
    freeze_tuples(config, "layers")
    require(len(config.layers) == 4, "layers", config.layers, "blocks of four stages")
    for blocks in config.layers:
        require_positive(layers=blocks)
    require_positive(
        width=config.width,
        num_frames=config.num_frames,
        image_size=config.image_size,
        in_channels=config.in_channels,
    )
    require_probability(dropout=config.dropout)
    check_num_classes(config.num_classes)


def _conv_norm(in_width: int, width: int, kernel: tuple[int, int, int], stride: int = 1) -> nn.Sequential:
    """A convolution over (time, rows, columns) that keeps the length, strided in space, and its batch "
    "norm."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    conv = nn.Conv3d(in_width, width, kernel, stride=(1, stride, stride), padding=padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(width))


class Bottleneck3d(nn.Module):
    """A ResNet bottleneck whose first convolution may also look over time (``time_kernel`` × 1 × 1)."""

    def __init__(self, in_width: int, width: int, *, time_kernel: int, stride: int) -> None:
        super().__init__()
        self.reduce = _conv_norm(in_width, width, (time_kernel, 1, 1))
        self.space = _conv_norm(width, width, (1, 3, 3), stride)
        self.expand = _conv_norm(width, width * EXPANSION, (1, 1, 1))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_width != width * EXPANSION:
            self.shortcut = _conv_norm(in_width, width * EXPANSION, (1, 1, 1), stride)

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Tensor:
        update = F.relu(self.space(F.relu(self.reduce(x))))
        return F.relu(self.expand(update) + self.shortcut(x))


def _stage(in_width: int, width: int, time_kernels: Sequence[int], stride: int) -> nn.Sequential:
    blocks = []
    for number, time_kernel in enumerate(time_kernels):
        blocks.append(
            Bottleneck3d(in_width, width, time_kernel=time_kernel, stride=stride if number == 0 else 1)
        )
        in_width = width * EXPANSION
    return nn.Sequential(*blocks)


def _stem(in_channels: int, width: int, time_kernel: int) -> nn.Sequential:
    pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
    return nn.Sequential(*_conv_norm(in_channels, width, (time_kernel, 7, 7), 2), nn.ReLU(), pool)


class _ConvNet(VideoClassifier):
    """The head that both networks share: dropout and one linear layer on pooled features."""

    def start(self, dropout: float, num_classes: int) -> None:
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        self.dropout = nn.Dropout(dropout)
        self.head = self.make_head(num_classes)

    def make_head(self, num_classes: int) -> nn.Module:
        if num_classes == 0:
            return nn.Identity()
        head = nn.Linear(self.num_features, num_classes)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
        return head

    def forward_head(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B K"]:
        return self.head(self.dropout(features))


class I3D(_ConvNet):
    """A ResNet-50 inflated into time: some of its 1 × 1 convolutions become 3 × 1 × 1.

    Carreira, Zisserman, arXiv 1705.07750, in the ResNet form of Wang et al., arXiv 1711.07971, with the time
    kernels of PySlowFast (stage by stage 3; 3, 1; 3, 1; 1, 3, repeated over its blocks; time is halved after
    the first stage).

    Args:
        config: the sizes.

    >>> model = I3D(I3DConfig(layers=(1, 1, 1, 1), width=4, num_classes=3)).eval()
    >>> model(torch.zeros(2, 4, 3, 32, 32)).shape
    torch.Size([2, 3])
    """

    config: I3DConfig
    TIME_KERNELS = ((3,), (3, 1), (3, 1), (1, 3))

    def __init__(self, config: I3DConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = _stem(config.in_channels, config.width, 5)
        stages, in_width = [], config.width
        for number, blocks in enumerate(config.layers):
            basis, width = self.TIME_KERNELS[number], config.width * 2**number
            kernels = (basis * blocks)[:blocks]
            stages.append(_stage(in_width, width, kernels, stride=1 if number == 0 else 2))
            in_width = width * EXPANSION
        self.stages = nn.ModuleList(stages)
        self.num_features = in_width
        self.start(config.dropout, config.num_classes)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B F"]:
        """The mean of the last stage over time, rows and columns."""
        check_clips(clips, self.config.in_channels)
        x = self.stem(clips.transpose(1, 2))
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number == 0 and x.shape[2] > 1:
                x = F.max_pool3d(x, (2, 1, 1))
        return x.mean(dim=(2, 3, 4))


class SlowFast(_ConvNet):
    """A wide network on few frames and a narrow one on many, the second feeding the first after every stage.

    Feichtenhofer et al., "SlowFast networks for video recognition", arXiv 1812.03982: table 1, and lateral
    convolutions strided in time; sizes after PySlowFast.

    Args:
        config: the sizes.

    >>> config = SlowFastConfig(layers=(1, 1, 1, 1), width=8, num_frames=8, num_classes=3)
    >>> SlowFast(config).eval()(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 3])
    """

    config: SlowFastConfig
    SLOW_KERNELS = (1, 1, 3, 3)

    def __init__(self, config: SlowFastConfig) -> None:
        super().__init__()
        self.config = config
        slow_width, fast_width = config.width, config.width // config.width_ratio
        self.slow_stem = _stem(config.in_channels, slow_width, 1)
        self.fast_stem = _stem(config.in_channels, fast_width, 5)
        slow, fast, lateral = [], [], []
        slow_in, fast_in = slow_width, fast_width
        for number, blocks in enumerate(config.layers):
            in_time = min(blocks, config.time_blocks[number])
            stride = 1 if number == 0 else 2
            lateral.append(self._lateral(fast_in))
            fused = slow_in + fast_in * config.fusion_ratio
            kernels = [self.SLOW_KERNELS[number]] * in_time + [1] * (blocks - in_time)
            slow.append(_stage(fused, slow_width * 2**number, kernels, stride))
            kernels = [3] * in_time + [1] * (blocks - in_time)
            fast.append(_stage(fast_in, fast_width * 2**number, kernels, stride))
            slow_in = slow_width * 2**number * EXPANSION
            fast_in = fast_width * 2**number * EXPANSION
        self.slow, self.fast, self.lateral = nn.ModuleList(slow), nn.ModuleList(fast), nn.ModuleList(lateral)
        self.num_features = slow_in + fast_in
        self.start(config.dropout, config.num_classes)

    def _lateral(self, width: int) -> nn.Sequential:
        """From the fast pathway's frames to the slow one's: a convolution over time with the frame ratio "
        "as stride."""
        kernel, ratio = self.config.fusion_kernel, self.config.frame_ratio
        wide = width * self.config.fusion_ratio
        conv = nn.Conv3d(
            width, wide, (kernel, 1, 1), stride=(ratio, 1, 1), padding=(kernel // 2, 0, 0), bias=False
        )
        return nn.Sequential(conv, nn.BatchNorm3d(wide), nn.ReLU())

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B F"]:
        """The means of both pathways' last stages, side by side."""
        check_clips(clips, self.config.in_channels)
        frames, ratio = clips.shape[1], self.config.frame_ratio
        require_divisible("number of frames T", frames, "frame_ratio", ratio)
        video = clips.transpose(1, 2)
        # every ratio-th frame on average, first and last included (PySlowFast's choice)
        chosen = torch.linspace(0, frames - 1, frames // ratio, device=clips.device).long()
        slow, fast = self.slow_stem(video.index_select(2, chosen)), self.fast_stem(video)
        for slow_stage, fast_stage, lateral in zip(self.slow, self.fast, self.lateral, strict=True):
            slow = slow_stage(torch.cat([slow, lateral(fast)], dim=1))
            fast = fast_stage(fast)
        return torch.cat([slow.mean(dim=(2, 3, 4)), fast.mean(dim=(2, 3, 4))], dim=1)
