"""A learner's progress as one file to hand in: passes, attempts, hints, and the answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vtlearn import __version__
from vtlearn.course import progress
from vtlearn.course.exercise import exercises
from vtlearn.course.quiz import questions
from vtlearn.errors import ArgumentError, DataError
from vtlearn.files import write_json

EXPORT_FORMAT = "vtlearn progress 1"


def exported() -> dict[str, Any]:
    """The progress kept on this machine, every exercise named, ready for JSON.

    >>> sorted(exported())
    ['exercises', 'format', 'quiz', 'vtlearn']
    """
    state = progress.read()
    kept, answered = state.get("exercises", {}), state.get("quiz", {})
    listed: dict[str, dict[str, Any]] = {}
    for one in exercises():
        entry = kept.get(one.id, {})
        listed[one.id] = {
            "passed": entry.get("passed") is True,
            "attempts": _count(entry.get("attempts")),
            "hints": _count(entry.get("hints")),
        }
        if listed[one.id]["passed"] and isinstance(entry.get("source"), str):
            listed[one.id]["source"] = entry["source"]
    quiz = {
        name: answered.get(name) is True if name in answered else None
        for lesson in sorted({one.lesson for one in exercises()})
        for name in _question_ids(lesson)
    }
    return {"format": EXPORT_FORMAT, "vtlearn": __version__, "exercises": listed, "quiz": quiz}


def export_progress(path: str | os.PathLike[str]) -> Path:
    """Write :func:`exported` as JSON, whole or not at all; gives the path back.

    Raises:
        DataError: nothing can be written there.
    """
    try:
        return write_json(path, exported())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _question_ids(lesson: str) -> list[str]:
    """A lesson being written may have exercises and no quiz yet."""
    try:
        return [f"{lesson}.{number}" for number in range(1, len(questions(lesson)) + 1)]
    except ArgumentError:
        return []
