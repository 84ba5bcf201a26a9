"""Training's commands as a user types them: what they print and leave, and one clear line for bad input."""

import json
import shutil
import sys

import pytest
import torch

from tests.runs.conftest import TINY, copy_clips
from vtlearn import cli
from vtlearn.data.decode import decode_all
from vtlearn.models.timesformer import TimeSformer
from vtlearn.runs.folder import MetricsFollower, read_metrics
from vtlearn.train.checkpoint import list_checkpoints, load_checkpoint


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["vtlearn", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; returns (exit code, output, complaint)."""
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return copy_clips(tmp_path_factory.mktemp("clips"), train=6, val=4)


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    """A run of three steps; tests that change something work on a copy."""
    from _pytest.monkeypatch import MonkeyPatch

    root = tmp_path_factory.mktemp("trained")
    with MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vtlearn", "train", *TINY, "--data", str(clips), "--steps", "3"])
        sys.argv += ["--root", str(root), "--name", "a", "--json"]
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
    return root


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def is_one_line(code, err, said):
    assert code == 2, err
    lines = err.strip().splitlines()
    assert lines[-1].startswith("vtlearn: ")
    assert said in lines[-1], lines[-1]
    assert "Traceback" not in err
    return [line for line in lines if line.startswith("vtlearn: ")] == lines[-1:]


# ---------------------------------------------------------------------------------------- what they do


def test_train_evaluate_predict_and_runs_in_a_row(run, clips, tmp_path):
    root = tmp_path / "runs"
    settings = tmp_path / "settings.toml"
    settings.write_text('recipe = "samples"\nlearning_rate = 0.002\nmixup_alpha = 0.2\n')
    command = ["train", *TINY, "--data", clips, "--config", settings, "--steps", "3", "--root", root]
    code, out, err = run(*command, "--name", "one", "--learning-rate", "0.004")
    assert code == 0, err
    assert out.splitlines()[0].startswith("timesformer_samples by the recipe samples: 3 steps on 6 clips")
    assert "clips/s" in err, "the progress bar tells the rate"
    assert "loss" in err
    assert "lr" in err
    config = json.loads((root / "one" / "run.json").read_text())["config"]
    assert (config["learning_rate"], config["mixup_alpha"]) == (0.004, 0.2), "options go before the file"

    code, out, _ = run(*command, "--name", "two", "--json")
    assert json.loads(out)["steps"] == 3
    code, out, _ = run("runs", "--root", root, "--json")
    assert [row["run"] for row in json.loads(out)] == ["one", "two"]
    code, out, _ = run("runs", "one", "two", "--root", root)
    assert code == 0
    assert "learning_rate" in out.splitlines()[0]
    assert "mixup_alpha" not in out.splitlines()[0], "what both share is left out"

    code, out, err = run(
        "evaluate", root / "one", "--data", clips, "--device", "cpu", "--json", "--crops", "3"
    )
    assert code == 0, err
    told = json.loads(out)
    assert json.loads((root / "one" / "evaluation_val.json").read_text()) == told
    assert told["coverage"]["evaluated"] == 4
    assert "1 clips × 3 crops" in told["views"]

    video = next((clips / "val").rglob("*.mp4"))
    overlay = tmp_path / "overlay.mp4"
    code, out, err = run("predict", video, "--model", root / "one", "--overlay", overlay, "--device", "cpu")
    assert code == 0, err
    assert "█" in out
    assert {line.split("  ")[0].strip() for line in out.splitlines()[:2]} == {"moving away", "sliding left"}
    assert len(decode_all(overlay)) == 2


def test_a_run_in_the_usual_folder_is_called_by_its_name(run, trained, clips, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "training").symlink_to(trained)
    monkeypatch.chdir(tmp_path)
    video = next(clips.rglob("*.mp4"))
    code, out, err = run("predict", video, "--model", "a", "--device", "cpu", "--json")
    assert code == 0, err
    assert len(json.loads(out)["top"]) == 2
    is_one_line(*run("predict", video, "--model", "b", "--device", "cpu")[::2], "b: no such file or folder")


def test_vtn_sees_whole_videos_by_command(run, clips, tmp_path):
    sizes = ["--crop", "16", "--num-frames", "4", "--batch-size", "4", "--device", "cpu", "--steps", "1"]
    more = ["--set", "depth=1", "--set", "num_positions=9"]
    code, _, err = run(
        "train", "vtn_samples", *sizes, *more, "--data", clips, "--root", tmp_path, "--name", "v"
    )
    assert code == 0, err
    video = next((clips / "val").rglob("*.mp4"))
    whole = ["--model", tmp_path / "v", "--way", "whole", "--device", "cpu", "--json"]
    answers = {}
    for mode in ("end_to_end", "chunked", "features"):
        kept = ["--features", tmp_path / "kept.npy"] if mode == "features" else []
        code, out, err = run("predict", video, *whole, "--mode", mode, "--chunk", "5", *kept)
        assert code == 0, err
        assert "features: 24 frames × 64 numbers × 4 bytes = 0.01 MB (0.3 KB a frame)" in err
        answers[mode] = json.loads(out)
        assert answers[mode]["notes"] == [
            "frame indices up to 23 interpolated in the 9 positions that were trained"
        ]
    shares = [each["probability"] for answer in answers.values() for each in answer["top"][:1]]
    assert max(shares) - min(shares) < 1e-5
    assert (tmp_path / "kept.npy").stat().st_size == 24 * 64 * 4 + 128
    code, _, err = run("predict", video, *whole, "--positions", "published")
    assert code == 0, "the preset for the samples interpolates by itself"
    code, out, err = run(
        "evaluate", tmp_path / "v", "--data", clips, "--whole-video", "--device", "cpu", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["views"] == "whole videos, at most 250 frames"
    assert json.loads(out)["notes"] == ["frame indices interpolated in the 9 positions that were trained"]
    saved = load_checkpoint(list_checkpoints(tmp_path / "v" / "checkpoints")[-1])
    assert 10 < saved.card["trained_positions"] <= 24, "as far as the batches' indices reached"
    told = ["--trained-positions", "5"]
    code, out, err = run("predict", video, *whole, *told)
    assert code == 0, err
    assert json.loads(out)["notes"] == [
        "frame indices up to 23 interpolated in the 5 positions that were trained"
    ]


def test_a_resumed_run_goes_on_with_its_own_settings(run, trained, tmp_path, clips):
    root = shutil.copytree(trained, tmp_path / "runs")
    code, out, err = run("train", "--resume", "--name", "a", "--root", root, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told == json.loads((trained / "a" / "result.json").read_text()), "it was done already"
    assert len(read_metrics(root / "a" / "metrics.jsonl")) == 3


def test_a_restart_by_torchrun_goes_on(run, clips, trained, tmp_path, monkeypatch):
    root = shutil.copytree(trained, tmp_path / "runs")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    command = ["train", *TINY, "--data", clips, "--steps", "3", "--root", root, "--json"]
    code, out, err = run(*command, "--name", "a")
    assert code == 0, err
    assert json.loads(out) == json.loads((trained / "a" / "result.json").read_text())
    code, out, err = run(*command, "--name", "new")
    assert code == 0, err
    assert json.loads(out)["run"] == "new"


def test_profile_tells_every_phase_and_writes_a_trace(run, clips, tmp_path):
    trace = tmp_path / "trace.json"
    command = ["profile", *TINY, "--data", clips, "--steps", "2", "--trace", trace]
    code, out, err = run(*command, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert list(told["seconds"]) == ["data", "transfer", "forward", "backward", "optimiser"]
    assert told["predicted_bytes"]["activations"] > 0
    assert json.loads(trace.read_text())["traceEvents"]


def test_new_rows_are_followed_as_they_come(trained):
    follower = MetricsFollower(trained / "a" / "metrics.jsonl")
    assert [row["step"] for row in follower.new_rows()] == [1, 2, 3]
    assert follower.new_rows() == []


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "model must be a preset"),
        (["train", "timesformer_bass"], "timesformer_bass"),
        (["train", "vit_samples"], "a model of clips"),
        (["train", "vtn_samples", "--device", "cuda:7"], "device must be present on this machine"),
        (["train", "vtn_samples", "--device", "abacus"], "device must be"),
        (["train", "vtn_samples", "--data", "nowhere"], "data must be a folder of videos, got 'nowhere'"),
        (["train", "vtn_samples", "--labelling", "taste"], "no labelling 'taste'"),
        (["train", "vtn_samples", "--recipe", "stew"], "recipe must be one of"),
        (["train", "vtn_samples", "--set", "depth"], "set must be name=value"),
        (["train", "vtn_samples", "--set", "dept=2"], "field must be one of"),
        (["train", "vtn_samples", "--precision", "float8"], "precision must be one of"),
        (["train", "vtn_samples", "--randaugment", "2"], "randaugment must be two whole numbers"),
        (["train", "vtn_samples", "--config", "no.json"], "no.json: no readable settings"),
        (["train", "vtn_samples", "--resume", "--name", "none"], "a run to go on with; there is none"),
        (["train", "vtn_samples", "--resume"], "run must be the name of a run"),
        (["train", "i3d_resnet50", "--recompute", "--num-frames", "8"], "no blocks that recompute"),
        (["evaluate", "nothing/here/at/all"], "no such file or folder"),
        (["predict", "no.mp4", "--model", "nothing/here/at/all"], "no such file or folder"),
        (["profile", "vtn_samples", "--device", "cuda:7"], "device must be present"),
        (["runs", "none"], "cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*arguments)
    assert is_one_line(code, err, said), err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"batch_size": "four"}', "batch_size must be of type int, got 'four'"),
        ("a.toml", "batch_sise = 4", "got 'batch_sise'"),
        ("a.json", "[1, 2]", "a JSON object or a TOML table"),
        ("a.toml", "x = = 1", "no readable settings"),
    ],
)
def test_settings_files_are_checked(run, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    code, _, err = run("train", "vtn_samples", "--config", tmp_path / name, "--root", tmp_path / "r")
    assert is_one_line(code, err, said)
    assert not (tmp_path / "r").exists()


def bend(path):
    whole = path.read_bytes()
    path.write_bytes(
        whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 4]) + whole[len(whole) // 2 + 1 :]
    )


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("harm", "name", "said"),
    [
        (bend, "weights.safetensors", "weights.safetensors is not as it was written"),
        (bend, "checkpoint.json", "checkpoint.json is not as it was written"),
        (cut, "optimizer.safetensors", "optimizer.safetensors is not as it was written"),
        (lambda path: path.unlink(), "random.safetensors", "random.safetensors is missing"),
    ],
)
def test_a_harmed_checkpoint_is_neither_resumed_nor_used_nor_overwritten(
    run, trained, tmp_path, harm, name, said, clips
):
    root = shutil.copytree(trained, tmp_path / "runs")
    harm(list_checkpoints(root / "a" / "checkpoints")[-1] / name)
    before = contents(root)
    code, _, err = run("train", "--resume", "--name", "a", "--root", root, "--json")
    assert is_one_line(code, err, said)
    code, _, err = run("evaluate", root / "a", "--data", clips, "--which", "last")
    assert is_one_line(code, err, said)
    assert contents(root) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["vtn_samples"], "model = 'timesformer_samples', and 'vtn_samples' is asked for"),
        (["--learning-rate", "0.5"], "learning_rate = 0.001, and 0.5 is asked for"),
        (["--set", "depth=2"], "options = "),
        (["--steps", "9"], "steps = 3, and 9 is asked for"),
        (["--samples-seed", "0"], "data = "),
        (["--ema", "0.9"], "ema = None, and 0.9 is asked for"),
    ],
)
def test_a_resume_with_other_settings_is_refused(run, trained, tmp_path, more, said):
    before = contents(trained)
    code, _, err = run("train", *more, "--resume", "--name", "a", "--root", trained, "--json")
    assert is_one_line(code, err, said)
    assert contents(trained) == before


def test_a_checkpoint_of_another_version_is_refused(run, trained, tmp_path):
    from vtlearn.train import checkpoint as module

    root = shutil.copytree(trained, tmp_path / "runs")
    folder = list_checkpoints(root / "a" / "checkpoints")[-1]
    facts = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(facts | {"format": 9, "library_version": "9.9"}))
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    sums = {name: module._digest(folder / name) for name in names}
    (folder / "SHA256SUMS").write_text(module._sums(sums))
    code, _, err = run("train", "--resume", "--name", "a", "--root", root, "--json")
    assert is_one_line(code, err, "has format 9 (vtlearn 9.9)")


def test_a_run_of_that_name_is_not_overwritten(run, trained, clips):
    before = contents(trained)
    code, _, err = run("train", *TINY, "--data", clips, "--root", trained, "--name", "a")
    assert is_one_line(code, err, "a new name, or go on with it: --resume")
    assert contents(trained) == before


def test_full_memory_names_the_batch_and_what_to_lower(run, clips, tmp_path, monkeypatch, trained):
    def full(self, clips, frame_index=None):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(TimeSformer, "forward", full)
    said = "ran out of memory on a batch of 4 clips of 2 frames at 16 × 16"
    place = ["--data", clips, "--device", "cpu", "--json"]
    code, _, err = run("train", *TINY, *place, "--steps", "2", "--root", tmp_path, "--name", "b")
    assert is_one_line(code, err, said + ": lower the batch")
    code, _, err = run("evaluate", trained / "a", *place, "--out", tmp_path / "e")
    assert is_one_line(code, err, said + " with 1 views: lower the batch")
    assert not (tmp_path / "e").exists()


def test_clips_that_cannot_be_read_leave_an_empty_set(run, tmp_path, trained):
    folder = copy_clips(tmp_path / "clips", train=3, val=2)
    for path in folder.rglob("*.mp4"):
        path.write_bytes(b"")
    code, _, err = run("train", *TINY, "--data", folder, "--root", tmp_path / "runs", "--name", "a")
    assert is_one_line(code, err, "none of 3 training clips could be read")
    assert not (tmp_path / "runs").exists()
    code, _, err = run("evaluate", trained / "a", "--data", folder, "--device", "cpu", "--json")
    assert is_one_line(code, err, "none of 2 clips could be read")
    video = next(folder.rglob("*.mp4"))
    code, _, err = run("predict", video, "--model", trained / "a", "--device", "cpu")
    assert is_one_line(code, err, "empty file")


def test_a_disk_that_is_full_leaves_the_last_checkpoint(run, trained, tmp_path, monkeypatch, clips):
    from vtlearn.train import checkpoint as module

    seen = []
    real = module.save_file

    def fills_up(tensors, path, *more):
        seen.append(path)
        if len(seen) > 4:
            raise OSError(28, "No space left on device")
        real(tensors, path, *more)

    monkeypatch.setattr(module, "save_file", fills_up)
    command = ["train", *TINY, "--data", clips, "--steps", "4", "--save-every", "1", "--root", tmp_path]
    code, _, err = run(*command, "--name", "b", "--json")
    assert is_one_line(code, err, "could not be written (No space left on device); nothing was overwritten")
    assert [path.name for path in list_checkpoints(tmp_path / "b" / "checkpoints")] == ["step_00000001"]
    monkeypatch.setattr(module, "save_file", real)
    code, _, err = run("train", "--resume", "--name", "b", "--root", tmp_path, "--json")
    assert code == 0, err
    assert [row["step"] for row in read_metrics(tmp_path / "b" / "metrics.jsonl")] == [1, 2, 3, 4]
