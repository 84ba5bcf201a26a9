"""Ridge regression on thumbnails: what linear algebra and one good feature make of the same clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vtlearn.data.memory import ClipMemory
from vtlearn.data.sampling import uniform_indices
from vtlearn.train.evaluate import wilson_interval

FRAMES = 12
"""Frames of a clip that are looked at; all where fewer are stored."""

SIDE = 16
"""Rows and columns of a thumbnail."""

STRENGTHS = tuple(10.0**power for power in range(0, 7))
"""Penalties to choose from, inside the training clips (each left out once)."""

ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "in order": lambda clips: clips,
    "order-blind": lambda clips: clips.sort(dim=1).values,
    "one frame": lambda clips: clips[:, clips.shape[1] // 2, None],
}
"""What is kept of time: ``(clips, frames, pixels)`` to the same; sorted, a pixel forgets when it was how."""


def thumbnails(clips: ClipMemory, *, background: bool) -> Float[Tensor, "n F pixels"]:
    """Grey thumbnails of frames spread evenly; without ``background``, |frame − the clip's median|.

    >>> import torch
    >>> frames = torch.zeros(2, 6, 8, 8, 3, dtype=torch.uint8)
    >>> clips = ClipMemory(frames, torch.zeros(2, 6, dtype=torch.long), {}, {}, ["a", "b"])
    >>> thumbnails(clips, background=False).shape
    torch.Size([2, 6, 256])
    """
    stored = clips.frames.shape[1]
    chosen = uniform_indices(stored, min(FRAMES, stored))
    grey = clips.frames[:, chosen].float().mean(dim=-1)
    small = F.interpolate(grey, (SIDE, SIDE), mode="area")
    if not background:
        small = (small - small.median(dim=1, keepdim=True).values).abs()
    return small.flatten(2)


def ridge_rows(train: ClipMemory, test: ClipMemory) -> dict[str, list[dict[str, Any]]]:
    """For each labelling, ridge regression on raw and on background-subtracted thumbnails, in order and
    order-blind, and on one raw frame: alone, a frame knows no background to subtract.

    Every number is standardised over the training clips, where the penalty is chosen too.

    Returns:
        labelling → rows of ``features``, ``test_top1``, ``interval``, ``clips``, ``penalty``.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found: dict[str, list[dict[str, Any]]] = {labelling: [] for labelling in train.class_names}
    for background, of in ((True, "thumbnails"), (False, "background subtracted")):
        shown = [thumbnails(clips, background=background) for clips in (train, test)]
        for order, keep in ORDERS.items():
            if order == "one frame" and not background:
                continue
            known, unseen = (keep(each).flatten(1).numpy() for each in shown)
            for labelling, rows in found.items():
                ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=STRENGTHS))
                ridge.fit(known, train.labels[labelling].numpy())
                truth = test.labels[labelling].numpy()
                right = int((ridge.predict(unseen) == truth).sum())
                rows.append(
                    {
                        "features": f"{of}, {order}",
                        "test_top1": right / len(truth),
                        "interval": list(wilson_interval(right, len(truth))),
                        "clips": len(truth),
                        "penalty": float(ridge[-1].alpha_),
                    }
                )
    return found


def best_of(shallow: Mapping[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Labelling → accuracy of the best of its rows.

    >>> best_of({"label": [{"test_top1": 0.2}, {"test_top1": 0.8}]})
    {'label': 0.8}
    """
    return {labelling: max(row["test_top1"] for row in rows) for labelling, rows in shallow.items()}


def told(shallow: Mapping[str, list[dict[str, Any]]]) -> str:
    """The rows as text, an accuracy with its 95 % interval each."""
    lines = []
    for labelling, rows in shallow.items():
        lines.append(f"ridge regression on {SIDE} × {SIDE} pixels, {labelling}:")
        for row in rows:
            low, high = row["interval"]
            rate = f"{100 * row['test_top1']:5.1f} % ({100 * low:.0f}–{100 * high:.0f})"
            lines.append(f"  {row['features']:<36}{rate}")
    return "\n".join(lines)
