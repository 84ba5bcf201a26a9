"""The laws that the tiny twin of every preset obeys."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from vtlearn.models import build_model, init_from_image, model_names, tiny_twin
from vtlearn.models.catalogue import override
from vtlearn.models.cost import input_shape
from vtlearn.models.vit import ViTConfig

NAMES = list({tiny_twin(name): name for name in reversed(model_names())}.values())  # twins that differ


def twin(name: str, **changes: object) -> torch.nn.Module:
    torch.manual_seed(3)
    model = build_model(tiny_twin(name, **changes))
    # zero-initialised parts would hide what flows through them
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def inputs(model: torch.nn.Module, batch: int = 2) -> torch.Tensor:
    shape = input_shape(model.config)
    if "resnet" in type(getattr(model, "backbone", model)).__name__.lower():
        shape = (*shape[:-2], 32, 40)
    generator = torch.Generator().manual_seed(6)
    return torch.randn((batch, *shape[1:]), generator=generator)


def with_dropout(name: str) -> dict[str, float]:
    config = tiny_twin(name)
    fields = {field.name for field in dataclasses.fields(config)}
    return {"dropout": 0.4} if "dropout" in fields else {"backbone__dropout": 0.4}


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_rows_are_independent(name):
    model = twin(name).eval()
    clips = inputs(model)
    with torch.no_grad():
        logits = model(clips)
        assert logits.shape == (2, 7)
        assert torch.equal(model(clips), logits)
        torch.testing.assert_close(model(clips[1:]), logits[1:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits[0], logits[1], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("resnet")])
def test_training_with_dropout_is_not_deterministic(name):
    model = twin(name, **with_dropout(name)).train()
    clips = inputs(model)
    assert not torch.equal(model(clips), model(clips))


def cannot_reach_the_class_token(name: str, key: str) -> bool:
    """Weights of the last layer that only serve frames or patches, which nothing reads after it."""
    if name.startswith("vtn"):  # the class token is global: it reads through projections of its own
        last = "temporal_encoder.layers.1.attention"
        return key.startswith((f"{last}.query.", f"{last}.key.", f"{last}.value."))
    # the class token has met the frames before (or while) the patches meet the other frames
    return name.endswith(("space_first", "parallel")) and key.startswith("blocks.1.temporal_")


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_finite_gradient(name):
    model = twin(name)
    model.train() if "resnet" in name else model.eval()
    model(inputs(model)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if not cannot_reach_the_class_token(name, key):
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_state_round_trips_and_copies_are_independent(name):
    model = twin(name).eval()
    clips = inputs(model, 1)
    before = model(clips).detach()
    clone = copy.deepcopy(model)
    fresh = build_model(model.config).eval()
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(clips), before)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.zero_()
    assert torch.equal(model(clips), before)


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_bfloat16(name):
    model = twin(name).eval().to(torch.bfloat16)
    logits = model(inputs(model, 1).to(torch.bfloat16))
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


CHECKPOINTED = [name for name in NAMES if name.startswith(("vit_base", "timesformer", "vivit_base"))]


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpointing_changes_no_result(name):
    plain, saving = twin(name), twin(name, checkpointing=True)
    clips = inputs(plain)
    for model in (plain, saving):
        torch.manual_seed(9)
        model.train()(clips).square().sum().backward()
    for (key, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=key)


STARTABLE = [name for name in NAMES if "resnet" not in name]


@pytest.mark.parametrize("name", STARTABLE)
def test_starts_from_an_image_model(name):
    model = build_model(tiny_twin(name))
    inner = getattr(model.config, "backbone", model.config)
    image_config = ViTConfig(
        image_size=(8, 20),
        patch_size=4,
        embed_dim=24,
        depth=2,
        num_heads=2,
        mlp_ratio=1.5,
        distilled=getattr(inner, "distilled", False),
    )
    image = build_model(image_config)
    init_from_image(model, image.state_dict())
    assert model(inputs(model)).isfinite().all()


def test_override_reaches_the_backbone():
    config = override(tiny_twin("vtn_samples"), backbone__depth=1, num_classes=3)
    assert (config.backbone.depth, config.depth, config.num_classes) == (1, 2, 3)
