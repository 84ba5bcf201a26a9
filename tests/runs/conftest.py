"""A handful of clips in Kinetics layout, taken from the samples, for the commands' tests."""

import shutil
from pathlib import Path

import pytest

from vtlearn.data.synthetic import SampleSet, bundled_samples

ROOT = Path(__file__).parents[2]


def copy_clips(folder, *, train=13, val=5, labels=("moving away", "sliding left")):
    """``train`` and ``val`` clips of two labels below ``folder``."""
    samples = SampleSet.load(bundled_samples())
    for split, count in (("train", train), ("val", val)):
        rows = [row for row in samples.split(split) if row["motion"] in labels]
        chosen = [row for label in labels for row in rows if row["motion"] == label]
        half = len(chosen) // 2
        picked = [row for pair in zip(chosen[:half], chosen[half:], strict=False) for row in pair][:count]
        for row in picked:
            source = samples.root / str(row["path"])
            target = folder / split / str(row["motion"]) / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return folder


@pytest.fixture(scope="session")
def few_clips(tmp_path_factory):
    """13 training and 5 validation clips of two motions."""
    return copy_clips(tmp_path_factory.mktemp("clips"))


TINY = [
    *("timesformer_samples", "--crop", "16", "--num-frames", "2", "--device", "cpu", "--batch-size", "4"),
    *("--set", "depth=1", "--set", "embed_dim=8", "--set", "num_heads=2"),
]
"""A model of a few hundred weights, as the command line is told."""
