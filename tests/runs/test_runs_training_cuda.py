"""Training on CUDA: as on the CPU, under autocast, compiled, without graph breaks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.conftest import TINY
from vtlearn.runs.folder import read_metrics
from vtlearn.runs.settings import TrainingSettings
from vtlearn.runs.training import train

ROOT = Path(__file__).parents[2]

SETTINGS = {
    "model": "timesformer_samples",
    "options": {"depth": 2, "embed_dim": 32, "num_heads": 2},
    "crop": 32,
    "num_frames": 4,
    "batch_size": 4,
    "steps": 12,
}

BREAKS = """
import torch
from vtlearn.models import build_model, tiny_twin
from vtlearn.models.cost import input_shape

names = ["vit_base", "vtn_vit_base", "timesformer_base", "timesformer_base_joint", "vivit_base_joint"]
for name in [*names, "vivit_base_factorised_encoder", "frame_gru_samples"]:
    torch._dynamo.reset()
    model = build_model(tiny_twin(name)).cuda().train()
    found = torch._dynamo.explain(model)(torch.randn(2, *input_shape(model.config)[1:], device="cuda"))
    assert found.graph_break_count == 0, (name, found.break_reasons)
    print(name)
"""


def losses(tmp_path, few_clips, name, **more):
    settings = TrainingSettings.from_flat({**SETTINGS, "data": {"folder": str(few_clips)}, **more})
    train(settings, tmp_path / name, quiet=True)
    return [row["loss"] for row in read_metrics(tmp_path / name / "metrics.jsonl")]


@pytest.mark.gpu
def test_cuda_and_cpu_give_the_same_losses(tmp_path, few_clips):
    on_cpu = losses(tmp_path, few_clips, "cpu", device="cpu")
    on_cuda = losses(tmp_path, few_clips, "cuda", device="cuda")
    assert on_cuda == pytest.approx(on_cpu, abs=2e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_autocast_trains_on_cuda(tmp_path, few_clips, precision):
    more = {"device": "cuda", "precision": precision, "steps": 60, "learning_rate": 3e-3}
    curve = losses(tmp_path, few_clips, precision, **more)
    assert sum(curve[-8:]) < sum(curve[:8])


@pytest.mark.gpu
def test_a_compiled_model_trains_as_the_plain_one_does(tmp_path, few_clips):
    # Through the command, in a process of its own: the tests' shape checks cannot be traced.
    for name, more in (("plain", []), ("compiled", ["--compile"])):
        command = [sys.executable, "-m", "vtlearn", "train", *TINY, "--data", str(few_clips), "--steps", "8"]
        command += ["--device", "cuda", "--root", str(tmp_path), "--name", name, "--json", *more]
        subprocess.run(command, cwd=ROOT, check=True, timeout=600, capture_output=True)
    plain, compiled = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("plain", "compiled"))
    assert [row["loss"] for row in compiled] == pytest.approx([row["loss"] for row in plain], abs=2e-3)


@pytest.mark.gpu
def test_our_models_have_no_graph_breaks():
    done = subprocess.run(
        [sys.executable, "-c", BREAKS], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.split()) == 7
