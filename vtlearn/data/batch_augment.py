"""Augmentation of whole batches where they lie, on a GPU or not, through kornia: once a clip, not once a
frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vtlearn.data.transforms import RandomFlip
from vtlearn.errors import ArgumentError, require


@dataclass(frozen=True, kw_only=True)
class BatchAugment:
    """Turn, zoom, move, mirror and recolour the clips of a batch; all frames of a clip alike.

    Chance comes from a generator on the CPU, so a batch is treated alike on every device. kornia is imported
    when the first batch comes; it is part of the extra ``vtlearn[train]``.

    Args:
        rotation: largest angle, in degrees.
        zoom: smallest and largest factor.
        shift: largest move, as a share of height and width.
        brightness, contrast, saturation: largest distance of the factor from 1.
        hue: largest turn of the hue, as a share of the circle, up to 0.5.
        flip: mirror half of the clips.
        class_names: labelling → class names, needed to mirror; a name that speaks of a side forbids it.

    Raises:
        ArgumentError: a number outside its range, or a mirror that would change a label.
    """

    rotation: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    flip: bool = False
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(0 <= self.rotation <= 180, "rotation", self.rotation, "from 0 to 180 degrees")
        require(0 < self.zoom[0] <= self.zoom[1], "zoom", self.zoom, "ascending and above 0")
        for name, most in (("shift", 1), ("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            value = getattr(self, name)
            require(0 <= value <= most, name, value, f"from 0 to {most}")
        if self.flip:
            require(
                len(self.class_names) > 0, "class_names", dict(self.class_names), "given where clips flip"
            )
            RandomFlip(self.class_names)

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Clips ``(B, T, C, H, W)``, bytes or floats from 0 to 255; without a generator left as they are."""
        if generator is None:
            return clips
        kornia = _kornia()
        batch, frames = clips.shape[:2]
        drawn = 2 * torch.rand(8, batch, generator=generator) - 1
        flips = drawn[7] < 0 if self.flip else torch.zeros(batch, dtype=torch.bool)

        def of_frames(values: Tensor) -> Tensor:
            return values.repeat_interleave(frames, 0).to(clips.device)

        pictures = clips.flatten(0, 1).float() / 255
        moved = self.rotation or self.shift or self.zoom != (1.0, 1.0) or self.flip
        if moved:
            matrix = self._matrix(drawn, flips, clips.shape[-2], clips.shape[-1])
            pictures = kornia.geometry.transform.warp_affine(
                pictures, of_frames(matrix), clips.shape[-2:], padding_mode="border", align_corners=True
            )
        if self.brightness:
            factor = of_frames(1 + self.brightness * drawn[4])
            pictures = kornia.enhance.adjust_brightness_accumulative(pictures, factor)
        if self.contrast:
            factor = of_frames(1 + self.contrast * drawn[5])[:, None, None, None]
            mean = _clip_mean(pictures, frames)
            pictures = (mean + factor * (pictures - mean)).clamp(0, 1)
        if self.saturation:
            pictures = kornia.enhance.adjust_saturation(pictures, of_frames(1 + self.saturation * drawn[6]))
        if self.hue:
            turn = of_frames(2 * torch.pi * self.hue * (2 * torch.rand(batch, generator=generator) - 1))
            pictures = kornia.enhance.adjust_hue(pictures, turn)
        result = (255 * pictures).unflatten(0, (batch, frames))
        return result if clips.is_floating_point() else result.round().clamp(0, 255).to(clips.dtype)

    def _matrix(self, drawn: Tensor, flips: Tensor, height: int, width: int) -> Tensor:
        """From where a pixel was to where it goes: ``(B, 2, 3)``, around the middle of the picture."""
        angle = torch.deg2rad(self.rotation * drawn[0])
        low, high = self.zoom
        scale = low * (high / low) ** ((drawn[1] + 1) / 2)
        mirror = torch.where(flips, -1.0, 1.0)
        turn = torch.stack(
            [
                torch.stack([mirror * scale * angle.cos(), -scale * angle.sin()], -1),
                torch.stack([mirror * scale * angle.sin(), scale * angle.cos()], -1),
            ],
            -2,
        )
        middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])
        move = self.shift * drawn[2:4].T * torch.tensor([float(width), float(height)])
        offset = middle + move - turn @ middle
        return torch.cat([turn, offset[..., None]], -1)


def _clip_mean(pictures: Tensor, frames: int) -> Tensor:
    """Mean of each clip, for each of its frames."""
    means = pictures.unflatten(0, (-1, frames)).mean((1, 2, 3, 4))
    return means.repeat_interleave(frames)[:, None, None, None]


def _kornia() -> Any:
    try:
        import kornia
    except ImportError:
        raise ArgumentError("kornia", None, "installed (pip install 'vtlearn[train]')") from None
    return kornia
