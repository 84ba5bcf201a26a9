"""Windows that grow with depth, and the staged schedule that lengthens sequences while training goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vtlearn.errors import ArgumentError, require, require_odd, require_positive

LONGEST = 23_040
"""Tokens of the published schedule's last phase, where the doubling would ask for 32,768."""


def growing_windows(depth: int, first: int, last: int) -> tuple[int, ...]:
    """Window sizes, one a layer, from ``first`` at the bottom to ``last`` at the top, in equal ratios.

    Source: 2004.05150, section 4.1: small windows below, where details are read, large ones above. The
    paper's table 12 gives the two ends; the geometric steps between them are ours.

    Args:
        depth: layers.
        first, last: two-sided and odd.

    >>> growing_windows(5, 33, 513)
    (33, 65, 129, 257, 513)
    """
    require_positive(depth=depth)
    require_odd(first=first, last=last)
    if depth == 1:
        require(first == last, "last", last, f"equal to first = {first} where there is one layer")
        return (first,)
    low, high = first // 2, last // 2
    if low == 0 or high == 0:  # no ratio from nothing: equal steps
        reaches = [low + (high - low) * layer / (depth - 1) for layer in range(depth)]
    else:
        reaches = [low * (high / low) ** (layer / (depth - 1)) for layer in range(depth)]
    return tuple(2 * round(reach) + 1 for reach in reaches)


@dataclass(frozen=True)
class Phase:
    """One phase: sequence length in tokens, window sizes (two-sided, odd; one a layer), learning rate."""

    number: int
    length: int
    window_sizes: tuple[int, ...]
    learning_rate: float


@dataclass(frozen=True)
class StagedSchedule(Sequence[Phase]):
    """Phases in which window and length double and the learning rate halves; the last length is capped.

    Source: Longformer's character models, 2004.05150, section 4.1 and table 12: five phases from 2,048 tokens
    at 2.5e-4 to 23,040 tokens at 1.5625e-5. A window doubles in reach: published 32, 64, 128, … are 33, 65,
    129, … counted two-sided with the query.

    Args:
        window_sizes: of the first phase, one a layer, two-sided and odd.
        length: tokens of the first phase.
        learning_rate: of the first phase.
        phases: how many.
        longest: no phase is longer than this.

    Raises:
        ArgumentError: an even window, a number below 1, a first length above ``longest``.

    >>> schedule = StagedSchedule(window_sizes=(33,))
    >>> [phase.length for phase in schedule]
    [2048, 4096, 8192, 16384, 23040]
    >>> schedule[-1]
    Phase(number=5, length=23040, window_sizes=(513,), learning_rate=1.5625e-05)
    """

    window_sizes: tuple[int, ...]
    length: int = 2048
    learning_rate: float = 2.5e-4
    phases: int = 5
    longest: int = LONGEST

    def __post_init__(self) -> None:
        require(len(self.window_sizes) > 0, "window_sizes", self.window_sizes, "one window a layer")
        for window in self.window_sizes:
            require_odd(window_sizes=window)
        require_positive(length=self.length, phases=self.phases, longest=self.longest)
        require(self.length <= self.longest, "length", self.length, f"at most longest = {self.longest}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "positive")
        object.__setattr__(self, "window_sizes", tuple(self.window_sizes))

    def __len__(self) -> int:
        return self.phases

    def __getitem__(self, index: int) -> Phase:  # type: ignore[override]
        if not isinstance(index, int):
            raise ArgumentError("index", index, "an integer")
        place = index + self.phases if index < 0 else index
        if not 0 <= place < self.phases:
            raise IndexError(f"phase {index} of {self.phases}")
        factor = 2**place
        return Phase(
            number=place + 1,
            length=min(self.length * factor, self.longest),
            window_sizes=tuple(2 * (window // 2) * factor + 1 for window in self.window_sizes),
            learning_rate=self.learning_rate / factor,
        )

    def __iter__(self) -> Iterator[Phase]:
        return (self[place] for place in range(self.phases))
