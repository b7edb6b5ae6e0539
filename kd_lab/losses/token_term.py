"""A term that compares tokens, and refuses before any fit two models of other widths, heads or layers than it can."""

from __future__ import annotations

from typing import ClassVar

from kd_lab.core.errors import UserError
from kd_lab.core.types import ModelShape
from kd_lab.losses.base import Term
from kd_lab.losses.fitting_losses import other_loss


class TokenTerm(Term):
    """A term that says by these in what a student must be like its teacher."""

    multi_label: ClassVar[bool] = True
    fewest_layers: ClassVar[int | None] = None  # of a student, which is no deeper than its teacher; None compares none
    same_heads: ClassVar[bool] = False
    same_width: ClassVar[bool] = False

    def check_models(self, name: str, student: ModelShape, teacher: ModelShape) -> None:
        """See `Term`."""
        fewest = self.fewest_layers
        if fewest is not None and not fewest <= student.layers <= teacher.layers:
            expected, got = f"a student of {fewest} to {teacher.layers} layers, as its teacher has", student.layers
        elif self.same_heads and student.heads != teacher.heads:
            expected, got = f"a student with the teacher's {teacher.heads} heads", student.heads
        elif self.same_width and student.width != teacher.width:
            expected, got = f"a student of the teacher's width {teacher.width}", student.width
        else:
            return
        raise UserError(f"loss term {name!r}", expected=expected, got=str(got), cure=other_loss(student, teacher))
