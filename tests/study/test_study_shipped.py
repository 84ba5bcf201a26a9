"""The shipped checkpoints are the recorded comparison's models, and training goes on where they stopped."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from vtlearn.data.memory import evaluation_batches
from vtlearn.errors import ArgumentError
from vtlearn.study.protocol import Protocol
from vtlearn.study.shipped import (
    SHIPPED,
    go_on,
    load_shipped,
    read_shipped,
    recorded_course,
    sample_clips,
    shipped_folder,
)
from vtlearn.train.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("vtn", "timesformer", "vivit", "frame_average")


@pytest.fixture(scope="module")
def val():
    return sample_clips("val")


@pytest.fixture(scope="module")
def train():
    return sample_clips("train")


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"image_start"}))
def test_each_says_which_frame_indices_its_training_reached(name, train):
    assert read_shipped(name).settings["trained_positions"] == int(train.frame_index.max()) + 1


def test_all_of_them_together_stay_below_ten_megabytes():
    files = [path for name in SHIPPED for path in shipped_folder(name).iterdir()]
    assert sum(path.stat().st_size for path in files) < 10_000_000


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_reaches_what_its_run_recorded(name, val):
    model = load_shipped(name)
    frames = Protocol.default().frames_of(name)
    found = evaluate(
        model, evaluation_batches(val, batch_size=64, num_frames=frames), device=torch.device("cpu")
    )
    step, recorded = recorded_course(name)["val_curve"][-1]
    assert step == 2200
    for labelling, accuracy in recorded.items():
        assert found[labelling].top1 == pytest.approx(accuracy, abs=1.5 / len(val))


@pytest.mark.parametrize("name", MODELS)
def test_its_run_is_the_one_in_the_comparison_s_record(name):
    record = json.loads((ROOT / "benchmarks" / "results" / "comparison.json").read_text())
    (rows,) = [run["rows"] for run in record["runs"] if run["samples_seed"] == run["seed"] == 0]
    saved = read_shipped(name)
    (row,) = [each for each in rows if each["model"] == name and each["labelling"] == "motion"]
    assert row["parameters"] == sum(tensor.numel() for tensor in saved.weights.values())
    assert Protocol.from_dict(saved.settings["protocol"]) == Protocol.default().settled()


@pytest.mark.parametrize("name", ["timesformer_begun", "vivit_begun"])
def test_going_on_follows_the_recorded_course(name, train):
    going = go_on(name, train, num_steps=10)
    losses = [step.loss for step in going.steps]
    recorded = dict(recorded_course(name)["loss_curve"])
    assert len(losses) == 10
    assert sum(losses) / 10 == pytest.approx(recorded[going.step + 10], abs=0.02)


def test_other_batches_leave_the_recorded_course(train):
    """What shows that the test above could fail."""
    going = go_on("timesformer_begun", train, num_steps=10, seed=1)
    losses = [step.loss for step in itertools.islice(going.steps, 10)]
    recorded = dict(recorded_course("timesformer_begun")["loss_curve"])
    assert abs(sum(losses) / 10 - recorded[going.step + 10]) > 0.02


def test_what_is_not_there_is_named(train):
    with pytest.raises(ArgumentError, match="name"):
        load_shipped("x3d")
    with pytest.raises(ArgumentError, match="optimiser"):
        go_on("vtn", train, num_steps=1)
    with pytest.raises(ArgumentError, match="num_steps"):
        go_on("vivit_begun", train, num_steps=1801)
