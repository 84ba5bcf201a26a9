"""The learner's progress: one small JSON file, written whole or not at all, readable after a crash."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import linecache
import os
import sys
import textwrap
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from vtlearn.files import write_text
from vtlearn.runtime import on_ci

_PASSED_HERE: dict[str, Any] = {}


def state_folder() -> Path:
    """Where the learner's state lives: ``VTLEARN_STATE``, else the user's state folder of this system."""
    named = os.environ.get("VTLEARN_STATE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "vtlearn"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "vtlearn"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "vtlearn"


def is_kept() -> bool:
    """False on CI, where nothing is written and every lesson starts unsolved."""
    return not on_ci()


def record(exercise_id: str, answer: Any, *, passed: bool, attempted: bool) -> None:
    """Remember one check: the count of attempts, and the source of an answer that passed."""
    if passed:
        _PASSED_HERE[exercise_id] = answer
    if not is_kept() or not attempted:
        return
    state = read()
    entry = state.setdefault("exercises", {}).setdefault(exercise_id, {"passed": False, "attempts": 0})
    entry["attempts"] += 1
    if passed:
        entry["passed"] = True
        source = source_of(answer)
        if source is not None:
            entry["source"] = source
    write(state)


def note_hint(exercise_id: str, hints: int) -> None:
    """Remember how many hints were opened."""
    if is_kept():
        state = read()
        entry = state.setdefault("exercises", {}).setdefault(exercise_id, {"passed": False, "attempts": 0})
        entry["hints"] = max(int(entry.get("hints", 0)), hints)
        write(state)


def note_quiz(question_id: str, right: bool) -> None:
    """Remember whether a quiz question was answered rightly."""
    if is_kept():
        state = read()
        state.setdefault("quiz", {})[question_id] = right
        write(state)


def passed_exercises() -> set[str]:
    """Ids of all exercises passed so far, in this kernel or before."""
    kept = {name for name, entry in _entries().items() if entry.get("passed") is True}
    return kept | set(_PASSED_HERE)


def answer_in_memory(exercise_id: str) -> Any:
    """The answer that passed in this kernel, or None."""
    return _PASSED_HERE.get(exercise_id)


def answer_source(exercise_id: str) -> str | None:
    """The source of the answer that passed, as kept on disk, or None."""
    source = _entries().get(exercise_id, {}).get("source")
    return source if isinstance(source, str) else None


def forget(lesson: str | None = None) -> None:
    """Forget the progress of one lesson ("03"), or all of it."""
    for name in [name for name in _PASSED_HERE if lesson in (None, name[:2])]:
        del _PASSED_HERE[name]
    if is_kept():
        state = read()
        for part in ("exercises", "quiz"):
            kept = state.get(part, {})
            state[part] = {name: entry for name, entry in kept.items() if lesson not in (None, name[:2])}
        write(state)


def read() -> dict[str, Any]:
    """The state; empty where there is none, is not kept, or cannot be read (the broken file is put aside)."""
    path = state_folder() / "progress.json"
    if not is_kept() or not path.is_file():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        parts = [state.setdefault("exercises", {}), state.setdefault("quiz", {})]
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError
        if not all(isinstance(entry, dict) for entry in parts[0].values()):
            raise ValueError
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".broken.json"))
        return {}
    return state


def write(state: dict[str, Any]) -> None:
    """Write the state beside the file and rename it: a crash leaves the old one whole."""
    write_text(state_folder() / "progress.json", json.dumps(state, indent=1, sort_keys=True))


def source_of(answer: Any) -> str | None:
    """Source that defines ``answer`` again on its own, with the notebook's functions and imports it leans on.

    None where Python no longer knows the source.
    """
    pieces: list[str] = []
    seen: set[str] = set()
    try:
        _gather(answer, pieces, seen)
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None
    return "\n".join(pieces)


def _gather(thing: Any, pieces: list[str], seen: set[str]) -> None:
    source = _source_of_class(thing) if isinstance(thing, type) else inspect.getsource(thing)
    source = textwrap.dedent(source)
    tree = ast.parse(source)
    seen.add(getattr(thing, "__name__", ""))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in sorted(used - seen):
        around = _globals_of(thing)
        if name not in around:
            continue
        value = around[name]
        seen.add(name)
        if isinstance(value, ModuleType):
            pieces.append(f"import {value.__name__} as {name}\n")
        elif isinstance(value, (FunctionType, type)) and value.__module__ in ("__main__", "__answer__"):
            _gather(value, pieces, seen)
        elif isinstance(value, (FunctionType, type)):
            pieces.append(f"from {value.__module__} import {value.__qualname__} as {name}\n")
        elif isinstance(value, (bool, int, float, str)):
            pieces.append(f"{name} = {value!r}\n")
    pieces.append(source)


def _source_of_class(thing: type) -> str:
    """A class typed into a notebook belongs to no file; its methods still know their cell."""
    for member in vars(thing).values():
        if isinstance(member, FunctionType):
            text = "".join(linecache.getlines(member.__code__.co_filename))
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                    return "\n".join(text.splitlines()[first - 1 : node.end_lineno]) + "\n"
    raise OSError(f"no source of {thing.__name__}")


def _globals_of(thing: Any) -> dict[str, Any]:
    if isinstance(thing, type):
        for member in vars(thing).values():
            if isinstance(member, FunctionType):
                return member.__globals__
        return {}
    return getattr(inspect.unwrap(thing), "__globals__", {})


def _entries() -> dict[str, dict[str, Any]]:
    return read().get("exercises", {})
