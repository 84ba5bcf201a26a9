"""Looking inside: the attention weights of every layer, recorded while a context manager is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from vtlearn.attention.kernel import (
    AttentionKernel,
    GlobalProjections,
    WrappedKernel,
    exchanged_kernels,
)
from vtlearn.shapes import HeadTokens


@dataclass
class AttentionRecord(Mapping[str, Tensor]):
    """Layer name → weights (B, heads, N, N) of its latest call; :attr:`calls` keeps all calls in order.

    Where a layer folds an axis into the batch (attention within frames, say), B is the folded batch.
    """

    calls: dict[str, list[Tensor]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.calls[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)


@dataclass(frozen=True)
class _Recording(WrappedKernel):
    """A kernel that computes what ``over`` computes and writes the dense weights down first.

    ``project`` makes the projections of global tokens where their rows are computed elsewhere.
    """

    name: str
    record: AttentionRecord
    project: Callable[[], GlobalProjections] | None = None

    def __call__(self, q: HeadTokens, k: HeadTokens, v: HeadTokens, **masks: Any) -> HeadTokens:
        about_weights = {name: value for name, value in masks.items() if name != "dropout_p"}
        if self.project is not None:
            about_weights["global_projections"] = self.project()
        weights = self.over.weights(q.detach(), k.detach(), **about_weights)
        self.record.calls.setdefault(self.name, []).append(weights.detach())
        return self.over(q, k, v, **masks)

    def beside_global_rows(self, project: Callable[[], GlobalProjections]) -> AttentionKernel | None:
        over = self.over.beside_global_rows(project)
        return None if over is None else replace(self, over=over, project=project)


@contextmanager
def record_attention(model: nn.Module) -> Iterator[AttentionRecord]:
    """Record the attention weights of every layer while the block runs; the model itself knows nothing of it.

    Every kernel object held by a module is replaced by one that also asks the reference for its weights, and
    put back at the end, also after an error. Weights are those before dropout, in float32 at least, and cost
    N² memory a layer. A model that was compiled is to be recorded before compiling.

    Args:
        model: any module that holds its attention as kernel objects.

    Yields:
        AttentionRecord: layer name → weights (B, heads, N, N), in the order of the first calls.

    >>> import torch
    >>> from vtlearn.attention import MultiHeadAttention
    >>> model = nn.Sequential(MultiHeadAttention(6, 2), MultiHeadAttention(6, 2))
    >>> with torch.no_grad(), record_attention(model) as record:
    ...     out = model(torch.randn(1, 5, 6))
    >>> {name: tuple(weights.shape) for name, weights in record.items()}
    {'0': (1, 2, 5, 5), '1': (1, 2, 5, 5)}
    """
    record = AttentionRecord()
    with exchanged_kernels(model, lambda name, kernel: _Recording(kernel, name, record)):
        yield record
