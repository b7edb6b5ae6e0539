"""DIST: scipy's correlation, what it does not see, and lines that have none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import pearsonr
from torch import Tensor
from two_models import pair, taught

from kd_lab.core.errors import UserError
from kd_lab.core.types import Outputs
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.dist import Dist


def size(student: Tensor, teacher: Tensor, **options: float) -> Tensor:
    return Dist(**options)(Outputs(student), taught(teacher))


@given(st.integers(0, 10_000), st.floats(0.5, 8), st.floats(0.1, 3), st.floats(0.1, 3))
@settings(max_examples=25, deadline=None)
def test_agrees_with_scipy(seed: int, temperature: float, rows: float, columns: float) -> None:
    student, teacher = pair(seed)
    p_s, p_t = (softmax(logits.numpy() / temperature, axis=-1) for logits in (student, teacher))
    of_rows = np.mean([1 - pearsonr(one, other)[0] for one, other in zip(p_s, p_t, strict=True)])
    of_columns = np.mean([1 - pearsonr(one, other)[0] for one, other in zip(p_s.T, p_t.T, strict=True)])
    expected = temperature**2 * (rows * of_rows + columns * of_columns)
    found = size(student, teacher, rows=rows, columns=columns, temperature=temperature)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_worked_value_of_a_row() -> None:
    # p_t = (1/2, 1/3, 1/6), p_s = (1/6, 1/3, 1/2) run against each other: r = -1, so 2.
    teacher = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64).log()
    assert size(teacher.flip(1), teacher, columns=0.0).item() == pytest.approx(2)


def test_columns_alone_see_two_classes_and_rows_are_refused() -> None:
    student, teacher = pair(0, classes=2)
    assert 0 < size(student, teacher, rows=0.0).item() < 2
    assert size(student, teacher, columns=0.0).item() == pytest.approx(
        2 * (student.argmax(1) != teacher.argmax(1)).double().mean().item()
    ), "of two classes the row says which is larger, and nothing else"
    with pytest.raises(UserError, match=r"'d': expected at least 3 classes.*Choose loss\.terms\.d\.rows=0, or"):
        Loss({"d": Dist()}, {"d": 1.0}).check(classes=2, teacher=True)
    Loss({"d": Dist(rows=0.0)}, {"d": 1.0}).check(classes=2, teacher=True)


def test_a_class_or_row_of_which_the_teacher_says_the_same_everywhere_counts_nothing() -> None:
    student, teacher = (logits.requires_grad_() for logits in pair(1))
    flat = torch.zeros_like(teacher)
    value = size(student, flat)
    value.backward()
    assert value.item() == 0
    assert student.grad is not None
    assert student.grad.abs().sum() == 0
    one = size(student[:1], teacher[:1].detach(), rows=0.0)  # of one row a column has no spread
    assert one.item() == 0


def test_classes_of_tiny_probability_count_like_others_and_not_as_noise() -> None:
    # An epsilon of 1e-8 beside the norms had r of such a class near 0 where student equals teacher.
    teacher = torch.randn(8, 50, generator=torch.Generator().manual_seed(0)) * 3
    teacher[:, :40] -= 30
    student = teacher.clone().requires_grad_()
    value = size(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-4)
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_a_student_that_says_the_same_everywhere_is_uncorrelated_with_a_finite_slope() -> None:
    student = torch.zeros(4, 3, requires_grad=True)
    value = size(student, pair(2, 4, 3)[1].float())
    value.backward()
    assert value.item() == pytest.approx(2)
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_some_weight_must_be_above_zero() -> None:
    with pytest.raises(UserError, match=r"loss\.terms\.dist: expected rows or columns above 0"):
        Dist(rows=0.0, columns=0.0)
