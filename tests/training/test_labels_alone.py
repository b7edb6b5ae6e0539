"""Labels alone, learned from by their logits: when it is said, and that a loss of one's own is let be."""

from __future__ import annotations

import torch

from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.training.labels_alone import MANY, labels_alone_hint

BOTH = {"cross_entropy": CrossEntropy(), "logit_mse": LogitMse()}


def test_many_classes_by_logit_mse_are_said_and_nothing_else():
    mse = WeightedSum(BOTH, {"cross_entropy": 0.5, "logit_mse": 0.5})
    hint = labels_alone_hint(mse, MANY + 1)
    assert hint is not None
    assert f"the logits of {MANY} classes of {MANY + 1} one value" in hint
    assert "loss=kl" in hint
    assert labels_alone_hint(mse, MANY) is None
    assert labels_alone_hint(WeightedSum(BOTH, {"cross_entropy": 1.0, "logit_mse": 0.0}), 151) is None
    assert labels_alone_hint(Hybrid(alpha=0.5, temperature=2.0, sequence_weight=0.1), 151) is None


def test_a_loss_of_ones_own_that_has_no_terms_is_let_be():
    assert labels_alone_hint(torch.nn.MSELoss(), 151) is None
