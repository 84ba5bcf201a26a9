"""Decoders side by side on the samples and on real clips: whole clips, and frames spread over them.

``python -m benchmarks.data`` lets the decoders take turns, in another order every round, and prints
the median time of a clip and its ratio to the fastest decoder's. What is compared is the time of processors,
the helper process included, because other programs disturb the clock far more.
The guarded decoders are those of `open_video`; beside them stand the plain uses of PyAV and decord, without
index, guard or second process: no choice for damaged files, so not what the others are compared with.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESULTS, as_text, commit, machine
from vtlearn.data import decode
from vtlearn.data.decode import FASTEST, available_decoders, decord_available, open_video
from vtlearn.data.kinetics import walk_videos
from vtlearn.data.sampling import uniform_indices
from vtlearn.errors import DataError
from vtlearn.files import write_text

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = "default"
MOST = 1.1  # the automatic choice may take so many times as long as the fastest decoder

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
    """What there is to compare on this machine; names that begin with "plain" are unguarded."""
    found = {DEFAULT: guarded(None)}
    found |= {name: guarded(name) for name in available_decoders()}
    found["plain pyav"] = plain_pyav
    if decord_available():
        found["plain decord"] = plain_decord
    return found


def processor_seconds() -> float:
    """Time that processors have spent for this process and for decord's, all threads together."""
    helper = decode._decord and decode._decord._process
    spent = time.process_time()
    if helper is not None and Path(f"/proc/{helper.pid}/stat").exists():
        fields = Path(f"/proc/{helper.pid}/stat").read_text().rsplit(")", 1)[1].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure(paths: Sequence[Path], num_frames: int | None, rounds: int) -> dict[str, Any]:
    """Milliseconds a clip by reader, of processors and by the clock: the median of the rounds; and the ratio
    of processor time to the fastest guarded decoder's."""
    compared = readers()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
    for turn in range(rounds + 1):
        # Clip after clip by one decoder, as in use: the helper keeps the last file open, and would find it.
        for name in random.Random(turn).sample(sorted(compared), len(compared)):
            before, started = processor_seconds(), time.perf_counter()
            for path in paths:
                compared[name](path, num_frames)
            if turn:  # the first round warms up
                spent[name].append((processor_seconds() - before, time.perf_counter() - started))
    median = {
        name: [1e3 * statistics.median(each) / len(paths) for each in zip(*values, strict=True)]
        for name, values in spent.items()
    }
    fastest = min(median[name][0] for name in available_decoders())
    return {
        name: {
            "processor_ms": round(cpu, 3),
            "clock_ms": round(clock, 3),
            "ratio": round(cpu / fastest, 3),
        }
        for name, (cpu, clock) in sorted(median.items(), key=lambda item: item[1])
    }


def automatic_choice(paths: Sequence[Path]) -> str:
    """The decoder that ``decoder="fastest"`` takes for these clips; the reader is that decoder's own."""
    chosen = set()
    for path in paths:
        with open_video(path, FASTEST) as video:
            chosen.add(video.decoder)
    (one,) = chosen
    return one


def readable(paths: Sequence[Path], most: int) -> list[Path]:
    """The first clips that every decoder reads, since they are to do the same work."""
    found: list[Path] = []
    for path in paths:
        if len(found) == most:
            break
        try:
            for decoder in available_decoders():
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
        times = f"{cell['processor_ms']:>10.2f} ms of processors {cell['clock_ms']:>9.2f} ms by the clock"
        lines.append(f"  {name:<14}{times} {cell['ratio']:>7.2f} ×")
    chosen, default = row["readers"][row["chosen"]]["ratio"], row["readers"][DEFAULT]["ratio"]
    verdict = "within" if chosen <= MOST else "NOT within"
    lines.append(f"  the automatic choice, {row['chosen']}: {chosen:.2f} times the fastest, {verdict} 10 %")
    if default > MOST:
        lines.append(f"  the default takes {default:.2f} times as long as the fastest decoder")
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
    parser.add_argument("--record", type=Path, help="file for the results [default: by the machine's name]")
    asked = parser.parse_args(given)
    rows = []
    for title, folder, most in (
        ("samples", asked.samples, asked.clips),
        ("real clips", asked.real, max(1, asked.clips // 10)),
    ):
        paths = (
            readable(sorted(walk_videos(folder), key=lambda path: (path.stat().st_size, path.name)), most)
            if folder.is_dir()
            else []
        )
        if not paths:
            print(f"{title}: none in {folder}")
            continue
        for num_frames in (8, None):
            frames = "all frames" if num_frames is None else f"{num_frames} frames"
            found = measure(paths, num_frames, asked.rounds)
            rows.append(
                {
                    "clips": f"{len(paths)} {title}",
                    "frames": frames,
                    "chosen": automatic_choice(paths),
                    "readers": found,
                }
            )
            print(describe(rows[-1]), flush=True)
    facts = machine()
    versions = {name: metadata.version(name) for name in available_decoders() if name != "pyav"}
    facts["decoders"] = {"pyav": metadata.version("av"), **versions}
    content = {"machine": facts, "commit": commit(), "rounds": asked.rounds, "rows": rows}
    record = asked.record or RESULTS / f"data-{facts['name']}.json"
    print(write_text(record, as_text(content) + "\n").name)


if __name__ == "__main__":
    main()
