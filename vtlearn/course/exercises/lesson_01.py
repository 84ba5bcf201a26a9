"""The exercises of lesson 01: which frames, how many seconds, which layout, in which order, which files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_01 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_integers,
    expect_number,
    expect_raises,
    expect_tensor,
)
from vtlearn.errors import DataError

# 01.1 and 01.2: which frames


def check_uniform_frames(uniform_frames: Callable[[int, int], Sequence[int]]) -> None:
    """A long video, as many frames as wanted, short videos; a middle on a border may fall to either side."""
    for length, wanted in ((300, 8), (24, 8), (23, 5), (7, 7), (10, 4), (5, 8), (2, 7), (1, 3), (9000, 250)):
        frames = _frame_numbers(call(uniform_frames, length, wanted), length, wanted)
        doubled = [(2 * i + 1) * length for i in range(wanted)]  # the middles, times 2 · wanted
        below = [middle // (2 * wanted) for middle in doubled]
        or_before = [-(-middle // (2 * wanted)) - 1 for middle in doubled]
        if all(frame in pair for frame, *pair in zip(frames, below, or_before, strict=True)):
            continue
        step = length // wanted
        expect_equal(
            frames,
            below,
            name=f"the choice of {wanted} frames out of {length}",
            likely={
                "the first and the last frame of the video are both taken: those are the outer borders; take "
                "the middle of each part": [i * (length - 1) // max(1, wanted - 1) for i in range(wanted)],
                "the first and the last frame of the video are both taken; take the middle of each part": [
                    round(i * (length - 1) / max(1, wanted - 1)) for i in range(wanted)
                ],
                "these are the starts of the parts; take their middles": [
                    i * length // wanted for i in range(wanted)
                ],
                "these are the last frames of the parts; take their middles": [
                    max(0, (i + 1) * length // wanted - 1) for i in range(wanted)
                ],
                f"the parts are all {max(1, step)} frames long, cut to a whole number, so the end of the "
                f"video is "
                "never seen: round once, at the very end": [
                    min(i * max(1, step) + max(1, step) // 2, length - 1) for i in range(wanted)
                ],
                "these are the starts of parts cut to a whole number of frames: take middles, and round "
                "once, "
                "at the very end": [min(i * max(1, step), length - 1) for i in range(wanted)],
                "a middle was rounded up: frame j is on show from j to j + 1, so round down": [
                    min(math.ceil(middle / (2 * wanted)), length - 1) for middle in doubled
                ],
                "a middle was rounded to the nearest number: frame j is on show from j to j + 1, so round "
                "down": [min(round(middle / (2 * wanted)), length - 1) for middle in doubled],
                "these are the first frames of the video; spread them over all of it": [
                    min(i, length - 1) for i in range(wanted)
                ],
            },
            otherwise=f"cut the video into {wanted} equal parts, take what is on show in the middle of each",
        )


def check_strided_frames(strided_frames: Callable[[int, int, int, int], Sequence[int]]) -> None:
    """Inside the video, from a start, then past the end."""
    cases = ((300, 8, 32, 0), (300, 8, 4, 17), (50, 5, 1, 45), (50, 7, 3, 40), (12, 8, 32, 3), (1, 4, 2, 0))
    for length, wanted, stride, start in cases:
        given = call(strided_frames, length, wanted, stride, start)
        unclamped = [start + i * stride for i in range(wanted)]
        right = [min(frame, length - 1) for frame in unclamped]
        where = f"from frame {start} of {length} with stride {stride}"
        frames = _frame_numbers(
            given,
            length,
            wanted,
            name=f"the choice {where}",
            likely={
                "past the end it begins again at the front of the video: a clip that jumps back in time "
                "shows "
                "a motion that never was; hold the last frame": [frame % length for frame in unclamped]
            },
        )
        inside = [frame for frame in unclamped if frame < length]
        latest = min(start, max(0, length - 1 - (wanted - 1) * stride))
        expect_equal(
            frames,
            right,
            name=f"the choice {where}",
            likely={
                "start is ignored: the clip begins at frame 0": [
                    min(i * stride, length - 1) for i in range(wanted)
                ],
                "this leaves out frame_stride frames between two; a stride of s goes from frame j to frame "
                "j + s": [min(start + i * (stride + 1), length - 1) for i in range(wanted)],
                "past the end this repeats the last frame that was taken; the contract holds the last "
                "frame of the "
                "video": inside + inside[-1:] * (wanted - len(inside)),
                "the clip was moved back until it fits: it begins before start": [
                    min(latest + i * stride, length - 1) for i in range(wanted)
                ],
                "the stride is ignored: these are neighbouring frames": [
                    min(start + i, length - 1) for i in range(wanted)
                ],
                "the clip begins one stride too late: its first frame is start itself": [
                    min(start + (i + 1) * stride, length - 1) for i in range(wanted)
                ],
            },
            otherwise="place i shows frame start + i · frame_stride, or the last one, where that lies beyond",
        )


def _frame_numbers(
    given: Any,
    length: int,
    wanted: int,
    *,
    name: str = "",
    likely: Mapping[str, list[int]] | None = None,
) -> list[int]:
    """Integers, as many as wanted, inside the video and never descending."""
    name = name or f"the choice of {wanted} frames out of {length}"
    frames = expect_integers(given, name=name)
    for sentence, value in (likely or {}).items():
        if frames == value and (max(value) >= length or value != sorted(value)):
            raise Mistake(sentence)
    if frames and max(frames) >= length:
        raise Mistake(
            f"{name} asks for frame {max(frames)}, but a video of {length} frames ends with "
            f"frame {length - 1}: counting starts at 0"
        )
    expect(
        not frames or min(frames) >= 0, f"{name} asks for frame {min(frames, default=0)}, before the start"
    )
    reason = "so a short video repeats frames" if len(frames) < wanted else "neither more nor fewer"
    expect(
        len(frames) == wanted,
        f"{name} has {len(frames)} frames instead of {wanted}: a clip has the same number of places "
        f"whatever the video's length, {reason}",
    )
    expect(frames == sorted(frames), f"{name} goes back in time: frame numbers never descend")
    return frames


# 01.3: seconds


def check_seconds_covered(seconds_covered: Callable[[int, int, float], float]) -> None:
    """A number, then values: the usual clip, other rates, a stride of one."""
    for frames, stride, fps in ((8, 32, 30.0), (96, 4, 30.0), (16, 8, 25.0), (13, 1, 24.0), (1, 5, 29.97)):
        given = call(seconds_covered, frames, stride, fps)
        seconds = expect_number(given, name="the time covered")
        right = frames * stride / fps
        expect_close(
            seconds,
            right,
            name=f"the time covered by {frames} frames with stride {stride} at {fps:g} frames per second",
            likely={
                "this is the time from the first frame to the last; the last one stands for frame_stride "
                "frames "
                "as well": (frames - 1) * stride / fps,
                "the last frame stands for frame_stride frames like every other, not for a single one": (
                    (frames - 1) * stride + 1
                )
                / fps,
                "the stride is missing: each frame stands for frame_stride frames of the video": frames / fps,
                "frames per second divide: more of them in a second make the same clip shorter": (
                    frames * stride * fps
                ),
                "the stride divides: a larger stride covers more of the video, not less": frames
                / (fps * stride),
                "this is the inverse: divide frames by frames per second": fps / (frames * stride),
                "the stride alone: this is the time between two frames of the clip": stride / fps,
                "the result is cut to whole seconds: divide with / instead of //": float(right // 1),
                "the result is rounded: hand back the exact number, and round where you print it": round(
                    right, 1
                ),
                "the result is rounded; hand back the exact number, and round where you print it": round(
                    right, 2
                ),
                "the result is rounded to whole seconds": float(round(right)),
                "the result is rounded up to whole seconds": float(math.ceil(right)),
                "every video is taken for one of 30 frames per second; its own rate is handed in as fps": (
                    frames * stride / 30
                ),
                "the rate is cut to a whole number; 29.97 frames per second are not 29": (
                    frames * stride / int(fps)
                ),
                "these are milliseconds; the contract asks for seconds": 1000 * right,
            },
            otherwise="count the frames of the video that the clip stands for, and divide by their rate",
            rtol=1e-6,
            atol=1e-9,
        )


# 01.4: layout


def check_to_clips(to_clips: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Type, shape, range, then values with every swapped axis and every slip of the normalising named."""
    frames = torch.randint(0, 256, (2, 5, 7, 11, 3), dtype=torch.uint8)
    mean, std = torch.tensor([0.3, 0.45, 0.6]), torch.tensor([0.2, 0.25, 0.4])
    clips = expect_tensor(
        call(to_clips, frames, mean, std),
        (2, 5, 3, 7, 11),
        kind="float",
        name="the batch of clips",
        likely={
            (2, 3, 5, 7, 11): "the channels stand before time; this course puts time first: (B, T, C, H, W)",
            (2, 5, 3, 11, 7): "rows and columns are exchanged",
            (2, 5, 7, 11, 3): "the channels are still last; a model wants them before rows and columns",
            (10, 3, 7, 11): "clips and frames are merged into one axis; keep B and T apart",
            (5, 2, 3, 7, 11): "clips and time are exchanged",
        },
    )
    expect_finite(clips, name="the batch of clips")
    expect(
        clips.dtype in (torch.float32, torch.float64),
        f"the batch of clips is of type {clips.dtype}, too coarse here: compute with torch.float32",
    )
    pixels = frames.double().permute(0, 1, 4, 2, 3)
    m, s = mean.double().view(3, 1, 1), std.double().view(3, 1, 1)
    scaled = pixels / 255
    scrambled = (frames.reshape(2, 5, 3, 7, 11).double() / 255 - m) / s
    turned = frames.permute(0, 1, 4, 3, 2).reshape(2, 5, 3, 7, 11).double() / 255
    backwards = scaled.flip(2)
    own_mean = scaled.mean((0, 1, 3, 4), keepdim=True)
    own_std = scaled.std((0, 1, 3, 4), keepdim=True)
    expect_close(
        clips,
        (scaled - m) / s,
        name="the batch of clips",
        likely={
            "reshape alone does not move axes: the numbers are still in the order b, t, h, w, c; permute "
            "them": (scrambled),
            "rows and columns are mixed up: permute axes, do not only rename them": (turned - m) / s,
            "the channels are in reverse order (BGR): decoded frames are red, green, blue already": (
                (backwards - m) / s
            ),
            "each channel meets the mean of another one": (scaled - m.flip(0)) / s.flip(0),
            "the bytes were not scaled: divide by 255 before the mean is subtracted": (pixels - m) / s,
            "the largest byte is 255, so divide by 255: white must become exactly 1": (pixels / 256 - m) / s,
            "subtract the mean first, then divide by the standard deviation": scaled / s - m,
            "this multiplies by the standard deviation; divide by it": (scaled - m) * s,
            "dividing bytes by bytes cuts to whole numbers: make floats first": (
                (frames // 255).double() - mean
            )
            .div(std.double())
            .permute(0, 1, 4, 2, 3),
            "this only scales to 0 … 1: mean and std are not used": scaled,
            "std is not used": scaled - m,
            "mean is not used": scaled / s,
            "this uses the clip's own mean and deviation; use those that are handed in, so that a dark "
            "clip stays "
            "dark": (scaled - own_mean) / own_std,
            "one mean for all channels: each channel has its own": (scaled - m.mean()) / s.mean(),
            "this scales to -1 … 1; use the mean and std that are handed in": 2 * scaled - 1,
        },
        otherwise="scale to 0 … 1, subtract each channel's mean, divide by its std",
        rtol=1e-4,
        atol=1e-4,
    )
    small = torch.randint(0, 256, (1, 2, 3, 3, 3), dtype=torch.uint8)  # columns are as many as channels
    expect_close(
        expect_tensor(call(to_clips, small, mean, std), (1, 2, 3, 3, 3), kind="float"),
        (small.double().permute(0, 1, 4, 2, 3) / 255 - m) / s,
        name="a clip as wide as it has channels",
        likely={
            "where W equals C the mean was lined up with the columns instead of the channels": (
                small.double().permute(0, 1, 4, 2, 3) / 255 - mean.double()
            )
            / std.double()
        },
    )
    four = torch.randint(0, 256, (1, 2, 5, 3, 4), dtype=torch.uint8)  # no three channels: no fixed 3
    means, deviations = torch.tensor([0.3, 0.45, 0.6, 0.2]), torch.tensor([0.2, 0.25, 0.4, 0.3])
    expect_close(
        expect_tensor(
            call(to_clips, four, means, deviations),
            (1, 2, 4, 5, 3),
            kind="float",
            name="a clip with four channels",
        ),
        (four.double() / 255 - means).div(deviations).permute(0, 1, 4, 2, 3),
        name="a clip with four channels",
        otherwise="take the number of channels from the frames",
        atol=1e-4,
    )


# 01.5: order


def check_shuffle_score(shuffle_score: Callable[[Tensor], float]) -> None:
    """A number; still clips, two frames, reversal and brightness; then values; then bytes."""
    clip = torch.rand(5, 3, 2, 7).cumsum(0)
    score = expect_number(call(shuffle_score, clip), name="the score")
    still = expect_number(call(shuffle_score, clip[:1].repeat(5, 1, 1, 1)), name="the score of a still clip")
    expect(
        math.isfinite(still),
        f"a still clip gives {still}: nothing divided by nothing; the contract says 1.0 where no two "
        f"frames differ",
    )
    expect_close(
        still, 1.0, name="the score of a still clip", otherwise="it is 1.0 where no two frames differ"
    )
    expect(math.isfinite(score), f"the score is {score}, expected a finite number")
    uneven = torch.rand(6, 3, 2, 7).square()
    for frames in (clip, uneven):
        _expect_score(call(shuffle_score, frames), frames, "the score")
    two = torch.rand(2, 3, 2, 7)
    expect_close(
        expect_number(call(shuffle_score, two)),
        1.0,
        name="the score of two frames",
        otherwise="the only pair are neighbours, so both means are the same",
    )
    expect_close(
        expect_number(call(shuffle_score, clip.flip(0))),
        score,
        name="the score of the reversed clip",
        otherwise="neighbours stay neighbours when a clip runs backwards",
    )
    expect_close(
        expect_number(call(shuffle_score, 3 * clip + 1)),
        score,
        name="the score of a brighter clip",
        otherwise="brightness and contrast cancel",
    )
    four = torch.rand(4, 1, 3, 5)
    every = [expect_number(call(shuffle_score, four[list(o)])) for o in itertools.permutations(range(4))]
    expect_close(sum(every) / len(every), 1.0, name="the mean score over all orders of four frames")
    darker = 200 - 30 * torch.arange(5).reshape(5, 1, 1, 1)
    whole = (darker + torch.randint(0, 50, (5, 3, 2, 7))).to(torch.uint8)
    expect_close(
        expect_number(call(shuffle_score, whole), name="the score of a clip of bytes"),
        expect_number(call(shuffle_score, whole.float())),
        name="the score of a clip of bytes",
        otherwise="bytes wrap round, and 3 - 5 is 254 for a uint8: make floats before you subtract",
    )
    flat = torch.rand(5, 7).cumsum(0)
    _expect_score(
        call(shuffle_score, flat), flat, "the score of frames that are rows of numbers, (T, numbers)"
    )


def _expect_score(given: Any, clip: Tensor, name: str) -> None:
    frames = clip.double().flatten(1)
    count = len(frames)
    apart = (frames[:, None] - frames[None]).abs().mean(-1)
    near, pairs = apart.diagonal(1).mean(), apart.sum() / (count * (count - 1))
    squared = (frames[:, None] - frames[None]).square().mean(-1)
    expect_close(
        expect_number(given, name=name),
        near / pairs,
        name=name,
        likely={
            "the step from the last frame back to the first was counted: they are not neighbours": (
                apart.diagonal(1).sum() + apart[0, -1]
            )
            / count
            / pairs,
            "differences cancel where brightness rises and falls: take the absolute value before the mean": (
                frames[-1] - frames[0]
            ).mean()
            / (count - 1)
            / pairs,
            "the sign was dropped after the mean: take the absolute value of each pixel's difference": (
                frames[1:] - frames[:-1]
            )
            .mean(-1)
            .abs()
            .mean()
            / pairs,
            "a frame paired with itself was counted among the pairs: they must be two different frames": near
            / apart.mean(),
            "the differences were squared: take their absolute value": squared.diagonal(1).mean()
            / (squared.sum() / (count * (count - 1))),
            "the root of the squared differences was taken: take the mean of their absolute "
            "values": squared.diagonal(1).sqrt().mean() / (squared.sqrt().sum() / (count * (count - 1))),
            "this compares with the first frame only; the second mean is over all pairs": near
            / apart[0, 1:].mean(),
            "these are sums, not means: the number of neighbours and the number of pairs "
            "differ": apart.diagonal(1).sum() / (apart.sum() / 2),
            "the fraction is upside down": pairs / near,
            "this is the first mean alone; divide it by the mean over all pairs": near,
        },
        otherwise="mean absolute difference of neighbours, divided by that of all pairs of different frames",
    )


# 01.6: files


_ON_DISK: dict[str, Tensor | Exception] = {
    "wave.mp4": torch.full((2, 3), 1.0),
    "jump.mp4": DataError("jump.mp4: truncated (3 of 24 announced frames present)"),
    "clap.mp4": torch.full((2, 3), 2.0),
    "bend.mp4": torch.full((2, 3), 3.0),
    "spin.mp4": DataError("spin.mp4: no video stream"),
    "bow.mp4": torch.full((2, 3), 4.0),
}


class _Reader:
    """Reads from a table, raises what stands there, and remembers what it was asked for."""

    def __init__(self, table: Mapping[str, Tensor | Exception]) -> None:
        self.table = table
        self.asked: list[str] = []

    def __call__(self, path: str) -> Tensor:
        self.asked.append(path)
        found = self.table[path]
        if isinstance(found, Exception):
            raise found
        return found


def check_load_all(load_all: Callable[..., tuple[list[Tensor], dict[str, str]]]) -> None:
    """Whole files, files with corrupt ones among them, a bug in the reader, nothing readable."""
    good = {path: value for path, value in _ON_DISK.items() if isinstance(value, Tensor)}
    bad = {path: str(value) for path, value in _ON_DISK.items() if isinstance(value, Exception)}
    clips, skipped = _clips_and_skipped(call(load_all, list(good), _Reader(good)))
    _expect_clips(clips, list(good.values()), bad=0, files=len(good))
    expect(skipped == {}, f"all files are whole, but skipped holds {len(skipped)} of them")

    reader = _Reader(_ON_DISK)
    clips, skipped = _clips_and_skipped(call(load_all, list(_ON_DISK), reader))
    _expect_clips(clips, list(good.values()), bad=len(bad), files=len(_ON_DISK))
    expect(
        len(skipped) > 0,
        "the corrupt files were dropped in silence: note each of them in skipped, so that somebody can see "
        "it",
    )
    expect(
        set(skipped) == set(bad),
        f"skipped has the keys {sorted(map(str, skipped))}, expected the paths of the files that failed",
    )
    for path, reason in bad.items():
        expect(
            reason in str(skipped[path]),
            f"skipped[{path!r}] is {skipped[path]!r}: it should say why, in the words of the error itself",
        )
    expect(
        reader.asked == list(_ON_DISK),
        f"the files were read in the order {reader.asked}: read each once, in the order given",
    )

    broken_code = _Reader(_ON_DISK | {"clap.mp4": ZeroDivisionError("division by zero")})
    expect_raises(
        load_all,
        ZeroDivisionError,
        list(_ON_DISK),
        broken_code,
        because="a bug in read must come out, not be counted as a corrupt file: catch DataError only",
    )
    nothing = {path: value for path, value in _ON_DISK.items() if isinstance(value, Exception)}
    expect_raises(
        load_all,
        DataError,
        list(nothing),
        _Reader(nothing),
        because="where not one file can be read there is nothing to train on",
    )


def _clips_and_skipped(given: Any) -> tuple[list[Any], dict[Any, Any]]:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        kind = "None" if given is None else f"a {type(given).__name__}"
        raise Mistake(
            f"the result is {kind}, expected two things: the list of clips, and the dict of the skipped"
        )
    clips, skipped = given
    if isinstance(clips, Tensor):
        raise Mistake(
            "the first result is one tensor, expected a list of clips: they need not be of one length"
        )
    expect(
        isinstance(clips, (list, tuple)),
        f"the first result is a {type(clips).__name__}, expected a list of clips",
    )
    expect(
        isinstance(skipped, dict),
        f"the second result is a {type(skipped).__name__}, expected a dict from path to reason",
    )
    return list(clips), skipped


def _expect_clips(clips: list[Any], right: list[Tensor], *, bad: int, files: int) -> None:
    expect(
        not any(clip is None for clip in clips),
        "there is a None among the clips: a place for what could not be read breaks the next step; leave "
        "it out",
    )
    expect(all(isinstance(clip, Tensor) for clip in clips), "the clips are not what read returned")
    values = [float(clip.flatten()[0]) for clip in clips]
    wanted = [float(clip.flatten()[0]) for clip in right]
    if len(values) > len(set(values)):
        raise Mistake(
            "a clip stands there twice: another one took the place of a corrupt file, and would be trained "
            "on twice "
            "under a wrong label"
        )
    expect(
        len(clips) == len(right),
        f"{len(clips)} clips came back; of {files} files {bad} are corrupt, so {len(right)} can be read: "
        "does reading stop at the first corrupt one?",
    )
    expect(
        values == wanted,
        "the clips are in another order than their paths: labels would no longer belong to them",
    )


EXERCISES = [
    Exercise(
        id="01.1",
        title="Frames spread over the whole video",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="Every model here sees a fixed number of frames, and videos have any number of them.",
        contract=(
            "`num_frames_in_video` and `num_frames` are whole numbers of at least 1",
            "cut the video into `num_frames` equal parts; place `i` of the clip shows the frame that is on "
            "show in the "
            "middle of part `i` (frame `j` is on show from `j` to `j + 1`)",
            "returns `num_frames` whole numbers from `0` to `num_frames_in_video - 1`, never descending: a "
            "list, or an "
            "array or tensor with one axis",
            "a video shorter than the clip repeats frames; where a middle falls exactly between two "
            "frames, either "
            "will do",
        ),
        stub='''
        def uniform_frames(num_frames_in_video: int, num_frames: int) -> list[int]:
            """The frames in the middle of num_frames equal parts of a video."""
            raise NotImplementedError("01.1")
        ''',
        check=check_uniform_frames,
        probe=lambda answer: [round(float(frame), 3) for frame in answer(23, 5)],
        hints=(
            "Think of a ruler as long as the video. Cut it into equal parts, which need not be whole "
            "numbers long; put "
            "a dot in the middle of each; read which frame each dot falls on.",
            "A part is num_frames_in_video / num_frames long. Part 0 begins at 0; its middle lies half a "
            "part later. "
            "The frame under a dot is the whole number below it.",
            "For i in range(num_frames): (i + one half) times the length of a part, cut to a whole number "
            "at the very "
            "end; // does both steps at once if you double everything first.",
        ),
        solution=answers.UNIFORM["integers"],
        right_answers=answers.UNIFORM,
        wrong_answers=(
            WrongAnswer(
                name="linspace from the first frame to the last",
                answer=answers.UNIFORM_BOTH_ENDS,
                says="first and the last frame of the video are both taken",
                right_on=lambda answer: answer(7, 7),
            ),
            WrongAnswer(
                name="starts of the parts",
                answer=answers.UNIFORM_STARTS,
                says="these are the starts of the parts",
                right_on=lambda answer: answer(7, 7),
            ),
            WrongAnswer(
                name="a whole-number step",
                answer=answers.UNIFORM_WHOLE_STEP,
                says="the end of the video is never seen",
                right_on=lambda answer: answer(15, 5),
            ),
            WrongAnswer(name="rounded up", answer=answers.UNIFORM_ROUNDED_UP, says="so round down"),
            WrongAnswer(
                name="a short video gives fewer",
                answer=answers.UNIFORM_NO_REPEATS,
                says="a short video repeats frames",
                right_on=lambda answer: answer(23, 5),
            ),
            WrongAnswer(
                name="the first frames",
                answer=answers.UNIFORM_FIRST_FRAMES,
                says="the first frames of the video; spread them",
                right_on=lambda answer: answer(7, 7),
            ),
            WrongAnswer(
                name="drawn by chance", answer=answers.UNIFORM_CHANCE, says="cut the video into 8 equal parts"
            ),
            WrongAnswer(name="decimals", answer=answers.UNIFORM_DECIMALS, says="expected an integer"),
        ),
        what_to_see="24 frames, 8 places: 1, 4, 7, … 22, as far from the start as from the end.",
    ),
    Exercise(
        id="01.2",
        title="Every s-th frame from here",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why=(
            "TimeSformer and ViViT read clips of a fixed stride; the end of the video is where loaders break."
        ),
        contract=(
            "`num_frames_in_video`, `num_frames` and `frame_stride` are whole numbers of at least 1; "
            "`start` lies from "
            "`0` to `num_frames_in_video - 1`",
            "place `i` of the clip shows frame `start + i · frame_stride`",
            "where that lies past the end, the place shows the last frame of the video",
            "returns `num_frames` whole numbers: a list, or an array or tensor with one axis",
        ),
        stub='''
        def strided_frames(
            num_frames_in_video: int, num_frames: int, frame_stride: int, start: int
        ) -> list[int]:
            """Every frame_stride-th frame from start; past the end the last frame is held."""
            raise NotImplementedError("01.2")
        ''',
        check=check_strided_frames,
        probe=lambda answer: [int(frame) for frame in answer(50, 7, 3, 40)],
        hints=(
            "First write down the frames as if the video never ended. Then think about those it does not "
            "have.",
            "num_frames numbers: start, start + frame_stride, and so on. The largest allowed is the number "
            "of the last "
            "frame, and counting begins at 0.",
            "The smaller of two numbers, for each place: min(…, …) in a comprehension, or a clamp with "
            "max=….",
        ),
        solution=answers.STRIDED["list"],
        right_answers=answers.STRIDED,
        wrong_answers=(
            WrongAnswer(
                name="off by one at the end",
                answer=answers.STRIDED_OFF_BY_ONE,
                says="counting starts at 0",
                right_on=lambda answer: answer(300, 8, 4, 17),
            ),
            WrongAnswer(
                name="stops at the end",
                answer=answers.STRIDED_STOPS,
                says="a short video repeats frames",
                right_on=lambda answer: answer(300, 8, 4, 17),
            ),
            WrongAnswer(
                name="begins again at the front",
                answer=answers.STRIDED_WRAPS,
                says="begins again at the front",
                right_on=lambda answer: answer(300, 8, 4, 17),
            ),
            WrongAnswer(
                name="ignores the start",
                answer=answers.STRIDED_IGNORES_START,
                says="start is ignored",
                right_on=lambda answer: answer(300, 8, 4, 0),
            ),
            WrongAnswer(
                name="leaves out s frames between two",
                answer=answers.STRIDED_LEAVES_OUT,
                says="leaves out frame_stride frames",
            ),
            WrongAnswer(
                name="holds the last frame taken",
                answer=answers.STRIDED_HOLDS_TAKEN,
                says="repeats the last frame that was taken",
                right_on=lambda answer: answer(50, 5, 1, 48),
            ),
            WrongAnswer(
                name="moves the start back",
                answer=answers.STRIDED_MOVES_START,
                says="begins before start",
                right_on=lambda answer: answer(300, 8, 4, 17),
            ),
        ),
        what_to_see="Inside the video an even comb; past its end the last frame again and again.",
    ),
    Exercise(
        id="01.3",
        title="How many seconds does a clip see?",
        core=True,
        difficulty=1,
        importance=4,
        minutes=5,
        why=(
            "“8 frames” says nothing about time; papers compare models that see two seconds with "
            "models that see ten."
        ),
        contract=(
            "`num_frames` and `frame_stride` are whole numbers of at least 1, `fps` is the video's frames "
            "per second",
            "each frame of the clip stands for itself and the `frame_stride - 1` frames after it",
            "returns the seconds of video that the clip stands for, unrounded",
        ),
        stub='''
        def seconds_covered(num_frames: int, frame_stride: int, fps: float) -> float:
            """Seconds of video that a strided clip stands for."""
            raise NotImplementedError("01.3")
        ''',
        check=check_seconds_covered,
        probe=lambda answer: float(answer(8, 32, 30.0)),
        hints=(
            "How many frames of the video does the clip stand for, those between its own included?",
            "Frames divided by frames per second are seconds.",
            "All three numbers occur once: two are multiplied, the third divides.",
        ),
        solution=answers.SECONDS["formula"],
        right_answers=answers.SECONDS,
        wrong_answers=(
            WrongAnswer(
                name="from the first frame to the last",
                answer=answers.SECONDS_FIRST_TO_LAST,
                says="time from the first frame to the last",
            ),
            WrongAnswer(
                name="the last frame counted once",
                answer=answers.SECONDS_LAST_COUNTED_ONCE,
                says="not for a single one",
                right_on=lambda answer: answer(8, 1, 30.0),
            ),
            WrongAnswer(
                name="without the stride",
                answer=answers.SECONDS_NO_STRIDE,
                says="the stride is missing",
                right_on=lambda answer: answer(8, 1, 30.0),
            ),
            WrongAnswer(
                name="whole seconds",
                answer=answers.SECONDS_WHOLE,
                says="cut to whole seconds",
                right_on=lambda answer: answer(60, 2, 30.0),
            ),
            WrongAnswer(
                name="times the rate", answer=answers.SECONDS_TIMES_RATE, says="frames per second divide"
            ),
            WrongAnswer(
                name="divided by the stride",
                answer=answers.SECONDS_DIVIDED_BY_STRIDE,
                says="the stride divides",
                right_on=lambda answer: answer(8, 1, 30.0),
            ),
            WrongAnswer(
                name="rounded",
                answer=answers.SECONDS_ROUNDED,
                says="hand back the exact number",
                right_on=lambda answer: answer(60, 2, 30.0),
            ),
            WrongAnswer(
                name="always 30 a second",
                answer=answers.SECONDS_AT_30,
                says="taken for one of 30 frames per second",
                right_on=lambda answer: answer(7, 3, 30.0),
            ),
        ),
        what_to_see="8 frames with stride 32 at 30 frames per second: about 8.5 seconds.",
    ),
    Exercise(
        id="01.4",
        title="From the decoder's layout to the model's",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why="A wrong layout raises no error: the model simply learns from noise.",
        contract=(
            "`frames` are decoded bytes of shape `(B, T, H, W, C)`; `mean` and `std` are float tensors of "
            "shape `(C,)`",
            "bytes become numbers from 0 to 1 (255 becomes 1); then each channel has its mean subtracted "
            "and is "
            "divided by its std",
            "returns floats (torch.float32 or wider) of shape `(B, T, C, H, W)`",
            "does not change its arguments",
        ),
        stub='''
        def to_clips(frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
            """Decoded bytes (B, T, H, W, C) as normalised clips (B, T, C, H, W) for a model."""
            raise NotImplementedError("01.4")
        ''',
        check=check_to_clips,
        probe=lambda answer: answer(
            torch.arange(2 * 5 * 7 * 11 * 3).remainder(251).to(torch.uint8).reshape(2, 5, 7, 11, 3),
            torch.tensor([0.3, 0.45, 0.6]),
            torch.tensor([0.2, 0.25, 0.4]),
        ),
        hints=(
            "Two separate things: what the numbers mean (bytes, then 0 … 1, then normalised), and where "
            "they stand. "
            "Do the first while the channels are still last.",
            "A (C,) tensor lines up with the last axis by itself. One axis moves: from place 4 to place 2.",
            "(frames / 255 - …) / …, then rearrange with five letters on each side.",
        ),
        solution=answers.TO_CLIPS["einops"],
        right_answers=answers.TO_CLIPS,
        wrong_answers=(
            WrongAnswer(
                name="reshape instead of permute",
                answer=answers.CLIPS_RESHAPED,
                says="reshape alone does not move axes",
                right_on=lambda answer: answer(*_grey_clip()),
            ),
            WrongAnswer(
                name="blue first",
                answer=answers.CLIPS_BGR,
                says="(BGR)",
                right_on=lambda answer: answer(*_grey_clip()),
            ),
            WrongAnswer(
                name="rows and columns exchanged",
                answer=answers.CLIPS_TURNED,
                says="rows and columns are exchanged",
                right_on=lambda answer: answer(*_grey_clip()),
            ),
            WrongAnswer(name="bytes not scaled", answer=answers.CLIPS_NOT_SCALED, says="were not scaled"),
            WrongAnswer(name="divided by 256", answer=answers.CLIPS_256, says="the largest byte is 255"),
            WrongAnswer(
                name="std before mean", answer=answers.CLIPS_STD_FIRST, says="subtract the mean first"
            ),
            WrongAnswer(
                name="times std", answer=answers.CLIPS_TIMES_STD, says="multiplies by the standard deviation"
            ),
            WrongAnswer(
                name="bytes divided by bytes", answer=answers.CLIPS_BYTES, says="cuts to whole numbers"
            ),
            WrongAnswer(
                name="channels before time",
                answer=answers.CLIPS_CHANNELS_BEFORE_TIME,
                says="the channels stand before time",
            ),
            WrongAnswer(
                name="the clip's own statistics",
                answer=answers.CLIPS_OWN_STATISTICS,
                says="the clip's own mean and deviation",
            ),
            WrongAnswer(
                name="one mean for all", answer=answers.CLIPS_ONE_MEAN, says="each channel has its own"
            ),
            WrongAnswer(
                name="always three channels",
                answer=answers.CLIPS_OF_THREE,
                says="is invalid for input of size 4",
                right_on=lambda answer: answer(*_grey_clip()),
            ),
            WrongAnswer(name="half precision", answer=answers.CLIPS_IN_HALF, says="too coarse"),
        ),
        what_to_see="Mean near 0, and a picture that looks right once the normalising is undone.",
    ),
    Exercise(
        id="01.5",
        title="A detector of shuffled frames",
        core=True,
        difficulty=3,
        importance=4,
        minutes=15,
        why=(
            "Shuffling the frames is the simplest test of whether a model uses time; here you see what "
            "it destroys."
        ),
        contract=(
            "`clip` has shape `(T, …)` with at least two frames; its numbers are floats or bytes",
            "the numerator is the mean absolute difference between neighbouring frames",
            "the denominator is the mean absolute difference over all pairs of two different frames",
            "returns their quotient as one number; exactly `1.0` where no two frames differ",
        ),
        stub='''
        def shuffle_score(clip: Tensor) -> float:  # (T, ...) -> a number
            """How far neighbouring frames lie apart, measured by how far any two frames do."""
            raise NotImplementedError("01.5")
        ''',
        check=check_shuffle_score,
        probe=lambda answer: float(
            answer((torch.arange(5.0)[:, None] * torch.tensor([1.0, 2.0, -0.5])).sin().cumsum(0))
        ),
        hints=(
            "In a film, neighbours look alike. In a shuffled film, neighbours are just any two frames. So "
            "compare the "
            "two means.",
            "The T - 1 neighbours are clip[1:] against clip[:-1]. The pairs are T (T - 1) / 2. Both become "
            "one number.",
            "Floats first; .abs().mean() of the neighbours' difference; the same in two loops over s < t "
            "(or with two "
            "None axes) for the pairs; look at the divisor before you divide.",
        ),
        solution=answers.SHUFFLE_SCORE["all pairs at once"],
        right_answers=answers.SHUFFLE_SCORE,
        wrong_answers=(
            WrongAnswer(
                name="round the corner",
                answer=answers.SCORE_ROUND_THE_CORNER,
                says="from the last frame back to the first",
                right_on=lambda answer: answer(torch.tensor([[0.2, 0.7], [0.9, 0.1]])),
            ),
            WrongAnswer(
                name="signed differences",
                answer=answers.SCORE_SIGNED,
                says="take the absolute value before the mean",
                right_on=lambda answer: answer(torch.arange(10.0).reshape(5, 2)),
            ),
            WrongAnswer(
                name="frames paired with themselves",
                answer=answers.SCORE_SELF_PAIRS,
                says="paired with itself",
                right_on=lambda answer: answer(torch.ones(5, 2)),
            ),
            WrongAnswer(
                name="squared differences",
                answer=answers.SCORE_SQUARED,
                says="differences were squared",
                right_on=lambda answer: answer(torch.tensor([[0.2, 0.7], [0.9, 0.1]])),
            ),
            WrongAnswer(
                name="bytes wrap round",
                answer=answers.SCORE_BYTES_WRAP,
                says="bytes wrap round",
                right_on=lambda answer: answer(torch.arange(10.0).reshape(5, 2).sin()),
            ),
            WrongAnswer(
                name="a still clip gives nan",
                answer=answers.SCORE_STILL_NAN,
                says="nothing divided by nothing",
                right_on=lambda answer: answer(torch.arange(10.0).reshape(5, 2)),
            ),
            WrongAnswer(
                name="compared with the first frame",
                answer=answers.SCORE_FROM_FIRST,
                says="compares with the first frame only",
                right_on=lambda answer: answer(torch.tensor([[0.2, 0.7], [0.9, 0.1]])),
            ),
            WrongAnswer(
                name="sums instead of means",
                answer=answers.SCORE_SUMS,
                says="these are sums",
                right_on=lambda answer: answer(torch.tensor([[0.2, 0.7], [0.9, 0.1]])),
            ),
            WrongAnswer(
                name="only (T, C, H, W)",
                answer=answers.SCORE_OF_FOUR_AXES,
                says="raised EinopsError",
                right_on=lambda answer: answer(torch.arange(30.0).square().reshape(5, 1, 2, 3)),
            ),
        ),
        what_to_see=(
            "Well below 1 for a clip in order, around 1 for a shuffled one, and the same both ways in time."
        ),
    ),
    Exercise(
        id="01.6",
        title="A loader that survives a corrupt file",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why=(
            "Of a data set with hundreds of thousands of videos some are always broken, and one must "
            "not end the run."
        ),
        contract=(
            "`paths` is a list; `read(path)` gives a clip, or raises `DataError` where the file cannot be "
            "read",
            "returns `(clips, skipped)`: the list of the clips that could be read, in the order of their "
            "paths, and a "
            "dict from the path of each other file to the words of its error",
            "reads each file once; any other error than `DataError` is a bug and comes out",
            "raises `DataError` itself where not one file could be read",
        ),
        stub='''
        from collections.abc import Callable

        from vtlearn.errors import DataError


        def load_all(paths: list[str], read: Callable[[str], Tensor]) -> tuple[list[Tensor], dict[str, str]]:
            """The clips that can be read, and why each of the others cannot."""
            raise NotImplementedError("01.6")
        ''',
        check=check_load_all,
        probe=lambda answer: answer(list(_ON_DISK), _Reader(_ON_DISK)),
        hints=(
            "One file must not end the loop, and nothing may vanish: whatever is not a clip becomes an "
            "entry with its "
            "reason.",
            "A list and a dict grow side by side; each path ends up in exactly one of them. The try stands "
            "inside the "
            "loop and holds one line.",
            "try: … except DataError as error: skipped[path] = … ; after the loop, an empty list is an "
            "error too.",
        ),
        solution=answers.LOAD_ALL["loop"],
        right_answers=answers.LOAD_ALL,
        wrong_answers=(
            WrongAnswer(
                name="no try",
                answer=answers.LOAD_NO_TRY,
                says="your function raised DataError",
                right_on=lambda answer: answer(["wave.mp4", "bow.mp4"], _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="stops at the first",
                answer=answers.LOAD_STOPS,
                says="does reading stop at the first corrupt one",
                right_on=lambda answer: answer(["wave.mp4", "jump.mp4"], _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="dropped in silence",
                answer=answers.LOAD_SILENT,
                says="dropped in silence",
                right_on=lambda answer: answer(["wave.mp4", "bow.mp4"], _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="every error is caught",
                answer=answers.LOAD_HIDES_BUGS,
                says="catch DataError only",
                right_on=lambda answer: answer(list(_ON_DISK), _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="None for what is missing",
                answer=answers.LOAD_PLACEHOLDER,
                says="a None among the clips",
            ),
            WrongAnswer(
                name="the clip before stands in",
                answer=answers.LOAD_STAND_IN,
                says="took the place of a corrupt file",
                right_on=lambda answer: answer(["wave.mp4", "bow.mp4"], _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="sorted paths",
                answer=answers.LOAD_SORTED,
                says="another order than their paths",
                right_on=lambda answer: answer(["bow.mp4", "wave.mp4"], _Reader(_ON_DISK)),
            ),
            WrongAnswer(name="no reason given", answer=answers.LOAD_NO_REASON, says="it should say why"),
            WrongAnswer(
                name="nothing readable is fine",
                answer=answers.LOAD_EMPTY_IS_FINE,
                says="nothing to train on",
                right_on=lambda answer: answer(list(_ON_DISK), _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="reads twice",
                answer=answers.LOAD_TWICE,
                says="read each once",
                right_on=lambda answer: answer(list(_ON_DISK), _Reader(_ON_DISK)),
            ),
            WrongAnswer(
                name="removes from the list it walks along",
                answer=answers.LOAD_REMOVES,
                says="clips came back; of 6 files",
            ),
        ),
        what_to_see="As many clips as whole files, and each broken file by name with its reason.",
    ),
]


def _grey_clip() -> tuple[Tensor, Tensor, Tensor]:
    """A clip of one grey, square, and the same statistics for each channel: no slip of axes shows on it."""
    return torch.full((1, 2, 5, 5, 3), 90, dtype=torch.uint8), torch.full((3,), 0.4), torch.full((3,), 0.2)
