"""An exercise, where to find them all, and the one door that checks an answer."""

from __future__ import annotations

import ast
import functools
import importlib
import linecache
import pkgutil
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vtlearn.course import progress
from vtlearn.course.judge import TIME_LIMIT_SECONDS, CheckResult, judge
from vtlearn.errors import ArgumentError, require

PRELUDE = """\
import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn
"""
"""The names every stub, solution and answer may use; the first code cell of each lesson imports them too."""

EXERCISE_FOLDER = "vtlearn.course.exercises"
Answer = str | Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class WrongAnswer:
    """A mistake that a real person makes, and what the check must say to it.

    Args:
        name: the mistake in a few words.
        answer: source that defines the function under the stub's name, or the function.
        says: a piece of the message that this answer must get.
        right_on: runs an answer where this mistake does not show (equal sizes, symmetric input);
            the tests prove that it gives what the solution gives there.
    """

    name: str
    answer: Answer
    says: str
    right_on: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise: what the learner reads, what is checked, and the answers that prove the check.

    Args:
        id: lesson and number, such as "06.3".
        title: a few words.
        core: True on the short path through the course, False for an extra.
        difficulty, importance: 1 to 5.
        minutes: what a newcomer needs.
        why: one sentence.
        contract: bullets (Markdown) that say what goes in, what comes out, and what is refused.
        stub: source of the stub: one function or class whose body raises ``NotImplementedError(id)``.
        check: takes the answer; raises :class:`vtlearn.course.judge.Mistake` at the first failure.
        probe: runs an answer once on an input without symmetry and returns what it gives; the tests compare
            answers through it.
        hints: concept, shapes, nearly code.
        solution: source in place of the stub.
        right_answers: style → source or function; at least three.
        wrong_answers: at least four.
        what_to_see: the expected figure or numbers.
        library: what ``mine(id)`` gives until the learner's own has passed; the solution where there is none.
        expects_function: False where the answer is a value (a number, a plan).
        not_by: doors to which an answer may not merely forward (see :func:`vtlearn.course.judge.judge`).
        may_use: modules of vtlearn that an answer may call all the same.
    """

    id: str
    title: str
    core: bool
    difficulty: int
    importance: int
    minutes: int
    why: str
    contract: tuple[str, ...]
    stub: str
    check: Callable[[Any], None]
    probe: Callable[[Any], Any]
    hints: tuple[str, str, str]
    solution: str
    right_answers: Mapping[str, Answer]
    wrong_answers: tuple[WrongAnswer, ...]
    what_to_see: str
    library: Callable[..., Any] | None = None
    expects_function: bool = True
    not_by: tuple[str, ...] = ("vtlearn",)
    may_use: tuple[str, ...] = ()
    name: str = field(init=False)

    def __post_init__(self) -> None:
        require(bool(re.fullmatch(r"\d\d\.\d{1,2}", self.id)), "id", self.id, "of the form '06.3'")
        require(self.difficulty in range(1, 6), "difficulty", self.difficulty, "between 1 and 5")
        require(self.importance in range(1, 6), "importance", self.importance, "between 1 and 5")
        require(len(self.hints) == 3, "hints", self.hints, "three: concept, shapes, nearly code")
        for text in ("stub", "solution"):
            object.__setattr__(self, text, textwrap.dedent(getattr(self, text)).strip("\n") + "\n")
        object.__setattr__(self, "name", _defined_name(self.stub, self.id))

    @property
    def lesson(self) -> str:
        """The lesson's two digits."""
        return self.id[:2]

    def compile(self, answer: Answer | None = None) -> Any:
        """Source (the solution, where none is given) → the function, class or value it defines."""
        if answer is not None and not isinstance(answer, str):
            return answer
        source = self.solution if answer is None else textwrap.dedent(answer).strip("\n") + "\n"
        return compile_answer(source, self.name, label=self.id)


def exercises(lesson: str | None = None) -> list[Exercise]:
    """All exercises in order, or those of one lesson ("03").

    >>> [exercise.id for exercise in exercises("00")][:1]
    ['00.1']
    """
    return [
        exercise for number in lesson_numbers() if lesson in (None, number) for exercise in _of_lesson(number)
    ]


def exercise(exercise_id: str) -> Exercise:
    """The exercise of this id.

    Raises:
        ArgumentError: there is none.
    """
    known = _of_lesson(exercise_id[:2]) if exercise_id[:2] in lesson_numbers() else ()
    for candidate in known:
        if candidate.id == exercise_id:
            return candidate
    options = ", ".join(candidate.id for candidate in known) or "such as '00.1'"
    raise ArgumentError("exercise_id", exercise_id, f"an exercise ({options})")


def check(exercise_id: str, answer: Any, *, seconds: float = TIME_LIMIT_SECONDS) -> CheckResult:
    """Judge ``answer``; a pass is remembered in the learner's progress.

    >>> stub = exercise("00.1").compile(exercise("00.1").stub)
    >>> check("00.1", stub)
    not attempted yet
    """
    wanted = exercise(exercise_id)
    result = judge_exercise(wanted, answer, seconds=seconds)
    progress.record(exercise_id, answer, passed=result.passed, attempted=result.attempted)
    return result


def judge_exercise(wanted: Exercise, answer: Any, *, seconds: float = TIME_LIMIT_SECONDS) -> CheckResult:
    """What :func:`check` says, without remembering it."""
    return judge(
        wanted.check,
        answer,
        expects_function=wanted.expects_function,
        not_by=wanted.not_by,
        may_use=wanted.may_use,
        seconds=seconds,
    )


def mine(exercise_id: str) -> Any:
    """The learner's own answer once it has passed, else the library's: lessons go on with *your* code.

    >>> callable(mine("00.1"))
    True
    """
    wanted = exercise(exercise_id)
    own = progress.answer_in_memory(exercise_id)
    if own is not None:
        return own
    source = progress.answer_source(exercise_id)
    if source is not None:
        kept = _compiled_and_judged(exercise_id, source)
        if kept is not None:
            return kept
    return wanted.library if wanted.library is not None else wanted.compile()


def compile_answer(source: str, name: str, *, label: str) -> Any:
    """Run ``source`` after the prelude and take what it calls ``name``; tracebacks can show its lines."""
    filename = f"<answer {label} {abs(hash(source)):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"__name__": "__answer__"}
    exec(compile(PRELUDE, "<prelude>", "exec", dont_inherit=True), namespace)
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)  # as in a cell, not as in this file
    require(name in namespace, "answer", source, f"source that defines {name}")
    return namespace[name]


@functools.lru_cache(maxsize=1)
def lesson_numbers() -> tuple[str, ...]:
    """The two digits of every lesson that has exercises."""
    found = (
        module.name for module in pkgutil.iter_modules(importlib.import_module(EXERCISE_FOLDER).__path__)
    )
    return tuple(sorted(name.removeprefix("lesson_") for name in found if name.startswith("lesson_")))


@functools.cache
def _of_lesson(number: str) -> tuple[Exercise, ...]:
    module = importlib.import_module(f"{EXERCISE_FOLDER}.lesson_{number}")
    return tuple(module.EXERCISES)


@functools.lru_cache(maxsize=64)
def _compiled_and_judged(exercise_id: str, source: str) -> Any:
    wanted = exercise(exercise_id)
    try:
        answer = compile_answer(source, wanted.name, label=exercise_id)
    except Exception:  # a learner's file may hold anything
        return None
    return answer if judge_exercise(wanted, answer).passed else None


def _defined_name(stub: str, exercise_id: str) -> str:
    """The name of the stub's last function, class or assignment."""
    last = ast.parse(stub).body[-1]
    if isinstance(last, (ast.FunctionDef, ast.ClassDef)):
        return last.name
    if isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name):
        return last.targets[0].id
    raise ArgumentError("stub", exercise_id, "source that ends with a function, a class or an assignment")
