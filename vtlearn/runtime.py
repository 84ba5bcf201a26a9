"""Device and precision choice, seeding, and the measurement of time and memory."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch

from vtlearn.errors import ArgumentError, require_one_of, require_positive
from vtlearn.settings import PRECISIONS


def choose_device(name: str | None = None) -> torch.device:
    """``name`` as a device that exists here; ``None`` takes CUDA where there is one, else the CPU.

    Raises:
        ArgumentError: the device does not exist on this machine.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ArgumentError("device", name, "a torch device such as 'cpu' or 'cuda:0'") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ArgumentError("device", name, f"present on this machine ({count} CUDA devices seen)")
    elif device.type not in ("cpu", "mps", "meta"):
        raise ArgumentError("device", name, "'cpu', 'cuda' or 'mps'")
    return device


def autocast(device: torch.device, precision: str = "float32") -> AbstractContextManager[object]:
    """Autocast of ``device`` to ``precision`` ("float32" does nothing).

    >>> with autocast(torch.device("cpu"), "bfloat16"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    require_one_of("precision", precision, PRECISIONS)
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def seed_everything(seed: int = 0) -> torch.Generator:
    """Seed Python, NumPy and torch, and return a generator of the same seed for local use."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that read the global state are meant
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def set_threads(threads: int) -> None:
    """Use ``threads`` CPU threads inside torch's operations."""
    require_positive(threads=threads)
    torch.set_num_threads(threads)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Wall-clock seconds between start and now, with the device's queue drained at both ends."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        synchronise(self.device)
        self.started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds since the start."""
        synchronise(self.device)
        return time.perf_counter() - self.started


def peak_memory_bytes(device: torch.device | None = None) -> int:
    """The most memory held so far: by torch on CUDA, by the whole process (resident set) on a CPU.

    The resident set of a process never shrinks in this count, so measure in a fresh process.
    """
    if device is not None and device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def cpu_name() -> str:
    """The processor's own name, or what kind of machine it is."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor() or platform.machine()


@contextlib.contextmanager
def deterministic(seed: int = 0, threads: int = 1) -> Iterator[torch.Generator]:
    """One seed, one thread and deterministic algorithms inside the block; the settings are put back after it.

    >>> with deterministic(3):
    ...     first = torch.rand(2)
    >>> with deterministic(3):
    ...     bool((torch.rand(2) == first).all())
    True
    """
    before_threads = torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield seed_everything(seed)
    finally:
        torch.set_num_threads(before_threads)
        torch.use_deterministic_algorithms(before)


def on_ci() -> bool:
    """True where a continuous-integration run has said so (``CI`` set and not false)."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")
