"""Parity with the published implementations: outputs, inner states and gradients on their own numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from vtlearn.models.pretrained import from_published

HERE = Path(__file__).parents[1] / "reference"
SHARED = Path(__file__).parents[3] / "shared" / "reference"
VTN_CONFIG = {
    "MODEL": {"NUM_CLASSES": 7},
    "VTN": {
        "HIDDEN_DIM": 48,
        "MLP_DIM": 48,
        "INTERMEDIATE_SIZE": 96,
        "NUM_HIDDEN_LAYERS": 3,
        "NUM_ATTENTION_HEADS": 4,
    },
    "backbone": {"patch_size": 8, "num_heads": 4},
}


class Reference:
    """One file of numbers: inputs, weights, outputs, the probe and the gradient it gives."""

    def __init__(self, name: str) -> None:
        path = next(
            (p for p in (HERE / f"{name}.safetensors", SHARED / f"{name}.safetensors") if p.exists()), None
        )
        if path is None:
            pytest.skip(f"the reference numbers {name} are not here ({SHARED} is absent)")
        with safe_open(path, "pt") as file:
            self.meta = json.loads(file.metadata()["meta"])
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.weights = {key[2:]: value for key, value in self.tensors.items() if key.startswith("w.")}

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.tensors[key]


def vtn_config(meta: dict) -> dict:
    sizes = VTN_CONFIG["VTN"] | {
        "ATTENTION_WINDOW": meta["attention_window"],
        "MAX_POSITION_EMBEDDINGS": meta["max_position_embeddings"],
    }
    return VTN_CONFIG | {"VTN": sizes}


# name, source, axes that make its input (B, T, C, H, W)
CASES = {
    "timesformer_official_divided_space_time": ("timesformer", (0, 2, 1, 3, 4)),
    "timesformer_official_joint_space_time": ("timesformer", (0, 2, 1, 3, 4)),
    "timesformer_hfv446_divided_space_time": ("timesformer-hf", (0, 1, 2, 3, 4)),
    "vivit_scenic_model1_spacetime_token": ("vivit-scenic", (0, 1, 4, 2, 3)),
    "vivit_scenic_model2_factorised_encoder_token": ("vivit-scenic", (0, 1, 4, 2, 3)),
    "vivit_scenic_model3_time_space": ("vivit-scenic", (0, 1, 4, 2, 3)),
    "vivit_scenic_model4_factorised_dot_product": ("vivit-scenic", (0, 1, 4, 2, 3)),
    "vivit_hfv446": ("vivit-hf", (0, 1, 2, 3, 4)),
    "vtn_official_hf446_w18_F16": ("vtn", (0, 2, 1, 3, 4)),
    "vtn_official_hf446_w6_F5": ("vtn", (0, 2, 1, 3, 4)),
}


def load(name: str) -> tuple[Reference, torch.nn.Module, str]:
    reference = Reference(name)
    source, _ = CASES[name]
    config = vtn_config(reference.meta) if source == "vtn" else reference.meta["config"]
    model = from_published(reference.weights, source, config)
    field = "pixel_values" if source.endswith("-hf") else "video"
    return reference, model, field


def assert_gradient_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_logits_and_input_gradient(name):
    reference, model, field = load(name)
    video = reference[f"in.{field}"].clone().requires_grad_()
    index = reference.tensors.get("in.frame_index")
    logits = model(video.permute(CASES[name][1]), index)
    torch.testing.assert_close(logits, reference["out.logits"], atol=1e-5, rtol=1e-5)
    (logits * reference["probe"]).sum().backward()
    assert_gradient_close(video.grad, reference[f"grad.in.{field}"])


@pytest.mark.parametrize("name", [name for name in CASES if "timesformer_official" in name])
def test_timesformer_blocks(name):
    reference, model, field = load(name)
    states = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: states.append(output))
    clips = reference[f"in.{field}"].permute(CASES[name][1])
    features = model.forward_features(clips)
    torch.testing.assert_close(features, reference["out.features"], atol=1e-5, rtol=1e-5)
    for number, state in enumerate(states):
        patches = state[:, 1:].unflatten(1, (4, 16)).transpose(1, 2).flatten(1, 2)  # (t s) to (s t)
        published_order = torch.cat([state[:, :1], patches], dim=1)
        torch.testing.assert_close(
            published_order, reference[f"out.hook.block{number}"], atol=1e-5, rtol=1e-5
        )
        assert not torch.allclose(state, reference[f"out.hook.block{number}"], atol=1e-2)


@pytest.mark.parametrize("case", ["interp_T6", "interp_S48"])
def test_timesformer_resizes_its_tables_as_published(case):
    _, model, _ = load("timesformer_official_divided_space_time")
    reference = Reference(f"timesformer_official_divided_space_time_{case}")
    logits = model(reference["in.video"].transpose(1, 2))
    torch.testing.assert_close(logits, reference["out.logits"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("vtn")])
def test_vtn_backbone_and_embeddings(name):
    reference, model, _ = load(name)
    clips, index = reference["in.video"].transpose(1, 2), reference["in.frame_index"]
    features = model.frame_features(clips)
    torch.testing.assert_close(features.flatten(0, 1), reference["out.hook.backbone"], atol=1e-5, rtol=1e-5)
    embedded = model.embed_features(features, index)
    published = reference["out.hook.temporal_encoder_embeddings"][:, : 1 + clips.shape[1]]
    torch.testing.assert_close(embedded, published, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["longformer_hfv446_cls", "longformer_hfv446_cls_pad"])
def test_longformer(name):
    reference = Reference(name)
    model = from_published(reference.weights, "longformer-hf", reference.meta["config"])
    inputs = {key[3:]: value for key, value in reference.tensors.items() if key.startswith("in.")}
    inputs["inputs_embeds"] = inputs["inputs_embeds"].clone().requires_grad_()
    out = model(**inputs)
    torch.testing.assert_close(out, reference["out.last_hidden_state"], atol=1e-5, rtol=1e-5)
    (out * reference["probe"]).sum().backward()
    assert_gradient_close(inputs["inputs_embeds"].grad, reference["grad.in.inputs_embeds"])
