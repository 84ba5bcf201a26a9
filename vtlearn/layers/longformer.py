"""The Longformer encoder: windowed self-attention whose global tokens have projections of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vtlearn.attention.kernel import AttentionKernel, GlobalProjections, require_attention_inputs
from vtlearn.attention.sliding_window import SlidingWindowAttention
from vtlearn.attention.window_products import score_dtype
from vtlearn.errors import ArgumentError, require, require_divisible, require_positive, require_probability
from vtlearn.layers.block import run_blocks
from vtlearn.shapes import Tokens

INITIALISER_STD = 0.02
"""Standard deviation of every weight of a fresh Longformer, as published; biases start at zero."""

WORTH_CHOOSING = 5_000_000
"""Multiply-adds of a projection from which on a CPU it pays to project the global tokens alone.

Time of the whole self-attention by that with all tokens projected (one thread, CPU time, median of 7
interleaved rounds), tokens x width: 33 x 64 1.33, 128 x 256 1.04, 9 x 768 0.98, 65 x 768 0.89, 251 x 768
0.93; training 1.28, 0.95, 0.91, 0.90, 0.92.
"""

FEW = 1 / 8
"""Global tokens of a clip per channel of a head up to which they read the tokens as they are.

G such tokens cost 2·G·N·heads·D multiply-adds and 2·G·D², in place of the keys' and values' 2·N·D².
Time of the whole self-attention by that with all tokens projected (one thread, CPU time, median of 9
interleaved rounds, heads of 64), forward / training, tokens x width and global tokens: 251 x 768 and 1
0.63 / 0.68, 8 0.67 / 0.67, 32 0.83 / 0.86; 65 x 768 and 1 0.70 / 0.78, 8 0.80 / 1.04; 128 x 256 and 1
0.74 / 0.73.
"""


def init_longformer(module: nn.Module) -> None:
    """Give every linear layer in ``module`` weights of deviation 0.02 and zero biases, as published.

    >>> layer = nn.Linear(3, 3)
    >>> init_longformer(layer)
    >>> float(layer.bias.abs().sum().detach())
    0.0
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=INITIALISER_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class LongformerSelfAttention(nn.Module):
    """Self-attention in a sliding window, with a second set of projections for what global tokens read.

    Source: 2004.05150, section 3.1, "Linear Projections for Global Attention". A local token reads its window
    and the global tokens through ``query, key, value``, in one softmax; a global token reads everything
    through ``query_global, key_global, value_global``. There is no output projection here:
    :class:`LongformerLayer` owns it, as published.

    Args:
        embed_dim, num_heads: width and heads; the first is a multiple of the second.
        kernel: the window (size, dilation, causality).
        attention_dropout: dropout of the attention weights while training.

    >>> import torch
    >>> attention = LongformerSelfAttention(12, 3, kernel=SlidingWindowAttention(5))
    >>> x, is_global = torch.randn(2, 7, 12), torch.zeros(2, 7, dtype=torch.bool)
    >>> is_global[:, 0] = True
    >>> attention(x, global_mask=is_global).shape
    torch.Size([2, 7, 12])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        kernel: AttentionKernel,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, num_heads=num_heads)
        require_divisible("embed_dim", embed_dim, "num_heads", num_heads)
        require_probability(attention_dropout=attention_dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.kernel: AttentionKernel = kernel
        self.attention_dropout = attention_dropout
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.query_global = nn.Linear(embed_dim, embed_dim)
        self.key_global = nn.Linear(embed_dim, embed_dim)
        self.value_global = nn.Linear(embed_dim, embed_dim)
        init_longformer(self)

    def start_global_from_local(self) -> None:
        """Copy the local projections into the global ones, as the paper does to a pretrained model."""
        for name in ("query", "key", "value"):
            getattr(self, f"{name}_global").load_state_dict(getattr(self, name).state_dict())

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _worth_choosing(self, x: Tensor) -> bool:
        """Whether it pays to look which tokens are global.

        A compiled graph and a tensor without contents cannot look, and a GPU would wait for the mask.
        """
        seen = type(x) is Tensor and x.device.type == "cpu" and not torch.compiler.is_compiling()
        return seen and x.numel() * self.embed_dim >= WORTH_CHOOSING

    def _global_projections(self, x: Tensor, global_mask: Tensor) -> GlobalProjections:
        """The projections that global tokens read by; queries of others, which nobody reads, may be zeros."""
        if self._worth_choosing(x):
            chosen = self.query_global(x[global_mask])
            queries = chosen.new_zeros(x.shape).masked_scatter(global_mask[..., None], chosen)
        else:
            queries = self.query_global(x)
        return self._heads(queries), self._heads(self.key_global(x)), self._heads(self.value_global(x))

    def _read_apart(self, x: Tensor, valid_mask: Tensor | None, global_mask: Tensor) -> Tensor | None:
        """The mask of the global tokens where it pays that they read by :meth:`_global_rows`, else None.

        A callable that is no :class:`AttentionKernel` serves as a kernel too, and computes all rows itself.
        """
        if not (isinstance(self.kernel, AttentionKernel) and self._worth_choosing(x)):
            return None
        if valid_mask is not None:
            global_mask = global_mask & valid_mask
        counts = global_mask.sum(1).tolist()
        alike = len(set(counts)) == 1 and 0 < counts[0] <= FEW * self.head_dim
        return global_mask if alike else None

    def _global_rows(
        self, x: Tokens, valid_mask: Bool[Tensor, "B N"] | None, global_mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B G D"]:
        """What the global tokens read, as many in each clip, without a key or a value of any token.

        A score is q · (K x + b) = (Kᵀ q) · x + q · b, and the mean of values V x + b is V times the mean of
        x, plus b: the matrices move from all tokens to the few that read. Exact but for rounding.
        """
        batch, heads = len(x), (self.num_heads, self.head_dim)
        q = self.query_global(x[global_mask]).unflatten(-1, heads).transpose(0, 1)  # (heads, B·G, d)
        q = q * (1.0 / math.sqrt(self.head_dim))
        key, value = self.key_global, self.value_global
        seeking = q @ key.weight.unflatten(0, heads)  # (heads, B·G, D)
        seeking = seeking.unflatten(1, (batch, -1)).transpose(0, 1)  # (B, heads, G, D)
        shift = (q @ key.bias.view(*heads, 1)).unflatten(1, (batch, -1)).transpose(0, 1)
        scores = (seeking.flatten(1, 2) @ x.mT).unflatten(1, seeking.shape[1:3]) + shift
        if valid_mask is not None:
            scores = scores.masked_fill(~valid_mask[:, None, None, :], -math.inf)
        weights = torch.softmax(scores, -1, dtype=score_dtype(scores.dtype))
        weights = F.dropout(weights, self.attention_dropout, self.training).to(x.dtype)
        means = (weights.flatten(1, 2) @ x).unflatten(1, seeking.shape[1:3])  # (B, heads, G, D)
        out = means @ value.weight.unflatten(0, heads).mT  # (B, heads, G, d)
        out = out + weights.sum(-1, keepdim=True) * value.bias.view(heads[0], 1, heads[1])
        return out.transpose(1, 2).flatten(2)

    def forward(
        self,
        x: Tokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Tokens:
        """Tokens (B, N, D) → the joined heads (B, N, D)."""
        require(
            x.ndim == 3 and x.shape[-1] == self.embed_dim,
            "x",
            tuple(x.shape),
            f"of shape (B, N, {self.embed_dim})",
        )
        q, k, v = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        require_attention_inputs(q, k, v, valid_mask=valid_mask, global_mask=global_mask)
        dropout_p = self.attention_dropout if self.training else 0.0
        masks: dict[str, Any] = {"valid_mask": valid_mask, "global_mask": global_mask, "dropout_p": dropout_p}
        kernel, readers = self.kernel, None
        if global_mask is not None:
            project = partial(self._global_projections, x, global_mask)
            readers = self._read_apart(x, valid_mask, global_mask)
            beside = None if readers is None else kernel.beside_global_rows(project)
            if beside is None:
                masks["global_projections"], readers = project(), None
            else:
                kernel = beside
        out = kernel(q, k, v, **masks).transpose(1, 2).flatten(2)
        if readers is None:
            return out
        rows = self._global_rows(x, valid_mask, readers).to(out.dtype)
        return out.masked_scatter(readers[..., None], rows)


class LongformerLayer(nn.Module):
    """One post-norm layer, as published: x = LN(x + attention(x)), then x = LN(x + mlp(x)).

    Source: 2004.05150 (the BERT layer, with windowed attention). ``eps`` is 1e-12 as in the published
    configuration's default, which is what VTN uses.

    Args:
        embed_dim, num_heads: width and heads.
        kernel: the window.
        intermediate_dim: width inside the MLP.
        dropout: after the attention's projection and after the MLP, while training.
        attention_dropout: of the attention weights, while training.
        eps: of both layer norms.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        kernel: SlidingWindowAttention,
        intermediate_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        require_positive(intermediate_dim=intermediate_dim)
        require_probability(dropout=dropout)
        self.attention = LongformerSelfAttention(
            embed_dim, num_heads, kernel=kernel, attention_dropout=attention_dropout
        )
        self.attention_output = nn.Linear(embed_dim, embed_dim)
        self.attention_norm = nn.LayerNorm(embed_dim, eps=eps)
        self.intermediate = nn.Linear(embed_dim, intermediate_dim)
        self.activation = nn.GELU()
        self.output = nn.Linear(intermediate_dim, embed_dim)
        self.output_norm = nn.LayerNorm(embed_dim, eps=eps)
        self.dropout = nn.Dropout(dropout)
        init_longformer(self)

    def attend(self, x: Tensor, valid_mask: Tensor | None, global_mask: Tensor | None) -> Tensor:
        """The attention branch, residual not added."""
        out = self.attention(x, valid_mask=valid_mask, global_mask=global_mask)
        return self.dropout(self.attention_output(out))

    def transform(self, x: Tensor) -> Tensor:
        """The MLP branch, residual not added."""
        return self.dropout(self.output(self.activation(self.intermediate(x))))

    def forward(
        self,
        x: Tokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Tokens:
        """Tokens (B, N, D) → tokens (B, N, D)."""
        x = self.attention_norm(x + self.attend(x, valid_mask, global_mask))
        return self.output_norm(x + self.transform(x))


class PreNormLongformerLayer(LongformerLayer):
    """The same layer with its norms before the branches: x + attention(LN(x)), then x + mlp(LN(x)).

    The character models of 2004.05150 (appendix A) are built this way; it trains without a long warm-up.
    """

    def forward(
        self,
        x: Tokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Tokens:
        """Tokens (B, N, D) → tokens (B, N, D)."""
        x = x + self.attend(self.attention_norm(x), valid_mask, global_mask)
        return x + self.transform(self.output_norm(x))


class LongformerEncoder(nn.Module):
    """A stack of Longformer layers whose windows may differ from layer to layer.

    Source: 2004.05150, section 3; VTN (2102.00719) uses three post-norm layers with a global class token.
    Tokens come embedded (positions added, normed, dropped out by the caller) and any length will do: nothing
    is padded to a multiple of the window.

    Args:
        embed_dim, num_heads, depth: width, heads, layers.
        window_sizes: two-sided and odd; one number, or one a layer. Hugging Face's even 18 is 19 here.
        intermediate_dim: width inside the MLPs.
        dilations: positions between the keys of a window; one number, or for each layer a number or a tuple
            of one a head.
        causal: whether the windows keep only their past half.
        dropout, attention_dropout: while training.
        eps: of the layer norms.
        layer: :class:`LongformerLayer` (post-norm, as published) or :class:`PreNormLongformerLayer`, which a
            last norm follows.
        checkpointing: whether each layer keeps only its input and computes the rest again going backwards.

    >>> import torch
    >>> encoder = LongformerEncoder(12, 3, depth=2, window_sizes=(3, 5), intermediate_dim=24)
    >>> encoder(torch.randn(2, 7, 12)).shape
    torch.Size([2, 7, 12])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        depth: int,
        window_sizes: int | Sequence[int],
        intermediate_dim: int,
        dropout: float = 0.0,
        *,
        attention_dropout: float = 0.0,
        dilations: int | Sequence[int | tuple[int, ...]] = 1,
        causal: bool = False,
        eps: float = 1e-12,
        layer: type[LongformerLayer] = LongformerLayer,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        require_positive(depth=depth)
        windows = (window_sizes,) * depth if isinstance(window_sizes, int) else tuple(window_sizes)
        steps = (dilations,) * depth if isinstance(dilations, int) else tuple(dilations)
        for name, values in (("window_sizes", windows), ("dilations", steps)):
            if len(values) != depth:
                raise ArgumentError(name, values, f"one number or one for each of the {depth} layers")
        self.layers = nn.ModuleList(
            layer(
                embed_dim,
                num_heads,
                kernel=SlidingWindowAttention(window, dilation=step, causal=causal),
                intermediate_dim=intermediate_dim,
                dropout=dropout,
                attention_dropout=attention_dropout,
                eps=eps,
            )
            for window, step in zip(windows, steps, strict=True)
        )
        pre_norm = issubclass(layer, PreNormLongformerLayer)
        self.norm = nn.LayerNorm(embed_dim, eps=eps) if pre_norm else nn.Identity()

    def forward(
        self,
        x: Tokens,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Tokens:
        """Tokens (B, N, D) → tokens (B, N, D)."""
        x = run_blocks(
            self.layers,
            x,
            checkpointing=self.checkpointing,
            valid_mask=valid_mask,
            global_mask=global_mask,
        )
        return self.norm(x)
