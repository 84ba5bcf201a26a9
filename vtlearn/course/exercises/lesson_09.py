"""The exercises of lesson 09: reading a list, splits, balance, chance, missing clips, shuffled frames."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_09 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_integer,
    expect_integers,
    expect_number,
)

# ------------------------------------------------------------------------------------------------- 09.1

NAMES = ["waving hand", "archery", "cutting, not slicing", "juggling", "yoga"]
LIST = """\
label,youtube_id,time_start,time_end,split
"waving hand",-aB_9,3,13,train
juggling,Q7x,117,127,train
"cutting, not slicing",mm_0,20,30,train
jogging,Zz1,5,15,train
juggling,Z2k,ten,20,train
archery,p-1,40,30,train
juggling,Q7x,117,127,train
archery,p-1,40,50,train
"""
OTHER_COLUMNS = """\
youtube_id,split,label,time_start,time_end,is_cc
k_k,val,yoga,1000,1010,0
k_k,val,yoga,,1020,0
k_k,val,archery,1010,1020,1
k_k,val,archery,1030,1030,0
k_k,val,archery,1040,1O50,0
a_a,val,juggling,5,15,0
"""
PLAIN = "label,youtube_id,time_start,time_end,split\narchery,abc,100123,100133,val\n"


def read_pair(value: Any, what: str) -> tuple[Any, Any]:
    """Two things, from a tuple or a list."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Mistake(f"expected two things, {what}")
    return value[0], value[1]


def read_listing(value: Any) -> tuple[list[str], list[int], list[int]]:
    """Names, classes and refused lines of an answer to 09.1."""
    clips, refused = read_pair(value, "(clips, refused)")
    if not isinstance(clips, (list, tuple)):
        raise Mistake("the clips should be a list of pairs (clip name, class number)")
    for entry in clips:
        if not isinstance(entry, (list, tuple)) or len(entry) != 2 or not isinstance(entry[0], str):
            raise Mistake("each clip should be a pair (clip name, class number)")
    names = [entry[0] for entry in clips]
    expect(
        all(entry[1] is not None for entry in clips),
        "a clip has the class number None: a row whose label is not in class_names is refused",
    )
    numbers = [expect_integer(entry[1], name="a class number") for entry in clips]
    if isinstance(refused, (set, frozenset)):
        refused = sorted(refused)
    return names, numbers, expect_integers(refused, name="the list of refused lines")


def check_read_rows(read_rows: Callable[..., Any]) -> None:
    """A list with quotes, a comma and four bad rows; then other columns; then a plain one."""
    names, numbers, refused = read_listing(call(read_rows, LIST, NAMES))
    a, q, m, p = "-aB_9_000003_000013", "Q7x_000117_000127", "mm_0_000020_000030", "p-1_000040_000050"
    back, unknown = "p-1_000040_000030", "Zz1_000005_000015"
    suffixes = any(name.endswith(".mp4") for name in names)
    expect(not suffixes, "the clip's name comes without the suffix .mp4")
    expect(
        unknown not in names,
        "a row whose label is not in class_names was taken: a class outside the map is refused",
    )
    expect(back not in names, "a clip that ends before it starts was taken: check that time_end > time_start")
    expect(
        names.count(q) < 2,
        "the same clip is taken twice: a clip that was listed before counts once, its second row is refused",
    )
    unpadded = ["-aB_9_3_13", "Q7x_117_127", "mm_0_20_30", "p-1_40_50"]
    expect_equal(
        names,
        [a, q, m, p],
        name="the list of clip names",
        likely={
            "the seconds in a clip's name have six digits, with zeros in front: files are found by that "
            "name": (unpadded),
            "the labels in quotes were refused: the quotes belong to the file, not to the label (the csv "
            "module takes them off)": [q, p],
            "a comma inside quotes belongs to the label: splitting the line at every comma cuts the label in "
            "two": [a, q, p],
            "a good row after a bad one of the same video is lost: two clips of one video are two clips": (
                [a, q, m]
            ),
            "the clips come sorted; keep the order of the file": sorted([a, q, m, p]),
            "reading stopped at the first bad row; refuse it and go on": [a, q, m],
        },
        otherwise="names are <youtube_id>_<start>_<end>, of the rows that pass all three tests, in the "
        "file's order",
    )
    expect_equal(
        numbers,
        [0, 3, 2, 1],
        name="the list of class numbers",
        likely={
            "the class numbers are places in a sorted list of your own: a class's number is its place in "
            "class_names, whatever the order there": [3, 2, 1, 0],
            "the classes are numbered in the order in which they occur in this file: another file would "
            "number them otherwise; use the place in class_names": [0, 1, 2, 3],
            "the class numbers are counted from 1; the first class is 0": [1, 4, 3, 2],
        },
        otherwise="a class's number is its place in class_names",
    )
    expect_equal(
        refused,
        [5, 6, 7, 8],
        name="the list of refused lines",
        likely={
            "four rows were dropped silently: whoever reads the list must be told which lines are "
            "missing": [],
            "the lines are counted without the heading; the heading is line 1, as in an editor": [4, 5, 6, 7],
            "the lines are counted from 0 and without the heading; the heading is line 1": [3, 4, 5, 6],
            "the lines are counted from 0; the heading is line 1": [4, 5, 6, 7],
            "the row that names a clip a second time is missing among the refused": [5, 6, 7],
        },
        otherwise="lines count from 1, and the heading is line 1",
    )
    names, numbers, refused = read_listing(call(read_rows, OTHER_COLUMNS, NAMES))
    expect_equal(
        names,
        ["k_k_001000_001010", "k_k_001010_001020", "a_a_000005_000015"],
        name="the list of clip names where the columns come in another order",
        likely={
            "nothing was read where the columns stand in another order: find them by the heading, not by "
            "their place": [],
            "two clips of one video are two clips; only the same name twice is refused": [
                "k_k_001000_001010",
                "a_a_000005_000015",
            ],
            "a clip that ends in the second in which it starts was taken: the end must be after the start": [
                "k_k_001000_001010",
                "k_k_001010_001020",
                "k_k_001030_001030",
                "a_a_000005_000015",
            ],
            "the clips come sorted; keep the order of the file": [
                "a_a_000005_000015",
                "k_k_001000_001010",
                "k_k_001010_001020",
            ],
        },
        otherwise="find the columns by the heading",
    )
    expect_equal(numbers, [4, 1, 3], name="the class numbers where the columns come in another order")
    expect_equal(
        refused, [3, 5, 6], name="the refused lines where a start is empty, and an end no number or no later"
    )
    names, numbers, refused = read_listing(call(read_rows, PLAIN, NAMES))
    expect_equal((names, numbers, refused), (["abc_100123_100133"], [1], []), name="a list of one good row")


# ------------------------------------------------------------------------------------------------- 09.2


def check_with_missing(with_missing: Callable[..., Any]) -> None:
    """17 clips of which 3 are missing; answers of missing clips mean nothing; then none missing."""
    right = torch.tensor([1, 0, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1], dtype=torch.bool)
    there = torch.ones(17, dtype=torch.bool)
    there[[0, 5, 9]] = False
    got = numbers_of(call(with_missing, right, there))
    good, present, total = 10, 14, 17
    answered = int((right & there).sum())
    assert answered == good
    measured, low, high = good / present, good / total, (good + total - present) / total
    rate = 1 - present / total
    expect_close(
        got[0],
        measured,
        likely={
            "clips that are missing are counted as wrong in the measured accuracy: that is the lowest bound; "
            "divide by the clips that are there": low,
            "the answers of missing clips are counted too: what stands in `right` there means nothing": float(
                right.float().mean()
            ),
            "missing clips count as right in the numerator, but only those there in the denominator": float(
                right.sum() / present
            ),
            "the measured accuracy should come first": high,
            "this is the share of missing clips; the accuracy comes first": rate,
            "this is in percent; give a share from 0 to 1": 100 * measured,
        },
        name="the measured accuracy",
        otherwise="right answers among the clips that are there, divided by how many are there",
    )
    expect(
        not (abs(got[1] - high) < 1e-4 and abs(got[2] - low) < 1e-4),
        "the bounds are exchanged: the lowest comes before the highest",
    )
    expect_close(
        got[1],
        low,
        likely={
            "the missing share is subtracted from the accuracy: it was measured on fewer clips; count clips "
            "instead": measured - rate,
            "the lowest bound is the measured accuracy: were all missing clips wrong, it would be lower": (
                measured
            ),
        },
        name="the lowest bound",
        otherwise="were every missing clip wrong: right answers divided by all clips of the list",
    )
    expect_close(
        got[2],
        high,
        likely={
            "the missing share is added to the accuracy: it was measured on fewer clips; count clips "
            "instead": measured + rate,
            "the highest bound counts the missing clips as right, but not in the denominator": (
                (good + total - present) / present
            ),
            "the highest bound is the measured accuracy: were all missing clips right, it would be higher": (
                measured
            ),
            "the highest bound is 1: the wrong answers on clips that are there stay wrong": 1.0,
        },
        name="the highest bound",
        otherwise="were every missing clip right",
    )
    whole = numbers_of(call(with_missing, right, torch.ones_like(right)))
    share = float(right.float().mean())
    expect_close(torch.tensor(whole), torch.tensor([share] * 3), name="the result where nothing is missing")


def numbers_of(value: Any) -> list[float]:
    """Three numbers, from a tuple, a list or a tensor."""
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise Mistake("expected three numbers, (measured, lowest, highest)")
    return [expect_number(one, name=f"number {i + 1}") for i, one in enumerate(value)]


# ------------------------------------------------------------------------------------------------- 09.3


def read_flags(value: Any, length: int) -> list[bool]:
    """True or False a clip, from a tensor, an array or a list."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise Mistake("expected one True or False a clip: a bool tensor of shape (clips,)")
    if len(value) != length:
        raise Mistake(f"the result has {len(value)} entries; there are {length} clips (not sources)")
    expect(
        all(isinstance(flag, (bool, np.bool_)) for flag in value),
        "the entries should be True (test) or False (training), as a bool tensor",
    )
    return [bool(flag) for flag in value]


class _Salted(str):
    """A name whose hash another run of Python could have given it."""

    salt = 0

    def __hash__(self) -> int:
        return hash((type(self).salt, str(self)))


def _sources(num_sources: int) -> list[str]:
    """Names of sources, one a clip; unequally many clips, in no order."""
    names = [f"v{(7 * i) % num_sources:02d}" for i in range(num_sources) for _ in range(1 + (3 * i) % 5)]
    random.Random(3).shuffle(names)
    return names


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check_split_by_source(split_by_source: Callable[..., Any]) -> None:
    """No source twice, the share, the seed, fairness, and neither order nor hash may decide."""
    sources = _sources(13)

    def tested(share: float = 0.2, seed: int = 0, listed: Sequence[str] = sources) -> set[str]:
        flags = read_flags(call(split_by_source, list(listed), share, _seeded(seed)), len(listed))
        sides = [
            {name for name, flag in zip(listed, flags, strict=True) if flag is side} for side in (True, False)
        ]
        twice = sides[0] & sides[1]
        expect(
            not twice,
            f"{len(twice)} of the {len(set(listed))} sources have clips on both sides: draw sources, not "
            "clips",
        )
        return {str(name) for name in sides[0]}

    chosen = tested()
    expect(len(chosen) < 13, "everything went to the test side")
    expect(
        len(chosen) != 10,
        "the sides are exchanged: True marks the test side, which gets test_share of the sources",
    )
    expect(len(chosen) != 2, "2.6 sources were cut down to 2: round to the nearest number")
    expect(
        len(chosen) == 3,
        f"{len(chosen)} of 13 sources are on the test side; a share of 0.2 means round(2.6) = 3 sources "
        "(count different sources, not clips)",
    )
    expect(
        len(tested(0.4)) != 6, "5.2 sources were rounded up to 6: round to the nearest number, round(5.2) = 5"
    )
    few = ["a", "b", "a", "c"]
    expect(
        len(tested(0.1, 0, few)) == 1,
        "with few sources the test side is empty: at least one source goes there",
    )
    expect(tested() == chosen, "the same seed gave another split: draw from the generator alone")
    draws = [tested(seed=seed) for seed in range(60)]
    expect(
        any(draw != chosen for draw in draws),
        "every seed gives the same split: draw the sources with the generator",
    )
    counts = {len(draw) for draw in draws}
    expect(
        counts == {3},
        f"another seed puts {max(counts - {3}, default=3)} of 13 sources on the test side: draw exactly 3 "
        "of them, "
        "do not toss a coin for each",
    )
    never = set(sources) - set().union(*draws)
    expect(not never, "in 60 draws some sources were never on the test side: draw among all of them")
    longest = Counter(sources).most_common(1)[0][0]
    expect(
        sum(longest in draw for draw in draws) < 32,
        "sources with many clips are drawn more often: each source counts once in the draw",
    )
    expect(
        _same_for_every_hash(split_by_source, sources),
        "the order of a set of names changes from one run of Python to the next, and the split with it: sort "
        "the sources before you draw",
    )
    turned = [tested(seed=seed, listed=sources[::-1]) for seed in range(8)]
    expect(
        turned == draws[:8],
        "the split changes when the same clips are listed in another order: sort the sources before you draw",
    )


def _same_for_every_hash(split_by_source: Callable[..., Any], sources: list[str]) -> bool:
    found = []
    try:
        for salt in range(4):
            _Salted.salt = salt
            value = call(split_by_source, [_Salted(name) for name in sources], 0.2, _seeded(1))
            found.append(read_flags(value, len(sources)))
    except Mistake:  # an answer that makes plain strings of them meets two hashes of one name
        return True
    finally:
        _Salted.salt = 0
    return all(flags == found[0] for flags in found)


def probe_split(answer: Callable[..., Any]) -> list[int]:
    """Sources on both sides, and on the test side."""
    sources = _sources(13)
    flags = [bool(flag) for flag in answer(sources, 0.2, _seeded(5))]
    return _sides(sources, flags)


def _sides(sources: list[str], flags: list[bool]) -> list[int]:
    test = {name for name, flag in zip(sources, flags, strict=True) if flag}
    rest = {name for name, flag in zip(sources, flags, strict=True) if not flag}
    return [len(test & rest), len(test)]


# ------------------------------------------------------------------------------------------------- 09.4

CLASSES = [2] * 11 + [0] * 5 + [7] * 2 + [2] * 2 + [0] * 2  # 13 of class 2, 7 of class 0, 2 of class 7


def check_balanced_order(balanced_order: Callable[..., Any]) -> None:
    """Counts, turns within a class, mixing, seeds; class numbers with gaps."""
    per_class = 5

    def order_of(seed: int, per_class: int = per_class) -> list[int]:
        order = expect_integers(
            call(balanced_order, list(CLASSES), per_class, _seeded(seed)), name="the order"
        )
        expect(not order or not set(order) <= set(CLASSES), "these are class numbers; the order lists clips")
        expect(
            all(0 <= clip < len(CLASSES) for clip in order),
            "the order holds a number that is no clip: it lists clips (0 to clips − 1), not classes",
        )
        return order

    for wanted in (per_class, 9):
        order = order_of(0, wanted)
        counts = Counter(CLASSES[clip] for clip in order)
        expect(
            set(counts) == {0, 2, 7},
            "a class does not come at all: the class numbers may have gaps; go through those that occur",
        )
        expect(
            counts[7] != 2 or wanted <= 2,
            "the class of two clips comes only twice: repeat the clips of a small class until it has "
            "per_class",
        )
        expect(
            len(set(counts.values())) == 1,
            f"the classes come {sorted(counts.values())} times; each should come exactly per_class = "
            f"{wanted} "
            "times (drawing with weights is balanced only on average)",
        )
        expect(
            len(order) == 3 * wanted,
            f"the order has {len(order)} clips; {wanted} of each of 3 classes are {3 * wanted}",
        )
        times = Counter(order)
        for number in (0, 2, 7):
            own = [times[clip] for clip, label in enumerate(CLASSES) if label == number]
            expect(
                max(own) - min(own) <= 1,
                "within a class one clip comes again before all others came once: take whole shuffled rounds "
                "of the class, not draws with replacement",
            )
    orders = [order_of(seed) for seed in range(40)]
    expect(orders[0] == order_of(0), "the same seed gave another order: draw from the generator alone")
    expect(
        len({tuple(order) for order in orders}) > 1,
        "every seed gives the same order: shuffle with the generator",
    )
    changes = [sum(CLASSES[a] != CLASSES[b] for a, b in itertools.pairwise(order)) for order in orders]
    expect(
        max(changes) > 2,
        "the order goes class by class, and so would the batches: shuffle the whole order at the end",
    )
    seen = {clip for order in orders for clip in order}
    expect(
        len(seen) == len(CLASSES),
        "some clips of the large class never come, whatever the seed: shuffle a class before you cut it off",
    )
    firsts = {CLASSES[order[0]] for order in orders}
    expect(
        len(firsts) == 3, "every order begins with the same class: shuffle the order, do not interleave it"
    )


def probe_balanced(answer: Callable[..., Any]) -> list[int]:
    """How often each class comes, and by how much the clips of a class differ."""
    order = [int(clip) for clip in answer(list(CLASSES), 9, _seeded(0))]
    counts = Counter(CLASSES[clip] for clip in order)
    times = Counter(order)
    own = [[times[i] for i, label in enumerate(CLASSES) if label == number] for number in (0, 2, 7)]
    return [counts[0], counts[2], counts[7], *(max(each) - min(each) for each in own)]


# ------------------------------------------------------------------------------------------------- 09.5


def check_clip_generator(clip_generator: Callable[..., Any]) -> None:
    """A generator of its own for each (seed, epoch, clip), and nothing else touched."""
    generator = call(clip_generator, 0, 0, 0)
    if not isinstance(generator, torch.Generator):
        expect(generator is not None, "the result is None: is a `return` missing at the end?")
        raise Mistake(f"the result is a {type(generator).__name__}, expected a torch.Generator")
    expect(
        generator is not torch.default_generator,
        "this is PyTorch's global generator: torch.manual_seed sets it and returns it; make one of your own "
        "with torch.Generator()",
    )

    def draw(seed: int, epoch: int, clip: int) -> int:
        generator = call(clip_generator, seed, epoch, clip)
        return int(torch.randint(2**62, (), generator=generator))

    expect(
        draw(0, 0, 0) == draw(0, 0, 0),
        "asked twice for the same clip it drew otherwise: nothing but the three numbers may decide (no "
        "seed(), "
        "no clock, no global state)",
    )
    first = draw(1, 2, 3)
    torch.manual_seed(99)
    random.seed(99)
    expect(
        draw(1, 2, 3) == first, "the draws depend on the global state of chance, which differs in each worker"
    )
    torch.manual_seed(99)
    wanted = float(torch.rand(()))
    torch.manual_seed(99)
    of_python, of_numpy = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    clip_generator(2, 3, 5)
    untouched = random.getstate() == of_python and str(np.random.get_state()) == of_numpy  # noqa: NPY002
    expect(
        untouched and float(torch.rand(())) == wanted,
        "asking for a clip's generator changes the global state of chance: seed only your own generator",
    )
    expect(draw(0, 0, 1) != draw(0, 0, 0), "every clip draws the same numbers: the clip's number must count")
    expect(draw(0, 1, 0) != draw(0, 0, 0), "every epoch draws the same numbers: the epoch must count")
    expect(draw(1, 0, 0) != draw(0, 0, 0), "every seed draws the same numbers: the seed must count")
    expect(
        len({draw(0, 0, 1), draw(0, 1, 0), draw(1, 0, 0)}) == 3,
        "clip 1 of epoch 0 draws like clip 0 of epoch 1: a sum gives the same number for many clips; mix the "
        "three so that none can stand for another",
    )
    for product in ((0, 5, 7), (5, 0, 7), (3, 5, 0)):
        expect(
            draw(*product) != draw(0, 0, 0),
            "a zero among the three wipes the others out: a product is no mix",
        )
    keys = [
        (s, e, c)
        for s in (0, 1, 2)
        for e in (0, 1, 2, 12, 117)
        for c in (0, 1, 2, 10, 100, 1000, 10_000, 240_000)
    ]
    drawn = Counter(draw(*key) for key in keys)
    expect(
        len(drawn) == len(keys),
        "different clips share their draws when the numbers grow: there are 240,000 clips in a list, so a "
        "factor of 100 or 1000 is too small",
    )


def probe_generator(answer: Callable[..., Any]) -> list[bool]:
    """Which of three numbers count, and whether clip and epoch can stand for each other."""

    def draw(*key: int) -> int:
        return int(torch.randint(2**62, (), generator=answer(*key)))

    one = draw(1, 2, 3)
    return [draw(1, 2, 3) == one, draw(0, 2, 3) != one, draw(1, 0, 3) != one, draw(1, 3, 2) != one]


def _clips_differ(answer: Callable[..., Any]) -> int:
    draws = {int(torch.randint(2**62, (), generator=answer(0, 0, clip))) for clip in range(5)}
    return len(draws)


# ------------------------------------------------------------------------------------------------- 09.6

CLIPS, FRAMES = 23, 7


class Watcher(nn.Module):
    """A model that says 1 where the first frame is earlier than the last, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, C, H, W) -> (B, 2)
        self.seen.append(clips.detach().clone())
        first, last = clips[:, 0].flatten(1).mean(1), clips[:, -1].flatten(1).mean(1)
        return torch.stack([first - last, last - first], dim=1)


def marked_clips() -> Tensor:
    """Clips whose every number tells clip, frame and channel: 1000 clip + 10 frame + channel."""
    clip = 1000.0 * torch.arange(CLIPS).view(-1, 1, 1, 1, 1)
    frame, channel = 10.0 * torch.arange(FRAMES).view(-1, 1, 1, 1), torch.arange(3.0).view(-1, 1, 1)
    return (clip + frame + channel).expand(CLIPS, FRAMES, 3, 5, 2).clone()


def marked_labels() -> Tensor:
    """Two thirds are 1, what the watcher says of a clip in order."""
    return (torch.arange(CLIPS) % 3 > 0).long()


def check_order_effect(order_effect: Callable[..., Any]) -> None:
    """What the model was shown decides: whole frames of one clip, each clip in an order of its own."""
    clips, labels = marked_clips(), marked_labels()

    def run(seed: int) -> tuple[float, float, Tensor]:
        watcher = Watcher()
        pair = read_pair(
            _plain(call(order_effect, watcher, clips, labels, _seeded(seed))), "(in order, shuffled)"
        )
        numbers = [
            expect_number(one, name=name) for one, name in zip(pair, ("in order", "shuffled"), strict=True)
        ]
        expect(len(watcher.seen) > 0, "the model was never asked")
        expect(
            all(each.dim() == 5 and each.shape[1:] == clips.shape[1:] for each in watcher.seen),
            "the model was shown something that is not of shape (B, T, C, H, W)",
        )
        return numbers[0], numbers[1], torch.cat(watcher.seen)

    in_order, shuffled, seen = run(0)
    orders = _orders(seen)
    plain = torch.arange(FRAMES)
    straight = [(clip, order) for clip, order in orders if torch.equal(order, plain)]
    moved = [(clip, order) for clip, order in orders if not torch.equal(order, plain)]
    expect(len(straight) > 0, "the model never saw the clips in order: ask it once before shuffling")
    expect(
        len(moved) > 0,
        "the frames the model saw were never out of order: shuffle the frames (axis 1) of each clip, not "
        "the clips",
    )
    different = {tuple(order.tolist()) for _, order in moved}
    backwards = tuple(range(FRAMES - 1, -1, -1))
    expect(
        different != {backwards}, "the clips are played backwards; shuffled means an order drawn by chance"
    )
    expect(
        len(different) > 1,
        "all clips got the same order: by bad luck it may be close to the right one; draw an order for "
        "each clip",
    )
    expect(
        any(bool((order.diff() % FRAMES != 1).any()) for _, order in moved),
        "the frames are only pushed round, and neighbours stay neighbours: draw any order, not a first frame",
    )
    truth = labels.tolist()
    wanted = sum(truth) / CLIPS
    disorder = _right_when_shuffled(orders, truth)
    expect_close(
        in_order,
        wanted,
        likely={
            "the two accuracies are exchanged: in order comes first": disorder,
            "this is a number of clips; the accuracy is the share of clips whose largest logit stands at "
            "their label": sum(truth),
            "this is in percent; give a share from 0 to 1": 100 * wanted,
            "these are the wrong answers; accuracy is the share of right ones": 1 - wanted,
        },
        name="the accuracy in order",
        otherwise="the share of clips whose largest logit stands at their label",
    )
    expect_close(
        shuffled,
        disorder,
        likely={
            "the second number is the difference; give the accuracy on shuffled frames itself": (
                wanted - disorder
            ),
            "the labels were shuffled along: only the frames change, each clip keeps its label": wanted,
        },
        name="the accuracy on shuffled frames",
        otherwise="compare the model's answers on the shuffled clips with the labels of the same clips",
    )
    for seed in (2, 3, 4):
        _, found, shown = run(seed)
        expect_close(
            found,
            _right_when_shuffled(_orders(shown), truth),
            name="the accuracy on shuffled frames with another seed",
            otherwise="compare the model's answer on each shuffled clip with the label of that clip",
        )
    again, other = run(0), run(1)
    expect(torch.equal(again[2], seen), "the same seed gave other orders: draw from the generator alone")
    expect(not torch.equal(other[2], seen), "every seed gives the same orders: draw them with the generator")


def _right_when_shuffled(orders: list[tuple[int, Tensor]], truth: list[int]) -> float:
    """The watcher's accuracy on all it was shown, but for one round of the clips in order."""
    right = [truth[clip] == int(order[0] < order[-1]) for clip, order in orders]
    return (sum(right) - sum(truth)) / (len(right) - CLIPS)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value


def _orders(seen: Tensor) -> list[tuple[int, Tensor]]:
    """Clip and frame order of all that the model was shown, if these were whole frames of one clip each."""
    clip, frame, channel = seen // 1000, (seen % 1000) // 10, seen % 10
    expect(
        bool((clip == clip[:, :1, :1, :1, :1]).all()),
        "frames of different clips are mixed: each clip keeps its own frames, in another order",
    )
    expect(
        bool((channel == torch.arange(3.0).view(-1, 1, 1)).all()),
        "the colours changed places: shuffle along the frames, axis 1 of (B, T, C, H, W)",
    )
    expect(
        bool((frame == frame[:, :, :1, :1, :1]).all()),
        "pixels of different frames are mixed: whole frames change places",
    )
    orders = frame[:, :, 0, 0, 0].long()
    expect(
        bool((orders.sort(dim=1).values == torch.arange(FRAMES)).all()),
        "some frames come twice and others are lost: an order is a permutation (randperm, or argsort of "
        "random numbers), not draws with replacement",
    )
    return list(zip(clip[:, 0, 0, 0, 0].long().tolist(), orders, strict=True))


class Steady(nn.Module):
    """A model that does not look at the order: it tells a clip by its number."""

    def forward(self, clips: Tensor) -> Tensor:
        even = (clips.flatten(1).mean(1) // 1000 % 3 > 0).float()
        return torch.stack([1 - even, even], dim=1)


def probe_order(answer: Callable[..., Any]) -> list[float]:
    """In order, and shuffled for a label that is chance without order: near a half, told in quarters."""
    clips = marked_clips().repeat(20, 1, 1, 1, 1)
    in_order, shuffled = answer(Watcher(), clips, torch.ones(20 * CLIPS).long(), _seeded(0))
    return [float(in_order), round(4 * float(shuffled)) / 4]


def _steady(answer: Callable[..., Any]) -> list[float]:
    return [float(one) for one in answer(Steady(), marked_clips(), marked_labels(), _seeded(0))]


EXERCISES = [
    Exercise(
        id="09.1",
        title="Read a list and refuse what is wrong with it",
        core=True,
        difficulty=2,
        importance=5,
        minutes=15,
        why="A wrong row that passes here becomes a wrong label, and nothing later can notice.",
        contract=(
            "`text` is an annotation file: a heading, then one row a clip. The columns `label`, "
            "`youtube_id`, "
            "`time_start`, `time_end` are there, in any order, among others. A label may stand in quotes, "
            "and may then hold commas",
            "`class_names` are the classes in class order: a class's **number** is its place there",
            "returns `(clips, refused)`: `clips`, a list of `(name, class number)` in the file's order, and "
            "`refused`, the line numbers of all other rows. The heading is line 1",
            "a clip's name is `<youtube_id>_<time_start>_<time_end>`, the seconds with six digits",
            "a row is refused if its label is not in `class_names`; if a time is no whole number, or the "
            "end is "
            "not after the start; or if a clip of that name was taken before",
        ),
        stub='''
        def read_rows(text: str, class_names: list[str]) -> tuple[list[tuple[str, int]], list[int]]:
            """Clips with their class numbers, and the lines that cannot be used."""
            raise NotImplementedError("09.1")
        ''',
        check=check_read_rows,
        probe=lambda answer: answer(LIST, NAMES),
        hints=(
            "Let the `csv` module do the quotes: `csv.DictReader` gives each row as a dict by the heading.",
            "`enumerate(rows, start=2)` gives the line numbers; `class_names.index(label)` the class; "
            '`int("ten")` raises `ValueError`.',
            "In a loop: try to make both seconds `int`; on an error, an unknown label, `end <= start` or a "
            "name "
            "in `taken`, append the line to `refused` and `continue`; else append the pair.",
        ),
        solution=answers.READ_ROWS["dict reader"],
        right_answers=answers.READ_ROWS,
        wrong_answers=(
            WrongAnswer(
                name="split at commas", answer=answers.ROWS_SPLIT, says="the labels in quotes were refused"
            ),
            WrongAnswer(name="comma in a label", answer=answers.ROWS_STRIPPED, says="a comma inside quotes"),
            WrongAnswer(
                name="classes of this file",
                answer=answers.ROWS_OWN_CLASSES,
                says="a sorted list of your own",
                right_on=lambda answer: answer(LIST.replace("-aB", "aB"), sorted(NAMES)),
            ),
            WrongAnswer(
                name="names not padded",
                answer=answers.ROWS_NOT_PADDED,
                says="six digits",
                right_on=lambda answer: answer(PLAIN, NAMES),
            ),
            WrongAnswer(
                name="silent",
                answer=answers.ROWS_SILENT,
                says="dropped silently",
                right_on=lambda answer: answer(PLAIN, NAMES),
            ),
            WrongAnswer(
                name="lines without heading",
                answer=answers.ROWS_OFF_BY_ONE,
                says="counted without the heading",
            ),
            WrongAnswer(name="twice", answer=answers.ROWS_TWICE, says="taken twice"),
            WrongAnswer(
                name="ends before it starts", answer=answers.ROWS_BACKWARDS, says="ends before it starts"
            ),
            WrongAnswer(
                name="columns by place", answer=answers.ROWS_BY_PLACE, says="find them by the heading"
            ),
        ),
        what_to_see="Four clips and four refused lines; in the bundled lists, no line refused.",
    ),
    Exercise(
        id="09.2",
        title="What missing clips can hide",
        core=False,
        difficulty=2,
        importance=3,
        minutes=8,
        why="An accuracy on the clips that are left is no accuracy on the list.",
        contract=(
            "`right` and `there` are bool tensors of shape `(clips,)`: was the answer right, and is the clip "
            "there? At least one is. Where a clip is missing, `right` means nothing",
            "returns `(measured, lowest, highest)`: the accuracy on the clips that are there; and the "
            "lowest and "
            "highest that it could be on the whole list",
        ),
        stub='''
        def with_missing(right: Tensor, there: Tensor) -> tuple[float, float, float]:
            """Accuracy on what is there, and its bounds on the whole list."""
            raise NotImplementedError("09.2")
        ''',
        check=check_with_missing,
        probe=lambda answer: [
            float(x)
            for x in answer(
                torch.tensor([True, False, True, True, True]), torch.tensor([True, True, True, False, False])
            )
        ],
        hints=(
            "Count clips, not shares: right and there; there; all.",
            "Three counts: `good = (right & there).sum()`, `present = there.sum()`, `total = len(there)`.",
            "The lowest takes all missing clips as wrong, the highest takes all as right.",
        ),
        solution=answers.MISSING["counts"],
        right_answers=answers.MISSING,
        wrong_answers=(
            WrongAnswer(
                name="missing counted as wrong",
                answer=answers.MISSING_AS_WRONG,
                says="are counted as wrong",
                right_on=lambda answer: [
                    float(x) for x in answer(torch.tensor([True, False]), torch.ones(2).bool())
                ],
            ),
            WrongAnswer(name="reads what means nothing", answer=answers.MISSING_READ, says="means nothing"),
            WrongAnswer(
                name="plus and minus the rate", answer=answers.MISSING_RATE, says="is subtracted from"
            ),
            WrongAnswer(name="exchanged", answer=answers.MISSING_EXCHANGED, says="the bounds are exchanged"),
            WrongAnswer(name="highest is one", answer=answers.MISSING_ONE, says="the highest bound is 1"),
        ),
        what_to_see="With 7 % missing the bounds lie 7 points apart, wherever the accuracy is.",
    ),
    Exercise(
        id="09.3",
        title="Split by source video",
        core=True,
        difficulty=2,
        importance=5,
        minutes=12,
        why="Clips of one video on both sides turn recognition of the video into accuracy.",
        contract=(
            "`sources` names the source video of each clip",
            "returns a bool tensor of shape `(clips,)`: True = test. All clips of a source are on one side",
            "`round(test_share × different sources)` sources go to the test side, at least one, each source "
            "equally likely, drawn with `generator`",
            "the split depends on the sources and the generator only: not on the order in which clips are "
            "listed, and not on the run of Python (a `set` of names has another order in each)",
        ),
        stub='''
        def split_by_source(sources: list[str], test_share: float, generator: torch.Generator) -> Tensor:
            """Which clips are for testing, no source on both sides: (clips,) bool."""
            raise NotImplementedError("09.3")
        ''',
        check=check_split_by_source,
        probe=probe_split,
        hints=(
            "Decide for sources, then let each clip follow its source.",
            "`sorted(set(sources))` are the S different sources in a fixed order; `torch.randperm(S, "
            "generator=generator)` shuffles their numbers.",
            "`count = max(1, round(test_share * S))`; the first `count` of the shuffled numbers are "
            "tested; the "
            "answer is `[source in tested for source in sources]`.",
        ),
        solution=answers.SPLIT["sorted names"],
        right_answers=answers.SPLIT,
        wrong_answers=(
            WrongAnswer(
                name="by clip",
                answer=answers.SPLIT_CLIPS,
                says="draw sources, not clips",
                right_on=lambda answer: _sides(
                    list("abcdefghij"), [bool(x) for x in answer(list("abcdefghij"), 0.3, _seeded(0))]
                ),
            ),
            WrongAnswer(name="order of listing", answer=answers.SPLIT_LISTED, says="listed in another order"),
            WrongAnswer(
                name="order of a set", answer=answers.SPLIT_SET, says="from one run of Python to the next"
            ),
            WrongAnswer(name="no chance", answer=answers.SPLIT_FIRST, says="every seed gives the same split"),
            WrongAnswer(name="cut down", answer=answers.SPLIT_FLOOR, says="cut down to 2"),
            WrongAnswer(
                name="sides exchanged", answer=answers.SPLIT_EXCHANGED, says="the sides are exchanged"
            ),
            WrongAnswer(
                name="global chance", answer=answers.SPLIT_GLOBAL, says="the same seed gave another split"
            ),
        ),
        what_to_see="No source on both sides; a quarter of the sources on the test side.",
    ),
    Exercise(
        id="09.4",
        title="A balanced order",
        core=True,
        difficulty=3,
        importance=3,
        minutes=12,
        why="In a list with a long tail the large classes would fill every batch.",
        contract=(
            "`classes[i]` is the class number of clip i; numbers may have gaps",
            "returns a list of clip numbers in which every class that occurs comes exactly `per_class` times",
            "within a class, no clip comes again before all its clips came once",
            "the order is drawn with `generator`: which clips come, and the whole order is shuffled",
        ),
        stub='''
        def balanced_order(classes: list[int], per_class: int, generator: torch.Generator) -> list[int]:
            """Clip numbers of one epoch, every class equally often."""
            raise NotImplementedError("09.4")
        ''',
        check=check_balanced_order,
        probe=probe_balanced,
        hints=(
            "Take one class at a time: fill its share with whole shuffled rounds of its clips, and cut it "
            "off.",
            "A class with m clips: `torch.randperm(m, generator=generator)` is one round; go on until there "
            "are `per_class`.",
            "`while len(own) < per_class: own += [clips[i] for i in torch.randperm(len(clips), "
            "generator=…)]`, "
            "then `own[:per_class]`; at the end shuffle everything once more.",
        ),
        solution=answers.BALANCED["rounds"],
        right_answers=answers.BALANCED,
        wrong_answers=(
            WrongAnswer(
                name="with replacement", answer=answers.BALANCED_REPLACED, says="whole shuffled rounds"
            ),
            WrongAnswer(name="weights", answer=answers.BALANCED_WEIGHTS, says="only on average"),
            WrongAnswer(name="class by class", answer=answers.BALANCED_BLOCKS, says="class by class"),
            WrongAnswer(name="not shuffled before the cut", answer=answers.BALANCED_FIRST, says="never come"),
            WrongAnswer(
                name="small class not repeated",
                answer=answers.BALANCED_SHORT,
                says="comes only twice",
                right_on=lambda answer: sorted(answer([0, 0, 1, 1], 2, _seeded(0))),
            ),
            WrongAnswer(name="gaps", answer=answers.BALANCED_GAPS, says="may have gaps"),
        ),
        what_to_see="Three classes, equally often, though one has 13 clips and one has 2.",
    ),
    Exercise(
        id="09.5",
        title="Chance that no worker can change",
        core=True,
        difficulty=3,
        importance=4,
        minutes=12,
        why="Draws must not depend on how many workers read, or no run can be repeated.",
        contract=(
            "`seed`, `epoch` (below 1,000) and `clip` (below a million) are numbers from 0 on",
            "returns a new `torch.Generator` for this clip in this epoch: the same three numbers always "
            "give the "
            "same draws, other numbers others",
            "no global state of chance is read or changed",
        ),
        stub='''
        def clip_generator(seed: int, epoch: int, clip: int) -> torch.Generator:
            """The generator of one clip in one epoch."""
            raise NotImplementedError("09.5")
        ''',
        check=check_clip_generator,
        probe=probe_generator,
        hints=(
            "Make one number of the three, so that no two clips share it, and seed a generator of your own.",
            "`torch.Generator()` makes one; `.manual_seed(number)` seeds it and returns it. A sum of the "
            "three "
            "is shared by many clips.",
            "`np.random.SeedSequence((…, …, …)).generate_state(1)[0]` mixes any tuple into one number; "
            "make it "
            "an `int` before you hand it on.",
        ),
        solution=answers.GENERATOR["seed sequence"],
        right_answers=answers.GENERATOR,
        wrong_answers=(
            WrongAnswer(name="global", answer=answers.GENERATOR_GLOBAL, says="PyTorch's global generator"),
            WrongAnswer(
                name="sum",
                answer=answers.GENERATOR_SUM,
                says="a sum gives the same number",
                right_on=_clips_differ,
            ),
            WrongAnswer(
                name="factor too small",
                answer=answers.GENERATOR_SMALL,
                says="is too small",
                right_on=_clips_differ,
            ),
            WrongAnswer(
                name="epoch forgotten",
                answer=answers.GENERATOR_NO_EPOCH,
                says="every epoch draws the same",
                right_on=_clips_differ,
            ),
            WrongAnswer(name="drawn from the system", answer=answers.GENERATOR_ENTROPY, says="asked twice"),
            WrongAnswer(name="from global draws", answer=answers.GENERATOR_DRAWN, says="asked twice"),
        ),
        what_to_see="With any number of workers the same frames.",
    ),
    Exercise(
        id="09.6",
        title="The shuffled-frame diagnostic",
        core=False,
        difficulty=3,
        importance=5,
        minutes=12,
        why="It tells in two numbers whether a data set, to this model, is about time at all.",
        contract=(
            "`model(clips)` takes `(B, T, C, H, W)` and gives logits `(B, classes)`; `labels` is `(B,)`",
            "returns `(in_order, shuffled)`: the model's accuracy on the clips as they are, and with the "
            "frames "
            "of each clip in an order of its own, drawn with `generator`",
            "whole frames change places, within their clip; accuracies are shares from 0 to 1",
        ),
        stub='''
        def order_effect(
            model: nn.Module, clips: Tensor, labels: Tensor, generator: torch.Generator
        ) -> tuple[float, float]:
            """Accuracy with frames in order, and with each clip's frames shuffled."""
            raise NotImplementedError("09.6")
        ''',
        check=check_order_effect,
        probe=probe_order,
        hints=(
            "Two questions to the same model: the clips, then the clips with their frames in another order.",
            "`torch.rand(B, T, generator=generator).argsort(dim=1)` holds one order a row, `(B, T)`.",
            "`clips[torch.arange(B)[:, None], order]` takes, for each clip, its frames in that order.",
        ),
        solution=answers.ORDER["argsort"],
        right_answers=answers.ORDER,
        wrong_answers=(
            WrongAnswer(
                name="one order for all",
                answer=answers.ORDER_ONE,
                says="all clips got the same order",
                right_on=_steady,
            ),
            WrongAnswer(name="clips shuffled", answer=answers.ORDER_CLIPS, says="not the clips"),
            WrongAnswer(
                name="backwards", answer=answers.ORDER_BACKWARDS, says="played backwards", right_on=_steady
            ),
            WrongAnswer(name="colours", answer=answers.ORDER_COLOURS, says="the colours changed places"),
            WrongAnswer(name="with replacement", answer=answers.ORDER_REPLACED, says="come twice"),
            WrongAnswer(name="difference", answer=answers.ORDER_DIFFERENCE, says="is the difference"),
        ),
        what_to_see="Appearance stays, motion falls, and the mean of frames does not notice.",
    ),
]
