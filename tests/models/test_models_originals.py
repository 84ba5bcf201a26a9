"""Converted weights against plain re-implementations of the originals, for the options that were published.

The published code itself cannot run here, so each original is written out once more below, as its sources
describe it: with the published keys, in the published token order, one product at a time. Nothing of the
package is used for that.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.models.pretrained import from_published

Weights = dict[str, Tensor]


def seeded(shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Normal weights of deviation 0.3 everywhere, so that nothing is hidden by a zero; norms near one."""
    generator = torch.Generator().manual_seed(0)
    weights = {key: 0.3 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    for key in weights:
        if "norm" in key.lower() and key.endswith(("weight", "scale")):
            weights[key] = 1.0 + weights[key]
    return weights


def norm(x: Tensor, weights: Weights, key: str, eps: float = 1e-6) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    names = ("scale", "bias") if f"{key}/scale" in weights else ("weight", "bias")
    mark = "/" if f"{key}/scale" in weights else "."
    scale, shift = (weights[f"{key}{mark}{name}"] for name in names)
    return (x - mean) / torch.sqrt(variance + eps) * scale + shift


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention over the last but one axis."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.softmax(-1) @ v


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert expected.abs().max() > 0.1, "numbers too small to tell anything"
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# --- timm's ViT, and TimeSformer on top of it -------------------------------------------------------------

D, HEADS, HIDDEN, PATCH = 12, 3, 20, 4


def timm_shapes(tokens: int, depth: int = 2, branches: tuple[str, ...] = ("",), bias: bool = True) -> dict:
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, D),
        "pos_embed": (1, tokens, D),
        "patch_embed.proj.weight": (D, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (D,),
        "norm.weight": (D,),
        "norm.bias": (D,),
        "head.weight": (5, D),
        "head.bias": (5,),
    }
    for i in range(depth):
        for branch in branches:
            shapes |= {f"blocks.{i}.{branch}norm1.{part}": (D,) for part in ("weight", "bias")}
            shapes[f"blocks.{i}.{branch}attn.qkv.weight"] = (3 * D, D)
            if bias:
                shapes[f"blocks.{i}.{branch}attn.qkv.bias"] = (3 * D,)
            shapes[f"blocks.{i}.{branch}attn.proj.weight"] = (D, D)
            shapes[f"blocks.{i}.{branch}attn.proj.bias"] = (D,)
        if "temporal_" in branches:
            shapes |= {
                f"blocks.{i}.temporal_fc.weight": (D, D),
                f"blocks.{i}.temporal_fc.bias": (D,),
            }
        shapes |= {
            f"blocks.{i}.norm2.weight": (D,),
            f"blocks.{i}.norm2.bias": (D,),
            f"blocks.{i}.mlp.fc1.weight": (HIDDEN, D),
            f"blocks.{i}.mlp.fc1.bias": (HIDDEN,),
            f"blocks.{i}.mlp.fc2.weight": (D, HIDDEN),
            f"blocks.{i}.mlp.fc2.bias": (D,),
        }
    return shapes


def linear(x: Tensor, weights: Weights, key: str) -> Tensor:
    out = x @ weights[f"{key}.weight"].T
    return out + weights[f"{key}.bias"] if f"{key}.bias" in weights else out


def fused_attention(x: Tensor, weights: Weights, key: str) -> Tensor:
    """One fused layer gives all queries, then all keys, then all values; heads lie side by side in each."""
    q, k, v = linear(x, weights, f"{key}.qkv").split(D, dim=-1)
    size = D // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        heads.append(attend(q[..., part], k[..., part], v[..., part]))
    return linear(torch.cat(heads, -1), weights, f"{key}.proj")


def mlp(x: Tensor, weights: Weights, block: str) -> Tensor:
    hidden = linear(norm(x, weights, f"{block}.norm2"), weights, f"{block}.mlp.fc1")
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return linear(hidden, weights, f"{block}.mlp.fc2")


def vit_block(x: Tensor, weights: Weights, block: str) -> Tensor:
    x = x + fused_attention(norm(x, weights, f"{block}.norm1"), weights, f"{block}.attn")
    return x + mlp(x, weights, block)


def patches(images: Tensor, weights: Weights) -> Tensor:
    """(B, C, H, W) to (B, D, rows, columns)."""
    return F.conv2d(
        images, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=PATCH
    )


def timm_vit(images: Tensor, weights: Weights, depth: int = 2, average: bool = False) -> Tensor:
    x = patches(images, weights).flatten(2).transpose(1, 2)
    extra = [weights[key] for key in ("cls_token", "dist_token") if key in weights]
    x = torch.cat([token.expand(len(x), -1, -1) for token in extra] + [x], dim=1) + weights["pos_embed"]
    for i in range(depth):
        x = vit_block(x, weights, f"blocks.{i}")
    x = norm(x, weights, "norm")
    if "head.weight" not in weights:
        return x[:, 0]
    if "dist_token" in weights:
        return (linear(x[:, 0], weights, "head") + linear(x[:, 1], weights, "head_dist")) / 2
    return linear(x[:, 1:].mean(1) if average else x[:, 0], weights, "head")


@pytest.mark.parametrize("size", [(20, 20), (8, 20)], ids=["square", "wide"])
@pytest.mark.parametrize("bias", [True, False], ids=["qkv bias", "no qkv bias"])
def test_timm_vit(size, bias):
    weights = seeded(timm_shapes(1 + size[0] * size[1] // PATCH**2, bias=bias))
    images = torch.randn(2, 3, *size)
    model = from_published(weights, "vit-timm", {"num_heads": HEADS, "img_size": size})
    close(model(images), timm_vit(images, weights))


def test_timm_vit_distilled_headless_and_averaged():
    images = torch.randn(2, 3, 20, 20)
    shapes = timm_shapes(27) | {"dist_token": (1, 1, D), "head_dist.weight": (5, D), "head_dist.bias": (5,)}
    weights = seeded(shapes)
    close(from_published(weights, "vit-timm", {"num_heads": HEADS})(images), timm_vit(images, weights))
    weights = seeded(timm_shapes(26))
    averaged = from_published(weights, "vit-timm", {"num_heads": HEADS, "global_pool": "avg"})
    close(averaged(images), timm_vit(images, weights, average=True))
    headless = {key: value for key, value in weights.items() if not key.startswith("head.")}
    close(from_published(headless, "vit-timm", {"num_heads": HEADS})(images), timm_vit(images, headless))


def test_timm_options_without_a_counterpart_are_refused():
    weights = seeded(timm_shapes(26))
    for extra in ("blocks.0.ls1.gamma", "fc_norm.weight", "pre_logits.fc.weight", "reg_token"):
        with pytest.raises(CheckpointError, match=f"unexpected: {extra}"):
            from_published(weights | {extra: torch.ones(D)}, "vit-timm", {"num_heads": HEADS})
    with pytest.raises(ArgumentError, match=r"reg_tokens must be 0: .*got 4"):
        from_published(weights, "vit-timm", {"num_heads": HEADS, "reg_tokens": 4})
    with pytest.raises(ArgumentError, match="global_pool must be one of 'token', 'avg', got 'map'"):
        from_published(weights, "vit-timm", {"num_heads": HEADS, "global_pool": "map"})


def nearest(length: int, table: Tensor) -> Tensor:
    """Rows of a table (n, D) for another length: each new index takes the one below it."""
    return torch.stack([table[i * len(table) // length] for i in range(length)])


def official_timesformer(clips: Tensor, weights: Weights, scheme: str, depth: int = 2) -> Tensor:
    """Clips (B, T, C, H, W); tokens lie (h w t), time fastest, as in the released code."""
    batch, t = clips.shape[:2]
    maps = patches(clips.flatten(0, 1), weights)
    rows, columns = maps.shape[2:]
    x = maps.flatten(2).transpose(1, 2)  # (b t) s D
    x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x], 1)
    table = weights["pos_embed"][0]
    if x.shape[1] != len(table):
        side = math.isqrt(len(table) - 1)
        square = table[1:].reshape(side, side, D)
        lines = nearest(rows, square)
        places = torch.stack([nearest(columns, line) for line in lines])
        table = torch.cat([table[:1], places.reshape(-1, D)])
    x = x + table
    if scheme == "space_only":
        for i in range(depth):
            x = vit_block(x, weights, f"blocks.{i}")
        x = x.view(batch, t, -1, D).mean(1)
        return linear(norm(x, weights, "norm")[:, 0], weights, "head")
    token = x[:batch, :1]
    times = weights["time_embed"][0]
    x = x[:, 1:].view(batch, t, -1, D).transpose(1, 2) + (times if len(times) == t else nearest(t, times))
    x = torch.cat([token, x.flatten(1, 2)], 1)  # 1 + (s t)
    for i in range(depth):
        block = f"blocks.{i}"
        if scheme == "joint_space_time":
            x = vit_block(x, weights, block)
            continue
        token, patch = x[:, :1], x[:, 1:].view(batch, -1, t, D)  # b s t D
        update = norm(patch, weights, f"{block}.temporal_norm1")
        update = fused_attention(update, weights, f"{block}.temporal_attn")
        patch = patch + linear(update, weights, f"{block}.temporal_fc")
        frames = torch.cat([token[:, None].expand(-1, t, -1, -1), patch.transpose(1, 2)], 2)  # b t 1+s D
        update = fused_attention(norm(frames, weights, f"{block}.norm1"), weights, f"{block}.attn")
        token = token + update[:, :, 0].mean(1, keepdim=True)
        patch = patch + update[:, :, 1:].transpose(1, 2)
        x = torch.cat([token, patch.flatten(1, 2)], 1)
        x = x + mlp(x, weights, block)
    return linear(norm(x, weights, "norm")[:, 0], weights, "head")


@pytest.mark.parametrize("scheme", ["divided_space_time", "joint_space_time", "space_only"])
@pytest.mark.parametrize(
    ("frames", "size"),
    [(3, (20, 20)), (2, (20, 20)), (7, (20, 20)), (3, (12, 28)), (5, (36, 8))],
    ids=["as configured", "fewer", "more", "other size", "both"],
)
def test_official_timesformer(scheme, frames, size):
    branches = ("", "temporal_") if scheme == "divided_space_time" else ("",)
    shapes = timm_shapes(26, branches=branches)
    if scheme != "space_only":
        shapes["time_embed"] = (1, 3, D)
    weights = seeded(shapes)
    config = {"img_size": 20, "patch_size": PATCH, "num_classes": 5, "embed_dim": D, "depth": 2}
    config |= {"num_heads": HEADS, "mlp_ratio": 1.7, "num_frames": 3, "attention_type": scheme}
    model = from_published({f"model.{key}": value for key, value in weights.items()}, "timesformer", config)
    clips = torch.randn(2, frames, 3, *size)
    close(model(clips), official_timesformer(clips, weights, scheme))


def test_official_timesformer_reads_what_the_configuration_leaves_out_from_the_weights():
    weights = seeded(timm_shapes(26, bias=False) | {"time_embed": (1, 3, D)})
    config = {"img_size": 20, "patch_size": PATCH, "embed_dim": D, "depth": 2, "num_heads": HEADS}
    config |= {"mlp_ratio": 1.7, "num_frames": 3, "attention_type": "joint_space_time"}
    clips = torch.randn(2, 3, 3, 20, 20)
    model = from_published(weights, "timesformer", config)
    close(model(clips), official_timesformer(clips, weights, "joint_space_time"))
    with pytest.raises(ArgumentError, match=r"qk_scale must be None: .*got 0.5"):
        from_published(weights, "timesformer", config | {"qk_scale": 0.5})


# --- ViViT in Flax --------------------------------------------------------------------------------------

T_STEP, SIDE = 2, 4


def flax_block_shapes(block: str, names: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """Names of the two or three norms, the attentions and the MLP of a block differ; their shapes do not."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kind in names.items():
        if kind == "norm":
            shapes |= {f"{block}/{name}/scale": (D,), f"{block}/{name}/bias": (D,)}
        elif kind == "attention":
            for part in ("query", "key", "value"):
                shapes[f"{block}/{name}/{part}/kernel"] = (D, HEADS + 1, D // (HEADS + 1))
                shapes[f"{block}/{name}/{part}/bias"] = (HEADS + 1, D // (HEADS + 1))
            shapes[f"{block}/{name}/out/kernel"] = (HEADS + 1, D // (HEADS + 1), D)
            shapes[f"{block}/{name}/out/bias"] = (D,)
        else:
            shapes |= {
                f"{block}/{name}/Dense_0/kernel": (D, HIDDEN),
                f"{block}/{name}/Dense_0/bias": (HIDDEN,),
            }
            shapes |= {f"{block}/{name}/Dense_1/kernel": (HIDDEN, D), f"{block}/{name}/Dense_1/bias": (D,)}
    return shapes


PLAIN_BLOCK = {
    "LayerNorm_0": "norm",
    "MultiHeadDotProductAttention_0": "attention",
    "LayerNorm_1": "norm",
    "MlpBlock_0": "mlp",
}
AXIS_BLOCK = {
    "LayerNorm_time": "norm",
    "MultiHeadDotProductAttention_time": "attention",
    "LayerNorm_space": "norm",
    "MultiHeadDotProductAttention_space": "attention",
    "LayerNorm_mlp": "norm",
    "MlpBlock": "mlp",
}


def transformer_shapes(name: str, tokens: int, depth: int, block: dict[str, str]) -> dict:
    shapes = {f"{name}/posembed_input/pos_embedding": (1, tokens, D)}
    shapes |= {f"{name}/encoder_norm/scale": (D,), f"{name}/encoder_norm/bias": (D,)}
    for i in range(depth):
        shapes |= flax_block_shapes(f"{name}/encoderblock_{i}", block)
    return shapes


def vivit_weights(
    kind: str, classifier: str, grid: tuple[int, int, int], sampled: bool, baseline: bool
) -> Weights:
    t, h, w = grid
    token = int(classifier == "token")
    kernel = (SIDE, SIDE, 3, D) if sampled else (T_STEP, SIDE, SIDE, 3, D)
    shapes: dict[str, tuple[int, ...]] = {"embedding/kernel": kernel, "embedding/bias": (D,)}
    shapes |= {"output_projection/kernel": (D, 5), "output_projection/bias": (5,)}
    if kind == "factorized_encoder":
        stages = [("SpatialTransformer", h * w, 2)] + ([] if baseline else [("TemporalTransformer", t, 1)])
        for name, tokens, depth in stages:
            shapes |= transformer_shapes(name, tokens + token, depth, PLAIN_BLOCK)
            if token:
                shapes[f"cls_{name}"] = (1, 1, D)
    else:
        block = AXIS_BLOCK if kind == "factorized_self_attention_block" else PLAIN_BLOCK
        shapes |= transformer_shapes("Transformer", t * h * w + token, 2, block)
        if token:
            shapes["cls"] = (1, 1, D)
    return seeded(shapes)


def flax_heads(x: Tensor, weights: Weights, key: str) -> list[Tensor]:
    """Queries, keys and values as (…, heads, length, head_dim)."""
    parts = []
    for part in ("query", "key", "value"):
        projected = torch.einsum("...nd,dhe->...hne", x, weights[f"{key}/{part}/kernel"])
        parts.append(projected + weights[f"{key}/{part}/bias"][:, None])
    return parts


def flax_out(heads: Tensor, weights: Weights, key: str) -> Tensor:
    return torch.einsum("...hne,hed->...nd", heads, weights[f"{key}/out/kernel"]) + weights[f"{key}/out/bias"]


def flax_mlp(x: Tensor, weights: Weights, key: str) -> Tensor:
    hidden = x @ weights[f"{key}/Dense_0/kernel"] + weights[f"{key}/Dense_0/bias"]
    hidden = hidden * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
    return hidden @ weights[f"{key}/Dense_1/kernel"] + weights[f"{key}/Dense_1/bias"]


def flax_block(x: Tensor, weights: Weights, key: str, kind: str, order: str, t: int) -> Tensor:
    if kind == "factorized_self_attention_block":
        x = x.view(len(x), t, -1, D)
        for axis in order.split("_"):
            folded = x.transpose(1, 2) if axis == "time" else x
            heads = flax_heads(
                norm(folded, weights, f"{key}/LayerNorm_{axis}"),
                weights,
                f"{key}/MultiHeadDotProductAttention_{axis}",
            )
            folded = folded + flax_out(attend(*heads), weights, f"{key}/MultiHeadDotProductAttention_{axis}")
            x = folded.transpose(1, 2) if axis == "time" else folded
        x = x.flatten(1, 2)
        return x + flax_mlp(norm(x, weights, f"{key}/LayerNorm_mlp"), weights, f"{key}/MlpBlock")
    attention = f"{key}/MultiHeadDotProductAttention_0"
    q, k, v = flax_heads(norm(x, weights, f"{key}/LayerNorm_0"), weights, attention)
    if kind == "factorized_dot_product_attention":
        half = q.shape[1] // 2
        q, k, v = (part.unflatten(2, (t, -1)) for part in (q, k, v))  # b heads t s e
        over_time = attend(*(part[:, :half].transpose(2, 3) for part in (q, k, v))).transpose(2, 3)
        over_space = attend(*(part[:, half:] for part in (q, k, v)))
        heads = torch.cat([over_time, over_space], 1).flatten(2, 3)
    else:
        heads = attend(q, k, v)
    x = x + flax_out(heads, weights, attention)
    return x + flax_mlp(norm(x, weights, f"{key}/LayerNorm_1"), weights, f"{key}/MlpBlock_0")


def scenic_vivit(clips: Tensor, weights: Weights, config: dict) -> Tensor:
    """Clips (B, T, C, H, W); tokens lie (t h w)."""
    attention, classifier = config["attention_config"], config["classifier"]
    kind, kernel = attention["type"], weights["embedding/kernel"]
    if kernel.ndim == 4:
        wanted, frames = config["temporal_encoding_config"]["n_sampled_frames"], clips.shape[1]
        if wanted < frames:
            step = frames / (wanted + 1)
            clips = clips[:, torch.arange(step, frames, step, dtype=torch.float64).round().long()[:wanted]]
        kernel = kernel[None]
    depth = kernel.shape[0]
    boxes = clips.unfold(1, depth, depth).unfold(3, SIDE, SIDE).unfold(4, SIDE, SIDE)  # b t c h w | t h w
    x = torch.einsum("btchwijk,ijkcd->bthwd", boxes, kernel) + weights["embedding/bias"]
    t = x.shape[1]

    def body(x: Tensor, name: str, cls: str, layers: int) -> Tensor:
        if classifier == "token":
            x = torch.cat([weights[cls].expand(len(x), -1, -1), x], 1)
        x = x + weights[f"{name}/posembed_input/pos_embedding"]
        for i in range(layers):
            x = flax_block(
                x, weights, f"{name}/encoderblock_{i}", kind, attention.get("attention_order", ""), t
            )
        x = norm(x, weights, f"{name}/encoder_norm")
        if classifier in ("token", "0"):
            return x[:, 0]
        return {"gap": x.mean(1), "gmp": x.max(1).values, "gsp": x.sum(1)}[classifier]

    if kind == "factorized_encoder":
        frames = body(x.flatten(2, 3).flatten(0, 1), "SpatialTransformer", "cls_SpatialTransformer", 2)
        frames = frames.unflatten(0, (len(clips), t))
        if attention.get("spatial_only_baseline"):
            features = frames.mean(1)
        else:
            features = body(frames, "TemporalTransformer", "cls_TemporalTransformer", 1)
    else:
        features = body(x.flatten(1, 3), "Transformer", "cls", 2)
    return features @ weights["output_projection/kernel"] + weights["output_projection/bias"]


SPACETIME, ENCODER = "spacetime", "factorized_encoder"
SELF_ATTENTION, DOT_PRODUCT = "factorized_self_attention_block", "factorized_dot_product_attention"
VIVIT_CASES = {
    "model 1, token": (SPACETIME, "token", {}),
    "model 1, mean": (SPACETIME, "gap", {}),
    "model 1, first token": (SPACETIME, "0", {}),
    "model 1, maximum": (SPACETIME, "gmp", {}),
    "model 2, token": (ENCODER, "token", {}),
    "model 2, mean": (ENCODER, "gap", {}),
    "model 2, sum": (ENCODER, "gsp", {}),
    "average pool, token": (ENCODER, "token", {"spatial_only_baseline": True}),
    "average pool, mean": (ENCODER, "gap", {"spatial_only_baseline": True}),
    "model 3, time first": (SELF_ATTENTION, "gap", {"attention_order": "time_space"}),
    "model 3, space first": (SELF_ATTENTION, "gap", {"attention_order": "space_time"}),
    "model 4": (DOT_PRODUCT, "gap", {}),
}


def vivit_config(kind: str, classifier: str, options: dict, sections: bool = False) -> dict:
    config = {"num_classes": 5, "patches": {"size": [SIDE, SIDE, T_STEP]}, "hidden_size": D}
    config |= {"temporal_encoding_config": {"method": "3d_conv"}, "classifier": classifier}
    config |= {"attention_config": {"type": kind, **options}}
    if kind != ENCODER:
        return config | {"num_layers": 2, "num_heads": HEADS + 1, "mlp_dim": HIDDEN}
    for stage, layers in (("spatial", 2), ("temporal", 1)):
        sizes = {"num_layers": layers, "num_heads": HEADS + 1, "mlp_dim": HIDDEN}
        if sections:
            config[f"{stage}_transformer"] = sizes
        else:
            config |= {f"{stage}_{name}": value for name, value in sizes.items()}
    return config


@pytest.mark.parametrize("grid", [(3, 2, 2), (5, 3, 3), (2, 2, 5)], ids=str)
@pytest.mark.parametrize("case", VIVIT_CASES)
def test_scenic_vivit(case, grid):
    kind, classifier, options = VIVIT_CASES[case]
    weights = vivit_weights(kind, classifier, grid, False, "spatial_only_baseline" in options)
    config = vivit_config(kind, classifier, options)
    clips = torch.randn(2, grid[0] * T_STEP, 3, grid[1] * SIDE, grid[2] * SIDE)
    close(from_published(weights, "vivit-scenic", config)(clips), scenic_vivit(clips, weights, config))


@pytest.mark.parametrize("kind", [SPACETIME, ENCODER])
@pytest.mark.parametrize("frames", [3, 8, 11])
def test_scenic_uniform_frame_sampling(kind, frames):
    weights = vivit_weights(kind, "token", (3, 2, 2), True, False)
    config = vivit_config(kind, "token", {}, sections=True)
    config["patches"] = {"size": [SIDE, SIDE]}
    config["temporal_encoding_config"] = {"method": "temporal_sampling", "n_sampled_frames": 3}
    clips = torch.randn(2, frames, 3, 2 * SIDE, 2 * SIDE)
    model = from_published(weights, "vivit-scenic", config)
    close(model(clips), scenic_vivit(clips, weights, config))


def test_scenic_wrappers_defaults_and_what_is_refused():
    weights = vivit_weights(SPACETIME, "gap", (3, 2, 2), False, False)
    config = vivit_config(SPACETIME, "gap", {})
    short = {key: config[key] for key in ("patches", "hidden_size", "num_layers", "num_heads", "mlp_dim")}
    wrapped = {f"optimizer/target/{key}": value for key, value in weights.items()}
    clips = torch.randn(2, 6, 3, 8, 8)
    model = from_published(wrapped, "vivit-scenic", short)
    close(model(clips), scenic_vivit(clips, weights, config))
    assert model.config.dropout == 0.1  # the released class's default
    extra = {"pre_logits/kernel": torch.ones(D, D), "pre_logits/bias": torch.ones(D)}
    with pytest.raises(CheckpointError, match="unexpected: pre_logits/bias, pre_logits/kernel"):
        from_published(weights | extra, "vivit-scenic", config)
    with pytest.raises(ArgumentError, match=r"token grid .*got \(4, 2, 2\)"):
        model(torch.randn(1, 8, 3, 8, 8))


# --- VTN: timm's ViT, then transformers' own Longformer ----------------------------------------------------


def vtn_weights(layers: int, positions: int) -> Weights:
    shapes = {f"backbone.{key}": s for key, s in timm_shapes(11).items() if not key.startswith("head.")}
    shapes["cls_token"] = (1, 1, D)
    encoder = "temporal_encoder"
    shapes[f"{encoder}.embeddings.position_embeddings.weight"] = (positions, D)
    shapes[f"{encoder}.embeddings.token_type_embeddings.weight"] = (2, D)
    shapes |= {f"{encoder}.embeddings.LayerNorm.{part}": (D,) for part in ("weight", "bias")}
    square = [
        f"attention.self.{name}{suffix}" for name in ("query", "key", "value") for suffix in ("", "_global")
    ]
    for i in range(layers):
        layer = f"{encoder}.encoder.layer.{i}"
        for name in (*square, "attention.output.dense"):
            shapes |= {f"{layer}.{name}.weight": (D, D), f"{layer}.{name}.bias": (D,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{layer}.{name}.weight": (D,), f"{layer}.{name}.bias": (D,)}
        shapes |= {
            f"{layer}.intermediate.dense.weight": (HIDDEN, D),
            f"{layer}.intermediate.dense.bias": (HIDDEN,),
        }
        shapes |= {f"{layer}.output.dense.weight": (D, HIDDEN), f"{layer}.output.dense.bias": (D,)}
    shapes |= {"mlp_head.0.weight": (D,), "mlp_head.0.bias": (D,)}
    shapes |= {"mlp_head.1.weight": (7, D), "mlp_head.1.bias": (7,)}
    shapes |= {"mlp_head.4.weight": (5, 7), "mlp_head.4.bias": (5,)}
    return seeded(shapes)


def official_vtn(clips: Tensor, index: Tensor, weights: Weights, windows: list[int]) -> Tensor:
    """As released: padded with -1 to a multiple of twice the first window, positions by the modulo rule."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `pretrained`")
    positions = weights["temporal_encoder.embeddings.position_embeddings.weight"].shape[0]
    config = transformers.LongformerConfig(
        vocab_size=3,
        hidden_size=D,
        num_hidden_layers=len(windows),
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        attention_window=windows,
        max_position_embeddings=positions,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
    )
    theirs = transformers.LongformerModel(config, add_pooling_layer=False).eval()
    state = {key.removeprefix("temporal_encoder."): value for key, value in weights.items()}
    kept = {key: value for key, value in state.items() if key in theirs.state_dict()}
    missing = theirs.load_state_dict(kept, strict=False).missing_keys
    assert all("word_embeddings" in key or "position_ids" in key for key in missing)
    backbone = {key.removeprefix("backbone."): value for key, value in weights.items() if "backbone." in key}
    batch, frames = clips.shape[:2]
    x = timm_vit(clips.flatten(0, 1), backbone).view(batch, frames, D)
    x = torch.cat([weights["cls_token"].expand(batch, -1, -1), x], 1)
    padding = -x.shape[1] % (2 * windows[0])
    x = F.pad(x, (0, 0, 0, padding), value=-1.0)
    mask = torch.ones(x.shape[:2], dtype=torch.long)
    mask[:, 0], mask[:, 1 + frames :] = 2, 0
    ids = F.pad(index, (1, padding)) % (positions - 2)
    ids[:, 0], ids[:, 1 + frames :] = positions - 2, positions - 1
    kinds = torch.zeros_like(ids)
    kinds[:, 0] = 1
    out = theirs(inputs_embeds=x, attention_mask=mask, position_ids=ids, token_type_ids=kinds)
    token = norm(
        out.last_hidden_state[:, 0],
        {"n.weight": weights["mlp_head.0.weight"], "n.bias": weights["mlp_head.0.bias"]},
        "n",
        1e-5,
    )
    return linear(F.gelu(linear(token, weights, "mlp_head.1")), weights, "mlp_head.4")


@pytest.mark.parametrize(
    ("frames", "windows", "positions"),
    [(5, [4, 4], 40), (41, [4, 4], 60), (23, [6, 4, 12], 12), (30, [18, 18], 20)],
    ids=["short", "long video", "windows differ, past the table", "released window, past the table"],
)
def test_official_vtn(frames, windows, positions):
    weights = vtn_weights(len(windows), positions)
    config = {"MODEL": {"NUM_CLASSES": 5}, "backbone": {"num_heads": HEADS, "img_size": (8, 20)}}
    config["VTN"] = {"HIDDEN_DIM": D, "MLP_DIM": 7, "INTERMEDIATE_SIZE": HIDDEN, "NUM_ATTENTION_HEADS": HEADS}
    config["VTN"] |= {"NUM_HIDDEN_LAYERS": len(windows), "ATTENTION_WINDOW": windows}
    config["VTN"] |= {"MAX_POSITION_EMBEDDINGS": positions}
    clips = torch.randn(2, frames, 3, 8, 20)
    index = torch.stack([torch.arange(frames), 3 * torch.arange(frames) + 1])
    with torch.no_grad():
        expected = official_vtn(clips, index, weights, windows)
        close(from_published(weights, "vtn", config)(clips, index), expected)


def test_vtn_configuration_of_training_is_kept():
    weights = vtn_weights(1, 20)
    config = {
        "MODEL": {"NUM_CLASSES": 5, "DROPOUT_RATE": 0.3},
        "backbone": {"num_heads": HEADS, "img_size": (8, 20)},
    }
    config["VTN"] = {"HIDDEN_DIM": D, "MLP_DIM": 7, "INTERMEDIATE_SIZE": HIDDEN, "NUM_ATTENTION_HEADS": HEADS}
    config["VTN"] |= {"NUM_HIDDEN_LAYERS": 1, "ATTENTION_WINDOW": [4], "MAX_POSITION_EMBEDDINGS": 20}
    config["VTN"] |= {"DROP_RATE": 0.2, "DROP_PATH_RATE": 0.15}
    found = from_published(weights, "vtn", config).config
    assert (found.head_dropout, found.backbone.dropout, found.backbone.drop_path) == (0.3, 0.2, 0.15)
