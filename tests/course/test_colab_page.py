"""The page on Colab, as far as it can be tested without Colab: its cells parse, and what they name exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "colab.md").read_text()
SETUP = re.findall(r"^```sh\n%%bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def plain(name: str) -> str:
    return re.split(r"[^\w.-]", name.strip())[0].lower().replace("_", "-")


def test_there_is_one_cell_of_each_kind():
    assert len(SETUP) == len(PYTHON) == 1


def test_the_shell_cell_parses():
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    for text, code in ((SETUP[0], 0), (SETUP[0].replace('"$REPOSITORY"', '"$REPOSITORY'), 2)):
        assert subprocess.run([bash, "-n"], input=text, text=True, capture_output=True).returncode == code


def test_the_python_cell_runs_and_touches_only_the_path_and_the_state(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setenv("VTLEARN_STATE", "before")
    names: dict = {}
    exec(compile(PYTHON[0], "colab.md", "exec"), names)
    assert names["sys"].path == ["/content/vtlearn"]
    assert names["os"].environ["VTLEARN_STATE"] == "/content/vtlearn-progress"


def test_the_version_of_python_is_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = re.search(r"version_info >= \((\d+), (\d+)\)", SETUP[0])
    assert asked is not None
    assert project["requires-python"] == f">={asked[1]}.{asked[2]}"


def test_the_install_is_constrained_and_its_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (install,) = [line for line in SETUP[0].splitlines() if "pip install" in line]
    constraints = re.search(r" -c (\S+)", install)
    assert constraints is not None
    pinned = {plain(line) for line in (ROOT / constraints[1]).read_text().splitlines() if "==" in line}
    assert {plain(name) for name in project["dependencies"]} <= pinned
    extras = re.search(r"\.\[([\w,]+)\]", install)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])


def test_commands_exist():
    from typer.main import get_command

    from vtlearn.cli import app

    called = re.findall(r"python -m vtlearn ([\w-]+)", PAGE)
    assert set(called) == {"doctor", "progress"}
    assert set(called) <= set(get_command(app).commands)


def test_the_page_says_what_nobody_has_tried():
    assert "Nobody has run this on Colab" in PAGE
