"""Models: VTN, TimeSformer, ViViT, the image models they start from, baselines, and the catalogue of
presets.
"""

from vtlearn.models.baselines import FrameAverage, FrameAverageConfig, FrameGRU, FrameGRUConfig
from vtlearn.models.catalogue import create_model, model_config, model_names
from vtlearn.models.classifier import Classifier, VideoClassifier, count_parameters
from vtlearn.models.image_start import init_from_image
from vtlearn.models.resnet import ResNet, ResNetConfig
from vtlearn.models.timesformer import TimeSformer, TimeSformerConfig
from vtlearn.models.vit import ViT, ViTConfig
from vtlearn.models.vivit import ViViT, ViViTConfig
from vtlearn.models.vtn import VTN, VTNConfig

__all__ = [
    "VTN",
    "Classifier",
    "FrameAverage",
    "FrameAverageConfig",
    "FrameGRU",
    "FrameGRUConfig",
    "ResNet",
    "ResNetConfig",
    "TimeSformer",
    "TimeSformerConfig",
    "VTNConfig",
    "ViT",
    "ViTConfig",
    "ViViT",
    "ViViTConfig",
    "VideoClassifier",
    "count_parameters",
    "create_model",
    "init_from_image",
    "model_config",
    "model_names",
]
