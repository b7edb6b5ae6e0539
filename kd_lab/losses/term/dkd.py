"""Decoupled distillation: how sure of the target the student is, and how it ranks the other classes, weighed apart."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.option_types import Temperature, Weight
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, temperature_of, weight_of
from kd_lab.losses.term.kl import SAME_CLASSES

UNLABELLED = -1


class DKD(Term):
    """T^2 * mean over rows of target_weight * KL(b_t || b_s) + others_weight * KL(q_t || q_s), in nats.

    b = (p of the target, 1 - it); q = softmax(logits / T) over the other classes alone. The target is the gold label,
    of a row without one the teacher's answer. `kl` is the sum in which KL(q_t || q_s) counts as little as a sure
    teacher leaves to the other classes; here its weight is free (Zhao et al., arXiv:2203.08679, equation 7, where the
    weights are alpha and beta; 1 and 8 at T = 4 are theirs for CIFAR-100). 0 when student equals teacher, up to a shift
    of a row's logits. With 2 classes q is 1 and the second part always 0: refused.

    Args:
        temperature: T, above 0.
        target_weight, others_weight: finite, at least 0.

    Raises:
        UserError: one of them is not such a number.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    fewest_classes: ClassVar[int] = 3

    def __init__(
        self, temperature: Temperature = 4.0, target_weight: Weight = 1.0, others_weight: Weight = 1.0
    ) -> None:
        super().__init__()
        self.temperature = temperature_of("loss.terms.dkd.temperature", temperature)
        self.target_weight = weight_of("loss.terms.dkd.target_weight", target_weight)
        self.others_weight = weight_of("loss.terms.dkd.others_weight", others_weight)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) and labels (B,) to a scalar."""
        ours, theirs = self.pair(student, batch, "logits", SAME_CLASSES)
        target = batch.labels.where(batch.labels != UNLABELLED, theirs.argmax(-1))
        (target_s, others_s), (target_t, others_t) = (
            _split(F.log_softmax(logits / self.temperature, dim=-1), target) for logits in (ours, theirs)
        )
        of_target = F.kl_div(target_s, target_t, log_target=True, reduction="batchmean")
        of_others = F.kl_div(others_s, others_t, log_target=True, reduction="batchmean")
        return self.temperature**2 * (self.target_weight * of_target + self.others_weight * of_others)


def _split(log_p: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """log b (B, 2) and log q (B, C - 1)."""
    is_target = F.one_hot(target, log_p.shape[1]).bool()
    others = log_p[~is_target].view(len(log_p), -1)
    rest = others.logsumexp(-1, keepdim=True)
    return torch.stack((log_p[is_target], rest.squeeze(1)), dim=-1), others - rest
