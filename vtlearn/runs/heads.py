"""One trunk, a classification head for each labelling: both accuracies from one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from vtlearn.errors import require, require_one_of
from vtlearn.models.classifier import Classifier
from vtlearn.train.distributed import unwrap


class SeveralHeads(nn.Module):
    """A model's features with one of its heads for each labelling; the trunk is shared.

    Args:
        trunk: any model of the catalogue; its own head is taken off.
        num_classes: labelling → classes.

    >>> import torch
    >>> from vtlearn.models import create_model
    >>> model = SeveralHeads(create_model("vivit_samples"), {"appearance": 4, "motion": 8})
    >>> {name: tuple(logits.shape) for name, logits in model(torch.zeros(2, 8, 3, 32, 32)).items()}
    {'appearance': (2, 4), 'motion': (2, 8)}
    """

    def __init__(self, trunk: Classifier, num_classes: Mapping[str, int]) -> None:
        super().__init__()
        require(len(num_classes) > 0, "num_classes", dict(num_classes), "at least one labelling")
        for labelling, classes in num_classes.items():
            require(classes >= 2, f"num_classes[{labelling!r}]", classes, "at least 2 classes")
        self.heads = nn.ModuleDict({name: trunk.make_head(classes) for name, classes in num_classes.items()})
        trunk.reset_classifier(0)
        self.trunk: Classifier = trunk
        self.num_classes = dict(num_classes)

    def forward(
        self, clips: Tensor, frame_index: Int[Tensor, "B T"] | None = None
    ) -> dict[str, Float[Tensor, "B classes"]]:
        if clips.dim() == 4:
            features = self.trunk.forward_features(clips)  # type: ignore[operator]
        else:
            features = self.trunk.forward_features(clips, frame_index)  # type: ignore[operator]
        return {name: head(features) for name, head in self.heads.items()}

    @property
    def config(self) -> Any:
        """The trunk's configuration; it has no classes of its own."""
        return self.trunk.config

    def only(self, labelling: str) -> Classifier:
        """The trunk with the head of one labelling: a model of the catalogue like any other.

        >>> from vtlearn.models import create_model
        >>> several = SeveralHeads(create_model("vivit_samples"), {"appearance": 4, "motion": 8})
        >>> several.only("motion").num_classes
        8
        """
        require_one_of("labelling", labelling, self.heads)
        self.trunk.config = replace(self.trunk.config, num_classes=self.num_classes[labelling])
        self.trunk.head = self.heads[labelling]
        return self.trunk


def model_inside(model: nn.Module) -> nn.Module:
    """The model of the catalogue inside whatever carries it: DDP, ``torch.compile``, heads of labellings.

    Whoever must know what kind a model is asks through here.

    >>> from vtlearn.models import create_model
    >>> trunk = create_model("vtn_samples")
    >>> model_inside(SeveralHeads(trunk, {"motion": 8})) is trunk
    True
    """
    inner = unwrap(model)
    return inner.trunk if isinstance(inner, SeveralHeads) else inner
