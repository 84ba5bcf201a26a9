"""Right and wrong answers to the exercises of lesson 05, as source; the tests run each through the check."""

# --------------------------------------------------------------------------- 05.1 time folded into the batch

FRAME_FEATURES = {
    "flatten and unflatten": '''
def frame_features(clips: Tensor, backbone: nn.Module) -> Tensor:
    """Every frame through the image backbone, clip by clip."""
    features = backbone(clips.flatten(0, 1))  # (B·T, D)
    return features.unflatten(0, clips.shape[:2])
''',
    "einops": """
def frame_features(clips, backbone):
    frames = rearrange(clips, "b t c h w -> (b t) c h w")
    return rearrange(backbone(frames), "(b t) d -> b t d", b=len(clips))
""",
    "reshape": """
def frame_features(clips, backbone):
    B, T, C, H, W = clips.shape
    return backbone(clips.reshape(B * T, C, H, W)).view(B, T, -1)
""",
    "clip after clip": """
def frame_features(clips, backbone):
    return torch.stack([backbone(clip) for clip in clips])
""",
    "moment after moment": """
def frame_features(clips, backbone):
    return torch.stack([backbone(clips[:, t]) for t in range(clips.shape[1])], dim=1)
""",
    "in chunks": """
def frame_features(clips, backbone):
    parts = [backbone(part) for part in clips.flatten(0, 1).split(4)]
    return torch.cat(parts).unflatten(0, clips.shape[:2])
""",
}

FEATURES_TIME_FIRST = """
def frame_features(clips, backbone):
    features = backbone(clips.transpose(0, 1).flatten(0, 1))
    return features.unflatten(0, clips.shape[:2])
"""
FEATURES_UNFOLDED_WRONG = """
def frame_features(clips, backbone):
    features = backbone(rearrange(clips, "b t c h w -> (b t) c h w"))
    return rearrange(features, "(t b) d -> b t d", b=len(clips))
"""
FEATURES_AXES_CONFUSED = """
def frame_features(clips, backbone):
    B, T, C, H, W = clips.shape
    frames = clips.permute(0, 2, 1, 3, 4).reshape(B * T, C, H, W)
    return backbone(frames).reshape(B, T, -1)
"""
FEATURES_AVERAGED = """
def frame_features(clips, backbone):
    return backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).mean(dim=1)
"""
FEATURES_MEAN_REPEATED = """
def frame_features(clips, backbone):
    features = backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    return features.mean(dim=1, keepdim=True).expand_as(features)
"""
FEATURES_FIRST_FRAME = """
def frame_features(clips, backbone):
    return backbone(clips[:, 0])[:, None].repeat(1, clips.shape[1], 1)
"""
FEATURES_STACKED_WRONG = """
def frame_features(clips, backbone):
    return torch.stack([backbone(clips[:, t]) for t in range(clips.shape[1])])
"""
FEATURES_STILL_FOLDED = """
def frame_features(clips, backbone):
    return backbone(clips.flatten(0, 1))
"""

# --------------------------------------------------------------------------------- 05.2 frozen against tuned

BACKBONE = {
    "train overridden": '''
class Backbone(nn.Module):
    """An image network that is tuned, or frozen in weights and statistics."""

    def __init__(self, network: nn.Module, tuned: bool) -> None:
        super().__init__()
        self.network, self.tuned = network, tuned
        network.requires_grad_(tuned)
        network.train(tuned)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.network.train(mode and self.tuned)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        return self.network(frames)
''',
    "eval at every call, no graph": """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network = network
        self.tuned = tuned
        for parameter in self.network.parameters():
            parameter.requires_grad = tuned

    def forward(self, frames):
        if self.tuned:
            return self.network(frames)
        self.network.eval()
        with torch.no_grad():
            return self.network(frames)
""",
    "a train method that stays": """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network = network
        self.tuned = tuned
        for p in network.parameters():
            p.requires_grad_(bool(tuned))
        self.train(True)

    def train(self, mode=True):
        self.training = mode
        for child in self.children():
            child.train(mode if self.tuned else False)
        return self

    def forward(self, frames):
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.tuned):
            return self.network(frames)
""",
}

_BACKBONE = """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network, self.tuned = network, tuned
        {start}

    def train(self, mode=True):
        super().train(mode)
        {train}
        return self

    def forward(self, frames):
        {forward}
"""
_BACKBONE_RIGHT = {
    "start": "network.requires_grad_(tuned)",
    "train": "self.network.train(mode and self.tuned)",
    "forward": "return self.network(frames)",
}
BACKBONE_STILL_TRAINING = _BACKBONE.format(**_BACKBONE_RIGHT | {"train": "pass"})
BACKBONE_EVAL_ONCE = _BACKBONE.format(
    **_BACKBONE_RIGHT | {"start": "network.requires_grad_(tuned); network.train(tuned)", "train": "pass"}
)
BACKBONE_NO_GRAD_ONLY = _BACKBONE.format(
    **_BACKBONE_RIGHT
    | {
        "start": "network.requires_grad_(True)",
        "forward": "return self.network(frames) if self.tuned else self.network(frames).detach()",
    }
)
BACKBONE_ALWAYS_FROZEN = _BACKBONE.format(
    **_BACKBONE_RIGHT | {"start": "network.requires_grad_(False)", "train": "self.network.eval()"}
)
BACKBONE_STAYS_FROZEN = _BACKBONE.format(
    **_BACKBONE_RIGHT | {"start": "tuned or network.requires_grad_(False)"}
)
BACKBONE_ALWAYS_EVAL = _BACKBONE.format(**_BACKBONE_RIGHT | {"train": "self.network.eval()"})
BACKBONE_DETACHED = _BACKBONE.format(**_BACKBONE_RIGHT | {"forward": "return self.network(frames).detach()"})
BACKBONE_INVERTED = _BACKBONE.format(
    **_BACKBONE_RIGHT
    | {
        "start": "network.requires_grad_(not tuned)",
        "train": "self.network.train(mode and not self.tuned)",
    }
)

# ---------------------------------------------------------------------- 05.3 class token, padding, two masks

WITH_CLASS_TOKEN = {
    "fill a longer tensor": '''
def with_class_token(features: Tensor, cls_token: Tensor, multiple: int) -> tuple[Tensor, Tensor, Tensor]:
    """Class token first, padding last; which tokens are real, and which is global."""
    batch, frames, width = features.shape
    missing = -(frames + 1) % multiple
    pads = features.new_zeros(batch, missing, width)
    tokens = torch.cat([cls_token.expand(batch, 1, width), features, pads], dim=1)
    place = torch.arange(tokens.shape[1], device=features.device).expand(batch, -1)
    return tokens, place <= frames, place == 0
''',
    "pad by the functional": """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    length = math.ceil((T + 1) / multiple) * multiple
    tokens = torch.cat((cls_token.repeat(B, 1, 1), features), 1)
    tokens = F.pad(tokens, (0, 0, 0, length - T - 1), value=-1.0)
    valid = F.pad(torch.ones(B, T + 1, dtype=torch.bool), (0, length - T - 1), value=False)
    special = torch.zeros(B, length, dtype=torch.bool)
    special[:, 0] = True
    return tokens, valid, special
""",
    "zeros and ones, counted up": """
def with_class_token(features, cls_token, multiple):
    tokens = torch.cat([repeat(cls_token, "1 1 d -> b 1 d", b=len(features)), features], dim=1)
    valid = torch.ones(tokens.shape[:2]).int()
    while tokens.shape[1] % multiple != 0:
        tokens = torch.cat([tokens, torch.zeros_like(tokens[:, :1])], dim=1)
        valid = torch.cat([valid, torch.zeros_like(valid[:, :1])], dim=1)
    special = torch.zeros_like(valid)
    special[:, 0] = 1
    return tokens, valid, special
""",
    "clip by clip": """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    length = (T // multiple + 1) * multiple
    tokens, valid, special = [], [], []
    for clip in features:
        rows = [cls_token[0, 0], *clip] + [torch.zeros(D, dtype=features.dtype)] * (length - T - 1)
        tokens.append(torch.stack(rows))
        valid.append([True] * (T + 1) + [False] * (length - T - 1))
        special.append([i == 0 for i in range(length)])
    return [torch.stack(tokens), torch.tensor(valid), torch.tensor(special)]
""",
}

_CLASS_TOKEN = """
def with_class_token(features, cls_token, multiple):
    batch, frames, width = features.shape
    {missing}
    pads = features.new_zeros(batch, missing, width)
    tokens = torch.cat([{order}], dim=1)
    place = torch.arange(tokens.shape[1]).expand(batch, -1)
    return {result}
"""
_RIGHT = {
    "missing": "missing = -(frames + 1) % multiple",
    "order": "cls_token.expand(batch, 1, width), features, pads",
    "result": "tokens, place <= frames, place == 0",
}
TOKEN_NOT_COUNTED = _CLASS_TOKEN.format(**_RIGHT | {"missing": "missing = -frames % multiple"})
TOKEN_ALWAYS_PADDED = _CLASS_TOKEN.format(
    **_RIGHT | {"missing": "missing = multiple - (frames + 1) % multiple"}
)
TOKEN_LAST = _CLASS_TOKEN.format(**_RIGHT | {"order": "features, cls_token.expand(batch, 1, width), pads"})
TOKEN_PADS_FIRST = _CLASS_TOKEN.format(
    **_RIGHT | {"order": "cls_token.expand(batch, 1, width), pads, features"}
)
TOKEN_MASK_INVERTED = _CLASS_TOKEN.format(**_RIGHT | {"result": "tokens, place > frames, place == 0"})
TOKEN_MASK_SHORT = _CLASS_TOKEN.format(**_RIGHT | {"result": "tokens, place < frames, place == 0"})
TOKEN_PADS_VALID = _CLASS_TOKEN.format(**_RIGHT | {"result": "tokens, place >= 0, place == 0"})
TOKEN_ALL_GLOBAL = _CLASS_TOKEN.format(**_RIGHT | {"result": "tokens, place <= frames, place <= frames"})
TOKEN_NONE_GLOBAL = _CLASS_TOKEN.format(**_RIGHT | {"result": "tokens, place <= frames, place < 0"})
TOKEN_ONE_MASK = _CLASS_TOKEN.format(
    **_RIGHT | {"result": "tokens, (place <= frames).int() + (place == 0).int(), place == 0"}
)
TOKEN_CUT = """
def with_class_token(features, cls_token, multiple):
    batch, frames, width = features.shape
    tokens = torch.cat([cls_token.expand(batch, 1, width), features], dim=1)
    tokens = tokens[:, : (frames + 1) // multiple * multiple]
    place = torch.arange(tokens.shape[1]).expand(batch, -1)
    return tokens, place <= frames, place == 0
"""

# -------------------------------------------------------------------------- 05.4 positions from frame indices

POSITION_IDS = {
    "filled": '''
def position_ids(frame_index: Tensor, num_positions: int, length: int) -> Tensor:
    """Rows of the position table: class token, frames by their real index, padding."""
    lowest, highest = int(frame_index.min()), int(frame_index.max())
    if lowest < 0 or highest >= num_positions:
        raise ValueError(f"frame_index from {lowest} to {highest}, but the table has {num_positions} rows")
    batch, frames = frame_index.shape
    ids = frame_index.new_full((batch, length), num_positions + 1)
    ids[:, 0] = num_positions
    ids[:, 1 : frames + 1] = frame_index
    return ids
''',
    "concatenated": """
def position_ids(frame_index, num_positions, length):
    if not bool(((frame_index >= 0) & (frame_index < num_positions)).all()):
        raise ValueError("a frame past the table")
    B, T = frame_index.shape
    first = torch.full((B, 1), num_positions)
    last = torch.full((B, length - T - 1), num_positions + 1)
    return torch.cat([first, frame_index, last], dim=1)
""",
    "lists": """
def position_ids(frame_index, num_positions, length):
    rows = []
    for clip in frame_index.tolist():
        for index in clip:
            if not 0 <= index < num_positions:
                raise IndexError(index)
        rows.append([num_positions] + clip + [num_positions + 1] * (length - len(clip) - 1))
    return torch.tensor(rows)
""",
    "padded": """
def position_ids(frame_index, num_positions, length):
    assert 0 <= frame_index.min() and frame_index.max() < num_positions, "past the table"
    ids = F.pad(frame_index, (1, 0), value=num_positions)
    return F.pad(ids, (0, length - ids.shape[1]), value=num_positions + 1)
""",
}

_IDS = """
def position_ids(frame_index, num_positions, length):
    if frame_index.min() < 0 or frame_index.max() >= num_positions:
        raise ValueError("past the table")
    batch, frames = frame_index.shape
    ids = torch.full((batch, length), {pad})
    ids[:, 0] = {token}
    ids[:, 1 : frames + 1] = {frames}
    return ids
"""
_IDS_RIGHT = {"pad": "num_positions + 1", "token": "num_positions", "frames": "frame_index"}
IDS_COUNTED = _IDS.format(**_IDS_RIGHT | {"frames": "torch.arange(frames)"})
IDS_CLASH = _IDS.format(**_IDS_RIGHT | {"token": "0"})
IDS_SHIFTED = _IDS.format(**_IDS_RIGHT | {"token": "0", "frames": "frame_index + 1"})
IDS_FROM_FIRST = _IDS.format(**_IDS_RIGHT | {"frames": "frame_index - frame_index[:, :1]"})
IDS_PAD_IS_TOKEN = _IDS.format(**_IDS_RIGHT | {"pad": "num_positions"})
IDS_PAD_IS_FRAME = _IDS.format(**_IDS_RIGHT | {"pad": "0"})
IDS_ONE_CLIP = _IDS.format(**_IDS_RIGHT | {"frames": "frame_index[0]"})
IDS_MODULO = """
def position_ids(frame_index, num_positions, length):
    batch, frames = frame_index.shape
    ids = torch.full((batch, length), num_positions + 1)
    ids[:, 0] = num_positions
    ids[:, 1 : frames + 1] = frame_index % num_positions
    return ids
"""
IDS_CLAMPED = """
def position_ids(frame_index, num_positions, length):
    batch, frames = frame_index.shape
    ids = torch.full((batch, length), num_positions + 1)
    ids[:, 0] = num_positions
    ids[:, 1 : frames + 1] = frame_index.clamp(0, num_positions - 1)
    return ids
"""
IDS_UNCHECKED = """
def position_ids(frame_index, num_positions, length):
    batch, frames = frame_index.shape
    ids = torch.full((batch, length), num_positions + 1)
    ids[:, 0] = num_positions
    ids[:, 1 : frames + 1] = frame_index
    return ids
"""
IDS_OFF_BY_ONE = """
def position_ids(frame_index, num_positions, length):
    if frame_index.min() < 0 or frame_index.max() > num_positions:
        raise ValueError("past the table")
    batch, frames = frame_index.shape
    ids = torch.full((batch, length), num_positions + 1)
    ids[:, 0] = num_positions
    ids[:, 1 : frames + 1] = frame_index
    return ids
"""

# ------------------------------------------------------------------------------------------- 05.5 the head

VTN_HEAD = {
    "sequence": '''
class VTNHead(nn.Module):
    """Norm, linear, GELU, dropout, linear, on the class token."""

    def __init__(self, width: int, hidden: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layers(tokens[:, 0])
''',
    "named layers": """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.second = nn.Linear(hidden, num_classes)
        self.first = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens):
        token, *_ = tokens.unbind(dim=1)
        hidden = F.gelu(self.first(self.norm(token)))
        return self.second(self.drop(hidden))
""",
    "functional dropout, all tokens first": """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.norm, self.p = nn.LayerNorm(width), dropout
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, num_classes)

    def forward(self, tokens):
        hidden = F.dropout(nn.functional.gelu(self.up(self.norm(tokens))), self.p, self.training)
        return self.down(hidden)[:, 0, :]
""",
    "module list": """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.parts = nn.ModuleList([nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU()])
        self.parts += [nn.Dropout(dropout), nn.Linear(hidden, num_classes)]

    def forward(self, tokens):
        x = tokens.select(1, 0)
        for part in self.parts:
            x = part(x)
        return x
""",
}

_HEAD = """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, num_classes)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens):
        {body}
"""
HEAD_MEAN = _HEAD.format(
    body="return self.second(self.drop(F.gelu(self.first(self.norm(tokens.mean(dim=1))))))"
)
HEAD_LAST = _HEAD.format(body="return self.second(self.drop(F.gelu(self.first(self.norm(tokens[:, -1])))))")
HEAD_NO_NORM = _HEAD.format(body="return self.second(self.drop(F.gelu(self.first(tokens[:, 0]))))")
HEAD_RELU = _HEAD.format(body="return self.second(self.drop(F.relu(self.first(self.norm(tokens[:, 0])))))")
HEAD_LINEAR = _HEAD.format(body="return self.second(self.drop(self.first(self.norm(tokens[:, 0]))))")
HEAD_SOFTMAX = _HEAD.format(
    body="return self.second(self.drop(F.gelu(self.first(self.norm(tokens[:, 0]))))).softmax(-1)"
)
HEAD_NO_DROPOUT = _HEAD.format(body="return self.second(F.gelu(self.first(self.norm(tokens[:, 0]))))")
HEAD_DROPS_ALWAYS = _HEAD.format(
    body="return self.second(F.dropout(F.gelu(self.first(self.norm(tokens[:, 0]))), self.drop.p))"
)
HEAD_ALL_TOKENS = _HEAD.format(body="return self.second(self.drop(F.gelu(self.first(self.norm(tokens)))))")

# ----------------------------------------------------------------------------------- 05.6 uniform attention

UNIFORM_ATTENTION = {
    "shares": '''
def uniform_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """The plain mean of the values that each query may attend to."""
    weights = allowed.to(v.dtype)
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1)
    return weights[:, None] @ v
''',
    "einsum": """
def uniform_attention(q, k, v, allowed):
    count = allowed.sum(-1).clamp(min=1)
    total = einsum(allowed.type_as(v), v, "b q k, b h k d -> b h q d")
    return total / count[:, None, :, None]
""",
    "softmax of equal scores": """
def uniform_attention(q, k, v, allowed):
    scores = torch.zeros(allowed.shape, dtype=v.dtype).masked_fill(~allowed, -math.inf)
    weights = scores.softmax(dim=-1).nan_to_num(0.0)
    return weights.unsqueeze(1) @ v
""",
    "query after query": """
def uniform_attention(q, k, v, allowed):
    out = torch.zeros_like(v)
    for clip in range(v.shape[0]):
        for query in range(v.shape[2]):
            keys = allowed[clip, query]
            if keys.any():
                out[clip, :, query] = v[clip][:, keys].mean(dim=1)
    return out
""",
    "masked and summed": """
def uniform_attention(q, k, v, allowed):
    kept = torch.where(allowed[:, None, :, :, None], v[:, :, None], torch.zeros_like(v[:, :, None]))
    return kept.sum(3) / torch.clamp(allowed.sum(-1), min=1)[:, None, :, None]
""",
}

UNIFORM_OVER_ALL = """
def uniform_attention(q, k, v, allowed):
    return v.mean(dim=2, keepdim=True).expand_as(v)
"""
UNIFORM_OVER_LENGTH = """
def uniform_attention(q, k, v, allowed):
    return (allowed.to(v.dtype) / allowed.shape[-1])[:, None] @ v
"""
UNIFORM_SUM = """
def uniform_attention(q, k, v, allowed):
    return allowed.to(v.dtype)[:, None] @ v
"""
UNIFORM_TRANSPOSED = """
def uniform_attention(q, k, v, allowed):
    weights = allowed.transpose(1, 2).to(v.dtype)
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1)
    return weights[:, None] @ v
"""
UNIFORM_LEARNED = """
def uniform_attention(q, k, v, allowed):
    scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(~allowed[:, None], -1e9)
    weights = scores.softmax(dim=-1) * allowed.any(-1)[:, None, :, None]
    return weights @ v
"""
UNIFORM_NAN = """
def uniform_attention(q, k, v, allowed):
    weights = allowed.to(v.dtype)
    return (weights / weights.sum(dim=-1, keepdim=True))[:, None] @ v
"""
UNIFORM_FINITE_MASK = """
def uniform_attention(q, k, v, allowed):
    scores = torch.zeros(allowed.shape, dtype=v.dtype).masked_fill(~allowed, -1e9)
    return scores.softmax(dim=-1)[:, None] @ v
"""
UNIFORM_WRONG_AXIS = """
def uniform_attention(q, k, v, allowed):
    weights = allowed.to(v.dtype)
    weights = weights / weights.sum(dim=-2, keepdim=True).clamp(min=1)
    return weights[:, None] @ v
"""
