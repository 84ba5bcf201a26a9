"""What several models cost, side by side: bars made of parts, each with its number, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vtlearn.errors import require
from vtlearn.viz.palette import MUTED, OKABE_ITO

_LOOKS = ((OKABE_ITO[0], ""), (OKABE_ITO[4], "///"), (OKABE_ITO[2], "..."), (OKABE_ITO[3], "xxx"))


def draw_costs(costs: Mapping[str, Mapping[str, Mapping[str, float]]], *, chosen: str = "") -> Figure:
    """One group of bars for each quantity, side by side, with one legend of the parts below each.

    Args:
        costs: title → model → part → amount, in the unit that the title names.
        chosen: a model to set off.

    >>> table = {"parameters, millions": {"a": {"space": 3.0}, "b": {"space": 3.0, "time": 1.0}}}
    >>> print(describe_costs(draw_costs(table, chosen="b")))
    parameters, millions: a 3.0; b 4.0 (space 3.0, time 1.0); set off: b
    """
    require(len(costs) > 0, "costs", dict(costs), "at least one quantity")
    rows = max(len(models) for models in costs.values())
    figure = Figure(figsize=(9.2, 0.42 * rows + 1.15))
    for place, (title, models) in enumerate(costs.items()):
        width = 1 / len(costs)
        axes = figure.add_axes((place * width + 0.13, 0.17, width - 0.135, 0.7))
        cost_bars(axes, models, title, chosen=chosen)
    return figure


def cost_bars(axes: Axes, models: Mapping[str, Mapping[str, float]], title: str, *, chosen: str = "") -> None:
    """A bar for each model, made of its parts, with the sum at its end; the chosen one has a dark frame.

    Args:
        axes: where.
        models: model → part → amount; the parts need not be the same for all.
        title: the quantity and its unit.
        chosen: a model to set off.
    """
    require(len(models) > 0, "models", dict(models), "at least one model")
    names = list(dict.fromkeys(part for parts in models.values() for part in parts))
    most = max(sum(parts.values()) for parts in models.values())
    for row, (model, parts) in enumerate(models.items()):
        left = 0.0
        for part, amount in parts.items():
            colour, hatch = _LOOKS[names.index(part) % len(_LOOKS)]
            bar = Rectangle(
                (left, row - 0.33),
                amount,
                0.66,
                facecolor=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.4,
            )
            bar.set_gid(f"{model}|{part}")
            axes.add_patch(bar)
            left += amount
        bold = "bold" if model == chosen else "normal"
        axes.annotate(
            f"{left:,.0f}" if left >= 1000 else f"{left:,.1f}", xy=(left, row), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8.5, fontweight=bold,
        )  # fmt: skip
        if model == chosen:
            frame = Rectangle((0, row - 0.36), left, 0.72, fill=False, edgecolor="black", linewidth=2)
            frame.set_gid("chosen")
            axes.add_patch(frame)
    axes.set_yticks(range(len(models)), labels=list(models), fontsize=8.5)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == chosen else "normal")
    axes.set_xlim(0, 1.26 * most if most else 1)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(title, fontsize=9.5, loc="left")
    keys = [
        Rectangle((0, 0), 1, 1, facecolor=colour, hatch=hatch, edgecolor="white")
        for colour, hatch in (_LOOKS[number % len(_LOOKS)] for number in range(len(names)))
    ]
    axes.legend(
        keys, names, loc="upper left", bbox_to_anchor=(-0.02, -0.02), ncols=len(names), fontsize=8,
        frameon=False, labelcolor=MUTED, handlelength=1.6, columnspacing=1.0,
    )  # fmt: skip


def describe_costs(figure: Figure) -> str:
    """Every group of bars in words, read from the bars that were drawn."""
    return ". ".join(describe_cost_bars(axes) for axes in figure.axes)


def describe_cost_bars(axes: Axes) -> str:
    """One group in words: each model's sum, and its parts where there are several."""
    parts: dict[str, dict[str, float]] = {}
    chosen = ""
    labels = [label.get_text() for label in axes.get_yticklabels()]
    for bar in axes.patches:
        if not isinstance(bar, Rectangle):
            continue
        if bar.get_gid() == "chosen":
            chosen = labels[round(bar.get_y() + bar.get_height() / 2)]
            continue
        model, part = str(bar.get_gid()).split("|")
        if bar.get_width() > 0:
            parts.setdefault(model, {})[part] = bar.get_width()
    told = []
    for model, widths in parts.items():
        detail = ", ".join(f"{part} {width:,.1f}" for part, width in widths.items())
        told.append(f"{model} {sum(widths.values()):,.1f}" + (f" ({detail})" if len(widths) > 1 else ""))
    end = f"; set off: {chosen}" if chosen else ""
    return f"{axes.get_title(loc='left')}: {'; '.join(told)}{end}"
