"""Lesson 10's claim: equal on appearance; on motion a coin against models that need the frames in order."""

import pytest

from vtlearn.course.notebooks import run_claim


def test_claim_holds_and_only_order_falls():
    cells = run_claim("10")
    assert all(found[0] - found[1] > 0.3 for name, found in cells["rerun"].items() if name != "frame_average")
    assert cells["rerun"]["frame_average"][0] == cells["rerun"]["frame_average"][1]


BASELINE = 'scores[name, "appearance"] - scores["frame_average", "appearance"]'
IN_ORDER = 'clips = batch["clip"] if in_order else'
PAIRS = 'rows[seed, name, "motion"]["test_within_pair"]'
RERUN = "model = load_shipped(name)\n    rerun"


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        ({BASELINE: 'scores[name, "motion"] - scores["frame_average", "motion"]'}, "on appearance"),
        ({PAIRS: PAIRS.replace("name", '"frame_average"')}, "its reversal in the record"),
        ({PAIRS: PAIRS.replace("name", '"vtn"')}, "frame averaging knew the side in the record"),
        ({IN_ORDER: 'clips = batch["clip"] if not in_order else'}, "its reversal in the rerun"),
        ({IN_ORDER: 'clips = batch["clip"] if True else'}, "with the frames shuffled"),
        ({RERUN: RERUN.replace("name", '"frame_average"')}, "its reversal in the rerun"),
        ({RERUN: RERUN.replace("name", '"timesformer"')}, "frame averaging knew the side in the rerun"),
    ],
    ids=[
        "motion for appearance",
        "no model",
        "no baseline",
        "exchanged",
        "never shuffled",
        "all average",
        "all divided",
    ],
)
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("10", swap=swap)
