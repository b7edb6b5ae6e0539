"""Cross-entropy to the teacher's own answer, as far as the teacher is sure of it."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term
from kd_lab.losses.term.kl import SAME_CLASSES


class Sequence(Term):
    """mean over rows of -c log p_s[k], in nats; k = argmax p_t, c = p_t[k], both p at temperature 1.

    The idea of sequence-level distillation, training on the teacher's best answer (Kim & Rush, arXiv:1606.07947,
    section 3.2), brought to classification; the weight c is ours. The lower limit is 0, at a student that is sure of
    every k: unlike in `kl`, that is not where it equals the teacher. There it is the mean of -c log c, at most 1/e,
    and still pulls the student to be surer. Of classes that tie, one wins.

    Where a row may bear several labels, the sum over labels of the same: k is whether the teacher says the label.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    multi_label: ClassVar[bool] = True

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        student_logits, teacher_logits = self.pair(student, batch, "logits", SAME_CLASSES)
        if batch.multi_label:
            sure, said = teacher_logits.abs().sigmoid(), (teacher_logits > 0).to(student_logits)
            sizes = sure * F.binary_cross_entropy_with_logits(student_logits, said, reduction="none")
            return sizes.sum() / len(sizes)
        confidence, winner = F.softmax(teacher_logits, dim=-1).max(dim=-1)
        return (confidence * F.cross_entropy(student_logits, winner, reduction="none")).mean()
