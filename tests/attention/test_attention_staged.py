"""Windows over depth and the staged schedule: the published numbers and what cannot be."""

import pytest

from vtlearn.attention import StagedSchedule, growing_windows
from vtlearn.errors import ArgumentError


def test_schedule_is_the_published_one():
    schedule = StagedSchedule(window_sizes=(33, 8193))
    assert [phase.length for phase in schedule] == [2048, 4096, 8192, 16_384, 23_040]
    assert [phase.learning_rate for phase in schedule] == [2.5e-4, 1.25e-4, 6.25e-5, 3.125e-5, 1.5625e-5]
    assert [phase.window_sizes[0] for phase in schedule] == [33, 65, 129, 257, 513]
    assert schedule[4].window_sizes[0] - 1 == 512  # the published number, which does not count the query
    assert [phase.number for phase in schedule] == [1, 2, 3, 4, 5]
    assert len(schedule) == 5
    assert schedule[-1] == schedule[4] == list(schedule)[-1]


def test_everything_doubles_and_the_rate_halves():
    schedule = StagedSchedule(window_sizes=(5, 9), length=7, learning_rate=0.8, phases=3, longest=10**9)
    for before, after in zip(list(schedule), list(schedule)[1:], strict=False):
        assert after.length == 2 * before.length
        assert after.learning_rate == before.learning_rate / 2
        for old, new in zip(before.window_sizes, after.window_sizes, strict=True):
            assert new - 1 == 2 * (old - 1)
            assert new % 2 == 1


def test_windows_grow_with_depth():
    assert growing_windows(5, 33, 513) == (33, 65, 129, 257, 513)
    twelve = growing_windows(12, 33, 513)
    assert len(twelve) == 12
    assert list(twelve) == sorted(twelve)
    assert (twelve[0], twelve[-1]) == (33, 513)
    assert all(window % 2 for window in twelve)
    assert growing_windows(3, 9, 9) == (9, 9, 9)
    assert growing_windows(3, 1, 9) == (1, 5, 9)
    assert growing_windows(1, 7, 7) == (7,)
    assert growing_windows(3, 129, 33) == (129, 65, 33)


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match=r"window_sizes must be odd.*got 32"):
        StagedSchedule(window_sizes=(32,))
    with pytest.raises(ArgumentError, match=r"window_sizes"):
        StagedSchedule(window_sizes=())
    with pytest.raises(ArgumentError, match=r"length must be at most longest = 100, got 2048"):
        StagedSchedule(window_sizes=(33,), longest=100)
    with pytest.raises(ArgumentError, match=r"learning_rate must be positive, got 0.0"):
        StagedSchedule(window_sizes=(33,), learning_rate=0.0)
    with pytest.raises(ArgumentError, match=r"phases"):
        StagedSchedule(window_sizes=(33,), phases=0)
    with pytest.raises(IndexError, match=r"phase 5 of 5"):
        StagedSchedule(window_sizes=(33,))[5]
    with pytest.raises(ArgumentError, match=r"first must be odd.*got 32"):
        growing_windows(3, 32, 64)
    with pytest.raises(ArgumentError, match=r"last must be equal to first"):
        growing_windows(1, 3, 5)
