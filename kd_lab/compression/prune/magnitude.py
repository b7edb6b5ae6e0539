"""Sets the weights of smallest magnitude to zero, at once or little by little while the model is trained on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.step import need_torch
from kd_lab.compression.zeros import Weight, matrices, share_of_zeros, tensors
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Epochs, RateShare, ShareBelowOne, ShareKept
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.training.weight_constraint import WeightConstraint


@dataclass(frozen=True)
class PruneL1:
    """Unstructured magnitude pruning: at once (Han et al., arXiv:1506.02626), or gradual (`GradualPruning`).

    The matrices of linear, LSTM and GRU layers are pruned, the head's included; embeddings, biases and norms are not.
    The zeros are stored like any other weight: only the step `sparse` makes the file smaller, and dense kernels get
    no faster. A weight that is zero beforehand counts as pruned. Steps that train on afterwards keep the zeros.

    Args:
        amount: share of the matrices' weights that become zero, in [0, 1); the count is rounded to the nearest.
        scope: "global" ranks the weights of all matrices together, so that some lose more than others; "layer"
            takes the same share from each matrix.
        epochs: passes over train while the share of zeros rises; 0 prunes at once and trains nothing.
        rate: peak learning rates of these passes as a share of the fit's.
        ramp: share of their updates after which all is pruned; during the rest what is left recovers.
        stages: how often within the ramp more weights are pruned; at most once an update.
    """

    amount: ShareBelowOne = 0.5
    scope: Literal["global", "layer"] = "global"
    epochs: Epochs = 0
    rate: RateShare = 1.0
    ramp: ShareKept = 0.7
    stages: Count = 30

    def __post_init__(self) -> None:
        check_fields(self, "compression.prune_l1")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        need_torch("prune_l1", kind, "Put prune_l1 first, e.g. compression=[prune_l1,onnx_int8].")
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext | None = None) -> TorchClassifier:
        """A classifier of the same class with zeros; it is saved and loaded like any other.

        Args:
            context: needed where there are epochs to train.
        """
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        model = copy.deepcopy(classifier).cpu().eval()
        found = matrices(model)
        groups = [found] if self.scope == "global" else [[weight] for weight in found]
        before = share_of_zeros(found)
        if self.epochs:
            assert context is not None
            context.recover(model, self.epochs, self.rate, GradualPruning(groups, self.amount, self.ramp, self.stages))
        for group in groups:
            zero_smallest(tensors(group), _count(group, self.amount))  # what is gradual ends here and changes nothing
        if context is not None:
            context.pruned |= self.amount > 0
            context.note("prune_l1", {"share_zero_before": before, "share_zero_after": share_of_zeros(found)})
        return model

    def still(self, model: TorchClassifier) -> dict[str, float]:
        """The share of zeros at the end of all steps: what a later one removes or adds was pruned to another share."""
        return {"share_zero_after": share_of_zeros(matrices(model))}


class GradualPruning(WeightConstraint):
    """Raises the share of zeros while a model is trained (Zhu & Gupta, arXiv:1710.01878, section 3, equation 1).

    With the share x of the ramp done, a share amount + (start - amount) * (1 - x)^3 of the weights is zero: many go
    while the model has plenty, few towards the end. x moves in stages and `start` is the share that is zero at first.
    A weight once zero stays so. Nothing is kept from one update to the next but the zeros themselves, so that
    training that was cut off goes on with a new object as with the old.

    Args:
        groups: weights that are ranked together; each group reaches `amount` for itself.
        amount, ramp, stages: as in `PruneL1`.
    """

    def __init__(self, groups: Sequence[Sequence[Weight]], amount: float, ramp: float, stages: int) -> None:
        self.groups, self.amount, self.ramp, self.stages = groups, amount, ramp, stages
        self._starts = [share_of_zeros(group) for group in groups]
        self._pruned: list[list[Tensor]] = []

    def before_update(self) -> None:
        """Notes which weights are zero."""
        self._pruned = [[weight == 0 for weight in tensors(group)] for group in self.groups]

    def after_update(self, share: float) -> None:
        """Sets what the optimizer moved away from zero back, and more to zero where the next stage has come."""
        done = min(1.0, int(share / self.ramp * self.stages) / self.stages)
        for group, start, pruned in zip(self.groups, self._starts, self._pruned, strict=True):
            weights = tensors(group)
            for weight, zero in zip(weights, pruned, strict=True):
                weight.masked_fill_(zero, 0.0)
            wanted = _count(group, self.amount + (start - self.amount) * (1 - done) ** 3)
            if wanted > sum(int(zero.sum()) for zero in pruned):
                zero_smallest(weights, wanted)


def zero_smallest(weights: Sequence[Tensor], count: int) -> None:
    """Sets the `count` weights of smallest magnitude to zero, in place, ranking all tensors together."""
    magnitudes = torch.cat([weight.flatten() for weight in weights]).abs_()
    chosen = torch.zeros_like(magnitudes, dtype=torch.bool)
    chosen[magnitudes.topk(count, largest=False, sorted=False).indices] = True
    parts = torch.split(chosen, [weight.numel() for weight in weights])
    for weight, part in zip(weights, parts, strict=True):
        weight.masked_fill_(part.view_as(weight), 0.0)


def _count(group: Sequence[Weight], share: float) -> int:
    return round(share * sum(weight.numel() for weight in tensors(group)))
