"""Squared difference of logits."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.loss import Term
from kd_lab.losses.term.kl import SAME_CLASSES


class LogitMse(Term):
    """mean over rows and classes of (z_s - z_t)^2, in squared logits.

    0 when student equals teacher, and only then: a shift of a row's logits, which `kl` does not see, counts. Source:
    Tang et al., arXiv:1903.12136, section 3.2; Kim et al., arXiv:2105.08919, section 3. Usual for LSTM students.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    multi_label: ClassVar[bool] = True

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        return F.mse_loss(*self.pair(student, batch, "logits", SAME_CLASSES))
