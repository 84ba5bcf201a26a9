"""Every preset compiles as one graph, and computes the same; the flagships also through inductor."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys

import pytest

from vtlearn.models import model_names, tiny_twin

FLAGSHIPS = ("vtn_vit_base", "timesformer_base", "vivit_base_factorised_encoder")

# In a process of its own: the shape checks of the tests' import hook cannot be traced, not even switched off.
SCRIPT = """
import sys, torch
from vtlearn.models import build_model, tiny_twin
from vtlearn.models.cost import input_shape

backend, train, *names = sys.argv[1:]
for name in names:
    torch.manual_seed(0)
    torch._dynamo.reset()
    config = tiny_twin(name)
    small = {"depth": 1} if train == "no" and hasattr(config, "depth") else {}
    if train == "no" and hasattr(getattr(config, "backbone", None), "depth"):
        small["backbone__depth"] = 1
    model = build_model(tiny_twin(name, **small)).eval()
    with torch.no_grad():  # heads that start at zero would let no gradient through
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    clips = torch.randn(2, *input_shape(model.config)[1:])
    if "resnet" in name and clips.shape[-1] > 64:
        clips = clips[..., :32, :40].contiguous()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    if train == "no":
        with torch.no_grad():
            torch.testing.assert_close(compiled(clips), model(clips), atol=1e-5, rtol=1e-4)
        print(name, "compiled", flush=True)
        continue
    gradients = []
    for run in (compiled, model):
        model.zero_grad()
        logits = run(clips)
        logits.square().sum().backward()
        found = {key: p.grad for key, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        gradients.append((logits.detach(), {key: gradient.clone() for key, gradient in found.items()}))
    torch.testing.assert_close(gradients[0][0], gradients[1][0], atol=1e-5, rtol=1e-5)
    assert len(gradients[0][1]) > 20, name
    assert gradients[0][1].keys() == gradients[1][1].keys(), name
    torch.testing.assert_close(gradients[0][1], gradients[1][1], atol=1e-5, rtol=1e-3)
    print(name, "compiled", flush=True)
"""


def compile_in_a_process(backend: str, train: str, names: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend, train, *names], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.split("\n")[:-1] == [f"{name} compiled" for name in names]


def different(names: list[str]) -> list[str]:
    """One name for each kind of model: presets that differ in numbers only run the same code."""
    return list({kind(dataclasses.asdict(tiny_twin(name)), name): name for name in reversed(names)}.values())


def kind(config: dict, name: str) -> str:
    """The parts of a configuration that choose code: words, choices left open, and which network it is."""
    words = {key: value for key, value in config.items() if isinstance(value, (str, bool, type(None)))}
    inner = kind(config["backbone"], "") if isinstance(config.get("backbone"), dict) else ""
    return (
        f"{type(tiny_twin(name)).__name__ if name else ''} {sorted(words.items())} {sorted(config)} {inner}"
    )


@pytest.mark.slow
def test_every_preset_is_one_graph():
    assert len(different(model_names())) > 20
    compile_in_a_process("aot_eager", "no", different(model_names()))


@pytest.mark.slow
def test_the_flagships_train_as_one_graph():
    compile_in_a_process("aot_eager", "yes", ["vit_base", *FLAGSHIPS])


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler"
)
def test_the_flagships_run_through_inductor():
    compile_in_a_process("inductor", "no", list(FLAGSHIPS))
