"""Exercise panel, board, quiz and the base of all panels, driven without a browser."""

from __future__ import annotations

import base64

import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from vtlearn.course import exercise, progress
from vtlearn.course.panels import base
from vtlearn.course.panels import exercise as exercise_room
from vtlearn.course.panels.base import Drawing, Move, Panel, choice, integer, number, steps, switch
from vtlearn.course.panels.exercise import ProgressBoard, board_html, exercise_panel
from vtlearn.course.quiz import Question, questions, quiz
from vtlearn.errors import ArgumentError

VIEW = "application/vnd.jupyter.widget-view+json"


class Shell:
    def __init__(self):
        self.user_ns = {}


@pytest.fixture
def shell(monkeypatch, tmp_path):
    monkeypatch.setenv("VTLEARN_STATE", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "_PASSED_HERE", {})
    shell = Shell()
    monkeypatch.setattr(exercise_room, "get_ipython", lambda: shell)
    return shell


def test_check_button_reads_the_function_as_it_is_now(shell):
    panel = exercise_panel("00.1")
    panel.check_button.click()
    assert "mean_frame is not defined: run the cell above first" in panel.verdict.value
    shell.user_ns["mean_frame"] = exercise("00.1").compile(exercise("00.1").stub)
    panel.check_button.click()
    assert "○ not attempted yet" in panel.verdict.value
    shell.user_ns["mean_frame"] = lambda clip: clip.sum(0)
    panel.check_button.click()
    assert "✘ not yet: five equal frames" in panel.verdict.value
    shell.user_ns["mean_frame"] = lambda clip: clip.mean(0)
    panel.check_button.click()
    assert "✔ passed" in panel.verdict.value
    assert progress.passed_exercises() == {"00.1"}
    assert "passed before" in exercise_panel("00.1").verdict.value


def test_three_hints_then_no_more(shell):
    panel = exercise_panel("00.2")
    for count in (1, 2, 3):
        panel.hint_button.click()
        assert panel.hints.value.count("<li>") == count
    assert panel.hint_button.disabled
    assert panel.hint_button.description == "No more hints"
    assert progress.read()["exercises"]["00.2"]["hints"] == 3
    assert "&#x27;… -&gt; …&#x27;" in panel.hints.value


def test_solution_opens_when_asked_twice(shell):
    panel = exercise_panel("00.1")
    panel.solution_button.click()
    assert "Press Solution once more" in panel.solution.value
    assert "reduce(clip" not in panel.solution.value
    panel.solution_button.click()
    assert "reduce(clip, &quot;t c h w" in panel.solution.value


def test_solution_opens_at_once_after_passing(shell):
    panel = exercise_panel("00.1")
    shell.user_ns["mean_frame"] = exercise("00.1").compile()
    panel.check_button.click()
    panel.solution_button.click()
    assert "reduce(clip" in panel.solution.value


def test_no_solution_text_leaves_the_panel_before_it_is_asked_for(shell):
    panel = exercise_panel("00.1")
    state = str(panel.get_state()) + str([child.get_state() for child in panel.children]) + repr(panel)
    assert "reduce(" not in state
    assert panel._repr_mimebundle_()["text/plain"] == "Exercise 00.1 · buttons: Check, Hint, Solution"


def test_board_follows_progress_and_says_it_in_words(shell):
    board = ProgressBoard()
    assert "0 of" in board.table.value
    assert "mean frame: open" in board.table.value
    progress.record("00.1", exercise("00.1").compile(), passed=True, attempted=True)
    board.button.click()
    assert board.table.value == board_html()
    assert "mean frame: passed" in board.table.value
    assert "✔ 00.1" in board.table.value
    assert repr(board) == repr(ProgressBoard())


def test_quiz_judges_choices_and_gives_the_reason_only_when_right(shell):
    panel = quiz("00")
    panel.button.click()
    assert [verdict.value for verdict in panel.verdicts] == ["<i>not answered yet</i>"] * 3
    for number_of, question in enumerate(questions("00")):
        wrong = (question.right + 1) % len(question.options)
        panel.choices[number_of].value = question.options[wrong]
    panel.button.click()
    assert all("✘ Not this one" in verdict.value for verdict in panel.verdicts)
    for number_of, question in enumerate(questions("00")):
        panel.choices[number_of].value = question.options[question.right]
    panel.button.click()
    assert all("✔ Right." in verdict.value for verdict in panel.verdicts)
    assert progress.read()["quiz"] == {"00.1": True, "00.2": True, "00.3": True}
    assert all(question.why not in repr(panel) for question in questions("00"))


def test_questions_that_cannot_be_are_refused():
    with pytest.raises(ArgumentError, match="right must be the place of an option"):
        Question(text="?", options=("a", "b"), right=2, why="")
    with pytest.raises(ArgumentError, match="options must be different"):
        Question(text="?", options=("a", "a"), right=0, why="")
    with pytest.raises(ArgumentError, match="lesson must be a lesson with a quiz"):
        questions("99")


class Squares(Panel):
    """A panel with one of each control."""

    title = "Squares"
    first_move = Move("count", "ArrowRight", {"count": 4})
    drawn = 0

    def controls(self):
        return {
            "count": integer("how many", 3, 1, 9),
            "size": number("size", 0.5, 0.0, 1.0, 0.25),
            "colour": choice("colour", ["black", "grey"]),
            "shape": steps("shape", ["line", "dots"]),
            "grid": switch("grid"),
        }

    @classmethod
    def draw(cls, state):
        cls.drawn += 1
        figure = Figure(figsize=(2, 1))
        axes = figure.subplots()
        style = "-" if state["shape"] == "line" else "."
        axes.plot([n**2 * state["size"] for n in range(state["count"])], style, color=state["colour"])
        axes.grid(state["grid"])
        return Drawing(figure, f"{state['count']} <squares>", f"{state}")


def test_every_control_moves_picture_and_words_once():
    panel = Squares()
    for name, value in {"count": 4, "size": 1.0, "colour": "grey", "shape": "dots", "grid": True}.items():
        changes = []
        panel.image.observe(lambda change, kept=changes: kept.append("image"), names="value")
        panel.words.observe(lambda change, kept=changes: kept.append("words"), names="value")
        panel.controls_by_name[name].value = value
        assert changes == ["image", "words"], name
        panel.image.unobserve_all()
        panel.words.unobserve_all()
        assert panel.image.value == Squares.render(panel.state).png
    assert "4 &lt;squares&gt;" in panel.words.value


def test_rendering_is_pure_and_cached():
    state = Squares().state
    first = Squares.render(state)
    count = Squares.drawn
    assert Squares.render(dict(reversed(state.items()))) is first
    assert Squares.drawn == count
    base._rendered.cache_clear()
    assert Squares.render(state) == first
    assert Squares.drawn == count + 1
    assert first.png.startswith(b"\x89PNG")
    assert b"Software" not in first.png


def test_a_page_on_paper_shows_the_panel_too():
    panel = Squares()
    bundle = panel._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == Squares.render(panel.state).png
    assert bundle["text/plain"] == repr(panel) == repr(Squares())
    assert bundle["text/plain"].startswith("Squares. 3 <squares>\nIn words: {")
    assert bundle[VIEW]["model_id"] == panel.model_id


def test_a_panel_without_drawing_says_so():
    class Empty(Panel):
        title = "Empty"

    with pytest.raises(NotImplementedError, match="Empty makes no controls"):
        Empty()


def test_course_needs_no_running_kernel():
    assert InteractiveShell.initialized() is False or exercise_panel("00.1") is not None
