"""Published models from folders, from the hub's cache and from single files, with pixels and labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.models import build_model, load_published, tiny_twin
from vtlearn.models.pretrained import from_published
from vtlearn.models.published import read_weights

REFERENCE = Path(__file__).parents[1] / "reference"
OFFICIAL = REFERENCE / "timesformer_official_divided_space_time.safetensors"
NAMES = {
    "norm1": "layernorm_before",
    "attn.qkv": "attention.attention.qkv",
    "attn.proj": "attention.output.dense",
    "temporal_norm1": "temporal_layernorm",
    "temporal_attn.qkv": "temporal_attention.attention.qkv",
    "temporal_attn.proj": "temporal_attention.output.dense",
    "temporal_fc": "temporal_dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def official() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    found = tensors(OFFICIAL)
    weights = {key[2:]: value for key, value in found.items() if key.startswith("w.")}
    return weights, found["in.video"].transpose(1, 2), found["out.logits"]


def hugging_face_folder(folder: Path) -> Path:
    """The official weights under Hugging Face's names, with the files a hub model has."""
    weights, _, _ = official()
    renamed = {}
    for key, value in weights.items():
        if key.startswith("blocks."):
            _, layer, rest = key.split(".", 2)
            part, kind = rest.rsplit(".", 1)
            renamed[f"timesformer.encoder.layer.{layer}.{NAMES[part]}.{kind}"] = value
    renamed |= {
        "timesformer.embeddings.cls_token": weights["cls_token"],
        "timesformer.embeddings.position_embeddings": weights["pos_embed"],
        "timesformer.embeddings.time_embeddings": weights["time_embed"],
        "timesformer.embeddings.patch_embeddings.projection.weight": weights["patch_embed.proj.weight"],
        "timesformer.embeddings.patch_embeddings.projection.bias": weights["patch_embed.proj.bias"],
        "timesformer.layernorm.weight": weights["norm.weight"],
        "timesformer.layernorm.bias": weights["norm.bias"],
        "classifier.weight": weights["head.weight"],
        "classifier.bias": weights["head.bias"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in renamed.items()}, folder / "model.safetensors")
    config = {
        "model_type": "timesformer",
        "image_size": 32,
        "patch_size": 8,
        "num_frames": 4,
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "attention_type": "divided_space_time",
        "id2label": {str(number): f"class {number}" for number in range(7)},
    }
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"image_mean": [0.45, 0.45, 0.45], "image_std": [0.225, 0.225, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_a_folder(tmp_path):
    published = load_published(hugging_face_folder(tmp_path / "model"))
    _, clips, logits = official()
    torch.testing.assert_close(published.model(clips), logits, atol=1e-5, rtol=1e-5)
    assert published.pixel_mean == (0.45, 0.45, 0.45)
    assert published.pixel_std == (0.225, 0.225, 0.225)
    assert published.labels is not None
    assert published.labels[6] == "class 6"
    assert not published.model.training


def test_the_hubs_cache_without_a_network(tmp_path):
    pytest.importorskip("huggingface_hub")
    repository = tmp_path / "models--someone--tiny"
    revision = "0123456789abcdef0123456789abcdef01234567"
    hugging_face_folder(repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    published = load_published("someone/tiny", cache_dir=tmp_path, offline=True)
    _, clips, logits = official()
    torch.testing.assert_close(published.model(clips), logits, atol=1e-5, rtol=1e-5)
    with pytest.raises(CheckpointError, match=r"someone/other: not found in the cache"):
        load_published("someone/other", cache_dir=tmp_path, offline=True)


@pytest.mark.parametrize("format", ["safetensors", "bin"])
def test_the_hub_is_asked_for_one_format_of_weights(tmp_path, monkeypatch, format):
    hub = pytest.importorskip("huggingface_hub")
    folder, asked = hugging_face_folder(tmp_path / "model"), []
    if format == "bin":
        torch.save(read_weights(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

    def snapshot_download(name: str, allow_patterns: list[str], **options: object) -> str:
        asked.append((name, allow_patterns[-1], options["local_files_only"]))
        if allow_patterns[-1] == "pytorch_model.bin":
            (tmp_path / "pytorch_model.bin").rename(folder / "pytorch_model.bin")
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    published = load_published("someone/tiny")
    _, clips, logits = official()
    torch.testing.assert_close(published.model(clips), logits, atol=1e-5, rtol=1e-5)
    patterns = ["*.safetensors", "pytorch_model.bin"][: 1 if format == "safetensors" else 2]
    assert asked == [("someone/tiny", pattern, False) for pattern in patterns]


def test_a_released_checkpoint_file_tells_its_own_sizes(tmp_path):
    weights, clips, _ = official()
    file = tmp_path / "released.pyth"
    torch.save({"epoch": 3, "model_state": {f"model.{k}": v for k, v in weights.items()}}, file)
    published = load_published(file, source="timesformer")
    config = published.model.config
    assert (config.embed_dim, config.depth, config.num_frames, config.image_size) == (48, 3, 4, 32)
    assert config.num_heads == 1  # 48 channels are no multiple of the released 64: say the configuration
    told = load_published(
        file,
        source="timesformer",
        config={"img_size": 32, "patch_size": 8, "num_classes": 7, "embed_dim": 48, "depth": 3}
        | {"num_heads": 4, "num_frames": 4},
    )
    torch.testing.assert_close(told.model(clips), official()[2], atol=1e-5, rtol=1e-5)


def test_a_released_vtn_file_tells_its_own_sizes(tmp_path):
    found = tensors(REFERENCE / "vtn_official_hf446_w6_F5.safetensors")
    weights = {key[2:]: value for key, value in found.items() if key.startswith("w.")}
    weights["temporal_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    torch.save({"model_state": weights}, tmp_path / "vtn.pyth")
    model = load_published(tmp_path / "vtn.pyth", source="vtn").model
    assert (model.config.depth, model.config.num_positions, model.config.window_size) == (3, 38, (19, 19, 19))
    assert model.config.backbone.depth == 2


class _Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_no_pickle_is_executed(tmp_path):
    torch.save({"model_state": _Trap()}, tmp_path / "trap.pyth")
    with pytest.raises(CheckpointError, match=r"trap.pyth: no readable weights"):
        read_weights(tmp_path / "trap.pyth")


def test_what_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing here: no such file or folder"):
        load_published("nothing here")
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(CheckpointError, match=r"config.json: no readable configuration"):
        load_published(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ArgumentError, match=r"model_type must be one of timesformer.*got 'bert'"):
        load_published(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "timesformer"}))
    with pytest.raises(CheckpointError, match=r"holds none of model.safetensors"):
        load_published(folder)
    (folder / "half.safetensors").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"half.safetensors: no readable weights"):
        load_published(folder / "half.safetensors", source="timesformer")
    with pytest.raises(ArgumentError, match=r"source must be one of .* for a single file"):
        load_published(folder / "half.safetensors")


def config() -> dict:
    with safe_open(OFFICIAL, "pt") as file:
        return json.loads(file.metadata()["meta"])["config"]


def test_keys_that_do_not_fit_are_all_listed():
    weights, _, _ = official()
    broken = {key: value for key, value in weights.items() if key != "blocks.1.temporal_fc.bias"}
    broken["blocks.9.extra"] = torch.zeros(1)
    broken["norm.weight"] = torch.zeros(47)
    with pytest.raises(CheckpointError) as error:
        from_published(broken, "timesformer", config())
    message = str(error.value)
    assert "missing: blocks.1.temporal_fc.bias" in message
    assert "unexpected: blocks.9.extra" in message
    assert "misshapen: norm.weight (47,) for (48,)" in message


def test_loading_leaves_the_given_weights_alone():
    weights, _, _ = official()
    before = {key: value.clone() for key, value in weights.items()}
    model = from_published(weights, "timesformer", config())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[key]) for key, value in weights.items())
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])


def test_unknown_sources_are_named():
    with pytest.raises(ArgumentError, match=r"source must be one of 'timesformer'.*got 'keras'"):
        from_published({}, "keras", {})


@pytest.mark.parametrize("name", ["vit_base", "deit_base_distilled"])
def test_timm_names_are_ours(name):
    vit = build_model(tiny_twin(name, image_size=20)).eval()
    found = from_published(vit.state_dict(), "vit-timm", {"num_heads": 2})
    images = torch.randn(2, 3, 20, 20)
    torch.testing.assert_close(found(images), vit(images))
    assert found.config == vit.config
