"""ViViT's model 4 holds a kernel that follows the token grid of the clip at hand."""

import copy

import torch

from vtlearn.attention import UniformAttention, record_attention
from vtlearn.models import create_model
from vtlearn.shapes import TokenGrid


def test_a_kernel_set_in_model_four_stays_and_computes():
    model = create_model("vivit_samples", encoder="factorised_dot_product", classifier="mean").eval()
    block, grid = model.encoder.blocks[0], TokenGrid(2, 3, 5)
    x = torch.randn(1, 2, 15, 64)
    before, kernel = block(x, grid), UniformAttention()
    block.attn.kernel = kernel
    after = block(x, grid)
    assert block.attn.kernel is kernel
    assert not torch.allclose(before, after)
    assert torch.isfinite(block(torch.randn(1, 4, 6, 64), TokenGrid(4, 2, 3))).all()


def test_model_four_follows_the_grid_in_copies_and_recordings():
    model = create_model("vivit_samples", encoder="factorised_dot_product", classifier="mean").eval()
    block, small, large = model.encoder.blocks[0], torch.randn(1, 2, 15, 64), torch.randn(1, 4, 6, 64)
    before = block(small, TokenGrid(2, 3, 5))
    twin = copy.deepcopy(block)
    twin.attn.kernel = UniformAttention()
    with record_attention(block) as record:
        block(large, TokenGrid(4, 2, 3))
        assert torch.equal(block(small, TokenGrid(2, 3, 5)), before)
    assert [tuple(weights.shape) for weights in record.calls["attn"]] == [(1, 4, 24, 24), (1, 4, 30, 30)]
    assert torch.equal(block(small, TokenGrid(2, 3, 5)), before)
