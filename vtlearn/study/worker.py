"""One job of the comparison in a process of its own: train the image model, or train and test one
contestant."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from vtlearn.data.memory import PIXELS, ClipMemory, TrainingBatches, evaluation_batches
from vtlearn.data.transforms import Normalise
from vtlearn.errors import VtlearnError
from vtlearn.files import write_json
from vtlearn.models import build_model, count_parameters, create_model, init_from_image, model_config
from vtlearn.models.cost import model_cost
from vtlearn.models.small_start import start_positions, start_times, start_weights
from vtlearn.runs.heads import SeveralHeads
from vtlearn.runtime import choose_device, peak_memory_bytes, seed_everything
from vtlearn.study.controls import CONTROLS
from vtlearn.study.jobs import StopRequest, read_job, tell
from vtlearn.study.pairs import pair_accuracy
from vtlearn.study.protocol import Protocol, contestant
from vtlearn.train.checkpoint import latest_checkpoint, prune_checkpoints, save_checkpoint, step_folder
from vtlearn.train.evaluate import Evaluation, evaluate
from vtlearn.train.loop import train_steps
from vtlearn.train.losses import multi_head_loss
from vtlearn.train.optim import adamw, warmup_cosine

_WARM_STEPS = 10  # left out of time and throughput: caches and allocators fill
_EVALUATION_BATCH = 16
_STOPPED = 3  # exit code of a job that was asked to stop and has saved


def image_batches(batches: TrainingBatches, labelling: str) -> Any:
    """Batches of single frames ``(B, C, H, W)`` with one labelling, from batches of one-frame clips."""

    def take(start: int, steps: int) -> Any:
        for batch in batches(start, steps):
            yield {
                "clip": batch["clip"][:, 0],
                "labels": {labelling: batch["labels"][labelling]},
                "path": batch["path"],
            }

    return take


def build(job: dict[str, Any], protocol: Protocol, num_classes: dict[str, int]) -> SeveralHeads:
    """The job's model with its heads, on its start."""
    seed_everything(protocol.seed)
    if "config" in job:
        trunk = build_model(type(model_config(contestant(job["name"]).published))(**job["config"]))
        init_from_image(trunk, load_file(job["image_weights"]))
        return SeveralHeads(trunk, num_classes)
    size = {"image_size": protocol.image_size}
    if job["kind"] == "image":
        trunk = create_model("vit_samples", **size)
        start_weights(trunk)
        start_positions(trunk, scale=0.5)
    else:
        size |= {} if job["preset"].startswith("frame_") else {"num_frames": job["num_frames"]}
        trunk = create_model(job["preset"], **size)
        start_weights(trunk)
        init_from_image(trunk, load_file(job["image_weights"]))
        start_times(trunk)
    return SeveralHeads(trunk, num_classes)


def run(job: dict[str, Any], stop: StopRequest) -> int:
    """Train to the end, or until asked to stop; the result is written last, so that it says the job is
    done."""
    folder = Path(job["folder"])
    protocol = Protocol.from_dict(job["protocol"])
    device = choose_device(job["device"])
    train = ClipMemory.load(job["clips"]["train"])
    is_image = job["kind"] == "image"
    labellings = [job["image_labelling"]] if is_image else list(train.class_names)
    num_classes = {name: len(train.class_names[name]) for name in labellings}
    model = build(job, protocol, num_classes).to(device)
    baseline = peak_memory_bytes(device)

    steps = protocol.image_steps if is_image else protocol.steps
    batch_size = protocol.image_batch_size if is_image else protocol.batch_size
    batches: Any = TrainingBatches(
        train,
        batch_size=batch_size,
        num_frames=1 if is_image else job["num_frames"],
        shift=protocol.shift,
        seed=protocol.seed,
        pixels=_pixels(job),
    )
    if is_image:
        batches = image_batches(batches, labellings[0])
    learning_rate = protocol.image_learning_rate if is_image else job["learning_rate"]
    optimizer = adamw(model, learning_rate, weight_decay=protocol.weight_decay)
    settings = {"protocol": protocol.as_dict(), "learning_rate": learning_rate, "clips": job["clips_digest"]}

    history: dict[str, Any] = {"loss_curve": [], "val_curve": [], "train_seconds": 0.0}
    done = 0
    saved = latest_checkpoint(folder / "steps", model_name=job["name"], settings=settings)
    if saved is not None:
        saved.restore(model, optimizer=optimizer)
        done, history = saved.step, dict(saved.metrics["history"])

    def save(step: int) -> None:
        save_checkpoint(
            step_folder(folder / "steps", step),
            step=step,
            model=model,
            model_name=job["name"],
            config=model.trunk.config,
            settings=settings,
            optimizer=optimizer,
            metrics={"history": history},
            random_state=False,
        )
        prune_checkpoints(folder / "steps", keep_last=1)

    model.train()
    warm_until = done + min(_WARM_STEPS, (steps - done) // 2)
    recent, step_seconds = [], []
    for step in train_steps(
        model,
        batches(done, steps),
        optimizer=optimizer,
        loss_fn=multi_head_loss,
        schedule=partial(
            warmup_cosine, total_steps=steps, warmup_steps=min(protocol.warmup_steps, steps // 2)
        ),
        steps=steps,
        start=done,
        device=device,
        precision=protocol.precision,
        clip_norm=protocol.clip_norm,
        seed=protocol.seed,
    ):
        recent.append(step.loss)
        step_seconds.append(step.seconds)
        if step.step > warm_until:
            history["train_seconds"] += step.seconds
        if step.step % 10 == 0 or step.step == steps:
            history["loss_curve"].append((step.step, statistics.fmean(recent)))
            recent = []
            tell(
                step=step.step,
                steps=steps,
                loss=history["loss_curve"][-1][1],
                clips=step.clips * len(step_seconds),
                seconds=sum(step_seconds),
            )
        if not is_image and step.step % protocol.evaluate_every == 0 and step.step < steps:
            history["val_curve"].append((step.step, _accuracies(_measure(model, job, "val", protocol))))
            save(step.step)
        if stop.is_set and step.step < steps:
            save(step.step)
            return _STOPPED
    warm = step_seconds[warm_until - done :]
    result: dict[str, Any] = {
        "model": job["name"],
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "num_frames": 1 if is_image else job["num_frames"],
        "parameters": count_parameters(model),
        "train_seconds": history["train_seconds"],
        "clips_per_second": batch_size / statistics.median(warm) if warm else 0.0,
        "peak_memory_bytes": peak_memory_bytes(device),
        "baseline_memory_bytes": baseline,
        "loss_curve": history["loss_curve"],
    }
    if is_image:
        save_checkpoint(
            folder / "model",
            step=steps,
            model=model.trunk,
            model_name="vit_samples",
            config=model.trunk.config,
            random_state=False,
        )
    else:
        _finish(result, history, model, job, protocol, train)
        save_checkpoint(
            folder / "model",
            step=steps,
            model=model,
            model_name=job["name"],
            config=model.trunk.config,
            settings=settings
            | {
                "class_names": {k: list(v) for k, v in train.class_names.items()},
                "trained_positions": int(train.frame_index.max()) + 1,
            },
            random_state=False,
        )
    write_json(folder / "result.json", result)
    return 0


def _finish(
    result: dict[str, Any],
    history: dict[str, Any],
    model: SeveralHeads,
    job: dict[str, Any],
    protocol: Protocol,
    train: ClipMemory,
) -> None:
    """Add what only a contestant has: its cost, its validation curve and its one look at the test clips."""
    cost = model_cost(model.trunk.config)
    result["multiply_adds"] = cost.multiply_adds
    val = _measure(model, job, "val", protocol)
    if val:
        history["val_curve"].append((protocol.steps, _accuracies(val)))
    result["val_curve"] = history["val_curve"]
    result["val"] = {name: {"top1": each.top1, "clips": each.clips} for name, each in val.items()}
    result["test"] = {}
    if job["read_test"]:
        for name, each in _measure(model, job, "test", protocol).items():
            result["test"][name] = {
                "num_classes": len(train.class_names[name]),
                "class_names": list(train.class_names[name]),
                "top1": each.top1,
                "top5": each.top5,
                "interval": list(each.interval),
                "mean_class_accuracy": each.mean_class_accuracy,
                "clips": each.clips,
                "confusion": each.confusion.tolist(),
                **pair_accuracy(each.confusion, train.class_names[name]),
                "controls": {},
            }
        for control, change in CONTROLS.items():
            for name, each in _measure(model, job, "test", protocol, change).items():
                result["test"][name]["controls"][control] = each.top1


def _pixels(job: dict[str, Any]) -> Normalise:
    if "pixels" not in job:
        return PIXELS
    return Normalise(tuple(job["pixels"]["mean"]), tuple(job["pixels"]["std"]))


def _measure(
    model: nn.Module,
    job: dict[str, Any],
    split: str,
    protocol: Protocol,
    change: Callable[[Any], Any] = iter,
) -> dict[str, Evaluation]:
    if split not in job["clips"]:
        return {}
    clips = ClipMemory.load(job["clips"][split])
    batches = evaluation_batches(
        clips, batch_size=_EVALUATION_BATCH, num_frames=job["num_frames"], pixels=_pixels(job)
    )
    return evaluate(
        model,
        change(batches),
        device=next(model.parameters()).device,
        precision=protocol.precision,
    )


def _accuracies(evaluations: dict[str, Evaluation]) -> dict[str, float]:
    return {name: each.top1 for name, each in evaluations.items()}


def main(arguments: list[str]) -> int:
    """Run the job of the file named on the command line."""
    try:
        return run(read_job(arguments), StopRequest().listen())
    except VtlearnError as error:
        print(f"vtlearn: {error}", flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
