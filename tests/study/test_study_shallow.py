"""Ridge regression on thumbnails: order decides where it must, and one frame says nothing."""

import dataclasses

import pytest
import torch

from vtlearn.data.memory import ClipMemory
from vtlearn.study.shallow import best_of, ridge_rows, thumbnails, told


def moving(count, seed):
    """A bright bar that crosses a noisy scene to the left or to the right, at a random height."""
    draw = torch.Generator().manual_seed(seed)
    frames = torch.zeros(count, 12, 16, 16)
    scene = torch.rand(count, 1, 16, 16, generator=draw) * 150
    labels = torch.arange(count) % 2
    for clip in range(count):
        top = int(torch.randint(0, 12, (), generator=draw))
        for frame in range(12):
            step = frame - 6 if frame else 0  # both pass the same places, and the middle in frame 6
            place = 8 + (step if labels[clip] else -step)
            frames[clip, frame, top : top + 4, place] = 255
    frames = (scene + frames).clamp(max=255).to(torch.uint8)[..., None].expand(-1, -1, -1, -1, 3)
    return ClipMemory(
        frames=frames.contiguous(),
        frame_index=torch.arange(12).expand(count, -1),
        labels={"side": labels},
        class_names={"side": ("left", "right")},
        paths=[f"{clip}.mp4" for clip in range(count)],
    )


@pytest.fixture(scope="module")
def rows():
    found = ridge_rows(moving(120, 0), moving(60, 1))
    return {row["features"]: row for row in found["side"]}


def test_order_decides_and_the_background_hides_it(rows):
    assert rows["background subtracted, in order"]["test_top1"] > 0.95
    assert rows["background subtracted, order-blind"]["test_top1"] < 0.75
    assert rows["thumbnails, one frame"]["test_top1"] < 0.75
    assert rows["background subtracted, in order"]["test_top1"] >= rows["thumbnails, in order"]["test_top1"]
    low, high = rows["thumbnails, in order"]["interval"]
    assert 0 <= low <= rows["thumbnails, in order"]["test_top1"] <= high <= 1
    assert {row["clips"] for row in rows.values()} == {60}
    assert len(rows) == 5, "a frame alone has no background to subtract"


def test_the_clips_that_are_tested_decide_nothing(rows):
    """Other test labels leave the penalties as they were."""
    test = moving(60, 1)
    turned = dataclasses.replace(test, labels={"side": 1 - test.labels["side"]})
    again = {row["features"]: row for row in ridge_rows(moving(120, 0), turned)["side"]}
    for name, row in rows.items():
        assert again[name]["penalty"] == row["penalty"]
        assert again[name]["test_top1"] == pytest.approx(1 - row["test_top1"])


def test_a_still_background_vanishes():
    clips = moving(4, 2)
    still = dataclasses.replace(clips, frames=clips.frames[:, :1].expand(-1, 12, -1, -1, -1).contiguous())
    assert float(thumbnails(still, background=False).abs().max()) == 0.0
    assert float(thumbnails(still, background=True).max()) > 100


def test_the_rows_in_words(rows):
    found = {"side": list(rows.values())}
    assert best_of(found)["side"] == max(row["test_top1"] for row in rows.values())
    lines = told(found).splitlines()
    assert len(lines) == 6
    assert lines[0] == "ridge regression on 16 × 16 pixels, side:"
