"""ViViT: tubelets of a clip through one of four transformers that share space and time out in different
ways.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.attention import SplitHeadsAttention
from vtlearn.attention.kernel import GridKernel
from vtlearn.errors import ArgumentError, require, require_one_of, require_positive
from vtlearn.layers.block import (
    DropPath,
    EncoderBlock,
    Mlp,
    check_width,
    drop_path_rates,
    run_blocks,
    start_xavier,
)
from vtlearn.layers.embed import TUBELET_STARTS, TubeletEmbed, as_pair, check_clips, check_divides
from vtlearn.layers.grid_attention import attend_along
from vtlearn.layers.head import check_num_classes, linear_head
from vtlearn.layers.position import RESIZE_MODES, resize_box_table, resize_grid_table, resize_line_table
from vtlearn.models.classifier import EncoderConfig, VideoClassifier, freeze_tuples, learned_table
from vtlearn.shapes import TokenGrid


@dataclass(frozen=True, kw_only=True)
class ViViTConfig(EncoderConfig):
    """Sizes and encoder of a ViViT; the classmethods hold the paper's models (section 4.1, tables 2 and 6).

    ``encoder`` names the model: "joint" (1), "factorised_encoder" (2), "factorised_self_attention" (3),
    "factorised_dot_product" (4), or "average_pool" (model 2 without its temporal transformer).
    ``classifier`` says what becomes of the tokens: "token" (a class token's vector), or without a class token
    their "mean" ("max", "sum" and "first" as the released code also has them); models 3 and 4 have no class
    token and take "mean". ``sample_frames`` is the paper's uniform frame sampling (section 3.2): tubelets of
    one frame, and of a clip longer than ``num_frames`` that many frames, evenly spaced.
    ``positions`` is "joint" (one row a token, as published) or "separate" (a row a place plus a row a time).

    >>> ViViTConfig.base("joint").grid
    TokenGrid(t=16, h=14, w=14)
    >>> ViViTConfig(**dataclasses.asdict(ViViTConfig.samples())) == ViViTConfig.samples()
    True
    """

    encoder: str = "factorised_encoder"
    num_frames: int = 32
    image_size: int | Sequence[int] = 224
    tubelet_size: Sequence[int] = (2, 16, 16)
    in_channels: int = 3
    temporal_depth: int = 4
    temporal_heads: int | None = None
    temporal_mlp_ratio: float | None = None
    attention_order: str = "time_space"
    classifier: str = "token"
    positions: str = "joint"
    position_resize: str | None = None
    grid_from_clip: bool = False
    tubelet_start: str = "central_frame"
    sample_frames: bool = False
    activation: str = "gelu_tanh"
    num_classes: int = 400

    def __post_init__(self) -> None:
        freeze_tuples(self, "image_size", "tubelet_size")
        require_one_of("encoder", self.encoder, ENCODERS)
        require_positive(num_frames=self.num_frames, in_channels=self.in_channels)
        require(len(self.tubelet_size) == 3, "tubelet_size", self.tubelet_size, "(frames, rows, columns)")
        t, h, w = self.tubelet_size
        require_positive(tubelet_frames=t, tubelet_rows=h, tubelet_columns=w)
        height, width = as_pair("image_size", self.image_size)
        check_divides(self.num_frames, "num_frames", "tubelet_size[0]", t)
        check_divides(height, "image_size (height)", "tubelet_size[1]", h)
        check_divides(width, "image_size (width)", "tubelet_size[2]", w)
        self.check_encoder()
        if self.encoder == "factorised_encoder":
            check_width(
                self.embed_dim, self.heads_over_time, self.temporal_depth, self.temporal_mlp_ratio or 1.0
            )
        if self.encoder == "factorised_dot_product":
            require(self.num_heads % 2 == 0, "num_heads", self.num_heads, "even (half attend over time)")
        require_one_of("attention_order", self.attention_order, ("time_space", "space_time"))
        require_one_of("classifier", self.classifier, CLASSIFIERS)
        if self.encoder in ("factorised_self_attention", "factorised_dot_product"):
            without = tuple(name for name in CLASSIFIERS if name not in ("token", "first"))
            require(
                self.classifier in without,
                "classifier",
                self.classifier,
                f"one of {', '.join(map(repr, without))} for encoder {self.encoder!r}",
            )
        if self.sample_frames:
            require(t == 1, "tubelet_size", self.tubelet_size, "of one frame where frames are sampled")
        require_one_of("positions", self.positions, ("joint", "separate"))
        require_one_of("position_resize", self.position_resize, (None, *RESIZE_MODES))
        require_one_of("tubelet_start", self.tubelet_start, TUBELET_STARTS)
        check_num_classes(self.num_classes)

    @property
    def grid(self) -> TokenGrid:
        """The token grid of a clip of the configured length and size."""
        t, h, w = self.tubelet_size
        height, width = as_pair("image_size", self.image_size)
        return TokenGrid(self.num_frames // t, height // h, width // w)

    @property
    def heads_over_time(self) -> int:
        """Heads of the temporal transformer of model 2: as many as in space unless said otherwise."""
        return self.temporal_heads or self.num_heads

    @classmethod
    def base(cls, encoder: str = "factorised_encoder") -> ViViTConfig:
        """ViViT-B/16x2 on 32 frames, with the classifier that the released configuration of each model
        has.
        """
        averaged = encoder in ("factorised_self_attention", "factorised_dot_product")
        return cls(encoder=encoder, classifier="mean" if averaged else "token")

    @classmethod
    def large(cls, encoder: str = "factorised_encoder") -> ViViTConfig:
        """ViViT-L/16x2 on 32 frames."""
        return dataclasses.replace(cls.base(encoder), embed_dim=1024, depth=24, num_heads=16)

    @classmethod
    def samples(cls, encoder: str = "factorised_encoder") -> ViViTConfig:
        """Small enough to train on the bundled clips on a CPU."""
        return dataclasses.replace(
            cls.base(encoder),
            num_frames=8,
            image_size=32,
            tubelet_size=(2, 8, 8),
            embed_dim=64,
            depth=4,
            num_heads=4,
            mlp_ratio=2.0,
            temporal_depth=2,
            num_classes=8,
        )


CLASSIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "token": lambda tokens: tokens[:, 0],
    "first": lambda tokens: tokens[:, 0],
    "mean": lambda tokens: tokens.mean(dim=1),
    "max": lambda tokens: tokens.amax(dim=1),
    "sum": lambda tokens: tokens.sum(dim=1),
}
"""How tokens (B, N, D) become a vector (B, D); only "token" puts a class token before them."""


def uniform_frames(num_frames_in_clip: int, num_frames: int) -> list[int]:
    """The frames that the released code samples from a clip: evenly spaced, both ends left out.

    A clip no longer than ``num_frames`` is taken whole.

    >>> uniform_frames(32, 8)
    [4, 7, 11, 14, 18, 21, 25, 28]
    """
    if num_frames >= num_frames_in_clip:
        return list(range(num_frames_in_clip))
    step = num_frames_in_clip / (num_frames + 1)
    return [min(round(step * number), num_frames_in_clip - 1) for number in range(1, num_frames + 1)]


def no_positions(grid: TokenGrid, learned: TokenGrid) -> ArgumentError:
    """The complaint about a clip that is longer, shorter, larger or smaller than the positions are for."""
    return ArgumentError(
        "token grid (t, h, w)",
        (grid.t, grid.h, grid.w),
        f"{(learned.t, learned.h, learned.w)}, for which the positions were learned (or set position_resize)",
    )


class Positions(nn.Module):
    """Learned positions of a token grid: one row a token, or a row a place plus a row a time; a row for the
    class token.

    Args:
        grid: the grid for which the table is learned; ``t = 1`` for tokens of a frame.
        embed_dim: length of a row.
        class_token: whether the first row belongs to a class token.
        separate: a table over places and one over times, added, instead of one over both.
        resize: how to meet another grid ("nearest", "bilinear", "bicubic"); ``None`` refuses it.
        grid_from_clip: take any grid of as many tokens (published weights that tell only the number).
    """

    def __init__(
        self,
        grid: TokenGrid,
        embed_dim: int,
        *,
        class_token: bool,
        separate: bool = False,
        resize: str | None = None,
        grid_from_clip: bool = False,
    ) -> None:
        super().__init__()
        self.grid, self.resize, self.grid_from_clip = grid, resize, grid_from_clip
        self.num_extra = int(class_token)
        length = grid.tokens_per_frame if separate else grid.num_tokens
        self.table = learned_table(1, self.num_extra + length, embed_dim)
        self.times = learned_table(1, grid.t, embed_dim) if separate else None

    def forward(self, grid: TokenGrid) -> Float[Tensor, "1 n D"]:
        if not self.fits(grid):
            if self.resize is None:
                raise no_positions(grid, self.grid)
            return self._resized(grid, self.resize)
        if self.times is None:
            return self.table
        return self._sum(self.table, self.times, grid)

    def fits(self, grid: TokenGrid) -> bool:
        """Whether the table serves this grid as it is."""
        # number by number: a compiler that keeps sizes symbolic cannot compare two grids as a whole
        same = grid.t == self.grid.t and grid.h == self.grid.h and grid.w == self.grid.w
        return same or (self.grid_from_clip and grid.num_tokens == self.grid.num_tokens)

    def _sum(self, table: Tensor, times: Tensor, grid: TokenGrid) -> Tensor:
        both = (table[:, None, self.num_extra :] + times[:, :, None]).flatten(1, 2)
        return torch.cat([table[:, : self.num_extra], both], dim=1)

    def _resized(self, grid: TokenGrid, mode: str) -> Tensor:
        if self.times is None:
            return resize_box_table(self.table, self.grid, grid, mode=mode, num_extra=self.num_extra)
        old, new = (self.grid.h, self.grid.w), (grid.h, grid.w)
        table = resize_grid_table(self.table, old, new, mode=mode, num_extra=self.num_extra)
        line_mode = "nearest" if mode == "nearest" else "linear"
        return self._sum(table, resize_line_table(self.times, grid.t, mode=line_mode), grid)


class Stage(nn.Module):
    """A transformer that turns a set of tokens into one vector: class token, positions, blocks, norm,
    pooling.
    """

    def __init__(
        self, config: ViViTConfig, grid: TokenGrid, *, depth: int, num_heads: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.checkpointing = config.checkpointing
        by_token = config.classifier == "token"
        self.classifier = config.classifier
        self.cls_token = learned_table(1, 1, config.embed_dim, std=0.0) if by_token else None
        self.positions = Positions(
            grid,
            config.embed_dim,
            class_token=by_token,
            separate=config.positions == "separate" and config.encoder == "joint",
            resize=config.position_resize,
            grid_from_clip=config.grid_from_clip,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config.embed_dim,
                num_heads,
                round(config.embed_dim * mlp_ratio),
                drop_path=rate,
                **config.block_options(),
            )
            for rate in drop_path_rates(config.drop_path, depth)
        )
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)

    def forward(self, x: Float[Tensor, "B N D"], grid: TokenGrid) -> Float[Tensor, "B D"]:
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.dropout(x + self.positions(grid))
        return CLASSIFIERS[self.classifier](
            self.norm(run_blocks(self.blocks, x, checkpointing=self.checkpointing))
        )


class JointEncoder(Stage):
    """Model 1, joint space-time attention: one transformer over all tubelets of the clip (section 3.3.1).

    Cost: 12 N D² + 2 N² D multiply-adds a block for all N tokens of the clip.
    """

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__(
            config, config.grid, depth=config.depth, num_heads=config.num_heads, mlp_ratio=config.mlp_ratio
        )

    def forward(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B D"]:
        return super().forward(x.flatten(1, 2), grid)


class FramewiseEncoder(nn.Module):
    """The average-pool baseline of table 2: the spatial transformer of model 2, its vectors averaged over
    time.
    """

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__()
        frame = TokenGrid(1, config.grid.h, config.grid.w)
        self.spatial = Stage(
            config, frame, depth=config.depth, num_heads=config.num_heads, mlp_ratio=config.mlp_ratio
        )

    def frames(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B t D"]:
        """One vector for each temporal index."""
        return self.spatial(x.flatten(0, 1), TokenGrid(1, grid.h, grid.w)).unflatten(0, x.shape[:2])

    def forward(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B D"]:
        return self.frames(x, grid).mean(dim=1)


class FactorisedEncoder(FramewiseEncoder):
    """Model 2: a spatial transformer for each temporal index, then a temporal one over their vectors (section
    3.3.2).

    Both have their own class token, positions and last norm: late fusion. Of the four models it
    was the fastest in the paper's table of runtimes.
    """

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__(config)
        self.grid, self.resize = config.grid, config.position_resize
        self.temporal = Stage(
            config,
            TokenGrid(config.grid.t, 1, 1),
            depth=config.temporal_depth,
            num_heads=config.heads_over_time,
            mlp_ratio=config.temporal_mlp_ratio or config.mlp_ratio,
        )

    def forward(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B D"]:
        if self.resize is None and not self.temporal.positions.fits(TokenGrid(grid.t, 1, 1)):
            raise no_positions(grid, self.grid)
        return self.temporal(self.frames(x, grid), TokenGrid(grid.t, 1, 1))


class SelfAttentionBlock(nn.Module):
    """A block of model 3: attention over time, attention over space, each with its norm and residual, then
    the MLP.

    The released code's order is time first; the paper's equations have space first and find no difference.
    The released block takes a rate of stochastic depth and ignores it; here it works.
    """

    def __init__(self, config: ViViTConfig, drop_path: float) -> None:
        super().__init__()
        self.order = [name[0] for name in config.attention_order.split("_")]
        self.norm_time = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attn_time = config.new_attention()
        self.norm_space = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attn_space = config.new_attention()
        self.norm_mlp = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = Mlp(
            config.embed_dim,
            config.mlp_dim,
            activation=config.activation,
            dropout=config.dropout,
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B t s D"]:
        steps = {"t": (self.norm_time, self.attn_time), "s": (self.norm_space, self.attn_space)}
        for axis in self.order:
            norm, attention = steps[axis]
            x = x + self.drop_path(attend_along(axis, attention, norm(x)))
        return x + self.drop_path(self.mlp(self.norm_mlp(x)))


def _split_heads(num_heads: int, grid: TokenGrid) -> SplitHeadsAttention:
    return SplitHeadsAttention(grid.tokens_per_frame, num_heads)


class DotProductBlock(nn.Module):
    """A block of model 4: one attention whose first half of heads looks over time, its second half over
    space.

    Section 3.3.4; as many weights as model 1.
    """

    def __init__(self, config: ViViTConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attn = config.new_attention()
        self.attn.kernel = GridKernel(partial(_split_heads, config.num_heads))
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = Mlp(
            config.embed_dim,
            config.mlp_dim,
            activation=config.activation,
            dropout=config.dropout,
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B t s D"]:
        update = self.attn(self.norm1(x).flatten(1, 2), grid=grid)
        x = x + self.drop_path(update.view_as(x))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class GridEncoder(nn.Module):
    """Models 3 and 4: positions, blocks that keep the grid, norm, and the mean over all tokens (no class
    token).
    """

    def __init__(self, config: ViViTConfig, block: type[nn.Module]) -> None:
        super().__init__()
        self.checkpointing = config.checkpointing
        self.classifier = config.classifier
        self.positions = Positions(
            config.grid,
            config.embed_dim,
            class_token=False,
            separate=config.positions == "separate",
            resize=config.position_resize,
            grid_from_clip=config.grid_from_clip,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            block(config, rate) for rate in drop_path_rates(config.drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)

    def forward(self, x: Float[Tensor, "B t s D"], grid: TokenGrid) -> Float[Tensor, "B D"]:
        positions = self.positions(grid).unflatten(1, (grid.t, grid.tokens_per_frame))
        x = run_blocks(self.blocks, self.dropout(x + positions), grid, checkpointing=self.checkpointing)
        return CLASSIFIERS[self.classifier](self.norm(x).flatten(1, 2))


class FactorisedSelfAttention(GridEncoder):
    """Model 3: every block attends over time and over space in turn (section 3.3.3)."""

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__(config, SelfAttentionBlock)


class FactorisedDotProduct(GridEncoder):
    """Model 4: half of the heads of every block attend over time, half over space (section 3.3.4)."""

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__(config, DotProductBlock)


ENCODERS: dict[str, type[nn.Module]] = {
    "joint": JointEncoder,
    "factorised_encoder": FactorisedEncoder,
    "factorised_self_attention": FactorisedSelfAttention,
    "factorised_dot_product": FactorisedDotProduct,
    "average_pool": FramewiseEncoder,
}
"""The paper's models 1 to 4 and its average-pool baseline, by the name a configuration gives."""


class ViViT(VideoClassifier):
    """Tubelets through one of the paper's encoders to one vector, and a linear head that starts at zero.

    Arnab et al., "ViViT: A video vision transformer", arXiv 2103.15691, with the released code's choices:
    pre-norm blocks, tanh-GELU, layer norm eps 1e-6, class token started at zero. Clips are expected in [-1,
    1].

    Args:
        config: sizes and encoder.

    >>> model = ViViT(ViViTConfig.samples("joint"))
    >>> model(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 8])
    """

    config: ViViTConfig

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__()
        self.config = config
        self.num_features = config.embed_dim
        self.tubelet_embed = TubeletEmbed(
            tubelet_size=config.tubelet_size, in_channels=config.in_channels, embed_dim=config.embed_dim
        )
        self.encoder = ENCODERS[config.encoder](config)
        start_xavier(self.encoder)
        self._start_tubelets()
        self.head = self.make_head(config.num_classes)

    def _start_tubelets(self) -> None:
        """Fresh tubelet kernels begin as patch kernels made into tubelets the configured way."""
        weight = self.tubelet_embed.proj.weight
        flat = torch.empty(weight.shape[0], weight[0, :, 0].numel(), device=weight.device, dtype=weight.dtype)
        nn.init.xavier_uniform_(flat)
        start = TUBELET_STARTS[self.config.tubelet_start]
        with torch.no_grad():
            weight.copy_(start(flat.view(weight[:, :, 0].shape), weight.shape[2]))
        assert self.tubelet_embed.proj.bias is not None
        nn.init.zeros_(self.tubelet_embed.proj.bias)

    def make_head(self, num_classes: int) -> nn.Module:
        return linear_head(self.num_features, num_classes, zero=True)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Tensor | None = None
    ) -> Float[Tensor, "B D"]:
        """The clip's vector after the last norm: class token, or mean of the tokens."""
        if self.config.sample_frames:
            check_clips(clips, self.config.in_channels)
            clips = clips[:, uniform_frames(clips.shape[1], self.config.num_frames)]
        tokens = self.tubelet_embed(clips)
        grid = self.tubelet_embed.grid(clips.shape[1], clips.shape[3], clips.shape[4])
        return self.encoder(tokens, grid)
