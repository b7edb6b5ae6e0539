"""Reads a model.safetensors, and refuses a config.json that would have more built than the file has weights for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading

if TYPE_CHECKING:
    from torch import Tensor, nn

CURE = "Copy the model's folder again, or compress or fit it anew."
_CLASSES = ("label2id", "id2label")  # whose keys or values are a user's words
_COUNTED = 2**20  # the largest number of labels, heads and the like
_SPARSE = 32  # a sparse file holds a float32 in one bit, at least
_SMALL = 2**20  # bytes that any model may take


def read_tensors(path: Path, *, expected: str = "weights as safetensors", cure: str = CURE) -> dict[str, Tensor]:
    """The tensors by name.

    The library refuses a header above 100 MB or longer than the file before it reads it; nothing in the file is code.

    Raises:
        UserError: there is no such file, or it is cut short, damaged or not safetensors.
    """
    from safetensors.torch import load_file

    with reading(path, expected=expected, cure=cure):
        tensors: dict[str, Tensor] = load_file(path)
    return tensors


def refuse_giants(build: Callable[[], nn.Module], config: Mapping[str, Any], weights: Path) -> None:
    """Refuses a config that says more than its weights can be, before memory is taken for it.

    Args:
        build: makes the model that `config` describes.
        config: contents of a config.json.
        weights: the model.safetensors beside it.

    Raises:
        UserError: as said, or the weights cannot be read.
    """
    import torch
    from safetensors import safe_open

    with reading(weights, expected="weights as safetensors", cure=CURE):
        size = weights.stat().st_size
        with safe_open(weights, framework="pt") as file:
            tensors = len(file.keys())
    where = weights.with_name("config.json")
    for name, number in _numbers(config):
        most = tensors if "layers" in name else _COUNTED if name.startswith(("n_", "num_")) else max(size, _COUNTED)
        if not -most <= number <= most:
            raise _giant(where, f"{name}={number:.3g}", size)
    with reading(where, expected="a config of a model of kd_lab's", cure=CURE), torch.device("meta"):
        parts = [*(model := build()).parameters(), *model.buffers()]
        needed = sum(part.numel() * part.element_size() for part in parts)
    if needed > _SPARSE * size + _SMALL:
        raise _giant(where, f"{needed / 2**20:.0f} MiB", size)


def _numbers(config: Any, name: str = "") -> list[tuple[str, int | float]]:
    if isinstance(config, Mapping):
        return [found for key, value in config.items() if key not in _CLASSES for found in _numbers(value, str(key))]
    if isinstance(config, list):
        return [found for value in config for found in _numbers(value, name)]
    return [(name, config)] if isinstance(config, int | float) else []


def _giant(where: Path, got: str, size: int) -> UserError:
    return UserError(
        str(where), expected=f"a model that {size / 2**20:.1f} MiB of weights can fill", got=got, cure=CURE
    )
