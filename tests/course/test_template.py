"""A new lesson passes every gate before a word of it is changed, and never writes over anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vtlearn import cli
from vtlearn.course import template, workspace
from vtlearn.course.template import FILES, new_lesson
from vtlearn.errors import ArgumentError, DataError

ROOT = Path(__file__).resolve().parents[2]
GATES = (
    "tests/notebooks/test_notebook_gates.py",
    "tests/course/test_exercise_answers.py",
    "tests/course/test_lesson_panels.py",
)


@pytest.fixture
def repository(tmp_path) -> Path:
    """A tree with the package and the gates, and without any lesson."""
    other_lessons = shutil.ignore_patterns("__pycache__", "*_[0-9][0-9].py", "*.safetensors", "*.ipynb")
    shutil.copytree(ROOT / "vtlearn", tmp_path / "vtlearn", ignore=other_lessons)
    (tmp_path / "notebooks" / "source").mkdir(parents=True)
    for name in ("tests/conftest.py", "tests/course/conftest.py", *GATES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests" / "notebooks" / "allowed_cells.txt").write_text("")
    return tmp_path


def run(repository: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    return ended.stdout


def test_a_new_lesson_passes_the_gates_by_itself(repository):
    paths = new_lesson("77", "a_test", "A test", repository)
    assert [path.relative_to(repository).as_posix() for path in paths] == [
        name.replace("@NN@", "77").replace("@SLUG@", "a_test") for name in FILES
    ]
    assert "built" in run(repository, "-m", "vtlearn.course.notebooks", "build", "77")
    gates = [*GATES, "tests/course/test_claim_77.py"]
    told = run(repository, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *gates)
    assert re.search(r"^\d\d passed", told.splitlines()[-1]), told[-300:]
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff:
        written = [str(path) for path in paths[1:]]
        options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        subprocess.run([ruff, "check", "-q", *options, *written], check=True, cwd=repository)
        subprocess.run([ruff, "format", "-q", "--check", *options, *written], check=True, cwd=repository)


@pytest.fixture
def empty(tmp_path) -> Path:
    (tmp_path / "notebooks" / "source").mkdir(parents=True)
    return tmp_path


def test_every_place_is_filled_in(empty):
    for path in new_lesson("7", "a_test", "A test", empty):
        assert "@" not in re.sub(r"@(classmethod|pytest)", "", path.read_text())
        assert "07" in path.name


def test_nothing_is_written_over(empty):
    paths = new_lesson("77", "a_test", "A test", empty)
    paths[3].write_text("my own")
    with pytest.raises(DataError, match=r"77_a_test\.py: exists already"):
        new_lesson("77", "a_test", "A test", empty)
    paths[0].unlink()
    with pytest.raises(DataError, match=r"lesson_77\.py: exists already"):
        new_lesson("77", "a_test", "A test", empty)
    assert not paths[0].exists()
    assert paths[3].read_text() == "my own"


def test_a_number_is_given_once(empty):
    new_lesson("77", "a_test", "A test", empty)
    with pytest.raises(DataError, match=r"77_a_test\.py: exists already"):
        new_lesson("77", "another", "Another", empty)


@pytest.mark.parametrize(
    ("number", "slug", "title", "named"),
    [
        ("x", "a", "A", "number"),
        ("123", "a", "A", "number"),
        ("77", "../a", "A", "slug"),
        ("77", "A b", "A", "slug"),
        ("77", "a", " ", "title"),
        ("77", "a", "A\nB", "title"),
    ],
)
def test_what_cannot_be_is_named(empty, number, slug, title, named):
    with pytest.raises(ArgumentError, match=f"{named} must be"):
        new_lesson(number, slug, title, empty)
    assert not any(path.is_file() for path in empty.rglob("*"))


def test_without_the_repository_it_says_so(tmp_path):
    with pytest.raises(DataError, match="work from a clone"):
        template.new_lesson("77", "a", "A", tmp_path)


def test_command_says_what_it_wrote_and_what_is_left(empty, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "REPOSITORY", empty)
    monkeypatch.setattr(sys, "argv", ["vtlearn", "new-lesson", "7", "a_test", "A test"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().out.splitlines()
    assert not ended.value.code
    assert told[0] == "notebooks/source/07_a_test.py"
    assert all((empty / name).is_file() for name in told[:-1])
    assert "build 07" in told[-1]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err
        == "vtlearn: notebooks/source/07_a_test.py: exists already; nothing was written\n"
    )
