"""The build: stable ids, fixed outputs, the two notebooks of one source, and claims that can fall."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from vtlearn.course import exercise, notebooks
from vtlearn.course.notebooks import (
    VIEW,
    assemble,
    changed_lines,
    exercise_card,
    learner_path,
    main,
    run_claim,
    solve,
    solved_path,
    sources,
    stale_parts,
    tags_of,
)
from vtlearn.errors import ArgumentError, DataError

SOURCE = """
# %% [markdown] tags=["claim"]
# # 00 · A small lesson

# %% tags=["setup"]
a = 2

# %%
print(a)

# %%
print(a)

# %% tags=["exercise"]
# 00.1

# %% tags=["claim-part"]
b = a + 3

# %% tags=["claim-holds"]
assert b == 5, "b is not five"
"""


@pytest.fixture
def small(tmp_path) -> Path:
    path = tmp_path / "notebooks" / "source" / "00_small.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE)
    return path


@pytest.fixture
def executed(small):
    """What an execution would leave, without a kernel."""
    notebook = assemble(small)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            if "check" in tags_of(cell):
                data = {"text/plain": "not attempted yet"}
                cell.outputs = [new_output("execute_result", data=data, execution_count=count)]
            elif cell.source == "print(a)":
                cell.outputs = [new_output("stream", name="stdout", text="2\n")]
    notebooks._write(notebook, learner_path(small))
    return notebook


def test_ids_are_stable_unique_and_do_not_move(small):
    before = assemble(small)
    names = [cell.id for cell in before.cells]
    assert len(set(names)) == len(names)
    assert names[4:8] == ["ex-00-1-card", "ex-00-1-answer", "ex-00-1-check", "ex-00-1-panel"]
    small.write_text(SOURCE.replace("# %%\nprint(a)", "# %%\nprint('new')\n\n# %%\nprint(a)", 1))
    assert set(names) < {cell.id for cell in assemble(small).cells}


def test_learner_has_the_stub_and_solved_the_solution(small):
    learner, solved = assemble(small), assemble(small, solved=True)
    differing = [cell.id for cell, other in zip(learner.cells, solved.cells, strict=True) if cell != other]
    assert differing == ["ex-00-1-answer"]
    assert "NotImplementedError" in learner.cells[5].source
    assert solved.cells[5].source == exercise("00.1").solution.rstrip()
    assert learner.cells[6].source == 'check("00.1", mean_frame)'


def test_solved_expects_the_learners_outputs_and_passed_checks(small, executed):
    solved = solve(executed, small)
    outputs = {cell.id: cell.outputs for cell in solved.cells if cell.cell_type == "code"}
    assert outputs["ex-00-1-check"][0].data == {"text/plain": "passed"}
    assert executed.cells[6].outputs[0].data == {"text/plain": "not attempted yet"}
    assert outputs[solved.cells[2].id] == executed.cells[2].outputs
    assert notebooks.write_solved(small) == solved_path(small)
    assert nbformat.read(solved_path(small), as_version=4) == solved


def test_solving_a_notebook_of_another_source_is_refused(small, executed):
    small.write_text(SOURCE + "\n# %%\nprint('more')\n")
    with pytest.raises(DataError, match=r"00_small\.ipynb: not what its source builds"):
        solve(executed, small)
    learner_path(small).unlink()
    with pytest.raises(DataError, match="not built yet"):
        notebooks.write_solved(small)


def test_every_kind_of_staleness_is_seen(small, executed):
    assert stale_parts(small) == []
    path = learner_path(small)

    def spoiled(change):
        notebook = copy.deepcopy(executed)
        change(notebook)
        notebooks._write(notebook, path)
        return stale_parts(small)

    assert spoiled(lambda nb: nb.cells[3].update(source="print(a + 0)"))
    assert spoiled(lambda nb: nb.cells[1].metadata.update(tags=[]))
    assert spoiled(lambda nb: nb.cells[3].update(id="other"))
    assert spoiled(lambda nb: nb.metadata.update(kernelspec={"name": "mine", "display_name": "mine"}))
    assert spoiled(lambda nb: nb.cells.pop(3))
    assert spoiled(lambda nb: nb.cells.reverse()) == ["00_small.ipynb: cells in another order"]
    assert spoiled(lambda nb: nb.cells[0].update(source="# other"))
    assert spoiled(lambda nb: None) == []
    path.unlink()
    assert stale_parts(small) == ["00_small.ipynb: not built yet"]


def test_every_changed_output_line_is_told(executed):
    after = copy.deepcopy(executed)
    after.cells[2].outputs[0].text = "2\n3\n"
    after.cells[3].outputs = [new_output("display_data", data={"image/png": "abc", "text/plain": "a figure"})]
    name, other = after.cells[2].id, after.cells[3].id
    lines = changed_lines(executed, after)
    assert f"{name}: + 3" in lines
    assert f"{other}: - 2" in lines
    assert f"{other}: + a figure" in lines
    assert sum("image/png" in line for line in lines) == 1
    assert len(lines) == 4
    assert changed_lines(executed, executed) == []
    assert f"{name}: + 2" in changed_lines(None, executed)
    gone = copy.deepcopy(executed)
    del gone.cells[2]
    assert changed_lines(executed, gone) == [f"{name}: - 2"]


def test_what_differs_between_runs_is_made_fixed():
    outputs = [
        new_output("stream", name="stdout", text="a\n"),
        new_output("stream", name="stdout", text="b\n"),
        new_output(
            "display_data", data={VIEW: {"model_id": "random", "version_major": 2}, "text/plain": "panel"}
        ),
        new_output("error", ename="ValueError", evalue="no", traceback=["\x1b[31m/home/me/x.py", "line 2"]),
    ]
    first = notebooks._fixed(copy.deepcopy(outputs), "cell")
    assert first[0].text == "a\nb\n"
    assert first[2].traceback == ["ValueError: no"]
    outputs[2].data[VIEW]["model_id"] = "another"
    assert notebooks._fixed(outputs, "cell") == first
    assert first[1].data[VIEW].model_id not in ("random", "another")


def test_a_claim_stands_falls_and_is_never_swapped_in_vain(small):
    repository = small.parents[2]
    assert run_claim("00", repository=repository)["b"] == 5
    with pytest.raises(AssertionError, match="b is not five"):
        run_claim("00", {"a + 3": "a + 4"}, repository)
    with pytest.raises(ArgumentError, match="swap must be text that stands once"):
        run_claim("00", {"a + 5": "a"}, repository)
    with pytest.raises(ArgumentError, match="lesson must be one of 00"):
        run_claim("07", repository=repository)


def test_exercise_cell_without_an_id_is_refused(small):
    small.write_text(SOURCE.replace("# 00.1", "# none"))
    with pytest.raises(ArgumentError, match=r"exercise cell must be a comment with an id, in 00_small\.py"):
        assemble(small)


def test_card_says_everything_but_the_solution():
    card = exercise_card(exercise("00.1"))
    for piece in (
        "00.1",
        "core",
        "●○○○○ (1 of 5)",
        "about 5 minutes",
        "**Why.**",
        "- `clip`",
        "**What to see.**",
    ):
        assert piece in card
    assert "mean(" not in card


def test_command_line(capsys):
    assert main(["check", "99"]) == 2
    assert "lesson must be one of 00" in capsys.readouterr().err
    assert main(["check", sources()[0].name[:2]]) == 0
