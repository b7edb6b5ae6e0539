"""Cross-entropy to the gold label."""

from __future__ import annotations

from typing import Literal

import torch
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

    With balanced class weights a row counts w_y = N / (C n_y) times, n_y of the N labelled rows of train being of its
    class, and the mean is over these weights (King & Zeng 2001, as scikit-learn and torch have it): where classes are
    uneven, each has as much to say as another.

    Args:
        label_smoothing: e, from 0 to below 1.
        class_weights: "balanced", or None for rows that all count alike.

    Raises:
        UserError: label_smoothing is not such a number.
    """

    class_weight_values: Tensor | None

    def __init__(self, label_smoothing: ShareBelowOne = 0.0, class_weights: Literal["balanced"] | None = None) -> None:
        super().__init__()
        self.class_weights = class_weights
        self.register_buffer("class_weight_values", None, persistent=False)
        where = "loss.terms.cross_entropy.label_smoothing"
        self.label_smoothing = checked(
            where, label_smoothing, "a number from 0 to below 1", lambda e: 0 <= e < 1, f"Choose one, e.g. {where}=0.1."
        )

    def prepare(self, counts: Tensor) -> None:
        """See `Term`."""
        if self.class_weights == "balanced":
            self.class_weight_values = (counts.sum() / (len(counts) * counts.clamp(min=1))).float()

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From logits (B, C) and labels (B,) to a scalar."""
        logits = wide(require(student, "logits", "student", "cross_entropy"))
        weight = self.class_weight_values
        weight = weight if weight is None else weight.to(logits)
        total = F.cross_entropy(
            logits, batch.labels, weight, ignore_index=UNLABELLED, label_smoothing=self.label_smoothing, reduction="sum"
        )
        labelled = batch.labels != UNLABELLED
        if weight is None:
            return total / labelled.sum().clamp(min=1)
        counted = (weight[batch.labels.clamp(min=0)] * labelled).sum()
        return total / counted.clamp(min=torch.finfo(logits.dtype).tiny)
