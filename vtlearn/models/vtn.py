"""VTN: any image backbone frame by frame, a Longformer over time, and three ways to run it on long videos."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vtlearn.attention import UniformAttention
from vtlearn.errors import (
    ArgumentError,
    DataError,
    require,
    require_odd,
    require_one_of,
    require_positive,
    require_probability,
)
from vtlearn.layers.embed import check_clips
from vtlearn.layers.head import MlpHead, check_num_classes
from vtlearn.layers.longformer import LongformerEncoder, LongformerLayer
from vtlearn.layers.position import look_up_between, sincos_line
from vtlearn.models.classifier import VideoClassifier, freeze_tuples, learned_table
from vtlearn.models.resnet import ResNet, ResNetConfig
from vtlearn.models.vit import ViT, ViTConfig


@dataclass(frozen=True, kw_only=True)
class VTNConfig:
    """Backbone and temporal encoder of a VTN; :meth:`vit_base` holds the released configuration.

    ``window_size`` is two-sided and odd, for all layers or one a layer; the released 18 counts both sides
    without the centre, which is 19 here. ``num_positions`` rows of positions stand for the frame indices 0,
    1, …; ``past_table`` says what a later frame means: "error", "squeeze" (the clip's indices are scaled to
    fit, between rows mixed linearly) or "modulo" (the released rule, which silently uses positions again). A
    backbone without ``tune_backbone`` is fixed. ``frame_chunk`` frames go through the backbone at a time
    (``None``: all). With ``checkpointing`` the layers over time keep only their inputs; a ViT has the same
    option (``create_model`` sets both). ``backbone`` is a configuration, a name "timm/…" where timm is
    installed, or ``None`` for a module handed to :class:`VTN`.

    >>> VTNConfig(**dataclasses.asdict(VTNConfig.samples())) == VTNConfig.samples()
    True
    """

    backbone: ViTConfig | ResNetConfig | str | dict[str, Any] | None = dataclasses.field(
        default_factory=lambda: ViTConfig(num_classes=0)
    )
    num_frames: int = 16
    in_channels: int = 3
    embed_dim: int = 768
    depth: int = 3
    num_heads: int = 12
    mlp_dim: int = 3072
    window_size: int | Sequence[int] = 19
    attention: str = "window"
    positions: str = "learned"
    num_positions: int = 286
    past_table: str = "error"
    norm_eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    head_hidden_dim: int = 768
    head_dropout: float = 0.5
    tune_backbone: bool = True
    frame_chunk: int | None = None
    checkpointing: bool = False
    num_classes: int = 400

    def __post_init__(self) -> None:
        freeze_tuples(self, "window_size")
        if isinstance(self.backbone, dict):
            kind = ResNetConfig if "layers" in self.backbone else ViTConfig
            object.__setattr__(self, "backbone", kind(**self.backbone))
        if isinstance(self.backbone, (ViTConfig, ResNetConfig)) and self.backbone.num_classes != 0:
            object.__setattr__(self, "backbone", dataclasses.replace(self.backbone, num_classes=0))
        if isinstance(self.backbone, str):
            require(
                self.backbone.startswith("timm/"),
                "backbone",
                self.backbone,
                "a configuration or 'timm/<name>'",
            )
        require_positive(
            num_frames=self.num_frames,
            in_channels=self.in_channels,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            mlp_dim=self.mlp_dim,
            num_positions=self.num_positions,
            head_hidden_dim=self.head_hidden_dim,
        )
        require(
            self.embed_dim % self.num_heads == 0,
            "embed_dim",
            self.embed_dim,
            f"a multiple of num_heads = {self.num_heads}",
        )
        windows = (self.window_size,) if isinstance(self.window_size, int) else self.window_size
        require(
            isinstance(self.window_size, int) or len(windows) == self.depth,
            "window_size",
            self.window_size,
            f"one number or one for each of the {self.depth} layers",
        )
        for window in windows:
            require_odd(window_size=window)
        require_one_of("attention", self.attention, ("window", "uniform"))
        require_one_of("positions", self.positions, ("learned", "fixed", "none"))
        require_one_of("past_table", self.past_table, ("error", "squeeze", "modulo"))
        require_probability(
            dropout=self.dropout, attention_dropout=self.attention_dropout, head_dropout=self.head_dropout
        )
        if self.frame_chunk is not None:
            require_positive(frame_chunk=self.frame_chunk)
        check_num_classes(self.num_classes)

    @classmethod
    def of(cls, other: VTNConfig, **changes: Any) -> VTNConfig:
        """This kind of configuration with the fields of another kind of VTN, some of them changed."""
        fields = {field.name: getattr(other, field.name) for field in dataclasses.fields(other)}
        return cls(**(fields | changes))

    @classmethod
    def vit_base(cls) -> VTNConfig:
        """ViT-B-VTN, the released model: ViT-B/16 and three layers of width 768."""
        return cls()

    @classmethod
    def with_backbone(cls, backbone: ViTConfig | ResNetConfig, mlp_dim: int | None = None) -> VTNConfig:
        """The released temporal encoder at the width of another backbone: the paper's R50, R101 and DeiT
        rows.

        A reconstruction: only ViT-B's configuration was released. The width follows the backbone's features,
        with heads of 64 channels as in the release.
        """
        features = backbone.embed_dim if isinstance(backbone, ViTConfig) else backbone.width * 32
        return cls(
            backbone=dataclasses.replace(backbone, num_classes=0),
            embed_dim=features,
            num_heads=features // 64,
            mlp_dim=mlp_dim or 4 * features,
            head_hidden_dim=features,
        )

    @classmethod
    def samples(cls) -> VTNConfig:
        """Small enough to train on the bundled clips on a CPU."""
        return cls(
            backbone=dataclasses.replace(ViTConfig.samples(), num_classes=0),
            num_frames=8,
            embed_dim=64,
            depth=2,
            num_heads=4,
            mlp_dim=128,
            window_size=9,
            num_positions=64,
            past_table="squeeze",
            dropout=0.0,
            attention_dropout=0.0,
            head_hidden_dim=64,
            head_dropout=0.0,
            num_classes=8,
        )


def build_backbone(backbone: ViTConfig | ResNetConfig | str) -> nn.Module:
    """A module that maps images ``(B, C, H, W)`` to vectors ``(B, F)``, from its configuration or its timm
    name.
    """
    if isinstance(backbone, ViTConfig):
        return ViT(backbone)
    if isinstance(backbone, ResNetConfig):
        return ResNet(backbone)
    try:
        import timm
    except ImportError:
        raise ArgumentError("backbone", backbone, "a configuration, since timm is not installed") from None
    return timm.create_model(backbone.removeprefix("timm/"), num_classes=0)


class FrameIndexPositions(nn.Module):
    """Positions by the frame's real index in the video, so that one table serves every frame rate.

    The table has two more rows than ``num_positions``, as published: the class token's, and one for padding
    that nothing here uses, since nothing is padded.
    """

    def __init__(self, config: VTNConfig) -> None:
        super().__init__()
        self.num_positions, self.past_table = config.num_positions, config.past_table
        rows = config.num_positions + 2
        if config.positions == "fixed":
            table = sincos_line(rows, config.embed_dim)
            table[-1] = 0.0
            self.table: Tensor
            self.register_buffer("table", table, persistent=False)
        else:
            self.table = learned_table(rows, config.embed_dim)
            with torch.no_grad():
                self.table[-1] = 0.0

    def class_token(self) -> Float[Tensor, "D"]:
        """The class token's own row."""
        return self.table[self.num_positions]

    def forward(self, frame_index: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        checked = not torch.compiler.is_compiling() and frame_index.device.type != "meta"
        if checked:
            lowest = int(frame_index.min())
            require(lowest >= 0, "frame_index", lowest, "0 or more")
        if self.past_table == "modulo":
            return self.table[frame_index % self.num_positions]
        last = self.num_positions - 1
        if self.past_table == "squeeze":
            longest = frame_index.amax(dim=1, keepdim=True)
            scale = (last / longest.clamp(min=1)).clamp(max=1.0)
            return look_up_between(self.table[: last + 1], frame_index * scale)
        if checked:
            highest = int(frame_index.max())
            require(
                highest <= last,
                "frame_index",
                highest,
                f"at most {last}, the last of num_positions = {self.num_positions} (or set past_table)",
            )
        return self.table[frame_index]


class FittedPositions(nn.Module):
    """Positions of a long video among those that training reached, between rows mixed linearly.

    Frame ``i`` of ``0 … last_index`` stands at ``i · (trained_positions − 1) / last_index`` of the table.

    No row that training never reached is read, and no two frames share a position. What it says of the video
    is: the same as in training, only slower. It stands in a model's place for ``positions`` and shares its
    table.

    Args:
        table: the model's own positions.
        trained_positions: frame indices ``0 … trained_positions − 1`` were trained.
        last_index: the video's last frame index; a video that ends within the trained ones stays as it is.

    Raises:
        ArgumentError: fewer than two trained positions (all frames would share one), more than the table
            has, or in the forward pass a frame outside of ``0 … last_index``.

    >>> table = FrameIndexPositions(VTNConfig.samples())
    >>> fitted = FittedPositions(table, trained_positions=24, last_index=92)
    >>> bool(torch.equal(fitted(torch.tensor([[0, 8, 92]])), table(torch.tensor([[0, 2, 23]]))))
    True
    """

    def __init__(self, table: FrameIndexPositions, trained_positions: int, last_index: int) -> None:
        super().__init__()
        require(
            2 <= trained_positions <= table.num_positions,
            "trained_positions",
            trained_positions,
            f"2 to {table.num_positions}, the rows of the table",
        )
        require(last_index >= 0, "last_index", last_index, "0 or more")
        self.table, self.trained_positions, self.last_index = table, trained_positions, last_index

    def class_token(self) -> Float[Tensor, "D"]:
        """The class token's own row."""
        return self.table.class_token()

    def forward(self, frame_index: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        lowest, highest = int(frame_index.min()), int(frame_index.max())
        require(lowest >= 0, "frame_index", lowest, "0 or more")
        require(
            highest <= self.last_index, "frame_index", highest, f"at most {self.last_index}, the video's last"
        )
        scale = min(1.0, (self.trained_positions - 1) / max(1, self.last_index))
        return look_up_between(self.table.table[: self.trained_positions], frame_index * scale)


class VTN(VideoClassifier):
    """Frames through an image backbone, their vectors through a Longformer with a global class token, then an
    MLP head.

    Neimark, Bar, Zohar, Asselmann, "Video transformer network", arXiv 2102.00719, with the sizes, positions
    and post-norm layers of the released code (which pads to a multiple of twice the window; nothing needs
    padding here).

    Three ways to run it give the same logits: ``model(clips, frame_index)`` end to end; the same with
    ``frame_chunk`` set, which bounds the backbone's memory; and :meth:`classify_features` on what
    :meth:`frame_features` gave earlier, even from a memory-mapped file. :meth:`classify_stream` takes an
    iterator of frames.

    Args:
        config: backbone and temporal encoder.
        backbone: a module that maps images ``(B, C, H, W)`` to ``(B, embed_dim)``, in place of
            ``config.backbone``.

    >>> model = VTN(VTNConfig.samples()).eval()
    >>> model(torch.zeros(2, 8, 3, 32, 32), torch.arange(0, 32, 4).expand(2, -1)).shape
    torch.Size([2, 8])
    """

    config: VTNConfig
    encoder_class: type[LongformerEncoder] = LongformerEncoder

    def __init__(self, config: VTNConfig, backbone: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.num_features = config.embed_dim
        if backbone is None:
            if config.backbone is None or isinstance(config.backbone, dict):
                raise ArgumentError("backbone", None, "a configuration, or a module handed to VTN")
            backbone = build_backbone(config.backbone)
        self.backbone = backbone
        self.backbone.requires_grad_(config.tune_backbone)
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.embed_dim))
        self.positions: FrameIndexPositions | FittedPositions | None = None
        if config.positions != "none":
            self.positions = FrameIndexPositions(config)
        self.token_types = learned_table(2, config.embed_dim)
        self.embed_norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.embed_dropout = nn.Dropout(config.dropout)
        self.temporal_encoder = self.encoder_class(
            config.embed_dim,
            config.num_heads,
            config.depth,
            config.window_size,
            config.mlp_dim,
            config.dropout,
            attention_dropout=config.attention_dropout,
            eps=config.norm_eps,
            checkpointing=config.checkpointing,
        )
        if config.attention == "uniform":
            for layer in self.temporal_encoder.layers:
                assert isinstance(layer, LongformerLayer)
                layer.attention.kernel = UniformAttention(layer.attention.kernel)
        self.head = self.make_head(config.num_classes)
        self.train()

    def train(self, mode: bool = True) -> VTN:
        """Switch between training and evaluation; a fixed backbone stays in evaluation, its batch norms with
        it.
        """
        super().train(mode)
        if not self.config.tune_backbone:
            self.backbone.eval()
        return self

    def make_head(self, num_classes: int) -> nn.Module:
        config = self.config
        return MlpHead(config.embed_dim, config.head_hidden_dim, num_classes, dropout=config.head_dropout)

    def frame_features(
        self, clips: Float[Tensor, "B T C H W"], chunk: int | None = None
    ) -> Float[Tensor, "B T D"]:
        """Every frame's vector; ``chunk`` frames (default: ``config.frame_chunk``) are in the backbone at a
        time.

        Under ``torch.no_grad`` the backbone's memory then depends on ``chunk`` alone, not on the length of
        the video.
        """
        check_clips(clips, self.config.in_channels)
        frames = clips.flatten(0, 1)
        chunk = chunk or self.config.frame_chunk or len(frames)
        require_positive(frame_chunk=chunk)
        features: Tensor | None = None
        for start, part in zip(range(0, len(frames), chunk), frames.split(chunk), strict=True):
            own = self.backbone(part)
            expected = (len(part), self.config.embed_dim)
            require(
                tuple(own.shape) == expected, "backbone's output", tuple(own.shape), f"of shape {expected}"
            )
            if len(part) == len(frames):
                return own.unflatten(0, clips.shape[:2])
            if features is None:  # one home for all: small tensors between large freed ones waste memory
                features = own.new_empty(len(frames), expected[1])
            features[start : start + chunk] = own
            del own
        assert features is not None
        return features.unflatten(0, clips.shape[:2])

    def embed_features(
        self, features: Float[Tensor, "B T D"], frame_index: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B n D"]:
        """The temporal encoder's input: class token first, then frames, with positions and token types,
        normed.
        """
        token, frames = self.embed_apart(features, frame_index)
        x = torch.cat([token.expand(len(frames), -1, -1), frames], dim=1)
        return self.embed_dropout(self.embed_norm(x))

    def embed_apart(
        self, features: Float[Tensor, "B T D"], frame_index: Int[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "1 1 D"], Float[Tensor, "B T D"]]:
        """Class token and frames with their positions and token types, before the norm."""
        batch, length, _ = features.shape
        if frame_index is None:
            frame_index = torch.arange(length, device=features.device).expand(batch, length)
        if tuple(frame_index.shape) != (batch, length):
            raise ArgumentError(
                "frame_index", tuple(frame_index.shape), f"of shape (B, T) = {(batch, length)}"
            )
        require(
            not frame_index.is_floating_point(), "frame_index.dtype", frame_index.dtype, "an integer type"
        )
        token = self.cls_token + self.token_types[1]
        frames = features + self.token_types[0]
        if self.positions is not None:
            token = token + self.positions.class_token()
            frames = frames + self.positions(frame_index)
        return token, frames

    def encode_features(
        self,
        features: Float[Tensor, "B T D"],
        frame_index: Int[Tensor, "B T"] | None = None,
        valid_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B n D"]:
        """All tokens after the temporal encoder; frames where ``valid_mask`` is False are padding and change
        nothing.
        """
        x = self.embed_features(features, frame_index)
        global_mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        global_mask[:, 0] = True
        if valid_mask is not None:
            valid_mask = torch.cat([global_mask[:, :1], valid_mask], dim=1)
        return self.temporal_encoder(x, valid_mask=valid_mask, global_mask=global_mask)

    def classify_features(
        self,
        features: Float[Tensor, "B T D"],
        frame_index: Int[Tensor, "B T"] | None = None,
        valid_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Logits from frame features computed earlier."""
        return self.forward_head(self.encode_features(features, frame_index, valid_mask)[:, 0])

    def classify_stream(
        self,
        frames: Iterable[Float[Tensor, "C H W"]],
        frame_index: Iterable[int] | None = None,
        chunk: int = 16,
    ) -> Float[Tensor, "1 *K"]:
        """Logits of one video that arrives frame by frame; only ``chunk`` frames and all feature vectors are
        held.

        Args:
            frames: the frames in order.
            frame_index: their indices in the video; 0, 1, 2, … by default.
            chunk: frames that go through the backbone together.

        Raises:
            ArgumentError: no frame came, or fewer indices than frames.
        """
        require_positive(chunk=chunk)
        parts = [self.backbone(torch.stack(part)) for part in _batches(frames, chunk)]
        require(len(parts) > 0, "frames", 0, "an iterator that gives at least one frame")
        features = torch.cat(parts)[None]
        index = None
        if frame_index is not None:
            index = torch.tensor(list(islice(frame_index, features.shape[1])), device=features.device)[None]
        return self.classify_features(features, index)

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B D"]:
        """The class token after the temporal encoder."""
        return self.encode_features(self.frame_features(clips), frame_index)[:, 0]


def _batches(frames: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    rest = iter(frames)
    while part := list(islice(rest, size)):
        yield part


def save_features(path: Path | str, features: Float[Tensor, "T D"]) -> None:
    """Write one video's frame features as a ``.npy`` file of float32, which can be memory-mapped."""
    np.save(Path(path), features.detach().float().cpu().numpy(), allow_pickle=False)


def load_features(path: Path | str) -> Float[Tensor, "T D"]:
    """Read one video's frame features; the file is memory-mapped and read when it is used (treat as
    read-only).
    """
    try:
        array = np.load(Path(path), mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no readable frame features ({error})") from None
    if array.ndim != 2 or array.dtype != np.float32:
        raise DataError(f"{path}: expected (T, D) float32 features, found {array.shape} {array.dtype}")
    return torch.from_numpy(array)
