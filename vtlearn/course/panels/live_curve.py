"""A learning curve that is drawn anew while a run trains: around its steps, or beside its folder."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ipywidgets as widgets
from matplotlib.figure import Figure

from vtlearn.errors import require_positive
from vtlearn.runs.folder import METRICS, MetricsFollower
from vtlearn.train.loop import Step
from vtlearn.viz.curves import learning_curves
from vtlearn.viz.digest import to_png

Stepped = TypeVar("Stepped", bound=Step)


class LiveCurve(widgets.VBox):
    """The loss over steps, and the same in words; it follows what it is given.

    The loop is a generator, so the curve stands around it: ``for step in curve.follow(train_steps(…))``. A
    run in another process is followed by its folder: ``LiveCurve().watch("results/training/a")``.

    Args:
        value: which number of a row is drawn, such as "loss" or "val_top1".
        every: steps between two drawings.
        momentum: smoothing of the line; the points stay as measured.

    >>> curve = LiveCurve()
    >>> curve.add({"step": 1, "loss": 2.0})
    >>> curve.add({"step": 2, "loss": 1.5})
    >>> curve.words.value
    'step 2: loss 1.5000, lowest 1.5000 at step 2'
    """

    def __init__(self, value: str = "loss", *, every: int = 10, momentum: float = 0.6) -> None:
        require_positive(every=every)
        self.value_name, self.every, self.momentum = value, every, momentum
        self.points: list[tuple[int, float]] = []
        self.image = widgets.Image(format="png", value=b"")
        self.words = widgets.Label(value="no step yet")
        super().__init__([self.image, self.words])

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one row of numbers; the picture follows with :meth:`redraw`.

        A row of a step that is there already, as after a resume, takes the place of what came from there on.
        """
        value = row.get(self.value_name)
        if value is None:
            return
        step = int(row["step"])
        self.points = [point for point in self.points if point[0] < step]
        self.points.append((step, float(value)))
        lowest = min(self.points, key=lambda point: point[1])
        self.words.value = (
            f"step {step}: {self.value_name} {float(value):.4f}, lowest {lowest[1]:.4f} at step {lowest[0]}"
        )

    def figure(self) -> Figure:
        """The curve as it stands."""
        return learning_curves(
            {self.value_name: self.points}, value_name=self.value_name, momentum=self.momentum
        )

    def redraw(self) -> None:
        """Draw what there is."""
        if self.points:
            self.image.value = to_png(self.figure())

    def follow(self, steps: Iterable[Stepped]) -> Iterator[Stepped]:
        """The loop's steps, one after the other, drawn as they pass."""
        for step in steps:
            self.add({"step": step.step, "loss": step.loss, "lr": step.lr, "grad_norm": step.grad_norm})
            if step.step % self.every == 0:
                self.redraw()
            yield step
        self.redraw()

    def watch(self, folder: str | Path, *, seconds: float = 1.0, until: int | None = None) -> LiveCurve:
        """Follow a run of another process until it has a result, or until step ``until``.

        Args:
            folder: the run's.
            seconds: between two looks.
            until: a step at which to stop looking.
        """
        follower = MetricsFollower(Path(folder) / METRICS)
        while True:
            done = (Path(folder) / "result.json").exists()  # asked first: rows may still come before it
            rows = follower.new_rows()
            for row in rows:
                self.add(row)
            if rows:
                self.redraw()
            reached = until is not None and bool(self.points) and self.points[-1][0] >= until
            if done or reached:
                return self
            time.sleep(seconds)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = dict(super()._repr_mimebundle_(**kwargs) or {})
        bundle["text/plain"] = self.words.value
        if self.image.value:
            bundle["image/png"] = base64.b64encode(self.image.value).decode("ascii")
        return bundle
