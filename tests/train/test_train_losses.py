"""Losses over one head or several."""

import math

import pytest
import torch

from vtlearn.errors import ArgumentError
from vtlearn.train.losses import cross_entropy, multi_head_loss, pair_heads


def by_hand(logits, target):
    return -(target * logits.log_softmax(-1)).sum(-1).mean()


def test_whole_soft_and_smoothed_targets_agree_with_the_definition():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0])
    one_hot = torch.nn.functional.one_hot(labels, 3).double()
    torch.testing.assert_close(cross_entropy(logits, labels), by_hand(logits, one_hot))
    torch.testing.assert_close(cross_entropy(logits, one_hot), by_hand(logits, one_hot))
    smoothed = 0.7 * one_hot + 0.3 / 3
    torch.testing.assert_close(cross_entropy(logits, labels, label_smoothing=0.3), by_hand(logits, smoothed))
    torch.testing.assert_close(cross_entropy(logits, one_hot, label_smoothing=0.3), by_hand(logits, smoothed))


def test_half_precision_logits_are_compared_in_float32():
    logits = torch.tensor([[12.0, -9.0, 3.0]], dtype=torch.bfloat16)
    assert cross_entropy(logits, torch.tensor([1])).dtype == torch.float32
    assert float(cross_entropy(logits, torch.tensor([1]))) == pytest.approx(21.0001234, abs=1e-4)


def test_each_labelling_gets_its_own_loss_and_weight():
    outputs = {"motion": torch.zeros(2, 8), "appearance": torch.zeros(2, 4)}
    labels = {
        "motion": torch.tensor([1, 2]),
        "appearance": torch.tensor([0, 3]),
        "other": torch.tensor([0, 0]),
    }
    losses = multi_head_loss(outputs, labels, weights={"motion": 0.5})
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {"motion": 0.5 * math.log(8), "appearance": math.log(4)}
    )


def test_one_unnamed_head_takes_the_only_labelling():
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    assert list(pair_heads(logits, labels)) == ["label"]
    assert list(pair_heads(logits, {"motion": labels})) == ["motion"]


@pytest.mark.parametrize(
    ("outputs", "labels", "named"),
    [
        ({"motion": torch.zeros(2, 3)}, torch.tensor([0, 1]), "labels"),
        ({"motion": torch.zeros(2, 3)}, {"appearance": torch.tensor([0, 1])}, "motion"),
        (torch.zeros(2, 3), {"a": torch.tensor([0, 1]), "b": torch.tensor([0, 1])}, "one labelling"),
        (torch.zeros(2, 3), torch.tensor([0, 1, 1]), "as many as the clips: 2"),
    ],
)
def test_heads_and_labels_that_do_not_meet_are_named(outputs, labels, named):
    with pytest.raises(ArgumentError, match=named):
        pair_heads(outputs, labels)


def test_a_weight_for_no_labelling_is_refused():
    with pytest.raises(ArgumentError, match="speed"):
        multi_head_loss(torch.zeros(2, 3), torch.tensor([0, 1]), weights={"speed": 2.0})
