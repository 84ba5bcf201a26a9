"""The judge: every way of answering oddly gets one kind and precise sentence, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlearn.course import judge as judge_room
from vtlearn.course.judge import (
    FORWARDS_TO_ATTENTION,
    Mistake,
    call,
    call_in_place,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_integer,
    expect_integers,
    expect_no_tensor_of,
    expect_number,
    expect_raises,
    expect_tensor,
    judge,
)
from vtlearn.data.sampling import seconds_covered


def check_doubled(answer):
    x = torch.arange(6.0).reshape(2, 3)
    expect_close(expect_tensor(call(answer, x), (2, 3)), 2 * x)


def raises(x):
    wrong = x @ x
    return wrong


def recurses(x):
    return recurses(x)


def changes_input(x):
    x *= 2
    return x


def never_ends(x):
    while True:
        pass


def stubborn(x):
    while True:
        with contextlib.suppress(Exception):
            never_ends(x)


def leaves(x):
    sys.exit(1)


def prints(x):
    print("one")
    print("two")
    return 2 * x


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "the answer is None"),
        (3, "the answer is 3 (int), not a function"),
        (torch.ones(2, 3), "the answer is a tensor of shape (2, 3), not a function"),
        (lambda x: None, "the result is None: is a `return` missing at the end?"),
        (lambda x: NotImplemented, "NotImplemented"),
        (lambda x: [1, 2], "the result is a list of 2, expected a torch.Tensor"),
        (lambda x: (x, x), "the result is a tuple of 2"),
        (lambda x: x.numpy() * 2, "a NumPy array of shape (2, 3)"),
        (lambda x: 2 * x.T, "the right sizes in another order"),
        (lambda x: (2 * x)[None], "3 axes instead of 2"),
        (lambda x: 3 * x, "off by up to 5 at index (1, 2)"),
        (lambda: 1, "cannot be called as the contract says"),
        (lambda x, y: x, "cannot be called as the contract says"),
        (raises, "(in the line `wrong = x @ x`), when given a tensor of shape (2, 3)"),
        (recurses, "calls itself without end"),
        (changes_input, "changes its argument x in place"),
        (leaves, "called exit()"),
    ],
)
def test_odd_answers_get_their_sentence(answer, message):
    result = judge(check_doubled, answer)
    assert not result.passed
    assert result.attempted
    assert message in result.message
    assert repr(result) == f"not yet: {result.message}"


def test_right_answer_passes_and_printing_is_told():
    assert repr(judge(check_doubled, lambda x: x + x)) == "passed"
    assert (
        judge(check_doubled, prints).message
        == "passed (it also printed 2 lines: fine while you look for a mistake)"
    )


def test_stub_is_not_attempted():
    def stub(x):
        raise NotImplementedError("00.1")

    result = judge(check_doubled, stub)
    assert (result.passed, result.attempted, repr(result)) == (False, False, "not attempted yet")


@pytest.mark.parametrize("answer", [never_ends, stubborn])
def test_loop_without_end_is_stopped_in_the_main_thread(answer):
    before = signal.getsignal(signal.SIGALRM)
    result = judge(check_doubled, answer, seconds=0.2)
    assert "a loop that never ends" in result.message
    assert signal.getsignal(signal.SIGALRM) is before


def test_loop_without_end_is_stopped_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(judge(check_doubled, never_ends, seconds=0.2)))
    thread.start()
    thread.join(20)
    assert "a loop that never ends" in results[0].message


def test_an_answer_that_sleeps_is_stopped_on_time():
    def sleeps(x):
        time.sleep(60)
        return 2 * x

    before = time.monotonic()
    assert "a loop that never ends" in judge(check_doubled, sleeps, seconds=0.2).message
    assert time.monotonic() - before < 30


def test_a_crowded_machine_is_no_endless_loop(monkeypatch):
    def kept_waiting(x):
        time.sleep(0.4)
        return 2 * x

    monkeypatch.setattr(judge_room.time, "process_time", lambda: 0.3 * time.monotonic())
    assert judge(check_doubled, kept_waiting, seconds=0.3).passed
    monkeypatch.setattr(judge_room.time, "process_time", lambda: 0.0)
    assert not judge(check_doubled, kept_waiting, seconds=0.3).passed


def test_someone_elses_alarm_goes_on():
    def ring(signum, frame):
        raise AssertionError("too early")

    before = signal.signal(signal.SIGALRM, ring)
    old = signal.setitimer(signal.ITIMER_REAL, 500)
    try:
        judge(check_doubled, lambda x: 2 * x)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert signal.getsignal(signal.SIGALRM) is ring
        assert 400 < left <= 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, *old)
        signal.signal(signal.SIGALRM, before)


def test_checks_are_seeded_and_leave_no_state_behind():
    seen = []

    def check_random(answer):
        seen.append((torch.rand(1).item(), random.random(), float(np.random.rand())))  # noqa: NPY002
        call(answer, 1)

    def messy(x):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.manual_seed(99)
        return x

    torch.manual_seed(5)
    expected = torch.rand(2)[1]
    torch.manual_seed(5)
    torch.rand(1)
    judge(check_random, messy)
    judge(check_random, messy)
    assert seen[0] == seen[1]
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert torch.rand(1) == expected
    assert sys.getprofile() is None


def test_arguments_are_copies_also_inside_containers():
    clip = torch.ones(3)
    weights = {"a": [torch.zeros(2)], "b": np.zeros(2)}

    def answer(x, w):
        x.zero_()
        w["a"][0].add_(1)
        w["b"] += 1
        w["c"] = 1
        return x

    result = judge(lambda given: call(given, clip, weights) and None, lambda x, w: answer(x, w).sum() * 0 + 1)
    assert "changes its argument x in place" in result.message
    assert clip.tolist() == [1, 1, 1]
    assert weights["a"][0].tolist() == [0, 0]
    assert "c" not in weights


@pytest.mark.parametrize(
    "change",
    [
        lambda x, w: w["a"].append(1),
        lambda x, w: w.pop("a"),
        lambda x, w: x.resize_(2),
        lambda x, w: x.fill_(float("nan")),
    ],
)
def test_every_change_is_noticed(change):
    result = judge(lambda answer: call(answer, torch.ones(4), {"a": [1]}), change)
    assert "in place" in result.message


def test_nan_in_an_unchanged_input_is_no_change():
    assert judge(lambda answer: call(answer, torch.tensor([float("nan")])), lambda x: x).passed


def test_call_in_place_hands_over_the_thing_itself():
    x = torch.ones(2)
    assert judge(lambda answer: call_in_place(answer, x), lambda x: x.mul_(3)).passed
    assert x.tolist() == [3, 3]


def forwards_to_library(x):
    return seconds_covered(8, 2, 8.0) * x


def forwards_to_torch(x):
    F.scaled_dot_product_attention(x[None], x[None], x[None])
    return 2 * x


def forwards_to_module(x):
    nn.MultiheadAttention(3, 1)(x, x, x)
    return 2 * x


def forwards_to_encoder(x):
    nn.TransformerEncoderLayer(3, 1, batch_first=True).eval()(x[None])
    return 2 * x


@pytest.mark.parametrize(
    ("answer", "door"),
    [
        (forwards_to_library, "vtlearn.data.sampling"),
        (forwards_to_torch, "scaled_dot_product_attention"),
        (forwards_to_module, "MultiheadAttention"),
        (forwards_to_encoder, "MultiheadAttention"),
    ],
)
def test_forwarding_is_named_and_can_be_allowed(answer, door):
    result = judge(check_doubled, answer, not_by=FORWARDS_TO_ATTENTION)
    assert f"forwards the work to {door}" in result.message
    if door.startswith("vtlearn"):
        assert judge(check_doubled, answer, may_use=("vtlearn.data.sampling",)).passed
    else:
        assert judge(check_doubled, answer).passed


def test_a_wrong_value_is_told_before_forwarding():
    assert "off by" in judge(check_doubled, lambda x: seconds_covered(8, 1, 8.0) * x).message


def test_watcher_sees_large_tensors_and_lets_views_pass():
    n = 40

    def banded(x):
        windows = F.pad(x, (2, 2)).unfold(-1, 5, 1)
        return windows.sum(-1) + 0 * x[:, None].expand(n, n).select(1, 0)

    def dense(x):
        return (x[:, None] * x[None]).sum(-1)

    def check(answer):
        with expect_no_tensor_of(n * n // 2, "this stores n² numbers"):
            call(answer, torch.ones(n))

    assert judge(check, banded).passed
    assert judge(check, dense).message == f"this stores n² numbers (a tensor of shape ({n}, {n}) in mul)"
    stored_boolean = judge(check, lambda x: torch.ones(n, n, dtype=torch.bool))
    assert "this stores n² numbers" in stored_boolean.message


def test_watcher_keeps_no_tensor_alive():
    import weakref

    kept = []

    def answer(x):
        y = x * 2
        kept.append(weakref.ref(y))
        return 1

    with expect_no_tensor_of(10**9, ""):
        answer(torch.ones(3))
    assert kept[0]() is None


def test_expectations_name_what_is_wrong():
    with pytest.raises(Mistake, match="rows and columns"):
        expect_tensor(torch.ones(3, 2), (2, 3), likely={(3, 2): "rows and columns"})
    with pytest.raises(Mistake, match=r"type torch.int64, expected torch.float32"):
        expect_tensor(torch.ones(2).long(), dtype=torch.float32)
    for kind, right in (
        ("float", torch.ones(1)),
        ("integer", torch.ones(1).int()),
        ("bool", torch.ones(1).bool()),
    ):
        assert expect_tensor(right, kind=kind) is right
        with pytest.raises(Mistake, match=f"expected an? {kind} tensor"):
            expect_tensor(torch.ones(1).bool() if kind != "bool" else torch.ones(1), kind=kind)
    with pytest.raises(Mistake, match="contains nan: a row"):
        expect_finite(torch.tensor([1, float("nan")]), reason="a row of nothing")
    with pytest.raises(Mistake, match="contains an infinity"):
        expect_finite(torch.tensor([1, float("inf")]))
    with pytest.raises(Mistake, match="sum to 1"):
        expect(False, "rows sum to 1")
    with pytest.raises(Mistake, match="squared"):
        expect_close(
            torch.tensor([4.0]), torch.tensor([2.0]), likely={"same": 2.0, "squared": torch.tensor([4.0])}
        )
    with pytest.raises(Mistake, match="off by up to inf at index \\(1,\\): look again"):
        expect_close(torch.tensor([1, float("nan")]), torch.ones(2), otherwise="look again")
    with pytest.raises(Mistake, match="reversed"):
        expect_equal([2, 1], [1, 2], likely={"reversed": [2, 1]})
    with pytest.raises(Mistake, match="which is not right"):
        expect_equal([2, 2], [1, 2])


@pytest.mark.parametrize("seven", [7, np.int64(7), torch.tensor(7), torch.tensor([7]), np.array(7)])
def test_integers_are_welcome_in_many_forms(seven):
    assert expect_integer(seven) == 7
    assert expect_number(seven) == 7.0


@pytest.mark.parametrize(
    ("value", "message"), [(7.0, "use // instead of /"), (True, "True"), ("7", "'7'"), (None, "None")]
)
def test_other_things_are_no_integer(value, message):
    with pytest.raises(Mistake, match=message):
        expect_integer(value)


@pytest.mark.parametrize("value", [[1, 2], (1, 2), range(1, 3), torch.tensor([1, 2]), np.array([1, 2])])
def test_lists_of_integers_are_welcome_in_many_forms(value):
    assert expect_integers(value, 2) == [1, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.5, 2], "item 0 of the result is the float 1.5"),
        ([1], "1 items, expected 2"),
        ({1, 2}, "a set of 2"),
        (torch.ones(1, 2), "expected one axis"),
        (5, "expected a list of integers"),
    ],
)
def test_other_things_are_no_list_of_integers(value, message):
    with pytest.raises(Mistake, match=message):
        expect_integers(value, 2)


def test_refusals_are_checked():
    def refuses(x):
        if x < 0:
            raise ValueError("x")
        return x

    expect_raises(refuses, ValueError, -1, because="x must not be negative")
    with pytest.raises(Mistake, match="x must not be negative: expected an error, but it returned a value"):
        expect_raises(refuses, ValueError, 1, because="x must not be negative")
    with pytest.raises(Mistake, match="expected TypeError, but it raised ValueError"):
        expect_raises(refuses, TypeError, -1, because="text")
    with pytest.raises(judge_room.NotAttempted):
        expect_raises(stub_of_any, ValueError, because="text")


def stub_of_any(*args: Tensor):
    raise NotImplementedError


def test_a_value_no_check_foresaw_is_no_crash():
    def check(answer):
        call(answer).shape.numel()

    assert "could not read what your answer returned (AttributeError" in judge(check, lambda: 3).message
