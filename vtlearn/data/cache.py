"""Decoded frames kept on disk, read back through memory maps, within a bound of size.

A file of the cache belongs to one version of a video: path, size and time of change are part of its name, so
a video that was exchanged is decoded anew. Files are written aside and renamed, so workers may share a
folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vtlearn.data.decode import TIME_LIMIT, VideoReader, open_video
from vtlearn.data.transforms import short_side_size
from vtlearn.errors import DataError, require_positive
from vtlearn.files import written_aside

_SUFFIX = ".safetensors"


class FrameCache:
    """Whole videos as decoded bytes, each decoded once; for sets that are small or shown in small size.

    The files that were not used for longest make room for new ones. A video that is larger than the bound is
    decoded each time.

    Args:
        folder: where the files are kept; made when first needed.
        max_bytes: what all of them may take together.
    """

    def __init__(self, folder: str | os.PathLike[str], *, max_bytes: int) -> None:
        require_positive(max_bytes=max_bytes)
        self.folder = Path(folder)
        self.max_bytes = max_bytes

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        short_side: int | None = None,
        decoder: str | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> VideoReader:
        """A reader of the video at the size in which it is kept; decodes it first where it is not there.

        Args:
            path: the video.
            short_side: pixels that its shorter side is resized to; None keeps the size.
            decoder, time_limit: as for `open_video`.

        Raises:
            DataError: as for `open_video`, and where a frame does not decode.
        """
        place = self.folder / (_key(path, "frames", str(short_side)) + _SUFFIX)
        with contextlib.suppress(OSError, SafetensorError, KeyError, ValueError):
            reader = _CachedReader(os.fspath(path), place)
            os.utime(place)
            return reader
        with open_video(path, decoder, time_limit=time_limit) as video:
            size = video.size if short_side is None else short_side_size(*video.size, short_side)
            needed = video.num_frames * size[0] * size[1] * 3
            if needed > self.max_bytes:
                return _SizedReader(open_video(path, decoder, time_limit=time_limit), size)
            frames = video.frames(range(video.num_frames), None if size == video.size else size)
            facts = {"fps": repr(video.fps), "decoder": video.decoder}
        self._make_room(needed + 4096)
        with written_aside(place) as aside:
            save_file({"frames": frames}, aside, facts)
        return _CachedReader(os.fspath(path), place)

    def num_bytes(self) -> int:
        """What the files take now."""
        return sum(size for _, size, _ in self._files())

    def _files(self) -> list[tuple[int, int, str]]:
        """Time of last use, size and path of every file."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX):
                    with contextlib.suppress(FileNotFoundError):  # another worker has just removed it
                        status = entry.stat()
                        found.append((status.st_mtime_ns, status.st_size, entry.path))
        return sorted(found)

    def _make_room(self, needed: int) -> None:
        """Remove the files not used for longest; maps that are open on them stay readable."""
        files = self._files()
        excess = sum(size for _, size, _ in files) + needed - self.max_bytes
        for _, size, path in files:
            if excess <= 0:
                return
            with contextlib.suppress(OSError):  # gone already, or held open where that forbids it
                os.unlink(path)
            excess -= size


class _CachedReader(VideoReader):
    """Reads a file of the cache; only the pages of the wanted frames are touched."""

    def __init__(self, path: str, place: Path) -> None:
        self.path = path
        with safe_open(os.fspath(place), framework="pt") as file:
            facts = file.metadata()
            self._frames: Any = file.get_slice("frames")
        self.num_frames, *size, _ = self._frames.get_shape()
        self._size = (size[0], size[1])
        self.fps, self.decoder = float(facts["fps"]), facts["decoder"]

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _decode(self, visit: list[int]) -> Tensor:
        return torch.cat([self._frames[i : i + 1] for i in visit])

    def close(self) -> None:
        self._frames = None


class _SizedReader(VideoReader):
    """A video read at another size than its own."""

    def __init__(self, video: VideoReader, size: tuple[int, int]) -> None:
        self.path, self.num_frames, self.fps = video.path, video.num_frames, video.fps
        self.decoder = video.decoder
        self._video, self._size = video, size

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _decode(self, visit: list[int]) -> Tensor:
        return self._video.frames(visit, None if self._size == self._video.size else self._size)

    def close(self) -> None:
        self._video.close()


def _key(path: str | os.PathLike[str], *what: str) -> str:
    """A file's name in a cache: of this video as it is now, in this form."""
    name = os.path.abspath(path)
    try:
        status = os.stat(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{os.fspath(path)}: cannot be opened ({reason})") from None
    text = json.dumps([name, status.st_size, status.st_mtime_ns, *what])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
