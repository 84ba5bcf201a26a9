"""VTN: three ways to run it, positions by frame index, padding, other backbones."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vtlearn.errors import ArgumentError, DataError
from vtlearn.models import VTN, build_model, tiny_twin
from vtlearn.models.vtn import FrameIndexPositions, load_features, save_features

T = 7


def model(**changes: object) -> VTN:
    torch.manual_seed(0)
    made = build_model(tiny_twin("vtn_samples", **changes)).eval()
    assert isinstance(made, VTN)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name not in ("cls_token", "positions.table"):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def video(batch: int = 2, frames: int = T) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    index = torch.arange(frames) * 2
    return torch.randn(batch, frames, 3, 8, 20), torch.stack([index + row for row in range(batch)])


@pytest.mark.parametrize("chunk", [1, 3, 5, 14, 100])
def test_chunks_of_frames_give_the_same_logits(chunk):
    vtn = model()
    clips, index = video()
    with torch.no_grad():
        expected = vtn(clips, index)
        chunked = model(frame_chunk=chunk)
        chunked.load_state_dict(vtn.state_dict())
        torch.testing.assert_close(chunked(clips, index), expected, atol=1e-5, rtol=1e-5)


def test_chunks_of_frames_give_the_same_gradients():
    """Of the backbone and of the clips, although chunks are written into one tensor."""
    results = []
    for chunk in (None, 3):
        vtn = model(frame_chunk=chunk).double()
        clips = video()[0].double().requires_grad_()
        features = vtn.frame_features(clips)
        (features * torch.linspace(1, 2, T, dtype=torch.float64)[:, None]).pow(2).sum().backward()
        results.append([features, clips.grad, *(p.grad for p in vtn.backbone.parameters())])
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole)
    assert clips.grad.flatten(2).any(-1).all()


def test_chunks_bound_what_the_backbone_sees():
    seen = []
    vtn = model(frame_chunk=3)
    vtn.backbone.register_forward_pre_hook(lambda _m, inputs: seen.append(len(inputs[0])))
    vtn(*video())
    assert seen == [3, 3, 3, 3, 2]


def test_features_computed_ahead_give_the_same_logits(tmp_path):
    vtn = model()
    clips, index = video(1)
    with torch.no_grad():
        expected = vtn(clips, index)
        save_features(tmp_path / "video.npy", vtn.frame_features(clips)[0])
        features = load_features(tmp_path / "video.npy")
        assert features.shape == (T, 24)
        torch.testing.assert_close(
            vtn.classify_features(features[None], index), expected, atol=1e-5, rtol=1e-5
        )


def test_unreadable_features_are_named(tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"not numbers")
    with pytest.raises(DataError, match=r"broken.npy: no readable frame features"):
        load_features(tmp_path / "broken.npy")
    np.save(tmp_path / "double.npy", np.zeros((2, 3)))
    with pytest.raises(
        DataError, match=r"double.npy: expected \(T, D\) float32 features, found \(2, 3\) float64"
    ):
        load_features(tmp_path / "double.npy")


@pytest.mark.parametrize("chunk", [1, 2, 7, 50])
def test_a_stream_of_frames_gives_the_same_logits(chunk):
    vtn = model()
    clips, index = video(1)
    held = []
    vtn.backbone.register_forward_pre_hook(lambda _m, inputs: held.append(len(inputs[0])))
    with torch.no_grad():
        streamed = vtn.classify_stream(iter(clips[0]), iter(index[0].tolist()), chunk=chunk)
        assert max(held) <= chunk
        torch.testing.assert_close(streamed, vtn(clips, index), atol=1e-5, rtol=1e-5)


def test_an_empty_stream_is_refused():
    with pytest.raises(ArgumentError, match=r"frames must be an iterator that gives at least one frame"):
        model().classify_stream(iter([]))


def test_padding_changes_nothing():
    vtn = model()
    clips, index = video()
    with torch.no_grad():
        features = vtn.frame_features(clips)
        padded = torch.cat([features, torch.full((2, 4, 24), 9.0)], dim=1)
        longer = torch.cat([index, torch.zeros(2, 4, dtype=torch.long)], dim=1)
        valid = (torch.arange(T + 4) < T).expand(2, -1)
        logits = vtn.classify_features(padded, longer, valid)
        torch.testing.assert_close(logits, vtn(clips, index), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(vtn.classify_features(padded, longer), logits, atol=1e-3)


def test_frame_index_matters_and_defaults_to_counting():
    vtn = model()
    clips, _ = video()
    with torch.no_grad():
        counted = vtn(clips)
        torch.testing.assert_close(vtn(clips, torch.arange(T).expand(2, -1)), counted)
        assert not torch.allclose(vtn(clips, torch.arange(0, 14, 2).expand(2, -1)), counted, atol=1e-4)


def test_without_positions_only_the_window_hears_the_order():
    wide = model(positions="none", window_size=2 * T + 1)
    clips, _ = video()
    with torch.no_grad():
        torch.testing.assert_close(wide(clips), wide(clips.flip(1)), atol=1e-5, rtol=1e-5)
        narrow = model(positions="none", window_size=3)
        shuffled = clips[:, [3, 1, 5, 0, 6, 2, 4]]
        assert not torch.allclose(narrow(clips), narrow(shuffled), atol=1e-4)


@pytest.mark.parametrize("kind", ["learned", "fixed"])
def test_position_rules(kind):
    def rule(past_table: str) -> FrameIndexPositions:
        torch.manual_seed(2)
        return FrameIndexPositions(tiny_twin("vtn_samples", positions=kind, past_table=past_table))

    index = torch.tensor([[0, 8, 16], [0, 17, 32]])
    modulo = rule("modulo")
    assert torch.equal(modulo(index)[1], modulo.table[[0, 0, 15]])
    squeeze = rule("squeeze")
    torch.testing.assert_close(squeeze(index)[0], squeeze.table[[0, 8, 16]])
    torch.testing.assert_close(squeeze(index)[1, [0, 2]], squeeze.table[[0, 16]])
    between = (squeeze.table[8] + squeeze.table[9]) / 2
    torch.testing.assert_close(squeeze(index)[1, 1], between)
    assert not squeeze.table[-1].any()
    assert isinstance(squeeze.table, nn.Parameter) == (kind == "learned")


def test_the_uniform_ablation_hears_no_query():
    vtn = model(attention="uniform")
    clips, index = video()
    logits = vtn(clips, index)
    with torch.no_grad():
        for layer in vtn.temporal_encoder.layers:
            for name in ("query", "key", "query_global", "key_global"):
                getattr(layer.attention, name).weight.add_(1.0)
    torch.testing.assert_close(vtn(clips, index), logits)
    learned = model()
    learned.load_state_dict(vtn.state_dict())
    assert not torch.allclose(learned(clips, index), logits, atol=1e-4)


def test_a_fixed_backbone_does_not_learn():
    vtn = model(tune_backbone=False)
    vtn(*video()).sum().backward()
    assert all(parameter.grad is None for parameter in vtn.backbone.parameters())
    assert vtn.temporal_encoder.layers[0].attention.query.weight.grad is not None


def test_a_fixed_backbone_stays_in_evaluation():
    """Else its batch norms would go on moving, and its dropout would rustle."""
    vtn = build_model(tiny_twin("vtn_resnet50", tune_backbone=False, dropout=0.0, head_dropout=0.0)).train()
    assert vtn.head.training
    assert not any(part.training for part in vtn.backbone.modules())
    before = {key: value.clone() for key, value in vtn.backbone.state_dict().items()}
    vtn(torch.randn(2, 3, 3, 32, 32)).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in vtn.backbone.state_dict().items())
    tuned = build_model(tiny_twin("vtn_resnet50")).train()
    assert all(part.training for part in tuned.backbone.modules())


def test_any_module_that_maps_images_to_vectors():
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d((2, 4)), nn.Flatten())
    vtn = VTN(tiny_twin("vtn_samples", backbone=None), backbone=backbone).eval()
    assert vtn(*video()).shape == (2, 7)
    with pytest.raises(ArgumentError, match=r"backbone must be a configuration, or a module handed to VTN"):
        VTN(tiny_twin("vtn_samples", backbone=None))


def test_a_timm_name_where_timm_is_installed(monkeypatch):
    """A module that stands in for timm: its name, its ``create_model``, and no head."""
    asked = []

    def create_timm_model(name: str, num_classes: int) -> nn.Module:
        asked.append((name, num_classes))
        return nn.Sequential(nn.AdaptiveAvgPool2d((2, 4)), nn.Flatten())

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_timm_model))
    config = tiny_twin("vtn_samples", backbone="timm/some_net.in1k")
    vtn = build_model(config).eval()
    assert asked == [("some_net.in1k", 0)]
    clips, index = video()
    with torch.no_grad():
        assert vtn(clips, index).shape == (2, 7)
        features = vtn.frame_features(clips, chunk=3)
        torch.testing.assert_close(vtn.classify_features(features, index), vtn(clips, index))
    assert type(config)(**dataclasses.asdict(config)) == config
    wrong = build_model(tiny_twin("vtn_samples", backbone="timm/some_net.in1k", embed_dim=26))
    with pytest.raises(ArgumentError, match=r"backbone's output must be of shape \(14, 26\), got \(14, 24\)"):
        wrong(*video())


def test_a_timm_name_without_timm():
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(ArgumentError, match=r"since timm is not installed, got 'timm/resnet18'"):
            VTN(tiny_twin("vtn_samples", backbone="timm/resnet18"))
    with pytest.raises(
        ArgumentError, match=r"backbone must be a configuration or 'timm/<name>', got 'resnet18'"
    ):
        tiny_twin("vtn_samples", backbone="resnet18")
