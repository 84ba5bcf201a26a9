"""Views: averaged as defined, in any portion, for one head or several, counted by the ordinary evaluation."""

import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError
from vtlearn.train.evaluate import evaluate
from vtlearn.train.views import SeveralViews, average_views


class Linear(nn.Module):
    """Logits that depend on the clip and, where given, on the frame indices."""

    def __init__(self, heads=False):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.heads, self.largest = nn.Linear(3, 5), heads, 0

    def forward(self, clips, frame_index=None):
        self.largest = max(self.largest, len(clips))
        logits = self.linear(clips.mean(dim=(1, 3, 4)))
        if frame_index is not None:
            logits = logits + frame_index.float().mean(dim=1, keepdim=True) * torch.arange(5)
        return {"motion": logits, "appearance": logits[:, :2]} if self.heads else logits


def test_averages_by_their_definitions():
    logits = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(average_views(logits, "softmax").exp(), logits.softmax(-1).mean(1))
    torch.testing.assert_close(average_views(logits, "logits"), logits.mean(1))
    with pytest.raises(ArgumentError, match="average"):
        average_views(logits, "median")


@pytest.mark.parametrize("average", ["logits", "softmax"])
@pytest.mark.parametrize("at_once", [None, 1, 2, 3, 99])
def test_views_in_any_portion_equal_one_view_at_a_time(average, at_once):
    clips, frames = torch.randn(2, 7, 4, 3, 5, 6), torch.randint(0, 9, (2, 7, 4))
    model = Linear()
    each = torch.stack([model(clips[:, view], frames[:, view]) for view in range(7)], dim=1)
    model.largest = 0
    told = SeveralViews(model, average, at_once=at_once)(clips, frames)
    torch.testing.assert_close(told, average_views(each, average))
    assert model.largest == 2 * min(at_once or 7, 7)


def test_every_head_is_averaged_and_counted():
    clips = torch.randn(3, 4, 2, 3, 5, 5)
    labels = {"motion": torch.tensor([0, 1, 2]), "appearance": torch.tensor([0, 1, 0])}
    told = evaluate(SeveralViews(Linear(heads=True)), [{"clip": clips, "labels": labels}])
    assert {name: each.clips for name, each in told.items()} == {"motion": 3, "appearance": 3}


def test_one_view_changes_nothing():
    clips = torch.randn(2, 1, 4, 3, 5, 6)
    model = Linear()
    torch.testing.assert_close(SeveralViews(model, "logits")(clips), model(clips[:, 0]))


def test_frame_indices_of_other_views_are_named():
    with pytest.raises(ArgumentError, match="frame_index"):
        SeveralViews(Linear())(torch.zeros(2, 3, 4, 3, 5, 5), torch.zeros(2, 2, 4))
