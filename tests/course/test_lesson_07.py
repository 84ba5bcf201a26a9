"""Lesson 07 beyond its listed answers: other right ways pass, other mistakes are named, the panel counts."""

import contextlib
import dataclasses
import io
import json

import jupytext
import pytest
import torch
from safetensors.torch import save_file

from vtlearn.attention import SplitHeadsAttention
from vtlearn.course import notebooks
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_07 import (
    FRAMES,
    NAMES,
    PATCH,
    SIDES,
    TUBELETS,
    FourModels,
    cost_of,
    pairs_of,
)
from vtlearn.models import ViViT, ViViTConfig
from vtlearn.models.cost import model_cost
from vtlearn.shapes import TokenGrid

ENCODERS = {
    1: "joint",
    2: "factorised_encoder",
    3: "factorised_self_attention",
    4: "factorised_dot_product",
}


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "double precision": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = torch.cat([cls_token.double().repeat(len(tokens), 1, 1), tokens.flatten(1, 2).double()], 1)
    x = x + table.double()
    for block in blocks:
        x = block(x)
    return norm(x.float())[:, 0].double()
"""),
    "stacked rows": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    rows = []
    for clip in tokens:
        x = torch.vstack([cls_token[0], *clip]) + table[0]
        x = x[None]
        for f in blocks:
            x = f(x)
        rows.append(norm(x)[0, 0])
    return torch.stack(rows)
"""),
    "in-place sum on a copy": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    B, D = tokens.size(0), tokens.size(-1)
    x = torch.cat([cls_token.expand(B, 1, -1), tokens.reshape(B, -1, D)], 1).clone()
    x += table
    for block in blocks:
        x = block(x)
    x = norm(x)
    return torch.squeeze(x[:, :1], 1)
"""),
    "reduce over blocks": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    import functools
    x = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens.flatten(1, 2)], dim=1).add(table)
    return norm(functools.reduce(lambda y, block: block(y), blocks, x)).unbind(1)[0]
"""),
    "nested loops": ("07.2", """
def factorised_encoder(tokens, space, time):
    answers = []
    for clip in tokens:
        vectors = [space(index[None])[0] for index in clip]
        answers.append(time(torch.stack(vectors)[None])[0])
    return torch.stack(answers)
"""),
    "into an empty tensor": ("07.2", """
def factorised_encoder(tokens, space, time):
    H = torch.zeros(tokens.shape[0], tokens.shape[1], tokens.shape[3])
    for k in range(tokens.shape[1]):
        H[:, k] = space(tokens[:, k])
    return time(H)
"""),
    "vmapped by hand": ("07.2", """
def factorised_encoder(tokens, space, time):
    return time(torch.stack(list(map(space, tokens.unbind(1))), 1))
"""),
    "swapaxes": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    y = norms[0](x).swapaxes(1, 2).contiguous().view(-1, t, D)
    y = attend_time(y).view(B, s, t, D).swapaxes(1, 2)
    x = x + y
    x = torch.add(x, attend_space(norms[1](x).contiguous().view(-1, s, D)).view(B, t, s, D))
    x = x + mlp(norms[2](x).flatten(0, 2)).unflatten(0, (B, t, s))
    return x
"""),
    "changes a clone in place": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    x = x.clone()
    a, b, c = norms
    x += torch.stack([attend_time(row) for row in a(x).transpose(1, 2)]).transpose(1, 2)
    x += torch.stack([attend_space(clip) for clip in b(x)])
    x += mlp(c(x))
    return x
"""),
    "permuted to heads, time, space": ("07.4", """
def half_and_half(q, k, v):
    a = [x.chunk(2, dim=1) for x in (q, k, v)]
    sdpa = F.scaled_dot_product_attention
    time = sdpa(*[x[0].permute(0, 1, 3, 2, 4) for x in a]).permute(0, 1, 3, 2, 4)
    return torch.hstack([time, sdpa(*[x[1] for x in a])])
"""),
    "einops": ("07.4", """
def half_and_half(q, k, v):
    h = q.shape[1] // 2
    def attend(q, k, v):
        return torch.softmax(q @ rearrange(k, "b n d -> b d n") / q.shape[-1] ** 0.5, -1) @ v
    fold = lambda x: rearrange(x[:, :h], "b n t s d -> (b n s) t d")
    a = rearrange(attend(fold(q), fold(k), fold(v)), "(b n s) t d -> b n t s d", b=len(q), n=h)
    fold = lambda x: rearrange(x[:, h:], "b n t s d -> (b n t) s d")
    b = rearrange(attend(fold(q), fold(k), fold(v)), "(b n t) s d -> b n t s d", b=len(q), n=h)
    return torch.cat([a, b], 1)
"""),
    "in double": ("07.4", """
def half_and_half(q, k, v):
    q, k, v = q.double(), k.double(), v.double()
    half = q.shape[1] // 2
    out = torch.zeros_like(q)
    for i in range(q.shape[3]):
        a, b, c = q[:, :half, :, i], k[:, :half, :, i], v[:, :half, :, i]
        out[:, :half, :, i] = (a @ b.mT / q.shape[-1] ** 0.5).softmax(-1) @ c
    for i in range(q.shape[2]):
        a, b, c = q[:, half:, i], k[:, half:, i], v[:, half:, i]
        out[:, half:, i] = (a @ b.mT / q.shape[-1] ** 0.5).softmax(-1) @ c
    return out
"""),
    "a tensor of one number": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    D, M = embed_dim, mlp_dim
    block = 4 * D * D + 4 * D + 2 * D * M + D + M + 4 * D
    more = [0, temporal_depth * block, depth * (4 * D * D + 6 * D), 0][model - 1]
    return torch.tensor(depth * block + more)
"""),
    "multi-head module": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    def size(m):
        return sum(p.numel() for p in m.parameters())
    att = nn.MultiheadAttention(embed_dim, 1)
    mlp = nn.Sequential(nn.Linear(embed_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, embed_dim))
    norm = nn.LayerNorm(embed_dim)
    layers = depth + temporal_depth * (model == 2)
    return layers * (size(att) + size(mlp) + 2 * size(norm) + (size(att) + size(norm)) * (model == 3))
"""),
    "a table of patterns": ("07.6", """
def attend_in_turn(x, attend, axes):
    B, t, h, w, D = x.shape
    patterns = {"t": "(b h w) t d", "h": "(b t w) h d", "w": "(b t h) w d", "hw": "(b t) (h w) d",
                "thw": "b (t h w) d", "th": "(b w) (t h) d", "tw": "(b h) (t w) d"}
    for step in axes:
        p = patterns[step]
        x = x + rearrange(attend(rearrange(x, "b t h w d -> " + p)), p + " -> b t h w d", b=B, t=t, h=h, w=w)
    return x
"""),
    "if and else": ("07.6", """
def attend_in_turn(x, attend, axes):
    for step in axes:
        names = [n for n in "bthw" if n not in step] + list(step)
        y = torch.einsum(f"bthwd->{''.join(names)}d", x)
        n = 1
        for a in step:
            n *= x.shape["bthw".index(a)]
        z = attend(y.reshape(-1, n, x.shape[-1])).reshape(y.shape)
        x = x + torch.einsum(f"{''.join(names)}d->bthwd", z)
    return x
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "only one block": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens.flatten(1, 2)], 1) + table
    for block in blocks: y = block(x)
    return norm(y)[:, 0]
""", "what the one before gave"),
    "framewise": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    B,t,s,D = tokens.shape
    out=[]
    for k in range(t):
        x = torch.cat([cls_token.expand(B,-1,-1), tokens[:,k]],1)+table[:,:1+s]
        for b in blocks: x=b(x)
        out.append(norm(x)[:,0])
    return torch.stack(out,1).mean(1)
""", "all tokens of the clip meet"),
    "wrong einops2": ("07.2", """
def factorised_encoder(tokens, space, time):
    v = space(rearrange(tokens,'b t s d -> (t b) s d'))
    return time(rearrange(v,'(b t) d -> b t d', t=tokens.shape[1]))
""", "not (B, t)"),
    "sum": ("07.2", """
def factorised_encoder(tokens, space, time):
    return space(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]).sum(dim=1)
""", "these are sums"),
    "norm residual": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    x = norms[0](x)
    x = x + rearrange(attend_time(rearrange(x,'b t s d -> (b s) t d')),'(b s) t d -> b t s d',b=B)
    x = norms[1](x)
    x = x + rearrange(attend_space(rearrange(x,'b t s d -> (b t) s d')),'(b t) s d -> b t s d',b=B)
    x = norms[2](x)
    return x + mlp(x)
""", "the norms change the stream"),
    "mlp twice": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    x = x + rearrange(attend_time(rearrange(norms[0](x),'b t s d -> (b s) t d')),'(b s) t d -> b t s d',b=B)
    x = x + mlp(norms[2](x))
    x = x + rearrange(attend_space(rearrange(norms[1](x),'b t s d -> (b t) s d')),'(b t) s d -> b t s d',b=B)
    return x + mlp(norms[2](x))
""", "the MLP runs twice"),
    "bad b": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    x = x + rearrange(attend_time(rearrange(norms[0](x),'b t s d -> (b s) t d')),'(s b) t d -> b t s d',b=B)
    x = x + rearrange(attend_space(rearrange(norms[1](x),'b t s d -> (b t) s d')),'(b t) s d -> b t s d',b=B)
    return x + mlp(norms[2](x))
""", "not (s, B)"),
    "inplace x": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    x += rearrange(attend_time(rearrange(norms[0](x),'b t s d -> (b s) t d')),'(b s) t d -> b t s d',b=B)
    x += rearrange(attend_space(rearrange(norms[1](x),'b t s d -> (b t) s d')),'(b t) s d -> b t s d',b=B)
    x += mlp(norms[2](x))
    return x
""", "in place"),
    "scale by t*s": ("07.4", """
def half_and_half(q,k,v):
    n=q.shape[1]//2
    at=lambda q,k,v:(q@k.mT/q.shape[-2]**.5).softmax(-1)@v
    f=lambda x:x[:,:n].transpose(2,3)
    return torch.cat([at(f(q),f(k),f(v)).transpose(2,3), at(q[:,n:],k[:,n:],v[:,n:])],1)
""", "the width d of a head is meant"),
    "causal": ("07.4", """
def half_and_half(q,k,v):
    n=q.shape[1]//2
    at=lambda q,k,v:F.scaled_dot_product_attention(q,k,v,is_causal=True)
    f=lambda x:x[:,:n].transpose(2,3)
    over_space = F.scaled_dot_product_attention(q[:,n:], k[:,n:], v[:,n:])
    return torch.cat([at(f(q),f(k),f(v)).transpose(2,3), over_space], 1)
""", "the heads over time are causal"),
    "three temporal": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    D, M = embed_dim, mlp_dim
    b = 4*D*D + 2*D*M + 9*D + M
    return {1: depth*b, 2: (depth+temporal_depth)*b, 3: (depth+temporal_depth)*b, 4: depth*b}[model]
""", "these are model 2's blocks"),
    "mlp bias once": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    D, M = embed_dim, mlp_dim
    b = 4*D*D + 2*D*M + 8*D + M
    return {1: depth*b, 2: (depth+temporal_depth)*b, 3: depth*(b+4*D*D+6*D), 4: depth*b}[model]
""", "one is missing"),
    "joint string only": ("07.6", """
def attend_in_turn(x, attend, axes):
    for a in axes:
        y = x
        for c in a:
            i = 'bthw'.index(c)
            m = y.movedim(i, 3)
            y = attend(m.reshape(-1, m.shape[3], m.shape[4])).reshape(m.shape).movedim(3, i)
        x = x + y
    return x
""", "one row of tokens"),
    "first place": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens.flatten(1, 2)], 1) + table
    for block in blocks:
        x = block(x)
    return norm(x)[:, 1]
""", "not of the class token"),
    "no class token": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = tokens.flatten(1, 2) + table[:, 1:]
    for block in blocks:
        x = block(x)
    return norm(x)[:, 0]
""", "the class token is missing"),
    "class token not repeated": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = torch.cat([cls_token, tokens.flatten(1, 2)], 1) + table
    for block in blocks:
        x = block(x)
    return norm(x)[:, 0]
""", "RuntimeError"),
    "axis kept": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x = torch.cat([cls_token.expand(len(tokens), -1, -1), tokens.flatten(1, 2)], 1) + table
    for block in blocks:
        x = block(x)
    return norm(x)[:, :1]
""", "index it away"),
    "tokens changed in place": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    tokens += table[:, 1:].view(1, *tokens.shape[1:])
    x = torch.cat([(cls_token + table[:, :1]).expand(len(tokens), -1, -1), tokens.flatten(1, 2)], 1)
    for block in blocks:
        x = block(x)
    return norm(x)[:, 0]
""", "changes its argument tokens in place"),
    "four axes to space": ("07.2", """
def factorised_encoder(tokens, space, time):
    return time(space(tokens))
""", "expected rows of tokens"),
    "backwards": ("07.2", """
def factorised_encoder(tokens, space, time):
    return time(torch.stack([space(tokens[:, k]) for k in range(tokens.shape[1])][::-1], 1))
""", "run backwards"),
    "exchanged": ("07.2", """
def factorised_encoder(tokens, space, time):
    return space(time(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]))
""", "the two transformers are exchanged"),
    "detached": ("07.2", """
@torch.no_grad()
def factorised_encoder(tokens, space, time):
    return time(space(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]))
""", "no gradient goes back"),
    "forgot the way back": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    y = attend_time(norms[0](x).transpose(1, 2).flatten(0, 1))
    x = x + y.reshape(B, t, s, D)
    x = x + attend_space(norms[1](x).flatten(0, 1)).view(B, t, s, D)
    return x + mlp(norms[2](x))
""", "exchange the axes back"),
    "one norm for all": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    y = attend_time(norms[0](x).transpose(1, 2).flatten(0, 1)).view(B, s, t, D).transpose(1, 2)
    x = x + y
    x = x + attend_space(norms[0](x).flatten(0, 1)).view(B, t, s, D)
    return x + mlp(norms[2](x))
""", "a norm of its own"),
    "mlp without its residual": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    x = x + attend_time(norms[0](x).transpose(1, 2).flatten(0, 1)).view(B, s, t, D).transpose(1, 2)
    x = x + attend_space(norms[1](x).flatten(0, 1)).view(B, t, s, D)
    return mlp(norms[2](x))
""", "the MLP's residual"),
    "left in place order": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    B, t, s, D = x.shape
    y = x.transpose(1, 2)
    return y + attend_time(norms[0](y).flatten(0, 1)).view(B, s, t, D)
""", "time and place are exchanged at the end"),
    "softmax over queries": ("07.4", """
def half_and_half(q, k, v):
    n = q.shape[1] // 2
    f = lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2) @ v
    a = f(*(x[:, :n].transpose(2, 3) for x in (q, k, v))).transpose(2, 3)
    return torch.cat([a, f(q[:, n:], k[:, n:], v[:, n:])], 1)
""", "over the queries"),
    "heads doubled": ("07.4", """
def half_and_half(q, k, v):
    f = F.scaled_dot_product_attention
    return torch.cat([f(*(x.transpose(2, 3) for x in (q, k, v))).transpose(2, 3), f(q, k, v)], 1)
""", "has run twice"),
    "time not brought back": ("07.4", """
def half_and_half(q, k, v):
    f, n = F.scaled_dot_product_attention, q.shape[1] // 2
    a = f(*(x[:, :n].transpose(2, 3) for x in (q, k, v))).reshape(q[:, :n].shape)
    return torch.cat([a, f(q[:, n:], k[:, n:], v[:, n:])], 1)
""", "do not reshape"),
    "the library's kernel": ("07.4", """
def half_and_half(q, k, v):
    from vtlearn.attention import SplitHeadsAttention
    out = SplitHeadsAttention(q.shape[3], q.shape[1])(*(x.flatten(2, 3) for x in (q, k, v)))
    return out.view(q.shape)
""", "forwards the work"),
    "a float": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    return float(depth * embed_dim)
""", "expected an integer"),
    "time blocks everywhere": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    block = 4 * embed_dim**2 + 9 * embed_dim + 2 * embed_dim * mlp_dim + mlp_dim
    return (depth + temporal_depth) * block
""", "the blocks over time are model 2's"),
    "space and time at once": ("07.6", """
def attend_in_turn(x, attend, axes):
    B, t, h, w, D = x.shape
    return x + attend(x.view(B, -1, D)).view(x.shape)
""", "all axes are attended to at once"),
    "only known pairs": ("07.6", """
def attend_in_turn(x, attend, axes):
    B, t, h, w, D = x.shape
    for step in axes:
        rows = "(b h w) t d" if step == "t" else "(b t) (h w) d"
        y = attend(rearrange(x, f"b t h w d -> {rows}"))
        y = rearrange(y, f"{rows} -> b t h w d", b=B, t=t, h=h, w=w)
        x = x + y
    return x
""", "the tokens after thw"),
    "table cut out of the graph": ("07.1", """
def joint_encoder(tokens, cls_token, table, blocks, norm):
    x=torch.cat([cls_token.data.expand(len(tokens),-1,-1),tokens.flatten(1,2)],1)+table.data
    for b in blocks: x=b(x)
    return norm(x)[:,0]
""", "no gradient goes back to the class token"),
    "last sum from the start": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    nt,ns,nm=norms
    y=x+torch.vmap(attend_time,2,2)(nt(x))
    z=y+torch.vmap(attend_space,1,1)(ns(y))
    return x+mlp(nm(z))
""", "the last sum starts from"),
    "norms in another order": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    ns,nt,nm=norms
    y=x+torch.vmap(attend_time,2,2)(nt(x))
    z=y+torch.vmap(attend_space,1,1)(ns(y))
    return z+mlp(nm(z))
""", "the norms are exchanged"),
    "time detached": ("07.3", """
def factorised_block(x, norms, attend_time, attend_space, mlp):
    nt,ns,nm=norms
    y=x+torch.vmap(attend_time,2,2)(nt(x)).detach()
    z=y+torch.vmap(attend_space,1,1)(ns(y))
    return z+mlp(nm(z))
""", "the gradient does not reach"),
    "no biases of q, k and v": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    D,M=embed_dim,mlp_dim
    b=2*2*D+4*D*D+D+2*D*M+M+D
    return depth*b+(model==2)*temporal_depth*b+(model==3)*depth*(2*D+4*D*D+D)
""", "q, k and v have biases"),
    "second attention in some blocks": ("07.5", """
def encoder_parameters(model, embed_dim, mlp_dim, depth, temporal_depth):
    D,M=embed_dim,mlp_dim
    b=2*2*D+4*(D*D+D)+2*D*M+M+D
    return depth*b+(model==2)*temporal_depth*b+(model==3)*temporal_depth*(2*D+4*(D*D+D))
""", "each of model 3's depth blocks"),
    "each step detached": ("07.6", """
def attend_in_turn(x, attend, axes):
    z=dict(zip("bthw",x.shape))
    for a in axes:
        o=" ".join(c for c in "bthw" if c not in a); i=" ".join(a)
        y = attend(rearrange(x, f"b t h w d -> ({o}) ({i}) d")).detach()
        x = x + rearrange(y, f"({o}) ({i}) d -> b t h w d", **z)
    return x
""", "no gradient goes back"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def _with_fresh_numbers(model):
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval().requires_grad_(False)


def _weights_of(stage):
    return stage.cls_token, stage.positions.table, stage.blocks, stage.norm


def test_solutions_agree_with_the_library():
    joint, factorised, block, halves = (exercise(f"07.{n}").compile() for n in range(1, 5))
    models = {
        n: _with_fresh_numbers(ViViT(ViViTConfig.samples(name))).encoder for n, name in ENCODERS.items()
    }
    grid = ViViTConfig.samples("joint").grid
    tokens = torch.randn(2, grid.t, grid.tokens_per_frame, 64)
    torch.testing.assert_close(joint(tokens, *_weights_of(models[1])), models[1](tokens, grid))
    space, time = models[2].spatial, models[2].temporal
    vector = factorised(
        tokens,
        lambda rows: joint(rows[:, None], *_weights_of(space)),
        lambda rows: joint(rows[:, None], *_weights_of(time)),
    )
    torch.testing.assert_close(vector, models[2](tokens, grid))
    own = models[3].blocks[0]
    norms = (own.norm_time, own.norm_space, own.norm_mlp)
    torch.testing.assert_close(
        block(tokens, norms, own.attn_time, own.attn_space, own.mlp), own(tokens, grid)
    )
    q, k, v = (torch.randn(2, 6, 3, 5, 7) for _ in range(3))
    flat = SplitHeadsAttention(5, 6)(*(x.flatten(2, 3) for x in (q, k, v)))
    torch.testing.assert_close(halves(q, k, v).flatten(2, 3), flat)


@pytest.mark.parametrize("model", ENCODERS)
def test_counted_parameters_are_those_of_built_blocks(model):
    count = exercise("07.5").compile()
    config = dataclasses.replace(ViViTConfig.samples(ENCODERS[model]), depth=3, temporal_depth=2)
    encoder = ViViT(config).encoder
    parts = [encoder.spatial, encoder.temporal] if model == 2 else [encoder]
    built = sum(p.numel() for part in parts for p in part.blocks.parameters())
    assert count(model, 64, 128, 3, 2) == built


def test_orders_of_attention_differ_and_those_of_averages_do_not():
    in_turn = exercise("07.6").compile()
    x = torch.randn(2, 3, 5, 2, 7, dtype=torch.float64)

    def attention(rows):
        return torch.nn.functional.scaled_dot_product_attention(rows, rows, rows)

    def average(rows):
        return rows.mean(1, keepdim=True).expand_as(rows)

    for attend, alike in ((attention, False), (average, True)):
        assert torch.allclose(in_turn(x, attend, ("t", "hw")), in_turn(x, attend, ("hw", "t"))) is alike


@pytest.mark.parametrize("model", ENCODERS)
@pytest.mark.parametrize("state", [(32, 224, 2, 4), (8, 112, 4, 1)])
def test_the_panel_counts_what_a_built_model_has(model, state):
    frames, side, tubelet, over_time = state
    config = dataclasses.replace(
        ViViTConfig.base(ENCODERS[model]),
        num_frames=frames,
        image_size=side,
        tubelet_size=(tubelet, PATCH, PATCH),
        temporal_depth=over_time,
    )
    counted, built = (
        cost_of(model, {"frames": frames, "side": side, "tubelet": tubelet, "over_time": over_time}),
        model_cost(config),
    )
    assert counted.blocks + counted.other == built.parameters
    assert (counted.linear, counted.attention) == (built.linear, built.attention)


def test_pairs_are_those_of_the_paper():
    grid = TokenGrid(3, 5, 7)
    assert pairs_of(1, grid) == (3 * 5 * 7) ** 2
    assert pairs_of(2, grid) == 3 * 35**2 + 3**2
    assert pairs_of(3, grid) == 3 * 35**2 + 35 * 3**2
    assert pairs_of(4, grid) == pairs_of(3, grid) // 2


def test_every_size_on_offer_divides():
    assert all(frames % tubelet == 0 for frames in FRAMES for tubelet in TUBELETS)
    assert all(side % PATCH == 0 for side in SIDES)


@pytest.mark.parametrize(
    ("model", "caption"),
    [(1, "(t·h·w)²"), (2, "they see 16 vectors"), (3, "run on all 3,136 tokens"), (4, "half of model 3's")],
)
def test_the_panel_says_what_to_notice(model, caption):
    state = FourModels().state | {"model": model}
    drawn = FourModels.render(state)
    assert caption in drawn.caption
    assert f"set off: {NAMES[model]}" in drawn.text


def test_what_the_captions_say_holds_for_all_states():
    for frames in FRAMES:
        for side in SIDES:
            state = {"frames": frames, "side": side, "tubelet": 1, "over_time": 4}
            plain, three = cost_of(1, state), cost_of(3, state)
            without_class_token = cost_of(4, state)
            assert three.linear - without_class_token.linear > three.attention
            assert without_class_token.attention < 0.11 * without_class_token.linear
            assert plain.attention > three.attention > without_class_token.attention


# ----------------------------------------------------------------------------------------- the real video


def _cells_on_a_real_video():
    (source,) = notebooks.sources(["07"])
    cells = jupytext.reads(source.read_text(), fmt="py:percent").cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    setup = next(text for text in code if "start_lesson(" in text)
    (first,) = (text for text in code if text.startswith("my_video"))
    (published,) = (text for text in code if "published_model(" in text and "start_lesson" not in text)
    return setup, first, published


def _run(*pieces):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec("\n\n".join(pieces), {"__name__": "__lesson__"})
    return told.getvalue()


def test_without_the_weights_the_section_says_how_to_get_them(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    told = _run(*_cells_on_a_real_video())
    assert "google/vivit-b-16x2-kinetics400 is not on this machine" in told
    assert 'pip install "vtlearn[pretrained]"' in told


def test_with_a_folder_in_the_hubs_layout_the_section_shows_five_classes(tmp_path):
    width, depth = 24, 2
    config = {
        "model_type": "vivit",
        "image_size": 32,
        "num_frames": 4,
        "tubelet_size": [2, 16, 16],
        "num_channels": 3,
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "hidden_act": "gelu_fast",
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "id2label": {str(number): f"deed {number}" for number in range(7)},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    sizes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.position_embeddings": (1, 9, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, 2, 16, 16),
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    layers = {
        "attention.attention.query": (width, width),
        "attention.attention.key": (width, width),
        "attention.attention.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (48, width),
        "output.dense": (width, 48),
    }
    for layer in range(depth):
        for name, size in layers.items():
            sizes[f"encoder.layer.{layer}.{name}.weight"] = size
            sizes[f"encoder.layer.{layer}.{name}.bias"] = size[:1]
        for name in ("layernorm_before", "layernorm_after"):
            sizes |= {f"encoder.layer.{layer}.{name}.{part}": (width,) for part in ("weight", "bias")}
    weights = {f"vivit.{name}": 0.1 * torch.randn(size) for name, size in sizes.items()}
    weights |= {"classifier.weight": torch.randn(7, width), "classifier.bias": torch.randn(7)}
    save_file(weights, tmp_path / "model.safetensors")
    setup, first, published = _cells_on_a_real_video()
    here = published.replace('"google/vivit-b-16x2-kinetics400"', repr(str(tmp_path)))
    assert here != published
    told = _run(setup, first.split("look_at(")[0], here)
    assert told.count("deed ") == 5
    assert "most at row" in told
