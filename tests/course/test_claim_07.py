"""Lesson 07's claim: model 2 follows the recorded run, and learns motions by the order of its vectors."""

import pytest

from vtlearn.course.notebooks import run_claim
from vtlearn.study import shipped

CONTROL = '("shuffled", shuffled)'
ENCODER = "YourEncoder(run.model.trunk.encoder, between)"
TRAINED = "    return run.model, means"
BRIEFLY = {"STEPS = 30": "STEPS = 10"}


@pytest.fixture(scope="module", autouse=True)
def _decoded_once():
    """The clips are decoded once for all runs of the claim in this file."""
    clips = {split: shipped.sample_clips(split) for split in ("train", "val")}
    patch = pytest.MonkeyPatch()
    patch.setattr(shipped, "sample_clips", clips.__getitem__)
    yield
    patch.undo()


def test_claim_holds_with_room():
    cells = run_claim("07")
    assert cells["gap"] < 0.005
    assert cells["motions"]["in order"] > 2 * cells["motions"]["shuffled"]


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        ({CONTROL: '("shuffled", in_order)'}, "a control learned motions"),
        (
            {'(("in order", in_order),': '(("in order", lambda v: v.flip(1)),'} | BRIEFLY,
            "not those of the recorded run",
        ),
        ({ENCODER: "run.model.trunk.encoder"}, "a control learned motions"),
        (
            {TRAINED: "    return load_shipped('vivit_begun'), means"} | BRIEFLY,
            "taught it no motion",
        ),
        (
            {"vectors.mean(dim=1, keepdim=True).expand_as(vectors)": "0 * vectors"},
            "a control lost the shapes",
        ),
    ],
    ids=["not shuffled", "times backwards", "encoder not yours", "training thrown away", "vectors blanked"],
)
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("07", swap=swap)
