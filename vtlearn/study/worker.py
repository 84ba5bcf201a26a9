"""One job of the comparison in a process of its own: a run like any other, and then its test."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import load_file

from vtlearn.errors import VtlearnError
from vtlearn.files import write_json
from vtlearn.models import build_model, init_from_image
from vtlearn.models.catalogue import override
from vtlearn.models.cost import model_cost
from vtlearn.models.small_start import start_positions, start_times, start_weights
from vtlearn.runs.clips import StoredClips, StoredFrames
from vtlearn.runs.folder import METRICS, has_begun, read_metrics
from vtlearn.runs.heads import SeveralHeads
from vtlearn.runs.training import Subject, TrainingRun, Watch, configured, train
from vtlearn.runtime import seed_everything
from vtlearn.study.controls import CONTROLS
from vtlearn.study.jobs import read_job, tell
from vtlearn.study.pairs import pair_accuracy
from vtlearn.study.protocol import Protocol
from vtlearn.study.start import contestant_kind
from vtlearn.train.checkpoint import save_checkpoint
from vtlearn.train.distributed import rank
from vtlearn.train.evaluate import Evaluation

RUN = "run"
"""The folder of a job's training run, beside its result."""

_WARM_STEPS = 10  # left out of time and throughput: caches and allocators fill


@dataclass(frozen=True)
class Contestant(Subject):
    """A model of the comparison: one trunk from the common start, a head for each labelling, stored clips."""

    job: Mapping[str, Any]
    several: ClassVar[bool] = True

    def clips(self) -> StoredClips:
        """The clips that were decoded once for all contestants."""
        return StoredClips(*self._stored())

    def _stored(self) -> tuple[Any, ...]:
        settings = self.settings
        return self.job["clips"], self.job["clips_digest"], settings.settled_recipe, settings.seed

    def model(self, num_classes: Mapping[str, int]) -> SeveralHeads:
        """The model with its heads, on the image model's weights."""
        seed_everything(self.settings.seed)
        weights = load_file(self.job["image_weights"])
        if "config" in self.job:  # at the size of a given image ViT, which brings its own start
            changes = {name: value for name, value in self.settings.changes.items() if name == "drop_path"}
            changes |= {"checkpointing": True} if self.settings.recompute else {}
            trunk = build_model(override(contestant_kind(self.job["name"])(**self.job["config"]), **changes))
            init_from_image(trunk, weights)
            return SeveralHeads(trunk, num_classes)
        trunk = build_model(configured(self.settings, None))
        start_weights(trunk)
        init_from_image(trunk, weights)
        start_times(trunk)
        return SeveralHeads(trunk, num_classes)

    def start(self) -> str:
        """Where its weights begin, in words."""
        return str(self.job.get("origin", "the image model trained on single frames"))


class ImageModel(Contestant):
    """The image model that all contestants start from, trained on single frames under the first labelling."""

    def clips(self) -> StoredFrames:
        """Single frames of the training clips."""
        files, *rest = self._stored()
        return StoredFrames({"train": files["train"]}, *rest)

    def model(self, num_classes: Mapping[str, int]) -> SeveralHeads:
        """A small ViT on the start that suits small models."""
        seed_everything(self.settings.seed)
        trunk = build_model(configured(self.settings, None))
        start_weights(trunk)
        start_positions(trunk, scale=0.5)
        return SeveralHeads(trunk, num_classes)

    def start(self) -> str:
        """Where its weights begin, in words."""
        return "fresh weights"


def run(job: Mapping[str, Any], watch: Watch = lambda row: None) -> None:
    """Train to the end, or until asked to stop; the result is written last: it says that the job is done."""
    folder = Path(job["folder"])
    protocol = Protocol.from_dict(job["protocol"])
    is_image = job["kind"] == "image"
    settings = protocol.image_settings() if is_image else protocol.settings(job["name"])
    settings = settings.with_changes(device=job["device"], **job.get("pixels", {}))
    recent: list[Mapping[str, Any]] = []

    def told(row: Mapping[str, Any]) -> bool | None:
        recent.append(row)
        if rank() == 0 and (row["step"] % 10 == 0 or row["step"] == settings.steps):
            every = {"loss": statistics.fmean(each["loss"] for each in recent[-10:])}
            every |= {"clips": sum(each["clips"] for each in recent)}
            every |= {"seconds": sum(each["seconds"] for each in recent)}
            tell(step=row["step"], steps=settings.steps, **every)
        return watch(row)

    def finish(trained: TrainingRun, summary: dict[str, Any]) -> None:
        result = _result(job, trained, summary, read_metrics(folder / RUN / METRICS))
        if not is_image:
            result |= {"multiply_adds": model_cost(trained.config).multiply_adds, **_measured(job, trained)}
        if rank() != 0:
            return
        model: Any = trained.shown_model
        save_checkpoint(
            folder / "model",
            step=trained.steps,
            model=model.trunk if is_image else model,
            model_name="vit_samples" if is_image else job["name"],
            config=trained.config,
            settings=trained.deciding,
            card=trained.card().as_dict(),
            random_state=False,
        )
        write_json(folder / "result.json", result)

    subject = (ImageModel if is_image else Contestant)(settings, job)
    resume = has_begun(folder / RUN)
    train(subject, folder / RUN, resume=resume, quiet=True, watch=told, finish=finish)


def _result(
    job: Mapping[str, Any], run: TrainingRun, summary: Mapping[str, Any], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """What every job says of itself, from its run's own numbers."""
    warm = rows[min(_WARM_STEPS, run.steps // 2) :]
    losses = [(row["step"], math.nan if row["loss"] is None else row["loss"]) for row in rows]
    tens = [losses[first : first + 10] for first in range(0, len(losses), 10)]
    recipe = run.settings.settled_recipe
    return {
        "model": job["name"],
        "steps": run.steps,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "num_frames": recipe.num_frames,
        "parameters": summary["parameters"],
        "train_seconds": sum(row["seconds"] for row in warm),
        "clips_per_second": recipe.batch_size / statistics.median(row["seconds"] for row in warm),
        "peak_memory_bytes": summary["peak_memory_bytes"],
        "loss_curve": [(ten[-1][0], statistics.fmean(loss for _, loss in ten)) for ten in tens],
    }


def _measured(job: Mapping[str, Any], run: TrainingRun) -> dict[str, Any]:
    """What only a contestant has: its validation curve and its one look at the test clips."""
    result: dict[str, Any] = {"val_curve": [], "val": {}, "test": {}}
    rows = read_metrics(Path(job["folder"]) / RUN / METRICS)
    keys = {labelling: f"val_top1_{labelling}" for labelling in run.class_names}
    if len(keys) == 1:
        keys = dict.fromkeys(keys, "val_top1")
    for row in rows:
        if row.get("val_top1") is not None:
            result["val_curve"].append((row["step"], {name: row[key] for name, key in keys.items()}))
    if result["val_curve"]:
        clips = run.clips.count("val")
        result["val"] = {
            name: {"top1": top1, "clips": clips} for name, top1 in result["val_curve"][-1][1].items()
        }
    if job["read_test"]:
        result["test"] = {
            name: _tested(each, run.class_names[name]) for name, each in run.measure("test").items()
        }
        for control, change in CONTROLS.items():
            for name, each in run.measure("test", change).items():
                result["test"][name]["controls"][control] = each.top1
    return result


def _tested(found: Evaluation, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "num_classes": len(names),
        "class_names": list(names),
        "top1": found.top1,
        "top5": found.top5,
        "interval": list(found.interval),
        "mean_class_accuracy": found.mean_class_accuracy,
        "clips": found.clips,
        "confusion": found.confusion.tolist(),
        **pair_accuracy(found.confusion, names),
        "controls": {},
    }


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line."""
    try:
        run(read_job(arguments))
    except VtlearnError as error:
        print(f"vtlearn: {error}", flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
