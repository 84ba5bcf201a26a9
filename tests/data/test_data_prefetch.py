"""Prefetching: the same batches in the same order, one fetched ahead of its use on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from vtlearn.data.prefetch import prefetched


class Counting:
    """Batches with their number in them; knows how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while self.taken < 5:
            self.taken += 1
            tensor = torch.full((2, 3), float(self.taken))
            yield {"clip": tensor, "labels": {"label": torch.tensor([self.taken])}, "path": ["a", "b"]}


def test_on_a_cpu_batches_pass_through_and_none_is_taken_ahead() -> None:
    source = Counting()
    for number, batch in enumerate(prefetched(source, torch.device("cpu")), 1):
        assert source.taken == number
        assert batch["clip"][0, 0].item() == number
        assert batch["labels"]["label"].tolist() == [number]
        assert batch["path"] == ["a", "b"]


def test_one_batch_is_fetched_ahead_and_every_copy_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's order of events with the copying itself left out, where there is no GPU."""
    events: list[str] = []

    class Stream:
        def __init__(self, *_: object) -> None: ...
        def wait_stream(self, _: object) -> None:
            events.append("wait")

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        events.append("send")
        return tensor.clone()

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr("vtlearn.data.prefetch._used_on", lambda tensor, stream: tensor)
    monkeypatch.setattr("vtlearn.data.prefetch._send", send)
    source, found = Counting(), []
    for batch in prefetched(source, torch.device("cuda")):
        found.append(int(batch["clip"][0, 0]))
        assert source.taken == min(found[-1] + 1, 5), "the next one is on its way"
        assert events.count("wait") == found[-1]
    assert found == [1, 2, 3, 4, 5]
    assert events.count("send") == 2 * 5, "the clips and their labels"


@pytest.mark.gpu
def test_batches_arrive_on_the_gpu() -> None:
    for number, batch in enumerate(prefetched(Counting(), torch.device("cuda")), 1):
        assert batch["clip"].device.type == batch["labels"]["label"].device.type == "cuda"
        busy = torch.ones(512, 512, device="cuda") @ torch.ones(512, 512, device="cuda")
        assert (batch["clip"] == number).all()
        assert busy[0, 0] == 512
