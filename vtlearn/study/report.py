"""What a comparison shows: rows as JSON, a table for the terminal, and a page with curves and confusion
matrices."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vtlearn.errors import DataError
from vtlearn.files import write_json, write_text
from vtlearn.study.protocol import contestant
from vtlearn.study.shallow import best_of, told
from vtlearn.viz.curves import learning_curves
from vtlearn.viz.digest import describe, to_png
from vtlearn.viz.report_figures import accuracy_figure, confusion_figure

ROW_KEYS = (
    "model",
    "labelling",
    "num_classes",
    "test_top1",
    "parameters",
    "multiply_adds",
    "train_seconds",
    "clips_per_second",
    "peak_memory_bytes",
)
"""What every row of ``metrics.json`` has, in the order of the table; rows carry more beside it."""

BELOW = "<p>↓ marks a model that ridge regression on thumbnails of the same clips beats (see below).</p>"

CONVENTION = "of one clip, attention products included"


def metric_rows(
    results: Sequence[Mapping[str, Any]], shallow: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One row for each model and labelling, from what each model's process left; with ridge regression on
    thumbnails beside it, also whether the model is below the best of that.
    """
    rows = []
    best = {} if shallow is None else best_of(shallow)
    for result in results:
        for labelling, test in result["test"].items():
            row = {
                "model": result["model"],
                "labelling": labelling,
                "num_classes": test["num_classes"],
                "test_top1": test["top1"],
                "parameters": result["parameters"],
                "multiply_adds": result["multiply_adds"],
                "train_seconds": result["train_seconds"],
                "clips_per_second": result["clips_per_second"],
                "peak_memory_bytes": result["peak_memory_bytes"],
                "test_interval": test["interval"],
                "test_top5": test["top5"],
                "test_clips": test["clips"],
                "val_top1": result["val"].get(labelling, {}).get("top1"),
                "test_pair_top1": test.get("pair_top1"),
                "test_within_pair": test.get("within_pair"),
                **{f"test_{control}_top1": top1 for control, top1 in test.get("controls", {}).items()},
                "learning_rate": result["learning_rate"],
                "num_frames": result["num_frames"],
                "steps": result["steps"],
            }
            if labelling in best:
                row["below_thumbnails"] = test["top1"] < best[labelling]
            rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The comparison as text: one line a model, the accuracies of its labellings beside each other.

    >>> row = dict(model="vtn", labelling="motion", num_classes=8, test_top1=0.5, parameters=1000,
    ...     multiply_adds=2_000_000, train_seconds=3.0, clips_per_second=4.0, peak_memory_bytes=5e6)
    >>> print(table([row]))
    model  motion (8)  parameters  multiply-adds  training  clips/s  memory
    VTN        50.0 %      0.001M          2.0 M       3 s        4    5 MB
    """
    labellings = list(dict.fromkeys(str(row["labelling"]) for row in rows))
    classes = {str(row["labelling"]): row["num_classes"] for row in rows}
    lines = [
        [
            "model",
            *[f"{labelling} ({classes[labelling]})" for labelling in labellings],
            "parameters",
            "multiply-adds",
            "training",
            "clips/s",
            "memory",
        ]
    ]
    for model in dict.fromkeys(str(row["model"]) for row in rows):
        own = {str(row["labelling"]): row for row in rows if row["model"] == model}
        one = next(iter(own.values()))
        lines.append(
            [
                contestant(model).title,
                *[_rate(own[name]) if name in own else "" for name in labellings],
                f"{one['parameters'] / 1e6:.3f}M",
                f"{one['multiply_adds'] / 1e6:.1f} M",
                f"{one['train_seconds']:.0f} s",
                f"{one['clips_per_second']:.0f}",
                f"{one['peak_memory_bytes'] / 1e6:.0f} MB",
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *[cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]]
        )
        for line in lines
    )


def _rate(row: Mapping[str, Any]) -> str:
    """An accuracy, marked where ridge regression on thumbnails is better."""
    return f"{'↓ ' if row.get('below_thumbnails') else ''}{100 * row['test_top1']:.1f} %"


def write_report(
    folder: Path,
    *,
    results: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    skipped: Sequence[Mapping[str, str]],
) -> list[dict[str, Any]]:
    """Write ``metrics.json`` and ``report.html`` into a run's folder.

    Args:
        folder: the run's folder.
        results: what each model's process left, in the order of the table.
        facts: what the page says of the run: protocol, data, hardware, versions.
        skipped: clips that could not be used, with reasons.

    Returns:
        The rows of ``metrics.json``.

    Raises:
        DataError: no model is done yet.
    """
    if not results:
        raise DataError(f"{folder}: no model is done yet, so there is nothing to report")
    rows = metric_rows(results, facts.get("shallow"))
    write_json(folder / "metrics.json", rows)
    page = _page(results, rows, facts, skipped)
    write_text(folder / "report.html", page)
    return rows


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color:
#1b1b1b }
table { border-collapse: collapse; margin: 1rem 0; width: 100% }
th, td { padding: .35rem .45rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
table { font-size: .88rem; display: block; overflow-x: auto }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; height: auto }
figure { margin: 1.5rem 0 } figcaption { color: #444; font-size: .92rem }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .85rem }
"""


def _page(
    results: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    skipped: Sequence[Mapping[str, str]],
) -> str:
    labellings = list(dict.fromkeys(str(row["labelling"]) for row in rows))
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Comparison of video models</title><style>{_STYLE}</style></head><body>",
        "<h1>Comparison of video models</h1>",
        f"<p>{html.escape(str(facts['summary']))}</p>",
        _html_table(rows, labellings),
        BELOW if any(row.get("below_thumbnails") for row in rows) else "",
        f"<p>Multiply-adds are {html.escape(CONVENTION)}. Training time, clips per second and peak memory "
        f"were taken in one process for each model, {html.escape(str(facts['side_by_side']))}; the "
        "first ten steps are left out of both, and clips per second is from the median step. Memory is the "
        "most that the whole process held, the clips included. The test clips were read once, after the "
        "last step.</p>",
    ]
    if any(row["test_within_pair"] is not None for row in rows):
        parts.append(
            "<p>Each motion class has its exact time reversal for a partner. <b>Pair</b> is the share of "
            "clips put into the right pair; <b>order</b> is, among those, the share put on the right side of "
            "it. A bag of single frames can find the pair and tosses a coin for the order.</p>"
        )
    for labelling in labellings:
        parts += [
            f"<h2>{html.escape(labelling.capitalize())}</h2>",
            _accuracies(results, labelling),
            _curves(results, labelling),
            "<div class='pair'>",
            *[_confusion(result, labelling) for result in results if labelling in result["test"]],
            "</div>",
        ]
    if "shallow" in facts:
        parts += ["<h2>Without any network</h2>", f"<pre>{html.escape(told(facts['shallow']))}</pre>"]
        parts.append("<p>Order-blind features are sorted over time; one frame is the middle one.</p>")
    parts += ["<h2>Controls</h2>", _controls(results), "<h2>Loss</h2>", _losses(results)]
    if "coverage" in facts:
        parts.append(f"<p>{html.escape(coverage_line(facts['coverage']))}</p>")
    if skipped:
        items = "".join(
            f"<li>{html.escape(each['path'])}: {html.escape(each['reason'])}</li>" for each in skipped
        )
        parts.append(f"<h2>Clips left out: {len(skipped)}</h2><ul>{items}</ul>")
    parts.append(
        f"<h2>How it was run</h2><pre>{html.escape(json.dumps(facts, indent=2))}</pre></body></html>\n"
    )
    return "\n".join(parts)


def _html_table(rows: Sequence[Mapping[str, Any]], labellings: Sequence[str]) -> str:
    head = ["model"]
    for labelling in labellings:
        head.append(labelling)
        if _has_pairs(rows, labelling):
            head += ["pair", "order"]
    head += ["parameters", "multiply-adds", "training", "clips/s", "memory"]
    lines = ["<table><tr>" + "".join(f"<th scope='col'>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for model in dict.fromkeys(str(row["model"]) for row in rows):
        own = {str(row["labelling"]): row for row in rows if row["model"] == model}
        one = next(iter(own.values()))
        cells = [contestant(model).title]
        for labelling in labellings:
            row = own[labelling]
            low, high = row["test_interval"]
            cells.append(f"{_rate(row)} ({100 * low:.0f}–{100 * high:.0f})")
            if _has_pairs(rows, labelling):
                cells += [f"{100 * row['test_pair_top1']:.1f} %", f"{100 * row['test_within_pair']:.1f} %"]
        cells += [
            f"{one['parameters']:,}",
            f"{one['multiply_adds'] / 1e6:.1f} M",
            f"{one['train_seconds']:.0f} s",
            f"{one['clips_per_second']:.0f}",
            f"{one['peak_memory_bytes'] / 1e6:.0f} MB",
        ]
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return "".join(lines) + "</table>"


def coverage_line(coverage: Mapping[str, Sequence[int]]) -> str:
    """How many of the listed clips could be used, split by split.

    >>> coverage_line({"train": [480, 500], "test": [200, 200]})
    'Used of the clips listed: train 480 of 500 (96.0 %), test 200 of 200 (100.0 %).'
    """
    parts = [
        f"{split} {used} of {all_} ({100 * used / all_:.1f} %)" for split, (used, all_) in coverage.items()
    ]
    return f"Used of the clips listed: {', '.join(parts)}."


def _controls(results: Sequence[Mapping[str, Any]]) -> str:
    """Test accuracy beside that on the same clips with their frames shuffled, and with one frame only."""
    head = ["model", "labelling", "as it is", "frames shuffled", "one frame"]
    lines = ["<table><tr>" + "".join(f"<th scope='col'>{cell}</th>" for cell in head) + "</tr>"]
    for result in results:
        for labelling, test in result["test"].items():
            values = [test["top1"], test["controls"]["shuffled"], test["controls"]["single_frame"]]
            cells = [contestant(result["model"]).title, labelling]
            cells += [f"{100 * value:.1f} %" for value in values]
            lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return "".join(lines) + (
        "</table><p>A model that is as good with its frames shuffled does not use their order; one that is "
        "as good with its middle frame alone does not use time.</p>"
    )


def _has_pairs(rows: Sequence[Mapping[str, Any]], labelling: str) -> bool:
    return any(row["labelling"] == labelling and row["test_within_pair"] is not None for row in rows)


def _accuracies(results: Sequence[Mapping[str, Any]], labelling: str) -> str:
    tests = {contestant(r["model"]).title: r["test"][labelling] for r in results if labelling in r["test"]}
    figure = accuracy_figure(
        {labelling: {title: (test["top1"], *test["interval"]) for title, test in tests.items()}},
        chance={labelling: 1 / next(iter(tests.values()))["num_classes"]},
    )
    return _figure(figure, f"Accuracy on the test clips by {labelling}, with 95 % intervals.")


def _curves(results: Sequence[Mapping[str, Any]], labelling: str) -> str:
    curves = {
        contestant(r["model"]).title: [(step, values[labelling]) for step, values in r["val_curve"]]
        for r in results
        if r["val_curve"] and labelling in r["val_curve"][0][1]
    }
    if not curves:
        return "<p>There were no validation clips to draw a curve from.</p>"
    figure = learning_curves(
        curves, title=f"{labelling}: validation accuracy", value_name="accuracy", limits=(0.0, 1.0)
    )
    return _figure(figure, f"Accuracy on the validation clips by {labelling} while training.")


def _losses(results: Sequence[Mapping[str, Any]]) -> str:
    curves = {contestant(r["model"]).title: [tuple(point) for point in r["loss_curve"]] for r in results}
    return _figure(
        learning_curves(curves, title="training loss, all labellings together", momentum=0.8),
        "Training loss of every model, smoothed.",
    )


def _confusion(result: Mapping[str, Any], labelling: str) -> str:
    test = result["test"][labelling]
    title = contestant(result["model"]).title
    figure = confusion_figure(torch.tensor(test["confusion"]), test["class_names"], title=title)
    return _figure(figure, f"{title}: true class in rows, predicted class in columns.")


def _figure(figure: Any, caption: str) -> str:
    picture = base64.b64encode(to_png(figure)).decode()
    alternative = html.escape(describe(figure), quote=True)
    return (
        f"<figure><img alt='{alternative}' src='data:image/png;base64,{picture}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
