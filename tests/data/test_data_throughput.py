"""The throughput report: every stage timed, the slowest named, what could not be read named too."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vtlearn import cli
from vtlearn.data import throughput
from vtlearn.data.kinetics import ClipRecord
from vtlearn.data.loader import ClipDataset
from vtlearn.data.sampling import UniformSampler
from vtlearn.data.throughput import Throughput, measure_throughput
from vtlearn.errors import ArgumentError, DataError


class Slow:
    """A transform that takes far longer than these small videos take to decode."""

    def __call__(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        time.sleep(0.3)
        return clips


@pytest.fixture
def records(tmp_path: Path, clip_writer: Callable[..., np.ndarray]) -> list[ClipRecord]:
    for i in range(3):
        clip_writer(tmp_path / f"c{i}.mp4", num_frames=5, height=20, width=30, seed=i)
    (tmp_path / "c1.mp4").write_bytes(b"")
    return [ClipRecord(path=tmp_path / f"c{i}.mp4", labels={"label": i}) for i in range(3)]


def measured(records: list[ClipRecord], **settings: Any) -> Throughput:
    dataset = ClipDataset(records, UniformSampler(3), decoder="pyav", **settings)
    return measure_throughput(dataset, batch_size=2)


def test_the_slowest_stage_is_named(records: list[ClipRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(records, transform=Slow())
    assert (found.bottleneck, found.clips) == ("transform", 2)
    assert found.milliseconds["transform"] >= 300
    assert 0 < found.clips_per_second <= 1 / 0.3
    assert list(found.milliseconds) == ["decode", "transform", "collate"]
    assert [(Path(entry.name).name, entry.reason) for entry in found.skipped] == [("c1.mp4", "empty file")]
    assert "bottleneck: transform" in found.describe()
    assert "c1.mp4: empty file" in found.describe()
    assert json.loads(json.dumps(found.as_json()))["bottleneck"] == "transform"

    real = ClipDataset.read

    def slowly(self: ClipDataset, *given: Any) -> Any:
        time.sleep(0.3)
        return real(self, *given)

    monkeypatch.setattr(ClipDataset, "read", slowly)
    assert measured(records).bottleneck == "decode"
    monkeypatch.undo()
    collate = throughput.collate_clips
    monkeypatch.setattr(throughput, "collate_clips", lambda items: time.sleep(0.6) or collate(items))
    assert measured(records).bottleneck == "collate"


def test_workers_share_all_but_the_transfer() -> None:
    spent = {"decode": 8.0, "transform": 1.0, "collate": 0.5, "transfer": 3.0}
    assert Throughput(9, spent, 2, 100.0, "cuda").bottleneck == "decode"
    assert Throughput(9, spent, 4, 100.0, "cuda").bottleneck == "transfer"
    assert Throughput(9, spent, 4, 100.0, "cuda").limits["decode"] == pytest.approx(500)


def test_nothing_to_read_is_named(records: list[ClipRecord]) -> None:
    with pytest.raises(DataError, match=r"none of 1 clips could be read; the first: .*c1\.mp4: empty file"):
        measured(records[1:2])
    with pytest.raises(ArgumentError, match=r"^batch_size must be"):
        measure_throughput(ClipDataset(records, UniformSampler(3)), batch_size=0)


@pytest.mark.gpu
def test_the_way_to_the_gpu_is_timed(records: list[ClipRecord]) -> None:
    dataset = ClipDataset(records, UniformSampler(3))
    found = measure_throughput(dataset, batch_size=2, device="cuda")
    assert found.milliseconds["transfer"] > 0


# The commands


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


def test_data_bench_reports(run: Callable[..., Any], records: list[ClipRecord], tmp_path: Path) -> None:
    asked = ("data", "bench", tmp_path, "--crop", 16, "--num-frames", 3, "--workers", 0, "--device", "cpu")
    code, out, _ = run(*asked, "--json", "--cache", tmp_path / "cache")
    found = json.loads(out)
    assert code == 0
    assert found["bottleneck"] in found["milliseconds"]
    assert [Path(entry["path"]).name for entry in found["skipped"]] == ["c1.mp4"]
    assert list((tmp_path / "cache").iterdir())
    code, out, _ = run(*asked)
    assert code == 0
    assert "bottleneck: " in out
    code, _, err = run("data", "bench", tmp_path / "nowhere")
    assert (code, "nowhere: not a folder" in err) == (2, True)
    code, _, err = run("data", "bench", tmp_path, "--decoder", "opencv")
    assert (code, "decoder must be one of" in err) == (2, True)
