"""The laws of frame sampling, for all lengths."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlearn.data.sampling import (
    SegmentSampler,
    StridedSampler,
    UniformSampler,
    WholeVideoSampler,
    last_start,
    multi_view_indices,
    seconds_covered,
    segment_bounds,
    segment_indices,
    strided_indices,
    uniform_indices,
    view_starts,
    whole_video_indices,
)
from vtlearn.errors import ArgumentError

lengths = st.integers(1, 400)
counts = st.integers(1, 70)
strides = st.integers(1, 40)
seeds = st.integers(0, 2**31)
quick = settings(max_examples=150, deadline=None)


def assert_in_video(indices: list[int], length: int, count: int) -> None:
    assert len(indices) == count
    assert all(type(index) is int for index in indices)
    assert indices == sorted(indices)
    assert indices[0] >= 0
    assert indices[-1] < length


@quick
@given(lengths, counts)
def test_uniform_reverses_with_the_video(length: int, count: int) -> None:
    indices = uniform_indices(length, count)
    assert_in_video(indices, length, count)
    mirrored = [length - 1 - index for index in reversed(indices)]
    if length % 2 == 0 and count % 2 == 1:  # no frame lies in the middle
        middle = count // 2
        assert mirrored[middle] == indices[middle] + 1
        del mirrored[middle], indices[middle]
    assert mirrored == indices


@quick
@given(lengths, counts)
def test_uniform_covers_evenly(length: int, count: int) -> None:
    indices = uniform_indices(length, count)
    if count <= length:
        assert len(set(indices)) == count
    else:
        assert set(indices) == set(range(length))
    steps = [b - a for a, b in itertools.pairwise(indices)]
    assert max(steps, default=0) - min(steps, default=0) <= 2
    for index, (first, last) in zip(indices, segment_bounds(length, count), strict=True):
        assert first - 1 <= index <= last + 1


def test_uniform_by_hand() -> None:
    assert uniform_indices(8, 4) == [0, 2, 5, 7]
    assert uniform_indices(9, 3) == [1, 4, 7]
    assert uniform_indices(24, 8) == [1, 4, 7, 10, 13, 16, 19, 22]
    assert uniform_indices(5, 5) == [0, 1, 2, 3, 4]
    assert uniform_indices(1, 3) == [0, 0, 0]
    assert uniform_indices(7, 1) == [3]


@quick
@given(lengths, counts, strides, st.integers(0, 399))
def test_strided_keeps_its_step_and_holds_the_end(length: int, count: int, stride: int, start: int) -> None:
    start %= length
    indices = strided_indices(length, count, stride, start)
    assert_in_video(indices, length, count)
    assert indices[0] == start
    for i, index in enumerate(indices):
        assert index == start + i * stride or (index == length - 1 and start + i * stride >= length)


@quick
@given(lengths, counts, strides)
def test_last_start_is_the_last_that_fits(length: int, count: int, stride: int) -> None:
    last = last_start(length, count, stride)
    span = (count - 1) * stride + 1
    if span <= length:
        assert last + span == length
        assert strided_indices(length, count, stride, last)[-1] == length - 1
    else:
        assert last == 0


@quick
@given(lengths, counts, st.lists(st.integers(0, 10**6), min_size=70, max_size=70))
def test_segments_take_one_frame_of_each_part(length: int, count: int, offsets: list[int]) -> None:
    bounds = segment_bounds(length, count)
    indices = segment_indices(length, count, offsets[:count])
    assert_in_video(indices, length, count)
    assert all(first <= index <= last for index, (first, last) in zip(indices, bounds, strict=True))
    if count <= length:
        parts = [frame for first, last in bounds for frame in range(first, last + 1)]
        assert parts == list(range(length))


@quick
@given(lengths, counts, strides, st.integers(1, 9))
def test_views_spread_over_the_video(length: int, count: int, stride: int, views: int) -> None:
    starts = view_starts(length, count, stride, views)
    last = last_start(length, count, stride)
    assert_in_video(starts, length, views)
    if views > 1:
        assert (starts[0], starts[-1]) == (0, last)
        mirrored = [last - start for start in reversed(starts)]
        differing = [i for i in range(views) if mirrored[i] != starts[i]]
        assert differing in ([], [views // 2] if views % 2 else [])
    for view, start in zip(multi_view_indices(length, count, stride, views), starts, strict=True):
        assert view == strided_indices(length, count, stride, start)


@quick
@given(lengths, strides)
def test_whole_video_reaches_both_ends(length: int, stride: int) -> None:
    indices = whole_video_indices(length, stride)
    assert indices[0] == 0
    assert length - stride <= indices[-1] < length
    assert all(b - a == stride for a, b in itertools.pairwise(indices))


SAMPLERS = [
    UniformSampler(7),
    StridedSampler(num_frames=5, frame_stride=3),
    SegmentSampler(7),
    WholeVideoSampler(frame_stride=2),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize("length", [1, 2, 7, 97])
def test_samplers_follow_their_seed(sampler: object, length: int) -> None:
    assert callable(sampler)

    def draw(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return [sampler(length, generator) for _ in range(20)]

    assert draw(3) == draw(3)
    assert sampler(length) == sampler(length)
    for indices in [*draw(3), sampler(length)]:
        assert_in_video(indices, length, len(sampler(length)))
    chance = isinstance(sampler, StridedSampler | SegmentSampler) and length > 13
    assert (len({tuple(indices) for indices in draw(3)}) > 1) == chance


def test_random_clip_reaches_every_start() -> None:
    sampler = StridedSampler(num_frames=3, frame_stride=2)
    generator = torch.Generator().manual_seed(0)
    assert {sampler(11, generator)[0] for _ in range(200)} == set(range(7))


def test_seconds() -> None:
    assert seconds_covered(8, 32, 30.0) == pytest.approx(8.5333, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: uniform_indices(0, 4), "num_frames_in_video"),
        (lambda: uniform_indices(4, 0), "num_frames"),
        (lambda: strided_indices(9, 3, 0), "frame_stride"),
        (lambda: strided_indices(9, 3, 1, start=9), "start"),
        (lambda: strided_indices(9, 3, 1, start=-1), "start"),
        (lambda: segment_indices(9, 3, [0, 0]), "offsets"),
        (lambda: view_starts(9, 3, 1, 0), "num_views"),
        (lambda: seconds_covered(8, 4, 0.0), "fps"),
    ],
)
def test_bad_arguments_are_named(call: object, argument: str) -> None:
    assert callable(call)
    with pytest.raises(ArgumentError, match=f"^{argument} must be"):
        call()
