"""Windowed attention as autograd and a compiled graph see it: one step forward, one step backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vtlearn.attention.kernel import GlobalProjections
from vtlearn.attention.window_products import Window, window_backward, window_forward

_INPUTS = (
    "Tensor q, Tensor k, Tensor v, Tensor[] projections, Tensor? global_mask, Tensor? valid_mask, "
    "int reach, int[] steps, bool causal, float dropout_p, Tensor seed"
)


def _draw_seed(dropout_p: float) -> Tensor:
    """A seed for the dropout of one call, from torch's own stream, so that ``manual_seed`` governs it."""
    return torch.randint(2**31, (1,)) if dropout_p > 0.0 else torch.zeros(1, dtype=torch.int64)


def window_eagerly(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: GlobalProjections | None,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    reach: int,
    steps: tuple[int, ...],
    causal: bool,
    dropout_p: float,
) -> Tensor:
    """Windowed attention as autograd sees it in plain Python; arguments checked at the door."""
    window = Window(reach, steps, causal)
    seed = int(_draw_seed(dropout_p))
    own = (None, None, None) if projections is None else projections
    result: Tensor = _WindowFunction.apply(q, k, v, *own, global_mask, valid_mask, window, dropout_p, seed)
    return result


class _WindowFunction(torch.autograd.Function):
    """Autograd's view of the tiles: saves the inputs and the output, nothing in between."""

    @staticmethod
    def forward(ctx, q, k, v, global_q, global_k, global_v, global_mask, valid_mask, window, dropout_p, seed):
        projections = None if global_q is None else (global_q, global_k, global_v)
        out = window_forward(q, k, v, projections, window, global_mask, valid_mask, dropout_p, seed)
        ctx.save_for_backward(q, k, v, global_q, global_k, global_v, global_mask, valid_mask, out)
        ctx.rule = window, dropout_p, seed
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out):
        q, k, v, global_q, global_k, global_v, global_mask, valid_mask, out = ctx.saved_tensors
        window, dropout_p, seed = ctx.rule
        projections = None if global_q is None else (global_q, global_k, global_v)
        grads = window_backward(
            grad_out, out, q, k, v, projections, window, global_mask, valid_mask, dropout_p, seed
        )
        return (*grads, *(None,) * (11 - len(grads)))


def window_by_operator(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: GlobalProjections | None,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    reach: int,
    steps: tuple[int, ...],
    causal: bool,
    dropout_p: float,
) -> Tensor:
    """The same for a compiled graph, which must not look at the masks: one operator it does not look into."""
    own = [] if projections is None else list(projections)
    seed = _draw_seed(dropout_p)
    return _window_operator(
        q, k, v, own, global_mask, valid_mask, reach, list(steps), causal, dropout_p, seed
    )


def _run_window(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: list[Tensor],
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    reach: int,
    steps: list[int],
    causal: bool,
    dropout_p: float,
    seed: Tensor,
) -> Tensor:
    window = Window(reach, tuple(steps), causal)
    own = (projections[0], projections[1], projections[2]) if projections else None
    return window_forward(q, k, v, own, window, global_mask, valid_mask, dropout_p, int(seed))


_window_operator = torch.library.custom_op(
    "vtlearn::window", _run_window, mutates_args=(), schema=f"({_INPUTS}) -> Tensor"
)


@_window_operator.register_fake
def _(q, k, v, projections, global_mask, valid_mask, reach, steps, causal, dropout_p, seed):
    return torch.empty_like(q)


def _run_window_backward(
    grad_out: Tensor,
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: list[Tensor],
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    reach: int,
    steps: list[int],
    causal: bool,
    dropout_p: float,
    seed: Tensor,
) -> list[Tensor]:
    window = Window(reach, tuple(steps), causal)
    own = (projections[0], projections[1], projections[2]) if projections else None
    grads = window_backward(
        grad_out, out, q, k, v, own, window, global_mask, valid_mask, dropout_p, int(seed)
    )
    return [x.contiguous() for x in grads]


_window_backward_operator = torch.library.custom_op(
    "vtlearn::window_backward",
    _run_window_backward,
    mutates_args=(),
    schema=f"(Tensor grad_out, Tensor out, {_INPUTS}) -> Tensor[]",
)


@_window_backward_operator.register_fake
def _(grad_out, out, q, k, v, projections, *rule):
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v, *projections)]


def _save_for_operator(ctx, inputs, output):
    q, k, v, projections, global_mask, valid_mask, *rule, seed = inputs
    ctx.save_for_backward(output, q, k, v, seed, *projections)
    ctx.masks = global_mask, valid_mask
    ctx.rule = rule


def _operator_backward(ctx, grad_out):
    out, q, k, v, seed, *projections = ctx.saved_tensors
    grads = _window_backward_operator(grad_out, out, q, k, v, projections, *ctx.masks, *ctx.rule, seed)
    return (*grads[:3], list(grads[3:]), *(None,) * 7)


_window_operator.register_autograd(_operator_backward, setup_context=_save_for_operator)

OPERATORS: dict[Any, Callable[..., Any]] = {
    torch.ops.vtlearn.window: _run_window,
    torch.ops.vtlearn.window_backward: _run_window_backward,
}
"""Each operator with what it runs, which a counter of operations does not see into."""
