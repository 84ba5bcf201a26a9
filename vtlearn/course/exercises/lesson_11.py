"""The exercises of lesson 11: record weights, rollout, a divided block's tables, random weights, deletion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_11 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    expect,
    expect_close,
    expect_raises,
    expect_tensor,
)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers, the same at each call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some_weights(*shape: int, seed: int = 0) -> Tensor:
    """Attention weights, far from even; rows sum to 1."""
    return (2 * numbers(*shape, seed=seed)).softmax(-1)


def filled(module: nn.Module, seed: int = 1) -> nn.Module:
    """The module with every parameter drawn anew, the same at each call."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(0.7 * numbers(*parameter.shape, seed=seed + number))
    return module


# ------------------------------------------------------------------------------------------------- 11.1


class Attending(nn.Module):
    """Self-attention with a fused qkv; like a fused kernel it never hands out its weights."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, heads, N, N) and values (B, heads, N, d)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1), v

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        weights, v = self.weights(x)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class TwoBlocks(nn.Module):
    """Two attentions, used in another order than they are made in; the second may break."""

    def __init__(self, width: int = 6, num_heads: int = 3, breaks: bool = False) -> None:
        super().__init__()
        self.upper = nn.ModuleDict({"attn": Attending(width, num_heads)})
        self.lower = nn.ModuleDict({"attn": Attending(width, num_heads)})
        self.breaks = breaks
        filled(self)

    def forward(self, x: Tensor) -> Tensor:
        """lower, then upper."""
        x = x + self.lower["attn"](x)
        if self.breaks:
            raise RuntimeError("broken between the blocks")
        return x + self.upper["attn"](x)


def _marks_left(model: nn.Module) -> bool:
    return any(
        module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        for module in model.modules()
    )


def check_record_weights(record_weights: Callable[..., Any]) -> None:
    """Two attentions in call order; hooks gone afterwards, also after an error."""
    model, x = TwoBlocks(), numbers(2, 5, 6, seed=7)
    lower, upper = model.lower["attn"], model.upper["attn"]
    with torch.no_grad():
        want = {"lower.attn": lower.weights(x)[0], "upper.attn": upper.weights(x + lower(x))[0]}  # type: ignore
        slips = _slips_of_weights(lower.qkv(x), 3)  # type: ignore[operator]
    record = call(record_weights, model, x, 3)
    if record is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    expect(isinstance(record, Mapping), "expected a dictionary: layer name → weights")
    expect(len(record) > 0, "nothing was recorded: put a hook on every module whose name ends in `.qkv`")
    names = [str(name) for name in record]
    expect(
        not any(name.endswith("qkv") for name in names),
        "name the attention, not its projection: `lower.attn`, without the last `.qkv`",
    )
    expect(
        sorted(names) == sorted(want),
        f"there are weights of {', '.join(names)}; expected {', '.join(want)}",
    )
    expect(
        names == list(want), "the layers stand in the order in which they were made, not in which they ran"
    )
    for name, right in want.items():
        got = expect_tensor(
            record[name],
            (2, 3, 5, 5),
            kind="float",
            name=f"the weights of {name}",
            likely={
                (2, 1, 5, 5): "split q and k into heads before you multiply them",
                (2, 5, 5): "keep the heads apart: (B, heads, N, N)",
                (2, 3, 2, 2): "this compares the channels of a head; compare tokens: q (N, d) with k (d, N)",
                (2, 5, 3, 3): "this compares heads with heads; bring the heads before the tokens",
            },
        )
        expect(
            not got.requires_grad,
            "the weights still hold a graph of gradients: use torch.no_grad(), or memory grows",
        )
        expect_close(
            got,
            right,
            name=f"the weights of {name}",
            likely=slips if name == "lower.attn" else {},
            otherwise="softmax over the keys of q kᵀ / √d, head by head",
        )
    expect(
        not _marks_left(model),
        "the hooks are still there: the next call of the model records again; remove each handle",
    )
    broken = TwoBlocks(breaks=True)
    expect_raises(
        record_weights, RuntimeError, broken, x, 3, because="an error inside the model goes on to the caller"
    )
    expect(
        not _marks_left(broken),
        "after an error inside the model the hooks are still there: remove them in a `finally`",
    )


def _slips_of_weights(out: Tensor, heads: int) -> dict[str, Tensor]:
    q, k, v = out.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    fast = out.unflatten(-1, (3, -1, heads)).permute(2, 0, 4, 1, 3)
    mixed = out.unflatten(-1, (heads, 3, -1)).permute(3, 0, 2, 1, 4)
    scores, root = q @ k.mT, q.shape[-1] ** 0.5
    return {
        "these are scores, not weights: the softmax is missing": scores / root,
        "these are scores without √d and without softmax": scores,
        "the scores are not divided by √d": scores.softmax(-1),
        "the scores are divided by the √ of the whole width, not of one head's": (
            (scores / (root * heads**0.5)).softmax(-1)
        ),
        "the softmax ran over the queries: each row, over the keys, sums to 1": (scores / root).softmax(-2),
        "rows and columns are exchanged: a row is a query": (scores / root).softmax(-1).mT,
        "rows and columns are exchanged: q goes on the left, k on the right": (k @ q.mT / root).softmax(-1),
        "the heads are split with the head as the fast axis; each head's d numbers stand together": (
            (fast[0] @ fast[1].mT / root).softmax(-1)
        ),
        "q, k and v are split inside each head; all heads' q come first, then all k, then all v": (
            (mixed[0] @ mixed[1].mT / root).softmax(-1)
        ),
        "k and v were compared: the parts are q, k, v in this order": (k @ v.mT / root).softmax(-1),
        "q and v were compared: the parts are q, k, v in this order": (q @ v.mT / root).softmax(-1),
    }


# ------------------------------------------------------------------------------------------------- 11.2


def check_rollout(rollout: Callable[..., Tensor]) -> None:
    """Four layers, then one."""
    for depth in (4, 1):
        layers = [some_weights(2, 3, 5, 5, seed=10 + layer) for layer in range(depth)]
        one = torch.eye(5)
        means = [layer.mean(1) for layer in layers]

        def joined(tables: list[Tensor]) -> Tensor:
            product = tables[0]
            for table in tables[1:]:
                product = table @ product
            return product

        halves = [(table + one) / 2 for table in means]
        apart = (layers[0] + one) / 2
        for layer in layers[1:]:
            apart = (layer + one) / 2 @ apart
        elementwise = torch.stack(halves).prod(0)
        got = expect_tensor(
            call(rollout, layers),
            (2, 5, 5),
            kind="float",
            likely={
                (2, 5): "this is one row; return the whole table, (B, N, N)",
                (2, 3, 5, 5): "average over the heads first: (B, N, N)",
                (5, 5): "the clips are lost: keep the batch axis",
                (2, 4, 4): "the class token's row and column belong to the table as well",
            },
        )
        expect_close(
            got,
            joined(halves),
            likely={
                "the residual is missing: half of each layer's table is the identity": joined(means),
                "the identity was added and nothing divided: rows sum to 2 after each layer": (
                    joined([table + one for table in means])
                ),
                "the first layer stands on the left: later layers multiply from the left, A_L … A_2 A_1": (
                    joined(halves[::-1])
                ),
                "the heads were summed, not averaged": joined([(w.sum(1) + one) / 2 for w in layers]),
                "the heads were summed, not averaged: their share outgrows the residual's": (
                    joined([(w.sum(1) + one) / 4 for w in layers])
                ),
                "the highest head was taken; here the heads are averaged": (
                    joined([(w.amax(1) + one) / 2 for w in layers])
                ),
                "one head was taken; average over all": joined([(w[:, 0] + one) / 2 for w in layers]),
                "each head was rolled out alone and the results averaged; average the heads in each layer": (
                    apart.mean(1)
                ),
                "this multiplies number by number: use the matrix product @": elementwise,
                "this is a mean over layers; layers follow each other, so their tables are multiplied": (
                    torch.stack(halves).mean(0)
                ),
                "this is the last layer alone; multiply all layers": halves[-1],
                "this is the first layer alone; multiply all layers": halves[0],
                "the residual was put in once, at the end; it belongs into every layer": (
                    (joined(means) + one) / 2
                ),
                "the first layer is missing": joined(halves[1:]) if depth > 1 else one,
                "rows and columns are exchanged": joined(halves).mT,
            },
            otherwise="average the heads, take half of it and half of the identity, multiply from the left",
        )


# ------------------------------------------------------------------------------------------------- 11.3


def tables_by_hand(time: Tensor, space: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Both tables of a block, with `time` as (B, s, t, t) and `space` as (B, t, 1 + s, 1 + s)."""
    batch, s = time.shape[:2]
    over_time = torch.zeros(batch, 1 + t * s, 1 + t * s)
    over_time[:, 0, 0] = 1
    over_space = torch.zeros_like(over_time)
    over_space[:, 0, 0] = space[:, :, 0, 0].mean(1)
    for frame in range(t):
        for place in range(s):
            row = 1 + frame * s + place
            over_time[:, row, 1 + place :: s] = time[:, place, frame]
            over_space[:, row, 0] = space[:, frame, 1 + place, 0]
            over_space[:, row, 1 + frame * s : 1 + (frame + 1) * s] = space[:, frame, 1 + place, 1:]
            over_space[:, 0, row] = space[:, frame, 0, 1 + place] / t
    return over_time, over_space


def check_block_tables(block_tables: Callable[..., Any]) -> None:
    """Two clips, three frames, five places, seven heads; everything without symmetry."""
    batch, t, s = 2, 3, 5
    n = 1 + t * s
    time = some_weights(batch * s, 7, t, t, seed=20)
    space = some_weights(batch * t, 7, 1 + s, 1 + s, seed=21)
    mean_time, mean_space = time.mean(1), space.mean(1)
    frames, places = mean_space.unflatten(0, (batch, t)), mean_time.unflatten(0, (batch, s))
    want_time, want_space = tables_by_hand(places, frames, t)
    value = call(block_tables, time, space, t)
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, Tensor) and value.shape == (2, batch, n, n) and batch != n:
        value = tuple(value)
    if isinstance(value, Tensor):
        raise Mistake("this is one table; return both, the one over time and the one over space")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Mistake("expected two tables: over time, then over space")
    shapes = {
        (batch, 7, n, n): "average over the heads",
        (batch, n - 1, n - 1): "the class token is missing: the first row and the first column",
        (batch, t, s, t, s): "flatten frames and places: N = 1 + t · s tokens",
        (batch, n, n, 1): "no further axis is needed",
    }
    over_time, over_space = (
        expect_tensor(one, (batch, n, n), kind="float", name=f"the table over {name}", likely=shapes)
        for one, name in zip(value, ("time", "space"), strict=True)
    )
    mixed_time, mixed_space = tables_by_hand(
        mean_time.unflatten(0, (s, batch)).transpose(0, 1),
        mean_space.unflatten(0, (t, batch)).transpose(0, 1),
        t,
    )
    one_time, one_space = tables_by_hand(
        time[:, 0].unflatten(0, (batch, s)), space[:, 0].unflatten(0, (batch, t)), t
    )
    fast = torch.cat([torch.zeros(1), 1 + torch.arange(t * s).view(t, s).T.flatten()]).long()
    lost = want_time.clone()
    lost[:, 0, 0] = 0
    expect_close(
        over_time,
        want_time,
        name="the table over time",
        likely={
            "over time the class token meets itself alone, so that it is kept: its row is 1, 0, 0, …": lost,
            "the tables are exchanged: first the one over time": want_space,
            "over time the clips are mixed: the batch is (B s), the places of one clip side by side": (
                mixed_time
            ),
            "the tokens stand in the order (t s): all places of the first frame, then of the second": (
                want_time[:, fast][:, :, fast]
            ),
            "rows and columns are exchanged: a row is a query": want_time.mT,
            "one head was taken; average over all": one_time,
        },
        otherwise="patch (frame f, place p) meets (frame g, place p) with the weight time[p, f, g]",
    )
    summed, first = want_space.clone(), want_space.clone()
    summed[:, 0] *= t
    first[:, 0] = 0
    first[:, 0, : 1 + s] = frames[:, 0, 0]
    corner, row = want_space.clone(), want_space.clone()
    corner[:, 0, 0] *= t
    row[:, 0, 1:] *= t
    unread = want_space.clone()
    unread[:, 1:, 0] = 0
    expect_close(
        over_space,
        want_space,
        name="the table over space",
        likely={
            "the class token's copies were summed; its row is their mean, and sums to 1": summed,
            "of the class token's copies only the first frame's was used: its row is the mean over frames": (
                first
            ),
            "the class token's weight on itself is summed over its copies, not averaged": corner,
            "the class token's weights on patches are not divided by the number of copies": row,
            "patches read the class token as well: its column is missing": unread,
            "in space the clips are mixed: the batch is (B t), the frames of one clip side by side": (
                mixed_space
            ),
            "the tokens stand in the order (t s): all places of the first frame, then of the second ": (
                want_space[:, fast][:, :, fast]
            ),
            "rows and columns are exchanged: a row is a query ": want_space.mT,
            "one head was taken; average over all ": one_space,
        },
        otherwise="patches of one frame meet each other and the class token; other frames have weight 0",
    )


# ------------------------------------------------------------------------------------------------- 11.4


def small_network() -> nn.Sequential:
    """Two linear layers of equal size, norms with parameters and with buffers."""
    network = nn.Sequential(
        nn.Linear(7, 11), nn.LayerNorm(11), nn.Linear(11, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 11)
    )
    filled(network, seed=30)
    with torch.no_grad():
        network[3].running_mean.copy_(numbers(7, seed=40))  # type: ignore[operator]
    return network.eval()


def check_with_random_weights(with_random_weights: Callable[..., Any]) -> None:
    """The original, each tensor's numbers, their order, two seeds, the global state."""
    model = small_network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    global_state = torch.get_rng_state()
    other = call(with_random_weights, model, 3)
    is_global_kept = torch.equal(global_state, torch.get_rng_state())
    if other is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    expect(isinstance(other, nn.Module), f"expected a model, got {type(other).__name__}")
    kept = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    expect(other is not model, "this is the model itself, shuffled: its training is gone; work on a copy")
    expect(
        kept,
        "the model that was handed over has changed: copy.copy shares the parameters, copy.deepcopy does not",
    )
    after = dict(other.named_parameters())
    expect(list(after) == [name for name, _ in model.named_parameters()], "the parameters have other names")
    mine = {value.data_ptr() for value in model.parameters()}
    expect(
        not any(value.data_ptr() in mine for value in after.values()),
        "the copy shares memory with the model: a change of one would change the other",
    )
    for name, value in after.items():
        old = before[name]
        expect(
            value.shape == old.shape, f"{name} has shape {tuple(value.shape)}, expected {tuple(old.shape)}"
        )
        if not torch.equal(value.flatten().sort().values, old.flatten().sort().values):
            raise Mistake(
                f"{name} holds new numbers; shuffle its own, so that sizes and spread stay as they were"
            )
        expect(not torch.equal(value, old), f"{name} was not shuffled: every parameter, biases and norms too")
        if value.ndim > 1:
            for told, now, then in (("rows", value, old), ("columns", value.T, old.T)):
                alike = [row.tolist() in then.tolist() for row in now]
                expect(
                    not all(alike), f"{name}: whole {told} were moved; shuffle single numbers (flatten first)"
                )
    orders = [_order(before[name], after[name]) for name in ("0.weight", "2.weight", "5.weight")]
    expect(
        not (torch.equal(orders[0], orders[1]) or torch.equal(orders[0], orders[2])),
        "tensors of one size were shuffled alike: make the generator once, before the loop",
    )
    buffers = dict(other.named_buffers())
    expect(
        all(torch.equal(value, buffers.get(name, value + 1)) for name, value in model.named_buffers()),
        "the buffers have changed; shuffle parameters only",
    )
    again, third = call(with_random_weights, model, 3), call(with_random_weights, model, 4)
    expect(
        _equal_parameters(other, again), "the same seed gave other weights: hand the generator to randperm"
    )
    expect(not _equal_parameters(other, third), "another seed gave the same weights: the seed is not used")
    expect(
        is_global_kept,
        "torch's global random state has changed, and with it everything drawn later: use a torch.Generator",
    )
    with torch.no_grad():
        out = other(numbers(2, 7))
        want = torch.func.functional_call(model, {**dict(model.named_buffers()), **after}, numbers(2, 7))
    expect(
        torch.equal(out, want),
        "the copy does not compute what the model computes with these weights: is it in another mode?",
    )


def _order(before: Tensor, after: Tensor) -> Tensor:
    """Where each number of the original went (all numbers differ)."""
    return after.flatten().argsort()[before.flatten().argsort().argsort()]


def _equal_parameters(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def run_random(answer: Any) -> Any:
    """The weights of an answer's copy, sorted, and what the original still says."""
    model = small_network()
    other = answer(model, 3)
    with torch.no_grad():
        sizes = torch.stack([value.flatten().sort().values.mean() for value in other.parameters()])
        return [sizes, model(numbers(2, 7))]


# ------------------------------------------------------------------------------------------------- 11.5


def _deleted(clips: Tensor, gone: Tensor, fill: Tensor) -> Tensor:
    """`fill` where `gone` (B, t, h, w) is true, on the pixels."""
    for axis, size in ((1, clips.shape[1]), (2, clips.shape[3]), (3, clips.shape[4])):
        gone = gone.repeat_interleave(size // gone.shape[axis], dim=axis)
    return torch.where(gone[:, :, None], fill, clips)


def _hottest(heat: Tensor, number: int, *, axes: int = 1) -> Tensor:
    """True at the `number` highest of each group; groups are all axes before `axes`."""
    flat = heat.flatten(axes)
    chosen = flat.topk(number).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(-1, chosen, True).view_as(heat)


def check_without_patches(without_patches: Callable[..., Any]) -> None:
    """Tokens of two frames, oblong frames and patches; then of one frame."""
    for frames, number in ((6, 6), (3, 3)):
        batch, (t, h, w) = 2, (3, 2, 5)
        clips = 1 + numbers(batch, frames, 3, 2 * 7, 5 * 3, seed=50)
        heat = numbers(batch, t, h, w, seed=51)
        heat[0, 0] += 1.5  # one frame holds most of what is hot, and one clip too
        hottest = _hottest(heat, number)
        mean = clips.mean((3, 4), keepdim=True)
        want = _deleted(clips, hottest, mean)
        patchy = torch.nn.functional.avg_pool2d(clips.flatten(0, 1), (7, 3)).unflatten(0, (batch, frames))
        patchy = patchy.repeat_interleave(7, 3).repeat_interleave(3, 4)
        tiled = hottest.repeat(1, frames // t, 7, 3)[:, :, None]
        turned = _hottest(heat.transpose(2, 3).contiguous(), number).reshape(heat.shape)
        got = expect_tensor(
            call(without_patches, clips, heat, number),
            tuple(clips.shape),
            kind="float",
            likely={
                (batch, t, h, w): "this is a table of places; return the clips",
                (batch, frames, 14, 15): "the colours are lost: keep the axis of channels",
            },
        )
        first_only = want.clone()
        if frames > t:
            first_only[:, 1::2] = clips[:, 1::2]
        one_more, one_less = (_deleted(clips, _hottest(heat, number + more), mean) for more in (1, -1))
        expect_close(
            got,
            want,
            likely={
                "nothing was removed": clips,
                "the coldest places were removed; the hottest are asked for": (
                    _deleted(clips, _hottest(-heat, number), mean)
                ),
                "the hottest places were kept and all others removed": _deleted(clips, ~hottest, mean),
                "each frame lost as many places; the hottest of the whole clip are asked for": (
                    _deleted(clips, _hottest(heat, number // t, axes=2), mean)
                ),
                "every frame lost `number` places: the number counts for the whole clip": (
                    _deleted(clips, _hottest(heat, number, axes=2), mean)
                ),
                "the hottest were looked for over all clips together: each clip loses `number`": (
                    _deleted(clips, _hottest(heat, number * batch, axes=0), mean)
                ),
                "the holes are filled with zeros, which is a colour like any other; take the frame's mean": (
                    _deleted(clips, hottest, torch.zeros_like(clips))
                ),
                "the holes have the mean of the whole clip; take each frame's": (
                    _deleted(clips, hottest, clips.mean((1, 3, 4), keepdim=True))
                ),
                "the holes are grey: take the mean of each channel by itself": (
                    _deleted(clips, hottest, clips.mean((2, 3, 4), keepdim=True))
                ),
                "each hole has the mean of its own patch, so its colour is still there; take the frame's": (
                    _deleted(clips, hottest, patchy)
                ),
                "rows and columns of the map are exchanged": _deleted(clips, turned, mean),
                "the map was tiled, not enlarged: each place becomes a block of neighbouring pixels": (
                    torch.where(tiled, mean, clips)
                ),
                "a token covers several frames; only the first of them was changed": first_only,
                "one place too many was removed": one_more,
                "one place too few was removed: is one compared with > where >= is right?": one_less,
            },
            otherwise="`number` places a clip, each a block of pixels in all frames that it covers",
        )


def run_deletion(answer: Any, frames: int = 6) -> Any:
    """An answer to 11.5 on oblong frames."""
    return answer(1 + numbers(2, frames, 3, 14, 15, seed=50), numbers(2, 3, 2, 5, seed=51), 6)


EXERCISES = [
    Exercise(
        id="11.1",
        title="Record the weights",
        core=False,
        difficulty=3,
        importance=4,
        minutes=15,
        why="Fast attention never stores its weights, so whoever wants to see them computes them again.",
        contract=(
            "some modules of `model` are called `qkv`: linear maps whose result is `(B, N, 3 · heads · d)`, "
            "all of q, then k, then v, each with its heads one after the other",
            "runs `model(x)` once and returns a dictionary: the name of the module that holds a `qkv` → its "
            "weights `(B, heads, N, N)`, in the order of the calls",
            "keeps no gradients, and leaves no hook behind, not even when the model raises an error",
        ),
        stub='''
        def record_weights(model: nn.Module, x: Tensor, num_heads: int) -> dict[str, Tensor]:
            """Layer name → weights (B, heads, N, N) of every attention in the model."""
            raise NotImplementedError("11.1")
        ''',
        check=check_record_weights,
        probe=lambda answer: list(answer(TwoBlocks(), numbers(2, 5, 6, seed=7), 3).values()),
        hints=(
            "A forward hook is handed each module's result. From q and k the weights follow.",
            "(B, N, 3 · heads · d) → q and k, each (B, heads, N, d) → (B, heads, N, N).",
            "for each name ending in '.qkv': handle = module.register_forward_hook(…); run the "
            "model in a try; "
            "handle.remove() in its finally.",
        ),
        solution=answers.RECORD["hooks on qkv"],
        right_answers=answers.RECORD,
        wrong_answers=(
            WrongAnswer(
                name="not scaled",
                answer=answers.RECORD_NOT_SCALED,
                says="not divided by √d",
                right_on=lambda answer: list(answer(TwoBlocks(3, 3), numbers(2, 5, 3, seed=7), 3).values()),
            ),
            WrongAnswer(name="over queries", answer=answers.RECORD_OVER_QUERIES, says="over the queries"),
            WrongAnswer(name="scores", answer=answers.RECORD_SCORES, says="the softmax is missing"),
            WrongAnswer(
                name="head as fast axis",
                answer=answers.RECORD_HEADS_FAST,
                says="head as the fast axis",
                right_on=lambda answer: list(answer(TwoBlocks(3, 3), numbers(2, 5, 3, seed=7), 3).values()),
            ),
            WrongAnswer(
                name="q, k, v inside a head", answer=answers.RECORD_QKV_FAST, says="split inside each head"
            ),
            WrongAnswer(name="one head", answer=answers.RECORD_ONE_HEAD, says="into heads before"),
            WrongAnswer(name="k and v", answer=answers.RECORD_K_V, says="k and v were compared"),
            WrongAnswer(name="graph kept", answer=answers.RECORD_GRAPH, says="hold a graph of gradients"),
            WrongAnswer(name="whole names", answer=answers.RECORD_WHOLE_NAMES, says="without the last"),
            WrongAnswer(name="hooks stay", answer=answers.RECORD_HOOKS_STAY, says="records again"),
            WrongAnswer(
                name="hooks stay after an error",
                answer=answers.RECORD_HOOKS_STAY_ON_ERROR,
                says="remove them in a `finally`",
            ),
        ),
        what_to_see=(
            "Eight layers of TimeSformer, four over time and four over space, as the library records them."
        ),
    ),
    Exercise(
        id="11.2",
        title="Rollout",
        core=True,
        difficulty=2,
        importance=5,
        minutes=15,
        why=(
            "One layer's map says where it read, but what it read there was already mixed by the "
            "layers below."
        ),
        contract=(
            "`layers` holds the weights of each layer, `(B, heads, N, N)`, the first layer first",
            "in each layer: the mean over heads, half of it and half of the identity (the residual)",
            "returns their product `(B, N, N)`: row i says what token i holds, after the last layer, of each "
            "token before the first",
        ),
        stub='''
        def rollout(layers: list[Tensor]) -> Tensor:  # (B, heads, N, N) each -> (B, N, N)
            """What each token of the last layer holds of each token of the first."""
            raise NotImplementedError("11.2")
        ''',
        check=check_rollout,
        probe=lambda answer: answer([some_weights(2, 3, 5, 5, seed=10 + layer) for layer in range(4)]),
        hints=(
            "If layer 1 mixes tokens by A₁ and layer 2 mixes what comes out by A₂, both together "
            "mix by A₂ A₁.",
            "(B, heads, N, N) → mean → (B, N, N); with torch.eye(N) it broadcasts over the clips.",
            "Begin with torch.eye(N). For each layer: joined = (0.5 · mean + 0.5 · eye) @ joined.",
        ),
        solution=answers.ROLLOUT["a loop"],
        right_answers=answers.ROLLOUT,
        wrong_answers=(
            WrongAnswer(
                name="no residual",
                answer=answers.ROLLOUT_NO_RESIDUAL,
                says="the residual is missing",
                right_on=lambda answer: answer([torch.eye(5).expand(2, 3, 5, 5)] * 3),
            ),
            WrongAnswer(
                name="first layer on the left",
                answer=answers.ROLLOUT_FIRST_LEFT,
                says="the first layer stands on the left",
                right_on=lambda answer: answer([some_weights(2, 3, 5, 5)] * 3),
            ),
            WrongAnswer(name="not divided", answer=answers.ROLLOUT_NOT_DIVIDED, says="nothing divided"),
            WrongAnswer(
                name="heads summed", answer=answers.ROLLOUT_HEADS_SUMMED, says="the heads were summed"
            ),
            WrongAnswer(name="highest head", answer=answers.ROLLOUT_HEADS_MAX, says="the highest head"),
            WrongAnswer(
                name="heads apart",
                answer=answers.ROLLOUT_HEADS_APART,
                says="rolled out alone",
                right_on=lambda answer: answer([some_weights(2, 3, 5, 5)]),
            ),
            WrongAnswer(name="number by number", answer=answers.ROLLOUT_ELEMENTWISE, says="matrix product"),
            WrongAnswer(name="mean of layers", answer=answers.ROLLOUT_AVERAGED, says="a mean over layers"),
            WrongAnswer(name="last layer", answer=answers.ROLLOUT_LAST_ONLY, says="the last layer alone"),
            WrongAnswer(name="residual once", answer=answers.ROLLOUT_RESIDUAL_ONCE, says="into every layer"),
            WrongAnswer(name="one row", answer=answers.ROLLOUT_CLASS_ROW, says="this is one row"),
        ),
        what_to_see="Rows that sum to 1, and tokens that hold at least what the residuals leave them.",
    ),
    Exercise(
        id="11.3",
        title="Rollout for divided attention",
        core=True,
        difficulty=4,
        importance=4,
        minutes=25,
        why=(
            "A block that attends in two steps has two tables, and neither is over all tokens "
            "until you lay it out."
        ),
        contract=(
            "`time` is `(B · s, heads, t, t)`: for each clip and place, frame against frame, "
            "places of one clip "
            "side by side; `space` is `(B · t, heads, 1 + s, 1 + s)`: for each clip and frame, class token "
            "first",
            "returns two tables `(B, N, N)`, over time and over space, with N = 1 + t · s tokens: "
            "class token, "
            "then the patches in the order (t s); heads averaged, no residual",
            "over time a patch meets its own place in every frame, and the class token itself alone",
            "over space a patch meets its frame and the class token; the class token has a copy in every "
            "frame, and its row is the mean over the copies",
        ),
        stub='''
        def block_tables(time: Tensor, space: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
            """The step over time and the step over space, each as a table (B, N, N) over all tokens."""
            raise NotImplementedError("11.3")
        ''',
        check=check_block_tables,
        probe=lambda answer: list(
            answer(some_weights(10, 7, 3, 3, seed=20), some_weights(6, 7, 6, 6, seed=21), 3)
        ),
        hints=(
            "Begin with tables of zeros. Each number of `time` and of `space` has one place in them.",
            "(B · s, t, t) → (B, s, t, t), and (B · t, 1 + s, 1 + s) → (B, t, 1 + s, 1 + s). Patch (f, p) is "
            "token 1 + f · s + p.",
            "Of one place p the tokens are 1 + p, 1 + p + s, …: torch.arange(1 + p, N, s). Of one "
            "frame they are "
            "a slice.",
        ),
        solution=answers.TABLES["filled in frame by frame"],
        right_answers=answers.TABLES,
        wrong_answers=(
            WrongAnswer(name="class token lost", answer=answers.TABLES_TOKEN_LOST, says="meets itself alone"),
            WrongAnswer(
                name="clips mixed over time",
                answer=answers.TABLES_CLIPS_MIXED_IN_TIME,
                says="over time the clips are mixed",
                right_on=lambda answer: list(answer(some_weights(5, 7, 3, 3), some_weights(3, 7, 6, 6), 3)),
            ),
            WrongAnswer(
                name="clips mixed in space",
                answer=answers.TABLES_CLIPS_MIXED_IN_SPACE,
                says="in space the clips are mixed",
                right_on=lambda answer: list(answer(some_weights(5, 7, 3, 3), some_weights(3, 7, 6, 6), 3)),
            ),
            WrongAnswer(name="copies summed", answer=answers.TABLES_SUMMED, says="copies were summed"),
            WrongAnswer(
                name="first copy only", answer=answers.TABLES_FIRST_COPY, says="only the first frame's"
            ),
            WrongAnswer(
                name="class token never read", answer=answers.TABLES_NEVER_READ, says="its column is missing"
            ),
            WrongAnswer(name="time fastest", answer=answers.TABLES_TIME_FASTEST, says="in the order (t s)"),
            WrongAnswer(name="exchanged", answer=answers.TABLES_EXCHANGED, says="tables are exchanged"),
            WrongAnswer(
                name="columns for rows", answer=answers.TABLES_TURNED, says="rows and columns are exchanged"
            ),
            WrongAnswer(name="joined", answer=answers.TABLES_JOINED, says="return both"),
            WrongAnswer(
                name="one head",
                answer=answers.TABLES_ONE_HEAD,
                says="one head was taken",
                right_on=lambda answer: list(answer(some_weights(10, 1, 3, 3), some_weights(6, 1, 6, 6), 3)),
            ),
        ),
        what_to_see="Two tables that are mostly zero; their product is not.",
    ),
    Exercise(
        id="11.4",
        title="The random-weight control",
        core=False,
        difficulty=2,
        importance=5,
        minutes=12,
        why="A map that looks the same without training tells about the picture, not about the model.",
        contract=(
            "returns a copy of `model` in which every parameter (biases and norms as well) holds **its own "
            "numbers in random order**, each tensor shuffled by itself, single numbers and not rows",
            "`model` stays as it is, and so do the buffers of the copy",
            "the same seed gives the same copy; torch's global random state is not touched",
        ),
        stub='''
        def with_random_weights(model: nn.Module, seed: int) -> nn.Module:
            """A copy of the model in which every parameter holds its own numbers in random order."""
            raise NotImplementedError("11.4")
        ''',
        check=check_with_random_weights,
        probe=run_random,
        hints=(
            "Copy first. Then shuffle each parameter of the copy, with a generator that is yours.",
            "A parameter of any shape: flatten to one axis, shuffle, and give it its shape back.",
            "copy.deepcopy(model); torch.randperm(p.numel(), generator=generator); p.copy_(…) under "
            "torch.no_grad().",
        ),
        solution=answers.RANDOM_WEIGHTS["a copy, shuffled"],
        right_answers=answers.RANDOM_WEIGHTS,
        wrong_answers=(
            WrongAnswer(
                name="the model itself", answer=answers.RANDOM_IN_PLACE, says="the model itself, shuffled"
            ),
            WrongAnswer(
                name="shallow copy", answer=answers.RANDOM_SHALLOW, says="copy.copy shares the parameters"
            ),
            WrongAnswer(name="whole rows", answer=answers.RANDOM_ROWS, says="whole rows were moved"),
            WrongAnswer(name="new numbers", answer=answers.RANDOM_FRESH, says="holds new numbers"),
            WrongAnswer(
                name="global seed",
                answer=answers.RANDOM_GLOBAL,
                says="global random state",
                right_on=run_random,
            ),
            WrongAnswer(name="one shuffle for all", answer=answers.RANDOM_ALIKE, says="were shuffled alike"),
            WrongAnswer(
                name="matrices only", answer=answers.RANDOM_MATRICES_ONLY, says="biases and norms too"
            ),
            WrongAnswer(name="no seed", answer=answers.RANDOM_NO_SEED, says="gave other weights"),
        ),
        what_to_see="A map that is not nonsense: even a random network sees edges.",
    ),
    Exercise(
        id="11.5",
        title="The deletion test",
        core=True,
        difficulty=3,
        importance=5,
        minutes=20,
        why="If a place matters to the answer, the answer should suffer when the place is gone.",
        contract=(
            "`clips` is `(B, T, C, H, W)`; `heat` is `(B, t, h, w)` on the token grid: a token covers T/t "
            "frames of a patch of H/h × W/w pixels",
            "returns the clips without the `number` hottest places of **each clip**, counted over all its "
            "frames",
            "a place that is removed gets, in each frame that it covers, that frame's mean colour "
            "(channel by "
            "channel, of the frame as it was)",
        ),
        stub='''
        def without_patches(clips: Tensor, heat: Tensor, number: int) -> Tensor:
            """The clips with the hottest places of each replaced by the mean colour of their frame."""
            raise NotImplementedError("11.5")
        ''',
        check=check_without_patches,
        probe=run_deletion,
        hints=(
            "Find the places on the small grid, make a mask, enlarge it to pixels, and choose "
            "between two clips.",
            "(B, t, h, w) flattened to (B, t · h · w) for topk; the mask enlarged to (B, T, 1, H, W).",
            "repeat_interleave enlarges one axis; torch.where(mask, mean, clips) chooses; the mean is "
            "(B, T, C, 1, 1).",
        ),
        solution=answers.DELETION["a mask"],
        right_answers=answers.DELETION,
        wrong_answers=(
            WrongAnswer(name="coldest", answer=answers.DELETION_LOWEST, says="the coldest places"),
            WrongAnswer(name="all others", answer=answers.DELETION_KEPT, says="all others removed"),
            WrongAnswer(name="per frame", answer=answers.DELETION_PER_FRAME, says="of the whole clip are"),
            WrongAnswer(
                name="over the batch",
                answer=answers.DELETION_OVER_BATCH,
                says="over all clips together",
                right_on=lambda answer: answer(1 + numbers(1, 6, 3, 14, 15), numbers(1, 3, 2, 5), 6),
            ),
            WrongAnswer(name="zeros", answer=answers.DELETION_ZEROS, says="filled with zeros"),
            WrongAnswer(
                name="mean of the clip",
                answer=answers.DELETION_OVER_CLIP,
                says="mean of the whole clip",
                right_on=lambda answer: answer(1 + numbers(2, 1, 3, 14, 15), numbers(2, 1, 2, 5), 6),
            ),
            WrongAnswer(name="grey", answer=answers.DELETION_GREY, says="the holes are grey"),
            WrongAnswer(
                name="rows and columns",
                answer=answers.DELETION_EXCHANGED,
                says="rows and columns of the map",
            ),
            WrongAnswer(name="tiled", answer=answers.DELETION_TILED, says="tiled, not enlarged"),
            WrongAnswer(name="in place", answer=answers.DELETION_IN_PLACE, says="in place"),
        ),
        what_to_see="Sixteen of 128 patches decide most answers, if they are the right ones.",
    ),
]
