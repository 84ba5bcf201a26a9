"""Patches and tubelets: equal to the convolutions they stand for, and how tubelets start from patches."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vtlearn.errors import ArgumentError
from vtlearn.layers.embed import PatchEmbed, TubeletEmbed, as_pair, central_frame, inflate


def test_patches_are_a_strided_convolution():
    torch.manual_seed(0)
    embed = PatchEmbed(patch_size=5, in_channels=2, embed_dim=7)
    images = torch.randn(3, 2, 10, 15)
    expected = F.conv2d(images, embed.proj.weight, embed.proj.bias, stride=5).flatten(2).transpose(1, 2)
    tokens = embed(images)
    assert tokens.shape == (3, 6, 7)
    assert tokens.is_contiguous()
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)


def test_tubelets_are_a_strided_convolution_in_time_slowest_order():
    torch.manual_seed(0)
    embed = TubeletEmbed(tubelet_size=(2, 3, 5), in_channels=2, embed_dim=7)
    clips = torch.randn(3, 6, 2, 9, 10)
    expected = F.conv3d(clips.transpose(1, 2), embed.proj.weight, embed.proj.bias, stride=(2, 3, 5))
    tokens = embed(clips)
    assert tokens.shape == (3, 3, 6, 7)
    torch.testing.assert_close(tokens, expected.permute(0, 2, 3, 4, 1).flatten(2, 3), atol=1e-5, rtol=1e-5)


def test_one_frame_tubelets_are_patches():
    torch.manual_seed(0)
    patches, tubelets = (
        PatchEmbed(patch_size=5, embed_dim=7),
        TubeletEmbed(tubelet_size=(1, 5, 5), embed_dim=7),
    )
    tubelets.proj.weight.data = patches.proj.weight.data.unsqueeze(2)
    tubelets.proj.bias.data = patches.proj.bias.data
    clips = torch.randn(2, 3, 3, 10, 5)
    torch.testing.assert_close(tubelets(clips).flatten(0, 1), patches(clips.flatten(0, 1)))


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_starts_keep_what_an_image_kernel_sees(frames):
    torch.manual_seed(0)
    kernel = torch.randn(7, 3, 5, 5)
    images = torch.randn(2, 3, 5, 5)
    token = F.conv2d(images, kernel)[:, :, 0, 0]
    still = images[:, :, None].expand(-1, -1, frames, -1, -1)
    torch.testing.assert_close(
        F.conv3d(still, inflate(kernel, frames))[..., 0, 0, 0], token, atol=1e-4, rtol=1e-4
    )
    moving = torch.randn(2, 3, frames, 5, 5)
    moving[:, :, frames // 2] = images
    torch.testing.assert_close(
        F.conv3d(moving, central_frame(kernel, frames))[..., 0, 0, 0], token, atol=1e-4, rtol=1e-4
    )


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ArgumentError, match=r"height H must be a multiple of patch_size = 5, got 11"):
        PatchEmbed(patch_size=5, embed_dim=7)(torch.zeros(1, 3, 11, 10))
    with pytest.raises(ArgumentError, match=r"width W must be a multiple of tubelet_size\[2\] = 5, got 12"):
        TubeletEmbed(tubelet_size=(2, 3, 5), embed_dim=7)(torch.zeros(1, 2, 3, 3, 12))
    with pytest.raises(ArgumentError, match=r"image_size must be one size or \(height, width\)"):
        as_pair("image_size", (1, 2, 3))


def test_images_in_another_layout(unchecked_shapes):
    embed = PatchEmbed(patch_size=5, embed_dim=7)
    with pytest.raises(ArgumentError, match=r"the channels stand on axis 3"):
        embed(torch.zeros(1, 10, 10, 3))
    with pytest.raises(ArgumentError, match=r"these look like clips"):
        embed(torch.zeros(1, 2, 3, 10, 10))
