"""The sample clips: ``vtlearn samples``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, group

samples_app = group("samples", "The bundled sample clips: make them, check them.")


@samples_app.command("make")
def samples_make(
    seed: Annotated[int, typer.Option(help="The set's seed; 0 is the bundled one.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to write to (default: the user's cache).")] = None,
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
        Path | None, typer.Argument(help="Folder of samples (default: the bundled ones).")
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
