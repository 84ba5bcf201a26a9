"""Looking inside: the attention weights of every layer, recorded while a context manager is open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from vtlearn.attention.kernel import AttentionKernel
from vtlearn.attention.patterns import Pattern
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
class _Recording(AttentionKernel):
    """A kernel that computes what ``recorded`` computes and writes the dense weights down first."""

    recorded: AttentionKernel
    name: str
    record: AttentionRecord

    def __call__(self, q: HeadTokens, k: HeadTokens, v: HeadTokens, **masks: Any) -> HeadTokens:
        about_weights = {name: value for name, value in masks.items() if name != "dropout_p"}
        weights = self.recorded.weights(q.detach(), k.detach(), **about_weights)
        self.record.calls.setdefault(self.name, []).append(weights.detach())
        return self.recorded(q, k, v, **masks)

    def pattern(self, num_tokens: int) -> Pattern:
        return self.recorded.pattern(num_tokens)


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
    replaced: list[tuple[nn.Module, str, AttentionKernel]] = []
    try:
        for module_name, module in model.named_modules():
            kernels = [
                (key, value) for key, value in vars(module).items() if isinstance(value, AttentionKernel)
            ]
            for attribute, kernel in kernels:
                name = module_name or type(module).__name__
                if len(kernels) > 1:
                    name = f"{name}.{attribute}"
                setattr(module, attribute, _Recording(kernel, name, record))
                replaced.append((module, attribute, kernel))
        yield record
    finally:
        for module, attribute, kernel in replaced:
            setattr(module, attribute, kernel)
