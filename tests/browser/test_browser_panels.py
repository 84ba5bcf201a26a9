"""Every panel in JupyterLab and Chromium: moved by keyboard, it shows exactly its new state's picture."""

from __future__ import annotations

import base64
import importlib
import json

import nbformat
import pytest

from vtlearn.course import exercise
from vtlearn.course.notebooks import assemble, sources, tags_of

SOURCES = sources()
RUN_CELL = """async (index) => {
  const app = window.jupyterapp;
  app.shell.currentWidget.content.activeCellIndex = index;
  await app.commands.execute('notebook:run-cell');
}"""
SHOWN = """async (image) => {
  await image.decode();
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}"""
FAILED_CELLS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
  .flatMap(cell => (cell.outputs || []).filter(out => out.output_type === 'error').map(out => out.evalue))"""


def panels_of(source):
    return importlib.import_module(f"vtlearn.course.panels.lesson_{source.name[:2]}").PANELS


def only(source, *tags: str) -> nbformat.NotebookNode:
    """The cells of a lesson that carry one of these tags, as a notebook of their own."""
    notebook = assemble(source)
    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type == "code" and set(tags) & set(tags_of(cell))
    ]
    return notebook


def run(page, index: int) -> None:
    page.evaluate(RUN_CELL, index)
    assert page.evaluate(FAILED_CELLS) == []


def shown_by(page, place: int) -> bytes:
    image = page.locator(".vtlearn-panel").nth(place).locator("img").first
    image.wait_for(state="visible", timeout=60_000)
    return base64.b64decode(image.evaluate(SHOWN))


def wait_until_shown(page, place: int, png: bytes) -> None:
    for _ in range(100):
        if shown_by(page, place) == png:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the panel never showed the picture of its new state")


def control_of(page, place: int, label: str):
    """The element of a labelled control that takes keys."""
    panel = page.locator(".vtlearn-panel").nth(place)
    row = panel.locator(".jupyter-widgets").filter(has=page.get_by_text(label, exact=True)).last
    return row.locator(".noUi-handle, select, input[type=checkbox]").first


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_panels_follow_the_keyboard(source, chromium, jupyter):
    page = jupyter.open(chromium, only(source, "setup", "panel"), f"panels_{source.stem}.ipynb")
    try:
        for index in range(len(only(source, "setup", "panel").cells)):
            run(page, index)
        for place, panel_class in enumerate(panels_of(source)):
            panel = panel_class()
            move = panel_class.first_move
            expected = panel.state | dict(move.then)
            assert expected != panel.state
            assert shown_by(page, place) == panel_class.render(panel.state).png
            control = control_of(page, place, panel.controls_by_name[move.control].description)
            control.focus()
            assert control.evaluate("element => element === document.activeElement && element.tabIndex >= 0")
            control.press(move.key)
            wait_until_shown(page, place, panel_class.render(expected).png)
            words = page.locator(".vtlearn-panel").nth(place).inner_text()
            assert panel_class.render(expected).text in words
            assert panel_class.render(expected).caption in words
        assert page.problems == []
    finally:
        page.close()


def test_exercise_panel_checks_what_stands_in_the_cell_now(chromium, jupyter):
    source = SOURCES[0]
    notebook = only(source, "setup", "exercise-answer", "exercise-panel")
    notebook.cells = notebook.cells[:3]
    one = exercise("00.1")
    notebook.cells.append(nbformat.v4.new_code_cell(one.solution))
    page = jupyter.open(chromium, notebook, "exercise_panel.ipynb")
    try:
        for index in range(3):
            run(page, index)
        panel = page.locator(".vtlearn-exercise")
        panel.get_by_role("button", name="Check").focus()
        page.keyboard.press("Enter")
        panel.get_by_text("not attempted yet").wait_for()
        panel.get_by_role("button", name="Hint").click()
        panel.get_by_text(one.hints[0]).wait_for()
        panel.get_by_role("button", name="Solution").click()
        panel.get_by_text("Press Solution once more").wait_for()
        run(page, 3)
        panel.get_by_role("button", name="Check").click()
        panel.get_by_text("✔ passed").wait_for()
        panel.get_by_role("button", name="Solution").click()
        panel.locator("pre").wait_for()
        assert one.solution.strip() in panel.locator("pre").inner_text()
        assert page.problems == []
    finally:
        page.close()
    state = json.loads((jupyter.root / "state" / "progress.json").read_text())
    assert state["exercises"]["00.1"]["passed"]
