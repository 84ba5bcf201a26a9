"""Subsets: balanced, source-disjoint, half of their classes of motion, and the same for the same rule."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from vtlearn.data.kinetics import Annotation, class_names, read_annotations
from vtlearn.data.subset import SUBSETS, SubsetRule, draw_subset, is_motion, write_subset
from vtlearn.errors import ArgumentError, DataError

MOTION = ["throwing ball", "folding paper", "push up", "water sliding", "jumping into pool"]
OTHER = ["playing harp", "tai chi", "eating cake", "knitting", "yoga", "crying"]


def rows(split: str, per_class: int, offset: int = 0) -> list[Annotation]:
    return [
        Annotation(label, f"{label.replace(' ', '-')}{i + offset}", i, i + 10, split)
        for label in MOTION + OTHER
        for i in range(per_class)
    ]


PUBLISHED = {"train": rows("train", 12), "val": rows("val", 6, offset=9)}  # three sources lie in both
RULE = SubsetRule(num_classes=6, clips_per_class={"train": 7, "val": 4})


def test_balanced_disjoint_and_half_of_motion() -> None:
    drawn = draw_subset(PUBLISHED, RULE)
    labels = class_names(drawn["train"])
    assert len(labels) == 6
    assert sum(map(is_motion, labels)) == 3
    assert set(Counter(row.label for row in drawn["train"]).values()) == {7}
    assert Counter(row.label for row in drawn["val"]) == dict.fromkeys(labels, 4)
    sources = {split: {row.youtube_id for row in part} for split, part in drawn.items()}
    assert not sources["train"] & sources["val"]
    assert all(row in PUBLISHED[split] for split, part in drawn.items() for row in part)


def test_the_rule_decides_not_the_order_of_rows() -> None:
    drawn = draw_subset(PUBLISHED, RULE)
    turned = {split: random.Random(0).sample(part, len(part)) for split, part in PUBLISHED.items()}
    assert draw_subset(turned, RULE) == drawn
    others = [
        draw_subset(PUBLISHED, SubsetRule(num_classes=6, clips_per_class=RULE.clips_per_class, seed=seed))
        for seed in (1, 2, 3)
    ]
    assert all(other != drawn for other in others)


def test_classes_by_name_and_all() -> None:
    drawn = draw_subset(PUBLISHED, SubsetRule(classes=("yoga", "push up"), clips_per_class={"val": 2}))
    assert Counter(row.label for row in drawn["val"]) == {"yoga": 2, "push up": 2}
    everything = draw_subset(PUBLISHED, SubsetRule(clips_per_class={"train": 8, "val": 4}))
    assert len(class_names(everything["val"])) == 11
    with pytest.raises(DataError, match="the class 'skiing' is not in the annotations"):
        draw_subset(PUBLISHED, SubsetRule(classes=("skiing",), clips_per_class={"val": 2}))
    with pytest.raises(DataError, match="the class 'yoga' has too few clips"):
        draw_subset(PUBLISHED, SubsetRule(classes=("yoga",), clips_per_class={"val": 7}))


def test_too_little_to_draw_from() -> None:
    with pytest.raises(DataError, match=r"5 motion classes with enough clips .* needs 6"):
        draw_subset(PUBLISHED, SubsetRule(num_classes=12, clips_per_class={"val": 2}))
    with pytest.raises(DataError, match="no class has enough clips"):
        draw_subset(PUBLISHED, SubsetRule(clips_per_class={"val": 7}))
    with pytest.raises(DataError, match="no annotations of the split 'test'"):
        draw_subset(PUBLISHED, SubsetRule(clips_per_class={"test": 1}))


def test_a_source_in_both_splits_counts_once() -> None:
    with pytest.raises(DataError, match="too few clips"):  # 12 train sources, of which val's 6 take up to 3
        draw_subset(PUBLISHED, SubsetRule(classes=("yoga",), clips_per_class={"train": 12, "val": 6}))


def test_written_and_read(tmp_path: Path) -> None:
    drawn = draw_subset(PUBLISHED, RULE)
    paths = write_subset(tmp_path / "mini", drawn)
    assert {split: read_annotations(path) for split, path in paths.items()} == drawn
    assert sorted(path.name for path in (tmp_path / "mini").iterdir()) == ["train.csv", "val.csv"]


def test_the_named_subsets() -> None:
    sizes = {name: (rule.num_classes, dict(rule.clips_per_class)) for name, rule in SUBSETS.items()}
    assert sizes["mini10"] == (10, {"train": 50, "val": 20})
    assert sizes["mini40"][0] == 40
    assert sizes["mini40"][1]["train"] == 100


def test_named_subsets_from_published_rows(real_annotations: Path) -> None:
    published = read_annotations(real_annotations / "kinetics-400_val.csv")
    for rule in SUBSETS.values():
        drawn = draw_subset(
            {"val": published}, SubsetRule(num_classes=rule.num_classes, clips_per_class={"val": 20})
        )
        assert len(drawn["val"]) == 20 * (rule.num_classes or 0)
        assert sum(map(is_motion, class_names(drawn["val"]))) * 2 == rule.num_classes


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"num_classes": 0}, "num_classes"),
        ({"clips_per_class": {}}, "clips_per_class"),
        ({"clips_per_class": {"val": 0}}, r"clips_per_class\['val'\]"),
        ({"motion_share": 1.5}, "motion_share"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, object], argument: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^{argument} must be"):
        SubsetRule(**settings)  # type: ignore[arg-type]
