"""A lesson runs on any right answer, not on the library's alone: it ends, and prints the same."""

from __future__ import annotations

import contextlib
import io
import re

import jupytext
import pytest

from vtlearn.course import exercises, lesson
from vtlearn.course.notebooks import sources, tags_of

LEFT_OUT = {"exercise", "panel", "quiz"}


def code_of(number: str) -> list[str]:
    (source,) = [path for path in sources() if path.name.startswith(number)]
    cells = jupytext.read(source).cells
    return [cell.source for cell in cells if cell.cell_type == "code" and not LEFT_OUT & set(tags_of(cell))]


def printed(code: list[str], monkeypatch, answers: dict) -> str:
    """What the lesson prints when ``mine`` gives these answers; pictures are left out."""
    monkeypatch.setattr(lesson, "mine", answers.__getitem__)
    out, names = io.StringIO(), {"__name__": "__main__"}
    with contextlib.redirect_stdout(out):
        for cell in code:
            exec(compile(cell, "lesson", "exec"), names)
    return re.sub(r"'image/png': '[^']*'", "a picture", out.getvalue())


@pytest.mark.parametrize("number", ["02", "03"])
def test_lesson_runs_on_every_style_of_answer(number, monkeypatch):
    code, own = code_of(number), exercises(number)
    usual = printed(code, monkeypatch, {one.id: one.compile() for one in own})
    assert "claim holds" in usual
    for turn in range(3):  # the last styles are the strangest
        chosen = {one.id: [*one.right_answers][-1 - turn % len(one.right_answers)] for one in own}
        answers = {one.id: one.compile(one.right_answers[chosen[one.id]]) for one in own}
        assert printed(code, monkeypatch, answers) == usual, chosen


def test_another_answer_would_be_seen(monkeypatch):
    code = code_of("03")
    answers = {one.id: one.compile() for one in exercises("03")}
    right = answers["03.1"]
    answers["03.1"] = lambda num_tokens, window_size, causal=False: right(num_tokens, window_size + 2, causal)
    with pytest.raises(AssertionError):
        printed(code, monkeypatch, answers)
