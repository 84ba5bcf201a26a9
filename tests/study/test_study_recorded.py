"""The recorded comparison belongs to the protocol that the code has, and says what the pages say it says."""

import itertools
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
    runs = record["runs"] + record["crossed_runs"]
    assert [(run["samples_seed"], run["seed"]) for run in record["runs"]] == [(0, 0), (1, 1), (2, 2)]
    assert {(run["samples_seed"], run["seed"]) for run in runs} == set(itertools.product(range(3), repeat=2))
    for run in runs:
        assert run["facts"]["data"] == {"samples_seed": run["samples_seed"]}
        assert run["facts"]["protocol"]["seed"] == run["seed"]
        pairs = {(row["model"], row["labelling"]) for row in run["rows"]}
        assert pairs == {(each.name, name) for each in CONTESTANTS for name in ("appearance", "motion")}
        assert all(row["test_clips"] == 320 for row in run["rows"])


def test_the_lesson_s_point_holds_for_every_seed_and_the_page_says_where_a_crossed_one_falls_short(record):
    assert shortfalls(record["runs"]) == []
    missed = shortfalls(record["crossed_runs"])
    assert all(line in (ROOT / "README.md").read_text() for line in missed)
    for run in record["crossed_runs"]:  # what one frame cannot tell is told even there
        rows = {(row["model"], row["labelling"]): row for row in run["rows"]}
        for name in ("vtn", "timesformer", "vivit"):
            assert rows["frame_average", "motion"]["test_top1"] < rows[name, "motion"]["test_top1"] - 0.4


def test_within_a_pair_frame_averaging_is_a_coin_toss(record):
    """320 clips: a fair coin stays within 0.5 ± 0.14 (four standard deviations of at least 200 tosses)."""
    for run in record["runs"]:
        rows = {(row["model"], row["labelling"]): row for row in run["rows"]}
        assert abs(rows["frame_average", "motion"]["test_within_pair"] - 0.5) < 0.14
        assert rows["vtn", "motion"]["test_within_pair"] > 0.9


def test_shortfalls_are_seen():
    row = {"model": "vtn", "labelling": "motion", "test_top1": TARGETS["vtn"]["motion"][0] - 0.01}
    run = {"samples_seed": 3, "seed": 4, "rows": [row]}
    assert "samples 3, training 4: vtn reaches 89.0 % on motion" in shortfalls([run])[0]


def test_summary_and_readme_follow_from_the_runs(record):
    runs = sorted(record["runs"] + record["crossed_runs"], key=lambda run: (run["samples_seed"], run["seed"]))
    assert record["summary"] == json.loads(json.dumps(summary(record["runs"])))
    assert record["summary_of_all"] == json.loads(json.dumps(summary(runs)))
    readme = (ROOT / "README.md").read_text()
    block = readme.split(MARKERS[0])[1].split(MARKERS[1])[0].strip()
    assert block == markdown(record["summary_of_all"], runs)
    assert PICTURE.is_file()
