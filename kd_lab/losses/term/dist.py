"""Correlation of the student's class probabilities with the teacher's, row by row and class by class."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Temperature, Weight
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, temperature_of, weight_of
from kd_lab.losses.term.kl import SAME_CLASSES

_FLAT = 1e-6  # a spread below this share of the mean is rounding


class Dist(Term):
    """T^2 * [rows * mean over rows of (1 - r) + columns * mean over classes of (1 - r)], r from -1 to 1.

    r: Pearson's correlation of p_s with p_t, p = softmax(logits / T); of a row over its classes, of a class over the
    batch's rows. Only the relations count, so that a small student need not reach a large teacher's certainty. 0 when
    student equals teacher, or is p_t scaled and shifted. A row or class in which the teacher says the same everywhere
    has no relation, and counts 0. Source: Huang et al., arXiv:2205.10536, equations 7 to 10, where the weights are beta
    and gamma; T^2 as in their code. With 2 classes r of a row is 1 or -1: refused unless `rows` is 0.

    Args:
        rows, columns: weights, finite, at least 0, not both 0.
        temperature: T, above 0.

    Raises:
        UserError: one of them is not such a number.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})

    def __init__(self, rows: Weight = 1.0, columns: Weight = 1.0, temperature: Temperature = 1.0) -> None:
        super().__init__()
        self.rows, self.columns = weight_of("loss.terms.dist.rows", rows), weight_of("loss.terms.dist.columns", columns)
        if not self.rows and not self.columns:
            cure = "Give one a weight, e.g. loss.terms.dist.columns=1."
            raise UserError("loss.terms.dist", expected="rows or columns above 0", got="both 0", cure=cure)
        self.temperature = temperature_of("loss.terms.dist.temperature", temperature)

    def check_classes(self, name: str, classes: int) -> None:
        """See `Term`; with 2 classes rows have nothing to say."""
        super().check_classes(name, classes)
        if classes == 2 and self.rows:
            raise UserError(
                f"loss term {name!r}",
                expected="at least 3 classes, for the correlation within a row",
                got="2, of which it is always 1 or -1",
                cure=f"Choose loss.terms.{name}.rows=0, or another loss, e.g. loss=hybrid."
                if self.columns
                else "Choose another loss, e.g. loss=hybrid.",
            )

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        ours, theirs = self.pair(student, batch, "logits", SAME_CLASSES)
        p_s, p_t = ((logits / self.temperature).softmax(-1) for logits in (ours, theirs))
        total = self.rows * _distance(p_s, p_t) + self.columns * _distance(p_s.T, p_t.T)
        return self.temperature**2 * total


def _distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean over lines, (lines, numbers) each, of 1 - Pearson's correlation; 0 for a line in which `theirs` is flat."""
    (x, _), (y, level) = _centred(ours), _centred(theirs)
    told = y.norm(dim=-1) > _FLAT * level * y.shape[-1] ** 0.5
    x, y = x[told], y[told]
    tiny = torch.finfo(x.dtype).tiny ** 0.5
    r: Tensor = (x * y).sum(-1) / (x.norm(dim=-1).clamp(min=tiny) * y.norm(dim=-1))
    total: Tensor = (1 - r).sum()
    return total / len(ours)


def _centred(values: Tensor) -> tuple[Tensor, Tensor]:
    mean = values.mean(-1, keepdim=True)
    return values - mean, mean.squeeze(-1)
