"""What a learner touches: exercises, checks, hints, quizzes, progress and interactive panels."""

from vtlearn.course.exercise import Exercise, WrongAnswer, check, exercise, exercises, mine
from vtlearn.course.judge import CheckResult

__all__ = ["CheckResult", "Exercise", "WrongAnswer", "check", "exercise", "exercises", "mine"]
