"""The catalogue: ``vtlearn models`` and ``vtlearn cost``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, app


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
