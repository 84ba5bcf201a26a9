"""The recorded comparison belongs to the protocol that the code has, and says what the pages say it says."""

import json
from pathlib import Path

import pytest

from benchmarks.comparison import MARKERS, PICTURE, RECORD, TARGETS, markdown, shortfalls, summary
from vtlearn.study.protocol import CONTESTANTS, Protocol

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text())


def test_it_was_made_under_the_default_protocol(record):
    protocol = Protocol.default().settled().as_dict()
    protocol.pop("seed")
    assert record["protocol"] == json.loads(json.dumps(protocol)), (
        "run `python -m benchmarks.comparison` again"
    )


def test_every_run_has_every_model_on_both_labellings(record):
    assert record["seeds"] == [0, 1, 2]
    for run, seed in zip(record["runs"], record["seeds"], strict=True):
        assert run["facts"]["data"] == {"samples_seed": seed}
        assert run["facts"]["protocol"]["seed"] == seed
        pairs = {(row["model"], row["labelling"]) for row in run["rows"]}
        assert pairs == {(each.name, name) for each in CONTESTANTS for name in ("appearance", "motion")}
        assert all(row["test_clips"] == 320 for row in run["rows"])


def test_the_lesson_s_point_holds_for_every_seed(record):
    assert shortfalls(record["runs"]) == []


def test_within_a_pair_frame_averaging_is_a_coin_toss(record):
    """320 clips: a fair coin stays within 0.5 ± 0.14 (four standard deviations of at least 200 tosses)."""
    for run in record["runs"]:
        rows = {(row["model"], row["labelling"]): row for row in run["rows"]}
        assert abs(rows["frame_average", "motion"]["test_within_pair"] - 0.5) < 0.14
        assert rows["vtn", "motion"]["test_within_pair"] > 0.9


def test_shortfalls_are_seen():
    row = {"model": "vtn", "labelling": "motion", "test_top1": TARGETS["vtn"]["motion"][0] - 0.01}
    assert "seed 4: vtn reaches 89.0 % on motion" in shortfalls([{"seed": 4, "rows": [row]}])[0]


def test_summary_and_readme_follow_from_the_runs(record):
    assert record["summary"] == json.loads(json.dumps(summary(record["runs"])))
    readme = (ROOT / "README.md").read_text()
    block = readme.split(MARKERS[0])[1].split(MARKERS[1])[0].strip()
    assert block == markdown(record["summary"], record["seeds"])
    assert PICTURE.is_file()
