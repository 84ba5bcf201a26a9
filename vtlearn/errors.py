"""The library's exceptions and argument checks: every message names the argument and its value."""

from __future__ import annotations

from collections.abc import Iterable


class VtlearnError(Exception):
    """Base of all errors a user can cause; the command line prints it as one line and exits with
    ``exit_code``."""

    exit_code = 2


class ArgumentError(VtlearnError, ValueError):
    """An argument that cannot be: says which one, what was given and what would do.

    >>> raise ArgumentError("window_size", 8, "an odd number")
    Traceback (most recent call last):
    ...
    vtlearn.errors.ArgumentError: window_size must be an odd number, got 8
    """

    def __init__(self, argument: str, value: object, expected: str) -> None:
        super().__init__(f"{argument} must be {expected}, got {value!r}")
        self.argument = argument
        self.value = value


class DataError(VtlearnError):
    """A file, clip or annotation that cannot be used; the message names the file, and the row where there
    is one."""


class CheckpointError(VtlearnError):
    """A checkpoint that cannot be read, or that belongs to something else."""


class Stopped(VtlearnError):
    """Work was stopped from outside; what was done is kept, and the message says how to go on."""

    exit_code = 1


def require(condition: bool, argument: str, value: object, expected: str) -> None:
    """Raise :class:`ArgumentError` unless ``condition`` holds."""
    if not condition:
        raise ArgumentError(argument, value, expected)


def require_positive(**arguments: int) -> None:
    """Every keyword must be an integer of at least 1.

    >>> require_positive(depth=4, num_heads=2)
    """
    for name, value in arguments.items():
        require(
            isinstance(value, int) and not isinstance(value, bool) and value >= 1,
            name,
            value,
            "a positive integer",
        )


def require_odd(**arguments: int) -> None:
    """Every keyword must be a positive odd integer (a window has one centre)."""
    require_positive(**arguments)
    for name, value in arguments.items():
        require(value % 2 == 1, name, value, "odd (a centre and as many positions on each side)")


def require_probability(**arguments: float) -> None:
    """Every keyword must lie in [0, 1)."""
    for name, value in arguments.items():
        require(0.0 <= value < 1.0, name, value, "in [0, 1)")


def require_divisible(name: str, value: int, by: str, divisor: int) -> None:
    """``value`` must be a multiple of ``divisor``; both names appear in the message."""
    require(value % divisor == 0, name, value, f"a multiple of {by} = {divisor}")


def require_one_of(name: str, value: object, choices: Iterable[object]) -> None:
    """``value`` must be one of ``choices``."""
    options = list(choices)
    require(value in options, name, value, "one of " + ", ".join(repr(option) for option in options))
