"""Configurations that cannot be, and clips that do not fit: one clear line each, naming the value."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtlearn.errors import ArgumentError
from vtlearn.models import create_model, model_config, tiny_twin
from vtlearn.models.catalogue import build_model

CONFIGURATIONS = [
    ("vivit_samples", {"num_frames": 7}, r"num_frames must be a multiple of tubelet_size\[0\] = 2, got 7"),
    ("vivit_samples", {"image_size": 50}, r"image_size \(height\) must be a multiple of tubelet_size\[1\]"),
    (
        "vivit_samples",
        {"tubelet_size": (2, 8)},
        r"tubelet_size must be \(frames, rows, columns\), got \(2, 8\)",
    ),
    ("vivit_samples", {"encoder": "early"}, "encoder must be one of 'joint'.*got 'early'"),
    (
        "vivit_base_factorised_dot_product",
        {"classifier": "token"},
        "classifier must be one of 'mean', .* for encoder 'factorised_dot_product', got 'token'",
    ),
    ("vivit_base_factorised_dot_product", {"num_heads": 3}, "num_heads must be even"),
    ("timesformer_samples", {"attention": "diagonal"}, "attention must be one of 'divided'.*got 'diagonal'"),
    ("timesformer_samples", {"embed_dim": 97}, "embed_dim must be a multiple of num_heads = 4, got 97"),
    ("timesformer_samples", {"patch_size": 7}, "must be a multiple of patch_size = 7"),
    ("timesformer_samples", {"drop_path": 1.0}, r"drop_path must be in \[0, 1\), got 1.0"),
    ("vtn_samples", {"window_size": 8}, "window_size must be odd.*got 8"),
    (
        "vtn_samples",
        {"window_size": (3, 5, 7)},
        "window_size must be one number or one for each of the 2 layers",
    ),
    ("vtn_samples", {"past_table": "wrap"}, "past_table must be one of .*got 'wrap'"),
    ("vtn_samples", {"num_classes": -1}, "num_classes must be a positive integer, or 0 for no head, got -1"),
    ("vit_samples", {"depth": 0}, "depth must be a positive integer, got 0"),
    ("vit_samples", {"image_size": (64, 64, 64)}, r"image_size must be one size or \(height, width\)"),
    ("timesformer_samples", {"pooling": "max"}, "pooling must be one of 'token', 'mean', got 'max'"),
    ("vivit_samples", {"tubelet_size": (0, 8, 8)}, "tubelet_frames must be a positive integer, got 0"),
    ("vivit_samples", {"norm_eps": -1.0}, "norm_eps must be positive, got -1.0"),
    ("vivit_samples", {"sample_frames": True}, "tubelet_size must be of one frame where frames are sampled"),
    ("vtn_samples_causal", {"past_table": "squeeze"}, "past_table must be one of 'error', 'modulo'"),
    ("frame_gru_samples", {"hidden_dim": 0}, "hidden_dim must be a positive integer, got 0"),
]


@pytest.mark.parametrize(("name", "changes", "message"), CONFIGURATIONS)
def test_configurations_that_cannot_be(name, changes, message):
    with pytest.raises(ArgumentError, match=message):
        model_config(name, **changes)


VIDEO = [
    "vtn_samples",
    "vtn_samples_causal",
    "timesformer_samples",
    "vivit_samples",
    "vivit_samples_joint",
    "frame_average_samples",
    "frame_gru_samples",
    "i3d_resnet50",
    "slowfast_resnet50_8x8",
]
CLIPS = [
    (
        (2, 3, 6, 8, 20),
        r"look like \(B, C, T, H, W\): the channels stand on axis 1\), got \(2, 3, 6, 8, 20\)",
    ),
    ((2, 6, 8, 20, 3), r"look like \(B, T, H, W, C\): the channels stand on axis 4\)"),
    ((3, 2, 6, 8, 20), r"look like \(C, B, T, H, W\): the channels stand on axis 0\)"),
    ((2, 6, 4, 8, 20), r"axis 2 holds 4 channels"),
    ((2, 6, 1, 8, 20), r"axis 2 holds 1 channels"),
    ((2, 0, 3, 8, 20), r"clips must be not empty on any axis, got \(2, 0, 3, 8, 20\)"),
    ((6, 3, 8, 20), r"one axis is missing"),
]


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize(("shape", "message"), CLIPS)
def test_clips_in_another_layout(unchecked_shapes, name, shape, message):
    model = build_model(tiny_twin(name))
    with pytest.raises(ArgumentError, match=message):
        model(torch.zeros(shape))


@pytest.mark.parametrize("name", VIDEO)
def test_integer_pixels(unchecked_shapes, name):
    model = build_model(tiny_twin(name))
    with pytest.raises(ArgumentError, match=r"clips.dtype must be a float type"):
        model(torch.zeros(1, 6, 3, 8, 20, dtype=torch.uint8))


@pytest.mark.parametrize("name", VIDEO)
def test_no_tensor_at_all(unchecked_shapes, name):
    with pytest.raises(ArgumentError, match="clips must be a tensor, got 'ndarray'"):
        build_model(tiny_twin(name))(np.zeros((1, 6, 3, 8, 20), dtype=np.float32))


def test_frames_that_the_frame_ratio_does_not_divide():
    with pytest.raises(
        ArgumentError, match="number of frames T must be a multiple of frame_ratio = 4, got 7"
    ):
        build_model(tiny_twin("slowfast_resnet50_8x8"))(torch.zeros(1, 7, 3, 32, 32))


def test_frames_that_the_tubelet_does_not_divide():
    model = build_model(tiny_twin("vivit_samples"))
    with pytest.raises(
        ArgumentError, match=r"number of frames T must be a multiple of tubelet_size\[0\] = 2, got 5"
    ):
        model(torch.zeros(1, 5, 3, 8, 20))


@pytest.mark.parametrize("encoder", ["joint", "factorised_encoder", "factorised_self_attention"])
def test_more_frames_than_positions_are_refused_or_resized_by_choice(encoder):
    name = f"vivit_base_{encoder}"
    clips = torch.randn(1, 10, 3, 8, 20)
    with pytest.raises(
        ArgumentError, match=r"token grid .*\(3, 2, 5\).*set position_resize\), got \(5, 2, 5"
    ):
        build_model(tiny_twin(name))(clips)
    assert build_model(tiny_twin(name, position_resize="bilinear"))(clips).shape == (1, 7)


def test_frame_sizes_that_the_patch_does_not_divide():
    with pytest.raises(ArgumentError, match=r"width W must be a multiple of patch_size = 4, got 21"):
        build_model(tiny_twin("timesformer_samples"))(torch.zeros(1, 3, 3, 8, 21))
    with pytest.raises(ArgumentError, match=r"grid of patches must be \(2, 5\).*got \(3, 5\)"):
        build_model(tiny_twin("frame_average_samples"))(torch.zeros(1, 3, 3, 12, 20))


def test_frame_indices_that_do_not_fit(unchecked_shapes):
    model = build_model(tiny_twin("vtn_samples", past_table="error"))
    clips = torch.zeros(1, 3, 3, 8, 20)
    with pytest.raises(ArgumentError, match=r"frame_index must be at most 16.*num_positions = 17.*got 17"):
        model(clips, torch.tensor([[0, 5, 17]]))
    for rule in ("error", "squeeze", "modulo"):
        of_rule = build_model(tiny_twin("vtn_samples", past_table=rule))
        with pytest.raises(ArgumentError, match=r"frame_index must be 0 or more, got -1"):
            of_rule(clips, torch.tensor([[-1, 5, 7]]))
    with pytest.raises(
        ArgumentError, match=r"frame_index must be of shape \(B, T\) = \(1, 3\), got \(1, 4\)"
    ):
        model.embed_features(torch.zeros(1, 3, 24), torch.tensor([[0, 1, 2, 3]]))


def test_a_backbone_of_another_width():
    model = create_model("vtn_samples", embed_dim=32)
    size = model.config.backbone.image_size
    clips = torch.zeros(1, 2, 3, size, size)
    with pytest.raises(ArgumentError, match=r"backbone's output must be of shape"):
        model(clips)
