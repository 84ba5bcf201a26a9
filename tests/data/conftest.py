"""Small H.264 clips made on the spot, and the folders of real ones where they are present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).parents[3] / "shared"


def write_clip(
    path: Path,
    num_frames: int = 13,
    height: int = 34,
    width: int = 46,
    fps: int = 10,
    seed: int = 0,
    codec: str = "libx264",
    **options: str,
) -> np.ndarray:
    """Encode drifting colours with a little noise; gives the frames as they were before encoding."""
    import av

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20", **options} if codec == "libx264" else dict(options)
        for i in range(num_frames):
            picture = np.stack([x * 3 + i * 9, y * 4 - i * 7, x + y + i * 5], -1) + 11 * seed
            picture = np.clip(picture % 256 + rng.integers(-5, 6, picture.shape), 0, 255).astype(np.uint8)
            frames.append(picture)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return np.stack(frames)


@pytest.fixture(scope="session")
def clip_writer() -> Callable[..., np.ndarray]:
    return write_clip


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen frames of 34 × 46."""
    path = tmp_path_factory.mktemp("clips") / "small_000003_000005.mp4"
    write_clip(path)
    return path


@pytest.fixture(scope="session")
def grouped_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty-three frames in groups of pictures of at most seven, with frames out of order between them."""
    path = tmp_path_factory.mktemp("clips") / "grouped.mp4"
    write_clip(path, num_frames=53, g="7", bf="3")
    return path


@pytest.fixture(scope="session")
def real_clips() -> Path:
    folder = SHARED / "clips"
    if not folder.is_dir():
        pytest.skip("the folder of real clips, ../shared/clips, is not here")
    return folder


@pytest.fixture(scope="session")
def real_annotations() -> Path:
    folder = SHARED / "annotations"
    if not folder.is_dir():
        pytest.skip("the folder of published annotation files, ../shared/annotations, is not here")
    return folder
