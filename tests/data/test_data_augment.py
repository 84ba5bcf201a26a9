"""RandAugment and mixing: consistent over frames, seeded, and honest about the labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vtlearn.data.augment import (
    OPERATIONS,
    Operation,
    RandAugment,
    rotate,
    solarise,
    translate_x,
    translate_y,
)
from vtlearn.errors import ArgumentError

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.__name__)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip() -> Tensor:
    """Five equal frames, 11 × 13, from 20 to 220."""
    return (torch.rand(1, 3, 11, 13, generator=seeded(0)) * 200 + 20).expand(5, -1, -1, -1).clone()


@each_operation
def test_no_strength_is_no_change(operation: Operation) -> None:
    gentle = clip().floor() if operation.__name__ == "posterise" else clip()
    assert torch.allclose(operation(gentle, 0.0), gentle, atol=1e-3)


@each_operation
@pytest.mark.parametrize("strength", [-0.9, 0.9])
def test_strength_changes_all_frames_alike(operation: Operation, strength: float) -> None:
    out = operation(clip(), strength)
    assert out.shape == clip().shape
    assert (out - clip()).abs().mean() > 1
    assert torch.allclose(out, out[:1].expand_as(out), atol=1e-3)


def test_geometry_by_hand() -> None:
    dot = torch.full((1, 3, 11, 21), 127.5)
    dot[..., 5, 10] = 255.0
    across = translate_x(dot, 1.0)  # 0.3 × 21 = 6.3 pixels to the right
    assert across[0, 0, 5].argmax() == 16
    down = translate_y(dot, -1.0)  # 3.3 pixels up
    assert down[0, 0, :, 10].argmax() == 2
    side = torch.full((1, 1, 21, 21), 127.5)
    side[..., 10, 20] = 255.0
    turned = rotate(side, 1.0)  # by 30 degrees: from (10, 0) to (8.66, ∓5)
    row, column = divmod(int(turned[0, 0].argmax()), 21)
    assert (row, column) in ((5, 19), (15, 19))
    assert (solarise(clip(), 1.0) == 255 - clip()).all()


def test_rand_augment_is_seeded_and_drawn_for_each_clip() -> None:
    clips = clip().to(torch.uint8)[None].expand(16, -1, -1, -1, -1).clone()
    transform = RandAugment(num_operations=2, magnitude=7.0)
    out = transform(clips, seeded(1))
    assert out.dtype == torch.uint8
    assert torch.equal(out, transform(clips, seeded(1)))
    assert not torch.equal(out, transform(clips, seeded(2)))
    assert len({one.numpy().tobytes() for one in out}) > 8
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert torch.equal(transform(clips), clips)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: RandAugment(num_operations=0), "num_operations"),
        (lambda: RandAugment(magnitude=11.0), "magnitude"),
        (lambda: RandAugment(operations=()), "operations"),
    ],
)
def test_bad_arguments_are_named(call: object, argument: str) -> None:
    assert callable(call)
    with pytest.raises(ArgumentError, match=rf"^{argument} must be"):
        call()
