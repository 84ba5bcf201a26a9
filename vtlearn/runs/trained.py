"""A trained model with all that belongs to it: its pixels, its frames, its classes, how it was tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from vtlearn.data.transforms import Normalise
from vtlearn.errors import CheckpointError
from vtlearn.models import ViTConfig, load_published
from vtlearn.models.cost import input_shape
from vtlearn.runs.card import Card, rebuild
from vtlearn.runs.clips import normaliser
from vtlearn.runs.folder import ABOUT
from vtlearn.runs.heads import SeveralHeads
from vtlearn.train.checkpoint import SUMS, Checkpoint, best_checkpoint, list_checkpoints, load_checkpoint

BEST_BY = "val_top1"
"""The metric by which a run's best checkpoint is chosen."""

CHECKPOINTS = "checkpoints"
"""The folder of a run's checkpoints."""

STRIDE_OF_FRAMES = {8: 32, 16: 16, 32: 32, 64: 32, 96: 4}
"""TimeSformer's published frame strides by number of frames (arXiv 2102.05095, section 4.1)."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model and what evaluating or using it needs to know.

    Attributes:
        model: with its weights, on the CPU, in evaluation mode.
        name: what to call it.
        normalise: bytes to what it was trained on.
        class_names: in class order; None where nobody wrote them down.
        labelling: what the classes are of, for our own models.
        num_frames, frame_stride: of a clip; stride 0 spreads the frames over the video.
        short_side, crop: pixels to which the shorter side is resized, and of the square taken.
        average: how its authors average views ("logits" or "softmax").
        views: clips and crops with which its authors test it.
        trained_positions: frame indices ``0 … trained_positions − 1`` occurred in training; None where that
            was not recorded (published models).
    """

    model: nn.Module
    name: str
    normalise: Normalise
    class_names: tuple[str, ...] | None
    labelling: str | None = None
    num_frames: int
    frame_stride: int
    short_side: int
    crop: int
    average: str = "softmax"
    views: tuple[int, int] = (1, 1)
    trained_positions: int | None = None

    @property
    def num_classes(self) -> int:
        """Classes that it tells apart."""
        if self.class_names is not None:
            return len(self.class_names)
        return int(getattr(self.model, "num_classes", 0))

    def class_name(self, number: int) -> str:
        """The name of a class, or its number where there are no names."""
        return self.class_names[number] if self.class_names is not None else f"class {number}"


def load_trained(
    where: str | Path,
    *,
    source: str | None = None,
    labelling: str | None = None,
    which: str = "best",
    offline: bool = False,
) -> Trained:
    """A checkpoint of ours (its folder, or the run's), or a published model (hub name, folder or file).

    Args:
        where: the folder of a run, of a model in a comparison's run, of a checkpoint, or anything
            :func:`vtlearn.models.load_published` takes.
        source: for a single published file, see there.
        labelling: for a model with several heads.
        which: "best" or "last" checkpoint of a run.
        offline: do not ask the hub.

    Raises:
        CheckpointError: nothing usable there; the message says what is wrong.
        ArgumentError: a published file without a source, or something else that has to be said.
    """
    folder = Path(where)
    if (folder / ABOUT).is_file() or (folder / CHECKPOINTS).is_dir():
        return _from_checkpoint(run_checkpoint(folder, which), labelling)
    for checkpoint in (folder, folder / "model"):  # a comparison keeps each model's weights in the latter
        if (checkpoint / SUMS).is_file() or (checkpoint / "checkpoint.json").is_file():
            return _from_checkpoint(checkpoint, labelling)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: no run, no checkpoint and no published model in it")
    return _from_published(where, source, offline)


def run_checkpoint(folder: Path, which: str = "best") -> Path:
    """The checkpoint of a run's folder: the best by validation accuracy where that was measured, or the last.

    Raises:
        CheckpointError: the run has none.
    """
    root = folder / CHECKPOINTS
    best = best_checkpoint(root, BEST_BY) if which == "best" else None
    found = list_checkpoints(root)
    if best is None and not found:
        raise CheckpointError(f"{folder}: the run has no checkpoint")
    return best or found[-1]


def _from_checkpoint(folder: Path, labelling: str | None) -> Trained:
    saved = load_checkpoint(folder)
    card = Card.of(saved)
    chosen = labelling or ("motion" if "motion" in card.class_names else next(iter(card.class_names)))
    if chosen not in card.class_names:
        raise CheckpointError(f"{folder}: has no labelling {chosen!r}, only {', '.join(card.class_names)}")
    model = _with_weights(saved, card.rebuild(saved.config))
    return Trained(
        model=(model.only(chosen) if isinstance(model, SeveralHeads) else model).eval(),
        name=saved.model_name,
        normalise=card.normalise,
        class_names=card.class_names[chosen],
        labelling=chosen,
        num_frames=card.num_frames,
        frame_stride=card.frame_stride,
        short_side=card.short_side,
        crop=card.crop,
        trained_positions=card.trained_positions,
    )


def _with_weights(saved: Checkpoint, model: Any) -> Any:
    """The model with a checkpoint's weights, the averaged ones where there are any."""
    replace(saved, weights=saved.weights if saved.ema is None else saved.ema).restore(model)
    return model


def _from_published(where: str | Path, source: str | None, offline: bool) -> Trained:
    published = load_published(where, source=source, offline=offline)
    model, family = published.model.eval(), published.source.split("-")[0]
    config = getattr(model, "config", None)
    if published.pixel_mean is None or published.pixel_std is None or config is None:
        raise CheckpointError(f"{where}: {published.source} is no model of pictures")
    shape = input_shape(config)
    crop = min(shape[-2:])
    frames = 1 if isinstance(config, ViTConfig) else shape[1]
    stride, short, views, average = {
        "timesformer": (STRIDE_OF_FRAMES.get(frames, 32), crop, (1, 3), "softmax"),
        "vivit": (2, round(crop * 256 / 224), (4, 3), "logits"),
        "vtn": (8, round(crop * 256 / 224), (1, 1), "softmax"),
    }.get(family, (0, round(crop * 256 / 224), (1, 1), "softmax"))
    return Trained(
        model=model,
        name=Path(str(where)).name,
        normalise=normaliser(published.pixel_mean, published.pixel_std),
        class_names=published.labels,
        num_frames=frames,
        frame_stride=stride,
        short_side=short,
        crop=crop,
        average=average,
        views=views,
    )


def load_weights_from(where: str | Path) -> nn.Module:
    """The bare model of a run, a checkpoint or a published model, for its weights: nothing need be known of
    its pixels or classes.

    Raises:
        CheckpointError: nothing usable there.
    """
    folder = Path(where)
    if (folder / ABOUT).is_file() or (folder / CHECKPOINTS).is_dir():
        folder = run_checkpoint(folder)
    if (folder / SUMS).is_file():
        saved = load_checkpoint(folder)
        if "trunk" not in {name.split(".")[0] for name in saved.weights}:
            return _with_weights(saved, rebuild(saved.model_name, saved.config))  # an image model has no card
    return load_trained(where).model


def match_classes(trained: Trained, names: Sequence[str], where: str) -> list[int]:
    """For each class of the data its number in the model, matched by name.

    Where nobody wrote the model's names down, classes meet by number, and there must be as many.

    Raises:
        CheckpointError: a class that the model does not know, or another number of them.
    """
    if trained.class_names is None:
        if trained.num_classes != len(names):
            raise CheckpointError(
                f"{trained.name} tells {trained.num_classes} unnamed classes apart; {where} has {len(names)}"
            )
        return list(range(len(names)))
    known = {_plain(name): number for number, name in enumerate(trained.class_names)}
    missing = [name for name in names if _plain(name) not in known]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"{trained.name} does not know the class {missing[0]!r}{more} of {where}")
    return [known[_plain(name)] for name in names]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("(", " ").replace(")", " ").lower().split())
