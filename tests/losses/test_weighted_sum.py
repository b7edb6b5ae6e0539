"""Weighted sums: what is added, logged, left out and refused."""

from __future__ import annotations

import math

import pytest
import torch
from two_models import taught

from kd_lab.core.cache import describe, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.hidden_cosine import HiddenCosine
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum

STUDENT = Outputs(torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]))
TEACHER = Outputs(torch.tensor([[0.0, 3.0, 1.0], [1.0, 0.0, 2.0]]))


def batch(teacher: Outputs | None = TEACHER) -> Batch:
    return taught(teacher, [1, 2])


class NeverComputed(Term):
    """A term that must not be asked, with weights of its own."""

    needs = frozenset({"attention"})
    returns = frozenset({"attention"})

    def forward(self, student: Outputs, batch: Batch) -> torch.Tensor:
        raise AssertionError


def test_total_is_the_weighted_sum_and_sizes_are_logged_unweighted_and_detached() -> None:
    terms = {"cross_entropy": CrossEntropy(), "kl": KL(2.0)}
    student = Outputs(STUDENT.logits.clone().requires_grad_())
    total, sizes = WeightedSum(terms, {"cross_entropy": 0.3, "kl": 5})(student, batch())
    expected = {name: term(STUDENT, batch()) for name, term in terms.items()}
    assert sizes == expected
    assert not any(size.requires_grad for size in sizes.values())
    assert total.requires_grad
    assert total.item() == pytest.approx(0.3 * expected["cross_entropy"].item() + 5 * expected["kl"].item())


def test_float64_stays_float64() -> None:
    total, _ = WeightedSum({"a": CrossEntropy()}, {"a": 1.0})(Outputs(STUDENT.logits.double()), batch())
    assert total.dtype == torch.float64


def test_a_term_of_weight_zero_is_neither_computed_nor_needed_nor_logged() -> None:
    loss = WeightedSum({"cross_entropy": CrossEntropy(), "never": NeverComputed()}, {"cross_entropy": 1, "never": 0})
    assert loss.needs == frozenset()
    assert loss.returns == {"logits"}
    loss.check(classes=2, teacher=False)
    total, sizes = loss(STUDENT, batch(None))
    assert total == sizes["cross_entropy"]
    assert set(sizes) == {"cross_entropy"}


def test_needs_and_returns_are_the_union_over_terms() -> None:
    loss = WeightedSum({"hidden": HiddenCosine(), "mse": LogitMse()}, {"hidden": 1.0, "mse": 1.0})
    assert loss.needs == {"logits", "hidden"}
    assert loss.returns == {"logits", "hidden"}


def test_check_refuses_a_run_without_the_teacher_that_a_term_needs() -> None:
    loss = WeightedSum({"cross_entropy": CrossEntropy(), "soft": KL(2.0)}, {"cross_entropy": 1.0, "soft": 1.0})
    with pytest.raises(UserError, match=r"'soft': expected a teacher, for its logits, got none\. Choose a teacher"):
        loss.check(classes=2, teacher=False)
    loss.check(classes=2, teacher=True)


def test_check_asks_each_term_how_many_classes_it_can_work_with() -> None:
    class Choosy(LogitMse):
        fewest_classes = 3

    loss = WeightedSum({"choosy": Choosy()}, {"choosy": 1.0})
    with pytest.raises(UserError, match="'choosy': expected at least 3 classes, got 2"):
        loss.check(classes=2, teacher=True)


@pytest.mark.parametrize("teacher", [None, TEACHER])
def test_a_missing_teacher_field_names_the_term_the_field_and_a_cure(teacher: Outputs | None) -> None:
    loss = WeightedSum({"directions": HiddenCosine()}, {"directions": 1.0})
    with pytest.raises(UserError, match=r"'directions': expected teacher hidden, got .*\. Choose a teacher"):
        loss(Outputs(STUDENT.logits, torch.zeros(2, 2, 3)), batch(teacher))


def test_a_missing_student_field_names_the_term_and_the_field() -> None:
    loss = WeightedSum({"directions": HiddenCosine()}, {"directions": 1.0})
    with pytest.raises(UserError, match="'directions': expected student hidden, got outputs without hidden"):
        loss(STUDENT, batch())


def test_a_terms_own_weights_are_parameters_of_the_loss() -> None:
    term = LogitMse()
    term.projection = torch.nn.Linear(2, 3)
    assert len(list(WeightedSum({"mse": term}, {"mse": 1.0}).parameters())) == 2


@pytest.mark.parametrize("weights", [{}, {"kl": 1.0}, {"mse": 1.0, "kl": 1.0}])
def test_terms_and_weights_must_have_the_same_names(weights: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"loss\.weights: expected one weight for each term, mse"):
        WeightedSum({"mse": LogitMse()}, weights)


@pytest.mark.parametrize("wrong", [-1.0, math.inf, math.nan, True, "1", None])
def test_a_weight_must_be_a_number_of_at_least_zero(wrong: float) -> None:
    with pytest.raises(UserError, match=r"loss\.weights\.mse: expected a finite number, at least 0"):
        WeightedSum({"mse": LogitMse()}, {"mse": wrong})


@pytest.mark.parametrize("terms", [{}, {"mse": LogitMse()}])
def test_some_weight_must_be_above_zero(terms: dict[str, Term]) -> None:
    with pytest.raises(UserError, match=r"loss\.weights: expected a weight above 0"):
        WeightedSum(terms, dict.fromkeys(terms, 0.0))


def test_its_name_in_the_cache_follows_its_terms_and_weights() -> None:
    def named(temperature: float, weight: float) -> str:
        return fingerprint(WeightedSum({"kl": KL(temperature)}, {"kl": weight}))

    assert named(2.0, 1.0) == named(2, 1)
    assert len({named(2.0, 1.0), named(3.0, 1.0), named(2.0, 0.5)}) == 3
    assert describe(WeightedSum({"kl": KL(2.0)}, {"kl": 1.0})) == {
        "class": "kd_lab.losses.weighted_sum.WeightedSum",
        "terms": {"kl": {"class": "kd_lab.losses.term.kl.KL", "temperature": 2.0}},
        "weights": {"kl": 1.0},
    }
