"""The exercises of lesson 13: a card, targets of frames, frames around, runs, a checked report, a rubric."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_13 as answers
from vtlearn.course.judge import (
    Mistake,
    NotAttempted,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_integer,
    expect_number,
    expect_tensor,
)

ARMS = ("baseline", "test", "control")

# ------------------------------------------------------------------------------------------------- 13.1

SETTINGS = ("sees", "times", "hidden", "rate", "steps")
WORDS = {"sees": ("frame alone", "neighbours"), "times": ("own", "another clip's")}
CARD_KEYS = ("question", *ARMS, "measure", "judged_on", "least_gain", "seeds")


def check_card(card):
    if isinstance(card, NotImplementedError):
        raise NotAttempted
    if not isinstance(card, Mapping):
        raise Mistake(f"the card is a {type(card).__name__}, expected a dict")
    missing = [key for key in CARD_KEYS if key not in card]
    expect(not missing, f"the card says nothing of: {', '.join(missing)}")
    question = card["question"]
    expect(isinstance(question, str) and question.strip().endswith("?"), "the question does not end with '?'")
    for arm in ARMS:
        _check_settings(card[arm], arm)
    _check_changes(card)
    _check_seeds(card["seeds"])
    expect_equal(
        card["measure"],
        "mean recall",
        name='"measure"',
        likely={
            "four frames in ten show nothing, and a head that always says so gets a good share of frames: "
            "take the measure in which every class counts alike": "share of frames"
        },
    )
    expect_equal(
        card["judged_on"],
        "test",
        name='"judged_on"',
        likely={
            "the head was fitted to the training clips: a good score there says little of others": "train",
            "validation clips are for trying out: what was chosen on them cannot be judged on them": "val",
        },
    )
    gain = expect_number(card["least_gain"], name='"least_gain"')
    expect(gain > 0, "with this least_gain any gain would count, even one of pure chance: ask for more")
    expect(gain <= 1, "least_gain is in percent; scores here are shares, so 5 points are written 0.05")
    expect(gain >= 0.01, "this least_gain is below one point, less than seeds differ by")
    expect(gain <= 0.5, "no head could reach this least_gain: the hypothesis is lost before the run")


def _check_settings(settings: Any, arm: str) -> None:
    expect(isinstance(settings, Mapping), f"{arm!r} is not a dict of settings")
    wrong = sorted(set(SETTINGS) ^ set(settings))
    expect(not wrong, f"the settings of {arm!r} must be exactly {', '.join(SETTINGS)}; look at {wrong}")
    for key, allowed in WORDS.items():
        words = " or ".join(repr(word) for word in allowed)
        expect(settings[key] in allowed, f"{key!r} of {arm!r} is {settings[key]!r}, expected {words}")
    for key, (low, high) in {"hidden": (0, 128), "steps": (1, 300)}.items():
        value = expect_integer(settings[key], name=f"{key!r} of {arm!r}")
        expect(low <= value <= high, f"{key!r} of {arm!r} is {value}, expected {low} to {high}")
    rate = expect_number(settings["rate"], name=f"'rate' of {arm!r}")
    expect(0 < rate <= 0.1, f"'rate' of {arm!r} is {rate}, expected above 0, up to 0.1")


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [key for key in SETTINGS if one[key] != other[key]]


def _check_changes(card: Mapping[str, Any]) -> None:
    test, baseline, control = card["test"], card["baseline"], card["control"]
    changed = _differences(test, baseline)
    expect(bool(changed), "nothing differs between test and baseline: there is nothing to find out")
    expect(
        len(changed) == 1,
        f"test and baseline change more than one thing at once ({', '.join(changed)}): "
        "which of them made the difference?",
    )
    expect(
        changed == ["sees"],
        f"the question is about what the head sees, but test and baseline differ in {changed[0]!r}",
    )
    expect(test["sees"] == "neighbours", "test and baseline are exchanged: the neighbours are under test")
    expect(test["times"] == "own", "the test arm learns from another clip's times: that is the control")
    removed = _differences(test, control)
    expect("times" in removed, "the control still has its own times: a control removes what is learnt")
    expect(
        removed == ["times"],
        f"the control differs from the test arm in {', '.join(removed)}: let only the times go",
    )


def _check_seeds(seeds: Any) -> None:
    if isinstance(seeds, (int, str, bytes, Mapping)) or not hasattr(seeds, "__iter__"):
        raise Mistake("'seeds' should be a list of at least three numbers")
    numbers = [expect_integer(seed, name="a seed") for seed in seeds]
    expect(len(numbers) >= 3, f"{len(numbers)} seed shows no spread: take three at least")
    expect(len(set(numbers)) == len(numbers), "the same seed comes again: the same run would count twice")
    expect(len(numbers) <= 5, "more than five seeds: the lesson would run too long")


def probe_card(card):
    differs = {arm: _differences(card["test"], card[arm]) for arm in ("baseline", "control")}
    return [differs["baseline"], differs["control"], list(card["seeds"]), card["judged_on"], card["measure"]]


# ------------------------------------------------------------------------------------------------- 13.2

CLASSES = ["nothing", "hop", "swell", "sway", "blink"]
EVENTS = [
    {"name": "sway", "start_frame": 4, "end_frame": 9},
    {"name": "swell", "start_frame": 14, "end_frame": 19},
]


def _reference_targets(
    events: Sequence[Mapping[str, Any]], frames: Sequence[int], first: int, last: int
) -> Any:
    numbers = []
    for frame in frames:
        inside = [e for e in events if e["start_frame"] + first <= frame <= e["end_frame"] + last]
        numbers.append(CLASSES.index(inside[0]["name"]) if inside else 0)
    return torch.tensor(numbers)


def check_frame_targets(frame_targets):
    for frames in (list(range(23)), [0, 3, 4, 5, 9, 10, 14, 19, 20, 22], [2, 8, 9, 13, 17, 19, 21]):
        index = torch.tensor(frames)
        want = _reference_targets(EVENTS, frames, 0, 0)
        got = expect_tensor(
            call(frame_targets, EVENTS, index, CLASSES),
            (len(frames),),
            likely={(len(frames), 5): "one class number a frame, not a row of five"},
        )
        if got.dtype == torch.bool or got.is_floating_point():
            raise Mistake(f"class numbers are {got.dtype}; cross entropy wants integers (torch.long)")
        expect_close(
            got,
            want,
            name="the targets",
            likely={
                "the event's last frame is left out: end_frame belongs to it": _reference_targets(
                    EVENTS, frames, 0, -1
                ),
                "the event's first frame is left out: start_frame belongs to it": _reference_targets(
                    EVENTS, frames, 1, 0
                ),
                "places in the clip are taken for frame numbers: compare frame_index with the event's "
                "frames": _reference_targets(EVENTS, range(len(frames)), 0, 0),
                "the class numbers are one too small: 'nothing' is class 0": torch.where(
                    want > 0, want - 1, 0
                ),
                "every event is class 1: which event it is matters": (want > 0).long(),
            },
            otherwise="a frame is in an event from start_frame to end_frame, both included",
        )
    empty = expect_tensor(call(frame_targets, [], torch.arange(7), CLASSES), (7,))
    expect(not empty.any(), "a clip without events shows nothing in every frame")
    renamed = call(frame_targets, EVENTS, torch.tensor([5, 15]), ["none", "swell", "sway"])
    expect_close(renamed, torch.tensor([2, 1]), otherwise="the class number is the name's place in `classes`")


# ------------------------------------------------------------------------------------------------- 13.3


def _reference_around(features: Tensor, places: Tensor) -> Tensor:
    return features[:, places.clamp(0, features.shape[1] - 1)].flatten(2)


def check_around(around):
    features = torch.randn(2, 7, 3)
    for reach in (2, 1, 0):
        size = 2 * reach + 1
        got = expect_tensor(
            call(around, features, reach),
            (2, 7, 3 * size),
            kind="float",
            likely={
                (2, 7 - 2 * reach, 3 * size): "frames at the edges are lost: every frame needs a row",
                (2, 7, size, 3): "the features of the frames around are still apart: join the last two axes",
                (2, 7, 3, size): "the features of the frames around are still apart: join the last two axes",
                (2, 7, 3): "only one frame's features are there: put those of the frames around beside them",
            },
        )
        places = torch.arange(7)[:, None] + torch.arange(-reach, reach + 1)
        gathered = features[:, places.clamp(0, 6)]
        zeros = gathered * ((places >= 0) & (places < 7))[None, :, :, None]
        expect_close(
            got,
            gathered.flatten(2),
            name="the features",
            likely={
                "the clip's end stands before its beginning: nothing goes round in a circle": features[
                    :, places % 7
                ].flatten(2),
                "zeros stand beyond the edges: repeat the first and the last frame": zeros.flatten(2),
                "the latest frame comes first: the contract wants the earliest first": gathered.flip(
                    2
                ).flatten(2),
                "only frames before are seen: half of them should come after": _reference_around(
                    features, torch.arange(7)[:, None] + torch.arange(-2 * reach, 1)
                ),
                "the frames around are averaged, and their order is lost": gathered.mean(2).repeat(
                    1, 1, size
                ),
                "each frame sees itself only, several times: that is the baseline": features.repeat(
                    1, 1, size
                ),
                "the frames' features are interleaved: one whole frame after the other": gathered.transpose(
                    2, 3
                ).flatten(2),
            },
            otherwise="row t holds frames t - reach to t + reach, one after the other",
        )
    double = expect_tensor(call(around, features.double(), 2), (2, 7, 15))
    expect(double.dtype == torch.float64, "float64 went in and something else came out")
    short = expect_tensor(call(around, features[:, :2], 3), (2, 2, 21))
    places = torch.arange(2)[:, None] + torch.arange(-3, 4)
    expect_close(
        short, _reference_around(features[:, :2], places), otherwise="two frames, reach 3: edges repeat"
    )


# ------------------------------------------------------------------------------------------------- 13.4


def _example_card(seeds: Sequence[int] = (3, 5, 11)) -> dict[str, Any]:
    test = {"sees": "neighbours", "times": "own", "hidden": 7, "rate": 0.01, "steps": 13}
    return {
        "question": "Does it help?",
        "test": test,
        "baseline": {**test, "sees": "frame alone"},
        "control": {**test, "times": "another clip's"},
        "measure": "mean recall",
        "judged_on": "test",
        "least_gain": 0.05,
        "seeds": list(seeds),
    }


def _made_up_score(settings: Mapping[str, Any], seed: int) -> float:
    base = 0.5 if settings["sees"] == "neighbours" else 0.375
    base = base if settings["times"] == "own" else 0.2
    return base + (seed * 37 % 13) / 1000


class _Handed(dict[str, Any]):
    """A card that is handed over itself, not as a copy, so that a record pointing into it is found out."""


def check_run_card(run_card):
    card, asked = _Handed(_example_card()), []

    def run(settings, seed):
        asked.append((dict(settings), seed))
        score = _made_up_score(settings, seed)
        settings["steps"] = -1  # a run may do with its settings what it likes
        return score

    records = call(run_card, card, run)
    if not isinstance(records, (list, tuple)):
        raise Mistake(f"the result is a {type(records).__name__}, expected a list of records")
    for record in records:
        expect(isinstance(record, Mapping), "a record should be a dict")
        lacking = [key for key in ("arm", "seed", "settings", "score") if key not in record]
        expect(not lacking, f"a record does not say its {', '.join(lacking)}")
    pairs = [(record["arm"], int(record["seed"])) for record in records]
    without = [arm for arm in ARMS if arm not in {arm for arm, _ in pairs}]
    expect(not without, f"no record of the arm {', '.join(without)}: every arm of the card is run")
    expect(
        len(pairs) > len(ARMS),
        "one record an arm: a seed was picked, and the others are forgotten. Keep every run",
    )
    wanted = {(arm, seed) for arm in ARMS for seed in card["seeds"]}
    expect(set(pairs) == wanted and len(pairs) == len(wanted), "each arm with each seed, once: nine records")
    expect(len(asked) == len(wanted), f"`run` was called {len(asked)} times for {len(wanted)} records")
    seeds = [seed for _, seed in asked]
    expect(len(set(seeds)) > 1, "every run got the same seed")
    expect(
        set(seeds) == set(card["seeds"]),
        "a run got a seed that is not on the card: arms are compared seed by seed, so all get the same ones",
    )
    for arm in ARMS:
        expect(
            any(settings == card[arm] for settings, _ in asked), f"no run had the settings of the arm {arm!r}"
        )
    for record in records:
        expect(
            record["settings"] == _example_card()[record["arm"]],
            "the recorded settings are not the card's: `run` may change what it is given; keep a copy",
        )
        score = expect_number(record["score"], name="a score")
        want = _made_up_score(record["settings"], int(record["seed"]))
        if abs(score - want) > 1e-6:
            raise Mistake(
                "a record holds another score than its run gave: one run, one record, no means and no mix-up"
            )
    expect(dict(card) == _example_card(), "the card itself was changed: hand `run` a copy of the settings")
    before = copy.deepcopy([dict(record["settings"]) for record in records])
    for arm in ARMS:
        card[arm]["hidden"] = 99
    expect(
        [dict(record["settings"]) for record in records] == before,
        "the records point into the card: change the card later, and they tell another story. Copy",
    )


def probe_run(run_card):
    records = run_card(_example_card(), lambda settings, seed: _made_up_score(settings, seed))
    rows = [[r["arm"], r["seed"], float(r["score"]), dict(r["settings"])] for r in records]
    return sorted(rows, key=lambda row: (row[0], row[1]))


def right_on_untouched(run_card):
    return [row[2] for row in probe_run(run_card)]


# ------------------------------------------------------------------------------------------------- 13.5


def _records(card: Mapping[str, Any], scores: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "seed": seed, "settings": dict(card[arm]), "score": score}
        for arm in ARMS
        for seed, score in zip(card["seeds"], scores[arm], strict=True)
    ]


CLEAR = {"baseline": [0.3411, 0.3302, 0.3504], "test": [0.4915, 0.4801, 0.5003], "control": [0.21, 0.2, 0.18]}
ONE_SEED_FAILS = {
    "baseline": [0.30, 0.31, 0.44],
    "test": [0.50, 0.51, 0.4501],
    "control": [0.21, 0.20, 0.18],
}
SMALL_GAIN = {"baseline": [0.40, 0.41, 0.42], "test": [0.42, 0.43, 0.44], "control": [0.2, 0.2, 0.2]}


def _report(card: Mapping[str, Any], scores: Mapping[str, Sequence[float]], verdict: str) -> dict[str, Any]:
    means = {arm: round(sum(scores[arm]) / len(scores[arm]), 3) for arm in ARMS}
    return {**means, "seeds": list(card["seeds"]), "verdict": verdict}


def _named(value: Any) -> list[str]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise Mistake(f"the result is a {type(value).__name__}, expected a list of names")
    return sorted(str(name) for name in value)


def check_unproven(unproven):
    card = _example_card()
    records = _records(card, CLEAR)
    honest = _report(card, CLEAR, "supported")
    said = _named(call(unproven, honest, card, records))
    expect(
        not said,
        "an honest report was doubted: a mean rounded to three decimals still follows"
        if set(said) & set(ARMS)
        else f"an honest report was doubted: {', '.join(said)}",
    )
    for arm in ARMS:
        polished = {**honest, arm: round(honest[arm] + 0.02, 3)}
        expect_equal(
            _named(call(unproven, polished, card, records)),
            [arm],
            name="the list",
            likely={"a mean that is two points off was let through: allow for rounding, no more": []},
        )
    fewer = {**honest, "seeds": card["seeds"][:2]}
    expect_equal(
        _named(call(unproven, fewer, card, records)),
        ["seeds"],
        name="the list",
        likely={"a report that leaves a seed of the card out was let through": []},
    )
    _check_verdicts(unproven, card)
    stray = {**records[0], "settings": {**card["baseline"], "steps": 3}, "score": 0.9}
    expect_equal(
        _named(call(unproven, honest, card, [*records, stray])),
        [],
        name="the list",
        otherwise="a record with other settings than the card's does not count",
    )
    everything = sorted(honest)
    expect_equal(
        _named(call(unproven, honest, card, records[1:])),
        everything,
        name="the list",
        likely={"a run of the card was never made, and the report was let through": []},
        otherwise="where a run of the card is missing, nothing in the report follows: name all of it",
    )
    expect_equal(
        _named(call(unproven, honest, card, [stray, *records[1:]])),
        everything,
        name="the list",
        otherwise="a record with other settings than the card's does not count",
    )


def _check_verdicts(unproven: Callable[..., Any], card: dict[str, Any]) -> None:
    uneven, small = _records(card, ONE_SEED_FAILS), _records(card, SMALL_GAIN)
    claimed = _named(call(unproven, _report(card, SMALL_GAIN, "supported"), card, small))
    expect(claimed == ["verdict"], "two points are no gain of five: compare with the card's least_gain")
    claimed = _named(call(unproven, _report(card, ONE_SEED_FAILS, "supported"), card, uneven))
    expect(
        claimed == ["verdict"],
        "one seed gained less than least_gain and the verdict 'supported' was let through: every "
        "seed counts, "
        "not the mean",
    )
    honest = _named(call(unproven, _report(card, SMALL_GAIN, "not supported"), card, small))
    expect(honest == [], "'not supported' was the right verdict, and was doubted")
    modest = _named(call(unproven, _report(card, CLEAR, "not supported"), card, _records(card, CLEAR)))
    expect(
        modest == ["verdict"], "the verdict 'not supported' was let through where every seed gained enough"
    )


def probe_unproven(unproven):
    card = _example_card()
    records, uneven = _records(card, CLEAR), _records(card, ONE_SEED_FAILS)
    honest = _report(card, CLEAR, "supported")
    cases = [
        (honest, records),
        ({**honest, "test": 0.6, "seeds": [3]}, records),
        (_report(card, ONE_SEED_FAILS, "supported"), uneven),
        (honest, records[1:]),
        (honest, [*records, {**records[0], "settings": {}, "score": 0.9}]),
    ]
    return [" ".join(sorted(unproven(report, card, made))) for report, made in cases]


def honest_only(unproven):
    card = _example_card()
    return sorted(unproven(_report(card, CLEAR, "supported"), card, _records(card, CLEAR)))


# ------------------------------------------------------------------------------------------------- 13.6

NAMES = ("two changes", "best seed", "no control", "moved goal", "wrong split")
RIGHT_FLAWS = dict(zip("ABCDE", NAMES, strict=True))
WHY_NOT = {
    "A": "report A compares arms that differ in two ways at once",
    "B": "report B made five runs; count how many it tells of",
    "C": "report C never asks what its method scores where there is nothing to learn",
    "D": "report D: compare what the card asked for with what the result is held against",
    "E": "report E: look at which clips the choice was made on, and which the number is from",
}


def check_flaws(flaws):
    if isinstance(flaws, NotImplementedError):
        raise NotAttempted
    if not isinstance(flaws, Mapping):
        raise Mistake(f"the answer is a {type(flaws).__name__}, expected a dict")
    missing = [letter for letter in RIGHT_FLAWS if letter not in flaws]
    expect(not missing, f"no answer for report {', '.join(missing)}")
    for letter, said in flaws.items():
        expect(letter in RIGHT_FLAWS, f"there is no report {letter!r}")
        expect(said in NAMES, f"{said!r} is no row of the rubric: {', '.join(NAMES)}")
    for letter, right in RIGHT_FLAWS.items():
        expect(flaws[letter] == right, WHY_NOT[letter])


EXERCISES = [
    Exercise(
        id="13.1",
        title="The hypothesis card",
        core=True,
        difficulty=2,
        importance=5,
        minutes=12,
        why="What is written down before the run cannot be bent to fit the result.",
        contract=(
            "`card` is a dict; its key `question` is a sentence that ends with `?`",
            "`test`, `baseline` and `control` are the settings of the three arms: dicts with `sees` (`frame "
            "alone` or `neighbours`), `times` (`own` or `another clip's`), `hidden` (0 to 128), "
            "`rate` (up to "
            "0.1) and `steps` (up to 300)",
            "test and baseline differ in the one thing the question asks about: what the head sees. The "
            "control differs from test in the one thing that makes learning possible",
            "`measure` is `mean recall` or `share of frames`; `judged_on` is `train`, `val` or `test`; "
            "`least_gain` is "
            "the least gain, as a share, that counts; `seeds` are three to five numbers",
        ),
        stub="""
        card = NotImplementedError("13.1")  # replace this by {"question": ..., "test": {...}, ...}
        """,
        check=check_card,
        probe=probe_card,
        hints=(
            "Write the settings of one arm first. The others are copies with one entry changed.",
            "Eight keys: the question, three dicts of five settings, the measure, the split, a "
            "share, a list.",
            '`{**test, "sees": "frame alone"}` is a copy of `test` with one entry changed.',
        ),
        solution=answers.CARD["copied settings"],
        right_answers=answers.CARD,
        wrong_answers=(
            WrongAnswer(
                name="two things at once", answer=answers.CARD_TWO_THINGS, says="more than one thing at once"
            ),
            WrongAnswer(name="nothing changed", answer=answers.CARD_NOTHING, says="nothing differs"),
            WrongAnswer(
                name="control sees less", answer=answers.CARD_CONTROL_BLIND, says="let only the times go"
            ),
            WrongAnswer(
                name="control is a baseline", answer=answers.CARD_CONTROL_NONE, says="removes what is learnt"
            ),
            WrongAnswer(
                name="same seed",
                answer=answers.CARD_SAME_SEED,
                says="the same run would count twice",
                right_on=lambda card: len(card["seeds"]),
            ),
            WrongAnswer(name="one seed", answer=answers.CARD_ONE_SEED, says="shows no spread"),
            WrongAnswer(name="any gain", answer=answers.CARD_ANY_GAIN, says="any gain would count"),
            WrongAnswer(name="percent", answer=answers.CARD_PERCENT, says="is in percent"),
            WrongAnswer(name="judged on training", answer=answers.CARD_TRAIN, says="fitted to the training"),
            WrongAnswer(name="share of frames", answer=answers.CARD_SHARE, says="every class counts alike"),
            WrongAnswer(name="no control", answer=answers.CARD_NO_CONTROL, says="says nothing of: control"),
        ),
        what_to_see="Three arms; baseline and control each differ from test in one setting.",
        expects_function=False,
    ),
    Exercise(
        id="13.2",
        title="A target for every frame",
        core=False,
        difficulty=2,
        importance=3,
        minutes=8,
        why="Localisation wants an answer for every frame; the list has only the events' times.",
        contract=(
            "`events` is a list of dicts with `name`, `start_frame` and `end_frame`: frames of the "
            "video, both "
            "included; events do not overlap",
            "`frame_index` `(T,)` says which frames of the video the clip shows; `classes[0]` is the "
            "class of "
            "frames in no event",
            "returns class numbers, integers of shape `(T,)`",
        ),
        stub='''
        def frame_targets(events: list[dict], frame_index: Tensor, classes: list[str]) -> Tensor:
            """The class number of every shown frame."""
            raise NotImplementedError("13.2")
        ''',
        check=check_frame_targets,
        probe=lambda answer: answer(EVENTS, torch.tensor([0, 3, 4, 9, 10, 14, 19, 22]), CLASSES),
        hints=(
            "Begin with class 0 everywhere, and let each event write its number over its frames.",
            "Comparing `frame_index` `(T,)` with the event's ends gives a bool tensor `(T,)`.",
            "Two comparisons joined by `&`; `classes.index(…)` is the number; both ends belong to the event.",
        ),
        solution=answers.TARGETS["events in turn"],
        right_answers=answers.TARGETS,
        wrong_answers=(
            WrongAnswer(
                name="end left out",
                answer=answers.TARGETS_END,
                says="last frame is left out",
                right_on=lambda answer: answer(EVENTS, torch.tensor([0, 4, 7, 15]), CLASSES),
            ),
            WrongAnswer(name="start left out", answer=answers.TARGETS_START, says="first frame is left out"),
            WrongAnswer(
                name="places in the clip",
                answer=answers.TARGETS_PLACE,
                says="are taken for frame numbers",
                right_on=lambda answer: answer(EVENTS, torch.arange(23), CLASSES),
            ),
            WrongAnswer(name="one too small", answer=answers.TARGETS_SHIFTED, says="one too small"),
            WrongAnswer(name="event or not", answer=answers.TARGETS_BINARY, says="every event is class 1"),
            WrongAnswer(name="floats", answer=answers.TARGETS_FLOAT, says="wants integers"),
        ),
        what_to_see="Runs of one class, with nothing between them.",
    ),
    Exercise(
        id="13.3",
        title="The frames around",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="It is the one thing the experiment changes: what the head of a frame sees.",
        contract=(
            "`features` is a float tensor of shape `(B, T, D)`; `reach` is 0 or more, and may exceed T",
            "returns `(B, T, (2 reach + 1) D)`, of the same type: row t holds the features of the frames t - "
            "reach to t + reach, the earliest first, one whole frame after the other",
            "beyond the edges the first and the last frame are repeated",
        ),
        stub='''
        def around(features: Tensor, reach: int) -> Tensor:  # (B, T, D) -> (B, T, (2 reach + 1) D)
            """Each frame's features with those of the frames around it, earliest first."""
            raise NotImplementedError("13.3")
        ''',
        check=check_around,
        probe=lambda answer: answer(torch.arange(30.0).reshape(2, 5, 3) ** 1.5, 2),
        hints=(
            "Make the clip longer at both ends; then shifted pieces of it lie beside each other.",
            "`2 reach + 1` pieces of shape `(B, T, D)`, joined along the last axis.",
            "Or by numbers: places `t + k` for every t and k, a table of `T` rows, clamped to `0 … T - 1`, "
            "index axis 1; then flatten the last two axes.",
        ),
        solution=answers.AROUND["padded"],
        right_answers=answers.AROUND,
        wrong_answers=(
            WrongAnswer(
                name="in a circle",
                answer=answers.AROUND_WRAPPED,
                says="nothing goes round",
                right_on=lambda answer: answer(torch.ones(1, 4, 2), 1),
            ),
            WrongAnswer(name="zeros", answer=answers.AROUND_ZEROS, says="repeat the first and the last"),
            WrongAnswer(
                name="latest first", answer=answers.AROUND_LATEST, says="the latest frame comes first"
            ),
            WrongAnswer(name="past only", answer=answers.AROUND_PAST, says="only frames before are seen"),
            WrongAnswer(name="averaged", answer=answers.AROUND_MEAN, says="their order is lost"),
            WrongAnswer(
                name="itself only",
                answer=answers.AROUND_ALONE,
                says="that is the baseline",
                right_on=lambda answer: answer(
                    torch.randn(2, 1, 3, generator=torch.Generator().manual_seed(0)), 2
                ),
            ),
            WrongAnswer(name="interleaved", answer=answers.AROUND_INTERLEAVED, says="are interleaved"),
        ),
        what_to_see="Five frames of 64 numbers make 320 a frame.",
    ),
    Exercise(
        id="13.4",
        title="Run the card",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why="A run that is not written down did not happen, and one that is hidden happened all the same.",
        contract=(
            "`card` is as in 13.1; `run(settings, seed)` trains one head and returns its score",
            "every arm is run once with every seed of the card: all arms with the same seeds",
            "returns a list of dicts, in any order, each with `arm`, `seed`, `settings` and `score` "
            "of one run",
            "`run` may change the settings it is given, and somebody may change the card later: neither may "
            "change a record or another run",
        ),
        stub='''
        def run_card(card: dict, run) -> list[dict]:
            """Every arm of the card with every seed, written down as it was run."""
            raise NotImplementedError("13.4")
        ''',
        check=check_run_card,
        probe=probe_run,
        hints=(
            "Two loops, one over seeds, one over arms; every pass makes one record.",
            "Three arms and three seeds make nine records.",
            "`dict(card[arm])` is a copy: give one to `run`, and put another into the record.",
        ),
        solution=answers.RUN["two loops"],
        right_answers=answers.RUN,
        wrong_answers=(
            WrongAnswer(name="one seed for all", answer=answers.RUN_ONE_SEED, says="got the same seed"),
            WrongAnswer(name="own seeds", answer=answers.RUN_UNPAIRED, says="not on the card"),
            WrongAnswer(
                name="no control", answer=answers.RUN_NO_CONTROL, says="no record of the arm control"
            ),
            WrongAnswer(
                name="points into the card",
                answer=answers.RUN_BY_REFERENCE,
                says="point into the card",
                right_on=right_on_untouched,
            ),
            WrongAnswer(
                name="settings of test", answer=answers.RUN_WRONG_SETTINGS, says="no run had the settings"
            ),
            WrongAnswer(name="means", answer=answers.RUN_MEAN, says="no means"),
            WrongAnswer(name="best seed", answer=answers.RUN_BEST, says="Keep every run"),
        ),
        what_to_see="Nine records, three a seed.",
    ),
    Exercise(
        id="13.5",
        title="Where does the number come from?",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="A report is worth what its records bear out.",
        contract=(
            "`report` has the keys `baseline`, `test`, `control` (mean scores, rounded to three decimals), "
            "`seeds` and `verdict` (`supported` or `not supported`); `card` and `records` are as before",
            "returns the keys that do **not** follow, in any order: a mean that is not the mean over "
            "the card's "
            "seeds; seeds that are not the card's; a verdict that is not the rule's",
            "the rule: `supported` if in **every** seed test gained at least `least_gain` over baseline",
            "a record counts only if its settings are those of its arm on the card. Is a run of the card "
            "missing, then nothing follows: all keys are named",
        ),
        stub='''
        def unproven(report: dict, card: dict, records: list[dict]) -> list[str]:
            """What in the report does not follow from the records."""
            raise NotImplementedError("13.5")
        ''',
        check=check_unproven,
        probe=probe_unproven,
        hints=(
            "First work out from card and records alone what the report should say. Then compare.",
            "A dict from (arm, seed) to score, of the records that count; nine entries, or nothing follows.",
            "A mean follows if it is off by less than 0.001; the verdict hangs on the smallest of the gains.",
        ),
        solution=answers.UNPROVEN["scores by arm"],
        right_answers=answers.UNPROVEN,
        wrong_answers=(
            WrongAnswer(
                name="verdict by the mean", answer=answers.UNPROVEN_MEAN_VERDICT, says="every seed counts"
            ),
            WrongAnswer(
                name="any settings",
                answer=answers.UNPROVEN_ANY_SETTINGS,
                says="with other settings than the card's",
                right_on=honest_only,
            ),
            WrongAnswer(
                name="seeds not looked at",
                answer=answers.UNPROVEN_SEEDS,
                says="leaves a seed",
                right_on=honest_only,
            ),
            WrongAnswer(name="no rounding", answer=answers.UNPROVEN_EXACT, says="rounded to three decimals"),
            WrongAnswer(name="too loose", answer=answers.UNPROVEN_LOOSE, says="two points off"),
            WrongAnswer(name="any gain", answer=answers.UNPROVEN_ANY_GAIN, says="no gain of five"),
            WrongAnswer(name="missing run", answer=answers.UNPROVEN_MISSING, says="never made"),
        ),
        what_to_see="An empty list for an honest report; the polished number by its name.",
    ),
    Exercise(
        id="13.6",
        title="Mark five reports",
        core=False,
        difficulty=2,
        importance=4,
        minutes=6,
        why="Who has marked the work of others sees the flaw in their own.",
        contract=(
            "`flaws` is a dict from the letter of each report above, `A` to `E`, to the row of the "
            "rubric that "
            "it fails: `two changes`, `best seed`, `no control`, `moved goal` or `wrong split`",
        ),
        stub="""
        flaws = NotImplementedError("13.6")  # replace this by {"A": ..., "B": ..., ...}
        """,
        check=check_flaws,
        probe=lambda flaws: [flaws.get(letter, "") for letter in "ABCDE"],
        hints=(
            "Go through the rubric row by row, with one report at a time.",
            "Five letters, five rows; each row is failed once.",
            "Ask of each: what differs, how many runs, what would score without a cause, which goal, "
            "which clips?",
        ),
        solution=answers.FLAWS["written out"],
        right_answers=answers.FLAWS,
        wrong_answers=(
            WrongAnswer(
                name="A as no control",
                answer=answers.FLAWS_A,
                says="differ in two ways",
                right_on=lambda flaws: flaws["B"],
            ),
            WrongAnswer(name="B as moved goal", answer=answers.FLAWS_B, says="made five runs"),
            WrongAnswer(name="C as wrong split", answer=answers.FLAWS_C, says="nothing to learn"),
            WrongAnswer(name="D as best seed", answer=answers.FLAWS_D, says="what the card asked for"),
            WrongAnswer(name="E as no control", answer=answers.FLAWS_E, says="the choice was made on"),
            WrongAnswer(name="one left out", answer=answers.FLAWS_PART, says="no answer for report E"),
        ),
        what_to_see="Each row of the rubric is failed by one report.",
        expects_function=False,
    ),
]
