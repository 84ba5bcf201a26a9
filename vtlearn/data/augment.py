"""Stronger augmentation: RandAugment for clips.

As in `transforms`, all frames of a clip are treated alike and chance comes from the generator passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vtlearn.errors import require, require_positive

Operation = Callable[[Tensor, float], Tensor]
"""One clip ``(T, C, H, W)`` of floats from 0 to 255, and a strength from −1 to 1, 0 meaning no change."""


def _blend(clip: Tensor, other: Tensor, strength: float) -> Tensor:
    """Away from ``other`` for a positive strength, towards it for a negative one."""
    return other + (1 + 0.9 * strength) * (clip - other)


def brightness(clip: Tensor, strength: float) -> Tensor:
    """Lighter or darker."""
    return _blend(clip, torch.zeros_like(clip), strength)


def contrast(clip: Tensor, strength: float) -> Tensor:
    """Further from or nearer to the clip's mean."""
    return _blend(clip, clip.mean(), strength)


def saturation(clip: Tensor, strength: float) -> Tensor:
    """Stronger or weaker colours."""
    return _blend(clip, clip.mean(1, keepdim=True), strength)


def sharpness(clip: Tensor, strength: float) -> Tensor:
    """Sharper or softer: away from or towards the mean of each pixel's 3 × 3 neighbours."""
    padded = F.pad(clip, (1, 1, 1, 1), mode="replicate")
    return _blend(clip, F.avg_pool2d(padded, 3, stride=1), strength)


def posterise(clip: Tensor, strength: float) -> Tensor:
    """Fewer levels: 8 bits a channel down to 4."""
    step = 2 ** round(4 * abs(strength))
    return (clip / step).floor() * step


def solarise(clip: Tensor, strength: float) -> Tensor:
    """Negative of everything brighter than a level, which falls from white to black."""
    return torch.where(clip > 255 * (1 - abs(strength)), 255 - clip, clip)


def autocontrast(clip: Tensor, strength: float) -> Tensor:
    """Each channel stretched to the whole range, as far as the strength goes."""
    low, high = clip.amin((0, 2, 3), keepdim=True), clip.amax((0, 2, 3), keepdim=True)
    stretched = (clip - low) * (255 / (high - low).clamp(min=1))
    return clip + abs(strength) * (stretched - clip)


def rotate(clip: Tensor, strength: float) -> Tensor:
    """Turned by up to 30 degrees."""
    angle = math.radians(30 * strength)
    return _warp(clip, [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], (0.0, 0.0))


def shear_x(clip: Tensor, strength: float) -> Tensor:
    """Rows pushed along, by up to 0.3 of their distance from the middle."""
    return _warp(clip, [[1.0, 0.3 * strength], [0.0, 1.0]], (0.0, 0.0))


def shear_y(clip: Tensor, strength: float) -> Tensor:
    """Columns pushed along, by up to 0.3 of their distance from the middle."""
    return _warp(clip, [[1.0, 0.0], [0.3 * strength, 1.0]], (0.0, 0.0))


def translate_x(clip: Tensor, strength: float) -> Tensor:
    """Moved sideways by up to 0.3 of the width."""
    return _warp(clip, [[1.0, 0.0], [0.0, 1.0]], (-0.3 * strength * clip.shape[-1], 0.0))


def translate_y(clip: Tensor, strength: float) -> Tensor:
    """Moved up or down by up to 0.3 of the height."""
    return _warp(clip, [[1.0, 0.0], [0.0, 1.0]], (0.0, -0.3 * strength * clip.shape[-2]))


OPERATIONS: tuple[Operation, ...] = (
    brightness,
    contrast,
    saturation,
    sharpness,
    posterise,
    solarise,
    autocontrast,
    rotate,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)
"""What RandAugment chooses from; none of them mirrors, and none changes the order of frames."""


@dataclass(frozen=True)
class RandAugment:
    """A few operations drawn for each clip, each with the same magnitude and a random sign.

    Source: Cubuk et al. 2019, section 3 (arXiv 1909.13719). Ours works on clips rather than pictures and
    has no histogram equalisation.

    Args:
        num_operations: operations one after the other.
        magnitude: from 0 (no change) to 10.
        operations: what to choose from.
    """

    num_operations: int = 2
    magnitude: float = 9.0
    operations: tuple[Operation, ...] = OPERATIONS

    def __post_init__(self) -> None:
        require_positive(num_operations=self.num_operations)
        require(0 <= self.magnitude <= 10, "magnitude", self.magnitude, "from 0 to 10")
        require(len(self.operations) > 0, "operations", self.operations, "at least one")

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return clips
        results = []
        for clip in clips:
            changed = clip.float()
            drawn = torch.randint(len(self.operations), (self.num_operations,), generator=generator)
            signs = torch.randint(2, (self.num_operations,), generator=generator) * 2 - 1
            for choice, sign in zip(drawn.tolist(), signs.tolist(), strict=True):
                changed = self.operations[choice](changed, sign * self.magnitude / 10).clamp(0, 255)
            results.append(changed if clip.is_floating_point() else changed.round().to(clip.dtype))
        return torch.stack(results)


def _warp(clip: Tensor, matrix: list[list[float]], move: tuple[float, float]) -> Tensor:
    """Look up each pixel at ``matrix · (x, y) + move``, in pixels from the middle; mid-grey from outside."""
    height, width = clip.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=clip.device) - (height - 1) / 2,
        torch.arange(width, device=clip.device) - (width - 1) / 2,
        indexing="ij",
    )
    source_x = matrix[0][0] * x + matrix[0][1] * y + move[0]
    source_y = matrix[1][0] * x + matrix[1][1] * y + move[1]
    grid = torch.stack([source_x * 2 / max(width - 1, 1), source_y * 2 / max(height - 1, 1)], -1)
    grid = grid[None].expand(len(clip), -1, -1, -1)
    grey = 127.5
    return grey + F.grid_sample(clip - grey, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
