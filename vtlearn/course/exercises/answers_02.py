"""Right and wrong answers to the exercises of lesson 02, as source; the tests run each through the check."""

# ---------------------------------------------------------------------------------------- 02.1 the weights

ATTENTION_WEIGHTS = {
    "matmul": '''
def attention_weights(q: Tensor, k: Tensor) -> Tensor:  # (N, d), (M, d) -> (N, M)
    """How much each query takes of each key."""
    scores = q @ k.transpose(0, 1) / math.sqrt(q.shape[-1])
    return torch.softmax(scores, dim=-1)
''',
    "einsum": """
def attention_weights(q, k):
    scores = einsum(q, k, "n d, m d -> n m") * q.shape[1] ** -0.5
    return F.softmax(scores, dim=1)
""",
    "own softmax": """
def attention_weights(q, k):
    scores = (q[:, None, :] * k[None, :, :]).sum(-1) / np.sqrt(k.shape[-1])
    raised = (scores - scores.max(dim=-1, keepdim=True).values).exp()
    return raised / raised.sum(dim=-1, keepdim=True)
""",
    "loop": """
def attention_weights(q, k):
    rows = []
    for query in q:
        scores = torch.stack([query.dot(key) for key in k]) / len(query) ** 0.5
        rows.append(scores.softmax(0))
    return torch.stack(rows)
""",
    "logarithms": """
def attention_weights(q, k):
    scores = F.linear(q, k) / q.size(-1) ** 0.5
    return torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
""",
    "numpy": """
def attention_weights(q, k):
    scores = q.numpy() @ k.numpy().T / np.sqrt(q.shape[1])
    positive = np.exp(scores - scores.max(axis=1, keepdims=True))
    return torch.from_numpy(positive / positive.sum(axis=1, keepdims=True))
""",
}

WEIGHTS_OVER_QUERIES = """
def attention_weights(q, k):
    return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=0)
"""
WEIGHTS_UNSCALED = """
def attention_weights(q, k):
    return torch.softmax(q @ k.T, dim=-1)
"""
WEIGHTS_BY_WIDTH = """
def attention_weights(q, k):
    return torch.softmax(q @ k.T / q.shape[-1], dim=-1)
"""
WEIGHTS_BY_LENGTH = """
def attention_weights(q, k):
    return torch.softmax(q @ k.T / math.sqrt(len(k)), dim=-1)
"""
WEIGHTS_SCALED_LATE = """
def attention_weights(q, k):
    return torch.softmax(q @ k.T, dim=-1) / math.sqrt(q.shape[-1])
"""
WEIGHTS_RAW = """
def attention_weights(q, k):
    return q @ k.T / math.sqrt(q.shape[-1])
"""
WEIGHTS_TRANSPOSED = """
def attention_weights(q, k):
    return torch.softmax(k @ q.T / math.sqrt(q.shape[-1]), dim=-1)
"""
WEIGHTS_OVERFLOW = """
def attention_weights(q, k):
    raised = torch.exp(q @ k.T / math.sqrt(q.shape[-1]))
    return raised / raised.sum(-1, keepdim=True)
"""
WEIGHTS_FIXED_WIDTH = """
def attention_weights(q, k):
    return (q @ k.T / math.sqrt(7)).softmax(dim=-1)
"""
WEIGHTS_CLAMPED = """
def attention_weights(q, k):
    scores = (q @ k.T / math.sqrt(q.shape[1])).clamp(-50, 50)
    return scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
"""

# ----------------------------------------------------------------------------------- 02.2 masked weights

MASKED_WEIGHTS = {
    "minus infinity": '''
def masked_weights(scores: Tensor, mask: Tensor) -> Tensor:  # (N, M), Bool (N, M) -> (N, M)
    """Softmax over the allowed keys of each row; zeros where a row may attend to nothing."""
    anything = mask.any(dim=-1, keepdim=True)
    hidden = scores.masked_fill(~mask & anything, -math.inf)
    return hidden.softmax(dim=-1).masked_fill(~anything, 0.0)
''',
    "own softmax": """
def masked_weights(scores, mask):
    lowest = torch.finfo(scores.dtype).min
    best = scores.masked_fill(~mask, lowest).amax(dim=1, keepdim=True)
    raised = torch.where(mask, (scores - best).exp(), torch.zeros_like(scores))
    total = raised.sum(dim=1, keepdim=True)
    return raised / torch.where(total > 0, total, torch.ones_like(total))
""",
    "loop": """
def masked_weights(scores, mask):
    weights = torch.zeros_like(scores)
    for row in range(scores.shape[0]):
        keys = mask[row].nonzero().flatten()
        if len(keys) > 0:
            weights[row, keys] = torch.softmax(scores[row, keys], dim=0)
    return weights
""",
    "nan replaced": """
def masked_weights(scores, mask):
    return torch.nan_to_num(torch.where(mask, scores, -torch.inf).softmax(-1), nan=0.0)
""",
    "on a copy": """
def masked_weights(scores, mask):
    scores = scores.clone()
    scores[~mask] = float("-inf")
    weights = F.softmax(scores, dim=-1)
    weights[~mask.any(dim=-1)] = 0
    return weights
""",
    "logarithm of the mask": """
def masked_weights(scores, mask):
    return torch.nan_to_num(F.softmax(scores + mask.to(scores.dtype).log(), dim=-1))
""",
    "smallest number, then the mask": """
def masked_weights(scores, mask):
    hidden = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return hidden.softmax(dim=-1) * mask
""",
}

MASKED_SIGN = """
def masked_weights(scores, mask):
    hidden = scores.masked_fill(mask, -math.inf)
    return torch.nan_to_num(hidden.softmax(dim=-1))
"""
MASKED_TIMES = """
def masked_weights(scores, mask):
    return (scores * mask).softmax(dim=-1) * mask.any(dim=-1, keepdim=True)
"""
MASKED_LATE = """
def masked_weights(scores, mask):
    return scores.softmax(dim=-1) * mask
"""
MASKED_NAN = """
def masked_weights(scores, mask):
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
"""
MASKED_UNIFORM = """
def masked_weights(scores, mask):
    return scores.masked_fill(~mask, -1e9).softmax(dim=-1)
"""
MASKED_SOFTLY = """
def masked_weights(scores, mask):
    return scores.masked_fill(~mask, -5.0).softmax(dim=-1) * mask.any(dim=-1, keepdim=True)
"""
MASKED_OVER_QUERIES = """
def masked_weights(scores, mask):
    return torch.nan_to_num(scores.masked_fill(~mask, -math.inf).softmax(dim=0))
"""
MASKED_IN_PLACE = """
def masked_weights(scores, mask):
    scores[~mask] = -math.inf
    return torch.nan_to_num(scores.softmax(dim=-1))
"""
MASKED_SHARED_LATE = """
def masked_weights(scores, mask):
    kept = scores.softmax(-1) * mask
    return kept / kept.sum(-1, keepdim=True).clamp(min=1e-12)
"""
MASKED_LARGEST_OF_ALL = """
def masked_weights(scores, mask):
    positive = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    return torch.nan_to_num(positive / positive.sum(-1, keepdim=True))
"""

# -------------------------------------------------------------------------------------- 02.3 multi-head

MULTI_HEAD = {
    "view and transpose": '''
def multi_head(
    x: Tensor, qkv: nn.Linear, proj: nn.Linear, num_heads: int
) -> Tensor:  # (B, N, D) -> (B, N, D)
    """Self-attention in num_heads heads."""
    B, N, D = x.shape
    parts = qkv(x).view(B, N, 3, num_heads, D // num_heads)
    q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
    scores = q @ k.transpose(-2, -1) / math.sqrt(D // num_heads)
    out = scores.softmax(dim=-1) @ v  # (B, heads, N, d)
    return proj(out.transpose(1, 2).reshape(B, N, D))
''',
    "einops": """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (three heads d) -> three b heads n d", three=3, heads=num_heads)
    scores = einsum(q, k, "b h i d, b h j d -> b h i j") * q.shape[-1] ** -0.5
    out = einsum(scores.softmax(-1), v, "b h i j, b h j d -> b h i d")
    return proj(rearrange(out, "b h n d -> b n (h d)"))
""",
    "head after head": """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = qkv(x).chunk(3, dim=-1)
    size = x.shape[-1] // num_heads
    outs = []
    for head in range(num_heads):
        own = slice(head * size, (head + 1) * size)
        scores = q[..., own] @ k[..., own].mT / size**0.5
        outs.append(torch.softmax(scores, -1) @ v[..., own])
    return proj(torch.cat(outs, dim=-1))
""",
    "heads in the batch": """
def multi_head(x, qkv, proj, num_heads):
    batch, tokens, width = x.shape
    size = width // num_heads

    def split(part):
        return part.reshape(batch, tokens, num_heads, size).transpose(1, 2).reshape(-1, tokens, size)

    q, k, v = (split(part) for part in qkv(x).split(width, dim=-1))
    weights = F.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(size), dim=2)
    out = torch.bmm(weights, v).reshape(batch, num_heads, tokens, size)
    return proj(out.permute(0, 2, 1, 3).flatten(2))
""",
    "with weight matrices": """
def multi_head(x, qkv, proj, num_heads):
    D = x.shape[-1]
    out = torch.zeros_like(x)
    W, b = qkv.weight, qkv.bias
    q, k, v = (x @ W[i * D : (i + 1) * D].T + b[i * D : (i + 1) * D] for i in range(3))
    heads = [t.unflatten(-1, (num_heads, -1)) for t in (q, k, v)]
    scores = torch.einsum("bihd,bjhd->bhij", heads[0], heads[1]) / (D // num_heads) ** 0.5
    out = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), heads[2]).flatten(2)
    return F.linear(out, proj.weight, proj.bias)
""",
    "a share of the projection a head": """
def multi_head(x, qkv, proj, num_heads):
    width = x.shape[-1]
    size = width // num_heads
    q, k, v = qkv(x).split(width, dim=-1)
    out = proj.bias
    for head in range(num_heads):
        own = slice(head * size, (head + 1) * size)
        weights = (q[..., own] @ k[..., own].mT / size**0.5).softmax(-1)
        out = out + weights @ v[..., own] @ proj.weight[:, own].T
    return out
""",
}

HEADS_NOT_SPLIT = """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = qkv(x).chunk(3, dim=-1)
    return proj((q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v)
"""
HEADS_WITHOUT_TRANSPOSE = """
def multi_head(x, qkv, proj, num_heads):
    B, N, D = x.shape
    q, k, v = (part.reshape(B, num_heads, N, D // num_heads) for part in qkv(x).chunk(3, dim=-1))
    out = (q @ k.mT / math.sqrt(D // num_heads)).softmax(-1) @ v
    return proj(out.reshape(B, N, D))
"""
HEADS_AMONG_THEMSELVES = """
def multi_head(x, qkv, proj, num_heads):
    B, N, D = x.shape
    q, k, v = (part.view(B, N, num_heads, D // num_heads) for part in qkv(x).chunk(3, dim=-1))
    out = (q @ k.mT / math.sqrt(D // num_heads)).softmax(-1) @ v
    return proj(out.reshape(B, N, D))
"""
HEADS_NOT_BROUGHT_BACK = """
def multi_head(x, qkv, proj, num_heads):
    B, N, D = x.shape
    q, k, v = qkv(x).view(B, N, 3, num_heads, D // num_heads).permute(2, 0, 3, 1, 4)
    out = (q @ k.mT / math.sqrt(D // num_heads)).softmax(-1) @ v
    return proj(out.reshape(B, N, D))
"""
HEADS_SCALED_BY_EMBED_DIM = """
def multi_head(x, qkv, proj, num_heads):
    B, N, D = x.shape
    q, k, v = qkv(x).view(B, N, 3, num_heads, D // num_heads).permute(2, 0, 3, 1, 4)
    out = (q @ k.mT / math.sqrt(D)).softmax(-1) @ v
    return proj(out.transpose(1, 2).reshape(B, N, D))
"""
HEADS_UNSCALED = """
def multi_head(x, qkv, proj, num_heads):
    B, N, D = x.shape
    q, k, v = qkv(x).view(B, N, 3, num_heads, D // num_heads).permute(2, 0, 3, 1, 4)
    return proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).reshape(B, N, D))
"""
HEADS_INTERLEAVED = """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (d heads three) -> three b heads n d", three=3, heads=num_heads)
    out = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
    return proj(rearrange(out, "b h n d -> b n (h d)"))
"""
HEADS_FIRST_IN_THE_LAYER = """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (heads three d) -> three b heads n d", three=3, heads=num_heads)
    out = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
    return proj(rearrange(out, "b h n d -> b n (h d)"))
"""
HEADS_WITHOUT_PROJECTION = """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (three heads d) -> three b heads n d", three=3, heads=num_heads)
    out = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
    return rearrange(out, "b h n d -> b n (h d)")
"""
HEADS_DETACHED = """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x).detach(), "b n (three heads d) -> three b heads n d", three=3, heads=num_heads)
    out = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
    return proj(rearrange(out, "b h n d -> b n (h d)"))
"""
HEADS_WITH_DROPOUT = """
def multi_head(x, qkv, proj, num_heads):
    q, k, v = rearrange(qkv(x), "b n (three h d) -> three b h n d", three=3, h=num_heads)
    weights = F.dropout((q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1), 0.1)
    return proj(rearrange(weights @ v, "b h n d -> b n (h d)"))
"""

# ---------------------------------------------------------------------------------- 02.4 the encoder block

ENCODER_BLOCK = {
    "parts": '''
class EncoderBlock(nn.Module):
    """Attention, then an MLP; each reads normed tokens, each is added to what came in."""

    def __init__(self, embed_dim: int, mlp_dim: int, attention: nn.Module):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(embed_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, embed_dim))

    def forward(self, x: Tensor) -> Tensor:  # (B, N, D) -> (B, N, D)
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
''',
    "functional": """
class EncoderBlock(nn.Module):
    def __init__(self, embed_dim, mlp_dim, attention):
        super().__init__()
        self.narrow = nn.Linear(mlp_dim, embed_dim)
        self.wide = nn.Linear(embed_dim, mlp_dim)
        self.before_mlp = nn.LayerNorm(embed_dim, eps=1e-6)
        self.before_attention = nn.LayerNorm(embed_dim, eps=1e-6)
        self.attend = attention

    def forward(self, x):
        after = self.attend(self.before_attention(x)) + x
        update = self.narrow(F.gelu(self.wide(self.before_mlp(after))))
        return after.add(update)
""",
    "two sequences": """
class EncoderBlock(nn.Module):
    def __init__(self, embed_dim, mlp_dim, attention):
        super().__init__()
        self.steps = nn.ModuleList([
            nn.Sequential(nn.LayerNorm(embed_dim), attention),
            nn.Sequential(
                nn.LayerNorm(embed_dim), nn.Linear(embed_dim, mlp_dim), nn.GELU(),
                nn.Linear(mlp_dim, embed_dim),
            ),
        ])

    def forward(self, x):
        for step in self.steps:
            x = x + step(x)
        return x
""",
    "a residual wrapper": """
class Residual(nn.Module):
    def __init__(self, embed_dim, inner):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(embed_dim), inner

    def forward(self, x):
        return x + self.inner(self.norm(x))


class EncoderBlock(nn.Module):
    def __init__(self, embed_dim, mlp_dim, attention):
        super().__init__()
        mlp = nn.Sequential(nn.Linear(embed_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, embed_dim))
        self.both = nn.Sequential(Residual(embed_dim, attention), Residual(embed_dim, mlp))

    def forward(self, x):
        return self.both(x)
""",
}

_PARTS = """
class EncoderBlock(nn.Module):
    def __init__(self, embed_dim, mlp_dim, attention):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(embed_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, embed_dim))
"""

BLOCK_POST_NORM = (
    _PARTS
    + """
    def forward(self, x):
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))
"""
)
BLOCK_WITHOUT_RESIDUALS = (
    _PARTS
    + """
    def forward(self, x):
        x = self.attention(self.norm1(x))
        return self.mlp(self.norm2(x))
"""
)
BLOCK_ADDS_THE_NORMED = (
    _PARTS
    + """
    def forward(self, x):
        x = self.norm1(x)
        x = x + self.attention(x)
        x = self.norm2(x)
        return x + self.mlp(x)
"""
)
BLOCK_ONE_NORM_TWICE = (
    _PARTS
    + """
    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm1(x))
"""
)
BLOCK_SECOND_FROM_INPUT = (
    _PARTS
    + """
    def forward(self, x):
        y = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(y))
"""
)
BLOCK_MLP_UNNORMED = (
    _PARTS
    + """
    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(x)
"""
)
BLOCK_WITHOUT_ACTIVATION = _PARTS.replace(" nn.GELU(),", "") + (
    """
    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
"""
)
BLOCK_RELU = _PARTS.replace("nn.GELU()", "nn.ReLU()") + (
    """
    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
"""
)
BLOCK_NOT_REGISTERED = """
class EncoderBlock(nn.Module):
    def __init__(self, embed_dim, mlp_dim, attention):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)])
        self.parts = [
            attention,
            nn.Sequential(nn.Linear(embed_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, embed_dim)),
        ]

    def forward(self, x):
        for norm, part in zip(self.norms, self.parts):
            x = x + part(norm(x))
        return x
"""

# -------------------------------------------------------------------------------------------- 02.5 the cost

ATTENTION_COST = {
    "formula": '''
def attention_cost(num_tokens: int, embed_dim: int, num_heads: int) -> tuple[int, int]:
    """(multiply-adds, numbers in the tables of weights) of one multi-head attention on one clip."""
    projections = 4 * num_tokens * embed_dim**2
    products = 2 * num_tokens**2 * embed_dim
    return projections + products, num_heads * num_tokens**2
''',
    "head after head": """
def attention_cost(num_tokens, embed_dim, num_heads):
    head_dim = embed_dim // num_heads
    pairs = num_tokens * num_tokens
    operations = numbers = 0
    for _ in range(num_heads):
        operations += pairs * head_dim  # scores
        operations += pairs * head_dim  # weights with values
        numbers += pairs
    qkv = num_tokens * embed_dim * (3 * embed_dim)
    proj = num_tokens * embed_dim * embed_dim
    return operations + qkv + proj, numbers
""",
    "in numpy": """
def attention_cost(num_tokens, embed_dim, num_heads):
    n, d = np.int64(num_tokens), np.int64(embed_dim)
    return np.array([2 * n * d * (2 * d + n), num_heads * n * n])
""",
    "tensor": """
def attention_cost(num_tokens, embed_dim, num_heads):
    n, d, h = torch.tensor([num_tokens, embed_dim, num_heads])
    return [4 * n * d * d + 2 * n * n * d, h * n**2]
""",
}

COST_WITHOUT_PROJECTIONS = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 2 * num_tokens**2 * embed_dim, num_heads * num_tokens**2
"""
COST_ONE_PRODUCT = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 4 * num_tokens * embed_dim**2 + num_tokens**2 * embed_dim, num_heads * num_tokens**2
"""
COST_TIMES_HEADS = """
def attention_cost(num_tokens, embed_dim, num_heads):
    products = num_heads * 2 * num_tokens**2 * embed_dim
    return 4 * num_tokens * embed_dim**2 + products, num_heads * num_tokens**2
"""
COST_THREE_PROJECTIONS = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 3 * num_tokens * embed_dim**2 + 2 * num_tokens**2 * embed_dim, num_heads * num_tokens**2
"""
COST_ONE_TABLE = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 4 * num_tokens * embed_dim**2 + 2 * num_tokens**2 * embed_dim, num_tokens**2
"""
COST_IN_FLOPS = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 8 * num_tokens * embed_dim**2 + 4 * num_tokens**2 * embed_dim, num_heads * num_tokens**2
"""
COST_LINEAR = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return 4 * num_tokens * embed_dim**2 + 2 * num_tokens * embed_dim, num_heads * num_tokens**2
"""
COST_SWAPPED = """
def attention_cost(num_tokens, embed_dim, num_heads):
    return num_heads * num_tokens**2, 4 * num_tokens * embed_dim**2 + 2 * num_tokens**2 * embed_dim
"""

# ------------------------------------------------------------------------------------ 02.6 the shuffle test

IS_ORDER_BLIND = {
    "shuffled outputs": '''
def is_order_blind(layer, x: Tensor, order: Tensor) -> bool:  # layer: (B, N, D) -> (B, N, D); (B, N, D), (N,)
    """Does shuffling the tokens only shuffle the outputs?"""
    before, after = layer(x)[:, order], layer(x[:, order])
    return torch.allclose(before, after, atol=1e-4)
''',
    "shuffled back": """
def is_order_blind(layer, x, order):
    after = layer(x.index_select(1, order))
    back = after.index_select(1, torch.argsort(order))
    return bool((back - layer(x)).abs().max() < 1e-4)
""",
    "by a matrix": """
def is_order_blind(layer, x, order):
    P = torch.eye(len(order), dtype=x.dtype)[order]
    return torch.isclose(layer(P @ x), P @ layer(x), atol=1e-4, rtol=1e-4).all()
""",
    "token after token": """
def is_order_blind(layer, x, order):
    y, shuffled = layer(x), layer(torch.stack([x[:, i] for i in order], dim=1))
    for place, came_from in enumerate(order.tolist()):
        if (shuffled[:, place] - y[:, came_from]).abs().max().item() > 1e-4:
            return False
    return True
""",
    "numpy": """
def is_order_blind(layer, x, order):
    with torch.no_grad():
        a, b = layer(x[:, order]).numpy(), layer(x).numpy()[:, order.numpy()]
    return np.allclose(a, b, atol=1e-4)
""",
    "index_select": """
def is_order_blind(layer, x, order):
    one, other = layer(x.index_select(1, order)), layer(x).index_select(1, order)
    return (one - other).norm() <= 1e-9 * (1 + one.norm())
""",
}

BLIND_UNMOVED = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:, order]), layer(x), atol=1e-4)
"""
BLIND_SHUFFLED_TWICE = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:, order])[:, order], layer(x), atol=1e-4)
"""
BLIND_EXACT = """
def is_order_blind(layer, x, order):
    return torch.equal(layer(x[:, order]), layer(x)[:, order])
"""
BLIND_BY_MEAN = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:, order]).mean(1), layer(x).mean(1), atol=1e-4)
"""
BLIND_IN_THE_BATCH = """
def is_order_blind(layer, x, order):
    order = order[order < len(x)]
    return torch.allclose(layer(x[order]), layer(x)[order], atol=1e-4)
"""
BLIND_OPPOSITE = """
def is_order_blind(layer, x, order):
    return not torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-4)
"""
BLIND_ALWAYS = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x)[:, order], layer(x)[:, order], atol=1e-4)
"""
BLIND_FIRST_TOKEN = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:, order])[:, 0], layer(x)[:, order][:, 0])
"""
BLIND_FIRST_CLIP = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:1, order]), layer(x[:1])[:, order])
"""
BLIND_WIDE = """
def is_order_blind(layer, x, order):
    return torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=0.1)
"""
BLIND_OWN_ORDER = """
def is_order_blind(layer, x, order):
    order = torch.randperm(x.shape[1])
    return torch.allclose(layer(x[:, order]), layer(x)[:, order])
"""
