"""The command line as a program sees it: JSON where asked for, exit codes, one line for bad input."""

import json
import shutil
import sys

import pytest
import typer

from vtlearn import cli
from vtlearn.data.synthetic import SampleSet, bundled_samples


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; returns (exit code, output, complaint)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vtlearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


def test_doctor_says_what_is_there(run):
    code, out, _ = run("doctor", "--json")
    found = {each["name"]: each["state"] for each in json.loads(out)}
    assert found["python"] == found["torch"] == found["samples"] == "ok"
    assert code == (1 if "missing" in found.values() else 0)


def test_models_lists_every_preset_with_its_cost(run):
    code, out, _ = run("models", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert set(rows["vivit_samples"]) == {
        "name", "parameters", "multiply_adds", "num_frames", "image_size", "source",
    }  # fmt: skip
    assert rows["timesformer_base"]["parameters"] == 121_566_352
    assert rows["vit_base"]["num_frames"] is None


def test_cost_tells_with_and_without_attention(run):
    code, out, _ = run("cost", "timesformer_base", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["multiply_adds"] == facts["linear"] + facts["attention"]
    assert facts["multiply_adds"] == pytest.approx(195.8e9, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["cost", "timesformer_bass"], "timesformer_bass"),
        (["reset", "77"], "lesson must be one of"),
        (["samples", "check", "nowhere"], "no samples here"),
        (["samples", "make", "--seed", "-1"], "seed must be"),
        (["kinetics", "check", "nowhere"], "nowhere: not a folder"),
        (["kinetics", "subset", "mini11", "--train", "a", "--val", "b", "--out", "c"], "name must be one of"),
        (["compare", "--data", "nowhere"], "data must be a folder of videos"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(run, arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("vtlearn: ")
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_an_unknown_option_is_refused_with_two(run):
    code, _, err = run("compare", "--momentum", "3")
    assert code == 2
    assert "--momentum" in err


@pytest.fixture
def few_samples(tmp_path):
    """A folder of samples with three clips."""
    samples = SampleSet.load(bundled_samples())
    raw = json.loads((samples.root / "manifest.json").read_text())
    raw["clips"] = raw["clips"][:3]
    for row in raw["clips"]:
        (tmp_path / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(samples.root / row["path"], tmp_path / row["path"])
    (tmp_path / "manifest.json").write_text(json.dumps(raw))
    return tmp_path, raw["clips"]


def test_samples_check_ends_with_one_if_a_clip_differs(run, few_samples):
    root, clips = few_samples
    assert run("samples", "check", root)[0] == 0
    (root / clips[1]["path"]).write_bytes(b"changed")
    code, out, _ = run("samples", "check", root, "--json")
    assert code == 1
    assert json.loads(out) == {
        "clips": 3,
        "wrong": [f"{clips[1]['path']}: its bytes differ from the manifest"],
    }


def test_kinetics_check_names_every_file(run, few_samples):
    root, clips = few_samples
    (root / "train" / "empty.mp4").touch()
    code, out, _ = run("kinetics", "check", root, "--json")
    found = {each["path"]: each["status"] for each in json.loads(out)["clips"]}
    assert code == 1
    assert {row["path"] for row in clips} <= set(found)
    assert found["train/empty.mp4"] not in ("present", "unverified")


def test_annotations_with_a_missing_column_are_named(run, few_samples, tmp_path):
    root, _ = few_samples
    (root / "annotations").mkdir()
    (root / "annotations" / "train.csv").write_text("label,time_start\nwave,0\n")
    code, _, err = run("compare", "--data", root, "--results", tmp_path / "results")
    assert code == 2
    assert "train.csv" in err
    assert "youtube_id" in err
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").rglob("*.json"))


def test_progress_as_json_lists_every_exercise(run):
    code, out, _ = run("progress", "--json")
    ids = [each["id"] for each in json.loads(out)]
    assert code == 0
    assert ids == sorted(ids)
    assert "00.1" in ids


def every_parameter(command, name="vtlearn"):
    for parameter in command.params:
        yield name, parameter
    for below, child in getattr(command, "commands", {}).items():
        yield from every_parameter(child, f"{name} {below}")


def test_help_shows_what_it_says():
    """Square brackets are markup to the help's renderer, which drops them with what they hold."""
    described = [
        (name, p) for name, p in every_parameter(typer.main.get_command(cli.app)) if getattr(p, "help", None)
    ]
    assert len(described) > 100
    assert [(name, p.name, p.help) for name, p in described if "[" in p.help] == []
