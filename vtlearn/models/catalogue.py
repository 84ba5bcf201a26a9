"""The catalogue: every preset by name, and how to build one with some of its sizes changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vtlearn.errors import ArgumentError
from vtlearn.models.baselines import FrameAverage, FrameAverageConfig, FrameGRU, FrameGRUConfig
from vtlearn.models.classifier import Classifier
from vtlearn.models.conv3d import I3D, I3DConfig, SlowFast, SlowFastConfig
from vtlearn.models.resnet import ResNet, ResNetConfig
from vtlearn.models.timesformer import TimeSformer, TimeSformerConfig
from vtlearn.models.vit import ViT, ViTConfig
from vtlearn.models.vivit import ViViT, ViViTConfig
from vtlearn.models.vtn import VTN, VTNConfig
from vtlearn.models.vtn_frames import CausalVTN, CausalVTNConfig, FrameVTN, FrameVTNConfig


@dataclass(frozen=True)
class Preset:
    """One line of the catalogue: how to make the configuration, and where its sizes come from."""

    config: Callable[[], Any]
    source: str


VIT, DEIT, RESNET = "arXiv 2010.11929", "arXiv 2012.12877", "arXiv 1512.03385"
VTN_PAPER, TIMESFORMER, VIVIT = "arXiv 2102.00719", "arXiv 2102.05095", "arXiv 2103.15691"
I3D_PAPER, SLOWFAST = "arXiv 1705.07750", "arXiv 1812.03982"
VTN_REBUILT = VTN_PAPER + ", reconstruction"
TIMESFORMER_REBUILT = TIMESFORMER + ", reconstruction"
SAMPLES = "sized for the bundled clips"


def _timesformer(config: TimeSformerConfig, attention: str) -> Callable[[], TimeSformerConfig]:
    return lambda: dataclasses.replace(config, attention=attention)


def _vivit(config: ViViTConfig, **changes: Any) -> Callable[[], ViViTConfig]:
    return lambda: dataclasses.replace(config, **changes)


PRESETS: dict[str, Preset] = {
    "vit_tiny": Preset(ViTConfig.tiny, DEIT),
    "vit_small": Preset(ViTConfig.small, DEIT),
    "vit_base": Preset(ViTConfig.base, VIT),
    "vit_large": Preset(ViTConfig.large, VIT),
    "deit_tiny_distilled": Preset(ViTConfig.distilled_tiny, DEIT),
    "deit_base_distilled": Preset(ViTConfig.distilled_base, DEIT),
    "resnet50": Preset(ResNetConfig.resnet50, RESNET),
    "resnet101": Preset(ResNetConfig.resnet101, RESNET),
    "vtn_vit_base": Preset(VTNConfig.vit_base, VTN_PAPER),
    "vtn_resnet50": Preset(
        lambda: VTNConfig.with_backbone(ResNetConfig.resnet50(), mlp_dim=4096), VTN_REBUILT
    ),
    "vtn_resnet101": Preset(
        lambda: VTNConfig.with_backbone(ResNetConfig.resnet101(), mlp_dim=4096),
        VTN_REBUILT,
    ),
    "vtn_deit_tiny": Preset(lambda: VTNConfig.with_backbone(ViTConfig.tiny()), VTN_REBUILT),
    "vtn_deit_base": Preset(lambda: VTNConfig.with_backbone(ViTConfig.base()), VTN_REBUILT),
    "vtn_deit_base_distilled": Preset(
        lambda: VTNConfig.with_backbone(ViTConfig.distilled_base()), VTN_REBUILT
    ),
    "vtn_vit_base_causal": Preset(CausalVTNConfig.vit_base, VTN_REBUILT),
    "timesformer_base": Preset(TimeSformerConfig.base, TIMESFORMER),
    "timesformer_high_resolution": Preset(TimeSformerConfig.high_resolution, TIMESFORMER),
    "timesformer_large": Preset(TimeSformerConfig.large, TIMESFORMER),
    "timesformer_base_joint": Preset(_timesformer(TimeSformerConfig.base(), "joint"), TIMESFORMER),
    "timesformer_base_space": Preset(_timesformer(TimeSformerConfig.base(), "space"), TIMESFORMER),
    "timesformer_base_space_first": Preset(
        _timesformer(TimeSformerConfig.base(), "space_first"), TIMESFORMER_REBUILT
    ),
    "timesformer_base_parallel": Preset(
        _timesformer(TimeSformerConfig.base(), "parallel"), TIMESFORMER_REBUILT
    ),
    "timesformer_base_sparse": Preset(_timesformer(TimeSformerConfig.base(), "sparse"), TIMESFORMER_REBUILT),
    "timesformer_base_axial": Preset(_timesformer(TimeSformerConfig.base(), "axial"), TIMESFORMER_REBUILT),
    "vivit_base_joint": Preset(_vivit(ViViTConfig.base("joint")), VIVIT),
    "vivit_base_factorised_encoder": Preset(_vivit(ViViTConfig.base()), VIVIT),
    "vivit_base_factorised_self_attention": Preset(
        _vivit(ViViTConfig.base("factorised_self_attention")), VIVIT
    ),
    "vivit_base_factorised_dot_product": Preset(_vivit(ViViTConfig.base("factorised_dot_product")), VIVIT),
    "vivit_base_average_pool": Preset(_vivit(ViViTConfig.base("average_pool")), VIVIT),
    "vivit_large_joint": Preset(_vivit(ViViTConfig.large("joint")), VIVIT),
    "vivit_large_factorised_encoder": Preset(_vivit(ViViTConfig.large()), VIVIT),
    "i3d_resnet50": Preset(I3DConfig.resnet50, I3D_PAPER),
    "slowfast_resnet50_8x8": Preset(SlowFastConfig.resnet50_8x8, SLOWFAST),
    "slowfast_resnet101_16x8": Preset(SlowFastConfig.resnet101_16x8, SLOWFAST),
    "vit_samples": Preset(ViTConfig.samples, SAMPLES),
    "vtn_samples": Preset(VTNConfig.samples, SAMPLES),
    "vtn_samples_causal": Preset(
        lambda: CausalVTNConfig.of(VTNConfig.samples(), past_table="modulo"), SAMPLES
    ),
    "timesformer_samples": Preset(TimeSformerConfig.samples, SAMPLES),
    "timesformer_samples_joint": Preset(_timesformer(TimeSformerConfig.samples(), "joint"), SAMPLES),
    "timesformer_samples_space": Preset(_timesformer(TimeSformerConfig.samples(), "space"), SAMPLES),
    "vivit_samples": Preset(_vivit(ViViTConfig.samples()), SAMPLES),
    "vivit_samples_joint": Preset(_vivit(ViViTConfig.samples("joint")), SAMPLES),
    "frame_average_samples": Preset(FrameAverageConfig.samples, SAMPLES),
    "frame_gru_samples": Preset(FrameGRUConfig.samples, SAMPLES),
}
"""Every preset by name."""

MODELS: dict[type, Callable[[Any], Classifier]] = {
    ViTConfig: ViT,
    ResNetConfig: ResNet,
    VTNConfig: VTN,
    CausalVTNConfig: CausalVTN,
    FrameVTNConfig: FrameVTN,
    TimeSformerConfig: TimeSformer,
    ViViTConfig: ViViT,
    FrameAverageConfig: FrameAverage,
    FrameGRUConfig: FrameGRU,
    I3DConfig: I3D,
    SlowFastConfig: SlowFast,
}
"""The model of every kind of configuration."""


def model_names() -> list[str]:
    """The names of all presets.

    >>> "timesformer_base" in model_names()
    True
    """
    return list(PRESETS)


def preset(name: str) -> Preset:
    """The catalogue's line for ``name``.

    Raises:
        ArgumentError: no such preset; the message lists the nearest names.
    """
    if name not in PRESETS:
        family = [known for known in PRESETS if known.split("_")[0] == str(name).split("_")[0]]
        raise ArgumentError("name", name, "one of " + ", ".join(family or PRESETS))
    return PRESETS[name]


def model_config(name: str, **overrides: Any) -> Any:
    """The configuration of a preset, with some fields changed.

    A field that the configuration does not have but its backbone's does (``image_size``, ``patch_size``, …)
    is changed there; ``backbone__depth=2`` says so where both have it.

    Raises:
        ArgumentError: no such preset or field, or values that cannot be.

    >>> model_config("vtn_samples", image_size=32, backbone__depth=2).backbone.depth
    2
    """
    return override(preset(name).config(), **overrides)


def override(config: Any, **overrides: Any) -> Any:
    """``config`` with some fields changed, reaching into its backbone as :func:`model_config` says."""
    own = {field.name for field in dataclasses.fields(config)}
    backbone = getattr(config, "backbone", None)
    inner: set[str] = set()
    if dataclasses.is_dataclass(backbone):
        inner = {field.name for field in dataclasses.fields(backbone)}
    here: dict[str, Any] = {}
    there: dict[str, Any] = {}
    for name, value in overrides.items():
        if name in own:
            here[name] = value
            if name in ("in_channels", "checkpointing") and name in inner:
                there[name] = value
        elif name.removeprefix("backbone__") in inner:
            there[name.removeprefix("backbone__")] = value
        else:
            raise ArgumentError("field", name, f"one of {', '.join(sorted(own | inner))}")
    if there:
        chosen: Any = here.get("backbone", backbone)
        here["backbone"] = dataclasses.replace(chosen, **there)
    return dataclasses.replace(config, **here)


def tiny_twin(name: str, **overrides: Any) -> Any:
    """The configuration of a preset shrunk to a few thousand parameters: the same parts, for tests and for
    looking inside.

    Frames, rows and columns of tokens are 3, 2 and 5 (in tubelets where there are any), so that no two axes
    agree.

    >>> tiny_twin("timesformer_base_joint").attention
    'joint'
    """
    return override(_shrink(preset(name).config()), **overrides)


def _shrink(config: Any) -> Any:
    small: dict[str, Any] = {"num_classes": 7}
    if isinstance(config, ResNetConfig):
        return dataclasses.replace(config, layers=(1, 1, 1, 1), width=4, **small)
    if isinstance(config, (I3DConfig, SlowFastConfig)):
        small |= {"layers": (1, 1, 2, 1), "width": 8, "num_frames": 8, "image_size": 32}
        return dataclasses.replace(config, **small)
    if isinstance(config, (FrameAverageConfig, FrameGRUConfig, VTNConfig)):
        assert isinstance(config.backbone, (ViTConfig, ResNetConfig))
        small |= {"backbone": _shrink(config.backbone), "num_frames": 3}
    if isinstance(config, FrameGRUConfig):
        small["hidden_dim"] = 11
    elif isinstance(config, VTNConfig):
        width = 128 if isinstance(config.backbone, ResNetConfig) else 24
        small |= {"embed_dim": width, "num_heads": 2, "depth": 2, "mlp_dim": 30, "window_size": 3}
        small |= {"head_hidden_dim": 13, "num_positions": 17}
    elif isinstance(config, (ViTConfig, TimeSformerConfig, ViViTConfig)):
        small |= {"image_size": (8, 20), "embed_dim": 24, "depth": 2, "num_heads": 2, "mlp_ratio": 1.5}
        if isinstance(config, ViViTConfig):
            small |= {"num_frames": 6, "tubelet_size": (2, 4, 4), "temporal_depth": 1}
        else:
            small["patch_size"] = 4
        if isinstance(config, TimeSformerConfig):
            small["num_frames"] = 3
    return dataclasses.replace(config, **small)


def build_model(config: Any) -> Classifier:
    """The model of a configuration, of whatever kind.

    >>> type(build_model(ViTConfig.samples())).__name__
    'ViT'
    """
    if type(config) not in MODELS:
        raise ArgumentError(
            "config", type(config).__name__, "one of " + ", ".join(c.__name__ for c in MODELS)
        )
    return MODELS[type(config)](config)


def create_model(name: str, **overrides: Any) -> Classifier:
    """A fresh model of a preset, with some fields of its configuration changed.

    Args:
        name: one of :func:`model_names`.
        overrides: fields of the configuration (see :func:`model_config`).

    Raises:
        ArgumentError: no such preset or field, or values that cannot be.

    >>> create_model("vivit_samples", num_classes=5).num_classes
    5
    """
    return build_model(model_config(name, **overrides))
