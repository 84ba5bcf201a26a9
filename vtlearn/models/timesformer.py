"""TimeSformer: an image transformer whose blocks also attend over time, by the scheme of one's choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.attention import DenseAttention, LocalNeighbourhood, StridedGlobal, WithClassToken
from vtlearn.attention.kernel import GridKernel
from vtlearn.errors import require_one_of, require_positive
from vtlearn.layers.block import (
    DropPath,
    EncoderBlock,
    Mlp,
    drop_path_rates,
    run_blocks,
    start_truncated_normal,
)
from vtlearn.layers.embed import PatchEmbed, as_pair, check_clips, check_divides
from vtlearn.layers.grid_attention import attend_along
from vtlearn.layers.head import check_num_classes, linear_head
from vtlearn.layers.position import RESIZE_MODES, resize_grid_table, resize_line_table
from vtlearn.models.classifier import EncoderConfig, VideoClassifier, freeze_tuples, learned_table
from vtlearn.shapes import TokenGrid


@dataclass(frozen=True, kw_only=True)
class TimeSformerConfig(EncoderConfig):
    """Sizes and attention scheme of a TimeSformer; the classmethods hold the paper's models (section 4.1,
    table 2).

    ``num_frames`` and ``image_size`` are those of the position tables; a clip of another length or size is
    taken as well, with the tables resized by ``position_resize`` ("nearest" as published). ``pooling`` is
    "token" as published, or "mean" (of the patches after the last norm), for a start from an image model that
    was trained with the mean and never taught its class token.

    >>> import dataclasses
    >>> TimeSformerConfig.high_resolution().grid
    TokenGrid(t=16, h=28, w=28)
    >>> TimeSformerConfig(**dataclasses.asdict(TimeSformerConfig.samples())) == TimeSformerConfig.samples()
    True
    """

    attention: str = "divided"
    num_frames: int = 8
    image_size: int | Sequence[int] = 224
    patch_size: int = 16
    in_channels: int = 3
    drop_path: float = 0.1
    position_resize: str = "nearest"
    pooling: str = "token"
    num_classes: int = 400

    def __post_init__(self) -> None:
        freeze_tuples(self, "image_size")
        require_one_of("attention", self.attention, SCHEMES)
        require_positive(num_frames=self.num_frames, patch_size=self.patch_size, in_channels=self.in_channels)
        self.check_encoder()
        height, width = as_pair("image_size", self.image_size)
        check_divides(height, "image_size (height)", "patch_size", self.patch_size)
        check_divides(width, "image_size (width)", "patch_size", self.patch_size)
        require_one_of("position_resize", self.position_resize, RESIZE_MODES)
        require_one_of("pooling", self.pooling, ("token", "mean"))
        check_num_classes(self.num_classes)

    @property
    def grid(self) -> TokenGrid:
        """The token grid of a clip of the configured length and size."""
        height, width = as_pair("image_size", self.image_size)
        return TokenGrid(self.num_frames, height // self.patch_size, width // self.patch_size)

    @classmethod
    def base(cls) -> TimeSformerConfig:
        """TimeSformer: 8 frames at 224 × 224, one in 32."""
        return cls()

    @classmethod
    def high_resolution(cls) -> TimeSformerConfig:
        """TimeSformer-HR: 16 frames at 448 × 448, one in 16."""
        return cls(num_frames=16, image_size=448)

    @classmethod
    def large(cls) -> TimeSformerConfig:
        """TimeSformer-L: 96 frames at 224 × 224, one in 4 (long, not wide)."""
        return cls(num_frames=96)

    @classmethod
    def samples(cls) -> TimeSformerConfig:
        """Small enough to train on the bundled clips on a CPU."""
        return cls(
            image_size=32,
            patch_size=8,
            embed_dim=64,
            depth=4,
            num_heads=4,
            mlp_ratio=2.0,
            drop_path=0.0,
            num_classes=8,
        )


class _SpaceTimeBlock(nn.Module):
    """What the space-time schemes share: the attention over the patches of a frame, the MLP, and their
    norms.
    """

    def __init__(self, config: TimeSformerConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attn = config.new_attention()
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = Mlp(config.embed_dim, config.mlp_dim, activation=config.activation, dropout=config.dropout)
        self.drop_path = DropPath(drop_path)

    def in_frames(
        self, token: Float[Tensor, "B 1 D"], patches: Float[Tensor, "B t s D"]
    ) -> tuple[Float[Tensor, "B 1 D"], Float[Tensor, "B t s D"]]:
        """The update by attention within each frame; every frame gets a copy of the class token, whose
        updates are averaged.
        """
        frames = torch.cat([token[:, None].expand(-1, patches.shape[1], -1, -1), patches], dim=2)
        update = self.attn(self.norm1(frames).flatten(0, 1)).unflatten(0, frames.shape[:2])
        update = self.drop_path(update, row_dims=(0, 1))
        return update[:, :, 0].mean(dim=1, keepdim=True), update[:, :, 1:]

    def finish(
        self, token: Float[Tensor, "B 1 D"], patches: Float[Tensor, "B t s D"]
    ) -> Float[Tensor, "B n D"]:
        """Join class token and patches, and add the MLP's update."""
        x = torch.cat([token, patches.flatten(1, 2)], dim=1)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class DividedBlock(_SpaceTimeBlock):
    """Attention over time at each place, then over the patches of each frame, then the MLP ("divided", T+S).

    TimeSformer, section 3, arXiv 2102.05095. As in the released code, and unlike the paper's formula, the
    class token takes no part in the attention over time; its projection is followed by one more linear layer,
    ``temporal_fc``, which starts at zero, so that a fresh block is an image block. The class token that meets
    the frames is the block's input.

    Cost: (16 N D² + N D² for temporal_fc) + 2 N (t + s + 1) D multiply-adds for N = t · s tokens.
    """

    def __init__(self, config: TimeSformerConfig, drop_path: float) -> None:
        super().__init__(config, drop_path)
        self.temporal_norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.temporal_attn = config.new_attention()
        self.temporal_fc = nn.Linear(config.embed_dim, config.embed_dim)

    def over_time(self, patches: Float[Tensor, "B t s D"]) -> Float[Tensor, "B t s D"]:
        """The update by attention over time at each place."""
        update = attend_along("t", self.temporal_attn, self.temporal_norm1(patches))
        return self.temporal_fc(self.drop_path(update, row_dims=(0, 2)))

    def forward(self, x: Float[Tensor, "B n D"], grid: TokenGrid) -> Float[Tensor, "B n D"]:
        token, patches = x[:, :1], x[:, 1:].unflatten(1, (grid.t, grid.tokens_per_frame))
        patches = patches + self.over_time(patches)
        token_update, patch_update = self.in_frames(token, patches)
        return self.finish(token + token_update, patches + patch_update)


class SpaceFirstBlock(DividedBlock):
    """Attention within each frame first, then over time ("space then time", section 4.7: half a point below
    divided).

    A reconstruction: the paper reports the order, the released code does not contain it.
    """

    def forward(self, x: Float[Tensor, "B n D"], grid: TokenGrid) -> Float[Tensor, "B n D"]:
        token, patches = x[:, :1], x[:, 1:].unflatten(1, (grid.t, grid.tokens_per_frame))
        token_update, patch_update = self.in_frames(token, patches)
        patches = patches + patch_update
        return self.finish(token + token_update, patches + self.over_time(patches))


class ParallelBlock(DividedBlock):
    """Attention over time and within frames from the same input, both updates added (section 4.7).

    A reconstruction: the paper reports it, the released code does not contain it.
    """

    def forward(self, x: Float[Tensor, "B n D"], grid: TokenGrid) -> Float[Tensor, "B n D"]:
        token, patches = x[:, :1], x[:, 1:].unflatten(1, (grid.t, grid.tokens_per_frame))
        token_update, patch_update = self.in_frames(token, patches)
        return self.finish(token + token_update, patches + patch_update + self.over_time(patches))


def _near(grid: TokenGrid) -> DenseAttention:
    return DenseAttention(LocalNeighbourhood(grid))


def _far(grid: TokenGrid) -> DenseAttention:
    return DenseAttention(WithClassToken(StridedGlobal(grid)))


class SparseBlock(_SpaceTimeBlock):
    """Attention to the near half of the clip, then to every second token of all of it ("sparse local global",
    L+G).

    TimeSformer, section 3. A reconstruction, since no code was released: the local step stands where
    "divided" has its step over time (patches only, own norm and projections, then a linear layer that starts
    at zero), which gives the published 121.4 M parameters; the global step includes the class token, which
    attends to all and is attended by all.
    """

    def __init__(self, config: TimeSformerConfig, drop_path: float) -> None:
        super().__init__(config, drop_path)
        self.local_norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.local_attn = config.new_attention()
        self.local_fc = nn.Linear(config.embed_dim, config.embed_dim)
        self.local_attn.kernel, self.attn.kernel = GridKernel(_near), GridKernel(_far)

    def forward(self, x: Float[Tensor, "B n D"], grid: TokenGrid) -> Float[Tensor, "B n D"]:
        token, patches = x[:, :1], x[:, 1:]
        near = self.local_attn(self.local_norm1(patches), grid=grid)
        patches = patches + self.local_fc(self.drop_path(near))
        x = torch.cat([token, patches], dim=1)
        x = x + self.drop_path(self.attn(self.norm1(x), grid=grid))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class AxialBlock(_SpaceTimeBlock):
    """Attention over time, then along the rows, then along the columns ("axial", T+W+H).

    TimeSformer, section 3. A reconstruction, since no code was released: the first two steps are built like
    the step over time of "divided" (patches only, then a linear layer that starts at zero), which gives the
    published 156.8 M parameters; in the last, over height, every column of every frame gets a copy of the
    class token, whose updates are averaged.
    """

    def __init__(self, config: TimeSformerConfig, drop_path: float) -> None:
        super().__init__(config, drop_path)
        self.temporal_norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.temporal_attn = config.new_attention()
        self.temporal_fc = nn.Linear(config.embed_dim, config.embed_dim)
        self.width_norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.width_attn = config.new_attention()
        self.width_fc = nn.Linear(config.embed_dim, config.embed_dim)

    def forward(self, x: Float[Tensor, "B n D"], grid: TokenGrid) -> Float[Tensor, "B n D"]:
        token, patches = x[:, :1], x[:, 1:].unflatten(1, (grid.t, grid.tokens_per_frame))
        update = attend_along("t", self.temporal_attn, self.temporal_norm1(patches))
        patches = patches + self.temporal_fc(self.drop_path(update, row_dims=(0, 2)))

        rows = patches.unflatten(2, (grid.h, grid.w))  # B t h w D
        update = self.width_attn(self.width_norm1(rows).flatten(0, 2)).unflatten(0, rows.shape[:3])
        rows = rows + self.width_fc(self.drop_path(update, row_dims=(0, 1, 2)))

        columns = rows.transpose(2, 3)  # B t w h D
        tokens = token[:, None, None].expand(-1, grid.t, grid.w, -1, -1)
        update = self.norm1(torch.cat([tokens, columns], dim=3)).flatten(0, 2)
        update = self.drop_path(self.attn(update).unflatten(0, columns.shape[:3]), row_dims=(0, 1, 2))
        token = token + update[:, :, :, 0].mean(dim=(1, 2))[:, None]
        patches = (rows + update[:, :, :, 1:].transpose(2, 3)).flatten(2, 3)
        return self.finish(token, patches)


class JointBlock(EncoderBlock):
    """One attention over all tokens of the clip ("joint space-time"): an ordinary block on a longer
    sequence.
    """

    def __init__(self, config: TimeSformerConfig, drop_path: float) -> None:
        super().__init__(
            config.embed_dim,
            config.num_heads,
            config.mlp_dim,
            drop_path=drop_path,
            **config.block_options(),
        )

    def forward(self, x: Float[Tensor, "B n D"], grid: TokenGrid | None = None) -> Float[Tensor, "B n D"]:
        return super().forward(x)


class SpaceBlock(JointBlock):
    """One attention over the tokens of a frame ("space only"): every frame is a row of its own, with its own
    class token.
    """


SCHEMES: dict[str, type[nn.Module]] = {
    "divided": DividedBlock,
    "joint": JointBlock,
    "space": SpaceBlock,
    "space_first": SpaceFirstBlock,
    "parallel": ParallelBlock,
    "sparse": SparseBlock,
    "axial": AxialBlock,
}
"""The block of every attention scheme, by the name a configuration gives."""


class TimeSformer(VideoClassifier):
    """Patches of every frame and one class token through blocks that attend over space and time.

    Bertasius, Wang, Torresani, "Is space-time attention all you need for video understanding?", arXiv
    2102.05095. As in the released code the head is one linear layer (the paper says one hidden layer), and
    "space" averages all tokens over the frames before the last norm. Tokens are ordered (t h w); the released
    code has time fastest, which ``pretrained.py`` need not convert, since no weight depends on the order.

    Args:
        config: sizes and scheme.

    >>> model = TimeSformer(TimeSformerConfig.samples())
    >>> model(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 8])
    """

    config: TimeSformerConfig

    def __init__(self, config: TimeSformerConfig) -> None:
        super().__init__()
        self.config = config
        self.num_features = config.embed_dim
        self.patch_embed = PatchEmbed(
            patch_size=config.patch_size, in_channels=config.in_channels, embed_dim=config.embed_dim
        )
        self.cls_token = learned_table(1, 1, config.embed_dim)
        self.pos_embed = learned_table(1, 1 + config.grid.tokens_per_frame, config.embed_dim)
        self.pos_drop = nn.Dropout(config.dropout)
        if config.attention != "space":
            self.time_embed = learned_table(1, config.num_frames, config.embed_dim, std=0.0)
            self.time_drop = nn.Dropout(config.dropout)
        block = SCHEMES[config.attention]
        self.blocks = nn.ModuleList(
            block(config, rate) for rate in drop_path_rates(config.drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        start_truncated_normal(self)
        for name, part in self.named_modules():
            if name.endswith("_fc") and isinstance(part, nn.Linear):
                nn.init.zeros_(part.weight)
        self.head = self.make_head(config.num_classes)

    def make_head(self, num_classes: int) -> nn.Module:
        return linear_head(self.num_features, num_classes)

    def embed(
        self, clips: Float[Tensor, "B T C H W"]
    ) -> tuple[Float[Tensor, "B T 1 D"], Float[Tensor, "B T s D"], TokenGrid]:
        """Class token and patches of every frame with their positions in the frame, and the token grid."""
        check_clips(clips, self.config.in_channels)
        h, w = self.patch_embed.grid(clips.shape[3], clips.shape[4])
        grid = TokenGrid(clips.shape[1], h, w)
        positions = resize_grid_table(
            self.pos_embed,
            (self.config.grid.h, self.config.grid.w),
            (h, w),
            mode=self.config.position_resize,
            num_extra=1,
        )
        patches = self.patch_embed(clips.flatten(0, 1)) + positions[:, 1:]
        token = (self.cls_token + positions[:, :1])[None].expand(clips.shape[0], grid.t, -1, -1)
        return self.pos_drop(token), self.pos_drop(patches.unflatten(0, clips.shape[:2])), grid

    def forward_tokens(self, clips: Float[Tensor, "B T C H W"]) -> Float[Tensor, "rows n D"]:
        """Tokens after the last block, before the norm: class token, then patches in the order (t h w).

        For "space" the rows are the frames: ``(B · T, 1 + h · w, D)``.
        """
        token, patches, grid = self.embed(clips)
        if self.config.attention == "space":
            x = torch.cat([token, patches], dim=2).flatten(0, 1)
        else:
            times = resize_line_table(self.time_embed, grid.t)
            patches = self.time_drop(patches + times[:, :, None])
            x = torch.cat([token[:, 0], patches.flatten(1, 2)], dim=1)
        return run_blocks(self.blocks, x, grid, checkpointing=self.config.checkpointing)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B D"]:
        """The class token after the last norm, or the mean of the patches ("space": averaged over the frames
        before it).
        """
        tokens = self.forward_tokens(clips)
        if self.config.pooling == "token":
            tokens = tokens[:, :1]
        if self.config.attention == "space":
            tokens = tokens.unflatten(0, clips.shape[:2]).mean(dim=1)
        tokens = self.norm(tokens)
        return tokens[:, 0] if self.config.pooling == "token" else tokens[:, 1:].mean(dim=1)
