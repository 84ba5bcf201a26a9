"""Each concept of the notes has its lesson and section; a lesson that appears names the rows to fill."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "coverage.md"


class Place(NamedTuple):
    """One row: a concept, and its lesson, section and words there, or the number of a planned lesson."""

    concept: str
    lesson: str
    section: str
    words: str
    planned: str


def places(text: str) -> list[Place]:
    found = []
    for row in re.findall(r"^\| (.+) \|$", text, re.MULTILINE):
        cells = [cell.strip() for cell in row.split("|")]
        if cells[0] in ("concept", "---") or set(cells[0]) <= {"-"}:
            continue
        concept, lesson, section, words = cells
        link = re.fullmatch(r"\[\d\d\]\(\.\./notebooks/(\d\d_\w+\.ipynb)\)", lesson)
        planned = re.fullmatch(r"planned: lesson (\d\d)", lesson)
        assert link or planned, f"{concept}: neither a link nor a planned lesson: {lesson}"
        found.append(Place(concept, link[1] if link else "", section, words, planned[1] if planned else ""))
    return found


def sections(notebook: Path) -> dict[str, str]:
    """Heading → everything below it, code as well, up to the next heading; white space made plain."""
    pieces: dict[str, list[str]] = {}
    heading = ""
    for cell in nbformat.read(notebook, as_version=4).cells:
        for line in cell.source.splitlines():
            title = re.match(r"#+ (.+)", line) if cell.cell_type == "markdown" else None
            heading = title[1].strip() if title else heading
            pieces.setdefault(heading, []).append(line)
    return {name: re.sub(r"\s+", " ", " ".join(lines)).lower() for name, lines in pieces.items()}


def wrong_with(place: Place, notebooks: Path) -> str | None:
    """What is wrong with a row; None where all is well."""
    if place.planned:
        there = sorted(notebooks.glob(f"{place.planned}_*.ipynb"))
        return f"lesson {place.planned} exists now: fill in '{place.concept}'" if there else None
    path = notebooks / place.lesson
    if not path.is_file():
        return f"{place.concept}: no notebook {place.lesson}"
    below = sections(path)
    if place.section not in below:
        return f"{place.concept}: no section '{place.section}' in {place.lesson}"
    if not place.words or place.words.lower() not in below[place.section]:
        return f"{place.concept}: '{place.words}' does not stand in '{place.section}' of {place.lesson}"
    return None


def test_every_concept_is_where_the_page_says():
    rows = places(PAGE.read_text())
    assert len(rows) >= 70
    assert len({row.concept for row in rows}) == len(rows)
    wrong = [said for row in rows if (said := wrong_with(row, ROOT / "notebooks"))]
    assert not wrong, "\n".join(wrong)


def test_every_lesson_teaches_or_will():
    rows = places(PAGE.read_text())
    assert {row.planned or row.lesson[:2] for row in rows} == {f"{number:02d}" for number in range(14)}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("| a | [03](../notebooks/03_a.ipynb) | Two | here it is |", None),
        ("| a | [03](../notebooks/03_a.ipynb) | Three | here it is |", "no section 'Three'"),
        ("| a | [03](../notebooks/03_a.ipynb) | One | here it is |", "does not stand"),
        ("| a | [03](../notebooks/03_a.ipynb) | One | |", "does not stand"),
        ("| a | [04](../notebooks/04_a.ipynb) | One | here |", "no notebook"),
        ("| a | planned: lesson 04 | | |", None),
        ("| a | planned: lesson 03 | | |", "lesson 03 exists now"),
    ],
)
def test_a_wrong_row_would_be_seen(tmp_path, row, said):
    cells = [
        nbformat.v4.new_markdown_cell("# One\nnothing"),
        nbformat.v4.new_markdown_cell("## Two\nhere\nit is"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "03_a.ipynb")
    (place,) = places(row)
    found = wrong_with(place, tmp_path)
    assert found is None if said is None else said in (found or "")


def test_a_row_without_a_place_is_refused():
    with pytest.raises(AssertionError, match="neither a link nor"):
        places("| a | somewhere | | |")
