"""Divergence of class probabilities from logits that are standardised in each row: no scale is to be matched."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.option_types import Temperature
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, temperature_of
from kd_lab.losses.term.kl import SAME_CLASSES

_LEAST = 1e-7  # added to a row's spread


class StandardisedKL(Term):
    """T^2 * mean over rows of KL(p_t || p_s), in nats; p = softmax(z / T), z = (logits - mean) / (std + 1e-7).

    Mean and (population) standard deviation are those of each row: the student need not have the teacher's range of
    logits, only their relations (Sun et al., arXiv:2403.01427, equations 11 and 12 and algorithm 1; their base
    temperature is 2). 0 when the student's logits are the teacher's scaled and shifted, row by row. So the scale is
    learned from labels: a student of this term alone is no better calibrated than its start. With 2 classes every row
    has the same two z: refused.

    Args:
        temperature: T, above 0.

    Raises:
        UserError: temperature is not such a number.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    fewest_classes: ClassVar[int] = 3

    def __init__(self, temperature: Temperature = 2.0) -> None:
        super().__init__()
        self.temperature = temperature_of("loss.terms.standardised_kl.temperature", temperature)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        ours, theirs = self.pair(student, batch, "logits", SAME_CLASSES)
        log_s, log_t = (F.log_softmax(_standardised(z) / self.temperature, dim=-1) for z in (ours, theirs))
        return self.temperature**2 * F.kl_div(log_s, log_t, log_target=True, reduction="batchmean")


def _standardised(logits: Tensor) -> Tensor:
    centred = logits - logits.mean(-1, keepdim=True)
    spread = centred.square().mean(-1, keepdim=True).clamp(min=_LEAST**2).sqrt()  # of equal logits it has no slope
    return centred / (spread + _LEAST)
