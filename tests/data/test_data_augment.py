"""RandAugment and mixing: consistent over frames, seeded, and honest about the labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vtlearn.data.augment import (
    OPERATIONS,
    CutMix,
    Mixed,
    Mixup,
    Operation,
    RandAugment,
    mixed_labels,
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


@pytest.mark.parametrize("mix", [Mixup(0.7), CutMix()])
def test_mixing_is_seeded_and_its_share_is_true(mix: Mixup | CutMix) -> None:
    levels = torch.arange(7.0).reshape(7, 1, 1, 1, 1).expand(7, 3, 3, 11, 13)
    mixed = mix(levels, seeded(3))
    assert sorted(mixed.partner.tolist()) == list(range(7))
    assert ((mixed.share >= 0) & (mixed.share <= 1)).all()
    expected = mixed.share * torch.arange(7.0) + (1 - mixed.share) * mixed.partner
    assert torch.allclose(mixed.clips.mean((1, 2, 3, 4)), expected, atol=1e-4)
    assert torch.equal(mixed.clips, mixed.clips[:, :1].expand_as(mixed.clips))  # the same through time
    again = mix(levels, seeded(3))
    assert torch.equal(mixed.clips, again.clips)
    assert not torch.equal(mixed.clips, mix(levels, seeded(4)).clips)


def test_cutmix_takes_one_rectangle() -> None:
    levels = torch.arange(9.0).reshape(9, 1, 1, 1, 1).expand(9, 2, 3, 11, 13)
    mixed = CutMix()(levels, seeded(1))
    cut = 0
    for number in range(9):
        taken = mixed.clips[number, 0, 0] != number
        if mixed.partner[number] != number and taken.any():
            cut += 1
            rows, columns = taken.any(1), taken.any(0)
            assert torch.equal(taken, rows[:, None] & columns[None])
            for line in (rows, columns):
                places = line.nonzero().flatten()
                assert len(places) == places[-1] - places[0] + 1
    assert cut > 2


def test_targets_sum_to_one() -> None:
    mixed = Mixup()(torch.zeros(5, 1, 3, 4, 4), seeded(0))
    labels = {"what": torch.tensor([0, 1, 2, 0, 1]), "how": torch.tensor([6, 0, 3, 3, 1])}
    targets = mixed_labels(mixed, labels, {"what": 3, "how": 7})
    assert targets["how"].shape == (5, 7)
    for name, numbers in labels.items():
        assert torch.allclose(targets[name].sum(1), torch.ones(5))
        for i in range(5):
            partner = int(mixed.partner[i])
            own = float(mixed.share[i]) + (1 - float(mixed.share[i])) * (numbers[partner] == numbers[i])
            assert targets[name][i, numbers[i]] == pytest.approx(float(own), abs=1e-6)
    whole = Mixed(torch.zeros(1, 1, 3, 4, 4), torch.tensor([0]), torch.ones(1))
    assert whole.targets(torch.tensor([1]), 2).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: RandAugment(num_operations=0), "num_operations"),
        (lambda: RandAugment(magnitude=11.0), "magnitude"),
        (lambda: RandAugment(operations=()), "operations"),
        (lambda: Mixup(0.0), "alpha"),
        (lambda: CutMix(-1.0), "alpha"),
    ],
)
def test_bad_arguments_are_named(call: object, argument: str) -> None:
    assert callable(call)
    with pytest.raises(ArgumentError, match=rf"^{argument} must be"):
        call()
