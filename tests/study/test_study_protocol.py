"""The protocol: what cannot be is refused by name, and it survives JSON."""

import json

import pytest

from vtlearn.errors import ArgumentError, DataError
from vtlearn.models import model_config
from vtlearn.study import protocol as module
from vtlearn.study.protocol import CONTESTANTS, SEARCHED_RATES, Protocol, choose_protocol, contestant


def test_three_transformers_and_two_baselines_by_default():
    assert [each.name for each in CONTESTANTS if each.role == "model"] == ["vtn", "timesformer", "vivit"]
    assert [each.name for each in CONTESTANTS if each.role == "baseline"] == ["frame_average", "frame_gru"]
    assert Protocol.default().models == tuple(each.name for each in CONTESTANTS)


def test_it_survives_json():
    protocol = choose_protocol(recipe="quick", models="vivit,vtn", seed=3).settled()
    assert Protocol.from_dict(json.loads(json.dumps(protocol.as_dict()))) == protocol


def test_quick_is_shorter_in_every_way():
    quick, default = Protocol.quick(), Protocol.default()
    assert quick.steps * 5 < default.steps
    assert quick.image_steps < default.image_steps


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"models": ("vtm",)}, "models must be one of .*got 'vtm'"),
        ({"models": ("vtn", "vtn")}, "models must be each named once"),
        ({"models": ()}, "models must be at least one"),
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"num_frames": 48}, "num_frames must be at most stored_frames = 24, got 96"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_what_cannot_be_is_named(changes, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        Protocol(**changes)


def test_an_unknown_field_in_a_saved_protocol_is_named():
    with pytest.raises(ArgumentError, match=r"momentum"):
        Protocol.from_dict(Protocol.default().as_dict() | {"momentum": 0.9})


def test_every_contestant_has_a_recorded_rate_that_was_tried():
    record = json.loads(module.SEARCH_RECORD.read_text())
    for each in CONTESTANTS:
        assert Protocol.default().learning_rate(each.name) in SEARCHED_RATES
        tried = {float(rate): value for rate, value in record["validation"][each.name].items()}
        assert set(tried) == set(SEARCHED_RATES)
        best = max(tried, key=lambda rate: tried[rate])
        assert record["chosen"][each.name] == best, "the rate must be the best on the validation clips"


def test_a_missing_record_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEARCH_RECORD", tmp_path / "gone.json")
    with pytest.raises(DataError, match=r"gone\.json.*'vtn'"):
        Protocol.default().learning_rate("vtn")


def test_learning_rates_given_must_name_every_model():
    with pytest.raises(ArgumentError, match=r"learning_rates .*'vtn'"):
        Protocol(learning_rates={"vivit": 1e-3}).learning_rate("vtn")


def test_every_contestant_has_as_many_tokens():
    protocol = Protocol.default()
    tokens = set()
    for each in CONTESTANTS:
        config = model_config(each.preset)
        tubelet = getattr(config, "tubelet_size", (1,))[0]
        tokens.add(protocol.frames_of(each.name) // tubelet)
    assert tokens == {protocol.num_frames}


def test_contestant_by_name():
    assert contestant("vivit").preset == "vivit_samples"
