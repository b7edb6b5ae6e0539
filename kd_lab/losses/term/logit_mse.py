"""Squared difference of logits."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term
from kd_lab.losses.term.kl import SAME_CLASSES, mean_by_confidence


class LogitMse(Term):
    """mean over rows and classes of (z_s - z_t)^2, in squared logits.

    0 when student equals teacher, and only then: a shift of a row's logits, which `kl` does not see, counts. Source:
    Tang et al., arXiv:1903.12136, section 3.2; Kim et al., arXiv:2105.08919, section 3. Usual for LSTM students.

    Args:
        confidence_weighting: whether a row counts as much as the teacher is sure of it, see `kl`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    multi_label: ClassVar[bool] = True

    def __init__(self, confidence_weighting: bool = False) -> None:
        super().__init__()
        self.confidence_weighting = confidence_weighting

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its option only where it is used, so that older fits keep their names."""
        return {"confidence_weighting": True} if self.confidence_weighting else {}

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        ours, theirs = self.pair(student, batch, "logits", SAME_CLASSES)
        if not self.confidence_weighting:
            return F.mse_loss(ours, theirs)
        return mean_by_confidence((ours - theirs).square().mean(-1), theirs, batch.multi_label)
