"""Transforms: consistent over the frames of a clip, drawn for each clip, seeded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vtlearn.data.synthetic import LABELLINGS
from vtlearn.data.transforms import (
    PUBLISHED_NORMALISATION,
    CentreCrop,
    ColourJitter,
    Compose,
    Normalise,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomShift,
    ResizeShortSide,
    ShortSideJitter,
    Transform,
    changed_by_flip,
    short_side_size,
    three_crops,
)
from vtlearn.errors import ArgumentError

RANDOM: list[Transform] = [
    RandomCrop(11),
    RandomShift(3),
    RandomResizedCrop(11),
    ShortSideJitter(13, 29, 11),
    ShortSideJitter(13, 29, 11, (0.5, 1.33)),
    RandomFlip({"label": ["run", "walk"]}),
    ColourJitter(0.4, 0.4, 0.4),
    Compose((RandomShift(2), RandomCrop(13), ColourJitter(brightness=0.3))),
]
random_transforms = pytest.mark.parametrize("transform", RANDOM, ids=lambda one: type(one).__name__)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def static_clips() -> Tensor:
    """Seven clips of five equal frames, 17 × 23."""
    pictures = torch.randint(256, (7, 1, 3, 17, 23), generator=seeded(0), dtype=torch.uint8)
    return pictures.expand(7, 5, 3, 17, 23).clone()


@random_transforms
def test_all_frames_of_a_clip_are_treated_alike(transform: Transform) -> None:
    out = transform(static_clips(), seeded(1))
    assert out.dtype == torch.uint8
    assert torch.equal(out, out[:, :1].expand_as(out))


@random_transforms
def test_clips_are_drawn_apart(transform: Transform) -> None:
    clips = static_clips()[:1].expand(12, -1, -1, -1, -1).clone()
    out = transform(clips, seeded(2))
    assert any(not torch.equal(out[0], other) for other in out[1:])


@random_transforms
def test_the_seed_decides(transform: Transform) -> None:
    clips = static_clips()
    assert torch.equal(transform(clips, seeded(3)), transform(clips, seeded(3)))
    assert any(not torch.equal(transform(clips, seeded(3)), transform(clips, seeded(s))) for s in range(4, 8))


@random_transforms
def test_input_is_left_alone_and_nothing_is_drawn_without_a_generator(transform: Transform) -> None:
    clips = static_clips()
    before, state = clips.clone(), torch.get_rng_state()
    transform(clips, seeded(4))
    assert torch.equal(transform(clips), transform(clips))
    assert torch.equal(clips, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_sizes_keep_their_proportions() -> None:
    assert short_side_size(256, 340, 64) == (64, 85)
    assert short_side_size(340, 256, 64) == (85, 64)
    assert short_side_size(3, 3, 7) == (7, 7)
    assert ResizeShortSide(34)(static_clips()).shape == (7, 5, 3, 34, 46)
    same = static_clips()
    assert torch.equal(ResizeShortSide(17)(same), same)
    flat = torch.full((1, 2, 3, 17, 23), 77, dtype=torch.uint8)
    assert (ResizeShortSide(5)(flat) == 77).all()


def test_crops_are_parts_of_the_picture() -> None:
    clips = static_clips()
    assert torch.equal(CentreCrop(11)(clips), clips[..., 3:14, 6:17])
    assert torch.equal(RandomCrop(11)(clips), CentreCrop(11)(clips))
    out = RandomCrop(11)(clips, seeded(5))
    windows = clips.unfold(-2, 11, 1).unfold(-2, 11, 1)  # B T C top left rows columns
    for clip, inside in zip(out, windows, strict=True):
        found = (inside == clip[:, :, None, None]).all((0, 1, 4, 5))
        assert found.sum() == 1
    many = RandomCrop(16)(clips[:1].expand(200, -1, -1, -1, -1), seeded(6))
    assert len({clip.numpy().tobytes() for clip in many}) == 2 * 8  # every place


def test_shift_moves_and_holds_the_edge() -> None:
    clips = torch.arange(9).repeat(40, 2, 1, 6, 1).to(torch.uint8)
    out = RandomShift(2)(clips, seeded(0))
    moves = {tuple(clip[0, 0, 0].tolist()) for clip in out}
    assert moves == {tuple(min(max(i + move, 0), 8) for i in range(9)) for move in range(-2, 3)}
    assert torch.equal(RandomShift(0)(clips, seeded(0)), clips)


def test_jitter_resizes_before_it_crops() -> None:
    ramp = torch.arange(23.0).expand(300, 1, 3, 17, 23)
    out = ShortSideJitter(17, 34, 9)(ramp, seeded(0))
    steps = (out[..., 4, -2] - out[..., 4, 1])[:, 0, 0] / 6  # inside, away from edges: pixels of the ramp
    assert out.shape == (300, 1, 3, 9, 9)
    assert 0.45 < steps.min() < 0.56
    assert 0.94 < steps.max() < 1.06
    fixed = ShortSideJitter(20, 34, 9)(ramp)
    assert torch.equal(fixed, CentreCrop(9)(ResizeShortSide(20)(ramp)))


def test_three_crops_cover_the_picture() -> None:
    clips = static_clips()
    left, middle, right = three_crops(clips, 17)
    assert torch.equal(left, clips[..., :17])
    assert torch.equal(middle, clips[..., 3:20])
    assert torch.equal(right, clips[..., 6:])
    upright = three_crops(clips.transpose(-1, -2), 17)
    assert torch.equal(upright.transpose(-1, -2), torch.stack([left, middle, right]))


def test_flip_is_a_mirror_for_about_half() -> None:
    clips = static_clips()[:1].expand(200, -1, -1, -1, -1)
    out = RandomFlip({"label": ["run"]})(clips, seeded(0))
    mirrored = [torch.equal(clip, clips[0].flip(-1)) for clip in out]
    assert all(m or torch.equal(clip, clips[0]) for m, clip in zip(mirrored, out, strict=True))
    assert 70 < sum(mirrored) < 130
    assert torch.equal(RandomFlip({}, probability=1.0)(clips, seeded(0)), clips.flip(-1))


@pytest.mark.parametrize(
    "names",
    [
        ["pushing something from left to right"],
        ["Turning Clockwise", "still"],
        ["turn_anticlockwise"],
        ["moves leftward"],
        ["left"],
    ],
)
def test_flip_refuses_what_it_would_change(names: list[str]) -> None:
    with pytest.raises(ArgumentError, match="class_names must be the same in a mirror"):
        RandomFlip({"what": ["cat"], "how": names})


def test_flip_knows_harmless_names() -> None:
    assert changed_by_flip(["copyright", "cleft lip", "brightening", "leftovers", "upright piano"]) == []
    assert changed_by_flip(list(LABELLINGS["appearance"])) == []


def test_flip_is_refused_for_the_samples_motions() -> None:
    with pytest.raises(ArgumentError, match="motion"):
        RandomFlip(LABELLINGS)


def test_colour_by_hand() -> None:
    grey = torch.full((50, 2, 3, 4, 4), 100, dtype=torch.uint8)
    levels = ColourJitter(brightness=0.5)(grey, seeded(0))[:, 0, 0, 0, 0].float()
    assert levels.min() >= 50
    assert levels.max() <= 150
    assert levels.std() > 15
    assert torch.equal(ColourJitter(contrast=1.0, saturation=1.0)(grey, seeded(0)), grey)
    assert torch.equal(ColourJitter()(static_clips(), seeded(0)), static_clips())
    colours = static_clips()
    paler = ColourJitter(saturation=1.0)(colours.float(), seeded(2))
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    inside = ((paler > 0) & (paler < 255)).all(2)
    before, after = (colours.float() * weights).sum(2), (paler * weights).sum(2)
    assert inside.float().mean() > 0.2
    assert torch.allclose(before[inside], after[inside], atol=0.01)  # saturation keeps the luma


@pytest.mark.parametrize("name", list(PUBLISHED_NORMALISATION))
def test_normalisation_of_each_published_model(name: str) -> None:
    clips = static_clips()
    out = Normalise.named(name)(clips)
    mean, std = (torch.tensor(numbers).reshape(3, 1, 1) for numbers in PUBLISHED_NORMALISATION[name])
    assert out.dtype == torch.float32
    assert torch.allclose(out, (clips / 255 - mean) / std, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: CentreCrop(18)(static_clips()), "size"),
        (lambda: RandomCrop(18)(static_clips(), seeded(0)), "size"),
        (lambda: three_crops(static_clips(), 11), "size"),
        (lambda: RandomCrop(0), "size"),
        (lambda: RandomShift(-1), "pixels"),
        (lambda: ShortSideJitter(10, 20, 11), "smallest"),
        (lambda: ShortSideJitter(12, 11, 11), "largest"),
        (lambda: ShortSideJitter(12, 13, 11, (1.2, 0.9)), "factors"),
        (lambda: RandomFlip({}, probability=1.5), "probability"),
        (lambda: ColourJitter(contrast=2.0), "contrast"),
        (lambda: RandomResizedCrop(8, area=(0.5, 0.2)), "area"),
        (lambda: RandomResizedCrop(8, ratio=(0.0, 1.0)), "ratio"),
        (lambda: Normalise((0.5,), (0.0,)), "std"),
        (lambda: Normalise.named("resnet"), "name"),
        (lambda: Normalise((0.5,), (0.5,))(static_clips()), "clips"),
    ],
)
def test_bad_arguments_are_named(call: object, argument: str) -> None:
    assert callable(call)
    with pytest.raises(ArgumentError, match=rf"^{argument} must be"):
        call()
