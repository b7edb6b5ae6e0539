"""Logit standardisation: scipy's divergence of z-scores, and what it does not see."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from scipy.stats import zscore
from torch import Tensor
from two_models import pair, taught

from kd_lab.core.types import Outputs
from kd_lab.losses.term.standardised_kl import StandardisedKL


def size(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    return StandardisedKL(temperature)(Outputs(student), taught(teacher))


@given(st.integers(0, 10_000), st.floats(0.5, 8))
@settings(max_examples=25, deadline=None)
def test_agrees_with_scipy(seed: int, temperature: float) -> None:
    student, teacher = pair(seed)
    p_s, p_t = (softmax(zscore(logits.numpy(), axis=-1) / temperature, axis=-1) for logits in (student, teacher))
    expected = temperature**2 * rel_entr(p_t, p_s).sum(-1).mean()
    assert size(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_a_row_scaled_and_shifted_is_the_same_row() -> None:
    student, teacher = pair(0)
    scale, shift = torch.rand(2, 6, 1, dtype=torch.float64) + 0.5
    assert size(teacher * scale + shift, teacher).item() == pytest.approx(0, abs=1e-12)
    assert size(student * scale + shift, teacher).item() == pytest.approx(size(student, teacher).item())


def test_two_classes_have_the_same_soft_labels_whatever_the_teacher_says() -> None:
    # Which is why `fewest_classes` is 3: only the sign of the difference is left.
    student, teacher = torch.tensor([[0.1, 0.0], [9.0, 0.0]]), torch.tensor([[5.0, 0.0], [0.2, 0.0]])
    assert size(student, teacher).item() == pytest.approx(0, abs=1e-5)


def test_equal_logits_give_a_finite_slope() -> None:
    student = torch.zeros(4, 3, requires_grad=True)
    value = size(student, pair(1, 4, 3)[1].float())
    value.backward()
    assert value.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()
