"""pyproject.toml, constraints.txt and environment.yml say the same, and what must stay out stays out."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {"pytorch": "torch"}


def constraints() -> dict[str, str]:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert version, f"constraints.txt: {line!r} is not an exact version"
            pins[canonicalize_name(name)] = version
    return pins


def requirements() -> list[Requirement]:
    groups = PROJECT["project"]["optional-dependencies"].values()
    lines = PROJECT["project"]["dependencies"] + [line for group in groups for line in group]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_is_pinned_inside_its_range(requirement):
    pins = constraints()
    name = canonicalize_name(requirement.name)
    assert name in pins, f"{name} is missing in constraints.txt"
    assert requirement.specifier.contains(pins[name])


def test_torch_is_pinned_without_a_local_version():
    version = Version(constraints()["torch"])
    assert version.local is None
    assert str(version) == "2.13.0"


def conda_set() -> dict[str, str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    found = {}
    for line in environment["dependencies"]:
        if isinstance(line, str) and "=" in line:
            name, _, version = line.partition("=")
            found[canonicalize_name(CONDA_NAMES.get(name, name))] = version
        elif isinstance(line, dict):
            for entry in line["pip"]:
                if "==" in entry:
                    name, _, version = entry.partition("==")
                    found[canonicalize_name(name)] = version
    return found


def test_conda_has_the_same_set_in_the_same_versions():
    pins, conda = constraints(), conda_set()
    assert conda.pop("python").startswith("3.11")
    wanted = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert set(conda) == wanted
    assert conda == {name: pins[name] for name in wanted}


def test_conda_installs_the_project_last():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip_lines = environment["dependencies"][-1]["pip"]
    assert pip_lines[-1] == "-e ."
    assert "-c constraints.txt" in pip_lines


def test_installed_versions_are_the_pinned_ones():
    pins = constraints()
    for requirement in requirements():
        if requirement.marker is None or requirement.marker.evaluate():
            installed = Version(importlib.metadata.version(requirement.name))
            assert installed.public == pins[canonicalize_name(requirement.name)], requirement.name


def test_torchvision_is_absent():
    assert importlib.util.find_spec("torchvision") is None, (
        "torchvision breaks transformers beside a CPU torch"
    )
    assert not {"torchvision", "timm", "vit-pytorch"} & set(constraints())


def test_the_build_does_not_ask_for_torch():
    assert not any("torch" in line for line in PROJECT["build-system"]["requires"])


def test_every_install_passes_the_constraints():
    for name in ("Makefile", "README.md", ".ci/run"):
        for line in (ROOT / name).read_text().splitlines():
            if "pip install" in line:
                assert "-c constraints.txt" in line, f"{name}: {line.strip()}"


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_needs_neither_decoder_nor_notebooks():
    heavy = "av decord matplotlib ipywidgets jupyterlab IPython nbformat transformers"
    code = (
        "import sys, vtlearn, vtlearn.attention, vtlearn.models, vtlearn.data, vtlearn.train\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_import_is_light_beside_torch():
    """Counted in modules, which does not depend on how busy the machine is."""
    code = (
        "import sys, torch, torch.nn.attention.flex_attention\n"
        "before = set(sys.modules)\n"
        "import vtlearn, vtlearn.models\n"
        "print(len(set(sys.modules) - before))"
    )
    assert int(run_python(code)) < 400
