"""The exercises of lesson 03: windows, gaps, global tokens, a stored band, how far it sees, its schedule."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_03 as answers
from vtlearn.course.footprint import footprint
from vtlearn.course.judge import (
    FORWARDS_TO_ATTENTION,
    Mistake,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_integer,
    expect_number,
    expect_tensor,
)


def expect_mask(
    value: Any, shape: tuple[int, ...], *, name: str, likely: dict[tuple[int, ...], str] | None = None
) -> Tensor:
    """A mask of this shape as Bool; one of zeros and ones is as welcome."""
    mask = expect_tensor(value, shape, name=name, likely=likely)
    if mask.dtype == torch.bool:
        return mask
    expect(
        not bool(torch.isinf(mask.double()).any()),
        f"{name} holds infinities, as a mask that is added to scores; here return True (or 1) where a query "
        "may attend, False (or 0) elsewhere",
    )
    expect(
        bool((mask <= 1).all()),
        f"{name} holds numbers above 1: a pair that two rules allow is allowed once, not counted twice",
    )
    expect(bool(((mask == 0) | (mask == 1)).all()), f"{name} holds numbers other than 0 and 1")
    return mask == 1


def offsets(num_tokens: int) -> Tensor:
    """Key position minus query position, (N, N)."""
    position = torch.arange(num_tokens)
    return position[None, :] - position[:, None]


# ------------------------------------------------------------------------------------------------- 03.1


def check_band_mask(band_mask: Callable[..., Tensor]) -> None:
    """A middle-sized band, its causal half, then the limits: windows of one and wider than the sequence."""
    size, window, reach = 17, 7, 3
    offset, key = offsets(size), torch.arange(size)
    pushed = (key[:, None] - reach).clamp(0, size - window)
    band = expect_mask(call(band_mask, size, window), (size, size), name="the mask")
    diagonal = band.diagonal()
    expect(
        bool(diagonal.any()),
        "no query may attend to itself: True means may attend; is the mask the wrong way round?",
    )
    expect(
        bool(diagonal.all()),
        "the first queries may attend to nothing: a slice with a negative start counts from the end; "
        "begin at max(0, …)",
    )
    circle = torch.minimum(offset.abs(), size - offset.abs()) <= reach
    expect_close(
        band,
        offset.abs() <= reach,
        name="the mask",
        likely={
            "too wide: window_size counts both sides and the query itself, so one side is "
            "(window_size − 1) / 2": offset.abs() <= window,
            "too wide: half of window_size belongs to each side; this reaches window_size − 1": (
                offset.abs() < window
            ),
            "too narrow by one on each side: is < written where <= is meant?": offset.abs() < reach,
            "too narrow by one at the far end: a slice stops before its end": (
                (offset >= -reach) & (offset < reach)
            ),
            "the window starts at the query; it must be centred on it": (offset >= 0) & (offset < window),
            "the window ends at the query; it must be centred on it": (offset <= 0) & (offset > -window),
            "this is only the half before the query; without causal both sides count": (
                (offset <= 0) & (offset >= -reach)
            ),
            "the window wraps round the ends: the first token is no neighbour of the last": circle,
            "every pair is allowed: where does window_size come in?": torch.ones(size, size),
            "blocks without overlap: each query has a window of its own, centred on it": (
                key // window == key[:, None] // window
            ),
            "near the ends the window is pushed inwards to keep its size; keys that do not exist are not "
            "replaced by others": (key >= pushed) & (key < pushed + window),
        },
        otherwise="key j is allowed for query i where |i − j| is at most (window_size − 1) / 2",
    )
    half = expect_mask(call(band_mask, size, window, True), (size, size), name="the causal mask")
    expect_close(
        half,
        (offset <= 0) & (offset >= -reach),
        name="the causal mask",
        likely={
            "causal changes nothing yet: no key after the query may be allowed": offset.abs() <= reach,
            "causal looks into the future: rows are queries, columns are keys, and a key may not come after "
            "its query": (offset >= 0) & (offset <= reach),
            "a causal window keeps the past half of the window, (window_size − 1) / 2 positions; this "
            "reaches further back": (offset <= 0) & (offset > -window),
            "the query itself is missing from its causal window": (offset < 0) & (offset >= -reach),
            "this is causal, and the window is forgotten: far keys must go": offset <= 0,
            "the window wraps round the ends: the first token is no neighbour of the last": (
                ((-offset) % size) <= reach
            ),
        },
        otherwise="keep the query and the (window_size − 1) / 2 positions before it",
    )
    wide = expect_mask(call(band_mask, 5, 11), (5, 5), name="the mask of a window wider than the sequence")
    expect(bool(wide.all()), "a window of 11 on 5 tokens must allow every pair")
    narrow = expect_mask(call(band_mask, 5, 1), (5, 5), name="the mask of a window of 1")
    expect_close(narrow, torch.eye(5), otherwise="a window of 1 lets each token see itself, and only itself")
    single = expect_mask(call(band_mask, 1, 3, True), (1, 1), name="the mask of one token")
    expect(bool(single.all()), "one token alone must see itself")


# ------------------------------------------------------------------------------------------------- 03.2


def check_dilated_masks(dilated_masks: Callable[..., Tensor]) -> None:
    """Three heads of different dilation at once, then one head of which the gaps leave the sequence."""
    size, window, dilations = 19, 5, [1, 3, 2]
    offset, reach = offsets(size), 2
    step = torch.tensor(dilations)[:, None, None]
    reaches = range(-reach, reach + 1)
    key = torch.arange(size)
    masks = expect_mask(
        call(dilated_masks, size, window, dilations),
        (3, size, size),
        name="the table of masks",
        likely={
            (size, size, 3): "the heads come first: (heads, N, N)",
            (size, size): "one mask for all heads together; each head keeps a mask of its own",
            (size, 3, size): "the heads come first: (heads, N, N)",
        },
    )
    gaps = (offset % step == 0) & (offset.abs() <= reach * step)
    more = step + 1
    wrapped = torch.stack(
        [torch.stack([key[:, None] == (key + c * d) % size for d in dilations]) for c in reaches]
    )
    wrapped = wrapped.any(0).mT
    first, widest = dilations[0], max(dilations)
    expect_close(
        masks,
        gaps,
        name="the table of masks",
        likely={
            "the windows are wider, but without gaps: only every dilation-th position is a key": (
                offset.abs() <= reach * step
            ),
            "the gaps are there, but the window lost keys: it still has window_size of them, so it reaches "
            "dilation times as far": (offset % step == 0) & (offset.abs() <= reach),
            "the gaps are counted from position 0; count them from the query": (
                (key % step == 0) & (offset.abs() <= reach * step)
            ),
            "dilation 1 means no gaps: neighbouring keys are dilation positions apart, not dilation + 1": (
                (offset % more == 0) & (offset.abs() <= reach * more)
            ),
            "every head got the first head's dilation": (
                (offset % first == 0) & (offset.abs() <= reach * first)
            ).repeat(3, 1, 1),
            "every head got the widest dilation": (
                (offset % widest == 0) & (offset.abs() <= reach * widest)
            ).repeat(3, 1, 1),
            "the heads are in reverse order": gaps.flip(0),
            "all masks are the wrong way round: True means may attend": ~gaps,
            "this is a causal window; without causal both sides of the query count": gaps & (offset <= 0),
            "the gaps are there, but no window: where does window_size come in?": offset % step == 0,
            "too wide: half of window_size belongs to each side": (
                (offset % step == 0) & (offset.abs() <= window * step)
            ),
            "the window starts at the query; it must be centred on it": (
                (offset % step == 0) & (offset >= 0) & (offset < window * step)
            ),
            "the query itself is missing from its window": gaps & (offset != 0),
            "the dilations were sorted; head h has dilations[h]": gaps[[0, 2, 1]],
            "the window wraps round the ends: the first token is no neighbour of the last": wrapped,
            "the dilation is ignored: all heads see the plain window": (
                (offset.abs() <= reach).repeat(3, 1, 1)
            ),
        },
        otherwise="head h sees the keys at i + m · dilations[h] for m from −(w − 1)/2 to (w − 1)/2",
    )
    far = expect_mask(call(dilated_masks, 5, 3, [7]), (1, 5, 5), name="the mask of a gap beyond the sequence")
    expect_close(
        far, torch.eye(5)[None], otherwise="with gaps longer than the sequence each token sees only itself"
    )
    expect_close(
        expect_mask(
            call(dilated_masks, 7, 3, [2, 2]), (2, 7, 7), name="the table of masks of two equal heads"
        ),
        ((offsets(7) % 2 == 0) & (offsets(7).abs() <= 2)).repeat(2, 1, 1),
        name="the table of masks of two equal heads",
    )


# ------------------------------------------------------------------------------------------------- 03.3


def check_with_global(with_global: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Two global tokens over a band that is not symmetric, none at all, and a single one at the end."""
    size = 13
    offset = offsets(size)
    window = (offset <= 0) & (offset >= -3)  # not symmetric, so that rows and columns cannot be confused
    chosen = torch.zeros(size, dtype=torch.bool)
    chosen[[4, 9]] = True
    rows, columns = chosen[:, None].expand(size, size), chosen[None, :].expand(size, size)
    first = torch.zeros_like(window)
    first[0], first[:, 0] = True, True

    def only(one: int) -> Tensor:
        return (torch.arange(size) == one)[:, None] | (torch.arange(size) == one)

    wider = expect_mask(call(with_global, window, chosen), (size, size), name="the mask")
    expect_close(
        wider,
        window | rows | columns,
        name="the mask",
        likely={
            "only one way: the global tokens attend to all (their rows), but not every query attends to them "
            "(their columns)": window | rows,
            "only one way: every query attends to the global tokens (their columns), but they do not attend "
            "to all (their rows)": window | columns,
            "only the global tokens see each other: a pair is allowed when its query or its key is global, "
            "not when both are": window | (rows & columns),
            "token 0 became global whatever global_mask says": window | first,
            "token 0 became global beside those that global_mask names": window | rows | columns | first,
            "the window is lost: the global tokens are added to the mask, they do not replace it": (
                rows | columns
            ),
            "pairs that both rules allow are now forbidden: join the rules with or, not with exclusive or": (
                window ^ (rows | columns)
            ),
            "pairs that the window and a global token allow, and no others: join the rules with or": (
                window & (rows | columns)
            ),
            "nothing was added to the mask": window,
            "rows and columns of the window are exchanged": window.T | rows | columns,
            "only the first of several global tokens counts here": window | only(4),
            "only the last of several global tokens counts here": window | only(9),
            "the window was mirrored at the diagonal: add the columns of the global tokens alone": (
                (window | rows) | (window | rows).T
            ),
            "a pair has to obey all rules here; one is enough: join them with or, not with and": (
                window & rows & columns
            ),
            "pairs that two rules allow are now forbidden: join the rules with or, not with exclusive or": (
                window ^ rows ^ columns
            ),
        },
        otherwise="a pair is allowed where the mask allows it, or its query is global, or its key is",
    )
    nobody = torch.zeros(size, dtype=torch.bool)
    expect_close(
        expect_mask(call(with_global, window, nobody), (size, size), name="the mask without global tokens"),
        window,
        name="the mask without global tokens",
        otherwise="where no token is global the mask must come out as it went in",
    )
    last = torch.zeros(5, dtype=torch.bool)
    last[-1] = True
    corner = offsets(5)
    expect_close(
        expect_mask(call(with_global, corner == 0, last), (5, 5), name="the mask with the last token global"),
        (corner == 0) | last[:, None] | last[None, :],
        name="the mask with the last token global",
    )


# ------------------------------------------------------------------------------------------------- 03.4


def dense_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """Every score, most of them thrown away: what the band must equal, (heads, N, d)."""
    scores = (q @ k.mT * scale).masked_fill(~allowed, -math.inf)
    return scores.softmax(-1) @ v


def band_slips(q: Tensor, k: Tensor, v: Tensor, window: int) -> dict[str, Tensor]:
    """What the usual slips in a banded computation give, with a sentence for each."""
    size, head_dim = q.shape[1:]
    reach, scale = window // 2, head_dim**-0.5
    offset, number = offsets(size), torch.arange(size)
    band = offset.abs() <= reach
    place = torch.arange(size)[:, None] + torch.arange(window) - reach
    inside = (place >= 0) & (place < size)
    near = place.clamp(0, size - 1)
    keys, values = k[:, near] * inside[..., None], v[:, near] * inside[..., None]  # (heads, N, w, d)
    scores = (keys * q[:, :, None]).sum(-1) * scale
    masked = scores.masked_fill(~inside, -math.inf)
    around_keys, around_values = k[:, place % size], v[:, place % size]
    around = ((around_keys * q[:, :, None]).sum(-1) * scale).softmax(-1)

    def read(weights: Tensor, read_values: Tensor = values) -> Tensor:
        return (weights[..., None] * read_values).sum(2)

    return {
        "the ends are wrong: the padding beyond the sequence is no key, yet its score of 0 takes a share of "
        "the softmax; give it −∞": read(scores.softmax(-1)),
        "the ends are wrong: a clamped index reads the first or last key again and again; give it −∞": (
            dense_clamped(q, k, v, near, scale)
        ),
        "the scores are not divided by √d": dense_attention(q, k, v, band, 1.0),
        "the scores are divided by d instead of √d": dense_attention(q, k, v, band, 1 / head_dim),
        "the scores are divided by √w; the width of a head, d, belongs there": (
            dense_attention(q, k, v, band, window**-0.5)
        ),
        "the scores are divided by √N; the width of a head, d, belongs there": (
            dense_attention(q, k, v, band, size**-0.5)
        ),
        "the softmax runs over the queries; it must run over the w keys of one query": (
            read(masked.softmax(1))
        ),
        "the weights meet the wrong values: column c stands for the same key in the scores and in the "
        "values": read(masked.softmax(-1), values.flip(2)),
        "the window wraps round the ends: the first token is no neighbour of the last": (
            read(around, around_values)
        ),
        "too wide: window_size counts both sides and the query itself, so one side is "
        "(window_size − 1) / 2": (dense_attention(q, k, v, offset.abs() <= window, scale)),
        "the window starts at the query; it must be centred on it": (
            dense_attention(q, k, v, (offset >= 0) & (offset < window), scale)
        ),
        "only the past half of the window is read; both sides count": (
            dense_attention(q, k, v, band & (offset <= 0), scale)
        ),
        "every query meets every key: where does window_size come in?": (
            dense_attention(q, k, v, torch.ones_like(band), scale)
        ),
        "this is the plain mean over the window: the scores do not weigh anything": (
            dense_attention(q * 0, k, v, band, scale)
        ),
        "queries and keys are exchanged": dense_attention(k, q, v, band, scale),
        "the softmax is missing: these are raw scores times values": read(scores),
        "too narrow by one at the far end: a slice stops before its end, so it ends at i + reach + 1": (
            dense_attention(q, k, v, (offset >= -reach) & (offset < reach), scale)
        ),
        "blocks without overlap: each query has a window of its own, centred on it": (
            dense_attention(q, k, v, number // window == number[:, None] // window, scale)
        ),
        "the first queries get nothing: a slice with a negative start counts from the end; begin at "
        "max(0, …)": (dense_attention(q, k, v, band, scale) * (number >= reach)[:, None]),
    }


def dense_clamped(q: Tensor, k: Tensor, v: Tensor, near: Tensor, scale: float) -> Tensor:
    """The windows where an index beyond an end reads the end once more."""
    weights = ((k[:, near] * q[:, :, None]).sum(-1) * scale).softmax(-1)
    return (weights[..., None] * v[:, near]).sum(2)


def check_banded_attention(banded_attention: Callable[..., Tensor]) -> None:
    """Equal to the masked computation, at the ends too; then what it stores at one length and at twice it."""
    size, window, head_dim, heads = 23, 5, 3, 2
    q, k, v = (1.5 * torch.randn(heads, size, head_dim) for _ in range(3))
    out = expect_tensor(
        call(banded_attention, q, k, v, window),
        (heads, size, head_dim),
        kind="float",
        name="the output",
        likely={
            (size, head_dim): "the heads are gone; each head has an output of its own",
            (heads, size, window): "these are the scores; the output is a mean of values, (heads, N, d)",
            (
                heads,
                size,
                window,
                head_dim,
            ): "the w values of a window are still apart; add them up, weighted",
            (heads, size + window - 1, head_dim): "the padding is still there",
            (heads, size - window + 1, head_dim): "the ends are missing: every query has an output",
        },
    )
    expect_finite(out, name="the output", reason="is there a row in which every key is forbidden?")
    band = offsets(size).abs() <= window // 2
    expect_close(
        out,
        dense_attention(q, k, v, band, head_dim**-0.5),
        name="the output",
        likely=band_slips(q, k, v, window),
        otherwise="compare with the masked computation above, first in the middle, then at the ends",
    )
    for length, wide, what in ((3, 7, "a window wider than the sequence"), (7, 1, "a window of 1")):
        few = [torch.randn(1, length, 2) for _ in range(3)]
        result = expect_tensor(
            call(banded_attention, *few, wide), (1, length, 2), name=f"the output of {what}"
        )
        expect_finite(result, name=f"the output of {what}")
        near = offsets(length).abs() <= wide // 2
        expect_close(
            result, dense_attention(few[0], few[1], few[2], near, 2**-0.5), name=f"the output of {what}"
        )
    check_footprint(banded_attention)


def check_footprint(banded_attention: Callable[..., Tensor]) -> None:
    """No table of n²/2 numbers, in torch, NumPy or lists; twice the length stores about twice as much."""
    length, window = 598, 3
    long = [torch.randn(1, length, 2) for _ in range(3)]
    call(banded_attention, *long, window)  # an error at this length gets its sentence here
    twice = footprint(banded_attention, *long, window)
    once = footprint(banded_attention, *(tensor[:, : length // 2].clone() for tensor in long), window)
    whole = (
        "the values are right, but this stores the whole n × n table: make only the w scores of each query "
    )
    expect(
        twice.largest < length**2 // 2,
        f"{whole}(for n = {length} the largest tensor has {twice.largest:,} numbers)",
    )
    expect(
        bytes_outside_torch(banded_attention, *long, window) < 4 * length**2 // 2,
        f"{whole}(for n = {length} arrays or lists beside torch hold as much)",
    )
    piecewise = "every query still meets every key, piece by piece"
    expect(
        twice.total < 3 * max(once.total, 1),
        "the values are right, and no single tensor is large, but twice the length stores about "
        f"{twice.total / max(once.total, 1):.1f} times as much: {piecewise}",
    )
    q, k, v = long
    spoilt = v.clone()
    spoilt[:, -20] = math.nan  # far from queries 20 to 60; a value that is not read cannot spoil them
    far = call(banded_attention, q, k, spoilt, window)
    expect(
        not bool(torch.isnan(far[:, 20:60]).any()),
        "the values are right, and no single table is large, but a value that is nan spoils outputs more "
        f"than 500 tokens away: {piecewise}, and a weight of 0 times nan is nan",
    )


def bytes_outside_torch(function: Callable[..., Any], *args: Any) -> int:
    """The most memory that Python and NumPy held during one call; what torch holds is not among it."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        function(*args)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not was_tracing:
            tracemalloc.stop()


def check_receptive_field(receptive_field: Callable[..., int]) -> None:
    """Equal layers, layers that grow, the cap, then a global token in one layer and in several."""

    def ask(sizes: list[int], steps: list[int], length: int, has_global: bool) -> int:
        return expect_integer(call(receptive_field, sizes, steps, length, has_global), name="the field")

    one = ask([7], [1], 211, False)
    expect_equal(
        one,
        7,
        name="the field of one layer with a window of 7",
        likely={
            "one layer with a window of 7 sees 7 positions: the query counts once, not twice": 8,
            "one layer with a window of 7 sees 7 positions; this counts one side only": 4,
            "one layer with a window of 7 sees 7 positions; the query itself is missing": 6,
            "a sequence without global token is not seen whole at once": 211,
        },
    )
    sizes, steps = [3, 5, 9], [1, 2, 4]
    grown = ask(sizes, steps, 211, False)
    expect_equal(
        grown,
        1 + 2 + 8 + 32,
        name="the field of windows 3, 5, 9 with dilations 1, 2, 4",
        likely={
            "depth times window counts the query once a layer; each layer widens by (window − 1) · "
            "dilation": 3 + 10 + 36,
            "the windows multiply here; a layer adds (window − 1) · dilation to what the layer below saw": (
                3 * 9 * 33
            ),
            "this multiplies, and the cap hides it: a layer adds (window − 1) · dilation": 211,
            "only the last layer counts here; the layers below had widened the field already": 33,
            "the layers differ: this takes the first layer's window for all of them": 1 + 3 * 2,
            "the layers differ: this takes the last layer's window for all of them": 1 + 3 * 32,
            "the dilation is forgotten: a window with gaps reaches (window − 1) · dilation": 1 + 2 + 4 + 8,
            "this counts one side of each window only": 1 + 1 + 4 + 16,
            "the query itself is missing: one layer less than nothing still sees one position": 42,
            "the windows are added, and then the gaps: a layer adds (window − 1) · dilation": 1 + 14 * 7,
        },
        otherwise="start from the query, 1, and widen by (window − 1) · dilation in each layer",
    )
    expect_equal(
        ask([5, 5, 5, 5], [1, 1, 1, 1], 211, False), 17, name="the field of four layers with a window of 5"
    )
    expect_equal(
        ask([9, 9, 9], [1, 1, 2], 23, False),
        23,
        name="the field on a sequence of 23",
        likely={"the field is larger than the sequence: it cannot exceed num_tokens": 33},
    )
    expect_equal(
        ask([5, 5], [1, 1], 211, True),
        211,
        name="the field of two layers with a global token",
        likely={
            "the global token makes no difference here: it reads all in the first layer, and all read it in "
            "the second": 9,
            "the global token adds more than itself from the second layer on: by then it has read "
            "everything": 10,
        },
        otherwise="the global token reads all in the first layer, and all read it in the second",
    )
    expect_equal(
        ask([5], [2], 211, True),
        10,
        name="the field of one layer with a global token",
        likely={
            "one layer is not enough: the global token has not read anything yet; the query sees its window "
            "and the global token itself": 211,
            "a query sees its window and the global token: one position more": 9,
            "positions in gaps are left out; the field reaches from the first to the last, gaps included": 6,
        },
    )
    expect_equal(
        ask([3, 3, 3], [1, 1, 1], 53, True),
        53,
        name="the field of three layers with a global token",
        likely={
            "this knows the rule for two layers alone; with three everything is seen as well": 8,
            "the length of another sequence comes back: everything is num_tokens": 211,
        },
    )
    expect_equal(
        ask([9], [1], 5, True),
        5,
        name="the field on a sequence shorter than the window",
        likely={
            "the global token is added after the cap: take the smaller of field and num_tokens last": 6,
            "the field is larger than the sequence: it cannot exceed num_tokens": 10,
        },
    )


# ------------------------------------------------------------------------------------------------- 03.6


def read_plan(value: Any, phases: int, name: str) -> list[tuple[int, int, float]]:
    """The phases as tuples, whatever sequence they came in."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if value is None:
        raise Mistake(f"{name} is None: is a `return` missing at the end?")
    if (
        isinstance(value, (str, bytes, dict))
        or not hasattr(value, "__len__")
        or not hasattr(value, "__iter__")
    ):
        raise Mistake(f"{name} is a {type(value).__name__}, expected a list with one entry a phase")
    if len(value) == 3 != phases and all(hasattr(row, "__len__") and len(row) == phases for row in value):
        raise Mistake(f"{name} is three columns; hand back one (length, window_size, learning_rate) a phase")
    if len(value) != phases:
        reason = ": a phase that would be too long is shortened, not dropped" if len(value) < phases else ""
        raise Mistake(f"{name} has {len(value)} phases, expected {phases}{reason}")
    rows = []
    for number, row in enumerate(value, start=1):
        if isinstance(row, (str, bytes, dict)) or not hasattr(row, "__len__") or len(row) != 3:
            raise Mistake(f"phase {number} of {name} is not (length, window_size, learning_rate)")
        length, window, rate = row
        rows.append(
            (
                expect_integer(length, name=f"the length of phase {number}"),
                expect_integer(window, name=f"the window of phase {number}"),
                expect_number(rate, name=f"the learning rate of phase {number}"),
            )
        )
    return rows


def check_staged_schedule(staged_schedule: Callable[..., Any]) -> None:
    """The published numbers column by column, then other numbers, and a single phase at the cap."""
    plan = read_plan(call(staged_schedule, 33), 5, "the plan")
    lengths, windows, rates = (list(column) for column in zip(*plan, strict=True))
    expect(
        not (windows[0] == 2048 and lengths[0] == 33),
        "length and window are exchanged: a phase is (length, window_size, learning_rate)",
    )
    expect_equal(
        lengths,
        [2048, 4096, 8192, 16384, 23040],
        name="the column of lengths",
        likely={
            "the last phase is longer than `longest` allows": [2048, 4096, 8192, 16384, 32768],
            "the length grows by the same amount each phase; it doubles": [2048, 4096, 6144, 8192, 10240],
            "the first phase is doubled already; it starts at `length`": [4096, 8192, 16384, 23040, 23040],
            "every phase has the same length; it doubles": [2048] * 5,
        },
        otherwise="each phase is twice as long as the one before, and at most `longest`",
    )
    expect_equal(
        windows,
        [33, 65, 129, 257, 513],
        name="the column of windows",
        likely={
            "a window of even size has no middle: double the reach on each side, (window_size − 1) / 2": [
                33, 66, 132, 264, 528,
            ],
            "the window stays the same; it grows with the length": [33] * 5,
            "the window grows by the same amount each phase; it doubles": [33, 65, 97, 129, 161],
            "one is added after doubling the whole window; double the reach on each side": [
                33, 67, 135, 271, 543,
            ],
        },
        otherwise="the reach on each side, (window_size − 1) / 2, doubles: 16, 32, 64, …",
    )  # fmt: skip
    expect_close(
        torch.tensor(rates, dtype=torch.float64) * 1e4,
        torch.tensor([2.5, 1.25, 0.625, 0.3125, 0.15625], dtype=torch.float64),
        name="the learning rate, times 10,000,",
        likely={
            "the learning rate stays the same; it halves": [2.5] * 5,
            "the learning rate doubles; it halves": [2.5, 5, 10, 20, 40],
            "the learning rate falls as 1, 1/2, 1/3, …; it halves each phase": [2.5 / n for n in range(1, 6)],
            "the first phase is halved already; it starts at `learning_rate`": [
                2.5 / 2**n for n in range(1, 6)
            ],
            "the learning rate follows the shortened last length; it halves all the same": [
                2.5, 1.25, 0.625, 0.3125, 2.5 * 2048 / 23040,
            ],
        },
        otherwise="each phase has half the rate of the one before",
    )  # fmt: skip
    other = read_plan(call(staged_schedule, 5, 6, 30, 0.8, 700), 6, "the plan of six phases")
    for got, want in zip(other, _other_plan(), strict=True):
        expect_equal(got[:2], want[:2], name="(length, window) of a phase of the plan of six phases")
        expect_close(got[2], want[2], name="a learning rate of the plan of six phases")
    single = read_plan(call(staged_schedule, 1, 1, 70, 0.1, 70), 1, "the plan of one phase")
    expect_equal(single[0][:2], (70, 1), name="(length, window) of the plan of one phase")


def _other_plan() -> list[tuple[int, int, float]]:
    return [(30, 5, 0.8), (60, 9, 0.4), (120, 17, 0.2), (240, 33, 0.1), (480, 65, 0.05), (700, 129, 0.025)]


# ------------------------------------------------------------------------------------- inputs of the tests


def _plain_window(size: int, reach: int) -> Tensor:
    return offsets(size).abs() <= reach


def _one_global(size: int, position: int) -> Tensor:
    return torch.arange(size) == position


def _tokens(heads: int, size: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(heads, size, width, generator=generator) for _ in range(3)]


def _same_values(answer: Callable[..., Tensor]) -> Tensor:
    q, k, _ = _tokens(2, 11, 3)
    return answer(q, k, torch.ones(2, 11, 3), 5)


EXERCISES = [
    Exercise(
        id="03.1",
        title="The sliding window as a mask",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="The mask says exactly who may attend to whom; everything faster must agree with it.",
        contract=(
            "`num_tokens` is N ≥ 1; `window_size` is odd and counts both sides and the query itself",
            "returns a mask of shape `(N, N)`: row = query, column = key, True = may attend (or 0 and 1)",
            "query i may attend to the `window_size` positions centred on i, as far as they exist",
            "with `causal=True` only the past half remains: i itself and the `(window_size − 1) / 2` "
            "positions before it",
            "a window wider than the sequence allows everything",
        ),
        stub='''
        def band_mask(num_tokens: int, window_size: int, causal: bool = False) -> Tensor:  # -> (N, N)
            """Who may attend to whom in a sliding window."""
            raise NotImplementedError("03.1")
        ''',
        check=check_band_mask,
        probe=lambda answer: answer(11, 5, True),
        hints=(
            "Whether a pair is allowed depends on one number only: how far the key lies from the query.",
            "Positions as a column (N, 1) and as a row (1, N) broadcast to a table (N, N) of distances.",
            "reach = window_size // 2; compare the signed distance, key minus query, with −reach below and "
            "with reach above; with causal the upper bound is 0.",
        ),
        solution=answers.BAND_MASK["broadcast"],
        right_answers=answers.BAND_MASK,
        wrong_answers=(
            WrongAnswer(
                name="window_size on each side",
                answer=answers.BAND_ONE_SIDED,
                says="window_size counts both sides",
                right_on=lambda answer: answer(3, 5),
            ),
            WrongAnswer(
                name="off by one on each side",
                answer=answers.BAND_TOO_NARROW,
                says="too narrow by one on each side",
            ),
            WrongAnswer(
                name="starts at the query", answer=answers.BAND_FROM_QUERY, says="starts at the query"
            ),
            WrongAnswer(
                name="negative start of a slice",
                answer=answers.BAND_NEGATIVE_START,
                says="negative start",
                right_on=lambda answer: answer(7, 1),
            ),
            WrongAnswer(
                name="wraps round",
                answer=answers.BAND_WRAPS,
                says="wraps round the ends",
                right_on=lambda answer: answer(5, 9),
            ),
            WrongAnswer(name="inverted", answer=answers.BAND_INVERTED, says="the wrong way round"),
            WrongAnswer(
                name="causal ignored",
                answer=answers.BAND_NOT_CAUSAL,
                says="causal changes nothing yet",
                right_on=lambda answer: answer(11, 5),
            ),
            WrongAnswer(
                name="rows and columns exchanged",
                answer=answers.BAND_FUTURE,
                says="looks into the future",
                right_on=lambda answer: answer(11, 5),
            ),
            WrongAnswer(
                name="whole window in the past",
                answer=answers.BAND_LONG_PAST,
                says="past half of the window",
                right_on=lambda answer: answer(11, 5),
            ),
            WrongAnswer(name="additive mask", answer=answers.BAND_ADDITIVE, says="holds infinities"),
            WrongAnswer(
                name="pushed inwards at the ends",
                answer=answers.BAND_PUSHED_INWARDS,
                says="pushed inwards",
                right_on=lambda answer: answer(3, 3)[1:2],
            ),
        ),
        what_to_see="A band along the diagonal; with `causal`, its lower half.",
    ),
    Exercise(
        id="03.2",
        title="Dilation, a different one in each head",
        core=False,
        difficulty=3,
        importance=3,
        minutes=15,
        why="Gaps let the same number of keys reach further; other heads can go on reading the details.",
        contract=(
            "`dilations` lists one whole number ≥ 1 for each head; 1 means no gaps",
            "returns masks of shape `(heads, N, N)`, True = may attend (0 and 1 will do)",
            "in head h query i may attend to `window_size` keys centred on it, `dilations[h]` positions "
            "apart, as far as they exist",
        ),
        stub='''
        def dilated_masks(num_tokens: int, window_size: int, dilations: list[int]) -> Tensor:  # (heads, N, N)
            """One mask a head: window_size keys, dilations[head] positions apart."""
            raise NotImplementedError("03.2")
        ''',
        check=check_dilated_masks,
        probe=lambda answer: answer(13, 5, [1, 2, 3]),
        hints=(
            "Count in steps: the plain window takes 0, 1, 2, … positions to each side, one with dilation 3 "
            "takes 0, 3, 6, ….",
            "Distances are (N, N), the dilations (heads, 1, 1): together they broadcast to (heads, N, N).",
            "A key is allowed where its distance is a multiple of the dilation (%) and not beyond "
            "(window_size // 2) dilations.",
        ),
        solution=answers.DILATED_MASKS["broadcast"],
        right_answers=answers.DILATED_MASKS,
        wrong_answers=(
            WrongAnswer(
                name="wider without gaps",
                answer=answers.DILATED_NO_GAPS,
                says="without gaps",
                right_on=lambda answer: answer(11, 5, [1, 1]),
            ),
            WrongAnswer(
                name="gaps inside the old reach",
                answer=answers.DILATED_SAME_REACH,
                says="the window lost keys",
                right_on=lambda answer: answer(11, 5, [1, 1]),
            ),
            WrongAnswer(
                name="gaps counted from position 0",
                answer=answers.DILATED_ABSOLUTE,
                says="count them from the query",
                right_on=lambda answer: answer(11, 5, [1]),
            ),
            WrongAnswer(
                name="dilation counts the skipped tokens",
                answer=answers.DILATED_SKIPPED,
                says="dilation 1 means no gaps",
            ),
            WrongAnswer(
                name="one dilation for all heads",
                answer=answers.DILATED_FIRST_FOR_ALL,
                says="the first head's dilation",
                right_on=lambda answer: answer(11, 5, [2, 2, 2]),
            ),
            WrongAnswer(name="heads last", answer=answers.DILATED_HEADS_LAST, says="the heads come first"),
            WrongAnswer(
                name="heads joined", answer=answers.DILATED_JOINED, says="one mask for all heads together"
            ),
        ),
        what_to_see="As many keys a query as before, on stripes that lie `dilations[h]` positions apart.",
    ),
    Exercise(
        id="03.3",
        title="A global token, both ways",
        core=True,
        difficulty=1,
        importance=5,
        minutes=5,
        why="VTN classifies a video by one such token: it has to read every frame, and every frame has to "
        "read it.",
        contract=(
            "`mask` is Bool `(N, N)`, row = query, column = key; `global_mask` is Bool `(N,)`, True = global",
            "returns a mask of shape `(N, N)` (True and False, or 1 and 0): what `mask` allows, and every "
            "pair whose query or key is global",
            "any number of tokens may be global, at any position; `mask` itself is not changed",
        ),
        stub='''
        def with_global(mask: Tensor, global_mask: Tensor) -> Tensor:  # (N, N), (N,) -> (N, N)
            """Let the global tokens attend to all, and be attended by all."""
            raise NotImplementedError("03.3")
        ''',
        check=check_with_global,
        probe=lambda answer: answer(_plain_window(11, 1), _one_global(11, 6)),
        hints=(
            "In the table of pairs a token owns one row (what it reads) and one column (who reads it).",
            "(N, N) joined with (N, 1) fills rows; joined with (1, N) it fills columns.",
            "Three tables, two signs | between them; None inside the brackets of an index adds an axis.",
        ),
        solution=answers.WITH_GLOBAL["either way"],
        right_answers=answers.WITH_GLOBAL,
        wrong_answers=(
            WrongAnswer(
                name="rows only",
                answer=answers.GLOBAL_ROWS_ONLY,
                says="only one way: the global tokens attend to all",
                right_on=lambda answer: answer(_plain_window(5, 4), _one_global(5, 2)),
            ),
            WrongAnswer(
                name="columns only",
                answer=answers.GLOBAL_COLUMNS_ONLY,
                says="only one way: every query attends",
                right_on=lambda answer: answer(_plain_window(5, 1), torch.ones(5, dtype=torch.bool)),
            ),
            WrongAnswer(
                name="only among themselves",
                answer=answers.GLOBAL_AMONG_THEMSELVES,
                says="not when both are",
                right_on=lambda answer: answer(_plain_window(5, 1), torch.ones(5, dtype=torch.bool)),
            ),
            WrongAnswer(
                name="always the first token",
                answer=answers.GLOBAL_ALWAYS_FIRST,
                says="token 0 became global",
                right_on=lambda answer: answer(_plain_window(11, 1), _one_global(11, 0)),
            ),
            WrongAnswer(name="window lost", answer=answers.GLOBAL_WITHOUT_WINDOW, says="the window is lost"),
            WrongAnswer(name="counted twice", answer=answers.GLOBAL_COUNTED_TWICE, says="not counted twice"),
            WrongAnswer(
                name="exclusive or",
                answer=answers.GLOBAL_EXCLUSIVE,
                says="exclusive or",
                right_on=lambda answer: answer(_plain_window(5, 1), torch.zeros(5, dtype=torch.bool)),
            ),
            WrongAnswer(name="changes the mask", answer=answers.GLOBAL_IN_PLACE, says="in place"),
            WrongAnswer(
                name="first global token only",
                answer=answers.GLOBAL_FIRST_ONLY,
                says="only the first of several",
                right_on=lambda answer: answer(_plain_window(7, 1), _one_global(7, 3)).int(),
            ),
        ),
        what_to_see="A cross of one full row and one full column over the band.",
    ),
    Exercise(
        id="03.4",
        title="Attention that stores only the band",
        core=True,
        difficulty=4,
        importance=5,
        minutes=30,
        why="Here the saving becomes real: n·w scores instead of n², in memory and in multiplications.",
        contract=(
            "`q`, `k`, `v` are float tensors of shape `(heads, N, d)`; `window_size` is odd",
            "returns `(heads, N, d)`: for each query the mean of the values in its window, weighted by the "
            "softmax of `q · k / √d` over the keys of that window",
            "positions before the first token and after the last do not exist: they get no weight",
            "it stores no tensor of n²/2 numbers a head, and twice the length takes about twice the numbers",
            "any way of doing so is fine: views, slices, blocks or a loop; only no ready-made attention",
        ),
        stub='''
        def banded_attention(q: Tensor, k: Tensor, v: Tensor, window_size: int) -> Tensor:  # (heads, N, d)
            """Sliding-window attention that stores n·w scores a head."""
            raise NotImplementedError("03.4")
        ''',
        check=check_banded_attention,
        probe=lambda answer: answer(*_tokens(2, 11, 3), 5),
        hints=(
            "Store the scores as in the picture: N rows of w columns. Column c of row i belongs to key "
            "i + c − reach. A loop over the queries, or over the w columns, works as well.",
            "Pad k and v by reach on both ends: (heads, N + 2·reach, d). All windows of it are a view of "
            "shape (heads, N, d, w). Scores and weights are (heads, N, w).",
            "F.pad, then unfold(1, window_size, 1); einsum of q and windows for the scores; −∞ where the "
            "key's position is below 0 or at least N; softmax over the last axis; einsum with the values' "
            "windows.",
        ),
        solution=answers.BANDED_ATTENTION["windows as views"],
        right_answers=answers.BANDED_ATTENTION,
        wrong_answers=(
            WrongAnswer(
                name="a dense table with a mask",
                answer=answers.BANDED_BY_MASK,
                says="stores the whole n × n table",
                right_on=lambda answer: answer(*_tokens(2, 11, 3), 5),
            ),
            WrongAnswer(
                name="the dense table in pieces",
                answer=answers.BANDED_IN_PIECES,
                says="every query still meets every key",
                right_on=lambda answer: answer(*_tokens(2, 11, 3), 5),
            ),
            WrongAnswer(
                name="padding takes part",
                answer=answers.BANDED_ZERO_PADDED,
                says="the padding beyond the sequence is no key",
                right_on=lambda answer: answer(*_tokens(2, 11, 3), 1),
            ),
            WrongAnswer(
                name="not scaled",
                answer=answers.BANDED_UNSCALED,
                says="not divided by √d",
                right_on=lambda answer: answer(*_tokens(2, 11, 1), 5),
            ),
            WrongAnswer(
                name="softmax over the queries",
                answer=answers.BANDED_SOFTMAX_OVER_QUERIES,
                says="the softmax runs over the queries",
            ),
            WrongAnswer(
                name="values in reverse",
                answer=answers.BANDED_VALUES_REVERSED,
                says="the weights meet the wrong values",
            ),
            WrongAnswer(
                name="wraps round",
                answer=answers.BANDED_WRAPS,
                says="wraps round the ends",
                right_on=_same_values,
            ),
            WrongAnswer(
                name="window_size on each side",
                answer=answers.BANDED_ONE_SIDED,
                says="window_size counts both sides",
                right_on=lambda answer: answer(*_tokens(2, 3, 3), 5),
            ),
            WrongAnswer(
                name="a dense table in NumPy",
                answer=answers.BANDED_IN_NUMPY,
                says="arrays or lists beside torch",
            ),
            WrongAnswer(
                name="dense rows in NumPy",
                answer=answers.BANDED_IN_NUMPY_ROWS,
                says="spoils outputs",
            ),
            WrongAnswer(
                name="slice stops too early",
                answer=answers.BANDED_SHORT_SLICE,
                says="too narrow by one at the far end",
            ),
            WrongAnswer(
                name="negative start of a slice",
                answer=answers.BANDED_NEGATIVE_START,
                says="a slice with a negative start",
            ),
            WrongAnswer(
                name="blocks without overlap",
                answer=answers.BANDED_BLOCKS,
                says="blocks without overlap",
            ),
        ),
        not_by=FORWARDS_TO_ATTENTION,
        what_to_see="The same output as the masked computation, while the largest tensor grows with n, not "
        "with n².",
    ),
    Exercise(
        id="03.5",
        title="How far a stack of layers sees",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="It tells how many layers you need before a decision can rest on the whole video.",
        contract=(
            "`window_sizes` and `dilations` hold one whole number for each layer, the lowest first; all "
            "windows are odd",
            "returns a whole number: how many positions, from the first to the last, can influence the "
            "output at an ordinary token far from both ends",
            "positions that lie between are counted, also where gaps skip them",
            "with `has_global` one token elsewhere is global in every layer: after one layer it adds itself, "
            "one position; from two layers on everything is seen",
            "never more than `num_tokens`",
        ),
        stub='''
        def receptive_field(
            window_sizes: list[int], dilations: list[int], num_tokens: int, has_global: bool
        ) -> int:
            """How many positions, from first to last, one output depends on."""
            raise NotImplementedError("03.5")
        ''',
        check=check_receptive_field,
        probe=lambda answer: answer([3, 5, 9], [1, 2, 4], 211, False),
        hints=(
            "Walk outwards: one layer lets the query look at its window; each of those positions had looked "
            "at its own window one layer below.",
            "Before any layer the field is 1. A layer adds (window − 1) / 2 · dilation "
            "positions on each side.",
            "1 plus the sum over layers of (window − 1) · dilation; then the global token: num_tokens from "
            "two layers on, else one more; then min with num_tokens.",
        ),
        solution=answers.RECEPTIVE_FIELD["sum"],
        right_answers=answers.RECEPTIVE_FIELD,
        wrong_answers=(
            WrongAnswer(
                name="depth times window",
                answer=answers.FIELD_DEPTH_TIMES_WINDOW,
                says="counts the query once a layer",
                right_on=lambda answer: answer([7], [1], 101, False),
            ),
            WrongAnswer(
                name="product of windows",
                answer=answers.FIELD_PRODUCT,
                says="multipl",
                right_on=lambda answer: answer([7], [1], 101, False),
            ),
            WrongAnswer(
                name="last layer only",
                answer=answers.FIELD_LAST_LAYER,
                says="only the last layer counts",
                right_on=lambda answer: answer([7], [3], 101, False),
            ),
            WrongAnswer(
                name="all layers like the first",
                answer=answers.FIELD_EQUAL_LAYERS,
                says="the first layer's window for all",
                right_on=lambda answer: answer([5, 5, 5], [2, 2, 2], 101, False),
            ),
            WrongAnswer(
                name="dilation forgotten",
                answer=answers.FIELD_NO_DILATION,
                says="the dilation is forgotten",
                right_on=lambda answer: answer([3, 5], [1, 1], 101, False),
            ),
            WrongAnswer(name="one side", answer=answers.FIELD_ONE_SIDE, says="counts one side only"),
            WrongAnswer(
                name="no cap",
                answer=answers.FIELD_UNCAPPED,
                says="cannot exceed num_tokens",
                right_on=lambda answer: answer([3, 5], [1, 2], 101, False),
            ),
            WrongAnswer(
                name="global token ignored",
                answer=answers.FIELD_GLOBAL_IGNORED,
                says="makes no difference here",
                right_on=lambda answer: answer([3, 5], [1, 2], 101, False),
            ),
            WrongAnswer(
                name="all seen after one layer",
                answer=answers.FIELD_GLOBAL_AT_ONCE,
                says="one layer is not enough",
                right_on=lambda answer: answer([3, 5], [1, 2], 101, True),
            ),
            WrongAnswer(
                name="cap before the global token",
                answer=answers.FIELD_CAPPED_EARLY,
                says="added after the cap",
                right_on=lambda answer: answer([5, 5], [1, 1], 99, False),
            ),
        ),
        what_to_see="Slow growth with depth for windows alone; with a global token, all from layer two.",
    ),
    Exercise(
        id="03.6",
        title="The staged schedule",
        core=False,
        difficulty=2,
        importance=2,
        minutes=10,
        why="Long sequences are dear; most of the learning can be done on short ones, with small windows.",
        contract=(
            "returns one `(length, window_size, learning_rate)` for each phase, in order",
            "the first phase has the values given; from phase to phase the length doubles and the learning "
            "rate halves",
            "no length exceeds `longest`; a phase that would is shortened to it, and its window and rate go "
            "on as before",
            "windows are odd: what doubles is the reach on each side, `(window_size − 1) / 2`",
        ),
        stub='''
        def staged_schedule(
            window_size: int, phases: int = 5,
            length: int = 2048, learning_rate: float = 2.5e-4, longest: int = 23040
        ) -> list[tuple[int, int, float]]:
            """One (length, window_size, learning_rate) a phase."""
            raise NotImplementedError("03.6")
        ''',
        check=check_staged_schedule,
        probe=lambda answer: [tuple(row) for row in answer(33)],
        hints=(
            "Everything follows from one factor: 1, 2, 4, 8, … for the phases in order.",
            "A list of `phases` tuples: two whole numbers and a float.",
            "factor = 2 to the power of the phase counted from 0; length · factor, at most longest; "
            "(window_size − 1) · factor + 1; learning_rate / factor.",
        ),
        solution=answers.STAGED_SCHEDULE["powers of two"],
        right_answers=answers.STAGED_SCHEDULE,
        wrong_answers=(
            WrongAnswer(
                name="not capped",
                answer=answers.STAGED_UNCAPPED,
                says="longer than `longest` allows",
                right_on=lambda answer: answer(33, 4),
            ),
            WrongAnswer(
                name="even windows",
                answer=answers.STAGED_EVEN_WINDOWS,
                says="even size has no middle",
                right_on=lambda answer: answer(33, 1),
            ),
            WrongAnswer(
                name="window fixed", answer=answers.STAGED_FIXED_WINDOW, says="the window stays the same"
            ),
            WrongAnswer(
                name="rate constant", answer=answers.STAGED_CONSTANT_RATE, says="the learning rate stays"
            ),
            WrongAnswer(
                name="rate doubles", answer=answers.STAGED_RISING_RATE, says="the learning rate doubles"
            ),
            WrongAnswer(
                name="grows by equal amounts",
                answer=answers.STAGED_LINEAR,
                says="grows by the same amount",
                right_on=lambda answer: answer(33, 2),
            ),
            WrongAnswer(name="starts doubled", answer=answers.STAGED_STARTS_DOUBLED, says="doubled already"),
            WrongAnswer(
                name="last phase dropped",
                answer=answers.STAGED_LAST_DROPPED,
                says="shortened, not dropped",
                right_on=lambda answer: answer(33, 4),
            ),
        ),
        what_to_see="Five phases from 2,048 to 23,040 tokens, as published.",
    ),
]
