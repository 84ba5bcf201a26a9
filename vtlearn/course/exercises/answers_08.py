"""Right and wrong answers to the exercises of lesson 08, as source; the tests run each through the check."""

# ---------------------------------------------------------------------------------------- 08.1 one step

TRAIN_STEP = {
    "in a row": '''
def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: dict, max_norm: float) -> Tensor:
    """One step on one batch, wherever the model lives; returns the loss before it, without a gradient."""
    device = next(model.parameters()).device
    clips = batch["clip"].to(device, non_blocking=True)
    labels = batch["labels"].to(device, non_blocking=True)
    loss = F.cross_entropy(model(clips), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.detach()
''',
    "clipped by hand": """
def train_step(model, optimizer, batch, max_norm):
    parameters = list(model.parameters())
    here = {k: v.to(parameters[0].device) if isinstance(v, Tensor) else v for k, v in batch.items()}
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(here["clip"]), here["labels"])
    loss.backward()
    length = torch.stack([p.grad.square().sum() for p in parameters]).sum().sqrt()
    for p in parameters:
        p.grad.mul_((max_norm / (length + 1e-6)).clamp(max=1.0))
    optimizer.step()
    return loss.detach().clone()
""",
    "gradients asked for": """
def train_step(model, optimizer, batch, max_norm):
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    where = weights[0].device
    logits = model(batch["clip"].to(where))
    loss = -logits.log_softmax(-1).gather(1, batch["labels"].to(where)[:, None]).mean()
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights)):
        weight.grad = gradient
    torch.nn.utils.clip_grad_norm_(weights, max_norm)
    optimizer.step()
    with torch.no_grad():
        return loss * 1
""",
    "cleared at the end": """
def train_step(model, optimizer, batch, max_norm):
    for p in model.parameters():
        p.grad = None
    p = next(iter(model.parameters()))
    loss = F.nll_loss(F.log_softmax(model(batch["clip"].to(p.device)), dim=1), batch["labels"].to(p.device))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=max_norm, norm_type=2)
    optimizer.step()
    optimizer.zero_grad()
    return loss.data
""",
}

_STEP = """
def train_step(model, optimizer, batch, max_norm):
    device = next(model.parameters()).device
    clips, labels = batch["clip"].to(device), batch["labels"].to(device)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(clips), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.detach()
"""
STEP_NOT_MOVED = _STEP.replace(".to(device)", "")
STEP_LABELS_NOT_MOVED = _STEP.replace('batch["labels"].to(device)', 'batch["labels"]')
STEP_CUDA = _STEP.replace("next(model.parameters()).device", '"cuda"')
STEP_CHOOSES = _STEP.replace(
    "next(model.parameters()).device", '"cuda" if torch.cuda.is_available() else "cpu"'
)
STEP_MOVES_MODEL = _STEP.replace(
    "next(model.parameters()).device", 'batch["clip"].device; model = model.to(device)'
)
STEP_NOT_CLEARED = _STEP.replace("    optimizer.zero_grad()\n", "")
STEP_UNCLIPPED = _STEP.replace("    nn.utils.clip_grad_norm_(model.parameters(), max_norm)\n", "")
STEP_CLIPPED_LATE = STEP_UNCLIPPED.replace(
    "optimizer.step()\n", "optimizer.step()\n    nn.utils.clip_grad_norm_(model.parameters(), max_norm)\n"
)
STEP_BY_VALUE = _STEP.replace("clip_grad_norm_", "clip_grad_value_")
STEP_BY_TENSOR = _STEP.replace(
    "nn.utils.clip_grad_norm_(model.parameters(), max_norm)",
    "[nn.utils.clip_grad_norm_(p, max_norm) for p in model.parameters()]",
)
STEP_ALWAYS_SCALED = _STEP.replace(
    "nn.utils.clip_grad_norm_(model.parameters(), max_norm)",
    "length = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()\n"
    "    for p in model.parameters():\n        p.grad *= max_norm / length",
)
STEP_SUMMED = _STEP.replace("model(clips), labels)", 'model(clips), labels, reduction="sum")')
STEP_NUMBER = _STEP.replace("loss.detach()", "loss.item()")
STEP_ATTACHED = _STEP.replace("loss.detach()", "loss")
STEP_LOSS_AFTER = _STEP.replace(
    "return loss.detach()", "return F.cross_entropy(model(clips), labels).detach()"
)
STEP_LOOKS = _STEP.replace(
    "    loss.backward()\n",
    "    if not torch.isfinite(loss):\n        return loss.detach()\n    loss.backward()\n",
)
STEP_TO_CPU = _STEP.replace("loss.detach()", "loss.detach().cpu()")
STEP_IDLE = _STEP.replace("    optimizer.step()\n", "")

# -------------------------------------------------------------------------------------- 08.2 the schedule

RATE_FACTOR = {
    "two cases": '''
def rate_factor(step: int, warmup_steps: int, total_steps: int) -> float:
    """What the base rate is multiplied by in this step: a linear rise, then half a cosine."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return (1 + math.cos(math.pi * progress)) / 2
''',
    "squared cosine": """
def rate_factor(step, warmup_steps, total_steps):
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return (1 + step) / (1 + warmup_steps)
    return math.cos(0.5 * math.pi * (step - warmup_steps) / (total_steps - warmup_steps)) ** 2
""",
    "numpy": """
def rate_factor(step, warmup_steps, total_steps):
    rise = (step + 1) / (warmup_steps + 1)
    done = np.clip((step - warmup_steps) / (total_steps - warmup_steps), 0, 1)
    return np.minimum(rise, 1.0) * 0.5 * (1 + np.cos(np.pi * done))
""",
    "as a tensor": """
def rate_factor(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return torch.tensor((step + 1) / (warmup_steps + 1))
    angle = torch.tensor(float(step - warmup_steps)) / (total_steps - warmup_steps) * torch.pi
    return 0.5 + 0.5 * torch.cos(angle.clamp(max=torch.pi))
""",
}

_RATE = RATE_FACTOR["two cases"]
RATE_FROM_ZERO = _RATE.replace("return (step + 1) / (warmup_steps + 1)", "return step / warmup_steps")
RATE_NO_PLUS = _RATE.replace("return (step + 1) / (warmup_steps + 1)", "return (step + 1) / warmup_steps")
RATE_OVER_ALL = _RATE.replace("(step - warmup_steps) / (total_steps - warmup_steps)", "step / total_steps")
RATE_SPAN = _RATE.replace("/ (total_steps - warmup_steps)", "/ total_steps")
RATE_WHOLE_WAVE = _RATE.replace("math.pi * progress", "2 * math.pi * progress")
RATE_QUARTER = _RATE.replace("(1 + math.cos(math.pi * progress)) / 2", "math.cos(math.pi / 2 * progress)")
RATE_RISES_AGAIN = _RATE.replace("min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))",
                                 "(step - warmup_steps) / (total_steps - warmup_steps)")  # fmt: skip
RATE_LINEAR = _RATE.replace("(1 + math.cos(math.pi * progress)) / 2", "1 - progress")
RATE_NO_WARMUP = """
def rate_factor(step, warmup_steps, total_steps):
    return 0.5 * (1 + math.cos(math.pi * min(step / total_steps, 1)))
"""
RATE_NOT_HALVED = _RATE.replace("(1 + math.cos(math.pi * progress)) / 2", "1 + math.cos(math.pi * progress)")
RATE_DEGREES = _RATE.replace("math.pi * progress", "180 * progress")

# ------------------------------------------------------------------------------------ 08.3 accumulation

ACCUMULATE = {
    "shares": '''
def accumulate(model: nn.Module, parts: list[tuple[Tensor, Tensor]]) -> float:
    """Leave the gradient of the mean loss over all clips of all parts; returns that loss."""
    total = sum(len(labels) for _, labels in parts)
    model.zero_grad()
    mean_loss = 0.0
    for clips, labels in parts:
        share = F.cross_entropy(model(clips), labels) * (len(labels) / total)
        share.backward()
        mean_loss += share.item()
    return mean_loss
''',
    "sums, then divided": """
def accumulate(model, parts):
    for p in model.parameters():
        p.grad = None
    clips, loss = 0, 0.0
    for x, y in parts:
        summed = F.cross_entropy(model(x), y, reduction="sum")
        summed.backward()
        clips, loss = clips + y.shape[0], loss + summed.detach()
    for p in model.parameters():
        p.grad /= clips
    return loss / clips
""",
    "gradients in a list": """
def accumulate(model, parts):
    weights = list(model.parameters())
    sums, loss, number = [torch.zeros_like(w) for w in weights], 0.0, sum(x.shape[0] for x, _ in parts)
    for x, y in parts:
        here = nn.CrossEntropyLoss(reduction="sum")(model(x), y)
        for total, gradient in zip(sums, torch.autograd.grad(here, weights)):
            total += gradient
        loss = loss + float(here.detach())
    for weight, total in zip(weights, sums):
        weight.grad = total / number
    return loss / number
""",
    "running mean": """
def accumulate(model, parts):
    model.zero_grad(set_to_none=False)
    seen, mean = 0, 0.0
    for x, y in parts:
        new = seen + len(x)
        for p in model.parameters():
            if p.grad is not None:
                p.grad.mul_(seen / new)
        loss = F.cross_entropy(model(x), y) * len(x) / new
        loss.backward()
        mean, seen = mean * seen / new + loss.item(), new
    return torch.tensor(mean)
""",
}

_PARTS = ACCUMULATE["shares"]
PARTS_MEAN_OF_MEANS = _PARTS.replace("(len(labels) / total)", "(1 / len(parts))")
PARTS_NOT_DIVIDED = _PARTS.replace(" * (len(labels) / total)", "")
PARTS_SUMMED = _PARTS.replace("labels) * (len(labels) / total)", 'labels, reduction="sum")')
PARTS_LAST_ONLY = _PARTS.replace("    model.zero_grad()\n", "").replace(
    "        share =", "        model.zero_grad()\n        share ="
)
PARTS_OLD_STAYS = _PARTS.replace("    model.zero_grad()\n", "")
PARTS_JOINED = """
def accumulate(model, parts):
    model.zero_grad()
    x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss.item()
"""
PARTS_ONE_BACKWARD = """
def accumulate(model, parts):
    model.zero_grad()
    total = sum(len(y) for _, y in parts)
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in parts) / total
    loss.backward()
    return loss.item()
"""
PARTS_LAST_LOSS = _PARTS.replace(
    "mean_loss += share.item()", "mean_loss = share.item() * total / len(labels)"
)
PARTS_PLAIN_LOSS = _PARTS.replace(
    "mean_loss += share.item()", "mean_loss += share.item() * total / len(labels) / len(parts)"
)

# --------------------------------------------------------------------------------------- 08.4 resuming

SNAPSHOT = {
    "deep copies": '''
import copy


class Snapshot:
    """Everything that the next step depends on, kept apart from what goes on."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int):
        self.weights = copy.deepcopy(model.state_dict())
        self.moments = copy.deepcopy(optimizer.state_dict())
        self.chance = torch.get_rng_state()
        self.step = step

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        model.load_state_dict(self.weights)
        optimizer.load_state_dict(copy.deepcopy(self.moments))
        torch.set_rng_state(self.chance)
        return self.step
''',
    "as bytes": """
import io

class Snapshot:
    def __init__(self, model, optimizer, step):
        self.file = io.BytesIO()
        torch.save({"m": model.state_dict(), "o": optimizer.state_dict(), "s": step,
                    "r": torch.random.get_rng_state()}, self.file)

    def restore(self, model, optimizer):
        self.file.seek(0)
        saved = torch.load(self.file)
        model.load_state_dict(saved["m"])
        optimizer.load_state_dict(saved["o"])
        torch.random.set_rng_state(saved["r"])
        return saved["s"]
""",
    "one dictionary": """
import copy

class Snapshot:
    def __init__(self, model, optimizer, step):
        self.state = copy.deepcopy((model.state_dict(), optimizer.state_dict(), step, torch.get_rng_state()))

    def restore(self, model, optimizer):
        weights, moments, step, chance = copy.deepcopy(self.state)
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        torch.set_rng_state(chance)
        return step
""",
    "cloned tensors": """
import copy

class Snapshot:
    def __init__(self, model, optimizer, step):
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.optimizer = copy.deepcopy(optimizer.state_dict())
        self.rng, self.step = torch.default_generator.get_state(), step

    def restore(self, model, optimizer):
        with torch.no_grad():
            for name, value in model.state_dict().items():
                value.copy_(self.weights[name])
        optimizer.load_state_dict(copy.deepcopy(self.optimizer))
        torch.default_generator.set_state(self.rng)
        return torch.tensor(self.step)
""",
}

_KEPT = SNAPSHOT["deep copies"]
KEPT_WEIGHTS_ONLY = _KEPT.replace(
    "        optimizer.load_state_dict(copy.deepcopy(self.moments))\n", ""
).replace("        torch.set_rng_state(self.chance)\n", "")
KEPT_NO_MOMENTS = _KEPT.replace("        optimizer.load_state_dict(copy.deepcopy(self.moments))\n", "")
KEPT_NO_CHANCE = _KEPT.replace("        torch.set_rng_state(self.chance)\n", "")
KEPT_SEED = _KEPT.replace("torch.get_rng_state()", "torch.initial_seed()").replace(
    "torch.set_rng_state(self.chance)", "torch.manual_seed(self.chance)"
)
KEPT_BY_REFERENCE = _KEPT.replace("copy.deepcopy(model.state_dict())", "model.state_dict()")
KEPT_SHALLOW = _KEPT.replace("copy.deepcopy(model.state_dict())", "dict(model.state_dict())")
KEPT_MOMENTS_BY_REFERENCE = _KEPT.replace("copy.deepcopy(optimizer.state_dict())", "optimizer.state_dict()")
KEPT_HANDED_OUT = _KEPT.replace("copy.deepcopy(self.moments)", "self.moments")
KEPT_NO_STEP = _KEPT.replace("        return self.step\n", "")
KEPT_STEP_ON = _KEPT.replace("return self.step", "return self.step + 1")
KEPT_NOT_RESTORED = _KEPT.replace(
    "        model.load_state_dict(self.weights)\n", "        model = self.weights\n"
)

# ---------------------------------------------------------------------------------- 08.5 one crop a clip

RANDOM_CROP = {
    "clip after clip": '''
def random_crop(clips: Tensor, size: int, generator: torch.Generator) -> Tensor:  # (B, T, C, H, W)
    """A square of each clip, at a random place of its own, the same in all of its frames."""
    H, W = clips.shape[-2:]
    squares = []
    for clip in clips:
        top = int(torch.randint(H - size + 1, (1,), generator=generator))
        left = int(torch.randint(W - size + 1, (1,), generator=generator))
        squares.append(clip[..., top : top + size, left : left + size])
    return torch.stack(squares)
''',
    "all places first": """
def random_crop(clips, size, generator):
    B, T, C, H, W = clips.shape
    tops = torch.randint(0, H - size + 1, (B,), generator=generator)
    lefts = torch.randint(0, W - size + 1, (B,), generator=generator)
    out = torch.empty(B, T, C, size, size, dtype=clips.dtype)
    for b in range(B):
        out[b] = clips[b].narrow(-2, int(tops[b]), size).narrow(-1, int(lefts[b]), size)
    return out
""",
    "by index": """
def random_crop(clips, size, generator):
    B, T, C, H, W = clips.shape
    top = torch.randint(H - size + 1, (B, 1), generator=generator) + torch.arange(size)
    left = torch.randint(W - size + 1, (B, 1), generator=generator) + torch.arange(size)
    b = torch.arange(B)[:, None, None]
    return clips.permute(0, 3, 4, 1, 2)[b, top[:, :, None], left[:, None, :]].permute(0, 3, 4, 1, 2)
""",
    "from uniform numbers": """
def random_crop(clips, size, generator):
    room = torch.tensor([clips.shape[3] - size + 1, clips.shape[4] - size + 1])
    places = (torch.rand(len(clips), 2, generator=generator) * room).floor().long().tolist()
    return torch.stack([c[:, :, i : i + size, j : j + size] for c, (i, j) in zip(clips, places)])
""",
}

_CROP = RANDOM_CROP["clip after clip"]
CROP_PER_FRAME = """
def random_crop(clips, size, generator):
    H, W = clips.shape[-2:]
    out = []
    for clip in clips:
        frames = []
        for frame in clip:
            top = int(torch.randint(H - size + 1, (1,), generator=generator))
            left = int(torch.randint(W - size + 1, (1,), generator=generator))
            frames.append(frame[..., top : top + size, left : left + size])
        out.append(torch.stack(frames))
    return torch.stack(out)
"""
CROP_ONE_FOR_ALL = """
def random_crop(clips, size, generator):
    H, W = clips.shape[-2:]
    top = int(torch.randint(H - size + 1, (1,), generator=generator))
    left = int(torch.randint(W - size + 1, (1,), generator=generator))
    return clips[..., top : top + size, left : left + size]
"""
CROP_NEVER_LAST = _CROP.replace("H - size + 1", "H - size").replace("W - size + 1", "W - size")
CROP_GLOBAL_CHANCE = _CROP.replace(", generator=generator", "")
CROP_SAME_BOTH_WAYS = _CROP.replace(
    "left = int(torch.randint(W - size + 1, (1,), generator=generator))", "left = min(top, W - size)"
)
CROP_RESEEDS = _CROP.replace("    squares = []\n", "    squares = []\n    generator.manual_seed(0)\n")
CROP_CENTRE = """
def random_crop(clips, size, generator):
    top, left = (clips.shape[-2] - size) // 2, (clips.shape[-1] - size) // 2
    return clips[..., top : top + size, left : left + size]
"""
CROP_EXCHANGED = _CROP.replace("H, W = clips", "W, H = clips")
CROP_PER_CHANNEL = CROP_PER_FRAME.replace("for clip in clips:", "for clip in clips.transpose(1, 2):").replace(
    "return torch.stack(out)", "return torch.stack(out).transpose(1, 2)"
)
CROP_FLOAT = _CROP.replace("return torch.stack(squares)", "return torch.stack(squares).float() / 255")

# ----------------------------------------------------------------------------------------- 08.6 the hunt

MENDED = {
    "in order": '''
def mended(
    model: nn.Module, batches: list, held_out: tuple, optimizer: torch.optim.Optimizer, rate
) -> tuple[list[float], list[float]]:
    """Train on the batches; the loss of each step, and the accuracy on held_out after it."""
    course, shares = [], []
    for number, (inputs, wanted) in enumerate(batches):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = rate(number)
        optimizer.zero_grad()
        answer = F.cross_entropy(model(inputs), wanted)
        answer.backward()
        optimizer.step()
        course.append(answer.item())
        model.eval()
        with torch.no_grad():
            right = model(held_out[0]).argmax(dim=1) == held_out[1]
        shares.append(right.float().mean().item())
    return course, shares
''',
    "with two functions": """
def mended(model, batches, held_out, optimizer, rate):
    @torch.no_grad()
    def accuracy(clips, labels):
        model.eval()
        said = model(clips).argmax(-1)
        model.train()
        return float((said == labels).sum()) / len(labels)

    def learn(factor, clips, labels):
        optimizer.zero_grad(set_to_none=True)
        for g in optimizer.param_groups:
            g.update(lr=factor)
        loss = F.nll_loss(F.log_softmax(model(clips), -1), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    model.train()
    pairs = [(learn(rate(i), *b), accuracy(*held_out)) for i, b in enumerate(batches)]
    return [p[0] for p in pairs], [p[1] for p in pairs]
""",
    "with tensors": """
def mended(model, batches, held_out, optimizer, rate):
    losses, accuracies = torch.zeros(len(batches)), torch.zeros(len(batches))
    for i in range(len(batches)):
        clips, labels = batches[i]
        model.train()
        for p in model.parameters():
            p.grad = None
        loss = nn.CrossEntropyLoss()(model(clips), labels)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = rate(i)
        optimizer.step()
        losses[i] = loss.detach()
        model.train(False)
        with torch.inference_mode():
            accuracies[i] = (model(held_out[0]).max(1).indices == held_out[1]).double().mean()
    return losses, accuracies
""",
}

_MENDED = MENDED["in order"]
HUNT_SOFTMAX = _MENDED.replace(
    "F.cross_entropy(model(inputs), wanted)", "F.cross_entropy(model(inputs).softmax(-1), wanted)"
)
HUNT_NOT_CLEARED = _MENDED.replace("        optimizer.zero_grad()\n", "")
HUNT_RATE_LATE = _MENDED.replace(
    '        for group in optimizer.param_groups:\n            group["lr"] = rate(number)\n', ""
).replace(
    "        optimizer.step()\n",
    "        optimizer.step()\n"
    '        for group in optimizer.param_groups:\n            group["lr"] = rate(number)\n',
)
HUNT_ONE_GROUP = _MENDED.replace(
    '        for group in optimizer.param_groups:\n            group["lr"] = rate(number)\n',
    '        optimizer.param_groups[0]["lr"] = rate(number)\n',
)
HUNT_KEEPS_GRAPH = _MENDED.replace("course.append(answer.item())", "course.append(answer)")
HUNT_STAYS_IN_EVAL = _MENDED.replace("        model.train()\n", "")
HUNT_NEVER_EVAL = _MENDED.replace("        model.eval()\n", "")
HUNT_WITH_GRADIENT = _MENDED.replace("with torch.no_grad():", "if True:")
HUNT_ON_TRAINING = _MENDED.replace(
    "model(held_out[0]).argmax(dim=1) == held_out[1]", "model(inputs).argmax(dim=1) == wanted"
)
HUNT_SICK = """
def mended(model, batches, held_out, optimizer, rate):
    losses, accuracies = [], []
    for step, (x, y) in enumerate(batches):
        loss = F.cross_entropy(model(x).softmax(dim=-1), y)
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = rate(step)
        losses.append(loss)
        model.eval()
        said = model(x).argmax(dim=-1)
        accuracies.append(float((said == y).float().mean()))
    return losses, accuracies
"""
