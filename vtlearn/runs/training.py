"""One training run from settings to checkpoints: what ``vtlearn train`` does, on one device or on many."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from tqdm.auto import tqdm

from vtlearn.data.batches import Batches, listed_batches
from vtlearn.data.kinetics import ClipSet, split_by_source
from vtlearn.data.manifest import read_usable_clips
from vtlearn.data.prefetch import prefetched
from vtlearn.data.sources import find_records, only_labelling
from vtlearn.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    Stopped,
    require,
)
from vtlearn.files import write_json
from vtlearn.models import ViTConfig, build_model, init_from_image
from vtlearn.models.catalogue import override, preset
from vtlearn.models.classifier import Classifier, VideoClassifier, count_parameters
from vtlearn.models.small_start import start_positions, start_times, start_weights
from vtlearn.runs.card import Card
from vtlearn.runs.clips import FileClips, RunClips, normaliser
from vtlearn.runs.folder import (
    ABOUT,
    METRICS,
    CsvLog,
    JsonLog,
    Log,
    TensorBoardLog,
    git_commit,
    has_begun,
    read_run,
    start_run,
    stop_on_signal,
)
from vtlearn.runs.settings import FREE, TrainingSettings
from vtlearn.runs.trained import BEST_BY, CHECKPOINTS, load_weights_from
from vtlearn.runtime import choose_device, peak_memory_bytes, seed_everything, synchronise
from vtlearn.train.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    prune_checkpoints,
    random_states_of_all,
    save_checkpoint,
    step_folder,
)
from vtlearn.train.distributed import (
    across_processes,
    anywhere,
    barrier,
    gather_objects,
    process_group,
    rank,
    unwrap,
    world_size,
)
from vtlearn.train.ema import WeightAverage
from vtlearn.train.evaluate import Evaluation, evaluate, evaluation_row
from vtlearn.train.loop import Step, gradient_scaler, train_steps
from vtlearn.train.mix import MixClips
from vtlearn.train.optim import describe_schedule

TRAINING_ROOT = Path("results/training")
"""Where runs live unless told otherwise."""

RESULT = "result.json"
"""A run's summary, written when it is done."""

_EVALUATED = ("val_top1", "val_top5", "val_mean_class_accuracy", "val_loss")
# ----------------------------------------------------------------------------------------- clips and model


def training_clips(settings: TrainingSettings) -> ClipSet:
    """The clips of a run with the one labelling that is learnt.

    A folder with a training and a validation split keeps them; one without is divided by source video.

    Raises:
        DataError: no clips, or fewer than two classes.
    """
    if "folder" in settings.data:
        folder = Path(str(settings.data["folder"]))
        if not folder.is_dir():
            raise ArgumentError("data", str(folder), "a folder of videos")
        clips = only_labelling(read_usable_clips(folder), settings.labelling)
        if "train" not in clips.split_names:
            clips = split_by_source(clips, labelling=next(iter(clips.class_names)), seed=settings.seed)
    else:
        clips = only_labelling(
            find_records(settings.data, settings.seed), settings.labelling, default="motion"
        )
    for labelling, names in clips.class_names.items():
        if len(names) < 2:
            raise DataError(f"{labelling} has {len(names)} class; two at least are needed")
    return clips


def configured(settings: TrainingSettings, num_classes: int | None) -> Any:
    """The model's configuration: the preset's, at the recipe's size, with the run's options; None leaves the
    preset's classes.

    Raises:
        ArgumentError: no such field, or values that cannot be.
    """
    chosen = settings.settled_recipe
    config = preset(settings.model).config()
    inner = getattr(config, "backbone", None)
    known = {each.name for each in dataclasses.fields(config)}
    if dataclasses.is_dataclass(inner):
        known |= {each.name for each in dataclasses.fields(inner)}
    wanted: dict[str, Any] = {
        "image_size": chosen.crop,
        "num_frames": chosen.num_frames,
        "drop_path": chosen.drop_path,
    }
    if num_classes is not None:
        wanted["num_classes"] = num_classes
    if settings.recompute:
        require(
            "checkpointing" in known,
            "recompute",
            True,
            f"left out: {settings.model} has no blocks that recompute",
        )
        wanted["checkpointing"] = True
    wanted = {name: value for name, value in wanted.items() if name in known}
    return override(config, **(wanted | dict(settings.options)))


def build(settings: TrainingSettings, num_classes: int) -> Classifier:
    """The run's model on its start, on the CPU.

    Without ``start``, presets made for the samples start as small models do
    (:mod:`vtlearn.models.small_start`), the others as published.
    """
    seed_everything(settings.seed)
    model = build_model(configured(settings, num_classes))
    if not isinstance(model, VideoClassifier):
        raise ArgumentError("model", settings.model, "a model of clips; this one takes single pictures")
    if settings.start is not None:
        start_from(model, settings.start)
    elif (
        settings.model.split("_")[0] in ("vtn", "timesformer", "vivit", "frame")
        and "_samples" in settings.model
    ):
        start_weights(model)
        start_positions(model)
        start_times(model)
    return model


def start_from(model: VideoClassifier, where: str) -> list[str]:
    """Put another model's weights into a fresh one; returns the names that stay fresh (the head's).

    Raises:
        CheckpointError: a model of another kind or size.
    """
    found = load_weights_from(where)
    if isinstance(getattr(found, "config", None), ViTConfig):
        init_from_image(model, found.state_dict())
        return []
    theirs, ours = found.state_dict(), model.state_dict()
    fits = {name for name in ours if name in theirs and theirs[name].shape == ours[name].shape}
    fresh = sorted(set(ours) - fits)
    wrong = [name for name in fresh if not name.startswith("head")]
    if type(found) is not type(model) or wrong:
        same = type(found) is type(model)
        what = f"{wrong[0]!r} does not fit" if same else f"it is a {type(found).__name__}"
        raise CheckpointError(f"{where} cannot be the start of this {type(model).__name__}: {what}")
    model.load_state_dict({name: theirs[name] if name in fits else ours[name] for name in ours})
    return fresh


# ------------------------------------------------------------------------------------------------- the run


@dataclass(frozen=True)
class Subject:
    """What a run trains, and on what: a model of the catalogue with one head, on clips read from their files.

    Whoever trains something else (a comparison's contestant, an image model) hands over another subject; the
    run is the same.

    Attributes:
        settings: of the run.
        several: whether the model has a head for each labelling.
    """

    settings: TrainingSettings
    several: ClassVar[bool] = False

    def clips(self) -> RunClips:
        """The clips, with their labellings."""
        return FileClips(training_clips(self.settings), self.settings.settled_recipe, self.settings.seed)

    def model(self, num_classes: Mapping[str, int]) -> nn.Module:
        """The model on its start, on the CPU."""
        (count,) = num_classes.values()
        return build(self.settings, count)

    def start(self) -> str:
        """Where its weights begin, in words."""
        return "fresh weights" if self.settings.start is None else f"the model {self.settings.start}"


@dataclass
class TrainingRun:
    """A run that is ready to go: its clips are found, its model is built, nothing is written yet.

    Args:
        subject: what to train, and on what.
        device: where.
    """

    subject: Subject
    device: torch.device

    def __post_init__(self) -> None:
        self.settings = self.subject.settings
        chosen = self.settings.settled_recipe
        self.clips = self.subject.clips()
        self.clips.check()
        self.class_names = {name: tuple(each) for name, each in self.clips.class_names.items()}
        self.deciding = self.settings.deciding() | self.clips.deciding()
        counts = {name: len(each) for name, each in self.class_names.items()}

        inner = self.subject.model(counts).to(self.device).train()
        self.config: Any = inner.config
        self.average = WeightAverage(inner, self.settings.ema) if self.settings.ema is not None else None
        model: nn.Module = inner
        if self.settings.compile:
            if self.device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
                raise ArgumentError("compile", True, "left out: there is no C++ compiler on this machine")
            model = torch.compile(model)  # type: ignore[assignment]
        self.model = across_processes(model, self.device)
        self.optimizer = chosen.build_optimizer(inner)
        self.scaler = gradient_scaler(self.device, self.settings.precision)
        self.batches = Batches(
            self.clips.shown("train", random=True),
            self.clips.order(),
            accumulate=self.settings.accumulate,
            num_workers=self.settings.workers,
            rank=rank(),
            world_size=world_size(),
            pin_memory=self.device.type == "cuda",
        )
        self.steps_per_epoch = self.clips.order().steps_per_epoch
        self.schedule, self.steps = chosen.build_schedule(self.steps_per_epoch, self.settings.steps)
        mix = None
        if chosen.mixup_alpha > 0 or self.settings.cutmix_alpha > 0:
            alphas = {"mixup_alpha": chosen.mixup_alpha, "cutmix_alpha": self.settings.cutmix_alpha}
            mix = MixClips(counts if self.subject.several else next(iter(counts.values())), **alphas)
        self.mix, self.normalise = mix, normaliser(chosen.mean, chosen.std)
        self.last_metrics: dict[str, float] = {}
        self.trained_positions = 0  # frame indices 0 … trained_positions − 1 have occurred
        self.commit = git_commit(Path(__file__).parent)

    def prepare(self, batch: Mapping[str, Any]) -> Any:
        """A training batch of bytes to what the model takes, on the device: normalised, mixed if so told."""
        ready = self.prepare_shown(batch)
        return ready if self.mix is None else self.mix(ready)

    def prepare_shown(self, batch: Mapping[str, Any]) -> Any:
        """The same for a batch that is only looked at."""
        return self.clips.ready({**batch, "clip": self.normalise(batch["clip"])})

    @property
    def shown_model(self) -> nn.Module:
        """What is evaluated: the averaged weights where there are any."""
        return self.average.module if self.average is not None else unwrap(self.model)

    def card(self) -> Card:
        """What the checkpoint must remember beside weights."""
        chosen, pixels = self.settings.settled_recipe, self.normalise
        return Card(
            preset=self.settings.model,
            class_names=self.class_names,
            several=self.subject.several,
            mean=pixels.mean,
            std=pixels.std,
            num_frames=chosen.num_frames,
            frame_stride=chosen.frame_stride,
            short_side=max(chosen.short_side[0], chosen.crop),
            crop=chosen.crop,
            trained_positions=self.trained_positions,
            start=self.subject.start(),
            commit=self.commit,
        )

    def saved(self, folder: Path) -> Checkpoint | None:
        """The run's newest checkpoint, checked against what is asked for now.

        Raises:
            CheckpointError: it is damaged, or of another model, other settings or other clips.
        """
        return latest_checkpoint(
            folder / CHECKPOINTS,
            model_name=self.settings.model,
            config=self.config,
            settings=self.deciding,
            schedule=describe_schedule(self.schedule),
        )

    def restore(self, saved: Checkpoint) -> int:
        """Go on from a checkpoint; returns the steps done."""
        saved.restore(
            unwrap(self.model),
            optimizer=self.optimizer,
            scaler=self.scaler,
            ema=self.average.module if self.average is not None else None,
            random_state=rank() <= len(saved.other_random),
        )
        self.last_metrics = {name: value for name, value in saved.metrics.items() if name.startswith("val_")}
        self.trained_positions = Card.of(saved).trained_positions or 0
        return saved.step

    def save(self, folder: Path, step: int) -> None:
        """Write a checkpoint of this step; all processes take part, the first one writes."""
        states = random_states_of_all()
        self.trained_positions = max(gather_objects(self.trained_positions))
        if rank() != 0:
            return
        epoch, within = divmod(step, self.steps_per_epoch)
        lost = sorted(self.batches.skipped)
        save_checkpoint(
            step_folder(folder / CHECKPOINTS, step),
            step=step,
            model=unwrap(self.model),
            model_name=self.settings.model,
            config=self.config,
            settings=self.deciding,
            optimizer=self.optimizer,
            schedule=describe_schedule(self.schedule),
            scaler=self.scaler if self.scaler.is_enabled() else None,
            ema=self.average.module if self.average is not None else None,
            sampler={"epoch": epoch, "step": within, "could_not_be_read": lost},
            metrics=self.last_metrics,
            card=self.card().as_dict(),
            other_random_states=states[1:],
        )
        prune_checkpoints(folder / CHECKPOINTS, keep_last=self.settings.keep_last, keep_best=BEST_BY)

    def measure(
        self, split: str, change: Callable[[Iterable[Any]], Iterator[Any]] = iter
    ) -> dict[str, Evaluation]:
        """Every clip of a split once, for each labelling; ``change`` may alter the batches (a control)."""
        batches = listed_batches(
            self.clips.shown(split, random=False),
            batch_size=max(
                1, self.settings.settled_recipe.batch_size // self.settings.accumulate // world_size()
            ),
            num_workers=self.settings.workers,
            rank=rank(),
            world_size=world_size(),
        )
        return evaluate(
            self.shown_model,
            change(batch for batch in batches if "clip" in batch),
            device=self.device,
            precision=self.settings.precision,
            prepare=self.prepare_shown,
        )

    def evaluate(self) -> dict[str, float]:
        """Look at every validation clip once: each rate, its mean where there are several labellings."""
        rows = {name: evaluation_row(each) for name, each in self.measure("val").items()}
        found = {
            name: statistics.fmean(float(row[name.removeprefix("val_")]) for row in rows.values())
            for name in _EVALUATED
        }
        if len(rows) > 1:
            found |= {f"{BEST_BY}_{name}": float(row["top1"]) for name, row in rows.items()}
        self.last_metrics = found
        return found

    def noted(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same batches; how far their frame indices reach is remembered."""
        for batch in batches:
            if "frame_index" in batch:
                self.trained_positions = max(self.trained_positions, int(batch["frame_index"].max()) + 1)
            yield batch

    def go(self, start: int) -> Iterator[Step]:
        """The loop from a step on; the caller saves, evaluates and stops."""
        for step in train_steps(
            self.model,
            prefetched(self.noted(self.batches(start, self.steps)), self.device),
            optimizer=self.optimizer,
            loss_fn=self.settings.settled_recipe.build_loss(),
            schedule=self.schedule,
            steps=self.steps,
            start=start,
            device=self.device,
            precision=self.settings.precision,
            scaler=self.scaler,
            clip_norm=self.settings.settled_recipe.clip_norm,
            accumulate=self.settings.accumulate,
            prepare=self.prepare,
            seed=self.settings.seed,
        ):
            if self.average is not None:
                self.average.update(unwrap(self.model), step.step)
            yield step


Watch = Callable[[Mapping[str, Any]], bool | None]
"""Called with each step's row of numbers; answers True where the run should save and stop."""


def train(
    settings: TrainingSettings | Subject,
    folder: Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    watch: Watch = lambda row: None,
    finish: Callable[[TrainingRun, dict[str, Any]], None] = lambda run, summary: None,
) -> dict[str, Any]:
    """Train to the end, or go on where a run was stopped; one process of one or of many.

    Args:
        settings: what to train, and how; or another subject than a model on clips from files.
        folder: the run's; new, or one to go on with.
        resume: go on.
        quiet: no progress bar.
        watch: sees each step's numbers, and may ask to stop.
        finish: called in every process with the trained run and its summary, once it is done.

    Returns:
        the run's summary, as it is also written to ``result.json``.

    Raises:
        Stopped: asked to stop (SIGTERM, Ctrl-C or ``watch``); a checkpoint was saved first.
        VtlearnError: whatever cannot be; nothing is overwritten.
    """
    subject = settings if isinstance(settings, Subject) else Subject(settings)
    settings, exists = subject.settings, has_begun(folder)
    if exists and not resume:
        raise ArgumentError("run", str(folder), "a new name, or go on with it: --resume")
    if resume and not exists:
        raise ArgumentError("run", str(folder), "a run to go on with; there is none")
    with process_group(choose_device(settings.device)) as device:
        run = TrainingRun(subject, device)
        saved = run.saved(folder) if resume else None
        barrier()  # nobody writes before everybody has looked
        start = run.restore(saved) if saved is not None else 0
        if start == run.steps and (folder / RESULT).is_file():
            summary = dict(json.loads((folder / RESULT).read_text(encoding="utf-8")))
        else:
            if rank() == 0:
                config = read_run(folder).config if exists else settings.flat()
                start_run(folder.parent, folder.name, config)
            with _logs(folder, start, settings.tensorboard) as logs:
                summary = _steps(run, folder, start, logs, quiet, watch)
        finish(run, summary)
        barrier()  # nobody leaves while another still adds up
        return summary


@contextmanager
def _logs(folder: Path, start: int, tensorboard: bool) -> Iterator[list[Log]]:
    """The run's logs, without what a crash made of steps that will be done again; none beside rank 0."""
    logs: list[Log] = []
    if rank() == 0:
        logs = [JsonLog(folder / METRICS, start), CsvLog(folder / "metrics.csv", start)]
        if tensorboard:
            logs.append(TensorBoardLog(folder / "tensorboard", start))
    try:
        yield logs
    finally:
        for log in logs:
            log.close()


def _steps(
    run: TrainingRun, folder: Path, start: int, logs: list[Log], quiet: bool, watch: Watch
) -> dict[str, Any]:
    settings, per_epoch = run.settings, run.steps_per_epoch
    save_every = settings.save_every or per_epoch
    evaluate_every = settings.evaluate_every or per_epoch
    recent: deque[Step] = deque(maxlen=20)
    rates: list[float] = []
    bar = tqdm(
        total=run.steps,
        initial=start,
        unit="step",
        desc=folder.name,
        disable=quiet or rank() != 0,
        dynamic_ncols=True,
    )
    val_clips, evaluated = run.clips.count("val"), list(_EVALUATED)
    if len(run.class_names) > 1:
        evaluated += [f"{BEST_BY}_{labelling}" for labelling in run.class_names]
    began = time.perf_counter()
    with stop_on_signal(signal.SIGTERM, signal.SIGINT) as stop, bar:
        for step in run.go(start):
            recent.append(step)
            rate = sum(each.clips for each in recent) / max(sum(each.seconds for each in recent), 1e-9)
            rates.append(step.clips / max(step.seconds, 1e-9))
            row: dict[str, Any] = {
                "step": step.step,
                "epoch": (step.step - 1) // per_epoch,
                "loss": step.loss,
                "lr": step.lr,
                "grad_norm": step.grad_norm,
                "clips": step.clips,
                "seconds": step.seconds,
                "data_seconds": step.data_seconds,
                "clips_per_second": rate,
                "skipped": step.skipped,
                "nonfinite": step.nonfinite,
            }
            last = step.step == run.steps
            if val_clips and (last or step.step % evaluate_every == 0):
                row |= run.evaluate()
            else:
                row |= dict.fromkeys(evaluated)
            for log in logs:
                log.write(row)
            bar.update()
            top1 = run.last_metrics.get(BEST_BY)
            told = f", val {100 * top1:.1f} %" if top1 is not None else ""
            bar.set_postfix_str(f"loss {step.loss:.3f}, lr {step.lr:.2g}, {rate:.1f} clips/s{told}")
            asked = watch(row) or stop.requested
            stopping = anywhere(bool(asked), run.device) and not last
            if last or stopping or step.step % save_every == 0:
                run.save(folder, step.step)
            if stopping:
                raise Stopped(
                    f"stopped after step {step.step} of {run.steps}, which is saved; "
                    f"go on with: vtlearn train --resume --name {folder.name}"
                )
    synchronise(run.device)
    summary = {
        "run": folder.name,
        "model": settings.model,
        "recipe": settings.recipe,
        "steps": run.steps,
        "epochs": run.steps / per_epoch,
        "parameters": count_parameters(unwrap(run.model)),
        "clips": {"train": run.clips.count("train"), "val": val_clips},
        "processes": world_size(),
        "device": str(run.device),
        "loss": recent[-1].loss if recent else None,
        "clips_per_second": statistics.median(rates) if rates else None,
        "seconds": time.perf_counter() - began,
        "peak_memory_bytes": peak_memory_bytes(run.device),
        "could_not_be_read": sorted(run.batches.skipped),
        "left_out": len(run.clips.left_out),
        **run.last_metrics,
    }
    if rank() == 0:
        write_json(folder / RESULT, summary)
    return summary


def settings_to_resume(folder: Path, given: Mapping[str, Any]) -> TrainingSettings:
    """The settings that a run was started with; what is given besides must agree, save what decides nothing.

    Raises:
        ArgumentError: there is no such run.
        CheckpointError: a setting is given that differs from the run's; the message names it.
    """
    if not (folder / ABOUT).is_file():
        raise ArgumentError("run", str(folder), "a run to go on with; there is none")
    before = read_run(folder).config
    flat = TrainingSettings.from_flat({"model": before["model"]} | dict(given)).flat() if given else {}
    defaults = TrainingSettings.from_flat({"model": before["model"], "recipe": before["recipe"]})
    stored = dataclasses.asdict(defaults.settled_recipe) | before
    for name in given:
        if name not in FREE and json.loads(json.dumps(stored.get(name))) != flat[name]:
            raise CheckpointError(
                f"{folder} was started with {name} = {stored.get(name)!r}, and {flat[name]!r} is asked for"
            )
    return TrainingSettings.from_flat(before | {name: flat[name] for name in given if name in FREE})


def told(summary: Mapping[str, Any], folder: Path) -> str:
    """A summary as a few lines of text."""
    lines = [
        f"{summary['model']} by the recipe {summary['recipe']}: {summary['steps']} steps on "
        f"{summary['clips']['train']} clips ({summary['epochs']:.1f} epochs), loss {summary['loss']:.4f}"
    ]
    if BEST_BY in summary:
        lines.append(
            f"validation: {100 * summary[BEST_BY]:.1f} % of {summary['clips']['val']} clips, "
            f"loss {summary['val_loss']:.4f}"
        )
    if summary["clips_per_second"]:
        memory = summary["peak_memory_bytes"] / 2**20
        lines.append(f"{summary['clips_per_second']:.1f} clips per second, peak memory {memory:.0f} MiB")
    missing = summary["could_not_be_read"]
    if missing:
        lines.append(f"{len(missing)} clips could not be read, first {missing[0]}")
    return "\n".join([*lines, str(folder)])
