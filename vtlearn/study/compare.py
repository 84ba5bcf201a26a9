"""The comparison from start to end: decode once, train the common start, train and test every model,
report."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from vtlearn import __version__
from vtlearn.data.kinetics import LeftOut
from vtlearn.data.memory import ClipMemory, decode_clips
from vtlearn.data.sources import find_records
from vtlearn.data.synthetic import SPLITS
from vtlearn.errors import ArgumentError, DataError, Stopped, require_positive
from vtlearn.files import write_json
from vtlearn.models import build_model
from vtlearn.runs.card import Card
from vtlearn.runtime import choose_device, cpu_name
from vtlearn.study.jobs import Job, run_jobs
from vtlearn.study.protocol import Protocol
from vtlearn.study.report import write_report
from vtlearn.study.shallow import ridge_rows
from vtlearn.study.start import ImageStart, fitting_config, read_image_start
from vtlearn.train.checkpoint import save_checkpoint

_WORKER = "vtlearn.study.worker"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One run of the comparison: its protocol, its clips and the folder it lives in.

    Attributes:
        folder: ``results/<run>``.
        protocol: what is the same for every model.
        data: where the clips come from: ``{"samples_seed": 0}``, with ``"set": "hard"`` for the hard samples,
            or ``{"folder": "…"}``.
        device: "cpu", "cuda" …; None chooses.
        init: where the image ViT lies that all models start from (see
            :func:`~vtlearn.study.start.read_image_start`); None trains one on single frames first.
    """

    folder: Path
    protocol: Protocol
    data: Mapping[str, Any]
    device: str | None = None
    init: str | None = None

    def save(self) -> Path:
        """Write what a resumed run needs to know."""
        return write_json(
            self.folder / "compare.json",
            {
                "vtlearn": __version__,
                "protocol": self.protocol.as_dict(),
                "data": dict(self.data),
                "device": self.device,
                "init": self.init,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Comparison:
        """The comparison that lives in a folder.

        Raises:
            DataError: there is none, or it was written by another version.
        """
        path = folder / "compare.json"
        try:
            facts = json.loads(path.read_text())
            found = cls(
                folder=folder,
                protocol=Protocol.from_dict(facts["protocol"]),
                data=facts["data"],
                device=facts["device"],
                init=facts.get("init"),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: no comparison to go on with ({error})") from None
        if facts["vtlearn"] != __version__:
            raise DataError(f"{path}: written by vtlearn {facts['vtlearn']}, this is {__version__}")
        return found

    def result(self, name: str) -> dict[str, Any]:
        """What one model's process left.

        Raises:
            DataError: it is not done.
        """
        return Job(name=name, module=_WORKER, settings={}, folder=self.folder / name).result()

    @property
    def is_done(self) -> bool:
        """True once every model has been tested."""
        return all((self.folder / name / "result.json").is_file() for name in self.protocol.models)


def new_run(results: Path, name: str | None) -> Path:
    """A folder for a new run below ``results``: the name given, or the time of day.

    Raises:
        ArgumentError: a run of that name exists.
    """
    if name is None:
        name = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder = results / name
    if (folder / "compare.json").exists():
        raise ArgumentError("run", str(folder), "a new name, or go on with it: --resume")
    return folder


def unfinished_run(results: Path, name: str | None) -> Path:
    """The run to go on with: the one named, or the newest that is not finished.

    Raises:
        DataError: there is none.
    """
    if name is not None:
        return results / name
    found = [path.parent for path in results.glob("*/compare.json")]
    found = [folder for folder in found if not Comparison.load(folder).is_done]
    if not found:
        raise DataError(f"{results}: no unfinished comparison to go on with")
    return max(found, key=lambda folder: (folder / "compare.json").stat().st_mtime)


# ---------------------------------------------------------------------------------------------- clips


def prepare_clips(comparison: Comparison) -> tuple[dict[str, str], list[LeftOut]]:
    """Decode every split once into the run's folder; returns the files, and the clips that were left out.

    A split that is there already is kept.
    """
    folder, protocol = comparison.folder / "clips", comparison.protocol
    paths = {split: folder / f"{split}.safetensors" for split in SPLITS}
    listed = folder / "left_out.json"
    if not listed.is_file():
        clips = find_records(comparison.data, protocol.seed)
        left_out = list(clips.left_out)
        for split in SPLITS:
            records = clips.split(split)
            if not records and split == "val":
                continue
            try:
                memory = decode_clips(
                    records,
                    clips.class_names,
                    num_frames=protocol.stored_frames,
                    image_size=protocol.image_size,
                    progress=f"decoding {split}",
                )
            except DataError as error:
                raise DataError(f"{split}: {error}") from None
            left_out += [replace(each, split=split) for each in memory.left_out]
            memory.save(paths[split])
        write_json(listed, [asdict(each) for each in left_out])
    left = [LeftOut(**each) for each in json.loads(listed.read_text())]
    return {split: str(path) for split, path in paths.items() if path.is_file()}, left


def _digest(files: Mapping[str, str]) -> str:
    """What identifies the decoded clips: a resumed run must see the same."""
    sums = {}
    for split, path in files.items():
        memory = ClipMemory.load(path)
        pixels = memory.frames.flatten()[:: max(1, memory.frames.numel() // 2**20)]
        sums[split] = hashlib.sha256(
            json.dumps([list(memory.paths), list(memory.frames.shape)]).encode() + pixels.numpy().tobytes()
        ).hexdigest()
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------------------------------------- jobs


class _Bars:
    """One progress bar for each job, moved by what the jobs report."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.bars: dict[str, Any] = {}

    def __call__(self, name: str, message: dict[str, Any]) -> None:
        bar = self.bars.get(name)
        if bar is None:
            bar = tqdm(
                total=message["steps"],
                desc=f"{name:<14}",
                unit="step",
                disable=self.quiet,
                position=len(self.bars),
                initial=0,
            )
            self.bars[name] = bar
        bar.update(message["step"] - bar.n)
        rate = message["clips"] / message["seconds"] if message["seconds"] else 0.0
        bar.set_postfix_str(f"loss {message['loss']:.3f}, {rate:.0f} clips/s")

    def close(self) -> None:
        for bar in self.bars.values():
            bar.close()


def _job(comparison: Comparison, name: str, **settings: Any) -> Job:
    protocol = comparison.protocol
    common = {
        "name": name,
        "protocol": protocol.as_dict(),
        "device": comparison.device or choose_device().type,
    }
    return Job(name=name, module=_WORKER, settings=common | settings, folder=comparison.folder / name)


def run_comparison(
    comparison: Comparison,
    *,
    at_once: int = 2,
    threads: int = 1,
    processes: int = 1,
    quiet: bool = False,
    read_test: bool = True,
) -> list[dict[str, Any]]:
    """Run whatever of a comparison is not done, and report.

    Args:
        comparison: what to run.
        at_once: models trained side by side.
        threads: threads each of them uses.
        processes: processes that each is trained by, sharing its batches.
        quiet: no progress bars.
        read_test: look at the test clips after the last step (a search does not).

    Returns:
        The rows of ``metrics.json``; none where the test clips were not read.

    Raises:
        Stopped: interrupted; what is done is kept and reported, and the run can go on.
        DataError: the clips cannot be used, or a model's process failed.
    """
    require_positive(jobs=at_once, threads=threads, processes=processes)
    choose_device(comparison.device)
    start = None if comparison.init is None else read_image_start(comparison.init)
    if start is not None:  # sizes that do not fit are refused before anything is written
        for name in comparison.protocol.models:
            _fitting(comparison.protocol, name, start)
    comparison.folder.mkdir(parents=True, exist_ok=True)
    files, left_out = prepare_clips(comparison)
    comparison.save()
    digest = _digest(files)
    shared = {"clips": files, "clips_digest": digest}
    image = _job(comparison, "image_start", kind="image", **shared)
    contestants = [
        _job(
            comparison,
            name,
            kind="video",
            image_weights=str(image.folder / "model" / "weights.safetensors"),
            read_test=read_test,
            **({} if start is None else _fitting(comparison.protocol, name, start)),
            **shared,
        )
        for name in comparison.protocol.models
    ]
    bars = _Bars(quiet)
    try:
        if start is None:
            run_jobs([image], at_once=1, threads=threads, report=bars)
        else:
            _place(start, image)
        run_jobs(contestants, at_once=at_once, threads=threads, report=bars, processes=processes)
    except Stopped:
        done = [job for job in contestants if job.is_done]
        if done and read_test:
            _report(comparison, done, image, left_out, at_once, threads)
        raise Stopped(
            f"stopped: {len(done)} of {len(contestants)} models are done in {comparison.folder}; "
            f"go on with: vtlearn compare --resume --run {comparison.folder.name}"
        ) from None
    finally:
        bars.close()
    return _report(comparison, contestants, image, left_out, at_once, threads) if read_test else []


def _fitting(protocol: Protocol, name: str, start: ImageStart) -> dict[str, Any]:
    """What a contestant's job is told of the image ViT it starts from."""
    frames = protocol.frames_of(name)
    config = fitting_config(name, start.config, image_size=protocol.image_size, num_frames=frames)
    return {"config": asdict(config), "pixels": asdict(start.pixels), "origin": start.origin}


def _place(start: ImageStart, image: Job) -> None:
    """Put a given image ViT where a trained one would be, unless it is there."""
    if image.is_done:
        return
    model = build_model(start.config)
    model.load_state_dict(start.weights)
    size, pixels = start.config.image_size, start.pixels
    card = Card(
        preset="vit_samples",
        class_names={},
        mean=pixels.mean,
        std=pixels.std,
        num_frames=1,
        short_side=size if isinstance(size, int) else min(size),
        crop=size if isinstance(size, int) else min(size),
        start=start.origin,
    )
    save_checkpoint(
        image.folder / "model",
        step=0,
        model=model,
        model_name="vit",
        config=start.config,
        card=card.as_dict(),
        random_state=False,
    )
    write_json(image.folder / "result.json", {"origin": start.origin, "train_seconds": 0.0})


def _report(
    comparison: Comparison,
    jobs: Sequence[Job],
    image: Job,
    left_out: Sequence[LeftOut],
    at_once: int,
    threads: int,
) -> list[dict[str, Any]]:
    results = [job.result() for job in jobs]
    protocol, start = comparison.protocol, image.result()
    clips = {split: len(ClipMemory.load(path)) for split, path in jobs[0].settings["clips"].items()}
    device = comparison.device or choose_device().type
    sizes = ", ".join(f"{count} {split}" for split, count in clips.items())
    facts: dict[str, Any] = {
        "summary": (
            f"{len(results)} models, each {protocol.steps} steps of {protocol.batch_size} clips "
            f"({protocol.num_frames} temporal indices of {protocol.image_size} × {protocol.image_size}; "
            f"ViViT's hold two frames each), all from {_origin(start, protocol)}; {sizes} clips; "
            f"seed {protocol.seed}."
        ),
        "side_by_side": (
            f"{at_once} at a time with {threads} thread{'s' if threads > 1 else ''} each on {device}"
        ),
        "protocol": protocol.as_dict(),
        "data": dict(comparison.data),
        "clips": clips,
        "coverage": {split: [count, count + _missing(left_out, split)] for split, count in clips.items()},
        "image_start_seconds": start["train_seconds"],
        "hardware": hardware(device),
        "versions": {name: version(name) for name in ("torch", "av", "numpy")} | {"vtlearn": __version__},
    }
    if "folder" in comparison.data:
        facts["shallow"] = _shallow(comparison.folder, jobs[0].settings["clips"])
    skipped = [{"path": each.name, "reason": each.reason} for each in left_out]
    write_json(comparison.folder / "run.json", facts | {"skipped": skipped})
    return write_report(comparison.folder, results=results, facts=facts, skipped=skipped)


def _shallow(folder: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """Ridge regression on thumbnails of a user's clips, once a run."""
    kept = folder / "shallow.json"
    if not kept.is_file():
        write_json(kept, ridge_rows(ClipMemory.load(files["train"]), ClipMemory.load(files["test"])))
    return dict(json.loads(kept.read_text()))


def _origin(start: Mapping[str, Any], protocol: Protocol) -> str:
    if "origin" in start:
        return str(start["origin"])
    return f"the same image model trained on single frames for {protocol.image_steps} steps"


def _missing(left_out: Sequence[LeftOut], split: str) -> int:
    return sum(each.split == split for each in left_out)


def hardware(device: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    found: dict[str, Any] = {"cores": os.cpu_count(), "machine": platform.machine(), "cpu": cpu_name()}
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
    return found
