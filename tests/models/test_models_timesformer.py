"""Each scheme of TimeSformer against plain dense attention under its pattern."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vtlearn.attention import (
    Axial,
    LocalNeighbourhood,
    MultiHeadAttention,
    Pattern,
    SamePlace,
    StridedGlobal,
    UniformAttention,
    WithClassToken,
    record_attention,
    reference_attention,
)
from vtlearn.models import TimeSformer, build_model, tiny_twin
from vtlearn.shapes import TokenGrid

GRID = TokenGrid(3, 2, 5)
SCHEMES = ["divided", "space_first", "parallel", "sparse", "axial", "joint"]


def made(scheme: str, **changes: object) -> TimeSformer:
    torch.manual_seed(0)
    model = build_model(tiny_twin("timesformer_base", attention=scheme, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double()


def dense(attention: MultiHeadAttention, x: Tensor, mask: Pattern | Tensor) -> Tensor:
    batch, length, width = x.shape
    q, k, v = attention.qkv(x).view(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    out = reference_attention(q, k, v, mask)
    return attention.proj(out.transpose(1, 2).reshape(batch, length, width))


def groups_with_token(attention: MultiHeadAttention, x: Tensor, group: Tensor) -> Tensor:
    """Attention inside groups of patches, each with its own copy of the class token; the copies' results
    averaged.
    """
    count = int(group.max()) + 1
    copies = torch.cat([x[:, :1].expand(-1, count, -1), x[:, 1:]], dim=1)
    member = torch.cat([torch.arange(count), group])
    out = dense(attention, copies, member[:, None] == member[None, :])
    return torch.cat([out[:, :count].mean(1, keepdim=True), out[:, count:]], dim=1)


def by_hand(block: torch.nn.Module, scheme: str, x: Tensor) -> Tensor:
    t, _, w = GRID.coordinates(torch.arange(GRID.num_tokens))

    def on_patches(branch: str, pattern: Pattern, x: Tensor) -> Tensor:
        norm, attention, fc = (getattr(block, f"{branch}_{part}") for part in ("norm1", "attn", "fc"))
        update = fc(dense(attention, norm(x[:, 1:]), pattern))
        return torch.cat([torch.zeros_like(x[:, :1]), update], dim=1)

    def in_frames(x: Tensor) -> Tensor:
        return groups_with_token(block.attn, block.norm1(x), t)

    if scheme == "divided":
        x = x + on_patches("temporal", SamePlace(GRID), x)
        x = x + in_frames(x)
    elif scheme == "space_first":
        x = x + in_frames(x)
        x = x + on_patches("temporal", SamePlace(GRID), x)
    elif scheme == "parallel":
        x = x + in_frames(x) + on_patches("temporal", SamePlace(GRID), x)
    elif scheme == "sparse":
        x = x + on_patches("local", LocalNeighbourhood(GRID), x)
        x = x + dense(block.attn, block.norm1(x), WithClassToken(StridedGlobal(GRID)))
    elif scheme == "axial":
        x = x + on_patches("temporal", Axial(GRID, "t"), x)
        x = x + on_patches("width", Axial(GRID, "w"), x)
        x = x + groups_with_token(block.attn, block.norm1(x), t * GRID.w + w)
    else:
        everyone = torch.ones(1 + GRID.num_tokens, 1 + GRID.num_tokens, dtype=torch.bool)
        x = x + dense(block.attn, block.norm1(x), everyone)
    return x + block.mlp(block.norm2(x))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_block_is_dense_attention_under_its_pattern(scheme):
    block = made(scheme).blocks[1]
    x = torch.randn(2, 1 + GRID.num_tokens, 24, dtype=torch.float64, requires_grad=True)
    found, expected = block(x, GRID), by_hand(block, scheme, x)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    probe = torch.randn_like(found)
    (one,) = torch.autograd.grad((found * probe).sum(), x)
    (other,) = torch.autograd.grad((expected * probe).sum(), x)
    torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


def test_one_frame_makes_time_attention_see_only_itself():
    block = made("divided").blocks[0]
    patches = torch.randn(2, 1, 10, 24, dtype=torch.float64)
    normed = block.temporal_norm1(patches)
    value = block.temporal_attn.qkv(normed)[..., 48:]
    torch.testing.assert_close(block.over_time(patches), block.temporal_fc(block.temporal_attn.proj(value)))


@pytest.mark.parametrize("scheme", ["divided", "sparse", "axial"])
def test_another_clip_size_follows_the_input(scheme):
    model = made(scheme)
    clips = torch.randn(1, 5, 3, 12, 16, dtype=torch.float64)
    before = model(clips)
    model(torch.randn(1, 3, 3, 8, 20, dtype=torch.float64))
    torch.testing.assert_close(model(clips), before)


def test_recording_survives_another_clip_size():
    model = made("sparse")
    model(torch.randn(1, 3, 3, 8, 20, dtype=torch.float64))
    with record_attention(model) as record:
        model(torch.randn(1, 5, 3, 12, 16, dtype=torch.float64))
    assert record["blocks.0.local_attn"].shape == (1, 2, 60, 60)


def test_drop_path_drops_a_place_over_all_of_time():
    block = made("divided", drop_path=0.5).blocks[1].train()
    patches = torch.randn(2, 3, 10, 24, dtype=torch.float64)
    with torch.no_grad():
        block.temporal_fc.bias.zero_()
    silent = (block.over_time(patches) == 0).all(-1)
    assert silent.any()
    assert not silent.all()
    assert torch.equal(silent, silent[:, :1].expand(-1, 3, -1))


def test_a_published_block_starts_as_an_image_block():
    torch.manual_seed(0)
    model = build_model(tiny_twin("timesformer_base"))
    assert not model.time_embed.any()
    for block in model.blocks:
        assert not block.temporal_fc.weight.any()
        assert not block.temporal_fc.bias.any()


@pytest.mark.parametrize("branch", ["local_attn", "attn"])
def test_a_kernel_that_was_set_stays_and_computes(branch):
    block, clips = made("sparse").blocks[0], torch.randn(1, 1 + GRID.num_tokens, 24, dtype=torch.float64)
    before = block(clips, GRID)
    kernel = UniformAttention()
    getattr(block, branch).kernel = kernel
    after = block(clips, GRID)
    assert getattr(block, branch).kernel is kernel
    assert not torch.allclose(before, after)
