"""Starting from an image ViT: what each video model is at its first step."""

from __future__ import annotations

import pytest
import torch

from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.models import ViT, ViTConfig, build_model, init_from_image, tiny_twin
from vtlearn.models.resnet import ResNet, ResNetConfig


def image_model(
    activation: str = "gelu", image_size: object = (8, 20), depth: int = 2, pooling: str = "token"
) -> ViT:
    torch.manual_seed(1)
    model = ViT(
        ViTConfig(
            image_size=image_size,
            patch_size=4,
            embed_dim=24,
            depth=depth,
            num_heads=2,
            mlp_ratio=1.5,
            activation=activation,
            pooling=pooling,
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def started(name: str, image: ViT, **changes: object) -> torch.nn.Module:
    torch.manual_seed(2)
    model = build_model(tiny_twin(name, **changes)).eval()
    init_from_image(model, image.state_dict())
    return model


def still(frames: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    images = torch.randn(2, 3, 8, 20)
    return images, images[:, None].expand(-1, frames, -1, -1, -1).contiguous()


@pytest.mark.parametrize("scheme", ["base", "base_space", "base_space_first", "base_parallel"])
def test_timesformer_on_identical_frames_is_the_image_model(scheme):
    image = image_model()
    images, clips = still()
    features = started(f"timesformer_{scheme}", image).forward_features(clips)
    torch.testing.assert_close(features, image.forward_features(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scheme", ["base", "base_space", "base_axial", "base_joint"])
def test_a_start_from_an_image_model_that_averages_its_patches(scheme):
    image = image_model(pooling="mean")
    images, clips = still()
    model = started(f"timesformer_{scheme}", image, pooling="mean")
    same = torch.allclose(model.forward_features(clips), image.forward_features(images), atol=1e-5)
    # other attention mixes: joint attention sees every patch three times and its class token once
    assert same == (scheme in ("base", "base_space"))
    by_token = started(f"timesformer_{scheme}", image)
    assert not torch.allclose(by_token.forward_features(clips), image.forward_features(images), atol=1e-2)


def test_a_backbone_that_averages_its_patches_keeps_its_vectors():
    image = image_model(pooling="mean")
    images, clips = still()
    model = started("vtn_samples", image, backbone__pooling="mean")
    torch.testing.assert_close(model.frame_features(clips)[:, 1], image.forward_features(images))


def test_timesformer_on_different_frames_is_not_the_mean_of_image_models():
    """One class token is shared by all frames, so it has seen the others before the second block."""
    image = image_model()
    clips = torch.randn(2, 3, 3, 8, 20)
    features = started("timesformer_base", image).forward_features(clips)
    each = torch.stack([image.forward_features(frame) for frame in clips.unbind(1)]).mean(0)
    assert (features - each).abs().max() > 1e-2
    space_only = started("timesformer_base_space", image, depth=2)
    before_norm = torch.stack([frame_token(image, frame) for frame in clips.unbind(1)]).mean(0)
    torch.testing.assert_close(
        space_only.forward_features(clips), image.norm(before_norm), atol=1e-5, rtol=1e-5
    )


def frame_token(image: ViT, frame: torch.Tensor) -> torch.Tensor:
    found = []
    handle = image.blocks[-1].register_forward_hook(lambda _m, _i, out: found.append(out[:, 0]))
    image.forward_features(frame)
    handle.remove()
    return found[0]


def test_timesformer_temporal_branch_copies_the_spatial_one():
    model = started("timesformer_base", image_model())
    for block in model.blocks:
        assert torch.equal(block.temporal_attn.qkv.weight, block.attn.qkv.weight)
        assert torch.equal(block.temporal_norm1.weight, block.norm1.weight)
        assert not block.temporal_fc.weight.any()
        assert not block.temporal_fc.bias.any()
    assert not model.time_embed.any()


@pytest.mark.parametrize(("start", "frame"), [("central_frame", 1), ("inflate", None)])
def test_vivit_frame_vectors_are_the_image_model(start, frame):
    image = image_model("gelu_tanh")
    model = started("vivit_base_average_pool", image, tubelet_start=start)
    if frame is None:
        images, clips = still(6)
    else:
        clips = torch.randn(2, 6, 3, 8, 20)
        images = clips[:, frame::2].flatten(0, 1)
    tokens = model.tubelet_embed(clips)
    vectors = model.encoder.frames(tokens, model.tubelet_embed.grid(6, 8, 20))
    expected = image.forward_features(images)
    expected = expected[:, None].expand(-1, 3, -1) if frame is None else expected.unflatten(0, (2, 3))
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", ["joint", "separate"])
def test_vivit_positions_repeat_over_time(positions):
    image = image_model()
    model = started("vivit_base_joint", image, positions=positions)
    table = model.encoder.positions(model.config.grid)
    expected = torch.cat([image.pos_embed[:, :1], image.pos_embed[:, 1:].repeat(1, 3, 1)], dim=1)
    torch.testing.assert_close(table, expected)


def test_vivit_factorised_self_attention_starts_without_time_and_wakes_up():
    model = started("vivit_base_factorised_self_attention", image_model())
    torch.nn.init.normal_(model.head.weight)
    clips = torch.randn(2, 6, 3, 8, 20)
    shuffled = clips.unflatten(1, (3, 2))[:, [2, 0, 1]].flatten(1, 2)
    torch.testing.assert_close(model(clips), model(shuffled), atol=1e-5, rtol=1e-5)
    time = model.encoder.blocks[0].attn_time
    model(clips).square().sum().backward()
    assert time.proj.weight.grad.abs().sum() > 0
    with torch.no_grad():
        time.proj.weight -= 0.1 * time.proj.weight.grad
    model.zero_grad()
    model(clips).square().sum().backward()
    assert time.qkv.weight.grad.abs().sum() > 0


def test_all_weights_at_zero_would_never_wake_up():
    """Why only the output projection is zeroed: the paper's start has no gradient anywhere but the last
    bias.
    """
    model = started("vivit_base_factorised_self_attention", image_model())
    torch.nn.init.normal_(model.head.weight)
    time = model.encoder.blocks[0].attn_time
    for layer in (time.qkv, time.proj):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    model(torch.randn(2, 6, 3, 8, 20)).square().sum().backward()
    assert not time.qkv.weight.grad.any()
    assert not time.proj.weight.grad.any()
    assert time.proj.bias.grad.any()


@pytest.mark.parametrize("name", ["vtn_samples", "frame_average_samples", "frame_gru_samples"])
def test_backbones_are_the_image_model(name):
    image = image_model()
    model = started(name, image, pooling="token")
    images, clips = still()
    torch.testing.assert_close(model.frame_features(clips)[:, 2], image.forward_features(images))


def test_positions_of_another_image_size_are_resized_in_two_dimensions():
    image = image_model(image_size=16)
    model = started("timesformer_base", image, image_size=32)
    table = image.pos_embed[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    larger = torch.nn.functional.interpolate(table, size=(8, 8), mode="bicubic", align_corners=False)
    torch.testing.assert_close(model.pos_embed[:, 1:], larger.flatten(2).transpose(1, 2))
    torch.testing.assert_close(model.pos_embed[:, :1], image.pos_embed[:, :1])


def test_the_head_stays_fresh():
    image = image_model()
    model = build_model(tiny_twin("timesformer_base"))
    before = model.head.weight.clone()
    init_from_image(model, image.state_dict())
    assert torch.equal(model.head.weight, before)


def test_weights_that_do_not_fit_are_listed():
    model = build_model(tiny_twin("timesformer_base"))
    with pytest.raises(CheckpointError, match=r"unexpected: .*blocks\.2\.norm1\.weight"):
        init_from_image(model, image_model(depth=3).state_dict())
    with pytest.raises(CheckpointError, match=r"missing: blocks\.1\."):
        init_from_image(model, image_model(depth=1).state_dict())
    weights = image_model().state_dict() | {"norm.weight": torch.ones(23)}
    with pytest.raises(CheckpointError, match=r"misshapen: norm.weight \(23,\) for \(24,\)"):
        init_from_image(model, weights)
    with pytest.raises(CheckpointError, match="missing: pos_embed"):
        init_from_image(model, {})


def test_models_that_do_not_start_from_a_vit():
    model = ResNet(ResNetConfig(layers=(1, 1, 1, 1), width=4))
    with pytest.raises(ArgumentError, match="model must be a model that starts from a ViT, got 'ResNet'"):
        init_from_image(model, {})
