"""What README and docs say exists: links, commands, options, targets, lessons, every file on the map."""

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md"), ROOT / "data_samples" / "README.md"])
PACKAGE_HOSTS = (
    "pypi.org",
    "pythonhosted.org",
    "download.pytorch.org",
    "anaconda.org",
    "anaconda.com",
    "npmjs.org",
    "conda.io",
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.~>)-])/(?:home|root|Users|work|tmp|opt|mnt|srv|var|workspace)\b|\b[A-Z]:\\"
)


def each_page(function):
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))(function)


# ------------------------------------------------------------------------------------------------ links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def broken_links(page: Path) -> list[str]:
    """Links to files or headings that are not there; addresses on the web are not followed."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = page.parent / name if name else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    return broken


@each_page
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_would_be_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n[a](#a-heading) [b](#none) [c](missing.md) [d](page.md#a-heading) [e](https://x)\n"
    )
    assert broken_links(page) == ["#none", "missing.md"]


@each_page
def test_no_package_host_and_no_path_of_a_machine(page):
    for line in page.read_text().splitlines():
        assert not any(host in line for host in PACKAGE_HOSTS), line
        assert not MACHINE_PATHS.search(line), line


# --------------------------------------------------------------------------------------- what can be typed


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def code_in(page: Path) -> list[str]:
    """Everything a page sets as code: inline pieces, and lines of indented and fenced blocks."""
    text = page.read_text()
    fenced = [
        line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()
    ]
    plain = without_code(text)
    indented = re.findall(r"^ {4}(\S.*)$", plain, re.MULTILINE)
    inline = [re.sub(r"\s+", " ", piece) for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", plain)]
    return [line.split("  #")[0].strip() for line in [*fenced, *indented, *inline]]


@each_page
def test_every_make_target_exists(page):
    calls = [re.match(r"(?:\w+=\S+ )*make ([a-z]+)", piece) for piece in code_in(page)]
    named = {call.group(1) for call in calls if call}
    assert named <= make_targets()


def command_line() -> TyperGroup:
    from vtlearn.cli import app

    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def vtlearn_calls(page: Path) -> list[list[str]]:
    """The words after ``vtlearn`` in every call of the command that a page shows."""
    calls = []
    for piece in code_in(page):
        match = re.match(r"(?:\S*bin/)?vtlearn (.+)$", piece)
        if match:
            calls.append(shlex.split(match.group(1)))
    return calls


def what_is_wrong_with(words: list[str]) -> str | None:
    """The first word of a call that the command line does not know; None where all is well."""
    command = command_line()
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name, words = words[0], words[1:]
        if name not in command.commands:
            return name
        command = command.commands[name]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    return next((word for word in words if word.startswith("--") and word.split("=")[0] not in known), None)


@each_page
def test_every_vtlearn_command_and_option_exists(page):
    for words in vtlearn_calls(page):
        assert what_is_wrong_with(list(words)) is None, "vtlearn " + " ".join(words)


def test_a_wrong_command_would_be_seen():
    assert what_is_wrong_with(["bake"]) == "bake"
    assert what_is_wrong_with(["samples", "bake"]) == "bake"
    assert what_is_wrong_with(["compare", "--quack"]) == "--quack"
    assert what_is_wrong_with(["samples", "make", "--seed", "1"]) is None


def test_readme_names_the_doors():
    called = {words[0] for words in vtlearn_calls(README)}
    assert called >= {"compare", "start", "reset", "progress", "doctor"}
    text = README.read_text()
    assert all(f"`make {target}`" in text for target in ("compare", "test", "lab"))


def test_options_in_the_table_exist():
    rows = re.findall(r"^\| (`--[^|]+) \|", README.read_text(), re.MULTILINE)
    options = [option for row in rows for option in re.findall(r"--[\w-]+", row)]
    assert len(options) >= 5
    for option in options:
        assert what_is_wrong_with(["compare", option]) is None, option


@each_page
def test_every_install_passes_the_constraints(page):
    for piece in code_in(page):
        if "pip install" in piece:
            assert "-c constraints.txt" in piece, piece


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_python_in_the_readme_runs(capsys):
    blocks = python_blocks(README)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__readme__"})
    assert "torch.Size([2, 5])" in capsys.readouterr().out


# --------------------------------------------------------------------------------------------- lessons


def lesson_rows() -> dict[str, tuple[str | None, str]]:
    """Lesson → (the notebook its row links to, or None; its last column)."""
    rows = re.findall(r"^\| (\d\d) \| (.+?) \| .+ \| (.+?) \|$", README.read_text(), re.MULTILINE)
    found = {}
    for number, title, last in rows:
        link = re.search(r"\]\((.+?)\)", title)
        found[number] = (link.group(1) if link else None, last)
    return found


def test_fourteen_lessons_are_listed():
    assert list(lesson_rows()) == [f"{number:02d}" for number in range(14)]


def test_the_lessons_that_can_be_opened_are_those_on_disk():
    here = {
        path.name[:2]: f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")
    }
    assert {number: link for number, (link, _) in lesson_rows().items() if link} == here
    assert all((last == "planned") == (link is None) for link, last in lesson_rows().values())


def test_minutes_are_what_the_lesson_says():
    for link, last in lesson_rows().values():
        if link is not None:
            cells = json.loads((ROOT / link).read_text())["cells"]
            text = " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
            found = re.search(r"\*\*Time:\*\* about (\d+)\s+minutes", text)
            assert found is not None, f"{link} does not say how long it takes"
            assert last == found.group(1), link


# ---------------------------------------------------------------------------------------------- the map


def modules() -> set[str]:
    """Every file of the package, lessons' numbers written NN; packages are named by their heading."""
    package = ROOT / "vtlearn"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    return {re.sub(r"_\d\d\.py$", "_NN.py", name) for name in files if not name.endswith("__init__.py")}


def mapped() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split("\n## The map\n")[1].split("\n## ")[0]
    return re.findall(r"^- `([\w/]+\.py)` — \S.+$", section, re.MULTILINE)


def test_the_map_names_every_file_once_and_nothing_else():
    assert sorted(mapped()) == sorted(modules())


def test_every_file_named_in_architecture_exists():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+\w+\.\w+)`", text))
    assert len(named) > 50
    for name in named:
        options = [ROOT / name, ROOT / "vtlearn" / name]
        patterns = [name.replace("NN", "[0-9][0-9]").replace("slug", "*")]
        there = any(path.exists() for path in options) or any(
            list(folder.glob(pattern)) for folder in (ROOT, ROOT / "vtlearn") for pattern in patterns
        )
        assert there, name


def test_every_file_says_in_its_first_line_what_lives_there():
    for path in sorted((ROOT / "vtlearn").rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text()))
        assert said, path
        assert re.search(r"[.:]$", said.split("\n\n")[0]), path


def test_floors_are_those_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = re.search(r"## The floors.*?```\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    floors = [re.split(r"\s{2,}", line)[0] for line in drawn.group(1).splitlines()]
    assert floors == [layer.replace("vtlearn.", "") for layer in layers]


# --------------------------------------------------------------------------------------------- the names


def test_the_names_are_in_the_table():
    text = (ROOT / "docs" / "naming.md").read_text()
    named = {
        word
        for row in re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    }
    axes = {"B", "T", "H", "W", "C", "t", "h", "w", "N", "D", "heads", "d"}
    words = {
        "embed_dim",
        "num_heads",
        "head_dim",
        "depth",
        "mlp_ratio",
        "qkv_bias",
        "drop_path",
        "patch_size",
    }
    words |= {"tubelet_size", "num_frames", "frame_stride", "num_classes", "logits"}
    rules = {"mask", "valid_mask", "global_mask", "window_size", "dilation"}
    assert axes | words | rules <= named


def test_configurations_use_the_names():
    from vtlearn.models import model_config

    text = (ROOT / "docs" / "naming.md").read_text()
    config = vars(model_config("vivit_samples"))
    for name in (
        "embed_dim",
        "num_heads",
        "depth",
        "mlp_ratio",
        "qkv_bias",
        "drop_path",
        "tubelet_size",
        "num_frames",
    ):
        assert name in config
        assert f"`{name}`" in text


def test_the_changelog_has_this_version():
    from vtlearn import __version__

    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
