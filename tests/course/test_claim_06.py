"""Lesson 06's claim: attention over time tells what came first, and the image start loses nothing."""

import functools

import pytest

from vtlearn.course.notebooks import run_claim
from vtlearn.study import shipped

SHORTER = {"STEPS = 40": "STEPS = 20"}  # enough to break
FC_STEP = "own.temporal_fc(time_step(own.temporal_attn, own.temporal_norm1(patches)))"
STARTED = "load_state_dict(start(image_block.state_dict()))"


@pytest.fixture(autouse=True)
def _clips_decoded_once(monkeypatch):
    monkeypatch.setattr(shipped, "sample_clips", decoded)


decoded = functools.cache(shipped.sample_clips)


def test_claim_holds_with_room():
    cells = run_claim("06")
    assert cells["apart"]["a clip that stands still"] < 2e-5
    assert cells["off_course"] < 0.02
    found = cells["found"]
    assert found["your TimeSformer"]["motion"] > 2 * found["baseline: average over frames"]["motion"]
    assert found["control: played backwards"]["motion"] < 0.12


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        (
            {STARTED: STARTED + "\n    nn.init.eye_(video_block.temporal_fc.weight)"},
            "stands still got another answer",
        ),
        ({FC_STEP: "0.0 * " + FC_STEP}, "left the recorded curve"),
        (
            {"return ({**one,": "return batches\n    return ({**one,"},
            "played backwards, the opposite motion was not named",
        ),
        ({"shares_right(yours, shuffled)": "shares_right(yours)"}, "shuffled frames still told"),
        (
            {"    nn.init.zeros_(one.own.temporal_fc.weight)\n": ""},
            "told without the step over time",
        ),
    ],
    ids=[
        "not zero at the start", "no step over time in training", "never played backwards", "never shuffled",
        "step over time stays",
    ],
)  # fmt: skip
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("06", swap=SHORTER | swap)


def test_claim_falls_when_places_and_times_are_mixed():
    swap = {
        'time_step, space_step = mine("06.3"), mine("06.4")': (
            'time_step, space_step = mine("06.3"), mine("06.4")\n'
            "time_step = lambda attention, x: attention(x.reshape(-1, 8, 64)).reshape(x.shape)"
        )
    }
    with pytest.raises(AssertionError, match="left the recorded curve"):
        run_claim("06", swap=SHORTER | swap)
