"""The protocol of the comparison: which models, on which clips, from which start, for how many steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from vtlearn.errors import ArgumentError, DataError, require, require_one_of, require_positive
from vtlearn.runs.settings import TrainingSettings

SEARCHED_RATES = (1e-3, 2e-3, 4e-3)
"""The three learning rates that every contestant was tried with."""

SEARCH_RECORD = Path(__file__).with_name("learning_rates.json")
"""The search's record: for each contestant the validation accuracy of each rate, and the rate chosen."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One model of the comparison.

    Attributes:
        name: what the table calls it, and the name of its folder.
        preset: its preset in the catalogue, at the size of the sample clips.
        published: the preset whose sizes it takes, as far as a given image ViT does not tell them.
        title: its name in prose.
        role: "model", or "baseline" for what the models are compared against.
        frames_per_index: frames behind each temporal index; ViViT's tubelets hold two. All contestants then
            have equally many tokens, as the papers give their models different numbers of frames.
    """

    name: str
    preset: str
    published: str
    title: str
    role: str = "model"
    frames_per_index: int = 1


CONTESTANTS = (
    Contestant(name="vtn", preset="vtn_samples", published="vtn_vit_base", title="VTN"),
    Contestant(
        name="timesformer",
        preset="timesformer_samples",
        published="timesformer_base",
        title="TimeSformer (divided)",
    ),
    Contestant(
        name="vivit",
        preset="vivit_samples",
        published="vivit_base_factorised_encoder",
        title="ViViT (factorised encoder)",
        frames_per_index=2,
    ),
    Contestant(
        name="frame_average",
        preset="frame_average_samples",
        published="frame_average_samples",
        title="frame averaging",
        role="baseline",
    ),
    Contestant(
        name="frame_gru",
        preset="frame_gru_samples",
        published="frame_gru_samples",
        title="frame features + GRU",
        role="baseline",
    ),
)


def contestant(name: str) -> Contestant:
    """The contestant of that name.

    >>> contestant("vtn").title
    'VTN'
    """
    require_one_of("models", name, [each.name for each in CONTESTANTS])
    return next(each for each in CONTESTANTS if each.name == name)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is the same for every contestant: the clips they see, their start, their steps and their
    optimiser.

    Attributes:
        models: contestants by name, in the order of the table.
        image_size, num_frames: what a model is shown of a clip: rows and columns, and temporal indices
            (:attr:`Contestant.frames_per_index` says how many frames stand behind each).
        stored_frames: frames kept of each clip in memory, of which those shown are drawn.
        steps, batch_size: optimiser steps, and clips in each.
        image_steps, image_batch_size: the same for the image model that all start from (single frames).
        image_learning_rate: its learning rate.
        warmup_steps: steps in which the rate rises to its base; it falls to zero along a cosine after them.
        weight_decay, clip_norm: of AdamW, and the longest gradient allowed.
        shift: pixels by which a training clip is moved, at most, in each direction.
        evaluate_every: steps between two looks at the validation clips.
        seed: of the weights, the order of the clips and the augmentation.
        precision: "float32", or an autocast precision.
        learning_rates: learning rate of each contestant; the recorded search's choice if not given.
        training: further settings of every contestant's run, by the names that ``vtlearn train`` has for
            them (accumulate, workers, recompute, ema, mixup_alpha, randaugment …).
    """

    models: tuple[str, ...] = tuple(each.name for each in CONTESTANTS)
    image_size: int = 32
    num_frames: int = 8
    stored_frames: int = 24
    steps: int = 2200
    batch_size: int = 16
    image_steps: int = 500
    image_batch_size: int = 64
    image_learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    shift: int = 2
    evaluate_every: int = 275
    seed: int = 0
    precision: str = "float32"
    learning_rates: dict[str, float] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(len(self.models) > 0, "models", self.models, "at least one contestant")
        require(len(set(self.models)) == len(self.models), "models", self.models, "each named once")
        for name in self.models:
            contestant(name)
        require_positive(
            image_size=self.image_size,
            num_frames=self.num_frames,
            stored_frames=self.stored_frames,
            steps=self.steps,
            batch_size=self.batch_size,
            image_steps=self.image_steps,
            image_batch_size=self.image_batch_size,
            evaluate_every=self.evaluate_every,
        )
        most = max(self.frames_of(name) for name in self.models)
        if most > self.stored_frames:
            raise ArgumentError("num_frames", most, f"at most stored_frames = {self.stored_frames}")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        for name in self.models if self.learning_rates is not None else ():
            self.settings(name)  # what cannot be is refused here, before any work

    @classmethod
    def default(cls) -> Protocol:
        """What ``make compare`` runs; the recorded results are of this one."""
        return cls()

    @classmethod
    def quick(cls) -> Protocol:
        """A look at the machinery in a few minutes; it promises no accuracy."""
        return cls(steps=150, image_steps=120, evaluate_every=75, warmup_steps=30)

    @classmethod
    def finetune(cls) -> Protocol:
        """From image weights to a few classes of Kinetics, at the papers' picture size.

        The rate is of the order that the papers give for fine-tuning with AdamW and was not searched for;
        the same for all, so that none is favoured by name.
        """
        return cls(
            image_size=224,
            stored_frames=16,
            steps=600,
            batch_size=8,
            warmup_steps=60,
            shift=16,
            evaluate_every=150,
            learning_rates={each.name: 1e-4 for each in CONTESTANTS},
        )

    def frames_of(self, name: str) -> int:
        """Frames that one contestant is shown of a clip.

        >>> Protocol.default().frames_of("vtn"), Protocol.default().frames_of("vivit")
        (8, 16)
        """
        return self.num_frames * contestant(name).frames_per_index

    def learning_rate(self, name: str) -> float:
        """The learning rate of one contestant: as given, else as the recorded search chose."""
        if self.learning_rates is not None:
            if name not in self.learning_rates:
                raise ArgumentError("learning_rates", self.learning_rates, f"to name {name!r}")
            return self.learning_rates[name]
        return recorded_learning_rate(name)

    def settled(self) -> Protocol:
        """The same protocol with its learning rates written out, so that a later search cannot change a
        run."""
        return replace(self, learning_rates={name: self.learning_rate(name) for name in self.models})

    def settings(self, name: str) -> TrainingSettings:
        """A contestant's run, as ``vtlearn train`` would be told.

        >>> found = Protocol.default().settings("vivit")
        >>> found.model, found.steps, found.settled_recipe.num_frames
        ('vivit_samples', 2200, 16)
        """
        own = {
            "model": contestant(name).preset,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate(name),
            "num_frames": self.frames_of(name),
            "evaluate_every": self.evaluate_every,
        }
        return self._settings(own | dict(self.training))

    def image_settings(self) -> TrainingSettings:
        """The run of the image model that all contestants start from."""
        own = {
            "model": "vit_samples",
            "steps": self.image_steps,
            "batch_size": self.image_batch_size,
            "learning_rate": self.image_learning_rate,
            "num_frames": 1,
        }
        return self._settings(own)

    def _settings(self, own: Mapping[str, Any]) -> TrainingSettings:
        shared = {
            "recipe": "comparison",
            "crop": self.image_size,
            "short_side": [self.image_size] * 2,
            "warmup_steps": self.warmup_steps,
            "weight_decay": self.weight_decay,
            "clip_norm": self.clip_norm,
            "shift": self.shift,
            "precision": self.precision,
            "seed": self.seed,
            "save_every": self.evaluate_every,
            "keep_last": 1,
        }
        return TrainingSettings.from_flat(shared | dict(own))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; further settings only where there are any."""
        values = asdict(self)
        return values if self.training else {key: values[key] for key in values if key != "training"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """Back from :meth:`as_dict`.

        >>> Protocol.from_dict(Protocol.quick().as_dict()) == Protocol.quick()
        True
        """
        known = {each.name for each in fields(cls)}
        unknown = sorted(set(values) - known)
        require(not unknown, "protocol", unknown, f"made of {sorted(known)}")
        return cls(**{**values, "models": tuple(values["models"])})


RECIPES = {"samples": Protocol.default, "quick": Protocol.quick, "finetune": Protocol.finetune}
"""The protocols by name."""


def choose_protocol(
    *,
    recipe: str = "samples",
    models: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    training: Mapping[str, Any] | None = None,
) -> Protocol:
    """A protocol by name with what a user asked for; ``training`` is :attr:`Protocol.training`.

    >>> choose_protocol(models="vtn, vivit", steps=7).models
    ('vtn', 'vivit')

    Raises:
        ArgumentError: no such recipe, or a value that cannot be.
    """
    require_one_of("recipe", recipe, list(RECIPES))
    protocol = RECIPES[recipe]()
    asked = {"steps": steps, "batch_size": batch_size, "image_size": image_size}
    changes: dict[str, Any] = {"seed": seed, "training": dict(training or {})} | {
        key: value for key, value in asked.items() if value is not None
    }
    if models is not None:
        changes["models"] = tuple(name.strip() for name in models.split(","))
    return replace(protocol, **changes)


def recorded_learning_rate(name: str) -> float:
    """The learning rate that the recorded search chose for a contestant on the validation clips.

    >>> recorded_learning_rate("vtn") in SEARCHED_RATES
    True
    """
    try:
        record = json.loads(SEARCH_RECORD.read_text())
        return float(record["chosen"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{SEARCH_RECORD}: no recorded learning rate for {name!r} ({error})") from None
