"""nbval meets every cell on disk; the solved notebooks give the stored outputs, every check passed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import nbformat
import pytest

from vtlearn.course.notebooks import learner_path, sources, tags_of, write_solved
from vtlearn.course.workspace import REPOSITORY

SOURCES = sources()
NBVAL = [
    "--nbval",
    "--nbval-current-env",
    "--nbval-cell-timeout=300",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
]


def nbval(*arguments: str, state: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "CI": "1",
        "VTLEARN_STATE": state,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_CACHE": state,  # as when the outputs were stored: no published weights
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", *NBVAL, *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_nbval_collects_every_cell_on_disk(tmp_path):
    files = [learner_path(source) for source in SOURCES]
    run = nbval("--collect-only", "-q", *[str(file) for file in files], state=str(tmp_path))
    assert run.returncode == 0, run.stdout + run.stderr
    collected = Counter(line.split("::")[0] for line in run.stdout.splitlines() if "::Cell " in line)
    on_disk = {
        str(file.relative_to(REPOSITORY)): sum(
            cell.cell_type == "code" for cell in nbformat.read(file, as_version=4).cells
        )
        for file in files
    }
    assert dict(collected) == on_disk


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_solved_notebook_gives_the_stored_outputs(source, tmp_path):
    path = write_solved(source)
    solved = nbformat.read(path, as_version=4)
    checks = [cell for cell in solved.cells if "check" in tags_of(cell)]
    assert checks
    assert all(output.data["text/plain"] == "passed" for cell in checks for output in cell.outputs)
    run = nbval("-q", str(path), state=str(tmp_path))
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert f"{sum(cell.cell_type == 'code' for cell in solved.cells)} passed" in run.stdout
