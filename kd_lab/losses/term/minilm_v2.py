"""MiniLMv2: how queries, keys and values of the last layer relate, in heads that need be neither model's own."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Units
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.losses.base import Term, whole_of
from kd_lab.losses.fitting_losses import RELATION_HEADS
from kd_lab.losses.relations import divergence, scores

_FIELDS = ("queries", "keys", "values")


class MiniLmV2(Term):
    """KL(Q_t || Q_s) + KL(K_t || K_s) + KL(V_t || V_s) of the last layer, each a mean over tokens and heads, in nats.

    Q = softmax(q q' / sqrt(D)) over real tokens, as are K and V; q of all heads are put together and split anew into
    `relation_heads`, D = H / relation_heads, so that numbers of heads, widths and layers may differ. 0 when student
    equals teacher. The teacher must read the same tokens. Source: Wang et al., arXiv:2012.15828, equations 5 to 9; 48
    heads are theirs for a base-size teacher.

    Args:
        relation_heads: how many; they must divide the width of both.
    """

    needs: ClassVar[frozenset[str]] = frozenset(_FIELDS)
    multi_label: ClassVar[bool] = True
    returns: ClassVar[frozenset[str]] = frozenset({"logits", *_FIELDS})

    def __init__(self, relation_heads: Units = 48) -> None:
        super().__init__()
        self.relation_heads = whole_of("loss.terms.minilm_v2.relation_heads", relation_heads)

    def check_models(self, name: str, student: ModelShape, teacher: ModelShape) -> None:
        """See `Term`."""
        self._check(name, student.width, teacher.width)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From queries, keys and values (B, A, T, D) of both, A and D of each its own, to a scalar.

        Raises:
            UserError: the relation heads do not divide one of the widths, or the numbers of tokens differ.
        """
        total = student.logits.sum() * 0
        for field in _FIELDS:
            ours, theirs = self.both(student, batch, field)
            if ours.shape[2] != theirs.shape[2]:
                expected = f"teacher {field} of the student's shape in tokens, {ours.shape[2]}"
                cure = "Give the student the teacher's tokenizer, or leave this term out."
                got = str(theirs.shape[2])
                raise UserError(f"loss term {self.file_name!r}", expected=expected, got=got, cure=cure)
            self._check(self.file_name, *(one.shape[1] * one.shape[3] for one in (ours, theirs)))
            r_s, r_t = (scores(self._split(one), batch.attention_mask) for one in (ours, theirs))
            total = total + divergence(r_s, r_t, batch.attention_mask)
        return total

    def _split(self, vectors: Tensor) -> Tensor:
        """(B, A, T, D) -> (B, relation_heads, T, A D / relation_heads)."""
        rows, heads, tokens, units = vectors.shape
        whole = vectors.transpose(1, 2).reshape(rows, tokens, heads * units)
        return whole.view(rows, tokens, self.relation_heads, -1).transpose(1, 2)

    def _check(self, name: str, ours: int, theirs: int) -> None:
        both = math.gcd(ours, theirs)
        if both % self.relation_heads:
            most = max(heads for heads in range(1, RELATION_HEADS + 1) if both % heads == 0)
            raise UserError(
                f"loss term {name!r}",
                expected=f"relation_heads that divide the student's width {ours} and the teacher's {theirs}",
                got=str(self.relation_heads),
                cure=f"Choose loss.terms.{name}.relation_heads={most}.",
            )
