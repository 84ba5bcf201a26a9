"""How fast batches come, and what holds them up: decoding, transforms, collating or the way to the device."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vtlearn.data.batches import Batches, Epochs
from vtlearn.data.kinetics import LeftOut
from vtlearn.data.loader import ClipDataset, clip_generator, collate_clips
from vtlearn.data.prefetch import prefetched
from vtlearn.errors import DataError, require, require_positive

STAGES = ("decode", "transform", "collate", "transfer")


@dataclass(frozen=True)
class Throughput:
    """What was measured.

    Attributes:
        clips: clips that were read.
        milliseconds: stage → time of a clip in it, by one process; ``transfer`` only with a GPU.
        num_workers: processes that the loader had.
        clips_per_second: of the loader at work, batches on the device.
        device: where they went.
        skipped: clips that could not be read.
    """

    clips: int
    milliseconds: dict[str, float]
    num_workers: int
    clips_per_second: float
    device: str
    skipped: tuple[LeftOut, ...] = ()

    @property
    def limits(self) -> dict[str, float]:
        """Stage → clips a second that it could do alone: the workers share all stages but the transfer."""
        workers = max(1, self.num_workers)
        return {
            stage: 1e3 / max(spent, 1e-6) * (1 if stage == "transfer" else workers)
            for stage, spent in self.milliseconds.items()
        }

    @property
    def bottleneck(self) -> str:
        """The slowest stage.

        >>> Throughput(9, {"decode": 8.0, "transform": 1.0, "transfer": 3.0}, 4, 300.0, "cuda").bottleneck
        'transfer'
        """
        limits = self.limits
        return min(limits, key=lambda stage: limits[stage])

    def describe(self) -> str:
        """The stages as lines of text, and the one to do something about."""
        limits = self.limits
        lines = [f"{self.clips_per_second:.1f} clips a second on {self.device}, {self.num_workers} workers"]
        lines += [
            f"  {stage:<10}{spent:>9.2f} ms a clip, at most {limits[stage]:.0f} clips a second"
            for stage, spent in self.milliseconds.items()
        ]
        lines.append(f"bottleneck: {self.bottleneck} ({_ADVICE[self.bottleneck]})")
        return "\n".join([*lines, *(f"  left out {entry}" for entry in self.skipped)])

    def as_json(self) -> dict[str, Any]:
        """The same for a program."""
        return {
            **dataclasses.asdict(self),
            "bottleneck": self.bottleneck,
            "limits": self.limits,
            "skipped": [{"path": entry.name, "reason": entry.reason} for entry in self.skipped],
        }


_ADVICE = {
    "decode": "more workers, the fastest decoder, a cache of decoded frames, or smaller files",
    "transform": "a smaller short side while decoding, or augmentation of batches on the GPU",
    "collate": "smaller clips, or bytes instead of floats until the device",
    "transfer": "pinned memory, and bytes instead of floats until the device",
}


def measure_throughput(
    dataset: ClipDataset,
    *,
    batch_size: int,
    num_workers: int = 0,
    device: torch.device | str = "cpu",
    most_clips: int = 256,
) -> Throughput:
    """Time every stage of loading by itself in this process, then the loader as a whole.

    Args:
        dataset: the clips.
        batch_size: clips in a batch.
        num_workers: processes of the loader.
        device: where batches go.
        most_clips: read so many at most.

    Raises:
        DataError: no clip could be read.
    """
    require_positive(batch_size=batch_size, most_clips=most_clips)
    require(num_workers >= 0, "num_workers", num_workers, "0 or more")
    device = torch.device(device)
    count = min(len(dataset), most_clips)
    spent = dict.fromkeys(STAGES if device.type == "cuda" else STAGES[:3], 0.0)
    read = 0
    skipped: list[LeftOut] = []
    items: list[dict[str, Any]] = []

    def finish() -> None:
        batch = _timed(spent, "collate", lambda: collate_clips(items))
        if "transfer" in spent:
            clip: Tensor = batch["clip"].pin_memory()
            torch.cuda.synchronize(device)
            _timed(spent, "transfer", lambda: clip.to(device))
        items.clear()

    for index, record in enumerate(dataset.records[:count]):
        generator = clip_generator(dataset.seed, 0, index) if dataset.random else None
        started = time.perf_counter()
        try:
            frames, chosen = dataset.read(record, generator)
        except DataError as error:
            skipped.append(LeftOut(str(record.path), str(error).removeprefix(f"{record.path}: ")))
            continue
        finally:
            spent["decode"] += time.perf_counter() - started
        read += 1
        items.append(
            {
                "clip": _timed(spent, "transform", lambda: dataset.finish(frames, generator)),  # noqa: B023
                "frame_index": torch.tensor(chosen),
                "labels": dict(record.labels),
                "path": str(record.path),
            }
        )
        if len(items) == batch_size:
            finish()
    if items:
        finish()
    if read == 0:
        raise DataError(f"none of {count} clips could be read; the first: {skipped[0]}")
    rate = _rate(dataset, count, batch_size, num_workers, device)
    per_clip = {stage: 1e3 * seconds / read for stage, seconds in spent.items()}
    return Throughput(read, per_clip, num_workers, rate, str(device), tuple(skipped))


def _timed(spent: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    spent[stage] += time.perf_counter() - started
    return result


def _rate(dataset: ClipDataset, count: int, batch_size: int, num_workers: int, device: torch.device) -> float:
    """Clips a second of the batcher in its second epoch, when its workers are up."""
    order = Epochs(count, batch_size, dataset.seed)
    batches = Batches(dataset, order, num_workers=num_workers, pin_memory=device.type == "cuda")
    started, read = time.perf_counter(), 0
    for step, batch in enumerate(prefetched(batches(0, 2 * order.steps_per_epoch), device)):
        read += 0 if batch.get("filler") else len(batch["clip"])
        if step == order.steps_per_epoch - 1:
            started, read = time.perf_counter(), 0
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return read / (time.perf_counter() - started)
