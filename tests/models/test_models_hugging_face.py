"""Tiny random models of transformers, saved as folders and loaded as the hub's would be: the same logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vtlearn.errors import CheckpointError
from vtlearn.models import load_published

transformers = pytest.importorskip("transformers", reason="needs the extra `pretrained`")

SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 36,
    "image_size": 20,
}
LABELS = {"id2label": {number: f"label {number}" for number in range(5)}}
VIT = {**SIZES, "patch_size": 4}
VIDEO = {**VIT, "num_frames": 3}
TUBELETS = {**SIZES, "num_frames": 6, "tubelet_size": [2, 4, 4]}
LONG = {"vocab_size": 31, "attention_window": [4, 8], "max_position_embeddings": 40} | SIZES


def made(name: str, config: str, sizes: dict) -> nn.Module:
    """A model with weights that are drawn everywhere, also where it would start with zeros or ones."""
    torch.manual_seed(0)
    model = getattr(transformers, name)(getattr(transformers, config)(**sizes)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def loaded(model: nn.Module, folder: Path) -> object:
    model.save_pretrained(folder)
    return load_published(folder)


CLASSIFIERS = [
    ("ViTForImageClassification", "ViTConfig", VIT, (3, 20, 20)),
    ("ViTForImageClassification", "ViTConfig", {**VIT, "qkv_bias": False, "hidden_act": "relu"}, (3, 20, 20)),
    ("TimesformerForVideoClassification", "TimesformerConfig", VIDEO, (3, 3, 20, 20)),
    ("TimesformerForVideoClassification", "TimesformerConfig", {**VIDEO, "qkv_bias": False}, (3, 3, 20, 20)),
    (
        "TimesformerForVideoClassification",
        "TimesformerConfig",
        {**VIDEO, "attention_type": "joint_space_time"},
        (3, 3, 20, 20),
    ),
    ("TimesformerForVideoClassification", "TimesformerConfig", VIDEO, (3, 3, 40, 40)),  # tables resized
    ("VivitForVideoClassification", "VivitConfig", TUBELETS, (6, 3, 20, 20)),
    ("VivitForVideoClassification", "VivitConfig", {**TUBELETS, "qkv_bias": False}, (6, 3, 20, 20)),
]


@pytest.mark.parametrize(("name", "config", "sizes", "shape"), CLASSIFIERS)
def test_classifiers(tmp_path, name, config, sizes, shape):
    theirs = made(name, config, sizes | LABELS)
    published = loaded(theirs, tmp_path)
    pixels = torch.randn(2, *shape)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels).logits
        assert expected.shape == (2, 5)
        torch.testing.assert_close(published.model(pixels), expected, atol=1e-5, rtol=1e-5)
    assert published.labels == tuple(LABELS["id2label"].values())


def test_space_only_averages_frames_where_theirs_gives_logits_for_each(tmp_path):
    theirs = made(
        "TimesformerForVideoClassification", "TimesformerConfig", {**VIDEO, "attention_type": "space_only"}
    )
    model = loaded(theirs, tmp_path).model
    still = torch.randn(2, 1, 3, 20, 20).expand(-1, 3, -1, -1, -1).contiguous()
    with torch.no_grad():
        each = theirs(pixel_values=still).logits.view(2, 3, -1)
        torch.testing.assert_close(model(still), each[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "config", "sizes", "shape"),
    [
        ("ViTModel", "ViTConfig", VIT, (3, 20, 20)),
        ("TimesformerModel", "TimesformerConfig", VIDEO, (3, 3, 20, 20)),
        ("VivitModel", "VivitConfig", TUBELETS, (6, 3, 20, 20)),
    ],
)
def test_models_without_a_head(tmp_path, name, config, sizes, shape):
    theirs = made(name, config, sizes)
    model = loaded(theirs, tmp_path).model
    pixels = torch.randn(2, *shape)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels).last_hidden_state[:, 0]
        assert model.num_classes == 0
        torch.testing.assert_close(model(pixels), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["LongformerModel", "LongformerForMaskedLM"])
def test_longformer(tmp_path, name):
    theirs = made(name, "LongformerConfig", LONG)
    ours = loaded(theirs, tmp_path).model
    theirs = getattr(theirs, "longformer", theirs)
    ids = torch.randint(2, 31, (2, 19))
    ids[1, 15:] = 1  # padding
    real, is_global = (ids != 1).long(), torch.zeros_like(ids)
    is_global[:, 0] = is_global[0, 7] = 1
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=real, global_attention_mask=is_global)[0]
        found = ours(ids, attention_mask=real, global_attention_mask=is_global)
    torch.testing.assert_close(found[real.bool()], expected[real.bool()], atol=1e-5, rtol=1e-5)


def test_heads_of_another_task_are_refused_by_name(tmp_path):
    theirs = made("LongformerForSequenceClassification", "LongformerConfig", LONG)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"unexpected: classifier\.dense\.bias"):
        load_published(tmp_path)


NEW_NAMES = {
    "encoder.layer.": "layers.",
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


@pytest.mark.parametrize(
    ("name", "config", "sizes", "shape"),
    [
        ("ViTForImageClassification", "ViTConfig", VIT, (3, 20, 20)),
        ("VivitForVideoClassification", "VivitConfig", TUBELETS, (6, 3, 20, 20)),
    ],
)
def test_the_module_names_of_version_5_load_as_well(tmp_path, name, config, sizes, shape):
    """What version 5 calls its modules inside; it writes the old names, other writers may not."""
    theirs = made(name, config, sizes | LABELS)
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    renamed = {}
    for key, value in weights.items():
        new = key
        for old, fresh in NEW_NAMES.items():
            new = new.replace(old, fresh)
        renamed[new] = value.clone()
    assert any(".layers.1.attention.q_proj.weight" in key for key in renamed)
    assert renamed.keys().isdisjoint(key for key in weights if "encoder.layer" in key)
    save_file(renamed, tmp_path / "model.safetensors")
    pixels = torch.randn(2, *shape)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels).logits
        torch.testing.assert_close(load_published(tmp_path).model(pixels), expected, atol=1e-5, rtol=1e-5)


def test_weights_in_several_files(tmp_path):
    theirs = made("ViTForImageClassification", "ViTConfig", VIT | LABELS)
    theirs.save_pretrained(tmp_path, max_shard_size="10KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    pixels = torch.randn(2, 3, 20, 20)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels).logits
        torch.testing.assert_close(load_published(tmp_path).model(pixels), expected, atol=1e-5, rtol=1e-5)
