"""What the cells of a lesson call: a seeded start, figures with their words, checks, panels and the quiz."""

from __future__ import annotations

import base64
import functools
import gc

import numpy as np
import torch
from IPython.display import display
from matplotlib.figure import Figure

from vtlearn.course.exercise import check, mine
from vtlearn.course.panels.exercise import ProgressBoard, exercise_panel
from vtlearn.course.quiz import quiz
from vtlearn.runtime import seed_everything, set_threads
from vtlearn.viz.digest import to_png

__all__ = ["ProgressBoard", "check", "exercise_panel", "mine", "quiz", "show", "start_lesson"]

SEED = 0


@functools.cache
def _leave_modules_alone() -> None:
    """Take what is loaded by now out of garbage collection, once.

    A full sweep over it takes a fifth of a second: who moves a slider would feel it.
    """
    gc.collect()
    gc.freeze()


def start_lesson(number: str) -> None:
    """Make a lesson repeatable: one seed, one thread, deterministic algorithms, fixed print options."""
    seed_everything(SEED)
    set_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_printoptions(precision=4, sci_mode=False, linewidth=100, edgeitems=3)
    np.set_printoptions(precision=4, suppress=True, linewidth=100)
    _leave_modules_alone()
    print(f"Lesson {number}: seed {SEED}, one thread.")


def show(figure: Figure, text: str) -> None:
    """Show a figure, and under it the same in words: the line that is compared when the lesson is tested.

    Args:
        figure: drawn by ``vtlearn.viz``, or by hand.
        text: its digest, read back from the drawn artists.
    """
    png = base64.b64encode(to_png(figure)).decode("ascii")
    display({"image/png": png, "text/plain": text}, raw=True, metadata={"image/png": {"alt": text}})
    print(f"In words: {text}")
