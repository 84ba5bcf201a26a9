"""Which clips a user meant: the samples or a folder, their splits, a labelling of them, one list of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vtlearn.data.kinetics import ClipRecord, ClipSet, LeftOut, split_by_source
from vtlearn.data.manifest import read_usable_clips
from vtlearn.data.synthetic import LABELLINGS, SPECS, SampleSet, samples_folder
from vtlearn.errors import ArgumentError, DataError


def choose_data(*, folder: Path | None = None, samples_seed: int = 0, hard: bool = False) -> dict[str, Any]:
    """What a user asked for, as plain values that JSON holds.

    Raises:
        ArgumentError: a folder that is none, or a folder together with the samples.

    >>> choose_data(samples_seed=3)
    {'samples_seed': 3}
    """
    if folder is None:
        return {"samples_seed": samples_seed} | ({"set": "hard"} if hard else {})
    if hard or samples_seed != 0:
        raise ArgumentError("data", str(folder), "given alone, without a set of samples")
    if not folder.is_dir():
        raise ArgumentError("data", str(folder), "a folder of videos")
    return {"folder": str(folder.resolve())}


def find_records(data: Mapping[str, Any], seed: int) -> ClipSet:
    """The clips of a comparison with their splits and labels.

    Raises:
        DataError: no clips, too few classes or clips, or annotations that cannot be read.
    """
    if "folder" not in data:
        spec = SPECS[data.get("set", "standard")]()
        return _sample_records(samples_folder(int(data["samples_seed"]), spec))
    clips = read_usable_clips(data["folder"])
    if clips.split_names == ("train", "val"):  # as Kinetics is used: its test list has no labels
        clips = replace(
            clips,
            records=tuple(map(_val_as_test, clips.records)),
            left_out=tuple(map(_val_as_test, clips.left_out)),
        )
    elif not {"train", "test"} <= set(clips.split_names):
        clips = split_by_source(clips, seed=seed)
    for labelling, names in clips.class_names.items():
        if len(names) < 2:
            raise DataError(f"{data['folder']}: {labelling} has {len(names)} class; two at least are needed")
    return clips


def _val_as_test(clip: Any) -> Any:
    return replace(clip, split="test") if clip.split == "val" else clip


def _sample_records(root: Path) -> ClipSet:
    samples = SampleSet.load(root)
    records = [
        ClipRecord(
            path=root / str(row["path"]),
            labels={name: names.index(str(row[name])) for name, names in LABELLINGS.items()},
            split=str(row["split"]),
            source=str(row["subject"]),
        )
        for row in samples.clips
    ]
    return ClipSet(records=tuple(records), class_names=LABELLINGS)


def only_labelling(clips: ClipSet, labelling: str | None, *, default: str | None = None) -> ClipSet:
    """The clips with one labelling alone: the one named, else ``default``, else the only one there is.

    Raises:
        DataError: several to choose from, none of that name, or no clip that has it.
    """
    known = list(clips.class_names)
    name = labelling or (default if default in known else None) or (known[0] if len(known) == 1 else None)
    if name is None or name not in known:
        asked = "one of several" if name is None else f"no labelling {name!r}"
        raise DataError(f"{asked}: choose --labelling from {', '.join(known)}")
    records = tuple(
        ClipRecord(
            path=record.path,
            labels={name: record.labels[name]},
            split=record.split,
            source=record.source,
        )
        for record in clips.records
        if name in record.labels
    )
    if not records:
        raise DataError(f"no clip has a label of {name!r}")
    return ClipSet(records=records, class_names={name: clips.class_names[name]}, left_out=clips.left_out)


@dataclass(frozen=True)
class Listed:
    """The clips of a list, and those that it names but that are not there.

    Attributes:
        records: clips with a file.
        class_names: names in class order.
        missing: clips without a file.
        where: what to call the list.
    """

    records: tuple[ClipRecord, ...]
    class_names: tuple[str, ...]
    missing: tuple[LeftOut, ...]
    where: str

    @property
    def total(self) -> int:
        """Clips that the list names."""
        return len(self.records) + len(self.missing)


def list_clips(
    data: Mapping[str, Any], split: str, labelling: str | None, *, default: str | None = None
) -> Listed:
    """The clips of one split of the samples or of a folder in Kinetics layout.

    Raises:
        DataError: no clip in that split; the message names those there are.
    """
    if "folder" in data:
        clips: ClipSet = read_usable_clips(data["folder"])
        if not clips.split_names:
            clips = split_by_source(clips, labelling=labelling or next(iter(clips.class_names)))
        where = str(data["folder"])
    else:
        clips, where = find_records(data, 0), "the samples"
    missing = tuple(each for each in clips.left_out if each.reason == "missing")
    clips = only_labelling(clips, labelling, default=default or "motion")
    records = tuple(clips.split(split))
    if not records:
        raise DataError(f"{where}: no clips in split {split!r}, only in {', '.join(clips.split_names)}")
    (names,) = clips.class_names.values()
    gone = tuple(each for each in missing if each.split in (None, split))
    return Listed(records, tuple(names), gone, where)
