"""Hidden cosine: worked values, padding, widths."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics.pairwise import paired_cosine_distances
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.term.hidden_cosine import HiddenCosine


def size(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    rows, tokens = student.shape[:2]
    mask = torch.ones(rows, tokens, dtype=torch.int64) if mask is None else mask
    logits = torch.zeros(rows, 2)
    batch = Batch(torch.arange(rows), mask, mask, torch.full((rows,), -1), teacher=Outputs(logits, teacher))
    return HiddenCosine()(Outputs(logits, student), batch)


def states(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_worked_value() -> None:
    # Token 1: (1, 0) and (0, 2) are at right angles: 1. Token 2: (3, 4) and (3, 0): cos 3/5, so 2/5. Mean 0.7.
    student, teacher = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]]), torch.tensor([[[0.0, 2.0], [3.0, 0.0]]])
    assert size(student, teacher).item() == pytest.approx(0.7)


def test_agrees_with_sklearn() -> None:
    student, teacher = states(2, 3, 4, 5)
    expected = paired_cosine_distances(student.reshape(-1, 5).numpy(), teacher.reshape(-1, 5).numpy()).mean()
    assert size(student, teacher).item() == pytest.approx(expected)


def test_is_zero_with_no_gradient_at_equality_and_at_any_positive_multiple() -> None:
    teacher = states(3, 4, 5)
    student = (2.5 * teacher).requires_grad_()
    value = size(student, teacher)
    (grad,) = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert grad.abs().max() < 1e-12


def test_is_two_at_opposite_states() -> None:
    teacher = states(3, 4, 5)
    assert size(-teacher, teacher).item() == pytest.approx(2)


def test_every_real_token_counts_alike_and_padding_not_at_all() -> None:
    # Row 1 has 3 tokens at distance 1, row 2 has 1 token at distance 0: 3/4 over tokens (1/2 over rows).
    student = torch.tensor([1.0, 0.0]).repeat(2, 3, 1)
    teacher = torch.tensor([0.0, 1.0]).repeat(2, 3, 1)
    teacher[1, 0] = torch.tensor([1.0, 0.0])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert size(student, teacher, mask).item() == pytest.approx(0.75)


def test_refuses_a_teacher_of_another_width() -> None:
    with pytest.raises(
        UserError, match=r"'hidden_cosine': expected teacher hidden .*\[2, 4, 5\], got \[2, 4, 8\].*width"
    ):
        size(states(2, 4, 5), states(2, 4, 8))
