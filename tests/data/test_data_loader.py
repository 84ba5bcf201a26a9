"""Loading: the same batches for any number of workers, taken up anywhere, and every lost clip named."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtlearn.data.batches import Batches, Endless, Epochs, Part, listed_batches, parts_of
from vtlearn.data.decode import decode_all
from vtlearn.data.kinetics import ClipRecord
from vtlearn.data.loader import ClipDataset, ClipKey, clip_generator, collate_clips
from vtlearn.data.sampling import StridedSampler, UniformSampler, WholeVideoSampler
from vtlearn.data.transforms import Compose, Normalise, RandomCrop
from vtlearn.errors import ArgumentError, DataError


@pytest.fixture(scope="module")
def records(
    tmp_path_factory: pytest.TempPathFactory, clip_writer: Callable[..., np.ndarray]
) -> list[ClipRecord]:
    """Eleven clips of different lengths, two of which cannot be read."""
    folder = tmp_path_factory.mktemp("set")
    found = []
    for i in range(11):
        path = folder / f"c{i}.mp4"
        clip_writer(path, num_frames=5 + i, height=20, width=30, seed=i)
        found.append(ClipRecord(path=path, labels={"label": i % 3, "other": i}, source=f"c{i}"))
    (folder / "c3.mp4").write_bytes(b"")
    (folder / "c7.mp4").write_bytes((folder / "c7.mp4").read_bytes()[:700])
    return found


def dataset(records: Sequence[ClipRecord], **settings: Any) -> ClipDataset:
    return ClipDataset(
        records,
        StridedSampler(num_frames=3, frame_stride=2),
        **{"short_side": 16, "transform": RandomCrop(13), "random": True, **settings},
    )


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (
        one["path"] == other["path"]
        and torch.equal(one["clip"], other["clip"])
        and torch.equal(one["frame_index"], other["frame_index"])
        and all(torch.equal(one["labels"][name], other["labels"][name]) for name in one["labels"])
    )


def test_an_item_holds_what_the_file_holds(records: list[ClipRecord]) -> None:
    item = ClipDataset(records, UniformSampler(4))[5]
    frames = decode_all(records[5].path)
    assert set(item) == {"clip", "frame_index", "labels", "path"}
    assert item["frame_index"].tolist() == UniformSampler(4)(10)
    assert torch.equal(item["clip"], frames[item["frame_index"]].permute(0, 3, 1, 2))
    assert item["labels"] == {"label": 2, "other": 5}
    assert item["path"] == str(records[5].path)
    whole = ClipDataset(records, WholeVideoSampler(), transform=Normalise.named("vivit"))[10]
    assert whole["clip"].shape == (15, 3, 20, 30)
    assert whole["clip"].dtype == torch.float32
    assert ClipDataset(records, UniformSampler(2), short_side=10)[0]["clip"].shape == (2, 3, 10, 15)


def test_chance_depends_on_seed_epoch_and_clip(records: list[ClipRecord]) -> None:
    clips = dataset(records, seed=1)
    again = dataset(records, seed=1)
    assert torch.equal(clips[ClipKey(2, 10)]["clip"], again[ClipKey(2, 10)]["clip"])
    seen = {clips[ClipKey(epoch, 10)]["clip"].numpy().tobytes() for epoch in range(8)}
    assert len(seen) > 4
    fixed = dataset(records, random=False)
    assert torch.equal(fixed[ClipKey(0, 10)]["clip"], fixed[ClipKey(5, 10)]["clip"])
    draws = {
        clip_generator(seed, epoch, clip).initial_seed()
        for seed, epoch, clip in itertools.product(range(5), range(5), range(5))
    }
    assert len(draws) == 125


def test_a_damaged_clip_is_an_item_with_its_reason(records: list[ClipRecord]) -> None:
    item = dataset(records)[3]
    assert set(item) == {"skipped"}
    assert item["skipped"].name == str(records[3].path)
    assert item["skipped"].reason == "empty file"


def batched(records: Sequence[ClipRecord], batch_size: int = 4, seed: int = 4, **how: Any) -> Batches:
    return Batches(dataset(records), Epochs(len(records), batch_size, seed), **how)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_for_any_number_of_workers(records: list[ClipRecord], workers: int) -> None:
    here, there = batched(records), batched(records, num_workers=workers)
    for one, other in zip(here(0, 6), there(0, 6), strict=True):
        assert same(one, other)
    assert sorted(map(str, here.skipped.values())) == sorted(map(str, there.skipped.values()))


def test_a_source_survives_being_pickled_as_spawned_workers_need(records: list[ClipRecord]) -> None:
    clips = pickle.loads(pickle.dumps(dataset(records)))
    key = ClipKey(1, 5)
    part = pickle.loads(pickle.dumps(Part(0, [key], 0, [key], False)))
    assert same(clips.batch(part), dataset(records).batch(part))


def test_skipped_clips_are_counted_once_and_named(records: list[ClipRecord]) -> None:
    batches = batched(records)
    seen = Counter(path for batch in batches(0, 9) for path in batch["path"])
    assert len(seen) == 9
    assert set(seen.values()) == {3}
    assert sorted(Path(name).name for name in batches.skipped) == ["c3.mp4", "c7.mp4"]
    reasons = {entry.reason.split(" (")[0] for entry in batches.skipped.values()}
    assert reasons == {"empty file", "truncated"}


def test_a_batch_of_nothing_but_damage_is_filler_that_shifts_no_step(records: list[ClipRecord]) -> None:
    batches = batched([records[3], records[7], records[0]], batch_size=1)
    found = list(batches(0, 3))
    good = [batch for batch in found if not batch.get("filler")]
    assert [batch["path"] for batch in good] == [[str(records[0].path)]]
    assert all(not batch["clip"].any() for batch in found if batch.get("filler"))
    assert len(batches.skipped) == 2
    with pytest.raises(DataError, match="none of 2 clips could be read"):
        list(batched([records[3], records[7]])(0, 1))


@pytest.mark.parametrize("workers", [0, 2])
def test_taken_up_anywhere(records: list[ClipRecord], workers: int) -> None:
    whole = list(batched(records, batch_size=2, seed=9)(0, 14))
    for start in (1, 4, 6, 9):
        rest = list(batched(records, batch_size=2, seed=9, num_workers=workers)(start, 14))
        assert all(same(one, other) for one, other in zip(whole[start:], rest, strict=True)), start


def test_an_interrupted_iteration_spoils_no_later_one(records: list[ClipRecord]) -> None:
    batches = batched(records, batch_size=2, num_workers=1)
    first = next(batches(0, 6))
    again = list(batches(0, 6))
    assert same(first, again[0])
    assert len(again) == 6


def test_listed_batches_hold_every_clip_once_and_name_what_is_lost(records: list[ClipRecord]) -> None:
    shown = dataset(records, random=False)
    for world_size in (1, 2, 3):
        parts = [
            list(listed_batches(shown, batch_size=2, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        assert len({len(part) for part in parts}) == 1
        real = [batch for part in parts for batch in part if not batch.get("filler")]
        seen = [path for batch in real for path in batch.get("path", [])]
        lost = [entry.name for batch in real for entry in batch["skipped"]]
        assert sorted(seen + lost) == sorted(str(record.path) for record in records)
        assert len(lost) == 2


def test_clips_that_do_not_fit_together_are_named(records: list[ClipRecord]) -> None:
    whole = ClipDataset(records, WholeVideoSampler())
    with pytest.raises(
        DataError, match=r"c1\.mp4: a clip of shape \(6, 3, 20, 30\) in a batch of \(5, 3, 20, 30\)"
    ):
        collate_clips([whole[0], whole[1]])


def test_labels_that_not_all_clips_have_are_left_out(records: list[ClipRecord]) -> None:
    item = dataset(records)[0]
    batch = collate_clips([item, {**item, "labels": {"label": 2}}])
    assert batch["labels"].keys() == {"label"}
    assert batch["labels"]["label"].tolist() == [0, 2]
    assert batch["skipped"] == []


# Orders


def clips_of(order: Epochs | Endless, start: int, steps: int) -> list[int]:
    return [key.clip for step in range(start, steps) for key in order(step)]


def test_an_epoch_takes_every_clip_once_and_changes_with_the_next() -> None:
    order = Epochs(101, batch_size=7, seed=3)
    first, second = clips_of(order, 0, 15), clips_of(order, 15, 30)
    assert order.steps_per_epoch == 15
    assert sorted(first) == sorted(second) == list(range(101))
    assert first == clips_of(order, 0, 15) != second
    assert first != clips_of(Epochs(101, batch_size=7, seed=4), 0, 15)
    assert len(order(14)) == 101 - 14 * 7


def test_the_endless_order_has_steps_of_one_size_and_every_clip_once_an_epoch() -> None:
    order = Endless(11, batch_size=4, seed=3)
    assert {len(order(step)) for step in range(33)} == {4}
    running = clips_of(order, 0, 33)
    for epoch in range(12):
        assert sorted(running[11 * epoch : 11 * (epoch + 1)]) == list(range(11)), epoch
    assert running[:11] != running[11:22]
    assert [key.epoch for key in order(2)] == [0, 0, 0, 1]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("order", [Epochs(13, 5, 3), Endless(13, 5, 3)], ids=["epochs", "endless"])
def test_no_clip_is_repeated_or_dropped_among_parts_and_processes(
    order: Epochs | Endless, accumulate: int, world_size: int
) -> None:
    for step in range(13):
        whole = order(step)
        parts = [parts_of(step, whole, accumulate, rank, world_size) for rank in range(world_size)]
        assert {len(part) for part in parts} == {accumulate}
        real = [part for own in parts for part in own if not part.filler]
        assert Counter(key for part in real for key in part.keys) == Counter(whole)
        assert all(part.keys == whole[part.first : part.first + len(part.keys)] for part in real)
        assert all(len(part.keys) >= 1 for own in parts for part in own), "filler, where there is nothing"


def test_bad_arguments_are_named(records: list[ClipRecord]) -> None:
    with pytest.raises(ArgumentError, match=r"^accumulate must be"):
        batched(records, accumulate=0)
    with pytest.raises(ArgumentError, match=r"^workers must be 0 or more, got -1"):
        batched(records, num_workers=-1)
    with pytest.raises(ArgumentError, match=r"^batch_size must be"):
        batched(records, batch_size=0)
    with pytest.raises(ArgumentError, match=r"^batch_size must be"):
        list(listed_batches(dataset(records), batch_size=0))
    with pytest.raises(ArgumentError, match=r"^short_side must be"):
        ClipDataset(records, UniformSampler(2), short_side=0)


def test_real_clips_in_one_batch(real_clips: Path) -> None:
    paths = sorted(real_clips.glob("kinetics400/*/*.mp4"))
    paths = [
        *[path for path in paths if path.stat().st_size < 10**6][:3],
        real_clips / "other" / "truncated.mp4",
    ]
    clips = ClipDataset(
        [ClipRecord(path=path, labels={}) for path in paths],
        UniformSampler(4),
        short_side=64,
        transform=Compose((RandomCrop(64), Normalise.named("vtn"))),
    )
    (batch,) = listed_batches(clips, batch_size=4)
    assert batch["clip"].shape == (len(paths) - 1, 4, 3, 64, 64)
    assert [Path(entry.name).name for entry in batch["skipped"]] == ["truncated.mp4"]
