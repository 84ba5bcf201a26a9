"""The exercises of lesson 04: patches two ways, tubelets, their kernels' starts, positions for a clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_04 as answers
from vtlearn.course.judge import Mistake, call, expect, expect_close, expect_finite, expect_tensor

Size = tuple[int, int]

# ------------------------------------------------------------------------------------------------- 04.1


def check_patchify(patchify: Callable[..., Tensor]) -> None:
    """Oblong images of three channels, every order of six axes a slip of its own; then the limits."""
    batch, channels, p, h, w = 2, 3, 5, 7, 11
    images = torch.randn(batch, channels, h * p, w * p)
    count, numbers = h * w, channels * p * p
    patches = expect_tensor(
        call(patchify, images, p),
        (batch, count, numbers),
        name="the table of patches",
        likely={
            (batch, numbers, count): "the tokens come second and the numbers of a patch last: exchange the "
            "last two axes",
            (batch, h, w, numbers): "rows and columns of patches are still two axes; join them to one",
            (batch, channels, count, p * p): "the channels belong into each patch",
            (batch, channels * count, p * p): "every channel became tokens of its own; a patch holds all "
            "channels",
            (batch, count * channels, p * p): "every channel became tokens of its own; a patch holds all "
            "channels",
            (batch, count, channels, p, p): "the three axes of a patch are still apart; flatten them",
            (batch, (h * p - p + 1) * (w * p - p + 1), numbers): "the patches overlap: step by patch_size, "
            "not by one pixel",
            (batch * count, numbers): "the images of the batch are joined; the batch stays the first axis",
        },
    )
    wanted = _patches(images, p)
    expect_close(
        patches,
        wanted,
        name="the table of patches",
        likely={
            "the numbers of one token come from many patches: reshape alone cuts memory into rows; split H "
            "and W, then move the axes, then join": images.reshape(batch, count, numbers),
            "the channels still stand before the patches when you join: one token must hold all channels of "
            "its own patch": rearrange(images, "b c (h p) (w q) -> b (c h w p q)", p=p, q=p).reshape(
                batch, count, numbers
            ),
            "the patches are numbered down the columns; they run row by row": _patches(
                images, p, "b (w h) (c p q)"
            ),
            "inside a patch the channels come last here; the contract says (channel, row, column)": (
                _patches(images, p, "b (h w) (p q c)")
            ),
            "inside a patch rows and columns are exchanged": _patches(images, p, "b (h w) (c q p)"),
            "these are pixels that lie far apart, one out of each region: split H into (h, p), not (p, h)": (
                rearrange(images, "b c (p h) (q w) -> b (h w) (c p q)", p=p, q=p)
            ),
            "the patches come in reverse order": wanted.flip(1),
            "rows and columns of the image are exchanged": _patches(images.mT, p),
            "tokens and their numbers are mixed: unfold gives (B, numbers, N), and reshape does not move "
            "axes; transpose": wanted.mT.reshape(batch, count, numbers),
            "H and W are exchanged where you split: H belongs to h patches, W to w": (
                images.reshape(batch, channels, w, p, h, p).permute(0, 2, 4, 1, 3, 5)
            ).reshape(batch, count, numbers),
            "inside a patch the channels stand between rows and columns; they come first": (
                _patches(images, p, "b (h w) (p c q)")
            ),
            "the axes come in a wrong order, (h, w) must stand before (channel, row, column)": (
                images.reshape(batch, channels, h, p, w, p).permute(0, 2, 3, 1, 4, 5)
            ).reshape(batch, count, numbers),
        },
        otherwise="token i is the patch in row i // w and column i % w, flattened as (channel, row, column)",
    )
    whole = torch.randn(1, 2, 3, 3, dtype=torch.float64)  # the lesson's model computes in float64
    expect_close(
        expect_tensor(call(patchify, whole, 3), (1, 1, 18), name="one patch that is the whole image"),
        whole.reshape(1, 1, 18),
        name="one patch that is the whole image",
    )
    single = torch.randn(1, 3, 2, 5)
    expect_close(
        expect_tensor(call(patchify, single, 1), (1, 10, 3), name="patches of one pixel"),
        single.flatten(2).mT,
        name="patches of one pixel",
    )


def _patches(images: Tensor, p: int, order: str = "b (h w) (c p q)") -> Tensor:
    return rearrange(images, f"b c (h p) (w q) -> {order}", p=p, q=p)


# ------------------------------------------------------------------------------------------------- 04.2


def check_patch_tokens(patch_tokens: Callable[..., Tensor]) -> None:
    """Against cutting and multiplying, with an oblong grid, and once more with a single token."""
    batch, channels, p, h, w, width = 2, 3, 5, 7, 3, 11
    images = torch.randn(batch, channels, h * p, w * p)
    weight, bias = 0.2 * torch.randn(width, channels * p * p), torch.randn(width)
    tokens = expect_tensor(
        call(patch_tokens, images, weight, bias, p),
        (batch, h * w, width),
        kind="float",
        name="the table of tokens",
        likely={
            (batch, width, h * w): "the axis D stands before the tokens; exchange the last two axes",
            (batch, width, h, w): "this is the convolution's grid; flatten it and bring D to the end",
            (batch, h, w, width): "rows and columns are still two axes; join them to one",
            (
                batch,
                (h * p - p + 1) * (w * p - p + 1),
                width,
            ): "the kernel moved by one pixel: patches do not "
            "overlap, so it must step by patch_size (stride)",
            (batch, h * w, channels * p * p): "these are the patches themselves; they still go through the "
            "linear layer",
        },
    )
    expect_finite(tokens, name="the table of tokens")
    flat = _patches(images, p)
    grid = (flat @ weight.T + bias).mT  # B D N, as a convolution gives it
    kernel = weight.unflatten(1, (channels, p, p))

    def by(wrong: Tensor) -> Tensor:
        return flat @ wrong.flatten(1).T + bias

    expect_close(
        tokens,
        grid.mT,
        name="the table of tokens",
        likely={
            "tokens and their numbers are mixed: the convolution gives (B, D, h, w); reshape does not move "
            "axes, so bring D to the end": grid.reshape(batch, h * w, width),
            "the bias is missing": flat @ weight.T,
            "a row of the weight is read as (row, column, channel); it holds (channel, row, column)": by(
                weight.unflatten(1, (p, p, channels)).permute(0, 3, 1, 2)
            ),
            "the kernel is turned round: PyTorch's convolution does not flip it, so nothing has to be "
            "flipped back": by(kernel.flip(2, 3)),
            "rows and columns of the kernel are exchanged": by(kernel.mT),
            "the tokens are numbered down the columns; they run row by row": rearrange(
                grid.mT, "b (h w) d -> b (w h) d", h=h
            ),
            "the bias is added twice": grid.mT + bias,
            "the weight is turned over before it is folded: its rows already are the D kernels": by(
                weight.T.reshape(width, -1)
            ),
            "negative numbers are cut off (ReLU): a linear layer keeps them": grid.mT.relu(),
        },
        otherwise="each token is the product of a row of 04.1 with the weight, plus the bias",
        atol=1e-4,
    )
    small = torch.randn(1, 1, 2, 2)
    one = call(patch_tokens, small, torch.randn(1, 4) * 0 + 0.5, torch.tensor([3.0]), 2)
    expect_close(
        expect_tensor(one, (1, 1, 1), name="a single token"),
        small.sum().reshape(1, 1, 1) / 2 + 3,
        name="a single token",
    )


# ------------------------------------------------------------------------------------------------- 04.3


class _Convolutions(TorchDispatchMode):
    """Notes whether a convolution was run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen = self.seen or "convolution" in str(func) or ".conv" in str(func)
        return func(*args, **(kwargs or {}))


def check_tubelet_tokens(tubelet_tokens: Callable[..., Tensor]) -> None:
    """Boxes of three different sides, against a 3-D convolution; then tubelets of one frame; then how."""
    batch, channels, (t, p, q), (n, h, w), width = 2, 3, (2, 3, 5), (5, 4, 2), 7
    clips = torch.randn(batch, n * t, channels, h * p, w * q)
    weight, bias = 0.2 * torch.randn(width, channels, t, p, q), torch.randn(width)
    watch = _Convolutions()
    with watch:
        value = call(tubelet_tokens, clips, weight, bias)
    tokens = expect_tensor(
        value,
        (batch, n * h * w, width),
        kind="float",
        name="the table of tokens",
        likely={
            (batch, width, n * h * w): "the axis D stands before the tokens; exchange the last two axes",
            (batch, n, h, w, width): "the grid has three axes still; join them to one, time slowest",
            (batch, n, h * w, width): "time and place are still two axes; join them to one, time slowest",
            (batch, width, n, h, w): "this is the convolution's grid; join (t, h, w) and bring D to the end",
            (batch, n * t * h * w, width): "every frame has tokens of its own; a tubelet covers t frames and "
            "gives one token",
            (batch * n, h * w, width): "time is in the batch; all tokens of a clip stand in one row",
        },
    )
    expect_finite(tokens, name="the table of tokens")

    def by(boxes: str, wrong: Tensor = weight, grid: str = "(n t)") -> Tensor:
        cut = rearrange(clips, f"b {grid} c (h p) (w q) -> b {boxes}", t=t, p=p, q=q)
        return cut @ wrong.flatten(1).T + bias

    wanted = by("(n h w) (c t p q)")
    first = rearrange(clips[:, ::t], "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
    mean = rearrange(clips.unflatten(1, (n, t)).mean(2), "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
    numbers = channels * t * p * q
    cut = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (c t p q)", t=t, p=p, q=q)
    expect_close(
        tokens,
        wanted,
        name="the table of tokens",
        likely={
            "time runs fastest here; tokens are ordered (t h w), time slowest": by("(h w n) (c t p q)"),
            "columns run slower than rows; tokens are ordered (t h w)": by("(n w h) (c t p q)"),
            "numbers and weights do not belong together: a box is flattened as (frame, channel, …), the "
            "kernel as (channel, frame, …); bring both into one order": by("(n h w) (t c p q)"),
            "numbers and weights do not belong together: the channels come last in your boxes and first in "
            "the kernel": by("(n h w) (t p q c)"),
            "the bias is missing": wanted - bias,
            "a tubelet takes frames that lie far apart; it covers t frames that follow each other: split T "
            "into (grid, t), not (t, grid)": by("(n h w) (c t p q)", grid="(t n)"),
            "only the first frame of each tubelet counts here": (first @ weight[:, :, 0].flatten(1).T + bias),
            "the frames of a tubelet are averaged before the kernel: each slot has weights of its own": (
                mean @ weight.sum(2).flatten(1).T + bias
            ),
            "the kernel's slots are in reverse order: slot 0 meets the first frame": by(
                "(n h w) (c t p q)", weight.flip(2)
            ),
            "the numbers of one token come from many tubelets: reshape alone cuts memory into rows; split T, "
            "H and W, then move the axes, then join": (
                clips.reshape(batch, -1, numbers) @ weight.flatten(1).T + bias
            ),
            "the bias is added once a frame of the tubelet; once a token is enough": (
                wanted + (t - 1) * bias
            ),
            "the weight is reshaped where it must be turned over: (D, numbers) becomes (numbers, D) by a "
            "transpose": cut @ weight.reshape(-1, width) + bias,
            "rows and columns inside a box are exchanged: a box is (channel, frame, row, column)": by(
                "(n h w) (c t q p)"
            ),
            "time and channels are exchanged by reshape, which does not move axes: transpose them": (
                rearrange(
                    clips.reshape(batch, channels, n * t, h * p, w * q),
                    "b c (n t) (h p) (w q) -> b (n h w) (c t p q)",
                    t=t,
                    p=p,
                    q=q,
                )
                @ weight.flatten(1).T
                + bias
            ),
        },
        otherwise="compare one token with the sum over channel, frame, row and column of its box times the "
        "kernel",
        atol=1e-4,
    )
    still = torch.randn(1, 3, 2, 6, 4, dtype=torch.float64)  # the lesson's model computes in float64
    flat_kernel = torch.randn(5, 2, 1, 3, 2, dtype=torch.float64)
    frames = F.conv2d(still[0], flat_kernel[:, :, 0], stride=(3, 2)).flatten(2).mT.reshape(1, 12, 5)
    expect_close(
        expect_tensor(
            call(tubelet_tokens, still, flat_kernel, torch.zeros(5, dtype=torch.float64)),
            (1, 12, 5),
            name="tubelets of one frame",
        ),
        frames,
        name="tubelets of one frame",
        otherwise="a tubelet of one frame is a patch, frame after frame",
        atol=1e-4,
    )
    expect(
        not watch.seen,
        "the values are right, but a convolution does the work: cut the boxes out and multiply, so that you "
        "see the matrix in it",
    )


# ------------------------------------------------------------------------------------------------- 04.4


def read_pair(value: Any) -> tuple[Any, Any]:
    """The two kernels, from a tuple, a list or one tensor with both."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, dict) or not hasattr(value, "__len__") or len(value) != 2:
        raise Mistake("expected two kernels, (inflated, central)")
    return value[0], value[1]


def check_tubelet_starts(tubelet_starts: Callable[..., Any]) -> None:
    """Shapes, then the sum over the slots (what a still clip sees), then the values, then odd and single."""
    width, channels, p, q, t = 7, 3, 5, 2, 4
    kernel = torch.randn(width, channels, p, q)
    shape = (width, channels, t, p, q)
    wrong_shapes = {
        (width, t, channels, p, q): "time comes after the channels: (D, C, t, rows, columns)",
        (t, width, channels, p, q): "time comes after the channels: (D, C, t, rows, columns)",
        (width, channels, p, q, t): "time comes after the channels: (D, C, t, rows, columns)",
        (width, channels, p, q): "this has no time axis yet: (D, C, t, rows, columns)",
        (width, channels, 1, p, q): "this has one time slot, num_frames are needed",
    }
    inflated, central = read_pair(call(tubelet_starts, kernel, t))
    inflated = expect_tensor(inflated, shape, kind="float", name="the inflated kernel", likely=wrong_shapes)
    central = expect_tensor(central, shape, kind="float", name="the central kernel", likely=wrong_shapes)
    slot = kernel[:, :, None]
    even = slot.expand(shape) / t

    def only(place: int, weights: Tensor = slot) -> Tensor:
        return F.pad(weights, (0, 0, 0, 0, place, t - 1 - place))

    expect(
        not torch.allclose(inflated, only(t // 2)) or not torch.allclose(central, even),
        "the two kernels are exchanged: the inflated one comes first",
    )
    column = torch.zeros(shape)
    column[..., q // 2] = slot.expand(shape)[..., q // 2]
    row = torch.zeros(shape)
    row[..., p // 2, :] = slot.expand(shape)[..., p // 2, :]
    expect_close(
        inflated,
        even,
        name="the inflated kernel",
        likely={
            "inflated, but not divided: a still clip adds the same frame up num_frames times, so its tokens "
            "come out num_frames times too large": slot.expand(shape),
            "this is the central kernel: are both results one and the same tensor, changed in place?": (
                only(t // 2)
            ),
            "divided by the square of num_frames; once is enough": even / t,
            "divided by the root of num_frames: the slots of a still clip add up linearly, so divide by "
            "their number": slot.expand(shape) / t**0.5,
            "only one slot is filled; inflation fills them all": only(0, slot / t),
            "multiplied by num_frames; divide": slot.expand(shape) * t,
            "divided by num_frames − 1: there are num_frames slots": slot.expand(shape) / (t - 1),
            "cut to whole numbers: divide with / instead of //": slot.expand(shape) // t,
            "all zeros": torch.zeros(shape),
        },
        otherwise="every slot holds the image kernel divided by num_frames",
    )
    expect_close(
        central,
        only(t // 2),
        name="the central kernel",
        likely={
            "the kernel stands in the first slot; the central one is num_frames // 2": only(0),
            "the kernel stands in the last slot; the central one is num_frames // 2": only(t - 1),
            "of an even number of slots the later middle one counts here, num_frames // 2": (
                only((t - 1) // 2)
            ),
            "the central kernel is divided, too: only one slot speaks, so a still clip would come out "
            "num_frames times too small": only(t // 2, slot / t),
            "every slot is filled and one column kept: this zeroes a space axis where time is meant": column,
            "every slot is filled and one row kept: this zeroes a space axis where time is meant": row,
            "every slot holds the kernel; only the central one may": slot.expand(shape),
            "this is the inflated kernel once more": even,
            "the other slots hold ones; they must hold zeros": only(t // 2)
            + (only(t // 2, slot * 0 + 1) == 0),
            "the two middle slots share the kernel; one slot has all of it": (
                (only((t - 1) // 2) + only(t // 2)) / 2
            ),
            "all zeros": torch.zeros(shape),
        },
        otherwise="slot num_frames // 2 holds the image kernel, all others zeros",
    )
    kernel = kernel.double()
    for count in (1, 5):
        inflated, central = read_pair(call(tubelet_starts, kernel, count))
        for name, tubelet in (("inflated", inflated), ("central", central)):
            tubelet = expect_tensor(
                tubelet, (width, channels, count, p, q), name=f"the {name} kernel of {count} slots"
            )
            expect_close(
                tubelet.sum(2),
                kernel,
                name=f"what a still clip sees through the {name} kernel of {count} slots",
                otherwise="the slots must add up to the image kernel",
            )
        expect_close(central[:, :, count // 2], kernel, name=f"the central slot of {count}")


# ------------------------------------------------------------------------------------------------- 04.5


def check_repeat_over_time(repeat_over_time: Callable[..., Tensor]) -> None:
    """A small table for several indices; then one index, which changes nothing."""
    places, width, times = 5, 3, 4
    table = torch.randn(1, 1 + places, width)
    longer = expect_tensor(
        call(repeat_over_time, table, times),
        (1, 1 + times * places, width),
        kind="float",
        name="the table",
        likely={
            (1, times * (1 + places), width): "the class token's row is repeated, too: there is one class "
            "token a clip",
            (1, times * places, width): "the class token's row is missing",
            (1 + times * places, width): "the first axis of size 1 is missing",
            (times, 1 + places, width): "the indices became a batch; all tokens of a clip stand in one row",
            (1, times, places, width): "time and place are still two axes, and the class token is missing",
            (1, times + places, width): "num_times rows were added; each place needs a row in every index",
            (1, 1 + places, width): "the table is as long as before",
        },
    )
    token, frame = table[:, :1], table[:, 1:]
    wanted = torch.cat([token, frame.repeat(1, times, 1)], dim=1)
    expect_close(
        longer,
        wanted,
        name="the table",
        likely={
            "each row is repeated on the spot, so time runs fastest; tokens are ordered (t h w): the whole "
            "frame, then the whole frame again": torch.cat(
                [token, frame.repeat_interleave(times, dim=1)], dim=1
            ),
            "the class token's row comes round again with each repetition: set it aside before you repeat": (
                table.repeat(1, times, 1)[:, : 1 + times * places]
            ),
            "the class token's row stands last; it comes first": torch.cat(
                [frame.repeat(1, times, 1), token], dim=1
            ),
            "the positions are divided by num_times: nothing is summed over time here, so they stay as they "
            "are": torch.cat([token, frame.repeat(1, times, 1) / times], dim=1),
            "only the first index has positions": torch.cat(
                [token, frame, torch.zeros_like(frame).repeat(1, times - 1, 1)], dim=1
            ),
            "every second frame runs backwards or another order: repeat the rows as they stand": torch.cat(
                [token, frame.flip(1).repeat(1, times, 1)], dim=1
            ),
            "the class token's row is wiped out: it stays as it is": torch.cat(
                [token * 0, frame.repeat(1, times, 1)], dim=1
            ),
            "the places begin one row too early: row 0 is the class token's": torch.cat(
                [token, table[:, :-1].repeat(1, times, 1)], dim=1
            ),
            "the class token's row stands where places belong": table[:, :1].expand(
                1, 1 + times * places, width
            ),
        },
        otherwise="row 0 is the class token's; row 1 + k · s + i is place i's, for every temporal index k",
    )
    expect_close(
        expect_tensor(call(repeat_over_time, table, 1), tuple(table.shape), name="the table for one index"),
        table,
        name="the table for one index",
    )
    frame = torch.randn(1, 7, 2, dtype=torch.float64)
    expect_close(
        expect_tensor(
            call(repeat_over_time, torch.cat([frame[:, :1], frame], dim=1), 3),
            (1, 1 + 3 * 7, 2),
            name="the table for a frame of 7 places",
        ),
        torch.cat([frame[:, :1], frame.repeat(1, 3, 1)], dim=1),
        name="the table for a frame of 7 places",
        otherwise="take the number of places from the table",
    )


# ------------------------------------------------------------------------------------------------- 04.6


def check_resize_positions(resize_positions: Callable[..., Tensor]) -> None:
    """An oblong grid made larger, then the same size, then one that shrinks along one axis."""
    old, new, width = (3, 4), (5, 6), 7
    table = torch.randn(1, 1 + 12, width)
    resized = expect_tensor(
        call(resize_positions, table, old, new),
        (1, 1 + 30, width),
        kind="float",
        name="the table",
        likely={
            (1, 30, width): "the class token's row is missing",
            (1, width, 30): "the class token's row is missing, and D stands before the places",
            (1, width, 31): "D belongs on the last axis",
            (31, width): "the first axis of size 1 is missing",
            (1, 1 + 12, width): "the table is as long as before",
            (1, width, *new): "this is an image still: flatten it, bring D to the end, put the class token's "
            "row in front",
        },
    )
    expect_finite(resized, name="the table")
    expect_close(
        resized,
        _resized(table, old, new),
        name="the table",
        likely=_resize_slips(table, old, new),
        otherwise="interpolate over rows and columns, (1, D, h, w) to (1, D, h', w'), bilinear, without "
        "aligned corners",
    )
    expect_close(
        expect_tensor(call(resize_positions, table, old, old), tuple(table.shape), name="the same size"),
        table,
        name="the table for the same size",
        otherwise="where nothing changes the table must come out as it went in",
    )
    wide = expect_tensor(
        call(resize_positions, table, (2, 6), (3, 4)), (1, 1 + 12, width), name="a grid of other proportions"
    )
    expect_close(
        wide,
        _resized(table, (2, 6), (3, 4)),
        name="the table for a grid of other proportions",
        likely={"as many places as before, but not the same ones: 2 × 6 is no 3 × 4": table}
        | _resize_slips(table, (2, 6), (3, 4)),
    )


def _resized(table: Tensor, old: Size, new: Size, **how: Any) -> Tensor:
    image = table[:, 1:].mT.unflatten(2, old)
    image = F.interpolate(image, size=new, **({"mode": "bilinear"} | how))
    return torch.cat([table[:, :1], image.flatten(2).mT], dim=1)


def _resize_slips(table: Tensor, old: Size, new: Size) -> dict[str, Tensor]:
    """What the usual slips give, with a sentence for each."""
    token, count, width = table[:, :1], new[0] * new[1], table.shape[2]
    line = F.interpolate(table[:, 1:].mT, size=count, mode="linear").mT
    mixed = F.interpolate(table.mT, size=1 + count, mode="linear").mT
    raw = F.interpolate(table[:, 1:].reshape(1, width, *old), size=new, mode="bilinear")
    right = _resized(table, old, new)
    return {
        "the row of places is resized as one line, which mixes the end of a row with the start of the next; "
        "make it a grid first": torch.cat([token, line], dim=1),
        "the same, by nearest neighbours along one line: make it a grid first": torch.cat(
            [token, F.interpolate(table[:, 1:].mT, size=count).mT], dim=1
        ),
        "the class token's row is mixed with the places: set it aside first": mixed,
        "D and the places are mixed: reshape does not move axes; bring D before the grid first": torch.cat(
            [token, raw.reshape(1, count, width)], dim=1
        ),
        "D and the places are mixed on the way in: transpose first, then fold into a grid": torch.cat(
            [token, raw.flatten(2).mT], dim=1
        ),
        "this is the mean over areas; the contract says bilinear": _resized(table, old, new, mode="area"),
        "the reshape into a grid is right, the one back is not: bring D to the end before you join": (
            torch.cat([token, right[:, 1:].mT.reshape(1, count, width)], dim=1)
        ),
        "the corners are aligned (align_corners=True); the contract leaves them free": _resized(
            table, old, new, align_corners=True
        ),
        "these are nearest neighbours (interpolate's default); the contract says bilinear": _resized(
            table, old, new, mode="nearest"
        ),
        "these are nearest neighbours; the contract says bilinear": _resized(
            table, old, new, mode="nearest-exact"
        ),
        "this is bicubic; the contract says bilinear": _resized(table, old, new, mode="bicubic"),
        "this averages where the grid shrinks (antialias or area); the contract says plain bilinear": (
            _resized(table, old, new, antialias=True)
        ),
        "rows and columns are exchanged: a grid is (rows, columns)": _resized(table, old[::-1], new[::-1]),
        "rows and columns of the old grid are exchanged": _resized(table, old[::-1], new),
        "the places are numbered down the columns now; they run row by row": torch.cat(
            [token, rearrange(right[:, 1:], "b (h w) d -> b (w h) d", h=new[0])], dim=1
        ),
        "the class token's row stands last; it comes first": torch.cat([right[:, 1:], token], dim=1),
        "the class token's row was changed, too": torch.cat([token * 0, right[:, 1:]], dim=1),
    }


# ------------------------------------------------------------------------------------- inputs of the tests


def _numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def _weighted(answer: Callable[..., Tensor], h: int = 3, w: int = 2, p: int = 2) -> Tensor:
    return answer(_numbers(2, 3, h * p, w * p), _numbers(5, 3 * p * p), _numbers(5), p)


def _boxed(answer: Callable[..., Tensor], n: int = 3, t: int = 2, channels: int = 3) -> Tensor:
    return answer(_numbers(2, n * t, channels, 6, 10), _numbers(7, channels, t, 3, 5), _numbers(7))


EXERCISES = [
    Exercise(
        id="04.1",
        title="Patchify, the first way: cut",
        core=True,
        difficulty=2,
        importance=5,
        minutes=12,
        why="Every model of this course begins here, and a wrong order of axes trains without an error.",
        contract=(
            "`images` has shape `(B, C, H, W)`, float32 or float64; `patch_size` p divides H and W, which "
            "need not be equal",
            "returns shape `(B, N, C·p·p)` with N = h · w, h = H / p, w = W / p",
            "the patches run row by row: token i is the patch in row i // w and column i % w",
            "the numbers of a patch are ordered (channel, row, column)",
        ),
        stub='''
        def patchify(images: Tensor, patch_size: int) -> Tensor:  # (B, C, H, W) -> (B, N, C·p·p)
            """Cut images into square patches, each flattened to one row of numbers."""
            raise NotImplementedError("04.1")
        ''',
        check=check_patchify,
        probe=lambda answer: answer(_numbers(2, 3, 4, 6), 2),
        hints=(
            "A pixel's row is (row of the patch, row inside it), and its column likewise. So four axes "
            "become six, the six change places, and they are joined to three.",
            "(B, C, H, W) → (B, C, h, p, w, p) → (B, h, w, C, p, p) → (B, h·w, C·p·p).",
            "reshape, permute(0, 2, 4, 1, 3, 5), reshape; or one einops pattern with (h p) and (w q) on the "
            "left; or two loops over top and left, with slices that are flattened from axis 1 on.",
        ),
        solution=answers.PATCHIFY["split, move, join"],
        right_answers=answers.PATCHIFY,
        wrong_answers=(
            WrongAnswer(
                name="reshape alone",
                answer=answers.PATCH_RAW_RESHAPE,
                says="reshape alone cuts memory",
                right_on=lambda answer: answer(_numbers(2, 3, 5, 5), 5),
            ),
            WrongAnswer(
                name="columns first",
                answer=answers.PATCH_COLUMNS_FIRST,
                says="down the columns",
                right_on=lambda answer: answer(_numbers(2, 3, 2, 6), 2),
            ),
            WrongAnswer(
                name="channels last",
                answer=answers.PATCH_CHANNELS_LAST,
                says="channels come last",
                right_on=lambda answer: answer(_numbers(2, 1, 4, 6), 2),
            ),
            WrongAnswer(
                name="transposed inside",
                answer=answers.PATCH_TRANSPOSED_INSIDE,
                says="inside a patch rows and columns are exchanged",
                right_on=lambda answer: answer(_numbers(2, 3, 2, 3), 1),
            ),
            WrongAnswer(
                name="pixels far apart",
                answer=answers.PATCH_STRIDED,
                says="split H into (h, p)",
                right_on=lambda answer: answer(_numbers(2, 3, 5, 5), 5),
            ),
            WrongAnswer(
                name="channels not moved",
                answer=answers.PATCH_WITHOUT_MOVING,
                says="the channels still stand before",
                right_on=lambda answer: answer(_numbers(2, 1, 4, 6), 2),
            ),
            WrongAnswer(
                name="numbers before tokens",
                answer=answers.PATCH_NUMBERS_FIRST,
                says="the tokens come second",
            ),
            WrongAnswer(name="overlapping", answer=answers.PATCH_OVERLAPPING, says="the patches overlap"),
            WrongAnswer(
                name="a token a channel",
                answer=answers.PATCH_CHANNEL_A_TOKEN,
                says="every channel became tokens",
            ),
            WrongAnswer(
                name="unfold without transpose", answer=answers.PATCH_UNFOLD_RESHAPED, says="unfold gives"
            ),
        ),
        what_to_see="Each row, folded back to (C, p, p), is one square of the picture above.",
    ),
    Exercise(
        id="04.2",
        title="Patchify, the second way: a convolution",
        core=False,
        difficulty=2,
        importance=3,
        minutes=10,
        why="Published models hold the first layer as a convolution; it is the same matrix in another shape.",
        contract=(
            "`images` is float `(B, C, H, W)`; p = `patch_size` divides H and W",
            "`weight` is `(D, C·p·p)` and `bias` is `(D,)`, those of a linear layer on the patches of 04.1",
            "returns the tokens `(B, N, D)`: each patch's numbers times the weight, plus the bias, in the "
            "order of 04.1",
            "meant to be written as one convolution; any way that gives these tokens passes",
        ),
        stub='''
        def patch_tokens(
            images: Tensor, weight: Tensor, bias: Tensor, patch_size: int
        ) -> Tensor:  # (B, C, H, W) -> (B, N, D)
            """Patches through a linear layer, as one convolution."""
            raise NotImplementedError("04.2")
        ''',
        check=check_patch_tokens,
        probe=_weighted,
        hints=(
            "A convolution lays its kernel on a square of the image, multiplies and adds up. If it steps "
            "by its own width, the squares are the patches.",
            "The kernel is (D, C, p, p), a row of the weight folded back. The convolution gives (B, D, "
            "h, w).",
            "weight.reshape(D, C, p, p); F.conv2d with bias and stride=p; flatten(2); transpose(1, 2).",
        ),
        solution=answers.PATCH_TOKENS["functional"],
        right_answers=answers.PATCH_TOKENS,
        wrong_answers=(
            WrongAnswer(
                name="reshape instead of transpose",
                answer=answers.CONV_RAW_RESHAPE,
                says="reshape does not move axes",
                right_on=lambda answer: _weighted(answer, h=1, w=1),
            ),
            WrongAnswer(
                name="no bias",
                answer=answers.CONV_NO_BIAS,
                says="the bias is missing",
                right_on=lambda answer: answer(_numbers(2, 3, 4, 6), _numbers(5, 12), torch.zeros(5), 2),
            ),
            WrongAnswer(name="no stride", answer=answers.CONV_NO_STRIDE, says="must step by patch_size"),
            WrongAnswer(
                name="weight read channels last",
                answer=answers.CONV_CHANNELS_LAST,
                says="it holds (channel, row, column)",
                right_on=lambda answer: answer(_numbers(2, 1, 4, 6), _numbers(5, 4), _numbers(5), 2),
            ),
            WrongAnswer(
                name="kernel flipped",
                answer=answers.CONV_FLIPPED,
                says="the kernel is turned round",
                right_on=lambda answer: _weighted(answer, p=1),
            ),
            WrongAnswer(
                name="columns first",
                answer=answers.CONV_COLUMNS_FIRST,
                says="down the columns",
                right_on=lambda answer: _weighted(answer, h=1),
            ),
            WrongAnswer(
                name="not transposed", answer=answers.CONV_NOT_TRANSPOSED, says="exchange the last two axes"
            ),
            WrongAnswer(
                name="fixed three channels",
                answer=answers.CONV_OF_THREE,
                says="is invalid for input of size 4",
                right_on=lambda answer: _weighted(answer),
            ),
        ),
        what_to_see="The same tokens as cutting and multiplying.",
    ),
    Exercise(
        id="04.3",
        title="A tubelet convolution is a matrix",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="ViViT's first layer in the open: which numbers meet which weights, and in what order.",
        contract=(
            "`clips` is `(B, T, C, H, W)`; `weight` is a 3-D kernel `(D, C, t, p, q)`, `bias` is `(D,)`; all "
            "are float32, or all float64; t, p, q divide T, H, W",
            "returns `(B, N, D)`, N = (T/t) · (H/p) · (W/q): one token for each box of t frames × p rows × "
            "q columns, boxes do not overlap",
            "tokens are ordered (t h w): time slowest, columns fastest",
            "the numbers are those of a 3-D convolution with stride `(t, p, q)`; compute them by cutting and "
            "multiplying, without any convolution",
        ),
        stub='''
        def tubelet_tokens(clips: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # -> (B, N, D)
            """One token a tubelet: cut boxes out of the clip, then one matrix product."""
            raise NotImplementedError("04.3")
        ''',
        check=check_tubelet_tokens,
        probe=_boxed,
        hints=(
            "Exercise 04.1 with one more axis to split: a frame's number is (temporal index, frame "
            "inside the tubelet).",
            "Boxes (B, N, C·t·p·q) times the weight flattened to (D, C·t·p·q) and turned over. Clips "
            "have time before channels, kernels channels before time.",
            "rearrange with (n t) c (h p) (w q) on the left, (n h w) (c t p q) on the right; then a product "
            "with weight.flatten(1) transposed; then the bias.",
        ),
        solution=answers.TUBELET_TOKENS["cut and multiply"],
        right_answers=answers.TUBELET_TOKENS,
        wrong_answers=(
            WrongAnswer(
                name="time fastest",
                answer=answers.TUBELET_TIME_FASTEST,
                says="time runs fastest",
                right_on=lambda answer: _boxed(answer, n=1),
            ),
            WrongAnswer(
                name="frame before channel",
                answer=answers.TUBELET_INNER_ORDER,
                says="bring both into one order",
                right_on=lambda answer: _boxed(answer, channels=1),
            ),
            WrongAnswer(name="no bias", answer=answers.TUBELET_NO_BIAS, says="the bias is missing"),
            WrongAnswer(
                name="frames far apart",
                answer=answers.TUBELET_FAR_FRAMES,
                says="that follow each other",
                right_on=lambda answer: _boxed(answer, n=1),
            ),
            WrongAnswer(
                name="first frame only",
                answer=answers.TUBELET_FIRST_FRAME,
                says="only the first frame",
                right_on=lambda answer: _boxed(answer, t=1),
            ),
            WrongAnswer(
                name="averaged frames",
                answer=answers.TUBELET_MEAN_FRAME,
                says="each slot has weights of its own",
                right_on=lambda answer: _boxed(answer, t=1),
            ),
            WrongAnswer(
                name="reshape alone", answer=answers.TUBELET_RAW_RESHAPE, says="reshape alone cuts memory"
            ),
            WrongAnswer(
                name="by convolution",
                answer=answers.TUBELET_BY_CONVOLUTION,
                says="a convolution does the work",
                right_on=_boxed,
            ),
            WrongAnswer(
                name="weight reshaped, not turned over",
                answer=answers.TUBELET_WEIGHT_RESHAPED,
                says="by a transpose",
            ),
        ),
        what_to_see="The tokens of a 3-D convolution, to the last digit that matters.",
    ),
    Exercise(
        id="04.4",
        title="Two ways to start a tubelet from an image",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="Image models are trained on far more data; this is how their first layer becomes a video's.",
        contract=(
            "`kernel` is an image model's patch kernel `(D, C, p, q)`, float32 or float64; `num_frames` is "
            "t ≥ 1",
            "returns a pair `(inflated, central)`, each `(D, C, t, p, q)`",
            "inflated: every time slot holds the image kernel divided by t",
            "central: slot `t // 2`, counted from 0, holds the image kernel; all other slots are zeros",
            "so that a clip whose frames are all alike gives the image model's tokens, through both",
        ),
        stub='''
        def tubelet_starts(kernel: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:  # twice (D, C, t, p, q)
            """A tubelet's kernel from an image's: inflated, and with the central frame alone."""
            raise NotImplementedError("04.4")
        ''',
        check=check_tubelet_starts,
        probe=lambda answer: [*answer(_numbers(3, 2, 5, 7), 4)],
        hints=(
            "On a still clip all slots meet the same frame, so only the sum of the slots counts. It must "
            "be the image kernel.",
            "Time is axis 2: (D, C, p, q) → (D, C, 1, p, q) → (D, C, t, p, q).",
            "kernel[:, :, None].repeat(1, 1, t, 1, 1) / t; and zeros of that shape, with slot t // 2 filled.",
        ),
        solution=answers.TUBELET_STARTS["repeat and fill"],
        right_answers=answers.TUBELET_STARTS,
        wrong_answers=(
            WrongAnswer(
                name="not divided",
                answer=answers.STARTS_NOT_DIVIDED,
                says="not divided",
                right_on=lambda answer: [*answer(_numbers(3, 2, 5, 7), 1)],
            ),
            WrongAnswer(
                name="first slot",
                answer=answers.STARTS_FIRST_SLOT,
                says="in the first slot",
                right_on=lambda answer: [*answer(_numbers(3, 2, 5, 7), 1)],
            ),
            WrongAnswer(
                name="earlier of two middles",
                answer=answers.STARTS_SLOT_BEFORE,
                says="the later middle one",
                right_on=lambda answer: [*answer(_numbers(3, 2, 5, 7), 3)],
            ),
            WrongAnswer(
                name="central divided",
                answer=answers.STARTS_CENTRAL_DIVIDED,
                says="the central kernel is divided, too",
                right_on=lambda answer: [*answer(_numbers(3, 2, 5, 7), 1)],
            ),
            WrongAnswer(
                name="a column instead of a slot",
                answer=answers.STARTS_CENTRAL_COLUMN,
                says="zeroes a space axis where time is meant",
                right_on=lambda answer: [*answer(_numbers(3, 2, 5, 1), 1)],
            ),
            WrongAnswer(
                name="time before channels",
                answer=answers.STARTS_TIME_BEFORE_CHANNELS,
                says="time comes after the channels",
            ),
            WrongAnswer(
                name="exchanged", answer=answers.STARTS_EXCHANGED, says="the two kernels are exchanged"
            ),
            WrongAnswer(
                name="one tensor for both", answer=answers.STARTS_SHARED, says="one and the same tensor"
            ),
        ),
        what_to_see="On a still clip both give the image model's tokens; on a moving clip they differ.",
    ),
    Exercise(
        id="04.5",
        title="An image's positions, repeated over time",
        core=True,
        difficulty=1,
        importance=4,
        minutes=8,
        why="It lets a video model begin with what the image model knows about places.",
        contract=(
            "`table` is an image model's position table `(1, 1 + s, D)`: first the class token's row, "
            "then one row for each of the s places of a frame",
            "returns `(1, 1 + t·s, D)` for `num_times` = t temporal indices, tokens ordered (t h w)",
            "the class token's row comes first and once; a place has the same row in every temporal index",
        ),
        stub='''
        def repeat_over_time(table: Tensor, num_times: int) -> Tensor:  # (1, 1 + s, D) -> (1, 1 + t·s, D)
            """An image's positions for a clip: class token once, places once a temporal index."""
            raise NotImplementedError("04.5")
        ''',
        check=check_repeat_over_time,
        probe=lambda answer: answer(_numbers(1, 6, 3), 4),
        hints=(
            "Two kinds of rows: one belongs to the class token, of which a clip has one; the others to "
            "places, of which every temporal index has its own copy.",
            "(1, 1, D) and (1, s, D); the second becomes (1, t·s, D) frame after frame; then they are "
            "joined on axis 1.",
            "table[:, :1] and table[:, 1:]; .repeat(1, num_times, 1) on the second (not repeat_interleave); "
            "torch.cat on dim 1.",
        ),
        solution=answers.REPEAT_OVER_TIME["split, repeat, join"],
        right_answers=answers.REPEAT_OVER_TIME,
        wrong_answers=(
            WrongAnswer(
                name="time fastest",
                answer=answers.REPEAT_TIME_FASTEST,
                says="time runs fastest",
                right_on=lambda answer: answer(_numbers(1, 2, 3), 4),
            ),
            WrongAnswer(
                name="class token repeated",
                answer=answers.REPEAT_CLASS_TOO,
                says="the class token's row is repeated",
                right_on=lambda answer: answer(_numbers(1, 6, 3), 1),
            ),
            WrongAnswer(
                name="class token lost",
                answer=answers.REPEAT_CLASS_LOST,
                says="the class token's row is missing",
            ),
            WrongAnswer(
                name="repeated with it, then cut off",
                answer=answers.REPEAT_CUT_OFF,
                says="comes round again",
                right_on=lambda answer: answer(_numbers(1, 6, 3), 1),
            ),
            WrongAnswer(
                name="divided",
                answer=answers.REPEAT_DIVIDED,
                says="divided by num_times",
                right_on=lambda answer: answer(_numbers(1, 6, 3), 1),
            ),
            WrongAnswer(name="class token last", answer=answers.REPEAT_CLASS_LAST, says="stands last"),
            WrongAnswer(
                name="first index only",
                answer=answers.REPEAT_ONE_FRAME,
                says="only the first index",
                right_on=lambda answer: answer(_numbers(1, 6, 3), 1),
            ),
            WrongAnswer(
                name="fixed number of places",
                answer=answers.REPEAT_FIXED_PLACES,
                says="the table for a frame of 7 places",
                right_on=lambda answer: answer(_numbers(1, 6, 2), 3),
            ),
        ),
        what_to_see="The numbers of the places start again with each temporal index.",
    ),
    Exercise(
        id="04.6",
        title="Positions for another image size",
        core=False,
        difficulty=3,
        importance=3,
        minutes=12,
        why="TimeSformer-HR runs at 448 pixels on weights that were learned at 224: 14 × 14 places become "
        "28 × 28.",
        contract=(
            "`table` is `(1, 1 + h·w, D)`, the class token's row first; `old` = (h, w), `new` = (h', w')",
            "returns `(1, 1 + h'·w', D)`; the class token's row stays as it is",
            "the places are interpolated over rows and columns, as `F.interpolate` does in mode "
            '`"bilinear"` (corners not aligned, no antialiasing)',
        ),
        stub='''
        def resize_positions(
            table: Tensor, old: tuple[int, int], new: tuple[int, int]
        ) -> Tensor:  # (1, 1 + h·w, D) -> (1, 1 + h'·w', D)
            """A position table for another grid: the class token's row kept, the places interpolated."""
            raise NotImplementedError("04.6")
        ''',
        check=check_resize_positions,
        probe=lambda answer: answer(_numbers(1, 13, 5), (3, 4), (5, 7)),
        hints=(
            "A table of places is an image with D channels whose pixels were written in one row. Make it an "
            "image again.",
            "(1, h·w, D) → (1, D, h·w) → (1, D, h, w) → (1, D, h', w') → (1, D, h'·w') → (1, h'·w', D).",
            'Set row 0 aside; transpose(1, 2), unflatten(2, old), F.interpolate(size=new, mode="bilinear"), '
            "flatten(2), transpose(1, 2), and torch.cat.",
        ),
        solution=answers.RESIZE_POSITIONS["through an image"],
        right_answers=answers.RESIZE_POSITIONS,
        wrong_answers=(
            WrongAnswer(
                name="one line",
                answer=answers.RESIZE_FLAT,
                says="resized as one line",
                right_on=lambda answer: answer(_numbers(1, 5, 3), (1, 4), (1, 7)),
            ),
            WrongAnswer(
                name="reshape instead of transpose",
                answer=answers.RESIZE_RAW_RESHAPE,
                says="D and the places are mixed",
                right_on=lambda answer: answer(_numbers(1, 13, 1), (3, 4), (5, 7)),
            ),
            WrongAnswer(
                name="corners aligned",
                answer=answers.RESIZE_CORNERS,
                says="the corners are aligned",
                right_on=lambda answer: answer(_numbers(1, 13, 5), (3, 4), (3, 4)),
            ),
            WrongAnswer(
                name="nearest",
                answer=answers.RESIZE_NEAREST,
                says="nearest neighbours",
                right_on=lambda answer: answer(_numbers(1, 13, 5), (3, 4), (3, 4)),
            ),
            WrongAnswer(
                name="rows and columns exchanged",
                answer=answers.RESIZE_EXCHANGED,
                says="rows and columns are exchanged",
                right_on=lambda answer: answer(_numbers(1, 10, 5), (3, 3), (5, 5)),
            ),
            WrongAnswer(
                name="class token lost",
                answer=answers.RESIZE_CLASS_LOST,
                says="the class token's row is missing",
            ),
            WrongAnswer(
                name="class token mixed in",
                answer=answers.RESIZE_CLASS_MIXED_IN,
                says="the class token's row is mixed",
            ),
            WrongAnswer(
                name="columns first", answer=answers.RESIZE_COLUMNS_FIRST, says="down the columns now"
            ),
            WrongAnswer(
                name="folded without transpose",
                answer=answers.RESIZE_FOLDED_RAW,
                says="mixed on the way in",
                right_on=lambda answer: answer(_numbers(1, 7, 1), (2, 3), (4, 5)),
            ),
        ),
        what_to_see="Columns stay columns: the same smooth ramp on more places.",
    ),
]
