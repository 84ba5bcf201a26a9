"""Lesson 11's claim: rollout finds what answers rest on, better than lot and random weights, not contrast."""

import functools

import pytest

from vtlearn.course.notebooks import run_claim
from vtlearn.study import shipped

_decode = functools.cache(shipped.sample_clips)


@pytest.fixture(autouse=True)
def _decoded_once(monkeypatch):
    """The same clips for every run of the cells; decoding them is not what is tested."""
    monkeypatch.setattr(shipped, "sample_clips", _decode)


def test_claim_holds():
    cells = run_claim("11")
    stays = cells["stays"]
    assert stays["lowest by rollout"] > 0.95
    assert stays["by lot"] > 0.7
    assert stays["rollout"] < 0.42
    assert stays["rollout, random weights"] > stays["rollout"] + 0.13
    assert cells["test"]["labels"]["motion"][cells["chosen"]].bincount().tolist() == [10] * 8


@pytest.mark.parametrize(
    ("mechanism", "swap", "sentence"),
    [
        (
            "the map is that of random weights",
            {"by_rollout = heat_of(model)": 'by_rollout = heat_of(mine("11.4")(model, 3))'},
            "most answers stay without",
        ),
        (
            "the control is not random",
            {
                'shuffled = [heat_of(mine("11.4")(model, seed)) for seed in (1, 2, 3)]': (
                    "shuffled = [heat_of(model)]"
                )
            },
            "the map of random weights did as well",
        ),
        (
            "half of everything is removed",
            {"NUMBER = 16": "NUMBER = 64"},
            "holes by lot cost the answers as well",
        ),
        (
            "what is called lowest is highest",
            {"stay(-by_rollout)": "stay(by_rollout)"},
            "ranks lowest mattered",
        ),
        (
            "contrast is turned round",
            {"contrast = F.avg_pool2d(far, 8)": "contrast = F.avg_pool2d(-far, 8)"},
            "contrast did not find",
        ),
    ],
)
def test_claim_falls_when_a_mechanism_is_broken(mechanism, swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("11", swap=swap)
