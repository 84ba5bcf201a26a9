"""Bands of queries: parity with the reference, when they are chosen, and what a kept bias may not do."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from vtlearn.attention import (
    CausalWindow,
    SlidingWindow,
    reference_attention,
    sliding_window,
    sliding_window_attention,
    sliding_window_dense,
)
from vtlearn.attention.kernel import open_global
from vtlearn.attention.sliding_window_bands import band_window_attention, shared_globals


def tokens(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=dtype) for _ in range(3)]


def expected(q, k, v, rule, global_tokens=(), projections=None):
    length = q.shape[2]
    is_global = torch.zeros(q.shape[0], length, dtype=torch.bool)
    is_global[:, list(global_tokens)] = True
    local = reference_attention(q, k, v, open_global(rule.mask(length), is_global))
    if projections is None:
        return local
    rows = reference_attention(*projections, torch.ones(1, 1, dtype=torch.bool))
    return torch.where(is_global[:, None, :, None], rows, local)


@pytest.mark.parametrize("rows", [7, 19, 53, 64])
@pytest.mark.parametrize("global_tokens", [(), (0,), (0, 13, 14, 52), (31,)])
@pytest.mark.parametrize("own", [False, True])
def test_values_and_gradients_equal_the_reference(rows, global_tokens, own):
    q, k, v = (x.requires_grad_() for x in tokens(2, 3, 53, 5))
    projections = tuple(x.requires_grad_() for x in tokens(2, 3, 53, 5, seed=1)) if own else None
    rule = SlidingWindow(11)
    out = band_window_attention(q, k, v, projections, 5, 5, global_tokens, rows)
    want = expected(q, k, v, rule, global_tokens, projections)
    torch.testing.assert_close(out, want, rtol=1e-9, atol=1e-11)
    inputs = [q, k, v, *(projections or ())]
    probe = torch.randn(q.shape, dtype=q.dtype, generator=torch.Generator().manual_seed(9))
    found = torch.autograd.grad((out * probe).sum(), inputs, materialize_grads=True, allow_unused=True)
    wanted = torch.autograd.grad((want * probe).sum(), inputs, materialize_grads=True, allow_unused=True)
    for grad, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(grad, right, rtol=1e-8, atol=1e-10)


def test_the_future_is_hidden():
    q, k, v = tokens(1, 2, 41, 3)
    out = band_window_attention(q, k, v, None, 6, 0, (), 8)
    torch.testing.assert_close(out, expected(q, k, v, CausalWindow(13)))


@pytest.mark.parametrize(
    ("length", "reach", "trains", "in_bands"),
    [
        (257, 16, False, True),
        (257, 16, True, True),
        (257, 64, False, True),
        (257, 64, True, False),
        (1021, 16, False, True),
        (1031, 16, False, False),
        (1021, 16, True, False),
    ],
)
@pytest.mark.parametrize("causal", [False, True])
def test_the_door_takes_them_where_they_are_fastest(length, reach, trains, in_bands, causal, monkeypatch):
    q, k, v = (x.requires_grad_(trains) for x in tokens(1, 2, length, 3, dtype=torch.float32))
    is_global = torch.zeros(1, length, dtype=torch.bool)
    is_global[0, [0, 100]] = True
    taken = []

    def seen(*arguments):
        taken.append(True)
        return band_window_attention(*arguments)

    monkeypatch.setattr(sliding_window, "band_window_attention", seen)
    out = sliding_window_attention(q, k, v, window_size=2 * reach + 1, global_mask=is_global, causal=causal)
    if not (causal and trains and reach == 64):  # half as many keys: bands again
        assert bool(taken) == in_bands
    rule = CausalWindow(2 * reach + 1) if causal else SlidingWindow(2 * reach + 1)
    torch.testing.assert_close(out, expected(q, k, v, rule, (0, 100)), rtol=1e-4, atol=1e-5)


def test_clips_with_global_tokens_of_their_own_go_another_way():
    is_global = torch.zeros(2, 9, dtype=torch.bool)
    assert shared_globals(is_global) == ()
    is_global[:, 4] = True
    assert shared_globals(is_global) == (4,)
    is_global[1, 5] = True
    assert shared_globals(is_global) is None
    assert shared_globals(torch.ones(1, 99, dtype=torch.bool)) is None
    assert shared_globals(None) == ()


def test_clips_with_global_tokens_of_their_own_are_right():
    q, k, v = tokens(2, 3, 257, 3, dtype=torch.float32)
    is_global = torch.zeros(2, 257, dtype=torch.bool)
    is_global[0, 3] = is_global[1, 200] = True
    out = sliding_window_attention(q, k, v, window_size=33, global_mask=is_global)
    allowed = open_global(SlidingWindow(33).mask(257), is_global)
    torch.testing.assert_close(out, reference_attention(q, k, v, allowed), rtol=1e-4, atol=1e-5)


def test_a_kept_bias_is_free_of_the_place_that_made_it():
    sliding_window_dense._window_bias.cache_clear()
    q, k, v = tokens(1, 2, 37, 3, dtype=torch.float32)
    want = expected(q, k, v, SlidingWindow(5))

    def total(x):
        return sliding_window_attention(x, k, v, window_size=5).sum()

    slope = torch.func.grad(total)(q)
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(x) for x in (q, k, v)]
        assert sliding_window_attention(*fakes, window_size=7).shape == q.shape
        assert sliding_window_attention(*fakes, window_size=5).shape == q.shape
    with torch.device("meta"):
        sliding_window_attention(q, k, v, window_size=9)
    torch.testing.assert_close(sliding_window_attention(q, k, v, window_size=5), want)
    q.requires_grad_()
    total(q).backward()
    torch.testing.assert_close(q.grad, slope)
    for size in (7, 9):
        out = sliding_window_attention(q, k, v, window_size=size)
        torch.testing.assert_close(out, expected(q, k, v, SlidingWindow(size)))


def test_a_kept_bias_survives_inference_mode():
    """One made under inference mode could not be used in training afterwards."""
    sliding_window_dense._window_bias.cache_clear()
    q, k, v = tokens(1, 2, 37, 3, dtype=torch.float32)
    with torch.inference_mode():
        sliding_window_attention(q, k, v, window_size=5)
    q.requires_grad_()
    sliding_window_attention(q, k, v, window_size=5).sum().backward()
    assert q.grad is not None
