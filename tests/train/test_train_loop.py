"""The loop: same numbers as plain PyTorch, accumulation, precision, clipping, heads, losses not finite."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError, DataError
from vtlearn.train.loop import NonFiniteLoss, OutOfMemory, gradient_scaler, train_steps
from vtlearn.train.losses import cross_entropy
from vtlearn.train.optim import adamw, sgd, warmup_cosine

CPU = torch.device("cpu")


def tiny(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 11), nn.GELU(), nn.Dropout(dropout), nn.Linear(11, 3))


def tuples(sizes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, 7, generator=draw), torch.randint(0, 3, (n,), generator=draw)) for n in sizes]


def same(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


class TwoHeads(nn.Module):
    """One trunk, two labellings; keeps the frame indices that it was given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(7, 5)
        self.heads = nn.ModuleDict({"motion": nn.Linear(5, 3), "appearance": nn.Linear(5, 2)})
        self.seen = []

    def forward(self, clips, frame_index=None):
        self.seen.append(frame_index)
        features = self.trunk(clips).relu()
        return {name: head(features) for name, head in self.heads.items()}


def dict_batch(n=5, names=True, seed=0):
    draw = torch.Generator().manual_seed(seed)
    batch = {
        "clip": torch.randn(n, 7, generator=draw),
        "frame_index": torch.arange(n),
        "labels": {
            "motion": torch.randint(0, 3, (n,), generator=draw),
            "appearance": torch.randint(0, 2, (n,), generator=draw),
        },
    }
    return {**batch, "path": [f"clip_{index}.mp4" for index in range(n)]} if names else batch


def test_the_loop_does_what_plain_pytorch_does():
    model, plain = tiny(), tiny()
    batches = tuples([5, 3, 4, 5])
    schedule = partial(warmup_cosine, total_steps=4, warmup_steps=1)
    told = list(train_steps(model, batches, optimizer=adamw(model, 0.01), schedule=schedule, clip_norm=0.5))

    optimizer = adamw(plain, 0.01)
    for step, (clips, labels) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * schedule(step)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(plain(clips), labels)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        assert told[step].step == step + 1
        assert told[step].loss == pytest.approx(loss.item(), rel=1e-6)
        assert told[step].grad_norm == pytest.approx(float(norm), rel=1e-5)
        assert told[step].lr == 0.01 * schedule(step)
        assert told[step].clips == len(clips)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


def test_uneven_accumulation_equals_one_large_batch():
    parts, whole = tiny().double(), tiny().double()
    pieces = [(clips.double(), labels) for clips, labels in tuples([5, 2, 3, 5, 1, 4])]
    merged = [
        tuple(torch.cat([piece[side] for piece in pieces[first : first + 3]]) for side in (0, 1))
        for first in (0, 3)
    ]
    small = list(train_steps(parts, pieces, optimizer=sgd(parts, 0.1), accumulate=3, clip_norm=1.0))
    large = list(train_steps(whole, merged, optimizer=sgd(whole, 0.1), clip_norm=1.0))
    assert [step.loss for step in small] == pytest.approx([step.loss for step in large], rel=1e-6)
    assert [step.clips for step in small] == [10, 10]
    for mine, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-9)


def test_a_short_last_group_is_used_and_not_dropped():
    model = tiny()
    told = list(train_steps(model, tuples([4, 4, 3]), optimizer=sgd(model, 0.1), accumulate=2))
    assert [step.clips for step in told] == [8, 3]


def test_nothing_happens_until_asked_and_the_caller_may_stop():
    model, taken = tiny(), []

    def watched():
        for batch in tuples([4] * 9):
            taken.append(len(taken))
            yield batch

    steps = train_steps(model, watched(), optimizer=sgd(model, 0.1), accumulate=2)
    assert taken == []
    next(steps)
    next(steps)
    assert taken == [0, 1, 2, 3]


def test_steps_and_start_bound_the_run():
    model = tiny()
    told = list(train_steps(model, tuples([2] * 9), optimizer=sgd(model, 0.1), start=3, steps=7))
    assert [step.step for step in told] == [4, 5, 6, 7]


def test_one_trunk_with_two_heads_trains_both():
    model = TwoHeads()
    batch = dict_batch()
    told = list(train_steps(model, [batch] * 40, optimizer=adamw(model, 0.05)))
    assert set(told[0].losses) == {"motion", "appearance"}
    assert told[0].loss == pytest.approx(sum(told[0].losses.values()), rel=1e-6)
    assert all(told[-1].losses[name] < 0.2 * told[0].losses[name] for name in told[0].losses)
    assert torch.equal(model.seen[0], batch["frame_index"])


def test_prepare_sees_the_batch_and_its_answer_is_used():
    model = tiny()

    def halve(batch):
        clips, labels = batch
        return clips[:2], labels[:2]

    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    list(train_steps(model, tuples([6]), optimizer=sgd(model, 0.1), prepare=halve))
    assert seen == [2]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_autocast_trains_and_leaves_the_weights_in_float32(precision):
    model = tiny()
    scaler = gradient_scaler(CPU, precision)
    dtypes = []
    model[0].register_forward_hook(lambda module, args, out: dtypes.append(out.dtype))
    told = list(
        train_steps(model, tuples([8]) * 30, optimizer=adamw(model, 0.02), precision=precision, scaler=scaler)
    )
    assert set(dtypes) == {getattr(torch, precision)}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert told[-1].loss < 0.5 * told[0].loss
    assert scaler.is_enabled() is (precision == "float16")


def test_float16_gradients_are_unscaled_before_they_are_clipped():
    model = tiny()
    reference = tiny()
    batches = tuples([8])
    scaler = gradient_scaler(CPU, "float16")
    scaled = next(
        train_steps(
            model, batches, optimizer=sgd(model, 0.1), precision="float16", scaler=scaler, clip_norm=0.05
        )
    )
    plain = next(train_steps(reference, batches, optimizer=sgd(reference, 0.1), clip_norm=0.05))
    assert scaled.grad_norm == pytest.approx(plain.grad_norm, rel=0.02)  # not 65536 times larger
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-4)


def test_a_float16_overflow_is_skipped_lowers_the_scale_and_is_no_bad_batch():
    model = tiny()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = copy.deepcopy(model)
    steps = train_steps(
        model, tuples([8] * 40), optimizer=sgd(model, 0.1), precision="float16", scaler=scaler
    )
    first = next(steps)
    assert first.skipped
    assert first.nonfinite == 0
    assert math.isfinite(first.loss)
    assert same(model, before)
    assert scaler.get_scale() == 2.0**39
    assert any(not step.skipped for step in steps)


def test_float16_asks_for_a_scaler():
    model = tiny()
    with pytest.raises(ArgumentError, match="scaler"):
        next(train_steps(model, tuples([2]), optimizer=sgd(model, 0.1), precision="float16"))


def poisoned(batch):
    return {**batch, "clip": torch.full_like(batch["clip"], math.nan)}


def test_a_loss_that_is_not_finite_moves_nothing_and_is_counted():
    model = TwoHeads()
    good, bad = dict_batch(), poisoned(dict_batch())
    optimizer = adamw(model, 0.01)
    steps = train_steps(model, [good, bad, good, bad, good], optimizer=optimizer, max_nonfinite=1)
    next(steps)
    weights, moments = copy.deepcopy(model), copy.deepcopy(optimizer.state_dict())
    told = next(steps)
    assert (told.skipped, told.nonfinite, told.step) == (True, 1, 2)
    assert math.isnan(told.loss)
    assert same(model, weights)
    assert str(moments) == str(optimizer.state_dict())
    rest = list(steps)
    assert [step.skipped for step in rest] == [False, True, False]
    assert rest[-1].nonfinite == 2


def test_a_finite_loss_with_a_gradient_that_is_not_is_skipped_too():
    class Cliff(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(3))

        def forward(self, clips):
            return clips[:, :3] + self.scale.abs().sqrt()  # finite at zero, its slope is not

    model = Cliff()
    told = next(train_steps(model, tuples([4]), optimizer=sgd(model, 0.1)))
    assert math.isfinite(told.loss)
    assert told.skipped
    assert torch.equal(model.scale, torch.zeros(3))


def test_too_many_in_a_row_stop_the_run_and_name_the_clips():
    model = TwoHeads()
    steps = train_steps(model, [poisoned(dict_batch())] * 9, optimizer=sgd(model, 0.1), max_nonfinite=2)
    for _ in range(3):
        assert next(steps).skipped
    with pytest.raises(
        NonFiniteLoss, match=r"3 steps in a row, to step 3 with clip_0\.mp4, clip_1\.mp4"
    ) as told:
        next(steps)
    assert isinstance(told.value, DataError)
    assert "\n" not in str(told.value)


def test_the_seed_alone_decides_a_steps_random_numbers():
    def losses(disturb, seed):
        model = tiny(dropout=0.5)
        out = []
        for step in train_steps(model, tuples([6] * 5), optimizer=sgd(model, 0.1), seed=seed):
            out.append(step.loss)
            if disturb:
                torch.rand(17)
        return out

    assert losses(False, 3) == losses(True, 3)
    assert losses(False, 3) != losses(False, 4)
    assert losses(False, None) != losses(True, None)

    still = tiny(dropout=0.5)
    steps = train_steps(still, tuples([6]) * 5, optimizer=sgd(still, 1e-30), seed=3)
    assert len({step.loss for step in steps}) == 5  # the same clips and weights, another dropout each step


def test_a_custom_loss_over_plain_tensors():
    model = tiny()
    loss_fn = partial(cross_entropy, label_smoothing=0.1)
    told = next(train_steps(model, tuples([4]), optimizer=sgd(model, 0.1), loss_fn=loss_fn))
    assert told.losses.keys() == {"loss"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"accumulate": 0}, "accumulate"),
        ({"precision": "float8"}, "precision"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"start": 5, "steps": 3}, "steps"),
        ({"max_nonfinite": -1}, "max_nonfinite"),
        ({"device": torch.device("meta")}, "device"),
    ],
)
def test_settings_that_cannot_be_are_named(arguments, named):
    model = tiny()
    with pytest.raises(ArgumentError, match=named):
        next(train_steps(model, tuples([2]), optimizer=sgd(model, 0.1), **arguments))


def test_full_memory_says_what_to_lower():
    class Greedy(nn.Module):
        def __init__(self, error):
            super().__init__()
            self.weight, self.error = nn.Parameter(torch.zeros(1)), error

        def forward(self, clips):
            raise self.error

    clips, labels = torch.zeros(2, 3, 3, 5, 7), torch.tensor([0, 1])
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ):
        model = Greedy(error)
        with pytest.raises(OutOfMemory, match="2 clips of 3 frames at 7 × 5: lower the batch size") as told:
            next(train_steps(model, [(clips, labels)], optimizer=sgd(model, 0.1)))
        assert "\n" not in str(told.value)
    model = Greedy(RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):
        next(train_steps(model, [(clips, labels)], optimizer=sgd(model, 0.1)))


def test_a_model_left_in_evaluation_mode_is_an_error():
    model = tiny().eval()
    with pytest.raises(ArgumentError, match="training mode"):
        next(train_steps(model, tuples([2]), optimizer=sgd(model, 0.1)))


@pytest.mark.parametrize("batch", [torch.zeros(3, 7), {"clip": torch.zeros(3, 7)}, (torch.zeros(3, 7),)])
def test_a_batch_of_the_wrong_kind_is_named(batch):
    model = tiny()
    with pytest.raises(ArgumentError, match="batch"):
        next(train_steps(model, [batch], optimizer=sgd(model, 0.1)))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_cuda_trains_as_the_cpu_does(precision):
    device = torch.device("cuda")
    here, there = tiny(), tiny().to(device)
    batches = tuples([8] * 10)
    scaler = gradient_scaler(device, precision)
    on_cpu = [step.loss for step in train_steps(here, batches, optimizer=sgd(here, 0.1))]
    steps = train_steps(there, batches, optimizer=sgd(there, 0.1), precision=precision, scaler=scaler)
    on_gpu = [step.loss for step in steps]
    assert on_gpu == pytest.approx(on_cpu, rel=1e-4 if precision == "float32" else 0.05)
