"""What a computation stores is counted: fresh memory, once, views and inputs not."""

import torch

from vtlearn.course.footprint import Footprint, footprint


def test_fresh_tensors_are_counted_once_each():
    assert footprint(lambda x: x * 2 + 1, torch.ones(7)) == Footprint(largest=7, total=14)


def test_views_and_changes_in_place_store_nothing():
    x = torch.ones(5, 3)
    assert footprint(lambda x: x.T.reshape(15, 1).expand(15, 11), x).total == 15  # the reshape copies
    assert footprint(lambda x: x.unfold(0, 3, 1).add_(1), x.clone()).total == 0


def test_expanding_is_free_and_multiplying_the_expanded_is_not():
    x = torch.ones(11)
    assert footprint(lambda x: x[:, None].expand(11, 11), x).total == 0
    assert footprint(lambda x: x[:, None] * x[None, :], x).largest == 121


def test_several_results_and_booleans_are_counted():
    assert footprint(lambda x: x.max(dim=0), torch.ones(5, 3)).total == 6
    assert footprint(lambda x: x > 0, torch.ones(5, 3)).total == 15


def test_lists_of_tensors_count_as_inputs():
    parts = [torch.ones(3), torch.ones(5)]
    assert footprint(torch.cat, parts) == Footprint(largest=8, total=8)
