"""What learners hand in is checked again, each answer in a process that cannot hurt or outlast its time."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from vtlearn import __version__, cli, files
from vtlearn.course import exercise, exercises, progress
from vtlearn.course.export import EXPORT_FORMAT, export_progress, exported
from vtlearn.course.grading import Row, _verdict, _writes, as_csv, grade, read_answers, rerun
from vtlearn.course.notebooks import assemble, sources
from vtlearn.errors import DataError

RIGHT = "def mean_frame(clip):\n    return clip.mean(dim=0)\n"
WRONG = "def mean_frame(clip):\n    return clip.sum(dim=0)\n"
WITH_OWN_NAMES = "def mean_frame(clip):\n    return scaled(clip).sum(dim=0)\n"
OWN_NAMES = """%matplotlib inline
from math import ceil
SCALE = ceil(0.5)

def scaled(clip):
    return SCALE * clip / len(clip)"""
NUMBERS = [one.id for one in exercises("00")]


@pytest.fixture
def handed_in(tmp_path):
    """Write lesson 00 as a learner's notebook with this answer to 00.1, and cells of the learner's own."""

    def make(answer: str | None = None, *own_cells: str, name: str = "00.ipynb", ids: bool = True) -> Path:
        notebook = assemble(sources(["00"])[0])
        cells = [json.loads(json.dumps(cell)) for cell in notebook.cells]
        for cell in cells:
            if cell["id"] == "ex-00-1-answer" and answer is not None:
                cell["source"] = answer.splitlines(keepends=True)
            if not ids:
                cell["id"] = f"new{cells.index(cell)}"
        cells += [{"cell_type": "code", "metadata": {}, "source": text} for text in own_cells]
        path = tmp_path / name
        path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
        return path

    return make


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vtlearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


def test_answers_are_found_by_tag_with_or_without_ids(handed_in):
    for path in (handed_in(WRONG), handed_in(WRONG, name="b.ipynb", ids=False)):
        answers = {answer.exercise: answer for answer in read_answers(path)}
        assert list(answers) == NUMBERS
        assert answers["00.1"].source == WRONG
        assert all(answers[name].reason == "not attempted yet" for name in NUMBERS[1:])


@pytest.mark.parametrize(
    "odd", ["nonlocal a\n", "a = '\x00'\n", "(" * 9999, "def mean_frame(clip): return (yield)\n"]
)
def test_any_text_in_a_cell_can_be_read(handed_in, odd):
    answers = {answer.exercise: answer.source for answer in read_answers(handed_in(odd, odd))}
    assert odd.strip() in (answers["00.1"] or "")


def test_a_notebook_is_graded_with_the_learners_own_cells(handed_in):
    rows = grade(handed_in(WITH_OWN_NAMES, OWN_NAMES))
    assert rows[0].passed, rows[0].message
    assert [(row.exercise, row.passed, row.message) for row in rows[1:]] == [
        (name, False, "not attempted yet") for name in NUMBERS[1:]
    ]
    assert rows[0].title == exercise("00.1").title
    assert rows[0].core is exercise("00.1").core


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (WRONG, "five times as bright"),
        ("def mean_frame(clip:\n", "no Python"),
        ("mean = 3\n", "does not define mean_frame"),
        ("raise SystemExit(0)\n", "raised SystemExit"),
        ("nonlocal mean_frame\n", "no Python"),
        ("mean_frame = '\x00'\n", "null bytes"),
        ("mean_frame = '\ud800'\n", "UnicodeEncodeError"),
        ("import os\nos._exit(0)\n", "ended the process"),
        ("while True:\n    pass\n", "stopped after 1 seconds"),
        (
            "def mean_frame(clip):\n    while True:\n        try:\n            while True: pass\n"
            "        except BaseException:\n            pass\n",
            "stopped after 1 seconds",
        ),
        ("def mean_frame(clip):\n    return torch.zeros(2**40)\n", "raised RuntimeError"),
    ],
    ids=[
        "wrong",
        "syntax",
        "nothing",
        "exit",
        "scope",
        "null",
        "surrogate",
        "end",
        "endless cell",
        "endless and deaf",
        "memory",
    ],
)
def test_no_answer_stops_the_grading(answer, says):
    passed, message = rerun(exercise("00.1"), answer, seconds=1.0)
    assert not passed
    assert says in message
    assert "\n" not in message


HARM = """
import os, pathlib, shutil, subprocess, sys
kept = pathlib.Path({kept!r})
def tried():
    for harm in (
        lambda: kept.write_text("spoiled"), lambda: os.remove(kept), lambda: os.rename(kept, "mine"),
        lambda: shutil.rmtree(kept.parent), lambda: os.system("rm " + str(kept)),
        lambda: subprocess.run(["rm", str(kept)]), lambda: os.open(kept, os.O_RDWR | os.O_TRUNC),
        lambda: (kept.parent / "new").mkdir(), lambda: os.symlink(kept, kept.parent / "link"),
        lambda: os.kill(os.getppid(), 9),
    ):
        try:
            harm()
        except PermissionError:
            continue
        yield harm
done = list(tried())
pathlib.Path("here.txt").write_text("may be written")
def mean_frame(clip):
    assert not done
    return clip.mean(0)
"""


def test_harm_is_refused_and_writing_beside_oneself_is_not(tmp_path):
    kept = tmp_path / "kept" / "file"
    kept.parent.mkdir()
    kept.write_text("whole")
    assert rerun(exercise("00.1"), HARM.format(kept=str(kept))) == (True, "passed")
    assert kept.read_text() == "whole"
    assert [path.name for path in kept.parent.iterdir()] == ["file"]


def test_an_answer_reaches_no_other_answers_process(handed_in):
    spoil = "import vtlearn.course.judge as judge\njudge.expect_close = lambda *a, **k: None\n" + WRONG
    rerun(exercise("00.1"), spoil)
    assert not rerun(exercise("00.1"), WRONG)[0]


def test_replies_are_read_as_nothing_but_a_sentence():
    assert _verdict({"passed": True, "message": "passed"}, 1.0) == (True, "passed")
    for forged in ("gone", None, [], {"passed": True}, {"passed": True, "message": 3}):
        assert not _verdict(forged, 1.0)[0]
    passed, message = _verdict({"passed": "yes", "message": "a\x1b[2J\nb" + "c" * 9999}, 1.0)
    assert not passed
    assert len(message) <= 400
    assert message.isprintable()


def test_opening_to_write_is_told_from_opening_to_read():
    assert all(_writes(opened) for opened in (("a", "w", 0), ("a", "r+", 0), ("a", None, 2)))
    assert not any(_writes(opened) for opened in (("a", "r", 0), ("a", "rb", 0o2000000), ("a", None, 0)))


def test_command_writes_one_line_an_exercise(run, handed_in, tmp_path):
    good = handed_in(RIGHT, name="ada.ipynb")
    table = tmp_path / "table.csv"
    code, out, _ = run("grade", good, "--csv", table)
    assert code == 1, "not every exercise is passed"
    assert out.splitlines()[0] == f"{good}: 1 of {len(NUMBERS)} passed"
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert list(lines[0]) == ["file", "exercise", "title", "core", "passed", "message"]
    assert [(line["file"], line["exercise"], line["passed"]) for line in lines] == [
        (str(good), name, "yes" if name == "00.1" else "no") for name in NUMBERS
    ]


def test_bad_files_are_named_in_one_line_and_the_others_graded(run, handed_in, tmp_path):
    good = handed_in(None)
    broken, other, scratch = (tmp_path / name for name in ("broken.ipynb", "other.json", "scratch.ipynb"))
    broken.write_text("{")
    other.write_text("[1]")
    scratch.write_text('{"cells": [{"cell_type": "code", "source": "1"}]}')
    code, out, err = run("grade", good, broken, other, scratch, tmp_path / "none.ipynb", tmp_path, "--json")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    for path, said in (
        (broken, "not JSON"),
        (other, "neither"),
        (scratch, "no exercise"),
        ("none", "No such"),
    ):
        assert str(path) in err
        assert said in err
    told = json.loads(out)
    assert [row["exercise"] for row in told["rows"]] == NUMBERS
    assert len(told["unread"]) == 5


def test_a_spreadsheet_is_given_no_formula():
    text = as_csv([Row("=cmd()", "00.1", "a, b", True, False, "-1+1")])
    assert next(csv.reader([text.splitlines()[1]])) == ["'=cmd()", "00.1", "a, b", "yes", "no", "'-1+1"]


@pytest.fixture
def learner(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLEARN_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("CI", raising=False)
    entries = {"00.1": {"passed": True, "attempts": 3, "hints": 1, "source": RIGHT}}
    entries["00.2"] = {"passed": False, "attempts": 2}
    progress.write({"exercises": entries, "quiz": {"00.1": True, "00.2": False}})


def test_progress_is_exported_and_graded_again(learner, run, tmp_path):
    path = tmp_path / "student.json"
    code, out, _ = run("progress", "--export", path)
    assert (code, out.strip()) == (0, str(path))
    told = json.loads(path.read_text())
    assert told["format"] == EXPORT_FORMAT
    assert told["vtlearn"] == __version__
    assert list(told["exercises"]) == [one.id for one in exercises()]
    assert told["exercises"]["00.1"] == {"passed": True, "attempts": 3, "hints": 1, "source": RIGHT}
    assert told["exercises"]["00.2"] == {"passed": False, "attempts": 2, "hints": 0}
    assert [told["quiz"][f"00.{number}"] for number in (1, 2, 3)] == [True, False, None]
    rows = {row.exercise: row for row in grade(path)}
    assert [name for name, row in rows.items() if row.passed] == ["00.1"]
    assert rows["00.2"].message == "not passed yet; checks so far: 2"
    assert rows["01.1"].message == "not attempted yet"


def test_an_export_is_not_believed(tmp_path):
    entries = {
        "00.1": {"passed": True, "attempts": 1, "source": WRONG},
        "00.2": {"passed": True, "attempts": 1},
        "77.1": {"passed": True, "attempts": 1, "source": RIGHT},
    }
    path = tmp_path / "student.json"
    path.write_text(json.dumps({"format": EXPORT_FORMAT, "exercises": entries}))
    rows = grade(path)
    assert not any(row.passed for row in rows)
    assert "cannot be rerun" in rows[1].message
    assert "no such exercise" in rows[2].message
    path.write_text(json.dumps({"format": EXPORT_FORMAT, "exercises": {"00.1": 3}}))
    with pytest.raises(DataError, match="cannot be read"):
        grade(path)


def test_odd_text_in_an_export_reaches_no_table(tmp_path, run):
    path = tmp_path / "student.json"
    entries = {"\ud800\n=1": {"passed": True, "source": "1"}, "00.1": {"attempts": "\ud800" * 9999}}
    entries["00.2"] = {"passed": True, "source": "nonlocal a"}
    path.write_text(json.dumps({"format": EXPORT_FORMAT, "exercises": entries}))
    code, _, err = run("grade", path, "--csv", tmp_path / "table.csv")
    assert (code, err) == (1, "")
    lines = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [line["exercise"] for line in lines] == ["'=1", "00.1", "00.2"]
    assert all(len(line["message"]) <= 400 for line in lines)


def test_an_export_is_written_whole_or_not(learner, tmp_path, monkeypatch):
    path = tmp_path / "student.json"
    export_progress(path)
    before = path.read_text()

    def crash(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", crash)
    with pytest.raises(DataError, match="No space left"):
        export_progress(path)
    assert path.read_text() == before
    assert [one.name for one in tmp_path.glob("*student*")] == ["student.json"]


def test_nothing_is_exported_of_nobody():
    assert not any(entry["passed"] for entry in exported()["exercises"].values())
