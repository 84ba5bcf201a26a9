"""Costs: formulas against counting, closed forms against masks, and FlopCounterMode on what really runs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vtlearn.attention import (
    Causal,
    DenseAttention,
    Dilated,
    Full,
    FullAttention,
    GlobalTokens,
    MultiHeadAttention,
    PerHead,
    SamePlace,
    SlidingWindow,
    SlidingWindowAttention,
    TimeAttention,
    attention_cost,
    count_multiply_adds,
    multihead_multiply_adds,
    sliding_window_attention,
    window_pairs,
)
from vtlearn.attention.window_operator import window_by_operator, window_eagerly
from vtlearn.errors import ArgumentError
from vtlearn.shapes import TokenGrid


def test_cost_of_full_attention_by_hand():
    cost = attention_cost(Full(), 7, num_heads=3, head_dim=5, batch=2, bytes_per_number=2)
    assert cost.multiply_adds == 2 * 2 * 3 * 7 * 7 * 5
    assert cost.weight_bytes == 2 * 3 * 7 * 7 * 2
    assert cost.token_bytes == 4 * 2 * 3 * 7 * 5 * 2


def test_a_window_costs_its_width():
    cost = attention_cost(SlidingWindow(11), 4099, num_heads=1, head_dim=2)
    assert cost.multiply_adds == 2 * 2 * (4099 * 11 - 5 * 6)
    ratio = attention_cost(Full(), 4099, num_heads=1, head_dim=2).multiply_adds / cost.multiply_adds
    assert ratio == pytest.approx(4099 / 11, rel=0.01)


def test_heads_that_differ_are_counted_each():
    pattern = PerHead((Full(), Causal()))
    assert attention_cost(pattern, 7, num_heads=2, head_dim=5).multiply_adds == 2 * 5 * (49 + 28)
    with pytest.raises(ArgumentError, match=r"num_heads must be the pattern's 2, got 3"):
        attention_cost(pattern, 7, num_heads=3, head_dim=5)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    length=st.integers(1, 60),
    reach=st.integers(0, 30),
    dilation=st.integers(1, 8),
    causal=st.booleans(),
    share=st.floats(0, 1),
)
def test_closed_form_counts_the_mask(length, reach, dilation, causal, share):
    first = int(share * length)
    window = Dilated(2 * reach + 1, dilation)
    pattern = (window & Causal() if causal else window) | GlobalTokens(range(first))
    expected = pattern.allowed_pairs(length)
    ours = window_pairs(length, 2 * reach + 1, dilation=dilation, causal=causal, global_tokens=first)
    assert ours == expected


def test_module_formula_agrees_with_the_flop_counter():
    module = MultiHeadAttention(22, 2)
    x = torch.randn(3, 13, 22)
    formula = multihead_multiply_adds(13, 22, num_heads=2, batch=3)
    assert count_multiply_adds(module, x) == formula
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(x)
    assert counter.get_total_flops() == 2 * formula


def test_folding_really_saves_and_a_dense_mask_does_not():
    grid = TokenGrid(5, 7, 1)
    q = torch.randn(1, 2, 35, 8)
    useful = attention_cost(SamePlace(grid), 35, num_heads=2, head_dim=8).multiply_adds
    full = attention_cost(Full(), 35, num_heads=2, head_dim=8).multiply_adds
    assert count_multiply_adds(TimeAttention(7), q, q, q) == useful
    assert count_multiply_adds(FullAttention(), q, q, q) == full
    dense = DenseAttention(SamePlace(grid))
    assert count_multiply_adds(dense, q, q, q) == full
    assert dense.pattern(35).density(35) == pytest.approx(1 / 7)


def test_the_window_kernel_runs_little_more_than_its_pairs():
    q = torch.randn(1, 2, 2048, 8)
    is_global = torch.zeros(1, 2048, dtype=torch.bool)
    is_global[0, 0] = True
    for reach, waste in ((16, 2.0), (64, 1.5), (256, 1.2)):
        kernel = SlidingWindowAttention(2 * reach + 1)
        useful = attention_cost(
            SlidingWindow(2 * reach + 1) | GlobalTokens(0), 2048, num_heads=2, head_dim=8
        ).multiply_adds
        run = count_multiply_adds(kernel, q, q, q, global_mask=is_global)
        assert useful <= run <= waste * useful


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match=r"head_dim must be a positive integer, got 0"):
        attention_cost(Full(), 7, num_heads=1, head_dim=0)
    with pytest.raises(ArgumentError, match=r"global_tokens must be between 0 and 7, got 8"):
        window_pairs(7, 3, global_tokens=8)
    with pytest.raises(ArgumentError, match=r"window_size must be odd.*got 4"):
        window_pairs(7, 4)


@pytest.mark.parametrize("dropout_p", [0.0, 0.25])
@pytest.mark.parametrize("apart", [False, True])
def test_the_operator_of_a_compiled_graph_counts_what_the_window_runs_eagerly(apart, dropout_p):
    is_global, valid = torch.zeros(2, 600, dtype=torch.bool), torch.ones(2, 600, dtype=torch.bool)
    is_global[:, 0] = is_global[1, 7] = True
    valid[1, 590:] = False

    def attend(run):
        q, k, v, *own = (torch.randn(2, 2, 600, 8, requires_grad=True) for _ in range(6 if apart else 3))
        return run(q, k, v, tuple(own) or None, is_global, valid, 4, (1, 2), False, dropout_p)

    def there_and_back(run):
        attend(run).sum().backward()

    for call in (attend, there_and_back):
        expected = count_multiply_adds(call, window_eagerly)
        assert count_multiply_adds(call, window_by_operator) == expected > 0


class _Window(torch.nn.Module):
    def forward(self, x, valid):
        return sliding_window_attention(x, x, x, window_size=9, valid_mask=valid)


@pytest.mark.usefixtures("unchecked_shapes")
def test_an_exported_window_counts_what_an_eager_one_counts():
    q, valid = torch.randn(1, 2, 600, 8), torch.ones(1, 600, dtype=torch.bool)
    valid[0, 580:] = False
    exported = torch.export.export(_Window(), (q, valid)).module()
    assert "vtlearn.window" in str(exported.graph)
    assert count_multiply_adds(exported, q, valid) == count_multiply_adds(_Window(), q, valid) > 0
