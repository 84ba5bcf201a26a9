"""A setting declared once, as a field of a dataclass: its default, help, type and range; options, files and
checks follow from it.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from vtlearn.errors import ArgumentError, require, require_one_of, require_positive

PRECISIONS = ("float32", "bfloat16", "float16")
"""What a model can compute in."""


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    flag: str | None = None,
    positive: bool = False,
    at_least: int | float | None = None,
    above: int | float | None = None,
    below: int | float | None = None,
    choices: Iterable[str] = (),
    factory: Any = dataclasses.MISSING,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: its value unless set; none where it must be set.
        help: one sentence, as the command line shows it.
        flag: the option's name where it is not the field's.
        positive: a whole number of at least 1.
        at_least, above, below: the range; a value None is always allowed where it is the default.
        choices: the only values.
        factory: makes the default, for one that can change.
    """
    declared: dict[str, Any] = {"help": help, "flag": flag, "positive": positive, "choices": tuple(choices)}
    declared |= {"at_least": at_least, "above": above, "below": below}
    return dataclasses.field(default=default, default_factory=factory, metadata=declared)


def check_settings(settings: Any) -> None:
    """Refuse values outside their declared range.

    Raises:
        ArgumentError: names the setting, its value and what would do.

    >>> @dataclasses.dataclass
    ... class Settings:
    ...     rate: float = setting(0.1, help="The rate.", at_least=0, below=1)
    >>> check_settings(Settings(rate=1.0))
    Traceback (most recent call last):
    ...
    vtlearn.errors.ArgumentError: rate must be in [0, 1), got 1.0
    """
    for each in dataclasses.fields(settings):
        value, told = getattr(settings, each.name), each.metadata
        if not told or (value is None and each.default is None):
            continue
        if told["positive"]:
            require_positive(**{each.name: value})
        if isinstance(value, float):
            require(math.isfinite(value), each.name, value, "a finite number")
        if told["choices"]:
            require_one_of(each.name, value, told["choices"])
        low, above, below = told["at_least"], told["above"], told["below"]
        inside = (low is None or value >= low) and (above is None or value > above)
        words = f"in [{low}, {below})" if below is not None else f"above {above}" if low is None else None
        require(inside and (below is None or value < below), each.name, value, words or f"{low} or more")


def typed(name: str, value: Any, kind: Any) -> Any:
    """``value`` as a setting's type has it, from JSON or TOML.

    Raises:
        ArgumentError: a value of another type; names the setting.

    >>> typed("scale_jitter", [0.9, 1.3], tuple[float, float]), typed("ema", None, float | None)
    ((0.9, 1.3), None)
    """
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    choices = typing.get_args(kind) if is_union else (kind,)
    for choice in choices:
        origin = typing.get_origin(choice) or choice
        if origin is type(None) and value is None:
            return None
        if origin is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if origin is tuple and isinstance(value, (list, tuple)):
            return tuple(value)
        if origin is Mapping and isinstance(value, Mapping):
            return dict(value)
        if origin in (bool, int, str) and type(value) is origin:
            return value
    names = [getattr(typing.get_origin(each) or each, "__name__", str(each)) for each in choices]
    raise ArgumentError(name, value, "of type " + " or ".join(names).replace("NoneType", "nothing"))


def typed_fields(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are fields of a settings dataclass, each of its field's type."""
    hints = typing.get_type_hints(kind)
    names = {each.name for each in dataclasses.fields(kind)}
    return {name: typed(name, value, hints[name]) for name, value in values.items() if name in names}
