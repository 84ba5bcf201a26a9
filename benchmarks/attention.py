"""Sliding-window attention against its peers: time as ratios inside one run, peak memory in a process each.

    python -m benchmarks.attention                      the whole table, one thread
    python -m benchmarks.attention --lengths 4096 --reaches 64 --rounds 3
    python -m benchmarks.attention --device cuda --dtype bfloat16

Every peer that can be imported is measured, the others are reported absent. Implementations are interleaved
round by round, and a ratio is the median over rounds of peer time by our time, so that a busy machine
disturbs all of them alike. On a CPU the time is CPU time. What is compared is attention itself: q, k, v come
projected, one token is global.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vtlearn.attention import (
    GlobalTokens,
    SlidingWindow,
    attention_cost,
    sliding_window_attention,
    window_pairs,
)

LENGTHS = (256, 1024, 4096, 16384)
REACHES = (16, 64, 256)
HEADS, HEAD_DIM = 12, 64
MODES = ("forward", "training")
OURS = "vtlearn"

TARGETS: dict[tuple[int, int], dict[str, tuple[float | None, float | None]]] = {
    (4096, 256): {
        "transformers Longformer": (4.3, 6.8),
        "local-attention": (3.6, 2.5),
        "flex attention, compiled": (1.5, None),
        "fused, full": (5.7, 5.9),
    },
    (4096, 64): {
        "transformers Longformer": (4.7, 3.9),
        "local-attention": (3.0, 2.1),
        "flex attention, compiled": (3.2, None),
        "fused, full": (16.0, 16.0),
    },
    (4096, 16): {
        "transformers Longformer": (4.0, 4.0),
        "local-attention": (3.2, 1.5),
        "flex attention, compiled": (6.0, None),
        "fused, full": (29.0, 28.0),
    },
}
"""Peer time by ours, (forward, training): one global token, 12 heads of 64, batch 1, float32, CPU."""

NEVER_SLOWER = 0.95
"""Against full fused attention, at any length: at most 5 % slower."""

MEMORY_TARGETS = {("forward", 4096, 256): 13e6, ("training", 4096, 256): 72e6}
"""Bytes above the inputs."""


class Absent(Exception):
    """A peer that cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Problem:
    """One cell of the table: sizes, dtype and device, and the inputs they stand for."""

    length: int
    reach: int
    dtype: torch.dtype
    device: str
    batch: int = 1

    def inputs(self, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, HEADS, self.length, HEAD_DIM)
        made = [torch.randn(*shape, generator=generator).to(self.device, self.dtype) for _ in range(3)]
        return (
            made[0].requires_grad_(training),
            made[1].requires_grad_(training),
            made[2].requires_grad_(training),
        )

    def global_mask(self) -> Tensor:
        mask = torch.zeros(self.batch, self.length, dtype=torch.bool, device=self.device)
        mask[:, 0] = True
        return mask


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def ours(problem: Problem) -> Attend:
    """This library's door."""
    is_global = problem.global_mask()
    window = 2 * problem.reach + 1
    return lambda q, k, v: sliding_window_attention(q, k, v, window_size=window, global_mask=is_global)


def longformer(problem: Problem) -> Attend:
    """The attention of transformers' LongformerSelfAttention, its projections replaced by nothing."""
    try:
        from transformers import LongformerConfig
        from transformers.models.longformer.modeling_longformer import LongformerSelfAttention
    except ImportError as error:
        raise Absent(f"not installed ({error})") from None
    if problem.length % (2 * problem.reach):
        raise Absent("takes multiples of its window only")
    config = LongformerConfig(
        hidden_size=HEADS * HEAD_DIM,
        num_attention_heads=HEADS,
        attention_window=[2 * problem.reach],
        attention_probs_dropout_prob=0.0,
    )
    module = LongformerSelfAttention(config, layer_id=0).eval().to(problem.device, problem.dtype)
    stand_in = _Handed()
    for name in ("query", "key", "value", "query_global", "key_global", "value_global"):
        setattr(module, name, _Part(stand_in, name))
    codes = torch.zeros(problem.batch, problem.length, device=problem.device)
    codes[:, 0] = 10000.0
    is_global, is_masked = codes > 0, codes < 0

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        stand_in.q, stand_in.k, stand_in.v = (x.transpose(1, 2).flatten(2) for x in (q, k, v))
        return module(
            stand_in.q,
            attention_mask=codes,
            is_index_masked=is_masked,
            is_index_global_attn=is_global,
            is_global_attn=True,
        )[0]

    return attend


class _Handed:
    """The queries, keys and values of the current call."""

    q: Tensor
    k: Tensor
    v: Tensor


class _Part(torch.nn.Module):
    """Takes the place of a projection and hands out what is projected already, in the layout asked for."""

    def __init__(self, handed: _Handed, name: str) -> None:
        super().__init__()
        self.handed, self.name = handed, name

    def forward(self, x: Tensor) -> Tensor:
        chosen = {"q": self.handed.q, "k": self.handed.k, "v": self.handed.v}[self.name[0]]
        if self.name == "query_global":  # of the one global token, tokens first
            return chosen[:, :1].transpose(0, 1).clone()
        chosen = chosen.transpose(0, 1)
        return chosen.clone() if self.name == "query" else chosen  # queries are divided in place


def local_attention(problem: Problem) -> Attend:
    """lucidrains' local-attention: blocks that look one block to each side; it has no global token."""
    try:
        from local_attention import LocalAttention
    except ImportError as error:
        raise Absent(f"not installed ({error})") from None
    module = LocalAttention(
        window_size=problem.reach,
        causal=False,
        look_backward=1,
        look_forward=1,
        exact_windowsize=True,
        use_rotary_pos_emb=False,
        autopad=True,
    ).to(problem.device)
    return lambda q, k, v: module(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)).view_as(q)


def flex(problem: Problem) -> Attend:
    """torch's flex attention, compiled, with a block mask made once outside the measured time."""
    import shutil

    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    if problem.device == "cpu" and shutil.which("g++") is None and shutil.which("clang++") is None:
        raise Absent("no C++ compiler")
    rule = (SlidingWindow(2 * problem.reach + 1) | GlobalTokens(0)).mask_mod()
    block_mask = create_block_mask(rule, None, None, problem.length, problem.length, device=problem.device)
    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=block_mask)


def fused_full(problem: Problem) -> Attend:
    """torch's fused attention, everyone to everyone."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v)


def fused_masked(problem: Problem) -> Attend:
    """torch's fused attention with the dense mask of the window."""
    pattern = SlidingWindow(2 * problem.reach + 1) | GlobalTokens(0)
    mask = pattern.mask(problem.length, device=problem.device)
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


IMPLEMENTATIONS: dict[str, Callable[[Problem], Attend]] = {
    OURS: ours,
    "transformers Longformer": longformer,
    "local-attention": local_attention,
    "flex attention, compiled": flex,
    "fused, full": fused_full,
    "fused, dense mask": fused_masked,
}


def runner(name: str, problem: Problem, training: bool) -> Callable[[], None]:
    """One call to measure: forward without gradients, or forward and backward.

    Raises:
        Absent: the implementation is not there, or has no such mode.
    """
    if training and name.startswith("flex") and problem.device == "cpu":
        raise Absent("has no backward on a CPU")
    attend = IMPLEMENTATIONS[name](problem)
    q, k, v = problem.inputs(training)
    if not training:

        def forward() -> None:
            with torch.no_grad():
                attend(q, k, v)

        return forward
    upstream: list[Tensor] = []

    def train() -> None:
        out = attend(q, k, v)
        if not upstream:
            upstream.append(torch.randn_like(out))
        out.backward(upstream[0])
        q.grad = k.grad = v.grad = None

    return train


def seconds(call: Callable[[], None], device: str) -> float:
    """CPU time of one call; on a GPU the time between two events."""
    if device == "cuda":
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) / 1e3
    before = time.process_time()
    call()
    return time.process_time() - before


def compare(problem: Problem, training: bool, names: list[str], rounds: int) -> dict[str, Any]:
    """Interleaved rounds of ``names``: median time and ratio of each, or why it is absent."""
    calls, absent = {}, {}
    for name in names:
        try:
            calls[name] = runner(name, problem, training)
            calls[name]()
        except Absent as reason:
            absent[name] = str(reason)
            calls.pop(name, None)
        except (RuntimeError, ImportError) as error:
            absent[name] = f"failed: {str(error).splitlines()[0][:120]}"
            calls.pop(name, None)
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    for _ in range(rounds):
        for name, call in calls.items():
            repeats = max(1, min(20, int(0.02 / (times[name][0] + 1e-9)))) if times[name] else 1
            times[name].append(sum(seconds(call, problem.device) for _ in range(repeats)) / repeats)
    cells: dict[str, Any] = {name: {"absent": reason} for name, reason in absent.items()}
    for name, taken in times.items():
        ratios = [theirs / mine for theirs, mine in zip(taken, times[OURS], strict=True)]
        cells[name] = {"milliseconds": 1e3 * statistics.median(taken), "ratio": statistics.median(ratios)}
    return cells


def memory_above_inputs(name: str, problem: Problem, training: bool) -> int:
    """Peak bytes of one call above its inputs; on a CPU the growth of the resident set (fresh process!)."""
    call = runner(name, problem, training)
    small = Problem(512, 16, problem.dtype, problem.device)
    runner(name, small, training)()  # code and thread pools are loaded before the count begins
    if problem.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    except OSError:
        import resource

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        call()
        return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def memory_in_a_process(name: str, problem: Problem, training: bool, threads: int) -> int | None:
    """:func:`memory_above_inputs` in a process of its own; None where it fails."""
    command = [sys.executable, "-m", "benchmarks.attention", "--memory-of", name]
    command += ["--lengths", str(problem.length), "--reaches", str(problem.reach)]
    command += ["--modes", MODES[training], "--device", problem.device, "--threads", str(threads)]
    command += ["--dtype", str(problem.dtype).removeprefix("torch."), "--batch", str(problem.batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None


def ceilings(device: str, dtype: torch.dtype) -> dict[str, float]:
    """Best matrix rate (FLOP/s) and copy bandwidth (bytes/s) seen now, the roof that no kernel passes."""
    size = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.empty(2**26 if device == "cpu" else 2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    def product() -> None:
        torch.mm(a, b)

    best = {}
    for name, call in (("matrix", product), ("copy", copy)):
        call()
        best[name] = min(seconds(call, device) for _ in range(5))
    return {
        "matrix_flops_per_second": 2 * size**3 / best["matrix"],
        "copy_bytes_per_second": 2 * source.numel() / best["copy"],
    }


def shortfalls(rows: list[dict[str, Any]]) -> list[str]:
    """Every target missed, in words."""
    missed = []
    for row in rows:
        if row["device"] != "cpu" or row["dtype"] != "float32":
            continue
        where = f"n {row['length']}, reach {row['reach']}, {row['mode']}"
        goals = TARGETS.get((row["length"], row["reach"]), {})
        for name, pair in goals.items():
            goal, got = pair[row["mode"] == "training"], row["cells"].get(name, {}).get("ratio")
            if goal is not None and got is not None and got < goal:
                missed.append(f"{where}: {got:.2f} × {name}, goal {goal}")
        full = row["cells"].get("fused, full", {}).get("ratio")
        if full is not None and full < NEVER_SLOWER:
            missed.append(f"{where}: {full:.2f} × fused, full; at least {NEVER_SLOWER} asked for")
        most = MEMORY_TARGETS.get((row["mode"], row["length"], row["reach"]))
        used = row["memory"].get(OURS)
        if most is not None and used is not None and used > most:
            missed.append(
                f"{where}: {used / 1e6:.0f} MB above the inputs, at most {most / 1e6:.0f} asked for"
            )
    return missed


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text: our milliseconds, and every peer's time by ours."""
    names = [name for name in IMPLEMENTATIONS if name != OURS]
    lines = [
        f"{'n':>6} {'reach':>5} {'mode':>8} {'ours ms':>9}  " + "  ".join(f"{name:>24}" for name in names)
    ]
    for row in rows:
        cells = []
        for name in names:
            cell = row["cells"].get(name, {"absent": "not asked for"})
            cells.append(f"{cell['ratio']:.2f} ×" if "ratio" in cell else cell["absent"][:24])
        mine = row["cells"][OURS]["milliseconds"]
        head = f"{row['length']:>6} {row['reach']:>5} {row['mode']:>8} {mine:>9.2f}  "
        lines.append(head + "  ".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Peer time by our time over length, one panel for each reach and mode, written to ``path``."""
    from matplotlib.figure import Figure

    reaches = sorted({row["reach"] for row in rows})
    modes = [mode for mode in MODES if any(row["mode"] == mode for row in rows)]
    figure = Figure(figsize=(4 * len(reaches), 3 * len(modes)), layout="constrained")
    axes = figure.subplots(len(modes), len(reaches), squeeze=False, sharex=True)
    colours = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7")
    for line, mode in enumerate(modes):
        for column, reach in enumerate(reaches):
            panel = axes[line][column]
            here = [row for row in rows if row["mode"] == mode and row["reach"] == reach]
            for number, name in enumerate(name for name in IMPLEMENTATIONS if name != OURS):
                points = [(row["length"], row["cells"].get(name, {}).get("ratio")) for row in here]
                points = [point for point in points if point[1] is not None]
                if points:
                    panel.plot(
                        *zip(*points, strict=True), marker="osD^v"[number], color=colours[number], label=name
                    )
            panel.axhline(1.0, color="0.5", linewidth=0.8)
            panel.set(xscale="log", yscale="log", title=f"{mode}, reach {reach}")
            panel.set(xlabel="tokens", ylabel="peer time ÷ ours")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def useful(problem: Problem, row_seconds: float, training: bool) -> dict[str, float]:
    """Useful work a second: FLOPs of the allowed pairs (training 3.5 ×) and bytes of the tokens (2.5 ×)."""
    pairs = window_pairs(problem.length, 2 * problem.reach + 1, global_tokens=1)
    flops = 4 * pairs * HEAD_DIM * HEADS * problem.batch * (3.5 if training else 1.0)
    tokens = attention_cost(
        SlidingWindow(1),
        problem.length,
        num_heads=HEADS,
        head_dim=HEAD_DIM,
        batch=problem.batch,
        bytes_per_number=problem.dtype.itemsize,
    ).token_bytes
    return {
        "useful_flops_per_second": flops / row_seconds,
        "useful_bytes_per_second": tokens * (2.5 if training else 1.0) / row_seconds,
    }


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = named[0] if named else model
    facts = {"cpu": model, "python": platform.python_version(), "torch": torch.__version__}
    facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--reaches", type=int, nargs="+", default=REACHES, help="one-sided")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--peers", nargs="+", choices=[n for n in IMPLEMENTATIONS if n != OURS], default=None)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-memory", action="store_true", help="skip the processes that measure memory")
    parser.add_argument("--name", default=None, help="of the result files; the machine's by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--memory-of", default=None, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    asked = arguments(given)
    torch.set_num_threads(asked.threads)
    dtype = getattr(torch, asked.dtype)
    if asked.memory_of is not None:
        problem = Problem(asked.lengths[0], asked.reaches[0], dtype, asked.device, asked.batch)
        print(memory_above_inputs(asked.memory_of, problem, asked.modes[0] == "training"))
        return
    names = [OURS, *(asked.peers or [name for name in IMPLEMENTATIONS if name != OURS])]
    roof = ceilings(asked.device, dtype)
    rows = []
    for length in asked.lengths:
        for reach in asked.reaches:
            for mode in asked.modes:
                problem = Problem(length, reach, dtype, asked.device, asked.batch)
                cells = compare(problem, mode == "training", names, asked.rounds)
                memory = {}
                if not asked.no_memory:
                    for name, cell in cells.items():
                        if "ratio" in cell:
                            memory[name] = memory_in_a_process(
                                name, problem, mode == "training", asked.threads
                            )
                row = {
                    "length": length,
                    "reach": reach,
                    "mode": mode,
                    "dtype": asked.dtype,
                    "device": asked.device,
                }
                row |= {"batch": asked.batch, "cells": cells, "memory": memory}
                row |= useful(problem, cells[OURS]["milliseconds"] / 1e3, mode == "training")
                rows.append(row)
                print(table([row]).splitlines()[-1] if len(rows) > 1 else table([row]), flush=True)
    missed = shortfalls(rows)
    print("\nfalls short of:" if missed else "\nno target missed among those measured", *missed, sep="\n  ")
    asked.out.mkdir(parents=True, exist_ok=True)
    facts = machine()
    name = (
        asked.name or "-".join((facts.get("gpu") if asked.device == "cuda" else facts["cpu"]).split()).lower()
    )
    name = "".join(
        letter for letter in f"attention-{name}-{asked.dtype}" if letter.isalnum() or letter in "-_"
    )
    report = {"machine": facts, "threads": asked.threads, "rounds": asked.rounds, "ceilings": roof}
    report |= {"convention": "ratio = peer time / ours, median over interleaved rounds; bytes above inputs"}
    report |= {"rows": rows, "missed": missed}
    (asked.out / f"{name}.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    draw(rows, asked.out / f"{name}.png")
    print(f"written: {asked.out / name}.json and .png")


if __name__ == "__main__":
    main()
