"""Which weights pruning sets to zero, what share of them is zero, and how they stay so while a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kd_lab.training.weight_constraint import WeightConstraint

Weight = tuple[nn.Module, str]  # a module and the name of its parameter


def matrices(model: nn.Module) -> list[Weight]:
    """The weights that are pruned, as (module, name of its parameter), in the model's order."""
    found: list[Weight] = []
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.LSTM | nn.GRU):
            found += [(module, name) for name, _ in module.named_parameters(recurse=False) if name.startswith("weight")]
    return found


def tensors(group: Sequence[Weight]) -> list[Tensor]:
    """The weights as they are now: a module that moves to another device gets new ones."""
    return [getattr(module, name).detach() for module, name in group]


def share_of_zeros(group: Sequence[Weight]) -> float:
    """The share of these weights that are exactly zero, from 0 to 1."""
    weights = tensors(group)
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


class KeepZeros(WeightConstraint):
    """Holds at zero what is zero in a pruned model's matrices when a later step begins to train it on.

    Which weights those are follows from the model itself, so that it holds for one that has lost heads, units or
    layers since it was pruned too. Embeddings, biases and norms are never pruned, and stay free.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = matrices(model)
        self._zero = [weight == 0 for weight in tensors(self._weights)]

    def after_update(self, share: float) -> None:
        """Sets what the optimizer moved away from zero back."""
        weights = tensors(self._weights)
        self._zero = [zero.to(weight.device) for zero, weight in zip(self._zero, weights, strict=True)]
        for weight, zero in zip(weights, self._zero, strict=True):
            weight.masked_fill_(zero, 0.0)
