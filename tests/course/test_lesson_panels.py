"""Every panel of every lesson: each control moves picture and words once, and drawing is pure."""

from __future__ import annotations

import importlib
import pkgutil

import ipywidgets as widgets
import numpy as np
import pytest
from matplotlib.image import imread

from vtlearn.course import panels as panel_folder
from vtlearn.course.panels import base
from vtlearn.course.panels.base import Panel

LESSONS = sorted(m.name for m in pkgutil.iter_modules(panel_folder.__path__) if m.name.startswith("lesson_"))
PANELS = [one for name in LESSONS for one in importlib.import_module(f"vtlearn.course.panels.{name}").PANELS]
CONTROLS = [(one, name) for one in PANELS for name in one().controls_by_name]


def another_value(control: widgets.Widget):
    """A neighbouring value of a control, as a key press would give."""
    if isinstance(control, widgets.Checkbox):
        return not control.value
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        place = values.index(control.value)
        return values[place + 1 if place + 1 < len(values) else place - 1]
    up = control.value + control.step
    return up if up <= control.max else control.value - control.step


def names(value):
    return value.__name__ if isinstance(value, type) else value


def test_every_lesson_has_a_panel():
    assert PANELS
    assert all(issubclass(one, Panel) for one in PANELS)


@pytest.mark.parametrize(("panel_class", "name"), CONTROLS, ids=names)
def test_control_moves_picture_and_words_once(panel_class, name):
    panel = panel_class()
    before = panel.image.value, panel.words.value
    changes = []
    panel.image.observe(lambda change: changes.append("picture"), names="value")
    panel.words.observe(lambda change: changes.append("words"), names="value")
    control = panel.controls_by_name[name]
    assert control.description, "a control without a label"
    control.value = another_value(control)
    assert changes == ["picture", "words"]
    assert panel.image.value != before[0]
    assert panel.words.value != before[1]
    rendered = panel_class.render(panel.state)
    assert panel.image.value == rendered.png


@pytest.mark.parametrize("panel_class", PANELS, ids=names)
def test_first_move_changes_picture_caption_or_text(panel_class):
    state = panel_class().state
    moved = state | dict(panel_class.first_move.then)
    assert panel_class.first_move.control in state
    assert set(panel_class.first_move.then) <= set(state)
    before, after = panel_class.render(state), panel_class.render(moved)
    assert before.png != after.png
    assert before.text != after.text


@pytest.mark.parametrize("panel_class", PANELS, ids=names)
def test_drawing_is_pure_and_seen(panel_class, tmp_path):
    state = panel_class().state
    first = panel_class.render(state)
    base._rendered.cache_clear()
    assert panel_class.render(state) == first
    (tmp_path / "panel.png").write_bytes(first.png)
    pixels = imread(tmp_path / "panel.png")
    assert np.ptp(pixels[..., :3]) > 0.2
    assert pixels.shape[1] <= 1000, "wider than a page"
    assert len(first.caption) > 20
    assert len(first.text) > 20
    assert repr(panel_class()) == repr(panel_class())
