"""Folded attention: what folding means, limits of one frame or one place, split heads, and complaints."""

import pytest
import torch

from vtlearn.attention import (
    FullAttention,
    MultiHeadAttention,
    SameFrame,
    SamePlace,
    SpaceAttention,
    SplitHeadsAttention,
    TimeAttention,
    reference_attention,
    space_attention,
    split_heads_attention,
    time_attention,
)
from vtlearn.errors import ArgumentError
from vtlearn.shapes import TokenGrid


def tokens(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(3)]


def test_folding_equals_the_pattern_on_the_flat_sequence():
    q, k, v = tokens(2, 3, 5, 7, 11)
    flat = [x.flatten(2, 3) for x in (q, k, v)]
    grid = TokenGrid(5, 7, 1)
    over_time = reference_attention(*flat, SamePlace(grid)).unflatten(2, (5, 7))
    over_space = reference_attention(*flat, SameFrame(grid)).unflatten(2, (5, 7))
    torch.testing.assert_close(time_attention(q, k, v), over_time)
    torch.testing.assert_close(space_attention(q, k, v), over_space)


def test_one_frame_makes_time_attention_return_its_values():
    q, k, v = tokens(2, 3, 1, 7, 11)
    torch.testing.assert_close(time_attention(q, k, v), v)
    q, k, v = tokens(2, 3, 5, 1, 11)
    torch.testing.assert_close(space_attention(q, k, v), v)


def test_time_attention_does_not_mix_places_nor_space_attention_frames():
    q, k, v = tokens(1, 1, 5, 7, 3)
    v.requires_grad_()
    time_attention(q, k, v)[0, 0, 2, 3].sum().backward()
    touched = v.grad[0, 0].any(-1).nonzero()
    assert (touched[:, 1] == 3).all()
    assert len(touched) == 5
    v.grad = None
    space_attention(q, k, v)[0, 0, 2, 3].sum().backward()
    touched = v.grad[0, 0].any(-1).nonzero()
    assert (touched[:, 0] == 2).all()
    assert len(touched) == 7


def test_split_heads_give_time_first():
    q, k, v = tokens(2, 4, 5, 7, 3)
    out = split_heads_attention(q, k, v)
    torch.testing.assert_close(out[:, :2], time_attention(q[:, :2], k[:, :2], v[:, :2]))
    torch.testing.assert_close(out[:, 2:], space_attention(q[:, 2:], k[:, 2:], v[:, 2:]))


def test_frames_may_vary_from_call_to_call():
    module = MultiHeadAttention(6, 2, kernel=TimeAttention(tokens_per_frame=7)).double()
    x = torch.randn(2, 35, 6, dtype=torch.float64)
    one = torch.randn(2, 7, 6, dtype=torch.float64)
    assert module(x).shape == x.shape
    value = module.qkv(one)[..., 12:]
    torch.testing.assert_close(module(one), module.proj(value))


@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_input_is_named():
    q = torch.zeros(1, 3, 5, 7, 2)
    with pytest.raises(ArgumentError, match=r"num_heads must be even.*got 3"):
        split_heads_attention(q, q, q)
    with pytest.raises(ArgumentError, match=r"q must be of shape \(B, heads, t, s, d\), got \(1, 3, 5, 7\)"):
        time_attention(q[..., 0], q[..., 0], q[..., 0])
    with pytest.raises(ArgumentError, match=r"k must be of q's shape .*got \(1, 3, 4, 7, 2\)"):
        space_attention(q, q[:, :, :4], q)
    with pytest.raises(ArgumentError, match=r"num_tokens must be a multiple of tokens_per_frame = 7, got 34"):
        TimeAttention(7)(*(torch.zeros(1, 2, 34, 2),) * 3)
    with pytest.raises(ArgumentError, match=r"tokens_per_frame must be a positive integer, got 0"):
        SpaceAttention(0)
    with pytest.raises(ArgumentError, match=r"num_heads.*got 3"):
        SplitHeadsAttention(7, num_heads=3)
    with pytest.raises(ArgumentError, match=r"num_heads must be the kernel's 4, got 2"):
        SplitHeadsAttention(7, num_heads=4)(*(torch.zeros(1, 2, 35, 2),) * 3)


def test_full_attention_over_one_frame_is_space_attention():
    q, k, v = tokens(2, 2, 1, 7, 3)
    flat = [x.flatten(2, 3) for x in (q, k, v)]
    torch.testing.assert_close(space_attention(q, k, v).flatten(2, 3), FullAttention()(*flat))
