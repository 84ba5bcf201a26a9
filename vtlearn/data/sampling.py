"""Which frames of a video make a clip: pure functions of integers, and samplers that are handed their chance.

Every function takes the number of frames in the video and gives frame numbers from 0 to that number minus 1,
never descending. A video shorter than asked for repeats frames; it is never read past its end.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from vtlearn.errors import require, require_positive


def uniform_indices(num_frames_in_video: int, num_frames: int) -> list[int]:
    """The middle frames of ``num_frames`` equal parts of the video.

    Reversing the video reverses the clip: where a middle falls between two frames, the first half of the clip
    takes the earlier one and the second half the later one. (An odd clip of an even video has no frame in the
    middle; it takes the earlier of the two.)

    Source: the sparse sampling of TSN, section 3.1 (arXiv 1608.00859), without its chance.

    >>> uniform_indices(10, 5)
    [0, 2, 4, 7, 9]
    >>> uniform_indices(2, 4)
    [0, 0, 1, 1]
    """
    require_positive(num_frames_in_video=num_frames_in_video, num_frames=num_frames)
    doubled = [(2 * i + 1) * num_frames_in_video for i in range(num_frames)]  # middles, times 2 · num_frames
    return [
        -(-middle // (2 * num_frames)) - 1 if 2 * i + 1 <= num_frames else middle // (2 * num_frames)
        for i, middle in enumerate(doubled)
    ]


def strided_indices(
    num_frames_in_video: int, num_frames: int, frame_stride: int, start: int = 0
) -> list[int]:
    """Every ``frame_stride``-th frame from ``start``; past the end of the video its last frame is held.

    Args:
        num_frames_in_video: frames there are.
        num_frames: frames wanted.
        frame_stride: step from one to the next, in frames.
        start: first frame, from 0 to ``num_frames_in_video - 1``.

    Raises:
        ArgumentError: a start outside the video, or a count below 1.

    >>> strided_indices(10, 4, 2, start=3)
    [3, 5, 7, 9]
    >>> strided_indices(6, 4, 2, start=3)
    [3, 5, 5, 5]
    """
    require_positive(
        num_frames_in_video=num_frames_in_video, num_frames=num_frames, frame_stride=frame_stride
    )
    require(0 <= start < num_frames_in_video, "start", start, f"from 0 to {num_frames_in_video - 1}")
    return [min(start + i * frame_stride, num_frames_in_video - 1) for i in range(num_frames)]


def last_start(num_frames_in_video: int, num_frames: int, frame_stride: int) -> int:
    """The latest start from which a strided clip still lies within the video; 0 where none does.

    >>> last_start(10, 4, 2)
    3
    """
    require_positive(
        num_frames_in_video=num_frames_in_video, num_frames=num_frames, frame_stride=frame_stride
    )
    return max(0, num_frames_in_video - 1 - (num_frames - 1) * frame_stride)


def segment_bounds(num_frames_in_video: int, num_frames: int) -> list[tuple[int, int]]:
    """First and last frame of each of ``num_frames`` equal parts; an empty part holds its nearest one.

    >>> segment_bounds(10, 3)
    [(0, 2), (3, 5), (6, 9)]
    >>> segment_bounds(2, 3)
    [(0, 0), (0, 0), (1, 1)]
    """
    require_positive(num_frames_in_video=num_frames_in_video, num_frames=num_frames)
    edges = [i * num_frames_in_video // num_frames for i in range(num_frames + 1)]
    return [(first, max(first, end - 1)) for first, end in itertools.pairwise(edges)]


def segment_indices(num_frames_in_video: int, num_frames: int, offsets: Sequence[int]) -> list[int]:
    """One frame of each equal part: the one ``offsets[i]`` after the first, taken modulo the part's length.

    Source: TSN, section 3.1 (arXiv 1608.00859); usual for Something-Something.

    >>> segment_indices(10, 3, offsets=[1, 0, 7])
    [1, 3, 9]
    """
    bounds = segment_bounds(num_frames_in_video, num_frames)
    require(len(offsets) == num_frames, "offsets", list(offsets), f"{num_frames} integers")
    return [
        first + offset % (last - first + 1) for (first, last), offset in zip(bounds, offsets, strict=True)
    ]


def view_starts(num_frames_in_video: int, num_frames: int, frame_stride: int, num_views: int) -> list[int]:
    """Starts of ``num_views`` strided clips spread evenly over the video; a single one lies in the middle.

    Reversing the video reverses the views, save for the middle one of an odd number of views.

    >>> view_starts(100, 8, 4, num_views=3)
    [0, 35, 71]
    """
    require_positive(num_views=num_views)
    last = last_start(num_frames_in_video, num_frames, frame_stride)
    if num_views == 1:
        return [last // 2]
    gaps = num_views - 1
    return [i * last // gaps if 2 * i <= gaps else -(-i * last // gaps) for i in range(num_views)]


def multi_view_indices(
    num_frames_in_video: int, num_frames: int, frame_stride: int, num_views: int
) -> list[list[int]]:
    """The frames of every view of `view_starts`: what is scored one by one and averaged at test time.

    >>> multi_view_indices(9, 2, 4, num_views=2)
    [[0, 4], [4, 8]]
    """
    starts = view_starts(num_frames_in_video, num_frames, frame_stride, num_views)
    return [strided_indices(num_frames_in_video, num_frames, frame_stride, start) for start in starts]


def whole_video_indices(num_frames_in_video: int, frame_stride: int = 1) -> list[int]:
    """Every ``frame_stride``-th frame of the whole video; they are the positions that VTN is told.

    >>> whole_video_indices(10, 3)
    [0, 3, 6, 9]
    """
    require_positive(num_frames_in_video=num_frames_in_video, frame_stride=frame_stride)
    return list(range(0, num_frames_in_video, frame_stride))


def seconds_covered(num_frames: int, frame_stride: int, fps: float) -> float:
    """Seconds of video that a strided clip stands for: each frame for the ``frame_stride`` frames from it on.

    >>> round(seconds_covered(8, 32, fps=30.0), 2)
    8.53
    """
    require_positive(num_frames=num_frames, frame_stride=frame_stride)
    require(fps > 0, "fps", fps, "above 0")
    return num_frames * frame_stride / fps


@runtime_checkable
class FrameSampler(Protocol):
    """Chooses the frames of one clip; without a generator the choice is fixed and central."""

    def __call__(self, num_frames_in_video: int, generator: torch.Generator | None = None) -> list[int]:
        """Frame numbers for a video of that many frames."""
        ...


@dataclass(frozen=True)
class UniformSampler:
    """Middles of equal parts of the whole video, by `uniform_indices`; no chance in it.

    >>> UniformSampler(4)(24)
    [2, 8, 15, 21]
    """

    num_frames: int

    def __call__(self, num_frames_in_video: int, generator: torch.Generator | None = None) -> list[int]:
        return uniform_indices(num_frames_in_video, self.num_frames)


@dataclass(frozen=True)
class StridedSampler:
    """A strided clip: anywhere in the video with a generator, in its middle without one.

    >>> StridedSampler(num_frames=4, frame_stride=2)(11)
    [2, 4, 6, 8]
    """

    num_frames: int
    frame_stride: int

    def __call__(self, num_frames_in_video: int, generator: torch.Generator | None = None) -> list[int]:
        last = last_start(num_frames_in_video, self.num_frames, self.frame_stride)
        start = last // 2 if generator is None else _draw(last + 1, generator)
        return strided_indices(num_frames_in_video, self.num_frames, self.frame_stride, start)


@dataclass(frozen=True)
class SegmentSampler:
    """One frame of each equal part: any of them with a generator, the middle one without.

    >>> SegmentSampler(3)(9)
    [1, 4, 7]
    """

    num_frames: int

    def __call__(self, num_frames_in_video: int, generator: torch.Generator | None = None) -> list[int]:
        if generator is None:
            return uniform_indices(num_frames_in_video, self.num_frames)
        bounds = segment_bounds(num_frames_in_video, self.num_frames)
        offsets = [_draw(last - first + 1, generator) for first, last in bounds]
        return segment_indices(num_frames_in_video, self.num_frames, offsets)


@dataclass(frozen=True)
class WholeVideoSampler:
    """Every ``frame_stride``-th frame of the whole video, however long it is.

    >>> WholeVideoSampler(frame_stride=4)(10)
    [0, 4, 8]
    """

    frame_stride: int = 1

    def __call__(self, num_frames_in_video: int, generator: torch.Generator | None = None) -> list[int]:
        return whole_video_indices(num_frames_in_video, self.frame_stride)


def _draw(count: int, generator: torch.Generator) -> int:
    """An integer from 0 to ``count - 1``."""
    return int(torch.randint(count, (), generator=generator))
