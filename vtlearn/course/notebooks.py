"""One source, two notebooks: builds the learner's notebook (executed) and the solved one.

``python -m vtlearn.course.notebooks build [NN …]`` executes and writes ``notebooks/NN_slug.ipynb`` and
``build/solved/NN_slug.ipynb``, and prints every output line that changed; ``solve`` writes only the solved
ones (from the stored outputs, executing nothing); ``check`` names the notebooks that differ from what their
sources build.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import difflib
import hashlib
import io
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from vtlearn.course.exercise import Exercise, exercise
from vtlearn.course.workspace import REPOSITORY
from vtlearn.errors import ArgumentError, DataError, VtlearnError, require
from vtlearn.files import write_text
from vtlearn.runtime import deterministic

CELL_SECONDS = 600
VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}


def sources(numbers: Sequence[str] = (), repository: Path = REPOSITORY) -> list[Path]:
    """The sources of these lessons ("03"), or of all, in order.

    Raises:
        ArgumentError: a lesson without source.
    """
    found = {
        path.name[:2]: path for path in sorted((repository / "notebooks" / "source").glob("[0-9][0-9]_*.py"))
    }
    for number in numbers:
        if number not in found:
            raise ArgumentError("lesson", number, "one of " + ", ".join(found))
    return [path for number, path in found.items() if not numbers or number in numbers]


def learner_path(source: Path) -> Path:
    """``notebooks/source/NN_slug.py`` → ``notebooks/NN_slug.ipynb``."""
    return source.parent.parent / f"{source.stem}.ipynb"


def solved_path(source: Path) -> Path:
    """``notebooks/source/NN_slug.py`` → ``build/solved/NN_slug.ipynb``."""
    return source.parent.parent.parent / "build" / "solved" / f"{source.stem}.ipynb"


def assemble(source: Path, *, solved: bool = False) -> NotebookNode:
    """The notebook that a source describes, not executed: ids, tags and metadata fixed, exercises unfolded.

    Args:
        solved: put the solutions in place of the stubs.
    """
    text = source.read_text(encoding="utf-8")
    number = source.name[:2]
    cells: list[NotebookNode] = []
    seen: Counter[str] = Counter()
    for cell in jupytext.reads(text, fmt="py:percent").cells:
        if not cell.source.strip():
            continue
        if "exercise" in tags_of(cell):
            found = re.search(r"\d\d\.\d{1,2}", cell.source)
            require(
                found is not None, "exercise cell", cell.source, f"a comment with an id, in {source.name}"
            )
            assert found is not None
            cells += _exercise_cells(exercise(found.group()), solved=solved)
            continue
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] += 1
        name = f"{number}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
        cells.append(_cell(cell.cell_type, cell.source, name, tags_of(cell)))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """The notebook with the outputs of one run in ``folder``; what differs between runs is made fixed.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised that is not tagged ``raises-exception``.
    """
    ran = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as state:
        environment = os.environ | {
            "CI": "1",
            "VTLEARN_STATE": state,
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "HF_HUB_CACHE": state,  # no published weights: outputs do not depend on whose machine it is
        }
        client = NotebookClient(
            ran,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            store_widget_state=False,
        )
        client.execute(env=environment)
    for cell in ran.cells:
        if cell.cell_type == "code":
            cell.outputs = _fixed(cell.outputs, cell.id)
    ran.metadata = NotebookNode(copy.deepcopy(METADATA))
    return nbformat.from_dict(ran)


def solve(learner: NotebookNode, source: Path) -> NotebookNode:
    """The solved notebook with the outputs its run must give: the learner's, and "passed" from each check."""
    stored = {cell.id: cell for cell in learner.cells}
    notebook = assemble(source, solved=True)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        before = stored.get(cell.id)
        if before is None:
            raise DataError(
                f"{learner_path(source).name}: not what its source builds (cell {cell.id} is missing)"
            )
        cell.execution_count = before.execution_count
        cell.outputs = copy.deepcopy(before.outputs)
        if "check" in tags_of(cell):
            for output in cell.outputs:
                output.data = NotebookNode({"text/plain": "passed"})
    return notebook


def build(source: Path) -> list[str]:
    """Execute a lesson and write both notebooks; returns every output line that changed."""
    target = learner_path(source)
    before = nbformat.read(target, as_version=4) if target.is_file() else None
    learner = execute(assemble(source), target.parent)
    _write(learner, target)
    _write(solve(learner, source), solved_path(source))
    return changed_lines(before, learner)


def write_solved(source: Path) -> Path:
    """Write the solved notebook of a lesson from its stored learner notebook; executes nothing."""
    target = learner_path(source)
    if not target.is_file():
        raise DataError(f"{target.name}: not built yet")
    path = solved_path(source)
    _write(solve(nbformat.read(target, as_version=4), source), path)
    return path


def stale_parts(source: Path) -> list[str]:
    """What differs between the stored learner notebook and what its source builds, outputs aside."""
    target = learner_path(source)
    if not target.is_file():
        return [f"{target.name}: not built yet"]
    stored, fresh = nbformat.read(target, as_version=4), assemble(source)
    differing = []
    if _plain(stored.metadata) != _plain(fresh.metadata) or stored.nbformat_minor != fresh.nbformat_minor:
        differing.append(f"{target.name}: notebook metadata")
    old, new = [_identity(cell) for cell in stored.cells], [_identity(cell) for cell in fresh.cells]
    if old != new:
        names = sorted({one[0] for one in old} ^ {one[0] for one in new})
        names += [a[0] for a, b in zip(old, new, strict=False) if a[0] == b[0] and a != b]
        differing.append(f"{target.name}: cells {', '.join(names) or 'in another order'}")
    return differing


def changed_lines(before: NotebookNode | None, after: NotebookNode) -> list[str]:
    """Every output line that differs between two runs, with the id of its cell."""
    old = {cell.id: output_lines(cell) for cell in before.cells} if before is not None else {}
    lines = []
    for cell in after.cells:
        was, now = old.pop(cell.id, []), output_lines(cell)
        for line in difflib.ndiff(was, now):
            if line[0] in "+-":
                lines.append(f"{cell.id}: {line}")
    lines += [f"{name}: - {line}" for name, removed in old.items() for line in removed]
    return lines


def output_lines(cell: NotebookNode) -> list[str]:
    """What a cell shows, as lines; a picture is one line with its digest."""
    lines: list[str] = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            lines += output.text.splitlines()
        elif output.output_type == "error":
            lines.append(f"{output.ename}: {output.evalue}")
        else:
            for kind, value in sorted(output.data.items()):
                if kind.startswith("image/"):
                    lines.append(f"[{kind} {hashlib.sha256(str(value).encode()).hexdigest()[:12]}]")
                elif kind != VIEW:
                    lines += str(value).splitlines()
    return lines


def run_claim(
    number: str, swap: Mapping[str, str] | None = None, repository: Path = REPOSITORY
) -> dict[str, Any]:
    """Run the cells a lesson's claim rests on, as they stand or with pieces of their text replaced.

    Args:
        number: the lesson, such as "03".
        swap: text that stands exactly once in those cells → what to put in its place (a broken mechanism).

    Returns:
        The names the cells defined.

    Raises:
        AssertionError: the claim does not hold.
        ArgumentError: a swap's text is not there exactly once.
    """
    (source,) = sources([number], repository)
    wanted = {"setup", "claim-part", "claim-holds"}
    cells = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").cells
    pieces = [cell.source for cell in cells if cell.cell_type == "code" and wanted & set(tags_of(cell))]
    text = "\n\n".join(pieces)
    for old, new in (swap or {}).items():
        require(
            text.count(old) == 1, "swap", old, f"text that stands once in the claim's cells of {source.name}"
        )
        text = text.replace(old, new)
    namespace: dict[str, Any] = {"__name__": "__claim__"}
    with deterministic(), contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, f"<claim of {source.stem}>", "exec"), namespace)
    return namespace


def tags_of(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vtlearn.course.notebooks", description=__doc__)
    parser.add_argument("task", choices=("build", "solve", "check"))
    parser.add_argument("lessons", nargs="*", help="numbers such as 00 03; all when none is given")
    given = parser.parse_args(arguments)
    try:
        chosen = sources(given.lessons)
        if given.task == "check":
            return _report(line for source in chosen for line in stale_parts(source))
        for source in chosen:
            if given.task == "solve":
                print(f"{write_solved(source).relative_to(REPOSITORY)}")
                continue
            started = time.perf_counter()
            changes = build(source)
            print(
                f"{source.stem}: built in {time.perf_counter() - started:.0f} s, {len(changes)} lines changed"
            )
            for line in changes:
                print(f"  {line}")
    except VtlearnError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _report(lines: Iterable[str]) -> int:
    found = list(lines)
    for line in found:
        print(f"not fresh: {line}")
    return 1 if found else 0


def _exercise_cells(one: Exercise, *, solved: bool) -> list[NotebookNode]:
    name = "ex-" + one.id.replace(".", "-")
    return [
        _cell("markdown", exercise_card(one), f"{name}-card", ["exercise-card"]),
        _cell("code", (one.solution if solved else one.stub).rstrip(), f"{name}-answer", ["exercise-answer"]),
        _cell("code", f'check("{one.id}", {one.name})', f"{name}-check", ["check"]),
        _cell("code", f'exercise_panel("{one.id}")', f"{name}-panel", ["exercise-panel"]),
    ]


def exercise_card(one: Exercise) -> str:
    """The exercise as the learner reads it, in Markdown."""
    contract = "\n".join(f"- {bullet}" for bullet in one.contract)
    return (
        f"### Exercise {one.id} · {one.title}\n\n"
        f"*{'core' if one.core else 'extra'} · difficulty {_dots(one.difficulty)} · "
        f"importance {_dots(one.importance)} · about {one.minutes} minutes*\n\n"
        f"**Why.** {one.why}\n\n**Contract.**\n\n{contract}\n\n**What to see.** {one.what_to_see}"
    )


def _dots(count: int) -> str:
    return f"{'●' * count}{'○' * (5 - count)} ({count} of 5)"


def _cell(kind: str, source: str, name: str, tags: Sequence[str]) -> NotebookNode:
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return make(source, id=name, metadata={"tags": list(tags)} if tags else {})


def _fixed(outputs: list[NotebookNode], cell_id: str) -> list[NotebookNode]:
    """Outputs with streams joined, widget ids derived from the cell, tracebacks cut to their last line."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    for place, output in enumerate(joined):
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        elif VIEW in output.get("data", {}):
            output.data[VIEW].model_id = hashlib.sha256(f"{cell_id}/{place}".encode()).hexdigest()[:32]
    return joined


def _identity(cell: NotebookNode) -> tuple[str, str, str, Any]:
    return cell.id, cell.cell_type, cell.source, _plain(cell.metadata)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _write(notebook: NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    write_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")


if __name__ == "__main__":
    sys.exit(main())
