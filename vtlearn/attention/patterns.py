"""Who may attend to whom: pure rules on query and key positions, combined with ``&``, ``|`` and ``~``.

A pattern knows nothing of numbers being multiplied. The same rule drives the dense mask, the picture, the
cost formula, the check of an exercise and the fused kernel on a GPU, so all of them agree by construction.

>>> print((SlidingWindow(3) | GlobalTokens(0)).mask(5).int())
tensor([[1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 0, 1, 1, 1],
        [1, 0, 0, 1, 1]], dtype=torch.int32)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vtlearn.errors import ArgumentError, require, require_odd, require_one_of, require_positive
from vtlearn.shapes import TokenGrid

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

AXIAL_ORDER = ("t", "w", "h")
"""Order of the three attentions of TimeSformer's axial scheme: time, width, height (2102.05095)."""


class Pattern:
    """A rule that says for a query position and a key position whether the query may attend to the key.

    A pattern is immutable and pure: :meth:`allows` looks at integers only. ``a & b`` allows what both allow,
    ``a | b`` what either allows, ``~a`` what ``a`` forbids.

    >>> causal_window = SlidingWindow(5) & Causal()
    >>> causal_window.allowed_per_query(4)
    tensor([1, 2, 3, 3])
    """

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        """Whether query ``q_index`` may attend to key ``k_index`` (integers that broadcast) in ``head``.

        ``head`` matters only to patterns with a rule per head; such a pattern refuses to answer without it.
        """
        raise NotImplementedError

    @property
    def num_heads(self) -> int | None:
        """How many heads the rule was written for; ``None`` where every head obeys the same rule."""
        return None

    def require_length(self, num_tokens: int) -> None:
        """Raise :class:`ArgumentError` where the rule makes no sense on ``num_tokens`` tokens."""
        require_positive(num_tokens=num_tokens)

    def mask(self, num_tokens: int, device: torch.device | str | None = None) -> Bool[Tensor, "*heads N N"]:
        """The dense mask, rows queries, columns keys, True = may attend; heads first where they differ.

        >>> SlidingWindow(3).mask(3)
        tensor([[ True,  True, False],
                [ True,  True,  True],
                [False,  True,  True]])
        """
        self.require_length(num_tokens)
        index = torch.arange(num_tokens, device=device)
        head = None
        if self.num_heads is not None:
            head = torch.arange(self.num_heads, device=device)[:, None, None]
        allowed = self.allows(index[:, None], index[None, :], head)
        return allowed.broadcast_to(*allowed.shape[:-2], num_tokens, num_tokens).clone()

    def mask_mod(self) -> MaskMod:
        """The rule as torch's ``flex_attention`` wants it: ``(batch, head, query, key) -> bool``.

        >>> rule = Causal().mask_mod()
        >>> rule(torch.tensor(0), torch.tensor(0), torch.tensor(2), torch.tensor(3))
        tensor(False)
        """

        # A lambda, since flex attention counts the parameters of what it is given.
        return lambda batch, head, q_index, k_index: self.allows(q_index, k_index, head)

    def allowed_per_query(self, num_tokens: int) -> Int[Tensor, "*heads N"]:
        """How many keys each query may attend to; counted in slices of rows, so that long sequences fit.

        >>> SlidingWindow(3).allowed_per_query(4)
        tensor([2, 3, 3, 2])
        """
        self.require_length(num_tokens)
        index = torch.arange(num_tokens)
        head = None if self.num_heads is None else torch.arange(self.num_heads)[:, None, None]
        counts = []
        for rows in index.split(512):
            allowed = self.allows(rows[:, None], index[None, :], head)
            counts.append(allowed.broadcast_to(*allowed.shape[:-2], len(rows), num_tokens).sum(-1))
        return torch.cat(counts, dim=-1)

    def allowed_pairs(self, num_tokens: int) -> int:
        """How many (query, key) pairs are allowed: in one head, or in all heads together where they differ.

        >>> Full().allowed_pairs(7), SlidingWindow(3).allowed_pairs(7), Dilated(3, (1, 2)).allowed_pairs(7)
        (49, 19, 36)
        """
        return int(self.allowed_per_query(num_tokens).sum())

    def density(self, num_tokens: int) -> float:
        """The allowed share of all pairs, between 0 and 1.

        >>> Full().density(4)
        1.0
        """
        per_query = self.allowed_per_query(num_tokens)
        return float(per_query.sum() / (per_query.numel() * num_tokens))

    def __and__(self, other: Pattern) -> Pattern:
        return Both(self, other)

    def __or__(self, other: Pattern) -> Pattern:
        return Either(self, other)

    def __invert__(self) -> Pattern:
        return Not(self)


def _shared_heads(first: Pattern, second: Pattern) -> int | None:
    heads = {pattern.num_heads for pattern in (first, second)} - {None}
    require(len(heads) <= 1, "num_heads", sorted(h for h in heads if h), "the same in both patterns")
    return heads.pop() if heads else None


@dataclass(frozen=True)
class Both(Pattern):
    """Allows what both patterns allow; written ``first & second``."""

    first: Pattern
    second: Pattern

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return self.first.allows(q_index, k_index, head) & self.second.allows(q_index, k_index, head)

    @property
    def num_heads(self) -> int | None:
        return _shared_heads(self.first, self.second)

    def require_length(self, num_tokens: int) -> None:
        self.first.require_length(num_tokens)
        self.second.require_length(num_tokens)


@dataclass(frozen=True)
class Either(Pattern):
    """Allows what at least one of the patterns allows; written ``first | second``."""

    first: Pattern
    second: Pattern

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return self.first.allows(q_index, k_index, head) | self.second.allows(q_index, k_index, head)

    @property
    def num_heads(self) -> int | None:
        return _shared_heads(self.first, self.second)

    def require_length(self, num_tokens: int) -> None:
        self.first.require_length(num_tokens)
        self.second.require_length(num_tokens)


@dataclass(frozen=True)
class Not(Pattern):
    """Allows what the pattern forbids; written ``~pattern``."""

    negated: Pattern

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return ~self.negated.allows(q_index, k_index, head)

    @property
    def num_heads(self) -> int | None:
        return self.negated.num_heads

    def require_length(self, num_tokens: int) -> None:
        self.negated.require_length(num_tokens)


@dataclass(frozen=True)
class Full(Pattern):
    """Everyone may attend to everyone: n² pairs.

    >>> Full().mask(2)
    tensor([[True, True],
            [True, True]])
    """

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return (q_index == q_index) & (k_index == k_index)

    def allowed_pairs(self, num_tokens: int) -> int:
        self.require_length(num_tokens)
        return num_tokens * num_tokens


@dataclass(frozen=True)
class Causal(Pattern):
    """No query may attend to a key that comes after it.

    >>> Causal().allowed_per_query(3)
    tensor([1, 2, 3])
    """

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return k_index <= q_index


@dataclass(frozen=True)
class SlidingWindow(Pattern):
    """A query may attend to the ``window_size`` positions centred on it, itself included.

    The window is two-sided and therefore odd: (window_size − 1) / 2 positions on each side. Longformer's
    paper (2004.05150, section 3.1) writes w with w/2 a side; its code counts one side; see
    :mod:`vtlearn.attention`.

    >>> SlidingWindow(5).mask(6).int()[2]
    tensor([1, 1, 1, 1, 1, 0], dtype=torch.int32)
    """

    window_size: int

    def __post_init__(self) -> None:
        require_odd(window_size=self.window_size)

    @property
    def reach(self) -> int:
        """Positions seen on each side."""
        return self.window_size // 2

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return (q_index - k_index <= self.reach) & (k_index - q_index <= self.reach)


@dataclass(frozen=True)
class CausalWindow(Pattern):
    """The past half of a sliding window: the query itself and (window_size − 1) / 2 positions before it.

    It equals ``SlidingWindow(window_size) & Causal()``, so an interior query sees (window_size + 1) / 2 keys.

    >>> CausalWindow(5).allowed_per_query(6)
    tensor([1, 2, 3, 3, 3, 3])
    """

    window_size: int

    def __post_init__(self) -> None:
        require_odd(window_size=self.window_size)

    @property
    def reach(self) -> int:
        """Positions seen before the query."""
        return self.window_size // 2

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return (q_index - k_index <= self.reach) & (k_index <= q_index)


@dataclass(frozen=True)
class Dilated(Pattern):
    """A sliding window with gaps: ``window_size`` keys, ``dilation`` positions apart, around the query.

    ``dilation`` 1 is the plain window. One number serves every head; a tuple gives each head its own, as
    Longformer does in its upper layers (2004.05150, section 3.1 and table 12, where "0" means none).

    >>> Dilated(3, dilation=2).mask(5).int()[2]
    tensor([1, 0, 1, 0, 1], dtype=torch.int32)
    >>> Dilated(3, dilation=(1, 2)).mask(5).shape
    torch.Size([2, 5, 5])
    """

    window_size: int
    dilation: int | tuple[int, ...] = 1

    def __post_init__(self) -> None:
        require_odd(window_size=self.window_size)
        object.__setattr__(self, "dilation", normalise_dilation(self.dilation))

    @property
    def num_heads(self) -> int | None:
        return None if isinstance(self.dilation, int) else len(self.dilation)

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        offset = k_index - q_index
        reach = self.window_size // 2
        if isinstance(self.dilation, int):
            step: Tensor | int = self.dilation
        elif head is None:
            raise ArgumentError("head", None, "given for a pattern whose dilation differs from head to head")
        elif isinstance(head, int):
            step = self.dilation[head]
        else:
            step = torch.full_like(head, self.dilation[0])
            for number, dilation in enumerate(self.dilation[1:], start=1):
                step = torch.where(head == number, dilation, step)
        return (offset % step == 0) & (offset <= reach * step) & (-offset <= reach * step)


def normalise_dilation(dilation: int | Sequence[int]) -> int | tuple[int, ...]:
    """A dilation as one number where all heads share it, else as a tuple; each is checked to be at least 1.

    >>> normalise_dilation([2, 2]), normalise_dilation([1, 2])
    (2, (1, 2))
    """
    if isinstance(dilation, int) and not isinstance(dilation, bool):
        require_positive(dilation=dilation)
        return dilation
    require(
        isinstance(dilation, (tuple, list)) and len(dilation) > 0,
        "dilation",
        dilation,
        "an integer or one per head",
    )
    steps = tuple(dilation)  # type: ignore[arg-type]
    for step in steps:
        require_positive(dilation=step)
    return steps[0] if len(set(steps)) == 1 else steps


def dilation_per_head(dilation: int | Sequence[int], num_heads: int) -> tuple[int, ...]:
    """The dilation of each head, from one number for all or one for each.

    >>> dilation_per_head(2, num_heads=3)
    (2, 2, 2)
    """
    steps = normalise_dilation(dilation)
    given = num_heads if isinstance(dilation, int) else len(dilation)
    require(given == num_heads, "dilation", dilation, f"one number, or one for each of the {num_heads} heads")
    return (steps,) * num_heads if isinstance(steps, int) else steps


@dataclass(frozen=True)
class GlobalTokens(Pattern):
    """Chosen positions attend to all and are attended by all (2004.05150, section 3.1, "Global Attention").

    Alone it says nothing of the other pairs; it is meant to be joined to a window: ``SlidingWindow(w) |
    GlobalTokens(0)``.

    >>> GlobalTokens(0).mask(3).int()
    tensor([[1, 1, 1],
            [1, 0, 0],
            [1, 0, 0]], dtype=torch.int32)
    """

    positions: tuple[int, ...]

    def __init__(self, positions: int | Iterable[int]) -> None:
        chosen = (positions,) if isinstance(positions, int) else tuple(sorted({int(p) for p in positions}))
        for position in chosen:
            require(position >= 0, "positions", position, "at least 0")
        object.__setattr__(self, "positions", chosen)

    def require_length(self, num_tokens: int) -> None:
        require_positive(num_tokens=num_tokens)
        for position in self.positions:
            require(position < num_tokens, "positions", position, f"below the number of tokens, {num_tokens}")

    def _is_global(self, index: Tensor) -> Tensor:
        chosen = index < 0
        start = 0
        while start < len(self.positions):  # runs of neighbours cost one comparison pair, not one each
            stop = start
            while stop + 1 < len(self.positions) and self.positions[stop + 1] == self.positions[stop] + 1:
                stop += 1
            chosen = chosen | ((index >= self.positions[start]) & (index <= self.positions[stop]))
            start = stop + 1
        return chosen

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return self._is_global(q_index) | self._is_global(k_index)


@dataclass(frozen=True)
class GridPattern(Pattern):
    """A rule on the (t, h, w) coordinates of the tokens of one clip, time slowest, no class token."""

    grid: TokenGrid

    def require_length(self, num_tokens: int) -> None:
        require(
            num_tokens == self.grid.num_tokens,
            "num_tokens",
            num_tokens,
            f"the {self.grid.num_tokens} tokens of the grid {self.grid.t} × {self.grid.h} × {self.grid.w}",
        )

    def mask(
        self, num_tokens: int | None = None, device: torch.device | str | None = None
    ) -> Bool[Tensor, "*heads N N"]:
        """The dense mask; the grid itself knows the number of tokens, so it need not be given."""
        return super().mask(self.grid.num_tokens if num_tokens is None else num_tokens, device)


@dataclass(frozen=True)
class SameFrame(GridPattern):
    """Tokens of the same frame attend to each other: spatial attention.

    >>> SameFrame(TokenGrid(2, 1, 2)).mask(4).int()
    tensor([[1, 1, 0, 0],
            [1, 1, 0, 0],
            [0, 0, 1, 1],
            [0, 0, 1, 1]], dtype=torch.int32)
    """

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return self.grid.coordinates(q_index)[0] == self.grid.coordinates(k_index)[0]


@dataclass(frozen=True)
class SamePlace(GridPattern):
    """Tokens at the same place of their frames attend to each other: temporal attention.

    >>> SamePlace(TokenGrid(2, 1, 2)).mask(4).int()
    tensor([[1, 0, 1, 0],
            [0, 1, 0, 1],
            [1, 0, 1, 0],
            [0, 1, 0, 1]], dtype=torch.int32)
    """

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        per_frame = self.grid.tokens_per_frame
        return q_index % per_frame == k_index % per_frame


@dataclass(frozen=True)
class Window3D(GridPattern):
    """A box of ``t × h × w`` tokens (each odd) centred on the query.

    >>> Window3D(TokenGrid(3, 3, 3), t=1, h=3, w=1).allowed_per_query(27)[:9].reshape(3, 3)
    tensor([[2, 2, 2],
            [3, 3, 3],
            [2, 2, 2]])
    """

    t: int
    h: int
    w: int

    def __post_init__(self) -> None:
        require_odd(t=self.t, h=self.h, w=self.w)

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        allowed = q_index == q_index
        sizes = (self.t, self.h, self.w)
        coordinates = zip(self.grid.coordinates(q_index), self.grid.coordinates(k_index), sizes, strict=True)
        for query, key, size in coordinates:
            allowed = allowed & (query - key <= size // 2) & (key - query <= size // 2)
        return allowed


@dataclass(frozen=True)
class Axial(GridPattern):
    """Tokens on one line of the grid attend to each other: only the coordinate ``axis`` may differ.

    TimeSformer's axial scheme applies three of these one after the other, in the order :data:`AXIAL_ORDER`
    (2102.05095, section 3); :func:`axial` makes the three.

    >>> grid = TokenGrid(2, 3, 5)
    >>> [int(Axial(grid, axis).allowed_per_query(30)[0]) for axis in "thw"]
    [2, 3, 5]
    """

    axis: str

    def __post_init__(self) -> None:
        require_one_of("axis", self.axis, ("t", "h", "w"))

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        query, key = self.grid.coordinates(q_index), self.grid.coordinates(k_index)
        first, second = (number for number, name in enumerate("thw") if name != self.axis)
        return (query[first] == key[first]) & (query[second] == key[second])


def axial(grid: TokenGrid, order: Sequence[str] = AXIAL_ORDER) -> tuple[Axial, ...]:
    """The axial patterns of ``grid``, one an attention, in ``order`` (each of t, h, w once).

    >>> [pattern.axis for pattern in axial(TokenGrid(2, 3, 5))]
    ['t', 'w', 'h']
    """
    require(sorted(order) == ["h", "t", "w"], "order", order, "each of 't', 'h', 'w' once")
    return tuple(Axial(grid, axis) for axis in order)


@dataclass(frozen=True)
class LocalNeighbourhood(GridPattern):
    """TimeSformer's local step: all frames of the half-height by half-width neighbourhood of the query.

    An interior query sees t · ⌈h/2⌉ · ⌈w/2⌉ keys (2102.05095, section 3, "sparse local global"). The paper
    does not say how an even neighbourhood is centred; here the extra position lies before the query.

    >>> LocalNeighbourhood(TokenGrid(1, 1, 6)).mask(6).int()[3]
    tensor([0, 0, 1, 1, 1, 0], dtype=torch.int32)
    """

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        _, q_row, q_column = self.grid.coordinates(q_index)
        _, k_row, k_column = self.grid.coordinates(k_index)
        allowed = q_index == q_index
        for offset, full_size in ((k_row - q_row, self.grid.h), (k_column - q_column, self.grid.w)):
            size = (full_size + 1) // 2
            before = size // 2
            allowed = allowed & (offset >= -before) & (offset < size - before)
        return allowed


@dataclass(frozen=True)
class StridedGlobal(GridPattern):
    """TimeSformer's global step: every ``stride``-th token in time, rows and columns, counted from the query.

    The paper asks for "a stride of 2 patches" over the whole clip (2102.05095, section 3) and gives no code;
    counted from the query, the query is among its keys and every token is a key for somebody.

    >>> StridedGlobal(TokenGrid(1, 1, 5)).mask(5).int()[1]
    tensor([0, 1, 0, 1, 0], dtype=torch.int32)
    """

    stride: int = 2

    def __post_init__(self) -> None:
        require_positive(stride=self.stride)

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        allowed = q_index == q_index
        for query, key in zip(self.grid.coordinates(q_index), self.grid.coordinates(k_index), strict=True):
            allowed = allowed & ((key - query) % self.stride == 0)
        return allowed


@dataclass(frozen=True)
class WithClassToken(Pattern):
    """A class token put before the tokens of ``pattern``: position 0 attends to all and is attended by all.

    >>> WithClassToken(Not(Full())).mask(3).int()
    tensor([[1, 1, 1],
            [1, 0, 0],
            [1, 0, 0]], dtype=torch.int32)
    """

    pattern: Pattern

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        return (q_index == 0) | (k_index == 0) | self.pattern.allows(q_index - 1, k_index - 1, head)

    @property
    def num_heads(self) -> int | None:
        return self.pattern.num_heads

    def require_length(self, num_tokens: int) -> None:
        require_positive(num_tokens=num_tokens)
        if num_tokens > 1:
            self.pattern.require_length(num_tokens - 1)


@dataclass(frozen=True)
class PerHead(Pattern):
    """One pattern a head, as in ViViT's factorised dot-product attention (2103.15691, section 3.3, model 4).

    >>> PerHead((Full(), Causal())).mask(2).int().tolist()
    [[[1, 1], [1, 1]], [[1, 0], [1, 1]]]
    """

    patterns: tuple[Pattern, ...]

    def __post_init__(self) -> None:
        require(len(self.patterns) > 0, "patterns", self.patterns, "one pattern for each head")

    @property
    def num_heads(self) -> int | None:
        return len(self.patterns)

    def allowed_pairs(self, num_tokens: int) -> int:
        return sum(n * rule.allowed_pairs(num_tokens) for rule, n in Counter(self.patterns).items())

    def require_length(self, num_tokens: int) -> None:
        for pattern in self.patterns:
            pattern.require_length(num_tokens)

    def allows(self, q_index: Tensor, k_index: Tensor, head: Tensor | int | None = None) -> Tensor:
        if head is None:
            raise ArgumentError("head", None, "given for a pattern that differs from head to head")
        if isinstance(head, int):
            return self.patterns[head].allows(q_index, k_index, head)
        allowed = (q_index != q_index) & (k_index != k_index) & (head != head)
        for number, pattern in enumerate(self.patterns):
            allowed = allowed | ((head == number) & pattern.allows(q_index, k_index, head))
        return allowed


def _per_layer(name: str, value: int | Sequence[int], depth: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * depth
    layers = tuple(value)
    require(len(layers) == depth, name, layers, f"one number or one for each of the {depth} layers")
    return layers


def receptive_field(
    depth: int,
    window_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    num_tokens: int | None = None,
    global_tokens: int = 0,
) -> int:
    """How many positions, from first to last, can influence one interior output after ``depth`` layers.

    Windows add up: every layer widens the field by (window_size − 1) · dilation, so ``depth`` equal layers
    reach 1 + depth · (window_size − 1) · dilation. (The paper's l × w, 2004.05150 section 3.1, is this number
    rounded.)
    One global token changes the law: it reads everything in the first layer and is read by everyone in the
    second, so two layers reach the whole sequence.

    Args:
        depth: layers, at least 1.
        window_size: two-sided and odd; one number or one a layer.
        dilation: spacing of the keys in positions, 1 = none; one number or one a layer. Heads that differ
            count as the widest.
        num_tokens: length of the sequence, which caps the field; needed where there are global tokens.
        global_tokens: how many positions are global in every layer.

    >>> receptive_field(3, 5)
    13
    >>> receptive_field(3, (3, 5, 9), dilation=(1, 1, 2))
    23
    >>> receptive_field(2, 5, num_tokens=250, global_tokens=1)
    250
    """
    require_positive(depth=depth)
    windows, dilations = (
        _per_layer("window_size", window_size, depth),
        _per_layer("dilation", dilation, depth),
    )
    for window, step in zip(windows, dilations, strict=True):
        require_odd(window_size=window)
        require_positive(dilation=step)
    require(
        isinstance(global_tokens, int) and global_tokens >= 0,
        "global_tokens",
        global_tokens,
        "an integer, at least 0",
    )
    field = 1 + sum((window - 1) * step for window, step in zip(windows, dilations, strict=True))
    if num_tokens is None:
        require(global_tokens == 0, "num_tokens", None, "given where there are global tokens")
        return field
    require_positive(num_tokens=num_tokens)
    if global_tokens > 0:
        field = num_tokens if depth >= 2 else field + global_tokens
    return min(field, num_tokens)


def reachable(patterns: Sequence[Pattern], num_tokens: int) -> Bool[Tensor, "N N"]:
    """Which inputs (columns) can influence which outputs (rows) after the layers of ``patterns``, in order.

    This follows the paths themselves instead of a formula: any pattern, any mixture; heads that differ are
        joined.

    >>> reachable([SlidingWindow(3)] * 2, 6).int()[0]
    tensor([1, 1, 1, 0, 0, 0], dtype=torch.int32)
    """
    paths = torch.eye(num_tokens)
    for pattern in patterns:
        mask = pattern.mask(num_tokens)
        if mask.ndim == 3:
            mask = mask.any(0)
        paths = ((mask.float() @ paths) > 0).float()
    return paths > 0
