"""Rollout against products written out, and the divided block's tables against what a block really does."""

import pytest
import torch

from vtlearn.attention import record_attention
from vtlearn.attention.rollout import attention_rollout, divided_tables
from vtlearn.errors import ArgumentError
from vtlearn.models import create_model


def some_weights(*shape):
    return torch.rand(*shape).softmax(-1)


def test_rollout_is_the_product_with_the_first_layer_on_the_right():
    layers = [some_weights(2, 3, 5, 5) for _ in range(3)]
    one = torch.eye(5)
    first, second, third = ((layer.mean(1) + one) / 2 for layer in layers)
    torch.testing.assert_close(attention_rollout(layers), third @ second @ first)
    torch.testing.assert_close(attention_rollout(layers).sum(-1), torch.ones(2, 5))


def test_without_residual_a_single_layer_is_its_mean_over_heads():
    weights = some_weights(2, 3, 5, 5)
    torch.testing.assert_close(attention_rollout([weights], residual=0.0), weights.mean(1))
    torch.testing.assert_close(attention_rollout([weights], residual=1.0), torch.eye(5).expand(2, -1, -1))


def test_divided_tables_move_values_as_the_block_does():
    batch, heads, t, s = 2, 3, 5, 7
    time, space = some_weights(batch * s, heads, t, t), some_weights(batch * t, heads, 1 + s, 1 + s)
    token, patches = torch.randn(batch, 11), torch.randn(batch, t, s, 11)
    over_time, over_space = (table[:, 0] for table in divided_tables(time, space, t))
    values = torch.cat([token[:, None], patches.flatten(1, 2)], 1)

    at_places = torch.einsum("bsij,bjsd->bisd", time.mean(1).unflatten(0, (batch, s)), patches)
    torch.testing.assert_close(over_time @ values, torch.cat([token[:, None], at_places.flatten(1, 2)], 1))

    copies = torch.cat([token[:, None, None].expand(-1, t, -1, -1), patches], 2)
    in_frames = torch.einsum("btij,btjd->btid", space.mean(1).unflatten(0, (batch, t)), copies)
    want = torch.cat([in_frames[:, :, 0].mean(1, keepdim=True), in_frames[:, :, 1:].flatten(1, 2)], 1)
    torch.testing.assert_close(over_space @ values, want)


def test_it_joins_what_is_recorded_of_a_divided_model():
    model = create_model(
        "timesformer_samples", num_frames=3, image_size=32, patch_size=16, num_classes=2
    ).eval()
    with torch.no_grad(), record_attention(model) as record:
        model(torch.rand(2, 3, 3, 32, 32))
    time = [weights for name, weights in record.items() if "temporal" in name]
    space = [weights for name, weights in record.items() if "temporal" not in name]
    pairs = zip(time, space, strict=True)
    joined = attention_rollout([table for pair in pairs for table in divided_tables(*pair, 3)])
    assert joined.shape == (2, 1 + 3 * 4, 1 + 3 * 4)
    torch.testing.assert_close(joined.sum(-1), torch.ones(2, 13))


@pytest.mark.parametrize(
    ("run", "argument"),
    [
        (lambda: attention_rollout([]), "layers"),
        (lambda: attention_rollout([some_weights(2, 5, 5)]), "layers"),
        (lambda: attention_rollout([some_weights(2, 1, 5, 5), some_weights(2, 1, 3, 3)]), "layers"),
        (lambda: attention_rollout([some_weights(2, 1, 5, 5)], residual=1.5), "residual"),
        (lambda: divided_tables(some_weights(4, 1, 3, 3), some_weights(3, 1, 3, 3), 3), "time"),
        (lambda: divided_tables(some_weights(2, 1, 2, 2), some_weights(3, 1, 3, 3), 3), "time"),
        (lambda: divided_tables(some_weights(2, 1, 3, 3), some_weights(4, 1, 3, 3), 3), "space"),
    ],
)
def test_bad_input_is_named(run, argument):
    with pytest.raises(ArgumentError, match=argument):
        run()
