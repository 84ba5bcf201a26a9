"""Models: VTN, TimeSformer, ViViT, the image models they start from, baselines, and the catalogue of
presets.
"""

from vtlearn.models.baselines import FrameAverage, FrameAverageConfig, FrameGRU, FrameGRUConfig
from vtlearn.models.catalogue import build_model, create_model, model_config, model_names, tiny_twin
from vtlearn.models.classifier import Classifier, VideoClassifier, count_parameters
from vtlearn.models.conv3d import I3D, I3DConfig, SlowFast, SlowFastConfig
from vtlearn.models.cost import ModelCost, model_cost
from vtlearn.models.image_start import init_from_image
from vtlearn.models.pretrained import from_published
from vtlearn.models.published import Published, load_published
from vtlearn.models.resnet import ResNet, ResNetConfig
from vtlearn.models.timesformer import TimeSformer, TimeSformerConfig
from vtlearn.models.vit import ViT, ViTConfig
from vtlearn.models.vivit import ViViT, ViViTConfig
from vtlearn.models.vtn import VTN, VTNConfig
from vtlearn.models.vtn_frames import CausalVTN, CausalVTNConfig, FrameVTN, FrameVTNConfig, OnlineState

__all__ = [
    "I3D",
    "VTN",
    "CausalVTN",
    "CausalVTNConfig",
    "Classifier",
    "FrameAverage",
    "FrameAverageConfig",
    "FrameGRU",
    "FrameGRUConfig",
    "FrameVTN",
    "FrameVTNConfig",
    "I3DConfig",
    "ModelCost",
    "OnlineState",
    "Published",
    "ResNet",
    "ResNetConfig",
    "SlowFast",
    "SlowFastConfig",
    "TimeSformer",
    "TimeSformerConfig",
    "VTNConfig",
    "ViT",
    "ViTConfig",
    "ViViT",
    "ViViTConfig",
    "VideoClassifier",
    "build_model",
    "count_parameters",
    "create_model",
    "from_published",
    "init_from_image",
    "load_published",
    "model_config",
    "model_cost",
    "model_names",
    "tiny_twin",
]
