"""Prefetching: the same batches in the same order, and a place to go on from that counts what was used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch

from vtlearn.data.prefetch import Prefetched


class Counting:
    """Batches with their number in them; knows how many were taken."""

    def __init__(self, batches: int = 5) -> None:
        self.batches = batches
        self.taken = 0

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while self.taken < self.batches:
            self.taken += 1
            tensor = torch.full((2, 3), float(self.taken))
            yield {"clip": tensor, "labels": {"label": torch.tensor([self.taken])}, "path": ["a", "b"]}
        self.taken = 0

    def state_dict(self) -> dict[str, int]:
        return {"batch": self.taken}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.taken = state["batch"]


def test_on_a_cpu_batches_pass_through() -> None:
    batches = list(Prefetched(Counting(), "cpu"))
    assert [batch["clip"][0, 0].item() for batch in batches] == [1, 2, 3, 4, 5]
    assert batches[2]["labels"]["label"].tolist() == [3]
    assert batches[0]["path"] == ["a", "b"]
    assert len(Prefetched(Counting(), "cpu")) == 5


def ahead(monkeypatch: pytest.MonkeyPatch) -> type[Prefetched]:
    """The GPU's order of events with the copying itself left out, where there is no GPU."""

    class Stream:
        def __init__(self, *_: object) -> None: ...
        def wait_stream(self, _: object) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr("vtlearn.data.prefetch._used_on", lambda tensor, stream: tensor)
    monkeypatch.setattr(Prefetched, "_send", lambda self, tensor: tensor.clone())
    return Prefetched


def test_one_batch_is_fetched_ahead_and_the_state_is_of_what_was_handed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = ahead(monkeypatch)
    loader = Counting()
    batches = kind(loader, "cuda")
    found = []
    for batch in batches:
        number = int(batch["clip"][0, 0])
        found.append(number)
        assert loader.taken == min(number + 1, 5) % 5 or number >= 4
        assert batches.state_dict() == {"batch": number}
        if number == 3:
            break
    again = kind(Counting(), "cuda")
    again.load_state_dict(batches.state_dict())
    assert found + [int(batch["clip"][0, 0]) for batch in again] == [1, 2, 3, 4, 5]
    assert again.state_dict() == {"batch": 0}


@pytest.mark.gpu
def test_batches_arrive_on_the_gpu() -> None:
    for epoch in range(2):
        batches = Prefetched(Counting(), "cuda")
        for number, batch in enumerate(batches, 1):
            assert batch["clip"].device.type == batch["labels"]["label"].device.type == "cuda", epoch
            busy = torch.ones(512, 512, device="cuda") @ torch.ones(512, 512, device="cuda")
            assert (batch["clip"] == number).all()
            assert busy[0, 0] == 512
            assert batches.state_dict() == {"batch": number}
