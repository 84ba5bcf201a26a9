"""The common ground of all panels: controls, one picture, its caption and its text alternative."""

from __future__ import annotations

import base64
import functools
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import ipywidgets as widgets
from matplotlib.figure import Figure

from vtlearn.viz.digest import to_png

_WIDE = {"description_width": "initial"}


@dataclass(frozen=True)
class Drawing:
    """What a panel draws: the figure, what to notice in it, and the same in words and numbers."""

    figure: Figure
    caption: str
    text: str


class Rendered(NamedTuple):
    """A drawing as the widgets take it."""

    png: bytes
    caption: str
    text: str


@dataclass(frozen=True)
class Move:
    """One key press on a control, and the state's values after it; the browser test makes it."""

    control: str
    key: str
    then: Mapping[str, Any]


class Panel(widgets.VBox):
    """A picture that follows its controls.

    A panel names its ``title`` and ``first_move``, makes ``controls`` and draws a state; the rest is here.
    ``draw`` is pure: the same state gives the same drawing, so it can be cached, and tested without a kernel.
    """

    title: ClassVar[str]
    first_move: ClassVar[Move]

    def __init__(self) -> None:
        self.controls_by_name: dict[str, widgets.Widget] = self.controls()
        first = self.render(self.state)
        at_its_size = widgets.Layout(max_width="100%", align_self="flex-start")
        self.image = widgets.Image(value=first.png, format="png", layout=at_its_size)
        self.words = widgets.HTML(value=self._in_words(first))
        for control in self.controls_by_name.values():
            control.observe(self._follow, names="value")
        super().__init__(
            [widgets.HBox(list(self.controls_by_name.values()), layout=_wrapping()), self.image, self.words]
        )
        self.add_class("vtlearn-panel")

    def controls(self) -> dict[str, widgets.Widget]:
        """Name → labelled control; the names are the keys of a state."""
        raise NotImplementedError(f"{type(self).__name__} makes no controls")

    @classmethod
    def draw(cls, state: Mapping[str, Any]) -> Drawing:
        """Draw a state, from nothing but the state."""
        raise NotImplementedError(f"{cls.__name__} draws nothing")

    @classmethod
    def render(cls, state: Mapping[str, Any]) -> Rendered:
        """The picture as PNG, its caption and its text alternative; cached by state."""
        return _rendered(cls, tuple(sorted(state.items())))  # type: ignore[arg-type]

    @property
    def state(self) -> dict[str, Any]:
        """The controls' values."""
        return {name: control.value for name, control in self.controls_by_name.items()}

    def _follow(self, change: Any) -> None:
        now = self.render(self.state)
        self.image.value = now.png
        self.words.value = self._in_words(now)

    def _in_words(self, rendered: Rendered) -> str:
        return (
            f"<div style='max-width:50em;line-height:1.4'><b>{html.escape(self.title)}.</b> "
            f"{html.escape(rendered.caption)}"
            "<br><span role='status' style='font-size:90%;opacity:.85'>"
            f"In words: {html.escape(rendered.text)}</span></div>"
        )

    def __repr__(self) -> str:
        now = self.render(self.state)
        return f"{self.title}. {now.caption}\nIn words: {now.text}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = dict(super()._repr_mimebundle_(**kwargs) or {})
        picture = base64.b64encode(self.render(self.state).png).decode("ascii")
        return bundle | {"text/plain": repr(self), "image/png": picture}


@functools.lru_cache(maxsize=256)
def _rendered(panel: type[Panel], state: tuple[tuple[str, Any], ...]) -> Rendered:
    drawing = panel.draw(dict(state))
    return Rendered(to_png(drawing.figure), drawing.caption, drawing.text)


def integer(label: str, value: int, low: int, high: int, step: int = 1) -> widgets.IntSlider:
    """A slider over whole numbers (arrow keys move it)."""
    return widgets.IntSlider(
        value=value, min=low, max=high, step=step, description=label, style=_WIDE, layout=_slider_layout()
    )


def number(label: str, value: float, low: float, high: float, step: float) -> widgets.FloatSlider:
    """A slider over decimal numbers (arrow keys move it)."""
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=label, style=_WIDE, layout=_slider_layout()
    )


def choice(label: str, options: Sequence[Any], value: Any = None) -> widgets.Dropdown:
    """One of a few named options (arrow keys move through them)."""
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    chosen = first if value is None else value
    return widgets.Dropdown(options=options, value=chosen, description=label, style=_WIDE)


def steps(label: str, options: Sequence[Any], value: Any = None) -> widgets.SelectionSlider:
    """A slider over listed values (arrow keys move it)."""
    chosen = options[0] if value is None else value
    return widgets.SelectionSlider(
        options=options, value=chosen, description=label, style=_WIDE, layout=_slider_layout()
    )


def switch(label: str, value: bool = False) -> widgets.Checkbox:
    """On or off (the space bar turns it)."""
    return widgets.Checkbox(value=value, description=label, indent=False, style=_WIDE)


def _slider_layout() -> widgets.Layout:
    return widgets.Layout(width="24em")


def _wrapping() -> widgets.Layout:
    return widgets.Layout(flex_flow="row wrap", grid_gap="0.2em 1.5em")
