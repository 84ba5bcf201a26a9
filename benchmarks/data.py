"""Decoders side by side on the samples and on real clips: whole clips, and frames spread over them.

``python -m benchmarks.data`` takes turns between the decoders in each round, so that a busy machine slows all
of them, and prints the median time of a clip and its ratio to the fastest. The guarded decoders are those of
`open_video`; beside them stand the plain use of each library, without index, guard or second process.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vtlearn.data.decode import decord_available, open_video
from vtlearn.data.kinetics import walk_videos
from vtlearn.data.sampling import uniform_indices
from vtlearn.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "results" / "data.json"
DEFAULT = "default"

Read = Callable[[Path, int | None], Any]
"""Read so many frames, spread evenly over a clip, or all of them."""


def guarded(decoder: str | None) -> Read:
    """Reading through the library's door."""

    def read(path: Path, num_frames: int | None) -> Any:
        with open_video(path, decoder) as video:
            total = video.num_frames
            return video.frames(range(total) if num_frames is None else uniform_indices(total, num_frames))

    return read


def plain_pyav(path: Path, num_frames: int | None) -> Any:
    """Every frame decoded and converted by itself, those that are wanted kept."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    wanted = range(len(frames)) if num_frames is None else uniform_indices(len(frames), num_frames)
    return np.stack([frames[i] for i in wanted])


def plain_decord(path: Path, num_frames: int | None) -> Any:
    """decord in this process, with nothing to catch its fall."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    total = len(reader)
    wanted = range(total) if num_frames is None else uniform_indices(total, num_frames)
    return reader.get_batch(list(wanted)).asnumpy()


def readers() -> dict[str, Read]:
    """What there is to compare on this machine."""
    found: dict[str, Read] = {DEFAULT: guarded(None), "pyav": guarded("pyav"), "plain pyav": plain_pyav}
    if decord_available():
        found |= {"decord": guarded("decord"), "plain decord": plain_decord}
    return found


def measure(paths: Sequence[Path], num_frames: int | None, rounds: int) -> dict[str, Any]:
    """Milliseconds a clip by reader: the median round, and its ratio to the fastest reader's."""
    compared = readers()
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    for turn in range(rounds + 1):
        for name, read in compared.items():
            started = time.perf_counter()
            for path in paths:
                read(path, num_frames)
            if turn:  # the first round warms up
                seconds[name].append((time.perf_counter() - started) / len(paths))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    fastest = min(median.values())
    return {
        name: {"milliseconds": round(1e3 * value, 3), "ratio": round(value / fastest, 3)}
        for name, value in sorted(median.items(), key=lambda item: item[1])
    }


def readable(paths: Sequence[Path], most: int) -> list[Path]:
    """The first clips that every decoder reads, since they are to do the same work."""
    decoder = "decord" if decord_available() else "pyav"
    found: list[Path] = []
    for path in paths:
        if len(found) == most:
            break
        try:
            with open_video(path, decoder) as video:
                video.frames([0, video.num_frames - 1])
        except DataError:
            continue
        found.append(path)
    return found


def describe(row: dict[str, Any]) -> str:
    """One task as lines of text; says by how much the default is slower where it is."""
    lines = [f"{row['clips']}, {row['frames']}"]
    for name, cell in row["readers"].items():
        lines.append(f"  {name:<14}{cell['milliseconds']:>10.2f} ms a clip {cell['ratio']:>7.2f} ×")
    slower = row["readers"][DEFAULT]["ratio"]
    if slower > 1.1:
        lines.append(f"  the default takes {slower:.2f} times as long as the fastest")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=Path, default=ROOT / "data_samples", help="folder of small clips")
    parser.add_argument(
        "--real", type=Path, default=ROOT.parent / "shared" / "clips", help="folder of real clips"
    )
    parser.add_argument(
        "--clips", type=int, default=40, help="small clips to read; a tenth as many real ones"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path, default=RECORD)
    asked = parser.parse_args(given)
    rows = []
    for title, folder, most in (
        ("samples", asked.samples, asked.clips),
        ("real clips", asked.real, max(1, asked.clips // 10)),
    ):
        paths = (
            readable(sorted(walk_videos(folder), key=lambda path: path.name), most) if folder.is_dir() else []
        )
        if not paths:
            print(f"{title}: none in {folder}")
            continue
        for num_frames in (8, None):
            frames = "all frames" if num_frames is None else f"{num_frames} frames"
            found = measure(paths, num_frames, asked.rounds)
            rows.append({"clips": f"{len(paths)} {title}", "frames": frames, "readers": found})
            print(describe(rows[-1]), flush=True)
    asked.record.parent.mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    asked.record.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
