"""The checkpoints that come with the repository, kept from the recorded comparison's first run.

``python -m benchmarks.shipped`` takes the trained models of ``results/recorded-seed0`` (see
``python -m benchmarks.comparison``), trains two of them anew up to a point on the way, and writes all of them
to ``data_samples/checkpoints/``. On one machine the steps on the way are the recorded run's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.comparison import ROOT
from vtlearn.data.memory import ClipMemory
from vtlearn.errors import Stopped
from vtlearn.study.shipped import SHIPPED, model_of
from vtlearn.study.worker import RUN, run
from vtlearn.train.checkpoint import Checkpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from vtlearn.train.optim import adamw

CHECKPOINTS = ROOT / "data_samples" / "checkpoints"
ON_THE_WAY = {"timesformer_begun": ("timesformer", 550), "vivit_begun": ("vivit", 400)}
"""Checkpoint kept on the way: whose, and after how many steps. Motion is being learned just then."""

LARGEST = 10_000_000  # bytes, all of them together


def train_up_to(recorded: Path, name: str, step: int, work: Path) -> Checkpoint:
    """Train one contestant of a recorded run anew, as far as ``step``."""
    job = json.loads((recorded / name / "job.json").read_text())
    here: dict[str, Any] = {"folder": str(work / name), "device": "cpu"}
    here["image_weights"] = str(recorded / "image_start" / "model" / "weights.safetensors")
    here["clips"] = {split: str(recorded / "clips" / Path(path).name) for split, path in job["clips"].items()}
    with contextlib.suppress(Stopped):
        run(job | here, lambda row: row["step"] == step)
    saved = latest_checkpoint(work / name / RUN / "checkpoints")
    if saved is None or saved.step != step:
        raise SystemExit(f"{work / name}: no checkpoint of step {step}")
    return saved


def course_of(recorded: Path, name: str) -> dict[str, Any]:
    """The curves of a finished job."""
    result = json.loads((recorded / name / "result.json").read_text())
    rounded = [[step, round(loss, 5)] for step, loss in result["loss_curve"]]
    return {"course": {"loss_curve": rounded, "val_curve": result.get("val_curve", [])}}


def trained_positions(recorded: Path, name: str) -> int:
    """How many frame indices, from 0, occurred in a finished job's training clips."""
    job = json.loads((recorded / name / "job.json").read_text())
    clips = ClipMemory.load(recorded / "clips" / Path(job["clips"]["train"]).name)
    return int(clips.frame_index.max()) + 1


def keep(
    saved: Checkpoint, name: str, settings: dict[str, Any], metrics: dict[str, Any], *, go_on: bool
) -> None:
    """Write one checkpoint anew under its shipped name."""
    model = model_of(saved)
    optimizer = adamw(model, settings["learning_rate"]) if go_on else None
    saved.restore(model, optimizer=optimizer)
    shutil.rmtree(CHECKPOINTS / name, ignore_errors=True)
    save_checkpoint(
        CHECKPOINTS / name,
        step=saved.step,
        model=model,
        model_name=saved.model_name,
        config=saved.config,
        settings=settings,
        optimizer=optimizer,
        metrics=metrics,
        card=saved.card,
        random_state=False,
    )


def main() -> None:
    """Make what is shipped, and say how large it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recorded", type=Path, default=ROOT / "results" / "recorded-seed0")
    parser.add_argument("--work", type=Path, default=ROOT / "results" / "shipped")
    arguments = parser.parse_args()
    recorded: Path = arguments.recorded
    for name in SHIPPED:
        source, step = ON_THE_WAY.get(name, (name, None))
        whole = load_checkpoint(recorded / source / "model")
        saved = whole if step is None else train_up_to(recorded, source, step, arguments.work)
        settings = whole.settings
        if source != "image_start":
            settings = settings | {"trained_positions": trained_positions(recorded, source)}
        keep(saved, name, settings, course_of(recorded, source), go_on=step is not None)
    sizes = {name: sum(path.stat().st_size for path in (CHECKPOINTS / name).iterdir()) for name in SHIPPED}
    for name, size in sizes.items():
        print(f"{name:<18} {size / 1e6:5.2f} MB  {SHIPPED[name]}")
    total = sum(sizes.values())
    print(f"{'together':<18} {total / 1e6:5.2f} MB")
    if total > LARGEST:
        raise SystemExit(f"larger than {LARGEST / 1e6:.0f} MB together")


if __name__ == "__main__":
    main()
