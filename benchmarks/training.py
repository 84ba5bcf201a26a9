"""A whole training step of TimeSformer-B, 8 × 224², on a GPU: ours beside Hugging Face's in one run.

    python -m benchmarks.training                       bf16 autocast, batch 8, recorded under the card's name
    python -m benchmarks.training --batch 4 --no-compile
    python -m benchmarks.training --device cpu --quick  tiny, a check that it runs; nothing is written

A step is forward, cross-entropy, backward, clipping and AdamW, with the weights in float32. Both sides have
the same weights and take the same clips, round by round in turn; a ratio is the median over rounds. The share
of the matrix rate is the multiply-adds of forward and backward pass (three times the forward's) by the best
rate of plain matrix products seen on the same card in the same minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from typing import Any

import torch
from torch import nn

from benchmarks import targets
from benchmarks.machine import ceilings, commit, machine, record
from benchmarks.models import timesformer_sides
from benchmarks.peers import OURS, LeftOut
from benchmarks.timing import Call, interleave, ratio
from vtlearn.models.cost import model_cost
from vtlearn.runs.memory import training_memory
from vtlearn.runtime import autocast
from vtlearn.train.optim import adamw

COMPILED = OURS + ", compiled"
TARGETS = {"ratio": 1.3, "matrix_share": 0.40}
"""Hugging Face's time by ours, and our share of the matrix rate, at least."""


def step_of(module: nn.Module, forward: Any, clips: torch.Tensor, precision: str) -> Call:
    """One optimiser step as the loop takes it."""
    module.train()
    optimizer = adamw(module, 1e-4)
    labels = torch.zeros(len(clips), dtype=torch.long, device=clips.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(clips.device, precision):
            loss = nn.functional.cross_entropy(forward(clips).float(), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    return step


def peak_of(call: Call, device: str) -> int | None:
    """Bytes that torch held at most during a call; None on a CPU."""
    if device != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    call()
    return int(torch.cuda.max_memory_allocated())


def measure(
    device: str, batch: int, precision: str, rounds: int, compiled: bool, quick: bool
) -> dict[str, Any]:
    """Every side's step in interleaved rounds, with peaks, ratios and the share of the matrix rate."""
    torch.manual_seed(0)
    width, heads, depth, size = (24, 2, 2, 32) if quick else (768, 12, 12, 224)
    sides = timesformer_sides(width, heads, depth, size)
    clips = torch.randn(batch, 8, 3, size, size, device=device)
    mine = sides[OURS].module
    calls: dict[str, Call] = {}
    for name, side in sides.items():
        side.module.to(device)
        calls[name] = step_of(side.module, side.forward, clips, precision)
    if compiled:
        calls[COMPILED] = step_of(mine, torch.compile(mine), clips, precision)
    for call in calls.values():
        call()
        call()
    times = interleave(calls, rounds, device, budget=60.0)
    config: Any = mine.config
    flops = 6 * batch * model_cost(config).multiply_adds
    rate = ceilings(device, getattr(torch, precision))["matrix_flops_per_second"]
    counted = training_memory(config, batch, precision=precision, device=device)
    best = COMPILED if compiled else OURS
    return {
        "model": f"TimeSformer, width {width}, 8 × {size}²",
        "batch": batch,
        "precision": precision,
        "seconds": {name: statistics.median(own) for name, own in times.items()},
        "clips_per_second": {name: batch / statistics.median(own) for name, own in times.items()},
        "peak_bytes": {name: peak_of(call, device) for name, call in calls.items()},
        "predicted_bytes": counted.peak,
        "ratio": {
            name: ratio(times[targets.HF_TIMESFORMER], own)
            for name, own in times.items()
            if name != targets.HF_TIMESFORMER
        },
        "matrix_share": flops / statistics.median(times[best]) / rate,
        "config": dataclasses.asdict(config),
        "commit": commit(),
    }


def main(given: list[str] | None = None) -> None:
    """Measure, print, record; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--quick", action="store_true", help="tiny model; nothing is written")
    chosen = parser.parse_args(given)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here: nothing to measure (--device cpu --quick checks that it runs)")
    try:
        found = measure(
            chosen.device, chosen.batch, chosen.precision, chosen.rounds, not chosen.no_compile, chosen.quick
        )
    except LeftOut as reason:
        sys.exit(f"nothing to measure against: {reason}")
    for name, seconds in found["seconds"].items():
        peak = found["peak_bytes"][name]
        memory = "" if peak is None else f", peak {peak / 2**30:.2f} GiB"
        against = found["ratio"].get(name)
        told = "" if against is None else f", {against:.2f} times as fast as Hugging Face's"
        rate = found["clips_per_second"][name]
        print(f"{name:<24} {1000 * seconds:9.2f} ms, {rate:.1f} clips/s{memory}{told}")
    print(f"share of the matrix rate: {100 * found['matrix_share']:.1f} %")
    print(f"memory counted beforehand: {found['predicted_bytes'] / 2**30:.2f} GiB")
    if chosen.quick:
        return
    facts = machine(chosen.device)
    if chosen.device == "cuda":
        facts["name"] = "-".join(facts["gpu"].lower().split())
    print(record("training", facts, found))
    best = max(found["ratio"].values())
    if best < TARGETS["ratio"] or found["matrix_share"] < TARGETS["matrix_share"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
