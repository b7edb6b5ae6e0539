"""How a classifier that was made of a torch classifier says in its config.json which one, and builds it again."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kd_lab.errors import UserError
from kd_lab.models.torch_classifier import CONFIG, WEIGHTS, TorchClassifier, read_config


def write_source(model: TorchClassifier, folder: Path) -> None:
    """Writes config.json: the class and the config of `model`."""
    kind = type(model)
    about = {"source": f"{kind.__module__}.{kind.__qualname__}", "config": model.config}
    (folder / CONFIG).write_text(json.dumps(about, indent=1), encoding="utf-8")


def build_source(folder: Path) -> TorchClassifier:
    """The classifier that config.json describes, with random weights, in evaluation mode.

    Raises:
        UserError: the file is missing or damaged, or names no torch classifier of kd_lab.
    """
    about = read_config(folder)
    source = source_class(about, folder / CONFIG)
    try:
        return source.from_config(about["config"]).eval()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            str(folder / CONFIG),
            expected=f"the config of a {source.__name__}",
            got=f"{type(error).__name__}: {error}",
            cure="Compress the fitted model again.",
        ) from error


def source_class(about: Mapping[str, Any], file: Path) -> type[TorchClassifier]:
    """The class of the model that `about`, the contents of `file`, names as its source.

    Raises:
        UserError: it is none of kd_lab's torch classifiers.
    """
    name = str(about.get("source")) if isinstance(about, Mapping) else "no source"
    module, _, attribute = name.rpartition(".")
    kind = None
    if module.startswith("kd_lab."):
        try:
            kind = getattr(importlib.import_module(module), attribute, None)
        except ImportError:
            kind = None
    if not (isinstance(kind, type) and issubclass(kind, TorchClassifier)):
        raise UserError(str(file), expected="a torch classifier of kd_lab", got=name, cure="Do not load this folder.")
    return kind


def read_weights(folder: Path, cure: str) -> dict[str, Tensor]:
    """The tensors of model.safetensors.

    Raises:
        UserError: the file is missing, cut short or not safetensors.
    """
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(
            str(folder / WEIGHTS), expected="the weights of a compressed model", got=str(error), cure=cure
        ) from error


def form(tensor: Tensor | None) -> str:
    """Type and shape of a tensor in words, for a message."""
    return "nothing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
