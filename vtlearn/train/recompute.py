"""Activation checkpointing: blocks that forget what they computed and compute it again going backwards."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from vtlearn.errors import require


def recompute_blocks(model: nn.Module, *block_types: type[nn.Module]) -> int:
    """Trade time for memory (Chen et al., arXiv 1604.06174): blocks of these types keep only their input.

    One more forward pass of each block a step; memory grows with the blocks' inputs and no longer with all
    that happens inside. The numbers stay the same, dropout included, and so do the names of the weights.

    Args:
        model: changed in place.
        block_types: classes whose instances recompute; a block inside another such block is left alone.

    Returns:
        how many blocks recompute.

    Raises:
        ArgumentError: the model has no such block.

    >>> recompute_blocks(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), nn.Linear)
    2
    """
    blocks = list(_outermost(model, block_types))
    names = [block_type.__name__ for block_type in block_types]
    require(len(blocks) > 0, "block_types", names, f"types of blocks that {type(model).__name__} has")
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    return len(blocks)


def _outermost(module: nn.Module, block_types: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    found = []
    for child in module.children():
        found.extend([child] if isinstance(child, block_types) else _outermost(child, block_types))
    return found
