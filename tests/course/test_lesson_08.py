"""Lesson 08 beyond its listed answers: other right ways pass, other mistakes are named."""

import numpy as np
import pytest
import torch
from torch import nn

from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.exercises.lesson_08 import HUNT_BATCHES, small_batch, small_model
from vtlearn.course.panels.lesson_08 import RateExplorer, descend
from vtlearn.data.transforms import RandomCrop
from vtlearn.train.loop import train_steps
from vtlearn.train.losses import multi_head_loss
from vtlearn.train.optim import warmup_cosine


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


STEP = """
def train_step(model, optimizer, batch, max_norm):
    d = next(model.parameters()).device
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch["clip"].to(d)), batch["labels"].to(d))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.detach()
"""
CROP = """
def random_crop(clips, size, generator):
    out = []
    for x in clips:
        i = torch.randint(0, x.shape[-2] - size + 1, (), generator=generator).item()
        j = torch.randint(0, x.shape[-1] - size + 1, (), generator=generator).item()
        out.append(x[:, :, i:i + size, j:j + size])
    return torch.stack(out)
"""
SNAPSHOT = """
import copy
class Snapshot:
    def __init__(self, model, optimizer, step):
        self.m, self.o = copy.deepcopy(model), copy.deepcopy(optimizer.state_dict())
        self.r, self.s = torch.get_rng_state().clone(), step

    def restore(self, model, optimizer):
        model.load_state_dict(self.m.state_dict())
        optimizer.load_state_dict(copy.deepcopy(self.o))
        torch.set_rng_state(self.r)
        return self.s
"""

OTHER_RIGHT = {
    "a batch changed on its way": ("08.1", """
def train_step(model, optimizer, batch, max_norm):
    device = next(model.parameters()).device
    for key in ("clip", "labels"):
        batch[key] = batch[key].to(device)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch["clip"]), batch["labels"])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm, foreach=True)
    optimizer.step()
    return loss.detach()
"""),
    "norm first, then clipped": ("08.1", STEP.replace(
        "nn.utils.clip_grad_norm_(model.parameters(), max_norm)",
        "n = nn.utils.get_total_norm([p.grad for p in model.parameters()])\n"
        "    nn.utils.clip_grads_with_norm_(list(model.parameters()), max_norm, n)")),
    "train mode set": ("08.1", STEP.replace(
        "    optimizer.zero_grad()", "    model.train()\n    model.zero_grad()")),
    "labels by one-hot": ("08.1", STEP.replace(
        'batch["labels"].to(d))', 'F.one_hot(batch["labels"].to(d), 3).float())')),
    "minimum of two curves": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    rise = (step + 1) / (warmup_steps + 1)
    x = max(0, min(1, (step - warmup_steps) / (total_steps - warmup_steps)))
    return min(rise, 0.5 + 0.5 * math.cos(x * math.pi))
"""),
    "numpy number": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return np.float32((step + 1) / (warmup_steps + 1))
    return np.float64((1 + np.cos(np.pi * min(1, (step - warmup_steps) / (total_steps - warmup_steps)))) / 2)
"""),
    "weights of loss by hand": ("08.3", """
def accumulate(model, parts):
    n = sum(y.numel() for _, y in parts)
    model.zero_grad()
    total = 0
    for x, y in parts:
        part = -model(x).log_softmax(1)[torch.arange(len(y)), y].sum() / n
        part.backward()
        total = total + part.detach()
    return total
"""),
    "a copied model": ("08.4", SNAPSHOT),
    "numpy for the weights": ("08.4", """
import copy
class Snapshot:
    def __init__(self, model, optimizer, step):
        self.w = {k: v.numpy().copy() for k, v in model.state_dict().items()}
        self.rest = copy.deepcopy({"o": optimizer.state_dict(), "s": step})
        self.rng = torch.get_rng_state()

    def restore(self, model, optimizer):
        model.load_state_dict({k: torch.from_numpy(v) for k, v in self.w.items()})
        rest = copy.deepcopy(self.rest)
        optimizer.load_state_dict(rest["o"])
        torch.set_rng_state(self.rng)
        return rest["s"]
"""),
    "short crop": ("08.5", CROP),
    "gather": ("08.5", """
def random_crop(clips, size, generator):
    B, T, C, H, W = clips.shape
    i = torch.randint(H - size + 1, (B,), generator=generator)
    j = torch.randint(W - size + 1, (B,), generator=generator)
    rows = (i[:, None] + torch.arange(size))[:, None, None, :, None].expand(B, T, C, size, W)
    cut = clips.gather(3, rows)
    columns = (j[:, None] + torch.arange(size))[:, None, None, None, :].expand(B, T, C, size, size)
    return cut.gather(4, columns)
"""),
    "unfold": ("08.5", """
def random_crop(clips, size, generator):
    windows = clips.unfold(3, size, 1).unfold(4, size, 1)
    R, S = windows.shape[3:5]
    places = torch.randint(R * S, (len(clips),), generator=generator)
    return torch.stack([w[:, :, p // S, p % S] for w, p in zip(windows, places.tolist())])
"""),
    "arrays": ("08.6", """
def mended(model, batches, held_out, optimizer, rate):
    losses, accs = np.zeros(len(batches)), np.zeros(len(batches))
    for k, (x, y) in enumerate(batches):
        model.train()
        for g in optimizer.param_groups:
            g["lr"] = rate(k)
        loss = F.cross_entropy(model(x), y)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses[k] = loss.item()
        model.eval()
        with torch.no_grad():
            accs[k] = (model(held_out[0]).argmax(1) == held_out[1]).numpy().mean()
    return losses, accs
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "in evaluation mode": ("08.1",
                           STEP.replace("optimizer.zero_grad", "model.eval()\n    optimizer.zero_grad"),
                           "the model is in evaluation mode after the step"),
    "nothing returned": ("08.1", STEP.replace("    return loss.detach()\n", ""), "is a `return` missing"),
    "step before backward": ("08.1", STEP.replace("    optimizer.step()\n", "").replace(
        "    loss.backward()", "    optimizer.step()\n    loss.backward()"), "have not moved"),
    "the norm returned": ("08.1", STEP.replace("    nn.utils", "    loss = nn.utils"),
                          "the loss of the first step"),
    "a question in the step": ("08.1", STEP.replace("    loss.backward()",
                               "    if loss > 3: pass\n    loss.backward()"), "looks at a number"),
    "in percent": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    return 1.0
""", "nothing is scheduled"),
    "warm-up of zero divides": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    if step <= warmup_steps:
        return step / warmup_steps
    done = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
    return 0.5 * (1 + math.cos(math.pi * done))
""", "starts at 0"),
    "loss kept attached and returned": ("08.3", """
def accumulate(model, parts):
    model.zero_grad()
    n = sum(len(y) for _, y in parts)
    for x, y in parts:
        (F.cross_entropy(model(x), y) * len(y) / n).backward()
""", "is a `return` missing"),
    "without gradients": ("08.3", """
def accumulate(model, parts):
    n = sum(len(y) for _, y in parts)
    with torch.no_grad():
        return sum(F.cross_entropy(model(x), y, reduction="sum").item() for x, y in parts) / n
""", "no gradient was computed"),
    "state of the class": ("08.4", """
class Snapshot:
    def __init__(self, model, optimizer, step):
        self.model, self.optimizer, self.step = model, optimizer, step
    def restore(self, model, optimizer):
        model.load_state_dict(self.model.state_dict())
        return self.step
""", "went on training"),
    "another name": ("08.4", SNAPSHOT.replace("def restore", "def load"), "has no restore"),
    "seeded when taken": ("08.4", SNAPSHOT.replace(
        "self.m, self.o", "torch.manual_seed(0)\n        self.m, self.o"), "disturbs the run"),
    "frames as clips": ("08.5", CROP.replace("in clips:", "in clips.flatten(0, 1)[:, None]:").replace(
        "torch.stack(out)", "torch.stack(out)[:, 0].unflatten(0, clips.shape[:2])"), "nobody filmed"),
    "resized": ("08.5", """
def random_crop(clips, size, generator):
    return F.interpolate(clips.flatten(0, 1), size=(size, size)).unflatten(0, clips.shape[:2])
""", "not a square of neighbouring pixels"),
    "the library's": ("08.5", """
def random_crop(clips, size, generator):
    from vtlearn.data.transforms import RandomCrop
    return RandomCrop(size)(clips, generator)
""", "forwards the work"),
    "rows only": ("08.5", CROP.replace(
        "j = torch.randint(0, x.shape[-1] - size + 1, (), generator=generator).item()", "j = 0"), "column"),
    "rounded places": ("08.5", CROP.replace(
        "torch.randint(0, x.shape[-1] - size + 1, (), generator=generator).item()",
        "round(float(torch.rand((), generator=generator)) * (x.shape[-1] - size))"), "half of what"),
    "zero one step early": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1, (step - warmup_steps) / (total_steps - 1 - warmup_steps))))
""", "one step early"),
    "rise times cosine": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    rise = min(1, (step + 1) / (warmup_steps + 1))
    return rise * 0.5 * (1 + math.cos(math.pi * min(1, step / total_steps)))
""", "are multiplied"),
    "a cosine that rises": ("08.2", """
def rate_factor(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 - math.cos(math.pi * min(1, (step - warmup_steps) / (total_steps - warmup_steps))))
""", "the second part rises"),
    "a step as well": ("08.3", """
def accumulate(model, parts):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    n, total = sum(len(x) for x, _ in parts), 0.0
    for x, y in parts:
        loss = F.cross_entropy(model(x), y) * len(x) / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total
""", "a step was taken"),
    "graphs in the sum": ("08.3", """
def accumulate(model, parts):
    model.zero_grad()
    n, total = sum(len(x) for x, _ in parts), 0.0
    for x, y in parts:
        loss = F.cross_entropy(model(x), y) * len(x) / n
        loss.backward()
        total = total + loss
    return total
""", "holds on to its graphs"),
    "settings of the optimiser lost": ("08.4", SNAPSHOT.replace("copy.deepcopy(optimizer.state_dict())",
        'copy.deepcopy(optimizer.state_dict()["state"])').replace(
        "optimizer.load_state_dict(copy.deepcopy(self.o))",
        'optimizer.load_state_dict(optimizer.state_dict() | {"state": copy.deepcopy(self.o)})'),
        "under param_groups"),
    "percent": ("08.6", """
def mended(model, batches, held_out, optimizer, rate):
    losses, accuracies = [], []
    for k, (x, y) in enumerate(batches):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = rate(k)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            right = (model(held_out[0]).argmax(-1) == held_out[1]).float()
        accuracies.append(100 * right.mean().item())
    return losses, accuracies
""", "percent"),
    "only losses": ("08.6", """
def mended(model, batches, held_out, optimizer, rate):
    return [0.0] * len(batches)
""", "two lists come back"),
    "never trained": ("08.6", """
def mended(model, batches, held_out, optimizer, rate):
    return [0.0] * len(batches), [0.0] * len(batches)
""", "took 0 steps"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    step, factor, accumulate, _, crop, _ = (exercise(f"08.{n}").compile() for n in range(1, 7))
    ours, theirs = small_model(), small_model()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.3) for model in (ours, theirs)]
    for clips, labels in HUNT_BATCHES:
        step(ours, optimizers[0], {"clip": clips, "labels": labels}, 0.5)
    for _ in train_steps(
        theirs, HUNT_BATCHES, optimizer=optimizers[1], loss_fn=multi_head_loss, clip_norm=0.5
    ):
        pass
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert [factor(k, 3, 11) for k in range(14)] == pytest.approx(
        [warmup_cosine(k, total_steps=11, warmup_steps=3) for k in range(14)]
    )
    parts = [small_batch(size, 60 + size) for size in (5, 3)]
    accumulate(ours, parts)
    whole = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
    wanted = torch.autograd.grad(
        nn.functional.cross_entropy(ours(whole[0]), whole[1]), list(ours.parameters())
    )
    for parameter, gradient in zip(ours.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    clips = torch.rand(3, 2, 1, 7, 5)
    shapes = [one(clips).shape for one in (RandomCrop(4), lambda x: crop(x, 4, torch.Generator()))]
    assert shapes[0] == shapes[1]


STATE = {"optimiser": "SGD", "rate": 0.1, "schedule": "cosine", "warmup": 5, "clip": False}


@pytest.mark.parametrize(
    ("change", "caption"),
    [
        ({}, "comes down and settles"),
        ({"rate": 1.0, "schedule": "constant"}, "The loss grows"),
        ({"rate": 0.5}, "far above its start"),
        ({"rate": 0.01}, "but slowly"),
        ({"schedule": "constant"}, "now trembles"),
    ],
)
def test_the_panel_says_what_to_notice(change, caption):
    assert RateExplorer().state == STATE
    assert caption in RateExplorer.render(STATE | change).caption


def test_the_panel_descends_as_torch_does():
    rates, losses = descend(STATE | {"optimiser": "SGD with momentum"})
    assert rates[:60] == pytest.approx(
        [0.1 * warmup_cosine(k, total_steps=60, warmup_steps=5) for k in range(60)]
    )
    place = nn.Parameter(torch.tensor([4.0, 3.0], dtype=torch.float64))
    optimizer = torch.optim.SGD([place], lr=1.0, momentum=0.9)
    noise = np.random.default_rng(8)
    for rate, loss in zip(rates, losses, strict=True):
        value = 0.5 * (torch.tensor([1.0, 12.0]) * place**2).sum()
        assert float(value.detach()) == pytest.approx(loss, rel=1e-6, abs=1e-9)
        optimizer.zero_grad()
        value.backward()
        place.grad += 0.6 * torch.from_numpy(noise.standard_normal(2))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
