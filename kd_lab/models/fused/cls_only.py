"""The last layer of an encoder, computed for the first token alone: a classifier's head reads no other."""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor

from kd_lab.models.architectures import LAYOUTS, Layout


def narrow_last_layer(net: Any, architecture: str) -> None:
    """Has the last layer computed for the first token alone, until `all_tokens` asks for the others too.

    The first token still attends to all others, so their keys and values are computed; their queries, what attention
    makes of them and their feed-forward part are not, which is five sixths of a layer's multiplications. The logits are
    the same up to rounding. Weights and their names stay as they are.

    Args:
        net: a Hugging Face classifier whose head reads the first token; changed in place.
        architecture: its family; one that is not known keeps its layer.
    """
    if architecture in LAYOUTS:
        layer = _last(net, architecture)
        layer.first_token_alone, layer.layout = True, LAYOUTS[architecture]
        layer.forward = MethodType(_first_token, layer)


def all_tokens(net: Any, architecture: str, asked: bool) -> None:
    """Says whether the last layer's states are asked for, of all tokens, from now on."""
    if architecture in LAYOUTS:
        _last(net, architecture).first_token_alone = not asked


def _last(net: Any, architecture: str) -> Any:
    return net.base_model.get_submodule(LAYOUTS[architecture].layers)[-1]


def _first_token(
    layer: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, *rest: Any, **options: Any
) -> Any:
    """(B, T, H) -> (B, 1, H), or (B, T, H) where the layer is asked for all tokens."""
    heard = _attended(layer, layer.layout, hidden_states, attention_mask)
    if heard is None:
        return type(layer).forward(layer, hidden_states, attention_mask, *rest, **options)
    first = hidden_states[:, :1]
    if hasattr(layer, "feed_forward_chunk"):
        return layer.feed_forward_chunk(layer.attention.output(heard, first))
    merged = layer.sa_layer_norm(layer.attention.out_lin(heard) + first)  # a DistilBERT's
    return layer.output_layer_norm(layer.ffn(merged) + merged)


def _attended(layer: Any, layout: Layout, hidden_states: Tensor, mask: Tensor | None) -> Tensor | None:
    """What the heads say to the first token, (B, 1, units), by the attention that the encoder is set to.

    None where all tokens are asked for, or where the attention is the family's own code for looking at its weights.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS  # here: a second that an LSTM need not wait for

    attention = layer.get_submodule(layout.attention)
    how = attention.config._attn_implementation
    if not layer.first_token_alone or how not in ALL_ATTENTION_FUNCTIONS:
        return None
    rows, size = hidden_states.shape[0], attention.attention_head_size

    def heads(name: str, states: Tensor) -> Tensor:
        return layer.get_submodule(name)(states).view(*states.shape[:2], -1, size).transpose(1, 2)  # type: ignore[no-any-return]

    attended, _ = ALL_ATTENTION_FUNCTIONS[how](
        attention,
        heads(layout.query, hidden_states[:, :1]),
        heads(layout.key, hidden_states),
        heads(layout.value, hidden_states),
        mask if mask is None or mask.ndim < 4 else mask[:, :, :1],  # (B, 1, T, T): of the first token
        dropout=attention.dropout.p if layer.training else 0.0,
        scaling=attention.scaling,
    )
    return attended.reshape(rows, 1, -1)  # type: ignore[no-any-return]
