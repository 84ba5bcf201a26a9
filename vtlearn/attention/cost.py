"""What attention costs: multiply-adds and bytes of a pattern by formula, and of a running model by counting.

The convention is that of the TimeSformer and ViViT papers: one multiply-add is one operation, and the two
products of attention (queries with keys, weights with values) are counted. Softmax, norms and biases are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vtlearn.attention.patterns import Full, Pattern
from vtlearn.attention.window_operator import OPERATORS
from vtlearn.errors import require, require_odd, require_positive


@dataclass(frozen=True)
class AttentionCost:
    """Multiply-adds of the two products; bytes of the weights, if stored; bytes of q, k, v and output."""

    multiply_adds: int
    weight_bytes: int
    token_bytes: int


def attention_cost(
    pattern: Pattern,
    num_tokens: int,
    *,
    num_heads: int,
    head_dim: int,
    batch: int = 1,
    bytes_per_number: int = 4,
) -> AttentionCost:
    """What a kernel that computes exactly the allowed pairs would need, projections not counted.

    Every allowed pair costs ``head_dim`` multiply-adds for its score and as many for its value; so full
    attention costs 2·N²·d a head, a window about 2·N·w·d.

    Args:
        pattern: who attends to whom; where its heads differ it must name ``num_heads`` of them.
        num_tokens: N.
        num_heads, head_dim: heads and their width d.
        batch: clips.
        bytes_per_number: 4 for float32, 2 for half precision.

    >>> from vtlearn.attention.patterns import SlidingWindow
    >>> attention_cost(Full(), 1000, num_heads=1, head_dim=64).multiply_adds
    128000000
    >>> attention_cost(SlidingWindow(3), 1000, num_heads=1, head_dim=64).multiply_adds
    383744
    """
    require_positive(num_heads=num_heads, head_dim=head_dim, batch=batch, bytes_per_number=bytes_per_number)
    pairs = pattern.allowed_pairs(num_tokens)
    if pattern.num_heads is None:
        pairs *= num_heads
    else:
        require(pattern.num_heads == num_heads, "num_heads", num_heads, f"the pattern's {pattern.num_heads}")
    return AttentionCost(
        multiply_adds=2 * pairs * head_dim * batch,
        weight_bytes=pairs * batch * bytes_per_number,
        token_bytes=4 * batch * num_heads * num_tokens * head_dim * bytes_per_number,
    )


def window_pairs(
    num_tokens: int, window_size: int, *, dilation: int = 1, causal: bool = False, global_tokens: int = 0
) -> int:
    """Allowed pairs of a sliding window in closed form, its first ``global_tokens`` positions being global.

    The window alone has N·w pairs less the two corners that fall off the ends; a global token adds the pairs
    of its row and column that no window covers. Equals ``pattern.allowed_pairs`` and is exact at any length.

    >>> from vtlearn.attention.patterns import GlobalTokens, SlidingWindow
    >>> window_pairs(11, 5, global_tokens=1), (SlidingWindow(5) | GlobalTokens(0)).allowed_pairs(11)
    (65, 65)
    """
    require_positive(num_tokens=num_tokens, dilation=dilation)
    require_odd(window_size=window_size)
    require(0 <= global_tokens <= num_tokens, "global_tokens", global_tokens, f"between 0 and {num_tokens}")
    reach = window_size // 2
    sides = 1 if causal else 2
    free = num_tokens - global_tokens
    # pairs (i, i − m·dilation) for m = 1 … reach, both ends among the free tokens, on each side, and the
    # diagonal
    steps = min(reach, (free - 1) // dilation) if free > 0 else 0
    among_free = free + sides * (steps * free - dilation * steps * (steps + 1) // 2)
    return among_free + global_tokens * (2 * num_tokens - global_tokens)


def linear_multiply_adds(num_tokens: int, in_features: int, out_features: int) -> int:
    """One linear layer on every token.

    >>> linear_multiply_adds(10, 3, 4)
    120
    """
    return num_tokens * in_features * out_features


def multihead_multiply_adds(
    num_tokens: int, embed_dim: int, *, num_heads: int, pattern: Pattern | None = None, batch: int = 1
) -> int:
    """Multi-head attention with its four projections: 4·N·D² and the two products under ``pattern``.

    >>> multihead_multiply_adds(10, 8, num_heads=2)
    4160
    """
    products = attention_cost(
        Full() if pattern is None else pattern,
        num_tokens,
        num_heads=num_heads,
        head_dim=embed_dim // num_heads,
        batch=batch,
    )
    return 4 * batch * linear_multiply_adds(num_tokens, embed_dim, embed_dim) + products.multiply_adds


def count_multiply_adds(function: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
    """Multiply-adds that one call really runs, by torch's FlopCounterMode; what runs dense counts dense.

    Torch's own table leaves out the fused attention of the CPU and this library's operators; both are added
    here, for this count only. An operator of this library is run a second time to see what it runs.

    >>> count_multiply_adds(torch.nn.Linear(3, 4), torch.zeros(10, 3))
    120
    >>> q = torch.zeros(1, 2, 7, 8)
    >>> count_multiply_adds(torch.nn.functional.scaled_dot_product_attention, q, q, q)
    1568
    """
    with FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        function(*args, **kwargs)
    return counter.get_total_flops() // 2


def _formulas() -> dict[Any, Any]:
    aten = torch.ops.aten

    def fused(q: Tensor, k: Tensor, v: Tensor, *args: Any, out_val: Any = None, **kwargs: Any) -> int:
        batch_heads = q.shape[0] * q.shape[1]
        return 2 * batch_heads * q.shape[2] * k.shape[2] * (q.shape[3] + v.shape[3])

    fused._get_raw = True  # type: ignore[attr-defined]

    def inside(run: Callable[..., Any]) -> Callable[..., int]:
        def formula(*args: Any, out_val: Any = None) -> int:
            return 2 * count_multiply_adds(run, *args)

        formula._get_raw = True  # type: ignore[attr-defined]
        return formula

    own = {operator: inside(run) for operator, run in OPERATORS.items()}
    return {aten._scaled_dot_product_flash_attention_for_cpu: fused} | own
