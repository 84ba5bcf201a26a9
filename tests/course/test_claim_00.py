"""The claim of lesson 00 holds, and falls when its mechanism is broken."""

import pytest

from vtlearn.course.notebooks import run_claim

AVERAGE = 'mine("00.1")(network(clip))'
ORDERED = "(network(clip) * later_counts_more).mean(dim=0)"
STILL = 'clips["sliding left"][:1].repeat(8, 1, 1, 1)'


def test_claim_holds():
    run_claim("00")


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        (
            {AVERAGE: "(network(clip) * torch.linspace(0, 1, 8).reshape(8, 1, 1, 1)).mean(dim=0)"},
            "the average told",
        ),
        ({AVERAGE: "network(clip).cummax(dim=0).values.mean(dim=0)"}, "the average told"),
        ({"answer(clip.flip(0))": "answer(clip.roll(9, dims=3) * 0.9)"}, "the average told"),
        ({ORDERED: "network(clip).mean(dim=0)"}, "order did not tell"),
        ({"torch.linspace(0, 2, 8)": "torch.ones(8)"}, "order did not tell"),
        ({"answer(clip.flip(0))": "answer(clip)"}, "order did not tell"),
        ({STILL: 'clips["sliding left"]'}, "the control moved"),
    ],
)
def test_claim_falls(swap, message):
    with pytest.raises(AssertionError, match=message):
        run_claim("00", swap)
