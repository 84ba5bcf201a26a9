"""The reference itself: numbers typed by hand, a second writing of the formula, and its complaints."""

import math

import pytest
import torch

from vtlearn.attention import (
    Causal,
    Full,
    PerHead,
    SlidingWindow,
    full_attention,
    reference_attention,
    reference_weights,
)
from vtlearn.errors import ArgumentError


def by_loops(q, k, v, mask, valid):
    """Attention with nothing but Python numbers, one query at a time."""
    out = torch.zeros_like(v)
    batch, heads, length, width = q.shape
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                if not valid[b, i]:
                    continue
                keys = [j for j in range(length) if mask[i, j] and valid[b, j]]
                powers = [math.exp(float(q[b, h, i] @ k[b, h, j]) / math.sqrt(width)) for j in keys]
                for j, power in zip(keys, powers, strict=True):
                    out[b, h, i] += power / sum(powers) * v[b, h, j]
    return out


def tokens(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=dtype) for _ in range(3)]


def test_reference_equals_plain_loops():
    q, k, v = tokens(2, 3, 7, 5)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[1, 5:] = False
    pattern = SlidingWindow(3)
    expected = by_loops(q, k, v, pattern.mask(7), valid)
    torch.testing.assert_close(reference_attention(q, k, v, pattern, valid_mask=valid), expected)


def test_weights_are_a_distribution_over_allowed_keys():
    q, k, _ = tokens(2, 3, 7, 5)
    valid = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    weights = reference_weights(q, k, Causal(), valid_mask=valid)
    torch.testing.assert_close(weights.sum(-1), valid[:, None, :].expand(2, 3, 7).double())
    assert (weights[..., ~Causal().mask(7)] == 0).all()
    assert (weights[1, :, :, 4:] == 0).all()


def test_equal_scores_give_the_mean():
    v = torch.tensor([1.0, 2.0, 6.0]).reshape(1, 1, 3, 1)
    out = reference_attention(torch.zeros_like(v), torch.zeros_like(v), v, Full())
    torch.testing.assert_close(out, torch.full_like(v, 3.0))


def test_one_token_returns_its_value():
    q, k, v = tokens(2, 3, 1, 5)
    assert torch.equal(reference_attention(q, k, v, Full()), v)


def test_masks_may_name_heads_and_clips():
    q, k, v = tokens(2, 2, 5, 3)
    per_head = PerHead((Full(), Causal()))
    out = reference_attention(q, k, v, per_head)
    torch.testing.assert_close(out[:, 1], reference_attention(q, k, v, Causal())[:, 1])
    torch.testing.assert_close(out[:, 0], full_attention(q, k, v)[:, 0])
    full_size = per_head.mask(5).expand(2, 2, 5, 5)
    assert torch.equal(out, reference_attention(q, k, v, full_size))


def test_half_precision_is_computed_in_float32():
    q, k, v = tokens(1, 2, 11, 5, dtype=torch.float32)
    weights = reference_weights(q.bfloat16(), k.bfloat16(), Full())
    assert weights.dtype == torch.float32
    assert reference_attention(q.half(), k.half(), v.half(), Full()).dtype == torch.float16


def test_padded_clip_is_all_zeros():
    q, k, v = tokens(2, 1, 3, 5)
    valid = torch.tensor([[False] * 3, [True] * 3])
    out = reference_attention(q.requires_grad_(), k, v, Full(), valid_mask=valid)
    assert (out[0] == 0).all()
    out.sum().backward()
    assert q.grad.isfinite().all()


def test_an_empty_row_is_an_error_that_names_it():
    q, k, v = tokens(1, 1, 3, 5)
    with pytest.raises(ArgumentError, match=r"mask must be .*nothing in row 0 \(clip 0, head 0\)"):
        reference_attention(q, k, v, ~SlidingWindow(5))
    lonely = torch.tensor([[True, False, False]])
    with pytest.raises(ArgumentError, match="row 0"):
        reference_attention(q, k, v, ~SlidingWindow(1), valid_mask=lonely)


@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_input_is_named():
    q, k, v = tokens(2, 1, 3, 5)
    with pytest.raises(ArgumentError, match=r"k must be .*\(2, 1, 3, 5\).*got \(2, 1, 2, 5\)"):
        reference_attention(q, k[:, :, :2], v, Full())
    with pytest.raises(ArgumentError, match=r"mask must be of dtype torch\.bool"):
        reference_attention(q, k, v, torch.ones(3, 3))
    with pytest.raises(ArgumentError, match=r"mask must be broadcastable .*got \(4, 4\)"):
        reference_attention(q, k, v, torch.ones(4, 4, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"valid_mask must be of shape .*got \(2, 4\)"):
        reference_attention(q, k, v, Full(), valid_mask=torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ArgumentError, match="valid_mask must be of dtype"):
        reference_attention(q, k, v, Full(), valid_mask=torch.ones(2, 3))
