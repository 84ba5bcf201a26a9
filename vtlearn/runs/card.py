"""The card of a trained model: all that a checkpoint must remember beside weights, written and read here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vtlearn.data.transforms import Normalise
from vtlearn.errors import CheckpointError
from vtlearn.models import build_model
from vtlearn.models.catalogue import PRESETS
from vtlearn.models.classifier import Classifier
from vtlearn.runs.heads import SeveralHeads
from vtlearn.train.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Card:
    """What evaluating or using a model needs to know, beside its weights and its configuration.

    Attributes:
        preset: the preset whose kind the model is.
        class_names: labelling → names in class order.
        several: whether one trunk carries a head for each labelling.
        mean, std: of the pixels that it was trained on, a number for each channel.
        num_frames, frame_stride: of a clip; stride 0 spreads the frames over the video.
        short_side, crop: pixels to which the shorter side is resized, and of the square taken.
        trained_positions: frame indices ``0 … trained_positions − 1`` occurred in training; None where
            nobody knows.
        start: where its weights began, in words.
        commit: of the library that trained it, where that was known.

    >>> card = Card(preset="vtn_samples", class_names={"motion": ("left", "right")}, num_frames=8, crop=32,
    ...     short_side=32)
    >>> Card.from_dict(card.as_dict()) == card
    True
    """

    preset: str
    class_names: Mapping[str, tuple[str, ...]]
    several: bool = False
    mean: tuple[float, ...] = (0.45, 0.45, 0.45)
    std: tuple[float, ...] = (0.225, 0.225, 0.225)
    num_frames: int
    frame_stride: int = 0
    short_side: int
    crop: int
    trained_positions: int | None = None
    start: str = "fresh weights"
    commit: str | None = None

    @property
    def normalise(self) -> Normalise:
        """Bytes to what the model was trained on."""
        return Normalise(self.mean, self.std)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """Back from :meth:`as_dict`, as JSON gave it.

        Raises:
            TypeError, KeyError, AttributeError: something else.
        """
        names = {labelling: tuple(each) for labelling, each in values["class_names"].items()}
        pixels = {key: tuple(map(float, values[key])) for key in ("mean", "std")}
        return cls(**{**values, "class_names": names, **pixels})

    @classmethod
    def of(cls, saved: Checkpoint) -> Card:
        """The card of a checkpoint; those of the first edition, which had none, are read as they were meant.

        Raises:
            CheckpointError: it says nothing of its classes and pixels.
        """
        try:
            if saved.card is not None:
                return cls.from_dict(saved.card)
            return cls.from_dict(_first_edition(saved))
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise CheckpointError(
                f"{saved.folder}: does not say its classes and pixels ({error!r})"
            ) from None

    def rebuild(self, config: Mapping[str, Any]) -> Classifier | SeveralHeads:
        """A fresh model of this card's kind with a configuration as JSON gave it.

        Raises:
            CheckpointError: no such preset, or a configuration of another version.
        """
        if not self.several:
            return rebuild(self.preset, config)
        trunk = rebuild(self.preset, {**config, "num_classes": 0})
        return SeveralHeads(trunk, {name: len(each) for name, each in self.class_names.items()})


def rebuild(preset: str, config: Mapping[str, Any]) -> Any:
    """A fresh model of a preset's kind with a configuration as JSON gave it.

    Raises:
        CheckpointError: no such preset, or a configuration of another version.
    """
    if preset not in PRESETS:
        raise CheckpointError(f"no preset is called {preset!r} in this version")
    try:
        return build_model(type(PRESETS[preset].config())(**config))
    except TypeError as error:
        raise CheckpointError(f"the configuration is of another version of {preset} ({error})") from None


def _first_edition(saved: Checkpoint) -> dict[str, Any]:
    """A card from what the first edition's checkpoints said of themselves in other places."""
    settings = saved.settings
    if "protocol" in settings:  # a contestant of a comparison: always spread frames, always these pixels
        protocol = settings["protocol"]
        return {
            "preset": f"{saved.model_name}_samples",
            "class_names": settings["class_names"],
            "several": True,
            "mean": [0.45] * 3,
            "std": [0.225] * 3,
            "num_frames": protocol["num_frames"] * (2 if saved.model_name == "vivit" else 1),
            "short_side": protocol["image_size"],
            "crop": protocol["image_size"],
            "trained_positions": settings.get("trained_positions"),
        }
    recipe = settings["recipe"]
    return {
        "preset": saved.model_name,
        "class_names": {settings["labelling"]: settings["class_names"]},
        "mean": [recipe["mean"]] * 3,
        "std": [recipe["std"]] * 3,
        "num_frames": recipe["num_frames"],
        "frame_stride": recipe["frame_stride"],
        "short_side": max(recipe["short_side"][0], recipe["crop"]),
        "crop": recipe["crop"],
        "trained_positions": (saved.sampler or {}).get("trained_positions"),
    }
