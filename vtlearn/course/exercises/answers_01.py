"""Right and wrong answers to the exercises of lesson 01, as source; the tests run each through the check."""

UNIFORM = {
    "integers": '''
def uniform_frames(num_frames_in_video: int, num_frames: int) -> list[int]:
    """The frames in the middle of num_frames equal parts of a video."""
    return [(2 * i + 1) * num_frames_in_video // (2 * num_frames) for i in range(num_frames)]
''',
    "decimals": """
def uniform_frames(num_frames_in_video, num_frames):
    length = num_frames_in_video / num_frames
    return [int((i + 0.5) * length) for i in range(num_frames)]
""",
    "numpy": """
def uniform_frames(num_frames_in_video, num_frames):
    borders = np.linspace(0, num_frames_in_video, num_frames + 1)
    return np.floor((borders[:-1] + borders[1:]) / 2).astype(int)
""",
    "torch": """
def uniform_frames(num_frames_in_video, num_frames):
    middles = (torch.arange(num_frames, dtype=torch.float64) + 0.5) * num_frames_in_video / num_frames
    return middles.long()
""",
    "loop that waits for each middle": """
def uniform_frames(num_frames_in_video, num_frames):
    chosen = []
    frame = 0
    for i in range(num_frames):
        while (frame + 1) * 2 * num_frames < (2 * i + 1) * num_frames_in_video:
            frame += 1
        chosen.append(frame)
    return chosen
""",
    "from both ends": """
def uniform_frames(num_frames_in_video, num_frames):
    first_half = [(2 * i + 1) * num_frames_in_video // (2 * num_frames) for i in range((num_frames + 1) // 2)]
    mirrored = [num_frames_in_video - 1 - frame for frame in first_half[: num_frames // 2]]
    return first_half + mirrored[::-1]
""",
    "fractions": """
from fractions import Fraction

def uniform_frames(num_frames_in_video, num_frames):
    part = Fraction(num_frames_in_video, num_frames)
    return tuple(int(part * i + part / 2) for i in range(num_frames))
""",
}

UNIFORM_BOTH_ENDS = """
def uniform_frames(num_frames_in_video, num_frames):
    return np.linspace(0, num_frames_in_video - 1, num_frames).astype(int).tolist()
"""
UNIFORM_STARTS = """
def uniform_frames(num_frames_in_video, num_frames):
    return [i * num_frames_in_video // num_frames for i in range(num_frames)]
"""
UNIFORM_WHOLE_STEP = """
def uniform_frames(num_frames_in_video, num_frames):
    step = max(1, num_frames_in_video // num_frames)
    return [min(i * step + step // 2, num_frames_in_video - 1) for i in range(num_frames)]
"""
UNIFORM_ROUNDED_UP = """
def uniform_frames(num_frames_in_video, num_frames):
    return [math.ceil((i + 0.5) * num_frames_in_video / num_frames) for i in range(num_frames)]
"""
UNIFORM_NO_REPEATS = """
def uniform_frames(num_frames_in_video, num_frames):
    middles = [(2 * i + 1) * num_frames_in_video // (2 * num_frames) for i in range(num_frames)]
    return sorted(set(middles))
"""
UNIFORM_FIRST_FRAMES = """
def uniform_frames(num_frames_in_video, num_frames):
    return [min(i, num_frames_in_video - 1) for i in range(num_frames)]
"""
UNIFORM_CHANCE = """
def uniform_frames(num_frames_in_video, num_frames):
    return sorted(torch.randint(num_frames_in_video, (num_frames,)).tolist())
"""
UNIFORM_DECIMALS = """
def uniform_frames(num_frames_in_video, num_frames):
    return [(i + 0.5) * num_frames_in_video / num_frames for i in range(num_frames)]
"""

STRIDED = {
    "list": '''
def strided_frames(num_frames_in_video: int, num_frames: int, frame_stride: int, start: int) -> list[int]:
    """Every frame_stride-th frame from start; past the end the last frame is held."""
    return [min(start + i * frame_stride, num_frames_in_video - 1) for i in range(num_frames)]
''',
    "clamp": """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    return (start + torch.arange(num_frames) * frame_stride).clamp(max=num_frames_in_video - 1)
""",
    "numpy": """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    wanted = np.arange(start, start + num_frames * frame_stride, frame_stride)
    return np.minimum(wanted, num_frames_in_video - 1)
""",
    "padding": """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    chosen = list(range(start, num_frames_in_video, frame_stride))[:num_frames]
    while len(chosen) < num_frames:
        chosen.append(num_frames_in_video - 1)
    return chosen
""",
    "loop": """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    chosen, frame = [], start
    for _ in range(num_frames):
        chosen.append(frame)
        frame += frame_stride
        if frame >= num_frames_in_video:
            frame = num_frames_in_video - 1
    return chosen
""",
    "a longer video": """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    held = num_frames * frame_stride
    video = list(range(num_frames_in_video)) + [num_frames_in_video - 1] * held
    return video[start::frame_stride][:num_frames]
""",
}

STRIDED_OFF_BY_ONE = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    return [min(start + i * frame_stride, num_frames_in_video) for i in range(num_frames)]
"""
STRIDED_STOPS = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    return list(range(start, num_frames_in_video, frame_stride))[:num_frames]
"""
STRIDED_WRAPS = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    return [(start + i * frame_stride) % num_frames_in_video for i in range(num_frames)]
"""
STRIDED_IGNORES_START = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    return [min(i * frame_stride, num_frames_in_video - 1) for i in range(num_frames)]
"""
STRIDED_LEAVES_OUT = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    return [min(start + i * (frame_stride + 1), num_frames_in_video - 1) for i in range(num_frames)]
"""
STRIDED_HOLDS_TAKEN = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    chosen = list(range(start, num_frames_in_video, frame_stride))[:num_frames]
    return chosen + [chosen[-1]] * (num_frames - len(chosen))
"""
STRIDED_MOVES_START = """
def strided_frames(num_frames_in_video, num_frames, frame_stride, start):
    latest = max(0, num_frames_in_video - 1 - (num_frames - 1) * frame_stride)
    start = min(start, latest)
    return [min(start + i * frame_stride, num_frames_in_video - 1) for i in range(num_frames)]
"""

SECONDS = {
    "formula": '''
def seconds_covered(num_frames: int, frame_stride: int, fps: float) -> float:
    """Seconds of video that a strided clip stands for."""
    return num_frames * frame_stride / fps
''',
    "per frame": """
def seconds_covered(num_frames, frame_stride, fps):
    seconds_of_one_frame = 1 / fps
    return num_frames * (frame_stride * seconds_of_one_frame)
""",
    "loop": """
def seconds_covered(num_frames, frame_stride, fps):
    total = 0.0
    for _ in range(num_frames):
        total += frame_stride / fps
    return total
""",
    "tensor": """
def seconds_covered(num_frames, frame_stride, fps):
    return torch.full((num_frames,), frame_stride / fps, dtype=torch.float64).sum()
""",
    "from first to end of last": """
def seconds_covered(num_frames, frame_stride, fps):
    first, last = 0, (num_frames - 1) * frame_stride
    return (last + frame_stride - first) / fps
""",
    "fraction": """
from fractions import Fraction

def seconds_covered(num_frames, frame_stride, fps):
    return Fraction(num_frames * frame_stride) / Fraction(fps)
""",
}

SECONDS_FIRST_TO_LAST = """
def seconds_covered(num_frames, frame_stride, fps):
    return (num_frames - 1) * frame_stride / fps
"""
SECONDS_LAST_COUNTED_ONCE = """
def seconds_covered(num_frames, frame_stride, fps):
    return ((num_frames - 1) * frame_stride + 1) / fps
"""
SECONDS_NO_STRIDE = """
def seconds_covered(num_frames, frame_stride, fps):
    return num_frames / fps
"""
SECONDS_WHOLE = """
def seconds_covered(num_frames, frame_stride, fps):
    return num_frames * frame_stride // fps
"""
SECONDS_TIMES_RATE = """
def seconds_covered(num_frames, frame_stride, fps):
    return num_frames * frame_stride * fps
"""
SECONDS_DIVIDED_BY_STRIDE = """
def seconds_covered(num_frames, frame_stride, fps):
    return num_frames / (fps * frame_stride)
"""
SECONDS_ROUNDED = """
def seconds_covered(num_frames, frame_stride, fps):
    return round(num_frames * frame_stride / fps, 1)
"""
SECONDS_AT_30 = """
def seconds_covered(num_frames, frame_stride, fps):
    return num_frames * frame_stride / 30
"""

TO_CLIPS = {
    "einops": '''
def to_clips(frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Decoded bytes (B, T, H, W, C) as normalised clips (B, T, C, H, W) for a model."""
    pixels = (frames / 255 - mean) / std
    return rearrange(pixels, "b t h w c -> b t c h w")
''',
    "permute": """
def to_clips(frames, mean, std):
    clips = frames.permute(0, 1, 4, 2, 3).float() / 255
    return (clips - mean[:, None, None]) / std[:, None, None]
""",
    "channel by channel": """
def to_clips(frames, mean, std):
    channels = [(frames[..., c].float() / 255 - mean[c]) / std[c] for c in range(frames.shape[-1])]
    return torch.stack(channels, dim=2)
""",
    "in place on a copy": """
def to_clips(frames, mean, std):
    clips = frames.movedim(-1, 2).to(torch.float32, copy=True)
    clips.div_(255).sub_(mean.view(1, 1, -1, 1, 1)).div_(std.view(1, 1, -1, 1, 1))
    return clips.contiguous()
""",
    "loop over frames": """
def to_clips(frames, mean, std):
    clips, steps, rows, columns, channels = frames.shape
    out = torch.empty(clips, steps, channels, rows, columns)
    for b in range(clips):
        for t in range(steps):
            for c in range(channels):
                out[b, t, c] = (frames[b, t, :, :, c] / 255.0 - mean[c]) / std[c]
    return out
""",
    "numpy": """
def to_clips(frames, mean, std):
    pixels = frames.numpy().astype(np.float32) / 255
    pixels = (pixels - mean.numpy()) / std.numpy()
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 1, 4, 2, 3)))
""",
    "batch norm": """
def to_clips(frames, mean, std):
    stacked = rearrange(frames, "b t h w c -> (b t) c h w") / 255
    normed = F.batch_norm(stacked, mean, std**2, eps=0.0)
    return normed.unflatten(0, frames.shape[:2])
""",
}

CLIPS_RESHAPED = """
def to_clips(frames, mean, std):
    b, t, h, w, c = frames.shape
    clips = frames.reshape(b, t, c, h, w) / 255
    return (clips - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
"""
CLIPS_BGR = """
def to_clips(frames, mean, std):
    clips = rearrange(frames.flip(-1), "b t h w c -> b t c h w") / 255
    return (clips - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
"""
CLIPS_TURNED = """
def to_clips(frames, mean, std):
    clips = frames.permute(0, 1, 4, 3, 2) / 255
    return (clips - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
"""
CLIPS_NOT_SCALED = """
def to_clips(frames, mean, std):
    clips = rearrange(frames.float(), "b t h w c -> b t c h w")
    return (clips - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
"""
CLIPS_256 = """
def to_clips(frames, mean, std):
    clips = rearrange(frames, "b t h w c -> b t c h w") / 256
    return (clips - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
"""
CLIPS_STD_FIRST = """
def to_clips(frames, mean, std):
    clips = rearrange(frames, "b t h w c -> b t c h w") / 255
    return clips / std.view(-1, 1, 1) - mean.view(-1, 1, 1)
"""
CLIPS_TIMES_STD = """
def to_clips(frames, mean, std):
    clips = rearrange(frames, "b t h w c -> b t c h w") / 255
    return (clips - mean.view(-1, 1, 1)) * std.view(-1, 1, 1)
"""
CLIPS_BYTES = """
def to_clips(frames, mean, std):
    clips = rearrange(frames // 255, "b t h w c -> b t c h w").float()
    return (clips - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
"""
CLIPS_CHANNELS_BEFORE_TIME = """
def to_clips(frames, mean, std):
    clips = rearrange(frames, "b t h w c -> b c t h w") / 255
    return (clips - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1)
"""
CLIPS_OWN_STATISTICS = """
def to_clips(frames, mean, std):
    clips = rearrange(frames, "b t h w c -> b t c h w") / 255
    return (clips - clips.mean((0, 1, 3, 4), keepdim=True)) / clips.std((0, 1, 3, 4), keepdim=True)
"""
CLIPS_ONE_MEAN = """
def to_clips(frames, mean, std):
    clips = rearrange(frames, "b t h w c -> b t c h w") / 255
    return (clips - mean.mean()) / std.mean()
"""
CLIPS_OF_THREE = """
def to_clips(frames, mean, std):
    clips = frames.permute(0, 1, 4, 2, 3) / 255
    return (clips - mean.view(1, 1, 3, 1, 1)) / std.view(1, 1, 3, 1, 1)
"""
CLIPS_IN_HALF = """
def to_clips(frames, mean, std):
    clips = (frames.half() / 255 - mean.half()) / std.half()
    return clips.permute(0, 1, 4, 2, 3)
"""

SHUFFLE_SCORE = {
    "all pairs at once": '''
def shuffle_score(clip: Tensor) -> float:
    """How far neighbouring frames lie apart, measured by how far any two frames do."""
    frames = clip.flatten(1).double()
    apart = (frames[:, None] - frames[None, :]).abs().mean(dim=-1)
    neighbours = apart.diagonal(1).mean()
    pairs = apart.sum() / (len(frames) * (len(frames) - 1))
    return 1.0 if pairs == 0 else float(neighbours / pairs)
''',
    "loop": """
def shuffle_score(clip):
    frames = clip.float()
    near = [(frames[t + 1] - frames[t]).abs().mean() for t in range(len(frames) - 1)]
    every = [
        (frames[s] - frames[t]).abs().mean() for t in range(len(frames)) for s in range(t + 1, len(frames))
    ]
    below = sum(every) / len(every)
    if below == 0:
        return 1.0
    return (sum(near) / len(near) / below).item()
""",
    "cdist": """
def shuffle_score(clip):
    frames = clip.reshape(len(clip), -1).double()
    apart = torch.cdist(frames, frames, p=1)
    upper = torch.triu_indices(len(frames), len(frames), offset=1)
    pairs = apart[upper[0], upper[1]].mean()
    return (apart.diagonal(1).mean() / pairs).item() if pairs > 0 else 1.0
""",
    "numpy": """
def shuffle_score(clip):
    frames = clip.numpy().astype(np.float64)
    steps = np.abs(np.diff(frames, axis=0)).mean()
    lags = range(1, len(frames))
    total = sum(np.abs(frames[lag:] - frames[:-lag]).mean() * (len(frames) - lag) for lag in lags)
    pairs = total / (len(frames) * (len(frames) - 1) / 2)
    return 1.0 if pairs == 0 else steps / pairs
""",
    "sorted values": """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    count = len(frames)
    steps = frames.diff(dim=0).abs().mean()
    ordered = frames.sort(dim=0).values
    weights = (2 * torch.arange(count, dtype=torch.float64) - count + 1)[:, None]
    pairs = 2 * (weights * ordered).sum(0).mean() / (count * (count - 1))
    return torch.ones(()) if pairs < 1e-12 else steps / pairs
""",
    "mended nan": """
def shuffle_score(clip):
    frames = clip.float().flatten(1)
    apart = (frames[:, None] - frames).abs().mean(-1)
    count = len(frames)
    pairs = apart.sum() / (count * count - count)
    return torch.nan_to_num(apart.diagonal(1).mean() / pairs, nan=1.0)
""",
}

SCORE_ROUND_THE_CORNER = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    neighbours = (frames - frames.roll(1, 0)).abs().mean()
    pairs = torch.pdist(frames, p=1).mean() / frames.shape[1]
    return 1.0 if pairs == 0 else float(neighbours / pairs)
"""
SCORE_SIGNED = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    neighbours = (frames[1:] - frames[:-1]).mean()
    pairs = torch.pdist(frames, p=1).mean() / frames.shape[1]
    return 1.0 if pairs == 0 else float(neighbours / pairs)
"""
SCORE_SELF_PAIRS = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    neighbours = frames.diff(dim=0).abs().mean()
    pairs = torch.cdist(frames, frames, p=1).mean() / frames.shape[1]
    return 1.0 if pairs == 0 else float(neighbours / pairs)
"""
SCORE_SQUARED = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    neighbours = frames.diff(dim=0).square().mean()
    pairs = torch.pdist(frames).square().mean() / frames.shape[1]
    return 1.0 if pairs == 0 else float(neighbours / pairs)
"""
SCORE_BYTES_WRAP = """
def shuffle_score(clip):
    def apart(one, other):
        return (one - other).abs().double().mean()

    steps = [apart(a, b) for a, b in zip(clip[1:], clip[:-1])]
    pairs = [apart(clip[s], clip[t]) for s in range(len(clip)) for t in range(s)]
    if sum(pairs) == 0:
        return 1.0
    return float(sum(steps) / len(steps) / (sum(pairs) / len(pairs)))
"""
SCORE_STILL_NAN = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    return float(frames.diff(dim=0).abs().mean() / (torch.pdist(frames, p=1).mean() / frames.shape[1]))
"""
SCORE_FROM_FIRST = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    neighbours = frames.diff(dim=0).abs().mean()
    away = (frames[1:] - frames[:1]).abs().mean()
    return 1.0 if away == 0 else float(neighbours / away)
"""
SCORE_SUMS = """
def shuffle_score(clip):
    frames = clip.flatten(1).double()
    neighbours = frames.diff(dim=0).abs().sum()
    pairs = torch.pdist(frames, p=1).sum()
    return 1.0 if pairs == 0 else float(neighbours / pairs)
"""
SCORE_OF_FOUR_AXES = """
def shuffle_score(clip):
    frames = rearrange(clip.float(), "t c h w -> t (c h w)")
    apart = (frames[:, None] - frames).abs().mean(-1)
    if apart.sum() == 0:
        return 1.0
    count = len(frames)
    return float(apart.diagonal(1).mean() / (apart.sum() / (count * (count - 1))))
"""

LOAD_ALL = {
    "loop": '''
from collections.abc import Callable

from vtlearn.errors import DataError


def load_all(paths: list[str], read: Callable[[str], Tensor]) -> tuple[list[Tensor], dict[str, str]]:
    """The clips that can be read, and why each of the others cannot."""
    clips, skipped = [], {}
    for path in paths:
        try:
            clips.append(read(path))
        except DataError as error:
            skipped[path] = str(error)
    if not clips:
        raise DataError(f"none of {len(paths)} files can be read")
    return clips, skipped
''',
    "with else": """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips = []
    skipped = {}
    for path in paths:
        try:
            clip = read(path)
        except DataError as reason:
            skipped[path] = f"{reason}"
        else:
            clips += [clip]
    if len(skipped) == len(paths):
        raise DataError("all files are broken: " + "; ".join(skipped.values()))
    return clips, skipped
""",
    "results first": """
from vtlearn.errors import DataError


def load_all(paths, read):
    def attempt(path):
        try:
            return read(path), None
        except DataError as error:
            return None, str(error)

    results = [(path, *attempt(path)) for path in paths]
    clips = [clip for _, clip, reason in results if reason is None]
    if not clips:
        raise DataError("nothing to load")
    return clips, {path: reason for path, _, reason in results if reason is not None}
""",
    "generator": """
from vtlearn.errors import DataError


def load_all(paths, read):
    skipped = dict()

    def readable():
        for path in paths:
            try:
                clip = read(path)
            except DataError as error:
                skipped[path] = error.args[0]
                continue
            yield clip

    clips = [*readable()]
    if clips == []:
        raise DataError(str(skipped))
    return clips, skipped
""",
}

LOAD_NO_TRY = """
def load_all(paths, read):
    return [read(path) for path in paths], {}
"""
LOAD_STOPS = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    try:
        for path in paths:
            clips.append(read(path))
    except DataError as error:
        skipped[path] = str(error)
    if not clips:
        raise DataError("nothing to load")
    return clips, skipped
"""
LOAD_SILENT = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips = []
    for path in paths:
        try:
            clips.append(read(path))
        except DataError:
            continue
    if not clips:
        raise DataError("nothing to load")
    return clips, {}
"""
LOAD_HIDES_BUGS = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    for path in paths:
        try:
            clips.append(read(path))
        except Exception as error:
            skipped[path] = str(error)
    if not clips:
        raise DataError("nothing to load")
    return clips, skipped
"""
LOAD_PLACEHOLDER = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    for path in paths:
        try:
            clips.append(read(path))
        except DataError as error:
            clips.append(None)
            skipped[path] = str(error)
    if len(skipped) == len(paths):
        raise DataError("nothing to load")
    return clips, skipped
"""
LOAD_STAND_IN = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    for path in paths:
        try:
            clip = read(path)
        except DataError as error:
            skipped[path] = str(error)
        clips.append(clip)
    return clips, skipped
"""
LOAD_SORTED = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    for path in sorted(paths):
        try:
            clips.append(read(path))
        except DataError as error:
            skipped[path] = str(error)
    if not clips:
        raise DataError("nothing to load")
    return clips, skipped
"""
LOAD_NO_REASON = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    for path in paths:
        try:
            clips.append(read(path))
        except DataError:
            skipped[path] = "corrupt"
    if not clips:
        raise DataError("nothing to load")
    return clips, skipped
"""
LOAD_EMPTY_IS_FINE = """
from vtlearn.errors import DataError


def load_all(paths, read):
    clips, skipped = [], {}
    for path in paths:
        try:
            clips.append(read(path))
        except DataError as error:
            skipped[path] = str(error)
    return clips, skipped
"""
LOAD_TWICE = """
from vtlearn.errors import DataError


def load_all(paths, read):
    skipped = {}
    for path in paths:
        try:
            read(path)
        except DataError as error:
            skipped[path] = str(error)
    clips = [read(path) for path in paths if path not in skipped]
    if not clips:
        raise DataError("nothing to load")
    return clips, skipped
"""
LOAD_REMOVES = """
from vtlearn.errors import DataError

def load_all(paths, read):
    clips, skipped = [], {}
    for path in paths:
        try:
            clips.append(read(path))
        except DataError as error:
            skipped[path] = str(error)
            paths.remove(path)
    if not clips:
        raise DataError("not one file can be read")
    return clips, skipped
"""
