"""How a learner's answer is run and judged: cloned inputs, a time limit, kind and precise sentences."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import inspect
import io
import linecache
import math
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from types import CodeType, FrameType
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TIME_LIMIT_SECONDS = 10.0
NOT_ATTEMPTED = "not attempted yet"
FORWARDS_TO_ATTENTION = ("vtlearn", "scaled_dot_product_attention", "MultiheadAttention", "flex_attention")
_KIND_OF_RESULT = {
    "float": lambda dtype: dtype.is_floating_point,
    "integer": lambda dtype: not dtype.is_floating_point and not dtype.is_complex and dtype != torch.bool,
    "bool": lambda dtype: dtype == torch.bool,
}
_FREE_TO_USE = ("vtlearn.course", "vtlearn.errors", "vtlearn.shapes", "vtlearn.runtime")
_TORCH_DOORS = {
    "scaled_dot_product_attention": "scaled_dot_product_attention",
    "MultiheadAttention.forward": "MultiheadAttention",
    "multi_head_attention_forward": "MultiheadAttention",
    "_native_multi_head_attention": "MultiheadAttention",
    "_transformer_encoder_layer_fwd": "MultiheadAttention",
    "flex_attention": "flex_attention",
}


class Mistake(Exception):
    """What is wrong with an answer, in one sentence that a learner can act on."""


class NotAttempted(Exception):
    """The answer is still the stub."""


class _TimeIsUp(BaseException):
    """The time limit; not an ``Exception``, so that an answer's own ``except Exception`` lets it through."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found: ``passed`` and the sentence for the learner.

    >>> CheckResult(True, "passed")
    passed
    >>> CheckResult(False, "the rows do not sum to 1")
    not yet: the rows do not sum to 1
    """

    passed: bool
    message: str

    @property
    def attempted(self) -> bool:
        """False while the answer is still the stub."""
        return self.message != NOT_ATTEMPTED

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.message if self.passed or not self.attempted else f"not yet: {self.message}"


@dataclass
class _Judgement:
    """What was seen of an answer beside its values."""

    changed: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)


_CURRENT: ContextVar[_Judgement | None] = ContextVar("judgement", default=None)


def judge(
    check: Callable[[Any], None],
    answer: Any,
    *,
    expects_function: bool = True,
    not_by: Sequence[str] = ("vtlearn",),
    may_use: Sequence[str] = (),
    seconds: float = TIME_LIMIT_SECONDS,
) -> CheckResult:
    """Run ``check`` on ``answer`` and turn whatever happens into one :class:`CheckResult`.

    Everything is seeded and every global state that an answer could leave behind is put back.

    Args:
        check: raises :class:`Mistake` at the first failure.
        answer: what the learner wrote: a function or class, or a value when ``expects_function`` is False.
        not_by: doors an answer may not merely forward to: "vtlearn", "scaled_dot_product_attention",
            "MultiheadAttention", "flex_attention".
        may_use: modules of vtlearn that an answer may call all the same ("vtlearn.attention.patterns").
        seconds: time limit of the whole check.
    """
    judgement = _Judgement()
    token = _CURRENT.set(judgement)
    printed = io.StringIO()
    try:
        with _state_put_back(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                with _time_limit(seconds):
                    _require_answer(answer, expects_function)
                    check(answer)
                _require_no_side_effects(judgement, not_by, may_use)
            except NotAttempted:
                return CheckResult(False, NOT_ATTEMPTED)
            except Mistake as mistake:
                return CheckResult(False, str(mistake))
            except _TimeIsUp:
                return CheckResult(
                    False,
                    f"stopped after {seconds:g} seconds: is there a loop that never ends? "
                    "(a right answer takes well under a second)",
                )
            except Exception as error:  # what came back could not even be looked at
                return CheckResult(
                    False,
                    "the check could not read what your answer returned "
                    f"({type(error).__name__}: {_first_line(error)}); compare its type with the contract",
                )
    finally:
        _CURRENT.reset(token)
    lines = len(printed.getvalue().splitlines())
    if lines:
        noun = "line" if lines == 1 else "lines"
        return CheckResult(
            True, f"passed (it also printed {lines} {noun}: fine while you look for a mistake)"
        )
    return CheckResult(True, "passed")


def call(answer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The answer's result on copies of the arguments.

    An argument changed in place is noted, and fails the check after the values were found right.

    Raises:
        NotAttempted: the answer is the stub.
        Mistake: the answer raised; the sentence names the error and the line.
    """
    given, named = _copied(args), _copied(kwargs)
    result = _run(answer, given, named)
    judgement = _CURRENT.get()
    if judgement is not None:
        names = _argument_names(answer, len(args))
        pairs = [(name, *pair) for name, pair in zip(names, zip(args, given, strict=True), strict=True)]
        pairs += [(name, kwargs[name], named[name]) for name in kwargs]
        judgement.changed += [name for name, before, after in pairs if not _same(before, after)]
    return result


def call_in_place(answer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Like :func:`call`, but on the arguments themselves: for contracts that ask for a change in place."""
    return _run(answer, args, kwargs)


def expect(condition: bool | Tensor, message: str) -> None:
    """An invariant: a :class:`Mistake` with this message unless ``condition`` holds."""
    if not bool(condition):
        raise Mistake(message)


def expect_tensor(
    value: Any,
    shape: Sequence[int] | None = None,
    *,
    dtype: torch.dtype | None = None,
    kind: str | None = None,
    name: str = "the result",
    likely: Mapping[tuple[int, ...], str] | None = None,
) -> Tensor:
    """``value`` as a tensor of this shape and type; each way of missing it has its own sentence.

    Args:
        shape: the expected shape.
        dtype: the exact type, where the contract fixes one.
        kind: "float", "integer" or "bool", where any type of that kind will do.
        name: what to call the value in the message.
        likely: wrong shape → the mistake that gives it.

    >>> expect_tensor(torch.zeros(3, 2), (2, 3), name="it")
    Traceback (most recent call last):
    ...
    vtlearn.course.judge.Mistake: it has shape (3, 2), expected (2, 3): the right sizes in another order
    """
    if not isinstance(value, Tensor):
        _wrong_type(value, "a torch.Tensor", name)
    if shape is not None and tuple(value.shape) != tuple(shape):
        got, want = tuple(value.shape), tuple(shape)
        reason = (likely or {}).get(got, "")
        if not reason and sorted(got) == sorted(want):
            reason = "the right sizes in another order"
        elif not reason and len(got) != len(want):
            reason = f"{len(got)} axes instead of {len(want)}"
        raise Mistake(f"{name} has shape {got}, expected {want}" + (f": {reason}" if reason else ""))
    if dtype is not None and value.dtype != dtype:
        raise Mistake(f"{name} is of type {value.dtype}, expected {dtype}")
    if kind is not None and not _KIND_OF_RESULT[kind](value.dtype):
        article = "an" if kind == "integer" else "a"
        raise Mistake(f"{name} is of type {value.dtype}, expected {article} {kind} tensor")
    return value


def expect_finite(value: Tensor, *, name: str = "the result", reason: str = "") -> None:
    """No nan and no infinity in ``value``."""
    if bool(torch.isnan(value).any()):
        raise Mistake(f"{name} contains nan" + (f": {reason}" if reason else ""))
    if bool(torch.isinf(value).any()):
        raise Mistake(f"{name} contains an infinity" + (f": {reason}" if reason else ""))


def expect_close(
    got: Any,
    want: Any,
    *,
    name: str = "the result",
    likely: Mapping[str, Any] | None = None,
    otherwise: str = "",
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> None:
    """The values agree; if not, the first of ``likely`` whose wrong value was given names the mistake.

    Args:
        got: what the learner's function returned (a tensor or a number).
        want: the right value, of the same shape.
        likely: sentence → the value that this mistake gives. One that equals the right value never speaks.
        otherwise: what to look at when no known mistake fits.

    >>> expect_close(2.0, 3.0, likely={"the divisor is missing": 2.0})
    Traceback (most recent call last):
    ...
    vtlearn.course.judge.Mistake: the divisor is missing
    """
    found, right = _numbers(got), _numbers(want)
    if found.shape != right.shape:
        raise Mistake(f"{name} has shape {tuple(found.shape)}, expected {tuple(right.shape)}")
    if torch.allclose(found, right, rtol=rtol, atol=atol, equal_nan=True):
        return
    for sentence, value in (likely or {}).items():
        wrong = _numbers(value)
        if wrong.shape == found.shape and torch.allclose(found, wrong, rtol=rtol, atol=atol, equal_nan=True):
            raise Mistake(sentence)
    difference = torch.nan_to_num((found - right).abs(), nan=math.inf)
    where = [int(i) for i in np.unravel_index(int(difference.argmax()), tuple(difference.shape) or (1,))]
    place = f" at index {tuple(where)}" if found.ndim else ""
    detail = f"{name} is off by up to {float(difference.max()):.3g}{place}"
    raise Mistake(f"{detail}: {otherwise}" if otherwise else detail)


def expect_equal(
    got: Any,
    want: Any,
    *,
    name: str = "the result",
    likely: Mapping[str, Any] | None = None,
    otherwise: str = "",
) -> None:
    """``got == want`` for integers, strings, booleans and lists of them; ``likely`` as above."""
    if got == want:
        return
    for sentence, value in (likely or {}).items():
        if got == value:
            raise Mistake(sentence)
    raise Mistake(f"{name} is {_short(got)}, which is not right" + (f": {otherwise}" if otherwise else ""))


def expect_number(value: Any, *, name: str = "the result") -> float:
    """``value`` as one float; integers, fractions, NumPy numbers and tensors of one element are welcome."""
    if isinstance(value, (Tensor, np.ndarray)) and math.prod(value.shape) == 1:
        return float(value.item())
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, Decimal)):
        _wrong_type(value, "a number", name)
    return float(value)


def expect_integer(value: Any, *, name: str = "the result") -> int:
    """``value`` as one integer; a float with a whole value is refused, since it often hides a division."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and tuple(value.shape) in ((), (1,)):
        value = value.item()
    if isinstance(value, float):
        raise Mistake(f"{name} is the float {value!r}, expected an integer: use // instead of /")
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong_type(value, "an integer", name)
    return value


def expect_integers(value: Any, length: int | None = None, *, name: str = "the result") -> list[int]:
    """``value`` as a list of integers; lists, tuples, ranges, arrays and tensors of one axis are welcome."""
    if isinstance(value, (Tensor, np.ndarray)):
        if len(tuple(value.shape)) != 1:
            raise Mistake(f"{name} has shape {tuple(value.shape)}, expected one axis")
        value = value.tolist()
    if isinstance(value, (str, bytes, dict, set)) or not isinstance(value, Sequence):
        _wrong_type(value, "a list of integers", name)
    numbers = [expect_integer(item, name=f"item {i} of {name}") for i, item in enumerate(value)]
    if length is not None and len(numbers) != length:
        raise Mistake(f"{name} has {len(numbers)} items, expected {length}")
    return numbers


def expect_raises(
    answer: Callable[..., Any],
    errors: type[Exception] | tuple[type[Exception], ...],
    *args: Any,
    because: str,
    **kwargs: Any,
) -> None:
    """The answer refuses these arguments with one of ``errors``; ``because`` says why it should."""
    try:
        _watched(answer, _copied(args), _copied(kwargs))
    except NotImplementedError:
        raise NotAttempted from None
    except errors:
        return
    except Exception as error:
        wanted = " or ".join(e.__name__ for e in (errors if isinstance(errors, tuple) else (errors,)))
        raise Mistake(f"{because}: expected {wanted}, but it raised {type(error).__name__}") from None
    raise Mistake(f"{because}: expected an error, but it returned a value")


@contextlib.contextmanager
def expect_no_tensor_of(elements: int, message: str) -> Iterator[None]:
    """Inside the block no operation may store a tensor of ``elements`` or more; it keeps none of them alive.

    A view that repeats memory (``expand``, ``unfold``) counts by the memory it stands on.

    >>> with expect_no_tensor_of(50, "this stores the whole table"):
    ...     total = (torch.ones(10, 1) * torch.ones(1, 10)).sum()
    Traceback (most recent call last):
    ...
    vtlearn.course.judge.Mistake: this stores the whole table (a tensor of shape (10, 10) in mul)
    """
    watcher = _Watcher(elements)
    with watcher:
        yield
    if watcher.seen:
        raise Mistake(f"{message} ({watcher.seen})")


class _Watcher(TorchDispatchMode):
    """Notes the first operation whose result stores too much."""

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.elements = elements
        self.seen = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and not self.seen and _stored(leaf) >= self.elements:
                operation = str(func).removeprefix("aten.").split(".")[0]
                self.seen = f"a tensor of shape {tuple(leaf.shape)} in {operation}"
        return result


def _stored(tensor: Tensor) -> int:
    held = tensor.untyped_storage().nbytes() // max(tensor.element_size(), 1)
    return min(tensor.numel(), held)


def _require_answer(answer: Any, expects_function: bool) -> None:
    if answer is None:
        raise Mistake("the answer is None: hand over the function itself, as in check(id, my_function)")
    if expects_function and not callable(answer):
        raise Mistake(
            f"the answer is {_describe(answer)}, not a function: "
            "hand over the function itself, without calling it"
        )


def _require_no_side_effects(judgement: _Judgement, not_by: Sequence[str], may_use: Sequence[str]) -> None:
    if judgement.changed:
        name = judgement.changed[0]
        raise Mistake(
            f"the values are right, but your function changes its argument {name} in place: "
            "work on a copy (clone), or use operations without a trailing underscore"
        )
    for called in judgement.called:
        door = called.split(".")[0]
        allowed = any(called == module or called.startswith(module + ".") for module in may_use)
        if door in not_by and not allowed:
            raise Mistake(
                f"the values are right, but your answer forwards the work to {called}: "
                "writing that is the point of this exercise"
            )


def _run(answer: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return _watched(answer, args, kwargs)
    except NotImplementedError:
        raise NotAttempted from None
    except (Mistake, NotAttempted):
        raise
    except SystemExit:
        raise Mistake("your function called exit(): return a value instead") from None
    except Exception as error:
        raise Mistake(_what_was_raised(answer, error, args, kwargs)) from None


def _watched(answer: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call the answer while noting which doors of vtlearn and torch it goes through."""
    judgement = _CURRENT.get() or _Judgement()
    known: dict[CodeType, str] = {}

    def note(frame: FrameType, event: str, what: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code not in known:
                known[code] = _door(frame.f_globals.get("__name__", ""), code.co_qualname)
            if known[code]:
                judgement.called.append(known[code])
        elif event == "c_call":
            name = getattr(what, "__name__", "")
            if name in _TORCH_DOORS:
                judgement.called.append(_TORCH_DOORS[name])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        return answer(*args, **kwargs)
    finally:
        sys.setprofile(before)


def _door(module: str, qualified: str) -> str:
    if module.startswith("torch"):
        return _TORCH_DOORS.get(qualified, "")
    free = any(module == name or module.startswith(name + ".") for name in _FREE_TO_USE)
    if module.startswith("vtlearn.") and not free and "<" not in qualified:
        return f"{module}.{qualified}"
    return ""


def _what_was_raised(
    answer: Callable[..., Any], error: Exception, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    shown = [_describe(value) for value in args] + [f"{k} = {_describe(v)}" for k, v in kwargs.items()]
    if isinstance(error, TypeError) and error.__traceback__ is not None:
        frames = traceback.extract_tb(error.__traceback__)
        if frames and frames[-1].filename == __file__:  # the call itself was refused
            return f"your function cannot be called as the contract says: {_first_line(error)}"
    if isinstance(error, RecursionError):
        return "your function calls itself without end (RecursionError)"
    line = _learners_line(answer, error)
    return (
        f"your function raised {type(error).__name__}: {_first_line(error)}"
        + (f" (in the line `{line}`)" if line else "")
        + (f", when given {', '.join(shown)}" if shown else "")
    )


def _learners_line(answer: Callable[..., Any], error: Exception) -> str:
    """The innermost line that stands in the file (or cell) where the answer was written."""
    code = getattr(inspect.unwrap(answer), "__code__", None)
    if isinstance(answer, nn.Module):
        code = getattr(type(answer).forward, "__code__", None)
    elif inspect.isclass(answer):
        code = getattr(answer.__init__, "__code__", None)
    if code is None:
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == code.co_filename:
            return linecache.getline(frame.filename, frame.lineno or 0).strip()
    return ""


def _argument_names(answer: Callable[..., Any], count: int) -> list[str]:
    try:
        names = [name for name in inspect.signature(answer).parameters if name not in ("args", "kwargs")]
    except (TypeError, ValueError):
        names = []
    return [names[i] if i < len(names) else f"number {i + 1}" for i in range(count)]


def _copied(value: Any) -> Any:
    """A copy of the data that an answer could change; anything else (models, generators) as it is."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_copied(item) for item in value)
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is set:
        return copy.copy(value)
    return value


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, (Tensor, np.ndarray)):
        if before.shape != after.shape or before.dtype != after.dtype:
            return False
        both_nan = (before != before) & (after != after)
        return bool(((before == after) | both_nan).all())
    if type(before) in (list, tuple):
        return len(before) == len(after) and all(_same(b, a) for b, a in zip(before, after, strict=True))
    if type(before) is dict:
        return list(before) == list(after) and all(_same(before[key], after[key]) for key in before)
    if type(before) is set:
        return before == after
    return True


def _numbers(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64)
    return torch.as_tensor(np.asarray(value, dtype=np.float64))


def _wrong_type(value: Any, wanted: str, name: str) -> NoReturn:
    if value is None:
        raise Mistake(f"{name} is None: is a `return` missing at the end?")
    if value is NotImplemented:
        raise Mistake(f"{name} is NotImplemented: replace the stub's last line by your own code")
    raise Mistake(f"{name} is {_describe(value)}, expected {wanted}")


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, (bool, int, float, str)):
        return f"{_short(value)} ({type(value).__name__})"
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    return f"a {type(value).__name__}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


@contextlib.contextmanager
def _state_put_back() -> Iterator[None]:
    """Seeded inside; random states, default type and gradient mode as before outside."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    default, gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    with torch.random.fork_rng(devices=[]):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - an answer may read the global state
        torch.manual_seed(0)
        torch.set_grad_enabled(True)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
            torch.set_default_dtype(default)
            torch.set_grad_enabled(gradients)


# A crowded machine may give an answer little of its time. Then the time that counts is what it worked for, up
# to a multiple of the limit by the clock. An answer that hardly works at all is asleep, and stopped on time.
_PATIENCE = 6
_IDLE_SHARE = 0.05


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`_TimeIsUp` in this thread after ``seconds``, and again every second until it is heard."""
    on_main = threading.current_thread() is threading.main_thread()
    with _by_alarm(seconds) if on_main and hasattr(signal, "SIGALRM") else _by_timer(seconds):
        yield


@contextlib.contextmanager
def _by_alarm(seconds: float) -> Iterator[None]:
    armed = True

    def ring(signum: int, frame: FrameType | None) -> None:
        passed, worked = time.monotonic() - started, time.process_time() - worked_before
        is_kept_waiting = _IDLE_SHARE * passed < worked < 0.9 * seconds and passed < _PATIENCE * seconds
        if armed and not is_kept_waiting:
            raise _TimeIsUp

    started, worked_before = time.monotonic(), time.process_time()
    handler_before = signal.signal(signal.SIGALRM, ring)
    left_before, interval_before = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler_before)
        if left_before:  # someone else's alarm goes on
            left = max(left_before - (time.monotonic() - started), 0.01)
            signal.setitimer(signal.ITIMER_REAL, left, interval_before)


@contextlib.contextmanager
def _by_timer(seconds: float) -> Iterator[None]:
    """Where no alarm can ring: another thread raises the exception in this one, between two bytecodes."""
    this_thread = ctypes.c_ulong(threading.get_ident())
    done = threading.Event()

    def wait() -> None:
        pause = seconds
        while not done.wait(pause):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(this_thread, ctypes.py_object(_TimeIsUp))
            pause = 1.0

    watch = threading.Thread(target=wait, daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()
        for _ in range(2):  # one that is still on its way arrives here, where judge() hears it
            pass
