"""The hybrid loss: what alpha weighs, continuity at its ends, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from two_models import taught

from kd_lab.core.cache import describe, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.sequence import Sequence

STUDENT = Outputs(torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], dtype=torch.float64))
TEACHER = Outputs(torch.tensor([[0.0, 3.0, 1.0], [1.0, 0.0, 2.0]], dtype=torch.float64))
fractions = st.floats(0, 1)


def batch(labels: tuple[int, int] = (1, 0), teacher: Outputs | None = TEACHER) -> Batch:
    return taught(teacher, labels)


def total(alpha: float, temperature: float = 4.0, sequence_weight: float = 0.0) -> float:
    return float(Hybrid(alpha, temperature, sequence_weight)(STUDENT, batch())[0])


CE, SOFT, SEQUENCE = (float(term(STUDENT, batch())) for term in (CrossEntropy(), KL(4.0), Sequence()))


def test_worked_value() -> None:
    # Student (0, 0): p_s = (1/2, 1/2). Teacher (2 ln 3, 0): at T = 2 p_t = (3/4, 1/4), at T = 1 p_t = (9/10, 1/10).
    # CE = ln 2; KL = 4 (3/4 ln 3/2 + 1/4 ln 1/2); sequence = 9/10 ln 2.
    # alpha 0.3, sequence_weight 0.25: 0.3 CE + 0.7 (0.75 KL + 0.25 sequence).
    one = taught(torch.tensor([[2 * math.log(3), 0.0]]), [1])
    value, _ = Hybrid(0.3, 2.0, 0.25)(Outputs(torch.zeros(1, 2)), one)
    soft = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    expected = 0.3 * math.log(2) + 0.7 * (0.75 * soft + 0.25 * 0.9 * math.log(2))
    assert value.item() == pytest.approx(expected)


def test_alpha_is_the_weight_of_cross_entropy() -> None:
    assert total(1.0) == pytest.approx(CE)
    assert total(0.0) == pytest.approx(SOFT)
    assert total(0.9) == pytest.approx(0.9 * CE + 0.1 * SOFT)


@given(fractions, fractions)
@settings(max_examples=30, deadline=None)
def test_is_the_formula(alpha: float, sequence_weight: float) -> None:
    soft = (1 - sequence_weight) * SOFT + sequence_weight * SEQUENCE
    assert total(alpha, 4.0, sequence_weight) == pytest.approx(alpha * CE + (1 - alpha) * soft)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_has_no_jump_at_the_ends_of_alpha(end: float) -> None:
    # torchdistill KDLoss multiplies by T^2 only when alpha is not 0: 0.038 at alpha 0, 0.605 at 1e-9.
    assert total(end) == pytest.approx(total(abs(end - 1e-9)), rel=1e-7)


def test_has_no_jump_at_the_ends_of_sequence_weight() -> None:
    assert total(0.5, 4.0, 0.0) == pytest.approx(total(0.5, 4.0, 1e-9), rel=1e-7)
    assert total(0.5, 4.0, 1.0) == pytest.approx(total(0.5, 4.0, 1 - 1e-9), rel=1e-7)


def test_size_of_every_term_is_logged_before_weighting() -> None:
    # A term 100 to 1000 times smaller than the other goes unnoticed otherwise (EasyDistill #34).
    _, sizes = Hybrid(0.001, 4.0, 0.5)(STUDENT, batch())
    assert {name: float(size) for name, size in sizes.items()} == pytest.approx(
        {"cross_entropy": CE, "kl": SOFT, "sequence": SEQUENCE}
    )


def test_the_gradient_comes_from_the_teacher_when_alpha_is_zero() -> None:
    # The wrong variable passed on, and nothing is distilled (labml #66).
    logits = STUDENT.logits.clone().requires_grad_()
    value, _ = Hybrid(0.0, 4.0, 0.0)(Outputs(logits), batch())
    (grad,) = torch.autograd.grad(value, logits)
    expected = 4 * ((STUDENT.logits / 4).softmax(-1) - (TEACHER.logits / 4).softmax(-1)) / 2
    torch.testing.assert_close(grad, expected)


def test_an_unlabelled_row_is_distilled_but_has_no_cross_entropy() -> None:
    _, sizes = Hybrid(0.5, 4.0, 0.0)(STUDENT, batch((1, -1)))
    assert float(sizes["kl"]) == pytest.approx(SOFT)
    assert float(sizes["cross_entropy"]) == pytest.approx(-float(STUDENT.logits[0].log_softmax(-1)[1]))


def test_alpha_of_one_needs_no_teacher() -> None:
    loss = Hybrid(1.0, 4.0, 0.5)
    assert loss.needs == frozenset()
    loss.check(classes=2, teacher=False)
    assert float(loss(STUDENT, batch(teacher=None))[0]) == pytest.approx(CE)


def test_any_other_alpha_refuses_to_start_without_a_teacher() -> None:
    loss = Hybrid(0.5, 4.0, 0.0)
    assert loss.needs == {"logits"}
    with pytest.raises(UserError, match=r"'kl': expected a teacher, for its logits, got none\. Choose a teacher"):
        loss.check(classes=2, teacher=False)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan, True, "0.5", None])
@pytest.mark.parametrize("name", ["alpha", "sequence_weight"])
def test_shares_must_lie_between_0_and_1(name: str, wrong: float) -> None:
    with pytest.raises(UserError) as caught:
        Hybrid(**{"alpha": 0.5, "temperature": 2.0, "sequence_weight": 0.5, name: wrong})
    assert caught.value.where == f"loss.{name}"


@pytest.mark.parametrize("wrong", [0, -2.0, math.inf, math.nan, True, "2", None])
def test_temperature_must_be_finite_and_above_0(wrong: float) -> None:
    with pytest.raises(UserError) as caught:
        Hybrid(0.5, wrong, 0.0)
    assert caught.value.where == "loss.temperature"


def test_its_name_in_the_cache_is_its_options() -> None:
    assert describe(Hybrid(0.5, 2.0, 0.0)) == {
        "class": "kd_lab.losses.hybrid.Hybrid",
        "alpha": 0.5,
        "temperature": 2.0,
        "sequence_weight": 0.0,
        "class_weights": None,
    }
    assert fingerprint(Hybrid(1, 2, 0)) == fingerprint(Hybrid(1.0, 2.0, 0.0))


# schedules


def scheduled(**ends: object) -> Hybrid:
    return Hybrid(**{"alpha": 0.2, "temperature": 8.0, "sequence_weight": 0.5, **ends})


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [("linear", [0, 0.25, 0.5, 0.75, 1]), ("cosine", [0, (1 - math.sqrt(0.5)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2, 1])],
)
def test_alpha_and_temperature_go_from_one_end_to_the_other_over_the_epochs(schedule: str, shares: list[float]) -> None:
    loss = scheduled(alpha_end=0.6, temperature_end=2.0, schedule=schedule)
    for epoch, share in enumerate(shares):
        loss.at_epoch(epoch, 5)
        constant = Hybrid(0.2 + 0.4 * share, 8.0 - 6.0 * share, 0.5)
        (total, sizes), (expected, apart) = loss(STUDENT, batch()), constant(STUDENT, batch())
        torch.testing.assert_close(total, expected)
        torch.testing.assert_close(sizes, apart)
    loss.at_epoch(0, 5)
    assert loss(STUDENT, batch())[0] == Hybrid(0.2, 8.0, 0.5)(STUDENT, batch())[0], "another fit begins at the start"


def test_one_epoch_is_the_start_and_without_ends_nothing_changes() -> None:
    for loss, epochs in ((scheduled(alpha_end=0.6, temperature_end=2.0), 1), (scheduled(), 3)):
        loss.at_epoch(epochs - 1, epochs)
        assert loss(STUDENT, batch())[0] == scheduled()(STUDENT, batch())[0]


def test_a_term_that_counts_later_needs_its_teacher_from_the_start() -> None:
    loss = Hybrid(1.0, 2.0, 0.0, alpha_end=0.5)
    assert loss.needs == {"logits"}
    total, sizes = loss(STUDENT, batch())
    assert total == sizes["cross_entropy"]
    assert set(sizes) == {"cross_entropy", "kl"}
    assert Hybrid(0.5, 2.0, 0.0, alpha_end=1.0).needs == {"logits"}
    assert Hybrid(1.0, 2.0, 0.0, alpha_end=1.0).needs == frozenset()


def test_an_end_is_in_the_name_where_it_is_given_and_nowhere_else() -> None:
    assert fingerprint(scheduled()) == fingerprint(scheduled(schedule="cosine"))
    names = [
        fingerprint(scheduled(**given))
        for given in ({}, {"alpha_end": 0.5}, {"temperature_end": 2.0}, {"alpha_end": 0.5, "schedule": "cosine"})
    ]
    assert len(set(names)) == 4
    loss = scheduled(alpha_end=0.5, temperature_end=2.0)
    before = fingerprint(loss)
    loss.at_epoch(1, 3)
    assert fingerprint(loss) == before


@pytest.mark.parametrize(
    "wrong", [{"alpha_end": 1.5}, {"alpha_end": True}, {"temperature_end": 0.0}, {"schedule": "steps"}]
)
def test_what_is_no_end_or_no_schedule_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError) as caught:
        scheduled(**wrong)
    assert caught.value.where == f"loss.{next(iter(wrong))}"
