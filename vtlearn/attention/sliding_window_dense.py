"""The sliding window by one fused call under a dense mask: what short sequences are fastest with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def dense_window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projections: tuple[Tensor, Tensor, Tensor] | None,
    reach: int,
    steps: tuple[int, ...],
    causal: bool,
    global_mask: Tensor | None,
    valid_mask: Tensor | None,
    dropout_p: float = 0.0,
) -> Tensor:
    """Windowed attention over all pairs under a dense mask; arguments as checked at the door.

    It looks at no mask's contents, so a compiled graph runs through it.
    """
    index = torch.arange(q.shape[2], device=q.device)
    offset = index[None, :] - index[:, None]
    step = torch.tensor(steps[:1] if len(set(steps)) == 1 else steps, device=q.device)[:, None, None]
    allowed = (offset % step == 0) & (offset >= -reach * step) & (offset <= (0 if causal else reach) * step)
    allowed = allowed[None]
    everyone = None
    is_global = global_mask
    if valid_mask is not None:
        is_global = None if global_mask is None else global_mask & valid_mask
        everyone = valid_mask[:, None, None, :] | ~valid_mask[:, None, :, None]
    if is_global is not None:
        allowed = allowed | is_global[:, None, :, None] | is_global[:, None, None, :]
    if valid_mask is not None:
        allowed = allowed & valid_mask[:, None, None, :] | ~valid_mask[:, None, :, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=dropout_p)
    if is_global is not None and projections is not None:
        rows = F.scaled_dot_product_attention(*projections, attn_mask=everyone, dropout_p=dropout_p)
        out = torch.where(is_global[:, None, :, None], rows, out)
    return out if valid_mask is None else out.masked_fill(~valid_mask[:, None, :, None], 0.0)
