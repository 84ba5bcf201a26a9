"""The laws that every small model for the bundled clips obeys."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
import torch

from vtlearn.models import ViT, count_parameters, create_model, init_from_image, model_config, model_names
from vtlearn.models.baselines import GRU
from vtlearn.models.catalogue import build_model

SMALL = [name for name in model_names() if "samples" in name]


def small(name: str, **changes: object) -> torch.nn.Module:
    torch.manual_seed(5)
    return create_model(name, **changes)


def inputs(model: torch.nn.Module, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    shape = (batch, 3, 32, 32) if isinstance(model, ViT) else (batch, 8, 3, 32, 32)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_the_head_of_the_features(name):
    model = small(name, num_classes=5).eval()
    clips = inputs(model, 2)
    features = model.forward_features(clips)
    assert features.shape == (2, model.num_features)
    assert model(clips).shape == (2, 5)
    torch.testing.assert_close(model.forward_head(features), model(clips), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_config_survives_json_and_rebuilds_the_model(name):
    config = model_config(name)
    again = type(config)(**json.loads(json.dumps(dataclasses.asdict(config))))
    assert again == config
    assert count_parameters(build_model(again)) == count_parameters(create_model(name))


@pytest.mark.parametrize("name", SMALL)
def test_a_new_head_keeps_the_features(name):
    model = small(name).eval()
    clips = inputs(model, 1)
    before = model.forward_features(clips)
    model.reset_classifier(13)
    assert model.num_classes == model.config.num_classes == 13
    assert model(clips).shape == (1, 13)
    torch.testing.assert_close(model.forward_features(clips), before)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "vit_samples"])
def test_starts_from_an_image_model(name):
    image = small("vit_samples")
    torch.manual_seed(11)
    model = create_model(name).eval()
    before = copy.deepcopy(model.state_dict())
    init_from_image(model, image.state_dict())
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert any("blocks.3.mlp.fc1.weight" in key for key in changed)
    assert model(inputs(model)).isfinite().all()


@pytest.mark.parametrize("depth", [1, 2])
def test_the_recurrent_network_is_torchs(monkeypatch, depth):
    torch.manual_seed(0)
    ours = GRU(7, 5, depth)
    torch.manual_seed(0)
    theirs = torch.nn.GRU(7, 5, depth, batch_first=True)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(
        torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    x = torch.randn(2, 11, 7)
    expected, _ = theirs(x)
    torch.testing.assert_close(ours(x), expected)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(ours(x), expected)
