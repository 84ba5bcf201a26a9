"""Published weights: the only place that knows foreign key names, layouts and configurations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, CheckpointError, require_one_of
from vtlearn.models.longformer import Longformer, LongformerConfig
from vtlearn.models.timesformer import TimeSformer, TimeSformerConfig
from vtlearn.models.vit import ViT, ViTConfig
from vtlearn.models.vivit import ViViT, ViViTConfig
from vtlearn.models.vtn import VTN, VTNConfig

Weights = Mapping[str, Tensor]
Published = Mapping[str, Any]


@dataclass
class Conversion:
    """A model's state as a recipe: for every key of ours, the published keys it is made of and how.

    ``ignored`` are ends of published keys that belong to parts a model here does not have (a pooler, the head
    of another task).
    """

    recipe: dict[str, tuple[tuple[str, ...], Callable[..., Tensor]]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def take(self, ours: str, *theirs: str, by: Callable[..., Tensor] = lambda tensor: tensor) -> None:
        """Our key ``ours`` is made of the published keys ``theirs`` by the function ``by``."""
        self.recipe[ours] = (theirs, by)

    def pair(self, ours: str, theirs: str) -> None:
        """Weight and bias of one layer, unchanged."""
        self.take(f"{ours}.weight", f"{theirs}.weight")
        self.take(f"{ours}.bias", f"{theirs}.bias")

    def fused(self, ours: str, theirs: Sequence[str], bias: bool = True) -> None:
        """Separate query, key and value layers into our fused one, in that order."""
        self.take(f"{ours}.weight", *(f"{name}.weight" for name in theirs), by=_stack)
        if bias:
            self.take(f"{ours}.bias", *(f"{name}.bias" for name in theirs), by=_stack)

    def load(self, model: nn.Module, weights: Weights) -> None:
        """Fill ``model`` with converted weights; anything missing, unexpected or misshapen is listed and
        refused.

        Raises:
            CheckpointError: the list.
        """
        wanted = {key for keys, _ in self.recipe.values() for key in keys}
        missing = sorted(wanted - weights.keys())
        unexpected = sorted(
            key for key in weights.keys() - wanted if not key.endswith(self.ignored or ("\0",))
        )
        own = model.state_dict()
        missing += sorted(f"(for our {key})" for key in own.keys() - self.recipe.keys())
        state, misshapen = {}, []
        for ours, (keys, by) in self.recipe.items():
            if any(key not in weights for key in keys):
                continue
            found = ", ".join(f"{key} {tuple(weights[key].shape)}" for key in keys)
            try:
                state[ours] = by(*(weights[key].detach() for key in keys)).to(torch.float32)
            except (RuntimeError, IndexError) as error:
                misshapen.append(f"{found} ({str(error).splitlines()[0]})")
                continue
            if ours not in own:
                unexpected.extend(keys)
            elif state[ours].shape != own[ours].shape:
                misshapen.append(f"{found} for {tuple(own[ours].shape)}")
        problems = [
            f"{word}: {', '.join(keys)}"
            for word, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
            if keys
        ]
        if problems:
            raise CheckpointError("published weights do not fit the configuration; " + "; ".join(problems))
        model.load_state_dict({key: value.clone() for key, value in state.items()}, strict=True, assign=True)


def _stack(*tensors: Tensor) -> Tensor:
    return torch.cat(tensors, dim=0)


def from_published(weights: Weights, source: str, config: Published) -> nn.Module:
    """The model that a published state dict belongs to, filled with it, in evaluation mode.

    Args:
        weights: published key names → tensors.
        source: one of :data:`SOURCES`.
        config: the published configuration: the constructor's arguments ("timesformer", "vit-timm"), the
            configuration's
            fields ("…-hf"), the experiment's ``model`` part ("vivit-scenic"), or the yaml's sections ("vtn").

    Returns:
        nn.Module: :class:`~vtlearn.models.timesformer.TimeSformer`, ``ViViT``, ``VTN``, ``ViT`` or
        ``Longformer``.

    Raises:
        ArgumentError: an unknown source, or a configuration outside what was published.
        CheckpointError: keys that are missing, unexpected or misshapen, all listed.

    >>> from_published({}, "vit-timm", {"num_heads": 2})
    Traceback (most recent call last):
    ...
    vtlearn.errors.CheckpointError: published weights hold no key 'pos_embed'
    """
    require_one_of("source", source, SOURCES)
    return SOURCES[source](weights, config).eval()


def _build(
    kind: Callable[[Any], nn.Module], config: Any, conversion: Conversion, weights: Weights
) -> nn.Module:
    with torch.device("meta"):
        model = kind(config)
    conversion.load(model, weights)
    return model


def _shape(weights: Weights, key: str) -> tuple[int, ...]:
    if key not in weights:
        raise CheckpointError(f"published weights hold no key {key!r}")
    return tuple(weights[key].shape)


def _strip(weights: Weights, *prefixes: str) -> dict[str, Tensor]:
    """Keys without the wrapper's name in front, where all of them have it."""
    stripped = dict(weights)
    for prefix in prefixes:
        if stripped and all(key.startswith(prefix) for key in stripped):
            stripped = {key.removeprefix(prefix): value for key, value in stripped.items()}
    return stripped


def _one_of(config: Published, name: str, choices: Mapping[str, Any], default: str) -> Any:
    value = config.get(name) or default
    require_one_of(name, value, choices)
    return choices[value]


def _num_labels(config: Published) -> int | None:
    for name, count in (("id2label", len), ("num_labels", int)):
        if config.get(name):
            return count(config[name])
    return None


def _side(value: Any, patch: int, num_patches: int) -> int | tuple[int, ...]:
    """The published image size; where it is not told, the side of the square that the table fits."""
    if isinstance(value, int):
        return value
    if value is not None:
        return tuple(value)
    side = math.isqrt(num_patches)
    if side * side != num_patches:
        raise ArgumentError("image size", None, f"given: {num_patches} positions are no square")
    return side * patch


def _num_classes(weights: Weights, config: Published, head: str) -> int:
    """As many classes as the configuration has labels, or the head has rows; 0 where there is no head."""
    if f"{head}.weight" not in weights:
        return 0
    return _num_labels(config) or weights[f"{head}.weight"].shape[0]


def _refuse(config: Published, **neutral: Any) -> None:
    """Refuse a published option that these models do not have, where it is not left at its neutral value."""
    for name, value in neutral.items():
        told = config.get(name)
        if told is not None and told != value:
            raise ArgumentError(name, told, f"{value!r}: these models have nothing else")


HF_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


# --- ViT ------------------------------------------------------------------------------------------------


def _timm_blocks(conversion: Conversion, ours: str, theirs: str, depth: int, qkv_bias: bool) -> None:
    for i in range(depth):
        for name in ("norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"):
            conversion.pair(f"{ours}blocks.{i}.{name}", f"{theirs}blocks.{i}.{name}")
        conversion.take(f"{ours}blocks.{i}.attn.qkv.weight", f"{theirs}blocks.{i}.attn.qkv.weight")
        if qkv_bias:
            conversion.take(f"{ours}blocks.{i}.attn.qkv.bias", f"{theirs}blocks.{i}.attn.qkv.bias")


def _hf_sizes(config: Published) -> dict[str, Any]:
    """The fields that the configurations of all of Hugging Face's vision transformers share, as ours."""
    width = config.get("hidden_size", 768)
    return {
        "image_size": config.get("image_size", 224),
        "in_channels": config.get("num_channels", 3),
        "embed_dim": width,
        "depth": config.get("num_hidden_layers", 12),
        "num_heads": config.get("num_attention_heads", 12),
        "mlp_ratio": config.get("intermediate_size", 3072) / width,
        "qkv_bias": config.get("qkv_bias", True),
        "dropout": float(config.get("hidden_dropout_prob", 0.0)),
        "attention_dropout": float(config.get("attention_probs_dropout_prob", 0.0)),
    }


def _timm_vit_config(weights: Weights, config: Published, prefix: str = "") -> ViTConfig:
    """The sizes of a timm ViT, read from its weights; what they do not tell (heads) from the
    configuration.
    """
    _refuse(config, class_token=True, no_embed_class=False, reg_tokens=0, init_values=None, pre_norm=False)
    table, embed_dim = _shape(weights, f"{prefix}pos_embed")[1:]
    channels, patch = _shape(weights, f"{prefix}patch_embed.proj.weight")[1:3]
    distilled = f"{prefix}dist_token" in weights
    depth = config.get("depth") or 1 + max(
        (
            int(key.removeprefix(prefix).split(".")[1])
            for key in weights
            if key.startswith(f"{prefix}blocks.")
        ),
        default=0,
    )
    hidden = _shape(weights, f"{prefix}blocks.0.mlp.fc1.weight")[0]
    num_classes = weights[f"{prefix}head.bias"].shape[0] if f"{prefix}head.bias" in weights else 0
    pooling = _one_of(config, "global_pool", {"token": "token", "avg": "mean"}, "token")
    return ViTConfig(
        image_size=_side(config.get("img_size"), patch, table - 1 - distilled),
        patch_size=patch,
        in_channels=channels,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=config.get("num_heads", 12),
        mlp_ratio=hidden / embed_dim,
        qkv_bias=f"{prefix}blocks.0.attn.qkv.bias" in weights,
        activation=_one_of(config, "act_layer", HF_ACTIVATIONS | {"gelu_tanh": "gelu_tanh"}, "gelu"),
        norm_eps=config.get("ln_eps", config.get("norm_eps", 1e-6)),
        pooling=pooling,
        distilled=distilled,
        dropout=float(config.get("proj_drop_rate", 0.0)),
        attention_dropout=float(config.get("attn_drop_rate", 0.0)),
        drop_path=float(config.get("drop_path_rate", 0.0)),
        num_classes=num_classes,
    )


def _timm_vit_keys(conversion: Conversion, config: ViTConfig, ours: str, theirs: str) -> None:
    for name in ("cls_token", "pos_embed", *(("dist_token",) if config.distilled else ())):
        conversion.take(ours + name, theirs + name)
    conversion.pair(f"{ours}patch_embed.proj", f"{theirs}patch_embed.proj")
    conversion.pair(f"{ours}norm", f"{theirs}norm")
    if config.num_classes:
        for name in ("head", *(("head_dist",) if config.distilled else ())):
            conversion.pair(ours + name, theirs + name)
    _timm_blocks(conversion, ours, theirs, config.depth, config.qkv_bias)


def _vit_timm(weights: Weights, config: Published) -> nn.Module:
    """timm's ``VisionTransformer``, also distilled. What newer ones add (layer scale, register tokens, a norm
    after the pooling, …) shows in the keys, and is refused with them.
    """
    weights = _strip(weights, "module.", "model.")
    own = _timm_vit_config(weights, config)
    conversion = Conversion()
    _timm_vit_keys(conversion, own, "", "")
    return _build(ViT, own, conversion, weights)


def _hf_encoder(
    conversion: Conversion, weights: Weights, ours: str, base: str, depth: int, bias: bool
) -> None:
    """Blocks in the layout of ``ViTLayer`` of transformers 4, or that of version 5."""
    new = any(key.startswith(f"{base}layers.") for key in weights)
    for i in range(depth):
        mine = f"{ours}blocks.{i}"
        layer = f"{base}layers.{i}" if new else f"{base}encoder.layer.{i}"
        if new:
            qkv = [f"{layer}.attention.{name}_proj" for name in "qkv"]
            rest = ("attention.o_proj", "mlp.fc1", "mlp.fc2")
        else:
            qkv = [f"{layer}.attention.attention.{name}" for name in ("query", "key", "value")]
            rest = ("attention.output.dense", "intermediate.dense", "output.dense")
        conversion.fused(f"{mine}.attn.qkv", qkv, bias)
        for name, theirs in zip(("attn.proj", "mlp.fc1", "mlp.fc2"), rest, strict=True):
            conversion.pair(f"{mine}.{name}", f"{layer}.{theirs}")
        conversion.pair(f"{mine}.norm1", f"{layer}.layernorm_before")
        conversion.pair(f"{mine}.norm2", f"{layer}.layernorm_after")


def _vit_hf(weights: Weights, config: Published) -> nn.Module:
    """``ViTModel`` or ``ViTForImageClassification`` of transformers 4 or 5; the pooler is left out."""
    base = "vit." if any(key.startswith("vit.") for key in weights) else ""
    own = ViTConfig(
        **_hf_sizes(config),
        patch_size=config.get("patch_size", 16),
        activation=_one_of(config, "hidden_act", HF_ACTIVATIONS, "gelu"),
        norm_eps=config.get("layer_norm_eps", 1e-12),
        num_classes=_num_classes(weights, config, "classifier"),
    )
    conversion = Conversion(ignored=("pooler.dense.weight", "pooler.dense.bias"))
    conversion.take("cls_token", f"{base}embeddings.cls_token")
    conversion.take("pos_embed", f"{base}embeddings.position_embeddings")
    conversion.pair("patch_embed.proj", f"{base}embeddings.patch_embeddings.projection")
    conversion.pair("norm", f"{base}layernorm")
    if own.num_classes:
        conversion.pair("head", "classifier")
    _hf_encoder(conversion, weights, "", base, own.depth, own.qkv_bias)
    return _build(ViT, own, conversion, weights)


# --- TimeSformer ----------------------------------------------------------------------------------------

TIMESFORMER_SCHEMES = {"divided_space_time": "divided", "joint_space_time": "joint", "space_only": "space"}


def _timesformer(weights: Weights, config: Published) -> nn.Module:
    """facebookresearch/TimeSformer; a released file's keys start with ``model.``."""
    weights = _strip(weights, "module.", "model.")
    _refuse(config, qk_scale=None, hybrid_backbone=None)
    width, ratio = config.get("embed_dim", 768), config.get("mlp_ratio", 4)
    classes = weights["head.bias"].shape[0] if "head.bias" in weights else 0
    own = TimeSformerConfig(
        attention=_one_of(config, "attention_type", TIMESFORMER_SCHEMES, "divided_space_time"),
        num_frames=config.get("num_frames", 8),
        image_size=config.get("img_size", 224),
        patch_size=config.get("patch_size", 16),
        in_channels=config.get("in_chans", 3),
        embed_dim=width,
        depth=config.get("depth", 12),
        num_heads=config.get("num_heads", 12),
        mlp_ratio=int(width * ratio) / width,  # the released code cuts a fraction off
        qkv_bias=config.get("qkv_bias", "blocks.0.attn.qkv.bias" in weights),
        norm_eps=config.get("ln_eps", 1e-6),
        dropout=float(config.get("drop_rate", 0.0)),
        attention_dropout=float(config.get("attn_drop_rate", 0.0)),
        drop_path=float(config.get("drop_path_rate", 0.1)),
        num_classes=config.get("num_classes", classes),
    )
    conversion = Conversion()
    for name in ("cls_token", "pos_embed", *(("time_embed",) if own.attention != "space" else ())):
        conversion.take(name, name)
    for name in ("patch_embed.proj", "norm", *(("head",) if own.num_classes else ())):
        conversion.pair(name, name)
    _timm_blocks(conversion, "", "", own.depth, own.qkv_bias)
    if own.attention == "divided":
        for i in range(own.depth):
            for name in ("temporal_norm1", "temporal_attn.proj", "temporal_fc"):
                conversion.pair(f"blocks.{i}.{name}", f"blocks.{i}.{name}")
            for part in ("weight", *(("bias",) if own.qkv_bias else ())):
                key = f"blocks.{i}.temporal_attn.qkv.{part}"
                conversion.take(key, key)
    return _build(TimeSformer, own, conversion, weights)


def _timesformer_hf(weights: Weights, config: Published) -> nn.Module:
    """``TimesformerModel`` or ``TimesformerForVideoClassification`` of transformers, as the original has it.

    Theirs is wrong, without a word, for another number of frames than configured, and its "space_only" gives
    logits for every frame; ours takes the number from the clip and averages over the frames.
    """
    base = "timesformer." if any(key.startswith("timesformer.") for key in weights) else ""
    own = TimeSformerConfig(
        **_hf_sizes(config),
        attention=_one_of(config, "attention_type", TIMESFORMER_SCHEMES, "divided_space_time"),
        num_frames=config.get("num_frames", 8),
        patch_size=config.get("patch_size", 16),
        activation=_one_of(config, "hidden_act", HF_ACTIVATIONS, "gelu"),
        norm_eps=config.get("layer_norm_eps", 1e-6),
        drop_path=float(config.get("drop_path_rate", 0)),
        num_classes=_num_classes(weights, config, "classifier"),
    )
    conversion = Conversion()
    conversion.take("cls_token", f"{base}embeddings.cls_token")
    conversion.take("pos_embed", f"{base}embeddings.position_embeddings")
    if own.attention != "space":
        conversion.take("time_embed", f"{base}embeddings.time_embeddings")
    conversion.pair("patch_embed.proj", f"{base}embeddings.patch_embeddings.projection")
    conversion.pair("norm", f"{base}layernorm")
    if own.num_classes:
        conversion.pair("head", "classifier")
    parts = {
        "norm1": "layernorm_before",
        "attn.qkv": "attention.attention.qkv",
        "attn.proj": "attention.output.dense",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    if own.attention == "divided":
        parts |= {
            "temporal_norm1": "temporal_layernorm",
            "temporal_attn.qkv": "temporal_attention.attention.qkv",
            "temporal_attn.proj": "temporal_attention.output.dense",
            "temporal_fc": "temporal_dense",
        }
    for i in range(own.depth):
        for ours, theirs in parts.items():
            ours, theirs = f"blocks.{i}.{ours}", f"{base}encoder.layer.{i}.{theirs}"
            conversion.take(f"{ours}.weight", f"{theirs}.weight")
            if own.qkv_bias or not ours.endswith("qkv"):
                conversion.take(f"{ours}.bias", f"{theirs}.bias")
    return _build(TimeSformer, own, conversion, weights)


# --- ViViT ----------------------------------------------------------------------------------------------

SCENIC_ENCODERS = {
    "spacetime": "joint",
    "factorized_encoder": "factorised_encoder",
    "factorized_self_attention_block": "factorised_self_attention",
    "factorized_dot_product_attention": "factorised_dot_product",
}
SCENIC_CLASSIFIERS = {"token": "token", "0": "first", "gap": "mean", "gmp": "max", "gsp": "sum"}


def _flax_norm(conversion: Conversion, ours: str, theirs: str) -> None:
    conversion.take(f"{ours}.weight", f"{theirs}/scale")
    conversion.take(f"{ours}.bias", f"{theirs}/bias")


def _flax_dense(conversion: Conversion, ours: str, theirs: str) -> None:
    conversion.take(f"{ours}.weight", f"{theirs}/kernel", by=lambda kernel: kernel.T)
    conversion.take(f"{ours}.bias", f"{theirs}/bias")


def _flax_attention(conversion: Conversion, ours: str, theirs: str) -> None:
    """Kernels (D, heads, head_dim) of query, key and value, and (heads, head_dim, D) of the output, to
    matrices.
    """
    names = ("query", "key", "value")
    conversion.take(
        f"{ours}.qkv.weight",
        *(f"{theirs}/{name}/kernel" for name in names),
        by=lambda *kernels: torch.cat([kernel.flatten(1).T for kernel in kernels]),
    )
    conversion.take(
        f"{ours}.qkv.bias",
        *(f"{theirs}/{name}/bias" for name in names),
        by=lambda *biases: torch.cat([bias.flatten() for bias in biases]),
    )
    conversion.take(f"{ours}.proj.weight", f"{theirs}/out/kernel", by=lambda kernel: kernel.flatten(0, 1).T)
    conversion.take(f"{ours}.proj.bias", f"{theirs}/out/bias")


def _flax_mlp(conversion: Conversion, ours: str, theirs: str) -> None:
    _flax_dense(conversion, f"{ours}.fc1", f"{theirs}/Dense_0")
    _flax_dense(conversion, f"{ours}.fc2", f"{theirs}/Dense_1")


def _flax_block(conversion: Conversion, ours: str, theirs: str) -> None:
    _flax_norm(conversion, f"{ours}.norm1", f"{theirs}/LayerNorm_0")
    _flax_attention(conversion, f"{ours}.attn", f"{theirs}/MultiHeadDotProductAttention_0")
    _flax_norm(conversion, f"{ours}.norm2", f"{theirs}/LayerNorm_1")
    _flax_mlp(conversion, f"{ours}.mlp", f"{theirs}/MlpBlock_0")


def _flax_self_attention_block(conversion: Conversion, ours: str, theirs: str) -> None:
    for axis in ("time", "space"):
        _flax_norm(conversion, f"{ours}.norm_{axis}", f"{theirs}/LayerNorm_{axis}")
        _flax_attention(conversion, f"{ours}.attn_{axis}", f"{theirs}/MultiHeadDotProductAttention_{axis}")
    _flax_norm(conversion, f"{ours}.norm_mlp", f"{theirs}/LayerNorm_mlp")
    _flax_mlp(conversion, f"{ours}.mlp", f"{theirs}/MlpBlock")


def _flax_patch_kernel(kernel: Tensor) -> Tensor:
    """(t, h, w, in, out), or (h, w, in, out) for single frames, to (out, in, t, h, w)."""
    if kernel.ndim == 4:
        kernel = kernel[None]
    return kernel.permute(4, 3, 0, 1, 2)


def _rectangle(tokens: int) -> tuple[int, int]:
    """Rows and columns of a frame of so many tokens, as near to a square as their number allows."""
    rows = next(rows for rows in range(math.isqrt(tokens), 0, -1) if tokens % rows == 0)
    return rows, tokens // rows


def _box(tokens: int, config: Published, step: int) -> tuple[int, int, int]:
    """Time steps, rows and columns of ``tokens`` positions: as told, else the fewest square frames that fit.

    Flax weights do not tell the grid, only its size; the model takes any clip of as many tokens.
    """
    told = config.get("dataset_configs") or config
    frames = told.get("num_frames") or config["temporal_encoding_config"].get("n_sampled_frames")
    if frames:
        t = frames // step
        if tokens % t:
            raise ArgumentError("num_frames", frames, f"one that fits {tokens} positions")
    else:
        t = next(
            t for t in range(1, tokens + 1) if tokens % t == 0 and math.isqrt(tokens // t) ** 2 * t == tokens
        )
    return t, *_rectangle(tokens // t)


def _stage_sizes(config: Published, stage: str) -> dict[str, int]:
    """Layers, heads and MLP width of one of model 2's two transformers, from either layout that is published:
    a section for each in the experiments, ``spatial_…`` and ``temporal_…`` in the model's arguments.
    """
    section = config.get(f"{stage}_transformer") or {}
    sizes = {}
    for name in ("num_layers", "num_heads", "mlp_dim"):
        value = section.get(name, config.get(f"{stage}_{name}"))
        if value is None:
            raise ArgumentError(f"{stage}_{name}", None, "given, for a factorised encoder")
        sizes[name] = value
    return sizes


def _vivit_scenic(weights: Weights, config: Published) -> nn.Module:
    """google-research/scenic, Flax parameters by path; older checkpoints hold them under
    ``optimizer/target``.

    Options that are not told have the defaults of the released classes. A positional table belongs to as many
    tokens as it has rows; a clip of another number is refused, as there.
    """
    weights = _strip(weights, "optimizer/target/", "params/")
    attention, encoding = config.get("attention_config") or {}, config.get("temporal_encoding_config") or {}
    config = {**config, "temporal_encoding_config": encoding}
    h, w = config["patches"]["size"][:2]
    kernel = _shape(weights, "embedding/kernel")
    t = kernel[0] if len(kernel) == 5 else 1
    encoder = _one_of(attention, "type", SCENIC_ENCODERS, "spacetime")
    classifier = _one_of(config, "classifier", SCENIC_CLASSIFIERS, "gap")
    token = int(classifier == "token")
    sampled = encoding.get("n_sampled_frames") if encoding.get("method") == "temporal_sampling" else None
    common: dict[str, Any] = {
        "encoder": encoder,
        "tubelet_size": (t, h, w),
        "in_channels": kernel[-2],
        "embed_dim": config["hidden_size"],
        "classifier": classifier,
        "activation": "gelu_tanh",
        "norm_eps": float(config.get("ln_eps", 1e-6)),
        "dropout": float(config.get("dropout_rate", 0.1)),
        "attention_dropout": float(config.get("attention_dropout_rate", 0.1)),
        "drop_path": float(config.get("stochastic_droplayer_rate") or 0.0),
        "num_classes": config.get("num_classes", _shape(weights, "output_projection/bias")[0]),
        "sample_frames": sampled is not None,
        "grid_from_clip": True,
    }
    conversion = Conversion()
    conversion.take("tubelet_embed.proj.weight", "embedding/kernel", by=_flax_patch_kernel)
    conversion.take("tubelet_embed.proj.bias", "embedding/bias")
    _flax_dense(conversion, "head", "output_projection")
    if encoder == "factorised_encoder":
        space = _shape(weights, "SpatialTransformer/posembed_input/pos_embedding")[1] - token
        rows, columns = _rectangle(space)
        width, spatial = config["hidden_size"], _stage_sizes(config, "spatial")
        sizes: dict[str, Any] = {
            "image_size": (rows * h, columns * w),
            "depth": spatial["num_layers"],
            "num_heads": spatial["num_heads"],
            "mlp_ratio": spatial["mlp_dim"] / width,
        }
        stages = [("spatial", "SpatialTransformer", spatial["num_layers"])]
        if attention.get("spatial_only_baseline"):
            common["encoder"] = "average_pool"
            sizes["num_frames"] = sampled or t  # the mean over time takes any number
        else:
            temporal = _stage_sizes(config, "temporal")
            times = _shape(weights, "TemporalTransformer/posembed_input/pos_embedding")[1] - token
            sizes |= {
                "num_frames": times * t,
                "temporal_depth": temporal["num_layers"],
                "temporal_heads": temporal["num_heads"],
                "temporal_mlp_ratio": temporal["mlp_dim"] / width,
            }
            stages.append(("temporal", "TemporalTransformer", temporal["num_layers"]))
        own = ViViTConfig(**common, **sizes)
        for stage, theirs, depth in stages:
            ours = f"encoder.{stage}"
            if token:
                conversion.take(f"{ours}.cls_token", f"cls_{theirs}")
            conversion.take(f"{ours}.positions.table", f"{theirs}/posembed_input/pos_embedding")
            _flax_norm(conversion, f"{ours}.norm", f"{theirs}/encoder_norm")
            for i in range(depth):
                _flax_block(conversion, f"{ours}.blocks.{i}", f"{theirs}/encoderblock_{i}")
        return _build(ViViT, own, conversion, weights)

    tokens = _shape(weights, "Transformer/posembed_input/pos_embedding")[1] - token
    times, rows, columns = _box(tokens, config, t)
    own = ViViTConfig(
        **common,
        num_frames=times * t,
        image_size=(rows * h, columns * w),
        depth=config["num_layers"],
        num_heads=config["num_heads"],
        mlp_ratio=config["mlp_dim"] / config["hidden_size"],
        attention_order=attention.get("attention_order", "time_space"),
    )
    if token:
        conversion.take("encoder.cls_token", "cls")
    conversion.take("encoder.positions.table", "Transformer/posembed_input/pos_embedding")
    _flax_norm(conversion, "encoder.norm", "Transformer/encoder_norm")
    block = _flax_self_attention_block if encoder == "factorised_self_attention" else _flax_block
    for i in range(own.depth):
        block(conversion, f"encoder.blocks.{i}", f"Transformer/encoderblock_{i}")
    return _build(ViViT, own, conversion, weights)


def _vivit_hf(weights: Weights, config: Published) -> nn.Module:
    """``VivitModel`` or ``VivitForVideoClassification`` of transformers 4 or 5: model 1, class token."""
    base = "vivit." if any(key.startswith("vivit.") for key in weights) else ""
    own = ViViTConfig(
        **_hf_sizes(config),
        encoder="joint",
        num_frames=config.get("num_frames", 32),
        tubelet_size=tuple(config.get("tubelet_size", (2, 16, 16))),
        activation=_one_of(config, "hidden_act", HF_ACTIVATIONS, "gelu_fast"),
        norm_eps=config.get("layer_norm_eps", 1e-6),
        num_classes=_num_classes(weights, config, "classifier"),
    )
    conversion = Conversion(ignored=("pooler.dense.weight", "pooler.dense.bias"))
    conversion.take("encoder.cls_token", f"{base}embeddings.cls_token")
    conversion.take("encoder.positions.table", f"{base}embeddings.position_embeddings")
    conversion.pair("tubelet_embed.proj", f"{base}embeddings.patch_embeddings.projection")
    conversion.pair("encoder.norm", f"{base}layernorm")
    if own.num_classes:
        conversion.pair("head", "classifier")
    _hf_encoder(conversion, weights, "encoder.", base, own.depth, own.qkv_bias)
    return _build(ViViT, own, conversion, weights)


# --- Longformer and VTN ---------------------------------------------------------------------------------


def _longformer_layers(conversion: Conversion, ours: str, theirs: str, depth: int) -> None:
    parts = {
        **{f"attention.{name}": f"attention.self.{name}" for name in ("query", "key", "value")},
        **{f"attention.{n}_global": f"attention.self.{n}_global" for n in ("query", "key", "value")},
        "attention_output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "intermediate": "intermediate.dense",
        "output": "output.dense",
        "output_norm": "output.LayerNorm",
    }
    for i in range(depth):
        for own, published in parts.items():
            conversion.pair(f"{ours}layers.{i}.{own}", f"{theirs}encoder.layer.{i}.{published}")


def _odd_windows(windows: int | Sequence[int]) -> int | tuple[int, ...]:
    """Published two-sided windows count w / 2 keys on each side and not the centre; ours count it."""
    each = [windows] if isinstance(windows, int) else list(windows)
    for window in each:
        if window % 2 or window <= 0:
            raise ArgumentError("attention_window", windows, "even and positive, as published")
    return windows + 1 if isinstance(windows, int) else tuple(window + 1 for window in each)


LONGFORMER_PARTS_LEFT_OUT = (
    "embeddings.position_ids",
    "pooler.dense.weight",
    "pooler.dense.bias",
    *(f"lm_head.{part}" for part in ("bias", "dense.weight", "dense.bias", "decoder.weight", "decoder.bias")),
    *(f"lm_head.layer_norm.{part}" for part in ("weight", "bias")),
)
"""Of a published Longformer: a buffer of old versions, the pooler, and the language model's head."""


def _longformer_hf(weights: Weights, config: Published) -> nn.Module:
    """``LongformerModel`` or ``LongformerForMaskedLM`` of transformers, without the head."""
    base = "longformer." if any(key.startswith("longformer.") for key in weights) else ""
    require_one_of("hidden_act", config.get("hidden_act", "gelu"), ("gelu",))
    own = LongformerConfig(
        embed_dim=config.get("hidden_size", 768),
        depth=config.get("num_hidden_layers", 12),
        num_heads=config.get("num_attention_heads", 12),
        mlp_dim=config.get("intermediate_size", 3072),
        window_size=_odd_windows(config.get("attention_window", 512)),
        vocabulary=config.get("vocab_size", 30522),
        num_positions=config.get("max_position_embeddings", 512),
        num_types=config.get("type_vocab_size", 2),
        padding_id=config.get("pad_token_id", 1),
        norm_eps=config.get("layer_norm_eps", 1e-12),
        dropout=float(config.get("hidden_dropout_prob", 0.1)),
        attention_dropout=float(config.get("attention_probs_dropout_prob", 0.1)),
    )
    conversion = Conversion(ignored=LONGFORMER_PARTS_LEFT_OUT)
    conversion.take("words.weight", f"{base}embeddings.word_embeddings.weight")
    conversion.take("positions.weight", f"{base}embeddings.position_embeddings.weight")
    conversion.take("types.weight", f"{base}embeddings.token_type_embeddings.weight")
    conversion.pair("embed_norm", f"{base}embeddings.LayerNorm")
    _longformer_layers(conversion, "encoder.", base, own.depth)
    return _build(Longformer, own, conversion, weights)


def _vtn(weights: Weights, config: Published) -> nn.Module:
    """bomri/SlowFast; its modulo rule of positions and its layer norm eps of 1e-12 come with the weights."""
    weights = _strip(weights, "module.")
    sizes = config["VTN"]
    backbone = dataclasses.replace(
        _timm_vit_config(weights, config.get("backbone") or {}, prefix="backbone."),
        num_classes=0,
        dropout=float(sizes.get("DROP_RATE", 0.0)),
        drop_path=float(sizes.get("DROP_PATH_RATE", 0.0)),
    )
    own = VTNConfig(
        backbone=backbone,
        in_channels=backbone.in_channels,
        embed_dim=sizes["HIDDEN_DIM"],
        depth=sizes["NUM_HIDDEN_LAYERS"],
        num_heads=sizes["NUM_ATTENTION_HEADS"],
        mlp_dim=sizes["INTERMEDIATE_SIZE"],
        window_size=_odd_windows(sizes["ATTENTION_WINDOW"]),
        num_positions=sizes["MAX_POSITION_EMBEDDINGS"] - 2,
        past_table="modulo",
        norm_eps=1e-12,
        dropout=float(sizes.get("HIDDEN_DROPOUT_PROB", 0.1)),
        attention_dropout=float(sizes.get("ATTENTION_PROBS_DROPOUT_PROB", 0.1)),
        head_hidden_dim=sizes["MLP_DIM"],
        head_dropout=float(config["MODEL"].get("DROPOUT_RATE", 0.5)),
        num_classes=config["MODEL"]["NUM_CLASSES"],
    )
    conversion = Conversion(ignored=("temporal_encoder.embeddings.position_ids",))
    _timm_vit_keys(conversion, backbone, "backbone.", "backbone.")
    conversion.take("cls_token", "cls_token")
    conversion.take("positions.table", "temporal_encoder.embeddings.position_embeddings.weight")
    conversion.take("token_types", "temporal_encoder.embeddings.token_type_embeddings.weight")
    conversion.pair("embed_norm", "temporal_encoder.embeddings.LayerNorm")
    _longformer_layers(conversion, "temporal_encoder.", "temporal_encoder.", own.depth)
    for ours, theirs in (("norm", "0"), ("fc1", "1"), ("fc2", "4")):
        conversion.pair(f"head.{ours}", f"mlp_head.{theirs}")
    return _build(VTN, own, conversion, weights)


SOURCES: dict[str, Callable[[Weights, Published], nn.Module]] = {
    "timesformer": _timesformer,
    "timesformer-hf": _timesformer_hf,
    "vivit-scenic": _vivit_scenic,
    "vivit-hf": _vivit_hf,
    "vtn": _vtn,
    "vit-timm": _vit_timm,
    "vit-hf": _vit_hf,
    "longformer-hf": _longformer_hf,
}
"""Converters by the name of what published the weights."""
