"""Batches brought to the device ahead of their use, from pinned memory, while the last one is computed on."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class ResumableLoader(Protocol):
    """What is wrapped: batches, and a place to go on from."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from there."""
        ...


class Prefetched:
    """A loader whose batches arrive on the device, one ahead.

    On a GPU the next batch is copied on a stream of its own while the current one is in use; tensors that do
    not lie in pinned memory yet are moved there first. On a CPU batches pass through as they are.
    `state_dict` counts what was handed out, not what was fetched ahead.

    Args:
        loader: a `ClipLoader`, or anything like it.
        device: where batches go.
    """

    def __init__(self, loader: ResumableLoader, device: torch.device | str) -> None:
        self.loader = loader
        self.device = torch.device(device)
        self._state = loader.state_dict()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = self._with_states()
        if self.device.type != "cuda":
            for batch, state in batches:
                self._state = state
                yield _moved(batch, lambda tensor: tensor.to(self.device))
        else:
            yield from self._ahead(batches)
        self._state = self.loader.state_dict()

    def _with_states(self) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
        for batch in self.loader:
            yield batch, self.loader.state_dict()

    def _ahead(self, batches: Iterator[tuple[dict[str, Any], dict[str, int]]]) -> Iterator[dict[str, Any]]:
        stream = torch.cuda.Stream(self.device)

        def fetch() -> tuple[dict[str, Any], dict[str, int]] | None:
            found = next(batches, None)
            if found is None:
                return None
            with torch.cuda.stream(stream):
                return _moved(found[0], self._send), found[1]

        coming = fetch()
        while coming is not None:
            batch, self._state = coming
            using = torch.cuda.current_stream(self.device)
            using.wait_stream(stream)
            _moved(batch, functools.partial(_used_on, stream=using))
            coming = fetch()  # its copy runs while the caller computes
            yield batch

    def _send(self, tensor: Tensor) -> Tensor:
        pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
        return pinned.to(self.device, non_blocking=True)

    def state_dict(self) -> dict[str, int]:
        """Where the batches that were handed out end."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another stood; errors as for the loader."""
        self.loader.load_state_dict(state)
        self._state = self.loader.state_dict()


def _used_on(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """Keep the memory from being given away while the stream still reads it."""
    tensor.record_stream(stream)
    return tensor


def _moved(value: Any, move: Any) -> Any:
    """Every tensor in a batch through ``move``."""
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, Mapping):
        return {key: _moved(each, move) for key, each in value.items()}
    return value
