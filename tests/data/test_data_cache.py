"""Caches: the same frames as without them, within the bound, and of this very video."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vtlearn.data import cache as caches
from vtlearn.data.batches import Batches, Epochs
from vtlearn.data.cache import FrameCache
from vtlearn.data.decode import VideoReader, decode_all, open_video
from vtlearn.data.kinetics import ClipRecord
from vtlearn.data.loader import ClipDataset
from vtlearn.data.sampling import StridedSampler
from vtlearn.data.transforms import RandomCrop
from vtlearn.errors import ArgumentError, DataError


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, clip_writer: Callable[..., np.ndarray]) -> list[Path]:
    """Five videos of 7 frames, 20 × 30."""
    folder = tmp_path_factory.mktemp("videos")
    for i in range(5):
        clip_writer(folder / f"v{i}.mp4", num_frames=7, height=20, width=30, seed=i)
    return sorted(folder.iterdir())


ONE = 7 * 20 * 30 * 3  # bytes of a decoded video


@pytest.mark.parametrize("short_side", [None, 13])
def test_the_same_frames_as_without(
    videos: list[Path], tmp_path: Path, short_side: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = FrameCache(tmp_path / "cache", max_bytes=10 * ONE)
    with open_video(videos[0]) as video:
        expected = video.frames([6, 0, 3, 3], None if short_side is None else (13, 20))
        facts = (video.num_frames, video.fps, video.decoder)
    with kept.open(videos[0], short_side=short_side) as first:
        assert torch.equal(first.frames([6, 0, 3, 3]), expected)

    def refuse(*_: object, **__: object) -> VideoReader:
        raise AssertionError("decoded twice")

    monkeypatch.setattr(caches, "open_video", refuse)
    with kept.open(videos[0], short_side=short_side) as again:
        assert torch.equal(again.frames([6, 0, 3, 3]), expected)
        assert (again.num_frames, again.fps, again.decoder) == facts
        assert again.size == tuple(expected.shape[1:3])


def test_the_bound_is_kept_and_the_unused_goes_first(videos: list[Path], tmp_path: Path) -> None:
    kept = FrameCache(tmp_path, max_bytes=3 * (ONE + 4200))
    for turn, video in enumerate([*videos[:3], videos[0], videos[3]]):
        with kept.open(video):
            pass
        for path in tmp_path.iterdir():  # a clock coarser than this test
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))
        assert kept.num_bytes() <= kept.max_bytes, turn
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 3
    expected = {caches._key(videos[i], "frames", "None") + ".safetensors" for i in (0, 2, 3)}
    assert names == expected
    small = FrameCache(tmp_path / "small", max_bytes=ONE - 1)
    with small.open(videos[0], short_side=None) as video:
        assert torch.equal(video.frames(range(7)), decode_all(videos[0]))
    assert small.num_bytes() == 0


def test_an_open_video_survives_its_removal(videos: list[Path], tmp_path: Path) -> None:
    kept = FrameCache(tmp_path, max_bytes=ONE + 4200)
    with kept.open(videos[0]) as first:
        with kept.open(videos[1]):
            pass
        assert torch.equal(first.frames([5]), decode_all(videos[0])[[5]])


def test_a_changed_video_and_a_damaged_file_are_decoded_anew(videos: list[Path], tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    video.write_bytes(videos[0].read_bytes())
    kept = FrameCache(tmp_path / "cache", max_bytes=10 * ONE)
    for changed, source in enumerate(videos[:2], start=5):
        video.write_bytes(source.read_bytes().ljust(9000, b"\0"))  # the same size; only the time tells
        os.utime(video, ns=(changed, changed))
        with kept.open(video) as opened:
            assert torch.equal(opened.frames(range(7)), decode_all(source))
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with kept.open(video) as opened:
        assert torch.equal(opened.frames(range(7)), decode_all(videos[1]))
    with pytest.raises(DataError, match=r"absent\.mp4: cannot be opened"):
        kept.open(tmp_path / "absent.mp4")
    with pytest.raises(ArgumentError, match=r"^max_bytes must be"):
        FrameCache(tmp_path, max_bytes=0)


def test_batches_are_the_same_through_the_cache_and_its_workers(videos: list[Path], tmp_path: Path) -> None:
    records = [ClipRecord(path=path, labels={"label": i}) for i, path in enumerate(videos)]
    records.append(ClipRecord(path=tmp_path / "gone.mp4", labels={"label": 9}))

    def batched(cache: FrameCache | None, workers: int) -> Batches:
        dataset = ClipDataset(
            records,
            StridedSampler(3, 2),
            short_side=16,
            transform=RandomCrop(13),
            random=True,
            cache=cache,
        )
        return Batches(dataset, Epochs(6, batch_size=4), num_workers=workers)

    plain, kept = batched(None, 0), batched(FrameCache(tmp_path / "cache", max_bytes=3 * ONE), 2)
    for one, other in zip(plain(0, 4), kept(0, 4), strict=True):
        assert one["path"] == other["path"]
        assert torch.equal(one["clip"], other["clip"])
    assert list(kept.skipped) == [str(tmp_path / "gone.mp4")]
