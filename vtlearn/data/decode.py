"""One door to the frames of a video file: `open_video`, with decord, PyAV or torchcodec behind it.

All decoders give the same pixels. PyAV runs in this process: it indexes the file once, visits the wanted
frames in order and seeks only when the next one lies in a later group of pictures. decord runs in a process
of its own (`decord_process.py`), because it ends its process on some damaged files; the helper is started on
first use, once per process that decodes, has a time limit and is started again when it has died. torchcodec
is used where it is installed and asked for by name. PyAV's index is made in every case: it knows how many
frames there are, and whether the others would number them rightly.
"""

from __future__ import annotations

import abc
import bisect
import contextlib
import ctypes
import functools
import importlib
import importlib.util
import itertools
import json
import math
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from vtlearn.errors import DataError, require, require_one_of

DECODERS = ("decord", "pyav", "torchcodec")
FASTEST = "fastest"
"""Asked for in a decoder's place: whichever was the quickest guarded one when they were measured."""
TIME_LIMIT = 60.0  # seconds for one clip
_DECORD_PATIENCE = 15.0  # seconds after which PyAV takes over from a decord that does not answer

# Containers that store when a frame is shown; in others frames are known only by the order they come out in.
_REWINDING_CONTAINERS = ("mov", "mp4", "matroska", "webm")  # a seek to the start is exact in these
_TIMED_CONTAINERS = ("mov", "mp4", "matroska", "webm", "mpegts", "flv", "ogg")
_NOT_VIDEO = ("tty", "bin", "xbin", "adf", "idf")  # text that FFmpeg would draw as a picture
_ANSWER = 1 << 22  # bytes that the helper sends at once: memory that both processes soon use again
_WATCH = 0.1  # seconds between two looks at the helper's time limit
_CHUNK = 16  # frames held at full size while resizing
_TRIM_AFTER = 50  # closed files


class VideoReader(abc.ABC):
    """An open video: how many frames, how fast, and the frames themselves.

    Attributes:
        path: the file.
        decoder: the name of the decoder that reads it.
        num_frames: frames that can be shown, whatever the container announces.
        fps: frames per second.
    """

    decoder: str
    path: str
    num_frames: int
    fps: float

    @property
    @abc.abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def duration(self) -> float:
        """Seconds shown: ``num_frames / fps``."""
        return self.num_frames / self.fps

    def frames(
        self, indices: Sequence[int] | np.ndarray | Tensor, size: tuple[int, int] | None = None
    ) -> UInt8[Tensor, "T H W C"]:
        """The frames at ``indices``, in that order, as RGB bytes; an index may come more than once.

        Args:
            indices: frame numbers from 0 to ``num_frames - 1``, in any order.
            size: ``(height, width)`` to resize to (bilinear, antialiased), a few frames at a time, so that
                full-size frames of a long video are never held together.

        Raises:
            ArgumentError: an index outside the video, or none at all.
            DataError: a wanted frame does not decode.
        """
        wanted = [int(index) for index in indices]
        require(len(wanted) > 0, "indices", wanted, "at least one frame number")
        for index in wanted:
            require(0 <= index < self.num_frames, "indices", index, f"from 0 to {self.num_frames - 1}")
        visit = sorted(set(wanted))
        if size is None:
            frames = self._decode(visit)
        else:
            parts = [self._decode(visit[i : i + _CHUNK]) for i in range(0, len(visit), _CHUNK)]
            frames = torch.cat([_resize(part, size) for part in parts])
        if visit == wanted:
            return frames
        place = {index: i for i, index in enumerate(visit)}
        return frames[[place[index] for index in wanted]]

    @abc.abstractmethod
    def _decode(self, visit: list[int]) -> Tensor:
        """Frames at distinct ascending indices, ``(T, H, W, C)`` uint8."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_video(
    path: str | os.PathLike[str], decoder: str | None = None, *, time_limit: float = TIME_LIMIT
) -> VideoReader:
    """Open a video file for reading frames by number.

    Open it in the process that reads it, after any fork. ``decoder=None`` takes decord where it is
    installed, and PyAV where decord is absent or does not read the file (variable frame rate, damage, a codec
    it does not know); the reader's ``decoder`` says which it was, at the end of reading too.

    ``decoder="fastest"`` takes PyAV: in ``benchmarks/results`` it reads small and real clips, whole and
    sparsely, in less time than decord behind its guard, and needs no second process.

    Args:
        path: the file.
        decoder: ``"decord"``, ``"pyav"`` or ``"torchcodec"``, ``"fastest"``, or ``None``.
        time_limit: seconds after which reading the clip is given up.

    Raises:
        DataError: the file cannot be read, is empty or truncated, or holds no frame; the message names the
            file and the reason.
        ArgumentError: an unknown decoder, or one that is not installed.
    """
    name = os.fspath(path)
    require_decoder(decoder)
    _refuse_damage_visible_from_outside(name)
    pyav = _PyavReader(name, time_limit)
    if decoder in ("pyav", FASTEST) or (decoder is None and not decord_available()):
        return pyav
    if decoder is None:
        return _DefaultReader(pyav)
    with pyav:
        return _DecordReader(pyav, time_limit) if decoder == "decord" else _TorchcodecReader(pyav, time_limit)


def require_decoder(decoder: str | None) -> None:
    """A decoder that `open_video` takes and that is installed.

    Raises:
        ArgumentError: any other.
    """
    if decoder is not None:
        require_one_of("decoder", decoder, (*DECODERS, FASTEST))
    if decoder == "decord":
        expected = "installed (decord has wheels for x86-64 Linux and Windows)"
        require(decord_available(), "decoder", decoder, expected)
    if decoder == "torchcodec":
        expected = "installed with a release for this torch, FFmpeg's libraries beside it"
        require(torchcodec_available(), "decoder", decoder, expected)


def available_decoders() -> tuple[str, ...]:
    """Those of `DECODERS` that work on this machine."""
    present = {"decord": decord_available, "pyav": lambda: True, "torchcodec": torchcodec_available}
    return tuple(name for name in DECODERS if present[name]())


def decode_all(path: str | os.PathLike[str], decoder: str | None = None) -> UInt8[Tensor, "T H W C"]:
    """Every frame of a video file; arguments and errors of `open_video`."""
    with open_video(path, decoder) as video:
        return video.frames(range(video.num_frames))


@dataclass(frozen=True)
class VideoFacts:
    """What a whole pass over a video has shown.

    Attributes:
        num_frames: frames that decode.
        corrupt_frames: those among them that the decoder had to patch.
        fps: frames per second.
        height, width: pixels.
        decoder: the decoder that `open_video` uses for this file when none is named.
    """

    num_frames: int
    corrupt_frames: int
    fps: float
    height: int
    width: int
    decoder: str


def probe_video(path: str | os.PathLike[str], *, time_limit: float = TIME_LIMIT) -> VideoFacts:
    """Decode a whole file, keeping nothing: what to expect of it when clips are read from it.

    Raises:
        DataError: as for `open_video`; also where fewer frames decode than the file announces, or a frame
            that the automatic decoder is asked for does not come.
    """
    with open_video(path, "pyav", time_limit=time_limit) as video:
        assert isinstance(video, _PyavReader)
        num_frames, corrupt = video.decode_through()
        if num_frames < video.num_frames:
            raise DataError(f"{video.path}: {num_frames} of {video.num_frames} announced frames decode")
        facts = (video.num_frames, corrupt, video.fps, *video.size)
    with open_video(path, time_limit=time_limit) as video:
        video.frames([0, num_frames - 1])
        return VideoFacts(*facts, decoder=video.decoder)


def decord_available() -> bool:
    """True where decord is installed and its process has not refused to start."""
    return _decord_refused is None and importlib.util.find_spec("decord") is not None


def torchcodec_available() -> bool:
    """True where torchcodec is installed and finds FFmpeg's libraries."""
    global _torchcodec_loads
    if _torchcodec_loads is None:
        try:
            importlib.import_module("torchcodec.decoders")
            _torchcodec_loads = True
        except (ImportError, RuntimeError, OSError):  # absent, of another torch, or without FFmpeg
            _torchcodec_loads = False
    return _torchcodec_loads


def _constant_rate(times: Sequence[int], frames_per_tick: float) -> bool:
    """Times that never stray half a frame from a constant rate, starting at the first."""
    return all(abs((time - times[0]) * frames_per_tick - i) < 0.5 for i, time in enumerate(times))


def _resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    images = frames.permute(0, 3, 1, 2)
    return F.interpolate(images, size=size, mode="bilinear", antialias=True).permute(0, 2, 3, 1).contiguous()


def _refuse_damage_visible_from_outside(path: str) -> None:
    """Missing, empty, not a file, not permitted, or an MP4 cut short: known without a decoder."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a file")
        if status.st_size == 0:
            raise DataError(f"{path}: empty file")
        with open(path, "rb") as file:
            announced = _mp4_length(file, status.st_size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be opened ({reason})") from None
    if announced > status.st_size:
        raise DataError(f"{path}: truncated ({status.st_size} bytes of at least {announced})")


def _mp4_length(file: Any, size: int) -> int:
    """Where the top-level boxes of an MP4 file end by their own account; 0 for other files."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length, kind = struct.unpack(">I4s", header[:8])
        if position == 0 and kind != b"ftyp":
            return 0
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length == 0:  # "to the end of the file"
            return size
        if length < 8:
            return 0  # not boxes; the decoder will say what it is
        position += length
    return position


# PyAV


class _PyavReader(VideoReader):
    """Reads with PyAV in this process, with one thread."""

    decoder = "pyav"

    def __init__(self, path: str, time_limit: float) -> None:
        self.path = path
        self.time_limit = time_limit
        self._deadline = time.monotonic() + time_limit
        self._container: Any = None
        self._stream: Any = None
        self._reformatter: Any = None
        try:
            with self._named_errors():
                self._open()
                self._index()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.close()
        self._container = av.open(self.path, timeout=self.time_limit)
        if self._container.format.name in _NOT_VIDEO:
            raise DataError(f"{self.path}: not a video")
        if not self._container.streams.video:
            raise DataError(f"{self.path}: no video stream")
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise DataError(f"{self.path}: no decoder for its video stream")
        self._stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()  # keeps its tables from frame to frame: twice as fast
        self._decoded: Iterator[Any] | None = None
        self._position = -1  # the frame that came out last

    def _index(self) -> None:
        """Read the times of all frames once, without decoding any."""
        stream = self._stream
        times: list[int] = []  # of the frames that are shown, in the order they are stored
        keys: list[int] = []  # places in that order where a group of pictures starts
        packets = 0
        timed = any(name in _TIMED_CONTAINERS for name in self._container.format.name.split(","))
        for packet in self._container.demux(stream):
            if time.monotonic() > self._deadline:
                raise DataError(f"{self.path}: indexing took longer than {self.time_limit:g} s")
            if packet.size == 0:
                continue
            packets += 1
            timed = timed and packet.pts is not None
            if packet.pts is not None and not packet.is_discard:
                if packet.is_keyframe:
                    keys.append(len(times))
                times.append(packet.pts)
        if packets == 0:
            raise DataError(f"{self.path}: no frame in the file")
        if packets < stream.frames:
            raise DataError(f"{self.path}: truncated ({packets} of {stream.frames} announced frames present)")
        if timed and len(set(times)) == len(times):
            self._times: list[int] | None = sorted(times)
            self._keys = sorted(bisect.bisect_left(self._times, times[key]) for key in keys)
            self.num_frames = len(times)
        else:
            self._times, self._keys = None, []
            self._open()
            self.num_frames = sum(1 for _ in self._numbered_frames())
        if self.num_frames == 0:
            raise DataError(f"{self.path}: no frame that is shown")
        stream = self._stream
        self.fps = float(stream.average_rate or stream.guessed_rate or stream.base_rate or 0)
        if self._times is not None and 1 < len(self._times) < packets:  # some packets are never shown
            span = float((self._times[-1] - self._times[0]) * stream.time_base)
            self.fps = (len(self._times) - 1) / span
        self.numbered_by_decord = (
            self._times is not None
            and len(self._times) == packets
            and self._keys == keys  # no frame of a group is shown before the group's first
            and _constant_rate(self._times, self.fps * float(stream.time_base))
        )
        self._height, self._width = stream.codec_context.height, stream.codec_context.width
        if not self.fps > 0 or self._height == 0 or self._width == 0:
            raise DataError(f"{self.path}: no frame rate or picture size in the file")
        self._decoded = None  # the first frame that is asked for begins anew

    @property
    def size(self) -> tuple[int, int]:
        return self._height, self._width

    def _restart(self, frame: int = 0) -> None:
        """Begin decoding at the group of pictures that ``frame`` starts."""
        rewinds = any(name in _REWINDING_CONTAINERS for name in self._container.format.name.split(","))
        if self._times is None or (frame == 0 and not rewinds):
            self._open()
        else:
            self._container.seek(self._times[frame], stream=self._stream, backward=True)
        self._decoded = None

    def _numbered_frames(self) -> Iterator[tuple[int, Any]]:
        """Decoded frames with their number in the video; those that are not to be shown are left out."""
        number = -1
        for frame in self._container.decode(self._stream):
            if time.monotonic() > self._deadline:
                raise DataError(f"{self.path}: decoding took longer than {self.time_limit:g} s")
            if self._times is None:
                number += 1
            elif frame.pts is None:
                continue
            else:
                number = bisect.bisect_left(self._times, frame.pts)
                if number == len(self._times) or self._times[number] != frame.pts:
                    continue
            yield number, frame

    def decode_through(self) -> tuple[int, int]:
        """Decode every frame: how many there are, and how many of them had to be patched."""
        count = corrupt = 0
        self._deadline = time.monotonic() + self.time_limit
        with self._named_errors():
            self._open()
            for _, frame in self._numbered_frames():
                count += 1
                corrupt += bool(frame.is_corrupt)
        return count, corrupt

    def _decode(self, visit: list[int]) -> Tensor:
        self._deadline = time.monotonic() + self.time_limit
        frames = torch.empty((len(visit), self._height, self._width, 3), dtype=torch.uint8)
        target = frames.numpy()
        with self._named_errors():
            for i, wanted in enumerate(visit):
                target[i] = self._pixels(self._frame(wanted))
        return frames

    def _frame(self, wanted: int) -> Any:
        """Decode up to frame ``wanted``, from where the last one ended or from the start of its group."""
        start = self._keys[max(0, bisect.bisect_right(self._keys, wanted) - 1)] if self._keys else 0
        if start > wanted:
            start = 0
        if self._decoded is None or wanted <= self._position or start > self._position + 1:
            self._restart(start)
            found = self._advance(wanted)
            if found is None:  # the container did not lead to the start of the group
                self._open()
                found = self._advance(wanted)
        else:
            found = self._advance(wanted)
        if found is None:
            raise DataError(f"{self.path}: frame {wanted} of {self.num_frames} does not decode")
        return found

    def _advance(self, wanted: int) -> Any:
        if self._decoded is None:
            self._decoded = self._numbered_frames()
        for number, frame in self._decoded:
            self._position = number
            if number == wanted:
                return frame
            if number > wanted:
                break
        self._decoded = None
        return None

    def _pixels(self, frame: Any) -> np.ndarray:
        if (frame.height, frame.width) != self.size:
            raise DataError(f"{self.path}: the picture size changes within the video")
        picture = self._reformatter.reformat(frame, format="rgb24", threads=1)
        plane = picture.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : self._height, : self._width * 3
        ]
        return rows.reshape(self._height, self._width, 3)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """FFmpeg's errors as one line that names the file."""
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError, UnicodeError) as error:
            self._decoded = None
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.path}: cannot be decoded ({reason})") from None

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
            _closed_one()
        self._decoded = None  # it refers to this reader: a circle would keep FFmpeg's frames until collected
        self._stream = self._reformatter = None


_closed = itertools.count(1)


def _closed_one() -> None:
    """Every so often, give the holes that FFmpeg's freed buffers leave in the heap back to the system.

    FFmpeg asks for aligned memory, and glibc before 2.38 seldom uses a freed aligned block again: by the luck
    of the addresses a process grew by 0 to 45 MB over a thousand small files.
    """
    if next(_closed) % _TRIM_AFTER == 0:
        trim = _heap_trim()
        if trim is not None:
            trim(0)


@functools.cache
def _heap_trim() -> Callable[[int], int] | None:
    """glibc's ``malloc_trim``; other systems have none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


# decord


class _DecordReader(VideoReader):
    """Reads with decord, which runs in the helper process; counts with PyAV's index."""

    decoder = "decord"

    def __init__(self, index: _PyavReader, time_limit: float) -> None:
        if not index.numbered_by_decord:
            raise DataError(
                f"{index.path}: decord would number its frames wrongly (irregular times or open groups)"
            )
        self.path, self.num_frames, self.fps = index.path, index.num_frames, index.fps
        self._size, self._time_limit = index.size, time_limit

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _decode(self, visit: list[int]) -> Tensor:
        frames = torch.empty((len(visit), *self._size, 3), dtype=torch.uint8)
        until = time.monotonic() + self._time_limit
        at_once = max(1, _ANSWER // frames[0].numel())
        for i in range(0, len(visit), at_once):
            part = visit[i : i + at_once]
            request = {"path": self.path, "num_frames": self.num_frames, "indices": part}
            _decord_process().ask(request, frames[i : i + at_once], until)
        return frames

    def close(self) -> None:
        """The helper lets go of a file when the next one is asked for."""


class _DefaultReader(VideoReader):
    """Reads with decord where it numbers the frames rightly, until it fails on this file; else with PyAV."""

    def __init__(self, pyav: _PyavReader) -> None:
        self.path, self.num_frames, self.fps = pyav.path, pyav.num_frames, pyav.fps
        self._pyav = pyav
        patience = min(pyav.time_limit, _DECORD_PATIENCE)
        self._decord = _DecordReader(pyav, patience) if pyav.numbered_by_decord else None

    @property
    def decoder(self) -> str:  # type: ignore[override]
        """The decoder that reads from now on."""
        return "pyav" if self._decord is None else "decord"

    @property
    def size(self) -> tuple[int, int]:
        return self._pyav.size

    def _decode(self, visit: list[int]) -> Tensor:
        if self._decord is not None:
            try:
                return self._decord._decode(visit)
            except DataError:
                self._decord = None
        return self._pyav._decode(visit)

    def close(self) -> None:
        self._pyav.close()


class _TorchcodecReader(VideoReader):
    """Reads with torchcodec in this process, with one thread; counts with PyAV's index."""

    decoder = "torchcodec"

    def __init__(self, index: _PyavReader, time_limit: float) -> None:
        from torchcodec.decoders import VideoDecoder

        self.path, self.num_frames, self.fps = index.path, index.num_frames, index.fps
        self._size, self._time_limit = index.size, time_limit
        with self._named_errors():
            self._reader: Any = VideoDecoder(index.path, dimension_order="NHWC", num_ffmpeg_threads=1)
            counted = len(self._reader)
        if counted != self.num_frames:
            raise DataError(f"{self.path}: torchcodec counts {counted} of {self.num_frames} frames")

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _decode(self, visit: list[int]) -> Tensor:
        deadline = time.monotonic() + self._time_limit
        parts = []
        with self._named_errors():
            for i in range(0, len(visit), _CHUNK):
                if time.monotonic() > deadline:
                    raise DataError(f"{self.path}: decoding took longer than {self._time_limit:g} s")
                parts.append(self._reader.get_frames_at(visit[i : i + _CHUNK]).data)
        frames = parts[0] if len(parts) == 1 else torch.cat(parts)
        if frames.shape != (len(visit), *self._size, 3):
            raise DataError(f"{self.path}: torchcodec gave frames of shape {tuple(frames.shape)}")
        return frames

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError, IndexError, OSError) as error:
            reason = str(error).strip().split("\n")[0][-300:]
            raise DataError(f"{self.path}: cannot be decoded ({reason})") from None

    def close(self) -> None:
        """The file is let go of with the reader."""
        self._reader = None


class _DecordProcess:
    """The helper process and the pipes to it; one question at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = math.inf  # of the question that is open

    def ask(self, request: dict[str, object], frames: Tensor, until: float) -> None:
        """Send a request, and fill ``frames`` with its answer; a late process is killed, a dead one replaced.

        Args:
            request: as `decord_process.py` reads it.
            frames: contiguous bytes of the shape that is expected.
            until: the moment, on the monotonic clock, after which the answer comes too late.
        """
        path, time_limit = request["path"], until - time.monotonic()
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            process = self._process
            assert process is not None
            self._deadline = until
            try:
                text = json.dumps(request).encode()
                _write(process, struct.pack("<I", len(text)) + text)
                answer = _read_json(process)
                if "error" not in answer:
                    if answer["shape"] != list(frames.shape):
                        self.stop()
                        raise DataError(f"{path}: decord gave frames of shape {tuple(answer['shape'])}")
                    _read_into(process, frames.numpy().data.cast("B"))
            except (EOFError, OSError):
                overdue = time.monotonic() >= until
                self.stop()
                reason = f"took longer than {time_limit:.3g} s" if overdue else "ended its process"
                raise DataError(f"{path}: decord {reason}") from None
            except BaseException:  # interrupted between question and answer: the pipe is out of step
                self.stop()
                raise
            finally:
                self._deadline = math.inf
        if "error" in answer:
            raise DataError(f"{path}: cannot be decoded ({answer['error']})")

    def _start(self) -> None:
        global _decord_refused
        self.stop()
        script = str(Path(__file__).with_name("decord_process.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-P", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        _widen(self._process)
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()
        try:
            greeting = _read_json(self._process)
        except (EOFError, OSError):
            greeting = {"error": "its process does not start"}
        if "error" in greeting:
            self.stop()
            _decord_refused = str(greeting["error"])
            raise DataError(f"decord: {_decord_refused}")

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that is late. One thread for its whole life: one a question costs more than the
        question."""
        while self._process is process:
            if time.monotonic() >= self._deadline:
                process.kill()
                return
            time.sleep(_WATCH)

    def stop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()

    def abandon(self) -> None:
        """In a forked child: close the copies of the parent's pipes, and leave its process alone."""
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # not ours to wait for
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


_torchcodec_loads: bool | None = None
_decord: _DecordProcess | None = None
_decord_refused: str | None = None


def _decord_process() -> _DecordProcess:
    """The helper of this very process: a forked child starts its own."""
    global _decord
    if _decord is None or _decord.owner != os.getpid():
        if _decord is not None:
            _decord.abandon()
        _decord = _DecordProcess()
    return _decord


def _widen(process: subprocess.Popen[bytes]) -> None:
    """A pipe of one megabyte where the system allows it: fewer changes between the two processes."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        assert process.stdout is not None
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)  # type: ignore[attr-defined,unused-ignore]


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    rest = memoryview(data)
    while rest:
        rest = rest[process.stdin.write(rest) or 0 :]


def _read_into(process: subprocess.Popen[bytes], target: memoryview) -> None:
    assert process.stdout is not None
    while target:
        count = process.stdout.readinto(target)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        target = target[count:]


def _read_json(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    prefix = bytearray(4)
    _read_into(process, memoryview(prefix))
    text = bytearray(struct.unpack("<I", prefix)[0])
    _read_into(process, memoryview(text))
    answer: dict[str, Any] = json.loads(text)
    return answer
