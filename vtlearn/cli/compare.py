"""The comparison: ``vtlearn compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vtlearn.cli.app import JsonOption, app
from vtlearn.cli.settings import takes_settings
from vtlearn.errors import ArgumentError

SHARED = (
    *("accumulate", "precision", "recompute", "compile", "workers", "weight_decay", "clip_norm", "ema"),
    *("mixup_alpha", "cutmix_alpha", "label_smoothing", "drop_path", "randaugment"),
)
"""What can be set for all contestants alike, as ``vtlearn train`` has it."""


@app.command()
@takes_settings(*SHARED)
def compare(
    run: Annotated[str | None, typer.Option(help="Name of the run (default: the time of day).")] = None,
    results: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("results"),
    data: Annotated[
        Path | None, typer.Option(help="Your own videos: <label>/<clip>.mp4, or with splits.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Contestants, with commas between (default: all).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="samples or finetune (default: finetune with --init, else samples).")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Image ViT that all start from: a checkpoint, a published folder, a hub name."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes; promises no accuracy.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest unfinished run, or --run.")
    ] = False,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each model.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips in each step.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Rows and columns of what is shown.")] = None,
    *,
    given: dict[str, Any],
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    samples_seed: Annotated[int, typer.Option(help="Seed of the sample clips; 0 is the bundled set.")] = 0,
    hard: Annotated[bool, typer.Option("--hard", help="The hard samples, which leave room above.")] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda (default: cuda where there is one).")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Models trained side by side.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Processes of each, which share its batches.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train VTN, TimeSformer, ViViT and two baselines under one protocol and compare them."""
    from vtlearn.data.sources import choose_data
    from vtlearn.study.compare import Comparison, new_run, run_comparison, unfinished_run
    from vtlearn.study.protocol import choose_protocol
    from vtlearn.study.report import coverage_line, table
    from vtlearn.study.shallow import told

    if resume:
        comparison = Comparison.load(unfinished_run(results, run))
    else:
        if quick and recipe is not None:
            raise ArgumentError("recipe", recipe, "given without --quick, which is a recipe of its own")
        protocol = choose_protocol(
            recipe="quick" if quick else recipe or ("finetune" if init else "samples"),
            models=models,
            seed=seed,
            steps=steps,
            batch_size=batch_size,
            image_size=image_size,
            training=given,
        )
        comparison = Comparison(
            folder=new_run(results, run),
            protocol=protocol.settled(),
            data=choose_data(folder=data, samples_seed=samples_seed, hard=hard),
            device=device,
            init=init,
        )
    rows = run_comparison(comparison, at_once=jobs, threads=threads, processes=processes, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        typer.echo(
            f"\n{comparison.protocol.steps} steps each; accuracy on the test clips, which were read once\n"
        )
        typer.echo(table(rows))
        facts = json.loads((comparison.folder / "run.json").read_text())
        if "shallow" in facts:
            typer.echo(f"\n{told(facts['shallow'])}")
        if any(row.get("below_thumbnails") for row in rows):
            typer.echo("↓ below the best ridge regression on thumbnails of the same clips")
        typer.echo(f"\n{coverage_line(facts['coverage'])}")
        for each in facts["skipped"]:
            typer.echo(f"left out: {each['path']}: {each['reason']}")
        typer.echo(f"\n{comparison.folder / 'report.html'}")
