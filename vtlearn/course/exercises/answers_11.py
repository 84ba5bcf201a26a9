"""Answers to the exercises of lesson 11, as source: right ones in several styles, and the usual mistakes."""

# --------------------------------------------------------------------------------- 11.1 record weights

RECORD = {
    "hooks on qkv": '''
def record_weights(model: nn.Module, x: Tensor, num_heads: int) -> dict[str, Tensor]:
    """Layer name → weights (B, heads, N, N) of every attention in the model, recomputed from q and k."""
    record, hooks = {}, []

    def keep(name):
        def hook(module, given, out):
            q, k, _ = rearrange(out, "b n (three h d) -> three b h n d", three=3, h=num_heads)
            record[name] = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        return hook

    for name, module in model.named_modules():
        if name.endswith(".qkv"):
            hooks.append(module.register_forward_hook(keep(name.removesuffix(".qkv"))))
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return record
''',
    "an exit stack": """
def record_weights(model, x, num_heads):
    from contextlib import ExitStack
    from functools import partial

    seen = {}

    def keep(module, given, out, name):
        B, N, width = out.shape
        d = width // 3 // num_heads
        parts = out.detach().view(B, N, 3, num_heads, d).permute(2, 0, 3, 1, 4)
        scores = einsum(parts[0], parts[1], "b h i d, b h j d -> b h i j")
        seen[name] = torch.softmax(scores * d**-0.5, dim=-1)

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name.split(".")[-1] == "qkv":
                handle = module.register_forward_hook(partial(keep, name=name.rpartition(".")[0]))
                stack.callback(handle.remove)
        with torch.inference_mode():
            model(x)
    return seen
""",
    "outputs kept, weights afterwards": """
@torch.no_grad()
def record_weights(model, x, num_heads):
    outputs = []
    names = {module: name[: -len(".qkv")] for name, module in model.named_modules() if name.endswith(".qkv")}
    handles = [
        module.register_forward_hook(lambda module, given, out: outputs.append((names[module], out.clone())))
        for module in names
    ]
    try:
        model(x)
    finally:
        [handle.remove() for handle in handles]
    weights = {}
    for name, out in outputs:
        q, k, v = out.chunk(3, dim=-1)
        heads = []
        for q_one, k_one in zip(q.chunk(num_heads, -1), k.chunk(num_heads, -1)):
            scores = torch.bmm(q_one, k_one.mT) / math.sqrt(q_one.size(-1))
            heads.append(F.softmax(scores, -1))
        weights[name] = torch.stack(heads, 1)
    return weights
""",
}

_RECORD = """
def record_weights(model, x, num_heads):
    record, hooks = {{}}, []

    def keep(name):
        def hook(module, given, out):
            {split}
            record[name] = {weights}
        return hook

    for name, module in model.named_modules():
        if name.endswith(".qkv"):
            hooks.append(module.register_forward_hook(keep({name})))
    {run}
    return record
"""
_RECORD_RIGHT = {
    "split": 'q, k, v = rearrange(out, "b n (three h d) -> three b h n d", three=3, h=num_heads)',
    "weights": "(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)",
    "name": 'name.removesuffix(".qkv")',
    "run": """try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()""",
}
RECORD_HOOKS_STAY = _RECORD.format(**_RECORD_RIGHT | {"run": "with torch.no_grad():\n        model(x)"})
RECORD_HOOKS_STAY_ON_ERROR = _RECORD.format(
    **_RECORD_RIGHT
    | {"run": "with torch.no_grad():\n        model(x)\n    for hook in hooks:\n        hook.remove()"}
)
RECORD_NOT_SCALED = _RECORD.format(**_RECORD_RIGHT | {"weights": "(q @ k.transpose(-2, -1)).softmax(-1)"})
RECORD_OVER_QUERIES = _RECORD.format(
    **_RECORD_RIGHT | {"weights": "(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-2)"}
)
RECORD_SCORES = _RECORD.format(**_RECORD_RIGHT | {"weights": "q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5"})
RECORD_HEADS_FAST = _RECORD.format(
    **_RECORD_RIGHT
    | {"split": 'q, k, v = rearrange(out, "b n (three d h) -> three b h n d", three=3, h=num_heads)'}
)
RECORD_QKV_FAST = _RECORD.format(
    **_RECORD_RIGHT
    | {"split": 'q, k, v = rearrange(out, "b n (h three d) -> three b h n d", three=3, h=num_heads)'}
)
RECORD_ONE_HEAD = _RECORD.format(
    **_RECORD_RIGHT | {"split": 'q, k, v = rearrange(out, "b n (three d) -> three b 1 n d", three=3)'}
)
RECORD_K_V = _RECORD.format(
    **_RECORD_RIGHT
    | {"split": '_, q, k = rearrange(out, "b n (three h d) -> three b h n d", three=3, h=num_heads)'}
)
RECORD_GRAPH = _RECORD.format(
    **_RECORD_RIGHT | {"run": _RECORD_RIGHT["run"].replace("torch.no_grad()", "torch.enable_grad()")}
)
RECORD_WHOLE_NAMES = _RECORD.format(**_RECORD_RIGHT | {"name": "name"})

# ---------------------------------------------------------------------------------------- 11.2 rollout

ROLLOUT = {
    "a loop": '''
def rollout(layers: list[Tensor]) -> Tensor:
    """What each token of the last layer holds of each token of the first: (B, N, N)."""
    joined = torch.eye(layers[0].shape[-1])
    for weights in layers:
        mixed = 0.5 * weights.mean(1) + 0.5 * torch.eye(weights.shape[-1])
        joined = mixed @ joined
    return joined
''',
    "add, then divide by the rows' sums": """
def rollout(layers):
    result = None
    for weights in layers:
        table = weights.mean(dim=1) + torch.eye(weights.size(-1), dtype=weights.dtype)
        table = table / table.sum(dim=-1, keepdim=True)
        result = table if result is None else torch.bmm(table, result)
    return result
""",
    "all layers in one tensor, multiplied from the last": """
def rollout(layers):
    tables = reduce(torch.stack(list(layers)).double(), "l b h i j -> l b i j", "mean")
    tables.diagonal(dim1=-2, dim2=-1).add_(1)
    tables = tables / 2
    product = tables[-1]
    for table in tables.flip(0)[1:]:
        product = einsum(product, table, "b i k, b k j -> b i j")
    return product
""",
    "one clip at a time": """
def rollout(layers):
    clips = []
    for b in range(len(layers[0])):
        tables = [(w[b].mean(0) + torch.eye(w.shape[-1])) / 2 for w in layers]
        clips.append(tables[0] if len(tables) == 1 else torch.linalg.multi_dot(tables[::-1]))
    return torch.stack(clips)
""",
}
_ROLLOUT = """
def rollout(layers):
    one = torch.eye(layers[0].shape[-1])
    joined = {start}
    for weights in {layers}:
        mixed = {mixed}
        joined = {joined}
    return {result}
"""
_ROLLOUT_RIGHT = {
    "start": "one.expand(len(layers[0]), -1, -1)",
    "layers": "layers",
    "mixed": "0.5 * weights.mean(1) + 0.5 * one",
    "joined": "mixed @ joined",
    "result": "joined",
}
ROLLOUT_NO_RESIDUAL = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"mixed": "weights.mean(1)"})
ROLLOUT_NOT_DIVIDED = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"mixed": "weights.mean(1) + one"})
ROLLOUT_FIRST_LEFT = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"joined": "joined @ mixed"})
ROLLOUT_HEADS_SUMMED = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"mixed": "0.5 * weights.sum(1) + 0.5 * one"})
ROLLOUT_HEADS_MAX = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"mixed": "0.5 * weights.amax(1) + 0.5 * one"})
ROLLOUT_ELEMENTWISE = _ROLLOUT.format(
    **_ROLLOUT_RIGHT
    | {"start": "torch.ones_like(one).expand(len(layers[0]), -1, -1)", "joined": "mixed * joined"}
)
ROLLOUT_AVERAGED = _ROLLOUT.format(
    **_ROLLOUT_RIGHT | {"start": "0", "joined": "joined + mixed", "result": "joined / len(layers)"}
)
ROLLOUT_LAST_ONLY = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"layers": "layers[-1:]"})
ROLLOUT_RESIDUAL_ONCE = _ROLLOUT.format(
    **_ROLLOUT_RIGHT | {"mixed": "weights.mean(1)", "result": "0.5 * joined + 0.5 * one"}
)
ROLLOUT_CLASS_ROW = _ROLLOUT.format(**_ROLLOUT_RIGHT | {"result": "joined[:, 0]"})
ROLLOUT_HEADS_APART = """
def rollout(layers):
    one = torch.eye(layers[0].shape[-1])
    joined = one
    for weights in layers:
        joined = (0.5 * weights + 0.5 * one) @ joined
    return joined.mean(1)
"""

# ------------------------------------------------------------------ 11.3 the tables of a divided block

TABLES = {
    "filled in frame by frame": '''
def block_tables(time: Tensor, space: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
    """The step over time and the step over space, each as a table (B, N, N) over all tokens of the clip."""
    t, s = num_frames, space.shape[-1] - 1
    time = rearrange(time.mean(1), "(b s) i j -> b s i j", s=s)
    space = rearrange(space.mean(1), "(b t) i j -> b t i j", t=t)
    over_time = torch.zeros(len(time), 1 + t * s, 1 + t * s)
    over_space = torch.zeros_like(over_time)
    over_time[:, 0, 0] = 1
    for place in range(s):
        own = torch.arange(1 + place, 1 + t * s, s)
        over_time[:, own[:, None], own] = time[:, place]
    over_space[:, 0, 0] = space[:, :, 0, 0].mean(1)
    for frame in range(t):
        own = slice(1 + frame * s, 1 + (frame + 1) * s)
        over_space[:, 0, own] = space[:, frame, 0, 1:] / t
        over_space[:, own, 0] = space[:, frame, 1:, 0]
        over_space[:, own, own] = space[:, frame, 1:, 1:]
    return over_time, over_space
''',
    "products with the identity": """
def block_tables(time, space, num_frames):
    t, s = num_frames, space.shape[-1] - 1
    time = time.mean(1).unflatten(0, (-1, s))
    space = space.mean(1).unflatten(0, (-1, t))
    same_place, same_frame = torch.eye(s).to(time), torch.eye(t).to(time)
    patches = einsum(time, same_place, "b p f g, p q -> b f p g q").flatten(3, 4).flatten(1, 2)
    over_time = F.pad(patches, (1, 0, 1, 0))
    over_time[:, 0, 0] = 1.0
    patches = einsum(space[:, :, 1:, 1:], same_frame, "b f p q, f g -> b f p g q").flatten(3, 4).flatten(1, 2)
    over_space = F.pad(patches, (1, 0, 1, 0))
    over_space[:, 1:, 0] = space[:, :, 1:, 0].flatten(1)
    over_space[:, 0, 1:] = (space[:, :, 0, 1:] / t).flatten(1)
    over_space[:, 0, 0] = space[:, :, 0, 0].sum(1) / t
    return over_time, over_space
""",
    "number by number": """
def block_tables(time, space, num_frames):
    s = space.shape[-1] - 1
    batch, n = len(space) // num_frames, 1 + num_frames * s
    time, space = time.double().mean(1), space.double().mean(1)
    tables = torch.zeros(2, batch, n, n, dtype=torch.float64)
    for b in range(batch):
        tables[0, b, 0, 0] = 1
        for f in range(num_frames):
            inside = space[b * num_frames + f]
            tables[1, b, 0, 0] += inside[0, 0] / num_frames
            for p in range(s):
                me = 1 + f * s + p
                tables[1, b, 0, me] = inside[0, 1 + p] / num_frames
                tables[1, b, me, 0] = inside[1 + p, 0]
                for g in range(num_frames):
                    tables[0, b, me, 1 + g * s + p] = time[b * s + p, f, g]
                for q in range(s):
                    tables[1, b, me, 1 + f * s + q] = inside[1 + p, 1 + q]
    return tables[0], tables[1]
""",
}
_TABLES = """
def block_tables(time, space, num_frames):
    t, s = num_frames, space.shape[-1] - 1
    time = {time}
    space = {space}
    over_time = torch.zeros(len(time), 1 + t * s, 1 + t * s)
    over_space = torch.zeros_like(over_time)
    over_time[:, 0, 0] = {alone}
    for place in range(s):
        own = {place}
        over_time[:, own[:, None], own] = time[:, place]
    over_space[:, 0, 0] = {itself}
    for frame in range(t):
        own = {frame}
        over_space[:, 0, own] = {reads}
        over_space[:, own, 0] = {is_read}
        over_space[:, own, own] = space[:, frame, 1:, 1:]
    return {result}
"""
_TABLES_RIGHT = {
    "time": 'rearrange(time.mean(1), "(b s) i j -> b s i j", s=s)',
    "space": 'rearrange(space.mean(1), "(b t) i j -> b t i j", t=t)',
    "alone": "1",
    "place": "torch.arange(1 + place, 1 + t * s, s)",
    "itself": "space[:, :, 0, 0].mean(1)",
    "frame": "slice(1 + frame * s, 1 + (frame + 1) * s)",
    "reads": "space[:, frame, 0, 1:] / t",
    "is_read": "space[:, frame, 1:, 0]",
    "result": "over_time, over_space",
}
TABLES_TOKEN_LOST = _TABLES.format(**_TABLES_RIGHT | {"alone": "0"})
TABLES_CLIPS_MIXED_IN_TIME = _TABLES.format(
    **_TABLES_RIGHT | {"time": 'rearrange(time.mean(1), "(s b) i j -> b s i j", s=s)'}
)
TABLES_CLIPS_MIXED_IN_SPACE = _TABLES.format(
    **_TABLES_RIGHT | {"space": 'rearrange(space.mean(1), "(t b) i j -> b t i j", t=t)'}
)
TABLES_SUMMED = _TABLES.format(
    **_TABLES_RIGHT | {"itself": "space[:, :, 0, 0].sum(1)", "reads": "space[:, frame, 0, 1:]"}
)
TABLES_FIRST_COPY = _TABLES.format(
    **_TABLES_RIGHT | {"itself": "space[:, 0, 0, 0]", "reads": "space[:, 0, 0, 1:] if frame == 0 else 0"}
)
TABLES_NEVER_READ = _TABLES.format(**_TABLES_RIGHT | {"is_read": "0"})
TABLES_TIME_FASTEST = _TABLES.format(
    **_TABLES_RIGHT
    | {
        "place": "torch.arange(1 + place * t, 1 + (place + 1) * t)",
        "frame": "torch.arange(1 + frame, 1 + t * s, t)",
    }
).replace("over_space[:, own, own]", "over_space[:, own[:, None], own]")
TABLES_EXCHANGED = _TABLES.format(**_TABLES_RIGHT | {"result": "over_space, over_time"})
TABLES_TURNED = _TABLES.format(**_TABLES_RIGHT | {"result": "over_time.mT, over_space.mT"})
TABLES_JOINED = _TABLES.format(**_TABLES_RIGHT | {"result": "over_space @ over_time"})
TABLES_ONE_HEAD = _TABLES.format(
    **_TABLES_RIGHT
    | {
        "time": 'rearrange(time[:, 0], "(b s) i j -> b s i j", s=s)',
        "space": 'rearrange(space[:, 0], "(b t) i j -> b t i j", t=t)',
    }
)

# ---------------------------------------------------------------------- 11.4 the random-weight control

RANDOM_WEIGHTS = {
    "a copy, shuffled": '''
def with_random_weights(model: nn.Module, seed: int) -> nn.Module:
    """A copy of the model in which every parameter holds its own numbers in random order."""
    import copy

    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return other
''',
    "through the state": """
def with_random_weights(model, seed):
    from copy import deepcopy

    draw = np.random.default_rng(seed)
    other, state = deepcopy(model), {}
    learned = {name for name, _ in model.named_parameters()}
    for name, value in model.state_dict().items():
        if name in learned:
            order = torch.from_numpy(draw.permutation(value.numel()))
            value = value.reshape(-1)[order].reshape(value.shape)
        state[name] = value.clone()
    other.load_state_dict(state)
    return other
""",
    "a forked generator": """
def with_random_weights(model, seed):
    import copy

    other = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in other.parameters():
            numbers = parameter.data.flatten()
            parameter.data = numbers[torch.rand(len(numbers)).argsort()].reshape(parameter.shape)
    return other
""",
}
_RANDOM = """
def with_random_weights(model, seed):
    import copy

    generator = {generator}
    other = {other}
    with torch.no_grad():
        for parameter in {parameters}:
            {each}
            {write}
    return other
"""
_RANDOM_RIGHT = {
    "generator": "torch.Generator().manual_seed(seed)",
    "other": "copy.deepcopy(model)",
    "parameters": "other.parameters()",
    "each": "order = torch.randperm(parameter.numel(), generator=generator)",
    "write": "parameter.copy_(parameter.flatten()[order].view_as(parameter))",
}
RANDOM_IN_PLACE = _RANDOM.format(**_RANDOM_RIGHT | {"other": "model"})
RANDOM_SHALLOW = _RANDOM.format(**_RANDOM_RIGHT | {"other": "copy.copy(model)"})
RANDOM_ROWS = _RANDOM.format(
    **_RANDOM_RIGHT
    | {
        "each": "order = torch.randperm(len(parameter), generator=generator)",
        "write": "parameter.copy_(parameter[order])",
    }
)
RANDOM_FRESH = _RANDOM.format(
    **_RANDOM_RIGHT | {"each": "pass", "write": "parameter.normal_(std=0.02, generator=generator)"}
)
RANDOM_GLOBAL = _RANDOM.format(**_RANDOM_RIGHT | {"generator": "torch.manual_seed(seed)"})
RANDOM_ALIKE = _RANDOM.format(
    **_RANDOM_RIGHT
    | {
        "each": "order = torch.randperm(parameter.numel(), generator=torch.Generator().manual_seed(seed))",
    }
)
RANDOM_MATRICES_ONLY = _RANDOM.format(
    **_RANDOM_RIGHT | {"parameters": "(p for p in other.parameters() if p.ndim > 1)"}
)
RANDOM_NO_SEED = _RANDOM.format(
    **_RANDOM_RIGHT | {"generator": "torch.Generator()", "each": "order = torch.randperm(parameter.numel())"}
)

# ------------------------------------------------------------------------------ 11.5 the deletion test

DELETION = {
    "a mask": '''
def without_patches(clips: Tensor, heat: Tensor, number: int) -> Tensor:
    """The clips with the `number` hottest places of each replaced by the mean colour of their frame."""
    (B, T, C, H, W), (_, t, h, w) = clips.shape, heat.shape
    hottest = heat.flatten(1).topk(number).indices
    gone = torch.zeros(B, t * h * w, dtype=torch.bool).scatter(1, hottest, True).view(B, t, h, w)
    gone = repeat(gone, "b t h w -> b (t x) 1 (h y) (w z)", x=T // t, y=H // h, z=W // w)
    return torch.where(gone, clips.mean((3, 4), keepdim=True), clips)
''',
    "one place after another": """
def without_patches(clips, heat, number):
    T, H, W = clips.shape[1], clips.shape[-2], clips.shape[-1]
    t, h, w = heat.shape[1:]
    x, y, z = T // t, H // h, W // w
    out = clips.clone()
    for b in range(len(clips)):
        for place in heat[b].flatten().argsort(descending=True)[:number].tolist():
            f, r, c = place // (h * w), place // w % h, place % w
            for frame in range(f * x, (f + 1) * x):
                colour = clips[b, frame].mean(dim=(-2, -1))
                out[b, frame, :, r * y : (r + 1) * y, c * z : (c + 1) * z] = colour[:, None, None]
    return out
""",
    "ranks, and a mask of numbers": """
def without_patches(clips, heat, number):
    ranks = heat.flatten(1).argsort(1, descending=True).argsort(1).view_as(heat)
    kept = (ranks >= number).to(clips)
    for axis, size in ((1, clips.shape[1]), (2, clips.shape[3]), (3, clips.shape[4])):
        kept = kept.repeat_interleave(size // kept.shape[axis], dim=axis)
    kept = kept.unsqueeze(2)
    mean = reduce(clips, "b t c h w -> b t c 1 1", "mean")
    return kept * clips + (1 - kept) * mean
""",
    "numpy": """
def without_patches(clips, heat, number):
    out = clips.numpy().copy()
    means = out.mean(axis=(3, 4), keepdims=True)
    x, y, z = (a // b for a, b in zip((clips.shape[1], clips.shape[3], clips.shape[4]), heat.shape[1:]))
    for b, own in enumerate(heat.numpy()):
        for flat in np.argsort(-own, axis=None)[:number]:
            f, r, c = np.unravel_index(flat, own.shape)
            part = (b, slice(f * x, f * x + x), slice(None), slice(r * y, r * y + y), slice(c * z, c * z + z))
            out[part] = means[b, f * x : f * x + x]
    return torch.from_numpy(out)
""",
}
_DELETION = """
def without_patches(clips, heat, number):
    (B, T, C, H, W), (_, t, h, w) = clips.shape, heat.shape
    {hottest}
    gone = torch.zeros(B, t * h * w, dtype=torch.bool).scatter(1, hottest, True)
    {grid}
    {fill}
    return torch.where({gone}, fill, clips)
"""
_DELETION_RIGHT = {
    "hottest": "hottest = heat.flatten(1).topk(number).indices",
    "grid": 'gone = repeat(gone.view(B, t, h, w), "b t h w -> b (t x) 1 (h y) (w z)", '
    "x=T // t, y=H // h, z=W // w)",
    "fill": "fill = clips.mean((3, 4), keepdim=True)",
    "gone": "gone",
}
DELETION_LOWEST = _DELETION.format(
    **_DELETION_RIGHT | {"hottest": "hottest = heat.flatten(1).topk(number, largest=False).indices"}
)
DELETION_KEPT = _DELETION.format(**_DELETION_RIGHT | {"gone": "~gone"})
DELETION_PER_FRAME = _DELETION.format(
    **_DELETION_RIGHT
    | {
        "hottest": "hottest = heat.flatten(2).topk(number // t).indices\n"
        "    hottest = (hottest + torch.arange(t)[:, None] * h * w).flatten(1)"
    }
)
DELETION_OVER_BATCH = _DELETION.format(
    **_DELETION_RIGHT
    | {
        "grid": "gone = (heat >= heat.flatten().topk(number * B).values[-1]).view(B, -1)\n    "
        + _DELETION_RIGHT["grid"]
    }
)
DELETION_ZEROS = _DELETION.format(**_DELETION_RIGHT | {"fill": "fill = torch.zeros_like(clips)"})
DELETION_OVER_CLIP = _DELETION.format(
    **_DELETION_RIGHT | {"fill": "fill = clips.mean((1, 3, 4), keepdim=True)"}
)
DELETION_GREY = _DELETION.format(**_DELETION_RIGHT | {"fill": "fill = clips.mean((2, 3, 4), keepdim=True)"})
DELETION_EXCHANGED = _DELETION.format(
    **_DELETION_RIGHT
    | {
        "hottest": "hottest = heat.transpose(2, 3).flatten(1).topk(number).indices",
    }
)
DELETION_TILED = _DELETION.format(
    **_DELETION_RIGHT
    | {
        "grid": 'gone = repeat(gone.view(B, t, h, w), "b t h w -> b (x t) 1 (y h) (z w)", '
        "x=T // t, y=H // h, z=W // w)"
    }
)
DELETION_IN_PLACE = """
def without_patches(clips, heat, number):
    (B, T, C, H, W), (_, t, h, w) = clips.shape, heat.shape
    hottest = heat.flatten(1).topk(number).indices
    gone = torch.zeros(B, t * h * w, dtype=torch.bool).scatter(1, hottest, True).view(B, t, h, w)
    gone = repeat(gone, "b t h w -> b (t x) c (h y) (w z)", c=C, x=T // t, y=H // h, z=W // w)
    clips[gone] = clips.mean((3, 4), keepdim=True).expand_as(clips)[gone]
    return clips
"""
