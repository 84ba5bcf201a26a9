"""Lesson 05's claim: learned attention on tuned vectors reads the order; less of anything reads less."""

import pytest

from vtlearn.course.notebooks import run_claim
from vtlearn.data import memory

DECODED = {}


@pytest.fixture(autouse=True)
def _decoded_once(monkeypatch):
    """The same clips for every run of the cells; decoding them is not what is tested."""
    decode = memory.decode_clips

    def kept(records, class_names, *, num_frames, image_size):
        key = (records[0].split, len(records), num_frames, image_size)
        if key not in DECODED:
            DECODED[key] = decode(records, class_names, num_frames=num_frames, image_size=image_size)
        return DECODED[key]

    monkeypatch.setattr(memory, "decode_clips", kept)


def test_claim_holds():
    cells = run_claim("05")
    right = cells["right"]
    assert right["learned"] > right["uniform"] > right["mean of frames"]
    assert cells["places"]("test")[0].tolist() == [24, 1, 4, 7, 10, 13, 16, 19, 22, 25]


ONLY_LEARNED = {  # the others count as failed, which suits every assertion about them
    "curves = {name: train(model, backbones[name]) for name, model in networks.items()}": (
        "curves = {name: [(1, 0.0, 0.0)] for name in networks}\n"
        'curves["learned"] = train(networks["learned"], "tuned")'
    )
}


@pytest.mark.parametrize(
    ("mechanism", "swap", "sentence"),
    [
        (
            "no frame has a place: all share the class token's position",
            {"tokens + self.positions(ids)": "tokens + self.positions(ids * 0)"},
            "did not read the motions",
        ),
        (
            "the control is not shuffled",
            {"order = torch.tensor([3, 6, 1, 4, 7, 0, 5, 2])": "order = torch.arange(8)"},
            "the order of the frames did not matter",
        ),
    ],
)
def test_claim_falls_when_a_mechanism_is_broken(mechanism, swap, sentence):
    with pytest.raises(AssertionError, match=sentence):
        run_claim("05", swap=swap | ONLY_LEARNED)
