"""Terms where a row may bear several labels, against formulas written out another way."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence
from two_models import taught

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.term.sequence import Sequence

LABELS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0], [-1, -1, -1]])
Z_S = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.double)
Z_T = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.double) * 2


def batch(teacher: torch.Tensor | None = None, labels: torch.Tensor = LABELS) -> Batch:
    return taught(teacher, labels)


def test_a_batch_knows_its_kind() -> None:
    several = batch()
    assert several.multi_label
    assert several.labelled.tolist() == [True, True, True, False]
    one = batch(labels=torch.tensor([0, -1]))
    assert not one.multi_label
    assert one.labelled.tolist() == [True, False]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_sums_over_labels_and_passes_over_rows_without(smoothing: float) -> None:
    wanted = 0.0
    for row in range(3):
        for label in range(3):
            p, q = 1 / (1 + math.exp(-Z_S[row, label])), LABELS[row, label] * (1 - smoothing) + smoothing / 2
            wanted -= float(q * math.log(p) + (1 - q) * math.log(1 - p)) / 3
    assert CrossEntropy(smoothing)(Outputs(Z_S), batch()).item() == pytest.approx(wanted)


def test_rows_without_labels_alone_give_nothing_and_no_gradient() -> None:
    logits = Z_S.clone().requires_grad_()
    size = CrossEntropy()(Outputs(logits), batch(labels=torch.full((4, 3), -1)))
    size.backward()
    assert size.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_balanced_labels_count_on_both_sides_alike() -> None:
    term = CrossEntropy(class_weights="balanced")
    term.prepare(LABELS[:3].sum(dim=0), 3)
    without, having = (
        torch.tensor([3 / 2, 3 / 4, 3 / 6]),
        torch.tensor([3 / 4, 3 / 2, 3 / 2]),
    )  # N / 2n of each side, n at least 1
    wanted = 0.0
    for row in range(3):
        for label in range(3):
            p = 1 / (1 + math.exp(-Z_S[row, label]))
            one = having[label] * -math.log(p) if LABELS[row, label] else without[label] * -math.log(1 - p)
            wanted += float(one) / 3
    assert term(Outputs(Z_S), batch()).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kl_is_that_of_bernoulli_distributions_times_t_squared(temperature: float) -> None:
    teacher, student = (Bernoulli(logits=z / temperature) for z in (Z_T, Z_S))
    wanted = temperature**2 * kl_divergence(teacher, student).sum(dim=1).mean()
    assert KL(temperature)(Outputs(Z_S), batch(Z_T)).item() == pytest.approx(wanted.item())
    assert KL(temperature)(Outputs(Z_T), batch(Z_T)).item() == pytest.approx(0, abs=1e-12)


def test_kl_sees_a_shift_of_all_logits_which_that_of_one_label_does_not() -> None:
    assert KL(2.0)(Outputs(Z_T + 1), batch(Z_T)).item() > 0.1
    assert KL(2.0)(Outputs(Z_T + 1), batch(Z_T, torch.tensor([0, 1, 2, 0]))).item() == pytest.approx(0, abs=1e-12)


def test_sequence_trains_on_the_side_of_each_label_that_the_teacher_takes() -> None:
    wanted = 0.0
    for row in range(4):
        for label in range(3):
            said, p = Z_T[row, label] > 0, 1 / (1 + math.exp(-Z_S[row, label]))
            sure = 1 / (1 + math.exp(-abs(Z_T[row, label])))
            wanted -= sure * math.log(p if said else 1 - p) / 4
    assert Sequence()(Outputs(Z_S), batch(Z_T)).item() == pytest.approx(float(wanted))


def test_gradients_are_those_of_finite_differences() -> None:
    for term in (CrossEntropy(), KL(2.0), Sequence(), LogitMse()):
        assert torch.autograd.gradcheck(lambda z, t=term: t(Outputs(z), batch(Z_T)), (Z_S.clone().requires_grad_(),))


def test_hybrid_is_trained_by_several_labels_and_other_terms_are_refused_before() -> None:
    Hybrid(0.5, 2.0, 0.1).check(3, teacher=True, multi_label=True)

    class OneLabel(Term):
        def forward(self, student: Outputs, batch: Batch) -> torch.Tensor:
            return student.logits.sum()

    loss = Loss({"mine": OneLabel()}, {"mine": 1.0})
    loss.check(3, teacher=False)
    with pytest.raises(UserError, match=r"'mine': expected one label a row, got task=multi_label.*loss=hybrid"):
        loss.check(3, teacher=False, multi_label=True)


def test_a_row_that_the_teacher_passes_over_learns_from_its_labels_alone() -> None:
    loss = Hybrid(0.5, 2.0, 0.0)
    answered = torch.tensor([True, False, True, True])
    partly = batch(Z_T)._replace(teacher=Outputs(Z_T, answered=answered))
    total, sizes = loss(Outputs(Z_S), partly)
    assert sizes["kl"].item() == pytest.approx(
        (4 * kl_divergence(Bernoulli(logits=Z_T / 2), Bernoulli(logits=Z_S / 2)).sum(dim=1))[answered].mean().item()
    )
    assert total.item() == pytest.approx(0.5 * sizes["cross_entropy"].item() + 0.5 * sizes["kl"].item())
