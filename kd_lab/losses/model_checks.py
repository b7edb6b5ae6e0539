"""What of two models a loss of tokens refuses before any fit: other widths, heads or layers than it can compare."""

from __future__ import annotations

from kd_lab.core.errors import UserError
from kd_lab.core.types import ModelShape
from kd_lab.losses.fitting_losses import other_loss


def check_width(name: str, student: ModelShape, teacher: ModelShape) -> None:
    """Refuses a teacher of another width, for the term called `name`.

    Raises:
        UserError: it is.
    """
    if student.width != teacher.width:
        expected = f"a student of the teacher's width {teacher.width}"
        raise _refused(name, expected, student.width, student, teacher)


def check_heads(name: str, student: ModelShape, teacher: ModelShape) -> None:
    """Refuses a teacher with another number of heads, for the term called `name`.

    Raises:
        UserError: it has.
    """
    if student.heads != teacher.heads:
        expected = f"a student with the teacher's {teacher.heads} heads"
        raise _refused(name, expected, student.heads, student, teacher)


def check_depth(name: str, student: ModelShape, teacher: ModelShape, fewest: int = 1) -> None:
    """Refuses a student that is deeper than its teacher, or has fewer layers than the term `name` compares.

    Raises:
        UserError: it is.
    """
    if not fewest <= student.layers <= teacher.layers:
        expected = f"a student of {fewest} to {teacher.layers} layers, as its teacher has"
        raise _refused(name, expected, student.layers, student, teacher)


def _refused(name: str, expected: str, got: int, student: ModelShape, teacher: ModelShape) -> UserError:
    return UserError(f"loss term {name!r}", expected=expected, got=str(got), cure=other_loss(student, teacher))
