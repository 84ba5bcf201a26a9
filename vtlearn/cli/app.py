"""The command line's root, and what its subcommands share."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="vtlearn",
    help="Video transformers from scratch: lessons, models, training and the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def group(name: str, about: str) -> typer.Typer:
    """A named group of subcommands below the root."""
    made = typer.Typer(no_args_is_help=True, help=about)
    app.add_typer(made, name=name)
    return made
