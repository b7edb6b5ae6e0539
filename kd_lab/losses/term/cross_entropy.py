"""Cross-entropy to the gold label."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.option_types import ShareBelowOne
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, checked, require, wide

UNLABELLED = -1


class CrossEntropy(Term):
    """mean over labelled rows of -sum_c q_c log p_c, in nats; p = softmax(logits).

    q is 1 at the gold label; with label smoothing e it is 1 - e + e/C there and e/C elsewhere (Szegedy et al.,
    arXiv:1512.00567, section 7). Rows with label -1 contribute nothing; a batch of such rows gives 0, with zero
    gradients. Minimum: the entropy of q, so 0 without smoothing. The only term that needs no teacher.

    Where a row may bear several labels, the sum over labels of the binary cross-entropy -q log p - (1 - q) log(1 - p),
    p = sigmoid(logits), q 1 at the labels it bears; smoothed 1 - e/2 there and e/2 elsewhere.

    With balanced class weights a row counts w_y = N / (C n_y) times, n_y of the N labelled rows of train being of its
    class, and the mean is over these weights (King & Zeng 2001, as scikit-learn and torch have it): where classes are
    uneven, each has as much to say as another. Of several labels a row each is two classes, its own and the rest.

    Args:
        label_smoothing: e, from 0 to below 1.
        class_weights: "balanced", or None for rows that all count alike.

    Raises:
        UserError: label_smoothing is not such a number.
    """

    multi_label: ClassVar[bool] = True
    class_weight_values: Tensor | None  # (C,)
    label_weight_values: Tensor | None  # (2, C) where a row may bear several labels: of rows without and with each

    def __init__(self, label_smoothing: ShareBelowOne = 0.0, class_weights: Literal["balanced"] | None = None) -> None:
        super().__init__()
        self.class_weights = class_weights
        self.register_buffer("class_weight_values", None, persistent=False)
        self.register_buffer("label_weight_values", None, persistent=False)
        where = "loss.terms.cross_entropy.label_smoothing"
        self.label_smoothing = checked(
            where, label_smoothing, "a number from 0 to below 1", lambda e: 0 <= e < 1, f"Choose one, e.g. {where}=0.1."
        )

    def prepare(self, counts: Tensor, rows: int) -> None:
        """See `Term`."""
        if self.class_weights == "balanced":
            self.class_weight_values = (counts.sum() / (len(counts) * counts.clamp(min=1))).float()
            self.label_weight_values = (rows / (2 * torch.stack([rows - counts, counts]).clamp(min=1))).float()

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From logits (B, C) and labels (B,), or (B, C) where a row may bear several, to a scalar."""
        logits = wide(require(student, "logits", "student", "cross_entropy"))
        if batch.multi_label:
            return self._of_labels(logits, batch)
        labelled = batch.labels != UNLABELLED
        to_gold = partial(
            F.cross_entropy, logits, batch.labels, ignore_index=UNLABELLED, label_smoothing=self.label_smoothing
        )
        if self.class_weight_values is None:
            return to_gold(reduction="sum") / labelled.sum().clamp(min=1)
        # The rows are weighted here: by torch's `weight` each class's part of a smoothed label would be, by its own.
        weight = self.class_weight_values.to(logits)[batch.labels.clamp(min=0)] * labelled
        total = (weight * to_gold(reduction="none")).sum()
        return total / weight.sum().clamp(min=torch.finfo(logits.dtype).tiny)

    def _of_labels(self, logits: Tensor, batch: Batch) -> Tensor:
        known, weight = batch.labelled, None
        borne = batch.labels[known].to(logits)
        if self.label_weight_values is not None:
            without, having = self.label_weight_values.to(logits)
            weight = torch.where(borne > 0, having, without)
        wanted = borne * (1 - self.label_smoothing) + self.label_smoothing / 2
        total = F.binary_cross_entropy_with_logits(logits[known], wanted, weight, reduction="sum")
        return total / known.sum().clamp(min=1)
