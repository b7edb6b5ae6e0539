"""Trains a classifier on with the rounding errors of INT8 in it, so that the INT8 step after it costs less."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.step import Preparing, Step, need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, RateShare
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.training.weight_constraint import WeightConstraint

Round = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class QuantizationAware:
    """Quantization-aware distillation: the last epochs under the fit's own loss and teacher, weights rounded.

    In each forward pass every matrix holds the numbers that `onnx_int8` will store, and what linear layers read is
    rounded as ONNX Runtime rounds it while it runs; gradients pass through both as if nothing had been rounded (Bengio
    et al., arXiv:1308.3432, section 4; Jacob et al., arXiv:1712.05877, section 3). What an LSTM reads is not rounded.
    The classifier that comes out has the rounded weights: `onnx_int8` after it changes them no more.

    Args:
        per_channel: as in the `onnx_int8` that follows.
        epochs: passes over train, at least 1.
        rate: peak learning rates of these passes as a share of the fit's.
    """

    per_channel: bool = True
    epochs: Count = 2
    rate: RateShare = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "compression.quantization_aware")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        cure = "Put quantization_aware right before the INT8 step: compression=[quantization_aware,onnx_int8]."
        need_torch("quantization_aware", kind, cure)
        return kind

    def check_after(self, name: str, steps: Mapping[str, Step], lasting: Sequence[str]) -> None:
        """Refuses what is not the INT8 that the weights are rounded for: all other steps would undo the rounding."""
        following = {other: step for other, step in steps.items() if not isinstance(step, OnnxExport)}
        after = list(following)[list(following).index(name) + 1 :]
        target = following[after[0]] if after else None
        if not isinstance(target, OnnxInt8):
            int8 = "onnx_int8" if self.per_channel else "onnx_int8_per_tensor"
            before = (other for other in lasting if other != name and not isinstance(steps[other], Preparing))
            order = [*before, name, int8]
            raise UserError(
                f"compression.{name}",
                expected=f"{int8} right after it, for which it rounds the weights",
                got=after[0] if after else "nothing after it",
                cure=f"Use compression=[{','.join(order)}].",
            )
        if target.per_channel != self.per_channel:
            wanted = str(target.per_channel).lower()
            raise UserError(
                f"compression.{name}.per_channel",
                expected=f"{wanted}, as in {after[0]}",
                got=str(self.per_channel).lower(),
                cure=f"Use compression.{name}.per_channel={wanted}.",
            )

    def apply(self, classifier: Classifier, context: CompressionContext) -> TorchClassifier:
        """A classifier of the same class, trained on, its matrices on the grid of INT8."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        model = copy.deepcopy(classifier).cpu().eval()
        held = RoundedWeights(model, self.per_channel)
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        hooks = [module.register_forward_pre_hook(_round_input) for module in linear]
        try:
            context.recover(model, self.epochs, self.rate, held)
        finally:
            for hook in hooks:
                hook.remove()
        return model


class RoundedWeights(WeightConstraint):
    """Holds the matrices of a model at the numbers that 8 bits can say, and gives the optimizer the exact ones."""

    def __init__(self, model: nn.Module, per_channel: bool) -> None:
        self._rounded = list(rounded_weights(model, per_channel))
        self._exact: list[Tensor] | None = None

    def before_forward(self) -> None:
        """Rounds the weights, once."""
        if self._exact is None:
            self._exact = [weight.detach().clone() for weight, _ in self._rounded]
            with torch.no_grad():
                for weight, rounding in self._rounded:
                    weight.copy_(rounding(weight))

    def before_update(self) -> None:
        """Puts the exact weights back."""
        if self._exact is not None:
            with torch.no_grad():
                for (weight, _), exact in zip(self._rounded, self._exact, strict=True):
                    weight.copy_(exact)
            self._exact = None


def rounded_weights(model: nn.Module, per_channel: bool) -> list[tuple[Tensor, Round]]:
    """Every matrix that `onnx_int8` stores in 8 bits, with the rounding that its quantizer applies.

    Linear and LSTM matrices are symmetric, embeddings are not; a matrix that two modules share is named once.
    """
    found: dict[Tensor, Round] = {}
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.LSTM):
            for name, weight in module.named_parameters(recurse=False):
                if name.startswith("weight"):
                    found[weight] = partial(symmetric, by_row=per_channel)
        elif isinstance(module, nn.Embedding):
            found[module.weight] = asymmetric
    return list(found.items())


def symmetric(values: Tensor, by_row: bool = False) -> Tensor:
    """Rounded to the 255 numbers from -127 to 127 times a scale, the largest magnitude being 127.

    Args:
        by_row: one scale for each row (an output of the layer) rather than one for all.
    """
    largest = values.detach().abs().amax(dim=-1, keepdim=True) if by_row else values.detach().abs().max()
    scale = (largest / 127).clamp_min(torch.finfo(values.dtype).tiny)
    return (values / scale).round() * scale


def asymmetric(values: Tensor) -> Tensor:
    """Rounded to 256 numbers that span all values and hold 0, as ONNX's DynamicQuantizeLinear does."""
    low, high = values.detach().min().clamp_max(0), values.detach().max().clamp_min(0)
    scale = ((high - low) / 255).clamp_min(torch.finfo(values.dtype).tiny)
    zero = (-low / scale).round()
    return ((values / scale).round() + zero).clamp(0, 255).sub(zero) * scale


def _round_input(_: nn.Module, given: tuple[Tensor, ...]) -> Any:
    """What a linear layer reads in the forward pass; its gradient is that of the exact numbers."""
    exact = given[0]
    return (exact + (asymmetric(exact) - exact).detach(), *given[1:])
