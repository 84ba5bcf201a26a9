"""Checkpoints: all comes back, nothing bent is accepted, nothing good is overwritten, resuming is exact."""

# ruff: noqa: NPY002 - the global NumPy state is what a checkpoint keeps

import copy
import dataclasses
import json
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.train import checkpoint as module
from vtlearn.train.checkpoint import (
    best_checkpoint,
    get_random_state,
    latest_checkpoint,
    list_checkpoints,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
    set_random_state,
    step_folder,
)
from vtlearn.train.loop import gradient_scaler, train_steps
from vtlearn.train.mix import MixClips
from vtlearn.train.optim import adamw, describe_schedule, sgd, warmup_cosine

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 11
    tubelet_size: tuple[int, int, int] = (2, 16, 16)


def tiny(width=11, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 3))


def batches(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(5, 7, generator=draw), torch.randint(0, 3, (5,), generator=draw)) for _ in range(count)
    ]


def trained(build=adamw, steps=3):
    model = tiny()
    optimizer = build(model, 0.05)
    list(train_steps(model, batches(steps), optimizer=optimizer))
    return model, optimizer


def save(folder, model, step=3, **extra):
    return save_checkpoint(folder, step=step, model=model, model_name="tiny", config=Config(), **extra)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("build", [adamw, sgd])
def test_everything_comes_back(tmp_path, build):
    model, optimizer = trained(build)
    ema = copy.deepcopy(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    schedule = describe_schedule(partial(warmup_cosine, total_steps=9))
    save(
        tmp_path / "a",
        model,
        optimizer=optimizer,
        ema=ema,
        scaler=scaler,
        schedule=schedule,
        sampler={"epoch": 2, "batches": 3},
        settings={"seed": 5},
        metrics={"top1": 0.5},
    )
    expected = torch.rand(3)
    loaded = load_checkpoint(tmp_path / "a", model_name="tiny", config=Config(), schedule=schedule)
    assert (loaded.step, loaded.sampler, loaded.metrics) == (3, {"epoch": 2, "batches": 3}, {"top1": 0.5})
    assert Config(**{**loaded.config, "tubelet_size": tuple(loaded.config["tubelet_size"])}) == Config()

    other = tiny(seed=1)
    twin = tiny(seed=2)
    fresh = build(other, 0.7)
    fresh_scaler = torch.amp.GradScaler("cpu")
    loaded.restore(other, optimizer=fresh, ema=twin, scaler=fresh_scaler, random_state=True)
    assert list(random.getstate()[1]) == loaded.random["python"]["words"].tolist()
    assert same(other, model)
    assert same(twin, ema)
    assert fresh_scaler.get_scale() == 512.0
    assert str(fresh.state_dict()) == str(optimizer.state_dict())
    assert torch.equal(torch.rand(3), expected)


def test_tied_and_half_precision_weights_survive(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).to(torch.bfloat16)
    model[1].weight = model[0].weight
    save(tmp_path / "a", model)
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).to(torch.bfloat16)
    load_checkpoint(tmp_path / "a").restore(other)
    assert same(other, model)


def test_the_folder_speaks_sha256sum_and_holds_no_pickle(tmp_path):
    model, optimizer = trained()
    folder = save(tmp_path / "a", model, optimizer=optimizer)
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "checkpoint.json",
        "optimizer.safetensors",
        "random.safetensors",
        "weights.safetensors",
    ]
    if (tool := Path("/usr/bin/sha256sum")).exists():
        subprocess.run([tool, "-c", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert json.loads((folder / "checkpoint.json").read_text())["config"]["tubelet_size"] == [2, 16, 16]
    assert not any(b"\x80\x04" in path.read_bytes()[:64] for path in folder.iterdir())


def test_loading_never_unpickles(tmp_path, monkeypatch):
    model, optimizer = trained()
    save(tmp_path / "a", model, optimizer=optimizer)

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.loads", refuse)
    monkeypatch.setattr("pickle.Unpickler", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    load_checkpoint(tmp_path / "a").restore(tiny(), optimizer=adamw(tiny(), 0.1))


# ------------------------------------------------------------------------------------------------ damage


def one_line(error):
    assert "\n" not in str(error.value)


def test_any_flipped_byte_in_any_file_is_found(tmp_path):
    model, optimizer = trained()
    folder = save(tmp_path / "a", model, optimizer=optimizer, metrics={"top1": 0.5})
    draw = random.Random(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        places = {0, len(whole) - 1, len(whole) // 2, *(draw.randrange(len(whole)) for _ in range(20))}
        for place in places:
            bent = bytearray(whole)
            bent[place] ^= 1 << draw.randrange(8)
            path.write_bytes(bent)
            with pytest.raises(CheckpointError, match=r"damaged|whole") as error:
                load_checkpoint(folder)
            one_line(error)
        path.write_bytes(whole)
    load_checkpoint(folder)


def test_every_bit_of_the_list_of_sums_counts(tmp_path):
    folder = save(tmp_path / "a", tiny(), random_state=False)
    path = folder / "SHA256SUMS"
    whole = path.read_bytes()
    for place in range(len(whole)):
        bent = bytearray(whole)
        bent[place] ^= 1
        path.write_bytes(bent)
        with pytest.raises(CheckpointError):
            load_checkpoint(folder)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "checkpoint.json", "SHA256SUMS"]
)
@pytest.mark.parametrize("keep", [0, 0.5, None])
def test_cut_and_missing_files_are_named(tmp_path, name, keep):
    model, optimizer = trained()
    folder = save(tmp_path / "a", model, optimizer=optimizer)
    path = folder / name
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=name) as error:
        load_checkpoint(folder)
    one_line(error)


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        load_checkpoint(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="SHA256SUMS"):
        load_checkpoint(tmp_path / "empty")


def test_a_newer_format_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FORMAT", 9)
    save(tmp_path / "a", tiny())
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format 9"):
        load_checkpoint(tmp_path / "a")


# ------------------------------------------------------------------------------------- something else's


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"model_name": "vast"}, "model = 'tiny', and 'vast'"),
        ({"config": Config(width=13)}, r"config\.width = 11, and 13"),
        ({"settings": {"seed": 1, "data": "ab"}}, r"settings\.seed = 0, and 1"),
        ({"settings": {"seed": 0}}, r"settings\.data = 'ab', and 'nothing of the kind'"),
        ({"settings": {"seed": 0, "data": "ab", "more": 2}}, r"settings\.more = None, and 2"),
        ({"schedule": {"name": "constant", "arguments": {}}}, r"schedule = None"),
    ],
)
def test_another_model_config_or_settings_is_named(tmp_path, asked, named):
    save(tmp_path / "a", tiny(), settings={"seed": 0, "data": "ab"})
    with pytest.raises(CheckpointError, match=named) as error:
        load_checkpoint(tmp_path / "a", **asked)
    one_line(error)


def test_what_does_not_fit_is_named_and_touches_nothing(tmp_path):
    model, optimizer = trained()
    save(tmp_path / "a", model, optimizer=optimizer)
    loaded = load_checkpoint(tmp_path / "a")
    for other, named in [
        (tiny(width=13), r"0\.weight has shape \(11, 7\) there and \(13, 7\) here"),
        (tiny().double(), r"0\.weight has dtype"),
        (nn.Sequential(*tiny(), nn.Linear(3, 3)), "have no '4.weight'"),
        (tiny()[:3], "have '3.(weight|bias)' besides"),
    ]:
        before = copy.deepcopy(other)
        with pytest.raises(CheckpointError, match=named) as error:
            loaded.restore(other)
        one_line(error)
        assert same(other, before)

    other = tiny(seed=4)
    before = copy.deepcopy(other)
    for wrong, named in [
        (sgd(tiny(), 0.1), "another kind of optimiser"),
        (torch.optim.AdamW(tiny().parameters()), r"groups of \[2, 4\] tensors, not \[6\]"),
        (adamw(tiny(width=13), 0.1), r"exp_avg of tensor 0 has shape \(11, 7\), not \(13, 7\)"),
    ]:
        with pytest.raises(CheckpointError, match=named) as error:
            loaded.restore(other, optimizer=wrong)
        one_line(error)
        assert same(other, before)
        assert not wrong.state


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (lambda: {"optimizer": adamw(tiny(), 0.1)}, "no optimiser"),
        (lambda: {"ema": tiny()}, "no averaged weights"),
        (lambda: {"scaler": torch.amp.GradScaler("cpu")}, "no loss scaler"),
        (lambda: {"random_state": True}, "no random state"),
    ],
)
def test_what_was_never_saved_cannot_be_restored(tmp_path, wanted, named):
    save(tmp_path / "a", tiny(), random_state=False)
    with pytest.raises(CheckpointError, match=named):
        load_checkpoint(tmp_path / "a").restore(tiny(), **wanted())


def test_what_json_cannot_hold_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(ArgumentError, match="sampler"):
        save(tmp_path / "a", tiny(), sampler={"place": object()})
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------- half-written and full


@pytest.mark.parametrize("moment", ["save_file", "_flush", "_put_in_place"])
def test_a_failure_while_writing_leaves_the_previous_one(tmp_path, monkeypatch, moment):
    model = tiny()
    save(tmp_path / "a", model, step=1)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, moment, full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*nothing was overwritten") as error:
        save(tmp_path / "a", tiny(seed=9), step=2)
    one_line(error)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    loaded = load_checkpoint(tmp_path / "a")
    assert loaded.step == 1
    assert torch.equal(loaded.weights["0.weight"], model[0].weight)


FULL_DISK = """
import resource, sys
from torch import nn
from vtlearn.errors import CheckpointError
from vtlearn.train.checkpoint import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))   # the kernel refuses to let any file grow further
try:
    save_checkpoint(sys.argv[1], step=2, model=nn.Linear(300, 300), model_name="m", config={})
except CheckpointError as error:
    print(error)
"""


@pytest.mark.skipif(
    os.name == "nt", reason="limits on a file's size are set by setrlimit, which Windows lacks"
)
def test_a_disk_that_takes_no_more(tmp_path):
    save(tmp_path / "a", tiny(), step=1)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "a")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "could not be written" in done.stdout
    assert done.stdout.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert load_checkpoint(tmp_path / "a").step == 1


def test_replacing_leaves_one_whole_checkpoint(tmp_path):
    save(tmp_path / "a", tiny(), step=1)
    save(tmp_path / "a", tiny(), step=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert load_checkpoint(tmp_path / "a").step == 2


def die_before_operation(number):
    """End this process, as a kill would, just before its ``number``-th operation on files."""
    seen = [0]

    def watch(event, arguments):
        if event == "open" or event.startswith(("os.", "shutil.")):
            seen[0] += 1
            if seen[0] == number:
                os._exit(9)

    sys.addaudithook(watch)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks")
def test_a_kill_before_any_single_file_operation_leaves_a_whole_checkpoint(tmp_path):
    root, model = tmp_path / "run", tiny()
    steps_found = []
    for number in range(1, 400):
        folder = step_folder(root, 4)
        save(folder, model, step=1, random_state=False)
        child = os.fork()
        if child == 0:
            die_before_operation(number)
            save(folder, model, step=2, random_state=False)
            os._exit(0)
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        found = latest_checkpoint(root)
        assert found is not None, number
        steps_found.append(found.step)
        if finished:
            break
    assert steps_found[0] == 1
    assert steps_found[-1] == 2
    assert steps_found == sorted(steps_found)  # the old one up to some operation, the new one from there on
    assert len(steps_found) > 10


def test_a_kill_between_the_two_renames_is_healed(tmp_path):
    folder = step_folder(tmp_path, 4)
    save(folder, tiny(), step=4)
    folder.rename(folder.with_name(f".{folder.name}.replaced"))
    assert list_checkpoints(tmp_path) == [folder]
    assert load_checkpoint(folder).step == 4


# -------------------------------------------------------------------------------------- a run's checkpoints


def test_the_newest_and_the_best_are_kept(tmp_path):
    for step, top1 in [(2, 0.1), (4, 0.9), (6, 0.5), (8, 0.6), (10, 0.9)]:
        save(step_folder(tmp_path, step), tiny(), step=step, metrics={"top1": top1})
    (tmp_path / ".step_00000012.ab.partial").mkdir()
    gone = prune_checkpoints(tmp_path, keep_last=2, keep_best="top1")
    assert [path.name for path in gone] == ["step_00000002", "step_00000006"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step_00000004",
        "step_00000008",
        "step_00000010",
    ]
    assert best_checkpoint(tmp_path, "top1") == step_folder(tmp_path, 4)
    assert best_checkpoint(tmp_path, "speed") is None
    newest = latest_checkpoint(tmp_path, model_name="tiny")
    assert newest is not None
    assert newest.step == 10


def test_a_run_without_checkpoints_has_none_and_a_damaged_newest_one_is_said(tmp_path):
    assert latest_checkpoint(tmp_path / "nowhere") is None
    save(step_folder(tmp_path, 1), tiny(), step=1)
    save(step_folder(tmp_path, 2), tiny(), step=2)
    (step_folder(tmp_path, 2) / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"step_00000002.*weights\.safetensors"):
        latest_checkpoint(tmp_path)


# -------------------------------------------------------------------------------------------- resuming


def run(folder, total, stop=None, build=adamw, precision="float32", seed=None):
    """Train with dropout and accumulation from whatever ``folder`` holds; stop early after ``stop`` steps."""
    model = tiny()
    optimizer = build(model, 0.05)
    scaler = gradient_scaler(torch.device("cpu"), precision)
    schedule = partial(warmup_cosine, total_steps=total, warmup_steps=2)
    torch.manual_seed(11)
    start = 0
    if (found := latest_checkpoint(folder)) is not None:
        start = found.step
        found.restore(model, optimizer=optimizer, scaler=scaler, random_state=True)
    losses = []
    for step in train_steps(
        model,
        batches(2 * total)[2 * start :],
        optimizer=optimizer,
        schedule=schedule,
        start=start,
        steps=total,
        accumulate=2,
        clip_norm=1.0,
        precision=precision,
        scaler=scaler,
        seed=seed,
    ):
        losses.append(step.loss)
        if step.step == stop:
            save(step_folder(folder, stop), model, step=stop, optimizer=optimizer, scaler=scaler)
            break
    return losses, model


@pytest.mark.parametrize("build", [adamw, sgd])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("seed", [None, 3])
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(tmp_path, build, precision, seed):
    settings = {"build": build, "precision": precision, "seed": seed}
    unbroken, weights = run(tmp_path / "a", 9, **settings)
    first, _ = run(tmp_path / "b", 9, stop=4, **settings)
    second, _ = run(tmp_path / "b", 9, stop=6, **settings)
    third, resumed = run(tmp_path / "b", 9, **settings)
    assert (len(first), len(second), len(third)) == (4, 2, 3)
    assert first + second + third == unbroken
    assert same(resumed, weights)


class Clips(torch.utils.data.Dataset):
    """Random clips, each by a generator seeded from its place in the run."""

    def __len__(self):
        return 1000

    def __getitem__(self, place):
        draw = torch.Generator().manual_seed(place)
        return torch.randn(2, 3, 5, 7, generator=draw), place % 3


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(210, 11), nn.Dropout(0.3), nn.Linear(11, 3))

    def forward(self, clips):
        return self.layers(clips)


def run_with_workers(folder, stop=None, total=6):
    """Two worker processes, mixup, dropout, accumulation; the loader may disturb the global generators."""
    model = Flat()
    optimizer = adamw(model, 0.01)
    found = latest_checkpoint(folder)
    start = 0 if found is None else found.step
    if found is not None:
        found.restore(model, optimizer=optimizer)
    places = [list(range(5 * batch, 5 * batch + 5)) for batch in range(2 * start, 2 * total)]
    loader = torch.utils.data.DataLoader(Clips(), batch_sampler=places, num_workers=2)
    mix = MixClips(3, mixup_alpha=0.4)
    losses = []
    settings = {"optimizer": optimizer, "accumulate": 2, "prepare": mix, "seed": 7}
    for step in train_steps(model, loader, start=start, steps=total, **settings):
        losses.append(step.loss)
        if step.step == stop:
            save(step_folder(folder, stop), model, step=stop, optimizer=optimizer, random_state=False)
            break
    return losses, model


def test_resuming_is_exact_with_workers_and_mixing_when_steps_are_seeded(tmp_path):
    unbroken, weights = run_with_workers(tmp_path / "a")
    first, _ = run_with_workers(tmp_path / "b", stop=2)
    torch.rand(7)
    second, resumed = run_with_workers(tmp_path / "b")
    assert first + second == unbroken
    assert same(resumed, weights)


def test_without_the_random_state_the_resumed_run_differs(tmp_path, monkeypatch):
    unbroken, _ = run(tmp_path / "a", 6)
    run(tmp_path / "b", 6, stop=3)
    monkeypatch.setattr(module, "set_random_state", lambda state: None)
    resumed, _ = run(tmp_path / "b", 6)
    assert resumed != unbroken[3:]


def test_random_states_of_all_three_libraries():
    state = get_random_state()
    first = random.gauss(0, 1), np.random.normal(size=3).tolist(), torch.randn(3).tolist()
    half = get_random_state()  # Python and NumPy now hold the second half of a pair of normal numbers
    second = random.gauss(0, 1), np.random.normal(), float(torch.randn(()))
    set_random_state(state)
    assert (random.gauss(0, 1), np.random.normal(size=3).tolist(), torch.randn(3).tolist()) == first
    set_random_state(half)
    assert (random.gauss(0, 1), np.random.normal(), float(torch.randn(()))) == second


KILLED = """
# Imports torch once, then forks: a child trains from what the last left, and is killed at a random moment.
import json, os, random, signal, sys, time
from functools import partial
from pathlib import Path
import torch
from torch import nn
from vtlearn.train.checkpoint import latest_checkpoint, prune_checkpoints, save_checkpoint, step_folder
from vtlearn.train.loop import train_steps
from vtlearn.train.optim import adamw, warmup_cosine

TOTAL = 20
torch.set_num_threads(1)


def train(root, pause):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 11), nn.Dropout(0.4), nn.Linear(11, 3))
    optimizer = adamw(model, 0.05)
    draw = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 3, (2 * TOTAL, 5), generator=draw)
    data = list(zip(torch.randn(2 * TOTAL, 5, 7, generator=draw), labels))
    start = 0
    if (found := latest_checkpoint(root / "checkpoints", model_name="m")) is not None:
        start = found.step
        found.restore(model, optimizer=optimizer, random_state=True)
    schedule = partial(warmup_cosine, total_steps=TOTAL)
    settings = {"optimizer": optimizer, "schedule": schedule, "accumulate": 2}
    for step in train_steps(model, data[2 * start :], start=start, steps=TOTAL, **settings):
        with (root / "losses.txt").open("a") as log:
            log.write(json.dumps([step.step, step.loss]) + "\\n")
        folder = step_folder(root / "checkpoints", step.step)
        save_checkpoint(folder, step=step.step, model=model, model_name="m", config={}, optimizer=optimizer)
        prune_checkpoints(root / "checkpoints", keep_last=2)
        time.sleep(pause)
    weights = [value for parameter in model.parameters() for value in parameter.flatten().tolist()]
    (root / "weights.json").write_text(json.dumps(weights))


def losses(root):
    path = root / "losses.txt"
    return path.read_text().count("\\n") if path.exists() else 0


whole, killed, aims = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
train(whole, 0.0)
for aim in aims:
    child = os.fork()
    if child == 0:
        train(killed, 0.002)
        os._exit(0)
    wanted, deadline = losses(killed) + aim, time.monotonic() + 60
    while losses(killed) < wanted and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(random.random() * 0.01)  # anywhere in a step or in the writing of a checkpoint
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
train(killed, 0.0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX")
def test_a_run_killed_at_random_steps_equals_an_unbroken_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    aims = [random.SystemRandom().randrange(1, 6) for _ in range(3)]
    command = [sys.executable, "-c", KILLED, str(whole), str(killed), json.dumps(aims)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    assert (whole / "weights.json").read_text() == (killed / "weights.json").read_text(), aims
    unbroken, broken = (
        [json.loads(line) for line in (root / "losses.txt").read_text().splitlines()]
        for root in (whole, killed)
    )
    assert len(unbroken) == 20
    assert len(broken) >= 20  # a kill before its checkpoint was whole makes a step happen twice …
    assert {tuple(step) for step in broken} == {tuple(step) for step in unbroken}, (
        aims
    )  # … with the same loss
