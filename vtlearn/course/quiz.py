"""Three questions at the end of a lesson: choose, press Check, read why."""

from __future__ import annotations

import contextlib
import html
import importlib
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from vtlearn.course import progress
from vtlearn.errors import ArgumentError, require

QUIZ_FOLDER = "vtlearn.course.quizzes"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question with its options; ``right`` counts from 0, ``why`` explains the right one."""

    text: str
    options: tuple[str, ...]
    right: int
    why: str

    def __post_init__(self) -> None:
        require(len(self.options) >= 2, "options", self.options, "at least two")
        require(
            len(set(self.options)) == len(self.options), "options", self.options, "different from each other"
        )
        require(self.right in range(len(self.options)), "right", self.right, "the place of an option")


def questions(lesson: str) -> list[Question]:
    """The questions of one lesson ("03").

    Raises:
        ArgumentError: the lesson has none.
    """
    try:
        module = importlib.import_module(f"{QUIZ_FOLDER}.lesson_{lesson}")
    except ModuleNotFoundError:
        raise ArgumentError("lesson", lesson, "a lesson with a quiz, such as '00'") from None
    return list(module.QUESTIONS)


def quiz(lesson: str) -> Quiz:
    """The quiz of a lesson, ready to be shown as the last value of a cell."""
    return Quiz(lesson)


class Quiz(widgets.VBox):
    """The questions with one Check button; a wrong choice is told so, a right one gets its reason."""

    def __init__(self, lesson: str) -> None:
        self.lesson = lesson
        self.questions = questions(lesson)
        self.choices = [
            widgets.RadioButtons(options=question.options, value=None, layout=widgets.Layout(width="auto"))
            for question in self.questions
        ]
        self.verdicts = [widgets.HTML() for _ in self.questions]
        self.button = widgets.Button(
            description="Check the quiz", button_style="primary", tooltip="Check my choices"
        )
        self.button.on_click(self._judge)
        rows: list[widgets.Widget] = []
        for number, question in enumerate(self.questions):
            rows += [
                widgets.HTML(f"<b>{number + 1}.</b> {html.escape(question.text)}"),
                self.choices[number],
                self.verdicts[number],
            ]
        super().__init__([*rows, self.button])
        self.add_class("vtlearn-quiz")

    def _judge(self, button: Any) -> None:
        for number, question in enumerate(self.questions):
            chosen = self.choices[number].value
            if chosen is None:
                self.verdicts[number].value = "<i>not answered yet</i>"
                continue
            right = chosen == question.options[question.right]
            with contextlib.suppress(OSError):
                progress.note_quiz(f"{self.lesson}.{number + 1}", right)
            self.verdicts[number].value = (
                f"<span role='status'>✔ Right. {html.escape(question.why)}</span>"
                if right
                else "<span role='status'>✘ Not this one: think again.</span>"
            )

    def __repr__(self) -> str:
        lines = []
        for number, question in enumerate(self.questions):
            lines.append(f"{number + 1}. {question.text}")
            lines += [f"   ( ) {option}" for option in question.options]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return dict(super()._repr_mimebundle_(**kwargs) or {}) | {"text/plain": repr(self)}
