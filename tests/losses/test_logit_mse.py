"""Logit MSE: worked values, mean over rows and classes."""

from __future__ import annotations

import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import mean_squared_error
from torch import Tensor
from two_models import taught

from kd_lab.core.cache import describe
from kd_lab.core.types import Outputs
from kd_lab.losses.term.logit_mse import LogitMse


def size(student: Tensor, teacher: Tensor) -> Tensor:
    return LogitMse()(Outputs(student), taught(teacher))


def test_worked_value() -> None:
    # differences (1, 2) and (0, -3): (1 + 4 + 0 + 9) / 4 = 3.5
    student, teacher = torch.tensor([[2.0, 2.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 3.0]])
    assert size(student, teacher).item() == 3.5


def test_agrees_with_sklearn() -> None:
    student, teacher = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert size(student, teacher).item() == pytest.approx(mean_squared_error(teacher.numpy(), student.numpy()))


def test_a_shift_of_all_logits_counts() -> None:
    teacher = torch.randn(5, 3)
    assert size(teacher + 2, teacher).item() == pytest.approx(4, rel=1e-5)


def test_confidence_weighting_is_the_mean_over_the_teachers_certainty_and_renames_nothing_else() -> None:
    student, teacher = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sure = softmax(teacher.numpy(), axis=-1).max(-1)
    expected = mean_squared_error(teacher.numpy(), student.numpy(), sample_weight=sure)
    assert LogitMse(confidence_weighting=True)(Outputs(student), taught(teacher)).item() == pytest.approx(expected)
    assert describe(LogitMse()) == {"class": "kd_lab.losses.term.logit_mse.LogitMse"}
    assert describe(LogitMse(True)) == {**describe(LogitMse()), "confidence_weighting": True}
