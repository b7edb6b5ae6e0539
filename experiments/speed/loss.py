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
    soft = F.kl_div(
        F.log_softmax(student / temperature, dim=-1), F.softmax(teacher / temperature, dim=-1), reduction="batchmean"
    )
    return alpha * hard + (1 - alpha) * temperature**2 * soft
