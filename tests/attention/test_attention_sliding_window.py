"""The sliding window: parity on every shape, limits, global tokens, padding, causality, memory, bad input."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlearn.attention import (
    CausalWindow,
    Dilated,
    SlidingWindow,
    SlidingWindowAttention,
    band_attention,
    band_scores,
    full_attention,
    reference_attention,
    sliding_window,
    sliding_window_attention,
    sliding_window_dense,
    window_products,
)
from vtlearn.attention.kernel import open_global
from vtlearn.errors import ArgumentError


def tokens(*shape, seed=0, count=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for _ in range(count)]


def coin(*shape, seed, share):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < share


def reference_with_projections(kernel, q, k, v, projections, is_global, valid):
    length = q.shape[2]
    real_global = None if is_global is None else (is_global if valid is None else is_global & valid)
    allowed = open_global(kernel.pattern(length).mask(length), real_global)
    local = reference_attention(q, k, v, allowed, valid_mask=valid)
    if projections is None or real_global is None:
        return local
    everyone = torch.ones(1, 1, dtype=torch.bool)
    rows = reference_attention(*projections, everyone, valid_mask=valid)
    return torch.where(real_global[:, None, :, None], rows, local)


def assert_parity(kernel, inputs, is_global=None, valid=None):
    q, k, v, *own = inputs
    projections = tuple(own) if own else None
    probe = torch.randn(q.shape, generator=torch.Generator().manual_seed(99), dtype=q.dtype)
    out = kernel(q, k, v, global_mask=is_global, valid_mask=valid, global_projections=projections)
    expected = reference_with_projections(kernel, q, k, v, projections, is_global, valid)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)
    grads = torch.autograd.grad((out * probe).sum(), inputs, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad((expected * probe).sum(), inputs, allow_unused=True, materialize_grads=True)
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, want, rtol=1e-8, atol=1e-10)


@pytest.fixture(params=[0, 10**9], ids=["tiles", "dense"])
def either_path(request, monkeypatch):
    """The same laws for both ways of computing, whatever the door would choose."""
    monkeypatch.setattr(sliding_window, "SHORTEST_ON_CPU", request.param)
    monkeypatch.setattr(sliding_window, "LONGEST_DENSE", request.param)


@pytest.fixture
def tiles_always(monkeypatch):
    monkeypatch.setattr(sliding_window, "SHORTEST_ON_CPU", 0)
    monkeypatch.setattr(sliding_window, "LONGEST_DENSE", 0)


CASES = {
    "one token": (1, 5, 1, False),
    "two tokens": (2, 5, 1, False),
    "odd length": (37, 7, 1, False),
    "window of one": (23, 1, 1, False),
    "window larger than the clip": (11, 29, 1, False),
    "causal window larger than the clip": (11, 29, 1, True),
    "long, so that blocks are the batch": (331, 11, 1, False),
    "long and causal": (331, 11, 1, True),
    "long, wide": (397, 101, 1, False),
    "longer, small blocks": (557, 11, 1, False),
    "longer, middling blocks": (557, 101, 1, True),
    "long, dilated": (331, 11, 3, False),
    "long, dilated in one head": (331, 11, (1, 3), False),
    "dilated, causal, odd": (101, 5, 7, True),
    "dilation beyond the clip": (13, 5, 17, False),
    "dilation of exactly the clip": (13, 5, 13, False),
}


@pytest.mark.usefixtures("either_path")
@pytest.mark.parametrize("masks", ["none", "global", "several global", "padding", "both", "own projections"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(name, masks):
    length, window, dilation, causal = CASES[name]
    kernel = SlidingWindowAttention(window, dilation, causal)
    is_global = valid = None
    if masks == "global":
        is_global = torch.zeros(2, length, dtype=torch.bool)
        is_global[:, 0] = True
    if masks in ("several global", "both", "own projections"):
        is_global = coin(2, length, seed=1, share=0.04)
        is_global[0, length // 2] = True
    if masks in ("padding", "both", "own projections"):
        valid = coin(2, length, seed=2, share=0.9)
        valid[1, length - length // 5 :] = False
    count = 6 if masks == "own projections" else 3
    assert_parity(kernel, tokens(2, 2, length, 5, count=count), is_global, valid)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 120),
    reach=st.integers(0, 30),
    dilations=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    causal=st.booleans(),
    globals_in_ten=st.integers(0, 10),
    real_in_ten=st.integers(0, 10),
    seed=st.integers(0, 10**6),
    own=st.booleans(),
    tiles=st.booleans(),
)
def test_equals_the_reference_on_any_shape(
    batch, length, reach, dilations, causal, globals_in_ten, real_in_ten, seed, own, tiles
):
    kernel = SlidingWindowAttention(2 * reach + 1, tuple(dilations), causal)
    is_global = coin(batch, length, seed=seed, share=globals_in_ten / 10) if globals_in_ten else None
    valid = coin(batch, length, seed=seed + 1, share=real_in_ten / 10) if real_in_ten < 10 else None
    inputs = tokens(batch, len(dilations), length, 3, seed=seed, count=6 if own else 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliding_window, "SHORTEST_ON_CPU", 0 if tiles else 10**9)
        patch.setattr(sliding_window, "LONGEST_DENSE", 0)
        assert_parity(kernel, inputs, is_global, valid)


def test_tiles_of_any_size_give_the_same(monkeypatch):
    kernel = SlidingWindowAttention(21)
    is_global = torch.zeros(2, 331, dtype=torch.bool)
    is_global[:, [0, 7, 200]] = True
    for size in (1, 3_000, 50_000, 1 << 30):
        monkeypatch.setattr(window_products, "TILE_BYTES", size)
        assert_parity(kernel, tokens(2, 3, 331, 5), is_global)


NARROW = {
    "long": (331, 11, 1, False),
    "longer": (557, 11, 1, False),
    "wide": (397, 101, 1, False),
    "dilated in one head, causal": (331, 11, (1, 3), True),
    "short": (13, 29, 1, False),
    "one token": (1, 5, 1, False),
}


@pytest.mark.usefixtures("tiles_always")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("multiplies", [True, False], ids=["narrow products", "widened first"])
@pytest.mark.parametrize("name", NARROW)
def test_half_precision_tiles_stay_near_the_reference(monkeypatch, name, multiplies, dtype):
    """Values and all gradients against float64, with padding, global tokens and projections of their own."""
    monkeypatch.setattr(window_products, "multiplies_bfloat16", lambda: multiplies)
    length, window, dilation, causal = NARROW[name]
    kernel = SlidingWindowAttention(window, dilation, causal)
    is_global, valid = coin(2, length, seed=1, share=0.02), coin(2, length, seed=2, share=0.9)
    is_global[0, 0], valid[0, 0], valid[1, length // 2] = True, True, True
    halves = [x.detach().to(dtype).requires_grad_() for x in tokens(2, 2, length, 16, count=6)]
    exact = [x.detach().double().requires_grad_() for x in halves]
    masks = {"valid_mask": valid, "global_mask": is_global}
    out = kernel(*halves[:3], **masks, global_projections=tuple(halves[3:]))
    expected = reference_with_projections(kernel, *exact[:3], tuple(exact[3:]), is_global, valid)
    assert out.dtype == dtype
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    options = {"allow_unused": True, "materialize_grads": True}
    grads = torch.autograd.grad((out.double() * probe).sum(), halves, **options)
    wanted = torch.autograd.grad((expected * probe).sum(), exact, **options)
    share = 0.03 if dtype == torch.bfloat16 else 0.004
    for near, want in zip((out, *grads), (expected, *wanted), strict=True):
        assert near.dtype == dtype
        assert (near.double() - want).abs().max() <= share * want.abs().max().clamp(min=1.0)


@pytest.mark.usefixtures("tiles_always")
def test_half_precision_is_multiplied_as_such_only_where_the_processor_can(monkeypatch):
    for multiplies, kept in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(window_products, "multiplies_bfloat16", lambda answer=multiplies: answer)
        assert window_products.product_dtype(torch.bfloat16) == kept
        assert window_products.product_dtype(torch.float16) == torch.float32
        assert window_products.product_dtype(torch.float64) == torch.float64


@pytest.mark.usefixtures("tiles_always")
def test_half_precision_locality_and_dropout():
    """A forbidden key gets a gradient of exactly zero; dropout draws the same numbers in both passes."""
    q, k, v = (x.detach().bfloat16().requires_grad_() for x in tokens(1, 2, 331, 8))
    sliding_window_attention(q, k, v, window_size=21)[0, :, 200].float().sum().backward()
    allowed = SlidingWindow(21).mask(331)[200]
    for grad in (k.grad, v.grad):
        assert (grad[0][:, ~allowed] == 0).all()
    assert (v.grad[0][:, allowed] != 0).all()
    torch.manual_seed(3)
    out = sliding_window_attention(q, k, v, window_size=1, dropout_p=0.25)
    kept = (out != 0).any(-1)
    (grad,) = torch.autograd.grad(out.float().sum(), v)
    assert 0.6 < kept.float().mean() < 0.9
    assert torch.equal((grad != 0).any(-1), kept)


@pytest.mark.parametrize(
    ("length", "window", "by"),
    [
        (299, 1, "kept"),
        (331, 33, "kept"),
        (333, 33, "tiles"),
        (427, 129, "kept"),
        (431, 129, "tiles"),
        (563, 501, "dense"),
        (21, 33, "kept"),
        (21, 41, "full"),
    ],
)
def test_the_door_chooses_by_length_and_reach(monkeypatch, length, window, by):
    taken = []
    doors = {"dense": "dense_window_attention", "kept": "kept_bias_attention"}
    doors |= {"tiles": "window_eagerly", "full": "full_attention"}
    for name, function in doors.items():
        ours = getattr(sliding_window, function)
        monkeypatch.setattr(
            sliding_window, function, lambda *a, n=name, f=ours, **k: taken.append(n) or f(*a, **k)
        )
    q, k, v = tokens(1, 1, length, 3)
    out = sliding_window_attention(q, k, v, window_size=window)
    assert taken == [by]
    torch.testing.assert_close(out, reference_attention(q, k, v, SlidingWindow(window)))


@pytest.mark.usefixtures("tiles_always")
def test_many_global_tokens():
    """More than half a block of them: the hidden columns of a block no longer hold their scores."""
    kernel = SlidingWindowAttention(9)
    assert_parity(kernel, tokens(2, 2, 307, 5), coin(2, 307, seed=3, share=0.3))
    everyone = torch.ones(2, 31, dtype=torch.bool)
    q, k, v = tokens(2, 2, 31, 5)
    out = sliding_window_attention(q, k, v, window_size=3, global_mask=everyone)
    torch.testing.assert_close(out, full_attention(q, k, v))


@pytest.mark.usefixtures("tiles_always")
@pytest.mark.parametrize("length", [41, 331])
def test_strided_inputs_and_gradients(length):
    fused = torch.randn(2, length, 3, 2, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    views = [part.requires_grad_() for part in fused.permute(2, 0, 3, 1, 4).unbind(0)]
    assert_parity(SlidingWindowAttention(11), views)
    last_axis_strided = [x.detach()[..., ::2].requires_grad_() for x in tokens(2, 2, length, 10)]
    assert_parity(SlidingWindowAttention(11, (1, 2)), last_axis_strided)
    expanded = torch.randn(1, 1, length, 5, dtype=torch.float64).expand(2, 2, -1, -1)
    inputs = [expanded.detach().requires_grad_() for _ in range(3)]
    assert_parity(SlidingWindowAttention(11), inputs)
    q, k, v = tokens(2, 2, length, 5)
    out = sliding_window_attention(q, k, v, window_size=11)
    (expected,) = torch.autograd.grad(out.sum(), v, retain_graph=True)  # an upstream gradient without memory
    (plain,) = torch.autograd.grad(out, v, torch.ones_like(out))
    torch.testing.assert_close(expected, plain)


@pytest.mark.usefixtures("either_path")
def test_window_that_covers_everything_is_full_attention():
    q, k, v = tokens(2, 3, 53, 7)
    for window in (105, 107, 1001):
        torch.testing.assert_close(
            sliding_window_attention(q, k, v, window_size=window), full_attention(q, k, v)
        )
    valid = coin(2, 53, seed=4, share=0.7)
    torch.testing.assert_close(
        sliding_window_attention(q, k, v, window_size=105, valid_mask=valid),
        full_attention(q, k, v, valid_mask=valid),
    )


@pytest.mark.usefixtures("tiles_always")
def test_dilation_of_one_is_the_plain_window():
    q, k, v = tokens(2, 3, 53, 7)
    plain = sliding_window_attention(q, k, v, window_size=7)
    assert torch.equal(sliding_window_attention(q, k, v, window_size=7, dilation=(1, 1, 1)), plain)
    third = sliding_window_attention(q, k, v, window_size=7, dilation=(1, 1, 3))
    torch.testing.assert_close(third[:, :2], plain[:, :2])
    assert not torch.allclose(third[:, 2], plain[:, 2])


@pytest.mark.usefixtures("either_path")
def test_a_global_key_inside_the_window_counts_once():
    """All scores equal: the output is the mean over a set of keys, so counting one twice would show."""
    v = torch.arange(1.0, 12.0, dtype=torch.float64).reshape(1, 1, 11, 1)
    zeros = torch.zeros_like(v)
    is_global = torch.zeros(1, 11, dtype=torch.bool)
    is_global[0, 3] = True
    out = sliding_window_attention(zeros, zeros, v, window_size=3, global_mask=is_global).flatten()
    assert out[2].item() == pytest.approx((2 + 3 + 4) / 3)  # position 3 lies in the window already
    assert out[7].item() == pytest.approx((7 + 8 + 9 + 4) / 4)
    assert out[3].item() == pytest.approx(6)  # reads everything


@pytest.mark.usefixtures("either_path")
def test_padding_is_no_key_and_comes_out_as_zeros():
    q, k, v = tokens(2, 2, 53, 5)
    valid = torch.ones(2, 53, dtype=torch.bool)
    valid[0, 40:] = False
    is_global = torch.zeros(2, 53, dtype=torch.bool)
    is_global[:, [0, 45]] = True  # 45 is padding in the first clip, and stays padding
    out = sliding_window_attention(q, k, v, window_size=9, global_mask=is_global, valid_mask=valid)
    assert (out[0, :, 40:] == 0).all()
    alone = sliding_window_attention(
        *(x[:1, :, :40] for x in (q, k, v)), window_size=9, global_mask=is_global[:1, :40]
    )
    torch.testing.assert_close(out[:1, :, :40], alone)
    loud = [torch.where(valid[:, None, :, None], x, 1e6) for x in (q, k, v)]
    louder = sliding_window_attention(*loud, window_size=9, global_mask=is_global, valid_mask=valid)
    assert torch.equal(louder, out)


@pytest.mark.usefixtures("either_path")
def test_a_clip_of_padding_alone_gives_zeros_and_finite_gradients():
    q, k, v = tokens(2, 2, 53, 5)
    valid = torch.zeros(2, 53, dtype=torch.bool)
    valid[1] = True
    for kernel in (
        SlidingWindowAttention(9),
        SlidingWindowAttention(999),
        SlidingWindowAttention(9, 2, True),
    ):
        out = kernel(q, k, v, valid_mask=valid)
        assert (out[0] == 0).all()
        for grad in torch.autograd.grad(out.pow(2).sum(), (q, k, v)):
            assert grad.isfinite().all()
            assert (grad[0] == 0).all()


@pytest.mark.usefixtures("tiles_always")
@pytest.mark.parametrize("length", [43, 331])
def test_locality(length):
    """The gradient to a key that no rule lets in is exactly zero; to the others it is not."""
    is_global = torch.zeros(1, length, dtype=torch.bool)
    is_global[0, 5] = True
    valid = torch.ones(1, length, dtype=torch.bool)
    valid[0, length - 4] = False
    for kernel in (
        SlidingWindowAttention(9),
        SlidingWindowAttention(9, (1, 3)),
        SlidingWindowAttention(9, 2, causal=True),
    ):
        allowed = open_global(kernel.pattern(length).mask(length), is_global) & valid[:, None, None, :]
        allowed = allowed.expand(1, 2, length, length)
        for row in (0, 5, 20, length - 1):
            q, k, v = tokens(1, 2, length, 3)
            kernel(q, k, v, global_mask=is_global, valid_mask=valid)[0, :, row].sum().backward()
            for head in range(2):
                forbidden = ~allowed[0, head, row]
                assert (k.grad[0, head, forbidden] == 0).all()
                assert (v.grad[0, head, forbidden] == 0).all()
                assert (v.grad[0, head, ~forbidden] != 0).all()


@pytest.mark.usefixtures("tiles_always")
def test_causal_window_never_looks_ahead():
    q, k, v = tokens(1, 2, 331, 3)
    out = sliding_window_attention(q, k, v, window_size=21, causal=True)
    changed = [torch.cat([x[:, :, :200], x[:, :, 200:] + 7.0], 2) for x in (q, k, v)]
    later = sliding_window_attention(*changed, window_size=21, causal=True)
    assert torch.equal(later[:, :, :200], out[:, :, :200])
    assert not torch.equal(later[:, :, 200:], out[:, :, 200:])
    torch.testing.assert_close(out, reference_attention(q, k, v, CausalWindow(21)))


@pytest.mark.usefixtures("tiles_always")
def test_shifting_the_sequence_shifts_the_output():
    q, k, v = tokens(1, 2, 211, 3)
    out = sliding_window_attention(q, k, v, window_size=9)
    shifted = sliding_window_attention(*(x.roll(13, 2) for x in (q, k, v)), window_size=9)
    torch.testing.assert_close(shifted[:, :, 13 + 4 : -4], out[:, :, 4 : -13 - 4])


@pytest.mark.usefixtures("tiles_always")
def test_global_tokens_may_read_through_projections_of_their_own():
    q, k, v, *own = tokens(2, 2, 61, 5, count=6)
    is_global = torch.zeros(2, 61, dtype=torch.bool)
    is_global[0, [0, 9]] = True
    plain = sliding_window_attention(q, k, v, window_size=5, global_mask=is_global)
    through_own = sliding_window_attention(
        q, k, v, window_size=5, global_mask=is_global, global_projections=tuple(own)
    )
    same = (plain == through_own).all(-1).all(1)
    assert torch.equal(~same, is_global)
    torch.testing.assert_close(through_own[0, :, [0, 9]], full_attention(*own)[0, :, [0, 9]])


def test_band_scores_are_the_dense_scores_laid_out_in_columns():
    q, k, v = tokens(2, 2, 23, 5)
    dense = q @ k.mT / 5**0.5
    for window, dilation, causal in itertools.product((1, 5, 51), ((1, 1), (1, 3)), (False, True)):
        band = band_scores(q, k, window_size=window, dilation=dilation, causal=causal)
        reach = window // 2
        assert band.shape == (2, 2, 23, reach + 1 if causal else window)
        for head, row, column in itertools.product(range(2), (0, 7, 22), range(band.shape[-1])):
            key = row + dilation[head] * (column - reach)
            expected = dense[:, head, row, key] if 0 <= key < 23 else torch.full((2,), -torch.inf).double()
            torch.testing.assert_close(band[:, head, row, column], expected)
        if not causal:
            out = band_attention(band, v, dilation=dilation)
            expected = reference_attention(q, k, v, Dilated(window, dilation))
            torch.testing.assert_close(out, expected)


def test_nothing_of_quadratic_size_is_made():
    """Every tensor made on the way, forward and backward, is smaller than an eighth of the table of pairs."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in torch.utils._pytree.tree_leaves(out):
                if isinstance(x, torch.Tensor):
                    self.size = max(self.size, x.untyped_storage().nbytes() // x.itemsize)
            return out

    length = 4096
    q, k, v = tokens(1, 1, length, 8, dtype=torch.float32)
    is_global = torch.zeros(1, length, dtype=torch.bool)
    is_global[0, 0] = True
    largest = Largest()
    with largest:
        sliding_window_attention(q, k, v, window_size=33, global_mask=is_global).sum().backward()
    assert largest.size < length**2 / 8


def test_dropout_leaves_what_is_not_dropped_in_place():
    """What survives is scaled by 1 / (1 − p); with one key in the window a token is kept or lost."""
    v = torch.ones(1, 2, 331, 1, dtype=torch.float64)
    torch.manual_seed(0)
    out = sliding_window_attention(v, v, v, window_size=1, dropout_p=0.2)
    assert set(out.flatten().tolist()) == {0.0, 1.25}
    assert 0.7 < (out > 0).double().mean() < 0.9


@pytest.mark.usefixtures("tiles_always")
@pytest.mark.parametrize("length", [13, 89])
def test_gradients_by_finite_differences(length):
    is_global = torch.zeros(1, length, dtype=torch.bool)
    is_global[0, [1, 4]] = True
    valid = torch.ones(1, length, dtype=torch.bool)
    valid[0, -2:] = False

    def attend(*inputs):
        return sliding_window_attention(
            *inputs[:3],
            window_size=5,
            dilation=(1, 2),
            global_mask=is_global,
            valid_mask=valid,
            global_projections=inputs[3:],
        )

    assert torch.autograd.gradcheck(attend, tokens(1, 2, length, 1, count=6), fast_mode=True)


@pytest.mark.usefixtures("tiles_always")
@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("own", [False, True])
def test_compiles_with_masks_without_a_break(own):
    torch._dynamo.reset()
    inputs = tokens(2, 2, 61, 5, count=6 if own else 3)
    is_global, valid = coin(2, 61, seed=1, share=0.1), coin(2, 61, seed=2, share=0.8)

    def attend(*inputs):
        return sliding_window_attention(
            *inputs[:3],
            window_size=9,
            dilation=(1, 2),
            global_mask=is_global,
            valid_mask=valid,
            global_projections=inputs[3:] or None,
        )

    out = torch.compile(attend, fullgraph=True, backend="aot_eager")(*inputs)
    expected = attend(*inputs)
    torch.testing.assert_close(out, expected)
    grads = torch.autograd.grad(out.pow(2).sum(), inputs)
    for grad, want in zip(grads, torch.autograd.grad(expected.pow(2).sum(), inputs), strict=True):
        torch.testing.assert_close(grad, want)


def test_the_compiled_operator_is_sound():
    """Shapes, strides and aliasing of the operator a compiled graph sees are what it promises."""
    from vtlearn.attention.window_operator import _window_operator

    q, k, v = (x.detach().float().requires_grad_() for x in tokens(1, 2, 13, 3))
    is_global = torch.zeros(1, 13, dtype=torch.bool)
    is_global[0, 0] = True
    seed = torch.zeros(1, dtype=torch.int64)
    arguments = (q, k, v, [], is_global, None, 2, [1, 1], False, 0.0, seed)
    torch.library.opcheck(_window_operator, arguments)


BAD = {
    "even window": ({"window_size": 8}, "window_size must be odd.*got 8"),
    "no window": ({"window_size": 0}, "window_size must be a positive integer, got 0"),
    "negative window": ({"window_size": -3}, "window_size.*got -3"),
    "window and a half": ({"window_size": 4.5}, "window_size.*got 4.5"),
    "no dilation": ({"dilation": 0}, "dilation must be a positive integer, got 0"),
    "one bad head": ({"dilation": (1, -2)}, "dilation.*got -2"),
    "too many heads": ({"dilation": (1, 2, 3)}, r"dilation.*2 heads.*got \(1, 2, 3\)"),
    "too many equal heads": ({"dilation": (2, 2, 2)}, r"dilation.*2 heads.*got \(2, 2, 2\)"),
    "integer global mask": (
        {"global_mask": torch.ones(3, 5, dtype=torch.long)},
        r"global_mask must be of dtype torch.bool, got torch.int64",
    ),
    "global mask of one clip": (
        {"global_mask": torch.ones(1, 5, dtype=torch.bool)},
        r"global_mask must be of shape \(B, N\) = \(3, 5\), got \(1, 5\)",
    ),
    "valid mask of heads": (
        {"valid_mask": torch.ones(3, 2, 5, dtype=torch.bool)},
        r"valid_mask must be of shape \(B, N\) = \(3, 5\), got \(3, 2, 5\)",
    ),
    "projections of other length": (
        {"global_projections": (torch.zeros(3, 2, 4, 3),) * 3},
        r"global_q must be of q's shape \(3, 2, 5, 3\), got \(3, 2, 4, 3\)",
    ),
    "dropout of everything": ({"dropout_p": 1.0}, r"dropout_p must be in \[0, 1\), got 1.0"),
}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    change, message = BAD[name]
    q = torch.zeros(3, 2, 5, 3)
    with pytest.raises(ArgumentError, match=message):
        sliding_window_attention(q, q, q, **{"window_size": 3} | change)


def test_a_kernel_object_complains_when_made():
    with pytest.raises(ArgumentError, match="window_size"):
        SlidingWindowAttention(4)
    with pytest.raises(ArgumentError, match="dilation"):
        SlidingWindowAttention(5, dilation=(1, 0))
    assert SlidingWindowAttention(5, dilation=[1, 2]) == SlidingWindowAttention(5, dilation=(1, 2))
    assert SlidingWindow(5).mask(9).equal(SlidingWindowAttention(5).pattern(9).mask(9))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kernel", [SlidingWindowAttention(7), SlidingWindowAttention(5, (1, 2), True)])
def test_products_in_one_table_give_what_the_reference_gives(monkeypatch, kernel, padded):
    """The way of a bfloat16 forward pass, tried in double precision."""
    monkeypatch.setattr(sliding_window_dense, "SHORTEST_IN_PRODUCTS", 0)
    monkeypatch.setattr(sliding_window_dense, "forward_in_products", lambda *_: True)
    inputs = [x.detach() for x in tokens(3, 2, 23, 5, count=6)]
    is_global = coin(3, 23, seed=1, share=0.1)
    valid = torch.arange(23) < torch.tensor([[23], [17], [0]]) if padded else None
    out = kernel(*inputs[:3], global_mask=is_global, valid_mask=valid, global_projections=tuple(inputs[3:]))
    expected = reference_with_projections(kernel, *inputs[:3], tuple(inputs[3:]), is_global, valid)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)


def test_bfloat16_is_near_double_precision_with_and_without_gradients():
    """Forward alone may take another way than training; both are as near as bfloat16 allows."""
    q, k, v = (x.detach() for x in tokens(1, 2, 101, 16))
    is_global = torch.arange(101)[None] == 3
    expected = sliding_window_attention(q, k, v, window_size=19, global_mask=is_global)
    halves = [x.bfloat16() for x in (q, k, v)]
    with torch.no_grad():
        alone = sliding_window_attention(*halves, window_size=19, global_mask=is_global)
    trained = sliding_window_attention(
        *(x.requires_grad_() for x in halves), window_size=19, global_mask=is_global
    )
    trained.float().sum().backward()
    assert alone.dtype == trained.dtype == torch.bfloat16
    for out in (alone, trained.detach()):
        torch.testing.assert_close(out.double(), expected, rtol=0.02, atol=0.03)
