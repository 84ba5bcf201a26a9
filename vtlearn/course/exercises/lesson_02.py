"""The exercises of lesson 02: weights, masks, heads, an encoder block, its cost, a test by shuffling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_02 as answers
from vtlearn.course.judge import (
    FORWARDS_TO_ATTENTION,
    Mistake,
    call,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_integer,
    expect_tensor,
)

Layer = Callable[[Tensor], Tensor]

# ------------------------------------------------------------------------------------------------- 02.1


def check_attention_weights(attention_weights: Callable[..., Tensor]) -> None:
    """More keys than queries, then scores of hundreds, then a single query and key."""
    num_queries, num_keys, head_dim = 3, 5, 7
    q, k = 1.4 * torch.randn(num_queries, head_dim), 1.4 * torch.randn(num_keys, head_dim)
    weights = expect_tensor(
        call(attention_weights, q, k),
        (num_queries, num_keys),
        kind="float",
        name="the table of weights",
        likely={
            (num_keys, num_queries): "rows and columns are exchanged: a row belongs to a query, a column to "
            "a key",
            (num_queries, head_dim): "these are as wide as a value; here only the weights are asked for",
            (num_queries,): "one number a query; each query has a weight for every key",
        },
    )
    expect_finite(weights, name="the table of weights")
    dots = q @ k.T
    scores = dots / math.sqrt(head_dim)
    flat = scores.flatten().softmax(0).view_as(scores)
    near_q, near_k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    expect_close(
        weights,
        scores.softmax(-1),
        name="the table of weights",
        likely={
            "the softmax runs over the queries: the columns sum to 1; every query shares out its own 1, so "
            "the rows must": scores.softmax(0),
            "the softmax runs over the queries, and the scores are not divided by √d": dots.softmax(0),
            "the scores are not divided by √d": dots.softmax(-1),
            "the scores are divided by d instead of √d": (dots / head_dim).softmax(-1),
            "the scores are multiplied by √d; divide": (dots * math.sqrt(head_dim)).softmax(-1),
            "the scores are divided by √M, the number of keys; the width d belongs there": (
                (dots / math.sqrt(num_keys)).softmax(-1)
            ),
            "the scores are divided by √N, the number of queries; the width d belongs there": (
                (dots / math.sqrt(num_queries)).softmax(-1)
            ),
            "the division by √d comes after the softmax, so no row sums to 1; divide the scores": (
                dots.softmax(-1) / math.sqrt(head_dim)
            ),
            "the softmax is missing: these are the scores": scores,
            "the softmax is missing, and the division by √d too: these are bare products": dots,
            "one softmax over the whole table: each row needs its own": flat,
            "the sigmoid weighs each key by itself; a softmax lets the keys of a query share 1": (
                scores.sigmoid()
            ),
            "these are logarithms: take softmax, not log_softmax": scores.log_softmax(-1),
            "the softmax is applied twice": scores.softmax(-1).softmax(-1),
            "the sign is wrong: a larger product must give a larger weight": (-scores).softmax(-1),
            "the scores are divided by their row's sum; the exponential is missing": (
                scores / scores.sum(-1, keepdim=True)
            ),
            "queries and keys are normalised to length 1 first; here their lengths count": (
                (near_q @ near_k.T).softmax(-1)
            ),
            "every key gets the same weight: the scores do not matter yet": torch.full_like(
                scores, 1 / num_keys
            ),
        },
        otherwise="products of each query with each key, divided by √d, then a softmax over the keys",
    )
    large = torch.tensor([[30.0, 0.0], [0.0, -30.0]])
    sharp = expect_tensor(
        call(attention_weights, large, large), (2, 2), name="the table of weights of long queries"
    )
    expect_finite(
        sharp,
        name="the table of weights of long queries",
        reason="the exponential of several hundred overflows; take torch.softmax, or subtract the row's "
        "largest score first",
    )
    expect_close(sharp, torch.eye(2), name="the table of weights of long queries")
    many, near = 20 * torch.randn(11, 5, dtype=torch.float64), 20 * torch.randn(2, 5, dtype=torch.float64)
    near[1] = near[0] + 0.01  # two keys side by side: large scores that hardly differ
    scores = many @ near.T / math.sqrt(5)
    expect_close(
        expect_tensor(
            call(attention_weights, many, near), (11, 2), name="the table of weights of 11 queries"
        ),
        scores.softmax(-1),
        name="the table of weights of 11 queries and 2 keys, d = 5",
        likely={
            "large scores are cut off, so keys that fit differently get the same weight; subtract the row's "
            "largest score instead": scores.clamp(-50, 50).softmax(-1),
            "the scores are divided by a fixed number; take the root of the width that came in": (
                (scores * math.sqrt(5 / head_dim)).softmax(-1)
            ),
        },
        otherwise="take all sizes from q and k",
    )
    wide = [torch.randn(size, 2, dtype=torch.float64) for size in (1, 1)]
    single = expect_tensor(call(attention_weights, *wide), (1, 1), name="the weight of a single key")
    expect_close(single, torch.ones(1, 1), name="the weight of a single key", otherwise="it takes all")


# ------------------------------------------------------------------------------------------------- 02.2


def softmax_under(scores: Tensor, mask: Tensor, hidden: float = -math.inf, dim: int = -1) -> Tensor:
    """Softmax with forbidden scores replaced; nan where nothing is left."""
    return scores.masked_fill(~mask, hidden).softmax(dim)


def mask_slips(scores: Tensor, mask: Tensor) -> list[tuple[str, Tensor]]:
    """The usual slips with a mask: a sentence, and what the slip gives."""
    empty = ~mask.any(-1, keepdim=True)
    nan_row = "a row that may attend to nothing is nan: a softmax of nothing but −∞ is 0 / 0; give it zeros"
    equal_row = (
        "a row that may attend to nothing got equal weights on forbidden keys, as it does where a large "
        "negative number stands for −∞; give it zeros"
    )
    sign = "the mask is the wrong way round: True means may attend, and the forbidden keys got the weight"
    shrunk = (
        "the forbidden weights are removed after the softmax, so the rows no longer sum to 1: take the keys "
        "out before it"
    )
    takes_part = (
        "a score multiplied by 0 is 0, and a score of 0 takes its share of the softmax; forbidden is −∞"
    )
    slips = [(nan_row, softmax_under(scores, mask))]
    slips += [(equal_row, softmax_under(scores, mask, number)) for number in (-1e4, -1e9)]

    def add(sentence: str, value: Tensor) -> None:
        """Each mistake as it is, and with the empty rows mended in one way or another."""
        slips.extend((sentence, form) for form in (value, value.nan_to_num(), value * ~empty))

    for number in (-math.inf, -1e9):
        add(sign, softmax_under(scores, ~mask, number))
    add(shrunk, scores.softmax(-1) * mask)
    add(takes_part, (scores * mask).softmax(-1))
    add(takes_part + " (and removing it afterwards leaves rows that sum to less than 1)", (
        (scores * mask).softmax(-1) * mask
    ))  # fmt: skip
    add(
        "the softmax runs over the queries; it must run over the keys of one query",
        softmax_under(scores, mask, dim=0),
    )
    add("the mask is not used", scores.softmax(-1))
    add("1 is added to allowed scores; forbidden ones must become −∞", (scores + mask).softmax(-1))
    add("the softmax is missing", scores * mask)
    add("these are the masked scores: the softmax is missing", scores.masked_fill(~mask, -math.inf))
    return slips


def check_masked_weights(masked_weights: Callable[..., Tensor]) -> None:
    """A mask with one empty row, then one without, then nothing allowed at all."""
    scores = torch.randn(5, 7)
    mask = torch.tensor([
        [1, 0, 1, 1, 0, 0, 1],
        [0, 1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 1, 0, 0],
    ]).bool()  # fmt: skip
    weights = expect_tensor(
        call(masked_weights, scores, mask), (5, 7), kind="float", name="the table of weights"
    )
    right = softmax_under(scores, mask).nan_to_num()
    if not torch.allclose(weights.double(), right.double(), rtol=1e-4, atol=1e-5):
        for sentence, value in mask_slips(scores, mask):
            expect(
                not torch.allclose(weights.double(), value.double(), rtol=1e-4, atol=1e-5, equal_nan=True),
                sentence,
            )
        expect_finite(weights, name="the table of weights")
        expect(
            float((weights * ~mask).abs().max()) < 1e-6,
            "forbidden keys keep some weight: their scores must become −∞, not just small",
        )
        expect(float(weights[2].abs().max()) < 1e-6, "the row that may attend to nothing must be all zeros")
    expect_close(
        weights,
        right,
        name="the table of weights",
        otherwise="in each row the allowed keys share 1 as if the forbidden ones were not there",
    )
    plain = torch.randn(3, 2, dtype=torch.float64)
    allowed = torch.ones(3, 2, dtype=torch.bool)
    expect_close(
        expect_tensor(call(masked_weights, plain, allowed), (3, 2), name="the weights with all allowed"),
        plain.softmax(-1),
        name="the weights with all allowed",
        otherwise="then it is the plain softmax of each row",
    )
    nothing = expect_tensor(call(masked_weights, plain, ~allowed), (3, 2), name="the weights with nothing")
    expect_finite(nothing, name="the weights with nothing allowed", reason="give rows of zeros")
    expect_close(nothing, torch.zeros(3, 2), name="the weights with nothing allowed")
    low = torch.tensor([[-250.0, -251.0, -247.0]])
    deep = expect_tensor(
        call(masked_weights, low, torch.tensor([[True, True, False]])), (1, 3), name="the weights"
    )
    expect_close(
        deep,
        torch.tensor([[1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1)), 0.0]]),
        name="the weights where all allowed scores are far below 0",
        likely={
            "a forbidden key won, since the allowed scores were lower than the number put in its place; use "
            "−∞": torch.tensor([[0.0, 0.0, 1.0]]),
            "where all scores are far below 0 all weight is lost: subtract the largest allowed score before "
            "the exponential, or use −∞ and a softmax": torch.zeros(1, 3),
        },
    )
    high = torch.tensor([[0.0, 1.0, 300.0]])
    rest = expect_tensor(
        call(masked_weights, high, torch.tensor([[True, True, False]])), (1, 3), name="the weights"
    )
    expect_finite(
        rest, name="the weights beside a forbidden score of 300", reason="the forbidden key took all"
    )
    expect_close(
        rest,
        torch.tensor([[1 / (1 + math.e), math.e / (1 + math.e), 0.0]]),
        name="the weights beside a forbidden score of 300",
        likely={
            "the forbidden key takes all the weight before it is taken out, and nothing is left to share: "
            "take it out first, also where you subtract the largest score": torch.zeros(1, 3),
        },
    )


# ------------------------------------------------------------------------------------------------- 02.3


def attend_in_heads(
    x: Tensor, qkv: Layer, proj: Layer, num_heads: int, *, split: str = "plain",
    join: str = "plain", divisor: float | None = None, order: tuple[int, int, int] = (0, 1, 2), dim: int = -1,
) -> Tensor:  # fmt: skip
    """Multi-head attention with the choices in which people slip."""
    batch, tokens, width = x.shape
    size = width // num_heads
    made = qkv(x)
    if split == "interleaved":
        parts = made.view(batch, tokens, size, num_heads, 3).permute(4, 0, 3, 1, 2)
    elif split == "heads first":
        parts = made.view(batch, tokens, num_heads, 3, size).permute(3, 0, 2, 1, 4)
    elif split == "three fastest":
        parts = made.view(batch, tokens, num_heads, size, 3).permute(4, 0, 2, 1, 3)
    elif split == "heads fastest":
        parts = made.view(batch, tokens, 3, size, num_heads).permute(2, 0, 4, 1, 3)
    elif split == "tokens first":
        parts = made.view(batch, tokens, 3, num_heads, size).permute(2, 0, 1, 3, 4)
    elif split == "no transpose":
        parts = torch.stack([one.reshape(batch, num_heads, tokens, size) for one in made.chunk(3, dim=-1)])
    else:
        parts = made.view(batch, tokens, 3, num_heads, size).permute(2, 0, 3, 1, 4)
    q, k, v = (parts[i] for i in order)
    out = (q @ k.mT / (math.sqrt(size) if divisor is None else divisor)).softmax(dim) @ v
    if join == "no transpose":
        return proj(out.reshape(batch, tokens, width))
    if join == "heads fastest":
        return proj(out.permute(0, 2, 3, 1).reshape(batch, tokens, width))
    return proj(out.transpose(1, 2).reshape(batch, tokens, width))


def two_layers(width: int, *, dtype: torch.dtype = torch.float32) -> tuple[nn.Linear, nn.Linear]:
    """``qkv`` and ``proj`` with weights large enough that the softmax is not flat."""
    qkv, proj = nn.Linear(width, 3 * width, dtype=dtype), nn.Linear(width, width, dtype=dtype)
    with torch.no_grad():
        qkv.weight.copy_(torch.randn(3 * width, width) / width**0.5 * 1.5)
        qkv.bias.copy_(torch.randn(3 * width) * 0.3)
        proj.weight.copy_(torch.randn(width, width) / width**0.5)
        proj.bias.copy_(torch.randn(width))
    return qkv, proj


def head_slips(x: Tensor, qkv: nn.Linear, proj: nn.Linear, num_heads: int) -> dict[str, Tensor]:
    """What the usual slips in multi-head attention give, with a sentence for each."""
    width = x.shape[-1]
    size = width // num_heads
    scale = math.sqrt(size)

    def without_bias(layer: nn.Linear) -> Layer:
        return lambda tokens: F.linear(tokens, layer.weight)

    def attend(**choices: Any) -> Tensor:
        return attend_in_heads(x, qkv, proj, num_heads, **choices)

    def no_projection(tokens: Tensor) -> Tensor:
        return tokens

    among = (
        "the heads of one token attend to each other, since the product runs over the last two axes: bring "
        "the heads in front of the tokens"
    )
    mixed = (
        "a reshape straight to (B, heads, N, d) mixes tokens and heads: split D into (heads, d) first, then "
        "transpose heads and tokens"
    )
    return {
        "the heads are not split: this is one head of width D": attend_in_heads(x, qkv, proj, 1),
        "the heads are not split, and the scores are divided by √d": attend_in_heads(
            x, qkv, proj, 1, divisor=scale
        ),
        "the scores are divided by √D; a head has width d = D / heads": attend(divisor=math.sqrt(width)),
        "the scores are not divided by √d": attend(divisor=1.0),
        "the scores are divided by d instead of √d": attend(divisor=float(size)),
        "the scores are divided by √N; the width of a head, d, belongs there": attend(
            divisor=math.sqrt(x.shape[1])
        ),
        "the scores are divided by the square root of the number of heads; the width of a head belongs "
        "there": attend(divisor=math.sqrt(num_heads)),
        among: attend(split="tokens first", join="no transpose"),
        among + " (q, k and v are needed as (B, heads, N, d))": attend(split="tokens first"),
        mixed: attend(split="no transpose", join="no transpose"),
        mixed + " (it happens on the way in)": attend(split="no transpose"),
        "the heads are not brought back beside each other: transpose heads and tokens before joining "
        "(heads, d) to D": attend(join="no transpose"),
        "on the way back d is the slow axis: D is (heads, d), head after head": attend(join="heads fastest"),
        "the output of qkv is read as (heads, 3, d); it is (3, heads, d): first all of q, then k, then v": (
            attend(split="heads first")
        ),
        "the output of qkv is read with q, k, v as its fastest axis; it is (3, heads, d): first all of q, "
        "then k, then v": attend(split="interleaved"),
        "the output of qkv is read with q, k, v as the fastest axis; it is (3, heads, d): first all of q, "
        "then k, then v": attend(split="three fastest"),
        "inside q, k and v the heads are read as the fast axis; it is (heads, d), head after head": attend(
            split="heads fastest"
        ),
        "inside q, k and v the heads are read as the fast axis, on the way back as well; it is (heads, d)": (
            attend(split="heads fastest", join="heads fastest")
        ),
        "queries and keys are exchanged": attend(order=(1, 0, 2)),
        "keys and values are exchanged": attend(order=(0, 2, 1)),
        "queries and values are exchanged": attend(order=(2, 1, 0)),
        "the weights meet the queries; they weigh the values": attend(order=(0, 1, 0)),
        "the weights meet the keys; they weigh the values": attend(order=(0, 1, 1)),
        "the softmax runs over the queries; it must run over the keys": attend(dim=-2),
        "the softmax runs over the heads; it must run over the keys": attend(dim=1),
        "the last projection, proj, is missing": attend_in_heads(x, qkv, no_projection, num_heads),
        "the bias of qkv is forgotten: call the layer, qkv(x)": attend_in_heads(
            x, without_bias(qkv), proj, num_heads
        ),
        "the bias of proj is forgotten: call the layer, proj(…)": attend_in_heads(
            x, qkv, without_bias(proj), num_heads
        ),
        "x is added: the residual comes later, in the block": attend() + x,
    }


def check_multi_head(multi_head: Callable[..., Tensor]) -> None:
    """Five heads of width 7 with biases, then one head, then the way of the gradient."""
    batch, tokens, heads, size = 2, 11, 5, 7
    width = heads * size
    qkv, proj = two_layers(width)
    x = torch.randn(batch, tokens, width)
    out = expect_tensor(
        call(multi_head, x, qkv, proj, heads),
        (batch, tokens, width),
        kind="float",
        name="the output",
        likely={
            (batch, tokens, size): "this is the width of one head; join all heads side by side",
            (batch, heads, tokens, size): "the heads are still apart; join them to D = heads · d and project",
            (batch, tokens, heads, size): "the heads are still apart; join them to D = heads · d and project",
            (batch, heads, tokens, tokens): "these are the weights; multiply them with the values",
            (batch, tokens, 3 * width): "this is as wide as qkv's output; take it apart into q, k and v",
        },
    )
    expect_finite(out, name="the output")
    expect_the_same_again(out, call(multi_head, x, qkv, proj, heads))
    with torch.no_grad():
        expect_close(
            out,
            attend_in_heads(x, qkv, proj, heads),
            name="the output",
            likely=head_slips(x, qkv, proj, heads),
            otherwise="follow one head: its q, k and v are (B, N, d), its weights (B, N, N)",
        )
        for few in (1, 3):
            layers = two_layers(6, dtype=torch.float64)
            z = torch.randn(1, 2, 6, dtype=torch.float64)
            one = expect_tensor(
                call(multi_head, z, *layers, few), (1, 2, 6), name=f"the output of {few} heads"
            )
            expect_close(one, attend_in_heads(z, *layers, few), name=f"the output of {few} heads")
    check_gradient_of_heads(multi_head)


def expect_the_same_again(once: Tensor, again: Any) -> None:
    """A second call on the same tokens gives the same: nothing is drawn at random."""
    if isinstance(again, Tensor) and again.shape == once.shape:
        expect(
            torch.allclose(once, again, rtol=1e-4, atol=1e-5),
            "two calls on the same tokens give different results: is there dropout in it, or a layer made "
            "anew?",
        )


def check_gradient_of_heads(multi_head: Callable[..., Tensor]) -> None:
    """The loss must reach both layers, since the lesson trains them."""
    qkv, proj = two_layers(6)
    out = call(multi_head, torch.randn(1, 5, 6), qkv, proj, 2)
    cut = "the values are right, but no gradient reaches {}: the network could not learn; leave out detach, "
    expect(out.requires_grad, cut.format("the layers") + "data, no_grad and NumPy")
    send_back(out)
    for name, layer in (("qkv", qkv), ("proj", proj)):
        reached = layer.weight.grad is not None and bool(layer.weight.grad.abs().sum() > 0)
        expect(reached, cut.format(name) + "data, no_grad and NumPy")
    assert qkv.weight.grad is not None
    thirds = [bool(third.abs().sum() > 0) for third in qkv.weight.grad.chunk(3)]
    expect(all(thirds), cut.format("all of q, k and v") + "data, no_grad and NumPy")


def send_back(out: Tensor) -> None:
    """Compute the gradient of some loss on ``out``."""
    try:
        out.square().sum().backward()
    except RuntimeError:
        raise Mistake(
            "the values are right, but the gradient cannot be computed: something that it needs is changed "
            "in place (+=, an assignment to a slice, an operation with a trailing underscore)"
        ) from None


# ------------------------------------------------------------------------------------------------- 02.4


class Stirring(nn.Module):
    """Stands in for attention: mixes the tokens of a clip by a fixed table, and bends the result a little."""

    def __init__(self, num_tokens: int, embed_dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(num_tokens, num_tokens) / num_tokens**0.5)
        self.shift = nn.Parameter(torch.randn(embed_dim))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.table @ x + self.shift)


class Parts:
    """The two norms of a block in the order in which they are called, and the two layers of its MLP."""

    def __init__(self, block: nn.Module, x: Tensor, embed_dim: int, mlp_dim: int, attention: Stirring):
        modules = list(block.modules())
        norms = [part for part in modules if isinstance(part, nn.LayerNorm)]
        linears = [part for part in modules if isinstance(part, nn.Linear)]
        expect(
            attention in modules,
            "the attention is not a part of the block, so its weights would never be trained: keep it as an "
            "attribute (self.…), not in a plain list",
        )
        expect(
            len(norms) == 2,
            f"the block holds {len(norms)} LayerNorms, expected 2: one before the attention, one before "
            "the MLP, each kept as an attribute (not in a plain list)",
        )
        for norm in norms:
            expect(
                tuple(norm.normalized_shape) == (embed_dim,),
                f"a LayerNorm is made for {tuple(norm.normalized_shape)}; it must norm each token over its "
                f"embed_dim = {embed_dim} numbers",
            )
        sizes = sorted((part.in_features, part.out_features) for part in linears)
        expect(
            sizes == sorted([(embed_dim, mlp_dim), (mlp_dim, embed_dim)]),
            f"the Linear layers found are {sizes or 'none'}; the MLP has two, from embed_dim = {embed_dim} "
            f"to mlp_dim = {mlp_dim} and back, kept as attributes (not in a plain list)",
        )
        self.wide = next(part for part in linears if part.out_features == mlp_dim)
        self.narrow = next(part for part in linears if part.in_features == mlp_dim)
        self.attention = attention
        self.norms = norms
        called: list[nn.Module] = []
        hooks = [norm.register_forward_hook(lambda module, *_: called.append(module)) for norm in norms]
        self.shape_of_output(call(block, x), x)
        for hook in hooks:
            hook.remove()
        self.calls = called
        first = next((norm for norm in called if isinstance(norm, nn.LayerNorm)), norms[0])
        self.first = first
        self.second = norms[1] if first is norms[0] else norms[0]
        self.used_twice = len(called) == 2 and called[0] is called[1]

    @staticmethod
    def shape_of_output(out: Any, x: Tensor) -> Tensor:
        return expect_tensor(out, tuple(x.shape), kind="float", name="the block's output")

    def dress(self, seed: int) -> None:
        """Weights by role, the same whatever the parts are called."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for norm in (self.first, self.second):
                width = norm.normalized_shape
                scale, shift = torch.rand(width, generator=generator), torch.randn(width, generator=generator)
                for own, value in ((norm.weight, 0.5 + scale), (norm.bias, shift)):
                    if own is not None:
                        own.copy_(value)
            for layer in (self.wide, self.narrow):
                spread = 1.5 / layer.in_features**0.5
                layer.weight.copy_(spread * torch.randn(layer.weight.shape, generator=generator))
                if layer.bias is not None:
                    layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))

    def mlp(self, x: Tensor, bend: Callable[[Tensor], Tensor] = F.gelu) -> Tensor:
        return self.narrow(bend(self.wide(x)))

    def right(self, x: Tensor, bend: Callable[[Tensor], Tensor] = F.gelu) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x), bend)

    def slips(self, x: Tensor) -> dict[str, Tensor]:
        """What the usual slips in a block give; which norm is whose may differ where the order does."""
        att, mlp, one, two = self.attention, self.mlp, self.first, self.second
        after = x + att(one(x))
        normed_first = one(x)
        kept = normed_first + att(normed_first)
        normed_second = two(kept)
        after_raw, after_mlp = x + att(x), x + mlp(one(x))
        post = one(x + att(x))
        normed_after = two(after)
        bare = att(one(x))
        return {
            "this is post-norm: the norm comes after each sum; pre-norm norms what a step reads, and leaves "
            "the stream of x + … alone": two(post + mlp(post)),
            "nothing is added to what came in: both residuals are missing": mlp(two(bare)),
            "the first residual is missing: the attention's output is added to x": bare + mlp(two(bare)),
            "the second residual is missing: the MLP's output is added to what came out of the first step": (
                mlp(two(after))
            ),
            "the normed tokens are carried on: each step's output is added to x as it was before its norm": (
                normed_second + mlp(normed_second)
            ),
            "the first step adds to the normed tokens; add to x as it was before the norm": (
                kept + mlp(two(kept))
            ),
            "the second step adds to the normed tokens; add to x as it was before the norm": (
                normed_after + mlp(normed_after)
            ),
            "the second sum starts from the block's input: it starts from the result of the first step": (
                x + mlp(two(after))
            ),
            "both steps read the block's input side by side; the MLP reads the result of the first step": (
                after + mlp(two(x))
            ),
            "one norm serves twice, and the other is never used: each step has its own": (
                after + mlp(one(after))
            ),
            "the MLP reads tokens that are not normed": after + mlp(after),
            "the attention reads tokens that are not normed": after_raw + mlp(one(after_raw)),
            "neither step norms what it reads": after_raw + mlp(after_raw),
            "the MLP has no activation between its two layers": self.right(x, lambda tokens: tokens),
            "the activation is ReLU; the contract says GELU": self.right(x, F.relu),
            "the activation is SiLU; the contract says GELU": self.right(x, F.silu),
            "the activation is tanh; the contract says GELU": self.right(x, torch.tanh),
            "the MLP comes first; attention comes first": after_mlp + att(two(after_mlp)),
            "the MLP is missing: this is the first step alone": after,
            "the attention is missing: this is the MLP alone": after_mlp,
            "there is a third sum too many: x is added once more at the end": self.right(x) + x,
            "the MLP ends with a GELU; the only one stands between its two layers": (
                after + F.gelu(mlp(two(after)))
            ),
        }


def built_block(answer: Callable[..., Any], embed_dim: int, mlp_dim: int, attention: Stirring) -> nn.Module:
    """The learner's block, in the mode in which it answers."""
    block = call(answer, embed_dim, mlp_dim, attention)
    if not isinstance(block, nn.Module):
        raise Mistake(
            f"EncoderBlock(embed_dim, mlp_dim, attention) gives a {type(block).__name__}, expected an "
            "nn.Module: a class that starts with class EncoderBlock(nn.Module)"
        )
    return block.eval()


def check_encoder_block(block_class: Callable[..., Any]) -> None:
    """Its parts, its values under weights chosen here, one call of the attention, the way of the gradient."""
    tokens, width, mlp_dim = 5, 7, 11
    attention = Stirring(tokens, width)
    block = built_block(block_class, width, mlp_dim, attention)
    x = 1.7 * torch.randn(2, tokens, width)
    parts = Parts(block, x, width, mlp_dim, attention)
    parts.dress(3)
    attention.calls = 0
    out = Parts.shape_of_output(call(block, x), x)
    expect_finite(out, name="the block's output")
    seen = attention.calls
    expect_the_same_again(out, call(block, x))
    attention.calls = seen
    expect(
        attention.calls == 1,
        f"the attention is called {attention.calls} times; it is called once, on the normed tokens",
    )
    with torch.no_grad():
        tanh_like = parts.right(x, lambda wide: F.gelu(wide, approximate="tanh"))
        if not torch.allclose(out, tanh_like, rtol=1e-4, atol=1e-5):
            expect_close(
                out,
                parts.right(x),
                name="the block's output",
                likely=parts.slips(x),
                otherwise="two steps, attention then MLP: each reads normed tokens and is added to x",
            )
    expect(
        parts.used_twice is False and len(parts.calls) == 2,
        "each of the two norms is used once: one before the attention, one before the MLP",
    )
    expect(out.requires_grad, "the values are right, but no gradient reaches the block's weights")
    send_back(out)
    for name, parameter in block.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        expect(reached, f"the values are right, but no gradient reaches {name}")


def output_of_block(answer: Callable[..., Any], *, norms: int = 3) -> Tensor:
    """The block's answer to a fixed clip, its parts dressed by role."""
    torch.manual_seed(5)
    attention = Stirring(3, 5)
    block = built_block(answer, 5, 2, attention)
    x = torch.randn(2, 3, 5)
    Parts(block, x, 5, 2, attention).dress(norms)
    return block(x).detach()


def output_with_an_idle_mlp(answer: Callable[..., Any]) -> Tensor:
    """The same, while the MLP gives zeros: where a mistake in the second step cannot show."""
    torch.manual_seed(5)
    attention = Stirring(3, 5)
    block = built_block(answer, 5, 2, attention)
    x = torch.randn(2, 3, 5)
    parts = Parts(block, x, 5, 2, attention)
    parts.dress(3)
    with torch.no_grad():
        parts.narrow.weight.zero_()
        parts.narrow.bias.zero_()
    return block(x).detach()


# ------------------------------------------------------------------------------------------------- 02.5


def check_attention_cost(attention_cost: Callable[..., Any]) -> None:
    """Sizes that are all different, then a clip of ViT's size, then one token."""
    for n, width, heads in ((13, 35, 5), (197, 768, 12), (1, 6, 2)):
        size = width // heads
        operations, numbers = two_counts(call(attention_cost, n, width, heads))
        pairs = n * n
        products, projections = 2 * pairs * width, 4 * n * width**2
        right = projections + products
        expect(
            (operations, numbers) != (heads * pairs, right),
            "the two counts are exchanged: first multiply-adds, then numbers in the tables",
        )
        expect_equal(
            operations,
            right,
            name=f"the count of multiply-adds for N = {n}, D = {width}, heads = {heads}",
            likely={
                "the projections are missing: qkv and proj multiply too": products,
                "the two products are missing: scores, and weights with values": projections,
                "only one of the two products is counted: scores, and weights with values": (
                    projections + pairs * width
                ),
                "the projections are counted three times D²; there are four: q, k, v and proj": (
                    3 * n * width**2 + products
                ),
                "only one projection is counted; there are four: q, k, v and proj": n * width**2 + products,
                "the products are counted with D in every head; a head has width d = D / heads, so more "
                "heads cost no more": projections + heads * products,
                "the products are counted for one head only; there are num_heads of them": (
                    projections + 2 * pairs * size
                ),
                "these are FLOPs, a multiplication and an addition counted apart; one multiply-add is one": (
                    2 * right
                ),
                "the products grow with N², not with N": projections + 2 * n * width,
                "the biases are counted; the contract leaves them out": right + 4 * n * width,
                "the softmax is counted; the contract leaves it out": right + heads * pairs,
                "only half of everything is counted: four projections, and two products": right // 2,
                "every projection is counted for each pair; it runs once a token": (
                    4 * pairs * width**2 + products
                ),
                "every projection is counted in each head; the four cost 4 · N · D² together": (
                    heads * projections + products
                ),
                "the projections are counted for one token; they run for all N": 4 * width**2 + products,
                "a projection is counted as N · D; each of the D outputs needs D multiply-adds": (
                    4 * n * width + products
                ),
            },
            otherwise="four projections of every token, and two products for every pair",
        )
        expect_equal(
            numbers,
            heads * pairs,
            name=f"the count of weights for N = {n}, D = {width}, heads = {heads}",
            likely={
                "the weights of one head only: every head has a table of its own": pairs,
                "a table of weights has N rows and N columns; this grows with N, not with N²": heads * n,
                "these are the numbers of tokens, N · D; the tables hold N² a head": n * width,
                "a weight is one number a pair, whatever the width": pairs * width,
                "scores and weights are both counted; the contract asks for the weights": 2 * heads * pairs,
                "these are bytes; the contract asks for numbers": 4 * heads * pairs,
            },
            otherwise="each head has one number for every pair",
        )


def two_counts(value: Any) -> tuple[int, int]:
    """Two whole numbers, in whatever sequence they came."""
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, "__len__"):
        raise Mistake(f"the result is a {type(value).__name__}, expected two whole numbers")
    if len(value) != 2:
        raise Mistake(f"the result has {len(value)} numbers, expected two: multiply-adds, weights")
    return (
        expect_integer(value[0], name="the count of multiply-adds"),
        expect_integer(value[1], name="the count of weights"),
    )


# ------------------------------------------------------------------------------------------------- 02.6


def _attend(x: Tensor) -> Tensor:
    return (x @ x.mT / math.sqrt(x.shape[-1])).softmax(-1) @ x


def _one_by_one(x: Tensor) -> Tensor:
    return torch.tanh(x @ torch.linspace(-1, 1, x.shape[-1] ** 2, dtype=x.dtype).view(x.shape[-1], -1))


def _less_the_mean(x: Tensor) -> Tensor:
    return x - x.mean(dim=1, keepdim=True)


def _mean_for_all(x: Tensor) -> Tensor:
    return x.mean(dim=1, keepdim=True).expand(x.shape)


def _with_positions(x: Tensor) -> Tensor:
    return x + torch.linspace(0, 1, x.shape[1], dtype=x.dtype)[None, :, None]


def _attend_with_positions(x: Tensor) -> Tensor:
    return _attend(_with_positions(x))


def _mean_so_far(x: Tensor) -> Tensor:
    return x.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[None, :, None]


def _neighbour(x: Tensor) -> Tensor:
    return x + F.pad(x, (0, 0, 1, 0))[:, :-1]


def _read_backwards(x: Tensor) -> Tensor:
    return x.flip(1)


def _with_faint_positions(x: Tensor) -> Tensor:
    return x + 0.03 * torch.linspace(0, 1, x.shape[1], dtype=x.dtype)[None, :, None]


def _last_token_marked(x: Tensor) -> Tensor:
    return torch.cat([x[:, :-1], x[:, -1:] + 1], dim=1)


def _mean_of_pairs(x: Tensor) -> Tensor:
    pairs = x[:, :6].unflatten(1, (3, 2)).mean(2).repeat_interleave(2, 1)
    return x + torch.cat([pairs, x[:, 6:]], dim=1)


def _sum_over_clips(x: Tensor) -> Tensor:
    return x.cumsum(0)


LAYERS: tuple[tuple[Layer, bool, str], ...] = (
    (_attend, True, "attention without positions"),
    (_one_by_one, True, "a layer that treats each token by itself"),
    (_less_the_mean, True, "a layer that subtracts the mean of the tokens"),
    (_mean_for_all, True, "a layer that gives every token the mean of all"),
    (_sum_over_clips, True, "a layer that adds the clips before to each clip, token by token"),
    (_with_positions, False, "a layer that adds positions"),
    (_attend_with_positions, False, "attention with positions"),
    (_mean_so_far, False, "a layer that takes the mean of all tokens so far"),
    (_neighbour, False, "a layer that adds each token's neighbour"),
    (_read_backwards, False, "a layer that turns the sequence round"),
    (_with_faint_positions, False, "a layer that adds faint positions"),
    (_last_token_marked, False, "a layer that adds 1 to the last token alone"),
)


def blind_slips(x: Tensor, order: Tensor) -> dict[str, list[bool]]:
    """The verdicts of the usual slips on all layers, with a sentence for each."""

    def verdicts(compare: Callable[[Layer], bool]) -> list[bool]:
        return [compare(layer) for layer, _, _ in LAYERS]

    def close(one: Tensor, other: Tensor) -> bool:
        return torch.allclose(one, other, atol=1e-6)

    right = [blind for _, blind, _ in LAYERS]
    return {
        "the outputs move along with their tokens: shuffle the outputs of the plain run in the same way "
        "before comparing": verdicts(lambda layer: close(layer(x[:, order]), layer(x))),
        "`order` is applied twice; undo it with its inverse (argsort), or shuffle the plain outputs": (
            verdicts(lambda layer: close(layer(x[:, order])[:, order], layer(x)))
        ),
        "a sum in another order rounds differently: compare with a tolerance, not exactly": (
            verdicts(lambda layer: torch.equal(layer(x[:, order]), layer(x)[:, order]))
        ),
        "the tolerance is so wide that faint differences pass: rounding in float64 is far below 0.000001": (
            verdicts(lambda layer: torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=0.1))
        ),
        "only some of the tokens are compared, or under an order of your own: compare all of them, shuffled "
        "by `order`": verdicts(lambda layer: close(layer(x[:, order])[:, 0], layer(x)[:, order][:, 0])),
        "only the first clip is looked at; compare all": verdicts(
            lambda layer: close(layer(x[:1, order]), layer(x[:1])[:, order])
        ),
        "only a summary over the tokens is compared; compare token by token": (
            verdicts(lambda layer: close(layer(x[:, order]).mean(1), layer(x).mean(1)))
        ),
        "the answer is the wrong way round: True means that only the outputs were shuffled": (
            [not blind for blind in right]
        ),
        "this says True of every layer: is the layer ever run on the shuffled tokens?": [True] * len(right),
        "this says False of every layer, also of one that treats each token by itself": [False] * len(right),
        "the features are shuffled: the tokens are axis 1 of (B, N, D)": verdicts(
            lambda layer: close(layer(x[..., order]), layer(x)[..., order])
        ),
    }


def check_is_order_blind(is_order_blind: Callable[..., Any]) -> None:
    """Many layers, some of them blind, under an order that is not its own inverse; then other orders."""
    order = torch.tensor([3, 4, 5, 6, 0, 1, 2])
    x = torch.randn(7, 7, 7, dtype=torch.float64)  # all sizes alike, so that a wrong axis shows in values
    x[0] = x[0, :1]  # a first clip that stands still: shuffling it changes nothing
    found = [truth_of(call(is_order_blind, layer, x, order)) for layer, _, _ in LAYERS]
    slips = blind_slips(x, order) | {
        "the clips of the batch are shuffled: the tokens are axis 1 of (B, N, D)": [
            torch.allclose(layer(x[order]), layer(x)[order]) for layer, _, _ in LAYERS
        ]
    }
    right = [blind for _, blind, _ in LAYERS]
    if found != right:
        for sentence, verdicts in slips.items():
            expect(found != verdicts or verdicts == right, sentence)
        wrong = next(place for place, pair in enumerate(zip(found, right, strict=True)) if pair[0] != pair[1])
        _, blind, name = LAYERS[wrong]
        raise Mistake(
            f"of {name} this says {found[wrong]}: shuffling the tokens "
            f"{'only shuffles its outputs' if blind else 'changes more than the order of its outputs'}"
        )
    thin = torch.randn(2, 7, 3, dtype=torch.float64)
    for layer, blind, name in LAYERS:
        verdict = truth_of(call(is_order_blind, layer, thin, torch.tensor([3, 0, 6, 1, 2, 5, 4])))
        expect(verdict == blind, f"of {name} on a clip of shape (2, 7, 3) this says {verdict}")
    for order, blind, kind in (
        (torch.tensor([4, 5, 0, 1, 3, 2, 6]), True, "keeps the pairs together"),
        (torch.tensor([0, 2, 1, 3, 4, 5, 6]), False, "tears two pairs apart"),
    ):
        verdict = truth_of(call(is_order_blind, _mean_of_pairs, thin, order))
        expect(
            verdict == blind,
            f"of a layer that adds the mean of tokens 0 and 1, of 2 and 3, of 4 and 5, this says {verdict} "
            f"for an order that {kind}: shuffle by the `order` that is handed in, not by one of your own",
        )


def truth_of(value: Any) -> bool:
    """True or False, also as a NumPy or tensor one."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (Tensor, np.ndarray)):
        expect(
            math.prod(value.shape) == 1,
            f"the result has shape {tuple(value.shape)}, expected one True or False for the whole clip: all "
            "tokens must agree",
        )
        return bool(value.item())
    if value is None:
        raise Mistake("the result is None: is a `return` missing at the end?")
    raise Mistake(f"the result is a {type(value).__name__}, expected True or False")


# ------------------------------------------------------------------------------------- inputs of the tests


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def _upper(size: int) -> Tensor:
    return torch.ones(size, size).triu().bool()


def _few_allowed() -> Tensor:
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[1, 2:], mask[4] = False, False
    return mask


def _heads(answer: Callable[..., Tensor], heads: int, width: int, tokens: int = 5) -> Tensor:
    torch.manual_seed(3)
    return answer(_random(2, tokens, width), *two_layers(width), heads).detach()


def _swap(size: int) -> Tensor:
    return torch.arange(size).flip(0)


EXERCISES = [
    Exercise(
        id="02.1",
        title="Attention weights",
        core=True,
        difficulty=2,
        importance=5,
        minutes=10,
        why="Everything in this course that attends begins with these two lines.",
        contract=(
            "`q` is a float tensor of shape `(N, d)`, `k` one of shape `(M, d)`: N queries, M keys",
            "returns the weights, of shape `(N, M)`: row = query, column = key",
            "the score of a pair is the product of its query and its key, divided by √d",
            "each row is the softmax of its scores: positive numbers that sum to 1",
            "scores of several hundreds give no nan",
        ),
        stub='''
        def attention_weights(q: Tensor, k: Tensor) -> Tensor:  # (N, d), (M, d) -> (N, M)
            """How much each query takes of each key."""
            raise NotImplementedError("02.1")
        ''',
        check=check_attention_weights,
        probe=lambda answer: answer(_random(3, 7), _random(5, 7)),
        hints=(
            "First a table of scores, one for each pair; then each row of the table becomes shares of 1.",
            "(N, d) times (d, M) is (N, M). The softmax runs along the axis of the M keys.",
            "q times k transposed, divided by math.sqrt of the last size; torch.softmax with dim=-1.",
        ),
        solution=answers.ATTENTION_WEIGHTS["matmul"],
        right_answers=answers.ATTENTION_WEIGHTS,
        wrong_answers=(
            WrongAnswer(
                name="softmax over the queries",
                answer=answers.WEIGHTS_OVER_QUERIES,
                says="the softmax runs over the queries",
                right_on=lambda answer: answer(torch.ones(5, 3), torch.ones(5, 3)),
            ),
            WrongAnswer(
                name="not scaled",
                answer=answers.WEIGHTS_UNSCALED,
                says="not divided by √d",
                right_on=lambda answer: answer(_random(3, 1), _random(5, 1)),
            ),
            WrongAnswer(
                name="divided by d",
                answer=answers.WEIGHTS_BY_WIDTH,
                says="divided by d instead of √d",
                right_on=lambda answer: answer(_random(3, 1), _random(5, 1)),
            ),
            WrongAnswer(
                name="divided by the number of keys",
                answer=answers.WEIGHTS_BY_LENGTH,
                says="√M, the number of keys",
                right_on=lambda answer: answer(_random(3, 5), _random(5, 5)),
            ),
            WrongAnswer(
                name="divided after the softmax",
                answer=answers.WEIGHTS_SCALED_LATE,
                says="comes after the softmax",
            ),
            WrongAnswer(name="no softmax", answer=answers.WEIGHTS_RAW, says="these are the scores"),
            WrongAnswer(
                name="transposed",
                answer=answers.WEIGHTS_TRANSPOSED,
                says="rows and columns are exchanged",
                right_on=lambda answer: answer(_random(5, 3), _random(5, 3)),
            ),
            WrongAnswer(
                name="overflow",
                answer=answers.WEIGHTS_OVERFLOW,
                says="overflows",
                right_on=lambda answer: answer(_random(3, 7), _random(5, 7)),
            ),
            WrongAnswer(
                name="a fixed width",
                answer=answers.WEIGHTS_FIXED_WIDTH,
                says="divided by a fixed number",
                right_on=lambda answer: answer(torch.eye(7), torch.eye(7)),
            ),
            WrongAnswer(
                name="scores cut off",
                answer=answers.WEIGHTS_CLAMPED,
                says="large scores are cut off",
                right_on=lambda answer: answer(torch.eye(3), torch.eye(3)),
            ),
        ),
        not_by=FORWARDS_TO_ATTENTION,
        what_to_see="A table whose rows sum to 1; each query's best key is its palest cell.",
    ),
    Exercise(
        id="02.2",
        title="Masks, and the row that may see nothing",
        core=True,
        difficulty=3,
        importance=5,
        minutes=10,
        why="Padding, causality and every pattern of the next lesson enter through a mask.",
        contract=(
            "`scores` is a float tensor of shape `(N, M)`; `mask` is Bool of the same shape, **True = may "
            "attend**",
            "returns the weights, `(N, M)`: in each row the allowed keys share 1, by softmax, as if the "
            "forbidden ones were not there",
            "a forbidden key has weight 0, whatever its score",
            "a row that may attend to nothing is all zeros: no nan, and no weight on forbidden keys",
            "that holds as well where the allowed scores of a row lie several hundreds below 0, or a "
            "forbidden one several hundreds above them",
            "`scores` itself is not changed",
        ),
        stub='''
        def masked_weights(scores: Tensor, mask: Tensor) -> Tensor:  # (N, M), Bool (N, M) -> (N, M)
            """Softmax over the allowed keys of each row; zeros where a row may attend to nothing."""
            raise NotImplementedError("02.2")
        ''',
        check=check_masked_weights,
        probe=lambda answer: answer(_random(5, 7), _few_allowed()),
        hints=(
            "A weight of 0 is the exponential of a score of −∞. Then ask what a softmax does with a row of "
            "nothing but −∞.",
            "mask.any(dim=-1, keepdim=True) is (N, 1): which rows may attend to anything.",
            "masked_fill with −math.inf where the mask is False, softmax over the last axis, then zeros in "
            "the rows without anything (another masked_fill, or torch.where).",
        ),
        solution=answers.MASKED_WEIGHTS["minus infinity"],
        right_answers=answers.MASKED_WEIGHTS,
        wrong_answers=(
            WrongAnswer(
                name="wrong sign",
                answer=answers.MASKED_SIGN,
                says="the wrong way round",
            ),
            WrongAnswer(
                name="scores times mask",
                answer=answers.MASKED_TIMES,
                says="takes its share of the softmax",
                right_on=lambda answer: answer(_random(5, 7), torch.ones(5, 7).bool()),
            ),
            WrongAnswer(
                name="weights times mask",
                answer=answers.MASKED_LATE,
                says="no longer sum to 1",
                right_on=lambda answer: answer(_random(5, 7), torch.ones(5, 7).bool()),
            ),
            WrongAnswer(
                name="row of nan",
                answer=answers.MASKED_NAN,
                says="is nan",
                right_on=lambda answer: answer(_random(5, 5), _upper(5)),
            ),
            WrongAnswer(
                name="a large negative number",
                answer=answers.MASKED_UNIFORM,
                says="equal weights on forbidden keys",
                right_on=lambda answer: answer(_random(5, 5), _upper(5)),
            ),
            WrongAnswer(
                name="a small negative number",
                answer=answers.MASKED_SOFTLY,
                says="not just small",
                right_on=lambda answer: answer(_random(5, 7), torch.ones(5, 7).bool()),
            ),
            WrongAnswer(
                name="softmax over the queries",
                answer=answers.MASKED_OVER_QUERIES,
                says="over the queries",
            ),
            WrongAnswer(
                name="changes the scores",
                answer=answers.MASKED_IN_PLACE,
                says="in place",
                right_on=lambda answer: answer(_random(5, 7), torch.ones(5, 7).bool()),
            ),
            WrongAnswer(
                name="softmax, then shares",
                answer=answers.MASKED_SHARED_LATE,
                says="takes all the weight before it is taken out",
                right_on=lambda answer: answer(_random(5, 7), _few_allowed()),
            ),
            WrongAnswer(
                name="largest of all subtracted",
                answer=answers.MASKED_LARGEST_OF_ALL,
                says="takes all the weight before it is taken out",
                right_on=lambda answer: answer(_random(5, 7), _few_allowed()),
            ),
        ),
        not_by=FORWARDS_TO_ATTENTION,
        what_to_see="Zeros where the mask forbids, rows that sum to 1, and one row of zeros.",
    ),
    Exercise(
        id="02.3",
        title="Multi-head attention",
        core=True,
        difficulty=4,
        importance=5,
        minutes=25,
        why="This is the attention of every model in the course; a wrong reshape here fails in silence.",
        contract=(
            "`x` holds tokens, `(B, N, D)`, float32 or float64 as the layers are; `qkv` is an `nn.Linear` "
            "from D to 3 · D, `proj` one from D to D; "
            "`num_heads` divides D, and a head has width d = D / heads",
            "the output of `qkv` is first q, then k, then v; each is head after head: `(3, heads, d)`",
            "every head attends by itself, each token to all tokens of its clip, with scores divided by √d",
            "the results of the heads are laid side by side again, head after head, and go through `proj`",
            "returns `(B, N, D)`; gradients flow into both layers, since they will be trained",
        ),
        stub='''
        def multi_head(
            x: Tensor, qkv: nn.Linear, proj: nn.Linear, num_heads: int
        ) -> Tensor:  # (B, N, D) -> (B, N, D)
            """Self-attention in num_heads heads."""
            raise NotImplementedError("02.3")
        ''',
        check=check_multi_head,
        probe=lambda answer: _heads(answer, 5, 35, tokens=11),
        hints=(
            "A head is attention as in 02.1, on a slice of the width. All heads can run at once if heads is "
            "an axis of its own, in front of the tokens.",
            "qkv(x) is (B, N, 3·D). Split the last axis into (3, heads, d), then bring it to three tensors "
            "of (B, heads, N, d). Scores are (B, heads, N, N). At the end (B, heads, N, d) → "
            "(B, N, heads, d) → (B, N, D).",
            "view(B, N, 3, heads, d), permute(2, 0, 3, 1, 4), unpack q, k, v; q times k with its last two "
            "axes exchanged, over √d; softmax on the last axis; times v; transpose(1, 2), reshape, proj. "
            "einops' rearrange does each of these in one line; a loop over heads with slices works, too.",
        ),
        solution=answers.MULTI_HEAD["view and transpose"],
        right_answers=answers.MULTI_HEAD,
        wrong_answers=(
            WrongAnswer(
                name="heads not split",
                answer=answers.HEADS_NOT_SPLIT,
                says="one head of width D",
                right_on=lambda answer: _heads(answer, 1, 6),
            ),
            WrongAnswer(
                name="reshaped without transposing",
                answer=answers.HEADS_WITHOUT_TRANSPOSE,
                says="mixes tokens and heads",
                right_on=lambda answer: _heads(answer, 1, 6),
            ),
            WrongAnswer(
                name="heads attend to each other",
                answer=answers.HEADS_AMONG_THEMSELVES,
                says="attend to each other",
            ),
            WrongAnswer(
                name="heads not brought back",
                answer=answers.HEADS_NOT_BROUGHT_BACK,
                says="not brought back",
                right_on=lambda answer: _heads(answer, 3, 6, tokens=1),
            ),
            WrongAnswer(
                name="scaled by the whole width",
                answer=answers.HEADS_SCALED_BY_EMBED_DIM,
                says="divided by √D",
                right_on=lambda answer: _heads(answer, 1, 6),
            ),
            WrongAnswer(
                name="not scaled",
                answer=answers.HEADS_UNSCALED,
                says="not divided by √d",
                right_on=lambda answer: _heads(answer, 6, 6),
            ),
            WrongAnswer(
                name="q, k, v read as the fast axis",
                answer=answers.HEADS_INTERLEAVED,
                says="as its fastest axis",
            ),
            WrongAnswer(
                name="heads before q, k, v",
                answer=answers.HEADS_FIRST_IN_THE_LAYER,
                says="read as (heads, 3, d)",
                right_on=lambda answer: _heads(answer, 1, 6),
            ),
            WrongAnswer(
                name="projection forgotten", answer=answers.HEADS_WITHOUT_PROJECTION, says="proj, is missing"
            ),
            WrongAnswer(
                name="gradient cut",
                answer=answers.HEADS_DETACHED,
                says="no gradient reaches qkv",
                right_on=lambda answer: _heads(answer, 3, 6),
            ),
            WrongAnswer(name="dropout", answer=answers.HEADS_WITH_DROPOUT, says="is there dropout in it"),
        ),
        not_by=FORWARDS_TO_ATTENTION,
        what_to_see="The same output as the library's MultiHeadAttention with the same weights.",
    ),
    Exercise(
        id="02.4",
        title="The encoder block",
        core=True,
        difficulty=3,
        importance=5,
        minutes=15,
        why="ViT, VTN, TimeSformer and ViViT are stacks of this block; they differ in who attends to whom.",
        contract=(
            "`EncoderBlock(embed_dim, mlp_dim, attention)` is an `nn.Module`; `attention` is a module from "
            "`(B, N, D)` to `(B, N, D)`, and becomes a part of the block",
            "it holds two `nn.LayerNorm(embed_dim)` and an MLP: `nn.Linear` from `embed_dim` to `mlp_dim`, "
            "GELU, `nn.Linear` back; name and arrange them as you like",
            "two steps, attention then MLP; each step reads the tokens through a norm of its own, and its "
            "result is added to the tokens as they were before that norm (pre-norm)",
            "`block(x)` takes and returns `(B, N, D)`",
        ),
        stub='''
        class EncoderBlock(nn.Module):
            """Attention, then an MLP; each reads normed tokens, each is added to what came in."""

            def __init__(self, embed_dim: int, mlp_dim: int, attention: nn.Module):
                super().__init__()
                raise NotImplementedError("02.4")

            def forward(self, x: Tensor) -> Tensor:  # (B, N, D) -> (B, N, D)
                raise NotImplementedError("02.4")
        ''',
        check=check_encoder_block,
        probe=output_of_block,
        hints=(
            "Think of x as a stream that flows through. Twice something is read from it, worked on, and "
            "added to it. Nothing ever replaces it.",
            "All tensors keep the shape (B, N, D), but for the inside of the MLP: (B, N, mlp_dim).",
            "In __init__: two LayerNorms, the attention, and an nn.Sequential of Linear, GELU, Linear, each "
            "as an attribute. In forward: x plus the attention of the first norm of x; then that plus the "
            "MLP of the second norm of it.",
        ),
        solution=answers.ENCODER_BLOCK["parts"],
        right_answers=answers.ENCODER_BLOCK,
        wrong_answers=(
            WrongAnswer(name="post-norm", answer=answers.BLOCK_POST_NORM, says="this is post-norm"),
            WrongAnswer(
                name="no residuals",
                answer=answers.BLOCK_WITHOUT_RESIDUALS,
                says="both residuals are missing",
            ),
            WrongAnswer(
                name="adds to the normed tokens",
                answer=answers.BLOCK_ADDS_THE_NORMED,
                says="the normed tokens are carried on",
            ),
            WrongAnswer(
                name="one norm twice",
                answer=answers.BLOCK_ONE_NORM_TWICE,
                says="one norm serves twice",
                right_on=output_with_an_idle_mlp,
            ),
            WrongAnswer(
                name="second sum from the input",
                answer=answers.BLOCK_SECOND_FROM_INPUT,
                says="starts from the block's input",
            ),
            WrongAnswer(
                name="MLP without norm",
                answer=answers.BLOCK_MLP_UNNORMED,
                says="the MLP reads tokens that are not normed",
                right_on=output_with_an_idle_mlp,
            ),
            WrongAnswer(
                name="no activation",
                answer=answers.BLOCK_WITHOUT_ACTIVATION,
                says="no activation",
                right_on=output_with_an_idle_mlp,
            ),
            WrongAnswer(name="ReLU", answer=answers.BLOCK_RELU, says="ReLU"),
            WrongAnswer(
                name="parts in a plain list", answer=answers.BLOCK_NOT_REGISTERED, says="a plain list"
            ),
        ),
        what_to_see="As many parameters as the library's block; after eight blocks the tokens still differ.",
    ),
    Exercise(
        id="02.5",
        title="Predict n², then measure it",
        core=False,
        difficulty=2,
        importance=4,
        minutes=10,
        why="The whole of video attention is about this bill; you must be able to write it by hand.",
        contract=(
            "counts one multi-head attention (as in 02.3) on one clip of `num_tokens` tokens, biases and "
            "softmax not counted",
            "returns two whole numbers: first the multiply-adds of everything it multiplies, qkv and proj "
            "included; then the numbers in the weight tables of all heads together",
            "a product of `(a, b)` with `(b, c)` costs a · b · c multiply-adds",
        ),
        stub='''
        def attention_cost(num_tokens: int, embed_dim: int, num_heads: int) -> tuple[int, int]:
            """(multiply-adds, numbers in the tables of weights) of one multi-head attention on one clip."""
            raise NotImplementedError("02.5")
        ''',
        check=check_attention_cost,
        probe=lambda answer: [int(number) for number in answer(13, 10, 5)],
        hints=(
            "Walk through 02.3 and write down each product: which shapes are multiplied, and how often?",
            "qkv: (N, D) with (D, 3·D); proj: (N, D) with (D, D). In every head: (N, d) with (d, N), then "
            "(N, N) with (N, d).",
            "Heads times d is D: so the two products cost N·N·D each, all heads together. Add four times "
            "N·D·D. The tables: heads times N times N.",
        ),
        solution=answers.ATTENTION_COST["formula"],
        right_answers=answers.ATTENTION_COST,
        wrong_answers=(
            WrongAnswer(
                name="projections forgotten",
                answer=answers.COST_WITHOUT_PROJECTIONS,
                says="the projections are missing",
            ),
            WrongAnswer(
                name="one product", answer=answers.COST_ONE_PRODUCT, says="only one of the two products"
            ),
            WrongAnswer(
                name="full width in every head",
                answer=answers.COST_TIMES_HEADS,
                says="more heads cost no more",
                right_on=lambda answer: [int(number) for number in answer(7, 6, 1)],
            ),
            WrongAnswer(
                name="three projections", answer=answers.COST_THREE_PROJECTIONS, says="there are four"
            ),
            WrongAnswer(
                name="one table",
                answer=answers.COST_ONE_TABLE,
                says="the weights of one head only",
                right_on=lambda answer: [int(number) for number in answer(7, 6, 1)],
            ),
            WrongAnswer(name="FLOPs", answer=answers.COST_IN_FLOPS, says="these are FLOPs"),
            WrongAnswer(
                name="products linear in N",
                answer=answers.COST_LINEAR,
                says="grow with N², not with N",
                right_on=lambda answer: [int(number) for number in answer(1, 6, 2)],
            ),
            WrongAnswer(name="exchanged", answer=answers.COST_SWAPPED, says="are exchanged"),
        ),
        what_to_see="Your numbers beside the counter's: equal at every length.",
    ),
    Exercise(
        id="02.6",
        title="The shuffle test",
        core=False,
        difficulty=2,
        importance=4,
        minutes=10,
        why="One line of testing tells whether a layer can know what comes first; for video that decides.",
        contract=(
            "`layer` takes and returns float64 tokens `(B, N, D)`, without chance; `x` is such a clip; "
            "`order` holds the numbers 0 … N − 1 in some order",
            "returns True when shuffling the tokens by `order` does nothing but shuffle the outputs by the "
            "same `order`, else False (one answer for the whole clip)",
            "differences that come from rounding do not count",
        ),
        stub='''
        def is_order_blind(layer, x: Tensor, order: Tensor) -> bool:  # (B, N, D), (N,)
            """Does shuffling the tokens only shuffle the outputs?"""
            raise NotImplementedError("02.6")
        ''',
        check=check_is_order_blind,
        probe=lambda answer: [
            bool(answer(layer, _random(2, 7, 3).double(), torch.tensor([3, 0, 6, 1, 2, 5, 4])))
            for layer, _, _ in LAYERS
        ],
        hints=(
            "Two ways to the same place: shuffle, then run the layer; or run the layer, then shuffle.",
            "x[:, order] shuffles the tokens of (B, N, D), and the outputs alike.",
            "torch.allclose of the layer on x[:, order] with the layer's plain output, indexed by order on "
            "the axis of the tokens.",
        ),
        solution=answers.IS_ORDER_BLIND["shuffled outputs"],
        right_answers=answers.IS_ORDER_BLIND,
        wrong_answers=(
            WrongAnswer(
                name="outputs not shuffled",
                answer=answers.BLIND_UNMOVED,
                says="the outputs move along",
                right_on=lambda answer: bool(answer(_attend, _random(2, 5, 3), torch.arange(5))),
            ),
            WrongAnswer(
                name="shuffled twice",
                answer=answers.BLIND_SHUFFLED_TWICE,
                says="`order` is applied twice",
                right_on=lambda answer: bool(answer(_attend, _random(2, 5, 3), _swap(5))),
            ),
            WrongAnswer(name="exact comparison", answer=answers.BLIND_EXACT, says="with a tolerance"),
            WrongAnswer(
                name="means compared",
                answer=answers.BLIND_BY_MEAN,
                says="compare token by token",
                right_on=lambda answer: bool(answer(_attend, _random(2, 5, 3), _swap(5))),
            ),
            WrongAnswer(
                name="clips shuffled", answer=answers.BLIND_IN_THE_BATCH, says="the clips of the batch"
            ),
            WrongAnswer(name="opposite", answer=answers.BLIND_OPPOSITE, says="the wrong way round"),
            WrongAnswer(
                name="never shuffled",
                answer=answers.BLIND_ALWAYS,
                says="True of every layer",
                right_on=lambda answer: bool(answer(_attend, _random(2, 5, 3), _swap(5))),
            ),
            WrongAnswer(
                name="first token only", answer=answers.BLIND_FIRST_TOKEN, says="only some of the tokens"
            ),
            WrongAnswer(name="first clip only", answer=answers.BLIND_FIRST_CLIP, says="only the first clip"),
            WrongAnswer(name="wide tolerance", answer=answers.BLIND_WIDE, says="the tolerance is so wide"),
            WrongAnswer(name="an order of one's own", answer=answers.BLIND_OWN_ORDER, says="of your own"),
        ),
        what_to_see="True for attention alone, False as soon as positions are added.",
    ),
]
