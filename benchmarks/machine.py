"""What the benchmarks ran on: a name that says nothing of whose machine it is, and what it can do at best."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import seconds
from vtlearn.files import write_text
from vtlearn.runtime import cpu_name

RESULTS = Path(__file__).parent / "results"


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_name(model: str, count: int) -> str:
    """The name of the result files: model and number of cores, nothing else.

    >>> machine_name("Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz", 8)
    'intel-xeon-platinum-8488c-8-cores'
    """
    plain = re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*$|\b\d+-Core\b", " ", model, flags=re.IGNORECASE)
    words = re.findall(r"[a-z0-9]+", plain.lower())
    return "-".join([*words, str(count), "core" if count == 1 else "cores"])


def machine(device: str = "cpu") -> dict[str, Any]:
    """Facts beside the numbers: no host, no user, no folder."""
    facts: dict[str, Any] = {
        "name": machine_name(cpu_name(), cores()),
        "cpu": cpu_name(),
        "cores": cores(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
        facts["name"] = "-".join(re.findall(r"[a-z0-9]+", facts["gpu"].lower()))
    return facts


def commit() -> str:
    """The commit of this checkout, with a plus where the library was changed since; empty without git."""
    told = []
    for arguments in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "vtlearn"]):
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
        )
        told.append(done.stdout.strip())
    return told[0] + ("+" if told[0] and told[1] else "")


def ceilings(device: str, dtype: torch.dtype) -> dict[str, float]:
    """The best seen now of what no kernel passes: matrix products, exponentials, and moving bytes.

    Matrix products are plain ``torch.mm`` of two squares, the path that everything measured here takes by
    default. Exponentials are of float32 in cache, whatever ``dtype`` is, since softmax runs in float32.
    """
    on_gpu = device == "cuda"
    size = 8192 if on_gpu else 1536
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    product = torch.empty(size, size, device=device, dtype=dtype)
    logits = torch.randn(2**26 if on_gpu else 2**17, device=device)
    weights = torch.empty_like(logits)
    source = torch.zeros(2**30 if on_gpu else 2**27, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    measured = {
        "matrix_flops_per_second": (2 * size**3, lambda: torch.mm(a, b, out=product), 1),
        "exponentials_per_second": (logits.numel(), lambda: torch.exp(logits, out=weights), 20),
        "bytes_per_second": (2 * source.numel(), lambda: target.copy_(source), 1),
    }
    best = {}
    for name, (amount, call, repeats) in measured.items():
        call()
        best[name] = amount / min(seconds(call, device, repeats) for _ in range(5))
    return best


def floor_seconds(roof: dict[str, float], *, flops: float, exponentials: float, bytes_moved: float) -> float:
    """Time that the work would take at every ceiling, one after the other.

    >>> roof = {"matrix_flops_per_second": 100.0, "exponentials_per_second": 10.0, "bytes_per_second": 1.0}
    >>> floor_seconds(roof, flops=200.0, exponentials=10.0, bytes_moved=3.0)
    6.0
    """
    return math.fsum(
        (
            flops / roof["matrix_flops_per_second"],
            exponentials / roof["exponentials_per_second"],
            bytes_moved / roof["bytes_per_second"],
        )
    )


def recorded(part: str, name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """What a machine's file holds of one benchmark; nothing where there is none."""
    path = folder / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()).get(part, {}) if path.exists() else {}
    return found


def record(part: str, facts: dict[str, Any], result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Put one benchmark's result into the machine's file, beside the other's; gives the file."""
    path = folder / f"{facts['name']}.json"
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole["machine"] = facts
    whole[part] = result
    return write_text(path, as_text(whole) + "\n")


def as_text(value: Any, indent: str = "") -> str:
    """JSON with a line for each field, and for each row of a list, so that a difference can be read.

    >>> print(as_text({"rows": [{"n": 4, "ms": 0.5}]}))
    {
     "rows": [
      {"n": 4, "ms": 0.5}
     ]
    }
    """
    if isinstance(value, dict) and value:
        lines = [f"{indent} {json.dumps(key)}: {as_text(own, indent + ' ')}" for key, own in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(own, (dict, list)) for own in value):
        lines = [f"{indent} {json.dumps(own, ensure_ascii=False)}" for own in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
