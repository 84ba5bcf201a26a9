"""What every attention kernel is: an object that computes attention and can name the pattern it obeys; and
how one is laid over another in a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vtlearn.attention.patterns import Full, Pattern
from vtlearn.attention.reference import reference_weights
from vtlearn.errors import ArgumentError, require
from vtlearn.shapes import HeadTokens, TokenGrid

GlobalProjections = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values, (B, heads, N, d) each, with which global tokens read."""


def require_attention_inputs(
    q: Tensor, k: Tensor, v: Tensor, *, valid_mask: Tensor | None = None, global_mask: Tensor | None = None
) -> None:
    """q, k and v share one shape (B, heads, N, d), dtype and device; masks are Bool (B, N).

    Raises:
        ArgumentError: names the first argument that does not fit, and what it is.
    """
    require(q.ndim == 4, "q", tuple(q.shape), "of shape (B, heads, N, d)")
    require(min(q.shape) >= 1, "q", tuple(q.shape), "of shape (B, heads, N, d) with no empty axis")
    require(q.is_floating_point(), "q", q.dtype, "of a floating-point dtype")
    for name, tensor in (("k", k), ("v", v)):
        require(tensor.shape == q.shape, name, tuple(tensor.shape), f"of q's shape {tuple(q.shape)}")
        require(tensor.dtype == q.dtype, name, tensor.dtype, f"of q's dtype {q.dtype}")
        require(tensor.device == q.device, name, tensor.device, f"on q's device {q.device}")
    expected = (q.shape[0], q.shape[2])
    for name, mask in (("valid_mask", valid_mask), ("global_mask", global_mask)):
        if mask is not None:
            require(mask.dtype == torch.bool, name, mask.dtype, "of dtype torch.bool")
            require(tuple(mask.shape) == expected, name, tuple(mask.shape), f"of shape (B, N) = {expected}")
            require(mask.device == q.device, name, mask.device, f"on q's device {q.device}")


@dataclass(frozen=True)
class AttentionKernel:
    """Base of the kernels: attention in the call, its rule in ``pattern``, its weights in ``weights``.

    The two must agree: for every kernel, output and gradients equal those of the reference under its pattern.
    """

    def __call__(
        self,
        q: HeadTokens,
        k: HeadTokens,
        v: HeadTokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
        dropout_p: float = 0.0,
    ) -> HeadTokens:
        """Attend: (B, heads, N, d) three times → (B, heads, N, d)."""
        raise NotImplementedError

    def pattern(self, num_tokens: int) -> Pattern:
        """The rule obeyed on ``num_tokens`` tokens, global tokens and padding aside."""
        return Full()

    def weights(
        self,
        q: HeadTokens,
        k: HeadTokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B heads N N"]:
        """The dense weights behind the fast call, by the reference; N² memory, for looking and for tests."""
        allowed = open_global(self.pattern(q.shape[2]).mask(q.shape[2], device=q.device), global_mask)
        return reference_weights(q, k, allowed, valid_mask=valid_mask)

    def allowed_pairs(self, num_tokens: int, *, num_heads: int, global_tokens: int = 0) -> int:
        """Pairs that the rule allows, of all heads together; most kernels have no global tokens."""
        rule = self.pattern(num_tokens)
        return rule.allowed_pairs(num_tokens) * (num_heads if rule.num_heads is None else 1)

    def on(self, grid: TokenGrid) -> AttentionKernel:
        """The kernel for the tokens of ``grid``: itself, unless it follows the grid."""
        return self

    def beside_global_rows(self, project: Callable[[], GlobalProjections]) -> AttentionKernel | None:
        """The kernel to call where the caller computes itself what global tokens read, by plain attention to
        all real tokens; None where they read in another way, so that the caller must not.

        ``project`` makes the projections with which they read, for a kernel that wants to look at them.
        """
        return None


@dataclass(frozen=True)
class WrappedKernel(AttentionKernel):
    """A kernel laid over another: unless a subclass says otherwise, it computes and says what that one does.

    >>> from vtlearn.attention import SlidingWindowAttention
    >>> WrappedKernel(SlidingWindowAttention(3)).allowed_pairs(4, num_heads=1)
    10
    """

    over: AttentionKernel

    def __call__(self, q: HeadTokens, k: HeadTokens, v: HeadTokens, **masks: Any) -> HeadTokens:
        return self.over(q, k, v, **masks)

    def pattern(self, num_tokens: int) -> Pattern:
        return self.over.pattern(num_tokens)

    def weights(self, q: HeadTokens, k: HeadTokens, **masks: Any) -> Float[Tensor, "B heads N N"]:
        return self.over.weights(q, k, **masks)

    def allowed_pairs(self, num_tokens: int, *, num_heads: int, global_tokens: int = 0) -> int:
        return self.over.allowed_pairs(num_tokens, num_heads=num_heads, global_tokens=global_tokens)

    def on(self, grid: TokenGrid) -> AttentionKernel:
        return replace(self, over=self.over.on(grid))

    def beside_global_rows(self, project: Callable[[], GlobalProjections]) -> AttentionKernel | None:
        over = self.over.beside_global_rows(project)
        return None if over is None else replace(self, over=over)


@dataclass(frozen=True)
class GridKernel(AttentionKernel):
    """A kernel that follows the token grid: for each grid it is the kernel that ``make`` makes of it.

    Raises:
        ArgumentError: called, or asked for its pattern, before :meth:`on` has told it the grid.

    >>> from vtlearn.attention import TimeAttention
    >>> GridKernel(lambda grid: TimeAttention(grid.tokens_per_frame)).on(TokenGrid(4, 2, 3))
    TimeAttention(tokens_per_frame=6)
    """

    make: Callable[[TokenGrid], AttentionKernel]

    def __call__(self, q: HeadTokens, k: HeadTokens, v: HeadTokens, **masks: Any) -> HeadTokens:
        raise ArgumentError("grid", None, f"given, since {self} follows it")

    def pattern(self, num_tokens: int) -> Pattern:
        raise ArgumentError("grid", None, f"given, since {self} follows it")

    def on(self, grid: TokenGrid) -> AttentionKernel:
        return self.make(grid)


@contextmanager
def exchanged_kernels(
    model: nn.Module, wrap: Callable[[str, Any], Any], kind: type = AttentionKernel
) -> Iterator[None]:
    """Every kernel that a module of ``model`` holds becomes ``wrap(name, kernel)``, while the block runs.

    All are put back at the end, also after an error. ``name`` is that of the module, with the attribute's
    where it holds several.

    Args:
        model: any module that holds kernels as plain attributes.
        wrap: makes of a name and a kernel what stands in its place.
        kind: the class of the kernels that are meant.

    >>> from vtlearn.attention import MultiHeadAttention
    >>> layer = MultiHeadAttention(6, 2)
    >>> with exchanged_kernels(layer, lambda name, kernel: WrappedKernel(kernel)):
    ...     layer.kernel
    WrappedKernel(over=FullAttention(causal=False))
    >>> layer.kernel
    FullAttention(causal=False)
    """
    replaced: list[tuple[nn.Module, str, Any]] = []
    try:
        for module_name, module in model.named_modules():
            kernels = [(key, value) for key, value in vars(module).items() if isinstance(value, kind)]
            for attribute, kernel in kernels:
                name = module_name or type(module).__name__
                full_name = f"{name}.{attribute}" if len(kernels) > 1 else name
                setattr(module, attribute, wrap(full_name, kernel))
                replaced.append((module, attribute, kernel))
        yield
    finally:
        for module, attribute, kernel in replaced:
            setattr(module, attribute, kernel)


def open_global(
    allowed: Bool[Tensor, "*heads N N"], global_mask: Bool[Tensor, "B N"] | None
) -> Bool[Tensor, "*shape"]:
    """The mask with rows and columns of global tokens opened; with these it has the axes (B, heads).

    >>> open_global(torch.eye(3, dtype=torch.bool), torch.tensor([[True, False, False]])).int()[0, 0]
    tensor([[1, 1, 1],
            [1, 1, 0],
            [1, 0, 1]], dtype=torch.int32)
    """
    if global_mask is None:
        return allowed
    return allowed | global_mask[:, None, :, None] | global_mask[:, None, None, :]


def refuse_global(global_mask: Tensor | None, kernel: object) -> None:
    """Raise :class:`ArgumentError` where a kernel without global tokens is given some."""
    require(global_mask is None, "global_mask", "a mask", f"None: {kernel} has no global tokens")
