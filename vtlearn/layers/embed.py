"""From pixels to tokens: patches of a frame, tubelets of a clip, and how a tubelet kernel starts from a patch
kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vtlearn.errors import ArgumentError, require, require_positive
from vtlearn.shapes import TokenGrid


def as_pair(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """One size, or (height, width), as (height, width); both must be positive integers.

    >>> as_pair("image_size", 64)
    (64, 64)
    """
    pair = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    require(len(pair) == 2, name, value, "one size or (height, width)")
    require_positive(**{f"{name} height": pair[0], f"{name} width": pair[1]})
    return pair[0], pair[1]


def check_clips(clips: Tensor, in_channels: int) -> None:
    """Refuse anything but float clips ``(B, T, C, H, W)``, and say which axis looks wrong.

    Raises:
        ArgumentError: another number of axes, another layout, another channel count, or integer pixels.

    >>> import torch
    >>> check_clips(torch.zeros(2, 3, 8, 64, 64), in_channels=3)
    Traceback (most recent call last):
    ...
    vtlearn.errors.ArgumentError: clips must be of shape (B, T, C, H, W) with C = 3 (these look like \
(B, C, T, H, W): the channels stand on axis 1), got (2, 3, 8, 64, 64)
    """
    require(isinstance(clips, Tensor), "clips", type(clips).__name__, "a tensor")
    shape = tuple(clips.shape)
    expected = f"of shape (B, T, C, H, W) with C = {in_channels}"
    if len(shape) == 4:
        raise ArgumentError(
            "clips", shape, expected + " (one axis is missing: a batch of images, or one clip?)"
        )
    require(len(shape) == 5, "clips", shape, expected)
    if shape[2] != in_channels:
        if shape[1] == in_channels:
            looks = " (these look like (B, C, T, H, W): the channels stand on axis 1)"
        elif shape[4] == in_channels:
            looks = " (these look like (B, T, H, W, C): the channels stand on axis 4)"
        elif shape[0] == in_channels:
            looks = " (these look like (C, B, T, H, W): the channels stand on axis 0)"
        else:
            looks = f" (axis 2 holds {shape[2]} channels)"
        raise ArgumentError("clips", shape, expected + looks)
    require(clips.is_floating_point(), "clips.dtype", clips.dtype, "a float type (scale uint8 frames first)")
    require(min(shape) > 0, "clips", shape, "not empty on any axis")


def check_images(images: Tensor, in_channels: int) -> None:
    """Refuse anything but float images ``(B, C, H, W)``."""
    require(isinstance(images, Tensor), "images", type(images).__name__, "a tensor")
    shape = tuple(images.shape)
    expected = f"of shape (B, C, H, W) with C = {in_channels}"
    if len(shape) == 5:
        raise ArgumentError("images", shape, expected + " (these look like clips: fold time into the batch)")
    require(len(shape) == 4, "images", shape, expected)
    if shape[1] != in_channels:
        looks = " (the channels stand on axis 3)" if shape[3] == in_channels else ""
        raise ArgumentError("images", shape, expected + looks)
    require(
        images.is_floating_point(), "images.dtype", images.dtype, "a float type (scale uint8 pixels first)"
    )


def check_divides(size: int, axis: str, by: str, step: int) -> None:
    """The input's ``axis`` must be a whole number of steps, so that no pixel or frame is dropped in
    silence.
    """
    require(size > 0 and size % step == 0, axis, size, f"a multiple of {by} = {step}")


class PatchEmbed(nn.Module):
    """Cuts an image into square patches and maps each to a vector with one shared linear layer.

    A convolution whose kernel equals its stride is this linear layer (ViT, section 3.1, arXiv 2010.11929);
    the weight is held in the convolution's shape ``(D, C, patch, patch)``, under the published name ``proj``,
    and applied as a matrix product, which leaves the tokens contiguous.

    Args:
        patch_size: side of a patch in pixels.
        in_channels: channels of the image.
        embed_dim: length D of a token.

    >>> import torch
    >>> PatchEmbed(patch_size=16, embed_dim=96)(torch.zeros(2, 3, 64, 32)).shape
    torch.Size([2, 8, 96])
    """

    def __init__(self, *, patch_size: int, embed_dim: int, in_channels: int = 3) -> None:
        super().__init__()
        require_positive(patch_size=patch_size, in_channels=in_channels, embed_dim=embed_dim)
        self.patch_size = patch_size
        self.in_channels = in_channels
        self.proj = nn.Conv2d(in_channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches in an image of this size; raises where the patch does not divide it."""
        check_divides(height, "height H", "patch_size", self.patch_size)
        check_divides(width, "width W", "patch_size", self.patch_size)
        return height // self.patch_size, width // self.patch_size

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B s D"]:
        check_images(images, self.in_channels)
        h, w = self.grid(images.shape[2], images.shape[3])
        p = self.patch_size
        patches = images.unflatten(3, (w, p)).unflatten(2, (h, p))  # B C h p w p
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(images.shape[0], h * w, -1)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class TubeletEmbed(nn.Module):
    """Cuts a clip into boxes of t frames × h × w pixels and maps each to a vector with one shared linear
    layer.

    Tubelet embedding, ViViT, section 3.2, arXiv 2103.15691. With t = 1 it is the paper's uniform frame
    sampling. The weight has the 3-D convolution's shape ``(D, C, t, h, w)``; the tokens come out as a grid
    ``(B, t, s, D)`` with s = h · w, so that attention within a frame needs no further copy.

    Args:
        tubelet_size: (frames, rows, columns) of a tubelet.
        in_channels: channels of the clip.
        embed_dim: length D of a token.

    >>> import torch
    >>> TubeletEmbed(tubelet_size=(2, 16, 16), embed_dim=96)(torch.zeros(5, 8, 3, 64, 64)).shape
    torch.Size([5, 4, 16, 96])
    """

    def __init__(self, *, tubelet_size: Sequence[int], embed_dim: int, in_channels: int = 3) -> None:
        super().__init__()
        t, h, w = tubelet_size
        require_positive(tubelet_frames=t, tubelet_rows=h, tubelet_columns=w, embed_dim=embed_dim)
        self.tubelet_size = (t, h, w)
        self.in_channels = in_channels
        self.proj = nn.Conv3d(in_channels, embed_dim, kernel_size=(t, h, w), stride=(t, h, w))

    def grid(self, num_frames: int, height: int, width: int) -> TokenGrid:
        """The token grid of a clip of this size; raises where the tubelet does not divide it."""
        t, h, w = self.tubelet_size
        check_divides(num_frames, "number of frames T", "tubelet_size[0]", t)
        check_divides(height, "height H", "tubelet_size[1]", h)
        check_divides(width, "width W", "tubelet_size[2]", w)
        return TokenGrid(num_frames // t, height // h, width // w)

    def forward(self, clips: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B t s D"]:
        check_clips(clips, self.in_channels)
        grid = self.grid(clips.shape[1], clips.shape[3], clips.shape[4])
        t, h, w = self.tubelet_size
        boxes = clips.unflatten(4, (grid.w, w)).unflatten(3, (grid.h, h)).unflatten(1, (grid.t, t))
        boxes = boxes.permute(0, 1, 4, 6, 3, 2, 5, 7)  # B (t t) C (h h) (w w) -> B t h w C t h w
        boxes = boxes.reshape(clips.shape[0], grid.t, grid.tokens_per_frame, -1)
        return F.linear(boxes, self.proj.weight.flatten(1), self.proj.bias)


def inflate(kernel: Float[Tensor, "D C h w"], num_frames: int) -> Float[Tensor, "D C t h w"]:
    """Repeat a patch kernel in every time slot, divided by their number: a still clip gives the image's
    tokens.

    Filter inflation, ViViT, equation 8.

    >>> import torch
    >>> inflate(torch.ones(1, 1, 1, 1), 4).flatten().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    require_positive(num_frames=num_frames)
    return (kernel / num_frames).unsqueeze(2).repeat(1, 1, num_frames, 1, 1)


def central_frame(kernel: Float[Tensor, "D C h w"], num_frames: int) -> Float[Tensor, "D C t h w"]:
    """Put a patch kernel into time slot ⌊t/2⌋ and zeros elsewhere: at the start a tubelet sees its central
    frame only.

    Central frame initialisation, ViViT, equation 9; the paper's best start. (The released code's
    fresh-weights variant zeroes the width axis where it means time; its loader of image weights, which this
    follows, is right.)

    >>> import torch
    >>> central_frame(torch.ones(1, 1, 1, 1), 2).flatten().tolist()
    [0.0, 1.0]
    """
    require_positive(num_frames=num_frames)
    tubelet = kernel.new_zeros(*kernel.shape[:2], num_frames, *kernel.shape[2:])
    tubelet[:, :, num_frames // 2] = kernel
    return tubelet


TUBELET_STARTS = {"central_frame": central_frame, "inflate": inflate}
"""The ways to make a tubelet kernel of a patch kernel, by name."""
