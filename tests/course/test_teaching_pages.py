"""The glossary, the plan for teachers, and the lessons' links into the docs say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext

from vtlearn.course import exercise, exercises
from vtlearn.course.notebooks import sources

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FOR_AUTHORS = {"probe", "contestant", "job", "run", "word", "elsewhere", "left out", "skipped", "words"}


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def entries() -> dict[str, str]:
    """Heading → its text."""
    pieces = re.split(r"^### (.+)$", (DOCS / "glossary.md").read_text(), flags=re.MULTILINE)[1:]
    return {
        name: re.sub(r"\s+", " ", text).strip() for name, text in zip(pieces[::2], pieces[1::2], strict=True)
    }


def words_of_naming() -> set[str]:
    """What stands in the first column of the tables of words, marks of code taken off."""
    text = (DOCS / "naming.md").read_text().split("\n## Words of models\n")[1]
    own = re.sub(r"\| elsewhere \|.*?\n\n", "\n\n", text, flags=re.DOTALL)
    cells = re.findall(r"^\| ([^|]+) \|", own, re.MULTILINE)
    words = {word.strip().strip("`").lstrip("…") for cell in cells for word in cell.split(", ")}
    return {word for word in words if word not in FOR_AUTHORS and not set(word) <= {"-"}}


def missing_from_glossary(words: set[str]) -> set[str]:
    everything = " ".join([*entries(), *entries().values()]).lower()
    return {word for word in words if word.lower() not in everything}


def test_glossary_is_in_order_and_every_term_once():
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in entries()]
    assert len(names) >= 60
    assert names == sorted(set(names))


def test_a_term_is_told_in_a_sentence_or_two():
    for name, text in entries().items():
        assert 1 <= len(re.findall(r"[.?](?= [A-Z`]|$)", text)) <= 3, name
        assert 20 < len(text) < 330, name


def test_every_word_of_the_table_of_names_is_there():
    words = words_of_naming()
    assert {"receptive field", "valid_mask", "view", "stub", "split"} <= words
    assert missing_from_glossary(words) == set()
    assert missing_from_glossary({"quagmire"}) == {"quagmire"}


def broken_links(text: str, folder: Path) -> list[str]:
    """Links to pages, and to headings of pages, that are not there."""
    broken = []
    for target in re.findall(r"\]\((\.\./docs/[^)\s]+)\)", text):
        name, _, wanted = target.partition("#")
        page = folder / name
        headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE) if page.is_file() else []
        if not page.is_file() or (wanted and wanted not in map(anchor, headings)):
            broken.append(target)
    return broken


def test_links_of_the_lessons_into_the_docs_resolve():
    for source in sources():
        cells = jupytext.reads(source.read_text(), fmt="py:percent").cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert broken_links(text, ROOT / "notebooks") == [], source.name


def test_a_broken_link_would_be_seen():
    good = "[a](../docs/glossary.md#global-token) [b](../docs/naming.md)"
    bad = "[a](../docs/glossary.md#nonsense) [b](../docs/none.md)"
    assert broken_links(good + bad, ROOT / "notebooks") == ["../docs/glossary.md#nonsense", "../docs/none.md"]


# --------------------------------------------------------------------------------------------- teaching


TEACHING = (DOCS / "teaching.md").read_text()


def lessons_to_teach() -> dict[str, str]:
    """Lesson → what the page says of it."""
    pieces = re.split(r"^### (\d\d) · .+$", TEACHING, flags=re.MULTILINE)[1:]
    return {number: re.sub(r"\s+", " ", text) for number, text in zip(pieces[::2], pieces[1::2], strict=True)}


def test_every_lesson_can_be_taught():
    told = lessons_to_teach()
    assert list(told) == [f"{number:02d}" for number in range(14)]
    for number, text in told.items():
        assert "To talk about" in text, number
        assert text.count("?") >= 2, number


def test_timing_is_what_the_lesson_says():
    for source in sources():
        text = lessons_to_teach()[source.name[:2]]
        said = re.search(r"\*\*Time:\*\* (\d+) minutes", text)
        assert said is not None, f"{source.name} exists: docs/teaching.md needs its timing and common errors"
        plain = re.sub(r"\n# ?", " ", source.read_text())
        assert re.search(rf"\*\*Time:\*\* about {said[1]}\s+minutes", plain), source.name


def test_common_errors_are_those_that_the_checks_know():
    for source in sources():
        text = (
            lessons_to_teach()[source.name[:2]].split("**Common errors:**")[1].split("**To talk about:**")[0]
        )
        found = re.findall(r"(\d\d\.\d)((?:,? \*[^*]+\*)+)", text)
        assert len(found) >= 2, source.name
        for name, errors in found:
            known = {wrong.name for wrong in exercise(name).wrong_answers}
            assert set(re.findall(r"\*([^*]+)\*", errors)) <= known, name


def test_plans_use_every_lesson_in_order_and_real_exercises():
    known = {one.id for one in exercises()}
    for title in ("Twelve sessions of two hours", "Six sessions of three hours"):
        plan = TEACHING.split(f"## {title}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (\d+) \| ([\d, ]+) \| (.*)$", plan, re.MULTILINE)
        assert len(rows) == (12 if title.startswith("Twelve") else 6)
        assert [number for _, numbers, _ in rows for number in numbers.split(", ")] == [
            f"{number:02d}" for number in range(14)
        ]
        assert {name for *_, rest in rows for name in re.findall(r"\d\d\.\d", rest)} <= known
