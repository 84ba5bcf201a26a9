"""From a mirror to a comparison: clips of Kinetics fetched, three models fine-tuned from one image ViT."""

import functools
import http.server
import json
import tarfile
import threading
from dataclasses import replace

import pytest
import torch

from vtlearn.data.download import MIRROR, Manners, download_clips, fetch_annotations
from vtlearn.data.kinetics import Annotation, write_annotations
from vtlearn.data.memory import ClipMemory, evaluation_batches
from vtlearn.data.synthetic import SampleSet, bundled_samples
from vtlearn.data.transforms import Normalise
from vtlearn.errors import ArgumentError, CheckpointError
from vtlearn.models import ViTConfig, create_model
from vtlearn.runs.card import Card
from vtlearn.runs.trained import load_trained
from vtlearn.study.compare import Comparison, run_comparison
from vtlearn.study.controls import shuffled, single_frame
from vtlearn.study.protocol import Protocol, choose_protocol
from vtlearn.study.start import fitting_config, read_image_start
from vtlearn.train.checkpoint import load_checkpoint, save_checkpoint

LABELS = {"sliding left": "pushing cart", "coming closer": "zooming in"}
PROTOCOL = replace(
    choose_protocol(recipe="finetune", models="vtn,timesformer,vivit", steps=2, batch_size=3, image_size=28),
    num_frames=3,
    stored_frames=6,
    warmup_steps=1,
    evaluate_every=2,
    shift=1,
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A mirror on loopback, laid out as the public one, that serves sample clips under names of Kinetics."""
    root = tmp_path_factory.mktemp("served")
    samples = SampleSet.load(bundled_samples())
    numbers = iter(range(100))
    for split, count in (("train", 4), ("val", 2)):
        rows, files = [], []
        for motion, label in LABELS.items():
            for row in [row for row in samples.split(split) if row["motion"] == motion][:count]:
                number = next(numbers)
                rows.append(Annotation(label, f"youtube{number:04d}", number, number + 10, split, 0))
                files.append((f"{rows[-1].clip_name}.mp4", samples.root / row["path"]))
        rows.append(Annotation("zooming in", f"gone-{split}00"[:11], 0, 10, split, 0))  # no archive holds it
        folder = root / "kinetics" / "400" / split
        folder.mkdir(parents=True)
        with tarfile.open(folder / "part_0.tar.gz", "w:gz") as tar:
            for name, path in files:
                tar.add(path, arcname=name)
        (folder / f"k400_{split}_path.txt").write_text(f"{MIRROR}/400/{split}/part_0.tar.gz\n")
        (root / "kinetics" / "400" / "annotations").mkdir(exist_ok=True)
        write_annotations(root / "kinetics" / "400" / "annotations" / f"{split}.csv", rows)
    with tarfile.open(root / "kinetics" / "400" / "replacement_for_corrupted_k400.tgz", "w:gz"):
        pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/kinetics"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A tiny image ViT, saved as this library saves models."""
    torch.manual_seed(0)
    config = ViTConfig(embed_dim=24, depth=2, num_heads=3, image_size=14, patch_size=7, num_classes=0)
    model = create_model("vit_tiny", **{key: getattr(config, key) for key in config.__dataclass_fields__})
    folder = tmp_path_factory.mktemp("image") / "vit"
    save_checkpoint(folder, step=1, model=model, model_name="vit", config=model.config, random_state=False)
    return folder


@pytest.fixture(scope="module")
def finished(mirror, image, tmp_path_factory):
    clips = tmp_path_factory.mktemp("fetched") / "mini"
    hasty = Manners(attempts=2, pause=0.0, timeout=5.0)
    for split in ("train", "val"):
        rows = fetch_annotations("400", split, mirror=mirror, folder=clips / ".official", manners=hasty)
        (clips / "annotations").mkdir(exist_ok=True)
        write_annotations(clips / "annotations" / f"{split}.csv", rows)
        download_clips(rows, clips, release="400", split=split, mirror=mirror, manners=hasty)
    folder = tmp_path_factory.mktemp("results") / "mini"
    data = {"folder": str(clips)}
    comparison = Comparison(folder=folder, protocol=PROTOCOL, data=data, device="cpu", init=str(image))
    return folder, run_comparison(comparison, quiet=True)


def test_three_models_from_one_image_vit(finished, image):
    folder, rows = finished
    assert [row["model"] for row in rows] == ["vtn", "timesformer", "vivit"]
    start = load_checkpoint(folder / "image_start" / "model")
    assert all(
        torch.equal(start.weights[key], value) for key, value in load_checkpoint(image).weights.items()
    )
    for row in rows:
        assert row["num_classes"] == 2
        low, high = row["test_interval"]
        assert 0 <= low <= row["test_top1"] <= high <= 1
        assert 0 <= row["test_shuffled_top1"] <= 1
        assert 0 <= row["test_single_frame_top1"] <= 1
        assert row["test_clips"] == 4


def test_their_weights_are_of_that_vit_s_size_and_came_from_it(finished, image):
    folder, _ = finished
    for name in PROTOCOL.models:
        saved = load_checkpoint(folder / name / "model")
        width = saved.config["embed_dim"]
        assert width == 24
    start = load_checkpoint(image).weights["blocks.0.mlp.fc1.weight"]
    trained = load_checkpoint(folder / "timesformer" / "model").weights["trunk.blocks.0.mlp.fc1.weight"]
    assert not torch.equal(trained, start)
    torch.testing.assert_close(trained, start, atol=5e-4, rtol=0)  # two steps of at most 1e-4 each


def test_coverage_counts_what_the_list_names_and_no_archive_held(finished):
    folder, _ = finished
    facts = json.loads((folder / "run.json").read_text())
    assert facts["coverage"] == {"train": [8, 9], "test": [4, 5]}
    assert sorted(each["path"] for each in facts["skipped"]) == [
        "gone-train0_000000_000010",
        "gone-val00_000000_000010",
    ]
    page = (folder / "report.html").read_text()
    assert "test 4 of 5 (80.0 %)" in page
    assert "the checkpoint" in facts["summary"]


def test_shuffling_keeps_every_frame_and_destroys_the_order():
    clip = torch.arange(2 * 7.0).reshape(2, 7, 1, 1, 1)
    ((one,), (again,), (other,)) = (list(shuffled([{"clip": clip}], seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(one["clip"].sort(dim=1).values, clip)
    assert not torch.equal(one["clip"], clip)
    assert not torch.equal(one["clip"][0].argsort(dim=0), one["clip"][1].argsort(dim=0))
    assert torch.equal(one["clip"], again["clip"])
    assert not torch.equal(one["clip"], other["clip"])


def test_a_single_frame_leaves_no_motion():
    clip = torch.rand(2, 5, 3, 4, 4)
    (found,) = single_frame([{"clip": clip, "path": ["a", "b"]}])
    assert found["clip"].shape == clip.shape
    assert torch.equal(found["clip"], clip[:, 2:3].expand_as(clip))


@pytest.mark.parametrize("name", ["vtn", "timesformer", "vivit", "frame_average", "frame_gru"])
def test_every_contestant_takes_the_image_vit_s_sizes(name):
    image = ViTConfig(embed_dim=30, depth=2, num_heads=5, image_size=14, patch_size=7, num_classes=0)
    config = fitting_config(name, image, image_size=21, num_frames=4)
    stack = getattr(config, "backbone", config)
    assert (stack.embed_dim, stack.depth, stack.num_heads) == (30, 2, 5)
    assert stack.image_size == 21


def test_other_starts_are_refused(finished, image, tmp_path):
    folder, _ = finished
    with pytest.raises(CheckpointError, match="no image ViT"):
        read_image_start(str(folder / "vtn" / "model"))
    with pytest.raises(CheckpointError, match="no such file or folder"):
        read_image_start(str(tmp_path / "nothing"))
    run = Comparison(
        folder=tmp_path / "run",
        protocol=replace(PROTOCOL, image_size=32),
        data={"samples_seed": 0},
        init=str(image),
    )
    with pytest.raises(ArgumentError, match="image_size"):
        run_comparison(run, quiet=True)
    assert not (tmp_path / "run").exists()


def test_published_pixels_come_with_published_weights(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=48,
        image_size=14,
        patch_size=7,
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    start = read_image_start(str(tmp_path))
    assert start.pixels == Normalise((0.5,) * 3, (0.5,) * 3)
    assert start.config.embed_dim == 24
    assert "published" in start.origin


def test_the_recipe_is_the_papers_picture_size():
    assert Protocol.finetune().image_size == 224
    assert Protocol.finetune().frames_of("vivit") == 16
    with pytest.raises(ArgumentError, match="recipe"):
        choose_protocol(recipe="pretrain")


def test_models_from_a_given_image_vit_are_evaluated_with_its_pixels(mirror, image, finished, tmp_path):
    """The pixels that an image ViT wants are on the card of every model that started from it."""
    folder, _ = finished
    pixels = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.125]}
    start = load_checkpoint(image)
    card = {"preset": "vit_tiny", "class_names": {}, "num_frames": 1, "short_side": 14, "crop": 14} | pixels
    model = create_model("vit_tiny", **start.config)
    start.restore(model)
    told = tmp_path / "vit"
    save_checkpoint(told, step=1, model=model, model_name="vit", config=model.config, card=card)
    data = json.loads((folder / "compare.json").read_text())["data"]
    protocol = replace(PROTOCOL, models=("vtn",), training={"recompute": True, "drop_path": 0.25})
    comparison = Comparison(
        folder=tmp_path / "run", protocol=protocol, data=data, device="cpu", init=str(told)
    )
    run_comparison(comparison, quiet=True)
    trained = load_trained(tmp_path / "run" / "vtn")
    assert trained.normalise == Normalise(tuple(pixels["mean"]), tuple(pixels["std"]))
    handed_on = read_image_start(str(tmp_path / "run" / "image_start" / "model"))
    assert handed_on.pixels == trained.normalise, "the start of this run can be the start of another"
    assert (trained.num_frames, trained.crop) == (3, 28)
    saved = load_checkpoint(tmp_path / "run" / "vtn" / "model")
    assert Card.of(saved).start == f"the checkpoint {told}"
    backbone = saved.config["backbone"]
    assert (backbone["checkpointing"], backbone["drop_path"]) == (True, 0.25), "settings reach the model"
    stored = ClipMemory.load(tmp_path / "run" / "clips" / "test.safetensors")
    result = json.loads((tmp_path / "run" / "vtn" / "result.json").read_text())["test"]["label"]
    batch = next(evaluation_batches(stored, batch_size=9, num_frames=3, pixels=trained.normalise))
    with torch.inference_mode():
        answers = trained.model(batch["clip"], batch["frame_index"]).argmax(1)
    right = (answers == batch["labels"]["label"]).float().mean()
    assert float(right) == result["top1"], "loaded, it answers as it did when it was tested"
