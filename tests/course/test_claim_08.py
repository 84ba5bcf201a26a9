"""Lesson 08's claim: an augmentation teaches what does not matter, whether that is true or not."""

import pytest

from vtlearn.course.notebooks import run_claim

ONCE_A_CLIP = "return random_square(clips, CROP, chance)"
ONCE_A_FRAME = "return random_square(single, CROP, chance)[:, 0].unflatten(0, clips.shape[:2])"


def test_claim_holds_with_room_to_spare():
    cells = run_claim("08")
    accuracies, told = cells["accuracies"], cells["told"]
    assert accuracies["no augmentation"][0] - accuracies["no augmentation"][1] > 0.4
    assert accuracies["one crop a clip"][1] > 0.95
    assert told["crop and mirror"][0] < 0.65 < 0.95 < told["crop and mirror"][1]


@pytest.mark.parametrize(
    ("mechanism", "swap", "sentence"),
    [
        ("no step is taken", {"steps: int = STEPS": "steps: int = 0"}, "not even learned"),
        (
            "the baseline is cropped too",
            {'"no augmentation": central,': '"no augmentation": once_a_clip,'},
            "no gap to close",
        ),
        ("the crop never moves", {ONCE_A_CLIP: "return central(clips)"}, "did not close the gap"),
        (
            "the frames of the control agree",
            {ONCE_A_FRAME: "return once_a_clip(clips, chance)"},
            "crops a frame did no harm",
        ),
        ("nothing is mirrored", {"pieces.flip(-1)": "pieces"}, "in spite of the mirror"),
        ("mirrored both ways", {"pieces.flip(-1)": "pieces.flip(-1).flip(-2)"}, "hurt up and down"),
    ],
)
def test_claim_falls_when_a_mechanism_is_broken(mechanism, swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("08", swap=swap)
