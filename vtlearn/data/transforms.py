"""What is done to pixels between decoding and model: the same for all frames of a clip, drawn for each clip.

Transforms take clips ``(B, T, C, H, W)``, bytes or floats from 0 to 255, and give the same layout;
`Normalise` comes last and gives the floats that models take. Chance comes from the generator that is passed
in; without one a random transform does nothing, or what is usual at test time (a crop is central).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vtlearn.errors import ArgumentError, require, require_one_of, require_positive


@runtime_checkable
class Transform(Protocol):
    """Clips in, clips out."""

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Transform ``(B, T, C, H, W)``."""
        ...


@dataclass(frozen=True)
class Compose:
    """One transform after the other.

    >>> steps = Compose((ResizeShortSide(8), CentreCrop(8), Normalise.named("timesformer")))
    >>> steps(torch.zeros(2, 3, 3, 16, 20, dtype=torch.uint8)).shape
    torch.Size([2, 3, 3, 8, 8])
    """

    transforms: Sequence[Transform]

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        for transform in self.transforms:
            clips = transform(clips, generator)
        return clips


# Size and place


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width after the shorter of them has become ``short_side``, the proportions kept.

    >>> short_side_size(256, 340, 128)
    (128, 170)
    """
    require_positive(height=height, width=width, short_side=short_side)
    scale = short_side / min(height, width)
    return max(short_side, round(height * scale)), max(short_side, round(width * scale))


@dataclass(frozen=True)
class ResizeShortSide:
    """Resize so that the shorter side has ``size`` pixels (bilinear, antialiased)."""

    size: int

    def __post_init__(self) -> None:
        require_positive(size=self.size)

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return _resize(clips, short_side_size(clips.shape[-2], clips.shape[-1], self.size))


@dataclass(frozen=True)
class CentreCrop:
    """The square of ``size`` pixels in the middle.

    Raises:
        ArgumentError: the clip is smaller than the square.
    """

    size: int

    def __post_init__(self) -> None:
        require_positive(size=self.size)

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        rows, columns = _room(clips, self.size)
        top, left = rows // 2, columns // 2
        return clips[..., top : top + self.size, left : left + self.size]


@dataclass(frozen=True)
class RandomCrop:
    """A square of ``size`` pixels anywhere, one for each clip; without a generator in the middle.

    Raises:
        ArgumentError: the clip is smaller than the square.
    """

    size: int

    def __post_init__(self) -> None:
        require_positive(size=self.size)

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return CentreCrop(self.size)(clips)
        rows, columns = _room(clips, self.size)
        top = torch.randint(rows + 1, (len(clips),), generator=generator)
        left = torch.randint(columns + 1, (len(clips),), generator=generator)
        return _gather(clips, top[:, None] + torch.arange(self.size), left[:, None] + torch.arange(self.size))


@dataclass(frozen=True)
class ShortSideJitter:
    """Resize the shorter side to a random number of pixels, then take a random square, for each clip.

    Without a generator the shorter side gets the smallest of the sizes, and the square is central.

    Source: VGG's scale jittering (Simonyan and Zisserman 2014, section 3.1.1, arXiv 1409.1556); for clips
    from 256 to 320 pixels and squares of 224, as TimeSformer is trained (arXiv 2102.05095, section 4).

    Args:
        smallest, largest: of the shorter side.
        crop: side of the square; a shorter side is never made smaller than this.
        factors: lowest and highest of a second random number that the drawn size is multiplied by.
    """

    smallest: int
    largest: int
    crop: int
    factors: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        require_positive(crop=self.crop)
        require(self.crop <= self.smallest, "smallest", self.smallest, f"at least the crop, {self.crop}")
        require(self.smallest <= self.largest, "largest", self.largest, f"at least {self.smallest}")
        low, high = self.factors
        require(0 < low <= high, "factors", self.factors, "a low and a high number above 0")

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return CentreCrop(self.crop)(ResizeShortSide(self.smallest)(clips))
        crop, squares = RandomCrop(self.crop), []
        for clip in clips:
            size = int(torch.randint(self.smallest, self.largest + 1, (), generator=generator))
            if self.factors != (1.0, 1.0):
                size = max(round(size * _between(*self.factors, generator)), self.crop)
            squares.append(crop(ResizeShortSide(size)(clip[None]), generator))
        return torch.cat(squares)


@dataclass(frozen=True)
class RandomShift:
    """Move each clip by up to ``pixels`` in each direction, its frames alike; edge pixels fill the gap."""

    pixels: int

    def __post_init__(self) -> None:
        require(self.pixels >= 0, "pixels", self.pixels, "0 or more")

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None or self.pixels == 0:
            return clips
        height, width = clips.shape[-2:]
        move = torch.randint(-self.pixels, self.pixels + 1, (2, len(clips), 1), generator=generator)
        rows = (torch.arange(height) + move[0]).clamp(0, height - 1)
        columns = (torch.arange(width) + move[1]).clamp(0, width - 1)
        return _gather(clips, rows, columns)


@dataclass(frozen=True)
class RandomResizedCrop:
    """A rectangle of random size and proportions anywhere in the clip, resized to a square.

    Source: the crop of Inception (Szegedy et al. 2015, arXiv 1409.4842, section 6), one for all frames.

    Args:
        size: pixels of the square.
        area: smallest and largest share of the picture.
        ratio: smallest and largest width ÷ height.
    """

    size: int
    area: tuple[float, float] = (0.3, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        require_positive(size=self.size)
        require(0 < self.area[0] <= self.area[1] <= 1, "area", self.area, "ascending shares in (0, 1]")
        require(0 < self.ratio[0] <= self.ratio[1], "ratio", self.ratio, "ascending and above 0")

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return CentreCrop(self.size)(ResizeShortSide(self.size)(clips))
        height, width = clips.shape[-2:]
        crops = []
        for clip in clips:
            share = _between(*self.area, generator) * height * width
            low, high = (torch.tensor(bound).log().item() for bound in self.ratio)
            ratio = torch.tensor(_between(low, high, generator)).exp().item()
            rows = min(height, max(1, round((share / ratio) ** 0.5)))
            columns = min(width, max(1, round((share * ratio) ** 0.5)))
            top = int(torch.randint(height - rows + 1, (), generator=generator))
            left = int(torch.randint(width - columns + 1, (), generator=generator))
            crop = clip[None, ..., top : top + rows, left : left + columns]
            crops.append(_resize(crop, (self.size, self.size)))
        return torch.cat(crops)


def three_crops(clips: Tensor, size: int) -> Tensor:
    """The squares at the start, in the middle and at the end of the longer side.

    Args:
        clips: ``(B, T, C, H, W)`` whose shorter side is ``size``.
        size: pixels of the square.

    Returns:
        ``(3, B, T, C, size, size)``.

    >>> three_crops(torch.zeros(2, 1, 3, 8, 14), 8).shape
    torch.Size([3, 2, 1, 3, 8, 8])
    """
    rows, columns = _room(clips, size)
    require(min(rows, columns) == 0, "size", size, f"the shorter side of {tuple(clips.shape[-2:])}")
    return torch.stack(
        [
            clips[..., rows * i // 2 : rows * i // 2 + size, columns * i // 2 : columns * i // 2 + size]
            for i in range(3)
        ]
    )


# Mirror image

_SIDED = re.compile(
    r"(?i)(?<![a-z])(left|right|leftwards?|rightwards?|clockwise|anti-?clockwise|counter-?clockwise)(?![a-z])"
)


def changed_by_flip(class_names: Sequence[str]) -> list[str]:
    """The class names that speak of a side or a sense of rotation, and so would be wrong in a mirror.

    >>> changed_by_flip(["tai chi", "pushing something from left to right", "copyright law"])
    ['pushing something from left to right']
    """
    return [name for name in class_names if _SIDED.search(name.replace("_", " "))]


@dataclass(frozen=True)
class RandomFlip:
    """Mirror each clip left to right with a probability; refused where the mirror would change a label.

    Args:
        class_names: labelling → class names; every labelling that is trained on must be here, because a name
            that speaks of a side forbids the flip.
        probability: of mirroring a clip.

    Raises:
        ArgumentError: a class that the mirror would change.

    >>> RandomFlip({"motion": ["moves left", "moves right"]})
    Traceback (most recent call last):
    ...
    vtlearn.errors.ArgumentError: class_names must be the same in a mirror, got 'motion: moves left'
    """

    class_names: Mapping[str, Sequence[str]]
    probability: float = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, "probability", self.probability, "from 0 to 1")
        for labelling, names in self.class_names.items():
            for name in changed_by_flip(names):
                raise ArgumentError("class_names", f"{labelling}: {name}", "the same in a mirror")

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return clips
        flipped = torch.rand(len(clips), generator=generator) < self.probability
        flipped = flipped.to(clips.device)[:, None, None, None, None]
        return torch.where(flipped, clips.flip(-1), clips)


# Colour


@dataclass(frozen=True)
class ColourJitter:
    """Scale brightness, contrast and saturation by factors around 1, the same for all frames of a clip.

    Args:
        brightness, contrast, saturation: largest distance of the factor from 1.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "from 0 to 1")

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return clips
        drawn = 2 * torch.rand(3, len(clips), 1, 1, 1, 1, generator=generator) - 1
        brightness, contrast, saturation = (
            1 + most * factor.to(clips.device)
            for most, factor in zip((self.brightness, self.contrast, self.saturation), drawn, strict=True)
        )
        result = (clips.float() * brightness).clamp(0, 255)
        if self.contrast:
            mean = _grey(result).mean((1, 2, 3, 4), keepdim=True)
            result = (mean + contrast * (result - mean)).clamp(0, 255)
        if self.saturation:
            grey = _grey(result)
            result = (grey + saturation * (result - grey)).clamp(0, 255)
        return _like(result, clips)


# Numbers

PUBLISHED_NORMALISATION: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "vtn": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "timesformer": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "vivit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "vit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and deviation of each channel, of pixels from 0 to 1, that the published weights were trained with."""


@dataclass(frozen=True)
class Normalise:
    """Pixels from 0 to 255 → floats with a given mean and deviation of each channel.

    >>> Normalise.named("vivit")(torch.tensor([0, 255], dtype=torch.uint8).repeat(1, 1, 3, 1, 1))[0, 0, 0]
    tensor([[-1.,  1.]])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        require(len(self.mean) == len(self.std) > 0, "std", self.std, f"{len(self.mean)} numbers")
        require(min(self.std) > 0, "std", self.std, "above 0")

    @classmethod
    def named(cls, name: str) -> Normalise:
        """The normalisation of a family of published weights."""
        require_one_of("name", name, PUBLISHED_NORMALISATION)
        return cls(*PUBLISHED_NORMALISATION[name])

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Float[Tensor, "B T C H W"]:
        channels = clips.shape[2]
        require(
            channels == len(self.mean),
            "clips",
            tuple(clips.shape),
            f"with {len(self.mean)} channels in axis 2",
        )
        mean = 255 * torch.tensor(self.mean, device=clips.device).reshape(-1, 1, 1)
        scale = 255 * torch.tensor(self.std, device=clips.device).reshape(-1, 1, 1)
        return (clips.float() - mean) / scale


# What the transforms are made of


def _resize(clips: Tensor, size: tuple[int, int]) -> Tensor:
    if clips.shape[-2:] == size:
        return clips
    frames = F.interpolate(
        clips.flatten(0, 1), size=size, mode="bilinear", antialias=True, align_corners=False
    )
    return frames.unflatten(0, clips.shape[:2])


def _room(clips: Tensor, size: int) -> tuple[int, int]:
    """How far a square can move down and to the right within the picture."""
    height, width = clips.shape[-2:]
    require(
        size <= min(height, width),
        "size",
        size,
        f"at most {min(height, width)} for {height} × {width} pixels",
    )
    return height - size, width - size


def _gather(clips: Tensor, rows: Int[Tensor, "B h"], columns: Int[Tensor, "B w"]) -> Tensor:
    """Pixels at rows and columns that each clip has for itself."""
    return torch.stack(
        [
            clip.index_select(-2, row).index_select(-1, column)
            for clip, row, column in zip(clips, rows.to(clips.device), columns.to(clips.device), strict=True)
        ]
    )


def _grey(clips: Tensor) -> Tensor:
    """Luma of red, green and blue (ITU-R BT.601), with the axis of channels kept."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=clips.device).reshape(3, 1, 1)
    return (clips * weights).sum(2, keepdim=True)


def _like(result: Tensor, clips: Tensor) -> Tensor:
    """The result in the type of the clips it was made from."""
    return result if clips.is_floating_point() else result.round().to(clips.dtype)


def _between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
