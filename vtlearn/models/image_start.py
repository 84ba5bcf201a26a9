"""How a video model starts from an image ViT: which weights are copied where, and what is set to zero, as the
papers do.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.layers.embed import TUBELET_STARTS
from vtlearn.layers.position import resize_grid_table, square_grid
from vtlearn.models.baselines import FrameAverage, FrameGRU
from vtlearn.models.timesformer import TimeSformer
from vtlearn.models.vit import ViT
from vtlearn.models.vivit import (
    FactorisedSelfAttention,
    FramewiseEncoder,
    GridEncoder,
    Positions,
    Stage,
    ViViT,
)
from vtlearn.models.vtn import VTN

ImageWeights = Mapping[str, Tensor]


def init_from_image(model: nn.Module, vit_state_dict: ImageWeights, *, resize: str = "bicubic") -> None:
    """Start a video model from the weights of an image ViT of the same width, depth, heads and patch, in
    place.

    - VTN and the baselines: the backbone is the image model; what is above it stays fresh.
    - TimeSformer (section 4.1 and released code): the attention over time starts as a copy of the one within
      frames, but the
      linear layer after it and the table of times start at zero, so a clip of identical frames gives the
      image model's features exactly. "space_first", "parallel", "sparse" and "axial" likewise.
    - ViViT (section 3.4): the tubelet kernel by ``config.tubelet_start``; positions repeated over time; model
      2's temporal
      transformer stays fresh; model 3's attention over time starts with **only its output projection** at
      zero. (With all its weights at zero, as the paper has it, query, key, value and projection all get a
      gradient of exactly zero, and the branch never wakes.)

    The image model's head is not copied: the classes differ. Positions of another image size are resized over
    rows and columns.

    **An image model that averages its patches** (``pooling="mean"``) never taught its class token to say
    anything. A video model that reads the class token then starts from a vector nobody has trained, and must
    learn that first; nothing here can tell from the weights. TimeSformer with ``pooling="mean"`` starts
    exactly at such an image model; VTN and the baselines take its vectors as they are. ViViT with
    ``classifier="mean"`` reads the patches too, but has no class token that they could attend to, as
    published: it starts near the image model, not at it.

    Args:
        model: the video model.
        vit_state_dict: the state of a :class:`~vtlearn.models.vit.ViT`.
        resize: how to resize positions ("nearest", "bilinear", "bicubic").

    Raises:
        ArgumentError: a model that does not start from a ViT.
        CheckpointError: weights are missing, or have other shapes; all are listed.

    >>> from vtlearn.models.catalogue import create_model
    >>> image = create_model("vit_samples", pooling="token").eval()
    >>> video = create_model("timesformer_samples").eval()
    >>> init_from_image(video, image.state_dict())
    >>> frame = torch.randn(1, 3, 32, 32)
    >>> clip = frame[:, None].expand(-1, 8, -1, -1, -1)
    >>> torch.allclose(video.forward_features(clip), image.forward_features(frame), atol=1e-5)
    True
    """
    weights = {
        key: value for key, value in vit_state_dict.items() if not key.startswith(("head.", "head_dist."))
    }
    if isinstance(model, ViT):
        _start_vit(model, weights, resize)
    elif isinstance(model, (VTN, FrameAverage, FrameGRU)):
        if not isinstance(model.backbone, ViT):
            raise ArgumentError("model.backbone", type(model.backbone).__name__, "a ViT")
        _start_vit(model.backbone, weights, resize)
    elif isinstance(model, TimeSformer):
        _start_timesformer(model, weights, resize)
    elif isinstance(model, ViViT):
        _start_vivit(model, weights, resize)
    else:
        raise ArgumentError("model", type(model).__name__, "a model that starts from a ViT")


def _copy(target: nn.Module, wanted: Mapping[str, Tensor], fresh: tuple[str, ...] = ()) -> None:
    """Load ``wanted`` into ``target``; everything else in it must be named fresh (by a part of its key)."""
    own = target.state_dict()
    missing = [key for key in own if key not in wanted and not any(part in key for part in fresh)]
    unexpected = [key for key in wanted if key not in own]
    misshapen = [
        f"{key} {tuple(wanted[key].shape)} for {tuple(own[key].shape)}"
        for key in wanted
        if key in own and own[key].shape != wanted[key].shape
    ]
    problems = [
        f"{word}: {', '.join(keys)}"
        for word, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if keys
    ]
    if problems:
        raise CheckpointError("image weights do not fit the model; " + "; ".join(problems))
    target.load_state_dict(dict(wanted), strict=False)


def _table(weights: ImageWeights, grid: tuple[int, int], resize: str, num_extra: int = 1) -> Tensor:
    """The image's positions on ``grid``: as they are where their number fits, else resized from a square."""
    table = weights["pos_embed"]
    length = table.shape[1] - num_extra
    old = grid if length == grid[0] * grid[1] else square_grid(length)
    return resize_grid_table(table, old, grid, mode=resize, num_extra=num_extra)


def _require_keys(weights: ImageWeights, *keys: str) -> None:
    missing = [key for key in keys if key not in weights]
    if missing:
        raise CheckpointError(f"image weights do not fit the model; missing: {', '.join(missing)}")


def _start_vit(model: ViT, weights: dict[str, Tensor], resize: str) -> None:
    _require_keys(weights, "pos_embed")
    table = weights["pos_embed"]
    if table.shape != model.pos_embed.shape:
        table = _table(weights, model.config.grid, resize, model.num_extra)
    _copy(model, {**weights, "pos_embed": table}, fresh=("head.", "head_dist."))


def _start_timesformer(model: TimeSformer, weights: dict[str, Tensor], resize: str) -> None:
    _require_keys(weights, "pos_embed")
    grid = (model.config.grid.h, model.config.grid.w)
    wanted = {**weights, "pos_embed": _table(weights, grid, resize)}
    for key, own in model.state_dict().items():
        for branch in ("temporal", "local", "width"):
            if f".{branch}_attn." in key or f".{branch}_norm1." in key:
                source = key.replace(f".{branch}_", ".")
                _require_keys(weights, source)
                wanted[key] = weights[source]
            elif f".{branch}_fc." in key:
                wanted[key] = torch.zeros_like(own)
        if key == "time_embed":
            wanted[key] = torch.zeros_like(own)
    _copy(model, wanted, fresh=("head.",))


def _start_vivit(model: ViViT, weights: dict[str, Tensor], resize: str) -> None:
    _require_keys(weights, "pos_embed", "cls_token", "patch_embed.proj.weight", "patch_embed.proj.bias")
    config = model.config
    start = TUBELET_STARTS[config.tubelet_start]
    wanted = {
        "tubelet_embed.proj.weight": start(weights["patch_embed.proj.weight"], config.tubelet_size[0]),
        "tubelet_embed.proj.bias": weights["patch_embed.proj.bias"],
    }
    prefix = "encoder.spatial." if isinstance(model.encoder, FramewiseEncoder) else "encoder."
    stage = model.encoder.spatial if isinstance(model.encoder, FramewiseEncoder) else model.encoder
    assert isinstance(stage, (Stage, GridEncoder))
    table = _table(weights, (config.grid.h, config.grid.w), resize)
    wanted |= {f"{prefix}{key}": value for key, value in _position_tables(stage.positions, table).items()}
    if isinstance(stage, Stage) and stage.cls_token is not None:
        wanted[f"{prefix}cls_token"] = weights["cls_token"]
    for key, value in weights.items():
        if key.startswith("norm."):
            wanted[prefix + key] = value
        elif key.startswith("blocks."):
            if isinstance(stage, FactorisedSelfAttention):
                key = key.replace(".norm1.", ".norm_space.").replace(".norm2.", ".norm_mlp.")
                key = key.replace(".attn.", ".attn_space.")
            wanted[prefix + key] = value
    _copy(model, wanted, fresh=("head.", "encoder.temporal.", ".norm_time.", ".attn_time."))
    if isinstance(stage, FactorisedSelfAttention):
        for block in stage.blocks:
            nn.init.zeros_(block.attn_time.proj.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(block.attn_time.proj.bias)  # type: ignore[union-attr, arg-type]


def _position_tables(positions: Positions, image: Tensor) -> dict[str, Tensor]:
    """The image's table (class token's row first) for a video's positions: repeated over time, or beside a
    zero table of times.
    """
    token, frame = image[:, : positions.num_extra], image[:, 1:]
    if positions.times is not None:
        return {
            "positions.table": torch.cat([token, frame], dim=1),
            "positions.times": torch.zeros_like(positions.times),
        }
    return {"positions.table": torch.cat([token, frame.repeat(1, positions.grid.t, 1)], dim=1)}
