"""The samples: labels crossed, reversals exact, subjects apart, files as the manifest says, drawing from
the seed alone."""

import csv
import hashlib
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vtlearn.data.decode import decode_all
from vtlearn.data.synthetic import (
    APPEARANCES,
    LABELLINGS,
    MOTION_PAIRS,
    MOTIONS,
    SPLITS,
    SampleSet,
    SampleSpec,
    bundled_samples,
    draw_sample,
    frames_digest,
    make_samples,
    plan_samples,
    samples_folder,
)
from vtlearn.errors import ArgumentError, DataError
from vtlearn.models import create_model

TINY = SampleSpec(
    name="tiny", subjects_per_appearance={"train": 1, "val": 1, "test": 1}, num_frames=16, image_size=32
)


@pytest.fixture(scope="module")
def bundled():
    return SampleSet.load(bundled_samples())


def by_id(samples):
    return {row["id"]: row for row in samples.clips}


# ------------------------------------------------------------------------------------------- the bundled set


def test_there_are_as_many_clips_as_promised(bundled):
    counts = Counter(row["split"] for row in bundled.clips)
    assert counts == {"train": 1280, "val": 192, "test": 320}


@pytest.mark.parametrize("split", SPLITS)
def test_every_pair_of_labels_is_equally_often_in_every_split(bundled, split):
    counts = Counter((row["appearance"], row["motion"]) for row in bundled.split(split))
    assert len(counts) == len(APPEARANCES) * len(MOTIONS)
    assert len(set(counts.values())) == 1


def test_subjects_are_disjoint_between_splits(bundled):
    subjects = {split: {row["subject"] for row in bundled.split(split)} for split in SPLITS}
    assert not subjects["train"] & subjects["val"]
    assert not subjects["train"] & subjects["test"]
    assert not subjects["val"] & subjects["test"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_every_clip_of_val_and_test_lies_beside_its_reversal(bundled, split):
    rows = by_id(bundled)
    partner = dict(MOTION_PAIRS) | {second: first for first, second in MOTION_PAIRS}
    for row in bundled.split(split):
        twin = rows[row["twin"]]
        assert twin["twin"] == row["id"]
        assert (twin["subject"], twin["appearance"], twin["split"]) == (
            row["subject"],
            row["appearance"],
            split,
        )
        assert twin["motion"] == partner[row["motion"]]


def test_no_training_clip_is_the_reversal_of_another(bundled):
    assert all(row["twin"] is None for row in bundled.split("train"))


def test_reversals_are_exact_before_encoding(bundled):
    clips = {clip.clip_id: clip for clip in plan_samples(bundled.spec, bundled.seed)}
    rows = bundled.split("test")
    for pair in range(4):
        clip = clips[rows[2 * pair]["id"]]
        assert (draw_sample(clip, bundled.spec) == draw_sample(clips[clip.twin], bundled.spec)[::-1]).all()


def test_decoded_reversals_are_close(bundled):
    row = bundled.split("test")[0]
    twin = by_id(bundled)[row["twin"]]
    frames, turned = (decode_all(bundled.root / r["path"]).float() for r in (row, twin))
    assert (frames - turned.flip(0)).abs().mean() < 5.0


@pytest.mark.parametrize("first", [0, 2, 4, 6])
def test_a_frame_averaging_model_gives_twins_equal_logits_on_the_raw_frames(bundled, first):
    torch.manual_seed(3)
    model = create_model("frame_average_samples", num_classes=8).double().eval()
    clips = {clip.clip_id: clip for clip in plan_samples(bundled.spec, bundled.seed)}
    clip = clips[bundled.split("val")[first]["id"]]
    raw = np.stack([draw_sample(clip, bundled.spec), draw_sample(clips[clip.twin], bundled.spec)])
    frames = torch.from_numpy(raw[:, :, ::2, ::2]).permute(0, 1, 4, 2, 3).double() / 255
    with torch.no_grad():
        logits = model(frames)
        moved = model(frames.flip(4))
    torch.testing.assert_close(logits[0], logits[1], atol=1e-12, rtol=0)
    assert not torch.allclose(logits[0], moved[0], atol=1e-6), "a model blind to its input proves nothing"


def test_reversed_events_are_mirrored(bundled):
    last = bundled.spec.num_frames - 1
    rows = by_id(bundled)
    for row in bundled.split("val"):
        twin = rows[row["twin"]]
        spans = [(event["start_frame"], event["end_frame"]) for event in row["events"]]
        mirrored = [(last - end, last - start) for start, end in reversed(spans)]
        assert [(event["start_frame"], event["end_frame"]) for event in twin["events"]] == mirrored


def test_events_say_what_the_class_says(bundled):
    for row in bundled.clips:
        assert " then ".join(event["name"] for event in row["events"]) == row["motion"]
        frames = [number for event in row["events"] for number in (event["start_frame"], event["end_frame"])]
        assert frames == sorted(frames)
        assert frames[0] >= 0
        assert frames[-1] < bundled.spec.num_frames


def test_file_names_follow_kinetics(bundled):
    for row in bundled.clips:
        split, label, name = row["path"].split("/")
        assert (split, label) == (row["split"], row["motion"])
        assert name == f"{row['id']}_000000_000002.mp4"
        assert len(row["id"]) == 11


@pytest.mark.parametrize("labelling", LABELLINGS)
@pytest.mark.parametrize("split", SPLITS)
def test_annotation_files_have_the_published_columns(bundled, labelling, split):
    with (bundled.root / "annotations" / f"{labelling}_{split}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["label", "youtube_id", "time_start", "time_end", "split", "is_cc"]
    wanted = {row["id"]: row[labelling] for row in bundled.split(split)}
    assert {row["youtube_id"]: row["label"] for row in rows} == wanted


def test_files_are_small_and_whole(bundled):
    sizes = [(bundled.root / row["path"]).stat().st_size for row in bundled.clips]
    files = [path for path in bundled.root.rglob("*") if path.is_file() and "checkpoints" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 16e6
    assert max(sizes) < 20_000
    on_disk = {str(path.relative_to(bundled.root)) for path in bundled.root.rglob("*.mp4")}
    assert on_disk == {row["path"] for row in bundled.clips}


def test_every_file_has_its_checksum(bundled):
    for row in bundled.clips:
        assert hashlib.sha256((bundled.root / row["path"]).read_bytes()).hexdigest() == row["sha256"]


def test_decoded_frames_have_their_checksum(bundled):
    for row in bundled.clips[::97]:
        assert frames_digest(np.asarray(decode_all(bundled.root / row["path"]))) == row["frames_sha256"]


def test_the_seed_draws_the_bundled_clips_again(bundled, tmp_path):
    """Encoded again, a bundled clip decodes to the same frames: the set can be made from its seed."""
    from vtlearn.data.synthetic import encode_video

    clips = {clip.clip_id: clip for clip in plan_samples(bundled.spec, bundled.seed)}
    for row in bundled.clips[5::311]:
        path = tmp_path / "again.mp4"
        encode_video(path, draw_sample(clips[row["id"]], bundled.spec), bundled.spec.fps)
        assert frames_digest(np.asarray(decode_all(path))) == row["frames_sha256"], row["path"]


def test_the_samples_carry_a_licence(bundled):
    assert "CC0" in (bundled.root / "LICENSE").read_text()


# ------------------------------------------------------------------------------------------- making a set


def test_two_makings_are_the_same_and_another_seed_is_not(tmp_path):
    spec = replace(TINY, subjects_per_appearance={"train": 1, "val": 0, "test": 0})
    one, two, other = (
        SampleSet.load(make_samples(tmp_path / name, seed, spec, progress=False, workers=workers).parent)
        for name, seed, workers in (("one", 0, 1), ("two", 0, 2), ("other", 1, 1))
    )
    assert one.clips == two.clips
    assert not {row["frames_sha256"] for row in one.clips} & {row["frames_sha256"] for row in other.clips}


def test_check_names_what_was_damaged(tmp_path):
    spec = replace(TINY, subjects_per_appearance={"train": 1, "val": 0, "test": 0})
    samples = SampleSet.load(make_samples(tmp_path, 0, spec, progress=False).parent)
    assert samples.check() == []
    first, second = (tmp_path / row["path"] for row in samples.clips[:2])
    first.unlink()
    data = bytearray(second.read_bytes())
    data[-40] ^= 1
    second.write_bytes(data)
    wrong = samples.check()
    assert len(wrong) == 2
    assert samples.clips[0]["path"] in wrong[0]
    assert "missing" in wrong[0]
    assert samples.clips[1]["path"] in wrong[1]


def test_an_interrupted_making_has_no_manifest(tmp_path, monkeypatch):
    spec = replace(TINY, subjects_per_appearance={"train": 1, "val": 0, "test": 0})
    make_samples(tmp_path, 0, spec, progress=False)
    monkeypatch.setattr(
        "vtlearn.data.synthetic.encode_video", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        make_samples(tmp_path, 0, spec, progress=False)
    with pytest.raises(DataError, match="no samples here"):
        SampleSet.load(tmp_path)


def test_the_hard_set_is_longer_and_smaller():
    hard, standard = SampleSpec.hard(), SampleSpec.standard()
    assert hard.num_frames == 2 * standard.num_frames
    assert hard.num_clips("train") < standard.num_clips("train")
    clip = plan_samples(hard, 0)[0]
    assert draw_sample(clip, hard).shape == (48, 64, 64, 3)
    assert not {c.clip_id for c in plan_samples(hard, 0)} & {c.clip_id for c in plan_samples(standard, 0)}


def test_other_seeds_are_made_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLEARN_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr(
        "vtlearn.data.synthetic.make_samples",
        lambda root, seed, spec, **_: (
            made.append(seed),
            root.mkdir(parents=True),
            (root / "manifest.json").touch(),
        ),
    )
    first = samples_folder(7)
    assert samples_folder(7) == first
    assert made == [7]
    assert samples_folder(0) == bundled_samples()


@pytest.mark.parametrize("seed", [-1, True])
def test_a_seed_that_cannot_be_is_named(seed):
    with pytest.raises(ArgumentError, match=f"seed must be .*{seed}"):
        plan_samples(SampleSpec.standard(), seed)


def test_a_broken_manifest_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="not a samples manifest"):
        SampleSet.load(tmp_path)


def test_too_few_frames_for_two_events():
    with pytest.raises(ArgumentError, match="num_frames must be at least 16"):
        SampleSpec(num_frames=12)


def test_manifest_is_json_with_one_row_a_clip():
    raw = json.loads((Path(bundled_samples()) / "manifest.json").read_text())
    assert raw["seed"] == 0
    assert len(raw["clips"]) == 1792
    assert os.path.isfile(bundled_samples() / raw["clips"][0]["path"])
