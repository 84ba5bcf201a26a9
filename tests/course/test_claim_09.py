"""Lesson 09's claim: split by clip, recognising a video passes for knowing what happens in it."""

import pytest

from vtlearn.course.notebooks import run_claim


def test_claim_holds_and_only_the_look_leaks():
    cells = run_claim("09")
    scores = cells["scores"]
    assert scores["look", "clips drawn"] - scores["look", "sources drawn"] > 0.5
    assert abs(scores["change", "clips drawn"] - scores["change", "sources drawn"]) < 0.15


HONEST = '"sources drawn": mine("09.3")'


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        ({HONEST: '"sources drawn": draw_clips'}, "the look of a clip still told its motion"),
        (
            {'"clips drawn": draw_clips': '"clips drawn": mine("09.3")'},
            "did not reward recognising the video",
        ),
        (
            {"generator=torch.Generator().manual_seed(0)).repeat_interleave(4)": (
                "generator=torch.Generator().manual_seed(0)).repeat(4)"
            )},
            "labels by lot were not recognised",
        ),
        ({"(cut[:, -1] - cut[:, 0])": "(cut[:, -1] - cut[:, -1])"}, "no better than chance"),
        ({'"look": cut.mean(dim=1)': '"look": F.avg_pool2d(change, 4)'}, "did not reward recognising"),
        ({'"change": F.avg_pool2d(change, 4)': '"change": cut.mean(dim=1)'}, "no better than chance"),
    ],
    ids=["clips drawn twice", "both honest", "lot a clip", "no change seen", "look is blind", "change looks"],
)  # fmt: skip
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("09", swap=swap)
