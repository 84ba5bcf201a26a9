"""Batches brought to the device ahead of their use, from pinned memory, while the last one is computed on."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from vtlearn.data.batches import moved


def prefetched(batches: Iterable[dict[str, Any]], device: torch.device) -> Iterator[dict[str, Any]]:
    """The same batches; on a GPU each is copied on a stream of its own while the one before it is in use.

    Tensors that do not lie in pinned memory yet are moved there first. On a CPU batches pass as they are.

    >>> list(prefetched([{"clip": torch.zeros(1)}], torch.device("cpu")))
    [{'clip': tensor([0.])}]
    """
    if device.type != "cuda":
        yield from batches
        return
    stream, source = torch.cuda.Stream(device), iter(batches)

    def fetch() -> dict[str, Any] | None:
        found = next(source, None)
        if found is None:
            return None
        with torch.cuda.stream(stream):
            sent: dict[str, Any] = moved(found, functools.partial(_send, device=device))
            return sent

    coming = fetch()
    while coming is not None:
        batch, using = coming, torch.cuda.current_stream(device)
        using.wait_stream(stream)
        moved(batch, functools.partial(_used_on, stream=using))
        coming = fetch()  # its copy runs while the caller computes
        yield batch


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    return pinned.to(device, non_blocking=True)


def _used_on(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """Keep the memory from being given away while the stream still reads it."""
    tensor.record_stream(stream)
    return tensor
