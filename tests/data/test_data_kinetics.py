"""Annotation files, clip names, folders and the split by source video."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from vtlearn.data.kinetics import (
    Annotation,
    ClipSet,
    class_names,
    find_clips,
    match_annotations,
    parse_clip_name,
    read_annotations,
    read_clip_folder,
    read_label_map,
    split_by_source,
    write_annotations,
)
from vtlearn.errors import ArgumentError, DataError

HEADING = "label,youtube_id,time_start,time_end,split,is_cc\n"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_as_published(tmp_path: Path) -> None:
    text = HEADING + '"air drumming",_axE99QAhe8,26,36,train,0\nabseiling,0wR5jVB-WPk,417,427,train,1\n'
    rows = read_annotations(write(tmp_path / "a.csv", text))
    assert rows == [
        Annotation("air drumming", "_axE99QAhe8", 26, 36, "train", 0),
        Annotation("abseiling", "0wR5jVB-WPk", 417, 427, "train", 1),
    ]
    assert [row.row for row in rows] == [2, 3]
    assert [row.clip_name for row in rows] == ["_axE99QAhe8_000026_000036", "0wR5jVB-WPk_000417_000427"]
    assert class_names(rows) == ["abseiling", "air drumming"]
    write_annotations(tmp_path / "b.csv", rows)
    assert (tmp_path / "b.csv").read_text() == text
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_test_files_have_no_label(tmp_path: Path) -> None:
    text = "youtube_id,time_start,time_end,split\nLAcSOxdNrmI,61,71,test\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    rows = read_annotations(tmp_path / "a.csv.gz", class_names=["abseiling"])
    assert rows == [Annotation(None, "LAcSOxdNrmI", 61, 71, "test")]
    write_annotations(tmp_path / "b.csv", rows)
    assert (tmp_path / "b.csv").read_text() == text


def test_columns_are_found_by_name_and_times_may_be_decimal(tmp_path: Path) -> None:
    text = "\ufeffsplit, Youtube_ID ,time_end,time_start,label\nval,abc,12.0,2.0,tai chi\n"
    assert read_annotations(write(tmp_path / "a.csv", text)) == [Annotation("tai chi", "abc", 2, 12, "val")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,youtube_id,time_start,split\n", r"row 1 lacks the column time_end"),
        ("", r"row 1 lacks the column youtube_id, time_start, time_end, split"),
        (HEADING + "abseiling,a,1,11,val,0\nskiing,b,1,11,val,0\n", r"row 3 has the unknown label 'skiing'"),
        (HEADING + "abseiling,a,1,11,val,0\nabseiling,b,1\n", r"row 3 has 3 of 6 cells"),
        (HEADING + "abseiling,a,one,11,val,0\n", r"row 2 has time_start 'one', not a number"),
        (HEADING + "abseiling,a,1,inf,val,0\n", r"row 2 has time_end 'inf', not a number"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(DataError, match=r"a\.csv: " + message):
        read_annotations(path, class_names=["abseiling"])


def test_unreadable_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"label,\xff\xfe\n")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"label" * 1000)[:20])
    (tmp_path / "not.csv.gz").write_bytes(b"label")
    for name in ("latin.csv", "cut.csv.gz", "not.csv.gz", "absent.csv"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            read_annotations(tmp_path / name)


def test_label_maps(tmp_path: Path) -> None:
    assert read_label_map(write(tmp_path / "m.txt", '"tai chi"\nabseiling\n\n')) == ["tai chi", "abseiling"]
    with pytest.raises(DataError, match="the class 'a' comes twice"):
        read_label_map(write(tmp_path / "m.txt", "a\nb\na\n"))
    with pytest.raises(DataError, match="no class"):
        read_label_map(write(tmp_path / "m.txt", "\n"))
    with pytest.raises(DataError, match="cannot be read"):
        read_label_map(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("stem", "parsed"),
    [
        ("-3B32lodo2M_000059_000069", ("-3B32lodo2M", 59, 69)),
        ("a_b__000001_000011", ("a_b_", 1, 11)),
        ("abc_1234567_1234577", ("abc", 1234567, 1234577)),
        ("abc_12_22", ("abc_12_22", None, None)),
        ("_000001_000011", ("_000001_000011", None, None)),
    ],
)
def test_clip_names(stem: str, parsed: tuple[str, int | None, int | None]) -> None:
    assert parse_clip_name(stem) == parsed


def test_clips_are_found_anywhere_below(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/x_000001_000002.mp4", "b/c/y.MKV", "z.webm", "a/notes.txt", ".hidden/h.mp4", "a/.h.mp4"
    )
    (tmp_path / "b" / "circle").symlink_to(tmp_path, target_is_directory=True)
    assert {name: str(path.relative_to(tmp_path)) for name, path in find_clips(tmp_path).items()} == {
        "x_000001_000002": "a/x_000001_000002.mp4",
        "y": "b/c/y.MKV",
        "z": "z.webm",
    }
    with pytest.raises(DataError, match="not a folder"):
        find_clips(tmp_path / "z.webm")


def test_annotations_meet_files(tmp_path: Path) -> None:
    touch(tmp_path, "run/a_000001_000002.mp4", "walk/b_000001_000002.mp4", "walk/c_000001_000002.mp4")
    what = [Annotation(label, name, 1, 2, "validate") for label, name in [("run", "a"), ("walk", "b")]]
    what.append(Annotation("walk", "gone", 1, 2, "train"))
    how = [Annotation("left", "b", 1, 2, "validate"), Annotation("right", "a", 1, 2, "validate")]
    clips = match_annotations({"what": what, "how": how}, tmp_path)
    assert [(r.source, r.split, dict(r.labels)) for r in clips.records] == [
        ("a", "val", {"what": 0, "how": 1}),
        ("b", "val", {"what": 1, "how": 0}),
    ]
    assert clips.class_names == {"what": ("run", "walk"), "how": ("left", "right")}
    assert [str(entry) for entry in clips.left_out] == ["gone_000001_000002: missing"]
    turned = match_annotations({"what": what}, tmp_path, {"what": ["walk", "run"]})
    assert [record.labels["what"] for record in turned.records] == [1, 0]
    with pytest.raises(DataError, match="unknown label 'run'"):
        match_annotations({"what": what}, tmp_path, {"what": ["walk"]})
    with pytest.raises(DataError, match="in split 'train' and 'test'"):
        match_annotations(
            {"x": [Annotation("p", "a", 1, 2, "train")], "y": [Annotation("p", "a", 1, 2, "test")]}, tmp_path
        )


def test_folders_with_splits_above_the_labels(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "train/run/a.mp4",
        "validation/run/b.mp4",
        "test/walk/deeper/c.mp4",
        "train/lost.mp4",
        "d.mp4",
    )
    clips = read_clip_folder(tmp_path)
    assert {r.path.name: (r.split, r.labels["label"]) for r in clips.records} == {
        "a.mp4": ("train", 0),
        "b.mp4": ("val", 0),
        "c.mp4": ("test", 1),
    }
    assert clips.split_names == ("train", "val", "test")
    assert [record.path.name for record in clips.split("val")] == ["b.mp4"]
    assert sorted(Path(entry.name).name for entry in clips.left_out) == ["d.mp4", "lost.mp4"]


def test_folders_with_annotation_files(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a_000001_000002.mp4", "videos/b_000001_000002.mp4")
    write(tmp_path / "train.csv", HEADING + "run,a,1,2,train,0\n")
    (tmp_path / "annotations").mkdir()
    write(tmp_path / "annotations" / "test.csv", HEADING + '"walk slowly",b,1,2,test,0\n')
    clips = read_clip_folder(tmp_path)
    assert {(r.source, r.split, r.labels["label"]) for r in clips.records} == {
        ("a", "train", 0),
        ("b", "test", 1),
    }


def test_folders_with_two_labellings_of_the_same_clips(tmp_path: Path) -> None:
    touch(tmp_path, "a_000001_000002.mp4", "b_000001_000002.mp4")
    for name, labels in {"shape_train": "xy", "way_train": "pp"}.items():
        rows = "".join(f"{label},{clip},1,2,train,0\n" for label, clip in zip(labels, "ab", strict=True))
        write(tmp_path / f"{name}.csv", HEADING + rows)
    clips = read_clip_folder(tmp_path)
    assert clips.class_names == {"shape": ("x", "y"), "way": ("p",)}
    assert [dict(record.labels) for record in clips.records] == [
        {"shape": 0, "way": 0},
        {"shape": 1, "way": 0},
    ]


def test_a_second_label_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a_000001_000002.mp4")
    rows = [Annotation(label, "a", 1, 2, "train") for label in ("run", "walk", "run")]
    clips = match_annotations({"label": rows}, tmp_path)
    assert dict(clips.records[0].labels) == {"label": 0}
    assert [str(entry) for entry in clips.left_out] == [
        "a_000001_000002 as 'walk': the clip has a label already"
    ]


@pytest.mark.parametrize("names", [[], ["a.mp4"], ["run/notes.txt"]])
def test_folders_without_a_labelled_clip(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="no labelled clip"):
        read_clip_folder(tmp_path)
    with pytest.raises(DataError, match="absent: not a folder"):
        read_clip_folder(tmp_path / "absent")


def folder_with(tmp_path: Path, **sources: list[str]) -> ClipSet:
    """Label → source of each of its clips."""
    for label, names in sources.items():
        touch(tmp_path, *(f"{label}/{name}_{i:06d}_{i + 1:06d}.mp4" for i, name in enumerate(names)))
    return read_clip_folder(tmp_path)


def test_sources_stay_on_one_side(tmp_path: Path) -> None:
    clips = folder_with(
        tmp_path,
        run=[name for name in "abcdefghij" for _ in range(3)],
        walk=["k", "l"],
        jump=["a", "m", "n", "m"],
    )
    whole = split_by_source(clips, seed=5)
    assert whole.class_names == clips.class_names
    assert {record.path for record in whole.records} == {record.path for record in clips.records}
    sides: dict[str, set[str | None]] = {}
    for record in whole.records:
        sides.setdefault(record.source, set()).add(record.split)
    assert all(len(side) == 1 for side in sides.values())
    for number in range(3):
        assert {"train", "test"} <= {r.split for r in whole.records if r.labels["label"] == number}
    shares = [
        len({r.source for r in whole.split(name) if r.labels["label"] == 1}) for name in whole.split_names
    ]
    assert shares == [6, 2, 2]
    assert split_by_source(clips, seed=5) == whole
    assert any(split_by_source(clips, seed=seed) != whole for seed in range(6, 12))


def test_small_classes_are_dropped_by_name(tmp_path: Path) -> None:
    clips = folder_with(tmp_path, run=["a", "b", "c"], single=["d"], same=["e", "e"], walk=["f", "g"])
    split = split_by_source(clips)
    assert split.class_names == {"label": ("run", "walk")}
    assert sorted(str(entry) for entry in split.left_out) == [
        "class 'same': no two source videos free for train and test",
        "class 'single': 1 usable clip, needs two",
    ]
    assert {record.path.parent.name: record.labels["label"] for record in split.records} == {
        "run": 0,
        "walk": 1,
    }
    assert split.split_names == ("train", "val", "test")


def test_too_few_classes(tmp_path: Path) -> None:
    clips = folder_with(tmp_path, run=["a", "b"], single=["d"])
    with pytest.raises(DataError, match=r"1 usable class of 'label', .*'single': 1 usable clip"):
        split_by_source(clips)
    with pytest.raises(ArgumentError, match="labelling must be"):
        split_by_source(clips, labelling="motion")
    with pytest.raises(ArgumentError, match="val, test must be"):
        split_by_source(clips, val=0.5, test=0.5)


def test_published_files_to_the_row(real_annotations: Path, tmp_path: Path) -> None:
    rows = read_annotations(real_annotations / "kinetics-400_val.csv")
    assert len(rows) == 19906
    assert rows[-1].row == 19907
    names = read_label_map(real_annotations / "label_map_k400.txt")
    assert class_names(rows) == names
    write_annotations(tmp_path / "again.csv", rows)
    assert (tmp_path / "again.csv").read_bytes() == (real_annotations / "kinetics-400_val.csv").read_bytes()
    unlabelled = read_annotations(real_annotations / "kinetics-600_test.csv.gz")
    assert len(unlabelled) == 72924
    assert {(row.label, row.split) for row in unlabelled} == {(None, "test")}
    for split in ("train", "val"):
        assert len(read_annotations(real_annotations / f"tiny-kinetics-400_{split}.csv", names)) == 400


def test_real_clips_meet_their_annotations(real_annotations: Path, real_clips: Path) -> None:
    rows = read_annotations(real_annotations / "kinetics-400_val.csv")
    clips = match_annotations({"label": rows}, real_clips)
    assert len(clips.records) == 6
    assert len(clips.left_out) == 19900
    for record in clips.records:
        assert clips.class_names["label"][record.labels["label"]] == record.path.parent.name
    split = split_by_source(read_clip_folder(real_clips / "kinetics400"))
    assert split.class_names["label"] == ("arm wrestling", "bungee jumping")
    assert [str(entry) for entry in split.left_out] == ["class 'tai chi': 1 usable clip, needs two"]


# Other forms in which annotations are published


@pytest.mark.parametrize("heading", [True, False])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_text_files_of_kinetics_600(tmp_path: Path, heading: bool, delimiter: str) -> None:
    lines = ["label,youtube_id,time_start,time_end,split"] * heading
    lines += ['"air drumming",_axE99QAhe8,26,36,train', "abseiling,0wR5jVB-WPk,417,427,train"]
    path = write(tmp_path / "train.txt", "\n".join(lines).replace(",", delimiter) + "\n")
    rows = read_annotations(path)
    assert rows == [
        Annotation("air drumming", "_axE99QAhe8", 26, 36, "train"),
        Annotation("abseiling", "0wR5jVB-WPk", 417, 427, "train"),
    ]
    assert [row.row for row in rows] == [1 + heading, 2 + heading]
    unlabelled = write(tmp_path / "test.txt", delimiter.join(["LAcSOxdNrmI", "61", "71", "test"]) + "\n")
    assert read_annotations(unlabelled) == [Annotation(None, "LAcSOxdNrmI", 61, 71, "test")]


def test_something_something(tmp_path: Path) -> None:
    entry = {
        "id": "78687",
        "label": "holding a cup",
        "template": "Holding [something]",
        "placeholders": ["a cup"],
    }
    others = [
        {"id": "42326", "template": "Closing [something]"},
        {"id": 7, "template": "Holding [something]"},
    ]
    (tmp_path / "labels").mkdir()
    for name, entries in {
        "something-something-v2-train.json": [entry, others[0]],
        "something-something-v2-validation.json": [others[1]],
        "something-something-v2-test.json": [{"id": "1420"}],
    }.items():
        write(tmp_path / "labels" / name, json.dumps(entries))
    order = {"Holding something": "1", "Closing something": "0", "Opening something": "2"}
    write(tmp_path / "labels" / "something-something-v2-labels.json", json.dumps(order))
    touch(tmp_path, *(f"videos/{name}.webm" for name in ("78687", "42326", "7", "1420")))

    clips = read_clip_folder(tmp_path)
    assert clips.class_names == {"label": ("Closing something", "Holding something", "Opening something")}
    assert {(r.source, r.split, r.labels.get("label")) for r in clips.records} == {
        ("78687", "train", 1),
        ("42326", "train", 0),
        ("7", "val", 1),
        ("1420", "test", None),
    }
    rows = read_annotations(tmp_path / "labels" / "something-something-v2-train.json")
    write_annotations(tmp_path / "again.csv", rows)
    assert read_annotations(tmp_path / "again.csv") == rows


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.json", "[", "cannot be read"),
        ("train.json", "{}", "no list of clips"),
        ("train.json", '[{"id": "1", "template": "a"}, {"template": "b"}]', "entry 2 has no id"),
        ("train.json", '[{"id": "1", "template": 5}]', "entry 1 has the template 5"),
        ("clips.json", "[]", "does not end with a split"),
        ("train.json", '[{"id": "1", "template": "Eating [something]"}]', "unknown label 'Eating something'"),
        ("train.txt", "just words\n", "row 1 lacks the column"),
    ],
)
def test_bad_entries_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"{name}: .*{message}"):
        read_annotations(write(tmp_path / name, text), class_names=["a", "b"])


def test_lists_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "run/a.mp4", "walk/b.mp4")
    write(tmp_path / "train.txt", "run/a.mp4 0\nwalk/b.mp4 1\n")
    write(tmp_path / "metrics_test.json", '{"id": 1}')
    assert read_clip_folder(tmp_path).class_names == {"label": ("run", "walk")}


def test_label_maps_in_other_forms(tmp_path: Path) -> None:
    assert read_label_map(write(tmp_path / "m.json", '{"b": "0", "\\"tai chi\\"": 1}')) == ["b", "tai chi"]
    assert read_label_map(write(tmp_path / "m.json", '["b", "a"]')) == ["b", "a"]
    assert read_label_map(write(tmp_path / "m.csv", 'id,name\n1,"c, d"\n0,e\n')) == ["e", "c, d"]
    for text, message in (('{"a": 0, "b": 2}', "not numbered 0, 1, 2"), ('{"a": "x"}', "cannot be read")):
        with pytest.raises(DataError, match=message):
            read_label_map(write(tmp_path / "m.json", text))


def test_the_communitys_order_of_kinetics_400(real_annotations: Path, tmp_path: Path) -> None:
    names = read_label_map(real_annotations / "label_map_k400.txt")
    (tmp_path / "label_map_k400.txt").write_text("\n".join(reversed(names)))
    (tmp_path / "val.csv").write_bytes((real_annotations / "tiny-kinetics-400_val.csv").read_bytes())
    touch(tmp_path, "-3B32lodo2M_000059_000069.mp4")
    clips = read_clip_folder(tmp_path)
    assert clips.class_names["label"] == tuple(reversed(names))
    assert clips.records[0].labels["label"] == 399 - names.index("abseiling")
