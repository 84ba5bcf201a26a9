"""Kinetics: ``vtlearn kinetics``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, group

kinetics_app = group("kinetics", "Kinetics as it really is: check, choose, download.")


@kinetics_app.command("check")
def kinetics_check(
    folder: Annotated[Path, typer.Argument(help="Folder of clips.")],
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="File to keep the result in; a stopped check goes on from it (default: in the folder)."
        ),
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Annotation file whose clips should be there.")
    ] = None,
    min_frames: Annotated[int, typer.Option(help="Videos with fewer frames are too short.")] = 1,
    workers: Annotated[int, typer.Option(help="Files read at the same time.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Read every file of a folder and say what it is; exit code 1 if any cannot be used."""
    from vtlearn.data.kinetics import read_annotations
    from vtlearn.data.manifest import MANIFEST, USABLE, check_folder, coverage

    rows = read_annotations(annotations) if annotations else []
    if manifest is None and folder.is_dir():
        if os.access(folder, os.W_OK):
            manifest = folder / MANIFEST
        else:
            typer.echo(f"{folder} cannot be written to: no manifest is kept (see --manifest)", err=True)
    found = check_folder(
        folder,
        manifest=manifest,
        annotations=rows,
        min_frames=min_frames,
        workers=workers,
        progress=not as_json,
    )
    usable, listed = coverage(rows, found)
    if as_json:
        covered = {"coverage": {"usable": usable, "listed": listed}} if rows else {}
        typer.echo(json.dumps({**found.as_json(), **covered}, indent=2))
    else:
        typer.echo(found.describe())
        if rows:
            typer.echo(f"covers {usable} of the {listed} clips of {annotations}")
    if any(clip.status not in (*USABLE, "no video") for clip in found.clips):
        raise typer.Exit(1)


@kinetics_app.command("subset")
def kinetics_subset(
    out: Annotated[Path, typer.Option(help="Folder for the subset's CSV files.")],
    name: Annotated[
        str | None, typer.Argument(help="mini10 or mini40 (default: as the options say).")
    ] = None,
    train: Annotated[Path | None, typer.Option(help="The published annotations of train.")] = None,
    val: Annotated[Path | None, typer.Option(help="The published annotations of val.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Labels with commas between, or how many to draw (default: all with enough clips)."
        ),
    ] = None,
    per_class: Annotated[int, typer.Option(help="Training clips of each class.")] = 50,
    val_per_class: Annotated[int, typer.Option(help="Validation clips of each class.")] = 20,
    motion_share: Annotated[float, typer.Option(help="Share of the classes drawn for motion.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
) -> None:
    """Draw a class-balanced subset by rule and seed, no source in two splits, and write its CSV files."""
    from dataclasses import replace

    from vtlearn.data.kinetics import read_annotations
    from vtlearn.data.subset import SUBSETS, SubsetRule, draw_subset, write_subset
    from vtlearn.errors import DataError, require_one_of

    files = {split: path for split, path in (("train", train), ("val", val)) if path is not None}
    if not files:
        raise DataError("no annotations to draw from: give --train, --val or both")
    if name is not None:
        require_one_of("name", name, SUBSETS)
        rule = replace(SUBSETS[name], seed=seed)
    else:
        counts = {"train": per_class, "val": val_per_class}
        count = int(classes) if classes is not None and classes.strip().isdecimal() else None
        labels = None if classes is None or count is not None else _labels(classes)
        rule = SubsetRule(
            num_classes=count,
            clips_per_class={split: counts[split] for split in files},
            motion_share=motion_share,
            classes=labels,
            seed=seed,
        )
    rows = {split: read_annotations(path) for split, path in files.items()}
    for path in write_subset(out, draw_subset(rows, rule)).values():
        typer.echo(path)


@kinetics_app.command("download")
def kinetics_download(
    out: Annotated[Path, typer.Option(help="Folder for the clips.")],
    release: Annotated[str, typer.Option(help="400, 600 or 700_2020.")] = "400",
    split: Annotated[
        str | None, typer.Option(help="train, val or test (default: val; a subset's own splits).")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help="mini10, mini40, or a folder with a subset's CSV files.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Labels, with commas between (default: all).")] = None,
    per_class: Annotated[int | None, typer.Option(help="Clips of each label at most.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of a named subset's draw.")] = 0,
    mirror: Annotated[str | None, typer.Option(help="Base address of the mirror.")] = None,
) -> None:
    """Fetch chosen clips from the public mirror as its archives stream by; exit code 1 if any is missing."""
    from dataclasses import replace

    from vtlearn.data.download import MIRROR, download_clips, fetch_annotations
    from vtlearn.data.kinetics import Annotation, read_annotations
    from vtlearn.data.subset import SUBSETS, draw_subset
    from vtlearn.errors import ArgumentError, DataError

    address = mirror or MIRROR

    def published(split: str) -> list[Annotation]:
        return fetch_annotations(release, split, mirror=address, folder=out / ".annotations")

    wanted: dict[str, list[Annotation]]
    if subset is None:
        wanted = {split or "val": published(split or "val")}
    elif subset in SUBSETS:
        rule = replace(SUBSETS[subset], seed=seed)
        wanted = draw_subset({name: published(name) for name in rule.clips_per_class}, rule)
    elif Path(subset).is_dir():
        wanted = {path.stem: read_annotations(path) for path in sorted(Path(subset).glob("*.csv"))}
    else:
        raise ArgumentError("subset", subset, f"one of {', '.join(SUBSETS)} or a folder with its CSV files")
    if subset is not None and split is not None:
        if split not in wanted:
            raise DataError(f"the subset {subset} has no split {split!r}")
        wanted = {split: wanted[split]}
    incomplete = False
    for part, rows in wanted.items():
        if classes is not None:
            labels = _labels(classes)
            unknown = sorted(set(labels) - {row.label for row in rows})
            if unknown:
                raise DataError(f"k{release} {part}: no clip has the label {unknown[0]!r}")
            rows = [row for row in rows if row.label in labels]
        fetched = download_clips(
            rows, out, release=release, split=part, per_class=per_class, mirror=address, progress=True
        )
        typer.echo(f"{part}: {fetched.describe()}")
        incomplete = incomplete or bool(fetched.absent or fetched.failed)
    if incomplete:
        raise typer.Exit(1)


def _labels(text: str) -> tuple[str, ...]:
    return tuple(label.strip() for label in text.split(",") if label.strip())
