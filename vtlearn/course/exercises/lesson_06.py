"""The exercises of lesson 06: tokens of a clip, comparisons, attention over time, within frames, along an
axis, the start from an image model, two sparse masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_06 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_integer,
    expect_tensor,
)

# --------------------------------------------------------------------------------- what several checks share


class Attending:
    """Stands in for attention: one head with weights of its own, from ``(rows, n, D)`` to ``(rows, n, D)``.

    It treats the tokens of a row as a set, as attention does, so their order in the row does not matter.
    """

    def __init__(self, width: int, *, seed: int = 3, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(seed)
        weights = 1.6 * torch.randn(3, width, width, generator=generator) / math.sqrt(width)
        self.weights = weights.to(dtype).requires_grad_()
        self.width = width
        self.tokens_met = 0

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[-1] != self.width:
            raise ValueError(f"attention takes (rows, n, D) with D = {self.width}, not {tuple(x.shape)}")
        self.tokens_met += x.shape[0] * x.shape[1]
        q, k, v = (x @ weight for weight in self.weights)
        return (q @ k.mT / math.sqrt(self.width)).softmax(-1) @ v


def random(*shape: int, seed: int = 1) -> Tensor:
    """Fixed random numbers, large enough that no softmax is flat."""
    return 1.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def expect_gradient(out: Tensor, attention: Attending, *given: Tensor) -> None:
    """The loss must reach the weights of the attention and what came in, since the lesson trains both."""
    expect(
        out.requires_grad,
        "the values are right, but no gradient reaches the attention: leave out detach, no_grad and NumPy",
    )
    attention.weights.grad = None
    for one in given:
        one.grad = None
    try:
        out.square().sum().backward()
    except RuntimeError:
        raise Mistake(
            "the values are right, but the gradient cannot be computed: something that it needs is changed "
            "in place"
        ) from None
    assert attention.weights.grad is not None
    reached = [bool(part.abs().sum() > 0) for part in attention.weights.grad]
    expect(all(reached), "the values are right, but the gradient does not reach all of q, k and v")
    expect(
        all(one.grad is not None for one in given),
        "the values are right, but no gradient goes back to what came in, so the blocks before this one "
        "could not learn: leave out detach",
    )


def a_pair(value: Any, name: str) -> tuple[Any, Any]:
    """Two things in a tuple or list."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, Tensor):
        raise Mistake(f"the result is one tensor of shape {tuple(value.shape)}; {name} are two, as a tuple")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Mistake(f"the result is a {type(value).__name__}; {name} are two, as a tuple")
    return value[0], value[1]


# ------------------------------------------------------------------------------------------------- 06.1


def clip_tokens(
    cls: Tensor, patches: Tensor, space: Tensor, time: Tensor, *, order: str = "t s", skip: str = "",
    cls_time: Tensor | None = None, cls_place: Tensor | None = None, places: slice = slice(1, None),
    last: bool = False,
) -> Tensor:  # fmt: skip
    """The row of tokens with the choices in which people slip."""
    batch, _, s, _ = patches.shape
    if skip != "space":
        patches = patches + space[:, None, places][:, :, :s]
    if skip != "time":
        patches = patches + time[:, :, None]
    first = cls + (space[:, :1] if cls_place is None else cls_place)
    first = first if cls_time is None else first + cls_time
    row = patches.flatten(1, 2) if order == "t s" else patches.transpose(1, 2).flatten(1, 2)
    parts = [first.expand(batch, -1, -1), row]
    return torch.cat(parts[::-1] if last else parts, dim=1)


def token_slips(cls: Tensor, patches: Tensor, space: Tensor, time: Tensor) -> dict[str, Tensor]:
    """What the usual slips give."""
    _, t, s, width = patches.shape
    inputs = (cls, patches, space, time)
    zero = torch.zeros(1, 1, width, dtype=patches.dtype)
    cycled = (patches + space[:, None, 1:]).flatten(1, 2) + time.repeat(1, s, 1)
    first = (cls + space[:, :1]).expand(len(patches), -1, -1)
    scrambled = patches + space[:, None, 1:] + time[:, :, None]
    slips = {
        "the class token has no time: it stands for the whole clip; leave its time out": (
            clip_tokens(*inputs, cls_time=time[:, :1])
        ),
        "the class token got the mean of the times; it has none": clip_tokens(
            *inputs, cls_time=time.mean(dim=1, keepdim=True)
        ),
        "the tokens run place by place; they run frame by frame: (t s), time slowest": (
            clip_tokens(*inputs, order="s t")
        ),
        "the class token misses its own row of the place table, row 0": clip_tokens(*inputs, cls_place=zero),
        "the patches start at row 0 of the place table; that row is the class token's, theirs start at 1": (
            clip_tokens(*inputs, places=slice(0, None))
        ),
        "the times are missing": clip_tokens(*inputs, skip="time"),
        "the places are missing: every patch needs the row of its place": clip_tokens(*inputs, skip="space"),
        "the class token comes last; it comes first": clip_tokens(*inputs, last=True),
        "the times run along the tokens of a frame: neighbours in the row are of the same frame, so they "
        "share a time": torch.cat([first, cycled], dim=1),
        "a reshape has mixed places and times: flatten (t, s) as they stand": torch.cat(
            [first, scrambled.transpose(1, 2).reshape(len(patches), s, t, width).flatten(1, 2)], dim=1
        ),
        "a patch stands at another place's row: tokens run frame by frame, so the whole table of places is "
        "repeated for each frame, not each of its rows in turn": torch.cat(
            [
                first,
                patches.flatten(1, 2) + space[:, 1:].repeat_interleave(t, 1) + time.repeat_interleave(s, 1),
            ],
            dim=1,
        ),
        "the times run backwards": clip_tokens(cls, patches, space, time.flip(1)),
        "nothing is added to the tokens": torch.cat(
            [cls.expand(len(patches), -1, -1), patches.flatten(1, 2)], dim=1
        ),
    }
    if t == s:
        slips["the times are added along the places"] = torch.cat(
            [first, (patches + space[:, None, 1:] + time[:, None]).flatten(1, 2)], dim=1
        )
    return slips


def check_joint_tokens(joint_tokens: Callable[..., Tensor]) -> None:
    """Sizes that are all different, then as many frames as places, then one frame."""
    for batch, t, s, width, dtype in (
        (2, 3, 5, 7, torch.float32), (3, 5, 5, 2, torch.float32), (1, 1, 3, 2, torch.float64),
    ):  # fmt: skip
        inputs = [torch.randn(*shape, dtype=dtype) for shape in (
            (1, 1, width), (batch, t, s, width), (1, 1 + s, width), (1, t, width),
        )]  # fmt: skip
        tokens = expect_tensor(
            call(joint_tokens, *inputs),
            (batch, 1 + t * s, width),
            kind="float",
            name="the row of tokens",
            likely={
                (batch, t * (1 + s), width): "there is a class token in every frame; the clip has one",
                (batch, t * s, width): "the class token is missing",
                (batch, t, 1 + s, width): "the frames are still apart, each with a class token",
                (batch, 1 + s, width): "this is one frame",
                (batch * t, 1 + s, width): "every frame is a row of its own: that is space only",
                (1, 1 + t * s, width): "this is one clip; keep the axis B",
            },
        )
        expect_close(
            tokens,
            clip_tokens(*inputs),
            name="the row of tokens",
            likely=token_slips(*inputs),
            otherwise="class token + row 0 of the places; patch (i, j) + row 1 + j of the places + time i",
        )
    learning = [one.requires_grad_() for one in inputs]
    row = joint_tokens(*(one * 1 for one in learning))
    expect(row.requires_grad, "the values are right, but no gradient passes: leave out detach and no_grad")
    row.square().sum().backward()
    for name, one in zip(("cls", "patches", "space", "time"), learning, strict=True):
        expect(
            one.grad is not None,
            f"the values are right, but no gradient goes back to {name}, so it could not learn: leave out "
            "detach and .data",
        )


# ------------------------------------------------------------------------------------------------- 06.2


def check_comparisons(comparisons: Callable[..., Any]) -> None:
    """ViT's frame, then other sizes, then one frame."""
    for t, s in ((8, 196), (5, 7), (1, 3)):
        counts = three_counts(call(comparisons, t, s))
        joint, paper, code = t * s + 1, t + s + 2, t + s + 1
        where = f"for t = {t}, s = {s}"
        expect_equal(
            counts,
            [joint, paper, code],
            name=f"the three counts {where}",
            likely={
                "the class token is forgotten: a patch may also attend to it": [t * s, t + s, t + s],
                "the last two are exchanged: the paper has the class token among the keys of both steps, the "
                "released code only within frames": [joint, code, paper],
                "the query is left out; it is a key, too: a token attends to itself as well": [
                    t * s, t + s, t + s - 1,
                ],
                "the query is counted once in the two steps; each step compares it with itself anew": [
                    joint, t + s + 1, t + s,
                ],
                "the query is counted once only in the two steps; each compares it with itself anew": [
                    joint, paper - 1, paper - 2,
                ],
                "these are the pairs of all patches; one query is asked for": [
                    t * s * count for count in (joint, paper, code)
                ],
                "these are pairs of the whole clip, class token included; one query is asked for": [
                    joint * count for count in (joint, paper, code)
                ],
                "the two steps come one after the other: their keys add up, they do not multiply": [
                    joint, (t + 1) * (s + 1), t * (s + 1),
                ],
                "the paper and the code are counted alike; the code leaves the class token out of the step "
                "over time": [joint, paper, paper],
                "the paper and the code are counted alike; in the paper the class token is a key in both "
                "steps": [joint, code, code],
                "the joint count misses the class token": [t * s, paper, code],
                "the code's count misses the class token: it is left out of the step over time, but within "
                "frames it is a key": [joint, paper, code - 1],
                "s is the number of patches in a frame already, not of rows": [
                    t * s * s + 1, t + s * s + 2, t + s * s + 1,
                ],
                "every frame brings a class token of its own here; the clip has one": [
                    t * (s + 1), paper, code,
                ],
            },
            otherwise="count the keys of one query: the patches of the clip, of its line in time, of its "
            "frame, and the class token where it takes part",
        )  # fmt: skip


def three_counts(value: Any) -> list[int]:
    """Three whole numbers, in whatever sequence they came."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, "__len__"):
        raise Mistake(f"the result is a {type(value).__name__}, expected three whole numbers")
    if len(value) != 3:
        raise Mistake(f"the result has {len(value)} numbers, expected three: joint, paper, code")
    names = ("the joint count", "the paper's count", "the code's count")
    return [expect_integer(one, name=name) for one, name in zip(value, names, strict=True)]


# ------------------------------------------------------------------------------------------------- 06.3


def along_time(attention: Attending, x: Tensor) -> Tensor:
    """Right: the places become rows."""
    lines = x.transpose(1, 2)
    return attention(lines.flatten(0, 1)).unflatten(0, lines.shape[:2]).transpose(1, 2)


def time_slips(attention: Attending, x: Tensor) -> dict[str, Tensor]:
    """What the usual slips give."""
    batch, t, s, width = x.shape
    right = along_time(attention, x)
    clips_mixed = right.permute(2, 0, 1, 3).reshape(batch, s, t, width).transpose(1, 2)
    so_far = [along_time(attention, x[:, : now + 1])[:, -1] for now in range(t)]
    mixed = attention(x.reshape(batch * s, t, width))
    lines = x.transpose(1, 2).reshape(batch * s, t, width)
    across = attention(x.permute(2, 0, 1, 3).reshape(s, batch * t, width))
    in_frames = attention(x.flatten(0, 1)).view(x.shape)
    scrambled = (
        "a reshape mixes places and times: it cuts the numbers anew as they lie in memory; bring t beside D "
        "first (transpose, permute or rearrange)"
    )
    return {
        scrambled: mixed.reshape(x.shape),
        scrambled + " (it happens on the way in)": mixed.view(batch, s, t, width).transpose(1, 2),
        "on the way back a reshape mixes places and times: undo the transposition instead": (
            attention(lines).reshape(x.shape)
        ),
        "this attends within frames, over the places; here it goes over time at one place": in_frames,
        "every patch attends to all patches of the clip: this is joint attention": (
            attention(x.flatten(1, 2)).view(x.shape)
        ),
        "the clips of the batch attend to each other: only the frames of one clip belong in a row": (
            across.view(s, batch, t, width).permute(1, 2, 0, 3)
        ),
        "the clips of the batch attend to each other: the batch is the axis over which it attends": (
            attention(x.flatten(1, 2).transpose(0, 1)).transpose(0, 1).reshape(x.shape)
        ),
        "the clips of the batch are mixed: rows were folded as (s B), so unfold them as (s, B), not (B, s)": (
            clips_mixed
        ),
        "a patch attends to earlier frames only; it attends to all t frames of its place": torch.stack(
            so_far, 1
        ),
        "x is added: only the update is asked for, the residual comes later": x + right,
        "this is the mean over time, the same in all frames": (
            right.mean(dim=1, keepdim=True).expand_as(right)
        ),
        "nothing has happened: this is the input": x,
    }


def check_over_time(over_time: Callable[..., Tensor]) -> None:
    """Sizes that are all different, equal ones, a single frame; then the way of the gradient."""
    for batch, t, s, width, dtype in (
        (2, 3, 5, 7, torch.float32), (3, 5, 5, 2, torch.float64), (2, 1, 3, 2, torch.float32),
    ):  # fmt: skip
        attention = Attending(width, dtype=dtype)
        x = 1.3 * torch.randn(batch, t, s, width, dtype=dtype)
        out = expect_tensor(
            call(over_time, attention, x),
            (batch, t, s, width),
            kind="float",
            name="the update",
            likely={
                (batch, s, t, width): "the axes are not brought back: (B, t, s, D) again",
                (batch * s, t, width): "the rows are still folded: take B and s apart again",
                (s, batch, t, width): "the axes are not brought back: (B, t, s, D) again",
                (batch, t * s, width): "the grid is still flat: (B, t, s, D) again",
            },
        )
        expect_finite(out, name="the update")
        with torch.no_grad():
            expect_close(
                out,
                along_time(attention, x),
                name="the update",
                likely=time_slips(attention, x),
                otherwise="a row of the attention holds the t patches of one place of one clip",
            )
        attention.tokens_met = 0
        call(over_time, attention, x)
        expect(
            attention.tokens_met <= batch * t * s,  # fewer are seen under torch.vmap
            f"the values are right, but attention met {attention.tokens_met} tokens for the "
            f"{batch * t * s} of the clips: hand each to it once",
        )
    attention = Attending(2)
    x = torch.randn(2, 3, 5, 2, requires_grad=True)
    expect_gradient(over_time(attention, x * 1), attention, x)


# ------------------------------------------------------------------------------------------------- 06.4


def in_frames(attention: Attending, cls: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Right updates: of the class token, frame by frame (B, t, D), and of the patches (B, t, s, D)."""
    batch, t, _, _ = x.shape
    frames = torch.cat([cls[:, None].expand(-1, t, -1, -1), x], dim=2)
    out = attention(frames.flatten(0, 1)).unflatten(0, (batch, t))
    return out[:, :, 0], out[:, :, 1:]


def cls_slips(attention: Attending, cls: Tensor, x: Tensor) -> dict[str, Tensor]:
    """What the usual slips give for the class token's update."""
    tokens, _ = in_frames(attention, cls, x)
    everything = attention(torch.cat([cls, x.flatten(1, 2)], dim=1))[:, :1]
    wrong_clips, _ = wrongly_repeated(attention, cls, x)
    right = tokens.mean(dim=1, keepdim=True)
    return {
        "the copies are added up; their updates are averaged over the frames": (
            tokens.sum(dim=1, keepdim=True)
        ),
        "only the first frame's copy is kept; average over all frames": tokens[:, :1],
        "only the last frame's copy is kept; average over all frames": tokens[:, -1:],
        "the largest of the copies' updates is taken; average them": tokens.amax(dim=1, keepdim=True),
        "the class token attends to all frames at once; each copy sees one frame, then they are averaged": (
            everything
        ),
        "the class tokens go to the wrong clips: `repeat` lays the whole batch out t times, while the frames "
        "are (B t), clip by clip; take expand or repeat_interleave": wrong_clips,
        "the class token is added: only its update is asked for": cls + right,
        "the updates are averaged over the clips of the batch, too": (
            right.mean(dim=0, keepdim=True).expand_as(right)
        ),
        "this is the mean of the patches' updates; take that of the class token's copies": (
            in_frames(attention, cls, x)[1].mean(dim=(1, 2))[:, None]
        ),
        "the class token is unchanged: it needs an update, the mean of its copies'": cls,
    }


def wrongly_repeated(attention: Attending, cls: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Updates where the copies of the class token are laid out (t B) and the frames (B t)."""
    batch, t, _, _ = x.shape
    rows = torch.cat([cls.repeat(t, 1, 1), x.flatten(0, 1)], dim=1)
    out = attention(rows).unflatten(0, (batch, t))
    return out[:, :, 0].mean(dim=1, keepdim=True), out[:, :, 1:]


def patch_slips(attention: Attending, cls: Tensor, x: Tensor) -> dict[str, Tensor]:
    """What the usual slips give for the patches' updates."""
    _, right = in_frames(attention, cls, x)
    batch, t, s, width = x.shape
    mixed = x.transpose(1, 2).reshape(batch * t, s, width)
    mixed = attention(torch.cat([cls.repeat_interleave(t, 0), mixed], dim=1))[:, 1:].reshape(x.shape)
    return {
        "the patches do not see the class token: it belongs to the tokens of every frame": (
            attention(x.flatten(0, 1)).view(x.shape)
        ),
        "every patch attends to all frames: this is joint attention": (
            attention(torch.cat([cls, x.flatten(1, 2)], dim=1))[:, 1:].view(x.shape)
        ),
        "the class tokens go to the wrong clips: `repeat` lays the whole batch out t times, while the frames "
        "are (B t), clip by clip; take expand or repeat_interleave": wrongly_repeated(attention, cls, x)[1],
        "x is added to the patches' update: only the update is asked for": x + right,
        "this attends over time; here it goes over the patches of a frame": along_time(attention, x),
        "a reshape mixes places and times": mixed,
    }


def check_within_frames(within_frames: Callable[..., Any]) -> None:
    """Several clips and frames, then a single frame, then the way of the gradient."""
    for batch, t, s, width, dtype in (
        (2, 3, 5, 7, torch.float32), (3, 5, 5, 2, torch.float64), (2, 1, 3, 2, torch.float32),
    ):  # fmt: skip
        attention = Attending(width, dtype=dtype)
        cls = 1.3 * torch.randn(batch, 1, width, dtype=dtype)
        x = 1.3 * torch.randn(batch, t, s, width, dtype=dtype)
        token, patches = a_pair(call(within_frames, attention, cls, x), "the updates")
        token = expect_tensor(
            token,
            (batch, 1, width),
            kind="float",
            name="the class token's update",
            likely={
                (batch, t, 1, width): "there is one for each frame; average them over the frames",
                (batch, t, width): "there is one for each frame; average them over the frames",
                (batch * t, 1, width): "there is one for each frame; average them over the frames",
                (batch, width): "keep the axis of the single token: mean(dim=1, keepdim=True)",
                (batch, t, s, width): "the two are exchanged: first the class token's, then the patches'",
                (1, width): "this is averaged over the batch; average over the frames of each clip",
                (1, 1, width): "this is averaged over the batch; average over the frames of each clip",
            },
        )
        patches = expect_tensor(
            patches,
            (batch, t, s, width),
            kind="float",
            name="the patches' update",
            likely={
                (batch, t, 1 + s, width): "the class token's copies are still in it; take them out",
                (batch * t, s, width): "clips and frames are still folded: (B, t, s, D)",
                (batch, t * s, width): "the frames are not apart: (B, t, s, D)",
            },
        )
        expect_finite(token, name="the class token's update")
        expect_finite(patches, name="the patches' update")
        with torch.no_grad():
            tokens_right, patches_right = in_frames(attention, cls, x)
            expect_close(
                patches,
                patches_right,
                name="the patches' update",
                likely=patch_slips(attention, cls, x),
                otherwise="a row of the attention holds one class token and the s patches of one frame",
            )
            expect_close(
                token,
                tokens_right.mean(dim=1, keepdim=True),
                name="the class token's update",
                likely=cls_slips(attention, cls, x),
                otherwise="the mean, over the frames, of what its copies became",
            )
    attention = Attending(2)
    cls, x = torch.randn(2, 1, 2, requires_grad=True), torch.randn(2, 3, 5, 2, requires_grad=True)
    for which in (1, 0):
        expect_gradient(within_frames(attention, cls * 1, x * 1)[which], attention, cls, x)


# ------------------------------------------------------------------------------------------------- 06.5

PARTS_OF_ATTENTION = ("norm1", "attn.qkv", "attn.proj")


def image_block(width: int, mlp: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The weights of an image block by name, no two alike."""
    sizes = {
        "norm1": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width),
        "norm2": (width,), "mlp.fc1": (mlp, width), "mlp.fc2": (width, mlp),
    }  # fmt: skip
    state = {}
    for name, size in sizes.items():
        state[f"{name}.weight"] = torch.randn(*size, dtype=dtype)
        state[f"{name}.bias"] = torch.randn(size[0], dtype=dtype)
    return state


def _expect_names(video: Mapping[str, Any], image: Mapping[str, Tensor]) -> None:
    wanted = set(image)
    wanted |= {f"temporal_{part}.{kind}" for part in PARTS_OF_ATTENTION for kind in ("weight", "bias")}
    wanted |= {"temporal_fc.weight", "temporal_fc.bias"}
    missing, extra = sorted(wanted - set(video)), sorted(set(video) - wanted)
    if missing:
        if set(missing) <= set(image):
            raise Mistake(f"{missing[0]} is missing: the block keeps all weights of the image block")
        if missing == ["temporal_fc.bias"]:
            raise Mistake("temporal_fc.bias is missing: a layer is zero only if its bias is zero as well")
        raise Mistake(f"{missing[0]} is missing")
    if extra:
        raise Mistake(
            f"{extra[0]} is one too many: only norm1 and attn have a twin over time, and temporal_fc"
        )


def check_start_from_image(start_from_image: Callable[..., Any]) -> None:
    """Names, shapes, values, and that the copies are copies."""
    width = 5
    image = image_block(width, 7)
    before = {key: value.clone() for key, value in image.items()}
    video = call(start_from_image, image)
    if video is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if not isinstance(video, Mapping):
        raise Mistake(f"the result is a {type(video).__name__}, expected a dict from name to tensor")
    _expect_names(video, before)
    for key, value in before.items():
        expect_close(
            expect_tensor(video[key], value.shape, name=key),
            value,
            name=key,
            likely={f"{key} became zero: the image weights stay as they are": torch.zeros_like(value)},
            otherwise="the image weights stay as they are",
        )
    for part in PARTS_OF_ATTENTION:
        for kind in ("weight", "bias"):
            key, own = f"temporal_{part}.{kind}", before[f"{part}.{kind}"]
            likely = {
                f"{key} is zero, and so is temporal_fc: two zeros in a row keep each other's gradient "
                "at zero, and the branch never learns; only temporal_fc starts at zero": torch.zeros_like(
                    own
                ),
            }
            if part == "norm1":
                likely["the norm before time is fresh; it is copied from norm1, too"] = (
                    torch.ones_like(own) if kind == "weight" else torch.zeros_like(own)
                )
                likely["the norm before time is copied from norm2, the one before the MLP; take norm1"] = (
                    before[f"norm2.{kind}"]
                )
            expect_close(
                expect_tensor(video[key], own.shape, name=key),
                own,
                name=key,
                likely=likely,
                otherwise=f"it starts as a copy of {part}.{kind}",
            )
    for key, shape in (("temporal_fc.weight", (width, width)), ("temporal_fc.bias", (width,))):
        value = expect_tensor(video[key], shape, kind="float", name=key)
        likely = {} if len(shape) == 1 else {
            "temporal_fc is the identity: then the fresh branch adds attention that the image model never "
            "had; zero lets it add nothing": torch.eye(width),
        }  # fmt: skip
        expect_close(
            value,
            torch.zeros(shape),
            name=key,
            likely=likely,
            otherwise="zero, exactly: a small random layer already changes the image model's answer",
            atol=0.0,
        )
    given = image_block(3, 2, torch.float64)
    held = {value.untyped_storage().data_ptr() for value in given.values()}
    video = start_from_image(given)
    for part in PARTS_OF_ATTENTION:
        for kind in ("weight", "bias"):
            value = video[f"temporal_{part}.{kind}"]
            expect(
                value.untyped_storage().data_ptr() not in held,
                f"temporal_{part}.{kind} is the very tensor of {part}.{kind}, not a copy: training one would "
                "change the other; clone it",
            )


# ------------------------------------------------------------------------------------------------- 06.6

AXES = {"t": 1, "h": 2, "w": 3}


def along(attention: Attending, x: Tensor, place: int) -> Tensor:
    """Right: the axis at ``place`` stands beside the width."""
    lines = x.movedim(place, 3)
    return attention(lines.flatten(0, 2)).unflatten(0, lines.shape[:3]).movedim(3, place)


def along_slips(attention: Attending, x: Tensor, axis: str) -> dict[str, Tensor]:
    """What the usual slips give."""
    place, width = AXES[axis], x.shape[-1]
    size = x.shape[place]
    lines = x.movedim(place, 3)
    out = attention(lines.flatten(0, 2))
    others = x.movedim(place, 1)
    slips = {
        f"a reshape mixes the axes for {axis!r}: bring the chosen axis beside D first": (
            attention(x.reshape(-1, size, width)).reshape(x.shape)
        ),
        f"on the way back a reshape mixes the axes for {axis!r}: undo the move instead": out.reshape(x.shape),
        f"for {axis!r} it attends along both other axes; along {axis!r} itself is asked for": (
            attention(others.flatten(0, 1).flatten(1, 2)).view(others.shape).movedim(1, place)
        ),
        "every patch attends to all patches of the clip": attention(x.flatten(1, 3)).view(x.shape),
        "x is added: only the update is asked for": x + along(attention, x, place),
        "nothing has happened: this is the input": x,
    }
    names = {"t": "over time", "h": "along h, from row to row", "w": "along w, from column to column"}
    for other, told in names.items():
        if other != axis:
            slips[f"asked for {axis!r}, it attends {told}"] = along(attention, x, AXES[other])
    return slips


def check_attend_along(attend_along: Callable[..., Tensor]) -> None:
    """Each axis on a grid of different sizes, then on a cube, then the gradient."""
    for batch, t, h, w, width, dtype in (
        (2, 3, 5, 7, 11, torch.float32), (2, 3, 3, 3, 2, torch.float64), (1, 1, 2, 3, 2, torch.float32),
    ):  # fmt: skip
        attention = Attending(width, dtype=dtype)
        x = 1.3 * torch.randn(batch, t, h, w, width, dtype=dtype)
        for axis, place in AXES.items():
            out = expect_tensor(
                call(attend_along, attention, x, axis),
                (batch, t, h, w, width),
                kind="float",
                name=f"the update along {axis!r}",
                likely={
                    tuple(x.movedim(place, 3).shape): "the axes are not brought back: (B, t, h, w, D) again",
                },
            )
            with torch.no_grad():
                expect_close(
                    out,
                    along(attention, x, place),
                    name=f"the update along {axis!r}",
                    likely=along_slips(attention, x, axis),
                    otherwise="a row of the attention holds the patches of one line of the grid",
                )
    for axis in AXES:
        attention = Attending(2)
        x = torch.randn(2, 3, 5, 7, 2, requires_grad=True)
        expect_gradient(attend_along(attention, x * 1, axis), attention, x)


# ------------------------------------------------------------------------------------------------- 06.7


def offsets(t: int, h: int, w: int, *, time_fastest: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Key minus query in frames, rows and columns, each (N, N)."""
    token = torch.arange(t * h * w)
    at = (token // (h * w), token // w % h, token % w)
    if time_fastest:
        at = (token % t, token // (w * t), token // t % w)
    later, down, right = (place[None, :] - place[:, None] for place in at)
    return later, down, right


def near(offset: Tensor, size: int) -> Tensor:
    """``size`` keys around the query, the extra one of an even size before it."""
    return (offset >= -(size // 2)) & (offset < size - size // 2)


def sparse_right(t: int, h: int, w: int, *, time_fastest: bool = False) -> tuple[Tensor, Tensor]:
    """Both masks."""
    later, down, right = offsets(t, h, w, time_fastest=time_fastest)
    local = near(down, (h + 1) // 2) & near(right, (w + 1) // 2)
    return local, (later % 2 == 0) & (down % 2 == 0) & (right % 2 == 0)


def local_slips(t: int, h: int, w: int) -> dict[str, Tensor]:
    """What the usual slips give for the local mask."""
    later, down, right = offsets(t, h, w)
    rows, columns = (h + 1) // 2, (w + 1) // 2
    local, far = sparse_right(t, h, w)
    return {
        "the two masks are exchanged: first local, then global": far,
        "local is held within the query's own frame; it takes the same places of all frames": (
            local & (later == 0)
        ),
        "the neighbourhood is too wide: ⌈h/2⌉ and ⌈w/2⌉ keys in all, not on each side": (
            (down.abs() <= h // 2) & (right.abs() <= w // 2)
        ),
        "the neighbourhood is too wide: ⌈h/2⌉ and ⌈w/2⌉ keys in all, not ⌈h/2⌉ on each side": (
            (down.abs() <= rows) & (right.abs() <= columns)
        ),
        "an odd half is rounded down; ⌈h/2⌉ and ⌈w/2⌉ round up": near(down, h // 2) & near(right, w // 2),
        "an even neighbourhood has its extra position behind the query; it lies before it": local.T,
        "h and w are exchanged": near(down, columns) & near(right, rows),
        "the tokens are counted with time fastest; they are ordered (t h w), time slowest": (
            sparse_right(t, h, w, time_fastest=True)[0]
        ),
        "local means the same quarter of the frame here; it is counted from the query": (
            _same_block(t, h, w, rows, columns)
        ),
        "the mask is the wrong way round: True = may attend": ~local,
        "local is held near in time as well; it takes all frames": local & near(later, (t + 1) // 2),
        "the neighbourhood goes on at the other side of the frame; it is cut off at the border": (
            ((down + rows // 2) % h < rows) & ((right + columns // 2) % w < columns)
        ),
        "at the border the neighbourhood is pushed inwards; it is cut off there": _pushed(
            t, h, w, rows, columns
        ),
        "only rows are held near; columns, too": near(down, rows),
        "only columns are held near; rows, too": near(right, columns),
    }


def _pushed(t: int, h: int, w: int, rows: int, columns: int) -> Tensor:
    token = torch.arange(t * h * w)
    row, column = token // w % h, token % w
    top, left = (row - rows // 2).clamp(0, h - rows), (column - columns // 2).clamp(0, w - columns)
    down, right = row[None] - top[:, None], column[None] - left[:, None]
    return (down >= 0) & (down < rows) & (right >= 0) & (right < columns)


def _same_block(t: int, h: int, w: int, rows: int, columns: int) -> Tensor:
    token = torch.arange(t * h * w)
    row, column = token // w % h // rows, token % w // columns
    return (row[None] == row[:, None]) & (column[None] == column[:, None])


def global_slips(t: int, h: int, w: int) -> dict[str, Tensor]:
    """What the usual slips give for the global mask."""
    later, down, right = offsets(t, h, w)
    token = torch.arange(t * h * w)
    even = [place % 2 == 0 for place in (token // (h * w), token // w % h, token % w)]
    kept = even[0] & even[1] & even[2]
    whole = torch.ones(len(token), len(token), dtype=torch.bool)
    return {
        "the keys are the even places of the grid, the same for everyone; the stride is counted from the "
        "query": kept[None, :] & whole,
        "the stride runs over the flat row of tokens; it runs over frames, rows and columns by themselves": (
            (token[None] - token[:, None]) % 2 == 0
        ),
        "every frame is taken; the stride of 2 holds for time as well": (down % 2 == 0) & (right % 2 == 0),
        "only every second frame is left out; the stride holds for rows and columns as well": later % 2 == 0,
        "the offsets are added up before the stride; each must be even by itself": (
            (later + down + right) % 2 == 0
        ),
        "these are the keys that a stride of 2 leaves out": ~sparse_right(t, h, w)[1],
        "the query itself is left out; offsets of 0 are even": (
            sparse_right(t, h, w)[1] & ~torch.eye(t * h * w, dtype=torch.bool)
        ),
        "one even offset is enough here; all three must be even": (
            (later % 2 == 0) | (down % 2 == 0) | (right % 2 == 0)
        ),
        "the tokens are counted with time fastest; they are ordered (t h w), time slowest": (
            sparse_right(t, h, w, time_fastest=True)[1]
        ),
    }


def check_sparse_masks(sparse_masks: Callable[..., Any]) -> None:
    """An odd and an even side each way, then one frame."""
    for t, h, w in ((3, 5, 8), (2, 7, 4), (1, 2, 3)):
        count = t * h * w
        pair = a_pair(call(sparse_masks, t, h, w), "the masks")
        right = sparse_right(t, h, w)
        slips = (local_slips(t, h, w), global_slips(t, h, w))
        for name, mask, want, likely in zip(
            ("the local mask", "the global mask"), pair, right, slips, strict=True
        ):
            expect_tensor(
                mask,
                (count, count),
                name=f"{name} of {t} × {h} × {w}",
                likely={
                    (h * w, h * w): "these are the tokens of one frame; all frames' tokens are asked for",
                    (t, h, w): "this is one query's view; each of the N tokens is a query",
                },
            )
            if mask.dtype != torch.bool:
                whole = bool(((mask == 0) | (mask == 1)).all())
                expect(whole, f"{name} is of type {mask.dtype}, expected Bool: True = may attend")
            expect_close(
                mask.double(),
                want.double(),
                name=f"{name} of {t} × {h} × {w}",
                likely={sentence: value.double() for sentence, value in likely.items()},
                otherwise="look at one query: in which frames, rows and columns are its keys?",
            )


# -------------------------------------------------------------------------------------------- all of them


def _grid_probe(answer: Callable[..., Any], *shape: int) -> Any:
    return answer(Attending(shape[-1]), random(*shape)).detach()


def _frames_probe(answer: Callable[..., Any], batch: int, t: int) -> list[Tensor]:
    token, patches = answer(Attending(7), random(batch, 1, 7), random(batch, t, 5, 7, seed=2))
    return [token.detach(), patches.detach()]


def _tokens_probe(answer: Callable[..., Any], t: int, s: int, *, still: bool = False) -> Tensor:
    time = random(1, t, 3, seed=4) * (0 if still else 1)
    return answer(random(1, 1, 3), random(2, t, s, 3, seed=2), random(1, 1 + s, 3, seed=3), time)


def _start_probe(answer: Callable[..., Any]) -> dict[str, Tensor]:
    torch.manual_seed(2)
    return dict(sorted(answer(image_block(5, 3)).items()))


EXERCISES = [
    Exercise(
        id="06.1",
        title="One row for a whole clip",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why="Joint attention is an image transformer on this row; every other scheme starts from it as well.",
        contract=(
            "`cls` is the class token, `(1, 1, D)`; `patches` are the embedded patches, `(B, t, s, D)`",
            "`space` is the table of places, `(1, 1 + s, D)`: row 0 belongs to the class token, row 1 + j to "
            "place j",
            "`time` is the table of times, `(1, t, D)`: row i belongs to frame i; the class token has none",
            "returns `(B, 1 + t·s, D)`: each clip's class token, then its patches frame by frame, all with "
            "their positions added; gradients flow to all four",
        ),
        stub='''
        def joint_tokens(cls: Tensor, patches: Tensor, space: Tensor, time: Tensor) -> Tensor:
            """The tokens of a clip with their positions, as one row: the class token, then (t s)."""
            raise NotImplementedError("06.1")
        ''',
        check=check_joint_tokens,
        probe=lambda answer: _tokens_probe(answer, 5, 7),
        hints=(
            "A patch needs two additions, one by its place and one by its frame. The class token needs one.",
            "Places without row 0: (1, 1, s, D) beside (B, t, s, D). Times: (1, t, 1, D). Class token: "
            "(B, 1, D).",
            "Index space with [:, None, 1:] and time with [:, :, None] and let them broadcast; flatten axes "
            "1 and 2; expand the class token to the batch; torch.cat on axis 1.",
        ),
        solution=answers.JOINT_TOKENS["added by axis"],
        right_answers=answers.JOINT_TOKENS,
        wrong_answers=(
            WrongAnswer(
                name="a time for the class token",
                answer=answers.JOINT_TIME_ON_CLS,
                says="the class token has no time",
                right_on=lambda answer: _tokens_probe(answer, 5, 7, still=True),
            ),
            WrongAnswer(
                name="a class token in every frame",
                answer=answers.JOINT_CLS_PER_FRAME,
                says="a class token in every frame",
            ),
            WrongAnswer(
                name="place slowest",
                answer=answers.JOINT_SPACE_SLOWEST,
                says="place by place",
                right_on=lambda answer: _tokens_probe(answer, 1, 7),
            ),
            WrongAnswer(
                name="class token without its place",
                answer=answers.JOINT_CLS_WITHOUT_PLACE,
                says="misses its own row",
            ),
            WrongAnswer(
                name="places from row 0",
                answer=answers.JOINT_TABLE_FROM_ROW_ZERO,
                says="start at row 0",
            ),
            WrongAnswer(
                name="no times",
                answer=answers.JOINT_WITHOUT_TIME,
                says="the times are missing",
                right_on=lambda answer: _tokens_probe(answer, 5, 7, still=True),
            ),
            WrongAnswer(name="class token last", answer=answers.JOINT_CLS_LAST, says="comes last"),
            WrongAnswer(
                name="times along the places",
                answer=answers.JOINT_TIME_ALONG_PLACES,
                says="share a time",
                right_on=lambda answer: _tokens_probe(answer, 1, 7),
            ),
        ),
        what_to_see="Your row through ordinary blocks gives what the library's joint TimeSformer gives.",
    ),
    Exercise(
        id="06.2",
        title="Comparisons per query",
        core=False,
        difficulty=2,
        importance=4,
        minutes=8,
        why="This count is the whole reason for divided attention, and paper and code differ in it by one.",
        contract=(
            "a clip of `t` frames with `s` patches a frame, and one class token; the query is **one patch**",
            "returns three whole numbers: how many keys it is compared with in one block of joint attention; "
            "of divided attention as the paper writes it; of divided attention as the released code runs it",
            "a query is compared with itself as well; divided attention has two steps, over time and within "
            "the frame, and the comparisons of both count",
            "in the paper the class token is a key in both steps; in the code not in the step over time",
        ),
        stub='''
        def comparisons(t: int, s: int) -> tuple[int, int, int]:
            """Keys that one patch meets in a block: joint, divided in the paper, divided in the code."""
            raise NotImplementedError("06.2")
        ''',
        check=check_comparisons,
        probe=lambda answer: [int(number) for number in answer(5, 7)],
        hints=(
            "Stand on one patch. Whom do you meet? Do not forget yourself, nor the class token.",
            "Joint: all patches of the clip. Over time: the patches at your place. Within the frame: its "
            "patches. Add the class token where it takes part.",
            "Joint: t times s, plus 1. Over time: t, plus 1 in the paper only. Within the frame: s, plus 1.",
        ),
        solution=answers.COMPARISONS["sums"],
        right_answers=answers.COMPARISONS,
        wrong_answers=(
            WrongAnswer(
                name="no class token",
                answer=answers.COMPARISONS_WITHOUT_CLS,
                says="the class token is forgotten",
            ),
            WrongAnswer(
                name="paper and code exchanged",
                answer=answers.COMPARISONS_SWAPPED,
                says="are exchanged",
                right_on=lambda answer: int(answer(5, 7)[0]),
            ),
            WrongAnswer(
                name="without itself",
                answer=answers.COMPARISONS_WITHOUT_SELF,
                says="the query is left out",
            ),
            WrongAnswer(
                name="itself only once",
                answer=answers.COMPARISONS_ONCE_SELF,
                says="each step compares it with itself anew",
            ),
            WrongAnswer(
                name="pairs of the clip",
                answer=answers.COMPARISONS_OF_THE_CLIP,
                says="one query is asked for",
                right_on=lambda answer: [int(number) for number in answer(1, 1)],
            ),
            WrongAnswer(name="multiplied", answer=answers.COMPARISONS_PRODUCT, says="they do not multiply"),
        ),
        what_to_see="A table in which joint attention grows with the product t · s, divided with the sum.",
    ),
    Exercise(
        id="06.3",
        title="Divided attention, step one: over time",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="This step makes an image model see motion, and a careless reshape here fails in silence.",
        contract=(
            "`attention` takes and returns `(rows, n, D)`: the n tokens of a row attend to each other, rows "
            "know nothing of each other",
            "`x` holds the patches of a clip, `(B, t, s, D)`, without class token",
            "each patch attends to the patches at its own place in all t frames of its clip, and to no other",
            "returns the update, `(B, t, s, D)`; `x` itself is not added; gradients flow",
        ),
        stub='''
        def over_time(attention, x: Tensor) -> Tensor:  # (B, t, s, D) -> (B, t, s, D)
            """Each patch attends to the patches at its own place in all frames."""
            raise NotImplementedError("06.3")
        ''',
        check=check_over_time,
        probe=lambda answer: _grid_probe(answer, 2, 3, 5, 7),
        hints=(
            "The attention needs no change. It all lies in which tokens are put into one row.",
            "There are B·s rows of t tokens each. t must stand beside D before anything is folded.",
            "Transpose axes 1 and 2, flatten (B, s), attend, unflatten, transpose back; or rearrange to "
            "'(B s) t D' and back.",
        ),
        solution=answers.OVER_TIME["einops"],
        right_answers=answers.OVER_TIME,
        wrong_answers=(
            WrongAnswer(
                name="reshape only",
                answer=answers.TIME_RESHAPED,
                says="a reshape mixes places and times",
                right_on=lambda answer: _grid_probe(answer, 2, 1, 5, 7),
            ),
            WrongAnswer(
                name="reshaped back",
                answer=answers.TIME_BACK_RESHAPED,
                says="on the way back",
                right_on=lambda answer: _grid_probe(answer, 2, 3, 1, 7),
            ),
            WrongAnswer(name="within frames", answer=answers.TIME_IN_FRAMES, says="attends within frames"),
            WrongAnswer(
                name="joint",
                answer=answers.TIME_JOINT,
                says="this is joint attention",
                right_on=lambda answer: _grid_probe(answer, 2, 3, 1, 7),
            ),
            WrongAnswer(
                name="clips mixed",
                answer=answers.TIME_ACROSS_CLIPS,
                says="the clips of the batch attend to each other",
                right_on=lambda answer: _grid_probe(answer, 1, 3, 5, 7),
            ),
            WrongAnswer(name="residual added", answer=answers.TIME_WITH_RESIDUAL, says="x is added"),
            WrongAnswer(
                name="not brought back", answer=answers.TIME_NOT_BROUGHT_BACK, says="not brought back"
            ),
            WrongAnswer(
                name="gradient cut",
                answer=answers.TIME_DETACHED,
                says="no gradient reaches the attention",
                right_on=lambda answer: _grid_probe(answer, 2, 3, 5, 7),
            ),
        ),
        what_to_see="The same update as the library's block; change one patch and only its line moves.",
    ),
    Exercise(
        id="06.4",
        title="Divided attention, step two: within frames, with one class token",
        core=True,
        difficulty=4,
        importance=5,
        minutes=20,
        why="One class token must sit in t frames at once; how it is copied and brought together decides.",
        contract=(
            "`attention` takes and returns `(rows, n, D)`; `cls` is the class token of each clip, "
            "`(B, 1, D)`; `x` holds the patches, `(B, t, s, D)`",
            "every frame gets a copy of its clip's class token; the copy and the s patches of the frame "
            "attend to each other, and to no other frame",
            "returns two updates: of the class token, `(B, 1, D)`, the mean over the frames of what its "
            "copies became; and of the patches, `(B, t, s, D)`",
            "nothing is added to `cls` and `x` here; gradients flow through both",
        ),
        stub='''
        def within_frames(attention, cls: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            """Updates of the class token and of the patches by attention inside each frame."""
            raise NotImplementedError("06.4")
        ''',
        check=check_within_frames,
        probe=lambda answer: _frames_probe(answer, 2, 3),
        hints=(
            "Every frame is an image with a class token of its own, for the time of this step. Afterwards "
            "there are t answers to one question: take their mean.",
            "Rows are frames: (B·t, 1 + s, D). The copies must stand in the same order, clip by clip.",
            "cls[:, None] expanded to (B, t, 1, D), torch.cat with x on axis 2, flatten the first two axes, "
            "attend, unflatten; token 0 averaged over axis 1 with keepdim, the rest as it is.",
        ),
        solution=answers.WITHIN_FRAMES["expand and cat"],
        right_answers=answers.WITHIN_FRAMES,
        wrong_answers=(
            WrongAnswer(
                name="copies laid out wrongly",
                answer=answers.FRAMES_REPEATED_WRONGLY,
                says="go to the wrong clips",
                right_on=lambda answer: _frames_probe(answer, 1, 3),
            ),
            WrongAnswer(
                name="first copy kept",
                answer=answers.FRAMES_FIRST_CLS,
                says="only the first frame's copy",
                right_on=lambda answer: _frames_probe(answer, 2, 1),
            ),
            WrongAnswer(
                name="summed",
                answer=answers.FRAMES_SUMMED,
                says="added up",
                right_on=lambda answer: _frames_probe(answer, 2, 1),
            ),
            WrongAnswer(
                name="not averaged", answer=answers.FRAMES_NOT_AVERAGED, says="average them over the frames"
            ),
            WrongAnswer(
                name="patches without class token",
                answer=answers.FRAMES_PATCHES_ALONE,
                says="do not see the class token",
            ),
            WrongAnswer(
                name="class token over all frames",
                answer=answers.FRAMES_TOKEN_SEES_ALL,
                says="attends to all frames at once",
                right_on=lambda answer: _frames_probe(answer, 2, 1),
            ),
            WrongAnswer(name="residuals added", answer=answers.FRAMES_ADDED, says="is added"),
            WrongAnswer(
                name="joint",
                answer=answers.FRAMES_JOINT,
                says="this is joint attention",
                right_on=lambda answer: _frames_probe(answer, 2, 1),
            ),
        ),
        what_to_see="With both steps, your block gives what the library's gives.",
    ),
    Exercise(
        id="06.5",
        title="Start from an image model",
        core=True,
        difficulty=3,
        importance=5,
        minutes=12,
        why="A video model that starts as an image model has less to learn; one layer of zeros does it.",
        contract=(
            "`image` maps names to weights of an image block: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, "
            "`mlp.fc1`, `mlp.fc2`, each with `.weight` and `.bias`",
            "returns such a dict for a divided block: all of `image` as it is, and the step over time",
            "`temporal_norm1.…` and `temporal_attn.…` start as **copies** of `norm1.…` and `attn.…` (no "
            "shared memory)",
            "`temporal_fc`, a linear layer from D to D, starts so that the step over time adds nothing",
            "the given dict is not changed",
        ),
        stub='''
        def start_from_image(image: dict[str, Tensor]) -> dict[str, Tensor]:
            """The weights of a divided block that starts as this image block."""
            raise NotImplementedError("06.5")
        ''',
        check=check_start_from_image,
        probe=_start_probe,
        hints=(
            "The branch over time is patches + fc(attention(norm(patches))). Which part must be zero so that "
            "it adds nothing, and yet can learn?",
            "Six new tensors are copies: weight and bias of norm1, attn.qkv, attn.proj. Two are new: "
            "(D, D) and (D,).",
            "Copy the dict; for keys that start with norm1. or attn. add a clone under 'temporal_' + key; "
            "torch.zeros for weight and bias of temporal_fc.",
        ),
        solution=answers.START_FROM_IMAGE["by prefix"],
        right_answers=answers.START_FROM_IMAGE,
        wrong_answers=(
            WrongAnswer(
                name="identity", answer=answers.START_FC_IDENTITY, says="temporal_fc is the identity"
            ),
            WrongAnswer(name="small and random", answer=answers.START_FC_RANDOM, says="zero, exactly"),
            WrongAnswer(
                name="the attention zero, too",
                answer=answers.START_ALL_ZERO,
                says="temporal_attn.qkv.weight is zero, and so is temporal_fc",
            ),
            WrongAnswer(
                name="the projection zero, too",
                answer=answers.START_PROJ_ZERO_TOO,
                says="temporal_attn.proj.weight is zero, and so is temporal_fc",
            ),
            WrongAnswer(
                name="shared memory",
                answer=answers.START_SHARED,
                says="not a copy",
                right_on=_start_probe,
            ),
            WrongAnswer(name="fresh norm", answer=answers.START_FRESH_NORM, says="is fresh"),
            WrongAnswer(name="the MLP's norm", answer=answers.START_MLP_NORM, says="copied from norm2"),
            WrongAnswer(
                name="bias forgotten", answer=answers.START_WITHOUT_BIAS, says="only if its bias is zero"
            ),
            WrongAnswer(
                name="zero in the wrong branch", answer=answers.START_ZERO_IN_SPACE, says="became zero"
            ),
        ),
        what_to_see="On a clip that stands still the video model answers as the image model does.",
    ),
    Exercise(
        id="06.6",
        title="Axial attention",
        core=False,
        difficulty=3,
        importance=3,
        minutes=12,
        why="The same trick as over time, for any axis: t + h + w keys instead of t + h·w.",
        contract=(
            "`attention` takes and returns `(rows, n, D)`; `x` holds patches, `(B, t, h, w, D)`",
            '`axis` is `"t"`, `"h"` or `"w"`: the one coordinate in which a patch and its keys may differ '
            '(`"w"`: along a row of the frame)',
            "returns the update, `(B, t, h, w, D)`; `x` is not added; gradients flow",
        ),
        stub='''
        def attend_along(attention, x: Tensor, axis: str) -> Tensor:  # (B, t, h, w, D) -> (B, t, h, w, D)
            """Each patch attends to the patches that differ from it along one axis only."""
            raise NotImplementedError("06.6")
        ''',
        check=check_attend_along,
        probe=lambda answer: [answer(Attending(11), random(2, 3, 5, 7, 11), axis).detach() for axis in "thw"],
        hints=(
            "Over time was one case of this. The chosen axis goes beside D, everything else is folded.",
            "For 'h' there are B·t·w rows of h tokens.",
            "movedim(place, 3), flatten(0, 2), attend, unflatten, movedim(3, place); or three patterns for "
            "rearrange, one for each axis.",
        ),
        solution=answers.ATTEND_ALONG["movedim"],
        right_answers=answers.ATTEND_ALONG,
        wrong_answers=(
            WrongAnswer(
                name="reshape only",
                answer=answers.ALONG_RESHAPED,
                says="a reshape mixes the axes",
                right_on=lambda answer: answer(Attending(7), random(2, 3, 5, 7, 7), "w").detach(),
            ),
            WrongAnswer(
                name="h and w exchanged",
                answer=answers.ALONG_ROWS_AND_COLUMNS,
                says="asked for 'h', it attends along w",
                right_on=lambda answer: answer(Attending(7), random(2, 3, 5, 7, 7), "t").detach(),
            ),
            WrongAnswer(
                name="reshaped back",
                answer=answers.ALONG_NOT_BROUGHT_BACK,
                says="on the way back",
                right_on=lambda answer: answer(Attending(7), random(2, 3, 5, 7, 7), "w").detach(),
            ),
            WrongAnswer(
                name="both other axes", answer=answers.ALONG_THE_OTHERS, says="along both other axes"
            ),
            WrongAnswer(name="joint", answer=answers.ALONG_EVERYTHING, says="all patches of the clip"),
            WrongAnswer(
                name="always time",
                answer=answers.ALONG_TIME_ONLY,
                says="asked for 'h', it attends over time",
                right_on=lambda answer: answer(Attending(7), random(2, 3, 5, 7, 7), "t").detach(),
            ),
        ),
        what_to_see="Change one patch: three lines of the grid move, one for each axis.",
    ),
    Exercise(
        id="06.7",
        title="Local and global masks",
        core=False,
        difficulty=4,
        importance=3,
        minutes=15,
        why="Where no reshape does it, a mask says who may attend; the paper tells this one in words only.",
        contract=(
            "the tokens of a grid of `t × h × w` in the order (t h w); N = t·h·w; no class token",
            "returns two masks, each Bool `(N, N)`, row = query, **True = may attend**",
            "local: keys of **all** frames, in a neighbourhood of ⌈h/2⌉ rows by ⌈w/2⌉ columns around the "
            "query's place, cut off at the border; where such a number is even, the extra position lies "
            "before the query",
            "global: keys that lie an even number of frames, of rows and of columns away from the query "
            "(0 included)",
        ),
        stub='''
        def sparse_masks(t: int, h: int, w: int) -> tuple[Tensor, Tensor]:
            """Who may attend to whom in the local and in the global step, each Bool (N, N)."""
            raise NotImplementedError("06.7")
        ''',
        check=check_sparse_masks,
        probe=lambda answer: [mask.bool() for mask in answer(3, 5, 8)],
        hints=(
            "Give every token its frame, row and column. Everything else is about differences, key minus "
            "query.",
            "token // (h·w), token // w % h, token % w are (N,). A table of differences is "
            "place[None, :] − place[:, None], (N, N).",
            "With n = ⌈h/2⌉ a key is near when −(n // 2) ≤ difference < n − n // 2, the same for columns; "
            "global: all three differences even.",
        ),
        solution=answers.SPARSE_MASKS["coordinates"],
        right_answers=answers.SPARSE_MASKS,
        wrong_answers=(
            WrongAnswer(
                name="own frame only",
                answer=answers.SPARSE_OWN_FRAME,
                says="within the query's own frame",
                right_on=lambda answer: list(answer(1, 5, 7)),
            ),
            WrongAnswer(
                name="even places", answer=answers.SPARSE_EVEN_PLACES, says="the even places of the grid"
            ),
            WrongAnswer(
                name="stride over the flat row",
                answer=answers.SPARSE_FLAT_STRIDE,
                says="over the flat row of tokens",
                right_on=lambda answer: list(answer(1, 1, 7)),
            ),
            WrongAnswer(
                name="every frame",
                answer=answers.SPARSE_EVERY_FRAME,
                says="every frame is taken",
                right_on=lambda answer: list(answer(1, 5, 7)),
            ),
            WrongAnswer(name="exchanged", answer=answers.SPARSE_EXCHANGED, says="are exchanged"),
            WrongAnswer(name="half on each side", answer=answers.SPARSE_WHOLE_WINDOW, says="is too wide"),
            WrongAnswer(
                name="rounded down",
                answer=answers.SPARSE_ROUNDED_DOWN,
                says="rounded down",
                right_on=lambda answer: list(answer(3, 4, 8)),
            ),
            WrongAnswer(
                name="extra position behind",
                answer=answers.SPARSE_TURNED,
                says="behind the query",
                right_on=lambda answer: list(answer(3, 5, 5)),
            ),
            WrongAnswer(
                name="time fastest",
                answer=answers.SPARSE_TIME_FASTEST,
                says="counted with time fastest",
                right_on=lambda answer: list(answer(1, 5, 7)),
            ),
        ),
        what_to_see="Your masks are the library's patterns; together they reach the whole clip.",
    ),
]
