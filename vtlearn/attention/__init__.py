"""Attention: patterns that say who may attend to whom, kernels that compute it, one reference to equal.

Conventions: tensors are (B, heads, N, d); masks are True where something may happen; ``window_size`` is
    two-sided and odd.
The published codes count otherwise: allenai's ``attention_window`` w is one-sided (window_size = 2·w + 1),
Hugging Face's w is two-sided and even (window_size = w + 1).
"""

from vtlearn.attention.band import band_attention, band_scores
from vtlearn.attention.cost import (
    AttentionCost,
    attention_cost,
    count_multiply_adds,
    linear_multiply_adds,
    multihead_multiply_adds,
    window_pairs,
)
from vtlearn.attention.dense import DenseAttention, dense_attention
from vtlearn.attention.family import kernel_family
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
from vtlearn.attention.record import AttentionRecord, record_attention
from vtlearn.attention.reference import reference_attention, reference_weights
from vtlearn.attention.rollout import attention_rollout, divided_tables
from vtlearn.attention.sliding_window import SlidingWindowAttention, sliding_window_attention
from vtlearn.attention.space_time import (
    SpaceAttention,
    SplitHeadsAttention,
    TimeAttention,
    space_attention,
    split_heads_attention,
    time_attention,
)
from vtlearn.attention.staged import Phase, StagedSchedule, growing_windows
from vtlearn.attention.uniform import UniformAttention

__all__ = [
    "AXIAL_ORDER",
    "AttentionCost",
    "AttentionKernel",
    "AttentionRecord",
    "Axial",
    "Causal",
    "CausalWindow",
    "DenseAttention",
    "Dilated",
    "Full",
    "FullAttention",
    "GlobalTokens",
    "LocalNeighbourhood",
    "MultiHeadAttention",
    "Pattern",
    "PerHead",
    "Phase",
    "SameFrame",
    "SamePlace",
    "SlidingWindow",
    "SlidingWindowAttention",
    "SpaceAttention",
    "SplitHeadsAttention",
    "StagedSchedule",
    "StridedGlobal",
    "TimeAttention",
    "UniformAttention",
    "Window3D",
    "WithClassToken",
    "attention_cost",
    "attention_rollout",
    "axial",
    "band_attention",
    "band_scores",
    "count_multiply_adds",
    "dense_attention",
    "divided_tables",
    "full_attention",
    "growing_windows",
    "kernel_family",
    "linear_multiply_adds",
    "multihead_multiply_adds",
    "reachable",
    "receptive_field",
    "record_attention",
    "reference_attention",
    "reference_weights",
    "sliding_window_attention",
    "space_attention",
    "split_heads_attention",
    "time_attention",
    "window_pairs",
]
