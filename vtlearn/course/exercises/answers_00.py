"""Right and wrong answers to the exercises of lesson 00, as source; the tests run each through the check."""

MEAN_FRAME = {
    "einops": '''
def mean_frame(clip: Tensor) -> Tensor:
    """The mean of a clip over time."""
    return reduce(clip, "t c h w -> c h w", "mean")
''',
    "torch": """
def mean_frame(clip):
    return clip.mean(dim=0)
""",
    "einsum": """
def mean_frame(clip):
    weights = torch.full((clip.shape[0],), 1 / clip.shape[0], dtype=clip.dtype)
    return torch.einsum("t,tchw->chw", weights, clip)
""",
    "loop": """
def mean_frame(clip):
    total = torch.zeros_like(clip[0])
    for frame in clip:
        total += frame
    return total / len(clip)
""",
    "numpy": """
def mean_frame(clip):
    return torch.from_numpy(clip.numpy().mean(axis=0))
""",
    "running mean on a copy": """
def mean_frame(clip):
    mean = clip[0].clone()
    for t in range(1, len(clip)):
        mean += (clip[t] - mean) / (t + 1)
    return mean
""",
}

MEAN_FRAME_SUM = """
def mean_frame(clip):
    return clip.sum(dim=0)
"""
MEAN_FRAME_MIDDLE = """
def mean_frame(clip):
    return clip[clip.shape[0] // 2]
"""
MEAN_FRAME_ENDS = """
def mean_frame(clip):
    return (clip[0] + clip[-1]) / 2
"""
MEAN_FRAME_CHANNELS = """
def mean_frame(clip):
    return clip.mean(dim=1)
"""
MEAN_FRAME_KEPT = """
def mean_frame(clip):
    return clip.mean(dim=0, keepdim=True)
"""
MEAN_FRAME_IN_PLACE = """
def mean_frame(clip):
    total = clip[0]
    for frame in clip[1:]:
        total += frame
    return total / len(clip)
"""
MEAN_FRAME_SQUEEZED = """
def mean_frame(clip):
    return clip.mean(dim=0).squeeze()
"""
MEAN_FRAME_HALVED = """
def mean_frame(clip):
    mean = clip[0]
    for frame in clip[1:]:
        mean = (mean + frame) / 2
    return mean
"""

CONTACT_SHEET = {
    "einops": '''
def contact_sheet(clip: Tensor) -> Tensor:
    """The frames of a clip side by side, as one picture with its channels last."""
    return rearrange(clip, "t c h w -> h (t w) c")
''',
    "permute": """
def contact_sheet(clip):
    frames, channels, rows, columns = clip.shape
    return clip.permute(2, 0, 3, 1).reshape(rows, frames * columns, channels)
""",
    "concatenate": """
def contact_sheet(clip):
    return torch.cat([frame.movedim(0, -1) for frame in clip], dim=1)
""",
    "loop": """
def contact_sheet(clip):
    frames, channels, rows, columns = clip.shape
    sheet = torch.empty(rows, frames * columns, channels, dtype=clip.dtype)
    for k in range(frames):
        for c in range(channels):
            sheet[:, k * columns : (k + 1) * columns, c] = clip[k, c]
    return sheet
""",
    "two patterns": """
def contact_sheet(clip):
    last = rearrange(clip, "t c h w -> t h w c")
    return torch.hstack(list(last))
""",
}

SHEET_INTERLEAVED = """
def contact_sheet(clip):
    return rearrange(clip, "t c h w -> h (w t) c")
"""
SHEET_RESHAPED = """
def contact_sheet(clip):
    frames, channels, rows, columns = clip.shape
    return clip.reshape(rows, frames * columns, channels)
"""
SHEET_DOWNWARDS = """
def contact_sheet(clip):
    return rearrange(clip, "t c h w -> (t h) w c")
"""
SHEET_CHANNELS_FIRST = """
def contact_sheet(clip):
    return torch.cat(list(clip), dim=2)
"""
SHEET_BACKWARDS = """
def contact_sheet(clip):
    return rearrange(clip.flip(0), "t c h w -> h (t w) c")
"""
SHEET_AS_FLOAT = """
def contact_sheet(clip):
    return rearrange(clip, "t c h w -> h (t w) c").float()
"""
SHEET_OF_THREE = """
def contact_sheet(clip):
    frames, channels, rows, columns = clip.shape
    return clip.permute(2, 0, 3, 1).reshape(rows, frames * columns, 3)
"""
