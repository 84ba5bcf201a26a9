"""From clips to batches: ``vtlearn data``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vtlearn.cli.app import JsonOption, group

data_app = group("data", "From clips to batches: how fast, and what holds them up.")


@data_app.command("bench")
def data_bench(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of clips (default: the bundled samples).")
    ] = None,
    num_frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    frame_stride: Annotated[
        int | None, typer.Option(help="Step between them (default: spread over the video).")
    ] = None,
    crop: Annotated[int, typer.Option(help="Side of the square that is cut out, in pixels.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Clips in a batch.")] = 8,
    workers: Annotated[int, typer.Option(help="Processes that read ahead.")] = 2,
    clips: Annotated[int, typer.Option(help="Read so many clips at most.")] = 128,
    decoder: Annotated[
        str | None, typer.Option(help="decord, pyav, torchcodec or fastest (default: decord, else pyav).")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded frames (default: decode each time).")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where batches go (default: a GPU if there is one).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Time decoding, transforms, collating and transfer, and name the one that holds the others up."""
    from vtlearn.data.cache import FrameCache
    from vtlearn.data.kinetics import ClipRecord, walk_videos
    from vtlearn.data.loader import ClipDataset
    from vtlearn.data.sampling import FrameSampler, StridedSampler, UniformSampler
    from vtlearn.data.synthetic import bundled_samples
    from vtlearn.data.throughput import measure_throughput
    from vtlearn.data.transforms import Compose, Normalise, RandomCrop
    from vtlearn.errors import DataError, require_positive
    from vtlearn.runtime import choose_device

    require_positive(num_frames=num_frames, crop=crop)
    root = folder or bundled_samples()
    if not root.is_dir():
        raise DataError(f"{root}: not a folder")
    records = [ClipRecord(path=path, labels={}) for path in walk_videos(root)]
    if not records:
        raise DataError(f"{root}: no video file there")
    sampler: FrameSampler = UniformSampler(num_frames)
    if frame_stride is not None:
        require_positive(frame_stride=frame_stride)
        sampler = StridedSampler(num_frames, frame_stride)
    dataset = ClipDataset(
        records,
        sampler,
        short_side=crop,
        transform=Compose((RandomCrop(crop), Normalise.named("timesformer"))),
        random=True,
        decoder=decoder,
        cache=None if cache is None else FrameCache(cache, max_bytes=4 << 30),
    )
    found = measure_throughput(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        device=choose_device(device),
        most_clips=clips,
    )
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else found.describe())
