"""Lesson 13's claim: the frames around tell when an event happens, and false times teach nothing."""

import pytest

from vtlearn.course.notebooks import run_claim


def test_claim_holds_with_room():
    cells = run_claim("13")
    assert min(cells["gains"]) > 0.12
    assert len(cells["records"]) == 9


NO_GAIN = "did not gain ten points"


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        ({'return mine("13.3")(frames, REACH)': "return frames.repeat(1, 1, 2 * REACH + 1)"}, NO_GAIN),
        ({"if hidden == 0:": "if hidden >= 0:"}, NO_GAIN),
        ({"wanted = wanted[torch.randperm(len(wanted))]": "pass"}, "control did better than chance"),
        ({'trunk.frame_features(batch["clip"])': 'trunk.frame_features(batch["clip"]).flip(1)'}, NO_GAIN),
        (
            {"return frames.repeat(1, 1, 2 * REACH + 1)": "return frames.repeat(1, 1, 2 * REACH + 1) * 0"},
            "the baseline learnt nothing",
        ),
    ],
    ids=["sees itself only", "linear head", "control keeps its times", "frames backwards", "blind baseline"],
)
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("13", swap=swap)
