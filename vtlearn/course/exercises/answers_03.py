"""Right and wrong answers to the exercises of lesson 03, as source; the tests run each through the check."""

# ------------------------------------------------------------------------------------------ 03.1 the band

BAND_MASK = {
    "broadcast": '''
def band_mask(num_tokens: int, window_size: int, causal: bool = False) -> Tensor:
    """Who may attend to whom in a sliding window."""
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]  # key minus query, (N, N)
    reach = window_size // 2
    return (offset >= -reach) & (offset <= (0 if causal else reach))
''',
    "triangles": """
def band_mask(num_tokens, window_size, causal=False):
    reach = window_size // 2
    everything = torch.ones(num_tokens, num_tokens, dtype=torch.bool)
    return everything.triu(-reach).tril(0 if causal else reach)
""",
    "loop over rows": """
def band_mask(num_tokens, window_size, causal=False):
    reach = window_size // 2
    mask = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    for query in range(num_tokens):
        last = query if causal else query + reach
        mask[query, max(0, query - reach) : last + 1] = True
    return mask
""",
    "zeros and ones": """
def band_mask(num_tokens, window_size, causal=False):
    reach = window_size // 2
    rows = []
    for query in range(num_tokens):
        furthest = query if causal else query + reach
        rows.append([1 if query - reach <= key <= furthest else 0 for key in range(num_tokens)])
    return torch.tensor(rows)
""",
    "einops": """
def band_mask(num_tokens, window_size, causal=False):
    query = repeat(torch.arange(num_tokens), "q -> q k", k=num_tokens)
    key = rearrange(query, "q k -> k q")
    near = (query - key).abs() * 2 < window_size
    return torch.logical_and(near, key <= query) if causal else near
""",
    "list of lists": """
def band_mask(num_tokens, window_size, causal=False):
    reach = (window_size - 1) // 2
    rows = range(num_tokens)
    return torch.tensor([[abs(i - j) <= reach and (not causal or j <= i) for j in rows] for i in rows])
""",
}

BAND_ONE_SIDED = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    return (offset >= -window_size) & (offset <= (0 if causal else window_size))
"""
BAND_TOO_NARROW = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    reach = window_size // 2
    return (offset > -reach) & (offset < (1 if causal else reach))
"""
BAND_FROM_QUERY = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    return (offset >= 0) & (offset < window_size)
"""
BAND_NEGATIVE_START = """
def band_mask(num_tokens, window_size, causal=False):
    reach = window_size // 2
    mask = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    for query in range(num_tokens):
        last = query if causal else query + reach
        mask[query, query - reach : last + 1] = True
    return mask
"""
BAND_WRAPS = """
def band_mask(num_tokens, window_size, causal=False):
    reach = window_size // 2
    eye = torch.eye(num_tokens, dtype=torch.bool)
    mask = torch.zeros_like(eye)
    for shift in range(-reach, 1 if causal else reach + 1):
        mask |= eye.roll(shift, dims=1)
    return mask
"""
BAND_INVERTED = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    reach = window_size // 2
    return (offset < -reach) | (offset > (0 if causal else reach))
"""
BAND_NOT_CAUSAL = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    return (position[None, :] - position[:, None]).abs() <= window_size // 2
"""
BAND_FUTURE = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[:, None] - position[None, :]
    reach = window_size // 2
    return (offset >= -reach) & (offset <= (0 if causal else reach))
"""
BAND_LONG_PAST = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    if causal:
        return (offset > -window_size) & (offset <= 0)
    return offset.abs() <= window_size // 2
"""
BAND_ADDITIVE = """
def band_mask(num_tokens, window_size, causal=False):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    reach = window_size // 2
    allowed = (offset >= -reach) & (offset <= (0 if causal else reach))
    return torch.zeros(num_tokens, num_tokens).masked_fill(~allowed, -math.inf)
"""
BAND_PUSHED_INWARDS = """
def band_mask(num_tokens, window_size, causal=False):
    mask = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    for i in range(num_tokens):
        start = min(max(0, i - window_size // 2), max(0, num_tokens - window_size))
        mask[i, start : start + window_size] = True
    return mask.tril() if causal else mask
"""

# -------------------------------------------------------------------------------- 03.2 dilation per head

DILATED_MASKS = {
    "broadcast": '''
def dilated_masks(num_tokens: int, window_size: int, dilations: list[int]) -> Tensor:
    """One mask a head: window_size keys, dilations[head] positions apart."""
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]  # (N, N)
    step = torch.tensor(dilations)[:, None, None]  # (heads, 1, 1)
    return (offset % step == 0) & (offset.abs() <= window_size // 2 * step)
''',
    "one head after the other": """
def dilated_masks(num_tokens, window_size, dilations):
    masks = []
    for step in dilations:
        offset = torch.arange(num_tokens) - torch.arange(num_tokens)[:, None]
        wanted = [multiple * step for multiple in range(-(window_size // 2), window_size // 2 + 1)]
        masks.append(torch.isin(offset, torch.tensor(wanted)))
    return torch.stack(masks)
""",
    "loop over keys": """
def dilated_masks(num_tokens, window_size, dilations):
    masks = torch.zeros(len(dilations), num_tokens, num_tokens, dtype=torch.bool)
    for head, step in enumerate(dilations):
        for query in range(num_tokens):
            for place in range(window_size):
                key = query + (place - window_size // 2) * step
                if 0 <= key < num_tokens:
                    masks[head, query, key] = True
    return masks
""",
    "diagonals of ones": """
def dilated_masks(num_tokens, window_size, dilations):
    masks = torch.zeros(len(dilations), num_tokens, num_tokens)
    reach = window_size // 2
    for head, step in enumerate(dilations):
        for offset in range(-reach * step, reach * step + 1, step):
            if abs(offset) < num_tokens:
                masks[head].diagonal(offset).fill_(1)
    return masks
""",
}

DILATED_NO_GAPS = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    step = torch.tensor(dilations)[:, None, None]
    return offset.abs() <= window_size // 2 * step
"""
DILATED_SAME_REACH = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    step = torch.tensor(dilations)[:, None, None]
    return (offset % step == 0) & (offset.abs() <= window_size // 2)
"""
DILATED_ABSOLUTE = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    step = torch.tensor(dilations)[:, None, None]
    return (position % step == 0) & (offset.abs() <= window_size // 2 * step)
"""
DILATED_SKIPPED = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    step = torch.tensor(dilations)[:, None, None] + 1
    return (offset % step == 0) & (offset.abs() <= window_size // 2 * step)
"""
DILATED_FIRST_FOR_ALL = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    step = dilations[0]
    mask = (offset % step == 0) & (offset.abs() <= window_size // 2 * step)
    return mask.repeat(len(dilations), 1, 1)
"""
DILATED_HEADS_LAST = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    masks = [(offset % step == 0) & (offset.abs() <= window_size // 2 * step) for step in dilations]
    return torch.stack(masks, dim=-1)
"""
DILATED_JOINED = """
def dilated_masks(num_tokens, window_size, dilations):
    position = torch.arange(num_tokens)
    offset = position[None, :] - position[:, None]
    step = torch.tensor(dilations)[:, None, None]
    return ((offset % step == 0) & (offset.abs() <= window_size // 2 * step)).any(0)
"""

# ------------------------------------------------------------------------------------ 03.3 global tokens

WITH_GLOBAL = {
    "either way": '''
def with_global(mask: Tensor, global_mask: Tensor) -> Tensor:
    """Let the global tokens attend to all, and be attended by all."""
    return mask | global_mask[:, None] | global_mask[None, :]
''',
    "rows and columns of a copy": """
def with_global(mask, global_mask):
    wider = mask.clone()
    wider[global_mask] = True
    wider[:, global_mask] = True
    return wider
""",
    "loop": """
def with_global(mask, global_mask):
    rows = mask.tolist()
    for token, is_global in enumerate(global_mask.tolist()):
        if is_global:
            for other in range(len(rows)):
                rows[token][other] = True
                rows[other][token] = True
    return torch.tensor(rows)
""",
    "outer product of ordinary tokens": """
def with_global(mask, global_mask):
    ordinary = (~global_mask).float()
    both_ordinary = torch.einsum("q,k->qk", ordinary, ordinary) > 0
    return torch.where(both_ordinary, mask, torch.ones_like(mask))
""",
    "zeros and ones": """
def with_global(mask, global_mask):
    special = rearrange(global_mask.int(), "n -> n 1")
    return (mask.int() + special + special.T).clamp(max=1)
""",
    "filled": """
def with_global(mask, global_mask):
    return mask.masked_fill(global_mask[:, None], True).masked_fill(global_mask, True)
""",
    "numpy": """
def with_global(mask, global_mask):
    table, chosen = mask.numpy().copy(), global_mask.numpy()
    table[chosen] = True
    table[:, chosen] = True
    return torch.from_numpy(table)
""",
}

GLOBAL_ROWS_ONLY = """
def with_global(mask, global_mask):
    return mask | global_mask[:, None]
"""
GLOBAL_COLUMNS_ONLY = """
def with_global(mask, global_mask):
    return mask | global_mask
"""
GLOBAL_AMONG_THEMSELVES = """
def with_global(mask, global_mask):
    return mask | (global_mask[:, None] & global_mask[None, :])
"""
GLOBAL_ALWAYS_FIRST = """
def with_global(mask, global_mask):
    wider = mask.clone()
    wider[0, :] = True
    wider[:, 0] = True
    return wider
"""
GLOBAL_WITHOUT_WINDOW = """
def with_global(mask, global_mask):
    return global_mask[:, None] | global_mask[None, :]
"""
GLOBAL_COUNTED_TWICE = """
def with_global(mask, global_mask):
    return mask.int() + global_mask.int()[:, None] + global_mask.int()[None, :]
"""
GLOBAL_EXCLUSIVE = """
def with_global(mask, global_mask):
    return mask ^ (global_mask[:, None] | global_mask[None, :])
"""
GLOBAL_IN_PLACE = """
def with_global(mask, global_mask):
    mask[global_mask, :] = True
    mask[:, global_mask] = True
    return mask
"""
GLOBAL_FIRST_ONLY = """
def with_global(mask, global_mask):
    wider = mask.clone()
    if global_mask.any():
        first = int(global_mask.int().argmax())
        wider[first], wider[:, first] = True, True
    return wider
"""

# ------------------------------------------------------------------------------- 03.4 banded attention

BANDED_ATTENTION = {
    "windows as views": '''
def banded_attention(q: Tensor, k: Tensor, v: Tensor, window_size: int) -> Tensor:
    """Sliding-window attention that stores n·w scores a head."""
    num_tokens, head_dim = q.shape[-2:]
    reach = window_size // 2
    keys = F.pad(k, (0, 0, reach, reach)).unfold(1, window_size, 1)  # (heads, N, d, w), a view
    values = F.pad(v, (0, 0, reach, reach)).unfold(1, window_size, 1)
    scores = einsum(q, keys, "h n d, h n d w -> h n w") / math.sqrt(head_dim)
    place = torch.arange(num_tokens)[:, None] + torch.arange(window_size) - reach  # (N, w): which key
    scores = scores.masked_fill((place < 0) | (place >= num_tokens), -math.inf)
    return einsum(scores.softmax(dim=-1), values, "h n w, h n d w -> h n d")
''',
    "column after column": """
def banded_attention(q, k, v, window_size):
    heads, num_tokens, head_dim = q.shape
    reach = window_size // 2
    scores = q.new_full((heads, num_tokens, window_size), -math.inf)
    for column in range(window_size):
        shift = column - reach
        first, last = max(0, -shift), min(num_tokens, num_tokens - shift)
        if first < last:
            products = q[:, first:last] * k[:, first + shift : last + shift]
            scores[:, first:last, column] = products.sum(-1) / head_dim**0.5
    weights = scores.softmax(-1)
    out = torch.zeros_like(q)
    for column in range(window_size):
        shift = column - reach
        first, last = max(0, -shift), min(num_tokens, num_tokens - shift)
        if first < last:
            out[:, first:last] += weights[:, first:last, column, None] * v[:, first + shift : last + shift]
    return out
""",
    "query after query": """
def banded_attention(q, k, v, window_size):
    reach = window_size // 2
    rows = []
    for i in range(q.shape[1]):
        near = slice(max(0, i - reach), i + reach + 1)
        scores = q[:, i : i + 1] @ k[:, near].transpose(1, 2) / q.shape[-1] ** 0.5  # (heads, 1, keys)
        rows.append(scores.softmax(-1) @ v[:, near])
    return torch.cat(rows, dim=1)
""",
    "gathered keys": """
def banded_attention(q, k, v, window_size):
    heads, num_tokens, head_dim = q.shape
    place = torch.arange(num_tokens)[:, None] + torch.arange(window_size)[None, :] - window_size // 2
    inside = (place >= 0) & (place < num_tokens)
    place = place.clamp(0, num_tokens - 1)
    keys, values = k[:, place], v[:, place]  # (heads, N, w, d)
    scores = (keys @ q.unsqueeze(-1)).squeeze(-1) / math.sqrt(head_dim)
    scores[:, ~inside] = float("-inf")
    return (torch.softmax(scores, -1).unsqueeze(-2) @ values).squeeze(-2)
""",
    "blocks with a halo": """
def banded_attention(q, k, v, window_size):
    heads, num_tokens, head_dim = q.shape
    reach, block, pieces = window_size // 2, 32, []
    for start in range(0, num_tokens, block):
        stop = min(start + block, num_tokens)
        low, high = max(0, start - reach), min(num_tokens, stop + reach)
        offset = torch.arange(low, high)[None, :] - torch.arange(start, stop)[:, None]
        scores = q[:, start:stop] @ k[:, low:high].mT / math.sqrt(head_dim)
        scores = torch.where(offset.abs() <= reach, scores, -torch.inf)
        pieces.append(scores.softmax(-1) @ v[:, low:high])
    return torch.cat(pieces, 1)
""",
    "numpy, query after query": """
def banded_attention(q, k, v, window_size):
    queries, keys, values = q.numpy(), k.numpy(), v.numpy()
    heads, num_tokens, head_dim = queries.shape
    reach = window_size // 2
    out = np.zeros_like(values)
    for h in range(heads):
        for i in range(num_tokens):
            near = slice(max(0, i - reach), i + reach + 1)
            scores = keys[h, near] @ queries[h, i] / np.sqrt(head_dim)
            shares = np.exp(scores - scores.max())
            out[h, i] = shares / shares.sum() @ values[h, near]
    return torch.from_numpy(out)
""",
    "rolled copies": """
def banded_attention(q, k, v, window_size):
    num_tokens, reach = q.shape[1], window_size // 2
    place = torch.arange(num_tokens)
    scores, shifted = [], []
    for step in range(-reach, reach + 1):
        one = (q * k.roll(-step, 1)).sum(-1) / math.sqrt(q.shape[-1])
        outside = (place + step < 0) | (place + step >= num_tokens)
        scores.append(one.masked_fill(outside, -math.inf))
        shifted.append(v.roll(-step, 1))
    weights = torch.stack(scores, -1).softmax(-1)
    return sum(weights[..., c, None] * shifted[c] for c in range(window_size))
""",
}

BANDED_BY_MASK = """
def banded_attention(q, k, v, window_size):
    position = torch.arange(q.shape[1])
    allowed = (position[None, :] - position[:, None]).abs() <= window_size // 2
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~allowed, -math.inf).softmax(-1) @ v
"""
BANDED_IN_PIECES = """
def banded_attention(q, k, v, window_size):
    num_tokens = q.shape[1]
    position, pieces = torch.arange(num_tokens), []
    for rows in position.split(max(1, num_tokens // 16)):
        allowed = (position[None, :] - rows[:, None]).abs() <= window_size // 2
        scores = q[:, rows] @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        pieces.append(scores.masked_fill(~allowed, -math.inf).softmax(-1) @ v)
    return torch.cat(pieces, dim=1)
"""
BANDED_ZERO_PADDED = """
def banded_attention(q, k, v, window_size):
    reach = window_size // 2
    keys = F.pad(k, (0, 0, reach, reach)).unfold(1, window_size, 1)
    values = F.pad(v, (0, 0, reach, reach)).unfold(1, window_size, 1)
    scores = torch.einsum("hnd,hndw->hnw", q, keys) / math.sqrt(q.shape[-1])
    return torch.einsum("hnw,hndw->hnd", scores.softmax(-1), values)
"""
BANDED_UNSCALED = """
def banded_attention(q, k, v, window_size):
    reach, rows = window_size // 2, []
    for i in range(q.shape[1]):
        near = slice(max(0, i - reach), i + reach + 1)
        rows.append((q[:, i : i + 1] @ k[:, near].mT).softmax(-1) @ v[:, near])
    return torch.cat(rows, dim=1)
"""
BANDED_SOFTMAX_OVER_QUERIES = """
def banded_attention(q, k, v, window_size):
    num_tokens, reach = q.shape[1], window_size // 2
    keys = F.pad(k, (0, 0, reach, reach)).unfold(1, window_size, 1)
    values = F.pad(v, (0, 0, reach, reach)).unfold(1, window_size, 1)
    scores = torch.einsum("hnd,hndw->hnw", q, keys) / math.sqrt(q.shape[-1])
    place = torch.arange(num_tokens)[:, None] + torch.arange(window_size) - reach
    scores = scores.masked_fill((place < 0) | (place >= num_tokens), -math.inf)
    return torch.einsum("hnw,hndw->hnd", scores.softmax(1), values)
"""
BANDED_VALUES_REVERSED = """
def banded_attention(q, k, v, window_size):
    num_tokens, reach = q.shape[1], window_size // 2
    keys = F.pad(k, (0, 0, reach, reach)).unfold(1, window_size, 1)
    values = F.pad(v, (0, 0, reach, reach)).unfold(1, window_size, 1).flip(-1)
    scores = torch.einsum("hnd,hndw->hnw", q, keys) / math.sqrt(q.shape[-1])
    place = torch.arange(num_tokens)[:, None] + torch.arange(window_size) - reach
    scores = scores.masked_fill((place < 0) | (place >= num_tokens), -math.inf)
    return torch.einsum("hnw,hndw->hnd", scores.softmax(-1), values)
"""
BANDED_WRAPS = """
def banded_attention(q, k, v, window_size):
    shifts = range(-(window_size // 2), window_size // 2 + 1)
    keys = torch.stack([k.roll(-shift, dims=1) for shift in shifts], dim=2)
    values = torch.stack([v.roll(-shift, dims=1) for shift in shifts], dim=2)
    scores = (q.unsqueeze(2) * keys).sum(-1) / math.sqrt(q.shape[-1])
    return (scores.softmax(-1).unsqueeze(-1) * values).sum(2)
"""
BANDED_ONE_SIDED = """
def banded_attention(q, k, v, window_size):
    rows = []
    for i in range(q.shape[1]):
        near = slice(max(0, i - window_size), i + window_size + 1)
        scores = q[:, i : i + 1] @ k[:, near].mT / math.sqrt(q.shape[-1])
        rows.append(scores.softmax(-1) @ v[:, near])
    return torch.cat(rows, dim=1)
"""
BANDED_IN_NUMPY = """
def banded_attention(q, k, v, window_size):
    scores = q.numpy() @ k.numpy().transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    place = np.arange(q.shape[1])
    scores[:, abs(place[None] - place[:, None]) > window_size // 2] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return torch.from_numpy(shares / shares.sum(-1, keepdims=True) @ v.numpy())
"""
BANDED_IN_NUMPY_ROWS = """
def banded_attention(q, k, v, window_size):
    queries, keys, values = q.numpy(), k.numpy(), v.numpy()
    place, out = np.arange(q.shape[1]), np.zeros_like(values)
    for i in place:
        scores = np.einsum("hd,hjd->hj", queries[:, i], keys) / np.sqrt(q.shape[-1])
        scores[:, abs(place - i) > window_size // 2] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, i] = np.einsum("hj,hjd->hd", shares / shares.sum(-1, keepdims=True), values)
    return torch.from_numpy(out)
"""
BANDED_SHORT_SLICE = """
def banded_attention(q, k, v, window_size):
    reach, rows = window_size // 2, []
    for i in range(q.shape[1]):
        near = slice(max(0, i - reach), max(1, i + reach))
        weights = (q[:, i : i + 1] @ k[:, near].mT / math.sqrt(q.shape[-1])).softmax(-1)
        rows.append(weights @ v[:, near])
    return torch.cat(rows, dim=1)
"""
BANDED_NEGATIVE_START = """
def banded_attention(q, k, v, window_size):
    reach, rows = window_size // 2, []
    for i in range(q.shape[1]):
        near = slice(i - reach, i + reach + 1)
        weights = (q[:, i : i + 1] @ k[:, near].mT / math.sqrt(q.shape[-1])).softmax(-1)
        rows.append(weights @ v[:, near])
    return torch.cat(rows, dim=1)
"""
BANDED_BLOCKS = """
def banded_attention(q, k, v, window_size):
    blocks = []
    for start in range(0, q.shape[1], window_size):
        here = slice(start, start + window_size)
        weights = (q[:, here] @ k[:, here].mT / math.sqrt(q.shape[-1])).softmax(-1)
        blocks.append(weights @ v[:, here])
    return torch.cat(blocks, dim=1)
"""

# ------------------------------------------------------------------------------- 03.5 receptive field

RECEPTIVE_FIELD = {
    "sum": '''
def receptive_field(
    window_sizes: list[int], dilations: list[int], num_tokens: int, has_global: bool
) -> int:
    """How many positions, from first to last, one output depends on."""
    field = 1 + sum((size - 1) * step for size, step in zip(window_sizes, dilations))
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
''',
    "walking outwards": """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    first = last = 0
    for layer in range(len(window_sizes)):
        first -= window_sizes[layer] // 2 * dilations[layer]
        last += window_sizes[layer] // 2 * dilations[layer]
    if has_global and len(window_sizes) > 1:
        return num_tokens
    return min(num_tokens, last - first + 1 + int(has_global))
""",
    "sets of positions": """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    reached = {0}
    for size, step in zip(window_sizes, dilations):
        near = [step * (place - size // 2) for place in range(size)]
        reached = {position + offset for position in reached for offset in near}
    field = max(reached) - min(reached) + 1
    if has_global:
        field = field + 1 if len(window_sizes) == 1 else num_tokens
    return min(field, num_tokens)
""",
    "tensors": """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    widening = (torch.tensor(window_sizes) - 1) @ torch.tensor(dilations)
    if has_global:
        widening = torch.tensor(num_tokens) if len(window_sizes) > 1 else widening + 1
    return torch.clamp(1 + widening, max=num_tokens)
""",
    "recursion": """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    if has_global and len(window_sizes) > 1:
        return num_tokens
    if not window_sizes:
        return 1
    below = receptive_field(window_sizes[:-1], dilations[:-1], num_tokens, False)
    return min(num_tokens, below + (window_sizes[-1] - 1) * dilations[-1] + int(has_global))
""",
}

FIELD_DEPTH_TIMES_WINDOW = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = sum(size * step for size, step in zip(window_sizes, dilations))
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
"""
FIELD_PRODUCT = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = math.prod(1 + (size - 1) * step for size, step in zip(window_sizes, dilations))
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
"""
FIELD_LAST_LAYER = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = 1 + (window_sizes[-1] - 1) * dilations[-1]
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
"""
FIELD_EQUAL_LAYERS = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = 1 + len(window_sizes) * (window_sizes[0] - 1) * dilations[0]
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
"""
FIELD_NO_DILATION = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = 1 + sum(size - 1 for size in window_sizes)
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
"""
FIELD_ONE_SIDE = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = 1 + sum(size // 2 * step for size, step in zip(window_sizes, dilations))
    if has_global:
        field = num_tokens if len(window_sizes) >= 2 else field + 1
    return min(field, num_tokens)
"""
FIELD_UNCAPPED = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    if has_global and len(window_sizes) >= 2:
        return num_tokens
    return 1 + sum((size - 1) * step for size, step in zip(window_sizes, dilations)) + int(has_global)
"""
FIELD_GLOBAL_IGNORED = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    field = 1 + sum((size - 1) * step for size, step in zip(window_sizes, dilations))
    return min(field, num_tokens)
"""
FIELD_GLOBAL_AT_ONCE = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    if has_global:
        return num_tokens
    return min(num_tokens, 1 + sum((size - 1) * step for size, step in zip(window_sizes, dilations)))
"""
FIELD_CAPPED_EARLY = """
def receptive_field(window_sizes, dilations, num_tokens, has_global):
    layers = zip(window_sizes, dilations)
    field = min(num_tokens, 1 + sum((size - 1) * step for size, step in layers))
    if has_global:
        field = num_tokens if len(window_sizes) > 1 else field + 1
    return field
"""

# ------------------------------------------------------------------------------- 03.6 staged schedule

STAGED_SCHEDULE = {
    "powers of two": '''
def staged_schedule(
    window_size: int, phases: int = 5,
    length: int = 2048, learning_rate: float = 2.5e-4, longest: int = 23040
) -> list[tuple[int, int, float]]:
    """One (length, window_size, learning_rate) a phase."""
    plan = []
    for phase in range(phases):
        factor = 2**phase
        window = 2 * (window_size // 2) * factor + 1
        plan.append((min(length * factor, longest), window, learning_rate / factor))
    return plan
''',
    "step by step": """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    plan = []
    for _ in range(phases):
        plan.append((length, window_size, learning_rate))
        length, learning_rate = min(2 * length, longest), learning_rate / 2
        window_size = 2 * window_size - 1
    return plan
""",
    "columns joined": """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    lengths = [min(length << phase, longest) for phase in range(phases)]
    windows = [((window_size - 1) << phase) + 1 for phase in range(phases)]
    rates = [learning_rate * 0.5**phase for phase in range(phases)]
    return list(zip(lengths, windows, rates))
""",
    "recursion": """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    if phases == 0:
        return []
    later = staged_schedule(2 * window_size - 1, phases - 1, 2 * length, learning_rate / 2, longest)
    return [[min(length, longest), window_size, learning_rate], *later]
""",
}

STAGED_UNCAPPED = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (length * 2**phase, (window_size - 1) * 2**phase + 1, learning_rate / 2**phase)
        for phase in range(phases)
    ]
"""
STAGED_EVEN_WINDOWS = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (min(length * 2**phase, longest), window_size * 2**phase, learning_rate / 2**phase)
        for phase in range(phases)
    ]
"""
STAGED_FIXED_WINDOW = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (min(length * 2**phase, longest), window_size, learning_rate / 2**phase) for phase in range(phases)
    ]
"""
STAGED_CONSTANT_RATE = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (min(length * 2**phase, longest), (window_size - 1) * 2**phase + 1, learning_rate)
        for phase in range(phases)
    ]
"""
STAGED_RISING_RATE = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (min(length * 2**phase, longest), (window_size - 1) * 2**phase + 1, learning_rate * 2**phase)
        for phase in range(phases)
    ]
"""
STAGED_LINEAR = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (min(length * phase, longest), (window_size - 1) * phase + 1, learning_rate / phase)
        for phase in range(1, phases + 1)
    ]
"""
STAGED_STARTS_DOUBLED = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    return [
        (min(length * 2**phase, longest), (window_size - 1) * 2**phase + 1, learning_rate / 2**phase)
        for phase in range(1, phases + 1)
    ]
"""
STAGED_LAST_DROPPED = """
def staged_schedule(window_size, phases=5, length=2048, learning_rate=2.5e-4, longest=23040):
    plan = []
    for phase in range(phases):
        if length * 2**phase <= longest:
            plan.append((length * 2**phase, (window_size - 1) * 2**phase + 1, learning_rate / 2**phase))
    return plan
"""
