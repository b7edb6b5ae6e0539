"""Writes an encoder's attention into an ONNX graph in few operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

PLAIN, FUSED = "kd_lab_plain", "kd_lab_fused"  # what `_attn_implementation` of a transformers config may be


def write_with(model: nn.Module, fused: bool) -> None:
    """Has every encoder within `model` compute its attention by the functions of this file; for export only.

    Args:
        model: changed in place. Encoders that do not take their attention from transformers' interface keep their own.
        fused: one MultiHeadAttention of ONNX Runtime's own rather than operations that every runtime has.
    """
    for module in model.modules():
        settings = getattr(module, "config", None)
        supports = getattr(module, "_supports_attention_backend", False)
        if supports and settings is not None and hasattr(settings, "_attn_implementation"):
            settings._attn_implementation = FUSED if fused else PLAIN


def plain(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,  # what transformers passes to every attention, such as dropout, which an exported model has none of
) -> tuple[Tensor, None]:
    """softmax(scaling q k^T + mask) v.

    Args:
        module: the layer that asks.
        query, key, value: (B, heads, T, width of a head).
        attention_mask: what `plain_mask` made, (B, 1, 1, T) float.
        scaling: of the scores.

    Returns:
        (B, T, heads, width of a head), and no weights.
    """
    scores = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask
    return torch.matmul(scores.softmax(dim=-1), value).transpose(1, 2), None


def plain_mask(*, attention_mask: Tensor, dtype: torch.dtype = torch.float32, **_: Any) -> Tensor:
    """(B, T), 0 for padding -> (B, 1, 1, T), 0 for tokens and the least number for padding."""
    least = torch.full((), torch.finfo(dtype).min, dtype=dtype)
    return torch.where(attention_mask, torch.zeros((), dtype=dtype), least)[:, None, None, :]


def fused(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """The same as `plain` as com.microsoft's MultiHeadAttention; computes nothing by itself.

    Args:
        module: the layer that asks.
        query, key, value: (B, heads, T, width of a head).
        attention_mask: what `fused_mask` made, (B, T) int32.
        scaling: of the scores.
    """
    rows, heads, tokens, width = query.shape
    flat = [states.transpose(1, 2).reshape(rows, states.shape[2], heads * width) for states in (query, key, value)]
    attended = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (*flat, None, attention_mask),
        {"num_heads": heads, "scale": scaling},
        dtype=torch.float32,
        shape=(rows, tokens, heads * width),
        version=1,
    )
    return attended.reshape(rows, tokens, heads, width), None


def fused_mask(*, attention_mask: Tensor, **_: Any) -> Tensor:
    """(B, T), 0 for padding, as MultiHeadAttention takes it."""
    return attention_mask.to(torch.int32)


for name, function, mask in ((PLAIN, plain, plain_mask), (FUSED, fused, fused_mask)):
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, mask)
