"""Attention for decoding: keys and values of grouped heads are not repeated. Imports torch."""

# torch and transformers have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

__all__ = ["ATTENTION", "register_attention"]

ATTENTION = "stackbench_grouped"


def register_attention() -> None:
    """Makes `ATTENTION` known to Transformers, and has PyTorch leave cuDNN's attention aside.

    It seems to prepare each new shape anew, and every step has a longer cache than the last: docs/performance.md.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    AttentionInterface.register(ATTENTION, _grouped_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention, (B, H, Q, D) by (B, G, L, D), without repeating keys for grouped heads.

    When one token is decoded, the H/G query heads that share a key head stand in as its query positions. A masked
    prompt on a GPU is the exception: only with repeated keys is there a kernel that holds no (Q, L) matrix per head.
    """
    batch, heads, length, width = query.shape
    groups = key.shape[1]
    if length == 1 and heads != groups:
        folded = query.reshape(batch, groups, heads // groups, width)
        out = torch.nn.functional.scaled_dot_product_attention(
            folded, key, value, attn_mask=attention_mask, scale=scaling
        )
        return out.reshape(batch, 1, heads, width), None
    if attention_mask is not None and query.is_cuda and heads != groups:
        key, value = (one.repeat_interleave(heads // groups, dim=1) for one in (key, value))
    out = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        scale=scaling,
        is_causal=attention_mask is None and length > 1,
        enable_gqa=heads != key.shape[1],
    )
    return out.transpose(1, 2).contiguous(), None
