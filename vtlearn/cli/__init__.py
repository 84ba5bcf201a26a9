"""The command line: a module for each area, a thin function for each subcommand; errors a user can cause
become one line and exit code 2."""

from __future__ import annotations

import sys

from vtlearn.cli import compare, course, data, kinetics, machine, models, samples, train
from vtlearn.cli.app import app
from vtlearn.errors import VtlearnError

__all__ = ["app", "compare", "course", "data", "kinetics", "machine", "main", "models", "samples", "train"]


def main() -> None:
    """Entry point of the ``vtlearn`` command: 0 done, 1 done and something is wrong, 2 bad input."""
    try:
        app()
    except VtlearnError as error:
        sys.stderr.write(f"vtlearn: {error}\n")
        raise SystemExit(error.exit_code) from None
