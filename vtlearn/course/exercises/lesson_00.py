"""The exercises of lesson 00: a warm-up on the mean over time, and a drill in einops."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_00 as answers
from vtlearn.course.judge import call, expect, expect_close, expect_tensor


def check_mean_frame(mean_frame: Callable[[Tensor], Tensor]) -> None:
    """Type, shape, a static clip, then values with the usual slips named."""
    clip = torch.rand(5, 3, 7, 11)
    picture = expect_tensor(
        call(mean_frame, clip),
        (3, 7, 11),
        kind="float",
        name="the mean frame",
        likely={
            (1, 3, 7, 11): "the time axis is still there with length 1; drop it",
            (5, 7, 11): "this averages over the channels; time is the first axis",
            (5, 3, 11): "this averages over the rows; time is the first axis",
            (5, 3): "this averages over rows and columns; time is the first axis",
            (): "this averages over everything; only the time axis goes",
        },
    )
    expect(
        picture.dtype == clip.dtype, f"the mean frame is of type {picture.dtype}, the clip of {clip.dtype}"
    )
    static = clip[:1].repeat(5, 1, 1, 1)
    expect_close(
        call(mean_frame, static),
        static[0],
        name="the mean of five equal frames",
        likely={
            "five equal frames come out five times as bright: divide by the number of frames": 5 * clip[0]
        },
    )
    expect_close(
        picture,
        clip.mean(dim=0),
        name="the mean frame",
        likely={
            "this is one frame of the clip, not the mean of all": clip[2],
            "this is the first frame, not the mean of all": clip[0],
            "this is the median over time, not the mean": clip.median(dim=0).values,
            "this is the mean of the first and the last frame; every frame counts": (clip[0] + clip[-1]) / 2,
            "the last frame is left out: does the loop stop one too early?": clip[:-1].sum(dim=0) / 5,
            "the last frame is left out: does a slice stop one too early?": clip[:-1].mean(dim=0),
            "the first frame is left out: counting starts at 0": clip[1:].mean(dim=0),
            "the frames do not weigh alike: a mean of the mean so far and the next frame halves the weight "
            "of all before; add up first, divide once": _halved(clip),
            "this is the largest value over time, not the mean": clip.amax(dim=0),
        },
        otherwise="add up the frames, divide by their number",
    )
    single = clip[:1]
    expect_close(call(mean_frame, single), single[0], name="the mean of a single frame")
    grey = torch.rand(2, 1, 7, 5)
    expect_close(
        expect_tensor(
            call(mean_frame, grey),
            (1, 7, 5),
            name="the mean frame of a grey clip, with one channel",
            likely={
                (
                    7,
                    5,
                ): "only the time axis goes; squeeze() takes the channel axis along, since its length is 1"
            },
        ),
        grey.mean(dim=0),
        name="the mean frame of a grey clip",
    )


def _halved(clip: Tensor) -> Tensor:
    """The mean of what came so far and the next frame, again and again: not the mean of all."""
    so_far = clip[0]
    for frame in clip[1:]:
        so_far = (so_far + frame) / 2
    return so_far


def check_contact_sheet(contact_sheet: Callable[[Tensor], Tensor]) -> None:
    """Type, shape, then values with every swapped axis named."""
    clip = torch.rand(5, 3, 7, 11)
    sheet = expect_tensor(
        call(contact_sheet, clip),
        (7, 55, 3),
        name="the sheet",
        likely={
            (3, 7, 55): "the channels come last in a picture for the screen",
            (35, 11, 3): "the frames are stacked downwards; lay them side by side, along the width",
            (11, 35, 3): "rows and columns are exchanged",
            (7, 5, 11, 3): "the frames still have an axis of their own; merge it into the width",
        },
    )
    expect(sheet.dtype == clip.dtype, f"the sheet is of type {sheet.dtype}, the clip of {clip.dtype}")
    expect_close(
        sheet,
        rearrange(clip, "t c h w -> h (t w) c"),
        name="the sheet",
        likely={
            "the frames' columns are interleaved: time must be the slow part of the merged axis": rearrange(
                clip, "t c h w -> h (w t) c"
            ),
            "reshape alone does not move axes: the numbers are in the order t, c, h, w; permute them first": (
                clip.reshape(7, 55, 3)
            ),
            "the frames run backwards, from right to left": rearrange(clip.flip(0), "t c h w -> h (t w) c"),
            "the channels are in reverse order": rearrange(clip.flip(1), "t c h w -> h (t w) c"),
            "the axes are exchanged by a reshape: name them, as in einops": (
                clip.permute(0, 2, 3, 1).reshape(7, 55, 3)
            ),
        },
        otherwise="column j of frame k belongs to column k · W + j of the sheet",
    )
    whole = torch.arange(2 * 2 * 5 * 7, dtype=torch.uint8).reshape(
        2, 2, 5, 7
    )  # no three channels: no fixed 3
    small = expect_tensor(
        call(contact_sheet, whole), (5, 14, 2), name="the sheet of a clip of whole numbers with two channels"
    )
    expect(
        small.dtype == torch.uint8, f"a clip of torch.uint8 came out as {small.dtype}: only move the numbers"
    )
    expect_close(small, rearrange(whole, "t c h w -> h (t w) c"), name="the sheet of a clip of whole numbers")


EXERCISES = [
    Exercise(
        id="00.1",
        title="Warm-up: the mean frame",
        core=True,
        difficulty=1,
        importance=3,
        minutes=5,
        why="The simplest video model averages over time; this lesson shows what that throws away.",
        contract=(
            "`clip` is a float tensor of shape `(T, C, H, W)`, with `T` at least 1",
            "returns the mean over time, of shape `(C, H, W)` and of the clip's type",
            "does not change `clip`",
        ),
        stub='''
        def mean_frame(clip: Tensor) -> Tensor:  # (T, C, H, W) -> (C, H, W)
            """The mean of a clip over time."""
            raise NotImplementedError("00.1")
        ''',
        check=check_mean_frame,
        probe=lambda answer: answer(torch.linspace(0, 1, 5 * 3 * 7 * 11).square().reshape(5, 3, 7, 11)),
        hints=(
            "Think of T pictures on a pile: for each pixel, add up what all of them show and divide by T.",
            "The axis of length T disappears, (T, C, H, W) becomes (C, H, W); time is axis 0.",
            "A tensor's mean takes the axis to remove as dim=…; einops has reduce(…, '… -> …', 'mean').",
        ),
        solution=answers.MEAN_FRAME["einops"],
        right_answers=answers.MEAN_FRAME,
        wrong_answers=(
            WrongAnswer(
                name="sum without division",
                answer=answers.MEAN_FRAME_SUM,
                says="divide by the number of frames",
                right_on=lambda answer: answer(torch.arange(30.0).reshape(1, 2, 3, 5)),
            ),
            WrongAnswer(
                name="the middle frame",
                answer=answers.MEAN_FRAME_MIDDLE,
                says="one frame of the clip, not the mean",
                right_on=lambda answer: answer(torch.arange(30.0).reshape(1, 2, 3, 5).repeat(7, 1, 1, 1)),
            ),
            WrongAnswer(
                name="first and last only",
                answer=answers.MEAN_FRAME_ENDS,
                says="every frame counts",
                right_on=lambda answer: answer(torch.arange(60.0).reshape(2, 2, 3, 5)),
            ),
            WrongAnswer(
                name="wrong axis", answer=answers.MEAN_FRAME_CHANNELS, says="averages over the channels"
            ),
            WrongAnswer(name="axis kept", answer=answers.MEAN_FRAME_KEPT, says="still there with length 1"),
            WrongAnswer(
                name="squeezes all",
                answer=answers.MEAN_FRAME_SQUEEZED,
                says="only the time axis goes",
                right_on=lambda answer: answer(torch.arange(60.0).reshape(2, 2, 3, 5)),
            ),
            WrongAnswer(
                name="mean of mean and next",
                answer=answers.MEAN_FRAME_HALVED,
                says="do not weigh alike",
                right_on=lambda answer: answer(torch.arange(60.0).reshape(2, 2, 3, 5)),
            ),
            WrongAnswer(name="adds up inside the clip", answer=answers.MEAN_FRAME_IN_PLACE, says="in place"),
        ),
        what_to_see="A blurred picture: whatever stands still stays sharp, whatever moves leaves a smear.",
    ),
    Exercise(
        id="00.2",
        title="An einops drill: the contact sheet",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="Every model of this course folds and unfolds axes; einops lets you say which, by name.",
        contract=(
            "`clip` is a tensor of any type, of shape `(T, C, H, W)`",
            "returns one picture of shape `(H, T · W, C)`: the frames side by side, the first on the left",
            "keeps the clip's type",
        ),
        stub='''
        def contact_sheet(clip: Tensor) -> Tensor:  # (T, C, H, W) -> (H, T * W, C)
            """The frames of a clip side by side, as one picture with its channels last."""
            raise NotImplementedError("00.2")
        ''',
        check=check_contact_sheet,
        probe=lambda answer: answer(torch.arange(5.0 * 3 * 7 * 11).reshape(5, 3, 7, 11)),
        hints=(
            "Two axes become one: which runs slowly and which quickly as you walk along the wide picture?",
            "The rows come first, then the width with time outside and columns inside, then the channels.",
            "rearrange(clip, '… -> …') with four letters on the left and one pair of brackets on the right.",
        ),
        solution=answers.CONTACT_SHEET["einops"],
        right_answers=answers.CONTACT_SHEET,
        wrong_answers=(
            WrongAnswer(
                name="interleaved columns",
                answer=answers.SHEET_INTERLEAVED,
                says="interleaved",
                right_on=lambda answer: answer(torch.arange(105.0).reshape(1, 3, 5, 7)),
            ),
            WrongAnswer(
                name="reshape only", answer=answers.SHEET_RESHAPED, says="reshape alone does not move axes"
            ),
            WrongAnswer(name="stacked downwards", answer=answers.SHEET_DOWNWARDS, says="side by side"),
            WrongAnswer(
                name="channels first", answer=answers.SHEET_CHANNELS_FIRST, says="channels come last"
            ),
            WrongAnswer(
                name="backwards",
                answer=answers.SHEET_BACKWARDS,
                says="run backwards",
                right_on=lambda answer: answer(torch.arange(105.0).reshape(1, 3, 5, 7).repeat(2, 1, 1, 1)),
            ),
            WrongAnswer(name="scaled to 0 … 1", answer=answers.SHEET_AS_FLOAT, says="only move the numbers"),
            WrongAnswer(
                name="always three channels",
                answer=answers.SHEET_OF_THREE,
                says="is invalid for input of size",
                right_on=lambda answer: answer(torch.arange(105.0).reshape(1, 3, 5, 7)),
            ),
        ),
        what_to_see="Eight frames in a row, from left to right: you read the motion like a comic strip.",
    ),
]
