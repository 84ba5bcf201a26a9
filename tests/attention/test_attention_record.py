"""Recording: weights of every layer in the reference's layout, nothing changed, everything put back."""

import copy

import pytest
import torch
from torch import nn

from vtlearn.attention import (
    MultiHeadAttention,
    SlidingWindowAttention,
    SpaceAttention,
    UniformAttention,
    kernel_family,
    record_attention,
    reference_weights,
)
from vtlearn.attention.kernel import GridKernel, WrappedKernel, exchanged_kernels, open_global
from vtlearn.errors import ArgumentError
from vtlearn.layers.longformer import LongformerEncoder, LongformerSelfAttention
from vtlearn.shapes import TokenGrid

FAMILY = kernel_family(TokenGrid(5, 1, 7), num_heads=2)


@pytest.mark.parametrize("name", FAMILY)
def test_recorded_weights_reproduce_the_output(name):
    torch.manual_seed(0)
    module = MultiHeadAttention(22, 2, kernel=FAMILY[name]).double()
    x = torch.randn(2, 35, 22, dtype=torch.float64)
    plain = module(x)
    with record_attention(module) as record:
        recorded = module(x)
    assert torch.equal(plain, recorded)
    assert list(record) == ["MultiHeadAttention"]
    weights = record["MultiHeadAttention"]
    assert weights.shape == (2, 2, 35, 35)
    assert not weights.requires_grad
    v = module.qkv(x)[..., 44:].unflatten(-1, (2, 11)).transpose(1, 2)
    torch.testing.assert_close(module.proj((weights @ v).transpose(1, 2).flatten(2)), plain)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 35, dtype=torch.float64))


def test_layers_come_in_order_and_calls_are_kept():
    model = nn.Sequential(MultiHeadAttention(6, 2), nn.GELU(), MultiHeadAttention(6, 2))
    with record_attention(model) as record:
        model(torch.randn(1, 5, 6))
        model(torch.randn(3, 4, 6))
    assert list(record) == ["0", "2"]
    assert [tuple(call.shape) for call in record.calls["2"]] == [(1, 2, 5, 5), (3, 2, 4, 4)]
    assert len(record) == 2
    assert record["0"].shape == (3, 2, 4, 4)


def test_kernels_are_put_back_even_after_an_error():
    model = nn.Sequential(MultiHeadAttention(6, 2, kernel=SlidingWindowAttention(3)))
    kernel = model[0].kernel

    def interrupted():
        with record_attention(model):
            assert model[0].kernel is not kernel
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert model[0].kernel is kernel
    state = model.state_dict()
    assert set(state) == {"0.qkv.weight", "0.qkv.bias", "0.proj.weight", "0.proj.bias"}


def test_gradients_flow_while_recording():
    model = MultiHeadAttention(6, 2)
    x = torch.randn(1, 5, 6)
    model(x).sum().backward()
    expected = model.qkv.weight.grad.clone()
    model.zero_grad()
    with record_attention(model):
        model(x).sum().backward()
    torch.testing.assert_close(model.qkv.weight.grad, expected)


def test_longformer_rows_of_global_tokens_come_from_their_own_projections():
    torch.manual_seed(0)
    model = LongformerEncoder(22, 2, 2, (3, 7), 31).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 13, 22, dtype=torch.float64)
    is_global, valid = torch.zeros(2, 13, dtype=torch.bool), torch.ones(2, 13, dtype=torch.bool)
    is_global[:, 0] = is_global[1, 6] = True
    valid[0, 11:] = False
    with record_attention(model) as record:
        model(x, valid, is_global)
    assert list(record) == ["layers.0.attention", "layers.1.attention"]
    weights, first = record["layers.0.attention"], model.layers[0].attention
    heads = {
        name: getattr(first, name)(x).unflatten(-1, (2, 11)).transpose(1, 2)
        for name in ("query", "key", "query_global", "key_global")
    }
    allowed = open_global(first.kernel.pattern(13).mask(13), is_global)
    local = reference_weights(heads["query"], heads["key"], allowed, valid_mask=valid)
    everyone = torch.ones(1, 1, dtype=torch.bool)
    own = reference_weights(heads["query_global"], heads["key_global"], everyone, valid_mask=valid)
    rows = is_global[:, None, :, None].expand_as(weights)
    torch.testing.assert_close(weights[rows], own[rows])
    torch.testing.assert_close(weights[~rows], local[~rows])
    assert not torch.allclose(own[rows], local[rows])


def test_the_uniform_window_of_separate_projections_is_recorded_as_uniform():
    torch.manual_seed(0)
    model = LongformerSelfAttention(22, 2, kernel=UniformAttention(SlidingWindowAttention(3)))
    is_global = torch.zeros(1, 7, dtype=torch.bool)
    is_global[:, 0] = True
    x = torch.randn(1, 7, 22)
    with torch.no_grad(), record_attention(model) as record:
        out = model(x, global_mask=is_global)
        values = model.value_global(x)
    torch.testing.assert_close(record["LongformerSelfAttention"][0, :, 0], torch.full((2, 7), 1 / 7))
    torch.testing.assert_close(out[:, 0], values.mean(1))


def test_every_kernel_is_exchanged_once_and_put_back_after_an_error():
    model = nn.Sequential(MultiHeadAttention(6, 2), MultiHeadAttention(6, 2))
    model.append(model[0])
    kernels = [part.kernel for part in model]
    names = []

    def wrap(name, kernel):
        names.append(name)
        if len(names) == 2:
            raise RuntimeError("stop")
        return WrappedKernel(kernel)

    def interrupted():
        with exchanged_kernels(model, wrap):
            pass

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert names == ["0", "1"]
    assert all(part.kernel is kernel for part, kernel in zip(model, kernels, strict=True))


@pytest.mark.parametrize("name", FAMILY)
def test_a_wrapped_kernel_is_the_kernel_it_wraps(name):
    kernel, wrapped = FAMILY[name], WrappedKernel(FAMILY[name])
    q, k, v = torch.randn(3, 2, 2, 35, 11)
    assert torch.equal(wrapped(q, k, v), kernel(q, k, v))
    assert torch.equal(wrapped.weights(q, k), kernel.weights(q, k))
    assert wrapped.pattern(35) == kernel.pattern(35)
    assert wrapped.allowed_pairs(35, num_heads=2) == kernel.allowed_pairs(35, num_heads=2)


def test_a_kernel_that_follows_the_grid_wants_to_know_it():
    follows = GridKernel(lambda grid: SpaceAttention(grid.tokens_per_frame))
    attention, x = MultiHeadAttention(6, 2, kernel=WrappedKernel(follows)), torch.randn(1, 6, 6)
    in_frames = copy.deepcopy(attention)
    in_frames.kernel = SpaceAttention(3)
    assert torch.equal(attention(x, grid=TokenGrid(2, 1, 3)), in_frames(x))
    with pytest.raises(ArgumentError, match="grid must be given"):
        attention(x)
    with pytest.raises(ArgumentError, match="grid must be given"):
        attention.kernel.weights(*torch.randn(2, 1, 2, 6, 3))
