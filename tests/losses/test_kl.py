"""KL: worked values, T squared, batch mean, and the mistakes that published code makes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from torch import Tensor
from two_models import pair, taught

from kd_lab.core.cache import describe, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.types import Outputs
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.logit_mse import LogitMse

seeds = st.integers(0, 10_000)


def size(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return KL(temperature)(Outputs(student), taught(teacher))


def gradient(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    student = student.clone().requires_grad_()
    return torch.autograd.grad(size(student, teacher, temperature), student)[0]


def test_worked_value_at_temperature_1() -> None:
    # p_t = (3/4, 1/4), p_s = (1/2, 1/2): 3/4 ln 3/2 + 1/4 ln 1/2 = 0.130812 nats.
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert size(student, teacher, 1.0).item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


def test_worked_value_at_temperature_2_is_multiplied_by_4() -> None:
    # logits (2 ln 3, 0) / 2 = (ln 3, 0): the same probabilities as above, times T^2 = 4.
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]])
    assert size(student, teacher, 2.0).item() == pytest.approx(4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)))


def test_direction_is_teacher_against_student() -> None:
    # Swapped, p_s = (3/4, 1/4) and p_t = (1/2, 1/2): 1/2 ln 2/3 + 1/2 ln 2 = 1/2 ln 4/3.
    student, teacher = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, 0.0]])
    assert size(student, teacher, 1.0).item() == pytest.approx(0.5 * math.log(4 / 3))


@given(seeds, st.floats(0.5, 20))
@settings(max_examples=25, deadline=None)
def test_agrees_with_scipy(seed: int, temperature: float) -> None:
    student, teacher = pair(seed)
    ours, theirs = (softmax(logits.numpy() / temperature, axis=-1) for logits in (student, teacher))
    expected = temperature**2 * rel_entr(theirs, ours).sum(axis=-1).mean()
    assert size(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_zero_at_equal_logits_up_to_a_shift_and_so_no_cross_entropy(temperature: float) -> None:
    # A cross-entropy to soft labels is the teacher's entropy here (torchtune ForwardKLLoss: 1.33).
    teacher = pair(0)[1]
    assert size(teacher + 3, teacher, temperature).item() == pytest.approx(0, abs=1e-12)
    assert gradient(teacher + 3, teacher, temperature).abs().max() < 1e-12


def test_gradient_is_temperature_times_the_difference_of_probabilities() -> None:
    student, teacher = pair(1)
    expected = 3.0 * ((student / 3).softmax(-1) - (teacher / 3).softmax(-1)) / len(student)
    torch.testing.assert_close(gradient(student, teacher, 3.0), expected)


def test_approaches_half_the_mse_of_centred_logits_at_high_temperature() -> None:
    student, teacher = (logits - logits.mean(-1, keepdim=True) for logits in pair(3))
    mse = LogitMse()(Outputs(student), taught(teacher))
    assert size(student, teacher, 10_000.0).item() == pytest.approx(mse.item() / 2, rel=1e-3)


def test_classes_that_nobody_believes_in_do_not_shrink_it() -> None:
    # reduction="mean" divides by C as well (Teacher-free-KD #5, haitongli #2, LD #74).
    student, teacher = pair(4)
    nobody = torch.full_like(student, -1e4)
    twice = size(torch.cat([student, nobody], -1), torch.cat([teacher, nobody], -1), 2.0)
    assert twice.item() == pytest.approx(size(student, teacher, 2.0).item())


@pytest.mark.parametrize("wrong", [0, -1.0, math.inf, math.nan, True, "2", None])
def test_temperature_must_be_a_finite_number_above_zero(wrong: float) -> None:
    with pytest.raises(UserError, match="temperature: expected a finite number above 0"):
        KL(wrong)


def test_confidence_weighting_is_the_mean_over_the_teachers_certainty() -> None:
    student, teacher = pair(6)
    sure = softmax(teacher.numpy(), axis=-1).max(-1)
    ours, theirs = (softmax(logits.numpy() / 2, axis=-1) for logits in (student, teacher))
    rows = 4 * rel_entr(theirs, ours).sum(-1)
    found = KL(2.0, confidence_weighting=True)(Outputs(student), taught(teacher))
    assert found.item() == pytest.approx((sure * rows).sum() / sure.sum())
    assert found.item() != pytest.approx(rows.mean(), rel=1e-3)


def test_confidence_weighting_is_in_the_name_where_it_is_used_and_nowhere_else() -> None:
    assert describe(KL(2.0)) == {"class": "kd_lab.losses.term.kl.KL", "temperature": 2.0}
    assert fingerprint(KL(2.0)) == fingerprint(KL(2.0, False)) != fingerprint(KL(2.0, True))
