"""Relations between the texts of a batch: how far apart, and at what angles, their logits lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Weight
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, weight_of
from kd_lab.losses.term.kl import SAME_CLASSES

_AT_ONCE = 2**22  # cosines


class RKD(Term):
    """distances * mean over pairs of h(d_s - d_t) + angles * mean over triplets of h(cos_s - cos_t).

    The points are the logits (C,) of the batch's rows; d is the distance of two, divided by the mean of all that are
    above 0; cos that of the angle at the second of three; h(x) = x^2 / 2 up to |x| = 1, |x| - 1/2 beyond. 0 when
    student equals teacher, or is it moved, turned or scaled as a whole. Source: Park et al., arXiv:1904.05068,
    equations 4 to 10; weights 25 and 50 are theirs beside a task loss. They take embeddings; logits are what the cache
    holds and what a student of any kind and tokenizer has. What turns all points the same way costs nothing: which
    class is which must be said by another term.

    Args:
        distances, angles: weights, finite, at least 0, not both 0.

    Raises:
        UserError: one of them is not such a number.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    multi_label: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = False

    def __init__(self, distances: Weight = 1.0, angles: Weight = 2.0) -> None:
        super().__init__()
        self.distances = weight_of("loss.terms.rkd.distances", distances)
        self.angles = weight_of("loss.terms.rkd.angles", angles)
        if not self.distances and not self.angles:
            cure = "Give one a weight, e.g. loss.terms.rkd.distances=1."
            raise UserError("loss.terms.rkd", expected="distances or angles above 0", got="both 0", cure=cure)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two logits (B, C) to a scalar."""
        ours, theirs = self.pair(student, batch, "logits", SAME_CLASSES)
        total = ours.sum() * 0
        if self.distances:
            total = total + self.distances * F.smooth_l1_loss(_distances(ours), _distances(theirs))
        if self.angles:
            each = zip(_cosines(ours), _cosines(theirs), strict=True)
            of_angles = sum(F.smooth_l1_loss(one, other, reduction="sum") for one, other in each)
            total = total + self.angles * of_angles / len(ours) ** 3
        return total


def _distances(points: Tensor) -> Tensor:
    """(B, B), the mean of those above 0 being 1."""
    found = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")  # exactly 0 for the same point
    apart = found > 0
    return found / (found.sum() / apart.sum()) if apart.any() else found


def _cosines(points: Tensor) -> Iterator[Tensor]:
    """(some, B, B): at each of some points, of the angle between each two others; 0 where two points are the same."""
    step = max(1, _AT_ONCE // len(points) ** 2)
    for start in range(0, len(points), step):
        edges = points - points[start : start + step, None]  # (some, B, C)
        lengths = edges.square().sum(-1, keepdim=True)
        apart = lengths > 0
        units = edges * apart / lengths.where(apart, 1.0).sqrt()
        with torch.autocast(points.device.type, enabled=False):
            cosines = units @ units.transpose(1, 2)
        yield cosines
