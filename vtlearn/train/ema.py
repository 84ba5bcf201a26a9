"""A running average of the weights, for evaluation: smoother than the last step's, at the cost of one
copy.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from vtlearn.errors import require


class WeightAverage:
    """Exponential moving average of a model's weights (Polyak averaging), kept in a model of its own.

    The caller updates it in the loop's body: ``for step in train_steps(…): average.update(model,
    step.step)``. Early on the average follows faster, with decay (1 + steps) / (10 + steps), so that the
    first weights are soon forgotten. It holds no other state: saving ``average.module`` (``save_checkpoint(…,
    ema=average.module)``) and the step is enough to go on exactly.

    Args:
        model: copied; the copy is in evaluation mode and takes no gradients.
        decay: share of the old average that each update keeps at most, in [0, 1).

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, decay=0.5)
    >>> before = float(model.weight.detach())
    >>> with torch.no_grad():
    ...     _ = model.weight.add_(1.0)
    >>> average.update(model, step=100)
    >>> round(float(average.module.weight) - before, 3)
    0.5
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        require(0.0 <= decay < 1.0, "decay", decay, "in [0, 1)")
        self.decay = decay
        self.module = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards ``model``; anything that is no floating-point number is copied.

        Args:
            model: the one that is trained, of the same shape.
            step: steps done.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        state = model.state_dict()
        for name, average in self.module.state_dict().items():
            if average.is_floating_point():
                average.lerp_(state[name].to(average.dtype), 1.0 - decay)
            else:
                average.copy_(state[name])
