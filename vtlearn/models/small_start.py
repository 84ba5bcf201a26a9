"""Learned positions that start as sines and cosines: a model trained from nothing on few clips needs the head
start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, require
from vtlearn.layers.position import sincos_grid, sincos_line
from vtlearn.models.baselines import FrameAverage, FrameGRU
from vtlearn.models.timesformer import TimeSformer
from vtlearn.models.vit import ViT
from vtlearn.models.vivit import FramewiseEncoder, Positions, ViViT
from vtlearn.models.vtn import VTN, FrameIndexPositions


def start_weights(model: nn.Module) -> None:
    """Draw the weights of every linear layer from Xavier's uniform distribution, in place; biases stay as
    they are.

    The published models draw from a normal distribution of width 0.02, which suits their 768 channels
    (Xavier's width
    there is 0.036). At 64 channels it is six times too small: the layers above hear almost nothing of the
    clip, and
    hundreds of steps pass before the loss moves. ViViT's own code draws from Xavier's.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
    (2010).

    >>> layer = nn.Linear(64, 64)
    >>> start_weights(layer)
    >>> bool(0.1 < layer.weight.std() < 0.15)
    True
    """
    for part in model.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)


def start_positions(model: nn.Module, scale: float = 1.0, base: float = 50.0) -> None:
    """Put a sine–cosine table, times ``scale``, into every learned table of places or times of a model, in
    place.

    The tables stay learned. With the usual start (normal, 0.02) the positions are a whisper beside the
    patches, and a small model needs hundreds of steps before it can tell where a thing is; published models
    bring their positions along from millions of images instead.

    Args:
        model: a ViT, or one of the video models.
        scale: height of the sines; the class token's row is left alone.
        base: longest wavelength, in positions over 2π.

    >>> from vtlearn.models.catalogue import create_model
    >>> model = create_model("vit_samples")
    >>> start_positions(model)
    >>> bool(model.pos_embed[0, 1:].abs().max() <= 1.0)
    True
    """
    require(scale > 0, "scale", scale, "above 0")
    if isinstance(model, ViT):
        h, w = model.config.grid
        _fill(model.pos_embed[0, model.num_extra :], scale * sincos_grid(h, w, model.config.embed_dim))
    elif isinstance(model, VTN):
        _start(model.backbone, scale, base)
        if isinstance(model.positions, FrameIndexPositions):
            rows = model.positions.num_positions
            _fill(model.positions.table[:rows], scale * sincos_line(rows, model.config.embed_dim, base=base))
    elif isinstance(model, (FrameAverage, FrameGRU)):
        _start(model.backbone, scale, base)
    elif isinstance(model, TimeSformer):
        config = model.config
        _fill(model.pos_embed[0, 1:], scale * sincos_grid(config.grid.h, config.grid.w, config.embed_dim))
        if hasattr(model, "time_embed"):
            _fill(model.time_embed[0], scale * sincos_line(config.num_frames, config.embed_dim, base=base))
    elif isinstance(model, ViViT):
        for part in model.modules():
            if isinstance(part, Positions):
                _start_table(part, scale, base)
    else:
        raise ArgumentError("model", type(model).__name__, "a ViT or a video model")


def start_times(model: nn.Module, scale: float = 1.0, base: float = 50.0) -> None:
    """Wake what a video model has beyond the image model it started from, in place.

    The tables of times get sines and cosines (:func:`start_positions`); places stay the image model's.
    TimeSformer's linear layers after the attention over time, which start at zero so that the image model is
    met exactly, are drawn from Xavier's distribution: with zeros nothing of the order in time is heard at
    first, and a short training cannot afford the wait.

    >>> from vtlearn.models.catalogue import create_model
    >>> model = create_model("timesformer_samples")
    >>> before = model.pos_embed.clone()
    >>> start_times(model)
    >>> bool((model.pos_embed == before).all()), bool((model.time_embed != 0).any())
    (True, True)
    """
    places = {name: value.clone() for name, value in model.state_dict().items() if _is_place(model, name)}
    start_positions(model, scale, base)
    model.load_state_dict(places, strict=False)
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear) and name.endswith("temporal_fc"):
            nn.init.xavier_uniform_(part.weight)


def _is_place(model: nn.Module, name: str) -> bool:
    if isinstance(model, ViViT):
        framewise = isinstance(model.encoder, FramewiseEncoder)
        return name.endswith("positions.table") and not (framewise and ".temporal." in name)
    return name.endswith("pos_embed")


def _start(backbone: nn.Module, scale: float, base: float) -> None:
    if isinstance(backbone, ViT):
        start_positions(backbone, scale, base)


def _start_table(positions: Positions, scale: float, base: float) -> None:
    grid, dim = positions.grid, positions.table.shape[2]
    times = sincos_line(grid.t, dim, base=base)
    places = sincos_grid(grid.h, grid.w, dim)
    own = positions.table[0, positions.num_extra :]
    if positions.times is not None:
        _fill(positions.times[0], scale * times)
        _fill(own, scale * places)
    elif grid.tokens_per_frame == 1:
        _fill(own, scale * times)
    elif grid.t == 1:
        _fill(own, scale * places)
    else:
        both = times[:, None] + places[None]
        _fill(own, scale * both.flatten(0, 1))


def _fill(table: Tensor, values: Tensor) -> None:
    with torch.no_grad():
        table.copy_(values)
