"""Clips in memory: decoded once, kept whole, and batches that depend on the seed and the step alone."""

from pathlib import Path

import pytest
import torch

from vtlearn.data.batches import Batches, Endless
from vtlearn.data.kinetics import ClipRecord
from vtlearn.data.memory import PIXELS, ClipMemory, MemoryClips, decode_clips, evaluation_batches
from vtlearn.data.sampling import uniform_indices
from vtlearn.data.synthetic import LABELLINGS, SampleSet, bundled_samples
from vtlearn.data.transforms import Compose, Normalise, RandomShift
from vtlearn.errors import ArgumentError, DataError


@pytest.fixture(scope="module")
def records():
    samples = SampleSet.load(bundled_samples())
    return [
        ClipRecord(
            path=samples.root / row["path"],
            labels={name: names.index(row[name]) for name, names in LABELLINGS.items()},
            split=row["split"],
        )
        for row in samples.split("test")[:7]
    ]


@pytest.fixture(scope="module")
def clips(records):
    return decode_clips(records, LABELLINGS, num_frames=11, image_size=32)


def scaled(frames):
    """Bytes as the released TimeSformer takes them, by hand."""
    return (frames.permute(0, 1, 4, 2, 3).float() - 255 * 0.45) / (255 * 0.225)


def test_what_is_kept(clips, records):
    assert clips.frames.shape == (7, 11, 32, 32, 3)
    assert clips.frame_index[0].tolist() == uniform_indices(24, 11)
    assert clips.labels["motion"].tolist() == [record.labels["motion"] for record in records]
    assert clips.paths == [str(record.path) for record in records]


def test_it_survives_a_file(clips, tmp_path):
    again = ClipMemory.load(clips.save(tmp_path / "deep" / "clips.safetensors"))
    assert (again.frames == clips.frames).all()
    assert again.paths == clips.paths
    assert {name: list(names) for name, names in again.class_names.items()} == {
        name: list(names) for name, names in LABELLINGS.items()
    }
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["clips.safetensors"]


def test_a_damaged_file_is_named(clips, tmp_path):
    path = clips.save(tmp_path / "clips.safetensors")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"clips\.safetensors: no decoded clips"):
        ClipMemory.load(path)


def test_unreadable_clips_are_left_out_by_name(records, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    mixed = [records[0], ClipRecord(path=broken, labels=records[0].labels), records[1]]
    memory = decode_clips(mixed, LABELLINGS, num_frames=8, image_size=32)
    assert len(memory) == 2
    assert [Path(each.name).name for each in memory.left_out] == ["broken.mp4"]
    with pytest.raises(DataError, match="none of 1 clips"):
        decode_clips(mixed[1:2], LABELLINGS, num_frames=8, image_size=32)
    with pytest.raises(DataError, match="no clips"):
        decode_clips([], LABELLINGS, num_frames=8, image_size=32)


def batches(clips, *, batch_size=3, num_frames=5, shift=2, seed=1, pixels=PIXELS, **how):
    source = MemoryClips(clips, num_frames, Compose((RandomShift(shift), pixels)), seed=seed)
    return Batches(source, Endless(len(clips), batch_size, seed), **how)


def agree(one, other):
    assert one["path"] == other["path"]
    assert torch.equal(one["clip"], other["clip"])
    assert torch.equal(one["frame_index"], other["frame_index"])
    assert all(torch.equal(one["labels"][name], other["labels"][name]) for name in one["labels"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_depends_on_seed_and_step_alone(clips, workers):
    later = list(batches(clips, num_workers=workers)(4, 6))
    for one, two in zip(later, list(batches(clips)(0, 6))[4:], strict=True):
        agree(one, two)
    (other,) = batches(clips, seed=2)(4, 5)
    assert not torch.equal(other["clip"], later[0]["clip"])


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("world_size", [1, 2])
def test_parts_and_processes_see_the_rows_of_the_whole_step(clips, accumulate, world_size):
    how = {"accumulate": accumulate, "world_size": world_size, "batch_size": 5}
    runs = [list(batches(clips, rank=rank, **how)(0, 4)) for rank in range(world_size)]
    for step, whole in enumerate(batches(clips, batch_size=5)(0, 4)):
        first = step * accumulate
        parts = [run[index] for index in range(first, first + accumulate) for run in runs]
        parts = [part for part in parts if not part.get("filler")]
        assert [name for part in parts for name in part["path"]] == whole["path"]
        assert torch.equal(torch.cat([part["clip"] for part in parts]), whole["clip"])
        assert torch.equal(torch.cat([part["frame_index"] for part in parts]), whole["frame_index"])


def test_every_clip_comes_once_in_every_epoch(clips):
    names = [name for batch in batches(clips)(0, 14) for name in batch["path"]]
    for epoch in range(6):
        assert sorted(names[7 * epoch : 7 * (epoch + 1)]) == sorted(clips.paths)
    assert names[:7] != names[7:14], "each epoch has its own order"


def test_frames_come_one_from_each_part_in_order(clips):
    seen = set()
    for batch in batches(clips, shift=0)(0, 40):
        index = batch["frame_index"]
        assert (index[:, 1:] > index[:, :-1]).all()
        seen |= set(index.flatten().tolist())
    assert seen == set(clips.frame_index[0].tolist()), "every kept frame is shown at some time"


def test_a_clip_moves_as_a_whole_and_by_no_more_than_the_shift(clips):
    flat = ClipMemory(
        frames=torch.arange(32).repeat(1, 11, 32, 1).unsqueeze(-1).repeat(1, 1, 1, 1, 3).to(torch.uint8),
        frame_index=clips.frame_index[:1],
        labels={"motion": torch.tensor([0])},
        class_names={"motion": ("a", "b")},
        paths=["x"],
    )
    moves = set()
    for batch in batches(flat, batch_size=1)(0, 60):
        column = (batch["clip"][0, :, 0, 5, 16] * 0.225 + 0.45) * 255
        assert column.max() - column.min() < 1e-3, "all frames moved alike"
        moves.add(round(float(column[0])) - 16)
    assert moves == {-2, -1, 0, 1, 2}


def test_evaluation_shows_every_clip_once_with_even_frames(clips):
    found = list(evaluation_batches(clips, batch_size=4, num_frames=5))
    assert [len(batch["clip"]) for batch in found] == [4, 3]
    assert [name for batch in found for name in batch["path"]] == list(clips.paths)
    chosen = clips.frame_index[0][uniform_indices(11, 5)]
    assert (torch.cat([batch["frame_index"] for batch in found]) == chosen).all()
    assert torch.equal(found[0]["clip"], scaled(clips.frames[:4][:, uniform_indices(11, 5)]))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"num_frames": 12}, "num_frames must be at most the 11"), ({"shift": -1}, "pixels must be 0 or more")],
)
def test_what_cannot_be_is_named(clips, changes, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        batches(clips, **changes)


def test_other_weights_want_other_pixels(clips):
    ones = {"pixels": Normalise.named("vivit")}
    (batch,) = evaluation_batches(clips, batch_size=99, num_frames=5, **ones)
    frames = clips.frames[:, uniform_indices(11, 5)].permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(batch["clip"], frames.float() / 127.5 - 1)
    usual, drawn = (next(batches(clips, **pixels)(0, 1))["clip"] for pixels in ({}, ones))
    torch.testing.assert_close(drawn, 2 * (0.225 * usual + 0.45) - 1)
