"""Loading: the same batches for any number of workers, taken up anywhere, and every lost clip named."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtlearn.data.decode import decode_all
from vtlearn.data.kinetics import ClipRecord
from vtlearn.data.loader import (
    Balanced,
    ClipDataset,
    ClipKey,
    ClipLoader,
    InTurn,
    Shared,
    Shuffled,
    clip_generator,
    collate_clips,
    report_skipped,
)
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


@pytest.mark.parametrize(("workers", "start_method"), [(1, "fork"), (2, "fork"), (2, "spawn")])
def test_batches_are_the_same_for_any_number_of_workers(
    records: list[ClipRecord], workers: int, start_method: str
) -> None:
    here = ClipLoader(dataset(records), Shuffled(11, seed=4), batch_size=4)
    there = ClipLoader(
        dataset(records), Shuffled(11, seed=4), batch_size=4, num_workers=workers, start_method=start_method
    )
    for _ in range(2):
        for one, other in zip(here, there, strict=True):
            assert same(one, other)
    assert (here.epoch, there.epoch) == (2, 2)
    assert sorted(map(str, here.skipped)) == sorted(map(str, there.skipped))


def test_skipped_clips_are_counted_once_and_named(records: list[ClipRecord]) -> None:
    loader = ClipLoader(dataset(records), Shuffled(11), batch_size=4)
    seen = Counter(path for _ in range(3) for batch in loader for path in batch["path"])
    assert len(seen) == 9
    assert set(seen.values()) == {3}
    assert loader.num_read == 27
    assert sorted(Path(entry.name).name for entry in loader.skipped) == ["c3.mp4", "c7.mp4"]
    assert {entry.reason.split(" (")[0] for entry in loader.skipped} == {"empty file", "truncated"}
    text = report_skipped(loader.skipped, 11)
    assert text.startswith("2 of 11 clips could not be read:")
    assert str(records[3].path) in text
    assert report_skipped([], 11) == "all 11 clips could be read"


def test_a_batch_of_nothing_but_damage_is_not_handed_out(records: list[ClipRecord]) -> None:
    loader = ClipLoader(dataset([records[3], records[7], records[0]]), InTurn(3), batch_size=2)
    batches = list(loader)
    assert [batch["path"] for batch in batches] == [[str(records[0].path)]]
    assert len(loader.skipped) == 2
    assert len(loader) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_taken_up_in_the_middle_of_an_epoch(records: list[ClipRecord], workers: int) -> None:
    def fresh(num_workers: int) -> ClipLoader:
        return ClipLoader(dataset(records), Shuffled(11, seed=9), batch_size=2, num_workers=num_workers)

    def endless(loader: ClipLoader) -> Any:
        while True:
            yield from loader

    whole = list(itertools.islice(endless(fresh(0)), 14))
    for stop in (1, 4, 6, 9):
        first = fresh(workers)
        for _ in itertools.islice(endless(first), stop):
            pass
        second = fresh(0)
        second.load_state_dict(first.state_dict())
        rest = list(itertools.islice(endless(second), 14 - stop))
        assert all(same(one, other) for one, other in zip(whole[stop:], rest, strict=True)), stop


def test_an_interrupted_iteration_goes_on(records: list[ClipRecord]) -> None:
    loader = ClipLoader(dataset(records), InTurn(11), batch_size=2)
    first = next(iter(loader))
    rest = list(loader)
    assert [first["path"], *(batch["path"] for batch in rest)] == [
        batch["path"] for batch in ClipLoader(dataset(records), InTurn(11), batch_size=2)
    ]


def test_a_state_of_another_loader_is_refused(records: list[ClipRecord]) -> None:
    loader = ClipLoader(dataset(records), InTurn(11), batch_size=2)
    with pytest.raises(ArgumentError, match=r"state\['batch_size'\] must be 2, as in this loader, got 4"):
        loader.load_state_dict(ClipLoader(dataset(records), InTurn(11), batch_size=4).state_dict())
    with pytest.raises(ArgumentError, match=r"state\['batches'\] must be 6"):
        loader.load_state_dict(ClipLoader(dataset(records), InTurn(5), batch_size=2).state_dict())


def test_incomplete_batches_are_dropped_on_wish(records: list[ClipRecord]) -> None:
    good = [record for i, record in enumerate(records) if i not in (3, 7)]
    sizes = [len(batch["clip"]) for batch in ClipLoader(dataset(good), InTurn(9), batch_size=4)]
    assert sizes == [4, 4, 1]
    loader = ClipLoader(dataset(good), InTurn(9), batch_size=4, drop_last=True)
    assert [len(batch["clip"]) for batch in loader] == [4, 4]
    assert len(loader) == 2


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


def test_shuffled_takes_every_clip_once_and_changes_with_the_epoch() -> None:
    order = Shuffled(101, seed=3)
    assert sorted(order(0)) == list(range(101))
    assert order(0) == order(0) != order(1)
    assert order(0) != Shuffled(101, seed=4)(0)


def test_balanced_gives_every_class_its_turn() -> None:
    classes = [0] * 7 + [1] * 3 + [2] * 5
    order = Balanced(classes, seed=1)
    for epoch in range(6):
        assert Counter(classes[clip] for clip in order(epoch)) == {0: 7, 1: 7, 2: 7}
    uses = Counter(clip for epoch in range(15) for clip in order(epoch))
    for number in range(3):
        times = [uses[clip] for clip in range(15) if classes[clip] == number]
        assert max(times) - min(times) <= 1  # no clip is used more than another of its class
    few = Balanced(classes, seed=1, per_class=2)
    assert Counter(classes[clip] for clip in few(0)) == {0: 2, 1: 2, 2: 2}
    assert set(itertools.chain(*(few(epoch) for epoch in range(4)))) == set(range(15))


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_shared_parts_cover_the_whole_equally(world_size: int) -> None:
    parts = [Shared(Shuffled(11, seed=2), rank, world_size)(1) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    together = Counter(itertools.chain(*parts))
    assert set(together) == set(range(11))
    assert sum(together.values()) == 11 + -11 % world_size
    assert Shared(InTurn(0), 0, 2)(0) == []


def test_bad_arguments_are_named(records: list[ClipRecord]) -> None:
    with pytest.raises(ArgumentError, match=r"^batch_size must be"):
        ClipLoader(dataset(records), InTurn(11), batch_size=0)
    with pytest.raises(ArgumentError, match=r"^num_workers must be"):
        ClipLoader(dataset(records), InTurn(11), batch_size=1, num_workers=-1)
    with pytest.raises(ArgumentError, match=r"^rank must be"):
        Shared(InTurn(3), rank=2, world_size=2)
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
    loader = ClipLoader(clips, InTurn(len(paths)), batch_size=4)
    (batch,) = list(loader)
    assert batch["clip"].shape == (len(paths) - 1, 4, 3, 64, 64)
    assert [Path(entry.name).name for entry in loader.skipped] == ["truncated.mp4"]
