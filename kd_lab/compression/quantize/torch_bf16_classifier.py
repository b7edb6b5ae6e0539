"""A torch classifier that keeps its weights and computes in bfloat16."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Self

from safetensors.torch import save_file
from torch import Tensor, nn

from kd_lab.compression.quantize.source_model import TorchWrapper, build_source, read_weights, write_source
from kd_lab.models.base import WEIGHTS, TorchClassifier

_CURE = "Compress the fitted model again, with compression=[torch_bf16]."


class TorchBf16Classifier(TorchWrapper):
    """A TorchClassifier with weights in bfloat16: float32's range, 8 bits of precision, half the bytes.

    All modules compute in bfloat16 but the last linear layer, the head: it multiplies its rounded weights in float32,
    since logits of 8 bits are often equal to each other. Each row is computed for itself, up to rounding.

    Saved as `config.json` (class and config of the float32 model) and `model.safetensors` (bfloat16).

    Args:
        source: the float classifier; it stays as it was.
    """

    def __init__(self, source: TorchClassifier) -> None:
        self.net = copy.deepcopy(source).cpu().eval().bfloat16()
        self.net.returns = frozenset({"logits"})
        linear = [module for module in self.net.modules() if isinstance(module, nn.Linear)]
        for head in linear[-1:]:
            head.float().register_forward_pre_hook(_in_float32)

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors."""
        write_source(type(self.net), self.net.config, folder)
        save_file({name: tensor.contiguous() for name, tensor in self._state().items()}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; every weight is the same to the last bit.

        Raises:
            UserError: a file is missing, cut short or not one that `save` wrote.
        """
        model = cls(build_source(folder))
        model.net.load_state_dict(read_weights(folder, _CURE, model._state()))  # copies: the head gets its float32 back
        return model

    def _state(self) -> dict[str, Tensor]:
        """All that `save` keeps: floats in bfloat16."""
        state = self.net.state_dict().items()
        return {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in state}


def _in_float32(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].float(), *inputs[1:])
