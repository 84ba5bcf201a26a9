"""The exercises of lesson 07: ViViT's four models, their parameters, and the order of axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_07 as answers
from vtlearn.course.judge import (
    call,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_integer,
    expect_tensor,
)

Layer = Callable[[Tensor], Tensor]

# --------------------------------------------------------------------------- what the answers are handed


class Attend(nn.Module):
    """One-head attention over rows of tokens ``(rows, n, D)``; in which order they stand does not matter."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.pairs = nn.Parameter(1.5 * torch.randn(width, width, generator=rng) / width)
        self.values = nn.Parameter(torch.randn(width, width, generator=rng) / width**0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3:
            raise ValueError(f"expected rows of tokens (rows, n, D), got a tensor of shape {tuple(x.shape)}")
        pairs, values = self.pairs.to(x), self.values.to(x)
        return (x @ pairs @ x.mT).softmax(-1) @ (x @ values)


class Block(nn.Module):
    """A block for the answers' encoder: attention and a bend, each added to what came in."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.attend = Attend(width, seed)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + torch.tanh(x.roll(1, dims=-1))


class Transformer(nn.Module):
    """A whole transformer: rows of tokens ``(rows, n, D)`` to a vector each ``(rows, D)``; order matters."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.attend = Attend(width, seed)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3:
            raise ValueError(f"expected rows of tokens (rows, n, D), got a tensor of shape {tuple(x.shape)}")
        places = torch.arange(1, x.shape[1] + 1).to(x)[:, None]
        steps = torch.arange(1, x.shape[2] + 1).to(x)
        x = x + torch.sin(places * steps)
        return (x + self.attend(x)).mean(dim=1)


def new_norm(width: int, seed: int) -> nn.LayerNorm:
    """A layer norm whose gains and biases are not those of a fresh one."""
    norm, rng = nn.LayerNorm(width), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        norm.weight.copy_(0.5 + torch.rand(width, generator=rng))
        norm.bias.copy_(0.3 * torch.randn(width, generator=rng))
    return norm


def _through(value: Tensor, given: Tensor, *, trained: bool = True) -> bool:
    """Whether a gradient goes from ``value`` back to ``given``; in place may pass where nothing trains."""
    if not value.requires_grad:
        return False
    try:
        return torch.autograd.grad(value.sum(), given, allow_unused=True, retain_graph=True)[0] is not None
    except RuntimeError:
        expect(
            not trained,
            "the values are right, but the gradient cannot be computed: something that it needs is changed "
            "in place; write x = x + step, not x += step",
        )
        return True


# ------------------------------------------------------------------------------------------------- 07.1


def check_joint_encoder(joint_encoder: Callable[..., Tensor]) -> None:
    """Every size another prime, two blocks; then one index and one place; then gradients."""
    batch, t, s, width = 2, 3, 5, 7
    tokens, cls_token = torch.randn(batch, t, s, width), torch.randn(1, 1, width)
    table = torch.randn(1, 1 + t * s, width)
    blocks, norm = nn.ModuleList([Block(width, 1), Block(width, 2)]), new_norm(width, 3)
    vector = expect_tensor(
        call(joint_encoder, tokens, cls_token, table, blocks, norm),
        (batch, width),
        kind="float",
        name="the clips' vectors",
        likely={
            (
                batch,
                1 + t * s,
                width,
            ): "these are all last tokens; the class token's vector alone is asked for",
            (batch, t * s, width): "these are the places' tokens; the class token's vector is asked for",
            (batch, 1, width): "the axis of the one token is left; index it away",
            (batch, t, width): "one vector for each temporal index; model 1 has one transformer over all of "
            "the clip, and gives one vector",
            (width,): "the clips of the batch are mixed; each has a vector of its own",
            (1, width): "one vector for the whole batch; each clip has a vector of its own",
        },
    )
    expect_finite(vector, name="the clips' vectors")

    first = cls_token.expand(batch, -1, -1)
    flat = tokens.flatten(1, 2)
    start = torch.cat([first, flat], dim=1)

    def run(x: Tensor, end: Layer = norm) -> Tensor:
        for block in blocks:
            x = block(x)
        return end(x)

    def again(x: Tensor) -> Tensor:
        for block in blocks:
            x = block(x + table)
        return norm(x)

    right = run(start + table)
    fastest = torch.cat([first, tokens.transpose(1, 2).flatten(1, 2)], dim=1) + table
    backwards = norm(blocks[0](blocks[1](start + table)))
    last = run(torch.cat([flat, first], dim=1) + table)
    apart = [torch.cat([first, tokens[:, k]], dim=1) + table[:, : 1 + s] for k in range(t)]
    expect_close(
        vector,
        right[:, 0],
        name="the clips' vectors",
        likely={
            "the positions are missing: without them a clip is a bag of tokens": run(start)[:, 0],
            "the last norm is missing": run(start + table, lambda x: x)[:, 0],
            "this is the mean of all tokens; the contract asks for the class token": right.mean(1),
            "this is the mean of the places' tokens; the contract asks for the class token": right[
                :, 1:
            ].mean(1),
            "this is the vector of the first place, not of the class token": right[:, 1],
            "this is the vector of the last place; the class token stands first": right[:, -1],
            "time runs fastest here, so tokens and rows of the table do not belong together; flatten (t s), "
            "time slowest": run(fastest)[:, 0],
            "the class token stands last, or the table is shifted: row 0 of the table is its own, so it "
            "stands first": last[:, -1],
            "the class token got no position; the table has a row for it, row 0": run(
                torch.cat([first, flat + table[:, 1:]], dim=1)
            )[:, 0],
            "the table is added in front of every block; once, at the start, is enough": again(start)[:, 0],
            "the blocks run in reverse order": backwards[:, 0],
            "only the last block has left a trace: every block must read what the one before gave, not the "
            "same start": norm(blocks[-1](start + table))[:, 0],
            "each temporal index went through the transformer by itself, and the vectors were averaged; in "
            "model 1 all tokens of the clip meet": torch.stack([run(x)[:, 0] for x in apart]).mean(0),
            "only the first block runs": norm(blocks[0](start + table))[:, 0],
            "the class token is missing: this is the first place's vector": run(flat + table[:, 1:])[:, 0],
            "no block has run": norm(start + table)[:, 0],
            "the norm stands before the blocks; here it comes after the last": run(
                norm(start + table), lambda x: x
            )[:, 0],
        },
        otherwise="class token first, tokens in the order (t s), plus the table, through the blocks and the "
        "norm; then token 0",
    )
    tiny, row = torch.randn(3, 1, 1, width), torch.randn(1, 2, width)
    small = run(torch.cat([cls_token.expand(3, -1, -1), tiny[:, 0]], dim=1) + row)[:, 0]
    expect_close(
        expect_tensor(
            call(joint_encoder, tiny, cls_token, row, blocks, norm),
            (3, width),
            name="clips of a single token",
        ),
        small,
        name="the vectors of clips of a single token",
    )
    given = [one.clone().requires_grad_() for one in (tokens, cls_token, table)]
    vector = joint_encoder(*(one * 1 for one in given), blocks, norm)
    for called, one in zip(("the tokens", "the class token", "the table"), given, strict=True):
        expect(
            _through(vector, one),
            f"the values are right, but no gradient goes back to {called}, so nothing there could learn: "
            "stay within torch, without detach",
        )


# ------------------------------------------------------------------------------------------------- 07.2


def check_factorised_encoder(factorised_encoder: Callable[..., Tensor]) -> None:
    """Two different transformers, every size another prime; then one index; then gradients."""
    batch, t, s, width = 2, 3, 5, 7
    tokens = torch.randn(batch, t, s, width)
    space, time = Transformer(width, 1), Transformer(width, 2)
    vector = expect_tensor(
        call(factorised_encoder, tokens, space, time),
        (batch, width),
        kind="float",
        name="the clips' vectors",
        likely={
            (batch, t, width): "these are the vectors of the temporal indices; the second transformer still "
            "makes one of them",
            (
                batch,
                s,
                width,
            ): "these are vectors of places; a vector for each temporal index is asked for, and "
            "then one for the clip",
            (
                batch * t,
                width,
            ): "batch and time are still one axis: unfold them before the second transformer",
            (1, width): "all indices of all clips went into one row; each clip has a row of its own",
            (width,): "the axis of the batch is lost",
        },
    )
    expect_finite(vector, name="the clips' vectors")
    of_index = torch.stack([space(tokens[:, k]) for k in range(t)], dim=1)
    of_place = torch.stack([space(tokens[:, :, k]) for k in range(s)], dim=1)
    raw = torch.stack([space(part) for part in tokens.reshape(batch, s, t, width).unbind(2)], dim=1)
    expect_close(
        vector,
        time(of_index),
        name="the clips' vectors",
        likely={
            "the axes are exchanged: the first transformer must see the places of one temporal index, not "
            "the times of one place": time(of_place),
            "these are means over time: the second transformer is missing": of_index.mean(1),
            "these are sums over time: the second transformer is missing": of_index.sum(1),
            "these are maxima over time: the second transformer is missing": of_index.amax(1),
            "this is the last temporal index's vector: the second transformer is missing": of_index[:, -1],
            "clips are mixed with one another: rows were folded as (t B), so unfold them as (t, B), not "
            "(B, t)": time(of_index.transpose(0, 1).reshape(batch, t, width)),
            "clips are mixed with one another: rows were folded as (B t), so unfold them as (B, t), not "
            "(t, B)": time(of_index.reshape(t, batch, width).transpose(0, 1)),
            "the first transformer saw all tokens of the clip at once; it must see one temporal index at a "
            "time": time(space(tokens.flatten(1, 2))[:, None]),
            "a frame's tokens come from several frames: reshape alone does not move axes": time(raw),
            "the tokens of a frame are averaged; the first transformer is missing": time(tokens.mean(2)),
            "the two transformers are exchanged: space first, time second": space(
                torch.stack([time(tokens[:, k]) for k in range(t)], dim=1)
            ),
            "the temporal indices run backwards": time(of_index.flip(1)),
            "only the first temporal index is looked at": time(of_index[:, :1]),
            "something is added to the second transformer's answer; both run as they are": (
                time(of_index) + of_index.mean(1)
            ),
        },
        otherwise="space on each temporal index's s tokens gives (B, t, D); time on these gives (B, D)",
    )
    single = torch.randn(3, 1, s, width)
    expect_close(
        expect_tensor(
            call(factorised_encoder, single, space, time), (3, width), name="clips of a single index"
        ),
        time(space(single[:, 0])[:, None]),
        name="the vectors of clips of a single index",
        otherwise="the second transformer runs even where there is only one temporal index",
    )
    given = tokens.clone().requires_grad_()
    expect(
        _through(factorised_encoder(given * 1, space, time), given),
        "the values are right, but no gradient goes back to the tokens, so nothing before them could learn: "
        "stay within torch, without detach",
    )


# ------------------------------------------------------------------------------------------------- 07.3


def _over_time(layer: Layer, x: Tensor) -> Tensor:
    return torch.stack([layer(x[:, :, place]) for place in range(x.shape[2])], dim=2)


def _over_space(layer: Layer, x: Tensor) -> Tensor:
    return torch.stack([layer(x[:, index]) for index in range(x.shape[1])], dim=1)


def check_factorised_block(factorised_block: Callable[..., Tensor]) -> None:
    """Every part another module, every size another prime; then one index, one place."""
    batch, t, s, width = 2, 3, 5, 7
    x = torch.randn(batch, t, s, width)
    norms = tuple(new_norm(width, seed) for seed in (1, 2, 3))
    a, b = Attend(width, 4), Attend(width, 5)
    mlp = nn.Sequential(nn.Linear(width, 11), nn.GELU(), nn.Linear(11, width))
    n1, n2, n3 = norms
    out = expect_tensor(
        call(factorised_block, x, norms, a, b, mlp),
        (batch, t, s, width),
        kind="float",
        name="the tokens",
        likely={
            (batch, s, t, width): "time and place are exchanged at the end; bring them back",
            (batch, t * s, width): "time and place are one axis still; a block gives the grid that it took",
            (batch * t, s, width): "time is in the batch still; unfold it",
            (batch * s, t, width): "the places are in the batch still; unfold them",
        },
    )
    expect_finite(out, name="the tokens")

    def end(y: Tensor) -> Tensor:
        return y + mlp(n3(y))

    def raw(layer: Layer, y: Tensor) -> Tensor:
        return layer(y.reshape(batch * s, t, width)).reshape(y.shape)

    def half_raw(layer: Layer, y: Tensor) -> Tensor:
        rows = y.transpose(1, 2).flatten(0, 1)
        return layer(rows).reshape(y.shape)

    def everywhere(layer: Layer, y: Tensor) -> Tensor:
        return layer(y.flatten(1, 2)).view(y.shape)

    after_time = x + _over_time(a, n1(x))
    after_space = x + _over_space(b, n2(x))
    right = after_time + _over_space(b, n2(after_time))
    no_skip = _over_time(a, n1(x))
    second = x + _over_space(b, n2(no_skip))
    bare = _over_space(b, n2(no_skip))
    raw_time = x + raw(a, n1(x))
    half_time = x + half_raw(a, n1(x))
    post = n1(x + _over_time(a, x))
    post = n2(post + _over_space(b, post))
    exchanged = x + _over_space(a, n1(x))
    exchanged = exchanged + _over_time(b, n2(exchanged))
    joint = x + everywhere(a, n1(x))
    joint = joint + everywhere(b, n2(joint))
    only_space = x + _over_space(a, n1(x))
    only_time = after_time + _over_time(b, n2(after_time))
    one_norm = after_time + _over_space(b, after_time)
    in_stream = n1(x) + _over_time(a, n1(x))
    in_stream = n2(in_stream) + _over_space(b, n2(in_stream))
    twice = end(after_time)
    rows = a(n1(x).transpose(1, 2).flatten(0, 1))  # (B·s, t, D)
    clips_mixed = x + rows.reshape(s, batch, t, width).permute(1, 2, 0, 3)
    norm_again = after_time + _over_space(b, n1(after_time))
    expect_close(
        out,
        end(right),
        name="the tokens",
        likely={
            "space comes first here; the contract asks for time, then space": end(
                after_space + _over_time(a, n1(after_space))
            ),
            "reshape alone does not move axes: the rows given to attend_time mix places; exchange t and s "
            "before you fold": end(raw_time + _over_space(b, n2(raw_time))),
            "what comes back from attend_time is (B·s, t, D): unfold it as (B, s, t, D) and exchange the "
            "axes back": end(half_time + _over_space(b, n2(half_time))),
            "both attentions read the same tokens; space must read what time has added to": end(
                x + _over_time(a, n1(x)) + _over_space(b, n2(x))
            ),
            "nothing is added to what came in: each of the three steps is x = x + step": end(bare),
            "the three residual connections are missing": mlp(n3(bare)),
            "the first residual connection is missing: time's result is added to x before space reads it": (
                end(second)
            ),
            "the norms stand after the sums (post-norm); they belong before each step, inside the branch": (
                n3(post + mlp(post))
            ),
            "the norms change the stream itself; x stays as it is, and only the step reads normed tokens": (
                n3(in_stream) + mlp(n3(in_stream))
            ),
            "the MLP runs twice, after each attention; once, at the end, is enough": end(
                twice + _over_space(b, n2(twice))
            ),
            "clips are mixed with one another: rows over time were folded as (B s), so unfold them as "
            "(B, s), not (s, B)": end(clips_mixed + _over_space(b, n2(clips_mixed))),
            "the axes are exchanged: attend_time must see the times of one place, attend_space the places of "
            "one time": end(exchanged),
            "each token meets all tokens of the clip: that is model 1; here time and space are apart": (
                end(joint)
            ),
            "both attentions run over space": end(only_space + _over_space(b, n2(only_space))),
            "both attentions run over time": end(only_time),
            "the MLP is missing": right,
            "the MLP's residual connection is missing": mlp(n3(right)),
            "the MLP reads tokens that are not normed": right + mlp(right),
            "the MLP reads the tokens that came in; it must read what both attentions have added to": (
                right + mlp(n3(x))
            ),
            "the last sum starts from the tokens that came in; add to what both attentions have left": (
                x + mlp(n3(right))
            ),
            "the sum after space starts from the tokens that came in; add to what time has left": end(
                x + _over_space(b, n2(after_time))
            ),
            "the norms are exchanged: the first is for time, the second for space": end(
                (y := x + _over_time(a, n2(x))) + _over_space(b, n1(y))
            ),
            "attention over space reads tokens that are not normed": end(one_norm),
            "attention over space has a norm of its own, the second of norms": end(norm_again),
            "attention over time reads tokens that are not normed": end(
                (y := x + _over_time(a, x)) + _over_space(b, n2(y))
            ),
            "no norm is used": (z := (y := x + _over_time(a, x)) + _over_space(b, y)) + mlp(z),
        },
        otherwise="x + attend_time(norm_time(x)) over time, then the same over space, then the same with mlp",
        atol=1e-4,
    )
    for shape, name in (((2, 1, s, width), "one temporal index"), ((2, t, 1, width), "one place")):
        y = torch.randn(shape)
        z = y + _over_time(a, n1(y))
        expect_close(
            expect_tensor(call(factorised_block, y, norms, a, b, mlp), shape, name=f"a grid of {name}"),
            end(z + _over_space(b, n2(z))),
            name=f"the tokens of a grid of {name}",
            atol=1e-4,
        )
    given = x.clone().requires_grad_()
    out = factorised_block(given * 1, norms, a, b, mlp)
    reached = [given, a.values, b.values, *mlp.parameters(), *(norm.weight for norm in norms)]
    expect(
        all(_through(out, one, trained=False) for one in reached),
        "the values are right, but the gradient does not reach the tokens and every part: stay within torch, "
        "without detach",
    )


# ------------------------------------------------------------------------------------------------- 07.4


def _attention(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None) -> Tensor:
    over = math.sqrt(q.shape[-1]) if scale is None else scale
    return (q @ k.mT / over).softmax(-1) @ v


def _time(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None) -> Tensor:
    return _attention(*(x.transpose(2, 3) for x in (q, k, v)), scale=scale).transpose(2, 3)


def _masked(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ v


def check_half_and_half(half_and_half: Callable[..., Tensor]) -> None:
    """Six heads, so that halves, evens and odds differ; every axis another size; then two heads."""
    batch, heads, t, s, d = 2, 6, 3, 5, 4
    q, k, v = (1.3 * torch.randn(batch, heads, t, s, d) for _ in range(3))
    shape = (batch, heads, t, s, d)
    out = expect_tensor(
        call(half_and_half, q, k, v),
        shape,
        kind="float",
        name="the output",
        likely={
            (batch, heads, s, t, d): "time and place are exchanged; bring them back",
            (batch, 2 * heads, t, s, d): "every head has run twice; half of them look over time, the other "
            "half over space",
            (batch, heads // 2, t, s, d): "half of the heads are missing",
            (batch, heads, t, s, 2 * d): "the halves are put together along d; they are heads, so axis 1",
            (
                batch,
                heads // 2,
                t,
                s,
                2 * d,
            ): "the halves are put together along d; they are heads, so axis 1",
            (batch, heads, t * s, d): "time and place are one axis still; unfold them",
        },
    )
    expect_finite(out, name="the output")
    over_time, over_space = _time(q, k, v), _attention(q, k, v)
    n = heads // 2

    def halves(first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first[:, :n], second[:, n:]], dim=1)

    def evens(first: Tensor, second: Tensor) -> Tensor:
        mixed = first.clone()
        mixed[:, 1::2] = second[:, 1::2]
        return mixed

    joint = _attention(*(x.flatten(2, 3) for x in (q, k, v))).view(shape)
    wrong_rows = _attention(*(x.reshape(batch, heads, s, t, d) for x in (q, k, v))).reshape(shape)
    turned = _attention(*(x.transpose(2, 3) for x in (q, k, v))).reshape(shape)
    mixed_width = torch.cat([over_time[..., : d // 2], over_space[..., d // 2 :]], dim=-1)
    by_length = halves(_time(q, k, v, scale=t**0.5), _attention(q, k, v, scale=s**0.5))
    not_back = torch.ones(t, t, dtype=torch.bool).tril(), torch.ones(s, s, dtype=torch.bool).tril()
    causal_time = _masked(*(x.transpose(2, 3) for x in (q, k, v)), mask=not_back[0]).transpose(2, 3)
    causal_space = _masked(q, k, v, mask=not_back[1])
    over_queries = halves(
        (q.transpose(2, 3) @ k.transpose(2, 3).mT / d**0.5)
        .softmax(-2)
        .matmul(v.transpose(2, 3))
        .transpose(2, 3),
        (q @ k.mT / d**0.5).softmax(-2) @ v,
    )
    expect_close(
        out,
        halves(over_time, over_space),
        name="the output",
        likely={
            "the halves are exchanged: the first half of the heads looks over time": halves(
                over_space, over_time
            ),
            "every second head looks over time; it is the first half of them": evens(over_time, over_space),
            "every second head looks over space; it is the second half of them": evens(over_space, over_time),
            "all heads look over time; the second half looks over space": over_time,
            "all heads look over space; the first half looks over time": over_space,
            "each head is the mean of both attentions; a head looks over time or over space": (
                (over_time + over_space) / 2
            ),
            "queries and keys are exchanged": halves(_time(k, q, v), _attention(k, q, v)),
            "each head is the sum of both attentions; a head looks over time or over space": (
                over_time + over_space
            ),
            "the width of each head is divided, not the heads: half of the heads look over time": mixed_width,
            "one attention reads what the other gave; in model 4 both read the same tokens, side by side": (
                _attention(q, k, over_time)
            ),
            "the scores are not divided by √d": halves(
                _time(q, k, v, scale=1.0), _attention(q, k, v, scale=1.0)
            ),
            "the scores are divided by the root of the number of tokens; the width d of a head is meant": (
                by_length
            ),
            "the heads over time are causal; a token meets all t tokens of its place, later ones too": halves(
                causal_time, over_space
            ),
            "the attention is causal; a token meets later tokens too": halves(causal_time, causal_space),
            "the scores are divided by d; its root is meant": halves(
                _time(q, k, v, scale=float(d)), _attention(q, k, v, scale=float(d))
            ),
            "reshape alone does not move axes: rows over time are mixed from several places; exchange t and "
            "s": halves(wrong_rows, over_space),
            "the result over time is (…, s, t, d): exchange the axes back, do not reshape": halves(
                turned, over_space
            ),
            "every head meets all tokens of the clip: that is model 1": joint,
            "the softmax runs over the queries; each query shares out its own 1": over_queries,
        },
        otherwise="heads 0 to heads/2 − 1: over the t tokens of the same place; the others: over the s "
        "tokens of the same time",
    )
    q, k, v = (torch.randn(1, 2, 2, 3, 5) for _ in range(3))
    expect_close(
        expect_tensor(call(half_and_half, q, k, v), (1, 2, 2, 3, 5), name="the output of two heads"),
        torch.cat([_time(q, k, v)[:, :1], _attention(q, k, v)[:, 1:]], dim=1),
        name="the output of two heads",
        otherwise="of two heads the first looks over time, the second over space",
    )
    given = tuple(x.clone().requires_grad_() for x in (q, k, v))
    out = half_and_half(*(x * 1 for x in given))
    expect(
        all(_through(out, one, trained=False) for one in given),
        "the values are right, but no gradient goes back to all of q, k and v: stay within torch, without "
        "detach",
    )


# ------------------------------------------------------------------------------------------------- 07.5


def check_encoder_parameters(encoder_parameters: Callable[..., Any]) -> None:
    """Model by model, with every size another prime; then the paper's sizes."""
    for sizes in ((7, 11, 5, 3), (768, 3072, 12, 4)):
        for model in (1, 2, 3, 4):
            name = f"model {model}'s count"
            number = expect_integer(call(encoder_parameters, model, *sizes), name=name)
            expect(number > 0, f"{name} is {number}, but there are parameters")
            expect_equal(
                number,
                parameters_of(model, *sizes),
                name=name,
                likely=_parameter_slips(model, *sizes),
                otherwise="count one block piece by piece: two norms, four projections, two layers of "
                "the MLP, each with its biases; then ask what this model has more",
            )


def parameters_of(model: int, width: int, hidden: int, depth: int, temporal_depth: int) -> int:
    """The count that 07.5 asks for."""
    norm, attention = 2 * width, 4 * (width * width + width)
    block = 2 * norm + attention + 2 * width * hidden + hidden + width
    extra = {2: temporal_depth * block, 3: depth * (norm + attention)}
    return depth * block + extra.get(model, 0)


def _blocks(model: int, depth: int, temporal_depth: int) -> int:
    return depth + temporal_depth if model == 2 else depth


def _parameter_slips(model: int, width: int, hidden: int, depth: int, temporal_depth: int) -> dict[str, int]:
    def count(
        *, norms: int = 2, bias: bool = True, projections: int = 4, layers: int = 2, norm_size: int = 2
    ) -> int:
        b = int(bias)
        attention = projections * width * (width + b)
        mlp = layers * width * hidden + b * (hidden + width)
        block = norms * norm_size * width + attention + mlp
        extra_norm = norm_size * width if norms else 0
        extra = {2: temporal_depth * block, 3: depth * (extra_norm + attention)}
        return depth * block + extra.get(model, 0)

    one = parameters_of(1, width, hidden, depth, temporal_depth)
    attention = 4 * (width * width + width)
    general = {
        "the biases of the linear layers are missing": count(bias=False),
        "of the MLP's biases one is missing: the first layer has as many as its hidden width, the second D": (
            count() - width * _blocks(model, depth, temporal_depth)
        ),
        "of the MLP's biases one is missing; each of the two layers has its own": (
            count() - hidden * _blocks(model, depth, temporal_depth)
        ),
        "the norms are missing: each has a gain and a bias, 2·D": count(norms=0),
        "a block has two norms, one before attention and one before the MLP": count(norms=1),
        "a norm has a gain and a bias for each channel, 2·D": count(norm_size=1),
        "the projection after the heads is missing: q, k, v and that are four": count(projections=3),
        "q, k and v have a matrix each; with the projection after the heads that is four": count(
            projections=2
        ),
        "the MLP has two layers, D to hidden and back": count(layers=1),
        "q, k and v have biases, too, as every linear layer here": count()
        - 3 * width * (_blocks(model, depth, temporal_depth) + (depth if model == 3 else 0)),
        "the last norm is not counted, only what is in the blocks": count() + 2 * width,
    }
    slips: dict[str, int] = {}
    if model == 2:
        slips |= {
            "model 2 has a second transformer over time; its blocks are missing": one,
            "the second transformer has temporal_depth blocks, not depth": 2 * one,
            "the second transformer is counted once for each spatial block": depth
            * temporal_depth
            * one
            // depth,
            "only the second transformer is counted": temporal_depth * one // depth,
            "model 2's two transformers are counted; its blocks are plain, with one attention each": (
                (depth + temporal_depth) * (one // depth + attention + 2 * width)
            ),
        }
    if model == 3:
        slips |= {
            "model 3 attends twice in a block, with weights of its own each time: the second attention is "
            "missing": one,
            "model 3's second attention has a norm in front of it, too": one + depth * attention,
            "model 3 has a second attention in each block, but one MLP": 2 * one,
            "these are model 2's blocks; model 3 has one transformer, with two attentions in each block": (
                one + temporal_depth * one // depth
            ),
            "each of model 3's depth blocks has a second attention; temporal_depth is model 2's": (
                one + temporal_depth * (attention + 2 * width)
            ),
            "model 3 has one transformer; temporal_depth is model 2's": parameters_of(
                3, width, hidden, depth + temporal_depth, 0
            ),
        }
    if model == 4:
        slips |= {
            "model 4 divides the heads that there are; it has no second attention": parameters_of(
                3, width, hidden, depth, temporal_depth
            ),
            "model 4 divides the heads that there are; it has no second attention, and no norm for one": (
                one + depth * attention
            ),
            "model 4 has all heads still, half of them for time: no weight is saved": one
            - depth * attention // 2,
        }
    if model in (1, 4):
        slips |= {
            "this model has one transformer; the blocks over time are model 2's": (
                one + temporal_depth * one // depth
            )
        }
    return slips | general


# ------------------------------------------------------------------------------------------------- 07.6


def _along(x: Tensor, attend: Layer, seen: str) -> Tensor:
    sizes = dict(zip("bthw", x.shape[:4], strict=True))
    others = " ".join(axis for axis in "bthw" if axis not in seen)
    rows = f"({others}) ({' '.join(seen)}) d"
    return rearrange(attend(rearrange(x, f"b t h w d -> {rows}")), f"{rows} -> b t h w d", **sizes)


def in_turn(x: Tensor, attend: Layer, axes: Sequence[str]) -> Tensor:
    """What 07.6 asks for."""
    for seen in axes:
        x = x + _along(x, attend, seen)
    return x


def check_attend_in_turn(attend_in_turn: Callable[..., Tensor]) -> None:
    """Time and space in both orders, three axes in turn, all at once; every size another prime."""
    batch, t, h, w, width = 2, 3, 5, 2, 7
    x, attend = torch.randn(batch, t, h, w, width), Attend(width, 1)
    for axes in (("thw",), ("t",), ("hw",), ("t", "hw"), ("hw", "t"), ("t", "h", "w"), ("w", "t")):
        name = f"the tokens after {' then '.join(axes)}"
        out = expect_tensor(
            call(attend_in_turn, x, attend, axes),
            tuple(x.shape),
            kind="float",
            name=name,
            likely={
                (
                    batch,
                    t,
                    h * w,
                    width,
                ): "rows and columns are one axis still; give back the grid that came in",
                (batch, t * h * w, width): "the grid is one axis still; give it back as it came in",
            },
        )
        expect_finite(out, name=name)
        likely = _turn_slips(x, attend, axes)
        expect_close(
            out,
            in_turn(x, attend, axes),
            name=name,
            likely=likely,
            otherwise="the named axes become the tokens of a row, all others the rows; add the result to x, "
            "then the next",
            atol=1e-4,
        )
    expect_close(
        expect_tensor(call(attend_in_turn, x, attend, ()), tuple(x.shape), name="the tokens after no step"),
        x,
        name="the tokens after no step",
        otherwise="with no axes named, the tokens come out as they went in",
    )
    given = x.clone().requires_grad_()
    out = attend_in_turn(given * 1, attend, ("t", "hw"))
    expect(
        _through(out, given, trained=False) and _through(out, attend.values, trained=False),
        "the values are right, but no gradient goes back to the tokens and the attention: stay within torch, "
        "without detach",
    )


def _turn_slips(x: Tensor, attend: Layer, axes: Sequence[str]) -> dict[str, Tensor]:
    bare, parallel, raw = x, x, x
    for seen in axes:
        bare = _along(bare, attend, seen)
        parallel = parallel + _along(x, attend, seen)
        length = math.prod(x.shape["bthw".index(axis)] for axis in seen)
        raw = raw + attend(raw.reshape(-1, length, x.shape[-1])).reshape(x.shape)
    complement = x
    for seen in axes:
        others = " ".join(axis for axis in "thw" if axis not in seen)
        rows = f"(b {' '.join(seen)}) ({others}) d"
        y = attend(rearrange(complement, f"b t h w d -> {rows}"))
        sizes = dict(zip("bthw", x.shape[:4], strict=True))
        complement = complement + rearrange(y, f"{rows} -> b t h w d", **sizes)
    slips = {}
    for order in itertools.permutations(axes):
        if order != tuple(axes):
            slips[
                f"the steps run as {' then '.join(order)}; the order asked for is {' then '.join(axes)}"
            ] = in_turn(x, attend, order)
    one_by_one = one_by_one_added = x
    for seen in axes:
        step = one_by_one
        for axis in seen:
            step = _along(step, attend, axis)
            one_by_one_added = one_by_one_added + _along(one_by_one_added, attend, axis)
        one_by_one = one_by_one + step
    together = (
        "axes that are named together are one row of tokens: in hw a token meets all of its frame at once"
    )
    slips |= {
        together: one_by_one,
        together + ", not its row and then its column": one_by_one_added,
        "nothing is added to what came in: each step is x = x + step": bare,
        "every step reads the tokens that came in first; it must read what the steps before have added to": (
            parallel
        ),
        "the axes are exchanged: the named ones are the tokens of a row, all others belong to the batch": (
            complement
        ),
        "reshape alone does not move axes: the rows mix tokens that do not belong together": raw,
        "x is added once, at the end; each step adds to what was there": x + bare,
        "only the first step was taken": in_turn(x, attend, axes[:1]),
        "only the last step was taken": in_turn(x, attend, axes[-1:]),
        "all axes are attended to at once; they are to be taken in turn": in_turn(x, attend, ("thw",)),
    }
    return slips


# ------------------------------------------------------------------------------------- inputs of the tests


def _numbers(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _joint(answer: Callable[..., Tensor], t: int = 3, s: int = 2, zero_table: bool = False) -> Tensor:
    table = _numbers(1, 1 + t * s, 5, seed=8)
    blocks = [Block(5, 1), Block(5, 2)]
    return answer(
        _numbers(2, t, s, 5), _numbers(1, 1, 5), 0 * table if zero_table else table, blocks, new_norm(5, 3)
    )


def _joint_without_own_position(answer: Callable[..., Tensor]) -> Tensor:
    table = _numbers(1, 7, 5, seed=8)
    table[:, 0] = 0
    return answer(_numbers(2, 3, 2, 5), _numbers(1, 1, 5), table, [Block(5, 1), Block(5, 2)], new_norm(5, 3))


def _factorised(answer: Callable[..., Tensor], batch: int = 2, t: int = 3, s: int = 4) -> Tensor:
    return answer(_numbers(batch, t, s, 5), Transformer(5, 1), Transformer(5, 2))


def _blocked(answer: Callable[..., Tensor], t: int = 3, s: int = 2, same: bool = False) -> Tensor:
    one, two, three = (new_norm(5, seed) for seed in (1, 2, 3))
    torch.manual_seed(7)
    mlp = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 5))
    first = Attend(5, 4)
    return answer(_numbers(2, t, s, 5), (one, one if same else two, three), first, Attend(5, 5), mlp)


def _halved(answer: Callable[..., Tensor], heads: int = 4, t: int = 3, s: int = 2, d: int = 2) -> Tensor:
    q, k, v = (_numbers(2, heads, t, s, d, seed=seed) for seed in (1, 2, 3))
    return answer(q, k, v)


def _turned(answer: Callable[..., Tensor], axes: tuple[str, ...] = ("t", "hw"), t: int = 3) -> Tensor:
    return answer(_numbers(2, t, 5, 2, 7), Attend(7, 1), axes)


EXERCISES = [
    Exercise(
        id="07.1",
        title="Model 1: all tokens at once",
        core=True,
        difficulty=2,
        importance=5,
        minutes=15,
        why="It is the plainest video transformer, and both transformers of model 2 are made of it.",
        contract=(
            "`tokens` is `(B, t, s, D)`: s tokens in each of t temporal indices; `cls_token` is `(1, 1, D)`",
            "`table` holds the positions, `(1, 1 + t·s, D)`: row 0 for the class token, then (t s), time "
            "slowest",
            "`blocks` is a list of modules and `norm` a module, each `(B, N, D)` → `(B, N, D)`",
            "class token and tokens in one row, plus positions, through all blocks in order, then the norm",
            "returns the class token's vector, `(B, D)`; gradients pass",
        ),
        stub='''
        def joint_encoder(
            tokens: Tensor, cls_token: Tensor, table: Tensor, blocks, norm
        ) -> Tensor:  # (B, t, s, D), (1, 1, D), (1, 1 + t·s, D) -> (B, D)
            """All tokens of a clip through one transformer; the class token's last vector."""
            raise NotImplementedError("07.1")
        ''',
        check=check_joint_encoder,
        probe=_joint,
        hints=(
            "It is a ViT. The only news is that the tokens come as a grid of time and place.",
            "(B, t, s, D) → (B, t·s, D); the class token in front: (B, 1 + t·s, D), as long as the table.",
            "flatten(1, 2); cls_token.expand(B, -1, -1); torch.cat along axis 1; plus the table; a loop over "
            "the blocks; norm; take token 0.",
        ),
        solution=answers.JOINT_ENCODER["flatten, cat, add"],
        right_answers=answers.JOINT_ENCODER,
        wrong_answers=(
            WrongAnswer(
                name="no positions",
                answer=answers.JOINT_NO_POSITIONS,
                says="the positions are missing",
                right_on=lambda answer: _joint(answer, zero_table=True),
            ),
            WrongAnswer(name="no norm", answer=answers.JOINT_NO_NORM, says="the last norm is missing"),
            WrongAnswer(name="mean of all", answer=answers.JOINT_MEAN, says="the mean of all tokens"),
            WrongAnswer(
                name="mean of the places",
                answer=answers.JOINT_MEAN_OF_TOKENS,
                says="mean of the places' tokens",
            ),
            WrongAnswer(
                name="time fastest",
                answer=answers.JOINT_TIME_FASTEST,
                says="time runs fastest",
                right_on=lambda answer: _joint(answer, t=1),
            ),
            WrongAnswer(
                name="class token last",
                answer=answers.JOINT_TOKEN_LAST,
                says="the class token stands last",
                right_on=lambda answer: _joint(answer, zero_table=True),
            ),
            WrongAnswer(
                name="no position for the class token",
                answer=answers.JOINT_NO_POSITION_FOR_TOKEN,
                says="the class token got no position",
                right_on=_joint_without_own_position,
            ),
            WrongAnswer(name="all tokens", answer=answers.JOINT_ALL_TOKENS, says="these are all last tokens"),
            WrongAnswer(
                name="positions in every block",
                answer=answers.JOINT_TABLE_EVERY_BLOCK,
                says="in front of every block",
                right_on=lambda answer: _joint(answer, zero_table=True),
            ),
            WrongAnswer(name="detached", answer=answers.JOINT_DETACHED, says="no gradient goes back"),
        ),
        what_to_see="With the library's weights it gives the library's vectors.",
    ),
    Exercise(
        id="07.2",
        title="Model 2: a factorised encoder",
        core=True,
        difficulty=2,
        importance=5,
        minutes=12,
        why="Late fusion: the fastest of the four on a real machine, and the one that is trained below.",
        contract=(
            "`tokens` is `(B, t, s, D)`",
            "`space` and `time` are transformers that take rows of tokens `(rows, n, D)` and give one vector "
            "a row, `(rows, D)`",
            "`space` sees the s tokens of one temporal index of one clip at a time",
            "`time` sees the t vectors of one clip, in the order of time; returns its answer, `(B, D)`",
            "gradients pass",
        ),
        stub='''
        def factorised_encoder(tokens: Tensor, space, time) -> Tensor:  # (B, t, s, D) -> (B, D)
            """One vector for each temporal index, then one for the clip."""
            raise NotImplementedError("07.2")
        ''',
        check=check_factorised_encoder,
        probe=_factorised,
        hints=(
            "Fold what should not mix into the batch, as you did in lesson 05.",
            "(B, t, s, D) → (B·t, s, D) → space → (B·t, D) → (B, t, D) → time → (B, D).",
            "flatten(0, 1) on the way in, unflatten(0, (B, t)) on the way out; or a loop over k with "
            "tokens[:, k] and torch.stack along axis 1.",
        ),
        solution=answers.FACTORISED_ENCODER["fold and unfold"],
        right_answers=answers.FACTORISED_ENCODER,
        wrong_answers=(
            WrongAnswer(
                name="axes exchanged",
                answer=answers.FACTORISED_TIME_FIRST,
                says="the axes are exchanged",
                right_on=lambda answer: _factorised(answer, t=1, s=1),
            ),
            WrongAnswer(
                name="mean over time",
                answer=answers.FACTORISED_MEAN,
                says="the second transformer is missing",
            ),
            WrongAnswer(
                name="clips mixed",
                answer=answers.FACTORISED_CLIPS_MIXED,
                says="clips are mixed",
                right_on=lambda answer: _factorised(answer, batch=1),
            ),
            WrongAnswer(
                name="all at once",
                answer=answers.FACTORISED_JOINT,
                says="saw all tokens of the clip at once",
                right_on=lambda answer: _factorised(answer, t=1),
            ),
            WrongAnswer(
                name="raw reshape",
                answer=answers.FACTORISED_RAW_FOLD,
                says="reshape alone does not move axes",
                right_on=lambda answer: _factorised(answer, t=1),
            ),
            WrongAnswer(
                name="space averaged",
                answer=answers.FACTORISED_AVERAGED_SPACE,
                says="the first transformer is missing",
            ),
            WrongAnswer(
                name="no second transformer",
                answer=answers.FACTORISED_NO_TIME,
                says="these are the vectors of the temporal indices",
            ),
            WrongAnswer(
                name="not unfolded",
                answer=answers.FACTORISED_NOT_UNFOLDED,
                says="batch and time are still one axis",
            ),
            WrongAnswer(
                name="one row for the batch",
                answer=answers.FACTORISED_ROWS_AS_ONE_CLIP,
                says="each clip has a row of its own",
            ),
        ),
        what_to_see="With the shipped weights it gives the shipped model's logits.",
    ),
    Exercise(
        id="07.3",
        title="Model 3: factorised self-attention",
        core=True,
        difficulty=3,
        importance=4,
        minutes=18,
        why="Time and space meet in every block, and one missing transpose mixes them without an error.",
        contract=(
            "`x` is `(B, t, s, D)`; `norms` holds three norms: for time, for space, for the MLP",
            "`attend_time` and `attend_space` take rows of tokens `(rows, n, D)` and give the same shape",
            "first over time: each token meets the t tokens of its own place; then over space: the s tokens "
            "of its own time; then the MLP",
            "pre-norm: each of the three steps reads normed tokens and is added to what came in",
            "returns `(B, t, s, D)`; gradients pass",
        ),
        stub='''
        def factorised_block(
            x: Tensor, norms, attend_time, attend_space, mlp
        ) -> Tensor:  # (B, t, s, D) -> (B, t, s, D)
            """Attention over time, then over space, then the MLP; each normed before and added after."""
            raise NotImplementedError("07.3")
        ''',
        check=check_factorised_block,
        probe=_blocked,
        hints=(
            "Three times x = x + step(norm(x)). What differs is which axis is folded into the batch.",
            "Over time: (B, t, s, D) → (B, s, t, D) → (B·s, t, D), and all the way back. Over space: "
            "(B, t, s, D) → (B·t, s, D), and back.",
            "transpose(1, 2), flatten(0, 1), attend_time, unflatten(0, (B, s)), transpose(1, 2); add. Then "
            "flatten(0, 1), attend_space, unflatten(0, (B, t)); add. Then mlp.",
        ),
        solution=answers.FACTORISED_BLOCK["transpose and flatten"],
        right_answers=answers.FACTORISED_BLOCK,
        wrong_answers=(
            WrongAnswer(name="space first", answer=answers.BLOCK_SPACE_FIRST, says="space comes first here"),
            WrongAnswer(
                name="raw view",
                answer=answers.BLOCK_RAW_VIEW,
                says="reshape alone does not move axes",
                right_on=lambda answer: _blocked(answer, s=1),
            ),
            WrongAnswer(
                name="side by side", answer=answers.BLOCK_PARALLEL, says="both attentions read the same"
            ),
            WrongAnswer(
                name="nothing added",
                answer=answers.BLOCK_NO_RESIDUAL,
                says="nothing is added to what came in",
            ),
            WrongAnswer(
                name="first one not added",
                answer=answers.BLOCK_ONE_RESIDUAL,
                says="the first residual connection is missing",
            ),
            WrongAnswer(name="post-norm", answer=answers.BLOCK_POST_NORM, says="the norms stand after"),
            WrongAnswer(
                name="axes exchanged",
                answer=answers.BLOCK_AXES_EXCHANGED,
                says="the axes are exchanged",
                right_on=lambda answer: _blocked(answer, t=1, s=1),
            ),
            WrongAnswer(name="no MLP", answer=answers.BLOCK_NO_MLP, says="the MLP is missing"),
            WrongAnswer(
                name="norm forgotten", answer=answers.BLOCK_NORM_ONCE, says="reads tokens that are not normed"
            ),
            WrongAnswer(
                name="joint",
                answer=answers.BLOCK_JOINT,
                says="that is model 1",
                right_on=lambda answer: _blocked(answer, t=1, s=1),
            ),
        ),
        what_to_see="With the library's weights it gives the library's tokens.",
    ),
    Exercise(
        id="07.4",
        title="Model 4: factorised dot product",
        core=True,
        difficulty=3,
        importance=3,
        minutes=15,
        why="Half of the heads for time, half for space: no new weight, and half of model 3's products.",
        contract=(
            "`q`, `k`, `v` are `(B, heads, t, s, d)`; heads is even",
            "heads 0 to heads/2 − 1: each token attends to the t tokens of its own place",
            "the other heads: each token attends to the s tokens of its own time",
            "plain attention: scores over √d, softmax over the keys; torch's functions for it are welcome",
            "returns `(B, heads, t, s, d)`, the heads in their order; gradients pass",
        ),
        stub='''
        def half_and_half(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # (B, heads, t, s, d), three times
            """The first half of the heads attends over time, the second half over space."""
            raise NotImplementedError("07.4")
        ''',
        check=check_half_and_half,
        probe=_halved,
        hints=(
            "Attention works on the last two axes of what it is given: tokens, then d. Who meets whom is "
            "decided by which axis stands there.",
            "Over space (B, heads/2, t, s, d) is ready. Over time it must be (B, heads/2, s, t, d), and "
            "back.",
            "Slice with [:, :half] and [:, half:]; transpose(2, 3) for the first half before and after; "
            "torch.cat along axis 1.",
        ),
        solution=answers.HALF_AND_HALF["fold, attend, put together"],
        right_answers=answers.HALF_AND_HALF,
        wrong_answers=(
            WrongAnswer(
                name="halves exchanged", answer=answers.HALF_EXCHANGED, says="the halves are exchanged"
            ),
            WrongAnswer(
                name="every second head",
                answer=answers.HALF_INTERLEAVED,
                says="every second head",
                right_on=lambda answer: _halved(answer, heads=2),
            ),
            WrongAnswer(name="all over time", answer=answers.HALF_ALL_TIME, says="all heads look over time"),
            WrongAnswer(
                name="all over space", answer=answers.HALF_ALL_SPACE, says="all heads look over space"
            ),
            WrongAnswer(
                name="mean of both",
                answer=answers.HALF_MEAN_OF_BOTH,
                says="the mean of both",
                right_on=lambda answer: _halved(answer, t=1, s=1),
            ),
            WrongAnswer(
                name="half of the width",
                answer=answers.HALF_EACH_OF_BOTH_ON_WIDTH,
                says="the width of each head",
            ),
            WrongAnswer(
                name="one after the other", answer=answers.HALF_ONE_AFTER_THE_OTHER, says="side by side"
            ),
            WrongAnswer(
                name="not scaled",
                answer=answers.HALF_NOT_SCALED,
                says="not divided by √d",
                right_on=lambda answer: _halved(answer, d=1),
            ),
            WrongAnswer(
                name="raw reshape",
                answer=answers.HALF_RAW_VIEW,
                says="reshape alone does not move axes",
                right_on=lambda answer: _halved(answer, t=1),
            ),
            WrongAnswer(
                name="joint",
                answer=answers.HALF_JOINT,
                says="that is model 1",
                right_on=lambda answer: _halved(answer, t=1, s=1),
            ),
        ),
        what_to_see="Under the mask of each half of the heads, plain attention gives the same.",
    ),
    Exercise(
        id="07.5",
        title="Count the parameters",
        core=False,
        difficulty=2,
        importance=4,
        minutes=12,
        why="Popular summaries say that factorising saves parameters. Count, and you will know.",
        contract=(
            "`model` is 1, 2, 3 or 4; the others are whole numbers: D = `embed_dim`, the MLP's hidden width "
            "`mlp_dim`, blocks `depth`, and for model 2 alone `temporal_depth` blocks more, over time",
            "a block has: a norm, attention (q, k, v and the projection after the heads), a norm, an MLP of "
            "two layers",
            "a norm has a gain and a bias a channel; every linear layer has biases",
            "model 3's blocks have a second attention, with a norm of its own; one MLP",
            "returns the weights and biases of all blocks, a whole number; tubelets, positions, class "
            "tokens, last norms and head are not counted",
        ),
        stub='''
        def encoder_parameters(
            model: int, embed_dim: int, mlp_dim: int, depth: int, temporal_depth: int
        ) -> int:
            """Weights and biases in the blocks of ViViT's model 1, 2, 3 or 4."""
            raise NotImplementedError("07.5")
        ''',
        check=check_encoder_parameters,
        probe=lambda answer: [int(answer(model, 7, 11, 5, 3)) for model in (1, 2, 3, 4)],
        hints=(
            "Count one plain block first. Then ask of each model: which blocks has it more, or what in them?",
            "A linear layer from n to m has n·m + m numbers, a norm 2·D.",
            "block = 2 norms + 4·(D² + D) + (D·M + M) + (M·D + D). Model 2: depth + temporal_depth blocks. "
            "Model 3: each block has one norm and one attention more. Models 1 and 4: depth blocks.",
        ),
        solution=answers.ENCODER_PARAMETERS["formula"],
        right_answers=answers.ENCODER_PARAMETERS,
        wrong_answers=(
            WrongAnswer(
                name="no biases", answer=answers.PARAMETERS_NO_BIASES, says="biases of the linear layers"
            ),
            WrongAnswer(name="no norms", answer=answers.PARAMETERS_NO_NORMS, says="the norms are missing"),
            WrongAnswer(
                name="model 4 like model 3",
                answer=answers.PARAMETERS_FOUR_LIKE_THREE,
                says="model 4 divides the heads",
                right_on=lambda answer: [int(answer(model, 7, 11, 5, 3)) for model in (1, 2, 3)],
            ),
            WrongAnswer(
                name="model 4 halved",
                answer=answers.PARAMETERS_FOUR_HALVED,
                says="no weight is saved",
                right_on=lambda answer: [int(answer(model, 7, 11, 5, 3)) for model in (1, 2, 3)],
            ),
            WrongAnswer(
                name="model 3 without its norm",
                answer=answers.PARAMETERS_THREE_NO_NORM,
                says="has a norm in front of it",
                right_on=lambda answer: [int(answer(model, 7, 11, 5, 3)) for model in (1, 2, 4)],
            ),
            WrongAnswer(
                name="model 3 doubled",
                answer=answers.PARAMETERS_THREE_DOUBLED,
                says="but one MLP",
                right_on=lambda answer: [int(answer(model, 7, 11, 5, 3)) for model in (1, 2, 4)],
            ),
            WrongAnswer(
                name="all alike",
                answer=answers.PARAMETERS_ALL_ALIKE,
                says="second transformer over time",
                right_on=lambda answer: [int(answer(model, 7, 11, 5, 3)) for model in (1, 4)],
            ),
            WrongAnswer(
                name="model 2 as deep over time",
                answer=answers.PARAMETERS_TWO_DEEP,
                says="temporal_depth blocks, not depth",
                right_on=lambda answer: int(answer(2, 7, 11, 3, 3)),
            ),
            WrongAnswer(name="one norm", answer=answers.PARAMETERS_ONE_NORM, says="a block has two norms"),
            WrongAnswer(
                name="no projection",
                answer=answers.PARAMETERS_NO_PROJECTION,
                says="projection after the heads is missing",
            ),
        ),
        what_to_see="With tubelets, positions and head added, the paper's table to the last parameter.",
    ),
    Exercise(
        id="07.6",
        title="The order of axes",
        core=False,
        difficulty=4,
        importance=3,
        minutes=18,
        why="One function that attends along any axes in any order: joint, time then space, axial.",
        contract=(
            "`x` is `(B, t, h, w, D)`; `attend` takes rows of tokens `(rows, n, D)` and gives the same shape",
            '`axes` names the steps: `("t", "hw")` is time, then space; `("thw",)` is all at once; '
            '`("t", "h", "w")` is one axis after the other; `()` is no step',
            "in each step the named axes are the tokens of a row, all others go into the batch",
            "each step is added to what the steps before left; returns `(B, t, h, w, D)`; gradients pass",
        ),
        stub='''
        def attend_in_turn(x: Tensor, attend, axes) -> Tensor:  # (B, t, h, w, D) -> (B, t, h, w, D)
            """Attention along each of the named axes in turn, each added to what was there."""
            raise NotImplementedError("07.6")
        ''',
        check=check_attend_in_turn,
        probe=_turned,
        hints=(
            "It is the fold of 07.3 with the axes as an argument: others to the front, named ones behind "
            "them.",
            'For "t": (B, t, h, w, D) → (B·h·w, t, D). For "hw": → (B·t, h·w, D). Each with its way back.',
            'An einops pattern can be put together as a string: f"b t h w d -> ({others}) ({named}) d"; the '
            "same turned round, with the sizes, leads back. Or permute, reshape, and permute by the inverse.",
        ),
        solution=answers.ATTEND_IN_TURN["einops"],
        right_answers=answers.ATTEND_IN_TURN,
        wrong_answers=(
            WrongAnswer(name="nothing added", answer=answers.TURN_NO_RESIDUAL, says="nothing is added"),
            WrongAnswer(
                name="side by side",
                answer=answers.TURN_PARALLEL,
                says="every step reads the tokens that came in first",
                right_on=lambda answer: _turned(answer, ("thw",)),
            ),
            WrongAnswer(
                name="reversed",
                answer=answers.TURN_REVERSED,
                says="the order asked for is",
                right_on=lambda answer: _turned(answer, ("thw",)),
            ),
            WrongAnswer(
                name="always time first",
                answer=answers.TURN_SORTED,
                says="the order asked for is",
                right_on=_turned,
            ),
            WrongAnswer(
                name="first step only",
                answer=answers.TURN_FIRST_ONLY,
                says="only the first step",
                right_on=lambda answer: _turned(answer, ("thw",)),
            ),
            WrongAnswer(name="complement", answer=answers.TURN_COMPLEMENT, says="the axes are exchanged"),
            WrongAnswer(
                name="raw reshape",
                answer=answers.TURN_RAW_RESHAPE,
                says="reshape alone does not move axes",
                right_on=lambda answer: _turned(answer, ("hw",)),
            ),
            WrongAnswer(
                name="added at the end",
                answer=answers.TURN_RESIDUAL_AT_THE_END,
                says="added once, at the end",
            ),
        ),
        what_to_see="Averages over time and space can be taken in either order; attention cannot.",
    ),
]
