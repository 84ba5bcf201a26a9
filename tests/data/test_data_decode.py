"""One door to frames: the same pixels from every decoder in any order; damage is named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vtlearn.data import decode
from vtlearn.data.decode import (
    DECODERS,
    FASTEST,
    available_decoders,
    decode_all,
    decord_available,
    open_video,
    torchcodec_available,
)
from vtlearn.data.manifest import check_file
from vtlearn.errors import ArgumentError, DataError

needs_decord = pytest.mark.skipif(not decord_available(), reason="decord is not installed here")
needs_torchcodec = pytest.mark.skipif(
    not torchcodec_available(), reason="torchcodec is not installed here, or without FFmpeg's libraries"
)
each_decoder = pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord), None])


def plainly_decoded(path: Path) -> Tensor:
    """Frame after frame, with no index, no seeking and no shared state."""
    import av

    with av.open(str(path)) as container:
        return torch.from_numpy(np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]))


@each_decoder
def test_frames_in_any_order(grouped_clip: Path, decoder: str | None) -> None:
    expected = plainly_decoded(grouped_clip)
    assert expected.shape == (53, 34, 46, 3)
    rng = np.random.default_rng(0)
    with open_video(grouped_clip, decoder) as video:
        assert (video.num_frames, video.fps, video.size) == (53, 10.0, (34, 46))
        assert video.duration == pytest.approx(5.3)
        orders = [range(53), range(0, 53, 8), [52], [0], [51, 52, 0, 1], [3, 3, 3], range(52, -1, -1)]
        orders += [rng.integers(0, 53, 6).tolist() for _ in range(20)]
        for order in orders:
            assert torch.equal(video.frames(order), expected[list(order)]), order
        assert torch.equal(video.frames(torch.tensor([5, 4])), expected[[5, 4]])
        assert torch.equal(video.frames(np.array([7])), expected[[7]])
        assert video.decoder == (decoder or ("decord" if decord_available() else "pyav"))


@each_decoder
def test_colours_and_rows_are_where_they_were(tmp_path: Path, decoder: str | None) -> None:
    import av

    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32], picture[:16, 32:], picture[16:, :32] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
    with av.open(str(tmp_path / "corners.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    frames = decode_all(tmp_path / "corners.mp4", decoder)
    assert frames.shape == (3, 32, 64, 3)
    assert (frames[1, 8, 16].int() - torch.tensor([250, 10, 10])).abs().max() < 30
    assert (frames[1, 8, 48].int() - torch.tensor([10, 250, 10])).abs().max() < 30
    assert (frames[1, 24, 16].int() - torch.tensor([10, 10, 250])).abs().max() < 30


@each_decoder
@pytest.mark.parametrize(
    "options", [{"g": "5"}, {"g": "5", "bf": "0"}, {"g": "250"}, {"x264-params": "open-gop=1:keyint=6"}]
)
def test_seeking_gives_what_reading_through_gives(
    tmp_path: Path, clip_writer: Callable[..., np.ndarray], decoder: str | None, options: dict[str, str]
) -> None:
    path = tmp_path / "clip.mp4"
    clip_writer(path, num_frames=41, seed=3, **options)
    if "x264-params" in options and decoder == "decord":
        with pytest.raises(DataError, match="decord would number its frames wrongly"):
            open_video(path, decoder)
        return
    expected = plainly_decoded(path)
    assert len(expected) == 41
    for index in range(41):
        with open_video(path, decoder) as video:
            assert torch.equal(video.frames([index]), expected[[index]]), index
    with open_video(path, decoder) as video:
        assert torch.equal(video.frames([2, 30, 31, 39]), expected[[2, 30, 31, 39]])


def test_a_container_that_leads_elsewhere(grouped_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def astray(self: Any, frame: int = 0) -> None:
        self._container.seek(self._times[self._keys[-1]], stream=self._stream)
        self._decoded = None

    monkeypatch.setattr(decode._PyavReader, "_restart", astray)
    with open_video(grouped_clip, "pyav") as video:
        assert torch.equal(video.frames([20, 3]), plainly_decoded(grouped_clip)[[20, 3]])


@each_decoder
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_containers(
    tmp_path: Path, clip_writer: Callable[..., np.ndarray], decoder: str | None, suffix: str
) -> None:
    if suffix == ".avi" and decoder == "decord":
        pytest.skip("AVI stores no times, which decord needs; PyAV takes over")
    path = tmp_path / f"clip{suffix}"
    before = clip_writer(path, num_frames=17)
    frames = decode_all(path, decoder)
    assert torch.equal(frames, plainly_decoded(path))
    assert np.abs(frames.numpy()[:, 8:-8, 8:-8].astype(int) - before[:, 8:-8, 8:-8]).mean() < 20


@each_decoder
def test_one_frame(tmp_path: Path, clip_writer: Callable[..., np.ndarray], decoder: str | None) -> None:
    clip_writer(tmp_path / "one.mp4", num_frames=1)
    with open_video(tmp_path / "one.mp4", decoder) as video:
        assert video.num_frames == 1
        assert video.duration == pytest.approx(0.1)
        assert video.frames([0, 0]).shape == (2, 34, 46, 3)


@each_decoder
def test_resizing_while_reading(grouped_clip: Path, decoder: str | None) -> None:
    with open_video(grouped_clip, decoder) as video:
        small = video.frames(range(40), size=(17, 23))
        assert small.shape == (40, 17, 23, 3)
        assert small.dtype == torch.uint8
        assert small.is_contiguous()
        whole = video.frames(range(40)).float().reshape(40, 17, 2, 23, 2, 3).mean((2, 4))
    assert (small.float() - whole)[:, 2:-2, 2:-2].abs().mean() < 4


@each_decoder
def test_indices_outside_are_refused(small_clip: Path, decoder: str | None) -> None:
    with open_video(small_clip, decoder) as video:
        for indices in ([0, 13], [-1], []):
            with pytest.raises(ArgumentError, match=r"^indices must be"):
                video.frames(indices)


@needs_torchcodec
@pytest.mark.parametrize("options", [{"g": "7", "bf": "3"}, {"bf": "0"}])
def test_torchcodec_gives_the_same_pixels(
    tmp_path: Path, clip_writer: Callable[..., np.ndarray], options: dict[str, str]
) -> None:
    clip_writer(tmp_path / "clip.mp4", num_frames=23, **options)
    expected = plainly_decoded(tmp_path / "clip.mp4")
    with open_video(tmp_path / "clip.mp4", "torchcodec") as video:
        assert (video.decoder, video.num_frames, video.size) == ("torchcodec", 23, (34, 46))
        for order in (range(23), [22, 0, 7, 7], [13]):
            assert torch.equal(video.frames(order), expected[list(order)]), order
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"text\.mp4: cannot be decoded"):
        open_video(tmp_path / "text.mp4", "torchcodec")


def test_the_fastest_is_named_and_gives_the_same_pixels(grouped_clip: Path) -> None:
    with open_video(grouped_clip, FASTEST) as video:
        assert video.decoder == "pyav"
        assert torch.equal(video.frames([52, 3, 4]), plainly_decoded(grouped_clip)[[52, 3, 4]])


def test_a_decoder_that_is_not_there_is_refused(small_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(available_decoders()) <= set(DECODERS)
    assert "pyav" in available_decoders()
    monkeypatch.setattr(decode, "_torchcodec_loads", False)
    with pytest.raises(ArgumentError, match=r"^decoder must be installed .*, got 'torchcodec'"):
        open_video(small_clip, "torchcodec")
    monkeypatch.setattr(decode, "_decord_refused", "it is not for this machine")
    with pytest.raises(ArgumentError, match=r"^decoder must be installed .*, got 'decord'"):
        open_video(small_clip, "decord")
    with open_video(small_clip) as video:
        assert (video.decoder, len(video.frames([0]))) == ("pyav", 1)
    assert "decord" not in available_decoders()


def test_an_unknown_decoder_is_named(small_clip: Path) -> None:
    with pytest.raises(ArgumentError, match=r"decoder must be one of 'decord', 'pyav', .*, got 'opencv'"):
        open_video(small_clip, "opencv")


# Irregular and damaged files


@pytest.fixture(scope="module")
def irregular_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven frames, the last four three times as far apart."""
    import av

    path = tmp_path_factory.mktemp("clips") / "irregular.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 46, 34, "yuv420p"
        for i in range(11):
            frame = av.VideoFrame.from_ndarray(np.full((34, 46, 3), 20 * i, np.uint8), format="rgb24")
            frame.pts = i if i < 7 else 7 + 3 * (i - 7)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_pyav_takes_over_at_a_variable_rate(irregular_clip: Path) -> None:
    with open_video(irregular_clip) as video:
        assert (video.decoder, video.num_frames) == ("pyav", 11)
        levels = video.frames(range(11)).float().mean((1, 2, 3))
    assert (levels - 20 * torch.arange(11)).abs().max() < 6


@needs_decord
def test_decord_itself_refuses_a_variable_rate(irregular_clip: Path) -> None:
    with pytest.raises(DataError, match=r"irregular\.mp4: decord would number its frames wrongly"):
        open_video(irregular_clip, "decord")


def broken_files(folder: Path, good: bytes) -> dict[str, str]:
    """Files that are no video at all, and what is said of them."""
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    (folder / "text.mp4").write_text("not a video\n" * 50)
    (folder / "zeros.mp4").write_bytes(bytes(5000))
    (folder / "head.mp4").write_bytes(good[:40])
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere")
    (folder / "cut.mp4").write_bytes(good[: len(good) * 2 // 3])
    return {
        "empty.mp4": "empty file",
        "folder.mp4": "not a file",
        "text.mp4": "",
        "zeros.mp4": "",
        "head.mp4": "",
        "loop.mp4": "cannot be opened",
        "dangling.mp4": "cannot be opened",
        "cut.mp4": "truncated",
        "absent.mp4": "cannot be opened",
    }


@each_decoder
def test_what_is_no_video_is_named_with_its_reason(
    tmp_path: Path, small_clip: Path, decoder: str | None
) -> None:
    for name, reason in broken_files(tmp_path, small_clip.read_bytes()).items():
        with pytest.raises(DataError, match=rf"{name}: .*{reason}") as caught:
            open_video(tmp_path / name, decoder)
        assert "\n" not in str(caught.value)


def test_text_that_ffmpeg_would_draw_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.ans").write_text("hello\n" * 50)
    (tmp_path / "notes.txt").write_text("hello\n" * 50)
    for name in ("notes.ans", "notes.txt"):
        with pytest.raises(DataError, match=name):
            open_video(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such permissions")
def test_no_permission(small_clip: Path) -> None:
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which is closed to all but its owner
    path = folder / "locked.mp4"
    path.write_bytes(small_clip.read_bytes())
    folder.chmod(0o755)
    path.chmod(0)
    administrator = os.geteuid() == 0  # may read everything, so gives up that right for a moment
    try:
        if administrator:
            os.seteuid(65534)
        with pytest.raises(DataError, match=r"locked\.mp4: cannot be opened \(Permission denied\)"):
            open_video(path)
        assert check_file(path).reason == "cannot be opened (Permission denied)"
    finally:
        if administrator:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match=r"sound\.mp4: no video stream"):
        open_video(tmp_path / "sound.mp4")


def damaged(good: bytes, seed: int) -> bytes:
    """One of many ways in which a file goes bad."""
    rng = np.random.default_rng(seed)
    data = bytearray(good)
    kind = seed % 4
    start = int(rng.integers(len(data)))
    if kind == 0:
        del data[max(1, start) :]
    elif kind == 1:
        for position in rng.integers(len(data), size=int(rng.integers(1, 40))):
            data[position] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        data[start : start + 300] = bytes(len(data[start : start + 300]))
    else:
        del data[start : start + int(rng.integers(1, 200))]
    return bytes(data)


@pytest.mark.parametrize("faststart", [False, True])
def test_damaged_files_decode_fully_or_are_named(
    tmp_path: Path, clip_writer: Callable[..., np.ndarray], faststart: bool
) -> None:
    import av

    source = tmp_path / "good.mp4"
    clip_writer(source, num_frames=19, g="6")
    if faststart:
        with (
            av.open(str(source)) as old,
            av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as new,
        ):
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
        source = tmp_path / "fast.mp4"
        assert torch.equal(decode_all(source), plainly_decoded(tmp_path / "good.mp4"))
    good = source.read_bytes()
    named = 0
    for seed in range(60):
        path = tmp_path / f"bad{seed}.mp4"
        path.write_bytes(damaged(good, seed))
        reason = None
        try:
            with open_video(path) as video:
                frames = video.frames(range(video.num_frames))
                assert len(frames) == video.num_frames > 0
        except DataError as error:
            reason = str(error)
            named += 1
        assert reason is None or reason.startswith(f"{path}: "), reason
        assert reason is not None or seed % 4 != 0, "a file cut short was taken for whole"
    assert 15 <= named < 60
    assert len(decode_all(source)) == 19


# The helper process


@needs_decord
def test_a_dead_helper_is_named_and_replaced(small_clip: Path) -> None:
    video = open_video(small_clip, "decord")
    video.frames([1])
    helper = decode._decord_process()
    assert helper._process is not None
    before = helper._process.pid
    os.kill(before, signal.SIGSTOP)  # it will not notice the question before it is gone
    helper._process.kill()
    helper._process.wait()
    assert video.frames([0]).shape == (1, 34, 46, 3)
    assert helper._process.pid != before


def stopped_helper(video: decode.VideoReader) -> subprocess.Popen[bytes]:
    """The helper that serves this reader, alive but not answering."""
    video.frames([0])
    process = decode._decord_process()._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    return process


@needs_decord
def test_a_helper_that_ends_while_asked_is_named(small_clip: Path) -> None:
    video = open_video(small_clip, "decord")
    ending = threading.Timer(0.5, stopped_helper(video).kill)
    ending.start()
    with pytest.raises(DataError, match=r"small_000003_000005\.mp4: decord ended its process"):
        video.frames([0])
    ending.join()
    assert len(video.frames([0, 12])) == 2


@needs_decord
def test_a_late_helper_is_ended(small_clip: Path) -> None:
    video = open_video(small_clip, "decord", time_limit=1.0)
    stopped_helper(video)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"small_000003_000005\.mp4: decord took longer than 1 s"):
        video.frames([0])
    assert time.monotonic() - started < 20
    with open_video(small_clip) as following:
        following.frames([0])
        assert following.decoder == "decord"


@needs_decord
def test_pyav_goes_on_where_decord_stops(small_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = decode_all(small_clip, "pyav")
    with open_video(small_clip) as video:
        assert video.decoder == "decord"
        first = video.frames([0, 5])

        def refuse(*_: object) -> None:
            raise DataError("no")

        monkeypatch.setattr(decode._DecordReader, "_decode", refuse)
        second = video.frames([6, 12])
        assert video.decoder == "pyav"
    assert torch.equal(torch.cat([first, second]), expected[[0, 5, 6, 12]])


def test_a_clip_that_takes_too_long_is_named(small_clip: Path) -> None:
    with open_video(small_clip, "pyav", time_limit=60.0) as video:
        video.time_limit = -1.0  # type: ignore[attr-defined]
        with pytest.raises(DataError, match="decoding took longer than"):
            video.frames(range(13))
        video._open()  # type: ignore[attr-defined]
        with pytest.raises(DataError, match="indexing took longer than"):
            video._index()  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"small_000003_000005\.mp4: "):
        open_video(small_clip, time_limit=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_uses_its_own_helper(small_clip: Path) -> None:
    expected = decode_all(small_clip)  # the parent's helper is running
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if torch.equal(decode_all(small_clip), expected) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert torch.equal(decode_all(small_clip), expected)


GROWTH = """
import os, sys, threading
from vtlearn.data import decode
path, decoder, opens = sys.argv[1], sys.argv[2], int(sys.argv[3])
decoder = None if decoder == "default" else decoder

def megabytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

decode.decode_all(path)  # a reader and a helper were in use before the fork
child = os.fork()
if child == 0:
    threading.Timer(500, os._exit, (9,)).start()  # a hang, not a busy machine
    for turn in range(opens + 20):
        with decode.open_video(path, decoder) as video:
            video.frames([0, 5, 12])
        if turn == 19:
            helper = decode._decord._process.pid if decoder is None and video.decoder == "decord" else None
            before = [megabytes(pid) for pid in (os.getpid(), helper) if pid]
    after = [megabytes(pid) for pid in (os.getpid(), helper) if pid]
    print(max(b - a for a, b in zip(before, after)), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("decoder", ["default", "pyav"])
def test_a_thousand_opens_in_a_forked_worker_do_not_grow(small_clip: Path, decoder: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(small_clip), decoder, "1000"],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert float(done.stdout) < 20


@needs_decord
def test_the_helper_ends_with_its_parent(small_clip: Path) -> None:
    program = (
        "import sys, os\nfrom vtlearn.data import decode\n"
        f"decode.open_video({str(small_clip)!r}, 'decord').frames([0])\n"
        "print(decode._decord_process()._process.pid, flush=True)\nos._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                return
        time.sleep(0.1)
    raise AssertionError("the helper outlived its parent")


def test_importing_loads_no_decoder() -> None:
    program = "import sys, vtlearn.data.decode as d; assert not {'av', 'decord'} & set(sys.modules), 'loaded'"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# Real clips


@needs_decord
def test_real_clips_give_the_same_pixels(real_clips: Path) -> None:
    paths = sorted(real_clips.glob("kinetics400/*/*.mp4")) + [
        real_clips / "other" / name for name in ("cleaning_pool.mp4", "flipping_a_pancake.mkv")
    ]
    small = [path for path in paths if path.stat().st_size < 10**6] or paths[:2]
    for path in small:
        with open_video(path, "pyav") as one, open_video(path, "decord") as other:
            assert (one.num_frames, one.size) == (other.num_frames, other.size)
            assert one.fps == pytest.approx(other.fps)
            wanted = [0, 61, one.num_frames // 2, one.num_frames - 1]
            assert torch.equal(one.frames(wanted), other.frames(wanted)), path.name


def test_real_trouble_is_handled(real_clips: Path) -> None:
    with pytest.raises(DataError, match=r"truncated\.mp4: cannot be decoded"):
        decode_all(real_clips / "other" / "truncated.mp4")
    with open_video(real_clips / "other" / "basketball_variable_rate.mp4") as video:
        assert (video.decoder, video.num_frames) == ("pyav", 214)
        assert video.frames([0, 213]).shape == (2, 360, 640, 3)
    with open_video(real_clips / "other" / "v_ApplyEyeMakeup_g01_c01.avi") as video:
        assert video.num_frames == 164
        assert video.frames([163, 0]).shape == (2, 240, 320, 3)


@needs_decord
def test_pyav_takes_over_from_a_decord_that_does_not_answer(
    small_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = decode_all(small_clip, "pyav")
    monkeypatch.setattr(decode, "_DECORD_PATIENCE", 3.0)
    with open_video(small_clip) as video:
        stopped_helper(video)
        assert torch.equal(video.frames(range(13)), expected)
        assert video.decoder == "pyav"
