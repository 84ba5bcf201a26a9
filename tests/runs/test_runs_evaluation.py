"""Evaluating and predicting: by hand on a model that reads its answer off the pixels, and through loading."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.runs.conftest import copy_clips
from vtlearn.data.decode import decode_all
from vtlearn.data.sources import list_clips
from vtlearn.data.synthetic import encode_video
from vtlearn.errors import ArgumentError, CheckpointError, DataError
from vtlearn.models import build_model, create_model, tiny_twin
from vtlearn.runs.clips import normaliser
from vtlearn.runs.evaluation import ViewsDataset, evaluate_trained
from vtlearn.runs.heads import SeveralHeads
from vtlearn.runs.long_video import view_indices
from vtlearn.runs.prediction import WAYS, bar, frame_attention, predict, write_overlay
from vtlearn.runs.settings import TrainingSettings
from vtlearn.runs.trained import Trained, load_trained, match_classes
from vtlearn.runs.training import train
from vtlearn.train.checkpoint import list_checkpoints
from vtlearn.viz.overlay import overlay_frames, scaled_heat


class Brightness(nn.Module):
    """Two logits: how bright the left half of the clip is, and the right half; sees each view alone."""

    num_classes = 2

    def forward(self, clips, frame_index=None):
        half = clips.shape[-1] // 2
        return torch.stack([clips[..., :half].mean((1, 2, 3, 4)), clips[..., half:].mean((1, 2, 3, 4))], 1)


def by_brightness(**more):
    facts = {
        "class_names": ("left", "right"),
        "num_frames": 3,
        "frame_stride": 2,
        "short_side": 16,
        "crop": 16,
    }
    return Trained(model=Brightness(), name="eyes", normalise=normaliser(0.5, 0.25), **(facts | more))


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Four clips that are bright on one side, one of them under the wrong label, and a broken one."""
    root = tmp_path_factory.mktemp("sides")
    for name, label, bright in [("a", "left", 0), ("b", "left", 0), ("c", "right", 1), ("d", "right", 0)]:
        frames = torch.zeros(13, 16, 32, 3, dtype=torch.uint8)
        frames[:, :, 16 * bright : 16 * bright + 16] = 220
        encode_video(root / "val" / label / f"{name}.mp4", frames.numpy(), 5)
    (root / "val" / "left" / "e.mp4").write_bytes(b"not a video at all, though it is called one")
    return root


def test_rates_classes_and_coverage_by_hand(sides):
    listed = list_clips({"folder": str(sides)}, "val", None)
    report = evaluate_trained(by_brightness(crop=16), listed, split="val", crops=3, device="cpu", quiet=True)
    assert (report.found.clips, report.found.top1_correct, report.listed) == (4, 3, 5)
    assert report.coverage == 0.8
    assert [each.name.split("/")[-1] for each in report.unreadable] == ["e.mp4"]
    rows = report.per_class()
    assert [(row["class"], row["clips"], row["correct"], row["mistaken_for"]) for row in rows] == [
        ("left", 2, 2, None),
        ("right", 2, 1, "left"),
    ]
    told = json.loads(json.dumps(report.as_dict()))
    assert told["confusion"] == [[2, 0], [1, 1]]
    assert told["mean_class_accuracy"] == 0.75
    assert told["top1_low"] < 0.75 < told["top1_high"]
    assert sum(each["clips"] for each in told["calibration"]["filled"]) == 4
    assert told["coverage"] | {"unreadable": 0} == {
        "listed": 5, "evaluated": 4, "share": 0.8, "missing": [], "unreadable": 0,
    }  # fmt: skip
    text = report.told(per_class=True)
    assert "4 of 5 listed clips evaluated (80.0 %): 0 missing, 1 unreadable" in text
    assert "95 % interval" in text
    assert len(text.splitlines()) == 4 + 1 + 3


def test_clips_that_a_list_names_and_nobody_has_count_as_not_covered(sides, tmp_path):
    rows = ["label,youtube_id,time_start,time_end,split"]
    for number, (path, label) in enumerate([("val/left/a.mp4", "left"), ("val/right/c.mp4", "right")]):
        target = tmp_path / f"id{number}_000000_000002.mp4"
        target.write_bytes((sides / path).read_bytes())
        rows.append(f"{label},id{number},0,2,val")
    rows += ["left,gone,0,2,val", "left,elsewhere,0,2,train"]
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    listed = list_clips({"folder": str(tmp_path)}, "val", None)
    assert (len(listed.records), listed.total) == (2, 3)
    assert [str(each) for each in listed.missing] == ["gone_000000_000002: missing"]


def test_views_are_clips_by_crops_in_turn_and_cover_both_sides(sides):
    listed = list_clips({"folder": str(sides)}, "val", None)
    item = ViewsDataset(listed.records, by_brightness(), 2, 3, [0, 1])[0]
    assert item["clip"].shape == (6, 3, 3, 16, 16)
    assert item["frame_index"].tolist() == [[0, 2, 4]] * 3 + [[8, 10, 12]] * 3
    means = item["clip"].float().mean((1, 2, 3, 4)).reshape(2, 3)
    assert (means[:, 0] > 150).all(), "the first crop is the left end"
    assert (means[:, 2] < 60).all(), "the last is the right end"
    torch.testing.assert_close(means[0], means[1], atol=3, rtol=0)


def test_many_clips_of_a_spread_model_lie_apart():
    first, second = view_indices(12, 3, 0, 2)
    assert not set(first) & set(second)


def test_classes_meet_by_name_and_strangers_are_named():
    kinetics = by_brightness(class_names=("playing_guitar", "Tai Chi", "abseiling"))
    assert match_classes(kinetics, ["tai chi", "playing guitar"], "here") == [1, 0]
    with pytest.raises(CheckpointError, match="does not know the class 'zumba' and 1 more of here"):
        match_classes(kinetics, ["zumba", "tai chi", "yoga"], "here")
    nameless = by_brightness(class_names=None)
    assert match_classes(nameless, ["a", "b"], "here") == [0, 1]
    with pytest.raises(CheckpointError, match="2 unnamed classes apart; here has 3"):
        match_classes(nameless, ["a", "b", "c"], "here")


def test_nothing_to_evaluate_is_said(tmp_path, sides):
    with pytest.raises(DataError, match="no clips in split 'test', only in val"):
        list_clips({"folder": str(sides)}, "test", None)
    folder = copy_clips(tmp_path / "clips", train=2, val=2)
    for path in (folder / "val").rglob("*.mp4"):
        path.write_bytes(b"")
    listed = list_clips({"folder": str(folder)}, "val", None)
    model = by_brightness(class_names=("moving away", "sliding left"))
    with pytest.raises(DataError, match=r"none of 2 clips could be read; the first: .*empty file"):
        evaluate_trained(model, listed, split="val", device="cpu", quiet=True)


# --------------------------------------------------------------------------------------------- loading


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory, few_clips):
    """A run of four steps with averaged weights."""
    root = tmp_path_factory.mktemp("runs")
    flat = {
        "model": "vivit_samples",
        "crop": 16,
        "num_frames": 4,
        "batch_size": 4,
        "device": "cpu",
        "steps": 4,
    }
    flat |= {"options": {"depth": 1, "temporal_depth": 1, "embed_dim": 8, "num_heads": 2}, "ema": 0.5}
    train(TrainingSettings.from_flat({**flat, "data": {"folder": str(few_clips)}}), root / "a", quiet=True)
    return root / "a"


def test_a_run_evaluates_as_it_measured_itself(trained_run, few_clips):
    trained = load_trained(trained_run)
    assert (trained.class_names, trained.num_frames, trained.crop) == (("moving away", "sliding left"), 4, 16)
    listed = list_clips({"folder": str(few_clips)}, "val", None)
    report = evaluate_trained(trained, listed, split="val", device="cpu", quiet=True)
    told = json.loads((trained_run / "result.json").read_text())
    assert report.found.loss == pytest.approx(told["val_loss"], abs=1e-6)
    assert report.found.top1 == told["val_top1"]
    checkpoint = list_checkpoints(trained_run / "checkpoints")[-1]
    again = load_trained(checkpoint)
    states = again.model.state_dict(), trained.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_damaged_foreign_and_empty_checkpoints_are_named(trained_run, tmp_path):
    import shutil

    folder = shutil.copytree(list_checkpoints(trained_run / "checkpoints")[-1], tmp_path / "bent")
    weights = folder / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is not as it was written"):
        load_trained(folder)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CheckpointError, match="no run, no checkpoint and no published model"):
        load_trained(tmp_path / "nothing")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="the run has no checkpoint"):
        load_trained(tmp_path / "run")


def test_a_published_model_comes_with_its_own_views(tmp_path):
    model = build_model(tiny_twin("timesformer_base", image_size=16, num_frames=4))
    path = tmp_path / "published.pyth"
    torch.save({"model_state": {f"model.{name}": value for name, value in model.state_dict().items()}}, path)
    try:
        trained = load_trained(path, source="timesformer")
    except CheckpointError as error:  # heads of 64 channels are assumed of a bare file
        pytest.fail(str(error))
    assert (trained.views, trained.average) == ((1, 3), "softmax")
    assert trained.normalise.mean == (0.45, 0.45, 0.45)
    save_file(model.state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(ArgumentError, match="source"):
        load_trained(tmp_path / "bare.safetensors")


# ------------------------------------------------------------------------------------------- one video


@pytest.mark.parametrize("way", [way for way in WAYS if way != "whole"])
def test_the_likeliest_classes_of_a_video(sides, way):
    found = predict(by_brightness(), sides / "val" / "right" / "c.mp4", way=way)
    assert [name for name, _ in found.top] == ["right", "left"]
    assert sum(share for _, share in found.top) == pytest.approx(1)
    lines = found.told().splitlines()
    assert lines[0].startswith("right")
    assert lines[0].count("█") > lines[1].count("█")
    with pytest.raises(ArgumentError, match="a VTN"):
        predict(by_brightness(), sides / "val" / "right" / "c.mp4", way="whole")


def test_bars_are_as_long_as_their_shares():
    assert (bar(0.0), bar(1.0, 3), bar(1 / 16, 2)) == ("", "███", "▏")


MODELS = [
    "timesformer_samples", "timesformer_samples_joint", "timesformer_samples_space", "vtn_samples",
    "vivit_samples", "vivit_samples_joint", "frame_average_samples", "frame_gru_samples",
]  # fmt: skip


@pytest.mark.parametrize("name", [*MODELS, "timesformer_base_axial", "vivit_base_factorised_self_attention"])
def test_attention_has_a_map_for_every_frame(name):
    model = build_model(tiny_twin(name)).eval()
    config = model.config
    size = getattr(config, "image_size", None) or config.backbone.image_size
    frames = config.num_frames
    heat = frame_attention(model, torch.randn(1, frames, 3, *size))
    assert heat.shape == (frames, 2, 5)
    assert float(heat.min()) >= 0
    assert float(heat.std()) > 0


def test_attention_of_a_head_that_only_looks_at_one_place_is_found():
    """A key that all queries match far better than any other: the map must name its frame, row and column."""
    model = create_model("timesformer_samples", depth=1, attention="joint", drop_path=0.0).eval()
    layer = model.blocks[0].attn
    with torch.no_grad():
        model.pos_embed.zero_()
        model.time_embed.zero_()
        model.blocks[0].norm1.weight.fill_(1.0)
        layer.qkv.bias[:64] = 5.0
        layer.qkv.weight[:64] = 0.0
        layer.qkv.weight[64:128] = (
            1.0 / 64 * torch.ones(64, 1) * model.patch_embed.proj.weight.sum((1, 2, 3)).sign()
        )
    clip = torch.zeros(1, 8, 3, 32, 32)
    clip[0, 5, :, 8:16, 24:32] = 3.0
    heat = frame_attention(model, clip)
    assert divmod(int(heat.flatten().argmax()), 16) == (5, 1 * 4 + 3)


def test_a_model_without_attention_has_no_overlay(sides, tmp_path):
    with pytest.raises(ArgumentError, match="overlay must be of a model that attends to patches"):
        write_overlay(by_brightness(), sides / "val" / "left" / "a.mp4", tmp_path / "o.mp4")
    assert not (tmp_path / "o.mp4").exists()


def test_an_overlay_is_a_video_of_the_frames_that_were_shown(trained_run, few_clips, tmp_path):
    video = next((few_clips / "val").rglob("*.mp4"))
    trained = replace(load_trained(trained_run), crop=16)
    heat = write_overlay(trained, video, tmp_path / "o.mp4")
    assert decode_all(tmp_path / "o.mp4").shape == (4, 256, 256, 3)  # 16 times as large
    assert heat.shape[0] == 4


def test_heat_is_scaled_over_the_whole_clip_and_brightest_where_it_is_most():
    heat = torch.zeros(2, 2, 2)
    heat[1, 0, 1] = 4.0
    assert scaled_heat(heat).max() == 1
    frames = torch.full((2, 8, 8, 3), 90, dtype=torch.uint8)
    shown = overlay_frames(frames, heat).float().mean(-1)
    assert divmod(int(shown.flatten(1).max(1).values.argmax()), 1)[0] == 1
    assert divmod(int(shown[1].argmax()), 8) == (0, 7) or shown[1, 0, 7] == shown[1].max()
    torch.testing.assert_close(overlay_frames(frames, heat, strength=0.0), frames, atol=1, rtol=0)
    with pytest.raises(ArgumentError, match="one map for each of 2 frames"):
        overlay_frames(frames, heat[:1])


def test_a_contestant_of_the_comparison_can_be_used():
    model = SeveralHeads(create_model("vivit_samples"), {"appearance": 4, "motion": 8})
    clip = torch.randn(1, 8, 3, 32, 32)
    assert frame_attention(model.eval(), clip).shape == (8, 4, 4), "looked into through its heads"
    both = model(clip)
    one = model.only("motion").eval()
    assert torch.equal(one(clip), both["motion"])
    assert frame_attention(one, clip).shape == (8, 4, 4)
