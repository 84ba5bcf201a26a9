"""A check of a folder names every file, survives damage and interruption, and reads nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_data_decode import broken_files, damaged

from vtlearn.data import manifest as manifests
from vtlearn.data.batches import listed_batches
from vtlearn.data.decode import probe_video
from vtlearn.data.kinetics import Annotation, ClipRecord, read_clip_folder
from vtlearn.data.loader import ClipDataset
from vtlearn.data.manifest import (
    MANIFEST,
    FileStatus,
    Manifest,
    check_file,
    check_folder,
    coverage,
    read_usable_clips,
)
from vtlearn.data.sampling import UniformSampler
from vtlearn.errors import ArgumentError, DataError


@pytest.fixture
def folder(tmp_path: Path, clip_writer: Callable[..., np.ndarray]) -> Path:
    """Two good clips, a short one, a copy, a damaged one and a file of another kind."""
    root = tmp_path / "set"
    clip_writer(root / "run" / "a_000001_000002.mp4", num_frames=9, seed=1)
    clip_writer(root / "run" / "b_000001_000002.mp4", num_frames=9, seed=2)
    clip_writer(root / "walk" / "c_000001_000002.mp4", num_frames=2, seed=3)
    good = (root / "run" / "a_000001_000002.mp4").read_bytes()
    (root / "walk" / "d_000001_000002.mp4").write_bytes(good)
    (root / "walk" / "e_000001_000002.mp4").write_bytes(good[:-300])
    (root / "notes.txt").write_text("hello")
    return root


SHARED = Path(__file__).parents[3] / "shared"
ROWS = [Annotation("run", name, 1, 2, "val") for name in ("a", "c", "e", "gone")]


def by_name(found: Manifest) -> dict[str, FileStatus]:
    return {Path(entry.path).stem[:1]: entry for entry in found.clips}


def test_every_file_has_a_status_and_a_reason(folder: Path) -> None:
    found = check_folder(folder, annotations=ROWS, min_frames=5, workers=2)
    entries = by_name(found)
    assert {name: (entry.status, entry.reason) for name, entry in entries.items()} == {
        "a": ("unverified", ""),
        "b": ("unverified", ""),
        "c": ("too short", "2 of 5 frames"),
        "d": ("duplicate", "the same bytes as run/a_000001_000002.mp4"),
        "e": ("damaged", entries["e"].reason),
        "g": ("missing", "named by the annotations"),
        "n": ("no video", ""),
    }
    assert "truncated" in entries["e"].reason
    first = entries["a"]
    assert (first.num_frames, first.corrupt_frames, first.fps, first.height, first.width) == (
        9,
        0,
        10.0,
        34,
        46,
    )
    assert first.decoder in ("decord", "pyav")
    assert first.bytes == (folder / first.path).stat().st_size
    assert [entry.path for entry in found.clips] == sorted(entry.path for entry in found.clips)
    assert found.counts() == dict(
        zip(
            ["unverified", "too short", "duplicate", "damaged", "missing", "no video"],
            [2, 1, 1, 1, 1, 1],
            strict=True,
        )
    )
    assert "walk/e_000001_000002.mp4: damaged (truncated" in found.describe()
    assert coverage(ROWS, found) == (1, 4)


def test_known_checksums_find_concealed_damage(folder: Path) -> None:
    names = ["run/a_000001_000002.mp4", "run/b_000001_000002.mp4"]
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    sums[names[1]] = sums[names[0]]
    entries = by_name(check_folder(folder, checksums=sums))
    assert entries["a"].status == "present"
    assert (entries["b"].status, entries["b"].reason) == ("damaged", "its bytes differ from its checksum")


def test_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    found = check_folder(folder, manifest=path)
    assert Manifest.load(path) == found
    content = json.loads(path.read_text())
    assert {"path", "status", "reason"} <= content["clips"][0].keys()
    assert sorted(tmp_path.iterdir()) == [path, folder]
    for text in ("", "{}", '{"root": "x", "clips": [{"path": "a"}]}', "[]"):
        path.write_text(text)
        with pytest.raises(DataError, match="not a manifest"):
            Manifest.load(path)
    with pytest.raises(ArgumentError, match=r"^status must be"):
        FileStatus("a.mp4", "fine")


def test_interrupted_and_taken_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    whole = check_folder(folder)
    read: list[str] = []

    def stopping(limit: int) -> Callable[..., FileStatus]:
        def check(path: Path, name: str, **settings: object) -> FileStatus:
            if len(read) == limit:
                raise KeyboardInterrupt
            read.append(name)
            return check_file(path, name, **settings)  # type: ignore[arg-type]

        return check

    monkeypatch.setattr(manifests, "check_file", stopping(2))
    with pytest.raises(KeyboardInterrupt):
        check_folder(folder, manifest=path)
    assert not path.exists()
    with open(f"{path}.journal", "a") as journal:
        journal.write('{"path": "run/b')  # killed in the middle of a line
    monkeypatch.setattr(manifests, "check_file", stopping(99))
    assert check_folder(folder, manifest=path) == whole
    assert sorted(read) == sorted(entry.path for entry in whole.clips if entry.status != "no video")

    read.clear()
    assert check_folder(folder, manifest=path) == whole
    assert read == []
    (folder / "walk" / "c_000001_000002.mp4").write_bytes(
        (folder / "run" / "b_000001_000002.mp4").read_bytes()
    )
    (folder / "walk" / "d_000001_000002.mp4").unlink()
    again = by_name(check_folder(folder, manifest=path, min_frames=5))
    assert read == ["walk/c_000001_000002.mp4"]
    assert again["c"].status == "duplicate"
    assert "d" not in again
    shorter = by_name(check_folder(folder, manifest=path, min_frames=10))
    assert shorter["a"].reason == "9 of 10 frames"
    assert len(read) == 1


def test_the_manifest_inside_the_folder_is_not_one_of_its_files(folder: Path) -> None:
    found = check_folder(folder, manifest=folder / "manifest.json")
    assert check_folder(folder, manifest=folder / "manifest.json") == found
    assert "manifest.json" not in {entry.path for entry in found.clips}


def test_training_takes_what_is_usable(folder: Path) -> None:
    clips = read_clip_folder(folder)
    found = check_folder(folder, min_frames=5)
    usable = found.keep_usable(clips)
    assert sorted(record.path.name[0] for record in usable.records) == ["a", "b"]
    assert len(usable.left_out) == 3
    assert any("truncated" in entry.reason for entry in usable.left_out)
    (folder / "run" / "new.mp4").write_bytes(b"")
    later = found.keep_usable(read_clip_folder(folder))
    assert [entry.reason for entry in later.left_out if "new" in entry.name] == ["not in the manifest"]


def test_training_reads_the_manifest_of_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(read_usable_clips(folder).records) == 5
    monkeypatch.chdir(tmp_path)
    check_folder(Path("set"), manifest=folder / MANIFEST, min_frames=5)  # another way to write the same place
    for root in (folder, Path("set")):
        assert sorted(record.path.name[0] for record in read_usable_clips(root).records) == ["a", "b"]
    moved = folder.rename(tmp_path / "moved")
    clips = read_usable_clips(moved)
    assert sorted(record.path.name[0] for record in clips.records) == ["a", "b"]
    assert len(clips.left_out) == 3


def test_what_a_whole_pass_shows(grouped_clip: Path) -> None:
    facts = probe_video(grouped_clip)
    assert (facts.num_frames, facts.corrupt_frames, facts.height, facts.width) == (53, 0, 34, 46)
    with pytest.raises(DataError, match="not a folder"):
        check_folder(grouped_clip)


VARIANTS = int(os.environ.get("DAMAGED_VARIANTS", "48"))  # 190 with the other files below are 200 and more


def test_many_kinds_of_damage_through_four_workers(
    tmp_path: Path, clip_writer: Callable[..., np.ndarray]
) -> None:
    clip_writer(tmp_path / "good.mp4", num_frames=13)
    good = (tmp_path / "good.mp4").read_bytes()
    root = tmp_path / "set"
    root.mkdir()
    broken = broken_files(root, good)
    del broken["absent.mp4"]
    sources = [good, *(path.read_bytes() for path in small_real_clips())]
    for seed in range(VARIANTS):
        (root / f"bad{seed:03d}.mp4").write_bytes(damaged(sources[seed // 4 % len(sources)], seed))
    (root / "renamed.mkv").write_bytes(good)
    (root / "circle").symlink_to(root, target_is_directory=True)

    known = [hashlib.sha256(source).hexdigest() for source in sources]
    sums = {f"bad{seed:03d}.mp4": known[seed // 4 % len(known)] for seed in range(VARIANTS)}
    sums["renamed.mkv"] = known[0]
    entries = {entry.path: entry for entry in check_folder(root, checksums=sums, workers=4).clips}
    assert set(entries) == {path.name for path in root.iterdir() if path.name != "circle"}
    for name in [*broken, *(name for name in sums if name.startswith("bad"))]:
        assert entries[name].status == "damaged", name
        assert entries[name].reason
    assert entries["renamed.mkv"].status == "present"
    unknown = [entry for entry in check_folder(root, workers=4).clips if entry.path.startswith("bad")]
    assert all(entry.status in ("damaged", "unverified", "duplicate") for entry in unknown)
    cut = [entry for entry in unknown if int(entry.path[3:6]) % 4 == 0]
    assert {entry.status for entry in cut} == {"damaged"}
    concealed = sum(entry.status != "damaged" for entry in unknown)
    assert concealed < len(unknown) / 2

    records = [ClipRecord(path=root / name, labels={}) for name in sorted(entries)]
    dataset = ClipDataset(records, UniformSampler(4), short_side=32)
    batches = list(listed_batches(dataset, batch_size=1, num_workers=4))
    read = [path for batch in batches for path in batch.get("path", [])]
    left_out = [entry for batch in batches for entry in batch["skipped"]]
    lost = [entry.name for entry in left_out]
    assert sorted(read + lost) == sorted(str(record.path) for record in records)
    assert str(root / "renamed.mkv") in read
    assert {str(root / name) for name in broken} <= set(lost)
    assert all(entry.reason for entry in left_out)


def small_real_clips() -> list[Path]:
    """The smallest of the real clips; none where they are absent, and the test makes do with its own."""
    return sorted((SHARED / "clips" / "kinetics400").rglob("*.mp4"), key=lambda path: path.stat().st_size)[:2]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no such signal")
def test_killed_and_taken_up(folder: Path, tmp_path: Path, clip_writer: Callable[..., np.ndarray]) -> None:
    for i in range(5):
        clip_writer(folder / "more" / f"{i}.mp4", num_frames=3, seed=10 + i)
    manifest = tmp_path / "manifest.json"
    program = (
        "import os, signal, sys\nfrom vtlearn.data import manifest as m\nreal, read = m.check_file, []\n"
        "def check(path, name, **settings):\n"
        "    read.append(name)\n"
        "    if len(read) == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(path, name, **settings)\n"
        "m.check_file = check\nm.check_folder(sys.argv[1], manifest=sys.argv[2])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, folder, manifest], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not manifest.exists()
    journal = Path(f"{manifest}.journal").read_text().splitlines()
    before = {json.loads(line)["path"] for line in journal}
    assert len(before) == len(journal) >= 2
    read: list[str] = []
    real = manifests.check_file

    def check(path: Path, name: str, **settings: Any) -> FileStatus:
        read.append(name)
        return real(path, name, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "check_file", check)
        found = check_folder(folder, manifest=manifest)
    assert not before & set(read)
    assert found == check_folder(folder)
    assert before | set(read) == {entry.path for entry in found.clips if entry.status != "no video"}


def test_real_clips_are_judged(real_clips: Path, tmp_path: Path) -> None:
    for name in ("truncated.mp4", "cleaning_pool.mp4", "basketball_variable_rate.mp4"):
        os.symlink(real_clips / "other" / name, tmp_path / name)
    entries = {entry.path: entry for entry in check_folder(tmp_path, workers=2).clips}
    assert entries["truncated.mp4"].status == "damaged"
    assert (entries["cleaning_pool.mp4"].status, entries["cleaning_pool.mp4"].num_frames) == (
        "unverified",
        300,
    )
    assert entries["basketball_variable_rate.mp4"].num_frames == 214
    assert entries["basketball_variable_rate.mp4"].decoder == "pyav"
