"""The comparison end to end on a few clips: rows, report, resume, damaged clips, bad input in one line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vtlearn.data.manifest import MANIFEST, check_folder
from vtlearn.data.memory import ClipMemory
from vtlearn.data.sources import find_records
from vtlearn.data.synthetic import MOTIONS, SampleSpec, draw_sample, encode_video, plan_samples
from vtlearn.errors import ArgumentError, DataError, Stopped
from vtlearn.runs.card import Card
from vtlearn.runs.folder import read_metrics, read_run
from vtlearn.runs.trained import load_trained
from vtlearn.study import worker
from vtlearn.study.compare import Comparison, new_run, run_comparison, unfinished_run
from vtlearn.study.protocol import Protocol
from vtlearn.study.report import ROW_KEYS, table
from vtlearn.train.checkpoint import load_checkpoint

SHARED = Path(__file__).resolve().parents[3] / "shared" / "clips" / "kinetics400"
RATES = {"vtn": 1e-3, "vivit": 1e-3, "frame_average": 1e-3}
PROTOCOL = Protocol(
    models=("frame_average", "vivit"),
    steps=6,
    batch_size=4,
    image_steps=3,
    image_batch_size=4,
    stored_frames=16,
    warmup_steps=2,
    evaluate_every=3,
    learning_rates=RATES,
)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two classes, four clips each, as a user might have them; one more file is damaged."""
    root = tmp_path_factory.mktemp("videos")
    spec = replace(SampleSpec.standard(), num_frames=16, image_size=48)
    for motion in MOTIONS[:2]:
        clips = [clip for clip in plan_samples(spec, 5) if clip.motion == motion][:4]
        for number, clip in enumerate(clips):
            path = root / motion / f"{clip.clip_id}_{number:06d}_{number + 2:06d}.mp4"
            encode_video(path, draw_sample(clip, spec), spec.fps)
    whole = next((root / MOTIONS[0]).glob("*.mp4")).read_bytes()
    (root / MOTIONS[0] / "cutcutcutcu_000000_000002.mp4").write_bytes(whole[: len(whole) // 3])
    (root / MOTIONS[1] / "emptyemptye_000000_000002.mp4").touch()
    return root


@pytest.fixture(scope="module")
def finished(videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "one"
    comparison = Comparison(folder=folder, protocol=PROTOCOL, data={"folder": str(videos)}, device="cpu")
    rows = run_comparison(comparison, quiet=True)
    return comparison, rows


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "vtlearn", "compare", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        **options,
    )


def test_rows_have_what_a_reader_needs(finished):
    comparison, rows = finished
    assert [row["model"] for row in rows] == ["frame_average", "vivit"]
    assert json.loads((comparison.folder / "metrics.json").read_text()) == rows
    for row in rows:
        assert set(ROW_KEYS) <= set(row)
        assert row["num_classes"] == 2
        assert 0 <= row["test_top1"] <= 1
        assert row["parameters"] > 100_000
        assert row["multiply_adds"] > 1_000_000
        assert row["train_seconds"] > 0
        assert row["clips_per_second"] > 0
        assert row["peak_memory_bytes"] > 10_000_000
        assert row["steps"] == 6


def test_a_user_s_table_has_ridge_regression_beside_it_and_marks_what_is_below(finished):
    comparison, rows = finished
    facts = json.loads((comparison.folder / "run.json").read_text())
    shallow = facts["shallow"]["label"]
    assert [row["clips"] for row in shallow] == [rows[0]["test_clips"]] * 5
    best = max(row["test_top1"] for row in shallow)
    assert [row["below_thumbnails"] for row in rows] == [row["test_top1"] < best for row in rows]
    page = (comparison.folder / "report.html").read_text()
    assert "background subtracted, order-blind" in page
    marked = [{**row, "test_top1": 0.25, "below_thumbnails": True} for row in rows]
    assert table(marked).count("↓ 25.0 %") == 2
    assert "↓" not in table([{**row, "below_thumbnails": False} for row in rows])


def test_the_report_stands_alone(finished):
    page = (finished[0].folder / "report.html").read_text()
    assert "ViViT" in page
    assert page.count("<img alt='") == page.count("data:image/png;base64,") >= 5
    assert "http://" not in page
    assert "https://" not in page


def test_damaged_clips_are_named_and_counted(finished):
    comparison, _ = finished
    skipped = json.loads((comparison.folder / "run.json").read_text())["skipped"]
    names = sorted(Path(each["path"]).name for each in skipped)
    assert names == ["cutcutcutcu_000000_000002.mp4", "emptyemptye_000000_000002.mp4"]
    assert all(each["reason"] for each in skipped)
    page = (comparison.folder / "report.html").read_text()
    assert "Clips left out: 2" in page


def test_its_models_are_used_by_the_folder_of_their_name(finished):
    folder = finished[0].folder / "vivit"
    trained, same = load_trained(folder), load_trained(folder / "model")
    clip = torch.randn(1, trained.num_frames, 3, trained.crop, trained.crop)
    assert torch.equal(trained.model(clip), same.model(clip))


def test_checkpoints_are_kept_and_loadable(finished):
    saved = load_checkpoint(finished[0].folder / "vivit" / "model", model_name="vivit")
    assert saved.settings["class_names"]["label"] == list(MOTIONS[:2])
    card = Card.of(saved)
    assert card.trained_positions in (15, 16), "the clips have 16 frames, all of them were kept"
    assert (card.num_frames, card.crop, card.several) == (16, 32, True)
    assert card.class_names == {"label": tuple(MOTIONS[:2])}
    assert card.commit
    assert card.start == "the image model trained on single frames"


def test_a_finished_run_is_not_run_again(finished):
    comparison, rows = finished
    before = (comparison.folder / "vivit" / "result.json").stat().st_mtime_ns
    assert run_comparison(comparison, quiet=True) == rows
    assert (comparison.folder / "vivit" / "result.json").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_losses(finished, videos, tmp_path):
    protocol = replace(PROTOCOL, models=("vivit",))
    again = Comparison(
        folder=tmp_path / "again", protocol=protocol, data={"folder": str(videos)}, device="cpu"
    )
    run_comparison(again, quiet=True)
    one, two = (
        json.loads((folder / "vivit" / "result.json").read_text())
        for folder in (finished[0].folder, again.folder)
    )
    assert one["loss_curve"] == two["loss_curve"]
    assert one["test"] == two["test"]


def test_stopped_and_resumed_equals_unbroken(videos, tmp_path):
    """SIGTERM in the middle; ``--resume`` goes on; the losses are those of a run that nobody stopped."""
    arguments = ["--data", videos, "--models", "vivit", "--steps", 60, "--device", "cpu", "--json"]
    unbroken = command(*arguments, "--results", tmp_path, "--run", "whole")
    assert unbroken.returncode == 0, unbroken.stderr
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "vtlearn",
            "compare",
            *map(str, arguments),
            "--results",
            tmp_path,
            "--run",
            "cut",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    job = tmp_path / "cut" / "vivit" / "job.json"
    deadline = time.monotonic() + 120
    while not job.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(4.0)
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate(timeout=120)
    if process.returncode != 0:  # on a fast machine it may have been done already
        assert process.returncode == 1
        assert "of 1 models are done" in complaint
        assert "--resume --run cut" in complaint
    resumed = command("--resume", "--results", tmp_path, "--run", "cut", "--json")
    assert resumed.returncode == 0, resumed.stderr
    one, two = (
        json.loads((tmp_path / run / "vivit" / "result.json").read_text()) for run in ("whole", "cut")
    )
    assert dict(one["loss_curve"])[60] == dict(two["loss_curve"])[60]
    assert one["test"] == two["test"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips (../shared/clips) are not here")
def test_real_clips_go_through(tmp_path):
    done = command(
        "--data", SHARED, "--models", "frame_average", "--steps", 2, "--quick", "--device", "cpu",
        "--results", tmp_path, "--run", "real",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "real" / "metrics.json").read_text())
    assert row["num_classes"] == 2
    skipped = json.loads((tmp_path / "real" / "run.json").read_text())["skipped"]
    assert any("tai chi" in each["path"] for each in skipped), "a class of one clip is left out by name"


def test_another_version_or_no_run_is_refused(finished, tmp_path):
    with pytest.raises(DataError, match=r"no comparison to go on with"):
        Comparison.load(tmp_path)
    copy = tmp_path / "old"
    copy.mkdir()
    facts = json.loads((finished[0].folder / "compare.json").read_text()) | {"vtlearn": "0.0.1"}
    (copy / "compare.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"written by vtlearn 0\.0\.1"):
        Comparison.load(copy)
    with pytest.raises(DataError, match=r"no unfinished comparison"):
        unfinished_run(tmp_path / "nothing", None)
    with pytest.raises(ArgumentError, match=r"run must be a new name"):
        new_run(finished[0].folder.parent, "one")


def test_resuming_with_other_clips_is_refused(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0].folder, folder)
    (folder / "vivit" / "result.json").unlink()
    train = ClipMemory.load(folder / "clips" / "train.safetensors")
    train.frames.bitwise_not_()
    train.save(folder / "clips" / "train.safetensors")
    with pytest.raises(DataError, match=r"vivit: .*settings"):
        run_comparison(Comparison.load(folder), quiet=True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--models", "vtm"], "models must be one of"),
        (["--data", "nowhere"], "nowhere"),
        (["--device", "cuda:9"], "device must be present on this machine"),
        (["--steps", "0"], "steps must be a positive integer, got 0"),
        (["--resume"], "no unfinished comparison"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(arguments, complaint, tmp_path):
    done = command(*arguments, "--results", tmp_path / "results", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("vtlearn: ")
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.json")), "nothing half-written"


def test_too_few_classes_are_refused(videos, tmp_path):
    shutil.copytree(videos / MOTIONS[0], tmp_path / "videos" / MOTIONS[0])
    with pytest.raises(DataError, match=r"1 usable class of 'label', needs at least two"):
        find_records({"folder": str(tmp_path / "videos")}, seed=0)


def test_clips_that_a_check_found_unusable_are_not_opened_again(videos, tmp_path):
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    before = find_records({"folder": str(folder)}, seed=0)
    check_folder(folder, manifest=folder / MANIFEST)
    after = find_records({"folder": str(folder)}, seed=0)
    assert len(before.records) == len(after.records) + 2
    assert {Path(each.name).stem for each in after.left_out} == {
        "cutcutcutcu_000000_000002",
        "emptyemptye_000000_000002",
    }


def test_a_folder_of_damaged_clips_is_refused(tmp_path):
    for label in ("a", "b"):
        for number in range(3):
            path = tmp_path / "videos" / label / f"{label}{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"not a video")
    comparison = Comparison(
        folder=tmp_path / "run", protocol=PROTOCOL, data={"folder": str(tmp_path / "videos")}, device="cpu"
    )
    with pytest.raises(DataError, match=r"none of .* clips could be read"):
        run_comparison(comparison, quiet=True)
    assert not (tmp_path / "run" / "compare.json").exists()


# ---------------------------------------------------------------------------- what train can, compare can

EVERYTHING = {
    "precision": "bfloat16",
    "accumulate": 2,
    "recompute": True,
    "workers": 1,
    "ema": 0.5,
    "mixup_alpha": 0.4,
    "cutmix_alpha": 0.4,
    "label_smoothing": 0.1,
    "randaugment": [2, 5],
    "drop_path": 0.1,
    "save_every": 2,
}


def run_one(name, folder, videos, *, processes=1, **training):
    protocol = replace(PROTOCOL, models=(name,), training=training)
    comparison = Comparison(folder=folder, protocol=protocol, data={"folder": str(videos)}, device="cpu")
    try:
        run_comparison(comparison, quiet=True, processes=processes)
    except DataError:  # processes can miss each other on a loaded machine; what was done is gone on with
        if processes == 1:
            raise
        run_comparison(comparison, quiet=True, processes=processes)
    return read_metrics(folder / name / "run" / "metrics.jsonl")


def test_a_contestant_takes_every_setting_of_a_training_run(videos, tmp_path):
    rows = run_one("vivit", tmp_path / "all", videos, **EVERYTHING)
    run = read_run(tmp_path / "all" / "vivit" / "run")
    assert {name: run.config[name] for name in EVERYTHING} == EVERYTHING
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    saved = load_checkpoint(tmp_path / "all" / "vivit" / "run" / "checkpoints" / "step_00000006")
    assert saved.ema is not None
    assert saved.config["checkpointing"] is True
    assert saved.config["drop_path"] == 0.1
    final = load_checkpoint(tmp_path / "all" / "vivit" / "model")
    assert all(torch.equal(final.weights[name], value) for name, value in saved.ema.items()), "what is tested"


@pytest.mark.parametrize("model", ["vivit", "vtn"])
def test_parts_and_processes_change_no_number_of_a_contestant(videos, tmp_path, model):
    """VTN's last layer has weights that never get a gradient, which processes must not wait for."""
    alone, parts, two = (
        run_one(model, tmp_path / name, videos, processes=processes, accumulate=accumulate)
        for name, processes, accumulate in (("alone", 1, 1), ("parts", 1, 2), ("two", 2, 1))
    )
    for other in (parts, two):
        assert [row["clips"] for row in other] == [row["clips"] for row in alone]
        for left, right in zip(alone, other, strict=True):
            assert left["loss"] == pytest.approx(right["loss"], abs=1e-4)
            assert left["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-3)


def test_a_contestant_cut_inside_an_epoch_goes_on_to_the_bit(videos, tmp_path):
    """Everything is on that draws; stopped after step 3 of 6 between two looks at the validation clips."""
    training = EVERYTHING | {"save_every": 1}
    run_one("vivit", tmp_path / "whole", videos, **training)
    job = json.loads((tmp_path / "whole" / "vivit" / "job.json").read_text())
    cut = tmp_path / "cut"
    with pytest.raises(Stopped, match="stopped after step 3 of 6, which is saved"):
        worker.run(job | {"folder": str(cut)}, lambda row: row["step"] == 3)
    assert not (cut / "result.json").exists()
    worker.run(job | {"folder": str(cut)})
    for name in ("weights", "optimizer", "ema"):
        left, right = (
            (root / "run" / "checkpoints" / "step_00000006" / f"{name}.safetensors").read_bytes()
            for root in (tmp_path / "whole" / "vivit", cut)
        )
        assert left == right, name
    whole = tmp_path / "whole" / "vivit"
    one, two = (json.loads((root / "result.json").read_text()) for root in (whole, cut))
    assert one["loss_curve"] == two["loss_curve"]
    assert one["test"] == two["test"]
