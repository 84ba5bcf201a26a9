"""What every attention kernel is: an object that computes attention and can name the pattern it obeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vtlearn.attention.patterns import Full, Pattern
from vtlearn.attention.reference import reference_weights
from vtlearn.errors import require
from vtlearn.shapes import HeadTokens


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

    takes_global_mask: ClassVar[bool] = False

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

    def pattern_run(self, num_tokens: int) -> Pattern:
        """The pairs whose products are really computed, where these are more than the rule asks for."""
        return self.pattern(num_tokens)


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
