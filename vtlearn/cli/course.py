"""The lessons: ``vtlearn start``, ``reset`` and ``progress``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, app


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
