"""Optimisers with the papers' groups without weight decay; learning-rate schedules as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from vtlearn.errors import ArgumentError, require, require_positive

Schedule = Callable[[int], float]
"""A step (counted from 0) → the factor that multiplies the base learning rate."""

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)


def decays(owner: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """True for weights that multiply an input (matrices and filters); False for biases, norms and tables.

    Tables are what is looked up or added rather than multiplied: embeddings, position tables, class tokens.
    They are recognised by what they are, not by a list of names: a parameter decays when it has at least two
    axes, belongs to no embedding and no normalisation, and is called a weight by the module that owns it.

    Args:
        owner: the module that holds the parameter.
        name: the parameter's name inside that module (``weight``, ``in_proj_weight``, ``cls_token`` …).
        parameter: the parameter itself.

    >>> linear = nn.Linear(3, 2)
    >>> decays(linear, "weight", linear.weight), decays(linear, "bias", linear.bias)
    (True, False)
    """
    if parameter.ndim < 2 or isinstance(owner, (nn.Embedding, nn.EmbeddingBag, *_NORMS)):
        return False
    return "weight" in name


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: decayed by ``weight_decay``, and not decayed at all.

    A model that has a method ``no_weight_decay()`` returning full parameter names exempts those too.
    Frozen parameters (``requires_grad`` False) are left out, shared ones counted once, and the order is the
    model's own, so two builds of one model give the same groups.

    Args:
        model: whose parameters to sort.
        weight_decay: decay of the first group, per step and unit of learning rate (0 = none).

    Returns:
        groups for a torch optimiser; a group without members is left out.

    Raises:
        ArgumentError: a negative decay, a name in ``no_weight_decay()`` that the model lacks, or nothing to
            train.

    >>> groups = parameter_groups(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), weight_decay=0.1)
    >>> [(group["weight_decay"], len(group["params"])) for group in groups]
    [(0.1, 1), (0.0, 3)]
    """
    require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
    exempt = set(getattr(model, "no_weight_decay", tuple)())
    unknown = exempt - {name for name, _ in model.named_parameters(remove_duplicate=False)}
    require(not unknown, "no_weight_decay()", sorted(unknown), "names of the model's parameters")
    decayed: list[nn.Parameter] = []
    exempted: list[nn.Parameter] = []
    seen: set[int] = set()
    for prefix, owner in model.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            full_name = f"{prefix}.{name}" if prefix else name
            keep = decays(owner, name, parameter) and full_name not in exempt
            (decayed if keep else exempted).append(parameter)
    require(bool(seen), "model", type(model).__name__, "a module with at least one trainable parameter")
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": exempted, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def adamw(
    model: nn.Module,
    learning_rate: float,
    *,
    weight_decay: float = 0.05,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.AdamW:
    """AdamW over :func:`parameter_groups` (decoupled decay: Loshchilov and Hutter, arXiv 1711.05101).

    >>> adamw(nn.Linear(3, 2), 1e-3).param_groups[0]["weight_decay"]
    0.05
    """
    require(learning_rate > 0, "learning_rate", learning_rate, "above 0")
    groups = parameter_groups(model, weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=eps, fused=_can_fuse(model))


def sgd(
    model: nn.Module,
    learning_rate: float,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    nesterov: bool = True,
) -> torch.optim.SGD:
    """SGD with (Nesterov) momentum over :func:`parameter_groups`, as the video papers train.

    >>> sgd(nn.Linear(3, 2), 0.1).param_groups[0]["nesterov"]
    True
    """
    require(learning_rate > 0, "learning_rate", learning_rate, "above 0")
    groups = parameter_groups(model, weight_decay)
    return torch.optim.SGD(
        groups, lr=learning_rate, momentum=momentum, nesterov=nesterov, fused=_can_fuse(model)
    )


def _can_fuse(model: nn.Module) -> bool:
    """Whether one fused kernel can update all of the model: floating point on one CPU or CUDA device."""
    devices = {parameter.device for parameter in model.parameters()}
    floating = all(parameter.is_floating_point() for parameter in model.parameters())
    return floating and len(devices) == 1 and devices.pop().type in ("cpu", "cuda")


def constant(step: int) -> float:
    """The base learning rate, always.

    >>> constant(7)
    1.0
    """
    return 1.0


def warmup_cosine(step: int, *, total_steps: int, warmup_steps: int = 0, floor: float = 0.0) -> float:
    """Linear rise over ``warmup_steps``, then half a cosine from 1 down to ``floor`` at ``total_steps``.

    The cosine is that of Loshchilov and Hutter (arXiv 1608.03983) without restarts. The first step is not at
    zero: with w warm-up steps the factors are 1/(w + 1), 2/(w + 1) … so that step w is the first at 1.

    Args:
        step: steps done so far; beyond ``total_steps`` the factor stays at ``floor``.
        total_steps: steps of the whole run, warm-up included.
        warmup_steps: steps of the linear rise.
        floor: last factor, in [0, 1].

    Raises:
        ArgumentError: ``warmup_steps`` not below ``total_steps``, or ``floor`` outside [0, 1].

    >>> [round(warmup_cosine(step, total_steps=6, warmup_steps=2), 2) for step in range(7)]
    [0.33, 0.67, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    require_positive(total_steps=total_steps)
    require(0 <= warmup_steps < total_steps, "warmup_steps", warmup_steps, f"from 0 to {total_steps - 1}")
    require(0.0 <= floor <= 1.0, "floor", floor, "in [0, 1]")
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min((step - warmup_steps) / (total_steps - warmup_steps), 1.0)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def step_schedule(
    step: int, *, milestones: Sequence[int], factor: float = 0.1, warmup_steps: int = 0
) -> float:
    """Multiply by ``factor`` at each milestone, as TimeSformer (arXiv 2102.05095) and VTN (2102.00719) do.

    Args:
        step: steps done so far.
        milestones: rising step numbers; from each one on the rate is ``factor`` times smaller than before.
        factor: what each milestone multiplies by.
        warmup_steps: steps of a linear rise, as in :func:`warmup_cosine`.

    >>> [step_schedule(step, milestones=[2, 4]) for step in (0, 1, 2, 3, 4)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """
    require(
        list(milestones) == sorted(set(milestones)), "milestones", list(milestones), "rising step numbers"
    )
    require(factor > 0, "factor", factor, "above 0")
    passed = sum(step >= milestone for milestone in milestones)
    rise = (step + 1) / (warmup_steps + 1) if step < warmup_steps else 1.0
    return rise * round(factor**passed, 15)


def describe_schedule(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON: its function's name and the arguments that ``functools.partial`` fixed.

    Raises:
        ArgumentError: neither a named function nor a partial of one (a lambda has no name to compare by).

    >>> describe_schedule(partial(warmup_cosine, total_steps=6))
    {'name': 'warmup_cosine', 'arguments': {'total_steps': 6}}
    """
    function, arguments = schedule, {}
    if isinstance(schedule, partial):
        function, arguments = schedule.func, dict(schedule.keywords)
        require(not schedule.args, "schedule", schedule, "a partial that fixes keyword arguments only")
    name = getattr(function, "__name__", "<lambda>")
    if name == "<lambda>":
        raise ArgumentError("schedule", schedule, "a named function or functools.partial of one")
    return {"name": name, "arguments": _plain(arguments)}


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, Sequence) else value for key, value in arguments.items()}


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group to ``factor`` times its base rate, and return the first group's new rate.

    The base rate is the one the group was built with; it is kept in the group as ``initial_lr``.

    >>> optimizer = sgd(nn.Linear(3, 2), 0.5)
    >>> set_learning_rate(optimizer, 0.5), set_learning_rate(optimizer, 0.5)
    (0.25, 0.25)
    """
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
    return float(optimizer.param_groups[0]["lr"])
