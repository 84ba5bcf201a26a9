"""Parameter groups, optimiser builders and schedules."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError
from vtlearn.train.optim import (
    adamw,
    constant,
    describe_schedule,
    parameter_groups,
    set_learning_rate,
    sgd,
    step_schedule,
    warmup_cosine,
)


class Mixed(nn.Module):
    """One of everything: matrices, filters, biases, norms, an embedding, tables, a frozen layer."""

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 5))
        self.position = nn.Parameter(torch.zeros(1, 7, 5))
        self.linear = nn.Linear(5, 3)
        self.filters = nn.Conv3d(2, 3, 1)
        self.norm = nn.LayerNorm(5)
        self.table = nn.Embedding(11, 5)
        self.recurrent = nn.GRU(5, 3)
        self.attention = nn.MultiheadAttention(5, 1)
        self.tied = self.linear
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


DECAYED = {
    "linear.weight",
    "filters.weight",
    "recurrent.weight_ih_l0",
    "recurrent.weight_hh_l0",
    "attention.in_proj_weight",
    "attention.out_proj.weight",
}


def names_of(model, group):
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return {by_id[id(parameter)] for parameter in group["params"]}


def test_only_weights_that_multiply_an_input_decay():
    model = Mixed()
    decayed, exempt = parameter_groups(model, 0.3)
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.3, 0.0)
    assert names_of(model, decayed) == DECAYED
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names_of(model, exempt) == trainable - DECAYED
    assert len(decayed["params"]) + len(exempt["params"]) == len(trainable)  # the tied layer counts once


def test_a_model_may_exempt_more_by_name():
    class Stubborn(nn.Linear):
        def no_weight_decay(self):
            return {"weight"}

    (group,) = parameter_groups(Stubborn(3, 2), 0.3)
    assert group["weight_decay"] == 0.0
    assert len(group["params"]) == 2

    class Wrong(nn.Linear):
        def no_weight_decay(self):
            return {"wieght"}

    with pytest.raises(ArgumentError, match="wieght"):
        parameter_groups(Wrong(3, 2), 0.3)


@pytest.mark.parametrize("build", [adamw, sgd])
def test_the_builders_decay_one_group_only(build):
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build(model, 0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(model.bias, before["bias"])
    shrunk = 1 - 0.1 * 0.5 * (1.9 if build is sgd else 1.0)  # Nesterov's first step counts 1 + momentum times
    torch.testing.assert_close(model.weight.detach(), before["weight"] * shrunk, rtol=1e-5, atol=1e-6)


def test_builders_refuse_what_cannot_be():
    with pytest.raises(ArgumentError, match="learning_rate"):
        adamw(nn.Linear(2, 2), 0.0)
    with pytest.raises(ArgumentError, match=r"weight_decay must be at least 0, got -0\.1"):
        sgd(nn.Linear(2, 2), 0.1, weight_decay=-0.1)
    with pytest.raises(ArgumentError, match="model"):
        adamw(nn.Linear(2, 2).requires_grad_(False), 0.1)


def test_warmup_cosine_rises_turns_and_ends():
    schedule = partial(warmup_cosine, total_steps=100, warmup_steps=9, floor=0.2)
    factors = [schedule(step) for step in range(130)]
    assert factors[:9] == pytest.approx([step / 10 for step in range(1, 10)])
    assert factors[9] == 1.0
    assert all(a > b for a, b in pairwise(factors[9:101]))
    assert factors[100:] == pytest.approx([0.2] * 30)
    halfway = partial(warmup_cosine, total_steps=20)(10)
    assert halfway == pytest.approx(0.5)


def test_step_schedule_matches_the_published_ones():
    timesformer = [step_schedule(epoch, milestones=[11, 14]) for epoch in range(15)]
    assert timesformer == pytest.approx([1.0] * 11 + [0.1] * 3 + [0.01])
    vtn = [step_schedule(epoch, milestones=[13, 24]) for epoch in range(25)]
    assert vtn == pytest.approx([1.0] * 13 + [0.1] * 11 + [0.01])
    assert step_schedule(0, milestones=[5], warmup_steps=3) == 0.25


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"total_steps": 0}, "total_steps"),
        ({"total_steps": 5, "warmup_steps": 5}, "warmup_steps"),
        ({"total_steps": 5, "floor": 1.5}, "floor"),
    ],
)
def test_schedules_name_what_cannot_be(arguments, named):
    with pytest.raises(ArgumentError, match=named):
        warmup_cosine(0, **arguments)


def test_milestones_must_rise():
    with pytest.raises(ArgumentError, match="milestones"):
        step_schedule(0, milestones=[4, 2])


def test_a_schedule_describes_itself_as_json():
    schedule = partial(step_schedule, milestones=(3, 5), factor=0.5)
    assert describe_schedule(schedule) == {
        "name": "step_schedule",
        "arguments": {"milestones": [3, 5], "factor": 0.5},
    }
    assert describe_schedule(constant) == {"name": "constant", "arguments": {}}
    with pytest.raises(ArgumentError, match="schedule"):
        describe_schedule(lambda step: 1.0)


def test_the_rate_is_always_a_multiple_of_the_base_rate():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{"params": [model.weight], "lr": 0.4}, {"params": [model.bias], "lr": 0.1}])
    assert set_learning_rate(optimizer, 0.5) == pytest.approx(0.2)
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.025])
