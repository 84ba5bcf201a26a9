"""ResNet-50 and -101: the convolutional image backbones of VTN, under the published key names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vtlearn.errors import require, require_positive
from vtlearn.layers.embed import check_images
from vtlearn.layers.head import check_num_classes, linear_head
from vtlearn.models.classifier import Classifier, freeze_tuples


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """Blocks a stage and widths of a bottleneck ResNet (He et al., table 1).

    >>> ResNetConfig.resnet101().layers
    (3, 4, 23, 3)
    """

    layers: Sequence[int] = (3, 4, 6, 3)
    width: int = 64
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        freeze_tuples(self, "layers")
        require(len(self.layers) == 4, "layers", self.layers, "blocks of four stages")
        for blocks in self.layers:
            require_positive(layers=blocks)
        require_positive(width=self.width, in_channels=self.in_channels)
        check_num_classes(self.num_classes)

    @classmethod
    def resnet50(cls) -> ResNetConfig:
        """ResNet-50: 25,557,032 parameters with 1000 classes."""
        return cls()

    @classmethod
    def resnet101(cls) -> ResNetConfig:
        """ResNet-101: 44,549,160 parameters with 1000 classes."""
        return cls(layers=(3, 4, 23, 3))


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolution with batch norm, around a shortcut; the stride sits on the 3 × 3 (as
    torchvision's).
    """

    expansion = 4

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_width != width * self.expansion:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_width, width * self.expansion, 1, stride=stride, bias=False),
                nn.BatchNorm2d(width * self.expansion),
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Tensor:
        update = F.relu(self.bn1(self.conv1(x)))
        update = F.relu(self.bn2(self.conv2(update)))
        return F.relu(self.bn3(self.conv3(update)) + self.downsample(x))


class ResNet(Classifier):
    """A bottleneck ResNet: image to one vector by global average pooling.

    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", section 4.1, arXiv 1512.03385; keys
    and the place of the stride are those of torchvision's weights.

    Args:
        config: blocks and widths.

    >>> import torch
    >>> model = ResNet(ResNetConfig(layers=(1, 1, 1, 1), width=4, num_classes=3)).eval()
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])
    """

    config: ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.in_channels, config.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.width)
        in_width = config.width
        for number, blocks in enumerate(config.layers):
            width = config.width * 2**number
            stage = []
            for block in range(blocks):
                stage.append(Bottleneck(in_width, width, stride=2 if block == 0 and number > 0 else 1))
                in_width = width * Bottleneck.expansion
            setattr(self, f"layer{number + 1}", nn.Sequential(*stage))
        self.num_features = in_width
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        self.fc = self.make_head(config.num_classes)

    @property
    def head(self) -> nn.Module:  # type: ignore[override]
        """The last linear layer, held under its published name ``fc``."""
        return self.fc

    def make_head(self, num_classes: int) -> nn.Module:
        return linear_head(self.num_features, num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        self.fc = self.make_head(num_classes).to(self.conv1.weight)
        self.config = dataclasses.replace(self.config, num_classes=num_classes)

    def forward_features(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """The mean of the last stage's map."""
        check_images(images, self.config.in_channels)
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        for number in range(len(self.config.layers)):
            x = getattr(self, f"layer{number + 1}")(x)
        return x.mean(dim=(2, 3))

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        return self.forward_head(self.forward_features(images))
