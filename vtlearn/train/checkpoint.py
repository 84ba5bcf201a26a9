"""Checkpoints that nothing half-writes or silently bends: safetensors and JSON, checksummed, renamed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vtlearn import __version__
from vtlearn.errors import ArgumentError, CheckpointError, require, require_positive
from vtlearn.train.distributed import gather_objects, rank

FORMAT = 1
SUMS = "SHA256SUMS"
FACTS = "checkpoint.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What :func:`load_checkpoint` read: tensors on the CPU, everything else as JSON gave it.

    Attributes:
        folder: where it lies.
        step: optimiser steps done when it was saved.
        model_name: what the caller called the model.
        config: the model's configuration.
        settings: the caller's training settings (recipe, data …), to be compared on resuming.
        weights: the model's state.
        optimizer: the optimiser's state, or None.
        schedule: from :func:`vtlearn.train.optim.describe_schedule`, or None.
        scaler: the loss scaler's state, or None.
        ema: the averaged weights, or None.
        random: the random number generators of the process that saved, or None.
        other_random: those of the processes beside it, by rising rank.
        sampler: the caller's place in the data, or None.
        metrics: the caller's numbers at that step.
        library_version: which vtlearn wrote it.
        card: what the model must be told with, in the caller's form, or None.
    """

    folder: Path
    step: int
    model_name: str
    config: dict[str, Any]
    settings: dict[str, Any]
    weights: dict[str, Tensor]
    optimizer: dict[str, Any] | None
    schedule: dict[str, Any] | None
    scaler: dict[str, Any] | None
    ema: dict[str, Tensor] | None
    random: dict[str, Any] | None
    other_random: list[dict[str, Any]]
    sampler: Any
    metrics: dict[str, Any]
    library_version: str
    card: dict[str, Any] | None = None

    def restore(
        self,
        model: nn.Module | None = None,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        scaler: torch.amp.GradScaler | None = None,
        ema: nn.Module | None = None,
        random_state: bool = False,
    ) -> None:
        """Put the saved state into the given objects: all of it fits, or none is touched.

        Args:
            model: gets the weights.
            optimizer: gets its state; must hold as many tensors of the same shapes, in the same order.
            scaler: gets its state.
            ema: a module of the model's shape, gets the averaged weights.
            random_state: also set the generators of Python, NumPy and torch (restore them last), each
                process its own.

        Raises:
            CheckpointError: something is not in the checkpoint, or does not fit what was given.
        """
        states = [] if self.random is None else [self.random, *self.other_random]
        own_random = states[rank()] if rank() < len(states) else None
        for name, wanted, present in (
            ("optimiser", optimizer, self.optimizer),
            ("loss scaler", scaler if scaler is not None and scaler.is_enabled() else None, self.scaler),
            ("averaged weights", ema, self.ema),
            ("random state" + (f" of process {rank()}" if states else ""), random_state or None, own_random),
        ):
            if wanted is not None and present is None:
                raise CheckpointError(f"{self.folder} holds no {name}")
        if model is not None:
            _check_fit(self.folder, self.weights, model.state_dict(), "weights")
        if ema is not None and self.ema is not None:
            _check_fit(self.folder, self.ema, ema.state_dict(), "averaged weights")
        if optimizer is not None and self.optimizer is not None:
            _check_optimizer(self.folder, self.optimizer, optimizer)

        if model is not None:
            model.load_state_dict(self.weights)
        if ema is not None and self.ema is not None:
            ema.load_state_dict(self.ema)
        if optimizer is not None and self.optimizer is not None:
            optimizer.load_state_dict(self.optimizer)
        if scaler is not None and scaler.is_enabled() and self.scaler is not None:
            scaler.load_state_dict(self.scaler)
        if random_state and own_random is not None:
            set_random_state(own_random)


# --------------------------------------------------------------------------------------------- random numbers


def get_random_state() -> dict[str, Any]:
    """The global generators of Python, NumPy and torch (CPU and every CUDA device), as tensors and plain
    values.

    >>> state = get_random_state()
    >>> first = random.random(), float(torch.rand(()))
    >>> set_random_state(state)
    >>> first == (random.random(), float(torch.rand(())))
    True
    """
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - meant so
    return {
        "python": {"version": version, "words": torch.tensor(words, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Set the global generators to what :func:`get_random_state` gave; absent CUDA devices are left out."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state(  # noqa: NPY002 - meant so
        (numpy["kind"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"])
    )
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        for index, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state, index)


def random_states_of_all() -> list[dict[str, Any]]:
    """The generators of every process that trains together, by rank; every process must call it.

    >>> len(random_states_of_all())
    1
    """
    return gather_objects(get_random_state())


# -------------------------------------------------------------------------------------------------- saving


def save_checkpoint(
    folder: str | Path,
    *,
    step: int,
    model: nn.Module,
    model_name: str,
    config: Any,
    settings: Mapping[str, Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Mapping[str, Any] | None = None,
    scaler: torch.amp.GradScaler | None = None,
    ema: nn.Module | None = None,
    sampler: Any = None,
    metrics: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    random_state: bool = True,
    other_random_states: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write one checkpoint: into a folder beside, flushed to the disk, then renamed to ``folder``.

    Until the rename, whatever ``folder`` held before is what a reader finds, so a kill or a full disk in the
    middle loses nothing. The folder holds ``weights.safetensors`` and, where given, ``optimizer``, ``ema``
    and ``random`` beside it, ``checkpoint.json`` with everything that is no tensor, and ``SHA256SUMS`` (as
    ``sha256sum -c`` reads it).

    Args:
        folder: the checkpoint's own folder.
        step: optimiser steps done.
        model: whose state to save (unwrapped from DDP or compile by the caller).
        model_name: checked when loading.
        config: the model's configuration, a dataclass or a mapping; checked when loading.
        settings: training settings that must agree on resuming (recipe, seed, a fingerprint of the data …).
        optimizer: saved with its state, where given.
        schedule: from :func:`vtlearn.train.optim.describe_schedule`.
        scaler: the loss scaler, where one is used.
        ema: the module with the averaged weights, where one is kept.
        sampler: the place in the data, anything JSON can hold.
        metrics: numbers to choose the best checkpoint by.
        card: what using the model needs to know (pixels, classes …), anything JSON can hold; not compared.
        random_state: also save the global random number generators.
        other_random_states: those of the other processes (:func:`random_states_of_all` without its first).

    Returns:
        ``folder`` as a path.

    Raises:
        ArgumentError: something that JSON cannot hold.
        CheckpointError: the disk did not take it; what was there before is untouched.
    """
    require(step >= 0, "step", step, "at least 0")
    folder = Path(folder)
    tensors: dict[str, dict[str, Tensor]] = {WEIGHTS: dict(model.state_dict())}
    facts: dict[str, Any] = {
        "format": FORMAT,
        "library_version": __version__,
        "step": step,
        "model_name": model_name,
        "config": as_json("config", config),
        "settings": as_json("settings", settings or {}),
        "schedule": as_json("schedule", schedule),
        "sampler": as_json("sampler", sampler),
        "metrics": as_json("metrics", metrics or {}),
        "card": as_json("card", card),
        "scaler": as_json("scaler", (scaler.state_dict() if scaler is not None else None) or None),
    }
    parts: dict[str, Any] = {}
    if optimizer is not None:
        parts["optimizer"] = optimizer.state_dict()
    if random_state:
        parts["random"] = get_random_state()
        if other_random_states:
            parts["random"]["others"] = list(other_random_states)
    for name, part in parts.items():
        tensors[f"{name}.safetensors"] = {}
        facts[name] = as_json(name, _split(part, tensors[f"{name}.safetensors"], ()))
    if ema is not None:
        tensors["ema.safetensors"] = dict(ema.state_dict())

    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        aside.mkdir(parents=True)
        for name, group in tensors.items():
            save_file({key: _to_save(tensor) for key, tensor in group.items()}, aside / name)
        (aside / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        names = sorted([*tensors, FACTS])
        (aside / SUMS).write_text(_sums({name: _digest(aside / name) for name in names}), encoding="utf-8")
        for path in [*aside.iterdir(), aside]:
            _flush(path)
        _put_in_place(aside, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise CheckpointError(f"{folder} could not be written ({reason}); nothing was overwritten") from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def as_json(name: str, value: Any) -> Any:
    """``value`` as JSON gives it back (dataclasses become dicts, tuples lists).

    >>> as_json("config", {"tubelet_size": (2, 16, 16)})
    {'tubelet_size': [2, 16, 16]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ArgumentError(name, value, f"something JSON can hold ({error})") from None


def _split(value: Any, tensors: dict[str, Tensor], path: tuple[str, ...]) -> Any:
    """``value`` with every tensor moved to ``tensors`` and replaced by a reference to it."""
    if isinstance(value, Tensor):
        tensors[".".join(path)] = value
        return {"tensor": ".".join(path)}
    if isinstance(value, Mapping):
        pairs = [[key, _split(item, tensors, (*path, str(key)))] for key, item in value.items()]
        return {"mapping": pairs}  # pairs, because JSON would turn the optimiser's integer keys into text
    if isinstance(value, (list, tuple)):
        items = [_split(item, tensors, (*path, str(index))) for index, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    return {"value": value}


def _join(value: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """Undo :func:`_split`."""
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {key: _join(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_join(item, tensors) for item in content]
        return tuple(items) if kind == "tuple" else items
    return content


def _to_save(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU (safetensors refuses tensors that share memory, as tied weights do)."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _sums(digests: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Make sure that ``path`` is on the disk and not only in a cache (folders: where the system can)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(aside: Path, folder: Path) -> None:
    """Rename ``aside`` to ``folder``; an older checkpoint there is moved away first and deleted last."""
    old = folder.with_name(f".{folder.name}.replaced")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        aside.rename(folder)
    except OSError:
        _recover(folder)
        raise
    _flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _recover(folder: Path) -> None:
    """Bring back a checkpoint that a kill caught between being moved away and being replaced."""
    old = folder.with_name(f".{folder.name}.replaced")
    if old.exists() and not folder.exists():
        old.rename(folder)


# -------------------------------------------------------------------------------------------------- loading


def load_checkpoint(
    folder: str | Path,
    *,
    model_name: str | None = None,
    config: Any = None,
    settings: Mapping[str, Any] | None = None,
    schedule: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Read and verify a checkpoint; nothing is unpickled, and nothing given to this function is changed.

    Args:
        folder: what :func:`save_checkpoint` wrote.
        model_name: where given, must be the saved one; likewise the others.
        config: a dataclass or a mapping.
        settings: compared key by key, both ways.
        schedule: from :func:`vtlearn.train.optim.describe_schedule`.

    Raises:
        CheckpointError: missing, cut, changed by so much as a bit, of a newer format, or of another model,
            configuration, settings or schedule; one line that names the first difference.
    """
    folder = Path(folder)
    _recover(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no checkpoint: there is no such folder")
    names = _verify(folder)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors = {name: load_file(folder / name) for name in names if name.endswith(".safetensors")}
    except Exception as error:
        raise CheckpointError(f"{folder} cannot be read: {str(error).splitlines()[0]}") from error
    if facts.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder} has format {facts.get('format')!r} (vtlearn {facts.get('library_version')}), "
            f"and this vtlearn {__version__} reads format {FORMAT}"
        )
    _check_same(folder, "model", facts["model_name"], model_name)
    for name, given in (("config", config), ("settings", settings), ("schedule", schedule)):
        if given is not None:
            _check_same(folder, name, facts[name], as_json(name, given))
    joined = {
        name: _join(facts[name], tensors[f"{name}.safetensors"]) if name in facts else None
        for name in ("optimizer", "random")
    }
    others = joined["random"].pop("others", []) if joined["random"] else []
    return Checkpoint(
        folder=folder,
        step=facts["step"],
        model_name=facts["model_name"],
        config=facts["config"],
        settings=facts["settings"],
        weights=tensors[WEIGHTS],
        optimizer=joined["optimizer"],
        schedule=facts["schedule"],
        scaler=facts["scaler"],
        ema=tensors.get("ema.safetensors"),
        random=joined["random"],
        other_random=others,
        sampler=facts["sampler"],
        metrics=facts["metrics"],
        library_version=facts["library_version"],
        card=facts.get("card"),
    )


def _verify(folder: Path) -> list[str]:
    """The names of the checkpoint's files, once every one of them has the digest written down for it."""
    try:
        written = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise CheckpointError(f"{folder} is no whole checkpoint: {SUMS} cannot be read") from None
    pattern = re.compile(r"([0-9a-f]{64})  (\w+\.(?:json|safetensors))")
    digests = {line[2]: line[1] for line in map(pattern.fullmatch, written.splitlines()) if line}
    if _sums(digests) != written or not {FACTS, WEIGHTS} <= set(digests):
        raise CheckpointError(f"{folder} is damaged: {SUMS} is not as it was written")
    for name, digest in digests.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} is not whole: {name} is missing")
        if _digest(folder / name) != digest:
            raise CheckpointError(f"{folder} is damaged: {name} is not as it was written (SHA-256 differs)")
    return list(digests)


def _check_same(folder: Path, name: str, saved: Any, given: Any) -> None:
    """Complain about the first place where the two differ; ``given`` None asks for nothing."""
    if given is None or saved == given:
        return
    if isinstance(saved, dict) and isinstance(given, dict):
        for key in sorted({*saved, *given}):
            if saved.get(key) != given.get(key) or (key in saved) != (key in given):
                _check_same(folder, f"{name}.{key}", saved.get(key), given.get(key, "nothing of the kind"))
    raise CheckpointError(f"{folder} was saved with {name} = {saved!r}, and {given!r} is asked for")


def _check_fit(folder: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str) -> None:
    """The same names, shapes and dtypes, or the first that differs."""
    for name in [*wanted, *saved]:
        if name not in saved:
            raise CheckpointError(f"{folder} does not fit this model: its {what} have no {name!r}")
        if name not in wanted:
            raise CheckpointError(f"{folder} does not fit this model: its {what} have {name!r} besides")
        for fact in ("shape", "dtype"):
            here, there = getattr(saved[name], fact), getattr(wanted[name], fact)
            if here != there:
                here, there = (tuple(here), tuple(there)) if fact == "shape" else (here, there)
                raise CheckpointError(
                    f"{folder} does not fit this model: {name} has {fact} {here} there and {there} here"
                )


def _check_optimizer(folder: Path, saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """The same groups of as many parameters, with settings of the same names and state of the same shapes."""
    now = optimizer.state_dict()["param_groups"]
    sizes = [[len(group["params"]) for group in groups] for groups in (saved["param_groups"], now)]
    if sizes[0] != sizes[1]:
        raise CheckpointError(f"{folder} has an optimiser with groups of {sizes[0]} tensors, not {sizes[1]}")
    ignored = {"params", "lr", "initial_lr", "weight_decay"}
    for before, after in zip(saved["param_groups"], now, strict=True):
        different = {*before, *after} - ignored
        names = sorted(name for name in different if (name in before) != (name in after))
        if names:
            raise CheckpointError(
                f"{folder} has another kind of optimiser: only one of the two has {names[0]}"
            )
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, state in saved["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[index].shape:
                there, here = tuple(value.shape), tuple(parameters[index].shape)
                raise CheckpointError(
                    f"{folder} has an optimiser whose {name} of tensor {index} has shape {there}, not {here}"
                )


# ------------------------------------------------------------------------------------ a run's checkpoints


def step_folder(root: str | Path, step: int) -> Path:
    """Where the checkpoint of one step lies under a run's folder.

    >>> step_folder("run/checkpoints", 40).name
    'step_00000040'
    """
    return Path(root) / f"step_{step:08d}"


def list_checkpoints(root: str | Path) -> list[Path]:
    """The checkpoints under ``root`` by rising step, unverified, without what a kill left unfinished."""
    root = Path(root)
    for left in root.glob(".step_*.replaced"):
        _recover(root / left.name.removeprefix(".").removesuffix(".replaced"))
    return sorted(path for path in root.glob("step_*") if re.fullmatch(r"step_\d{8,}", path.name))


def latest_checkpoint(root: str | Path, **checks: Any) -> Checkpoint | None:
    """The newest checkpoint under ``root``, verified; None where there is none at all.

    Args:
        root: a run's checkpoint folder.
        checks: as in :func:`load_checkpoint` (``model_name``, ``config``, ``settings``, ``schedule``).

    Raises:
        CheckpointError: the newest one is damaged or belongs to something else; an older one must then be
            named by the caller, because going back silently would repeat steps unseen.
    """
    found = list_checkpoints(root)
    return load_checkpoint(found[-1], **checks) if found else None


def best_checkpoint(root: str | Path, metric: str) -> Path | None:
    """The checkpoint under ``root`` whose ``metric`` is highest (the earliest among equals), or None."""
    scored = [(_metric(path, metric), path) for path in list_checkpoints(root)]
    known = [(value, path) for value, path in scored if value is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def prune_checkpoints(root: str | Path, *, keep_last: int = 2, keep_best: str | None = None) -> list[Path]:
    """Delete all but the newest ``keep_last`` and the one best by ``keep_best``; also what kills left
    unfinished.

    Args:
        root: a run's checkpoint folder.
        keep_last: newest ones to keep, at least 1.
        keep_best: name of the metric (higher is better), or None.

    Returns:
        what was deleted.
    """
    require_positive(keep_last=keep_last)
    found = list_checkpoints(root)
    keep = set(found[-keep_last:])
    if keep_best is not None and (best := best_checkpoint(root, keep_best)) is not None:
        keep.add(best)
    gone = [path for path in found if path not in keep]
    for path in [*gone, *Path(root).glob(".step_*.partial"), *Path(root).glob(".step_*.replaced")]:
        shutil.rmtree(path, ignore_errors=True)
    return gone


def _metric(folder: Path, name: str) -> float | None:
    try:
        value = json.loads((folder / FACTS).read_text(encoding="utf-8"))["metrics"].get(name)
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return float(value) if isinstance(value, (int, float)) else None
