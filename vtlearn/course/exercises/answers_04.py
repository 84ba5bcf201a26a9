"""Right and wrong answers to the exercises of lesson 04, as source; the tests run each through the check."""

# ------------------------------------------------------------------------------------------ 04.1 patchify

PATCHIFY = {
    "split, move, join": '''
def patchify(images: Tensor, patch_size: int) -> Tensor:  # (B, C, H, W) -> (B, N, C·p·p)
    """Cut images into square patches, each flattened to one row of numbers."""
    batch, channels, height, width = images.shape
    h, w = height // patch_size, width // patch_size
    boxes = images.reshape(batch, channels, h, patch_size, w, patch_size)  # B C h p w q
    return boxes.permute(0, 2, 4, 1, 3, 5).reshape(batch, h * w, channels * patch_size**2)
''',
    "einops": """
def patchify(images, patch_size):
    return rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch_size, q=patch_size)
""",
    "loop over places": """
def patchify(images, patch_size):
    patches = []
    for top in range(0, images.shape[2], patch_size):
        for left in range(0, images.shape[3], patch_size):
            patch = images[:, :, top : top + patch_size, left : left + patch_size]
            patches.append(patch.flatten(1))
    return torch.stack(patches, dim=1)
""",
    "tensor unfold": """
def patchify(images, patch_size):
    windows = images.unfold(2, patch_size, patch_size).unfold(3, patch_size, patch_size)  # B C h w p q
    return windows.movedim(1, 3).flatten(3).flatten(1, 2)
""",
    "F.unfold": """
def patchify(images, patch_size):
    return F.unfold(images, kernel_size=patch_size, stride=patch_size).mT
""",
    "pixel_unshuffle": """
def patchify(images, patch_size):
    return F.pixel_unshuffle(images, patch_size).flatten(2).mT
""",
    "split twice": """
def patchify(images, patch_size):
    rows = images.split(patch_size, dim=2)
    return torch.stack([one.flatten(1) for row in rows for one in row.split(patch_size, dim=3)], dim=1)
""",
}

PATCH_RAW_RESHAPE = """
def patchify(images, patch_size):
    batch, channels, height, width = images.shape
    h, w = height // patch_size, width // patch_size
    return images.reshape(batch, h * w, channels * patch_size**2)
"""
PATCH_COLUMNS_FIRST = """
def patchify(images, patch_size):
    return rearrange(images, "b c (h p) (w q) -> b (w h) (c p q)", p=patch_size, q=patch_size)
"""
PATCH_CHANNELS_LAST = """
def patchify(images, patch_size):
    return rearrange(images, "b c (h p) (w q) -> b (h w) (p q c)", p=patch_size, q=patch_size)
"""
PATCH_TRANSPOSED_INSIDE = """
def patchify(images, patch_size):
    return rearrange(images, "b c (h p) (w q) -> b (h w) (c q p)", p=patch_size, q=patch_size)
"""
PATCH_STRIDED = """
def patchify(images, patch_size):
    return rearrange(images, "b c (p h) (q w) -> b (h w) (c p q)", p=patch_size, q=patch_size)
"""
PATCH_WITHOUT_MOVING = """
def patchify(images, patch_size):
    batch, channels, height, width = images.shape
    boxes = images.unflatten(3, (-1, patch_size)).unflatten(2, (-1, patch_size)).transpose(3, 4)
    return boxes.reshape(batch, -1, channels * patch_size**2)
"""
PATCH_NUMBERS_FIRST = """
def patchify(images, patch_size):
    return F.unfold(images, patch_size, stride=patch_size)
"""
PATCH_OVERLAPPING = """
def patchify(images, patch_size):
    return F.unfold(images, patch_size).transpose(1, 2)
"""
PATCH_CHANNEL_A_TOKEN = """
def patchify(images, patch_size):
    return rearrange(images, "b c (h p) (w q) -> b (c h w) (p q)", p=patch_size, q=patch_size)
"""
PATCH_UNFOLD_RESHAPED = """
def patchify(images, patch_size):
    patches = F.unfold(images, patch_size, stride=patch_size)
    return patches.reshape(patches.shape[0], patches.shape[2], patches.shape[1])
"""

# ----------------------------------------------------------------------------------- 04.2 by a convolution

PATCH_TOKENS = {
    "functional": '''
def patch_tokens(
    images: Tensor, weight: Tensor, bias: Tensor, patch_size: int
) -> Tensor:  # (B, C, H, W) -> (B, N, D)
    """Patches through a linear layer, as one convolution."""
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size)
    grid = F.conv2d(images, kernel, bias, stride=patch_size)  # B D h w
    return grid.flatten(2).transpose(1, 2)
''',
    "module": """
def patch_tokens(images, weight, bias, patch_size):
    layer = nn.Conv2d(images.shape[1], weight.shape[0], patch_size, stride=patch_size).to(weight)
    with torch.no_grad():
        layer.weight.copy_(weight.view_as(layer.weight))
        layer.bias.copy_(bias)
    return rearrange(layer(images), "b d h w -> b (h w) d")
""",
    "einops around": """
def patch_tokens(images, weight, bias, patch_size):
    kernel = rearrange(weight, "d (c p q) -> d c p q", p=patch_size, q=patch_size)
    grid = torch.conv2d(images, kernel, stride=patch_size)
    return rearrange(grid, "b d h w -> b (h w) d") + bias
""",
    "cut and multiply": """
def patch_tokens(images, weight, bias, patch_size):
    patches = rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch_size, q=patch_size)
    return patches @ weight.T + bias
""",
    "F.unfold and linear": """
def patch_tokens(images, weight, bias, patch_size):
    return F.linear(F.unfold(images, patch_size, stride=patch_size).mT, weight, bias)
""",
}

CONV_RAW_RESHAPE = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size)
    grid = F.conv2d(images, kernel, bias, stride=patch_size)
    return grid.reshape(len(images), -1, len(weight))
"""
CONV_NO_BIAS = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size)
    return F.conv2d(images, kernel, stride=patch_size).flatten(2).transpose(1, 2)
"""
CONV_NO_STRIDE = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size)
    return F.conv2d(images, kernel, bias).flatten(2).transpose(1, 2)
"""
CONV_CHANNELS_LAST = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), patch_size, patch_size, images.shape[1]).permute(0, 3, 1, 2)
    return F.conv2d(images, kernel, bias, stride=patch_size).flatten(2).transpose(1, 2)
"""
CONV_FLIPPED = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size).flip(2, 3)
    return F.conv2d(images, kernel, bias, stride=patch_size).flatten(2).transpose(1, 2)
"""
CONV_COLUMNS_FIRST = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size)
    grid = F.conv2d(images, kernel, bias, stride=patch_size)
    return rearrange(grid, "b d h w -> b (w h) d")
"""
CONV_NOT_TRANSPOSED = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.reshape(len(weight), images.shape[1], patch_size, patch_size)
    return F.conv2d(images, kernel, bias, stride=patch_size).flatten(2)
"""
CONV_OF_THREE = """
def patch_tokens(images, weight, bias, patch_size):
    kernel = weight.view(len(weight), 3, patch_size, patch_size)
    return F.conv2d(images, kernel, bias, stride=patch_size).flatten(2).mT
"""

# ------------------------------------------------------------------------- 04.3 tubelets by a matrix product

TUBELET_TOKENS = {
    "cut and multiply": '''
def tubelet_tokens(clips: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # -> (B, N, D)
    """One token a tubelet: cut boxes out of the clip, then one matrix product."""
    t, p, q = weight.shape[2:]
    boxes = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (c t p q)", t=t, p=p, q=q)
    return boxes @ weight.flatten(1).T + bias
''',
    "split, move, join": """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    batch, frames, channels, height, width = clips.shape
    n, h, w = frames // t, height // p, width // q
    boxes = clips.reshape(batch, n, t, channels, h, p, w, q)
    boxes = boxes.permute(0, 1, 4, 6, 3, 2, 5, 7).reshape(batch, n * h * w, channels * t * p * q)
    return F.linear(boxes, weight.reshape(weight.shape[0], -1), bias)
""",
    "one product a frame of the tubelet": """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    tokens = 0
    for slot in range(t):
        patches = rearrange(clips[:, slot::t], "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
        tokens = tokens + patches @ weight[:, :, slot].flatten(1).T
    return tokens + bias
""",
    "loop over tubelets": """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    tokens = []
    for first in range(0, clips.shape[1], t):
        for top in range(0, clips.shape[3], p):
            for left in range(0, clips.shape[4], q):
                box = clips[:, first : first + t, :, top : top + p, left : left + q].transpose(1, 2)
                tokens.append(torch.einsum("bctpq,dctpq->bd", box, weight) + bias)
    return torch.stack(tokens, dim=1)
""",
    "einsum": """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    boxes = clips.unflatten(4, (-1, q)).unflatten(3, (-1, p)).unflatten(1, (-1, t))  # B n t C h p w q
    return torch.einsum("bntchpwq,dctpq->bnhwd", boxes, weight).flatten(1, 3) + bias
""",
    "tensordot": """
def tubelet_tokens(clips, weight, bias):
    width, channels, t, p, q = weight.shape
    batch, frames, _, rows, columns = clips.shape
    split = clips.reshape(batch, frames // t, t, channels, rows // p, p, columns // q, q)
    return torch.tensordot(split, weight, dims=([3, 2, 5, 7], [1, 2, 3, 4])).flatten(1, 3) + bias
""",
}

TUBELET_TIME_FASTEST = """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    boxes = rearrange(clips, "b (n t) c (h p) (w q) -> b (h w n) (c t p q)", t=t, p=p, q=q)
    return boxes @ weight.flatten(1).T + bias
"""
TUBELET_INNER_ORDER = """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    boxes = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (t c p q)", t=t, p=p, q=q)
    return boxes @ weight.flatten(1).T + bias
"""
TUBELET_NO_BIAS = """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    boxes = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (c t p q)", t=t, p=p, q=q)
    return boxes @ weight.flatten(1).T
"""
TUBELET_FAR_FRAMES = """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    boxes = rearrange(clips, "b (t n) c (h p) (w q) -> b (n h w) (c t p q)", t=t, p=p, q=q)
    return boxes @ weight.flatten(1).T + bias
"""
TUBELET_FIRST_FRAME = """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    boxes = rearrange(clips[:, ::t], "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
    return boxes @ weight[:, :, 0].flatten(1).T + bias
"""
TUBELET_RAW_RESHAPE = """
def tubelet_tokens(clips, weight, bias):
    flat = weight.flatten(1)
    return clips.reshape(len(clips), -1, flat.shape[1]) @ flat.T + bias
"""
TUBELET_BY_CONVOLUTION = """
def tubelet_tokens(clips, weight, bias):
    grid = F.conv3d(clips.transpose(1, 2), weight, bias, stride=tuple(weight.shape[2:]))
    return grid.flatten(2).transpose(1, 2)
"""
TUBELET_MEAN_FRAME = """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    mean = clips.unflatten(1, (-1, t)).mean(2)
    boxes = rearrange(mean, "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
    return boxes @ weight.sum(2).flatten(1).T + bias
"""
TUBELET_WEIGHT_RESHAPED = """
def tubelet_tokens(clips, weight, bias):
    width, channels, t, p, q = weight.shape
    boxes = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (c t p q)", t=t, p=p, q=q)
    return boxes @ weight.reshape(-1, width) + bias
"""

# ---------------------------------------------------------------------------------------- 04.4 two starts

TUBELET_STARTS = {
    "repeat and fill": '''
def tubelet_starts(kernel: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:  # twice (D, C, t, p, p)
    """A tubelet's kernel from an image's: inflated, and with the central frame alone."""
    inflated = repeat(kernel / num_frames, "d c p q -> d c t p q", t=num_frames)
    central = torch.zeros_like(inflated)
    central[:, :, num_frames // 2] = kernel
    return inflated, central
''',
    "stack of slots": """
def tubelet_starts(kernel, num_frames):
    slots = [kernel if slot == num_frames // 2 else 0 * kernel for slot in range(num_frames)]
    return torch.stack([kernel / num_frames] * num_frames, dim=2), torch.stack(slots, dim=2)
""",
    "shares of the slots": """
def tubelet_starts(kernel, num_frames):
    even = torch.full((num_frames,), 1 / num_frames, dtype=kernel.dtype)
    one = F.one_hot(torch.tensor(num_frames // 2), num_frames).to(kernel.dtype)
    return tuple(einsum(kernel, share, "d c p q, t -> d c t p q") for share in (even, one))
""",
    "views and padding": """
def tubelet_starts(kernel, num_frames):
    slot = kernel.unsqueeze(2)
    before = num_frames // 2
    central = F.pad(slot, (0, 0, 0, 0, before, num_frames - 1 - before))
    return [slot.expand(-1, -1, num_frames, -1, -1) / num_frames, central]
""",
    "in place on copies": """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1)
    central = inflated.clone()
    inflated /= num_frames
    central[:, :, torch.arange(num_frames) != num_frames // 2] = 0
    return [inflated, central]
""",
}

STARTS_NOT_DIVIDED = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1)
    central = torch.zeros_like(inflated)
    central[:, :, num_frames // 2] = kernel
    return inflated, central
"""
STARTS_FIRST_SLOT = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    central[:, :, 0] = kernel
    return inflated, central
"""
STARTS_SLOT_BEFORE = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    central[:, :, (num_frames - 1) // 2] = kernel
    return inflated, central
"""
STARTS_CENTRAL_DIVIDED = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    central[:, :, num_frames // 2] = kernel / num_frames
    return inflated, central
"""
STARTS_CENTRAL_COLUMN = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    middle = kernel.shape[-1] // 2
    central[..., middle] = kernel[:, :, None, :, middle]
    return inflated, central
"""
STARTS_TIME_BEFORE_CHANNELS = """
def tubelet_starts(kernel, num_frames):
    inflated = torch.stack([kernel / num_frames] * num_frames, dim=1)
    central = torch.zeros_like(inflated)
    central[:, num_frames // 2] = kernel
    return inflated, central
"""
STARTS_EXCHANGED = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    central[:, :, num_frames // 2] = kernel
    return central, inflated
"""
STARTS_SHARED = """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1)
    inflated /= num_frames
    central = inflated
    central.zero_()
    central[:, :, num_frames // 2] = kernel
    return inflated, central
"""

# ------------------------------------------------------------------------------------- 04.5 repeat over time

REPEAT_OVER_TIME = {
    "split, repeat, join": '''
def repeat_over_time(table: Tensor, num_times: int) -> Tensor:  # (1, 1 + s, D) -> (1, 1 + t·s, D)
    """An image's positions for a clip: class token once, places once a temporal index."""
    token, places = table[:, :1], table[:, 1:]
    return torch.cat([token, places.repeat(1, num_times, 1)], dim=1)
''',
    "einops": """
def repeat_over_time(table, num_times):
    places = repeat(table[:, 1:], "one s d -> one (t s) d", t=num_times)
    return torch.cat((table[:, :1], places), 1)
""",
    "list of pieces": """
def repeat_over_time(table, num_times):
    pieces = [table[:, :1]]
    for _ in range(num_times):
        pieces.append(table[:, 1:])
    return torch.cat(pieces, dim=1)
""",
    "rows by index": """
def repeat_over_time(table, num_times):
    s = table.shape[1] - 1
    rows = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.arange(num_times * s) % s])
    return table[:, rows]
""",
    "numpy": """
def repeat_over_time(table, num_times):
    rows = table.numpy()
    return torch.from_numpy(np.concatenate([rows[:, :1], np.tile(rows[:, 1:], (1, num_times, 1))], axis=1))
""",
}

REPEAT_TIME_FASTEST = """
def repeat_over_time(table, num_times):
    return torch.cat([table[:, :1], table[:, 1:].repeat_interleave(num_times, dim=1)], dim=1)
"""
REPEAT_CLASS_TOO = """
def repeat_over_time(table, num_times):
    return table.repeat(1, num_times, 1)
"""
REPEAT_CLASS_LOST = """
def repeat_over_time(table, num_times):
    return table[:, 1:].repeat(1, num_times, 1)
"""
REPEAT_CUT_OFF = """
def repeat_over_time(table, num_times):
    length = 1 + num_times * (table.shape[1] - 1)
    return table.repeat(1, num_times, 1)[:, :length]
"""
REPEAT_DIVIDED = """
def repeat_over_time(table, num_times):
    return torch.cat([table[:, :1], table[:, 1:].repeat(1, num_times, 1) / num_times], dim=1)
"""
REPEAT_CLASS_LAST = """
def repeat_over_time(table, num_times):
    return torch.cat([table[:, 1:].repeat(1, num_times, 1), table[:, :1]], dim=1)
"""
REPEAT_ONE_FRAME = """
def repeat_over_time(table, num_times):
    token, places = table[:, :1], table[:, 1:]
    rest = torch.zeros_like(places).repeat(1, num_times - 1, 1)
    return torch.cat([token, places, rest], dim=1)
"""
REPEAT_FIXED_PLACES = """
def repeat_over_time(table, num_times):
    return torch.cat([table[:, :1], table[:, 1:6].repeat(1, num_times, 1)], dim=1)
"""

# ---------------------------------------------------------------------------- 04.6 positions of another size

RESIZE_POSITIONS = {
    "through an image": '''
def resize_positions(
    table: Tensor, old: tuple[int, int], new: tuple[int, int]
) -> Tensor:  # (1, 1 + h·w, D) -> (1, 1 + h'·w', D)
    """A position table for another grid: the class token's row kept, the places interpolated."""
    token, places = table[:, :1], table[:, 1:]
    image = places.transpose(1, 2).unflatten(2, old)  # 1 D h w
    image = F.interpolate(image, size=new, mode="bilinear")
    return torch.cat([token, image.flatten(2).transpose(1, 2)], dim=1)
''',
    "einops": """
def resize_positions(table, old, new):
    image = rearrange(table[:, 1:], "b (h w) d -> b d h w", h=old[0], w=old[1])
    image = F.interpolate(image, size=tuple(new), mode="bilinear", align_corners=False)
    return torch.cat([table[:, :1], rearrange(image, "b d h w -> b (h w) d")], dim=1)
""",
    "one matrix an axis": """
def resize_positions(table, old, new):
    def mix(before, after):  # (after, before): how much of each old place a new one takes
        rows = torch.zeros(after, before, dtype=table.dtype)
        for place in range(after):
            at = min(max((place + 0.5) * before / after - 0.5, 0), before - 1)
            below = math.floor(at)
            above = min(below + 1, before - 1)
            rows[place, below] += 1 - (at - below)
            rows[place, above] += at - below
        return rows

    places = table[0, 1:].reshape(old[0], old[1], -1)
    resized = torch.einsum("ih,jw,hwd->ijd", mix(old[0], new[0]), mix(old[1], new[1]), places)
    return torch.cat([table[0, :1], resized.flatten(0, 1)])[None]
""",
    "first columns, then rows": """
def resize_positions(table, old, new):
    width = table.shape[-1]
    places = table[0, 1:].reshape(*old, width)  # h w D
    places = F.interpolate(places.mT, size=new[1], mode="linear").mT  # h w' D
    places = F.interpolate(places.permute(1, 2, 0), size=new[0], mode="linear").permute(2, 0, 1)
    return torch.cat([table[:, :1], places.reshape(1, -1, width)], dim=1)
""",
    "grid_sample": """
def resize_positions(table, old, new):
    image = table[:, 1:].mT.unflatten(2, old)
    down, across = ((2 * torch.arange(size) + 1) / size - 1 for size in new)
    where = torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1], dim=-1)[None]
    resized = F.grid_sample(image, where, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.cat([table[:, :1], resized.flatten(2).mT], dim=1)
""",
}

RESIZE_FLAT = """
def resize_positions(table, old, new):
    line = table[:, 1:].transpose(1, 2)
    line = F.interpolate(line, size=new[0] * new[1], mode="linear")
    return torch.cat([table[:, :1], line.transpose(1, 2)], dim=1)
"""
RESIZE_RAW_RESHAPE = """
def resize_positions(table, old, new):
    image = table[:, 1:].reshape(1, table.shape[2], *old)
    image = F.interpolate(image, size=new, mode="bilinear")
    return torch.cat([table[:, :1], image.reshape(1, -1, table.shape[2])], dim=1)
"""
RESIZE_CORNERS = """
def resize_positions(table, old, new):
    image = table[:, 1:].transpose(1, 2).unflatten(2, old)
    image = F.interpolate(image, size=new, mode="bilinear", align_corners=True)
    return torch.cat([table[:, :1], image.flatten(2).transpose(1, 2)], dim=1)
"""
RESIZE_NEAREST = """
def resize_positions(table, old, new):
    image = table[:, 1:].transpose(1, 2).unflatten(2, old)
    image = F.interpolate(image, size=new)
    return torch.cat([table[:, :1], image.flatten(2).transpose(1, 2)], dim=1)
"""
RESIZE_EXCHANGED = """
def resize_positions(table, old, new):
    image = table[:, 1:].transpose(1, 2).unflatten(2, (old[1], old[0]))
    image = F.interpolate(image, size=(new[1], new[0]), mode="bilinear")
    return torch.cat([table[:, :1], image.flatten(2).transpose(1, 2)], dim=1)
"""
RESIZE_CLASS_LOST = """
def resize_positions(table, old, new):
    image = table[:, 1:].transpose(1, 2).unflatten(2, old)
    return F.interpolate(image, size=new, mode="bilinear").flatten(2).transpose(1, 2)
"""
RESIZE_CLASS_MIXED_IN = """
def resize_positions(table, old, new):
    line = F.interpolate(table.transpose(1, 2), size=1 + new[0] * new[1], mode="linear")
    return line.transpose(1, 2)
"""
RESIZE_COLUMNS_FIRST = """
def resize_positions(table, old, new):
    image = table[:, 1:].transpose(1, 2).unflatten(2, old)
    image = F.interpolate(image, size=new, mode="bilinear")
    return torch.cat([table[:, :1], rearrange(image, "b d h w -> b (w h) d")], dim=1)
"""
RESIZE_FOLDED_RAW = """
def resize_positions(table, old, new):
    image = table[:, 1:].reshape(1, -1, *old)
    return torch.cat([table[:, :1], F.interpolate(image, size=new, mode="bilinear").flatten(2).mT], dim=1)
"""
