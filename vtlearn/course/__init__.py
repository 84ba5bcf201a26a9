"""What a learner touches: exercises, checks, hints, quizzes, progress and interactive panels."""

import vtlearn.course.exercises  # noqa: F401 - loaded first, so that the function of this name stays
from vtlearn.course.exercise import Exercise, WrongAnswer, check, exercise, exercises, mine
from vtlearn.course.judge import CheckResult

__all__ = ["CheckResult", "Exercise", "WrongAnswer", "check", "exercise", "exercises", "mine"]
