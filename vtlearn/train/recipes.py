"""The papers' training recipes as named, frozen settings, each with its source, and a tiny one for the
samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vtlearn.errors import ArgumentError, require, require_positive
from vtlearn.settings import check_settings, setting

if TYPE_CHECKING:  # torch comes with the first run, not with the declaration
    import torch
    from torch import nn

    from vtlearn.train.optim import Schedule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model was trained; what the loop, the data side and the model read from one place.

    Raises:
        ArgumentError: a value outside its range; names the setting.
    """

    name: str = setting(help="Of the recipe.")
    source: str = setting(help="Where the numbers come from, and what is known to differ.")
    optimizer: str = setting(choices=("sgd", "adamw"), help="sgd (momentum 0.9) or adamw.")
    nesterov: bool = setting(True, help="Whether SGD's momentum looks ahead.")
    learning_rate: float = setting(above=0, help="Base rate.")
    batch_size: int = setting(positive=True, help="Clips a step, over all processes and parts.")
    epochs: int = setting(positive=True, help="Passes over the training clips.")
    milestones: tuple[int, ...] = setting(
        (), help="Epochs from which the rate is a tenth of what it was; none means a cosine to zero."
    )
    warmup_epochs: float = setting(0.0, at_least=0, help="Linear rise at the start.")
    warmup_steps: int | None = setting(
        None, at_least=0, help="The same in steps, at most half of all; takes the place of warmup_epochs."
    )
    weight_decay: float = setting(0.0, at_least=0, help="Of matrices and filters.")
    clip_norm: float | None = setting(None, above=0, help="Longest gradient allowed.")
    num_frames: int = setting(positive=True, help="Frames of a clip.")
    frame_stride: int = setting(at_least=0, help="Frames of the video from one to the next.")
    crop: int = setting(positive=True, help="Pixels of the square crop.")
    short_side: tuple[int, int] = setting(help="Least and most pixels of the shorter side before cropping.")
    scale_jitter: tuple[float, float] = setting((1.0, 1.0), help="Least and most factor on top of that.")
    shift: int = setting(0, at_least=0, help="Pixels by which a clip is moved at most, in each direction.")
    flip: bool = setting(True, help="Mirror half of the clips.")
    mean: float | tuple[float, ...] = setting(
        0.45, help="Subtracted from pixels in [0, 1]: one number, or one for each channel."
    )
    std: float | tuple[float, ...] = setting(0.225, help="Divided by.")
    label_smoothing: float = setting(0.0, at_least=0, below=1, help="Mass spread over all classes.")
    mixup_alpha: float = setting(0.0, at_least=0, flag="--mixup", help="Mixup's alpha; 0 is none.")
    drop_path: float = setting(0.0, at_least=0, below=1, help="Highest rate of stochastic depth.")
    randaugment: tuple[int, int] | None = setting(None, help="operations,strength, such as 2,9.")

    def __post_init__(self) -> None:
        check_settings(self)
        late = [epoch for epoch in self.milestones if epoch >= self.epochs]
        require(not late, "milestones", late, f"below epochs = {self.epochs}")

    def build_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The recipe's optimiser over ``model``'s parameters.

        >>> from torch import nn
        >>> type(RECIPES["samples"].build_optimizer(nn.Linear(2, 2))).__name__
        'AdamW'
        """
        from vtlearn.train.optim import adamw, sgd

        if self.optimizer == "adamw":
            return adamw(model, self.learning_rate, weight_decay=self.weight_decay)
        return sgd(model, self.learning_rate, weight_decay=self.weight_decay, nesterov=self.nesterov)

    def build_schedule(self, steps_per_epoch: int, steps: int | None = None) -> tuple[Schedule, int]:
        """The recipe's schedule in steps, and how many there are; both stretched where ``steps`` is given.

        >>> schedule, steps = RECIPES["timesformer_k400"].build_schedule(steps_per_epoch=100)
        >>> steps, schedule(1099), schedule(1100), schedule(1400)
        (1500, 1.0, 0.1, 0.01)
        """
        from vtlearn.train.optim import step_schedule, warmup_cosine

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
        from vtlearn.train.losses import multi_head_loss

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
