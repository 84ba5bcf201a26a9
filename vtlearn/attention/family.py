"""The one list of kernels: what stands here is tested for parity, priced and measured."""

from __future__ import annotations

from vtlearn.attention.dense import DenseAttention
from vtlearn.attention.full import FullAttention
from vtlearn.attention.kernel import AttentionKernel
from vtlearn.attention.patterns import LocalNeighbourhood, StridedGlobal, Window3D
from vtlearn.attention.sliding_window import SlidingWindowAttention
from vtlearn.attention.space_time import SpaceAttention, SplitHeadsAttention, TimeAttention
from vtlearn.attention.uniform import UniformAttention
from vtlearn.shapes import TokenGrid


def kernel_family(
    grid: TokenGrid, *, num_heads: int, window_size: int = 5, dilation: int = 2
) -> dict[str, AttentionKernel]:
    """Every kernel by name, for the tokens of ``grid`` in ``num_heads`` heads (even, for the split ones).

    Args:
        grid: the token grid, for the kernels that know one.
        num_heads: even.
        window_size: of the windows, two-sided and odd.
        dilation: of the dilated windows; where heads differ, every second head.

    >>> sorted(kernel_family(TokenGrid(2, 1, 3), num_heads=2))[:3]
    ['3-D window, dense', 'causal window', 'dilated window']
    """
    every_second = tuple(dilation if head % 2 else 1 for head in range(num_heads))
    return {
        "full": FullAttention(),
        "full causal": FullAttention(causal=True),
        "sliding window": SlidingWindowAttention(window_size),
        "causal window": SlidingWindowAttention(window_size, causal=True),
        "dilated window": SlidingWindowAttention(window_size, dilation=dilation),
        "window dilated in every second head": SlidingWindowAttention(window_size, dilation=every_second),
        "time": TimeAttention(grid.tokens_per_frame),
        "space": SpaceAttention(grid.tokens_per_frame),
        "split heads": SplitHeadsAttention(grid.tokens_per_frame, num_heads),
        "local neighbourhood, dense": DenseAttention(LocalNeighbourhood(grid)),
        "strided global, dense": DenseAttention(StridedGlobal(grid)),
        "3-D window, dense": DenseAttention(Window3D(grid, 3, 3, 3)),
        "uniform": UniformAttention(),
        "uniform in a window": UniformAttention(SlidingWindowAttention(window_size)),
    }
