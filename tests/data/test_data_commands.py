"""``vtlearn kinetics`` on folders, published rows and a mirror on loopback."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_data_download import HASTY, Mirror, archive, clips, mirror  # noqa: F401

from vtlearn import cli
from vtlearn.data import download as downloads
from vtlearn.data.kinetics import (
    Annotation,
    class_names,
    read_annotations,
    read_clip_folder,
    write_annotations,
)
from vtlearn.data.manifest import Manifest
from vtlearn.data.subset import SUBSETS, SubsetRule, is_motion


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command line in this process: exit code, output, complaint."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vtlearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


LABELS = ("throwing ball", "push up", "folding paper", "playing harp", "yoga", "tai chi")


def published(folder: Path, per_class: int = 6) -> dict[str, Path]:
    paths = {}
    for split in ("train", "val"):
        rows = [
            Annotation(label, f"{split}-{number}-{i}", i, i + 10, split, 0)
            for number, label in enumerate(LABELS)
            for i in range(per_class)
        ]
        paths[split] = folder / f"{split}.csv"
        write_annotations(paths[split], rows)
    return paths


def test_subsets_of_any_kind(run: Callable[..., Any], tmp_path: Path) -> None:
    files = published(tmp_path)
    given = ("kinetics", "subset", "--train", files["train"], "--val", files["val"])
    sizes = ("--per-class", 4, "--val-per-class", 2)

    def drawn(name: str, *options: object) -> dict[str, Counter[str | None]]:
        code, out, _ = run(*given, "--out", tmp_path / name, *sizes, *options)
        assert code == 0
        assert [Path(line).name for line in out.split()] == ["train.csv", "val.csv"]
        return {
            split: Counter(row.label for row in read_annotations(tmp_path / name / f"{split}.csv"))
            for split in ("train", "val")
        }

    named = drawn("named", "--classes", "yoga, push up")
    assert named == {"train": {"yoga": 4, "push up": 4}, "val": {"yoga": 2, "push up": 2}}
    counted = drawn("counted", "--classes", "4")
    assert len(counted["train"]) == 4
    assert sum(is_motion(str(label)) for label in counted["train"]) == 2
    assert drawn("again", "--classes", "4") == counted
    rows = [(tmp_path / name / "train.csv").read_text() for name in ("counted", "again")]
    assert rows[0] == rows[1]
    drawn("other", "--classes", "4", "--seed", 1)
    assert (tmp_path / "other" / "train.csv").read_text() != rows[0]
    assert len(drawn("all")["val"]) == 6
    still = drawn("still", "--classes", "3", "--motion-share", 0)
    assert not any(is_motion(str(label)) for label in still["val"])

    for options, complaint in (
        (("--classes", "skiing"), "the class 'skiing' is not in the annotations"),
        (("--classes", "9"), "needs"),
        (("--per-class", "0"), "clips_per_class['train'] must be"),
        (("mini11",), "name must be one of"),
    ):
        code, _, err = run(*given, "--out", tmp_path / "bad", *options)
        assert (code, complaint in err) == (2, True), options
    code, _, err = run("kinetics", "subset", "--out", tmp_path / "bad")
    assert (code, "give --train, --val or both" in err) == (2, True)
    assert not (tmp_path / "bad").exists()


@pytest.fixture
def small_mirror(
    mirror: Mirror,  # noqa: F811
    clips: dict[str, bytes],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Mirror:
    """Every clip of every class of the published rows, in two archives a split."""
    monkeypatch.setattr(downloads, "Manners", lambda: HASTY)
    content = next(iter(clips.values()))
    for split, path in published(tmp_path / "published", per_class=3).items():
        mirror.files[f"400/annotations/{split}.csv"] = path.read_bytes()
        rows = read_annotations(path)
        for part in (0, 1):
            members = [(f"{row.clip_name}.mp4", content) for row in rows[part::2]]
            mirror.files[f"400/{split}/part_{part}.tar.gz"] = archive(*members)
        mirror.files[f"400/{split}/k400_{split}_path.txt"] = b"part_0.tar.gz\npart_1.tar.gz\n"
    mirror.files["400/replacement_for_corrupted_k400.tgz"] = archive()
    return mirror


def test_a_named_subset_is_fetched_and_checked(
    run: Callable[..., Any], small_mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = SubsetRule(num_classes=2, clips_per_class={"train": 2, "val": 1})
    monkeypatch.setitem(SUBSETS, "mini10", rule)  # type: ignore[call-overload]
    out = tmp_path / "mini"
    asked = ("kinetics", "download", "--subset", "mini10", "--out", out, "--mirror", small_mirror.address)
    code, text, _ = run(*asked)
    assert code == 0
    assert "train: 4 clips fetched" in text
    assert "val: 2 clips fetched" in text
    there = read_clip_folder(out)
    assert Counter(record.split for record in there.records) == {"train": 4, "val": 2}
    assert sum(map(is_motion, there.class_names["label"])) == 1
    asked_before = len(small_mirror.archives_asked())
    code, text, _ = run(*asked)
    assert (code, "0 clips fetched, 4 there before" in text) == (0, True)
    assert len(small_mirror.archives_asked()) == asked_before

    code, text, _ = run("kinetics", "check", out, "--json", "--annotations", out / "val.csv", "--workers", 1)
    found = json.loads(text)
    assert found["coverage"] == {"usable": 0, "listed": 2}  # the same bytes as clips of train
    named = {entry["path"] for entry in found["clips"]}
    assert {str(path.relative_to(out)) for path in out.rglob("*.mp4")} <= named
    assert {"train.csv", "val.csv"} <= named
    assert all({"path", "status", "reason"} <= entry.keys() for entry in found["clips"])


def test_a_subsets_own_files_are_fetched(
    run: Callable[..., Any], small_mirror: Mirror, tmp_path: Path
) -> None:
    files = published(tmp_path / "published", per_class=3)
    code, _, _ = run(
        "kinetics", "subset", "--val", files["val"], "--classes", "yoga", "--val-per-class", 2,
        "--out", tmp_path / "own",
    )  # fmt: skip
    assert code == 0
    asked = ("kinetics", "download", "--subset", tmp_path / "own", "--out", tmp_path / "clips")
    code, text, _ = run(*asked, "--mirror", small_mirror.address)
    assert (code, "val: 2 clips fetched" in text) == (0, True)
    assert class_names(read_annotations(tmp_path / "clips" / "val.csv")) == ["yoga"]
    code, _, err = run(*asked, "--mirror", small_mirror.address, "--split", "train")
    assert (code, "has no split 'train'" in err) == (2, True)
    code, _, err = run("kinetics", "download", "--subset", "mini99", "--out", tmp_path / "clips")
    assert (code, "subset must be one of" in err) == (2, True)


def test_classes_and_a_number_of_each(run: Callable[..., Any], small_mirror: Mirror, tmp_path: Path) -> None:
    options = ("--classes", "yoga,tai chi", "--per-class", 2, "--split", "train")
    code, text, _ = run(
        "kinetics", "download", "--out", tmp_path / "c", "--mirror", small_mirror.address, *options
    )
    assert (code, "4 clips fetched" in text) == (0, True)
    code, text, _ = run("kinetics", "check", tmp_path / "c", "--manifest", tmp_path / "m.json")
    assert code == 1  # all clips of this mirror have the same bytes, which a check tells
    assert "3 duplicate" in text
    code, text, _ = run("kinetics", "check", tmp_path / "c", "--annotations", tmp_path / "c" / "train.csv")
    assert "covers 1 of the 4 clips of" in text
    assert (tmp_path / "c" / "clips_manifest.json").is_file()
    assert len(Manifest.load(tmp_path / "m.json").clips) >= 4
