"""The environment check says what is missing, and what to do about it."""

import subprocess
import sys

import pytest

from vtlearn.course import environment
from vtlearn.course.environment import check_environment, environment_needs
from vtlearn.errors import DataError


def test_all_is_there(capsys):
    check_environment()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "All set: every lesson runs on this machine's processor."
    assert all(line.startswith("✔ ") for line in lines[:-1])
    assert len(lines) == len(environment_needs()) + 1


def no_samples():
    raise DataError("none")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "_is_there",
            lambda module: module != "einops",
            "✘ einops, for folding axes by name: run `make lab`",
        ),
        ("_torch_version", lambda: (2, 9), "✘ PyTorch 2.10 or newer: run `make lab`"),
        ("bundled_samples", no_samples, "✘ the sample clips: work from a clone"),
        (
            "_course_is_of_this_folder",
            lambda: False,
            "✘ a kernel that uses the course of this folder: choose Kernel",
        ),
    ],
)
def test_what_is_missing_is_said(name, value, line, capsys, monkeypatch):
    monkeypatch.setattr(environment, name, value)
    check_environment()
    printed = capsys.readouterr().out
    assert line in printed
    assert printed.splitlines()[-1] == "1 missing."


def test_a_kernel_of_another_clone_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert environment._course_is_of_this_folder()
    (tmp_path / "vtlearn" / "course").mkdir(parents=True)
    assert not environment._course_is_of_this_folder()


def test_the_door_to_the_exercises_is_not_hidden_by_their_folder():
    """The folder and the function have one name; whatever is imported first, the function stays."""
    code = (
        "import vtlearn.course.exercises.lesson_00, vtlearn.course as course\n"
        "from vtlearn.course import exercises\n"
        "assert course.exercises is exercises and len(exercises('00')) == 2"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
