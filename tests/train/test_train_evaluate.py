"""Exact counting: rates over uneven batches, confusion, intervals, calibration, modes restored."""

import math

import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError, DataError
from vtlearn.train.evaluate import Tally, evaluate, evaluation_mode, evaluation_row, wilson_interval

LOGITS = torch.tensor(
    [
        # class:  0    1    2    3    4    5    6
        [9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # predicted 0
        [0.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],  # predicted 1; top five 1 2 3 4 5
        [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],  # predicted 0; top five 0 1 2 3 4
        [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # a tie: the lowest class number first
    ]
)
LABELS = torch.tensor([0, 1, 4, 6, 0])


def test_a_small_table_typed_by_hand():
    tally = Tally(7)
    tally.add(LOGITS, LABELS)
    told = tally.result()
    assert told.clips == 5
    assert (told.top1_correct, told.top5_correct) == (3, 4)
    assert (told.top1, told.top5) == (0.6, 0.8)
    expected = torch.zeros(7, 7, dtype=torch.int64)
    expected[0, 0], expected[1, 1], expected[4, 0], expected[6, 0] = 2, 1, 1, 1
    assert torch.equal(told.confusion, expected)
    assert told.class_clips == [2, 1, 0, 0, 1, 0, 1]
    assert told.class_accuracy[:2] == [1.0, 1.0]
    assert math.isnan(told.class_accuracy[2])
    assert told.mean_class_accuracy == 0.5
    assert told.loss == pytest.approx(float(nn.functional.cross_entropy(LOGITS, LABELS)), rel=1e-6)


@pytest.mark.parametrize("sizes", [[5], [2, 3], [1, 1, 1, 1, 1], [4, 0, 1]])
def test_the_result_does_not_depend_on_the_batches(sizes):
    batches = list(zip(LOGITS.split(sizes), LABELS.split(sizes), strict=True))
    told = evaluate(nn.Identity(), batches)["label"]
    whole = evaluate(nn.Identity(), [(LOGITS, LABELS)])["label"]
    assert torch.equal(told.confusion, whole.confusion)
    assert (told.top5_correct, told.top1, told.clips) == (4, 0.6, 5)
    assert told.loss == pytest.approx(whole.loss, rel=1e-12)
    assert told.calibration_error == pytest.approx(whole.calibration_error, rel=1e-12)


def test_with_fewer_than_five_classes_top_five_is_certain():
    tally = Tally(3)
    tally.add(torch.eye(3), torch.tensor([1, 2, 0]))
    told = tally.result()
    assert (told.top1, told.top5) == (0.0, 1.0)


def test_each_labelling_is_counted_apart():
    class TwoHeads(nn.Module):
        def forward(self, clips, frame_index=None):
            return {"motion": clips, "appearance": clips[:, :2]}

    batch = {
        "clip": torch.eye(3),
        "frame_index": torch.arange(3),
        "labels": {"motion": torch.tensor([0, 1, 1]), "appearance": torch.tensor([0, 1, 0])},
    }
    told = evaluate(TwoHeads(), [batch])
    assert told["motion"].top1 == pytest.approx(2 / 3)
    assert told["appearance"].top1 == 1.0
    assert told["motion"].confusion.shape == (3, 3)


def test_calibration_error_by_hand():
    # two clips at confidence 0.9, one of them right; two at 0.6, both right: (|1 - 1.8| + |2 - 1.2|) / 4
    sure, unsure = math.log(0.9 / 0.1), math.log(0.6 / 0.4)
    tally = Tally(2)
    tally.add(torch.tensor([[sure, 0], [sure, 0], [unsure, 0], [unsure, 0]]), torch.tensor([0, 1, 0, 0]))
    assert tally.result().calibration_error == pytest.approx(0.4, abs=1e-6)
    perfect = Tally(2)
    perfect.add(torch.tensor([[50.0, 0.0]]), torch.tensor([0]))
    assert perfect.result().calibration_error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        (90, 100, 0.8256343, 0.9447709),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (1, 3, 0.0614919, 0.7923404),
    ],
)
def test_wilson_interval_against_known_values(correct, total, low, high):
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=1e-6)


def test_wilson_interval_solves_its_equation():
    low, high = wilson_interval(7, 23)
    for p in (low, high):
        assert abs(7 / 23 - p) == pytest.approx(1.959963984540054 * math.sqrt(p * (1 - p) / 23), rel=1e-9)


def test_counts_that_cannot_be_are_named():
    with pytest.raises(ArgumentError, match="correct"):
        wilson_interval(4, 3)
    tally = Tally(3)
    with pytest.raises(ArgumentError, match="labels must be class numbers from 0 to 2, got 3"):
        tally.add(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ArgumentError, match="logits"):
        tally.add(torch.zeros(2, 4), torch.tensor([0, 1]))
    with pytest.raises(DataError, match="nothing to evaluate"):
        tally.result()
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(nn.Identity(), [])


def test_logits_that_are_not_finite_are_counted():
    tally = Tally(2)
    tally.add(torch.tensor([[math.nan, 0.0], [0.0, 1.0]]), torch.tensor([1, 1]))
    told = tally.result()
    assert (told.nonfinite, told.clips) == (1, 2)


def test_modes_are_restored_one_by_one_and_dropout_sleeps():
    frozen, live = nn.Dropout(0.5).eval(), nn.Dropout(0.5)
    model = nn.Sequential(frozen, live)
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert (model.training, frozen.training, live.training) == (True, False, True)
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        raise ZeroDivisionError
    assert (model.training, frozen.training, live.training) == (True, False, True)
    first = evaluate(model, [(LOGITS, LABELS)])["label"]
    assert first.loss == evaluate(model, [(LOGITS, LABELS)])["label"].loss


def test_a_row_of_plain_numbers():
    tally = Tally(7)
    tally.add(LOGITS, LABELS)
    row = evaluation_row(tally.result())
    assert (row["top1"], row["clips"]) == (0.6, 5)
    assert row["top1_low"] < 0.6 < row["top1_high"]


@pytest.mark.parametrize("total", [1, 3, 7, 58, 60, 320, 999])
def test_an_interval_holds_its_own_share_at_both_ends(total):
    assert wilson_interval(total, total)[1] == 1.0
    assert wilson_interval(0, total)[0] == 0.0
    for correct in range(0, total + 1, max(1, total // 5)):
        low, high = wilson_interval(correct, total)
        assert 0.0 <= low <= correct / total <= high <= 1.0
