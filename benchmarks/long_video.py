"""VTN's temporal part trained anew at several depths, numbers of frames and footprints, for lesson 12.

    python -m benchmarks.long_video            all rows with three seeds, written to results/long_video.json
    python -m benchmarks.long_video --quick    a few steps of two rows, a check that it runs; nothing written

Frames go once through the backbone of the shipped VTN, which stays as it is; each row trains a fresh temporal
encoder and head on those vectors, from the bundled training clips. A row differs from the usual one (depth 2,
8 frames over all 24) in one thing. Measured are the bundled test clips, and videos of 96 frames drawn by the
same rules: as many frames, spread as in the clips, four times as far apart, with their indices fitted into
the trained positions. Nothing was chosen by these numbers: steps, rate and batch are lesson 05's, with twice
its steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.machine import RESULTS, as_text, commit, machine
from vtlearn.data.memory import PIXELS
from vtlearn.data.synthetic import MOTIONS, SampleSpec, draw_sample, plan_samples
from vtlearn.files import write_text
from vtlearn.layers.head import MlpHead
from vtlearn.models.small_start import start_positions, start_weights
from vtlearn.models.vtn import VTN
from vtlearn.runs.long_video import positions_rule
from vtlearn.study.shipped import load_shipped, read_shipped, sample_clips

SEEDS = (0, 1, 2)
STEPS, BATCH, RATE, WEIGHT_DECAY = 600, 32, 3e-3, 0.05
CLIP, LONG = 24, 96
USUAL = {"depth": 2, "frames": 8, "footprint": CLIP}
ROWS: tuple[dict[str, int], ...] = (
    *(USUAL | {"depth": depth} for depth in (0, 1, 2, 3, 6)),
    *(USUAL | {"frames": frames} for frames in (2, 4, 16, 24)),
    *(USUAL | {"footprint": footprint} for footprint in (8, 16)),
)
"""Depth 0 has no temporal encoder: the mean of the frames' vectors, and the same head."""

Sets = dict[str, tuple[Tensor, Tensor]]


class MeanOfFrames(nn.Module):
    """No layers over time: the mean of the vectors through VTN's head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = MlpHead(width, width, len(MOTIONS), dropout=0.0)

    def classify_features(self, features: Tensor, frame_index: Tensor) -> Tensor:
        """Logits from frame features; where they stand plays no part."""
        out: Tensor = self.head(features.mean(dim=1))
        return out


def vectors(backbone: nn.Module, frames: Tensor) -> Tensor:
    """Bytes ``(T, H, W, C)`` to vectors ``(T, D)``."""
    with torch.no_grad():
        out: Tensor = backbone(PIXELS(frames[None].movedim(-1, 2))[0])
    return out


def long_videos() -> tuple[Tensor, Tensor]:
    """Frames and motion of videos four times as long as the clips, of subjects drawn from another seed."""
    spec = SampleSpec(
        num_frames=LONG, image_size=32, subjects_per_appearance={"train": 1, "val": 1, "test": 4}
    )
    plan = [clip for clip in plan_samples(spec, seed=2) if clip.split == "test"]
    frames = torch.stack([torch.from_numpy(draw_sample(clip, spec)) for clip in plan])
    return frames, torch.tensor([MOTIONS.index(clip.motion) for clip in plan])


def all_sets(quick: bool) -> Sets:
    """Name → vectors ``(n, T, D)`` of every frame, and motions ``(n,)``."""
    backbone = load_shipped("vtn").trunk.backbone
    found: Sets = {}
    for name in ("val",) if quick else ("train", "test"):
        clips = sample_clips(name)
        found[name] = (
            torch.stack([vectors(backbone, frames) for frames in clips.frames]),
            clips.labels["motion"],
        )
    frames, labels = long_videos()
    found["long"] = (torch.stack([vectors(backbone, each) for each in frames]), labels)
    if quick:
        found |= {"train": found["val"], "test": found["val"]}
    return found


def places(row: dict[str, int], length: int, generator: torch.Generator | None) -> Tensor:
    """Which of ``length`` frames a model is shown: one of each equal part of a window of the row's footprint.

    Training draws window and frames; without a generator both are taken from the middle. A video that is n
    times as long has a footprint n times as long.
    """
    span = row["footprint"] * length // CLIP
    part = span / row["frames"]
    if generator is None:
        return (length - span) // 2 + ((torch.arange(row["frames"]) + 0.5) * part).long()
    start = int(torch.randint(length - span + 1, (), generator=generator))
    inside = torch.arange(row["frames"]) + torch.rand(row["frames"], generator=generator)
    return start + (inside * part).long().clamp(max=span - 1)


def fresh(row: dict[str, int]) -> Any:
    """A temporal part of a row's depth with weights of its own."""
    config = load_shipped("vtn").trunk.config
    if row["depth"] == 0:
        model: nn.Module = MeanOfFrames(config.embed_dim)
        start_weights(model)
        return model
    vtn = VTN(dataclasses.replace(config, depth=row["depth"], num_classes=len(MOTIONS)), nn.Identity())
    start_weights(vtn)
    start_positions(vtn)
    return vtn


def train(model: Any, row: dict[str, int], sets: Sets, seed: int, steps: int) -> None:
    """The row's steps on the training clips; every clip of a batch shows the same places."""
    (features, labels), generator = sets["train"], torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    for _ in range(steps):
        some = torch.randint(len(labels), (BATCH,), generator=generator)
        index = places(row, CLIP, generator)
        logits = model.classify_features(features[some][:, index], index.expand(BATCH, -1))
        optimizer.zero_grad()
        F.cross_entropy(logits, labels[some]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def share_right(model: Any, row: dict[str, int], features: Tensor, labels: Tensor, trained: int) -> float:
    """The share of videos whose motion is named right, their indices fitted into the trained positions."""
    length = features.shape[1]
    index = places(row, length, None)
    if isinstance(model, VTN):
        with positions_rule(model, "interpolate", length - 1, trained):
            logits = model.classify_features(features[:, index], index.expand(len(labels), -1))
    else:
        logits = model.classify_features(features[:, index], index.expand(len(labels), -1))
    return float((logits.argmax(1) == labels).float().mean())


def measured(sets: Sets, quick: bool) -> Iterator[dict[str, Any]]:
    """Row by row: what it is, and its shares seed by seed."""
    trained = read_shipped("vtn").settings["trained_positions"]
    for row in ROWS[:2] if quick else ROWS:
        found: dict[str, list[float]] = {"clips": [], "long": []}
        for seed in SEEDS[:1] if quick else SEEDS:
            torch.manual_seed(seed)
            model = fresh(row)
            train(model, row, sets, seed, 5 if quick else STEPS)
            found["clips"].append(round(share_right(model, row, *sets["test"], trained), 4))
            found["long"].append(round(share_right(model, row, *sets["long"], trained), 4))
        yield row | found


def main() -> None:
    """Train all rows and record them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick: bool = parser.parse_args().quick
    torch.set_num_threads(1)
    began, sets, rows = time.perf_counter(), all_sets(quick), []
    for row in measured(sets, quick):
        rows.append(row)
        print(row, f"{time.perf_counter() - began:.0f} s", flush=True)
    if quick:
        return
    facts = {
        "machine": machine(),
        "commit": commit(),
        "settings": {
            "seeds": list(SEEDS),
            "steps": STEPS,
            "batch": BATCH,
            "rate": RATE,
            "weight_decay": WEIGHT_DECAY,
            "samples_seed": 0,
            "long_seed": 2,
            "clips": {name: len(labels) for name, (_, labels) in sets.items()},
            "backbone": "the shipped VTN's, fixed",
        },
        "seconds": round(time.perf_counter() - began),
        "rows": rows,
    }
    print(write_text(RESULTS / "long_video.json", as_text(facts) + "\n"))


if __name__ == "__main__":
    main()
