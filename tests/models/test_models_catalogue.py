"""Every paper's numbers: parameters to the digit, multiply-adds to a per cent, and the catalogue's doors."""

from __future__ import annotations

import pytest
import torch

from vtlearn.errors import ArgumentError
from vtlearn.models import count_parameters, create_model, model_config, model_cost, model_names

PARAMETERS = {
    "timesformer_base": 121_566_352,
    "timesformer_base_joint": 86_112_400,
    "timesformer_base_space": 86_106_256,
    "timesformer_high_resolution": 122_024_080,
    "timesformer_large": 121_633_936,
    "vivit_base_joint": 88_954_000,
    "vivit_base_factorised_encoder": 115_062_928,
    "vivit_base_average_pool": 86_696_080,
    "vivit_base_factorised_self_attention": 117_319_312,
    "vivit_base_factorised_dot_product": 88_952_464,
    "vivit_large_factorised_encoder": 354_903_440,
    "vtn_vit_base": 113_502_352,
    "vtn_vit_base_causal": 113_502_352,
    "vit_base": 86_567_656,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "i3d_resnet50": 28_043_472,
    "slowfast_resnet50_8x8": 34_566_488,
}
OTHER_PARAMETERS = [
    ("vivit_base_joint", {"classifier": "mean"}, 88_952_464),
    ("vivit_base_factorised_encoder", {"classifier": "mean"}, 115_059_856),
    ("timesformer_base", {"num_classes": 600}, 121_720_152),
    ("timesformer_base", {"num_classes": 174}, 121_392_558),
]
GIGA_MULTIPLY_ADDS = {
    "timesformer_base": 195.8,
    "timesformer_high_resolution": 1702.7,
    "timesformer_large": 2379.9,
    "timesformer_base_joint": 179.6,
    "timesformer_base_space": 140.5,
    "vivit_base_joint": 451.5,
    "vivit_base_factorised_encoder": 283.4,
    "vivit_base_factorised_self_attention": 371.1,
    "vivit_base_factorised_dot_product": 276.2,
    "vivit_base_average_pool": 282.9,
    "slowfast_resnet50_8x8": 65.7,
    "slowfast_resnet101_16x8": 213.0,
}


@pytest.fixture(autouse=True)
def _unchecked(unchecked_shapes):
    """Nothing is computed here, so there is nothing to check."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_to_the_digit(name):
    with torch.device("meta"):
        model = create_model(name)
    assert count_parameters(model) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "changes", "parameters"), OTHER_PARAMETERS)
def test_parameters_of_other_heads_and_classifiers(name, changes, parameters):
    with torch.device("meta"):
        model = create_model(name, **changes)
    assert count_parameters(model) == parameters


@pytest.mark.parametrize(("scheme", "millions"), [("axial", 156.8), ("sparse", 121.4)])
def test_reconstructed_schemes_have_the_published_size_with_its_174_classes(scheme, millions):
    with torch.device("meta"):
        model = create_model(f"timesformer_base_{scheme}", num_classes=174)
    assert round(count_parameters(model) / 1e6, 1) == millions


def test_large_vivit_at_two_sizes_has_the_counted_millions():
    for size, millions in ((224, 307.5), (320, 310.85)):
        with torch.device("meta"):
            model = create_model("vivit_large_joint", image_size=size)
        assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", GIGA_MULTIPLY_ADDS)
def test_multiply_adds_of_one_view(name):
    cost = model_cost(model_config(name))
    assert cost.multiply_adds / 1e9 == pytest.approx(GIGA_MULTIPLY_ADDS[name], rel=0.002)


def test_multiply_adds_of_vtn_on_250_frames_with_and_without_attention_products():
    cost = model_cost(model_config("vtn_vit_base"), num_frames=250)
    assert cost.multiply_adds / 1e9 == pytest.approx(4391, rel=0.002)
    assert cost.linear / 1e9 == pytest.approx(4219, rel=0.001)


def test_divided_attention_counts_pairs_in_time_and_space():
    cost = model_cost(model_config("timesformer_base"))
    t, s, width, depth = 8, 196, 768, 12
    assert cost.attention == depth * 2 * width * (s * t * t + t * (s + 1) ** 2)


def test_every_preset_can_be_built_and_says_where_it_comes_from():
    from vtlearn.models.catalogue import preset

    for name in model_names():
        assert "arXiv" in preset(name).source or "samples" in name
        with torch.device("meta"):
            assert count_parameters(create_model(name, num_classes=3)) > 10_000


def test_unknown_names_and_fields_are_named():
    with pytest.raises(ArgumentError, match=r"name must be one of timesformer_base.*got 'timesformer_huge'"):
        create_model("timesformer_huge")
    with pytest.raises(ArgumentError, match=r"field must be one of .*num_frames.*got 'frames'"):
        create_model("vtn_samples", frames=4)
