"""Several processes as one: who we are, sums over all, wrapping for DDP."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vtlearn.errors import ArgumentError, require


def is_distributed() -> bool:
    """True inside an initialised process group."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Processes that train together; 1 outside a process group."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """This process's number, from 0; the one that saves and prints is 0."""
    return dist.get_rank() if is_distributed() else 0


def is_alone() -> bool:
    """True unless torchrun started several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1


def was_restarted() -> bool:
    """True where torchrun has started the processes again after one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def is_first_process() -> bool:
    """True in the process that prints: alone, or rank 0 of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0


def sum_over_processes(values: Tensor) -> Tensor:
    """``values`` added up over all processes, on each of them; unchanged where there is one.

    >>> sum_over_processes(torch.tensor([1, 2]))
    tensor([1, 2])
    """
    if not is_distributed():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def gather_objects(value: Any) -> list[Any]:
    """``value`` of every process by rank, on each of them; every process must call it.

    >>> gather_objects("alone")
    ['alone']
    """
    if not is_distributed():
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def anywhere(condition: bool, device: torch.device | None = None) -> bool:
    """Whether ``condition`` holds in any of the processes; all of them get the same answer.

    >>> anywhere(False)
    False
    """
    if not is_distributed():
        return condition
    return int(sum_over_processes(torch.tensor(int(condition), device=device))) > 0


def barrier() -> None:
    """Wait until every process has come here; alone, do not wait."""
    if is_distributed():
        dist.barrier()


@contextlib.contextmanager
def process_group(
    device: torch.device | None = None, init_method: str | None = None
) -> Iterator[torch.device]:
    """Join the processes that ``torchrun`` started (NCCL on CUDA, gloo on CPU); alone where there is one.

    ``torchrun --nproc-per-node=N -m vtlearn train …`` sets RANK, WORLD_SIZE, LOCAL_RANK and the meeting
    point.

    Args:
        device: kind of device; CUDA takes the one numbered LOCAL_RANK. None takes CUDA where there is one.
        init_method: where to meet, if not where the environment says.

    Yields:
        this process's device.

    Raises:
        ArgumentError: more processes on this machine than CUDA devices, or half of torchrun's variables.

    >>> with process_group(torch.device("cpu")) as device:
    ...     device, world_size()
    (device(type='cpu'), 1)
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device is None else device
    world = os.environ.get("WORLD_SIZE")
    if world is None or int(world) == 1:
        yield device
        return
    if "RANK" not in os.environ:
        raise ArgumentError("WORLD_SIZE", world, "set together with RANK, as torchrun does")
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        count = torch.cuda.device_count()
        require(local < count, "LOCAL_RANK", local, f"below the {count} CUDA devices of this machine")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend, init_method=init_method, rank=int(os.environ["RANK"]), world_size=int(world)
    )
    try:
        yield device
    finally:
        dist.destroy_process_group()


def across_processes(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` wrapped so that processes share their gradients; the model itself where there is one process.

    Wrap after moving to ``device`` and before building the optimiser. ``unwrap`` gives the model back for
    saving.

    >>> model = nn.Linear(2, 2)
    >>> across_processes(model, torch.device("cpu")) is model
    True
    """
    if world_size() == 1:
        return model
    ids = [device.index] if device.type == "cuda" else None
    # VTN's last layer reads by its class token alone: the layer's local projections never get a gradient
    return DistributedDataParallel(model, device_ids=ids, find_unused_parameters=True)


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DDP and ``torch.compile``, whose weights have their own names.

    >>> model = nn.Linear(2, 2)
    >>> unwrap(model) is model
    True
    """
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model
