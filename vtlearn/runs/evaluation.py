"""Evaluating a trained model on a list of clips: views, rates, classes, calibration, coverage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from vtlearn import __version__
from vtlearn.data.batches import Part, listed_batches, share_of_batch
from vtlearn.data.decode import open_video
from vtlearn.data.kinetics import ClipRecord, LeftOut
from vtlearn.data.sources import Listed
from vtlearn.data.transforms import CentreCrop, short_side_size
from vtlearn.errors import ArgumentError, DataError, require_one_of, require_positive
from vtlearn.runs.folder import describe_machine
from vtlearn.runs.long_video import AT_MOST, three_crops_of, view_indices, whole_video
from vtlearn.runs.trained import Trained, match_classes
from vtlearn.runtime import autocast, choose_device
from vtlearn.train.distributed import gather_objects, process_group, rank, world_size
from vtlearn.train.evaluate import CALIBRATION_BINS, Evaluation, Tally, evaluation_mode, evaluation_row
from vtlearn.train.loop import explain_memory
from vtlearn.train.views import SeveralViews


class ViewsDataset(Dataset[Mapping[str, Any]]):
    """All views of each clip of a list: ``(views, T, C, H, W)`` bytes, clip by clip its crops in turn.

    Args:
        records: the clips.
        trained: says how many frames, how far apart, and of what size.
        clips, crops: views of each.
        classes: class of the data → class of the model.
    """

    def __init__(
        self, records: Sequence[ClipRecord], trained: Trained, clips: int, crops: int, classes: Sequence[int]
    ) -> None:
        require_positive(clips=clips)
        require_one_of("crops", crops, (1, 3))
        self.records, self.clips, self.crops, self.classes = list(records), clips, crops, list(classes)
        self.num_frames, self.frame_stride = trained.num_frames, trained.frame_stride
        self.short_side, self.crop = trained.short_side, trained.crop

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        record = self.records[number]
        try:
            with open_video(record.path) as video:
                plan = view_indices(video.num_frames, self.num_frames, self.frame_stride, self.clips)
                size = short_side_size(*video.size, self.short_side)
                frames = video.frames(
                    [index for clip in plan for index in clip], None if size == video.size else size
                )
        except DataError as error:
            return {"skipped": LeftOut(str(record.path), str(error).removeprefix(f"{record.path}: "))}
        clips = frames.permute(0, 3, 1, 2).unflatten(0, (len(plan), -1))
        if self.crops == 1:
            views = CentreCrop(self.crop)(clips)
            index = torch.tensor(plan)
        else:
            views = three_crops_of(clips, self.crop).transpose(0, 1).flatten(0, 1)
            index = torch.tensor(plan).repeat_interleave(3, dim=0)
        (label,) = record.labels.values()
        return {
            "clip": views.contiguous(),
            "frame_index": index,
            "label": self.classes[label],
            "path": str(record.path),
        }

    def batch(self, part: Part) -> dict[str, Any]:
        """All views of a part's clips, see :class:`vtlearn.data.batches.ClipSource`."""
        return collate_views([self[key.clip] for key in part.keys])


def collate_views(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Items of a :class:`ViewsDataset` as one batch, with those that were skipped apart."""
    read = [item for item in items if "skipped" not in item]
    batch: dict[str, Any] = {"skipped": [item["skipped"] for item in items if "skipped" in item]}
    if read:
        batch["clip"] = torch.stack([item["clip"] for item in read])
        batch["frame_index"] = torch.stack([item["frame_index"] for item in read])
        batch["label"] = torch.tensor([item["label"] for item in read])
    return batch


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an evaluation found, and of what.

    Attributes:
        name: the model.
        where, split: the list of clips.
        found: the counts, over the model's classes.
        class_names: the data's, in its order.
        classes: class of the data → class of the model.
        model_names: the names of the model's classes, where somebody wrote them down.
        listed: clips that the list names.
        missing: those without a file.
        unreadable: those that could not be read.
        views: clips × crops and how they were averaged, in words.
    """

    name: str
    where: str
    split: str
    found: Evaluation
    class_names: tuple[str, ...]
    classes: tuple[int, ...]
    model_names: tuple[str, ...] | None
    listed: int
    missing: tuple[LeftOut, ...] = ()
    unreadable: tuple[LeftOut, ...] = ()
    views: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def coverage(self) -> float:
        """Share of the listed clips that was evaluated."""
        return self.found.clips / self.listed

    def per_class(self) -> list[dict[str, Any]]:
        """One row a class of the data: clips, accuracy, and what it is most often taken for."""
        rows = []
        for name, number in zip(self.class_names, self.classes, strict=True):
            row = self.found.confusion[number].clone()
            clips, hits = int(row.sum()), int(row[number])
            row[number] = 0
            taken = int(row.argmax()) if int(row.sum()) else None
            rows.append(
                {
                    "class": name,
                    "clips": clips,
                    "correct": hits,
                    "accuracy": hits / clips if clips else None,
                    "mistaken_for": self._named(taken),
                }
            )
        return rows

    def _named(self, number: int | None) -> str | None:
        if number is None:
            return None
        if number in self.classes:
            return self.class_names[self.classes.index(number)]
        return f"class {number}" if self.model_names is None else self.model_names[number]

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        clips, correct, confidence = self.found.calibration.tolist()
        bins = [
            {"clips": int(n), "accuracy": hits / n, "confidence": sure / n}
            for n, hits, sure in zip(clips, correct, confidence, strict=True)
            if n
        ]
        return {
            "model": self.name,
            "data": self.where,
            "split": self.split,
            "views": self.views,
            "notes": list(self.notes),
            **evaluation_row(self.found),
            "coverage": {
                "listed": self.listed,
                "evaluated": self.found.clips,
                "share": self.coverage,
                "missing": [str(each) for each in self.missing],
                "unreadable": [str(each) for each in self.unreadable],
            },
            "per_class": self.per_class(),
            "calibration": {"bins": CALIBRATION_BINS, "filled": bins},
            "class_names": list(self.class_names),
            "model_classes": list(self.classes),
            "confusion": self.found.confusion.tolist(),
            "versions": {"vtlearn": __version__, "torch": torch.__version__},
            "machine": describe_machine(),
        }

    def told(self, per_class: bool = False) -> str:
        """The rates in a few lines, with a table of classes where asked for."""
        found, (low, high) = self.found, self.found.interval
        lines = [
            f"{self.name} on {self.where}, split {self.split}; {self.views}",
            f"top-1 {100 * found.top1:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f}), "
            f"top-5 {100 * found.top5:.1f} %, mean class {100 * found.mean_class_accuracy:.1f} %",
            f"loss {found.loss:.4f}, calibration error {100 * found.calibration_error:.1f} %",
            f"{found.clips} of {self.listed} listed clips evaluated ({100 * self.coverage:.1f} %): "
            f"{len(self.missing)} missing, {len(self.unreadable)} unreadable",
            *self.notes,
            *(f"  {each}" for each in self.unreadable[:5]),
        ]
        if per_class:
            width = max(map(len, self.class_names))
            lines.append(f"{'class':<{width}}  clips  accuracy  mistaken for")
            for row in self.per_class():
                rate = "–" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %"
                other = row["mistaken_for"] or ""
                lines.append(f"{row['class']:<{width}}  {row['clips']:>5}  {rate:>8}  {other}")
        return "\n".join(lines)


def evaluate_trained(
    trained: Trained,
    listed: Listed,
    *,
    split: str,
    clips: int | None = None,
    crops: int | None = None,
    average: str | None = None,
    batch_size: int = 8,
    at_once: int | None = None,
    workers: int = 0,
    device: str | None = None,
    precision: str = "float32",
    whole: bool = False,
    at_most: int | None = AT_MOST,
    positions: str = "interpolate",
    chunk: int = 16,
    quiet: bool = False,
) -> Report:
    """Every clip of a list once, in one process or in those that torchrun started.

    Args:
        trained: the model.
        listed: the clips.
        split: what to call them.
        clips, crops: views of each; None takes the authors' own.
        average: "logits" or "softmax"; None takes the authors' own.
        batch_size: clips whose views are read together.
        at_once: views in the model at a time; None takes all.
        workers: processes that read ahead.
        device: "cpu", "cuda" …; None chooses.
        precision: of the computation.
        whole: VTN on whole videos instead of views.
        at_most, positions, chunk: see :func:`vtlearn.runs.long_video.whole_video`.
        quiet: no progress bar.

    Raises:
        DataError: no clip could be read.
        CheckpointError: classes that the model does not know.
    """
    classes = match_classes(trained, listed.class_names, listed.where)
    views = (clips or trained.views[0], crops or trained.views[1])
    chosen = average or trained.average
    with process_group(choose_device(device)) as place:
        trained.model.to(place)
        tally = Tally(trained.num_classes)
        skipped: list[LeftOut] = []
        bar = tqdm(total=len(listed.records), unit="clip", desc=trained.name, disable=quiet or rank() != 0)
        with bar, evaluation_mode(trained.model):
            if whole:
                notes = _whole(
                    trained, listed, classes, tally, skipped, bar, place, at_most, positions, chunk, precision
                )
            else:
                notes = ()
                dataset = ViewsDataset(listed.records, trained, *views, classes)
                model = SeveralViews(trained.model, chosen, at_once=at_once)
                for batch in listed_batches(
                    dataset,
                    batch_size=batch_size,
                    num_workers=workers,
                    rank=rank(),
                    world_size=world_size(),
                ):
                    skipped += batch["skipped"]
                    if "clip" in batch and not batch.get("filler"):
                        tally.add(_logits(model, trained, batch, place, precision), batch["label"])
                    bar.update(len(batch.get("label", ())) * world_size())
        every = gather_objects([(each.name, each.reason) for each in skipped])
        unreadable = tuple(LeftOut(*each) for part in every for each in part)
        if len(unreadable) == len(listed.records):
            raise DataError(f"none of {len(unreadable)} clips could be read; the first: {unreadable[0]}")
        found = tally.result(place)
    told = f"{views[0]} clips × {views[1]} crops, {chosen} averaged"
    if whole:
        told = f"whole videos, at most {at_most or 'all'} frames"
    return Report(
        name=trained.name,
        where=listed.where,
        split=split,
        found=found,
        class_names=listed.class_names,
        classes=tuple(classes),
        model_names=trained.class_names,
        listed=listed.total,
        missing=listed.missing,
        unreadable=unreadable,
        views=told,
        notes=notes,
    )


def _logits(
    model: SeveralViews, trained: Trained, batch: Mapping[str, Any], device: torch.device, precision: str
) -> Tensor:
    clips = batch["clip"].to(device)
    pixels = trained.normalise(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    with explain_memory(pixels, device), autocast(device, precision):
        return model(pixels, batch["frame_index"].to(device)).float()


def _whole(
    trained: Trained,
    listed: Listed,
    classes: Sequence[int],
    tally: Tally,
    skipped: list[LeftOut],
    bar: Any,
    device: torch.device,
    at_most: int | None,
    positions: str,
    chunk: int,
    precision: str,
) -> tuple[str, ...]:
    """Whole videos one by one, this process's share of them; returns what was said about positions."""
    notes: dict[str, None] = {}
    mine, filler = share_of_batch(list(listed.records), rank(), world_size())
    for record in [] if filler else mine:
        try:
            answer = whole_video(
                trained,
                record.path,
                at_most=at_most,
                positions=positions,
                chunk=chunk,
                device=device,
                precision=precision,
            )
        except ArgumentError:
            raise
        except DataError as error:
            skipped.append(LeftOut(str(record.path), str(error).removeprefix(f"{record.path}: ")))
            continue
        (label,) = record.labels.values()
        tally.add(answer.logits[None], torch.tensor([classes[label]]))
        notes |= dict.fromkeys(re.sub(r" up to \d+", "", note) for note in answer.notes)
        bar.update(world_size())
    return tuple(notes)
