"""Divergence of the student's softened class probabilities from the teacher's."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.option_types import Temperature
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, temperature_of

SAME_CLASSES = "Fit the teacher on the same data set, with the same labels."


class KL(Term):
    """T^2 * mean over rows of sum_c p_t (log p_t - log p_s), in nats; p = softmax(logits / T).

    Summed over classes, not averaged, and always times T^2, which keeps the gradient's size as T grows (Hinton et
    al., arXiv:1503.02531, section 2). 0 when student equals teacher, up to a shift of a row's logits, and above 0
    otherwise. As T grows it approaches half the `logit_mse` of logits centred in each row (section 2.1).

    Where a row may bear several labels, the sum over labels of the divergence of two Bernoulli distributions,
    p = sigmoid(logits / T).

    Args:
        temperature: T, above 0; 2 to 10 is usual.
        confidence_weighting: whether a row counts as much as the teacher is sure of it: the mean is then over weights
            c = max p_t at temperature 1, as in `sequence`.

    Raises:
        UserError: temperature is not such a number.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    multi_label: ClassVar[bool] = True

    def __init__(self, temperature: Temperature, confidence_weighting: bool = False) -> None:
        super().__init__()
        self.temperature = temperature_of("loss.terms.kl.temperature", temperature)
        self.confidence_weighting = confidence_weighting

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options; one that came later only where it is used, so that older fits keep their names."""
        later = {"confidence_weighting": True} if self.confidence_weighting else {}
        return {"temperature": self.temperature, **later}

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        student_logits, teacher_logits = self.pair(student, batch, "logits", SAME_CLASSES)
        if batch.multi_label:
            rows = binary_kl(student_logits / self.temperature, teacher_logits / self.temperature)
            weighed = mean_by_confidence(rows, teacher_logits, True) if self.confidence_weighting else rows.mean()
            return self.temperature**2 * weighed
        log_student = F.log_softmax(student_logits / self.temperature, dim=-1)
        log_teacher = F.log_softmax(teacher_logits / self.temperature, dim=-1)
        if not self.confidence_weighting:
            return self.temperature**2 * F.kl_div(log_student, log_teacher, log_target=True, reduction="batchmean")
        rows = F.kl_div(log_student, log_teacher, log_target=True, reduction="none").sum(-1)
        return self.temperature**2 * mean_by_confidence(rows, teacher_logits)


def mean_by_confidence(rows: Tensor, teacher_logits: Tensor, multi_label: bool = False) -> Tensor:
    """sum of c * rows / sum of c, c = max p_t at temperature 1: a row that the teacher doubts counts less.

    Where a row may bear several labels, c is the mean over labels of the probability of what the teacher says of each.

    Args:
        rows: (B,) float.
        teacher_logits: (B, C) float.
    """
    confidence = teacher_logits.abs().sigmoid().mean(-1) if multi_label else teacher_logits.softmax(-1).amax(-1)
    return (confidence * rows).sum() / confidence.sum()


def binary_kl(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """(B,) the sum over labels of KL(Bernoulli(sigmoid(z_t)) || Bernoulli(sigmoid(z_s))), in nats.

    Args:
        student_logits, teacher_logits: (B, C).
    """
    rows = student_logits.new_zeros(len(student_logits))
    for sign in (1, -1):  # the label is borne, or is not
        log_student, log_teacher = F.logsigmoid(sign * student_logits), F.logsigmoid(sign * teacher_logits)
        rows = rows + (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
    return rows
