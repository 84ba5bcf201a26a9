"""Attention: patterns that say who may attend to whom, kernels that compute it, one reference to equal.

Conventions: tensors are (B, heads, N, d); masks are True where something may happen; ``window_size`` is
    two-sided and odd.
The published codes count otherwise: allenai's ``attention_window`` w is one-sided (window_size = 2·w + 1),
Hugging Face's w is two-sided and even (window_size = w + 1).
"""

from vtlearn.attention.full import FullAttention, full_attention
from vtlearn.attention.kernel import AttentionKernel
from vtlearn.attention.multihead import MultiHeadAttention
from vtlearn.attention.patterns import (
    AXIAL_ORDER,
    Axial,
    Causal,
    CausalWindow,
    Dilated,
    Full,
    GlobalTokens,
    LocalNeighbourhood,
    Pattern,
    PerHead,
    SameFrame,
    SamePlace,
    SlidingWindow,
    StridedGlobal,
    Window3D,
    WithClassToken,
    axial,
    reachable,
    receptive_field,
)
from vtlearn.attention.reference import reference_attention, reference_weights
from vtlearn.attention.sliding_window import SlidingWindowAttention, sliding_window_attention
from vtlearn.attention.uniform import UniformAttention

__all__ = [
    "AXIAL_ORDER",
    "AttentionKernel",
    "Axial",
    "Causal",
    "CausalWindow",
    "Dilated",
    "Full",
    "FullAttention",
    "GlobalTokens",
    "LocalNeighbourhood",
    "MultiHeadAttention",
    "Pattern",
    "PerHead",
    "SameFrame",
    "SamePlace",
    "SlidingWindow",
    "SlidingWindowAttention",
    "StridedGlobal",
    "UniformAttention",
    "Window3D",
    "WithClassToken",
    "axial",
    "full_attention",
    "reachable",
    "receptive_field",
    "reference_attention",
    "reference_weights",
    "sliding_window_attention",
]
