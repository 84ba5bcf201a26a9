"""Kinetics: ``vtlearn kinetics``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, group

kinetics_app = group("kinetics", "Kinetics as it really is: check, choose, download.")


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
