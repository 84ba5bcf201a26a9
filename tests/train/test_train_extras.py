"""Weight averages, mixing, recomputation, recipes, run folders, logs, signals and profiles."""

import json
import math
import os
import signal
import subprocess

import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError, DataError
from vtlearn.runs.folder import (
    METRICS,
    CsvLog,
    JsonLog,
    TensorBoardLog,
    compare_runs,
    describe_machine,
    git_commit,
    list_runs,
    read_metrics,
    read_run,
    start_run,
    stop_on_signal,
)
from vtlearn.runs.profile import PHASES, profile_steps
from vtlearn.train.checkpoint import load_checkpoint, save_checkpoint
from vtlearn.train.ema import WeightAverage
from vtlearn.train.loop import train_steps
from vtlearn.train.mix import MixClips, cutmix_clips, mixup_clips, soft_targets
from vtlearn.train.optim import adamw, sgd
from vtlearn.train.recipes import RECIPES, Recipe, recipe


def tiny(dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(7, 11), nn.BatchNorm1d(11), nn.ReLU(), nn.Dropout(dropout), nn.Linear(11, 3)
    )


def batches(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(5, 7, generator=draw), torch.randint(0, 3, (5,), generator=draw)) for _ in range(count)
    ]


# --------------------------------------------------------------------------------------- averaged weights


def test_the_average_follows_its_formula():
    model = tiny()
    average = WeightAverage(model, decay=0.8)
    expected = model[0].weight.detach().clone()
    for step in train_steps(model, batches(20), optimizer=sgd(model, 0.1)):
        average.update(model, step.step)
        decay = min(0.8, (1 + step.step) / (10 + step.step))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
    torch.testing.assert_close(average.module[0].weight, expected)
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    assert int(average.module[1].num_batches_tracked) == 20  # counters are copied, not averaged
    with pytest.raises(ArgumentError, match="decay"):
        WeightAverage(model, decay=1.0)


def test_the_average_goes_on_exactly_after_a_checkpoint(tmp_path):
    def run(model, average, data, start):
        for step in train_steps(
            model, data, optimizer=sgd(model, 0.1, momentum=0.0, nesterov=False), start=start
        ):
            average.update(model, step.step)

    model = tiny()
    average = WeightAverage(model)
    run(model, average, batches(8), 0)

    first = tiny()
    kept = WeightAverage(first)
    run(first, kept, batches(8)[:3], 0)
    save_checkpoint(tmp_path / "a", step=3, model=first, model_name="m", config={}, ema=kept.module)
    second = tiny()
    again = WeightAverage(second)
    load_checkpoint(tmp_path / "a").restore(second, ema=again.module)
    run(second, again, batches(8)[3:], 3)
    for mine, theirs in zip(
        again.module.state_dict().values(), average.module.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)


# ------------------------------------------------------------------------------------------------ mixing


def test_soft_targets_and_mixup_by_hand():
    assert torch.equal(soft_targets(torch.tensor([2, 0]), 3), torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    soft = torch.tensor([[0.5, 0.5]])
    assert soft_targets(soft, 2) is soft
    clips = torch.stack([torch.zeros(2, 3, 5, 7), torch.ones(2, 3, 5, 7)])
    mixed = mixup_clips(clips, torch.tensor([1, 0]), 0.3)
    assert torch.allclose(mixed[0], torch.full((), 0.7))
    assert torch.allclose(mixed[1], torch.full((), 0.3))


def test_cutmix_tells_the_share_that_really_stayed_and_keeps_the_box_over_time():
    torch.manual_seed(0)
    clips = torch.stack([torch.zeros(4, 3, 11, 13), torch.ones(4, 3, 11, 13)])
    shares = set()
    for _ in range(40):
        mixed, share = cutmix_clips(clips, torch.tensor([1, 0]), 0.6)
        assert float(1 - mixed[0].mean()) == pytest.approx(share)
        assert all(torch.equal(mixed[0, 0], frame) for frame in mixed[0])
        shares.add(round(share, 6))
    assert len(shares) > 3  # boxes are cut at the edges
    assert torch.equal(clips[0], torch.zeros(4, 3, 11, 13))  # the input is left alone


@pytest.mark.parametrize(
    "alphas", [{"mixup_alpha": 0.8}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.3, "cutmix_alpha": 1.0}]
)
def test_targets_follow_the_pixels(alphas):
    """Clips of constant value k with label k: the mixed value is the mean label of the mixed target."""
    torch.manual_seed(3)
    mix = MixClips({"level": 5, "half": 2}, **alphas)
    levels = torch.arange(5)
    batch = {
        "clip": levels.float().reshape(5, 1, 1, 1, 1).expand(5, 2, 3, 17, 19),
        "labels": {"level": levels, "half": levels % 2},
        "path": list("abcde"),
    }
    for _ in range(10):
        mixed = mix(batch)
        targets = mixed["labels"]["level"]
        torch.testing.assert_close(mixed["clip"].mean(dim=(1, 2, 3, 4)), targets @ levels.float())
        torch.testing.assert_close(targets.sum(1), torch.ones(5))
        parity = targets @ torch.nn.functional.one_hot(levels % 2).float()
        torch.testing.assert_close(mixed["labels"]["half"], parity)
    assert mixed["path"] == batch["path"]


def test_mixing_trains_through_the_loop():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.head = nn.Linear(3, 4)

        def forward(self, clips):
            return self.head(clips.mean(dim=(1, 3, 4)))

    torch.manual_seed(0)
    labels = torch.arange(8) % 4
    clips = torch.randn(8, 2, 3, 5, 7) + labels.reshape(8, 1, 1, 1, 1)
    model = Model()
    mix = MixClips(4, mixup_alpha=0.2, cutmix_alpha=0.2)
    told = list(train_steps(model, [(clips, labels)] * 60, optimizer=adamw(model, 0.1), prepare=mix))
    assert told[-1].loss < told[0].loss


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({}, "mixup_alpha"), ({"mixup_alpha": -1.0}, "mixup_alpha"), ({"cutmix_alpha": -1.0}, "cutmix_alpha")],
)
def test_mixing_that_cannot_be_is_named(arguments, named):
    with pytest.raises(ArgumentError, match=named):
        MixClips(3, **arguments)


def test_whole_number_pixels_and_unknown_labellings_are_not_mixed():
    mix = MixClips({"motion": 3}, mixup_alpha=1.0)
    clips = torch.zeros(2, 1, 3, 4, 5)
    with pytest.raises(ArgumentError, match="clip"):
        mix({"clip": clips.to(torch.uint8), "labels": {"motion": torch.tensor([0, 1])}})
    with pytest.raises(ArgumentError, match="appearance"):
        mix({"clip": clips, "labels": {"appearance": torch.tensor([0, 1])}})


# ------------------------------------------------------------------------------------------------ recipes


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_builds_what_the_loop_needs(name):
    told = recipe(name)
    assert told.name == name
    assert len(told.source) > 20
    model = tiny()
    optimizer, (schedule, steps) = told.build_optimizer(model), told.build_schedule(10)
    assert steps == 10 * told.epochs
    factors = [schedule(step) for step in range(steps)]
    assert max(factors) == 1.0
    assert factors[-1] < 0.2
    step = next(
        train_steps(model, batches(1), optimizer=optimizer, schedule=schedule, loss_fn=told.build_loss())
    )
    assert step.lr == pytest.approx(told.learning_rate * factors[0])


def test_published_numbers_typed_by_hand():
    told = recipe("timesformer_k400")
    assert (told.learning_rate, told.epochs, told.milestones, told.weight_decay) == (
        0.005,
        15,
        (11, 14),
        1e-4,
    )
    told = recipe("vtn_k400")
    assert (told.learning_rate, told.epochs, told.milestones, told.warmup_epochs) == (
        0.001,
        25,
        (13, 24),
        0.0,
    )
    assert (told.num_frames, told.frame_stride, told.mean, told.std) == (16, 8, 0.45, 0.225)
    told = recipe("vivit_ssv2")
    assert (told.learning_rate, told.epochs, told.clip_norm) == (0.4, 35, 1.0)
    assert (told.mixup_alpha, told.label_smoothing, told.drop_path, told.flip) == (0.3, 0.3, 0.3, False)
    smoothed = told.build_loss()(torch.zeros(2, 4), torch.tensor([0, 1]))
    assert float(smoothed["label"]) == pytest.approx(math.log(4))
    optimizer = recipe("vivit_k400").build_optimizer(tiny())
    assert optimizer.param_groups[0]["nesterov"] is False


def test_recipes_that_cannot_be_are_named():
    with pytest.raises(ArgumentError, match="recipe must be one of timesformer_k400"):
        recipe("imagenet")
    base = {
        "name": "x",
        "source": "x",
        "num_frames": 8,
        "frame_stride": 1,
        "crop": 64,
        "short_side": (64, 64),
    }
    for wrong, named in [
        ({"optimizer": "lamb", "learning_rate": 0.1}, "optimizer"),
        ({"optimizer": "sgd", "learning_rate": 0.0}, "learning_rate"),
        ({"optimizer": "sgd", "learning_rate": 0.1, "milestones": (9,)}, "milestones"),
    ]:
        with pytest.raises(ArgumentError, match=named):
            Recipe(**base, batch_size=2, epochs=5, **wrong)


# ------------------------------------------------------------------------------------------------ run folders


def test_a_run_says_what_ran_where_and_goes_on_only_with_the_same_settings(tmp_path):
    run = start_run(tmp_path, "first", {"lr": 0.1, "size": (2, 3)})
    assert run.config == {"lr": 0.1, "size": [2, 3]}
    assert run.machine == describe_machine()
    again = start_run(tmp_path, "first", {"lr": 0.1, "size": (2, 3)})
    assert again.started == run.started
    before = (tmp_path / "first" / "run.json").read_bytes()
    with pytest.raises(DataError, match=r"lr = 0\.1, not 0\.2"):
        start_run(tmp_path, "first", {"lr": 0.2, "size": (2, 3)})
    assert (tmp_path / "first" / "run.json").read_bytes() == before
    start_run(tmp_path, "second", {"lr": 0.2, "size": (2, 3)})
    assert [run.name for run in list_runs(tmp_path)] == ["first", "second"]
    assert [row["lr"] for row in compare_runs(list_runs(tmp_path))] == [0.1, 0.2]
    assert list_runs(tmp_path / "nowhere") == []
    with pytest.raises(DataError, match="cannot be read"):
        read_run(tmp_path / "third")
    for name in ("", "../outside", ".."):
        with pytest.raises(ArgumentError, match="name"):
            start_run(tmp_path, name, {})


def test_the_commit_is_told_with_changes_and_without_a_repository(tmp_path):
    assert git_commit(tmp_path) is None
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], [*identity, "commit", "-q", "-m", "m"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    clean = git_commit(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == clean + "+changes"


def test_json_lines_survive_a_cut_and_drop_the_steps_that_were_lost(tmp_path):
    path = tmp_path / METRICS
    log = JsonLog(path)
    for step in range(1, 6):
        log.write({"step": step, "loss": math.nan if step == 2 else 1.0 / step})
    log.close()
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4, 5]
    assert read_metrics(path)[1]["loss"] is None
    log = JsonLog(path, start=3)
    log.write({"step": 4, "loss": 9.0})
    log.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(path)][2:] == [(3, 1 / 3), (4, 9.0)]
    path.write_text('{"step": 1}\nbroken\n{"step": 2}\n')
    with pytest.raises(DataError, match="line 2"):
        read_metrics(path)


def test_tables_keep_their_columns(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.write({"step": 1, "loss": 0.5, "top1": 0.1})
    log.close()
    log = CsvLog(tmp_path / "log.csv")
    log.write({"loss": 0.25, "step": 2})
    with pytest.raises(ArgumentError, match="speed"):
        log.write({"step": 3, "speed": 1.0})
    log.close()
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,loss,top1", "1,0.5,0.1", "2,0.25,"]


def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard comes with the extra vtlearn[train]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TensorBoardLog(tmp_path)
    log.write({"step": 3, "loss": 0.5, "note": "words are left out"})
    log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 0.5)]


def test_a_request_to_stop_lets_the_run_save_first(tmp_path):
    model = tiny()
    optimizer = sgd(model, 0.1)
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal() as stop:
        for step in train_steps(model, batches(9), optimizer=optimizer):
            if step.step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            if stop.requested:
                save_checkpoint(tmp_path / "a", step=step.step, model=model, model_name="m", config={})
                break
    assert load_checkpoint(tmp_path / "a").step == 4
    assert signal.getsignal(signal.SIGTERM) is before


# ------------------------------------------------------------------------------------------------ profile


def test_a_profile_covers_every_phase_and_writes_a_trace(tmp_path):
    model = tiny()
    trace = tmp_path / "trace.json"
    told = profile_steps(model, batches(9), optimizer=sgd(model, 0.1), steps=3, warmup=2, trace=trace)
    assert tuple(told.seconds) == PHASES
    assert all(seconds > 0 for seconds in told.seconds.values())
    assert (told.steps, told.clips) == (3, 5.0)
    assert told.clips_per_second == pytest.approx(5 / sum(told.seconds.values()))
    assert all(phase in told.table() for phase in PHASES)
    assert "traceEvents" in json.loads(trace.read_text())
    with pytest.raises(DataError, match="2 batches are too few"):
        profile_steps(model, batches(2), optimizer=sgd(model, 0.1), warmup=2)
