"""The golden traces know the bundled clips as the comparison decodes them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the traces, which the tests and make_traces.py share

from vtlearn.study.compare import Comparison, prepare_clips
from vtlearn.study.protocol import Protocol


def decoded(folder):
    """Split → file of the bundled clips, decoded by the default protocol."""
    comparison = Comparison(folder=folder, protocol=Protocol.default(), data={"samples_seed": 0})
    return prepare_clips(comparison)[0]


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """The decoded clips."""
    return decoded(tmp_path_factory.mktemp("golden"))
