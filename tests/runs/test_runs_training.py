"""A run through the real command: killed, preempted and resumed to the bit; two processes equal one."""

import csv
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.runs.conftest import TINY, copy_clips
from vtlearn.errors import ArgumentError, CheckpointError, DataError
from vtlearn.models import create_model
from vtlearn.runs.folder import read_metrics, read_run
from vtlearn.runs.settings import TrainingSettings
from vtlearn.runs.training import build, settings_to_resume, train
from vtlearn.train.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from vtlearn.train.optim import describe_schedule
from vtlearn.train.recipes import recipe

ROOT = Path(__file__).parents[2]
SMALL = {
    "model": "timesformer_samples",
    "options": {"depth": 1, "embed_dim": 8, "num_heads": 2},
    "crop": 16,
    "num_frames": 2,
    "batch_size": 4,
    "device": "cpu",
}


def settings(folder, **more):
    return TrainingSettings.from_flat({**SMALL, "data": {"folder": str(folder)}, **more})


# ------------------------------------------------------------------------------------- killed and preempted

KILLED = """
# Imports once, then forks: each child is the command itself, ended by a signal at a moment of chance.
import json, os, random, signal, sys, time
from pathlib import Path
import torch
import vtlearn.runs.training
from vtlearn import cli

torch.set_num_threads(1)
root, command, ends = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])


def start(name, resume):
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(root / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        sys.argv = ["vtlearn", "train", *command, "--root", str(root), "--name", name]
        if resume:
            sys.argv = ["vtlearn", "train", "--root", str(root), "--name", name, "--resume", "--json"]
        try:
            cli.main()
        except SystemExit as ended:
            os._exit(ended.code or 0)
        os._exit(0)
    return child


def rows(name):
    path = root / name / "metrics.jsonl"
    return path.read_text().count("\\n") if path.exists() else 0


def code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


told = {"whole": code(start("whole", False)), "ends": []}
for kind, aim in ends:
    resume = (root / "broken" / "run.json").exists()
    child, wanted, deadline = start("broken", resume), rows("broken") + aim, time.monotonic() + 120
    while rows("broken") < wanted and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(random.random() * 0.03)
    os.kill(child, getattr(signal, kind))
    told["ends"].append(code(child))
told["last"] = code(start("broken", True))
print(json.dumps(told))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX")
def test_a_run_that_was_killed_and_preempted_equals_an_unbroken_one_to_the_bit(tmp_path, few_clips):
    chance = random.SystemRandom()
    ends = [("SIGKILL", chance.randrange(1, 4)), ("SIGTERM", chance.randrange(1, 3)), ("SIGKILL", 2)]
    command = [
        *TINY,
        *("--data", str(few_clips), "--steps", "14", "--save-every", "2", "--workers", "2", "--json"),
        *("--set", "dropout=0.2", "--drop-path", "0.3", "--randaugment", "2,9", "--mixup", "0.4"),
        *("--accumulate", "2", "--ema", "0.9", "--evaluate-every", "7"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(command), json.dumps(ends)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    log = (tmp_path / "broken.out").read_text()
    assert (told["whole"], told["last"]) == (0, 0), log
    assert told["ends"][0] == -9
    assert told["ends"][1] == 1, "a preempted run says that it is not done"
    assert "which is saved; go on with: vtlearn train --resume --name broken" in log
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for name in ("weights", "ema", "optimizer", "random"):
        left, right = (
            (root / "checkpoints" / "step_00000014" / f"{name}.safetensors").read_bytes()
            for root in (whole, broken)
        )
        assert left == right, (name, ends)
    numbers = [
        [
            (row["step"], row["loss"], row["grad_norm"], row["val_loss"])
            for row in read_metrics(root / "metrics.jsonl")
        ]
        for root in (whole, broken)
    ]
    assert numbers[0] == numbers[1], ends
    assert [row[0] for row in numbers[0]] == list(range(1, 15))
    with (broken / "metrics.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, 15))


# ------------------------------------------------------------------------------------------- two processes


def test_two_processes_under_torchrun_equal_one(tmp_path, few_clips):
    """Through the real command: 12 steps; every epoch ends with one clip for two processes."""
    recipe = {"optimizer": "sgd", "learning_rate": 0.05, "save_every": 12}
    (tmp_path / "run.json").write_text(json.dumps(recipe))
    command = ["-m", "vtlearn", "train", *TINY, "--data", str(few_clips), "--steps", "12", "--json"]
    command += ["--config", str(tmp_path / "run.json"), "--root", str(tmp_path)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *torchrun, *command, "--name", "two"],
        cwd=ROOT,
        timeout=500,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["processes"] == 2, "one of the two prints"
    alone = settings(few_clips, steps=12, **recipe)
    train(alone, tmp_path / "one", quiet=True)

    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert [row["clips"] for row in one] == [4, 4, 4, 1] * 3
    for left, right in zip(one, two, strict=True):
        assert left["clips"] == right["clips"]
        assert left["loss"] == pytest.approx(right["loss"], abs=1e-5)
        assert left["grad_norm"] == pytest.approx(right["grad_norm"], abs=1e-4)
    for name in ("val_top1", "val_loss"):
        assert one[-1][name] == pytest.approx(two[-1][name], abs=1e-5)
    saved = [load_checkpoint(tmp_path / name / "checkpoints" / "step_00000012") for name in ("one", "two")]
    for name, weights in saved[0].weights.items():
        torch.testing.assert_close(weights, saved[1].weights[name], atol=1e-5, rtol=1e-4)
    assert (len(saved[0].other_random), len(saved[1].other_random)) == (0, 1)
    assert not torch.equal(saved[1].random["torch"], saved[1].other_random[0]["torch"])
    assert json.loads((tmp_path / "two" / "result.json").read_text())["processes"] == 2


def test_no_option_of_the_command_looks_like_the_start_of_one_of_torchruns():
    """torchrun takes such options for its own, cut short, although they come after the module's name."""
    import typer
    from torch.distributed.run import get_args_parser

    from vtlearn import cli

    command = typer.main.get_command(cli.app).commands["train"]
    ours = [name for each in command.params for name in each.opts if name.startswith("--")]
    theirs = [name for action in get_args_parser()._actions for name in action.option_strings]
    clashes = [(one, other) for one in ours for other in theirs if other.startswith(one)]
    assert [one for one, _ in clashes] == ["--run"] * len(clashes)
    assert "--name" in ours, "which is --run by another name"


# --------------------------------------------------------------------------------------- what a run leaves


def test_a_run_leaves_what_it_was_and_what_it_found(tmp_path, few_clips):
    summary = train(
        settings(few_clips, steps=5, tensorboard=True, keep_last=1, save_every=2), tmp_path / "a", quiet=True
    )
    run = read_run(tmp_path / "a")
    assert run.config["data"] == {"folder": str(few_clips)}
    assert run.config["crop"] == 16
    assert {"torch", "cpu", "gpus"} <= set(run.machine)
    assert run.commit
    assert json.loads((tmp_path / "a" / "result.json").read_text()) == summary
    assert summary["clips"] == {"train": 13, "val": 5}
    rows = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [0, 0, 0, 0, 1]
    assert [row["val_top1"] is None for row in rows] == [True, True, True, False, False]
    with (tmp_path / "a" / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in table] == [row["loss"] for row in rows]
    assert list((tmp_path / "a" / "tensorboard").iterdir())
    kept = [path.name for path in list_checkpoints(tmp_path / "a" / "checkpoints")]
    assert kept[-1] == "step_00000005"
    assert len(kept) <= 2, "the newest, and the best where that is another"


def test_settings_survive_json_and_name_what_is_wrong():
    flat = {**SMALL, "data": {"samples_seed": 0}, "randaugment": [2, 9], "ema": 0.9}
    once = TrainingSettings.from_flat(flat)
    assert TrainingSettings.from_flat(once.flat()) == once
    assert once.settled_recipe.randaugment == (2, 9)
    for bad, named in [
        ({"batch_sise": 4}, "setting must be one of .*batch_size.*got 'batch_sise'"),
        ({"batch_size": "four"}, "batch_size must be of type int"),
        ({"batch_size": True}, "batch_size must be of type int"),
        ({"steps": 1.5}, "steps must be of type int or nothing"),
        ({"ema": 1.0}, "ema must be in"),
        ({"precision": "float8"}, "precision"),
        ({"shift": -1}, "shift must be 0 or more, got -1"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number, got inf"),
        ({"mixup_alpha": -1.0}, "mixup_alpha must be 0 or more, got -1.0"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0, got 0.0"),
        ({"workers": -1}, "workers must be 0 or more, got -1"),
        ({"accumulate": 9}, "accumulate must be at most batch_size = 4"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"recipe": "timesformer_k4"}, "recipe must be one of"),
        ({"model": "timesformer_bass"}, "timesformer_bass"),
    ]:
        with pytest.raises(ArgumentError, match=named):
            TrainingSettings.from_flat(flat | bad)


def test_steps_stretch_or_shrink_the_recipes_schedule():
    for name in ("samples", "timesformer_k400", "vtn_k400", "vivit_k400"):
        chosen = recipe(name)
        schedule, steps = chosen.build_schedule(7, 60)
        full, total = chosen.build_schedule(100)
        assert steps == 60
        assert total == 100 * chosen.epochs
        for share in (0.0, 0.5, 0.95):
            step = round(share * 60)
            assert schedule(step) == pytest.approx(full(round(step / 60 * total)), abs=0.35)
    one, _ = recipe("samples").build_schedule(7, 1)
    assert one(0) > 0


def test_a_warm_up_in_steps_is_that_long_and_at_most_half_of_all():
    for steps, wanted in ((2200, 100), (150, 75), (1, 0)):
        schedule, _ = recipe("comparison").build_schedule(80, steps)
        assert describe_schedule(schedule)["arguments"] == {"total_steps": steps, "warmup_steps": wanted}


# --------------------------------------------------------------------------------------------- other starts


def test_a_run_starts_from_an_image_model_or_from_one_of_its_kind(tmp_path, few_clips):
    sizes = {"depth": 1, "embed_dim": 8, "num_heads": 2}
    image = create_model("vit_samples", image_size=16, num_classes=5, pooling="token", **sizes)
    save_checkpoint(tmp_path / "vit", step=1, model=image, model_name="vit_samples", config=image.config)
    asked = settings(few_clips, steps=2, start=str(tmp_path / "vit"))
    fresh = build(asked, 2)
    assert torch.equal(fresh.patch_embed.proj.weight, image.patch_embed.proj.weight)
    assert torch.equal(fresh.blocks[0].attn.qkv.weight, image.blocks[0].attn.qkv.weight)

    train(asked, tmp_path / "first", quiet=True)
    saved = load_checkpoint(list_checkpoints(tmp_path / "first" / "checkpoints")[-1])
    again = build(settings(few_clips, steps=2, start=str(tmp_path / "first")), 3)
    assert torch.equal(again.blocks[0].mlp.fc1.weight, saved.weights["blocks.0.mlp.fc1.weight"])
    assert again.head.weight.shape == (3, 8), "a head for other classes is fresh"
    with pytest.raises(CheckpointError, match="cannot be the start of this ViViT: it is a TimeSformer"):
        build(TrainingSettings.from_flat({"model": "vivit_samples", "start": str(tmp_path / "first")}), 2)
    with pytest.raises(CheckpointError, match=r"cannot be the start of this TimeSformer: '.*' does not fit"):
        build(settings(few_clips, steps=2, start=str(tmp_path / "first"), options={"embed_dim": 16}), 2)


@pytest.mark.parametrize("name", ["vtn_samples", "vivit_samples", "frame_gru_samples", "vtn_samples_causal"])
def test_every_kind_of_model_trains(tmp_path, few_clips, name):
    flat = {"model": name, "crop": 16, "num_frames": 4, "batch_size": 4, "device": "cpu", "steps": 2}
    told = TrainingSettings.from_flat({**flat, "data": {"folder": str(few_clips)}})
    assert train(told, tmp_path / "a", quiet=True)["steps"] == 2


# -------------------------------------------------------------------------------------------- bad clips


def test_a_clip_that_cannot_be_read_shifts_nothing_and_is_named(tmp_path):
    folder = copy_clips(tmp_path / "clips", train=5, val=2)
    broken = sorted((folder / "train").rglob("*.mp4"))[1]
    broken.write_bytes(broken.read_bytes()[:200])
    summary = train(settings(folder, steps=10, batch_size=1, save_every=10), tmp_path / "a", quiet=True)
    rows = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert sum(row["loss"] == 0 for row in rows) == 2, "once an epoch there is nothing to learn from"
    assert summary["could_not_be_read"] == [str(broken)]


def test_no_readable_clip_is_said_before_anything_is_written(tmp_path):
    folder = copy_clips(tmp_path / "clips", train=4, val=2)
    for path in (folder / "train").rglob("*.mp4"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 4 training clips could be read; the first: .*empty file"):
        train(settings(folder, steps=2), tmp_path / "a", quiet=True)
    assert not (tmp_path / "a").exists()


def test_a_resume_with_other_settings_or_clips_is_refused_and_overwrites_nothing(tmp_path, few_clips):
    folder = copy_clips(tmp_path / "clips", train=6, val=2)
    train(settings(folder, steps=2), tmp_path / "a", quiet=True)
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    for given, named in [
        ({"learning_rate": 0.5}, r"learning_rate = 0\.001, and 0\.5 is asked for"),
        ({"seed": 9}, "seed = 0, and 9 is asked for"),
        ({"options": {"depth": 2}}, "options"),
        ({"data": {"folder": "elsewhere"}}, "elsewhere"),
    ]:
        with pytest.raises(CheckpointError, match=named):
            settings_to_resume(tmp_path / "a", given)
    assert settings_to_resume(tmp_path / "a", {"workers": 1, "learning_rate": 0.001}).workers == 1
    next((folder / "train").rglob("*.mp4")).unlink()
    with pytest.raises(CheckpointError, match="clips_sha256"):
        train(settings_to_resume(tmp_path / "a", {}), tmp_path / "a", resume=True, quiet=True)
    with pytest.raises(ArgumentError, match="a new name, or go on with it"):
        train(settings(few_clips, steps=2), tmp_path / "a", quiet=True)
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()} == before
