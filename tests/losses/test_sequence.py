"""The sequence term: worked values, its limit and what it says at equality."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor
from two_models import taught

from kd_lab.core.types import Outputs
from kd_lab.losses.term.sequence import Sequence


def size(student: Tensor, teacher: Tensor) -> Tensor:
    return Sequence()(Outputs(student), taught(teacher))


def test_worked_value() -> None:
    # Row 1: p_t = (3/4, 1/4), k = 0, p_s = (1/2, 1/2): 3/4 ln 2. Row 2: p_t = (1/5, 4/5), k = 1, p_s[1] = 1/4:
    # 4/5 ln 4. Mean of the two.
    teacher = torch.tensor([[math.log(3), 0.0], [0.0, math.log(4)]])
    student = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    assert size(student, teacher).item() == pytest.approx((0.75 * math.log(2) + 0.8 * math.log(4)) / 2)


def test_agrees_with_numpy() -> None:
    student, teacher = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beliefs, ours = softmax(teacher.numpy(), axis=-1), log_softmax(student.numpy(), axis=-1)
    best = beliefs.argmax(-1)
    rows = np.arange(9)
    assert size(student, teacher).item() == pytest.approx(-(beliefs[rows, best] * ours[rows, best]).mean())


def test_at_equality_it_is_minus_c_log_c_and_still_pulls_to_certainty() -> None:
    teacher = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    value = size(student, teacher)
    (grad,) = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(-0.75 * math.log(0.75))
    # c (p - onehot) = 3/4 (3/4 - 1, 1/4) = (-3/16, 3/16)
    torch.testing.assert_close(grad, torch.tensor([[-3 / 16, 3 / 16]], dtype=torch.float64))


def test_minimum_is_zero_at_a_student_sure_of_the_teachers_answer() -> None:
    student = torch.tensor([[100.0, 0.0], [0.0, 100.0]], requires_grad=True)
    value = size(student, torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))
    (grad,) = torch.autograd.grad(value, student)
    assert value.item() == 0
    assert grad.abs().max() < 1e-30


def test_an_unsure_teacher_counts_less() -> None:
    student = torch.zeros(1, 2)
    sure, unsure = size(student, torch.tensor([[9.0, 0.0]])), size(student, torch.tensor([[0.1, 0.0]]))
    assert unsure < 0.6 * sure
