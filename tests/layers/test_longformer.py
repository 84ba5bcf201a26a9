"""The Longformer encoder: the published numbers, the live transformers implementation, its laws and its
complaints.
"""

import copy
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from vtlearn.attention import (
    SlidingWindowAttention,
    UniformAttention,
    count_multiply_adds,
    full_attention,
    record_attention,
)
from vtlearn.attention.kernel import WrappedKernel, exchanged_kernels
from vtlearn.errors import ArgumentError
from vtlearn.layers import longformer
from vtlearn.layers.longformer import (
    LongformerEncoder,
    LongformerLayer,
    LongformerSelfAttention,
    PreNormLongformerLayer,
)

REFERENCE = Path(__file__).parent.parent / "reference"
NAMES = {
    "attention.self.": "attention.",
    "attention.output.dense": "attention_output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
    "output.LayerNorm": "output_norm",
}


def our_name(published):
    for theirs, ours in NAMES.items():
        published = published.replace(theirs, ours)
    return published.replace("encoder.layer.", "layers.")


def encoder(**changes):
    torch.manual_seed(0)
    sizes = {"embed_dim": 22, "num_heads": 2, "depth": 2, "window_sizes": (3, 7), "intermediate_dim": 31}
    return LongformerEncoder(**(sizes | changes))


@pytest.mark.parametrize("name", ["cls", "cls_pad"])
def test_published_numbers(name):
    with safe_open(REFERENCE / f"longformer_hfv446_{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads(file.metadata()["meta"])["config"]
    model = LongformerEncoder(
        config["hidden_size"],
        config["num_attention_heads"],
        config["num_hidden_layers"],
        [window + 1 for window in config["attention_window"]],  # two-sided and even there
        config["intermediate_size"],
    ).eval()
    layers = "w.encoder.layer."
    model.load_state_dict({our_name(key[2:]): x for key, x in tensors.items() if key.startswith(layers)})
    x = tensors["in.inputs_embeds"].requires_grad_()
    embedded = (
        x
        + F.embedding(tensors["in.position_ids"], tensors["w.embeddings.position_embeddings.weight"])
        + F.embedding(tensors["in.token_type_ids"], tensors["w.embeddings.token_type_embeddings.weight"])
    )
    norm = tensors["w.embeddings.LayerNorm.weight"], tensors["w.embeddings.LayerNorm.bias"]
    embedded = F.layer_norm(embedded, (48,), *norm, 1e-12)
    out = model(embedded, tensors["in.attention_mask"] > 0, tensors["in.global_attention_mask"] > 0)
    torch.testing.assert_close(out, tensors["out.last_hidden_state"], rtol=0, atol=1e-5)
    (gradient,) = torch.autograd.grad((out * tensors["probe"]).sum(), x)
    torch.testing.assert_close(gradient, tensors["grad.in.inputs_embeds"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
def test_equals_the_transformers_implementation(padded):
    """A tiny random Longformer of the other library, live: three layers with windows of their own, two global
    tokens.
    """
    transformers = pytest.importorskip("transformers", reason="needs the extra `pretrained`")
    config = transformers.LongformerConfig(
        vocab_size=11,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=31,
        attention_window=[4, 8, 12],
        max_position_embeddings=64,
        layer_norm_eps=1e-12,
    )
    torch.manual_seed(0)
    theirs = transformers.LongformerModel(config, add_pooling_layer=False).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = LongformerEncoder(24, 3, 3, (5, 9, 13), 31).eval()
    state = {our_name(f"encoder.{key}"): x for key, x in theirs.encoder.state_dict().items()}
    ours.load_state_dict(state)

    ids = torch.randint(2, 11, (2, 48))
    valid, is_global = torch.ones(2, 48, dtype=torch.bool), torch.zeros(2, 48, dtype=torch.bool)
    is_global[0, 0] = is_global[1, 0] = is_global[1, 17] = True
    if padded:
        valid[1, 37:] = False
    embedded = theirs.embeddings(input_ids=ids)
    with torch.no_grad():
        expected = theirs(
            input_ids=ids, attention_mask=valid.long(), global_attention_mask=is_global.long()
        ).last_hidden_state
        out = ours(embedded, valid, is_global)
    torch.testing.assert_close(out[valid], expected[valid], rtol=1e-4, atol=1e-4)


def test_self_attention_equals_the_transformers_module_and_its_gradients():
    transformers = pytest.importorskip("transformers", reason="needs the extra `pretrained`")
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention as Theirs

    config = transformers.LongformerConfig(
        hidden_size=22, num_attention_heads=2, attention_window=[6], attention_probs_dropout_prob=0.0
    )
    torch.manual_seed(0)
    theirs = Theirs(config, layer_id=0).eval().double()
    ours = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(7)).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 36, 22, dtype=torch.float64, requires_grad=True)
    is_global, valid = torch.zeros(2, 36, dtype=torch.bool), torch.ones(2, 36, dtype=torch.bool)
    # as many global tokens in each clip: with fewer in one, the other library's gradients are NaN (5.23)
    is_global[:, 0] = is_global[0, 21] = is_global[1, 13] = True
    valid[1, 31:] = False
    codes = torch.zeros(2, 36, dtype=torch.float64)
    codes[is_global], codes[~valid] = 10000.0, -10000.0
    expected = theirs(
        x,
        attention_mask=codes,
        is_index_masked=~valid,
        is_index_global_attn=is_global,
        is_global_attn=True,
    )[0]
    out = ours(x, valid_mask=valid, global_mask=is_global)
    close = {"rtol": 1e-5, "atol": 1e-6}  # its softmax is computed in float32
    torch.testing.assert_close(out[valid], expected[valid], **close)
    (wanted,) = torch.autograd.grad(expected[valid].pow(2).sum(), x)
    (gradient,) = torch.autograd.grad(out[valid].pow(2).sum(), x)
    torch.testing.assert_close(gradient, wanted, **close)


def test_starts_as_published():
    model = encoder(embed_dim=66, intermediate_dim=127)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all()
        elif name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.layers[0].attention_norm.eps == 1e-12
    first = model.layers[0].attention
    assert not torch.equal(first.query.weight, first.query_global.weight)


def test_global_projections_may_start_from_the_local_ones():
    attention = encoder().layers[0].attention
    attention.start_global_from_local()
    x = torch.randn(2, 13, 22)
    everyone = torch.ones(2, 13, dtype=torch.bool)
    heads = [
        project(x).unflatten(-1, (2, 11)).transpose(1, 2)
        for project in (attention.query, attention.key, attention.value)
    ]
    expected = full_attention(*heads).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x, global_mask=everyone), expected)


def test_every_parameter_learns_when_some_token_is_global():
    for layer in (LongformerLayer, PreNormLongformerLayer):
        model = encoder(layer=layer)
        is_global = torch.zeros(2, 17, dtype=torch.bool)
        is_global[:, 0] = True
        model(torch.randn(2, 17, 22), global_mask=is_global).pow(3).sum().backward()
        silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        # the key's bias shifts all scores of a row alike, and softmax does not see it
        assert all(name.endswith(("key.bias", "key_global.bias")) for name in silent), silent


def test_padding_may_have_any_length_and_does_not_matter():
    """No multiple of the window is asked for, and what padding contains changes nothing."""
    model = encoder().eval()
    x = torch.randn(1, 13, 22)
    is_global = torch.zeros(1, 13, dtype=torch.bool)
    is_global[0, 0] = True
    alone = model(x, global_mask=is_global)
    for extra in (1, 5, 23):
        longer = torch.cat([x, torch.full((1, extra, 22), -1.0)], 1)
        valid = torch.arange(13 + extra)[None] < 13
        out = model(longer, valid, F.pad(is_global, (0, extra)))
        torch.testing.assert_close(out[:, :13], alone, rtol=1e-5, atol=1e-6)


def test_window_wider_than_the_clip_is_an_ordinary_encoder():
    model = encoder(window_sizes=99).eval()
    x = torch.randn(2, 13, 22)
    expected = x
    for layer in model.layers:
        heads = [
            project(expected).unflatten(-1, (2, 11)).transpose(1, 2)
            for project in (layer.attention.query, layer.attention.key, layer.attention.value)
        ]
        attended = layer.attention_output(full_attention(*heads).transpose(1, 2).flatten(2))
        expected = layer.attention_norm(expected + attended)
        expected = layer.output_norm(expected + layer.output(F.gelu(layer.intermediate(expected))))
    torch.testing.assert_close(model(x), expected)


def test_pre_norm_keeps_the_stream_and_ends_with_a_norm():
    model = encoder(layer=PreNormLongformerLayer).eval()
    assert isinstance(model.norm, torch.nn.LayerNorm)
    x = torch.randn(2, 13, 22)
    for layer in model.layers:
        torch.nn.init.zeros_(layer.attention_output.weight)
        torch.nn.init.zeros_(layer.output.weight)
    torch.testing.assert_close(model(x), F.layer_norm(x, (22,), eps=1e-12))
    assert isinstance(encoder().norm, torch.nn.Identity)


def test_training_is_random_and_evaluation_is_not():
    model = encoder(dropout=0.3, attention_dropout=0.3)
    x = torch.randn(2, 13, 22)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert model(x).abs().sum() > 0


def test_attention_dropout_alone_is_felt():
    model = encoder(attention_dropout=0.5)
    x = torch.randn(2, 13, 22)
    assert not torch.equal(model(x), model(x))


def test_causal_encoder_does_not_look_ahead():
    model = encoder(causal=True, dilations=(1, (1, 2))).eval()
    x = torch.randn(1, 17, 22)
    changed = x.clone()
    changed[:, 9:] += 3.0
    assert torch.equal(model(changed)[:, :9], model(x)[:, :9])
    assert not torch.equal(model(changed)[:, 9:], model(x)[:, 9:])


@pytest.mark.usefixtures("unchecked_shapes")
def test_compiles_without_a_break():
    torch._dynamo.reset()
    model = encoder().eval()
    x = torch.randn(2, 13, 22, requires_grad=True)
    is_global = torch.zeros(2, 13, dtype=torch.bool)
    is_global[:, 0] = True
    valid = torch.ones(2, 13, dtype=torch.bool)
    valid[0, 11:] = False
    out = torch.compile(model, fullgraph=True, backend="aot_eager")(x, valid, is_global)
    expected = model(x, valid, is_global)
    torch.testing.assert_close(out, expected)
    (gradient,) = torch.autograd.grad(out.pow(3).sum(), x)
    (wanted,) = torch.autograd.grad(expected.pow(3).sum(), x)
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match=r"window_sizes must be .*2 layers, got \(3, 5, 7\)"):
        encoder(window_sizes=(3, 5, 7))
    with pytest.raises(ArgumentError, match=r"window_size must be odd.*got 18"):
        encoder(window_sizes=18)
    with pytest.raises(ArgumentError, match=r"dilations must be .*2 layers"):
        encoder(dilations=(1,))
    with pytest.raises(ArgumentError, match=r"dilation.*got 0"):
        encoder(dilations=0)
    with pytest.raises(ArgumentError, match=r"embed_dim must be a multiple of num_heads = 3, got 22"):
        encoder(num_heads=3)
    with pytest.raises(ArgumentError, match=r"dropout must be in"):
        encoder(dropout=1.0)
    with pytest.raises(ArgumentError, match=r"depth must be a positive integer, got 0"):
        encoder(depth=0, window_sizes=3)
    with pytest.raises(ArgumentError, match=r"x must be of shape \(B, N, 22\), got \(2, 13, 21\)"):
        encoder()(torch.zeros(2, 13, 21))
    with pytest.raises(ArgumentError, match=r"valid_mask must be of shape .*got \(2, 12\)"):
        encoder()(torch.zeros(2, 13, 22), torch.ones(2, 12, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"global_mask must be of dtype"):
        encoder()(torch.zeros(2, 13, 22), None, torch.ones(2, 13))


@pytest.mark.parametrize("marked", ["some", "one clip without", "none"])
def test_projecting_the_global_queries_alone_changes_nothing(monkeypatch, marked):
    """Output and every gradient, whether the global tokens' queries are projected alone or with all."""
    is_global = torch.zeros(3, 17, dtype=torch.bool)
    if marked != "none":
        is_global[0, [0, 5, 16]] = True
    if marked == "some":
        is_global[1:, 3] = True
    results = []
    for worth in (0, 10**12):
        monkeypatch.setattr(longformer, "WORTH_CHOOSING", worth)
        torch.manual_seed(0)
        attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5)).double()
        x = torch.randn(3, 17, 22, dtype=torch.float64, requires_grad=True)
        projected = []
        attention.query_global.register_forward_hook(lambda _, given, out, seen=projected: seen.append(out))
        out = attention(x, global_mask=is_global)
        (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        results.append([out, x.grad, *(parameter.grad for parameter in attention.parameters())])
        assert projected[0].numel() == (3 * 17 if worth else int(is_global.sum())) * 22
    for alone, together in zip(*results, strict=True):
        torch.testing.assert_close(alone, together, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("num_global", [1, 2])
def test_global_tokens_that_read_without_keys_and_values_read_the_same(
    monkeypatch, num_global, padded, causal
):
    """Output and every gradient, whether a few global tokens' keys and values are projected or not."""
    is_global = torch.zeros(3, 17, dtype=torch.bool)
    is_global[0, [0, 5][:num_global]] = is_global[1, [3, 11][:num_global]] = True
    is_global[2, [7, 2][:num_global]] = True
    valid = None
    if padded:
        is_global[1, 16] = True  # marked, but padding: reads nothing
        valid = torch.arange(17) < torch.tensor([[17], [13], [14]])
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    results = []
    for few in (1, 0):
        monkeypatch.setattr(longformer, "FEW", few)
        torch.manual_seed(0)
        attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5, causal=causal)).double()
        for parameter in attention.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        x = torch.randn(3, 17, 22, dtype=torch.float64, requires_grad=True)
        projected = []
        attention.key_global.register_forward_hook(lambda *_, seen=projected: seen.append(1))
        attention.value_global.register_forward_hook(lambda *_, seen=projected: seen.append(1))
        out = attention(x, valid_mask=valid, global_mask=is_global)
        (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        results.append([out, x.grad, *(parameter.grad for parameter in attention.parameters())])
        assert len(projected) == (0 if few else 2)
    for apart, together in zip(*results, strict=True):
        torch.testing.assert_close(apart, together, rtol=1e-10, atol=1e-12)


def test_dropout_of_weights_reaches_global_tokens_that_read_without_keys_and_values(monkeypatch):
    """On average what evaluation gives, never the same twice, and a value's bias goes by the weights left."""
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    torch.manual_seed(0)
    attention = LongformerSelfAttention(
        22, 2, kernel=SlidingWindowAttention(5), attention_dropout=0.5
    ).double()
    torch.nn.init.normal_(attention.value_global.bias)
    is_global = torch.zeros(1, 17, dtype=torch.bool)
    is_global[0, 4] = True
    x = torch.randn(1, 17, 22, dtype=torch.float64)
    with torch.no_grad():
        drawn = torch.stack([attention(x, global_mask=is_global)[0, 4] for _ in range(500)])
        expected = attention.eval()(x, global_mask=is_global)[0, 4]
    assert not torch.equal(drawn[0], drawn[1])
    deviation = drawn.std(0) / 500**0.5
    assert ((drawn.mean(0) - expected).abs() < 5 * deviation).all()
    # values are nearly their bias: a head's outputs are that bias times one number, the sum of weights left
    torch.nn.init.zeros_(attention.value_global.weight)
    with torch.no_grad():
        out = attention.train()(x, global_mask=is_global)[0, 4].view(2, 11)
    share = out / attention.value_global.bias.detach().view(2, 11)
    torch.testing.assert_close(share, share[:, :1].expand(2, 11))
    assert (share[:, 0] - 1.0).abs().min() > 1e-3


def test_recorded_weights_are_those_of_the_global_projections_at_any_size(monkeypatch):
    """The output is computed as without a recording, which makes the projections it wants for itself."""
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    torch.manual_seed(0)
    attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5))
    is_global = torch.zeros(2, 17, dtype=torch.bool)
    is_global[:, 0] = True
    x = torch.randn(2, 17, 22)
    with torch.no_grad():
        alone = attention(x, global_mask=is_global)
        with record_attention(attention) as record:
            recorded = attention(x, global_mask=is_global)
        (weights,) = record.values()
        values = attention.value_global(x).unflatten(-1, (2, 11)).transpose(1, 2)
    assert torch.equal(recorded, alone)
    torch.testing.assert_close((weights[:, :, :1] @ values).transpose(1, 2).flatten(2), alone[:, :1])


@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_masks_are_named_at_any_size(monkeypatch):
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5))
    with pytest.raises(ArgumentError, match=r"global_mask must be of shape .*got \(2, 12\)"):
        attention(torch.zeros(2, 13, 22), global_mask=torch.ones(2, 12, dtype=torch.bool))


def test_a_wrapped_window_runs_what_a_plain_one_runs(monkeypatch):
    """Outputs, gradients and multiply-adds are those of the kernel in itself."""
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    torch.manual_seed(0)
    attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5))
    is_global = torch.zeros(2, 17, dtype=torch.bool)
    is_global[:, 0] = True
    x = torch.randn(2, 17, 22, requires_grad=True)

    def told():
        out = attention(x, global_mask=is_global)
        (gradient,) = torch.autograd.grad(out.square().sum(), x)
        return out, gradient, count_multiply_adds(attention, x, global_mask=is_global)

    plain = told()
    with exchanged_kernels(attention, lambda name, kernel: WrappedKernel(kernel)):
        wrapped = told()
    assert torch.equal(plain[0], wrapped[0])
    assert torch.equal(plain[1], wrapped[1])
    assert plain[2] == wrapped[2]


def test_a_kernel_that_weighs_otherwise_computes_the_global_rows_itself(monkeypatch):
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    attention = LongformerSelfAttention(22, 2, kernel=UniformAttention(SlidingWindowAttention(5)))
    is_global = torch.zeros(2, 17, dtype=torch.bool)
    is_global[:, 0] = True
    x = torch.randn(2, 17, 22)
    with torch.no_grad():
        torch.testing.assert_close(
            attention(x, global_mask=is_global)[:, 0], attention.value_global(x).mean(1)
        )


def test_any_callable_serves_as_a_kernel_at_any_size(monkeypatch):
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5))
    is_global = torch.zeros(2, 17, dtype=torch.bool)
    is_global[:, 0] = True
    attention.kernel = lambda q, k, v, *, global_projections, **rest: global_projections[2]
    x = torch.randn(2, 17, 22)
    torch.testing.assert_close(attention(x, global_mask=is_global), attention.value_global(x))


@pytest.mark.parametrize("narrow", [False, True])
def test_gradients_are_the_same_while_recording(monkeypatch, narrow):
    """Also under autocast, which keeps narrow weights from one product to the next."""
    monkeypatch.setattr(longformer, "WORTH_CHOOSING", 0)
    torch.manual_seed(0)
    attention = LongformerSelfAttention(22, 2, kernel=SlidingWindowAttention(5))
    is_global = torch.zeros(2, 17, dtype=torch.bool)
    is_global[:, 0] = True
    x = torch.randn(2, 17, 22)

    def gradients():
        attention.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            attention(x, global_mask=is_global).square().sum().backward()
        return {name: each.grad for name, each in attention.named_parameters() if each.grad is not None}

    alone = gradients()
    with record_attention(attention):
        recorded = gradients()
    assert "query_global.weight" in alone
    assert alone.keys() == recorded.keys()
    assert all(torch.equal(alone[name], recorded[name]) for name in alone)
