"""The exercises of lesson 08: a device-safe step, the schedule, accumulation, resuming, one crop, a hunt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_08 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    call_in_place,
    expect,
    expect_close,
    expect_integer,
    expect_number,
    expect_tensor,
)

Batch = dict[str, Any]


def weights_of(model: nn.Module) -> Tensor:
    """All parameters of a model in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


def gradient_of(model: nn.Module) -> Tensor:
    """All gradients of a model in one row; zeros where there is none."""
    rows = [
        torch.zeros_like(one).flatten() if one.grad is None else one.grad.flatten()
        for one in model.parameters()
    ]
    return torch.cat(rows).clone()


def small_model(*, dropout: float = 0.0, seed: int = 3) -> nn.Sequential:
    """Clips of (2, 1, 1, 3) → 3 classes; the same weights each time."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def small_batch(number: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Clips (number, 2, 1, 1, 3) and their labels."""
    generator = torch.Generator().manual_seed(seed)
    clips = scale * torch.randn(number, 2, 1, 1, 3, generator=generator)
    return clips, torch.randint(3, (number,), generator=generator)


# ------------------------------------------------------------------------------------------------- 08.1

STEP_BATCHES = (small_batch(7, 11, 3.0), small_batch(5, 12, 0.2), small_batch(7, 13, 3.0))
LARGEST = 0.8


def as_batch(pair: tuple[Tensor, Tensor]) -> Batch:
    """A batch as the loader gives it."""
    return {"clip": pair[0], "labels": pair[1], "path": [f"{i}.mp4" for i in range(len(pair[1]))]}


def steps_by_the_book(slip: str = "", batches: int = 3) -> tuple[Tensor, list[float]]:
    """The weights after the steps of the check, and the losses, with one mistake made on purpose."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for clips, labels in STEP_BATCHES[:batches]:
        if slip != "kept":
            optimizer.zero_grad()
        loss = F.cross_entropy(model(clips), labels, reduction="sum" if slip == "sum" else "mean")
        loss.backward()
        parameters = list(model.parameters())
        if slip == "value":
            nn.utils.clip_grad_value_(parameters, LARGEST)
        elif slip == "tensor":
            for one in parameters:
                nn.utils.clip_grad_norm_(one, LARGEST)
        elif slip == "scaled":
            length = gradient_of(model).norm()
            for one in parameters:
                one.grad.mul_(LARGEST / length)  # type: ignore[union-attr]
        elif slip not in ("unclipped", "early"):
            nn.utils.clip_grad_norm_(parameters, LARGEST)
        optimizer.step()
        losses.append(float(loss.detach()))
    return weights_of(model), losses


def on_meta(train_step: Callable[..., Any]) -> Callable[..., Any]:
    """The step as it is, with what a tensor without a device's memory complains of told in words."""

    def stepped(*args: Any) -> Any:
        try:
            return train_step(*args)
        except (RuntimeError, NotImplementedError, AssertionError, ValueError) as error:
            text = str(error)
            if "foreach" in text:  # a fast path that this device lacks; all before it went well
                return torch.zeros((), device="meta")
            if "item()" in text:
                raise Mistake(
                    "the step looks at a number (.item(), float(), or an `if` about a tensor): a GPU works "
                    "behind the program's back, and looking makes the program wait for it; return the "
                    "detached tensor"
                ) from None
            if "copy out of meta" in text:
                raise Mistake(
                    "something on the model's device is fetched back or the model itself is moved; leave "
                    "both where they are, and bring the batch to them"
                ) from None
            if "CUDA" in text or "NVIDIA" in text:
                raise Mistake(BY_NAME) from None
            if "on device" in text or "same device" in text or "meta" in text:
                raise Mistake(
                    "clips or labels stay on another device than the model: move both to where its "
                    "parameters are (next(model.parameters()).device), not to a device chosen by name"
                ) from None
            raise

    return stepped


BY_NAME = (
    "the device is asked for by name: that machine may have no CUDA, or the model may be elsewhere; take the "
    "device of the model's parameters"
)


def check_train_step(train_step: Callable[..., Tensor]) -> None:
    """Three steps against the book; then the same on a device that has no memory to look into."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    start, losses = weights_of(model), []
    for pair in STEP_BATCHES:
        try:
            loss = call(train_step, model, optimizer, as_batch(pair), LARGEST)
        except Mistake as mistake:
            if "CUDA" in str(mistake) or "NVIDIA" in str(mistake):
                raise Mistake(BY_NAME) from None
            raise
        if isinstance(loss, float):
            raise Mistake(
                "a Python number comes back: reading it makes the program wait for the GPU in every step; "
                "return the detached tensor, and look at it when you need to"
            )
        loss = expect_tensor(loss, (), kind="float", name="the loss")
        expect(
            not loss.requires_grad,
            "the loss that comes back still holds on to its graph: keep a list of these and the "
            "memory fills; "
            "detach it",
        )
        losses.append(float(loss))
    right, right_losses = steps_by_the_book()
    expect_close(
        losses[0],
        right_losses[0],
        name="the loss of the first step",
        likely={
            "the loss is a sum over the clips; the contract says their mean": steps_by_the_book("sum")[1][0]
        },
        otherwise="it is the mean cross-entropy of this batch before the step, not one computed "
        "again after it",
    )
    expect(not torch.equal(weights_of(model), start), "the weights have not moved: no step was taken")
    expect(
        model.training,
        "the model is in evaluation mode after the step, though it came in training mode: without dropout it "
        "is another training",
    )
    expect_close(
        weights_of(model),
        right,
        name="the weights after three steps",
        likely={
            "old gradients are not cleared: backward() adds to what is there": steps_by_the_book("kept")[0],
            "the gradient reaches the optimiser unclipped: clip after backward() and before the step": (
                steps_by_the_book("unclipped")[0]
            ),
            "each number is clipped for itself, which bends the direction; clip the length of the whole "
            "gradient": steps_by_the_book("value")[0],
            "each tensor is clipped for itself; the length is that of all gradients together": (
                steps_by_the_book("tensor")[0]
            ),
            "a gradient shorter than max_norm is made longer: leave short ones alone": (
                steps_by_the_book("scaled")[0]
            ),
        },
        otherwise="clear, backward, clip, step, in this order",
    )
    expect_close(
        torch.tensor(losses),
        torch.tensor(right_losses),
        name="the loss that comes back",
        otherwise="it is the loss of this batch before the step, not one computed again after it",
    )
    far = small_model().to("meta")
    optimizer = torch.optim.SGD(far.parameters(), lr=0.5)
    loss = call_in_place(on_meta(train_step), far, optimizer, as_batch(STEP_BATCHES[0]), LARGEST)
    expect(all(one.device.type == "meta" for one in far.parameters()), "the model was moved; move the batch")
    expect(
        isinstance(loss, Tensor) and loss.device.type == "meta",
        "the loss comes back on another device: fetching it makes the program wait",
    )


def weights_after_steps(train_step: Callable[..., Any], count: int = 3) -> Tensor:
    """What an answer makes of the first batches."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for pair in STEP_BATCHES[:count]:
        train_step(model, optimizer, as_batch(pair), LARGEST)
    return weights_of(model)


def weights_after_a_short_gradient(train_step: Callable[..., Any]) -> Tensor:
    """One step whose gradient is shorter than the limit."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    train_step(model, optimizer, as_batch(STEP_BATCHES[0]), 1e4)
    return weights_of(model)


# ------------------------------------------------------------------------------------------------- 08.2


def rates(rise: Callable[[int], float], fall: Callable[[int], float], warmup: int, steps: int) -> list[float]:
    """A table of factors from its two parts."""
    return [rise(step) if step < warmup else fall(step) for step in range(steps)]


def check_rate_factor(rate_factor: Callable[..., float]) -> None:
    """A run with warm-up and two steps past its end, then one without, then one with a long warm-up."""
    for warmup, total in ((3, 11), (0, 7), (5, 8)):
        steps = total + 3
        got = [
            expect_number(call(rate_factor, step, warmup, total), name=f"the factor of step {step}")
            for step in range(steps)
        ]

        def rise(step: int, warmup: int = warmup) -> float:
            return (step + 1) / (warmup + 1)

        def done(step: int, warmup: int = warmup, total: int = total) -> float:
            return min(1.0, (step - warmup) / (total - warmup))

        def fall(step: int, done: Callable[[int], float] = done) -> float:
            return 0.5 * (1 + math.cos(math.pi * done(step)))

        def beyond(step: int, warmup: int = warmup, total: int = total) -> float:
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))

        def table(
            rise: Any = rise, fall: Any = fall, warmup: int = warmup, steps: int = steps
        ) -> list[float]:
            return rates(rise, fall, warmup, steps)

        def over_all(step: int, total: int = total) -> float:
            return 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))

        def span(step: int, warmup: int = warmup, total: int = total) -> float:
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / total)))

        expect_close(
            got,
            table(),
            name=f"the table of factors ({warmup} steps of warm-up, {total} in all)",
            likely={
                "the warm-up starts at 0: its first step is wasted; begin with 1 / (warmup_steps + 1)": table(
                    rise=lambda step, warmup=warmup: step / max(warmup, 1)
                ),
                "the warm-up reaches 1 one step too early: divide by warmup_steps + 1": table(
                    rise=lambda step, warmup=warmup: (step + 1) / max(warmup, 1)
                ),
                "the cosine counts the warm-up as its own: it must begin at 1 where the warm-up ends": table(
                    fall=over_all
                ),
                "the cosine is stretched over total_steps; it has only total_steps − warmup_steps": table(
                    fall=span
                ),
                "a whole wave comes back up at the end; half a wave goes from 1 to 0": table(
                    fall=lambda step, done=done: 0.5 * (1 + math.cos(2 * math.pi * done(step)))
                ),
                "a quarter of a wave: it stays high and ends abruptly; take (1 + cos(π · "
                "progress)) / 2": table(fall=lambda step, done=done: math.cos(math.pi / 2 * done(step))),
                "after total_steps the rate rises again; from there on it stays at 0": table(fall=beyond),
                "the fall is a straight line; it should be half a cosine": table(
                    fall=lambda step, done=done: 1 - done(step)
                ),
                "there is no warm-up: the first factors should rise": table(rise=over_all, fall=over_all),
                "the curve reaches 0 one step early: its last step would do nothing; it is 0 in step "
                "total_steps": table(
                    fall=lambda step, warmup=warmup, total=total: (
                        0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / (total - 1 - warmup))))
                    )
                ),
                "rise and cosine are multiplied: the cosine begins where the rise has ended": table(
                    rise=lambda step, rise=rise, over_all=over_all: rise(step) * over_all(step), fall=over_all
                ),
                "the second part rises: 1 + cos falls, 1 − cos rises": table(
                    fall=lambda step, fall=fall: 1 - fall(step)
                ),
                "the cosine goes from 2 to 0: halve it": table(fall=lambda step, fall=fall: 2 * fall(step)),
                "math.cos takes radians: half a turn is π": table(
                    fall=lambda step, done=done: 0.5 * (1 + math.cos(180 * done(step)))
                ),
                "the factor is always 0": [0.0] * steps,
                "the factor is always 1: nothing is scheduled": [1.0] * steps,
            },
            otherwise="a straight rise to 1 in step warmup_steps, then half a cosine to 0 in step "
            "total_steps",
        )


# ------------------------------------------------------------------------------------------------- 08.3

UNEVEN = (small_batch(7, 21), small_batch(5, 22), small_batch(2, 23))
EVEN = (small_batch(3, 24), small_batch(3, 25))


class Watched(nn.Module):
    """A model that notes how many clips it sees, and when a gradient comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_model()
        self.seen: list[int] = []
        self.events: list[str] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.seen.append(len(clips))
        self.events.append("forward")
        logits: Tensor = self.inner(clips)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self.events.append("backward"))
        return logits


def gradient_by_the_book(weigh: Callable[[int], float], pairs: Any = UNEVEN, old: float = 0.0) -> Tensor:
    """Sum of the parts' mean gradients, each times its weight, plus what was there before."""
    total = torch.full_like(weights_of(small_model()), old)
    for clips, labels in pairs:
        model = small_model()
        F.cross_entropy(model(clips), labels).backward()
        total += weigh(len(labels)) * gradient_of(model)
    return total


def check_accumulate(accumulate: Callable[..., Any]) -> None:
    """Three uneven parts on a model that still has an old gradient."""
    model = Watched()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    clips = sum(len(labels) for _, labels in UNEVEN)
    before = weights_of(model)
    said = call(accumulate, model, list(UNEVEN))
    expect(
        torch.equal(weights_of(model), before),
        "the weights have changed: a step was taken; here only the gradient is asked for",
    )
    expect(bool(model.seen), "the model was never called")
    expect(model.training, "the model was put into evaluation mode; leave its mode as it is")
    expect(
        max(model.seen) <= 7,
        "the parts are joined and go through the model at once: that is the batch that did not fit; send one "
        "part at a time",
    )
    expect(
        model.seen == [7, 5, 2],
        f"the model saw parts of {model.seen} clips; each part goes in once, in order",
    )
    expect("backward" in model.events, "no gradient was computed: call backward() for each part")
    expect(
        model.events == ["forward", "backward"] * 3,
        "all parts go forward before the first goes back: their activations lie in memory together; call "
        "backward() right after each part",
    )
    last = UNEVEN[-1:]
    expect_close(
        gradient_of(model),
        gradient_by_the_book(lambda count: count / clips),
        name="the gradient",
        likely={
            "each part counts alike, whatever its size: a clip in a small part weighs more; weigh a part by "
            "its clips": gradient_by_the_book(lambda count: 1 / 3),
            "the parts' means are added and never divided": gradient_by_the_book(lambda count: 1.0),
            "this is the gradient of the sum over all clips; divide by their number": gradient_by_the_book(
                lambda count: float(count)
            ),
            "only the last part is left: gradients are cleared inside the loop": gradient_by_the_book(
                lambda count: count / clips, last
            ),
            "only the last part is left, and undivided: gradients are cleared inside the loop": (
                gradient_by_the_book(lambda count: 1.0, last)
            ),
            "the gradient from before is in it as well: clear once, at the start": gradient_by_the_book(
                lambda count: count / clips, old=1.0
            ),
            "no gradient is left: it is cleared at the end": torch.zeros_like(gradient_of(model)),
        },
        otherwise="it should be that of the mean loss over all clips",
    )
    expect(
        not (isinstance(said, Tensor) and said.requires_grad),
        "the loss that comes back still holds on to its graphs, which is the memory that was to "
        "be saved: add "
        "up .item() or the detached loss",
    )
    each = [float(F.cross_entropy(small_model()(x), y).detach()) for x, y in UNEVEN]
    mean = sum(loss * len(y) for loss, (_, y) in zip(each, UNEVEN, strict=True)) / clips
    expect_close(
        expect_number(said, name="the loss that comes back"),
        mean,
        name="the loss that comes back",
        likely={
            "the loss that comes back is the last part's": each[-1],
            "the loss that comes back is the mean of the parts' means: weigh them by their clips": sum(each)
            / 3,
            "the loss that comes back is the sum of the parts' means": sum(each),
            "the loss that comes back is the sum over the clips": mean * clips,
            "the loss that comes back is the last part's share only": each[-1] * 2 / clips,
        },
        otherwise="the mean over all clips",
    )


def gradient_left_by(accumulate: Callable[..., Any], pairs: Any, old: bool = False) -> Tensor:
    """The gradient an answer leaves in a fresh model."""
    model = small_model()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) if old else torch.zeros_like(parameter)
    accumulate(model, list(pairs))
    return gradient_of(model)


# ------------------------------------------------------------------------------------------------- 08.4

BROKEN_OFF = 3


def trainer(*, seed: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model with dropout and AdamW, as a resumed run builds them afresh."""
    model = small_model(dropout=0.5, seed=seed)
    return model, torch.optim.AdamW(model.parameters(), lr=0.05)


def train_on(model: nn.Module, optimizer: torch.optim.Optimizer, start: int, end: int) -> None:
    """Steps ``start`` to ``end`` of the run of the check; the rate depends on the step."""
    for step in range(start, end):
        clips, labels = small_batch(7, 100 + step)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (1 + step)
        loss = F.cross_entropy(model(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def flat_state(optimizer: torch.optim.Optimizer) -> Tensor:
    """The optimiser's running means in one row; empty where it has none yet."""
    rows = [
        value.detach().double().flatten()
        for one in optimizer.state_dict()["state"].values()
        for value in one.values()
        if isinstance(value, Tensor)
    ]
    return torch.cat(rows).clone() if rows else torch.zeros(0)


def resumed(snapshot: Any, *, seed: int) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    """A freshly built model and optimiser, after restore."""
    model, optimizer = trainer(seed=seed)
    optimizer.param_groups[0]["weight_decay"] = 0.5  # as if it were built with other settings
    torch.manual_seed(1000 + seed)
    return model, optimizer, call(snapshot.restore, model, optimizer)


def check_snapshot(make: Callable[..., Any]) -> None:
    """Break a run off, go on; then resume it twice from the snapshot, and compare bit by bit."""
    model, optimizer = trainer()
    torch.manual_seed(5)
    train_on(model, optimizer, 0, BROKEN_OFF)
    weights, moments, chance = weights_of(model), flat_state(optimizer), torch.get_rng_state()
    snapshot = call(make, model, optimizer, BROKEN_OFF)
    expect(
        callable(getattr(snapshot, "restore", None)),
        "what comes back has no restore(model, optimizer): Snapshot is a class with this method",
    )
    expect(
        torch.equal(torch.get_rng_state(), chance) and torch.equal(weights_of(model), weights),
        "taking the snapshot disturbs the run: it draws random numbers or changes the model",
    )
    train_on(model, optimizer, BROKEN_OFF, 6)
    truth = weights_of(model)
    for attempt in range(2):
        again = " the second time" if attempt else ""
        fresh, fresh_optimizer, step = resumed(snapshot, seed=7 + attempt)
        expect(step is not None, "restore returns None: it should return the number of steps done")
        step = expect_integer(step, name="what restore returns")
        expect(step == BROKEN_OFF, f"restore returns step {step}; {BROKEN_OFF} were done when it was taken")
        restored = weights_of(fresh)
        if torch.equal(restored, truth):
            raise Mistake(
                "the snapshot's weights went on training: state_dict() hands out the live "
                "tensors, so copy them "
                "(copy.deepcopy, or clone each)"
            )
        expect(
            torch.equal(restored, weights),
            f"the weights after restore{again} are not those of the snapshot: load them into the given model",
        )
        state = flat_state(fresh_optimizer)
        expect(
            len(state) > 0,
            "the optimiser starts from nothing: AdamW's two running means and its step count belong into the "
            "snapshot",
        )
        if not torch.equal(state, moments):
            raise Mistake(
                "the optimiser's means changed between two restores: load_state_dict hands over the tensors "
                "themselves, and the resumed run trains on in them; hand out a copy"
                if attempt
                else "the optimiser's means went on training after the snapshot: "
                "optimizer.state_dict() hands "
                "out live tensors; copy them"
            )
        expect(
            fresh_optimizer.param_groups[0]["weight_decay"] == optimizer.param_groups[0]["weight_decay"],
            "the optimiser's settings (rate, decay …) are those it was built with, not the "
            "snapshot's: they stand "
            "in its state_dict() under param_groups; keep all of it",
        )
        expect(
            torch.equal(torch.get_rng_state(), chance),
            "the random numbers go on from somewhere else, so dropout drops others: keep "
            "torch.get_rng_state() "
            "(a seed is only where a run began)",
        )
        train_on(fresh, fresh_optimizer, step, 6)
        expect(
            torch.equal(weights_of(fresh), truth),
            f"the resumed run{again} does not end in the same weights, bit by bit",
        )


def weights_of_resumed_run(make: Callable[..., Any]) -> Tensor:
    """Where a run ends that was broken off after three steps and resumed."""
    model, optimizer = trainer()
    torch.manual_seed(5)
    train_on(model, optimizer, 0, BROKEN_OFF)
    snapshot = make(model, optimizer, BROKEN_OFF)
    train_on(model, optimizer, BROKEN_OFF, 6)
    fresh, fresh_optimizer = trainer(seed=7)
    torch.manual_seed(1007)
    snapshot.restore(fresh, fresh_optimizer)
    train_on(fresh, fresh_optimizer, BROKEN_OFF, 6)
    return weights_of(fresh)


def weights_of_plain_resumed_run(make: Callable[..., Any]) -> Tensor:
    """The same at once, with an optimiser that remembers nothing and a model that draws nothing."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_on(model, optimizer, 0, BROKEN_OFF)
    snapshot = make(model, optimizer, BROKEN_OFF)
    fresh = small_model(seed=7)
    fresh_optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1)
    snapshot.restore(fresh, fresh_optimizer)
    train_on(fresh, fresh_optimizer, BROKEN_OFF, 6)
    return weights_of(fresh)


# ------------------------------------------------------------------------------------------------- 08.5


def coded_clips(number: int, frames: int, channels: int, height: int, width: int) -> Tensor:
    """Clips in which every number stands once, so that a piece tells where it was cut."""
    shape = (number, frames, channels, height, width)
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape)


def places_in(pieces: Tensor, clips: Tensor) -> Tensor:
    """(B, T, C, 2): row and column of each piece's corner."""
    width = clips.shape[-1]
    inside = (pieces[..., 0, 0] - clips[..., 0, 0]).long()
    return torch.stack([inside // width, inside % width], dim=-1)


def check_random_crop(random_crop: Callable[..., Tensor]) -> None:
    """Many small clips whose pixels tell where they come from."""
    clips, size = coded_clips(211, 3, 2, 11, 7), 5

    def crops(seed: int) -> Tensor:
        result = call(random_crop, clips, size, torch.Generator().manual_seed(seed))
        return expect_tensor(result, (211, 3, 2, size, size), kind="float", name="the crops")

    pieces = crops(0)
    inside = pieces - clips[..., :1, :1]
    expect(
        bool(((inside >= 0) & (inside < 77)).all()),
        "some pixels come from another clip, frame or channel, or are no pixels of the clip at all",
    )
    steps = torch.arange(size)
    expect(
        torch.equal(pieces, pieces[..., :1, :1] + 7 * steps[:, None] + steps),
        "a piece is not a square of neighbouring pixels: take a slice of rows and one of columns, with H of "
        "the rows and W of the columns",
    )
    places = places_in(pieces, clips)
    expect(
        bool((places == places[:, :, :1]).all()),
        "the channels of a frame are cut at different places: the colours come apart",
    )
    expect(
        bool((places == places[:, :1]).all()),
        "each frame is cut at a place of its own: that adds a motion that nobody filmed; draw one "
        "place a clip",
    )
    corners = places[:, 0, 0]
    first = corners[0].tolist()
    if bool((corners == corners[0]).all()):
        elsewhere = places_in(crops(1), clips)[0, 0, 0].tolist() != first
        elsewhere |= places_in(crops(2), clips)[0, 0, 0].tolist() != first
        raise Mistake(
            "one place is drawn for the whole batch: each clip should get its own"
            if elsewhere
            else "nothing is random: all clips are cut at the same place, whatever the generator's seed"
        )
    for axis, name, last in ((0, "row", 6), (1, "column", 2)):
        found = sorted(set(corners[:, axis].tolist()))
        expect(
            last in found or len(found) == 1,
            f"the last possible {name} is never chosen: randint leaves out its upper end, so it "
            f"takes the size "
            "difference plus 1",
        )
        expect(
            len(found) == last + 1,
            f"only the {name}s {found} of 0 to {last} are ever chosen; each should be",
        )
    expect(
        len({tuple(corner) for corner in corners.tolist()}) == 21,
        "row and column are not drawn independently: some corners never come up",
    )
    rows, columns = torch.cat([places_in(crops(seed), clips)[:, 0, 0] for seed in range(4)]).T
    counts = torch.bincount(columns, minlength=3) / len(columns)
    edges = float(((rows == 0) | (rows == 6)).float().mean())  # 2 of 7 places: 0.29, with a spread of 0.016
    expect(
        bool(((counts > 0.23) & (counts < 0.44)).all()) and 0.22 < edges < 0.36,
        "some places come up far more often than others: draw whole numbers with torch.randint; "
        "rounding gives "
        "the two edges half of what is theirs",
    )
    torch.manual_seed(99)
    expect(
        torch.equal(crops(0), pieces),
        "the same generator gives other crops: chance must come from the generator that is passed in, or a "
        "resumed run differs",
    )
    generator = torch.Generator().manual_seed(4)
    one, two = (call(random_crop, clips, size, generator) for _ in range(2))
    expect(
        not torch.equal(one, two),
        "the same crops again from one generator: it is seeded anew inside; just draw from it",
    )
    whole = coded_clips(2, 3, 1, 5, 5)
    same = expect_tensor(
        call(random_crop, whole, 5, torch.Generator().manual_seed(0)), (2, 3, 1, 5, 5), name="the crops"
    )
    expect(torch.equal(same, whole), "a square as large as the frame is the whole clip")
    bytes_in = torch.arange(2 * 3 * 16).remainder(251).to(torch.uint8).reshape(2, 3, 1, 4, 4)
    bytes_out = call(random_crop, bytes_in, 3, torch.Generator().manual_seed(0))
    expect_tensor(bytes_out, (2, 3, 1, 3, 3), dtype=torch.uint8, name="the crop of a clip of bytes")


def facts_of_crops(random_crop: Callable[..., Tensor], height: int = 11, width: int = 7) -> list[bool]:
    """What can be said of an answer's crops whatever the order of its draws."""
    clips = coded_clips(97, 3, 2, height, width)
    pieces = random_crop(clips, 5, torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    again = random_crop(clips, 5, torch.Generator().manual_seed(0))
    places = places_in(pieces, clips)
    return [
        bool((places == places[:, :1]).all()),
        bool((places == places[:, :, :1]).all()),
        bool((places[1:] != places[:1]).any()),
        bool((places[..., 0] == height - 5).any()),
        bool(torch.equal(pieces, again)),
    ]


def piece_of_a_picture(random_crop: Callable[..., Tensor]) -> Tensor:
    """A single frame as large as the square: nothing is left to chance."""
    return random_crop(coded_clips(1, 1, 1, 5, 5), 5, torch.Generator().manual_seed(0))


def whether_one_frame_agrees(random_crop: Callable[..., Tensor]) -> list[bool]:
    """Facts of crops of clips with a single frame, where frames cannot disagree."""
    clips = coded_clips(53, 1, 1, 11, 7)
    places = places_in(random_crop(clips, 5, torch.Generator().manual_seed(0)), clips)
    return [bool((places == places[:, :1]).all()), bool((places[..., 0] == 6).any())]


# ------------------------------------------------------------------------------------------------- 08.6

HUNT_BATCHES = tuple(small_batch(7, 40 + step) for step in range(4))
HELD_OUT = small_batch(13, 51)
RATES = (0.02, 0.3, 0.2, 0.05)


class Diary(nn.Module):
    """A model with dropout that notes how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_model(dropout=0.5)
        self.calls: list[tuple[int, bool, bool]] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.calls.append((len(clips), self.training, torch.is_grad_enabled()))
        logits: Tensor = self.inner(clips)
        return logits


def two_groups(model: nn.Module) -> torch.optim.SGD:
    """SGD with two groups, as weight decay makes them."""
    parameters = list(model.parameters())
    return torch.optim.SGD([{"params": parameters[:2]}, {"params": parameters[2:]}], lr=0.7)


def rate_of(step: int) -> float:
    """The rates of the check."""
    return RATES[step] if step < len(RATES) else 0.0


def hunt_by_the_book(slip: str = "") -> tuple[Tensor, list[float], list[float]]:
    """Weights, losses and accuracies of the mended loop, with one mistake made on purpose."""
    model = small_model(dropout=0.5)
    optimizer = two_groups(model)
    torch.manual_seed(6)
    losses, accuracies = [], []
    for step, (clips, labels) in enumerate(HUNT_BATCHES):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = rate_of(step)
        if slip != "kept":
            optimizer.zero_grad()
        logits = model(clips)
        loss = F.cross_entropy(logits.softmax(-1) if slip == "softmax" else logits, labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        model.eval()
        with torch.no_grad():
            x, y = (clips, labels) if slip == "training" else HELD_OUT
            accuracies.append(float((model(x).argmax(1) == y).float().mean()))
    return weights_of(model), losses, accuracies


def check_mended(mended: Callable[..., Any]) -> None:
    """Four steps of a model that keeps a diary, with an optimiser that is asked for its rates."""
    model = Diary()
    optimizer = two_groups(model)
    used: list[list[float]] = []
    optimizer.register_step_pre_hook(
        lambda one, *_: used.append([float(group["lr"]) for group in one.param_groups])
    )
    torch.manual_seed(6)
    result = call(mended, model, list(HUNT_BATCHES), HELD_OUT, optimizer, rate_of)
    expect(
        isinstance(result, (tuple, list)) and len(result) == 2,
        "two lists come back: the losses, and the accuracies"
        if result is not None
        else "a `return` is missing",
    )
    for name, values in zip(("losses", "accuracies"), result, strict=True):
        expect(
            hasattr(values, "__len__") and len(values) == 4, f"the {name} are not one for each of the 4 steps"
        )
        expect(
            not any(isinstance(value, Tensor) and value.requires_grad for value in values),
            f"the {name} keep every step's graph alive, and the memory fills: keep numbers "
            f"(.item()) or detach",
        )
    expect(len(used) == 4, f"the optimiser took {len(used)} steps for 4 batches")
    expect(
        [row[0] for row in used] != [0.7, *RATES[:3]],
        "the rate is set after the step, so every step uses the one before: set it first",
    )
    expect(
        [row[0] for row in used] == list(RATES),
        "the rates that the steps used are not rate(0), rate(1), …: set lr before each step",
    )
    expect(
        all(row[0] == row[1] for row in used),
        "only the first group gets its rate; the optimiser has others (weights without decay): set all",
    )
    learning = [one for one in model.calls if one[0] == 7 and one[2]]
    expect(
        all(training for _, training, _ in learning[:4]),
        "after the first evaluation the model stays in evaluation mode: dropout is off for the rest of the "
        "training; call model.train() again",
    )
    judging = [one for one in model.calls if one[0] == 13]
    expect(
        len(judging) > 0,
        "the accuracy is measured on the training batch, not on the clips that were held out",
    )
    expect(
        not any(training for _, training, _ in judging),
        "the held-out clips are judged in training mode, with dropout on: call model.eval() first",
    )
    expect(
        not any(gradient for _, _, gradient in judging),
        "the evaluation records a graph that nobody needs: wrap it in torch.no_grad()",
    )
    losses = torch.tensor([float(value) for value in result[0]], dtype=torch.float64)
    accuracies = torch.tensor([float(value) for value in result[1]], dtype=torch.float64)
    weights, right_losses, right_accuracies = hunt_by_the_book()
    expect_close(
        losses,
        torch.tensor(right_losses),
        name="the list of losses",
        likely={
            "the loss gets probabilities: F.cross_entropy applies the softmax by itself, so give it logits": (
                torch.tensor(hunt_by_the_book("softmax")[1])
            ),
            "gradients of earlier steps are still there: backward() adds, so clear them in every step": (
                torch.tensor(hunt_by_the_book("kept")[1])
            ),
        },
        otherwise="the cross-entropy of each batch before its step",
    )
    expect_close(weights_of(model), weights, name="the weights at the end")
    expect_close(
        accuracies,
        torch.tensor(right_accuracies),
        name="the list of accuracies",
        likely={
            "these are percent; give shares from 0 to 1": 100 * torch.tensor(right_accuracies),
            "these are numbers of clips; divide by how many there were": 13 * torch.tensor(right_accuracies),
            "these are shares of wrong answers": 1 - torch.tensor(right_accuracies),
        },
        otherwise="after each step, the share of held-out clips whose largest logit is the right one",
    )


def course_of(mended: Callable[..., Any], dropout: bool = True, steps: int = 4) -> list[float]:
    """The losses of an answer, rounded off its types."""
    torch.manual_seed(6)
    model = small_model(dropout=0.5 if dropout else 0.0)
    losses, _ = mended(model, list(HUNT_BATCHES[:steps]), HELD_OUT, two_groups(model), rate_of)
    return [float(loss) for loss in losses]


EXERCISES = [
    Exercise(
        id="08.1",
        title="A step that works on every device",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="Every training is this step, repeated; written well it runs on a laptop and on any "
        "GPU unchanged.",
        contract=(
            "`batch` is a dict as a loader gives it: `clip`, `(B, T, C, H, W)`; `labels`, "
            "integers `(B,)`; and "
            "`path`, a list of names. Its tensors may lie on another device than the model",
            "brings clips and labels to the device of the model's parameters; the model stays where it is",
            "loss: the mean cross-entropy of `model(clips)`; old gradients do not count",
            "if the gradient of all parameters together is longer than `max_norm`, it is shortened to that; "
            "then the optimiser takes one step",
            "returns the loss before the step: a tensor without axes, without a gradient, on the "
            "model's device",
            "looks at no tensor's value (no `.item()`, no `if` about one), so that a GPU need not "
            "be waited for",
        ),
        stub='''
        def train_step(
            model: nn.Module, optimizer: torch.optim.Optimizer, batch: dict, max_norm: float
        ) -> Tensor:
            """One step on one batch, wherever the model lives; returns the loss before it."""
            raise NotImplementedError("08.1")
        ''',
        check=check_train_step,
        probe=weights_after_steps,
        hints=(
            "Ask the model where it lives; never name a device. Then five verbs: clear, forward, backward, "
            "clip, step.",
            "The device is an attribute of any parameter. Clips and labels both have .to(device). "
            "Only these two "
            "are needed of the batch.",
            "device from next(model.parameters()); F.cross_entropy of the moved clips and labels; zero_grad; "
            "backward; nn.utils.clip_grad_norm_ over all parameters; step; the detached loss.",
        ),
        solution=answers.TRAIN_STEP["in a row"],
        right_answers=answers.TRAIN_STEP,
        wrong_answers=(
            WrongAnswer(
                name="batch not moved",
                answer=answers.STEP_NOT_MOVED,
                says="stay on another device",
                right_on=weights_after_steps,
            ),
            WrongAnswer(
                name="labels not moved", answer=answers.STEP_LABELS_NOT_MOVED, says="clips or labels stay"
            ),
            WrongAnswer(name="cuda by name", answer=answers.STEP_CUDA, says="asked for by name"),
            WrongAnswer(
                name="device chosen anew", answer=answers.STEP_CHOOSES, says="not to a device chosen by name"
            ),
            WrongAnswer(
                name="model moved to the batch",
                answer=answers.STEP_MOVES_MODEL,
                says="the model itself is moved",
            ),
            WrongAnswer(
                name="gradients not cleared",
                answer=answers.STEP_NOT_CLEARED,
                says="old gradients are not cleared",
                right_on=lambda answer: weights_after_steps(answer, 1),
            ),
            WrongAnswer(
                name="not clipped",
                answer=answers.STEP_UNCLIPPED,
                says="unclipped",
                right_on=weights_after_a_short_gradient,
            ),
            WrongAnswer(
                name="clipped after the step",
                answer=answers.STEP_CLIPPED_LATE,
                says="clip after backward() and before the step",
                right_on=weights_after_a_short_gradient,
            ),
            WrongAnswer(
                name="by value", answer=answers.STEP_BY_VALUE, says="each number is clipped for itself"
            ),
            WrongAnswer(
                name="tensor by tensor",
                answer=answers.STEP_BY_TENSOR,
                says="each tensor is clipped for itself",
            ),
            WrongAnswer(
                name="short gradients lengthened", answer=answers.STEP_ALWAYS_SCALED, says="made longer"
            ),
            WrongAnswer(name="summed loss", answer=answers.STEP_SUMMED, says="a sum over the clips"),
            WrongAnswer(name="a number", answer=answers.STEP_NUMBER, says="a Python number comes back"),
            WrongAnswer(name="graph kept", answer=answers.STEP_ATTACHED, says="holds on to its graph"),
            WrongAnswer(
                name="loss after the step", answer=answers.STEP_LOSS_AFTER, says="before the step, not one"
            ),
            WrongAnswer(name="looks at the loss", answer=answers.STEP_LOOKS, says="looks at a number"),
            WrongAnswer(name="fetched to the CPU", answer=answers.STEP_TO_CPU, says="fetched back"),
            WrongAnswer(name="no step", answer=answers.STEP_IDLE, says="have not moved"),
        ),
        what_to_see="A batch of eight clips is learned by heart, and the same code would run on a GPU.",
    ),
    Exercise(
        id="08.2",
        title="Warm-up and cosine",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="Nearly every transformer is trained with this curve; an off-by-one in it is never noticed.",
        contract=(
            "`step` counts from 0; `0 <= warmup_steps < total_steps`",
            "steps before `warmup_steps` rise in a straight line: 1 / (w + 1), 2 / (w + 1), …, so "
            "that step w "
            "is the first at 1 (w for `warmup_steps`)",
            "from there, half a cosine: 1 in step w, 0 in step `total_steps`, 0 ever after",
            "returns the factor for the base rate, a number",
        ),
        stub='''
        def rate_factor(step: int, warmup_steps: int, total_steps: int) -> float:
            """What the base rate is multiplied by in this step."""
            raise NotImplementedError("08.2")
        ''',
        check=check_rate_factor,
        probe=lambda answer: [float(answer(step, 3, 11)) for step in range(14)],
        hints=(
            "Two cases: before and after the warm-up. For the second, first find out which share "
            "of the fall is "
            "done, from 0 to 1.",
            "The fall has total_steps − warmup_steps steps. Half a cosine takes that share times π.",
            "(step + 1) / (warmup_steps + 1) in the rise; else progress, capped at 1, and (1 + "
            "cos(π · progress)) "
            "/ 2.",
        ),
        solution=answers.RATE_FACTOR["two cases"],
        right_answers=answers.RATE_FACTOR,
        wrong_answers=(
            WrongAnswer(
                name="starts at 0",
                answer=answers.RATE_FROM_ZERO,
                says="starts at 0",
                right_on=lambda answer: [float(answer(step, 0, 7)) for step in range(9)],
            ),
            WrongAnswer(name="one step early", answer=answers.RATE_NO_PLUS, says="one step too early"),
            WrongAnswer(
                name="progress counts the warm-up",
                answer=answers.RATE_OVER_ALL,
                says="counts the warm-up as its own",
                right_on=lambda answer: [float(answer(step, 0, 7)) for step in range(9)],
            ),
            WrongAnswer(name="too long a fall", answer=answers.RATE_SPAN, says="stretched over total_steps"),
            WrongAnswer(name="whole wave", answer=answers.RATE_WHOLE_WAVE, says="a whole wave"),
            WrongAnswer(name="quarter wave", answer=answers.RATE_QUARTER, says="a quarter of a wave"),
            WrongAnswer(
                name="rises again",
                answer=answers.RATE_RISES_AGAIN,
                says="rises again",
                right_on=lambda answer: [float(answer(step, 3, 11)) for step in range(12)],
            ),
            WrongAnswer(name="straight fall", answer=answers.RATE_LINEAR, says="a straight line"),
            WrongAnswer(name="no warm-up", answer=answers.RATE_NO_WARMUP, says="no warm-up"),
            WrongAnswer(name="not halved", answer=answers.RATE_NOT_HALVED, says="from 2 to 0"),
            WrongAnswer(name="degrees", answer=answers.RATE_DEGREES, says="radians"),
        ),
        what_to_see="The same curve as the library's, point for point.",
    ),
    Exercise(
        id="08.3",
        title="Many small batches are one large one",
        core=False,
        difficulty=3,
        importance=4,
        minutes=15,
        why="Video batches rarely fit a GPU; accumulation is how the papers' batch sizes are reached on one.",
        contract=(
            "`parts` is a list of `(clips, labels)`; the parts may differ in size",
            "afterwards each parameter's `.grad` is the gradient of the mean cross-entropy over "
            "**all clips**, as "
            "if they had gone through at once; a gradient from before does not count",
            "the model sees one part at a time, each once and in order, and a part's activations "
            "are given up "
            "before the next goes in",
            "returns that mean loss, a number; takes no step",
        ),
        stub='''
        def accumulate(model: nn.Module, parts: list[tuple[Tensor, Tensor]]) -> float:
            """Leave the gradient of the mean loss over all clips of all parts; returns that loss."""
            raise NotImplementedError("08.3")
        ''',
        check=check_accumulate,
        probe=lambda answer: gradient_left_by(answer, UNEVEN, old=True),
        hints=(
            "backward() adds to .grad by itself. The question is only what each part must count.",
            "A part of n clips out of M has a mean loss; in the mean over all it counts n / M.",
            "Clear; then for each part the mean loss times its share, backward() at once, and its "
            "value added up.",
        ),
        solution=answers.ACCUMULATE["shares"],
        right_answers=answers.ACCUMULATE,
        wrong_answers=(
            WrongAnswer(
                name="mean of means",
                answer=answers.PARTS_MEAN_OF_MEANS,
                says="each part counts alike",
                right_on=lambda answer: gradient_left_by(answer, EVEN),
            ),
            WrongAnswer(name="never divided", answer=answers.PARTS_NOT_DIVIDED, says="never divided"),
            WrongAnswer(name="sum over clips", answer=answers.PARTS_SUMMED, says="of the sum over all clips"),
            WrongAnswer(
                name="cleared in the loop",
                answer=answers.PARTS_LAST_ONLY,
                says="cleared inside the loop",
                right_on=lambda answer: gradient_left_by(answer, EVEN[:1]),
            ),
            WrongAnswer(
                name="never cleared",
                answer=answers.PARTS_OLD_STAYS,
                says="from before is in it",
                right_on=lambda answer: gradient_left_by(answer, UNEVEN),
            ),
            WrongAnswer(name="joined", answer=answers.PARTS_JOINED, says="the parts are joined"),
            WrongAnswer(
                name="one backward", answer=answers.PARTS_ONE_BACKWARD, says="before the first goes back"
            ),
            WrongAnswer(name="last loss", answer=answers.PARTS_LAST_LOSS, says="is the last part's"),
            WrongAnswer(
                name="mean of mean losses", answer=answers.PARTS_PLAIN_LOSS, says="mean of the parts' means"
            ),
        ),
        what_to_see="Three uneven parts and one batch: the same gradient.",
    ),
    Exercise(
        id="08.4",
        title="Resume, bit by bit",
        core=True,
        difficulty=4,
        importance=4,
        minutes=20,
        why="Long runs are broken off; one that goes on a little differently can no longer be compared.",
        contract=(
            "`Snapshot(model, optimizer, step)` keeps, in memory, everything that the next step "
            "depends on: the "
            "weights, the optimiser's state, torch's random state (for dropout) and the number of steps done",
            "it keeps **copies**: the run may go on, and the snapshot stays",
            "`restore(model, optimizer)` puts all of it into the given objects, which may be "
            "freshly built, sets "
            "torch's random state, and returns the number of steps done",
            "it can be restored more than once; everything is on the CPU",
        ),
        stub='''
        class Snapshot:
            """Everything that the next step depends on, kept apart from what goes on."""

            def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int):
                raise NotImplementedError("08.4")

            def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
                raise NotImplementedError("08.4")
        ''',
        check=check_snapshot,
        probe=weights_of_resumed_run,
        hints=(
            "Ask of each thing that the next step reads: would a new process have it? And: is "
            "what I keep a copy, "
            "or the thing itself?",
            "Model and optimiser have state_dict() and load_state_dict(); torch has get_rng_state() and "
            "set_rng_state(). The dicts hold live tensors; copy.deepcopy makes them yours.",
            "In __init__ deep copies of both state dicts, the random state, the step. In restore "
            "load both (the "
            "optimiser from a copy of your copy), set the random state last, return the step.",
        ),
        solution=answers.SNAPSHOT["deep copies"],
        right_answers=answers.SNAPSHOT,
        wrong_answers=(
            WrongAnswer(
                name="weights only",
                answer=answers.KEPT_WEIGHTS_ONLY,
                says="starts from nothing",
                right_on=weights_of_plain_resumed_run,
            ),
            WrongAnswer(
                name="optimiser forgotten",
                answer=answers.KEPT_NO_MOMENTS,
                says="two running means",
                right_on=weights_of_plain_resumed_run,
            ),
            WrongAnswer(
                name="random state forgotten",
                answer=answers.KEPT_NO_CHANCE,
                says="random numbers go on from somewhere else",
                right_on=weights_of_plain_resumed_run,
            ),
            WrongAnswer(name="seed kept", answer=answers.KEPT_SEED, says="only where a run began"),
            WrongAnswer(
                name="weights by reference",
                answer=answers.KEPT_BY_REFERENCE,
                says="weights went on training",
                right_on=weights_of_plain_resumed_run,
            ),
            WrongAnswer(name="shallow copy", answer=answers.KEPT_SHALLOW, says="hands out the live tensors"),
            WrongAnswer(
                name="optimiser by reference",
                answer=answers.KEPT_MOMENTS_BY_REFERENCE,
                says="means went on training",
            ),
            WrongAnswer(name="handed out", answer=answers.KEPT_HANDED_OUT, says="between two restores"),
            WrongAnswer(name="step not returned", answer=answers.KEPT_NO_STEP, says="restore returns None"),
            WrongAnswer(name="one step on", answer=answers.KEPT_STEP_ON, says="restore returns step 4"),
            WrongAnswer(
                name="weights not loaded", answer=answers.KEPT_NOT_RESTORED, says="not those of the snapshot"
            ),
        ),
        what_to_see="The resumed run ends in exactly the weights of the unbroken one.",
    ),
    Exercise(
        id="08.5",
        title="One place for all frames",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="An image augmentation applied to each frame shakes the camera, and motion is what a video adds.",
        contract=(
            "`clips` is `(B, T, C, H, W)`; returns `(B, T, C, size, size)` of the same type",
            "each clip is cut at a random place **of its own**, the **same in all of its frames** "
            "and channels",
            "row and column are drawn independently, and every place that fits is as likely as any other",
            "all chance comes from `generator`, which is drawn from and not seeded",
        ),
        stub='''
        def random_crop(clips: Tensor, size: int, generator: torch.Generator) -> Tensor:  # (B, T, C, H, W)
            """A square of each clip, at a random place of its own, the same in all of its frames."""
            raise NotImplementedError("08.5")
        ''',
        check=check_random_crop,
        probe=facts_of_crops,
        hints=(
            "Draw as many places as there are clips: not one, and not one a frame.",
            "The corner's row runs from 0 to H − size, both included, its column from 0 to W − "
            "size. A slice of "
            "the last two axes cuts all frames and channels at once.",
            "For each clip two numbers of torch.randint(H − size + 1, …, generator=generator) and "
            "the same with "
            "W; slice [..., top : top + size, left : left + size]; stack the clips.",
        ),
        solution=answers.RANDOM_CROP["clip after clip"],
        right_answers=answers.RANDOM_CROP,
        wrong_answers=(
            WrongAnswer(
                name="one place a frame",
                answer=answers.CROP_PER_FRAME,
                says="a motion that nobody filmed",
                right_on=whether_one_frame_agrees,
            ),
            WrongAnswer(
                name="one place a batch",
                answer=answers.CROP_ONE_FOR_ALL,
                says="for the whole batch",
                right_on=piece_of_a_picture,
            ),
            WrongAnswer(name="never the last place", answer=answers.CROP_NEVER_LAST, says="is never chosen"),
            WrongAnswer(
                name="global chance",
                answer=answers.CROP_GLOBAL_CHANCE,
                says="from the generator that is passed in",
                right_on=piece_of_a_picture,
            ),
            WrongAnswer(
                name="one number for both",
                answer=answers.CROP_SAME_BOTH_WAYS,
                says="not drawn independently",
            ),
            WrongAnswer(name="seeded inside", answer=answers.CROP_RESEEDS, says="seeded anew inside"),
            WrongAnswer(
                name="the middle",
                answer=answers.CROP_CENTRE,
                says="nothing is random",
                right_on=piece_of_a_picture,
            ),
            WrongAnswer(
                name="height and width exchanged",
                answer=answers.CROP_EXCHANGED,
                says="shape",
                right_on=lambda answer: facts_of_crops(answer, 9, 9),
            ),
            WrongAnswer(
                name="one place a channel", answer=answers.CROP_PER_CHANNEL, says="colours come apart"
            ),
            WrongAnswer(name="scaled as well", answer=answers.CROP_FLOAT, says="no pixels of the clip"),
        ),
        what_to_see="A still clip stays still when it is cut, and shakes where each frame is cut for itself.",
    ),
    Exercise(
        id="08.6",
        title="The hunt",
        core=False,
        difficulty=4,
        importance=5,
        minutes=20,
        why="Training never says that it is broken; it only learns less, and you must know where to look.",
        contract=(
            "the loop `sick` above runs without an error and holds **eight** mistakes; write it so that it "
            "does what is meant",
            "`batches` is a list of `(clips, labels)`, one a step; `model(clips)` gives logits; "
            "the loss is the "
            "mean cross-entropy",
            "step k uses the rate `rate(k)` in all groups of the optimiser, its own gradients "
            "only, and the model "
            "in training mode",
            "after each step the accuracy on `held_out = (clips, labels)`, in evaluation mode, "
            "without gradients",
            "returns `(losses, accuracies)`, one of each per step, as numbers that keep no graph alive",
        ),
        stub='''
        def mended(
            model: nn.Module, batches: list, held_out: tuple, optimizer: torch.optim.Optimizer, rate
        ) -> tuple[list[float], list[float]]:
            """Train on the batches; the loss of each step, and the accuracy on held_out after it."""
            raise NotImplementedError("08.6")
        ''',
        check=check_mended,
        probe=course_of,
        hints=(
            "Go through the loop line by line and ask: on what state does this line work, and who "
            "left it so?",
            "Look for: what the loss is given, what backward() adds to, when the rate is set and "
            "for whom, what "
            "the list holds, in which mode the model is left, whose clips are judged, and at what cost.",
            "Per step: train mode, rates into all groups, clear, cross-entropy of the logits, "
            "backward, step, "
            ".item(); then eval mode and, under no_grad, the held-out clips.",
        ),
        solution=answers.MENDED["in order"],
        right_answers=answers.MENDED,
        wrong_answers=(
            WrongAnswer(
                name="softmax twice", answer=answers.HUNT_SOFTMAX, says="the loss gets probabilities"
            ),
            WrongAnswer(
                name="not cleared",
                answer=answers.HUNT_NOT_CLEARED,
                says="gradients of earlier steps",
                right_on=lambda answer: course_of(answer, steps=1),
            ),
            WrongAnswer(
                name="rate after the step",
                answer=answers.HUNT_RATE_LATE,
                says="set after the step",
                right_on=lambda answer: course_of(answer, steps=1),
            ),
            WrongAnswer(name="one group", answer=answers.HUNT_ONE_GROUP, says="only the first group"),
            WrongAnswer(
                name="graph kept", answer=answers.HUNT_KEEPS_GRAPH, says="graph alive", right_on=course_of
            ),
            WrongAnswer(
                name="stays in evaluation mode",
                answer=answers.HUNT_STAYS_IN_EVAL,
                says="stays in evaluation mode",
                right_on=lambda answer: course_of(answer, dropout=False),
            ),
            WrongAnswer(
                name="judged in training mode", answer=answers.HUNT_NEVER_EVAL, says="with dropout on"
            ),
            WrongAnswer(name="judged with gradients", answer=answers.HUNT_WITH_GRADIENT, says="nobody needs"),
            WrongAnswer(
                name="judged on the training batch",
                answer=answers.HUNT_ON_TRAINING,
                says="on the training batch",
                right_on=course_of,
            ),
            WrongAnswer(name="the sick loop", answer=answers.HUNT_SICK, says="keep every step's graph"),
        ),
        what_to_see="The healthy loop learns what the sick one did not.",
    ),
]
