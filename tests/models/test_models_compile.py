"""The three flagships and the image model compile as one graph, and the graph computes the same."""

from __future__ import annotations

import pytest
import torch

from vtlearn.models import build_model, tiny_twin
from vtlearn.models.cost import input_shape

FLAGSHIPS = ["vit_base", "vtn_vit_base", "timesformer_base", "vivit_base_factorised_encoder"]


@pytest.mark.parametrize("name", FLAGSHIPS)
def test_one_graph_with_the_same_numbers(unchecked_shapes, name):
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = build_model(tiny_twin(name)).eval()
    clips = torch.randn(2, *input_shape(model.config)[1:])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    logits = compiled(clips)
    torch.testing.assert_close(logits, model(clips), atol=1e-5, rtol=1e-5)
    logits.square().sum().backward()
    compiled_gradient = model.head.weight.grad.clone() if hasattr(model.head, "weight") else None
    if compiled_gradient is not None:
        model.zero_grad()
        model(clips).square().sum().backward()
        torch.testing.assert_close(model.head.weight.grad, compiled_gradient)
