"""DKD: worked values, the authors' way of computing it, and what it takes for the target."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from two_models import pair, taught

from kd_lab.core.errors import UserError
from kd_lab.core.types import Outputs
from kd_lab.losses.term.dkd import DKD
from kd_lab.losses.term.kl import KL


def size(student: Tensor, teacher: Tensor, labels: list[int], *options: float) -> float:
    return DKD(*options)(Outputs(student), taught(teacher, labels)).item()


def theirs(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float, beta: float) -> float:
    """As the authors' repository computes it: masks, and -1000 where a class does not count."""
    mask = F.one_hot(labels, student.shape[1]).double()

    def binary(logits: Tensor) -> Tensor:
        p = F.softmax(logits / temperature, dim=1)
        return torch.stack([(p * mask).sum(1), (p * (1 - mask)).sum(1)], dim=1)

    rows = len(labels)
    target = F.kl_div(binary(student).log(), binary(teacher), reduction="sum") * temperature**2 / rows
    without_s = F.log_softmax(student / temperature - 1000.0 * mask, dim=1)
    without_t = F.softmax(teacher / temperature - 1000.0 * mask, dim=1)
    others = F.kl_div(without_s, without_t, reduction="sum") * temperature**2 / rows
    return float(alpha * target + beta * others)


def test_worked_value() -> None:
    # p_t = (1/2, 1/3, 1/6), p_s = (1/2, 1/4, 1/4), target 0: b are equal. q_t = (2/3, 1/3), q_s = (1/2, 1/2).
    teacher = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64).log()
    student = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64).log()
    others = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)
    assert size(student, teacher, [0], 1.0, 5.0, 3.0) == pytest.approx(3 * others)
    # target 1: b_t = (1/3, 2/3), b_s = (1/4, 3/4); q_t = (3/4, 1/4), q_s = (2/3, 1/3).
    target = 1 / 3 * math.log(4 / 3) + 2 / 3 * math.log(8 / 9)
    others = 3 / 4 * math.log(9 / 8) + 1 / 4 * math.log(3 / 4)
    assert size(student, teacher, [1], 1.0, 5.0, 3.0) == pytest.approx(5 * target + 3 * others)


@given(st.integers(0, 10_000), st.floats(0.5, 10), st.floats(0, 3), st.floats(0, 10))
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_authors(seed: int, temperature: float, alpha: float, beta: float) -> None:
    student, teacher = pair(seed)
    labels = [0, 1, 2, 3, 4, 0]
    expected = theirs(student, teacher, torch.tensor(labels), temperature, alpha, beta)
    assert size(student, teacher, labels, temperature, alpha, beta) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_is_kl_where_the_others_count_as_much_as_a_teacher_leaves_to_them() -> None:
    # Equation 4 of the paper: KL = KL(b) + (1 - p of the target) KL(q), row by row.
    student, teacher = pair(1, rows=1)
    left = 1 - (teacher / 3).softmax(-1)[0, 2].item()
    kl = KL(3.0)(Outputs(student), taught(teacher, [2])).item()
    assert size(student, teacher, [2], 3.0, 1.0, left) == pytest.approx(kl)


def test_the_target_of_a_row_without_a_label_is_the_teachers_answer() -> None:
    student, teacher = pair(2)
    answers = teacher.argmax(-1).tolist()
    assert size(student, teacher, [-1] * 6) == pytest.approx(size(student, teacher, answers))
    assert size(student, teacher, [-1] * 6) != pytest.approx(size(student, teacher, [(a + 1) % 5 for a in answers]))


def test_is_finite_for_a_student_that_is_sure_and_wrong() -> None:
    student = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    value = DKD(1.0)(Outputs(student), taught(torch.tensor([[0.0, 1.0, 9.0]]), [2]))
    value.backward()
    assert value.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("wrong", [-1.0, math.inf, True, "1", None])
@pytest.mark.parametrize("name", ["target_weight", "others_weight"])
def test_a_weight_must_be_a_number_of_at_least_zero(name: str, wrong: float) -> None:
    with pytest.raises(UserError, match=rf"loss\.terms\.dkd\.{name}: expected a finite number, at least 0"):
        DKD(**{name: wrong})
