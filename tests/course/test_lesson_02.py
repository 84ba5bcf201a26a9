"""Lesson 02 beyond its listed answers: other right ways pass, other mistakes are named."""

import math

import pytest
import torch
from torch import nn

from vtlearn.attention import Full, MultiHeadAttention, attention_cost, count_multiply_adds, reference_weights
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_02 import DIVISORS, KEYS, NAMES, QueryExplorer
from vtlearn.layers.block import EncoderBlock

PARTS = """
class EncoderBlock(nn.Module):
    def __init__(self, embed_dim, mlp_dim, attention):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)
        self.a = attention
        self.up, self.down = nn.Linear(embed_dim, mlp_dim), nn.Linear(mlp_dim, embed_dim)
"""


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "scaled queries": ("02.1", """
def attention_weights(q, k):
    return F.softmax((q / q.shape[1] ** 0.5) @ k.mT, dim=-1, dtype=torch.float64)
"""),
    "numpy": ("02.1", """
def attention_weights(q, k):
    s = q.numpy() @ k.numpy().T / np.sqrt(q.shape[-1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return torch.from_numpy(e / e.sum(axis=1, keepdims=True))
"""),
    "pair after pair": ("02.1", """
def attention_weights(q, k):
    n, m, d = len(q), len(k), q.shape[1]
    s = torch.zeros(n, m)
    for i in range(n):
        for j in range(m):
            s[i, j] = sum(q[i, c] * k[j, c] for c in range(d)) / math.sqrt(d)
    s -= s.max(dim=1, keepdim=True)[0]
    s.exp_()
    s /= s.sum(1, keepdim=True)
    return s
"""),
    "a module": ("02.1", """
def attention_weights(q, k):
    return nn.Softmax(dim=1)(torch.einsum("nd,md->nm", q, k).div(math.sqrt(k.size(1))))
"""),
    "an added mask": ("02.2", """
def masked_weights(scores, mask):
    bias = torch.zeros_like(scores).masked_fill(~mask, -math.inf)
    return (scores + bias).softmax(-1).nan_to_num(0)
"""),
    "exponentials times mask": ("02.2", """
def masked_weights(scores, mask):
    top = scores.masked_fill(~mask, -1e30).max(-1, keepdim=True).values
    e = torch.exp(torch.where(mask, scores - top, 0.0)) * mask.float()
    return e / (e.sum(-1, keepdim=True) + 1e-9)
"""),
    "numpy with a fix": ("02.2", """
def masked_weights(scores, mask):
    s, m = scores.double().numpy(), mask.numpy()
    e = np.where(m, np.exp(s - np.where(m, s, -np.inf).max(1, keepdims=True, initial=-1e30)), 0)
    total = e.sum(1, keepdims=True)
    return torch.tensor(np.divide(e, total, out=np.zeros_like(e), where=total > 0))
"""),
    "a low number, then the mask": ("02.2", """
def masked_weights(scores, mask):
    return torch.where(mask, scores, torch.finfo(scores.dtype).min).softmax(-1) * mask
"""),
    "if in a loop": ("02.2", """
def masked_weights(scores, mask):
    rows = []
    for s, m in zip(scores, mask):
        if m.any():
            rows.append(s.masked_fill(~m, float("-inf")).softmax(-1))
        else:
            rows.append(torch.zeros_like(s))
    return torch.stack(rows)
"""),
    "reduce from einops": ("02.2", """
def masked_weights(scores, mask):
    top = reduce(torch.where(mask, scores, -1e30), "n m -> n 1", "max")
    e = torch.where(mask, torch.exp(scores - top), 0.0)
    total = reduce(e, "n m -> n 1", "sum")
    return torch.where(total > 0, e / total, 0.0)
"""),
    "split and movedim": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    d = x.shape[2] // num_heads
    q, k, v = [t.unflatten(2, (num_heads, d)).movedim(2, 1) for t in qkv(x).split(x.shape[2], 2)]
    a = torch.softmax(torch.einsum("bhnd,bhmd->bhnm", q / math.sqrt(d), k), dim=-1)
    return proj(torch.einsum("bhnm,bhmd->bnhd", a, v).flatten(2))
"""),
    "clip after clip": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    clips = []
    for clip in x:
        q, k, v = rearrange(qkv(clip), "n (c h d) -> c h n d", c=3, h=num_heads)
        s = q @ k.transpose(1, 2) * (x.shape[-1] // num_heads) ** -0.5
        clips.append(proj(rearrange(F.softmax(s, -1) @ v, "h n d -> n (h d)")))
    return torch.stack(clips)
"""),
    "projected head after head": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    B, N, D = x.shape
    d = D // num_heads
    q, k, v = qkv(x).reshape(B, N, 3, num_heads, d).unbind(2)
    out = proj.bias.expand(B, N, D)
    for h in range(num_heads):
        w = (q[:, :, h] @ k[:, :, h].mT / d**0.5).softmax(-1)
        out = out + (w @ v[:, :, h]) @ proj.weight[:, h * d : (h + 1) * d].T
    return out
"""),
    "tanh GELU": ("02.4", PARTS + """
    def forward(self, x):
        x = x + self.a(self.n1(x))
        return x + self.down(F.gelu(self.up(self.n2(x)), approximate="tanh"))
"""),
    "with dropout": ("02.4", PARTS + """
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        x = x + self.drop(self.a(self.n1(x)))
        y = self.n2(x)
        y = self.down(F.gelu(self.up(y)))
        return torch.add(x, self.drop(y))
"""),
    "norms in reverse, in place on its own": ("02.4", PARTS + """
    def forward(self, x):
        skip = x.clone()
        skip += self.a(self.n2(x))
        update = self.down(nn.functional.gelu(self.up(self.n1(skip))))
        return skip + update
"""),
    "a dictionary of parts": ("02.4", """
class EncoderBlock(nn.Module):
    def __init__(self, D, M, attention):
        super().__init__()
        self.part = nn.ModuleDict({"n": nn.LayerNorm(D), "a": attention, "m": nn.LayerNorm(D)})
        self.part["f"] = nn.Sequential(nn.Linear(D, M), nn.GELU(), nn.Dropout(0.0), nn.Linear(M, D))

    def forward(self, x):
        p = self.part
        x = p["a"](p["n"](x)) + x
        return p["f"](p["m"](x)) + x
"""),
    "norms without bias": ("02.4", PARTS.replace("m(embed_dim)", "m(embed_dim, bias=False)") + """
    def forward(self, x):
        x = x + self.a(self.n1(x))
        return x + self.down(F.gelu(self.up(self.n2(x))))
"""),
    "no bias in the MLP": ("02.4", PARTS.replace("mlp_dim), nn", "mlp_dim, bias=False), nn") + """
    def forward(self, x):
        x = x + self.a(self.n1(x))
        return x + self.down(F.gelu(self.up(self.n2(x))))
"""),
    "a list of counts": ("02.5", """
def attention_cost(num_tokens, embed_dim, num_heads):
    d = embed_dim // num_heads
    qkv = num_tokens * embed_dim * 3 * embed_dim
    heads = num_heads * (num_tokens * d * num_tokens + num_tokens * num_tokens * d)
    return [qkv + heads + num_tokens * embed_dim * embed_dim, num_heads * num_tokens * num_tokens]
"""),
    "by norm of the difference": ("02.6", """
def is_order_blind(layer, x, order):
    a, b = layer(x[:, order]), torch.gather(layer(x), 1, order[None, :, None].expand(x.shape))
    return (a - b).norm() / b.norm() < 1e-6
"""),
    "default tolerance": ("02.6", """
def is_order_blind(layer, x, order):
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order))
    return torch.allclose(layer(x[:, order])[:, inverse], layer(x))
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "sigmoid": ("02.1", """
def attention_weights(q, k):
    return torch.sigmoid(q @ k.T / math.sqrt(q.shape[-1]))
""", "the sigmoid weighs each key by itself"),
    "one softmax for all": ("02.1", """
def attention_weights(q, k):
    s = q @ k.T / math.sqrt(q.shape[-1])
    return s.flatten().softmax(0).view_as(s)
""", "each row needs its own"),
    "multiplied by the root": ("02.1", """
def attention_weights(q, k):
    return (q @ k.T * math.sqrt(q.shape[-1])).softmax(-1)
""", "multiplied by √d"),
    "log": ("02.1", """
def attention_weights(q, k):
    return F.log_softmax(q @ k.T / math.sqrt(q.shape[-1]), -1)
""", "not log_softmax"),
    "cosines": ("02.1", """
def attention_weights(q, k):
    return (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).T).softmax(-1)
""", "their lengths count"),
    "shares without exponential": ("02.1", """
def attention_weights(q, k):
    s = q @ k.T / math.sqrt(q.shape[-1])
    return s / s.sum(-1, keepdim=True)
""", "the exponential is missing"),
    "both wrong": ("02.1", """
def attention_weights(q, k):
    return (q @ k.T).softmax(0)
""", "runs over the queries, and the scores are not divided"),
    "argmax": ("02.1", """
def attention_weights(q, k):
    return (q @ k.T).argmax(-1)
""", "each query has a weight for every key"),
    "inverted and mended": ("02.2", """
def masked_weights(scores, mask):
    return scores.masked_fill(mask, -1e9).softmax(-1) * mask.any(-1, keepdim=True)
""", "the wrong way round"),
    "mask ignored": ("02.2", """
def masked_weights(scores, mask):
    return scores.softmax(-1)
""", "the mask is not used"),
    "mask added": ("02.2", """
def masked_weights(scores, mask):
    return (scores + mask).softmax(-1)
""", "1 is added to allowed scores"),
    "too small a number": ("02.2", """
def masked_weights(scores, mask):
    w = scores.masked_fill(~mask, -100.0).softmax(-1)
    return w * mask.any(-1, keepdim=True)
""", "a forbidden key won"),
    "masked scores": ("02.2", """
def masked_weights(scores, mask):
    return scores.masked_fill(~mask, -math.inf)
""", "the softmax is missing"),
    "empty row uniform": ("02.2", """
def masked_weights(scores, mask):
    w = scores.masked_fill(~mask, -math.inf).softmax(-1)
    return torch.nan_to_num(w, nan=1 / scores.shape[-1])
""", "equal weights on forbidden keys"),
    "forwards": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (c h d) -> c b h n d", c=3, h=num_heads)
    return proj(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))
""", "forwards the work"),
    "the library's": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    from vtlearn.attention import MultiHeadAttention
    one = MultiHeadAttention(x.shape[-1], num_heads)
    one.qkv, one.proj = qkv, proj
    return one(x)
""", "forwards the work"),
    "keys first": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    k, q, v = rearrange(qkv(x), "b n (c h d) -> c b h n d", c=3, h=num_heads)
    return proj(rearrange((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v, "b h n d -> b n (h d)"))
""", "queries and keys are exchanged"),
    "softmax over heads": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (c h d) -> c b h n d", c=3, h=num_heads)
    return proj(rearrange((q @ k.mT / q.shape[-1] ** 0.5).softmax(1) @ v, "b h n d -> b n (h d)"))
""", "the softmax runs over the heads"),
    "heads as the fast axis, both ways": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (c d h) -> c b h n d", c=3, h=num_heads)
    return proj(rearrange((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v, "b h n d -> b n (d h)"))
""", "read as the fast axis"),
    "heads not joined": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (c h d) -> c b h n d", c=3, h=num_heads)
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
""", "the heads are still apart"),
    "bias lost": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(x @ qkv.weight.T, "b n (c h d) -> c b h n d", c=3, h=num_heads)
    return proj(rearrange((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v, "b h n d -> b n (h d)"))
""", "the bias of qkv is forgotten"),
    "softmax mended in place": ("02.3", """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (c h d) -> c b h n d", c=3, h=num_heads)
    w = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    w += 0.0
    return proj(rearrange(w @ v, "b h n d -> b n (h d)"))
""", "changed in place"),
    "one norm only": ("02.4", """
class EncoderBlock(nn.Module):
    def __init__(self, D, M, attention):
        super().__init__()
        self.norm, self.a = nn.LayerNorm(D), attention
        self.mlp = nn.Sequential(nn.Linear(D, M), nn.GELU(), nn.Linear(M, D))

    def forward(self, x):
        x = x + self.a(self.norm(x))
        return x + self.mlp(self.norm(x))
""", "holds 1 LayerNorms, expected 2"),
    "sizes of the MLP": ("02.4", """
class EncoderBlock(nn.Module):
    def __init__(self, D, M, attention):
        super().__init__()
        self.n1, self.n2, self.a = nn.LayerNorm(D), nn.LayerNorm(D), attention
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))

    def forward(self, x):
        x = x + self.a(self.n1(x))
        return x + self.mlp(self.n2(x))
""", "the MLP has two, from embed_dim"),
    "side by side": ("02.4", PARTS + """
    def forward(self, x):
        return x + self.a(self.n1(x)) + self.down(F.gelu(self.up(self.n2(x))))
""", "side by side"),
    "MLP first": ("02.4", PARTS + """
    def forward(self, x):
        x = x + self.down(F.gelu(self.up(self.n1(x))))
        return x + self.a(self.n2(x))
""", "attention comes first"),
    "no residual round the MLP": ("02.4", PARTS + """
    def forward(self, x):
        x = x + self.a(self.n1(x))
        return self.down(F.gelu(self.up(self.n2(x))))
""", "the second residual is missing"),
    "no residual round the attention": ("02.4", PARTS + """
    def forward(self, x):
        x = self.a(self.n1(x))
        return x + self.down(F.gelu(self.up(self.n2(x))))
""", "the first residual is missing"),
    "nothing returned": ("02.4", PARTS + """
    def forward(self, x):
        x = x + self.a(self.n1(x))
        x = x + self.down(F.gelu(self.up(self.n2(x))))
""", "is a `return` missing"),
    "super forgotten": ("02.4", PARTS.replace("        super().__init__()\n", "") + """
    def forward(self, x):
        return x
""", "AttributeError"),
    "a function": ("02.4", """
def EncoderBlock(embed_dim, mlp_dim, attention):
    return lambda x: x + attention(x)
""", "expected an nn.Module"),
    "changes its input": ("02.4", PARTS + """
    def forward(self, x):
        x += self.a(self.n1(x))
        return x + self.down(F.gelu(self.up(self.n2(x))))
""", "in place"),
    "a float": ("02.5", """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 4 * num_tokens * embed_dim**2 + 2 * num_tokens**2 * embed_dim / 1, num_heads * num_tokens**2
""", "expected an integer"),
    "one number": ("02.5", """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 4 * num_tokens * embed_dim**2 + 2 * num_tokens**2 * embed_dim
""", "expected two whole numbers"),
    "tokens instead of weights": ("02.5", """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 4 * num_tokens * embed_dim**2 + 2 * num_tokens**2 * embed_dim, num_tokens * embed_dim
""", "the tables hold N²"),
    "a table of truths": ("02.6", """
def is_order_blind(layer, x, order):
    return torch.isclose(layer(x[:, order]), layer(x)[:, order])
""", "one True or False for the whole clip"),
    "a distance": ("02.6", """
def is_order_blind(layer, x, order):
    return (layer(x[:, order]) - layer(x)[:, order]).abs().max().item()
""", "expected True or False"),
    "shuffled features": ("02.6", """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:, :, order]), layer(x)[:, :, order])
""", "the features are shuffled"),
    "never": ("02.6", """
def is_order_blind(layer, x, order):
    return bool((layer(x) == layer(x) + 1).all())
""", "False of every layer"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    weights, masked, heads, block, cost, blind = (exercise(f"02.{n}").compile() for n in range(1, 7))
    q, k = torch.randn(2, 7, 3)
    whole = reference_weights(q[None, None], k[None, None], Full())[0, 0]
    torch.testing.assert_close(weights(q, k), whole)
    past = torch.ones(7, 7, dtype=torch.bool).tril()
    torch.testing.assert_close(
        masked(q @ k.T / math.sqrt(3), past), reference_weights(q[None, None], k[None, None], past)[0, 0]
    )
    library = MultiHeadAttention(10, num_heads=5)
    x = torch.randn(2, 7, 10)
    torch.testing.assert_close(heads(x, library.qkv, library.proj, 5), library(x))
    theirs = EncoderBlock(10, 5, 13)
    ours = block(10, 13, theirs.attn)
    for mine, library_part in ((ours.mlp[0], theirs.mlp.fc1), (ours.mlp[2], theirs.mlp.fc2)):
        mine.load_state_dict(library_part.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
    assert cost(7, 10, 5)[0] == count_multiply_adds(library, torch.zeros(1, 7, 10))
    assert cost(7, 10, 5)[1] * 4 == attention_cost(Full(), 7, num_heads=5, head_dim=2).weight_bytes
    order = torch.tensor([3, 0, 6, 1, 2, 5, 4])
    assert blind(theirs.double(), x.double(), order)
    assert not blind(nn.Sequential(theirs, nn.Flatten(), nn.Linear(70, 70).double(),
                                   nn.Unflatten(1, (7, 10))), x.double(), order)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "caption"),
    [
        ({"length": 0}, "the output is the plain mean"),
        ({"length": 2}, "B fits the query best"),
        ({"length": 16}, "all but a choice"),
        ({"masked": "B"}, "Now A has most"),
    ],
)
def test_the_panel_says_what_to_notice(state, caption):
    assert caption in QueryExplorer.render(QueryExplorer().state | state).caption


def test_the_panel_computes_attention_weights():
    state = {"angle": 30, "length": 2, "divisor": "√d", "masked": "C"}
    query = 2 * torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    mask = torch.tensor([[name != "C" for name in NAMES]])
    scores = query @ KEYS.T / DIVISORS["√d"]
    (weights,) = exercise("02.2").compile()(scores, mask)
    told = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(NAMES, weights.tolist(), strict=True))
    assert f"Weights: {told}." in QueryExplorer.render(state).text
