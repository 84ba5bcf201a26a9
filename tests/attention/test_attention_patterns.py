"""Patterns: small masks typed by hand, the algebra, counts in closed form, and paths through layers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlearn.attention import (
    AXIAL_ORDER,
    Axial,
    Causal,
    CausalWindow,
    Dilated,
    Full,
    GlobalTokens,
    LocalNeighbourhood,
    PerHead,
    SameFrame,
    SamePlace,
    SlidingWindow,
    StridedGlobal,
    Window3D,
    WithClassToken,
    axial,
    reachable,
    receptive_field,
)
from vtlearn.errors import ArgumentError
from vtlearn.shapes import TokenGrid

GRID = TokenGrid(3, 5, 7)


def table(text):
    """Rows of x and . as a Bool mask."""
    return torch.tensor([[mark == "x" for mark in row] for row in text.split()])


BY_HAND = {
    "full": (Full(), "xxx xxx xxx"),
    "causal": (Causal(), "x.. xx. xxx"),
    "window": (SlidingWindow(3), "xx... xxx.. .xxx. ..xxx ...xx"),
    "causal window": (CausalWindow(5), "x.... xx... xxx.. .xxx. ..xxx"),
    "dilated": (Dilated(3, 2), "x.x.. .x.x. x.x.x .x.x. ..x.x"),
    "dilated wider": (Dilated(5, 2), "x.x.x .x.x. x.x.x .x.x. x.x.x"),
    "global": (GlobalTokens((1, 3)), ".x.x. xxxxx .x.x. xxxxx .x.x."),
    "window and global": (SlidingWindow(3) | GlobalTokens(0), "xxxxx xxx.. xxxx. x.xxx x..xx"),
    "not": (~SlidingWindow(1), ".xx x.x xx."),
    "same frame": (SameFrame(TokenGrid(2, 1, 2)), "xx.. xx.. ..xx ..xx"),
    "same place": (SamePlace(TokenGrid(2, 2, 1)), "x.x. .x.x x.x. .x.x"),
    "class token": (WithClassToken(SlidingWindow(1)), "xxxx xx.. x.x. x..x"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_masks_equal_those_typed_by_hand(name):
    pattern, text = BY_HAND[name]
    expected = table(text)
    assert torch.equal(pattern.mask(len(expected)), expected)


def test_window_is_two_sided_and_counts_the_query():
    counts = SlidingWindow(7).allowed_per_query(23)
    assert counts[11] == 7
    assert counts[0] == 4
    assert torch.equal(CausalWindow(7).mask(23), (SlidingWindow(7) & Causal()).mask(23))


def test_limits():
    assert torch.equal(SlidingWindow(2 * 13 + 1).mask(13), Full().mask(13))
    assert torch.equal(Dilated(5, 1).mask(13), SlidingWindow(5).mask(13))
    one_frame = TokenGrid(1, 3, 5)
    assert torch.equal(SamePlace(one_frame).mask(15), torch.eye(15, dtype=torch.bool))
    assert torch.equal(SameFrame(one_frame).mask(15), Full().mask(15))
    huge = Window3D(GRID, 2 * 3 + 1, 2 * 5 + 1, 2 * 7 + 1)
    assert huge.density(105) == 1.0


def test_algebra():
    window, causal = SlidingWindow(5), Causal()
    length = 11
    assert torch.equal((window & causal).mask(length), window.mask(length) & causal.mask(length))
    assert torch.equal((window | causal).mask(length), window.mask(length) | causal.mask(length))
    assert torch.equal((~window).mask(length), ~window.mask(length))
    assert torch.equal((~(~window)).mask(length), window.mask(length))
    assert torch.equal((~(window | causal)).mask(length), (~window & ~causal).mask(length))


def test_patterns_are_values():
    assert SlidingWindow(5) | GlobalTokens(0) == SlidingWindow(5) | GlobalTokens([0])
    assert hash(SlidingWindow(5)) == hash(SlidingWindow(5))
    with pytest.raises(AttributeError):
        SlidingWindow(5).window_size = 7


def test_each_head_has_its_own_dilation():
    pattern = Dilated(5, (1, 3))
    assert pattern.num_heads == 2
    mask = pattern.mask(17)
    assert torch.equal(mask[0], Dilated(5, 1).mask(17))
    assert torch.equal(mask[1], Dilated(5, 3).mask(17))
    assert Dilated(5, (3, 3)) == Dilated(5, 3)
    with pytest.raises(ArgumentError, match="head"):
        pattern.allows(torch.tensor(0), torch.tensor(0))


def test_per_head_patterns_and_their_mixtures():
    pattern = PerHead((Full(), Causal(), SlidingWindow(3)))
    mask = (pattern & Causal()).mask(7)
    assert mask.shape == (3, 7, 7)
    assert torch.equal(mask[0], mask[1])
    assert torch.equal(mask[2], CausalWindow(3).mask(7))
    assert pattern.allowed_per_query(7).shape == (3, 7)
    with pytest.raises(ArgumentError, match="num_heads"):
        (pattern | Dilated(3, (1, 2))).mask(7)


@pytest.mark.parametrize(
    "pattern",
    [
        SlidingWindow(5) | GlobalTokens((0, 1, 6)),
        Dilated(5, (1, 2)),
        PerHead((Full(), Causal())),
        StridedGlobal(GRID),
    ],
    ids=str,
)
def test_mask_mod_is_the_mask(pattern):
    length = 105
    rule = pattern.mask_mod()
    index = torch.arange(length)
    for head in range(pattern.num_heads or 1):
        from_rule = rule(torch.tensor(0), torch.tensor(head), index[:, None], index[None, :])
        mask = pattern.mask(length)
        assert torch.equal(from_rule, mask if mask.ndim == 2 else mask[head])


def test_flex_attention_accepts_every_mask_mod():
    from torch.nn.attention.flex_attention import create_mask

    for pattern in (SlidingWindow(5) | GlobalTokens((0, 9)), Dilated(3, (1, 2)), Window3D(GRID, 1, 3, 5)):
        made = create_mask(pattern.mask_mod(), 1, pattern.num_heads or 1, 105, 105, device="cpu")
        assert torch.equal(made[0] if pattern.num_heads else made[0, 0], pattern.mask(105))


def test_three_d_window_counts_a_box():
    counts = Window3D(GRID, 3, 3, 5).allowed_per_query(105).reshape(3, 5, 7)
    assert counts[1, 2, 3] == 3 * 3 * 5
    assert counts[0, 0, 0] == 2 * 2 * 3
    assert counts[2, 4, 2] == 2 * 2 * 5


def test_axial_lines_meet_in_the_query():
    assert AXIAL_ORDER == ("t", "w", "h")
    time, width, height = axial(GRID)
    assert [int(p.allowed_per_query(105)[52]) for p in (time, width, height)] == [3, 7, 5]
    both = (time & width).mask(105)
    assert torch.equal(both, torch.eye(105, dtype=torch.bool))
    assert torch.equal(time.mask(105), SamePlace(GRID).mask(105))
    # three axial steps together reach everything
    assert reachable(axial(GRID), 105).all()
    assert not reachable(axial(GRID)[:2], 105).all()
    assert [p.axis for p in axial(GRID, "hwt")] == ["h", "w", "t"]


def test_divided_steps_reach_everything_in_two():
    assert reachable([SamePlace(GRID), SameFrame(GRID)], 105).all()


def test_local_neighbourhood_is_half_as_high_and_half_as_wide():
    grid = TokenGrid(3, 14, 14)
    counts = LocalNeighbourhood(grid).allowed_per_query(grid.num_tokens).reshape(3, 14, 14)
    assert counts[1, 7, 7] == 3 * 7 * 7
    mask = LocalNeighbourhood(grid).mask().reshape(3, 14, 14, 3, 14, 14)[1, 7, 7]
    rows = mask.any(0).any(1).nonzero().flatten().tolist()
    assert rows == list(range(4, 11))


def test_strided_global_keeps_every_second_token_of_every_axis():
    grid = TokenGrid(4, 6, 6)
    mask = StridedGlobal(grid).mask()
    assert mask.sum(-1).unique().tolist() == [2 * 3 * 3]
    kept = mask.reshape(4, 6, 6, 4, 6, 6)[1, 2, 3].nonzero()
    assert {(t % 2, h % 2, w % 2) for t, h, w in kept.tolist()} == {(1, 0, 1)}
    assert torch.equal(mask, mask.T)
    assert StridedGlobal(grid, stride=1).density(grid.num_tokens) == 1.0
    assert mask.diagonal().all()


def test_time_is_the_slowest_axis():
    mask = SameFrame(GRID).mask()
    assert mask[0, :35].all()
    assert not mask[0, 35:].any()


def test_counts_and_density():
    pattern = SlidingWindow(5) | GlobalTokens(0)
    mask = pattern.mask(1031)  # longer than one slice of rows
    assert torch.equal(pattern.allowed_per_query(1031), mask.sum(-1))
    assert pattern.allowed_pairs(1031) == int(mask.sum())
    assert pattern.density(1031) == pytest.approx(mask.double().mean().item())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 20), max_size=6), st.integers(21, 30))
def test_global_tokens_open_their_rows_and_columns(positions, length):
    mask = GlobalTokens(positions).mask(length)
    expected = torch.zeros(length, length, dtype=torch.bool)
    expected[positions, :] = True
    expected[:, positions] = True
    assert torch.equal(mask, expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_receptive_field_is_the_span_of_the_paths(depth, reach, dilation):
    length = 61
    pattern = Dilated(2 * reach + 1, dilation)
    row = reachable([pattern] * depth, length)[length // 2].nonzero().flatten()
    span = int(row[-1] - row[0]) + 1
    assert receptive_field(depth, 2 * reach + 1, dilation, num_tokens=length) == min(span, length)
    assert receptive_field(depth, 2 * reach + 1, dilation) == 1 + depth * 2 * reach * dilation


def test_receptive_field_with_windows_of_their_own():
    patterns = [Dilated(3, 1), Dilated(5, 1), Dilated(7, 2)]
    row = reachable(patterns, 61)[30].nonzero().flatten()
    assert receptive_field(3, (3, 5, 7), (1, 1, 2)) == int(row[-1] - row[0]) + 1 == 1 + 2 + 4 + 12


def test_one_global_token_reaches_the_whole_sequence_in_two_layers():
    pattern = SlidingWindow(3) | GlobalTokens(0)
    one, two = reachable([pattern], 53), reachable([pattern] * 2, 53)
    assert not one.all()
    assert two.all()
    assert int(one[30].sum()) == receptive_field(1, 3, num_tokens=53, global_tokens=1) == 4
    assert receptive_field(2, 3, num_tokens=53, global_tokens=1) == 53
    assert receptive_field(2, 3, num_tokens=53) == 5


BAD = {
    "even window": (lambda: SlidingWindow(8), "window_size must be odd.*got 8"),
    "no window": (lambda: SlidingWindow(0), "window_size.*got 0"),
    "negative causal window": (lambda: CausalWindow(-3), "window_size.*got -3"),
    "no dilation": (lambda: Dilated(5, 0), "dilation.*got 0"),
    "one bad head": (lambda: Dilated(5, (1, -1)), "dilation.*got -1"),
    "negative position": (lambda: GlobalTokens(-1), "positions.*got -1"),
    "position past the end": (lambda: GlobalTokens(7).mask(7), "positions.*7.*got 7"),
    "wrong grid": (lambda: SameFrame(GRID).mask(104), "num_tokens.*105.*got 104"),
    "even box": (lambda: Window3D(GRID, 2, 3, 3), "t must be odd.*got 2"),
    "unknown axis": (lambda: Axial(GRID, "x"), "axis.*got 'x'"),
    "axis twice": (lambda: axial(GRID, "tth"), "order.*got 'tth'"),
    "no stride": (lambda: StridedGlobal(GRID, 0), "stride.*got 0"),
    "no heads": (lambda: PerHead(()), "patterns"),
    "no layers": (lambda: receptive_field(0, 3), "depth.*got 0"),
    "even window in a field": (lambda: receptive_field(2, (3, 4)), "window_size.*got 4"),
    "too few windows": (lambda: receptive_field(3, (3, 5)), "window_size"),
    "field without a length": (lambda: receptive_field(2, 3, global_tokens=1), "num_tokens"),
    "empty sequence": (lambda: Full().mask(0), "num_tokens.*got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    call, message = BAD[name]
    with pytest.raises(ArgumentError, match=message):
        call()
