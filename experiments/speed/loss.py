"""The distillation loss as the peers write it by hand."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def distillation(student: Tensor, labels: Tensor, teacher: Tensor, alpha: float, temperature: float) -> Tensor:
    """alpha * CE + (1 - alpha) * T^2 * KL(teacher || student), means over the batch: `hybrid` without sequence.

    Args:
        student, teacher: (B, C) logits.
        labels: (B,) classes.
        alpha: the weight of the labels.
        temperature: T.
    """
    student, teacher = student.float(), teacher.float()
    hard = F.cross_entropy(student, labels)
    log_student, log_teacher = (F.log_softmax(one / temperature, dim=-1) for one in (student, teacher))
    soft = temperature**2 * F.kl_div(log_student, log_teacher, log_target=True, reduction="batchmean")
    return alpha * hard + (1 - alpha) * soft
