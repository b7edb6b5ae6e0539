"""Entropy: scipy's, its ends, and rows without a label."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Tensor
from two_models import taught

from kd_lab.core.types import Outputs
from kd_lab.losses.term.entropy import Entropy


def size(logits: Tensor, labels: list[int] | None = None) -> Tensor:
    return Entropy()(Outputs(logits), taught(None, labels or [-1] * len(logits)))


def test_agrees_with_scipy() -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert size(logits).item() == pytest.approx(scipy.stats.entropy(logits.softmax(-1).numpy(), axis=-1).mean())


def test_is_log_c_at_doubt_and_zero_with_a_finite_slope_at_certainty() -> None:
    assert size(torch.zeros(2, 5)).item() == pytest.approx(math.log(5))
    sure = torch.tensor([[500.0, 0.0, -500.0]], requires_grad=True)
    value = size(sure)
    value.backward()
    assert value.item() == 0
    assert sure.grad is not None
    assert sure.grad.abs().max() == 0


def test_a_step_down_its_slope_makes_the_likeliest_class_likelier() -> None:
    logits = torch.tensor([[1.0, 0.5, 0.0]], requires_grad=True)
    (grad,) = torch.autograd.grad(size(logits), logits)
    assert (logits - grad).softmax(-1)[0, 0] > logits.softmax(-1)[0, 0]


def test_labels_say_nothing() -> None:
    logits = torch.randn(3, 4)
    assert size(logits, [0, 1, -1]) == size(logits)
