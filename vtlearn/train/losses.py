"""Losses over one head or several: which logits meet which labels; cross-entropy with soft targets too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vtlearn.errors import ArgumentError, require, require_probability

ONLY_HEAD = "label"
"""The name of the labelling where a model has one head and the labels carry no name."""


def pair_heads(outputs: Any, labels: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Labelling → (logits, labels), whether either side is a plain tensor or a dict of labellings.

    A model may have fewer heads than the clips have labellings; a head without labels is an error, and so is
    one unnamed head where the clips carry several labellings.

    Args:
        outputs: logits ``(B, classes)``, or a dict labelling → logits.
        labels: class indices ``(B,)``, soft targets ``(B, classes)``, or a dict labelling → either.

    Raises:
        ArgumentError: the two sides do not meet, or disagree on the number of clips.

    >>> heads = {"motion": torch.zeros(2, 8)}
    >>> list(pair_heads(heads, {"motion": torch.tensor([1, 2]), "appearance": torch.tensor([0, 0])}))
    ['motion']
    """
    if isinstance(outputs, Mapping):
        if not isinstance(labels, Mapping):
            raise ArgumentError(
                "labels", type(labels).__name__, f"a dict with the labellings {sorted(outputs)}"
            )
        missing = sorted(set(outputs) - set(labels))
        require(not missing, "labels", sorted(labels), f"labellings that include {missing}")
        pairs = {name: (logits, labels[name]) for name, logits in outputs.items()}
    elif isinstance(labels, Mapping):
        if len(labels) != 1:
            raise ArgumentError("labels", sorted(labels), "one labelling for a model with one unnamed head")
        ((name, only),) = labels.items()
        pairs = {name: (outputs, only)}
    else:
        pairs = {ONLY_HEAD: (outputs, labels)}
    for name, (logits, target) in pairs.items():
        if len(logits) != len(target):
            raise ArgumentError(f"labels[{name!r}]", len(target), f"as many as the clips: {len(logits)}")
    return pairs


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the clips, in float32 at least, of class indices or soft targets.

    Args:
        logits: ``(B, classes)``.
        labels: class indices ``(B,)``, or target probabilities ``(B, classes)`` as mixup makes them.
        label_smoothing: mass spread evenly over all classes (Szegedy et al., arXiv 1512.00567).

    >>> uniform = torch.zeros(3, 4)
    >>> round(float(cross_entropy(uniform, torch.tensor([0, 1, 2]))), 4)
    1.3863
    """
    require_probability(label_smoothing=label_smoothing)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    target = labels.to(logits.dtype) if labels.is_floating_point() else labels.long()
    return F.cross_entropy(logits, target, label_smoothing=label_smoothing)


def multi_head_loss(
    outputs: Any,
    labels: Any,
    *,
    weights: Mapping[str, float] | None = None,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """One cross-entropy per labelling; the loop minimises their sum and reports each.

    Works for one unnamed head as well (see :func:`pair_heads`), so it is the loop's default.

    Args:
        outputs: what the model returned: logits, or a dict labelling → logits.
        labels: what the batch holds: class indices or soft targets, or a dict labelling → either.
        weights: labelling → factor; labellings not named count once.
        label_smoothing: as in :func:`cross_entropy`.

    >>> outputs = {"motion": torch.zeros(2, 8), "appearance": torch.zeros(2, 4)}
    >>> labels = {"motion": torch.tensor([1, 2]), "appearance": torch.tensor([0, 3])}
    >>> {name: round(float(loss), 3) for name, loss in multi_head_loss(outputs, labels).items()}
    {'motion': 2.079, 'appearance': 1.386}
    """
    factors = dict(weights or {})
    pairs = pair_heads(outputs, labels)
    unknown = sorted(set(factors) - set(pairs))
    require(not unknown, "weights", unknown, f"labellings among {sorted(pairs)}")
    return {
        name: factors.get(name, 1.0) * cross_entropy(logits, target, label_smoothing=label_smoothing)
        for name, (logits, target) in pairs.items()
    }
