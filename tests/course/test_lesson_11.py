"""Lesson 11 beyond its listed answers: other right ways pass, other mistakes are named."""

import pytest
import torch

from vtlearn.attention import attention_rollout, divided_tables, record_attention
from vtlearn.course.exercise import exercise, judge_exercise
from vtlearn.course.panels.lesson_11 import CONTRAST, LOT, MAPS, ROLLOUT, AttentionOverlay, heat_of
from vtlearn.models import create_model


def said(exercise_id, source):
    one = exercise(exercise_id)
    return judge_exercise(one, one.compile(source)).message


OTHER_RIGHT = {
    "inputs kept by pre-hooks": ("11.1", """
def record_weights(model, x, num_heads):
    got, handles = {}, []
    for name, module in model.named_modules():
        if name.split(".")[-1] == "qkv":
            handles.append(module.register_forward_pre_hook(
                lambda module, given, name=name: got.__setitem__(name[:-4], (module, given[0].clone()))))
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    record = {}
    with torch.no_grad():
        for name, (module, tokens) in got.items():
            weight, bias = module.weight.chunk(3), module.bias.chunk(3)
            q, k = (F.linear(tokens, weight[i], bias[i]) for i in (0, 1))
            split = lambda y: y.reshape(*y.shape[:2], num_heads, -1).transpose(1, 2).double()
            scores = split(q).matmul(split(k).transpose(-1, -2)) / math.sqrt(q.shape[-1] / num_heads)
            record[name] = scores.softmax(-1)
    return record
"""),
    "an ordered dictionary": ("11.1", """
def record_weights(model, x, num_heads):
    from collections import OrderedDict
    record = OrderedDict()
    handles = []
    for name, module in model.named_modules():
        if name.endswith("qkv"):
            def hook(module, args, output, name=name):
                b, n, c = output.shape
                q, k = output.reshape(b, n, 3, num_heads, c // 3 // num_heads).permute(2, 0, 3, 1, 4)[:2]
                scores = torch.einsum("bhid,bhjd->bhij", q, k) / (c // 3 // num_heads) ** 0.5
                e = (scores - scores.amax(-1, keepdim=True)).exp()
                record[name.replace(".qkv", "")] = e / e.sum(-1, keepdim=True)
            handles += [module.register_forward_hook(hook)]
    try:
        with torch.no_grad():
            model(x)
    finally:
        while handles:
            handles.pop().remove()
    return record
"""),
    "numpy": ("11.2", """
def rollout(layers):
    n = layers[0].shape[-1]
    out = np.eye(n)[None]
    for weights in layers:
        out = (weights.numpy().mean(1) + np.eye(n)) / 2 @ out
    return torch.from_numpy(out)
"""),
    "recursive": ("11.2", """
def rollout(layers):
    *below, top = layers
    table = torch.lerp(top.mean(1), torch.eye(top.shape[-1]), 0.5)
    return table @ rollout(below) if below else table
"""),
    "from the last to the first": ("11.2", """
def rollout(layers):
    import functools
    tables = [torch.einsum("bhij->bij", w) / w.shape[1] / 2 + torch.eye(w.shape[-1]) / 2 for w in layers]
    return functools.reduce(torch.matmul, reversed(tables))
"""),
    "a mask over a dense table": ("11.3", """
def block_tables(time, space, num_frames):
    t, s = num_frames, space.shape[-1] - 1
    frame, place = torch.arange(t).repeat_interleave(s), torch.arange(s).repeat(t)
    T = time.mean(1).view(-1, s, t, t)[:, place[:, None], frame[:, None], frame[None]]
    T = T * (place[:, None] == place[None])
    S = space.mean(1).view(-1, t, s + 1, s + 1)
    P = S[:, frame[:, None], 1 + place[:, None], 1 + place[None]] * (frame[:, None] == frame[None])
    over_time = torch.zeros(len(T), 1 + t * s, 1 + t * s)
    over_time[:, 1:, 1:] = T
    over_time[:, 0, 0] += 1
    over_space = torch.zeros_like(over_time)
    over_space[:, 1:, 1:] = P
    over_space[:, 1:, 0] = S[:, frame, 1 + place, 0]
    over_space[:, 0, 1:] = S[:, frame, 0, 1 + place] / t
    over_space[:, 0, 0] = S[:, :, 0, 0].mean(-1)
    return [over_time, over_space]
"""),
    "block diagonals, clip by clip, stacked": ("11.3", """
def block_tables(time, space, num_frames):
    s = space.shape[-1] - 1
    times, spaces = [], []
    for clip_time, clip_space in zip(time.mean(1).split(s), space.mean(1).split(num_frames)):
        by_place = torch.block_diag(*clip_time)
        order = torch.arange(num_frames * s).view(s, num_frames).T.flatten()
        times.append(torch.block_diag(torch.ones(1, 1), by_place[order][:, order]))
        inner = torch.block_diag(*clip_space[:, 1:, 1:])
        top = torch.cat([clip_space[:, 0, :1].mean().view(1), clip_space[:, 0, 1:].flatten() / num_frames])
        spaces.append(torch.cat([top[None], torch.cat([clip_space[:, 1:, :1].flatten()[:, None], inner], 1)]))
    return torch.stack([torch.stack(times), torch.stack(spaces)])
"""),
    "python's own shuffle": ("11.4", """
def with_random_weights(model, seed):
    import copy, random
    draw, other = random.Random(seed), copy.deepcopy(model)
    for p in other.parameters():
        numbers = p.detach().flatten().tolist()
        draw.shuffle(numbers)
        p.data = torch.tensor(numbers).view_as(p)
    return other
"""),
    "through a file in memory": ("11.4", """
def with_random_weights(model, seed):
    import pickle
    other = pickle.loads(pickle.dumps(model))
    g = torch.Generator()
    g.manual_seed(seed)
    for name, p in other.named_parameters():
        p.data.view(-1).copy_(p.data.view(-1).clone()[torch.randperm(p.numel(), generator=g)])
    return other
"""),
    "a threshold": ("11.5", """
def without_patches(clips, heat, number):
    bar = heat.flatten(1).sort(1).values[:, -number][:, None, None, None]
    gone = F.interpolate((heat >= bar).float()[:, None], size=(clips.shape[1], *clips.shape[3:]))
    mean = clips.flatten(3).mean(-1)[..., None, None]
    return clips.masked_fill(gone[:, 0, :, None].bool(), 0) + mean * gone[:, 0, :, None]
"""),
    "kronecker": ("11.5", """
def without_patches(clips, heat, number):
    b, T, C, H, W = clips.shape
    t, h, w = heat.shape[1:]
    out = []
    for clip, own in zip(clips, heat):
        gone = torch.zeros(own.numel())
        gone[own.flatten().topk(number)[1]] = 1
        gone = torch.kron(gone.view(t, h, w), torch.ones(T // t, H // h, W // w))[:, None]
        out.append((1 - gone) * clip + gone * clip.mean(dim=[2, 3], keepdim=True))
    return torch.stack(out)
"""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_RIGHT)
def test_other_right_answers_pass(name):
    assert said(*OTHER_RIGHT[name]) == "passed"


OTHER_WRONG = {
    "a list": ("11.1", """
def record_weights(model, x, num_heads):
    model(x)
    return [torch.rand(2, 3, 5, 5)]
""", "expected a dictionary"),
    "only hooks on the outside": ("11.1", """
def record_weights(model, x, num_heads):
    record = {}
    for name, module in model.named_children():
        if name == "qkv":
            module.register_forward_hook(lambda m, i, o: record.update({name: o}))
    model(x)
    return record
""", "nothing was recorded"),
    "the last one wins": ("11.1", """
def record_weights(model, x, num_heads):
    record, handles = {}, []
    for name, module in model.named_modules():
        if name.endswith(".qkv"):
            def hook(module, given, out):
                q, k, v = rearrange(out, "b n (x h d) -> x b h n d", x=3, h=num_heads)
                record[name[:-4]] = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
            handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return record
""", "there are weights of"),
    "weights of the whole width": ("11.1", """
def record_weights(model, x, num_heads):
    record, handles = {}, []
    def keep(name):
        def hook(module, given, out):
            q, k, v = rearrange(out, "b n (x h d) -> x b h n d", x=3, h=num_heads)
            record[name] = (q @ k.mT / (out.shape[-1] / 3) ** 0.5).softmax(-1)
        return hook
    for name, module in model.named_modules():
        if name.endswith(".qkv"):
            handles.append(module.register_forward_hook(keep(name[:-4])))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return record
""", "√ of the whole width"),
    "residual on one side of the loop": ("11.2", """
def rollout(layers):
    out = layers[0].mean(1)
    for weights in layers[1:]:
        out = (weights.mean(1) + torch.eye(weights.shape[-1])) / 2 @ out
    return out
""", "is off by"),
    "only the first head": ("11.2", """
def rollout(layers):
    out = torch.eye(layers[0].shape[-1])
    for weights in layers:
        out = (weights[:, 0] + torch.eye(weights.shape[-1])) / 2 @ out
    return out
""", "one head was taken"),
    "over the clips as well": ("11.2", """
def rollout(layers):
    out = torch.eye(layers[0].shape[-1])
    for weights in layers:
        out = (weights.mean((0, 1)) + torch.eye(weights.shape[-1])) / 2 @ out
    return out
""", "the clips are lost"),
    "heads kept": ("11.3", """
def block_tables(time, space, num_frames):
    n = 1 + num_frames * (space.shape[-1] - 1)
    return torch.zeros(2, 7, n, n), torch.zeros(2, 7, n, n)
""", "average over the heads"),
    "no class token": ("11.3", """
def block_tables(time, space, num_frames):
    n = num_frames * (space.shape[-1] - 1)
    return torch.zeros(2, n, n), torch.zeros(2, n, n)
""", "the class token is missing"),
    "a state and no model": ("11.4", """
def with_random_weights(model, seed):
    g = torch.Generator().manual_seed(seed)
    shuffled = lambda v: v.flatten()[torch.randperm(v.numel(), generator=g)].view_as(v)
    return {name: shuffled(value) for name, value in model.state_dict().items()}
""", "expected a model, got dict"),
    "buffers too": ("11.4", """
def with_random_weights(model, seed):
    import copy
    g, other = torch.Generator().manual_seed(seed), copy.deepcopy(model)
    for v in other.state_dict().values():
        v.view(-1).copy_(v.flatten()[torch.randperm(v.numel(), generator=g)])
    return other
""", "buffers have changed"),
    "columns": ("11.4", """
def with_random_weights(model, seed):
    import copy
    g, other = torch.Generator().manual_seed(seed), copy.deepcopy(model)
    for p in other.parameters():
        p.data = p.data[..., torch.randperm(p.shape[-1], generator=g)]
    return other
""", "whole columns were moved"),
    "a mask": ("11.5", """
def without_patches(clips, heat, number):
    bar = heat.flatten(1).topk(number).values[:, -1]
    return (heat >= bar[:, None, None, None]).float()
""", "this is a table of places"),
    "own colour": ("11.5", """
def without_patches(clips, heat, number):
    (B, T, C, H, W), (_, t, h, w) = clips.shape, heat.shape
    out = clips.clone()
    for b in range(B):
        for place in heat[b].flatten().topk(number).indices.tolist():
            f, r, c = place // (h * w), place // w % h, place % w
            x, y, z = T // t, H // h, W // w
            part = out[b, f * x : (f + 1) * x, :, r * y : (r + 1) * y, c * z : (c + 1) * z]
            part[:] = part.mean((-1, -2), keepdim=True)
    return out
""", "its own patch"),
    "greater than": ("11.5", """
def without_patches(clips, heat, number):
    (B, T, C, H, W), (_, t, h, w) = clips.shape, heat.shape
    bar = heat.flatten(1).topk(number).values[:, -1].view(-1, 1, 1, 1)
    gone = repeat(heat > bar, "b t h w -> b (t x) 1 (h y) (w z)", x=T // t, y=H // h, z=W // w)
    return torch.where(gone, clips.mean((3, 4), keepdim=True), clips)
""", "one place too few"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_WRONG)
def test_other_mistakes_are_named(name):
    exercise_id, source, sentence = OTHER_WRONG[name]
    assert sentence in said(exercise_id, source)


def test_solutions_agree_with_the_library():
    model = create_model(
        "timesformer_samples", num_frames=3, image_size=32, patch_size=16, num_classes=2
    ).eval()
    clips = torch.rand(2, 3, 3, 32, 32)
    with torch.no_grad(), record_attention(model) as record:
        model(clips)
    weights = exercise("11.1").compile()(model, clips, model.config.num_heads)
    assert list(weights) == list(record)
    for name, table in weights.items():
        torch.testing.assert_close(table, record[name], atol=1e-5, rtol=1e-4)
    pairs = [
        (weights[name.replace(".attn", ".temporal_attn")], weights[name])
        for name in weights
        if "temporal" not in name
    ]
    tables = []
    for time, space in pairs:
        for mine, library in zip(
            exercise("11.3").compile()(time, space, 3), divided_tables(time, space, 3), strict=True
        ):
            torch.testing.assert_close(mine, library[:, 0])
            tables.append(library)
    torch.testing.assert_close(exercise("11.2").compile()(tables), attention_rollout(tables))


def test_the_panel_draws_each_map_and_none_is_another():
    heats = {name: heat_of(name, "hop then swell", 2) for name in MAPS}
    assert all(heat.shape == (8, 4, 4) for heat in heats.values())
    assert len({tuple(heat.flatten().argsort().tolist()) for heat in heats.values()}) == len(MAPS)


def test_the_panel_says_when_the_answer_stays():
    state = AttentionOverlay().state
    assert AttentionOverlay.render(state | {"removed": 0}).caption.startswith("The answer stays.")
    assert AttentionOverlay.render(state | {"removed": 0, "map": LOT}).caption.startswith("The answer stays.")
    assert AttentionOverlay.render(state | {"map": ROLLOUT}).caption.startswith("The answer changes.")
    assert "No model has been asked" in AttentionOverlay.render(state | {"map": CONTRAST}).caption
