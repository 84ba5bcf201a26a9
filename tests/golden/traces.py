"""How golden traces are taken: what models see, what training loses, through the doors that users have."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from vtlearn.data.sources import list_clips
from vtlearn.runs.evaluation import evaluate_trained
from vtlearn.runs.folder import describe_machine
from vtlearn.runs.settings import TrainingSettings
from vtlearn.runs.trained import load_trained
from vtlearn.runs.training import train
from vtlearn.runtime import deterministic
from vtlearn.study.protocol import Protocol
from vtlearn.study.shipped import shipped_folder

HERE = Path(__file__).parent
RECORD = HERE / "traces.json"
HELP = HERE / "help"
OLD = HERE / "first_edition"
STEPS = 20
SHIPPED = ("vtn", "timesformer", "vivit", "frame_average")
LABELLINGS = ("appearance", "motion")
SAMPLES = {"samples_seed": 0}


def record() -> dict[str, Any]:
    """What was recorded."""
    return json.loads(RECORD.read_text())


def machine() -> dict[str, str]:
    """What the last bits of a floating-point number depend on."""
    facts = describe_machine()
    capability = torch.backends.cpu.get_cpu_capability()
    return {"cpu": facts["cpu"], "torch": facts["torch"], "capability": capability}


def digest(*tensors: torch.Tensor) -> str:
    """What identifies tensors: dtype, shape and bytes."""
    sums = hashlib.sha256()
    for tensor in tensors:
        sums.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        sums.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sums.hexdigest()[:16]


class Enough(Exception):
    """As many steps as are traced."""


@contextmanager
def watched(monkeypatch: Any, *, stop: bool) -> Any:
    """Every training loop inside the block writes down its steps: ``{"inputs": [...], "losses": [...]}``."""
    from vtlearn.train import loop

    found: dict[str, list[Any]] = {"inputs": [], "losses": []}
    original = loop.train_steps

    def steps(model: Any, *args: Any, **kwargs: Any) -> Any:
        hook = model.register_forward_pre_hook(
            lambda module, inputs: found["inputs"].append(digest(*inputs)) if module.training else None
        )
        try:
            for step in original(model, *args, **kwargs):
                found["losses"].append(step.loss.hex())
                yield step
                if stop and len(found["losses"]) == STEPS:
                    raise Enough
        finally:
            hook.remove()

    with monkeypatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("vtlearn") and getattr(module, "train_steps", None) is original:
                patch.setattr(module, "train_steps", steps)
        with deterministic(threads=1):
            yield found


def compared(name: str, folder: Path, clips: dict[str, str], monkeypatch: Any) -> dict[str, Any]:
    """The first steps of one job of the default comparison; "image_start" is the image model's."""
    from vtlearn.study.worker import run

    protocol = Protocol.default().settled()
    job: dict[str, Any] = {
        "folder": str(folder / name),
        "name": name,
        "protocol": protocol.as_dict(),
        "device": "cpu",
        "clips": clips,
        "clips_digest": "golden",
    }
    if name == "image_start":
        job |= {"kind": "image"}
    else:
        job |= {
            "kind": "video",
            "image_weights": str(shipped_folder("image_start") / "weights.safetensors"),
            "read_test": False,
        }
    with watched(monkeypatch, stop=True) as found, suppress(Enough):
        run(job)
    return found


def trained(name: str, folder: Path, monkeypatch: Any) -> dict[str, Any]:
    """A short run of ``vtlearn train`` on the samples, and what it says of the validation clips."""
    settings = TrainingSettings.from_flat(
        {"model": f"{name}_samples", "data": SAMPLES, "steps": STEPS, "batch_size": 8, "crop": 32}
        | {"short_side": [32, 36], "device": "cpu", "accumulate": 2, "ema": 0.9, "seed": 3}
    )
    with watched(monkeypatch, stop=False) as found:
        summary = train(settings, folder / name, quiet=True)
    return found | {"val_top1": summary["val_top1"], "val_loss": summary["val_loss"].hex()}


def evaluated(name: str) -> dict[str, Any]:
    """A shipped model on the bundled validation clips, read from their files."""
    rows = {}
    for labelling in LABELLINGS:
        model = load_trained(shipped_folder(name), labelling=labelling)
        listed = list_clips(SAMPLES, "val", labelling)
        with deterministic(threads=1):
            found = evaluate_trained(model, listed, split="val", device="cpu", quiet=True).found
        rows[labelling] = {
            "confusion": found.confusion.tolist(),
            "top5_correct": found.top5_correct,
            "loss": found.loss.hex(),
        }
    return rows


def helped() -> dict[str, str]:
    """What ``--help`` says of every command, as a terminal of 100 columns without colours shows it."""
    import typer
    from typer.testing import CliRunner

    from vtlearn.cli import app

    runner = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"})
    found = {}

    def ask(words: tuple[str, ...], command: Any) -> None:
        done = runner.invoke(app, [*words, "--help"], prog_name="vtlearn")
        found[" ".join(["vtlearn", *words])] = done.output
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            ask((*words, name), inner)

    ask((), typer.main.get_command(app))
    return found


def answers(folder: Path) -> list[float]:
    """What the model of a checkpoint says of a clip that is a formula."""
    model = load_trained(folder)
    size = (1, model.num_frames, 3, model.crop, model.crop)
    clip = torch.linspace(-3, 3, torch.Size(size).numel()).sin().reshape(size)
    index = torch.arange(model.num_frames)[None]
    with torch.inference_mode():
        logits: list[float] = model.model(clip, index)[0].tolist()
    return logits
