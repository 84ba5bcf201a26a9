"""Lesson 05 beyond its listed answers: other right ways pass, other mistakes are named."""

import pytest
import torch

from vtlearn.attention import UniformAttention
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_05 import NUM_FRAMES, ClassTokenWeights, look
from vtlearn.models import VTN, VTNConfig


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "frame by frame": ("05.1", """
def frame_features(clips, backbone):
    B, T = clips.shape[:2]
    rows = [[backbone(clips[b, t : t + 1])[0] for t in range(T)] for b in range(B)]
    return torch.stack([torch.stack(row) for row in rows])
"""),
    "filled in": ("05.1", """
def frame_features(clips, backbone):
    out = None
    for t in range(clips.shape[1]):
        f = backbone(clips[:, t])
        out = f.new_empty(len(clips), clips.shape[1], f.shape[-1]) if out is None else out
        out[:, t] = f
    return out
"""),
    "time first, both ways": ("05.1", """
def frame_features(clips, backbone):
    folded = rearrange(clips, "b t c h w -> (t b) c h w")
    return rearrange(backbone(folded), "(t b) d -> b t d", t=clips.shape[1])
"""),
    "vmapped": ("05.1", """
def frame_features(clips, backbone):
    return torch.vmap(backbone)(clips)
"""),
    "float masks": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    n = T + 1
    while n % multiple:
        n += 1
    tokens = torch.full((B, n, D), 7.0)
    tokens[:, 0] = cls_token[:, 0]
    tokens[:, 1 : T + 1] = features
    valid = torch.zeros(B, n)
    valid[:, : T + 1] = 1
    first = torch.zeros(B, n)
    first[:, 0] = 1.0
    return tokens, valid, first
"""),
    "padding by the last frame": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, _ = features.shape
    n = (T + 1 + multiple - 1) // multiple * multiple
    x = torch.hstack([cls_token.expand(B, -1, -1), features, features[:, -1:].repeat(1, n - T - 1, 1)])
    i = repeat(torch.arange(n), "n -> b n", b=B)
    return x, i < T + 1, i < 1
"""),
    "gathered and chosen": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if torch.any(frame_index < 0) or torch.any(frame_index >= num_positions):
        raise ValueError(frame_index)
    B, T = frame_index.shape
    j = torch.arange(length).expand(B, -1)
    f = frame_index.gather(1, (j - 1).clamp(0, T - 1))
    return torch.where(j == 0, num_positions, torch.where(j <= T, f, num_positions + 1))
"""),
    "erf by hand, functional dropout": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.ln, self.p = nn.LayerNorm(width), dropout
        self.a, self.b = nn.Linear(width, hidden), nn.Linear(hidden, num_classes)

    def forward(self, tokens):
        x = self.a(self.ln(tokens[:, :1]).squeeze(1))
        x = 0.5 * x * (1 + torch.erf(x / 2**0.5))
        return self.b(F.dropout(x, p=self.p, training=self.training))
"""),
    "mode put back after the call": ("05.2", """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network, self.tuned = network.requires_grad_(tuned), tuned

    def forward(self, frames):
        mode = self.network.training
        self.network.train(mode and self.tuned)
        try:
            return self.network(frames)
        finally:
            self.network.train(mode)
"""),
    "nanmean": ("05.6", """
def uniform_attention(q, k, v, allowed):
    x = v[:, :, None].masked_fill(~allowed[:, None, :, :, None], float("nan"))
    return x.nanmean(3).nan_to_num()
"""),
    "int32 ids": ("05.4", """
def position_ids(frame_index, num_positions, length):
    for i in frame_index.flatten():
        if i < 0 or i > num_positions - 1:
            raise ValueError("outside")
    ids = torch.zeros(len(frame_index), length, dtype=torch.int32) + num_positions + 1
    ids[:, 0] -= 1
    ids[:, 1 : 1 + frame_index.shape[1]] = frame_index
    return ids
"""),
    "by embedding's own error": ("05.4", """
def position_ids(frame_index, num_positions, length):
    torch.arange(num_positions)[frame_index]
    if (frame_index < 0).any():
        raise IndexError("before the video")
    B, T = frame_index.shape
    middle = np.pad(frame_index.numpy(), ((0, 0), (1, 0)), constant_values=num_positions)
    return torch.from_numpy(np.pad(middle, ((0, 0), (0, length - T - 1)), constant_values=num_positions + 1))
"""),
    "sequential subclass": ("05.5", """
class VTNHead(nn.Sequential):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(),
                         nn.Dropout(dropout), nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return super().forward(tokens[:, 0])
"""),
    "mean of each kept set": ("05.6", """
def uniform_attention(q, k, v, allowed):
    weights = F.normalize(allowed.double(), p=1, dim=-1)
    return torch.einsum("bij,bhjd->bhid", weights, v.double())
"""),
    "fused with zero queries": ("05.6", """
def uniform_attention(q, k, v, allowed):
    out = F.scaled_dot_product_attention(q * 0, k * 0, v, attn_mask=allowed[:, None])
    return torch.where(allowed.any(-1)[:, None, :, None], out, torch.zeros_like(out))
"""),
    "mode switched around the call": ("05.2", """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.net = network
        self.tuned = tuned
        [p.requires_grad_(tuned) for p in self.net.parameters()]

    def forward(self, x):
        if not self.tuned:
            self.net.eval()
        return self.net(x)
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "backwards": ("05.1", """
def frame_features(clips, backbone):
    return backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).flip(1)
""", "backwards"),
    "vectors in the middle": ("05.1", """
def frame_features(clips, backbone):
    return torch.stack([backbone(clip).T for clip in clips])
""", "the vectors come last"),
    "a list": ("05.1", """
def frame_features(clips, backbone):
    return [backbone(clip) for clip in clips]
""", "expected a torch.Tensor"),
    "clips forgotten": ("05.1", """
def frame_features(clips, backbone):
    return backbone(clips[0])[None]
""", "has shape (1, 5, 13)"),
    "eval only while it is built, gradients on": ("05.2", """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network = network
        if not tuned:
            network.eval()

    def forward(self, frames):
        return self.network(frames)
""", "one eval() at the start is undone"),
    "not a module": ("05.2", """
def Backbone(network, tuned):
    return lambda frames: network(frames)
""", "must give an nn.Module"),
    "two of three": ("05.3", """
def with_class_token(features, cls_token, multiple):
    x = torch.cat([cls_token.expand(len(features), -1, -1), features], 1)
    return x, torch.ones(x.shape[:2])
""", "a tuple of 2, expected three"),
    "nan padding": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    pads = features.new_full((B, -(T + 1) % multiple, D), math.nan)
    x = torch.cat([cls_token.expand(B, -1, -1), features, pads], 1)
    i = torch.arange(x.shape[1]).expand(B, -1)
    return x, i <= T, i == 0
""", "padding must be finite"),
    "cut out of the graph": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    pads = features.new_zeros(B, -(T + 1) % multiple, D)
    x = torch.cat([cls_token.data.expand(B, -1, -1), features, pads], 1)
    i = torch.arange(x.shape[1]).expand(B, -1)
    return x, i <= T, i == 0
""", "cannot learn"),
    "no padding": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    x = torch.cat([cls_token.expand(B, -1, -1), features], 1)
    i = torch.arange(x.shape[1]).expand(B, -1)
    return x, i <= T, i == 0
""", "the padding is missing"),
    "exchanged rows": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if frame_index.min() < 0 or frame_index.max() >= num_positions:
        raise ValueError
    ids = torch.full((len(frame_index), length), num_positions)
    ids[:, 0] = num_positions + 1
    ids[:, 1 : frame_index.shape[1] + 1] = frame_index
    return ids
""", "are exchanged"),
    "negative indices pass": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if frame_index.max() >= num_positions:
        raise ValueError
    ids = torch.full((len(frame_index), length), num_positions + 1)
    ids[:, 0] = num_positions
    ids[:, 1 : frame_index.shape[1] + 1] = frame_index
    return ids
""", "before the video"),
    "float ids": ("05.4", """
def position_ids(frame_index, num_positions, length):
    ids = torch.full((len(frame_index), length), num_positions + 1.0)
    ids[:, 0] = num_positions
    ids[:, 1 : frame_index.shape[1] + 1] = frame_index
    return ids
""", "expected an integer tensor"),
    "one layer": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.norm, self.fc = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, tokens):
        return self.fc(self.norm(tokens[:, 0]))
""", "two nn.Linear are needed"),
    "first frame": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(),
                                 nn.Dropout(dropout), nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return self.net(tokens[:, 1])
""", "the first frame is classified"),
    "dropout fixed": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(),
                                 nn.Dropout(0.5), nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return self.net(tokens[:, 0])
""", "is the argument used"),
    "the library's": ("05.5", """
from vtlearn.layers.head import MlpHead

class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.head = MlpHead(width, hidden, num_classes, dropout=dropout)

    def forward(self, tokens):
        return self.head(tokens[:, 0])
""", "forwards the work"),
    "values unchanged": ("05.6", """
def uniform_attention(q, k, v, allowed):
    return v.clone()
""", "nothing was averaged"),
    "heads averaged": ("05.6", """
def uniform_attention(q, k, v, allowed):
    w = allowed.float() / allowed.sum(-1, keepdim=True).clamp(min=1)
    return (w @ v.mean(1))[:, None].expand_as(v)
""", "the output is off by"),
    "without gradients": ("05.1", """
@torch.no_grad()
def frame_features(clips, backbone):
    return backbone(clips.reshape(-1, *clips.shape[2:])).reshape(*clips.shape[:2], -1)
""", "no gradient reaches the backbone"),
    "hidden in a list": ("05.2", """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.hidden = [network.requires_grad_(tuned).train(tuned)]

    def forward(self, frames):
        return self.hidden[0](frames)
""", "no part of the module"),
    "train gives nothing back": ("05.2", """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network, self.tuned = network.requires_grad_(tuned), tuned

    def train(self, mode=True):
        super().train(mode)
        self.network.train(mode and self.tuned)

    def forward(self, frames):
        return self.network(frames)
""", "must return self"),
    "normed where tuned": ("05.2", """
class Backbone(nn.Module):
    def __init__(self, network, tuned):
        super().__init__()
        self.network, self.tuned = network.requires_grad_(tuned), tuned

    def train(self, mode=True):
        super().train(mode)
        self.network.train(mode and self.tuned)
        return self

    def forward(self, frames):
        y = self.network(frames)
        return F.normalize(y, dim=-1) if self.tuned else y
""", "and add nothing"),
    "masks exchanged": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    pads = features.new_zeros(B, -(T + 1) % multiple, D)
    x = torch.cat([cls_token.expand(B, -1, -1), features, pads], 1)
    i = torch.arange(x.shape[1]).expand(B, -1)
    return x, i == 0, i <= T
""", "are the two masks exchanged"),
    "features detached": ("05.3", """
def with_class_token(features, cls_token, multiple):
    B, T, D = features.shape
    pads = features.new_zeros(B, -(T + 1) % multiple, D)
    x = torch.cat([cls_token.expand(B, -1, -1), features.detach(), pads], 1)
    i = torch.arange(x.shape[1]).expand(B, -1)
    return x, i <= T, i == 0
""", "a tuned backbone could not learn"),
    "only the first clip looked at": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if frame_index[0].min() < 0 or frame_index[0].max() >= num_positions:
        raise ValueError("past the table")
    ids = F.pad(frame_index, (1, length - frame_index.shape[1] - 1), value=num_positions + 1)
    ids[:, 0] = num_positions
    return ids
""", "every frame of every clip"),
    "only the ends looked at": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if frame_index[:, 0].min() < 0 or frame_index[:, -1].max() >= num_positions:
        raise ValueError("past the table")
    ids = F.pad(frame_index, (1, length - frame_index.shape[1] - 1), value=num_positions + 1)
    ids[:, 0] = num_positions
    return ids
""", "every frame of every clip"),
    "last row refused": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if frame_index.min() < 0 or frame_index.max() >= num_positions - 1:
        raise ValueError("past the table")
    ids = F.pad(frame_index, (1, length - frame_index.shape[1] - 1), value=num_positions + 1)
    ids[:, 0] = num_positions
    return ids
""", "but it has the last row"),
    "sorted": ("05.4", """
def position_ids(frame_index, num_positions, length):
    if frame_index.min() < 0 or frame_index.max() >= num_positions:
        raise ValueError("past the table")
    ids = F.pad(frame_index.sort(1).values, (1, length - frame_index.shape[1] - 1), value=num_positions + 1)
    ids[:, 0] = num_positions
    return ids
""", "the frames are sorted"),
    "dropout before GELU": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width),
                                 nn.Linear(width, hidden),
                                 nn.Dropout(dropout),
                                 nn.GELU(),
                                 nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return self.net(tokens[:, 0])
""", "dropout stands after GELU"),
    "dropout on the logits": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width),
                                 nn.Linear(width, hidden),
                                 nn.GELU(),
                                 nn.Linear(hidden, num_classes),
                                 nn.Dropout(dropout))

    def forward(self, tokens):
        return self.net(tokens[:, 0])
""", "at the wrong place"),
    "dropout on the token": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width),
                                 nn.Dropout(dropout),
                                 nn.Linear(width, hidden),
                                 nn.GELU(),
                                 nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return self.net(tokens[:, 0])
""", "at the wrong place"),
    "what is kept, given as dropout": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.5):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width),
                                 nn.Linear(width, hidden),
                                 nn.GELU(),
                                 nn.Dropout(1 - dropout),
                                 nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return self.net(tokens[:, 0])
""", "dropout is"),
    "another default": ("05.5", """
class VTNHead(nn.Module):
    def __init__(self, width, hidden, num_classes, dropout=0.1):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width),
                                 nn.Linear(width, hidden),
                                 nn.GELU(),
                                 nn.Dropout(dropout),
                                 nn.Linear(hidden, num_classes))

    def forward(self, tokens):
        return self.net(tokens[:, 0])
""", "0.5 unless given"),
    "softmax of zeros and ones": ("05.6", """
def uniform_attention(q, k, v, allowed):
    return allowed.float().softmax(-1)[:, None] @ v
""", "forbidden keys weight"),
    "the wrong way round": ("05.6", """
def uniform_attention(q, k, v, allowed):
    w = (~allowed).float()
    return (w / w.sum(-1, keepdim=True).clamp(min=1))[:, None] @ v
""", "wrong way round"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    solved = [exercise(f"05.{number}").compile() for number in range(1, 7)]
    features, backbone, with_token, positions, head, uniform = solved
    config = VTNConfig.samples()
    model = VTN(config).eval()
    clips = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        vectors = features(clips, backbone(model.backbone, False))
        torch.testing.assert_close(vectors, model.frame_features(clips))
    tokens, real, _is_global = with_token(vectors, model.cls_token, 5)
    assert tokens.shape == (2, 5, 64)
    assert real.tolist() == [[True] * 4 + [False]] * 2
    index = torch.tensor([[0, 5, 7], [1, 2, 63]])
    ids = positions(index, config.num_positions, 4)
    own = torch.cat([model.positions.class_token().expand(2, 1, -1), model.positions.table[index]], 1)
    torch.testing.assert_close(model.positions.table[ids], own)
    mine = head(64, 64, 8, 0.0).eval()
    names = zip(mine.state_dict(), model.head.state_dict().values(), strict=True)
    mine.load_state_dict(dict(names))
    torch.testing.assert_close(mine(tokens), model.head(tokens[:, 0]))
    q, k, v = torch.randn(3, 2, 3, 7, 5).unbind()
    everyone = torch.ones(2, 7, 7, dtype=torch.bool)
    torch.testing.assert_close(uniform(q, k, v, everyone), UniformAttention()(q, k, v))


def test_the_panel_shows_weights_that_sum_to_less_than_one_by_the_class_tokens_own_share():
    seen = look("hop then swell", 1)
    assert seen.weights.shape == (2, 4, NUM_FRAMES)
    assert bool((seen.weights >= 0).all())
    assert bool((seen.weights.sum(-1) < 1).all())
    assert seen.frame_index == [1, 4, 7, 10, 13, 16, 19, 22]


def test_uniform_weights_depend_on_nothing():
    state = ClassTokenWeights().state | {"attention": "uniform"}
    words = {
        ClassTokenWeights.render(state | change).text.split("attention. ")[1]
        for change in ({}, {"layer": 2}, {"head": "3"}, {"motion": "sliding left"})
    }
    assert len(words) == 1
    assert "frame 1: 0.11" in words.pop()
