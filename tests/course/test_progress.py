"""Progress is kept in one file, whole after a crash, off on CI; `mine` gives the learner's own answers."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading

import pytest
import torch

from vtlearn import files
from vtlearn.course import check, exercise, mine, progress, workspace
from vtlearn.course.exercise import compile_answer
from vtlearn.errors import ArgumentError, DataError

OWN = """
def halves(x):
    return x * HALF


def mean_frame(clip):
    return (halves(clip) * 2).mean(0) * math.cos(0)
"""


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLEARN_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "_PASSED_HERE", {})
    return tmp_path / "state"


def answer_of_the_learner():
    names: dict = {"__name__": "__main__"}
    source = "HALF = 0.5\nimport math\n" + OWN
    import linecache

    linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(keepends=True), "<cell 1>")
    exec(compile(source, "<cell 1>", "exec"), names)
    return names["mean_frame"]


def a_new_kernel(monkeypatch):
    monkeypatch.setattr(progress, "_PASSED_HERE", {})


def test_nothing_is_written_for_the_stub_and_attempts_are_counted(state):
    stub = exercise("00.1").compile(exercise("00.1").stub)
    assert not check("00.1", stub).attempted
    assert not state.exists()
    check("00.1", lambda clip: clip)
    check("00.1", lambda clip: clip.sum(0))
    kept = json.loads((state / "progress.json").read_text())
    assert kept["exercises"]["00.1"] == {"passed": False, "attempts": 2}
    assert progress.passed_exercises() == set()


def test_mine_is_the_library_until_the_own_answer_passes(state, monkeypatch):
    clip = torch.rand(5, 3, 7, 11)
    before = mine("00.1")
    assert torch.equal(before(clip), clip.mean(0))
    own = answer_of_the_learner()
    assert check("00.1", own).passed
    assert mine("00.1") is own
    a_new_kernel(monkeypatch)
    again = mine("00.1")
    assert again is not own
    assert "halves" in again.__code__.co_names
    assert torch.allclose(again(clip), clip.mean(0))
    assert mine("00.1") is again
    assert progress.passed_exercises() == {"00.1"}


def test_a_worse_answer_later_does_not_take_the_pass_away(state, monkeypatch):
    check("00.1", answer_of_the_learner())
    check("00.1", lambda clip: clip.sum(0))
    a_new_kernel(monkeypatch)
    assert "halves" in mine("00.1").__code__.co_names


def test_a_kept_answer_that_no_longer_passes_is_not_used(state, monkeypatch):
    check("00.1", answer_of_the_learner())
    a_new_kernel(monkeypatch)
    for spoiled in (
        "def mean_frame(clip):\n    return clip.sum(0)\n",
        "def mean_frame(:\n",
        "raise SystemError",
    ):
        kept = progress.read()
        kept["exercises"]["00.1"]["source"] = spoiled
        progress.write(kept)
        assert mine("00.1") is not None
        assert torch.equal(mine("00.1")(torch.ones(2, 1, 1, 1)), torch.ones(1, 1, 1))


def test_nothing_is_kept_on_ci(state, monkeypatch):
    monkeypatch.setenv("CI", "true")
    own = answer_of_the_learner()
    assert check("00.1", own).passed
    progress.note_hint("00.1", 2)
    progress.note_quiz("00.1", True)
    assert not state.exists()
    assert mine("00.1") is own
    a_new_kernel(monkeypatch)
    assert mine("00.1") is not own


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        "null",
        '{"exercises": []}',
        '{"exercises": {"00.1": 3}}',
        '{"quiz": 3}',
        "\x00\xff",
        "[" * 10_000,
    ],
)
def test_a_broken_file_is_put_aside(state, broken):
    state.mkdir()
    (state / "progress.json").write_text(broken)
    assert progress.passed_exercises() == set()
    assert (state / "progress.broken.1.json").read_text() == broken
    assert check("00.1", answer_of_the_learner()).passed
    assert json.loads((state / "progress.json").read_text())["exercises"]["00.1"]["passed"]


def test_a_crash_while_writing_leaves_the_old_file_whole(state, monkeypatch):
    check("00.1", answer_of_the_learner())
    before = (state / "progress.json").read_text()

    def crash(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        progress.note_hint("00.1", 1)
    assert (state / "progress.json").read_text() == before
    assert sorted(path.name for path in state.iterdir()) == [".progress.lock", "progress.json"]


def test_a_folder_that_cannot_be_written_fails_no_answer(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VTLEARN_STATE", str(tmp_path / "file" / "below"))
    assert check("00.1", answer_of_the_learner()).passed


def test_every_broken_file_keeps_a_name_of_its_own(state):
    state.mkdir()
    for number in (1, 2, 3):
        (state / "progress.json").write_text(f"{{ broken {number}")
        progress.note_hint("00.1", 1)
    kept = sorted(path.read_text() for path in state.glob("progress.broken.*.json"))
    assert kept == ["{ broken 1", "{ broken 2", "{ broken 3"]


def test_a_good_file_that_cannot_be_read_for_a_moment_stays_as_it_is(state, monkeypatch, capsys):
    check("00.1", answer_of_the_learner())
    before = (state / "progress.json").read_bytes()

    def refused(self):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(progress.Path, "read_bytes", refused)
        assert not check("00.2", None).passed
        progress.note_quiz("00.1", True)
        assert progress.read() == {}
    assert "Your progress was not kept" in capsys.readouterr().out
    assert (state / "progress.json").read_bytes() == before
    assert not list(state.glob("*broken*"))
    assert progress.passed_exercises() == {"00.1"}


def test_a_lock_that_another_holds_is_not_waited_for_long(state, monkeypatch, capsys):
    check("00.1", answer_of_the_learner())
    monkeypatch.setattr(progress, "_PATIENCE", 0.05)
    with progress.FileLock(state / ".progress.lock"):
        assert check("00.1", answer_of_the_learner()).passed
    assert "another notebook holds it" in capsys.readouterr().out
    assert json.loads((state / "progress.json").read_text())["exercises"]["00.1"]["attempts"] == 1


def test_counts_of_another_type_fail_no_check(state):
    state.mkdir()
    entry = {"passed": True, "attempts": "x", "hints": [1], "source": 3}
    (state / "progress.json").write_text(json.dumps({"exercises": {"00.1": entry}}))
    assert check("00.1", answer_of_the_learner()).passed
    progress.note_hint("00.1", 2)
    kept = progress.read()["exercises"]["00.1"]
    assert (kept["passed"], kept["attempts"], kept["hints"]) == (True, 1, 2)


PASSES = """
import sys
from vtlearn.course import progress
for number in range(40):
    progress.record(f"{sys.argv[1]}.{number}", None, passed=True, attempted=True)
    progress.record("99.1", None, passed=False, attempted=True)
"""


def test_two_notebooks_lose_no_pass(state):
    notebooks = [subprocess.Popen([sys.executable, "-c", PASSES, name]) for name in ("10", "11")]
    assert [each.wait(120) for each in notebooks] == [0, 0]
    kept = progress.read()["exercises"]
    assert sum(entry["passed"] for entry in kept.values()) == 80
    assert kept["99.1"]["attempts"] == 80


def test_two_threads_lose_no_pass(state):
    def passes(name):
        for number in range(40):
            progress.record(f"{name}.{number}", None, passed=True, attempted=True)

    threads = [threading.Thread(target=passes, args=(name,)) for name in ("10", "11")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(entry["passed"] for entry in progress.read()["exercises"].values()) == 80
    assert sorted(path.name for path in state.iterdir()) == [".progress.lock", "progress.json"]


def test_hints_quiz_and_forgetting(state):
    progress.note_hint("00.1", 2)
    progress.note_hint("00.1", 1)
    progress.note_quiz("00.2", True)
    assert progress.read()["exercises"]["00.1"]["hints"] == 2
    check("00.1", answer_of_the_learner())
    progress.forget("01")
    assert progress.passed_exercises() == {"00.1"}
    progress.forget("00")
    assert progress.read() == {"exercises": {}, "quiz": {}}


def test_source_of_a_class_and_of_something_unknown():
    source = progress.source_of(
        compile_answer(
            "class Twice(nn.Module):\n    def forward(self, x):\n        return 2 * x\n", "Twice", label="x"
        )
    )
    assert "class Twice" in source
    assert progress.source_of(math.cos) is None
    assert progress.source_of(torch.ones(1)) is None


def test_unknown_exercise_is_named():
    with pytest.raises(
        ArgumentError, match=r"exercise_id must be an exercise .*'00.1'.* got '99.1'|got '99.1'"
    ):
        check("99.1", None)
    with pytest.raises(ArgumentError, match=r"00\.99"):
        mine("00.99")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository" / "notebooks"
    folder.mkdir(parents=True)
    for name in ("00_start_here", "03_longformer"):
        (folder / f"{name}.ipynb").write_text(f"lesson {name}")
    return folder.parent


def test_start_copies_once_and_never_overwrites(repository):
    (one,) = workspace.start("3", repository)
    assert one == repository / "work" / "03_longformer.ipynb"
    one.write_text("my own work")
    assert [path.name for path in workspace.start(None, repository)] == [
        "00_start_here.ipynb",
        "03_longformer.ipynb",
    ]
    assert one.read_text() == "my own work"
    assert (repository / "work" / "00_start_here.ipynb").read_text() == "lesson 00_start_here"
    assert sorted(path.name for path in (repository / "work").iterdir()) == [
        "00_start_here.ipynb",
        "03_longformer.ipynb",
    ]


def test_reset_restores_and_keeps_every_backup(repository):
    workspace.start("03", repository)
    own = repository / "work" / "03_longformer.ipynb"
    for text in ("first", "second"):
        own.write_text(text)
        fresh, backup = workspace.reset("03", repository)
        assert fresh == own
        assert own.read_text() == "lesson 03_longformer"
        assert backup.read_text() == text
    assert len(list((repository / "work" / "backup").iterdir())) == 2
    own.unlink()
    assert workspace.reset("03", repository) == (own, None)


def test_lessons_that_are_not_there_are_named(repository, tmp_path):
    with pytest.raises(ArgumentError, match="lesson must be one of 00, 03, got '7'"):
        workspace.start("7", repository)
    with pytest.raises(ArgumentError, match="got 'x'"):
        workspace.reset("x", repository)
    with pytest.raises(DataError, match="no lessons here"):
        workspace.start(None, tmp_path)


def test_lab_opens_the_lesson_and_only_prints_where_nothing_can_be_shown(repository, monkeypatch):
    called = []
    monkeypatch.setattr(workspace.subprocess, "call", lambda command, cwd: called.append((command, cwd)) or 3)
    (lesson,) = workspace.start("00", repository)
    monkeypatch.setattr(workspace.sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    assert workspace.open_lab(lesson, repository) == 3
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert workspace.open_lab(lesson, repository) == 3
    shown, hidden = (command for command, _ in called)
    assert shown[1:3] == ["-m", "jupyterlab"]
    assert f"--LabApp.default_url=/lab/tree/work/{lesson.name}" in shown
    assert f"--ServerApp.root_dir={repository}" in shown
    assert "--no-browser" not in shown
    assert set(hidden) - set(shown) == {"--no-browser"}
    assert called[0][1] == repository

    def stopped(command, cwd):
        raise KeyboardInterrupt

    monkeypatch.setattr(workspace.subprocess, "call", stopped)
    assert workspace.open_lab(lesson, repository) == 0
    monkeypatch.setattr(workspace.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="JupyterLab is not installed"):
        workspace.open_lab(lesson, repository)


def test_progress_in_words(state):
    assert workspace.progress().splitlines()[:2] == [
        "lesson 00: 0 of 2 passed",
        "  ○ 00.1 Warm-up: the mean frame",
    ]
    check("00.1", answer_of_the_learner())
    assert workspace.progress().splitlines()[:2] == [
        "lesson 00: 1 of 2 passed",
        "  ✔ 00.1 Warm-up: the mean frame",
    ]
