"""The claim of lesson 01 holds, and falls when its mechanism is broken."""

import pytest

from vtlearn.course.notebooks import run_claim

SHUFFLED = "numbers[order] for numbers, order in zip(test_numbers, shuffles, strict=True)"
ROW = "return numbers.flatten(1)"
BAG = "return torch.cat([numbers.mean(1), numbers.std(1)], dim=1)"
FRAMES = '[int(frame) for frame in mine("01.1")(video.num_frames, 8)]'


def test_claim_holds():
    run_claim("01")


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        ({SHUFFLED: "numbers for numbers in test_numbers"}, "motion survived"),
        ({ROW: "return numbers.sort(dim=1).values.flatten(1)"}, "motion is not read"),
        ({FRAMES: "[12] * 8"}, "motion is not read"),
        ({"numbers.append(torch.hypot(": "numbers.append(0 * torch.hypot("}, "appearance is not read"),
        ({BAG: "return numbers.flatten(1)"}, "a bag of frames told"),
        ({"in_a_row, known[dealt])": "in_a_row, known)"}, "dealt out at random were learned"),
    ],
    ids=["not shuffled", "row without order", "one frame", "no shape", "bag with order", "no control"],
)
def test_claim_falls(swap, message):
    with pytest.raises(AssertionError, match=message):
        run_claim("01", swap)
