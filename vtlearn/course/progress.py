"""The learner's progress: one small JSON file, written whole or not at all, readable after a crash."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import json
import linecache
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from filelock import FileLock, Timeout

from vtlearn.files import write_text
from vtlearn.runtime import on_ci

_PATIENCE = 5.0  # seconds to wait for another notebook
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
    if not attempted:
        return
    source = source_of(answer) if passed and is_kept() else None
    with changed() as state:
        entry = _entry(state, exercise_id)
        entry["attempts"] += 1
        if passed:
            entry["passed"] = True
            if source is not None:
                entry["source"] = source


def note_hint(exercise_id: str, hints: int) -> None:
    """Remember how many hints were opened."""
    with changed() as state:
        entry = _entry(state, exercise_id)
        entry["hints"] = max(entry.get("hints", 0), hints)


def note_quiz(question_id: str, right: bool) -> None:
    """Remember whether a quiz question was answered rightly."""
    with changed() as state:
        state["quiz"][question_id] = right


def _entry(state: dict[str, Any], exercise_id: str) -> dict[str, Any]:
    entry: dict[str, Any] = state["exercises"].setdefault(exercise_id, {"passed": False, "attempts": 0})
    return entry


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
    with changed() as state:
        for part in ("exercises", "quiz"):
            state[part] = {
                name: entry for name, entry in state[part].items() if lesson not in (None, name[:2])
            }


@contextlib.contextmanager
def changed() -> Iterator[dict[str, Any]]:
    """The state, to be changed inside the block and then written; other notebooks wait for their turn.

    Where it cannot be read or written, or another notebook holds it too long, one line says so; the block
    runs all the same, and what is on the disk stays as it was.
    """
    state: dict[str, Any] = {"exercises": {}, "quiz": {}}
    if not is_kept():
        yield state
        return
    folder, complaint = state_folder(), None
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / ".progress.lock", timeout=_PATIENCE))
            state = _load(folder / "progress.json")
        except OSError as error:
            complaint = error
        yield state
        if complaint is None:
            try:
                write(state)
            except OSError as error:
                complaint = error
    if complaint is not None:
        reason = "another notebook holds it" if isinstance(complaint, Timeout) else complaint.strerror
        print(f"Your progress was not kept: {folder} ({reason}). Your answer is judged all the same.")


def read() -> dict[str, Any]:
    """The state; empty where there is none, is not kept, or cannot be read just now."""
    path = state_folder() / "progress.json"
    if not is_kept() or not path.is_file():
        return {}
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return {}
    except ValueError:
        with changed() as state:  # puts the broken file aside
            return state


def _load(path: Path) -> dict[str, Any]:
    """The state of a file; one that holds no state is set aside under a name of its own."""
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        numbered = (path.with_suffix(f".broken.{number}.json") for number in itertools.count(1))
        path.replace(next(name for name in numbered if not name.exists()))
    return {"exercises": {}, "quiz": {}}


def _parsed(text: bytes) -> dict[str, Any]:
    """A state from JSON, its counts whole numbers.

    Raises:
        ValueError: no state.
    """
    try:
        state = json.loads(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(state, dict):
        raise ValueError("no object")
    entries, quiz = state.setdefault("exercises", {}), state.setdefault("quiz", {})
    if not isinstance(entries, dict) or not isinstance(quiz, dict):
        raise ValueError("no exercises")
    for entry in entries.values():
        if not isinstance(entry, dict):
            raise ValueError("no exercise")
        for name in ("attempts", "hints"):
            if name in entry or name == "attempts":
                entry[name] = entry.get(name) if type(entry.get(name)) is int else 0
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
