"""Lesson 06 beyond its listed answers: other right ways pass, other mistakes are named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vtlearn.attention import Axial, LocalNeighbourhood, SameFrame, SamePlace, StridedGlobal
from vtlearn.course import published
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_06 import GRID, MEETS, REACHES, QueryPatchExplorer
from vtlearn.data.synthetic import bundled_samples
from vtlearn.errors import CheckpointError
from vtlearn.models import TimeSformerConfig, create_model, model_cost
from vtlearn.shapes import TokenGrid
from vtlearn.viz.space_time import SCHEMES

REFERENCE = Path(__file__).parents[1] / "reference" / "timesformer_official_divided_space_time.safetensors"


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "positions first, then flat": ("06.1", """
def joint_tokens(cls, patches, space, time):
    x = patches + space[0, 1:] + time[0].unsqueeze(1)
    x = x.reshape(x.shape[0], -1, x.shape[-1])
    return torch.hstack([(cls + space[:, 0]).repeat(len(x), 1, 1), x])
"""),
    "in place on its own": ("06.1", """
def joint_tokens(cls, patches, space, time):
    B, t, s, D = patches.shape
    out = torch.empty(B, 1 + t * s, D, dtype=patches.dtype)
    out[:, 0] = cls[0, 0] + space[0, 0]
    body = patches.clone()
    body += space[:, 1:].unsqueeze(1)
    body += time.unsqueeze(2)
    out[:, 1:] = body.flatten(1, 2)
    return out
"""),
    "frames with class tokens, then all but one out": ("06.1", """
def joint_tokens(cls, patches, space, time):
    B, t, s, D = patches.shape
    frames = torch.cat([cls.expand(B * t, 1, D), patches.flatten(0, 1)], dim=1) + space
    first = frames[:, :1].view(B, t, 1, D)[:, 0]
    rest = rearrange(frames[:, 1:], "(b t) s d -> (b s) t d", t=t) + time
    return torch.cat([first, rearrange(rest, "(b s) t d -> b (t s) d", s=s)], dim=1)
"""),
    "strings of floats are no excuse: numpy integers": ("06.2", """
def comparisons(t, s):
    return tuple(np.int64(x) for x in (t * s + 1, t + s + 2, t + s + 1))
"""),
    "einsum of an identity": ("06.3", """
def over_time(attention, x):
    y = torch.einsum("btsd->bstd", x)
    y = torch.stack([attention(clip) for clip in y])
    return torch.einsum("bstd->btsd", y)
"""),
    "clip after clip, place after place": ("06.3", """
def over_time(attention, x):
    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for j in range(x.shape[2]):
            out[b, :, j] = attention(x[b : b + 1, :, j])[0]
    return out
"""),
    "swapaxes": ("06.3", """
def over_time(attention, x):
    B, t, s, D = x.shape
    return attention(x.swapaxes(1, 2).reshape(-1, t, D)).reshape(B, s, t, D).swapaxes(1, 2)
"""),
    "backwards in time": ("06.3", """
def over_time(attention, x):
    lines = rearrange(x.flip(1), "b t s d -> (b s) t d")
    return rearrange(attention(lines), "(b s) t d -> b t s d", b=len(x)).flip(1)
"""),
    "vmap over the places": ("06.3", """
def over_time(attention, x):
    return torch.vmap(attention, in_dims=2, out_dims=2)(x)
"""),
    "vmap over the frames": ("06.4", """
def within_frames(attention, cls, x):
    out = torch.vmap(lambda frame: attention(torch.cat([cls, frame], dim=1)), in_dims=1, out_dims=1)(x)
    return out[:, :, :1].mean(dim=1), out[:, :, 1:]
"""),
    "class token by a loop, patches at once": ("06.4", """
def within_frames(attention, cls, x):
    B, t, s, D = x.shape
    each = [attention(torch.cat((x[:, i], cls), dim=-2))[:, -1:] for i in range(t)]
    rows = rearrange(torch.cat([x, cls.unsqueeze(1).repeat(1, t, 1, 1)], 2), "b t n d -> (b t) n d")
    return sum(each) / t, attention(rows)[:, :s].reshape(B, t, s, D)
"""),
    "frame after frame": ("06.6", """
def attend_along(attention, x, axis):
    B, t, h, w, D = x.shape
    if axis == "t":
        lines = rearrange(x, "b t h w d -> (h w b) t d")
        return rearrange(attention(lines), "(h w b) t d -> b t h w d", h=h, w=w)
    y = x.flatten(0, 1)
    y = y if axis == "w" else y.permute(0, 2, 1, 3)
    out = torch.stack([attention(frame) for frame in y])
    return (out if axis == "w" else out.permute(0, 2, 1, 3)).reshape(x.shape)
"""),
    "one clip at a time": ("06.4", """
def within_frames(attention, cls, x):
    tokens, patches = [], []
    for c, clip in zip(cls, x):
        rows = torch.cat([c.expand(len(clip), 1, -1), clip], 1)
        out = attention(rows)
        tokens.append(out[:, 0].mean(0, keepdim=True))
        patches.append(out[:, 1:])
    return torch.stack(tokens), torch.stack(patches)
"""),
    "repeated in einops order": ("06.4", """
def within_frames(attention, cls, x):
    b, t, s, d = x.shape
    frames = torch.cat([repeat(cls, "b one d -> t b one d", t=t), rearrange(x, "b t s d -> t b s d")], dim=2)
    out = rearrange(attention(rearrange(frames, "t b n d -> (t b) n d")), "(t b) n d -> b t n d", b=b)
    return out[:, :, 0].mean(1)[:, None], out[:, :, 1:]
"""),
    "summed and divided": ("06.4", """
def within_frames(attention, cls, x):
    B, t = x.shape[:2]
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], 1)).unflatten(0, (B, t))
    return out[:, :, :1].sum(1) / t, out.narrow(2, 1, x.shape[2])
"""),
    "an ordered dict of parameters": ("06.5", """
def start_from_image(image):
    from collections import OrderedDict
    video = OrderedDict(image)
    for key in [k for k in image if "attn" in k or "norm1" in k]:
        video["temporal_" + key] = nn.Parameter(image[key].clone())
    D = image["attn.proj.bias"].numel()
    video["temporal_fc.weight"] = image["attn.proj.weight"].new_zeros(D, D)
    video["temporal_fc.bias"] = image["attn.proj.bias"].new_zeros(D)
    return video
"""),
    "times zero": ("06.5", """
def start_from_image(image):
    new = {"temporal_" + k: v + 0 for k, v in image.items() if not k.startswith(("mlp", "norm2"))}
    fc = {"temporal_fc." + k: image["attn.proj." + k] * 0 for k in ("weight", "bias")}
    return {**image, **new, **fc}
"""),
    "permutations": ("06.6", """
def attend_along(attention, x, axis):
    order = {"t": (0, 2, 3, 1, 4), "h": (0, 1, 3, 2, 4), "w": (0, 1, 2, 3, 4)}[axis]
    y = x.permute(order)
    out = attention(y.reshape(-1, *y.shape[-2:])).reshape(y.shape)
    return out.permute(tuple(np.argsort(order)))
"""),
    "swapped with the last": ("06.6", """
def attend_along(attention, x, axis):
    i = "bthwd".index(axis)
    y = x.transpose(i, 3)
    return attention(y.flatten(0, 2)).view(y.shape).transpose(i, 3)
"""),
    "library's patterns": ("06.7", """
def sparse_masks(t, h, w):
    f, r, c = torch.meshgrid(torch.arange(t), torch.arange(h), torch.arange(w), indexing="ij")
    f, r, c = f.flatten(), r.flatten(), c.flatten()
    lo = lambda n: math.ceil(n / 2) // 2
    hi = lambda n: math.ceil(n / 2) - lo(n)
    dr, dc, df = r - r[:, None], c - c[:, None], f - f[:, None]
    local = (dr >= -lo(h)) * (dr < hi(h)) * (dc >= -lo(w)) * (dc < hi(w))
    return local, ~((dr % 2 + dc % 2 + df % 2) > 0)
"""),
    "zeros and ones": ("06.7", """
def sparse_masks(t, h, w):
    n = t * h * w
    i = torch.arange(n)
    at = torch.stack([i // (h * w), i // w % h, i % w], dim=1)
    off = at[None] - at[:, None]
    near = torch.ones(n, n, dtype=torch.long)
    for axis, side in ((1, h), (2, w)):
        size = (side + 1) // 2
        near *= ((off[..., axis] + size // 2 >= 0) & (off[..., axis] + size // 2 < size)).long()
    return near, ((off % 2).sum(-1) == 0).long()
"""),
    "as the released code does it": ("06.1", """
def joint_tokens(cls, patches, space, time):
    B,t,s,D=patches.shape
    x=torch.cat([cls.expand(B*t,1,D),patches.reshape(B*t,s,D)],1)+space
    c=x.view(B,t,1+s,D)[:,0,:1]
    p=rearrange(x[:,1:],"(b t) s d -> (b s) t d",b=B)+time
    return torch.cat([c,rearrange(p,"(b s) t d -> b (t s) d",b=B)],1)
"""),
    "vmap over the frames of all clips": ("06.4", """
def within_frames(attention, cls, x):
    o=torch.vmap(lambda f: attention(torch.cat([cls,f],1)),in_dims=1,out_dims=1)(x)
    return o[:,:,0].mean(1,True),o[:,:,1:]
"""),
    "small masks joined by einops": ("06.7", """
def sparse_masks(t,h,w):
    def near(n):
        k=(n+1)//2; i=torch.arange(n); d=i[None,:]-i[:,None]; return (d>=-(k//2))&(d<k-k//2)
    L = repeat(near(h)[:, None, :, None] & near(w)[None, :, None, :], "h w g v -> (t h w) (u g v)", t=t, u=t)
    p = lambda n: (torch.arange(n)[:, None] - torch.arange(n)[None]) % 2 == 0
    G = p(t)[:, None, None, :, None, None] & p(h)[None, :, None, None, :, None]
    G = rearrange(G & p(w)[None, None, :, None, None, :], "a b c d e f -> (a b c) (d e f)")
    return (L,G)
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "time as one more place": ("06.1", """
def joint_tokens(cls, patches, space, time):
    x = rearrange(patches, "b t s d -> b s t d") + space[:, 1:, None] + time[:, None]
    return torch.cat([(cls + space[:, :1]).expand(len(x), -1, -1), x.flatten(1, 2)], 1)
""", "frame by frame"),
    "mean of the times": ("06.1", """
def joint_tokens(cls, patches, space, time):
    x = (patches + space[:, None, 1:] + time[:, :, None]).flatten(1, 2)
    return torch.cat([(cls + space[:, :1] + time.mean(1, keepdim=True)).expand(len(x), -1, -1), x], 1)
""", "the mean of the times"),
    "no class token": ("06.1", """
def joint_tokens(cls, patches, space, time):
    return (patches + space[:, None, 1:] + time[:, :, None]).flatten(1, 2)
""", "the class token is missing"),
    "changes its argument": ("06.1", """
def joint_tokens(cls, patches, space, time):
    patches += space[:, None, 1:]
    patches += time[:, :, None]
    return torch.cat([(cls + space[:, :1]).expand(len(patches), -1, -1), patches.flatten(1, 2)], 1)
""", "in place"),
    "both as in the paper": ("06.2", """
def comparisons(t, s):
    return t * s + 1, t + s + 2, t + s + 2
""", "the code leaves the class token out"),
    "joint without class token": ("06.2", """
def comparisons(t, s):
    return t * s, t + s + 2, t + s + 1
""", "the joint count misses"),
    "two numbers": ("06.2", """
def comparisons(t, s):
    return t * s + 1, t + s + 1
""", "expected three"),
    "a float": ("06.2", """
def comparisons(t, s):
    return t * s + 1, t + s + 2, (2 * t + 2 * s + 2) / 2
""", "use // instead of /"),
    "transposed only on the way in": ("06.3", """
def over_time(attention, x):
    B, t, s, D = x.shape
    return attention(x.transpose(1, 2).reshape(B * s, t, D)).view(B, t, s, D)
""", "on the way back"),
    "batch as time": ("06.3", """
def over_time(attention, x):
    y = rearrange(x, "b t s d -> (t s) b d")
    return rearrange(attention(y), "(t s) b d -> b t s d", t=x.shape[1])
""", "the clips of the batch"),
    "mean": ("06.3", """
def over_time(attention, x):
    y = attention(rearrange(x, "b t s d -> (b s) t d")).mean(1)
    return repeat(y, "(b s) d -> b t s d", t=x.shape[1], b=len(x))
""", "the mean over time"),
    "attends twice": ("06.3", """
def over_time(attention, x):
    attention(x.flatten(0, 1))
    y = attention(rearrange(x, "b t s d -> (b s) t d"))
    return rearrange(y, "(b s) t d -> b t s d", b=len(x))
""", "hand each to it once"),
    "four axes to attention": ("06.3", """
def over_time(attention, x):
    return attention(x.transpose(1, 2)).transpose(1, 2)
""", "attention takes (rows, n, D)"),
    "one tensor": ("06.4", """
def within_frames(attention, cls, x):
    B, t = x.shape[:2]
    return attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], 1)).unflatten(0, (B, t))
""", "as a tuple"),
    "axis lost": ("06.4", """
def within_frames(attention, cls, x):
    B, t = x.shape[:2]
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], 1)).unflatten(0, (B, t))
    return out[:, :, 0].mean(1), out[:, :, 1:]
""", "keep the axis of the single token"),
    "exchanged": ("06.4", """
def within_frames(attention, cls, x):
    B, t = x.shape[:2]
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], 1)).unflatten(0, (B, t))
    return out[:, :, 1:], out[:, :, 0].mean(1, keepdim=True)
""", "the two are exchanged"),
    "largest": ("06.4", """
def within_frames(attention, cls, x):
    B, t = x.shape[:2]
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], 1)).unflatten(0, (B, t))
    return out[:, :, 0].amax(1, keepdim=True), out[:, :, 1:]
""", "average them"),
    "last copy": ("06.4", """
def within_frames(attention, cls, x):
    B, t = x.shape[:2]
    out = attention(torch.cat([cls.repeat_interleave(t, 0), x.flatten(0, 1)], 1)).unflatten(0, (B, t))
    return out[:, -1, :1], out[:, :, 1:]
""", "only the last frame's copy"),
    "the MLP twinned, too": ("06.5", """
def start_from_image(image):
    D = len(image["norm1.weight"])
    fc = {"temporal_fc.weight": torch.zeros(D, D), "temporal_fc.bias": torch.zeros(D)}
    return image | {"temporal_" + k: v.clone() for k, v in image.items()} | fc
""", "is one too many"),
    "only the new ones": ("06.5", """
def start_from_image(image):
    D = len(image["norm1.weight"])
    fc = {"temporal_fc.weight": torch.zeros(D, D), "temporal_fc.bias": torch.zeros(D)}
    return {"temporal_" + k: v.clone() for k, v in image.items() if k[:5] in ("norm1", "attn.")} | fc
""", "keeps all weights of the image block"),
    "changes the given dict": ("06.5", """
def start_from_image(image):
    for k in list(image):
        if k.startswith(("norm1", "attn")):
            image["temporal_" + k] = image[k].clone()
    D = len(image["norm1.weight"])
    image["temporal_fc.weight"], image["temporal_fc.bias"] = torch.zeros(D, D), torch.zeros(D)
    return image
""", "in place"),
    "a shape of q, k and v": ("06.5", """
def start_from_image(image):
    D = len(image["norm1.weight"])
    fc = {"temporal_fc.weight": torch.zeros(3 * D, D), "temporal_fc.bias": torch.zeros(D)}
    return image | {"temporal_" + k: v.clone() for k, v in image.items() if k[:5] in ("norm1", "attn.")} | fc
""", "temporal_fc.weight has shape (15, 5)"),
    "x added": ("06.6", """
def attend_along(attention, x, axis):
    i = "bthwd".index(axis)
    y = x.transpose(i, 3)
    return x + attention(y.flatten(0, 2)).view(y.shape).transpose(i, 3)
""", "x is added"),
    "always rows": ("06.6", """
def attend_along(attention, x, axis):
    return attention(x.flatten(0, 2)).view(x.shape)
""", "asked for 't', it attends along w"),
    "sum of the offsets": ("06.7", """
def sparse_masks(t, h, w):
    n = torch.arange(t * h * w)
    f, r, c = n // (h * w), n // w % h, n % w
    dr, dc, df = r - r[:, None], c - c[:, None], f - f[:, None]
    a, b = (h + 1) // 2, (w + 1) // 2
    local = (dr >= -(a // 2)) & (dr < a - a // 2) & (dc >= -(b // 2)) & (dc < b - b // 2)
    return local, (dr + dc + df) % 2 == 0
""", "added up before the stride"),
    "blocks": ("06.7", """
def sparse_masks(t, h, w):
    n = torch.arange(t * h * w)
    r, c = n // w % h // ((h + 1) // 2), n % w // ((w + 1) // 2)
    local = (r == r[:, None]) & (c == c[:, None])
    return local, local
""", "counted from the query"),
    "one query": ("06.7", """
def sparse_masks(t, h, w):
    return torch.ones(t, h, w).bool(), torch.ones(t, h, w).bool()
""", "this is one query's view"),
    "minus infinity": ("06.7", """
def sparse_masks(t, h, w):
    n = t * h * w
    return torch.full((n, n), -math.inf), torch.zeros(n, n)
""", "expected Bool"),
    "cut out of the graph": ("06.1", """
def joint_tokens(cls, patches, space, time):
    B=patches.shape[0]
    g=space[0,1:][None]+time[0][:,None]
    return torch.hstack([(cls+space[:,[0]]).repeat(B,1,1),(patches+g).flatten(1,-2)]).detach()
""", "no gradient passes"),
    "places one by one": ("06.1", """
def joint_tokens(cls, patches, space, time):
    B,t,s,D=patches.shape
    x = patches.flatten(1, 2) + space[:, 1:].repeat_interleave(t, 1) + time.repeat_interleave(s, 1)
    return torch.cat([(cls + space[:, :1]).repeat(B, 1, 1), x], 1)
""", "another place's row"),
    "the code without class token": ("06.2", """
def comparisons(t,s):
    return t*s+1,t+s+2,t+s
""", "within frames it is a key"),
    "unfolded clips first": ("06.3", """
def over_time(attention, x):
    B,t,s,D=x.shape
    out=attention(rearrange(x,"b t s d -> (s b) t d"))
    return rearrange(out,"(b s) t d -> b t s d",b=B)
""", "unfold them as (s, B)"),
    "the blocks before cannot learn": ("06.3", """
def over_time(attention, x):
    B,t,s,D=x.shape
    return rearrange(attention(rearrange(x.detach(),"b t s d -> (b s) t d")),"(b s) t d -> b t s d",b=B)
""", "no gradient goes back"),
    "earlier frames only": ("06.3", """
def over_time(attention, x):
    B, t, s, D = x.shape
    line = lambda j: torch.stack([attention(x[:, : i + 1, j])[:, -1] for i in range(t)], 1)
    return torch.stack([line(j) for j in range(s)], 2)
""", "earlier frames only"),
    "masks inverted": ("06.7", """
def sparse_masks(t,h,w):
    ij=torch.cartesian_prod(torch.arange(t),torch.arange(h),torch.arange(w))
    d=ij[None]-ij[:,None]
    n=torch.tensor([-(-h//2),-(-w//2)])
    L=((d[...,1:]>=-(n//2))&(d[...,1:]<n-n//2)).all(-1)
    G=((d%2)==0).all(-1)
    return ~L,~G
""", "wrong way round"),
    "round the corner": ("06.7", """
def sparse_masks(t,h,w):
    ij=torch.cartesian_prod(torch.arange(t),torch.arange(h),torch.arange(w))
    n=(h+1)//2; m=(w+1)//2
    d=ij[None]-ij[:,None]
    L=((d[...,1]+n//2)%h<n)&((d[...,2]+m//2)%w<m)
    return L,((d%2)==0).all(-1)
""", "the other side of the frame"),
    "pushed inwards": ("06.7", """
def sparse_masks(t,h,w):
    ij=torch.cartesian_prod(torch.arange(t),torch.arange(h),torch.arange(w))
    n=(h+1)//2; m=(w+1)//2
    r0=(ij[:,1]-n//2).clamp(0,h-n); c0=(ij[:,2]-m//2).clamp(0,w-m)
    L=(ij[None,:,1]>=r0[:,None])&(ij[None,:,1]<r0[:,None]+n)&(ij[None,:,2]>=c0[:,None])&(ij[None,:,2]<c0[:,None]+m)
    d=ij[None]-ij[:,None]
    return L,((d%2)==0).all(-1)
""", "pushed inwards"),
    "near in time": ("06.7", """
def sparse_masks(t,h,w):
    ij=torch.cartesian_prod(torch.arange(t),torch.arange(h),torch.arange(w))
    d=ij[None]-ij[:,None]
    n=torch.tensor([(t+1)//2,-(-h//2),-(-w//2)])
    L=((d>=-(n//2))&(d<n-n//2)).all(-1)
    return L,((d%2)==0).all(-1)
""", "near in time as well"),
    "itself left out": ("06.7", """
def sparse_masks(t,h,w):
    ij=torch.cartesian_prod(torch.arange(t),torch.arange(h),torch.arange(w))
    d=ij[None]-ij[:,None]
    n=torch.tensor([-(-h//2),-(-w//2)])
    L=((d[...,1:]>=-(n//2))&(d[...,1:]<n-n//2)).all(-1)
    G=((d%2)==0).all(-1)&(d!=0).any(-1)
    return L,G
""", "the query itself is left out"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_wrong_answers_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    message = said(exercise_id, source)
    assert sentence in message
    assert "could not read" not in message


def test_solutions_agree_with_the_library():
    over_time, within, along, masks, tokens = (
        exercise(number).compile() for number in ("06.3", "06.4", "06.6", "06.7", "06.1")
    )
    model = create_model("timesformer_samples").eval()
    block = model.blocks[0]
    with torch.no_grad():
        block.temporal_fc.weight.copy_(torch.randn(64, 64))
        clips = torch.randn(2, 8, 3, 32, 32)
        cls, patches, grid = model.embed(clips)
        plain = model.patch_embed(clips.flatten(0, 1)).unflatten(0, (2, 8))
        torch.nn.init.normal_(model.time_embed)
        row = tokens(model.cls_token, plain, model.pos_embed, model.time_embed)
        want = torch.cat([cls[:, 0], (patches + model.time_embed[:, :, None]).flatten(1, 2)], dim=1)
        torch.testing.assert_close(row, want)
        ours = block.temporal_fc(over_time(block.temporal_attn, block.temporal_norm1(patches)))
        torch.testing.assert_close(ours, block.over_time(patches), rtol=1e-4, atol=1e-5)
        want = block.in_frames(cls[:, 0], patches)
        for one, other in zip(
            within(block.attn, block.norm1(cls[:, 0]), block.norm1(patches)), want, strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        along_time = along(block.attn, patches.unflatten(2, (grid.h, grid.w)), "t").flatten(2, 3)
        torch.testing.assert_close(along_time, over_time(block.attn, patches))
    for sizes in ((2, 5, 7), (3, 4, 6)):
        local, far = masks(*sizes)
        assert torch.equal(local, LocalNeighbourhood(TokenGrid(*sizes)).mask())
        assert torch.equal(far, StridedGlobal(TokenGrid(*sizes)).mask())


@pytest.mark.parametrize(("t", "s"), [(3, 5), (8, 16), (1, 7)])
def test_comparisons_are_what_the_patterns_count(t, s):
    joint, paper, code = exercise("06.2").compile()(t, s)
    grid = TokenGrid(t, s, 1)
    over_time = int(SamePlace(grid).allowed_per_query(t * s)[0])
    within = int(SameFrame(grid).allowed_per_query(t * s)[0])
    assert (joint, paper, code) == (t * s + 1, over_time + 1 + within + 1, over_time + within + 1)
    assert int(Axial(TokenGrid(t, 2, s), "w").allowed_per_query(2 * t * s)[0]) == s


def test_costs_told_are_the_published_ones():
    base, tall, long = (
        model_cost(one()).multiply_adds * 3 / 1e12
        for one in (TimeSformerConfig.base, TimeSformerConfig.high_resolution, TimeSformerConfig.large)
    )
    assert [round(one, 2) for one in (base, tall, long)] == [0.59, 5.11, 7.14]
    divided, joint = (model_cost(TimeSformerConfig(attention=name)) for name in ("divided", "joint"))
    assert divided.multiply_adds > joint.multiply_adds
    assert round(divided.parameters / joint.parameters, 2) == 1.41


# ------------------------------------------------------------------------------------------------ the panel


def test_panel_tells_meeting_from_reaching():
    state = QueryPatchExplorer().state
    assert state["show"] == MEETS
    meets = QueryPatchExplorer.render(state)
    assert "over time 4, within the frame 36; 39 of 144" in meets.text
    reached = {
        scheme: QueryPatchExplorer.render(state | {"scheme": scheme, "show": REACHES}).text
        for scheme in SCHEMES
    }
    assert all("144 of 144" in text for scheme, text in reached.items() if scheme != "space")
    assert "36 of 144" in reached["space"]


def test_panel_cuts_the_neighbourhood_off_in_a_corner():
    corner = QueryPatchExplorer().state | {"scheme": "sparse", "frame": 0, "row": 0, "column": 0}
    assert f"near, in all frames {2 * 2 * GRID.t}," in QueryPatchExplorer.render(corner).text


# --------------------------------------------------------------------------------- on published weights


def hub_folder(folder: Path) -> Path:
    """A tiny model of the official code in the hub's layout."""
    names = {
        "norm1": "layernorm_before", "attn.qkv": "attention.attention.qkv",
        "attn.proj": "attention.output.dense", "temporal_norm1": "temporal_layernorm",
        "temporal_attn.qkv": "temporal_attention.attention.qkv",
        "temporal_attn.proj": "temporal_attention.output.dense", "temporal_fc": "temporal_dense",
        "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
    }  # fmt: skip
    tables = {"cls_token": "cls_token", "pos_embed": "position_embeddings", "time_embed": "time_embeddings"}
    renamed = {}
    with safe_open(REFERENCE, "pt") as file:
        for key in [key[2:] for key in file.keys() if key.startswith("w.")]:  # noqa: SIM118
            part, _, kind = key.rpartition(".")
            if key.startswith("blocks."):
                _, layer, part = part.split(".", 2)
                new = f"timesformer.encoder.layer.{layer}.{names[part]}.{kind}"
            elif key in tables:
                new = f"timesformer.embeddings.{tables[key]}"
            else:
                new = {
                    "patch_embed.proj": "timesformer.embeddings.patch_embeddings.projection",
                    "norm": "timesformer.layernorm",
                    "head": "classifier",
                }[part] + f".{kind}"
            renamed[new] = file.get_tensor(f"w.{key}").contiguous()
    folder.mkdir(parents=True)
    save_file(renamed, folder / "model.safetensors")
    config = {"model_type": "timesformer", "image_size": 32, "patch_size": 8, "num_frames": 4}
    config |= {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 192}
    config |= {"attention_type": "divided_space_time"}
    config |= {"id2label": {str(number): f"class {number}" for number in range(7)}}
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"image_mean": [0.45, 0.45, 0.45], "image_std": [0.225, 0.225, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture
def shown(monkeypatch):
    figures = []
    monkeypatch.setattr(published, "show", lambda figure, text: figures.append((figure, text)))
    return figures


def test_published_section_on_a_folder_in_the_hubs_layout(tmp_path, capsys, shown):
    model = published.published_model(hub_folder(tmp_path / "tiny"), megabytes=1)
    assert model is not None
    assert capsys.readouterr().out == ""
    video = next((bundled_samples() / "val").rglob("*.mp4"))
    published.look_at(model, video)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("class ") and line.endswith(" %") for line in lines)
    shares = [int(line.split()[-2]) for line in lines]
    assert shares == sorted(shares, reverse=True)
    ((figure, text),) = shown
    assert len(figure.axes) == 6
    assert text.startswith("frame 0: most at row ")
    assert "of 4" in text


def test_published_section_says_how_to_get_them(tmp_path, monkeypatch, capsys, shown):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert published.published_model("someone/nothing", megabytes=486) is None
    told = capsys.readouterr().out
    assert "someone/nothing is not on this machine" in told
    assert 'load_published("someone/nothing")' in told
    assert str(tmp_path) not in told
    assert shown == []


def test_published_section_names_a_broken_folder(tmp_path):
    folder = hub_folder(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        published.published_model(folder, megabytes=1)
