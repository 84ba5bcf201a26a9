"""VTN frame by frame: logits for every frame, and a running state that gives what the whole run gives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtlearn.errors import ArgumentError
from vtlearn.layers import longformer_causal
from vtlearn.models import (
    CausalVTN,
    CausalVTNConfig,
    FrameVTN,
    FrameVTNConfig,
    OnlineState,
    build_model,
    model_cost,
    tiny_twin,
)
from vtlearn.models.vtn import VTN, VTNConfig

WIDTH, REACHES = 24, (2, 1)


def whole_config(**changes: object) -> VTNConfig:
    return tiny_twin("vtn_samples", past_table="modulo", window_size=(5, 3), **changes)


def woken(model: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def causal(**changes: object) -> CausalVTN:
    torch.manual_seed(0)
    return woken(CausalVTN(CausalVTNConfig.of(whole_config(**changes))))


def clips(frames: int = 11, batch: int = 2) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(batch, frames, 3, 8, 20)


def reference(model: CausalVTN, features: Tensor, index: Tensor) -> Tensor:
    """Logits after every frame, one frame, one head and one key at a time."""
    token, frames = model.embed_apart(features, index)
    frames, token = model.embed_norm(frames), model.embed_norm(token)
    batch, length, _ = frames.shape
    readers = token.expand(batch, length, -1)
    for layer, reach in zip(model.temporal_encoder.layers, REACHES, strict=True):
        attention, size = layer.attention, layer.attention.head_dim

        def read(
            query: Tensor, keys: list[Tensor], key: nn.Linear, value: nn.Linear, size: int = size
        ) -> Tensor:
            heads = []
            for part in range(0, WIDTH, size):
                scores = [
                    (query[:, part : part + size] * key(x)[:, part : part + size]).sum(-1) / math.sqrt(size)
                    for x in keys
                ]
                weights = torch.stack(scores, -1).softmax(-1)
                values = torch.stack([value(x)[:, part : part + size] for x in keys], 1)
                heads.append((weights[..., None] * values).sum(1))
            return torch.cat(heads, -1)

        def finish(x: Tensor, out: Tensor, layer: nn.Module = layer) -> Tensor:
            x = layer.attention_norm(x + layer.attention_output(out))
            return layer.output_norm(x + layer.output(F.gelu(layer.intermediate(x))))

        new_frames, new_readers = [], []
        for t in range(length):
            window = [frames[:, s] for s in range(max(0, t - reach), t + 1)] + [readers[:, t]]
            own, reader = frames[:, t], readers[:, t]
            out = read(attention.query(own), window, attention.key, attention.value)
            new_frames.append(finish(own, out))
            out = read(attention.query_global(reader), window, attention.key_global, attention.value_global)
            new_readers.append(finish(reader, out))
        frames, readers = torch.stack(new_frames, 1), torch.stack(new_readers, 1)
    return model.head(readers)


def test_logits_after_each_frame_are_those_of_the_plain_loop():
    model, video = causal(), clips()
    index = torch.stack([torch.arange(11) * 2, torch.arange(11) + 9])
    with torch.no_grad():
        expected = reference(model, model.frame_features(video), index)
        found = model.logits_after_each(video, index)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(video, index), expected[:, -1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found[:, 3], found[:, 7], atol=1e-3)


@pytest.mark.parametrize("chunks", [[1] * 11, [3, 1, 5, 2], [11], [10, 1]], ids=str)
@pytest.mark.parametrize("block", [2, 128])
def test_frames_that_arrive_give_what_the_whole_run_gives(monkeypatch, chunks, block):
    monkeypatch.setattr(longformer_causal, "BLOCK", block)
    model, video = causal(), clips()
    with torch.no_grad():
        whole, state, parts = model.logits_after_each(video), None, []
        for part in video.split(chunks, dim=1):
            logits, state = model.step(part, state)
            parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)
    assert state.num_frames == 11


def test_the_state_does_not_grow_and_old_frames_are_forgotten():
    model, video, state, sizes = causal(), clips(12), OnlineState(), []
    with torch.no_grad():
        for part in video.split(1, dim=1):
            _, state = model.step(part, state)
            sizes.append(state.num_bytes())
        assert sizes[0] < sizes[1] == sizes[-1] == 4 * 2 * WIDTH * sum(REACHES) * 4
        other = video.clone()
        other[:, :8] += 1.0  # the last reader hears 1 + 2 + 1 frames
        torch.testing.assert_close(model(other), model(video))
        other[:, 8] += 1.0
        assert not torch.allclose(model(other), model(video), atol=1e-4)


def test_no_frame_hears_a_later_one():
    model, video = causal(), clips()
    later = video.clone()
    later[:, 6:] += 1.0
    with torch.no_grad():
        one, other = model.logits_after_each(video), model.logits_after_each(later)
    torch.testing.assert_close(one[:, :6], other[:, :6], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(one[:, 6:], other[:, 6:], atol=1e-3)


def test_one_layer_with_a_window_over_everything_is_vtn_on_every_beginning():
    config = whole_config()
    config = VTNConfig.of(config, depth=1, window_size=99)
    vtn = woken(VTN(config))
    model = CausalVTN(CausalVTNConfig.of(config)).eval()
    model.load_state_dict(vtn.state_dict())
    video = clips(7)
    with torch.no_grad():
        each = model.logits_after_each(video)
        for length in (1, 4, 7):
            torch.testing.assert_close(each[:, length - 1], vtn(video[:, :length]), atol=1e-5, rtol=1e-5)


def test_padding_at_the_end_changes_nothing():
    model, video = causal(), clips(6)
    with torch.no_grad():
        features = model.frame_features(video)
        longer = torch.cat([features, torch.full((2, 3, WIDTH), 5.0)], 1)
        valid = (torch.arange(9) < 6).expand(2, -1)
        torch.testing.assert_close(model.classify_features(longer, None, valid), model(video))
        with pytest.raises(ArgumentError, match="valid_mask must be True first, then False"):
            model.classify_features(longer, None, valid.flip(1))


def test_a_causal_model_trains_through_either_door():
    model, video = causal(dropout=0.2, attention_dropout=0.2).train(), clips()
    model(video).square().sum().backward()
    unheard = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # in the last layer only the readers are read, and they read through the global projections
    assert unheard == {
        f"temporal_encoder.layers.1.attention.{name}.{part}"
        for name in ("query", "key", "value")
        for part in ("weight", "bias")
    }
    assert not torch.equal(model(video), model(video))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.eval()
    targets = torch.tensor([[0] * 11, [3] * 11])
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(model.logits_after_each(video).transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_what_a_causal_model_cannot_be():
    with pytest.raises(ArgumentError, match="past_table must be one of 'error', 'modulo', got 'squeeze'"):
        CausalVTNConfig.of(VTNConfig.samples())
    with pytest.raises(ArgumentError, match="attention must be one of 'window', got 'uniform'"):
        CausalVTNConfig.of(whole_config(), attention="uniform")
    with pytest.raises(ArgumentError, match="config must be a CausalVTNConfig"):
        CausalVTN(whole_config())
    model = causal()
    _, state = model.step(clips(3))
    with pytest.raises(ArgumentError, match="of the state's 2 videos"):
        model.step(clips(1, batch=3), state)
    model = CausalVTN(CausalVTNConfig.of(whole_config(), past_table="error"))
    with pytest.raises(ArgumentError, match=r"frame_index must be at most 16.*got 17"):
        model.step(clips(2), OnlineState(num_frames=16))


def test_attention_products_of_the_causal_windows_are_counted_as_such():
    config = CausalVTNConfig.of(whole_config(), backbone=VTNConfig.samples().backbone, embed_dim=64)
    cost, one = model_cost(config, 9), model_cost(config, 1)
    linear = cost.linear - 9 * one.linear
    head = 64 * 13 + 13 * 7
    assert linear == -8 * head  # the head runs once a clip; everything else once a frame
    products = sum(min(t, reach) + 2 for reach in REACHES for t in range(9)) * 2 * 2 * 64
    backbone = 9 * (one.attention - 2 * 2 * 2 * 2 * 64)
    assert cost.attention - backbone == products


def test_a_frame_of_a_whole_video_has_logits_of_its_own():
    config = whole_config()
    torch.manual_seed(0)
    vtn = woken(VTN(config))
    model = FrameVTN(FrameVTNConfig.of(config)).eval()
    model.load_state_dict(vtn.state_dict())
    video, index = clips(), torch.arange(11).expand(2, -1)
    with torch.no_grad():
        logits = model(video, index)
        assert logits.shape == (2, 11, 7)
        tokens = vtn.encode_features(vtn.frame_features(video), index)
        torch.testing.assert_close(logits, vtn.head(tokens[:, 1:]), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(model.forward_head(model.forward_features(video, index)), logits)
        streamed = model.classify_stream(iter(video[0]), iter(range(11)), chunk=4)
        torch.testing.assert_close(streamed, logits[:1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits[:, 2], logits[:, 8], atol=1e-3)


def test_localisation_trains_and_is_rebuilt_from_its_configuration():
    model = build_model(FrameVTNConfig.of(whole_config()))
    assert type(model) is FrameVTN
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    where = torch.tensor([[0] * 5 + [2] * 6, [4] * 8 + [1] * 3])
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(model(clips()).flatten(0, 1), where.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
