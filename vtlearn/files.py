"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` when the block ends well.

    A reader of ``path`` sees the old file or the new one, never half of either. A block that raises leaves
    the old file as it was, and nothing beside it. Missing folders are made.

    Args:
        path: where the file shall be. What is yielded lies in the same folder, so that the renaming is one
            step, and has the same suffix, for writers that go by it.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with written_aside(folder / "a.txt") as aside:
    ...     _ = aside.write_text("whole")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('whole', 1)
    """
    whole = Path(path)
    whole.parent.mkdir(parents=True, exist_ok=True)
    aside = whole.with_name(f".{whole.stem}.{uuid.uuid4().hex}.partial{whole.suffix}")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(whole)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write ``text`` as UTF-8, with line ends as they are, in one step; gives the path back."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="")
    return Path(path)


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 2) -> Path:
    """Write ``value`` as JSON in one step; gives the path back.

    Raises:
        TypeError: ``value`` holds something that JSON has no form for; nothing is written.
    """
    return write_text(path, json.dumps(value, indent=indent) + "\n")
