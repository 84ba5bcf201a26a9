"""The exercise panel (Check, Hint, Solution) and the board of all exercises."""

from __future__ import annotations

import contextlib
import html
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython

from vtlearn.course import progress
from vtlearn.course.exercise import Exercise, check, exercise, exercises
from vtlearn.course.judge import CheckResult

_GREEN, _ORANGE, _GREY = "#009E73", "#B35900", "#595959"


def exercise_panel(exercise_id: str) -> ExercisePanel:
    """The panel of one exercise, ready to be shown as the last value of a cell."""
    return ExercisePanel(exercise_id)


class ExercisePanel(widgets.VBox):
    """Three buttons under an exercise; Check looks at the learner's function as it is at that moment."""

    def __init__(self, exercise_id: str) -> None:
        self.exercise: Exercise = exercise(exercise_id)
        self.hints_shown = 0
        self.times_asked = 0
        passed = exercise_id in progress.passed_exercises()
        self.check_button = widgets.Button(
            description="Check",
            button_style="primary",
            icon="check",
            tooltip=f"Check my answer to {exercise_id}",
        )
        self.hint_button = widgets.Button(
            description="Hint (3 left)", icon="lightbulb-o", tooltip=f"Show a hint for {exercise_id}"
        )
        self.solution_button = widgets.Button(
            description="Solution", icon="key", tooltip=f"Show the solution of {exercise_id}"
        )
        self.verdict = widgets.HTML(_line("✔ passed before", _GREEN) if passed else "")
        self.hints = widgets.HTML()
        self.solution = widgets.HTML()
        self.check_button.on_click(self._check)
        self.hint_button.on_click(self._hint)
        self.solution_button.on_click(self._solution)
        buttons = widgets.HBox([self.check_button, self.hint_button, self.solution_button])
        super().__init__([buttons, self.verdict, self.hints, self.solution])
        self.add_class("vtlearn-exercise")

    def _check(self, button: Any) -> None:
        result = self.judge_current_answer()
        mark, colour = (
            ("✔", _GREEN) if result.passed else ("✘", _ORANGE) if result.attempted else ("○", _GREY)
        )
        self.verdict.value = _line(f"{mark} {result!r}", colour)

    def judge_current_answer(self) -> CheckResult:
        """Check what the notebook calls by the exercise's name right now."""
        shell = get_ipython()
        names = shell.user_ns if shell is not None else {}
        if self.exercise.name not in names:
            return CheckResult(False, f"{self.exercise.name} is not defined: run the cell above first")
        return check(self.exercise.id, names[self.exercise.name])

    def _hint(self, button: Any) -> None:
        self.hints_shown = min(self.hints_shown + 1, 3)
        left = 3 - self.hints_shown
        shown = "".join(f"<li>{html.escape(hint)}</li>" for hint in self.exercise.hints[: self.hints_shown])
        self.hints.value = f"<ol role='status' style='line-height:1.4'>{shown}</ol>"
        self.hint_button.description = f"Hint ({left} left)" if left else "No more hints"
        self.hint_button.disabled = left == 0
        with contextlib.suppress(OSError):
            progress.note_hint(self.exercise.id, self.hints_shown)

    def _solution(self, button: Any) -> None:
        self.times_asked += 1
        if self.exercise.id in progress.passed_exercises() or self.times_asked >= 2:
            self.solution.value = f"<pre role='status'>{html.escape(self.exercise.solution)}</pre>"
        else:
            self.solution.value = _line(
                "Not passed yet. Press Solution once more to see it all the same.", _GREY
            )

    def __repr__(self) -> str:
        return f"Exercise {self.exercise.id} · buttons: Check, Hint, Solution"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return dict(super()._repr_mimebundle_(**kwargs) or {}) | {"text/plain": repr(self)}


class ProgressBoard(widgets.VBox):
    """Every exercise of the course, and which of them have passed."""

    def __init__(self) -> None:
        self.table = widgets.HTML(board_html())
        self.button = widgets.Button(description="Refresh", icon="refresh", tooltip="Read my progress again")
        self.button.on_click(self._refresh)
        super().__init__([self.table, self.button])
        self.add_class("vtlearn-board")

    def _refresh(self, button: Any) -> None:
        self.table.value = board_html()

    def __repr__(self) -> str:
        return "Progress board: all exercises of the course, and which of yours have passed."

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return dict(super()._repr_mimebundle_(**kwargs) or {}) | {"text/plain": repr(self)}


def board_rows() -> list[tuple[str, int, int, list[tuple[Exercise, bool]]]]:
    """Per lesson: its number, exercises passed, exercises in all, and each exercise with its state."""
    done = progress.passed_exercises()
    lessons = sorted({one.lesson for one in exercises()})
    rows = []
    for lesson in lessons:
        states = [(one, one.id in done) for one in exercises(lesson)]
        rows.append((lesson, sum(passed for _, passed in states), len(states), states))
    return rows


def board_html() -> str:
    """The board as a table; states are words and marks, colour only repeats them."""
    rows = board_rows()
    body = ""
    for lesson, passed, total, states in rows:
        marks = " ".join(
            f"<span title='{html.escape(one.title)}: {'passed' if done else 'open'}' "
            f"style='white-space:nowrap;color:{_GREEN if done else _GREY}'>"
            f"{'✔' if done else '○'} {one.id}{'' if one.core else ' (extra)'}</span>"
            for one, done in states
        )
        body += f"<tr><th scope='row'>Lesson {lesson}</th><td>{passed} of {total}</td><td>{marks}</td></tr>"
    whole = sum(row[1] for row in rows), sum(row[2] for row in rows)
    return (
        "<table style='border-spacing:1em .2em'><caption>"
        f"{whole[0]} of {whole[1]} exercises passed (✔ passed, ○ open)</caption>{body}</table>"
    )


def _line(text: str, colour: str) -> str:
    return f"<span role='status' style='color:{colour}'>{html.escape(text)}</span>"
