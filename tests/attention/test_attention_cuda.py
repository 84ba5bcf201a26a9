"""The GPU's paths: what can be checked anywhere (masks, merging, values), and the rest on a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlearn.attention import (
    Causal,
    Dilated,
    SlidingWindow,
    SlidingWindowAttention,
    reference_attention,
    sliding_window_attention,
)
from vtlearn.attention.kernel import open_global
from vtlearn.attention.sliding_window_cuda import (
    BLOCK,
    flex_window_attention,
    join_by_log_sum,
    window_block_indices,
    window_block_mask,
)
from vtlearn.attention.sliding_window_dense import dense_window_attention


def tokens(*shape, seed=0, count=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=dtype) for _ in range(count)]


def coin(*shape, seed, share):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < share


@settings(max_examples=60, deadline=None, derandomize=True)
@given(length=st.integers(1, 90), reach=st.integers(0, 100), causal=st.booleans(), block=st.integers(1, 16))
def test_block_indices_are_those_of_the_mask(length, reach, causal, block):
    reach = min(reach, length - 1)
    counts, indices, full_counts, full_indices = window_block_indices(
        length, reach, causal=causal, block=block
    )
    window = SlidingWindow(2 * reach + 1)
    mask = (window & Causal() if causal else window).mask(length)
    rows = -(-length // block)
    for row in range(rows):
        queries = slice(row * block, (row + 1) * block)
        tiles = [mask[queries, column * block : (column + 1) * block] for column in range(rows)]
        touched = {column for column, tile in enumerate(tiles) if tile.any()}
        whole = {c for c, tile in enumerate(tiles) if tile.numel() == block * block and tile.all()}
        partly = set(indices[row, : counts[row]].tolist())
        full = set(full_indices[row, : full_counts[row]].tolist())
        assert partly | full == touched
        assert full == whole
        assert not partly & full


@pytest.mark.parametrize(
    ("length", "reach", "causal"), [(1024, 100, False), (1000, 300, True), (131, 7, False)]
)
def test_block_mask_equals_the_one_made_from_all_pairs(length, reach, causal):
    from torch.nn.attention.flex_attention import create_block_mask

    ours = window_block_mask(length, reach, causal, "cpu")
    window = SlidingWindow(2 * reach + 1)
    rule = (window & Causal() if causal else window).mask_mod()
    theirs = create_block_mask(rule, None, None, length, length, device="cpu", BLOCK_SIZE=BLOCK)
    assert torch.equal(ours.to_dense(), theirs.to_dense())
    assert ours.sparsity() == pytest.approx(theirs.sparsity())
    assert window_block_mask(length, reach, causal, "cpu") is ours


def test_joining_two_sets_of_keys_is_attending_to_both():
    q, k, v = tokens(2, 3, 13, 5)
    scores = q @ k.mT / 5**0.5
    first, second = scores[..., :4], scores[..., 4:]
    parts = [
        (x.softmax(-1) @ v[:, :, s], x.logsumexp(-1))
        for x, s in ((first, slice(0, 4)), (second, slice(4, 13)))
    ]
    torch.testing.assert_close(join_by_log_sum(*parts[0], *parts[1]), scores.softmax(-1) @ v)
    nothing = torch.full_like(parts[0][1], -torch.inf)
    undefined = torch.full_like(v, torch.nan)
    torch.testing.assert_close(join_by_log_sum(*parts[0], undefined, nothing), parts[0][0])
    assert (join_by_log_sum(undefined, nothing, undefined, nothing) == 0).all()


def expected_output(inputs, steps, reach, causal, is_global, valid):
    q, k, v, *own = inputs
    length = q.shape[2]
    window = Dilated(2 * reach + 1, steps)
    real = None if is_global is None else is_global & valid
    allowed = open_global((window & Causal() if causal else window).mask(length), real)
    local = reference_attention(q, k, v, allowed, valid_mask=valid)
    if not own or real is None:
        return local
    rows = reference_attention(*own, torch.ones(1, 1, dtype=torch.bool), valid_mask=valid)
    return torch.where(real[:, None, :, None], rows, local)


CASES = {
    "plain": ((1, 1), False, False, 3),
    "causal": ((1, 1), True, False, 3),
    "dilated per head": ((1, 3), False, False, 3),
    "global": ((1, 1), False, True, 3),
    "global with own projections, dilated, causal": ((2, 1), True, True, 6),
}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("path", ["flex", "dense"])
def test_paths_equal_the_reference_where_nothing_is_compiled(name, path):
    from torch.nn.attention.flex_attention import flex_attention

    steps, causal, with_global, count = CASES[name]
    inputs = tokens(2, 2, 137, 16, count=count, dtype=torch.float32)
    valid = torch.ones(2, 137, dtype=torch.bool)
    valid[1, 101:] = False
    is_global = None
    if with_global:
        is_global = coin(2, 137, seed=1, share=0.03)
        is_global[0] = False  # a clip without any
        is_global[1, 5] = True
    own = tuple(inputs[3:]) or None
    rule = (*inputs[:3], own, 7, steps, causal, is_global, valid)
    out = (
        dense_window_attention(*rule)
        if path == "dense"
        else flex_window_attention(*rule, flex=flex_attention)
    )
    expected = expected_output(inputs, steps, 7, causal, is_global, valid)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("unchecked_shapes")
def test_dilation_never_hands_flex_a_short_sequence():
    """A strongly dilated window's interleaved sequences are padded to a block; the result stays."""
    from torch.nn.attention.flex_attention import flex_attention

    lengths = []

    def seen(q, *rest, **options):
        lengths.append(q.shape[2])
        return flex_attention(q, *rest, **options)

    inputs = tokens(1, 2, 533, 16, dtype=torch.float32)
    out = flex_window_attention(*inputs, None, 3, (1, 29), False, None, None, flex=seen)
    assert lengths == [533, BLOCK]
    torch.testing.assert_close(out, reference_attention(*inputs, Dilated(7, (1, 29))), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("unchecked_shapes")
def test_dense_path_trains():
    inputs = [x.requires_grad_() for x in tokens(2, 2, 41, 5, count=6)]
    valid, is_global = coin(2, 41, seed=2, share=0.8), coin(2, 41, seed=3, share=0.1)
    out = dense_window_attention(*inputs[:3], tuple(inputs[3:]), 4, (1, 2), False, is_global, valid)
    by_tiles = SlidingWindowAttention(9, (1, 2))(
        *inputs[:3], global_mask=is_global, valid_mask=valid, global_projections=tuple(inputs[3:])
    )
    torch.testing.assert_close(out, by_tiles)
    grads = torch.autograd.grad(out.pow(2).sum(), inputs)
    for grad, want in zip(grads, torch.autograd.grad(by_tiles.pow(2).sum(), inputs), strict=True):
        torch.testing.assert_close(grad, want)


@pytest.mark.gpu
@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("length", [257, 1021])
@pytest.mark.parametrize("name", CASES)
def test_on_a_gpu_values_and_gradients_equal_the_cpu(name, length):
    steps, causal, with_global, count = CASES[name]
    inputs = [x.requires_grad_() for x in tokens(2, 2, length, 32, count=count, dtype=torch.float32)]
    valid = torch.ones(2, length, dtype=torch.bool)
    valid[1, length - 31 :] = False
    is_global = coin(2, length, seed=1, share=0.01) if with_global else None
    results = []
    for device in ("cpu", "cuda"):
        moved = [x.detach().to(device).requires_grad_() for x in inputs]
        out = sliding_window_attention(
            *moved[:3],
            window_size=63,
            dilation=steps,
            causal=causal,
            global_mask=None if is_global is None else is_global.to(device),
            valid_mask=valid.to(device),
            global_projections=tuple(moved[3:]) or None,
        )
        grads = torch.autograd.grad(out.pow(2).sum(), moved, allow_unused=True, materialize_grads=True)
        results.append([x.cpu() for x in (out, *grads)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(theirs, mine, rtol=2e-3, atol=2e-3)


@pytest.mark.gpu
@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("length", [17, 300, 1500])
def test_on_a_gpu_half_precision_is_finite_and_near(dtype, length):
    inputs = [x.cuda() for x in tokens(2, 3, length, 64, dtype=torch.float32)]
    halves = [x.to(dtype).requires_grad_() for x in inputs]
    out = sliding_window_attention(*halves, window_size=41)
    exact = sliding_window_attention(*inputs, window_size=41)
    assert (out.float() - exact).abs().max() < 0.05
    out.float().pow(2).sum().backward()
    assert all(x.grad.isfinite().all() for x in halves)


@pytest.mark.gpu
@pytest.mark.usefixtures("unchecked_shapes")
def test_on_a_gpu_memory_grows_with_the_length_not_with_its_square():
    peaks = []
    for length in (8192, 16384):
        inputs = [torch.randn(1, 12, length, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
        sliding_window_attention(*inputs, window_size=129)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        sliding_window_attention(*inputs, window_size=129)
        torch.cuda.synchronize()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 2.5 * peaks[0]
