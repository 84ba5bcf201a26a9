"""The exercises of lesson 10: counting operations, timing, seeds, views, choosing under a budget, and what is
wrong with a table.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_10 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    call_in_place,
    expect,
    expect_close,
    expect_equal,
    expect_integer,
    expect_number,
    expect_tensor,
)


def pair_of(value: Any, what: str) -> tuple[Any, Any]:
    """Two things, from a tuple, a list, or a tensor of two numbers."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, (Tensor, np.ndarray)) and tuple(value.shape) == (2,):
        value = value.tolist()
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Mistake(f"expected two things, {what}")
    return value[0], value[1]


# ------------------------------------------------------------------------------------------------- 10.1


class Small(nn.Module):
    """Tokens, one layer used twice, a product that is no layer, and a head on the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 5)
        self.mix = nn.Linear(5, 5, bias=False)
        self.norm = nn.LayerNorm(5)
        self.head = nn.Sequential(nn.GELU(), nn.Linear(5, 11))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x)  # (B, N, 5)
        tokens = self.norm(self.mix(self.mix(tokens)))
        weights = (tokens @ tokens.transpose(1, 2)).softmax(dim=-1)
        result: Tensor = self.head((weights @ tokens).mean(dim=1))
        return result


def check_linear_multiply_adds(linear_multiply_adds: Callable[..., Any]) -> None:
    """A shared layer, layers on tokens and on the mean, a batch; no hook may stay."""
    batch, tokens = 2, 7
    rows = batch * tokens
    embed, mix, head = rows * 15, rows * 25, batch * 55
    right = embed + 2 * mix + head
    got = expect_integer(call(linear_multiply_adds, Small(), torch.rand(batch, tokens, 3)))
    expect_equal(
        got,
        right,
        likely={
            "this counts weights, not operations: a layer works on every token of every clip": 15 + 25 + 55,
            "twice too many: one multiply-add, a product and its sum, counts as one": 2 * right,
            "the biases are counted: adding one is no multiply-add": right + rows * 5 + batch * 11,
            "a bias is counted in every layer: adding one is no multiply-add": right
            + rows * 5
            + 2 * rows * 5
            + batch * 11,
            "a layer that is used twice is counted once: add at every use": embed + mix + head,
            "only the first clip is counted: x holds a batch": right // batch,
            "products of attention are counted too; this exercise asks for the linear layers": right
            + 2 * batch * tokens * tokens * 5,
            "the layer on the mean is counted for every token: look at what it is given": embed
            + 2 * mix
            + rows * 55,
            "each layer is counted once, and with all tokens: look at each use, and at what goes in": rows
            * (15 + 25 + 55),
            "only layers directly in the model are seen: modules() finds those inside other parts, and "
            "children() does not": embed + 2 * mix,
            "these are all parameters of the model, not operations": sum(
                weight.numel() for weight in Small().parameters()
            ),
            "these are the numbers that come out; each of them needs in_features multiply-adds": rows * 15
            + batch * 11,
            "the output's numbers times out_features: each needs as many as the layer has inputs": rows * 25
            + 2 * mix
            + batch * 121,
            "the input's numbers times in_features: each output number needs in_features": rows * 9
            + 2 * mix
            + batch * 25,
            "products and sums are counted apart, and the products of attention, too": 2
            * (right + 2 * batch * tokens * tokens * 5),
        },
        otherwise="at each use of a layer: (rows that go in) · in_features · out_features",
    )
    model = Small()
    for _ in range(2):
        again = expect_integer(call_in_place(linear_multiply_adds, model, torch.rand(3, 5, 3)))
        expect_equal(again, 15 * 15 + 2 * 15 * 25 + 3 * 55, name="the count for another batch")
    left = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())
    expect(left == 0, f"{left} hooks stay on the model: remove each after the run")
    single = expect_integer(call(linear_multiply_adds, nn.Linear(3, 2), torch.rand(4, 3)))
    expect_equal(single, 24, name="the count of a model that is itself a linear layer")


# ------------------------------------------------------------------------------------------------- 10.2


class Device:
    """Runs are put into a queue, and are done only while somebody waits; time is counted, not measured."""

    def __init__(self, work: list[float]) -> None:
        self.now, self.queued, self.runs, self.waits = 100.0, 0.0, 0, 0
        self.work = work

    def doors(self) -> tuple[Callable[[], None], Callable[[], None], Callable[[], float]]:
        """run, synchronise, clock, as functions without an owner to copy."""

        def run() -> None:
            self.queued += self.work[self.runs % len(self.work)]
            self.runs += 1
            self.now += 1.0

        def synchronise() -> None:
            self.now += self.queued
            self.queued = 0.0
            self.waits += 1

        def clock() -> float:
            return self.now

        return run, synchronise, clock


def check_latency(latency: Callable[..., Any]) -> None:
    """A device with a queue: slow first runs, one run that was disturbed, then a single run."""
    device = Device([500.0, 300.0, 400.0, 11.0, 90.0, 9.0, 13.0, 7.0])
    got = expect_number(call(latency, *device.doors(), 3, 5))
    if device.runs != 8:
        reason = "the warm-up is missing" if device.runs == 5 else "num_warmup, then num_runs"
        raise Mistake(f"run() was called {device.runs} times instead of 3 + 5: {reason}")
    expect(got >= 0, "a time below zero: the later reading of the clock, less the earlier")
    expect(got > 0.5, "these are not the times of clock(): read the clock that is handed over, and no other")
    expect_close(
        got,
        12.0,
        name="the latency",
        likely={
            "the clock was read before the work was done: run() only puts it into a queue; synchronise "
            "before the second reading": 1.0,
            "this is the mean: one run that was disturbed pulls it up; take the median": 27.0,
            "this is the fastest run: luck, not what to expect; take the median": 8.0,
            "this is the slowest run; take the median": 91.0,
            "this is the run in the middle of the list, not the middle time: sort the times first": 10.0,
            "this is the time of all runs together; asked for is the median of one": 135.0,
            "the warm-up's times are among those of which the median is taken": 52.5,
            "work from the warm-up is still in the queue when the clock starts: synchronise before the first "
            "reading, too": 14.0,
            "the clock gives seconds, and seconds are asked for": 12_000.0,
        },
        otherwise="the median of clock() after less before",
    )
    device = Device([40.0, 20.0, 6.0])
    single = expect_number(call(latency, *device.doors(), 2, 1))
    expect_close(
        single,
        7.0,
        name="the latency of a single run",
        likely={
            "work from the warm-up is still in the queue when the clock starts: synchronise before the first "
            "reading, too": 67.0,
            "the clock was read before the work was done": 1.0,
        },
        otherwise="synchronise before each of the two readings",
    )
    device = Device([5.0, 4.0, 3.0])
    bare = expect_number(call(latency, *device.doors(), 0, 3))
    expect_close(bare, 5.0, name="the latency without a warm-up")


# ------------------------------------------------------------------------------------------------- 10.3


def check_mean_interval(mean_interval: Callable[..., Any]) -> None:
    """Three scores and five, either float type; equal scores."""
    for values, quantile, dtype in (
        ([0.91, 0.83, 0.96], 4.303, torch.float32),
        ([0.42, 0.55, 0.47, 0.61, 0.40], 2.776, torch.float64),
    ):
        scores = torch.tensor(values, dtype=dtype)
        pair = pair_of(call(mean_interval, scores, quantile), "(mean, half the width)")
        mean = expect_number(pair[0], name="the mean")
        half = expect_number(pair[1], name="half the width")
        n, spread = len(values), float(np.std(values, ddof=1))
        right = quantile * spread / n**0.5
        expect_close(
            mean,
            float(np.mean(values)),
            name="the mean",
            likely={
                "these are the ends of the interval; asked for are the mean and half the width": float(
                    np.mean(values)
                ) - right,
                "this is the median": float(np.median(values)),
                "this is the best seed": max(values),
                "the two are exchanged: the mean comes first": right,
                "this is the mean in percent; leave the scores as they are": 100 * float(np.mean(values)),
            },
        )  # fmt: skip
        population = float(np.std(values))
        expect_close(
            half,
            right,
            name="half the width",
            likely={
                "the spread divides by n: the mean is of the same scores, so divide by n − 1": quantile
                * population / n**0.5,
                "the root of n is missing: a mean of n scores varies less than one score": quantile * spread,
                "this divides by n instead of its root": quantile * spread / n,
                "1.96 is for many seeds; with so few use the quantile that is given": 1.96 * spread / n**0.5,
                "this is the whole width; give half": 2 * right,
                "this takes the variance for the spread: its root is missing": quantile * spread**2 / n**0.5,
                "this is the standard error: times the quantile it is half the interval": spread / n**0.5,
                "this is the spread of the scores, not an interval of their mean": spread,
                "this is half the range of the scores": (max(values) - min(values)) / 2,
                "this is the upper end of the interval": float(np.mean(values)) + right,
                "n − 1 belongs under the squared differences, and only there; the root is that of n": quantile
                * spread / (n - 1)**0.5,
                "4.303 is for three seeds; use the quantile that is given": 4.303 * spread / n**0.5,
                "the root is always that of 3; n is the number of scores": quantile * spread / 3**0.5,
                "this takes the variance for the spread, and n for its root": quantile * spread**2 / n,
            },
            otherwise="quantile · spread / √n, where the spread divides by n − 1",
        )  # fmt: skip
    pair = pair_of(call(mean_interval, torch.full((4,), 0.5), 3.182), "(mean, half the width)")
    expect_close(expect_number(pair[1]), 0.0, name="half the width of equal scores")


# ------------------------------------------------------------------------------------------------- 10.4


def _looks(clips: Tensor) -> Tensor:
    """Logits of three classes that depend on how bright a clip is, and far from linearly."""
    if clips.dim() != 5:
        raise ValueError(f"the model takes clips (B, T, C, H, W), and was given shape {tuple(clips.shape)}")
    seen = clips.mean(dim=(1, 3, 4))  # (B, C)
    return torch.stack([9 * seen[:, 0] ** 2, 6 * seen[:, 1], 4 - 5 * seen[:, 0]], dim=1)


def check_with_views(with_views: Callable[..., Any]) -> None:
    """Five videos of three views; the cost; one view; equal views."""
    clips = torch.rand(5, 3, 2, 2, 3, 3) * torch.rand(5, 3, 1, 2, 1, 1) * 2
    probabilities, cost = pair_of(call(with_views, _looks, clips, 1000), "(probabilities, multiply-adds)")
    expect(
        not (isinstance(cost, Tensor) and cost.numel() > 1 and not isinstance(probabilities, Tensor)),
        "the two are exchanged: the probabilities come first",
    )
    logits = _looks(clips.flatten(0, 1)).unflatten(0, (5, 3))
    shares = logits.softmax(dim=-1)
    found = expect_tensor(
        probabilities,
        (5, 3),
        kind="float",
        name="the table of probabilities",
        likely={
            (15, 3): "there is still a row for each view: take the mean over a video's views",
            (3, 3): "this is a mean over the videos: take it over the views of each",
            (5,): "one number a video: give the probabilities of all classes",
        },
    )
    votes = torch.nn.functional.one_hot(logits.argmax(-1), 3).float().mean(dim=1)
    expect_close(
        found,
        shares.mean(dim=1),
        name="the table of probabilities",
        likely={
            "these are means of logits: softmax each view first, then take the mean": logits.mean(dim=1),
            "the mean comes before the softmax: one view with large logits outvotes the others; softmax "
            "first": logits.mean(dim=1).softmax(dim=-1),
            "the views' pixels are averaged before the model sees them: a blend of views is no view": _looks(
                clips.mean(dim=1)
            ).softmax(dim=-1),
            "views of different videos are mixed: after flatten(0, 1) the views of a video lie side by "
            "side": shares.flatten(0, 1).unflatten(0, (3, 5)).mean(dim=0),
            "only one view counts; the others were paid for": shares[:, 0],
            "these are votes: a view that is nearly sure counts no more than one that is not": votes,
            "the probabilities of the views are summed, not averaged": shares.sum(dim=1),
            "the softmax runs over the clips: the classes are the last axis": logits.flatten(0, 1)
            .softmax(dim=0)
            .unflatten(0, (5, 3))
            .mean(dim=1),
            "this takes the largest probability of any view: take the mean": shares.amax(dim=1),
            "the probabilities of the views are multiplied: take their mean": shares.prod(dim=1),
            "these are means of logarithms: take the mean of the probabilities themselves": shares.log().mean(
                dim=1
            ),
            "sigmoid looks at each class alone; softmax makes the classes share": logits.sigmoid().mean(
                dim=1
            ),
        },
        otherwise="softmax over classes for each view, then the mean over a video's views",
    )  # fmt: skip
    expect_equal(
        expect_integer(cost, name="the cost"),
        3000,
        name="the cost",
        likely={
            "the views are hidden: this is the cost of one view, and a video needs three": 1000,
            "this is the cost of the whole batch; asked for is that of one video": 15000,
            "this counts videos, not views": 5000,
        },
        otherwise="views of a video times the cost of one",
    )
    alone, cost = pair_of(call(with_views, _looks, clips[:, :1], 7), "(probabilities, multiply-adds)")
    expect_close(expect_tensor(alone, (5, 3)), shares[:, 0], name="the probabilities from one view")
    expect_equal(
        expect_integer(cost),
        7,
        name="the cost of one view",
        likely={"three views are paid for, and one was shown: count the views that are there": 21},
    )


# ------------------------------------------------------------------------------------------------- 10.5

TABLE = {
    "large": (900, 1, [0.95, 0.94, 0.96]),
    "steady": (100, 3, [0.90, 0.90, 0.90]),
    "lucky": (50, 4, [0.97, 0.70, 0.70]),
    "small": (90, 1, [0.60, 0.62, 0.64]),
    "near": (140, 2, [0.88, 0.90, 0.89]),
    "many views": (80, 30, [0.97, 0.97, 0.97]),
}


SEEDS = {
    "one bad seed": (30, 1, [0.94, 0.93, 0.42]),
    "one weak seed": (60, 1, [0.92, 0.92, 0.80]),
    "three good": (50, 1, [0.86, 0.86, 0.86]),
    "four good": (20, 1, [0.76, 0.76, 0.76, 0.76]),
    "two good": (40, 1, [0.87, 0.81]),
}
"""Rows with other numbers of seeds, whose medians and worst seeds tell other stories than their means."""

LOW = {"best": (20, 2, [0.30, 0.31, 0.29]), "dear": (90, 1, [0.29, 0.30, 0.28]), "poor": (5, 1, [0.25, 0.26])}
"""The best is the cheapest of those that tie; a tenth of its accuracy is another margin than a tenth."""


def check_choose(choose: Callable[..., Any]) -> None:
    """Views that cost, a lucky seed, a tie, an exact fit, nothing that fits, odd seeds and low scores."""

    def chosen(budget: int, margin: float, table: dict[str, Any] = TABLE) -> str | None:
        value = call(choose, table, budget, margin)
        if value is not None and not isinstance(value, str):
            raise Mistake("expected the name of one row, or None where none fits")
        return value

    expect_equal(
        chosen(400, 0.0),
        "steady",
        name="the choice within 400, with no margin",
        likely={
            "this row needs 30 views: its cost is multiply-adds times views": "many views",
            "this row is good on one lucky seed: compare means over seeds": "lucky",
            "this is the cheapest within the budget; take the most accurate": "small",
            "this row costs more than the budget": "large",
            "nothing was chosen, though four rows fit: compare them with the best that fits, not with the "
            "best of all": None,
        },
    )
    expect_equal(
        chosen(400, 0.02),
        "near",
        name="the choice within 400, with a margin of 0.02",
        likely={
            "another row lies within the margin of the best and costs less: they tie, so take the cheaper": (
                "steady"
            ),
            "this is the cheapest of all that fit, but it does not tie with the best": "small",
            "nothing was chosen: compare with the best of those that fit, not with the best of all": None,
        },
    )
    expect_equal(
        chosen(300, 0.0),
        "steady",
        name="the choice within 300, with no margin",
        likely={"a row that costs exactly the budget fits: ≤, not <": "near"},
    )
    expect_equal(chosen(10, 0.1), None, name="the choice where no row fits")
    expect_equal(chosen(10_000, 0.03), "large", name="the choice within 10,000, with a margin of 0.03")
    expect_equal(
        chosen(100, 0.005, SEEDS),
        "one weak seed",
        name="the choice among rows with other numbers of seeds",
        likely={
            "this row has good seeds, and one that failed: compare means": "one bad seed",
            "this row has the best of the worst seeds; compare means": "three good",
            "a sum of scores grows with the number of seeds: divide by how many this row has": "four good",
        },
    )
    expect_equal(
        chosen(100, 0.02, LOW),
        "best",
        name="the choice where the best is also the cheapest of those that tie",
        likely={"the best row ties with itself: it may be the cheapest of those that tie": "dear"},
    )
    expect_equal(
        chosen(100, 0.07, LOW),
        "poor",
        name="the choice where accuracies are low, with a margin of 0.07",
        likely={"the margin is a difference of accuracies, not a share of the best: best − margin": "best"},
    )


# ------------------------------------------------------------------------------------------------- 10.6

Row = dict[str, Any]
Rule = Callable[[Row, Row], bool]

RULES: dict[str, Rule] = {
    "hidden views": lambda row, first: row["views"] is None,
    "few seeds": lambda row, first: len(row["scores"]) < 3,
    "chosen on test": lambda row, first: row["chosen_on"] != "val",
    "another start": lambda row, first: row["start"] != first["start"],
    "another count": lambda row, first: row["attention_counted"] != first["attention_counted"],
    "unsynchronised": lambda row, first: row["device"] == "cuda" and not row["synchronised"],
}
"""The faults of a row, given the table's first; what a check table wants is computed by these."""

SLIPS: dict[str, dict[str, Rule]] = {
    "hidden views": {
        "one view, and told, is no fault: the fault is not to tell how many": (
            lambda row, first: row["views"] in (None, 1)
        ),
        "many views are dear, and no fault where the table tells them": (
            lambda row, first: row["views"] is None or row["views"] > 3
        ),
        "more than one view is no fault where the table tells it": (
            lambda row, first: row["views"] is None or row["views"] > 1
        ),
    },
    "few seeds": {
        "two seeds are few as well: a fair row has three or more": lambda row, first: len(row["scores"]) == 1,
        "three seeds are enough here": lambda row, first: len(row["scores"]) <= 3,
    },
    "chosen on test": {
        "`None` means that nobody says on which clips the settings were chosen, and silence counts against "
        "the row": lambda row, first: row["chosen_on"] == "test",
        "the validation clips are the ones to choose on; the fault is to choose on others": (
            lambda row, first: row["chosen_on"] == "val"
        ),
    },
    "another start": {
        "each start is compared with the row above; compare it with the first row, the baseline": (
            lambda row, first: row["start"] != row["above"]["start"]
        ),
        "each start is compared with the last row; compare it with the first row, the baseline": (
            lambda row, first: row["start"] != row["last"]["start"]
        ),
        "no start is a fault in itself: compare it with the first row's": (
            lambda row, first: row["start"] != "ImageNet-1K"
        ),
        "a start from scratch is no fault in itself: compare it with the first row's": (
            lambda row, first: row["start"] == "scratch"
        ),
        "ImageNet-21K is no fault in itself: compare each start with the first row's": (
            lambda row, first: row["start"] == "ImageNet-21K"
        ),
    },
    "another count": {
        "to leave the products of attention out is a convention, no fault: the fault is to differ from the "
        "first row": lambda row, first: not row["attention_counted"],
        "each count is compared with the last row; compare it with the first row's": (
            lambda row, first: row["attention_counted"] != row["last"]["attention_counted"]
        ),
        "each count is compared with the row above; compare it with the first row's": (
            lambda row, first: row["attention_counted"] != row["above"]["attention_counted"]
        ),
    },
    "unsynchronised": {
        "on a CPU nothing is queued, so nobody has to wait: only a \"cuda\" row can have this fault": (
            lambda row, first: not row["synchronised"]
        ),
        "`None` means that nobody says whether the clock waited for the device, and silence counts against "
        "the row": lambda row, first: row["device"] == "cuda" and row["synchronised"] is False,
        "a time on \"cuda\" is no fault if the clock waited for the device": (
            lambda row, first: row["device"] == "cuda"
        ),
    },
}  # fmt: skip
"""Fault → sentence → the rule that somebody with this misunderstanding applies."""

FAIR: Row = {
    "model": "A",
    "scores": [0.80, 0.81, 0.79],
    "chosen_on": "val",
    "start": "ImageNet-1K",
    "attention_counted": True,
    "views": 3,
    "device": "cuda",
    "synchronised": True,
}


def _table(*changes: Mapping[str, Any]) -> list[Row]:
    """Fair rows with these changes, named A, B, C …"""
    return [FAIR | {"model": chr(ord("A") + place)} | dict(one) for place, one in enumerate(changes)]


def _scores(*lengths: int) -> list[Mapping[str, Any]]:
    return [{"scores": [0.8 + 0.01 * seed for seed in range(length)]} for length in lengths]


TABLES: list[tuple[str, list[Row]]] = [
    ("hidden views", _table(*({"views": views} for views in (1, 30, None, 3, None)))),
    ("few seeds", _table(*_scores(3, 1, 2, 5, 3))),
    ("chosen on test", _table(*({"chosen_on": on} for on in ("val", "test", None, "val")))),
    (
        "another start",
        _table(
            *({"start": s} for s in ("scratch", "ImageNet-21K", "scratch", "ImageNet-1K", "ImageNet-21K"))
        ),
    ),
    ("another start", _table(*({"start": s} for s in ("ImageNet-1K", "ImageNet-1K", "scratch", "scratch")))),
    ("another count", _table(*({"attention_counted": one} for one in (False, True, True, False)))),
    ("another count", _table(*({"attention_counted": one} for one in (True, False, None, True)))),
    (
        "unsynchronised",
        _table(
            *(
                {"device": device, "synchronised": waited}
                for device in ("cuda", "cpu")
                for waited in (True, False, None)
            )
        ),
    ),
]
"""A fault, and a table whose rows vary in what it is about."""


PROBE = _table(
    {"scores": [0.7, 0.8]},
    {"views": None, "chosen_on": None, "start": "ImageNet-21K"},
    {"device": "cpu", "synchronised": False, "attention_counted": False, "views": 1},
    {"synchronised": None, "scores": [0.9]},
)
"""A table without symmetry, with every fault in it."""


def _right_faults(rows: Sequence[Row]) -> list[set[str]]:
    return [{name for name, rule in RULES.items() if rule(row, rows[0])} for row in rows]


def _names_of_faults(value: Any, rows: Sequence[Row]) -> list[set[str]]:
    """What an answer gave, as a set of known names for each row."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, dict):
        raise Mistake("this is a dict; expected a list, with a set of names for each row, in their order")
    if isinstance(value, (str, bool, int, float)) or not isinstance(value, Iterable):
        raise Mistake(f"expected a list with a set of names for each row, not a {type(value).__name__}")
    if isinstance(value, (set, frozenset)) and all(isinstance(one, str) for one in value):
        raise Mistake("this is one verdict on the whole table: give a list, with a set for each row")
    verdicts = list(value)
    if verdicts and all(isinstance(one, str) for one in verdicts):
        raise Mistake(
            "expected a set of names for each row, not a single name: a row may have several faults"
        )
    if len(verdicts) != len(rows):
        reason = "a fair row has an empty set" if len(verdicts) < len(rows) else "one for each row"
        raise Mistake(f"{len(verdicts)} verdicts on {len(rows)} rows: {reason}")
    found = []
    for place, one in enumerate(verdicts):
        if one is None:
            raise Mistake(f"the verdict on row {place} is None: a fair row has an empty set")
        if isinstance(one, (str, dict, bool, int, float)) or not isinstance(one, Iterable):
            raise Mistake(f"the verdict on row {place} is a {type(one).__name__}, expected a set of names")
        names = {str(name) for name in one}
        if names & {"True", "False"}:
            raise Mistake(f"the verdict on row {place} holds True or False, expected names of faults")
        for name in sorted(names - set(RULES)):
            raise Mistake(f"{name!r} is none of the six names: {', '.join(RULES)}")
        found.append(names)
    return found


def _as_table(verdicts: Iterable[Iterable[str]]) -> Tensor:
    """``(rows, faults)``: True where a row has a fault."""
    return torch.tensor([[fault in names for fault in RULES] for names in map(set, verdicts)])


def _told(row: Row, fault: str) -> str:
    """The columns of a row that a fault is about."""
    about = {
        "hidden views": ("views",),
        "few seeds": ("scores",),
        "chosen on test": ("chosen_on",),
        "another start": ("start",),
        "another count": ("attention_counted",),
        "unsynchronised": ("device", "synchronised"),
    }[fault]
    return ", ".join(f"{name} {row[name]!r}" for name in about)


def _expect_faults(got: Sequence[set[str]], rows: Sequence[Row], asked: Sequence[str]) -> None:
    """The verdicts are right; those on ``asked`` are looked at first, and the usual slips have names."""
    right = _right_faults(rows)
    expect(
        len(rows) == 1 or any(one != got[0] for one in got) or got[0] != set().union(*right) or not got[0]
        or all(one == got[0] for one in right),
        "every row has the same set, with the faults of the whole table: make a new, empty set for each row",
    )  # fmt: skip
    linked = [row | {"above": rows[max(place - 1, 0)], "last": rows[-1]} for place, row in enumerate(rows)]
    for fault in [*asked, *(name for name in RULES if name not in asked)]:
        flagged = [fault in names for names in got]
        wanted = [fault in names for names in right]
        if flagged == wanted:
            continue
        for sentence, rule in SLIPS[fault].items():
            if flagged == [bool(rule(row, linked[0])) for row in linked]:
                raise Mistake(f"{fault!r}: {sentence}")
        place = next(i for i, pair in enumerate(zip(flagged, wanted, strict=True)) if pair[0] != pair[1])
        verb = "does not have" if flagged[place] else "has"
        base = f" (the first row: {_told(rows[0], fault)})" if fault.startswith("another") and place else ""
        raise Mistake(f"row {place} {verb} the fault {fault!r}: {_told(rows[place], fault)}{base}")


def check_faults_of(faults_of: Callable[..., Any]) -> None:
    """One fault at a time, a fair table, a faulty baseline, all faults in a row, and tables drawn by lot."""
    for fault, rows in TABLES:
        _expect_faults(_names_of_faults(call(faults_of, rows), rows), rows, [fault])
    fair = _table({}, {})
    found = _names_of_faults(call(faults_of, fair), fair)
    expect(not any(found), "a table without a fault got one: a fair row has an empty set")
    bad = {"scores": [0.9], "chosen_on": None, "views": None, "synchronised": None}
    faulty = _table(bad, {}, bad | {"start": "scratch", "attention_counted": False})
    found = _names_of_faults(call(faults_of, faulty), faulty)
    expect(
        bool(found[0]),
        "the first row is the baseline, and may have faults of its own: few seeds, hidden views, …",
    )
    right = _right_faults(faulty)
    expect(
        not (len(found[2]) == 1 and found[2] < right[2]),
        "only one fault is found in a row that has several: ask every question (if, if, if; not elif)",
    )
    _expect_faults(found, faulty, [])
    alone = _table({"views": None})
    _expect_faults(_names_of_faults(call(faults_of, alone), alone), alone, [])
    draw = random.Random(10)
    for number in range(2, 8):
        rows = _table(*(_drawn(draw) for _ in range(number)))
        rows[0] |= {
            "start": "ImageNet-1K",
            "attention_counted": draw.random() < 0.5,
        }  # a baseline tells these
        _expect_faults(_names_of_faults(call(faults_of, rows), rows), rows, [])


def _drawn(draw: random.Random) -> Row:
    return {
        "scores": [draw.random() for _ in range(draw.choice((1, 2, 3, 3, 5)))],
        "chosen_on": draw.choice(("val", "val", "test", None)),
        "start": draw.choice(("scratch", "ImageNet-1K", "ImageNet-21K", None)),
        "attention_counted": draw.choice((True, False, None)),
        "views": draw.choice((1, 3, 10, 30, None)),
        "device": draw.choice(("cuda", "cpu")),
        "synchronised": draw.choice((True, False, None)),
    }


EXERCISES = [
    Exercise(
        id="10.1",
        title="Count the operations",
        core=True,
        difficulty=3,
        importance=4,
        minutes=15,
        why="Papers print operations; you should be able to count them for any model that runs.",
        contract=(
            "`model` is any module, `x` what it takes; the model is run once",
            "returns the multiply-adds of all its `nn.Linear` layers in that run, as an integer: each output "
            "number of a layer needs as many as the layer has inputs",
            "a layer counts at **every** use, for every token of every clip; biases do not count",
            "nothing may stay on the model afterwards",
        ),
        stub='''
        def linear_multiply_adds(model: nn.Module, x: Tensor) -> int:
            """Multiply-adds of all linear layers while the model runs on x."""
            raise NotImplementedError("10.1")
        ''',
        check=check_linear_multiply_adds,
        probe=lambda answer: answer(Small(), torch.ones(2, 7, 3)),
        hints=(
            "A forward hook is called at each use of a layer and sees what goes in and what comes out.",
            "The output has shape (…, out_features): its number of entries, times in_features.",
            "Register a hook on each part that is an nn.Linear; add up in it; run; remove every hook.",
        ),
        solution=answers.COUNT["forward hooks"],
        right_answers=answers.COUNT,
        wrong_answers=(
            WrongAnswer(
                name="weights counted",
                answer=answers.COUNT_PARAMETERS,
                says="counts weights, not operations",
                right_on=lambda answer: answer(nn.Linear(3, 2), torch.ones(1, 3)),
            ),
            WrongAnswer(name="doubled", answer=answers.COUNT_DOUBLED, says="twice too many"),
            WrongAnswer(name="biases", answer=answers.COUNT_BIAS, says="adding one is no multiply-add"),
            WrongAnswer(
                name="shared layer once",
                answer=answers.COUNT_ONCE,
                says="used twice is counted once",
                right_on=lambda answer: answer(nn.Linear(3, 2), torch.ones(4, 3)),
            ),
            WrongAnswer(name="one clip", answer=answers.COUNT_ONE_CLIP, says="only the first clip"),
            WrongAnswer(name="hooks stay", answer=answers.COUNT_HOOKS_LEFT, says="hooks stay on the model"),
        ),
        what_to_see="VTN has the most parameters, and not the most operations.",
    ),
    Exercise(
        id="10.2",
        title="A stopwatch that waits",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why="A GPU takes orders and answers later: a careless stopwatch measures the ordering.",
        contract=(
            "`run()` starts the work once; `synchronise()` returns when all started work is done; `clock()` "
            "gives the time in seconds",
            "first `num_warmup` runs that do not count, then `num_runs` runs (an odd number), each timed by "
            "itself, from an empty queue until its work is done",
            "returns the median of the times",
        ),
        stub='''
        def latency(run, synchronise, clock, num_warmup: int, num_runs: int) -> float:
            """Median seconds of one run, the device waited for."""
            raise NotImplementedError("10.2")
        ''',
        check=check_latency,
        probe=lambda answer: float(answer(*Device([50.0, 3.0, 2.0, 9.0]).doors(), 1, 3)),
        hints=(
            "Before you read the clock, make sure that nothing is left to do. Both times.",
            "synchronise, clock, run, synchronise, clock: one time. Collect num_runs of them.",
            "Warm up in a loop of its own. Sort the times and take the middle one.",
        ),
        solution=answers.LATENCY["a list and its median"],
        right_answers=answers.LATENCY,
        wrong_answers=(
            WrongAnswer(
                name="queue not empty",
                answer=answers.LATENCY_NOT_EMPTY,
                says="still in the queue",
                right_on=lambda answer: answer(*Device([5.0]).doors(), 0, 3),
            ),
            WrongAnswer(
                name="not waited for", answer=answers.LATENCY_NO_SYNC, says="only puts it into a queue"
            ),
            WrongAnswer(
                name="waited too early", answer=answers.LATENCY_NOT_WAITED, says="before the work was done"
            ),
            WrongAnswer(
                name="mean",
                answer=answers.LATENCY_MEAN,
                says="this is the mean",
                right_on=lambda answer: answer(*Device([5.0]).doors(), 1, 3),
            ),
            WrongAnswer(name="fastest", answer=answers.LATENCY_FASTEST, says="this is the fastest run"),
            WrongAnswer(name="no warm-up", answer=answers.LATENCY_NO_WARMUP, says="the warm-up is missing"),
        ),
        what_to_see="The careless stopwatch finds every model equally fast.",
    ),
    Exercise(
        id="10.3",
        title="Mean and interval over seeds",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why="A difference that another seed would turn round is no result.",
        contract=(
            "`scores` is a float tensor of shape `(n,)`, one score a seed; `quantile` is Student's for n − 1 "
            "degrees of freedom (4.303 for three seeds)",
            "returns `(mean, half)`: the 95 % interval of the mean is mean ± half, where half is the "
            "quantile times the standard error",
            "the spread of the scores divides by n − 1",
        ),
        stub='''
        def mean_interval(scores: Tensor, quantile: float) -> tuple[float, float]:
            """Mean over seeds, and half the width of its 95 % interval."""
            raise NotImplementedError("10.3")
        ''',
        check=check_mean_interval,
        probe=lambda answer: [float(one) for one in answer(torch.tensor([0.2, 0.5, 0.9]), 4.303)],
        hints=(
            "Four times as many seeds make the mean twice as sure.",
            "The standard error is the spread over the root of n: a single number, like the mean.",
            "torch's std divides by n − 1 unless told otherwise; quantile · std / √n.",
        ),
        solution=answers.INTERVAL["tensor"],
        right_answers=answers.INTERVAL,
        wrong_answers=(
            WrongAnswer(
                name="divided by n",
                answer=answers.INTERVAL_POPULATION,
                says="the spread divides by n",
                right_on=lambda answer: [float(one) for one in answer(torch.full((3,), 0.5), 4.303)],
            ),
            WrongAnswer(
                name="no root of n", answer=answers.INTERVAL_NO_ROOT, says="the root of n is missing"
            ),
            WrongAnswer(name="n for its root", answer=answers.INTERVAL_BY_N, says="instead of its root"),
            WrongAnswer(name="1.96", answer=answers.INTERVAL_NORMAL, says="1.96 is for many seeds"),
            WrongAnswer(name="whole width", answer=answers.INTERVAL_WHOLE, says="the whole width"),
            WrongAnswer(
                name="variance", answer=answers.INTERVAL_VARIANCE, says="the variance for the spread"
            ),
            WrongAnswer(
                name="no quantile", answer=answers.INTERVAL_NO_QUANTILE, says="this is the standard error"
            ),
        ),
        what_to_see="The intervals of three seeds are wider than most people expect.",
    ),
    Exercise(
        id="10.4",
        title="Several views, and their price",
        core=False,
        difficulty=3,
        importance=4,
        minutes=15,
        why="Ten views cost ten times as much, and many tables print the cost of one.",
        contract=(
            "`clips` has shape `(B, views, T, C, H, W)`; `model` takes `(B, T, C, H, W)` and gives logits; "
            "`multiply_adds` is what one view costs",
            "returns `(probabilities, cost)`: for each video the mean over its views of the "
            "**probabilities**, `(B, classes)`, and the multiply-adds of **one video**",
        ),
        stub='''
        def with_views(model, clips: Tensor, multiply_adds: int) -> tuple[Tensor, int]:
            """Mean probabilities over the views of each video, and what a video costs."""
            raise NotImplementedError("10.4")
        ''',
        check=check_with_views,
        probe=lambda answer: answer(
            _looks, torch.linspace(0, 1.4, 144).reshape(2, 3, 2, 2, 2, 3).flip(5), 10
        ),
        hints=(
            "The model knows no views: to it they are more clips.",
            "(B, views, …) → (B·views, …) → logits (B·views, classes) → (B, views, classes).",
            "flatten(0, 1), the model, softmax over the last axis, unflatten(0, …), the mean over axis 1.",
        ),
        solution=answers.VIEWS["folded into the batch"],
        right_answers=answers.VIEWS,
        wrong_answers=(
            WrongAnswer(
                name="softmax last",
                answer=answers.VIEWS_LOGITS,
                says="the mean comes before the softmax",
                right_on=lambda answer: answer(_looks, torch.ones(2, 1, 2, 2, 3, 3), 10),
            ),
            WrongAnswer(name="logits", answer=answers.VIEWS_RAW, says="means of logits"),
            WrongAnswer(name="pixels averaged", answer=answers.VIEWS_PIXELS, says="a blend of views"),
            WrongAnswer(
                name="videos mixed", answer=answers.VIEWS_MIXED, says="views of different videos are mixed"
            ),
            WrongAnswer(name="first view only", answer=answers.VIEWS_FIRST, says="only one view counts"),
            WrongAnswer(name="hidden views", answer=answers.VIEWS_HIDDEN, says="the views are hidden"),
            WrongAnswer(name="cost of the batch", answer=answers.VIEWS_ALL_VIDEOS, says="the whole batch"),
        ),
        what_to_see="Three views cost three times as much; what they bring depends on the model.",
    ),
    Exercise(
        id="10.5",
        title="Choose under a budget",
        core=False,
        difficulty=3,
        importance=4,
        minutes=15,
        why="The last step of a comparison is a decision.",
        contract=(
            "`rows` maps a name to `(multiply-adds of one view, views, scores of several seeds)`",
            "a row fits if all its views together cost at most `budget`; its accuracy is its mean over seeds",
            "rows that fit, and whose accuracy is at most `margin` below the best **that fits**, tie; "
            "returns the name of the cheapest of them, or `None` where no row fits",
        ),
        stub='''
        def choose(rows: dict, budget: int, margin: float) -> str | None:
            """The cheapest of those that tie with the best one within the budget."""
            raise NotImplementedError("10.5")
        ''',
        check=check_choose,
        probe=lambda answer: [answer(TABLE, 400, 0.0), answer(TABLE, 400, 0.02), answer(TABLE, 300, 0.0)],
        hints=(
            "Three questions, in turn: what fits, how good is the best of it, what ties with that.",
            "A cost and a mean for each name; a list of names that fit; one number, the best mean.",
            "The least by cost among names that fit and reach best − margin; None if the list is empty.",
        ),
        solution=answers.CHOOSE["lists"],
        right_answers=answers.CHOOSE,
        wrong_answers=(
            WrongAnswer(
                name="views forgotten",
                answer=answers.CHOOSE_HIDDEN_VIEWS,
                says="needs 30 views",
                right_on=lambda answer: answer({"a": (5, 1, [0.5]), "b": (9, 1, [0.9])}, 9, 0.1),
            ),
            WrongAnswer(
                name="best seed",
                answer=answers.CHOOSE_BEST_SEED,
                says="one lucky seed",
                right_on=lambda answer: answer({"a": (5, 1, [0.5]), "b": (9, 1, [0.9])}, 9, 0.1),
            ),
            WrongAnswer(name="first seed", answer=answers.CHOOSE_FIRST_SEED, says="one lucky seed"),
            WrongAnswer(
                name="no margin", answer=answers.CHOOSE_NO_MARGIN, says="they tie, so take the cheaper"
            ),
            WrongAnswer(
                name="cheapest", answer=answers.CHOOSE_CHEAPEST, says="the cheapest within the budget"
            ),
            WrongAnswer(
                name="best of all", answer=answers.CHOOSE_BEST_OF_ALL, says="not with the best of all"
            ),
            WrongAnswer(
                name="exact fit refused", answer=answers.CHOOSE_BELOW, says="exactly the budget fits"
            ),
            WrongAnswer(name="nothing fits", answer=answers.CHOOSE_NO_NONE, says="ValueError"),
        ),
        what_to_see="The choice changes with the labelling, and hardly with the last percent.",
    ),
    Exercise(
        id="10.6",
        title="What is wrong with this table?",
        core=True,
        difficulty=2,
        importance=5,
        minutes=15,
        why="A flawed table looks like a fair one; the flaws show when each row is asked the same questions.",
        contract=(
            "`rows` is a table: a list of dicts, the first of which is the baseline; each has the columns "
            "`model`, `scores` (a list, one accuracy a seed), `chosen_on`, `start`, `attention_counted`, "
            "`views`, `device` and `synchronised`; `None` means *not told*",
            "returns a list with a **set of names** for each row, in order; the set of a fair row is empty",
            '`"hidden views"`: the number of views is not told. `"few seeds"`: fewer than three scores. '
            '`"chosen on test"`: the settings were chosen on anything but `"val"`, or nobody says on what',
            '`"another start"`, `"another count"`: `start` or `attention_counted` (are the products of '
            "attention in the operations?) differs from the first row's",
            '`"unsynchronised"`: timed on `device` `"cuda"`, and the clock did not wait, or nobody says so',
        ),
        stub='''
        def faults_of(rows: list[dict]) -> list[set[str]]:
            """The faults of each row of a table, by name."""
            raise NotImplementedError("10.6")
        ''',
        check=check_faults_of,
        probe=lambda answer: _as_table(answer(PROBE)),
        hints=(
            "Six questions, and each is asked of every row, the baseline too. A row may fail several.",
            "For each row a new, empty set; six times: if …, add the name; then append the set to a list.",
            'Two questions need rows[0]. `None` is neither "val" nor True: test for what is fair '
            '(`!= "val"`, `not …`) and silence is caught as well.',
        ),
        solution=answers.FAULTS["one question after the other"],
        right_answers=answers.FAULTS,
        wrong_answers=(
            WrongAnswer(
                name="one view blamed",
                answer=answers.FAULTS_ONE_VIEW,
                says="one view, and told, is no fault",
                right_on=lambda answer: _as_table(answer(_table({}, {"views": None}))),
            ),
            WrongAnswer(
                name="many views blamed", answer=answers.FAULTS_MANY_VIEWS, says="many views are dear, and no"
            ),
            WrongAnswer(name="two seeds", answer=answers.FAULTS_ONE_SEED, says="two seeds are few as well"),
            WrongAnswer(
                name="silent about the choice",
                answer=answers.FAULTS_SILENT_CHOICE,
                says="nobody says on which clips",
            ),
            WrongAnswer(
                name="silent about the clock",
                answer=answers.FAULTS_SILENT_TIME,
                says="nobody says whether the clock waited",
            ),
            WrongAnswer(name="CPU", answer=answers.FAULTS_CPU, says="on a CPU nothing is queued"),
            WrongAnswer(
                name="row above",
                answer=answers.FAULTS_ROW_ABOVE,
                says="compared with the row above",
                right_on=lambda answer: _as_table(answer(_table({}, {"start": "scratch"}))),
            ),
            WrongAnswer(
                name="fixed start", answer=answers.FAULTS_SCRATCH, says="no start is a fault in itself"
            ),
            WrongAnswer(
                name="convention", answer=answers.FAULTS_CONVENTION, says="is a convention, no fault"
            ),
            WrongAnswer(
                name="first fault only", answer=answers.FAULTS_FIRST_FOUND, says="only one fault is found"
            ),
            WrongAnswer(
                name="baseline spared", answer=answers.FAULTS_BASELINE_SPARED, says="faults of its own"
            ),
            WrongAnswer(name="whole table", answer=answers.FAULTS_WHOLE_TABLE, says="the whole table"),
        ),
        what_to_see="The winner of the flawed table has the most faults.",
    ),
]
