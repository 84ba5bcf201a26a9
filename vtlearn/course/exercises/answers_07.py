"""Right and wrong answers to the exercises of lesson 07, as source; the tests run each through the check."""

# ------------------------------------------------------------------------------------- 07.1 model 1, joint

JOINT_ENCODER = {
    "flatten, cat, add": '''
def joint_encoder(
    tokens: Tensor, cls_token: Tensor, table: Tensor, blocks, norm
) -> Tensor:  # (B, t, s, D), (1, 1, D), (1, 1 + t·s, D) -> (B, D)
    """All tokens of a clip through one transformer; the class token's last vector."""
    first = cls_token.expand(len(tokens), -1, -1)
    x = torch.cat([first, tokens.flatten(1, 2)], dim=1) + table
    for block in blocks:
        x = block(x)
    return norm(x)[:, 0]
''',
    "einops": """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = rearrange(tokens, "b t s d -> b (t s) d")
    x = torch.cat((repeat(cls_token, "1 1 d -> b 1 d", b=x.shape[0]), x), dim=1)
    x = x + table
    for block in blocks:
        x = block(x)
    return norm(x[:, 0])
""",
    "fill a longer tensor": """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    batch, t, s, width = tokens.shape
    x = tokens.new_zeros(batch, 1 + t * s, width)
    x[:, :1] = cls_token
    x[:, 1:] = tokens.reshape(batch, t * s, width)
    x = nn.Sequential(*blocks)(x + table)
    return norm(x).select(1, 0)
""",
    "positions apart": """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    batch, t, s, width = tokens.shape
    places = tokens + table[:, 1:].view(1, t, s, width)
    head = (cls_token + table[:, :1]).repeat(batch, 1, 1)
    x = torch.hstack([head, places.view(batch, t * s, width)])
    for i in range(len(blocks)):
        x = blocks[i](x)
    return norm(x)[:, 0, :]
""",
}


def _joint(body: str, end: str = "norm(x)[:, 0]") -> str:
    return f"""
def joint_encoder(tokens, cls_token, table, blocks, norm):
    first = cls_token.expand(len(tokens), -1, -1)
{body}
    for block in blocks:
        x = block(x)
    return {end}
"""


_START = "    x = torch.cat([first, tokens.flatten(1, 2)], dim=1)"
JOINT_NO_POSITIONS = _joint(_START)
JOINT_NO_NORM = _joint(_START + " + table", "x[:, 0]")
JOINT_MEAN = _joint(_START + " + table", "norm(x).mean(dim=1)")
JOINT_MEAN_OF_TOKENS = _joint(_START + " + table", "norm(x)[:, 1:].mean(dim=1)")
JOINT_TIME_FASTEST = _joint("    x = torch.cat([first, tokens.transpose(1, 2).flatten(1, 2)], dim=1) + table")
JOINT_TOKEN_LAST = _joint("    x = torch.cat([tokens.flatten(1, 2), first], dim=1) + table", "norm(x)[:, -1]")
JOINT_NO_POSITION_FOR_TOKEN = _joint("    x = torch.cat([first, tokens.flatten(1, 2) + table[:, 1:]], dim=1)")
JOINT_ALL_TOKENS = _joint(_START + " + table", "norm(x)")
JOINT_TABLE_EVERY_BLOCK = """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens.flatten(1, 2)], dim=1)
    for block in blocks:
        x = block(x + table)
    return norm(x)[:, 0]
"""
JOINT_DETACHED = _joint(_START + " + table", "norm(x)[:, 0].detach()")

# -------------------------------------------------------------------------- 07.2 model 2, factorised encoder

FACTORISED_ENCODER = {
    "fold and unfold": '''
def factorised_encoder(tokens: Tensor, space, time) -> Tensor:  # (B, t, s, D) -> (B, D)
    """One vector for each temporal index, then one for the clip."""
    vectors = space(tokens.flatten(0, 1))  # (B·t, D)
    return time(vectors.unflatten(0, tokens.shape[:2]))
''',
    "einops": """
def factorised_encoder(tokens, space, time):
    vectors = space(rearrange(tokens, "b t s d -> (b t) s d"))
    return time(rearrange(vectors, "(b t) d -> b t d", b=len(tokens)))
""",
    "loop over indices": """
def factorised_encoder(tokens, space, time):
    return time(torch.stack([space(tokens[:, k]) for k in range(tokens.shape[1])], dim=1))
""",
    "loop over clips": """
def factorised_encoder(tokens, space, time):
    return torch.cat([time(space(clip)[None]) for clip in tokens])
""",
    "view": """
def factorised_encoder(tokens, space, time):
    B, t, s, D = tokens.shape
    return time(space(tokens.reshape(B * t, s, D)).view(B, t, D))
""",
}

FACTORISED_TIME_FIRST = """
def factorised_encoder(tokens, space, time):
    places = tokens.transpose(1, 2)
    vectors = space(places.flatten(0, 1))
    return time(vectors.unflatten(0, places.shape[:2]))
"""
FACTORISED_MEAN = """
def factorised_encoder(tokens, space, time):
    return space(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]).mean(dim=1)
"""
FACTORISED_CLIPS_MIXED = """
def factorised_encoder(tokens, space, time):
    B, t, s, D = tokens.shape
    vectors = space(tokens.flatten(0, 1))
    return time(vectors.reshape(t, B, D).transpose(0, 1))
"""
FACTORISED_JOINT = """
def factorised_encoder(tokens, space, time):
    return time(space(tokens.flatten(1, 2))[:, None])
"""
FACTORISED_NO_TIME = """
def factorised_encoder(tokens, space, time):
    return space(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
"""
FACTORISED_NOT_UNFOLDED = """
def factorised_encoder(tokens, space, time):
    return time(space(tokens.flatten(0, 1))[:, None])
"""
FACTORISED_ROWS_AS_ONE_CLIP = """
def factorised_encoder(tokens, space, time):
    return time(space(tokens.flatten(0, 1))[None])
"""
FACTORISED_RAW_FOLD = """
def factorised_encoder(tokens, space, time):
    B, t, s, D = tokens.shape
    vectors = torch.stack([space(each) for each in tokens.reshape(B, s, t, D).unbind(2)], dim=1)
    return time(vectors)
"""
FACTORISED_AVERAGED_SPACE = """
def factorised_encoder(tokens, space, time):
    return time(tokens.mean(dim=2))
"""

# ------------------------------------------------------------------- 07.3 model 3, factorised self-attention

FACTORISED_BLOCK = {
    "transpose and flatten": '''
def factorised_block(
    x: Tensor, norms, attend_time, attend_space, mlp
) -> Tensor:  # (B, t, s, D) -> (B, t, s, D)
    """Attention over time, then over space, then the MLP; each normed before and added after."""
    norm_time, norm_space, norm_mlp = norms
    places = norm_time(x).transpose(1, 2)  # (B, s, t, D)
    over_time = attend_time(places.flatten(0, 1)).view(places.shape)
    x = x + over_time.transpose(1, 2)
    x = x + attend_space(norm_space(x).flatten(0, 1)).view(x.shape)
    return x + mlp(norm_mlp(x))
''',
    "einops": """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    y = rearrange(norms[0](x), "b t s d -> (b s) t d")
    x = x + rearrange(attend_time(y), "(b s) t d -> b t s d", b=B)
    y = rearrange(norms[1](x), "b t s d -> (b t) s d")
    x = x + rearrange(attend_space(y), "(b t) s d -> b t s d", b=B)
    return x + mlp(norms[2](x))
""",
    "loops": """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    y = norms[0](x)
    x = x + torch.stack([attend_time(y[:, :, place]) for place in range(x.shape[2])], dim=2)
    y = norms[1](x)
    x = x + torch.stack([attend_space(y[:, index]) for index in range(x.shape[1])], dim=1)
    return x + mlp(norms[2](x))
""",
    "places in front throughout": """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    z = x.permute(0, 2, 1, 3).reshape(B * s, t, D)
    z = attend_time(norms[0](z)) + z
    z = z.reshape(B, s, t, D).permute(0, 2, 1, 3).reshape(B * t, s, D)
    z = attend_space(norms[1](z)) + z
    return (mlp(norms[2](z)) + z).reshape(B, t, s, D)
""",
}


def _block(time: str, space: str, end: str = "    return x + mlp(norms[2](x))") -> str:
    return f"""
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape

    def over_time(y, attend=attend_time):
        return attend(y.transpose(1, 2).flatten(0, 1)).reshape(B, s, t, D).transpose(1, 2)

    def over_space(y, attend=attend_space):
        return attend(y.flatten(0, 1)).reshape(B, t, s, D)

{time}
{space}
{end}
"""


_TIME, _SPACE = "    x = x + over_time(norms[0](x))", "    x = x + over_space(norms[1](x))"
BLOCK_SPACE_FIRST = _block(_SPACE, _TIME)
BLOCK_RAW_VIEW = _block(
    "    x = x + attend_time(norms[0](x).reshape(B * s, t, D)).reshape(B, t, s, D)", _SPACE
)
BLOCK_PARALLEL = _block(
    "    before = x", "    x = x + over_time(norms[0](before)) + over_space(norms[1](before))"
)
BLOCK_NO_RESIDUAL = _block("    x = over_time(norms[0](x))", "    x = over_space(norms[1](x))")
BLOCK_ONE_RESIDUAL = _block("    y = over_time(norms[0](x))", "    x = x + over_space(norms[1](y))")
BLOCK_POST_NORM = _block(
    "    x = norms[0](x + over_time(x))",
    "    x = norms[1](x + over_space(x))",
    "    return norms[2](x + mlp(x))",
)
BLOCK_AXES_EXCHANGED = _block(
    "    x = x + over_space(norms[0](x), attend_time)", "    x = x + over_time(norms[1](x), attend_space)"
)
BLOCK_NO_MLP = _block(_TIME, _SPACE, "    return x")
BLOCK_NORM_ONCE = _block("    x = x + over_time(norms[0](x))", "    x = x + over_space(x)")
BLOCK_JOINT = """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    x = x + attend_time(norms[0](x).flatten(1, 2)).view(x.shape)
    x = x + attend_space(norms[1](x).flatten(1, 2)).view(x.shape)
    return x + mlp(norms[2](x))
"""

# --------------------------------------------------------------------- 07.4 model 4, factorised dot product

HALF_AND_HALF = {
    "fold, attend, put together": '''
def half_and_half(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # (B, heads, t, s, d), three times
    """The first half of the heads attends over time, the second half over space."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        return scores.softmax(dim=-1) @ v

    half = q.shape[1] // 2
    over_time = attend(*(x[:, :half].transpose(2, 3) for x in (q, k, v))).transpose(2, 3)
    over_space = attend(*(x[:, half:] for x in (q, k, v)))
    return torch.cat([over_time, over_space], dim=1)
''',
    "einsum": """
def half_and_half(q, k, v):
    half, scale = q.shape[1] // 2, q.shape[-1] ** -0.5
    a = torch.einsum("bntsd,bnusd->bnstu", q[:, :half], k[:, :half]) * scale
    b = torch.einsum("bntsd,bntrd->bntsr", q[:, half:], k[:, half:]) * scale
    over_time = torch.einsum("bnstu,bnusd->bntsd", a.softmax(-1), v[:, :half])
    over_space = torch.einsum("bntsr,bntrd->bntsd", b.softmax(-1), v[:, half:])
    return torch.cat((over_time, over_space), 1)
""",
    "one mask a half": """
def half_and_half(q, k, v):
    B, heads, t, s, d = q.shape
    index, place = torch.arange(t * s) // s, torch.arange(t * s) % s
    mask = torch.empty(heads, t * s, t * s, dtype=torch.bool)
    mask[: heads // 2] = place[:, None] == place
    mask[heads // 2 :] = index[:, None] == index
    q, k, v = (x.flatten(2, 3) for x in (q, k, v))
    scores = (q @ k.mT / d**0.5).masked_fill(~mask, -math.inf)
    return (scores.softmax(-1) @ v).view(B, heads, t, s, d)
""",
    "loop over heads": """
def half_and_half(q, k, v):
    out = torch.empty_like(v)
    for head in range(q.shape[1]):
        a, b, c = q[:, head], k[:, head], v[:, head]
        if head < q.shape[1] // 2:
            over = F.scaled_dot_product_attention(a.transpose(1, 2), b.transpose(1, 2), c.transpose(1, 2))
            out[:, head] = over.transpose(1, 2)
        else:
            out[:, head] = F.scaled_dot_product_attention(a, b, c)
    return out
""",
}

_ATTEND = """
    def attend(q, k, v):
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v

    def over_time(q, k, v):
        return attend(q.transpose(2, 3), k.transpose(2, 3), v.transpose(2, 3)).transpose(2, 3)

    n = q.shape[1] // 2
"""


def _half(body: str) -> str:
    return f"\ndef half_and_half(q, k, v):{_ATTEND}{body}\n"


HALF_EXCHANGED = _half(
    "    return torch.cat([attend(q[:, :n], k[:, :n], v[:, :n]), over_time(q[:, n:], k[:, n:], v[:, n:])], 1)"
)
HALF_INTERLEAVED = _half("""
    out = attend(q, k, v)
    out[:, ::2] = over_time(q, k, v)[:, ::2]
    return out""")
HALF_ALL_TIME = _half("    return over_time(q, k, v)")
HALF_ALL_SPACE = _half("    return attend(q, k, v)")
HALF_MEAN_OF_BOTH = _half("    return (over_time(q, k, v) + attend(q, k, v)) / 2")
HALF_EACH_OF_BOTH_ON_WIDTH = _half("""
    w = q.shape[-1] // 2
    a = over_time(q, k, v)[..., :w]
    return torch.cat([a, attend(q, k, v)[..., w:]], dim=-1)""")
HALF_ONE_AFTER_THE_OTHER = _half("    return attend(q, k, over_time(q, k, v))")
HALF_NOT_SCALED = HALF_AND_HALF["fold, attend, put together"].replace(" / math.sqrt(q.shape[-1])", "")
HALF_RAW_VIEW = _half("""
    B, _, t, s, d = q.shape
    a = attend(*(x[:, :n].reshape(B, n, s, t, d) for x in (q, k, v))).reshape(B, n, t, s, d)
    return torch.cat([a, attend(q[:, n:], k[:, n:], v[:, n:])], 1)""")
HALF_JOINT = _half("""
    B, heads, t, s, d = q.shape
    return attend(*(x.flatten(2, 3) for x in (q, k, v))).view(B, heads, t, s, d)""")

# ------------------------------------------------------------------------------------ 07.5 count parameters

ENCODER_PARAMETERS = {
    "formula": '''
def encoder_parameters(
    model: int, embed_dim: int, mlp_dim: int, depth: int, temporal_depth: int
) -> int:
    """Weights and biases in the blocks of ViViT's model 1, 2, 3 or 4."""
    norm = 2 * embed_dim
    attention = 4 * (embed_dim**2 + embed_dim)
    mlp = 2 * embed_dim * mlp_dim + mlp_dim + embed_dim
    block = 2 * norm + attention + mlp
    if model == 2:
        return (depth + temporal_depth) * block
    if model == 3:
        return depth * (block + norm + attention)
    return depth * block
''',
    "build and count": """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    def count(*layers):
        return sum(p.numel() for layer in layers for p in layer.parameters())

    D = embed_dim
    attention = count(nn.Linear(D, 3 * D), nn.Linear(D, D), nn.LayerNorm(D))
    mlp = count(nn.Linear(D, mlp_dim), nn.Linear(mlp_dim, D), nn.LayerNorm(D))
    blocks = {1: depth, 2: depth + temporal_depth, 3: depth, 4: depth}[model]
    return blocks * ((2 if model == 3 else 1) * attention + mlp)
""",
    "by PyTorch's layer": """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    block = nn.TransformerEncoderLayer(embed_dim, 1, mlp_dim)
    total = depth * sum(p.numel() for p in block.parameters())
    if model == 2:
        total += total // depth * temporal_depth
    if model == 3:
        extra = [*block.self_attn.parameters(), *block.norm1.parameters()]
        total += depth * sum(p.numel() for p in extra)
    return total
""",
    "list of shapes": """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    attention = [(embed_dim, embed_dim), (embed_dim,)] * 4 + [(embed_dim,), (embed_dim,)]
    mlp = [(mlp_dim, embed_dim), (mlp_dim,), (embed_dim, mlp_dim), (embed_dim,), (embed_dim,), (embed_dim,)]
    block = attention + mlp + (attention if model == 3 else [])
    layers = depth + (temporal_depth if model == 2 else 0)
    return layers * sum(math.prod(shape) for shape in block)
""",
}


def _parameters(body: str) -> str:
    return f"""
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    D, M = embed_dim, mlp_dim
    norm, attention, mlp = 2 * D, 4 * (D * D + D), 2 * D * M + M + D
    block = 2 * norm + attention + mlp
{body}
"""


PARAMETERS_NO_BIASES = (
    ENCODER_PARAMETERS["formula"]
    .replace("(embed_dim**2 + embed_dim)", "embed_dim**2")
    .replace("2 * embed_dim * mlp_dim + mlp_dim + embed_dim", "2 * embed_dim * mlp_dim")
)
PARAMETERS_NO_NORMS = ENCODER_PARAMETERS["formula"].replace("norm = 2 * embed_dim", "norm = 0")
PARAMETERS_FOUR_LIKE_THREE = ENCODER_PARAMETERS["formula"].replace("model == 3", "model in (3, 4)")
PARAMETERS_FOUR_HALVED = _parameters("""
    extra = {2: temporal_depth * block, 3: depth * (norm + attention), 4: -depth * attention // 2}
    return depth * block + extra.get(model, 0)""")
PARAMETERS_THREE_NO_NORM = ENCODER_PARAMETERS["formula"].replace(
    "block + norm + attention", "block + attention"
)
PARAMETERS_THREE_DOUBLED = ENCODER_PARAMETERS["formula"].replace("(block + norm + attention)", "2 * block")
PARAMETERS_ALL_ALIKE = _parameters("    return depth * block")
PARAMETERS_TWO_DEEP = ENCODER_PARAMETERS["formula"].replace(
    "(depth + temporal_depth) * block", "2 * depth * block"
)
PARAMETERS_ONE_NORM = _parameters("""
    block = norm + attention + mlp
    extra = {2: temporal_depth * block, 3: depth * (norm + attention)}
    return depth * block + extra.get(model, 0)""")
PARAMETERS_NO_PROJECTION = ENCODER_PARAMETERS["formula"].replace("4 * (embed", "3 * (embed")

# --------------------------------------------------------------------------------------- 07.6 order of axes

ATTEND_IN_TURN = {
    "einops": '''
def attend_in_turn(x: Tensor, attend, axes) -> Tensor:  # (B, t, h, w, D) -> (B, t, h, w, D)
    """Attention along each of the named axes in turn, each added to what was there."""
    sizes = dict(zip("bthw", x.shape[:4]))
    for seen in axes:
        others = " ".join(axis for axis in "bthw" if axis not in seen)
        rows = f"({others}) ({' '.join(seen)}) d"
        y = attend(rearrange(x, f"b t h w d -> {rows}"))
        x = x + rearrange(y, f"{rows} -> b t h w d", **sizes)
    return x
''',
    "movedim": """
def attend_in_turn(x, attend, axes):
    for seen in axes:
        old = [1 + "thw".index(axis) for axis in seen]
        new = list(range(4 - len(old), 4))
        moved = x.movedim(old, new)
        y = attend(moved.reshape(-1, math.prod(moved.shape[4 - len(old) : 4]), x.shape[-1]))
        x = x + y.reshape(moved.shape).movedim(new, old)
    return x
""",
    "permute there and back": """
def attend_in_turn(x, attend, axes):
    for seen in axes:
        order = [i for i, name in enumerate("bthw") if name not in seen]
        order = order + ["bthw".index(name) for name in seen] + [4]
        back = [order.index(i) for i in range(5)]
        y = x.permute(order)
        rows = math.prod(y.shape[: 4 - len(seen)])
        x = x + attend(y.reshape(rows, -1, x.shape[4])).reshape(y.shape).permute(back)
    return x
""",
    "loop over the others": """
def attend_in_turn(x, attend, axes):
    B, t, h, w, D = x.shape
    for seen in axes:
        new = x.clone()
        others = [range(size) if name not in seen else [slice(None)]
                  for name, size in zip("bthw", (B, t, h, w))]
        for b in others[0]:
            for i in others[1]:
                for j in others[2]:
                    for k in others[3]:
                        part = x[b, i, j, k]
                        new[b, i, j, k] = part + attend(part.reshape(1, -1, D)).reshape(part.shape)
        x = new
    return x
""",
}


def _turn(step: str, end: str = "x", loop: str = "for seen in axes", before: str = "") -> str:
    return f"""
def attend_in_turn(x, attend, axes):
    def along(x, seen):
        sizes = dict(zip("bthw", x.shape[:4]))
        others = " ".join(axis for axis in "bthw" if axis not in seen)
        rows = f"({{others}}) ({{' '.join(seen)}}) d"
        return rearrange(attend(rearrange(x, f"b t h w d -> {{rows}}")), f"{{rows}} -> b t h w d", **sizes)

    {before}
    {loop}:
        {step}
    return {end}
"""


TURN_NO_RESIDUAL = _turn("x = along(x, seen)")
TURN_PARALLEL = _turn("out = out + along(x, seen)", "out", before="out = x")
TURN_REVERSED = _turn("x = x + along(x, seen)", loop="for seen in reversed(axes)")
TURN_SORTED = _turn("x = x + along(x, seen)", loop="for seen in sorted(axes, reverse=True)")
TURN_FIRST_ONLY = _turn("x = x + along(x, seen)", loop="for seen in axes[:1]")
TURN_RESIDUAL_AT_THE_END = _turn("x = along(x, seen)", "start + x", before="start = x")
TURN_COMPLEMENT = """
def attend_in_turn(x, attend, axes):
    sizes = dict(zip("bthw", x.shape[:4]))
    for seen in axes:
        others = " ".join(axis for axis in "thw" if axis not in seen)
        rows = f"(b {' '.join(seen)}) ({others}) d"
        y = attend(rearrange(x, f"b t h w d -> {rows}"))
        x = x + rearrange(y, f"{rows} -> b t h w d", **sizes)
    return x
"""
TURN_RAW_RESHAPE = """
def attend_in_turn(x, attend, axes):
    for seen in axes:
        length = math.prod(x.shape["bthw".index(axis)] for axis in seen)
        x = x + attend(x.reshape(-1, length, x.shape[-1])).reshape(x.shape)
    return x
"""
