"""Numbers of the published codes: allenai's band scores and contexts, and the dilated index rule."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from vtlearn.attention import Dilated, band_attention, band_scores, sliding_window_attention

REFERENCE = Path(__file__).parent.parent / "reference"


def load(name):
    """Tensors (B, N, heads, any) turned to (B, heads, N, any), and the description."""
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key).transpose(1, 2) for key in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["meta"])


CASES = {
    "longformer_allenai_sliding_chunks_w2": ("w_one_sided", None),
    "longformer_indexrule_dilated": ("w_one_sided", "dilation_per_head"),
}


@pytest.mark.parametrize("name", CASES)
def test_band_and_context_equal_the_published_numbers(name):
    tensors, meta = load(name)
    reach_key, dilation_key = CASES[name]
    window_size = 2 * meta[reach_key] + 1
    dilation = tuple(meta[dilation_key]) if dilation_key else 1
    q, k, v = tensors["in.q"], tensors["in.k"], tensors["in.v"]

    band = band_scores(q, k, window_size=window_size, dilation=dilation, scale=1.0)
    torch.testing.assert_close(band, tensors["out.band"], rtol=0, atol=1e-5)
    torch.testing.assert_close(
        band_attention(band, v, dilation=dilation), tensors["out.context"], rtol=0, atol=1e-5
    )
    unscaled = q * math.sqrt(q.shape[-1])  # the file's queries are used as they are, not divided by √d
    context = sliding_window_attention(unscaled, k, v, window_size=window_size, dilation=dilation)
    torch.testing.assert_close(context, tensors["out.context"], rtol=0, atol=1e-5)


def test_the_pattern_allows_exactly_the_published_columns():
    tensors, meta = load("longformer_indexrule_dilated")
    reach, dilation = meta["w_one_sided"], meta["dilation_per_head"]
    counts = tensors["out.band"].isfinite().sum(-1)[0]
    pattern = Dilated(2 * reach + 1, tuple(dilation))
    assert torch.equal(pattern.allowed_per_query(24), counts)
