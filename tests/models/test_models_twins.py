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
    if "vtn" in name:  # the class token is global: it reads through projections of its own
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


@pytest.mark.parametrize("name", NAMES)
def test_trains_and_evaluates_under_autocast(name):
    model = twin(name).train()
    clips = inputs(model)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(clips)
        loss = logits.float().square().mean()
    assert logits.dtype == torch.bfloat16
    assert loss.isfinite()
    # torch's CPU library gets weight gradients of bfloat16 convolutions over two frames wrong, at random
    if not name.startswith(("i3d", "slowfast")):
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    exact, rough = twin(name).eval(), twin(name).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = rough(clips).float()
    with torch.no_grad():
        expected = exact(clips)
    assert (found - expected).abs().max() < 0.05 * (1.0 + expected.abs().max())


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_computes_the_same_and_trains_under_autocast(name):
    model = twin(name).eval()
    clips = inputs(model)
    with torch.no_grad():
        expected = model(clips)
        found = model.cuda()(clips.cuda())
    torch.testing.assert_close(found.cpu(), expected, atol=1e-3, rtol=1e-3)
    for dtype in (torch.bfloat16, torch.float16):
        model.zero_grad()
        with torch.autocast("cuda", dtype):
            loss = model.train()(clips.cuda()).float().square().mean()
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


CHECKPOINTED = [name for name in NAMES if not name.startswith(("resnet", "i3d", "slowfast"))]


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpointing_changes_no_result(name):
    """Outputs and gradients, with dropout and dropped paths drawn again going backwards."""
    config = tiny_twin(name)
    fields = {field.name for field in dataclasses.fields(config)}
    rates = {"dropout": 0.3, "attention_dropout": 0.2, "drop_path": 0.4}
    changes = {key: rate for key, rate in rates.items() if key in fields}
    if isinstance(getattr(config, "backbone", None), ViTConfig):
        changes |= {f"backbone__{key}": rate for key, rate in rates.items()}
    plain, saving = twin(name, **changes), twin(name, **changes, checkpointing=True)
    configs = (saving.config, getattr(saving.config, "backbone", None))
    assert all(c.checkpointing for c in configs if hasattr(c, "checkpointing"))
    clips, logits, calls = inputs(plain), [], []
    for model in (plain, saving):
        calls.append(count_block_calls(model))
        torch.manual_seed(9)
        logits.append(model.train()(clips))
        logits[-1].square().sum().backward()
    torch.testing.assert_close(logits[0], logits[1])
    # each block runs again going backwards, up to the last thing that the gradient needs
    assert calls[1][0] >= 1.5 * calls[0][0] > 0
    for (key, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=key)


def count_block_calls(model: torch.nn.Module) -> list[int]:
    """Calls of the norms inside blocks, of which every kind of block has some."""
    calls = [0]

    def count(*_: object) -> None:
        calls[0] += 1

    for key, part in model.named_modules():
        if isinstance(part, torch.nn.LayerNorm) and (".blocks." in f".{key}" or ".layers." in f".{key}"):
            part.register_forward_hook(count)
    return calls


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
