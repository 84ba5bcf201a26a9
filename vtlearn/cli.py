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
app.add_typer(samples_app, name="samples")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


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
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda [default: cuda where there is one].")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Models trained side by side.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train VTN, TimeSformer, ViViT and two baselines under one protocol and compare them."""
    from vtlearn.study.compare import Comparison, new_run, run_comparison, unfinished_run
    from vtlearn.study.protocol import choose_protocol
    from vtlearn.study.report import table

    if resume:
        comparison = Comparison.load(unfinished_run(results, run))
    else:
        comparison = Comparison(
            folder=new_run(results, run),
            protocol=choose_protocol(quick=quick, models=models, steps=steps, seed=seed).settled(),
            data={"samples_seed": samples_seed} if data is None else {"folder": str(data.resolve())},
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


def main() -> None:
    """Entry point of the ``vtlearn`` command: 0 done, 1 done and something is wrong, 2 bad input."""
    try:
        app()
    except VtlearnError as error:
        sys.stderr.write(f"vtlearn: {error}\n")
        raise SystemExit(error.exit_code) from None
