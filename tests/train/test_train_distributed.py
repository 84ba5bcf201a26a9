"""Two processes train and count like one: uneven last batches, a process without clips, accumulation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vtlearn.data.batches import share_of_batch
from vtlearn.errors import ArgumentError
from vtlearn.train.distributed import process_group, unwrap

ROOT = Path(__file__).parents[2]

PROGRAM = """
# Trains once alone, then forks two processes that meet over gloo and train on shares of the same batches.
import json, os, sys
from pathlib import Path
import torch
from torch import nn
from vtlearn.train.distributed import across_processes, process_group, rank, unwrap, world_size
from vtlearn.data.batches import share_of_batch
from vtlearn.train.evaluate import evaluate
from vtlearn.train.loop import train_steps
from vtlearn.train.optim import adamw, sgd

folder = Path(sys.argv[1])
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(5)
clips = torch.randn(13, 7, generator=draw, dtype=torch.float64)
labels = torch.randint(0, 3, (13,), generator=draw)
EPOCH = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12]]   # the last batch has fewer clips than processes


def local(batches):
    for numbers in batches:
        mine, filler = share_of_batch(numbers, rank(), world_size())
        yield {"clip": clips[mine], "labels": {"motion": labels[mine]}, "filler": filler}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, 11), nn.GELU(), nn.Linear(11, 3))

    def forward(self, clips):
        return {"motion": self.layers(clips)}


def train(name, device):
    torch.manual_seed(0)
    told = {}
    for kind, build in (("sgd", sgd), ("adamw", adamw)):
        for accumulate in (1, 2):
            model = across_processes(Model().double(), device)
            batches = EPOCH * 8
            steps = train_steps(model, local(batches), optimizer=build(model, 0.05), accumulate=accumulate,
                                clip_norm=0.7)
            facts = [[step.loss, step.grad_norm, step.clips] for step in steps]
            weights = [value for p in unwrap(model).parameters() for value in p.flatten().tolist()]
            counted = evaluate(model, local(EPOCH))["motion"]
            told[f"{kind}/{accumulate}"] = {
                "steps": facts, "weights": weights, "confusion": counted.confusion.tolist(),
                "loss": counted.loss, "top5": counted.top5, "clips": counted.clips,
            }
    (folder / f"{name}.json").write_text(json.dumps(told))


train("alone", torch.device("cpu"))
children = []
for number in (0, 1):
    child = os.fork()
    if child == 0:
        os.environ.update(RANK=str(number), WORLD_SIZE="2", LOCAL_RANK=str(number))
        with process_group(torch.device("cpu"), init_method=f"file://{folder}/meeting") as device:
            train(f"process{number}", device)
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks its processes")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_two_processes_equal_one(tmp_path):
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, check=True, timeout=300)
    alone, first, second = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("alone", "process0", "process1")
    )
    for setting, expected in alone.items():
        assert len(expected["steps"]) >= 10
        for told in (first[setting], second[setting]):
            for (loss, norm, clips), (loss_, norm_, clips_) in zip(
                told["steps"], expected["steps"], strict=True
            ):
                assert (loss, norm) == pytest.approx((loss_, norm_), abs=1e-9), setting
                assert clips == clips_
            assert told["weights"] == pytest.approx(expected["weights"], abs=1e-9), setting
            assert told["confusion"] == expected["confusion"]
            assert (told["clips"], told["top5"]) == (13, 1.0)
            assert told["loss"] == pytest.approx(expected["loss"], abs=1e-9)
    assert first == second  # to the bit: both hold the same sums
    assert [step[2] for step in alone["sgd/1"]["steps"][:3]] == [6, 6, 1]


@pytest.mark.parametrize("clips", [1, 2, 5, 6, 7, 23])
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_shares_cover_a_batch_once(clips, processes):
    shares = [share_of_batch(list(range(clips)), process, processes) for process in range(processes)]
    real = [part for part, filler in shares if not filler]
    assert [clip for part in real for clip in part] == list(range(clips))
    assert max(map(len, real)) - min(map(len, real)) <= 1
    assert all(part == [0] for part, filler in shares if filler)
    assert sum(filler for _, filler in shares) == max(0, processes - clips)


def test_shares_that_cannot_be_are_named():
    with pytest.raises(ArgumentError, match="process must be from 0 to 1, got 2"):
        share_of_batch([1], 2, 2)
    with pytest.raises(ArgumentError, match="clips"):
        share_of_batch([], 0, 2)


def test_half_of_the_variables_is_an_error(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ArgumentError, match="WORLD_SIZE"), process_group(torch.device("cpu")):
        pass


def test_a_compiled_model_is_unwrapped():
    model = nn.Linear(2, 2)
    assert unwrap(torch.compile(model)) is model
