"""Cross-entropy: worked values, unlabelled rows, label smoothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from two_models import taught

from kd_lab.core.errors import UserError
from kd_lab.core.types import Outputs
from kd_lab.losses.term.cross_entropy import CrossEntropy


def size(logits: Tensor, labels: list[int], label_smoothing: float = 0.0) -> Tensor:
    return CrossEntropy(label_smoothing)(Outputs(logits), taught(None, labels))


def test_worked_value() -> None:
    # logits (ln 3, 0): p = (3/4, 1/4). Gold 0 costs ln 4/3, gold 1 costs ln 4; their mean is (ln 4/3 + ln 4) / 2.
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    assert size(logits, [0, 1]).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_worked_value_with_label_smoothing() -> None:
    # e = 0.2, C = 2: q = (0.9, 0.1); p = (3/4, 1/4): 0.9 ln 4/3 + 0.1 ln 4.
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert size(torch.tensor([[math.log(3), 0.0]]), [0], 0.2).item() == pytest.approx(expected)


def test_agrees_with_sklearn_log_loss() -> None:
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = [row % 5 for row in range(20)]
    assert size(logits, labels).item() == pytest.approx(log_loss(labels, logits.softmax(-1).numpy(), labels=range(5)))


def test_unlabelled_rows_change_neither_value_nor_gradient() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [5.0, -1.0, 0.0], [0.5, 0.0, 0.2]], requires_grad=True)
    (grad,) = torch.autograd.grad(size(logits, [2, -1, 0], 0.1), logits)
    labelled = logits[[0, 2]].detach().requires_grad_()
    (expected,) = torch.autograd.grad(size(labelled, [2, 0], 0.1), labelled)
    torch.testing.assert_close(grad[[0, 2]], expected)
    assert grad[1].abs().sum() == 0
    assert size(logits, [2, -1, 0]) == size(labelled, [2, 0])


def test_batch_without_labels_gives_zero_with_a_live_graph() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    value = size(logits, [-1, -1, -1])
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_minimum_is_zero_at_certainty() -> None:
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]], requires_grad=True)
    value = size(logits, [0, 1])
    (grad,) = torch.autograd.grad(value, logits)
    assert value.item() == 0
    assert grad.abs().max() < 1e-30


def test_minimum_with_label_smoothing_is_the_entropy_of_the_smoothed_label() -> None:
    q = np.array([0.9, 0.1])  # e = 0.2, C = 2
    logits = torch.tensor(np.log(q)).unsqueeze(0).requires_grad_()
    value = size(logits, [0], 0.2)
    (grad,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(-(q * np.log(q)).sum())
    assert grad.abs().max() < 1e-12


@pytest.mark.parametrize("wrong", [-0.1, 1.0, math.nan, True, "0.1", None])
def test_label_smoothing_must_be_a_fraction(wrong: float) -> None:
    with pytest.raises(UserError, match="label_smoothing"):
        CrossEntropy(wrong)


def test_balanced_rows_count_as_much_as_their_class_is_rare() -> None:
    term = CrossEntropy(class_weights="balanced")
    counts = torch.tensor([8, 1, 3])
    term.prepare(counts, 12)
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), [0, 0, 1, 2, -1, 0, 2]
    weights = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(np.arange(3), counts))
    known = [row for row, label in enumerate(labels) if label >= 0]
    rows = [labels[row] for row in known]
    wanted = log_loss(rows, logits[known].softmax(1).numpy(), sample_weight=weights[rows], labels=[0, 1, 2])
    assert term(Outputs(logits), taught(None, labels)).item() == pytest.approx(wanted, rel=1e-5)
    assert term(Outputs(logits), taught(None, [-1] * 7)).item() == 0


def test_rows_count_alike_unless_told_otherwise() -> None:
    logits, plain = torch.randn(4, 3), CrossEntropy()
    plain.prepare(torch.tensor([8, 1, 3]), 12)
    assert torch.equal(plain(Outputs(logits), taught(None, [0, 1, 2, 2])), size(logits, [0, 1, 2, 2]))


def test_balanced_weights_count_rows_whatever_is_smoothed() -> None:
    """A row's loss times its class's weight: with each class's part weighted instead, 19:1 turns the answer round."""
    loss = CrossEntropy(label_smoothing=0.1, class_weights="balanced")
    loss.prepare(torch.tensor([40, 1]), 41)
    logits = torch.zeros(2, 2, requires_grad=True)
    value = loss(Outputs(logits), taught(None, [0, 1]))
    rows = torch.stack([size(logits[[row]], [row], 0.1) for row in (0, 1)])
    weights = torch.tensor([41 / 80, 41 / 2])
    torch.testing.assert_close(value, (rows * weights).sum() / weights.sum())
    (slope,) = torch.autograd.grad(value, logits)
    assert slope[0, 0] < 0 < slope[0, 1], "a row of the large class is drawn to it"
