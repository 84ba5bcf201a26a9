"""Sliding-window attention against its peers: time as ratios inside one run, peak memory in a process each.

    make bench                                          everything, in an environment with all peers
    python -m benchmarks.attention                      the same with the peers that are installed here
    python -m benchmarks.attention --quick              a short look; nothing is written
    python -m benchmarks.attention --lengths 4096 --reaches 64 --dtypes float32 --out /tmp
    python -m benchmarks.attention --add --lengths 16384 --dtypes float32
    python -m benchmarks.attention --device cuda

First every peer must give the reference's numbers at a small size. Then all implementations of one length
and mode take turns, round by round, and a ratio is the median over rounds of the peer's time by ours, so that
a busy machine disturbs all alike. On a CPU the time is this process's CPU time in one thread; warm-up is left
out. What takes too long or too much memory is left out and named. The full run writes
``results/<machine>.json`` and ``docs/pictures/attention-<machine>.png``, and says what falls short of the
targets. On a slow machine ``--add`` measures part of the table again and keeps the rest; every row names the
commit that it was measured at.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import targets
from benchmarks.machine import RESULTS, ceilings, commit, floor_seconds, machine, record, recorded
from benchmarks.peers import (
    DILATED,
    IMPLEMENTATIONS,
    OURS,
    PEERS,
    Inputs,
    LeftOut,
    Problem,
    build,
    call_of,
    check_equal,
    memory_of,
)
from benchmarks.targets import FLEX
from benchmarks.timing import LONGEST_WARM, Call, FreshProcesses, interleave, ratio
from vtlearn.attention import window_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTHS = (256, 1024, 4096, 16384)
REACHES = (16, 64, 256)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MODES = ("forward", "training")
LONGEST_CALL = 90.0
"""Seconds: what is expected to take longer is left out."""
LONGEST_FOR_MEMORY = 2.5
"""Seconds: the memory of a call that takes longer is not measured."""
COMPILED_MEMORY_AT = 4096
"""Memory of what must be compiled is measured at this length alone."""
GROWS = (4096, 16384)
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    lengths: Sequence[int] = LENGTHS
    reaches: Sequence[int] = REACHES
    modes: Sequence[str] = MODES
    dtypes: Sequence[str] = ("float32", "bfloat16")
    peers: Sequence[str] = PEERS
    device: str = "cpu"
    batch: int = 1
    heads: int = 12
    head_dim: int = 64
    rounds: int = 5
    threads: int = 1
    memory: bool = True
    commit: str = ""

    def problem(self, n: int, reach: int, dtype: str) -> Problem:
        return Problem(n, reach, DTYPES[dtype], self.device, self.batch, self.heads, self.head_dim)


@dataclass(frozen=True)
class Member:
    """One of those who take turns; ``reach`` is None where the time knows no reach."""

    name: str
    reach: int | None
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}, reach {self.reach}, {self.dtype}"


class Known:
    """What smaller lengths took, from which the next length's time and memory are expected."""

    def __init__(self) -> None:
        self.times: dict[tuple[Member, str], tuple[int, float]] = {}
        self.bytes: dict[tuple[Member, str], tuple[int, int]] = {}

    @classmethod
    def from_record(cls, result: dict[str, Any]) -> Known:
        """What a recorded result tells; of several lengths the longest."""
        known = cls()
        for row in sorted(result.get("rows", []), key=lambda row: row["n"]):
            reach = None if IMPLEMENTATIONS[row["implementation"]].any_reach else row["reach"]
            key = Member(row["implementation"], reach, row["dtype"]), row["mode"]
            if row["milliseconds"] is not None:
                known.times[key] = row["n"], row["milliseconds"] / 1e3
            if row["peak_bytes"] is not None:
                known.bytes[key] = row["n"], row["peak_bytes"]
        return known

    def expected_seconds(self, member: Member, mode: str, n: int) -> float:
        before, taken = self.times.get((member, mode), (n, 0.0))
        return taken * (n / before) ** IMPLEMENTATIONS[member.name].order

    def expected_bytes(self, member: Member, mode: str, n: int) -> float:
        before, held = self.bytes.get((member, mode), (n, 0))
        return held * n / before


def available_bytes() -> float:
    """Memory that can be had without pushing anything out."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    return math.inf


def members(plan: Plan) -> list[Member]:
    """All who take turns at one length and mode."""
    found = []
    for dtype in plan.dtypes:
        for name in (OURS, DILATED, *plan.peers):
            reaches = [None] if IMPLEMENTATIONS[name].any_reach else list(plan.reaches)
            found += [Member(name, reach, dtype) for reach in reaches]
    return found


def prepare(
    plan: Plan, n: int, mode: str, known: Known
) -> tuple[dict[Member, Call], dict[Member, str], dict[Member, int]]:
    """The calls of one group, warmed up; why others are left out; and how many rounds the slow ones get."""
    inputs, training = Inputs(), mode == "training"
    calls: dict[Member, Call] = {}
    left_out: dict[Member, str] = {}
    rounds: dict[Member, int] = {}
    for member in members(plan):
        problem = plan.problem(n, plan.reaches[-1] if member.reach is None else member.reach, member.dtype)
        expected = known.expected_seconds(member, mode, n)
        needed = known.expected_bytes(member, mode, n)
        try:
            if expected > LONGEST_CALL:
                raise LeftOut(f"about {expected:.0f} s a call")
            if plan.device == "cpu" and needed > 0.5 * available_bytes():
                raise LeftOut(f"needs about {needed / 1e9:.0f} GB")
            built = build(member.name, problem, training)
            call = call_of(built.attend, inputs.of(IMPLEMENTATIONS[member.name], problem), training)
            if expected <= LONGEST_WARM:
                call()
            else:
                rounds[member] = 1
            calls[member] = call
        except LeftOut as reason:
            left_out[member] = str(reason)
        except (RuntimeError, MemoryError) as error:
            if member.name == OURS:
                raise
            left_out[member] = f"failed: {(str(error).splitlines() or [type(error).__name__])[0][:100]}"
    return calls, left_out, rounds


def measure_group(
    plan: Plan, n: int, mode: str, known: Known, fresh: FreshProcesses | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of one length and mode, and what follows from them besides the peers' ratios."""
    calls, left_out, few = prepare(plan, n, mode, known)
    by_text = {str(member): member for member in calls}
    steady = {text: calls[member] for text, member in by_text.items() if member not in few}
    slow = {text: calls[member] for text, member in by_text.items() if member in few}
    once = interleave(slow, 1, plan.device) if slow else {}
    taken = {by_text[text]: times for text, times in interleave(steady, plan.rounds, plan.device).items()}
    taken |= {by_text[text]: times for text, times in once.items()}
    for member, times in taken.items():
        known.times[member, mode] = n, statistics.median(times)

    peaks: dict[Member, int | None] = {}
    for member, times in taken.items():
        if fresh is None or member.name == DILATED or statistics.median(times) > LONGEST_FOR_MEMORY:
            continue
        if member.name == FLEX and n != COMPILED_MEMORY_AT and plan.device == "cpu":
            continue  # a process of its own compiles again
        problem = plan.problem(n, plan.reaches[-1] if member.reach is None else member.reach, member.dtype)
        asked = member.name, problem, mode == "training"
        peak = memory_of(*asked) if plan.device == "cuda" else fresh.run(memory_of, *asked)
        peaks[member] = peak
        if peak is not None:
            known.bytes[member, mode] = n, peak

    rows, derived = [], []
    about = {"n": n, "mode": mode, "device": plan.device, "batch": plan.batch}
    for dtype in plan.dtypes:
        for reach in plan.reaches:
            here = {**about, "reach": reach, "dtype": dtype}
            mine = taken[Member(OURS, reach, dtype)]
            for name in (OURS, DILATED, *plan.peers):
                member = Member(name, None if IMPLEMENTATIONS[name].any_reach else reach, dtype)
                own = taken.get(member)
                row: dict[str, Any] = {**here, "implementation": name}
                row["milliseconds"] = None if own is None else 1e3 * statistics.median(own)
                row["ratio"] = None if own is None else ratio(own, mine)
                row["rounds"] = 0 if own is None else len(own)
                row["peak_bytes"] = peaks.get(member)
                row["left_out"] = left_out.get(member)
                row["commit"] = plan.commit
                rows.append(row)
            if Member(DILATED, reach, dtype) in taken:
                value = ratio(taken[Member(DILATED, reach, dtype)], mine)
                derived.append({"quantity": targets.DILATED, **here, "value": value})
            if dtype == "bfloat16" and "float32" in plan.dtypes:
                value = ratio(mine, taken[Member(OURS, reach, "float32")])
                derived.append({"quantity": targets.BF16, **about, "reach": reach, "value": value})
    return rows, derived


def measure_growth(plan: Plan) -> list[dict[str, Any]]:
    """Our time at the longest against a quarter of it, both in turns; float32."""
    found = []
    for mode in plan.modes:
        calls: dict[str, Call] = {}
        for reach in plan.reaches:
            for n in GROWS:
                problem = plan.problem(n, reach, "float32")
                call = call_of(
                    build(OURS, problem, mode == "training").attend,
                    Inputs().of(IMPLEMENTATIONS[OURS], problem),
                    mode == "training",
                )
                call()
                calls[f"{reach} {n}"] = call
        taken = interleave(calls, plan.rounds, plan.device)
        for reach in plan.reaches:
            value = ratio(taken[f"{reach} {GROWS[1]}"], taken[f"{reach} {GROWS[0]}"])
            about = {"reach": reach, "mode": mode, "dtype": "float32", "device": plan.device}
            found.append({"quantity": targets.GROWTH, **about, "batch": plan.batch, "value": value})
    return found


def work(problem: Problem, training: bool) -> dict[str, float]:
    """What cannot be avoided: products and exponentials of the allowed pairs, the tokens' numbers moved once.

    A training step has seven products where forward has two, takes every exponential twice (the weights are
    not kept), and moves q, k, v, the output and their gradients: twelve tensors where forward moves four.
    """
    pairs = problem.batch * problem.heads * window_pairs(problem.n, problem.window_size, global_tokens=1)
    tensor = problem.batch * problem.heads * problem.n * problem.head_dim * problem.dtype.itemsize
    return {
        "flops": 4.0 * pairs * problem.head_dim * (3.5 if training else 1.0),
        "exponentials": float(pairs * (2 if training else 1)),
        "bytes_moved": float(tensor * (12 if training else 4)),
    }


def add_rates(plan: Plan, rows: list[dict[str, Any]], roofs: dict[str, dict[str, float]]) -> None:
    """Useful work a second, and the distance from the floor, in every row of ours."""
    for row in rows:
        if row["implementation"] != OURS:
            continue
        problem = plan.problem(row["n"], row["reach"], row["dtype"])
        amount = work(problem, row["mode"] == "training")
        taken = row["milliseconds"] / 1e3
        row["useful_flops_per_second"] = amount["flops"] / taken
        row["useful_bytes_per_second"] = amount["bytes_moved"] / taken
        row["floor_ratio"] = taken / floor_seconds(roofs[row["dtype"]], **amount)


def rates(rows: Sequence[dict[str, Any]], roofs: dict[str, dict[str, float]]) -> str:
    """Our useful work a second as text, each beside the ceiling measured in the run."""
    lines = []
    for row in rows:
        if "floor_ratio" not in row:
            continue
        roof = roofs[row["dtype"]]
        flops, moved = row["useful_flops_per_second"], row["useful_bytes_per_second"]
        lines.append(
            f"n {row['n']:>5}, reach {row['reach']:>3}, {row['mode']:>8}, {row['dtype']:>8}: "
            f"{flops / 1e12:.4g} TFLOP/s ({100 * flops / roof['matrix_flops_per_second']:.0f} % of matrix "
            f"products alone), {moved / 1e9:.3g} GB/s ({100 * moved / roof['bytes_per_second']:.0f} % of "
            f"copying alone), {row['floor_ratio']:.2f} × the floor"
        )
    return "\n".join(lines)


def quantities(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rows say, in the words of the targets."""
    found = []
    mine = {_cell(row): row for row in rows if row["implementation"] == OURS}
    for row in rows:
        here = {key: row[key] for key in ("n", "reach", "mode", "dtype", "device", "batch")}
        if row["implementation"] == OURS:
            found.append({"quantity": targets.ABSOLUTE, **here, "value": row["milliseconds"]})
            if row.get("floor_ratio") is not None:
                found.append({"quantity": targets.FLOOR, **here, "value": row["floor_ratio"]})
            if row["peak_bytes"] is not None:
                found.append({"quantity": targets.MEMORY, **here, "value": row["peak_bytes"] / 1e6})
            before = mine.get(_cell({**row, "mode": "forward"}))
            if row["mode"] == "training" and before is not None:
                value = row["milliseconds"] / before["milliseconds"]
                found.append({"quantity": targets.TRAINING, **here, "value": value})
        elif row["implementation"] != DILATED:
            here["peer"] = row["implementation"]
            if row["ratio"] is not None:
                found.append({"quantity": targets.PEER, **here, "value": row["ratio"]})
            own = mine[_cell(row)]["peak_bytes"]
            if row["peak_bytes"] is not None and own:
                found.append({"quantity": targets.PEER_MEMORY, **here, "value": row["peak_bytes"] / own})
    return found


def _cell(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["n"], row["reach"], row["mode"], row["dtype"]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text: our milliseconds and megabytes, and every peer's by ours (time, memory)."""
    names = list(dict.fromkeys(row["implementation"] for row in rows if row["implementation"] != OURS))
    lines = [
        f"{'n':>5} {'reach':>5} {'mode':>8} {'dtype':>8} {'ours ms':>8} {'MB':>6} "
        + " ".join(f"{name[:18]:>18}" for name in names)
    ]
    for own in (row for row in rows if row["implementation"] == OURS):
        cells = []
        for name in names:
            row = next(r for r in rows if r["implementation"] == name and _cell(r) == _cell(own))
            if row["ratio"] is None:
                cells.append((row["left_out"] or "left out")[:18])
                continue
            memory = ""
            if row["peak_bytes"] is not None and own["peak_bytes"]:
                memory = f" {row['peak_bytes'] / own['peak_bytes']:.2g} mem"
            cells.append(f"{row['ratio']:.2f} ×{memory}")
        held = "" if own["peak_bytes"] is None else f"{own['peak_bytes'] / 1e6:.1f}"
        lines.append(
            f"{own['n']:>5} {own['reach']:>5} {own['mode']:>8} {own['dtype']:>8} {own['milliseconds']:>8.2f} "
            f"{held:>6} " + " ".join(f"{cell:>18}" for cell in cells)
        )
    return "\n".join(lines)


def left_out(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Every cell that was not measured, by reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["left_out"] is not None:
            place = f"n {row['n']} reach {row['reach']} {row['mode']} {row['dtype']}"
            reasons.setdefault((row["implementation"], row["left_out"]), []).append(place)
    return [f"{name}: {reason} ({'; '.join(places)})" for (name, reason), places in reasons.items()]


def draw(rows: Sequence[dict[str, Any]], dtype: str, title: str) -> Figure:
    """Peer time by our time over length, one panel for each mode and reach, both axes logarithmic.

    Below 1 the peer is ahead; the level line at 1 is drawn.
    """
    from vtlearn.viz.palette import MUTED, colour_of, marker_of, new_figure

    shown = [row for row in rows if row["dtype"] == dtype]
    reaches = sorted({row["reach"] for row in shown})
    modes = [mode for mode in MODES if any(row["mode"] == mode for row in shown)]
    names = [name for name in PEERS if any(r["implementation"] == name and r["ratio"] for r in shown)]
    figure, axes = new_figure(
        3.9 * len(reaches), 3.1 * len(modes) + 0.9, rows=len(modes), columns=len(reaches)
    )
    for number, (mode, reach) in enumerate((mode, reach) for mode in modes for reach in reaches):
        panel = axes[number]
        here = [row for row in shown if row["mode"] == mode and row["reach"] == reach]
        panel.axhline(1.0, color=MUTED, linestyle="--", linewidth=1)
        for place, name in enumerate(names):
            points = [(r["n"], r["ratio"]) for r in here if r["implementation"] == name and r["ratio"]]
            if points:
                panel.plot(
                    *zip(*sorted(points), strict=True),
                    color=colour_of(place),
                    marker=marker_of(place),
                    label=name,
                )
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        lengths = sorted({row["n"] for row in shown})
        panel.set_xticks(lengths, [str(n) for n in lengths])
        panel.minorticks_off()
        ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if _inside(tick, here)]
        panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.set_title(f"{mode}, reach {reach}", loc="left")
        panel.set_xlabel("tokens")
        panel.set_ylabel("peer time ÷ ours")
    figure.suptitle(title)
    handles = {
        label: handle
        for panel in axes
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=3, frameon=False
        )
    return figure


def _inside(tick: float, rows: Sequence[dict[str, Any]]) -> bool:
    values = [row["ratio"] for row in rows if row["ratio"] and row["implementation"] in PEERS]
    return tick == 1 or (bool(values) and min(values) / 2 <= tick <= max(values) * 1.2)


def measure(plan: Plan, say: Any = print, known: Known | None = None) -> dict[str, Any]:
    """The whole benchmark; nothing is written."""
    names = (OURS, DILATED, *plan.peers)
    say("Computing the same thing? Largest difference from the reference, as a share:")
    equal = {}
    for dtype in plan.dtypes:
        small = Problem(512, 16, DTYPES[dtype], plan.device, heads=2, head_dim=plan.head_dim)
        equal[dtype] = check_equal(names, small)
        told = (
            f"{name} {f'{off:.1g}' if isinstance(off, float) else off}" for name, off in equal[dtype].items()
        )
        say(f"  {dtype}: {', '.join(told)}")
    fresh = FreshProcesses(PRELOAD, plan.threads) if plan.memory else None
    known = Known() if known is None else known
    rows: list[dict[str, Any]] = []
    derived: list[dict[str, Any]] = []
    roofs = {dtype: ceilings(plan.device, DTYPES[dtype]) for dtype in plan.dtypes}
    for n in sorted(plan.lengths):
        for mode in plan.modes:
            group, more = measure_group(plan, n, mode, known, fresh)
            text = table(group).splitlines()
            say("\n".join(text if not rows else text[1:]))
            rows += group
            derived += more
    for dtype in plan.dtypes:  # once more: the best of both ends of the run
        again = ceilings(plan.device, DTYPES[dtype])
        roofs[dtype] = {name: max(rate, again[name]) for name, rate in roofs[dtype].items()}
    if GROWS[1] in plan.lengths and "float32" in plan.dtypes:
        derived += measure_growth(plan)
    add_rates(plan, rows, roofs)
    sizes = {"heads": plan.heads, "head_dim": plan.head_dim, "batch": plan.batch, "global_tokens": 1}
    return {
        "sizes": {**sizes, "threads": plan.threads, "rounds": plan.rounds, "device": plan.device},
        "difference_from_reference": equal,
        "ceilings": roofs,
        "derived": derived,
        "rows": rows,
    }


def merged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A later result over an earlier one: what was measured again replaces, the rest stays.

    >>> earlier = {"rows": [{"n": 1, "ratio": 2.0}, {"n": 3, "ratio": 4.0}], "derived": []}
    >>> merged(earlier, {"rows": [{"n": 3, "ratio": 5.0}], "derived": []})["rows"]
    [{'n': 1, 'ratio': 2.0}, {'n': 3, 'ratio': 5.0}]
    """
    whole = {**before, **after}
    for part in ("difference_from_reference", "ceilings"):
        if part in before and part in after:
            whole[part] = {**before[part], **after[part]}
    about = ("quantity", "n", "reach", "mode", "dtype", "device", "batch", "implementation")
    for part in ("rows", "derived"):
        together = {
            tuple(str(one.get(key)) for key in about): one
            for one in [*before.get(part, []), *after.get(part, [])]
        }
        whole[part] = sorted(together.values(), key=_place)
    return whole


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    order = row.get("n", 0), row.get("mode", ""), row.get("dtype") != "float32", row.get("reach", 0)
    return (
        order if "implementation" not in row else (*order, list(IMPLEMENTATIONS).index(row["implementation"]))
    )


def judged(result: dict[str, Any], device: str) -> dict[str, Any]:
    """The result with its targets judged and its gaps named, in the order of the record."""
    found = [*quantities(result["rows"]), *result["derived"]]
    told = {
        "targets": targets.judge(targets.ATTENTION_ON[device], found),
        "left_out": left_out(result["rows"]),
    }
    rest = {key: value for key, value in result.items() if key not in ("rows", "derived", *told)}
    return {**rest, **told, "derived": result["derived"], "rows": result["rows"]}


PRELOAD = (
    "torch",
    "benchmarks.peers",
    "local_attention",
    "transformers.models.longformer.modeling_longformer",
)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="short lengths, float32, two rounds, no memory")
    parser.add_argument("--lengths", type=int, nargs="+")
    parser.add_argument("--reaches", type=int, nargs="+", help="keys on each side")
    parser.add_argument("--modes", nargs="+", choices=MODES)
    parser.add_argument("--peers", nargs="*", choices=PEERS)
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES))
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--no-memory", action="store_true", help="skip the processes that measure memory")
    parser.add_argument("--add", action="store_true", help="measure a part, and keep the rest of the record")
    parser.add_argument("--out", type=Path, help="folder for record and pictures, also of a partial run")
    return parser.parse_args(given)


def plan_of(asked: argparse.Namespace) -> Plan:
    """The plan that the command line asks for."""
    plan = whole_plan(asked.device or "cpu")
    if asked.quick:
        few = replace(plan, lengths=(256, 1024), reaches=(16, 64), rounds=2, memory=False)
        plan = replace(few, dtypes=few.dtypes[:1])
    given: dict[str, Any] = {
        name: getattr(asked, name)
        for name in ("lengths", "reaches", "modes", "peers", "dtypes", "device", "batch", "rounds", "threads")
        if getattr(asked, name) is not None
    }
    if asked.no_memory:
        given["memory"] = False
    return replace(plan, **given)


def whole_plan(device: str) -> Plan:
    """Everything: on a CPU in both precisions, on a GPU eight clips in bfloat16."""
    return Plan() if device == "cpu" else Plan(device=device, dtypes=("bfloat16",), batch=8, rounds=20)


def is_whole(plan: Plan) -> bool:
    """Whether the plan covers everything, so that its result may be the machine's record."""
    whole = whole_plan(plan.device)
    parts = ("lengths", "reaches", "modes", "dtypes", "peers")
    return plan.memory and all(set(getattr(plan, part)) >= set(getattr(whole, part)) for part in parts)


def main(given: list[str] | None = None) -> None:
    """Measure, judge, and where everything was measured, record and draw."""
    asked = arguments(given)
    plan = replace(plan_of(asked), commit=commit())
    torch.set_num_threads(plan.threads)
    facts = machine(plan.device)
    before = recorded("attention", facts["name"], asked.out or RESULTS) if asked.add else {}
    result = measure(plan, lambda text: print(text, flush=True), Known.from_record(before))
    result = merged(before, result)
    result = judged(result, plan.device)
    print(*(f"left out: {line}" for line in result["left_out"]), sep="\n")
    print(rates(result["rows"], result["ceilings"]))
    print(targets.verdict(result["targets"]))
    if asked.out is None and not asked.add and not is_whole(plan):
        print("A partial run: nothing is written (--out names a folder, --add adds to the record).")
        return
    from vtlearn.files import written_aside
    from vtlearn.viz.digest import to_png

    print(record("attention", facts, result, asked.out or RESULTS).name)
    for dtype in dict.fromkeys(row["dtype"] for row in result["rows"]):
        ending = "" if dtype == "float32" else f"-{dtype}"
        title = f"Windowed attention, {dtype}: {facts.get('gpu', facts['cpu'])}, torch {facts['torch']}"
        figure = draw(result["rows"], dtype, title)
        with written_aside((asked.out or PICTURES) / f"attention-{facts['name']}{ending}.png") as aside:
            aside.write_bytes(to_png(figure, dots_per_inch=110))


if __name__ == "__main__":
    main()
