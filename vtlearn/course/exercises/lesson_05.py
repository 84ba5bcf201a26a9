"""The exercises of lesson 05: time in the batch, frozen or tuned, class token, positions, head, uniform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlearn.course.exercise import Exercise, WrongAnswer
from vtlearn.course.exercises import answers_05 as answers
from vtlearn.course.judge import (
    Mistake,
    call,
    expect,
    expect_close,
    expect_finite,
    expect_raises,
    expect_tensor,
)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers, the same at each call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def toy_backbone(in_features: int, width: int) -> nn.Module:
    """Images to vectors, each image for itself, without symmetry; its weights are the same at each call."""
    linear = nn.Linear(in_features, width)
    with torch.no_grad():
        linear.weight.copy_(numbers(width, in_features, seed=1) / in_features**0.5)
        linear.bias.copy_(numbers(width, seed=2))
    return nn.Sequential(nn.Flatten(), linear, nn.Tanh())


# ------------------------------------------------------------------------------------------------- 05.1


def check_frame_features(frame_features: Callable[..., Tensor]) -> None:
    """Every axis has a length of its own; the vectors are compared frame by frame."""
    batch, frames, width = 3, 5, 13
    clips = numbers(batch, frames, 2, 7, 11)
    backbone = toy_backbone(2 * 7 * 11, width)
    right = torch.stack([backbone(clip) for clip in clips])
    features = expect_tensor(
        call(frame_features, clips, backbone),
        (batch, frames, width),
        kind="float",
        name="the features",
        likely={
            (batch, width): "one vector a clip: keep a vector for every frame, the order is not to be lost",
            (frames, batch, width): "time comes first: stack along the axis of time, dim=1",
            (batch * frames, width): "clips and frames are still folded together: unfold them again",
            (batch, width, frames): "the vectors come last: (B, T, D)",
        },
    )
    time_first = clips.transpose(0, 1).flatten(0, 1)
    confused = clips.permute(0, 2, 1, 3, 4).reshape(batch * frames, 2, 7, 11)
    mixed = clips.permute(2, 0, 1, 3, 4).reshape(batch * frames, 2, 7, 11)
    expect_close(
        features,
        right,
        name="the features",
        likely={
            "frames of different clips are mixed: the fold put time first, the unfold clips first": (
                backbone(time_first).unflatten(0, (batch, frames))
            ),
            "frames of different clips are mixed: the fold put clips first, the unfold time first": (
                right.flatten(0, 1).unflatten(0, (frames, batch)).transpose(0, 1)
            ),
            "channels and frames are mixed: a reshape after a permute cut the pictures in another order": (
                backbone(confused).unflatten(0, (batch, frames))
            ),
            "channels and clips are mixed: a reshape after a permute cut the pictures in another order": (
                backbone(mixed).unflatten(0, (batch, frames))
            ),
            "every frame has the clip's mean: keep the frames apart": (
                right.mean(1, keepdim=True).expand_as(right)
            ),
            "every frame has the first frame's vector": right[:, :1].expand_as(right),
            "the frames come out backwards": right.flip(1),
        },
        otherwise="features[b, t] must be what the backbone gives for clips[b, t]",
    )
    single = numbers(1, 1, 2, 7, 11, seed=3)
    one = expect_tensor(
        call(frame_features, single, backbone), (1, 1, width), name="the features of one frame of one clip"
    )
    expect_close(one, backbone(single[0])[None], name="the features of one frame of one clip")
    expect(
        call(frame_features, clips, backbone).requires_grad,
        "the values are right, but no gradient reaches the backbone, so it could never be tuned: leave out "
        "no_grad, detach and NumPy; whoever wants it frozen freezes it (05.2)",
    )


# ------------------------------------------------------------------------------------------------- 05.2


def normed_network(width: int = 5) -> nn.Sequential:
    """A small image network whose norm keeps running statistics; the same at each call."""
    convolution, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    with torch.no_grad():
        convolution.weight.copy_(numbers(3, 2, 3, 3, seed=15))
        convolution.bias.zero_()  # type: ignore[union-attr]
        norm.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))  # type: ignore[union-attr]
    return nn.Sequential(convolution, norm, nn.Flatten(), toy_backbone(3 * 25, width))


def statistics(network: nn.Sequential) -> Tensor:
    """A copy of the norm's running mean."""
    mean: Tensor = network[1].running_mean  # type: ignore[assignment]
    return mean.clone()


def check_backbone(backbone_class: Callable[..., nn.Module]) -> None:
    """Frozen inside a model that trains; then tuned, also after having been frozen."""
    frames = 2 * numbers(7, 2, 7, 7, seed=16) + 1
    network, twin = normed_network(), normed_network().eval()
    backbone = call(backbone_class, network, False)
    expect(isinstance(backbone, nn.Module), "Backbone(network, tuned) must give an nn.Module")
    expect(
        {id(one) for one in network.parameters()} <= {id(one) for one in backbone.parameters()},
        "the network is no part of the module: to(device) and state_dict() would miss its weights; keep it "
        "as an attribute of its own, as in self.network = network",
    )
    before = statistics(network)
    call(backbone, frames)
    moved_at_once = not torch.equal(statistics(network), before)
    network.load_state_dict(twin.state_dict())  # what counts is what it does inside a model
    model = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(5, 3)})
    model.train()
    before = statistics(network)
    vectors = expect_tensor(call(backbone, frames), (7, 5), kind="float", name="the output")
    if not torch.equal(statistics(network), before):
        raise Mistake(
            "frozen, its running statistics still move: its weights stand still, but it works in training "
            "mode; it needs eval()"
            if moved_at_once
            else "model.train() brought the frozen network back into training mode: one eval() at the start "
            "is undone; the running statistics move"
        )
    expect_close(
        vectors,
        twin(frames),
        name="the output",
        otherwise="frozen, it must give what the network gives in evaluation mode",
    )
    learning = [one.requires_grad for one in network.parameters()]
    expect(
        not any(learning),
        "frozen, its parameters still ask for gradients: set requires_grad to False (an optimiser would "
        "count them, and weight decay may move them)",
    )
    model["head"](vectors).sum().backward()
    for mode in (True, False):
        expect(
            backbone.train(mode) is backbone,
            "train() must return self, as every module's does: model = model.train() would give None",
        )

    frozen_once = normed_network().requires_grad_(False)
    for network, story in (
        (normed_network(), "tuned"),
        (frozen_once, "tuned after having been frozen"),
    ):
        backbone = call(backbone_class, network, True)
        nn.ModuleDict({"backbone": backbone}).train()
        expect(
            all(one.requires_grad for one in network.parameters()),
            f"{story}, its parameters must ask for gradients",
        )
        before = statistics(network)
        vectors = expect_tensor(call(backbone, frames), (7, 5), kind="float", name="the output")
        expect_close(
            vectors,
            normed_network().train()(frames),
            name="the output",
            likely={
                f"{story}, it must follow train(): it gives what evaluation mode gives": twin(frames),
            },
            otherwise=f"{story}, it must give what the network gives, and add nothing",
        )
        expect(
            not torch.equal(statistics(network), before),
            f"{story}, it must follow train(): its running statistics stand still in training mode",
        )
        expect(vectors.requires_grad, f"{story}, no gradient can pass: is there a detach or no_grad?")
        vectors.square().sum().backward()
        expect(
            all(one.grad is not None for one in network.parameters()),
            f"{story}, some of its parameters get no gradient",
        )
    backbone.eval()
    before = statistics(network)
    call(backbone, frames)
    expect(
        torch.equal(statistics(network), before),
        "tuned, it must follow eval(): its running statistics move in evaluation mode",
    )


# ------------------------------------------------------------------------------------------------- 05.3


def read_mask(value: Any, shape: tuple[int, ...], name: str) -> Tensor:
    """A mask as Bool; zeros and ones are as welcome."""
    mask = expect_tensor(value, shape, name=name)
    if mask.dtype == torch.bool:
        return mask
    expect(
        not bool((mask == 2).any()),
        f"{name} holds a 2: the released code marks the class token so; here there are two masks, each of "
        "True and False (or 1 and 0)",
    )
    expect(bool(((mask == 0) | (mask == 1)).all()), f"{name} holds numbers other than 0 and 1")
    return mask == 1


def read_tokens(given: Any, features: Tensor, cls_token: Tensor, multiple: int) -> None:
    """Class token, frames, padding and both masks of one batch."""
    batch, frames, width = features.shape
    missing = -(frames + 1) % multiple
    length = frames + 1 + missing
    if not isinstance(given, (tuple, list)) or len(given) != 3:
        count = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
        raise Mistake(
            f"it returned a {type(given).__name__}{count}, expected three: tokens, valid_mask, global_mask"
        )
    without = frames + -frames % multiple
    shapes = {
        (batch, length + multiple, width): (
            "a whole multiple of padding too much: where T + 1 fits already, nothing is missing"
        ),
        (batch, without, width): "the class token is one more: pad T + 1 tokens, not T",
        (batch, without + 1, width): "the class token is one more: pad T + 1 tokens, not T",
        (batch, length - multiple, width): "frames were cut off: fill up to the next multiple, do not cut",
        (batch, frames + 1, width): "the padding is missing",
    }
    tokens = expect_tensor(
        given[0], (batch, length, width), kind="float", name="tokens",
        likely={shape: text for shape, text in shapes.items() if shape[1] != length},
    )  # fmt: skip
    valid = read_mask(given[1], (batch, length), "valid_mask")
    special = read_mask(given[2], (batch, length), "global_mask")
    expect_finite(tokens, name="tokens", reason="padding must be finite: 0 · nan is nan, mask or not")
    token = cls_token.expand(batch, 1, width)
    pads = tokens.new_zeros(batch, missing, width)
    place = torch.arange(length).expand(batch, -1)
    if not bool(torch.isclose(tokens[:, :1], token).all()):
        expect(
            not bool(torch.isclose(tokens[:, frames : frames + 1], token).all()),
            "the class token stands behind the frames; put it first",
        )
        raise Mistake("the first token of each clip is not the class token")
    expect_close(
        tokens[:, 1 : frames + 1],
        features,
        name="tokens 1 to T",
        likely={
            "the padding stands before the frames; put it last": torch.cat([pads, features], 1)[:, :frames]
        },
        otherwise="the frames follow the class token, in order and unchanged",
    )
    expect_close(
        valid,
        place <= frames,
        name="valid_mask",
        likely={
            "valid_mask is the wrong way round: True means real": place > frames,
            "valid_mask misses the last frame: the class token and T frames are real, T + 1 tokens": (
                place < frames
            ),
            "valid_mask calls the padding real": place >= 0,
            "valid_mask marks the class token alone: are the two masks exchanged?": place == 0,
            "valid_mask calls a padding token real: T + 1 tokens are real": place <= frames + 1,
            "valid_mask leaves the class token out; it is as real as the frames": (
                (place <= frames) & (place > 0)
            ),
        },
        otherwise="the class token and the T frames are real, the padding is not",
    )
    expect_close(
        special,
        place == 0,
        name="global_mask",
        likely={
            "global_mask makes every real token global: that is full attention, and nothing is saved": (
                place <= frames
            ),
            "global_mask makes everything global": place >= 0,
            "no token is global: the class token would see its window only": place < 0,
            "global_mask is the wrong way round: True means global": place > 0,
            "the frames are global and the class token is not": (place > 0) & (place <= frames),
        },
        otherwise="the class token alone is global",
    )


def check_with_class_token(with_class_token: Callable[..., Any]) -> None:
    """Some padding, none where the length fits, and a class token that can learn."""
    features, cls_token = numbers(3, 7, 11), numbers(1, 1, 11, seed=5)
    read_tokens(call(with_class_token, features, cls_token, 5), features, cls_token, 5)
    fits = numbers(2, 4, 11, seed=6)
    read_tokens(call(with_class_token, fits, cls_token, 5), fits, cls_token, 5)
    read_tokens(call(with_class_token, features, cls_token, 1), features, cls_token, 1)
    learned = cls_token.clone().requires_grad_()
    expect(
        call(with_class_token, features, learned, 5)[0].requires_grad,
        "the class token cannot learn: its numbers were copied out of the graph (.data, .item() or "
        "torch.tensor); join the tensors themselves",
    )
    tuned = features.clone().requires_grad_()
    tokens = call(with_class_token, tuned, cls_token, 5)[0]
    expect(
        tokens.requires_grad,
        "the features are cut out of the graph: a tuned backbone could not learn; join the tensors as they "
        "are",
    )


# ------------------------------------------------------------------------------------------------- 05.4


def check_position_ids(position_ids: Callable[..., Tensor]) -> None:
    """Clips from different places of their videos, then the table's last row, then beyond it."""
    rows, length = 29, 11
    index = torch.tensor([[4, 7, 10, 13, 16], [0, 0, 1, 3, 28], [12, 9, 6, 3, 2]])
    batch, frames = index.shape
    call(
        position_ids, torch.tensor([[3, 5, 7], [2, 3, 4]]), rows, 4
    )  # no edge: what fails here is no refusal
    for edge, place in ((rows - 1, "the last row"), (0, "the first row")):
        try:
            position_ids(torch.tensor([[5, edge, 7]]), rows, 4)
        except (ValueError, IndexError, AssertionError):
            raise Mistake(
                f"frame {edge} of a table of {rows} frames is refused, but it has {place}: 0 to {rows - 1}"
            ) from None
    token, pad = torch.full((batch, 1), rows), torch.full((batch, length - frames - 1), rows + 1)
    ids = expect_tensor(
        call(position_ids, index, rows, length),
        (batch, length),
        kind="integer",
        name="the ids",
        likely={
            (batch, frames): "the class token and the padding need a row each as well",
            (batch, frames + 1): "the padding needs ids as well: fill up to length",
            (length,): "one row for all clips; each clip has frames of its own",
        },
    )

    def joined(first: Tensor, middle: Tensor, last: Tensor) -> Tensor:
        return torch.cat([first, middle, last], dim=1)

    counted = torch.arange(frames).expand(batch, -1)
    expect_close(
        ids,
        joined(token, index, pad),
        name="the ids",
        likely={
            "the frames are counted 0, 1, 2, … within the clip: use frame_index, where each frame stands in "
            "its video": joined(token, counted, pad),
            "the frames are counted 1, 2, 3, … within the clip: use frame_index": (
                joined(token * 0, counted + 1, pad)
            ),
            "the class token has frame 0's row: one row for two things (id clash)": (
                joined(token * 0, index, pad)
            ),
            "the frames are moved by one to make room at 0; here the class token has the row after the "
            "frames' rows": joined(token * 0, index + 1, pad),
            "the frames are counted from the clip's first one: a clip from the end looks like one from the "
            "start": joined(token, index - index[:, :1], pad),
            "padding has the class token's row: one row for two things (id clash)": (
                joined(token, index, pad - 1)
            ),
            "padding has frame 0's row: one row for two things (id clash)": joined(token, index, pad * 0),
            "the rows of class token and padding are exchanged": joined(token + 1, index, pad - 1),
            "the frames are sorted; each keeps its place, also in a clip that runs backwards": (
                joined(token, index.sort(1).values, pad)
            ),
            "every clip has the first clip's frames": joined(token, index[:1].expand(batch, -1), pad),
            "the class token stands behind the frames; it comes first": joined(index, token, pad),
        },
        otherwise="class token → num_positions, frames → frame_index, padding → num_positions + 1",
    )
    full = expect_tensor(
        call(position_ids, index, rows, frames + 1), (batch, frames + 1), name="the ids without padding"
    )
    expect_close(full, joined(token, index, pad[:, :0]), name="the ids without padding")
    for beyond in (rows, rows + 9):
        _refuses(position_ids, torch.tensor([[3, 5, beyond]]), rows)
    expect_raises(
        position_ids,
        (ValueError, IndexError, AssertionError),
        torch.tensor([[-1, 5, 7]]),
        rows,
        5,
        because="a frame before the video: an index of −1 reads the table from its end",
    )
    for bad, end in ((rows, "past the table"), (-1, "before the video")):
        expect_raises(
            position_ids,
            (ValueError, IndexError, AssertionError),
            torch.tensor([[5, 6, 7], [5, bad, 7], [5, 6, 7]]),
            rows,
            5,
            because=f"the middle frame of the second clip lies {end}: look at every frame of every clip",
        )


def _refuses(position_ids: Callable[..., Tensor], index: Tensor, rows: int) -> None:
    beyond = int(index.max())
    try:
        got = position_ids(index.clone(), rows, 5)[0, 1:4].tolist()
    except Exception:
        got = None
    if got == (index % rows)[0].tolist():
        raise Mistake(
            "modulo: a frame past the table silently gets the row of an early frame; raise ValueError instead"
        )
    if got == index.clamp(max=rows - 1)[0].tolist():
        raise Mistake("clamped: all frames past the table share its last row; raise ValueError instead")
    if got == index[0].tolist() and beyond == rows:
        raise Mistake(
            "frame num_positions is one too many (rows count from 0): it gets the class token's row; raise "
            "ValueError"
        )
    expect_raises(
        position_ids,
        (ValueError, IndexError, AssertionError),
        index,
        rows,
        5,
        because=f"frame {beyond} is past a table of {rows} rows, 0 to {rows - 1}",
    )


# ------------------------------------------------------------------------------------------------- 05.5


def check_head(head_class: Callable[..., nn.Module]) -> None:
    """The layers by kind and size, then their order by values, then dropout on and off."""
    width, hidden, classes = 11, 7, 5
    head = call(head_class, width, hidden, classes, 0.5)
    expect(isinstance(head, nn.Module), "VTNHead(width, hidden, num_classes) must give an nn.Module")
    norms = [part for part in head.modules() if isinstance(part, nn.LayerNorm)]
    linears = {
        (part.in_features, part.out_features): part for part in head.modules() if isinstance(part, nn.Linear)
    }
    expect(
        len(norms) == 1 and tuple(norms[0].normalized_shape) == (width,),
        "one nn.LayerNorm over the width of the class token is needed",
    )
    expect(
        set(linears) == {(width, hidden), (hidden, classes)},
        f"two nn.Linear are needed, {width} → {hidden} and {hidden} → {classes} here; found "
        + (", ".join(f"{a} → {b}" for a, b in linears) or "none"),
    )
    norm, first, second = norms[0], linears[width, hidden], linears[hidden, classes]
    with torch.no_grad():
        norm.weight.copy_(1 + 0.5 * numbers(width, seed=7))
        norm.bias.copy_(numbers(width, seed=8))
    head.eval()
    tokens = 3 * numbers(3, 13, width, seed=9) + 1
    logits = expect_tensor(
        call(head, tokens),
        (3, classes),
        kind="float",
        name="the logits",
        likely={
            (3, 13, classes): "logits for every token: the class token alone, token 0, is classified",
            (3, 1, classes): "the axis of tokens is still there: take token 0 with an index, not a slice",
            (13, classes): "these are all tokens of the first clip; take token 0 of every clip: tokens[:, 0]",
        },
    )

    def run(token: Tensor, act: Callable[[Tensor], Tensor] = F.gelu, normed: bool = True) -> Tensor:
        out: Tensor = second(act(first(norm(token) if normed else token)))
        return out

    right, token = run(tokens[:, 0]), tokens[:, 0]
    expect_close(
        logits,
        right,
        name="the logits",
        likely={
            "the mean of all tokens is classified; take the class token, token 0": run(tokens.mean(1)),
            "the last token is classified; the class token is token 0": run(tokens[:, -1]),
            "the first frame is classified; the class token is token 0": run(tokens[:, 1]),
            "the mean of the frames is classified; take the class token, token 0": run(tokens[:, 1:].mean(1)),
            "the layer norm is never used": run(token, normed=False),
            "ReLU stands where GELU is meant": run(token, F.relu),
            "nothing stands between the linear layers: two of them in a row are one": run(token, lambda x: x),
            "GELU is the approximation by tanh; use it as it comes": (
                run(token, lambda x: F.gelu(x, approximate="tanh"))
            ),
            "softmax is applied; logits go to the loss as they are": right.softmax(-1),
            "log-softmax is applied; logits go to the loss as they are": right.log_softmax(-1),
        },
        otherwise="layer norm, linear, GELU, dropout, linear; is dropout off in evaluation mode?",
    )
    expect_close(
        call(head, tokens),
        right,
        name="the logits of a second call",
        otherwise="dropout must be off in evaluation mode",
    )
    head.train()
    drawn = [call(head, tokens.repeat(50, 1, 1)) for _ in range(2)]
    expect(
        not torch.allclose(drawn[0], drawn[1]), "in training mode nothing is dropped: the dropout is missing"
    )
    never = call(head_class, width, hidden, classes, 0.0).train()
    expect(
        torch.allclose(call(never, tokens), call(never, tokens)),
        "with dropout = 0.0 something is dropped all the same: is the argument used?",
    )
    _dropout_stands_right(call(head_class, width, hidden, classes, 0.2), 0.2, tokens)
    _dropout_stands_right(call(head_class, width, hidden, classes), 0.5, tokens, said=" unless given")


def _dropout_stands_right(head: nn.Module, dropout: float, tokens: Tensor, said: str = "") -> None:
    """Looks at what reaches the last linear layer in training: GELU's output, thinned and scaled."""
    first, second = sorted(
        (part for part in head.modules() if isinstance(part, nn.Linear)),
        key=lambda part: part.in_features != tokens.shape[-1],
    )
    norm = next(part for part in head.modules() if isinstance(part, nn.LayerNorm))
    reached: list[Tensor] = []
    second.register_forward_pre_hook(lambda _, given: reached.append(given[0]))
    tokens = tokens.repeat(80, 1, 1)
    logits = call(head.train(), tokens)
    if not reached:  # the layer's weights were used in another way
        return
    seen = reached[0][:, 0] if reached[0].ndim == 3 else reached[0]
    whole = F.gelu(first(norm(tokens[:, 0])))
    gone = seen == 0
    expect(
        bool(gone.any()) and torch.allclose(second(seen), logits, atol=1e-4),
        "something is dropped at the wrong place: dropout stands between GELU and the last linear layer",
    )
    share = float(gone.float().mean())
    expect(
        abs(share - dropout) < 0.08,
        f"dropout is {dropout}{said}, but a share of about {share:.2f} is dropped",
    )
    expect_close(
        seen,
        torch.where(gone, torch.zeros_like(whole), whole / (1 - dropout)),
        name="what reaches the last linear layer in training",
        otherwise="dropout stands after GELU, not before it",
    )


# ------------------------------------------------------------------------------------------------- 05.6


def some_allowed(batch: int, tokens: int) -> Tensor:
    """A mask without symmetry; the last query of the first clip may attend to nothing."""
    allowed = numbers(batch, tokens, tokens, seed=11) > 0
    allowed |= torch.eye(tokens, dtype=torch.bool)
    allowed[0, -1] = False
    return allowed


def check_uniform(uniform_attention: Callable[..., Tensor]) -> None:
    """A lopsided mask with an empty row; then q and k changed, which must change nothing."""
    batch, heads, tokens, width = 2, 3, 7, 5
    q, k, v = (numbers(batch, heads, tokens, width, seed=seed) for seed in (12, 13, 14))
    allowed = some_allowed(batch, tokens)
    share = allowed.float()
    counts = share.sum(-1, keepdim=True).clamp(min=1)
    right = (share / counts)[:, None] @ v
    out = expect_tensor(
        call(uniform_attention, q, k, v, allowed), (batch, heads, tokens, width), kind="float",
        name="the output",
        likely={(batch, heads, 1, width): "one mean for all queries; each query has a mean of its own"},
    )  # fmt: skip
    expect_finite(
        out, name="the output", reason="a query that may attend to nothing (padding) divides by a count of 0"
    )
    learned = (q @ k.mT / width**0.5).masked_fill(~allowed[:, None], -1e9).softmax(-1)
    learned = learned * allowed.any(-1)[:, None, :, None]
    turned = share.mT / share.mT.sum(-1, keepdim=True).clamp(min=1)
    everything = v.mean(2, keepdim=True).expand_as(v)
    empty = (~allowed.any(-1))[:, None, :, None]
    expect_close(
        out,
        right,
        name="the output",
        likely={
            "this is the mean over all tokens: only the allowed keys count": everything,
            "the sum is divided by the number of tokens; divide by the number of allowed keys": (
                (share / tokens)[:, None] @ v
            ),
            "this is the sum; divide it by the number of allowed keys": share[:, None] @ v,
            "rows and columns are exchanged: allowed[b, query, key]": turned[:, None] @ v,
            "the weights of a key sum to 1; those of a query must": (
                (share / share.sum(-2, keepdim=True).clamp(min=1))[:, None] @ v
            ),
            "queries and keys are heard: the weights must not depend on them": learned @ v,
            "a query that may attend to nothing gets the mean of everything; it must give zeros": (
                torch.where(empty, everything, right)
            ),
            "this is v itself: nothing was averaged": v,
            "allowed is the wrong way round: True = may attend": (
                ((1 - share) / (1 - share).sum(-1, keepdim=True).clamp(min=1))[:, None] @ v
            ),
            "a softmax over zeros and ones gives the forbidden keys weight, too: they need −inf": (
                share.softmax(-1)[:, None] @ v
            ),
            "every clip gets the first clip's mask": (share / counts)[:1, None] @ v,
            "these are means of q; the values are averaged": (share / counts)[:, None] @ q,
            "a query that may attend to nothing keeps its own value; it must give zeros": (
                torch.where(empty, v, right)
            ),
        },
        otherwise="row b, i: the mean of v over the keys j with allowed[b, i, j]; zeros where there is none",
    )
    again = call(uniform_attention, 5 * k, -q, v, allowed)
    expect_close(again, right, name="the output for other queries and keys", otherwise="q and k do not count")


def _clips(batch: int, frames: int) -> tuple[Tensor, nn.Module]:
    return numbers(batch, frames, 2, 3, 5), toy_backbone(30, 7)


def _tokens(frames: int, multiple: int) -> Callable[[Any], list[Tensor]]:
    def probe(answer: Any) -> list[Tensor]:
        tokens, valid, special = answer(numbers(2, frames, 5), numbers(1, 1, 5, seed=1), multiple)
        return [tokens * valid.bool()[..., None], valid.bool(), special.bool()]

    return probe


def _head(answer: Any, tokens: Tensor, seed: int = 0) -> Tensor:
    head = answer(7, 5, 3, 0.5).eval()
    for part in head.modules():
        for name, parameter in sorted(part.named_parameters(recurse=False)):
            with torch.no_grad():
                parameter.copy_(numbers(*parameter.shape, seed=parameter.numel() + len(name)))
    out: Tensor = head(tokens).detach()
    return out


def _heads(allowed: Tensor) -> tuple[Tensor, ...]:
    shape = (len(allowed), 2, allowed.shape[1], 3)
    return (*(numbers(*shape, seed=seed) for seed in (1, 2, 3)), allowed)


def _everyone(tokens: int) -> Tensor:
    return torch.ones(1, tokens, tokens, dtype=torch.bool)


def _after(mode: bool, tuned: bool = False) -> Callable[[Any], list[Tensor]]:
    def probe(answer: Any) -> list[Tensor]:
        network = normed_network()
        backbone = answer(network, tuned).train(mode)
        vectors = backbone(numbers(3, 2, 7, 7, seed=4)).detach()
        return [vectors, statistics(network), torch.tensor([p.requires_grad for p in network.parameters()])]

    return probe


EXERCISES = [
    Exercise(
        id="05.1",
        title="Fold time into the batch",
        core=True,
        difficulty=1,
        importance=5,
        minutes=10,
        why="It turns any image network into the first part of a video network, without touching it.",
        contract=(
            "`clips` is `(B, T, C, H, W)`; `backbone` maps images `(n, C, H, W)` to vectors `(n, D)`, for "
            "any `n`",
            "returns `(B, T, D)`: entry `[b, t]` is the backbone's vector for frame t of clip b",
            "all at once, in pieces or in a loop: as you like; gradients reach the backbone",
        ),
        stub='''
        def frame_features(clips: Tensor, backbone: nn.Module) -> Tensor:  # (B, T, C, H, W) -> (B, T, D)
            """Every frame through the image backbone, clip by clip."""
            raise NotImplementedError("05.1")
        ''',
        check=check_frame_features,
        probe=lambda answer: answer(*_clips(2, 3)).detach(),
        hints=(
            "The backbone knows a batch of pictures and nothing else. A clip is T pictures.",
            "(B, T, C, H, W) → (B·T, C, H, W) → (B·T, D) → (B, T, D); fold and unfold in the same order.",
            "flatten the first two axes, call, and unflatten axis 0 into (B, T) again.",
        ),
        solution=answers.FRAME_FEATURES["flatten and unflatten"],
        right_answers=answers.FRAME_FEATURES,
        wrong_answers=(
            WrongAnswer(
                name="folded time first",
                answer=answers.FEATURES_TIME_FIRST,
                says="the fold put time first",
                right_on=lambda answer: answer(*_clips(1, 3)).detach(),
            ),
            WrongAnswer(
                name="unfolded time first",
                answer=answers.FEATURES_UNFOLDED_WRONG,
                says="the unfold time first",
                right_on=lambda answer: answer(*_clips(1, 3)).detach(),
            ),
            WrongAnswer(
                name="permuted and reshaped",
                answer=answers.FEATURES_AXES_CONFUSED,
                says="channels and frames are mixed",
                right_on=lambda answer: answer(*_clips(2, 1)).detach(),
            ),
            WrongAnswer(name="averaged", answer=answers.FEATURES_AVERAGED, says="one vector a clip"),
            WrongAnswer(
                name="mean for every frame", answer=answers.FEATURES_MEAN_REPEATED, says="the clip's mean"
            ),
            WrongAnswer(name="first frame", answer=answers.FEATURES_FIRST_FRAME, says="first frame's vector"),
            WrongAnswer(
                name="stacked along axis 0", answer=answers.FEATURES_STACKED_WRONG, says="time comes first"
            ),
            WrongAnswer(name="not unfolded", answer=answers.FEATURES_STILL_FOLDED, says="still folded"),
        ),
        what_to_see="432 clips of 8 frames become 432 × 8 vectors of 64 numbers.",
    ),
    Exercise(
        id="05.2",
        title="Frozen or tuned",
        core=False,
        difficulty=3,
        importance=4,
        minutes=15,
        why="A backbone that is half frozen changes under your cached features, and nothing tells you.",
        contract=(
            "`Backbone(network, tuned)` is an `nn.Module` with the network as a part of it; called on frames "
            "it gives `network(frames)`",
            "frozen (`tuned=False`): no parameter of the network asks for a gradient, and the network works "
            "in evaluation mode, also after `train()` of the model around it",
            "tuned: all its parameters ask for gradients, even if they were frozen before, and it follows "
            "`train()` and `eval()`",
        ),
        stub='''
        class Backbone(nn.Module):
            """An image network that is tuned, or frozen in weights and statistics."""

            def __init__(self, network: nn.Module, tuned: bool) -> None:
                super().__init__()
                raise NotImplementedError("05.2")

            def forward(self, frames: Tensor) -> Tensor:
                raise NotImplementedError("05.2")
        ''',
        check=check_backbone,
        probe=_after(True),
        hints=(
            "Two things move while a network trains: weights, by gradients, and running statistics, by mode.",
            "requires_grad_ switches the first, train and eval the second. train() of a model calls train() "
            "of every part of it.",
            "requires_grad_(tuned) in __init__; override train(mode): first super's, then "
            "network.train(mode and tuned), and return self.",
        ),
        solution=answers.BACKBONE["train overridden"],
        right_answers=answers.BACKBONE,
        wrong_answers=(
            WrongAnswer(
                name="weights frozen, statistics not",
                answer=answers.BACKBONE_STILL_TRAINING,
                says="it needs eval()",
                right_on=_after(False),
            ),
            WrongAnswer(
                name="eval once",
                answer=answers.BACKBONE_EVAL_ONCE,
                says="one eval() at the start is undone",
                right_on=_after(False),
            ),
            WrongAnswer(
                name="detached, not frozen",
                answer=answers.BACKBONE_NO_GRAD_ONLY,
                says="still ask for gradients",
            ),
            WrongAnswer(
                name="always frozen",
                answer=answers.BACKBONE_ALWAYS_FROZEN,
                says="tuned, its parameters must ask",
                right_on=_after(True),
            ),
            WrongAnswer(
                name="never woken",
                answer=answers.BACKBONE_STAYS_FROZEN,
                says="after having been frozen",
                right_on=_after(True),
            ),
            WrongAnswer(
                name="always in evaluation mode",
                answer=answers.BACKBONE_ALWAYS_EVAL,
                says="it must follow train()",
                right_on=_after(True),
            ),
            WrongAnswer(
                name="detached when tuned",
                answer=answers.BACKBONE_DETACHED,
                says="no gradient can pass",
                right_on=_after(True),
            ),
            WrongAnswer(name="inverted", answer=answers.BACKBONE_INVERTED, says="it needs eval()"),
        ),
        what_to_see="Frozen, its statistics stand still while the model around it trains.",
    ),
    Exercise(
        id="05.3",
        title="Class token, padding, two masks",
        core=True,
        difficulty=2,
        importance=5,
        minutes=15,
        why="The class token gives the answer; the masks keep padding out of it.",
        contract=(
            "`features` is `(B, T, D)`, `cls_token` is a parameter `(1, 1, D)`, `multiple` a whole number",
            "returns three tensors: `tokens (B, n, D)`, `valid_mask (B, n)`, `global_mask (B, n)`",
            "`tokens`: the class token first, then the frames, then padding of any finite value, up to the "
            "next multiple of `multiple`; none where T + 1 is one already",
            "`valid_mask`: True = real, False = padding; `global_mask`: True for the class token alone",
        ),
        stub='''
        def with_class_token(
            features: Tensor, cls_token: Tensor, multiple: int
        ) -> tuple[Tensor, Tensor, Tensor]:  # (B, T, D), (1, 1, D) -> (B, n, D), (B, n), (B, n)
            """Class token first, padding last; which tokens are real, and which is global."""
            raise NotImplementedError("05.3")
        ''',
        check=check_with_class_token,
        probe=_tokens(3, 5),
        hints=(
            "Three pieces in a row, then two questions about each place: is it real? is it global?",
            "The class token repeated to (B, 1, D), features (B, T, D), padding (B, p, D); masks (B, 1+T+p).",
            "p is minus (T + 1), modulo multiple; expand the class token; cat along axis 1; compare arange "
            "with T, and with 0.",
        ),
        solution=answers.WITH_CLASS_TOKEN["fill a longer tensor"],
        right_answers=answers.WITH_CLASS_TOKEN,
        wrong_answers=(
            WrongAnswer(
                name="class token not counted",
                answer=answers.TOKEN_NOT_COUNTED,
                says="pad T + 1 tokens, not T",
                right_on=_tokens(3, 1),
            ),
            WrongAnswer(
                name="padded where it fits",
                answer=answers.TOKEN_ALWAYS_PADDED,
                says="nothing is missing",
                right_on=_tokens(3, 5),
            ),
            WrongAnswer(name="class token last", answer=answers.TOKEN_LAST, says="behind the frames"),
            WrongAnswer(
                name="padding before the frames",
                answer=answers.TOKEN_PADS_FIRST,
                says="padding stands before",
                right_on=_tokens(4, 5),
            ),
            WrongAnswer(
                name="mask inverted", answer=answers.TOKEN_MASK_INVERTED, says="valid_mask is the wrong way"
            ),
            WrongAnswer(
                name="last frame masked", answer=answers.TOKEN_MASK_SHORT, says="misses the last frame"
            ),
            WrongAnswer(
                name="padding called real",
                answer=answers.TOKEN_PADS_VALID,
                says="calls the padding real",
                right_on=_tokens(4, 5),
            ),
            WrongAnswer(name="all global", answer=answers.TOKEN_ALL_GLOBAL, says="every real token global"),
            WrongAnswer(name="none global", answer=answers.TOKEN_NONE_GLOBAL, says="no token is global"),
            WrongAnswer(name="one mask of 0, 1, 2", answer=answers.TOKEN_ONE_MASK, says="holds a 2"),
            WrongAnswer(name="cut to the multiple", answer=answers.TOKEN_CUT, says="cut off"),
        ),
        what_to_see="8 frames and a multiple of 5: ten tokens, one of them global, one padding.",
    ),
    Exercise(
        id="05.4",
        title="Positions from real frame indices",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="A position that means a place in the video serves any number of frames and any frame rate.",
        contract=(
            "`frame_index (B, T)` says where each frame stands in its video; the table has "
            "`num_positions + 2` rows",
            "returns whole numbers `(B, length)`, one row of the table for each token, in the order of 05.3",
            "frames take rows 0 to `num_positions − 1`, by their index; the class token takes row "
            "`num_positions`, padding row `num_positions + 1`",
            "an index below 0, or past the frames' rows, raises `ValueError`",
        ),
        stub='''
        def position_ids(frame_index: Tensor, num_positions: int, length: int) -> Tensor:
            """Rows of the position table: class token, frames by their real index, padding."""
            raise NotImplementedError("05.4")
        ''',
        check=check_position_ids,
        probe=lambda answer: answer(torch.tensor([[2, 5, 9], [1, 4, 8]]), 11, 6),
        hints=(
            "Two things never share a row: else the network cannot tell them apart.",
            "(B, 1), then (B, T), then (B, length − T − 1).",
            "Look at the smallest and the largest index first; then fill (B, length) with num_positions + 1 "
            "and write the rest over it.",
        ),
        solution=answers.POSITION_IDS["filled"],
        right_answers=answers.POSITION_IDS,
        wrong_answers=(
            WrongAnswer(
                name="counted within the clip",
                answer=answers.IDS_COUNTED,
                says="counted 0, 1, 2",
                right_on=lambda answer: answer(torch.tensor([[0, 1, 2]]), 11, 6),
            ),
            WrongAnswer(
                name="class token shares frame 0's row", answer=answers.IDS_CLASH, says="has frame 0's row"
            ),
            WrongAnswer(name="frames moved by one", answer=answers.IDS_SHIFTED, says="moved by one"),
            WrongAnswer(
                name="from the clip's first frame",
                answer=answers.IDS_FROM_FIRST,
                says="counted from the clip's first",
                right_on=lambda answer: answer(torch.tensor([[0, 4, 7]]), 11, 6),
            ),
            WrongAnswer(
                name="padding shares the class token's row",
                answer=answers.IDS_PAD_IS_TOKEN,
                says="padding has the class token's row",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 4),
            ),
            WrongAnswer(
                name="padding is frame 0",
                answer=answers.IDS_PAD_IS_FRAME,
                says="padding has frame 0's row",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 4),
            ),
            WrongAnswer(
                name="first clip for all",
                answer=answers.IDS_ONE_CLIP,
                says="the first clip's frames",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 6),
            ),
            WrongAnswer(
                name="modulo",
                answer=answers.IDS_MODULO,
                says="modulo",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 6),
            ),
            WrongAnswer(
                name="clamped",
                answer=answers.IDS_CLAMPED,
                says="share its last row",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 6),
            ),
            WrongAnswer(
                name="not refused",
                answer=answers.IDS_UNCHECKED,
                says="one too many",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 6),
            ),
            WrongAnswer(
                name="refused one late",
                answer=answers.IDS_OFF_BY_ONE,
                says="one too many",
                right_on=lambda answer: answer(torch.tensor([[2, 4, 7]]), 11, 6),
            ),
        ),
        what_to_see="The class token's row, eight rows spread over the video's 24 frames, the padding's row.",
    ),
    Exercise(
        id="05.5",
        title="The head",
        core=False,
        difficulty=2,
        importance=3,
        minutes=10,
        why="From the class token to one number a class.",
        contract=(
            "`VTNHead(width, hidden, num_classes, dropout)` is an `nn.Module`; `dropout` is 0.5 unless given",
            "it owns one `nn.LayerNorm` and two `nn.Linear`: width → hidden → num_classes",
            "`head(tokens)`: tokens `(B, n, width)` → logits `(B, num_classes)` of the class token: norm, "
            "linear, GELU, dropout, linear",
            "dropout in training mode only; no softmax",
        ),
        stub='''
        class VTNHead(nn.Module):
            """Norm, linear, GELU, dropout, linear, on the class token."""

            def __init__(self, width: int, hidden: int, num_classes: int, dropout: float = 0.5) -> None:
                super().__init__()
                raise NotImplementedError("05.5")

            def forward(self, tokens: Tensor) -> Tensor:  # (B, n, width) -> (B, num_classes)
                raise NotImplementedError("05.5")
        ''',
        check=check_head,
        probe=lambda answer: _head(answer, numbers(2, 11, 7, seed=3)),
        hints=(
            "Five layers in a row, and one choice before them: which token?",
            "(B, n, width) → (B, width) → (B, hidden) → (B, num_classes).",
            "nn.Sequential of LayerNorm, Linear, GELU, Dropout, Linear, called on tokens[:, 0].",
        ),
        solution=answers.VTN_HEAD["sequence"],
        right_answers=answers.VTN_HEAD,
        wrong_answers=(
            WrongAnswer(
                name="mean of the tokens",
                answer=answers.HEAD_MEAN,
                says="the mean of all tokens",
                right_on=lambda answer: _head(answer, numbers(2, 1, 7, seed=3)),
            ),
            WrongAnswer(
                name="last token",
                answer=answers.HEAD_LAST,
                says="the last token",
                right_on=lambda answer: _head(answer, numbers(2, 1, 7, seed=3)),
            ),
            WrongAnswer(name="no norm", answer=answers.HEAD_NO_NORM, says="never used"),
            WrongAnswer(name="ReLU", answer=answers.HEAD_RELU, says="ReLU"),
            WrongAnswer(name="no activation", answer=answers.HEAD_LINEAR, says="two of them in a row"),
            WrongAnswer(name="softmax", answer=answers.HEAD_SOFTMAX, says="softmax is applied"),
            WrongAnswer(
                name="no dropout",
                answer=answers.HEAD_NO_DROPOUT,
                says="dropout is missing",
                right_on=lambda answer: _head(answer, numbers(2, 3, 7, seed=3)),
            ),
            WrongAnswer(
                name="dropout always on",
                answer=answers.HEAD_DROPS_ALWAYS,
                says="is dropout off in evaluation",
            ),
            WrongAnswer(name="all tokens", answer=answers.HEAD_ALL_TOKENS, says="logits for every token"),
        ),
        not_by=("vtlearn",),
        what_to_see="Eight logits for each clip.",
    ),
    Exercise(
        id="05.6",
        title="Uniform attention",
        core=True,
        difficulty=2,
        importance=4,
        minutes=10,
        why="Take the choice away and keep everything else: what is lost then is what attention was for.",
        contract=(
            "`q`, `k`, `v` are `(B, heads, n, d)`; `allowed` is Bool `(B, n, n)`, row = query, True = may "
            "attend",
            "returns `(B, heads, n, d)`: for each query the plain mean of the values it may attend to",
            "a query that may attend to nothing gives zeros; `q` and `k` have no influence",
        ),
        stub='''
        def uniform_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
            """The plain mean of the values that each query may attend to."""
            raise NotImplementedError("05.6")
        ''',
        check=check_uniform,
        probe=lambda answer: answer(*_heads(some_allowed(2, 5))),
        hints=(
            "A mean is a sum with equal weights, and the weights of each query sum to 1.",
            "allowed as numbers is (B, n, n); divide by its row sums; with an axis for the heads it meets v.",
            "to(v.dtype), divide by sum(-1, keepdim=True).clamp(min=1), add an axis at 1, @ v.",
        ),
        solution=answers.UNIFORM_ATTENTION["shares"],
        right_answers=answers.UNIFORM_ATTENTION,
        wrong_answers=(
            WrongAnswer(
                name="mean over everything",
                answer=answers.UNIFORM_OVER_ALL,
                says="the mean over all tokens",
                right_on=lambda answer: answer(*_heads(_everyone(5))),
            ),
            WrongAnswer(
                name="divided by n",
                answer=answers.UNIFORM_OVER_LENGTH,
                says="divided by the number of tokens",
                right_on=lambda answer: answer(*_heads(_everyone(5))),
            ),
            WrongAnswer(name="sum", answer=answers.UNIFORM_SUM, says="this is the sum"),
            WrongAnswer(
                name="transposed",
                answer=answers.UNIFORM_TRANSPOSED,
                says="rows and columns are exchanged",
                right_on=lambda answer: answer(*_heads(_everyone(5))),
            ),
            WrongAnswer(
                name="weights of keys sum to 1",
                answer=answers.UNIFORM_WRONG_AXIS,
                says="those of a query must",
                right_on=lambda answer: answer(*_heads(_everyone(5))),
            ),
            WrongAnswer(name="learned", answer=answers.UNIFORM_LEARNED, says="queries and keys are heard"),
            WrongAnswer(
                name="nan for padding",
                answer=answers.UNIFORM_NAN,
                says="divides by a count of 0",
                right_on=lambda answer: answer(*_heads(some_allowed(2, 5)[1:])),
            ),
            WrongAnswer(
                name="a large negative score",
                answer=answers.UNIFORM_FINITE_MASK,
                says="must give zeros",
                right_on=lambda answer: answer(*_heads(some_allowed(2, 5)[1:])),
            ),
        ),
        what_to_see="Nine tokens that the class token may read: each has a ninth of the weight.",
    ),
]
