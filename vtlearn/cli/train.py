"""Training and what comes after: ``vtlearn train``, ``evaluate``, ``predict``, ``runs`` and ``profile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vtlearn.cli.app import JsonOption, app

DEFAULT_ROOT = Path("results/training")

ModelArgument = Annotated[
    str | None,
    typer.Argument(help="A preset; `vtlearn models` lists them."),
]
RootOption = Annotated[Path, typer.Option(help="Folder of all runs.")]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder of videos in Kinetics layout [default: the samples]."),
]
SamplesOption = Annotated[
    int | None, typer.Option(help="Seed of the sample clips; 0 is the bundled set.", show_default=False)
]
HardOption = Annotated[bool | None, typer.Option("--hard", help="The hard samples.", show_default=False)]
LabellingOption = Annotated[str | None, typer.Option(help="Which labels, where clips have several.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda … [default: cuda where there is one].")]
WorkersOption = Annotated[int | None, typer.Option(help="Processes that read clips ahead.")]
PrecisionOption = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A field of the model: name=value; repeatable."),
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Settings in JSON or TOML; options given here go before them.")
]
BatchOption = Annotated[int | None, typer.Option(help="Clips a step, over all processes and parts.")]
FramesOption = Annotated[int | None, typer.Option(help="Frames of a clip.")]
StrideOption = Annotated[int | None, typer.Option(help="Frames of the video from one to the next.")]
CropOption = Annotated[int | None, typer.Option(help="Pixels of the square crop.")]


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
    from vtlearn.study.compare import choose_data

    if folder is None and samples_seed is None and not hard:
        return None
    return choose_data(folder=folder, samples_seed=samples_seed or 0, hard=bool(hard))


def _given(config: Path | None, **options: Any) -> dict[str, Any]:
    """The settings that were given: those of the file, and over them the options."""
    from vtlearn.study.training import read_settings

    given = read_settings(config) if config is not None else {}
    return given | {name: value for name, value in options.items() if value is not None}


@app.command()
def train(
    model: ModelArgument = None,
    run: Annotated[
        str | None, typer.Option("--name", "--run", help="Name of the run [default: model and time of day].")
    ] = None,
    root: RootOption = DEFAULT_ROOT,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run --name.")] = False,
    config: ConfigOption = None,
    recipe: Annotated[
        str | None, typer.Option(help="samples, timesformer_k400, vtn_k400, vivit_k400 or vivit_ssv2.")
    ] = None,
    data: DataOption = None,
    samples_seed: SamplesOption = None,
    hard: HardOption = None,
    labelling: LabellingOption = None,
    start: Annotated[
        str | None,
        typer.Option("--start-from", help="Weights to start from: an image model, or one of this kind."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps in all, instead of epochs.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training clips.")] = None,
    batch_size: BatchOption = None,
    accumulate: Annotated[int | None, typer.Option(help="Parts of a step, one after the other.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Base rate.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of matrices and filters.")] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Longest gradient allowed.")] = None,
    num_frames: FramesOption = None,
    frame_stride: StrideOption = None,
    crop: CropOption = None,
    mixup: Annotated[float | None, typer.Option(help="Mixup's alpha; 0 is none.")] = None,
    cutmix: Annotated[float | None, typer.Option(help="CutMix's alpha; 0 is none.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Mass spread over all classes.")] = None,
    drop_path: Annotated[float | None, typer.Option(help="Highest rate of stochastic depth.")] = None,
    randaugment: Annotated[str | None, typer.Option(help="operations,strength, such as 2,9.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of a running average of the weights.")] = None,
    precision: PrecisionOption = None,
    compile_model: Annotated[bool | None, typer.Option("--compile", help="Use torch.compile.")] = None,
    recompute: Annotated[
        bool | None, typer.Option("--recompute", help="Activation checkpointing: less memory, more time.")
    ] = None,
    device: DeviceOption = None,
    workers: WorkersOption = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and augmentation.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(help="Steps between looks at the validation clips [default: epoch].")
    ] = None,
    keep_last: Annotated[int | None, typer.Option(help="Newest checkpoints kept, besides the best.")] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="Write TensorBoard's files too.")
    ] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model by a recipe; with torchrun on many processes. SIGTERM and Ctrl-C save first."""
    import datetime

    from vtlearn.errors import ArgumentError
    from vtlearn.study import training

    operations = None
    if randaugment is not None:
        operations = [_value(part) for part in randaugment.split(",")]
        if len(operations) != 2 or not all(isinstance(part, int) for part in operations):
            raise ArgumentError("randaugment", randaugment, "two whole numbers with a comma between")
    given = _given(
        config,
        model=model,
        recipe=recipe,
        data=_data(data, samples_seed, hard),
        labelling=labelling,
        start=start,
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        num_frames=num_frames,
        frame_stride=frame_stride,
        crop=crop,
        mixup_alpha=mixup,
        cutmix_alpha=cutmix,
        label_smoothing=label_smoothing,
        drop_path=drop_path,
        randaugment=operations,
        ema=ema,
        precision=precision,
        compile=compile_model,
        recompute=recompute,
        device=device,
        workers=workers,
        seed=seed,
        save_every=save_every,
        evaluate_every=evaluate_every,
        keep_last=keep_last,
        tensorboard=tensorboard,
        options=_options(set_),
    )
    if resume:
        if run is None:
            raise ArgumentError("run", None, "the name of a run to go on with")
        settings = training.settings_to_resume(root / run, given)
    else:
        settings = training.TrainingSettings.from_flat(given)
        if run is None and not training.is_alone():
            raise ArgumentError("run", None, "given with --name where several processes train")
        run = run or f"{settings.model}_{datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"
    summary = training.train(settings, root / run, resume=resume, quiet=as_json)
    if training.is_first_process():
        typer.echo(json.dumps(summary, indent=2) if as_json else training.told(summary, root / run))
