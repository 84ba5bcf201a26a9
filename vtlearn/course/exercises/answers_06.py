"""Right and wrong answers to the exercises of lesson 06, as source strings: solutions, other styles, usual
mistakes.
"""

from __future__ import annotations

# ------------------------------------------------------------------------------------- 06.1 the clip's tokens

JOINT_TOKENS = {
    "added by axis": '''
def joint_tokens(cls: Tensor, patches: Tensor, space: Tensor, time: Tensor) -> Tensor:
    """The tokens of a clip with their positions, as one row: the class token, then (t s)."""
    B = patches.shape[0]
    first = cls + space[:, :1]  # (1, 1, D): a place, but no time
    placed = patches + space[:, None, 1:] + time[:, :, None]  # (B, t, s, D)
    return torch.cat([first.expand(B, -1, -1), placed.flatten(1, 2)], dim=1)
''',
    "einops": """
def joint_tokens(cls, patches, space, time):
    b, t, s, d = patches.shape
    patches = patches + rearrange(space[:, 1:], "one s d -> one 1 s d")
    patches = patches + rearrange(time, "one t d -> one t 1 d")
    cls = repeat(cls + space[:, :1], "1 1 d -> b 1 d", b=b)
    return torch.cat((cls, rearrange(patches, "b t s d -> b (t s) d")), dim=1)
""",
    "one table for the whole row": """
def joint_tokens(cls, patches, space, time):
    B, t, s, D = patches.shape
    table = space[:, 1:].repeat(1, t, 1) + time.repeat_interleave(s, dim=1)  # (1, t·s, D)
    table = torch.cat([space[:, :1], table], dim=1)
    return torch.cat([cls.repeat(B, 1, 1), patches.reshape(B, t * s, D)], dim=1) + table
""",
    "token after token": """
def joint_tokens(cls, patches, space, time):
    rows = []
    for clip in patches:
        row = [cls[0, 0] + space[0, 0]]
        for i, frame in enumerate(clip):
            for j, token in enumerate(frame):
                row.append(token + space[0, 1 + j] + time[0, i])
        rows.append(torch.stack(row))
    return torch.stack(rows)
""",
}

JOINT_TIME_ON_CLS = """
def joint_tokens(cls, patches, space, time):
    B = patches.shape[0]
    first = cls + space[:, :1] + time[:, :1]
    placed = patches + space[:, None, 1:] + time[:, :, None]
    return torch.cat([first.expand(B, -1, -1), placed.flatten(1, 2)], dim=1)
"""
JOINT_CLS_PER_FRAME = """
def joint_tokens(cls, patches, space, time):
    B, t, s, D = patches.shape
    frames = torch.cat([cls[:, None].expand(B, t, 1, D), patches], dim=2) + space[:, None] + time[:, :, None]
    return frames.flatten(1, 2)
"""
JOINT_SPACE_SLOWEST = """
def joint_tokens(cls, patches, space, time):
    placed = patches + space[:, None, 1:] + time[:, :, None]
    first = (cls + space[:, :1]).expand(len(patches), -1, -1)
    return torch.cat([first, rearrange(placed, "b t s d -> b (s t) d")], dim=1)
"""
JOINT_CLS_WITHOUT_PLACE = """
def joint_tokens(cls, patches, space, time):
    placed = patches + space[:, None, 1:] + time[:, :, None]
    return torch.cat([cls.expand(len(patches), -1, -1), placed.flatten(1, 2)], dim=1)
"""
JOINT_TABLE_FROM_ROW_ZERO = """
def joint_tokens(cls, patches, space, time):
    s = patches.shape[2]
    placed = patches + space[:, None, :s] + time[:, :, None]
    first = (cls + space[:, :1]).expand(len(patches), -1, -1)
    return torch.cat([first, placed.flatten(1, 2)], dim=1)
"""
JOINT_WITHOUT_TIME = """
def joint_tokens(cls, patches, space, time):
    placed = patches + space[:, None, 1:]
    first = (cls + space[:, :1]).expand(len(patches), -1, -1)
    return torch.cat([first, placed.flatten(1, 2)], dim=1)
"""
JOINT_CLS_LAST = """
def joint_tokens(cls, patches, space, time):
    placed = patches + space[:, None, 1:] + time[:, :, None]
    first = (cls + space[:, :1]).expand(len(patches), -1, -1)
    return torch.cat([placed.flatten(1, 2), first], dim=1)
"""
JOINT_TIME_ALONG_PLACES = """
def joint_tokens(cls, patches, space, time):
    B, t, s, D = patches.shape
    times = time.repeat(1, s, 1)  # runs 0, 1, …, t − 1, 0, 1, …
    placed = (patches + space[:, None, 1:]).flatten(1, 2) + times
    return torch.cat([(cls + space[:, :1]).expand(B, -1, -1), placed], dim=1)
"""

# ---------------------------------------------------------------------------------------- 06.2 comparisons

COMPARISONS = {
    "sums": '''
def comparisons(t: int, s: int) -> tuple[int, int, int]:
    """Keys that one patch meets in a block: joint, divided in the paper, divided in the code."""
    joint = t * s + 1
    paper = (t + 1) + (s + 1)
    code = t + (s + 1)
    return joint, paper, code
''',
    "counted on masks": """
def comparisons(t, s):
    n = t * s
    frame, place = torch.arange(n) // s, torch.arange(n) % s
    query = n // 2
    space = int((frame == frame[query]).sum()) + 1  # and the class token
    time = int((place == place[query]).sum())
    return [n + 1, time + 1 + space, time + space]
""",
    "counted one by one": """
def comparisons(t, s):
    joint = paper = code = 1  # the class token
    for i in range(t):
        for j in range(s):
            joint += 1
            paper += (i == 0) + (j == 0)
            code += (i == 0) + (j == 0)
    return np.array([joint, paper + 1, code])
""",
    "tensor": """
def comparisons(t, s):
    return torch.tensor([s * t + 1, s + t + 2, s + t + 1])
""",
}

COMPARISONS_WITHOUT_CLS = """
def comparisons(t, s):
    return t * s, t + s, t + s
"""
COMPARISONS_SWAPPED = """
def comparisons(t, s):
    return t * s + 1, t + s + 1, t + s + 2
"""
COMPARISONS_WITHOUT_SELF = """
def comparisons(t, s):
    return t * s, t + s, t + s - 1
"""
COMPARISONS_ONCE_SELF = """
def comparisons(t, s):
    return t * s + 1, t + s + 1, t + s
"""
COMPARISONS_OF_THE_CLIP = """
def comparisons(t, s):
    n = t * s
    return n * (n + 1), n * (t + s + 2), n * (t + s + 1)
"""
COMPARISONS_PRODUCT = """
def comparisons(t, s):
    return t * s + 1, (t + 1) * (s + 1), t * (s + 1)
"""

# ---------------------------------------------------------------------------------------- 06.3 over time

OVER_TIME = {
    "einops": '''
def over_time(attention, x: Tensor) -> Tensor:  # (B, t, s, D) -> (B, t, s, D)
    """Each patch attends to the patches at its own place in all frames."""
    lines = rearrange(x, "B t s D -> (B s) t D")  # one row for each place
    return rearrange(attention(lines), "(B s) t D -> B t s D", B=x.shape[0])
''',
    "transpose": """
def over_time(attention, x):
    places = x.transpose(1, 2)  # (B, s, t, D)
    out = attention(places.flatten(0, 1))
    return out.unflatten(0, places.shape[:2]).transpose(1, 2)
""",
    "place after place": """
def over_time(attention, x):
    return torch.stack([attention(x[:, :, place]) for place in range(x.shape[2])], dim=2)
""",
    "permute and reshape": """
def over_time(attention, x):
    B, t, s, D = x.shape
    out = attention(x.permute(2, 0, 1, 3).reshape(s * B, t, D))
    return out.reshape(s, B, t, D).permute(1, 2, 0, 3).contiguous()
""",
}

TIME_RESHAPED = """
def over_time(attention, x):
    B, t, s, D = x.shape
    return attention(x.reshape(B * s, t, D)).reshape(B, t, s, D)
"""
TIME_BACK_RESHAPED = """
def over_time(attention, x):
    B, t, s, D = x.shape
    return attention(rearrange(x, "b t s d -> (b s) t d")).reshape(B, t, s, D)
"""
TIME_IN_FRAMES = """
def over_time(attention, x):
    return attention(x.flatten(0, 1)).view(x.shape)
"""
TIME_JOINT = """
def over_time(attention, x):
    return attention(x.flatten(1, 2)).view(x.shape)
"""
TIME_ACROSS_CLIPS = """
def over_time(attention, x):
    lines = rearrange(x, "b t s d -> s (b t) d")
    return rearrange(attention(lines), "s (b t) d -> b t s d", b=x.shape[0])
"""
TIME_WITH_RESIDUAL = """
def over_time(attention, x):
    lines = rearrange(x, "b t s d -> (b s) t d")
    return x + rearrange(attention(lines), "(b s) t d -> b t s d", b=x.shape[0])
"""
TIME_NOT_BROUGHT_BACK = """
def over_time(attention, x):
    lines = rearrange(x, "b t s d -> (b s) t d")
    return rearrange(attention(lines), "(b s) t d -> b s t d", b=x.shape[0])
"""
TIME_DETACHED = """
def over_time(attention, x):
    with torch.no_grad():
        out = attention(rearrange(x, "b t s d -> (b s) t d"))
    return rearrange(out, "(b s) t d -> b t s d", b=x.shape[0])
"""

# ---------------------------------------------------------------------------------------- 06.4 within frames

WITHIN_FRAMES = {
    "expand and cat": '''
def within_frames(attention, cls: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Updates of the class token and of the patches by attention inside each frame."""
    B, t, s, D = x.shape
    copies = cls[:, None].expand(B, t, 1, D)  # one copy for each frame
    frames = torch.cat([copies, x], dim=2)  # (B, t, 1 + s, D)
    out = attention(frames.flatten(0, 1)).unflatten(0, (B, t))
    return out[:, :, 0].mean(dim=1, keepdim=True), out[:, :, 1:]
''',
    "einops": """
def within_frames(attention, cls, x):
    b, t = x.shape[:2]
    copies = repeat(cls, "b 1 d -> (b t) 1 d", t=t)
    out = attention(torch.cat([copies, rearrange(x, "b t s d -> (b t) s d")], dim=1))
    token = reduce(out[:, :1], "(b t) 1 d -> b 1 d", "mean", t=t)
    return token, rearrange(out[:, 1:], "(b t) s d -> b t s d", t=t)
""",
    "frame after frame": """
def within_frames(attention, cls, x):
    total, patches = 0, []
    for frame in x.unbind(1):
        out = attention(torch.cat([cls, frame], dim=1))
        total = total + out[:, :1]
        patches.append(out[:, 1:])
    return total / len(patches), torch.stack(patches, dim=1)
""",
    "class token last": """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    rows = torch.cat([x.reshape(B * t, s, D), cls.repeat_interleave(t, dim=0)], dim=1)
    patches, token = attention(rows).split([s, 1], dim=1)
    return [token.reshape(B, t, 1, D).mean(1), patches.reshape(x.shape)]
""",
}

FRAMES_REPEATED_WRONGLY = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    rows = torch.cat([cls.repeat(t, 1, 1), x.flatten(0, 1)], dim=1)
    out = attention(rows).view(B, t, 1 + s, D)
    return out[:, :, 0].mean(dim=1, keepdim=True), out[:, :, 1:]
"""
FRAMES_FIRST_CLS = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], dim=1)).view(B, t, 1 + s, D)
    return out[:, 0, :1], out[:, :, 1:]
"""
FRAMES_SUMMED = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], dim=1)).view(B, t, 1 + s, D)
    return out[:, :, 0].sum(dim=1, keepdim=True), out[:, :, 1:]
"""
FRAMES_NOT_AVERAGED = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], dim=1)).view(B, t, 1 + s, D)
    return out[:, :, :1], out[:, :, 1:]
"""
FRAMES_PATCHES_ALONE = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], dim=1)).view(B, t, 1 + s, D)
    return out[:, :, 0].mean(dim=1, keepdim=True), attention(x.flatten(0, 1)).view(x.shape)
"""
FRAMES_TOKEN_SEES_ALL = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], dim=1)).view(B, t, 1 + s, D)
    token = attention(torch.cat([cls, x.flatten(1, 2)], dim=1))[:, :1]
    return token, out[:, :, 1:]
"""
FRAMES_ADDED = """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], dim=1)).view(B, t, 1 + s, D)
    return cls + out[:, :, 0].mean(dim=1, keepdim=True), x + out[:, :, 1:]
"""
FRAMES_JOINT = """
def within_frames(attention, cls, x):
    out = attention(torch.cat([cls, x.flatten(1, 2)], dim=1))
    return out[:, :1], out[:, 1:].view(x.shape)
"""

# ----------------------------------------------------------------------------- 06.5 start from an image model

START_FROM_IMAGE = {
    "by prefix": '''
def start_from_image(image: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a divided block that starts as this image block."""
    video = {key: value.clone() for key, value in image.items()}
    for key, value in image.items():
        if key.startswith(("norm1.", "attn.")):
            video["temporal_" + key] = value.clone()
    D = len(image["norm1.weight"])
    video["temporal_fc.weight"], video["temporal_fc.bias"] = torch.zeros(D, D), torch.zeros(D)
    return video
''',
    "key by key": """
def start_from_image(image):
    video = dict(image)
    for part in ("norm1", "attn.qkv", "attn.proj"):
        for kind in ("weight", "bias"):
            video[f"temporal_{part}.{kind}"] = image[f"{part}.{kind}"].detach().clone()
    video["temporal_fc.weight"] = torch.zeros_like(image["attn.proj.weight"])
    video["temporal_fc.bias"] = torch.zeros_like(image["attn.proj.bias"])
    return video
""",
    "a layer set to zero": """
def start_from_image(image):
    import copy
    time = {"temporal_" + k: copy.deepcopy(v) for k, v in image.items() if k[:5] in ("norm1", "attn.")}
    layer = nn.Linear(*image["attn.proj.weight"].shape)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return image | time | {f"temporal_fc.{k}": v for k, v in layer.state_dict().items()}
""",
}

_START = """
def start_from_image(image):
    video = {key: value.clone() for key, value in image.items()}
    for key in list(image):
        if key.startswith(("norm1.", "attn.")):
            video["temporal_" + key] = image[key].clone()
    D = len(image["norm1.weight"])
    video["temporal_fc.weight"], video["temporal_fc.bias"] = torch.zeros(D, D), torch.zeros(D)
"""

START_FC_IDENTITY = (
    _START
    + """
    video["temporal_fc.weight"] = torch.eye(D)
    return video
"""
)
START_FC_RANDOM = (
    _START
    + """
    video["temporal_fc.weight"] = 0.02 * torch.randn(D, D)
    return video
"""
)
START_ALL_ZERO = (
    _START
    + """
    return {k: torch.zeros_like(v) if k.startswith("temporal_attn") else v for k, v in video.items()}
"""
)
START_PROJ_ZERO_TOO = (
    _START
    + """
    video["temporal_attn.proj.weight"].zero_()
    video["temporal_attn.proj.bias"].zero_()
    return video
"""
)
START_SHARED = """
def start_from_image(image):
    video = dict(image)
    for key, value in image.items():
        if key.startswith(("norm1.", "attn.")):
            video["temporal_" + key] = value
    D = len(image["norm1.weight"])
    return video | {"temporal_fc.weight": torch.zeros(D, D), "temporal_fc.bias": torch.zeros(D)}
"""
START_FRESH_NORM = (
    _START
    + """
    video["temporal_norm1.weight"], video["temporal_norm1.bias"] = torch.ones(D), torch.zeros(D)
    return video
"""
)
START_MLP_NORM = (
    _START
    + """
    video["temporal_norm1.weight"] = image["norm2.weight"].clone()
    video["temporal_norm1.bias"] = image["norm2.bias"].clone()
    return video
"""
)
START_WITHOUT_BIAS = (
    _START
    + """
    del video["temporal_fc.bias"]
    return video
"""
)
START_ZERO_IN_SPACE = (
    _START
    + """
    video["attn.proj.weight"].zero_()
    video["attn.proj.bias"].zero_()
    return video
"""
)

# --------------------------------------------------------------------------------------------- 06.6 axial

ATTEND_ALONG = {
    "movedim": '''
def attend_along(attention, x: Tensor, axis: str) -> Tensor:  # (B, t, h, w, D) -> (B, t, h, w, D)
    """Each patch attends to the patches that differ from it along one axis only."""
    place = {"t": 1, "h": 2, "w": 3}[axis]
    lines = x.movedim(place, 3)  # the chosen axis stands beside D
    out = attention(lines.flatten(0, 2)).unflatten(0, lines.shape[:3])
    return out.movedim(3, place)
''',
    "einops": """
def attend_along(attention, x, axis):
    b, t, h, w, d = x.shape
    rows = {"t": "(b h w) t d", "h": "(b t w) h d", "w": "(b t h) w d"}[axis]
    out = attention(rearrange(x, f"b t h w d -> {rows}"))
    return rearrange(out, f"{rows} -> b t h w d", b=b, t=t, h=h, w=w)
""",
    "three cases": """
def attend_along(attention, x, axis):
    B, t, h, w, D = x.shape
    if axis == "w":
        return attention(x.reshape(-1, w, D)).reshape(x.shape)
    if axis == "h":
        y = x.transpose(2, 3)
        return attention(y.reshape(-1, h, D)).reshape(y.shape).transpose(2, 3)
    y = x.transpose(1, 3)
    return attention(y.reshape(-1, t, D)).reshape(y.shape).transpose(1, 3)
""",
    "line after line": """
def attend_along(attention, x, axis):
    out = torch.empty_like(x)
    B, t, h, w, D = x.shape
    if axis == "t":
        for i in range(h):
            for j in range(w):
                out[:, :, i, j] = attention(x[:, :, i, j])
    else:
        for k in range(t):
            for i in range(w if axis == "h" else h):
                if axis == "h":
                    out[:, k, :, i] = attention(x[:, k, :, i])
                else:
                    out[:, k, i] = attention(x[:, k, i])
    return out
""",
}

ALONG_RESHAPED = """
def attend_along(attention, x, axis):
    size = x.shape["bthw".index(axis)]
    return attention(x.reshape(-1, size, x.shape[-1])).reshape(x.shape)
"""
ALONG_ROWS_AND_COLUMNS = """
def attend_along(attention, x, axis):
    place = {"t": 1, "h": 3, "w": 2}[axis]
    lines = x.movedim(place, 3)
    return attention(lines.flatten(0, 2)).unflatten(0, lines.shape[:3]).movedim(3, place)
"""
ALONG_NOT_BROUGHT_BACK = """
def attend_along(attention, x, axis):
    lines = x.movedim("bthw".index(axis), 3)
    return attention(lines.flatten(0, 2)).view(x.shape)
"""
ALONG_THE_OTHERS = """
def attend_along(attention, x, axis):
    lines = x.movedim("bthw".index(axis), 1)
    return attention(lines.flatten(0, 1).flatten(1, 2)).view(lines.shape).movedim(1, "bthw".index(axis))
"""
ALONG_EVERYTHING = """
def attend_along(attention, x, axis):
    return attention(x.flatten(1, 3)).view(x.shape)
"""
ALONG_TIME_ONLY = """
def attend_along(attention, x, axis):
    b, t, h, w, d = x.shape
    out = attention(rearrange(x, "b t h w d -> (b h w) t d"))
    return rearrange(out, "(b h w) t d -> b t h w d", b=b, h=h, w=w)
"""

# -------------------------------------------------------------------------------------- 06.7 local and global

SPARSE_MASKS = {
    "coordinates": '''
def sparse_masks(t: int, h: int, w: int) -> tuple[Tensor, Tensor]:
    """Who may attend to whom in the local and in the global step, each Bool (N, N)."""
    token = torch.arange(t * h * w)
    frame, row, column = token // (h * w), token // w % h, token % w
    down, right, later = (place[None, :] - place[:, None] for place in (row, column, frame))  # key − query

    def near(offset, size):  # size keys: half of them before the query, the query, and the rest behind it
        return (offset >= -(size // 2)) & (offset < size - size // 2)

    local = near(down, (h + 1) // 2) & near(right, (w + 1) // 2)
    return local, (down % 2 == 0) & (right % 2 == 0) & (later % 2 == 0)
''',
    "products of small masks": """
def sparse_masks(t, h, w):
    def near(n):
        size = (n + 1) // 2
        offset = torch.arange(n)[None] - torch.arange(n)[:, None]
        return ((offset >= -(size // 2)) & (offset <= size - size // 2 - 1)).long()

    def even(n):
        return ((torch.arange(n)[None] - torch.arange(n)[:, None]) % 2 == 0).long()

    local = torch.kron(torch.kron(torch.ones(t, t, dtype=torch.long), near(h)), near(w))
    return local.bool(), torch.kron(torch.kron(even(t), even(h)), even(w)).bool()
""",
    "pair after pair": """
def sparse_masks(t, h, w):
    places = [(i, j, k) for i in range(t) for j in range(h) for k in range(w)]
    rows, columns = math.ceil(h / 2), math.ceil(w / 2)
    local = torch.zeros(len(places), len(places), dtype=torch.bool)
    far = torch.zeros_like(local)
    for q, (i, j, k) in enumerate(places):
        for m, (a, b, c) in enumerate(places):
            top, left = j - rows // 2, k - columns // 2
            local[q, m] = top <= b < top + rows and left <= c < left + columns
            far[q, m] = (i - a) % 2 == 0 and (j - b) % 2 == 0 and (k - c) % 2 == 0
    return [local, far]
""",
    "numpy": """
def sparse_masks(t, h, w):
    at = np.stack(np.unravel_index(np.arange(t * h * w), (t, h, w)))
    off = at[:, None, :] - at[:, :, None]
    local = np.ones(off.shape[1:], dtype=bool)
    for o, n in ((off[1], h), (off[2], w)):
        size = -(-n // 2)
        local &= (-(size // 2) <= o) & (o < size - size // 2)
    return torch.from_numpy(local), torch.from_numpy((off % 2 == 0).all(axis=0))
""",
}

_SPARSE = """
def sparse_masks(t, h, w):
    token = torch.arange(t * h * w)
    frame, row, column = token // (h * w), token // w % h, token % w
    down, right, later = (place[None, :] - place[:, None] for place in (row, column, frame))

    def near(offset, size):
        return (offset >= -(size // 2)) & (offset < size - size // 2)

    local = near(down, (h + 1) // 2) & near(right, (w + 1) // 2)
    far = (down % 2 == 0) & (right % 2 == 0) & (later % 2 == 0)
"""
SPARSE_OWN_FRAME = (
    _SPARSE
    + """
    return local & (later == 0), far
"""
)
SPARSE_EVEN_PLACES = (
    _SPARSE
    + """
    kept = (row % 2 == 0) & (column % 2 == 0) & (frame % 2 == 0)
    return local, kept[None, :].expand(len(token), -1).clone()
"""
)
SPARSE_FLAT_STRIDE = (
    _SPARSE
    + """
    return local, (token[None] - token[:, None]) % 2 == 0
"""
)
SPARSE_EVERY_FRAME = (
    _SPARSE
    + """
    return local, (down % 2 == 0) & (right % 2 == 0)
"""
)
SPARSE_EXCHANGED = (
    _SPARSE
    + """
    return far, local
"""
)
SPARSE_WHOLE_WINDOW = (
    _SPARSE
    + """
    return (down.abs() <= h // 2) & (right.abs() <= w // 2), far
"""
)
SPARSE_ROUNDED_DOWN = (
    _SPARSE
    + """
    return near(down, h // 2) & near(right, w // 2), far
"""
)
SPARSE_TURNED = (
    _SPARSE
    + """
    return local.T, far
"""
)
SPARSE_TIME_FASTEST = """
def sparse_masks(t, h, w):
    token = torch.arange(t * h * w)
    row, column, frame = token // (w * t), token // t % w, token % t
    down, right, later = (place[None, :] - place[:, None] for place in (row, column, frame))

    def near(offset, size):
        return (offset >= -(size // 2)) & (offset < size - size // 2)

    local = near(down, (h + 1) // 2) & near(right, (w + 1) // 2)
    return local, (down % 2 == 0) & (right % 2 == 0) & (later % 2 == 0)
"""
