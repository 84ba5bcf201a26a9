"""Several processes as one: who we are, sums over all, wrapping for DDP, shares of a batch."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """True inside an initialised process group."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Processes that train together; 1 outside a process group."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if is_distributed() else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """``values`` added up over all processes, on each of them; unchanged where there is one.

    >>> import torch
    >>> sum_over_processes(torch.tensor([1, 2]))
    tensor([1, 2])
    """
    if not is_distributed():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total
