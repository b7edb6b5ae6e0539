"""The layers of BERT and DistilBERT, computed by `bf16_ops` wherever they would run under bf16 autocast on the CPU."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from kd_lab.models.architectures import LAYOUTS, Layout
from kd_lab.models.fused.bf16_ops import BF16, add_norm, attention, linear

_NEVER = -1e9  # added to the score of padding


def use_bf16_layers(net: Any, architecture: str) -> None:
    """Has the layers computed here under bf16 autocast on the CPU, and elsewhere as before.

    Weights and their names stay as they are; logits and gradients are those of autocast up to the rounding of bf16.

    Args:
        net: a Hugging Face classifier, changed in place.
        architecture: its family; one that is not known keeps its layers.
    """
    if architecture in LAYOUTS:
        for layer in net.base_model.get_submodule(LAYOUTS[architecture].layers):
            layer.elsewhere, layer.layout = layer.forward, LAYOUTS[architecture]
            layer.forward = MethodType(_computed, layer)


def _computed(layer: Any, hidden_states: Tensor, attention_mask: Any = None, *rest: Any, **options: Any) -> Tensor:
    """(B, T, H) -> (B, T, H), or (B, 1, H) from a layer that computes its first token alone."""
    if not _applies(layer, layer.layout, hidden_states):
        return layer.elsewhere(hidden_states, attention_mask, *rest, **options)  # type: ignore[no-any-return]
    return _forward(layer, layer.layout, hidden_states, attention_mask)


def _applies(layer: Any, layout: Layout, states: Tensor) -> bool:
    """Whether the layer runs in bf16 on the CPU, and none of its parts is other than usual."""
    if not (
        states.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == BF16
        and layer.get_submodule(layout.attention).config._attn_implementation == "sdpa"
    ):
        return False
    products = (layout.query, layout.key, layout.value, layout.merge, layout.grow, layout.shrink)
    if not all(_is_plain(layer.get_submodule(name), nn.Linear) for name in products):
        return False
    if not all(_is_plain(layer.get_submodule(name), nn.LayerNorm) for name in (layout.merge_norm, layout.shrink_norm)):
        return False
    activation = layer.get_submodule(layout.activation)
    return getattr(activation, "act", None) is gelu or getattr(activation, "approximate", None) == "none"


def _is_plain(part: Any, kind: type[nn.Module]) -> bool:
    """Whether its weights in float32 are all there is to it, and nobody listens."""
    listened_to = part._forward_hooks or part._forward_pre_hooks
    return type(part) is kind and part.bias is not None and part.weight.dtype == torch.float32 and not listened_to


def _forward(layer: Any, layout: Layout, states: Tensor, mask: Tensor | None) -> Tensor:
    def weights(*names: str) -> list[Tensor]:
        return [
            weight for name in names for weight in (layer.get_submodule(name).weight, layer.get_submodule(name).bias)
        ]

    def rate(name: str | None) -> float:
        return float(layer.get_submodule(name).p) if name and layer.training else 0.0

    def norm(states: Tensor, change: Tensor, dropout: str | None, name: str) -> Tensor:
        part = layer.get_submodule(name)
        return add_norm(states, change, rate(dropout), part.weight, part.bias, part.eps)

    states = states.to(BF16)
    asking = states[:, :1] if getattr(layer, "first_token_alone", False) else states
    if asking is states:
        queries, keys, values = linear(states, *weights(layout.query, layout.key, layout.value)).chunk(3, -1)
    else:
        queries = linear(asking, *weights(layout.query))
        keys, values = linear(states, *weights(layout.key, layout.value)).chunk(2, -1)
    heads = layer.get_submodule(layout.attention)
    dropout = float(heads.dropout.p) if layer.training else 0.0
    heard = attention(queries, keys, values, _added(mask), heads.attention_head_size, heads.scaling, dropout)
    merged = norm(asking, linear(heard, *weights(layout.merge)), layout.merge_dropout, layout.merge_norm)
    grown = gelu(linear(merged, *weights(layout.grow)))
    return norm(merged, linear(grown, *weights(layout.shrink)), layout.shrink_dropout, layout.shrink_norm)


def _added(mask: Tensor | None) -> Tensor | None:
    """What is added to the scores, (B, 1, 1, T) float32: padding is the same for all who ask."""
    if mask is None:
        return None
    mask = mask[:, :, :1] if mask.ndim == 4 else mask[:, None, None]  # (B, 1, T, T) or (B, T)
    return mask.float() if mask.is_floating_point() else (1 - mask.float()) * _NEVER
