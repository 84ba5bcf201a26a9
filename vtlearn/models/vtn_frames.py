"""VTN with logits for every frame: for a whole video at once, and for one that is still arriving."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vtlearn.errors import require, require_one_of
from vtlearn.layers.longformer_causal import CausalLongformerEncoder, Recent
from vtlearn.models.vtn import VTN, VTNConfig


@dataclass(frozen=True, kw_only=True)
class FrameVTNConfig(VTNConfig):
    """The configuration of a :class:`FrameVTN`; ``FrameVTNConfig.of(config)`` makes it of a VTN's.

    >>> FrameVTNConfig.of(VTNConfig.samples(), num_classes=3).num_classes
    3
    """


class FrameVTN(VTN):
    """VTN for localisation: logits ``(B, T, num_classes)``, one row a frame, from the whole video around it.

    The same weights as VTN, so that one trained on whole clips is a start; each frame's token after the
    temporal encoder goes through the head, and the class token stays as what brings the whole video to every
    frame.
    A reconstruction: the paper classifies whole videos.

    >>> model = FrameVTN(FrameVTNConfig.of(VTNConfig.samples())).eval()
    >>> model(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 8, 8])
    """

    def forward_features(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Every frame's token after the temporal encoder."""
        return self.encode_features(self.frame_features(clips), frame_index)[:, 1:]

    def classify_features(
        self,
        features: Float[Tensor, "B T D"],
        frame_index: Int[Tensor, "B T"] | None = None,
        valid_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T K"]:
        """Logits of every frame from frame features computed earlier; rows of padding mean nothing."""
        return self.forward_head(self.encode_features(features, frame_index, valid_mask)[:, 1:])

    def forward(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T K"]:
        return self.forward_head(self.forward_features(clips, frame_index))


@dataclass(frozen=True, kw_only=True)
class CausalVTNConfig(VTNConfig):
    """The configuration of a :class:`CausalVTN`; ``CausalVTNConfig.of(config)`` makes it of a VTN's.

    ``past_table`` cannot be "squeeze", which must know how long the video becomes: a stream that outlasts the
    table needs "modulo", or ``positions="none"``. The ablation "uniform" is not offered.

    >>> CausalVTNConfig.of(VTNConfig.samples(), past_table="modulo").past_table
    'modulo'
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions != "none":
            require_one_of("past_table", self.past_table, ("error", "modulo"))
        require_one_of("attention", self.attention, ("window",))


@dataclass(frozen=True)
class OnlineState:
    """What a :class:`CausalVTN` keeps between frames: a window of keys and values a layer, and a count.

    Its size does not depend on how long the video has been running.
    """

    layers: tuple[Recent, ...] | None = None
    num_frames: int = 0

    def num_bytes(self) -> int:
        """Memory of the keys and values held."""
        return sum(x.numel() * x.element_size() for recent in self.layers or () for x in recent)


class CausalVTN(VTN):
    """VTN for online use: logits after every frame, from that frame and those before it.

    Weights and keys are VTN's. The temporal windows keep their past half. **The class token** of VTN waits
    for the whole video, which never ends here; instead one stands beside every frame as its reader. It starts
    as the learned class token, reads the frames of the window and itself in every layer (through the
    projections for global tokens), is read by its frame, and gives the logits after that frame. It thus hears
    the last ``1 + depth · (window_size // 2)`` frames. With one layer and a window over the whole clip this
    is VTN itself. A reconstruction: the paper knows no causal variant.

    ``model(clips)`` gives the logits after the last frame, :meth:`logits_after_each` those after every frame
    (train on either); :meth:`step` takes frames as they arrive and a state of constant size.
    ``record_attention`` hears the backbone only.

    >>> model = CausalVTN(CausalVTNConfig.of(VTNConfig.samples(), past_table="modulo")).eval()
    >>> clip, state = torch.randn(1, 8, 3, 32, 32), OnlineState()
    >>> with torch.no_grad():
    ...     for number in range(8):
    ...         logits, state = model.step(clip[:, number : number + 1], state)
    ...     torch.allclose(logits[:, -1], model(clip), atol=1e-5)
    True
    """

    config: CausalVTNConfig
    temporal_encoder: CausalLongformerEncoder
    encoder_class = CausalLongformerEncoder

    def __init__(self, config: VTNConfig, backbone: nn.Module | None = None) -> None:
        require(
            isinstance(config, CausalVTNConfig), "config", type(config).__name__, "a CausalVTNConfig (.of(…))"
        )
        super().__init__(config, backbone)

    def advance(
        self,
        features: Float[Tensor, "B n D"],
        state: OnlineState | None = None,
        frame_index: Int[Tensor, "B n"] | None = None,
    ) -> tuple[Float[Tensor, "B n D"], OnlineState]:
        """The readers of the frames with these features, and the state after them.

        ``frame_index`` goes on counting where the state ends, unless it is told.
        """
        state = OnlineState() if state is None else state
        batch, new, _ = features.shape
        if frame_index is None:
            frame_index = torch.arange(state.num_frames, state.num_frames + new, device=features.device)
            frame_index = frame_index.expand(batch, new)
        if state.layers is not None:
            held = state.layers[0].k.shape[0]
            require(held == batch, "features", tuple(features.shape), f"of the state's {held} videos")
        token, frames = self.embed_apart(features, frame_index)
        tokens = self.embed_dropout(self.embed_norm(frames))
        readers = self.embed_dropout(self.embed_norm(token).expand(batch, new, -1))
        read, layers = self.temporal_encoder.advance(tokens, readers, state.layers)
        return read, OnlineState(layers, state.num_frames + new)

    def step(
        self,
        frames: Float[Tensor, "B n C H W"],
        state: OnlineState | None = None,
        frame_index: Int[Tensor, "B n"] | None = None,
    ) -> tuple[Float[Tensor, "B n K"], OnlineState]:
        """Logits after each of the frames that have just arrived, one or several, and the state after them.

        Args:
            frames: the next frames of B videos.
            state: what the last call gave; ``None`` at the start of the videos.
            frame_index: where the frames stand in their videos; by default they are counted from 0.
        """
        read, state = self.advance(self.frame_features(frames), state, frame_index)
        return self.forward_head(read), state

    def encode_features(
        self,
        features: Float[Tensor, "B T D"],
        frame_index: Int[Tensor, "B T"] | None = None,
        valid_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B n D"]:
        """The reader of the last real frame first (the clip's class token), then the reader of every frame.

        Padding must stand at the end; the frames before it cannot see it.
        """
        read, _ = self.advance(features, None, frame_index)
        if valid_mask is None:
            return torch.cat([read[:, -1:], read], dim=1)
        lengths = valid_mask.sum(dim=1)
        real = torch.arange(features.shape[1], device=features.device)[None] < lengths[:, None]
        if not torch.compiler.is_compiling():
            padded_at_the_end = bool((real == valid_mask).all()) and bool((lengths > 0).all())
            require(padded_at_the_end, "valid_mask", valid_mask.tolist(), "True first, then False")
        last = read.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, read.shape[2]))
        return torch.cat([last, read], dim=1)

    def logits_after_each(
        self, clips: Float[Tensor, "B T C H W"], frame_index: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T K"]:
        """Logits after every frame of whole clips: what :meth:`step` would have given, computed at once."""
        return self.forward_head(self.encode_features(self.frame_features(clips), frame_index)[:, 1:])
