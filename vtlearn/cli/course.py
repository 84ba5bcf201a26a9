"""The lessons: ``vtlearn start``, ``reset``, ``progress``; for those who teach ``grade``, ``new-lesson``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, app
from vtlearn.errors import DataError


@app.command()
def start(
    lesson: Annotated[str | None, typer.Argument(help="Number of a lesson (default: all).")] = None,
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
def progress(
    as_json: JsonOption = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write it to this file, with the answers, to hand in.")
    ] = None,
) -> None:
    """Say which exercises you have passed."""
    from vtlearn.course import workspace
    from vtlearn.course.exercise import exercises
    from vtlearn.course.export import export_progress
    from vtlearn.course.progress import passed_exercises

    if export is not None:
        typer.echo(export_progress(export), err=as_json)
        if not as_json:
            return
    if not as_json:
        typer.echo(workspace.progress())
        return
    done = passed_exercises()
    rows = [{"id": one.id, "title": one.title, "passed": one.id in done} for one in exercises()]
    typer.echo(json.dumps(rows, indent=2))


@app.command("grade")
def grade_files(
    files: Annotated[list[Path], typer.Argument(help="Learners' notebooks, or exports of their progress.")],
    table: Annotated[Path | None, typer.Option("--csv", help="Write one line an exercise and file.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time limit of each check.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Rerun the checks on what learners handed in; exit code 1 if not all is passed, 2 for bad files."""
    from vtlearn.course.grading import Row, grade, write_csv

    rows: list[Row] = []
    unread: list[str] = []
    for path in files:
        try:
            found = grade(path, seconds=seconds)
        except DataError as error:
            unread.append(str(error))
            continue
        rows += found
        if not as_json:
            typer.echo(f"{path}: {sum(row.passed for row in found)} of {len(found)} passed")
            for row in found:
                if not row.passed:
                    typer.echo(f"  {row.exercise} {row.title}: {row.message}")
    if table is not None:
        write_csv(table, rows)
    if as_json:
        typer.echo(json.dumps({"rows": [asdict(row) for row in rows], "unread": unread}, indent=2))
    if unread:
        raise DataError("; ".join(unread))
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


@app.command("new-lesson")
def new_lesson_files(
    number: Annotated[str, typer.Argument(help="Its two digits.")],
    slug: Annotated[str, typer.Argument(help="Its name in file names, such as long_video.")],
    title: Annotated[str, typer.Argument(help="What stands above it.")],
) -> None:
    """Write the files of a new lesson, which passes the gates as it stands; nothing is overwritten."""
    from vtlearn.course.template import new_lesson
    from vtlearn.course.workspace import REPOSITORY

    for path in new_lesson(number, slug, title, REPOSITORY):
        typer.echo(path.relative_to(REPOSITORY))
    typer.echo(
        f"now: python -m vtlearn.course.notebooks build {number.zfill(2)}; "
        "then its row in README.md, and its place in docs/teaching.md and docs/coverage.md"
    )
