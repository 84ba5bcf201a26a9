"""Annotation files as they are published, clip names, folders of clips, splits by source.

A Kinetics clip is named ``<youtube_id>_<start:06d>_<end:06d>.mp4`` after the video it was cut from and the
seconds it covers. The annotation files have the columns ``label, youtube_id, time_start, time_end, split[,
is_cc]``; the published test files have no label. Something-Something's are JSON, and its clips are whole
videos named by number.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import itertools
import json
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtlearn.errors import DataError, require
from vtlearn.files import write_text

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split", "is_cc")
_REQUIRED_COLUMNS = ("youtube_id", "time_start", "time_end", "split")
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".3gp"})
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val"}
SPLIT_NAMES |= {"validation": "val", "test": "test", "testing": "test"}
_TABLE = re.compile(rf"\.csv(\.gz)?$|(^|[_-])({'|'.join(SPLIT_NAMES)})\.(txt|json)$")
_MAP = re.compile(r"(^|[_-])labels\.json$|^label_?map.*\.(txt|json)$")
_CLIP_NAME = re.compile(r"(?P<id>.+)_(?P<start>\d{6,})_(?P<end>\d{6,})")


# Annotations


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row of an annotation file: a stretch of a video, in seconds, and what is seen in it.

    Without times the clip is the whole video, and bears its name.

    >>> Annotation("tai chi", "Kop0sDqOn-c", 253, 263, "val").clip_name
    'Kop0sDqOn-c_000253_000263'
    >>> Annotation("Closing something", "78687", None, None, "train").clip_name
    '78687'
    """

    label: str | None
    youtube_id: str
    time_start: int | None
    time_end: int | None
    split: str
    is_cc: int | None = None
    row: int | None = field(default=None, compare=False)  # line of the file, the heading being line 1

    @property
    def clip_name(self) -> str:
        """File name of the clip without its suffix."""
        if self.time_start is None or self.time_end is None:
            return self.youtube_id
        return f"{self.youtube_id}_{self.time_start:06d}_{self.time_end:06d}"


def read_annotations(
    path: str | os.PathLike[str], class_names: Sequence[str] | None = None
) -> list[Annotation]:
    """The rows of a published annotation file.

    - ``.csv`` of Kinetics, also gzipped;
    - ``.txt`` as Kinetics-600 has them: the same with commas or tabs, with or without the line of headings;
    - ``.json`` of Something-Something v2: the class is the template without its brackets, and the split is
      the end of the file's name.

    Args:
        path: the file.
        class_names: if given, every label must be one of these.

    Raises:
        DataError: a column is missing, a row is short, a time is no number or an unknown label occurs; the
            message names file, row and value.
    """
    name = os.fspath(path)
    known = None if class_names is None else set(class_names)
    annotations: list[Annotation] = []
    try:
        for row in _read_json(name) if name.endswith((".json", ".json.gz")) else _read_columns(name):
            if known is not None and row.label is not None and row.label not in known:
                raise DataError(f"{name}: row {row.row} has the unknown label {row.label!r}")
            annotations.append(row)
    except (OSError, ValueError, csv.Error, EOFError) as error:
        raise DataError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return annotations


def _read_columns(name: str) -> Iterator[Annotation]:
    with _open_text(name) as file:
        first = file.readline()
        rows = csv.reader(itertools.chain([first], file), delimiter="\t" if "\t" in first else ",")
        heading = [column.strip().lower() for column in next(rows, [])]
        start = 1
        if ".txt" in Path(name).suffixes and "youtube_id" not in heading:  # no line of headings
            labelled = len(heading) > 3 and not _is_number(heading[1])
            heading = list(COLUMNS if labelled else COLUMNS[1:])[: len(heading)]
            rows, start = csv.reader(itertools.chain([first], file), delimiter=rows.dialect.delimiter), 0
        missing = [column for column in _REQUIRED_COLUMNS if column not in heading]
        if missing:
            raise DataError(f"{name}: row 1 lacks the column {', '.join(missing)} (found {heading})")
        place = {column: heading.index(column) for column in COLUMNS if column in heading}
        for number, cells in enumerate(rows, start + 1):
            if cells:
                line = rows.line_num if start else number
                yield _annotation(cells, place, name, line)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d*)?", text.strip()) is not None


def _read_json(name: str) -> Iterator[Annotation]:
    """Entries ``{"id", "label", "template", "placeholders"}``; those of test have the id alone."""
    with _open_text(name) as file:
        entries = json.load(file)
    stem = re.sub(r"\.json(\.gz)?$", "", Path(name).name)
    split = re.split(r"[^a-z]", stem.lower())[-1]
    if split not in SPLIT_NAMES:
        raise DataError(f"{name}: its name does not end with a split such as train, validation or test")
    if not isinstance(entries, list):
        raise DataError(f"{name}: no list of clips")
    for row, entry in enumerate(entries, 1):
        number = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(number, str | int) or not str(number).strip():
            raise DataError(f"{name}: entry {row} has no id")
        text = entry.get("template", entry.get("label"))
        if text is not None and not isinstance(text, str):
            raise DataError(f"{name}: entry {row} has the template {text!r}, not a text")
        label = None if text is None else without_brackets(text)
        yield Annotation(label or None, str(number).strip(), None, None, SPLIT_NAMES[split], row=row)


def without_brackets(template: str) -> str:
    """The class of a template, as the published label map has it.

    >>> without_brackets("Holding [something] next to [something]")
    'Holding something next to something'
    """
    return template.replace("[", "").replace("]", "").strip()


def _open_text(name: str) -> io.TextIOBase:
    if name.endswith(".gz"):
        return gzip.open(name, "rt", encoding="utf-8-sig", newline="")
    return open(name, encoding="utf-8-sig", newline="")


def _annotation(cells: list[str], place: Mapping[str, int], name: str, row: int) -> Annotation:
    if len(cells) <= max(place.values()):
        raise DataError(f"{name}: row {row} has {len(cells)} of {max(place.values()) + 1} cells")
    numbers: dict[str, int] = {}
    texts = {
        column: cells[place[column]].strip() if column in place else ""
        for column in ("time_start", "time_end", "is_cc")
    }
    timed = bool(texts["time_start"] or texts["time_end"])  # a whole video has neither
    for column, text in texts.items():
        if text or (timed and column != "is_cc"):
            try:
                numbers[column] = int(text) if text.isdecimal() else int(float(text))
            except (ValueError, OverflowError):
                raise DataError(f"{name}: row {row} has {column} {text!r}, not a number") from None
    return Annotation(
        label=(cells[place["label"]].strip() or None) if "label" in place else None,
        youtube_id=cells[place["youtube_id"]].strip(),
        time_start=numbers.get("time_start"),
        time_end=numbers.get("time_end"),
        split=cells[place["split"]].strip(),
        is_cc=numbers.get("is_cc"),
        row=row,
    )


def write_annotations(path: str | os.PathLike[str], annotations: Iterable[Annotation]) -> None:
    """Write an annotation file in the published columns; ``is_cc`` and ``label`` only where a row has one.

    Labels are quoted where they are in the published files: when they hold more than letters, digits and
    hyphens. The file appears whole or not at all.
    """
    rows = list(annotations)
    columns = [
        column
        for column in COLUMNS
        if column not in ("label", "is_cc") or any(getattr(row, column) is not None for row in rows)
    ]
    lines = [",".join(columns)]
    for row in rows:
        cells = ["" if getattr(row, column) is None else str(getattr(row, column)) for column in columns]
        lines.append(",".join(map(_quoted, cells)))
    write_text(path, "\n".join(lines) + "\n")


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if re.search(r"[^\w-]", cell) else cell


def class_names(annotations: Iterable[Annotation]) -> list[str]:
    """The labels that occur, in alphabetical order: the order of the published label maps."""
    return sorted({row.label for row in annotations if row.label is not None})


def read_label_map(path: str | os.PathLike[str]) -> list[str]:
    """Class names in class order, from any of the forms in which they are passed around.

    - ``.txt``: one a line, quoted or not;
    - ``.csv``: the columns ``id,name``, as beside Kinetics-400's lists;
    - ``.json``: name → number, or a list of names, as Something-Something's and PyTorchVideo's.

    Raises:
        DataError: the file cannot be read, is empty, names a class twice, or leaves a number out.
    """
    name = os.fspath(path)
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
        if name.endswith(".json"):
            numbered = json.loads(text)
            if isinstance(numbered, dict):
                names = _in_class_order(name, [(int(number), label) for label, number in numbered.items()])
            else:
                names = [str(label) for label in numbered]
        elif name.endswith(".csv"):
            rows = list(csv.reader(text.splitlines()))
            cells = [row for row in rows if row and _is_number(row[0])]
            names = _in_class_order(name, [(int(number), label) for number, label, *_ in cells])
        else:
            names = [line for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{name}: cannot be read ({error})") from None
    names = [label.strip().strip('"') for label in names]
    if not names:
        raise DataError(f"{name}: no class")
    twice = [label for label, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{name}: the class {twice[0]!r} comes twice")
    return names


def _in_class_order(name: str, numbered: Sequence[tuple[int, str]]) -> list[str]:
    numbers = sorted(number for number, _ in numbered)
    for expected, number in enumerate(numbers):
        if number != expected:
            raise DataError(f"{name}: the classes are not numbered 0, 1, 2 and so on (found {number})")
    return [label for _, label in sorted(numbered)]


# Clips on disk


def parse_clip_name(stem: str) -> tuple[str, int | None, int | None]:
    """Source video, first and last second of a clip's file name; a name of another form is its own source.

    >>> parse_clip_name("Kop0sDqOn-c_000253_000263")
    ('Kop0sDqOn-c', 253, 263)
    >>> parse_clip_name("holiday")
    ('holiday', None, None)
    """
    match = _CLIP_NAME.fullmatch(stem)
    return (match["id"], int(match["start"]), int(match["end"])) if match else (stem, None, None)


def walk_files(root: str | os.PathLike[str]) -> Iterator[Path]:
    """Every file below ``root``, in a fixed order; links that lead in a circle end.

    A folder that is named like a video is given too, so that it is named as what it is. Hidden files and
    folders are passed over.
    """
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        named_as_videos = (name for name in subfolders if Path(name).suffix.lower() in VIDEO_SUFFIXES)
        for name in sorted([*files, *named_as_videos]):
            if not name.startswith("."):
                yield Path(folder, name)


def walk_videos(root: str | os.PathLike[str]) -> Iterator[Path]:
    """Every file below ``root`` whose suffix is that of a video, in a fixed order."""
    return (path for path in walk_files(root) if path.suffix.lower() in VIDEO_SUFFIXES)


def find_clips(root: str | os.PathLike[str]) -> dict[str, Path]:
    """Clip name → file, for every video file anywhere below ``root``, in one walk; of two alike the first.

    Raises:
        DataError: ``root`` is not a folder.
    """
    if not os.path.isdir(root):
        raise DataError(f"{os.fspath(root)}: not a folder")
    clips: dict[str, Path] = {}
    for path in walk_videos(root):
        clips.setdefault(path.stem, path)
    return clips


# Sets of clips


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """One clip that a data set hands out: its file, its class under each labelling, and where it came from.

    Attributes:
        path: the video file.
        labels: labelling → class index; empty for a clip without labels.
        split: ``"train"``, ``"val"``, ``"test"``, or ``None`` where no split is known.
        source: the video that the clip was cut from.
    """

    path: Path
    labels: Mapping[str, int]
    split: str | None = None
    source: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A clip or class that is not used, and why; for a clip that a list names, the split it is listed in."""

    name: str
    reason: str
    split: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """Clips with the names of their classes, and what was left out on the way.

    Attributes:
        records: the clips.
        class_names: labelling → class names in class order.
        left_out: clips and classes that are not among the records.
    """

    records: tuple[ClipRecord, ...]
    class_names: Mapping[str, tuple[str, ...]]
    left_out: tuple[LeftOut, ...] = ()

    def split(self, name: str) -> list[ClipRecord]:
        """The clips of one split."""
        return [record for record in self.records if record.split == name]

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that hold a clip, train before val before test."""
        present = {record.split for record in self.records}
        return tuple(name for name in ("train", "val", "test") if name in present)


def match_annotations(
    annotations: Mapping[str, Sequence[Annotation]],
    root: str | os.PathLike[str],
    label_maps: Mapping[str, Sequence[str]] | None = None,
) -> ClipSet:
    """Join annotation rows with the clips found below ``root``; rows without a file are left out by name.

    Args:
        annotations: labelling → rows. A clip that several labellings name gets a label from each.
        root: folder with the clips, anywhere below.
        label_maps: labelling → class names in class order; without one, the labels that occur, sorted.

    Raises:
        DataError: a label that is not in its map, with its row; two labellings that put a clip in two splits.
    """
    clips = find_clips(root)
    names = {
        labelling: tuple((label_maps or {}).get(labelling) or class_names(rows))
        for labelling, rows in annotations.items()
    }
    labels: dict[str, dict[str, int]] = {}
    first: dict[str, Annotation] = {}
    left_out: list[LeftOut] = []
    for labelling, rows in annotations.items():
        numbers = {label: number for number, label in enumerate(names[labelling])}
        for row in rows:
            given = labels.setdefault(row.clip_name, {})
            if first.setdefault(row.clip_name, row).split != row.split:
                raise DataError(f"{row.clip_name}: in split {first[row.clip_name].split!r} and {row.split!r}")
            if row.label is not None:
                if row.label not in numbers:
                    raise DataError(f"row {row.row} of {labelling!r} has the unknown label {row.label!r}")
                if given.setdefault(labelling, numbers[row.label]) != numbers[row.label]:
                    left_out.append(
                        LeftOut(f"{row.clip_name} as {row.label!r}", "the clip has a label already")
                    )
    return ClipSet(
        records=tuple(
            ClipRecord(
                path=clips[name], labels=labels[name], split=_split_name(row.split), source=row.youtube_id
            )
            for name, row in first.items()
            if name in clips
        ),
        class_names=names,
        left_out=(
            *left_out,
            *(
                LeftOut(name, "missing", _split_name(row.split))
                for name, row in first.items()
                if name not in clips
            ),
        ),
    )


def read_clip_folder(root: str | os.PathLike[str], labelling: str = "label") -> ClipSet:
    """The clips of a folder, in whichever of the usual layouts it has.

    - annotation files (`read_annotations`) in the folder or in its ``annotations/`` or ``labels/``: their
      labels and splits; files named ``<labelling>_<split>.csv`` that give the same clips different labels are
      labellings of their own. ``.txt`` and ``.json`` are taken where they are named after a split. A label
      map beside them (``labels.json``, ``label_map….txt``) gives the order of classes;
    - ``train/<label>/clip.mp4``, ``val/…``, ``test/…``: the folder names;
    - ``<label>/clip.mp4``: the folder names, without splits (`split_by_source` makes them).

    Files directly in ``root`` or in a split's folder, without a label, are left out by name.

    Raises:
        DataError: not a folder, or no labelled clip in it.
    """
    top = Path(root)
    if not top.is_dir():
        raise DataError(f"{top}: not a folder")
    tables = sorted(
        path
        for folder in (top, top / "annotations", top / "labels")
        if folder.is_dir()
        for path in folder.iterdir()
        if _TABLE.search(path.name) and not path.name.startswith(".") and _may_be_annotations(path)
    )
    if tables:
        rows = _read_tables(tables, labelling)
        maps = sorted(path for table in tables for path in table.parent.iterdir() if _MAP.search(path.name))
        label_maps = dict.fromkeys(rows, read_label_map(maps[0])) if maps and len(rows) == 1 else None
        found = match_annotations(rows, top, label_maps)
    else:
        found = _read_label_folders(top, labelling)
    if not any(record.labels for record in found.records):
        raise DataError(f"{top}: no labelled clip (expected <label>/<clip>.mp4 or annotation files)")
    return found


def _may_be_annotations(path: Path) -> bool:
    """Whether a ``.txt`` or ``.json`` that is named after a split begins as annotations do: others have lists
    of that name too."""
    if path.name.endswith((".csv", ".csv.gz")):
        return True
    with path.open("rb") as file:
        start = file.read(4096)
    if path.suffix == ".json":
        return start.lstrip().startswith(b"[") and b'"id"' in start
    first = start.split(b"\n")[0]
    return max(first.count(b","), first.count(b"\t")) >= 3


def _read_tables(tables: Sequence[Path], labelling: str) -> dict[str, list[Annotation]]:
    """The rows of annotation files by labelling: one, unless their names tell several that share clips."""
    groups: dict[str, list[Annotation]] = defaultdict(list)
    for table in tables:
        name = table.name.split(".")[0]
        groups[re.sub(rf"[_-]?({'|'.join(SPLIT_NAMES)})$", "", name)] += read_annotations(table)
    clips = [{row.clip_name for row in rows} for rows in groups.values()]
    if len(clips) > 1 and len(set.union(*clips)) < sum(map(len, clips)):
        return dict(groups)
    return {labelling: [row for rows in groups.values() for row in rows]}


def _read_label_folders(top: Path, labelling: str) -> ClipSet:
    placed: list[tuple[Path, str | None, str]] = []
    left_out: list[LeftOut] = []
    for path in walk_videos(top):
        folders = path.relative_to(top).parts[:-1]
        split = SPLIT_NAMES.get(folders[0].lower()) if folders else None
        if split is not None:
            folders = folders[1:]
        if folders:
            placed.append((path, split, folders[0]))
        else:
            left_out.append(LeftOut(str(path), "in no label's folder"))
    names = tuple(sorted({label for _, _, label in placed}))
    numbers = {label: number for number, label in enumerate(names)}
    return ClipSet(
        records=tuple(
            ClipRecord(
                path=path,
                labels={labelling: numbers[label]},
                split=split,
                source=parse_clip_name(path.stem)[0],
            )
            for path, split, label in placed
        ),
        class_names={labelling: names},
        left_out=tuple(left_out),
    )


def _split_name(name: str) -> str:
    return SPLIT_NAMES.get(name.lower(), name)


def split_by_source(
    clips: ClipSet, *, labelling: str = "label", val: float = 0.15, test: float = 0.25, seed: int = 0
) -> ClipSet:
    """Divide clips into train, val and test so that no source video is on two sides.

    Every class that stays has clips in train and in test; val gets its share from the third source on.
    A class that cannot have both (fewer than two usable clips, or all of them from one source) is left out
    and named in ``left_out``, and the remaining classes are numbered anew.

    Args:
        clips: clips with ``labelling``; splits they already have are put aside.
        labelling: the labelling whose classes are spread.
        val, test: shares of each class's source videos.
        seed: of the shuffle.

    Raises:
        ArgumentError: a labelling the clips do not have, or shares that leave nothing to train on.
        DataError: fewer than two classes remain.
    """
    require(labelling in clips.class_names, "labelling", labelling, f"one of {list(clips.class_names)}")
    require(
        0 <= val < 1 and 0 < test < 1 and val + test < 1, "val, test", (val, test), "shares below 1 together"
    )
    labelled = [record for record in clips.records if labelling in record.labels]
    left_out = list(clips.left_out)
    left_out += [
        LeftOut(str(record.path), "no label") for record in clips.records if labelling not in record.labels
    ]
    sources: dict[int, list[str]] = defaultdict(list)
    for record in labelled:
        own = sources[record.labels[labelling]]
        if record.source not in own:
            own.append(record.source)

    side: dict[str, str] = {}
    rng = random.Random(seed)
    for number in sorted(
        sources, key=lambda number: (len(sources[number]), number)
    ):  # the rarest choose first
        own = sorted(sources[number])
        rng.shuffle(own)
        wanted = Counter(_shares(len(own), val, test))
        wanted.subtract(side[source] for source in own if source in side)
        for source in own:
            if source not in side:
                side[source] = max(("test", "train", "val"), key=lambda name: wanted[name])
                wanted[side[source]] -= 1

    names = clips.class_names[labelling]
    stay: list[int] = []
    for number, name in enumerate(names):
        count = sum(record.labels[labelling] == number for record in labelled)
        sides = {side[source] for source in sources.get(number, ())}
        if {"train", "test"} <= sides:
            stay.append(number)
        elif count < 2:
            left_out.append(
                LeftOut(f"class {name!r}", f"{count} usable clip{'' if count == 1 else 's'}, needs two")
            )
        else:
            left_out.append(LeftOut(f"class {name!r}", "no two source videos free for train and test"))
    if len(stay) < 2:
        dropped = "; ".join(str(entry) for entry in left_out if entry.name.startswith("class "))
        have = f"{len(stay)} usable class{'' if len(stay) == 1 else 'es'}"
        raise DataError(f"{have} of {labelling!r}, needs at least two{f' ({dropped})' if dropped else ''}")
    renumbered = {old: new for new, old in enumerate(stay)}
    return ClipSet(
        records=tuple(
            dataclasses.replace(
                record,
                labels={**record.labels, labelling: renumbered[record.labels[labelling]]},
                split=side[record.source],
            )
            for record in labelled
            if record.labels[labelling] in renumbered
        ),
        class_names={**clips.class_names, labelling: tuple(names[number] for number in stay)},
        left_out=tuple(left_out),
    )


def _shares(num_sources: int, val: float, test: float) -> list[str]:
    """How many of a class's source videos go to each side: test and train first, val from the third on."""
    num_test = min(max(1, round(num_sources * test)), max(0, num_sources - 1))
    num_val = 0 if val == 0 else min(max(1, round(num_sources * val)), max(0, num_sources - num_test - 1))
    return ["test"] * num_test + ["val"] * num_val + ["train"] * (num_sources - num_test - num_val)
