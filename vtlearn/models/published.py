"""Loading published models whole: from the hub, a folder or a file, with their pixel range and label
names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.models.pretrained import SOURCES, from_published

MODEL_TYPES = {
    "timesformer": "timesformer-hf",
    "vivit": "vivit-hf",
    "vit": "vit-hf",
    "longformer": "longformer-hf",
}
"""Hugging Face's ``model_type`` → our source."""

PIXELS = {
    "timesformer": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "timesformer-hf": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "vtn": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "vivit-scenic": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "vivit-hf": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "vit-timm": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "vit-hf": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation of pixels in [0, 1] with which each source was trained."""

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Published:
    """A published model with what belongs to it: how its pixels were scaled and what its classes are called.

    ``pixel_mean`` and ``pixel_std`` are for pixels in [0, 1], one number a channel; ``None`` for a model
    of text.
    """

    model: nn.Module
    source: str
    pixel_mean: tuple[float, ...] | None
    pixel_std: tuple[float, ...] | None
    labels: tuple[str, ...] | None


def load_published(
    where: str | Path,
    *,
    source: str | None = None,
    config: Mapping[str, Any] | None = None,
    cache_dir: Path | str | None = None,
    offline: bool = False,
) -> Published:
    """Load a published model by hub name, from a local folder, or from a ``.pyth``, ``.pt``, ``.bin`` or
    ``.safetensors`` file.

    A folder has Hugging Face's layout (``config.json`` beside the weights). A single file needs
    ``source``, and ``config``
    where the weights do not tell it; what they do tell (widths, depth, frames, attention type) is read
    from them, with
    heads of 64 channels. No pickled object is ever executed.

    ViViT's pixels are taken in [-1, 1], with which it was trained, whatever the processor's file beside it
    says (one
    published revision scales twice).

    Args:
        where: "facebook/timesformer-base-finetuned-k400", a folder, or a file.
        source: one of :data:`~vtlearn.models.pretrained.SOURCES`; folders and hub names tell it themselves.
        config: the published configuration, for a single file.
        cache_dir: where downloads are kept; the hub's usual place by default.
        offline: use the cache only.

    Raises:
        ArgumentError: a file without a source, a model type that is not known here.
        CheckpointError: nothing there, unreadable weights, or weights that do not fit.
    """
    path = Path(where)
    if path.is_file():
        if source is None:
            raise ArgumentError("source", None, "one of " + ", ".join(SOURCES) + " for a single file")
        weights = read_weights(path)
        told = dict(config) if config is not None else _config_of(weights, source)
        mean, std = PIXELS.get(source, (None, None))
        return Published(from_published(weights, source, told), source, mean, std, None)
    folder = path if path.is_dir() else _from_hub(str(where), cache_dir, offline)
    return _from_folder(folder, source)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file by key; of a training checkpoint, those of its model."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise CheckpointError(f"{path}: no readable weights ({str(error).splitlines()[0]})") from None
    for key in ("model_state", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict")
    return content


def _from_hub(name: str, cache_dir: Path | str | None, offline: bool) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise CheckpointError(f"{name}: no such file or folder, and no hub name (owner/model)")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        missing = f"{name}: huggingface_hub is not installed (pip install vtlearn[pretrained])"
        raise CheckpointError(missing) from None
    folder = None
    for weights in ("*.safetensors", "pytorch_model.bin"):  # the second only where there is none of the first
        try:
            folder = Path(
                snapshot_download(
                    name,
                    cache_dir=cache_dir,
                    local_files_only=offline,
                    allow_patterns=["*.json", weights],
                )
            )
        except (OSError, ValueError) as error:  # what the hub's own errors derive from
            where = "the cache" if offline else "the hub"
            raise CheckpointError(f"{name}: not found in {where} ({str(error).splitlines()[0]})") from None
        if any(folder.glob(weights)):
            break
    assert folder is not None
    return folder


def _from_folder(folder: Path, source: str | None) -> Published:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{folder / 'config.json'}: no readable configuration ({error})") from None
    if source is None:
        kind = config.get("model_type")
        if kind not in MODEL_TYPES:
            raise ArgumentError("model_type", kind, "one of " + ", ".join(MODEL_TYPES))
        source = MODEL_TYPES[kind]
    model = from_published(_folder_weights(folder), source, config)
    mean, std = PIXELS.get(source, (None, None))
    processor = folder / "preprocessor_config.json"
    if processor.exists() and source != "vivit-hf" and mean is not None:
        told = json.loads(processor.read_text())
        mean = tuple(told.get("image_mean", mean))
        std = tuple(told.get("image_std", std))
    labels = None
    if config.get("id2label"):
        names = {int(number): str(name) for number, name in config["id2label"].items()}
        labels = tuple(names[number] for number in sorted(names))
    return Published(model, source, mean, std, labels)


def _folder_weights(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        return {key: value for name in names for key, value in read_weights(folder / name).items()}
    for name in WEIGHT_FILES:
        if (folder / name).exists():
            return read_weights(folder / name)
    raise CheckpointError(f"{folder}: holds none of {', '.join(WEIGHT_FILES)}")


def _timesformer_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The released TimeSformer's constructor arguments, read from its weights (heads of 64 channels)."""
    bare = {key.removeprefix("module.").removeprefix("model."): value for key, value in weights.items()}
    try:
        width, patch = bare["cls_token"].shape[2], bare["patch_embed.proj.weight"].shape[2]
        side = round((bare["pos_embed"].shape[1] - 1) ** 0.5) * patch
        divided = any(".temporal_attn." in key for key in bare)
        scheme = "divided_space_time" if divided else "joint_space_time"
        return {
            "img_size": side,
            "patch_size": patch,
            "embed_dim": width,
            "depth": 1 + max(int(key.split(".")[1]) for key in bare if key.startswith("blocks.")),
            "num_heads": max(width // 64, 1),
            "mlp_ratio": bare["blocks.0.mlp.fc1.weight"].shape[0] / width,
            "num_frames": bare["time_embed"].shape[1] if "time_embed" in bare else 8,
            "attention_type": scheme if "time_embed" in bare else "space_only",
            "num_classes": bare["head.bias"].shape[0],
        }
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"weights of no released TimeSformer: {error} is missing") from None


def _vtn_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The released VTN's sections, read from its weights; the window is the released 18 in every layer."""
    bare = {key.removeprefix("module."): value for key, value in weights.items()}
    encoder = "temporal_encoder.encoder.layer"
    positions = "temporal_encoder.embeddings.position_embeddings.weight"
    try:
        width = bare["cls_token"].shape[2]
        depth = 1 + max(int(key.split(".")[3]) for key in bare if key.startswith(encoder))
        return {
            "MODEL": {"NUM_CLASSES": bare["mlp_head.4.bias"].shape[0]},
            "VTN": {
                "HIDDEN_DIM": width,
                "MLP_DIM": bare["mlp_head.1.bias"].shape[0],
                "INTERMEDIATE_SIZE": bare[f"{encoder}.0.intermediate.dense.bias"].shape[0],
                "NUM_HIDDEN_LAYERS": depth,
                "NUM_ATTENTION_HEADS": max(width // 64, 1),
                "ATTENTION_WINDOW": [18] * depth,
                "MAX_POSITION_EMBEDDINGS": bare[positions].shape[0],
            },
            "backbone": {"num_heads": max(bare["backbone.cls_token"].shape[2] // 64, 1)},
        }
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"weights of no released VTN: {error} is missing") from None


def _vit_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    token = next((value for key, value in weights.items() if key.endswith("cls_token")), None)
    if token is None:
        raise CheckpointError("weights of no ViT: 'cls_token' is missing")
    return {"num_heads": max(token.shape[2] // 64, 1)}


TOLD_BY_WEIGHTS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Any]]] = {
    "timesformer": _timesformer_config,
    "vtn": _vtn_config,
    "vit-timm": _vit_config,
}


def _config_of(weights: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    if source not in TOLD_BY_WEIGHTS:
        expected = f"the published configuration, which weights of {source!r} do not tell"
        raise ArgumentError("config", None, expected)
    return TOLD_BY_WEIGHTS[source](weights)
