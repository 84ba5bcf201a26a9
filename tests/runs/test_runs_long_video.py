"""Long videos: at most so many frames, bounded batches, positions never silently used twice."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from vtlearn.data.synthetic import SampleSet, bundled_samples, encode_video
from vtlearn.errors import ArgumentError, DataError
from vtlearn.models import create_model
from vtlearn.models.vtn import load_features
from vtlearn.runs import long_video as module
from vtlearn.runs.clips import normaliser
from vtlearn.runs.long_video import (
    MODES,
    clip_average,
    features_size,
    long_indices,
    positions_rule,
    sliding,
    sliding_starts,
    whole_video,
)
from vtlearn.runs.trained import Trained, load_trained
from vtlearn.study.shipped import shipped_folder

HOURS, RATE = 2, 2
FRAMES = HOURS * 3600 * RATE


@pytest.fixture(scope="module")
def two_hours(tmp_path_factory):
    """Two hours of small pictures that grow lighter from first to last."""
    path = tmp_path_factory.mktemp("long") / "two_hours.mp4"
    light = np.linspace(20, 230, FRAMES).astype(np.uint8)
    encode_video(path, np.broadcast_to(light[:, None, None, None], (FRAMES, 16, 16, 3)), RATE)
    return path


def small_vtn(**more):
    torch.manual_seed(0)
    model = create_model("vtn_samples", image_size=16, num_classes=3, num_positions=53, **more)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return trained(model.eval())


def trained(model, frames=8):
    return Trained(
        model=model,
        name="small",
        normalise=normaliser(0.45, 0.225),
        class_names=("a", "b", "c"),
        num_frames=frames,
        frame_stride=4,
        short_side=16,
        crop=16,
    )


class Watched:
    """How many frames went into a module together, at most, and in all."""

    def __init__(self, module):
        self.most = self.total = 0
        self.hook = module.register_forward_pre_hook(self.note)

    def note(self, _, inputs):
        self.most = max(self.most, len(inputs[0]))
        self.total += len(inputs[0])


def test_two_hours_are_sampled_to_so_many_frames_in_bounded_batches(two_hours):
    model = small_vtn()
    watched = Watched(model.model.backbone)
    answer = whole_video(model, two_hours, chunk=7)
    assert (answer.frames, answer.num_frames_in_video) == (250, FRAMES)
    assert (watched.most, watched.total) == (7, 250), "the backbone never sees more than the option says"
    last = long_indices(FRAMES)[-1]
    unknown = "a table of 53 (how much of it was trained is not recorded)"
    assert answer.notes == (f"frame indices up to {last} interpolated in {unknown}",)
    assert model.model.positions.past_table == "squeeze", "as it was before"
    fewer = whole_video(model, two_hours, at_most=11, chunk=4)
    assert fewer.frames == 11
    assert watched.most == 7


def test_all_frames_of_a_video_can_be_had(tmp_path):
    path = tmp_path / "short.mp4"
    encode_video(path, np.zeros((61, 16, 16, 3), np.uint8), 5)
    model = small_vtn()
    watched = Watched(model.model.backbone)
    assert whole_video(model, path, at_most=None, chunk=16).frames == 61
    assert (watched.most, watched.total) == (16, 61)


def test_the_three_ways_agree_and_features_are_kept_on_disk(two_hours, tmp_path):
    model, said = small_vtn(), []
    answers = {}
    for mode in MODES:
        file = tmp_path / "kept" / "features.npy"
        answers[mode] = whole_video(
            model, two_hours, mode=mode, at_most=40, chunk=9, features=file, say=said.append
        ).logits
    for mode in MODES:
        torch.testing.assert_close(answers[mode], answers["chunked"], atol=1e-5, rtol=1e-5)
    assert "features: 40 frames × 64 numbers × 4 bytes = 0.01 MB" in said[-1]
    kept = load_features(file)
    assert kept.shape == (40, 64)
    assert file.stat().st_size == 40 * 64 * 4 + 128

    watched = Watched(model.model.backbone)
    settings = {"mode": "features", "at_most": 40, "chunk": 9, "features": file, "say": said.append}
    again = whole_video(model, two_hours, **settings)
    assert watched.total == 0, "found on disk, not computed again"
    torch.testing.assert_close(again.logits, answers["features"])
    assert "features found" in said[-1]
    with torch.no_grad():
        model.model.backbone.cls_token.add_(1.0)
    whole_video(model, two_hours, **settings)
    assert watched.total == 40, "another backbone's features are not used"
    whole_video(model, two_hours, **(settings | {"at_most": 41}))
    assert watched.total == 81, "nor those of other frames"


def test_three_kilobytes_a_frame_at_the_published_width():
    assert features_size(250, 768) == "250 frames × 768 numbers × 4 bytes = 0.77 MB (3.1 KB a frame)"
    assert "663.55 MB" in features_size(216_000, 768), "every frame of two hours"
    assert "1.33 GB" in features_size(432_000, 768)


def test_a_full_disk_is_said_before_anything_is_computed(two_hours, tmp_path, monkeypatch):
    import collections

    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(9, 9, 100))
    model = small_vtn()
    watched = Watched(model.model.backbone)
    with pytest.raises(DataError, match=r"features need 0\.00 GB, and 0\.00 GB are free"):
        whole_video(model, two_hours, mode="features", at_most=5, features=tmp_path / "f.npy")
    assert watched.total == 0
    assert not (tmp_path / "f.npy").exists()


@pytest.mark.parametrize("rule", ["modulo", "error"])
def test_positions_are_never_silently_used_twice(two_hours, rule):
    model = small_vtn(past_table=rule)
    with pytest.raises(ArgumentError, match=r"positions must be 'interpolate', 'absent' or 'reuse'"):
        whole_video(model, two_hours, at_most=9, positions="published")
    answers = {
        name: whole_video(model, two_hours, at_most=9, positions=name)
        for name in ("interpolate", "absent", "reuse")
    }
    assert "positions used again from frame 53 on" in answers["reuse"].notes[0]
    assert answers["absent"].notes == ("positions left out",)
    logits = [answer.logits for answer in answers.values()]
    assert not torch.allclose(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])
    assert model.model.positions.past_table == rule


def test_interpolated_positions_are_all_different(two_hours):
    model = small_vtn()
    index = torch.tensor(long_indices(FRAMES))[None]
    with positions_rule(model.model, "interpolate", int(index.max())):
        rows = model.model.positions(index)[0]
    assert len(torch.unique(rows.detach(), dim=0)) == 250
    with positions_rule(model.model, "reuse", int(index.max())):
        rows = model.model.positions(index)[0]
    assert len(torch.unique(rows.detach(), dim=0)) <= 53


@pytest.mark.parametrize("rule", ["squeeze", "modulo", "error"])
@pytest.mark.parametrize("last", [24, 40, 52, 53, 14_399])
def test_a_video_is_fitted_into_the_positions_that_were_trained(rule, last):
    model = small_vtn(past_table=rule).model
    table = model.positions
    with torch.no_grad():
        table.table[24:53] = 1000.0  # rows that training never reached
    index = torch.arange(last + 1)[None]
    with positions_rule(model, "interpolate", last, 24) as notes, torch.no_grad():
        rows = model.positions(index)[0]
        early = model.positions(index[:, :3])[0]
    assert notes == (f"frame indices up to {last} interpolated in the 24 positions that were trained",)
    assert rows.abs().max() < 100, "no row beyond the trained ones is read"
    torch.testing.assert_close(rows[0], table.table[0])
    torch.testing.assert_close(rows[-1], table.table[23])
    torch.testing.assert_close(early, rows[:3])  # a few of its frames stand where they stand among all
    place = torch.linspace(0, 23, last + 1)
    below = place.floor().long().clamp(max=22)
    share = (place - below)[:, None]
    expected = (1 - share) * table.table[below] + share * table.table[below + 1]
    torch.testing.assert_close(rows, expected.detach(), atol=2e-4, rtol=1e-4)
    if last < 200:
        assert len(torch.unique(rows, dim=0)) == last + 1, "no position serves twice"
    assert model.positions is table
    assert table.past_table == rule


def test_a_video_within_the_trained_positions_keeps_its_own():
    model, index = small_vtn().model, torch.tensor([[0, 3, 23]])
    before = model.positions(index)
    with positions_rule(model, "interpolate", 23, 24) as notes:
        assert notes == ()
        assert torch.equal(model.positions(index), before)
    with positions_rule(model, "published", 40, 24) as notes:
        assert notes == ("frames from 24 on stand at positions that were not trained",)
    with positions_rule(model, "interpolate", 60, 99) as notes:
        assert notes == ("frame indices up to 60 interpolated in the 53 positions that were trained",)
        twice = pytest.raises(ArgumentError, match="model must be one with its own positions")
        with twice, positions_rule(model, "absent", 60):
            pass
        for bad in (61, -1):
            with pytest.raises(ArgumentError, match=f"frame_index must be .*got {bad}"):
                model.positions(torch.tensor([[0, bad]]))
    for few, says in ((1, "trained_positions must be 2 to 53"), (0, "trained_positions must be")):
        with pytest.raises(ArgumentError, match=says), positions_rule(model, "interpolate", 9, few):
            pass


def test_the_trained_positions_come_from_the_checkpoint_unless_they_are_told(two_hours):
    known = replace(small_vtn(), trained_positions=24)
    told = whole_video(small_vtn(), two_hours, at_most=9, trained_positions=24)
    recorded = whole_video(known, two_hours, at_most=9)
    assert recorded.notes == told.notes
    assert "in the 24 positions that were trained" in recorded.notes[0]
    torch.testing.assert_close(recorded.logits, told.logits)
    other = whole_video(known, two_hours, at_most=9, trained_positions=11)
    assert "in the 11 positions" in other.notes[0]
    assert not torch.allclose(other.logits, recorded.logits)


class Light(nn.Module):
    """Mean light and how many clips it was asked about."""

    num_classes = 3

    def __init__(self):
        super().__init__()
        self.most = self.clips = 0

    def forward(self, clips, frame_index=None):
        self.most, self.clips = max(self.most, len(clips)), self.clips + len(clips)
        light = clips.mean((1, 2, 3, 4))
        return torch.stack([light, -light, 0 * light], 1)


def test_sliding_sees_every_frame_once_and_clips_a_few(tmp_path):
    path = tmp_path / "grows.mp4"
    light = np.linspace(20, 230, 97).astype(np.uint8)
    encode_video(path, np.broadcast_to(light[:, None, None, None], (97, 16, 16, 3)), 5)
    model = trained(Light(), frames=6)
    slid = sliding(model, path, stride=1, at_once=4, average="logits")
    assert (slid.clips, slid.frames) == (17, 102)
    assert (model.model.most, model.model.clips) == (4, 17)
    seen = [light[start : start + 6] for start in sliding_starts(97, 6, 1, 6)]
    expected = (np.mean(seen) / 255 - 0.45) / 0.225
    assert float(slid.logits[0]) == pytest.approx(expected, abs=0.05)
    few = clip_average(model, path, clips=3, at_once=2, average="logits")
    assert few.clips == 3
    middle = (light.mean() / 255 - 0.45) / 0.225
    assert float(few.logits[0]) == pytest.approx(middle, abs=0.05)


@pytest.mark.parametrize("name", ["timesformer_samples", "vivit_samples"])
def test_timesformer_and_vivit_slide_over_two_hours(two_hours, name):
    model = create_model(name, image_size=16, num_classes=3, depth=1)
    watched = Watched(model)
    answer = sliding(trained(model.eval()), two_hours, hop=1440, at_once=3)
    assert answer.clips == 11
    assert watched.most == 3
    assert answer.logits.shape == (3,)


@pytest.mark.parametrize(("frames", "clip", "stride", "hop"), [(97, 6, 1, 6), (13, 5, 3, 2), (5, 8, 2, 16)])
def test_sliding_clips_reach_from_the_first_frame_to_the_last(frames, clip, stride, hop):
    starts = sliding_starts(frames, clip, stride, hop)
    assert starts[0] == 0
    assert all(0 < later - earlier <= hop for earlier, later in pairwise(starts))
    assert starts[-1] + (clip - 1) * stride >= frames - 1
    assert starts[-1] + (clip - 1) * stride == frames - 1 or len(starts) == 1


def test_no_frame_comes_twice():
    for frames in (1, 249, 250, 251, 499, 14_400):
        indices = long_indices(frames)
        assert len(indices) == min(frames, 250)
        assert len(set(indices)) == len(indices)
    assert long_indices(777, None) == list(range(777))


def test_the_features_file_says_what_it_is_of(tmp_path):
    path = tmp_path / "short.mp4"
    encode_video(path, np.zeros((5, 16, 16, 3), np.uint8), 5)
    whole_video(small_vtn(), path, mode="features", features=tmp_path / "f.npy")
    facts = json.loads((tmp_path / "f.json").read_text())
    assert (facts["video"], facts["frames"]) == ("short.mp4", 5)


def test_a_vtn_that_the_comparison_trained_takes_whole_videos():
    """It has a head for each labelling; that is no reason to refuse it."""
    samples = SampleSet.load(bundled_samples())
    video = samples.root / str(samples.split("val")[0]["path"])
    alone = whole_video(load_trained(shipped_folder("vtn"), labelling="motion"), video, mode="end_to_end")
    assert (alone.frames, len(alone.logits)) == (24, 8)
    carried = load_trained(shipped_folder("vtn"), labelling="motion")
    carried = replace(carried, model=torch.compile(carried.model, backend="eager"))
    assert torch.equal(whole_video(carried, video, mode="end_to_end").logits, alone.logits)
    with pytest.raises(ArgumentError, match="model must be a VTN"):
        whole_video(load_trained(shipped_folder("vivit")), video)
