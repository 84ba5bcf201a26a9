"""Options that follow from the settings' declarations, so that none is written twice."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from vtlearn.errors import ArgumentError
from vtlearn.runs.settings import TrainingSettings
from vtlearn.train.recipes import Recipe

_DECLARED = {
    each.name: (each, typing.get_type_hints(kind)[each.name])
    for kind in (Recipe, TrainingSettings)
    for each in dataclasses.fields(kind)
}
_WRITTEN = (bool, int, float, str)  # what the command line can say of itself; the rest is written as text


def option(name: str, help: str | None = None) -> Any:
    """The command line's option for a setting, with the declared name and help."""
    declared = _DECLARED[name][0].metadata
    spelled = declared["flag"] or f"--{name.replace('_', '-')}"
    return typer.Option(spelled, help=help or declared["help"])


def takes_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each of these settings, in the place of its parameter ``given``, which
    gets those that were given.
    """

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        parameters: list[inspect.Parameter] = []
        hints = typing.get_type_hints(command, include_extras=True)
        for each in inspect.signature(command).parameters.values():
            if each.name == "given":
                parameters += [_parameter(name) for name in names]
            else:
                parameters.append(each.replace(annotation=hints[each.name]))

        @wraps(command)
        def told(**values: Any) -> None:
            said = {name: values.pop(name) for name in names}
            command(
                **values,
                given={name: _read(name, value) for name, value in said.items() if value is not None},
            )

        told.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        told.__annotations__ = {each.name: each.annotation for each in parameters}
        return told

    return with_options


def _parameter(name: str) -> inspect.Parameter:
    hint = _DECLARED[name][1]
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next((each for each in kinds if each in _WRITTEN), str)
    annotation = Annotated[kind | None, option(name)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _read(name: str, value: Any) -> Any:
    """A value as the command line gives it; several numbers stand with commas between."""
    if typing.get_origin(_DECLARED[name][1]) is types.UnionType and isinstance(value, str):
        arguments = [each for each in typing.get_args(_DECLARED[name][1]) if typing.get_origin(each) is tuple]
        if arguments:
            parts = value.split(",")
            wanted = typing.get_args(arguments[0])
            if len(parts) != len(wanted) or not all(part.strip().lstrip("-").isdecimal() for part in parts):
                raise ArgumentError(name, value, "two whole numbers with a comma between")
            return [int(part) for part in parts]
    return value
