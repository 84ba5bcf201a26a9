"""What this machine has: ``vtlearn doctor``."""

from __future__ import annotations

import json

import typer

from vtlearn.cli.app import JsonOption, app


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
