"""The recorded comparison: the main job for seeds of samples and of training, its table and its picture.

``python -m benchmarks.comparison`` runs every samples seed with every training seed (three of each), writes
``benchmarks/results/comparison.json`` and ``docs/pictures/comparison.png``, fills the README's table, and
says what falls short of the targets. A run that is there already is read, not run again; a run that the
record holds already is kept with the commit it was made at. Lesson 10 reads the runs with equal seeds, the
README's table is over all.
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
"""What each model's test accuracy must lie between, for every pair of seeds."""


def shortfalls(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each accuracy outside its target."""
    found = []
    for run in runs:
        for row in run["rows"]:
            low, high = TARGETS.get(row["model"], {}).get(row["labelling"], (0.0, 1.0))
            if not low <= row["test_top1"] <= high:
                found.append(
                    f"samples {run['samples_seed']}, training {run['seed']}: {row['model']} reaches "
                    f"{100 * row['test_top1']:.1f} % on {row['labelling']}, "
                    f"the target is {100 * low:.0f} to {100 * high:.0f} %"
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


def markdown(lines: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> str:
    """The table for a page: mean accuracy over the runs with lowest and highest, and what fell short."""

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
        f"Accuracy on the test clips: mean over {len(runs)} pairs of seeds, of the samples and of training "
        f"(lowest–highest). Chance is 25 % on appearance and 12.5 % on motion."
    )
    missed = [f"- {line}" for line in shortfalls(runs)]
    aims = ["", "Short of what was aimed at:", "", *missed] if missed else []
    return "\n".join([*head, *body, "", note, *aims])


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


def _commit() -> str:
    """The commit that this tree stands at."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()


def main() -> None:
    """Run what is missing, then record, draw and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pairs",
        nargs="+",
        default=[f"{samples},{training}" for samples in range(3) for training in range(3)],
        help="samples seed,training seed",
    )
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--collect", action="store_true", help="read what is there, run nothing")
    arguments = parser.parse_args()
    before = json.loads(RECORD.read_text())
    kept = {(run["samples_seed"], run["seed"]): run for run in before["runs"] + before["crossed_runs"]}
    for pair in arguments.pairs:
        samples_seed, seed = map(int, pair.split(","))
        folder = arguments.results / f"recorded-samples{samples_seed}-training{seed}"
        if (folder / "compare.json").is_file():
            comparison = Comparison.load(folder)
        elif (samples_seed, seed) in kept or arguments.collect:
            continue
        else:
            comparison = Comparison(
                folder=folder,
                protocol=choose_protocol(seed=seed).settled(),
                data={"samples_seed": samples_seed},
                device="cpu",
            )
        if not arguments.collect:
            run_comparison(comparison)
        facts = json.loads((folder / "run.json").read_text())
        rows = json.loads((folder / "metrics.json").read_text())
        kept[samples_seed, seed] = {
            "samples_seed": samples_seed, "seed": seed, "commit": _commit(), "rows": rows, "facts": facts,
        }  # fmt: skip
    runs = [kept[pair] for pair in sorted(kept)]
    matched = [run for run in runs if run["samples_seed"] == run["seed"]]
    crossed = [run for run in runs if run["samples_seed"] != run["seed"]]
    lines = summary(runs)
    shared = {key: value for key, value in Protocol.default().settled().as_dict().items() if key != "seed"}
    record = {"protocol": shared, "seeds": [run["seed"] for run in matched], "summary": summary(matched)}
    write_json(RECORD, record | {"runs": matched, "summary_of_all": lines, "crossed_runs": crossed})
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(draw(lines))
    table = markdown(lines, runs)
    fill_readme(table)
    print(table)
    for line in shortfalls(runs) or ["every target is met for every pair of seeds"]:
        print(line)


if __name__ == "__main__":
    main()
