"""Multi-head attention: one projection in, any kernel, one projection out."""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor, nn

from vtlearn.attention.full import FullAttention
from vtlearn.attention.kernel import AttentionKernel
from vtlearn.errors import require, require_divisible, require_positive, require_probability
from vtlearn.shapes import TokenGrid, Tokens


class MultiHeadAttention(nn.Module):
    """Project tokens to queries, keys and values, attend in every head with ``kernel``, join, project again.

    Source: 1706.03762, section 3.2.2, in the layout of the image transformer (2010.11929): one fused ``qkv``
    layer whose output is q, then k, then v, each head-major. Costs 4·N·D² multiply-adds beside the kernel's
    own.

    Args:
        embed_dim: width D of the tokens.
        num_heads: heads; divides ``embed_dim``.
        kernel: who attends to whom and how it is computed; full attention by default.
        qkv_bias: whether ``qkv`` has a bias.
        attention_dropout: dropout of the attention weights while training.
        projection_dropout: dropout of the result while training.

    Raises:
        ArgumentError: ``embed_dim`` not divisible by ``num_heads``, a dropout outside [0, 1).

    >>> import torch
    >>> attention = MultiHeadAttention(12, num_heads=3)
    >>> attention(torch.zeros(2, 5, 12)).shape
    torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        kernel: AttentionKernel | None = None,
        qkv_bias: bool = True,
        attention_dropout: float = 0.0,
        projection_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, num_heads=num_heads)
        require_divisible("embed_dim", embed_dim, "num_heads", num_heads)
        require_probability(attention_dropout=attention_dropout, projection_dropout=projection_dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.kernel: AttentionKernel = FullAttention() if kernel is None else kernel
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=qkv_bias)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.projection_dropout = nn.Dropout(projection_dropout)

    def forward(
        self,
        x: Tokens,
        *,
        valid_mask: Bool[Tensor, "B N"] | None = None,
        global_mask: Bool[Tensor, "B N"] | None = None,
        grid: TokenGrid | None = None,
    ) -> Tokens:
        """Tokens (B, N, D) → tokens (B, N, D); ``grid`` is theirs, for kernels that follow one."""
        require(
            x.ndim == 3 and x.shape[-1] == self.embed_dim,
            "x",
            tuple(x.shape),
            f"of shape (B, N, {self.embed_dim})",
        )
        batch, num_tokens, _ = x.shape
        qkv = self.qkv(x).view(batch, num_tokens, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        dropout_p = self.attention_dropout if self.training else 0.0
        kernel = self.kernel if grid is None else self.kernel.on(grid)
        out = kernel(q, k, v, valid_mask=valid_mask, global_mask=global_mask, dropout_p=dropout_p)
        return self.projection_dropout(
            self.proj(out.transpose(1, 2).reshape(batch, num_tokens, self.embed_dim))
        )

    def extra_repr(self) -> str:
        return f"num_heads={self.num_heads}, kernel={self.kernel}"
