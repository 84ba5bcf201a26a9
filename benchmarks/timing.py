"""How the benchmarks measure: interleaved rounds of CPU time, and peak memory in a fresh process."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path

import torch

SHORTEST = 0.02
"""Seconds: a call shorter than this is repeated until so much time is spent, and the mean is taken."""

LONGEST_WARM = 4.0
"""Seconds: a call that is expected to take longer runs once, without a warm-up of the same size."""

Call = Callable[[], object]


def seconds(call: Call, device: str, repeats: int = 1) -> float:
    """CPU time of this process for one call; on a GPU the time between two of its events."""
    if device == "cuda":
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(repeats):
            call()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) / 1e3 / repeats
    before = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - before) / repeats


def interleave(
    calls: Mapping[str, Call], rounds: int, device: str, *, budget: float = 8.0
) -> dict[str, list[float]]:
    """Seconds of every call in every round: one after the other, every second round backwards.

    Whatever else the machine does then disturbs all of them alike. A call whose rounds have used up
    ``budget`` seconds sits out the later ones, so lists may be shorter than ``rounds``, never empty.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    for number in range(rounds):
        order = list(calls) if number % 2 == 0 else list(calls)[::-1]
        for name in order:
            own = taken[name]
            if sum(own) > budget:
                continue
            repeats = 1 if not own or own[0] >= SHORTEST else min(50, int(SHORTEST / max(own[0], 1e-6)) + 1)
            own.append(seconds(calls[name], device, repeats))
    return taken


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The median over the rounds that both took part in of their time by ours.

    >>> ratio([4.0, 9.0, 8.0], [2.0, 3.0, 4.0])
    2.0
    """
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=False))


def growth_of_resident_set(call: Call) -> int:
    """Bytes by which the peak of this process's resident set rises during ``call``.

    Freed memory is given back before. Use it in a fresh process, with code and inputs in place.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        call()
        return unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    before = _kilobytes("VmRSS")
    call()
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def growth_on_gpu(call: Call) -> int:
    """Bytes by which torch's peak on the GPU rises during ``call``."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def peak_growth(call: Call, device: str) -> int:
    """Bytes that one call needs above what is held before it."""
    return growth_on_gpu(call) if device == "cuda" else growth_of_resident_set(call)


class FreshProcesses:
    """Runs a function in a process of its own each time, forked from one that has only imported modules.

    Args:
        modules: what the functions import; loaded once.
        threads: torch's threads in every process.
    """

    def __init__(self, modules: Sequence[str], threads: int = 1) -> None:
        kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.context = multiprocessing.get_context(kind)
        if kind == "forkserver":
            self.context.set_forkserver_preload(list(modules))
        self.threads = threads

    def run(self, function: Callable[..., int], *arguments: object, limit: float = 300.0) -> int | None:
        """What ``function`` gives, or None where its process failed or took longer than ``limit`` seconds."""
        pool = ProcessPoolExecutor(
            1, mp_context=self.context, initializer=torch.set_num_threads, initargs=(self.threads,)
        )
        try:
            return pool.submit(function, *arguments).result(timeout=limit)
        except (BrokenExecutor, TimeoutError, RuntimeError, MemoryError):
            for process in list((pool._processes or {}).values()):
                process.terminate()
            return None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
