"""Sets the weights of smallest magnitude to zero."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.nn.utils import prune

from kd_lab.classifier import Classifier
from kd_lab.compression.around import Around
from kd_lab.compression.step import need_torch
from kd_lab.errors import UserError
from kd_lab.models.build import ModelSpec
from kd_lab.models.torch_classifier import TorchClassifier


@dataclass(frozen=True)
class PruneL1:
    """Unstructured magnitude pruning (Han et al., arXiv:1506.02626) without training afterwards.

    The matrices of linear and LSTM layers are pruned, the head's included; embeddings, biases and norms are not.
    The zeros are stored like any other weight: only a compressed file gets smaller, and dense kernels get no faster.

    Args:
        amount: share of the matrices' weights that become zero, in [0, 1); the count is rounded to the nearest.
        scope: "global" ranks the weights of all matrices together, so that some lose more than others; "layer"
            takes the same share from each matrix.
    """

    amount: float = 0.5
    scope: Literal["global", "layer"] = "global"

    def __post_init__(self) -> None:
        if not isinstance(self.amount, int | float) or not 0 <= self.amount < 1:
            raise UserError(
                "compression.prune_l1.amount",
                expected="a share from 0 up to, not including, 1",
                got=repr(self.amount),
                cure="Use e.g. compression.prune_l1.amount=0.5 to set half of the weights to zero.",
            )
        if self.scope not in ("global", "layer"):
            raise UserError(
                "compression.prune_l1.scope",
                expected="global or layer",
                got=repr(self.scope),
                cure="Choose one of them.",
            )

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        need_torch("prune_l1", kind, "Put prune_l1 first, e.g. compression=[prune_l1,onnx_int8].")
        return kind

    def apply(self, classifier: Classifier, around: Around | None = None) -> TorchClassifier:
        """A classifier of the same class with zeros; it is saved and loaded like any other."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        model = copy.deepcopy(classifier).cpu().eval()
        weights = matrices(model)
        amount = float(self.amount)  # torch would read the integer 0 as a number of weights
        if self.scope == "global":
            prune.global_unstructured(weights, prune.L1Unstructured, amount=amount)
        else:
            for module, name in weights:
                prune.l1_unstructured(module, name, amount)  # type: ignore[no-untyped-call]
        for module, name in weights:
            prune.remove(module, name)  # type: ignore[no-untyped-call]
        return model


def matrices(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The weights that are pruned, as (module, name of its parameter), in the model's order."""
    found: list[tuple[nn.Module, str]] = []
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.LSTM):
            found += [(module, name) for name, _ in module.named_parameters(recurse=False) if name.startswith("weight")]
    return found
