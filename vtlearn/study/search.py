"""The search for learning rates: every contestant, the same three rates, judged once on validation clips.

Run it with ``python -m vtlearn.study.search``; it writes the record that the protocol reads. The test clips
are not looked at.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from vtlearn.files import write_json
from vtlearn.study.compare import Comparison, hardware, run_comparison
from vtlearn.study.protocol import SEARCH_RECORD, SEARCHED_RATES, Protocol

SEARCH_STEPS = 600
"""Steps of each trial: enough to rank the rates, a fraction of the real run."""


def search(
    folder: Path, protocol: Protocol, *, record: Path = SEARCH_RECORD, quiet: bool = False
) -> dict[str, Any]:
    """Try every rate with every model and record the best by mean validation accuracy over the labellings.

    Args:
        folder: where the trials are kept; a search that was stopped goes on there.
        protocol: the protocol of the trials; its learning rates are put aside.
        record: where the result is written.
        quiet: no progress bars.

    Returns:
        the record: per model the validation accuracy of each rate, and the rate chosen.
    """
    accuracies: dict[str, dict[str, float]] = {name: {} for name in protocol.models}
    for rate in SEARCHED_RATES:
        trial = replace(protocol, learning_rates=dict.fromkeys(protocol.models, rate))
        comparison = Comparison(
            folder=folder / f"{rate:g}", protocol=trial, data={"samples_seed": 0}, device="cpu"
        )
        run_comparison(comparison, quiet=quiet, read_test=False)
        for name in protocol.models:
            result = Comparison.load(comparison.folder).result(name)
            accuracies[name][f"{rate:g}"] = statistics.fmean(each["top1"] for each in result["val"].values())
    chosen = {name: float(max(tried, key=lambda rate: tried[rate])) for name, tried in accuracies.items()}
    found = {
        "chosen": chosen,
        "validation": accuracies,
        "judged_by": "mean top-1 over the labellings of the validation clips of samples seed 0",
        "protocol": {key: value for key, value in protocol.as_dict().items() if key != "learning_rates"},
        "hardware": hardware("cpu"),
    }
    write_json(record, found)
    return found


def main() -> None:
    """Search with the default protocol, shortened."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("results") / "search")
    parser.add_argument("--steps", type=int, default=SEARCH_STEPS)
    arguments = parser.parse_args()
    found = search(arguments.folder, replace(Protocol.default(), steps=arguments.steps))
    for name, rate in found["chosen"].items():
        tried = ", ".join(f"{each}: {100 * top1:.1f} %" for each, top1 in found["validation"][name].items())
        print(f"{name:<14} {rate:g}   ({tried})")


if __name__ == "__main__":
    main()
