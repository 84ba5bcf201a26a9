"""The folder of screenshots holds every stored picture and every panel, and its page shows them all."""

from __future__ import annotations

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from matplotlib.image import imsave
from nbformat.v4 import new_code_cell, new_notebook, new_output

from vtlearn.course import screenshots
from vtlearn.course.notebooks import sources
from vtlearn.course.panels.lesson_00 import PaperTimeline
from vtlearn.course.screenshots import LAB, cut_off, main, pictures, write_screenshots


def picture(*dark: tuple[int, int]) -> bytes:
    """A white picture with dark pixels."""
    pixels = np.ones((7, 11, 3))
    for row, column in dark:
        pixels[row, column] = 0
    held = io.BytesIO()
    imsave(held, pixels)
    return held.getvalue()


PICTURE = picture((3, 5), (2, 0))


@pytest.fixture
def repository(tmp_path):
    """Lesson 00 with one stored picture, and lesson 01 not built yet."""
    folder = tmp_path / "notebooks" / "source"
    folder.mkdir(parents=True)
    for name in ("00_small", "01_later"):
        (folder / f"{name}.py").write_text("")
    data = {"image/png": base64.b64encode(PICTURE).decode(), "text/plain": "a <picture> & more"}
    cells = [
        new_code_cell("1", id="a", outputs=[new_output("display_data", data=data)]),
        new_code_cell(
            "p", id="b", metadata={"tags": ["panel"]}, outputs=[new_output("display_data", data=data)]
        ),
    ]
    nbformat.write(new_notebook(cells=cells), folder.parent / "00_small.ipynb")
    return tmp_path


def test_every_picture_and_panel_is_written_and_shown(repository, tmp_path):
    out = tmp_path / "shots"
    out.mkdir()
    (out / "old.png").write_bytes(b"of an earlier run")
    (out / LAB).write_bytes(b"by the browser")
    shots = write_screenshots(out, repository)
    names = [shot.name for shot in shots]
    assert names[0] == "00_small-a-0.png"
    assert (out / names[0]).read_bytes() == PICTURE
    panel = PaperTimeline()
    first = out / "00_small-panel-PaperTimeline-first.png"
    assert first.read_bytes() == PaperTimeline.render(panel.state).png
    moved = out / "00_small-panel-PaperTimeline-moved.png"
    assert moved.read_bytes() == PaperTimeline.render(panel.state | dict(PaperTimeline.first_move.then)).png
    assert sorted(path.name for path in out.glob("*.png")) == sorted([*names, LAB])
    page = (out / "index.html").read_text()
    assert re.findall(r"<img src='([^']+)'", page) == [LAB, *names]
    assert "a &lt;picture&gt; &amp; more" in page
    assert "<picture>" not in page


def test_every_lesson_on_disk_has_pictures():
    built = [source for source in sources() if screenshots.learner_path(source).is_file()]
    assert all(len(list(pictures(source))) >= 1 for source in built)


def test_command_says_where(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        screenshots, "write_screenshots", lambda folder: write_screenshots(folder, repository)
    )
    assert main(["--out", str(tmp_path / "shots")]) == 0
    told = capsys.readouterr().out
    assert f"of 1 lessons: {tmp_path / 'shots' / 'index.html'}" in told
    assert "look at 00_small-a-0.png: something touches its left edge" in told


def test_a_word_that_is_cut_off_is_seen():
    assert cut_off(picture((3, 5))) == []
    assert cut_off(picture((2, 0))) == ["left"]
    assert cut_off(picture((0, 4), (6, 4))) == ["upper", "lower"]
    assert cut_off(picture((3, 10))) == ["right"]
