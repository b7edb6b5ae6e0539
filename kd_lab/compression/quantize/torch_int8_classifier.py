"""A torch classifier whose linear and LSTM layers have INT8 weights, saved without pickle."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import quantize_dynamic

from kd_lab.compression.quantize.source_model import TorchWrapper, build_of, read_weights, source_class, write_source
from kd_lab.core.errors import UserError
from kd_lab.models.base import CONFIG, WEIGHTS, TorchClassifier, read_config

_CURE = "Compress the fitted model again, with compression=[torch_int8]."


class TorchInt8Classifier(TorchWrapper):
    """A TorchClassifier whose linear and LSTM layers compute with 8-bit integers; the rest stays float.

    Weights are symmetric, one scale a matrix. Activations are quantized while it runs, with one range for the whole
    batch: a row's logits therefore depend a little on the rows beside it.

    Saved as `model.safetensors` (each integer matrix under its float name, its `.scale` and `.zero_point` beside it)
    and `config.json` (class and config of the float model, engine).

    Args:
        source: the float classifier; it stays as it was.
        engine: one of `torch.backends.quantized.supported_engines`.
    """

    def __init__(self, source: TorchClassifier, engine: str) -> None:
        self.source = type(source)
        self.config = source.config
        self.engine = engine
        self.parameters = source.count_parameters()[0]
        with warnings.catch_warnings(), _using(engine):
            warnings.filterwarnings(
                "ignore", message=r"torch\.(ao\.quantization is|quantize_per_tensor.+ are) deprecated"
            )
            self.net = quantize_dynamic(  # type: ignore[no-untyped-call]
                copy.deepcopy(source).cpu(), {nn.Linear, nn.LSTM}, dtype=torch.qint8, inplace=True
            )
        self.net.eval()

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors."""
        write_source(self.source, self.config, folder, engine=self.engine)
        save_file({name: tensor.contiguous() for name, tensor in self.state().items()}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; the logits are the same to the last bit on the same machine.

        Raises:
            UserError: a file is missing, cut short or not one that `save` wrote, or this machine lacks the engine.
        """
        about = read_config(folder)
        source = source_class(about, folder / CONFIG)
        check_engine(str(folder / CONFIG), about.get("engine"))
        model = cls(build_of(source, about, folder), about["engine"])
        model._put(read_weights(folder, _CURE, model.state()))
        return model

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights: INT8 matrices and float embeddings, norms and biases, but no scales."""
        learned: list[Tensor] = list(self.net.parameters())
        for module in self.net.modules():
            weights, biases = _layer(module)
            learned += [weight.int_repr() for weight in weights.values()] + list(biases.values())
        return self.parameters, sum(int(tensor.count_nonzero()) for tensor in learned)  # the integer 0 is the real 0

    def state(self) -> dict[str, Tensor]:
        """All that `save` keeps, as plain tensors by name: int8 matrices, their scales and zero points, floats."""
        state = dict(self._floats())
        for prefix, module in self.net.named_modules():
            weights, biases = _layer(module)
            for name, weight in weights.items():
                state[f"{prefix}.{name}"] = weight.int_repr()
                state[f"{prefix}.{name}.scale"] = torch.tensor(weight.q_scale(), dtype=torch.float64)
                state[f"{prefix}.{name}.zero_point"] = torch.tensor(weight.q_zero_point())
            state.update({f"{prefix}.{name}": bias.detach() for name, bias in biases.items()})
        return state

    def _floats(self) -> dict[str, Tensor]:
        kept = self.net.state_dict()
        buffers = {name: buffer for name, buffer in self.net.named_buffers() if name in kept}
        return {**{name: weight.detach() for name, weight in self.net.named_parameters()}, **buffers}

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        """Makes `state()` equal to `tensors`, which have its names, shapes and types."""
        for name, target in self._floats().items():
            target.copy_(tensors[name])
        with _using(self.engine):
            for prefix, module in self.net.named_modules():
                weights, biases = _layer(module)
                layer = {name: _quantized(tensors, f"{prefix}.{name}") for name in weights}
                layer.update({name: tensors[f"{prefix}.{name}"] for name in biases})
                if isinstance(module, dynamic.Linear):
                    module.set_weight_bias(layer["weight"], layer.get("bias"))
                elif isinstance(module, dynamic.LSTM):
                    module.set_weight_bias(layer)  # type: ignore[no-untyped-call]


def check_engine(where: str, engine: Any) -> None:
    """Refuses an engine that this machine's torch does not have.

    Raises:
        UserError: naming the engines that there are.
    """
    here = torch.backends.quantized.supported_engines
    if engine not in here:
        raise UserError(
            where,
            expected=f"one of this machine's engines, {', '.join(here)}",
            got=repr(engine),
            cure="Compress again on this machine, with compression.torch_int8.engine=null.",
        )


@contextmanager
def _using(engine: str) -> Iterator[None]:
    """Weights packed in this block are packed for `engine`."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def _layer(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(INT8 weights, float biases) of a quantized layer by name; both empty for any other module."""
    if isinstance(module, dynamic.LSTM):
        return dict(module.get_weight()), dict(module.get_bias())  # type: ignore[no-untyped-call]
    if isinstance(module, dynamic.Linear):
        bias = module.bias()  # type: ignore[no-untyped-call]
        weight = module.weight()  # type: ignore[no-untyped-call]
        return {"weight": weight}, {} if bias is None else {"bias": bias}
    return {}, {}


def _quantized(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    scale, zero_point = float(tensors[f"{name}.scale"]), int(tensors[f"{name}.zero_point"])
    return torch._make_per_tensor_quantized_tensor(tensors[name], scale, zero_point)
