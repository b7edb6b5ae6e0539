"""Rows of which a teacher says nothing teach by their labels alone: loss and gradient are those of the other rows."""

from __future__ import annotations

import pytest
import torch
from two_models import taught

from kd_lab.core.types import Outputs
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum

LOSSES = [
    Hybrid(alpha=0.3, temperature=3.0, sequence_weight=0.4),
    WeightedSum({"logit_mse": LogitMse(), "cross_entropy": CrossEntropy()}, {"logit_mse": 1.0, "cross_entropy": 0.5}),
]


@pytest.mark.parametrize("loss", LOSSES, ids=["hybrid", "weighted"])
def test_the_teachers_part_is_that_of_the_rows_it_answers(loss: Loss) -> None:
    torch.manual_seed(0)
    student, said, labels = torch.randn(6, 4), torch.randn(6, 4), torch.tensor([0, 1, -1, 2, 3, -1])
    answered = torch.tensor([True, False, True, True, False, True])
    given = torch.where(answered[:, None], said, torch.nan)
    asked = student.clone().requires_grad_()
    total, sizes = loss(Outputs(asked), taught(Outputs(given, answered=answered), labels))
    total.backward()
    apart = student.clone().requires_grad_()
    few = taught(said[answered], labels[answered])
    wanted = dict(loss(Outputs(apart[answered]), few)[1])
    everything = taught(said, labels)
    wanted["cross_entropy"] = loss(Outputs(apart), everything)[1]["cross_entropy"]
    for name, size in sizes.items():
        assert torch.allclose(size, wanted[name], atol=1e-6), name
    by_teacher = sum(
        loss.weights[name] * loss._active()[name](Outputs(apart[answered]), few)
        for name in wanted
        if name != "cross_entropy"
    )
    by_label = loss.weights["cross_entropy"] * loss._active()["cross_entropy"](Outputs(apart), everything)
    (by_teacher + by_label).backward()
    assert asked.grad is not None
    assert apart.grad is not None
    assert torch.allclose(asked.grad, apart.grad, atol=1e-6)


def test_a_batch_that_is_not_answered_at_all_learns_from_labels() -> None:
    student, labels = torch.randn(3, 4, requires_grad=True), torch.tensor([0, 1, 2])
    teacher = Outputs(torch.full((3, 4), torch.nan), answered=torch.zeros(3, dtype=torch.bool))
    total, sizes = LOSSES[0](Outputs(student), taught(teacher, labels))
    assert sizes["kl"] == 0
    assert torch.isfinite(total)
