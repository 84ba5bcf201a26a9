"""Every exercise of every lesson: right answers pass, wrong ones fail with their own message."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vtlearn.course import exercises
from vtlearn.course.exercise import Exercise, WrongAnswer, judge_exercise
from vtlearn.course.judge import NOT_ATTEMPTED

EXERCISES = exercises()
RIGHT = [(e, style) for e in EXERCISES for style in e.right_answers]
WRONG = [(e, wrong) for e in EXERCISES for wrong in e.wrong_answers]
CANNOT_READ = "the check could not read"


def names(value: Any) -> str:
    if isinstance(value, Exercise):
        return value.id
    return re.sub(r"\W+", "-", value.name if isinstance(value, WrongAnswer) else str(value))


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_exercise_is_complete(exercise):
    assert len(exercise.right_answers) >= 3
    assert len(exercise.wrong_answers) >= 4
    assert len({wrong.name for wrong in exercise.wrong_answers}) == len(exercise.wrong_answers)
    assert f'NotImplementedError("{exercise.id}")' in exercise.stub
    assert exercise.contract
    assert all(text.strip() for text in (exercise.title, exercise.why, exercise.what_to_see, *exercise.hints))
    assert exercise.why.rstrip().endswith(".")
    assert all(exercise.compile(wrong.answer) is not None for wrong in exercise.wrong_answers)


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_solution_passes_twice(exercise):
    for _ in range(2):  # a check leaves nothing behind
        assert judge_exercise(exercise, exercise.compile()).message == "passed"


@pytest.mark.parametrize(("exercise", "style"), RIGHT, ids=names)
def test_right_answer_passes(exercise, style):
    assert judge_exercise(exercise, exercise.compile(exercise.right_answers[style])).message == "passed"


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=names)
def test_wrong_answer_gets_its_message(exercise, wrong):
    result = judge_exercise(exercise, exercise.compile(wrong.answer))
    assert not result.passed
    assert wrong.says in result.message
    assert CANNOT_READ not in result.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_messages_tell_wrong_answers_apart(exercise):
    pieces = [wrong.says for wrong in exercise.wrong_answers]
    assert len(set(pieces)) >= min(4, len(pieces))


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_stub_is_not_attempted(exercise):
    result = judge_exercise(exercise, exercise.compile(exercise.stub) if exercise.expects_function else None)
    assert not result.passed
    if exercise.expects_function:
        assert result.message == NOT_ATTEMPTED


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_nothing_zeros_and_echo_fail(exercise):
    assert not judge_exercise(exercise, None).passed
    if exercise.expects_function:
        for empty in (returns_nothing, zeros_like_solution(exercise), echoes):
            result = judge_exercise(exercise, empty)
            assert not result.passed, empty
            assert result.message, empty


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_some_wrong_answers_have_the_right_form(exercise):
    right = exercise.probe(exercise.compile())
    formed, silent_on_equal = 0, 0
    for wrong in exercise.wrong_answers:
        answer = exercise.compile(wrong.answer)
        try:
            value = exercise.probe(answer)
        except Exception:
            continue
        if form(value) == form(right) and not equal(value, right):
            formed += 1
        if wrong.right_on is not None:
            assert equal(wrong.right_on(answer), wrong.right_on(exercise.compile())), wrong.name
            silent_on_equal += 1
    assert formed >= 2, "at least two wrong answers have the right shape and type and wrong values"
    assert silent_on_equal >= 1, "at least one wrong answer is right on symmetric or equal-sized input"


@pytest.mark.parametrize("exercise", EXERCISES, ids=names)
def test_right_answers_agree_on_the_probe(exercise):
    right = exercise.probe(exercise.compile())
    for style, answer in exercise.right_answers.items():
        assert equal(exercise.probe(exercise.compile(answer)), right), style


def returns_nothing(*args: Any, **kwargs: Any) -> None:
    return None


def echoes(*args: Any, **kwargs: Any) -> Any:
    return args[0] if args else next(iter(kwargs.values()), "")


def zeros_like_solution(exercise: Exercise) -> Any:
    solution = exercise.compile()
    return lambda *args, **kwargs: zeros(solution(*args, **kwargs))


def zeros(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.zeros_like(value)
    if isinstance(value, np.ndarray):
        return np.zeros_like(value)
    if isinstance(value, nn.Module):
        forward = value.forward
        value.forward = lambda *args, **kwargs: zeros(forward(*args, **kwargs))
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(zeros(item) for item in value)
    if isinstance(value, dict):
        return {key: zeros(item) for key, item in value.items()}
    if isinstance(value, (bool, int, float)):
        return type(value)(0)
    if callable(value):
        return lambda *args, **kwargs: zeros(value(*args, **kwargs))
    return None


def form(value: Any) -> Any:
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.dtype)
    if isinstance(value, (list, tuple)):
        return [form(item) for item in value]
    if isinstance(value, dict):
        return {key: form(item) for key, item in value.items()}
    return type(value)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.allclose(
            one.double(), other.double(), rtol=1e-4, atol=1e-5, equal_nan=True
        )
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.shape == other.shape and np.allclose(one, other)
    if isinstance(one, float):
        return isinstance(other, (int, float)) and abs(one - other) <= 1e-5 + 1e-4 * abs(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if dataclasses.is_dataclass(one):
        return one == other
    return bool(one == other)
