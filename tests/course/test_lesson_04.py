"""Lesson 04 beyond its listed answers: other right ways pass, other mistakes are named."""

import pytest
import torch

from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_04 import (
    FRAMES,
    PATCHES,
    SIDES,
    TUBELETS,
    TokenCounter,
    grid_of,
    numbers_in,
    pairs_of,
)
from vtlearn.layers.embed import PatchEmbed, TubeletEmbed, central_frame, inflate
from vtlearn.layers.position import resize_grid_table


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "by a kernel of ones and zeros": ("04.1", """
def patchify(images, p):
    c = images.shape[1]
    kernel = torch.eye(c * p * p).reshape(c * p * p, c, p, p).to(images)
    return F.conv2d(images, kernel, stride=p).flatten(2).mT
"""),
    "chunks of chunks": ("04.1", """
def patchify(images, p):
    rows = images.split(p, dim=2)
    return torch.stack([patch.flatten(1) for row in rows for patch in row.split(p, dim=3)], 1)
"""),
    "swapaxes and flatten": ("04.1", """
def patchify(images, p):
    b, c, H, W = images.shape
    x = images.view(b, c, H // p, p, W // p, p).swapaxes(3, 4)  # b c h w p p
    x = torch.einsum("bchwpq->bhwcpq", x).contiguous()
    return x.view(b, -1, c * p * p)
"""),
    "index arithmetic": ("04.1", """
def patchify(images, p):
    b, c, H, W = images.shape
    h, w = H // p, W // p
    out = torch.empty(b, h * w, c * p * p, dtype=images.dtype)
    for i in range(h * w):
        r, s = divmod(i, w)
        out[:, i] = images[:, :, r * p : (r + 1) * p, s * p : (s + 1) * p].reshape(b, -1)
    return out
"""),
    "through numpy": ("04.1", """
def patchify(images, p):
    x = images.numpy()
    b, c, H, W = x.shape
    x = x.reshape(b, c, H // p, p, W // p, p).transpose(0, 2, 4, 1, 3, 5)
    return torch.from_numpy(np.ascontiguousarray(x).reshape(b, -1, c * p * p))
"""),
    "double precision": ("04.2", """
def patch_tokens(images, weight, bias, patch_size):
    p, images, weight, bias = patch_size, images.double(), weight.double(), bias.double()
    return F.conv2d(images, weight.view(-1, images.shape[1], p, p), bias, stride=(p, p)).flatten(2).mT
"""),
    "unfolded": ("04.2", """
def patch_tokens(images, weight, bias, patch_size):
    return F.linear(F.unfold(images, patch_size, stride=patch_size).transpose(1, 2), weight, bias)
"""),
    "tokens by tensordot": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    D, C, t, p, q = weight.shape
    x = rearrange(clips, "b (n t) c (h p) (w q) -> b n h w c t p q", t=t, p=p, q=q)
    return torch.tensordot(x, weight, dims=([4, 5, 6, 7], [1, 2, 3, 4])).flatten(1, 3) + bias
"""),
    "kernel reordered instead of the boxes": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    x = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (t c p q)", t=t, p=p, q=q)
    return nn.functional.linear(x, rearrange(weight, "d c t p q -> d (t c p q)"), bias)
"""),
    "unfolding three axes": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    x = clips.unfold(1, t, t).unfold(3, p, p).unfold(4, q, q)  # b n c h w t p q
    x = x.permute(0, 1, 3, 4, 2, 5, 6, 7).flatten(4).flatten(1, 3)
    return torch.addmm(bias, x.flatten(0, 1), weight.flatten(1).t()).view(len(clips), -1, len(bias))
"""),
    "one tensor with both": ("04.4", """
def tubelet_starts(kernel, num_frames):
    both = torch.zeros(2, *kernel.shape[:2], num_frames, *kernel.shape[2:], dtype=kernel.dtype)
    both[0] = kernel.unsqueeze(2) / num_frames
    both[1, :, :, num_frames // 2] = kernel
    return both
"""),
    "repeat_interleave of a single slot": ("04.4", """
def tubelet_starts(kernel, num_frames):
    inflated = kernel.unsqueeze(2).repeat_interleave(num_frames, dim=2).div(num_frames)
    mask = (torch.arange(num_frames) == num_frames // 2).view(1, 1, -1, 1, 1)
    return inflated, torch.where(mask, kernel.unsqueeze(2), torch.zeros(()))
"""),
    "expanded grid": ("04.5", """
def repeat_over_time(table, num_times):
    s, d = table.shape[1] - 1, table.shape[2]
    places = table[:, 1:].unsqueeze(1).expand(1, num_times, s, d).reshape(1, num_times * s, d)
    return torch.cat([table[:, 0:1], places], dim=1)
"""),
    "tile": ("04.5", """
def repeat_over_time(table, num_times):
    token, places = table.split([1, table.shape[1] - 1], dim=1)
    return torch.hstack([token, torch.tile(places, (1, num_times, 1))])
"""),
    "filled in": ("04.5", """
def repeat_over_time(table, num_times):
    s = table.shape[1] - 1
    out = table.new_zeros(1, 1 + num_times * s, table.shape[2])
    out[:, 0] = table[:, 0]
    for k in range(num_times):
        out[:, 1 + k * s : 1 + (k + 1) * s] = table[:, 1:]
    return out
"""),
    "upsample module": ("04.6", """
def resize_positions(table, old, new):
    grid = table[0, 1:].T.reshape(1, -1, *old)
    grid = nn.Upsample(size=tuple(new), mode="bilinear", align_corners=False)(grid)
    return torch.cat([table[:, :1], grid[0].flatten(1).T[None]], dim=1)
"""),
    "permutes": ("04.6", """
def resize_positions(table, old, new):
    d = table.shape[-1]
    x = table[:, 1:].reshape(1, old[0], old[1], d).permute(0, 3, 1, 2).double()
    x = F.interpolate(x, size=(new[0], new[1]), mode="bilinear").permute(0, 2, 3, 1).reshape(1, -1, d)
    return torch.cat((table[:, :1].double(), x), dim=1)
"""),
    "by a grid of samples": ("04.6", """
def resize_positions(table, old, new):
    ys = (torch.arange(new[0]) + 0.5) / new[0] * 2 - 1
    xs = (torch.arange(new[1]) + 0.5) / new[1] * 2 - 1
    where = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)[None]
    image = table[:, 1:].mT.unflatten(2, old)
    image = F.grid_sample(image, where, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.cat([table[:, :1], image.flatten(2).mT], 1)
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "grid not joined": ("04.1", """
def patchify(images, p):
    return rearrange(images, "b c (h p) (w q) -> b h w (c p q)", p=p, q=p)
""", "join them to one"),
    "batch joined": ("04.1", """
def patchify(images, p):
    return rearrange(images, "b c (h p) (w q) -> (b h w) (c p q)", p=p, q=p)
""", "the batch stays"),
    "patch not flattened": ("04.1", """
def patchify(images, p):
    return rearrange(images, "b c (h p) (w q) -> b (h w) c p q", p=p, q=p)
""", "flatten them"),
    "square images only": ("04.1", """
def patchify(images, p):
    n = images.shape[2] // p
    x = images.reshape(images.shape[0], images.shape[1], n, p, n, p)
    return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
""", "RuntimeError"),
    "a list": ("04.1", """
def patchify(images, p):
    return [images[:, :, i : i + p, j : j + p] for i in range(0, 9, p) for j in range(0, 9, p)]
""", "expected a torch.Tensor"),
    "in place": ("04.1", """
def patchify(images, p):
    out = rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=p, q=p).clone()
    images.zero_()
    return out
""", "in place"),
    "library": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    from vtlearn.layers.embed import TubeletEmbed
    embed = TubeletEmbed(tubelet_size=weight.shape[2:], embed_dim=len(bias), in_channels=weight.shape[1])
    embed.load_state_dict({"proj.weight": weight, "proj.bias": bias})
    return embed.to(weight.dtype)(clips).flatten(1, 2)
""", "forwards the work"),
    "bias twice": ("04.2", """
def patch_tokens(images, weight, bias, p):
    k = weight.reshape(-1, images.shape[1], p, p)
    return F.conv2d(images, k, bias, stride=p).flatten(2).mT + bias
""", "the bias is added twice"),
    "grid left": ("04.2", """
def patch_tokens(images, weight, bias, p):
    return F.conv2d(images, weight.reshape(-1, images.shape[1], p, p), bias, stride=p)
""", "flatten it and bring D to the end"),
    "weight not folded": ("04.2", """
def patch_tokens(images, weight, bias, p):
    return F.conv2d(images, weight, bias, stride=p)
""", "RuntimeError"),
    "slots reversed": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    x = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (c t p q)", t=t, p=p, q=q)
    return x @ weight.flip(2).flatten(1).T + bias
""", "in reverse order"),
    "a token a frame": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    x = rearrange(clips, "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
    return x @ weight.mean(2).flatten(1).T + bias
""", "every frame has tokens of its own"),
    "bias with each slot": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    total = 0
    for k in range(t):
        x = rearrange(clips[:, k::t], "b n c (h p) (w q) -> b (n h w) (c p q)", p=p, q=q)
        total = total + F.linear(x, weight[:, :, k].flatten(1), bias)
    return total
""", "once a frame of the tubelet"),
    "channels of the clip not moved": ("04.3", """
def tubelet_tokens(clips, weight, bias):
    t, p, q = weight.shape[2:]
    x = rearrange(clips, "b (n t) c (h p) (w q) -> b (n h w) (t p q c)", t=t, p=p, q=q)
    return x @ weight.flatten(1).T + bias
""", "the channels come last in your boxes"),
    "only one": ("04.4", """
def tubelet_starts(kernel, num_frames):
    return kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
""", "expected two kernels"),
    "last slot": ("04.4", """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    central[:, :, -1] = kernel
    return inflated, central
""", "in the last slot"),
    "root": ("04.4", """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames**0.5
    central = torch.zeros_like(inflated)
    central[:, :, num_frames // 2] = kernel
    return inflated, central
""", "by the root"),
    "two middles": ("04.4", """
def tubelet_starts(kernel, num_frames):
    inflated = kernel[:, :, None].repeat(1, 1, num_frames, 1, 1) / num_frames
    central = torch.zeros_like(inflated)
    for k in {num_frames // 2, (num_frames - 1) // 2}:
        central[:, :, k] = kernel / (2 - num_frames % 2)
    return inflated, central
""", "the two middle slots share"),
    "a batch of times": ("04.5", """
def repeat_over_time(table, num_times):
    return table.repeat(num_times, 1, 1)
""", "the indices became a batch"),
    "unchanged": ("04.5", """
def repeat_over_time(table, num_times):
    return table
""", "as long as before"),
    "align corners by hand": ("04.6", """
def resize_positions(table, old, new):
    image = table[:, 1:].mT.unflatten(2, old)
    image = nn.UpsamplingBilinear2d(size=new)(image)
    return torch.cat([table[:, :1], image.flatten(2).mT], 1)
""", "corners are aligned"),
    "bicubic": ("04.6", """
def resize_positions(table, old, new):
    image = F.interpolate(table[:, 1:].mT.unflatten(2, old), size=new, mode="bicubic")
    return torch.cat([table[:, :1], image.flatten(2).mT], 1)
""", "this is bicubic"),
    "right grid, raw way back": ("04.6", """
def resize_positions(table, old, new):
    image = F.interpolate(table[:, 1:].mT.unflatten(2, old), size=new, mode="bilinear")
    return torch.cat([table[:, :1], image.reshape(1, -1, table.shape[2])], 1)
""", "the one back is not"),
    "assumes a square": ("04.6", """
def resize_positions(table, old, new):
    side = int((table.shape[1] - 1) ** 0.5)
    image = F.interpolate(table[:, 1:].mT.reshape(1, -1, side, side), size=new, mode="bilinear")
    return torch.cat([table[:, :1], image.flatten(2).mT], 1)
""", "RuntimeError"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    cut, tokens, boxes, starts, over_time, resized = (exercise(f"04.{n}").compile() for n in range(1, 7))
    images, clips = torch.randn(2, 3, 10, 15), torch.randn(2, 6, 3, 10, 15)
    patch = PatchEmbed(patch_size=5, embed_dim=7)
    weight, bias = patch.proj.weight.detach(), patch.proj.bias.detach()
    torch.testing.assert_close(cut(images, 5) @ weight.flatten(1).T + bias, patch(images).detach())
    torch.testing.assert_close(tokens(images, weight.flatten(1), bias, 5), patch(images).detach())
    tubelet = TubeletEmbed(tubelet_size=(2, 5, 5), embed_dim=7)
    torch.testing.assert_close(
        boxes(clips, tubelet.proj.weight.detach(), tubelet.proj.bias.detach()),
        tubelet(clips).flatten(1, 2).detach(),
    )
    for own, library in zip(starts(weight, 3), (inflate(weight, 3), central_frame(weight, 3)), strict=True):
        assert torch.equal(own, library)
    table = torch.randn(1, 7, 5)
    assert torch.equal(over_time(table, 3)[:, 1:].reshape(3, 6, 5), table[:, 1:].expand(3, 6, 5))
    torch.testing.assert_close(
        resized(table, (2, 3), (5, 7)), resize_grid_table(table, (2, 3), (5, 7), mode="bilinear", num_extra=1)
    )


def test_the_panel_counts_what_the_formula_says():
    state = {"frames": 32, "side": 224, "patch": 16, "tubelet": 2}
    grid = grid_of(state)
    assert (grid.t, grid.h, grid.w, grid.num_tokens) == (16, 14, 14, 3136)
    assert pairs_of(grid) == {
        "one image": 196**2,
        "all with all": 3136**2,
        "time, then space": 3136 * (16 + 196),
    }
    assert numbers_in(state) == 3 * 2 * 16 * 16
    words = TokenCounter.render(state)
    assert "16 · 14 · 14 = 3,136 tokens" in words.caption
    assert "all with all 9,834,496" in words.text


def test_every_size_on_offer_divides():
    assert all(frames % tubelet == 0 for frames in FRAMES for tubelet in TUBELETS)
    assert all(side % patch == 0 for side in SIDES for patch in PATCHES)


@pytest.mark.parametrize(
    ("frames", "side", "patch", "tubelet", "caption"),
    [
        (8, 224, 16, 1, "a quarter of the pairs"),
        (8, 224, 8, 1, "a sixteenth of those pairs"),
        (32, 224, 16, 2, "no frame is left out"),
        (16, 64, 8, 8, "64 times the pairs"),
    ],
)
def test_the_panel_says_what_to_notice(frames, side, patch, tubelet, caption):
    state = {"frames": frames, "side": side, "patch": patch, "tubelet": tubelet}
    assert caption in TokenCounter.render(state).caption
