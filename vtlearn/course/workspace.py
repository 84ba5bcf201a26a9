"""The learner's own copies of the lessons: made once, never overwritten, restored only on request."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from vtlearn.course import progress as learner_progress
from vtlearn.course.exercise import exercises
from vtlearn.errors import ArgumentError, DataError
from vtlearn.files import written_aside

REPOSITORY = Path(__file__).resolve().parents[2]


def lesson_notebooks(repository: Path = REPOSITORY) -> dict[str, Path]:
    """The lessons as they come with the repository: number → notebook.

    Raises:
        DataError: there are none, because the package was installed without its repository.
    """
    found = {
        path.name[:2]: path
        for path in sorted((repository / "notebooks").glob("*.ipynb"))
        if re.match(r"\d\d_", path.name)
    }
    if not found:
        raise DataError(f"{repository / 'notebooks'}: no lessons here; work from a clone of the repository")
    return found


def start(lesson: str | None = None, repository: Path = REPOSITORY) -> list[Path]:
    """Copy one lesson ("03"), or all, into ``work/`` where it is not yet there; returns the copies' paths.

    Raises:
        ArgumentError: no such lesson.
    """
    lessons = lesson_notebooks(repository)
    chosen = list(lessons) if lesson is None else [_known(lesson, lessons)]
    return [_copied(lessons[number], repository) for number in chosen]


def reset(lesson: str, repository: Path = REPOSITORY) -> tuple[Path, Path | None]:
    """Put a fresh copy of a lesson in ``work/``; returns it, and the backup of the learner's own or None.

    Raises:
        ArgumentError: no such lesson.
    """
    lessons = lesson_notebooks(repository)
    original = lessons[_known(lesson, lessons)]
    own = repository / "work" / original.name
    backup = None
    if own.is_file():
        folder = own.parent / "backup"
        folder.mkdir(exist_ok=True)
        taken = {path.name for path in folder.iterdir()}
        count = next(n for n in range(1, len(taken) + 2) if f"{own.stem}.{n}.ipynb" not in taken)
        backup = folder / f"{own.stem}.{count}.ipynb"
        own.replace(backup)
    return _copied(original, repository), backup


def open_lab(lesson: Path, repository: Path = REPOSITORY) -> int:
    """Open JupyterLab at a lesson and stay until it ends; without a display it only prints its address.

    Returns:
        JupyterLab's exit code; 0 when it was stopped by hand.

    Raises:
        DataError: JupyterLab is not installed here.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise DataError("JupyterLab is not installed here: run `make lab`")
    address = f"/lab/tree/{lesson.relative_to(repository).as_posix()}"  # also what is printed to click on
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={repository}"]
    command.append(f"--LabApp.default_url={address}")
    if not _has_display():
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # containers; JupyterLab refuses root otherwise
    try:
        return subprocess.call(command, cwd=repository)
    except KeyboardInterrupt:
        return 0


def progress() -> str:
    """The learner's progress, one line a lesson.

    >>> print(progress().splitlines()[0].split(":")[0])
    lesson 00
    """
    done = learner_progress.passed_exercises()
    lines = []
    for lesson in sorted({one.lesson for one in exercises()}):
        marks = [f"{'✔' if one.id in done else '○'} {one.id} {one.title}" for one in exercises(lesson)]
        passed = sum(one.id in done for one in exercises(lesson))
        lines.append(f"lesson {lesson}: {passed} of {len(marks)} passed")
        lines += [f"  {mark}" for mark in marks]
    return "\n".join(lines)


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _known(lesson: str, lessons: dict[str, Path]) -> str:
    number = lesson.zfill(2)
    if number not in lessons:
        raise ArgumentError("lesson", lesson, "one of " + ", ".join(lessons))
    return number


def _copied(original: Path, repository: Path) -> Path:
    own = repository / "work" / original.name
    if not own.exists():
        with written_aside(own) as aside:
            shutil.copyfile(original, aside)
    return own
