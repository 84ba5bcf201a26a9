"""What this machine has: Python, torch, decoders, notebooks, a browser and the samples, each as one
finding."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from vtlearn.data.synthetic import SampleSet, bundled_samples
from vtlearn.errors import DataError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        state: "ok", "missing" (a part of the course or library needs it) or "absent" (an extra).
        detail: what was found, or what to do.
    """

    name: str
    state: str
    detail: str

    @property
    def is_fatal(self) -> bool:
        """True when lessons would not run."""
        return self.state == "missing"

    def line(self) -> str:
        """One line for a person.

        >>> Finding("python", "ok", "3.11.7").line()
        'ok       python         3.11.7'
        """
        return f"{self.state:<8} {self.name:<14} {self.detail}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything the lessons and the comparison need.

    >>> {finding.name for finding in examine()} >= {"python", "torch", "samples"}
    True
    """
    return [*_interpreter(), *_packages(), *_devices(), _samples(), _browser(), _torchvision()]


def _interpreter() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    state = "ok" if sys.version_info >= (3, 11) else "missing"
    yield Finding("python", state, version)


def _packages() -> Iterator[Finding]:
    needed = ("torch", "einops", "safetensors", "matplotlib", "av", "jupyterlab", "ipywidgets", "nbval")
    extra = ("decord", "tensorboard", "transformers", "huggingface_hub")
    for name in (*needed, *extra):
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name in needed:
                yield Finding(name, "missing", "run `make setup`")
            else:
                yield Finding(name, "absent", "an extra; `make setup` installs it where it has wheels")


def _devices() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    yield Finding("cpu", "ok", f"{cores} cores, torch uses {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            yield Finding(f"cuda:{index}", "ok", f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB")
    else:
        yield Finding("cuda", "absent", "no CUDA device; every lesson runs on the CPU")


def _samples() -> Finding:
    try:
        samples = SampleSet.load(bundled_samples())
    except DataError as error:
        return Finding("samples", "missing", str(error))
    gone = [row for row in samples.clips if not (samples.root / str(row["path"])).is_file()]
    if gone:
        return Finding("samples", "missing", f"{len(gone)} of {len(samples.clips)} clips are gone")
    return Finding("samples", "ok", f"{len(samples.clips)} clips; `vtlearn samples check` compares each")


def _browser() -> Finding:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return Finding("browser", "ok", found)
    return Finding("browser", "absent", "no Chromium; the browser tests skip")


def _torchvision() -> Finding:
    if importlib.util.find_spec("torchvision") is None:
        return Finding("torchvision", "ok", "not installed, as it must be")
    return Finding("torchvision", "absent", "installed: beside a CPU-only torch it breaks transformers")
