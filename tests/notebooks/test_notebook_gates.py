"""Every lesson has the common shape, is what its source builds, was executed, and shows enough."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread

from vtlearn.course import exercises
from vtlearn.course.exercise import PRELUDE
from vtlearn.course.notebooks import METADATA, VIEW, assemble, learner_path, sources, stale_parts, tags_of
from vtlearn.course.quiz import questions

SOURCES = sources()
ALLOWED = Path(__file__).with_name("allowed_cells.txt")
IN_ORDER = ["claim", "objectives", "setup", "picture", "pitfalls", "quiz", "recap", "reading"]
ONCE = [*IN_ORDER, "signature", "claim-holds"]
SOME = ["exercise-card", "exercise-answer", "check", "exercise-panel", "panel"]
MARKDOWN = {"claim", "objectives", "pitfalls", "recap", "reading", "exercise-card"}
OUT_OF_COMPARISON = {
    "nbval-ignore-output",
    "nbval-skip",
    "raises-exception",
    "NBVAL_IGNORE_OUTPUT",
    "NBVAL_SKIP",
}
PATHS = re.compile(r"(?<![\w.:/])/(?:home|root|work|tmp|Users|usr|opt|var|mnt)/|[A-Za-z]:\\\\?Users|file://")
LINES_OF_A_FUNCTION = 15
COMPARED_CELLS = 8


@pytest.fixture(params=SOURCES, ids=lambda source: source.stem)
def source(request) -> Path:
    return request.param


@pytest.fixture
def learner(source) -> nbformat.NotebookNode:
    path = learner_path(source)
    assert path.is_file(), (
        f"{path.name} is not built: python -m vtlearn.course.notebooks build {source.name[:2]}"
    )
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def compared(cell) -> bool:
    """Does nbval compare anything of this cell?"""
    kinds = set()
    for output in cell.outputs:
        kinds |= {"stream"} if output.output_type == "stream" else set(output.get("data", {}))
    return bool(kinds - {VIEW, "image/png", "image/jpeg"})


def test_there_are_lessons():
    assert SOURCES
    assert [source.name[:2] for source in SOURCES] == sorted({source.name[:2] for source in SOURCES})


def test_source_has_every_section(source):
    notebook = assemble(source)
    tags = [tag for cell in notebook.cells for tag in tags_of(cell)]
    for tag in ONCE:
        assert tags.count(tag) == 1, f"{tag}: once"
    for tag in SOME:
        assert tag in tags, f"{tag}: at least once"
    assert [tag for tag in tags if tag in IN_ORDER] == IN_ORDER
    middle = [tags.index(tag) for tag in ("exercise-card", "panel", "signature", "claim-holds")]
    assert tags.index("picture") < min(middle)
    assert max(middle) < tags.index("pitfalls")
    assert tags.index("signature") < tags.index("claim-holds")
    known = {*ONCE, *SOME, "exercise-answer", "claim-part", "nbval-ignore-output", "raises-exception"}
    assert set(tags) <= known
    for cell in notebook.cells:
        for tag in set(tags_of(cell)) & {*ONCE, *SOME}:
            assert (cell.cell_type == "markdown") == (tag in MARKDOWN), tag
    assert notebook.cells[0].source.startswith(f"# {source.name[:2]} · ")
    assert "arXiv" in next(cell.source for cell in notebook.cells if "reading" in tags_of(cell))
    holds = next(cell.source for cell in notebook.cells if "claim-holds" in tags_of(cell))
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(holds)))


def test_every_exercise_of_the_lesson_is_there_in_order(source):
    in_notebook = [cell.id for cell in assemble(source).cells if "exercise-card" in tags_of(cell)]
    assert in_notebook == [f"ex-{one.id.replace('.', '-')}-card" for one in exercises(source.name[:2])]


def test_setup_imports_what_exercises_use(source):
    setup = next(cell.source for cell in assemble(source).cells if "setup" in tags_of(cell))

    def imported(text):
        names = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name for alias in node.names}
        return names

    used = set()
    for one in exercises(source.name[:2]):
        for text in (one.stub, one.solution):
            used |= {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert used & imported(PRELUDE) <= imported(setup)
    assert f'start_lesson("{source.name[:2]}")' in setup


def test_claim_is_seen_to_hold_and_to_fall(source):
    tests = Path(__file__).parents[1] / "course" / f"test_claim_{source.name[:2]}.py"
    assert tests.is_file(), "every lesson owns a test that breaks its claim's mechanism"
    tree = ast.parse(tests.read_text(encoding="utf-8"))
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(functions) >= 2
    text = ast.unparse(tree)
    assert "run_claim(" in text
    assert "pytest.raises(AssertionError" in text


def test_quiz_has_three_questions(source):
    assert len(questions(source.name[:2])) == 3
    assert all(question.why.endswith(".") for question in questions(source.name[:2]))


def test_functions_are_short(source):
    for cell in code_of(assemble(source)):
        if "exercise-answer" in tags_of(cell):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= LINES_OF_A_FUNCTION, f"{node.name} has {length} lines"


def test_notebook_is_what_its_source_builds(source):
    assert stale_parts(source) == []


def test_executed_once_from_top_to_bottom(learner):
    counts = [cell.execution_count for cell in code_of(learner)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_of(learner):
        for output in cell.outputs:
            assert output.output_type != "error" or "raises-exception" in tags_of(cell), cell.id
            assert output.get("name") != "stderr", f"{cell.id} writes to stderr: {output.text}"
            assert output.get("execution_count", cell.execution_count) == cell.execution_count
    assert learner.metadata == nbformat.from_dict(METADATA)


def test_no_path_of_a_machine(learner):
    for cell in learner.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            texts += [
                str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")
            ]
        for text in texts:
            assert not PATHS.search(text), f"{cell.id}: {PATHS.search(text)}"


def test_no_solution_in_the_learners_notebook(source, learner):
    everything = re.sub(
        r"\s+", "", json.dumps(learner, ensure_ascii=False).replace('\\"', '"').replace("\\n", "")
    )
    for one in exercises(source.name[:2]):
        given = re.sub(r"\s+", "", one.stub + " ".join(one.contract))
        for line in solution_lines(one.solution):
            assert line in given or line not in everything, f"{one.id}: {line}"
        for hint in one.hints:
            assert re.sub(r"\s+", "", hint) not in everything, f"{one.id}: {hint}"


def solution_lines(solution: str) -> list[str]:
    """The lines that solve: no docstring, no signature, nothing too short to tell."""
    tree = ast.parse(solution)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    lines = [re.sub(r"\s+", "", line) for line in ast.unparse(tree).splitlines()]
    original = {re.sub(r"\s+", "", line.split("  #")[0]) for line in solution.splitlines()}
    wanted = {*lines, *original}
    return [line for line in wanted if len(line) >= 24 and not line.startswith(("def", "class", '"""'))]


def test_enough_is_compared(learner):
    shown = [cell for cell in code_of(learner) if cell.outputs]
    silent = [cell.id for cell in shown if not compared(cell)]
    assert silent == [], "these cells show something that is never compared"
    assert len([cell for cell in shown if not OUT_OF_COMPARISON & set(tags_of(cell))]) >= COMPARED_CELLS
    (claim,) = [cell for cell in code_of(learner) if "claim-holds" in tags_of(cell)]
    assert compared(claim)


def test_only_listed_cells_are_left_out():
    lines = [line.split(maxsplit=3) for line in ALLOWED.read_text().splitlines() if not line.startswith("#")]
    listed = {(notebook, cell, tag) for notebook, cell, tag, reason in lines if reason.strip()}
    found = set()
    for source in SOURCES:
        for cell in assemble(source).cells:
            found |= {(source.stem, cell.id, tag) for tag in OUT_OF_COMPARISON & set(tags_of(cell))}
            assert not re.search(r"NBVAL_|PYTEST_VALIDATE", cell.source), f"{cell.id}: use a tag"
    assert found == listed


def test_every_picture_can_be_seen_and_is_told_in_words(learner):
    pictures = 0
    for cell in code_of(learner):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                pixels = imread(io.BytesIO(base64.b64decode(data["image/png"])))
                assert np.ptp(pixels[..., :3]) > 0.2, f"{cell.id}: an empty picture"
                assert len(data.get("text/plain", "")) > 30, f"{cell.id}: a picture without words"
                assert "<Figure" not in data["text/plain"], f"{cell.id}: show it with show(figure, text)"
                pictures += 1
    assert pictures >= 2


def test_widget_ids_are_fixed_and_no_state_is_stored(learner):
    assert "widgets" not in learner.metadata
    views = [
        output.data[VIEW].model_id
        for cell in code_of(learner)
        for output in cell.outputs
        if VIEW in output.get("data", {})
    ]
    assert len(set(views)) == len(views) > 0
    fresh = json.dumps(learner)
    assert all(fresh.count(view) == 1 for view in views)
