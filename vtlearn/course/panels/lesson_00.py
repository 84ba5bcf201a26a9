"""The panel of lesson 00: a time line of papers, and what each stands on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from vtlearn.course.panels.base import Drawing, Move, Panel, steps, switch
from vtlearn.viz.palette import OKABE_ITO

FAMILIES = {
    "convolution and recurrence": ("o", OKABE_ITO[0]),
    "attention beside video": ("s", OKABE_ITO[4]),
    "video transformers": ("*", OKABE_ITO[1]),
}


@dataclass(frozen=True)
class Paper:
    """A paper on the time line: when it came out, what it added and which of the others it stands on."""

    name: str
    month: str
    arxiv: str
    family: str
    idea: str
    builds_on: tuple[str, ...] = ()

    @property
    def year(self) -> float:
        """The date as a number."""
        year, month = self.month.split("-")
        return int(year) + (int(month) - 0.5) / 12


_BEFORE, _BESIDE, _VIDEO = FAMILIES
PAPERS = (
    Paper("Two-stream", "2014-06", "1406.2199", _BEFORE,
          "One network looks at a single frame, another at ten of optical flow; their scores are averaged."),
    Paper("LRCN", "2014-11", "1411.4389", _BEFORE,
          "A 2-D CNN reads each frame and an LSTM reads the row of features, one frame after the other."),
    Paper("I3D", "2017-05", "1705.07750", _BEFORE,
          "Image filters are inflated: repeated along time and divided by their length, so that a video "
          "model can start from image weights.", ("Two-stream",)),
    Paper("Transformer", "2017-06", "1706.03762", _BESIDE,
          "Attention alone: every token looks at every other, and the cost grows with the square."),
    Paper("Non-local", "2017-11", "1711.07971", _BEFORE,
          "A block of self-attention inside a CNN relates every place and time of a clip with every other.",
          ("I3D", "Transformer")),
    Paper("BERT", "2018-10", "1810.04805", _BESIDE,
          "A class token sums up a text; training on plain text comes first; 512 tokens at most.",
          ("Transformer",)),
    Paper("Feature bank", "2018-12", "1812.05038", _BEFORE,
          "Features of the whole video wait in a bank, and the present clip attends to them.",
          ("Non-local",)),
    Paper("SlowFast", "2018-12", "1812.03982", _BEFORE,
          "Two pathways at two frame rates: a slow one for what is there, a light and fast one for motion.",
          ("Two-stream",)),
    Paper("RoBERTa", "2019-07", "1907.11692", _BESIDE,
          "BERT trained longer and on more text; Longformer's published weights start from it.", ("BERT",)),
    Paper("X3D", "2020-04", "2004.04730", _BEFORE,
          "A tiny network grows one axis at a time: length, frame rate, picture size, width and depth.",
          ("SlowFast",)),
    Paper("Longformer", "2020-04", "2004.05150", _BESIDE,
          "A sliding window and a few global tokens: the cost grows with the length, not its square.",
          ("RoBERTa",)),
    Paper("DETR", "2020-05", "2005.12872", _BESIDE,
          "Objects are found by a set of learned queries that attend to the picture.", ("Transformer",)),
    Paper("ViT", "2020-10", "2010.11929", _BESIDE,
          "A picture becomes patches of 16 × 16 pixels, read like words by a plain encoder.",
          ("Transformer", "BERT")),
    Paper("VisTR", "2020-11", "2011.14503", _VIDEO,
          "Objects are followed through a clip: all places of all frames attend to each other at once.",
          ("DETR",)),
    Paper("DeiT", "2020-12", "2012.12877", _BESIDE,
          "ViT learns from ImageNet alone, by strong augmentation and a teacher.", ("ViT",)),
    Paper("VTN", "2021-02", "2102.00719", _VIDEO,
          "A 2-D backbone reads each frame, a Longformer reads the frames of the whole video in one view.",
          ("Longformer", "ViT", "DeiT")),
    Paper("TimeSformer", "2021-02", "2102.05095", _VIDEO,
          "Divided attention: each patch first looks along time at its own place, then over its own frame.",
          ("ViT",)),
    Paper("ViViT", "2021-03", "2103.15691", _VIDEO,
          "Tubelets in space and time become tokens, and four models split the attention over them.",
          ("I3D", "ViT")),
)  # fmt: skip
_BY_NAME = {paper.name: paper for paper in PAPERS}


class PaperTimeline(Panel):
    """Eighteen papers on the way to video transformers, and what each stands on."""

    title = "Paper time line"
    first_move = Move("paper", "ArrowRight", {"paper": "TimeSformer"})

    def controls(self) -> dict[str, widgets.Widget]:
        """The paper to look at, and whether arrows show what it builds on."""
        return {
            "paper": steps("paper", [paper.name for paper in PAPERS], "VTN"),
            "roots": switch("show what it builds on", True),
        }

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """One row a paper, a dot at its date, arrows from the papers it builds on."""
        chosen = _BY_NAME[state["paper"]]
        roots = chosen.builds_on if state["roots"] else ()
        figure = Figure(figsize=(8.6, 4.9))
        axes = figure.subplots(gridspec_kw={"left": 0.135, "right": 0.985, "bottom": 0.1, "top": 0.9})
        rows = {paper.name: row for row, paper in enumerate(PAPERS)}
        for family, (marker, colour) in FAMILIES.items():
            members = [paper for paper in PAPERS if paper.family == family]
            axes.scatter(
                [paper.year for paper in members],
                [rows[paper.name] for paper in members],
                s=110 if marker == "*" else 48,
                marker=marker,
                color=colour,
                label=family,
                zorder=3,
            )
        for root in roots:
            axes.annotate(
                "",
                xy=(chosen.year, rows[chosen.name]),
                xytext=(_BY_NAME[root].year, rows[root]),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "#444444",
                    "shrinkA": 6,
                    "shrinkB": 9,
                    "lw": 1.2,
                    "connectionstyle": "arc3,rad=0.3",
                },
            )
        axes.scatter(
            chosen.year,
            rows[chosen.name],
            s=330,
            facecolors="none",
            edgecolors="black",
            linewidths=1.8,
            zorder=4,
        )
        marked = [f"{paper.name} ▸" if paper.name in roots else paper.name for paper in PAPERS]
        axes.set_yticks(range(len(PAPERS)), marked)
        axes.get_yticklabels()[rows[chosen.name]].set_fontweight("bold")
        axes.invert_yaxis()
        axes.set_xlim(2014, 2021.6)
        axes.set_xticks(range(2014, 2022))
        axes.set_xlabel("first on arXiv")
        axes.grid(axis="both", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower left", frameon=True, fontsize=9)
        axes.set_title("\n".join(textwrap.wrap(f"{chosen.name}: {chosen.idea}", 88)), fontsize=10, loc="left")
        stands = (
            f" It builds on {_listed(chosen.builds_on)}."
            if chosen.builds_on
            else " It builds on none of these."
        )
        return Drawing(
            figure,
            caption=f"{chosen.name}. {chosen.idea}"
            + (" Follow the arrows back to what it stands on; those names are marked ▸." if roots else ""),
            text=(
                f"{chosen.name} (arXiv {chosen.arxiv}, {chosen.month}; {chosen.family}; "
                f"paper {rows[chosen.name] + 1} of {len(PAPERS)})."
                + (stands if state["roots"] else " Arrows are off.")
            ),
        )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


PANELS = [PaperTimeline]
