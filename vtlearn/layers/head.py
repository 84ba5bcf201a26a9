"""From features to logits: a linear head, VTN's two-layer head, and the start of their weights."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vtlearn.errors import ArgumentError, require_positive


def check_num_classes(num_classes: int) -> None:
    """A head has one class or more; 0 means no head (features come out)."""
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 0:
        raise ArgumentError("num_classes", num_classes, "a positive integer, or 0 for no head")


def linear_head(num_features: int, num_classes: int, *, zero: bool = False) -> nn.Module:
    """One linear layer from features to logits; no layer at all for ``num_classes=0``.

    Weights start as a truncated normal of deviation 0.02 (ViT, TimeSformer), or at zero (ViViT).

    >>> import torch
    >>> linear_head(5, 3, zero=True)(torch.ones(1, 5)).tolist()
    [[0.0, 0.0, 0.0]]
    """
    check_num_classes(num_classes)
    if num_classes == 0:
        return nn.Identity()
    head = nn.Linear(num_features, num_classes)
    if zero:
        nn.init.zeros_(head.weight)
    else:
        nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head


class MlpHead(nn.Module):
    """Layer norm, linear, GELU, dropout, linear: the head of VTN (arXiv 2102.00719; released code,
    ``mlp_head``).

    Args:
        num_features: length of the features.
        hidden_dim: width of the middle layer.
        num_classes: number of logits; 0 leaves the last layer out.
        dropout: probability, before the last layer.

    >>> import torch
    >>> MlpHead(6, 10, 3)(torch.zeros(2, 6)).shape
    torch.Size([2, 3])
    """

    def __init__(self, num_features: int, hidden_dim: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        require_positive(num_features=num_features, hidden_dim=hidden_dim)
        check_num_classes(num_classes)
        self.norm = nn.LayerNorm(num_features, eps=1e-5)
        self.fc1 = nn.Linear(num_features, hidden_dim)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.fc2: nn.Module = nn.Linear(hidden_dim, num_classes) if num_classes else nn.Identity()

    def forward(self, features: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        return self.fc2(self.dropout(self.activation(self.fc1(self.norm(features)))))
