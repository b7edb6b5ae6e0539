"""Renames the weights of one encoder into another's layout, and picks layers."""

from __future__ import annotations

import re

from torch import Tensor

from kd_lab.models.architectures import LAYOUTS, base_prefix

_PARTS = ("query", "key", "value", "merge", "merge_norm", "grow", "shrink", "shrink_norm")
_BERT, _DISTILBERT = LAYOUTS["bert"], LAYOUTS["distilbert"]
_PAIRS = {getattr(_BERT, part): getattr(_DISTILBERT, part) for part in _PARTS}  # within a layer
_STACK = {"bert": _BERT.layers, "distilbert": _DISTILBERT.layers}  # where a family keeps its layers
_LAYER = re.compile(r"^(?:encoder|transformer)\.layer\.(\d+)\.(.+)\.(weight|bias)$")


def take_layers(source: dict[str, Tensor], architecture: str, keep: tuple[int, ...] | None) -> dict[str, Tensor]:
    """The weights of an encoder, named as `architecture` names them, with only the layers in `keep`.

    Args:
        source: a state dict of an encoder or of a classifier around one; a head is left out.
        architecture: the family to name the weights for. BERT and DistilBERT are translated into each other;
            other families keep their names.
        keep: source layers in the order of the target's; None keeps all, in order.

    Returns:
        name within the encoder -> weight.
    """
    prefix = rf"^({'|'.join(_STACK)}|{base_prefix(architecture)})\."
    bare = {modern(re.sub(prefix, "", name)): weight for name, weight in source.items()}
    if architecture not in _STACK:
        return bare
    to_distilbert = architecture == "distilbert"
    segments = bare.pop("embeddings.token_type_embeddings.weight", None) if to_distilbert else None
    if segments is not None:  # DistilBERT has no segments: BERT adds the first one's vector to every token
        bare["embeddings.position_embeddings.weight"] = bare["embeddings.position_embeddings.weight"] + segments[0]
    names = _PAIRS if to_distilbert else {new: old for old, new in _PAIRS.items()}
    place = None if keep is None else {layer: index for index, layer in enumerate(keep)}
    taken = {}
    for name, weight in bare.items():
        match = _LAYER.match(name)
        if match is None:
            taken[name] = weight
            continue
        layer, part, kind = int(match[1]), match[2], match[3]
        if place is None or layer in place:
            index = layer if place is None else place[layer]
            taken[f"{_STACK[architecture]}.{index}.{names.get(part, part)}.{kind}"] = weight
    return taken


def modern(name: str) -> str:
    """bert-base-uncased on the hub still calls the weight and bias of a LayerNorm gamma and beta."""
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
