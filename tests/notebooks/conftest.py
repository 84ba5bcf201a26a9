"""Tests of the course neither read nor write the progress of whoever runs them."""

import pytest


@pytest.fixture(autouse=True)
def _progress_of_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLEARN_STATE", str(tmp_path / "state-of-nobody"))
