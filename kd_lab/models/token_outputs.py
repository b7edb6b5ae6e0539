"""What an encoder can be asked beside logits: states of its layers, queries, keys, values and attention scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from kd_lab.core.types import ModelShape
from kd_lab.models.architectures import LAYOUTS, Layout, head_size, heads_in

HIDDEN = frozenset({"hidden", "all_hidden"})  # of any family
_HEARD = {  # field -> the projections that it is made of
    "queries": ("query",),
    "keys": ("key",),
    "values": ("value",),
    "attention": ("query", "key"),
    "all_attention": ("query", "key"),
}


class _Projections(NamedTuple):
    """Where a family keeps its layers, within the encoder, and these, within a layer."""

    layers: str
    query: str
    key: str
    value: str


_FAMILIES: dict[str, Layout | _Projections] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie"), LAYOUTS["bert"]),
    "distilbert": LAYOUTS["distilbert"],
    "mpnet": _Projections("encoder.layer", *(f"attention.attn.{name}" for name in "qkv")),
}
_BIASED = {"mpnet"}  # families that add to their scores what depends on the places of two tokens


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """What an encoder with this config can be asked for.

    Args:
        config: of Hugging Face's, with kd_lab's own entry where it has one.
    """
    family = config["model_type"]
    names = ("dim", "n_layers") if family == "distilbert" else ("hidden_size", "num_hidden_layers")
    fields = {"logits", *HIDDEN}
    if family in _FAMILIES:
        fields |= {"queries", "keys", "values"} | (set() if family in _BIASED else {"attention", "all_attention"})
    width, layers = (int(config[name]) for name in names)
    return ModelShape(frozenset(fields), width, layers, heads_in(config))


@contextmanager
def listening(net: Any, config: Mapping[str, Any], fields: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """Meanwhile what the projections of the layers say is kept, and afterwards there are the fields.

    Only those layers are listened to that a field is made of, and only meanwhile: the others, and these at other times,
    run as fast as they can. An encoder of a family that does not give a field leaves it out.

    Args:
        net: a Hugging Face classifier that computes all tokens, see `cls_only.all_tokens`.
        fields: of `Outputs`.

    Yields:
        field -> (B, A, T, D), or scores; filled when the block is left.
    """
    found: dict[str, Tensor] = {}
    asked = [name for name in _HEARD if name in fields and name in shape_of(config).gives]
    if not asked:
        yield found
        return
    names = _FAMILIES[config["model_type"]]
    layers = cast("nn.ModuleList", net.base_model.get_submodule(names.layers))
    heard: dict[tuple[str, int], Tensor] = {}
    handles = []
    for number, layer in enumerate(layers):
        for name in {name for field in asked if _reaches(field, number, layers) for name in _HEARD[field]}:
            projection = layer.get_submodule(getattr(names, name))
            handles.append(projection.register_forward_hook(_keeping(heard, (name, number))))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
    split = {key: _split(states, head_size(config)) for key, states in heard.items()}
    last = len(layers) - 1
    for field, name in (("queries", "query"), ("keys", "key"), ("values", "value")):
        if field in asked:
            found[field] = split[name, last]
    if "attention" in asked:
        found["attention"] = _scores(split["query", last], split["key", last])
    if "all_attention" in asked:
        each = (_scores(split["query", number], split["key", number]) for number in range(len(layers)))
        found["all_attention"] = torch.stack(list(each), dim=1)


def _reaches(field: str, number: int, layers: nn.ModuleList) -> bool:
    return field == "all_attention" or number == len(layers) - 1


def _keeping(heard: dict[tuple[str, int], Tensor], key: tuple[str, int]) -> Callable[..., None]:
    def keep(module: nn.Module, given: Any, states: Tensor) -> None:
        heard[key] = states

    return keep


def _split(states: Tensor, size: int) -> Tensor:
    """(B, T, A D) -> (B, A, T, D) in float32."""
    rows, tokens, units = states.shape
    return states.float().reshape(rows, tokens, units // size, size).transpose(1, 2)


def _scores(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, A, T, T), in float32 under autocast too."""
    with torch.autocast(queries.device.type, enabled=False):
        found: Tensor = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return found
