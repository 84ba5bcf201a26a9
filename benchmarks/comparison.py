"""The recorded comparison: the main job for three seeds of samples and training, its table and its picture.

``python -m benchmarks.comparison`` runs samples seed s with training seed s for each seed, writes
``benchmarks/results/comparison.json`` and ``docs/pictures/comparison.png``, fills the README's table, and
says what falls short of the targets. A run that is there already is read, not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtlearn.files import write_json
from vtlearn.study.compare import Comparison, run_comparison
from vtlearn.study.protocol import Protocol, choose_protocol, contestant
from vtlearn.viz.digest import to_png
from vtlearn.viz.report_figures import accuracy_figure

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "results" / "comparison.json"
PICTURE = ROOT / "docs" / "pictures" / "comparison.png"
MARKERS = ("<!-- comparison:start -->", "<!-- comparison:end -->")

TARGETS = {
    "vtn": {"motion": (0.90, 1.0), "appearance": (0.85, 1.0)},
    "timesformer": {"motion": (0.90, 1.0), "appearance": (0.85, 1.0)},
    "vivit": {"motion": (0.90, 1.0), "appearance": (0.85, 1.0)},
    "frame_average": {"motion": (0.0, 0.55), "appearance": (0.85, 1.0)},
}
"""What each model's test accuracy must lie between, for every seed."""


def shortfalls(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each accuracy outside its target."""
    found = []
    for run in runs:
        for row in run["rows"]:
            low, high = TARGETS.get(row["model"], {}).get(row["labelling"], (0.0, 1.0))
            if not low <= row["test_top1"] <= high:
                found.append(
                    f"seed {run['seed']}: {row['model']} reaches {100 * row['test_top1']:.1f} % on "
                    f"{row['labelling']}, the target is {100 * low:.0f} to {100 * high:.0f} %"
                )
    return found


def summary(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean, lowest and highest over the seeds for each model: accuracies, time and memory."""
    lines = []
    for name in dict.fromkeys(row["model"] for run in runs for row in run["rows"]):
        own = [row for run in runs for row in run["rows"] if row["model"] == name]
        line: dict[str, Any] = {"model": name, "title": contestant(name).title}
        for labelling in dict.fromkeys(row["labelling"] for row in own):
            values = [row["test_top1"] for row in own if row["labelling"] == labelling]
            line[labelling] = [statistics.fmean(values), min(values), max(values)]
        for key in ("parameters", "multiply_adds"):
            line[key] = own[0][key]
        for key in ("train_seconds", "clips_per_second", "peak_memory_bytes"):
            line[key] = statistics.median(row[key] for row in own)
        lines.append(line)
    return lines


def markdown(lines: Sequence[dict[str, Any]], seeds: Sequence[int]) -> str:
    """The table for a page: mean accuracy over the seeds, lowest and highest in brackets."""

    def accuracy(values: Sequence[float]) -> str:
        mean, low, high = (100 * value for value in values)
        return f"{mean:.1f} % ({low:.1f}–{high:.1f})"

    head = ["| model | appearance | motion | parameters | multiply-adds | training | memory |"]
    head.append("|---|---|---|---|---|---|---|")
    body = [
        f"| {line['title']} | {accuracy(line['appearance'])} | {accuracy(line['motion'])} "
        f"| {line['parameters']:,} | {line['multiply_adds'] / 1e6:.1f} M "
        f"| {line['train_seconds']:.0f} s | {line['peak_memory_bytes'] / 1e6:.0f} MB |"
        for line in lines
    ]
    note = (
        f"Accuracy on the test clips: mean over {len(seeds)} seeds of samples and training "
        f"(lowest–highest). Chance is 25 % on appearance and 12.5 % on motion."
    )
    return "\n".join([*head, *body, "", note])


def draw(lines: Sequence[dict[str, Any]]) -> bytes:
    """The picture of the result: both labellings, the range over the seeds as the bar."""
    figure = accuracy_figure(
        {
            labelling: {line["title"]: tuple(line[labelling]) for line in lines}
            for labelling in ("appearance", "motion")
        },
        chance={"appearance": 0.25, "motion": 0.125},
        title="What one frame tells, and what only the order tells",
    )
    for axes in figure.axes:
        axes.set_xlabel("top-1 on test, % (mean, range over seeds)")
    return to_png(figure, dots_per_inch=130)


def fill_readme(text: str) -> None:
    """Put the table between its markers in the README."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(MARKERS[0])
    _, _, after = rest.partition(MARKERS[1])
    readme.write_text(f"{before}{MARKERS[0]}\n{text}\n{MARKERS[1]}{after}")


def main() -> None:
    """Run what is missing, then record, draw and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--collect", action="store_true", help="read what is there, run nothing")
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        folder = arguments.results / f"recorded-seed{seed}"
        if (folder / "compare.json").is_file():
            comparison = Comparison.load(folder)
        else:
            protocol = choose_protocol(seed=seed).settled()
            comparison = Comparison(
                folder=folder, protocol=protocol, data={"samples_seed": seed}, device="cpu"
            )
        if not arguments.collect:
            run_comparison(comparison)
        facts = json.loads((folder / "run.json").read_text())
        rows = json.loads((folder / "metrics.json").read_text())
        runs.append({"seed": seed, "rows": rows, "facts": facts})
    lines = summary(runs)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()
    shared = {key: value for key, value in Protocol.default().settled().as_dict().items() if key != "seed"}
    write_json(
        RECORD,
        {"commit": commit, "protocol": shared, "seeds": arguments.seeds, "summary": lines, "runs": runs},
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(draw(lines))
    table = markdown(lines, arguments.seeds)
    fill_readme(table)
    print(table)
    for line in shortfalls(runs) or ["every target is met for every seed"]:
        print(line)


if __name__ == "__main__":
    main()
