"""A look at a lesson in JupyterLab as a learner sees it, kept among the screenshots."""

from __future__ import annotations

import io

import nbformat
import numpy as np
from matplotlib.image import imread

from vtlearn.course.notebooks import learner_path, sources
from vtlearn.course.screenshots import LAB
from vtlearn.course.workspace import REPOSITORY
from vtlearn.files import written_aside


def test_a_lesson_can_be_seen_in_jupyterlab(chromium, jupyter):
    notebook = nbformat.read(learner_path(sources(["00"])[0]), as_version=4)
    page = jupyter.open(chromium, notebook, "00_as_it_opens.ipynb")
    try:
        page.get_by_role("heading", name="Start here").first.wait_for()
        seen = page.screenshot()
        assert page.problems == []
    finally:
        page.close()
    assert np.ptp(imread(io.BytesIO(seen))[..., :3]) > 0.5, "an empty page"
    with written_aside(REPOSITORY / "build" / "screenshots" / LAB) as aside:
        aside.write_bytes(seen)
