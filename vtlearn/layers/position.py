"""Where a token stands: tables of learned positions resized to another grid, and fixed sine–cosine tables."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vtlearn.errors import ArgumentError, require_one_of, require_positive
from vtlearn.shapes import TokenGrid

RESIZE_MODES = ("nearest", "bilinear", "bicubic")


def square_grid(num_tokens: int) -> tuple[int, int]:
    """The (h, w) of a table that was made for a square image.

    >>> square_grid(196)
    (14, 14)
    """
    side = math.isqrt(num_tokens)
    if side * side != num_tokens:
        raise ArgumentError("position table", num_tokens, "a square number of positions (or give its grid)")
    return side, side


def resize_grid_table(
    table: Float[Tensor, "1 n D"],
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    mode: str = "nearest",
    num_extra: int = 0,
) -> Float[Tensor, "1 m D"]:
    """Resize a table over rows and columns to another grid; the first ``num_extra`` rows (class token) stay
    as they are.

    "nearest" is what TimeSformer's released forward pass does; "bicubic" is the habit when image weights move
    to another resolution. The grid is resized in both directions, never along the flattened index, which
    would mix rows and columns.

    >>> table = torch.arange(4.0).reshape(1, 4, 1)
    >>> resize_grid_table(table, (2, 2), (2, 4)).flatten().tolist()
    [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """
    require_one_of("mode", mode, RESIZE_MODES)
    if table.shape[1] != num_extra + old[0] * old[1]:
        raise ArgumentError("table", tuple(table.shape), f"{num_extra} + {old[0]} × {old[1]} positions long")
    if old == new:
        return table
    extra, grid = table[:, :num_extra], table[:, num_extra:]
    image = grid.transpose(1, 2).unflatten(2, old)
    align = None if mode == "nearest" else False
    image = F.interpolate(image, size=new, mode=mode, align_corners=align)
    return torch.cat([extra, image.flatten(2).transpose(1, 2)], dim=1)


def resize_line_table(
    table: Float[Tensor, "1 n D"], length: int, *, mode: str = "nearest", num_extra: int = 0
) -> Float[Tensor, "1 m D"]:
    """Resize a table over time to another number of steps; the first ``num_extra`` rows stay as they are.

    >>> resize_line_table(torch.arange(2.0).reshape(1, 2, 1), 4).flatten().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    require_positive(length=length)
    require_one_of("mode", mode, ("nearest", "linear"))
    if table.shape[1] == num_extra + length:
        return table
    extra, line = table[:, :num_extra], table[:, num_extra:]
    align = None if mode == "nearest" else False
    line = F.interpolate(line.transpose(1, 2), size=length, mode=mode, align_corners=align)
    return torch.cat([extra, line.transpose(1, 2)], dim=1)


def look_up_between(table: Float[Tensor, "n D"], positions: Float[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Rows of a table at fractional positions: the two neighbours, mixed linearly.

    >>> look_up_between(torch.tensor([[0.0], [10.0]]), torch.tensor([[0.25]])).item()
    2.5
    """
    below = positions.floor().clamp(0, table.shape[0] - 1)
    above = (below + 1).clamp(max=table.shape[0] - 1)
    share = (positions - below).unsqueeze(-1).to(table.dtype)
    return torch.lerp(table[below.long()], table[above.long()], share)


def sincos_line(length: int, dim: int, *, base: float = 10000.0) -> Float[Tensor, "n D"]:
    """The fixed table of "Attention is all you need" (section 3.5, arXiv 1706.03762): sines in even columns,
    cosines in odd.

    >>> sincos_line(3, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    require_positive(length=length, dim=dim)
    if dim % 2:
        raise ArgumentError("dim", dim, "even (sines and cosines come in pairs)")
    rate = torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(base) / dim))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


def sincos_grid(h: int, w: int, dim: int) -> Float[Tensor, "n D"]:
    """A fixed table over rows and columns: half of the vector tells the row, the other half the column.

    >>> sincos_grid(2, 3, 8).shape
    torch.Size([6, 8])
    """
    if dim % 4:
        raise ArgumentError("dim", dim, "a multiple of 4 (sines and cosines of two axes)")
    rows = sincos_line(h, dim // 2)[:, None].expand(h, w, dim // 2)
    columns = sincos_line(w, dim // 2)[None, :].expand(h, w, dim // 2)
    return torch.cat([rows, columns], dim=-1).reshape(h * w, dim)


def resize_box_table(
    table: Float[Tensor, "1 n D"],
    old: TokenGrid,
    new: TokenGrid,
    *,
    mode: str = "nearest",
    num_extra: int = 0,
) -> Float[Tensor, "1 m D"]:
    """Resize a table over (t h w) to another grid: each time step over rows and columns, then each place over
    time.

    >>> table = torch.arange(2.0).reshape(1, 2, 1)
    >>> resize_box_table(table, TokenGrid(2, 1, 1), TokenGrid(2, 1, 2)).flatten().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    if table.shape[1] != num_extra + old.num_tokens:
        raise ArgumentError("table", tuple(table.shape), f"{num_extra} + {old.num_tokens} positions long")
    extra, box = table[:, :num_extra], table[0, num_extra:].unflatten(0, (old.t, old.tokens_per_frame))
    image = box.transpose(1, 2).unflatten(2, (old.h, old.w))  # t D h w
    if (old.h, old.w) != (new.h, new.w):
        align = None if mode == "nearest" else False
        image = F.interpolate(image, size=(new.h, new.w), mode=mode, align_corners=align)
    line = image.flatten(1).T[None]  # 1, D h w, t
    if old.t != new.t:
        line_mode = "nearest" if mode == "nearest" else "linear"
        line = F.interpolate(
            line, size=new.t, mode=line_mode, align_corners=None if line_mode == "nearest" else False
        )
    box = line[0].T.unflatten(1, (table.shape[2], new.tokens_per_frame)).transpose(1, 2)
    return torch.cat([extra, box.flatten(0, 1)[None]], dim=1)
