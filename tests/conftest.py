"""Shape annotations are checked while the tests run; one thread; `gpu` and `browser` tests skip with a
reason."""

import os

import jaxtyping
import pytest

# Before anything imports vtlearn: every annotated function of the package is checked by beartype in the
# tests.
# The hook breaks torch.compile, so tests that compile use the fixture `unchecked_shapes`.
_HOOK = jaxtyping.install_import_hook("vtlearn", "beartype.beartype")

import torch  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture
def unchecked_shapes():
    """Switch the shape checks off for one test (they do not survive torch.compile and torch.export)."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def pytest_collection_modifyitems(config, items):
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device, and this machine has none")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)
