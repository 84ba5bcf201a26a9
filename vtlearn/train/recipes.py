"""The papers' training recipes as named, frozen settings, each with its source, and a tiny one for the
samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from vtlearn.errors import ArgumentError, require, require_one_of, require_positive, require_probability
from vtlearn.train.losses import multi_head_loss
from vtlearn.train.optim import Schedule, adamw, sgd, step_schedule, warmup_cosine


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model was trained; what the loop, the data side and the model read from one place.

    Attributes:
        name: of the recipe.
        source: where the numbers come from, and what is known to differ.
        optimizer: "sgd" (momentum 0.9) or "adamw".
        nesterov: whether SGD's momentum looks ahead.
        learning_rate: base rate for ``batch_size``.
        batch_size: clips a step, over all processes.
        epochs: passes over the training split.
        milestones: epochs from which the rate is a tenth of what it was; empty means a cosine to zero.
        warmup_epochs: linear rise at the start.
        warmup_steps: the same in steps, at most half of them all; takes the place of ``warmup_epochs``.
        weight_decay: of matrices and filters.
        clip_norm: longest gradient, or None.
        num_frames: frames a clip.
        frame_stride: frames of the video from one frame of the clip to the next; 0 spreads them over the
            video.
        crop: pixels of the square crop.
        short_side: (low, high) pixels of the shorter side, drawn at random before cropping.
        scale_jitter: (low, high) factors, drawn at random, on top of that.
        shift: pixels by which a clip is moved at most, in each direction.
        flip: mirror half of the clips.
        mean: subtracted from pixels in [0, 1]; one number, or one for each channel.
        std: divided by.
        label_smoothing: see :func:`vtlearn.train.losses.cross_entropy`.
        mixup_alpha: see :class:`vtlearn.train.mix.MixClips`; 0 is none.
        drop_path: highest rate, reached in the last block.
        randaugment: (operations, strength), or None.
    """

    name: str
    source: str
    optimizer: str
    nesterov: bool = True
    learning_rate: float
    batch_size: int
    epochs: int
    milestones: tuple[int, ...] = ()
    warmup_epochs: float = 0.0
    warmup_steps: int | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    num_frames: int
    frame_stride: int
    crop: int
    short_side: tuple[int, int]
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    shift: int = 0
    flip: bool = True
    mean: float | tuple[float, ...] = 0.45
    std: float | tuple[float, ...] = 0.225
    label_smoothing: float = 0.0
    mixup_alpha: float = 0.0
    drop_path: float = 0.0
    randaugment: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        require_one_of("optimizer", self.optimizer, ("sgd", "adamw"))
        require_positive(
            batch_size=self.batch_size, epochs=self.epochs, num_frames=self.num_frames, crop=self.crop
        )
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require_probability(label_smoothing=self.label_smoothing, drop_path=self.drop_path)
        late = [epoch for epoch in self.milestones if epoch >= self.epochs]
        require(not late, "milestones", late, f"below epochs = {self.epochs}")

    def build_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The recipe's optimiser over ``model``'s parameters.

        >>> type(RECIPES["samples"].build_optimizer(nn.Linear(2, 2))).__name__
        'AdamW'
        """
        if self.optimizer == "adamw":
            return adamw(model, self.learning_rate, weight_decay=self.weight_decay)
        return sgd(model, self.learning_rate, weight_decay=self.weight_decay, nesterov=self.nesterov)

    def build_schedule(self, steps_per_epoch: int, steps: int | None = None) -> tuple[Schedule, int]:
        """The recipe's schedule in steps, and how many there are; both stretched where ``steps`` is given.

        >>> schedule, steps = RECIPES["timesformer_k400"].build_schedule(steps_per_epoch=100)
        >>> steps, schedule(1099), schedule(1100), schedule(1400)
        (1500, 1.0, 0.1, 0.01)
        """
        require_positive(steps_per_epoch=steps_per_epoch)
        total = self.epochs * steps_per_epoch if steps is None else steps
        an_epoch = total / self.epochs
        warmup = min(round(self.warmup_epochs * an_epoch), max(total - 1, 0))
        if self.warmup_steps is not None:
            warmup = min(self.warmup_steps, total // 2)
        if self.milestones:
            milestones = sorted({max(1, round(epoch * an_epoch)) for epoch in self.milestones})
            return partial(step_schedule, milestones=milestones, warmup_steps=warmup), total
        return partial(warmup_cosine, total_steps=total, warmup_steps=warmup), total

    def build_loss(self) -> Callable[..., Any]:
        """Cross-entropy over every head, smoothed as the recipe says."""
        return partial(multi_head_loss, label_smoothing=self.label_smoothing)


_TIMESFORMER = (
    "TimeSformer, arXiv 2102.05095, section 4 and the released TimeSformer_divST_8x32_224 configuration. "
    "Ours leaves tables, biases and norms undecayed; the released optimiser decays all but BatchNorm"
)
_VIVIT = (
    "ViViT, arXiv 2103.15691, table of hyper-parameters and the released Scenic configurations (K400's "
    "colour jitter and random grey are left out; RandAugment's strength is at most 10 here)"
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="timesformer_k400",
            source=_TIMESFORMER,
            optimizer="sgd",
            learning_rate=0.005,
            batch_size=16,
            epochs=15,
            milestones=(11, 14),
            weight_decay=1e-4,
            num_frames=8,
            frame_stride=32,
            crop=224,
            short_side=(256, 320),
            drop_path=0.1,
        ),
        Recipe(
            name="vtn_k400",
            source="VTN, arXiv 2102.00719, released VIT_B_VTN configuration (no warm-up)",
            optimizer="sgd",
            learning_rate=0.001,
            batch_size=16,
            epochs=25,
            milestones=(13, 24),
            weight_decay=1e-4,
            num_frames=16,
            frame_stride=8,
            crop=224,
            short_side=(256, 320),
        ),
        Recipe(
            name="vivit_k400",
            source=f"{_VIVIT}; B/16x2 model 1 (the factorised encoder takes half the rate)",
            optimizer="sgd",
            nesterov=False,
            learning_rate=0.1,
            batch_size=64,
            epochs=30,
            warmup_epochs=2.5,
            clip_norm=1.0,
            num_frames=32,
            frame_stride=2,
            crop=224,
            short_side=(256, 256),
            scale_jitter=(0.9, 1.33),
            mean=0.5,
            std=0.5,
        ),
        Recipe(
            name="vivit_ssv2",
            source=f"{_VIVIT}; Something-Something v2, where a label may name a side",
            optimizer="sgd",
            nesterov=False,
            learning_rate=0.4,
            batch_size=64,
            epochs=35,
            warmup_epochs=2.5,
            clip_norm=1.0,
            num_frames=32,
            frame_stride=1,
            crop=256,
            short_side=(288, 288),
            flip=False,
            mean=0.5,
            std=0.5,
            label_smoothing=0.3,
            mixup_alpha=0.3,
            drop_path=0.3,
            randaugment=(2, 20),
        ),
        Recipe(
            name="samples",
            source="ours, for the bundled 64 × 64 clips; no mirror images, since a class may name a side",
            optimizer="adamw",
            learning_rate=1e-3,
            batch_size=32,
            epochs=40,
            warmup_epochs=2.0,
            weight_decay=0.05,
            clip_norm=1.0,
            num_frames=8,
            frame_stride=0,
            crop=64,
            short_side=(64, 64),
            flip=False,
        ),
        Recipe(
            name="comparison",
            source="ours, for the comparison on the bundled clips; its rates were searched, a model each",
            optimizer="adamw",
            learning_rate=1e-3,
            batch_size=16,
            epochs=28,
            warmup_steps=100,
            weight_decay=0.05,
            clip_norm=1.0,
            num_frames=8,
            frame_stride=0,
            crop=32,
            short_side=(32, 32),
            shift=2,
            flip=False,
        ),
    )
}
"""Name → recipe."""


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ArgumentError: there is none; names those there are.

    >>> recipe("vtn_k400").epochs
    25
    """
    if name not in RECIPES:
        raise ArgumentError("recipe", name, "one of " + ", ".join(RECIPES))
    return RECIPES[name]
