"""Training and what comes after: ``vtlearn train``, ``evaluate``, ``predict``, ``runs`` and ``profile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vtlearn.cli.app import JsonOption, app
from vtlearn.cli.settings import option, takes_settings
from vtlearn.runs.settings import TrainingSettings, read_settings

DEFAULT_ROOT = Path("results/training")

ModelArgument = Annotated[
    str | None,
    typer.Argument(help="A preset; `vtlearn models` lists them."),
]
RootOption = Annotated[Path, typer.Option(help="Folder of all runs.")]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder of videos in Kinetics layout (default: the samples)."),
]
SamplesOption = Annotated[
    int | None, typer.Option(help="Seed of the sample clips; 0 is the bundled set.", show_default=False)
]
HardOption = Annotated[bool | None, typer.Option("--hard", help="The hard samples.", show_default=False)]
LabellingOption = Annotated[str | None, option("labelling")]
DeviceOption = Annotated[str | None, option("device")]
WorkersOption = Annotated[int | None, option("workers")]
PrecisionOption = Annotated[str | None, option("precision")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A field of the model: name=value; repeatable."),
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Settings in JSON or TOML; options given here go before them.")
]
FramesOption = Annotated[int | None, option("num_frames")]
StrideOption = Annotated[int | None, option("frame_stride")]

SHARED_SETTINGS = ("batch_size", "num_frames", "frame_stride", "crop", "precision", "recompute", "compile")
PROFILE_SETTINGS = ("recipe", "labelling", *SHARED_SETTINGS, "device", "workers")
RUN_SETTINGS = (
    *("recipe", "labelling", "start", "steps", "epochs", "batch_size", "accumulate", "learning_rate"),
    *("weight_decay", "clip_norm", "num_frames", "frame_stride", "crop", "mixup_alpha", "cutmix_alpha"),
    *("label_smoothing", "drop_path", "randaugment", "ema", "precision", "compile", "recompute", "device"),
    *("workers", "seed", "save_every", "evaluate_every", "keep_last", "tensorboard"),
)
"""What can be set on the command line; a settings file sets all the rest too."""


def _value(text: str) -> Any:
    """A value as JSON has it, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _options(pairs: list[str] | None) -> dict[str, Any] | None:
    """``name=value`` pairs as a mapping; None for none."""
    from vtlearn.errors import ArgumentError

    if not pairs:
        return None
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ArgumentError("set", wrong[0], "name=value")
    return {name: _value(text) for name, text in (pair.split("=", 1) for pair in pairs)}


def _data(folder: Path | None, samples_seed: int | None, hard: bool | None) -> dict[str, Any] | None:
    """Where the clips come from, where that was said."""
    from vtlearn.data.sources import choose_data

    if folder is None and samples_seed is None and not hard:
        return None
    return choose_data(folder=folder, samples_seed=samples_seed or 0, hard=bool(hard))


def _place(model: str) -> str:
    """Where a model lies: as it was said, or the run of that name in the usual folder."""
    run = DEFAULT_ROOT / model
    return str(run) if run.is_dir() and not Path(model).exists() else model


def _given(config: Path | None, **options: Any) -> dict[str, Any]:
    """The settings that were given: those of the file, and over them the options."""

    given = read_settings(config) if config is not None else {}
    return given | {name: value for name, value in options.items() if value is not None}


@app.command()
@takes_settings(*RUN_SETTINGS)
def train(
    model: ModelArgument = None,
    run: Annotated[
        str | None, typer.Option("--name", "--run", help="Name of the run (default: model and time of day).")
    ] = None,
    root: RootOption = DEFAULT_ROOT,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run --name.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    samples_seed: SamplesOption = None,
    hard: HardOption = None,
    *,
    given: dict[str, Any],
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model by a recipe; with torchrun on many processes. SIGTERM and Ctrl-C save first."""
    import datetime

    from vtlearn.errors import ArgumentError
    from vtlearn.runs import training
    from vtlearn.runs.folder import has_begun
    from vtlearn.train import distributed

    given = _given(config, model=model, data=_data(data, samples_seed, hard), options=_options(set_)) | given
    if run is not None and distributed.was_restarted() and has_begun(root / run):
        resume = True
    if resume:
        if run is None:
            raise ArgumentError("run", None, "the name of a run to go on with")
        settings = training.settings_to_resume(root / run, given)
    else:
        settings = TrainingSettings.from_flat(given)
        if run is None and not distributed.is_alone():
            raise ArgumentError("run", None, "given with --name where several processes train")
        run = run or f"{settings.model}_{datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"
    summary = training.train(settings, root / run, resume=resume, quiet=as_json)
    if distributed.is_first_process():
        typer.echo(json.dumps(summary, indent=2) if as_json else training.told(summary, root / run))


SourceOption = Annotated[str | None, typer.Option(help="Of a single published file: timesformer, vtn …")]
ClipsOption = Annotated[int | None, typer.Option(help="Clips of each video (default: as published, or 1).")]
CropsOption = Annotated[int | None, typer.Option(help="Crops of each clip, 1 or 3.")]
AverageOption = Annotated[str | None, typer.Option(help="Average the views' logits or softmax.")]
AtOnceOption = Annotated[int, typer.Option(min=1, help="Views in the model at a time.")]
FrameLimitOption = Annotated[int, typer.Option(help="Frames of a whole video at most; 0 is all.")]
PositionsOption = Annotated[
    str, typer.Option(help="Frames past VTN's positions: interpolate, absent, published or reuse.")
]
TrainedPositionsOption = Annotated[
    int | None,
    typer.Option(min=2, help="VTN: frame indices that training reached (default: as the checkpoint says)."),
]
ChunkOption = Annotated[int, typer.Option(min=1, help="Frames in VTN's backbone at a time.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Do not ask the hub.")]
WhichOption = Annotated[str, typer.Option(help="Of a run: the best or the last checkpoint.")]


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A run's name or folder, a checkpoint, or a published model.")],
    data: DataOption = None,
    samples_seed: SamplesOption = None,
    hard: HardOption = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    labelling: LabellingOption = None,
    clips: ClipsOption = None,
    crops: CropsOption = None,
    average: AverageOption = None,
    num_frames: FramesOption = None,
    frame_stride: StrideOption = None,
    whole_video: Annotated[bool, typer.Option("--whole-video", help="VTN: all of each video.")] = False,
    max_frames: FrameLimitOption = 250,
    positions: PositionsOption = "interpolate",
    trained_positions: TrainedPositionsOption = None,
    chunk: ChunkOption = 16,
    batch_size: Annotated[int, typer.Option(min=1, help="Videos read together.")] = 8,
    at_once: AtOnceOption = 24,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    workers: WorkersOption = None,
    source: SourceOption = None,
    which: WhichOption = "best",
    offline: OfflineOption = False,
    per_class: Annotated[bool, typer.Option("--per-class", help="A table of all classes.")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file (default: in the run's folder).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Test a model on a list of clips: rates with interval, classes, calibration, coverage."""
    from dataclasses import replace

    from vtlearn.data.sources import list_clips
    from vtlearn.errors import require_one_of
    from vtlearn.files import write_json
    from vtlearn.runs.evaluation import evaluate_trained
    from vtlearn.runs.folder import ABOUT
    from vtlearn.runs.trained import load_trained
    from vtlearn.train.distributed import is_first_process

    require_one_of("split", split, ("train", "val", "test"))
    require_one_of("which", which, ("best", "last"))
    trained = load_trained(_place(model), source=source, labelling=labelling, which=which, offline=offline)
    if num_frames is not None:
        trained = replace(trained, num_frames=num_frames)
    if frame_stride is not None:
        trained = replace(trained, frame_stride=frame_stride)
    if trained_positions is not None:
        trained = replace(trained, trained_positions=trained_positions)
    chosen = _data(data, samples_seed, hard) or {"samples_seed": 0}
    listed = list_clips(chosen, split, labelling, default=trained.labelling)
    report = evaluate_trained(
        trained,
        listed,
        split=split,
        clips=clips,
        crops=crops,
        average=average,
        batch_size=batch_size,
        at_once=at_once,
        workers=workers or 0,
        device=device,
        precision=precision or "float32",
        whole=whole_video,
        at_most=max_frames or None,
        positions=positions,
        chunk=chunk,
        quiet=as_json,
    )
    if not is_first_process():
        return
    folder = Path(model) if (Path(model) / ABOUT).is_file() else Path()
    path = write_json(out or folder / f"evaluation_{split}.json", report.as_dict())
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        typer.echo(f"{report.told(per_class)}\n{path}")


@app.command()
def predict(
    video: Annotated[Path, typer.Argument(help="A video file, of any length.")],
    model: Annotated[str, typer.Option(help="A run's name or folder, a checkpoint, or a published model.")],
    way: Annotated[
        str, typer.Option(help="clips, sliding (one behind the other), or whole (VTN).")
    ] = "clips",
    clips: ClipsOption = None,
    crops: CropsOption = None,
    average: AverageOption = None,
    hop: Annotated[int | None, typer.Option(help="Frames from one sliding clip to the next.")] = None,
    frame_stride: StrideOption = None,
    mode: Annotated[str, typer.Option(help="Of whole: end_to_end, chunked or features.")] = "chunked",
    max_frames: FrameLimitOption = 250,
    positions: PositionsOption = "interpolate",
    trained_positions: TrainedPositionsOption = None,
    chunk: ChunkOption = 16,
    features: Annotated[Path | None, typer.Option(help="File for VTN's features on disk.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to name.")] = 5,
    overlay: Annotated[Path | None, typer.Option(help="Write a video of where the model looked.")] = None,
    at_once: AtOnceOption = 8,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    source: SourceOption = None,
    labelling: LabellingOption = None,
    which: WhichOption = "best",
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Name the likeliest classes of a video, and show where the model looked."""
    from dataclasses import replace

    from vtlearn.runs import prediction
    from vtlearn.runs.trained import load_trained
    from vtlearn.runtime import choose_device
    from vtlearn.viz.overlay import words_of_overlay

    place = choose_device(device)
    trained = load_trained(_place(model), source=source, labelling=labelling, which=which, offline=offline)
    if frame_stride is not None:
        trained = replace(trained, frame_stride=frame_stride)
    if trained_positions is not None:
        trained = replace(trained, trained_positions=trained_positions)
    whole: dict[str, Any] = {}
    if way == "whole":
        whole = {"mode": mode, "at_most": max_frames or None, "positions": positions, "chunk": chunk}
        whole |= {"features": features, "say": lambda line: typer.echo(line, err=True)}
    found = prediction.predict(
        trained,
        video,
        way=way,
        clips=clips,
        crops=crops,
        average=average,
        hop=hop,
        stride=frame_stride,
        top=top,
        device=place,
        precision=precision or "float32",
        at_once=at_once,
        **whole,
    )
    heat = None
    if overlay is not None:
        heat = prediction.write_overlay(trained, video, overlay, device=place)
    if as_json:
        told = found.as_dict() | {"overlay": str(overlay) if overlay is not None else None}
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(found.told())
    if heat is not None:
        typer.echo(f"{words_of_overlay(heat)}\n{overlay}")


@app.command()
def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs to compare (default: list all).")] = None,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """List the training runs, or compare some: the settings in which they differ, and their numbers."""
    from vtlearn.runs import folder as kept

    found = [kept.read_run(root / name) for name in names] if names else kept.list_runs(root)
    rows = kept.compare_runs(found) if names else kept.list_rows(found)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        typer.echo(kept.table_of(rows) if rows else f"{root}: no runs")


@app.command()
@takes_settings(*PROFILE_SETTINGS)
def profile(
    model: ModelArgument = None,
    config: ConfigOption = None,
    data: DataOption = None,
    samples_seed: SamplesOption = None,
    hard: HardOption = None,
    *,
    given: dict[str, Any],
    set_: SetOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to measure.")] = 10,
    trace: Annotated[Path | None, typer.Option(help="File for the profiler's trace.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a training step's time and memory go: data, transfer, forward, backward, optimiser."""
    from vtlearn.runs.profiling import profile_training

    told = _given(config, model=model, data=_data(data, samples_seed, hard), options=_options(set_))
    settings = TrainingSettings.from_flat(told | given)
    found = profile_training(settings, steps=steps, trace=trace)
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else found.told())
