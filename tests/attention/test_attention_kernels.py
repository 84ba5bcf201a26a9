"""Every kernel of the family: output and gradients equal the reference under its pattern, nothing leaks."""

import copy

import pytest
import torch

from vtlearn.attention import (
    FullAttention,
    MultiHeadAttention,
    SlidingWindowAttention,
    dense_attention,
    full,
    full_attention,
    kernel_family,
    reference_attention,
)
from vtlearn.attention.kernel import open_global
from vtlearn.attention.patterns import Causal, Full, SlidingWindow
from vtlearn.errors import ArgumentError
from vtlearn.shapes import TokenGrid

GRID = TokenGrid(5, 1, 7)
HEADS = 2
FAMILY = kernel_family(GRID, num_heads=HEADS)
LEARNED = {name: kernel for name, kernel in FAMILY.items() if not name.startswith("uniform")}


def tokens(*shape, seed=0, count=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for _ in range(count)]


def outputs_and_gradients(function, inputs):
    out = function(*inputs)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(99), dtype=out.dtype)
    gradients = torch.autograd.grad((out * probe).sum(), inputs, allow_unused=True, materialize_grads=True)
    return out.detach(), *gradients


def assert_parity(kernel, inputs, *, valid=None, is_global=None):
    length = inputs[0].shape[2]
    allowed = open_global(kernel.pattern(length).mask(length), is_global)
    masks = {"valid_mask": valid} | ({} if is_global is None else {"global_mask": is_global})
    ours = outputs_and_gradients(lambda q, k, v: kernel(q, k, v, **masks), inputs)
    reference = outputs_and_gradients(
        lambda q, k, v: reference_attention(q, k, v, allowed, valid_mask=valid), inputs
    )
    for mine, expected in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", LEARNED)
def test_kernel_equals_the_reference(name):
    assert_parity(FAMILY[name], tokens(3, HEADS, 35, 11))


@pytest.mark.parametrize("name", LEARNED)
def test_kernel_equals_the_reference_with_padding(name):
    valid = torch.rand(3, 35, generator=torch.Generator().manual_seed(5)) < 0.7
    valid[1] = True
    valid[2] = False  # a clip of nothing but padding
    # every query keeps itself as a key, so no row of a real query is empty
    assert_parity(FAMILY[name], tokens(3, HEADS, 35, 11), valid=valid)


@pytest.mark.parametrize("name", LEARNED)
def test_kernel_equals_the_reference_on_strided_inputs(name):
    fused = torch.randn(2, 35, 3, HEADS, 11, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    views = [part.requires_grad_() for part in fused.permute(2, 0, 3, 1, 4).unbind(0)]
    assert not views[0].is_contiguous()
    assert_parity(FAMILY[name], views)
    every_second = [x.detach()[..., ::2, :, ::2].requires_grad_() for x in tokens(2, 2 * HEADS, 35, 22)]
    assert_parity(FAMILY[name], [x.detach()[:, ::1].requires_grad_() for x in every_second])


@pytest.mark.parametrize("name", FAMILY)
def test_weights_tell_what_the_kernel_does(name):
    q, k, v = tokens(2, HEADS, 35, 11)
    valid = torch.ones(2, 35, dtype=torch.bool)
    valid[1, 31:] = False
    out = FAMILY[name](q, k, v, valid_mask=valid)
    weights = FAMILY[name].weights(q, k, valid_mask=valid)
    assert weights.shape == (2, HEADS, 35, 35)
    torch.testing.assert_close(out, weights @ v, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FAMILY)
def test_gradient_to_a_forbidden_key_is_exactly_zero(name):
    kernel = FAMILY[name]
    mask = kernel.pattern(35).mask(35).expand(HEADS, 35, 35)
    valid = torch.ones(1, 35, dtype=torch.bool)
    valid[0, 17] = False
    for row in (0, 16, 34):
        q, k, v = tokens(1, HEADS, 35, 11)
        kernel(q, k, v, valid_mask=valid)[0, :, row].sum().backward()
        allowed = mask[:, row].clone()
        allowed[:, 17] = False
        for gradient in (k.grad, v.grad):
            if gradient is not None:
                assert (gradient[0][~allowed] == 0).all()
        assert (v.grad[0][allowed] != 0).all()


@pytest.mark.parametrize("name", FAMILY)
def test_gradcheck(name):
    kernel = kernel_family(TokenGrid(2, 1, 3), num_heads=2, window_size=3)[name]
    assert torch.autograd.gradcheck(kernel, tokens(1, 2, 6, 2))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_stays_near_float32(name, dtype):
    q, k, v = tokens(2, HEADS, 35, 16, dtype=torch.float32)
    exact = FAMILY[name](q, k, v)
    halves = [x.detach().to(dtype).requires_grad_() for x in (q, k, v)]
    out = FAMILY[name](*halves)
    assert out.dtype == dtype
    assert (out.float() - exact).abs().max() < (0.05 if dtype == torch.bfloat16 else 0.01)
    out.float().pow(2).sum().backward()
    exact.pow(2).sum().backward()
    assert halves[2].grad.dtype == dtype
    assert (halves[2].grad.float() - v.grad).abs().max() < (0.15 if dtype == torch.bfloat16 else 0.03)


@pytest.mark.parametrize("name", FAMILY)
def test_dropout_drops_in_proportion_and_keeps_the_mean(name):
    kernel = FAMILY[name]
    q, k, _ = tokens(1, HEADS, 35, 11)
    ones = torch.ones_like(q)
    torch.manual_seed(0)
    runs = torch.stack([kernel(q, k, ones, dropout_p=0.25).detach() for _ in range(60)])
    assert runs.std(0).max() > 0
    assert (runs.mean((0, 1, 2, 4)) - 1).abs().max() < 0.25
    assert abs(runs.mean() - 1) < 0.02
    torch.manual_seed(7)
    first = kernel(q, k, ones, dropout_p=0.25)
    torch.manual_seed(7)
    assert torch.equal(first, kernel(q, k, ones, dropout_p=0.25))


@pytest.mark.parametrize("name", LEARNED)
def test_dropout_is_the_same_in_backward(name):
    kernel = kernel_family(TokenGrid(2, 1, 3), num_heads=2, window_size=3)[name]

    def dropped(q, k, v):
        torch.manual_seed(11)
        return kernel(q, k, v, dropout_p=0.4)

    assert torch.autograd.gradcheck(dropped, tokens(1, 2, 6, 2))


@pytest.mark.parametrize("name", FAMILY)
def test_multi_head_attention_trains_with_every_kernel(name):
    torch.manual_seed(0)
    module = MultiHeadAttention(22, HEADS, kernel=FAMILY[name], attention_dropout=0.3, projection_dropout=0.1)
    x = torch.randn(2, 35, 22)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))
    module(x).pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert module.proj.weight.grad.abs().sum() > 0
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.qkv.weight.zero_()
    assert module.qkv.weight.abs().sum() > 0


def test_multi_head_attention_is_heads_of_a_fused_projection():
    """The layout other code relies on: q, then k, then v; each head-major."""
    torch.manual_seed(0)
    module = MultiHeadAttention(15, 3).double()
    x = torch.randn(2, 7, 15, dtype=torch.float64)
    q, k, v = module.qkv(x).split(15, dim=-1)
    heads = []
    for head in range(3):
        part = slice(5 * head, 5 * head + 5)
        scores = q[..., part] @ k[..., part].transpose(-2, -1) / 5**0.5
        heads.append(scores.softmax(-1) @ v[..., part])
    torch.testing.assert_close(module(x), module.proj(torch.cat(heads, -1)))


@pytest.fixture
def count_products(monkeypatch):
    """The lengths that full attention computed by two products, in order."""
    seen, ours = [], full.two_products
    monkeypatch.setattr(full, "two_products", lambda q, k, v: seen.append(q.shape[2]) or ours(q, k, v))
    return seen


@pytest.mark.parametrize("length", [1, 7, 8, 13, 24, 25])
def test_full_attention_by_either_computation(length, count_products):
    inputs = tokens(3, HEADS, length, 11)
    assert_parity(FullAttention(), inputs)
    assert count_products == ([length] if 8 <= length <= 24 else [])
    with torch.no_grad():
        full_attention(*inputs)
    full_attention(*inputs, causal=True)
    full_attention(*inputs, dropout_p=0.5)
    full_attention(*inputs, valid_mask=torch.ones(3, length, dtype=torch.bool))
    assert len(count_products) <= 1  # forward alone, masked or dropped: the fused call


def test_two_products_by_finite_differences(count_products):
    fused = torch.randn(2, 11, 3, HEADS, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    views = [part.requires_grad_() for part in fused.permute(2, 0, 3, 1, 4).unbind(0)]
    assert torch.autograd.gradcheck(full_attention, views)
    assert count_products


@pytest.mark.parametrize("multiplies", [True, False])
@pytest.mark.parametrize("length", [1, 17, 257])
def test_bfloat16_full_attention_by_either_computation(monkeypatch, count_products, multiplies, length):
    monkeypatch.setattr(full, "multiplies_bfloat16", lambda: multiplies)
    halves = [x.detach().bfloat16().requires_grad_() for x in tokens(2, HEADS, length, 16)]
    exact = [x.detach().double().requires_grad_() for x in halves]
    got = outputs_and_gradients(lambda *inputs: full_attention(*inputs).double(), halves)
    wanted = outputs_and_gradients(lambda *inputs: reference_attention(*inputs, Full()), exact)
    assert full_attention(*halves).dtype == torch.bfloat16
    assert (length in count_products) == (multiplies and length < 257)
    for near, expected in zip(got, wanted, strict=True):
        assert (near.double() - expected).abs().max() < 0.03 * expected.abs().max().clamp(min=1.0)


def test_full_attention_is_indifferent_to_order():
    q, k, v = tokens(2, 2, 13, 5)
    shuffled = torch.randperm(13, generator=torch.Generator().manual_seed(1))
    out = full_attention(q, k, v)[:, :, shuffled]
    torch.testing.assert_close(full_attention(q[:, :, shuffled], k[:, :, shuffled], v[:, :, shuffled]), out)


def test_causal_full_attention_with_padding():
    q, k, v = tokens(2, 2, 13, 5)
    valid = torch.ones(2, 13, dtype=torch.bool)
    valid[0, :4] = False
    out = full_attention(q, k, v, valid_mask=valid, causal=True)
    torch.testing.assert_close(out, reference_attention(q, k, v, Causal(), valid_mask=valid))


def test_dense_attention_opens_global_tokens():
    q, k, v = tokens(2, 2, 13, 5)
    is_global = torch.zeros(2, 13, dtype=torch.bool)
    is_global[1, 5] = True
    out = dense_attention(q, k, v, SlidingWindow(3), global_mask=is_global)
    allowed = open_global(SlidingWindow(3).mask(13), is_global)
    torch.testing.assert_close(out, reference_attention(q, k, v, allowed))
    torch.testing.assert_close(out[1, :, 5], reference_attention(q, k, v, Full())[1, :, 5])


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    "name",
    [
        "full causal",
        "sliding window",
        "window dilated in every second head",
        "split heads",
        "3-D window, dense",
        "uniform in a window",
    ],
)
def test_a_model_with_the_kernel_compiles_without_a_break(name):
    torch.manual_seed(0)
    module = MultiHeadAttention(22, HEADS, kernel=FAMILY[name])
    x = torch.randn(2, 35, 22, requires_grad=True)
    valid = torch.ones(2, 35, dtype=torch.bool)
    valid[1, 30:] = False
    expected = module(x, valid_mask=valid)
    out = compiled(module)(x, valid_mask=valid)
    torch.testing.assert_close(out, expected)
    (expected_gradient,) = torch.autograd.grad(expected.pow(2).sum(), x)
    (gradient,) = torch.autograd.grad(out.pow(2).sum(), x)
    torch.testing.assert_close(gradient, expected_gradient)


def has_compiler():
    """Whether inductor finds a C++ compiler that works here."""
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        get_cpp_compiler()
    except Exception:
        return False
    return True


@pytest.mark.skipif(not has_compiler(), reason="inductor needs a C++ compiler, and this machine has none")
@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", ["full", "sliding window", "split heads", "3-D window, dense", "uniform"])
def test_inductor_compiles_one_kernel_of_each_family(name):
    kernel = FAMILY[name]
    inputs = tokens(1, HEADS, 35, 4, dtype=torch.float32)
    probe = torch.randn(1, HEADS, 35, 4, generator=torch.Generator().manual_seed(9))
    torch._dynamo.reset()
    out = torch.compile(kernel.__call__, fullgraph=True, backend="inductor")(*inputs)
    expected = kernel(*inputs)
    torch.testing.assert_close(out, expected)
    options = {"allow_unused": True, "materialize_grads": True}
    grads = torch.autograd.grad((out * probe).sum(), inputs, **options)
    wanted = torch.autograd.grad((expected * probe).sum(), inputs, **options)
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, want)


BAD_INPUTS = {
    "three axes": (
        lambda q, m: {"q": q[0], "k": q[0], "v": q[0]},
        r"q must be of shape \(B, heads, N, d\), got \(2, 5, 3\)",
    ),
    "no tokens": (
        lambda q, m: {"q": q[:, :, :0], "k": q[:, :, :0], "v": q[:, :, :0]},
        "q must be .* no empty axis",
    ),
    "integers": (
        lambda q, m: {"q": q.long(), "k": q.long(), "v": q.long()},
        "q must be of a floating-point dtype",
    ),
    "k too short": (
        lambda q, m: {"k": q[:, :, :4]},
        r"k must be of q's shape \(3, 2, 5, 3\), got \(3, 2, 4, 3\)",
    ),
    "v too narrow": (lambda q, m: {"v": q[..., :2]}, r"v must be of q's shape .* got \(3, 2, 5, 2\)"),
    "v of another dtype": (
        lambda q, m: {"v": q.double()},
        "v must be of q's dtype torch.float32, got torch.float64",
    ),
    "float mask": (
        lambda q, m: {"valid_mask": m.float()},
        "valid_mask must be of dtype torch.bool, got torch.float32",
    ),
    "mask of other length": (
        lambda q, m: {"valid_mask": m[:, :4]},
        r"valid_mask must be of shape .*got \(3, 4\)",
    ),
    "mask of pairs": (
        lambda q, m: {"valid_mask": m[0, None, :].expand(5, 5)},
        r"valid_mask must be .* \(5, 5\)",
    ),
    "all dropped": (lambda q, m: {"dropout_p": 1.0}, "dropout_p must be in .*got 1.0"),
}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("kernel", [FullAttention(), SlidingWindowAttention(3)], ids=["full", "window"])
@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_named(kernel, name):
    q = torch.zeros(3, 2, 5, 3)
    mask = torch.ones(3, 5, dtype=torch.bool)
    change, message = BAD_INPUTS[name]
    arguments = {"q": q, "k": q, "v": q} | change(q, mask)
    with pytest.raises(ArgumentError, match=message):
        kernel(arguments.pop("q"), arguments.pop("k"), arguments.pop("v"), **arguments)


def test_kernels_without_global_tokens_refuse_them():
    q = torch.zeros(1, 2, 35, 3)
    is_global = torch.ones(1, 35, dtype=torch.bool)
    for name in ("time", "space", "split heads", "full causal"):
        with pytest.raises(ArgumentError, match="global_mask"):
            FAMILY[name](q, q, q, global_mask=is_global)
    assert FullAttention()(q, q, q, global_mask=is_global).shape == q.shape


def test_a_pattern_that_leaves_a_query_alone_is_refused():
    q = torch.zeros(1, 1, 5, 3)
    with pytest.raises(ArgumentError, match=r"pattern must be .* query 2"):
        dense_attention(q, q, q, ~SlidingWindow(5))


@pytest.mark.usefixtures("unchecked_shapes")
def test_multi_head_attention_names_what_is_wrong():
    with pytest.raises(ArgumentError, match="embed_dim must be a multiple of num_heads = 3, got 10"):
        MultiHeadAttention(10, 3)
    with pytest.raises(ArgumentError, match="attention_dropout"):
        MultiHeadAttention(9, 3, attention_dropout=1.5)
    with pytest.raises(ArgumentError, match=r"x must be of shape \(B, N, 9\), got \(2, 5, 8\)"):
        MultiHeadAttention(9, 3)(torch.zeros(2, 5, 8))
