"""The pre-norm encoder block and its parts: the MLP, stochastic depth, the run through a stack, the starts of
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vtlearn.attention import FullAttention, MultiHeadAttention
from vtlearn.errors import require, require_one_of, require_positive, require_probability

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "relu": nn.ReLU,
}
"""Activations by name; ViT, TimeSformer and VTN use the exact GELU, ViViT its tanh approximation."""


class Mlp(nn.Module):
    """Two linear layers with an activation between: each token by itself.

    Args:
        embed_dim: length of a token in and out.
        hidden_dim: width between the layers.
        activation: a name in :data:`ACTIVATIONS`.
        dropout: probability after each layer.

    >>> Mlp(6, 24)(torch.zeros(2, 5, 6)).shape
    torch.Size([2, 5, 6])
    """

    def __init__(
        self, embed_dim: int, hidden_dim: int, *, activation: str = "gelu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, hidden_dim=hidden_dim)
        require_one_of("activation", activation, ACTIVATIONS)
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.activation = ACTIVATIONS[activation]()
        self.fc2 = nn.Linear(hidden_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*tokens D"]) -> Float[Tensor, "*tokens D"]:
        return self.dropout(self.fc2(self.dropout(self.activation(self.fc1(x)))))


class DropPath(nn.Module):
    """Stochastic depth: in training, a whole row's update is dropped with probability ``rate``, the others
    scaled up.

    Huang et al., arXiv 1603.09382. What a row is, the caller says by ``row_dims``: an axis not named shares
    its fate.

    >>> drop = DropPath(0.5).train()
    >>> kept = drop(torch.ones(64, 3, 2)).amax(dim=(1, 2))
    >>> sorted(set(kept.tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        require_probability(drop_path=rate)
        self.rate = rate

    def forward(self, update: Tensor, row_dims: Sequence[int] = (0,)) -> Tensor:
        if not self.training or self.rate == 0.0:
            return update
        shape = [size if dim in row_dims else 1 for dim, size in enumerate(update.shape)]
        kept = torch.empty(shape, dtype=update.dtype, device=update.device).bernoulli_(1.0 - self.rate)
        return update * (kept / (1.0 - self.rate))

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Stochastic depth grows linearly from 0 in the first block to ``last`` in the last.

    >>> drop_path_rates(0.1, 3)
    [0.0, 0.05, 0.1]
    """
    require_positive(depth=depth)
    return [last * block / max(depth - 1, 1) for block in range(depth)]


class EncoderBlock(nn.Module):
    """One pre-norm transformer block: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    ViT, section 3.1, equations 2 and 3, arXiv 2010.11929.

    Args:
        embed_dim: length D of a token.
        num_heads: attention heads; divides D.
        mlp_dim: hidden width of the MLP.
        qkv_bias: whether the query, key and value projections have a bias.
        activation: of the MLP, by name.
        norm_eps: of both layer norms.
        dropout: after the attention projection and in the MLP.
        attention_dropout: on the attention weights.
        drop_path: probability of dropping an update of a row.

    Cost: 12 N D² + 2 N² D multiply-adds for N tokens at an MLP ratio of 4.

    >>> EncoderBlock(12, 3, 48)(torch.zeros(2, 5, 12)).shape
    torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_dim: int,
        *,
        qkv_bias: bool = True,
        activation: str = "gelu",
        norm_eps: float = 1e-6,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.attn = MultiHeadAttention(
            embed_dim,
            num_heads,
            kernel=FullAttention(),
            qkv_bias=qkv_bias,
            attention_dropout=attention_dropout,
            projection_dropout=dropout,
        )
        self.norm2 = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.mlp = Mlp(embed_dim, mlp_dim, activation=activation, dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def run_blocks(
    blocks: Iterable[nn.Module], x: Tensor, *args: object, checkpointing: bool = False, **options: Any
) -> Tensor:
    """Send tokens through blocks in turn; with ``checkpointing`` each block's inner activations are computed
    anew in backward.

    Checkpointing changes no result (dropout draws the same numbers again), only memory: one activation a
    block is kept.
    """
    for block in blocks:
        if checkpointing and torch.is_grad_enabled():
            x = checkpoint(block, x, *args, use_reentrant=False, **options)
        else:
            x = block(x, *args, **options)
    return x


def check_width(embed_dim: int, num_heads: int, depth: int, mlp_ratio: float) -> None:
    """The sizes of a transformer must be positive, and the heads must share the width evenly."""
    require_positive(embed_dim=embed_dim, num_heads=num_heads, depth=depth)
    require(embed_dim % num_heads == 0, "embed_dim", embed_dim, f"a multiple of num_heads = {num_heads}")
    require(mlp_ratio > 0, "mlp_ratio", mlp_ratio, "positive")


def start_truncated_normal(module: nn.Module) -> None:
    """Linear weights from a truncated normal of deviation 0.02, biases zero, norms 1 and 0 (ViT,
    TimeSformer).
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def start_xavier(module: nn.Module) -> None:
    """Linear weights Xavier uniform, biases zero, norms 1 and 0 (ViViT, after its released code).

    A fused ``qkv`` layer is three square matrices, so each gets the range of its own shape.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            thirds = part.weight.data.chunk(3) if name.endswith("qkv") else (part.weight.data,)
            for third in thirds:
                nn.init.xavier_uniform_(third)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
