"""Lesson 04's claim: an image model's kernel and positions make a video model that knows as much."""

import pytest

from vtlearn.course.notebooks import run_claim

STARTS = 'inflated, central = (start.double() for start in mine("04.4")(kernel, 2))'
OVER_TIME = '"inflated": (inflated, over_time)'


def test_claim_holds_with_room():
    cells = run_claim("04")
    assert cells["farthest"]["inflated"] < 1e-9
    assert cells["farthest"]["central frame"] < 1e-9
    assert cells["right"]["central frame"] > 2 * cells["right"]["control: random kernel"]


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        ({STARTS: STARTS + "\ninflated = 2 * inflated"}, "another answer than its frame"),
        ({OVER_TIME: '"inflated": (inflated, time_fastest)'}, "another answer than its frame"),
        ({"STEPS = 150": "STEPS = 0"}, "learned too little"),
        ({'random kernel": (random_kernel': 'random kernel": (central'}, "knew something"),
        (
            {"int((video_answers(test_clips,": "int((video_answers(0 * test_clips,"},
            "lost what the image model knew",
        ),
    ],
    ids=["not divided", "time fastest", "image model not trained", "control not random", "clips go dark"],
)  # fmt: skip
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("04", swap=swap)
