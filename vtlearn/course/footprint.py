"""How much a computation stores: its largest tensor, and all the numbers it ever wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Footprint(NamedTuple):
    """Numbers in the largest tensor that was made, and in all of them together; views store nothing."""

    largest: int
    total: int


def footprint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Footprint:
    """Run ``function`` once and count the numbers its operations store; the inputs are not counted.

    >>> import torch
    >>> footprint(lambda x: (x[:, None] * x[None, :]).sum(-1), torch.ones(5))
    Footprint(largest=25, total=30)
    """
    counter = _Counter()
    with counter:
        function(*args, **kwargs)
    return Footprint(counter.largest, counter.total)


class _Counter(TorchDispatchMode):
    """Adds up what every operation newly stores; a result in the memory of an argument is no new store."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here; otherwise the first operation would import torch's compiler, for seconds.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [result] if isinstance(result, Tensor) else _tensors(result)
        if made:
            before = {tensor.untyped_storage().data_ptr() for tensor in _tensors(args)}
            for tensor in made:
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in before:
                    numbers = storage.nbytes() // tensor.element_size()
                    self.largest = max(self.largest, numbers)
                    self.total += numbers
        return result


def _tensors(values: Any) -> list[Tensor]:
    """The tensors among the values and in lists among them, which is all that operations take and give."""
    found: list[Tensor] = []
    if isinstance(values, (tuple, list)):
        for value in values:
            if isinstance(value, Tensor):
                found.append(value)
            elif isinstance(value, (tuple, list)):
                found += _tensors(value)
    return found
