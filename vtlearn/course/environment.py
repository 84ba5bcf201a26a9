"""Is this kernel ready for the course? Each need with yes or no, and what to do where it is no."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from vtlearn.data.synthetic import bundled_samples
from vtlearn.errors import DataError


class Need(NamedTuple):
    """One thing the course needs: whether it is there, and how to get it."""

    what: str
    met: bool
    remedy: str


def environment_needs() -> list[Need]:
    """Everything the lessons lean on, looked up in the running kernel."""
    again = "run `make lab` in the repository"
    return [
        Need("Python 3.11 or newer", sys.version_info >= (3, 11), f"install it, then {again}"),
        Need("PyTorch 2.10 or newer", _torch_version() >= (2, 10), again),
        Need("einops, for folding axes by name", _is_there("einops"), again),
        Need("a video decoder", _is_there("av"), again),
        Need("widgets, for the panels", _is_there("ipywidgets"), again),
        Need(
            "a kernel that uses the course of this folder",
            _course_is_of_this_folder(),
            "choose Kernel → Change Kernel → Python 3 (ipykernel) in a JupyterLab started by `make lab`",
        ),
        Need("the sample clips", _samples_there(), "work from a clone of the repository"),
    ]


def check_environment() -> None:
    """Print one line a need; a graphics card is never one of them."""
    needs = environment_needs()
    for need in needs:
        print(f"✔ {need.what}" if need.met else f"✘ {need.what}: {need.remedy}")
    missing = sum(not need.met for need in needs)
    print("All set: every lesson runs on this machine's processor." if not missing else f"{missing} missing.")


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _course_is_of_this_folder() -> bool:
    """False where the notebook lies in one clone of the course and the kernel imports another."""
    imported = Path(__file__).resolve().parents[2]
    here = Path.cwd().resolve()
    clones = [folder for folder in (here, *here.parents) if (folder / "vtlearn" / "course").is_dir()]
    return not clones or imported == clones[0]


def _torch_version() -> tuple[int, int]:
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def _samples_there() -> bool:
    try:
        bundled_samples()
    except DataError:
        return False
    return True
