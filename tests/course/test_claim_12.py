"""Lesson 12's claim: clips miss the whole, and the whole collapses until its indices mean what they meant."""

import pytest

from vtlearn.course.notebooks import run_claim
from vtlearn.data import synthetic

DRAWN = {}


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch):
    """The same videos for every run of the cells; drawing them is not what is tested."""
    draw = synthetic.draw_sample

    def kept(clip, spec):
        key = (clip.clip_id, spec.num_frames)
        if key not in DRAWN:
            DRAWN[key] = draw(clip, spec)
        return DRAWN[key]

    monkeypatch.setattr(synthetic, "draw_sample", kept)


def test_claim_holds():
    cells = run_claim("12")
    right = cells["right"]
    assert right["whole, indices fitted"] > 0.9
    assert right["whole, as it comes"] < 0.45
    assert right["clips, averaged"] < 0.4
    assert cells["trained_positions"] == 24


@pytest.mark.parametrize(
    ("mechanism", "swap", "sentence"),
    [
        (
            "indices are fitted to the table, not to what was trained",
            {
                '"interpolate", last, trained_positions)': '"interpolate", last)',
            },
            "the whole video was not read",
        ),
        (
            "the whole comes with indices it knows",
            {"probabilities(kept, everywhere)": "fitted(kept, everywhere)"},
            "did not collapse",
        ),
        (
            "each clip spans the whole video",
            {"kept[:, in_a_clip + start]": "kept[:, in_a_clip * 4]"},
            "was as good as the whole",
        ),
        (
            "the control is not shuffled",
            {"torch.randperm(LENGTH, generator=torch.Generator().manual_seed(12))": "torch.arange(LENGTH)"},
            "the order of the frames did not matter",
        ),
        (
            "the videos are as long as the clips",
            {"LENGTH, TRAINED_LENGTH = 96, 24": "LENGTH, TRAINED_LENGTH = 24, 24"},
            "did not collapse",
        ),
    ],
)
def test_claim_falls_when_a_mechanism_is_broken(mechanism, swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("12", swap=swap)
