"""Augmentation of batches: alike for all frames of a clip, drawn for each clip, seeded, and never a false
label."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vtlearn.data.batch_augment import BatchAugment
from vtlearn.errors import ArgumentError

EACH = [
    BatchAugment(rotation=30.0),
    BatchAugment(zoom=(0.6, 1.5)),
    BatchAugment(shift=0.3),
    BatchAugment(brightness=0.5),
    BatchAugment(contrast=0.5),
    BatchAugment(saturation=0.8),
    BatchAugment(hue=0.4),
    BatchAugment(flip=True, class_names={"label": ["run"]}),
    BatchAugment(rotation=10.0, zoom=(0.9, 1.2), shift=0.1, brightness=0.2, hue=0.1),
]
each = pytest.mark.parametrize("augment", EACH, ids=range(len(EACH)))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(batch: int = 7) -> Tensor:
    """Clips of five equal frames, 17 × 23, smooth and coloured."""
    coarse = torch.rand(batch, 3, 4, 5, generator=seeded(0)) * 200 + 25
    pictures = torch.nn.functional.interpolate(coarse, (17, 23), mode="bilinear")
    return pictures[:, None].expand(-1, 5, -1, -1, -1).clone()


@each
def test_frames_alike_clips_apart_and_seeded(augment: BatchAugment) -> None:
    before = clips()
    out = augment(clips(), seeded(1))
    assert out.shape == before.shape
    assert torch.allclose(out, out[:, :1].expand_as(out), atol=1e-3)
    assert (out - before).abs().mean() > 0.5
    assert torch.equal(out, augment(clips(), seeded(1)))
    assert not torch.equal(out, augment(clips(), seeded(2)))
    same = augment(clips()[:1].expand(7, -1, -1, -1, -1).clone(), seeded(3))
    assert any(not torch.allclose(same[0], other) for other in same[1:])
    assert torch.equal(augment(before), before)
    assert torch.equal(before, clips())
    assert out.min() >= 0
    assert out.max() <= 255 + 1e-3


def test_bytes_stay_bytes() -> None:
    out = BatchAugment(rotation=20.0)(clips().to(torch.uint8), seeded(0))
    assert out.dtype == torch.uint8


def test_geometry_by_hand() -> None:
    dot = torch.zeros(200, 2, 3, 21, 31)
    dot[..., 10, 20] = 255.0
    mirrored = BatchAugment(flip=True, class_names={"label": ["run"]})(dot, seeded(0))
    places = {tuple(divmod(int(clip[0, 0].argmax()), 31)) for clip in mirrored}
    assert places == {(10, 20), (10, 10)}
    moved = BatchAugment(shift=0.2)(dot, seeded(0))
    rows, columns = zip(*(divmod(int(clip[0, 0].argmax()), 31) for clip in moved), strict=True)
    assert (min(rows), max(rows)) == (6, 14)  # 0.2 × 21 = 4.2 pixels
    assert (min(columns), max(columns)) == (14, 26)  # 0.2 × 31 = 6.2
    turned = BatchAugment(rotation=90.0)(dot, seeded(0))
    for clip in turned:
        row, column = divmod(int(clip[0, 0].argmax()), 31)
        assert ((row - 10) ** 2 + (column - 15) ** 2) ** 0.5 == pytest.approx(5, abs=1.1)


def test_a_mirror_that_would_change_a_label_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^class_names must be the same in a mirror"):
        BatchAugment(flip=True, class_names={"motion": ["moves left", "moves right"]})
    with pytest.raises(ArgumentError, match=r"^class_names must be given"):
        BatchAugment(flip=True)


@pytest.mark.parametrize(
    "settings", [{"rotation": -1.0}, {"zoom": (0.0, 1.0)}, {"zoom": (2.0, 1.0)}, {"hue": 0.6}, {"shift": 2.0}]
)
def test_bad_arguments_are_named(settings: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=rf"^{next(iter(settings))} must be"):
        BatchAugment(**settings)  # type: ignore[arg-type]


@pytest.mark.gpu
@each
def test_a_gpu_gives_the_same(augment: BatchAugment) -> None:
    there = augment(clips().cuda(), seeded(1))
    assert there.device.type == "cuda"
    assert torch.allclose(there.cpu(), augment(clips(), seeded(1)), atol=0.05)
