"""A torch classifier whose file holds zeros as bits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from kd_lab.compression.quantize.source_model import TorchWrapper, build_source, form, read_weights, write_source
from kd_lab.core.errors import UserError
from kd_lab.models.base import WEIGHTS, TorchClassifier

MASK, VALUES = ".mask", ".values"
_CURE = "Compress the fitted model again, with compression=[prune_l1,sparse]."
_OVERHEAD = 128  # bytes that one more entry takes in the file's header, at most


class SparseClassifier(TorchWrapper):
    """A TorchClassifier that predicts as ever and is small on disk where weights are zero.

    Saved as `config.json` (class and config of the torch model) and `model.safetensors`. There a float tensor of n
    weights, k of them not zero, is `<name>.mask`, one bit a weight, lowest bit first, and `<name>.values`, the k
    weights in order: n / 8 bytes and k times a weight's size. A tensor that would not get smaller is stored as it is.
    In memory all tensors are dense.

    Args:
        source: the torch classifier; it stays as it was.
    """

    def __init__(self, source: TorchClassifier) -> None:
        self.net = copy.deepcopy(source).cpu().eval()
        self.net.returns = frozenset({"logits"})
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.masked_fill_(weight == 0, 0.0)  # a zero has no sign in the file

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors."""
        write_source(type(self.net), self.net.config, folder)
        save_file(self.packed(), folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; every tensor is the same to the last bit.

        Raises:
            UserError: a file is missing, cut short or not one that `save` wrote.
        """
        model = build_source(folder)
        stored = read_weights(folder, _CURE)
        model.load_state_dict({name: _unpack(name, like, stored, folder) for name, like in model.state_dict().items()})
        if stored:  # `_unpack` takes out what it reads
            raise _damaged(folder, "no other tensors", f"{sorted(stored)[0]} ({len(stored)} too many)")
        return cls(model)

    def packed(self) -> dict[str, Tensor]:
        """All that `save` keeps, by name."""
        entries: dict[str, Tensor] = {}
        for name, tensor in self.net.state_dict().items():
            entries.update(_pack(name, tensor.detach().contiguous()))
        return entries

    def mib(self) -> tuple[float, float]:
        """(dense, as stored) size of all tensors in MiB (2^20 bytes)."""
        return _mib(self.net.state_dict()), _mib(self.packed())


def _pack(name: str, tensor: Tensor) -> dict[str, Tensor]:
    kept = tensor != 0
    mask = torch.from_numpy(np.packbits(kept.flatten().numpy(), bitorder="little"))
    values = tensor[kept]
    smaller = mask.nbytes + values.nbytes + _OVERHEAD < tensor.nbytes
    return {name + MASK: mask, name + VALUES: values} if smaller and tensor.is_floating_point() else {name: tensor}


def _unpack(name: str, like: Tensor, stored: dict[str, Tensor], folder: Path) -> Tensor:
    """The tensor called `name`, of the type and shape of `like`; its entries are taken out of `stored`."""
    if name in stored:
        dense = stored.pop(name)
        if (dense.dtype, dense.shape) != (like.dtype, like.shape):
            raise _damaged(folder, f"{name}: {form(like)}", form(dense))
        return dense
    mask, values = stored.pop(name + MASK, None), stored.pop(name + VALUES, None)
    if mask is None or values is None:
        raise _damaged(folder, f"{name}, or its mask and values", "nothing" if mask is values else "one of the two")
    if (mask.dtype, mask.shape) != (torch.uint8, (-(-like.numel() // 8),)):
        raise _damaged(folder, f"{name}{MASK}: {like.numel()} bits", form(mask))
    bits = np.unpackbits(mask.numpy(), bitorder="little").astype(bool)
    count = int(bits.sum())
    if (values.dtype, values.shape) != (like.dtype, (count,)) or bits[like.numel() :].any():
        raise _damaged(folder, f"{name}{VALUES}: {like.dtype} [{count}], as its mask has bits", form(values))
    dense = torch.zeros(like.numel(), dtype=like.dtype)
    dense[torch.from_numpy(bits[: like.numel()])] = values
    return dense.view(like.shape)


def _mib(tensors: Mapping[str, Tensor]) -> float:
    return sum(tensor.nbytes for tensor in tensors.values()) / 2**20


def _damaged(folder: Path, expected: str, got: str) -> UserError:
    return UserError(str(folder / WEIGHTS), expected=expected, got=got, cure=_CURE)
