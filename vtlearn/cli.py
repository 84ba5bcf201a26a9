"""The command line: one thin function for each subcommand; errors a user can cause become one line and
exit code 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vtlearn.errors import VtlearnError

app = typer.Typer(
    name="vtlearn",
    help="Video transformers from scratch: lessons, models, training and the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
samples_app = typer.Typer(no_args_is_help=True, help="The bundled sample clips: make them, check them.")
kinetics_app = typer.Typer(no_args_is_help=True, help="Kinetics as it really is: check, choose, download.")
app.add_typer(samples_app, name="samples")
app.add_typer(kinetics_app, name="kinetics")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


# ------------------------------------------------------------------------------- the machine and the samples


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine has and what is missing; exit code 1 if a lesson would not run."""
    from vtlearn.study.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(finding.line())
    if any(finding.is_fatal for finding in findings):
        raise typer.Exit(1)


@samples_app.command("make")
def samples_make(
    seed: Annotated[int, typer.Option(help="The set's seed; 0 is the bundled one.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to write to [default: the user's cache].")] = None,
    hard: Annotated[bool, typer.Option("--hard", help="The hard set: fewer, longer, noisier clips.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes to draw with.")] = 1,
) -> None:
    """Draw and encode a set of sample clips from a seed."""
    from vtlearn.data.synthetic import SampleSpec, make_samples, samples_folder

    spec = SampleSpec.hard() if hard else SampleSpec.standard()
    if out is None:
        typer.echo(samples_folder(seed, spec, workers=workers))
    else:
        typer.echo(make_samples(out, seed, spec, workers=workers).parent)


@samples_app.command("check")
def samples_check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of samples [default: the bundled ones].")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every sample clip, file and decoded frames, with its checksum; exit code 1 if any differs."""
    from vtlearn.data.synthetic import SampleSet, bundled_samples

    samples = SampleSet.load(folder or bundled_samples())
    wrong = samples.check(progress=not as_json)
    if as_json:
        typer.echo(json.dumps({"clips": len(samples.clips), "wrong": wrong}, indent=2))
    else:
        for line in wrong:
            typer.echo(line)
        typer.echo(f"{len(samples.clips) - len(wrong)} of {len(samples.clips)} clips as the manifest says")
    if wrong:
        raise typer.Exit(1)


# ------------------------------------------------------------------------------------------------ models


@app.command()
def compare(
    run: Annotated[str | None, typer.Option(help="Name of the run [default: the time of day].")] = None,
    results: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("results"),
    data: Annotated[
        Path | None, typer.Option(help="Your own videos: <label>/<clip>.mp4, or with splits.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Contestants, with commas between [default: all].")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes; promises no accuracy.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest unfinished run, or --run.")
    ] = False,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each model.")] = None,
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    samples_seed: Annotated[int, typer.Option(help="Seed of the sample clips; 0 is the bundled set.")] = 0,
    hard: Annotated[bool, typer.Option("--hard", help="The hard samples, which leave room above.")] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda [default: cuda where there is one].")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Models trained side by side.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train VTN, TimeSformer, ViViT and two baselines under one protocol and compare them."""
    from vtlearn.study.compare import Comparison, choose_data, new_run, run_comparison, unfinished_run
    from vtlearn.study.protocol import choose_protocol
    from vtlearn.study.report import table

    if resume:
        comparison = Comparison.load(unfinished_run(results, run))
    else:
        comparison = Comparison(
            folder=new_run(results, run),
            protocol=choose_protocol(quick=quick, models=models, steps=steps, seed=seed).settled(),
            data=choose_data(folder=data, samples_seed=samples_seed, hard=hard),
            device=device,
        )
    rows = run_comparison(comparison, at_once=jobs, threads=threads, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        typer.echo(
            f"\n{comparison.protocol.steps} steps each; accuracy on the test clips, which were read once\n"
        )
        typer.echo(table(rows))
        for each in json.loads((comparison.folder / "run.json").read_text())["skipped"]:
            typer.echo(f"left out: {each['path']}: {each['reason']}")
        typer.echo(f"\n{comparison.folder / 'report.html'}")


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List every preset with its parameters and multiply-adds of one clip."""
    from vtlearn.models.listing import catalogue_rows

    rows = catalogue_rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        frames = row["num_frames"] or 1
        typer.echo(
            f"{row['name']:<{width}}  {row['parameters'] / 1e6:8.2f}M  {row['multiply_adds'] / 1e9:9.2f} G  "
            f"{frames:>3} × {row['image_size']}  {row['source']}"
        )


@app.command()
def cost(
    name: Annotated[str, typer.Argument(help="A preset; `vtlearn models` lists them.")],
    num_frames: Annotated[
        int | None, typer.Option(help="Frames of the clip, for models that take any.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Parameters and multiply-adds of one clip, with and without the attention products."""
    from vtlearn.models import model_config
    from vtlearn.models.cost import CONVENTION, model_cost

    found = model_cost(model_config(name), num_frames)
    if as_json:
        facts = {"name": name, "parameters": found.parameters, "linear": found.linear}
        facts |= {"attention": found.attention, "multiply_adds": found.multiply_adds}
        typer.echo(json.dumps(facts | {"convention": CONVENTION}, indent=2))
        return
    typer.echo(f"{name}: {found.parameters:,} parameters")
    typer.echo(f"{found.linear / 1e9:10.3f} G multiply-adds in linear layers and convolutions")
    typer.echo(f"{found.attention / 1e9:10.3f} G in the products of attention")
    typer.echo(f"{found.multiply_adds / 1e9:10.3f} G together\n\n{CONVENTION}")


# ----------------------------------------------------------------------------------------------- the course


@app.command()
def start(
    lesson: Annotated[str | None, typer.Argument(help="Number of a lesson [default: all].")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="Open it in JupyterLab.")] = False,
) -> None:
    """Copy lessons into work/ where they are not yet there; your own copies are never overwritten."""
    from vtlearn.course import workspace

    if not lab:
        for path in workspace.start(lesson):
            typer.echo(path)
        return
    workspace.start(None)
    (opened,) = workspace.start(lesson or "00")
    raise typer.Exit(workspace.open_lab(opened))


@app.command()
def reset(lesson: Annotated[str, typer.Argument(help="Number of a lesson.")]) -> None:
    """Put a fresh copy of a lesson into work/; your own is kept as a backup."""
    from vtlearn.course import workspace

    fresh, backup = workspace.reset(lesson)
    typer.echo(fresh)
    if backup is not None:
        typer.echo(f"your own copy is kept: {backup}")


@app.command()
def progress(as_json: JsonOption = False) -> None:
    """Say which exercises you have passed."""
    from vtlearn.course import workspace
    from vtlearn.course.exercise import exercises
    from vtlearn.course.progress import passed_exercises

    if not as_json:
        typer.echo(workspace.progress())
        return
    done = passed_exercises()
    rows = [{"id": one.id, "title": one.title, "passed": one.id in done} for one in exercises()]
    typer.echo(json.dumps(rows, indent=2))


# ----------------------------------------------------------------------------------------------- Kinetics


@kinetics_app.command("check")
def kinetics_check(
    folder: Annotated[Path, typer.Argument(help="Folder of clips.")],
    manifest: Annotated[
        Path | None, typer.Option(help="File to keep the result in; a stopped check goes on from it.")
    ] = None,
    annotations: Annotated[Path | None, typer.Option(help="CSV whose clips should be there.")] = None,
    min_frames: Annotated[int, typer.Option(help="Videos with fewer frames are too short.")] = 1,
    workers: Annotated[int, typer.Option(help="Files read at the same time.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Read every file of a folder and say what it is; exit code 1 if any cannot be used."""
    from vtlearn.data.kinetics import read_annotations
    from vtlearn.data.manifest import USABLE, check_folder

    found = check_folder(
        folder,
        manifest=manifest,
        annotations=read_annotations(annotations) if annotations else (),
        min_frames=min_frames,
        workers=workers,
        progress=not as_json,
    )
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else found.describe())
    if any(clip.status not in (*USABLE, "no video") for clip in found.clips):
        raise typer.Exit(1)


@kinetics_app.command("subset")
def kinetics_subset(
    name: Annotated[str, typer.Argument(help="mini10 or mini40.")],
    train: Annotated[Path, typer.Option(help="The published train.csv.")],
    val: Annotated[Path, typer.Option(help="The published val.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for the subset's CSV files.")],
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
) -> None:
    """Draw a class-balanced subset of Kinetics by rule and seed, and write its CSV files."""
    from dataclasses import replace

    from vtlearn.data.kinetics import read_annotations
    from vtlearn.data.subset import SUBSETS, draw_subset, write_subset
    from vtlearn.errors import require_one_of

    require_one_of("name", name, SUBSETS)
    rows = {"train": read_annotations(train), "val": read_annotations(val)}
    for path in write_subset(out, draw_subset(rows, replace(SUBSETS[name], seed=seed))).values():
        typer.echo(path)


@kinetics_app.command("download")
def kinetics_download(
    out: Annotated[Path, typer.Option(help="Folder for the clips.")],
    release: Annotated[str, typer.Option(help="400, 600 or 700_2020.")] = "400",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    classes: Annotated[str | None, typer.Option(help="Labels, with commas between [default: all].")] = None,
    per_class: Annotated[int | None, typer.Option(help="Clips of each label at most.")] = None,
    mirror: Annotated[str | None, typer.Option(help="Base address of the mirror.")] = None,
) -> None:
    """Fetch chosen clips from the public mirror as its archives stream by; exit code 1 if any is missing."""
    from vtlearn.data.download import MIRROR, download_clips, fetch_annotations
    from vtlearn.errors import DataError

    address = mirror or MIRROR
    rows = fetch_annotations(release, split, mirror=address, folder=out / ".annotations")
    if classes is not None:
        wanted = [label.strip() for label in classes.split(",")]
        unknown = sorted(set(wanted) - {row.label for row in rows})
        if unknown:
            raise DataError(f"k{release} {split}: no clip has the label {unknown[0]!r}")
        rows = [row for row in rows if row.label in wanted]
    fetched = download_clips(
        rows, out, release=release, split=split, per_class=per_class, mirror=address, progress=True
    )
    typer.echo(fetched.describe())
    if fetched.absent or fetched.failed:
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the ``vtlearn`` command: 0 done, 1 done and something is wrong, 2 bad input."""
    try:
        app()
    except VtlearnError as error:
        sys.stderr.write(f"vtlearn: {error}\n")
        raise SystemExit(error.exit_code) from None
