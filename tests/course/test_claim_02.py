"""Lesson 02's claim: attention learns what happened, and only positions tell it what came first."""

import pytest

from vtlearn.course.notebooks import run_claim

TIMES = "ramp = torch.linspace(-1, 1, TOKENS)[:, None] * direction"
BASELINE = '"no positions": torch.zeros(TOKENS, WIDTH),'
CONTROL = '"control: one vector for all": direction.expand(TOKENS, WIDTH),'


def test_claim_holds_and_the_order_is_a_coin_exactly():
    cells = run_claim("02")
    right = cells["right"]
    assert right["no positions"][1] == pytest.approx(0.5, abs=0.01)
    assert right["control: one vector for all"][1] == pytest.approx(0.5, abs=0.01)
    forwards, backwards = right["with positions"][1], right["control: times backwards"][1]
    assert forwards + backwards == pytest.approx(1, abs=0.01), "times backwards are clips backwards"
    assert cells["blind"] == {
        "no positions": True,
        "with positions": False,
        "control: one vector for all": True,
    }


@pytest.mark.parametrize(
    ("mechanism", "swap", "sentence"),
    [
        (
            "the baseline is told the times",
            {BASELINE: '"no positions": ramp,'},
            "noticed that its tokens were shuffled",
        ),
        ("the times are forgotten", {TIMES: "ramp = torch.zeros(TOKENS, WIDTH)"}, "did not notice"),
        ("no step is taken", {"steps: int = 150": "steps: int = 0"}, "did not even learn"),
        (
            "the control is told the times",
            {CONTROL: '"control: one vector for all": ramp.clone(),'},
            "a vector without time told the order",
        ),
        (
            "the times are not turned round",
            {"Network(ramp.flip(0))": "Network(ramp)"},
            "did not turn the answer round",
        ),
        (
            "the last token is read instead of the mean",
            {"tokens.mean(dim=1)": "tokens.cumsum(dim=1)[:, :2].sum(dim=1)"},
            "got another answer",
        ),
        (
            "the order is drawn by lot",
            {"torch.stack([what, first], dim=1).float()": (
                "torch.stack([what, torch.randint(2, (number,), generator=chance)], dim=1).float()"
            )},
            "was not learned",
        ),
    ],
)  # fmt: skip
def test_claim_falls_when_a_mechanism_is_broken(mechanism, swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("02", swap=swap)
