"""ViT: the image transformer that all three video models start from, with DeiT's distilled variant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, require_one_of, require_positive
from vtlearn.layers.block import EncoderBlock, drop_path_rates, run_blocks, start_truncated_normal
from vtlearn.layers.embed import PatchEmbed, as_pair, check_divides
from vtlearn.layers.head import check_num_classes, linear_head
from vtlearn.layers.position import RESIZE_MODES, resize_grid_table
from vtlearn.models.classifier import Classifier, EncoderConfig, freeze_tuples, learned_table


@dataclass(frozen=True, kw_only=True)
class ViTConfig(EncoderConfig):
    """Sizes of a ViT; the classmethods hold the published ones (ViT, table 1; DeiT, table 1).

    >>> ViTConfig.base().grid
    (14, 14)
    >>> ViTConfig(**dataclasses.asdict(ViTConfig.samples())) == ViTConfig.samples()
    True
    """

    image_size: int | Sequence[int] = 224
    patch_size: int = 16
    in_channels: int = 3
    pooling: str = "token"
    distilled: bool = False
    position_resize: str | None = None
    num_classes: int = 1000

    def __post_init__(self) -> None:
        freeze_tuples(self, "image_size")
        self.check_encoder()
        require_positive(patch_size=self.patch_size, in_channels=self.in_channels)
        height, width = as_pair("image_size", self.image_size)
        check_divides(height, "image_size (height)", "patch_size", self.patch_size)
        check_divides(width, "image_size (width)", "patch_size", self.patch_size)
        require_one_of("pooling", self.pooling, ("token", "mean"))
        require_one_of("position_resize", self.position_resize, (None, *RESIZE_MODES))
        if self.distilled and self.pooling != "token":
            raise ArgumentError("pooling", self.pooling, "'token' for a distilled model")
        check_num_classes(self.num_classes)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = as_pair("image_size", self.image_size)
        return height // self.patch_size, width // self.patch_size

    @classmethod
    def tiny(cls) -> ViTConfig:
        """ViT-Ti/16, the size that DeiT-Ti made common."""
        return cls(embed_dim=192, num_heads=3)

    @classmethod
    def small(cls) -> ViTConfig:
        """ViT-S/16, as DeiT-S."""
        return cls(embed_dim=384, num_heads=6)

    @classmethod
    def base(cls) -> ViTConfig:
        """ViT-B/16."""
        return cls()

    @classmethod
    def large(cls) -> ViTConfig:
        """ViT-L/16."""
        return cls(embed_dim=1024, depth=24, num_heads=16)

    @classmethod
    def distilled_tiny(cls) -> ViTConfig:
        """DeiT-Ti with a distillation token."""
        return dataclasses.replace(cls.tiny(), distilled=True)

    @classmethod
    def distilled_base(cls) -> ViTConfig:
        """DeiT-B with a distillation token."""
        return dataclasses.replace(cls.base(), distilled=True)

    @classmethod
    def samples(cls) -> ViTConfig:
        """Small enough to train on the bundled clips on a CPU."""
        return cls(
            image_size=32,
            patch_size=8,
            embed_dim=64,
            depth=4,
            num_heads=4,
            mlp_ratio=2.0,
            pooling="mean",
            num_classes=8,
        )


class ViT(Classifier):
    """Patches and a class token through a stack of pre-norm blocks; the class token is the image's vector.

    Dosovitskiy et al., arXiv 2010.11929, with the key names of timm. A distilled model (DeiT, section 4,
    arXiv 2012.12877) has a second token with its own head; its features are both tokens' vectors side by side
    (``num_features = 2 D``) and its logits the mean of both heads. Without a head (``num_classes=0``)
    ``forward`` gives ``(B, D)``: the class token, or the mean of both tokens.

    Args:
        config: the sizes.

    >>> vit = ViT(ViTConfig.samples())
    >>> vit(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 8])
    """

    config: ViTConfig

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        h, w = config.grid
        self.num_extra = 2 if config.distilled else 1
        self.num_features = config.embed_dim * self.num_extra
        self.patch_embed = PatchEmbed(
            patch_size=config.patch_size, in_channels=config.in_channels, embed_dim=config.embed_dim
        )
        self.cls_token = learned_table(1, 1, config.embed_dim)
        if config.distilled:
            self.dist_token = learned_table(1, 1, config.embed_dim)
        self.pos_embed = learned_table(1, self.num_extra + h * w, config.embed_dim)
        self.pos_drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config.embed_dim,
                config.num_heads,
                config.mlp_dim,
                drop_path=rate,
                **config.block_options(),
            )
            for rate in drop_path_rates(config.drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        start_truncated_normal(self)
        self.head = self.make_head(config.num_classes)
        if config.distilled:
            self.head_dist = self.make_head(config.num_classes)

    def make_head(self, num_classes: int) -> nn.Module:
        return linear_head(self.config.embed_dim, num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        super().reset_classifier(num_classes)
        if self.config.distilled:
            self.head_dist = self.make_head(num_classes).to(self.pos_embed)

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 n D"]:
        """The position table for an image of this grid: as learned, or resized where the configuration says
        how.
        """
        if grid == self.config.grid:
            return self.pos_embed
        if self.config.position_resize is None:
            raise ArgumentError(
                "grid of patches",
                grid,
                f"{self.config.grid}, for which the positions were learned (or set position_resize)",
            )
        return resize_grid_table(
            self.pos_embed, self.config.grid, grid, mode=self.config.position_resize, num_extra=self.num_extra
        )

    def forward_tokens(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B n D"]:
        """All tokens after the last norm: class token (and distillation token) first, then patches row by
        row.
        """
        patches = self.patch_embed(images)
        positions = self.positions(self.patch_embed.grid(images.shape[2], images.shape[3]))
        extra: tuple[Tensor, ...] = (self.cls_token,)
        if self.config.distilled:
            extra = (self.cls_token, self.dist_token)
        first = torch.cat(extra, dim=1) + positions[:, : self.num_extra]
        x = torch.cat([first.expand(len(images), -1, -1), patches + positions[:, self.num_extra :]], dim=1)
        x = run_blocks(self.blocks, self.pos_drop(x), checkpointing=self.config.checkpointing)
        return self.norm(x)

    def forward_features(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """One vector an image: the class token, the mean of the patches, or class and distillation token side
        by side.
        """
        tokens = self.forward_tokens(images)
        if self.config.pooling == "mean":
            return tokens[:, self.num_extra :].mean(dim=1)
        return tokens[:, : self.num_extra].flatten(1)

    def forward_head(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B K"]:
        if not self.config.distilled:
            return self.head(features)
        token, distilled = features.chunk(2, dim=-1)
        return (self.head(token) + self.head_dist(distilled)) / 2

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        return self.forward_head(self.forward_features(images))
