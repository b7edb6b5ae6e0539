"""How a classifier that is made of a torch classifier says in its config.json which one, and builds it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.formats import class_of, format_of, known_format
from kd_lab.core.reading import reading
from kd_lab.core.types import Batch, Outputs
from kd_lab.models.base import CONFIG, WEIGHTS, TorchClassifier, read_config
from kd_lab.models.weights_file import read_tensors, refuse_giants


class TorchWrapper:
    """What the classifiers have alike that are made of a torch classifier, `net`, and compute on the CPU with it."""

    net: TorchClassifier

    def __call__(self, batch: Batch) -> Outputs:
        """Logits (B, C) float32; the batch must be on the CPU."""
        with torch.no_grad():
            outputs: Outputs = self.net(batch)
        return outputs

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights."""
        return self.net.count_parameters()


def write_source(source: type[TorchClassifier], config: Mapping[str, Any], folder: Path, **more: str) -> None:
    """Writes config.json: the format and the config of the torch classifier, and what else is to stand there."""
    about = {"source": format_of(source), "config": config, **more}
    (folder / CONFIG).write_text(json.dumps(about, indent=1), encoding="utf-8")


def build_source(folder: Path) -> TorchClassifier:
    """The classifier that config.json describes, with random weights, in evaluation mode.

    Raises:
        UserError: the file is missing or damaged, or names no torch classifier of kd_lab.
    """
    about = read_config(folder)
    source = source_class(about, folder / CONFIG)
    return build_of(source, about, folder)


def build_of(source: type[TorchClassifier], about: Mapping[str, Any], folder: Path) -> TorchClassifier:
    """The classifier of that class which `about`, the contents of config.json, describes, in evaluation mode.

    Raises:
        UserError: it describes none, or one that the weights beside it cannot fill.
    """
    expected, cure = f"the config of a {source.__name__}", "Compress the fitted model again."
    with reading(folder / CONFIG, expected=expected, cure=cure):
        config = about["config"]
        source.refuse_config(config, folder / CONFIG)
        refuse_giants(lambda: source(config), config, folder / WEIGHTS)
        return source(config).eval()


def source_class(about: Mapping[str, Any], file: Path) -> type[TorchClassifier]:
    """The class of the model that `about`, the contents of `file`, names as its source.

    Raises:
        UserError: it is none of kd_lab's torch classifiers.
    """
    name = about.get("source", "no source") if isinstance(about, Mapping) else "no source"
    found = known_format(name)
    kind = class_of(found) if found else None
    if not (isinstance(kind, type) and issubclass(kind, TorchClassifier)):
        got = str(name)[:100]
        raise UserError(str(file), expected="a torch classifier of kd_lab", got=got, cure="Do not load this folder.")
    return kind


def read_weights(folder: Path, cure: str, wanted: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The tensors of model.safetensors.

    Args:
        wanted: tensors of the names, types and shapes that the file must have; None where any will do.

    Raises:
        UserError: the file is missing, cut short or not safetensors, or has other tensors.
    """
    tensors = read_tensors(folder / WEIGHTS, expected="the weights of a compressed model", cure=cure)
    if wanted is None:
        return tensors
    names = sorted(tensors.keys() | wanted.keys())
    if wrong := [name for name in names if form(wanted.get(name)) != form(tensors.get(name))]:
        expected = f"{wrong[0]}: {form(wanted.get(wrong[0]))}"
        got = f"{form(tensors.get(wrong[0]))} ({len(wrong)} tensors do not fit)"
        raise UserError(str(folder / WEIGHTS), expected=expected, got=got, cure=cure)
    return tensors


def form(tensor: Tensor | None) -> str:
    """Type and shape of a tensor in words, for a message."""
    return "nothing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
