"""The checkpoints that come with the repository: what each is, and how to load it or go on training it.

They were kept from the recorded comparison's first run by ``python -m benchmarks.shipped``, and lie in
``data_samples/checkpoints/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vtlearn.data.batches import Batches, Endless
from vtlearn.data.memory import PIXELS, ClipMemory, MemoryClips, decode_clips
from vtlearn.data.sources import find_records
from vtlearn.data.synthetic import bundled_samples
from vtlearn.data.transforms import Compose
from vtlearn.errors import DataError, require, require_one_of
from vtlearn.runs.card import Card, rebuild
from vtlearn.runs.clips import augmentation
from vtlearn.runs.heads import SeveralHeads
from vtlearn.runtime import choose_device
from vtlearn.study.protocol import Protocol
from vtlearn.train.checkpoint import Checkpoint, load_checkpoint
from vtlearn.train.loop import Step, train_steps
from vtlearn.train.losses import multi_head_loss
from vtlearn.train.optim import adamw

SHIPPED = {
    "image_start": "the image ViT, trained on single frames, that every model of the comparison started from",
    "vtn": "VTN after the comparison's training",
    "timesformer": "TimeSformer (divided) after the comparison's training",
    "vivit": "ViViT (factorised encoder) after the comparison's training",
    "frame_average": "frame averaging after the comparison's training: the control that sees no order",
    "timesformer_begun": "TimeSformer a quarter of the way through, with its optimiser, to go on from",
    "vivit_begun": "ViViT a fifth of the way through, with its optimiser, to go on from",
}
"""Name of each shipped checkpoint, and what it is."""


def shipped_folder(name: str) -> Path:
    """Where a shipped checkpoint lies.

    Raises:
        ArgumentError: there is none of that name.
        DataError: the package was installed without its repository.

    >>> shipped_folder("vtn").name
    'vtn'
    """
    require_one_of("name", name, list(SHIPPED))
    folder = bundled_samples() / "checkpoints" / name
    if not folder.is_dir():
        raise DataError(
            f"{folder}: the shipped checkpoint is not here; `python -m benchmarks.shipped` makes it"
        )
    return folder


def read_shipped(name: str) -> Checkpoint:
    """A shipped checkpoint as it was saved, verified.

    >>> read_shipped("timesformer").step
    2200
    """
    return load_checkpoint(shipped_folder(name))


def load_shipped(name: str) -> nn.Module:
    """A shipped model with its weights, in evaluation mode.

    The image ViT is a plain model with no head; the video models have a head for each labelling and give
    ``{"appearance": (B, 4), "motion": (B, 8)}``.

    >>> model = load_shipped("vivit")
    >>> sorted(model.heads), model.trunk.config.num_frames
    (['appearance', 'motion'], 16)
    """
    saved = read_shipped(name)
    model = model_of(saved)
    saved.restore(model)
    return model.eval()


def class_names(name: str) -> dict[str, list[str]]:
    """Labelling → names in class order, for a shipped video model.

    >>> class_names("vtn")["appearance"]
    ['disc', 'triangle', 'plus', 'bars']
    """
    names: dict[str, list[str]] = read_shipped(name).settings["class_names"]
    return names


def recorded_course(name: str) -> dict[str, Any]:
    """How a shipped model's training went, to its end: ``loss_curve`` and ``val_curve``.

    Returns:
        ``loss_curve``, a list of ``[step, mean loss since the last]`` every ten steps, and ``val_curve``, a
        list of ``[step, {labelling: accuracy}]``. For a model kept on the way, the course of the whole run
        that it was kept from.

    >>> [step for step, _ in recorded_course("vivit")["val_curve"]][:2]
    [275, 550]
    """
    course: dict[str, Any] = read_shipped(name).metrics["course"]
    return course


def sample_clips(split: str, *, progress: str | None = None) -> ClipMemory:
    """The bundled clips of one split, decoded as the comparison shows them to its models.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``.
        progress: title of the progress bar; None shows none.
    """
    require_one_of("split", split, ["train", "val", "test"])
    protocol = Protocol.default()
    clips = find_records({"samples_seed": 0}, protocol.seed)
    return decode_clips(
        clips.split(split),
        clips.class_names,
        num_frames=protocol.stored_frames,
        image_size=protocol.image_size,
        progress=progress,
    )


@dataclass(frozen=True)
class Continuation:
    """A shipped model on its way: the model, where it stands, and the steps that follow.

    Attributes:
        model: with its weights; the steps change it.
        step: optimiser steps already done.
        steps: does as many steps as it is asked for, and yields each.
    """

    model: SeveralHeads
    step: int
    steps: Iterator[Step]


def go_on(name: str, clips: ClipMemory, *, num_steps: int, seed: int | None = None) -> Continuation:
    """Go on training a shipped model just as its run did: same optimiser, same rate, same batches.

    Args:
        name: ``"timesformer_begun"`` or ``"vivit_begun"``.
        clips: the training clips, from :func:`sample_clips`.
        num_steps: optimiser steps to do.
        seed: of the batches; the run's own if not given, which makes the steps those of the run.

    Raises:
        ArgumentError: no such checkpoint, or one without an optimiser; more steps than the run had left.
    """
    saved = read_shipped(name)
    require(saved.optimizer is not None, "name", name, "a checkpoint kept with its optimiser")
    protocol = Protocol.from_dict(saved.settings["protocol"])
    left = protocol.steps - saved.step
    require(0 < num_steps <= left, "num_steps", num_steps, f"1 to {left}, the steps the run had left")
    model = model_of(saved)
    optimizer = adamw(model, saved.settings["learning_rate"], weight_decay=protocol.weight_decay)
    saved.restore(model, optimizer=optimizer)
    settings = protocol.settings(saved.model_name)
    if seed is not None:
        settings = settings.with_changes(seed=seed)
    recipe = settings.settled_recipe
    transform = Compose(augmentation(recipe, clips.class_names))
    order = Endless(len(clips), recipe.batch_size, settings.seed)
    batches = Batches(MemoryClips(clips, recipe.num_frames, transform, seed=settings.seed), order)
    until = saved.step + num_steps
    steps = train_steps(
        model.train(),
        batches(saved.step, until),
        optimizer=optimizer,
        loss_fn=multi_head_loss,
        schedule=recipe.build_schedule(order.steps_per_epoch, protocol.steps)[0],
        steps=until,
        start=saved.step,
        device=choose_device("cpu"),
        precision=protocol.precision,
        clip_norm=protocol.clip_norm,
        prepare=lambda batch: {**batch, "clip": PIXELS(batch["clip"])},
        seed=protocol.seed,
    )
    return Continuation(model=model, step=saved.step, steps=iter(steps))


def model_of(saved: Checkpoint) -> Any:
    """A fresh model for a checkpoint of a comparison: the image model, or a trunk with all its heads."""
    if saved.model_name == "vit_samples":
        return rebuild(saved.model_name, saved.config)
    return Card.of(saved).rebuild(saved.config)
