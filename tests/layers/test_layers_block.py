"""Blocks, stochastic depth and heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vtlearn.attention import MultiHeadAttention
from vtlearn.errors import ArgumentError
from vtlearn.layers.block import (
    DropPath,
    EncoderBlock,
    Mlp,
    drop_path_rates,
    run_blocks,
    start_truncated_normal,
    start_xavier,
)
from vtlearn.layers.grid_attention import attend_along
from vtlearn.layers.head import MlpHead, linear_head


def test_a_block_is_two_residual_branches():
    torch.manual_seed(0)
    block = EncoderBlock(12, 3, 20, activation="gelu_tanh").eval()
    x = torch.randn(2, 5, 12)
    middle = x + block.attn(nn.functional.layer_norm(x, (12,), block.norm1.weight, block.norm1.bias, 1e-6))
    hidden = nn.functional.gelu(block.mlp.fc1(block.norm2(middle)), approximate="tanh")
    torch.testing.assert_close(block(x), middle + block.mlp.fc2(hidden))


@pytest.mark.parametrize("axis", ["t", "s"])
def test_attention_along_an_axis_never_crosses_the_other(axis):
    torch.manual_seed(0)
    attention = MultiHeadAttention(12, 3)
    x = torch.randn(2, 3, 5, 12, requires_grad=True)
    out = attend_along(axis, attention, x)
    out[0, 1, 2].sum().backward()
    touched = x.grad.abs().sum(-1) > 0
    expected = torch.zeros(2, 3, 5, dtype=torch.bool)
    expected[(0, slice(None), 2) if axis == "t" else (0, 1)] = True
    assert torch.equal(touched, expected)
    alone = attention(x[:, :, 2] if axis == "t" else x[:, 1])
    torch.testing.assert_close(out[:, :, 2] if axis == "t" else out[:, 1], alone)


def test_drop_path_keeps_the_mean_and_shares_fate_inside_a_row():
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    update = torch.ones(400, 3, 50)
    dropped = drop(update, row_dims=(0, 2))
    assert torch.equal(dropped, dropped[:, :1].expand(-1, 3, -1))
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(drop.eval()(update), update)


def test_drop_path_rates_rise_linearly():
    assert drop_path_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0.0]


def test_checkpointing_gives_the_same_gradients():
    torch.manual_seed(0)
    blocks = nn.ModuleList(EncoderBlock(12, 3, 20, dropout=0.3) for _ in range(2)).train()
    grads = []
    for checkpointing in (False, True):
        x = torch.ones(2, 5, 12, requires_grad=True)
        torch.manual_seed(1)
        run_blocks(blocks, x, checkpointing=checkpointing).sum().backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_starts_have_their_published_spread():
    torch.manual_seed(0)
    block = EncoderBlock(64, 4, 256)
    start_truncated_normal(block)
    assert block.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)
    start_xavier(block)
    bound = (6 / (64 + 64)) ** 0.5  # of each of query, key and value, not of the fused matrix
    assert block.attn.qkv.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not block.attn.qkv.bias.any()


def test_heads():
    assert isinstance(linear_head(5, 0), nn.Identity)
    assert not linear_head(5, 3, zero=True).weight.any()
    head = MlpHead(6, 10, 3).eval()
    features = torch.randn(2, 6)
    hidden = nn.functional.gelu(head.fc1(nn.functional.layer_norm(features, (6,), eps=1e-5)))
    torch.testing.assert_close(head(features), head.fc2(hidden))
    assert MlpHead(6, 10, 0)(features).shape == (2, 10)
    with pytest.raises(
        ArgumentError, match=r"num_classes must be a positive integer, or 0 for no head, got -2"
    ):
        linear_head(5, -2)


def test_bad_sizes_are_named():
    with pytest.raises(ArgumentError, match=r"activation must be one of 'gelu'"):
        Mlp(6, 10, activation="swish")
    with pytest.raises(ArgumentError, match=r"drop_path must be in \[0, 1\), got 1.0"):
        DropPath(1.0)
    with pytest.raises(ArgumentError, match=r"axis must be one of 't', 's', got 'h'"):
        attend_along("h", MultiHeadAttention(6, 2), torch.zeros(1, 2, 3, 6))
