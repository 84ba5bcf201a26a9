"""What must not move while the walls do: batches, losses, evaluations, old checkpoints, the commands' help.

A number that changes here needs a reason in the commit that changes it; ``make_traces.py`` takes them anew.
Losses are compared to the bit on the processor they were taken on, elsewhere within rounding.
"""

import shutil

import pytest
import torch
import traces

from vtlearn.runs.training import settings_to_resume, train
from vtlearn.study.protocol import CONTESTANTS
from vtlearn.train.checkpoint import list_checkpoints

RECORD = traces.record()
SAME_MACHINE = RECORD["machine"] == traces.machine()
NAMES = [each.name for each in CONTESTANTS]


def agree(found, wanted, tolerance):
    """To the bit on the machine of the record; elsewhere rounding adds up from step to step."""
    if SAME_MACHINE:
        assert found == wanted
    else:
        assert list(map(float.fromhex, found)) == pytest.approx(
            list(map(float.fromhex, wanted)), rel=tolerance
        )


@pytest.mark.parametrize("name", ["image_start", *NAMES])
def test_the_comparison_sees_and_loses_what_it_did(name, clips, tmp_path, monkeypatch):
    found = traces.compared(name, tmp_path, clips, monkeypatch)
    wanted = RECORD["compared"][name]
    assert found["inputs"] == wanted["inputs"], "another clip, frame, shift or scale"
    agree(found["losses"], wanted["losses"], 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_training_sees_and_loses_what_it_did(name, tmp_path, monkeypatch):
    found = traces.trained(name, tmp_path, monkeypatch)
    wanted = RECORD["trained"][name]
    assert found["inputs"] == wanted["inputs"], "another clip, frame, crop or scale"
    agree(found["losses"], wanted["losses"], 1e-3)
    agree([found["val_loss"]], [wanted["val_loss"]], 1e-2)
    if SAME_MACHINE:
        assert found["val_top1"] == wanted["val_top1"]


@pytest.mark.parametrize("name", traces.SHIPPED)
def test_the_shipped_checkpoints_answer_as_they_did(name):
    found = traces.evaluated(name)
    for labelling, wanted in RECORD["evaluated"][name].items():
        here, there = (torch.tensor(each["confusion"]) for each in (found[labelling], wanted))
        moved = int((here - there).abs().sum()) // 2
        assert moved <= (0 if SAME_MACHINE else 2), "clips that are answered otherwise"
        assert abs(found[labelling]["top5_correct"] - wanted["top5_correct"]) <= moved
        agree([found[labelling]["loss"]], [wanted["loss"]], 1e-5)


@pytest.mark.parametrize("path", sorted(traces.OLD.iterdir()), ids=lambda path: path.name)
def test_checkpoints_of_the_first_edition_load(path):
    assert traces.answers(path) == pytest.approx(RECORD["old"][path.name], abs=1e-5)


def test_a_run_of_the_first_edition_goes_on(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(traces.OLD / "train_run", run)
    summary = train(settings_to_resume(run, {"device": "cpu"}), run, resume=True, quiet=True)
    assert (summary["steps"], summary["clips"]) == (3, {"train": 1280, "val": 192})
    assert list_checkpoints(run / "checkpoints")[-1].name == "step_00000003"


def test_every_command_says_of_itself_what_it_did():
    wanted = {path.stem.replace("_", " "): path.read_text() for path in traces.HELP.iterdir()}
    found = {words.replace("_", " "): text for words, text in traces.helped().items()}
    assert sorted(found) == sorted(wanted)
    for words, text in found.items():
        assert text == wanted[words], words
