"""Attention rollout: the weights of all layers joined to one table, also for blocks of two steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vtlearn.errors import require, require_divisible

Weights = Float[Tensor, "..."]


def attention_rollout(layers: Sequence[Weights], *, residual: float = 0.5) -> Float[Tensor, "B N N"]:
    """What each token of the last layer holds of each token of the first, if attention and residual were all.

    Heads are averaged, every layer's table is mixed with the identity (the residual), and the tables are
    multiplied, the first layer's on the right.

    Source: 2005.00928, section 3. It leaves out values, MLPs, norms and the sizes of the updates.

    Args:
        layers: each layer's weights (B, heads, N, N), the first layer first; rows sum to 1.
        residual: share of the identity, in [0, 1]; 0 forgets the residual.

    Returns:
        (B, N, N); rows sum to 1.

    Raises:
        ArgumentError: no layer, layers of different shape, or a share outside [0, 1].

    >>> even = torch.full((1, 2, 2, 2), 0.5)
    >>> attention_rollout([even])[0].tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    require(len(layers) > 0, "layers", len(layers), "at least one layer")
    require(0 <= residual <= 1, "residual", residual, "in [0, 1]")
    for number, weights in enumerate(layers):
        shape = tuple(weights.shape)
        is_table = weights.ndim == 4 and shape[2] == shape[3]
        require(is_table, f"layers[{number}]", shape, "of shape (B, heads, N, N)")
        same = (shape[0], shape[2]) == (layers[0].shape[0], layers[0].shape[2])
        require(same, f"layers[{number}]", shape, f"clips and tokens as in {tuple(layers[0].shape)}")
    one = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype, device=layers[0].device)
    joined = one.expand(layers[0].shape[0], -1, -1)
    for weights in layers:
        joined = ((1 - residual) * weights.mean(1) + residual * one) @ joined
    return joined


def divided_tables(
    time: Weights, space: Weights, num_frames: int
) -> tuple[Float[Tensor, "B 1 N N"], Float[Tensor, "B 1 N N"]]:
    """The two steps of one divided block, each as a table over all tokens of the clip, ready for rollout.

    Over time a patch meets its own place in other frames, and the class token meets itself alone. Over space
    the patches of a frame meet each other and the class token, which has a copy in every frame: its row is
    the mean over the copies.

    Source: the block is that of 2102.05095, section 3, as released; joining its steps is this project's own.

    Args:
        time: (B · s, heads, t, t), the places of a clip side by side.
        space: (B · t, heads, 1 + s, 1 + s), the frames of a clip side by side, the class token first.
        num_frames: t.

    Returns:
        The tables over time and over space, N = 1 + t · s, tokens in the order class token, then (t s).

    >>> time, space = torch.full((2, 1, 3, 3), 1 / 3), torch.full((3, 1, 3, 3), 1 / 3)
    >>> [tuple(table.shape) for table in divided_tables(time, space, 3)]
    [(1, 1, 7, 7), (1, 1, 7, 7)]
    """
    t, s = num_frames, space.shape[-1] - 1
    require(time.shape[-1] == t, "time", tuple(time.shape), f"of shape (B · s, heads, {t}, {t})")
    require_divisible("space's frames", space.shape[0], "num_frames", t)
    batch = space.shape[0] // t
    require(
        time.shape[0] == batch * s, "time", tuple(time.shape), f"{batch * s} rows: {batch} clips, {s} places"
    )
    over_time = time.mean(1).unflatten(0, (batch, s))
    over_space = space.mean(1).unflatten(0, (batch, t))
    frame, place = torch.arange(t), torch.arange(s)
    time_table = time.new_zeros(batch, 1 + t * s, 1 + t * s)
    time_table[:, 0, 0] = 1
    patches = time_table[:, 1:, 1:].unflatten(2, (t, s)).unflatten(1, (t, s))
    patches[:, :, place, :, place] = over_time.movedim(1, 0)
    space_table = torch.zeros_like(time_table)
    space_table[:, 0, 0] = over_space[:, :, 0, 0].mean(1)
    space_table[:, 0, 1:] = over_space[:, :, 0, 1:].flatten(1) / t
    space_table[:, 1:, 0] = over_space[:, :, 1:, 0].flatten(1)
    patches = space_table[:, 1:, 1:].unflatten(2, (t, s)).unflatten(1, (t, s))
    patches[:, frame, :, frame] = over_space[:, :, 1:, 1:].movedim(1, 0)
    return time_table[:, None], space_table[:, None]
