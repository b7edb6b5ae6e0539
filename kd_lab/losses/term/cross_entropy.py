"""Cross-entropy to the gold label."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.option_types import ShareBelowOne
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.loss import Term, checked, require, wide

UNLABELLED = -1


class CrossEntropy(Term):
    """mean over labelled rows of -sum_c q_c log p_c, in nats; p = softmax(logits).

    q is 1 at the gold label; with label smoothing e it is 1 - e + e/C there and e/C elsewhere (Szegedy et al.,
    arXiv:1512.00567, section 7). Rows with label -1 contribute nothing; a batch of such rows gives 0, with zero
    gradients. Minimum: the entropy of q, so 0 without smoothing. The only term that needs no teacher.

    Args:
        label_smoothing: e, from 0 to below 1.

    Raises:
        UserError: label_smoothing is not such a number.
    """

    def __init__(self, label_smoothing: ShareBelowOne = 0.0) -> None:
        super().__init__()
        where = "loss.terms.cross_entropy.label_smoothing"
        self.label_smoothing = checked(
            where, label_smoothing, "a number from 0 to below 1", lambda e: 0 <= e < 1, f"Choose one, e.g. {where}=0.1."
        )

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From logits (B, C) and labels (B,) to a scalar."""
        logits = wide(require(student, "logits", "student", "cross_entropy"))
        total = F.cross_entropy(
            logits, batch.labels, ignore_index=UNLABELLED, label_smoothing=self.label_smoothing, reduction="sum"
        )
        return total / (batch.labels != UNLABELLED).sum().clamp(min=1)
