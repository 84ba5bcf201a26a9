"""Mixup and CutMix over clips: two clips and their labels become one, with soft targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vtlearn.errors import require, require_one_of, require_positive


def soft_targets(labels: Tensor, num_classes: int) -> Float[Tensor, "B classes"]:
    """Class numbers as probabilities; soft targets stay what they are.

    >>> soft_targets(torch.tensor([1]), 3)
    tensor([[0., 1., 0.]])
    """
    return labels if labels.is_floating_point() else F.one_hot(labels.long(), num_classes).float()


def mixup_clips(
    clips: Float[Tensor, "B T C H W"], partner: Int[Tensor, "B"], share: float
) -> Float[Tensor, "B T C H W"]:
    """``share`` of each clip plus the rest of its partner, pixel by pixel (Zhang et al., arXiv 1710.09412).

    >>> clips = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1)
    >>> mixup_clips(clips, torch.tensor([1, 0]), 0.75).flatten()
    tensor([0.2500, 0.7500])
    """
    return share * clips + (1.0 - share) * clips[partner]


def cutmix_clips(
    clips: Float[Tensor, "B T C H W"], partner: Int[Tensor, "B"], share: float
) -> tuple[Float[Tensor, "B T C H W"], float]:
    """Each clip with one box of its partner's pixels (Yun et al., arXiv 1905.04899), the same in every frame.

    The box keeps its place over time, so that what moves inside it moves as it did.

    Args:
        clips: ``(B, T, C, H, W)``.
        partner: whose pixels each clip gets.
        share: of the area that should stay; the box is cut at the edges and rounded to pixels.

    Returns:
        the clips, and the share that really stayed.

    >>> clips = torch.arange(2.0).reshape(2, 1, 1, 1, 1).expand(2, 1, 1, 8, 8)
    >>> mixed, stayed = cutmix_clips(clips, torch.tensor([1, 0]), 0.75)
    >>> round(float(1 - mixed[0].mean()), 4) == round(stayed, 4)
    True
    """
    height, width = clips.shape[-2:]
    side = (1.0 - share) ** 0.5
    sizes = round(side * height), round(side * width)
    centre = [int(torch.randint(0, length, ())) for length in (height, width)]
    (top, bottom), (left, right) = (
        (max(middle - size // 2, 0), min(middle - size // 2 + size, length))
        for middle, size, length in zip(centre, sizes, (height, width), strict=True)
    )
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = clips[partner][..., top:bottom, left:right]
    return mixed, 1.0 - (bottom - top) * (right - left) / (height * width)


class MixClips:
    """Mixes every batch by mixup or CutMix; given to the loop as ``prepare``.

    All clips of a batch are mixed by one share, drawn from Beta(alpha, alpha), each with a random partner.
    Random numbers come from torch's global generator, which checkpoints keep.

    Args:
        num_classes: classes, or labelling → classes.
        mixup_alpha: 0 for no mixup.
        cutmix_alpha: 0 for no CutMix; where both are above 0 each batch tosses a coin.

    Raises:
        ArgumentError: both are 0, one is negative, or a labelling has no number of classes.

    >>> _ = torch.manual_seed(0)
    >>> mix = MixClips(3, mixup_alpha=0.8)
    >>> clips, targets = mix((torch.rand(4, 2, 3, 8, 8), torch.tensor([0, 1, 2, 1])))
    >>> targets.shape, bool((targets.sum(1) - 1).abs().max() < 1e-6)
    (torch.Size([4, 3]), True)
    """

    def __init__(
        self,
        num_classes: int | Mapping[str, int],
        *,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
    ) -> None:
        require(mixup_alpha >= 0, "mixup_alpha", mixup_alpha, "at least 0")
        require(cutmix_alpha >= 0, "cutmix_alpha", cutmix_alpha, "at least 0")
        require(mixup_alpha + cutmix_alpha > 0, "mixup_alpha", mixup_alpha, "above 0, or else cutmix_alpha")
        for count in num_classes.values() if isinstance(num_classes, Mapping) else [num_classes]:
            require_positive(num_classes=count)
        self.num_classes = num_classes
        self.alphas = {"mixup": mixup_alpha, "cutmix": cutmix_alpha}

    def __call__(self, batch: Any) -> Any:
        """A batch (dict or tuple) → the same kind of batch, mixed, with soft targets."""
        if isinstance(batch, Mapping):
            clips, labels = self._mix(batch["clip"], batch["labels"])
            return {**batch, "clip": clips, "labels": labels}
        require(isinstance(batch, Sequence), "batch", type(batch).__name__, "a dict or a tuple")
        clips, labels = self._mix(batch[0], batch[-1])
        return (clips, *batch[1:-1], labels)

    def _mix(self, clips: Tensor, labels: Any) -> tuple[Tensor, Any]:
        require(clips.is_floating_point(), "clip", clips.dtype, "floating point before mixing")
        kinds = [kind for kind, alpha in self.alphas.items() if alpha > 0]
        kind = kinds[int(torch.randint(0, len(kinds), ()))]
        share = float(torch.distributions.Beta(self.alphas[kind], self.alphas[kind]).sample())
        partner = torch.randperm(len(clips)).to(clips.device)
        if kind == "mixup":
            clips = mixup_clips(clips, partner, share)
        else:
            clips, share = cutmix_clips(clips, partner, share)
        if isinstance(labels, Mapping):
            return clips, {name: self._soften(name, labels[name], partner, share) for name in labels}
        return clips, self._soften(None, labels, partner, share)

    def _soften(self, name: str | None, labels: Tensor, partner: Tensor, share: float) -> Tensor:
        count = self.num_classes
        if isinstance(count, Mapping):
            require_one_of("labelling", name, list(count))
            count = count[str(name)]
        targets = soft_targets(labels, count)
        return share * targets + (1.0 - share) * targets[partner]
