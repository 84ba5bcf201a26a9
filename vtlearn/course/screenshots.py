"""Every picture and every panel of the lessons in one folder, with a page to look through them.

``python -m vtlearn.course.screenshots`` writes ``build/screenshots/``; nothing runs but the panels' drawing.
"""

from __future__ import annotations

import argparse
import base64
import html
import importlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from matplotlib.image import imread

from vtlearn.course.notebooks import learner_path, sources, tags_of
from vtlearn.course.panels.base import Panel
from vtlearn.course.workspace import REPOSITORY
from vtlearn.errors import VtlearnError
from vtlearn.files import write_text, written_aside

LAB = "jupyterlab.png"


@dataclass(frozen=True)
class Shot:
    """One picture: its lesson, its file's name, and its words."""

    lesson: str
    name: str
    png: bytes
    words: str


def pictures(source: Path) -> Iterator[Shot]:
    """The pictures that a lesson's notebook holds, as stored; the panels' own are left to :func:`panels`."""
    lesson = source.stem
    for cell in nbformat.read(learner_path(source), as_version=4).cells:
        if cell.cell_type != "code" or {"panel", "exercise-panel"} & set(tags_of(cell)):
            continue
        for place, output in enumerate(cell.outputs):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{lesson}-{cell.id}-{place}.png"
                yield Shot(lesson, name, base64.b64decode(data["image/png"]), str(data.get("text/plain", "")))


def panels(source: Path) -> Iterator[Shot]:
    """A lesson's panels, each as it opens and after its first move."""
    module = importlib.import_module(f"vtlearn.course.panels.lesson_{source.name[:2]}")
    classes: list[type[Panel]] = module.PANELS
    for panel_class in classes:
        state = panel_class().state
        for when, shown in (("first", state), ("moved", state | dict(panel_class.first_move.then))):
            drawn = panel_class.render(shown)
            name = f"{source.stem}-panel-{panel_class.__name__}-{when}.png"
            yield Shot(source.stem, name, drawn.png, f"{panel_class.title}. {drawn.caption}\n{drawn.text}")


def write_screenshots(folder: Path, repository: Path = REPOSITORY) -> list[Shot]:
    """Write all shots and ``index.html``; pictures of an earlier run that are no longer made are removed.

    Args:
        folder: where they go.
        repository: whose lessons; one whose notebook is not built yet is left out.
    """
    built = [source for source in sources(repository=repository) if learner_path(source).is_file()]
    shots = [shot for source in built for shot in (*pictures(source), *panels(source))]
    for shot in shots:
        with written_aside(folder / shot.name) as aside:
            aside.write_bytes(shot.png)
    kept = {shot.name for shot in shots} | {LAB}
    for old in folder.glob("*.png"):
        if old.name not in kept:
            old.unlink()
    write_text(folder / "index.html", _page(shots, lab=(folder / LAB).is_file()))
    return shots


def cut_off(png: bytes) -> list[str]:
    """The edges of a picture that something drawn touches, where a word may be cut; [] for clean margins."""
    pixels = imread(io.BytesIO(png))[..., :3]
    edges = {"left": pixels[:, 0], "right": pixels[:, -1], "upper": pixels[0], "lower": pixels[-1]}
    return [name for name, edge in edges.items() if float(np.ptp(edge)) > 0.1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vtlearn.course.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "screenshots")
    given = parser.parse_args(arguments)
    try:
        shots = write_screenshots(given.out)
    except VtlearnError as error:
        print(error, file=sys.stderr)
        return 2
    for shot in shots:
        for edge in cut_off(shot.png):
            print(f"look at {shot.name}: something touches its {edge} edge")
    lessons = len({shot.lesson for shot in shots})
    print(f"{len(shots)} pictures of {lessons} lessons: {given.out / 'index.html'}")
    return 0


def _page(shots: Sequence[Shot], *, lab: bool) -> str:
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>vtlearn: every picture</title>",
        "<style>body{font:16px/1.4 sans-serif;max-width:64em;margin:2em auto;padding:0 1em}"
        "img{max-width:100%;border:1px solid #ccc}figcaption{white-space:pre-wrap;font-size:80%}</style>",
        "<h1>Every picture of the lessons</h1>",
    ]
    if lab:
        parts.append(f"<figure><img src='{LAB}' alt='Lesson 00 in JupyterLab'></figure>")
    lesson = ""
    for shot in shots:
        if shot.lesson != lesson:
            lesson = shot.lesson
            parts.append(f"<h2>{html.escape(lesson)}</h2>")
        words = html.escape(shot.words, quote=True)
        parts.append(
            f"<figure><img src='{shot.name}' alt='{words}' loading='lazy'>"
            f"<figcaption><b>{shot.name}</b>\n{words}</figcaption></figure>"
        )
    return "\n".join(parts) + "\n</html>\n"


if __name__ == "__main__":
    sys.exit(main())
