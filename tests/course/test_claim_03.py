"""Lesson 03's claim: windows add up, one token global both ways shows all in two layers, at linear cost."""

import pytest

from vtlearn.course.notebooks import run_claim

BOTH_WAYS = 'both_ways = mine("03.3")(near, is_first).bool()'


def test_claim_holds_and_its_numbers_are_those_of_the_law():
    cells = run_claim("03")
    assert cells["seen"]["window"] == [7, 13, 19, 25]
    assert cells["seen"]["global, both ways"] == [8, 101, 101, 101]
    assert cells["seen"]["full"] == [101] * 4


@pytest.mark.parametrize(
    ("mechanism", "swap", "sentence"),
    [
        (
            "the global token only reads",
            {BOTH_WAYS: "both_ways = near | is_first[:, None]"},
            "did not see everything",
        ),
        (
            "the global token is only read",
            {BOTH_WAYS: "both_ways = near | is_first[None, :]"},
            "did not see everything",
        ),
        ("no global token", {BOTH_WAYS: "both_ways = near.clone()"}, "did not see everything"),
        (
            "the mask is not used",
            {".masked_fill(~mask, -math.inf)": ""},
            "did not add up",
        ),
        (
            "the mask is used in the first layer only",
            {"    for _ in range(depth):\n        y = layer(y, mask,": (
                "    for number in range(depth):\n        y = layer(y, mask if number == 0 else mask >= 0,"
            )},
            "did not add up",
        ),
        (
            "the controls work both ways",
            {"reads_all[0], is_read[:, 0] = True, True": "reads_all[0], reads_all[:, 0] = True, True"},
            "one direction was enough",
        ),
        (
            "every token is global",
            {BOTH_WAYS: "both_ways = torch.ones_like(near)"},
            "one layer was enough",
        ),
        (
            "as many global tokens as a tenth of the length",
            {"torch.arange(num_tokens) == 0": "torch.arange(num_tokens) < num_tokens // 10"},
            "did not stay linear",
        ),
    ],
)  # fmt: skip
def test_claim_falls_when_a_mechanism_is_broken(mechanism, swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("03", swap=swap)
