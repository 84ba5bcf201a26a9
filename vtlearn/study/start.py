"""Where a comparison's models start when an image ViT is given: its weights, its pixels, and every contestant
at its size."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vtlearn.data.transforms import Normalise
from vtlearn.errors import CheckpointError
from vtlearn.models import (
    FrameAverageConfig,
    FrameGRUConfig,
    TimeSformerConfig,
    ViT,
    ViTConfig,
    ViViTConfig,
    VTNConfig,
    build_model,
    load_published,
    model_config,
)
from vtlearn.runs.card import Card
from vtlearn.study.protocol import contestant
from vtlearn.train.checkpoint import FACTS, load_checkpoint

_SHARED = (
    "embed_dim",
    "depth",
    "num_heads",
    "mlp_ratio",
    "qkv_bias",
    "activation",
    "norm_eps",
    "in_channels",
)
"""What a video model takes over from the image ViT, so that its weights fit."""


@dataclass(frozen=True, kw_only=True)
class ImageStart:
    """An image ViT that all models of a comparison start from.

    Attributes:
        config: its sizes.
        weights: its state.
        pixels: how the pixels it was trained on were scaled.
        origin: where it came from, in words.
    """

    config: ViTConfig
    weights: dict[str, Tensor]
    pixels: Normalise
    origin: str


def read_image_start(where: str) -> ImageStart:
    """Read an image ViT: a folder that this library saved, or published weights.

    Args:
        where: the folder of a checkpoint; a folder in Hugging Face's layout; a hub name; or a file of timm's
            ViT weights.

    Raises:
        CheckpointError: nothing readable there, or not a ViT over images.
    """
    if (Path(where) / FACTS).is_file():
        saved = load_checkpoint(where)
        try:
            model = build_model(ViTConfig(**saved.config))
        except TypeError:
            raise CheckpointError(f"{where}: holds {saved.model_name!r}, no image ViT") from None
        saved.restore(model)
        pixels = Normalise.named("timesformer")  # what our own image models are trained with, unless they say
        if saved.card is not None:
            pixels = Card.of(saved).normalise
        return ImageStart(
            config=model.config, weights=model.state_dict(), pixels=pixels, origin=f"the checkpoint {where}"
        )
    found = load_published(where, source="vit-timm" if Path(where).is_file() else None)
    if not isinstance(found.model, ViT) or found.pixel_mean is None or found.pixel_std is None:
        raise CheckpointError(f"{where}: holds a {type(found.model).__name__}, no image ViT")
    if found.model.config.distilled:
        raise CheckpointError(f"{where}: a distilled ViT, whose second token video models do not take over")
    return ImageStart(
        config=found.model.config,
        weights=found.model.state_dict(),
        pixels=Normalise(found.pixel_mean, found.pixel_std),
        origin=f"the published weights {where}",
    )


def contestant_kind(name: str) -> type[Any]:
    """The kind of configuration that a contestant has at an image ViT's size."""
    return type(model_config(contestant(name).published))


def fitting_config(name: str, image: ViTConfig, *, image_size: int, num_frames: int) -> Any:
    """A contestant's configuration at the sizes of an image ViT.

    What the image ViT does not tell (VTN's temporal encoder, ViViT's temporal depth) is the published one;
    frames past VTN's table of positions share it by interpolation.

    Args:
        name: the contestant.
        image: the image ViT's configuration.
        image_size: rows and columns of the clips.
        num_frames: frames shown of each clip.

    >>> from vtlearn.models import model_config
    >>> config = fitting_config("vivit", model_config("vit_tiny"), image_size=224, num_frames=16)
    >>> config.embed_dim, config.tubelet_size, config.temporal_depth
    (192, (2, 16, 16), 4)
    """
    chosen = contestant(name)
    config = model_config(chosen.published)
    own = {field.name for field in fields(config)}
    taken = {key: getattr(image, key) for key in _SHARED if key in own}
    taken |= {"num_frames": num_frames, "image_size": image_size}
    backbone = replace(image, image_size=image_size, num_classes=0)
    changes: dict[str, Any]
    if isinstance(config, VTNConfig):
        width = image.embed_dim
        changes = {"backbone": backbone, "num_frames": num_frames, "in_channels": image.in_channels}
        changes |= {"embed_dim": width, "num_heads": image.num_heads, "head_hidden_dim": width}
        changes |= {"mlp_dim": int(width * image.mlp_ratio), "past_table": "squeeze"}
    elif isinstance(config, FrameAverageConfig):
        changes = {"backbone": backbone, "num_frames": num_frames}
    elif isinstance(config, FrameGRUConfig):
        changes = {"backbone": backbone, "num_frames": num_frames, "hidden_dim": image.embed_dim}
    elif isinstance(config, TimeSformerConfig):
        changes = taken | {"patch_size": image.patch_size}
    else:
        assert isinstance(config, ViViTConfig)
        patch = image.patch_size
        changes = taken | {"tubelet_size": (chosen.frames_per_index, patch, patch)}
    return replace(config, **changes)
