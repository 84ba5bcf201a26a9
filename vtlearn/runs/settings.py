"""The settings of a training run, each declared once: options, files, defaults, ranges and help follow."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlearn.errors import ArgumentError, DataError, require
from vtlearn.settings import PRECISIONS, check_settings, setting, typed_fields
from vtlearn.train.recipes import Recipe, recipe

FREE = frozenset({"device", "workers", "save_every", "evaluate_every", "keep_last", "tensorboard"})
"""Settings that decide no number, and may differ when a run goes on."""


_LATER = ("warmup_steps", "shift")
"""Settings that came after runs were begun without them; left alone, they decide nothing."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that is set for one run; survives JSON. ``vtlearn train`` and ``compare`` take their options
    from here and from :class:`~vtlearn.train.recipes.Recipe`.

    Raises:
        ArgumentError: a value outside its range; names the setting.
    """

    model: str = setting(help="A preset; `vtlearn models` lists them.")
    options: Mapping[str, Any] = setting(help="Fields of the model's configuration.", factory=dict)
    recipe: str = setting("samples", help="samples, timesformer_k400, vtn_k400, vivit_k400 or vivit_ssv2.")
    changes: Mapping[str, Any] = setting(help="Fields of the recipe that differ.", factory=dict)
    data: Mapping[str, Any] = setting(
        help='{"samples_seed": 0}, with "set": "hard" for the hard samples, or {"folder": "…"}.',
        factory=lambda: {"samples_seed": 0},
    )
    labelling: str | None = setting(None, help="Which labels, where clips have several.")
    start: str | None = setting(
        None, flag="--start-from", help="Weights to start from: an image model, or one of this kind."
    )
    steps: int | None = setting(None, positive=True, help="Optimiser steps in all, instead of epochs.")
    accumulate: int = setting(1, positive=True, help="Parts of a step, one after the other.")
    precision: str = setting("float32", choices=PRECISIONS, help="float32, bfloat16 or float16.")
    compile: bool = setting(False, help="Use torch.compile.")
    recompute: bool = setting(False, help="Activation checkpointing: less memory, more time.")
    ema: float | None = setting(None, at_least=0, below=1, help="Decay of a running average of the weights.")
    cutmix_alpha: float = setting(0.0, at_least=0, flag="--cutmix", help="CutMix's alpha; 0 is none.")
    seed: int = setting(0, at_least=0, help="Of weights, order and augmentation.")
    device: str | None = setting(None, help="cpu, cuda … (default: cuda where there is one).")
    workers: int = setting(0, at_least=0, help="Processes that read clips ahead.")
    save_every: int | None = setting(None, positive=True, help="Steps between checkpoints.")
    evaluate_every: int | None = setting(
        None, positive=True, help="Steps between looks at the validation clips (default: epoch)."
    )
    keep_last: int = setting(2, positive=True, help="Newest checkpoints kept, besides the best.")
    tensorboard: bool = setting(False, help="Write TensorBoard's files too.")

    def __post_init__(self) -> None:
        from vtlearn.models.catalogue import preset  # only here: the command line declares without torch

        preset(self.model)
        check_settings(self)
        most = self.settled_recipe.batch_size
        require(self.accumulate <= most, "accumulate", self.accumulate, f"at most batch_size = {most}")

    @property
    def settled_recipe(self) -> Recipe:
        """The recipe with its changes."""
        return dataclasses.replace(recipe(self.recipe), **self.changes)

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """Settings from one flat mapping in which fields of the recipe stand beside those of the run.

        Raises:
            ArgumentError: a name that is no setting, or a value of another type than the setting has.

        >>> TrainingSettings.from_flat({"model": "vtn_samples", "batch_size": 8}).settled_recipe.batch_size
        8
        """
        known = {each.name for kind in (cls, Recipe) for each in dataclasses.fields(kind)}
        known -= {"changes", "name", "source"}
        for name in values:
            require(name in known, "setting", name, f"one of {', '.join(sorted(known))}")
        here = typed_fields(cls, values)
        changes = typed_fields(Recipe, {name: value for name, value in values.items() if name not in here})
        if "folder" in here.get("data", {}):
            here["data"] = here["data"] | {"folder": str(Path(str(here["data"]["folder"])).resolve())}
        if "model" not in here:
            raise ArgumentError("model", None, "a preset; `vtlearn models` lists them")
        return cls(**here, changes=changes)

    def with_changes(self, **values: Any) -> TrainingSettings:
        """The same settings with some set anew, by their flat names; errors as for :meth:`from_flat`.

        >>> TrainingSettings(model="vtn_samples").with_changes(batch_size=8).settled_recipe.batch_size
        8
        """
        return self.from_flat(self.flat() | values)

    def flat(self) -> dict[str, Any]:
        """Back from :meth:`from_flat`, as JSON gives it."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        changes = values.pop("changes")
        return dict(json.loads(json.dumps(values | dict(changes))))

    def deciding(self) -> dict[str, Any]:
        """Those that decide numbers, with the recipe written out: what must agree when a run goes on."""
        values = {
            key: value
            for key, value in self.flat().items()
            if key not in FREE | {each.name for each in dataclasses.fields(Recipe)}
        }
        del values["data"]  # the clips themselves must agree, wherever they lie now
        recipe = json.loads(json.dumps(dataclasses.asdict(self.settled_recipe)))
        for name in _LATER:
            if recipe[name] == Recipe.__dataclass_fields__[name].default:
                del recipe[name]
        return values | {"recipe": recipe}


def read_settings(path: Path) -> dict[str, Any]:
    """A settings file, JSON or TOML, as one flat mapping.

    Raises:
        DataError: it cannot be read, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable settings ({error})") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: settings are a JSON object or a TOML table, not {type(values).__name__}")
    return values
