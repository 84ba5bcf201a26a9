"""Lesson 10's claim: equal on appearance; on motion a coin against models that need the frames in order."""

import functools

import pytest
from torch import nn

from vtlearn.course.notebooks import run_claim
from vtlearn.study import shipped


class Remembers(nn.Module):
    """A shipped model that computes nothing twice: what it said to these very clips, it says again."""

    def __init__(self, model):
        super().__init__()
        self.model, self.said = model, {}

    def forward(self, clips, frame_index):
        key = (clips.contiguous().numpy().tobytes(), frame_index.contiguous().numpy().tobytes())
        if hash(key) not in self.said:
            self.said[hash(key)] = self.model(clips, frame_index)
        return {name: logits.clone() for name, logits in self.said[hash(key)].items()}


@pytest.fixture(scope="module", autouse=True)
def decode_and_compute_once():
    """The cells run anew for each broken mechanism; the test clips and the models' answers stay the same."""
    load, decode = shipped.load_shipped, shipped.sample_clips
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "load_shipped", functools.cache(lambda name: Remembers(load(name))))
        patch.setattr(shipped, "sample_clips", functools.cache(decode))
        yield


def test_claim_holds_and_only_order_falls():
    cells = run_claim("10")
    assert all(found[0] - found[1] > 0.3 for name, found in cells["rerun"].items() if name != "frame_average")
    assert cells["rerun"]["frame_average"][0] == cells["rerun"]["frame_average"][1]


BASELINE = 'scores[name, "appearance"] - scores["frame_average", "appearance"]'
IN_ORDER = 'clips = batch["clip"] if in_order else'
PAIRS = 'rows[seed, name, "motion"]["test_within_pair"]'
RERUN = "model = load_shipped(name)\n    rerun"


@pytest.mark.parametrize(
    ("swap", "sentence"),
    [
        ({BASELINE: 'scores[name, "motion"] - scores["frame_average", "motion"]'}, "on appearance"),
        ({PAIRS: PAIRS.replace("name", '"frame_average"')}, "its reversal in the record"),
        ({PAIRS: PAIRS.replace("name", '"vtn"')}, "frame averaging knew the side in the record"),
        ({IN_ORDER: 'clips = batch["clip"] if not in_order else'}, "its reversal in the rerun"),
        ({IN_ORDER: 'clips = batch["clip"] if True else'}, "with the frames shuffled"),
        ({RERUN: RERUN.replace("name", '"frame_average"')}, "its reversal in the rerun"),
        ({RERUN: RERUN.replace("name", '"timesformer"')}, "frame averaging knew the side in the rerun"),
    ],
    ids=[
        "motion for appearance",
        "no model",
        "no baseline",
        "exchanged",
        "never shuffled",
        "all average",
        "all divided",
    ],
)
def test_claim_falls_when_a_mechanism_is_broken(swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("10", swap=swap)
