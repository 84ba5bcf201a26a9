"""The bundled sample clips: drawn from a seed, encoded as H.264, with two crossed labellings and exact
time reversals.

Every clip shows one subject before a plain background with a few drifting distractors. It carries two labels:

* **appearance** (four shapes): one frame is enough to tell it;
* **motion** (eight classes in four pairs): each class is the exact time reversal of its partner. Two pairs
  differ in
  *direction* (sliding left / right, coming closer / moving away). Two pairs differ in *order*: they are
  made of two
  events that each look the same forwards and backwards, so every step between neighbouring frames occurs
  in both
  classes and only the order over the whole clip tells them apart.

A bag of single frames can therefore tell the pair at best, and is a coin toss within it. In the validation
and test
splits every clip lies beside its reversal (reversed before encoding), so the coin toss is exact.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from vtlearn.errors import ArgumentError, DataError, require_positive
from vtlearn.files import write_text, written_aside

FloatArray = NDArray[np.float64]
FrameArray = NDArray[np.uint8]

APPEARANCES = ("disc", "triangle", "plus", "bars")
"""The four shapes, in label order."""

MOTION_PAIRS = (
    ("sliding left", "sliding right"),
    ("coming closer", "moving away"),
    ("hop then swell", "swell then hop"),
    ("sway then blink", "blink then sway"),
)
"""The eight motions, each beside its time reversal; label order is this order, flattened."""

MOTIONS = tuple(motion for pair in MOTION_PAIRS for motion in pair)
LABELLINGS = {"appearance": APPEARANCES, "motion": MOTIONS}
SPLITS = ("train", "val", "test")

_PUBLISHED_COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split", "is_cc")
_SPLIT_CODES = {"train": "train", "val": "valid", "test": "test_"}


@dataclass(frozen=True, kw_only=True)
class SampleSpec:
    """What a set of samples is made of; ``standard()`` is the bundled one, ``hard()`` leaves room above
    every model.

    Each subject performs each of the eight motions once, so appearance and motion are crossed exactly in
    every split.
    """

    name: str = "standard"
    image_size: int = 64
    num_frames: int = 24
    fps: int = 12
    subjects_per_appearance: dict[str, int] = field(
        default_factory=lambda: {"train": 40, "val": 6, "test": 10}
    )
    distractors: tuple[int, int] = (1, 3)
    distractor_radius: tuple[float, float] = (1.5, 3.0)
    distractor_speed: float = 0.35
    noise: tuple[float, float] = (2.0, 5.0)
    camera_shake: float = 0.0

    def __post_init__(self) -> None:
        require_positive(image_size=self.image_size, num_frames=self.num_frames, fps=self.fps)
        if self.num_frames < 16:
            raise ArgumentError("num_frames", self.num_frames, "at least 16 (two events have to fit)")

    @classmethod
    def standard(cls) -> SampleSpec:
        """The bundled set: 1,280 train, 192 val and 320 test clips of 64 × 64 × 24 frames."""
        return cls()

    @classmethod
    def hard(cls) -> SampleSpec:
        """Longer clips, more and larger distractors, a shaking camera and a tenth of the training clips."""
        return cls(
            name="hard",
            num_frames=48,
            subjects_per_appearance={"train": 4, "val": 6, "test": 10},
            distractors=(5, 8),
            distractor_radius=(2.0, 6.0),
            distractor_speed=1.2,
            noise=(6.0, 14.0),
            camera_shake=1.5,
        )

    @property
    def seconds(self) -> int:
        """Length of a clip, rounded up to whole seconds as Kinetics file names have it."""
        return math.ceil(self.num_frames / self.fps)

    def num_clips(self, split: str) -> int:
        """Clips of one split.

        >>> [SampleSpec.standard().num_clips(split) for split in SPLITS]
        [1280, 192, 320]
        """
        return self.subjects_per_appearance[split] * len(APPEARANCES) * len(MOTIONS)


SPECS: dict[str, Callable[[], SampleSpec]] = {"standard": SampleSpec.standard, "hard": SampleSpec.hard}


@dataclass(frozen=True, kw_only=True)
class SampleEvent:
    """One thing that happens in a clip: frames ``start_frame`` to ``end_frame`` (the last one included)."""

    name: str
    start_frame: int
    end_frame: int


@dataclass(frozen=True, kw_only=True)
class SampleClip:
    """One clip of the samples: its two labels, its subject, its reversal and how it is drawn."""

    clip_id: str
    split: str
    appearance: str
    motion: str
    subject: str
    twin: str | None
    drawing_seed: tuple[int, ...]
    is_reversed: bool
    events: tuple[SampleEvent, ...] = ()

    def file_name(self, spec: SampleSpec) -> str:
        """The clip's path below the samples' folder, in the layout of Kinetics: split, label, id and
        times."""
        return f"{self.split}/{self.motion}/{self.clip_id}_{0:06d}_{spec.seconds:06d}.mp4"


# ---------------------------------------------------------------------------------------------- drawing


def _disc(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.hypot(x, y) - 0.95


def _ring(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.abs(np.hypot(x, y) - 0.78) - 0.22


def _square(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.85


def _triangle(x: FloatArray, y: FloatArray) -> FloatArray:
    angles = np.deg2rad([90.0, 210.0, 330.0])
    return np.maximum.reduce([x * np.cos(a) + y * np.sin(a) for a in angles]) - 0.58


def _plus(x: FloatArray, y: FloatArray) -> FloatArray:
    across = np.maximum(np.abs(x) - 1.0, np.abs(y) - 0.3)
    return np.minimum(across, np.maximum(np.abs(x) - 0.3, np.abs(y) - 1.0))


def _star(x: FloatArray, y: FloatArray) -> FloatArray:
    turn = (np.arctan2(x, -y) / (2 * np.pi) * 5.0) % 1.0
    reach = 0.42 + 0.78 * np.abs(2.0 * turn - 1.0) ** 1.5
    return (np.hypot(x, y) - reach) * 0.6


def _bars(x: FloatArray, y: FloatArray) -> FloatArray:
    nearest = np.minimum.reduce([np.abs(x - centre) for centre in (-0.75, 0.0, 0.75)])
    return np.maximum(nearest - 0.2, np.abs(y) - 0.95)


def _crescent(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.maximum(np.hypot(x, y) - 1.0, 0.8 - np.hypot(x - 0.55, y))


_SHAPES: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "plus": _plus,
    "star": _star,
    "bars": _bars,
    "crescent": _crescent,
}


@dataclass(frozen=True)
class _Subject:
    """What stays the same in every clip of one subject: colour, size and build."""

    colour: FloatArray
    radius: float
    aspect: float
    tilt: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Subject:
        return cls(
            colour=_colour(rng, saturation=(0.35, 0.95), value=(0.75, 1.0)),
            radius=rng.uniform(9.5, 13.5),
            aspect=rng.uniform(0.88, 1.14),
            tilt=rng.uniform(-0.2, 0.2),
        )


@dataclass
class _Track:
    """Where the subject is in every frame, how large and how opaque: arrays of length ``num_frames``."""

    x: FloatArray
    y: FloatArray
    size: FloatArray
    opacity: FloatArray


def _colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> FloatArray:
    hue, s, v = rng.uniform(0, 6), rng.uniform(*saturation), rng.uniform(*value)
    channel = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return np.asarray(255 * v * (1 - s + s * channel))


def _bump(num_frames: int, start: int, length: int) -> FloatArray:
    """0 outside, rising to 1 and falling back inside, the same read from either end."""
    profile = np.zeros(num_frames)
    profile[start : start + length] = np.sin(np.pi * (np.arange(length) + 1) / (length + 1)) ** 2
    return profile


def _ramp(num_frames: int, start: int, end: int) -> FloatArray:
    """0 up to ``start``, straight to 1 at ``end`` and 1 after it."""
    return np.clip((np.arange(num_frames) - start) / (end - start), 0.0, 1.0)


def _track(
    pair: tuple[str, str], spec: SampleSpec, rng: np.random.Generator
) -> tuple[_Track, tuple[SampleEvent, ...]]:
    """The first class of a motion pair as a track with its event times; the second class is its reversal."""
    n, unit = spec.num_frames, spec.image_size / 64
    centre = spec.image_size / 2
    track = _Track(
        x=np.full(n, centre + rng.uniform(-7, 7) * unit),
        y=np.full(n, centre + rng.uniform(-7, 7) * unit),
        size=np.ones(n),
        opacity=np.ones(n),
    )
    if pair[0] in ("sliding left", "coming closer"):
        start, end = int(rng.integers(0, n // 6)), n - 1 - int(rng.integers(0, n // 6))
        progress = _ramp(n, start, end) - 0.5
        if pair[0] == "sliding left":
            track.x -= progress * rng.uniform(22, 34) * unit
        else:
            track.size *= np.exp(progress * rng.uniform(0.7, 1.0))
        return track, (SampleEvent(name=pair[0], start_frame=start, end_frame=end),)

    names = pair[0].split(" then ")
    lengths = [int(rng.integers(n // 4, n // 3 + 1)) for _ in names]
    gap = int(rng.integers(1, n // 8 + 1))
    first = int(rng.integers(0, n - sum(lengths) - gap + 1))
    starts = [first, first + lengths[0] + gap]
    side = rng.choice([-1.0, 1.0])
    strength = rng.uniform(0.85, 1.15, size=2)
    events = []
    for name, start, length, amount in zip(names, starts, lengths, strength, strict=True):
        bump = _bump(n, start, length) * amount
        if name == "hop":
            track.y -= 11 * unit * bump
        elif name == "swell":
            track.size *= 1 + 0.55 * bump
        elif name == "sway":
            track.x += side * 11 * unit * bump
        else:
            track.opacity *= 1 - np.clip(0.85 * bump, 0, 0.95)
        events.append(SampleEvent(name=name, start_frame=start, end_frame=start + length - 1))
    return track, tuple(events)


def _background(spec: SampleSpec, rng: np.random.Generator) -> FloatArray:
    """A gradient between two dark colours with a soft light spot."""
    axis = np.linspace(-1, 1, spec.image_size)
    x, y = np.meshgrid(axis, axis)
    angle = rng.uniform(0, 2 * np.pi)
    mix = ((x * np.cos(angle) + y * np.sin(angle)) / math.sqrt(2) + 1) / 2
    low = _colour(rng, saturation=(0.1, 0.6), value=(0.08, 0.35))
    high = _colour(rng, saturation=(0.1, 0.6), value=(0.2, 0.5))
    spot_x, spot_y = rng.uniform(-1, 1, size=2)
    spot = np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / 0.5) * rng.uniform(0, 25)
    return np.asarray(low + mix[..., None] * (high - low) + spot[..., None])


def _draw_clip(clip: SampleClip, spec: SampleSpec) -> tuple[FrameArray, tuple[SampleEvent, ...]]:
    """Frames ``(T, H, W, C)`` of one clip and its events, from its seeds alone."""
    subject = _Subject.drawn(np.random.default_rng(_seed_of(clip.subject, *clip.drawing_seed[:1])))
    rng = np.random.default_rng(list(clip.drawing_seed))
    pair = next(pair for pair in MOTION_PAIRS if clip.motion in pair)
    track, events = _track(pair, spec, rng)
    n, size = spec.num_frames, spec.image_size
    background = _background(spec, rng)
    radius = subject.radius * rng.uniform(0.9, 1.1) * size / 64
    tilt = subject.tilt + rng.uniform(-0.1, 0.1)
    drifts = _distractors(spec, rng)
    noise = rng.uniform(*spec.noise)
    shake = rng.normal(0, 1, size=(n, 2)) * spec.camera_shake

    row, column = np.mgrid[0:size, 0:size].astype(np.float64)
    frames = np.empty((n, size, size, 3), dtype=np.uint8)
    for i in range(n):
        canvas = background.copy()
        for colour, r, path in drifts:
            alpha = np.clip(r + 0.5 - np.hypot(column - path[i, 0], row - path[i, 1]), 0, 1)[..., None]
            canvas += 0.8 * alpha * (colour - canvas)
        reach = radius * track.size[i]
        dx = (column - track.x[i] - shake[i, 0]) / (reach * subject.aspect)
        dy = (row - track.y[i] - shake[i, 1]) / (reach / subject.aspect)
        x = dx * math.cos(tilt) + dy * math.sin(tilt)
        y = dy * math.cos(tilt) - dx * math.sin(tilt)
        alpha = np.clip(0.5 - _SHAPES[clip.appearance](x, y) * reach, 0, 1)[..., None] * track.opacity[i]
        canvas += alpha * (subject.colour - canvas)
        canvas += rng.normal(0, noise, size=canvas.shape)
        frames[i] = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)

    if clip.is_reversed:
        frames = frames[::-1].copy()
        events = tuple(
            SampleEvent(
                name=_reversed_name(event.name, pair),
                start_frame=n - 1 - event.end_frame,
                end_frame=n - 1 - event.start_frame,
            )
            for event in reversed(events)
        )
    return frames, events


def _reversed_name(name: str, pair: tuple[str, str]) -> str:
    return pair[1] if name == pair[0] else name


def _distractors(spec: SampleSpec, rng: np.random.Generator) -> list[tuple[FloatArray, float, FloatArray]]:
    """Small discs that drift in straight lines whatever the subject does: (colour, radius, path of (x,
    y))."""
    time = np.arange(spec.num_frames)[:, None]
    found = []
    for _ in range(int(rng.integers(spec.distractors[0], spec.distractors[1] + 1))):
        start = rng.uniform(0, spec.image_size, size=2)
        step = rng.normal(0, spec.distractor_speed, size=2)
        found.append(
            (
                _colour(rng, saturation=(0.2, 0.9), value=(0.5, 1.0)),
                rng.uniform(*spec.distractor_radius) * spec.image_size / 64,
                start + step * time,
            )
        )
    return found


def _seed_of(*words: object) -> int:
    """A stable 64-bit seed from words (Python's own ``hash`` differs from run to run)."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:8], "big")


# ---------------------------------------------------------------------------------------------- planning


def plan_samples(spec: SampleSpec, seed: int) -> list[SampleClip]:
    """Every clip of a set, in a fixed order, before any is drawn.

    Args:
        spec: what the set is made of.
        seed: the set's seed; subjects and clips of different seeds have nothing in common.

    >>> clips = plan_samples(SampleSpec.standard(), seed=0)
    >>> len(clips), clips[0].clip_id, clips[0].motion
    (1792, 's0train0000', 'sliding left')
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ArgumentError("seed", seed, "an integer of at least 0")
    return [clip for split in SPLITS for clip in _plan_split(spec, seed, split)]


def _plan_split(spec: SampleSpec, seed: int, split: str) -> Iterator[SampleClip]:
    prefix = f"s{seed}{_SPLIT_CODES[split]}" if spec.name == "standard" else f"{spec.name}{seed}{split}"
    number = 0
    for appearance_index, appearance in enumerate(APPEARANCES):
        for subject_index in range(spec.subjects_per_appearance[split]):
            subject = f"{prefix}-{appearance}-{subject_index}"
            for pair_index, pair in enumerate(MOTION_PAIRS):
                ids = [f"{prefix}{number:04d}", f"{prefix}{number + 1:04d}"]
                number += 2
                base = (
                    _seed_of(spec.name, seed, split),
                    appearance_index,
                    subject_index,
                    pair_index,
                )
                for turn, motion in enumerate(pair):
                    twinned = split != "train"
                    yield SampleClip(
                        clip_id=ids[turn],
                        split=split,
                        appearance=appearance,
                        motion=motion,
                        subject=subject,
                        twin=ids[1 - turn] if twinned else None,
                        drawing_seed=(*base, 0 if twinned else turn),
                        is_reversed=turn == 1,
                    )


def draw_sample(clip: SampleClip, spec: SampleSpec) -> FrameArray:
    """The clip's frames before encoding, ``(T, H, W, C)`` uint8.

    >>> spec = SampleSpec.standard()
    >>> first, second = [c for c in plan_samples(spec, seed=0) if c.split == "val"][:2]
    >>> bool((draw_sample(first, spec) == draw_sample(second, spec)[::-1]).all())
    True
    """
    return _draw_clip(clip, spec)[0]


# ---------------------------------------------------------------------------------------------- files


def encode_video(path: Path, frames: FrameArray, fps: int, crf: int = 23) -> None:
    """Write ``(T, H, W, C)`` uint8 frames as H.264 in MP4, aside first and then renamed.

    One thread, fixed settings and no time stamps in the header: the same frames give the same bytes
    wherever the same encoder is installed.
    """
    import av

    # Without B-frames, because x264's look-ahead over them chooses differently from run to run; and in
    # pictures under four macroblocks a side, so does its macroblock tree (one clip in a hundred).
    x264_params = "threads=1:sliced-threads=0:bframes=0"
    if min(frames.shape[1:3]) < 64:
        x264_params += ":mbtree=0"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    with av.open(
        str(aside), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}
    ) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {
            "crf": str(crf),
            "preset": "medium",
            "g": str(fps),
            "x264-params": x264_params,
            "flags": "+bitexact",
        }
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode())
    os.replace(aside, path)


def frames_digest(frames: FrameArray) -> str:
    """SHA-256 of decoded frames: their shape and every byte."""
    return hashlib.sha256(repr(frames.shape).encode() + np.ascontiguousarray(frames).tobytes()).hexdigest()


def _read_frames(path: Path) -> FrameArray:
    from vtlearn.data.decode import decode_all

    return np.asarray(decode_all(path))


def _make_one(clip: SampleClip, spec: SampleSpec, root: Path) -> dict[str, object]:
    frames, events = _draw_clip(clip, spec)
    path = root / clip.file_name(spec)
    encode_video(path, frames, spec.fps)
    return _manifest_row(replace(clip, events=events), spec, path)


def _manifest_row(clip: SampleClip, spec: SampleSpec, path: Path) -> dict[str, object]:
    return {
        "path": clip.file_name(spec),
        "id": clip.clip_id,
        "split": clip.split,
        "appearance": clip.appearance,
        "motion": clip.motion,
        "subject": clip.subject,
        "twin": clip.twin,
        "events": [asdict(event) for event in clip.events],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "frames_sha256": frames_digest(_read_frames(path)),
    }


def make_samples(
    root: str | Path,
    seed: int = 0,
    spec: SampleSpec | None = None,
    *,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Draw and encode a set of samples below ``root``, with annotation files and a manifest of checksums.

    Args:
        root: folder to write to; it may exist, files of the same name are replaced one by one.
        seed: the set's seed.
        spec: what the set is made of; the bundled one if not given.
        workers: processes to draw with. The result does not depend on it.
        progress: show a progress bar.

    Returns:
        The manifest's path, ``root/manifest.json``, which is written last: a folder with a manifest is
        complete.

    Raises:
        ArgumentError: a seed below 0.
    """
    spec = spec or SampleSpec.standard()
    root = Path(root)
    clips = plan_samples(spec, seed)
    root.mkdir(parents=True, exist_ok=True)
    (root / "manifest.json").unlink(missing_ok=True)
    bar = tqdm(total=len(clips), desc=f"samples, seed {seed}", unit="clip", disable=not progress)
    rows = []
    if workers == 1:
        for clip in clips:
            rows.append(_make_one(clip, spec, root))
            bar.update()
    else:
        with ProcessPoolExecutor(workers) as pool:
            for row in pool.map(_make_one, clips, repeat(spec), repeat(root), chunksize=16):
                rows.append(row)
                bar.update()
    bar.close()
    _write_annotations(root, clips, spec)
    manifest = {"seed": seed, "spec": asdict(spec), "labellings": LABELLINGS, "clips": rows}
    return write_text(root / "manifest.json", json.dumps(manifest, indent=0) + "\n")


def _write_annotations(root: Path, clips: list[SampleClip], spec: SampleSpec) -> None:
    """One CSV for each labelling and split, in the columns that Kinetics publishes."""
    for labelling in LABELLINGS:
        for split in SPLITS:
            path = root / "annotations" / f"{labelling}_{split}.csv"
            with written_aside(path) as aside, aside.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(_PUBLISHED_COLUMNS)
                for clip in clips:
                    if clip.split == split:
                        writer.writerow([getattr(clip, labelling), clip.clip_id, 0, spec.seconds, split, 1])


# ---------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class SampleSet:
    """A folder of samples as its manifest describes it."""

    root: Path
    seed: int
    spec: SampleSpec
    clips: list[dict[str, object]]

    @classmethod
    def load(cls, root: str | Path) -> SampleSet:
        """Read ``root/manifest.json``.

        Raises:
            DataError: no manifest there, or one that cannot be read.
        """
        root = Path(root)
        path = root / "manifest.json"
        try:
            raw = json.loads(path.read_text())
            spec = raw["spec"]
            for name in ("distractors", "distractor_radius", "noise"):
                spec[name] = tuple(spec[name])
            return cls(root=root, seed=raw["seed"], spec=SampleSpec(**spec), clips=raw["clips"])
        except FileNotFoundError:
            raise DataError(f"{path}: no samples here; make them with `vtlearn samples make`") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a samples manifest ({error})") from None

    def split(self, split: str) -> list[dict[str, object]]:
        """The manifest's rows of one split."""
        return [clip for clip in self.clips if clip["split"] == split]

    def check(self, *, decode: bool = True, progress: bool = False) -> list[str]:
        """Compare every file with the manifest; returns one line for each that differs, none when all is
        well.

        Args:
            decode: also decode each clip and compare its frames.
            progress: show a progress bar.
        """
        wrong = []
        for row in tqdm(self.clips, desc="checking samples", unit="clip", disable=not progress):
            path = self.root / str(row["path"])
            if not path.is_file():
                wrong.append(f"{row['path']}: missing")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                wrong.append(f"{row['path']}: its bytes differ from the manifest")
            elif decode and frames_digest(_read_frames(path)) != row["frames_sha256"]:
                wrong.append(f"{row['path']}: its decoded frames differ from the manifest")
        return wrong


def bundled_samples() -> Path:
    """The folder of the samples that come with the repository.

    Raises:
        DataError: the package was installed without its repository.
    """
    root = Path(__file__).resolve().parents[2] / "data_samples"
    if not (root / "manifest.json").is_file():
        raise DataError(f"{root}: the bundled samples are not here; make them with `vtlearn samples make`")
    return root


def samples_folder(seed: int = 0, spec: SampleSpec | None = None, *, workers: int = 1) -> Path:
    """A complete folder of samples: the bundled one for seed 0, others made once and kept in the user's
    cache.

    Args:
        seed: the set's seed.
        spec: what the set is made of; the bundled one if not given.
        workers: processes to draw with, if it has to be made.
    """
    spec = spec or SampleSpec.standard()
    if seed == 0 and spec == SampleSpec.standard():
        return bundled_samples()
    cache = Path(os.environ.get("VTLEARN_CACHE", Path.home() / ".cache" / "vtlearn"))
    root = cache / f"samples-{spec.name}-seed{seed}"
    if not (root / "manifest.json").is_file():
        make_samples(root, seed, spec, workers=workers)
    return root
