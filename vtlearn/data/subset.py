"""Small, class-balanced parts of Kinetics, drawn by rule and seed from the published annotation files."""

from __future__ import annotations

import os
import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtlearn.data.kinetics import Annotation, write_annotations
from vtlearn.errors import DataError, require, require_positive

MOTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        bending bouncing cartwheeling catching clapping climbing crawling curling dribbling dunking
        flipping folding headbanging hopping hurdling jogging juggling jumping kicking lifting lunge
        opening pull pulling pumping punching push pushing rolling running shaking shuffling situp
        skipping slapping sliding somersaulting spinning squat stretching swaying swinging throwing
        tossing tumbling turning twisting unboxing unloading walking waving wrapping
        """,
    )
)
"""Words for a movement of the body or of what it handles; a class named with one counts as a motion class."""


@dataclass(frozen=True, kw_only=True)
class SubsetRule:
    """How a subset is drawn.

    Args:
        num_classes: classes drawn by chance; ``None`` takes all that are eligible.
        clips_per_class: split → clips of each class in it.
        motion_share: share of the classes that are drawn from those that `is_motion` picks out.
        classes: take these, instead of drawing.
        seed: of the draw.
    """

    num_classes: int | None = None
    clips_per_class: Mapping[str, int] = field(default_factory=lambda: {"train": 50, "val": 20})
    motion_share: float = 0.5
    classes: tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_classes is not None:
            require_positive(num_classes=self.num_classes)
        require(
            len(self.clips_per_class) > 0,
            "clips_per_class",
            dict(self.clips_per_class),
            "of one split or more",
        )
        for split, count in self.clips_per_class.items():
            require(count >= 1, f"clips_per_class[{split!r}]", count, "1 or more")
        require(0 <= self.motion_share <= 1, "motion_share", self.motion_share, "from 0 to 1")


SUBSETS: Mapping[str, SubsetRule] = {
    "mini10": SubsetRule(num_classes=10, clips_per_class={"train": 50, "val": 20}),
    "mini40": SubsetRule(num_classes=40, clips_per_class={"train": 100, "val": 20}),
}
"""The subsets that have a name; half of their classes are motion classes."""


def is_motion(label: str) -> bool:
    """Whether a class name speaks of a movement: a guess from its words, not a measurement.

    >>> is_motion("throwing ball"), is_motion("playing harp")
    (True, False)
    """
    return not MOTION_WORDS.isdisjoint(re.findall(r"[a-z]+", label.lower()))


def draw_subset(
    annotations: Mapping[str, Sequence[Annotation]], rule: SubsetRule
) -> dict[str, list[Annotation]]:
    """Draw classes and clips: equally many of each class, and no source video in two splits.

    The result depends on the rows and the rule, not on the order of the rows.

    Args:
        annotations: split → its labelled rows, for every split of the rule.
        rule: how to draw.

    Raises:
        DataError: a split or class is missing, or there are too few classes with enough clips.
    """
    wanted = dict(rule.clips_per_class)
    missing = [split for split in wanted if not annotations.get(split)]
    if missing:
        raise DataError(f"no annotations of the split {missing[0]!r}")
    # Small splits choose first: a source that they take is lost to the larger ones, which have more.
    by_size = sorted(wanted, key=lambda split: (len(annotations[split]), split))
    pools = {split: _by_label(annotations[split]) for split in wanted}
    taken: dict[str, str] = {}  # source → split, so far
    drawn: dict[str, list[Annotation]] = {split: [] for split in wanted}
    labels = sorted(set.intersection(*(set(pool) for pool in pools.values())))

    def draw_class(label: str) -> bool:
        """Draw this class's clips, if there are enough in every split."""
        own: dict[str, str] = {}
        rows: dict[str, list[Annotation]] = {}
        for split in by_size:
            free: dict[str, Annotation] = {}
            for row in pools[split][label]:  # one clip of each source, from sources of no other split
                if {**taken, **own}.get(row.youtube_id, split) == split:
                    free.setdefault(row.youtube_id, row)
            if len(free) < wanted[split]:
                return False
            chance = random.Random(f"{rule.seed} {split} {label}")
            rows[split] = chance.sample([free[source] for source in sorted(free)], wanted[split])
            own |= dict.fromkeys((row.youtube_id for row in rows[split]), split)
        taken.update(own)
        for split, chosen in rows.items():
            drawn[split] += sorted(chosen, key=lambda row: row.clip_name)
        return True

    if rule.classes is not None:
        for label in rule.classes:
            if label not in labels:
                raise DataError(f"the class {label!r} is not in the annotations of every split")
            if not draw_class(label):
                raise DataError(f"the class {label!r} has too few clips for {wanted}")
        return drawn

    shuffled = random.Random(rule.seed).sample(labels, len(labels))
    if rule.num_classes is None:
        count = sum(draw_class(label) for label in sorted(shuffled))
        if count == 0:
            raise DataError(f"no class has enough clips for {wanted}")
        return drawn
    num_motion = round(rule.num_classes * rule.motion_share)
    for motion, count in ((True, num_motion), (False, rule.num_classes - num_motion)):
        found = 0
        for label in shuffled:
            if found < count and is_motion(label) == motion:
                found += draw_class(label)
        if found < count:
            kind = "motion" if motion else "other"
            raise DataError(f"{found} {kind} classes with enough clips for {wanted}, needs {count}")
    for rows in drawn.values():
        rows.sort(key=lambda row: (row.label or "", row.clip_name))
    return drawn


def write_subset(
    folder: str | os.PathLike[str], subset: Mapping[str, Sequence[Annotation]]
) -> dict[str, Path]:
    """Write ``<split>.csv`` for every split of a subset; split → file."""
    top = Path(folder)
    top.mkdir(parents=True, exist_ok=True)
    paths = {split: top / f"{split}.csv" for split in subset}
    for split, rows in subset.items():
        write_annotations(paths[split], rows)
    return paths


def _by_label(rows: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    found: dict[str, list[Annotation]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.clip_name):
        if row.label is not None:
            found[row.label].append(row)
    return found
