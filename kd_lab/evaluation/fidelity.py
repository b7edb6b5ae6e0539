"""How true a student is to its teacher, right or wrong."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kd_lab.evaluation.metrics import refuse_broken
from kd_lab.losses.term.kl import binary_kl


def fidelity(student_logits: Tensor, teacher_logits: Tensor, multi_label: bool = False) -> dict[str, float]:
    """How well a student repeats its teacher, right or wrong; rows need no labels.

    Args:
        student_logits, teacher_logits: (N, C) float, row by row about the same examples.
        multi_label: whether a row may bear several labels: `agreement` is then of rows of which both find the same
            labels more likely than not, and `kl` is the sum over labels.

    Returns:
        `agreement`: the fraction of rows with the same largest logit; 1 at equality.
        `kl`: mean over rows of KL(p_teacher || p_student) at temperature 1, nats; 0 at equality.

    Raises:
        ValueError: the shapes differ.
        FitError: a logit is not a finite number.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(f"student logits {list(student_logits.shape)}, teacher logits {list(teacher_logits.shape)}")
    refuse_broken(student_logits)
    refuse_broken(teacher_logits)
    student, teacher = student_logits.detach().double().cpu(), teacher_logits.detach().double().cpu()
    if multi_label:
        agreement = ((student > 0) == (teacher > 0)).all(dim=1).double().mean()
        return {"agreement": float(agreement), "kl": max(0.0, float(binary_kl(student, teacher).mean()))}
    agreement = (student.argmax(dim=1) == teacher.argmax(dim=1)).double().mean()
    kl = F.kl_div(student.log_softmax(dim=1), teacher.log_softmax(dim=1), reduction="batchmean", log_target=True)
    return {"agreement": float(agreement), "kl": max(0.0, float(kl))}
